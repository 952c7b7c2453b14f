/*
 * export_folder.c - an export as a folder: train.jsonl, valid.jsonl, test.jsonl, manifest.json, README.md, and what the format's trainer
 * wants beside them.
 *
 * The folder is filled under another name and renamed, so that it is whole or not there. A folder that an export made is replaced file by
 * file, the manifest last; any other folder with something in it is left alone. Nothing written depends on the clock or on where the folder
 * is: the same record gives the same bytes.
 *
 * Conversations that begin with the same prompt go into one file together. Which one follows from the seed and the smallest of their
 * numbers, so that a conversation stays where it was when the record grows.
 */
#include "cli/export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRAIN, VALID, TEST, SPLITS };
static const char *const split_files[SPLITS] = {"train.jsonl", "valid.jsonl", "test.jsonl"};
static const char *const split_names[SPLITS] = {"train", "validation", "test"};
/* What an export may have left in a folder. */
static const char *const known_files[] = {"train.jsonl",  "valid.jsonl",      "test.jsonl",         "dataset_info.json",
                                          "axolotl.yaml", "conversations.md", "conversations.html", "conversations.json",
                                          "README.md",    "manifest.json"};

struct line {
    char *bytes;
    size_t len;
    int64_t tree;
    size_t model;
    int split;
};
struct used_model {
    char *name, *sha256;
    int64_t records;
};
struct data_tree {
    int64_t id;
    double place; /* 0 to 1, from seed and id */
    int split;
};
struct collected {
    struct line *lines;
    size_t n, cap;
    struct used_model *models;
    size_t n_models, cap_models;
    struct data_tree *trees;
    size_t n_trees;
};

static void collected_release(struct collected *c)
{
    for (size_t i = 0; i < c->n; i++) free(c->lines[i].bytes);
    for (size_t i = 0; i < c->n_models; i++) {
        free(c->models[i].name);
        free(c->models[i].sha256);
    }
    free(c->lines);
    free(c->models);
    free(c->trees);
}

