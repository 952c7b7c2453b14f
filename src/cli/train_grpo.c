/*
 * train_grpo.c - a step of reinforcement: replies to questions with known answers, sampled by the model as it is, judged, and learnt by how much better
 * or worse each is than the others to its question (Shao et al. 2024; of Yu et al. 2025: a loss by tokens, and no group whose replies are
 * worth the same).
 *
 * Replies come from the engine that a chat has, with its thinking controller: what the program puts itself is not learnt. The prompt's keys
 * and values are shared by the replies to a question.
 *
 *   reward      1 for the right answer, + format for one thought that the model closed itself and an answer that it ended, - brevity times the
 *               part of --reply-max that was used
 *   advantage   (reward - mean) / standard deviation, in the group
 */
#include "cli/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reply {
    struct train_item item;     /* weight: the advantage */
    struct think *think;
    struct sampler *sampler;
    struct str answer;
    double reward;
    bool over, right;
};

struct group {
    const struct train_want *w;
    const struct engine *m;
    struct session *s;
    struct batch *batch;
    const struct train_item *question;
    struct reply *replies;      /* w->group */
};

static void reply_release(struct reply *r)
{
    train_text_release(&r->item.texts[0]);
    think_free(r->think);
    sampler_free(r->sampler);
    str_release(&r->answer);
    *r = (struct reply){0};
}

static int reply_begin_sampling(struct group *g, struct reply *r, uint64_t seed, struct err *e)
{
    const struct train_text *prompt = &g->question->texts[0];
    const struct model_info *info = engine_info(g->m);
    const struct think_config c = {.family = info->family, .tokenizer = engine_tokenizer(g->m),
                                   .think = info->family->start != THOUGHT_PROMPTED || g->question->thought_open, .thought_open = g->question->thought_open,
                                   .budget = {.kind = BUDGET_UNLIMITED}, .context_left = g->w->reply_max + 1};
    const struct sampler_params p = {.temp = g->w->temp, .top_p = 1, .repeat_penalty = 1, .seed = seed};

    if (tokens_append(&r->item.texts[0].ids, prompt->ids.ids, prompt->ids.n)) return err_set(e, ERR_NOMEM, "out of memory");
    r->item.n_prompt[0] = prompt->ids.n;
    /* room for all that can come */
    r->item.texts[0].weights = calloc(prompt->ids.n + (size_t)g->w->reply_max + 1, sizeof(float));
    if (!r->item.texts[0].weights) return err_set(e, ERR_NOMEM, "out of memory");
    int rc = think_new(&r->think, &c, e);
    return rc ? rc : sampler_new(&r->sampler, info->n_vocab, &p, e);
}

static void drain(struct reply *r)
{
    struct think_event ev;
    while (think_pop(r->think, &ev))
        if (ev.kind == THINK_TEXT_ANSWER) str_add_bytes(&r->answer, ev.text, ev.text_len);
}

/* The next token of a reply; r->over when there is none. The token that ends it is learnt too. */
static int next_token(struct group *g, struct reply *r, float *logits, int32_t *id, struct err *e)
{
    struct train_text *t = &r->item.texts[0];
    bool keep = false;
    int rc = 0;

    while (!keep && !rc) {
        enum think_action act = think_next(r->think, logits, 0, id);
        if (act == THINK_DO_END) break;
        if (act == THINK_DO_SAMPLE) *id = sampler_pick(r->sampler, logits);
        rc = think_accept(r->think, *id, act == THINK_DO_FORCE, &keep, e);
        drain(r);
        bool ended = !think_running(r->think);
        if (rc || !(keep || ended)) continue;
        t->weights[t->ids.n] = act == THINK_DO_SAMPLE;
        if (tokens_push(&t->ids, *id)) rc = err_set(e, ERR_NOMEM, "out of memory");
        if (ended) break;
    }
    r->over = rc || !think_running(r->think) || t->ids.n - r->item.n_prompt[0] >= (size_t)g->w->reply_max;
    return rc;
}

static void judge(struct group *g, struct reply *r)
{
    struct think_stats s;
    double used = (double)(r->item.texts[0].ids.n - r->item.n_prompt[0]) / g->w->reply_max;

    think_stats(r->think, &s);
    bool whole = s.thought_ending == THOUGHT_NATURAL && s.answer_ending == ANSWER_COMPLETE && !s.escaped;
    r->right = s.answer_ending == ANSWER_COMPLETE && task_reply_is_right(g->question->check, g->question->answer, str_cstr(&r->answer), r->answer.len, NULL);
    r->reward = (r->right ? 1 : 0) + (whole ? g->w->format : 0) - g->w->brevity * used;
}

