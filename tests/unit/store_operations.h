/*
 * store_operations.h - the functions of store.h over a record that has something of everything, for tests in which something underneath
 * fails. Each is one call (or some that change nothing), so that what it leaves behind when it fails can be judged. Included after store_help.h.
 */
#ifndef STORE_OPERATIONS_H
#define STORE_OPERATIONS_H

#include "unit/store_help.h"

/* What was made of the record, and what the operations have made since. */
static struct {
    const char *folder;
    int64_t conv, other, prompt, first, second, streaming, ended, chat;
    struct str file;   /* of the import: its path */
} made;

static inline void record_fill(struct store *s, const char *folder)
{
    memset(&made, 0, sizeof made);
    made.folder = folder;
    made.conv = conversation(s, "Be brief.");
    made.prompt = prompt(s, made.conv, 0, "How many tennis balls?");
    made.first = begin(s, made.conv, made.prompt);
    assert_works(store_add_event(s, made.first, 3, "budget", "300", e));
    assert_works(store_add_span(s, made.first, 0, 0, 3, "say", "user", e));
    end(s, made.first, "One ball.\n\nTwo balls.", "Three of them.", "budget_soft", "complete");
    made.second = reply(s, made.conv, made.prompt, "Another thought. And a second one.", "Four.");
    made.other = conversation(s, "");
    int64_t p = prompt(s, made.other, 0, "Of ball games"), r = reply(s, made.other, p, "", "Yes.");
    reply(s, made.other, prompt(s, made.other, r, "And tennis?"), "Tennis it is.", "\\boxed{2}");
    made.streaming = begin(s, made.other, prompt(s, made.other, r, "Still open"));
    assert_works(store_append_reply(s, made.streaming, "hm", 2, "", 0, e));
}

/* ---- what is taken out again ------------------------------------------------------------------------------------- */

