/*
 * think.c - the thinking controller's state machine: between sampler and reader, fed by tokens.
 *
 *     IDLE -> COUNTING <-> SOFT -> WAITING_UTF8 -> FORCING -> ANSWER -> DONE
 *       |        ^----------- opened again ------------------'
 *       '-> ANSWER (a reply without a thought)
 *
 * Invariants
 *   - think_next decides, think_accept learns: a command is obeyed at the next think_next, so on the very next token.
 *   - Positions count tokens that are on the timeline. Everything but a budget in seconds depends on positions alone.
 *   - THINK_ENDED comes once, as the last event. THINK_CLOSED comes once for each THINK_OPENED that did not end the reply.
 *   - After a thought the reply does not end before the answer has a visible byte, unless the model insists.
 *
 * Not here: time (think_next is told the running time), sampling, what to do with the text.
 */
#include "model/think_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENDS_REFUSED_MAX    8  /* a model that wants to end an empty answer so often has its way */
#define EMPTY_ANSWER_TOKENS 16 /* after so many tokens of white space it may end as well */
#define OPENED_MAX          8  /* thoughts in one reply */
#define SAY_MAX             16384

/* ---- names --------------------------------------------------------------------------------------------------- */

const char *thought_ending_name(enum thought_ending t)
{
#define X(n, s) s,
    static const char *const names[] = {THOUGHT_ENDINGS(X)};
#undef X
    return (size_t)t < ARRAY_LEN(names) ? names[t] : names[0];
}

const char *answer_ending_name(enum answer_ending a)
{
#define X(n, s) s,
    static const char *const names[] = {ANSWER_ENDINGS(X)};
#undef X
    return a != ANSWER_NOT_BEGUN && (size_t)a < ARRAY_LEN(names) ? names[a] : NULL;
}

enum thought_ending thought_ending_by_name(const char *name)
{
    for (int i = THOUGHT_NONE; i <= THOUGHT_ERROR; i++)
        if (!strcmp(name, thought_ending_name((enum thought_ending)i))) return (enum thought_ending)i;
    return THOUGHT_NONE;
}

enum answer_ending answer_ending_by_name(const char *name)
{
    for (int i = ANSWER_COMPLETE; i <= ANSWER_ERROR; i++)
        if (!strcmp(name, answer_ending_name((enum answer_ending)i))) return (enum answer_ending)i;
    return ANSWER_NOT_BEGUN;
}

/* ---- events -------------------------------------------------------------------------------------------------- */

struct think_event *think_push(struct think *t, enum think_event_kind kind)
{
    if (!mem_grow(&t->slots, &t->slot_cap, t->slot_n + 1, sizeof *t->slots)) {
        t->nomem = true;
        return NULL;
    }
    struct slot *s = &t->slots[t->slot_n++];
    *s = (struct slot){.ev = {.kind = kind, .position = t->position, .budget = t->budget, .offset = t->thought_bytes},
                       .text_at = t->text.len,
                       .call = t->call};
    s->ev.thought_ending = t->thought_ending;
    s->ev.answer_ending = t->answer_ending;
    return &s->ev;
}

void think_tell_budget(struct think *t, struct budget b, const char *author)
{
    struct think_event *ev = think_push(t, THINK_BUDGET);
    if (!ev) return;
    ev->budget = b;
    ev->author = author;
}

/* Texts of events stay until the next call, so that is when their room is used again. */
static void begin_call(struct think *t)
{
    t->call++;
    if (t->slot_at < t->slot_n) return;
    t->slot_at = t->slot_n = 0;
    str_clear(&t->text);
}

bool think_pop(struct think *t, struct think_event *ev)
{
    if (t->slot_at < t->slot_n) {
        const struct slot *s = &t->slots[t->slot_at++];
        *ev = s->ev;
        ev->text = s->ev.text_len ? t->text.data + s->text_at : "";
        return true;
    }
    if (t->state != THINK_DONE || t->ended_told) return false;
    t->ended_told = true;
    *ev = (struct think_event){.kind = THINK_ENDED,
                               .text = "",
                               .budget = t->budget,
                               .position = t->position,
                               .offset = t->thought_bytes,
                               .thought_ending = t->thought_ending,
                               .answer_ending = t->answer_ending};
    return true;
}

