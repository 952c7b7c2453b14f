/*
 * session.c - one token timeline on an engine: making it equal to a prompt, appending to it, and its logits.
 *
 * Invariant: positions 0 .. n - 1 of the cache belong to tokens[0 .. n), each in the class that generated[] says; whatever
 * lies behind them is never read before it is written again. A failed or stopped call leaves a shorter timeline, not a
 * wrong one.
 */
#include "model/lora.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(SESSION_DECODE_MAX == DECODE_MAX, "tokens that a session takes at once");

float *floats_new(size_t n)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, sizeof(float), &bytes) || bytes > SIZE_MAX - 128) return NULL;
    return aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
}

bool kv_bytes_of(const struct weights *w, enum kv_type type, int n_ctx, size_t *bytes)
{
    size_t a_position = 2 * (size_t)w->n_layer * (size_t)w->n_cached * kv_row_bytes(type, w->head_dim);
    return !__builtin_mul_overflow(a_position, (size_t)n_ctx, bytes);
}

uint64_t engine_session_bytes(const struct engine *m, int n_ctx, enum kv_type type)
{
    const struct weights *w = &m->w;
    size_t kv;

    if (n_ctx < 1 || !kv_bytes_of(w, type, n_ctx, &kv)) return 0;
    return kv + prefill_bytes(w, n_ctx, engine_default_threads()) + decode_bytes(w, n_ctx) + sizeof(float) * DECODE_MAX * (size_t)w->n_vocab +
           (size_t)n_ctx * (sizeof(int32_t) + sizeof(bool));
}

uint8_t *kv_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    /* a huge page would take memory for a head's whole context at its first token */
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}

static int map_cache(struct session *s, struct err *e)
{
    if (!kv_bytes_of(&s->m->w, s->kv_type, s->n_ctx, &s->kv_bytes))
        return err_set(e, ERR_NOMEM, "a context of %d tokens is larger than the address space", s->n_ctx);
    s->kv = kv_map(s->kv_bytes);
    return s->kv ? 0 : err_set(e, ERR_NOMEM, "out of memory for a context of %d tokens (%zu MB)", s->n_ctx, s->kv_bytes >> 20);
}

static int fill(struct session *s, int n_threads, struct err *e)
{
    const struct weights *w = &s->m->w;
    int rc;

    s->tokens = calloc((size_t)s->n_ctx, sizeof(*s->tokens));
    s->generated = calloc((size_t)s->n_ctx, sizeof(*s->generated));
    s->logits = floats_new(DECODE_MAX * (size_t)w->n_vocab);
    s->hidden = floats_new((size_t)w->n_embd);
    if (!s->tokens || !s->generated || !s->logits || !s->hidden)
        return err_set(e, ERR_NOMEM, "out of memory for a session of %d tokens", s->n_ctx);
    memset(s->logits, 0, (size_t)w->n_vocab * sizeof(float));
    if ((rc = map_cache(s, e))) return rc;
    if ((rc = pool_new(&s->pool, n_threads, e))) return rc;
    return decode_init(s, e);
}

