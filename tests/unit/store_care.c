/* Backup, check, redact, stats and narrowed searches. */
#include "unit/store_help.h"

static struct store *filled(void *state)
{
    struct store *s = open_store(path_in(state, "p.db"));
    int64_t c = conversation(s, "system secret1"), p = prompt(s, c, 0, "my secret1 and Secret22"), r = begin(s, c, p);
    assert_works(store_add_span(s, r, 1, 0, 4, "lead", "program", e));
    assert_works(store_add_span(s, r, 9, 13, 4, "wait", "program", e));
    end(s, r, "LEAD secret1 WAIT end", "answer secret1", "natural", "complete");
    reply(s, c, p, "plain", "other");
    assert_works(store_rate(s, r, PART_ANSWER, 1, NULL, "about secret1", e));
    assert_works(store_edit(s, r, PART_ANSWER, "fixed secret1", 13, e));
    assert_works(store_save_draft(s, c, "draft secret1", 13, e));
    return s;
}

static void test_redact(void **state)
{
    struct store *s = filled(*state);
    int64_t n = 0;
    assert_works(store_redact(s, "secret[0-9]+", "XX", false, true, &n, e));
    assert_int_equal(n, 8);
    assert_string_equal(one(s, "SELECT thought FROM messages WHERE id = 2"), "LEAD secret1 WAIT end");
    assert_works(store_redact(s, "secret[0-9]+", "XX", true, false, &n, e));
    assert_string_equal(one(s, "SELECT group_concat(text || thought || coalesce(edited_text, '')) FROM messages"),
                        "my XX and XX,answer XXLEAD XX WAIT endfixed XX,otherplain");
    assert_string_equal(one(s, "SELECT title || system FROM conversations"), "my XX and XXsystem XX");
    assert_string_equal(one(s, "SELECT comment FROM ratings"), "about XX");
    assert_string_equal(
        one(s, "SELECT group_concat(substr(m.thought, byte_offset + 1, byte_length)) FROM spans s JOIN messages m ON m.id = s.message"),
        "LEAD,WAIT");
    assert_string_equal(one(s, "SELECT count(*) FROM undo"), "0");
    check_index(s);
    struct search_hits h;
    assert_works(store_search(s, "secret1", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 0);
    search_hits_release(&h);
    assert_works(store_redact(s, "nothing of this", "", false, false, &n, e));
    assert_int_equal(n, 0);
    assert_works(store_redact(s, "x*", "", false, false, &n, e)); /* an empty match is none */
    assert_fails(ERR_INVALID, store_redact(s, "(", "", false, false, &n, e));
    assert_fails(ERR_INVALID, store_redact(s, "", "", false, false, &n, e));
    int64_t running = begin(s, 1, 1);
    assert_fails(ERR_BUSY, store_redact(s, "a", "", false, false, &n, e));
    end(s, running, "", "x", "none", "complete");
    store_close(s);
    assert_false(holds(path_in(*state, "p.db"), "secret1"));
    assert_false(holds(path_in(*state, "p.db"), "Secret22"));
    assert_false(holds(path_in(*state, "p.db-wal"), "secret1"));
}

static void test_backup(void **state)
{
    struct store *s = filled(*state), *writer = open_store(path_in(*state, "p.db"));
    int64_t running = begin(writer, 1, 1);
    assert_works(store_append_reply(writer, running, "half", 4, "", 0, e));
    assert_works(store_backup(s, path_in(*state, "copy.db"), e));
    assert_int_equal(mode_of(path_in(*state, "copy.db")), 0600);
    assert_false(exists(path_in(*state, "copy.db-wal")));
    assert_fails(ERR_INVALID, store_backup(s, path_in(*state, "copy.db"), e));
    assert_fails(ERR_NOT_FOUND, store_backup(s, path_in(*state, "no/such/copy.db"), e));
    end(writer, running, "", "done", "natural", "complete");
    store_close(writer);
    store_close(s);
    s = open_store(path_in(*state, "copy.db"));
    assert_string_equal(one(s, "SELECT group_concat(answer || ended) FROM turns"), "answer secret1natural,othernatural,interrupted");
    check_index(s);
    store_close(s);
}

static void test_check(void **state)
{
    static const struct {
        const char *sql, *found;
    } harms[] = {
        {"UPDATE messages SET active = 1", "branch shown"},
        {"DELETE FROM replies WHERE message = 3", "reply without its provenance"},
        {"UPDATE spans SET byte_length = 999", "span outside"},
        {"UPDATE messages SET text = 'changed behind the index' WHERE id = 1", "full-text index"},
        {"PRAGMA foreign_keys = OFF; INSERT INTO tags VALUES(99, 'x')", "points nowhere"},
        {"UPDATE messages SET role = 'assistant' WHERE id = 1", "answers no prompt"},
    };
    struct str findings = STR_EMPTY;
    struct store *s = filled(*state);
    assert_works(store_check(s, &findings, e));
    assert_string_equal(str_cstr(&findings), "");
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        if (i == 4) continue; /* foreign keys are not switched off inside a transaction */
        sql(s, "SAVEPOINT harm");
        sql(s, harms[i].sql);
        str_clear(&findings);
        assert_works(store_check(s, &findings, e));
        assert_non_null(strstr(str_cstr(&findings), harms[i].found));
        sql(s, "ROLLBACK TO harm; RELEASE harm");
    }
    sql(s, harms[4].sql);
    str_clear(&findings);
    assert_works(store_check(s, &findings, e));
    assert_non_null(strstr(str_cstr(&findings), harms[4].found));
    str_release(&findings);
    store_close(s);
}

