/* What `ponder eval` reads and writes: the file that says what to measure, the questions, the table, the measures, CSV. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/eval.h"

static char folder[] = "/tmp/ponder-eval-XXXXXX";

static void put_file(const char *name, const char *text, char path[128])
{
    struct err e;
    snprintf(path, 128, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), &e), 0);
}

static void refused(const char *text, const char *reason)
{
    struct eval_config c;
    struct err e = {0};
    char path[128];
    put_file("bad.ini", text, path);
    assert_int_equal(eval_config_load(&c, path, &e), ERR_FILE);
    if (!strstr(e.text, reason)) fail_msg("\"%s\" does not say \"%s\"", e.text, reason);
    eval_config_release(&c);
    unlink(path);
}

static void test_config(void **state)
{
    struct eval_config c;
    struct err e = {0};
    char path[128], want[160];
    (void)state;
    put_file("a.ini", "[eval]\nadapter = x.gguf\ncount = 4\nbudgets = 0,32,unlimited\nvotes = 3\nbase_votes = 0\nadapter_thinks = trained\n[set more]\nfile = /tmp/q.jsonl\nlimit = 9\n", path);
    if (eval_config_load(&c, path, &e)) fail_msg("%s", e.text);
    snprintf(want, sizeof want, "%s/x.gguf", folder);
    assert_string_equal(c.adapter, want);
    assert_string_equal(c.model, "smollm2-135m");
    assert_string_equal(c.sets[0].file, "/tmp/q.jsonl");
    assert_string_equal(c.sets[0].name, "more");
    assert_int_equal(c.sets[0].limit, 9);
    assert_int_equal(c.count, 4);
    assert_int_equal(c.thinks, THINKS_TRAINED);
    assert_int_equal(c.votes[RUN_ADAPTER], 3);
    assert_int_equal(c.votes[RUN_BASE], 0);
    assert_int_equal(c.budgets[RUN_ADAPTER].n, 3);
    assert_int_equal(c.budgets[RUN_BASE].n, 3); /* the same where nothing else is said */
    assert_int_equal(c.budgets[RUN_BASE].items[2].kind, BUDGET_UNLIMITED);
    eval_config_release(&c);
    unlink(path);
    refused("[eval]\nnothing = 1\n", "no setting \"nothing\"");
    refused("[other]\nmodel = x\n", "no section is called \"other\"");
    refused("[eval]\ncount = many\n", "count: \"many\" is no number");
    refused("[eval]\nbudgets = 1,x\n", "budgets:");
    refused("[eval]\nbudgets = 30s\n", "not in seconds");
    refused("[eval]\nlevel_min = 4\nlevel_max = 2\n", "level_min is above level_max");
    refused("[eval]\ntemp = hot\n", "temp:");
    refused("[eval]\nadapter_thinks = no\n", "none of: taught, prompted, trained");
    refused("[eval]\nhalf = both\n", "none of: held-out, training");
    refused("[set a]\nlimit = 3\n", "set a names no file");
    refused("[set a]\ncolor = 3\n", "has no \"color\"");
    assert_int_equal(eval_config_load(&c, "/nowhere/x.ini", &e), ERR_FILE);
    eval_config_release(&c);
}

