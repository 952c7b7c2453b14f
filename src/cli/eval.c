/*
 * eval.c - `ponder eval`: what a model knows to solve with and without an adapter, by family and budget, alone and by vote; whether its thoughts
 * are well formed; and what the adapter does to its reading of ordinary text.
 *
 * Questions are the outer loop, so that a prompt is evaluated once for all its replies, and several are written at a time whatever they
 * answer. The same file gives the same replies. Models that were not trained to think are asked to, as in a chat.
 */
#include "cli/cli.h"
#include "cli/eval.h"
#include "model/model.h"

#include <jansson.h>
#include <langinfo.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct eval {
    struct eval_config c;
    struct eval_questions q;
    struct eval_results r;
    struct settings set;
    const char *file, *csv, *replies, *model, *adapter;
    bool only_base, only_adapter, bar, ascii;
    int limit;
    struct engine *engine;
    struct session *session;
    struct adapter *lora;
    double scale;
    FILE *out; /* replies as JSON lines */
    int64_t began;
    size_t done, total;
    /* the run under way */
    enum eval_run run;
    const struct family *family;
    struct tokens thinking, plain; /* the question's prompt, with thinking and without */
    bool thought_open, has_thinking, has_plain;
    size_t question, asked;        /* the next reply to be asked for */
    struct err error;              /* why a prompt could not be made; code 0 */
    struct voices *votes;          /* by question */
    struct job *jobs;              /* [BATCH_MAX] */
};

/* What the voices of a question said. */
struct voices {
    struct str answers[EVAL_VOTES_MAX];
    bool right[EVAL_VOTES_MAX], whole[EVAL_VOTES_MAX];
    int n;
};

/* Which reply to a question a job is: budgets first, then voices. */
struct job {
    size_t question, index;
    struct tokens prompt;
    bool busy;
};

static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    caught = n;
}

static void progress(struct eval *v)
{
    if (v->bar) sweep_show_progress(v->done, v->total, v->began, v->ascii);
}

/* ---- replies -------------------------------------------------------------------------------------------------------------- */

static const struct budget_list *budgets(const struct eval *v)
{
    return &v->c.budgets[v->run];
}

static size_t replies_to_each(const struct eval *v, const struct eval_question *q)
{
    return budgets(v)->n + (v->q.groups[q->group].own ? (size_t)v->c.votes[v->run] : 0);
}

/* The budget of a voice is the last one, the largest. */
static struct budget budget_of(const struct eval *v, size_t index)
{
    const struct budget_list *b = budgets(v);
    return b->items[index < b->n ? index : b->n - 1];
}

static bool next_reply(void *arg, struct rollout *r)
{
    struct eval *v = arg;
    if (caught || v->question == v->q.n) return false;
    const struct eval_question *q = &v->q.items[v->question];
    struct budget budget = budget_of(v, v->asked);
    struct job *job = v->jobs;
    bool voice = v->asked >= budgets(v)->n, open = false, think = budget.kind != BUDGET_OFF;
    while (job->busy) job++; /* there are as many as replies at a time */
    if (eval_prompt(v->engine, v->family, v->set.system, q->q.text, think, false, &job->prompt, &open, &v->error)) return false;
    job->busy = true;
    job->question = v->question;
    job->index = v->asked;
    *r = (struct rollout){.prompt = &job->prompt, .thought_open = open, .think = think, .family = v->family, .budget = budget, .answer_max = v->c.answer_max, .arg = job};
    r->sampling = (struct sampler_params){.temp = voice ? v->c.temp : v->c.single_temp, .top_p = 1, .repeat_penalty = 1,
                                          .seed = (uint64_t)v->c.seed * 1000003 + v->question * 101 + v->asked};
    if (++v->asked == replies_to_each(v, q)) {
        v->asked = 0;
        v->question++;
    }
    return true;
}

