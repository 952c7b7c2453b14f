/* model_gguf.c - the GGUF reader: what it reads, and that no damaged or hostile file gets past it or makes it read outside. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_build.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens an exact-sized copy, so that a read behind the end is seen by the sanitiser. The copy lives until close_copy. */
static void *copy;

static int open_copy(struct gguf **g, const void *bytes, size_t n, struct err *e)
{
    copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n)
        memcpy(copy, bytes, n);
    return gguf_open_memory(g, copy, n, "test.gguf", e);
}

static void close_copy(struct gguf *g)
{
    gguf_close(g);
    free(copy);
    copy = NULL;
}

static const uint64_t shape_f32[] = {5, 3}, shape_q4k[] = {256, 2}, shape_f16[] = {4};

/* Every kind of value, three tensors, the last of which ends with the file. */
static struct str valid_file(uint32_t version)
{
    struct str s = STR_EMPTY;
    const double pi = 3.25;
    const float half = 0.1f;
    put_header(&s, version, 3, 16);
    put_kv_text(&s, "general.architecture", "qwen2");
    put_kv_u32(&s, "general.alignment", 64);
    put_key(&s, "u8", GGUF_U8), str_add_char(&s, (char)200);
    put_key(&s, "i8", GGUF_I8), str_add_char(&s, (char)-7);
    put_key(&s, "u16", GGUF_U16), str_add_bytes(&s, "\xff\xff", 2);
    put_key(&s, "i16", GGUF_I16), str_add_bytes(&s, "\xfe\xff", 2);
    put_key(&s, "i32", GGUF_I32), put_u32(&s, (uint32_t)-3);
    put_key(&s, "f32", GGUF_F32), str_add_bytes(&s, &half, 4);
    put_key(&s, "yes", GGUF_BOOL), str_add_char(&s, 1);
    put_key(&s, "u64", GGUF_U64), put_u64(&s, UINT64_MAX);
    put_key(&s, "i64", GGUF_I64), put_u64(&s, (uint64_t)-5);
    put_key(&s, "f64", GGUF_F64), str_add_bytes(&s, &pi, 8);
    put_kv_array(&s, "strings", GGUF_STRING, 3);
    put_text(&s, "one", 3), put_text(&s, "", 0), put_text(&s, "three", 5);
    put_kv_array(&s, "ints", GGUF_I32, 3);
    put_u32(&s, 1), put_u32(&s, (uint32_t)-2), put_u32(&s, 3);
    put_kv_array(&s, "reals", GGUF_F32, 1);
    str_add_bytes(&s, &half, 4);
    put_kv_array(&s, "none", GGUF_STRING, 0);
    put_tensor(&s, "b.weight", 2, shape_f32, TENSOR_F32, 0);
    put_tensor(&s, "a.weight", 2, shape_q4k, TENSOR_Q4_K, 64);
    put_tensor(&s, "c", 1, shape_f16, TENSOR_F16, 64 + 320);
    put_padding(&s, 64);
    put_zeros(&s, 64);
    put_zeros(&s, 320);
    str_add_bytes(&s, "\1\2\3\4\5\6\7\x8", 8);
    assert_true(str_ok(&s));
    return s;
}

