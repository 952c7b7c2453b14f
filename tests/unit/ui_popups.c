/* Settings, branches, tags, models: the lists over the transcript and what is done in them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"
#include "ui/popup.h"

#define F2    ESC "OQ"
#define F3    ESC "OR"
#define F9    ESC "[20~"
#define DOWN  ESC "[B"
#define RIGHT ESC "[C"
#define LEFT  ESC "[D"
#define DEL   ESC "[3~"

/* ---- settings ------------------------------------------------------------------------------------------------------ */

/* What the next start would have. */
static void expect_kept(const char *name, const char *want)
{
    struct settings s;
    struct err e = {0};
    struct str path = STR_EMPTY, value = STR_EMPTY;
    assert_int_equal(settings_init(&s, &e), 0);
    assert_int_equal(path_of(&path, PATH_CONFIG, "ponder.ini", &e), 0);
    assert_int_equal(settings_load(&s, str_cstr(&path), &e), 0);
    settings_get(&s, settings_find(name), &value);
    assert_string_equal(str_cstr(&value), want);
    str_release(&value);
    str_release(&path);
    settings_release(&s);
}

static void test_every_setting_is_on_the_screen(void **state)
{
    struct headless *t = *state;
    app_resize(t->app, 100, 60);
    headless_keys(t, F9);
    for (size_t i = 0; i < settings_count; i++) assert_true(headless_shows(t, settings_table[i].name));
    assert_true(headless_shows(t, "a catalogue name or a GGUF file")); /* a line about the chosen one */
    headless_keys(t, ESC);
    headless_keys(t, "/set\r");
    assert_int_equal(t->app->popup->kind, POPUP_SETTINGS);
}

static void test_choices_turn_and_are_kept(void **state)
{
    struct headless *t = *state;
    headless_keys(t, F9 "thoughts are shown\r"); /* by its help */
    assert_string_equal(t->app->set.thoughts, "tail");
    expect_kept("thoughts", "tail");
    assert_true(headless_shows(t, "thoughts = tail, kept in ponder.ini"));
    headless_keys(t, LEFT LEFT);
    assert_string_equal(t->app->set.thoughts, "hidden");
    expect_kept("thoughts", "hidden");
    headless_keys(t, RIGHT);
    assert_string_equal(t->app->set.thoughts, "auto");
    assert_string_equal(t->chat.set.thoughts, "auto");
    headless_keys(t, ESC);
    headless_keys(t, F9 "wheel\r");
    assert_false(t->app->set.mouse);
    assert_true(t->app->want.mouse);
    expect_kept("mouse", "off");
    headless_keys(t, DEL); /* as at first */
    assert_true(t->app->set.mouse);
    expect_kept("mouse", "on");
}

static void test_values_are_typed_and_checked(void **state)
{
    struct headless *t = *state;
    headless_keys(t, F9 "temp\r");
    assert_true(headless_shows(t, "temp: -1"));
    headless_keys(t, CTRL('U'));
    headless_keys(t, "0.75\r");
    assert_true(t->chat.set.temp > 0.74 && t->chat.set.temp < 0.76);
    expect_kept("temp", "0.75");
    headless_keys(t, "\r");
    headless_keys(t, CTRL('U'));
    headless_keys(t, "warm\r");
    assert_true(t->app->notice_is_error);
    assert_true(headless_shows(t, "temp: \"warm\" is not a number"));
    expect_kept("temp", "0.75");
    headless_keys(t, "\r" ESC); /* Esc leaves the line, then the screen */
    assert_non_null(t->app->popup);
    headless_keys(t, ESC);
    assert_null(t->app->popup);
}

static void test_budget_set_on_the_screen(void **state)
{
    struct headless *t = *state;
    headless_keys(t, F9 "how much a reply\r");
    headless_keys(t, CTRL('U'));
    headless_keys(t, "30s\r");
    assert_int_equal(t->chat.set.budget.kind, BUDGET_SECONDS);
    expect_kept("budget", "30s");
}

static void test_what_the_start_reads_waits_for_it(void **state)
{
    struct headless *t = *state;
    headless_keys(t, F9 "keep nothing\r");
    assert_false(t->app->set.private_chat);
    assert_true(headless_shows(t, "private = on, from the next start"));
    assert_true(headless_shows(t, " on ")); /* the list shows what will be */
    expect_kept("private", "on");
}

