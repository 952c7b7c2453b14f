/* The thinking controller over every family: budgets, tags cut at every byte, every command at every token. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/think_help.h"

static const char *const family_names[] = {
    "deepseek-r1-distill-qwen",
    "deepseek-r1-distill-llama",
    "deepseek-r1-distill-qwen-early",
    "deepseek-r1",
    "deepseek-r1-0528",
    "qwen3",
    "qwen3-thinking",
    "qwen3.5",
    "qwq",
    "qwq-first",
    "minicpm5",
    "smollm3",
    "smollm3-dated",
    "lfm2.5",
    "lfm2.5-preserve",
    "gpt-oss",
    "ministral-3-reasoning",
    "granite-3.3",
    "glm-4.6",
    "seed-oss",
    "smollm2",
    "qwen2.5",
    "qwen2.5-math",
    "qwen2",
    "qwen3-instruct",
    "lfm2",
    "llama-3.2",
    "llama-3.1",
    "llama-3.1-july",
    "llama-3",
    "gemma-2",
    "gemma-3",
    "phi-3.5",
    "phi-3",
    "mistral-nemo",
    "chatml",
};

/* Those whose conventions differ. */
static const char *const kinds[] = {"deepseek-r1-distill-qwen", "qwen3",       "smollm3",  "lfm2.5", "gpt-oss",
                                    "ministral-3-reasoning",    "granite-3.3", "seed-oss", "smollm2"};

#define THOUGHT "First I add two and three. That makes five.\nSo the total is five."
#define ANSWER  "The answer is eleven tennis balls."

static struct think_config config(const struct family *f, struct budget b)
{
    return (struct think_config){
        .family = f, .think = true, .thought_open = f->start != THOUGHT_BY_MODEL, .budget = b, .answer_reserve = 100, .context_left = 4000};
}

/* The text of a reply as the family's model writes it. */
static void script_reply(const struct vocab *v, struct tokens *script, const struct family *f, size_t close)
{
    if (f->start == THOUGHT_BY_MODEL) {
        script_markup(v, script, f->open[0]);
        script_text(v, script, "\n");
    }
    script_text(v, script, THOUGHT "\n");
    script_markup(v, script, f->close[close]);
    script_text(v, script, "\n\n" ANSWER);
}

static void expect_whole(struct reply *r, const struct family *f)
{
    struct str want = STR_EMPTY;
    if (f->think_lead) str_add(&want, f->think_lead);
    str_add(&want, THOUGHT);
    assert_string_equal(str_cstr(&r->thought), str_cstr(&want));
    assert_string_equal(str_cstr(&r->answer), ANSWER);
    assert_int_equal(r->thought_ending, THOUGHT_NATURAL);
    assert_int_equal(r->answer_ending, ANSWER_COMPLETE);
    assert_int_equal(r->opened, 1);
    assert_int_equal(r->closed, 1);
    str_release(&want);
}

static void test_unlimited(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(family_names); i++) {
        const struct family *f = family_by_name(family_names[i]);
        assert_non_null(f);
        for (int as_tokens = 0; as_tokens < 2; as_tokens++)
            for (size_t close = 0; f->close[close]; close++) {
                struct vocab v;
                struct tokens script = {0};
                struct reply r;
                vocab_init(&v, f, as_tokens);
                struct think_vocab tv = vocab_functions(&v);
                struct think_config c = config(f, unlimited);
                reply_start(&r, &c, &tv, v.end_id);
                script_reply(&v, &script, f, close);
                reply_play(&r, &script, NULL, NULL);
                reply_check(&r, f);
                expect_whole(&r, f);
                /* the tokens of the text and no others are counted */
                struct tokens plain = {0};
                if (f->think_lead) script_text(&v, &plain, f->think_lead);
                script_text(&v, &plain, THOUGHT);
                int got = reply_thought_tokens(&r), want = (int)plain.n;
                assert_true(got == want || got == want + 1 || got == want + 2); /* newlines beside the tags */
                tokens_release(&plain);
                tokens_release(&script);
                reply_free(&r);
            }
    }
}

