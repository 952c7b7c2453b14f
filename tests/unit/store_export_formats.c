/* Every format's shape, pairs, labels, steps, injected text, weights, limits and splits. */
#include "unit/store_help.h"

#include <jansson.h>

static struct str sink;
static struct export_counts counts;
static int64_t trees[64];
static size_t n_trees;

static int take(void *arg, const struct export_record *r, struct err *e)
{
    str_add_bytes(&sink, r->bytes, r->len);
    if (n_trees < ARRAY_LEN(trees)) trees[n_trees++] = r->tree;
    (void)arg, (void)e;
    return 0;
}

/* The export as text; valid until the next. What only counts counts the same. */
static const char *export(struct store *s, struct export_options o)
{
    struct export_counts dry;
    str_release(&sink);
    n_trees = 0;
    assert_works(store_export(s, &o, take, NULL, &counts, e));
    assert_works(store_export(s, &o, NULL, NULL, &dry, e));
    assert_memory_equal(&dry, &counts, sizeof dry);
    return str_cstr(&sink);
}

static const char *as(struct store *s, enum export_format f)
{
    return export(s, (struct export_options){.format = f});
}

static int64_t vote(struct store *s, int64_t a, int64_t b, enum verdict v, int strength)
{
    int64_t id = 0;
    assert_works(store_vote(s, &(struct vote){.a = a, .b = b, .verdict = v, .strength = strength, .spent_ms = -1}, &id, e));
    return id;
}

#define SYS               "{\"role\":\"system\",\"content\":\"Be brief.\"}"
#define U(text)           "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A(text)           "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define AT(text, thought) "{\"role\":\"assistant\",\"content\":\"" text "\",\"reasoning_content\":\"" thought "\"}"

/* q -> (ta) A  -> r -> (tb) B */
static struct store *two_turns(void)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), a = reply(s, c, prompt(s, c, 0, "q"), "ta", "A");
    reply(s, c, prompt(s, c, a, "r"), "tb", "B");
    return s;
}

static void test_ways(void **state)
{
    struct store *s = two_turns();
    assert_string_equal(as(s, EXPORT_SFT), "{\"messages\":[" SYS "," U("q") "," AT("A", "ta") "," U("r") "," AT("B", "tb") "]}\n");
    assert_string_equal(as(s, EXPORT_SFT_PC),
                        "{\"prompt\":[" SYS
                        "," U("q") "],\"completion\":[" AT("A", "ta") "]}\n"
                                                                      "{\"prompt\":[" SYS "," U("q") "," AT("A", "ta") "," U(
                                                                          "r") "],\"completion\":[" AT("B", "tb") "]}\n");
    assert_string_equal(as(s, EXPORT_OPENAI), "{\"messages\":[" SYS "," U("q") "," A("A") "," U("r") "," A("B") "]}\n");
    assert_string_equal(as(s, EXPORT_SHAREGPT),
                        "{\"conversations\":[{\"from\":\"system\",\"value\":\"Be "
                        "brief.\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"A\"},"
                        "{\"from\":\"human\",\"value\":\"r\"},{\"from\":\"gpt\",\"value\":\"<think>\\ntb\\n</think>\\n\\nB\"}]}\n");
    assert_string_equal(as(s, EXPORT_ALPACA),
                        "{\"instruction\":\"r\",\"input\":\"\",\"output\":\"<think>\\ntb\\n</think>\\n\\nB\",\"system\":\"Be brief.\","
                        "\"history\":[[\"q\",\"A\"]]}\n");
    assert_string_equal(
        as(s, EXPORT_LLAMAFACTORY),
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"A\"},{\"from\":\"human\",\"value\":\"r\"},"
        "{\"from\":\"gpt\",\"value\":\"<think>\\ntb\\n</think>\\n\\nB\"}],\"system\":\"Be brief.\"}\n");
    assert_string_equal(as(s, EXPORT_AXOLOTL), "{\"messages\":[" SYS "," U("q") "," AT("A", "ta") "," U("r") "," AT("B", "tb") "]}\n");
    assert_int_equal(counts.from_none, 1);
    assert_int_equal(counts.thoughts, 1);
    /* two prompts in a row are one turn where turns must alternate */
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "one");
    reply(s, c, prompt(s, c, p, "two"), "", "three");
    assert_non_null(strstr(as(s, EXPORT_ALPACA), "{\"instruction\":\"one\\n\\ntwo\",\"input\":\"\",\"output\":\"three\""));
    store_close(s);
    (void)state;
}

