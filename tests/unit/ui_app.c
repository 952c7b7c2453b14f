/* Input focus, keys that steer a reply, Esc and Ctrl-C, thought blocks: a test for each promise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

/* ---- input focus -------------------------------------------------------------------------------------------------- */

static void test_enter_sends(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "hello there\r");
    assert_true(headless_logged(t, "send hello there\n"));
    assert_string_equal(headless_line(t), "");
    assert_true(headless_shows(t, " hello there\n"));
}

static void test_blank_is_not_sent(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "\r  \r");
    assert_int_equal(t->chat.log.len, 0);
}

static void test_letters_always_type(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    str_clear(&t->chat.log);
    headless_keys(t, "ampsu jkgG+-[]");
    assert_string_equal(headless_line(t), "ampsu jkgG+-[]");
    assert_int_equal(t->chat.log.len, 0);
}

static void test_typing_ahead_queues(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "and then?\r");
    assert_true(headless_logged(t, "send and then?\n"));
    assert_true(headless_shows(t, "queued: and then?"));
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "the answer");
    headless_ended(t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
    assert_false(headless_shows(t, "queued:"));
    assert_true(headless_shows(t, " and then?\n"));
}

static void test_plus_minus_on_empty_line_steer_this_reply(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "+");
    assert_true(headless_logged(t, "budget 500\n"));
    headless_keys(t, "+");
    assert_true(headless_logged(t, "budget 600\n"));
    headless_keys(t, "-");
    headless_keys(t, "---");
    assert_true(headless_logged(t, "budget 350\n"));
    assert_string_equal(headless_line(t), "");
    headless_keys(t, "x+");
    assert_string_equal(headless_line(t), "x+");
}

static void test_plus_minus_when_idle_mean_the_next_reply_alone(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "-");
    assert_int_equal(t->chat.set.budget.amount, 350);
    assert_true(headless_shows(t, "budget of the next reply: 350"));
    headless_keys(t, "question\r");
    /* the chat has taken it with the prompt: what comes after gets the old one */
    assert_int_equal(t->chat.set.budget.amount, 400);
    assert_int_equal(t->app->set.budget.amount, 400);
    headless_prefill(t, 1, 1);
    headless_answer(t, "x");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    headless_screen(t, false);
    assert_true(headless_shows(t, "budget 400 tok"));
}

static void test_budget_command_holds_for_later_replies(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "/budget 200\r");
    assert_true(headless_logged(t, "budget 200\n"));
    assert_int_equal(t->app->set.budget.amount, 200);
    assert_int_equal(t->chat.set.budget.amount, 200);
    headless_keys(t, "/budget 30s\r");
    assert_true(headless_logged(t, "budget 30s\n"));
    assert_int_equal(t->chat.set.budget.kind, BUDGET_SECONDS);
    headless_keys(t, "/budget lots\r");
    assert_true(headless_shows(t, "is not a budget"));
}

