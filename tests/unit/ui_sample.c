/* Votes and comparisons on the screen: golden screens, the commands, what is typed meanwhile, and the same again from the record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "golden.h"
#include "ui_headless.h"

/* tests/golden/NAME.txt; GENERATE=1 writes it anew. */
static void golden(struct headless *t, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "tests/golden/%s.txt", name);
    golden_file(path, headless_screen(t, false));
}

struct reply {
    const char *budget, *thought, *text, *answer;
    int thought_tokens, answer_tokens, ms;
    enum thought_ending ending;
    enum answer_ending answer_ending;
};
static const struct reply voices[] = {
    {"400", "Five and six are eleven.", "Roger has **11** balls.", "11", 142, 9, 4200, THOUGHT_NATURAL, ANSWER_COMPLETE},
    {"400", "Five and three are eight.", "He has 8.", "8", 400, 5, 12900, THOUGHT_BUDGET_SOFT, ANSWER_COMPLETE},
    {"400", "Two cans of three are six, and five make eleven.", "The answer is 11.", "11", 96, 6, 3300, THOUGHT_NATURAL, ANSWER_COMPLETE},
    {"400", "It is hard to say.", "", "", 400, 0, 12800, THOUGHT_STOPPED, ANSWER_NOT_BEGUN},
    {"400", "Hm.", "There are many tennis balls now, more than anybody has ever counted",
     "there are many tennis balls now, more than anybody has ever counted", 3, 80, 3000, THOUGHT_NATURAL, ANSWER_LENGTH},
};
static const struct reply budgets[] = {
    {"0", "", "He has 8 tennis balls.", "8", 0, 8, 400, THOUGHT_BUDGET_HARD, ANSWER_COMPLETE},
    {"200", "Let me think. Two cans.", "Two cans hold six balls, so he has **11** in all:\n\n- 5 of his own\n- 6 new ones", "11", 200, 31,
     6900, THOUGHT_BUDGET_SOFT, ANSWER_COMPLETE},
    {"800", "Let me think step by step. Roger starts with five balls.",
     "Roger started with 5 balls. Two cans of 3 balls each are 2 × 3 = 6 balls. "
     "5 + 6 = 11. So Roger has 11 tennis balls now, which is what was asked for, and there is nothing more to say about them than that.",
     "11", 312, 60, 11200, THOUGHT_NATURAL, ANSWER_COMPLETE},
};

struct group {
    struct headless *t;
    const struct reply *r;
    int n;
    int64_t id[8];
};

static void event(struct group *g, int i, enum chat_event_kind kind, const char *text)
{
    const struct reply *r = &g->r[i];
    struct chat_stats st = {.context = 8192, .context_used = 300, .tokens_per_s = 15, .state = THINK_COUNTING};
    if (budget_parse(&st.budget, r->budget, NULL)) fail();
    bool over = kind == CHAT_SAMPLE_ENDED || kind == CHAT_ENDED;
    st.thought_tokens = over || kind == CHAT_CLOSED ? r->thought_tokens : r->thought_tokens / 3;
    st.answer_tokens = over ? r->answer_tokens : 0;
    st.thought_ms = over ? r->ms : r->ms / 3;
    if (over) {
        st.thought_ending = r->ending;
        st.answer_ending = r->answer_ending;
    }
    headless_event(g->t, (struct chat_event){.kind = kind, .message = g->id[i], .sample = i, .n_samples = g->n, .stats = st}, text);
}

static void begin(struct group *g, struct headless *t, const struct reply *r, int n)
{
    *g = (struct group){.t = t, .r = r, .n = n};
    struct chat_event ev = {.kind = CHAT_PREFILL, .n_samples = n, .done = 20, .total = 81};
    headless_event(t, ev, NULL);
    for (int i = 0; i < n; i++) {
        struct reply_start s = {.conversation = t->chat.conversation,
                                .parent = t->chat.leaf,
                                .model = "m",
                                .model_file = "m",
                                .quant = "q",
                                .family = "f",
                                .engine_version = "0",
                                .kernels = "k",
                                .system = "",
                                .budget = r[i].budget};
        struct err e = {0};
        if (store_begin_reply(t->store, &s, &g->id[i], &e)) fail_msg("%s", e.text);
        headless_event(t, (struct chat_event){.kind = CHAT_SAVED, .old = -1 - i, .message = g->id[i], .sample = i, .n_samples = n}, NULL);
    }
}

static void think(struct group *g, int i)
{
    event(g, i, CHAT_THINKING, NULL);
    event(g, i, CHAT_THOUGHT, g->r[i].thought);
    event(g, i, CHAT_PROGRESS, NULL);
}

static void say(struct group *g, int i)
{
    if (!g->r[i].text[0]) return;
    event(g, i, CHAT_CLOSED, NULL);
    event(g, i, CHAT_ANSWER, g->r[i].text);
}