static void test_pairs(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "ta", "A"), b = reply(s, c, p, "tb", "B"),
            d = reply(s, c, p, "", "D");
    vote(s, b, a, VERDICT_A, 3);
    assert_string_equal(as(s, EXPORT_DPO),
                        "{\"prompt\":[" SYS "," U("q") "],\"chosen\":[" AT("B", "tb") "],\"rejected\":[" AT("A", "ta") "]}\n");
    assert_int_equal(counts.from_votes, 1);
    assert_string_equal(as(s, EXPORT_REWARD), "{\"prompt\":[" SYS "," U("q") "],\"chosen\":[" AT("B", "tb") "],\"rejected\":[" AT(
                                                  "A", "ta") "],\"margin\":3.0}\n");
    assert_string_equal(as(s, EXPORT_OPENAI_DPO), "{\"input\":{\"messages\":[" SYS
                                                  "," U("q") "],\"tools\":[],\"parallel_tool_calls\":true},"
                                                             "\"preferred_output\":[" A("B") "],\"non_preferred_output\":[" A("A") "]}\n");
    assert_string_equal(as(s, EXPORT_LLAMAFACTORY_DPO),
                        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}],\"chosen\":{\"from\":\"gpt\",\"value\":\"<think>"
                        "\\ntb\\n</think>\\n\\nB\"},"
                        "\"rejected\":{\"from\":\"gpt\",\"value\":\"<think>\\nta\\n</think>\\n\\nA\"},\"system\":\"Be brief.\"}\n");
    assert_string_equal(as(s, EXPORT_AXOLOTL_DPO),
                        "{\"messages\":[" SYS "," U("q") "],\"chosen\":" AT("B", "tb") ",\"rejected\":" AT("A", "ta") "}\n");
    export(s, (struct export_options){.format = EXPORT_DPO, .min_strength = 3});
    assert_int_equal(counts.records, 1);
    vote(s, b, a, VERDICT_A, 2);
    export(s, (struct export_options){.format = EXPORT_DPO, .min_strength = 3});
    assert_int_equal(counts.left_strength, 1);
    /* without a winner there is no pair, and ratings do not speak over a vote */
    vote(s, a, b, VERDICT_TIE, 0);
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_works(store_rate(s, b, PART_ANSWER, -1, NULL, NULL, e));
    assert_works(store_rate(s, d, PART_ANSWER, -1, NULL, NULL, e));
    assert_string_equal(as(s, EXPORT_DPO), "{\"prompt\":[" SYS "," U("q") "],\"chosen\":[" AT("A", "ta") "],\"rejected\":[" A("D") "]}\n");
    assert_int_equal(counts.left_verdict, 1);
    assert_int_equal(counts.left_contrary, 1);
    assert_int_equal(counts.from_ratings, 1);
    /* but a skipped vote says nothing */
    vote(s, a, b, VERDICT_SKIP, 0);
    as(s, EXPORT_DPO);
    assert_int_equal(counts.from_ratings, 2);
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_VOTES | PAIRS_EDITS});
    assert_int_equal(counts.records, 0);
    /* a correction stands over the original; its old rating does not count for it */
    assert_works(store_edit(s, a, PART_ANSWER, "AA", 2, e));
    assert_string_equal(export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_EDITS}),
                        "{\"prompt\":[" SYS "," U("q") "],\"chosen\":[" AT("AA", "ta") "],\"rejected\":[" AT("A", "ta") "]}\n");
    assert_works(store_edit(s, a, PART_ANSWER, "A", 1, e));
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_EDITS});
    assert_int_equal(counts.left_same, 1);
    /* nor is a thought chosen that was rated down */
    assert_works(store_rate(s, a, PART_THOUGHT, -1, NULL, NULL, e));
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_RATINGS});
    assert_int_equal(counts.left_thought, 2);
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_RATINGS, .reasoning = REASONING_STRIP});
    assert_int_equal(counts.records, 2);
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_RATINGS, .bad_thoughts = BAD_THOUGHTS_KEEP});
    assert_int_equal(counts.records, 2);
    store_close(s);
    (void)state;
}