static void test_live_keys(void **state)
{
    static const struct {
        const char *key, *logged;
    } cases[] = {
        {ESC "[15~", "answer "}, {ESC "a", "answer "},  {ESC "[17~", "more "},
        {ESC "m", "more "},      {ESC "[18~", "pause"}, {ESC "u", "budget unlimited"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct headless t;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        headless_think(&t);
        /* also with text on the line, which stays */
        headless_keys(&t, "abc");
        headless_keys(&t, cases[i].key);
        if (!headless_logged(&t, cases[i].logged)) fail_msg("case %zu: %s", i, str_cstr(&t.chat.log));
        assert_string_equal(headless_line(&t), "abc");
        headless_close(&t);
    }
    (void)state;
}

/* Both keys of each, in either focus. */
static void test_say_keys(void **unused)
{
    (void)unused;
    static const char *const keys[] = {ESC "[19~", ESC "s", "\t" ESC "[19~", "\t" ESC "s"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct headless t;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        headless_think(&t);
        headless_keys(&t, keys[i]);
        headless_keys(&t, "mind the units\r");
        if (!headless_logged(&t, "say mind the units\n")) fail_msg("case %zu: %s", i, str_cstr(&t.chat.log));
        headless_close(&t);
    }
}

/* The mouse does nothing that the setting has not allowed: the program asks the terminal for it, and gives it back. */
static void test_mouse_is_given_back(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/set mouse off\r");
    assert_true(t->app->want.mouse);
    assert_false(t->app->set.mouse);
    t->app->want.mouse = false;
    headless_keys(t, "/set mouse on\r");
    assert_true(t->app->want.mouse);
    assert_true(t->app->set.mouse);
}

static void test_pause_and_resume(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, ESC "p");
    assert_true(t->chat.paused);
    assert_true(headless_shows(t, "Paused at 2 s"));
    headless_wait(t, 9000);
    assert_true(headless_shows(t, "Paused at 2 s"));
    headless_keys(t, ESC "p");
    assert_false(t->chat.paused);
    headless_wait(t, 3000);
    assert_true(headless_shows(t, "Thinking… 5 s"));
}

static void test_say(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "draft");
    headless_keys(t, ESC "s");
    assert_true(headless_shows(t, "say> "));
    headless_keys(t, "-mind the units\r");
    assert_true(headless_logged(t, "say -mind the units\n"));
    assert_string_equal(headless_line(t), "draft");
    headless_keys(t, ESC "s");
    headless_keys(t, "x");
    headless_keys(t, ESC);
    assert_string_equal(headless_line(t), "draft");
    assert_false(headless_logged(t, "stop"));
}

static void test_say_when_nothing_runs(void **state)
{
    struct headless *t = *state;
    headless_keys(t, ESC "s");
    assert_true(headless_shows(t, "nothing is being thought"));
    assert_int_equal(t->app->mode, INPUT_PROMPT);
}

static void test_bare_letters_only_when_asked_for(void **state)
{
    struct headless *t = *state;
    struct err e = {0};
    assert_int_equal(app_set(t->app, "live_keys", "plain", &e), 0);
    headless_keys(t, "ap");
    assert_string_equal(headless_line(t), "ap"); /* nothing runs: they type */
    headless_keys(t, CTRL('u'));
    headless_think(t);
    str_clear(&t->chat.log);
    headless_keys(t, "a");
    assert_true(headless_logged(t, "answer"));
    assert_string_equal(headless_line(t), "");
    str_clear(&t->chat.log);
    headless_keys(t, "xa");
    assert_string_equal(headless_line(t), "xa");
    assert_int_equal(t->chat.log.len, 0);
}

static void test_typing_ahead_never_fires_a_command(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    str_clear(&t->chat.log);
    headless_keys(t, "/stop and /answer are words here");
    assert_int_equal(t->chat.log.len, 0);
    headless_keys(t, CTRL('u'));
    headless_keys(t, "please /stop\r");
    assert_true(headless_logged(t, "send please /stop\n"));
    assert_false(headless_logged(t, "stop \n"));
}

static void test_newline_keys(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "a\nb" ESC "\rc");
    assert_string_equal(headless_line(t), "a\nb\nc");
    headless_keys(t, "\r");
    assert_true(headless_logged(t, "send a\nb\nc\n"));
}

static void test_paste_never_sends(void **state)
{
    struct headless *t = *state;
    headless_keys(t, ESC "[200~/quit\rsecond\r\nthird\r" ESC "[201~");
    assert_int_equal(t->chat.log.len, 0);
    assert_false(t->app->want.quit);
    assert_non_null(strstr(headless_line(t), "second\nthird"));
    headless_keys(t, CTRL('u'));
}

static void test_paste_shows_controls(void **state)
{
    struct headless *t = *state;
    headless_keys(t, ESC "[200~a" ESC "[31mb" ESC "[201~");
    assert_true(headless_shows(t, "a␛[31mb"));
}

