/* Many replies at once: each is what it would be alone, whatever is written beside it and in whatever order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_help.h"

#define N_VOCAB 300
#define JOBS    21
static const struct tiny_spec spec = {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 96, 6, 2, 16, 16, N_VOCAB, 2048, false, false, SCALING_FACTORS};

struct job {
    struct tokens prompt;
    struct rollout r;
    struct tokens alone;
    uint8_t sampled[700];       /* of each of these */
    int32_t last;
    struct str thought, answer;
    int done;
};
struct all {
    struct job jobs[JOBS];
    int order[JOBS], next, n_done, stop_after;
    bool stopped;
    volatile bool stop;
};

static void make_jobs(struct all *a, const struct family *f)
{
    for (int i = 0; i < JOBS; i++) {
        struct job *j = &a->jobs[i];
        size_t n = (size_t)(i % 3 == 0 ? 3 : 20 + 31 * (i / 2)); /* neighbours share a prompt */
        for (size_t k = 0; k < n; k++) assert_int_equal(tokens_push(&j->prompt, (int32_t)((k * 7919 + k / 5 + 1 + (size_t)(i / 2)) % N_VOCAB)), 0);
        j->r = (struct rollout){.prompt = &j->prompt, .thought_open = i % 4 != 3, .think = i % 4 != 3, .family = f,
                                .budget = {BUDGET_TOKENS, i % 5 == 0 ? 0 : 8 * (i % 5)}, .answer_max = i % 6 == 5 ? 0 : 5 + i, .reply_max = i % 6 == 5 ? 17 : 0,
                                .sampling = {.temp = i % 2 ? 1.0 : 0, .top_p = 1, .repeat_penalty = i % 7 == 0 ? 1.3 : 1, .seed = (uint64_t)i}, .arg = j};
        a->order[i] = i;
    }
}

/* The reply by the plain loop of one turn. */
static void write_alone(struct session *s, const struct tokenizer *tok, struct job *j)
{
    struct think *t;
    struct sampler *sampler;
    struct think_event ev;
    struct err e = {0};
    int left = session_ctx(s) - (int)j->prompt.n, max = j->r.reply_max;
    struct think_config c = {.family = j->r.family, .tokenizer = tok, .think = j->r.think, .thought_open = j->r.thought_open, .budget = j->r.budget,
                             .answer_max = j->r.answer_max, .context_left = max ? max : left, .answer_reserve = max ? 0 : left / 2 < 256 ? left / 2 : 256};
    j->last = -1;
    assert_int_equal(session_sync(s, j->prompt.ids, j->prompt.n, NULL, NULL, NULL, &e), 0);
    assert_int_equal(think_new(&t, &c, &e), 0);
    assert_int_equal(sampler_new(&sampler, N_VOCAB, &j->r.sampling, &e), 0);
    for (size_t k = j->prompt.n > 64 ? j->prompt.n - 64 : 0; k < j->prompt.n; k++) sampler_accept(sampler, j->prompt.ids[k]);
    for (;;) {
        int32_t id = -1;
        bool keep = true;
        enum think_action act = think_next(t, session_logits(s), 0, &id);
        if (act == THINK_DO_END) break;
        if (act == THINK_DO_SAMPLE) id = sampler_pick(sampler, session_logits(s));
        assert_int_equal(think_accept(t, id, act == THINK_DO_FORCE, &keep, &e), 0);
        if (!think_running(t)) {
            j->last = act == THINK_DO_SAMPLE ? id : -1;
            break;
        }
        if (!keep) continue;
        j->sampled[j->alone.n] = act == THINK_DO_SAMPLE;
        sampler_accept(sampler, id);
        assert_int_equal(tokens_push(&j->alone, id), 0);
        assert_int_equal(session_decode(s, &id, 1, &e), 0);
    }
    while (think_pop(t, &ev))
        if (ev.kind == THINK_TEXT_THOUGHT || ev.kind == THINK_TEXT_ANSWER) str_add_bytes(ev.kind == THINK_TEXT_THOUGHT ? &j->thought : &j->answer, ev.text, ev.text_len);
    think_free(t);
    sampler_free(sampler);
}

static bool next(void *arg, struct rollout *r)
{
    struct all *a = arg;
    if (a->next == JOBS) return false;
    *r = a->jobs[a->order[a->next++]].r;
    return true;
}