static int find_model(struct collected *c, const struct export_record *r, size_t *out, struct err *e)
{
    for (*out = 0; *out < c->n_models; ++*out)
        if (!strcmp(c->models[*out].name, r->model) && !strcmp(c->models[*out].sha256, r->model_sha256)) return 0;
    if (!mem_grow(&c->models, &c->cap_models, c->n_models + 1, sizeof *c->models)) return err_set(e, ERR_NOMEM, "out of memory");
    struct used_model m = {mem_dup_text(r->model, strlen(r->model)), mem_dup_text(r->model_sha256, strlen(r->model_sha256)), 0};
    c->models[c->n_models++] = m;
    return m.name && m.sha256 ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int collect(void *arg, const struct export_record *r, struct err *e)
{
    struct collected *c = arg;
    struct line l = {.len = r->len, .tree = r->tree};

    int rc = r->conversation ? find_model(c, r, &l.model, e) : 0;
    if (rc) return rc;
    if (r->conversation) c->models[l.model].records++;
    l.bytes = mem_dup_text(r->bytes, r->len);
    if (!l.bytes || !mem_grow(&c->lines, &c->cap, c->n + 1, sizeof *c->lines)) {
        free(l.bytes);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    c->lines[c->n++] = l;
    return 0;
}

/* ---- splitting ------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct data_tree *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int place_of(double *out, int64_t seed, int64_t tree, struct err *e)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char key[64];
    uint64_t v = 0;

    int n = snprintf(key, sizeof key, "%lld:%lld", (long long)seed, (long long)tree);
    if (!SHA256((const unsigned char *)key, (size_t)n, digest)) return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < 6; i++) v = v << 8 | digest[i];
    *out = (double)v / 281474976710656.0;
    return 0;
}

/* A share above 0 gets at least one tree where there are three: the one nearest to it. */
static void fill_empty_split(struct collected *c, int split)
{
    struct data_tree *nearest = NULL;
    size_t in_train = 0;

    for (size_t i = 0; i < c->n_trees; i++) {
        if (c->trees[i].split == split) return;
        if (c->trees[i].split != TRAIN) continue;
        in_train++;
        if (!nearest || c->trees[i].place < nearest->place) nearest = &c->trees[i];
    }
    if (nearest && in_train > 1 && c->n_trees >= 3) nearest->split = split;
}

static int split_lines(struct collected *c, const struct export_wish *w, struct err *e)
{
    c->trees = calloc(c->n ? c->n : 1, sizeof *c->trees);
    if (!c->trees) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->n; i++) c->trees[i].id = c->lines[i].tree;
    qsort(c->trees, c->n, sizeof *c->trees, by_id);
    for (size_t i = 0; i < c->n; i++)
        if (!c->n_trees || c->trees[c->n_trees - 1].id != c->trees[i].id) c->trees[c->n_trees++] = c->trees[i];
    for (size_t i = 0; i < c->n_trees; i++) {
        struct data_tree *t = &c->trees[i];
        int rc = place_of(&t->place, w->seed, t->id, e);
        if (rc) return rc;
        t->split = t->place < w->split[TEST] ? TEST : t->place < w->split[TEST] + w->split[VALID] ? VALID : TRAIN;
    }
    if (w->split[TEST] > 0) fill_empty_split(c, TEST);
    if (w->split[VALID] > 0) fill_empty_split(c, VALID);
    for (size_t i = 0; i < c->n; i++) {
        struct data_tree key = {.id = c->lines[i].tree};
        const struct data_tree *t = bsearch(&key, c->trees, c->n_trees, sizeof *c->trees, by_id);
        c->lines[i].split = t ? t->split : TRAIN;
    }
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

struct folder {
    const struct export_wish *w;
    const struct export_format_info *format;
    const struct collected *data;
    const struct export_counts *counts;
    char *path;    /* being filled */
    json_t *files; /* of the manifest */
    int64_t records[SPLITS];
};

static int write_file(struct folder *f, const char *name, const struct str *bytes, struct err *e)
{
    struct str path = STR_EMPTY;

    str_addf(&path, "%s/%s", f->path, name);
    int rc = str_ok(&path) && str_ok(bytes) ? file_write_atomic(str_cstr(&path), str_cstr(bytes), bytes->len, e)
                                            : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&path);
    return rc;
}

static int note_file(struct folder *f, const char *name, const struct str *bytes, int64_t records, struct err *e)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];

    if (!SHA256((const unsigned char *)str_cstr(bytes), bytes->len, digest)) return err_set(e, ERR_NOMEM, "out of memory");
    json_t *o = json_object();
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "records", json_integer(records));
    json_object_set_new(o, "bytes", json_integer((json_int_t)bytes->len));
    json_object_set_new(o, "sha256", json_string(hex));
    json_array_append_new(f->files, o);
    return 0;
}

/* split -1: all lines. */
static int write_data(struct folder *f, const char *name, int split, struct err *e)
{
    struct str bytes = STR_EMPTY;
    int64_t records = 0;

    for (size_t i = 0; i < f->data->n; i++) {
        const struct line *l = &f->data->lines[i];
        if (split >= 0 && l->split != split) continue;
        str_add_bytes(&bytes, l->bytes, l->len);
        records++;
    }
    int rc = write_file(f, name, &bytes, e);
    if (!rc) rc = note_file(f, name, &bytes, split < 0 ? f->counts->records : records, e);
    if (split >= 0) f->records[split] = records;
    str_release(&bytes);
    return rc;
}

/* A document is put together without looking at every step: that one of them had no memory is noted here. */
static bool json_failed;

static void *json_malloc(size_t n)
{
    void *p = malloc(n);
    if (!p) json_failed = true;
    return p;
}

static int write_json(struct folder *f, const char *name, json_t *o, struct err *e)
{
    struct str bytes = STR_EMPTY;
    char *text = o && !json_failed ? json_write(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) : NULL;

    json_decref(o);
    if (!text) return err_set(e, ERR_NOMEM, "out of memory");
    str_addf(&bytes, "%s\n", text);
    free(text);
    int rc = write_file(f, name, &bytes, e);
    str_release(&bytes);
    return rc;
}

/* ---- beside the data --------------------------------------------------------------------------------------------- */

static void set_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

