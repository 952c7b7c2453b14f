/* UTF-8 against utf8proc's strict reader, widths and grapheme clusters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <utf8proc.h>

#include "base/base.h"

static uint64_t rng = 0xD1B54A32D192ED03u;

static uint32_t rnd(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

static void every_code_point_round_trips(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x110010; cp++) {
        char bytes[4];
        uint32_t back;
        size_t n = utf8_encode(cp, bytes);
        bool valid = cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF);
        size_t used = utf8_decode(bytes, n, &back);
        if (used != n || back != (valid ? cp : 0xFFFD)) fail_msg("U+%04X: %zu of %zu bytes, U+%04X", cp, used, n, back);
        for (size_t k = 0; k < n; k++) {
            if (utf8_complete_prefix(bytes, k) != 0) fail_msg("U+%04X cut at %zu counts as complete", cp, k);
        }
        if (utf8_complete_prefix(bytes, n) != n) fail_msg("U+%04X counts as incomplete", cp);
    }
    char bytes[4];
    assert_int_equal(utf8_encode(UTF8_INVALID, bytes), 3);
    assert_memory_equal(bytes, "\xEF\xBF\xBD", 3);
}

/* All first and second bytes, and the third and fourth bytes where something changes. */
static void decoding_agrees_with_utf8proc(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE0, 0xFF};
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            for (size_t c = 0; c < sizeof(edges) * sizeof(edges); c++) {
                const unsigned char bytes[4] = {(unsigned char)a, (unsigned char)b, edges[c / sizeof(edges)], edges[c % sizeof(edges)]};
                for (size_t n = c ? 4 : 1; n <= 4; n++) {
                    uint32_t cp;
                    utf8proc_int32_t want;
                    size_t used = utf8_decode((const char *)bytes, n, &cp);
                    utf8proc_ssize_t r = utf8proc_iterate(bytes, (utf8proc_ssize_t)n, &want);
                    bool same = r > 0 ? used == (size_t)r && cp == (uint32_t)want : cp == UTF8_INVALID && used >= 1 && used <= 3;
                    if (!same) fail_msg("%02x %02x %02x %02x, %zu bytes: %zu, U+%X", a, b, bytes[2], bytes[3], n, used, cp);
                    /* more than one ill-formed byte is taken only where they begin a character */
                    if (cp == UTF8_INVALID && used > 1) assert_int_equal(utf8_complete_prefix((const char *)bytes, used), 0);
                }
            }
        }
    }
}

static void maximal_subparts(void **state)
{
    (void)state;
    /* Unicode 15, tables 3-8 to 3-11: how many replacements */
    static const struct {
        const char *bytes;
        const char *steps; /* bytes consumed, letter means ill-formed: a=1, b=2, c=3 */
    } table[] = {
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "aaaaaaaa1"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "aaaaaaaa1"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "aaaaa1aa1"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "bacb1"},
        {"\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", "cba1a1aa1"},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "234"},
        {"\xF0\x9F\x98", "c"},
        {"\xF8\x88\x80\x80\x80", "aaaaa"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        size_t n = strlen(table[i].bytes), at = 0;
        const char *step = table[i].steps;
        for (; at < n; step++) {
            uint32_t cp;
            size_t used = utf8_decode(table[i].bytes + at, n - at, &cp);
            char got = (char)(cp == UTF8_INVALID ? 'a' + (int)used - 1 : '0' + (int)used);
            assert_int_equal(got, *step);
            at += used;
        }
        assert_int_equal(*step, '\0');
    }
}

static void complete_prefix_of_mixed_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t want;
    } table[] = {
        {"", 0},           {"abc", 3},          {"ab\xC3", 2},       {"ab\xC3\xA9", 4},
        {"ab\xE2\x82", 2}, {"\xF0\x9F\x98", 0}, {"a\xF0\x9F", 1},    {"a\x80\x80\x80", 4},
        {"\xC0\x80", 2},   {"\xE0\x80", 2},     {"\xED\xA0", 2},     {"\xF4\x90", 2},
        {"\xFF", 1},       {"\xC2\xC2", 1},     {"\xE2\x82\xE2", 2}, {"\xF0\x9F\x98\x80\xF0", 4},
        {"\x80", 1},       {"\xF5", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(utf8_complete_prefix(table[i].bytes, strlen(table[i].bytes)), table[i].want);
}

static void validity(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("gr\xC3\xBC\xC3\x9F\x65\0x", 9));
    assert_false(utf8_is_valid("abc\xC3", 4));
    assert_false(utf8_is_valid("\xED\xA0\x80", 3));
    assert_false(utf8_is_valid("ok\x80", 3));
}

