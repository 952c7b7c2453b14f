/* Votes, steps, taking back, reasons, and the step from version 1 of the file. */
#include "unit/store_help.h"

static int64_t leaf(struct store *s, int64_t c)
{
    char text[100];
    snprintf(text, sizeof text, "SELECT leaf FROM conversations WHERE id = %lld", (long long)c);
    return atoll(one(s, text));
}

static struct vote vote_of(int64_t a, int64_t b, enum verdict v, int strength)
{
    return (struct vote){.a = a, .b = b, .verdict = v, .strength = strength, .shown_first = 'b', .blind = true, .spent_ms = 1234};
}

static void test_vote(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "ta", "A"), b = reply(s, c, p, "tb", "B"), id, id2;
    struct vote v = vote_of(a, b, VERDICT_A, 2), got;
    assert_int_equal(leaf(s, c), b);
    assert_works(store_vote(s, &v, &id, e));
    assert_int_equal(leaf(s, c), a);
    assert_string_equal(one(s, "SELECT source || verdict || strength || shown_first || blind || spent_ms || chosen || rejected || prompt"
                               " || thought_a || answer_a || thought_b || answer_b || system FROM pairs"),
                        "votea2b1123423qtaAtbBBe brief.");
    assert_works(store_load_vote(s, b, a, &got, e));
    assert_true(got.a == a && got.b == b && got.verdict == VERDICT_A && got.strength == 2 && got.shown_first == 'b' && got.blind);
    assert_int_equal(got.spent_ms, 1234);
    /* one vote a pair, whichever way round: the last */
    v = vote_of(b, a, VERDICT_A, 3);
    assert_works(store_vote(s, &v, &id2, e));
    assert_int_equal(id, id2);
    assert_int_equal(leaf(s, c), b);
    assert_string_equal(one(s, "SELECT count(*) || max(chosen) FROM pairs"), "13");
    /* without a winner the earlier one is shown, but only to who looks at one of the two */
    v = vote_of(a, b, VERDICT_TIE, 2);
    assert_works(store_vote(s, &v, NULL, e));
    assert_int_equal(leaf(s, c), a);
    assert_string_equal(one(s, "SELECT chosen FROM pairs"), "NULL");
    assert_string_equal(one(s, "SELECT strength FROM pairs"), "NULL");
    int64_t third = reply(s, c, p, "", "C");
    v = vote_of(b, a, VERDICT_BOTH_BAD, 0);
    assert_works(store_vote(s, &v, NULL, e));
    assert_int_equal(leaf(s, c), third);
    /* a winner that is shown already keeps what is below it */
    int64_t below = prompt(s, c, a, "more");
    v = vote_of(a, b, VERDICT_A, 0);
    assert_works(store_vote(s, &v, NULL, e));
    assert_int_equal(leaf(s, c), below);
    store_close(s);
    (void)state;
}

static void test_vote_refused(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "", "A"), p2 = prompt(s, c, a, "r"),
            b = reply(s, c, p2, "", "B");
    int64_t d = conversation(s, ""), same = reply(s, d, prompt(s, d, 0, "q"), "", "other"), running = begin(s, c, p);
    struct vote v = vote_of(a, b, VERDICT_A, 1);
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    v.b = a;
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    v.b = p;
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    v.b = running;
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    v.b = 99;
    assert_fails(ERR_NOT_FOUND, store_vote(s, &v, NULL, e));
    v = vote_of(a, same, VERDICT_A, 4);
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    assert_string_equal(one(s, "SELECT (SELECT count(*) FROM votes) + (SELECT count(*) FROM undo)"), "0");
    /* the same messages in two conversations are the same question; no branch moves then */
    v.strength = 1;
    int64_t before = leaf(s, c);
    assert_works(store_vote(s, &v, NULL, e));
    assert_int_equal(leaf(s, c), before);
    sql(s, "UPDATE replies SET system = 'else' WHERE message = (SELECT max(message) FROM replies) - 1");
    v.verdict = VERDICT_B;
    assert_fails(ERR_INVALID, store_vote(s, &v, NULL, e));
    assert_fails(ERR_NOT_FOUND, store_load_vote(s, a, b, &v, e));
    store_close(s);
    (void)state;
}

static void check_cut(const char *text, const char *joined, bool sentences)
{
    struct thought_steps l;
    struct str out = STR_EMPTY;
    assert_works(thought_steps_cut(&l, text, strlen(text), e));
    for (size_t i = 0; i < l.n; i++) {
        if (i) str_add(&out, "|");
        str_add_bytes(&out, text + l.items[i].offset, l.items[i].length);
    }
    assert_string_equal(str_cstr(&out), joined);
    assert_int_equal(l.sentences, sentences);
    str_release(&out);
    thought_steps_release(&l);
}

