/* Highlighters: known pieces of each language, words in order, every byte styled, lines and pieces that carry their state. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ui/highlight.h"

static char letter(uint8_t style)
{
    switch (style) {
    case STYLE_CODE: return '.';
    case STYLE_CODE_KEYWORD: return 'k';
    case STYLE_CODE_STRING: return 's';
    case STYLE_CODE_COMMENT: return 'c';
    case STYLE_CODE_NUMBER: return 'n';
    default: return '?';
    }
}

/* The letters of all lines, newlines kept. The caller frees. */
static char *colours(const struct highlight *h, const char *text, size_t n)
{
    struct highlight_state s = {0};
    char *out = malloc(n + 1);
    uint8_t *styles = malloc(n + 1);
    assert_true(out && styles);
    memset(styles, 0xff, n + 1);
    for (size_t from = 0; from <= n;) {
        const char *newline = memchr(text + from, '\n', n - from);
        size_t end = newline ? (size_t)(newline - text) : n;
        highlight_text(h, &s, text + from, end - from, styles + from);
        for (size_t i = from; i < end; i++) out[i] = letter(styles[i]);
        assert_int_equal(styles[end], 0xff); /* nothing is written behind the line */
        if (!newline) break;
        out[end] = '\n';
        highlight_newline(h, &s, end > from && text[end - 1] == '\\');
        from = end + 1;
    }
    out[n] = '\0';
    free(styles);
    return out;
}

static void languages(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *colours;
    } table[] = {
        {"c", "int x = 0x1F; // n", "kkk.....nnnn..cccc"},
        {"h", "#include <a.h>\nx", "kkkkkkkk......\n."},
        {"c", "/* a\nint */ 'c' \"\\\"x\"", "cccc\ncccccc.sss.sssss"},
        {"c", "\"a\\\nb\" int", "sss\nss.kkk"},
        {"c", "\"a\nint", "ss\nkkk"},
        {"c", "// a \\\nint\nint", "cccccc\nccc\nkkk"},
        {"C++", "class A { R\"(int)\" };", "kkkkk.....ssssssss..."},
        {"c", "class", "....."},
        {"python", "def f(): # d", "kkk......ccc"},
        {"py", "'''a\nif\n''' if", "ssss\nss\nsss.kk"},
        {"py", "x = 'it\\'s' + \"#\"", "....sssssss...sss"},
        {"Python", "1_000 1.5e-3 x1", "nnnnn.nnnnnn..."},
        {"sh", "if [ $# -gt 1 ]; then # x", "kk...nn.....n....kkkk.ccc"},
        {"bash", "echo \"$a\" '\\' ${HOME}/x a#b", "kkkk.ssss.sss.nnnnnnn......"},
        {"json", "{\"a\": \"b\", \"c\": [1, true]}", ".kkk..sss..kkk...n..kkkk.."},
        {"js", "const a = `x\nif` + 2n", "kkkkk.....ss\nsss...nn"},
        {"javascript", "f(/* let */ null)", "..ccccccccc.kkkk."},
        {"ts", "interface A { b: number }", "kkkkkkkkk........kkkkkk.."},
        {"js", "interface", "........."},
        {"sql", "SELECT a FROM t -- x\nWhere b = 'it''s'", "kkkkkk...kkkk...cccc\nkkkkk.....sssssss"},
        {"rust", "fn f<'a>(x: &'a str) -> char { 'b' }", "kk..............kkk.....kkkk...sss.."},
        {"rs", "r#\"a\"b\"# 1u8 0..9", "ssssssss.nnn.n..n"},
        {"rust", "/* a /* b */ let */ let", "ccccccccccccccccccc.kkk"},
        {"go", "func f() { x := `a\\`; return nil }", "kkkk............ssss..kkkkkk.kkk.."},
        {"go", "x.len 5.Foo", "..kkk.n...."},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct highlight *h = highlight_find(table[i].name, strlen(table[i].name));
        assert_non_null(h);
        char *got = colours(h, table[i].text, strlen(table[i].text));
        if (strcmp(got, table[i].colours) != 0) print_message("%s: %s\n", table[i].name, table[i].text);
        assert_string_equal(got, table[i].colours);
        free(got);
    }
}

static void names(void **state)
{
    (void)state;
    static const char *const known[] = {"c",  "h",          "cpp", "py",  "python", "sh", "bash", "shell", "json",
                                        "js", "javascript", "ts",  "sql", "rust",   "rs", "go",   "JSON"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) assert_non_null(highlight_find(known[i], strlen(known[i])));
    static const char *const unknown[] = {"", "p", "pyth", "python ", "text", "c c", "jsx js", "averyveryverylongnameofalanguage"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) assert_null(highlight_find(unknown[i], strlen(unknown[i])));
    assert_ptr_equal(highlight_find("sh", 2), highlight_find("console", 7));
}

static void assert_ascending(const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(strlen(list[i]) <= 24);
        if (i) assert_true(strcmp(list[i - 1], list[i]) < 0);
    }
}

static void tables(void **state)
{
    (void)state;
    assert_true(highlight_count >= 8);
    for (size_t i = 0; i < highlight_count; i++) {
        const struct highlight *h = &highlight_table[i];
        assert_true(h->n_keywords > 0);
        assert_ascending(h->keywords, h->n_keywords);
        assert_ascending(h->more, h->n_more);
        for (const char *p = h->names; *p;) { /* every name leads here: none is in two languages */
            size_t k = strcspn(p, " ");
            assert_ptr_equal(highlight_find(p, k), h);
            p += k + strspn(p + k, " ");
        }
        for (size_t k = 0; k < HIGHLIGHT_STRINGS && h->strings[k].open; k++) assert_true(h->strings[k].open[0] && h->strings[k].close[0]);
    }
}

/* Anything may stand in a code block. Cuts at blanks outside of tokens change nothing. */
static void any_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = "a'\"`\\/*#\n$r{0x.e-R(\"); \xc3\xa9@";
    unsigned seed = 7;
    for (int round = 0; round < 4000; round++) {
        char text[64];
        uint8_t whole[64], parts[64];
        size_t n = 0;
        const struct highlight *h = &highlight_table[(size_t)round % highlight_count];
        while (n < sizeof text) {
            seed = seed * 1103515245u + 12345u;
            text[n++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        char *all = colours(h, text, n);
        assert_null(strchr(all, '?'));
        free(all);
        /* one line in two pieces inside a block comment or a comment to its end: the same state as at once */
        struct highlight_state a = {.mode = 2, .depth = 1}, b = a;
        size_t cut = n / 2;
        if (!h->block_open || text[cut - 1] == h->block_close[0] || text[cut - 1] == h->block_open[0]) continue;
        highlight_text(h, &a, text, cut, whole);
        if (a.mode != 2) continue;
        highlight_text(h, &a, text + cut, n - cut, whole + cut);
        highlight_text(h, &b, text, n, parts);
        assert_memory_equal(whole, parts, n);
    }
    uint8_t styles[3];
    struct highlight_state s = {0};
    highlight_text(NULL, &s, "int", 3, styles);
    for (int i = 0; i < 3; i++) assert_int_equal(styles[i], STYLE_CODE);
    highlight_newline(NULL, &s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(languages),
        cmocka_unit_test(names),
        cmocka_unit_test(tables),
        cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
