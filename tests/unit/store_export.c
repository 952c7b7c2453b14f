/* Fine-tuning data: which replies, in what shape. */
#include "unit/store_help.h"

#include <jansson.h>

struct sink {
    struct str text;
    int calls, fail_at;
};

static int take(void *arg, const struct export_record *r, struct err *e)
{
    struct sink *k = arg;
    if (++k->calls == k->fail_at) return err_set(e, ERR_FULL, "no more");
    str_add_bytes(&k->text, r->bytes, r->len);
    return 0;
}

static struct export_counts counts;

/* The export as text; valid until the next. */
static const char *export(struct store *s, struct export_options o)
{
    static struct sink k;
    str_release(&k.text);
    k = (struct sink){0};
    assert_works(store_export(s, &o, take, &k, &counts, e));
    struct export_counts dry;
    assert_works(store_export(s, &o, NULL, NULL, &dry, e));
    assert_memory_equal(&dry, &counts, sizeof dry);
    return str_cstr(&k.text);
}

#define U(text)           "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A(text)           "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define AT(text, thought) "{\"role\":\"assistant\",\"content\":\"" text "\",\"reasoning_content\":\"" thought "\"}"
#define S                 "{\"role\":\"system\",\"content\":\"Be brief.\"}"
#define LINE(messages)    "{\"messages\":[" S "," messages "]}\n"

static void test_shapes(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    int64_t r = reply(s, c, prompt(s, c, 0, "one \"q\" \xc3\xa9\n\x01"), "first\n", "a1");
    reply(s, c, prompt(s, c, r, "two"), "\nsecond", "a2");
    assert_string_equal(export(s, (struct export_options){0}),
                        LINE(U("one \\\"q\\\" é\\n\\u0001") "," AT("a1", "first\\n") "," U("two") "," AT("a2", "\\nsecond")));
    assert_int_equal(counts.records, 1);
    assert_int_equal(counts.replies_seen, 2);
    assert_string_equal(export(s, (struct export_options){.reasoning = REASONING_INLINE}),
                        LINE(U("one \\\"q\\\" é\\n\\u0001") "," A("a1") "," U("two") "," A("<think>\\nsecond\\n</think>\\n\\na2")));
    assert_string_equal(export(s, (struct export_options){.reasoning = REASONING_STRIP}),
                        LINE(U("one \\\"q\\\" é\\n\\u0001") "," A("a1") "," U("two") "," A("a2")));
    store_close(s);
    (void)state;
}

static const char *key(void *arg, const char *family)
{
    assert_string_equal(family, "chatml");
    return arg;
}

static void test_no_thought_no_system_other_key(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q");
    reply(s, c, p, "", "a");
    sql(s, "UPDATE replies SET system = ''");
    assert_string_equal(export(s, (struct export_options){0}), "{\"messages\":[" U("q") "," A("a") "]}\n");
    assert_string_equal(export(s, (struct export_options){.reasoning = REASONING_INLINE}), "{\"messages\":[" U("q") "," A("a") "]}\n");
    reply(s, c, p, "t", "b");
    assert_non_null(
        strstr(export(s, (struct export_options){.thought_key = key, .arg = (void *)"thinking"}), "\"content\":\"b\",\"thinking\":\"t\"}"));
    assert_non_null(strstr(export(s, (struct export_options){.thought_key = key}), "\"content\":\"b\",\"reasoning_content\":\"t\"}"));
    store_close(s);
    (void)state;
}

