/* Comparing two replies, rating the steps of a thought, tags and comments: a test for each promise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"
#include "ui/duel.h"
#include "ui/review.h"
#include "ui/walk.h"

/* Writes the reply that the chat was asked for. */
static void write_reply(struct headless *t, const char *thought, const char *answer)
{
    headless_prefill(t, 10, 10);
    headless_thinking(t);
    headless_thought(t, thought);
    headless_progress(t, 12400, 212);
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, answer);
    headless_ended(t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
}

static void ask_twice(struct headless *t)
{
    headless_keys(t, "/ab what is it?\r");
    write_reply(t, "first thought", "answer alpha");
    write_reply(t, "second thought", "answer beta");
}

/* On which side the reply stands that was written first: 'a' or 'b'. */
static char side_of_first(struct headless *t)
{
    const char *screen = headless_screen(t, false), *alpha = strstr(screen, "alpha"), *beta = strstr(screen, "beta");
    assert_non_null(alpha);
    assert_non_null(beta);
    return alpha < beta ? 'a' : 'b';
}

static int64_t newest_pair(struct headless *t, struct vote *v)
{
    struct err e = {0};
    int64_t first = t->chat.leaf, rival = 0;
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t->store, t->chat.conversation, &l, &e), 0);
    first = l.items[l.n - 1].id;
    message_list_release(&l);
    assert_int_equal(store_rival(t->store, first, &rival, &e), 0);
    assert_int_equal(store_load_vote(t->store, first, rival, v, &e), 0);
    return first;
}

static void test_neither_is_shown_before_both_are_written(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/ab what is it?\r");
    assert_true(headless_logged(t, "send what is it?\n"));
    write_reply(t, "first thought", "answer alpha");
    assert_true(headless_shows(t, "the second of two replies is being written"));
    assert_false(headless_shows(t, "alpha"));
    assert_true(headless_logged(t, "regenerate\n"));
    headless_prefill(t, 1, 1);
    headless_thinking(t);
    headless_thought(t, "second thought");
    headless_progress(t, 5000, 99);
    static const char *const hidden[] = {"alpha", "second thought", "99", "SmolLM2", "tok", "ctx", "400"};
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (headless_shows(t, hidden[i])) fail_msg("%s can be seen", hidden[i]);
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "answer beta");
    headless_ended(t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
    assert_true(headless_shows(t, "alpha"));
    assert_true(headless_shows(t, "beta"));
    static const char *const still[] = {"SmolLM2", "tok", "ctx", "400", "12 s", "version", "budget"};
    for (size_t i = 0; i < ARRAY_LEN(still); i++)
        if (headless_shows(t, still[i])) fail_msg("%s can be seen", still[i]);
    headless_keys(t, " ");
    assert_true(headless_shows(t, "second thought"));
}

static void test_a_vote(void **state)
{
    struct headless *t = *state;
    struct vote v;
    ask_twice(t);
    char side = side_of_first(t);
    headless_wait(t, 2500);
    headless_keys(t, side == 'a' ? "a" : "b"); /* the first one is better */
    assert_true(headless_shows(t, "1 slightly"));
    headless_keys(t, "3");
    int64_t winner = newest_pair(t, &v);
    assert_true(v.blind);
    assert_int_equal(v.strength, 3);
    assert_int_equal(v.verdict, VERDICT_A);
    assert_int_equal(v.shown_first, side);
    assert_int_equal(v.spent_ms, 2500);
    assert_int_equal(winner, v.a);
    assert_true(headless_shows(t, "answer alpha")); /* the branch that is shown */
    assert_false(headless_shows(t, "answer beta"));
    assert_true(headless_shows(t, "kept · A: m, budget 400"));
    assert_true(headless_shows(t, "SmolLM2"));
    /* taking it back brings the branch back that was shown before */
    headless_keys(t, "\tu");
    assert_true(headless_shows(t, "taken back: vote"));
    assert_true(headless_shows(t, "answer beta"));
    struct err e = {0};
    assert_int_equal(store_load_vote(t->store, v.a, v.b, &v, &e), ERR_NOT_FOUND);
}

