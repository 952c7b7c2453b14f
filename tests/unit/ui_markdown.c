/* Markdown: known pieces as lines with styles, texts that grow, and what must hold for any text at any width. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ui/markdown.h"

static struct markdown *document(const char *text, size_t n)
{
    struct markdown *m = NULL;
    struct err e;
    assert_int_equal(markdown_new(&m, &e), ERR_OK);
    assert_true(markdown_set(m, text, n));
    return m;
}

/* Lines end with a newline; runs in a style are {name:...}. */
static void dump(struct markdown *m, int columns, bool styles, struct str *out)
{
    size_t n;
    const struct md_line *lines = markdown_lines(m, columns, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < lines[i].n_segments; k++) {
            const struct md_segment *s = &lines[i].segments[k];
            bool named = styles && s->style != STYLE_TEXT;
            if (named) str_addf(out, "{%s:", style_name(s->style));
            str_add_bytes(out, s->text, s->n);
            if (named) str_add_char(out, '}');
        }
        str_add_char(out, '\n');
    }
}

static void expect(const char *text, int columns, bool styles, const char *lines)
{
    struct markdown *m = document(text, strlen(text));
    struct str s = STR_EMPTY;
    dump(m, columns, styles, &s);
    if (strcmp(str_cstr(&s), lines) != 0) print_message("source:\n%s\n", text);
    assert_string_equal(str_cstr(&s), lines);
    str_release(&s);
    markdown_free(m);
}

/* ---- known pieces ------------------------------------------------------------------------------------------------ */

struct piece {
    const char *text;
    int columns;
    const char *lines;
};

static void expect_all(const struct piece *table, size_t n, bool styles)
{
    for (size_t i = 0; i < n; i++) expect(table[i].text, table[i].columns, styles, table[i].lines);
}

static void spans(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"", 20, ""},
        {"\n\n", 20, ""},
        {"plain", 20, "plain\n"},
        {"*a* **b** ***c*** `d`", 40, "{emphasis:a} {strong:b} {strong:c} {code:d}\n"},
        {"a _b_ snake_case_name __c__", 40, "a {emphasis:b} snake_case_name {strong:c}\n"},
        {"~~old~~ about ~5 or ~6~", 40, "{hint:~~old~~} about ~5 or ~6~\n"},
        {"``a ` b``", 40, "{code:a ` b}\n"},
        {"[text](http://u/v)", 40, "{link:text}{hint: (http://u/v)}\n"},
        {"[a *b*](<u v> \"title\")", 40, "{link:a b}{hint: (u v \"title\")}\n"},
        {"2*3*4 (a+b)*(c+d)*e 5*(6)*(7) *x*, **2*3*4** *2*3*", 60,
         "2*3*4 (a+b)*(c+d)*e 5*(6)*(7) {emphasis:x}, {strong:2*3*4} {emphasis:2*3}\n"},
        {"<http://a.b/c> x@y.z <x@y.z>", 60, "{link:http://a.b/c} x@y.z {link:x@y.z}\n"},
        {"see http://a.b/c_d_e.", 40, "see {link:http://a.b/c_d_e}.\n"},
        {"![alt](p.png)", 40, "{hint:image: }{link:alt}{hint: (p.png)}\n"},
        {"[a][1]\n\n[1]: http://u.v/", 40, "[a][1]\n\n[1]: {link:http://u.v/}\n"},
        {"<b>x</b> <!-- c -->", 40, "<b>x</b> <!-- c -->\n"},
        {"&lt;&amp;&#65;&#x42; &nope; &#27;", 40, "<&AB &nope; &#27;\n"},
        {"\\*a\\* \\# \\_ C:\\dir\\new", 40, "*a* # _ C:\\dir\\new\n"},
        {"\\(a_1 * b_2 * c\\) and \\[x\\\\y\\]", 60, "\\(a_1 * b_2 * c\\) and \\[x\\\\y\\]\n"},
        {"$x*y*z$ but $5 *or* $6", 40, "$x*y*z$ but $5 {emphasis:or} $6\n"},
        {"$$\n- a*b*c\n\\\\ = 3\n$$\n- d", 40, "$$\n- a*b*c\n\\\\ = 3\n$$\n• d\n"},
        {"`$a` **and** `$b`", 40, "{code:$a} {strong:and} {code:$b}\n"},
        {"a  \nb\\\nc\nd", 40, "a\nb\nc\nd\n"},
        {"**a\nb** `c\nd`", 40, "{strong:a}\n{strong:b} {code:c}\n{code:d}\n"},
        {"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d **\xd7\xa2\xd7\x95\xd7\x9c\xd7\x9d**", 40,
         "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d {strong:\xd7\xa2\xd7\x95\xd7\x9c\xd7\x9d}\n"},
        {"e\xcc\x81**e\xcc\x81**", 40, "e\xcc\x81{strong:e\xcc\x81}\n"},
        {"**日本語**の表", 5, "{strong:日本}\n{strong:語}の\n表\n"},
    };
    expect_all(table, ARRAY_LEN(table), true);
}