/* Each way from the root once, in its longest form. */
static void test_branches(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    int64_t p1 = prompt(s, c, 0, "p1"), a = reply(s, c, p1, "", "A"), b = reply(s, c, p1, "", "B");
    int64_t p2 = prompt(s, c, a, "p2"), d = reply(s, c, p2, "", "D");
    reply(s, c, p2, "", "E");
    prompt(s, c, d, "unanswered");
    assert_string_equal(export(s, (struct export_options){0}), LINE(U("p1") "," A("B")) LINE(U("p1") "," A("A") "," U("p2") "," A("D"))
                                                                   LINE(U("p1") "," A("A") "," U("p2") "," A("E")));
    assert_int_equal(counts.records, 3);
    assert_int_equal(counts.replies_seen, 4);
    /* a reply rated down ends the way above it */
    assert_works(store_rate(s, d, PART_ANSWER, -1, NULL, NULL, e));
    assert_works(store_rate(s, b, PART_ANSWER, -1, NULL, NULL, e));
    assert_string_equal(export(s, (struct export_options){0}), LINE(U("p1") "," A("A") "," U("p2") "," A("E")));
    assert_int_equal(counts.left_rating, 2);
    assert_works(store_rate(s, a, PART_ANSWER, -1, NULL, NULL, e));
    assert_string_equal(export(s, (struct export_options){0}), "");
    assert_int_equal(counts.left_rating, 4);
    /* unless it is asked for */
    assert_string_equal(export(s, (struct export_options){.min_rating = -1}),
                        LINE(U("p1") "," A("B")) LINE(U("p1") "," A("A") "," U("p2") "," A("D"))
                            LINE(U("p1") "," A("A") "," U("p2") "," A("E")));
    /* a thought rated down is left out, and its answer stays */
    assert_works(store_rate(s, a, PART_ANSWER, 0, NULL, NULL, e));
    assert_works(store_rate(s, a, PART_THOUGHT, -1, NULL, NULL, e));
    export(s, (struct export_options){0});
    assert_int_equal(counts.records, 1);
    store_close(s);
    (void)state;
}

/* With a filter the shorter way is exported where only its end is asked for. */
static void test_filters(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    int64_t a = reply(s, c, prompt(s, c, 0, "apples"), "t1", "A"), b = reply(s, c, prompt(s, c, a, "pears"), "t2", "B");
    const char *first = LINE(U("apples") "," AT("A", "t1")), *both = LINE(U("apples") "," AT("A", "t1") "," U("pears") "," AT("B", "t2"));
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_string_equal(export(s, (struct export_options){.min_rating = 1}), first);
    assert_int_equal(counts.left_rating, 1);
    assert_works(store_rate(s, a, PART_ANSWER, 0, NULL, NULL, e));
    assert_works(store_rate(s, b, PART_ANSWER, 1, NULL, NULL, e));
    assert_string_equal(export(s, (struct export_options){.min_rating = 1}), both);
    assert_works(store_tag(s, a, "fruit", true, e));
    assert_string_equal(export(s, (struct export_options){.tag = "fruit"}), first);
    assert_int_equal(counts.left_filter, 1);
    assert_string_equal(export(s, (struct export_options){.tag = "frui"}), "");
    assert_string_equal(export(s, (struct export_options){.search = "pears"}), both);
    assert_string_equal(export(s, (struct export_options){.search = "t1"}), first);
    assert_string_equal(export(s, (struct export_options){.search = "plums"}), "");
    assert_string_equal(export(s, (struct export_options){.model = "tiny"}), both);
    assert_string_equal(export(s, (struct export_options){.model = "huge"}), "");
    sql(s, "UPDATE messages SET created_ms = 1000 * id");
    assert_string_equal(export(s, (struct export_options){.until_ms = 4000}), first);
    assert_string_equal(export(s, (struct export_options){.until_ms = 4001}), both);
    assert_string_equal(export(s, (struct export_options){.since_ms = 4000}), both);
    assert_string_equal(export(s, (struct export_options){.since_ms = 4001}), "");
    store_close(s);
    (void)state;
}