static void widths(void **state)
{
    (void)state;
    static const struct {
        uint32_t cp;
        int columns;
    } table[] = {
        {'a', 1},     {' ', 1},     {0xE9, 1},    {0, 0},       {0x1B, 0},   {0x7F, 0},     {0x301, 0},        {0x4E2D, 2},
        {0xFF21, 2},  {0xAC00, 2},  {0x1100, 2},  {0x1161, 0},  {0x11A8, 0}, {0x3042, 2},   {0x200D, 0},       {0xFE0F, 0},
        {0x1F600, 2}, {0x1F1E6, 1}, {0x2764, 1},  {0x05D0, 1},  {0x0627, 1}, {0x0600, 1},   {0x093F, 1},       {0x0941, 0},
        {0xA1, 1},    {0x2026, 1},  {0x2014, 1},  {0x03B1, 1},  {0x2588, 1}, {0xFFFD, 1},   {0x2400, 1},       {0xE000, 1},
        {0x4DC0, 2},  {0x1FAE9, 2}, {0x1F6D8, 2}, {0x20000, 2}, {0xD800, 1}, {0x110000, 1}, {UTF8_INVALID, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (utf8_width(table[i].cp) != table[i].columns) fail_msg("U+%04X: %d columns", table[i].cp, utf8_width(table[i].cp));
    }
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        int w = utf8_width(cp);
        if (w < 0 || w > 2) fail_msg("U+%04X: %d columns", cp, w);
    }
}

#define ZWJ  "\xE2\x80\x8D"
#define VS16 "\xEF\xB8\x8F"

static void graphemes(void **state)
{
    (void)state;
    /* the first cluster's bytes and columns */
    static const struct {
        const char *text;
        size_t bytes;
        int columns;
    } table[] = {
        {"ab", 1, 1},
        {"\xC3\xA9x", 2, 1},
        {"e\xCC\x81x", 3, 1}, /* e and combining acute */
        {"\xCC\x81x", 2, 0},  /* a mark with no base */
        {"\r\nx", 2, 0},
        {"\nx", 1, 0},
        {"\xE4\xB8\xAD\xE6\x96\x87", 3, 2},
        {"\xF0\x9F\x98\x80\xF0\x9F\x98\x80", 4, 2},
        {"\xE2\x9D\xA4x", 3, 1},                                    /* heart as text */
        {"\xE2\x9D\xA4" VS16 "x", 6, 2},                            /* heart as emoji */
        {"1" VS16 "\xE2\x83\xA3x", 7, 2},                           /* keycap */
        {"1\xF0\x9F\x8F\xBD", 1, 1},                                /* a digit and a skin tone: three columns, two pieces */
        {"a" VS16 "x", 4, 1},                                       /* no emoji form */
        {"\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xF0\x9F\x87\xAB", 8, 2}, /* flag, then a lone indicator */
        {"\xF0\x9F\x87\xA9x", 4, 1},
        {"\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBDx", 8, 2},                               /* thumb, skin tone */
        {"\xF0\x9F\x91\xA9" ZWJ "\xF0\x9F\x9A\x80x", 11, 2},                       /* astronaut */
        {"\xF0\x9F\x91\xA8" ZWJ "\xF0\x9F\x91\xA9" ZWJ "\xF0\x9F\x91\xA7", 18, 2}, /* family */
        {"\xE2\x9D\xA4" VS16 ZWJ "\xF0\x9F\x94\xA5", 13, 2},                       /* heart on fire */
        {"\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", 9, 2},                            /* a syllable in three jamo */
        {"\xE0\xA4\x95\xE0\xA4\xBF\xE0\xA4\x95", 6, 2},                            /* ka and vowel sign i, which stands beside it */
        {"\xE0\xAE\x95\xE0\xAF\x86\xE0\xAE\xBE", 6, 2},                            /* Tamil ko decomposed: three columns, two pieces */
        {"\xFFx", 1, 1},
        {"\xE2\x82x", 1, 1},
        {"a\xCC", 1, 1},
        {"\x80\xCC\x81", 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int columns = -1;
        size_t bytes = utf8_grapheme(table[i].text, strlen(table[i].text), &columns);
        if (bytes != table[i].bytes || columns != table[i].columns) fail_msg("row %zu: %zu bytes, %d columns", i, bytes, columns);
        assert_int_equal(utf8_grapheme(table[i].text, strlen(table[i].text), NULL), bytes);
    }
}

static void columns_of_lines(void **state)
{
    (void)state;
    assert_int_equal(utf8_columns("", 0), 0);
    assert_int_equal(utf8_columns("abc", 3), 3);
    assert_int_equal(utf8_columns("\xE4\xB8\xAD"
                                  "a\xC3\xA9"
                                  "e\xCC\x81",
                                  9),
                     5);
    assert_int_equal(utf8_columns("\xF0\x9F\x91\xA9" ZWJ "\xF0\x9F\x9A\x80!", 12), 3);
    assert_int_equal(utf8_columns("\xE0\xAE\x95\xE0\xAF\x86\xE0\xAE\xBE", 9), 3);
}

/* Clusters cover any bytes without gap, never split a character, never exceed two columns. */
static void graphemes_of_random_bytes(void **state)
{
    (void)state;
    static const uint32_t picks[] = {'a',   '1',   0x301, 0x200D, 0xFE0F, 0x1F1E6, 0x1F469, 0x1F3FD, 0x1100, 0x1161, 0x11A8, 0xAC00,
                                     0x93F, 0x915, 0x94D, 0x600,  0x4E2D, 0x2764,  0xE0062, 0x0D,    0x0A,   0xBC6,  0xBBE};
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t n = 0, at = 0;
        while (n < 50) {
            if (rnd(8) == 0) {
                text[n++] = (char)rnd(256);
            } else {
                n += utf8_encode(picks[rnd(ARRAY_LEN(picks))], text + n);
            }
        }
        int total = 0;
        while (at < n) {
            int columns = -1;
            size_t used = utf8_grapheme(text + at, n - at, &columns);
            assert_true(used >= 1 && used <= n - at);
            assert_true(columns >= 0 && columns <= 2);
            if (used > 1) assert_true(utf8_is_valid(text + at, used));
            total += columns;
            at += used;
        }
        assert_int_equal(utf8_columns(text, n), total);
    }
}

