/* The thinking controller's rules on scripted models: think more, say, tags and thoughts in the answer, loops, how a reply ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/think_help.h"

/* ---- think more ---------------------------------------------------------------------------------------------- */

static void test_more(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    /* while it thinks: the budget grows by a step, nothing is put; the next closing tag gives way to the wait phrase, once */
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 100});
    start(&w);
    reply_step(&w.r, vocab_find(&w.v, "<think>"), &taken);
    fill(&w, 20);
    assert_int_equal(command(&w, THINK_MORE), 0);
    assert_int_equal(stats(&w).budget.amount, 164);
    assert_int_equal(stats(&w).extensions, 1);
    assert_int_equal(w.r.n_spans, 0);
    reply_step(&w.r, vocab_find(&w.v, "</think>"), &taken);
    assert_int_equal(w.r.refused, 1);
    assert_int_equal(stats(&w).state, THINK_COUNTING);
    markup(&w, ", let me check</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\nWait, let me check"));
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
    assert_int_equal(w.r.closed, 1);
    done(&w);

    /* during the wrap-up: it stops there, the wait phrase follows */
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 100});
    start(&w);
    reply_step(&w.r, vocab_find(&w.v, "<think>"), &taken);
    fill(&w, 30);
    command(&w, THINK_ANSWER_NOW);
    for (int i = 0; i < 9; i++) reply_step(&w.r, 'x', &taken);
    assert_int_equal(stats(&w).state, THINK_FORCING);
    assert_int_equal(command(&w, THINK_MORE), 0);
    markup(&w, ", let me check</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_string_equal(w.r.spans[0].kind, "wrap_up");
    assert_true(w.r.spans[0].len < strlen(w.f->wrap_up));
    assert_string_equal(w.r.spans[1].kind, "wait");
    assert_int_equal(w.r.spans[1].offset, w.r.spans[0].offset + w.r.spans[0].len);
    done(&w);

    /* just closed: the thought is opened again */
    setup(&w, "qwen3", true, (struct budget){BUDGET_TOKENS, 100});
    start(&w);
    reply_step(&w.r, vocab_find(&w.v, "<think>"), &taken);
    fill(&w, 30);
    reply_step(&w.r, vocab_find(&w.v, "</think>"), &taken);
    assert_int_equal(stats(&w).state, THINK_ANSWER);
    assert_int_equal(command(&w, THINK_MORE), 0);
    markup(&w, ", let me check");
    for (size_t i = 0; i < 10 && w.r.opened < 2; i++) reply_step(&w.r, 'x', &taken);
    fill(&w, 70);
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.opened, 2);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\nWait"));
    assert_non_null(strstr(str_cstr(&w.r.answer), "The answer"));
    done(&w);

    /* half of the closing tag is put: it is finished and the thought opened again */
    setup(&w, "smollm2", false, (struct budget){BUDGET_TOKENS, 100});
    start(&w);
    while (reply_step(&w.r, ' ', &taken) && !taken) continue;
    fill(&w, 10);
    command(&w, THINK_ANSWER_NOW);
    while (!force_close_begun(w.r.t)) reply_step(&w.r, 'x', &taken);
    assert_int_equal(w.r.closed, 0);
    assert_int_equal(command(&w, THINK_MORE), 0);
    while (w.r.opened < 2) {
        reply_step(&w.r, 'x', &taken);
        assert_false(taken);
    }
    assert_int_equal(w.r.closed, 1);
    fill(&w, 70);
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_non_null(strstr(str_cstr(&w.r.thought), "now.\nWait, let me check this again."));
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    done(&w);

    /* the answer has begun */
    setup(&w, "qwen3", true, unlimited);
    start(&w);
    markup(&w, "<think> five</think>\n\nThe");
    for (size_t i = 0; i < w.script.n; i++) reply_step(&w.r, w.script.ids[i], &taken);
    assert_int_equal(command(&w, THINK_MORE), ERR_INVALID);
    assert_int_equal(command(&w, THINK_ANSWER_NOW), ERR_INVALID);
    assert_int_equal(tell(&w, "hello"), ERR_INVALID);
    done(&w);
}

/* ---- the user's line ----------------------------------------------------------------------------------------- */

