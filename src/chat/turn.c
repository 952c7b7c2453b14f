/*
 * turn.c - one reply: the branch becomes a prompt, the prompt tokens, and then, token by token, session -> controller -> sampler -> events.
 *
 * The loop reads the live queue before every token, so that a command acts on the next one, and while the prompt is evaluated, so that it can be
 * stopped. Time is running time: pauses are taken out. Whatever happens, the reply gets an end in the record and a CHAT_ENDED.
 */
#include "chat/turn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PROGRESS_MS 100

/* ---- time ----------------------------------------------------------------------------------------------------- */

static int64_t running_ms(const struct turn *t)
{
    if (!t->start_us) return 0;
    int64_t now = t->paused ? t->pause_began_us : clock_mono_us();
    return (now - t->start_us - t->paused_us) / 1000;
}

static void set_paused(struct turn *t, bool paused)
{
    if (paused == t->paused) return;
    int64_t now = clock_mono_us();
    if (paused)
        t->pause_began_us = now;
    else
        t->paused_us += now - t->pause_began_us;
    t->paused = paused;
    recorder_event(&t->rec, (size_t)t->generated, paused ? "pause" : "resume", NULL);
}

/* Tokens of its timeline. */
static size_t used(const struct turn *t)
{
    size_t n;
    if (t->batch) return batch_used(t->batch, t->slot);
    session_tokens(t->w->session, &n);
    return n;
}

void turn_emit(struct turn *t, enum chat_event_kind kind, const char *text, size_t len, const struct chat_stats *stats)
{
    /* The cast is undone by the copy in worker_push, which never writes through text. */
    struct chat_event ev = {.kind = kind, .message = t->rec.reply, .text = (char *)(uintptr_t)text, .len = len, .sample = t->sample, .n_samples = t->n_samples};
    if (stats) ev.stats = *stats;
    worker_push(t->w, &ev);
}

static void refresh_stats(struct turn *t)
{
    struct think_stats s;
    think_stats(t->think, &s);
    int64_t ms = running_ms(t);
    size_t drafted = 0, accepted = 0;
    if (t->speculator) speculator_counts(t->speculator, &drafted, &accepted);
    t->st = (struct chat_stats){
        .state = s.state,
        .budget = s.budget,
        .thought_tokens = s.thought_tokens,
        .answer_tokens = s.answer_tokens,
        .escaped = s.escaped,
        .thought_ms = !t->opened ? 0 : t->job->given_ms + (t->answer_start_ms >= 0 ? t->answer_start_ms : ms),
        .answer_ms = !t->opened ? ms : t->answer_start_ms >= 0 ? ms - t->answer_start_ms : 0,
        .tokens_per_s = ms > 0 ? 1000.0 * (t->generated - t->given) / (double)ms : 0,
        .context_used = (int)used(t),
        .context = session_ctx(t->w->session),
        .drafted = (int)drafted,
        .accepted = (int)accepted,
        .prompt_tokens = (int)t->n_prompt,
        .prompt_evaluated = t->evaluated,
        .thought_ending = s.thought_ending,
        .answer_ending = s.answer_ending,
    };
    t->extensions = s.extensions;
}

void turn_progress(struct turn *t, bool now)
{
    int64_t ms = clock_mono_ms();
    if (!now && ms - t->last_progress_ms < PROGRESS_MS) return;
    t->last_progress_ms = ms;
    refresh_stats(t);
    turn_emit(t, CHAT_PROGRESS, NULL, 0, &t->st);
}

/* ---- live commands -------------------------------------------------------------------------------------------- */

static const char *verb_name(enum think_verb v)
{
    static const char *const names[] = {[THINK_ANSWER_NOW] = "answer_now", [THINK_MORE] = "more", [THINK_SAY] = "say", [THINK_STOP] = "stop"};
    return v < ARRAY_LEN(names) ? names[v] : NULL;
}

int turn_obey(struct turn *t, const struct live *l, struct err *e)
{
    if (l->kind != LIVE_THINK) {
        set_paused(t, l->kind == LIVE_PAUSE);
        turn_progress(t, true);
        return 0;
    }
    int rc = think_do(t->think, &l->cmd, e);
    if (rc) return rc;
    if (verb_name(l->cmd.verb)) recorder_event(&t->rec, (size_t)t->generated, verb_name(l->cmd.verb), NULL);
    if (l->cmd.verb != THINK_SET_BUDGET) set_paused(t, false);     /* nobody asks for more tokens and wants none */
    return 0;
}

