/*
 * internal.h - what the files of src/store share.
 *
 *   store.c    opening and closing: file checks, modes, settings of the connection
 *   schema.c   the tables, and the steps from one version to the next
 *   query.c    prepared statements, transactions, error codes
 *   writer.c   who is alive: locks of the stores that stream replies, and what happens to the replies of dead ones
 *   write.c    conversations, prompts, replies as they stream
 *   read.c     conversations and messages
 *   search.c   full text
 *   rate.c     ratings, tags, corrected texts
 *   vote.c     votes on pairs of replies
 *   samples.c  replies written together to one prompt
 *   steps.c    a thought's steps and their ratings
 *   undo.c     taking ratings back
 *   reasons.c  the reasons offered for a rating
 *   delete.c   deleting for good
 *   import.c   conversations of other programs; its own header import.h
 *   care.c     backup, check, redact
 *   salvage.c  what can be read of a damaged file, into a new one
 *   stats.c    counts for the user's eyes
 *   export.c   fine-tuning data: which, in which order; its own header export.h
 *
 * Functions here expect the store's lock to be held; only those of store.h take it.
 */
#ifndef PONDER_STORE_INTERNAL_H
#define PONDER_STORE_INTERNAL_H

#include "store/store.h"

#include <sqlite3.h>

#define STORE_APPLICATION_ID 0x706f6e64 /* "pond" */
#define STORE_BUSY_MS        5000
#define WRITER_ID_SIZE       33 /* 32 hexadecimal digits and a NUL */

/* The last bytes of a stream that did not end a character yet. */
struct tail {
    char bytes[4];
    size_t n;
};

/* A reply that this store is writing. */
struct stream {
    int64_t reply;
    struct tail thought, answer;
};

struct cached {
    const char *sql; /* the address is the key */
    sqlite3_stmt *stmt;
};

struct store {
    sqlite3 *db;
    pthread_mutex_t lock;
    bool lock_made;
    char *path; /* NULL in memory */
    struct cached *cache;
    size_t n_cache, cap_cache;
    struct stream *streams;
    size_t n_streams, cap_streams;
    bool hasty;         /* commits do not wait for the disk: only while a draft is written */
    bool writing;       /* the transaction, or the last one, is one that writes */
    bool stale;         /* one of these failed for want of memory: what the full-text index keeps in memory is not trusted */
    bool stuck;         /* a transaction that failed could not be taken back yet, for want of memory */
    bool undo_open;     /* changes share undo_batch */
    int64_t undo_batch; /* 0: none yet */
    int writers_fd;  /* -1: not open */
    int writer_slot; /* -1: none claimed */
    char writer_id[WRITER_ID_SIZE];
};

void store_lock(struct store *s);
void store_unlock(struct store *s);

/* ---- query.c ------------------------------------------------------------------------------------------------ */

/* The enum ponder_err for a result of SQLite, with a line in *e. */
int db_error(struct store *s, int sqlite_rc, struct err *e);
/* Runs SQL text that is not worth keeping prepared. */
int db_exec(struct store *s, const char *sql, struct err *e);
/* The one number that a statement gives (a pragma, a count). */
int db_number(struct store *s, const char *sql, int64_t *out, struct err *e);
/* Makes up for what could not be done when it should: a transaction is taken back, commits wait for the disk again. Every statement begins with it. */
int db_be_safe(struct store *s, struct err *e);
int db_begin(struct store *s, struct err *e);      /* for writing */
int db_begin_read(struct store *s, struct err *e); /* one state of the database for several statements */
/* Commits when rc is 0 and the commit works; rolls back otherwise. Returns rc or what went wrong. */
int db_end(struct store *s, int rc, struct err *e);
void db_forget_statements(struct store *s);

/* One use of a cached statement. Errors stick: bind and step freely, query_end tells. sql must be a literal or a constant: its address is
 * the key. */
struct query {
    struct store *store;
    sqlite3_stmt *stmt;
    struct err *err;
    int rc;
};
void query_init(struct query *q, struct store *s, const char *sql, struct err *e);
void query_int(struct query *q, int at, int64_t value);
void query_real(struct query *q, int at, double value);
void query_null(struct query *q, int at);
/* Bytes are made valid UTF-8 where they are not. They must live until the next query_row or query_end. */
void query_text(struct query *q, int at, const char *text, size_t len);
void query_cstr(struct query *q, int at, const char *text); /* NULL binds NULL */
bool query_row(struct query *q);                            /* false at the end and after an error */
int query_end(struct query *q);                             /* resets; the first error or 0 */
int query_run(struct query *q);                             /* for statements without rows: steps and ends */
int64_t query_get_int(struct query *q, int column);
double query_get_real(struct query *q, int column);
/* A malloc'ed copy, the caller's; "" for NULL. NULL after an error (which sticks). len may be NULL. */
char *query_get_text(struct query *q, int column, size_t *len);
/* The same, but NULL for NULL. */
char *query_get_text_or_null(struct query *q, int column, size_t *len);
/* ERR_NOT_FOUND with a line when the statement just run changed no row. */
int db_expect_change(struct store *s, const char *what, int64_t id, struct err *e);

