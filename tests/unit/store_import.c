/* Conversations of other programs; and that an export of one's own comes back as it was. */
#include "unit/store_help.h"

static struct import_report report;

/* Imports text from a file of its own. */
static int import_text(void *state, struct store *s, const char *text, size_t n, struct err *e)
{
    const char *path = path_in(state, "file");
    import_report_release(&report);
    int rc = file_write_atomic(path, text, n, e);
    return rc ? rc : store_import(s, path, false, &report, e);
}

#define IMPORT(text) assert_works(import_text(*state, s, text, strlen(text), e))

static const char *turns(struct store *s)
{
    return one(s, "SELECT group_concat(prompt || '|' || thought || '|' || answer || '|' || coalesce(model, '') || '|' || answer_rating || "
                  "'|' || active, ' / ')"
                  " FROM turns");
}

static const char chatgpt[] =
    "[{\"title\":\"Balls\",\"create_time\":1714566896.5,\"conversation_id\":\"abc\",\"current_node\":\"n5\",\"mapping\":{"
    "\"n5\":{\"parent\":\"n4\",\"children\":[],\"message\":{\"author\":{\"role\":\"assistant\"},\"create_time\":1714566900,\"recipient\":"
    "\"all\","
    "\"metadata\":{\"model_slug\":\"o3\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"Eleven.\"]}}},"
    "\"n4\":{\"parent\":\"n3\",\"children\":[\"n5\"],\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":"
    "\"thoughts\","
    "\"thoughts\":[{\"summary\":\"Adding\",\"content\":\"5 + "
    "6\"},{\"summary\":\"Done\",\"content\":\"\"}]},\"metadata\":{\"model_slug\":\"o3\"}}},"
    "\"n3\":{\"parent\":\"n2\",\"children\":[\"n4\",\"n6\"],\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"content_type\":"
    "\"text\",\"parts\":[\"How many?\"]}}},"
    "\"n6\":{\"parent\":\"n3\",\"children\":[],\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":\"text\","
    "\"parts\":[\"Ten?\"]}}},"
    "\"n2\":{\"parent\":\"n1\",\"children\":[\"n3\"],\"message\":{\"author\":{\"role\":\"system\"},\"content\":{\"content_type\":\"text\","
    "\"parts\":[\"\"]}}},"
    "\"n1\":{\"parent\":null,\"children\":[\"n2\"],\"message\":null}}}]";

static void test_chatgpt(void **state)
{
    struct store *s = open_store(NULL);
    IMPORT(chatgpt);
    assert_string_equal(report.format, "chatgpt");
    assert_int_equal(report.conversations, 1);
    assert_int_equal(report.messages, 3);
    assert_string_equal(turns(s), "How many?|5 + 6\n\nDone|Eleven.|o3|0|1 / How many?||Ten?||0|0");
    assert_string_equal(one(s, "SELECT title || origin || created_ms FROM conversations"), "Ballschatgpt:abc1714566896500");
    check_index(s);
    IMPORT(chatgpt);
    assert_int_equal(report.known, 1);
    assert_int_equal(report.conversations, 0);
    assert_string_equal(one(s, "SELECT count(*) FROM conversations"), "1");
    store_close(s);
}

static void test_claude(void **state)
{
    struct store *s = open_store(NULL);
    IMPORT("[{\"uuid\":\"u1\",\"name\":\"\",\"created_at\":\"2024-05-01T12:34:56.123456Z\",\"chat_messages\":["
           "{\"uuid\":\"a\",\"sender\":\"human\",\"text\":\"Hi there\",\"content\":[{\"type\":\"text\",\"text\":\"Hi "
           "there\"}],\"created_at\":\"2024-05-01T14:34:57+02:00\"},"
           "{\"uuid\":\"b\",\"sender\":\"assistant\",\"text\":\"\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"greet\"},{\"type\":"
           "\"text\",\"text\":\"Hello\"},"
           "{\"type\":\"tool_use\",\"name\":\"x\",\"input\":{}},{\"type\":\"text\",\"text\":\"you\"}]},"
           "{\"uuid\":\"c\",\"sender\":\"human\",\"text\":\"old "
           "form\"},{\"uuid\":\"d\",\"sender\":\"assistant\",\"text\":\"\",\"content\":[]}]},"
           "{\"uuid\":\"u2\",\"name\":\"empty\",\"chat_messages\":[]}]");
    assert_string_equal(report.format, "claude");
    assert_string_equal(turns(s), "Hi there|greet|Hello\n\nyou||0|1");
    assert_string_equal(one(s, "SELECT title || created_ms FROM conversations"), "Hi there1714566896123");
    assert_string_equal(one(s, "SELECT created_ms FROM messages WHERE id = 1"), "1714566897000");
    assert_int_equal(report.left_out, 1);
    assert_non_null(strstr(str_cstr(&report.notes), "conversation 2: has no text"));
    store_close(s);
}