static void test_say(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    setup(&w, "smollm2", false, unlimited);
    start(&w);
    while (reply_step(&w.r, ' ', &taken) && !taken) continue;
    fill(&w, 5);
    size_t at = w.r.timeline.n;
    assert_int_equal(tell(&w, "use metres, not </think> feet\n"), 0); /* no tag in the user's words closes anything */
    assert_int_equal(tell(&w, ""), ERR_INVALID);
    say(&w, "So");
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\nuse metres, not </think> feet\nSo"));
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    assert_string_equal(w.r.spans[1].kind, "say");
    assert_string_equal(w.r.spans[1].author, "user");
    assert_int_equal(w.r.spans[1].position, at);
    assert_int_equal(w.r.spans[1].len, strlen("\nuse metres, not </think> feet\n"));
    done(&w);

    /* inside a character: behind it */
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    fill(&w, 5);
    reply_step(&w.r, 0xe2, &taken);
    assert_int_equal(tell(&w, "in metres"), 0);
    say(&w, "\x82\xac.");
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\xe2\x82\xac\nin metres\n."));
    done(&w);

    /* before the model has opened the thought: it is opened for it */
    setup(&w, "qwen3", true, unlimited);
    start(&w);
    assert_int_equal(tell(&w, "in metres"), 0);
    say(&w, "So");
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_string_equal(str_cstr(&w.r.thought), "in metres\nSo");
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    done(&w);

    /* what may become a tag is not waited for for ever */
    setup(&w, "granite-3.3", false, unlimited);
    start(&w);
    markup(&w, "<think>");
    say(&w, "five.\n");
    for (size_t i = 0; i < w.script.n; i++) reply_step(&w.r, w.script.ids[i], &taken);
    static const char slow[] = "Here is my response";
    size_t asked = 0;
    for (size_t i = 0; slow[i];) {
        if (i == 3) {
            asked = w.r.timeline.n;
            assert_int_equal(tell(&w, "in metres"), 0);
        }
        reply_step(&w.r, slow[i], &taken);
        i += taken;
    }
    play(&w);
    assert_string_equal(w.r.spans[0].kind, "say");
    assert_in_range(w.r.spans[0].position, asked + 1, asked + WAIT_FOR_PLACE + 1);
    done(&w);

    /* a line that would cost the answer its room */
    setup(&w, "qwen3", true, unlimited);
    w.c.context_left = 250;
    start(&w);
    char text[400];
    memset(text, '#', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(tell(&w, text), ERR_TOO_LONG);
    done(&w);
}

/* ---- tags in the answer -------------------------------------------------------------------------------------- */

static void test_second_tags(void **state)
{
    (void)state;
    static const char *const families[] = {"deepseek-r1-distill-qwen", "smollm2"};
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        for (int as_tokens = 0; as_tokens < 2; as_tokens++) {
            struct world w;
            setup(&w, families[i], as_tokens, (struct budget){BUDGET_TOKENS, 100});
            start(&w);
            say(&w, "So the total");
            markup(&w, "</think>");
            say(&w, "\n\n");
            markup(&w, "</think>");
            say(&w, "\n\nThe answer");
            markup(&w, "</think>");
            say(&w, " is `");
            markup(&w, "</think>");
            say(&w, "` and\n```\n");
            markup(&w, "</think>\n<think>");
            say(&w, "\n```\n");
            markup(&w, "<think>");
            say(&w, "\nNow");
            markup(&w, "</think>");
            say(&w, "\n\nfive.");
            play(&w);
            reply_check(&w.r, NULL);
            assert_string_equal(str_cstr(&w.r.answer), "The answer is `</think>` and\n```\n</think>\n<think>\n```\nfive.");
            const char *thought = str_cstr(&w.r.thought) + (w.f->think_lead ? strlen(w.f->think_lead) : 0);
            assert_string_equal(thought, "So the total\nNow");
            assert_int_equal(w.r.opened, 2);
            assert_int_equal(w.r.closed, 2);
            done(&w);
        }
}

static void test_reopened_with_what_is_left(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_TOKENS, 200});
    start(&w);
    fill(&w, 150);
    markup(&w, "</think>");
    say(&w, "\n\n");
    markup(&w, "<think>");
    for (int i = 0; i < 100; i++) say(&w, i % 2 ? " two" : " three");
    for (size_t i = 0; stats(&w).thought_tokens < 200 || stats(&w).state != THINK_ANSWER;) {
        bool taken;
        reply_step(&w.r, w.script.ids[i], &taken);
        i += taken;
    }
    assert_int_equal(w.r.opened, 2);
    assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
    assert_int_equal(stats(&w).thought_tokens, 200);
    /* nothing is left for a third one */
    float logits[VOCAB_MAX] = {0};
    int32_t forced;
    assert_int_equal(think_next(w.r.t, logits, 0, &forced), THINK_DO_SAMPLE);
    assert_true(logits[vocab_find(&w.v, "<think>")] == -INFINITY);
    done(&w);
}

