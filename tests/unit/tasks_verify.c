/* Judging replies: an answer is right in all the ways people and models write it, and near misses are wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tasks/tasks.h"

struct sample {
    enum task_check check;
    const char *answer, *reply;
    bool right;
};

static const struct sample samples[] = {
    {TASK_NUMBER, "1200", "1200", true},
    {TASK_NUMBER, "1200", "The answer is 1,200.", true},
    {TASK_NUMBER, "1200", "That makes $1,200.00 in all.", true},
    {TASK_NUMBER, "1200", "First 5 * 240.\n\\boxed{1200}", true},
    {TASK_NUMBER, "1200", "**1200**", true},
    {TASK_NUMBER, "11", "Roger has 11 tennis balls now.", true},
    {TASK_NUMBER, "-14", "The answer is -14.", true},
    {TASK_NUMBER, "0.5", "1/2", true},
    {TASK_NUMBER, "1200", "The answer is 1201.", false},
    {TASK_NUMBER, "1200", "120", false},
    {TASK_NUMBER, "1200", "12000", false},
    {TASK_NUMBER, "14", "-14", false},
    {TASK_NUMBER, "14", "13 or 14", false},
    {TASK_NUMBER, "14", "", false},
    {TASK_NUMBER, "14", "fourteen", false},
    {TASK_WORD, "Wednesday", "Wednesday", true},
    {TASK_WORD, "Wednesday", "wednesday.", true},
    {TASK_WORD, "Wednesday", "It will be a **Wednesday**.", true},
    {TASK_WORD, "Wednesday", "The answer is Wednesday.", true},
    {TASK_WORD, "Wednesday", "Tuesday", false},
    {TASK_WORD, "Wednesday", "Tuesday or Wednesday", false},
    {TASK_WORD, "Wednesday", "Wed", false},
    {TASK_WORD, "yes", "Yes, it is still heads up.", true},
    {TASK_WORD, "yes", "No.", false},
    {TASK_WORD, "yes", "yes and no", false},
    {TASK_WORD, "True", "The answer is True.", true},
    {TASK_WORD, "True", "true", true},
    {TASK_WORD, "True", "not True", false},
    {TASK_WORD, "True", "False", false},
    {TASK_WORD, "tails", "It is tails up.", true},
    {TASK_WORD, "tails", "heads", false},
    {TASK_TEXT, "Tom", "Tom is the youngest.", true},
    {TASK_TEXT, "Tom", "The youngest is Tom.", true},
    {TASK_TEXT, "Tom", "The answer is Tom.", true},
    {TASK_TEXT, "Tom", "tom", true},
    {TASK_TEXT, "Tom", "Mia is younger than Tom", false},
    {TASK_TEXT, "Tom", "Tommy", false},
    {TASK_TEXT, "Tom", "Mia", false},
    {TASK_TEXT, "B, Y, D", "B, Y, D", true},
    {TASK_TEXT, "B, Y, D", "B-Y-D", true},
    {TASK_TEXT, "B, Y, D", "The answer is B, Y, D.", true},
    {TASK_TEXT, "B, Y, D", "B, D", false},
    {TASK_TEXT, "B, Y, D", "D, Y, B", false},
    {TASK_TEXT, "the Sun", "The Sun.", true},
    {TASK_TEXT, "the Sun", "It is the sun.", true},
    {TASK_TEXT, "A", "A", true},
    {TASK_LIST, "-3, 0, 12.5", "-3, 0, 12.5", true},
    {TASK_LIST, "-3, 0, 12.5", "['-3', '0', '12.50']", true},
    {TASK_LIST, "['-3.0', '0', '12.5']", "The answer is -3, 0, 12.5.", true},
    {TASK_LIST, "-3, 0, 12.5", "-3 < 0 < 12.5", true},
    {TASK_LIST, "-3, 0, 12.5", "-3, 12.5, 0", false},
    {TASK_LIST, "-3, 0, 12.5", "-3, 0", false},
    {TASK_LIST, "-3, 0, 12.5", "3, 0, 12.5", false},
    {TASK_LIST, "-3, 0, 12.5", "-3, 0, 12.5, 12.5", false},
    {TASK_DIGITS, "1101", "1101", true},
    {TASK_DIGITS, "1101", "The answer is 01101.", true},
    {TASK_DIGITS, "1101", "It is 1101 in base 2.", true},
    {TASK_DIGITS, "1101", "1101_2", true},
    {TASK_DIGITS, "2af", "0x2AF", true},
    {TASK_DIGITS, "1101", "1011", false},
    {TASK_DIGITS, "1101", "11010", false},
    {TASK_DIGITS, "2af", "2ae", false},
    {TASK_FRACTION, "3/4", "3/4", true},
    {TASK_FRACTION, "3/4", "$\\frac{3}{4}$", true},
    {TASK_FRACTION, "3/4", "The answer is \\dfrac{3}{4}.", true},
    {TASK_FRACTION, "3/4", "6/8 = 3 / 4", true},
    {TASK_FRACTION, "3/4", "6/8", false},
    {TASK_FRACTION, "3/4", "0.75", false},
    {TASK_FRACTION, "3/4", "4/3", false},
    {TASK_FRACTION, "3/4", "13/4", false},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "20 * (15 * 4 - 41)", true},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "(4 \xc3\x97 15 - 41) \xc3\x97 20 = 380", true},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "The answer is (4*15-41)*20.", true},
    {TASK_EXPRESSION, "8 / 4 + 1", "1 + 8/4", true},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "4 * 15 - 41 * 20", false},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "380", false},
    {TASK_EXPRESSION, "(4 * 15 - 41) * 20", "19 * 20", false},
    {TASK_EXPRESSION, "5 + 6", "5 + 5 + 1", false},
    {TASK_EXPRESSION, "5 + 6", "5 + (6", false},
    {TASK_EXPRESSION, "5 + 6", "((((((((((((((((((((((((((((((((((((((((5 + 6))))))))))))))))))))))))))))))))))))))))", false},
    {TASK_LETTERS, "tac", "tac", true},
    {TASK_LETTERS, "tac", "The answer is \"Tac\".", true},
    {TASK_LETTERS, "tac", "cat", false},
    {TASK_LETTERS, "tac", "tacc", false},
    {TASK_TIME, "16:05", "It ends at 16:05.", true},
    {TASK_TIME, "16:05", "4:05 PM", true},
    {TASK_TIME, "9:05", "09:05", true},
    {TASK_TIME, "16:05", "16:50", false},
    {TASK_TIME, "16:05", "4:05", false},
};

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct str got = STR_EMPTY;
        bool right = task_reply_is_right(s->check, s->answer, s->reply, strlen(s->reply), &got);
        if (right != s->right) fail_msg("%s: \"%s\" for \"%s\": %s, took \"%s\"", task_check_name(s->check), s->reply, s->answer, right ? "right" : "wrong", str_cstr(&got));
        str_release(&got);
    }
}

/* The same answer in another coat, and the answer of another item. */
static void test_items(void **state)
{
    static const char *const right[][2] = {{"", ""}, {"The answer is ", "."}, {"The answer is: ", ""}, {"Let me see.\n\nThe answer is **", "**."}, {"\\boxed{", "}"}, {"#### ", ""}, {"So I get\n", ""}};
    static const char *const cut[] = {"The answer is not known.", "I cannot say.", ""};
    struct task_item it = {0}, other = {0};
    struct err e;
    char text[1024];
    (void)state;
    for (size_t f = 0; f < task_families(); f++)
        for (int i = 0; i < 300; i++) {
            assert_int_equal(task_make(&it, f, 1 + i % TASK_LEVELS, 21, (uint64_t)i, TASK_ANY, &e), 0);
            assert_int_equal(task_make(&other, f, 1 + i % TASK_LEVELS, 22, (uint64_t)i, TASK_ANY, &e), 0);
            for (size_t k = 0; k < ARRAY_LEN(right); k++) {
                int n = snprintf(text, sizeof text, "%s%s%s", right[k][0], it.answer.data, right[k][1]);
                if (!tasks_verify(&it, text, (size_t)n)) fail_msg("%s: \"%s\" is right", task_family_name(f), text);
            }
            for (size_t k = 0; k < ARRAY_LEN(cut); k++)
                if (tasks_verify(&it, cut[k], strlen(cut[k]))) fail_msg("%s: \"%s\" is not %s", task_family_name(f), cut[k], it.answer.data);
            if (it.check == TASK_EXPRESSION || it.check != other.check || !strcmp(it.answer.data, other.answer.data)) continue;
            if (tasks_verify(&it, other.reply.data, other.reply.len)) fail_msg("%s: \"%s\" is not %s", task_family_name(f), other.reply.data, it.answer.data);
        }
    task_item_release(&it);
    task_item_release(&other);
}