/* Reads everything a file offers; the sanitiser watches. */
static void read_everything(const struct gguf *g, const uint8_t *base, size_t n)
{
    struct str text = STR_EMPTY;
    unsigned sum = 0;
    for (size_t i = 0; i <= gguf_kv_count(g); i++) {
        struct gguf_string key = gguf_kv_key(g, i), s;
        struct gguf_array a;
        int64_t v;
        double r;
        bool b;
        gguf_kv_format(g, i, &text);
        char *name = mem_dup_text(key.p, key.n);
        gguf_get_int(g, name, &v), gguf_get_real(g, name, &r), gguf_get_bool(g, name, &b);
        if (gguf_get_string(g, name, &s))
            for (size_t k = 0; k < s.n; k++) sum += (unsigned char)s.p[k];
        if (gguf_get_array(g, name, &a)) {
            for (uint64_t k = 0; k <= a.n; k++) {
                gguf_array_int(&a, k, &v), gguf_array_real(&a, k, &r);
                if (gguf_array_string(&a, k, &s) && s.n) sum += (unsigned char)s.p[s.n - 1];
            }
            while (gguf_array_next_string(&a, &s))
                if (s.n) sum += (unsigned char)s.p[s.n - 1];
        }
        free(name);
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        assert_true(t->data >= base && t->data <= base + n && t->bytes <= (size_t)(base + n - t->data));
        assert_in_range(t->n_dims, 1, 4);
        for (int d = 0; d < 4; d++) assert_true(t->dims[d] > 0);
        for (size_t k = 0; k < t->bytes; k++) sum += t->data[k];
    }
    assert_null(gguf_tensor_at(g, gguf_tensor_count(g)));
    str_add_char(&text, (char)('0' + sum % 10));
    str_release(&text);
}

static void check_valid(const struct gguf *g, const uint8_t *base)
{
    int64_t v = 0;
    double r = 0;
    bool b = false;
    struct gguf_string s;
    assert_true(gguf_get_int(g, "u8", &v) && v == 200);
    assert_true(gguf_get_int(g, "i8", &v) && v == -7);
    assert_true(gguf_get_int(g, "u16", &v) && v == 65535);
    assert_true(gguf_get_int(g, "i16", &v) && v == -2);
    assert_true(gguf_get_int(g, "i32", &v) && v == -3);
    assert_true(gguf_get_int(g, "i64", &v) && v == -5);
    v = 77;
    assert_false(gguf_get_int(g, "u64", &v));
    assert_false(gguf_get_int(g, "f32", &v));
    assert_false(gguf_get_int(g, "yes", &v));
    assert_false(gguf_get_int(g, "ints", &v));
    assert_false(gguf_get_int(g, "absent", &v));
    assert_int_equal(v, 77);
    assert_true(gguf_get_real(g, "f64", &r) && r == 3.25);
    assert_true(gguf_get_real(g, "f32", &r) && r == (double)0.1f);
    assert_true(gguf_get_real(g, "i8", &r) && r == -7);
    assert_true(gguf_get_bool(g, "yes", &b) && b);
    assert_false(gguf_get_bool(g, "u8", &b));
    assert_true(gguf_get_string(g, "general.architecture", &s) && s.n == 5 && memcmp(s.p, "qwen2", 5) == 0);
    assert_false(gguf_get_string(g, "u8", &s));
    assert_int_equal(gguf_tensor_count(g), 3);
    const struct gguf_tensor *t = gguf_find_tensor(g, "a.weight");
    assert_non_null(t);
    assert_int_equal(t->type, TENSOR_Q4_K);
    assert_int_equal(t->bytes, 2 * 144);
    assert_int_equal(t->dims[0], 256);
    assert_int_equal(t->dims[1], 2);
    assert_int_equal(t->dims[2], 1);
    t = gguf_find_tensor(g, "c");
    assert_non_null(t);
    assert_int_equal(t->bytes, 8);
    assert_memory_equal(t->data, "\1\2\3\4\5\6\7\x8", 8);
    assert_int_equal((t->data - base) % 64, 0);
    assert_int_equal(gguf_find_tensor(g, "b.weight")->bytes, 60);
    assert_null(gguf_find_tensor(g, "b.weigh"));
    assert_null(gguf_find_tensor(g, "b.weights"));
}