static void test_cut(void **state)
{
    check_cut("", "", false);
    check_cut(" \n\n \t\n", "", false);
    check_cut("one\nstill one\n\n  two  \n \t \n\nthree\n", "one\nstill one|two|three", false);
    check_cut("\n\nA first one. It is 3.5, not 4! Right? yes", "A first one.|It is 3.5, not 4!|Right?|yes", true);
    check_cut("1. Add them.\n2. Done.", "1. Add them.|2. Done.", true);
    check_cut("42.", "42.", true);
    check_cut("\xe4\xba\x94\xe3\x80\x82\xe5\x85\xad\xef\xbc\x9f\xe4\xb8\x83",
              "\xe4\xba\x94\xe3\x80\x82|\xe5\x85\xad\xef\xbc\x9f|\xe4\xb8\x83", true);
    (void)state;
}

static void test_steps(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = reply(s, c, p, "One.\n\nTwo.\n\nThree.\n\nFour.", "A"),
            none = reply(s, c, p, "", "B");
    struct thought_steps l;
    assert_works(store_rate_step(s, r, 1, 1, e));
    assert_works(store_rate_step(s, r, 2, 0, e));
    assert_works(store_rate_step(s, r, 4, 1, e));
    assert_works(store_load_steps(s, r, &l, e));
    assert_int_equal(l.n, 4);
    assert_true(l.items[1].rated && l.items[1].value == 0 && !l.items[2].rated && l.items[3].value == 1);
    thought_steps_release(&l);
    /* the first error ends the marks */
    assert_works(store_rate_step(s, r, 3, -1, e));
    assert_string_equal(one(s, "SELECT group_concat(step || rating || text, ' ') FROM step_ratings"), "1goodOne. 2neutralTwo. 3badThree.");
    assert_fails(ERR_INVALID, store_rate_step(s, r, 4, 1, e));
    assert_works(store_rate_step(s, r, 2, -1, e));
    assert_string_equal(one(s, "SELECT group_concat(step || rating) FROM step_ratings"), "1good,2bad");
    assert_works(store_rate_step(s, r, 2, STEP_NOT_RATED, e));
    assert_works(store_rate_step(s, r, 4, 1, e));
    assert_string_equal(one(s, "SELECT group_concat(step || rating) FROM step_ratings"), "1good,4good");
    assert_fails(ERR_INVALID, store_rate_step(s, r, 5, 1, e));
    assert_fails(ERR_INVALID, store_rate_step(s, r, 0, 1, e));
    assert_fails(ERR_INVALID, store_rate_step(s, r, 1, 3, e));
    assert_fails(ERR_INVALID, store_rate_step(s, none, 1, 1, e));
    assert_fails(ERR_INVALID, store_rate_step(s, p, 1, 1, e));
    assert_fails(ERR_NOT_FOUND, store_rate_step(s, 99, 1, 1, e));
    store_close(s);
    (void)state;
}

/* Everything that can be rated, as one line. */
static const char *all_of(struct store *s)
{
    return one(s, "SELECT (SELECT group_concat(message || part || value || reasons || coalesce(comment, '-')) FROM ratings) || ' ' ||"
                  " coalesce((SELECT group_concat(message || tag) FROM tags), '') || ' ' ||"
                  " coalesce((SELECT group_concat(coalesce(edited_text, '-') || coalesce(edited_thought, '-')) FROM messages WHERE role = "
                  "'assistant'), '')"
                  " || ' ' || coalesce((SELECT group_concat(step || value) FROM steps), '') || ' ' ||"
                  " coalesce((SELECT group_concat(a || b || verdict || coalesce(strength, '-')) FROM votes), '') || ' ' || (SELECT leaf "
                  "FROM conversations)");
}

static void test_undo(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "One.\n\nTwo.", "A"), b = reply(s, c, p, "t", "B");
    struct vote v = vote_of(a, b, VERDICT_A, 2);
    struct undone u;
    char *states[16];
    int n = 0;
