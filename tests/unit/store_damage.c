/* What stands in a record or a log may be of other hands: notes that cannot be read are told, not believed; damaged pages cost their own
 * rows alone. */
#include "unit/store_help.h"

/* A record with a prompt and two rated replies to it, numbers 2 and 3. */
static struct store *two_replies(const char *path, int64_t *c)
{
    struct store *s = open_store(path);
    *c = conversation(s, "S");
    int64_t p = prompt(s, *c, 0, "which?");
    reply(s, *c, p, "t", "this");
    reply(s, *c, p, "u", "that");
    return s;
}

static void test_undo_notes(void **state)
{
    (void)state;
    int64_t c;
    struct undone u;
    static const char *const damaged[] = {"not json", "{}", "17", "[]", "[17]", "[{}]", "null"};
    struct store *s = two_replies(NULL, &c);
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        assert_works(store_rate(s, 2, PART_ANSWER, 1, NULL, NULL, e));
        char set[128];
        snprintf(set, sizeof set, "UPDATE undo SET before = '%s' WHERE id = (SELECT max(id) FROM undo)", damaged[i]);
        sql(s, set);
        assert_fails(ERR_DB, store_undo(s, c, &u, e));
        assert_string_equal(one(s, "SELECT value FROM ratings WHERE message = 2"), "1");
        sql(s, "DELETE FROM undo");
    }
    /* values of other kinds than those that were noted: nothing that the tables do not take comes in */
    static const char *const rows[][2] = {
        {"rating", "[[\"answer\", 7, null, null, 1]]"},
        {"rating", "[[\"nothing\", 1, null, null, 1]]"},
        {"tag", "[[null, 1]]"},
        {"steps", "[[0, \"line\", 0, 5, 9, 1]]"},
        {"steps", "[null]"},
        {"vote", "[[2, 3, 2, 2, 3, \"x\", null, null, 0, null, 1]]"},
        {"vote", "[[2, 3, 2, 2, 3, \"a\", 1, 2, 3, 4, 5, 6, 7, 8]]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char put[256];
        snprintf(put, sizeof put, "INSERT INTO undo(batch, message, kind, before, made_ms) VALUES(1, 2, '%s', '%s', 1)", rows[i][0],
                 rows[i][1]);
        sql(s, put);
        struct err e = {0};
        if (store_undo(s, c, &u, &e) == 0) fail_msg("%s was taken", rows[i][1]);
        assert_true(e.text[0] != '\0');
        sql(s, "DELETE FROM undo");
    }
    assert_string_equal(one(s, "SELECT group_concat(value) || (SELECT count(*) FROM tags) || (SELECT count(*) FROM steps) || (SELECT "
                               "count(*) FROM votes) FROM ratings"),
                        "1000");
    /* a vote whose leaf is gone, and one that points to a reply that is gone: what can be put back is */
    sql(s, "INSERT INTO undo(batch, message, kind, before, made_ms) VALUES(1, 2, 'vote', '[[2, 3, 99, 2, 3, \"a\", 1, null, 0, null, 1]]', "
           "1)");
    assert_works(store_undo(s, c, &u, e));
    sql(s, "INSERT INTO undo(batch, message, kind, before, made_ms) VALUES(1, 2, 'vote', '[[2, 77, 2, 2, 77, \"a\", 1, null, 0, null, "
           "1]]', 1)");
    assert_works(store_undo(s, c, &u, e));
    assert_string_equal(one(s, "SELECT group_concat(a || verdict || b) FROM votes"), "2a3");
    store_close(s);
}