json_t *export_options_json(const struct export_wish *w)
{
    static const char *const injected[] = {"keep", "drop", "mask"}, *const thoughts[] = {"strip", "drop", "keep"};
    const struct export_options *o = &w->options;
    const struct export_format_info *f = export_format_info(o->format);
    unsigned pairs = o->pairs ? o->pairs : PAIRS_VOTES | PAIRS_EDITS | PAIRS_RATINGS;
    json_t *j = json_object();
    char time[32];

    set_text(j, "format", f->name);
    set_text(j, "reasoning", export_reasoning_name(o->reasoning ? o->reasoning : f->initial));
    json_object_set_new(j, "rating", json_integer(o->min_rating));
    set_text(j, "reason", o->reason);
    set_text(j, "tag", o->tag);
    set_text(j, "model", o->model);
    set_text(j, "search", o->search);
    clock_iso8601(o->since_ms, time);
    set_text(j, "since", o->since_ms ? time : NULL);
    clock_iso8601(o->until_ms, time);
    set_text(j, "until", o->until_ms ? time : NULL);
    set_text(j, "endings", o->endings ? o->endings : "natural,none,answer_now,budget_soft,budget_hard");
    if (f->task == TASK_PAIRS) {
        json_object_set_new(j, "min_strength", json_integer(o->min_strength ? o->min_strength : 1));
        json_object_set_new(j, "pairs",
                            json_pack("[s*,s*,s*]", pairs & PAIRS_VOTES ? "votes" : NULL, pairs & PAIRS_EDITS ? "edits" : NULL,
                                      pairs & PAIRS_RATINGS ? "ratings" : NULL));
    }
    set_text(j, "injected", injected[o->injected]);
    json_object_set_new(j, "with_say", json_boolean(o->with_say));
    set_text(j, "bad_thoughts", thoughts[o->bad_thoughts]);
    json_object_set_new(j, "deduplicated", json_boolean(!o->keep_duplicates));
    if (o->weights)
        json_object_set_new(j, "weights", json_pack("{s:f,s:f,s:f}", "up", o->weight_up, "none", o->weight_none, "edit", o->weight_edited));
    if (o->min_tokens) json_object_set_new(j, "min_tokens", json_integer(o->min_tokens));
    if (o->max_tokens) json_object_set_new(j, "max_tokens", json_integer(o->max_tokens));
    if (w->template_name) set_text(j, "template", w->template_name);
    return j;
}

/* The licence that the catalogue knows for a model, NULL for others. */
static const char *licence_of(const struct used_model *m)
{
    const struct catalogue_entry *c;

    for (size_t i = 0; (c = catalogue_at(i, NULL)) != NULL; i++)
        if ((m->sha256[0] && c->sha256 && !strcmp(c->sha256, m->sha256)) || (!m->sha256[0] && c->title && !strcmp(c->title, m->name)))
            return c->licence;
    return NULL;
}

static int write_manifest(struct folder *f, struct err *e)
{
    const struct export_counts *c = f->counts;
    const struct export_wish *w = f->w;
    json_t *o = json_object(), *models = json_array();

    for (size_t i = 0; i < f->data->n_models; i++) {
        const struct used_model *m = &f->data->models[i];
        json_t *j = json_object();
        set_text(j, "model", m->name);
        set_text(j, "sha256", m->sha256[0] ? m->sha256 : NULL);
        set_text(j, "licence", licence_of(m));
        json_object_set_new(j, "records", json_integer(m->records));
        json_array_append_new(models, j);
    }
    set_text(o, "ponder", PONDER_VERSION);
    json_object_set_new(o, "options", export_options_json(w));
    if (f->format->task != TASK_DOCUMENT)
        json_object_set_new(o, "split",
                            json_pack("{s:s,s:I,s:f,s:f,s:f}", "by", "conversations that begin alike", "seed", (json_int_t)w->seed, "train",
                                      w->split[TRAIN], "valid", w->split[VALID], "test", w->split[TEST]));
    json_object_set(o, "files", f->files);
    json_object_set_new(o, "counts", export_counts_json(c));
    /* KTO wants (weight x number) of the two sides within 1:1 and 4:3 */
    if (f->format->task == TASK_LABELS && c->good && c->bad)
        json_object_set_new(o, "kto",
                            json_pack("{s:f,s:f}", "desirable_weight", c->good < c->bad ? (double)c->bad / (double)c->good : 1.0,
                                      "undesirable_weight", c->good > c->bad ? (double)c->good / (double)c->bad : 1.0));
    json_object_set_new(o, "models", models);
    return write_json(f, "manifest.json", o, e);
}

