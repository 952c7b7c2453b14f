/*
 * distill.c - `ponder distill`: rejection sampling in one command. A teacher, another model or the student with an adapter, writes several replies to each of
 * many training questions; the judge of `ponder tasks` says which are right; of these the short and different ones become data, on which the
 * student's adapter is trained.
 *
 * Replies are on disk as they come, and each depends on its question, its number and the seed alone: a run that was stopped goes on and comes to the
 * same data.
 */
#include "cli/distill.h"
#include "cli/train.h"

#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char with_value[] = " --teacher --adapter --teacher-cot --student --tasks --level --count --samples --keep --temp --budget --answer-max --data --replies --pairs"
    TRAIN_SFT_VALUES;

struct want {
    const char *teacher, *adapter, *tasks, *data, *replies, *pairs;
    struct str data_path, replies_path;
    int level_min, level_max, count, samples, keep, budget, answer_max;
    double temp;
    bool cot_given, trained, examples; /* how the teacher is made to think; not given: as its adapter says, or asked to, step by step */
    struct train_want train;
};

struct job {
    struct tokens prompt;
    struct distill_reply reply; /* question and sample */
    bool busy;
};

struct sampling {
    const struct want *w;
    struct eval_questions q;
    struct engine *m;
    const struct family *family;
    struct adapter *lora;
    double scale;
    struct session *s;
    struct distill_replies replies;
    uint8_t *there;             /* [questions * samples]: the file has it */
    size_t next, done, total;   /* total: of those that are missing */
    struct job jobs[BATCH_MAX];
    FILE *file;
    struct err error;           /* why a prompt could not be made; code 0 */
    int64_t began;
    bool bar, ascii;
};

static volatile bool stop;
static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    caught = n;
    stop = true;
}

/* ---- sampling -------------------------------------------------------------------------------------------------- */

static void progress(struct sampling *d)
{
    if (d->bar) sweep_show_progress(d->done, d->total, d->began, d->ascii);
}

static bool next_reply(void *arg, struct rollout *r)
{
    struct sampling *d = arg;
    size_t samples = (size_t)d->w->samples, all = d->q.n * samples;
    struct job *job = d->jobs;
    bool open = false;

    while (d->next < all && d->there[d->next]) d->next++;
    if (d->next == all || stop) return false;
    while (job->busy) job++; /* there are as many as replies at a time */
    job->reply = (struct distill_reply){.question = d->next / samples, .sample = (int)(d->next % samples)};
    if (eval_prompt(d->m, d->family, "", d->q.items[job->reply.question].q.text, true, d->w->examples, &job->prompt, &open, &d->error)) return false;
    job->busy = true;
    *r = (struct rollout){.prompt = &job->prompt, .thought_open = open, .think = true, .family = d->family, .budget = {BUDGET_TOKENS, d->w->budget},
                          .answer_max = d->w->answer_max, .arg = job,
                          .sampling = {.temp = d->w->temp, .top_p = 1, .repeat_penalty = 1, .seed = d->w->train.seed * 1000003 + d->next}};
    d->next++;
    return true;
}

static bool is_plain(const struct str *s)
{
    return utf8_is_valid(str_cstr(s), s->len) && !memchr(str_cstr(s), 0, s->len);
}

static int reply_done(void *arg, const struct rollout_reply *r, struct err *e)
{
    struct sampling *d = arg;
    struct job *job = r->rollout->arg;
    const struct eval_question *q = &d->q.items[job->reply.question];
    struct distill_reply one = job->reply;
    bool plain = is_plain(&r->thought) && is_plain(&r->answer);

    one.thought = (char *)(plain ? str_cstr(&r->thought) : "");
    one.text = (char *)(plain ? str_cstr(&r->answer) : "");
    one.tokens = r->stats.thought_tokens;
    one.right = question_is_right(&q->q, FORM_AUTO, str_cstr(&r->answer), r->answer.len);
    one.whole = plain && r->opened == 1 && r->closed == 1 && !r->stats.escaped && r->stats.thought_ending == THOUGHT_NATURAL &&
                r->stats.answer_ending == ANSWER_COMPLETE;
    job->busy = false;
    d->done++;
    progress(d);
    return distill_replies_put(d->file, &d->replies, d->w->replies, q, &one, e);
}