static void test_input_grows_to_a_third(void **state)
{
    struct headless *t = *state;
    for (int i = 0; i < 30; i++) headless_keys(t, "line\n");
    headless_screen(t, false);
    assert_int_equal(t->app->geo.input_h, 8);
    assert_true(t->grid.cursor_y >= t->app->geo.input_y && t->grid.cursor_y < t->app->geo.input_y + 8);
}

static void test_cursor_is_where_the_text_is(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "a中e\xcc\x81");
    headless_screen(t, false);
    assert_int_equal(t->grid.cursor_x, 2 + 1 + 2 + 1);
    headless_keys(t, ESC "[D" ESC "[D");
    headless_screen(t, false);
    assert_int_equal(t->grid.cursor_x, 3);
    headless_keys(t, CTRL('u'));
    headless_keys(t, CTRL('k'));
    for (int i = 0; i < 78; i++) headless_keys(t, "x");
    headless_screen(t, false);
    assert_int_equal(t->app->geo.input_h, 2); /* the cursor behind a full row has one of its own */
    assert_int_equal(t->grid.cursor_x, 2);
}

static void test_editor_is_asked_for(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "half");
    headless_keys(t, "\x18\x05");
    assert_true(t->app->want.editor);
    app_editor_done(t->app, "whole\n", 6);
    assert_string_equal(headless_line(t), "whole");
    assert_int_equal(t->chat.log.len, 0);
}

/* ---- Esc, Ctrl-C, Ctrl-D ------------------------------------------------------------------------------------------ */

static void test_escape_order(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, "\t");
    headless_keys(t, ESC "OP");
    assert_non_null(t->app->popup);
    headless_keys(t, ESC);
    assert_null(t->app->popup);
    assert_int_equal(t->app->focus, FOCUS_READING);
    headless_keys(t, ESC);
    assert_int_equal(t->app->focus, FOCUS_INPUT);
    assert_false(headless_logged(t, "stop"));
    headless_keys(t, ESC);
    assert_true(headless_logged(t, "stop"));
}

static void test_escape_then_letter_is_alt(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, ESC "a");
    assert_true(headless_logged(t, "answer"));
    assert_false(headless_logged(t, "stop"));
}

static void test_ctrl_c_stops_then_quits(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, CTRL('c'));
    assert_true(headless_logged(t, "stop"));
    assert_false(t->app->want.quit);
    headless_wait(t, 1500);
    headless_keys(t, CTRL('c'));
    assert_true(t->app->want.quit);
    assert_int_equal(t->app->want.exit_code, 0);
}

static void test_ctrl_c_twice_slowly_does_not_quit(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "text");
    headless_keys(t, CTRL('c'));
    assert_string_equal(headless_line(t), "");
    headless_wait(t, 2500);
    headless_keys(t, CTRL('c'));
    assert_false(t->app->want.quit);
    headless_keys(t, "a");
    headless_keys(t, CTRL('c'));
    assert_false(t->app->want.quit); /* another key came between */
}

static void test_ctrl_d(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "ab" ESC "[D");
    headless_keys(t, CTRL('d'));
    assert_string_equal(headless_line(t), "a");
    assert_false(t->app->want.quit);
    headless_keys(t, CTRL('u'));
    headless_keys(t, CTRL('d'));
    assert_true(t->app->want.quit);
}

/* ---- thought blocks ----------------------------------------------------------------------------------------------- */

static void test_thought_opens_and_folds(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    assert_true(headless_shows(t, "▾ Thinking… 2 s · 40/400 tok"));
    assert_true(headless_shows(t, "│ first thought line"));
    headless_progress(t, 12000, 212);
    headless_closed(t, THOUGHT_BUDGET_HARD);
    headless_answer(t, "eleven");
    assert_true(headless_shows(t, "▸ Thought for 12 s · 212 tok · closed by budget"));
    assert_false(headless_shows(t, "first thought line"));
}