static void test_escaped(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    markup(&w, "</think>");
    say(&w, "The answer is five. Wait, is it? Hmm\nLet me reconsider this. Wait for the oven. It said \"Wait, no\".\n- But wait, there is "
            "more\n```\nWait, code\n```\n");
    play(&w);
    assert_int_equal(w.r.escapes, 4);
    done(&w);

    /* a closing tag for a thought that nobody opened */
    setup(&w, "qwen3", true, unlimited);
    start(&w);
    say(&w, "So the total");
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.escapes, 1);
    assert_string_equal(str_cstr(&w.r.answer), "So the totalThe answer");
    done(&w);
}

static void test_granite(void **state)
{
    (void)state;
    static const struct {
        const char *text, *thought, *answer;
    } cases[] = {
        {"<think>So five.</think>\n<response>The answer</response>", "So five.", "The answer"},
        {"Here is my thought process:\nSo here is my response: five.\nHere is my response:\n\nThe answer. Here is my response: five",
         "So here is my response: five.", "The answer. Here is my response: five"},
        {"Here's my thought process: So five.\nHere's my response: The answer", " So five.", " The answer"},
        {"Here is my dog.", "", "Here is my dog."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int as_tokens = 0; as_tokens < 2; as_tokens++) {
            struct world w;
            setup(&w, "granite-3.3", as_tokens, unlimited);
            start(&w);
            markup(&w, cases[i].text);
            play(&w);
            reply_check(&w.r, NULL);
            assert_string_equal(str_cstr(&w.r.thought), cases[i].thought);
            assert_string_equal(str_cstr(&w.r.answer), cases[i].answer);
            done(&w);
        }
}

/* ---- loops --------------------------------------------------------------------------------------------------- */

static void test_loops(void **state)
{
    (void)state;
    for (int guard = 0; guard < 2; guard++)
        for (int greedy = 0; greedy < 2; greedy++) {
            struct world w;
            setup(&w, "deepseek-r1-distill-qwen", true, (struct budget){BUDGET_TOKENS, 600});
            w.c.loop_guard = guard;
            start(&w);
            w.r.greedy = greedy;
            for (int i = 0; i < 30; i++) say(&w, " So the total is five and the answer is two and three balls.\n");
            markup(&w, "</think>");
            say(&w, "The answer");
            play(&w);
            reply_check(&w.r, w.f);
            assert_true(w.r.loops >= 1);
            int used = stats(&w).thought_tokens;
            if (guard) {
                assert_int_equal(w.r.thought_ending, THOUGHT_LOOP);
                assert_true(used < 140);
            } else {
                assert_true(w.r.thought_ending != THOUGHT_LOOP && used > 300);
            }
            done(&w);
        }
    /* counting and tables repeat themselves too, but never a dozen tokens over and over */
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    w.c.loop_guard = true;
    start(&w);
    for (int i = 0; i < 60; i++) {
        char line[64];
        snprintf(line, sizeof line, "So %d and three makes %d.\n", i, i + 3);
        say(&w, line);
    }
    markup(&w, "</think>");
    say(&w, "The answer");
    play(&w);
    assert_int_equal(w.r.loops, 0);
    assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
    done(&w);
    /* an answer that does is noticed, and goes on */
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    w.c.loop_guard = true;
    start(&w);
    say(&w, "Short.");
    markup(&w, "</think>");
    for (int i = 0; i < 30; i++) say(&w, " it is good for the heart and for the brain\n");
    say(&w, "The answer");
    play(&w);
    assert_true(w.r.loops >= 1);
    assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
    assert_non_null(strstr(str_cstr(&w.r.answer), "The answer"));
    done(&w);
}

/* ---- ends ---------------------------------------------------------------------------------------------------- */

static void test_end_inside_a_thought(void **state)
{
    (void)state;
    static const char *const families[] = {"qwen3", "deepseek-r1-distill-qwen", "smollm2", "gpt-oss"};
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        struct world w;
        setup(&w, families[i], true, unlimited);
        start(&w);
        if (w.f->start == THOUGHT_BY_MODEL) markup(&w, w.f->open[0]);
        say(&w, "So five.");
        markup(&w, "<|the_end|>");
        say(&w, "The answer");
        play(&w);
        reply_check(&w.r, w.f);
        assert_int_equal(w.r.thought_ending, THOUGHT_NATURAL);
        assert_int_equal(w.r.answer_ending, ANSWER_COMPLETE);
        assert_string_equal(str_cstr(&w.r.answer), "The answer");
        assert_int_equal(reply_has_span(&w.r, "wrap_up"), w.f->start != THOUGHT_PROMPTED);
        assert_true(reply_has_span(&w.r, "close"));
        done(&w);
    }
}