bool think_running(const struct think *t)
{
    return t->state != THINK_DONE;
}

void think_stats(const struct think *t, struct think_stats *out)
{
    *out = (struct think_stats){
        .state = t->state,
        .budget = t->budget,
        .thought_tokens = t->thought_tokens,
        .answer_tokens = t->answer_tokens,
        .extensions = t->extensions,
        .escaped = t->escaped,
        .thought_ending = t->thought_ending,
        .answer_ending = t->answer_ending,
    };
}

/* ---- transitions --------------------------------------------------------------------------------------------- */

void think_open_thought(struct think *t)
{
    if (t->state == THINK_ANSWER) text_end(t, false);
    t->state = THINK_COUNTING;
    text_start_thought(t);
    t->cause = t->thought_ending = THOUGHT_NONE;
    t->block_tokens = t->waited = 0;
    t->by_model = false;
    t->open_ms = t->now_ms;
    t->opened++;
    plan_loop_reset(t);
    plan_budget(t, t->opened > 1 ? PLAN_REOPENED : PLAN_START);
    think_push(t, THINK_OPENED);
}

static void reopen(struct think *t)
{
    if (force_open(t, NULL) || force_wait(t, true, NULL)) t->nomem = true;
}

void think_close_thought(struct think *t, enum thought_ending ending)
{
    text_end(t, true);
    t->earlier_ms += t->now_ms - t->open_ms;
    t->state = THINK_ANSWER;
    bool never = !t->thought_tokens && t->budget.kind == BUDGET_OFF;
    t->thought_ending = never ? THOUGHT_NONE : ending;
    t->cause = THOUGHT_NONE;
    t->by_model = false;
    t->say_waits = t->more_until = 0;
    t->plan_clock = false;
    plan_loop_reset(t);
    text_start_answer(t);
    think_push(t, THINK_CLOSED);
    if (t->more_after_close) reopen(t);
    t->more_after_close = false;
}

void think_begin_close(struct think *t, enum thought_ending cause)
{
    t->cause = cause;
    t->state = THINK_WAITING_UTF8;
    t->waited = 0;
    t->more_until = 0;
}

/* The close under way is called off. What was already put of it gets the wait phrase behind it. */
static void cancel_close(struct think *t)
{
    bool put = t->state == THINK_FORCING;
    t->state = THINK_COUNTING;
    t->cause = THOUGHT_NONE;
    t->by_model = false;
    force_cut(t);
    if (!put) return;
    text_settle(t); /* half a tag of the model's own may be held: it stands in front of what is put */
    if (force_wait(t, false, NULL)) t->nomem = true;
}

static void finish(struct think *t, enum thought_ending thought, enum answer_ending answer)
{
    t->queue_at = t->queue_n = 0;
    t->say_waits = 0;
    if (t->state == THINK_IDLE) text_settle(t);
    if (t->state == THINK_ANSWER) {
        text_end(t, false);
        t->answer_ending = answer;
    } else {
        if (thought_is_open(t)) text_end(t, false);
        force_span_end(t);
        t->thought_ending = thought;
    }
    t->state = THINK_DONE;
}

/* How a thought ends that the model closes itself now: naturally, unless it was led to it or would not have been let. */
static enum thought_ending own_ending(const struct think *t, bool ramped)
{
    if (t->cause != THOUGHT_NONE) return t->cause == THOUGHT_BUDGET_HARD ? THOUGHT_BUDGET_SOFT : t->cause;
    bool led = t->state == THINK_SOFT && (ramped || t->thought_tokens < t->think_min);
    return led ? plan_limits(t).ending_soft : THOUGHT_NATURAL;
}

