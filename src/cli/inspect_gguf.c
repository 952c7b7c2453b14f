/*
 * inspect_gguf.c - `ponder inspect gguf`: the metadata and the tensors of a GGUF file.
 *
 * All names and texts come from the file: as text each is one line, cleaned and cut; as JSON each is whole, in ASCII, with bytes
 * that are not UTF-8 replaced. Of arrays the element type, the count and the first few elements are shown.
 */
#include "cli/cli.h"
#include "model/gguf.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "inspect"

enum {
    SHOWN_BYTES = 100,  /* of a string, as text */
    SHOWN_ELEMENTS = 8, /* of an array */
};

/* ---- elements of arrays ------------------------------------------------------------------------------------- */

/* The array of entry i; false where it is none. Keys with a NUL inside cannot be asked for and show no elements. */
static bool array_of(const struct gguf *g, size_t i, struct gguf_array *out)
{
    struct gguf_string key = gguf_kv_key(g, i);
    char *name = gguf_kv_type(g, i) == GGUF_ARRAY ? mem_dup_text(key.p, key.n) : NULL;
    bool found = name && strlen(name) == key.n && gguf_get_array(g, name, out);
    free(name);
    return found;
}

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
    if (array_of(g, i, &a))
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

static bool print_line(struct str *line)
{
    bool ok = str_ok(line);
    if (ok) printf("%s\n", str_cstr(line));
    str_clear(line);
    return ok;
}

static bool print_text(const struct gguf *g)
{
    struct str line = STR_EMPTY;
    bool ok = true;
    add_clean(&line, gguf_path(g), strlen(gguf_path(g)), SIZE_MAX);
    str_addf(&line, ": GGUF version %d, %zu bytes, %zu metadata entries, %zu tensors", gguf_version(g), gguf_file_bytes(g),
             gguf_kv_count(g), gguf_tensor_count(g));
    ok = print_line(&line);
    for (size_t i = 0; ok && i < gguf_kv_count(g); i++) {
        struct gguf_string key = gguf_kv_key(g, i);
        add_clean(&line, key.p, key.n, SHOWN_BYTES);
        str_addf(&line, "  %s  ", gguf_type_name(gguf_kv_type(g, i)));
        add_value(&line, g, i);
        ok = print_line(&line);
    }
    for (size_t i = 0; ok && i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        add_clean(&line, t->name.p, t->name.n, SHOWN_BYTES);
        str_addf(&line, "  %s", tensor_type_name(t->type));
        if (tensor_block_elements(t->type) == 0) str_addf(&line, " (type %u)", t->type);
        for (int d = 0; d < t->n_dims; d++) str_addf(&line, "%s%" PRId64, d ? " x " : "  ", t->dims[d]);
        str_addf(&line, "  %zu bytes", t->bytes);
        ok = print_line(&line);
    }
    str_release(&line);
    return ok;
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

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
    for (uint64_t k = 0; k < a->n && k < SHOWN_ELEMENTS; k++) json_array_append_new(first, json_element(a, k));
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
    case GGUF_ARRAY: out = array_of(g, i, &a) ? json_array_value(&a) : json_null(); break;
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
    for (int d = 0; d < t->n_dims; d++) json_array_append_new(shape, json_integer(t->dims[d]));
    return json_pack("{s:o, s:s, s:i, s:o, s:I}", "name", json_text(t->name.p, t->name.n), "type", tensor_type_name(t->type), "type_id",
                     (int)t->type, "shape", shape, "bytes", (json_int_t)t->bytes);
}

static bool print_json(const struct gguf *g)
{
    json_t *metadata = json_array(), *tensors = json_array();
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        struct gguf_string key = gguf_kv_key(g, i);
        json_array_append_new(metadata, json_pack("{s:o, s:s, s:o}", "key", json_text(key.p, key.n), "type",
                                                  gguf_type_name(gguf_kv_type(g, i)), "value", json_value(g, i)));
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) json_array_append_new(tensors, json_tensor(gguf_tensor_at(g, i)));
    json_t *root = json_pack("{s:o, s:i, s:I, s:o, s:o}", "file", json_text(gguf_path(g), strlen(gguf_path(g))), "version", gguf_version(g),
                             "bytes", (json_int_t)gguf_file_bytes(g), "metadata", metadata, "tensors", tensors);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    bool made = text != NULL;
    if (made) puts(text);
    free(text);
    json_decref(root);
    return made;
}

int cmd_inspect_gguf(int argc, char **argv)
{
    const char *model = NULL;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "-m") != 0 && strcmp(argv[i], "--model") != 0)
            return cli_usage(COMMAND, "gguf has no option \"%s\"", argv[i]);
        else if (i + 1 == argc)
            return cli_usage(COMMAND, "%s needs a value", argv[i]);
        else
            model = argv[++i];
    }
    if (!model) return cli_usage(COMMAND, "gguf needs -m MODEL");
    struct err e = {0};
    struct str path = STR_EMPTY;
    struct gguf *g = NULL;
    int rc = model_path_of(&path, model, &e);
    if (rc == ERR_OK) rc = gguf_open(&g, str_cstr(&path), &e);
    if (rc == ERR_OK && !(json ? print_json(g) : print_text(g))) rc = err_set(&e, ERR_NOMEM, "%s: out of memory", str_cstr(&path));
    gguf_close(g);
    str_release(&path);
    return cli_finish(rc ? cli_fail(&e) : 0);
}