static void blocks(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"# One\ntext\n## Two *x* `y` ##\n\n#no\n#", 40, "{heading:One}\ntext\n\n{heading:Two x }{code:y}\n\n#no\n#\n"},
        {"Title\n=====\ntext", 40, "{heading:Title}\ntext\n"},
        {"text\n---\nmore\n\n***", 6, "text\n{rule:──────}\nmore\n\n***\n"},
        {"***\n", 6, "{rule:──────}\n"},
        {"- a\n- b\n  c\n* d", 40, "• a\n• b\n  c\n• d\n"},
        {"- a\n\n- b\n\n  c", 40, "• a\n\n• b\n\n  c\n"},
        {"- a\n  - b\n    - c\n      - d\n- e", 40, "• a\n  ○ b\n    ▪ c\n      • d\n• e\n"},
        {"1. a\n   - b\n2. c\n10) d\n    e", 40, "1. a\n   • b\n2. c\n10) d\n    e\n"},
        {"1. a\n  - b\n2. c", 40, "1. a\n   • b\n2. c\n"},
        {"- [ ] a\n- [x] b\n- [y] c\n1. [X] d", 40, "[ ] a\n[x] b\n• [y] c\n1. [x] d\n"},
        {"text\n2. no item\n- item", 40, "text\n2. no item\n• item\n"},
        {"- words that wrap", 9, "• words\n  that\n  wrap\n"},
        {"> a\n> b\nlazy\n\nc", 40, "{quote:▎ a}\n{quote:▎ b}\n{quote:▎ lazy}\n\nc\n"},
        {"> a\n>\n> - b\n> > **c**", 40, "{quote:▎ a}\n{quote:▎ }\n{quote:▎ • b}\n{quote:▎ ▎ }{strong:c}\n"},
        {"    code\n\n\tmore\n\ntext", 40, "{rule:│ }{code:code}\n{rule:│ }\n{rule:│ }{code:more}\n\ntext\n"},
    };
    expect_all(table, ARRAY_LEN(table), true);
}

static void code(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"```c\nint x; // y\n```\nafter", 40, "{rule:┌ }{hint:c}\n{rule:│ }{code_keyword:int}{code: x; }{code_comment:// y}\nafter\n"},
        {"```", 40, "{rule:┌ }\n"},
        {"```py\n'''a\nb''' if", 40,
         "{rule:┌ }{hint:py}\n{rule:│ }{code_string:'''a}\n{rule:│ }{code_string:b'''}{code: }{code_keyword:if}\n"},
        {"~~~ text x=1\n```\n*a*\n~~~", 40, "{rule:┌ }{hint:text x=1}\n{rule:│ }{code:```}\n{rule:│ }{code:*a*}\n"},
        {"````\n```\n````\n", 40, "{rule:┌ }\n{rule:│ }{code:```}\n"},
        {"```\na\tb\n\tc\n```", 40, "{rule:┌ }\n{rule:│ }{code:a   b}\n{rule:│ }{code:    c}\n"},
        {"```\naaa bbb ccc ddd\n```", 12, "{rule:┌ }\n{rule:│ }{code:aaa bbb }\n{rule:» }{code:ccc ddd}\n"},
        {"```\naaaaaaaaaaaaa\n\n```", 10, "{rule:┌ }\n{rule:│ }{code:aaaaaaaa}\n{rule:» }{code:aaaaa}\n{rule:│ }\n"},
        {"```\nab\n```", 1, "\n{code:a}\n{code:b}\n"},
        {"- a\n  ```\n  b\n\nc\n  ```\n- d", 40, "• a\n  {rule:┌ }\n  {rule:│ }{code:b}\n  {rule:│ }\n  {rule:│ }{code:c}\n• d\n"},
        {"> ```\n> a\nb", 40, "{quote:▎ }{rule:┌ }\n{quote:▎ }{rule:│ }{code:a}\nb\n"},
        {"```a```", 40, "{code:a}\n"},
    };
    expect_all(table, ARRAY_LEN(table), true);
}

