/*
 * gemm.c - speed of the prompt's products, one thread: billions of multiplications and additions (each counted) a second.
 *
 * usage: gemm [FAMILY [M [N_IN]]]
 */
#include "model/gemm.h"
#include "model/kernels.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    uint32_t type;
    const char *name;
    int unit, bytes;
} types[] = {
    {TENSOR_Q4_0, "Q4_0", 32, 18}, {TENSOR_Q4_1, "Q4_1", 32, 20},   {TENSOR_Q5_0, "Q5_0", 32, 22},   {TENSOR_Q5_1, "Q5_1", 32, 24},
    {TENSOR_Q8_0, "Q8_0", 32, 34}, {TENSOR_Q4_K, "Q4_K", 256, 144}, {TENSOR_Q5_K, "Q5_K", 256, 176}, {TENSOR_Q6_K, "Q6_K", 256, 210},
};

int main(int argc, char **argv)
{
    int m = argc > 2 ? atoi(argv[2]) : 512, n_in = argc > 3 ? atoi(argv[3]) : 1536, n_out = 512;
    struct gemm_input *g;

    if (argc > 1 && !kernels_force(argv[1])) return 2;
    if (argc <= 1 && kernels_init(NULL)) return 2;
    if (gemm_input_new(&g, m, n_in, NULL)) return 1;
    float *x = calloc((size_t)n_in, sizeof *x), *y = calloc((size_t)m * (size_t)n_out, sizeof *y);
    uint8_t *w = calloc((size_t)n_out * (size_t)n_in, 2);
    void *scratch = aligned_alloc(64, gemm_scratch_bytes());
    if (!x || !y || !w || !scratch) return 1;
    printf("%s, %d rows of %d\n", kernels_name(), m, n_in);
    for (int i = 0; i < n_in; i++) x[i] = (float)((i * 7919) % 2001 - 1000);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        int64_t best = INT64_MAX, best_input = INT64_MAX;
        if (!gemm_supports(types[t].type, n_in)) continue;
        for (int repeat = 0; repeat < 40; repeat++) {
            int64_t start = clock_mono_us();
            gemm_input_begin(g, n_in, gemm_wants_mid(types[t].type));
            gemm_input_put(g, 0, m, 0, n_in, x, 0);
            int64_t middle = clock_mono_us();
            gemm_rows(g, 0, m, types[t].type, w, (size_t)(n_in / types[t].unit * types[t].bytes), 0, n_out, y, n_out, scratch);
            int64_t end = clock_mono_us();
            if (end - middle < best) best = end - middle;
            if (middle - start < best_input) best_input = middle - start;
        }
        printf("%s %7.1f GOPS, inputs %.2f ns an element\n", types[t].name, 2e-3 * m * n_in * n_out / (double)best,
               1e3 * (double)best_input / ((double)m * n_in));
    }
    gemm_input_free(g);
    free(x);
    free(y);
    free(w);
    free(scratch);
    return 0;
}
