/* Finding words: parts apart, words as data, and an index that follows the texts. */
#include "unit/store_help.h"

/* Messages found, as "3a 5t" (part's first letter), best first. */
static const char *found(struct store *s, const char *words, enum search_in in)
{
    static char out[8][256];
    static unsigned next;
    char *p = out[next++ % 8];
    struct search_hits h;
    assert_works(store_search(s, words, in, 0, &h, e));
    size_t n = 0;
    p[0] = '\0';
    for (size_t i = 0; i < h.n && n < 200; i++)
        n += (size_t)snprintf(p + n, 256 - n, i ? " %d%c" : "%d%c", (int)h.items[i].message, "?pat"[h.items[i].part]);
    search_hits_release(&h);
    return p;
}

static void test_parts(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    reply(s, c, prompt(s, c, 0, "tennis balls"), "tennis thought", "eleven balls");
    assert_string_equal(found(s, "tennis", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "tennis", SEARCH_THOUGHTS), "2t");
    assert_string_equal(found(s, "tennis", SEARCH_ANSWERS), "");
    assert_string_equal(found(s, "balls", SEARCH_ANSWERS), "2a");
    assert_string_equal(found(s, "eleven", SEARCH_ALL), "2a");
    assert_int_equal(strlen(found(s, "tennis", SEARCH_ALL)), 5);
    /* all words in one part */
    assert_string_equal(found(s, "tennis balls", SEARCH_ALL), "1p");
    assert_string_equal(found(s, "eleven thought", SEARCH_ALL), "");
    assert_string_equal(found(s, "balls tennis", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "\"balls tennis\"", SEARCH_PROMPTS), "");
    assert_string_equal(found(s, "\"tennis balls\"", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "\"tennis balls", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "TENNIS", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "tenni", SEARCH_ALL), "");
    assert_string_equal(found(s, "", SEARCH_ALL), "");
    assert_string_equal(found(s, " \t\n \"\" ", SEARCH_ALL), "");
    struct search_hits h;
    assert_works(store_search(s, "eleven", SEARCH_ALL, 0, &h, e));
    assert_string_equal(h.items[0].snippet, "\x02"
                                            "eleven"
                                            "\x03"
                                            " balls");
    assert_string_equal(h.items[0].title, "tennis balls");
    assert_int_equal(h.items[0].conversation, c);
    assert_true(h.items[0].created_ms > 0);
    search_hits_release(&h);
    store_close(s);
    (void)state;
}

/* Words that mean something to FTS5, to SQL or to nobody. */
static void test_hostile_words(void **state)
{
    static const char *const hostile[] = {
        "AND",
        "OR",
        "NOT",
        "NEAR",
        "NEAR(a b)",
        "a AND b",
        "a OR b",
        "NOT a",
        "a NOT b",
        "*",
        "a*",
        "^a",
        "a^b",
        "-a",
        "+",
        "a+b",
        "(",
        ")",
        "((a",
        "{",
        "}",
        "{answer}:a",
        "answer:a",
        "prompt : a",
        ":",
        ";",
        "'",
        "''",
        "'; DROP TABLE messages; --",
        "\"",
        "\"\"\"",
        "a\"b",
        "\"a\"\"b\"",
        "\\",
        "%",
        "_",
        "?1",
        "@",
        "$x",
        "#",
        "\x01\x02\x03",
        "\xff\xfe",
        "\xf0\x9f",
        "a\xff"
        "b",
        "\xed\xa0\x80",
        "é",
        "e\xcc\x81",
        "😀",
        "👩‍💻",
        "\xe2\x80\xae"
        "evil",
    };
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) reply(s, c, prompt(s, c, 0, hostile[i]), hostile[i], hostile[i]);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        for (int in = SEARCH_ALL; in <= SEARCH_THOUGHTS; in++) {
            struct search_hits h;
            assert_works(store_search(s, hostile[i], (enum search_in)in, 0, &h, e));
            search_hits_release(&h);
        }
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), one(s, "SELECT 2 * count(*) FROM turns"));
    assert_true(strlen(found(s, "AND", SEARCH_PROMPTS)) > 0);
    assert_string_equal(found(s, "DROP", SEARCH_PROMPTS), found(s, "drop table", SEARCH_PROMPTS));
    check_index(s);

    struct str many = STR_EMPTY;
    for (int i = 0; i < 64; i++) str_add(&many, "a ");
    struct search_hits h;
    assert_works(store_search(s, str_cstr(&many), SEARCH_ALL, 0, &h, e));
    search_hits_release(&h);
    str_add(&many, "a");
    assert_fails(ERR_INVALID, store_search(s, str_cstr(&many), SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 0);
    str_clear(&many);
    for (int i = 0; i < 200000; i++) str_add(&many, "\"'(");
    assert_works(store_search(s, str_cstr(&many), SEARCH_ALL, 0, &h, e));
    search_hits_release(&h);
    str_release(&many);
    store_close(s);
    (void)state;
}