static void test_sample_notes(void **state)
{
    (void)state;
    int64_t c;
    struct sample_list l;
    struct store *s = two_replies(NULL, &c);
    assert_fails(ERR_NOT_FOUND, store_load_samples(s, 2, &l, e));
    assert_works(store_add_samples(s, "vote", (struct sample_note[]){{2, "this", 1}, {3, "that", 1}}, 2, 0, e));
    assert_works(store_load_samples(s, 3, &l, e));
    assert_int_equal(l.n, 2);
    sample_list_release(&l);
    static const char *const damaged[] = {
        "'no json'", "'[]'", "'{\"sample\": -4}'", "'{\"sample\": \"one\", \"answer\": 7}'", "NULL", "CAST(x'ff' AS TEXT)"};
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        char set[128];
        snprintf(set, sizeof set, "UPDATE events SET value = %s WHERE kind = 'vote' AND message = 3", damaged[i]);
        sql(s, set);
        assert_fails(ERR_NOT_FOUND, store_load_samples(s, 3, &l, e));
        assert_null(l.items);
    }
    /* an answer that is none counts as none */
    sql(s, "UPDATE events SET value = '{\"group\":2,\"sample\":2,\"of\":2,\"answer\":null}' WHERE kind = 'vote' AND message = 3");
    assert_works(store_load_samples(s, 3, &l, e));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[1].answer, "");
    sample_list_release(&l);
    sample_list_release(NULL);
    assert_fails(ERR_NOMEM, store_add_samples(s, "vote", (struct sample_note[]){{2, "\xff", 1}}, 1, 0, e));
    assert_fails(ERR_NOT_FOUND, store_add_samples(s, "vote", (struct sample_note[]){{1, "a prompt", 1}}, 1, 0, e));
    store_close(s);
}

static void test_no_votes(void **state)
{
    (void)state;
    int64_t c, rival = 0;
    struct vote v;
    struct store *s = two_replies(NULL, &c);
    const struct vote none[] = {{.a = 2, .b = 2},
                                {.a = 2, .b = 3, .strength = 4},
                                {.a = 2, .b = 3, .strength = -1},
                                {.a = 2, .b = 3, .verdict = (enum verdict)99},
                                {.a = 2, .b = 3, .shown_first = 'c'},
                                {.a = 2, .b = 1},
                                {.a = 99, .b = 2}};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct err e = {0};
        assert_true(store_vote(s, &none[i], NULL, &e) != 0 && e.text[0]);
    }
    assert_string_equal(one(s, "SELECT count(*) FROM votes"), "0");
    assert_fails(ERR_NOT_FOUND, store_load_vote(s, 2, 3, &v, e));
    /* between replies to other words nothing is compared, however alike what stands above is */
    int64_t p = prompt(s, c, 2, "and then?"), q = prompt(s, c, 3, "and then?"), r = reply(s, c, p, "", "x"), o = reply(s, c, q, "", "y");
    assert_fails(ERR_INVALID, store_vote(s, &(struct vote){.a = r, .b = o, .verdict = VERDICT_A}, NULL, e));
    assert_fails(ERR_NOT_FOUND, store_rival(s, r, &rival, e));
    assert_works(store_vote(s, &(struct vote){.a = 2, .b = 3, .verdict = VERDICT_TIE, .spent_ms = -1}, NULL, e));
    sql(s, "PRAGMA ignore_check_constraints = ON; UPDATE votes SET verdict = 'strange', shown_first = NULL");
    assert_works(store_load_vote(s, 3, 2, &v, e));
    assert_int_equal(v.shown_first, 0);
    store_close(s);
}

static void test_unrated(void **state)
{
    (void)state;
    int64_t c, place = 7;
    struct id_list l;
    struct store *s = two_replies(NULL, &c);
    assert_works(store_unrated(s, &(struct search_filter){0}, "which", &l, e)); /* in the prompt */
    assert_int_equal(l.n, 2);
    id_list_release(&l);
    assert_works(store_unrated(s, &(struct search_filter){.model = "tiny", .ending = "natural"}, "that", &l, e));
    assert_int_equal(l.n, 1);
    assert_int_equal(l.ids[0], 3);
    id_list_release(&l);
    assert_works(store_unrated(s, &(struct search_filter){0}, "elsewhere", &l, e));
    assert_int_equal(l.n, 0);
    id_list_release(&l);
    assert_works(store_unrated(s, &(struct search_filter){.until_ms = 5}, NULL, &l, e));
    assert_int_equal(l.n, 0);
    id_list_release(NULL);
    assert_works(store_review_place(s, &place, e));
    assert_int_equal(place, 0);
    sql(s, "DROP TABLE message_index");
    assert_true(store_unrated(s, &(struct search_filter){0}, "which", &l, NULL) != 0);
    assert_null(l.ids);
    store_close(s);
}