static void check_arrays(const struct gguf *g)
{
    struct gguf_array a;
    struct gguf_string s;
    int64_t v;
    double r;
    assert_true(gguf_get_array(g, "strings", &a));
    assert_int_equal(a.n, 3);
    assert_true(gguf_array_string(&a, 2, &s) && s.n == 5 && memcmp(s.p, "three", 5) == 0);
    assert_true(gguf_array_string(&a, 1, &s) && s.n == 0);
    assert_false(gguf_array_string(&a, 3, &s));
    assert_false(gguf_array_int(&a, 0, &v));
    assert_true(gguf_array_next_string(&a, &s) && s.n == 3 && memcmp(s.p, "one", 3) == 0);
    assert_true(gguf_array_next_string(&a, &s) && s.n == 0);
    assert_true(gguf_array_next_string(&a, &s) && s.n == 5);
    assert_false(gguf_array_next_string(&a, &s));
    assert_true(gguf_get_array(g, "ints", &a));
    assert_true(gguf_array_int(&a, 1, &v) && v == -2);
    assert_false(gguf_array_int(&a, 3, &v));
    assert_false(gguf_array_string(&a, 0, &s));
    assert_true(gguf_get_array(g, "reals", &a));
    assert_true(gguf_array_real(&a, 0, &r) && r == (double)0.1f);
    assert_true(gguf_get_array(g, "none", &a) && a.n == 0);
    assert_false(gguf_get_array(g, "u8", &a));
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const formatted[] = {"qwen2", "64", "200", "-7", "65535", "-2", "-3", "0.1", "true", "18446744073709551615", "-5",
                                            "3.25", "[string; 3]", "[i32; 3]", "[f32; 1]", "[string; 0]"};
    for (uint32_t version = 2; version <= 3; version++) {
        struct str s = valid_file(version);
        struct gguf *g;
        struct err e = {0};
        assert_int_equal(open_copy(&g, s.data, s.len, &e), ERR_OK);
        assert_int_equal(gguf_version(g), version);
        assert_int_equal(gguf_file_bytes(g), s.len);
        assert_string_equal(gguf_path(g), "test.gguf");
        check_valid(g, copy);
        check_arrays(g);
        read_everything(g, copy, s.len);
        assert_int_equal(gguf_kv_count(g), ARRAY_LEN(formatted));
        for (size_t i = 0; i < ARRAY_LEN(formatted); i++) {
            struct str text = STR_EMPTY;
            gguf_kv_format(g, i, &text);
            assert_string_equal(str_cstr(&text), formatted[i]);
            str_release(&text);
        }
        close_copy(g);
        str_release(&s);
    }
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct str s = valid_file(3);
    for (size_t n = 0; n < s.len; n++) {
        struct gguf *g = (struct gguf *)&s;
        struct err e = {0};
        assert_int_equal(open_copy(&g, s.data, n, &e), ERR_FILE);
        assert_null(g);
        assert_non_null(strstr(e.text, "test.gguf: "));
        assert_non_null(strstr(e.text, "(at byte "));
        close_copy(g);
    }
    str_release(&s);
}

static void test_every_byte_changed(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    struct str s = valid_file(3);
    size_t opened = 0;
    for (size_t at = 0; at < s.len; at++)
        for (size_t k = 0; k < sizeof(changes); k++) {
            char kept = s.data[at];
            s.data[at] = (char)(kept ^ changes[k]);
            struct gguf *g;
            if (open_copy(&g, s.data, s.len, NULL) == ERR_OK) {
                opened++;
                read_everything(g, copy, s.len);
            }
            close_copy(g);
            s.data[at] = kept;
        }
    /* Most bytes are values or data, which may be anything. */
    assert_true(opened > s.len);
    str_release(&s);
}

static void test_random_damage(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 31, 32, 33, 255, 256, 65536, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 31};
    struct str s = valid_file(3), t = STR_EMPTY;
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        str_clear(&t);
        str_add_bytes(&t, s.data, s.len);
        for (int k = 0; k < 1 + round % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % (t.len - 8);
            uint64_t v = values[(seed >> 3) % ARRAY_LEN(values)];
            memcpy(t.data + at, &v, (seed & 4) ? 8 : 4);
        }
        struct gguf *g;
        if (open_copy(&g, t.data, t.len, NULL) == ERR_OK)
            read_everything(g, copy, t.len);
        close_copy(g);
    }
    str_release(&s);
    str_release(&t);
}