static void test_no_empty_answer(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    fill(&w, 10);
    command(&w, THINK_ANSWER_NOW);
    for (int i = 0; i < 100 && stats(&w).state != THINK_ANSWER; i++) reply_step(&w.r, 'x', &taken);
    /* masked, and refused where the sampler did not look */
    float logits[VOCAB_MAX] = {0};
    int32_t forced;
    assert_int_equal(think_next(w.r.t, logits, 0, &forced), THINK_DO_SAMPLE);
    assert_true(logits[w.v.end_id] == -INFINITY);
    bool keep = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(think_accept(w.r.t, w.v.end_id, false, &keep, NULL), 0);
        assert_false(keep);
        assert_true(think_running(w.r.t));
    }
    /* not for ever */
    for (int i = 0; i < 20 && think_running(w.r.t); i++) think_accept(w.r.t, w.v.end_id, false, &keep, NULL);
    assert_false(think_running(w.r.t));
    assert_int_equal(stats(&w).answer_ending, ANSWER_COMPLETE);
    done(&w);
}

static void test_limits(void **state)
{
    (void)state;
    struct world w;
    /* answer_max counts the answer alone */
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    w.c.answer_max = 5;
    start(&w);
    fill(&w, 50);
    markup(&w, "</think>");
    say(&w, "The answer is eleven tennis balls and five");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.answer_ending, ANSWER_LENGTH);
    assert_int_equal(stats(&w).answer_tokens, 5);
    assert_string_equal(str_cstr(&w.r.answer), "The answer is eleven tennis");
    done(&w);

    /* the thought leaves the answer its reserve */
    for (int left = 1; left < 400; left += 7) {
        setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
        w.c.context_left = left;
        w.c.answer_reserve = left / 2;
        start(&w);
        for (int i = 0; i < 400; i++) say(&w, i % 3 ? " two" : " three");
        play(&w);
        reply_check(&w.r, w.f);
        assert_int_equal(w.r.timeline.n, left);
        int used = stats(&w).thought_tokens, close = w.r.t->close_len, room = left - left / 2;
        if (w.r.closed) {
            assert_int_equal(w.r.answer_ending, ANSWER_CONTEXT_FULL);
            assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
            assert_true(used + close <= room || used == 0);
            if (room > w.r.t->wrap_len + close + 1) assert_true(used + close == room);
        } else {
            assert_int_equal(w.r.thought_ending, THOUGHT_CONTEXT_FULL);
            assert_int_equal(w.r.answer_ending, ANSWER_NOT_BEGUN);
            assert_true(left < 8);
        }
        done(&w);
    }
}