static void test_what_fts_cannot_split(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    prompt(s, c, 0, "party 🎉 time");                     /* 1 */
    prompt(s, c, 0, "今天天气很好");                     /* 2 */
    prompt(s, c, 0, "party without");                    /* 3 */
    reply(s, c, 3, "a -> b", "학교에서 만나요 party 🎉"); /* 4 */
    assert_string_equal(found(s, "🎉", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "🎉", SEARCH_ALL), "4a 1p");
    assert_string_equal(found(s, "party 🎉", SEARCH_PROMPTS), "1p");
    assert_string_equal(found(s, "party 🎊", SEARCH_PROMPTS), "");
    assert_string_equal(found(s, "without 🎉", SEARCH_PROMPTS), "");
    assert_string_equal(found(s, "天气", SEARCH_ALL), "2p");
    assert_string_equal(found(s, "天气 今天", SEARCH_ALL), "2p");
    assert_string_equal(found(s, "학교", SEARCH_ALL), "4a");
    assert_string_equal(found(s, "->", SEARCH_ALL), "4t");
    struct search_hits h;
    assert_works(store_search(s, "天气", SEARCH_ALL, 0, &h, e));
    assert_string_equal(h.items[0].snippet, "今天\x02天气\x03很好");
    search_hits_release(&h);
    struct str text = STR_EMPTY;
    for (int i = 0; i < 100; i++) str_add(&text, "長い文");
    str_add(&text, "目印");
    for (int i = 0; i < 100; i++) str_add(&text, "長い文");
    prompt(s, c, 0, str_cstr(&text));
    assert_works(store_search(s, "目印", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 1);
    assert_true(utf8_is_valid(h.items[0].snippet, strlen(h.items[0].snippet)));
    assert_true(strlen(h.items[0].snippet) < 200 && strstr(h.items[0].snippet, "\x02目印\x03"));
    search_hits_release(&h);
    str_release(&text);
    store_close(s);
    (void)state;
}

static void test_diacritics_and_nul(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p;
    prompt(s, c, 0, "Größe café naïve ΣΊΣΥΦΟΣ");
    assert_works(store_add_prompt(s, c, 0, "before\0after", 12, &p, e));
    assert_string_equal(found(s, "grosse", SEARCH_ALL), "");
    assert_string_equal(found(s, "große", SEARCH_ALL), "1p");
    assert_string_equal(found(s, "GRÖßE", SEARCH_ALL), "1p");
    assert_string_equal(found(s, "cafe", SEARCH_ALL), "1p");
    assert_string_equal(found(s, "cafe\xcc\x81 NAIVE", SEARCH_ALL), "1p");
    assert_string_equal(found(s, "after", SEARCH_ALL), "2p");
    assert_string_equal(found(s, "before", SEARCH_ALL), "2p");
    check_index(s);
    store_close(s);
    (void)state;
}

static void test_index_follows(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), r = reply(s, c, prompt(s, c, 0, "q"), "wrong", "mistake"), d = conversation(s, "");
    reply(s, d, prompt(s, d, 0, "other"), "", "mistake too");
    assert_works(store_edit(s, r, PART_ANSWER, "remedy", 6, e));
    assert_works(store_edit(s, r, PART_THOUGHT, "righted", 7, e));
    assert_string_equal(found(s, "remedy", SEARCH_ALL), "2a");
    assert_string_equal(found(s, "righted", SEARCH_ALL), "2t");
    assert_string_equal(found(s, "wrong", SEARCH_ALL), "2t");
    assert_works(store_edit(s, r, PART_ANSWER, "cure", 4, e));
    assert_string_equal(found(s, "remedy", SEARCH_ALL), "");
    assert_string_equal(found(s, "cure", SEARCH_ALL), "2a");
    check_index(s);
    assert_works(store_edit(s, r, PART_ANSWER, NULL, 0, e));
    assert_string_equal(found(s, "cure", SEARCH_ALL), "");
    check_index(s);
    assert_works(store_delete(s, c, e));
    assert_string_equal(found(s, "wrong", SEARCH_ALL), "");
    assert_string_equal(found(s, "mistake", SEARCH_ALL), "4a");
    check_index(s);
    store_close(s);
    (void)state;
}

