/* store_help.h - what the tests of the record share: temporary folders, whole turns in one call, raw SQL. */
#ifndef STORE_HELP_H
#define STORE_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

#define HELPER static inline __attribute__((unused))
/* Shows the line of the error when a call fails. */
#define assert_works(call)                                                                                                                 \
    do {                                                                                                                                   \
        struct err e_ = {0};                                                                                                               \
        struct err *e = &e_;                                                                                                               \
        int rc_ = (call);                                                                                                                  \
        if (rc_) print_error("%s: %s\n", #call, e_.text);                                                                                  \
        assert_int_equal(rc_, 0);                                                                                                          \
    } while (0)
#define assert_fails(code_, call)                                                                                                          \
    do {                                                                                                                                   \
        struct err e_ = {0};                                                                                                               \
        struct err *e = &e_;                                                                                                               \
        int rc_ = (call);                                                                                                                  \
        if (rc_ != (code_)) print_error("%s: %d %s\n", #call, rc_, e_.text);                                                               \
        assert_int_equal(rc_, (code_));                                                                                                    \
        assert_int_equal(e_.code, (code_));                                                                                                \
        assert_true(e_.text[0] != '\0');                                                                                                   \
    } while (0)

HELPER int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* Set-up and tear-down: *state is the name of a new folder. */
HELPER int make_folder(void **state)
{
    char name[] = "/tmp/ponder-test-XXXXXX";
    if (!mkdtemp(name)) return -1;
    *state = strdup(name);
    return 0;
}

HELPER int remove_folder(void **state)
{
    nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

HELPER char *path_in(void *state, const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, 256, "%s/%s", (const char *)state, name);
    return p;
}

HELPER struct store *open_store(const char *path)
{
    struct store *s = NULL;
    assert_works(store_open(&s, path, e));
    return s;
}

HELPER void sql(struct store *s, const char *text)
{
    char *why = NULL;
    if (sqlite3_exec(s->db, text, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", text, why);
}

/* The first column of the first row as text, "NULL" for NULL; valid until the next but seven. */
HELPER const char *one(struct store *s, const char *query)
{
    static char texts[8][4096];
    static unsigned next;
    char *out = texts[next++ % 8];
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(s->db, query, -1, &stmt, NULL) != SQLITE_OK) fail_msg("%s: %s", query, sqlite3_errmsg(s->db));
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        snprintf(out, sizeof texts[0], "no row");
    } else {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        snprintf(out, sizeof texts[0], "%s", text ? text : "NULL");
    }
    sqlite3_finalize(stmt);
    return out;
}

HELPER int64_t conversation(struct store *s, const char *system)
{
    int64_t id = 0;
    assert_works(store_new_conversation(s, system, &id, e));
    return id;
}

HELPER int64_t prompt(struct store *s, int64_t conv, int64_t parent, const char *text)
{
    int64_t id = 0;
    assert_works(store_add_prompt(s, conv, parent, text, strlen(text), &id, e));
    return id;
}

HELPER int64_t begin(struct store *s, int64_t conv, int64_t parent)
{
    int64_t id = 0;
    const struct reply_start start = {.conversation = conv,
                                      .parent = parent,
                                      .model = "Tiny Q4_1",
                                      .model_file = "/m/tiny.gguf",
                                      .quant = "Q4_1",
                                      .family = "chatml",
                                      .engine_version = "0.1",
                                      .kernels = "scalar",
                                      .threads = 2,
                                      .system = "Be brief.",
                                      .seed = 42,
                                      .temp = 0.5,
                                      .top_p = 0.9,
                                      .min_p = 0.05,
                                      .repeat_penalty = 1.1,
                                      .top_k = 40,
                                      .budget = "400",
                                      .think_min = 3,
                                      .answer_max = 100,
                                      .prompt_tokens = 17,
                                      .context = 2048};
    assert_works(store_begin_reply(s, &start, &id, e));
    return id;
}

HELPER void end(struct store *s, int64_t reply, const char *thought, const char *answer, const char *ended, const char *answer_ended)
{
    const struct reply_end r = {.ended = ended,
                                .answer_ended = answer_ended,
                                .budget_final = "300",
                                .thought_tokens = 12,
                                .answer_tokens = 5,
                                .thought_ms = 1500,
                                .answer_ms = 600,
                                .prefill_ms = 90,
                                .tokens_per_s = 8.5};
    assert_works(store_end_reply(s, reply, thought, strlen(thought), answer, strlen(answer), &r, e));
}

/* A whole reply that ended well. */
HELPER int64_t reply(struct store *s, int64_t conv, int64_t parent, const char *thought, const char *answer)
{
    int64_t id = begin(s, conv, parent);
    end(s, id, thought, answer, thought[0] ? "natural" : "none", "complete");
    return id;
}

/* A record with a prompt and two replies to it, numbers 2 and 3. */
HELPER struct store *two_replies(const char *path, int64_t *c)
{
    struct store *s = open_store(path);
    *c = conversation(s, "S");
    int64_t p = prompt(s, *c, 0, "which?");
    reply(s, *c, p, "t", "this");
    reply(s, *c, p, "u", "that");
    return s;
}

HELPER struct str bytes_of(const char *path)
{
    struct str out = STR_EMPTY;
    int fd = open(path, O_RDONLY);
    char buffer[65536];
    if (fd < 0) return out;
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) str_add_bytes(&out, buffer, (size_t)n);
    close(fd);
    return out;
}

HELPER bool holds(const char *path, const char *word)
{
    struct str s = bytes_of(path);
    bool found = s.len && memmem(s.data, s.len, word, strlen(word));
    str_release(&s);
    return found;
}

HELPER bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

HELPER unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* A database of other programs, made anew. */
HELPER void make_database(const char *path, const char *rows)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, rows, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
    sqlite3_close(db);
}

/* Pages of a file are not what they were. */
HELPER void spoil_pages(const char *path, size_t page, size_t pages)
{
    char noise[4096];
    memset(noise, 0x5a, sizeof noise);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = page; i < page + pages; i++) assert_int_equal(pwrite(fd, noise, sizeof noise, (off_t)(i * sizeof noise)), sizeof noise);
    close(fd);
}

/* The full-text index says exactly what the texts say. */
HELPER void check_index(struct store *s)
{
    sql(s, "INSERT INTO message_index(message_index, rank) VALUES('integrity-check', 1)");
    assert_string_equal(one(s, "PRAGMA integrity_check"), "ok");
    assert_string_equal(one(s, "PRAGMA foreign_key_check"), "no row");
}

#endif
