/* The thinking controller's rules one by one, on scripted models. Every family and every place: model_think_families.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/think_help.h"

static const struct budget unlimited = {BUDGET_UNLIMITED, 0};

/* A test's world: one family, its vocabulary, a script and the reply it makes. */
struct world {
    const struct family *f;
    struct vocab v;
    struct think_vocab tv;
    struct think_config c;
    struct tokens script;
    struct reply r;
};

static void setup(struct world *w, const char *family, bool as_tokens, struct budget b)
{
    memset(w, 0, sizeof *w);
    w->f = family_by_name(family);
    assert_non_null(w->f);
    vocab_init(&w->v, w->f, as_tokens);
    w->tv = vocab_functions(&w->v);
    w->c = (struct think_config){.family = w->f, .think = true, .thought_open = w->f->start != THOUGHT_BY_MODEL, .budget = b, .answer_reserve = 100,
                                 .context_left = 3000};
}

static void start(struct world *w)
{
    reply_start(&w->r, &w->c, &w->tv, w->v.end_id);
}

static void say(struct world *w, const char *text)
{
    script_text(&w->v, &w->script, text);
}

static void markup(struct world *w, const char *text)
{
    script_markup(&w->v, &w->script, text);
}

static void play(struct world *w)
{
    reply_play(&w->r, &w->script, NULL, NULL);
}

static void done(struct world *w)
{
    tokens_release(&w->script);
    reply_free(&w->r);
}

/* Plays n tokens of filler, which makes no tag and no sentence end. */
static void fill(struct world *w, int n)
{
    static const char *const words[] = {" two", " and", " three", " the", " total", " makes", " five", " add"};
    bool taken;
    unsigned x = 7;
    for (int i = 0; i < n; i++) {
        x = x * 1103515245u + 12345u;
        const char *word = words[x >> 16 & 7];
        assert_true(reply_step(&w->r, vocab_add(&w->v, word, strlen(word)), &taken));
    }
}

static int command(struct world *w, enum think_verb verb)
{
    return reply_do(&w->r, &(struct think_command){.verb = verb});
}

static int set_budget(struct world *w, enum budget_kind kind, double amount)
{
    return reply_do(&w->r, &(struct think_command){.verb = THINK_SET_BUDGET, .budget = {kind, amount}});
}

static int tell(struct world *w, const char *line)
{
    return reply_do(&w->r, &(struct think_command){.verb = THINK_SAY, .text = line, .text_len = strlen(line)});
}

static struct think_stats stats(struct world *w)
{
    struct think_stats s;
    think_stats(w->r.t, &s);
    return s;
}

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
    assert_int_equal(w.r.spans[0].position, 60);       /* the very next token */
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
    soft_close("smollm2", false);       /* the tag is text: its first token rises, the rest follows by force */
    soft_close("gpt-oss", true);
}

static void test_whole_characters(void **state)
{
    (void)state;
    static const char *const text = "\xf0\x9f\x8e\xbe";     /* one character in four tokens */
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
    /* a character that never comes is not waited for for ever, and what there is of it is kept */
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    w.r.partial_utf8 = true;
    fill(&w, 10);
    bool taken;
    reply_step(&w.r, 0xf0, &taken);
    command(&w, THINK_ANSWER_NOW);
    say(&w, "The answer is");
    play(&w);
    assert_int_equal(w.r.thought_ending, THOUGHT_ANSWER_NOW);
    assert_non_null(strstr(str_cstr(&w.r.thought), "\xf0The\n\nConsidering"));
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
            assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
            assert_int_equal(w.r.budgets, 2 + live);       /* the last one in tokens */
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
            markup(&w, w.f->close[0]);          /* every other token it tries to close */
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
    assert_int_equal(tell(&w, "use metres, not </think> feet\n"), 0);      /* no tag in the user's words closes anything */
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
    say(&w, "The answer");
    play(&w);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.opened, 2);
    assert_int_equal(w.r.thought_ending, THOUGHT_BUDGET_HARD);
    assert_int_equal(stats(&w).thought_tokens, 200);
    done(&w);
}

static void test_escaped(void **state)
{
    (void)state;
    struct world w;
    setup(&w, "deepseek-r1-distill-qwen", true, unlimited);
    start(&w);
    markup(&w, "</think>");
    say(&w, "The answer is five. Wait, is it? Hmm\nLet me reconsider this. Wait for the oven. It said \"Wait, no\".\n- But wait, there is more\n```\nWait, code\n```\n");
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
        {"Here is my thought process:\nSo here is my response: five.\nHere is my response:\n\nThe answer. Here is my response: five", "So here is my response: five.",
         "The answer. Here is my response: five"},
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
        w.r.partial_utf8 = true;
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

static void test_abort(void **state)
{
    (void)state;
    struct world w;
    bool taken;
    setup(&w, "smollm2", false, unlimited);
    start(&w);
    w.r.partial_utf8 = true;
    while (reply_step(&w.r, ' ', &taken) && !taken) continue;
    say(&w, "\xe2\x82");
    reply_step(&w.r, w.script.ids[0], &taken);
    think_abort(w.r.t, THOUGHT_INTERRUPTED, ANSWER_INTERRUPTED);
    think_abort(w.r.t, THOUGHT_ERROR, ANSWER_ERROR);
    reply_drain(&w.r);
    reply_check(&w.r, w.f);
    assert_int_equal(w.r.thought_ending, THOUGHT_INTERRUPTED);
    assert_int_equal(w.r.answer_ending, ANSWER_NOT_BEGUN);
    assert_string_equal(str_cstr(&w.r.thought) + w.r.thought.len - 1, "\xe2");      /* nothing is lost */
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
        cmocka_unit_test(test_no_thought),
        cmocka_unit_test(test_thinking_off),
        cmocka_unit_test(test_zero_is_one_empty_block),
        cmocka_unit_test(test_forced_close_is_by_id),
        cmocka_unit_test(test_budget_is_a_total),
        cmocka_unit_test(test_soft_close),
        cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_budget_changes),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_replay_needs_no_clock),
        cmocka_unit_test(test_think_min),
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
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