static void tables(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"| a | bb |\n|---|:-:|\n| ccc | d |\n| e |\n", 40,
         "┌─────┬────┐\n│ a   │ bb │\n├─────┼────┤\n│ ccc │ d  │\n│ e   │    │\n└─────┴────┘\n"},
        {"x\na|b\n-|-:\n1|2|3\ny", 40, "x\n┌───┬─────┐\n│ a │   b │\n├───┼─────┤\n│ 1 │ 2|3 │\n└───┴─────┘\ny\n"},
        {"|`x|y`|a\\|b|\n|-|-|", 40, "┌─────┬─────┐\n│ x|y │ a|b │\n├─────┼─────┤\n└─────┴─────┘\n"},
        {"| a | b |\n|---|\n", 40, "| a | b |\n|---|\n"},
        {"| a | b |\n|---", 40, "| a | b |\n|---\n"},
        {"|a|b|\n|-|-|\n|one two three|日本語|", 20,
         "┌─────────┬────────┐\n│ a       │ b      │\n├─────────┼────────┤\n│ one two │ 日本語 │\n│ three   │        "
         "│\n└─────────┴────────┘\n"},
        {"|a|b|\n|-|-|\n|one two|three|\n|x||", 9, "a: one\ntwo\nb: three\n───\na: x\n"},
        {"- i\n\n  |a|\n  |-|\n  |b|", 40, "• i\n\n  ┌───┐\n  │ a │\n  ├───┤\n  │ b │\n  └───┘\n"},
    };
    expect_all(table, ARRAY_LEN(table), false);
}

static void narrow(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"1. ab", 1, "1\n.\na\nb\n"},
        {"- a", 2, "•\na\n"},
        {"> > > > a b", 4, "▎ a\n▎ b\n"},
        {"日", 1, "日\n"},
        {"# a b", 1, "a\nb\n"},
        {"|a|\n|-|\n|b|", 1, "a\n:\nb\n"},
        {"***\n", 1, "─\n"},
    };
    expect_all(table, ARRAY_LEN(table), false);
}

/* ---- while it is written ----------------------------------------------------------------------------------------- */

static void unfinished(void **state)
{
    (void)state;
    static const struct piece table[] = {
        {"a **b", 40, "a **b\n"},
        {"a **b*", 40, "a **b*\n"},
        {"a *b*", 40, "a {emphasis:b}\n"},
        {"a `b", 40, "a `b\n"},
        {"[a](http://x", 40, "[a](http://x\n"},
        {"***", 40, "***\n"},
        {"Here:\n-", 40, "Here:\n-\n"},
        {"Here:\n=", 40, "Here:\n=\n"},
        {"# ", 40, "#\n"},
        {"*", 40, "*\n"},
        {"\\[ a * b * c", 40, "\\[ a * b * c\n"},
        {"```py", 40, "{rule:┌ }{hint:py}\n"},
        {"| a | b |", 40, "| a | b |\n"},
        {"| a | b |\n|-", 40, "| a | b |\n|-\n"},
    };
    expect_all(table, ARRAY_LEN(table), true);
}

static void assert_same_lines(struct markdown *a, struct markdown *b, int columns)
{
    size_t na, nb;
    const struct md_line *x = markdown_lines(a, columns, &na), *y = markdown_lines(b, columns, &nb);
    assert_int_equal(na, nb);
    for (size_t i = 0; i < na; i++) {
        assert_int_equal(x[i].n, y[i].n);
        assert_memory_equal(x[i].text, y[i].text, x[i].n);
        assert_int_equal(x[i].columns, y[i].columns);
        assert_int_equal(x[i].from, y[i].from);
        assert_int_equal(x[i].to, y[i].to);
        assert_true(x[i].code == y[i].code && x[i].kind == y[i].kind);
        assert_int_equal(x[i].n_segments, y[i].n_segments);
        for (size_t k = 0; k < x[i].n_segments; k++) {
            assert_int_equal(x[i].segments[k].style, y[i].segments[k].style);
            assert_int_equal(x[i].segments[k].n, y[i].segments[k].n);
        }
    }
    assert_int_equal(markdown_code_count(a), markdown_code_count(b));
}