void think_take_tag(struct think *t, const struct tag *g, int n_tokens)
{
    if (thought_is_open(t)) {
        t->thought_tokens -= n_tokens;
        t->block_tokens -= n_tokens;
        if (g->kind == TAG_CLOSE) think_close_thought(t, own_ending(t, t->ramped));
        return;
    }
    if (t->state == THINK_IDLE && g->kind != TAG_OPEN) {
        t->state = THINK_ANSWER;
        text_start_answer(t);
    }
    t->answer_tokens -= n_tokens;
    if (g->kind == TAG_OPEN) {
        think_open_thought(t);
    } else if (g->kind == TAG_CLOSE && !t->opened) {
        t->escaped++; /* what came before it was a thought that nobody opened */
        struct think_event *ev = think_push(t, THINK_ESCAPED);
        if (ev) ev->count = t->escaped;
    }
}

/* ---- what to do next ----------------------------------------------------------------------------------------- */

static bool no_budget(const struct think *t)
{
    return t->budget.kind == BUDGET_OFF || (t->budget.kind != BUDGET_UNLIMITED && t->budget.amount <= 0);
}

/* An empty thought, put by the program. */
static void open_and_close(struct think *t, enum thought_ending cause)
{
    text_drop_held(t);
    t->answer_tokens = 0;
    think_open_thought(t);
    think_begin_close(t, cause);
    t->state = THINK_FORCING;
    if (force_empty(t, NULL)) t->nomem = true;
}

static void queue_close(struct think *t)
{
    const struct family *f = t->family;
    text_settle(t);
    bool fits = t->position + (size_t)(t->wrap_len + t->close_len) < (size_t)t->context_left;
    bool wants = t->block_tokens > 0 && fits && !(t->by_model && f->start == THOUGHT_PROMPTED);
    /* A budget too small for the sentence is kept; one that was lowered below what was thought has its grace for it. */
    if (t->cause == THOUGHT_BUDGET_HARD && !t->grace_end && !plan_wrap_fits(t)) wants = false;
    if (force_close(t, wants, NULL)) t->nomem = true;
}

static void decide_thought(struct think *t)
{
    if (t->given_closed) {
        t->given_closed = false;
        t->cause = t->given_ending;
        t->state = THINK_FORCING;
        text_settle(t);
        if (force_close(t, false, NULL)) t->nomem = true;
        return;
    }
    if (t->say_waits) {
        if (!text_clean(t) && t->say_waits <= WAIT_MAX) return;
        text_settle(t);
        t->say_waits = 0;
        if (force_say(t, NULL)) t->nomem = true;
        return;
    }
    if (!thought_is_closing(t)) plan_step(t);
    if (t->state == THINK_WAITING_UTF8 && (t->waited >= WAIT_MAX || text_clean(t))) t->state = THINK_FORCING;
    if (t->state == THINK_FORCING) queue_close(t);
}

static void mask(const struct think *t, float *logits, int32_t id)
{
    if (id >= 0 && id < t->n_vocab) logits[id] = -INFINITY;
}

static void mask_ends(const struct think *t, float *logits)
{
    for (size_t i = 0; i < t->ends.n; i++) mask(t, logits, t->ends.ids[i]);
}

static void mask_tags(const struct think *t, float *logits, enum tag_kind kind)
{
    for (size_t i = 0; i < t->n_tags; i++)
        if (t->tags[i].kind == kind) mask(t, logits, t->tags[i].id);
}

static bool withheld(const struct think *t)
{
    return t->state == THINK_COUNTING && t->thought_tokens - text_held_tokens(t) < t->think_min;
}

static bool answer_must_begin(const struct think *t)
{
    return t->opened && !t->answer_has_text && t->answer_tokens < EMPTY_ANSWER_TOKENS && t->ends_refused < ENDS_REFUSED_MAX;
}

