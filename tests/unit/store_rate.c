/* Ratings, tags and corrected texts. */
#include "unit/store_help.h"

static void test_rate(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = reply(s, c, p, "t", "a");
    struct reply_ratings g;
    assert_works(store_load_ratings(s, r, &g, e));
    assert_int_equal(g.answer.value, 0);
    assert_string_equal(g.answer.reasons, "[]");
    assert_string_equal(g.answer.comment, "");
    assert_null(g.answer.edited);
    assert_string_equal(g.tags, "[]");
    reply_ratings_release(&g);

    assert_works(store_rate(s, r, PART_ANSWER, 1, "[\"accurate\"]", "nice", e));
    assert_works(store_rate(s, r, PART_THOUGHT, -1, " [ \"loops\" , \"long\" ] ", NULL, e));
    assert_works(store_load_ratings(s, r, &g, e));
    assert_int_equal(g.answer.value, 1);
    assert_int_equal(g.thought.value, -1);
    assert_string_equal(g.answer.reasons, "[\"accurate\"]");
    assert_string_equal(g.answer.comment, "nice");
    assert_string_equal(g.thought.reasons, "[\"loops\",\"long\"]");
    assert_string_equal(g.thought.comment, "");
    reply_ratings_release(&g);

    /* what is not given stays */
    assert_works(store_rate(s, r, PART_ANSWER, 1, NULL, "nicer", e));
    assert_works(store_rate(s, r, PART_ANSWER, 1, "[]", NULL, e));
    assert_works(store_rate(s, r, PART_THOUGHT, 1, NULL, NULL, e));
    assert_works(store_load_ratings(s, r, &g, e));
    assert_string_equal(g.answer.reasons, "[]");
    assert_string_equal(g.answer.comment, "nicer");
    assert_int_equal(g.thought.value, 1);
    assert_string_equal(g.thought.reasons, "[\"loops\",\"long\"]");
    reply_ratings_release(&g);

    /* taken back: the reasons go, the comment stays until it is dropped */
    assert_works(store_rate(s, r, PART_THOUGHT, 0, NULL, NULL, e));
    assert_works(store_rate(s, r, PART_ANSWER, 0, NULL, NULL, e));
    assert_string_equal(one(s, "SELECT thought_rating || answer_rating || thought_reasons || answer_comment FROM turns"), "00[]nicer");
    assert_works(store_rate(s, r, PART_ANSWER, 0, NULL, "", e));
    assert_string_equal(one(s, "SELECT answer_comment FROM turns"), "NULL");

    struct message_list l;
    assert_works(store_rate(s, r, PART_ANSWER, -1, NULL, NULL, e));
    assert_works(store_load_message(s, r, &l, e));
    assert_int_equal(l.items[0].answer_rating, -1);
    assert_int_equal(l.items[0].thought_rating, 0);
    message_list_release(&l);
    store_close(s);
    (void)state;
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",     "{}",     "[1]",       "[\"a\"", "[\"a\"] x", "\"a\"",
                                      "null", "[null]", "[[\"a\"]]", "['a']",  "[\"\xff\"]"};
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = reply(s, c, p, "t", "a");
    assert_fails(ERR_INVALID, store_rate(s, r, PART_ANSWER, 2, NULL, NULL, e));
    assert_fails(ERR_INVALID, store_rate(s, r, PART_ANSWER, -2, NULL, NULL, e));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_fails(ERR_INVALID, store_rate(s, r, PART_ANSWER, 1, bad[i], NULL, e));
    assert_fails(ERR_INVALID, store_rate(s, p, PART_ANSWER, 1, NULL, NULL, e));
    assert_fails(ERR_NOT_FOUND, store_rate(s, 99, PART_ANSWER, 1, NULL, NULL, e));
    assert_fails(ERR_NOT_FOUND, store_edit(s, 99, PART_ANSWER, "x", 1, e));
    assert_fails(ERR_INVALID, store_edit(s, p, PART_ANSWER, "x", 1, e));
    assert_fails(ERR_NOT_FOUND, store_tag(s, 99, "x", true, e));
    assert_fails(ERR_INVALID, store_tag(s, r, "", true, e));
    assert_fails(ERR_INVALID, store_tag(s, r, "two\nlines", true, e));
    assert_fails(ERR_INVALID, store_tag(s, r, "\x1b[31m", true, e));
    char long_tag[300];
    memset(long_tag, 'x', sizeof long_tag - 1);
    long_tag[sizeof long_tag - 1] = '\0';
    assert_fails(ERR_INVALID, store_tag(s, r, long_tag, true, e));
    struct reply_ratings g;
    assert_fails(ERR_NOT_FOUND, store_load_ratings(s, p, &g, e));
    assert_string_equal(one(s, "SELECT (SELECT count(*) FROM ratings) + (SELECT count(*) FROM tags)"), "0");
    store_close(s);
    (void)state;
}

static void test_tags_and_edits(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), r = reply(s, c, prompt(s, c, 0, "q"), "t", "a");
    assert_works(store_tag(s, r, "zeta", true, e));
    assert_works(store_tag(s, r, "alpha", true, e));
    assert_works(store_tag(s, r, "alpha", true, e));
    assert_works(store_tag(s, r, "\xff", true, e));
    assert_string_equal(one(s, "SELECT tags FROM turns"), "[\"alpha\",\"zeta\",\"\xef\xbf\xbd\"]");
    assert_works(store_tag(s, r, "zeta", false, e));
    assert_works(store_tag(s, r, "never there", false, e));
    assert_string_equal(one(s, "SELECT tags FROM turns"), "[\"alpha\",\"\xef\xbf\xbd\"]");
    struct reply_ratings g;
    assert_works(store_edit(s, r, PART_ANSWER, "be\0tter", 7, e));
    assert_works(store_edit(s, r, PART_THOUGHT, "", 0, e));
    assert_works(store_load_ratings(s, r, &g, e));
    assert_int_equal(g.answer.edited_len, 7);
    assert_memory_equal(g.answer.edited, "be\0tter", 8);
    assert_string_equal(g.thought.edited, "");
    reply_ratings_release(&g);
    assert_works(store_edit(s, r, PART_ANSWER, NULL, 0, e));
    assert_works(store_load_ratings(s, r, &g, e));
    assert_null(g.answer.edited);
    reply_ratings_release(&g);
    assert_string_equal(one(s, "SELECT thought || answer FROM turns"), "ta");
    store_close(s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rate), cmocka_unit_test(test_refused), cmocka_unit_test(test_tags_and_edits)};
    return cmocka_run_group_tests_name("store_rate", tests, NULL, NULL);
}
