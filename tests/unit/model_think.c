/* The thinking controller's rules on scripted models: how a thought begins, its budget, how it is closed. The user's commands and the
 * answer: model_think_live.c. Every family and every place: model_think_families.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/think_help.h"

/* ---- beginnings ---------------------------------------------------------------------------------------------- */

static void test_no_thought(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "qwen3", true, unlimited);
    start(&w);
    assert_int_equal(stats(&w).state, THINK_IDLE);
    say(&w, "\n The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_string_equal(str_cstr(&w.r.answer), " The answer");
    assert_int_equal(w.r.opened + w.r.closed, 0);
    assert_int_equal(w.r.thought_ending, THOUGHT_NONE);
    assert_int_equal(w.r.answer_ending, ANSWER_COMPLETE);
    done(&w);
}

static void test_thinking_off(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 100});
    w.c.think = false;
    start(&w);
    assert_int_equal(stats(&w).state, THINK_ANSWER);
    assert_int_equal(stats(&w).budget.kind, BUDGET_OFF);
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.opened, 0);
    assert_int_equal(stats(&w).answer_tokens, 2);
    done(&w);

    /* the model opens a thought all the same: it is recognised and closed at once */
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 100});
    w.c.think = false;
    start(&w);
    markup(&w, "<think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.opened, 1);
    assert_int_equal(w.r.thought_ending, THOUGHT_NONE);
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    assert_int_equal(w.r.thought.len, 0);
    done(&w);

    /* a prompt that ends inside a thought although thinking is off */
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    w.c.think = false;
    start(&w);
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_NONE);
    assert_int_equal(stats(&w).thought_tokens, 0);
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    done(&w);
}

static void test_zero_is_one_empty_block(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 0});
    start(&w);
    say(&w, "The answer");
    play(&w);
    /* the tokens of "<think>\n\n</think>\n\n", as the family's template writes the empty thought */
    struct tokens want = {0};
    script_markup(&w.v, &want, "<think>\n\n</think>\n\nThe answer");
    assert_true(w.r.timeline.n > want.n);
    assert_memory_equal(w.r.timeline.ids, want.ids, want.n * sizeof *want.ids);
    tokens_release(&want);
    done(&w);
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

static void test_forced_close_is_by_id(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_TOKENS, 200});
    start(&w);
    fill(&w, 60);
    assert_int_equal(command(&w, THINK_ANSWER_NOW), 0);
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_ANSWER_NOW);
    int32_t close = vocab_find(&w.v, "</think>"), times = 0;
    for (size_t i = 0; i < w.r.timeline.n; i++) times += w.r.timeline.ids[i] == close;
    assert_int_equal(times, 1);
    assert_int_equal(w.r.n_spans, 2);
    assert_string_equal(w.r.spans[0].kind, "wrap_up");
    assert_int_equal(w.r.spans[0].position, 60); /* the very next token */
    assert_memory_equal(str_cstr(&w.r.thought) + w.r.spans[0].offset, w.f->wrap_up, w.r.spans[0].len);
    assert_int_equal(w.r.spans[0].len, strlen(w.f->wrap_up));
    assert_string_equal(w.r.spans[1].kind, "close");
    assert_int_equal(stats(&w).thought_tokens, 60 + w.r.t->wrap_len);
    done(&w);
}

static void test_budget_is_a_total(void **state)
{
    (void)state;
    static const int budgets[] = {60, 100, 400, 1000};
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        struct world w;
        setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, budgets[i]});
        start(&w);
        bool taken;
        reply_step(&w.r, vocab_find(&w.v, "<think>"), &taken);
        unsigned x = 1;
        while (stats(&w).state == THINK_COUNTING || stats(&w).state == THINK_SOFT) {
            x = x * 1103515245u + 12345u;
            reply_step(&w.r, 'a' + (int)(x >> 16) % 26, &taken);
        }
        say(&w, "The answer");
        play(&w);
        reply_check(&w.r, w.f);
        assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
        assert_int_equal(stats(&w).thought_tokens, budgets[i]);
        int soft = (budgets[i] * 15 + 99) / 100;
        assert_int_equal(w.r.sampled_in_state[THINK_SOFT], soft < 64 ? soft : 64);
        done(&w);
    }
}