static unsigned seed;

static unsigned draw(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

/* A document of pieces that matter to the scanner, put together without sense. */
static void random_document(struct str *out, size_t pieces)
{
    static const char *const parts[] = {
        "word",
        "two words ",
        "a longer run of words that has to be wrapped ",
        "\n",
        "\n",
        "\n\n",
        "\n    ",
        "\n  ",
        " ",
        "\t",
        "# ",
        "## ",
        "- ",
        "* ",
        "+ ",
        "1. ",
        "2) ",
        "> ",
        "```",
        "```py\n",
        "~~~",
        "`",
        "``",
        "*",
        "**",
        "_",
        "__",
        "***",
        "---",
        "===",
        "|",
        "|-|-|\n",
        "|a|b|\n|-|-|\n|c|d|\n",
        "\n|",
        " | ",
        "[x](http://u/v)",
        "[",
        "](",
        ")",
        "![",
        "http://a.b/c",
        "<",
        ">",
        "&amp;",
        "&#65;",
        "\\",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "$",
        "$$",
        "$$\n",
        "~~",
        "~",
        "[ ] ",
        "- [x] ",
        "日本語",
        "e\xcc\x81",
        "👩‍👩‍👧",
        "שלום",
        "def f():\n",
        "\"",
        "'''",
        "/*",
        "*/",
        "//",
        "\\\n",
        "  \n",
        "\xcc\x81",
        "\xe2\x80\x8d",
        "0123456789",
        ":",
        ".",
        "!",
    };
    for (size_t i = 0; i < pieces; i++) str_add(out, parts[draw(ARRAY_LEN(parts))]);
    assert_true(str_ok(out));
}

/* However the text comes, and whatever was looked at meanwhile, its lines are those of the whole. */
static void appends(void **state)
{
    (void)state;
    seed = 1;
    for (int round = 0; round < 700; round++) {
        struct str text = STR_EMPTY;
        random_document(&text, 1 + draw(round % 20 == 0 ? 3000 : 60));
        struct markdown *whole = document(str_cstr(&text), text.len), *grown = document("", 0);
        int columns = 1 + (int)draw(90);
        for (size_t at = 0; at < text.len;) {
            size_t k = 1 + draw(round % 20 == 0 ? 400 : 12), n;
            if (k > text.len - at) k = text.len - at;
            assert_true(markdown_append(grown, text.data + at, k));
            at += k;
            if (draw(4)) markdown_lines(grown, draw(10) ? columns : 1 + (int)draw(90), &n);
            if (draw(30) == 0 && round % 20) { /* not only at the end */
                struct markdown *now = document(text.data, at);
                assert_same_lines(now, grown, columns);
                markdown_free(now);
            }
        }
        assert_same_lines(whole, grown, columns);
        markdown_free(whole);
        markdown_free(grown);
        str_release(&text);
    }
}

/* ---- what holds for any text ------------------------------------------------------------------------------------- */

static void assert_lines_well(struct markdown *m, int columns)
{
    size_t n, before = 0, bytes;
    const struct md_line *lines = markdown_lines(m, columns, &n);
    markdown_source(m, &bytes);
    for (size_t i = 0; i < n; i++) {
        const char *p = lines[i].text;
        int sum = 0;
        bool wide = false;
        for (size_t k = 0; k < lines[i].n_segments; k++) {
            const struct md_segment *s = &lines[i].segments[k];
            assert_ptr_equal(s->text, p);
            assert_true(s->n > 0 && s->style < STYLE_COUNT);
            assert_null(memchr(s->text, '\n', s->n));
            assert_null(memchr(s->text, '\t', s->n));
            wide |= s->columns == 2;
            p += s->n;
            sum += s->columns;
        }
        assert_int_equal(sum, lines[i].columns);
        assert_int_equal((size_t)(p - lines[i].text), lines[i].n);
        assert_true(sum <= columns || (columns == 1 && sum == 2 && wide));
        assert_true(lines[i].from >= before && lines[i].to >= lines[i].from && lines[i].to <= bytes);
        before = lines[i].from;
        size_t shown = markdown_line_at(m, lines[i].from);
        assert_true(shown >= i && lines[shown].from == lines[i].from);
    }
}

static void widths(void **state)
{
    (void)state;
    seed = 2;
    for (int round = 0; round < 400; round++) {
        struct str text = STR_EMPTY;
        random_document(&text, 1 + draw(200));
        struct markdown *m = document(str_cstr(&text), text.len);
        for (int k = 0; k < 4; k++) assert_lines_well(m, k == 0 ? 1 : 1 + (int)draw(120));
        markdown_free(m);
        str_release(&text);
    }
}

/* Letters and digits are never markup, but for what an entity is spelt with and the x of a task, which is shown. */
static void count_letters(const char *p, size_t n, size_t counts[256])
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80) counts[c]++;
    }
}

