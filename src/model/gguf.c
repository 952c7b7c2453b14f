/*
 * gguf.c - reads the header, metadata and tensor table of a GGUF file through one checked cursor.
 *
 * Invariants
 *   - The cursor never passes the end of the mapping: every read asks `cursor_take` first, and every count is compared with
 *     the bytes that are left before anything is allocated for it.
 *   - Memory use is bounded by the size of the metadata, and the metadata by LIMIT_METADATA.
 *   - After a successful open each tensor lies inside the mapping and its offset is the padded sum of the sizes before it, as
 *     the reference reader demands: no overlap, no gap, file order. A tensor of unknown type has no size of its own; it reaches
 *     to the next one.
 *   - Keys and tensor names are unique; look-ups go through sorted indices, so that no choice of names makes them slow.
 *
 * It does not interpret tensors or metadata beyond `general.alignment`, and does not look for the other files of a split
 * model: gguf_split.c does.
 */
#include "model/gguf.h"
#include "model/identity.h"

#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are read from the mapping as they are");

/* Caps far above any real model and far below what would hurt. Bytes unless said otherwise. */
enum {
    LIMIT_KEY = 65535,      /* the format's own */
    LIMIT_TENSOR_NAME = 64, /* the format's own */
    LIMIT_STRING = 16 << 20,
    LIMIT_ARRAY = 4 << 20,    /* elements */
    LIMIT_KV = 64 << 10,      /* entries */
    LIMIT_TENSORS = 64 << 10, /* entries */
    LIMIT_DIMS = 4,
    LIMIT_METADATA = 1 << 30, /* header, metadata and tensor table together; string indices rely on it fitting 32 bits */
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MIN = 8, /* the format's own; keeps every scalar inside a tensor aligned */
    ALIGNMENT_MAX = 64 << 10,
    KV_MIN_BYTES = 8 + 1 + 4 + 1, /* smallest entry: key length, key of one byte, type, u8 */
    TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
};

struct kv {
    struct gguf_string key;
    enum gguf_type type;
    struct gguf_array array; /* of arrays; for scalars p is the value; for strings p and n are its bytes */
    uint32_t *index;         /* owned: of string arrays, where element i begins, relative to array.p */
};

struct gguf {
    char *path;
    const uint8_t *base;
    size_t size;
    bool mapped;
    struct file_identity identity;
    int version;
    size_t alignment;
    struct kv *kvs;
    size_t n_kv;
    struct gguf_tensor *tensors;
    size_t n_tensors;
    uint32_t *kv_order;     /* entries by key */
    uint32_t *tensor_order; /* entries by name */
    struct gguf *next;      /* owned: the mapping of some of the tensors, once adopted; a list */
};

/* The first failure is kept in *e and rc; every later read fails too. */
struct cursor {
    const uint8_t *base;
    size_t size, at;
    const char *path;
    struct err *e;
    int rc;
};