static void test_verdicts_without_a_winner(void **state)
{
    static const struct {
        const char *key;
        enum verdict verdict;
    } cases[] = {{"t", VERDICT_TIE}, {"x", VERDICT_BOTH_BAD}, {"s", VERDICT_SKIP}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct headless t;
        struct vote v;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        headless_model(&t);
        ask_twice(&t);
        headless_keys(&t, cases[i].key);
        newest_pair(&t, &v);
        assert_int_equal(v.verdict, cases[i].verdict);
        assert_int_equal(v.strength, 0);
        assert_true(headless_shows(&t, "answer alpha")); /* the earlier one stays */
        headless_close(&t);
    }
}

static void test_both_orders_come(void **state)
{
    int seen[2] = {0, 0};
    (void)state;
    for (int i = 0; i < 64 && !(seen[0] && seen[1]); i++) {
        struct headless t;
        headless_open(&t);
        headless_start(&t, 120, 24, 0);
        headless_model(&t);
        ask_twice(&t);
        seen[side_of_first(&t) == 'a']++;
        headless_close(&t);
    }
    assert_true(seen[0] && seen[1]);
}

static void test_stacked_below_100_columns(void **state)
{
    struct headless *t = *state;
    ask_twice(t);
    for (int w = 99; w <= 100; w++) {
        app_resize(t->app, w, 30);
        const char *screen = headless_screen(t, false), *x = strstr(screen, "alpha"), *y = strstr(screen, "beta");
        size_t lines = 0;
        for (const char *p = x < y ? x : y; p < (x < y ? y : x); p++) lines += *p == '\n';
        assert_int_equal(lines > 0, w < 100);
    }
    for (int w = 1; w < 30; w += 3) /* and nothing breaks when there is no room */
        for (int h = 1; h < 12; h++) {
            app_resize(t->app, w, h);
            headless_screen(t, false);
        }
}

static void test_budgets(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/ab budgets 50 30s what?\r");
    assert_true(headless_logged(t, "send what?\n"));
    assert_int_equal(t->chat.set.budget.amount, 50);
    write_reply(t, "x", "answer alpha");
    assert_int_equal(t->chat.set.budget.kind, BUDGET_SECONDS);
    write_reply(t, "x", "answer beta");
    assert_int_equal(t->chat.set.budget.amount, 400); /* as it was */
    headless_keys(t, ESC);
    assert_null(t->app->duel);
    headless_keys(t, "/ab budgets 50\r");
    assert_true(headless_shows(t, "/ab budgets 100 400"));
    headless_keys(t, "\025/ab budgets many few\r");
    assert_true(headless_shows(t, "is not a budget"));
}

static void test_models(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/model small\r");
    headless_model(t);
    headless_keys(t, "/ab models small big what?\r");
    write_reply(t, "x", "answer alpha");
    assert_string_equal(t->chat.model_path, "/models/big.gguf");
    headless_model(t);
    assert_false(headless_shows(t, "SmolLM2"));
    write_reply(t, "x", "answer beta");
    headless_model(t);
    assert_string_equal(t->chat.model_path, "/models/small.gguf");
    assert_string_equal(t->app->set.model, "small");
    headless_keys(t, "t");
    assert_true(headless_shows(t, "kept"));
}

static void test_answers_to_one_thought(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "what?", "thought", "answer zero");
    headless_keys(t, "/ab answer\r");
    assert_true(headless_logged(t, "regenerate\n"));
    write_reply(t, "x", "answer alpha");
    assert_true(headless_logged(t, "rethink m"));
    write_reply(t, "x", "answer beta");
    side_of_first(t);
}

static void test_a_fixed_seed_is_not_used_twice(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/set seed 7\r");
    headless_keys(t, "/ab what?\r");
    assert_int_equal(t->chat.set.seed, 7);
    write_reply(t, "x", "answer alpha");
    assert_int_equal(t->chat.set.seed, 8);
    write_reply(t, "x", "answer beta");
    assert_int_equal(t->chat.set.seed, 7);
}

static void test_called_off(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/ab what?\r");
    headless_prefill(t, 1, 1);
    headless_thinking(t);
    /* nothing else acts meanwhile, and what is typed stays */
    headless_keys(t, ESC "[15~");
    assert_false(headless_logged(t, "answer "));
    headless_keys(t, "next question\r");
    assert_string_equal(headless_line(t), "next question");
    assert_false(headless_logged(t, "send next question"));
    headless_keys(t, "\025/budget 10\r");
    assert_true(headless_shows(t, "Esc calls it off"));
    headless_keys(t, "\025");
    headless_keys(t, ESC);
    assert_true(headless_logged(t, "stop \n"));
    headless_answer(t, "half an");
    headless_ended(t, THOUGHT_STOPPED, ANSWER_NOT_BEGUN, NULL);
    assert_null(t->app->duel);
    assert_true(headless_shows(t, "no comparison: called off"));
    assert_true(headless_shows(t, "half an"));
    headless_keys(t, "/ab\r"); /* and it can be begun anew, for the prompt that is there */
    assert_true(headless_logged(t, "regenerate\n"));
}

