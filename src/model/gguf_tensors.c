/*
 * gguf_tensors.c - the tensor table of a GGUF file: shapes that fit their types, places inside the file, names that are found.
 */
#include "model/gguf_impl.h"

#include <inttypes.h>
#include <stdlib.h>

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

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int compare_tensors(const void *a, const void *b, void *arg)
{
    const struct gguf *g = arg;
    return gguf_compare_names(g->tensors[*(const uint32_t *)a].name, g->tensors[*(const uint32_t *)b].name);
}

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
        return fail(c, ERR_FILE, at, "tensor %s has %u dimensions instead of 1 to %d", gguf_shown(t->name, name), n_dims, LIMIT_DIMS);
    t->n_dims = (int)n_dims;
    for (int i = 0; i < LIMIT_DIMS; i++) t->dims[i] = 1;
    for (int i = 0; i < t->n_dims; i++) {
        uint64_t d;
        at = c->at;
        if (!cursor_u64(c, "a tensor's shape", &d)) return false;
        if (d == 0 || d > INT64_MAX)
            return fail(c, ERR_FILE, at, "tensor %s has a dimension of %" PRId64, gguf_shown(t->name, name), (int64_t)d);
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
        return fail(c, ERR_FILE, at, "tensor %s has rows of %" PRId64 " elements, not whole blocks of %d", gguf_shown(t->name, name), t->dims[0],
                    per_block);
    if (per_block && !tensor_bytes(t, &t->bytes)) return fail(c, ERR_FILE, at, "tensor %s is larger than any file", gguf_shown(t->name, name));
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
    if (offset > room) return fail(c, ERR_FILE, at, "tensor %s begins behind the end of the file", gguf_shown(t->name, name));
    if (offset % g->alignment != 0) return fail(c, ERR_FILE, at, "tensor %s is not aligned to %zu", gguf_shown(t->name, name), g->alignment);
    if (open_end ? offset <= *expect : offset != *expect)
        return fail(c, ERR_FILE, at, "tensor %s begins at %" PRIu64 " of the data instead of %s%" PRIu64, gguf_shown(t->name, name), offset,
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
                    gguf_shown(t->name, name), t->bytes, room - (size_t)offset);
    /* Cannot wrap: both terms are at most the file size, and the alignment is small. */
    *expect = (offset + t->bytes + g->alignment - 1) & ~(uint64_t)(g->alignment - 1);
    return true;
}

bool gguf_read_tensors(struct cursor *c, struct gguf *g, size_t n)
{
    char name[68];
    g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
    uint64_t *offsets = malloc((n ? n : 1) * sizeof(*offsets));
    bool ok = g->tensors && offsets;
    if (!ok) gguf_fail(c, ERR_NOMEM, c->at, "out of memory for %zu tensors", n);
    for (size_t i = 0; ok && i < n; i++) ok = read_tensor(c, &g->tensors[i], &offsets[i]);
    if (ok) {
        g->n_tensors = n;
        ok = gguf_sort_index(c, g, &g->tensor_order, n, compare_tensors);
    }
    for (size_t i = 1; ok && i < n; i++)
        if (compare_tensors(&g->tensor_order[i - 1], &g->tensor_order[i], g) == 0) {
            struct gguf_string twice = g->tensors[g->tensor_order[i]].name;
            ok = fail(c, ERR_FILE, (size_t)((const uint8_t *)twice.p - c->base), "has the tensor %s twice", gguf_shown(twice, name));
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
    if (!gguf_sort_index(&c, g, &order, n, compare_tensors)) return c.rc;
    free(g->tensor_order);
    g->tensor_order = order;
    g->n_tensors = n;
    for (size_t i = 1; i < n; i++)
        if (compare_tensors(&order[i - 1], &order[i], g) == 0)
            return err_set(e, ERR_FILE, "%s: has the tensor %s twice, in this file and those before", part->path,
                           gguf_shown(g->tensors[order[i]].name, name));
    return ERR_OK;
}

/* ---- look-ups ----------------------------------------------------------------------------------------------- */

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
        int d = gguf_compare_names(want, t->name);
        if (d == 0) return t;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