static const uint8_t type_sizes[GGUF_N_TYPES] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static const char *const type_names[GGUF_N_TYPES] = {
    [GGUF_U8] = "u8",   [GGUF_I8] = "i8",   [GGUF_U16] = "u16",   [GGUF_I16] = "i16",       [GGUF_U32] = "u32",
    [GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool", [GGUF_STRING] = "string", [GGUF_ARRAY] = "array",
    [GGUF_U64] = "u64", [GGUF_I64] = "i64", [GGUF_F64] = "f64",
};

static const struct {
    const char *name;
    int16_t elements, bytes;
} blocks[] = {
    [TENSOR_F32] = {"F32", 1, 4},         [TENSOR_F16] = {"F16", 1, 2},           [TENSOR_Q4_0] = {"Q4_0", 32, 18},
    [TENSOR_Q4_1] = {"Q4_1", 32, 20},     [TENSOR_Q5_0] = {"Q5_0", 32, 22},       [TENSOR_Q5_1] = {"Q5_1", 32, 24},
    [TENSOR_Q8_0] = {"Q8_0", 32, 34},     [TENSOR_Q2_K] = {"Q2_K", 256, 84},      [TENSOR_Q3_K] = {"Q3_K", 256, 110},
    [TENSOR_Q4_K] = {"Q4_K", 256, 144},   [TENSOR_Q5_K] = {"Q5_K", 256, 176},     [TENSOR_Q6_K] = {"Q6_K", 256, 210},
    [TENSOR_IQ4_NL] = {"IQ4_NL", 32, 18}, [TENSOR_IQ4_XS] = {"IQ4_XS", 256, 136}, [TENSOR_BF16] = {"BF16", 1, 2},
    [TENSOR_MXFP4] = {"MXFP4", 32, 17},
};

int tensor_block_elements(uint32_t type)
{
    return type < ARRAY_LEN(blocks) ? blocks[type].elements : 0;
}

int tensor_block_bytes(uint32_t type)
{
    return type < ARRAY_LEN(blocks) ? blocks[type].bytes : 0;
}

const char *tensor_type_name(uint32_t type)
{
    return type < ARRAY_LEN(blocks) && blocks[type].name ? blocks[type].name : "?";
}

/* ---- cursor ------------------------------------------------------------------------------------------------- */

static void record_failure(struct cursor *c, int code, size_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);

static void record_failure(struct cursor *c, int code, size_t at, const char *fmt, ...)
{
    if (c->rc) return;
    char reason[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    c->rc = err_set(c->e, code, "%s: %s (at byte %zu)", c->path, reason, at);
}

/* A macro, so that compilers see that what a failed read would have filled in is not used. */
#define fail(...) (record_failure(__VA_ARGS__), false)

/* A name from the file, cut and made plain, for messages. */
static const char *shown(struct gguf_string s, char out[68])
{
    size_t n = s.n < 64 ? s.n : 64;
    for (size_t i = 0; i < n; i++) out[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
    memcpy(out + n, s.n > n ? "..." : "", s.n > n ? 4 : 1);
    return out;
}

static bool cursor_take(struct cursor *c, size_t n, const char *what, const uint8_t **out)
{
    if (c->rc) return false;
    if (n > c->size - c->at) return fail(c, ERR_FILE, c->at, "ends inside %s", what);
    *out = c->base + c->at;
    c->at += n;
    return true;
}

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static bool cursor_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p;
    if (!cursor_take(c, 4, what, &p)) return false;
    *out = load_u32(p);
    return true;
}

static bool cursor_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p;
    if (!cursor_take(c, 8, what, &p)) return false;
    *out = load_u64(p);
    return true;
}

static bool cursor_string(struct cursor *c, const char *what, size_t limit, struct gguf_string *out)
{
    size_t at = c->at;
    uint64_t n;
    const uint8_t *p;
    if (!cursor_u64(c, what, &n)) return false;
    if (n > limit) return fail(c, ERR_FILE, at, "%s of %" PRIu64 " bytes, more than the %zu allowed", what, n, limit);
    if (!cursor_take(c, (size_t)n, what, &p)) return false;
    *out = (struct gguf_string){(const char *)p, (size_t)n};
    return true;
}

/* ---- header and metadata ------------------------------------------------------------------------------------ */

static bool read_magic(struct cursor *c)
{
    static const char lfs[] = "version https://git-lfs";
    const uint8_t *p = c->base;
    if (c->size >= sizeof(lfs) - 1 && memcmp(p, lfs, sizeof(lfs) - 1) == 0)
        return fail(c, ERR_FILE, 0, "is a Git LFS pointer, not the file it stands for");
    if (c->size == 0) return fail(c, ERR_FILE, 0, "is empty");
    if (c->size < 4 || memcmp(p, "GGUF", 4) != 0) {
        bool older = c->size >= 4 && (memcmp(p, "lmgg", 4) == 0 || memcmp(p, "tjgg", 4) == 0 || memcmp(p, "fmgg", 4) == 0);
        return fail(c, ERR_FILE, 0, older ? "is a GGML file from before GGUF, which is not supported" : "is not a GGUF file");
    }
    return cursor_take(c, 4, "the header", &p);
}

static bool read_header(struct cursor *c, struct gguf *g, size_t *n_tensors, size_t *n_kv)
{
    uint32_t version;
    uint64_t tensors, kvs;
    if (!read_magic(c) || !cursor_u32(c, "the header", &version)) return false;
    if (version != 0 && (version & 0xffff) == 0) return fail(c, ERR_UNSUPPORTED, 4, "is a big-endian GGUF file, which is not supported");
    if (version == 1) return fail(c, ERR_UNSUPPORTED, 4, "is GGUF version 1, which is not supported; versions 2 and 3 are");
    if (version != 2 && version != 3) return fail(c, ERR_UNSUPPORTED, 4, "is GGUF version %u, which this program does not know", version);
    g->version = (int)version;
    size_t at = c->at;
    if (!cursor_u64(c, "the header", &tensors) || !cursor_u64(c, "the header", &kvs)) return false;
    if (tensors > LIMIT_TENSORS)
        return fail(c, ERR_FILE, at, "announces %" PRIu64 " tensors, more than the %d allowed", tensors, LIMIT_TENSORS);
    if (kvs > LIMIT_KV) return fail(c, ERR_FILE, at + 8, "announces %" PRIu64 " metadata entries, more than the %d allowed", kvs, LIMIT_KV);
    size_t left = c->size - c->at;
    if (kvs * KV_MIN_BYTES + tensors * TENSOR_MIN_BYTES > left)
        return fail(c, ERR_FILE, at, "announces %" PRIu64 " tensors and %" PRIu64 " metadata entries in %zu bytes", tensors, kvs, left);
    *n_tensors = (size_t)tensors;
    *n_kv = (size_t)kvs;
    return true;
}

/* Walks the strings once and keeps where each begins: all later access is by index. */
static bool read_string_array(struct cursor *c, struct kv *kv)
{
    size_t n = (size_t)kv->array.n, start = c->at;
    if (n > (c->size - c->at) / 8) return fail(c, ERR_FILE, start, "array of %zu strings in %zu bytes", n, c->size - c->at);
    kv->index = malloc((n ? n : 1) * sizeof(*kv->index));
    if (!kv->index) return fail(c, ERR_NOMEM, start, "out of memory for %zu strings", n);
    size_t at = start;
    for (size_t i = 0; i < n; i++) {
        kv->index[i] = (uint32_t)(at - start);
        if (c->size - at < 8) {
            c->at = at;
            return fail(c, ERR_FILE, at, "ends inside an array of strings");
        }
        uint64_t len = load_u64(c->base + at);
        if (len > LIMIT_STRING) return fail(c, ERR_FILE, at, "string of %" PRIu64 " bytes, more than the %d allowed", len, LIMIT_STRING);
        if (len > c->size - at - 8) return fail(c, ERR_FILE, at, "ends inside a string");
        at += 8 + (size_t)len;
    }
    c->at = at;
    return true;
}

static bool read_array(struct cursor *c, struct kv *kv)
{
    size_t at = c->at;
    uint32_t type;
    uint64_t n;
    if (!cursor_u32(c, "an array", &type) || !cursor_u64(c, "an array", &n)) return false;
    if (type == GGUF_ARRAY) return fail(c, ERR_FILE, at, "has an array of arrays, which is not allowed");
    if (type >= GGUF_N_TYPES) return fail(c, ERR_FILE, at, "has an array of unknown type %u", type);
    if (n > LIMIT_ARRAY) return fail(c, ERR_FILE, at + 4, "array of %" PRIu64 " elements, more than the %d allowed", n, LIMIT_ARRAY);
    const uint8_t *p = c->base + c->at;
    kv->array = (struct gguf_array){.type = (enum gguf_type)type, .n = n, .p = p};
    if (type == GGUF_STRING) {
        if (!read_string_array(c, kv)) return false;
    } else if (!cursor_take(c, (size_t)n * type_sizes[type], "an array", &p)) {
        return false;
    }
    kv->array.bytes = (size_t)(c->base + c->at - kv->array.p);
    kv->array.index = kv->index;
    return true;
}

static bool read_kv(struct cursor *c, struct kv *kv)
{
    size_t at = c->at;
    uint32_t type;
    if (!cursor_string(c, "a metadata key", LIMIT_KEY, &kv->key)) return false;
    if (kv->key.n == 0) return fail(c, ERR_FILE, at, "has a metadata entry without a key");
    at = c->at;
    if (!cursor_u32(c, "a metadata type", &type)) return false;
    char name[68];
    if (type >= GGUF_N_TYPES) return fail(c, ERR_FILE, at, "metadata entry %s has unknown type %u", shown(kv->key, name), type);
    kv->type = (enum gguf_type)type;
    at = c->at;
    if (type == GGUF_ARRAY) return read_array(c, kv);
    if (type == GGUF_STRING) {
        struct gguf_string s;
        if (!cursor_string(c, "a metadata string", LIMIT_STRING, &s)) return false;
        kv->array = (struct gguf_array){.type = GGUF_STRING, .n = s.n, .p = (const uint8_t *)s.p, .bytes = s.n};
        return true;
    }
    kv->array = (struct gguf_array){.type = kv->type, .n = 1, .bytes = type_sizes[type]};
    if (!cursor_take(c, type_sizes[type], "a metadata value", &kv->array.p)) return false;
    if (type == GGUF_BOOL && kv->array.p[0] > 1)
        return fail(c, ERR_FILE, at, "metadata entry %s is neither true nor false", shown(kv->key, name));
    return true;
}

static int compare_names(struct gguf_string a, struct gguf_string b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int compare_kv(const void *a, const void *b, void *arg)
{
    const struct gguf *g = arg;
    return compare_names(g->kvs[*(const uint32_t *)a].key, g->kvs[*(const uint32_t *)b].key);
}

static int compare_tensors(const void *a, const void *b, void *arg)
{
    const struct gguf *g = arg;
    return compare_names(g->tensors[*(const uint32_t *)a].name, g->tensors[*(const uint32_t *)b].name);
}

static bool sort_index(struct cursor *c, struct gguf *g, uint32_t **out, size_t n, int (*compare)(const void *, const void *, void *))
{
    uint32_t *order = malloc((n ? n : 1) * sizeof(*order));
    if (!order) return fail(c, ERR_NOMEM, c->at, "out of memory for an index of %zu names", n);
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    qsort_r(order, n, sizeof(*order), compare, g);
    *out = order;
    return true;
}

static const struct kv *find_kv(const struct gguf *g, const char *key)
{
    struct gguf_string want = {key, strlen(key)};
    size_t lo = 0, hi = g->n_kv;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct kv *kv = &g->kvs[g->kv_order[mid]];
        int d = compare_names(want, kv->key);
        if (d == 0) return kv;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static bool read_metadata(struct cursor *c, struct gguf *g, size_t n)
{
    char name[68];
    g->kvs = calloc(n ? n : 1, sizeof(*g->kvs));
    if (!g->kvs) return fail(c, ERR_NOMEM, c->at, "out of memory for %zu metadata entries", n);
    for (; g->n_kv < n; g->n_kv++)
        if (!read_kv(c, &g->kvs[g->n_kv])) {
            free(g->kvs[g->n_kv].index);
            return false;
        }
    if (!sort_index(c, g, &g->kv_order, n, compare_kv)) return false;
    for (size_t i = 1; i < n; i++)
        if (compare_kv(&g->kv_order[i - 1], &g->kv_order[i], g) == 0) {
            struct gguf_string key = g->kvs[g->kv_order[i]].key;
            return fail(c, ERR_FILE, (size_t)((const uint8_t *)key.p - c->base), "has the key %s twice", shown(key, name));
        }
    const struct kv *alignment = find_kv(g, "general.alignment");
    g->alignment = ALIGNMENT_DEFAULT;
    if (alignment) {
        size_t at = (size_t)(alignment->array.p - c->base);
        if (alignment->type != GGUF_U32)
            return fail(c, ERR_FILE, at, "general.alignment is %s instead of u32", type_names[alignment->type]);
        uint32_t v = load_u32(alignment->array.p);
        if (v < ALIGNMENT_MIN || v > ALIGNMENT_MAX || (v & (v - 1)) != 0)
            return fail(c, ERR_FILE, at, "general.alignment is %u, not a power of two from %d to %d", v, ALIGNMENT_MIN, ALIGNMENT_MAX);
        g->alignment = v;
    }
    return true;
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

/* Bytes of a tensor of known type; false where the shape does not fit the type or the sums wrap. */
static bool tensor_bytes(const struct gguf_tensor *t, size_t *out)
{
    int64_t rows = 1, bytes;
    int64_t per_block = tensor_block_elements(t->type);
    for (int i = 1; i < LIMIT_DIMS; i++)
        if (__builtin_mul_overflow(rows, t->dims[i], &rows)) return false;
    int64_t elements;
    if (__builtin_mul_overflow(rows, t->dims[0], &elements) ||
        __builtin_mul_overflow(t->dims[0] / per_block, (int64_t)tensor_block_bytes(t->type), &bytes) ||
        __builtin_mul_overflow(bytes, rows, &bytes))
        return false;
    *out = (size_t)bytes;
    return true;
}

static bool read_dims(struct cursor *c, struct gguf_tensor *t)
{
    char name[68];
    size_t at = c->at;
    uint32_t n_dims;
    if (!cursor_u32(c, "a tensor's shape", &n_dims)) return false;
    if (n_dims == 0 || n_dims > LIMIT_DIMS)
        return fail(c, ERR_FILE, at, "tensor %s has %u dimensions instead of 1 to %d", shown(t->name, name), n_dims, LIMIT_DIMS);
    t->n_dims = (int)n_dims;
    for (int i = 0; i < LIMIT_DIMS; i++) t->dims[i] = 1;
    for (int i = 0; i < t->n_dims; i++) {
        uint64_t d;
        at = c->at;
        if (!cursor_u64(c, "a tensor's shape", &d)) return false;
        if (d == 0 || d > INT64_MAX)
            return fail(c, ERR_FILE, at, "tensor %s has a dimension of %" PRId64, shown(t->name, name), (int64_t)d);
        t->dims[i] = (int64_t)d;
    }
    return true;
}

/* One entry of the tensor table. *offset is relative to the data section, which is not known yet. */
static bool read_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
    char name[68];
    size_t at = c->at;
    if (!cursor_string(c, "a tensor name", LIMIT_TENSOR_NAME, &t->name)) return false;
    if (t->name.n == 0) return fail(c, ERR_FILE, at, "has a tensor without a name");
    if (!read_dims(c, t)) return false;
    at = c->at;
    if (!cursor_u32(c, "a tensor type", &t->type)) return false;
    int per_block = tensor_block_elements(t->type);
    if (per_block && t->dims[0] % per_block != 0)
        return fail(c, ERR_FILE, at, "tensor %s has rows of %" PRId64 " elements, not whole blocks of %d", shown(t->name, name), t->dims[0],
                    per_block);
    if (per_block && !tensor_bytes(t, &t->bytes)) return fail(c, ERR_FILE, at, "tensor %s is larger than any file", shown(t->name, name));
    return cursor_u64(c, "a tensor offset", offset);
}

/* Gives tensor i its place. expect: where it must begin when the one before has a known type; its own lower bound otherwise. */
static bool place_tensor(struct cursor *c, struct gguf *g, size_t i, size_t data, uint64_t offset, uint64_t *expect)
{
    char name[68];
    struct gguf_tensor *t = &g->tensors[i];
    size_t at = (size_t)((const uint8_t *)t->name.p - c->base);
    size_t room = c->size - data;
    struct gguf_tensor *before = i ? &g->tensors[i - 1] : NULL;
    bool open_end = before && tensor_block_elements(before->type) == 0;
    if (offset > room) return fail(c, ERR_FILE, at, "tensor %s begins behind the end of the file", shown(t->name, name));
    if (offset % g->alignment != 0) return fail(c, ERR_FILE, at, "tensor %s is not aligned to %zu", shown(t->name, name), g->alignment);
    if (open_end ? offset <= *expect : offset != *expect)
        return fail(c, ERR_FILE, at, "tensor %s begins at %" PRIu64 " of the data instead of %s%" PRIu64, shown(t->name, name), offset,
                    open_end ? "behind " : "", *expect);
    if (open_end) before->bytes = (size_t)(offset - *expect);
    t->data = c->base + data + offset;
    if (tensor_block_elements(t->type) == 0) {
        t->bytes = room - (size_t)offset;
        *expect = offset;
        return true;
    }
    if (t->bytes > room - offset)
        return fail(c, ERR_FILE, at, "tensor %s needs %zu bytes where the file has %zu left; the file is cut short or damaged",
                    shown(t->name, name), t->bytes, room - (size_t)offset);
    /* Cannot wrap: both terms are at most the file size, and the alignment is small. */
    *expect = (offset + t->bytes + g->alignment - 1) & ~(uint64_t)(g->alignment - 1);
    return true;
}

static bool read_tensors(struct cursor *c, struct gguf *g, size_t n)
{
    char name[68];
    g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
    uint64_t *offsets = malloc((n ? n : 1) * sizeof(*offsets));
    bool ok = g->tensors && offsets;
    if (!ok) record_failure(c, ERR_NOMEM, c->at, "out of memory for %zu tensors", n);
    for (size_t i = 0; ok && i < n; i++) ok = read_tensor(c, &g->tensors[i], &offsets[i]);
    if (ok) {
        g->n_tensors = n;
        ok = sort_index(c, g, &g->tensor_order, n, compare_tensors);
    }
    for (size_t i = 1; ok && i < n; i++)
        if (compare_tensors(&g->tensor_order[i - 1], &g->tensor_order[i], g) == 0) {
            struct gguf_string twice = g->tensors[g->tensor_order[i]].name;
            ok = fail(c, ERR_FILE, (size_t)((const uint8_t *)twice.p - c->base), "has the tensor %s twice", shown(twice, name));
        }
    if (ok && n) {
        /* Cannot wrap: at is at most the file size, which fits a signed type. */
        size_t data = (c->at + g->alignment - 1) & ~(g->alignment - 1);
        uint64_t expect = 0;
        if (data > c->size) ok = fail(c, ERR_FILE, c->at, "ends before its tensor data");
        for (size_t i = 0; ok && i < n; i++) ok = place_tensor(c, g, i, data, offsets[i], &expect);
    }
    free(offsets);
    return ok;
}

/* ---- mappings, for a handler of SIGBUS ------------------------------------------------------------------------ */

/* A file can be cut short under its mapping; what then reads it gets a signal, whose handler may take no lock. So the table is fixed, and an
 * entry counts once its base is set. More mappings than entries are left out, and are then an ordinary crash. */
enum { MAX_MAPPINGS = 64 };
static struct {
    _Atomic(const uint8_t *) base;
    size_t size;
    char name[256];
} mappings[MAX_MAPPINGS];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

static void mappings_add(const uint8_t *base, size_t size, const char *path)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, path, strlen(path), TEXT_ONE_LINE);
    pthread_mutex_lock(&mappings_lock);
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        if (atomic_load(&mappings[i].base)) continue;
        snprintf(mappings[i].name, sizeof(mappings[i].name), "%s", str_cstr(&line));
        mappings[i].size = size;
        atomic_store(&mappings[i].base, base);
        break;
    }
    pthread_mutex_unlock(&mappings_lock);
    str_release(&line);
}