static void obey_or_tell(struct turn *t, const struct live *l)
{
    struct err e = {0};
    if (turn_obey(t, l, &e)) turn_emit(t, CHAT_NOTICE, e.text, strlen(e.text), NULL);
}

/* Obeys what waits; returns whether the reply goes on. While paused it sleeps until something comes. */
static bool live(struct turn *t)
{
    for (;;) {
        if (atomic_load(&t->w->quit)) {
            think_abort(t->think, THOUGHT_STOPPED, ANSWER_STOPPED);
            return false;
        }
        struct live *l = t->paused ? queue_wait(t->w->live, 200) : queue_pop(t->w->live);
        if (l) {
            if (l->reply == t->job->reply) obey_or_tell(t, l);
            live_free(l);
        } else if (!t->paused) {
            return true;
        } else {
            recorder_flush(&t->rec, false);
        }
    }
}

/* ---- from the controller to the reader ------------------------------------------------------------------------- */

static void drain(struct turn *t)
{
    struct think_event ev;
    while (think_pop(t->think, &ev)) {
        char text[32];
        switch (ev.kind) {
        case THINK_TEXT_THOUGHT:
        case THINK_TEXT_ANSWER:
            recorder_text(&t->rec, ev.kind == THINK_TEXT_THOUGHT, ev.text, ev.text_len);
            turn_emit(t, ev.kind == THINK_TEXT_THOUGHT ? CHAT_THOUGHT : CHAT_ANSWER, ev.text, ev.text_len, NULL);
            break;
        case THINK_OPENED:
            t->answer_start_ms = -1;
            t->opened = true;
            turn_emit(t, CHAT_THINKING, NULL, 0, NULL);
            break;
        case THINK_CLOSED:
            t->answer_start_ms = running_ms(t);
            recorder_event(&t->rec, ev.position, "closed", thought_ending_name(ev.thought_ending));
            refresh_stats(t);
            t->st.thought_ending = ev.thought_ending;
            turn_emit(t, CHAT_CLOSED, NULL, 0, &t->st);
            break;
        case THINK_BUDGET:
            budget_format(ev.budget, text);
            recorder_event(&t->rec, ev.position, "budget", text);
            refresh_stats(t);
            turn_emit(t, CHAT_BUDGET, NULL, 0, &t->st);
            break;
        case THINK_INJECTED:
            recorder_span(&t->rec, ev.position, ev.offset, ev.text_len, ev.span_kind, ev.author);
            worker_push(t->w, &(struct chat_event){.kind = CHAT_INJECTED, .message = t->rec.reply, .text = (char *)(uintptr_t)ev.span_kind,
                                                   .len = strlen(ev.span_kind), .author = ev.author, .done = ev.offset, .total = ev.text_len,
                                                   .sample = t->sample, .n_samples = t->n_samples});
            break;
        case THINK_LOOP:
            recorder_event(&t->rec, ev.position, "loop", NULL);
            turn_emit(t, CHAT_LOOP, NULL, 0, NULL);
            break;
        case THINK_ESCAPED:
            turn_emit(t, CHAT_ESCAPED, NULL, 0, NULL);
            break;
        case THINK_ENDED:
            break;      /* the loop sees it in the controller's state */
        }
    }
}

/* ---- the prompt ------------------------------------------------------------------------------------------------ */

static int build_prompt(struct turn *t, struct err *e)
{
    size_t ctx = (size_t)session_ctx(t->w->session), left_out = 0;
    int rc = prompt_build(&t->prompt, &t->thought_open, &left_out, t->w, &t->job->set, &t->job->branch, t->job->script.date, ctx, e);
    if (rc || !left_out) return rc;
    struct str line = STR_EMPTY;
    str_addf(&line, "the oldest %zu messages do not fit the context of %zu tokens and are left out", left_out, ctx);
    turn_emit(t, CHAT_NOTICE, line.data, line.len, NULL);
    str_release(&line);
    return 0;
}