static void nothing_lost(void **state)
{
    (void)state;
    seed = 3;
    for (int round = 0; round < 600; round++) {
        struct str text = STR_EMPTY, shown = STR_EMPTY;
        random_document(&text, 1 + draw(150));
        for (size_t i = 0; i < text.len; i++)
            if (text.data[i] == '&') text.data[i] = '+';
        struct markdown *m = document(str_cstr(&text), text.len);
        dump(m, 1 + (int)draw(100), false, &shown);
        size_t want[256] = {0}, have[256] = {0};
        count_letters(str_cstr(&text), text.len, want);
        count_letters(str_cstr(&shown), shown.len, have);
        for (int c = 0; c < 256; c++) {
            if (have[c] < want[c])
                print_message("byte %02x: %zu of %zu in\n%s\n---\n%s\n", (unsigned)c, have[c], want[c], str_cstr(&text), str_cstr(&shown));
            assert_true(have[c] >= want[c]);
        }
        markdown_free(m);
        str_release(&text);
        str_release(&shown);
    }
}

/* ---- code blocks ------------------------------------------------------------------------------------------------- */

static void copying(void **state)
{
    (void)state;
    static const char text[] = "Text\n```py title\ndef f():\n\treturn  1 \n\n```\n- item\n  ```\n  a\n    b\n  ```\n> ~~~\n> q\n> ~~~\n\n  "
                               "  in\n\n      dented\n\nend\n```\nopen";
    static const struct {
        const char *info, *code;
    } want[] = {{"py title", "def f():\n\treturn  1 \n\n"}, {"", "a\n  b\n"}, {"", "q\n"}, {"", "in\n\n  dented\n"}, {"", "open"}};
    struct markdown *m = document(text, strlen(text));
    size_t n;
    assert_int_equal(markdown_code_count(m), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const char *p = markdown_code(m, i, &n);
        assert_non_null(p);
        assert_string_equal(p, want[i].code);
        assert_int_equal(n, strlen(want[i].code));
        p = markdown_code_info(m, i, &n);
        assert_int_equal(n, strlen(want[i].info));
        assert_memory_equal(p, want[i].info, n);
    }
    assert_null(markdown_code(m, ARRAY_LEN(want), &n));
    assert_null(markdown_code(m, MD_NO_CODE, &n));
    assert_null(markdown_code_info(m, 99, &n));
    const struct md_line *lines = markdown_lines(m, 40, &n);
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_code = lines[i].kind == MD_CODE || lines[i].kind == MD_CODE_LABEL;
        assert_int_equal(is_code, lines[i].code != MD_NO_CODE);
        if (is_code && lines[i].code == seen) seen++;
        if (is_code) assert_int_equal(lines[i].code + 1, seen);
    }
    assert_int_equal(seen, ARRAY_LEN(want));
    assert_string_equal(markdown_source(m, &n), text);
    assert_int_equal(n, strlen(text));
    markdown_free(m);
}

/* A block that takes many leaves is one block, copied byte for byte, and the colours go on. */
static void long_code(void **state)
{
    (void)state;
    struct str code = STR_EMPTY, text = STR_EMPTY;
    seed = 4;
    str_add(&code, "/*");
    while (code.len < 60000) {
        for (unsigned i = draw(200) ? draw(70) : 20000; i > 0; i--) str_add_char(&code, " \txyz|-#"[draw(8)]);
        str_add_char(&code, '\n');
    }
    str_add(&text, "```c\n");
    str_add_bytes(&text, code.data, code.len);
    str_add(&text, "```\nend");
    assert_true(str_ok(&text) && str_ok(&code));
    struct markdown *m = document(text.data, text.len);
    size_t n;
    assert_int_equal(markdown_code_count(m), 1);
    const char *got = markdown_code(m, 0, &n);
    assert_int_equal(n, code.len);
    assert_memory_equal(got, code.data, n);
    assert_lines_well(m, 80);
    const struct md_line *lines = markdown_lines(m, 80, &n);
    for (size_t i = 1; i + 1 < n; i++) {
        assert_int_equal(lines[i].kind, MD_CODE);
        if (lines[i].n_segments > 1) assert_int_equal(lines[i].segments[1].style, STYLE_CODE_COMMENT);
    }
    assert_int_equal(lines[n - 1].kind, MD_TEXT);
    markdown_free(m);
    str_release(&code);
    str_release(&text);
}