/* ---- logs of llm ------------------------------------------------------------------------------------------------------- */

static void make_logs(const char *path, const char *rows)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, rows, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
    sqlite3_close(db);
}

#define TABLES                                                                                                                             \
    "CREATE TABLE conversations(id TEXT PRIMARY KEY, name TEXT, model TEXT);"                                                              \
    "CREATE TABLE responses(id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, reasoning TEXT, conversation_id TEXT, "          \
    "datetime_utc TEXT);"

static void test_odd_logs(void **state)
{
    const char *path = path_in(*state, "logs.db");
    struct import_report r = {0};
    struct store *s = open_store(NULL);
    make_logs(path, TABLES "INSERT INTO responses VALUES('r1', 'm', 'a question', '', 'an answer', 'a thought', 'c', NULL), ('r2', NULL, "
                           "'more', 'first system', 'of it', NULL, 'c', 'no time'),"
                           " ('r3', 'm', 'and more', 'second system', 'of that', '', 'c', '2024-05-01T00:00:00'), (NULL, 'm', 'without a "
                           "name', NULL, 'told', NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
                           " (17, x'ff', x'00ff', 5, 6, 7, 8, 9)");
    assert_works(store_import(s, path, false, &r, e));
    assert_string_equal(r.format, "llm");
    assert_string_equal(
        one(s, "SELECT group_concat(prompt || '|' || thought || '|' || answer, ' / ') FROM turns WHERE conversation_id = (SELECT id FROM "
               "conversations WHERE system <> '' LIMIT 1)"),
        "a question|a thought|an answer / and more||of that / more||of it"); /* in the order of their times; none comes first */
    assert_string_equal(one(s, "SELECT system FROM conversations WHERE system <> '' LIMIT 1"), "second system");
    assert_string_equal(one(s, "SELECT count(*) FROM turns WHERE prompt = 'without a name' AND answer = 'told'"), "1");
    check_index(s);
    import_report_release(&r);
    make_logs(path, TABLES);
    assert_works(store_import(s, path, false, &r, e));
    assert_int_equal(r.conversations, 0);
    import_report_release(&r);
    make_logs(path, "CREATE TABLE other(x)");
    assert_fails(ERR_INVALID, store_import(s, path, false, &r, e));
    import_report_release(&r);
    store_close(s);
}

/* Bytes of a file that are not what they were. */
static void damage(const char *path, size_t page, size_t pages)
{
    char noise[4096];
    memset(noise, 0x5a, sizeof noise);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = page; i < page + pages; i++) assert_int_equal(pwrite(fd, noise, sizeof noise, (off_t)(i * sizeof noise)), sizeof noise);
    close(fd);
}

static void test_damaged_logs(void **state)
{
    const char *path = path_in(*state, "logs.db");
    struct import_report r = {0};
    struct store *s = open_store(NULL);
    make_logs(
        path,
        "PRAGMA page_size = 4096;" TABLES "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " INSERT INTO responses SELECT 'r' || i, 'm', printf('%.500c', 'q'), NULL, printf('%.500c', 'a'), NULL, 'c' || i, NULL FROM n");
    damage(path, 60, 8);
    assert_fails(ERR_INVALID, store_import(s, path, false, &r, e));
    import_report_release(&r);
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "0");
    store_close(s);
}

/* ---- records --------------------------------------------------------------------------------------------------------- */

static char *aside;

static int salvage(const char *path, struct str *text, struct err *e)
{
    struct salvage_report r;
    int rc = store_salvage(path, &r, e);
    str_add_bytes(text, str_cstr(&r.text), r.text.len);
    free(aside);
    aside = r.aside ? strdup(r.aside) : NULL;
    salvage_report_release(&r);
    return rc;
}

