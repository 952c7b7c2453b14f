/* gguf_build.h - writes small GGUF files in memory, good and bad ones, for the tests that read them. */
#ifndef PONDER_GGUF_BUILD_H
#define PONDER_GGUF_BUILD_H

#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>

static inline void put_u32(struct str *s, uint32_t v) { str_add_bytes(s, &v, 4); }
static inline void put_u64(struct str *s, uint64_t v) { str_add_bytes(s, &v, 8); }

static inline void put_text(struct str *s, const char *text, size_t n)
{
    put_u64(s, n);
    str_add_bytes(s, text, n);
}

static inline void put_header(struct str *s, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    str_add(s, "GGUF");
    put_u32(s, version);
    put_u64(s, n_tensors);
    put_u64(s, n_kv);
}

static inline void put_key(struct str *s, const char *key, uint32_t type)
{
    put_text(s, key, strlen(key));
    put_u32(s, type);
}

static inline void put_kv_u32(struct str *s, const char *key, uint32_t v)
{
    put_key(s, key, GGUF_U32);
    put_u32(s, v);
}

static inline void put_kv_text(struct str *s, const char *key, const char *text)
{
    put_key(s, key, GGUF_STRING);
    put_text(s, text, strlen(text));
}

static inline void put_kv_array(struct str *s, const char *key, uint32_t type, uint64_t n)
{
    put_key(s, key, GGUF_ARRAY);
    put_u32(s, type);
    put_u64(s, n);
}

static inline void put_tensor(struct str *s, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    put_text(s, name, strlen(name));
    put_u32(s, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(s, dims[i]);
    put_u32(s, type);
    put_u64(s, offset);
}

static inline void put_padding(struct str *s, size_t alignment)
{
    while (s->len % alignment)
        str_add_char(s, '\0');
}

static inline void put_zeros(struct str *s, size_t n)
{
    while (n--)
        str_add_char(s, '\0');
}

#endif
