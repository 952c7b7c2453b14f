/*
 * samples.c - several replies to one prompt at once: the prompt is evaluated for all, then every pass through the model serves a token of
 * each of up to BATCH_MAX of them; where one ends the next begins in its place.
 *
 * Each sample is a turn of its own (turn.h) with its own controller, sampler, clock and recorder; only what it is decoded on is shared.
 * Live commands go to all that are not over. At the end the answers are counted, the record is told what belongs together, and one becomes
 * the active reply.
 */
#include "chat/turn.h"

#include <stdlib.h>
#include <string.h>

#define NOBODY -1

struct samples {
    struct worker *w;
    struct job *job;
    struct turn *t;
    int n, next; /* next: the first that has not begun */
    int in_slot[BATCH_MAX]; /* the sample that is decoded there, or NOBODY */
    int n_slots;
    struct batch *batch;
    struct str *answers; /* as they are counted */
    bool *told;          /* its end */
    bool paused;
};

uint64_t chat_sample_seed(uint64_t seed, int i)
{
    if (!i) return seed;
    uint64_t x = seed + (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) >> 33; /* 31 bits: short enough to be typed again */
}

/* ---- live commands ---------------------------------------------------------------------------------------------- */

static void pause_begun(struct samples *v, bool paused)
{
    v->paused = paused;
    for (int i = 0; i < v->n; i++)
        if (v->t[i].start_us && !turn_over(&v->t[i])) turn_obey(&v->t[i], &(struct live){.kind = paused ? LIVE_PAUSE : LIVE_RESUME}, NULL);
}

static void obey(struct samples *v, const struct live *l)
{
    struct err e = {0}, first = {0};
    int obeyed = 0;
    if (l->kind != LIVE_THINK) {
        pause_begun(v, l->kind == LIVE_PAUSE);
        return;
    }
    for (int i = 0; i < v->n; i++) {
        if (turn_over(&v->t[i])) continue;
        if (!turn_obey(&v->t[i], l, &e))
            obeyed++;
        else if (!first.code)
            first = e;
    }
    /* what some can do and others cannot is no mistake */
    if (!obeyed && first.code)
        turn_emit(&v->t[0], CHAT_NOTICE, first.text, strlen(first.text), NULL);
    else if (v->paused && l->cmd.verb != THINK_SET_BUDGET)
        pause_begun(v, false);
}

/* Obeys what waits; false when the program ends. While paused it sleeps until something comes. */
static bool live(struct samples *v)
{
    for (;;) {
        if (atomic_load(&v->w->quit)) {
            for (int i = 0; i < v->n; i++) think_abort(v->t[i].think, THOUGHT_STOPPED, ANSWER_STOPPED);
            return false;
        }
        struct live *l = v->paused ? queue_wait(v->w->live, 200) : queue_pop(v->w->live);
        if (l) {
            if (l->reply == v->job->reply) obey(v, l);
            live_free(l);
        } else if (!v->paused) {
            return true;
        } else {
            for (int i = 0; i < v->next; i++)
                if (!turn_over(&v->t[i])) recorder_flush(&v->t[i].rec, false);
        }
    }
}

/* ---- decoding --------------------------------------------------------------------------------------------------- */

static void end_sample(struct samples *v, int i, int rc, const struct err *e)
{
    struct turn *t = &v->t[i];
    if (v->told[i]) return;
    answer_extract(&v->answers[i], (enum answer_form)v->job->samples.form, str_cstr(&t->rec.answer), t->rec.answer.len);
    turn_end(t, rc, e, CHAT_SAMPLE_ENDED, str_cstr(&v->answers[i]));
    v->told[i] = true;
}

static void begin_sample(struct samples *v, int slot)
{
    int i = v->next++;
    struct turn *t = &v->t[i];
    v->in_slot[slot] = i;
    batch_restart(v->batch, slot);
    t->batch = v->batch;
    t->slot = slot;
    recorder_flush(&t->rec, true);
    turn_begin_clock(t);
}

/* Fills the slots of those that are over, and takes the next token of everyone else. Returns how many there are. */
static int next_tokens(struct samples *v, int slots[BATCH_MAX], int32_t ids[BATCH_MAX], int *rc, struct err *e)
{
    int m = 0;
    for (int slot = 0; slot < v->n_slots && !*rc; slot++) {
        for (;;) {
            if (v->in_slot[slot] == NOBODY && v->next == v->n) break;
            if (v->in_slot[slot] == NOBODY) begin_sample(v, slot);
            int i = v->in_slot[slot];
            if (!turn_over(&v->t[i]) && turn_token(&v->t[i], batch_logits(v->batch, slot), &ids[m], rc, e)) {
                slots[m++] = slot;
                break;
            }
            end_sample(v, i, *rc, e);
            v->in_slot[slot] = NOBODY;
            if (*rc) break;
        }
    }
    return m;
}

static int decode(struct samples *v, struct err *e)
{
    int slots[BATCH_MAX], rc = 0;
    int32_t ids[BATCH_MAX];
    v->n_slots = v->n < BATCH_MAX ? v->n : BATCH_MAX;
    for (int i = 0; i < v->n_slots; i++) v->in_slot[i] = NOBODY;
    rc = batch_new(&v->batch, v->w->session, v->n_slots, e);
    while (!rc && live(v)) {
        int m = next_tokens(v, slots, ids, &rc, e);
        if (rc || !m) break;
        rc = batch_decode(v->batch, slots, ids, m, e);
        for (int j = 0; j < m && !rc; j++) turn_progress(&v->t[v->in_slot[slots[j]]], false);
    }
    return rc;
}

/* ---- the prompt -------------------------------------------------------------------------------------------------- */