static void test_ab_without_a_prompt(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/ab\r");
    assert_true(headless_shows(t, "there is no prompt yet"));
    assert_null(t->app->duel);
}

static void test_a_regeneration_is_voted_on(void **state)
{
    struct headless *t = *state;
    struct vote v;
    headless_exchange(t, "what?", "thought", "answer alpha");
    headless_keys(t, "\tv");
    assert_true(headless_shows(t, "there is no other reply to this prompt"));
    headless_keys(t, "r");
    write_reply(t, "x", "answer beta");
    headless_keys(t, "\tv");
    assert_int_equal(side_of_first(t), 'a');
    assert_true(headless_shows(t, "budget 400")); /* nothing is hidden */
    headless_keys(t, "b\r");
    newest_pair(t, &v);
    assert_false(v.blind);
    assert_int_equal(v.verdict, VERDICT_B);
    assert_int_equal(v.strength, 0);
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

static void steps_of(struct headless *t, struct thought_steps *s)
{
    struct err e = {0};
    int64_t id = t->app->t.items[t->app->t.n - 1].id;
    assert_int_equal(store_load_steps(t->store, id, s, &e), 0);
}

static void test_walk(void **state)
{
    struct headless *t = *state;
    struct thought_steps s;
    headless_exchange(t, "what?", "One is so.\n\nTwo is \033[31mso.\n\nThree is wrong.\n\nFour follows.", "answer");
    headless_keys(t, "\ts");
    assert_true(headless_shows(t, "step 1 of 4"));
    assert_true(headless_shows(t, "Three is wrong."));
    headless_keys(t, "+0");
    assert_true(headless_shows(t, "step 3 of 4"));
    headless_keys(t, "-");
    assert_null(t->app->walk);
    assert_true(headless_shows(t, "1 good, 1 neutral, the first error is step 3 of 4"));
    steps_of(t, &s);
    assert_int_equal(s.n, 4);
    static const int want[] = {1, 0, -1};
    for (size_t i = 0; i < 3; i++) {
        assert_true(s.items[i].rated);
        assert_int_equal(s.items[i].value, want[i]);
    }
    assert_false(s.items[3].rated);
    thought_steps_release(&s);
    /* taken back from reading focus, and gone on with */
    headless_keys(t, "u");
    assert_true(headless_shows(t, "taken back: steps"));
    headless_keys(t, "s");
    assert_true(headless_shows(t, "step 3 of 4"));
    headless_keys(t, "u");
    assert_true(headless_shows(t, "step 2 of 4"));
    headless_keys(t, "+++");
    assert_true(headless_shows(t, "4 good, 0 neutral of 4 steps, no error marked"));
    /* a bad mark in front of good ones drops them */
    headless_keys(t, "s");
    headless_keys(t, ESC "[H");
    headless_keys(t, "-");
    assert_true(headless_shows(t, "0 good, 0 neutral, the first error is step 1 of 4"));
}

static void test_walk_at_any_size(void **state)
{
    struct headless *t = *state;
    struct str thought = STR_EMPTY;
    for (int i = 0; i < 60; i++) str_addf(&thought, "Step %d says something that is longer than a narrow line.\n\n", i);
    headless_exchange(t, "what?", str_cstr(&thought), "answer");
    str_release(&thought);
    headless_keys(t, "\ts");
    for (int i = 0; i < 30; i++) headless_keys(t, "+");
    assert_true(headless_shows(t, "step 31 of 60"));
    assert_true(headless_shows(t, "Step 30 says"));
    for (int w = 1; w < 40; w += 7)
        for (int h = 1; h < 20; h += 3) {
            app_resize(t->app, w, h);
            headless_screen(t, false);
        }
    headless_keys(t, ESC);
    assert_null(t->app->walk);
}

static void test_walk_without_a_thought(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "what?", NULL, "answer");
    headless_keys(t, "\ts");
    assert_null(t->app->walk);
    assert_true(headless_shows(t, "no thought"));
}

/* ---- tags, comments, corrected thoughts ------------------------------------------------------------------------------ */