/* ---- schema.c ----------------------------------------------------------------------------------------------- */

/* Looks only: ERR_NEWER, ERR_DB for a file that is not ours. *version 0 for an empty file. */
int schema_check(struct store *s, int64_t *version, struct err *e);
/* Brings the file up to date. */
int schema_migrate(struct store *s, struct err *e);

/* ---- writer.c ----------------------------------------------------------------------------------------------- */

/* A slot and an id of this store's own, taken before its first reply. */
int writer_claim(struct store *s, struct err *e);
void writer_release(struct store *s);
/* Whether the store that wrote slot and id still lives. When it cannot be told: true. */
bool writer_alive(struct store *s, int64_t slot, const char *id);
/* Ends the replies of dead writers as interrupted. */
int writer_recover(struct store *s, struct err *e);

/* ---- write.c ------------------------------------------------------------------------------------------------ */

/* Makes leaf the leaf of its conversation and the path to it the active branch. Inside a transaction. */
int branch_set_leaf(struct store *s, int64_t conversation, int64_t leaf, struct err *e);
/* Names a conversation after its first prompt where it has no title yet. */
int conversation_name(struct store *s, int64_t conversation, const char *text, size_t len, struct err *e);
/* Puts the pieces of a reply, and what comes after them, into its row; it streams no longer. Inside a transaction. */
int reply_consolidate(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                      struct err *e);

/* ---- read.c ------------------------------------------------------------------------------------------------- */

/* The role of a message and whether it still streams. ERR_NOT_FOUND. */
int message_look(struct store *s, int64_t id, enum message_role *role, bool *streaming, struct err *e);

/* The replies of the group that a sample belongs to, oldest first. */
int messages_load_samples(struct store *s, int64_t reply, struct message_list *out, struct err *e);

/* ---- search.c ----------------------------------------------------------------------------------------------- */

/* The full-text index follows the texts by hand, inside the transaction that changes them: add after a message's texts are there and it
 * streams no longer, drop before they change or go (the index is told the old texts, which must still be readable). */
int index_add(struct store *s, int64_t message, struct err *e);
int index_drop(struct store *s, int64_t message, struct err *e);
int index_drop_conversation(struct store *s, int64_t conversation, struct err *e);
/* f NULL: not narrowed. */
int search_run(struct store *s, const char *words, enum search_in in, const struct search_filter *f, int limit, struct search_hits *out,
               struct err *e);
/* All messages with the words, in an order in which search_found looks one up. */
int search_by_message(struct store *s, const char *words, struct search_hits *out, struct err *e);
bool search_found(const struct search_hits *hits, int64_t message);

/* ---- rate.c ------------------------------------------------------------------------------------------------- */

/* The reply exists, is one, and is finished. */
int check_reply(struct store *s, int64_t reply, struct err *e);

/* ---- steps.c ------------------------------------------------------------------------------------------------ */

int steps_load(struct store *s, int64_t reply, struct thought_steps *out, struct err *e);

/* ---- undo.c ------------------------------------------------------------------------------------------------- */

/* Each notes, inside the transaction that is about to change it, what is there now. */
int undo_note_rating(struct store *s, int64_t reply, enum part part, struct err *e);
int undo_note_tag(struct store *s, int64_t reply, const char *tag, struct err *e);
int undo_note_edit(struct store *s, int64_t reply, enum part part, struct err *e);
int undo_note_steps(struct store *s, int64_t reply, struct err *e);
int undo_note_vote(struct store *s, int64_t a, int64_t b, struct err *e);

/* ---- read.c, for votes -------------------------------------------------------------------------------------- */

/* Makes the newest descendant of id the leaf. Inside a transaction. */
int branch_select(struct store *s, int64_t id, struct err *e);

/* ---- delete.c ----------------------------------------------------------------------------------------------- */

/* Overwrites what deleting left in the files. */
int store_wipe(struct store *s, struct err *e);
bool store_wipe_pending(struct store *s);

#endif
