/*
 * import_llm.c - the logs of the program llm: its SQLite file, tables `conversations` and `responses`.
 *
 * The file is only read, on a connection of its own that trusts nothing in it.
 */
#include "store/import.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(sqlite3_stmt *st, int column)
{
    return (const char *)sqlite3_column_text(st, column);
}

/* 2024-05-01T12:34:56.789+00:00, as milliseconds; 0 when it is none. */
static int64_t time_of(sqlite3_stmt *st, int column)
{
    return sqlite3_column_type(st, column) == SQLITE_NULL ? 0 : (int64_t)(sqlite3_column_double(st, column) * 1000.0 + 0.5);
}

static int finish(struct importer *im, struct draft *d, const char *leaf)
{
    json_t *c = draft_end(d, leaf);
    int rc = c ? import_conversation(im, c) : im->short_of_memory ? err_set(im->err, ERR_NOMEM, "out of memory") : 0;
    json_decref(c);
    return rc;
}

static void add_response(struct draft *d, sqlite3_stmt *st, const char *key, const char *previous)
{
    char prompt[80];
    const char *system = text_of(st, 3);

    snprintf(prompt, sizeof prompt, "%s/prompt", key);
    if (system && system[0] && !json_object_get(d->conversation, "system") &&
        json_object_set_new(d->conversation, "system", json_string(system)) != 0)
        d->failed = true;
    draft_add(d, prompt, previous, false, text_of(st, 4), NULL, time_of(st, 6), NULL);
    draft_add(d, key, prompt, true, text_of(st, 5), text_of(st, 8), time_of(st, 6), text_of(st, 2));
}

static int read_responses(struct importer *im, sqlite3_stmt *st)
{
    struct draft d = {0};
    char conversation[128] = "", previous[64] = "", key[64];
    bool open = false;
    int rc = 0, sqlite_rc = SQLITE_DONE;

    while (!rc && (sqlite_rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *id = text_of(st, 0), *response = text_of(st, 1);
        snprintf(key, sizeof key, "%s", response ? response : "");
        if (!open || strcmp(conversation, id ? id : key) != 0) {
            if (open) rc = finish(im, &d, previous);
            snprintf(conversation, sizeof conversation, "%s", id ? id : key);
            json_t *name = json_string(conversation);
            draft_init(&d, im, "llm", name, text_of(st, 7), time_of(st, 6));
            json_decref(name);
            previous[0] = '\0';
            open = true;
        }
        add_response(&d, st, key, previous[0] ? previous : NULL);
        snprintf(previous, sizeof previous, "%s", key);
    }
    if (open) {
        int last = finish(im, &d, previous);
        if (!rc) rc = last;
    }
    if (!rc && sqlite_rc != SQLITE_DONE) rc = err_set(im->err, ERR_INVALID, "the file of llm is damaged");
    return rc;
}

#define RESPONSES(thought)                                                                                                                 \
    "SELECT r.conversation_id, r.id, r.model, r.system, r.prompt, r.response, (julianday(r.datetime_utc) - 2440587.5) * 86400.0, "         \
    "c.name, " thought " FROM responses r LEFT JOIN conversations c ON c.id = r.conversation_id ORDER BY coalesce(r.conversation_id, "     \
                       "r.id), r.datetime_utc, r.id"

int import_llm(struct importer *im, const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL, *look = NULL;
    int rc = 0;

    snprintf(im->report->format, sizeof im->report->format, "llm");
    int opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (opened == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
        sqlite3_busy_timeout(db, STORE_BUSY_MS);
    }
    bool reasoning = opened == SQLITE_OK && sqlite3_prepare_v2(db, "SELECT reasoning FROM responses", -1, &look, NULL) == SQLITE_OK;
    const char *query = reasoning ? RESPONSES("r.reasoning") : RESPONSES("NULL");
    if (opened != SQLITE_OK || sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
        rc = err_set(im->err, ERR_INVALID, "%s: is a database, but not one of llm's logs", path);
    if (!rc) rc = read_responses(im, st);
    sqlite3_finalize(look);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rc;
}