static struct reply_ratings ratings_of(struct headless *t)
{
    struct reply_ratings r = {0};
    assert_int_equal(store_load_ratings(t->store, t->app->t.items[t->app->t.n - 1].id, &r, NULL), 0);
    return r;
}

static void test_tags_and_comments(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "what?", "thought", "answer");
    headless_keys(t, "\tT");
    headless_keys(t, "math short\r");
    struct reply_ratings r = ratings_of(t);
    assert_string_equal(r.tags, "[\"math\",\"short\"]");
    reply_ratings_release(&r);
    headless_keys(t, "T");
    assert_true(headless_shows(t, "math"));
    headless_keys(t, "-math x\r");
    r = ratings_of(t);
    assert_string_equal(r.tags, "[\"short\",\"x\"]");
    reply_ratings_release(&r);
    headless_keys(t, "u"); /* one line was one change */
    r = ratings_of(t);
    assert_string_equal(r.tags, "[\"math\",\"short\"]");
    reply_ratings_release(&r);
    headless_keys(t, "-C");
    headless_keys(t, "wrong sign\r");
    headless_keys(t, "]C");
    headless_keys(t, "good plan\r");
    r = ratings_of(t);
    assert_int_equal(r.answer.value, -1);
    assert_string_equal(r.answer.comment, "wrong sign");
    assert_int_equal(r.thought.value, 1);
    assert_string_equal(r.thought.comment, "good plan");
    reply_ratings_release(&r);
}

static void test_corrections(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "what?", "thought", "answer");
    headless_keys(t, "\tE");
    assert_string_equal(headless_line(t), "thought");
    headless_keys(t, " mended\r");
    struct reply_ratings r = ratings_of(t);
    assert_string_equal(r.thought.edited, "thought mended");
    reply_ratings_release(&r);
    headless_keys(t, "\tE"); /* what was corrected is corrected further */
    assert_string_equal(headless_line(t), "thought mended");
    headless_keys(t, ESC);
    headless_keys(t, "\tu");
    r = ratings_of(t);
    assert_null(r.thought.edited);
    reply_ratings_release(&r);
}

/* ---- review --------------------------------------------------------------------------------------------------------- */

static int64_t kept_reply(struct headless *t, int64_t conversation, int64_t parent, const char *model, const char *text)
{
    struct err e = {0};
    int64_t id = 0;
    const struct reply_start start = {.conversation = conversation, .parent = parent, .model = model, .budget = "400"};
    const struct reply_end end = {.ended = "natural", .answer_ended = "complete", .budget_final = "400"};
    assert_int_equal(store_begin_reply(t->store, &start, &id, &e), 0);
    assert_int_equal(store_end_reply(t->store, id, "so", 2, text, strlen(text), &end, &e), 0);
    return id;
}

/* Two conversations; in the first one a reply on a branch that is not shown. ids: the three replies. */
static void fill(struct headless *t, int64_t ids[3])
{
    struct err e = {0};
    int64_t c = 0, p = 0;
    assert_int_equal(store_new_conversation(t->store, "", &c, &e), 0);
    assert_int_equal(store_add_prompt(t->store, c, 0, "first question", 14, &p, &e), 0);
    ids[0] = kept_reply(t, c, p, "Big Q4", "answer one");
    ids[1] = kept_reply(t, c, p, "Small Q4", "answer two");
    assert_int_equal(store_new_conversation(t->store, "", &c, &e), 0);
    assert_int_equal(store_add_prompt(t->store, c, 0, "second question", 15, &p, &e), 0);
    ids[2] = kept_reply(t, c, p, "Big Q4", "answer three");
}

static void start_review(struct headless *t, struct review_chat *none, struct id_list *l)
{
    struct err e = {0};
    const struct search_filter all = {0};
    assert_int_equal(store_unrated(t->store, &all, NULL, l, &e), 0);
    headless_start(t, 80, 24, 0);
    t->app->port = &review_port;
    t->app->chat = (struct chat *)(void *)none;
    assert_int_equal(review_start(t->app, l->ids, l->n, &e), 0);
}

static void stop_review(struct headless *t, struct id_list *l)
{
    headless_stop(t);
    id_list_release(l);
}