static void test_limit_and_rank(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    struct str filler = STR_EMPTY;
    for (int i = 0; i < 200; i++) str_add(&filler, "filler words ");
    str_add(&filler, "needle");
    prompt(s, c, 0, str_cstr(&filler));
    for (int i = 0; i < 30; i++) prompt(s, c, 0, "nothing of it");
    reply(s, c, prompt(s, c, 0, "needle"), "a needle 🪡 here", "");
    struct search_hits h;
    assert_works(store_search(s, "needle", SEARCH_PROMPTS, 1, &h, e));
    assert_int_equal(h.n, 1);
    assert_int_equal(h.items[0].message, 32);
    search_hits_release(&h);
    assert_works(store_search(s, "needle", SEARCH_ALL, 2, &h, e));
    assert_int_equal(h.n, 2);
    search_hits_release(&h);
    assert_works(store_search(s, "nothing", SEARCH_ALL, 7, &h, e));
    assert_int_equal(h.n, 7);
    search_hits_release(&h);
    assert_works(store_search(s, "needle 🪡", SEARCH_ALL, 1, &h, e));
    assert_int_equal(h.n, 1);
    assert_int_equal(h.items[0].part, SEARCH_THOUGHTS);
    search_hits_release(&h);
    str_release(&filler);
    store_close(s);
    (void)state;
}

/* Of very many matches the newest are ranked; a search that is narrowed, or wants all, sees every one. */
static void test_common_words(void **state)
{
    (void)state;
    struct store *s = open_store(NULL);
    struct search_hits h;
    int64_t c = conversation(s, "");
    sql(s, "BEGIN");
    sql(s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO messages(conversation, role, created_ms, text)"
           " SELECT 1, 'user', i, CASE i WHEN 1 THEN 'common common common' WHEN 1400 THEN 'common common' ELSE 'common and more words' END FROM n");
    sql(s, "INSERT INTO message_index(message_index) VALUES('rebuild')");
    sql(s, "COMMIT");
    assert_works(store_search(s, "common", SEARCH_ALL, 5, &h, e));
    assert_int_equal(h.n, 5);
    assert_string_equal(h.items[0].snippet, "\x02" "common\x03 \x02" "common\x03");
    search_hits_release(&h);
    const struct search_filter old = {.until_ms = 3};
    assert_works(store_search_filtered(s, "common", SEARCH_ALL, &old, 5, &h, e));
    assert_int_equal(h.n, 2);
    search_hits_release(&h);
    assert_works(store_search(s, "common", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 1500);
    assert_int_equal(h.items[0].created_ms, 1);
    search_hits_release(&h);
    (void)c;
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_what_fts_cannot_split),
        cmocka_unit_test(test_diacritics_and_nul),
        cmocka_unit_test(test_index_follows),
        cmocka_unit_test(test_limit_and_rank),
        cmocka_unit_test(test_common_words),
    };
    return cmocka_run_group_tests_name("store_search", tests, NULL, NULL);
}