#define CHANGE(call)                                                                                                                       \
    do {                                                                                                                                   \
        states[n++] = strdup(all_of(s));                                                                                                   \
        assert_works(call);                                                                                                                \
        assert_string_not_equal(states[n - 1], all_of(s));                                                                                 \
    } while (0)
    assert_fails(ERR_NOT_FOUND, store_undo(s, 0, &u, e));
    assert_works(store_rate(s, b, PART_ANSWER, -1, NULL, NULL, e)); /* so that no list is NULL */
    CHANGE(store_rate(s, a, PART_ANSWER, 1, "[\"correct\"]", "c", e));
    CHANGE(store_rate(s, a, PART_ANSWER, -1, "[]", "", e));
    CHANGE(store_rate(s, a, PART_THOUGHT, 1, NULL, NULL, e));
    CHANGE(store_tag(s, a, "t", true, e));
    CHANGE(store_tag(s, a, "t", false, e));
    CHANGE(store_edit(s, a, PART_ANSWER, "findme", 6, e));
    CHANGE(store_edit(s, a, PART_ANSWER, "other", 5, e));
    CHANGE(store_edit(s, a, PART_THOUGHT, "", 0, e));
    CHANGE(store_rate_step(s, a, 2, 1, e));
    CHANGE(store_rate_step(s, a, 1, -1, e));
    CHANGE(store_vote(s, &v, NULL, e));
    v = vote_of(b, a, VERDICT_TIE, 0);
    CHANGE(store_vote(s, &v, NULL, e));
    store_close(s);
    s = open_store(path_in(*state, "p.db"));
    while (n > 0) {
        assert_works(store_undo(s, n % 2 ? c : 0, &u, e));
        assert_int_equal(u.message, n == 12 ? b : a);
        assert_string_equal(all_of(s), states[--n]);
        free(states[n]);
        check_index(s);
    }
    assert_fails(ERR_NOT_FOUND, store_undo(s, c + 1, &u, e));
    assert_works(store_undo(s, c, &u, e));
    assert_string_equal(u.what, "rating");
    assert_fails(ERR_NOT_FOUND, store_undo(s, 0, &u, e));
    /* a group goes as one */
    store_undo_group(s, true);
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_works(store_tag(s, a, "x", true, e));
    store_undo_group(s, false);
    assert_works(store_tag(s, a, "y", true, e));
    assert_works(store_undo(s, 0, &u, e));
    assert_string_equal(one(s, "SELECT answer_rating || tags FROM turns"), "1[\"x\"]");
    assert_works(store_undo(s, 0, &u, e));
    assert_string_equal(one(s, "SELECT answer_rating || tags FROM turns"), "0[]");
    assert_fails(ERR_NOT_FOUND, store_undo(s, 0, &u, e));
    /* what a deleted conversation left goes with it */
    assert_works(store_edit(s, a, PART_ANSWER, "secretword", 10, e));
    assert_works(store_edit(s, a, PART_ANSWER, "x", 1, e));
    assert_works(store_delete(s, c, e));
    assert_string_equal(one(s, "SELECT count(*) FROM undo"), "0");
    store_close(s);
    assert_false(holds(path_in(*state, "p.db"), "secretword"));
}

static void test_edit_pairs(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), r = reply(s, c, prompt(s, c, 0, "q"), "t", "a");
    assert_string_equal(one(s, "SELECT count(*) FROM pairs"), "0");
    assert_works(store_edit(s, r, PART_ANSWER, "a", 1, e));
    assert_string_equal(one(s, "SELECT count(*) FROM pairs"), "0");
    assert_works(store_edit(s, r, PART_ANSWER, "better", 6, e));
    assert_string_equal(
        one(s, "SELECT source || verdict || thought_a || answer_a || thought_b || answer_b || length(created_at) FROM pairs"),
        "editatbetterta24");
    store_close(s);
    (void)state;
}

static void test_reasons(void **state)
{
    struct reason_lists l;
    assert_works(reason_lists_load(&l, NULL, e));
    for (int part = 0; part < 2; part++)
        for (int up = 0; up < 2; up++) assert_true(l.names[part][up][0] && l.names[part][up][8] && !l.names[part][up][9]);
    reason_lists_release(&l);
    assert_works(reason_lists_load(&l, path_in(*state, "none.ini"), e));
    assert_string_equal(l.names[PART_ANSWER][1][0], "correct");
    reason_lists_release(&l);
    const char *path = path_in(*state, "reasons.ini");
    static const char good[] = "[answer]\nup = yes , really good,, \n[thought]\ndown =\n";
    assert_works(file_write_atomic(path, good, sizeof good - 1, e));
    assert_works(reason_lists_load(&l, path, e));
    assert_string_equal(l.names[PART_ANSWER][1][0], "yes");
    assert_string_equal(l.names[PART_ANSWER][1][1], "really good");
    assert_null(l.names[PART_ANSWER][1][2]);
    assert_null(l.names[PART_THOUGHT][0][0]);
    assert_non_null(l.names[PART_THOUGHT][1][0]);
    reason_lists_release(&l);
    static const char *const bad[] = {"[x]\nup = a\n", "[answer]\nsideways = a\n", "[answer]\nup = 1,2,3,4,5,6,7,8,9,10\n", "up = a\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_works(file_write_atomic(path, bad[i], strlen(bad[i]), e));
        assert_fails(ERR_FILE, reason_lists_load(&l, path, e));
        reason_lists_release(&l);
    }
}