static void test_briefly(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_progress(t, 900, 12);
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "x");
    assert_true(headless_shows(t, "▸ Thought briefly · 12 tok\n"));
}

static void test_own_choice_wins(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, CTRL('o')); /* tail to full */
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "eleven");
    assert_true(headless_shows(t, "│ first thought line"));
    headless_ended(t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
    assert_true(headless_shows(t, "│ first thought line"));

    headless_keys(t, "again\r");
    headless_prefill(t, 1, 1);
    headless_thinking(t);
    headless_thought(t, "hidden words");
    headless_keys(t, CTRL('o'));
    headless_keys(t, CTRL('o'));
    assert_false(headless_shows(t, "hidden words"));
    headless_thought(t, " and more");
    assert_false(headless_shows(t, "hidden words"));
    assert_true(headless_shows(t, "▸ Thinking…"));
}

static void test_fold_is_kept_over_restart(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "kept thought", "a");
    headless_keys(t, CTRL('o'));
    assert_true(headless_shows(t, "kept thought"));
    int64_t id = t->chat.conversation;
    headless_stop(t);
    headless_start(t, 80, 24, id);
    t->chat.conversation = id;
    assert_true(headless_shows(t, "▾ Thought for 12 s"));
    assert_true(headless_shows(t, "│ kept thought"));
}

static void test_think_and_thoughts_are_two_settings(void **state)
{
    struct headless *t = *state;
    headless_keys(t, CTRL('t'));
    assert_string_equal(t->chat.set.think, "off");
    assert_string_equal(t->chat.set.thoughts, "auto");
    assert_true(headless_shows(t, "thinking off"));
    headless_keys(t, CTRL('t'));
    assert_string_equal(t->chat.set.think, "on");
    headless_keys(t, ESC "t");
    assert_string_equal(t->chat.set.think, "on");
    assert_string_equal(t->app->set.thoughts, "hidden");
    headless_think(t);
    /* hidden, but it is seen that work goes on */
    assert_false(headless_shows(t, "first thought line"));
    assert_true(headless_shows(t, "▸ Thinking… 2 s · 40/400 tok"));
}