/* Number in the file of the page that a table begins on, from 0. */
static size_t root_of(struct store *s, const char *table)
{
    char q[128];
    snprintf(q, sizeof q, "SELECT rootpage - 1 FROM sqlite_schema WHERE name = '%s'", table);
    return (size_t)atol(one(s, q));
}

static void test_damaged_pages(void **state)
{
    const char *path = path_in(*state, "r.db");
    struct str text = STR_EMPTY;
    int64_t c;
    struct store *s = two_replies(path, &c);
    int64_t p = 2;
    char words[3000];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    for (int i = 0; i < 120; i++) p = reply(s, c, prompt(s, c, p, words), "", words);
    assert_works(store_tag(s, p, "last", true, e));
    assert_string_equal(one(s, "PRAGMA page_size"), "4096");
    sql(s, "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t tags = root_of(s, "tags"), names = root_of(s, "tags_by_name"),
           lowest = (size_t)atol(one(s, "SELECT min(pageno) FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf'"));
    size_t leaves = (size_t)atol(one(s, "SELECT count(*) FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf'"));
    char middle[256];
    snprintf(middle, sizeof middle,
             "SELECT pageno - 1 FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET %zu", leaves / 2);
    size_t page = (size_t)atol(one(s, middle));
    assert_true(lowest > 0 && leaves > 20 && page > 0);
    store_close(s);
    damage(path, page, 1);
    damage(path, tags, 1);
    damage(path, names, 1); /* which has all that the table has */
    assert_works(salvage(path, &text, e));
    assert_non_null(strstr(str_cstr(&text), "rows, some of it cannot be read"));
    assert_non_null(strstr(str_cstr(&text), "tags: 0 rows, some of it cannot be read"));
    s = open_store(path);
    long kept = atol(one(s, "SELECT count(*) FROM messages WHERE text <> '(lost: the record was damaged here)'"));
    if (kept < 230 || kept >= 243) fail_msg("%ld of 243 messages", kept);
    assert_string_equal(one(s, "SELECT count(*) FROM pragma_foreign_key_check"), "0");
    assert_string_equal(one(s, "SELECT text FROM messages WHERE id = 3"), "that");
    check_index(s);
    store_close(s);
    str_release(&text);
    free(aside);
    aside = NULL;
}

/* Where tables or columns are missing the others are saved; a file that is no database at all is set aside whole. */
static void test_missing_parts(void **state)
{
    const char *path = path_in(*state, "r.db");
    struct str text = STR_EMPTY;
    int64_t c;
    struct store *s = two_replies(path, &c);
    sql(s,
        "PRAGMA foreign_keys = OFF; DROP TABLE tags; DROP VIEW IF EXISTS turns; ALTER TABLE conversations RENAME COLUMN title TO headline;"
        "ALTER TABLE ratings RENAME TO elsewhere; DELETE FROM replies WHERE message = 2");
    store_close(s);
    assert_works(salvage(path, &text, e));
    assert_non_null(strstr(str_cstr(&text), "tags: 0 rows, the table cannot be read"));
    s = open_store(path);
    assert_string_equal(one(s, "SELECT group_concat(text, '/') FROM messages"), "which?/this/that");
    assert_string_equal(one(s, "SELECT group_concat(ended) FROM replies ORDER BY message"), "error,natural");
    check_index(s);
    store_close(s);
    struct str old = bytes_of(aside);
    assert_true(old.len > 4096);
    str_release(&old);
    assert_int_equal(truncate(path, 0), 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "this is no database, but quite long enough to be one of the small ones that there are", 85), 85);
    close(fd);
    str_clear(&text);
    struct err e = {0};
    usleep(1100000); /* the name tells the second */
    int rc = salvage(path, &text, &e);
    assert_true(rc == 0 || e.text[0]);
    old = bytes_of(aside);
    assert_int_equal(old.len, 85);
    str_release(&old);
    str_release(&text);
    free(aside);
    aside = NULL;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_undo_notes), T(test_sample_notes), T(test_no_votes),      T(test_unrated),
                                       T(test_odd_logs),   T(test_damaged_logs), T(test_damaged_pages), T(test_missing_parts)};
    return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
