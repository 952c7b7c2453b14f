/* Messages to rows: heights against the rows themselves, growing text, the window, ten thousand messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

#include <time.h>

/* Every row of a message can be asked for, its text fits, and together they are the text. */
static void check_rows(struct transcript *t, size_t i)
{
    int h = transcript_height(t, i), feet = 0;
    for (int r = 0; r < h; r++) {
        struct row row;
        transcript_row(t, i, r, &row);
        assert_int_equal(row.item, i);
        if (row.kind == ROW_FOOT) feet++;
        int columns = row.kind == ROW_THOUGHT ? transcript_thought_columns(t) : transcript_text_columns(t);
        if (row.n) assert_true(row.columns <= columns || columns < 2);
        assert_true(row.kind != ROW_BLANK);
    }
    assert_int_equal(feet, t->items[i].role == MESSAGE_REPLY ? 1 : 0);
}

static const char text[] = "The quick brown fox jumps over the lazy dog.\n\n中文字符也在這裡 and a "
                           "verylongwordthatdoesnotfitanywhere_at_all_in_a_small_window e\xcc\x81\n\ttab\n- list\n- list";

static void fill(struct transcript *t, int n)
{
    for (int i = 0; i < n; i++) {
        struct item *it = transcript_add(t, i % 2 ? MESSAGE_REPLY : MESSAGE_USER);
        assert_non_null(it);
        it->id = i + 1;
        flow_feed(&it->text, text, strlen(text));
        if (i % 4 == 1) {
            item_feed_thought(it, text, strlen(text));
            it->choice = (enum view)(i % 3 + 1);
        }
    }
}

static void test_rows_and_heights(void **unused)
{
    (void)unused;
    struct transcript t;
    transcript_init(&t);
    fill(&t, 8);
    for (int w = 1; w < 130; w += 3) {
        transcript_resize(&t, w, 20);
        for (size_t i = 0; i < t.n; i++) check_rows(&t, i);
    }
    transcript_release(&t);
}

/* Text that comes in pieces gives the same lines as all of it at once, and the sanitiser sees no cuts. */
static void test_growing_is_the_same(void **unused)
{
    (void)unused;
    static const char hostile[] = "one two\033[31m three \xe4\xb8\xad\xe6\x96\x87 four\r\nfive \xff six seven eight nine ten\n\n\neleven "
                                  "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac twelve";
    struct flow whole, pieces;
    flow_init(&whole, true);
    flow_feed(&whole, hostile, strlen(hostile));
    for (size_t step = 1; step < 9; step++) {
        flow_init(&pieces, true);
        for (size_t at = 0; at < strlen(hostile); at += step) {
            size_t n = strlen(hostile) - at < step ? strlen(hostile) - at : step;
            flow_feed(&pieces, hostile + at, n);
            flow_wrap(&pieces, 17);
        }
        const struct wrap *a = flow_wrap(&whole, 17), *b = flow_wrap(&pieces, 17);
        assert_string_equal(str_cstr(&whole.clean), str_cstr(&pieces.clean));
        assert_int_equal(a->n, b->n);
        for (size_t i = 0; i < a->n; i++) {
            assert_int_equal(a->lines[i].from, b->lines[i].from);
            assert_int_equal(a->lines[i].to, b->lines[i].to);
        }
        flow_release(&pieces);
    }
    flow_release(&whole);
}

static void test_newlines_in_front_and_behind_are_not_shown(void **unused)
{
    (void)unused;
    struct flow f;
    flow_init(&f, true);
    flow_feed(&f, "\n", 1);
    flow_feed(&f, "\n\nword\n\n", 8);
    assert_int_equal(flow_wrap(&f, 20)->n, 1);
    flow_feed(&f, "more", 4);
    assert_int_equal(flow_wrap(&f, 20)->n, 3);
    flow_release(&f);
    flow_init(&f, false);
    flow_feed(&f, "\n\nword", 6);
    assert_int_equal(flow_wrap(&f, 20)->n, 3);
    flow_release(&f);
}

static int total(struct transcript *t)
{
    int sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += transcript_height(t, i);
    return sum;
}

static int rows_above(struct transcript *t)
{
    size_t item;
    int row, sum = 0;
    transcript_top(t, &item, &row);
    for (size_t i = 0; i < item; i++) sum += transcript_height(t, i);
    return sum + row;
}

static void test_scrolling_steps(void **unused)
{
    (void)unused;
    struct transcript t;
    transcript_init(&t);
    fill(&t, 10);
    transcript_resize(&t, 40, 9);
    int rows = total(&t);
    assert_int_equal(rows_above(&t), rows - 9);
    for (int up = 1; up <= rows - 9; up++) {
        transcript_scroll(&t, -1);
        assert_false(t.follow);
        assert_int_equal(rows_above(&t), rows - 9 - up);
        assert_int_equal(transcript_below(&t, 10000), up);
        assert_int_equal(transcript_below(&t, 3), up < 3 ? up : 3);
    }
    transcript_scroll(&t, -5);
    assert_int_equal(rows_above(&t), 0);
    for (int down = 1; down < rows - 9; down++) {
        transcript_scroll(&t, 1);
        assert_false(t.follow);
        assert_int_equal(rows_above(&t), down);
    }
    transcript_scroll(&t, 1);
    assert_true(t.follow);
    transcript_scroll(&t, -7);
    transcript_scroll(&t, 100);
    assert_true(t.follow);
    transcript_to_start(&t);
    assert_int_equal(rows_above(&t), 0);
    transcript_release(&t);
}