/* A thought that was there before: gone on with, or closed behind its last byte. */
static void test_given(void **state)
{
    (void)state;
    static const char given[] = "First I add two and three.", rest[] = " That makes five.";
    for (size_t i = 0; i < ARRAY_LEN(family_names); i++)
        for (int as_tokens = 0; as_tokens < 2; as_tokens++)
            for (int closed = 0; closed < 2; closed++) {
                const struct family *f = family_by_name(family_names[i]);
                struct vocab v;
                struct tokens script = {0};
                struct reply r;
                struct str want = STR_EMPTY;
                vocab_init(&v, f, as_tokens);
                struct think_vocab tv = vocab_functions(&v);
                struct think_config c = config(f, unlimited);
                c.given = given;
                c.given_len = strlen(given);
                c.given_closed = closed;
                c.given_ending = THOUGHT_BUDGET_SOFT;
                reply_start(&r, &c, &tv, v.end_id);
                str_addf(&want, "%s%s", given, closed ? "" : rest);
                if (!closed) {
                    script_text(&v, &script, rest);
                    script_markup(&v, &script, f->close[0]);
                }
                script_text(&v, &script, "\n\n" ANSWER);
                reply_play(&r, &script, NULL, NULL);
                reply_check(&r, f);
                assert_string_equal(str_cstr(&r.thought), str_cstr(&want));
                assert_string_equal(str_cstr(&r.answer), ANSWER);
                assert_int_equal(r.thought_ending, closed ? THOUGHT_BUDGET_SOFT : THOUGHT_NATURAL);
                assert_int_equal(r.opened, 1);
                assert_int_equal(r.closed, 1);
                assert_false(reply_has_span(&r, "lead"));
                assert_false(reply_has_span(&r, "wrap_up"));
                str_release(&want);
                tokens_release(&script);
                reply_free(&r);
            }
}

static void test_given_needs_a_thought(void **state)
{
    (void)state;
    const struct family *f = family_by_name("qwen3");
    struct vocab v;
    struct think *t = NULL;
    struct err e = {0};
    vocab_init(&v, f, true);
    struct think_vocab tv = vocab_functions(&v);
    struct think_config c = config(f, unlimited);
    c.think = false;
    c.given = "a thought";
    c.given_len = strlen(c.given);
    assert_int_equal(think_new_with(&t, &c, &tv, &e), ERR_INVALID);
    assert_null(t);
}

static void test_budgets(void **state)
{
    (void)state;
    static const int budgets[] = {0, 1, 7, 15, 64, 400};
    for (size_t i = 0; i < ARRAY_LEN(family_names); i++)
        for (size_t b = 0; b < ARRAY_LEN(budgets); b++)
            for (int as_tokens = 0; as_tokens < 2; as_tokens++)
                for (int greedy = 0; greedy < 2; greedy++) {
                    const struct family *f = family_by_name(family_names[i]);
                    struct vocab v;
                    struct tokens script = {0};
                    struct reply r;
                    vocab_init(&v, f, as_tokens);
                    struct think_vocab tv = vocab_functions(&v);
                    struct think_config c = config(f, (struct budget){BUDGET_TOKENS, budgets[b]});
                    reply_start(&r, &c, &tv, v.end_id);
                    r.greedy = greedy;
                    script_reply(&v, &script, f, 0);
                    reply_play(&r, &script, NULL, NULL);
                    reply_check(&r, f);
                    int used = reply_thought_tokens(&r), wrap = r.t->wrap_len;
                    assert_true(used <= budgets[b] + WAIT_FOR_PLACE);
                    assert_true(r.closed >= 1);
                    assert_int_equal(r.answer_ending, ANSWER_COMPLETE);
                    assert_non_null(strstr(str_cstr(&r.answer), ANSWER));
                    if (budgets[b] == 0) {
                        assert_int_equal(used, 0);
                        assert_int_equal(r.thought.len, 0);
                        assert_int_equal(r.thought_ending, THOUGHT_BUDGET_HARD);
                        for (int n = 0; n < r.n_spans; n++) assert_string_equal(r.spans[n].kind, "close"); /* and no lead */
                    } else if (budgets[b] == 400) {
                        expect_whole(&r, f);
                    } else if (!greedy && budgets[b] < 15) {
                        assert_int_equal(r.events[r.n_events - 1].thought_ending, THOUGHT_BUDGET_HARD);
                        /* a budget without room for the sentence is kept, and closed without it */
                        assert_int_equal(reply_has_span(&r, "wrap_up"), budgets[b] >= wrap + 1);
                        assert_true(reply_has_span(&r, "close"));
                    }
                    tokens_release(&script);
                    reply_free(&r);
                }
}

