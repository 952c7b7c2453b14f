/* The sampler: who can be picked, how often, and that a seed says all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 500

static const struct sampler_params plain = {.temp = 1, .top_k = 0, .top_p = 1, .min_p = 0, .repeat_penalty = 1, .seed = 1};

static struct sampler *make(int n, struct sampler_params p)
{
    struct sampler *s = NULL;
    struct err e = {0};
    assert_int_equal(sampler_new(&s, n, &p, &e), 0);
    return s;
}

/* Logits of a kind that models have: most far below a few. */
static void fill(float *logits, int n, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < 6; k++) {
            x = x * 1664525u + 1013904223u;
            sum += (double)(x >> 8) / (1 << 24) - 0.5;
        }
        logits[i] = (float)(sum * 5);
    }
}

/* What the definition says: probabilities after temperature, top-k, top-p, min-p, in long double and by sorting. */
static const float *ranked;
static int by_logit(const void *a, const void *b)
{
    int p = *(const int *)a, q = *(const int *)b;
    if (ranked[p] != ranked[q]) return ranked[p] > ranked[q] ? -1 : 1;
    return p - q;
}

static void reference(const float *logits, int n, struct sampler_params p, double *prob)
{
    int *order = malloc((size_t)n * sizeof *order);
    assert_non_null(order);
    for (int i = 0; i < n; i++) order[i] = i;
    ranked = logits;
    qsort(order, (size_t)n, sizeof *order, by_logit);
    int keep = p.top_k > 0 && p.top_k < n ? p.top_k : n;
    long double sum = 0, run = 0, top = logits[order[0]];
    for (int i = 0; i < keep; i++) sum += expl((logits[order[i]] - top) / p.temp);
    int m = 0;
    while (m < keep && (m == 0 || run < p.top_p * sum)) run += expl((logits[order[m++]] - top) / p.temp);
    keep = p.top_p < 1 ? m : keep;
    while (keep > 1 && expl((logits[order[keep - 1]] - top) / p.temp) < p.min_p) keep--;
    sum = 0;
    for (int i = 0; i < keep; i++) sum += expl((logits[order[i]] - top) / p.temp);
    for (int i = 0; i < n; i++) prob[i] = 0;
    for (int i = 0; i < keep; i++) prob[order[i]] = (double)(expl((logits[order[i]] - top) / p.temp) / sum);
    free(order);
}

static void test_distribution(void **state)
{
    (void)state;
    static const struct sampler_params cases[] = {
        {1, 0, 1, 0, 1, 1},   {0.6, 0, 0.95, 0, 1, 2},   {0.7, 20, 0.8, 0, 1, 3}, {1, 1, 1, 0, 1, 4},
        {2, 0, 1, 0, 1, 5},   {0.3, 0, 1, 0.15, 1, 6},   {1.5, 40, 1, 0.1, 1, 7}, {1, 0, 0.1, 0, 1, 8},
        {1, 500, 1, 0, 1, 9}, {1, 499, 0.999, 0, 1, 10}, {0.05, 0, 1, 0, 1, 11},  {1, 0, 0, 0, 1, 12},
    };
    enum { DRAWS = 10000 };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        float logits[N];
        double prob[N];
        int seen[N] = {0};
        fill(logits, N, (unsigned)c);
        logits[17] = logits[40]; /* ties */
        logits[300] = logits[40];
        reference(logits, N, cases[c], prob);
        struct sampler *s = make(N, cases[c]);
        for (int i = 0; i < DRAWS; i++) {
            int32_t id = sampler_pick(s, logits);
            assert_in_range(id, 0, N - 1);
            seen[id]++;
        }
        double chi = 0, rest_want = 0, rest_seen = 0;
        int df = -1;
        for (int i = 0; i < N; i++) {
            double want = prob[i] * DRAWS;
            if (prob[i] == 0) assert_int_equal(seen[i], 0);
            if (want < 10) {
                rest_want += want;
                rest_seen += seen[i];
                continue;
            }
            chi += (seen[i] - want) * (seen[i] - want) / want;
            df++;
        }
        if (rest_want > 10) {
            chi += (rest_seen - rest_want) * (rest_seen - rest_want) / rest_want;
            df++;
        }
        /* 5 standard deviations: with these seeds it holds or the sampler is wrong */
        assert_true(df <= 0 || chi < df + 5 * sqrt(2.0 * df) + 5);
        sampler_free(s);
    }
}

static void test_seed_says_all(void **state)
{
    (void)state;
    /* The picks of one seed, as every machine must make them; from a second implementation in another language. */
    static const int32_t want[] = {24, 151, 328, 470, 485, 418, 325, 433, 382, 259, 317, 100, 423, 116, 335, 457};
    float logits[N], before[N];
    fill(logits, N, 3);
    memcpy(before, logits, sizeof logits);
    struct sampler_params p = plain;
    p.seed = 42;
    p.top_p = 0.95;
    p.repeat_penalty = 1.1;
    struct sampler *s = make(N, p);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        int32_t id = sampler_pick(s, logits);
        assert_int_equal(id, want[i]);
        sampler_accept(s, id);
        assert_memory_equal(logits, before, sizeof logits); /* so that a position can be asked twice */
    }
    sampler_free(s);
}