static void end(struct group *g, int i)
{
    const struct reply *r = &g->r[i];
    struct reply_end x = {.ended = thought_ending_name(r->ending),
                          .answer_ended = answer_ending_name(r->answer_ending),
                          .budget_final = r->budget,
                          .thought_tokens = r->thought_tokens,
                          .answer_tokens = r->answer_tokens,
                          .thought_ms = r->ms};
    struct err e = {0};
    if (store_end_reply(g->t->store, g->id[i], r->thought, strlen(r->thought), r->text, strlen(r->text), &x, &e)) fail_msg("%s", e.text);
    event(g, i, CHAT_SAMPLE_ENDED, r->answer);
}

static void decide(struct group *g, const char *kind, size_t winner)
{
    struct sample_note notes[8];
    struct answer_ballot b[8];
    struct err e = {0};
    for (int i = 0; i < g->n; i++) b[i] = (struct answer_ballot){.answer = g->r[i].answer};
    for (int i = 0; i < g->n; i++)
        notes[i] = (struct sample_note){.reply = g->id[i], .answer = g->r[i].answer, .votes = answers_same(b, (size_t)g->n, (size_t)i)};
    if (store_add_samples(g->t->store, kind, notes, (size_t)g->n, winner, &e)) fail_msg("%s", e.text);
    g->t->chat.leaf = g->id[winner];
    g->t->chat.running = false;
    event(g, (int)winner, CHAT_ENDED, NULL);
}

static void all(struct group *g, const char *kind, size_t winner)
{
    for (int i = 0; i < g->n; i++) think(g, i);
    for (int i = 0; i < g->n; i++) say(g, i);
    for (int i = 0; i < g->n; i++) end(g, i);
    decide(g, kind, winner);
}

static void size(struct headless *t, int w, int h)
{
    app_resize(t->app, w, h);
}

/* ---- golden screens ------------------------------------------------------------------------------------------------ */

static void a_vote_is_a_table(void **state)
{
    struct headless *t = *state;
    struct group g;
    headless_keys(t, "/vote 5 Roger has 5 tennis balls. He buys 2 cans of 3. How many now?\r");
    assert_true(headless_logged(t, "vote 5 Roger has"));
    begin(&g, t, voices, 5);
    headless_wait(t, 1200);
    golden(t, "vote_reading_80x24");
    for (int i = 0; i < 4; i++) think(&g, i);
    headless_wait(t, 3100);
    say(&g, 0);
    say(&g, 2);
    end(&g, 2);
    golden(t, "vote_running_80x24");
    size(t, 40, 16);
    golden(t, "vote_running_40x16");
    think(&g, 4);
    say(&g, 1);
    say(&g, 4);
    for (int i = 0; i < 5; i++)
        if (i != 2) end(&g, i);
    decide(&g, "vote", 0);
    golden(t, "vote_40x16");
    size(t, 80, 24);
    golden(t, "vote_80x24");
    /* the same from the record */
    struct str before = STR_EMPTY;
    str_add(&before, headless_screen(t, false));
    struct err e = {0};
    assert_int_equal(app_open(t->app, t->chat.conversation, &e), 0);
    const char *again = strstr(headless_screen(t, false), "Vote: 2 of 5");
    assert_non_null(again);
    assert_string_equal(strstr(again, "\n"), strstr(strstr(str_cstr(&before), "Vote: 2 of 5"), "\n"));
    str_release(&before);
}

static void a_comparison_is_columns(void **state)
{
    struct headless *t = *state;
    struct group g;
    size(t, 100, 30);
    headless_exchange(t, "Roger has 5 tennis balls. He buys 2 cans of 3. How many now?", NULL, "Eleven.");
    headless_keys(t, "/compare 0 200 800\r");
    assert_true(headless_logged(t, "compare 3 \n"));
    begin(&g, t, budgets, 3);
    think(&g, 1);
    think(&g, 2);
    say(&g, 0);
    end(&g, 0);
    golden(t, "compare_running_100x30");
    say(&g, 1);
    end(&g, 1);
    say(&g, 2);
    end(&g, 2);
    decide(&g, "compare", 2);
    golden(t, "compare_100x30");
    size(t, 40, 30);
    golden(t, "compare_40x30");
    size(t, 10, 3);
    headless_screen(t, false);
    size(t, 1, 1);
    headless_screen(t, false);
}

/* ---- commands ------------------------------------------------------------------------------------------------------- */

