/* Turns on their way into the record: trees, streaming, exact bytes, and the columns of the view `turns`. */
#include "unit/store_help.h"

#include <time.h>

static const struct reply_end done = {.ended = "natural", .answer_ended = "complete"};

static void test_conversation_and_title(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "You are terse.");
    struct conversation_list l;
    assert_works(store_load_conversation(s, c, &l, e));
    assert_string_equal(l.items[0].title, "");
    assert_string_equal(l.items[0].system, "You are terse.");
    assert_string_equal(l.items[0].model, "");
    assert_int_equal(l.items[0].n_messages, 0);
    conversation_list_release(&l);
    int64_t p = prompt(s, c, 0, "  \n How many   tennis\tballs does Roger have,\nif he buys two cans of three balls each?");
    int64_t r = reply(s, c, p, "t", "a");
    prompt(s, c, r, "second");
    assert_works(store_load_conversation(s, c, &l, e));
    assert_string_equal(l.items[0].title, "How many tennis balls does Roger have, if he buys two cans o…");
    assert_string_equal(l.items[0].model, "Tiny Q4_1");
    assert_int_equal(l.items[0].n_messages, 3);
    assert_int_equal(l.items[0].leaf, r + 1);
    conversation_list_release(&l);
    assert_works(store_set_title(s, c, "Balls", e));
    assert_works(store_set_system(s, c, "", e));
    assert_works(store_load_conversation(s, c, &l, e));
    assert_string_equal(l.items[0].title, "Balls");
    assert_string_equal(l.items[0].system, "");
    conversation_list_release(&l);
    assert_fails(ERR_NOT_FOUND, store_set_title(s, 99, "x", e));
    assert_fails(ERR_NOT_FOUND, store_load_conversation(s, 99, &l, e));
    assert_int_equal(l.n, 0);
    /* a mark stacked without end takes no columns, but is cut all the same */
    struct str marks = STR_EMPTY;
    for (int i = 0; i < 5000; i++) str_add(&marks, i ? "\xcc\x81" : "e");
    c = conversation(s, "");
    prompt(s, c, 0, str_cstr(&marks));
    assert_true(strlen(one(s, "SELECT title FROM conversations ORDER BY id DESC")) < 500);
    str_release(&marks);
    store_close(s);
    (void)state;
}

static void test_list_newest_first(void **state)
{
    struct store *s = open_store(NULL);
    int64_t newest, a = conversation(s, ""), b = conversation(s, ""), c = conversation(s, "");
    sql(s, "UPDATE conversations SET updated_ms = 1000 * id");
    struct conversation_list l;
    assert_works(store_list(s, 0, 0, &l, e));
    assert_int_equal(l.n, 3);
    assert_int_equal(l.items[0].id, c);
    assert_int_equal(l.items[2].id, a);
    conversation_list_release(&l);
    assert_works(store_list(s, 1, 1, &l, e));
    assert_int_equal(l.n, 1);
    assert_int_equal(l.items[0].id, b);
    conversation_list_release(&l);
    prompt(s, a, 0, "wake up");
    assert_works(store_newest(s, &newest, e));
    assert_int_equal(newest, a);
    store_close(s);
    s = open_store(NULL);
    assert_fails(ERR_NOT_FOUND, store_newest(s, &newest, e));
    assert_works(store_list(s, 0, 0, &l, e));
    assert_int_equal(l.n, 0);
    conversation_list_release(&l);
    store_close(s);
    (void)state;
}

static void test_bad_parents(void **state)
{
    struct store *s = open_store(NULL);
    int64_t a = conversation(s, ""), b = conversation(s, ""), id = 7;
    int64_t p = prompt(s, a, 0, "q"), r = reply(s, a, p, "", "x");
    assert_fails(ERR_NOT_FOUND, store_add_prompt(s, 99, 0, "q", 1, &id, e));
    assert_int_equal(id, 0);
    assert_fails(ERR_NOT_FOUND, store_add_prompt(s, b, r, "q", 1, &id, e));
    assert_fails(ERR_NOT_FOUND, store_add_prompt(s, a, 99, "q", 1, &id, e));
    assert_fails(ERR_NOT_FOUND, store_begin_reply(s, &(struct reply_start){.conversation = b, .parent = p}, &id, e));
    assert_fails(ERR_INVALID, store_begin_reply(s, &(struct reply_start){.conversation = a, .parent = r}, &id, e));
    assert_fails(ERR_INVALID, store_append_reply(s, r, "x", 1, "", 0, e));
    assert_fails(ERR_INVALID, store_end_reply(s, r, "x", 1, "", 0, &done, e));
    assert_fails(ERR_NOT_FOUND, store_add_event(s, p, 0, "budget", NULL, e));
    assert_fails(ERR_NOT_FOUND, store_add_span(s, 99, 0, 0, 1, "lead", "program", e));
    struct message_list l;
    assert_fails(ERR_NOT_FOUND, store_load_branch(s, 99, &l, e));
    assert_fails(ERR_NOT_FOUND, store_load_message(s, 99, &l, e));
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "2");
    check_index(s);
    store_close(s);
    (void)state;
}