/* Replies to the same messages pair across conversations; those to others, or under another system text, do not. */
static void test_pairs_across(void **state)
{
    struct store *s = open_store(NULL);
    int64_t ids[4];
    for (int i = 0; i < 4; i++) {
        char answer[16];
        int64_t c = conversation(s, ""), first = reply(s, c, prompt(s, c, 0, "q"), i == 1 ? "other thought" : "", "same");
        snprintf(answer, sizeof answer, "a%d", i < 3 ? i : 0);
        ids[i] = reply(s, c, prompt(s, c, first, i == 2 ? "other" : "r"), "", answer);
    }
    assert_works(store_rate(s, ids[0], PART_ANSWER, 1, NULL, NULL, e));
    for (int i = 1; i < 4; i++) assert_works(store_rate(s, ids[i], PART_ANSWER, -1, NULL, NULL, e));
    assert_string_equal(as(s, EXPORT_DPO),
                        "{\"prompt\":[" SYS "," U("q") "," A("same") "," U("r") "],\"chosen\":[" A("a0") "],\"rejected\":[" A("a1") "]}\n");
    assert_int_equal(counts.left_same, 1);
    sql(s, "UPDATE replies SET system = 'x' WHERE message = 8");
    as(s, EXPORT_DPO);
    assert_int_equal(counts.records, 0);
    store_close(s);
    (void)state;
}

static void test_labels(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "ta", "A"), b = reply(s, c, p, "tb", "B"),
            d = reply(s, c, p, "", "D");
    int64_t cut = begin(s, c, p);
    end(s, cut, "t", "cut", "loop", "complete");
    assert_works(store_rate(s, cut, PART_ANSWER, -1, NULL, NULL, e));
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    vote(s, b, d, VERDICT_BOTH_BAD, 0);
    assert_string_equal(as(s, EXPORT_KTO),
                        "{\"prompt\":[" SYS "," U("q") "],\"completion\":[" AT(
                            "A", "ta") "],\"label\":true}\n"
                                       "{\"prompt\":[" SYS "," U("q") "],\"completion\":[" AT(
                                           "B", "tb") "],\"label\":false}\n"
                                                      "{\"prompt\":[" SYS "," U("q") "],\"completion\":[" A("D") "],\"label\":false}\n");
    assert_int_equal(counts.good, 1);
    assert_int_equal(counts.bad, 2);
    assert_int_equal(counts.left_ending, 1);
    /* a rating says more than a vote; a correction is good, and what it corrects is as it was rated */
    assert_works(store_rate(s, b, PART_ANSWER, 1, NULL, NULL, e));
    assert_works(store_rate(s, d, PART_ANSWER, -1, NULL, NULL, e));
    assert_works(store_edit(s, d, PART_ANSWER, "DD", 2, e));
    assert_string_equal(as(s, EXPORT_LLAMAFACTORY_KTO),
                        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"<think>\\nta\\n</"
                        "think>\\n\\nA\"}],\"kto_tag\":true,\"system\":\"Be brief.\"}\n"
                        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"<think>\\ntb\\n</"
                        "think>\\n\\nB\"}],\"kto_tag\":true,\"system\":\"Be brief.\"}\n"
                        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"D\"}],\"kto_tag\":false,"
                        "\"system\":\"Be brief.\"}\n"
                        "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"DD\"}],\"kto_tag\":true,"
                        "\"system\":\"Be brief.\"}\n");
    /* the bad thought of a good answer goes, that of a bad one is what is bad */
    assert_works(store_rate(s, a, PART_THOUGHT, -1, NULL, NULL, e));
    assert_non_null(strstr(as(s, EXPORT_KTO), "\"completion\":[" A("A") "],\"label\":true"));
    assert_int_equal(counts.thoughts_stripped, 1);
    export(s, (struct export_options){.format = EXPORT_KTO, .bad_thoughts = BAD_THOUGHTS_DROP});
    assert_int_equal(counts.left_thought, 1);
    assert_works(store_rate(s, a, PART_ANSWER, -1, NULL, NULL, e));
    assert_non_null(strstr(as(s, EXPORT_KTO), "\"completion\":[" AT("A", "ta") "],\"label\":false"));
    store_close(s);
    (void)state;
}