/* ---- cost -------------------------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void repeat(struct str *s, const char *what, size_t bytes)
{
    while (s->len < bytes) str_add(s, what);
    assert_true(str_ok(s));
}

/* Texts made to be slow or large. The limit is far above what they take, and far below what anything quadratic does. */
static void hostile(void **state)
{
    (void)state;
    static const char *const units[] = {
        ">",
        "> ",
        "- ",
        "1. ",
        "-\n",
        " - a\n",
        "> - ",
        "`",
        "```\n",
        "*",
        "**a",
        "_a",
        "***a ",
        "[",
        "![",
        "[a](",
        "](",
        "[a](b ",
        "<",
        "<a",
        "&",
        "&#",
        "\\",
        "\\(",
        "$",
        "$a ",
        "$$",
        "$$\n",
        "~~a",
        "|",
        "|-",
        "a|b\n-|-\n",
        "a|b|c|d|e|f|g|h\n",
        "http://",
        "http://a.",
        "\n",
        "\n\n",
        " ",
        "\t",
        "#",
        "# a\n",
        "=",
        "-",
        "a\n=\n",
        "\xcc\x81",
        "日",
        "\xff",
        "\x01",
        "a",
        "a ",
        "*a _b ",
        "`a``b```c",
        "    a\n",
        "- a\n\n  b\n",
        "1) a\n   > b\n",
    };
    double slowest = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        for (int lead = 0; lead < 2; lead++) {
            struct str s = STR_EMPTY;
            size_t n;
            if (lead) str_add(&s, "|a|b|\n|-|-|\n|");
            repeat(&s, units[i], 60000);
            double began = cpu_seconds();
            struct markdown *m = document(s.data, s.len);
            assert_lines_well(m, 80);
            markdown_append(m, "x", 1);
            markdown_lines(m, 7, &n);
            double took = cpu_seconds() - began;
            if (took > 1) print_message("%s: %.2f s\n", units[i], took);
            if (took > slowest) slowest = took;
            markdown_free(m);
            str_release(&s);
        }
    }
    assert_true(slowest < 5);
}

/* Many columns times many rows must not multiply. */
static void wide_table(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    for (int i = 0; i < 64; i++) str_add(&s, "|a");
    str_add_char(&s, '\n');
    for (int i = 0; i < 64; i++) str_add(&s, "|-");
    str_add_char(&s, '\n');
    repeat(&s, "|\n|b\n", 60000);
    struct markdown *m = document(s.data, s.len);
    size_t n;
    assert_non_null(markdown_lines(m, 300, &n));
    assert_true(n < 60000);
    markdown_free(m);
    str_release(&s);
}

/* A paragraph that md4c gets in pieces is one paragraph: nothing is lost or joined where the pieces meet. */
static void expect_words(char separator, int lead)
{
    struct str text = STR_EMPTY, shown = STR_EMPTY;
    size_t n, words = 0;
    while (lead-- > 0) str_add_char(&text, '.'); /* moves the places of the cuts */
    for (; text.len < 12000; words++) {
        str_add(&text, words % 50 ? "words" : "*words*");
        str_add_char(&text, separator);
    }
    struct markdown *m = document(text.data, text.len);
    assert_lines_well(m, 60);
    const struct md_line *lines = markdown_lines(m, 60, &n);
    for (size_t i = 0; i < n; i++) {
        str_add_bytes(&shown, lines[i].text, lines[i].n);
        str_add_char(&shown, ' ');
    }
    const char *p = shown.data;
    assert_non_null(p);
    p += strspn(p, ".");
    for (; words > 0; words--, p += strspn(p, " ")) {
        assert_memory_equal(p, "words", 5);
        p += 5;
        assert_int_equal(*p, ' ');
    }
    assert_int_equal(*p, 0);
    markdown_free(m);
    str_release(&text);
    str_release(&shown);
}

static void long_paragraph(void **state)
{
    (void)state;
    for (int lead = 0; lead < 8; lead++) {
        expect_words(' ', lead);
        expect_words('\n', lead);
    }
}

