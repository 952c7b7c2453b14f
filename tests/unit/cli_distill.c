/* What `ponder distill` keeps of a teacher's replies: right ones, each way once, the shortest; pairs; and its file of replies, which a run goes on with. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/distill.h"

/* main.c has the whole one, and main. */
const struct command cli_commands[] = {{NULL, NULL, NULL, NULL}};

static char folder[] = "/tmp/ponder-distill-XXXXXX";

#define REPLY(sample_, thought_, text_, tokens_, right_, whole_) \
    {.sample = sample_, .thought = (char *)(thought_), .text = (char *)(text_), .tokens = tokens_, .right = right_, .whole = whole_}

static void picks(const struct distill_reply *r, size_t n, int most, const char *want)
{
    size_t out[64];
    char got[64] = "";
    int kept = distill_pick(r, n, most, out);
    assert_in_range(kept, 0, most);
    for (int i = 0; i < kept; i++) snprintf(got + strlen(got), sizeof got - strlen(got), "%d ", r[out[i]].sample);
    assert_string_equal(got, want);
}

static void short_right_replies_that_differ_are_kept(void **state)
{
    (void)state;
    const struct distill_reply r[] = {
        REPLY(0, "1 + 1 = 2, 2 + 3 = 5", "5", 30, true, true),
        REPLY(1, "2 + 3 = 5", "5", 12, true, true),
        REPLY(2, "So 2 + 3 = 5.", "The answer is 5.", 9, true, true), /* the way of 1, and shorter */
        REPLY(3, "2 + 3 = 6", "6", 4, false, true),                   /* wrong */
        REPLY(4, "3 + 2 = 5", "5", 3, true, false),                   /* cut off */
        REPLY(5, "", "5", 1, true, true),                             /* without a thought */
        REPLY(6, "4 + 1 = 5", "", 1, true, true),                     /* without an answer */
        REPLY(7, "5 + 0 = 5", "5", 12, true, true),
        REPLY(8, "2 + 3 = 5 = 5", "5", 12, true, true),
    };
    picks(r, 9, 64, "2 7 8 0 ");
    picks(r, 9, 2, "2 7 ");
    picks(r, 9, 1, "2 ");
    picks(r, 2, 2, "1 0 ");
    picks(r + 3, 4, 2, "");
    picks(r, 0, 2, "");
}

static void ways(const char *a, const char *b, bool same)
{
    struct str x = STR_EMPTY, y = STR_EMPTY;
    distill_way(a, &x);
    distill_way(b, &y);
    if (same != !strcmp(str_cstr(&x), str_cstr(&y))) fail_msg("\"%s\" and \"%s\": %s and %s", a, b, str_cstr(&x), str_cstr(&y));
    str_release(&x);
    str_release(&y);
}

static void a_way_is_its_numbers_or_its_words(void **state)
{
    (void)state;
    ways("First 2 + 3 = 5.", "we see: 2+3=5", true);
    ways("First 2 + 3 = 5.", "Now, 2 + 3 = 5", true);
    ways("1 2", "12", false);
    ways("2 + 3 = 5", "3 + 2 = 5", false);
    ways("2 - 3", "2 + 3", false);
    ways("It begins heads up. Ann turns it: tails.", "it begins  heads up\nAnn turns it: tails", true);
    ways("It begins heads up. Ann turns it: tails.", "It begins heads up. Ben turns it: tails.", false);
}

static void pair(const struct distill_reply *r, size_t n, int chosen, int rejected)
{
    size_t a, b;
    bool has = distill_pair(r, n, &a, &b);
    assert_int_equal(has, chosen >= 0);
    if (!has) return;
    assert_int_equal(r[a].sample, chosen);
    assert_int_equal(r[b].sample, rejected);
}

static void the_short_right_one_goes_over_a_wrong_one_or_a_long_one(void **state)
{
    (void)state;
    const struct distill_reply wrong[] = {REPLY(0, "2 + 3 = 5", "5", 12, true, true), REPLY(1, "", "6", 0, false, true), REPLY(2, "2 + 3 = 6", "6", 4, false, true),
                                          REPLY(3, "2 + 3 = 7", "7", 4, false, false), REPLY(4, "5", "5", 2, true, true)};
    const struct distill_reply right[] = {REPLY(0, "2 + 3 = 5", "5", 10, true, true), REPLY(1, "2 + 3 = 5 yes", "5", 20, true, true), REPLY(2, "and 2 + 3 = 5", "5", 21, true, true)};
    pair(wrong, 5, 4, 2);
    pair(wrong + 1, 3, -1, -1); /* none is right */
    pair(wrong, 2, -1, -1);     /* nothing to be told of an empty thought */
    pair(right, 3, 0, 2);
    pair(right, 2, -1, -1);     /* not more than twice as long */
}

static struct eval_questions two_questions(void)
{
    static struct eval_question items[2];
    items[0] = (struct eval_question){.q = {.text = (char *)"2 and 3?", .answer = (char *)"5", .has_check = true, .check = TASK_NUMBER}};
    items[1] = (struct eval_question){.q = {.text = (char *)"day?", .answer = (char *)"Monday", .family = (char *)"own"}};
    return (struct eval_questions){.items = items, .n = 2, .groups = {{.name = "sum"}}, .n_groups = 1};
}

static char *text_of(const char *path)
{
    struct str s = STR_EMPTY;
    struct err e;
    if (file_read(&s, path, 1 << 20, &e)) fail_msg("%s", e.text);
    return str_detach(&s);
}

