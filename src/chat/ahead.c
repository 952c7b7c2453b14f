/*
 * ahead.c - between replies: what the next prompt will begin with is evaluated while the user reads and types.
 *
 * A reply's own K/V cannot stay: its thought is not part of the history, and generated tokens belong to another numeric class than a
 * prompt's. So after a reply its answer is evaluated again, as a prompt. This happens once; then the worker and its pool sleep.
 *
 * Work stops within part of a layer when a job comes. Pieces are small, because a piece that is cut off is lost.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 128
/* A conversation that was just opened may be left again, settings come in rows: nothing is evaluated for less than this. */
#define OPENED_MS 500
/* What is written when the program ends may take so long. */
#define LEAVE_MS 300

static void clear(struct ahead *a)
{
    settings_release(&a->set);
    branch_release(&a->branch);
    *a = (struct ahead){0};
}

static bool no_job_waits(void *arg)
{
    struct worker *w = arg;
    return !atomic_load(&w->quit) && !queue_count(w->jobs);
}

static bool step(void *arg, size_t done, size_t total)
{
    (void)done;
    (void)total;
    return no_job_waits(arg);
}

void ahead_take(struct worker *w, struct job *job)
{
    clear(&w->ahead);
    w->ahead = (struct ahead){.due = true, .set = job->set, .branch = job->branch, .conversation = job->conversation};
    job->set = (struct settings){0};
    job->branch = (struct branch){0};
    w->ahead.at_ms = clock_mono_ms() + OPENED_MS;
}

void ahead_after_reply(struct worker *w, struct job *job, const struct recorder *r)
{
    struct branch *b = &job->branch;
    job->conversation = r->conversation;
    b->items[b->n - 1].id = r->prompt;
    bool ok = !branch_add(b, r->reply, ROLE_ASSISTANT, str_cstr(&r->answer), r->answer.len, str_cstr(&r->thought), r->thought.len);
    ahead_take(w, job);
    w->ahead.at_ms = 0;
    w->ahead.due = ok;
    w->ahead.read = true;        /* before the reply */
}

void ahead_again(struct worker *w)
{
    w->ahead.due = w->ahead.set.model != NULL;
    w->ahead.read = false;
}

int ahead_wait_ms(const struct worker *w)
{
    if (!w->ahead.due || !w->engine) return -1;
    int64_t left = w->ahead.at_ms - clock_mono_ms();
    return w->ahead.read && left > 0 ? (int)left : 0;
}

static int evaluate(struct worker *w, const struct tokens *t, struct err *e)
{
    int rc = 0;
    for (size_t n = session_shared(w->session, t->ids, t->n); !rc && n < t->n;) {
        n = n + PIECE < t->n ? n + PIECE : t->n;
        rc = session_prepare(w->session, t->ids, n, step, w, e);
    }
    return rc;
}

void ahead_run(struct worker *w)
{
    struct ahead *a = &w->ahead;
    struct tokens t = {0};
    struct err e = {0};

    int rc = worker_session(w, &a->set, &e);
    if (!rc) rc = prompt_ahead(&t, w, &a->set, &a->branch, (size_t)session_ctx(w->session), &e);
    if (!rc && !a->read) {
        kv_read(w, &a->set, a->conversation, t.ids, t.n);
        a->read = true;
    }
    if (!rc && clock_mono_ms() < a->at_ms) {
        tokens_release(&t);
        return;
    }
    if (!rc) rc = evaluate(w, &t, &e);
    if (!rc && !kv_write(w, &a->set, a->conversation, t.ids, t.n, no_job_waits, w)) rc = ERR_STOPPED;
    if (rc != ERR_STOPPED) {
        /* what failed here fails again, and is told, when a reply needs it */
        a->due = false;
        worker_push(w, &(struct chat_event){.kind = CHAT_READY,
                                            .done = rc ? 0 : session_shared(w->session, t.ids, t.n),
                                            .total = t.n,
                                            .stats = {.context_used = rc ? 0 : (int)t.n, .context = rc ? 0 : session_ctx(w->session)}});
    }
    tokens_release(&t);
}

static bool in_time(void *until)
{
    return clock_mono_ms() < *(int64_t *)until;
}

void ahead_leave(struct worker *w)
{
    struct ahead *a = &w->ahead;
    struct tokens t = {0};
    int64_t until = clock_mono_ms() + LEAVE_MS;

    if (a->due && w->session && kv_allowed(w, &a->set, a->conversation) &&
        !prompt_ahead(&t, w, &a->set, &a->branch, (size_t)session_ctx(w->session), NULL))
        kv_write(w, &a->set, a->conversation, t.ids, t.n, in_time, &until);
    tokens_release(&t);
    clear(a);
}