static void change_logits(struct think *t, float *logits)
{
    if (t->state == THINK_SOFT)
        plan_ramp(t, logits);
    else
        t->ramped = false;
    if (withheld(t)) {
        mask_tags(t, logits, TAG_CLOSE);
        mask_ends(t, logits);
    }
    if (t->state == THINK_ANSWER) {
        if (answer_must_begin(t)) {
            mask_ends(t, logits);
            mask_tags(t, logits, TAG_CLOSE);
        }
        if (t->opened >= OPENED_MAX || (t->opened && plan_left(t) == 0)) mask_tags(t, logits, TAG_OPEN);
    }
    for (size_t i = 0; i < t->n_refused; i++) mask(t, logits, t->refused[i]);
}

enum think_action think_next(struct think *t, float *logits, int64_t running_ms, int32_t *forced)
{
    begin_call(t);
    if (t->state == THINK_DONE) return THINK_DO_END;
    plan_clock_tick(t, running_ms);
    if (t->position >= (size_t)t->context_left) finish(t, THOUGHT_CONTEXT_FULL, ANSWER_CONTEXT_FULL);
    if (t->state != THINK_DONE && !force_pending(t)) {
        if (t->state == THINK_IDLE && no_budget(t))
            open_and_close(t, THOUGHT_BUDGET_HARD);
        else if (thought_is_open(t))
            decide_thought(t);
        else if (t->state == THINK_ANSWER && t->answer_max > 0 && t->answer_tokens >= t->answer_max)
            finish(t, THOUGHT_NONE, ANSWER_LENGTH);
    }
    if (t->nomem && t->state != THINK_DONE) finish(t, THOUGHT_ERROR, ANSWER_ERROR);
    if (t->state == THINK_DONE) return THINK_DO_END;
    if (force_pending(t)) {
        *forced = t->queue[t->queue_at].id;
        return THINK_DO_FORCE;
    }
    if (logits) change_logits(t, logits);
    return THINK_DO_SAMPLE;
}

/* ---- what was put -------------------------------------------------------------------------------------------- */

static void refuse(struct think *t, int32_t id, bool *keep)
{
    *keep = false;
    if (t->n_refused < ARRAY_LEN(t->refused)) t->refused[t->n_refused++] = id;
}

static void put(struct think *t)
{
    t->position++;
    t->n_refused = 0;
    if (t->say_waits) t->say_waits++;
    if (t->state == THINK_WAITING_UTF8) t->waited++;
}

static int accept_forced(struct think *t, int32_t id, struct err *e)
{
    if (!force_pending(t) || t->queue[t->queue_at].id != id)
        return err_set(e, ERR_INVALID, "token %d was not the one to be forced", (int)id);
    struct forced f = t->queue[t->queue_at++];
    if (!t->span_open) force_span_begin(t, f.kind);
    put(t);
    if (f.kind != FORCE_OPEN && f.kind != FORCE_CLOSE) {
        size_t n;
        const char *p = t->vocab.piece(t->vocab.arg, id, &n);
        t->thought_tokens++;
        t->block_tokens++;
        text_feed(t, p, n, MARK_INJECTED);
    }
    if (!f.last) return 0;
    if (f.kind == FORCE_CLOSE) {
        int of_tag = text_drop_held(t);
        t->thought_tokens -= of_tag;
        t->block_tokens -= of_tag;
        text_end(t, true);
        t->span_offset = t->thought_bytes;
    }
    force_span_end(t);
    if (f.kind == FORCE_CLOSE) {
        think_close_thought(t, t->cause);
    } else if (f.kind == FORCE_OPEN) {
        t->answer_tokens -= text_drop_held(t);
        think_open_thought(t);
    }
    return 0;
}

