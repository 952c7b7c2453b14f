/* The sanitiser: every class of character, and results that do not depend on how the bytes are cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/base.h"

#define FFFD "\xEF\xBF\xBD"

static uint64_t rng = 0x2545F4914F6CDD1Du;

static uint32_t rnd(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

static struct str clean(const char *p, size_t n, enum text_sink sink)
{
    struct str out = STR_EMPTY;
    text_sanitize(&out, p, n, sink);
    return out;
}

static void check(size_t row, const char *in, size_t n, enum text_sink sink, const char *want)
{
    struct str out = clean(in, n, sink);
    if (strcmp(str_cstr(&out), want) != 0) fail_msg("row %zu, sink %d: got \"%s\", want \"%s\"", row, (int)sink, str_cstr(&out), want);
    str_release(&out);
}

static void table_of_texts(void **state)
{
    (void)state;
    static const struct {
        const char *in, *screen, *pipe, *line;
    } table[] = {
        {"", "", "", ""},
        {"plain", "plain", "plain", "plain"},
        {"a\tb\nc", "a\tb\nc", "a\tb\nc", "a b c"},
        {"\x1B[31mred", "\xE2\x90\x9B[31mred", "\xE2\x90\x9B[31mred", "\xE2\x90\x9B[31mred"},
        {"\x1B]52;c;eA==\x07", "\xE2\x90\x9B]52;c;eA==\xE2\x90\x87", "\xE2\x90\x9B]52;c;eA==\xE2\x90\x87",
         "\xE2\x90\x9B]52;c;eA==\xE2\x90\x87"},
        {"ok\rno", "ok\xE2\x90\x8Dno", "ok\xE2\x90\x8Dno", "ok\xE2\x90\x8Dno"},
        {"a\b", "a\xE2\x90\x88", "a\xE2\x90\x88", "a\xE2\x90\x88"},
        {"\x7F", "\xE2\x90\xA1", "\x7F", "\xE2\x90\xA1"},
        {"\xC2\x9B"
         "31m",
         FFFD "31m", FFFD "31m", FFFD "31m"}, /* CSI as UTF-8 */
        {"\x9B"
         "31m",
         FFFD "31m", FFFD "31m", FFFD "31m"},            /* CSI raw */
        {"\xC0\x9B", FFFD FFFD, "\xC0" FFFD, FFFD FFFD}, /* ESC overlong */
        {"\xE0\x80\x9B", FFFD FFFD FFFD, "\xE0" FFFD FFFD, FFFD FFFD FFFD},
        {"\xFF\xFE", FFFD FFFD, "\xFF\xFE", FFFD FFFD},
        {"\xED\xA0\x80", FFFD FFFD FFFD, "\xED\xA0" FFFD, FFFD FFFD FFFD}, /* lone surrogate */
        {"\xE2\x82 ", FFFD " ", "\xE2" FFFD " ", FFFD " "},
        {"\xE2\x82", FFFD, "\xE2" FFFD, FFFD},
        {"a\xE2\x80\xAE"
         "b",
         "a" FFFD "b",
         "a\xE2\x80\xAE"
         "b",
         "a" FFFD "b"}, /* right-to-left override */
        {"\xEF\xBB\xBFx", FFFD "x", "\xEF\xBB\xBFx", FFFD "x"},
        {"\xE2\x80\xA8", FFFD, "\xE2\x80\xA8", FFFD},                                     /* line separator */
        {"\xF3\xA0\x81\x81", FFFD, "\xF3\xA0\x81\x81", FFFD},                             /* tag letter A */
        {"\xD7\xA9\xD7\x9C", "\xD7\xA9\xD7\x9C", "\xD7\xA9\xD7\x9C", "\xD7\xA9\xD7\x9C"}, /* Hebrew */
        {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80", "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80",
         "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80", "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80"},
        {"\xD9\x86\xE2\x80\x8C\xDB\x8C", "\xD9\x86\xE2\x80\x8C\xDB\x8C", "\xD9\x86\xE2\x80\x8C\xDB\x8C", "\xD9\x86\xE2\x80\x8C\xDB\x8C"},
        {"\xEF\xBF\xBD", "\xEF\xBF\xBD", "\xEF\xBF\xBD", "\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        size_t n = strlen(table[i].in);
        check(i, table[i].in, n, TEXT_SCREEN, table[i].screen);
        check(i, table[i].in, n, TEXT_PIPE, table[i].pipe);
        check(i, table[i].in, n, TEXT_ONE_LINE, table[i].line);
    }
    check(999, "a\0b", 3, TEXT_SCREEN,
          "a\xE2\x90\x80"
          "b");
    check(999, NULL, 0, TEXT_SCREEN, "");
}

