/* Trees of messages, siblings, tags of a whole conversation, speeds of models. */
#include "unit/store_help.h"

static void test_tree_has_every_branch(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "first prompt"), a = reply(s, c, p, "thought a", "answer a"),
            b = reply(s, c, p, "only a thought", ""), q = prompt(s, c, a, "second"), other = conversation(s, "");
    prompt(s, other, 0, "elsewhere");
    struct message_tree t;
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_works(store_load_tree(s, c, &t, e));
    assert_int_equal(t.n, 4);
    assert_true(t.items[0].id == p && t.items[0].parent == 0 && t.items[0].role == MESSAGE_USER);
    assert_string_equal(t.items[0].start, "first prompt");
    assert_true(t.items[1].id == a && t.items[1].parent == p && t.items[1].role == MESSAGE_REPLY);
    assert_string_equal(t.items[1].start, "answer a");
    assert_string_equal(t.items[1].ended, "natural");
    assert_int_equal(t.items[1].answer_rating, 1);
    assert_true(t.items[1].active); /* the prompt below it made it so */
    assert_true(t.items[2].id == b);
    assert_string_equal(t.items[2].start, "only a thought");
    assert_false(t.items[2].active);
    assert_true(t.items[3].id == q && t.items[3].active);
    message_tree_release(&t);
    assert_fails(ERR_NOT_FOUND, store_load_tree(s, 4711, &t, e));
    store_close(s);
    (void)state;
}

static void test_starts_are_short_and_whole(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    struct str text = STR_EMPTY;
    for (int i = 0; i < 5000; i++) str_add(&text, "\xc3\xa4");
    prompt(s, c, 0, str_cstr(&text));
    int64_t r = begin(s, c, prompt(s, c, 0, "still writing"));
    assert_works(store_append_reply(s, r, NULL, 0, "a piece", 7, e));
    struct message_tree t;
    assert_works(store_load_tree(s, c, &t, e));
    assert_int_equal(strlen(t.items[0].start), 400);
    assert_true(utf8_is_valid(t.items[0].start, 400));
    assert_string_equal(t.items[2].start, "a piece");
    message_tree_release(&t);
    str_release(&text);
    store_close(s);
    (void)state;
}

static void test_siblings(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "p"), a = reply(s, c, p, "", "a"), b = reply(s, c, p, "", "b"),
            p2 = prompt(s, c, 0, "another beginning"), other = conversation(s, "");
    prompt(s, other, 0, "elsewhere");
    struct message_tree t;
    assert_works(store_load_siblings(s, b, &t, e));
    assert_int_equal(t.n, 2);
    assert_true(t.items[0].id == a && t.items[1].id == b);
    message_tree_release(&t);
    assert_works(store_load_siblings(s, p, &t, e)); /* roots of this conversation only */
    assert_int_equal(t.n, 2);
    assert_true(t.items[1].id == p2);
    message_tree_release(&t);
    assert_fails(ERR_NOT_FOUND, store_load_siblings(s, 4711, &t, e));
    store_close(s);
    (void)state;
}

static void test_tags_of_a_conversation(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "p"), a = reply(s, c, p, "", "a"), b = reply(s, c, p, "", "b"),
            empty = conversation(s, "");
    struct conversation_list l;
    struct undone u;
    assert_works(store_tag(s, a, "maths", true, e));
    assert_works(store_tag_conversation(s, c, "good, really", true, e));
    assert_works(store_tag_conversation(s, c, "maths", true, e));
    assert_works(store_load_conversation(s, c, &l, e));
    assert_string_equal(l.items[0].tags, "good, really, maths");
    conversation_list_release(&l);
    assert_works(store_undo(s, c, &u, e)); /* the whole conversation at once */
    assert_string_equal(one(s, "SELECT group_concat(message || tag, ' ') FROM tags WHERE tag = 'maths'"),
                        one(s, "SELECT min(id) || 'maths' FROM messages WHERE role = 'assistant'"));
    assert_works(store_tag_conversation(s, c, "good, really", false, e));
    assert_string_equal(one(s, "SELECT count(*) FROM tags"), "1");
    assert_fails(ERR_NOT_FOUND, store_tag_conversation(s, empty, "x", true, e));
    assert_fails(ERR_INVALID, store_tag_conversation(s, c, "", true, e));
    (void)b;
    store_close(s);
    (void)state;
}

static void test_speeds(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "p");
    struct model_speeds m;
    assert_works(store_model_speeds(s, &m, e));
    assert_int_equal(m.n, 0);
    model_speeds_release(&m);
    for (int i = 0; i < 3; i++) reply(s, c, p, "t", "a");
    sql(s, "UPDATE replies SET tokens_per_s = 10 WHERE message = (SELECT max(message) FROM replies)");
    sql(s,
        "UPDATE replies SET thought_tokens = 1, answer_tokens = 1, tokens_per_s = 900 WHERE message = (SELECT min(message) FROM replies)");
    assert_works(store_model_speeds(s, &m, e));
    assert_int_equal(m.n, 1);
    assert_string_equal(m.items[0].file, "/m/tiny.gguf");
    assert_int_equal(m.items[0].replies, 2); /* two tokens measure nothing */
    assert_true(m.items[0].tokens_per_s > 9.2 && m.items[0].tokens_per_s < 9.3);
    model_speeds_release(&m);
    store_close(s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_has_every_branch),
        cmocka_unit_test(test_starts_are_short_and_whole),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_tags_of_a_conversation),
        cmocka_unit_test(test_speeds),
    };
    return cmocka_run_group_tests_name("store_tree", tests, NULL, NULL);
}