static void test_bad_thoughts(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), a = reply(s, c, prompt(s, c, 0, "q"), "ta", "A");
    reply(s, c, prompt(s, c, a, "r"), "tb", "B");
    assert_works(store_rate(s, a, PART_THOUGHT, -1, NULL, NULL, e));
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    assert_string_equal(as(s, EXPORT_SFT), "{\"messages\":[" SYS "," U("q") "," A("A") "," U("r") "," AT("B", "tb") "]}\n");
    assert_string_equal(export(s, (struct export_options){.bad_thoughts = BAD_THOUGHTS_DROP}), "");
    assert_int_equal(counts.left_thought, 2);
    assert_non_null(strstr(export(s, (struct export_options){.bad_thoughts = BAD_THOUGHTS_KEEP}), "ta"));
    assert_works(store_edit(s, a, PART_THOUGHT, "fixed", 5, e));
    assert_non_null(strstr(export(s, (struct export_options){.bad_thoughts = BAD_THOUGHTS_DROP}), "fixed"));
    store_close(s);
    (void)state;
}

static void test_steps(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = reply(s, c, p, "One.\n\nTwo.\n\nThree.\n\nFour.", "A");
    reply(s, c, p, "not rated", "B");
    assert_works(store_rate_step(s, r, 2, 0, e));
    assert_string_equal(as(s, EXPORT_STEPWISE),
                        "{\"prompt\":\"Be brief.\\n\\nq\",\"completions\":[\"One.\",\"Two.\"],\"labels\":[true,true]}\n");
    assert_int_equal(counts.left_unrated, 1);
    assert_works(store_rate_step(s, r, 1, 1, e));
    assert_works(store_rate_step(s, r, 3, -1, e));
    assert_string_equal(as(s, EXPORT_STEPWISE),
                        "{\"prompt\":\"Be brief.\\n\\nq\",\"completions\":[\"One.\",\"Two.\",\"Three.\"],\"labels\":[true,true,false]}\n");
    assert_int_equal(counts.good, 2);
    assert_int_equal(counts.bad, 1);
    /* the steps are of the thought as generated, whatever was corrected or dropped */
    assert_works(store_add_span(s, r, 1, 0, 4, "lead", "program", e));
    assert_works(store_edit(s, r, PART_THOUGHT, "else", 4, e));
    assert_non_null(
        strstr(export(s, (struct export_options){.format = EXPORT_STEPWISE, .injected = INJECTED_DROP}), "[\"One.\",\"Two.\",\"Three.\"]"));
    store_close(s);
    (void)state;
}

/* Steps of a later reply: what was said before stands in front, by whom; a system text only where there is one. */
static void test_steps_of_a_conversation(void **state)
{
    struct store *s = two_turns();
    assert_works(store_rate_step(s, 4, 1, -1, e));
    assert_string_equal(as(s, EXPORT_STEPWISE),
                        "{\"prompt\":\"Be brief.\\n\\nUser: q\\n\\nAssistant: A\\n\\nUser: r\",\"completions\":[\"tb\"],\"labels\":[false]}\n");
    sql(s, "UPDATE replies SET system = ''");
    assert_string_equal(as(s, EXPORT_STEPWISE), "{\"prompt\":\"User: q\\n\\nAssistant: A\\n\\nUser: r\",\"completions\":[\"tb\"],\"labels\":[false]}\n");
    store_close(s);
    (void)state;
}