static void mappings_drop(const uint8_t *base)
{
    pthread_mutex_lock(&mappings_lock);
    for (size_t i = 0; i < MAX_MAPPINGS; i++)
        if (atomic_load(&mappings[i].base) == base) atomic_store(&mappings[i].base, NULL);
    pthread_mutex_unlock(&mappings_lock);
}

const char *model_file_at(const void *address)
{
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        const uint8_t *base = atomic_load(&mappings[i].base);
        if (base && (const uint8_t *)address >= base && (size_t)((const uint8_t *)address - base) < mappings[i].size) return mappings[i].name;
    }
    return NULL;
}

/* ---- life cycle --------------------------------------------------------------------------------------------- */

static int read_all(struct gguf *g, struct err *e)
{
    /* What the tables may reach; tensor data lies behind and is checked against the whole. */
    struct cursor c = {.base = g->base, .size = g->size, .path = g->path, .e = e};
    size_t n_tensors, n_kv;
    if (c.size > LIMIT_METADATA) c.size = LIMIT_METADATA;
    if (!read_header(&c, g, &n_tensors, &n_kv) || !read_metadata(&c, g, n_kv)) return c.rc;
    c.size = g->size;
    if (!read_tensors(&c, g, n_tensors)) return c.rc;
    return ERR_OK;
}

