/* Archives, and the odd forms that other programs' exports have: times, parts, roles, thoughts; what is damaged is refused, and nothing else happens. */
#include "unit/store_help.h"

#include <zlib.h>

static struct import_report report;

static int import_bytes(void *state, struct store *s, const void *bytes, size_t n, struct err *e)
{
    const char *path = path_in(state, "file");
    import_report_release(&report);
    report = (struct import_report){0};
    int rc = file_write_atomic(path, bytes, n, e);
    return rc ? rc : store_import(s, path, false, &report, e);
}

/* What an import of text alone makes of it: "prompt|thought|answer" of each reply. */
static const char *made_of(void *state, const char *text)
{
    struct store *s = open_store(NULL);
    assert_works(import_bytes(state, s, text, strlen(text), e));
    const char *out = one(s, "SELECT group_concat(prompt || '|' || thought || '|' || answer, ' / ') FROM turns");
    check_index(s);
    store_close(s);
    return out;
}

/* ---- archives -------------------------------------------------------------------------------------------------------- */

struct zip {
    struct str bytes, directory;
    int n;
};

static void le(struct str *s, uint32_t v, int n)
{
    for (int i = 0; i < n; i++) str_add_char(s, (char)(v >> 8 * i));
}

static void zip_add(struct zip *z, const char *name, const char *text, int method, int flags)
{
    static unsigned char packed[4096];
    size_t n = strlen(text);
    uint32_t at = (uint32_t)z->bytes.len;
    const void *data = text;
    if (method == 8) {
        z_stream d = {.next_in = (unsigned char *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = packed, .avail_out = sizeof packed};
        assert_int_equal(deflateInit2(&d, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&d, Z_FINISH), Z_STREAM_END);
        data = packed;
        n = d.total_out;
        deflateEnd(&d);
    }
    le(&z->bytes, 0x04034b50, 4);
    le(&z->bytes, 20, 2);
    le(&z->bytes, (uint32_t)flags, 2);
    le(&z->bytes, (uint32_t)method, 2);
    for (int i = 0; i < 2; i++) le(&z->bytes, 0, 4); /* time, checksum */
    le(&z->bytes, (uint32_t)n, 4);
    le(&z->bytes, (uint32_t)strlen(text), 4);
    le(&z->bytes, (uint32_t)strlen(name), 2);
    le(&z->bytes, 0, 2);
    str_add(&z->bytes, name);
    str_add_bytes(&z->bytes, data, n);
    le(&z->directory, 0x02014b50, 4);
    le(&z->directory, 20, 2);
    le(&z->directory, 20, 2);
    le(&z->directory, (uint32_t)flags, 2);
    le(&z->directory, (uint32_t)method, 2);
    for (int i = 0; i < 2; i++) le(&z->directory, 0, 4);
    le(&z->directory, (uint32_t)n, 4);
    le(&z->directory, (uint32_t)strlen(text), 4);
    le(&z->directory, (uint32_t)strlen(name), 2);
    for (int i = 0; i < 5; i++) le(&z->directory, 0, i < 4 ? 2 : 4); /* lengths, disk, attributes */
    le(&z->directory, at, 4);
    str_add(&z->directory, name);
    z->n++;
}

static struct str zip_end(struct zip *z, const char *comment)
{
    uint32_t at = (uint32_t)z->bytes.len;
    str_add_bytes(&z->bytes, z->directory.data, z->directory.len);
    le(&z->bytes, 0x06054b50, 4);
    le(&z->bytes, 0, 4);
    le(&z->bytes, (uint32_t)z->n, 2);
    le(&z->bytes, (uint32_t)z->n, 2);
    le(&z->bytes, (uint32_t)z->directory.len, 4);
    le(&z->bytes, at, 4);
    le(&z->bytes, (uint32_t)strlen(comment), 2);
    str_add(&z->bytes, comment);
    str_release(&z->directory);
    return z->bytes;
}

#define CHAT(q, a) "[{\"uuid\":\"" q "\",\"chat_messages\":[{\"uuid\":\"a\",\"sender\":\"human\",\"text\":\"" q "\"},{\"uuid\":\"b\",\"sender\":\"assistant\",\"text\":\"" a "\"}]}]"

static void test_archives(void **state)
{
    struct store *s = open_store(NULL);
    struct zip z = {0};
    zip_add(&z, "chat.html", "<html>", 8, 0);
    zip_add(&z, "export/conversations-000.json", CHAT("one", "1"), 8, 0);
    zip_add(&z, "export/conversations-001.json", CHAT("two", "2"), 0, 0);
    zip_add(&z, "my-conversations.txt", "x", 0, 0);
    struct str good = zip_end(&z, "a comment of the one who packed it");
    assert_works(import_bytes(*state, s, good.data, good.len, e));
    assert_int_equal(report.conversations, 2);
    assert_string_equal(one(s, "SELECT group_concat(prompt || answer) FROM turns"), "one1,two2");
    /* cut short and damaged anywhere: refused or taken, and what is there stays in order */
    for (size_t n = 4; n < good.len; n++) {
        struct err why = {0};
        int rc = import_bytes(*state, s, good.data, n, &why);
        if (rc && rc != ERR_INVALID) fail_msg("%zu bytes: %s", n, why.text);
    }
    for (size_t i = 4; i < good.len; i++) {
        struct err why = {0};
        char was = good.data[i];
        good.data[i] = (char)(was ^ 0x41);
        int rc = import_bytes(*state, s, good.data, good.len, &why);
        if (rc && rc != ERR_INVALID) fail_msg("byte %zu: %s", i, why.text);
        good.data[i] = was;
    }
    check_index(s);
    str_release(&good);
    static const struct {
        int method, flags;
        const char *name, *why;
    } refused[] = {{0, 1, "conversations.json", "is encrypted"}, {12, 0, "conversations.json", "packed in a way that is not known"}, {0, 0, "notes.json", "holds no conversations.json"},
                   {0, 0, "conversation.json", "holds no conversations.json"}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err why = {0};
        z = (struct zip){0};
        zip_add(&z, refused[i].name, CHAT("three", "3"), refused[i].method, refused[i].flags);
        struct str bad = zip_end(&z, "");
        assert_int_equal(import_bytes(*state, s, bad.data, bad.len, &why), ERR_INVALID);
        if (!strstr(why.text, refused[i].why)) fail_msg("wanted \"%s\", got %s", refused[i].why, why.text);
        str_release(&bad);
    }
    store_close(s);
}

/* ---- times ------------------------------------------------------------------------------------------------------------ */

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* 0: it is none, and the time of the import stands in */
    } times[] = {
        {"\"1970-01-01T00:00:01Z\"", 1000}, {"\"2024-02-29T23:59:59.5+00:00\"", 1709251199500}, {"\"2000-03-01 00:00:00\"", 951868800000}, {"\"1999-12-31T22:00:00-03:30\"", 946690200000},
        {"\"2024-05-01T14:34:56+02:00\"", 1714566896000}, {"\"2100-03-01T00:00:00Z\"", 4107542400000}, {"1714566896", 1714566896000}, {"1714566896.25", 1714566896250}, {"1714566896123", 1714566896123},
        {"1714566896123456789", 0}, {"1714566896123456", 1714566896}, {"\"2024-13-01T00:00:00Z\"", 0}, {"\"2024-00-01T00:00:00Z\"", 0}, {"\"1824-01-01T00:00:00Z\"", 0}, {"\"2024-01-0xT00:00:00Z\"", 0},
        {"\"2024-01-01Txx:00:00Z\"", 0}, {"\"2024-01-01T00:xx:00Z\"", 0}, {"\"2024-01-01T00:00:xxZ\"", 0}, {"\"20xx-01-01T00:00:00Z\"", 0}, {"\"2024/01/01T00:00:00Z\"", 0}, {"\"2024-01/01T00:00:00Z\"", 0},
        {"\"2024-01-01\"", 0}, {"\"1969-01-01T00:00:00Z\"", 0}, {"-5", 0}, {"null", 0}, {"\"2024-05-01T12:34:56+0x:00\"", 1714566896000}, {"\"2024-05-01T12:34:56+1\"", 1714566896000}};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct store *s = open_store(NULL);
        struct str text = STR_EMPTY;
        int64_t before = clock_wall_ms();
        str_addf(&text, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"created_at\":%s}", times[i].text);
        assert_works(import_bytes(*state, s, text.data, text.len, e));
        int64_t got = atoll(one(s, "SELECT created_ms FROM conversations"));
        if (times[i].ms ? got != times[i].ms : got < before) fail_msg("%s became %lld", times[i].text, (long long)got);
        str_release(&text);
        store_close(s);
    }
}