/* A pair stands or falls with both of its replies: what leaves one of them out leaves the pair out, and says why. */
static void test_pairs_left_out(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), a = reply(s, c, p, "ta", "A"), b = reply(s, c, p, "tb", "B");
    vote(s, a, b, VERDICT_A, 1);
    export(s, (struct export_options){.format = EXPORT_DPO, .weights = true, .weight_none = 0.5, .weight_up = 2, .weight_edited = 3});
    assert_int_equal(counts.from_votes, 1);
    assert_non_null(strstr(str_cstr(&sink), "\"weight\":0.5"));
    export(s, (struct export_options){.format = EXPORT_DPO, .until_ms = 5});
    assert_int_equal(counts.records + counts.left_filter, 1);
    export(s, (struct export_options){.format = EXPORT_DPO, .tag = "good"});
    assert_int_equal(counts.left_filter, 1);
    assert_works(store_tag(s, b, "good", true, e));
    export(s, (struct export_options){.format = EXPORT_DPO, .tag = "good"});
    assert_int_equal(counts.records, 1);
    sql(s, "UPDATE replies SET ended = 'loop' WHERE message = 4");
    sql(s, "UPDATE replies SET ended = 'stopped' WHERE message = 3");
    export(s, (struct export_options){.format = EXPORT_DPO});
    assert_int_equal(counts.records, 0);
    assert_int_equal(counts.left_ending, 1);
    export(s, (struct export_options){.format = EXPORT_DPO, .endings = "all"});
    assert_int_equal(counts.records, 1);
    sql(s, "UPDATE replies SET ended = 'natural'; UPDATE messages SET streaming = 1 WHERE id = 3");
    export(s, (struct export_options){.format = EXPORT_DPO});
    assert_int_equal(counts.records, 0);
    assert_int_equal(counts.left_unfinished, 1);
    sql(s, "UPDATE messages SET streaming = 0");
    assert_works(store_rate(s, a, PART_THOUGHT, -1, NULL, NULL, e));
    export(s, (struct export_options){.format = EXPORT_DPO, .bad_thoughts = BAD_THOUGHTS_DROP});
    assert_int_equal(counts.left_thought, 1);
    export(s, (struct export_options){.format = EXPORT_DPO, .bad_thoughts = BAD_THOUGHTS_DROP, .reasoning = REASONING_STRIP});
    assert_int_equal(counts.records, 1);
    /* a verdict that is none of ours */
    sql(s, "PRAGMA ignore_check_constraints = ON; UPDATE votes SET verdict = 'strange'");
    export(s, (struct export_options){.format = EXPORT_DPO, .pairs = PAIRS_VOTES});
    assert_int_equal(counts.records, 0);
    assert_int_equal(counts.left_verdict, 1);
    store_close(s);
    (void)state;
}

static void test_injected(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = begin(s, c, p);
    assert_works(store_add_span(s, r, 1, 0, 5, "lead", "program", e));
    assert_works(store_add_span(s, r, 9, 9, 4, "wait", "program", e));
    end(s, r, "LEAD mineWAIT more", "A", "natural", "complete");
    assert_non_null(strstr(as(s, EXPORT_SFT), "\"LEAD mineWAIT more\""));
    assert_non_null(strstr(export(s, (struct export_options){.injected = INJECTED_DROP}), "\"mine more\""));
    assert_string_equal(
        export(s, (struct export_options){.format = EXPORT_AXOLOTL, .injected = INJECTED_MASK}),
        "{\"messages\":[" SYS
        "," U("q") ",{\"role\":\"assistant\",\"content\":\"A\",\"reasoning_content\":["
                   "{\"type\":\"text\",\"text\":\"LEAD \",\"train\":false},{\"type\":\"text\",\"text\":\"mine\",\"train\":true},"
                   "{\"type\":\"text\",\"text\":\"WAIT\",\"train\":false},{\"type\":\"text\",\"text\":\" more\",\"train\":true}]}]}\n");
    assert_fails(ERR_USAGE, store_export(s, &(struct export_options){.injected = INJECTED_MASK}, NULL, NULL, NULL, e));
    /* spans that lie nowhere, overlap, or cut a character do no harm */
    sql(s, "UPDATE messages SET thought = 'caf\xc3\xa9 x' WHERE id = 2; DELETE FROM spans;"
           "INSERT INTO spans(message, position, byte_offset, byte_length, kind, author) VALUES(2, 0, -1, 5, 'lead', 'x'), (2, 0, 99, 1, "
           "'lead', 'x'),"
           "(2, 0, 4, 1, 'lead', 'x'), (2, 0, 4, 9223372036854775807, 'wait', 'x'), (2, 0, 1, 0, 'lead', 'x')");
    assert_non_null(strstr(export(s, (struct export_options){.injected = INJECTED_DROP}), "\"reasoning_content\":\"caf\""));
    /* a line of the user's keeps a reply out, unless it is asked for or corrected */
    assert_works(store_add_span(s, r, 9, 0, 2, "say", "user", e));
    assert_string_equal(as(s, EXPORT_SFT), "");
    assert_int_equal(counts.left_say, 1);
    export(s, (struct export_options){.with_say = true});
    assert_int_equal(counts.records, 1);
    assert_works(store_edit(s, r, PART_THOUGHT, "clean", 5, e));
    assert_non_null(strstr(as(s, EXPORT_SFT), "\"clean\""));
    store_close(s);
    (void)state;
}

/* ---- rendering and limits -------------------------------------------------------------------------------------- */