int gguf_open_memory(struct gguf **out, const void *bytes, size_t n, const char *name, struct err *e)
{
    *out = NULL;
    struct gguf *g = calloc(1, sizeof(*g));
    if (g) g->path = mem_dup_text(name, strlen(name));
    if (!g || !g->path) {
        free(g);
        return err_set(e, ERR_NOMEM, "%s: out of memory", name);
    }
    g->base = bytes;
    g->size = n;
    int rc = read_all(g, e);
    if (rc) {
        gguf_close(g);
        return rc;
    }
    *out = g;
    return ERR_OK;
}

/* Maps the regular file behind fd. *bytes is NULL for an empty one. */
static int map_file(int fd, const char *path, void **bytes, size_t *n, struct file_identity *id, struct err *e)
{
    struct stat st;
    *bytes = NULL;
    *n = 0;
    if (fstat(fd, &st) != 0) return err_set_errno(e, ERR_FILE, "%s: cannot be examined", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_FILE, "%s: is %s, not a file", path, S_ISDIR(st.st_mode) ? "a folder" : "something else");
    file_identity_of(id, &st);
    if (st.st_size <= 0) return ERR_OK;
    *n = (size_t)st.st_size;
    void *p = mmap(NULL, *n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return err_set_errno(e, errno == ENOMEM ? ERR_NOMEM : ERR_FILE, "%s: cannot be mapped", path);
    *bytes = p;
    return ERR_OK;
}

int gguf_open(struct gguf **out, const char *path, struct err *e)
{
    *out = NULL;
    /* Without O_NONBLOCK a named pipe would block here, before fstat can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return err_set_errno(e, ERR_FILE, "%s: cannot be opened", path);
    struct file_identity id = {0};
    void *bytes;
    size_t n;
    int rc = map_file(fd, path, &bytes, &n, &id, e);
    close(fd);
    if (rc) return rc;
    if (bytes) mappings_add(bytes, n, path);
    rc = gguf_open_memory(out, bytes ? bytes : "", n, path, e);
    if (!rc) {
        (*out)->mapped = true;
        (*out)->identity = id;
    } else if (bytes) {
        mappings_drop(bytes);
        munmap(bytes, n);
    }
    return rc;
}

int gguf_adopt(struct gguf *g, struct gguf *part, struct err *e)
{
    char name[68];
    size_t n = g->n_tensors + part->n_tensors;
    struct gguf_tensor *both = calloc(n ? n : 1, sizeof(*both));
    uint32_t *order = NULL;
    struct cursor c = {.base = g->base, .path = g->path, .e = e};

    part->next = g->next;
    g->next = part;
    if (!both) return err_set(e, ERR_NOMEM, "%s: out of memory for %zu tensors", g->path, n);
    if (g->n_tensors) memcpy(both, g->tensors, g->n_tensors * sizeof(*both));
    if (part->n_tensors) memcpy(both + g->n_tensors, part->tensors, part->n_tensors * sizeof(*both));
    free(g->tensors);
    g->tensors = both;
    if (n > LIMIT_TENSORS) return err_set(e, ERR_FILE, "%s: over %d tensors in its parts", g->path, LIMIT_TENSORS);
    if (!sort_index(&c, g, &order, n, compare_tensors)) return c.rc;
    free(g->tensor_order);
    g->tensor_order = order;
    g->n_tensors = n;
    for (size_t i = 1; i < n; i++)
        if (compare_tensors(&order[i - 1], &order[i], g) == 0)
            return err_set(e, ERR_FILE, "%s: has the tensor %s twice, in this file and those before", part->path,
                           shown(g->tensors[order[i]].name, name));
    return ERR_OK;
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    /* only a list's head is closed from outside: this goes one deep */
    for (struct gguf *part = g->next, *next; part; part = next) {
        next = part->next;
        part->next = NULL;
        gguf_close(part);
    }
    for (size_t i = 0; i < g->n_kv; i++) free(g->kvs[i].index);
    free(g->kvs);
    free(g->tensors);
    free(g->kv_order);
    free(g->tensor_order);
    if (g->mapped) {
        mappings_drop(g->base);
        munmap((void *)(uintptr_t)g->base, g->size);
    }
    free(g->path);
    free(g);
}

void gguf_rest_header(const struct gguf *g)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (const struct gguf *part = g; part; part = part->next) {
        size_t end = part->size;
        for (size_t i = 0; i < g->n_tensors; i++) {
            uintptr_t at = (uintptr_t)g->tensors[i].data - (uintptr_t)part->base;
            if (at < end) end = at;
        }
        if (part->mapped) madvise((void *)(uintptr_t)part->base, end / page * page, MADV_DONTNEED);
    }
}

