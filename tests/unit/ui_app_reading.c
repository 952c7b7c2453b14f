/* Reading focus: moving, rating, copying, editing, branching, finding. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

/* ---- reading focus ------------------------------------------------------------------------------------------------ */

static void test_reading_begins_at_the_newest_reply(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 3);
    headless_keys(t, "\t");
    assert_int_equal(t->app->focus, FOCUS_READING);
    assert_int_equal(t->app->focus_item, 5);
    headless_keys(t, "kk");
    assert_int_equal(t->app->focus_item, 3);
    headless_keys(t, "j");
    assert_int_equal(t->app->focus_item, 4);
    headless_keys(t, "g");
    assert_int_equal(t->app->focus_item, 0);
    headless_keys(t, "G");
    assert_int_equal(t->app->focus_item, 5);
    assert_string_equal(headless_line(t), "");
}

static void test_tab_with_text_completes(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 1);
    headless_keys(t, "/reg\t");
    assert_string_equal(headless_line(t), "/regen ");
    assert_int_equal(t->app->focus, FOCUS_INPUT);
}

static void check_rating(struct headless *t, int64_t id, int answer, int thought)
{
    struct message_list l = {0};
    struct err e = {0};
    assert_int_equal(store_load_message(t->store, id, &l, &e), 0);
    assert_int_equal(l.items[0].answer_rating, answer);
    assert_int_equal(l.items[0].thought_rating, thought);
    message_list_release(&l);
}

static void test_rating(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "a thought", "an answer");
    int64_t id = t->app->t.items[1].id;
    headless_keys(t, "\t+");
    check_rating(t, id, 1, 0);
    assert_true(headless_shows(t, "rated +"));
    headless_keys(t, "-");
    check_rating(t, id, -1, 0);
    headless_keys(t, "]");
    check_rating(t, id, -1, 1);
    headless_keys(t, "[");
    check_rating(t, id, -1, -1);
    headless_keys(t, "u");
    check_rating(t, id, -1, 1);
    headless_keys(t, "uu");
    check_rating(t, id, 1, 0);
    headless_keys(t, "+");
    check_rating(t, id, 0, 0);
    headless_keys(t, "u");
    check_rating(t, id, 1, 0);
}

static void test_reasons(void **state)
{
    struct headless *t = *state;
    struct reply_ratings r = {0};
    headless_exchange(t, "q", "a thought", "an answer");
    int64_t id = t->app->t.items[1].id;
    headless_keys(t, "\t");
    headless_keys(t, "3");
    assert_true(headless_shows(t, "rate first"));
    headless_keys(t, "+");
    assert_true(headless_shows(t, "answer + why?  1\u00a0"));
    headless_keys(t, "12");
    assert_true(headless_shows(t, "why? [1\u00a0"));
    headless_keys(t, "1");
    assert_int_equal(store_load_ratings(t->store, id, &r, NULL), 0);
    char want[80];
    snprintf(want, sizeof want, "[\"%s\"]", t->app->reasons.names[PART_ANSWER][1][1]);
    assert_string_equal(r.answer.reasons, want);
    assert_string_equal(r.thought.reasons, "[]");
    reply_ratings_release(&r);
    headless_keys(t, "[1");
    assert_int_equal(store_load_ratings(t->store, id, &r, NULL), 0);
    snprintf(want, sizeof want, "[\"%s\"]", t->app->reasons.names[PART_THOUGHT][0][0]);
    assert_string_equal(r.thought.reasons, want);
    assert_int_equal(r.answer.value, 1);
    reply_ratings_release(&r);
}

static void test_copy_code(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "text\n\n```c\nint a;\n```\n\nand\n\n```\nsecond\n```\n");
    headless_keys(t, "\tc");
    assert_string_equal(str_cstr(&t->app->want.copy), "int a;\n");
    headless_keys(t, "c");
    assert_string_equal(str_cstr(&t->app->want.copy), "second\n");
    headless_keys(t, "c");
    assert_string_equal(str_cstr(&t->app->want.copy), "int a;\n");
}