static int render(void *arg, const char *family, const char *system, const struct export_turn *turns, size_t n,
                  const struct export_turn *const *replies, size_t n_replies, struct str *out, struct str *completions, struct err *e)
{
    if (arg) return err_set(e, ERR_INVALID, "the template refuses");
    str_addf(out, "<%s|%s|", family, system);
    for (size_t i = 0; i < n; i++) str_addf(out, "%s,", turns[i].prompt ? turns[i].prompt : turns[i].answer);
    for (size_t i = 0; i < n_replies; i++)
        str_addf(&completions[i], "[%.*s]%s>", (int)replies[i]->thought_len, replies[i]->thought, replies[i]->answer);
    return 0;
}

static int count_bytes(void *arg, const char *text, size_t n, int64_t *tokens, struct err *e)
{
    (void)arg, (void)text, (void)e;
    *tokens = (int64_t)n;
    return 0;
}

static bool keeps(void *arg, const char *family, enum export_reasoning r)
{
    (void)arg, (void)family;
    return r != REASONING_FIELD;
}

static void test_text_limits_weights(void **state)
{
    struct store *s = two_turns();
    struct export_options o = {.format = EXPORT_TEXT, .render = render, .count_tokens = count_bytes, .keeps_thoughts = keeps};
    assert_string_equal(export(s, o), "{\"text\":\"<chatml|Be brief.|q,A,r,[tb]B>\"}\n");
    o.reasoning = REASONING_STRIP;
    assert_string_equal(export(s, o), "{\"text\":\"<chatml|Be brief.|q,A,r,[]B>\"}\n");
    o.reasoning = REASONING_TEXT;
    o.format = EXPORT_SFT_PC;
    assert_string_equal(export(s, o), "{\"prompt\":\"<chatml|Be brief.|q,\",\"completion\":\"[ta]A>\"}\n{\"prompt\":\"<chatml|Be "
                                      "brief.|q,A,r,\",\"completion\":\"[tb]B>\"}\n");
    o.max_tokens = 29;
    export(s, o);
    assert_int_equal(counts.records, 1);
    assert_int_equal(counts.left_length, 1);
    o.min_tokens = 27;
    export(s, o);
    assert_int_equal(counts.left_length, 2);
    o = (struct export_options){.format = EXPORT_TEXT, .render = render, .arg = s};
    assert_string_equal(export(s, o), "");
    assert_int_equal(counts.left_template, 1);
    assert_fails(ERR_USAGE, store_export(s, &(struct export_options){.format = EXPORT_TEXT}, NULL, NULL, NULL, e));
    assert_fails(ERR_USAGE, store_export(s, &(struct export_options){.max_tokens = 5, .render = render}, NULL, NULL, NULL, e));
    /* told when a template would lose what the records hold */
    export(s, (struct export_options){.keeps_thoughts = keeps});
    assert_int_equal(counts.thoughts_lost, 1);
    assert_string_equal(counts.lost_family, "chatml");
    export(s, (struct export_options){.keeps_thoughts = keeps, .reasoning = REASONING_INLINE});
    assert_int_equal(counts.thoughts_lost, 0);
    o = (struct export_options){.format = EXPORT_SFT_PC, .weights = true, .weight_up = 2, .weight_none = 0.5, .weight_edited = 3};
    assert_works(store_rate(s, 2, PART_ANSWER, 1, NULL, NULL, e));
    export(s, o);
    assert_non_null(strstr(str_cstr(&sink), ",\"weight\":2.0}\n"));
    assert_non_null(strstr(str_cstr(&sink), ",\"weight\":0.5}\n"));
    assert_works(store_edit(s, 2, PART_ANSWER, "AA", 2, e));
    assert_non_null(strstr(export(s, o), ",\"weight\":3.0}\n"));
    o.format = EXPORT_OPENAI;
    assert_fails(ERR_USAGE, store_export(s, &o, NULL, NULL, NULL, e));
    store_close(s);
    (void)state;
}

/* Conversations that share a first prompt are one tree; a second root joins two that did not. */
static void test_trees(void **state)
{
    struct store *s = open_store(NULL);
    static const char *const firsts[] = {"one", "two", "one", "three", "two"};
    for (int i = 0; i < 5; i++) {
        int64_t c = conversation(s, "");
        char answer[32];
        snprintf(answer, sizeof answer, "answer %d", i);
        reply(s, c, prompt(s, c, 0, firsts[i]), "", answer);
    }
    as(s, EXPORT_SFT);
    assert_int_equal(n_trees, 5);
    const int64_t apart[] = {1, 2, 1, 4, 2}, joined[] = {1, 2, 1, 2, 2};
    assert_memory_equal(trees, apart, sizeof apart);
    reply(s, 4, prompt(s, 4, 0, "two"), "", "x");
    as(s, EXPORT_SFT);
    for (size_t i = 0; i < 4; i++) assert_int_equal(trees[i], joined[i]);
    store_close(s);
    (void)state;
}