/* ---- files that are wrong in one way ------------------------------------------------------------------------ */

static void expect_refusal(struct str *s, int code, const char *reason)
{
    struct gguf *g;
    struct err e = {0};
    assert_true(str_ok(s));
    int rc = open_copy(&g, str_cstr(s), s->len, &e);
    if (rc != code || !strstr(e.text, reason) || !strstr(e.text, "(at byte "))
        fail_msg("wanted %d with \"%s\", got %d with \"%s\"", code, reason, rc, e.text);
    close_copy(g);
    str_release(s);
}

static void test_bad_headers(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    expect_refusal(&s, ERR_FILE, "is empty");
    str_add(&s, "GGU");
    expect_refusal(&s, ERR_FILE, "not a GGUF file");
    str_add(&s, "tjgg\1\0\0\0");
    expect_refusal(&s, ERR_FILE, "before GGUF");
    str_add(&s, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    expect_refusal(&s, ERR_FILE, "Git LFS");
    put_header(&s, 1, 0, 0);
    expect_refusal(&s, ERR_UNSUPPORTED, "version 1");
    put_header(&s, 0, 0, 0);
    expect_refusal(&s, ERR_UNSUPPORTED, "version 0");
    put_header(&s, 4, 0, 0);
    expect_refusal(&s, ERR_UNSUPPORTED, "version 4");
    put_header(&s, 3u << 24, 0, 0);
    expect_refusal(&s, ERR_UNSUPPORTED, "big-endian");
    put_header(&s, 3, UINT64_MAX, 0);
    expect_refusal(&s, ERR_FILE, "tensors");
    put_header(&s, 3, 0, (uint64_t)INT64_MAX + 1);
    expect_refusal(&s, ERR_FILE, "metadata entries");
    put_header(&s, 3, 0, 60000);
    expect_refusal(&s, ERR_FILE, "metadata entries in 0 bytes");
    put_header(&s, 3, 60000, 0), put_zeros(&s, 1000);
    expect_refusal(&s, ERR_FILE, "60000 tensors");
}

static void test_bad_metadata(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    put_header(&s, 3, 0, 1), put_u64(&s, 0), put_u32(&s, GGUF_U8), put_zeros(&s, 20);
    expect_refusal(&s, ERR_FILE, "without a key");
    put_header(&s, 3, 0, 1), put_u64(&s, 65536), put_zeros(&s, 70000);
    expect_refusal(&s, ERR_FILE, "65536 bytes, more than");
    put_header(&s, 3, 0, 1), put_u64(&s, UINT64_MAX - 7), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "more than");
    put_header(&s, 3, 0, 1), put_key(&s, "k\x1b]", 13), put_zeros(&s, 20);
    expect_refusal(&s, ERR_FILE, "k?] has unknown type 13");
    put_header(&s, 3, 0, 1), put_key(&s, "k", GGUF_BOOL), str_add_char(&s, 2), put_zeros(&s, 20);
    expect_refusal(&s, ERR_FILE, "neither true nor false");
    put_header(&s, 3, 0, 1), put_key(&s, "k", GGUF_STRING), put_u64(&s, (16u << 20) + 1), put_zeros(&s, 20);
    expect_refusal(&s, ERR_FILE, "more than");
    put_header(&s, 3, 0, 1), put_key(&s, "k", GGUF_STRING), put_u64(&s, 21), put_zeros(&s, 20);
    expect_refusal(&s, ERR_FILE, "ends inside");
    put_header(&s, 3, 0, 2), put_kv_u32(&s, "twice", 1), put_kv_text(&s, "twice", "x");
    expect_refusal(&s, ERR_FILE, "key twice twice");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_ARRAY, 1), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "array of arrays");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", 77, 1), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "array of unknown type 77");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_U8, (4u << 20) + 1), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "more than");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_U64, (uint64_t)1 << 61), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "more than");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_U64, 13), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "ends inside an array");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_STRING, 4000000), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "strings in 100 bytes");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_STRING, 2), put_u64(&s, UINT64_MAX), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "more than");
    put_header(&s, 3, 0, 1), put_kv_array(&s, "k", GGUF_STRING, 2), put_u64(&s, 101), put_zeros(&s, 100);
    expect_refusal(&s, ERR_FILE, "ends inside a string");
}

