/* Final answers: what is found in replies of all kinds, what counts as right, who wins a vote. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static void assert_extracts(enum answer_form form, const char *text, const char *want)
{
    struct str got = STR_EMPTY;
    answer_extract(&got, form, text, strlen(text));
    if (strcmp(str_cstr(&got), want)) fail_msg("%s of \"%s\": \"%s\", not \"%s\"", answer_form_name(form), text, str_cstr(&got), want);
    str_release(&got);
}

static void numbers_are_found(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"11", "11"},
        {"He has 11.", "11"},
        {"He has 5 + 6 = 11 tennis balls.", "11"},
        {"The answer is 11. I hope that helps in 2024!", "11"},
        {"The answer is: **11**", "11"},
        {"**Answer:** 11 apples", "11"},
        {"Final answer:\n\n11\n", "11"},
        {"#### 1,234", "1234"},
        {"so 7, or 8?\n#### -3", "-3"},
        {"It costs $1,234.50.", "1234.5"},
        {"-$5", "-5"},
        {"$-5", "-5"},
        {"the sum is \xe2\x88\x92"
         "12",
         "-12"},
        {"5-3", "3"},
        {"10 - 7", "7"},
        {"(8)-2", "2"},
        {"= -0.50", "-0.5"},
        {".5", "0.5"},
        {"000", "0"},
        {"-0", "0"},
        {"007", "7"},
        {"0.10", "0.1"},
        {"100", "100"},
        {"1,2,3", "3"},
        {"1,234,567", "1234567"},
        {"12,34", "34"},
        {"1.5e3", "1500"},
        {"25e-1", "2.5"},
        {"3/4", "0.75"},
        {"6 / 8 of it", "0.75"},
        {"2/3", "2/3"},
        {"-4/6", "-2/3"},
        {"5/0", "0"},
        {"H2O", ""},
        {"version 1.2.3", ""},
        {"x2 and 7km", "7"},
        {"50%", "50"},
        {"\\frac{3}{4}", "0.75"},
        {"it is $\\dfrac{1}{3}$", "1/3"},
        {"\\boxed{42}", "42"},
        {"first \\boxed{1}, no: $\\boxed{2}$ of 3", "2"},
        {"\\boxed{1\\,000}", "1000"},
        {"\\boxed{1{,}000}", "1000"},
        {"\\boxed{42\\text{ cm}}", "42"},
        {"\\boxed{12", "12"},
        {"no number", ""},
        {"", ""},
        {"The answer is unclear, but 3 were left", "3"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"1000000000000000000000000000000000000000000000000000000000000000000000000", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) assert_extracts(FORM_NUMBER, cases[i].text, cases[i].want);
}

static void answers_of_any_kind_are_found(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"The answer is Paris.", "paris"},
        {"The capital of France is **Paris**.", "the capital of france is paris"},
        {"Let me see.\n\nAnswer: \"Blue  Whale\"", "blue whale"},
        {"The answer is B) 42", "42"},
        {"Roger starts with 5.\n\nSo he has 11 balls.", "11"},
        {"Roger has 11 balls.\n\nI hope this helps!", "i hope this helps"},
        {"```\ncode 7\n```", "7"},
        {"yes\n---\n", "yes"},
        {"YES", "yes"},
        {"\xc3\x89t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
        {"stra\xc3\x9f"
         "e",
         "strasse"},
        {"bad \xff byte", "bad \xef\xbf\xbd byte"},
        {"\\boxed{x + 1}", "x+1"},
        {"\\boxed{\\frac{x}{2}}", "x/2"},
        {"\\boxed{\\text{Paris}}", "paris"},
        {"\\boxed{\\{1, 2\\}}", "\\{1,2\\}"},
        {"#### ", ""},
        {" \n\t\n", ""},
        {"...", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) assert_extracts(FORM_AUTO, cases[i].text, cases[i].want);
    assert_extracts(FORM_TEXT, "The answer is 11 tennis balls.", "11 tennis balls");
    assert_extracts(FORM_TEXT, "first\nBlue Whale.\n", "blue whale");
    assert_extracts(FORM_TEXT, "\\boxed{\\text{blue whale}}", "blue whale");
    assert_extracts(FORM_BOXED, "The answer is 11", "");
    assert_extracts(FORM_BOXED, "\\boxed{11.0}", "11");
    assert_extracts(FORM_BOXED, "\\boxed{\\left(1, \\frac12\\right)}", "1,\\frac12");
    struct str out = STR_EMPTY;
    answer_extract(&out, FORM_AUTO, NULL, 0);
    assert_int_equal(out.len, 0);
    str_release(&out);
}

static void answers_are_graded(void **state)
{
    static const struct {
        enum answer_form form;
        const char *reply, *expected;
        bool right;
    } cases[] = {
        {FORM_AUTO, "He has 11 balls.", "11", true},
        {FORM_AUTO, "He has 11 balls.", "11.0", true},
        {FORM_AUTO, "He has 11 balls.", "12", false},
        {FORM_AUTO, "It is 1,200 in all", "1200", true},
        {FORM_AUTO, "three quarters: 3/4", "0.75", true},
        {FORM_AUTO, "It is Paris.", "Paris", false},
        {FORM_AUTO, "The answer is paris.", "Paris", true},
        {FORM_AUTO, "Let me think.\nParis", "Paris", true},
        {FORM_AUTO, "Paris", "", false},
        {FORM_AUTO, "", "11", false},
        {FORM_AUTO, "", "", false},
        {FORM_AUTO, "\\boxed{\\frac{\\pi}{2}}", "\\frac{\\pi}{2}", true},
        {FORM_AUTO, "\\boxed{ \\dfrac{\\pi}{2} }", "\\boxed{\\frac{\\pi}{2}}", true},
        {FORM_AUTO, "\\frac{\\pi}{2}", "\\frac{\\pi}{2}", false},
        {FORM_BOXED, "\\boxed{11}", "11", true},
        {FORM_BOXED, "11", "11", false},
        {FORM_TEXT, "two\nlines", "two lines", true},
        {FORM_TEXT, "the answer is x. More words.", "x", true},
        {FORM_TEXT, "yes and no", "yes", false},
        {FORM_NUMBER, "the answer is eleven", "11", false},
        {FORM_NUMBER, "11", "eleven", false},
        {FORM_NUMBER, "$3.00", "3 dollars", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (answer_is_right(cases[i].form, cases[i].reply, strlen(cases[i].reply), cases[i].expected, strlen(cases[i].expected)) !=
            cases[i].right)
            fail_msg("\"%s\" for \"%s\" should be %s", cases[i].reply, cases[i].expected, cases[i].right ? "right" : "wrong");
    assert_int_equal(answer_form_of("1,000", 5), FORM_NUMBER);
    assert_int_equal(answer_form_of("$5.00", 5), FORM_NUMBER);
    assert_int_equal(answer_form_of("\\frac{1}{2}", 11), FORM_NUMBER);
    assert_int_equal(answer_form_of("5 apples", 8), FORM_TEXT);
    assert_int_equal(answer_form_of("1, 2", 4), FORM_TEXT);
    assert_int_equal(answer_form_of("\\sqrt{2}", 8), FORM_BOXED);
    enum answer_form f;
    assert_true(answer_form_by_name("boxed", &f) && f == FORM_BOXED);
    assert_false(answer_form_by_name("BOXED", &f));
}

/* Any bytes: no crash, no overrun (run under the sanitizers), and the answer of an answer is the answer. */
static void any_bytes_will_do(void **state)
{
    static const char *const pieces[] = {"\\boxed{", "}", "{",         "\\frac{", "1",  ",",    "234",          ".", "-", "$",
                                         "e9",       "/", "answer is", "\n",      "\\", "####", "\xe2\x88\x92", " ", "x", "\xff",
                                         "\\text{"};
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        struct str s = STR_EMPTY, one = STR_EMPTY, two = STR_EMPTY;
        for (int i = 0; i < 24; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            str_add(&s, pieces[(seed >> 33) % ARRAY_LEN(pieces)]);
        }
        for (int f = FORM_AUTO; f <= FORM_TEXT; f++) {
            str_clear(&one);
            answer_extract(&one, (enum answer_form)f, s.data, s.len);
            answer_is_right((enum answer_form)f, s.data, s.len, s.data, s.len);
            if (f != FORM_NUMBER || !one.len) continue;
            str_clear(&two);
            answer_extract(&two, FORM_NUMBER, one.data, one.len);
            assert_string_equal(str_cstr(&two), str_cstr(&one));
        }
        str_release(&s);
        str_release(&one);
        str_release(&two);
    }
    struct str deep = STR_EMPTY, out = STR_EMPTY;
    for (int i = 0; i < 20000; i++) str_add(&deep, "\\frac{\\text{");
    for (int i = 0; i < 20000; i++) str_add(&deep, "}}{1}");
    answer_extract(&out, FORM_AUTO, deep.data, 4000);
    str_release(&deep);
    str_release(&out);
}

