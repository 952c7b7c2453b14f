/*
 * gguf_writer.h - makes GGUF files (version 3) for tests, sound or broken. Tests only: memory running out ends the program.
 *
 * gw_init, then metadata and tensors in any order, then gw_finish or gw_save. Entries can be damaged by giving wrong numbers.
 */
#ifndef PONDER_TESTS_GGUF_WRITER_H
#define PONDER_TESTS_GGUF_WRITER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gw_bytes {
    uint8_t *p;
    size_t n, cap;
};

struct gguf_writer {
    struct gw_bytes kv, table, data;
    uint64_t n_kv, n_tensors;
};

#define GW_ALIGNMENT 32

static inline void gw_put(struct gw_bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->p = realloc(b->p, b->cap);
        if (!b->p) abort();
    }
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void gw_put_u32(struct gw_bytes *b, uint32_t v) { gw_put(b, &v, 4); }
static inline void gw_put_u64(struct gw_bytes *b, uint64_t v) { gw_put(b, &v, 8); }

static inline void gw_put_string(struct gw_bytes *b, const char *s)
{
    gw_put_u64(b, strlen(s));
    gw_put(b, s, strlen(s));
}

static inline void gw_pad(struct gw_bytes *b)
{
    static const uint8_t zeros[GW_ALIGNMENT];
    gw_put(b, zeros, (GW_ALIGNMENT - b->n % GW_ALIGNMENT) % GW_ALIGNMENT);
}

static inline void gw_init(struct gguf_writer *w) { memset(w, 0, sizeof(*w)); }

static inline void gw_release(struct gguf_writer *w)
{
    free(w->kv.p);
    free(w->table.p);
    free(w->data.p);
    gw_init(w);
}

/* ---- metadata; type numbers are those of the format ---------------------------------------------------------------- */

static inline void gw_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    gw_put_string(&w->kv, key);
    gw_put_u32(&w->kv, type);
    w->n_kv++;
}

static inline void gw_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    gw_key(w, key, 4);
    gw_put_u32(&w->kv, v);
}

static inline void gw_f32(struct gguf_writer *w, const char *key, float v)
{
    gw_key(w, key, 6);
    gw_put(&w->kv, &v, 4);
}

static inline void gw_bool(struct gguf_writer *w, const char *key, int v)
{
    uint8_t byte = v != 0;
    gw_key(w, key, 7);
    gw_put(&w->kv, &byte, 1);
}

static inline void gw_string(struct gguf_writer *w, const char *key, const char *v)
{
    gw_key(w, key, 8);
    gw_put_string(&w->kv, v);
}

/* Begins an array; its n elements follow through gw_put_*(&w->kv, ...). */
static inline void gw_array(struct gguf_writer *w, const char *key, uint32_t type, uint64_t n)
{
    gw_key(w, key, 9);
    gw_put_u32(&w->kv, type);
    gw_put_u64(&w->kv, n);
}

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

/* dims[0] is the row length. */
static inline void gw_tensor(struct gguf_writer *w, const char *name, int n_dims, const int64_t *dims, uint32_t type, const void *bytes,
                             size_t n)
{
    gw_put_string(&w->table, name);
    gw_put_u32(&w->table, (uint32_t)n_dims);
    for (int i = 0; i < n_dims; i++) gw_put_u64(&w->table, (uint64_t)dims[i]);
    gw_put_u32(&w->table, type);
    gw_put_u64(&w->table, w->data.n);
    gw_put(&w->data, bytes, n);
    gw_pad(&w->data);
    w->n_tensors++;
}

/* ---- the file -------------------------------------------------------------------------------------------------------- */

/* The whole file; caller releases it with free. */
static inline uint8_t *gw_finish(const struct gguf_writer *w, size_t *n)
{
    struct gw_bytes b = {0};

    gw_put(&b, "GGUF", 4);
    gw_put_u32(&b, 3);
    gw_put_u64(&b, w->n_tensors);
    gw_put_u64(&b, w->n_kv);
    gw_put(&b, w->kv.p, w->kv.n);
    gw_put(&b, w->table.p, w->table.n);
    gw_pad(&b);
    gw_put(&b, w->data.p, w->data.n);
    *n = b.n;
    return b.p;
}

/* Writes at most `limit` bytes of the file; returns 0 or -1. */
static inline int gw_save(const struct gguf_writer *w, const char *path, size_t limit)
{
    size_t n;
    uint8_t *bytes = gw_finish(w, &n);
    FILE *f = fopen(path, "wb");
    int rc = -1;

    if (n > limit) n = limit;
    if (f) {
        rc = fwrite(bytes, 1, n, f) == n ? 0 : -1;
        if (fclose(f)) rc = -1;
    }
    free(bytes);
    return rc;
}

#endif