static int write_reply(struct eval *v, const struct job *job, const struct rollout_reply *r, bool right, struct err *e)
{
    const struct eval_question *q = &v->q.items[job->question];
    char budget[32];
    if (!v->out) return 0;
    budget_format(r->rollout->budget, budget);
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:i, s:s, s:s?, s:b}", "run", eval_run_names[v->run], "family", v->q.groups[q->group].name, "budget", budget,
                          "voice", job->index < budgets(v)->n ? 0 : (int)(job->index - budgets(v)->n) + 1, "question", q->q.text, "answer", q->q.answer,
                          "thought", json_stringn_nocheck(str_cstr(&r->thought), r->thought.len), "reply", json_stringn_nocheck(str_cstr(&r->answer), r->answer.len),
                          "thought_tokens", r->stats.thought_tokens, "ended", thought_ending_name(r->stats.thought_ending), "answer_ended",
                          answer_ending_name(r->stats.answer_ending), "right", right);
    char *text = o ? json_write(o, JSON_COMPACT) : NULL;
    bool ok = text && fprintf(v->out, "%s\n", text) > 0;
    free(text);
    json_decref(o);
    return ok ? 0 : err_set(e, ERR_IO, "%s: cannot be written", v->replies);
}

static void count_cell(struct cell *c, const struct rollout_reply *r, bool right)
{
    c->n++;
    c->right += right;
    c->unanswered += !r->answer.len;
    c->closed += r->stats.thought_ending == THOUGHT_BUDGET_SOFT || r->stats.thought_ending == THOUGHT_BUDGET_HARD;
    c->thought_tokens += r->stats.thought_tokens;
    c->answer_tokens += r->stats.answer_tokens;
}

static void count_thoughts(struct eval *v, const struct rollout_reply *r, size_t index)
{
    struct eval_results *all = &v->r;
    if (r->rollout->budget.kind == BUDGET_OFF) return;
    all->replies[v->run]++;
    all->one_thought[v->run] += r->opened == 1 && r->closed == 1 && !r->stats.escaped && r->answer.len > 0;
    if (index + 1 < budgets(v)->n) return;
    all->with_budget[v->run]++;
    all->by_itself[v->run] += r->stats.thought_ending == THOUGHT_NATURAL;
}

/* The voices of a question are complete: one voice stands for each of them, all for what most of them say. */
static void count_vote(struct eval *v, const struct eval_question *q, struct voices *vote)
{
    struct answer_ballot ballots[EVAL_VOTES_MAX];
    struct eval_group *g = &v->q.groups[q->group];
    for (int i = 0; i < vote->n; i++) {
        ballots[i] = (struct answer_ballot){.answer = str_cstr(&vote->answers[i]), .whole = vote->whole[i]};
        g->vote_one[v->run] += vote->right[i];
    }
    bool right = vote->right[answers_winner(ballots, (size_t)vote->n)];
    g->voted[v->run]++;
    g->vote_all[v->run] += right;
    struct cell *all = &v->r.cells[v->run][budgets(v)->n + 1];
    all->n++;
    all->right += right;
}

static int reply_done(void *arg, const struct rollout_reply *r, struct err *e)
{
    struct eval *v = arg;
    struct job *job = r->rollout->arg;
    const struct eval_question *q = &v->q.items[job->question];
    struct eval_group *g = &v->q.groups[q->group];
    struct str got = STR_EMPTY;
    size_t n = budgets(v)->n;
    bool voice = job->index >= n, right;
    const char *text = str_cstr(&r->answer);
    if (q->q.has_check)
        right = task_reply_is_right(q->q.check, q->q.answer, text, r->answer.len, &got);
    else
        right = question_is_right(&q->q, FORM_AUTO, text, r->answer.len);
    count_thoughts(v, r, job->index);
    if (g->own) count_cell(&v->r.cells[v->run][voice ? n : job->index], r, right);
    if (!voice) {
        g->asked[v->run][job->index]++;
        g->right[v->run][job->index] += right;
    } else {
        struct voices *vote = &v->votes[job->question];
        vote->right[vote->n] = right;
        vote->whole[vote->n] = r->stats.answer_ending == ANSWER_COMPLETE;
        str_add_bytes(&vote->answers[vote->n++], str_cstr(&got), got.len);
        if (vote->n == v->c.votes[v->run]) count_vote(v, q, vote);
    }
    str_release(&got);
    int rc = write_reply(v, job, r, right, e);
    job->busy = false;
    v->done++;
    progress(v);
    return rc ? rc : caught ? err_set(e, ERR_STOPPED, "stopped") : 0;
}