int gguf_lock(const struct gguf *g, struct err *e)
{
    struct rlimit limit = {0};
    const struct gguf *part = g;
    while (part && (!part->mapped || !part->size || mlock(part->base, part->size) == 0)) part = part->next;
    if (!part) return ERR_OK;
    int rc = err_set_errno(e, ERR_NOMEM, "%s: cannot be held in memory", g->path);
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < gguf_file_bytes(g))
        rc = err_set(e, ERR_NOMEM, "%s: cannot be held in memory: it has %zu kB, and `ulimit -l` allows %llu", g->path, gguf_file_bytes(g) >> 10,
                     (unsigned long long)limit.rlim_cur >> 10);
    for (const struct gguf *held = g; held != part; held = held->next)
        if (held->mapped && held->size) munlock(held->base, held->size);
    return rc;
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

void gguf_add_identity(const struct gguf *g, struct str *out)
{
    for (; g; g = g->next) {
        file_identity_add(&g->identity, out);
        str_add_char(out, '\n');
    }
}

size_t gguf_file_bytes(const struct gguf *g)
{
    size_t n = 0;

    /* mappings of one address space: their sum fits */
    for (; g; g = g->next) n += g->size;
    return n;
}

int gguf_version(const struct gguf *g)
{
    return g->version;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static bool load_int(enum gguf_type type, const uint8_t *p, int64_t *out)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (type) {
    case GGUF_U8: *out = p[0]; return true;
    case GGUF_I8: *out = (int8_t)p[0]; return true;
    case GGUF_U16:
        memcpy(&u16, p, 2);
        *out = u16;
        return true;
    case GGUF_I16:
        memcpy(&u16, p, 2);
        *out = (int16_t)u16;
        return true;
    case GGUF_U32:
        memcpy(&u32, p, 4);
        *out = u32;
        return true;
    case GGUF_I32:
        memcpy(&u32, p, 4);
        *out = (int32_t)u32;
        return true;
    case GGUF_I64:
        memcpy(&u64, p, 8);
        *out = (int64_t)u64;
        return true;
    case GGUF_U64:
        memcpy(&u64, p, 8);
        if (u64 > INT64_MAX) return false;
        *out = (int64_t)u64;
        return true;
    default: return false;
    }
}