/* ---- what is asked ---------------------------------------------------------------------------------------------- */

static int check_families(const char *list, struct err *e)
{
    for (const char *p = list; *p; p += strspn(p, ",")) {
        char name[64];
        size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name - 1 ? n : sizeof name - 1), p);
        if (strcmp(name, "all") && task_family_by_name(name) < 0)
            return err_set(e, ERR_USAGE, "distill: --tasks: \"%s\" is no family (see `ponder tasks list`), and no file of questions is called so", name);
        p += n;
    }
    return 0;
}

static int load_questions(struct sampling *d, struct err *e)
{
    const struct want *w = d->w;
    struct stat st;
    bool file = stat(w->tasks, &st) == 0 && !S_ISDIR(st.st_mode);
    struct eval_config c = {.families = (char *)(file ? "" : w->tasks), .level_min = w->level_min, .level_max = w->level_max, .count = w->count, .half = TASK_TRAINING,
                            .seed = (long)(w->train.seed & INT32_MAX), .n_sets = file};

    if (file) {
        c.sets[0].name = (char *)"";
        c.sets[0].file = (char *)w->tasks;
    }
    int rc = file ? 0 : check_families(w->tasks, e);
    return rc ? rc : eval_questions_load(&d->q, &c, e);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    for (; *text; text++) h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

/* All that the replies depend on, in a line. */
static int identify(struct sampling *d, struct str *out, struct err *e)
{
    const struct want *w = d->w;
    const struct model_info *m = engine_info(d->m);
    struct str path = STR_EMPTY;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    char hex[65] = "none";
    int rc = 0;

    for (size_t i = 0; i < d->q.n; i++) h = hash_text(hash_text(h, d->q.items[i].q.text), d->q.items[i].q.answer);
    if (w->adapter) {
        str_add(&path, w->adapter);
        /* FILE:SCALE */
        if (access(str_cstr(&path), F_OK) && strrchr(str_cstr(&path), ':')) str_truncate(&path, (size_t)(strrchr(path.data, ':') - path.data));
        rc = file_sha256(str_cstr(&path), hex, NULL, NULL, e);
    }
    str_release(&path);
    str_addf(out, "%s %s %llu; adapter %s %g; thinks %s; %zu questions %016llx; seed %llu samples %d temp %g budget %d answer %d", m->name, m->quant,
             (unsigned long long)m->file_bytes, hex, d->scale, w->examples ? "few" : d->family->name, d->q.n, (unsigned long long)h,
             (unsigned long long)w->train.seed, w->samples, w->temp, w->budget, w->answer_max);
    return rc || str_ok(out) ? rc : err_set(e, ERR_NOMEM, "out of memory");
}

static int open_teacher(struct sampling *d, struct err *e)
{
    const struct want *w = d->w;
    struct str path = STR_EMPTY;
    int rc = model_path_of(&path, w->teacher, e);

    if (!rc) rc = engine_open(&d->m, str_cstr(&path), e);
    str_release(&path);
    if (rc) return rc;
    const struct family *f = engine_info(d->m)->family;
    if (w->adapter && (rc = adapter_open_text(&d->lora, &d->scale, d->m, w->adapter, strlen(w->adapter), e))) return rc;
    d->family = w->trained ? family_trained(f) : d->lora && !w->cot_given ? adapter_family(d->lora) : f;
    if ((rc = session_new(&d->s, d->m, 2048, w->train.options.n_threads, KV_F16, e))) return rc;
    const struct adapter *list[] = {d->lora};
    return session_set_adapters(d->s, list, &d->scale, d->lora != NULL, e);
}

/* Which replies are there already. */
static int look(struct sampling *d, struct err *e)
{
    const struct want *w = d->w;

    d->there = calloc(d->q.n, (size_t)w->samples);
    if (!d->there) return err_set(e, ERR_NOMEM, "out of memory");
    d->total = d->q.n * (size_t)w->samples;
    for (size_t i = 0; i < d->replies.n; i++) {
        const struct distill_reply *r = &d->replies.items[i];
        if (r->question >= d->q.n || r->sample >= w->samples) return err_set(e, ERR_FILE, "%s: has a reply to no question of this run", w->replies);
        uint8_t *there = &d->there[r->question * (size_t)w->samples + (size_t)r->sample];
        d->total -= !*there;
        *there = 1;
    }
    return 0;
}

static int sample(struct sampling *d, struct err *e)
{
    struct str run = STR_EMPTY;
    int rc = load_questions(d, e);

    if (!rc) rc = open_teacher(d, e);
    if (!rc) rc = identify(d, &run, e);
    if (!rc && d->w->train.restart && unlink(d->w->replies) && errno != ENOENT) rc = err_set_errno(e, ERR_IO, "%s", d->w->replies);
    if (!rc && !d->w->train.resume && access(d->w->replies, F_OK) == 0)
        rc = err_set(e, ERR_USAGE, "%s has replies of a run before: --resume goes on with it, --restart begins anew", d->w->replies);
    if (!rc) rc = distill_replies_open(&d->file, &d->replies, d->w->replies, str_cstr(&run), e);
    if (!rc) rc = look(d, e);
    str_release(&run);
    d->began = clock_mono_ms();
    if (!rc && d->replies.n) fprintf(stderr, "%zu of %zu replies are there\n", d->replies.n, d->replies.n + d->total);
    if (!rc) rc = rollouts_run(d->s, engine_tokenizer(d->m), next_reply, reply_done, d, &stop, e);
    if (d->bar) fputs("\r\033[K", stderr);
    if (!rc && d->error.code) {
        *e = d->error;
        rc = e->code;
    }
    if (!rc && stop) rc = err_set(e, ERR_STOPPED, "stopped");
    if (d->file && fclose(d->file) && !rc) rc = err_set_errno(e, ERR_IO, "%s", d->w->replies);
    if (rc == ERR_STOPPED) fprintf(stderr, "%zu replies are kept; --resume goes on\n", d->replies.n);
    return rc;
}

static void release(struct sampling *d)
{
    session_free(d->s);
    adapter_free(d->lora);
    engine_free(d->m);
    eval_questions_release(&d->q);
    distill_replies_release(&d->replies);
    free(d->there);
    for (int i = 0; i < BATCH_MAX; i++) tokens_release(&d->jobs[i].prompt);
}

/* Samples, judges, and writes what is kept. */
static int make_data(const struct want *w, struct err *e)
{
    const char *term = getenv("TERM");
    struct sampling d = {.w = w, .scale = 1, .bar = isatty(2) && term && strcmp(term, "dumb") != 0, .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0};
    struct sigaction sa = {.sa_handler = on_signal};
    struct distill_counts n;

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    int rc = sample(&d, e);
    distill_replies_sort(&d.replies);
    if (!rc) rc = distill_write(w->data, w->pairs, &d.q, &d.replies, w->keep, &n, e);
    if (!rc) {
        fprintf(stderr, "%zu replies to %zu questions: %zu right, %zu of them whole; %zu kept, of %zu questions: ", n.replies, n.questions, n.right, n.good, n.kept, n.answered);
        cli_puts(stderr, w->data);
        if (w->pairs) fprintf(stderr, "; %zu pairs: ", n.pairs);
        if (w->pairs) cli_puts(stderr, w->pairs);
        fputc('\n', stderr);
        if (!n.kept) rc = err_set(e, ERR_INVALID, "no reply is worth learning");
    }
    release(&d);
    return rc;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static int take_whole(const struct args *a, int low, int high, int *out, struct err *e)
{
    char *end;

    errno = 0;
    long v = strtol(a->value, &end, 10);
    if (end == a->value || *end || errno || v < low || v > high)
        return err_set(e, ERR_USAGE, "distill: %s takes a whole number from %d to %d, not \"%s\"", a->name, low, high, a->value);
    *out = (int)v;
    return 0;
}

static int take_thinks(struct want *w, const char *value, struct err *e)
{
    w->cot_given = true;
    w->trained = !strcmp(value, "off");
    w->examples = !strcmp(value, "few");
    return w->trained || w->examples || !strcmp(value, "step") ? 0 : err_set(e, ERR_USAGE, "distill: --teacher-cot takes step, few or off, not \"%s\"", value);
}

static int take_flag(const struct args *a, struct want *w, struct err *e)
{
    const struct {
        const char *flag;
        const char **to;
    } texts[] = {{"--teacher", &w->teacher}, {"--adapter", &w->adapter}, {"--student", &w->train.base}, {"--tasks", &w->tasks}, {"--data", &w->data},
                 {"--replies", &w->replies}, {"--pairs", &w->pairs}};
    const struct {
        const char *flag;
        int *to, low, high;
    } numbers[] = {{"--count", &w->count, 1, 10000}, {"--samples", &w->samples, 1, 64}, {"--keep", &w->keep, 1, 64}, {"--budget", &w->budget, 1, 1500},
                   {"--answer-max", &w->answer_max, 1, 1500}};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (args_is(a, numbers[i].flag)) return take_whole(a, numbers[i].low, numbers[i].high, numbers[i].to, e);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (args_is(a, texts[i].flag)) {
            *texts[i].to = a->value;
            return 0;
        }
    if (args_is(a, "--level")) return levels_parse(a->value, &w->level_min, &w->level_max, e);
    if (args_is(a, "--teacher-cot")) return take_thinks(w, a->value, e);
    if (args_is(a, "--temp")) {
        char *end;
        w->temp = strtod(a->value, &end);
        return end != a->value && !*end && w->temp > 0 && w->temp <= 5 ? 0 : err_set(e, ERR_USAGE, "distill: --temp takes a number above 0, up to 5, not \"%s\"", a->value);
    }
    return train_take_flag(a, &w->train, e);
}

/* What is missing is told; files that are not named stand beside those that are. */
static int check(struct want *w)
{
    if (!w->teacher) return cli_usage("distill", "--teacher MODEL is missing");
    if (!w->tasks) return cli_usage("distill", "--tasks FAMILY,FAMILY... or FILE is missing");
    if (!w->train.to && !w->data) return cli_usage("distill", "-o ADAPTER.gguf or --data FILE.jsonl is missing");
    if (w->train.to && !w->train.base) return cli_usage("distill", "--student MODEL is missing");
    if (!w->data) str_addf(&w->data_path, "%s.data.jsonl", w->train.to);
    if (!w->data) w->data = str_cstr(&w->data_path);
    if (!w->replies) str_addf(&w->replies_path, "%s.replies", w->data);
    if (!w->replies) w->replies = str_cstr(&w->replies_path);
    w->train.data = w->data;
    return w->train.to ? train_check("distill", &w->train) : 0;
}

int cmd_distill(int argc, char **argv)
{
    struct want w = {.level_min = 1, .level_max = 3, .count = 40, .samples = 8, .keep = 2, .temp = 0.8, .budget = 256, .answer_max = 100};
    struct args a;
    enum args_kind kind;
    struct err e = {0};
    int code;

    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return cli_command_help("distill");
    if ((code = args_begin(&a, argc, argv, with_value, TRAIN_SWITCHES))) return code;
    train_defaults(&w.train, TRAIN_SFT);
    while (!code && (kind = args_next(&a)) != ARGS_END) {
        if (kind == ARGS_BAD) code = 2;
        else if (kind == ARGS_WORD) code = cli_usage("distill", "unknown argument %s", a.value);
        else if (take_flag(&a, &w, &a.err)) code = cli_fail(&a.err);
    }
    if (!code) code = check(&w);
    if (!code) {
        int rc = make_data(&w, &e);
        code = rc == ERR_STOPPED ? 128 + (caught ? caught : SIGINT) : rc ? cli_fail(&e) : w.train.to ? train_run(&w.train) : cli_finish(0);
    }
    args_end(&a);
    str_release(&w.data_path);
    str_release(&w.replies_path);
    return code;
}