static void test_bad_alignment(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 3, 4, 48, 65537, 131072, UINT32_MAX, 1u << 31};
    struct str s = STR_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put_header(&s, 3, 0, 1), put_kv_u32(&s, "general.alignment", bad[i]);
        expect_refusal(&s, ERR_FILE, "not a power of two");
    }
    put_header(&s, 3, 0, 1), put_key(&s, "general.alignment", GGUF_U64), put_u64(&s, 32);
    expect_refusal(&s, ERR_FILE, "instead of u32");
    put_header(&s, 3, 0, 1), put_kv_text(&s, "general.alignment", "32");
    expect_refusal(&s, ERR_FILE, "instead of u32");
}

/* A file of one tensor with so many bytes of data. */
static struct str one_tensor(const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset, size_t data)
{
    struct str s = STR_EMPTY;
    put_header(&s, 3, 1, 0);
    put_tensor(&s, name, n_dims, dims, type, offset);
    put_padding(&s, 32);
    put_zeros(&s, data);
    return s;
}

static void test_bad_shapes(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_dims, type;
        uint64_t dims[5];
        const char *reason;
    } cases[] = {
        {1, TENSOR_F32, {0}, "dimension of 0"},
        {3, TENSOR_F32, {8, 0, 8}, "dimension of 0"},
        {1, TENSOR_F32, {UINT64_MAX}, "dimension of -1"},
        {2, TENSOR_F32, {4, (uint64_t)1 << 63}, "dimension of -"},
        {0, TENSOR_F32, {0}, "0 dimensions"},
        {5, TENSOR_F32, {1, 1, 1, 1, 1}, "5 dimensions"},
        {UINT32_MAX, TENSOR_F32, {0}, "4294967295 dimensions"},
        {1, TENSOR_Q4_0, {33}, "whole blocks of 32"},
        {2, TENSOR_Q6_K, {128, 2}, "whole blocks of 256"},
        {4, TENSOR_F32, {1u << 31, 1u << 31, 1u << 31, 1u << 31}, "larger than any file"},
        {4, TENSOR_Q4_0, {1u << 31, 1u << 31, 4, 1}, "larger than any file"},
        {2, TENSOR_F32, {1u << 31, 1u << 31}, "larger than any file"},
        {2, TENSOR_F32, {(uint64_t)1 << 62, 4}, "larger than any file"},
        {2, TENSOR_F32, {(uint64_t)1 << 62, 1}, "larger than any file"},
        {1, TENSOR_F32, {INT64_MAX}, "larger than any file"},
        {2, TENSOR_Q8_0, {32, INT64_MAX / 8}, "larger than any file"},
        {1, TENSOR_F32, {(uint64_t)1 << 60}, "cut short or damaged"},
        {1, TENSOR_F32, {65}, "needs 260 bytes where the file has 256"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t written = cases[i].n_dims <= 5 ? cases[i].n_dims : 0;
        struct str s = STR_EMPTY;
        put_header(&s, 3, 1, 0);
        put_text(&s, "t", 1);
        put_u32(&s, cases[i].n_dims);
        for (uint32_t d = 0; d < written; d++)
            put_u64(&s, cases[i].dims[d]);
        put_u32(&s, cases[i].type);
        put_u64(&s, 0);
        put_padding(&s, 32);
        put_zeros(&s, 256);
        expect_refusal(&s, ERR_FILE, cases[i].reason);
    }
}