/* The model ends its reply inside a thought. Of one that was not trained to think this is the end of the thought. */
static void end_in_thought(struct think *t, int32_t id, bool *keep)
{
    refuse(t, id, keep);
    if (t->say_waits || thought_is_closing(t)) {
        t->say_waits = t->say_waits ? WAIT_MAX + 1 : 0; /* no use in waiting for a character to be completed */
        t->waited = WAIT_MAX;
    } else if (t->more_until > t->thought_tokens) {
        t->more_until = 0;
        text_settle(t);
        if (force_wait(t, false, NULL)) t->nomem = true;
    } else if (!withheld(t)) {
        think_begin_close(t, own_ending(t, false));
        t->waited = WAIT_MAX;
        t->by_model = true;
    }
}

static void end_of_reply(struct think *t, int32_t id, bool *keep)
{
    if (t->state == THINK_ANSWER && answer_must_begin(t)) {
        t->ends_refused++;
        refuse(t, id, keep);
        return;
    }
    if (t->state == THINK_IDLE) {
        text_settle(t);
        t->state = THINK_ANSWER;
    }
    put(t);
    finish(t, THOUGHT_NONE, ANSWER_COMPLETE);
}

/* Whether the token closes the thought, or leaves no doubt that the next ones will. */
static bool closes(const struct think *t, const struct tag *g, const char *p, size_t n)
{
    if (g) return g->kind == TAG_CLOSE;
    size_t len = text_closing(t, p, n, &g);
    return g && len >= (g->phrase ? g->len / 2 : g->len < 3 ? g->len : 3);
}

/* A closing tag that is not wanted now. */
static bool close_refused(struct think *t, int32_t id, bool *keep)
{
    bool more = t->more_until > t->thought_tokens;
    if (!t->say_waits && !more && !withheld(t)) return false;
    refuse(t, id, keep);
    if (!t->say_waits && !more) return true;
    int of_tag = text_drop_held(t);
    t->thought_tokens -= of_tag;
    t->block_tokens -= of_tag;
    if (t->say_waits) return true;
    t->more_until = 0;
    if (force_wait(t, false, NULL)) t->nomem = true;
    return true;
}

static void accept_text(struct think *t, int32_t id, const char *p, size_t n)
{
    bool thought = thought_is_open(t);
    bool led = t->state == THINK_SOFT && t->ramped && t->close_tag.n > 1 && id == t->close_tag.ids[0];
    if (thought) {
        t->thought_tokens++;
        t->block_tokens++;
    } else {
        t->answer_tokens++;
    }
    text_feed(t, p, n, MARK_SAMPLED | (t->vocab.is_control(t->vocab.arg, id) ? (unsigned)MARK_CONTROL : 0u));
    if (!thought && t->state == THINK_ANSWER && plan_loop_feed(t, id)) think_push(t, THINK_LOOP);
    if (!thought || !thought_is_open(t)) return;
    if (led) {
        t->cause = plan_limits(t).ending_soft;
        t->state = THINK_FORCING;
        force_rest_of_close(t);
    } else if (plan_loop_feed(t, id)) {
        think_push(t, THINK_LOOP);
    }
}

static void accept_sampled(struct think *t, int32_t id, bool *keep)
{
    size_t n;
    const char *p = t->vocab.piece(t->vocab.arg, id, &n);
    const struct tag *g = NULL;
    for (size_t i = 0; i < t->n_tags && !g; i++) g = t->tags[i].id == id ? &t->tags[i] : NULL;
    if (g) {
        text_settle(t); /* half a tag cannot go on in this token */
        g = text_tag_of_id(t, id);
    }
    bool end = false;
    for (size_t i = 0; i < t->ends.n && !end && !g; i++) end = t->ends.ids[i] == id;
    end = end && !text_closing(t, p, n, NULL); /* harmony's closing tag begins with one */
    if (thought_is_open(t)) {
        if (end) {
            end_in_thought(t, id, keep);
            return;
        }
        if (closes(t, g, p, n) && close_refused(t, id, keep)) return;
    } else if (end) {
        end_of_reply(t, id, keep);
        return;
    }
    put(t);
    if (!g) {
        accept_text(t, id, p, n);
    } else {
        if (t->state == THINK_IDLE) t->answer_tokens -= text_drop_held(t);
        think_take_tag(t, g, 0);
    }
}

