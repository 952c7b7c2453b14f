/* Cells: clipping, wide and combined characters, and that nothing which drives a terminal can enter. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ui/grid.h"

#define WIDE   "\xe6\x97\xa5" /* a wide character */
#define FAMILY "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"
#define FFFD   "\xef\xbf\xbd"

static struct grid g;

static int before(void **state)
{
    (void)state;
    grid_init(&g);
    return grid_resize(&g, 10, 3) ? 0 : -1;
}

static int after(void **state)
{
    (void)state;
    grid_release(&g);
    return 0;
}

static int put(int x, int y, int x_end, const char *text)
{
    return grid_put(&g, x, y, x_end, STYLE_TEXT, text, strlen(text));
}

static void expect(const char *dump)
{
    struct str s = STR_EMPTY;
    grid_dump(&g, false, &s);
    assert_string_equal(str_cstr(&s), dump);
    str_release(&s);
}

static void expect_styled(const char *dump)
{
    struct str s = STR_EMPTY;
    grid_dump(&g, true, &s);
    assert_string_equal(str_cstr(&s), dump);
    str_release(&s);
}

/* The invariants of grid.c, for every cell. */
static void check(void)
{
    for (int y = 0; y < g.h; y++) {
        for (int x = 0; x < g.w; x++) {
            const struct cell *c = grid_at(&g, x, y);
            size_t n = strnlen(c->text, CELL_BYTES);
            assert_in_range(n, 0, CELL_BYTES - 1);
            assert_true(utf8_is_valid(c->text, n));
            assert_true(c->style < STYLE_COUNT);
            if (c->width == 0) {
                assert_int_equal(n, 0);
                assert_true(x > 0 && c[-1].width == 2);
            } else {
                assert_true(n > 0);
                assert_true(c->width == 1 || (c->width == 2 && x + 1 < g.w && c[1].width == 0));
            }
            for (size_t i = 0; i < n;) {
                uint32_t cp;
                i += utf8_decode(c->text + i, n - i, &cp);
                assert_true(cp >= 0x20 && (cp < 0x7f || cp >= 0xa0));
                assert_false((cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f ||
                             cp == 0xfeff || (cp >= 0xe0000 && cp <= 0xe007f));
            }
        }
    }
}

static void clipping(void **state)
{
    (void)state;
    assert_int_equal(put(2, 0, 10, "hello"), 7);
    assert_int_equal(put(-3, 1, 10, "overlong text"), 10);
    assert_int_equal(put(8, 2, 10, "xyz"), 10);
    expect("  hello\nrlong text\n        xy\n");
    assert_int_equal(put(0, 0, 4, "abcdef"), 4);
    assert_int_equal(put(-9, 1, 10, "abc"), -6);
    assert_int_equal(put(12, 1, 20, "abc"), 12);
    assert_int_equal(put(5, 1, 3, "abc"), 5);
    assert_int_equal(put(0, 7, 10, "below"), 5);
    assert_int_equal(put(0, -1, 10, "above"), 5);
    assert_int_equal(put(0, 2, 10, ""), 0);
    expect("abcdllo\nrlong text\n        xy\n");
    check();
}

static void wide_characters(void **state)
{
    (void)state;
    assert_int_equal(put(0, 0, 10, "a" WIDE WIDE "b"), 6);
    assert_int_equal(grid_at(&g, 1, 0)->width, 2);
    assert_int_equal(grid_at(&g, 2, 0)->width, 0);
    assert_int_equal(put(0, 1, 4, WIDE "a" WIDE), 3); /* half of it would not fit */
    assert_int_equal(put(-1, 2, 10, WIDE "c"), 2);    /* its left half is outside */
    expect("a" WIDE WIDE "b\n" WIDE "a\n c\n");
    put(2, 0, 10, "x"); /* the right half of one, the left one of another */
    expect("a x" WIDE "b\n" WIDE "a\n c\n");
    put(3, 0, 10, "y");
    expect("a xy b\n" WIDE "a\n c\n");
    put(9, 2, 10, WIDE);
    put(8, 2, 10, WIDE);
    expect("a xy b\n" WIDE "a\n c      " WIDE "\n");
    put(7, 2, 10, WIDE);
    expect("a xy b\n" WIDE "a\n c     " WIDE "\n");
    grid_fill(&g, 1, 1, 1, 1, STYLE_TEXT);
    expect("a xy b\n  a\n c     " WIDE "\n");
    check();
}

static void clusters(void **state)
{
    (void)state;
    assert_int_equal(put(0, 0, 10, "e\xcc\x81x"), 2); /* a combined accent */
    assert_string_equal(grid_at(&g, 0, 0)->text, "e\xcc\x81");
    assert_int_equal(put(0, 1, 10, FAMILY "x"), 3);
    assert_string_equal(grid_at(&g, 0, 1)->text, FAMILY);
    assert_int_equal(grid_at(&g, 0, 1)->width, 2);
    assert_int_equal(put(0, 2, 10, "a"), 1);
    assert_int_equal(put(1, 2, 10, "\xcc\x88"), 1); /* a mark alone has nothing to stand on */
    assert_string_equal(grid_at(&g, 0, 2)->text, "a");
    check();
    struct str zalgo = STR_EMPTY;
    str_add(&zalgo, "z");
    for (int i = 0; i < 100; i++) str_add(&zalgo, "\xcc\x81");
    str_add(&zalgo, "!");
    assert_int_equal(put(0, 0, 10, zalgo.data), 2);
    assert_int_equal(strlen(grid_at(&g, 0, 0)->text), 23);
    assert_string_equal(grid_at(&g, 1, 0)->text, "!");
    str_release(&zalgo);
    check();
}

/* Text from right to left stands in the cells as it is read, a letter with its marks in each: to turn it round is the terminal's. */
static void right_to_left(void **state)
{
    (void)state;
    static const char *const letters[] = {"ש\u05c1\u05b8", "ל", "ו\u05b9", "ם"};
    assert_int_equal(put(0, 0, 10, "ש\u05c1\u05b8לו\u05b9ם a"), 6);
    for (int x = 0; x < 4; x++) {
        assert_string_equal(grid_at(&g, x, 0)->text, letters[x]);
        assert_int_equal(grid_at(&g, x, 0)->width, 1);
    }
    assert_string_equal(grid_at(&g, 5, 0)->text, "a");
    assert_int_equal(put(0, 1, 10, "مرحبا"), 5);
    assert_string_equal(grid_at(&g, 0, 1)->text, "م");
    check();
    expect("ש\u05c1\u05b8לו\u05b9ם a\nمرحبا\n\n");
}

static void nothing_drives_the_terminal(void **state)
{
    (void)state;
    put(0, 0, 10, "\x1b[2J\x07\x08\x7f\r\n\t");
    expect(FFFD "[2J" FFFD FFFD FFFD FFFD FFFD FFFD "\n\n\n");
    put(0, 1, 10,
        "\xc2\x9b"
        "1\xe2\x80\xae"
        "2\xe2\x81\xa6"
        "3\xef\xbb\xbf"
        "4\xff\xc3");
    expect(FFFD "[2J" FFFD FFFD FFFD FFFD FFFD FFFD "\n" FFFD "1" FFFD "2" FFFD "3" FFFD "4" FFFD FFFD "\n\n");
    put(0, 2, 10,
        "a\xf3\xa0\x81\x81"
        "b"); /* a tag would hide in the cluster of the letter before it */
    check();
    expect(FFFD "[2J" FFFD FFFD FFFD FFFD FFFD FFFD "\n" FFFD "1" FFFD "2" FFFD "3" FFFD "4" FFFD FFFD "\na" FFFD "b\n");
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (char)(seed >> 24);
            if (seed & 0x10000) bytes[i] = "\xe2\x80\xae\xf3\xa0\x81\x1b\xc2\x9b\xcc\x81\xf0\x9f\x91\xa8\xe2\x80\x8d"[(seed >> 8) % 18];
        }
        grid_put(&g, (int)(seed % 14) - 3, (int)(seed >> 20) % 3, (int)(seed >> 12) % 13, (enum style)(seed % STYLE_COUNT), bytes,
                 sizeof(bytes));
        check();
    }
}