static void test_a_file_that_cannot_be_written_is_told(void **state)
{
    struct headless *t = *state;
    setenv("XDG_CONFIG_HOME", "/proc/nowhere", 1);
    headless_keys(t, F9 "wheel\r");
    assert_true(t->app->notice_is_error);
    assert_false(t->app->set.mouse); /* it holds all the same */
    assert_true(headless_shows(t, "it holds now, but is not kept"));
}

static void test_theme_picker_keeps_the_theme(void **state)
{
    struct headless *t = *state;
    setenv("PONDER_THEMES", "themes", 1);
    headless_keys(t, "/theme\r");
    struct theme before = t->app->theme;
    headless_keys(t, "gruvbox");
    assert_memory_not_equal(&before, &t->app->theme, sizeof before); /* seen before it is chosen */
    headless_keys(t, "\r");
    assert_string_equal(t->app->set.theme, "gruvbox");
    expect_kept("theme", "gruvbox");
    unsetenv("PONDER_THEMES");
}

/* ---- branches ------------------------------------------------------------------------------------------------------- */

/* Two replies to one prompt, and a second prompt below the first of them. */
static void branches(struct headless *t)
{
    headless_exchange(t, "the question", NULL, "first answer");
    headless_exchange(t, "a follow-up", NULL, "its answer");
    headless_keys(t, "\tkkr");
    headless_prefill(t, 1, 1);
    headless_answer(t, "second answer");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
}

static void test_tree_shows_all_branches(void **state)
{
    struct headless *t = *state;
    branches(t);
    assert_false(headless_shows(t, "first answer"));
    headless_keys(t, "/tree\r");
    assert_true(headless_shows(t, "you: the question"));
    assert_true(headless_shows(t, "├ ○ first answer"));
    assert_true(headless_shows(t, "│ you: a follow-up"));
    assert_true(headless_shows(t, "│ ○ its answer"));
    assert_true(headless_shows(t, "└ ● second answer"));
}

static void test_tree_goes_to_another_branch(void **state)
{
    struct headless *t = *state;
    branches(t);
    headless_keys(t, "/tree\r"
                     "follow");
    headless_keys(t, "\r");
    assert_null(t->app->popup);
    assert_int_equal(t->app->focus, FOCUS_READING);
    assert_int_equal(t->app->focus_item, 2);
    assert_true(headless_shows(t, "its answer"));
    assert_true(headless_shows(t, "first answer"));
    assert_false(headless_shows(t, "second answer"));
    assert_int_equal(t->chat.leaf, t->app->t.items[3].id); /* what is said next goes on from there */
}

static void test_siblings_are_switched_in_place(void **state)
{
    struct headless *t = *state;
    branches(t);
    headless_keys(t, "\t<");
    assert_true(headless_shows(t, "first answer"));
    assert_true(headless_shows(t, "version 1 of 2"));
    assert_int_equal(t->app->focus_item, 1);
    assert_true(headless_shows(t, "its answer")); /* the branch below it comes along */
    headless_keys(t, "<");
    assert_true(headless_shows(t, "this is the first version"));
    headless_keys(t, ">");
    assert_true(headless_shows(t, "second answer"));
    assert_true(headless_shows(t, "version 2 of 2"));
    headless_keys(t, RIGHT);
    assert_true(headless_shows(t, "this is the newest version"));
    headless_keys(t, "k" LEFT);
    assert_true(headless_shows(t, "its only version"));
}

static void test_branches_wait_for_the_reply(void **state)
{
    struct headless *t = *state;
    branches(t);
    headless_think(t);
    headless_keys(t, "\tkk<");
    assert_true(headless_shows(t, "still being written"));
    headless_keys(t, "t");
    headless_keys(t, "first\r");
    assert_true(headless_shows(t, "still being written"));
    assert_true(headless_shows(t, "second answer"));
}

static void test_tree_of_nothing(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/tree\r");
    assert_null(t->app->popup);
    assert_true(headless_shows(t, "there is no conversation yet"));
}

/* ---- thoughts gone on with ------------------------------------------------------------------------------------------ */

static void test_reroll_keeps_the_thought(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "question", "the thought", "the answer");
    char want[64];
    snprintf(want, sizeof want, "rethink m%lld -1\n", (long long)t->app->t.items[1].id);
    headless_keys(t, "\tR");
    assert_true(headless_logged(t, want));
    assert_true(headless_shows(t, "the answer is written again"));
    assert_int_equal(t->app->t.items[1].phase, PHASE_WAITING);
    headless_prefill(t, 1, 1);
    headless_answer(t, "another answer");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    headless_keys(t, "/reroll\r"); /* that one has no thought */
    assert_true(headless_shows(t, "this reply has no thought"));
}