static void test_views_of_the_setting(void **state)
{
    struct headless *t = *state;
    struct err e = {0};
    headless_think(t);
    for (int i = 0; i < 40; i++) headless_thought(t, "one more line\n");
    headless_closed(t, THOUGHT_NATURAL);
    headless_answer(t, "x");
    headless_ended(t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
    assert_int_equal(transcript_height(&t->app->t, 1), 3);
    assert_int_equal(app_set(t->app, "thoughts", "tail", &e), 0);
    assert_int_equal(transcript_height(&t->app->t, 1), 3 + 10);
    assert_int_equal(app_set(t->app, "thoughts", "full", &e), 0);
    assert_int_equal(transcript_height(&t->app->t, 1), 3 + 42);
    assert_int_equal(app_set(t->app, "thoughts", "hidden", &e), 0);
    assert_int_equal(transcript_height(&t->app->t, 1), 3);
}

static void test_endings_are_named(void **state)
{
    static const struct {
        enum thought_ending t;
        enum answer_ending a;
        const char *text;
    } cases[] = {
        {THOUGHT_NATURAL, ANSWER_COMPLETE, "▸ Thought for 2 s · 40 tok\n"},
        {THOUGHT_ANSWER_NOW, ANSWER_COMPLETE, "40 tok · answered on demand"},
        {THOUGHT_BUDGET_SOFT, ANSWER_COMPLETE, "40 tok · closed by budget"},
        {THOUGHT_LOOP, ANSWER_COMPLETE, "40 tok · loop broken"},
        {THOUGHT_STOPPED, ANSWER_NOT_BEGUN, "40 tok · stopped"},
        {THOUGHT_CONTEXT_FULL, ANSWER_NOT_BEGUN, "40 tok · context full"},
        {THOUGHT_NATURAL, ANSWER_STOPPED, "· stopped"},
        {THOUGHT_NATURAL, ANSWER_LENGTH, "· answer cut at its limit"},
        {THOUGHT_NATURAL, ANSWER_INTERRUPTED, "· interrupted"},
        {THOUGHT_NATURAL, ANSWER_CONTEXT_FULL, "· context full"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct headless t;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        headless_think(&t);
        if (cases[i].a != ANSWER_NOT_BEGUN) {
            headless_closed(&t, cases[i].t);
            headless_answer(&t, "some text");
        }
        headless_ended(&t, cases[i].t, cases[i].a, NULL);
        if (!headless_shows(&t, cases[i].text)) fail_msg("%s is not in\n%s", cases[i].text, str_cstr(&t.screen));
        /* and the same from the record */
        int64_t id = t.chat.conversation;
        headless_stop(&t);
        headless_start(&t, 80, 24, id);
        if (!headless_shows(&t, cases[i].text)) fail_msg("%s is not in\n%s", cases[i].text, str_cstr(&t.screen));
        headless_close(&t);
    }
}

static void test_injected_text_is_marked(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "question\r");
    headless_prefill(t, 5, 5);
    headless_thinking(t);
    headless_thought(t, "\nmodel words ");
    headless_event(t, (struct chat_event){.kind = CHAT_INJECTED, .message = t->chat.reply, .done = 13, .total = 10, .author = "user"},
                   "say");
    headless_thought(t, "user words");
    headless_thought(t, " model again");
    assert_non_null(strstr(headless_screen(t, true), "{thought:model words }{injected:user words}{thought: model again}"));
}

static void test_waiting_is_never_silent(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "question\r");
    headless_wait(t, 4000);
    assert_true(headless_shows(t, "Starting… 4 s"));
    headless_prefill(t, 20, 100);
    assert_true(headless_shows(t, "Reading the prompt… 20/100 tok · 4 s"));
    headless_thinking(t);
    headless_wait(t, 1000);
    assert_true(headless_shows(t, "Thinking… 1 s"));
    assert_true(app_next_tick(t->app) > 0 && app_next_tick(t->app) <= 100);
}

static void test_timer_stays_in_sight(void **state)
{
    struct headless *t = *state;
    headless_think(t);
    headless_keys(t, CTRL('o'));
    for (int i = 0; i < 60; i++) headless_thought(t, "one more line\n");
    assert_false(headless_shows(t, "▾ Thinking"));
    assert_true(headless_shows(t, " Thinking… 2 s · 40/400 tok  + - budget"));
}

/* ---- drafts, queue, trouble ---------------------------------------------------------------------------------------- */

static void test_draft_survives(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "a");
    headless_keys(t, "half a thou");
    headless_wait(t, 1000);
    int64_t id = t->chat.conversation;
    headless_stop(t); /* as after a crash: nothing was said to it */
    headless_start(t, 80, 24, id);
    assert_string_equal(headless_line(t), "half a thou");
    t->chat.conversation = id;
    headless_keys(t, "ght\r");
    headless_stop(t);
    headless_start(t, 80, 24, id);
    assert_string_equal(headless_line(t), "");
}

static void test_failed_send_gives_the_text_back(void **state)
{
    struct headless *t = *state;
    t->chat.fail_send = true;
    headless_keys(t, "precious words\r");
    assert_string_equal(headless_line(t), "precious words");
    assert_true(headless_shows(t, "out of memory"));
}

static void test_store_trouble_stays_and_goes(void **state)
{
    struct headless *t = *state;
    headless_event(t, (struct chat_event){.kind = CHAT_STORE_TROUBLE}, "disk full");
    headless_keys(t, "abc");
    assert_true(headless_shows(t, "not saved, kept in memory: disk full"));
    headless_event(t, (struct chat_event){.kind = CHAT_STORE_TROUBLE}, "");
    assert_false(headless_shows(t, "disk full"));
}