static bool load_real(enum gguf_type type, const uint8_t *p, double *out)
{
    float f;
    int64_t i;
    if (type == GGUF_F32) {
        memcpy(&f, p, 4);
        *out = (double)f;
    } else if (type == GGUF_F64) {
        memcpy(out, p, 8);
    } else if (load_int(type, p, &i)) {
        *out = (double)i;
    } else {
        return false;
    }
    return true;
}

bool gguf_get_int(const struct gguf *g, const char *key, int64_t *out)
{
    const struct kv *kv = find_kv(g, key);
    return kv && load_int(kv->type, kv->array.p, out);
}

bool gguf_get_real(const struct gguf *g, const char *key, double *out)
{
    const struct kv *kv = find_kv(g, key);
    return kv && load_real(kv->type, kv->array.p, out);
}

bool gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct kv *kv = find_kv(g, key);
    if (!kv || kv->type != GGUF_BOOL) return false;
    *out = kv->array.p[0] != 0;
    return true;
}

bool gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out)
{
    const struct kv *kv = find_kv(g, key);
    if (!kv || kv->type != GGUF_STRING) return false;
    *out = (struct gguf_string){(const char *)kv->array.p, (size_t)kv->array.n};
    return true;
}

bool gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out)
{
    const struct kv *kv = find_kv(g, key);
    if (!kv || kv->type != GGUF_ARRAY) return false;
    *out = kv->array;
    return true;
}