static void the_majority_wins(void **state)
{
    (void)state;
    static const struct {
        struct answer_ballot b[5];
        size_t n, winner;
        int votes;
    } cases[] = {
        {{{"11", true}, {"12", true}, {"11", true}}, 3, 0, 2},
        {{{"12", true}, {"11", true}, {"11", true}}, 3, 1, 2},
        {{{"12", true}, {"11", true}}, 2, 0, 1},                              /* a tie: the first */
        {{{"12", false}, {"11", true}}, 2, 1, 1},                             /* a tie: the whole one */
        {{{"12", false}, {"11", true}, {"12", true}, {"11", true}}, 4, 1, 2}, /* as many, more of them whole */
        {{{"11", false}, {"11", true}, {"12", true}}, 3, 1, 2},               /* the whole one speaks for its answer */
        {{{"11", false}, {"11", false}, {"12", true}}, 3, 0, 2},              /* the count comes first */
        {{{"", true}, {"", true}, {"7", false}}, 3, 2, 1},                    /* no answer is no vote */
        {{{"", false}, {"", true}}, 2, 1, 0},
        {{{"", false}, {"", false}}, 2, 0, 0},
        {{{"1", true}}, 1, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t w = answers_winner(cases[i].b, cases[i].n);
        if (w != cases[i].winner) fail_msg("case %zu: voice %zu won", i, w);
        assert_int_equal(answers_same(cases[i].b, cases[i].n, w), cases[i].votes);
    }
}

/* Where the answer stands in the text itself, as the reader sees it. */
static void answers_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {{"So \\boxed{42}. The answer is 3.", "42"}, {"I see.\nThe answer is 12.\nBye.", "12"}, {"First.\n\nlast line\n", "last line"}, {"", ""}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 0;
        const char *p = answer_place(cases[i].text, strlen(cases[i].text), &n);
        if (n < strlen(cases[i].place) || (n && (p < cases[i].text || p + n > cases[i].text + strlen(cases[i].text)))) fail_msg("case %zu: %zu bytes", i, n);
        if (n && !memmem(p, n, cases[i].place, strlen(cases[i].place))) fail_msg("case %zu: %.*s", i, (int)n, p);
    }
    size_t n = 1;
    answer_place(NULL, 5, &n);
    assert_int_equal(n, 0);
    for (enum answer_form f = FORM_AUTO, g; f <= FORM_TEXT; f++) {
        assert_true(answer_form_by_name(answer_form_name(f), &g));
        assert_int_equal(g, f);
    }
    assert_string_equal(answer_form_name((enum answer_form)77), "");
}

/* Numbers at the edges of what is read as one. */
static void odd_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {{"1e", "1"}, {"2E+3", "2000"}, {"5e-1", "0.5"}, {"7e31", "7"}, {"3e5x", "3"}, {"1e999999", "1"}, {"3/0", "0"}, {"1/1000001", "1000001"}, {"1.5/2", "2"}, {"100/7", "100/7"}, {"7/125", "0.056"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) assert_extracts(FORM_NUMBER, cases[i].text, cases[i].want);
    char digits[200];
    memset(digits, '7', 199);
    digits[199] = '\0';
    struct str got = STR_EMPTY;
    answer_extract(&got, FORM_NUMBER, digits, 199); /* more digits than any number has here: none */
    assert_int_equal(got.len, 0);
    str_release(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_a_place), cmocka_unit_test(odd_numbers),
        cmocka_unit_test(numbers_are_found),  cmocka_unit_test(answers_of_any_kind_are_found),
        cmocka_unit_test(answers_are_graded), cmocka_unit_test(any_bytes_will_do),
        cmocka_unit_test(the_majority_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
