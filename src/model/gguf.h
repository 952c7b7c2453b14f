/*
 * gguf.h - a GGUF file (versions 2 and 3, little-endian), mapped read-only and checked. Internal to src/model.
 * Format: ggml docs/gguf.md. Limits stand in one table in gguf_impl.h. Every offset, count, product and sum from the file is
 * checked before use; a file that passes gguf_open has all its tensors inside the mapping, with sane shapes.
 */
#ifndef PONDER_GGUF_H
#define PONDER_GGUF_H

#include "base/base.h"

enum gguf_type { GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64,
                 GGUF_I64, GGUF_F64, GGUF_N_TYPES };

/* Storage types of tensors, numbered as in the file. */
enum tensor_type { TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q4_0 = 2, TENSOR_Q4_1 = 3, TENSOR_Q5_0 = 6, TENSOR_Q5_1 = 7, TENSOR_Q8_0 = 8,
                   TENSOR_Q2_K = 10, TENSOR_Q3_K = 11, TENSOR_Q4_K = 12, TENSOR_Q5_K = 13, TENSOR_Q6_K = 14, TENSOR_IQ4_NL = 20,
                   TENSOR_IQ4_XS = 23, TENSOR_BF16 = 30, TENSOR_MXFP4 = 39 };

struct gguf_string {
    const char *p;      /* in the mapping, no NUL */
    size_t n;
};

struct gguf_tensor {
    struct gguf_string name;
    int n_dims;
    int64_t dims[4];    /* dims[0] is the row length, contiguous; unused ones are 1 */
    uint32_t type;      /* enum tensor_type; a type this version does not know is kept as a number and refused when used */
    const uint8_t *data;
    size_t bytes;
};

struct gguf;
/* Maps and checks the file. A file without tensors (vocabulary only) is fine. ERR_FILE names file and reason. */
int gguf_open(struct gguf **out, const char *path, struct err *e);
/* The same over bytes the caller keeps alive (tests, fuzzing). name is for messages. */
int gguf_open_memory(struct gguf **out, const void *bytes, size_t n, const char *name, struct err *e);
/* gguf_open, and for the first of a model's files (NAME-00001-of-00003.gguf) the others beside it too: *out then has the first file's
 * metadata and the tensors of all, in order. Another one than the first is refused, and so are files that do not belong together. */
int gguf_open_parts(struct gguf **out, const char *path, struct err *e);
/* Puts the tensors of part behind those of g, which owns part from then on also where this fails: ERR_FILE where both have a tensor of one
 * name, ERR_NOMEM. */
int gguf_adopt(struct gguf *g, struct gguf *part, struct err *e);
/* Whether a name without ".gguf" ends as a part of a model does, "-00001-of-00003": the number of bytes, else 0. */
size_t gguf_part_suffix(const char *name, size_t n);
void gguf_close(struct gguf *g);
/* Tells the system that what stands in front of the weights (texts of tokens and the like) has been read for now: its memory is given back,
 * and what is read again comes back page by page. */
void gguf_rest_header(const struct gguf *g);
/* Holds all parts in memory until they are closed. ERR_NOMEM, and then none is held. */
int gguf_lock(const struct gguf *g, struct err *e);
const char *gguf_path(const struct gguf *g);
size_t gguf_file_bytes(const struct gguf *g);      /* of all parts */
/* Appends the identities of its files, a line each. */
void gguf_add_identity(const struct gguf *g, struct str *out);
int gguf_version(const struct gguf *g);

/* Metadata by index, for `inspect gguf`. */
size_t gguf_kv_count(const struct gguf *g);
struct gguf_string gguf_kv_key(const struct gguf *g, size_t i);
enum gguf_type gguf_kv_type(const struct gguf *g, size_t i);
const char *gguf_type_name(enum gguf_type type);      /* "u32"; "?" when unknown */
/* A scalar or string as text, an array as "[type; count]", appended to out, not sanitised. */
void gguf_kv_format(const struct gguf *g, size_t i, struct str *out);

/* Typed look-ups by key. Return false, and leave *out alone, where the key is missing or of another kind. Integers of any width
 * are widened if they fit. */
bool gguf_get_int(const struct gguf *g, const char *key, int64_t *out);
bool gguf_get_real(const struct gguf *g, const char *key, double *out);      /* f32, f64 or any integer */
bool gguf_get_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out);

/* Arrays. Elements are read through a cursor in order, or by index where fixed-size. */
struct gguf_array {
    enum gguf_type type;
    uint64_t n;
    const uint8_t *p;   /* first element */
    size_t bytes;       /* of the whole array */
    const uint32_t *index;  /* of strings: where element i begins, relative to p; NULL once next_string consumed one */
};
bool gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out);
bool gguf_kv_array(const struct gguf *g, size_t i, struct gguf_array *out);     /* by index */
bool gguf_array_next_string(struct gguf_array *a, struct gguf_string *out);   /* consumes; false at the end or for other types */
/* Element i in constant time. False behind the end, for other types, and for an array that next_string has consumed from. */
bool gguf_array_string(const struct gguf_array *a, uint64_t i, struct gguf_string *out);
bool gguf_array_int(const struct gguf_array *a, uint64_t i, int64_t *out);
bool gguf_array_real(const struct gguf_array *a, uint64_t i, double *out);

size_t gguf_tensor_count(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);    /* NULL when missing */
/* Elements and bytes of a block; 0 for an unknown type. */
int tensor_block_elements(uint32_t type);
int tensor_block_bytes(uint32_t type);
const char *tensor_type_name(uint32_t type);     /* "Q4_K"; "?" when unknown */

#endif