static bool prefill_step(void *arg, size_t done, size_t total)
{
    struct turn *t = arg;
    worker_push(t->w, &(struct chat_event){.kind = CHAT_PREFILL, .message = t->rec.reply, .done = done, .total = total});
    recorder_flush(&t->rec, false);
    return live(t) && !t->paused && think_running(t->think);
}

/* ---- the reply ------------------------------------------------------------------------------------------------- */

uint64_t turn_draw_seed(int64_t wanted)
{
    uint32_t r;
    if (wanted >= 0) return (uint64_t)wanted;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) r = (uint32_t)clock_mono_us();
    return r;
}

static struct sampler_params sampling(const struct settings *s, const struct family *f, uint64_t seed)
{
    return (struct sampler_params){
        .temp = s->temp >= 0 ? s->temp : f->temp,
        .top_k = s->top_k >= 0 ? s->top_k : f->top_k,
        .top_p = s->top_p >= 0 ? s->top_p : f->top_p,
        .min_p = s->min_p >= 0 ? s->min_p : f->min_p,
        .repeat_penalty = s->repeat_penalty > 0 ? s->repeat_penalty : 1.0,
        .seed = seed,
    };
}

/* A reply that cannot be speculated on for want of memory is written without. */
static void begin_speculation(struct turn *t)
{
    if (strcmp(t->job->set.speculate, "on") || (!t->w->speculator && speculator_new(&t->w->speculator, NULL))) return;
    if (!speculator_begin(t->w->speculator, t->prompt.ids, t->prompt.n, NULL)) t->speculator = t->w->speculator;
}

/* What the model is talked to as is known once its adapters are on. */
static void take_family(struct turn *t)
{
    const struct settings *set = &t->job->set;
    struct reply_start *start = &t->rec.start;
    const char *lora = worker_lora(t->w, set);
    t->family = worker_family(t->w);
    t->sampling = sampling(set, t->family, t->sampling.seed);
    start->family = t->family->name;
    start->temp = t->sampling.temp;
    start->top_p = t->sampling.top_p;
    start->min_p = t->sampling.min_p;
    start->top_k = t->sampling.top_k;
    start->repeat_penalty = t->sampling.repeat_penalty;
    start->adapter = lora[0] ? lora : NULL;
}

void turn_init(struct turn *t, struct worker *w, struct job *job, int sample, uint64_t seed)
{
    const struct settings *set = &job->set;
    *t = (struct turn){.w = w, .job = job, .answer_start_ms = -1, .budget = set->budget, .sample = sample, .n_samples = job->samples.n};
    if (job->samples.n && job->samples.kind == SAMPLES_COMPARE) t->budget = job->samples.budgets[sample];
    budget_format(t->budget, t->budget_text);
    struct reply_start start = {.engine_version = PONDER_VERSION, .kernels = w->numerics, .system = set->system, .budget = t->budget_text,
                                .think = set->think, .cot = set->cot, .keep_thoughts = set->keep_thoughts, .loop_guard = set->loop_guard,
                                .thought_of = job->given_closed ? job->given_from : 0, .given_from = job->given_from, .given_len = job->given.len, .think_min = set->think_min, .answer_max = set->answer_max,
                                .model = "", .model_file = "", .quant = "", .family = ""};
    if (w->engine) {
        t->info = engine_info(w->engine);
        t->tok = engine_tokenizer(w->engine);
        t->sampling.seed = seed;
        str_addf(&t->model_name, "%s %s", t->info->name, t->info->quant);
        start.model = str_cstr(&t->model_name);
        start.model_file = w->model_path;
        start.quant = t->info->quant;
        start.seed = (int64_t)seed;
        start.threads = set->threads > 0 ? set->threads : engine_default_threads();
    }
    recorder_init(&t->rec, w, job, &start);
    if (w->engine) take_family(t);
    t->rec.sample = t->sample;
    t->rec.n_samples = t->n_samples;
    t->rec.old_reply = t->rec.reply = job->reply - t->sample;
}

void turn_release(struct turn *t)
{
    recorder_release(&t->rec);
    think_free(t->think);
    sampler_free(t->sampler);
    tokens_release(&t->prompt);
    str_release(&t->model_name);
}