/* ---- messages ---------------------------------------------------------------------------------------------------------- */

static void test_lists(void **state)
{
    static const char *const names[] = {"gpt", "chatgpt", "bard", "bing", "assistant"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"conversations\":[{\"from\":\"%s\",\"value\":\"q\"},{\"from\":\"%s\",\"value\":\"a\",\"thinking\":\"t\"}]}", i % 2 ? "human" : "user", names[i]);
        assert_string_equal(made_of(*state, text), "q|t|a");
    }
    assert_string_equal(made_of(*state, "{\"conversations\":[{\"value\":\"of nobody\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}]}"), "q||a");
    assert_string_equal(made_of(*state, "{\"system\":\"S\",\"messages\":[{\"role\":\"developer\",\"content\":\"D\"},{\"role\":\"user\",\"content\":[\"plain\",{\"type\":\"input_text\",\"text\":\"x\"},"
                                        "{\"type\":\"output_text\",\"text\":\"\"},{\"type\":\"sound\",\"text\":\"z\"},{\"text\":\"y\"},5]},{\"role\":\"assistant\",\"content\":\"<think>\\r\\nhm\\n\\n</think>\\n\\na\"},"
                                        "{\"role\":\"assistant\",\"content\":\"and\",\"reasoning_content\":\"more\"},{\"role\":\"user\",\"content\":\"\"},{\"content\":\"none\"},"
                                        "{\"role\":\"developer\",\"content\":\"late\"}],\"model\":\"m\"}"),
                        "plain\n\nx\n\ny|hm\n\nmore|a\n\nand");
    assert_string_equal(made_of(*state, "{\"system\":\"\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"t\"},"
                                        "{\"role\":\"assistant\",\"content\":\"later\"}]}"),
                        "q|t|later");
    assert_string_equal(made_of(*state, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"<think>never closed\"}]}"), "q||<think>never closed");
}

