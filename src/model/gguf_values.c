/*
 * gguf_values.c - the metadata of a GGUF file: read once, then looked up by key and given out typed.
 */
#include "model/gguf_impl.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint8_t type_sizes[GGUF_N_TYPES] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static const char *const type_names[GGUF_N_TYPES] = {
    [GGUF_U8] = "u8",   [GGUF_I8] = "i8",   [GGUF_U16] = "u16",   [GGUF_I16] = "i16",       [GGUF_U32] = "u32",
    [GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool", [GGUF_STRING] = "string", [GGUF_ARRAY] = "array",
    [GGUF_U64] = "u64", [GGUF_I64] = "i64", [GGUF_F64] = "f64",
};

/* ---- reading ------------------------------------------------------------------------------------------------ */

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
    if (type >= GGUF_N_TYPES) return fail(c, ERR_FILE, at, "metadata entry %s has unknown type %u", gguf_shown(kv->key, name), type);
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
        return fail(c, ERR_FILE, at, "metadata entry %s is neither true nor false", gguf_shown(kv->key, name));
    return true;
}

static int compare_kv(const void *a, const void *b, void *arg)
{
    const struct gguf *g = arg;
    return gguf_compare_names(g->kvs[*(const uint32_t *)a].key, g->kvs[*(const uint32_t *)b].key);
}

static const struct kv *find_kv(const struct gguf *g, const char *key)
{
    struct gguf_string want = {key, strlen(key)};
    size_t lo = 0, hi = g->n_kv;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct kv *kv = &g->kvs[g->kv_order[mid]];
        int d = gguf_compare_names(want, kv->key);
        if (d == 0) return kv;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

bool gguf_read_metadata(struct cursor *c, struct gguf *g, size_t n)
{
    char name[68];
    g->kvs = calloc(n ? n : 1, sizeof(*g->kvs));
    if (!g->kvs) return fail(c, ERR_NOMEM, c->at, "out of memory for %zu metadata entries", n);
    for (; g->n_kv < n; g->n_kv++)
        if (!read_kv(c, &g->kvs[g->n_kv])) {
            free(g->kvs[g->n_kv].index);
            return false;
        }
    if (!gguf_sort_index(c, g, &g->kv_order, n, compare_kv)) return false;
    for (size_t i = 1; i < n; i++)
        if (compare_kv(&g->kv_order[i - 1], &g->kv_order[i], g) == 0) {
            struct gguf_string key = g->kvs[g->kv_order[i]].key;
            return fail(c, ERR_FILE, (size_t)((const uint8_t *)key.p - c->base), "has the key %s twice", gguf_shown(key, name));
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

bool gguf_kv_array(const struct gguf *g, size_t i, struct gguf_array *out)
{
    if (i >= g->n_kv || g->kvs[i].type != GGUF_ARRAY) return false;
    *out = g->kvs[i].array;
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