static void add_code(struct str *out, const char *language, const char *text)
{
    str_addf(out, "```%s\n%s```\n\n", language, text);
}

static void add_usage(struct folder *f, struct str *out)
{
    static const char sft[] = "from datasets import load_dataset\nfrom trl import SFTConfig, SFTTrainer\n\ndata = load_dataset(\"json\", "
                              "data_files={\"train\": \"train.jsonl\"})\nSFTTrainer(model=\"YOUR/MODEL\", train_dataset=data[\"train\"],\n"
                              "           args=SFTConfig(output_dir=\"out\", assistant_only_loss=%s)).train()\n";
    const struct export_wish *w = f->w;
    enum export_reasoning r = w->options.reasoning ? w->options.reasoning : f->format->initial;
    struct str code = STR_EMPTY;

    switch (w->options.format) {
    case EXPORT_SFT:
    case EXPORT_SFT_PC:
    case EXPORT_TEXT: str_addf(&code, sft, w->options.format == EXPORT_SFT && r != REASONING_TEXT ? "True" : "False"); break;
    case EXPORT_DPO:
        str_add(&code, "from datasets import load_dataset\nfrom trl import DPOConfig, DPOTrainer\n\ndata = load_dataset(\"json\", "
                       "data_files={\"train\": "
                       "\"train.jsonl\"})\nDPOTrainer(model=\"YOUR/MODEL\", train_dataset=data[\"train\"], "
                       "args=DPOConfig(output_dir=\"out\")).train()\n");
        break;
    case EXPORT_KTO:
        str_add(&code, "from datasets import load_dataset\nfrom trl import KTOConfig, KTOTrainer\n\ndata = load_dataset(\"json\", "
                       "data_files={\"train\": "
                       "\"train.jsonl\"})\n# desirable_weight and undesirable_weight: see manifest.json\nKTOTrainer(model=\"YOUR/MODEL\", "
                       "train_dataset=data[\"train\"], args=KTOConfig(output_dir=\"out\")).train()\n");
        break;
    case EXPORT_LLAMAFACTORY:
    case EXPORT_LLAMAFACTORY_DPO:
    case EXPORT_LLAMAFACTORY_KTO: add_code(out, "sh", "llamafactory-cli train ... --dataset_dir . --dataset ponder_train\n"); break;
    case EXPORT_AXOLOTL:
    case EXPORT_AXOLOTL_DPO: str_add(out, "`axolotl.yaml` has the part of a configuration that names the data.\n\n"); break;
    default: break;
    }
    if (code.len) add_code(out, "python", str_cstr(&code));
    str_release(&code);
}

static int write_card(struct folder *f, struct err *e)
{
    struct str out = STR_EMPTY;
    const struct export_counts *c = f->counts;
    bool data = f->format->task != TASK_DOCUMENT;

    str_add(&out, "---\nlicense: other\npretty_name: Conversations of ponder\ntags:\n- ponder\n- reasoning\n");
    if (data && c->records) {
        str_add(&out, "configs:\n- config_name: default\n  data_files:\n");
        for (int i = 0; i < SPLITS; i++)
            if (f->records[i]) str_addf(&out, "  - split: %s\n    path: %s\n", split_names[i], split_files[i]);
    }
    str_addf(&out,
             "---\n\n# Conversations of ponder, as %s\n\n%s. Written by ponder %s from chats with local models and their ratings.\n\n",
             f->format->name, f->format->help, PONDER_VERSION);
    str_addf(&out, "- %lld %s from %lld replies in %lld conversations\n", (long long)c->records, data ? "records" : "conversations",
             (long long)c->replies_seen, (long long)c->conversations);
    if (data) {
        str_addf(&out,
                 "- train %lld, validation %lld, test %lld; conversations that begin with the same prompt stay together (seed %lld)\n",
                 (long long)f->records[TRAIN], (long long)f->records[VALID], (long long)f->records[TEST], (long long)f->w->seed);
        str_addf(&out, "- thoughts: %s, in %lld records\n",
                 export_reasoning_name(f->w->options.reasoning ? f->w->options.reasoning : f->format->initial), (long long)c->thoughts);
    }
    if (c->good + c->bad) str_addf(&out, "- %lld good, %lld bad\n", (long long)c->good, (long long)c->bad);
    str_add(&out, "- options, counts of what was left out and why, and hashes: `manifest.json`\n\n");
    add_usage(f, &out);
    str_add(&out, "## Models\n\nText of a model may come with conditions; look at its licence before you share it.\n\n| model | licence | "
                  "records |\n|---|---|---|\n");
    for (size_t i = 0; i < f->data->n_models; i++) {
        const struct used_model *m = &f->data->models[i];
        const char *licence = licence_of(m);
        struct str name = STR_EMPTY;
        text_sanitize(&name, m->name, strlen(m->name), TEXT_ONE_LINE);
        for (size_t k = 0; k < name.len; k++)
            if (name.data[k] == '|') name.data[k] = '/';
        str_addf(&out, "| %s | %s | %lld |\n", name.len ? str_cstr(&name) : "unknown", licence ? licence : "unknown",
                 (long long)m->records);
        str_release(&name);
    }
    int rc = write_file(f, "README.md", &out, e);
    str_release(&out);
    return rc;
}