#define NODE(key, parent, children, message) "\"" key "\":{\"parent\":" parent ",\"children\":[" children "],\"message\":" message "}"
#define SAYS(role, content) "{\"author\":{\"role\":\"" role "\"},\"content\":" content "}"

static void test_chatgpt(void **state)
{
    assert_string_equal(
        made_of(*state, "[{\"mapping\":{" NODE("a", "null", "\"b\",\"b\",7", SAYS("user", "{\"content_type\":\"multimodal_text\",\"parts\":[{\"text\":\"look\"},{\"asset\":1}]}")) ","
                        NODE("b", "\"a\"", "\"c\"", SAYS("assistant", "{\"content_type\":\"code\",\"text\":\"x = 1\"}")) ","
                        NODE("c", "\"b\"", "\"d\"", "{\"author\":{\"role\":\"assistant\"},\"recipient\":\"python\",\"content\":{\"content_type\":\"code\",\"text\":\"hidden\"}}") ","
                        NODE("d", "\"c\"", "\"e\"", SAYS("tool", "{\"content_type\":\"text\",\"parts\":[\"out\"]}")) ","
                        NODE("e", "\"d\"", "\"f\"", SAYS("assistant", "{\"content_type\":\"thoughts\",\"thoughts\":[{\"summary\":\"S\"},{},{\"content\":\"C\",\"summary\":\"no\"}]}")) ","
                        NODE("f", "\"e\"", "\"g\"", SAYS("assistant", "{\"parts\":[\"no type\"]}")) ","
                        NODE("g", "\"f\"", "", "{\"author\":{\"role\":\"assistant\"},\"recipient\":\"all\",\"content\":{\"content_type\":\"text\",\"parts\":[\"Done.\"]}}") "},\"current_node\":\"g\"}]"),
        "look|S\n\nC|```\nx = 1\n```\n\nDone.");
    /* code without a text, content of a kind that is not known, a parent that is not there */
    assert_string_equal(made_of(*state, "[{\"mapping\":{" NODE("a", "\"gone\"", "\"b\"", SAYS("user", "{\"content_type\":\"text\",\"parts\":[\"q\"]}")) ","
                                        NODE("b", "\"a\"", "\"c\"", SAYS("assistant", "{\"content_type\":\"code\"}")) ","
                                        NODE("c", "\"b\"", "", SAYS("assistant", "{\"content_type\":\"strange\",\"parts\":[\"?\"]}")) "," NODE("d", "\"a\"", "", SAYS("assistant", "{\"content_type\":\"text\",\"parts\":[\"a\"]}"))
                                        ",\"e\":{\"parent\":\"a\",\"children\":[]}}}]"),
                        "NULL");
}

