/*
 * measure.c - what bench compares a session with: the work of a token, the time of its stages, and what memory and arithmetic of this
 * machine give at best. Nothing here runs unless it is asked for, but for the marks of the two passes, each a test of a pointer.
 */
#include "model/forward.h"

#include "model/kernels_peak.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- stages ------------------------------------------------------------------------------------------------------- */

const char *session_stage_name(enum session_stage stage)
{
#define X(n, s) s,
    static const char *const names[] = {SESSION_STAGES(X)};
#undef X
    return stage < STAGE_COUNT ? names[stage] : "";
}

void session_set_profile(struct session *s, struct session_profile *p)
{
    if (p) memset(p, 0, sizeof(*p));
    s->profile = p;
    pool_count_waits(s->pool, p != NULL);
    mark(s, STAGE_COUNT);
}

void profile_mark(struct session *s, enum session_stage stage)
{
    struct session_profile *p = s->profile;
    int64_t now = clock_mono_us(), waited = pool_waited_us(s->pool);

    if (stage < STAGE_COUNT) {
        p->us[stage] += now - p->last_us;
        p->waiting_us[stage] += waited - p->last_waited_us;
    }
    p->last_us = now;
    p->last_waited_us = waited;
}

/* ---- the work of a token ------------------------------------------------------------------------------------------ */

static void add_matrix(struct token_cost *c, enum session_stage stage, const struct matrix *w)
{
    c->bytes[stage] += (double)w->row_bytes * (double)w->n_out;
    c->ops[stage] += 2 * (double)w->n_in * (double)w->n_out;
}

void engine_token_cost(const struct engine *m, double positions, struct token_cost *out)
{
    const struct weights *w = &m->w;

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < w->n_layer; i++) {
        const struct layer *y = &w->layers[i];
        add_matrix(out, STAGE_QKV, &y->wq);
        add_matrix(out, STAGE_QKV, &y->wk);
        add_matrix(out, STAGE_QKV, &y->wv);
        add_matrix(out, STAGE_OUT, &y->wo);
        add_matrix(out, STAGE_GATE_UP, &y->gate);
        add_matrix(out, STAGE_GATE_UP, &y->up);
        add_matrix(out, STAGE_DOWN, &y->down);
        /* a key and a value in f16 for every position; each meets the query heads that share it */
        out->bytes[STAGE_ATTENTION] += 2 * sizeof(uint16_t) * (double)w->n_kv * positions;
        out->ops[STAGE_ATTENTION] += 2 * 2 * (double)w->n_q * positions;
    }
    /* of a prompt only the last token meets it */
    out->bytes[STAGE_VOCABULARY] = (double)w->output.row_bytes * (double)w->output.n_out;
    out->bytes[STAGE_BETWEEN] = (double)w->embed.row_bytes;
}

/* ---- the roof ------------------------------------------------------------------------------------------------------ */

#define PIECE_BYTES ((size_t)1 << 20)
#define READ_LEAST  ((size_t)256 << 20)
#define READ_MOST   ((size_t)1 << 30)
#define READ_PASSES 6
#define PEAK_PASSES 5
#define PEAK_US     8000

/* Far beyond the last cache, but no more than an eighth of the machine's memory. */
static size_t read_size(void)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t n = cache > 0 ? 4 * (size_t)cache : READ_LEAST, room = pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 8 : READ_LEAST;

    n = n < READ_LEAST ? READ_LEAST : n > READ_MOST ? READ_MOST : n;
    if (n > room) n = room;
    return n < PIECE_BYTES ? PIECE_BYTES : n / PIECE_BYTES * PIECE_BYTES;
}

static void fill_item(void *arg, int item, int worker)
{
    (void)worker;
    memset((uint8_t *)arg + (size_t)item * PIECE_BYTES, item + 1, PIECE_BYTES);
}

/* What memory gives and not what the processor's own prefetcher does with it is asked for, hence the requests ahead. */
static void read_item(void *arg, int item, int worker)
{
    typedef uint64_t lanes __attribute__((vector_size(16)));
    const uint8_t *p = (const uint8_t *)arg + (size_t)item * PIECE_BYTES;
    lanes a = {0}, b = {0}, c = {0}, d = {0};

    (void)worker;
    for (const uint8_t *end = p + PIECE_BYTES; p < end; p += 64) {
        const lanes *v = (const lanes *)(const void *)p;
        __builtin_prefetch(p + 4096, 0, 3);
        a ^= v[0];
        b ^= v[1];
        c ^= v[2];
        d ^= v[3];
    }
    a ^= b ^ c ^ d;
    __asm__ volatile("" : : "m"(a));
}

static double best_rate(struct pool *pool, pool_item item, void *arg, int n_items, double amount, int passes)
{
    double best = 0;

    for (int i = 0; i < passes; i++) {
        int64_t since = clock_mono_us();
        pool_run(pool, item, arg, n_items);
        int64_t us = clock_mono_us() - since;
        double rate = amount / (double)(us > 0 ? us : 1);
        if (rate > best) best = rate;
    }
    return best;
}

struct peak_job {
    const struct kernel_peak *peak;
    int64_t turns;
};

static void peak_item(void *arg, int item, int worker)
{
    const struct peak_job *j = arg;

    (void)item;
    (void)worker;
    j->peak->run(j->turns);
}

static void measure_peak(struct session *s, struct roof *out)
{
    struct peak_job j = {kernel_peak_of(kernels_name()), 1000};
    int n = pool_threads(s->pool);

    out->instructions = "";
    if (!j.peak) return;
    out->instructions = j.peak->instructions;
    /* turns enough that starting the threads does not count */
    for (int64_t us = 0; us < PEAK_US; j.turns *= 2) {
        int64_t since = clock_mono_us();
        j.peak->run(j.turns);
        us = clock_mono_us() - since;
    }
    out->multiply_gops = best_rate(s->pool, peak_item, &j, n, 1e-3 * j.peak->ops * (double)j.turns * n, PEAK_PASSES);
}

int session_measure_roof(struct session *s, struct roof *out, struct err *e)
{
    size_t n = read_size();

    memset(out, 0, sizeof(*out));
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return err_set(e, ERR_NOMEM, "out of memory for %zu MB to read", n >> 20);
    madvise(p, n, MADV_HUGEPAGE);
    /* pages that were never written are all one page */
    pool_run(s->pool, fill_item, p, (int)(n / PIECE_BYTES));
    out->read_gbps = best_rate(s->pool, read_item, p, (int)(n / PIECE_BYTES), 1e-3 * (double)n, READ_PASSES);
    out->read_bytes = n;
    munmap(p, n);
    measure_peak(s, out);
    return 0;
}