int session_new(struct session **out, const struct engine *m, int n_ctx, int n_threads, enum kv_type kv, struct err *e)
{
    *out = NULL;
    if (n_ctx < 1 || n_ctx > m->w.ctx_train)
        return err_set(e, ERR_INVALID, "a context of %d tokens: the model allows 1 to %d", n_ctx, m->w.ctx_train);
    if (!kv_fits(kv, &m->w)) return err_set(e, ERR_UNSUPPORTED, "this model's keys and values are kept in f16 only");
    struct session *s = calloc(1, sizeof(*s));
    if (!s) return err_set(e, ERR_NOMEM, "out of memory for a session");
    s->kv_type = kv;
    s->kv_row = kv_row_bytes(kv, m->w.head_dim);
    s->m = m;
    s->n_ctx = n_ctx;
    s->n_splits = (n_ctx + DECODE_SPLIT - 1) / DECODE_SPLIT;
    s->rope_freq = m->w.rope_freq_long && n_ctx > m->w.rope_ctx ? m->w.rope_freq_long : m->w.rope_freq;
    int rc = fill(s, n_threads, e);
    if (rc) {
        session_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void session_free(struct session *s)
{
    if (!s) return;
    lora_free(s->lora);
    pool_free(s->pool);
    prefill_free(s->prefill);
    decode_release(&s->d);
    act_free(s->out_act);
    if (s->kv) munmap(s->kv, s->kv_bytes);
    free(s->tokens);
    free(s->generated);
    free(s->logits);
    free(s->hidden);
    free(s);
}

int session_ctx(const struct session *s)
{
    return s->n_ctx;
}

const int32_t *session_tokens(const struct session *s, size_t *n)
{
    *n = s->n;
    return s->tokens;
}

float *session_logits(struct session *s)
{
    return s->logits + s->logits_row * (size_t)s->m->w.n_vocab;
}

void session_truncate(struct session *s, size_t n)
{
    s->ahead = 0;
    if (n < s->n) s->n = n;
    if (s->n < s->hidden_n) s->hidden_n = 0;
}

static int check_ids(const struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    if (!n) return err_set(e, ERR_INVALID, "no tokens");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->m->w.n_vocab)
            return err_set(e, ERR_INVALID, "token %d is not in the vocabulary of %d", ids[i], s->m->w.n_vocab);
    return 0;
}

size_t session_shared(const struct session *s, const int32_t *ids, size_t n)
{
    size_t keep = 0;

    while (keep < n && keep < s->n && s->tokens[keep] == ids[keep] && !s->generated[keep]) keep++;
    return keep;
}

int session_prepare(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, struct err *e)
{
    int rc;

    if ((rc = check_ids(s, ids, n, e))) return rc;
    if (n > (size_t)s->n_ctx) return err_set(e, ERR_TOO_LONG, "%zu tokens in a context of %d", n, s->n_ctx);
    size_t keep = session_shared(s, ids, n);
    if (keep == n) return 0;
    session_truncate(s, keep);
    s->hidden_n = 0;
    if ((rc = prefill_run(s, ids + keep, n - keep, step, arg, s->hidden, NULL, NULL, e))) return rc;
    s->hidden_n = n;
    return 0;
}

int session_sync(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, size_t *reused, struct err *e)
{
    int rc;

    if (reused) *reused = 0;
    if ((rc = check_ids(s, ids, n, e))) return rc;
    if (n > (size_t)s->n_ctx) return err_set(e, ERR_TOO_LONG, "%zu tokens in a context of %d", n, s->n_ctx);
    size_t keep = session_shared(s, ids, n);
    session_truncate(s, keep);
    if (keep < n || s->hidden_n != n) {
        /* the logits need the last token's state, which only running it gives */
        if (keep == n) session_truncate(s, --keep);
        s->hidden_n = 0;
        if ((rc = prefill_run(s, ids + keep, n - keep, step, arg, s->hidden, NULL, NULL, e))) return rc;
        s->hidden_n = n;
    }
    s->logits_row = 0;
    output_run(s, s->hidden, 1, s->logits);
    if (reused) *reused = keep;
    return 0;
}

/* Runs tokens that were checked and puts the first `keep` on the timeline; the others wait behind it. */
static void append_generated(struct session *s, const int32_t *ids, size_t n, size_t keep)
{
    decode_run(s, ids, (int)n);
    for (size_t i = 0; i < n; i++) {
        s->tokens[s->n + i] = ids[i];
        s->generated[s->n + i] = true;
    }
    s->n += keep;
    s->ahead = n - keep;
    s->logits_row = 0;
}

static int check_decode(const struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    int rc;

    if ((rc = check_ids(s, ids, n, e))) return rc;
    if (n > DECODE_MAX) return err_set(e, ERR_INVALID, "%zu tokens at once: at most %d", n, DECODE_MAX);
    if (n > (size_t)s->n_ctx - s->n) return err_set(e, ERR_TOO_LONG, "the context of %d tokens is full", s->n_ctx);
    return 0;
}

int session_decode(struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    int rc;

    if ((rc = check_decode(s, ids, n, e))) return rc;
    append_generated(s, ids, n, n);
    output_run(s, s->d.norm + (n - 1) * (size_t)s->m->w.n_embd, 1, s->logits);
    return 0;
}

int session_decode_ahead(struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    int rc;

    if ((rc = check_decode(s, ids, n, e))) return rc;
    append_generated(s, ids, n, 1);
    output_run(s, s->d.norm, (int)n, s->logits);
    return 0;
}

bool session_take(struct session *s, int32_t id)
{
    if (!s->ahead || s->tokens[s->n] != id) return false;
    s->n++;
    s->ahead--;
    s->logits_row++;
    return true;
}

struct score_job {
    struct session *s;
    float *logits; /* [DECODE_MAX][n_vocab] */
    void (*row)(void *arg, size_t pos, const float *logits);
    void *arg;
};

static void score_rows(void *arg, size_t position, int n, const float *norm)
{
    const struct score_job *j = arg;
    size_t n_embd = (size_t)j->s->m->w.n_embd, n_vocab = (size_t)j->s->m->w.n_vocab;

    for (int at = 0; at < n; at += DECODE_MAX) {
        int m = n - at < DECODE_MAX ? n - at : DECODE_MAX;
        output_run(j->s, norm + (size_t)at * n_embd, m, j->logits);
        for (int i = 0; i < m; i++) j->row(j->arg, position + (size_t)(at + i), j->logits + (size_t)i * n_vocab);
    }
}

int session_score(struct session *s, const int32_t *ids, size_t n, bool one_by_one, void (*row)(void *arg, size_t pos, const float *logits),
                  void *arg, struct err *e)
{
    struct score_job j = {.s = s, .row = row, .arg = arg};
    int rc;

    if ((rc = check_ids(s, ids, n, e))) return rc;
    if (n > (size_t)s->n_ctx) return err_set(e, ERR_TOO_LONG, "%zu tokens in a context of %d", n, s->n_ctx);
    session_truncate(s, 0);
    if (one_by_one) {
        for (size_t i = 0; i < n; i++) {
            append_generated(s, ids + i, 1, 1);
            output_run(s, s->d.norm, 1, s->logits);
            row(arg, i, s->logits);
        }
        return 0;
    }
    j.logits = floats_new((size_t)DECODE_MAX * (size_t)s->m->w.n_vocab);
    if (!j.logits) return err_set(e, ERR_NOMEM, "out of memory for %d rows of logits", DECODE_MAX);
    rc = prefill_run(s, ids, n, NULL, NULL, s->hidden, score_rows, &j, e);
    s->hidden_n = rc ? 0 : n;
    free(j.logits);
    return rc;
}