static void test_claude(void **state)
{
    assert_string_equal(made_of(*state, "[{\"name\":\"n\",\"current_leaf_message_uuid\":\"d\",\"chat_messages\":[{\"sender\":\"human\",\"text\":\"no number\"},"
                                        "{\"uuid\":\"b\",\"parent_message_uuid\":\"00000000\",\"sender\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"one\"},{\"type\":\"thinking\"},"
                                        "{\"type\":\"thinking\",\"thinking\":\"two\"},{\"type\":\"text\",\"text\":\"A\"}]},"
                                        "{\"uuid\":\"c\",\"parent_message_uuid\":\"b\",\"sender\":\"human\",\"text\":\"next\"},{\"uuid\":\"d\",\"parent_message_uuid\":\"c\",\"text\":\"of nobody\"}]}]"),
                        "no number|one\n\ntwo|A");
}

static void test_openwebui(void **state)
{
#define WEBUI(system, content, note) \
    "{\"chat\":{" system "\"history\":{\"messages\":{\"m1\":{\"parentId\":null,\"childrenIds\":[\"m2\",\"m9\",5,\"m1\"],\"role\":\"user\",\"content\":\"q\"},\"m2\":{\"parentId\":\"m1\",\"role\":\"assistant\"," \
    "\"content\":\"" content "\"" note "},\"m3\":{\"parentId\":\"zz\",\"content\":\"of nobody\"}}}}}"
    assert_string_equal(made_of(*state, WEBUI("\"system\":\"S\",", "<details type=\\\"reasoning\\\" done>\\n\\n&gt; a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#x27;\\n>e\\nplain\\n</details>\\n\\nyes"
                                              "<details type=\\\"reasoning\\\"><summary>T</summary>\\n> more</details>", ",\"annotation\":{\"rating\":1}")),
                        "q|a <b> & \"c\" 'd'\ne\nplain\n\nmore|yes");
    assert_string_equal(made_of(*state, WEBUI("\"title\":\"T\",", "<details type=\\\"reasoning\\\">never closed", ",\"annotation\":{\"rating\":0}")), "q||<details type=\"reasoning\">never closed");
    /* feedback without the number of its message says nothing of any */
    assert_string_equal(made_of(*state, "[{\"data\":{\"rating\":1},\"meta\":{},\"snapshot\":{\"chat\":{\"chat\":{\"history\":{\"messages\":{\"m1\":{\"role\":\"user\",\"content\":\"q\"}}}}}}}]"), "NULL");
}