int turn_prompt(struct turn *t, struct err *e)
{
    if (!t->w->engine) return err_set(e, ERR_FILE, "no model is loaded");
    int rc = worker_session(t->w, &t->job->set, e);
    if (!rc) rc = build_prompt(t, e);
    t->n_prompt = t->prompt.n;
    return rc;
}

int turn_controls(struct turn *t, struct err *e)
{
    const struct settings *set = &t->job->set;
    take_family(t);
    int left = session_ctx(t->w->session) - (int)t->n_prompt;
    struct think_config c = {
        .family = t->family,
        .tokenizer = t->tok,
        .think = !strcmp(set->think, "on") && t->budget.kind != BUDGET_OFF && (t->family->start != THOUGHT_PROMPTED || t->thought_open),
        .thought_open = t->thought_open,
        .budget = t->budget,
        .think_min = set->think_min,
        .answer_max = set->answer_max,
        .answer_reserve = left / 2 < ANSWER_RESERVE ? left / 2 : ANSWER_RESERVE,
        .context_left = left,
        .loop_guard = set->loop_guard,
        .given = t->job->given.data,
        .given_len = t->job->given.len,
        .given_closed = t->job->given_closed,
        .given_ending = t->job->given_ending,
    };
    /* examples are part of the prompt and of nothing that was said */
    if (c.think && t->family->start == THOUGHT_PROMPTED && !strcmp(set->cot, "few")) recorder_event(&t->rec, 0, "examples", EXAMPLES_NAME);
    t->rec.start.prompt_tokens = (int)t->n_prompt;
    t->rec.start.context = session_ctx(t->w->session);
    int rc = think_new(&t->think, &c, e);
    if (!rc) rc = sampler_new(&t->sampler, t->info->n_vocab, &t->sampling, e);
    if (!rc && !t->n_samples) begin_speculation(t);
    return rc;
}

/* A thought that was written before is shown at once and evaluated with the prompt. */
static int begin_with_given(struct turn *t, struct err *e)
{
    char from[48];
    int32_t id = -1;
    bool keep = true;
    if (!t->job->given.len) return 0;
    snprintf(from, sizeof from, "m%lld %zu", (long long)t->job->given_from, t->job->given.len);
    if (t->job->given_from) recorder_event(&t->rec, 0, "given", from);
    while (think_next(t->think, NULL, 0, &id) == THINK_DO_FORCE) {
        int rc = think_accept(t->think, id, true, &keep, e);
        if (!rc) rc = tokens_push(&t->prompt, id) ? err_set(e, ERR_NOMEM, "out of memory for the prompt") : 0;
        if (rc) return rc;
        t->generated++;
        t->given++;
    }
    drain(t);
    refresh_stats(t);
    return t->prompt.n + ANSWER_RESERVE / 4 < (size_t)session_ctx(t->w->session) ? 0 : err_set(e, ERR_TOO_LONG, "the thought does not fit the context (see --ctx)");
}

void turn_show_prompt(struct turn *t, const struct tokens *prompt)
{
    for (size_t i = prompt->n > 64 ? prompt->n - 64 : 0; i < prompt->n; i++) sampler_accept(t->sampler, prompt->ids[i]);
}

/* Evaluates the prompt. A pause during it only takes hold afterwards, a stop at once. */
static int prefill(struct turn *t, struct err *e)
{
    int64_t start = clock_mono_ms();
    struct session *s = t->w->session;
    size_t reused = 0, now;
    kv_read(t->w, &t->job->set, t->rec.conversation, t->prompt.ids, t->prompt.n);
    prefill_step(t, 0, t->prompt.n - session_shared(s, t->prompt.ids, t->prompt.n));
    int rc = session_sync(s, t->prompt.ids, t->prompt.n, prefill_step, t, &reused, e);
    t->prefill_ms = clock_mono_ms() - start;
    session_tokens(s, &now);
    t->evaluated = (int)(rc ? now : t->prompt.n) - (int)reused;
    if (rc == ERR_STOPPED) return 0;
    if (!rc) turn_show_prompt(t, &t->prompt);
    return rc;
}