/* The n-th pick depends on the seed and n alone, not on what was done before. */
static void test_one_number_a_pick(void **state)
{
    (void)state;
    float flat[N], other[N], peak[N];
    fill(flat, N, 1);
    fill(other, N, 2);
    for (int i = 0; i < N; i++) peak[i] = i == 7 ? 0 : -INFINITY;
    struct sampler *a = make(N, plain), *b = make(N, plain);
    for (int i = 0; i < 50; i++) {
        sampler_pick(a, i % 2 ? flat : other);
        assert_int_equal(sampler_pick(b, peak), 7);
    }
    for (int i = 0; i < 50; i++) assert_int_equal(sampler_pick(a, flat), sampler_pick(b, flat));
    sampler_free(a);
    sampler_free(b);
    struct sampler_params two = plain;
    two.seed = 2;
    a = make(N, plain);
    b = make(N, two);
    int same = 0;
    for (int i = 0; i < 100; i++) same += sampler_pick(a, flat) == sampler_pick(b, flat);
    assert_true(same < 50);
    sampler_free(a);
    sampler_free(b);
}

static void test_greedy(void **state)
{
    (void)state;
    struct sampler_params p = plain;
    p.temp = 0;
    for (int n = 1; n < 70; n++) {
        float logits[70];
        struct sampler *s = make(n, p);
        for (int best = 0; best < n; best++) {
            for (int i = 0; i < n; i++) logits[i] = i == best || i == n - 1 ? 1.5f : -1;
            assert_int_equal(sampler_pick(s, logits), best);
        }
        sampler_free(s);
    }
}

static void test_odd_logits(void **state)
{
    (void)state;
    static const double temps[] = {0, 1e-9, 0.5, 1, 1000};
    for (size_t k = 0; k < ARRAY_LEN(temps); k++) {
        struct sampler_params p = plain;
        p.temp = temps[k];
        struct sampler *s = make(N, p);
        float logits[N];
        for (int i = 0; i < 200; i++) {
            for (int j = 0; j < N; j++) logits[j] = j % 3 ? -INFINITY : NAN;
            logits[(i * 37) % N] = -1e30f;
            assert_int_equal(sampler_pick(s, logits), (i * 37) % N);
            logits[(i * 53 + 1) % N] = INFINITY;
            assert_int_equal(sampler_pick(s, logits), (i * 53 + 1) % N);
        }
        for (int j = 0; j < N; j++) logits[j] = -INFINITY;
        assert_in_range(sampler_pick(s, logits), 0, N - 1);
        for (int j = 0; j < N; j++) logits[j] = NAN;
        assert_in_range(sampler_pick(s, logits), 0, N - 1);
        for (int j = 0; j < N; j++) logits[j] = j & 1 ? 3e38f : -3e38f;
        assert_int_equal(sampler_pick(s, logits) & 1, 1);
        sampler_free(s);
    }
}

static void test_repeat_penalty(void **state)
{
    (void)state;
    struct sampler_params p = plain;
    p.temp = 0;
    p.repeat_penalty = 2;
    struct sampler *s = make(4, p);
    float logits[] = {1, 1.9f, -1, -1.5f};
    assert_int_equal(sampler_pick(s, logits), 1);
    sampler_accept(s, 1);
    sampler_accept(s, 1);  /* twice said is punished once */
    sampler_accept(s, 77); /* out of range: ignored */
    assert_int_equal(sampler_pick(s, logits), 0);
    sampler_accept(s, 0);
    assert_int_equal(sampler_pick(s, logits), 1);
    float below[] = {-5, -5, -1, -1.5f};
    sampler_accept(s, 2);
    assert_int_equal(sampler_pick(s, below), 3); /* -1 becomes -2 */
    for (int i = 0; i < 64; i++) sampler_accept(s, 3);
    assert_int_equal(sampler_pick(s, logits), 1); /* forgotten after 64 tokens */
    sampler_free(s);
}

static void test_bad_parameters(void **state)
{
    (void)state;
    struct sampler_params bad[] = {plain, plain, plain, plain, plain, plain, plain};
    bad[0].temp = -1;
    bad[1].temp = NAN;
    bad[2].top_p = 1.5;
    bad[3].min_p = -0.1;
    bad[4].repeat_penalty = NAN;
    bad[5].top_p = NAN;
    bad[6].temp = INFINITY;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sampler *s = (struct sampler *)bad;
        struct err e = {0};
        assert_int_equal(sampler_new(&s, 10, &bad[i], &e), ERR_INVALID);
        assert_null(s);
        assert_true(e.text[0] != 0);
    }
    struct sampler *s;
    assert_int_equal(sampler_new(&s, 0, &plain, NULL), ERR_INVALID);
    sampler_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distribution),   cmocka_unit_test(test_seed_says_all), cmocka_unit_test(test_one_number_a_pick),
        cmocka_unit_test(test_greedy),         cmocka_unit_test(test_odd_logits),    cmocka_unit_test(test_repeat_penalty),
        cmocka_unit_test(test_bad_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