static void test_running_reply_cannot_be_rated(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "\t+");
    assert_true(headless_shows(t, "cannot be rated yet"));
    check_rating(t, t->chat.reply, 0, 0);
    headless_keys(t, "]");
    check_rating(t, t->chat.reply, 0, 0);
}

static void test_space_folds_in_reading(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "first thought", "an answer");
    headless_exchange(t, "q2", "second thought", "another");
    headless_keys(t, "\tkk ");
    assert_true(headless_shows(t, "│ first thought"));
    assert_false(headless_shows(t, "│ second thought"));
}

static void test_copy(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "an\033 answer");
    headless_keys(t, "\ty");
    assert_string_equal(str_cstr(&t->app->want.copy), "an␛ answer");
}

static void test_edit_prompt_branches(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "first prompt", NULL, "first answer");
    headless_exchange(t, "second prompt", NULL, "second answer");
    headless_keys(t, "my draft");
    headless_keys(t, CTRL('u'));
    headless_keys(t, "\tke");
    assert_string_equal(headless_line(t), "second prompt");
    assert_true(headless_shows(t, "edit> second prompt"));
    headless_keys(t, "!\r");
    assert_true(headless_logged(t, "edit second prompt!\n"));
    assert_int_equal(t->app->t.n, 4);
    assert_false(headless_shows(t, "second answer"));
    assert_true(headless_shows(t, " second prompt!"));
    headless_prefill(t, 1, 1);
    headless_answer(t, "third answer");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    assert_int_equal(t->app->t.n, 4);
}

static void test_edit_answer_keeps_a_correction(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "wrnog");
    headless_keys(t, "\te");
    assert_string_equal(headless_line(t), "wrnog");
    headless_keys(t, CTRL('u'));
    headless_keys(t, "right\r");
    assert_true(headless_shows(t, "correction kept"));
    assert_true(headless_shows(t, " wrnog")); /* what was said stays */
}

static void test_regenerate(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "old answer");
    headless_keys(t, "\tr");
    assert_true(headless_logged(t, "regenerate"));
    assert_false(headless_shows(t, "old answer"));
    headless_prefill(t, 1, 1);
    headless_answer(t, "new answer");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    assert_int_equal(t->app->t.n, 2);
    assert_true(headless_shows(t, "version 2 of 2"));
}

static void test_branch(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "one", NULL, "two");
    headless_exchange(t, "three", NULL, "four");
    headless_keys(t, "\tkkb");
    assert_true(headless_shows(t, "branch>"));
    headless_keys(t, "other\r");
    assert_true(headless_logged(t, "edit other\n"));
    assert_int_equal(t->app->t.n, 4);
    assert_false(headless_shows(t, " three\n"));
}

static void test_find(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 10);
    headless_keys(t, "\t/NUMBER 3\r");
    assert_int_equal(t->app->focus, FOCUS_READING);
    assert_int_equal(t->app->focus_item, 6);
    assert_true(headless_shows(t, "prompt number 3"));
    assert_non_null(strstr(headless_screen(t, true), "{match:number 3}"));
    headless_keys(t, "/answer\r");
    assert_int_equal(t->app->focus_item, 5);
    headless_keys(t, "n");
    assert_int_equal(t->app->focus_item, 7);
    headless_keys(t, "NN");
    assert_int_equal(t->app->focus_item, 3);
    headless_keys(t, "/nowhere\r");
    assert_true(headless_shows(t, "\"nowhere\" is not in this conversation"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
    const struct CMUnitTest tests[] = {
        T(test_reading_begins_at_the_newest_reply),
        T(test_tab_with_text_completes),
        T(test_rating),
        T(test_reasons),
        T(test_copy_code),
        T(test_running_reply_cannot_be_rated),
        T(test_space_folds_in_reading),
        T(test_copy),
        T(test_edit_prompt_branches),
        T(test_edit_answer_keeps_a_correction),
        T(test_regenerate),
        T(test_branch),
        T(test_find),
    };
    return cmocka_run_group_tests_name("reading", tests, NULL, NULL);
}