static bool prefill_step(void *arg, size_t done, size_t total)
{
    struct samples *v = arg;
    struct turn *t = &v->t[0];
    worker_push(v->w, &(struct chat_event){.kind = CHAT_PREFILL, .message = t->rec.reply, .done = done, .total = total, .n_samples = v->n});
    recorder_flush(&t->rec, false);
    return live(v) && !v->paused && !turn_over(t);
}

static int prefill(struct samples *v, struct err *e)
{
    struct turn *first = &v->t[0];
    int64_t start = clock_mono_ms();
    kv_read(v->w, &v->job->set, first->rec.conversation, first->prompt.ids, first->prompt.n);
    prefill_step(v, 0, first->prompt.n);
    int rc = session_sync(v->w->session, first->prompt.ids, first->prompt.n, prefill_step, v, NULL, e);
    for (int i = 0; i < v->n; i++) {
        v->t[i].prefill_ms = clock_mono_ms() - start;
        if (!rc) turn_show_prompt(&v->t[i], &first->prompt);
    }
    return rc == ERR_STOPPED ? 0 : rc;
}

static int prepare(struct samples *v, struct err *e)
{
    struct turn *first = &v->t[0];
    int rc = turn_prompt(first, e);
    for (int i = 0; i < v->n && !rc; i++) {
        v->t[i].n_prompt = first->n_prompt;
        v->t[i].thought_open = first->thought_open;
        rc = turn_controls(&v->t[i], e);
    }
    if (!rc && v->job->samples.kind == SAMPLES_VOTE && first->sampling.temp <= 0) {
        static const char greedy[] = "the temperature is 0: all samples will be the same";
        turn_emit(first, CHAT_NOTICE, greedy, sizeof greedy - 1, NULL);
    }
    return rc;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* An answer that was cut may not say what it was coming to. */
static bool whole(const struct turn *t)
{
    return t->st.answer_ending == ANSWER_COMPLETE;
}

/* Counts, tells the record, and returns which one becomes the active reply. */
static size_t count(struct samples *v)
{
    struct answer_ballot ballots[CHAT_SAMPLES_MAX];
    struct sample_note notes[CHAT_SAMPLES_MAX];
    size_t n = (size_t)v->n;
    bool saved = true;
    for (size_t i = 0; i < n; i++) ballots[i] = (struct answer_ballot){.answer = str_cstr(&v->answers[i]), .whole = whole(&v->t[i])};
    size_t winner = v->job->samples.kind == SAMPLES_VOTE ? answers_winner(ballots, n) : n - 1;
    for (size_t i = 0; i < n; i++) {
        notes[i] = (struct sample_note){.reply = v->t[i].rec.reply, .answer = ballots[i].answer, .votes = answers_same(ballots, n, i)};
        saved = saved && notes[i].reply > 0;
    }
    struct err e = {0};
    const char *kind = v->job->samples.kind == SAMPLES_VOTE ? "vote" : "compare";
    if (saved && store_add_samples(v->w->store, kind, notes, n, winner, &e))
        worker_emit_text(v->w, CHAT_STORE_TROUBLE, notes[winner].reply, e.text);
    return winner;
}

static void finish(struct samples *v, int rc, const struct err *e)
{
    for (int i = 0; i < v->n; i++) end_sample(v, i, rc, e);
    size_t winner = count(v);
    const struct turn *t = &v->t[winner];
    worker_push(v->w, &(struct chat_event){.kind = CHAT_ENDED,
                                           .message = t->rec.reply,
                                           .text = rc ? (char *)(uintptr_t)e->text : NULL,
                                           .len = rc ? strlen(e->text) : 0,
                                           .stats = t->st,
                                           .unsaved = t->rec.reply <= 0 || t->rec.in_trouble,
                                           .done = t->rec.saved_thought,
                                           .total = t->rec.saved_answer,
                                           .sample = t->sample,
                                           .n_samples = v->n});
    if (!rc) ahead_after_reply(v->w, v->job, &t->rec);
}

static void no_memory(struct worker *w, struct job *job)
{
    static const char text[] = "out of memory for so many replies";
    worker_push(w, &(struct chat_event){.kind = CHAT_ENDED,
                                        .message = job->reply,
                                        .text = (char *)(uintptr_t)text,
                                        .len = sizeof text - 1,
                                        .stats = {.thought_ending = THOUGHT_ERROR},
                                        .unsaved = true,
                                        .n_samples = job->samples.n});
}

void samples_run(struct worker *w, struct job *job)
{
    struct samples v = {.w = w, .job = job, .n = job->samples.n};
    struct err e = {0};
    size_t n = (size_t)v.n;
    uint64_t seed = turn_draw_seed(job->set.seed);
    if (job->samples.kind == SAMPLES_COMPARE) job->set.budget = job->samples.budgets[0]; /* the prompt is one that thinks */
    v.t = calloc(n, sizeof *v.t);
    v.answers = calloc(n, sizeof *v.answers);
    v.told = calloc(n, sizeof *v.told);
    if (!v.t || !v.answers || !v.told) {
        no_memory(w, job);
    } else {
        for (int i = 0; i < v.n; i++) {
            turn_init(&v.t[i], w, job, i, job->samples.kind == SAMPLES_VOTE ? chat_sample_seed(seed, i) : seed);
            if (i) v.t[i].rec.first = &v.t[0].rec;
        }
        int rc = prepare(&v, &e);
        recorder_flush(&v.t[0].rec, true);
        if (!rc) rc = prefill(&v, &e);
        if (!rc && !turn_over(&v.t[0])) rc = decode(&v, &e);
        finish(&v, rc, &e);
        batch_free(v.batch);
        for (size_t i = 0; i < n; i++) {
            turn_release(&v.t[i]);
            str_release(&v.answers[i]);
        }
    }
    free(v.t);
    free(v.answers);
    free(v.told);
}