static void test_thought_is_gone_on_with_from_a_step(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "question", "1. Two and 2.5.  That is four\n\nOr is it? Yes: it is", "Four.");
    char want[64];
    snprintf(want, sizeof want, "rethink m%lld 40\n", (long long)t->app->t.items[1].id);
    headless_keys(t, "\tB");
    assert_true(headless_shows(t, "│ 1. Two and 2.5. "));
    assert_true(headless_shows(t, "│ That is four "));
    assert_true(headless_shows(t, "│ it is "));
    assert_true(headless_shows(t, "5 of 5"));
    headless_keys(t, ESC "[A" ESC "[A\r");
    assert_true(headless_logged(t, want)); /* up to "Or is it?" */
    assert_null(t->app->popup);
    headless_keys(t, "/rethink\r");
    assert_true(headless_shows(t, "still being written"));
}

/* ---- conversations -------------------------------------------------------------------------------------------------- */

static void test_tags_of_conversations(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "prime numbers", NULL, "2, 3");
    headless_keys(t, "/new\r");
    headless_exchange(t, "bread", NULL, "flour");
    headless_keys(t, F3 "prime");
    headless_keys(t, CTRL('T'));
    assert_true(headless_shows(t, "tags: "));
    headless_keys(t, "maths, #for school\r");
    if (!headless_shows(t, "#for school #maths")) fail_msg("%s", headless_screen(t, false));
    headless_keys(t, "#maths");
    assert_true(headless_shows(t, "prime numbers"));
    assert_false(headless_shows(t, " bread  "));
    headless_keys(t, CTRL('T'));
    assert_true(headless_shows(t, "tags: for school, maths"));
    headless_keys(t, CTRL('U'));
    headless_keys(t, "maths\r");
    assert_false(headless_shows(t, "#for school"));
    assert_true(headless_shows(t, "#maths"));
    headless_keys(t, ESC);
    headless_keys(t, ESC);
}

static void test_found_by_thought_prompt_and_answer(void **state)
{
    struct headless *t = *state;
    headless_exchange(
        t, "title words first, and then so many others that no title of a sensible length could ever hold them all: a buried prompt",
        "a secret thought", "an open answer");
    headless_keys(t, "/new\r");
    headless_keys(t, F3 "buried");
    if (!headless_shows(t, "you: ")) fail_msg("%s", headless_screen(t, false));
    headless_keys(t, CTRL('U'));
    headless_keys(t, "secret");
    assert_true(headless_shows(t, "thought: "));
    headless_keys(t, CTRL('U'));
    headless_keys(t, "open answer");
    assert_true(headless_shows(t, "title words"));
    headless_keys(t, "\r");
    assert_int_equal(t->app->focus, FOCUS_READING);
}

/* ---- models --------------------------------------------------------------------------------------------------------- */

static void test_columns_of_models(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    assert_string_equal(model_fit_text(100, 1000), "fits");
    assert_string_equal(model_fit_text(900, 1000), "tight");
    assert_string_equal(model_fit_text(1001, 1000), "too large");
    assert_string_equal(model_fit_text(1, 0), "");
    model_row_text(&s, "Q4_K_M", 1117320736, "fits", 19.1, 80);
    assert_string_equal(str_cstr(&s), "Q4_K_M   1.12 GB  fits            19 tok/s");
    str_clear(&s);
    model_row_text(&s, "Q4_1", 98000000, "too large", 0, 80);
    assert_string_equal(str_cstr(&s), "Q4_1       98 MB  too large        - tok/s");
    str_clear(&s);
    model_row_text(&s, "Q4_1", 98000000, "fits", 0, 40);
    assert_string_equal(str_cstr(&s), "   98 MB");
    str_release(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_setting_is_on_the_screen),
        T(test_choices_turn_and_are_kept),
        T(test_values_are_typed_and_checked),
        T(test_budget_set_on_the_screen),
        T(test_what_the_start_reads_waits_for_it),
        T(test_a_file_that_cannot_be_written_is_told),
        T(test_theme_picker_keeps_the_theme),
        T(test_tree_shows_all_branches),
        T(test_tree_goes_to_another_branch),
        T(test_siblings_are_switched_in_place),
        T(test_branches_wait_for_the_reply),
        T(test_tree_of_nothing),
        T(test_reroll_keeps_the_thought),
        T(test_thought_is_gone_on_with_from_a_step),
        T(test_tags_of_conversations),
        T(test_found_by_thought_prompt_and_answer),
        T(test_columns_of_models),
    };
    return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
