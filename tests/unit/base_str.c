/* Errors, strings and the allocation helpers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static uint64_t rng = 0x9E3779B97F4A7C15u;

static uint32_t rnd(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

static void err_text_is_one_line(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, ERR_IO,
                             "a\nb\r\nc\xC2\x85"
                             "d\xE2\x80\xA8"
                             "e %d",
                             7),
                     ERR_IO);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "a b  c d e 7");
    assert_int_equal(err_set(NULL, ERR_DB, "nobody listens %s", "here"), ERR_DB);
}

static void err_text_is_cut_between_characters(void **state)
{
    (void)state;
    /* every alignment of 2, 3 and 4 byte characters with the end of the buffer */
    static const char *const letters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t l = 0; l < ARRAY_LEN(letters); l++) {
        for (int shift = 0; shift < 5; shift++) {
            struct str long_text = STR_EMPTY;
            for (int i = 0; i < shift; i++) str_add_char(&long_text, 'x');
            for (int i = 0; i < 600; i++) str_add(&long_text, letters[l]);
            struct err e;
            err_set(&e, ERR_IO, "%s", str_cstr(&long_text));
            size_t n = strlen(e.text);
            assert_true(n < sizeof(e.text));
            assert_true(n > sizeof(e.text) - 5);
            assert_true(utf8_is_valid(e.text, n));
            assert_memory_equal(e.text, long_text.data, n);
            str_release(&long_text);
        }
    }
}

static void err_text_is_valid_whatever_comes(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        char bytes[700];
        size_t n = rnd(sizeof(bytes) - 1);
        for (size_t i = 0; i < n; i++) bytes[i] = (char)(1 + rnd(255));
        bytes[n] = '\0';
        struct err e;
        memset(&e, 0x55, sizeof(e));
        if (round % 2) {
            err_set(&e, ERR_INVALID, "%s", bytes);
        } else {
            errno = EACCES;
            err_set_errno(&e, ERR_INVALID, "%s", bytes);
        }
        assert_non_null(memchr(e.text, '\0', sizeof(e.text)));
        assert_true(utf8_is_valid(e.text, strlen(e.text)));
        assert_null(strpbrk(e.text, "\r\n"));
    }
}

static void err_may_quote_itself(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_FILE, "outer: %s", e.text);
    assert_string_equal(e.text, "outer: inner");
}

