/*
 * gguf_list.c - the metadata and the tensors of a GGUF file for a reader, as text or JSON.
 *
 * All names and texts come from the file: as text each is one line, cleaned and cut; as JSON each is whole, in ASCII, with bytes
 * that are not UTF-8 replaced. Of arrays the element type, the count and the first few elements are shown.
 */
#include "model/gguf.h"
#include "model/model.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_BYTES = 100,  /* of a string, as text */
    SHOWN_ELEMENTS = 8, /* of an array */
};

/* ---- text --------------------------------------------------------------------------------------------------- */

static void add_clean(struct str *line, const char *p, size_t n, size_t max)
{
    text_sanitize(line, p, n > max ? utf8_complete_prefix(p, max) : n, TEXT_ONE_LINE);
    if (n > max) str_addf(line, "... (%zu bytes)", n);
}

static void add_element(struct str *line, const struct gguf_array *a, uint64_t i)
{
    struct gguf_string s;
    int64_t v;
    double r;
    if (gguf_array_string(a, i, &s))
        add_clean(line, s.p, s.n, SHOWN_BYTES / 4);
    else if (gguf_array_int(a, i, &v))
        str_addf(line, "%" PRId64, v);
    else if (gguf_array_real(a, i, &r))
        str_addf(line, "%g", r);
    else
        str_add(line, "?");
}

static void add_value(struct str *line, const struct gguf *g, size_t i)
{
    struct str value = STR_EMPTY;
    struct gguf_array a;
    gguf_kv_format(g, i, &value);
    add_clean(line, str_cstr(&value), value.len, SHOWN_BYTES);
    if (gguf_kv_array(g, i, &a))
        for (uint64_t k = 0; k < a.n && k <= SHOWN_ELEMENTS; k++) {
            str_add(line, k ? ", " : " ");
            if (k == SHOWN_ELEMENTS)
                str_add(line, "...");
            else
                add_element(line, &a, k);
        }
    if (!str_ok(&value)) line->failed = true;
    str_release(&value);
}

static void list_text(const struct gguf *g, struct str *out)
{
    add_clean(out, gguf_path(g), strlen(gguf_path(g)), SIZE_MAX);
    str_addf(out, ": GGUF version %d, %zu bytes, %zu metadata entries, %zu tensors", gguf_version(g), gguf_file_bytes(g),
             gguf_kv_count(g), gguf_tensor_count(g));
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        struct gguf_string key = gguf_kv_key(g, i);
        str_add_char(out, '\n');
        add_clean(out, key.p, key.n, SHOWN_BYTES);
        str_addf(out, "  %s  ", gguf_type_name(gguf_kv_type(g, i)));
        add_value(out, g, i);
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        str_add_char(out, '\n');
        add_clean(out, t->name.p, t->name.n, SHOWN_BYTES);
        str_addf(out, "  %s", tensor_type_name(t->type));
        if (tensor_block_elements(t->type) == 0) str_addf(out, " (type %u)", t->type);
        for (int d = 0; d < t->n_dims; d++) str_addf(out, "%s%" PRId64, d ? " x " : "  ", t->dims[d]);
        str_addf(out, "  %zu bytes", t->bytes);
    }
    str_add_char(out, '\n');
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

/* A list that cannot take an item is none: it becomes NULL, and so does what it is put into. */
static void append(json_t **list, json_t *item)
{
    if (*list && json_array_append_new(*list, item) == 0) return;
    if (!*list) json_decref(item);
    json_decref(*list);
    *list = NULL;
}

static json_t *json_text(const char *p, size_t n)
{
    if (utf8_is_valid(p, n)) return json_stringn(p, n);
    struct str clean = STR_EMPTY;
    text_sanitize(&clean, p, n, TEXT_SCREEN);
    json_t *text = str_ok(&clean) ? json_stringn(str_cstr(&clean), clean.len) : NULL;
    str_release(&clean);
    return text;
}

static json_t *json_number(double r)
{
    return isfinite(r) ? json_real(r) : json_null();
}

static json_t *json_element(const struct gguf_array *a, uint64_t i)
{
    struct gguf_string s;
    int64_t v;
    double r;
    if (gguf_array_string(a, i, &s)) return json_text(s.p, s.n);
    if (gguf_array_int(a, i, &v)) return json_integer(v);
    return gguf_array_real(a, i, &r) ? json_number(r) : json_null();
}

static json_t *json_array_value(const struct gguf_array *a)
{
    json_t *first = json_array();
    for (uint64_t k = 0; k < a->n && k < SHOWN_ELEMENTS; k++) append(&first, json_element(a, k));
    return json_pack("{s:s, s:I, s:o}", "of", gguf_type_name(a->type), "count", (json_int_t)a->n, "first", first);
}

static json_t *json_value(const struct gguf *g, size_t i)
{
    struct gguf_array a;
    struct str value = STR_EMPTY;
    json_t *out = NULL;
    gguf_kv_format(g, i, &value);
    const char *text = str_cstr(&value);
    switch (gguf_kv_type(g, i)) {
    case GGUF_STRING: out = json_text(text, value.len); break;
    case GGUF_BOOL: out = json_boolean(strcmp(text, "true") == 0); break;
    case GGUF_ARRAY: out = gguf_kv_array(g, i, &a) ? json_array_value(&a) : json_null(); break;
    case GGUF_F32:
    case GGUF_F64: out = json_number(strtod(text, NULL)); break;
    /* Beyond what a JSON integer holds, the digits as text. */
    case GGUF_U64: out = value.len > 18 ? json_text(text, value.len) : json_integer(strtoll(text, NULL, 10)); break;
    default: out = json_integer(strtoll(text, NULL, 10)); break;
    }
    str_release(&value);
    return out;
}

static json_t *json_tensor(const struct gguf_tensor *t)
{
    json_t *shape = json_array();
    for (int d = 0; d < t->n_dims; d++) append(&shape, json_integer(t->dims[d]));
    return json_pack("{s:o, s:s, s:i, s:o, s:I}", "name", json_text(t->name.p, t->name.n), "type", tensor_type_name(t->type), "type_id",
                     (int)t->type, "shape", shape, "bytes", (json_int_t)t->bytes);
}

static bool list_json(const struct gguf *g, struct str *out)
{
    json_t *metadata = json_array(), *tensors = json_array();
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        struct gguf_string key = gguf_kv_key(g, i);
        append(&metadata, json_pack("{s:o, s:s, s:o}", "key", json_text(key.p, key.n), "type", gguf_type_name(gguf_kv_type(g, i)), "value",
                                    json_value(g, i)));
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) append(&tensors, json_tensor(gguf_tensor_at(g, i)));
    json_t *root = json_pack("{s:o, s:i, s:I, s:o, s:o}", "file", json_text(gguf_path(g), strlen(gguf_path(g))), "version", gguf_version(g),
                             "bytes", (json_int_t)gguf_file_bytes(g), "metadata", metadata, "tensors", tensors);
    char *text = root ? json_write(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    bool made = text != NULL;
    if (made) str_addf(out, "%s\n", text);
    free(text);
    json_decref(root);
    return made;
}

int model_list_gguf(struct str *out, const char *path, bool json, struct err *e)
{
    struct gguf *g = NULL;
    int rc = gguf_open(&g, path, e);
    bool made = true;
    if (!rc && json) made = list_json(g, out);
    if (!rc && !json) list_text(g, out);
    gguf_close(g);
    return !rc && (!made || !str_ok(out)) ? err_set(e, ERR_NOMEM, "%s: out of memory", path) : rc;
}
