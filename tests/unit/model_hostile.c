/* Promise 4: a bad model file gives an error, not a crash. A sound tiny file is cut everywhere, and each of its numbers is replaced; what still
 * opens must also load a session, tokenize and decode. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"
#include "tiny_model.h"

#include <sys/mman.h>
#include <unistd.h>

enum { N_CTX = 32 };

static int memory = -1;
static char path[64];
static size_t opened, refused;

/* The bytes as a file that engine_open can map. */
static void put(const uint8_t *bytes, size_t n)
{
    assert_int_equal(ftruncate(memory, 0), 0);
    for (size_t at = 0; at < n;) {
        ssize_t k = pwrite(memory, bytes + at, n - at, (off_t)at);
        assert_true(k > 0);
        at += (size_t)k;
    }
}

/* Opens the file and, where that works, uses all of it. */
static void use(const char *what, size_t at)
{
    struct engine *m = NULL;
    struct session *s = NULL;
    struct tokens ids = {0};
    struct err e = {0};

    if (engine_open(&m, path, &e)) {
        refused++;
        if (m || !strstr(e.text, path)) fail_msg("%s at byte %zu: error without the file's name: %s", what, at, e.text);
        return;
    }
    opened++;
    const struct tokenizer *t = engine_tokenizer(m);
    int n_vocab = engine_info(m)->n_vocab;
    if (tokenizer_bos(t) >= n_vocab || tokenizer_eos(t) >= n_vocab || tokenizer_size(t) > n_vocab)
        fail_msg("%s at byte %zu: a token outside the vocabulary", what, at);
    for (int i = -1; i <= tokenizer_size(t); i++) {
        size_t n;
        tokenizer_piece(t, i, &n);
    }
    if (!tokenizer_encode(t, "ab !t99", 7, PARSE_NONE, &ids, &e))
        for (size_t i = 0; i < ids.n; i++) assert_true(ids.ids[i] >= 0 && ids.ids[i] < n_vocab);
    const int32_t prompt[3] = {0, 1, n_vocab > 2 ? 2 : 0}, next[1] = {0};
    if (!session_new(&s, m, N_CTX, 1, KV_F16, &e) && !session_sync(s, prompt, 3, NULL, NULL, NULL, &e)) session_decode(s, next, 1, &e);
    free(ids.ids);
    session_free(s);
    engine_free(m);
}

/* ---- where the numbers of a file are --------------------------------------------------------------------------------- */

struct field {
    size_t at, size;
};
struct fields {
    struct field *items;
    size_t n, header; /* header: where the tensor data begins */
};

static void add(struct fields *f, size_t at, size_t size)
{
    f->items = realloc(f->items, (f->n + 1) * sizeof(*f->items));
    assert_non_null(f->items);
    f->items[f->n++] = (struct field){at, size};
}

static uint64_t number(const uint8_t *bytes, size_t at, size_t size)
{
    uint64_t v = 0;
    memcpy(&v, bytes + at, size);
    return v;
}

/* A string's length is a field; every 64th string of an array is enough. Returns the place behind it. */
static size_t walk_string(struct fields *f, const uint8_t *bytes, size_t at, bool noted)
{
    if (noted) add(f, at, 8);
    return at + 8 + (size_t)number(bytes, at, 8);
}

static size_t walk_value(struct fields *f, const uint8_t *bytes, size_t at, uint64_t type)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

    if (type == 8) return walk_string(f, bytes, at, true);
    if (type != 9) {
        add(f, at, sizes[type]);
        return at + sizes[type];
    }
    uint64_t of = number(bytes, at, 4), n = number(bytes, at + 4, 8);
    add(f, at, 4);
    add(f, at + 4, 8);
    at += 12;
    for (uint64_t i = 0; i < n; i++) {
        if (of == 8) {
            at = walk_string(f, bytes, at, i % 64 == 0);
        } else {
            if (i % 64 == 0) add(f, at, sizes[of]);
            at += sizes[of];
        }
    }
    return at;
}

static struct fields walk(const uint8_t *bytes)
{
    struct fields f = {0};
    size_t at = 24;
    uint64_t n_tensors = number(bytes, 8, 8), n_kv = number(bytes, 16, 8);

    add(&f, 0, 4), add(&f, 4, 4), add(&f, 8, 8), add(&f, 16, 8);
    for (uint64_t i = 0; i < n_kv; i++) {
        at = walk_string(&f, bytes, at, true);
        add(&f, at, 4);
        at = walk_value(&f, bytes, at + 4, number(bytes, at, 4));
    }
    for (uint64_t i = 0; i < n_tensors; i++) {
        at = walk_string(&f, bytes, at, true);
        add(&f, at, 4);
        uint64_t n_dims = number(bytes, at, 4);
        at += 4;
        for (uint64_t d = 0; d < n_dims; d++, at += 8) add(&f, at, 8);
        add(&f, at, 4), add(&f, at + 4, 8);
        at += 12;
    }
    f.header = (at + 31) / 32 * 32;
    return f;
}