int think_accept(struct think *t, int32_t id, bool forced, bool *keep, struct err *e)
{
    begin_call(t);
    *keep = true;
    if (t->state == THINK_DONE) {
        *keep = false;
        return 0;
    }
    int rc = 0;
    if (forced)
        rc = accept_forced(t, id, e);
    else
        accept_sampled(t, id, keep);
    if (!rc && t->nomem) rc = err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    return rc;
}

void think_abort(struct think *t, enum thought_ending thought, enum answer_ending answer)
{
    begin_call(t);
    if (t->state != THINK_DONE) finish(t, thought, answer);
}

/* ---- the user's commands ------------------------------------------------------------------------------------- */

static int do_budget(struct think *t, const struct think_command *c, struct err *e)
{
    struct budget b = c->budget;
    if ((unsigned)b.kind > BUDGET_OFF || ((b.kind == BUDGET_TOKENS || b.kind == BUDGET_SECONDS) && !(b.amount >= 0 && b.amount <= 1e6)))
        return err_set(e, ERR_INVALID, "this is no thinking budget");
    bool raised = plan_worth(t, b) > plan_worth(t, t->budget);
    t->budget = b;
    if (raised && t->state != THINK_ANSWER) t->extensions++;
    think_tell_budget(t, b, "user");
    if (!thought_is_open(t)) return 0;
    if (!thought_is_closing(t)) {
        plan_budget(t, PLAN_CHANGED);
    } else if (raised && t->cause == THOUGHT_BUDGET_HARD && !force_close_begun(t)) {
        plan_budget(t, PLAN_CHANGED);
        if (plan_limits(t).force > t->thought_tokens) cancel_close(t);
    }
    return 0;
}

static int do_answer_now(struct think *t, const struct think_command *c, struct err *e)
{
    (void)c;
    (void)e;
    if (thought_is_closing(t)) return 0;
    if (t->state == THINK_IDLE) {
        t->queue_at = t->queue_n = 0;
        open_and_close(t, THOUGHT_ANSWER_NOW);
        return 0;
    }
    t->say_waits = 0;
    force_cut(t);
    think_begin_close(t, THOUGHT_ANSWER_NOW);
    return 0;
}

static int do_more(struct think *t, const struct think_command *c, struct err *e)
{
    (void)c;
    if (t->state == THINK_ANSWER && !t->opened) return err_set(e, ERR_INVALID, "there is no thought to go on with");
    if (t->state == THINK_ANSWER && t->answer_has_text) return err_set(e, ERR_INVALID, "the answer has begun");
    if (t->opened >= OPENED_MAX && t->state == THINK_ANSWER) return err_set(e, ERR_INVALID, "this reply has had enough thoughts");
    struct budget b = plan_more(t);
    double step = plan_worth(t, b) - t->thought_tokens;
    t->extensions++;
    if (b.kind != BUDGET_UNLIMITED) {
        t->budget = b;
        think_tell_budget(t, b, "user");
    }
    if (t->state == THINK_ANSWER) {
        if (!force_pending(t)) reopen(t);
    } else if (force_close_begun(t)) {
        t->more_after_close = true;
    } else if (thought_is_open(t)) {
        plan_loop_reset(t);
        plan_budget(t, PLAN_CHANGED);
        if (thought_is_closing(t)) cancel_close(t);
    }
    t->more_until = t->thought_tokens + (int)(step > 0 && step < 64 ? step : 64);
    return t->nomem ? err_set(e, ERR_NOMEM, "out of memory in the thinking controller") : 0;
}