/* ---- text ------------------------------------------------------------------------------------------------------------------- */

struct score {
    const int32_t *ids;
    size_t n;
    int n_vocab;
    double sum;
};

static void score_row(void *arg, size_t at, const float *logits)
{
    struct score *s = arg;
    double most = logits[0], sum = 0;
    if (at + 1 >= s->n) return;
    for (int i = 1; i < s->n_vocab; i++) most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < s->n_vocab; i++) sum += exp(logits[i] - most);
    s->sum += most + log(sum) - logits[s->ids[at + 1]];
}

static int measure_text(struct eval *v, double *perplexity, struct err *e)
{
    struct str text = STR_EMPTY;
    struct tokens ids = {0};
    const struct tokenizer *tok = engine_tokenizer(v->engine);
    int rc = file_read(&text, v->c.text, (size_t)1 << 20, e);
    if (!rc && tokenizer_adds_bos(tok)) rc = tokens_push(&ids, tokenizer_bos(tok));
    if (!rc) rc = tokenizer_encode(tok, str_cstr(&text), text.len, PARSE_NONE, &ids, e);
    if (!rc && ids.n > (size_t)session_ctx(v->session)) ids.n = (size_t)session_ctx(v->session);
    struct score s = {.ids = ids.ids, .n = ids.n, .n_vocab = tokenizer_size(tok)};
    if (!rc && ids.n < 2) rc = err_set(e, ERR_FILE, "%s: too short to be measured", v->c.text);
    if (!rc) rc = session_score(v->session, ids.ids, ids.n, false, score_row, &s, e);
    if (!rc) *perplexity = exp(s.sum / (double)(ids.n - 1));
    tokens_release(&ids);
    str_release(&text);
    return rc;
}

/* ---- runs -------------------------------------------------------------------------------------------------------------------- */

static size_t replies_of_run(struct eval *v, enum eval_run run)
{
    size_t n = 0;
    v->run = run;
    for (size_t i = 0; i < v->q.n; i++) n += replies_to_each(v, &v->q.items[i]);
    return n;
}

/* The clock's time, shared out by tokens: replies of several cells are written at once. */
static void share_time(struct eval *v)
{
    struct cell *cells = v->r.cells[v->run];
    int64_t tokens = 0;
    size_t n = budgets(v)->n + 1;
    for (size_t i = 0; i < n; i++) tokens += cells[i].thought_tokens + cells[i].answer_tokens;
    for (size_t i = 0; tokens && i < n; i++) cells[i].ms = v->r.ms[v->run] * (cells[i].thought_tokens + cells[i].answer_tokens) / tokens;
    cells[n].thought_tokens = cells[n - 1].thought_tokens;
    cells[n].answer_tokens = cells[n - 1].answer_tokens;
    cells[n].ms = cells[n - 1].ms;
}

