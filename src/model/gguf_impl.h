/*
 * gguf_impl.h - what the files of the GGUF reader share.
 *
 *   gguf.c          the cursor, the header, and a reader from its opening to its end
 *   gguf_values.c   metadata: keys and typed values
 *   gguf_tensors.c  the tensor table, its shapes, places and names
 *   gguf_map.c      files under their mappings: opened, cut short, held in memory
 *   gguf_split.c    the other files of a model in parts
 *   gguf_list.c     a listing, for `inspect gguf`
 *
 * Invariants
 *   - The cursor never passes the end of the mapping: every read asks `cursor_take` first, and every count is compared with
 *     the bytes that are left before anything is allocated for it.
 *   - Memory use is bounded by the size of the metadata, and the metadata by LIMIT_METADATA.
 *   - After a successful open each tensor lies inside the mapping and its offset is the padded sum of the sizes before it, as
 *     the reference reader demands: no overlap, no gap, file order. A tensor of unknown type has no size of its own; it reaches
 *     to the next one.
 *   - Keys and tensor names are unique; look-ups go through sorted indices, so that no choice of names makes them slow.
 */
#ifndef PONDER_GGUF_IMPL_H
#define PONDER_GGUF_IMPL_H

#include "model/gguf.h"
#include "model/identity.h"

#include <string.h>

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

/* Where the reading is. The first failure is kept in *e and rc; every later read fails too. */
struct cursor {
    const uint8_t *base;
    size_t size, at;
    const char *path;
    struct err *e;
    int rc;
};

/* Keeps a failure, the first one only. */
void gguf_fail(struct cursor *c, int code, size_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A macro, so that compilers see that what a failed read would have filled in is not used. */
#define fail(...) (gguf_fail(__VA_ARGS__), false)
/* A name from the file, cut and made plain, for messages. */
const char *gguf_shown(struct gguf_string s, char out[68]);

/* The next n bytes, a number, a string of at most limit bytes. `what` is for the message: "ends inside WHAT". */
bool cursor_take(struct cursor *c, size_t n, const char *what, const uint8_t **out);
bool cursor_u32(struct cursor *c, const char *what, uint32_t *out);
bool cursor_u64(struct cursor *c, const char *what, uint64_t *out);
bool cursor_string(struct cursor *c, const char *what, size_t limit, struct gguf_string *out);

static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

int gguf_compare_names(struct gguf_string a, struct gguf_string b);
/* *out: the numbers 0 to n - 1 in the order of compare, whose third argument is g. Caller frees. */
bool gguf_sort_index(struct cursor *c, struct gguf *g, uint32_t **out, size_t n, int (*compare)(const void *, const void *, void *));

/* Metadata, then the tensor table, from where the cursor stands. */
bool gguf_read_metadata(struct cursor *c, struct gguf *g, size_t n);
bool gguf_read_tensors(struct cursor *c, struct gguf *g, size_t n);
/* Gives the mapping back, where there is one. */
void gguf_unmap(struct gguf *g);

#endif
