/* The thinking controller on real vocabularies: one that has the tags as tokens, one in which they are text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct think *t;
    struct str thought, answer;
    struct tokens timeline;
    int opened, closed, ended, spans;
    enum thought_ending thought_ending;
    enum answer_ending answer_ending;
};

static void drain(struct run *r)
{
    struct think_event ev;
    while (think_pop(r->t, &ev)) {
        if (ev.kind == THINK_TEXT_THOUGHT || ev.kind == THINK_TEXT_ANSWER) {
            assert_true(utf8_is_valid(ev.text, ev.text_len));
            str_add_bytes(ev.kind == THINK_TEXT_THOUGHT ? &r->thought : &r->answer, ev.text, ev.text_len);
        }
        if (ev.kind == THINK_INJECTED && ev.text_len) assert_memory_equal(r->thought.data + ev.offset, ev.text, ev.text_len);
        r->opened += ev.kind == THINK_OPENED;
        r->closed += ev.kind == THINK_CLOSED;
        r->spans += ev.kind == THINK_INJECTED;
        r->ended += ev.kind == THINK_ENDED;
        r->thought_ending = ev.thought_ending;
        r->answer_ending = ev.answer_ending;
    }
}

/* Plays a script; answer_now is given after so many tokens of it. */
static void play(struct run *r, const struct think_config *c, const struct tokens *script, size_t answer_now)
{
    struct err e = {0};
    int n_vocab = tokenizer_size(c->tokenizer);
    float *logits = calloc((size_t)n_vocab, sizeof *logits);
    assert_non_null(logits);
    memset(r, 0, sizeof *r);
    assert_int_equal(think_new(&r->t, c, &e), 0);
    drain(r);
    size_t at = 0;
    for (int64_t ms = 0; think_running(r->t); ms += 20) {
        if (at == answer_now) {
            assert_int_equal(think_do(r->t, &(struct think_command){.verb = THINK_ANSWER_NOW}, &e), 0);
            answer_now = SIZE_MAX;
        }
        int32_t id = at < script->n ? script->ids[at] : tokenizer_eos(c->tokenizer), want = id;
        for (int i = 0; i < n_vocab; i++) logits[i] = 0;
        logits[id] = 10;
        enum think_action act = think_next(r->t, logits, ms, &id);
        if (act == THINK_DO_END) break;
        bool keep = true;
        if (act == THINK_DO_SAMPLE) {
            at += at < script->n;
            id = want;
            if (logits[id] == -INFINITY) continue;
        }
        assert_int_equal(think_accept(r->t, id, act == THINK_DO_FORCE, &keep, &e), 0);
        if (keep) assert_int_equal(tokens_push(&r->timeline, id), 0);
        drain(r);
    }
    drain(r);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->opened, r->closed);
    assert_null(strstr(str_cstr(&r->thought), "think>"));
    assert_null(strstr(str_cstr(&r->answer), "think>"));
    free(logits);
}

static void stop(struct run *r)
{
    think_free(r->t);
    str_release(&r->thought);
    str_release(&r->answer);
    tokens_release(&r->timeline);
}

static const char thought[] = "Okay, so 2 \xc3\x97 3 = 6 \xf0\x9f\x8e\xbe.\n\nWait, 5 + 6 = 11 \xe2\x82\xac.";

struct known {
    const char *file, *family;
    bool tag_is_a_token;
};
static const struct known vocabularies[] = {
    {"tests/vectors/deepseek-r1-qwen-vocab.gguf", "deepseek-r1-distill-qwen", true},
    {"tests/vectors/smollm2-vocab.gguf", "smollm2", false},
};