/* ponder's own form with members of other kinds than they should be: taken where they say something, refused as a whole where not. */
static void test_own(void **state)
{
#define OWN(messages) "{\"format\":\"ponder\",\"conversations\":[{\"messages\":[" messages "]}]}"
#define Q "{\"id\":1,\"role\":\"user\",\"text\":\"q\"}"
#define A(more) ",{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"thought\":\"abc\",\"text\":\"a\"" more "}"
    static const char *const taken[] = {
        OWN(Q A("")), OWN(Q A(",\"reply\":7")), OWN(Q A(",\"reply\":{\"keep_thoughts\":true,\"loop_guard\":false,\"temp\":0.25}")), OWN(Q A(",\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":null}]")),
        OWN(Q A(",\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":\"[]\"}]")), OWN(Q A(",\"created_ms\":\"late\"")), OWN(Q A(",\"spans\":[{\"position\":0,\"byte_offset\":3,\"byte_length\":0,\"kind\":\"say\",\"author\":\"user\"}]")),
        OWN("{\"id\":1,\"role\":\"user\"}" A("")), OWN("{\"id\":1,\"parent\":\"x\",\"role\":\"user\",\"text\":\"q\"}" A("")),
        "{\"format\":\"ponder\",\"conversations\":[{\"origin\":\"mine\",\"leaf\":1,\"created_ms\":\"?\",\"updated_ms\":7,\"messages\":[" Q A("") "]}],\"votes\":[{\"a\":2,\"b\":2,\"verdict\":\"a\"},{\"a\":9},5]}"};
    static const char *const refused[] = {
        OWN(Q A(",\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":5}]")), OWN(Q A(",\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":\"[1]\"}]")), OWN(Q A(",\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":\"no json\"}]")),
        OWN(Q A(",\"spans\":[{\"position\":0,\"byte_offset\":-1,\"byte_length\":1,\"kind\":\"say\",\"author\":\"user\"}]")), OWN(Q A(",\"spans\":[{\"position\":0,\"byte_offset\":1,\"byte_length\":-1,\"kind\":\"say\",\"author\":\"user\"}]")),
        OWN(Q A(",\"steps\":[{\"step\":1,\"unit\":\"sentence\",\"byte_offset\":2,\"byte_length\":2,\"value\":1}]")), OWN(Q ",{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"text\":\"a\",\"spans\":[{\"byte_offset\":1,\"byte_length\":0}]}"),
        OWN("{\"id\":\"1\",\"role\":\"user\",\"text\":\"q\"}"), OWN("{\"id\":1,\"role\":5,\"text\":\"q\"}"), OWN("5"), OWN(Q ",{\"id\":2,\"role\":\"assistant\",\"text\":\"a\"}"),
        OWN(Q A("") ",{\"id\":3,\"parent\":2,\"role\":\"assistant\",\"text\":\"on a reply\"}")};
    for (size_t i = 0; i < ARRAY_LEN(taken) + ARRAY_LEN(refused); i++) {
        bool good = i < ARRAY_LEN(taken);
        const char *text = good ? taken[i] : refused[i - ARRAY_LEN(taken)];
        struct store *s = open_store(NULL);
        assert_works(import_bytes(*state, s, text, strlen(text), e));
        if (report.conversations != good || report.refused != !good) fail_msg("%s: %lld taken, %lld refused: %s", text, (long long)report.conversations, (long long)report.refused, str_cstr(&report.notes));
        assert_string_equal(one(s, "SELECT count(*) FROM messages"), good ? "2" : "0");
        check_index(s);
        store_close(s);
    }
    /* of many notes the first are kept */
    struct store *s = open_store(NULL);
    struct str many = STR_EMPTY;
    for (int i = 0; i < 40; i++) str_add(&many, "no json\n");
    str_add(&many, " \r\n\t" OWN(Q) "\n" OWN(Q));
    assert_works(import_bytes(*state, s, many.data, many.len, e));
    assert_int_equal(report.refused, 40);
    int lines = 0;
    for (const char *p = str_cstr(&report.notes); (p = strchr(p, '\n')); p++) lines++;
    assert_int_equal(lines, 20);
    assert_int_equal(report.conversations + report.known, 2);
    str_release(&many);
    store_close(s);
}

/* ---- logs of llm ------------------------------------------------------------------------------------------------------- */

#define TABLES                                                                                                                             \
    "CREATE TABLE conversations(id TEXT PRIMARY KEY, name TEXT, model TEXT);"                                                              \
    "CREATE TABLE responses(id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, reasoning TEXT, conversation_id TEXT, "          \
    "datetime_utc TEXT);"

static void test_odd_logs(void **state)
{
    const char *path = path_in(*state, "logs.db");
    struct import_report r = {0};
    struct store *s = open_store(NULL);
    make_database(path, TABLES "INSERT INTO responses VALUES('r1', 'm', 'a question', '', 'an answer', 'a thought', 'c', NULL), ('r2', NULL, "
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
    make_database(path, TABLES);
    assert_works(store_import(s, path, false, &r, e));
    assert_int_equal(r.conversations, 0);
    import_report_release(&r);
    make_database(path, "CREATE TABLE other(x)");
    assert_fails(ERR_INVALID, store_import(s, path, false, &r, e));
    import_report_release(&r);
    store_close(s);
}

static void test_damaged_logs(void **state)
{
    const char *path = path_in(*state, "logs.db");
    struct import_report r = {0};
    struct store *s = open_store(NULL);
    make_database(
        path,
        "PRAGMA page_size = 4096;" TABLES "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " INSERT INTO responses SELECT 'r' || i, 'm', printf('%.500c', 'q'), NULL, printf('%.500c', 'a'), NULL, 'c' || i, NULL FROM n");
    spoil_pages(path, 60, 8);
    assert_fails(ERR_INVALID, store_import(s, path, false, &r, e));
    import_report_release(&r);
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "0");
    store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_archives), T(test_times), T(test_lists), T(test_chatgpt), T(test_claude), T(test_openwebui), T(test_own), T(test_odd_logs), T(test_damaged_logs)};
    int rc = cmocka_run_group_tests_name("store_import_odd", tests, NULL, NULL);
    import_report_release(&report);
    return rc;
}