static int do_say(struct think *t, const struct think_command *c, struct err *e)
{
    size_t n = c->text_len;
    while (n && (c->text[n - 1] == '\n' || c->text[n - 1] == '\r' || c->text[n - 1] == ' ')) n--;
    if (!n) return err_set(e, ERR_INVALID, "nothing to say");
    if (n > SAY_MAX) return err_set(e, ERR_INVALID, "the line is too long for a thought");
    struct tokens ids = {0};
    int rc = t->vocab.encode(t->vocab.arg, c->text, n, PARSE_NONE, &ids, e);
    size_t need = t->position + force_pending(t) + ids.n + 2 + (size_t)(t->wrap_len + t->close_len + t->answer_reserve);
    tokens_release(&ids);
    if (rc) return rc;
    if (need > (size_t)t->context_left) return err_set(e, ERR_TOO_LONG, "the line does not fit what is left of the context");
    size_t before = t->say.len;
    if (!t->say_waits) str_clear(&t->say);
    if (t->say.len) str_add_char(&t->say, '\n');
    str_add_text(&t->say, c->text, n);
    if (!str_ok(&t->say)) {
        str_truncate(&t->say, before);
        t->say.failed = false;
        return err_set(e, ERR_NOMEM, "out of memory for the line");
    }
    if (!t->say_waits) t->say_waits = 1;
    if (t->state == THINK_IDLE && !force_pending(t) && text_held_is_blank(t)) rc = force_open(t, e);
    return rc;
}

static int do_stop(struct think *t, const struct think_command *c, struct err *e)
{
    (void)c;
    (void)e;
    finish(t, THOUGHT_STOPPED, ANSWER_STOPPED);
    return 0;
}

#define IN_ANSWER  "the answer has begun"
#define IS_CLOSING "the thought is being closed; think more keeps it open"
#define IS_OVER    "the reply is over"

/* What a command does, and where it makes no sense: a line for the user. */
static const struct {
    int (*run)(struct think *t, const struct think_command *c, struct err *e);
    const char *no[THINK_DONE + 1];
} commands[] = {
    [THINK_SET_BUDGET] = {do_budget, {[THINK_DONE] = IS_OVER}},
    [THINK_ANSWER_NOW] = {do_answer_now, {[THINK_ANSWER] = IN_ANSWER, [THINK_DONE] = IS_OVER}},
    [THINK_MORE] = {do_more, {[THINK_DONE] = IS_OVER}},
    [THINK_SAY] = {do_say,
                   {[THINK_WAITING_UTF8] = IS_CLOSING, [THINK_FORCING] = IS_CLOSING, [THINK_ANSWER] = IN_ANSWER, [THINK_DONE] = IS_OVER}},
    [THINK_STOP] = {do_stop, {[THINK_DONE] = IS_OVER}},
};

int think_do(struct think *t, const struct think_command *c, struct err *e)
{
    begin_call(t);
    if ((size_t)c->verb >= ARRAY_LEN(commands)) return err_set(e, ERR_INVALID, "no such command");
    const char *no = commands[c->verb].no[t->state];
    return no ? err_set(e, ERR_INVALID, "%s", no) : commands[c->verb].run(t, c, e);
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

void think_free(struct think *t)
{
    if (!t) return;
    free(t->tags);
    free(t->queue);
    free(t->slots);
    tokens_release(&t->ends);
    tokens_release(&t->close_tag);
    str_release(&t->say);
    str_release(&t->held);
    str_release(&t->marks);
    str_release(&t->tail);
    str_release(&t->span_text);
    str_release(&t->text);
    free(t);
}

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (list && list[n]) n++;
    return n;
}