static void test_real(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(vocabularies); k++) {
        const struct known *v = &vocabularies[k];
        struct tokenizer *tok = NULL;
        struct err e = {0};
        assert_int_equal(tokenizer_open(&tok, v->file, &e), 0);
        int32_t close = tokenizer_find(tok, "</think>");
        assert_int_equal(close >= 0, v->tag_is_a_token);
        struct tokens script = {0};
        assert_int_equal(tokenizer_encode(tok, thought, strlen(thought), PARSE_NONE, &script, &e), 0);
        size_t thought_tokens = script.n;
        assert_int_equal(tokenizer_encode(tok, "\n</think>\n\nThe answer is 11.", 28, PARSE_CONTROL, &script, &e), 0);
        const struct family *f = family_by_name(v->family);
        struct think_config c = {.family = f,
                                 .tokenizer = tok,
                                 .think = true,
                                 .thought_open = true,
                                 .budget = {BUDGET_UNLIMITED, 0},
                                 .answer_reserve = 100,
                                 .context_left = 2000};
        const size_t lead = f->think_lead ? strlen(f->think_lead) : 0;
        struct run r;

        play(&r, &c, &script, SIZE_MAX);
        assert_string_equal(str_cstr(&r.thought) + lead, thought);
        assert_string_equal(str_cstr(&r.answer), "The answer is 11.");
        assert_int_equal(r.thought_ending, THOUGHT_NATURAL);
        struct think_stats s;
        think_stats(r.t, &s);
        assert_in_range(s.thought_tokens, thought_tokens, thought_tokens + 12);
        stop(&r);

        /* answer now at every token: the wrap-up follows, then the tag, as one token where it is one; no character is split */
        for (size_t at = 1; at <= thought_tokens; at++) {
            play(&r, &c, &script, at);
            assert_int_equal(r.thought_ending, THOUGHT_ANSWER_NOW);
            assert_int_equal(r.answer_ending, ANSWER_COMPLETE);
            const char *wrap = f->wrap_up + strspn(f->wrap_up, "\n");
            assert_string_equal(str_cstr(&r.thought) + r.thought.len - strlen(wrap), wrap);
            assert_non_null(strstr(str_cstr(&r.answer), "The answer is 11."));
            int n = 0;
            for (size_t i = 0; i < r.timeline.n; i++) n += r.timeline.ids[i] == close;
            if (v->tag_is_a_token) assert_int_equal(n, 1 + (at < thought_tokens)); /* its own comes later, in the answer */
            stop(&r);
        }

        c.budget = (struct budget){BUDGET_TOKENS, 0};
        play(&r, &c, &script, SIZE_MAX);
        assert_int_equal(r.thought.len, 0);
        if (v->tag_is_a_token) assert_true(r.timeline.ids[1] == close);
        stop(&r);
        tokens_release(&script);
        tokenizer_free(tok);
    }
}

/* A budget lowered below what is used, at every token of a thought that is half emoji and never closes itself: from there to the
 * end of the closing tag there are never more than 32 tokens. */
static void test_lowered_is_over_within_32(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(vocabularies); k++) {
        const struct known *v = &vocabularies[k];
        struct tokenizer *tok = NULL;
        struct err e = {0};
        assert_int_equal(tokenizer_open(&tok, v->file, &e), 0);
        struct tokens script = {0};
        while (script.n < 300) assert_int_equal(tokenizer_encode(tok, thought, strlen(thought), PARSE_NONE, &script, &e), 0);
        int n_vocab = tokenizer_size(tok);
        float *logits = calloc((size_t)n_vocab, sizeof *logits);
        assert_non_null(logits);
        for (size_t lowered_at = 60; lowered_at < 160; lowered_at++) {
            struct think_config c = {.family = family_by_name(v->family),
                                     .tokenizer = tok,
                                     .think = true,
                                     .thought_open = true,
                                     .budget = {BUDGET_TOKENS, 2000},
                                     .think_min = 1900,
                                     .answer_reserve = 100,
                                     .context_left = 4000};
            struct think *t = NULL;
            struct think_event ev;
            assert_int_equal(think_new(&t, &c, &e), 0);
            size_t position = 0, closed = 0;
            for (size_t at = 0; !closed; position++) {
                if (position == lowered_at)
                    assert_int_equal(think_do(t, &(struct think_command){.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 40}}, &e), 0);
                memset(logits, 0, (size_t)n_vocab * sizeof *logits);
                int32_t id = 0, want = script.ids[at];
                logits[want] = 1000;
                enum think_action act = think_next(t, logits, (int64_t)position * 20, &id);
                assert_int_not_equal(act, THINK_DO_END);
                if (act == THINK_DO_SAMPLE) id = want, at++;
                bool keep = true;
                assert_int_equal(think_accept(t, id, act == THINK_DO_FORCE, &keep, &e), 0);
                while (think_pop(t, &ev))
                    if (ev.kind == THINK_CLOSED) closed = position + 1;
            }
            assert_in_range(closed, lowered_at, lowered_at + 32);
            think_free(t);
        }
        free(logits);
        tokens_release(&script);
        tokenizer_free(tok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_real), cmocka_unit_test(test_lowered_is_over_within_32)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
