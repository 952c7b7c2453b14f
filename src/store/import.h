/*
 * import.h - what the files of the import share. Every format becomes the JSON of ponder's own export, conversation by conversation; one
 * inserter takes that.
 *
 *   import.c        files, formats told apart, rows
 *   import_json.c   ChatGPT, Claude, Open WebUI, ShareGPT, OpenAI messages
 *   import_llm.c    llm's SQLite file
 *   import_zip.c    archives
 */
#ifndef PONDER_STORE_IMPORT_H
#define PONDER_STORE_IMPORT_H

#include "store/internal.h"

#include <jansson.h>

struct importer {
    struct store *store;
    struct import_report *report;
    json_t *ids;     /* of the file -> of the record, in the conversation at hand */
    json_t *all_ids; /* in all of them, for votes; NULL where there are none */
    int64_t file_n;  /* conversations met, for notes */
    bool short_of_memory; /* a draft could not be made for want of it */
    struct err *err;
};

/* Takes a conversation in ponder's JSON, borrowed. One that is refused is noted, and no error. */
int import_conversation(struct importer *im, const json_t *conversation);
void import_note(struct importer *im, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- import_json.c -------------------------------------------------------------------------------------------- */

/* The format of a conversation as some program wrote it; NULL when none is recognised. */
const char *import_format_of(const json_t *conversation);
/* The same conversation in ponder's JSON; the caller's. NULL when there is nothing in it. */
json_t *import_translate(struct importer *im, const char *format, const json_t *conversation);

/* A conversation being written message by message. */
struct draft {
    struct importer *im;
    json_t *conversation, *messages;
    json_t *keys; /* a message's key in the file -> its number here, 0 for one that was left out at the root */
    int64_t next;
    bool failed;
};
void draft_init(struct draft *d, struct importer *im, const char *origin, const json_t *id, const char *title, int64_t created_ms);
/* Adds a message below the one with the parent's key. Texts may be NULL. A reply below a reply continues it; a message without text is left
 * out, and what is below it hangs on what was above. */
void draft_add(struct draft *d, const char *key, const char *parent, bool reply, const char *text, const char *thought, int64_t created_ms,
               const char *model);
void draft_rate(struct draft *d, const char *key, int rating, const char *reason, const char *comment);
/* The conversation with the leaf's key as its active end (may be NULL); NULL when nothing was added, or memory ran out. */
json_t *draft_end(struct draft *d, const char *leaf);

/* ---- import_llm.c, import_zip.c ------------------------------------------------------------------------------- */

int import_llm(struct importer *im, const char *path);
/* The conversations of an archive, appended to out: the texts of all conversations*.json in it, each ended by a newline. */
int import_unzip(struct str *out, const char *zip, size_t n, struct err *e);

#endif