static const char webui_chat[] =
    "{\"id\":\"w1\",\"title\":\"Web\",\"chat\":{\"params\":{\"system\":\"Be kind.\"},\"history\":{\"currentId\":\"m3\",\"messages\":{"
    "\"m1\":{\"id\":\"m1\",\"parentId\":null,\"childrenIds\":[\"m2\",\"m3\"],\"role\":\"user\",\"content\":\"q\",\"timestamp\":1714566896},"
    "\"m2\":{\"id\":\"m2\",\"parentId\":\"m1\",\"childrenIds\":[],\"role\":\"assistant\",\"model\":\"r1\",\"content\":\"<details "
    "type=\\\"reasoning\\\" done=\\\"true\\\" duration=\\\"3\\\">\\n"
    "<summary>Thought for 3 seconds</summary>\\n&gt; a &lt; b\\n&gt; \\n> "
    "so\\n</details>\\nyes\",\"annotation\":{\"rating\":-1,\"reason\":\"lazy\",\"comment\":\"no\"}},"
    "\"m3\":{\"id\":\"m3\",\"parentId\":\"m1\",\"childrenIds\":[\"m1\"],\"role\":\"assistant\",\"model\":\"r1\",\"content\":\"no\"}}}}}";

static void test_openwebui(void **state)
{
    struct store *s = open_store(NULL);
    struct str feedback = STR_EMPTY;
    str_addf(&feedback, "[%s]", webui_chat);
    IMPORT(str_cstr(&feedback));
    assert_string_equal(report.format, "openwebui");
    assert_string_equal(turns(s), "q|a < b\n\nso|yes|r1|-1|0 / q||no|r1|0|1");
    assert_string_equal(one(s, "SELECT answer_reasons || answer_comment FROM turns LIMIT 1"), "[\"lazy\"]no");
    assert_string_equal(one(s, "SELECT system FROM conversations"), "Be kind.");
    assert_int_equal(report.ratings, 1);
    store_close(s);
    /* feedback holds the chat that it is about */
    s = open_store(NULL);
    str_clear(&feedback);
    str_addf(&feedback,
             "[{\"type\":\"rating\",\"data\":{\"rating\":1,\"reason\":\"accurate\"},\"meta\":{\"chat_id\":\"w1\",\"message_id\":\"m3\"},"
             "\"snapshot\":{\"chat\":%s}}]",
             webui_chat);
    IMPORT(str_cstr(&feedback));
    assert_string_equal(one(s, "SELECT group_concat(answer_rating || answer_reasons) FROM turns"), "-1[\"lazy\"],1[\"accurate\"]");
    str_release(&feedback);
    store_close(s);
}

static void test_lists(void **state)
{
    struct store *s = open_store(NULL);
    IMPORT("{\"conversations\":[{\"from\":\"system\",\"value\":\"S\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"<"
           "think>\\nt\\n</think>\\n\\na\"}]}\n"
           "{\"conversations\":[{\"from\":\"human\",\"value\":\"q2\"},{\"from\":\"gpt\",\"value\":\"a2\"}]}\n");
    assert_string_equal(report.format, "sharegpt");
    assert_int_equal(report.conversations, 2);
    assert_string_equal(turns(s), "q|t|a||0|1 / q2||a2||0|1");
    assert_string_equal(one(s, "SELECT system FROM conversations"), "S");
    IMPORT("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image_url\"}]},{\"role\":"
           "\"assistant\",\"content\":\"y\",\"reasoning_content\":\"r\"},"
           "{\"role\":\"tool\",\"content\":\"z\"},{\"role\":\"assistant\",\"content\":\"more\"}]}\nnot json\n"
           "{\"messages\":[{\"role\":\"assistant\",\"content\":\"first\"},{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\","
           "\"content\":\"v\"}]}");
    assert_string_equal(report.format, "openai");
    assert_int_equal(report.conversations, 2);
    assert_int_equal(report.refused, 1);
    assert_int_equal(report.left_out, 2);
    assert_string_equal(one(s, "SELECT group_concat(prompt || thought || answer, '|') FROM turns WHERE conversation_id > 2"),
                        "xry\n\nmore|uv");
    store_close(s);
}

