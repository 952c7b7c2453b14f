/* export.h - what the files of ponder export share: arguments (record_export.c), templates (export_render.c), folders (export_folder.c). */
#ifndef PONDER_CLI_EXPORT_H
#define PONDER_CLI_EXPORT_H

#include "cli/record.h"
#include "model/model.h"

/* Turns conversations into text with the templates of their families, or with one for all. */
struct export_renderer {
    const struct family *family; /* of -m or --template; NULL: each reply's own */
    struct tokenizer *tokenizer; /* for token limits; NULL: none */
    bool bar;                    /* show progress on stderr */
    int shown;                   /* percent */
};
/* model: of -m, NULL none; fallback: the settings' model, opened only where tokens are counted. */
int renderer_init(struct export_renderer *r, const char *model, const char *template_name, const char *fallback, bool counts,
                  struct err *e);
void renderer_release(struct export_renderer *r);
/* Fills the callbacks of the options. */
void renderer_connect(struct export_renderer *r, struct export_options *o);

struct export_wish {
    struct export_options options;
    const char *to; /* a file or folder, "-" standard output, NULL none given */
    const char *model, *template_name;
    double split[3]; /* train, valid, test: shares of 1 */
    int64_t seed;
    bool dry_run, json, has_split, has_format;
};

/* The counts as JSON, and the options that chose the records. */
json_t *export_counts_json(const struct export_counts *c);
json_t *export_options_json(const struct export_wish *w);
/* Writes the folder: data files, manifest.json, README.md, and what the format's trainer wants beside them. */
int export_to_folder(struct store *s, const struct export_wish *w, struct export_counts *counts, struct err *e);

#endif