/* A model that begins another turn has ended its own: in an answer at once, before one it is not let. */
static void test_another_turn_ends_this(void **state)
{
    (void)state;
    static const struct {
        const char *family, *opener;
    } cases[] = {{"chatml", "<|im_start|>"}, {"qwen3", "<|im_start|>"},          {"llama-3.2", "<|start_header_id|>"}, {"gemma-3", "<start_of_turn>"},
                 {"phi-3", "<|user|>"},      {"deepseek-r1-distill-qwen", "<｜User｜>"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct family *f = family_by_name(cases[i].family);
        struct vocab v;
        struct reply r;
        bool taken;
        int32_t forced;
        float logits[VOCAB_MAX] = {0};
        struct think_stats st = {0};
        assert_non_null(f);
        vocab_init(&v, f, true);
        struct think_vocab tv = vocab_functions(&v);
        struct think_config c = config(f, (struct budget){BUDGET_TOKENS, 0});
        int32_t opener = tv.find(tv.arg, cases[i].opener);
        assert_true(opener >= 0);
        reply_start(&r, &c, &tv, v.end_id);
        for (int k = 0; k < 100 && st.state != THINK_ANSWER; k++) {
            reply_step(&r, ' ', &taken);
            think_stats(r.t, &st);
        }
        assert_int_equal(think_next(r.t, logits, 0, &forced), THINK_DO_SAMPLE);
        assert_true(logits[opener] == -INFINITY);
        reply_step(&r, 'y', &taken);
        memset(logits, 0, sizeof logits);
        assert_int_equal(think_next(r.t, logits, 0, &forced), THINK_DO_SAMPLE);
        assert_true(logits[opener] == 0);
        reply_step(&r, opener, &taken);
        assert_int_equal(r.answer_ending, ANSWER_COMPLETE);
        reply_free(&r);
    }
}

/* The bytes of a closing tag cut in two at every place, with the text around it glued to either half or not. */
static void test_split_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(family_names); i++) {
        const struct family *f = family_by_name(family_names[i]);
        if (!strcmp(f->name, "gpt-oss")) continue; /* its tags are control tokens: test_unlimited */
        for (size_t c = 0; f->close[c]; c++) {
            const char *tag = f->close[c];
            size_t len = strlen(tag);
            bool phrase = tag[0] != '<' && tag[0] != '[';
            for (size_t cut = 0; cut <= len; cut++)
                for (int glue = 0; glue < 4; glue++) {
                    struct vocab v;
                    struct tokens script = {0};
                    struct reply r;
                    char part[64];
                    vocab_init(&v, f, false);
                    if (f->start == THOUGHT_BY_MODEL) script_markup(&v, &script, f->open[0]);
                    script_text(&v, &script, "That makes five");
                    snprintf(part, sizeof part, "%s%.*s", glue & 1 ? phrase ? ".\n" : "." : "", (int)cut, tag);
                    if (!(glue & 1)) script_text(&v, &script, phrase ? ".\n" : ".");
                    if (part[0]) assert_int_equal(tokens_push(&script, vocab_add(&v, part, strlen(part))), 0);
                    snprintf(part, sizeof part, "%s%s", tag + cut, glue & 2 ? "\nThe" : "");
                    if (part[0]) assert_int_equal(tokens_push(&script, vocab_add(&v, part, strlen(part))), 0);
                    script_text(&v, &script, glue & 2 ? " answer" : "The answer");
                    struct think_vocab tv = vocab_functions(&v);
                    struct think_config conf = config(f, unlimited);
                    reply_start(&r, &conf, &tv, v.end_id);
                    reply_play(&r, &script, NULL, NULL);
                    reply_check(&r, f);
                    const char *thought = str_cstr(&r.thought);
                    if (f->think_lead) {
                        assert_memory_equal(thought, f->think_lead, strlen(f->think_lead));
                        thought += strlen(f->think_lead);
                    }
                    assert_string_equal(thought, "That makes five.");
                    assert_string_equal(str_cstr(&r.answer), "The answer");
                    assert_int_equal(r.thought_ending, THOUGHT_NATURAL);
                    tokens_release(&script);
                    reply_free(&r);
                }
        }
    }
}

