/* Line breaking: known cases, and the properties that wrap.c promises on random text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ui/grid.h"

static void expect_wrap(const char *text, int columns, const char *lines)
{
    struct wrap w = {0};
    struct str s = STR_EMPTY;
    assert_true(wrap_text(&w, text, strlen(text), columns));
    for (size_t i = 0; i < w.n; i++) {
        str_add_bytes(&s, text + w.lines[i].from, w.lines[i].to - w.lines[i].from);
        str_add(&s, w.lines[i].hard ? "$" : "|");
    }
    assert_string_equal(str_cstr(&s), lines);
    str_release(&s);
    wrap_release(&w);
}

static void cases(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int columns;
        const char *lines;
    } table[] = {
        {"", 10, ""},
        {"a", 10, "a$"},
        {"\n", 10, "$"},
        {"a\n", 10, "a$"},
        {"a\n\nb", 10, "a$$b$"},
        {"the quick brown fox", 10, "the quick|brown fox$"},
        {"the quick brown fox", 9, "the quick|brown fox$"},
        {"the quick brown fox", 8, "the|quick|brown|fox$"},
        {"the quick brown fox", 3, "the|qui|ck|bro|wn|fox$"},
        {"exactly10! next", 10, "exactly10!|next$"},
        {"two  blanks   three", 5, "two|blank|s|three$"},
        {"ends   ", 5, "ends$"},
        {"ends\n  in", 5, "ends$  in$"},
        {"    indented text", 9, "    inden|ted text$"},
        {"    x", 3, "   |x$"},
        {"a verylongword b", 6, "a|verylo|ngword|b$"},
        {"verylongword b", 6, "verylo|ngword|b$"},
        {"a\tb", 10, "a\tb$"},
        {"a\tb", 4, "a|b$"},
        {"a\tbc", 5, "a|bc$"},
        {"日本語", 4, "日本|語$"},
        {"日本語", 5, "日本|語$"},
        {"日本語", 1, "日|本|語$"},
        {"日本。語", 4, "日|本。|語$"},
        {"ab 日本語です", 6, "ab 日|本語で|す$"},
        {"e\xcc\x81tude e\xcc\x81", 5, "e\xcc\x81tude|e\xcc\x81$"},
        {"a\x1b[31m", 3, "a\x1b[|31m$"},
        {"\r\n", 5, "\r$"},
        {"abc", 0, "a|b|c$"},
        {"abc", -5, "a|b|c$"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) expect_wrap(table[i].text, table[i].columns, table[i].lines);
}

static uint32_t seed = 2;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void random_text(struct str *s, int pieces)
{
    static const char *const parts[] = {"a",
                                        "word",
                                        " ",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\t",
                                        "日",
                                        "本",
                                        "。",
                                        "「",
                                        "e\xcc\x81",
                                        "\xcc\x81",
                                        "\xe2\x80\x8d",
                                        "\xf0\x9f\x91\xa8",
                                        "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa",
                                        "1\xef\xb8\x8f\xe2\x83\xa3",
                                        "\r",
                                        "\x1b[0m",
                                        "verylongwordindeed",
                                        "-",
                                        ".",
                                        "\xff",
                                        "\xe6",
                                        "\x97",
                                        "\xe2\x80\x8b",
                                        "\xe1\x84\x80\xe1\x85\xa1"};
    for (int i = 0; i < pieces; i++) str_add(s, parts[draw(ARRAY_LEN(parts))]);
}

static bool same(const struct wrap *a, const struct wrap *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct wrap_line *x = &a->lines[i], *y = &b->lines[i];
        if (x->from != y->from || x->to != y->to || x->columns != y->columns || x->hard != y->hard) return false;
    }
    return true;
}

/* What is between two lines may only be what a break takes. */
static void check_gap(const char *text, size_t from, size_t to, bool newline)
{
    for (size_t i = from; i < to; i++) {
        if (newline && i + 1 == to && text[i] == '\n') return;
        if (text[i] != ' ' && text[i] != '\t') fail_msg("byte 0x%02x is in no line", (unsigned char)text[i]);
    }
}

static void check_lines(const struct wrap *w, const char *text, size_t n, int columns)
{
    size_t at = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct wrap_line *l = &w->lines[i];
        assert_true(l->from >= at && l->to >= l->from && l->to <= n);
        check_gap(text, at, l->from, i > 0 && w->lines[i - 1].hard);
        int sum = 0, clusters = 0;
        for (size_t k = l->from; k < l->to; clusters++) {
            struct cell c;
            assert_true(text[k] != '\n');
            if (text[k] == '\t') {
                sum += WRAP_TAB - sum % WRAP_TAB;
                k++;
                continue;
            }
            k += grid_cluster(text + k, l->to - k, &c);
            sum += c.width;
        }
        assert_int_equal(sum, l->columns);
        if (sum > columns) assert_true(columns == 1 && sum == 2);
        if (i + 1 < w->n && !l->hard) assert_true(w->lines[i + 1].to > w->lines[i + 1].from || l->to > l->from);
        at = l->to;
    }
    check_gap(text, at, n, true);
    if (w->n > 0) assert_true(w->lines[w->n - 1].hard);
}

static void properties(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        struct str s = STR_EMPTY;
        random_text(&s, (int)draw(60));
        int columns = 1 + (int)draw(20);
        struct wrap w = {0};
        assert_true(wrap_text(&w, str_cstr(&s), s.len, columns));
        check_lines(&w, str_cstr(&s), s.len, columns);
        /* a line fits a grid of that width, whole */
        struct grid g;
        grid_init(&g);
        assert_true(grid_resize(&g, columns, 1));
        for (size_t i = 0; i < w.n; i++) {
            const struct wrap_line *l = &w.lines[i];
            int end = grid_put_tabs(&g, 0, 0, columns, STYLE_TEXT, str_cstr(&s) + l->from, l->to - l->from, 0);
            if (l->columns <= columns) assert_int_equal(end, l->columns);
        }
        grid_release(&g);
        wrap_release(&w);
        str_release(&s);
    }
}

static void growing(void **state)
{
    (void)state;
    for (int round = 0; round < 600; round++) {
        struct str s = STR_EMPTY;
        struct wrap grown = {0}, whole = {0};
        int columns = 1 + (int)draw(15);
        for (int step = 0; step < 20; step++) {
            random_text(&s, (int)draw(8));
            assert_true(wrap_grow(&grown, str_cstr(&s), s.len, columns));
            assert_true(wrap_text(&whole, str_cstr(&s), s.len, columns));
            if (!same(&grown, &whole)) fail_msg("round %d step %d width %d", round, step, columns);
        }
        wrap_release(&grown);
        wrap_release(&whole);
        str_release(&s);
    }
}

/* A long paragraph grows token by token while it streams: that must not cost its square many times over. */
static void long_texts(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    struct wrap w = {0};
    int64_t start = clock_mono_ms();
    for (int i = 0; i < 2000; i++) {
        str_add(&s, i % 50 == 49 ? "line\n" : "token ");
        assert_true(wrap_grow(&w, s.data, s.len, 80));
    }
    assert_true(w.n >= 40);
    check_lines(&w, s.data, s.len, 80);
    str_clear(&s);
    for (int i = 0; i < 200000; i++) str_add(&s, "longword");
    assert_true(wrap_text(&w, s.data, s.len, 79));
    assert_int_equal(w.n, (s.len + 78) / 79);
    assert_in_range(clock_mono_ms() - start, 0, 5000);
    wrap_release(&w);
    wrap_release(&w);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(properties),
        cmocka_unit_test(growing),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