bool turn_over(const struct turn *t)
{
    return !think_running(t->think);
}

/* Running time as the controller sees it. */
static int64_t thinking_ms(const struct turn *t)
{
    return t->job->script.timeless ? 0 : running_ms(t);
}

void turn_begin_clock(struct turn *t)
{
    /* a pause before the first token is no part of the time that follows */
    t->paused_us = 0;
    t->start_us = clock_mono_us();
    drain(t);
}

bool turn_token(struct turn *t, float *logits, int32_t *id, int *rc, struct err *e)
{
    bool keep = false;
    *rc = 0;
    while (!keep) {
        enum think_action act = think_next(t->think, logits, thinking_ms(t), id);
        if (act == THINK_DO_END) return false;
        if (act == THINK_DO_SAMPLE) *id = sampler_pick(t->sampler, logits);
        *rc = think_accept(t->think, *id, act == THINK_DO_FORCE, &keep, e);
        drain(t);
        if (*rc || turn_over(t)) break;
    }
    if (keep) t->generated++;
    recorder_flush(&t->rec, false);
    if (*rc || turn_over(t)) return false;
    sampler_accept(t->sampler, *id);
    if (used(t) < (size_t)session_ctx(t->w->session)) return true;
    think_abort(t->think, THOUGHT_CONTEXT_FULL, ANSWER_CONTEXT_FULL);
    return false;
}

static int put_token(struct turn *t, int32_t id, struct err *e)
{
    int32_t forced[SESSION_DECODE_MAX];
    if (!t->speculator) return session_decode(t->w->session, &id, 1, e);
    return speculator_decode(t->speculator, t->w->session, id, forced, think_forced(t->think, forced, ARRAY_LEN(forced)), e);
}

/* Obeys what the script says for this place. */
static void take_cues(struct turn *t)
{
    const struct think_command *cmd;
    while ((cmd = script_cue(&t->job->script, (size_t)t->generated))) obey_or_tell(t, &(struct live){.kind = LIVE_THINK, .cmd = *cmd});
}

static int decode(struct turn *t, struct err *e)
{
    struct session *s = t->w->session;
    int rc = 0;
    turn_begin_clock(t);
    while (live(t) && !turn_over(t)) {
        int32_t id = -1;
        take_cues(t);
        if (turn_over(t)) break;
        if (!turn_token(t, session_logits(s), &id, &rc, e)) return rc;
        rc = put_token(t, id, e);
        if (rc) return rc;
        turn_progress(t, false);
    }
    return 0;
}

void turn_end(struct turn *t, int rc, const struct err *e, enum chat_event_kind kind, const char *text)
{
    if (t->think) {
        if (rc) think_abort(t->think, THOUGHT_ERROR, ANSWER_ERROR);
        drain(t);
        refresh_stats(t);
    } else {
        t->st.thought_ending = THOUGHT_ERROR;
        t->st.budget = t->budget;
    }
    char budget[32];
    struct reply_end end = reply_end_of(&t->st, budget);
    end.extensions = t->extensions;
    end.prefill_ms = t->prefill_ms;
    bool saved = recorder_end(&t->rec, &end);
    if (!text && rc) text = e->text;
    worker_push(t->w, &(struct chat_event){.kind = kind, .message = t->rec.reply, .text = (char *)(uintptr_t)text, .len = text ? strlen(text) : 0,
                                           .stats = t->st, .unsaved = !saved, .done = t->rec.saved_thought, .total = t->rec.saved_answer,
                                           .sample = t->sample, .n_samples = t->n_samples});
}

void turn_run(struct worker *w, struct job *job)
{
    struct turn t;
    struct err e = {0};
    turn_init(&t, w, job, 0, turn_draw_seed(job->set.seed));
    int rc = turn_prompt(&t, &e);
    if (!rc) rc = turn_controls(&t, &e);
    recorder_flush(&t.rec, true);
    if (!rc) rc = begin_with_given(&t, &e);
    if (!rc) rc = prefill(&t, &e);
    if (!rc && !turn_over(&t)) rc = decode(&t, &e);
    turn_end(&t, rc, &e, CHAT_ENDED, NULL);
    ahead_after_reply(w, job, &t.rec);
    turn_release(&t);
}
