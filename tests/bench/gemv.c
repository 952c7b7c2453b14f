/*
 * gemv.c - speed of the reply's products, one thread: nanoseconds for 64 weights times m = 1 to 8 columns, with weights that stay in the
 * cache and with weights that come from memory, and how many times m = 1 that is.
 *
 * usage: gemv [FAMILY [N_IN [FORMAT]]]
 */
#include "model/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    uint32_t type;
    int unit, bytes;
} types[] = {
    {TENSOR_Q4_0, 32, 18},   {TENSOR_Q4_1, 32, 20},   {TENSOR_Q5_0, 32, 22},   {TENSOR_Q5_1, 32, 24}, {TENSOR_Q8_0, 32, 34},
    {TENSOR_Q4_K, 256, 144}, {TENSOR_Q5_K, 256, 176}, {TENSOR_Q6_K, 256, 210}, {TENSOR_BF16, 1, 2},
};

enum { CACHED = 256 << 10, APART = 256 << 20, ITEM = 192 << 10, REPEATS = 12 };

struct rows {
    uint32_t type;
    const uint8_t *w;
    int64_t n_in;
    size_t row_bytes;
    struct act *a;
    float *y;
};

/* Best nanoseconds for 64 weights of `bytes` of rows at `at`, in items as the engine has them. */
static double measure(const struct rows *r, size_t at, size_t bytes)
{
    const int64_t n_rows = (int64_t)(bytes / r->row_bytes), item = (int64_t)(ITEM / r->row_bytes) / 16 * 16;
    const uint8_t *w = r->w + at;
    int64_t start = clock_mono_us();
    for (int64_t r0 = 0; r0 < n_rows; r0 += item)
        gemv_rows(r->type, w + (size_t)r0 * r->row_bytes, r->row_bytes, 0, n_rows - r0 < item ? n_rows - r0 : item, r->a, r->y, item);
    return 1e3 * (double)(clock_mono_us() - start) / ((double)n_rows * (double)r->n_in / 64);
}

int main(int argc, char **argv)
{
    const int64_t n_in = argc > 2 ? atoi(argv[2]) : 1536;
    const size_t some = 8 << 20;

    if (argc > 1 && !kernels_force(argv[1])) return 2;
    if (argc <= 1 && kernels_init(NULL)) return 2;
    float *x = calloc((size_t)n_in * KERNEL_MAX_M, sizeof *x), *y = calloc((ITEM + 1) * KERNEL_MAX_M, sizeof *y);
    uint8_t *w = malloc(APART + some);
    if (!x || !y || !w) return 1;
    for (size_t i = 0; i < APART + some; i++) w[i] = (uint8_t)(i * 7 & 0x3f);
    for (int64_t i = 0; i < n_in * KERNEL_MAX_M; i++) x[i] = (float)((i * 7919) % 2001 - 1000);
    printf("%s, rows of %d; ns for 64 weights (times m = 1)\n", kernels_name(), (int)n_in);
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        double best[KERNEL_MAX_M][2];
        struct rows r = {.type = types[t].type, .w = w, .n_in = n_in, .row_bytes = (size_t)(n_in / types[t].unit * types[t].bytes), .y = y};
        if (n_in % types[t].unit || (argc > 3 && strcmp(argv[3], tensor_type_name(r.type)) != 0)) continue;
        for (int m = 1; m <= KERNEL_MAX_M; m++) {
            double *b = best[m - 1];
            b[0] = b[1] = 1e9;
            if (act_new(&r.a, n_in, m, NULL)) return 1;
            act_prepare(r.a, x, n_in, n_in, m);
            for (int i = 0; i < REPEATS; i++) {
                for (int k = 0; k < 10; k++) {
                    double cached = measure(&r, 0, CACHED);
                    if (cached < b[0]) b[0] = cached;
                }
                double apart = measure(&r, (size_t)i * (APART / REPEATS) / 64 * 64, some);
                if (apart < b[1]) b[1] = apart;
            }
            act_free(r.a);
        }
        for (int where = 0; where < 2; where++) {
            printf("%-5s %-7s", tensor_type_name(r.type), where ? "memory" : "cache");
            for (int m = 0; m < KERNEL_MAX_M; m++) printf(" %6.2f (%.2f)", best[m][where], best[m][where] / best[0][where]);
            printf("\n");
        }
    }
    free(x);
    free(y);
    free(w);
    return 0;
}