static void test_stats(void **state)
{
    struct store *s = filled(*state);
    struct stats_table t;
    struct stats_totals all;
    assert_works(store_stats(s, STATS_ALL, &t, e));
    assert_int_equal(t.n, 1);
    assert_int_equal(t.items[0].replies, 2);
    assert_int_equal(t.items[0].answer_up, 1);
    assert_int_equal((int)t.items[0].thought_tokens, 12);
    stats_table_release(&t);
    sql(s, "UPDATE replies SET thought_tokens = 300 WHERE message = 3");
    assert_works(store_stats(s, STATS_LENGTH, &t, e));
    assert_int_equal(t.n, 2);
    assert_string_equal(t.items[0].name, "1-63");
    assert_string_equal(t.items[1].name, "256-511");
    stats_table_release(&t);
    for (int by = STATS_ALL; by <= STATS_MONTH; by++) {
        assert_works(store_stats(s, (enum stats_by)by, &t, e));
        stats_table_release(&t);
    }
    assert_works(store_totals(s, &all, e));
    assert_int_equal(all.replies, 2);
    assert_int_equal(all.edits, 1);
    store_close(s);
}

static int found(struct store *s, const char *words, struct search_filter f)
{
    struct search_hits h;
    assert_works(store_search_filtered(s, words, SEARCH_ALL, &f, 0, &h, e));
    int n = (int)h.n;
    search_hits_release(&h);
    return n;
}

static void test_narrowed_search(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "apple \xf0\x9f\x8d\x8e"),
            a = reply(s, c, p, "apple thought", "apple \xf0\x9f\x8d\x8e");
    end(s, begin(s, c, p), "", "apple", "none", "length");
    assert_int_equal(found(s, "apple", (struct search_filter){0}), 4);
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_works(store_tag(s, a, "fruit", true, e));
    assert_int_equal(found(s, "apple", (struct search_filter){.rated = true, .rating = 1}), 2);
    assert_int_equal(found(s, "apple", (struct search_filter){.rated = true}), 1);
    assert_int_equal(found(s, "apple", (struct search_filter){.tag = "fruit"}), 2);
    assert_int_equal(found(s, "apple", (struct search_filter){.model = "tiny"}), 3);
    assert_int_equal(found(s, "apple", (struct search_filter){.ending = "length"}), 1);
    assert_int_equal(found(s, "apple", (struct search_filter){.ending = "natural"}), 2);
    assert_int_equal(found(s, "\xf0\x9f\x8d\x8e", (struct search_filter){.tag = "fruit"}), 1);
    sql(s, "UPDATE messages SET created_ms = id * 1000");
    assert_int_equal(found(s, "apple", (struct search_filter){.since_ms = 3000}), 1);
    assert_int_equal(found(s, "apple", (struct search_filter){.until_ms = 2000}), 1);
    store_close(s);
    (void)state;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_redact), T(test_backup), T(test_check), T(test_stats), T(test_narrowed_search)};
    return cmocka_run_group_tests_name("store_care", tests, NULL, NULL);
}
