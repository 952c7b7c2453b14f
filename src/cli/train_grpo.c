/*
 * train_grpo.c - a step of reinforcement: replies to questions with known answers, sampled by the model as it is, judged, and learnt by how much better
 * or worse each is than the others to its question (Shao et al. 2024; of Yu et al. 2025: a loss by tokens, and no group whose replies are
 * worth the same).
 *
 * Replies come from the engine that a chat has, with its thinking controller, several at once whatever they answer: what the program puts itself is not
 * learnt. The prompt is evaluated once for all replies to a question.
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
    struct train_item item;     /* its first text: prompt and reply, the weight of a token 1 where the model chose it; weight: the advantage */
    const struct train_item *question;
    double reward;
    bool right;
};

struct sampling {
    const struct train_want *w;
    const struct train_watch *watch;
    const struct family *family;
    struct reply *replies;      /* w->group to each question, in the order of the questions */
    size_t n, next, over;
    struct task_random random;
    uint64_t seed;              /* of the replies to the question in hand */
};

static bool next_reply(void *arg, struct rollout *r)
{
    struct sampling *g = arg;

    if (g->next == g->n) return false;
    size_t of_question = g->next % (size_t)g->w->group;
    struct reply *reply = &g->replies[g->next++];
    if (!of_question) g->seed = task_random_next(&g->random);
    *r = (struct rollout){.prompt = &reply->question->texts[0].ids, .thought_open = reply->question->thought_open,
                          .think = g->family->start != THOUGHT_PROMPTED || reply->question->thought_open, .family = g->family,
                          .budget = {.kind = BUDGET_UNLIMITED}, .reply_max = g->w->reply_max, .arg = reply,
                          .sampling = {.temp = g->w->temp, .top_p = 1, .repeat_penalty = 1, .seed = g->seed + of_question}};
    return true;
}

/* The tokens, with that which ended it: to stop is learnt too. */
static int take_tokens(struct train_text *t, const struct tokens *prompt, const struct rollout_reply *r, struct err *e)
{
    size_t n = prompt->n + r->ids.n + (r->last >= 0);

    if (tokens_append(&t->ids, prompt->ids, prompt->n) || tokens_append(&t->ids, r->ids.ids, r->ids.n) || (r->last >= 0 && tokens_push(&t->ids, r->last)) ||
        !mem_grow(&t->weights, &t->cap, n, sizeof *t->weights))
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) t->weights[i] = i < prompt->n ? 0 : i < prompt->n + r->ids.n ? r->sampled[i - prompt->n] : 1;
    return 0;
}

static int reply_done(void *arg, const struct rollout_reply *r, struct err *e)
{
    struct sampling *g = arg;
    struct reply *reply = r->rollout->arg;
    const struct train_item *q = reply->question;
    const struct think_stats *s = &r->stats;

    int rc = take_tokens(&reply->item.texts[0], r->rollout->prompt, r, e);
    if (rc) return rc;
    reply->item.n_prompt[0] = r->rollout->prompt->n;
    double used = (double)(reply->item.texts[0].ids.n - reply->item.n_prompt[0]) / g->w->reply_max;
    bool whole = s->thought_ending == THOUGHT_NATURAL && s->answer_ending == ANSWER_COMPLETE && !s->escaped;
    reply->right = s->answer_ending == ANSWER_COMPLETE && task_reply_is_right(q->check, q->answer, str_cstr(&r->answer), r->answer.len, NULL);
    reply->reward = (reply->right ? 1 : 0) + (whole ? g->w->format : 0) - g->w->brevity * used;
    g->over++;
    if (g->watch->replied) g->watch->replied(g->watch->arg, g->over, g->n);
    return 0;
}

/* Whether the replies to a question differ in worth; their advantages. */
static bool weigh_group(struct reply *replies, int n, struct train_sums *sums)
{
    double mean = 0, spread = 0;
    bool right[2] = {false, false};

    for (int i = 0; i < n; i++) {
        mean += replies[i].reward / n;
        right[replies[i].right] = true;
        sums->right += replies[i].right;
        sums->margin += replies[i].reward;
        sums->items++;
        sums->tokens += replies[i].item.texts[0].ids.n - replies[i].item.n_prompt[0];
    }
    for (int i = 0; i < n; i++) spread += (replies[i].reward - mean) * (replies[i].reward - mean) / n;
    spread = sqrt(spread);
    /* replies that are all right or all wrong differ in length and form alone, and would teach nothing else */
    if (!(right[0] && right[1]) || !(spread > 1e-6)) return false;
    for (int i = 0; i < n; i++) replies[i].item.weight = (replies[i].reward - mean) / (spread + 1e-4);
    return true;
}

/* Writes all replies by the trainer's model as it is. */
static int sample(struct sampling *g, struct trainer *t, const struct engine *m, const volatile bool *stop, struct err *e)
{
    const double one = 1;
    struct adapter *adapter = NULL;
    struct session *s = NULL;
    int rc = trainer_adapter(t, &adapter, e);

    if (!rc) rc = session_new(&s, m, g->w->max_length + 2, g->w->options.n_threads, KV_F16, e);
    if (!rc) rc = session_set_adapters(s, (const struct adapter *const[]){adapter}, &one, 1, e);
    if (!rc) rc = rollouts_run(s, engine_tokenizer(m), next_reply, reply_done, g, stop, e);
    session_free(s);
    adapter_free(adapter);
    return rc;
}

int train_grpo_step(struct trainer *t, const struct engine *m, const struct train_want *w, struct train_item *const *items, size_t n, uint64_t round,
                    const struct train_watch *watch, bool *any, struct train_sums *sums, struct err *e)
{
    size_t group = (size_t)w->group, n_learnt = 0;
    struct reply *replies = calloc(n * group, sizeof *replies);
    struct train_item **learnt = calloc(n * group, sizeof(struct train_item *));
    const struct family *own = engine_info(m)->family;
    struct sampling g = {.w = w, .watch = watch, .family = w->style.prompted ? own : family_trained(own), .replies = replies, .n = n * group,
                         .random = {w->seed * 0x9e3779b97f4a7c15u + round}};
    struct train_sums passed = {0};
    int rc = replies && learnt ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; !rc && i < n * group; i++) replies[i].question = items[i / group];
    if (!rc) rc = sample(&g, t, m, watch->stop, e);
    for (size_t i = 0; i < n && !rc; i++) {
        if (!weigh_group(replies + i * group, w->group, sums)) continue;
        for (size_t k = 0; k < group; k++) learnt[n_learnt++] = &replies[i * group + k].item;
    }
    *any = n_learnt > 0;
    if (!rc && n_learnt) rc = train_loss_run(t, w, learnt, n_learnt, true, watch->stop, &passed, e);
    sums->loss = passed.loss;
    sums->of = passed.of;
    sums->learnt = passed.learnt;
    sums->groups = n;
    sums->dropped = n - n_learnt / group;
    for (size_t i = 0; replies && i < n * group; i++) train_text_release(&replies[i].item.texts[0]);
    free(replies);
    free(learnt);
    return rc;
}