static void add_tags(struct think *t, enum tag_kind kind, const char *const *list)
{
    for (size_t i = 0; i < count(list); i++) {
        if (!list[i][0]) continue;
        char c = list[i][0];
        t->tags[t->n_tags++] = (struct tag){.kind = kind,
                                            .text = list[i],
                                            .len = strlen(list[i]),
                                            .id = t->vocab.find(t->vocab.arg, list[i]),
                                            .phrase = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')};
    }
}

static int find_tags(struct think *t, struct err *e)
{
    const struct family *f = t->family;
    t->tags = calloc(count(f->open) + count(f->close) + count(f->answer_open) + count(f->answer_close) + 1, sizeof *t->tags);
    if (!t->tags) return err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    add_tags(t, TAG_OPEN, f->open);
    add_tags(t, TAG_CLOSE, f->close);
    add_tags(t, TAG_ANSWER_OPEN, f->answer_open);
    add_tags(t, TAG_ANSWER_CLOSE, f->answer_close);
    int rc = 0;
    for (int32_t id = 0; id < t->n_vocab && !rc; id++)
        if (t->vocab.is_end(t->vocab.arg, id)) rc = tokens_push(&t->ends, id);
    for (size_t i = 0; i < count(f->answer_end) && !rc; i++) {
        int32_t id = t->vocab.find(t->vocab.arg, f->answer_end[i]);
        if (id >= 0 && !t->vocab.is_end(t->vocab.arg, id)) rc = tokens_push(&t->ends, id);
    }
    return rc ? err_set(e, rc, "out of memory in the thinking controller") : 0;
}

/* A thought that was written before comes first. */
static int begin_given(struct think *t, const struct think_config *c, struct err *e)
{
    if (!c->thought_open && (!c->think || t->family->start == THOUGHT_PROMPTED))
        return err_set(e, ERR_INVALID, "thinking is off: a thought cannot be gone on with");
    int rc = 0;
    if (c->thought_open)
        think_open_thought(t);
    else
        rc = force_open(t, e);
    t->given_closed = c->given_closed;
    t->given_ending = c->given_ending;
    return rc ? rc : force_text(t, FORCE_GIVEN, c->given, c->given_len, e);
}

/* Where the reply starts. */
static int begin(struct think *t, const struct think_config *c, struct err *e)
{
    const struct family *f = t->family;
    think_tell_budget(t, t->budget, "program");
    if (c->given_len) return begin_given(t, c, e);
    if (!c->thought_open) {
        t->state = c->think && f->start != THOUGHT_PROMPTED ? THINK_IDLE : THINK_ANSWER;
        if (t->state == THINK_ANSWER) text_start_answer(t);
        return 0;
    }
    think_open_thought(t);
    if (!f->think_lead || no_budget(t)) return 0;
    int rc = force_text(t, FORCE_LEAD, f->think_lead, strlen(f->think_lead), e);
    int room = plan_limits(t).force;
    if (!rc && (size_t)room < force_pending(t)) t->queue_at = t->queue_n = 0; /* a lead that uses the budget up leads nowhere */
    return rc;
}

int think_new_with(struct think **out, const struct think_config *c, const struct think_vocab *v, struct err *e)
{
    *out = NULL;
    const struct family *f = c->family;
    if (!f || !count(f->open) || !count(f->close) || !f->close[0][0] || !f->open[0][0])
        return err_set(e, ERR_INVALID, "the thinking controller needs a family with an opening and a closing tag");
    struct think *t = calloc(1, sizeof *t);
    if (!t) return err_set(e, ERR_NOMEM, "out of memory for the thinking controller");
    t->family = f;
    t->vocab = *v;
    t->n_vocab = v->size(v->arg);
    t->think_min = c->think_min > 0 ? c->think_min : 0;
    t->answer_max = c->answer_max > 0 ? c->answer_max : 0;
    t->context_left = c->context_left > 0 ? c->context_left : 0;
    t->answer_reserve = c->answer_reserve > 0 ? c->answer_reserve : 0;
    t->loop_guard = c->loop_guard;
    t->loop_force = t->plan_force = t->plan_soft = LIMIT_NONE;
    t->budget = c->think ? c->budget : (struct budget){BUDGET_OFF, 0};
    t->place.line_start = true;
    int rc = find_tags(t, e);
    if (!rc) rc = force_prepare(t, e);
    if (!rc) rc = begin(t, c, e);
    if (!rc && t->nomem) rc = err_set(e, ERR_NOMEM, "out of memory for the thinking controller");
    if (rc)
        think_free(t);
    else
        *out = t;
    return rc;
}