static void test_model_failure(void **state)
{
    (void)state;
    struct headless t;
    headless_open(&t);
    headless_start(&t, 80, 24, 0);
    headless_event(&t, (struct chat_event){.kind = CHAT_MODEL_FAILED}, "small.gguf: no such file");
    assert_true(headless_shows(&t, "no model: /model NAME"));
    assert_true(headless_shows(&t, "small.gguf: no such file"));
    headless_keys(&t, "hello\r");
    assert_string_equal(headless_line(&t), "hello");
    assert_int_equal(t.chat.log.len, 0);
    headless_close(&t);
}

static void test_repeating_is_told(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    headless_start(&t, 80, 24, 0);
    headless_model(&t);
    headless_keys(&t, "how many?\r");
    headless_prefill(&t, 5, 5);
    headless_thinking(&t);
    headless_thought(&t, "round and round");
    headless_event(&t, (struct chat_event){.kind = CHAT_LOOP, .message = t.chat.reply}, NULL);
    assert_true(headless_shows(&t, "the thought repeats itself: F5 answers now"));
    headless_closed(&t, THOUGHT_NATURAL);
    headless_answer(&t, "six and six and six");
    headless_event(&t, (struct chat_event){.kind = CHAT_LOOP, .message = t.chat.reply}, NULL);
    assert_true(headless_shows(&t, "the answer repeats itself: Esc stops it"));
    headless_close(&t);
}

/* When the next prompt is known the meter shows what it takes: the thought is no part of it any more. */
static void test_the_meter_shows_what_goes_on(void **unused)
{
    (void)unused;
    struct headless t;
    const struct chat_event ready = {.kind = CHAT_READY, .done = 188, .total = 188, .stats = {.context_used = 188, .context = 8192}};
    headless_open(&t);
    headless_start(&t, 80, 24, 0);
    headless_model(&t);
    headless_event(&t, ready, NULL);
    assert_false(headless_shows(&t, "ctx")); /* nothing is there yet */
    headless_exchange(&t, "how many?", "five and six", "Eleven.");
    assert_true(headless_shows(&t, "ctx 612/8192"));
    headless_event(&t, ready, NULL);
    assert_true(headless_shows(&t, "ctx 188/8192"));
    headless_keys(&t, "and now?\r");
    headless_prefill(&t, 5, 5);
    headless_event(&t, (struct chat_event){.kind = CHAT_READY, .total = 99, .stats = {.context_used = 99, .context = 8192}}, NULL);
    assert_false(headless_shows(&t, "ctx 99/8192"));
    headless_close(&t);
}

static void test_vi_mode_is_shown(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    settings_set(&t.set, "keys", "vi", NULL);
    headless_start(&t, 80, 24, 0);
    headless_model(&t);
    assert_true(headless_shows(&t, "vi ins"));
    headless_keys(&t, "abc");
    headless_keys(&t, ESC);
    assert_true(headless_shows(&t, "vi cmd"));
    headless_keys(&t, "0x");
    assert_string_equal(headless_line(&t), "bc");
    /* and changed at once */
    headless_keys(&t, "ddi/set keys emacs\r");
    assert_false(headless_shows(&t, "vi ins"));
    headless_keys(&t, "abc");
    assert_string_equal(headless_line(&t), "abc");
    headless_keys(&t, "\x01");
    assert_string_equal(headless_line(&t), "abc");
    headless_keys(&t, "\x04");
    assert_string_equal(headless_line(&t), "bc");
    headless_keys(&t, "\x05\x15/set keys vi\r");
    assert_true(headless_shows(&t, "keys = vi"));
    headless_keys(&t, "abc");
    headless_keys(&t, ESC);
    headless_keys(&t, "0x");
    assert_string_equal(headless_line(&t), "bc");
    headless_close(&t);
}