/* Written apart from the table that the sanitiser uses. */
static bool must_not_show(uint32_t cp, enum text_sink sink)
{
    if (cp < 0x20) return sink == TEXT_ONE_LINE || (cp != '\n' && cp != '\t');
    if (cp >= 0x80 && cp < 0xA0) return true;
    if (sink == TEXT_PIPE) return false;
    if (cp == 0x7F || cp == 0x61C || cp == 0x200B || cp == 0x200E || cp == 0x200F || cp == 0xFEFF || cp == 0x180E) return true;
    if (cp == 0x2028 || cp == 0x2029 || (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069)) return true;
    return (cp >= 0x2060 && cp <= 0x206F) || (cp >= 0xFFF9 && cp <= 0xFFFB) || (cp >= 0xE0000 && cp <= 0xE007F);
}

static void every_code_point(void **state)
{
    (void)state;
    for (int sink = TEXT_SCREEN; sink <= TEXT_ONE_LINE; sink++) {
        struct str out = STR_EMPTY;
        for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
            if (cp >= 0xD800 && cp <= 0xDFFF) continue;
            char bytes[4];
            uint32_t shown;
            size_t n = utf8_encode(cp, bytes);
            str_clear(&out);
            text_sanitize(&out, bytes, n, (enum text_sink)sink);
            assert_int_equal(utf8_decode(out.data, out.len, &shown), out.len);
            bool replaced = must_not_show(cp, (enum text_sink)sink);
            if ((shown != cp) != replaced) fail_msg("U+%04X becomes U+%04X in sink %d", cp, shown, sink);
            if (must_not_show(shown, (enum text_sink)sink)) fail_msg("U+%04X shows as U+%04X", cp, shown);
            /* a stand-in is visible */
            if (replaced && shown != ' ') assert_int_equal(utf8_width(shown), 1);
        }
        str_release(&out);
    }
}

/* Bytes as an attacker would mix them. */
static size_t hostile(char *out, size_t room)
{
    static const char *const pieces[] = {
        "\x1B[2J",
        "\x1B]0;t\x07",
        "\xC2\x9B",
        "\xC2\x85",
        "\r",
        "\r\n",
        "\xE2\x80\xAE",
        "\xE2\x81\xA6",
        "\xE2\x80\x8F",
        "\xD8\x9C",
        "\xEF\xBB\xBF",
        "\xF3\xA0\x81\x81",
        "\xE2\x80\xA8",
        "\xF0\x9F\x98\x80",
        "\xE2\x80\x8D",
        "\xC3\xA9",
        "text",
        "\n",
        "\t",
        "\xC0\x9B",
        "\xE0\x80\x9B",
        "\xED\xA0\x80",
        "\xF4\x90\x80\x80",
        "\xE2",
        "\xE2\x82",
        "\xF0\x9F",
        "\xF0\x9F\x98",
        "\xC2",
        "\x9B",
        "\xF0\x80\x80\x9B",
    };
    size_t n = 0;
    while (n + 8 < room) {
        if (rnd(3) == 0) {
            out[n++] = (char)(rnd(2) ? rnd(256) : 0x80 + rnd(0x40));
        } else {
            const char *p = pieces[rnd(ARRAY_LEN(pieces))];
            size_t len = strlen(p);
            memcpy(out + n, p, len);
            n += len;
        }
    }
    return n;
}