static void mistakes_are_told(void **state)
{
    struct headless *t = *state;
    static const char *const lines[] = {"/vote",    "/vote 1",      "/vote 33",       "/vote x", "/vote 5x",
                                        "/compare", "/compare 100", "/compare x 100", "/pick 1", "/compare 1 2 3 4 5 6 7 8 9"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        headless_keys(t, lines[i]);
        headless_keys(t, "\r");
        assert_true(t->app->notice_is_error);
        assert_int_equal(t->chat.log.len, 0);
    }
    headless_keys(t, "/vote 3\r");
    assert_true(headless_shows(t, "there is no reply to write again"));
    struct group g;
    headless_keys(t, "/compare 5s unlimited 2m why?\r");
    assert_true(headless_logged(t, "compare 3 why?"));
    begin(&g, t, voices, 3);
    headless_keys(t, "/pick 1\r");
    assert_true(t->app->notice_is_error);
    headless_keys(t, "/vote 3\r");
    assert_true(headless_shows(t, "still being written"));
}

static void another_reply_can_be_picked(void **state)
{
    struct headless *t = *state;
    struct group g;
    headless_keys(t, "/vote 5 how many?\r");
    begin(&g, t, voices, 5);
    all(&g, "vote", 0);
    assert_true(headless_shows(t, "Roger has 11 balls."));
    assert_true(headless_shows(t, "version 1 of 5"));
    headless_keys(t, "/pick 2\r");
    assert_true(headless_shows(t, "goes on with reply 2"));
    assert_true(headless_shows(t, "He has 8."));
    assert_true(headless_shows(t, "version 2 of 5"));
    assert_true(headless_shows(t, "* 2 "));
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t->store, t->chat.conversation, &l, NULL), 0);
    assert_int_equal(l.items[1].id, g.id[1]);
    message_list_release(&l);
    headless_keys(t, "/pick 6\r");
    assert_true(t->app->notice_is_error);
    /* what is rated is the reply that was picked */
    headless_keys(t, "/rate up\r");
    struct reply_ratings r = {0};
    assert_int_equal(store_load_ratings(t->store, g.id[1], &r, NULL), 0);
    assert_int_equal(r.answer.value, 1);
    reply_ratings_release(&r);
}

static void typing_and_live_keys_go_on(void **state)
{
    struct headless *t = *state;
    struct group g;
    headless_keys(t, "/vote 3 how many?\r");
    begin(&g, t, voices, 3);
    for (int i = 0; i < 3; i++) think(&g, i);
    headless_keys(t, "+");
    assert_true(headless_logged(t, "budget 500"));
    headless_click(t, "[F5] answer");
    assert_true(headless_logged(t, "answer"));
    headless_keys(t, "next question\r");
    assert_int_equal(t->chat.n_queued, 1);
    headless_keys(t, "half a li");
    for (int i = 0; i < 3; i++) say(&g, i);
    for (int i = 0; i < 3; i++) end(&g, i);
    decide(&g, "vote", 0);
    assert_string_equal(headless_line(t), "half a li");
}

static void what_is_read_stays(void **state)
{
    struct headless *t = *state;
    struct group g;
    headless_long_chat(t, 12);
    headless_keys(t, "/vote 5 how many?\r");
    begin(&g, t, voices, 5);
    for (int i = 0; i < 5; i++) think(&g, i);
    headless_screen(t, false);
    transcript_scroll(&t->app->t, -5);
    struct str before = STR_EMPTY, after = STR_EMPTY;
    headless_window(t, &before);
    for (int i = 0; i < 5; i++) say(&g, i);
    for (int i = 0; i < 5; i++) end(&g, i);
    decide(&g, "vote", 0);
    headless_window(t, &after);
    /* the rows above the vote are the same */
    size_t head = (size_t)(strstr(str_cstr(&before), "how many?") - str_cstr(&before));
    assert_true(head > 100 && head < before.len);
    assert_memory_equal(before.data, after.data, head);
    str_release(&before);
    str_release(&after);
}

static void hostile_words_stay_words(void **state)
{
    struct headless *t = *state;
    static const struct reply bad[] = {
        {"400", "a\033[31m\tb\r\xff",
         "\033]0;x\007 \xe2\x80\xae"
         "evil\n\n\n\x9b",
         "\xe2\x80\xae"
         "evil\033[2J",
         5, 5, 100, THOUGHT_NATURAL, ANSWER_COMPLETE},
        {"400", "", "", "", 0, 0, 0, THOUGHT_ERROR, ANSWER_ERROR},
    };
    struct group g;
    headless_keys(t, "/vote 2 x\r");
    begin(&g, t, bad, 2);
    think(&g, 0);
    assert_null(strchr(headless_screen(t, false), '\033'));
    say(&g, 0);
    assert_null(strchr(headless_screen(t, false), '\033'));
    event(&g, 0, CHAT_SAMPLE_ENDED, bad[0].answer);
    assert_null(strchr(headless_screen(t, false), '\033'));
    assert_null(strstr(headless_screen(t, false), "\xe2\x80\xae"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_vote_is_a_table),          TEST(a_comparison_is_columns), TEST(mistakes_are_told),        TEST(another_reply_can_be_picked),
        TEST(typing_and_live_keys_go_on), TEST(what_is_read_stays),      TEST(hostile_words_stay_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