/* A model that takes the best token closes at the first line end of the soft window, and not before it. */
static void soft_close(const char *family, bool as_tokens)
{
    struct world w;
    setup(&w, family, as_tokens, (struct budget){BUDGET_TOKENS, 300});
    start(&w);
    w.r.greedy = true;
    if (w.f->start == THOUGHT_BY_MODEL) markup(&w, w.f->open[0]);
    for (int i = 0; i < 100; i++) say(&w, i % 2 ? " two and three\n" : " the total is five");
    say(&w, "The answer");
    int lead = (int)force_pending(w.r.t);
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_SOFT);
    int used = stats(&w).thought_tokens;
    assert_true(used >= lead + 200 && used < 300 - w.r.t->wrap_len);
    assert_false(reply_has_span(&w.r, "wrap_up"));
    const char *last = str_cstr(&w.r.thought) + w.r.thought.len - strlen(" two and three");
    assert_string_equal(last, " two and three");
    done(&w);
}

static void test_soft_close(void **state)
{
    (void)state;
    soft_close("qwen3", true);
    soft_close("deepseek-r1-distill-qwen", true);
    soft_close("ministral-3-reasoning", true);
    soft_close("smollm2", false); /* the tag is text: its first token rises, the rest follows by force */
    soft_close("gpt-oss", true);
}

/* Asked twice at one position, the logits are favoured once. */
static void test_soft_close_once_a_position(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_TOKENS, 300});
    start(&w);
    while (stats(&w).state != THINK_SOFT) fill(&w, 1);
    fill(&w, 10);
    float logits[VOCAB_MAX] = {0};
    int32_t close = vocab_find(&w.v, "</think>"), forced;
    logits[close] = -9;
    assert_int_equal(think_next(w.r.t, logits, 0, &forced), THINK_DO_SAMPLE);
    float once = logits[close];
    assert_true(once > -9 && once < 0);
    assert_int_equal(think_next(w.r.t, logits, 0, &forced), THINK_DO_SAMPLE);
    assert_true(logits[close] == once);
    done(&w);
}

static void test_whole_characters(void **state)
{
    (void)state;
    static const char *const text = "\xf0\x9f\x8e\xbe"; /* one character in four tokens */
    for (int cut = 1; cut < 4; cut++) {
        struct world w;
        setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
        start(&w);
        fill(&w, 10);
        bool taken;
        for (int i = 0; i < cut; i++) reply_step(&w.r, (unsigned char)text[i], &taken);
        command(&w, THINK_ANSWER_NOW);
        for (int i = cut; i < 4; i++) {
            assert_int_equal(stats(&w).state, THINK_WAITING_UTF8);
            reply_step(&w.r, (unsigned char)text[i], &taken);
            assert_true(taken);
        }
        say(&w, "The answer");
        play(&w);
        reply_check(&w.r, w.f);
        assert_non_null(strstr(str_cstr(&w.r.thought), "\xf0\x9f\x8e\xbe\n\nConsidering"));
        done(&w);
    }
    /* a character that never comes is not waited for for ever */
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    fill(&w, 10);
    bool taken;
    reply_step(&w.r, 0xf0, &taken);
    command(&w, THINK_ANSWER_NOW);
    say(&w, "The answer is");
    play(&w);
    assert_int_equal(w.r.thought_ending, THOUGHT_ANSWER_NOW);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\xef\xbf\xbdThe\n\nConsidering"));
    assert_string_equal(str_cstr(&w.r.answer), " answer is");
    done(&w);
}