static void expect_same(const struct str *got, const struct str *want, const char *how)
{
    if (got->len != want->len || memcmp(str_cstr(got), str_cstr(want), got->len) != 0) fail_msg("%s changes the result", how);
}

static void cuts_do_not_matter(void **state)
{
    (void)state;
    struct str got = STR_EMPTY;
    for (int round = 0; round < 6000; round++) {
        char text[48];
        enum text_sink sink = (enum text_sink)(round % 3);
        size_t n = hostile(text, sizeof(text));
        struct str want = clean(text, n, sink);
        struct text_sanitizer s;
        text_sanitizer_init(&s, sink);
        for (size_t cut = 0; cut <= n; cut++) {
            str_clear(&got);
            text_sanitizer_feed(&s, text, cut, &got);
            assert_true(s.n_held <= 3);
            text_sanitizer_feed(&s, text + cut, n - cut, &got);
            text_sanitizer_end(&s, &got);
            expect_same(&got, &want, "one cut");
        }
        str_clear(&got);
        for (size_t i = 0; i < n; i++) text_sanitizer_feed(&s, text + i, 1, &got);
        text_sanitizer_end(&s, &got);
        expect_same(&got, &want, "feeding bytes");
        str_clear(&got);
        for (size_t i = 0; i < n;) {
            size_t step = rnd(6);
            if (step > n - i) step = n - i;
            text_sanitizer_feed(&s, text + i, step, &got);
            i += step;
        }
        text_sanitizer_end(&s, &got);
        expect_same(&got, &want, "random cuts");
        str_release(&want);
    }
    str_release(&got);
}

static void nothing_dangerous_comes_out(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        enum text_sink sink = (enum text_sink)(round % 3);
        size_t n = hostile(text, sizeof(text));
        struct str out = clean(text, n, sink);
        for (size_t i = 0; i < out.len;) {
            uint32_t cp;
            size_t used = utf8_decode(out.data + i, out.len - i, &cp);
            if (cp == UTF8_INVALID) {
                assert_int_equal(sink, TEXT_PIPE);
                for (size_t k = 0; k < used; k++) assert_false(((unsigned char)out.data[i + k] & 0xE0) == 0x80);
            } else {
                assert_false(must_not_show(cp, sink));
            }
            i += used;
        }
        struct str twice = clean(str_cstr(&out), out.len, sink);
        expect_same(&twice, &out, "a second pass");
        str_release(&twice);
        str_release(&out);
    }
}

static void feeding_nothing(void **state)
{
    (void)state;
    struct text_sanitizer s;
    struct str out = STR_EMPTY;
    text_sanitizer_init(&s, TEXT_SCREEN);
    text_sanitizer_feed(&s, NULL, 0, &out);
    text_sanitizer_end(&s, &out);
    assert_int_equal(out.len, 0);
    text_sanitizer_feed(&s, "\xF0\x9F", 2, &out);
    text_sanitizer_feed(&s, NULL, 0, &out);
    assert_int_equal(out.len, 0);
    text_sanitizer_feed(&s, "\x98\x80", 2, &out);
    assert_string_equal(str_cstr(&out), "\xF0\x9F\x98\x80");
    text_sanitizer_feed(&s, "\xF0\x9F", 2, &out);
    text_sanitizer_end(&s, &out);
    text_sanitizer_end(&s, &out);
    assert_string_equal(str_cstr(&out), "\xF0\x9F\x98\x80" FFFD);
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_texts),     cmocka_unit_test(every_code_point),
        cmocka_unit_test(cuts_do_not_matter), cmocka_unit_test(nothing_dangerous_comes_out),
        cmocka_unit_test(feeding_nothing),
    };
    return cmocka_run_group_tests_name("base_sanitize", tests, NULL, NULL);
}