/* What looks like a tag for a while and is none is given out whole, at every length of the likeness. */
static void test_half_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct family *f = family_by_name(kinds[i]);
        if (!strcmp(f->name, "gpt-oss")) continue;
        for (size_t cut = 1; cut < strlen(f->close[0]); cut++) {
            struct vocab v;
            struct tokens script = {0};
            struct reply r;
            char text[96];
            vocab_init(&v, f, false);
            if (f->start == THOUGHT_BY_MODEL) script_markup(&v, &script, f->open[0]);
            snprintf(text, sizeof text, "I am%.*s~ here.", (int)cut, f->close[0]);
            script_text(&v, &script, text);
            script_markup(&v, &script, f->close[0]);
            char answer[96];
            snprintf(answer, sizeof answer, "You are%.*s~ there%.*s", (int)cut, f->close[0], (int)cut, f->open[0]);
            script_text(&v, &script, answer);
            struct think_vocab tv = vocab_functions(&v);
            struct think_config c = config(f, unlimited);
            reply_start(&r, &c, &tv, v.end_id);
            reply_play(&r, &script, NULL, NULL);
            reply_check(&r, NULL);
            assert_string_equal(str_cstr(&r.thought) + (f->think_lead ? strlen(f->think_lead) : 0), text);
            assert_string_equal(str_cstr(&r.answer), answer);
            tokens_release(&script);
            reply_free(&r);
        }
    }
}

/* ---- every command at every token ---------------------------------------------------------------------------- */

struct order {
    struct think_command cmd;
    size_t at;
    /* what was seen */
    int rc;
    bool given;
    enum think_state state;
    size_t position;
    int used;
};

static void give(struct reply *r, size_t step, void *arg)
{
    struct order *o = arg;
    if (step != o->at || !think_running(r->t)) return;
    struct think_stats s;
    think_stats(r->t, &s);
    o->given = true;
    o->state = s.state;
    o->used = s.thought_tokens;
    o->position = r->timeline.n;
    o->rc = reply_do(r, &o->cmd);
}

static size_t first_closed_after(const struct reply *r, size_t position)
{
    for (int i = 0; i < r->n_events; i++)
        if (r->events[i].kind == THINK_CLOSED && r->events[i].position > position) return r->events[i].position;
    return SIZE_MAX;
}

static void check_order(struct reply *r, const struct family *f, const struct order *o)
{
    bool thought = o->state == THINK_COUNTING || o->state == THINK_SOFT;
    size_t close = (size_t)(r->t->wrap_len + r->t->close_len), closed = first_closed_after(r, o->position);
    reply_check(r, f);
    if (!o->given) return;
    if (o->cmd.verb == THINK_MORE || o->cmd.verb == THINK_SAY) /* a closing tag may have been dropped, and the script has no other */
        assert_true(r->answer.len > 0);
    else if (o->cmd.verb != THINK_STOP)
        assert_non_null(strstr(str_cstr(&r->answer), ANSWER));
    switch (o->cmd.verb) {
    case THINK_STOP:
        assert_int_equal(o->rc, 0);
        assert_int_equal(r->timeline.n, o->position);
        assert_true(r->thought_ending == THOUGHT_STOPPED || r->answer_ending == ANSWER_STOPPED);
        break;
    case THINK_ANSWER_NOW:
        assert_int_equal(o->rc, o->state == THINK_ANSWER ? ERR_INVALID : 0);
        if (!thought) break;
        assert_true(closed <= o->position + WAIT_FOR_PLACE + close);
        assert_true(r->thought_ending == THOUGHT_ANSWER_NOW);
        break;
    case THINK_SET_BUDGET:
        assert_int_equal(o->rc, 0);
        if (thought && (o->cmd.budget.kind == BUDGET_OFF || o->cmd.budget.kind == BUDGET_TOKENS) && o->cmd.budget.amount < o->used)
            assert_true(closed <= o->position + 32 + close);
        break;
    case THINK_SAY:
        if (thought || o->state == THINK_IDLE) assert_int_equal(o->rc, 0);
        if (thought) {
            assert_true(reply_has_span(r, "say"));
            assert_non_null(strstr(str_cstr(&r->thought), "use \xe2\x82\xac and </b>"));
        }
        break;
    case THINK_MORE:
        if (thought || thought_is_open(r->t)) assert_int_equal(o->rc, 0);
        break;
    }
}