static void test_reply_of_another_window(void **unused)
{
    (void)unused;
    struct headless t;
    struct err e = {0};
    int64_t id, prompt, reply;
    headless_open(&t);
    assert_int_equal(store_new_conversation(t.store, "", &id, &e), 0);
    assert_int_equal(store_add_prompt(t.store, id, 0, "q", 1, &prompt, &e), 0);
    struct reply_start r = {.conversation = id,
                            .parent = prompt,
                            .model = "m",
                            .model_file = "m",
                            .quant = "q",
                            .family = "f",
                            .engine_version = "0",
                            .kernels = "k",
                            .system = "",
                            .budget = "400"};
    assert_int_equal(store_begin_reply(t.store, &r, &reply, &e), 0);
    headless_start(&t, 80, 24, id);
    assert_true(headless_shows(&t, "being written by another window"));
    headless_close(&t);
}

static void test_no_escape_reaches_a_cell(void **state)
{
    struct headless *t = *state;
    char all[256];
    size_t n = 0;
    for (int c = 1; c < 256; c++) all[n++] = (char)c;
    all[n] = '\0';
    headless_exchange(t, "q", all, all);
    headless_keys(t, CTRL('o'));
    headless_event(t, (struct chat_event){.kind = CHAT_NOTICE}, all);
    headless_event(t, (struct chat_event){.kind = CHAT_STORE_TROUBLE}, all);
    headless_screen(t, false);
    for (int i = 0; i < t->grid.w * t->grid.h; i++)
        for (const char *p = t->grid.cells[i].text; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void test_quit_keys_leave_nothing_running(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/quit\r");
    assert_true(t->app->want.quit);
    assert_int_equal(t->app->want.exit_code, 0);
    assert_int_equal(t->chat.log.len, 0);
}

int main(void)
{
#define T(f)     cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
#define ALONE(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        T(test_enter_sends),
        T(test_blank_is_not_sent),
        T(test_letters_always_type),
        T(test_typing_ahead_queues),
        T(test_plus_minus_on_empty_line_steer_this_reply),
        T(test_plus_minus_when_idle_mean_the_next_reply_alone),
        T(test_budget_command_holds_for_later_replies),
        ALONE(test_live_keys),
        cmocka_unit_test(test_say_keys),
        T(test_mouse_is_given_back),
        T(test_pause_and_resume),
        T(test_say),
        T(test_say_when_nothing_runs),
        T(test_bare_letters_only_when_asked_for),
        T(test_typing_ahead_never_fires_a_command),
        T(test_newline_keys),
        T(test_paste_never_sends),
        T(test_paste_shows_controls),
        T(test_input_grows_to_a_third),
        T(test_cursor_is_where_the_text_is),
        T(test_editor_is_asked_for),
        T(test_escape_order),
        T(test_escape_then_letter_is_alt),
        T(test_ctrl_c_stops_then_quits),
        T(test_ctrl_c_twice_slowly_does_not_quit),
        T(test_ctrl_d),
        T(test_thought_opens_and_folds),
        T(test_briefly),
        T(test_own_choice_wins),
        T(test_fold_is_kept_over_restart),
        T(test_think_and_thoughts_are_two_settings),
        T(test_views_of_the_setting),
        ALONE(test_endings_are_named),
        T(test_injected_text_is_marked),
        T(test_waiting_is_never_silent),
        T(test_timer_stays_in_sight),
        T(test_draft_survives),
        T(test_failed_send_gives_the_text_back),
        T(test_store_trouble_stays_and_goes),
        ALONE(test_model_failure),
        ALONE(test_repeating_is_told),
        ALONE(test_the_meter_shows_what_goes_on),
        ALONE(test_vi_mode_is_shown),
        ALONE(test_reply_of_another_window),
        T(test_no_escape_reaches_a_cell),
        T(test_quit_keys_leave_nothing_running),
    };
    return cmocka_run_group_tests_name("app", tests, NULL, NULL);
}