static void test_endings(void **state)
{
    static const char *const thoughts[] = {"none", "natural", "answer_now",   "budget_soft", "budget_hard",
                                           "loop", "stopped", "context_full", "interrupted", "error"};
    static const char *const answers[] = {"length", "stopped", "context_full", "interrupted", "error"};
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q");
    char text[40];
    for (size_t i = 0; i < ARRAY_LEN(thoughts); i++) {
        snprintf(text, sizeof text, "T%s", thoughts[i]);
        end(s, begin(s, c, p), "t", text, thoughts[i], "complete");
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        snprintf(text, sizeof text, "A%s", answers[i]);
        end(s, begin(s, c, p), "t", text, "natural", answers[i]);
    }
    end(s, begin(s, c, p), "only thought", "", "stopped", NULL);
    int64_t running = begin(s, c, p);
    assert_works(store_append_reply(s, running, "t", 1, "a", 1, e));
    const char *out = export(s, (struct export_options){0});
    for (size_t i = 0; i < 5; i++) assert_non_null(strstr(out, thoughts[i]));
    assert_int_equal(counts.records, 5);
    assert_int_equal(counts.left_ending, 10);
    assert_int_equal(counts.left_unfinished, 2);
    assert_int_equal(counts.replies_seen, 17);
    export(s, (struct export_options){.endings = ""});
    assert_int_equal(counts.records, 5);
    export(s, (struct export_options){.endings = "all"});
    assert_int_equal(counts.records, 15);
    out = export(s, (struct export_options){.endings = "loop"});
    assert_int_equal(counts.records, 1);
    assert_non_null(strstr(out, "Tloop"));
    out = export(s, (struct export_options){.endings = "natural,length"});
    assert_int_equal(counts.records, 2);
    assert_non_null(strstr(out, "Tnatural"));
    assert_non_null(strstr(out, "Alength"));
    export(s, (struct export_options){.endings = "length"});
    assert_int_equal(counts.records, 6);
    assert_fails(ERR_USAGE, store_export(s, &(struct export_options){.endings = "natural,bogus"}, NULL, NULL, NULL, e));
    assert_fails(ERR_USAGE, store_export(s, &(struct export_options){.endings = "ALL"}, NULL, NULL, NULL, e));
    store_close(s);
    (void)state;
}

/* A corrected text stands for the original, whatever was said of that. */
static void test_corrections(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), r = begin(s, c, prompt(s, c, 0, "q"));
    end(s, r, "bad thought", "bad ans", "natural", "length");
    assert_works(store_rate(s, r, PART_ANSWER, -1, NULL, NULL, e));
    assert_string_equal(export(s, (struct export_options){0}), "");
    assert_works(store_edit(s, r, PART_ANSWER, "good answer", 11, e));
    assert_string_equal(export(s, (struct export_options){.min_rating = 1}), LINE(U("q") "," AT("good answer", "bad thought")));
    assert_works(store_edit(s, r, PART_THOUGHT, "good thought", 12, e));
    assert_string_equal(export(s, (struct export_options){0}), LINE(U("q") "," AT("good answer", "good thought")));
    assert_works(store_edit(s, r, PART_THOUGHT, "", 0, e));
    assert_string_equal(export(s, (struct export_options){0}), LINE(U("q") "," A("good answer")));
    assert_works(store_edit(s, r, PART_ANSWER, "", 0, e));
    assert_string_equal(export(s, (struct export_options){0}), "");
    assert_int_equal(counts.left_unfinished, 1);
    store_close(s);
    (void)state;
}

static void test_duplicates_order_and_failure(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    int64_t c = 0;
    sql(s, "PRAGMA synchronous = OFF"); /* the order of many is meant here, not their safety */
    for (int i = 0; i < 3; i++) {
        c = conversation(s, "");
        reply(s, c, prompt(s, c, 0, "same"), "t", "same");
    }
    for (int i = 0; i < 1200; i++) {
        char text[40];
        snprintf(text, sizeof text, "answer %d", i);
        reply(s, c, 5, "", text);
    }
    char *first = strdup(export(s, (struct export_options){0}));
    assert_int_equal(counts.duplicates, 2);
    assert_int_equal(counts.records, 1201);
    store_close(s);
    s = open_store(path_in(*state, "p.db"));
    assert_string_equal(export(s, (struct export_options){0}), first);
    /* every line is JSON by itself */
    int lines = 0;
    for (char *line = strtok(first, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        json_t *j = json_loads(line, 0, NULL);
        assert_true(json_is_array(json_object_get(j, "messages")));
        json_decref(j);
    }
    assert_int_equal(lines, 1201);
    free(first);
    struct sink k = {.fail_at = 7};
    assert_fails(ERR_FULL, store_export(s, &(struct export_options){0}, take, &k, &counts, e));
    assert_int_equal(k.calls, 7);
    str_release(&k.text);
    assert_works(store_set_title(s, c, "still writable", e));
    store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_shapes),      T(test_no_thought_no_system_other_key), T(test_branches), T(test_filters), T(test_endings),
        T(test_corrections), T(test_duplicates_order_and_failure),
    };
    return cmocka_run_group_tests_name("store_export", tests, NULL, NULL);
}
