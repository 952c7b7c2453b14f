/* What stands in a record may be of other hands: notes that cannot be read are told, not believed; what is no vote is refused. */
#include "unit/store_help.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_undo_notes), cmocka_unit_test(test_sample_notes), cmocka_unit_test(test_no_votes),
                                       cmocka_unit_test(test_unrated)};
    return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
