/*
 * batch.c - up to 8 continuations, of one prompt or each of its own, a token of each in every pass through the weights.
 *
 * The prompt's K/V stay in the session's cache and are read there. Attention works in pieces of DECODE_SPLIT positions that lie in one
 * cache, so each tail begins with a copy of the prompt's last, incomplete piece (fewer than DECODE_SPLIT positions). The bits of a tail are
 * those of session_decode after the same prompt: products and attention treat each column by itself (forward.h). Continuations of prompts of
 * their own have the whole timeline in their tail: base 0, and the session is free for the next prompt.
 */
#include "model/forward.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(BATCH_MAX == DECODE_MAX, "a pass takes a token of each");

struct batch {
    struct session *s;
    int n;
    size_t prompt; /* tokens of the session's timeline when the batch was made */
    bool apart;    /* each has a prompt of its own */
    struct tail tails[DECODE_MAX];
    size_t used[DECODE_MAX]; /* tokens of each timeline, the prompt included */
    float *logits;           /* [n][n_vocab] */
    float *rows;             /* [n][n_vocab] of the pass, in the order of its tokens */
};

static float *row_of(const struct batch *b, int i)
{
    return b->logits + (size_t)i * (size_t)b->s->m->w.n_vocab;
}

static void copy_piece(const struct session *s, struct tail *t, size_t n_positions)
{
    const struct weights *w = &s->m->w;

    for (int layer = 0; layer < w->n_layer; layer++)
        for (int kv = 0; kv < 2 * w->n_head_kv; kv++) {
            int head = kv / 2;
            memcpy(tail_kv_of(s, t, layer, kv % 2, head), kv_of(s, layer, kv % 2, head) + (size_t)t->base * s->kv_row,
                   n_positions * s->kv_row);
        }
}

static int fill(struct batch *b, struct err *e)
{
    struct session *s = b->s;
    size_t n_vocab = (size_t)s->m->w.n_vocab;
    int64_t base = b->apart ? 0 : (int64_t)b->prompt / DECODE_SPLIT * DECODE_SPLIT;

    b->logits = floats_new((size_t)b->n * n_vocab);
    b->rows = floats_new((size_t)b->n * n_vocab);
    if (!b->logits || !b->rows) return err_set(e, ERR_NOMEM, "out of memory for the logits of %d replies", b->n);
    for (int i = 0; i < b->n; i++) {
        struct tail *t = &b->tails[i];
        t->base = base;
        t->n_ctx = s->n_ctx - (int)base;
        if (t->n_ctx && (!kv_bytes_of(&s->m->w, s->kv_type, t->n_ctx, &t->kv_bytes) || !(t->kv = kv_map(t->kv_bytes))))
            return err_set(e, ERR_NOMEM, "out of memory for %d replies at once", b->n);
        if (b->apart) continue;
        if (t->kv) copy_piece(s, t, b->prompt - (size_t)base);
        batch_restart(b, i);
    }
    return 0;
}

void batch_restart(struct batch *b, int i)
{
    b->used[i] = b->prompt;
    memcpy(row_of(b, i), b->s->logits, (size_t)b->s->m->w.n_vocab * sizeof(float));
}

void batch_take(struct batch *b, int i)
{
    b->prompt = b->s->n;
    copy_piece(b->s, &b->tails[i], b->prompt);
    batch_restart(b, i);
}

static int new_batch(struct batch **out, struct session *s, int n, bool apart, struct err *e)
{
    *out = NULL;
    if (n < 1 || n > DECODE_MAX) return err_set(e, ERR_INVALID, "%d replies at once: 1 to %d", n, DECODE_MAX);
    if (!s->n && !apart) return err_set(e, ERR_INVALID, "there is no prompt to continue");
    if (s->m->w.conv) return err_set(e, ERR_UNSUPPORTED, "models with convolutions write one reply at a time");
    struct batch *b = calloc(1, sizeof(*b));
    if (!b) return err_set(e, ERR_NOMEM, "out of memory");
    b->s = s;
    b->n = n;
    b->prompt = s->n;
    b->apart = apart;
    int rc = fill(b, e);
    if (rc) {
        batch_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

int batch_new(struct batch **out, struct session *s, int n, struct err *e)
{
    return new_batch(out, s, n, false, e);
}

int batch_new_apart(struct batch **out, struct session *s, int n, struct err *e)
{
    return new_batch(out, s, n, true, e);
}

void batch_free(struct batch *b)
{
    if (!b) return;
    for (int i = 0; i < b->n; i++)
        if (b->tails[i].kv) munmap(b->tails[i].kv, b->tails[i].kv_bytes);
    free(b->logits);
    free(b->rows);
    free(b);
}

float *batch_logits(struct batch *b, int i)
{
    return row_of(b, i);
}

size_t batch_used(const struct batch *b, int i)
{
    return b->used[i];
}

static int check(const struct batch *b, const int *which, const int32_t *ids, int m, struct err *e)
{
    const struct session *s = b->s;
    unsigned seen = 0;

    if (m < 1 || m > b->n) return err_set(e, ERR_INVALID, "%d tokens for %d replies", m, b->n);
    if (!b->apart && s->n != b->prompt) return err_set(e, ERR_INVALID, "the prompt of these replies is not there any more");
    for (int j = 0; j < m; j++) {
        int i = which[j];
        if (i < 0 || i >= b->n || seen >> i & 1) return err_set(e, ERR_INVALID, "reply %d of %d, each once", i, b->n);
        seen |= 1u << i;
        if (!b->used[i]) return err_set(e, ERR_INVALID, "reply %d has no prompt", i);
        if (ids[j] < 0 || ids[j] >= s->m->w.n_vocab)
            return err_set(e, ERR_INVALID, "token %d is not in the vocabulary of %d", ids[j], s->m->w.n_vocab);
        if (b->used[i] >= (size_t)s->n_ctx) return err_set(e, ERR_TOO_LONG, "the context of %d tokens is full", s->n_ctx);
    }
    return 0;
}

int batch_decode(struct batch *b, const int *which, const int32_t *ids, int m, struct err *e)
{
    struct session *s = b->s;
    size_t n_vocab = (size_t)s->m->w.n_vocab;
    int rc = check(b, which, ids, m, e);

    if (rc) return rc;
    for (int j = 0; j < m; j++) s->d.at[j] = (struct column){.position = (int64_t)b->used[which[j]], .tail = &b->tails[which[j]]};
    decode_columns(s, ids, m);
    output_run(s, s->d.norm, m, b->rows);
    for (int j = 0; j < m; j++) {
        memcpy(row_of(b, which[j]), b->rows + (size_t)j * n_vocab, n_vocab * sizeof(float));
        b->used[which[j]]++;
    }
    return 0;
}