/* However text comes in, it is the same: whole, or byte by byte. */
static void bytes_become_text(void **state)
{
    (void)state;
    struct str whole = STR_EMPTY, bytes = STR_EMPTY, want = STR_EMPTY;
    str_add_text(&whole, "a\0\xC3\xA9\xFF\xE6\xBC z\xF0\x9F\x98", 12);
    assert_int_equal(whole.len, 15);
    assert_memory_equal(whole.data, "a\0\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD z\xEF\xBF\xBD", 16);
    str_add_text(&whole, "", 0);
    assert_int_equal(whole.len, 15);
    for (int round = 0; round < 20000; round++) {
        static const char pool[] = "\x00" "A\x7F\x80\xBF\xC2\xC3\xE0\xE2\xED\xEF\xF0\xF4\xF5\xFF\xA0\x9F\x8F\x90";
        char text[12];
        size_t n = rnd(sizeof text + 1);
        for (size_t i = 0; i < n; i++) text[i] = pool[rnd(sizeof pool - 1)];
        str_clear(&whole);
        str_clear(&bytes);
        str_clear(&want);
        for (size_t i = 0; i < n;) {
            uint32_t cp;
            i += utf8_decode(text + i, n - i, &cp);
            str_add_codepoint(&want, cp);
        }
        str_add_text(&whole, text, n);
        for (size_t i = 0; i < n; i++) {
            str_add_text_byte(&bytes, text[i]);
            size_t done = utf8_complete_prefix(str_cstr(&bytes), bytes.len);
            assert_true(utf8_is_valid(str_cstr(&bytes), done) && bytes.len - done < 4);
        }
        str_end_text(&bytes);
        assert_int_equal(whole.len, want.len);
        assert_int_equal(bytes.len, want.len);
        assert_memory_equal(str_cstr(&whole), str_cstr(&want), want.len);
        assert_memory_equal(str_cstr(&bytes), str_cstr(&want), want.len);
    }
    str_release(&whole);
    str_release(&bytes);
    str_release(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(decoding_agrees_with_utf8proc),
        cmocka_unit_test(maximal_subparts),
        cmocka_unit_test(complete_prefix_of_mixed_text),
        cmocka_unit_test(validity),
        cmocka_unit_test(bytes_become_text),
        cmocka_unit_test(widths),
        cmocka_unit_test(graphemes),
        cmocka_unit_test(columns_of_lines),
        cmocka_unit_test(graphemes_of_random_bytes),
    };
    return cmocka_run_group_tests_name("base_utf8", tests, NULL, NULL);
}