bool gguf_array_string(const struct gguf_array *a, uint64_t i, struct gguf_string *out)
{
    if (a->type != GGUF_STRING || i >= a->n || !a->index) return false;
    const uint8_t *p = a->p + a->index[i];
    *out = (struct gguf_string){(const char *)p + 8, (size_t)load_u64(p)};
    return true;
}

bool gguf_array_next_string(struct gguf_array *a, struct gguf_string *out)
{
    if (a->type != GGUF_STRING || a->n == 0) return false;
    *out = (struct gguf_string){(const char *)a->p + 8, (size_t)load_u64(a->p)};
    size_t step = 8 + out->n;
    a->p += step;
    a->bytes -= step;
    a->n--;
    a->index = NULL; /* it counts from the array's beginning */
    return true;
}

bool gguf_array_int(const struct gguf_array *a, uint64_t i, int64_t *out)
{
    return i < a->n && load_int(a->type, a->p + i * type_sizes[a->type], out);
}

bool gguf_array_real(const struct gguf_array *a, uint64_t i, double *out)
{
    return i < a->n && load_real(a->type, a->p + i * type_sizes[a->type], out);
}

size_t gguf_kv_count(const struct gguf *g)
{
    return g->n_kv;
}

struct gguf_string gguf_kv_key(const struct gguf *g, size_t i)
{
    return i < g->n_kv ? g->kvs[i].key : (struct gguf_string){"", 0};
}