/* A context with room for the closing tag and no more gets no wrap-up sentence. */
static void test_no_room_for_a_wrap_up(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "smollm2", false, unlimited);
    w.c.answer_reserve = 0;
    start(&w);
    int lead = (int)force_pending(w.r.t), close = w.r.t->close_len;
    reply_free(&w.r);
    w.c.context_left = lead + close + 3;
    start(&w);
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_false(reply_has_span(&w.r, "wrap_up"));
    assert_string_equal(str_cstr(&w.r.answer), "The answer");
    done(&w);

    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    w.c.answer_reserve = 0;
    w.c.context_left = 200;
    start(&w);
    for (int i = 0; i < 200; i++) say(&w, i % 3 ? " two" : " three");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.answer_ending, ANSWER_CONTEXT_FULL);
    assert_true(w.r.answer.len > 0);
    done(&w);
}

static void test_abort(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    setup(&w, "smollm2", false, unlimited);
    start(&w);
    while (reply_step(&w.r, ' ', &taken) && !taken) continue;
    say(&w, "\xe2\x82");
    reply_step(&w.r, w.script.ids[0], &taken);
    think_abort(w.r.t, THOUGHT_INTERRUPTED, ANSWER_INTERRUPTED);
    think_abort(w.r.t, THOUGHT_ERROR, ANSWER_ERROR);
    reply_drain(&w.r);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_INTERRUPTED);
    assert_int_equal(w.r.answer_ending, ANSWER_NOT_BEGUN);
    assert_string_equal(str_cstr(&w.r.thought) + w.r.thought.len - 3, "\xef\xbf\xbd"); /* what there was of it */
    assert_int_equal(command(&w, THINK_STOP), ERR_INVALID);
    int32_t forced;
    float logits[VOCAB_MAX] = {0};
    assert_int_equal(think_next(w.r.t, logits, 0, &forced), THINK_DO_END);
    done(&w);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct world w;
    struct think *t = (struct think *)&w;
    struct err e = {0};
    static const char *const none[] = {NULL};
    setup(&w, "qwen3", true, unlimited);
    struct family f = *w.f;
    f.close = none;
    w.c.family = &f;
    assert_int_equal(think_new_with(&t, &w.c, &w.tv, &e), ERR_INVALID);
    assert_null(t);
    w.c.family = w.f;
    w.c.budget = (struct budget){BUDGET_TOKENS, -5};
    start(&w);
    assert_int_equal(set_budget(&w, BUDGET_TOKENS, NAN), ERR_INVALID);
    assert_int_equal(set_budget(&w, BUDGET_SECONDS, -1), ERR_INVALID);
    assert_int_equal(set_budget(&w, (enum budget_kind)9, 1), ERR_INVALID);
    assert_int_equal(reply_do(&w.r, &(struct think_command){.verb = (enum think_verb)77}), ERR_INVALID);
    bool keep;
    int32_t forced;
    assert_int_equal(think_next(w.r.t, NULL, 0, &forced), THINK_DO_FORCE);
    assert_int_equal(think_accept(w.r.t, forced + 1, true, &keep, &e), ERR_INVALID);
    assert_int_equal(think_accept(w.r.t, forced, true, &keep, &e), 0);
    done(&w);
    setup(&w, "qwen3", true, unlimited);
    start(&w);
    int32_t odd[] = {-1, INT32_MAX, w.v.n, 'a'};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_int_equal(think_accept(w.r.t, odd[i], false, &keep, &e), 0);
        assert_int_equal(tokens_push(&w.r.timeline, odd[i]), 0);
    }
    command(&w, THINK_STOP);
    assert_string_equal(str_cstr(&w.r.answer), "a");
    done(&w);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(thought_ending_name(THOUGHT_BUDGET_SOFT), "budget_soft");
    assert_string_equal(thought_ending_name(THOUGHT_ERROR), "error");
    assert_string_equal(answer_ending_name(ANSWER_CONTEXT_FULL), "context_full");
    assert_null(answer_ending_name(ANSWER_NOT_BEGUN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more),
        cmocka_unit_test(test_say),
        cmocka_unit_test(test_second_tags),
        cmocka_unit_test(test_reopened_with_what_is_left),
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_granite),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_end_inside_a_thought),
        cmocka_unit_test(test_no_empty_answer),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_room_for_a_wrap_up),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
