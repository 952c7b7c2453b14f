/*
 * Several replies at once on a tiny random model: each is what it would be alone, all are kept as siblings, live commands reach all of
 * them. The model has no end token, so a thought lasts as long as its budget and an answer as long as answer_max.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>


#include "unit/chat_help.h"

static const struct tiny_spec spec = TINY_SPEC(TENSOR_F32);

struct talk {
    struct store *store;
    struct chat *chat;
    struct settings set;
    struct str thought[CHAT_SAMPLES_MAX], answer[CHAT_SAMPLES_MAX], extracted[CHAT_SAMPLES_MAX], notice, order;
    struct chat_stats stats[CHAT_SAMPLES_MAX], end;
    int64_t message[CHAT_SAMPLES_MAX], reply;
    int n_ended, winner, n_samples, replies, pieces;
    int after; /* pieces of thought after which `then` is sent; 0 never */
    const char *then;
};

static void start(struct talk *t, const char *budget, const char *ctx, const char *seed, const char *threads)
{
    struct err e = {0};
    const char *const settings[][2] = {{"budget", budget},   {"answer_max", "12"}, {"loop_guard", "off"}, {"seed", seed},
                                       {"threads", threads}, {"ctx", ctx},         {"temp", "3"},         {"top_k", "0"},
                                       {"top_p", "1"},       {"min_p", "0"}};
    memset(t, 0, sizeof *t);
    chat_help_settings(&t->set, settings, ARRAY_LEN(settings));
    assert_int_equal(store_open(&t->store, NULL, &e), 0);
    if (chat_new(&t->chat, &t->set, model, t->store, &e)) fail_msg("%s", e.text);
}

static void finish(struct talk *t)
{
    chat_free(t->chat);
    store_close(t->store);
    settings_release(&t->set);
    for (int i = 0; i < CHAT_SAMPLES_MAX; i++) {
        str_release(&t->thought[i]);
        str_release(&t->answer[i]);
        str_release(&t->extracted[i]);
    }
    str_release(&t->notice);
    str_release(&t->order);
}

static void take(struct talk *t, const struct chat_event *ev)
{
    struct err e = {0};
    switch (ev->kind) {
    case CHAT_THOUGHT:
        str_add_bytes(&t->thought[ev->sample], ev->text, ev->len);
        if (++t->pieces == t->after && chat_control(t->chat, t->then, strlen(t->then), &e)) fail_msg("%s", e.text);
        break;
    case CHAT_ANSWER: str_add_bytes(&t->answer[ev->sample], ev->text, ev->len); break;
    case CHAT_NOTICE: str_add(&t->notice, ev->text); break;
    case CHAT_SAMPLE_ENDED:
        assert_true(ev->sample >= 0 && ev->sample < ev->n_samples);
        t->stats[ev->sample] = ev->stats;
        t->message[ev->sample] = ev->message;
        str_add(&t->extracted[ev->sample], ev->text);
        str_addf(&t->order, "%d ", ev->sample);
        t->n_ended++;
        break;
    case CHAT_ENDED:
        t->winner = ev->sample;
        t->n_samples = ev->n_samples;
        t->end = ev->stats;
        t->reply = ev->message;
        t->replies++;
        if (ev->len) str_add(&t->notice, ev->text);
        break;
    default: break;
    }
}

struct wanted {
    struct talk *t;
    int replies;
};

static bool enough(void *arg, const struct chat_event *ev)
{
    const struct wanted *w = arg;
    if (ev) take(w->t, ev);
    return w->t->replies >= w->replies;
}

static void pump(struct talk *t, int replies)
{
    struct wanted w = {t, replies};
    if (!chat_help_pump(t->chat, 60, enough, &w)) fail_msg("no end after a minute");
}

static void sample(struct talk *t, const struct chat_samples *s, const char *text)
{
    struct err e = {0};
    if (chat_sample(t->chat, s, text, text ? strlen(text) : 0, &e)) fail_msg("%s", e.text);
    assert_true(chat_running(t->chat));
}

static void assert_same_text(const struct str *a, const struct str *b)
{
    assert_string_equal(str_cstr(a), str_cstr(b));
}

/* ---- votes ------------------------------------------------------------------------------------------------------ */