static void test_questions(void **state)
{
    struct eval_config c;
    struct eval_questions q;
    struct err e = {0};
    char ini[128], file[128];
    (void)state;
    put_file("q.jsonl", "{\"question\":\"1+1?\",\"answer\":2,\"family\":\"gcd\"}\n{\"question\":\"x\",\"answer\":\"3/4\",\"check\":\"fraction\"}\n", file);
    put_file("b.ini", "[eval]\nfamilies = gcd, sum\ncount = 5\nlevel_min = 2\nlevel_max = 3\n[set more]\nfile = q.jsonl\n", ini);
    if (eval_config_load(&c, ini, &e)) fail_msg("%s", e.text);
    if (eval_questions_load(&q, &c, &e)) fail_msg("%s", e.text);
    assert_int_equal(q.n, 12);
    assert_int_equal(q.n_groups, 4);
    assert_string_equal(q.groups[0].name, "sum");
    assert_string_equal(q.groups[1].name, "gcd");
    assert_string_equal(q.groups[2].name, "more: gcd"); /* a family of a set is another than ours */
    assert_string_equal(q.groups[3].name, "more");
    assert_true(q.groups[0].own);
    assert_false(q.groups[2].own);
    assert_int_equal(q.groups[0].n, 5);
    assert_true(q.items[11].q.has_check);
    assert_false(question_is_right(&q.items[11].q, FORM_AUTO, "6/8", 3)); /* by the check */
    assert_true(question_is_right(&q.items[11].q, FORM_NUMBER, "3/4", 3));
    for (size_t i = 0; i < q.n; i++)
        for (size_t k = 0; k < i; k++) assert_string_not_equal(q.items[i].q.text, q.items[k].q.text);
    /* questions to sample from are none of those that are measured */
    struct eval_questions training;
    c.half = TASK_TRAINING;
    if (eval_questions_load(&training, &c, &e)) fail_msg("%s", e.text);
    for (size_t i = 0; i < 10; i++)
        for (size_t k = 0; k < 10; k++) assert_string_not_equal(q.items[i].q.text, training.items[k].q.text);
    eval_questions_release(&training);
    eval_questions_release(&q);
    eval_config_release(&c);
    put_file("q.jsonl", "{\"question\":\"x\",\"answer\":\"3/4\",\"check\":\"nothing\"}\n", file);
    if (eval_config_load(&c, ini, &e)) fail_msg("%s", e.text);
    assert_int_equal(eval_questions_load(&q, &c, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "q.jsonl:1: its \"check\" is none that is known"));
    eval_questions_release(&q);
    eval_config_release(&c);
    unlink(ini);
    unlink(file);
}

static void test_report(void **state)
{
    static struct eval_questions q = {.n_groups = 3, .groups = {{.name = "sum", .own = true, .n = 4, .asked = {{4, 4}, {4, 4}}, .right = {{1, 2}, {1, 4}}, .voted = {0, 4}, .vote_one = {0, 6}, .vote_all = {0, 3}},
                                                                {.name = "gcd", .own = true, .n = 2, .asked = {{2, 2}, {2, 2}}, .right = {{0, 0}, {0, 1}}, .voted = {0, 2}, .vote_one = {0, 2}, .vote_all = {0, 1}},
                                                                {.name = "gym: lcm", .n = 12, .asked = {{10, 10}, {10, 10}}, .right = {{1, 1}, {2, 7}}}}};
    static struct eval_results r = {.ran = {true, true}, .replies = {0, 200}, .one_thought = {0, 199}, .with_budget = {0, 50}, .by_itself = {0, 49}, .perplexity = {20, 21}, .ms = {1000, 2500}};
    struct eval_config c = {.votes = {0, 2}, .temp = 0.8, .text = (char[]){"x"}};
    struct str out = STR_EMPTY;
    (void)state;
    for (int run = 0; run < RUNS; run++) c.budgets[run] = (struct budget_list){.items = {{BUDGET_TOKENS, 0}, {BUDGET_TOKENS, 256}}, .n = 2};
    eval_table(&c, &q, &r, &out);
    assert_non_null(strstr(out.data, "sum                              4  |          25    50  |          25   100      75      75\n"));
    assert_non_null(strstr(out.data, "mean                                |        12.5  25.0  |        12.5  75.0    62.5    62.5\n"));
    assert_non_null(strstr(out.data, "gym: lcm                        12  |          10    10  |          20    70               \n"));
    str_clear(&out);
    eval_summary(&c, &q, &r, &out);
    assert_non_null(strstr(out.data, "gain of thinking, points                                       12.50       62.50"));
    assert_non_null(strstr(out.data, "replies with exactly one closed thought, and an answer          0.00 %     99.50 %"));
    assert_non_null(strstr(out.data, "thoughts that end by themselves, at the largest budget          0.00 %     98.00 %"));
    assert_non_null(strstr(out.data, "+5.00 %"));
    str_clear(&out);
    eval_csv(&c, &q, &r, &out);
    assert_non_null(strstr(out.data, "adapter,sum,256,1,4,4\n"));
    assert_non_null(strstr(out.data, "adapter,sum,256 at 0.8,2,4,3\n"));
    assert_non_null(strstr(out.data, "base,gym: lcm,0,1,10,1\n"));
    assert_null(strstr(out.data, "base,sum,256 at"));
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config), cmocka_unit_test(test_questions), cmocka_unit_test(test_report)};
    if (!mkdtemp(folder)) return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return rc;
}