enum gguf_type gguf_kv_type(const struct gguf *g, size_t i)
{
    return i < g->n_kv ? g->kvs[i].type : GGUF_N_TYPES;
}

const char *gguf_type_name(enum gguf_type type)
{
    return (unsigned)type < GGUF_N_TYPES ? type_names[type] : "?";
}

/* Shortest decimal form that reads back as the same number of its width. */
static void format_real(enum gguf_type type, double v, struct str *out)
{
    char text[40];
    for (int digits = type == GGUF_F32 ? 6 : 15; digits <= (type == GGUF_F32 ? 9 : 17); digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (type == GGUF_F32 ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) break;
    }
    str_add(out, text);
}

void gguf_kv_format(const struct gguf *g, size_t i, struct str *out)
{
    if (i >= g->n_kv) return;
    const struct kv *kv = &g->kvs[i];
    int64_t v;
    double r;
    if (kv->type == GGUF_STRING)
        str_add_bytes(out, kv->array.p, (size_t)kv->array.n);
    else if (kv->type == GGUF_ARRAY)
        str_addf(out, "[%s; %" PRIu64 "]", type_names[kv->array.type], kv->array.n);
    else if (kv->type == GGUF_BOOL)
        str_add(out, kv->array.p[0] ? "true" : "false");
    else if (load_int(kv->type, kv->array.p, &v))
        str_addf(out, "%" PRId64, v);
    else if (kv->type == GGUF_U64)
        str_addf(out, "%" PRIu64, load_u64(kv->array.p));
    else if (load_real(kv->type, kv->array.p, &r))
        format_real(kv->type, r, out);
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    struct gguf_string want = {name, strlen(name)};
    size_t lo = 0, hi = g->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct gguf_tensor *t = &g->tensors[g->tensor_order[mid]];
        int d = compare_names(want, t->name);
        if (d == 0) return t;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