static void each_sample_is_what_it_is_alone(void **state)
{
    (void)state;
    static const int counts[] = {2, 5, 8, 11}; /* the last needs places that became free */
    static const char *const threads[] = {"1", "2"};
    struct talk alone[11];
    for (int i = 0; i < 11; i++) {
        char seed[24];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)chat_sample_seed(5, i));
        start(&alone[i], "30", "2048", seed, "1");
        if (chat_send(alone[i].chat, "what is it?", 11, NULL)) fail();
        pump(&alone[i], 1);
        for (int k = 0; k < i; k++) assert_string_not_equal(str_cstr(&alone[i].thought[0]), str_cstr(&alone[k].thought[0]));
    }
    for (size_t k = 0; k < ARRAY_LEN(counts); k++)
        for (size_t th = 0; th < ARRAY_LEN(threads); th++) {
            struct talk t;
            start(&t, "30", "2048", "5", threads[th]);
            sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = counts[k]}, "what is it?");
            pump(&t, 1);
            assert_int_equal(t.n_ended, counts[k]);
            assert_int_equal(t.n_samples, counts[k]);
            for (int i = 0; i < counts[k]; i++) {
                assert_same_text(&t.thought[i], &alone[i].thought[0]);
                assert_same_text(&t.answer[i], &alone[i].answer[0]);
                assert_int_equal(t.stats[i].thought_tokens, alone[i].end.thought_tokens);
                assert_int_equal(t.stats[i].thought_ending, alone[i].end.thought_ending);
            }
            finish(&t);
        }
    for (int i = 0; i < 11; i++) finish(&alone[i]);
}

static void all_are_kept_and_one_goes_on(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    struct message_list l = {0};
    struct sample_list s = {0};
    start(&t, "20", "2048", "7", "2");
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 4}, "first");
    pump(&t, 1);
    assert_false(chat_running(t.chat));
    assert_int_equal(store_load_branch(t.store, chat_conversation(t.chat), &l, &e), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.items[1].id, t.message[t.winner]);
    assert_int_equal(l.items[1].id, t.reply);
    assert_int_equal(l.items[1].n_siblings, 4);
    assert_int_equal(l.items[1].sibling, t.winner);
    assert_string_equal(l.items[1].text, str_cstr(&t.answer[t.winner]));
    assert_string_equal(l.items[1].thought, str_cstr(&t.thought[t.winner]));
    message_list_release(&l);
    assert_int_equal(store_load_samples(t.store, t.reply, &s, &e), 0);
    assert_string_equal(s.kind, "vote");
    assert_int_equal(s.n, 4);
    struct answer_ballot b[4];
    for (int i = 0; i < 4; i++) b[i] = (struct answer_ballot){.answer = s.items[i].answer};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s.messages.items[i].id, t.message[i]);
        assert_int_equal(s.items[i].number, i + 1);
        assert_int_equal(s.items[i].of, 4);
        assert_int_equal(s.items[i].won, i == t.winner);
        assert_string_equal(s.items[i].answer, str_cstr(&t.extracted[i]));
        assert_int_equal(s.items[i].votes, answers_same(b, 4, (size_t)i));
        assert_string_equal(s.messages.items[i].text, str_cstr(&t.answer[i]));
        assert_string_equal(s.messages.items[i].budget, "20");
        assert_string_equal(s.messages.items[i].ended, thought_ending_name(t.stats[i].thought_ending));
    }
    sample_list_release(&s);
    /* the conversation goes on below the winner, and an ordinary reply is no sample */
    assert_int_equal(chat_send(t.chat, "second", 6, &e), 0);
    pump(&t, 2);
    assert_int_equal(t.n_samples, 0);
    assert_int_equal(store_load_branch(t.store, chat_conversation(t.chat), &l, &e), 0);
    assert_int_equal(l.n, 4);
    assert_int_equal(l.items[2].parent, t.message[t.winner]);
    message_list_release(&l);
    assert_int_equal(store_load_samples(t.store, t.reply, &s, &e), ERR_NOT_FOUND);
    /* the same prompt again, with samples: more siblings, groups apart */
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 2}, NULL);
    pump(&t, 3);
    assert_int_equal(store_load_samples(t.store, t.reply, &s, &e), 0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.messages.items[0].n_siblings, 3);
    sample_list_release(&s);
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 3}, NULL);
    pump(&t, 4);
    assert_int_equal(store_load_samples(t.store, t.reply, &s, &e), 0);
    assert_int_equal(s.n, 3);
    sample_list_release(&s);
    finish(&t);
}

/* ---- comparisons ------------------------------------------------------------------------------------------------ */