static int run(struct eval *v, enum eval_run which, struct err *e)
{
    const struct family *f = engine_info(v->engine)->family;
    const struct adapter *list[] = {v->lora};
    const double scales[] = {v->scale};
    int rc = session_set_adapters(v->session, list, scales, which == RUN_ADAPTER, e);
    v->run = which;
    v->family = which == RUN_BASE || v->c.thinks == THINKS_PROMPTED ? f : v->c.thinks == THINKS_TRAINED ? family_trained(f) : adapter_family(v->lora);
    v->question = v->asked = 0;
    if (!rc && v->c.text[0]) rc = measure_text(v, &v->r.perplexity[which], e);
    v->votes = calloc(v->q.n, sizeof *v->votes);
    v->jobs = calloc(BATCH_MAX, sizeof *v->jobs);
    if (!rc && (!v->votes || !v->jobs)) rc = err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < budgets(v)->n + 2; i++) v->r.cells[which][i] = (struct cell){.budget = budget_of(v, i), .votes = i > budgets(v)->n ? v->c.votes[which] : 1};
    int64_t start = clock_mono_ms();
    if (!rc) rc = rollouts_run(v->session, engine_tokenizer(v->engine), next_reply, reply_done, v, NULL, e);
    v->r.ms[which] = clock_mono_ms() - start;
    v->r.ran[which] = true;
    share_time(v);
    for (size_t i = 0; v->votes && i < v->q.n; i++)
        for (int k = 0; k < v->votes[i].n; k++) str_release(&v->votes[i].answers[k]);
    for (int i = 0; v->jobs && i < BATCH_MAX; i++) tokens_release(&v->jobs[i].prompt);
    free(v->votes);
    free(v->jobs);
    v->votes = NULL;
    v->jobs = NULL;
    if (!rc && v->error.code) {
        *e = v->error;
        rc = e->code;
    }
    if (!rc && caught) rc = err_set(e, ERR_STOPPED, "stopped");
    return rc;
}

static int open_all(struct eval *v, struct err *e)
{
    struct str path = STR_EMPTY;
    bool adapter = v->c.adapter[0] && !v->only_base;
    int rc = model_path_of(&path, v->model ? v->model : v->c.model, e);
    if (!rc) rc = engine_open(&v->engine, str_cstr(&path), e);
    str_release(&path);
    if (!rc && adapter) rc = adapter_open_text(&v->lora, &v->scale, v->engine, v->c.adapter, strlen(v->c.adapter), e);
    if (!rc && v->replies) {
        v->out = fopen(v->replies, "we");
        if (!v->out) rc = err_set_errno(e, ERR_IO, "%s", v->replies);
    }
    if (!rc) rc = session_new(&v->session, v->engine, v->set.ctx > 0 ? v->set.ctx : 2048, v->set.threads > 0 ? v->set.threads : engine_default_threads(),
                              KV_F16, e);
    return rc;
}

static int report(struct eval *v, struct err *e)
{
    struct str out = STR_EMPTY;
    int rc = 0;
    eval_table(&v->c, &v->q, &v->r, &out);
    for (int run = 0; run < RUNS; run++) {
        size_t n = v->c.budgets[run].n + (v->c.votes[run] ? 2 : 0);
        if (!v->r.ran[run] || !v->r.cells[run][0].n) continue;
        str_addf(&out, "\n%s\n", run == RUN_BASE ? "the model alone, mean over the families" : "with the adapter, mean over the families");
        sweep_plot(v->r.cells[run], n, sweep_columns(1), v->ascii, &out);
    }
    str_add(&out, "\n");
    eval_summary(&v->c, &v->q, &v->r, &out);
    cli_put(stdout, str_cstr(&out), out.len);
    str_clear(&out);
    eval_csv(&v->c, &v->q, &v->r, &out);
    if (v->csv) rc = file_write_atomic(v->csv, str_cstr(&out), out.len, e);
    str_release(&out);
    return rc;
}

/* ---- arguments -------------------------------------------------------------------------------------------------------------- */

static int parse_option(struct eval *v, const char *name, const char *value, struct err *e)
{
    char *end;
    if (!strcmp(name, "-o")) v->csv = value;
    if (!strcmp(name, "-m")) v->model = value;
    if (!strcmp(name, "--replies")) v->replies = value;
    if (!strcmp(name, "--adapter")) v->adapter = value;
    if (!strcmp(name, "--only")) {
        v->only_base = !strcmp(value, "base");
        v->only_adapter = !strcmp(value, "adapter");
        if (!v->only_base && !v->only_adapter) return err_set(e, ERR_USAGE, "--only: \"%s\" is none of: base, adapter", value);
    }
    if (!strcmp(name, "--count") || !strcmp(name, "--threads")) {
        long n = strtol(value, &end, 10);
        if (end == value || *end || n < 1 || n > 10000) return err_set(e, ERR_USAGE, "%s: \"%s\" is no number from 1 to 10000", name, value);
        if (!strcmp(name, "--count")) v->limit = (int)n;
        if (!strcmp(name, "--threads")) v->set.threads = (int)n;
    }
    return 0;
}