static inline int operation_keep(void *arg, const struct export_record *r, struct err *e)
{
    str_add_bytes(arg, r->bytes, r->len);
    return str_ok((struct str *)arg) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static inline int operation_render(void *arg, const char *family, const char *system, const struct export_turn *turns, size_t n,
                                   const struct export_turn *const *replies, size_t n_replies, struct str *prompt_out, struct str *completions, struct err *e)
{
    (void)arg, (void)family;
    str_add(prompt_out, system);
    for (size_t i = 0; i < n; i++) str_add_bytes(prompt_out, turns[i].prompt ? turns[i].prompt : turns[i].answer, turns[i].prompt ? turns[i].prompt_len : turns[i].answer_len);
    for (size_t i = 0; i < n_replies; i++) str_add_bytes(&completions[i], replies[i]->answer, replies[i]->answer_len);
    for (size_t i = 0; i < n_replies; i++)
        if (!str_ok(&completions[i])) return err_set(e, ERR_NOMEM, "out of memory");
    return str_ok(prompt_out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static inline int operation_count(void *arg, const char *text, size_t n, int64_t *tokens, struct err *e)
{
    (void)arg, (void)text, (void)e;
    *tokens = (int64_t)n / 4;
    return 0;
}

static inline int operation_export(struct store *s, int i, struct err *e)
{
    struct export_options o = {.format = (enum export_format)(i / 2), .render = operation_render, .count_tokens = operation_count};
    const struct export_format_info *info = export_format_info(o.format);
    struct str out = STR_EMPTY;
    if (i % 2) { /* everything that narrows and changes */
        o.search = "ball OR tennis";
        o.model = "Tiny";
        o.min_rating = -1;
        o.endings = "all";
        o.weights = info->task != TASK_DOCUMENT && o.format != EXPORT_OPENAI && o.format != EXPORT_OPENAI_DPO;
        o.weight_up = o.weight_none = o.weight_edited = 1;
        o.max_tokens = 1000;
        o.injected = info->masks ? INJECTED_MASK : INJECTED_DROP;
        o.with_say = o.keep_duplicates = true;
        o.bad_thoughts = BAD_THOUGHTS_KEEP;
        for (enum export_reasoning r = REASONING_STRIP; r > REASONING_DEFAULT; r--)
            if (info->reasonings & 1u << r) o.reasoning = r;
        for (enum export_reasoning r = REASONING_INLINE; r <= REASONING_TEXT; r++)
            if (info->reasonings & 1u << r) o.reasoning = r;
        if (o.injected == INJECTED_MASK) o.reasoning = REASONING_DEFAULT;
    }
    int rc = store_export(s, &o, operation_keep, &out, NULL, e);
    str_release(&out);
    return rc;
}

/* ---- what comes in ------------------------------------------------------------------------------------------------- */

static const char *const operation_files[] = {
    "[{\"title\":\"Balls\",\"create_time\":1714566896.5,\"conversation_id\":\"abc\",\"current_node\":\"n3\",\"mapping\":{\"n3\":{\"parent\":\"n2\",\"children\":[],"
    "\"message\":{\"author\":{\"role\":\"assistant\"},\"metadata\":{\"model_slug\":\"o3\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"Eleven.\"]}}},"
    "\"n2\":{\"parent\":\"n1\",\"children\":[\"n3\"],\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"How many?\"]}}},"
    "\"n1\":{\"parent\":null,\"children\":[\"n2\"],\"message\":{\"author\":{\"role\":\"system\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"Be brief.\"]}}}}}]",
    "[{\"uuid\":\"u1\",\"name\":\"n\",\"created_at\":\"2024-05-01T12:34:56.123456Z\",\"chat_messages\":[{\"uuid\":\"a\",\"sender\":\"human\",\"text\":\"Hi\","
    "\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]},{\"uuid\":\"b\",\"sender\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"greet\"},"
    "{\"type\":\"text\",\"text\":\"Hello\"}]}]}]",
    "[{\"id\":\"w1\",\"title\":\"Web\",\"chat\":{\"params\":{\"system\":\"Be kind.\"},\"history\":{\"currentId\":\"m2\",\"messages\":{\"m1\":{\"id\":\"m1\","
    "\"parentId\":null,\"role\":\"user\",\"content\":\"q\",\"timestamp\":1714566896},\"m2\":{\"id\":\"m2\",\"parentId\":\"m1\",\"role\":\"assistant\",\"model\":\"r1\","
    "\"content\":\"<details type=\\\"reasoning\\\" done=\\\"true\\\">\\n<summary>S</summary>\\n&gt; a\\n</details>\\nyes\",\"annotation\":{\"rating\":-1,"
    "\"reason\":\"lazy\",\"comment\":\"no\"}}}}}}]",
    "{\"conversations\":[{\"from\":\"system\",\"value\":\"S\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"<think>t</think>a\"}]}\n",
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image_url\"}]},{\"role\":\"assistant\",\"content\":\"y\","
    "\"reasoning_content\":\"r\"}]}\nnot json\n",
    "{\"format\":\"ponder\",\"conversations\":[{\"title\":\"own\",\"system\":\"s\",\"created_ms\":5,\"updated_ms\":6,\"leaf\":3,\"messages\":[{\"id\":1,\"role\":\"user\","
    "\"text\":\"a\",\"created_ms\":1},{\"id\":2,\"parent\":1,\"role\":\"assistant\",\"text\":\"b\",\"thought\":\"one two\",\"reply\":{\"model\":\"m\",\"seed\":1,"
    "\"temp\":0.5},\"ratings\":[{\"part\":\"answer\",\"value\":1,\"reasons\":\"[\\\"x\\\"]\"}],\"tags\":[{\"tag\":\"t\"}],\"events\":[{\"position\":1,\"kind\":\"more\"}],"
    "\"spans\":[{\"position\":0,\"byte_offset\":0,\"byte_length\":3,\"kind\":\"say\",\"author\":\"user\"}],\"steps\":[{\"step\":1,\"unit\":\"sentence\",\"byte_offset\":0,"
    "\"byte_length\":3,\"value\":1}]},{\"id\":3,\"parent\":1,\"role\":\"assistant\",\"text\":\"c\",\"thought\":\"one two\",\"reply\":{\"thought_of\":2}}]},"
    "{\"messages\":[{\"id\":1,\"role\":\"king\"}]}],\"votes\":[{\"a\":2,\"b\":3,\"verdict\":\"a\",\"strength\":2}]}",
};

static inline int operation_import(struct store *s, int i, struct err *e)
{
    struct import_report r;
    char path[256];
    snprintf(path, sizeof path, "%s/import", made.folder);
    int rc = file_write_atomic(path, operation_files[i / 2], strlen(operation_files[i / 2]), e);
    if (rc) return rc;
    rc = store_import(s, path, i % 2 == 0, &r, e);
    import_report_release(&r);
    return rc;
}

/* ---- one call each -------------------------------------------------------------------------------------------------- */

#define OPERATION(name, call) \
    static inline int operation_##name(struct store *s, int i, struct err *e) \
    { \
        (void)i; \
        return (call); \
    }
#define READING(name, type, call, release) \
    static inline int operation_##name(struct store *s, int i, struct err *e) \
    { \
        type out = {0}; \
        (void)i; \
        int rc = (call); \
        release(&out); \
        return rc; \
    }

OPERATION(new_conversation, store_new_conversation(s, "Be kind.", &(int64_t){0}, e))
OPERATION(set_system, store_set_system(s, made.conv, "Be exact.", e))
OPERATION(set_title, store_set_title(s, made.conv, "Balls", e))
OPERATION(root_prompt, store_add_prompt(s, made.other, 0, "Again: tennis?", 14, &(int64_t){0}, e))
OPERATION(add_prompt, store_add_prompt(s, made.conv, made.first, "And now?", 8, &made.chat, e))
OPERATION(begin_reply, store_begin_reply(s, &(struct reply_start){.conversation = made.conv, .parent = made.prompt, .model = "Tiny", .system = "", .budget = "9",
                                                                  .thought_of = made.first, .given_from = made.first, .given_len = 5}, &made.ended, e))
OPERATION(append_reply, store_append_reply(s, made.ended, "thought \xe6", 9, "answer", 6, e))
OPERATION(add_event, store_add_event(s, made.ended, 2, "more", NULL, e))
OPERATION(add_span, store_add_span(s, made.ended, 2, 0, 4, "wait", "program", e))
OPERATION(end_reply, store_end_reply(s, made.ended, "\xbc\xa2", 2, ".", 1, &(struct reply_end){.ended = "natural", .answer_ended = "complete"}, e))
OPERATION(set_model_hash, store_set_model_hash(s, "/m/tiny.gguf", "abc", e))
OPERATION(rate_answer, store_rate(s, made.first, PART_ANSWER, 1, "[\"accurate\", \"thorough\"]", "well", e))
OPERATION(rate_thought, store_rate(s, made.first, PART_THOUGHT, -1, NULL, NULL, e))
OPERATION(rate_other, store_rate(s, made.second, PART_ANSWER, -1, "[]", NULL, e))
OPERATION(tag, store_tag(s, made.first, "math", true, e))
OPERATION(tag_conversation, store_tag_conversation(s, made.conv, "all", true, e))
OPERATION(untag, store_tag(s, made.second, "all", false, e))
OPERATION(edit_answer, store_edit(s, made.first, PART_ANSWER, "Three balls.", 12, e))
OPERATION(edit_thought, store_edit(s, made.first, PART_THOUGHT, "Two tennis balls.", 17, e))
OPERATION(set_fold, store_set_fold(s, made.first, "open", e))
OPERATION(vote, store_vote(s, &(struct vote){.a = made.first, .b = made.second, .verdict = VERDICT_A, .strength = 2, .spent_ms = 9}, &(int64_t){0}, e))
OPERATION(add_samples, store_add_samples(s, "vote", (const struct sample_note[]){{made.first, "3", 1}, {made.second, "4", 1}}, 2, 0, e))
OPERATION(good_step, store_rate_step(s, made.first, 1, 1, e))
OPERATION(bad_step, store_rate_step(s, made.first, 2, -1, e))
OPERATION(forget_step, store_rate_step(s, made.first, 2, STEP_NOT_RATED, e))
OPERATION(undo, store_undo(s, 0, &(struct undone){0}, e))
OPERATION(undo_here, store_undo(s, made.conv, &(struct undone){0}, e))
OPERATION(select_branch, store_select_branch(s, made.second, e))
OPERATION(set_review_place, store_set_review_place(s, made.first, e))
OPERATION(review_place, store_review_place(s, &(int64_t){0}, e))
OPERATION(save_draft, store_save_draft(s, made.conv, "half a line", 11, e))
OPERATION(drop_draft, store_save_draft(s, made.other, "", 0, e))
OPERATION(identity, store_identity(s, (char[17]){0}, e))
OPERATION(newest, store_newest(s, &(int64_t){0}, e))
OPERATION(rival, store_rival(s, made.first, &(int64_t){0}, e))
OPERATION(load_vote, store_load_vote(s, made.second, made.first, &(struct vote){0}, e))
OPERATION(totals, store_totals(s, &(struct stats_totals){0}, e))
OPERATION(look_to_redact, store_redact(s, "tennis|three", "***", true, true, &(int64_t){0}, e))
OPERATION(redact, store_redact(s, "tennis|three", "***", true, false, &(int64_t){0}, e))
OPERATION(delete, store_delete(s, made.conv, e))
OPERATION(abandon, store_end_reply(s, made.streaming, "", 0, "", 0, &(struct reply_end){.ended = "stopped"}, e))
READING(load_branch, struct message_list, store_load_branch(s, i ? made.other : made.conv, &out, e), message_list_release)
READING(load_message, struct message_list, store_load_message(s, made.streaming, &out, e), message_list_release)
READING(load_path, struct message_list, store_load_path(s, made.streaming, &out, e), message_list_release)
READING(load_tree, struct message_tree, store_load_tree(s, made.conv, &out, e), message_tree_release)
READING(load_siblings, struct message_tree, store_load_siblings(s, made.first, &out, e), message_tree_release)
READING(load_provenance, struct provenance, store_load_provenance(s, made.first, &out, e), provenance_release)
READING(list, struct conversation_list, store_list(s, 10, 0, &out, e), conversation_list_release)
READING(load_conversation, struct conversation_list, store_load_conversation(s, made.conv, &out, e), conversation_list_release)
READING(search, struct search_hits, store_search(s, i ? "\"two balls\" te" : "ball tennis", SEARCH_ALL, 10, &out, e), search_hits_release)
READING(search_filtered, struct search_hits,
        store_search_filtered(s, "ball", SEARCH_ALL, &(struct search_filter){.model = "Tiny", .tag = "math", .ending = "complete", .rated = true, .rating = 1, .since_ms = 1}, 0, &out, e),
        search_hits_release)
READING(unrated, struct id_list, store_unrated(s, &(struct search_filter){.model = "Tiny"}, "tennis", &out, e), id_list_release)
READING(load_samples, struct sample_list, store_load_samples(s, made.second, &out, e), sample_list_release)
READING(load_steps, struct thought_steps, store_load_steps(s, made.first, &out, e), thought_steps_release)
READING(load_ratings, struct reply_ratings, store_load_ratings(s, made.first, &out, e), reply_ratings_release)
READING(model_speeds, struct model_speeds, store_model_speeds(s, &out, e), model_speeds_release)
READING(load_typed, struct text_list, store_load_typed(s, made.conv, &out, e), text_list_release)
READING(load_draft, struct str, store_load_draft(s, made.conv, &out, e), str_release)
READING(check, struct str, store_check(s, &out, e), str_release)
READING(stats, struct stats_table, store_stats(s, (enum stats_by)i, &out, e), stats_table_release)

static inline int operation_load_system(struct store *s, int i, struct err *e)
{
    char *text = NULL;
    (void)i;
    int rc = store_load_system(s, made.conv, &text, e);
    free(text);
    return rc;
}

static inline int operation_backup(struct store *s, int i, struct err *e)
{
    char path[256];
    (void)i;
    snprintf(path, sizeof path, "%s/backup", made.folder);
    int rc = store_backup(s, path, e);
    unlink(path);
    return rc;
}

struct operation {
    const char *name;
    int (*run)(struct store *s, int i, struct err *e);
    int n;             /* runs with i from 0 to n - 1 */
    bool partly;       /* what was done before it failed may stay: it says so */
};
#define ONE(name) {#name, operation_##name, 1, false}
#define SOME(name, n) {#name, operation_##name, n, false}

/* In an order in which each finds something to do. */
static const struct operation operations[] = {
    ONE(new_conversation), ONE(set_system), ONE(set_title), ONE(root_prompt), ONE(add_prompt), ONE(begin_reply), ONE(append_reply), ONE(add_event), ONE(add_span),
    SOME(load_branch, 2), ONE(load_message), ONE(load_path), ONE(end_reply), ONE(set_model_hash), ONE(rate_answer), ONE(rate_thought), ONE(rate_other), ONE(tag), ONE(tag_conversation),
    ONE(untag), ONE(edit_answer), ONE(edit_thought), ONE(set_fold), ONE(vote), ONE(add_samples), ONE(good_step), ONE(bad_step), ONE(forget_step), ONE(undo),
    ONE(select_branch), ONE(set_review_place), ONE(save_draft), ONE(drop_draft), {"identity", operation_identity, 1, true},
    ONE(load_tree), ONE(load_siblings), ONE(load_provenance), ONE(list), ONE(load_conversation), ONE(load_system), ONE(newest), SOME(search, 2), ONE(search_filtered), ONE(unrated),
    ONE(review_place), ONE(rival), ONE(load_vote), ONE(load_samples), ONE(load_steps), ONE(load_ratings), ONE(model_speeds), ONE(load_typed), ONE(load_draft), ONE(check),
    SOME(stats, 6), ONE(totals), SOME(export, 2 * EXPORT_FORMATS), SOME(import, 2 * (int)ARRAY_LEN(operation_files)), ONE(backup), ONE(undo_here), ONE(abandon), ONE(look_to_redact),
    {"redact", operation_redact, 1, true}, {"delete", operation_delete, 1, true},
};

/* ---- what the record holds ------------------------------------------------------------------------------------------ */

static inline uint64_t digest_add(uint64_t d, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) d = (d ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return d;
}

/* Of every row of every table that is not SQLite's own or made from others. */
static inline uint64_t record_digest(struct store *s)
{
    sqlite3_stmt *tables, *rows;
    uint64_t d = 14695981039346656037u;
    assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'message_index%' ORDER BY name",
                                        -1, &tables, NULL), SQLITE_OK);
    while (sqlite3_step(tables) == SQLITE_ROW) {
        char query[200];
        snprintf(query, sizeof query, "SELECT * FROM \"%s\" ORDER BY 1, 2", (const char *)sqlite3_column_text(tables, 0));
        assert_int_equal(sqlite3_prepare_v2(s->db, query, -1, &rows, NULL), SQLITE_OK);
        while (sqlite3_step(rows) == SQLITE_ROW)
            for (int i = 0; i < sqlite3_column_count(rows); i++) {
                const void *text = sqlite3_column_text(rows, i);
                if (text) d = digest_add(d, text, (size_t)sqlite3_column_bytes(rows, i));
                d = digest_add(d, text ? "|" : "-", 1);
            }
        sqlite3_finalize(rows);
        d = digest_add(d, "#", 1);
    }
    sqlite3_finalize(tables);
    return d;
}

#endif