static void budgets_are_compared_on_one_seed(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    struct sample_list s = {0};
    start(&t, "30", "2048", "5", "2");
    struct chat_samples c = {.kind = SAMPLES_COMPARE, .n = 3, .budgets = {{BUDGET_TOKENS, 0}, {BUDGET_TOKENS, 120}, {BUDGET_TOKENS, 240}}};
    sample(&t, &c, "what is it?");
    pump(&t, 1);
    assert_int_equal(t.stats[0].thought_tokens, 0);
    assert_true(t.stats[1].thought_tokens > 60 && t.stats[1].thought_tokens <= 120);
    assert_true(t.stats[2].thought_tokens > 120 && t.stats[2].thought_tokens <= 240);
    assert_true(t.thought[1].len > 60);
    assert_memory_equal(t.thought[1].data, t.thought[2].data, 60);
    assert_int_equal(t.winner, 2);
    assert_int_equal(store_load_samples(t.store, t.reply, &s, &e), 0);
    assert_string_equal(s.kind, "compare");
    assert_string_equal(s.messages.items[0].budget, "0");
    assert_string_equal(s.messages.items[2].budget, "240");
    assert_true(s.items[2].won);
    sample_list_release(&s);
    finish(&t);
}

/* ---- live commands ---------------------------------------------------------------------------------------------- */

static void commands_reach_all(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum thought_ending ending;
        enum answer_ending answer;
    } cases[] = {{"stop", THOUGHT_STOPPED, ANSWER_NOT_BEGUN},
                 {"answer", THOUGHT_ANSWER_NOW, ANSWER_LENGTH},
                 {"budget 0", THOUGHT_BUDGET_HARD, ANSWER_LENGTH}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct talk t;
        start(&t, "unlimited", "65536", "5", "2");
        t.after = 60;
        t.then = cases[k].line;
        sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 3}, "what is it?");
        pump(&t, 1);
        assert_int_equal(t.n_ended, 3);
        for (int i = 0; i < 3; i++) {
            if (cases[k].ending == THOUGHT_BUDGET_HARD)
                assert_true(t.stats[i].thought_ending == THOUGHT_BUDGET_HARD || t.stats[i].thought_ending == THOUGHT_BUDGET_SOFT);
            else
                assert_int_equal(t.stats[i].thought_ending, cases[k].ending);
            assert_int_equal(t.stats[i].answer_ending, cases[k].answer);
            assert_true(t.stats[i].thought_tokens < 30000);
        }
        finish(&t);
    }
}

static void a_stop_ends_those_that_wait_too(void **state)
{
    (void)state;
    struct talk t;
    start(&t, "unlimited", "65536", "5", "2");
    t.after = 30;
    t.then = "stop";
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 12}, "what is it?");
    pump(&t, 1);
    assert_int_equal(t.n_ended, 12);
    assert_true(t.thought[7].len > 0);
    assert_int_equal(t.thought[8].len, 0);
    assert_int_equal(t.stats[11].thought_tokens, 0);
    finish(&t);
}

static void a_pause_holds_all(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "unlimited", "65536", "5", "2");
    t.after = 20;
    t.then = "pause";
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 3}, "what is it?");
    while (t.pieces < 20) {
        struct pollfd p = {.fd = chat_event_fd(t.chat), .events = POLLIN};
        struct chat_event ev;
        poll(&p, 1, 1000);
        while (chat_next_event(t.chat, &ev)) {
            take(&t, &ev);
            chat_event_release(&ev);
        }
    }
    usleep(300000); /* what was under way comes out */
    struct chat_event ev;
    while (chat_next_event(t.chat, &ev)) {
        take(&t, &ev);
        chat_event_release(&ev);
    }
    assert_true(chat_paused(t.chat));
    int pieces = t.pieces;
    usleep(300000);
    while (chat_next_event(t.chat, &ev)) {
        take(&t, &ev);
        chat_event_release(&ev);
    }
    assert_int_equal(t.pieces, pieces);
    assert_int_equal(chat_control(t.chat, "resume", 6, &e), 0);
    assert_int_equal(chat_control(t.chat, "stop", 4, &e), 0);
    pump(&t, 1);
    for (int i = 0; i < 3; i++) assert_true(t.stats[i].thought_ms < 500 + 60 * t.stats[i].thought_tokens); /* without the pause */
    finish(&t);
}