/* ids of the active branch, as "1 2 5" */
static const char *branch(struct store *s, int64_t c)
{
    static char out[8][128];
    static unsigned next;
    char *p = out[next++ % 8];
    struct message_list l;
    assert_works(store_load_branch(s, c, &l, e));
    size_t n = 0;
    p[0] = '\0';
    for (size_t i = 0; i < l.n; i++) n += (size_t)snprintf(p + n, 128 - n, i ? " %d" : "%d", (int)l.items[i].id);
    message_list_release(&l);
    return p;
}

static void test_tree(void **state)
{
    struct store *s = open_store(NULL);
    int64_t other = conversation(s, ""), c = conversation(s, "");
    prompt(s, c, 0, "q");     /* 1 */
    reply(s, c, 1, "", "a");  /* 2 */
    prompt(s, c, 2, "q2");    /* 3 */
    reply(s, c, 3, "", "a2"); /* 4 */
    assert_string_equal(branch(s, c), "1 2 3 4");
    reply(s, c, 3, "", "again"); /* 5 */
    assert_string_equal(branch(s, c), "1 2 3 5");
    prompt(s, c, 2, "q2 edited"); /* 6 */
    assert_string_equal(branch(s, c), "1 2 6");
    prompt(s, c, 0, "other root"); /* 7 */
    reply(s, c, 7, "", "b");       /* 8 */
    assert_string_equal(branch(s, c), "7 8");
    reply(s, c, 1, "", "a again"); /* 9 */
    assert_string_equal(branch(s, c), "1 9");
    assert_works(store_select_branch(s, 3, e));
    assert_string_equal(branch(s, c), "1 2 3 5");
    assert_works(store_select_branch(s, 2, e));
    assert_string_equal(branch(s, c), "1 2 6");
    assert_works(store_select_branch(s, 4, e));
    assert_string_equal(branch(s, c), "1 2 3 4");
    assert_works(store_select_branch(s, 1, e));
    assert_string_equal(branch(s, c), "1 9");
    assert_fails(ERR_NOT_FOUND, store_select_branch(s, 77, e));
    assert_string_equal(branch(s, c), "1 9");
    assert_string_equal(branch(s, other), "");
    assert_string_equal(one(s, "SELECT group_concat(message_id) FROM turns WHERE active"), "9");
    assert_string_equal(one(s, "SELECT group_concat(reply_to || '>' || message_id, ' ') FROM (SELECT * FROM turns ORDER BY message_id)"),
                        "1>2 3>4 3>5 7>8 1>9");

    struct message_list l;
    assert_works(store_load_message(s, 5, &l, e));
    assert_int_equal(l.items[0].n_siblings, 2);
    assert_int_equal(l.items[0].sibling, 1);
    assert_int_equal(l.items[0].parent, 3);
    assert_int_equal(l.items[0].role, MESSAGE_REPLY);
    message_list_release(&l);
    assert_works(store_load_message(s, 7, &l, e));
    assert_int_equal(l.items[0].n_siblings, 2);
    assert_int_equal(l.items[0].sibling, 1);
    assert_int_equal(l.items[0].parent, 0);
    assert_int_equal(l.items[0].role, MESSAGE_USER);
    message_list_release(&l);
    /* ids stay what they were after everything is gone */
    assert_works(store_delete(s, c, e));
    assert_int_equal(prompt(s, other, 0, "new"), 10);
    assert_int_equal(conversation(s, ""), c + 1);
    check_index(s);
    store_close(s);
    (void)state;
}

