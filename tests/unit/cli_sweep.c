/* What a sweep reads and what it tells: questions of a file, intervals, the plot, the CSV, the progress. No model is needed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sweep.h"

static char path[] = "/tmp/ponder-sweep-XXXXXX";

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void questions_are_read(void **state)
{
    (void)state;
    struct questions q;
    struct err e = {0};
    write_file(
        "\xef\xbb\xbf{\"question\":\"1+1?\",\"answer\":2}\r\n\n  {\"answer\":\"Paris\",\"question\":\"where\\nis it?\",\"level\":3}\n"
        "{\"question\":\"c\",\"answer\":\"\\\\frac{\\\\pi}{2}\"}\n{\"question\":\"d\",\"answer\":0.5}");
    if (questions_load(&q, path, FORM_AUTO, 0, &e)) fail_msg("%s", e.text);
    assert_int_equal(q.n, 4);
    assert_string_equal(q.items[0].text, "1+1?");
    assert_string_equal(q.items[0].answer, "2");
    assert_int_equal(q.items[0].form, FORM_NUMBER);
    assert_string_equal(q.items[1].text, "where\nis it?");
    assert_int_equal(q.items[1].form, FORM_TEXT);
    assert_int_equal(q.items[1].line, 3);
    assert_int_equal(q.items[2].form, FORM_BOXED);
    assert_string_equal(q.items[3].answer, "0.5");
    questions_release(&q);
    /* what is behind the limit is not looked at */
    write_file("{\"question\":\"a\",\"answer\":1}\nnonsense\n");
    assert_int_equal(questions_load(&q, path, FORM_TEXT, 1, &e), 0);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.items[0].form, FORM_TEXT);
    questions_release(&q);
    assert_int_equal(questions_load(&q, path, FORM_TEXT, 0, &e), ERR_FILE);
    assert_non_null(strstr(e.text, ":2: "));
    assert_int_equal(q.n, 0);
    assert_int_equal(questions_load(&q, "/nowhere/q.jsonl", FORM_AUTO, 0, &e), ERR_FILE);
}

static void intervals_are_wilsons(void **state)
{
    (void)state;
    static const struct {
        int right, n;
        double low, high;
    } cases[] = {{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1},       {5, 10, 0.2366, 0.7634},
                 {1, 1, 0.2065, 1},  {40, 100, 0.3094, 0.4980}, {0, 0, 0, 1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double low, high;
        sweep_interval(cases[i].right, cases[i].n, &low, &high);
        assert_true(fabs(low - cases[i].low) < 1e-4 && fabs(high - cases[i].high) < 1e-4);
    }
}

static const struct cell cells[] = {
    {.budget = {BUDGET_TOKENS, 0}, .votes = 1, .n = 10, .right = 4, .closed = 10, .answer_tokens = 305, .ms = 4000},
    {.budget = {BUDGET_SECONDS, 30},
     .votes = 5,
     .n = 10,
     .right = 10,
     .unanswered = 0,
     .closed = 3,
     .thought_tokens = 12340,
     .answer_tokens = 60,
     .ms = 123456},
    {.budget = {BUDGET_UNLIMITED, 0}, .votes = 1},
};

static void results_are_told(void **state)
{
    (void)state;
    struct str out = STR_EMPTY;
    sweep_plot(cells, ARRAY_LEN(cells), 80, true, &out);
    assert_string_equal(str_cstr(&out), "   budget votes  accuracy       right  95 %         tokens  closed     time\n"
                                        "        0     1  #####.......   4/10   17-69 %          30    100%    0.4 s\n"
                                        "      30s     5  ############  10/10   72-100 %       1240     30%   12.3 s\n"
                                        "unlimited     1  ............       -  -                 -       -        -\n");
    str_clear(&out);
    sweep_csv(cells, ARRAY_LEN(cells), &out);
    assert_string_equal(
        str_cstr(&out),
        "budget,votes,questions,correct,accuracy,low95,high95,unanswered,closed_by_budget,thought_tokens,answer_tokens,seconds\n"
        "0,1,10,4,0.4000,0.1682,0.6873,0,10,0.0,30.5,0.400\n30s,5,10,10,1.0000,0.7225,1.0000,0,3,1234.0,6.0,12.346\n"
        "unlimited,1,0,0,0.0000,0.0000,1.0000,0,0,0.0,0.0,0.000\n");
    for (int columns = 1; columns < 200; columns++) {
        str_clear(&out);
        sweep_progress(37, 120, 90000, columns, false, &out);
        if (columns >= 30) assert_true(utf8_columns(out.data, out.len) < columns);
        assert_non_null(strstr(out.data, "37/120"));
        assert_non_null(strstr(out.data, "4 min left"));
    }
    str_clear(&out);
    sweep_progress(0, 0, 0, 80, false, &out);
    assert_non_null(strstr(out.data, "0/0"));
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(questions_are_read), cmocka_unit_test(intervals_are_wilsons),
                                       cmocka_unit_test(results_are_told)};
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