static int write_dataset_info(struct folder *f, struct err *e)
{
    json_t *o = json_object();

    for (int i = 0; i < SPLITS; i++) {
        static const char *const names[] = {"ponder_train", "ponder_valid", "ponder_test"};
        json_t *d = json_object(), *columns = f->w->options.format == EXPORT_ALPACA ? NULL : json_object();
        set_text(d, "file_name", split_files[i]);
        if (f->w->options.format == EXPORT_ALPACA) {
            set_text(d, "formatting", "alpaca");
            columns = json_pack("{s:s,s:s,s:s,s:s,s:s}", "prompt", "instruction", "query", "input", "response", "output", "system",
                                "system", "history", "history");
        } else {
            set_text(d, "formatting", "sharegpt");
            if (f->format->task == TASK_PAIRS) json_object_set_new(d, "ranking", json_true());
            set_text(columns, "messages", "conversations");
            if (f->w->options.format != EXPORT_SHAREGPT) set_text(columns, "system", "system");
            if (f->format->task == TASK_PAIRS) {
                set_text(columns, "chosen", "chosen");
                set_text(columns, "rejected", "rejected");
            }
            if (f->format->task == TASK_LABELS) set_text(columns, "kto_tag", "kto_tag");
            json_object_set_new(d, "tags",
                                json_pack("{s:s,s:s,s:s,s:s,s:s}", "role_tag", "from", "content_tag", "value", "user_tag", "human",
                                          "assistant_tag", "gpt", "system_tag", "system"));
        }
        json_object_set_new(d, "columns", columns);
        if (f->records[i]) json_object_set(o, names[i], d);
        json_decref(d);
    }
    return write_json(f, "dataset_info.json", o, e);
}

static int write_axolotl(struct folder *f, struct err *e)
{
    struct str out = STR_EMPTY;
    bool pairs = f->format->task == TASK_PAIRS;

    str_add(&out, pairs ? "rl: dpo\n" : "");
    for (int i = 0; i < 2; i++) {
        if (!f->records[i]) continue;
        str_addf(&out, "%s:\n  - path: %s\n    ds_type: json\n    split: train\n    type: %s\n    field_messages: messages\n",
                 i == TRAIN ? "datasets" : "test_datasets", split_files[i], pairs ? "chat_template.default" : "chat_template");
        if (pairs) {
            str_add(&out, "    field_chosen: chosen\n    field_rejected: rejected\n");
        } else {
            str_add(&out, "    roles_to_train: [\"assistant\"]\n    train_on_eos: turn\n");
        }
        str_add(&out, "    message_property_mappings:\n      role: role\n      content: content\n");
    }
    int rc = write_file(f, "axolotl.yaml", &out, e);
    str_release(&out);
    return rc;
}

