/*
 * gguf.c - reads a GGUF file through one checked cursor: the header here, what follows in gguf_values.c and gguf_tensors.c.
 *
 * The invariants are in gguf_impl.h. Nothing is interpreted here beyond `general.alignment`, and the other files of a split
 * model are not looked for: gguf_split.c does.
 */
#include "model/gguf_impl.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- cursor ------------------------------------------------------------------------------------------------- */

void gguf_fail(struct cursor *c, int code, size_t at, const char *fmt, ...)
{
    if (c->rc) return;
    char reason[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    c->rc = err_set(c->e, code, "%s: %s (at byte %zu)", c->path, reason, at);
}

const char *gguf_shown(struct gguf_string s, char out[68])
{
    size_t n = s.n < 64 ? s.n : 64;
    for (size_t i = 0; i < n; i++) out[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
    memcpy(out + n, s.n > n ? "..." : "", s.n > n ? 4 : 1);
    return out;
}

bool cursor_take(struct cursor *c, size_t n, const char *what, const uint8_t **out)
{
    if (c->rc) return false;
    if (n > c->size - c->at) return fail(c, ERR_FILE, c->at, "ends inside %s", what);
    *out = c->base + c->at;
    c->at += n;
    return true;
}

bool cursor_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p;
    if (!cursor_take(c, 4, what, &p)) return false;
    *out = load_u32(p);
    return true;
}

bool cursor_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p;
    if (!cursor_take(c, 8, what, &p)) return false;
    *out = load_u64(p);
    return true;
}

bool cursor_string(struct cursor *c, const char *what, size_t limit, struct gguf_string *out)
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

int gguf_compare_names(struct gguf_string a, struct gguf_string b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

bool gguf_sort_index(struct cursor *c, struct gguf *g, uint32_t **out, size_t n, int (*compare)(const void *, const void *, void *))
{
    uint32_t *order = malloc((n ? n : 1) * sizeof(*order));
    if (!order) return fail(c, ERR_NOMEM, c->at, "out of memory for an index of %zu names", n);
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    qsort_r(order, n, sizeof(*order), compare, g);
    *out = order;
    return true;
}

/* ---- header ------------------------------------------------------------------------------------------------- */

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

/* ---- life cycle --------------------------------------------------------------------------------------------- */

static int read_all(struct gguf *g, struct err *e)
{
    /* What the tables may reach; tensor data lies behind and is checked against the whole. */
    struct cursor c = {.base = g->base, .size = g->size, .path = g->path, .e = e};
    size_t n_tensors, n_kv;
    if (c.size > LIMIT_METADATA) c.size = LIMIT_METADATA;
    if (!read_header(&c, g, &n_tensors, &n_kv) || !gguf_read_metadata(&c, g, n_kv)) return c.rc;
    c.size = g->size;
    if (!gguf_read_tensors(&c, g, n_tensors)) return c.rc;
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
    gguf_unmap(g);
    free(g->path);
    free(g);
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