static void data_are_written_for_training(void **state)
{
    (void)state;
    struct eval_questions q = two_questions();
    struct distill_reply list[] = {REPLY(1, "go", "Monday", 3, true, true), REPLY(0, "2 + 3 = 5", "5", 12, true, true), REPLY(1, "2 + 3 = 6", "6", 4, false, true)};
    list[0].question = 1;
    struct distill_replies r = {.items = list, .n = 3};
    struct distill_counts n;
    char data[128], pairs[128];
    struct err e = {0};
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(pairs, sizeof pairs, "%s/pairs.jsonl", folder);
    distill_replies_sort(&r);
    assert_int_equal(list[0].question, 0);
    assert_int_equal(list[0].sample, 0);
    if (distill_write(data, pairs, &q, &r, 2, &n, &e)) fail_msg("%s", e.text);
    assert_int_equal(n.questions, 2);
    assert_int_equal(n.answered, 2);
    assert_int_equal(n.replies, 3);
    assert_int_equal(n.right, 2);
    assert_int_equal(n.kept, 2);
    assert_int_equal(n.pairs, 1);
    char *text = text_of(data);
    assert_string_equal(text, "{\"messages\":[{\"role\":\"user\",\"content\":\"2 and 3?\"},{\"role\":\"assistant\",\"reasoning_content\":\"2 + 3 = 5\",\"content\":\"5\"}],"
                              "\"answer\":\"5\",\"family\":\"sum\",\"check\":\"number\"}\n"
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"day?\"},{\"role\":\"assistant\",\"reasoning_content\":\"go\",\"content\":\"Monday\"}],"
                              "\"answer\":\"Monday\",\"family\":\"own\"}\n");
    free(text);
    text = text_of(pairs);
    assert_string_equal(text, "{\"prompt\":[{\"role\":\"user\",\"content\":\"2 and 3?\"}],\"chosen\":[{\"role\":\"assistant\",\"reasoning_content\":\"2 + 3 = 5\",\"content\":\"5\"}],"
                              "\"rejected\":[{\"role\":\"assistant\",\"reasoning_content\":\"2 + 3 = 6\",\"content\":\"6\"}]}\n");
    free(text);
    /* letters that were put down one by one stay apart in training */
    q.items[0].q.check = TASK_LETTERS;
    if (distill_write(data, NULL, &q, &r, 1, &n, &e)) fail_msg("%s", e.text);
    text = text_of(data);
    assert_non_null(strstr(text, "\"check\":\"letters\",\"spelled\":\"5\"}\n"));
    free(text);
    unlink(data);
    unlink(pairs);
}

static void replies_are_kept_in_a_file(void **state)
{
    (void)state;
    struct eval_questions q = two_questions();
    struct distill_replies r = {0}, back = {0};
    struct distill_reply one = REPLY(3, " line\nand \"quotes\" \n", "5\n", 7, true, false);
    struct err e = {0};
    struct stat st;
    char path[128];
    FILE *f;
    snprintf(path, sizeof path, "%s/replies", folder);
    if (distill_replies_open(&f, &r, path, "run one", &e)) fail_msg("%s", e.text);
    assert_int_equal(r.n, 0);
    for (one.question = 0; one.question < 2; one.question++) assert_int_equal(distill_replies_put(f, &r, path, &q.items[one.question], &one, &e), 0);
    fputs("{\"item\":1,\"sample\":0,\"tho", f); /* a line that was not finished */
    fclose(f);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    if (distill_replies_open(&f, &back, path, "run one", &e)) fail_msg("%s", e.text);
    assert_int_equal(back.n, 2);
    assert_int_equal(back.items[1].question, 1);
    assert_int_equal(back.items[1].sample, 3);
    assert_int_equal(back.items[1].tokens, 7);
    assert_string_equal(back.items[1].thought, "line\nand \"quotes\"");
    assert_string_equal(back.items[1].text, "5");
    assert_true(back.items[1].right && !back.items[1].whole);
    assert_int_equal(distill_replies_put(f, &back, path, &q.items[0], &one, &e), 0);
    fclose(f);
    distill_replies_release(&back);
    if (distill_replies_open(&f, &back, path, "run one", &e)) fail_msg("%s", e.text);
    assert_int_equal(back.n, 3);
    fclose(f);
    distill_replies_release(&back);
    assert_int_equal(distill_replies_open(&f, &back, path, "run two", &e), ERR_INVALID);
    assert_null(f);
    assert_int_equal(file_write_atomic(path, "no\n", 3, &e), 0);
    assert_int_equal(distill_replies_open(&f, &back, path, "run one", &e), ERR_FILE);
    static const char odd[] = "{\"run\":\"run one\"}\n{\"item\":-1}\n";
    assert_int_equal(file_write_atomic(path, odd, strlen(odd), &e), 0);
    assert_int_equal(distill_replies_open(&f, &back, path, "run one", &e), ERR_FILE);
    assert_non_null(strstr(e.text, "replies:2: is no file of replies"));
    distill_replies_release(&back);
    distill_replies_release(&r);
    unlink(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_right_replies_that_differ_are_kept), cmocka_unit_test(a_way_is_its_numbers_or_its_words),
        cmocka_unit_test(the_short_right_one_goes_over_a_wrong_one_or_a_long_one), cmocka_unit_test(data_are_written_for_training),
        cmocka_unit_test(replies_are_kept_in_a_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