/* Everything that the export has comes back: the same turns, pairs, steps, events. */
static int take(void *arg, const struct export_record *r, struct err *e)
{
    (void)e;
    str_add_bytes(arg, r->bytes, r->len);
    return 0;
}

static void test_own(void **state)
{
    static const char *const same[] = {
        "SELECT group_concat(quote(%s), ';') FROM turns",
        "SELECT group_concat(source || verdict || coalesce(strength, '') || prompt || thought_a || answer_b || blind) FROM pairs",
        "SELECT group_concat(step || text || rating || unit) FROM step_ratings",
        "SELECT group_concat(position || kind || value || created_at) FROM budget_events",
        "SELECT group_concat(title || system || created_ms || updated_ms) FROM conversations",
        "SELECT group_concat(byte_offset || byte_length || kind || author) FROM spans"};
    static const char *const columns[] = {
        "active",       "created_at",     "model",         "model_sha256",    "system",         "prompt",         "thought",
        "answer",       "thought_tokens", "answer_tokens", "thought_ms",      "budget",         "budget_final",   "ended",
        "answer_ended", "thought_rating", "answer_rating", "thought_reasons", "answer_comment", "edited_thought", "edited_answer",
        "tags",         "seed",           "temp",          "tokens_per_s",    "quant"};
    struct store *a = open_store(NULL), *s = open_store(path_in(*state, "b.db"));
    for (int i = 0; i < 3; i++) {
        int64_t c = conversation(a, i ? "sys" : ""), p = prompt(a, c, 0, "q \xc3\xa9\n\"x\""), r = begin(a, c, p);
        assert_works(store_add_event(a, r, 5, "budget", "300", e));
        assert_works(store_add_span(a, r, 1, 0, 3, "lead", "program", e));
        end(a, r, "One.\n\nTwo.", "answer", "budget_hard", "complete");
        int64_t other = reply(a, c, p, "", "other");
        prompt(a, c, r, "unanswered");
        assert_works(store_rate(a, r, PART_ANSWER, 1, "[\"good\"]", "comment", e));
        assert_works(store_rate(a, r, PART_THOUGHT, -1, NULL, NULL, e));
        assert_works(store_rate_step(a, r, 2, -1, e));
        assert_works(store_tag(a, other, "tag", true, e));
        assert_works(store_edit(a, other, PART_ANSWER, "better", 6, e));
        assert_works(
            store_vote(a, &(struct vote){.a = r, .b = other, .verdict = VERDICT_A, .strength = 3, .spent_ms = 5, .blind = true}, NULL, e));
    }
    struct str out = STR_EMPTY;
    assert_works(store_export(a, &(struct export_options){.format = EXPORT_JSON}, take, &out, NULL, e));
    conversation(s, "so that numbers differ");
    sql(s, "DELETE FROM conversations");
    assert_works(import_text(*state, s, str_cstr(&out), out.len, e));
    assert_int_equal(report.conversations, 3);
    assert_int_equal(report.votes, 3);
    assert_int_equal(report.refused, 0);
    for (size_t i = 1; i < ARRAY_LEN(same); i++) assert_string_equal(one(a, same[i]), one(s, same[i]));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        char query[200];
        snprintf(query, sizeof query, "SELECT group_concat(quote(%s), ';') FROM turns", columns[i]);
        assert_string_equal(one(a, query), one(s, query));
    }
    check_index(s);
    assert_works(import_text(*state, s, str_cstr(&out), out.len, e));
    assert_int_equal(report.known, 3);
    struct str findings = STR_EMPTY;
    assert_works(store_check(s, &findings, e));
    assert_string_equal(str_cstr(&findings), "");
    str_release(&out);
    store_close(a);
    store_close(s);
}