static int sample_group(struct group *g, uint64_t seed, const volatile bool *stop, struct err *e)
{
    const struct train_text *prompt = &g->question->texts[0];
    int slots[BATCH_MAX], rc = session_sync(g->s, prompt->ids.ids, prompt->ids.n, NULL, NULL, NULL, e);
    int32_t ids[BATCH_MAX];

    if (!rc) rc = batch_new(&g->batch, g->s, g->w->group, e);
    for (int i = 0; i < g->w->group && !rc; i++) rc = reply_begin_sampling(g, &g->replies[i], seed + (uint64_t)i, e);
    while (!rc) {
        int m = 0;
        for (int i = 0; i < g->w->group && !rc; i++) {
            struct reply *r = &g->replies[i];
            if (r->over) continue;
            rc = next_token(g, r, batch_logits(g->batch, i), &ids[m], e);
            if (!r->over) slots[m++] = i;
        }
        if (!m || rc) break;
        if (stop && *stop) rc = err_set(e, ERR_STOPPED, "stopped");
        if (!rc) rc = batch_decode(g->batch, slots, ids, m, e);
    }
    for (int i = 0; i < g->w->group && !rc; i++) judge(g, &g->replies[i]);
    batch_free(g->batch);
    g->batch = NULL;
    return rc;
}

/* Whether the replies differ in worth; their advantages. */
static bool weigh_group(struct group *g, struct train_sums *sums)
{
    double mean = 0, spread = 0;
    bool right[2] = {false, false};

    for (int i = 0; i < g->w->group; i++) {
        mean += g->replies[i].reward / g->w->group;
        right[g->replies[i].right] = true;
        sums->right += g->replies[i].right;
        sums->margin += g->replies[i].reward;
        sums->items++;
        sums->tokens += g->replies[i].item.texts[0].ids.n - g->replies[i].item.n_prompt[0];
    }
    for (int i = 0; i < g->w->group; i++) spread += (g->replies[i].reward - mean) * (g->replies[i].reward - mean) / g->w->group;
    spread = sqrt(spread);
    /* replies that are all right or all wrong differ in length and form alone, and would teach nothing else */
    if (!(right[0] && right[1]) || !(spread > 1e-6)) return false;
    for (int i = 0; i < g->w->group; i++) g->replies[i].item.weight = (g->replies[i].reward - mean) / (spread + 1e-4);
    return true;
}

static int session_for(struct session **out, struct adapter **adapter, struct trainer *t, const struct engine *m, const struct train_want *w, struct err *e)
{
    const double one = 1;
    int rc = trainer_adapter(t, adapter, e);

    if (!rc) rc = session_new(out, m, w->max_length + 2, w->options.n_threads, KV_F16, e);
    return rc ? rc : session_set_adapters(*out, (const struct adapter *const[]){*adapter}, &one, 1, e);
}

int train_grpo_step(struct trainer *t, const struct engine *m, const struct train_want *w, struct train_item *const *items, size_t n, uint64_t round,
                    const volatile bool *stop, bool *any, struct train_sums *sums, struct err *e)
{
    size_t group = (size_t)w->group, n_learnt = 0;
    struct reply *replies = calloc(n * group, sizeof *replies);
    struct train_item **learnt = calloc(n * group, sizeof(struct train_item *));
    struct adapter *adapter = NULL;
    struct group g = {.w = w, .m = m};
    struct train_sums passed = {0};
    struct task_random random = {w->seed * 0x9e3779b97f4a7c15u + round};
    int rc = replies && learnt ? session_for(&g.s, &adapter, t, m, w, e) : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; i < n && !rc; i++) {
        g.question = items[i];
        g.replies = replies + i * group;
        rc = sample_group(&g, task_random_next(&random), stop, e);
        if (!rc && weigh_group(&g, sums))
            for (size_t k = 0; k < group; k++) learnt[n_learnt++] = &g.replies[k].item;
    }
    session_free(g.s);
    adapter_free(adapter);
    *any = n_learnt > 0;
    if (!rc && n_learnt) rc = train_loss_run(t, w, learnt, n_learnt, true, stop, &passed, e);
    sums->loss = passed.loss;
    sums->of = passed.of;
    sums->learnt = passed.learnt;
    for (size_t i = 0; replies && i < n * group; i++) reply_release(&replies[i]);
    free(replies);
    free(learnt);
    return rc;
}