static void test_streaming(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db")), *other = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = begin(s, c, p);
    struct message_list l;
    assert_works(store_append_reply(s, r, "Let me ", 7, NULL, 0, e));
    assert_works(store_append_reply(s, r, "see.", 4, "El", 2, e));
    assert_works(store_append_reply(s, r, NULL, 0, "even", 4, e));
    assert_works(store_append_reply(s, r, NULL, 0, NULL, 0, e));
    for (int i = 0; i < 2; i++) {
        assert_works(store_load_branch(i ? other : s, c, &l, e));
        assert_int_equal(l.n, 2);
        assert_true(l.items[1].streaming);
        assert_string_equal(l.items[1].thought, "Let me see.");
        assert_string_equal(l.items[1].text, "Eleven");
        assert_string_equal(l.items[1].ended, "");
        assert_string_equal(l.items[1].budget, "400");
        assert_false(l.items[0].streaming);
        message_list_release(&l);
    }
    assert_string_equal(one(other, "SELECT ended IS NULL AND answer_ended IS NULL AND thought_tokens IS NULL FROM turns"), "1");
    assert_string_equal(one(other, "SELECT thought || '|' || answer FROM turns"), "Let me see.|Eleven");
    assert_fails(ERR_INVALID, store_rate(other, r, PART_ANSWER, 1, NULL, NULL, e));
    assert_fails(ERR_INVALID, store_edit(s, r, PART_ANSWER, "x", 1, e));
    assert_fails(ERR_INVALID, store_tag(s, r, "x", true, e));
    assert_fails(ERR_INVALID, store_append_reply(other, r, "x", 1, NULL, 0, e));
    struct search_hits h;
    assert_works(store_search(s, "Eleven", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 0);
    search_hits_release(&h);
    end(s, r, " So.", " balls.", "budget_hard", "complete");
    assert_works(store_load_branch(other, c, &l, e));
    assert_false(l.items[1].streaming);
    assert_string_equal(l.items[1].thought, "Let me see. So.");
    assert_string_equal(l.items[1].text, "Eleven balls.");
    assert_string_equal(l.items[1].ended, "budget_hard");
    assert_string_equal(l.items[1].answer_ended, "complete");
    assert_string_equal(l.items[1].budget_final, "300");
    assert_int_equal(l.items[1].thought_tokens, 12);
    assert_int_equal(l.items[1].thought_ms, 1500);
    assert_true(l.items[1].tokens_per_s == 8.5);
    message_list_release(&l);
    assert_string_equal(one(s, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM streams)"), "0");
    assert_works(store_search(s, "Eleven", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 1);
    search_hits_release(&h);
    assert_fails(ERR_INVALID, store_append_reply(s, r, "x", 1, NULL, 0, e));
    check_index(s);
    store_close(s);
    store_close(other);
}

/* Wherever a stream is cut, the text is the same; what is no UTF-8 becomes U+FFFD, and a NUL stays. */
static void test_exact_bytes(void **state)
{
    static const char text[] = "a\0b é 漢 😀 \xff\xfe \xe6\xbc z\xf0\x9f\x98";
    static const char kept[] = "a\0b é 漢 😀 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd z\xef\xbf\xbd";
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    struct message_list l;
    for (size_t step = 1; step <= 7; step++) {
        int64_t p, r;
        assert_works(store_add_prompt(s, c, 0, text, sizeof text - 1, &p, e));
        r = begin(s, c, p);
        size_t at = 0;
        for (; at + step < sizeof text - 1; at += step) assert_works(store_append_reply(s, r, text + at, step, text + at, step, e));
        assert_works(store_end_reply(s, r, text + at, sizeof text - 1 - at, text + at, sizeof text - 1 - at, &done, e));
        assert_works(store_load_branch(s, c, &l, e));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(l.items[i].text_len, sizeof kept - 1);
            assert_memory_equal(l.items[i].text, kept, sizeof kept);
        }
        assert_int_equal(l.items[1].thought_len, sizeof kept - 1);
        assert_memory_equal(l.items[1].thought, kept, sizeof kept);
        message_list_release(&l);
    }
    assert_string_equal(one(s, "SELECT length(CAST(answer AS BLOB)) = length(CAST(thought AS BLOB)) FROM turns"), "1");
    check_index(s);
    /* as it streams, only whole characters show */
    int64_t r = begin(s, c, prompt(s, c, 0, "q"));
    assert_works(store_append_reply(s, r, "\xe6\xbc", 2, "x\xf0", 2, e));
    assert_works(store_load_message(s, r, &l, e));
    assert_string_equal(l.items[0].thought, "");
    assert_string_equal(l.items[0].text, "x");
    message_list_release(&l);
    assert_works(store_append_reply(s, r, "\xa2", 1, "\x9f\x98\x80", 3, e));
    assert_works(store_load_message(s, r, &l, e));
    assert_string_equal(l.items[0].thought, "漢");
    assert_string_equal(l.items[0].text, "x😀");
    message_list_release(&l);
    store_close(s);
    (void)state;
}

static void test_turns_view(void **state)
{
    static const char columns[] =
        "message_id,conversation_id,reply_to,active,created_at,model,model_sha256,system,prompt,thought,answer,"
        "thought_tokens,answer_tokens,thought_ms,answer_ms,budget,budget_final,ended,answer_ended,thought_rating,"
        "answer_rating,thought_reasons,answer_reasons,thought_comment,answer_comment,edited_thought,edited_answer,tags,seed,"
        "quant,family,adapter,engine_version,temp,top_k,top_p,min_p,repeat_penalty,extensions,escaped,tokens_per_s,think,cot,thought_of";
    struct store *s = open_store(NULL);
    int64_t before = clock_wall_ms(), c = conversation(s, "conversation's own");
    int64_t p = prompt(s, c, 0, "How many?"), r = begin(s, c, p);
    assert_string_equal(one(s, "SELECT group_concat(name) FROM pragma_table_info('turns')"), columns);
    end(s, r, "5 + 6", "11", "answer_now", "length");
    assert_string_equal(
        one(s, "SELECT message_id || ' ' || conversation_id || ' ' || reply_to || ' ' || active || ' ' || model || ' ' || system || ' '"
               " || prompt || ' ' || thought || ' ' || answer || ' ' || thought_tokens || ' ' || answer_tokens || ' ' || thought_ms || ' '"
               " || answer_ms || ' ' || budget || ' ' || budget_final || ' ' || ended || ' ' || answer_ended || ' ' || seed FROM turns"),
        "2 1 1 1 Tiny Q4_1 Be brief. How many? 5 + 6 11 12 5 1500 600 400 300 answer_now length 42");
    assert_string_equal(one(s, "SELECT thought_rating || answer_rating || thought_reasons || answer_reasons || tags FROM turns"),
                        "00[][][]");
    assert_string_equal(
        one(s, "SELECT coalesce(thought_comment, answer_comment, edited_thought, edited_answer, model_sha256, 'all null') FROM turns"),
        "all null");
    char iso[32];
    clock_iso8601(before, iso);
    assert_memory_equal(one(s, "SELECT created_at FROM turns"), iso, 17);
    sql(s, "UPDATE messages SET created_ms = 1768469400007");
    assert_string_equal(one(s, "SELECT created_at FROM turns"), "2026-01-15T09:30:00.007Z");
    assert_works(store_set_model_hash(s, "/m/other.gguf", "ff", e));
    assert_string_equal(one(s, "SELECT model_sha256 FROM turns"), "NULL");
    assert_works(store_set_model_hash(s, "/m/tiny.gguf", "abc123", e));
    assert_works(store_set_model_hash(s, "/m/tiny.gguf", "later", e));
    assert_string_equal(one(s, "SELECT model_sha256 FROM turns"), "abc123");
    assert_works(store_rate(s, r, PART_ANSWER, 1, "[\"accurate\", \"thorough\"]", "good \"one\"", e));
    assert_works(store_rate(s, r, PART_THOUGHT, -1, NULL, NULL, e));
    assert_works(store_edit(s, r, PART_THOUGHT, "5 + 2 * 3", 9, e));
    assert_works(store_tag(s, r, "math", true, e));
    assert_works(store_tag(s, r, "a\"b\\c é", true, e));
    assert_string_equal(
        one(s, "SELECT thought_rating || ' ' || answer_rating || answer_reasons || answer_comment || edited_thought || tags FROM turns"),
        "-1 1[\"accurate\",\"thorough\"]good \"one\"5 + 2 * 3[\"a\\\"b\\\\c é\",\"math\"]");
    assert_string_equal(one(s, "SELECT thought || answer FROM turns"), "5 + 611");
    store_close(s);
    (void)state;
}

static void test_provenance_events_spans(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), r = begin(s, c, prompt(s, c, 0, "q"));
    assert_works(store_add_event(s, r, 12, "budget", "200", e));
    assert_works(store_add_event(s, r, 30, "pause", NULL, e));
    assert_works(store_add_span(s, r, 3, 10, 5, "say", "user", e));
    end(s, r, "t", "a", "natural", "complete");
    assert_string_equal(one(s, "SELECT group_concat(position || kind || coalesce(value, '-')) FROM events"), "12budget200,30pause-");
    assert_string_equal(one(s, "SELECT position || ' ' || byte_offset || ' ' || byte_length || kind || author FROM spans"),
                        "3 10 5sayuser");
    assert_string_equal(
        one(s,
            "SELECT model_file || quant || family || engine_version || kernels || threads || ' ' || temp || ' ' || top_k || ' ' || top_p"
            " || ' ' || min_p || ' ' || repeat_penalty || ' ' || think_min || ' ' || answer_max || ' ' || prompt_tokens || ' ' || context"
            " || ' ' || prefill_ms FROM replies"),
        "/m/tiny.ggufQ4_1chatml0.1scalar2 0.5 40 0.9 0.05 1.1 3 100 17 2048 90");
    store_close(s);
    (void)state;
}

static void test_drafts_and_fold(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(s, ""), r = reply(s, c, prompt(s, c, 0, "q"), "t", "a");
    struct str out = STR_EMPTY;
    assert_works(store_load_draft(s, c, &out, e));
    assert_int_equal(out.len, 0);
    assert_works(store_save_draft(s, c, "half a", 6, e));
    assert_works(store_save_draft(s, c, "half a sent\0ence", 16, e));
    assert_works(store_save_draft(s, 0, "homeless", 8, e));
    assert_works(store_set_fold(s, r, "open", e));
    assert_fails(ERR_NOT_FOUND, store_set_fold(s, 99, "open", e));
    store_close(s);
    s = open_store(path_in(*state, "p.db"));
    assert_works(store_load_draft(s, c, &out, e));
    assert_int_equal(out.len, 16);
    assert_memory_equal(out.data, "half a sent\0ence", 16);
    str_clear(&out);
    assert_works(store_load_draft(s, 0, &out, e));
    assert_string_equal(str_cstr(&out), "homeless");
    struct message_list l;
    assert_works(store_load_message(s, r, &l, e));
    assert_string_equal(l.items[0].fold, "open");
    message_list_release(&l);
    assert_works(store_set_fold(s, r, "", e));
    assert_string_equal(one(s, "SELECT fold FROM messages WHERE fold IS NOT NULL"), "no row");
    assert_works(store_save_draft(s, 0, "", 0, e));
    assert_works(store_delete(s, c, e));
    assert_string_equal(one(s, "SELECT count(*) FROM drafts"), "0");
    str_release(&out);
    store_close(s);
}

/* Messages are 10,000 deep on one branch: nothing is quadratic, nothing recurses. */
static void test_long_branch(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), parent = 0;
    sql(s, "PRAGMA synchronous = OFF");
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < 5000; i++) {
        parent = prompt(s, c, parent, "question");
        parent = reply(s, c, parent, "thought", "answer");
    }
    struct message_list l;
    assert_works(store_load_branch(s, c, &l, e));
    assert_int_equal(l.n, 10000);
    message_list_release(&l);
    assert_string_equal(one(s, "SELECT count(*) FROM turns WHERE active"), "5000");
    assert_works(store_select_branch(s, 2, e));
    struct export_counts counts;
    assert_works(store_export(s, &(struct export_options){0}, NULL, NULL, &counts, e));
    assert_int_equal(counts.records, 1);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 30);
    store_close(s);
    (void)state;
}