/* A conversation that cannot come in stays out as a whole; the others come. */
static void test_hostile(void **state)
{
    static const char *const bad[] = {
        "{\"id\":1,\"role\":\"assistant\",\"text\":\"answers nothing\"}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":1,\"role\":\"user\",\"text\":\"b\"}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":2,\"parent\":7,\"role\":\"user\",\"text\":\"b\"}",
        "{\"id\":1,\"role\":\"king\",\"text\":\"a\"}",
        "{\"role\":\"user\",\"text\":\"a\"}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"text\":\"b\",\"ratings\":[{\"part\":"
        "\"answer\",\"value\":9}]}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"text\":\"b\",\"ratings\":[{\"part\":"
        "\"answer\",\"value\":1,\"reasons\":\"{}\"}]}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"text\":\"b\",\"reply\":{\"seed\":"
        "\"x\"}}",
        "{\"id\":1,\"role\":\"user\",\"text\":\"a\"},{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"thought\":\"b\",\"spans\":[{\"position\":0,"
        "\"byte_offset\":1,\"byte_length\":9223372036854775807,\"kind\":\"say\",\"author\":\"x\"}]}",
    };
    struct store *s = open_store(NULL);
    struct str doc = STR_EMPTY;
    str_add(&doc, "{\"format\":\"ponder\",\"conversations\":[");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) str_addf(&doc, "{\"messages\":[%s]},", bad[i]);
    str_add(&doc, "{\"title\":\"good\",\"messages\":[{\"id\":1,\"role\":\"user\",\"text\":\"a\"}]}],\"votes\":[{\"a\":1,\"b\":1,"
                  "\"verdict\":\"a\"},{\"a\":1,\"b\":9}]}");
    IMPORT(str_cstr(&doc));
    assert_int_equal(report.refused, ARRAY_LEN(bad));
    assert_int_equal(report.conversations, 1);
    assert_string_equal(one(s, "SELECT (SELECT count(*) FROM messages) || (SELECT group_concat(title) FROM conversations)"), "1good");
    check_index(s);
    str_release(&doc);
    static const char *const nothing[] = {
        "", "{}", "[]", "hello", "[1,2]", "{\"a\":[{\"mapping\":3}]}", "PK\3\4garbage", "SQLite format 3"};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        struct err why = {0};
        size_t n = i == 7 ? 16 : strlen(nothing[i]);
        assert_int_equal(import_text(*state, s, nothing[i], n, &why), ERR_INVALID);
    }
    /* cycles and children that are not there end */
    IMPORT("[{\"mapping\":{\"a\":{\"parent\":\"b\",\"children\":[\"b\"]},\"b\":{\"parent\":\"a\",\"children\":[\"a\",\"zz\"]},\"r\":{"
           "\"parent\":null,\"children\":[\"r\",\"a\"],"
           "\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"x\"]}}}}}]");
    assert_int_equal(report.conversations, 1);
    assert_string_equal(one(s, "SELECT count(*) FROM conversations"), "2");
    /* a look changes nothing */
    struct import_report look;
    assert_works(file_write_atomic(path_in(*state, "c"), chatgpt, sizeof chatgpt - 1, e));
    assert_works(store_import(s, path_in(*state, "c"), true, &look, e));
    assert_int_equal(look.conversations, 1);
    import_report_release(&look);
    assert_string_equal(one(s, "SELECT count(*) FROM conversations"), "2");
    assert_works(store_set_title(s, 1, "still writable", e));
    store_close(s);
}

static void test_llm(void **state)
{
    struct store *s = open_store(NULL);
    make_database(path_in(*state, "logs.db"),
                  "CREATE TABLE conversations(id TEXT PRIMARY KEY, name TEXT, model TEXT);"
                  "CREATE TABLE responses(id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, response TEXT, "
                  "conversation_id TEXT, datetime_utc TEXT);"
                  "INSERT INTO conversations VALUES('c1', 'Named', 'gpt');"
                  "INSERT INTO responses VALUES('r2', 'gpt', 'second', NULL, 'answer 2', 'c1', '2024-05-01T12:34:58'),"
                  "('r1', 'gpt', 'first', 'Sys', '<think>hm</think>answer 1', 'c1', '2024-05-01T12:34:56.500000+00:00'),"
                  "('r3', 'x', 'alone', NULL, 'yes', NULL, '2024-05-02T00:00:00')");
    assert_works(store_import(s, path_in(*state, "logs.db"), false, &report, e));
    assert_string_equal(report.format, "llm");
    assert_int_equal(report.conversations, 2);
    assert_string_equal(turns(s), "first|hm|answer 1|gpt|0|1 / second||answer 2|gpt|0|1 / alone||yes|x|0|1");
    assert_string_equal(one(s, "SELECT title || system || origin || created_ms FROM conversations LIMIT 1"), "NamedSysllm:c11714566896500");
    import_report_release(&report);
    store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_chatgpt), T(test_claude),  T(test_openwebui), T(test_lists),
                                       T(test_own),     T(test_hostile), T(test_llm)};
    int rc = cmocka_run_group_tests_name("store_import", tests, NULL, NULL);
    import_report_release(&report);
    return rc;
}