static void test_bad_names_and_places(void **state)
{
    (void)state;
    static const uint64_t eight[] = {8};
    char name[66];
    memset(name, 'n', 65);
    name[65] = '\0';
    struct str s = one_tensor(name, 1, eight, TENSOR_F32, 0, 32);
    expect_refusal(&s, ERR_FILE, "65 bytes, more than the 64");
    s = one_tensor("", 1, eight, TENSOR_F32, 0, 32);
    expect_refusal(&s, ERR_FILE, "without a name");
    s = one_tensor("t", 1, eight, TENSOR_F32, 1, 100);
    expect_refusal(&s, ERR_FILE, "not aligned");
    s = one_tensor("t", 1, eight, TENSOR_F32, 32, 100);
    expect_refusal(&s, ERR_FILE, "begins at 32");
    s = one_tensor("t", 1, eight, TENSOR_F32, UINT64_MAX - 31, 100);
    expect_refusal(&s, ERR_FILE, "behind the end");
    s = one_tensor("t", 1, eight, TENSOR_F32, 128, 100);
    expect_refusal(&s, ERR_FILE, "behind the end");
    static const uint64_t second[] = {0, 64, 31, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(second); i++) {
        put_header(&s, 3, 2, 0);
        put_tensor(&s, "a", 1, eight, TENSOR_F32, 0);
        put_tensor(&s, "b", 1, eight, TENSOR_F32, second[i]);
        put_padding(&s, 32), put_zeros(&s, 128);
        expect_refusal(&s, ERR_FILE, "tensor b ");
    }
    put_header(&s, 3, 2, 0);
    put_tensor(&s, "a", 1, eight, TENSOR_F32, 0);
    put_tensor(&s, "a", 1, eight, TENSOR_F32, 32);
    put_padding(&s, 32), put_zeros(&s, 64);
    expect_refusal(&s, ERR_FILE, "tensor a twice");
}

static void test_unknown_types_are_kept(void **state)
{
    (void)state;
    static const uint64_t eight[] = {8};
    struct str s = STR_EMPTY;
    struct gguf *g;
    put_header(&s, 3, 3, 0);
    put_tensor(&s, "a", 1, eight, 99, 0);
    put_tensor(&s, "b", 1, eight, TENSOR_F32, 96);
    put_tensor(&s, "c", 1, eight, 4, 128);
    put_padding(&s, 32), put_zeros(&s, 128 + 17);
    assert_int_equal(open_copy(&g, s.data, s.len, NULL), ERR_OK);
    assert_int_equal(gguf_find_tensor(g, "a")->type, 99);
    assert_int_equal(gguf_find_tensor(g, "a")->bytes, 96);
    assert_int_equal(gguf_find_tensor(g, "b")->bytes, 32);
    assert_int_equal(gguf_find_tensor(g, "c")->bytes, 17);
    assert_string_equal(tensor_type_name(99), "?");
    assert_string_equal(tensor_type_name(4), "?");
    assert_int_equal(tensor_block_bytes(99), 0);
    assert_int_equal(tensor_block_bytes(TENSOR_Q6_K), 210);
    read_everything(g, copy, s.len);
    close_copy(g);
    str_release(&s);
    put_header(&s, 3, 2, 0);
    put_tensor(&s, "a", 1, eight, 99, 0);
    put_tensor(&s, "b", 1, eight, TENSOR_F32, 0);
    put_padding(&s, 32), put_zeros(&s, 128);
    expect_refusal(&s, ERR_FILE, "instead of behind");
}

static void test_vocabulary_only(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    struct gguf *g;
    put_header(&s, 3, 0, 1), put_kv_text(&s, "general.architecture", "llama");
    assert_int_equal(open_copy(&g, s.data, s.len, NULL), ERR_OK);
    assert_int_equal(gguf_tensor_count(g), 0);
    assert_null(gguf_find_tensor(g, "x"));
    close_copy(g);
    str_release(&s);
}