static int parse(struct eval *v, int argc, char **argv, struct err *e)
{
    static const char *const own[] = {"-o", "-m", "--replies", "--adapter", "--only", "--count", "--threads"};
    int rc = 0;
    for (int i = 1; !rc && i < argc; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(own) && strcmp(own[k], argv[i])) k++;
        if (k < ARRAY_LEN(own)) {
            rc = i + 1 < argc ? parse_option(v, own[k], argv[i + 1], e) : err_set(e, ERR_USAGE, "eval: %s needs a value", argv[i]);
            i++;
        } else if (argv[i][0] == '-') {
            rc = err_set(e, ERR_USAGE, "eval: unknown option %s (see `ponder help eval`)", argv[i]);
        } else if (v->file) {
            rc = err_set(e, ERR_USAGE, "eval: one file, not both %s and %s", v->file, argv[i]);
        } else {
            v->file = argv[i];
        }
    }
    if (!rc && !v->file) rc = err_set(e, ERR_USAGE, "eval: name a file that says what to measure (see `ponder help eval`)");
    return rc;
}

/* What the command line says goes over what the file says. An adapter that is not there is left out, and that is told. */
static int settle(struct eval *v, struct err *e)
{
    if (v->limit) v->c.count = v->limit;
    if (v->adapter) {
        free(v->c.adapter);
        v->c.adapter = mem_dup_text(v->adapter, strlen(v->adapter));
        return v->c.adapter ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    }
    if (v->only_adapter && !v->c.adapter[0]) return err_set(e, ERR_USAGE, "eval: %s names no adapter", v->file);
    if (v->c.adapter[0] && !v->only_adapter && access(v->c.adapter, F_OK)) {
        fprintf(stderr, "ponder: %s is not there: the model alone is measured\n", v->c.adapter);
        v->c.adapter[0] = '\0';
    }
    return 0;
}

int cmd_eval(int argc, char **argv)
{
    struct eval v = {.bar = isatty(2) && getenv("TERM") && strcmp(getenv("TERM"), "dumb"), .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0};
    struct err e = {0};
    int rc = cli_settings(&v.set, &e), code = 0;
    if (!rc) rc = parse(&v, argc, argv, &e);
    if (!rc) rc = eval_config_load(&v.c, v.file, &e);
    if (!rc) rc = settle(&v, &e);
    if (!rc) rc = eval_questions_load(&v.q, &v.c, &e);
    if (!rc) rc = open_all(&v, &e);
    if (!rc) {
        struct sigaction sa = {.sa_handler = on_signal};
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        v.total = (v.only_adapter ? 0 : replies_of_run(&v, RUN_BASE)) + (v.lora ? replies_of_run(&v, RUN_ADAPTER) : 0);
        v.began = clock_mono_ms();
        if (!v.only_adapter) rc = run(&v, RUN_BASE, &e);
        if (!rc && v.lora) rc = run(&v, RUN_ADAPTER, &e);
        if (v.bar) fputs("\r\033[K", stderr);
        struct err bad = {0};
        if ((!rc || rc == ERR_STOPPED) && report(&v, &bad) && !rc) {
            rc = bad.code;
            e = bad;
        }
        if (rc == ERR_STOPPED) code = 128 + caught;
    }
    if (v.out && fclose(v.out) && !rc) rc = err_set_errno(&e, ERR_IO, "%s", v.replies);
    session_free(v.session);
    adapter_free(v.lora);
    engine_free(v.engine);
    eval_questions_release(&v.q);
    eval_config_release(&v.c);
    settings_release(&v.set);
    return rc && rc != ERR_STOPPED ? cli_fail(&e) : cli_finish(code);
}