static void test_filters_and_forms(void **state)
{
    struct store *s = two_turns();
    assert_works(store_rate(s, 2, PART_THOUGHT, 1, "[\"say \\\"hi\\\"\"]", NULL, e));
    assert_string_equal(export(s, (struct export_options){.format = EXPORT_OPENAI, .reason = "say \"hi\""}),
                        "{\"messages\":[" SYS "," U("q") "," A("A") "]}\n");
    export(s, (struct export_options){.reason = "say"});
    assert_int_equal(counts.records, 0);
    assert_int_equal(counts.left_filter, 2);
    for (int f = 0; f < EXPORT_FORMATS; f++) {
        const struct export_format_info *i = export_format_info((enum export_format)f);
        for (enum export_reasoning r = REASONING_FIELD; r <= REASONING_STRIP; r++) {
            struct export_options o = {.format = (enum export_format)f, .reasoning = r, .render = render};
            if (i->reasonings & (1u << r)) {
                assert_works(store_export(s, &o, NULL, NULL, NULL, e));
            } else {
                assert_fails(ERR_USAGE, store_export(s, &o, NULL, NULL, NULL, e));
            }
        }
    }
    assert_null(export_format_info(EXPORT_FORMATS));
    store_close(s);
    (void)state;
}

static void test_documents(void **state)
{
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "<b>one</b>\x01\nmore"), a = reply(s, c, p, "deep\n\nthought", "A & B");
    reply(s, c, p, "", "other branch");
    assert_works(store_select_branch(s, a, e));
    assert_works(store_rate(s, a, PART_ANSWER, 1, NULL, NULL, e));
    sql(s, "UPDATE conversations SET created_ms = 1768469400000");
    assert_string_equal(as(s, EXPORT_MARKDOWN),
                        "# <b>one</b>\xe2\x90\x81 more\n\nc1, 2026-01-15T09:30:00Z\n\n**You**\n\n<b>one</b>\x01\nmore\n\n"
                        "**Tiny Q4_1**, rated up\n\n> deep\n>\n> thought\n\nA & B\n\n");
    const char *html = as(s, EXPORT_HTML);
    assert_non_null(strstr(html, "<pre>&lt;b&gt;one&lt;/b&gt;\xef\xbf\xbd\nmore</pre>"));
    assert_non_null(strstr(html, "<details><summary>Thought</summary><pre>deep\n\nthought</pre></details><pre>A &amp; B</pre>"));
    assert_null(strstr(html, "other branch"));
    assert_null(strstr(export(s, (struct export_options){.format = EXPORT_HTML, .reasoning = REASONING_STRIP}), "deep"));
    json_t *j = json_loads(as(s, EXPORT_JSON), JSON_ALLOW_NUL, NULL);
    assert_non_null(j);
    json_t *messages = json_object_get(json_array_get(json_object_get(j, "conversations"), 0), "messages");
    assert_int_equal(json_array_size(messages), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 1), "thought")), "deep\n\nthought");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_array_get(messages, 1), "reply"), "seed")), 42);
    json_decref(j);
    conversation(s, "");
    j = json_loads(as(s, EXPORT_JSON), JSON_ALLOW_NUL, NULL);
    assert_int_equal(json_array_size(json_object_get(j, "conversations")), 2);
    json_decref(j);
    export(s, (struct export_options){.format = EXPORT_JSON, .tag = "none"});
    assert_int_equal(counts.records, 0);
    store_close(s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),         cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_pairs_across), cmocka_unit_test(test_labels),
        cmocka_unit_test(test_bad_thoughts), cmocka_unit_test(test_steps), cmocka_unit_test(test_steps_of_a_conversation), cmocka_unit_test(test_pairs_left_out),
        cmocka_unit_test(test_injected),     cmocka_unit_test(test_text_limits_weights),
        cmocka_unit_test(test_trees),        cmocka_unit_test(test_filters_and_forms),
        cmocka_unit_test(test_documents),
    };
    int rc = cmocka_run_group_tests_name("store_export_formats", tests, NULL, NULL);
    str_release(&sink);
    return rc;
}