static void test_review(void **state)
{
    struct headless t;
    struct review_chat none = {0};
    struct id_list l;
    int64_t ids[3];
    (void)state;
    headless_open(&t);
    fill(&t, ids);
    start_review(&t, &none, &l);
    assert_int_equal(l.n, 3);
    assert_true(headless_shows(&t, "review 1/3"));
    assert_true(headless_shows(&t, "answer one")); /* although another branch is shown */
    headless_keys(&t, "+1");
    headless_keys(&t, "\r");
    assert_true(headless_shows(&t, "review 2/3"));
    assert_true(headless_shows(&t, "answer two"));
    assert_false(headless_shows(&t, "answer one"));
    headless_keys(&t, "\r");
    assert_true(headless_shows(&t, "answer three"));
    headless_keys(&t, "\177");
    assert_true(headless_shows(&t, "answer two"));
    headless_keys(&t, "T");
    headless_keys(&t, "odd\r");
    headless_keys(&t, "+"); /* reading again at once */
    assert_true(headless_shows(&t, "answer + why?"));
    headless_keys(&t, "u");
    headless_keys(&t, "r"); /* nothing here writes */
    assert_true(headless_shows(&t, "a review has no model"));
    struct message_list branch = {0};
    assert_int_equal(store_load_branch(t.store, 1, &branch, NULL), 0);
    assert_string_equal(branch.items[1].text, "answer two"); /* the branch that was shown still is */
    message_list_release(&branch);
    headless_keys(&t, "q");
    assert_true(t.app->want.quit);
    stop_review(&t, &l);
    /* the rated one comes no more; it goes on behind the one shown last */
    start_review(&t, &none, &l);
    assert_int_equal(l.n, 2);
    assert_true(headless_shows(&t, "review 2/2"));
    assert_true(headless_shows(&t, "answer three"));
    headless_keys(&t, "-\r");
    assert_true(t.app->want.quit);
    stop_review(&t, &l);
    /* behind the last one it begins again with what was passed */
    start_review(&t, &none, &l);
    assert_int_equal(l.n, 1);
    assert_true(headless_shows(&t, "answer two"));
    stop_review(&t, &l);
    headless_close(&t);
}

static void test_review_filters(void **state)
{
    struct headless t;
    int64_t ids[3];
    (void)state;
    headless_open(&t);
    fill(&t, ids);
    assert_int_equal(store_tag(t.store, ids[2], "odd", true, NULL), 0);
    const struct {
        struct search_filter filter;
        const char *words;
        size_t n;
        int64_t first;
    } cases[] = {{{.model = "big"}, NULL, 2, ids[0]},
                 {{.model = "small"}, NULL, 1, ids[1]},
                 {{.tag = "odd"}, NULL, 1, ids[2]},
                 {{.ending = "natural"}, NULL, 3, ids[0]},
                 {{.ending = "loop"}, NULL, 0, 0},
                 {{.since_ms = clock_wall_ms() + 100000}, NULL, 0, 0},
                 {{.until_ms = clock_wall_ms() + 100000}, NULL, 3, ids[0]},
                 {{0}, "answer two", 1, ids[1]},
                 {{0}, "question", 3, ids[0]}, /* of the prompt */
                 {{.model = "small"}, "answer", 1, ids[1]},
                 {{.tag = "odd"}, "two", 0, 0},
                 {{0}, "unheard", 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct id_list l;
        assert_int_equal(store_unrated(t.store, &cases[i].filter, cases[i].words, &l, NULL), 0);
        assert_int_equal(l.n, cases[i].n);
        if (l.n) assert_int_equal(l.ids[0], cases[i].first);
        id_list_release(&l);
    }
    headless_close(&t);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
    const struct CMUnitTest tests[] = {
        T(test_neither_is_shown_before_both_are_written),
        T(test_a_vote),
        cmocka_unit_test(test_verdicts_without_a_winner),
        cmocka_unit_test(test_both_orders_come),
        T(test_stacked_below_100_columns),
        T(test_budgets),
        T(test_models),
        T(test_answers_to_one_thought),
        T(test_a_fixed_seed_is_not_used_twice),
        T(test_called_off),
        T(test_ab_without_a_prompt),
        T(test_a_regeneration_is_voted_on),
        T(test_walk),
        T(test_walk_at_any_size),
        T(test_walk_without_a_thought),
        T(test_tags_and_comments),
        T(test_corrections),
        cmocka_unit_test(test_review),
        cmocka_unit_test(test_review_filters),
    };
    return cmocka_run_group_tests_name("ui_judge", tests, NULL, NULL);
}