static void tabs(void **state)
{
    (void)state;
    put(0, 0, 10, "xxxxxxxxxx");
    assert_int_equal(grid_put_tabs(&g, 1, 0, 10, STYLE_TEXT, "a\tb\tc", 5, 1), 10);
    expect("xa   b   c\n\n\n");
    assert_int_equal(grid_put_tabs(&g, 0, 1, 6, STYLE_TEXT, "abcd\te", 6, 0), 6);
    assert_int_equal(grid_put_tabs(&g, -2, 2, 10, STYLE_TEXT, "\te", 2, -2), 3);
    expect("xa   b   c\nabcd\n  e\n");
    check();
}

static void styles(void **state)
{
    (void)state;
    grid_put(&g, 0, 0, 10, STYLE_TITLE, "ab", 2);
    grid_put(&g, 2, 0, 10, STYLE_TEXT, "cd", 2);
    grid_restyle(&g, 3, 0, 50, STYLE_ERROR);
    grid_restyle(&g, 0, 9, 5, STYLE_ERROR);
    grid_fill(&g, 0, 1, 3, 1, STYLE_FOCUS);
    put(0, 2, 10, WIDE);
    grid_restyle(&g, 0, 2, 1, STYLE_MATCH);
    expect_styled("{title:ab}c{error:d      }\n{focus:   }\n{match:" WIDE "}\n");
    expect("abcd\n\n" WIDE "\n");
    for (int i = 0; i < STYLE_COUNT; i++) {
        enum style s = STYLE_COUNT;
        assert_true(style_by_name(style_name((enum style)i), &s));
        assert_int_equal(s, i);
    }
    enum style s;
    assert_false(style_by_name("no_such_slot", &s));
    assert_false(style_by_name("", &s));
    assert_string_equal(style_name(STYLE_COUNT), "text");
}

static void sizes(void **state)
{
    (void)state;
    put(0, 0, 10, "text");
    g.cursor_x = 3;
    g.cursor_y = 1;
    assert_true(grid_resize(&g, 4, 2));
    expect("\n\n");
    assert_int_equal(g.cursor_x, -1);
    assert_true(grid_resize(&g, 0, 5));
    assert_int_equal(g.h, 0);
    put(0, 0, 10, "text");
    grid_fill(&g, 0, 0, 5, 5, STYLE_TEXT);
    grid_restyle(&g, 0, 0, 5, STYLE_TEXT);
    grid_clear(&g, STYLE_TEXT);
    expect("");
    assert_true(grid_resize(&g, -1, -1));
    assert_true(grid_resize(&g, 1, 1));
    put(0, 0, 10, WIDE);
    expect("\n");
    grid_fill(&g, -5, -5, 100, 100, STYLE_RULE);
    expect_styled("{rule: }\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clipping, before, after),
        cmocka_unit_test_setup_teardown(wide_characters, before, after),
        cmocka_unit_test_setup_teardown(clusters, before, after),
        cmocka_unit_test_setup_teardown(right_to_left, before, after),
        cmocka_unit_test_setup_teardown(nothing_drives_the_terminal, before, after),
        cmocka_unit_test_setup_teardown(tabs, before, after),
        cmocka_unit_test_setup_teardown(styles, before, after),
        cmocka_unit_test_setup_teardown(sizes, before, after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