static void *talk(void *arg)
{
    struct store *s = arg;
    int64_t c, p, r;
    const struct reply_end over = {.ended = "natural", .answer_ended = "complete"};
    struct message_list l = {0};
    if (store_new_conversation(s, "", &c, NULL)) return NULL;
    for (int i = 0; i < 50; i++) {
        if (store_add_prompt(s, c, 0, "q", 1, &p, NULL)) return NULL;
        if (store_begin_reply(s, &(struct reply_start){.conversation = c, .parent = p}, &r, NULL)) return NULL;
        if (store_append_reply(s, r, "th", 2, "an", 2, NULL) || store_end_reply(s, r, "ought", 5, "swer", 4, &over, NULL)) return NULL;
        if (store_load_branch(s, c, &l, NULL)) return NULL;
        bool good = l.n == 2 && l.items[1].id == r && !strcmp(l.items[1].thought, "thought") && !strcmp(l.items[1].text, "answer");
        message_list_release(&l);
        if (!good) return NULL;
    }
    return s;
}

static void test_threads(void **state)
{
    struct store *s = open_store(NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, s), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, s);
    }
    assert_string_equal(one(s, "SELECT count(*) FROM turns"), "200");
    check_index(s);
    store_close(s);
    (void)state;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_conversation_and_title),
        T(test_list_newest_first),
        T(test_bad_parents),
        T(test_tree),
        T(test_streaming),
        T(test_exact_bytes),
        T(test_turns_view),
        T(test_provenance_events_spans),
        T(test_drafts_and_fold),
        T(test_long_branch),
        T(test_threads),
    };
    return cmocka_run_group_tests_name("store_write", tests, NULL, NULL);
}
