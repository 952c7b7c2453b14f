/* Scrolling, resizing and the mouse: nothing moves but what the reader moves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

/* ---- scrolling ---------------------------------------------------------------------------------------------------- */

static void test_nothing_moves_when_scrolled_up(void **state)
{
    struct headless *t = *state;
    struct str before = STR_EMPTY, after = STR_EMPTY;
    headless_long_chat(t, 8);
    headless_think(t);
    for (int i = 0; i < 30; i++) headless_thought(t, "a line of the thought\n");
    headless_screen(t, false);
    headless_keys(t, ESC "[1;5A"); /* up by a line: the thought is still in sight */
    headless_wait(t, 0);
    headless_window(t, &before);
    int below = transcript_below(&t->app->t, 1000);
    for (int i = 0; i < 7; i++) headless_thought(t, "unseen line\n");
    headless_window(t, &after);
    assert_string_equal(str_cstr(&before), str_cstr(&after));
    assert_int_equal(transcript_below(&t->app->t, 1000), below + 7);
    headless_progress(t, 2000, 40);
    headless_window(t, &after);
    assert_string_equal(str_cstr(&before), str_cstr(&after));
    /* the fold at the answer waits too: only the header may say that it is over */
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "the answer\nof two lines");
    headless_window(t, &after);
    assert_non_null(strstr(str_cstr(&after), "│ a line of the thought"));
    headless_keys(t, ESC "[F");
    headless_window(t, &after);
    assert_null(strstr(str_cstr(&after), "│ a line of the thought"));
    assert_true(headless_shows(t, "of two lines"));
    str_release(&before);
    str_release(&after);
}

static void test_more_below_counts(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 8);
    headless_keys(t, ESC "[5~");
    assert_true(headless_shows(t, "↓ 19 more lines · End"));
    headless_keys(t, "more\r"); /* sending goes to the end: one's own words are seen */
    assert_false(headless_shows(t, "more lines"));
    headless_keys(t, ESC "[5~");
    headless_prefill(t, 1, 1);
    headless_answer(t, "one\ntwo\nthree");
    assert_true(headless_shows(t, "↓ 21 more lines · End"));
}

static void test_end_follows_only_on_an_empty_line(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 8);
    headless_keys(t, ESC "[5~");
    headless_keys(t, "ab");
    headless_keys(t, ESC "[F");
    assert_false(t->app->t.follow);
    headless_keys(t, CTRL('u'));
    headless_keys(t, ESC "[F");
    assert_true(t->app->t.follow);
}

static void test_resize_keeps_the_place(void **state)
{
    struct headless *t = *state;
    headless_exchange(
        t, "first", NULL,
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega");
    for (int i = 0; i < 10; i++)
        headless_exchange(t, "other", NULL,
                          "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi MARK omicron pi rho sigma tau upsilon "
                          "phi chi psi omega and once more from the start");
    headless_screen(t, false);
    headless_keys(t, ESC "[5~" ESC "[5~");
    for (int i = 0; i < 8; i++) { /* until the top row is a second line of an answer */
        struct row r;
        transcript_row(&t->app->t, t->app->t.top_item, t->app->t.top_row, &r);
        if (r.kind == ROW_ANSWER && r.from > 0) break;
        headless_keys(t, ESC "[1;5B");
    }
    size_t item = t->app->t.top_item;
    struct row r;
    transcript_row(&t->app->t, item, t->app->t.top_row, &r);
    assert_int_equal(r.kind, ROW_ANSWER);
    size_t byte = r.from;
    static const int widths[] = {60, 41, 24, 200, 7, 80};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        app_resize(t->app, widths[i], 24);
        headless_screen(t, false);
        transcript_row(&t->app->t, t->app->t.top_item, t->app->t.top_row, &r);
        assert_int_equal(t->app->t.top_item, item);
        assert_int_equal(r.kind, ROW_ANSWER);
        assert_true(r.from <= byte && byte < r.from + r.n + 1);
    }
}

static void test_fold_above_does_not_move_the_text(void **state)
{
    struct headless *t = *state;
    struct str before = STR_EMPTY, after = STR_EMPTY;
    headless_exchange(t, "q", "a thought\nof two lines", "an answer");
    headless_long_chat(t, 10);
    headless_keys(t, ESC "[5~");
    headless_window(t, &before);
    app_set_fold(t->app, 1, VIEW_FULL);
    headless_window(t, &after);
    assert_string_equal(str_cstr(&before), str_cstr(&after));
    str_release(&before);
    str_release(&after);
}