/* Microseconds of an append of 20 bytes, with the lines behind it, when the text has more than 80 kB. */
static double late_append(const char *text, size_t bytes)
{
    struct markdown *m = document("", 0);
    size_t n, made = 0;
    double took = 0;
    for (size_t at = 0; at < bytes; at += 20) {
        double began = cpu_seconds();
        assert_true(markdown_append(m, text + at, bytes - at < 20 ? bytes - at : 20));
        if (at > 80000 || at % 400 == 0) assert_non_null(markdown_lines(m, 80, &n));
        if (at > 80000) took += cpu_seconds() - began, made++;
    }
    markdown_free(m);
    return took / (double)made * 1e6;
}

/* A message of 100 kB, mixed or all of one kind: an append costs what is near its end, whatever came before. */
static void append_cost(void **state)
{
    (void)state;
    static const char *const sections[] = {
        "The quick **brown fox** jumps over `the dog` and *goes on* to [somewhere](http://example.org/path), a long way from 日本語.\n\n",
        "1. **One**: some explanation of the thing\n   - nested\n2. **Two**: another `thing`\n3. Three\n\n",
        "```python\ndef f(x):\n    return x + 1  # comment\n\nfor i in range(10):\n    print(f(i))\n```\n\n",
        "| a | b |\n|---|---|\n| row | **bold** text |\n| row | some longer cell |\n\n",
        "## Heading\n\n",
    };
    static const struct {
        const char *name, *head, *unit;
    } kinds[] = {
        {"mixed", "", NULL},
        {"code", "```c\n", "int f(int x) { return x + 1; } // comment\n"},
        {"code in one line", "```c\n", "f(x); "},
        {"paragraph", "", "some **bold** words and `code` "},
        {"lines", "", "a line\n"},
        {"list", "", "- an *item*\n  - and one in it\n"},
        {"code in a list", "- item\n  ```c\n", "  int f(int x) { return x + 1; }\n"},
        {"quote", "", "> quoted *words*\n"},
        {"table", "|a|b|\n|-|-|\n", "| row | **bold** text |\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct str s = STR_EMPTY;
        str_add(&s, kinds[i].head);
        for (seed = 5; s.len < 100000;) str_add(&s, kinds[i].unit ? kinds[i].unit : sections[draw(ARRAY_LEN(sections))]);
        assert_true(str_ok(&s));
        double us = late_append(s.data, s.len);
        print_message("%s: %.1f us\n", kinds[i].name, us);
#if !defined(__SANITIZE_ADDRESS__)
        assert_true(us < 1000);
#endif
        str_release(&s);
    }
}

static void bookkeeping(void **state)
{
    (void)state;
    struct markdown *m = document("# a\n\nb", 6);
    size_t n;
    const struct md_line *lines = markdown_lines(m, 40, &n);
    assert_int_equal(n, 3);
    assert_int_equal(lines[0].kind, MD_HEADING);
    assert_int_equal(lines[1].kind, MD_GAP);
    assert_int_equal(lines[2].from, 5);
    assert_int_equal(lines[2].to, 6);
    assert_int_equal(markdown_line_at(m, 0), 0);
    assert_int_equal(markdown_line_at(m, 5), 2);
    assert_int_equal(markdown_line_at(m, 99), 2);
    markdown_drop_layout(m);
    assert_int_equal(markdown_line_at(m, 5), 0);
    assert_non_null(markdown_lines(m, 0, &n)); /* columns below 1 are 1 */
    assert_true(markdown_set(m, "c", 1));
    assert_non_null(markdown_lines(m, 40, &n));
    assert_int_equal(n, 1);
    assert_true(markdown_set(m, "", 0));
    assert_null(markdown_lines(m, 40, &n));
    assert_int_equal(n, 0);
    markdown_free(m);
    markdown_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans),        cmocka_unit_test(blocks),         cmocka_unit_test(code),        cmocka_unit_test(tables),
        cmocka_unit_test(narrow),       cmocka_unit_test(unfinished),     cmocka_unit_test(appends),     cmocka_unit_test(widths),
        cmocka_unit_test(nothing_lost), cmocka_unit_test(copying),        cmocka_unit_test(long_code),   cmocka_unit_test(hostile),
        cmocka_unit_test(wide_table),   cmocka_unit_test(long_paragraph), cmocka_unit_test(append_cost), cmocka_unit_test(bookkeeping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