static int done(void *arg, const struct rollout_reply *r, struct err *e)
{
    struct all *a = arg;
    struct job *j = r->rollout->arg;
    j->done++;
    a->n_done++;
    assert_int_equal(r->ids.n, j->alone.n);
    if (j->alone.n) assert_memory_equal(r->ids.ids, j->alone.ids, j->alone.n * sizeof(int32_t));
    if (j->alone.n) assert_memory_equal(r->sampled, j->sampled, j->alone.n);
    assert_int_equal(r->last, j->last);
    if (j->r.reply_max) assert_in_range(r->ids.n + (r->last >= 0), 1, (uintmax_t)j->r.reply_max);
    assert_int_equal(r->thought.len, j->thought.len);
    assert_int_equal(r->answer.len, j->answer.len);
    if (j->answer.len) assert_memory_equal(r->answer.data, j->answer.data, j->answer.len);
    if (j->r.think) assert_int_equal(r->opened, 1);
    if (a->stopped && a->n_done == 2) a->stop = true;
    return a->n_done == a->stop_after ? err_set(e, ERR_STOPPED, "enough") : 0;
}

static void a_reply_is_what_it_is_alone(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine;
    struct err e = {0};
    static struct all a;
    tiny_init(&m, &spec);
    assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
    if (engine_open(&engine, file, &e)) fail_msg("%s", e.text);
    const struct tokenizer *tok = engine_tokenizer(engine);
    struct session *s = new_session(engine, 700, 2);
    make_jobs(&a, family_by_name("smollm2-think"));
    size_t tokens = 0;
    for (int i = 0; i < JOBS; i++) {
        write_alone(s, tok, &a.jobs[i]);
        tokens += a.jobs[i].alone.n;
    }
    assert_true(tokens > 20 * JOBS / 2);
    if (rollouts_run(s, tok, next, done, &a, NULL, &e)) fail_msg("%s", e.text);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(a.jobs[i].done, 1);
        a.order[i] = (i * 8) % JOBS; /* and in another order */
    }
    a.next = a.n_done = 0;
    if (rollouts_run(s, tok, next, done, &a, NULL, &e)) fail_msg("%s", e.text);
    for (int i = 0; i < JOBS; i++) assert_int_equal(a.jobs[i].done, 2);
    a.next = a.n_done = 0;
    a.stop_after = 3;
    assert_int_equal(rollouts_run(s, tok, next, done, &a, NULL, &e), ERR_STOPPED);
    assert_int_equal(a.n_done, 3);
    a.next = a.n_done = 0;
    a.stop_after = 0;
    a.stopped = true;
    assert_int_equal(rollouts_run(s, tok, next, done, &a, &a.stop, &e), ERR_STOPPED); /* at the next token */
    assert_in_range(a.n_done, 2, JOBS - 1);
    size_t put = 0;
    for (int i = 0; i < JOBS; i++)
        for (size_t k = 0; k < a.jobs[i].alone.n; k++) put += !a.jobs[i].sampled[k];
    assert_true(put > JOBS); /* there was something to be told */
    for (int i = 0; i < JOBS; i++) {
        tokens_release(&a.jobs[i].prompt);
        tokens_release(&a.jobs[i].alone);
        str_release(&a.jobs[i].thought);
        str_release(&a.jobs[i].answer);
    }
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

static void a_trained_family_opens_its_thought(void **state)
{
    (void)state;
    const struct family *base = family_by_name("smollm2"), *trained = family_trained(base);
    struct chat_message hello = {.role = ROLE_USER, .content = "Hello", .content_len = 5};
    struct prompt p = {0}, off = {0}, plain = {0};
    struct err e;
    assert_string_equal(trained->name, "smollm2-think");
    assert_ptr_equal(family_trained(trained), trained);
    assert_ptr_equal(family_trained(family_by_name("qwen3")), family_by_name("qwen3"));
    assert_ptr_equal(family_trained(family_by_name("gemma-2")), family_by_name("gemma-2"));
    assert_int_equal(family_render(trained, &p, &hello, 1, &(struct render_options){.think = true, .prompted = true}, &e), 0);
    assert_int_equal(family_render(trained, &off, &hello, 1, &(struct render_options){.force_off = true}, &e), 0);
    assert_int_equal(family_render(base, &plain, &hello, 1, &(struct render_options){.think = false}, &e), 0);
    /* the model's own prompt, nothing asked for, and then the tag */
    assert_memory_equal(p.text.data, plain.text.data, plain.text.len);
    assert_string_equal(p.text.data + plain.text.len, "<think>\n");
    assert_true(p.thought_open);
    assert_string_equal(off.text.data + plain.text.len, "<think>\n\n</think>\n\n");
    assert_false(off.thought_open);
    prompt_release(&p);
    prompt_release(&off);
    prompt_release(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_reply_is_what_it_is_alone), cmocka_unit_test(a_trained_family_opens_its_thought)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