static void test_kinds(void **state)
{
    enum task_check c;
    (void)state;
    for (int i = 0; i < TASK_CHECKS_COUNT; i++) {
        assert_true(task_check_by_name(task_check_name((enum task_check)i), &c));
        assert_int_equal(c, i);
    }
    assert_false(task_check_by_name("nothing", &c));
    assert_int_equal(task_check_of("12"), TASK_NUMBER);
    assert_int_equal(task_check_of("1/2"), TASK_NUMBER);
    assert_int_equal(task_check_of("Yes"), TASK_WORD);
    assert_int_equal(task_check_of("Paris"), TASK_TEXT);
}

/* Whatever a model writes, the judge comes back. */
static void test_noise(void **state)
{
    static const char letters[] = "0123456789+-*/()[]{}.,:=$\\ abcfrx\n\xe2\x88\x92\xc3\x97\"'";
    struct task_random r = {7};
    char text[64];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t n = task_random_below(&r, sizeof text);
        for (size_t k = 0; k < n; k++) text[k] = letters[task_random_below(&r, sizeof letters - 1)];
        char *exact = mem_dup_text(text, n); /* for the address sanitizer */
        for (int c = 0; c < TASK_CHECKS_COUNT; c++) task_reply_is_right((enum task_check)c, "a/b 1", exact, n, NULL);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_items), cmocka_unit_test(test_kinds), cmocka_unit_test(test_noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
