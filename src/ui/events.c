/*
 * events.c - what the chat tells, into the state.
 *
 * Events name messages of the record; one reply runs at a time, so whatever belongs to a reply belongs to the running one.
 */
#include "ui/app.h"
#include "ui/duel.h"

#include <stdlib.h>
#include <string.h>

static void set_text(struct str *s, const char *text, size_t n)
{
    str_clear(s);
    text_sanitize(s, text, n, TEXT_ONE_LINE);
}

static struct item *new_reply(struct app *a, int64_t id)
{
    struct item *it = transcript_add(&a->t, MESSAGE_REPLY);
    if (!it) return NULL;
    it->id = id;
    it->phase = PHASE_WAITING;
    it->began_at = a->now;
    it->stats.budget = a->has_next_budget ? a->next_budget : a->set.budget;
    if (!a->t.follow) it->pinned = transcript_view(&a->t, it);
    a->reply = a->t.n - 1;
    a->has_wanted_budget = false;
    if (a->samples.n) sample_begin(a, it, &a->samples);
    a->samples.n = 0;
    return it;
}

/* The item that reply events are about; made where the reply began without being asked for here. */
static struct item *reply_of(struct app *a, const struct chat_event *ev)
{
    struct item *it = app_reply(a);
    if (!it) it = new_reply(a, ev->message);
    if (it && ev->message && (!ev->n_samples || ev->kind == CHAT_ENDED)) it->id = ev->message;
    if (it) item_touched(it);
    return it;
}

static void on_prompt(struct app *a, const struct chat_event *ev)
{
    struct item *it = transcript_add(&a->t, MESSAGE_USER);
    if (it) {
        it->id = ev->message;
        flow_feed(&it->text, ev->text, ev->len);
        flow_end(&it->text);
    }
    new_reply(a, 0);
}

static void on_model(struct app *a, const struct chat_event *ev)
{
    const struct model_info *m = a->port->model(a->chat);
    if (m) {
        app_model_ready(a);
        struct str s = STR_EMPTY;
        str_addf(&s, "%s %s", m->name, m->quant);
        set_text(&a->model_name, str_cstr(&s), s.len);
        str_release(&s);
    }
    if (ev->len && !duel_hides(a)) app_notice(a, "%s", ev->text);
}

static void on_model_failed(struct app *a, const struct chat_event *ev)
{
    app_model_failed(a);
    app_error(a, "%s", ev->text);
}

static void take_stats(struct app *a, struct item *it, const struct chat_event *ev)
{
    it->stats = ev->stats;
    it->stats_at = a->now;
    it->paused = a->port->paused(a->chat);
    a->last = ev->stats;
}

static void on_saved(struct app *a, const struct chat_event *ev)
{
    struct item *running = app_reply(a);
    if (ev->n_samples && running && running->board && transcript_find(&a->t, ev->old) == SIZE_MAX) {
        sample_event(a, running, ev);
        return;
    }
    size_t i = transcript_find(&a->t, ev->old);
    if (i == SIZE_MAX && a->reply < a->t.n && !a->t.items[a->reply].id) i = a->reply;
    if (i == SIZE_MAX) return;
    a->t.items[i].id = ev->message;
    if (a->t.items[i].choice != VIEW_AUTO) store_set_fold(a->store, ev->message, view_name(a->t.items[i].choice), NULL);
}

static void on_ended(struct app *a, const struct chat_event *ev)
{
    struct item *it = reply_of(a, ev);
    a->reply = SIZE_MAX;
    a->has_wanted_budget = false;
    if (!it) return;
    take_stats(a, it, ev);
    it->phase = PHASE_DONE;
    it->paused = false;
    if (it->board && ev->n_samples) sample_ended(a, it, ev);
    flow_end(&it->text);
    flow_end(&it->thought);
    if (!ev->len) return;
    struct str s = STR_EMPTY;
    text_sanitize(&s, ev->text, ev->len, TEXT_ONE_LINE);
    free(it->failure);
    it->failure = str_detach(&s);
    app_error(a, "%s", ev->text);
}

static void on_reply_event(struct app *a, const struct chat_event *ev)
{
    struct item *it = reply_of(a, ev);
    if (!it) return;
    if (ev->n_samples) {
        sample_event(a, it, ev);
        return;
    }
    switch (ev->kind) {
    case CHAT_PREFILL:
        if (it->phase == PHASE_WAITING) it->phase = PHASE_PREFILL;
        it->prefill_done = ev->done;
        it->prefill_total = ev->total;
        break;
    case CHAT_THINKING:
        it->thought_opened = true;
        it->phase = PHASE_THINKING;
        it->stats.state = THINK_COUNTING;
        if (!it->stats_at) it->stats_at = a->now;
        break;
    case CHAT_THOUGHT:
        it->phase = PHASE_THINKING;
        it->thought_opened = true;
        item_feed_thought(it, ev->text, ev->len);
        break;
    case CHAT_CLOSED:
        take_stats(a, it, ev);
        it->phase = PHASE_ANSWERING;
        break;
    case CHAT_ANSWER:
        it->phase = PHASE_ANSWERING;
        flow_feed(&it->text, ev->text, ev->len);
        break;
    case CHAT_BUDGET: {
        take_stats(a, it, ev);
        const struct budget *b = &ev->stats.budget, *w = &a->wanted_budget;
        if (b->kind == w->kind && !(b->amount < w->amount) && !(b->amount > w->amount)) a->has_wanted_budget = false;
        break;
    }
    case CHAT_INJECTED: item_mark_injected(it, ev->done, ev->total, ev->author && !strcmp(ev->author, "user")); break;
    case CHAT_LOOP:
        it->looping = it->phase != PHASE_ANSWERING;
        app_notice(a, it->looping ? "the thought repeats itself: F5 answers now" : "the answer repeats itself: Esc stops it");
        break;
    case CHAT_ESCAPED: it->stats.escaped++; break;
    case CHAT_PROGRESS: take_stats(a, it, ev); break;
    default: break;
    }
}

void app_chat_event(struct app *a, const struct chat_event *ev)
{
    a->dirty = true;
    switch (ev->kind) {
    case CHAT_MODEL: on_model(a, ev); break;
    case CHAT_MODEL_FAILED: on_model_failed(a, ev); break;
    case CHAT_PROMPT: on_prompt(a, ev); break;
    case CHAT_ENDED: on_ended(a, ev); break;
    case CHAT_NOTICE: app_notice(a, "%s", ev->text); break;
    case CHAT_SAVED: on_saved(a, ev); break;
    case CHAT_READY:
        /* what the next prompt begins with: no thought that the family, or the settings, leave out of the history */
        if (app_running(a) || !a->t.n || ev->stats.context <= 0) break;
        a->last.context_used = ev->stats.context_used;
        a->last.context = ev->stats.context;
        break;
    case CHAT_STORE_TROUBLE: {
        bool was = a->trouble.len > 0;
        str_clear(&a->trouble);
        if (ev->len) {
            struct str s = STR_EMPTY;
            str_addf(&s, "not saved, kept in memory: %s", ev->text);
            set_text(&a->trouble, str_cstr(&s), s.len);
            str_release(&s);
        } else if (was) {
            app_notice(a, "everything is saved again");
        }
        break;
    }
    default: on_reply_event(a, ev); break;
    }
    if (a->duel) duel_event(a, ev);
}