static void test_budget_changes(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    /* lowered below what is used: soft at once, forced within 32, and lowering it again wins no time */
    setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_TOKENS, 1000});
    start(&w);
    fill(&w, 200);
    assert_int_equal(stats(&w).state, THINK_COUNTING);
    assert_int_equal(set_budget(&w, BUDGET_TOKENS, 50), 0);
    int n = 0;
    while (reply_step(&w.r, 'a' + n % 26, &taken) && taken) {
        if (!n) assert_int_equal(w.r.sampled_in_state[THINK_SOFT], 1);
        if (n % 5 == 4) set_budget(&w, BUDGET_TOKENS, 50 - n);
        n++;
        assert_true(n <= 32);
    }
    assert_int_equal(stats(&w).state, THINK_FORCING);
    /* raised while the wrap-up is put: the close is called off */
    assert_int_equal(set_budget(&w, BUDGET_TOKENS, 500), 0);
    assert_int_equal(stats(&w).extensions, 1);
    reply_step(&w.r, 'x', &taken);
    while (!taken) reply_step(&w.r, 'x', &taken);
    assert_int_equal(stats(&w).state, THINK_COUNTING);
    assert_true(reply_has_span(&w.r, "wait"));
    /* lifted */
    assert_int_equal(set_budget(&w, BUDGET_UNLIMITED, 0), 0);
    fill(&w, 600);
    assert_int_equal(stats(&w).state, THINK_COUNTING);
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
    assert_int_equal(set_budget(&w, BUDGET_TOKENS, 5), ERR_INVALID);
    done(&w);
}

/* ---- seconds ------------------------------------------------------------------------------------------------- */

static void test_seconds(void **state)
{
    (void)state;
    static const int ms[] = {2, 10, 40, 90, 125, 180};
    for (size_t i = 0; i < ARRAY_LEN(ms); i++)
        for (int live = 0; live < 2; live++) {
            struct world w;
            setup(&w, "deepseek-r1-distill-qwen", true, live ? unlimited : (struct budget){BUDGET_SECONDS, 5});
            w.c.think_min = 1000;
            w.c.context_left = 9000;
            start(&w);
            w.r.ms_per_token = ms[i];
            int64_t closed = 0;
            bool taken, on = true;
            for (int n = 0; on && !closed; n++) {
                if (live && w.r.ms >= 1500 && w.r.budgets == 1) assert_int_equal(set_budget(&w, BUDGET_SECONDS, 5), 0);
                on = reply_step(&w.r, 'a' + n * n % 26, &taken);
                if (w.r.closed) closed = w.r.ms;
            }
            assert_in_range(closed, 4000, 6000);
            assert_true((w.r.sampled_in_state[THINK_SOFT] > 0) == (ms[i] <= 10)); /* where the wrap-up takes long there is no time for it */
            assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
            assert_int_equal(w.r.budgets, 2 + live); /* the last one in tokens */
            assert_int_equal(stats(&w).budget.kind, BUDGET_SECONDS);
            done(&w);
        }
}

/* Takes over what a budget in seconds did, from the token positions of its events alone. */
struct replay {
    struct think_event events[32];
    int n, at;
};

static void replay_before(struct reply *r, size_t step, void *arg)
{
    struct replay *p = arg;
    (void)step;
    for (; p->at < p->n && p->events[p->at].position == r->timeline.n; p->at++)
        reply_do(r, &(struct think_command){.verb = THINK_SET_BUDGET, .budget = p->events[p->at].budget});
}

