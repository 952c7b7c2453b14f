/*
 * recorder.c - what one reply leaves in the record while it streams, and after.
 *
 * The whole reply stays in memory until its end, with marks of how far it is on disk. A write that fails leaves the marks where they are, tells the user once, and the
 * next flush writes the rest; so a full disk costs nothing that memory still holds.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>

#define FLUSH_MS     150
#define RETRY_FACTOR 10

void recorder_init(struct recorder *r, struct worker *w, const struct job *job, const struct reply_start *start)
{
    const struct branch *b = &job->branch;
    *r = (struct recorder){.w = w, .conversation = job->conversation, .start = *start};
    r->prompt_message = &b->items[b->n - 1];
    r->old_prompt = r->prompt = r->prompt_message->id;
    r->parent = b->n > 1 ? b->items[b->n - 2].id : 0;
    r->old_reply = r->reply = job->reply;
    r->system = job->set.system;
    r->last_ms = clock_mono_ms();
}

void recorder_release(struct recorder *r)
{
    str_release(&r->thought);
    str_release(&r->answer);
    free(r->notes);
    *r = (struct recorder){0};
}

void recorder_text(struct recorder *r, bool thought, const char *text, size_t n)
{
    str_add_bytes(thought ? &r->thought : &r->answer, text, n);
}

static struct note *add_note(struct recorder *r, size_t position, const char *kind)
{
    if (!mem_grow(&r->notes, &r->cap_notes, r->n_notes + 1, sizeof *r->notes)) return NULL;
    struct note *n = &r->notes[r->n_notes++];
    *n = (struct note){.position = position};
    snprintf(n->kind, sizeof n->kind, "%s", kind);
    return n;
}

void recorder_event(struct recorder *r, size_t position, const char *kind, const char *value)
{
    struct note *n = add_note(r, position, kind);
    if (n) snprintf(n->value, sizeof n->value, "%s", value ? value : "");
}

void recorder_span(struct recorder *r, size_t position, size_t offset, size_t length, const char *kind, const char *author)
{
    struct note *n = add_note(r, position, kind);
    if (!n) return;
    n->span = true;
    n->offset = offset;
    n->length = length;
    snprintf(n->author, sizeof n->author, "%s", author ? author : "program");
}

static void tell_saved(struct recorder *r, int64_t old, int64_t id)
{
    worker_push(r->w, &(struct chat_event){.kind = CHAT_SAVED, .message = id, .old = old, .done = (size_t)r->conversation,
                                              .sample = r->sample, .n_samples = r->n_samples});
}

/* Conversation, prompt and reply rows, whichever are still missing, in that order. */
static int save_rows(struct recorder *r, struct err *e)
{
    struct store *s = r->w->store;
    int rc = 0;
    if (r->first && r->prompt <= 0) {
        rc = save_rows(r->first, e);
        if (rc) return rc;
        r->conversation = r->first->conversation;
        r->prompt = r->first->prompt;
    }
    /* What an earlier message could not be saved with is the owner's to save, in order: this reply then comes behind it. */
    if (r->prompt <= 0 && r->parent < 0) return err_set(e, ERR_IO, "an earlier message is not saved yet");
    if (r->conversation <= 0) {
        rc = store_new_conversation(s, r->system, &r->conversation, e);
        if (rc) return rc;
    }
    if (r->prompt <= 0) {
        int64_t id = 0;
        rc = store_add_prompt(s, r->conversation, r->parent, str_cstr(&r->prompt_message->text), r->prompt_message->text.len, &id, e);
        if (rc) return rc;
        r->prompt = id;
        tell_saved(r, r->old_prompt, id);
    }
    if (r->reply <= 0) {
        int64_t id = 0;
        r->start.conversation = r->conversation;
        r->start.parent = r->prompt;
        rc = store_begin_reply(s, &r->start, &id, e);
        if (rc) return rc;
        r->reply = id;
        tell_saved(r, r->old_reply, id);
    }
    return 0;
}

static int save_notes(struct recorder *r, struct err *e)
{
    for (; r->saved_notes < r->n_notes; r->saved_notes++) {
        const struct note *n = &r->notes[r->saved_notes];
        int rc = n->span ? store_add_span(r->w->store, r->reply, n->position, n->offset, n->length, n->kind, n->author, e)
                         : store_add_event(r->w->store, r->reply, n->position, n->kind, n->value[0] ? n->value : NULL, e);
        if (rc) return rc;
    }
    return 0;
}

static void tell_trouble(struct recorder *r, int rc, const struct err *e)
{
    if (rc && !r->in_trouble) {
        worker_emit_text(r->w, CHAT_STORE_TROUBLE, r->reply, e->text);
        r->in_trouble = true;
    } else if (!rc && r->in_trouble) {
        worker_emit_text(r->w, CHAT_STORE_TROUBLE, r->reply, "");
        r->in_trouble = false;
    }
}

void recorder_flush(struct recorder *r, bool now)
{
    int64_t t = clock_mono_ms();
    bool fresh = r->thought.len > r->saved_thought || r->answer.len > r->saved_answer || r->n_notes > r->saved_notes || r->reply <= 0;
    if (!fresh || (!now && (t - r->last_ms < FLUSH_MS || t < r->retry_ms))) return;
    r->last_ms = t;
    struct err e = {0};
    int rc = save_rows(r, &e);
    if (!rc && (r->thought.len > r->saved_thought || r->answer.len > r->saved_answer)) {
        rc = store_append_reply(r->w->store, r->reply, str_cstr(&r->thought) + r->saved_thought, r->thought.len - r->saved_thought,
                                str_cstr(&r->answer) + r->saved_answer, r->answer.len - r->saved_answer, &e);
        if (!rc) {
            r->saved_thought = r->thought.len;
            r->saved_answer = r->answer.len;
        }
    }
    if (!rc) rc = save_notes(r, &e);
    /* A record that another program has locked makes every try wait: the reply must not come at the pace of its time-outs. */
    int64_t over = clock_mono_ms();
    r->retry_ms = rc ? over + RETRY_FACTOR * (over - t) : 0;
    tell_trouble(r, rc, &e);
}

struct reply_end reply_end_of(const struct chat_stats *st, char budget[32])
{
    budget_format(st->budget, budget);
    return (struct reply_end){
        .ended = thought_ending_name(st->thought_ending),
        .answer_ended = answer_ending_name(st->answer_ending),
        .budget_final = budget,
        .thought_tokens = st->thought_tokens,
        .answer_tokens = st->answer_tokens,
        .escaped = st->escaped,
        .thought_ms = st->thought_ms,
        .answer_ms = st->answer_ms,
        .tokens_per_s = st->tokens_per_s,
    };
}

bool recorder_end(struct recorder *r, const struct reply_end *end)
{
    struct err e = {0};
    int rc = save_rows(r, &e);
    if (!rc) rc = save_notes(r, &e);
    if (!rc)
        rc = store_end_reply(r->w->store, r->reply, str_cstr(&r->thought) + r->saved_thought, r->thought.len - r->saved_thought,
                             str_cstr(&r->answer) + r->saved_answer, r->answer.len - r->saved_answer, end, &e);
    tell_trouble(r, rc, &e);
    return !rc;
}
