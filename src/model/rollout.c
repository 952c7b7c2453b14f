/*
 * rollout.c - many replies to many prompts: each place of a batch holds one, and takes the next as soon as it is free. A prompt is evaluated in
 * the session, which keeps it while the next ones begin with the same tokens.
 */
#include "model/model.h"

#include <stdlib.h>

struct place {
    struct rollout r;
    struct rollout_reply reply;
    uint8_t *sampled;
    size_t cap;
    struct think *think;
    struct sampler *sampler;
    bool busy;
};

struct rollouts {
    struct session *s;
    const struct tokenizer *tok;
    struct batch *batch;
    struct place places[BATCH_MAX];
    bool (*next)(void *arg, struct rollout *r);
    int (*done)(void *arg, const struct rollout_reply *r, struct err *e);
    void *arg;
    bool all_given;
};

static void clear(struct place *p)
{
    think_free(p->think);
    sampler_free(p->sampler);
    str_release(&p->reply.thought);
    str_release(&p->reply.answer);
    tokens_release(&p->reply.ids);
    free(p->sampled);
    *p = (struct place){.busy = false};
}

static void drain(struct place *p)
{
    struct think_event ev;
    while (think_pop(p->think, &ev)) {
        if (ev.kind == THINK_TEXT_THOUGHT) str_add_bytes(&p->reply.thought, ev.text, ev.text_len);
        if (ev.kind == THINK_TEXT_ANSWER) str_add_bytes(&p->reply.answer, ev.text, ev.text_len);
        p->reply.opened += ev.kind == THINK_OPENED;
        p->reply.closed += ev.kind == THINK_CLOSED;
    }
}

/* What an answer may always have of the context. */
#define ANSWER_RESERVE 256

static int begin(struct rollouts *v, int i, struct err *e)
{
    struct place *p = &v->places[i];
    const struct rollout *r = &p->r;
    int left = session_ctx(v->s) - (int)r->prompt->n, reserve = left / 2 < ANSWER_RESERVE ? left / 2 : ANSWER_RESERVE;
    if (r->reply_max && r->reply_max < left) left = r->reply_max;
    struct think_config c = {.family = r->family, .tokenizer = v->tok, .think = r->think, .thought_open = r->thought_open, .budget = r->budget,
                             .answer_max = r->answer_max, .context_left = left, .answer_reserve = r->reply_max ? 0 : reserve};
    p->busy = true;
    p->reply.rollout = r;
    p->reply.last = -1;
    int rc = session_sync(v->s, r->prompt->ids, r->prompt->n, NULL, NULL, NULL, e);
    if (!rc) rc = think_new(&p->think, &c, e);
    if (!rc) rc = sampler_new(&p->sampler, tokenizer_size(v->tok), &r->sampling, e);
    if (rc) return rc;
    for (size_t k = r->prompt->n > 64 ? r->prompt->n - 64 : 0; k < r->prompt->n; k++) sampler_accept(p->sampler, r->prompt->ids[k]);
    batch_take(v->batch, i);
    drain(p);
    return 0;
}

static int end(struct rollouts *v, struct place *p, struct err *e)
{
    think_stats(p->think, &p->reply.stats);
    p->reply.sampled = p->sampled;
    bool whole = str_ok(&p->reply.thought) && str_ok(&p->reply.answer);
    int rc = whole ? v->done(v->arg, &p->reply, e) : err_set(e, ERR_NOMEM, "out of memory for a reply");
    clear(p);
    return rc;
}

/* The next token of a place; false when its reply is over or *rc is set. */
static bool token(struct rollouts *v, int i, int32_t *id, int *rc, struct err *e)
{
    struct place *p = &v->places[i];
    float *logits = batch_logits(v->batch, i);
    bool keep = false, sampled = false;
    while (!keep) {
        enum think_action act = think_next(p->think, logits, 0, id);
        if (act == THINK_DO_END) return false;
        sampled = act == THINK_DO_SAMPLE;
        if (sampled) *id = sampler_pick(p->sampler, logits);
        *rc = think_accept(p->think, *id, act == THINK_DO_FORCE, &keep, e);
        drain(p);
        if (*rc) return false;
        if (!think_running(p->think)) {
            p->reply.last = sampled ? *id : -1;
            return false;
        }
    }
    sampler_accept(p->sampler, *id);
    if (!mem_grow(&p->sampled, &p->cap, p->reply.ids.n + 1, 1) || tokens_push(&p->reply.ids, *id)) *rc = err_set(e, ERR_NOMEM, "out of memory for a reply");
    if (*rc) return false;
    p->sampled[p->reply.ids.n - 1] = sampled;
    if (batch_used(v->batch, i) < (size_t)session_ctx(v->s)) return true;
    think_abort(p->think, THOUGHT_CONTEXT_FULL, ANSWER_CONTEXT_FULL);
    drain(p);
    return false;
}

/* Takes the next token of everyone, filling the places of those that are over. Returns how many there are. */
static int next_tokens(struct rollouts *v, int which[BATCH_MAX], int32_t ids[BATCH_MAX], int *rc, struct err *e)
{
    int m = 0;
    for (int i = 0; i < BATCH_MAX && !*rc; i++) {
        struct place *p = &v->places[i];
        for (bool has = false; !has && !*rc;) {
            if (!p->busy) {
                if (v->all_given || !v->next(v->arg, &p->r)) {
                    v->all_given = true;
                    break;
                }
                *rc = begin(v, i, e);
                if (*rc) break;
            }
            has = token(v, i, &ids[m], rc, e);
            if (has) which[m++] = i;
            if (!has && !*rc) *rc = end(v, p, e);
        }
    }
    return m;
}

int rollouts_run(struct session *s, const struct tokenizer *tok, bool (*next)(void *arg, struct rollout *r),
                 int (*done)(void *arg, const struct rollout_reply *r, struct err *e), void *arg, const volatile bool *stop, struct err *e)
{
    struct rollouts v = {.s = s, .tok = tok, .next = next, .done = done, .arg = arg};
    int which[BATCH_MAX], rc = batch_new_apart(&v.batch, s, BATCH_MAX, e), m;
    int32_t ids[BATCH_MAX];
    while (!rc && (m = next_tokens(&v, which, ids, &rc, e)) > 0 && !rc) {
        if (stop && *stop) rc = err_set(e, ERR_STOPPED, "stopped");
        if (!rc) rc = batch_decode(v.batch, which, ids, m, e);
    }
    for (int i = 0; i < BATCH_MAX; i++) clear(&v.places[i]);
    batch_free(v.batch);
    return rc;
}