static void a_full_context_ends_each_by_itself(void **state)
{
    (void)state;
    struct talk t;
    start(&t, "unlimited", "700", "5", "2");
    struct chat_samples c = {.kind = SAMPLES_COMPARE, .n = 3, .budgets = {{BUDGET_TOKENS, 10}, {BUDGET_UNLIMITED, 0}, {BUDGET_TOKENS, 20}}};
    assert_int_equal(settings_set(&t.set, "answer_max", "0", NULL), 0);
    assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
    sample(&t, &c, "x");
    pump(&t, 1);
    assert_int_equal(t.n_ended, 3);
    for (int i = 0; i < 3; i++) assert_true(t.stats[i].answer_ending == ANSWER_CONTEXT_FULL || t.stats[i].answer_ending == ANSWER_LENGTH);
    assert_true(t.stats[0].thought_tokens <= 10 && t.stats[2].thought_tokens <= 20 && t.stats[1].thought_tokens > 20);
    finish(&t);
}

/* ---- mistakes --------------------------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "30", "2048", "5", "1");
    struct chat_samples v = {.kind = SAMPLES_VOTE, .n = 3},
                        c = {.kind = SAMPLES_COMPARE, .n = 2, .budgets = {{BUDGET_TOKENS, 5}, {BUDGET_OFF, 0}}};
    assert_int_equal(chat_sample(t.chat, &v, NULL, 0, &e), ERR_NOT_FOUND);
    assert_int_equal(chat_sample(t.chat, &c, "x", 1, &e), ERR_USAGE);
    v.n = 1;
    assert_int_equal(chat_sample(t.chat, &v, "x", 1, &e), ERR_USAGE);
    v.n = CHAT_SAMPLES_MAX + 1;
    assert_int_equal(chat_sample(t.chat, &v, "x", 1, &e), ERR_USAGE);
    assert_false(chat_running(t.chat));
    v.n = 2;
    sample(&t, &v, "x");
    assert_int_equal(chat_sample(t.chat, &v, "y", 1, &e), ERR_BUSY);
    /* a prompt sent meanwhile waits for all of them */
    assert_int_equal(chat_send(t.chat, "later", 5, &e), 0);
    assert_int_equal(chat_queued(t.chat), 1);
    pump(&t, 2);
    assert_int_equal(t.n_ended, 2);
    finish(&t);
    /* no model */
    char keep[sizeof model];
    memcpy(keep, model, sizeof keep);
    snprintf(model, sizeof model, "%s/none.gguf", folder);
    start(&t, "30", "2048", "5", "1");
    memcpy(model, keep, sizeof keep);
    sample(&t, &v, "x");
    pump(&t, 1);
    assert_non_null(strstr(str_cstr(&t.notice), "no model"));
    assert_int_equal(t.stats[1].thought_ending, THOUGHT_ERROR);
    finish(&t);
}

static void leaving_in_the_middle_ends_all(void **state)
{
    (void)state;
    struct talk t;
    struct sample_list s = {0};
    char db[96];
    struct store *again;
    snprintf(db, sizeof db, "%s/leave.db", folder);
    start(&t, "unlimited", "65536", "5", "2");
    chat_free(t.chat);
    store_close(t.store);
    assert_int_equal(store_open(&t.store, db, NULL), 0);
    assert_int_equal(chat_new(&t.chat, &t.set, model, t.store, NULL), 0);
    t.after = 10;
    t.then = "budget 40000";
    sample(&t, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = 3}, "x");
    while (t.pieces < 10) {
        struct chat_event ev;
        usleep(1000);
        while (chat_next_event(t.chat, &ev)) {
            take(&t, &ev);
            chat_event_release(&ev);
        }
    }
    int64_t conversation = chat_conversation(t.chat);
    finish(&t);
    assert_int_equal(store_open(&again, db, NULL), 0);
    struct message_list l = {0};
    assert_int_equal(store_load_branch(again, conversation, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.items[1].n_siblings, 3);
    assert_string_equal(l.items[1].ended, "stopped");
    assert_int_equal(store_load_samples(again, l.items[1].id, &s, NULL), 0);
    assert_int_equal(s.n, 3);
    sample_list_release(&s);
    message_list_release(&l);
    store_close(again);
}

static int make_model(void **state)
{
    (void)state;
    return chat_help_make_model(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sample_is_what_it_is_alone),    cmocka_unit_test(all_are_kept_and_one_goes_on),
        cmocka_unit_test(budgets_are_compared_on_one_seed),   cmocka_unit_test(commands_reach_all),
        cmocka_unit_test(a_stop_ends_those_that_wait_too),    cmocka_unit_test(a_pause_holds_all),
        cmocka_unit_test(a_full_context_ends_each_by_itself), cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(leaving_in_the_middle_ends_all),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