/* ---- the tests -------------------------------------------------------------------------------------------------------- */

static const struct tiny_spec specs[] = {
    {"llama", "llama", TENSOR_Q8_0, 1, 64, 96, 4, 2, 16, 16, 300, 256, false, false, SCALING_FACTORS},
    {"qwen2", "qwen2", TENSOR_F16, 1, 32, 32, 2, 1, 16, 16, 300, 256, true, true, SCALING_LINEAR},
    {"qwen3", "qwen3", TENSOR_F32, 1, 32, 32, 2, 1, 16, 16, 300, 256, true, false, SCALING_NONE},
    {"phi3", "phi3", TENSOR_Q4_0, 1, 32, 64, 2, 1, 16, 16, 300, 256, true, false, SCALING_LONG},
};

static uint8_t *make(const struct tiny_spec *spec, size_t *n)
{
    struct tiny_model m;

    tiny_init(&m, spec);
    gw_u32(&m.w, "tokenizer.ggml.bos_token_id", 1);
    gw_u32(&m.w, "tokenizer.ggml.eos_token_id", 2);
    gw_bool(&m.w, "tokenizer.ggml.add_bos_token", 1);
    uint8_t *bytes = gw_finish(&m.w, n);
    tiny_release(&m);
    return bytes;
}

static void test_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        size_t n, before = opened;
        uint8_t *bytes = make(&specs[i], &n);
        put(bytes, n);
        use(specs[i].name, 0);
        assert_int_equal(opened, before + 1);
        free(bytes);
    }
}

/* Every byte of the header, every 4 KiB behind it. */
static void test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        size_t n, before = opened;
        uint8_t *bytes = make(&specs[i], &n);
        struct fields f = walk(bytes);
        put(bytes, n);
        for (size_t cut = n - 1; cut > f.header; cut = cut > 4096 ? cut - 4096 : 0) {
            assert_int_equal(ftruncate(memory, (off_t)cut), 0);
            use("cut", cut);
        }
        for (size_t cut = f.header + 1; cut-- > 0;) {
            assert_int_equal(ftruncate(memory, (off_t)cut), 0);
            use("cut", cut);
        }
        assert_int_equal(opened, before);
        free(f.items);
        free(bytes);
    }
}

static void test_every_number(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,          1,         2,         3,          7,          31,        255,          257,       65535, 1u << 20,
                                      INT32_MAX,  1u << 31,  UINT32_MAX, 0x7f800000, 0x7fc00000, INT64_MAX, 1ULL << 63,   UINT64_MAX,
                                      UINT64_MAX - 7, 1ULL << 61, 1ULL << 32};
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        size_t n, was = refused, before = opened;
        uint8_t *bytes = make(&specs[i], &n);
        struct fields f = walk(bytes);
        for (size_t k = 0; k < f.n; k++) {
            uint8_t kept[8];
            const struct field *at = &f.items[k];
            memcpy(kept, bytes + at->at, at->size);
            for (size_t v = 0; v < ARRAY_LEN(values); v++) {
                memcpy(bytes + at->at, &values[v], at->size);
                put(bytes, n);
                use(specs[i].name, at->at);
            }
            memcpy(bytes + at->at, kept, at->size);
        }
        print_message("# %s: %zu numbers, %zu files refused, %zu opened\n", specs[i].name, f.n, refused - was, opened - before);
        assert_true(refused - was > f.n && opened - before > 20);
        free(f.items);
        free(bytes);
    }
}

/* Merges that name no token, have no or two blanks, and come by the thousand. */
static void test_merges(void **state)
{
    (void)state;
    static const char *const merges[] = {"", " ", "a", "a b c", "  ", "a ", " b", "\xff \xfe", "no such"};
    for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
        struct gguf_writer w;
        size_t n;
        gw_init(&w);
        gw_string(&w, "general.architecture", "llama");
        gw_string(&w, "tokenizer.ggml.model", "gpt2");
        gw_string(&w, "tokenizer.ggml.pre", "qwen2");
        gw_array(&w, "tokenizer.ggml.tokens", 8, 3);
        gw_put_string(&w.kv, "a"), gw_put_string(&w.kv, "b"), gw_put_string(&w.kv, "ab");
        gw_array(&w, "tokenizer.ggml.merges", 8, 1000);
        for (int k = 0; k < 1000; k++) gw_put_string(&w.kv, merges[i]);
        uint8_t *bytes = gw_finish(&w, &n);
        put(bytes, n);
        struct tokenizer *t = NULL;
        struct tokens ids = {0};
        struct err e = {0};
        if (!tokenizer_open(&t, path, &e) && !tokenizer_encode(t, "abab", 4, PARSE_NONE, &ids, &e))
            for (size_t k = 0; k < ids.n; k++) assert_in_range(ids.ids[k], 0, 2);
        free(ids.ids);
        tokenizer_free(t);
        free(bytes);
        gw_release(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_every_number),
        cmocka_unit_test(test_merges),
    };
    memory = memfd_create("ponder-hostile", MFD_CLOEXEC);
    if (memory < 0) return 1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