static int fill_folder(struct folder *f, struct err *e)
{
    enum export_format format = f->w->options.format;
    bool llamafactory = format == EXPORT_LLAMAFACTORY || format == EXPORT_LLAMAFACTORY_DPO || format == EXPORT_LLAMAFACTORY_KTO ||
                        format == EXPORT_ALPACA || format == EXPORT_SHAREGPT;
    int rc = 0;

    if (f->format->task == TASK_DOCUMENT) {
        char name[32];
        snprintf(name, sizeof name, "conversations%s", f->format->ending);
        rc = write_data(f, name, -1, e);
    }
    for (int i = 0; i < SPLITS && !rc && f->format->task != TASK_DOCUMENT; i++) rc = write_data(f, split_files[i], i, e);
    if (!rc && llamafactory) rc = write_dataset_info(f, e);
    if (!rc && (format == EXPORT_AXOLOTL || format == EXPORT_AXOLOTL_DPO)) rc = write_axolotl(f, e);
    if (!rc) rc = write_card(f, e);
    return rc ? rc : write_manifest(f, e);
}

/* ---- the folder itself ------------------------------------------------------------------------------------------- */

/* 0 when there is no folder yet, 1 when it is one to replace; below 0 an error: it holds something else. */
static int look_at(const char *path, struct err *e)
{
    struct stat st;
    bool empty = true, ours = false;

    if (lstat(path, &st) != 0) return errno == ENOENT ? 0 : -err_set_errno(e, ERR_IO, "%s", path);
    if (!S_ISDIR(st.st_mode)) return -err_set(e, ERR_USAGE, "export: %s is there and is no folder", path);
    DIR *d = opendir(path);
    if (!d) return -err_set_errno(e, ERR_IO, "%s", path);
    for (const struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        empty = false;
        ours |= !strcmp(entry->d_name, "manifest.json");
    }
    closedir(d);
    if (empty || ours) return 1;
    return -err_set(e, ERR_USAGE, "export: the folder %s holds something else; name a new one", path);
}

/* Nothing from here on asks for memory: a change that has begun comes to its end. */
static void remove_folder(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    for (size_t i = 0; i < ARRAY_LEN(known_files) && dir >= 0; i++) unlinkat(dir, known_files[i], 0);
    if (dir >= 0) close(dir);
    rmdir(path);
}

/* Moves the files of one folder over those of another; what an earlier export left there and this one has not goes. */
static int replace_files(const char *from, const char *to, struct err *e)
{
    int a = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), b = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = a < 0 || b < 0 ? err_set_errno(e, ERR_IO, "%s", to) : 0;

    for (size_t i = 0; i < ARRAY_LEN(known_files) && !rc; i++) {
        const char *name = known_files[i];
        if (renameat(a, name, b, name) == 0) continue;
        if (errno != ENOENT || (unlinkat(b, name, 0) != 0 && errno != ENOENT)) rc = err_set_errno(e, ERR_IO, "%s/%s", to, name);
    }
    if (a >= 0) close(a);
    if (b >= 0) close(b);
    return rc;
}

static int write_folder(struct folder *f, const char *to, struct err *e)
{
    struct str name = STR_EMPTY;
    int there = look_at(to, e);

    if (there < 0) return -there;
    const char *slash = strrchr(to, '/');
    str_addf(&name, "%.*s.%s.XXXXXX", slash ? (int)(slash - to + 1) : 0, to, slash ? slash + 1 : to);
    f->path = str_detach(&name);
    if (!f->path) return err_set(e, ERR_NOMEM, "out of memory");
    if (!mkdtemp(f->path)) {
        int rc = err_set_errno(e, ERR_IO, "%s", to);
        free(f->path);
        return rc;
    }
    int rc = fill_folder(f, e);
    if (!rc && there) rc = replace_files(f->path, to, e);
    if (!rc && !there && rename(f->path, to) != 0) rc = err_set_errno(e, ERR_IO, "%s", to);
    if (rc || there) remove_folder(f->path);
    free(f->path);
    return rc;
}

int export_to_folder(struct store *s, const struct export_wish *w, struct export_counts *counts, struct err *e)
{
    struct collected c = {0};
    size_t n = strlen(w->to);

    json_failed = false;
    json_set_alloc_funcs(json_malloc, free);
    while (n > 1 && w->to[n - 1] == '/') n--;
    char *to = mem_dup_text(w->to, n);
    int rc = to ? store_export(s, &w->options, collect, &c, counts, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = split_lines(&c, w, e);
    if (!rc) {
        struct folder f = {.w = w, .format = export_format_info(w->options.format), .data = &c, .counts = counts, .files = json_array()};
        rc = write_folder(&f, to, e);
        json_decref(f.files);
    }
    collected_release(&c);
    free(to);
    return rc;
}