static void test_short_text_does_not_scroll(void **unused)
{
    (void)unused;
    struct transcript t;
    transcript_init(&t);
    transcript_scroll(&t, -3);
    assert_true(t.follow);
    fill(&t, 1);
    transcript_resize(&t, 80, 40);
    transcript_scroll(&t, -3);
    transcript_to_start(&t);
    assert_true(t.follow);
    assert_int_equal(transcript_below(&t, 10), 0);
    transcript_release(&t);
}

static void test_show_brings_into_sight(void **unused)
{
    (void)unused;
    struct transcript t;
    transcript_init(&t);
    fill(&t, 40);
    transcript_resize(&t, 40, 12);
    for (size_t i = 0; i < t.n; i += 7) {
        transcript_show(&t, i);
        size_t item;
        int row;
        transcript_top(&t, &item, &row);
        int y = -row;
        for (size_t k = item; k < i; k++) y += transcript_height(&t, k);
        assert_true(item <= i);
        assert_true(y < 12 && y + transcript_height(&t, i) > 0);
    }
    transcript_release(&t);
}

static void test_truncate_while_scrolled(void **unused)
{
    (void)unused;
    struct transcript t;
    transcript_init(&t);
    fill(&t, 40);
    transcript_resize(&t, 40, 12);
    transcript_scroll(&t, -20);
    transcript_truncate(&t, 3);
    size_t item;
    int row;
    transcript_top(&t, &item, &row);
    assert_true(item < 3 && row < transcript_height(&t, item));
    transcript_truncate(&t, 0);
    transcript_top(&t, &item, &row);
    assert_int_equal(transcript_below(&t, 5), 0);
    transcript_release(&t);
}

static void test_names_of_views(void **unused)
{
    (void)unused;
    for (int v = VIEW_AUTO; v <= VIEW_FULL; v++) assert_int_equal(view_by_name(view_name((enum view)v)), v);
    assert_int_equal(view_by_name("nonsense"), VIEW_AUTO);
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

#define MANY 10000

static int64_t make_long_conversation(struct store *s)
{
    struct err e = {0};
    int64_t id, parent = 0;
    assert_int_equal(store_new_conversation(s, "", &id, &e), 0);
    for (int i = 0; i < MANY / 2; i++) {
        struct reply_start r = {.conversation = id,
                                .model = "m",
                                .model_file = "m",
                                .quant = "q",
                                .family = "f",
                                .engine_version = "0",
                                .kernels = "k",
                                .system = "",
                                .budget = "400"};
        struct reply_end end = {
            .ended = "natural", .answer_ended = "complete", .budget_final = "400", .thought_tokens = 10, .thought_ms = 1500};
        int64_t prompt, reply;
        assert_int_equal(store_add_prompt(s, id, parent, text, strlen(text), &prompt, &e), 0);
        r.parent = prompt;
        assert_int_equal(store_begin_reply(s, &r, &reply, &e), 0);
        assert_int_equal(store_end_reply(s, reply, text, strlen(text), text, strlen(text), &end, &e), 0);
        parent = reply;
    }
    return id;
}

/* Processor time: other programs on the machine do not count. */
static int64_t cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Limits some times above what is measured, so that they fail for the wrong complexity and not for a slow machine: the figures are printed.
 */
static void test_ten_thousand_messages(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    int64_t id = make_long_conversation(t.store);
    int64_t start = cpu_us();
    headless_start(&t, 80, 24, id);
    headless_screen(&t, false);
    int64_t opened = cpu_us() - start, worst = 0;
    assert_int_equal(t.app->t.n, MANY);
    for (int i = 0; i < 200; i++) {
        start = cpu_us();
        headless_keys(&t, "\033[5~");
        screen_draw(t.app, &t.grid);
        int64_t us = cpu_us() - start;
        if (us > worst) worst = us;
    }
    start = cpu_us();
    headless_keys(&t, "\033[H");
    screen_draw(t.app, &t.grid);
    int64_t home = cpu_us() - start;
    start = cpu_us();
    app_resize(t.app, 60, 24);
    screen_draw(t.app, &t.grid);
    int64_t resize = cpu_us() - start;
    print_message("# %d messages: open %.1f ms, page %.2f ms at worst, to the start %.1f ms, resize %.1f ms\n", MANY, (double)opened / 1000,
                  (double)worst / 1000, (double)home / 1000, (double)resize / 1000);
    assert_true(opened < 400000);
    assert_true(worst < 30000);
    assert_true(home < 60000);
    headless_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_heights),
        cmocka_unit_test(test_growing_is_the_same),
        cmocka_unit_test(test_newlines_in_front_and_behind_are_not_shown),
        cmocka_unit_test(test_scrolling_steps),
        cmocka_unit_test(test_short_text_does_not_scroll),
        cmocka_unit_test(test_show_brings_into_sight),
        cmocka_unit_test(test_truncate_while_scrolled),
        cmocka_unit_test(test_names_of_views),
        cmocka_unit_test(test_ten_thousand_messages),
    };
    return cmocka_run_group_tests_name("transcript", tests, NULL, NULL);
}
