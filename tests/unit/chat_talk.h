/*
 * chat_talk.h - a chat with a tiny model and everything it told, one reply at a time. Included after cmocka.h.
 */
#ifndef PONDER_TESTS_CHAT_TALK_H
#define PONDER_TESTS_CHAT_TALK_H

#include "chat_help.h"

static const struct tiny_spec spec = TINY_SPEC(TENSOR_F32);

static inline int make_model(void **state)
{
    (void)state;
    return chat_help_make_model(&spec);
}

/* A chat and everything it told. */
struct talk {
    struct store *store;
    struct chat *chat;
    struct settings set;
    struct str order;          /* a letter an event: M model, P prompt, R prefill, O thinking opened, t thought, C closed, a answer, E ended */
    struct str thought, answer, notice, trouble;
    struct chat_stats end;
    int64_t reply;
    int ended;
    int stop_after;            /* thought pieces after which `then` is sent; 0 never */
    const char *then;
    int thought_pieces;
};

/* A context so long that a reply without a budget is still being written when a command comes, however the threads are scheduled. */
#define LONG_CONTEXT "65536"

static inline void start_with(struct talk *t, const char *db, const char *budget, const char *ctx)
{
    struct err e = {0};
    memset(t, 0, sizeof *t);
    chat_help_settings(&t->set, (const char *const[][2]){{"budget", budget}, {"answer_max", "12"}, {"loop_guard", "off"}, {"seed", "5"}, {"threads", "2"}, {"ctx", ctx}}, 6);
    assert_int_equal(store_open(&t->store, db, &e), 0);
    if (chat_new(&t->chat, &t->set, model, t->store, &e)) fail_msg("%s", e.text);
}

static inline void start(struct talk *t, const char *budget)
{
    start_with(t, NULL, budget, "2048");
}

static inline void finish(struct talk *t)
{
    chat_free(t->chat);
    store_close(t->store);
    settings_release(&t->set);
    str_release(&t->order);
    str_release(&t->thought);
    str_release(&t->answer);
    str_release(&t->notice);
    str_release(&t->trouble);
}

static inline void take(struct talk *t, const struct chat_event *ev)
{
    static const struct {
        enum chat_event_kind kind;
        char letter;
    } letters[] = {{CHAT_MODEL, 'M'}, {CHAT_PROMPT, 'P'}, {CHAT_PREFILL, 'R'}, {CHAT_THINKING, 'O'}, {CHAT_THOUGHT, 't'}, {CHAT_CLOSED, 'C'},
                   {CHAT_ANSWER, 'a'}, {CHAT_ENDED, 'E'}, {CHAT_MODEL_FAILED, 'F'}};
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (letters[i].kind == ev->kind && !(t->order.len && t->order.data[t->order.len - 1] == letters[i].letter)) str_add_char(&t->order, letters[i].letter);
    struct err e = {0};
    switch (ev->kind) {
    case CHAT_THOUGHT:
        str_add_bytes(&t->thought, ev->text, ev->len);
        if (++t->thought_pieces == t->stop_after) assert_int_equal(chat_control(t->chat, t->then, strlen(t->then), &e), 0);
        break;
    case CHAT_ANSWER: str_add_bytes(&t->answer, ev->text, ev->len); break;
    case CHAT_NOTICE:
    case CHAT_MODEL_FAILED: str_add(&t->notice, ev->text); break;
    case CHAT_STORE_TROUBLE: str_addf(&t->trouble, "[%s]", ev->text); break;
    case CHAT_SAVED: t->reply = ev->message; break;
    case CHAT_ENDED:
        t->end = ev->stats;
        t->reply = ev->message;
        t->ended++;
        if (ev->len) str_add(&t->notice, ev->text);
        break;
    default: break;
    }
}

struct wanted {
    struct talk *t;
    int replies;
};

static inline bool enough(void *arg, const struct chat_event *ev)
{
    const struct wanted *w = arg;
    if (ev) take(w->t, ev);
    if (w->replies) return w->t->ended >= w->replies;
    return ev && (ev->kind == CHAT_MODEL || ev->kind == CHAT_MODEL_FAILED);
}

/* Takes events until `replies` have ended in all (or, with 0, the model has loaded or failed). */
static inline void pump(struct talk *t, int replies)
{
    struct wanted w = {t, replies};
    if (!chat_help_pump(t->chat, 60, enough, &w)) fail_msg("no end after a minute; so far %s", str_cstr(&t->order));
}

static inline void say(struct talk *t, const char *text)
{
    struct err e = {0};
    if (chat_send(t->chat, text, strlen(text), &e)) fail_msg("%s", e.text);
}

static inline void clear(struct talk *t)
{
    str_clear(&t->order);
    str_clear(&t->thought);
    str_clear(&t->answer);
    t->thought_pieces = 0;
}

/* What the record holds of the active branch. */
static inline struct message_list branch(struct talk *t)
{
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t->store, chat_conversation(t->chat), &l, NULL), 0);
    return l;
}

#endif