static void test_only_files(void **state)
{
    (void)state;
    struct gguf *g;
    struct err e;
    char folder[] = "/tmp/ponder-gguf-XXXXXX", pipe_path[64], file_path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", folder);
    snprintf(file_path, sizeof(file_path), "%s/file", folder);
    assert_int_equal(gguf_open(&g, folder, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "a folder"));
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(gguf_open(&g, pipe_path, &e), ERR_FILE);
    assert_int_equal(gguf_open(&g, "/dev/null", &e), ERR_FILE);
    assert_int_equal(gguf_open(&g, file_path, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "No such file"));
    struct str s = valid_file(3);
    FILE *f = fopen(file_path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(gguf_open(&g, file_path, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "is empty"));
    f = fopen(file_path, "w");
    assert_int_equal(fwrite(s.data, 1, s.len, f), s.len);
    fclose(f);
    assert_int_equal(gguf_open(&g, file_path, &e), ERR_OK);
    assert_string_equal(gguf_path(g), file_path);
    assert_int_equal(gguf_tensor_count(g), 3);
    gguf_close(g);
    gguf_close(NULL);
    unlink(file_path), unlink(pipe_path), rmdir(folder);
    str_release(&s);
}

static void write_file(const char *path, const struct str *s)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(s->data, 1, s->len, f), s->len);
    fclose(f);
}

/* A mapped file is told by any address in it, until it is closed; more of them than are kept are only not told. */
static void test_mappings(void **state)
{
    (void)state;
    struct gguf *g[70];
    struct err e = {0};
    char path[] = "/tmp/ponder-gguf-\x1b-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct str s = valid_file(3);
    write_file(path, &s);
    for (size_t i = 0; i < ARRAY_LEN(g); i++) assert_int_equal(gguf_open(&g[i], path, &e), ERR_OK);
    const uint8_t *data = gguf_tensor_at(g[0], 0)->data;
    const char *name = model_file_at(data);
    assert_non_null(name);
    assert_non_null(strstr(name, "/tmp/ponder-gguf-\xe2\x90\x9b-")); /* as one clean line */
    assert_null(model_file_at(&s));
    assert_null(model_file_at(gguf_tensor_at(g[ARRAY_LEN(g) - 1], 0)->data));
    assert_int_equal(gguf_lock(g[0], &e), ERR_OK);
    gguf_rest_header(g[0]); /* its texts come back from the file */
    struct gguf_string text;
    assert_true(gguf_get_string(g[0], "general.architecture", &text) && text.n == 5 && !memcmp(text.p, "qwen2", 5));
    for (size_t i = 0; i < ARRAY_LEN(g); i++) gguf_close(g[i]);
    assert_null(model_file_at(data));
    /* what is only in memory has no file */
    assert_int_equal(open_copy(&g[0], s.data, s.len, &e), ERR_OK);
    assert_int_equal(gguf_lock(g[0], &e), ERR_OK);
    gguf_rest_header(g[0]);
    assert_null(model_file_at(gguf_tensor_at(g[0], 0)->data));
    close_copy(g[0]);
    unlink(path);
    str_release(&s);
}