static void err_errno_keeps_the_reason(void **state)
{
    (void)state;
    struct err e;
    errno = ENOENT;
    assert_int_equal(err_set_errno(&e, ERR_NOT_FOUND, "%s", "x"), ERR_NOT_FOUND);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(e.text, "x: No such file or directory");
    char long_path[2000];
    memset(long_path, 'p', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    errno = ENOENT;
    err_set_errno(&e, ERR_NOT_FOUND, "%s", long_path);
    assert_non_null(strstr(e.text, "pp: No such file or directory"));
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void err_codes(void **state)
{
    (void)state;
    assert_int_equal(err_exit_code(ERR_OK), 0);
    assert_int_equal(err_exit_code(ERR_FAILED), 1);
    assert_int_equal(err_exit_code(ERR_USAGE), 2);
    assert_int_equal(err_exit_code(ERR_FILE), 3);
    assert_int_equal(err_exit_code(ERR_STOPPED), 1);
    assert_int_equal(err_exit_code(-1), 1);
    assert_int_equal(err_exit_code(100000), 1);
    for (int c = ERR_OK; c <= ERR_STOPPED; c++) {
        assert_true(strlen(err_name(c)) > 3);
        assert_string_not_equal(err_name(c), err_name(-1));
    }
    assert_string_equal(err_name(-1), err_name(9999));
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

static void str_starts_empty(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    assert_string_equal(str_cstr(&s), "");
    str_add(&s, "");
    str_add_bytes(&s, NULL, 0);
    str_addf(&s, "%s", "");
    assert_null(s.data);
    str_truncate(&s, 0);
    str_erase(&s, 0, 5);
    str_clear(&s);
    char *text = str_detach(&s);
    assert_string_equal(text, "");
    free(text);
    str_release(&s);
    str_release(&s);
    str_release(NULL);
}

static void str_builds(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    str_add(&s, "ab");
    str_add_char(&s, 'c');
    str_add_bytes(&s, "d\0e", 3);
    str_add_codepoint(&s, 0x20AC);
    str_add_codepoint(&s, 0xD800);
    str_addf(&s, "[%05d]", 42);
    static const char want[] = "abcd\0e\xE2\x82\xAC\xEF\xBF\xBD[00042]";
    assert_int_equal(s.len, sizeof(want) - 1);
    assert_memory_equal(s.data, want, sizeof(want));
    str_truncate(&s, 3);
    str_truncate(&s, 100);
    assert_string_equal(s.data, "abc");
    assert_true(str_insert(&s, 1, "XY", 2));
    assert_true(str_insert(&s, 99, "!", 1));
    assert_string_equal(s.data, "aXYbc!");
    str_erase(&s, 1, 2);
    str_erase(&s, 3, SIZE_MAX);
    str_erase(&s, 7, 1);
    assert_string_equal(s.data, "abc");
    char *text = str_detach(&s);
    assert_string_equal(text, "abc");
    assert_null(s.data);
    assert_int_equal(s.cap, 0);
    free(text);
}

static void str_failure_sticks(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    str_add(&s, "kept");
    assert_false(str_reserve(&s, SIZE_MAX));
    assert_false(str_ok(&s));
    str_add(&s, "more");
    str_addf(&s, "%d", 1);
    str_truncate(&s, 0);
    str_erase(&s, 0, 1);
    assert_false(str_insert(&s, 0, "x", 1));
    assert_false(str_reserve(&s, 1));
    assert_string_equal(str_cstr(&s), "kept");
    str_clear(&s);
    assert_true(str_ok(&s));
    str_add(&s, "again");
    assert_string_equal(str_cstr(&s), "again");
    assert_false(str_reserve(&s, (size_t)PTRDIFF_MAX));
    assert_null(str_detach(&s));
    assert_true(str_ok(&s));
    assert_null(s.data);
}

/* Random operations against a plain array. */
static void str_agrees_with_model(void **state)
{
    (void)state;
    static char model[1 << 16];
    size_t n = 0;
    struct str s = STR_EMPTY;
    for (int step = 0; step < 20000; step++) {
        char piece[40];
        size_t len = rnd(sizeof(piece)), at = rnd((uint32_t)n + 3);
        for (size_t i = 0; i < len; i++) piece[i] = (char)rnd(256);
        switch (rnd(4)) {
        case 0:
            if (n + len > sizeof(model)) break;
            str_add_bytes(&s, piece, len);
            memcpy(model + n, piece, len);
            n += len;
            break;
        case 1:
            if (n + len > sizeof(model)) break;
            assert_true(str_insert(&s, at, piece, len));
            if (at > n) at = n;
            memmove(model + at + len, model + at, n - at);
            memcpy(model + at, piece, len);
            n += len;
            break;
        case 2:
            str_erase(&s, at, len);
            if (at < n) {
                size_t gone = len < n - at ? len : n - at;
                memmove(model + at, model + at + gone, n - at - gone);
                n -= gone;
            }
            break;
        default:
            if (rnd(50) == 0) {
                str_truncate(&s, at);
                if (at < n) n = at;
            }
        }
        assert_int_equal(s.len, n);
        if (n > 0) {
            assert_memory_equal(s.data, model, n);
            assert_int_equal(s.data[n], 0);
            assert_true(s.cap > s.len);
        }
    }
    str_release(&s);
}

static void mem_grow_keeps_items(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(mem_grow(&items, &cap, (size_t)i + 1, sizeof(*items)));
        assert_true(cap > i);
        items[i] = i * 7;
    }
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(items[i], i * 7);
    uint32_t *before = items;
    size_t cap_before = cap;
    assert_false(mem_grow(&items, &cap, SIZE_MAX / 2, sizeof(*items)));
    assert_false(mem_grow(&items, &cap, SIZE_MAX / 4 + 2, sizeof(*items)));
    assert_ptr_equal(items, before);
    assert_int_equal(cap, cap_before);
    free(items);
}

static void mem_dup_text_copies(void **state)
{
    (void)state;
    char *copy = mem_dup_text("a\0b", 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = mem_dup_text(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    assert_null(mem_dup_text("x", SIZE_MAX));
}

/* ---- newlines and clock ------------------------------------------------------------------------------------- */

static void newlines_become_lf(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"", ""},       {"a", "a"},       {"\r", "\n"}, {"\r\n", "\n"}, {"\n\r", "\n\n"}, {"\r\r\n", "\n\n"}, {"a\r\nb\rc\n", "a\nb\nc\n"},
        {"x\r", "x\n"}, {"\n\n", "\n\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[32];
        strcpy(text, table[i][0]);
        size_t n = text_normalise_newlines(text, strlen(text));
        assert_int_equal(n, strlen(table[i][1]));
        assert_memory_equal(text, table[i][1], n);
    }
}

static void clock_writes_iso8601(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } table[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1768469400123, "2026-01-15T09:30:00.123Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[32];
        clock_iso8601(table[i].ms, text);
        assert_string_equal(text, table[i].text);
    }
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t us = clock_mono_us(), ms = clock_mono_ms();
    assert_true(ms - us / 1000 >= 0 && ms - us / 1000 < 10000);
    assert_true(clock_mono_us() >= us);
    assert_true(clock_wall_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_text_is_one_line),
        cmocka_unit_test(err_text_is_cut_between_characters),
        cmocka_unit_test(err_text_is_valid_whatever_comes),
        cmocka_unit_test(err_may_quote_itself),
        cmocka_unit_test(err_errno_keeps_the_reason),
        cmocka_unit_test(err_codes),
        cmocka_unit_test(str_starts_empty),
        cmocka_unit_test(str_builds),
        cmocka_unit_test(str_failure_sticks),
        cmocka_unit_test(str_agrees_with_model),
        cmocka_unit_test(mem_grow_keeps_items),
        cmocka_unit_test(mem_dup_text_copies),
        cmocka_unit_test(newlines_become_lf),
        cmocka_unit_test(clock_writes_iso8601),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests_name("base_str", tests, NULL, NULL);
}