static void test_commands(void **state)
{
    (void)state;
    static const char line[] = "use \xe2\x82\xac and </b>";
    static const struct think_command commands[] = {
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 0}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 5}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_UNLIMITED, 0}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_OFF, 0}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_SECONDS, 0.1}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 500}},
        {.verb = THINK_ANSWER_NOW},
        {.verb = THINK_MORE},
        {.verb = THINK_SAY, .text = line, .text_len = sizeof line - 1},
        {.verb = THINK_STOP},
    };
    static const struct budget budgets[] = {{BUDGET_UNLIMITED, 0}, {BUDGET_TOKENS, 30}, {BUDGET_TOKENS, 0}, {BUDGET_SECONDS, 0.2}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (int as_tokens = 0; as_tokens < 2; as_tokens++) {
            const struct family *f = family_by_name(kinds[i]);
            struct vocab v;
            struct tokens script = {0};
            vocab_init(&v, f, as_tokens);
            struct think_vocab tv = vocab_functions(&v);
            script_reply(&v, &script, f, 0);
            for (size_t b = 0; b < ARRAY_LEN(budgets); b++)
                for (size_t k = 0; k < ARRAY_LEN(commands); k++)
                    for (size_t at = 0; at < script.n + 20; at++) {
                        struct reply r;
                        struct order o = {.cmd = commands[k], .at = at};
                        struct think_config c = config(f, budgets[b]);
                        reply_start(&r, &c, &tv, v.end_id);
                        r.ms_per_token = 10;
                        reply_play(&r, &script, give, &o);
                        check_order(&r, f, &o);
                        reply_free(&r);
                    }
            tokens_release(&script);
        }
}

/* ---- anything at all ----------------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static void disturb(struct reply *r, size_t step, void *arg)
{
    static const struct budget budgets[] = {
        {BUDGET_TOKENS, 0}, {BUDGET_TOKENS, 60}, {BUDGET_UNLIMITED, 0}, {BUDGET_SECONDS, 0.7}, {BUDGET_OFF, 0}};
    uint32_t *x = arg;
    (void)step;
    r->ms += next_random(x) % 30;
    if (next_random(x) % 12 || !think_running(r->t)) return;
    struct think_command c = {.verb = (enum think_verb)(next_random(x) % THINK_STOP), .text = "\x82\xac</think>\xff\0\xe2\x82", .text_len = 14};
    c.budget = budgets[next_random(x) % ARRAY_LEN(budgets)];
    reply_do(r, &c);
}

/* Random tokens, most of them markup, and random commands: the properties of every reply hold. */
static void test_anything(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (int n = 0; n < 3000; n++) {
        const struct family *f = family_by_name(kinds[next_random(&x) % ARRAY_LEN(kinds)]);
        struct vocab v;
        struct tokens script = {0};
        struct reply r;
        vocab_init(&v, f, next_random(&x) % 2);
        for (int i = 0; i < 100; i++) {
            uint32_t what = next_random(&x) % 10;
            if (what < 2)
                script_markup(&v, &script, f->close[0]);
            else if (what < 3)
                script_markup(&v, &script, f->open[0]);
            else if (what < 4)
                script_text(&v, &script, "`\n```\nWait, Hmm");
            else
                assert_int_equal(tokens_push(&script, (int32_t)(next_random(&x) % (uint32_t)(what < 7 ? v.n : 256))), 0);
        }
        struct think_vocab tv = vocab_functions(&v);
        struct think_config c = config(f, unlimited);
        c.think = next_random(&x) % 8 > 0;
        c.think_min = (int)(next_random(&x) % 3) * 20;
        c.answer_max = (int)(next_random(&x) % 3) * 20;
        c.context_left = (int)(next_random(&x) % 600);
        c.answer_reserve = (int)(next_random(&x) % 100);
        c.loop_guard = next_random(&x) % 2;
        reply_start(&r, &c, &tv, v.end_id);
        r.greedy = next_random(&x) % 2;
        reply_play(&r, &script, disturb, &x);
        reply_check(&r, NULL);
        tokens_release(&script);
        reply_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unlimited), cmocka_unit_test(test_given), cmocka_unit_test(test_given_needs_a_thought), cmocka_unit_test(test_budgets),  cmocka_unit_test(test_another_turn_ends_this), cmocka_unit_test(test_split_tags),
        cmocka_unit_test(test_half_tags), cmocka_unit_test(test_commands), cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