/* Every kind of value as a reader sees it, as text and as JSON. */
static void test_lists(void **state)
{
    (void)state;
    static const char *const text[] = {"u8  u8  200\n", "i8  i8  -7\n", "yes  bool  true\n", "u64  u64  18446744073709551615\n", "f64  f64  3.25\n", "strings  array  [string; 3] one, , three\n",
                                       "ints  array  [i32; 3] 1, -2, 3\n", "reals  array  [f32; 1] 0.1\n", "none  array  [string; 0]\n", "odd  string  \xef\xbf\xbd\xe2\x90\x9b\n", "... (200 bytes)\n",
                                       "inf  f32  inf\n", "flags  array  [bool; 10] ?, ?", ", ...\n", "strange  ? (type 99)  64  64 bytes\n"};
    static const char *const json[] = {"\"key\":\"u64\",\"type\":\"u64\",\"value\":\"18446744073709551615\"", "\"key\":\"yes\",\"type\":\"bool\",\"value\":true", "\"key\":\"inf\",\"type\":\"f32\",\"value\":null",
                                       "\"of\":\"string\",\"count\":3,\"first\":[\"one\",\"\",\"three\"]", "\"of\":\"i32\",\"count\":3,\"first\":[1,-2,3]", "\"of\":\"bool\",\"count\":10,\"first\":[null,", "\"value\":\"\\uFFFD\\u241B\"",
                                       "\"type\":\"?\",\"type_id\":99,\"shape\":[64],\"bytes\":64"};
    const float inf = HUGE_VALF, half = 0.1f;
    const double pi = 3.25;
    struct str s = STR_EMPTY, out = STR_EMPTY;
    struct err e = {0};
    char path[] = "/tmp/ponder-gguf-XXXXXX", long_text[201];
    put_header(&s, 3, 1, 14);
    put_key(&s, "u8", GGUF_U8), str_add_char(&s, (char)200);
    put_key(&s, "i8", GGUF_I8), str_add_char(&s, (char)-7);
    put_key(&s, "yes", GGUF_BOOL), str_add_char(&s, 1);
    put_key(&s, "u64", GGUF_U64), put_u64(&s, UINT64_MAX);
    put_key(&s, "small", GGUF_U64), put_u64(&s, 5);
    put_key(&s, "f64", GGUF_F64), str_add_bytes(&s, &pi, 8);
    put_key(&s, "inf", GGUF_F32), str_add_bytes(&s, &inf, 4);
    put_kv_array(&s, "strings", GGUF_STRING, 3);
    put_text(&s, "one", 3), put_text(&s, "", 0), put_text(&s, "three", 5);
    put_kv_array(&s, "ints", GGUF_I32, 3);
    put_u32(&s, 1), put_u32(&s, (uint32_t)-2), put_u32(&s, 3);
    put_kv_array(&s, "reals", GGUF_F32, 1);
    str_add_bytes(&s, &half, 4);
    put_kv_array(&s, "none", GGUF_STRING, 0);
    put_kv_array(&s, "flags", GGUF_BOOL, 10);
    str_add_bytes(&s, "\1\0\1\0\1\0\1\0\1\0", 10);
    put_kv_text(&s, "odd", "\xff\x1b");
    memset(long_text, 'x', 200);
    long_text[200] = '\0';
    put_kv_text(&s, "long", long_text);
    put_text(&s, "strange", 7);
    put_u32(&s, 1), put_u64(&s, 64), put_u32(&s, 99), put_u64(&s, 0);
    while (s.len % 32) str_add_char(&s, '\0');
    for (int i = 0; i < 64; i++) str_add_char(&s, (char)i);
    close(mkstemp(path));
    write_file(path, &s);
    if (model_list_gguf(&out, path, false, &e)) fail_msg("%s", e.text);
    for (size_t i = 0; i < ARRAY_LEN(text); i++)
        if (!strstr(out.data, text[i])) fail_msg("\"%s\" is not in\n%s", text[i], out.data);
    str_clear(&out);
    if (model_list_gguf(&out, path, true, &e)) fail_msg("%s", e.text);
    for (size_t i = 0; i < ARRAY_LEN(json); i++)
        if (!strstr(out.data, json[i])) fail_msg("%s is not in\n%s", json[i], out.data);
    unlink(path);
    assert_int_equal(model_list_gguf(&out, path, true, &e), ERR_FILE);
    str_release(&out);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_metadata),
        cmocka_unit_test(test_bad_alignment),
        cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_bad_names_and_places),
        cmocka_unit_test(test_unknown_types_are_kept),
        cmocka_unit_test(test_vocabulary_only),
        cmocka_unit_test(test_only_files),
        cmocka_unit_test(test_mappings),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