static void test_opened_thought_is_read_from_its_header(void **state)
{
    struct headless *t = *state;
    struct str thought = STR_EMPTY;
    for (int i = 0; i < 60; i++) str_addf(&thought, "thought line %d\n", i);
    headless_exchange(t, "q", str_cstr(&thought), "an answer");
    headless_screen(t, false);
    headless_keys(t, CTRL('o'));
    assert_true(headless_shows(t, "▾ Thought for 12 s"));
    assert_true(headless_shows(t, "│ thought line 0\n"));
    assert_true(headless_shows(t, "more lines"));
    headless_keys(t, CTRL('o'));
    assert_true(headless_shows(t, "▸ Thought for 12 s"));
    assert_true(headless_shows(t, "an answer"));
    assert_true(t->app->t.follow);
    str_release(&thought);
}

static void test_wheel_scrolls(void **state)
{
    struct headless *t = *state;
    headless_long_chat(t, 8);
    headless_keys(t, ESC "[<64;10;5M");
    assert_false(t->app->t.follow);
    assert_int_equal(transcript_below(&t->app->t, 100), 3);
    headless_keys(t, ESC "[<65;10;5M");
    assert_true(t->app->t.follow);
}

static void test_column_of_thoughts(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    settings_set(&t.set, "layout", "side", NULL);
    headless_start(&t, 120, 24, 0);
    headless_model(&t);
    headless_keys(&t, "question\r");
    headless_prefill(&t, 5, 5);
    headless_thinking(&t);
    for (int i = 0; i < 50; i++) {
        char line[40];
        snprintf(line, sizeof line, "thought line %d\n", i);
        headless_thought(&t, line);
    }
    assert_true(headless_shows(&t, "│ thought line 49"));
    assert_false(headless_shows(&t, "thought line 20\n"));
    headless_keys(&t, ESC "[5;3~");
    headless_keys(&t, ESC "[5;3~");
    assert_true(headless_shows(&t, "thought line 20\n"));
    assert_true(headless_shows(&t, "more"));
    headless_thought(&t, "unseen\nunseen\n");
    assert_true(headless_shows(&t, "thought line 20\n"));
    assert_false(headless_shows(&t, "unseen"));
    for (int i = 0; i < 4; i++) headless_keys(&t, ESC "[6;3~");
    assert_true(headless_shows(&t, "unseen"));
    headless_keys(&t, CTRL('o'));
    assert_false(headless_shows(&t, "unseen"));
    headless_keys(&t, CTRL('o'));
    assert_true(headless_shows(&t, "unseen"));
    app_resize(t.app, 109, 24); /* too narrow: above the answer again */
    assert_true(headless_shows(&t, "▾ Thinking"));
    headless_close(&t);
}

/* ---- mouse -------------------------------------------------------------------------------------------------------- */

static void test_click_folds_and_focuses(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "a thought", "an answer");
    headless_click(t, "Thought for");
    assert_true(headless_shows(t, "│ a thought"));
    headless_click(t, "Thought for");
    assert_false(headless_shows(t, "│ a thought"));
    headless_click(t, "an answer");
    assert_int_equal(t->app->focus, FOCUS_READING);
    assert_int_equal(t->app->focus_item, 1);
    char bytes[40];
    snprintf(bytes, sizeof bytes, ESC "[<0;5;%dM", t->app->geo.input_y + 1);
    headless_keys(t, bytes);
    assert_int_equal(t->app->focus, FOCUS_INPUT);
}

static void test_click_on_controls(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_click(t, "[-]");
    assert_true(headless_logged(t, "budget 350"));
    headless_click(t, "[+]");
    assert_true(headless_logged(t, "budget 400"));
    headless_click(t, "[F5] answer");
    assert_true(headless_logged(t, "answer"));
}

int main(void)
{
#define T(f)     cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
#define ALONE(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        T(test_nothing_moves_when_scrolled_up),
        T(test_more_below_counts),
        T(test_end_follows_only_on_an_empty_line),
        T(test_resize_keeps_the_place),
        T(test_fold_above_does_not_move_the_text),
        T(test_opened_thought_is_read_from_its_header),
        T(test_wheel_scrolls),
        ALONE(test_column_of_thoughts),
        T(test_click_folds_and_focuses),
        T(test_click_on_controls),
    };
    return cmocka_run_group_tests_name("scrolling", tests, NULL, NULL);
}