/* The same tables and views as a new file. */
static void same_schema(struct store *s)
{
    struct store *fresh = open_store(NULL);
    static const char schema[] = "SELECT group_concat(type || name || coalesce(sql, ''), '|') FROM (SELECT * FROM sqlite_schema WHERE name "
                                 "LIKE '%s%%' ORDER BY name)";
    for (const char *letter = "abcdefghijklmnopqrstuvwxyz"; *letter; letter++) {
        char query[200], name[2] = {*letter, 0};
        snprintf(query, sizeof query, schema, name);
        assert_string_equal(one(s, query), one(fresh, query));
    }
    store_close(fresh);
}

/* A copy of a file that an earlier version made, opened. */
static struct store *open_old(void *folder, const char *vector)
{
    struct str old = STR_EMPTY;
    struct err why;
    const char *path = path_in(folder, "p.db");
    assert_int_equal(file_read(&old, vector, 1 << 20, &why), 0);
    assert_works(file_write_atomic(path, old.data, old.len, e));
    str_release(&old);
    struct store *s = open_store(path);
    assert_string_equal(one(s, "PRAGMA user_version"), "3");
    check_index(s);
    same_schema(s);
    return s;
}

/* A file that the first version made is brought up to date, and says what it said. */
static void test_from_version_1(void **state)
{
    struct store *s = open_old(*state, "tests/vectors/record-v1.db");
    assert_string_equal(one(s, "SELECT group_concat(message_id || answer || thought_rating || answer_rating || tags || quant) FROM turns"),
                        "2Eleven-11[\"math\"]Q4_1,3Twelve00[]Q4_1,5Yes00[]Q4_1,7I was00[]Q4_1");
    assert_string_equal(one(s, "SELECT source || message_a || answer_a || answer_b || coalesce(created_at, '-') FROM pairs"),
                        "edit3Eleven ballsTwelve-");
    assert_string_equal(one(s, "SELECT message_id || kind || value || position FROM budget_events"), "3budget3005");
    struct vote v = vote_of(2, 3, VERDICT_A, 1);
    assert_works(store_vote(s, &v, NULL, e));
    assert_works(store_rate_step(s, 2, 2, -1, e));
    assert_works(store_undo(s, 1, NULL, e));
    struct str draft = STR_EMPTY;
    assert_works(store_load_draft(s, 1, &draft, e));
    assert_string_equal(str_cstr(&draft), "unsent");
    str_release(&draft);
    store_close(s);
}

/* The second had votes, steps and the log for taking back, which still takes back. */
static void test_from_version_2(void **state)
{
    struct store *s = open_old(*state, "tests/vectors/record-v2.db");
    assert_string_equal(one(s, "SELECT group_concat(source || message_a || verdict || coalesce(strength, '-') || answer_b) FROM pairs"),
                        "vote2a2Twelve,edit3a-Twelve");
    assert_string_equal(one(s, "SELECT group_concat(step || text || rating) FROM step_ratings"), "1Five and six.good,2That makes eleven.bad");
    assert_string_equal(one(s, "SELECT group_concat(message_id || answer_rating || coalesce(think, '-') || coalesce(thought_of, '-')) FROM turns"),
                        "21--,30--,5-1--,70--");
    assert_string_equal(one(s, "SELECT origin FROM conversations WHERE id = 2"), "chatgpt:abc");
    static const char *const order[] = {"tag", "rating", "steps", "vote"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct undone u;
        assert_works(store_undo(s, 0, &u, e));
        assert_string_equal(u.what, order[i]);
    }
    assert_string_equal(one(s, "SELECT count(*) FROM votes"), "0");
    assert_string_equal(one(s, "SELECT leaf FROM conversations WHERE id = 1"), "5");
    /* a reply of another version can be written again as far as is known */
    struct provenance p;
    assert_works(store_load_provenance(s, 3, &p, e));
    assert_true(p.seeded);
    assert_int_equal(p.seed, 42);
    assert_string_equal(p.think, "");
    assert_int_equal(p.n_events, 1);
    assert_string_equal(p.events[0].value, "300");
    assert_int_equal(p.n_spans, 1);
    provenance_release(&p);
    store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_vote), T(test_vote_refused), T(test_cut),     T(test_steps),
        T(test_undo), T(test_edit_pairs),   T(test_reasons), T(test_from_version_1), T(test_from_version_2),
    };
    return cmocka_run_group_tests_name("store_collect", tests, NULL, NULL);
}