static void test_replay_needs_no_clock(void **state)
{
    (void)state;
    static const int ms[] = {3, 11, 40, 90, 200};
    static const double seconds[] = {0.5, 1, 3, 8};
    for (size_t i = 0; i < ARRAY_LEN(ms); i++)
        for (size_t k = 0; k < ARRAY_LEN(seconds); k++)
            for (int greedy = 0; greedy < 2; greedy++) {
                struct world w, again;
                setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_SECONDS, seconds[k]});
                start(&w);
                w.r.ms_per_token = ms[i];
                w.r.greedy = greedy;
                for (int n = 0; n < 700; n++) say(&w, n * n % 7 == 1 ? " five.\n" : n % 3 ? " add" : " total");
                play(&w);
                struct replay p = {0};
                for (int n = 1; n < w.r.n_events; n++)
                    if (w.r.events[n].kind == THINK_BUDGET) p.events[p.n++] = w.r.events[n];
                if (seconds[k] * 1000 / ms[i] < 600) assert_int_equal(p.n, 1);
                setup(&again, "deepseek-r1-distill-qwen", true, unlimited);
                start(&again);
                again.r.greedy = greedy;
                assert_int_equal(tokens_append(&again.script, w.script.ids, w.script.n), 0);
                reply_play(&again.r, &again.script, replay_before, &p);
                assert_int_equal(p.at, p.n);
                assert_int_equal(again.r.timeline.n, w.r.timeline.n);
                assert_memory_equal(again.r.timeline.ids, w.r.timeline.ids, w.r.timeline.n * sizeof(int32_t));
                assert_string_equal(str_cstr(&again.r.thought), str_cstr(&w.r.thought));
                assert_int_equal(again.r.thought_ending, w.r.thought_ending);
                done(&w);
                done(&again);
            }
}

/* Time spent in an earlier thought counts; time spent answering does not. */
static void test_seconds_over_two_thoughts(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_SECONDS, 4});
    start(&w);
    w.r.ms_per_token = 20;
    while (w.r.ms < 2000) fill(&w, 1);
    reply_step(&w.r, vocab_find(&w.v, "</think>"), &taken);
    int64_t answering = w.r.ms;
    while (w.r.ms < answering + 3000) reply_step(&w.r, '\n', &taken);
    reply_step(&w.r, vocab_find(&w.v, "<think>"), &taken);
    int64_t opened = w.r.ms;
    while (stats(&w).state != THINK_ANSWER) reply_step(&w.r, 'a' + (int)(w.r.ms / 20) % 26, &taken);
    assert_in_range(w.r.ms - opened, 1500, 2300);
    assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
    done(&w);
}

/* ---- at least so much thought -------------------------------------------------------------------------------- */

static void test_think_min(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        bool as_tokens;
    } cases[] = {{"qwen3", true}, {"smollm2", false}, {"gpt-oss", true}, {"granite-3.3", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        setup(&w, cases[i].family, cases[i].as_tokens, unlimited);
        w.c.think_min = 40;
        start(&w);
        if (w.f->start == THOUGHT_BY_MODEL) markup(&w, w.f->open[0]);
        for (int k = 0; k < 60; k++) {
            say(&w, " five");
            markup(&w, w.f->close[0]); /* every other token it tries to close */
        }
        say(&w, "The answer");
        play(&w);
        reply_check(&w.r, w.f);
        int used = stats(&w).thought_tokens;
        assert_in_range(used, 40, 80);
        assert_true(w.r.refused + w.r.masked > 0);
        assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
        assert_non_null(strstr(str_cstr(&w.r.answer), "The answer"));
        done(&w);
    }
    /* an end of the reply is withheld as well */
    struct world w;
    setup(&w, "qwen3", true, unlimited);
    w.c.think_min = 40;
    start(&w);
    markup(&w, "<think>");
    say(&w, " five");
    play(&w);
    reply_check(&w.r, w.f);
    assert_in_range(stats(&w).thought_tokens, 40, 40 + w.r.t->wrap_len);
    done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_thought),
        cmocka_unit_test(test_thinking_off),
        cmocka_unit_test(test_zero_is_one_empty_block),
        cmocka_unit_test(test_forced_close_is_by_id),
        cmocka_unit_test(test_budget_is_a_total),
        cmocka_unit_test(test_soft_close),
        cmocka_unit_test(test_soft_close_once_a_position),
        cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_budget_changes),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_replay_needs_no_clock),
        cmocka_unit_test(test_seconds_over_two_thoughts),
        cmocka_unit_test(test_think_min),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
