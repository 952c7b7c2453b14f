/*
 * model_kernels.c - row products and attention of every family against sums in double, and the promises of kernels.h: results depend
 * neither on the row range, nor on the number of columns, nor on addresses, and nothing is read outside the operands.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const families[] = {"scalar", "avx2", "avx512", "amx"};

static const struct {
    uint32_t type;
    int block, bytes;      /* elements and bytes of a block */
    int scale_at, min_at;  /* where its f16 stand; -1: none */
} formats[] = {
    {TENSOR_Q4_0, 32, 18, 0, -1},   {TENSOR_Q4_1, 32, 20, 0, 2},    {TENSOR_Q5_0, 32, 22, 0, -1},   {TENSOR_Q5_1, 32, 24, 0, 2},
    {TENSOR_Q8_0, 32, 34, 0, -1},   {TENSOR_Q4_K, 256, 144, 0, 2},  {TENSOR_Q5_K, 256, 176, 0, 2},  {TENSOR_Q6_K, 256, 210, 208, -1},
    {TENSOR_Q2_K, 256, 84, 80, 82}, {TENSOR_Q3_K, 256, 110, 108, -1}, {TENSOR_IQ4_NL, 32, 18, 0, -1}, {TENSOR_IQ4_XS, 256, 136, 0, -1},
    {TENSOR_MXFP4, 32, 17, -1, -1},
    {TENSOR_F32, 1, 4, -1, -1},     {TENSOR_F16, 1, 2, -1, -1},     {TENSOR_BF16, 1, 2, -1, -1},
};
static const int n_formats = (int)ARRAY_LEN(formats), n_quantised = 13;

static uint64_t state = 1;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

/* About normal, of variance 1/2. */
static float random_value(void)
{
    double sum = -3;
    for (int i = 0; i < 6; i++) sum += next_random() * 0x1p-32;
    return (float)sum;
}

static bool use_family(const char *name)
{
    if (kernels_force(name)) return true;
    print_message("[  SKIP  ] %s: not on this CPU\n", name);
    return false;
}

static void *must_alloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

static void put_half(uint8_t *p, float v)
{
    uint16_t h;
    f32_to_f16_row(&v, &h, 1);
    memcpy(p, &h, 2);
}

/* Random blocks with scales as models have them. */
static void fill_rows(int f, uint8_t *w, int64_t rows, int64_t n)
{
    int64_t blocks = rows * n / formats[f].block;
    for (int64_t i = 0; i < blocks; i++, w += formats[f].bytes) {
        for (int j = 0; j < formats[f].bytes; j++) w[j] = (uint8_t)(next_random() >> 24);
        if (formats[f].scale_at >= 0)
            put_half(w + formats[f].scale_at, 0.002f * (float)(1 + next_random() % 16) * (next_random() % 4 ? 1 : -1));
        if (formats[f].min_at >= 0) put_half(w + formats[f].min_at, 0.01f * random_value());
        if (formats[f].type == TENSOR_MXFP4) w[0] = (uint8_t)(116 + next_random() % 8);
        if (formats[f].type == TENSOR_F16) put_half(w, random_value());
        if (formats[f].type == TENSOR_F32 || formats[f].type == TENSOR_BF16) {
            float v = random_value();
            if (formats[f].type == TENSOR_F32) memcpy(w, &v, 4);
            else memcpy(w, (const char *)&v + 2, 2);
        }
    }
}

struct product {
    int f, m;
    int64_t rows, n;
    size_t row_bytes;
    uint8_t *w;
    float *x, *y;    /* [m][n], [m][rows] */
};

static void product_init(struct product *p, int f, int64_t rows, int64_t n, int m)
{
    *p = (struct product){.f = f, .m = m, .rows = rows, .n = n, .row_bytes = (size_t)(n / formats[f].block * formats[f].bytes)};
    p->w = must_alloc(p->row_bytes * (size_t)rows);    /* no byte more, so that a sanitiser sees reads behind the last row */
    p->x = must_alloc((size_t)(n * m) * sizeof(float));
    p->y = must_alloc((size_t)(rows * m) * sizeof(float));
    fill_rows(f, p->w, rows, n);
    for (int64_t i = 0; i < n * m; i++) p->x[i] = random_value();
}

static void product_release(struct product *p)
{
    free(p->w);
    free(p->x);
    free(p->y);
}

/* y of rows [r0, r1) for m columns from c0 on, into y with all rows' stride. */
static void product_run(const struct product *p, int c0, int m, int64_t r0, int64_t r1, float *y)
{
    struct act *a;
    assert_int_equal(act_new(&a, p->n, m, NULL), ERR_OK);
    act_prepare(a, p->x + c0 * p->n, p->n, p->n, m);
    gemv_rows(formats[p->f].type, p->w, p->row_bytes, r0, r1, a, y, p->rows);
    act_free(a);
}

/* Compares y with sums in double over the expanded rows. Each activation may be off by half a step of its block's scale, each sum by
 * float rounding of terms as large as the row's largest weight. */
static void product_check(const struct product *p, const float *y)
{
    float *row = must_alloc((size_t)p->n * sizeof *row);
    const bool quantised = p->f < n_quantised;
    for (int64_t r = 0; r < p->rows; r++) {
        dequant_row(formats[p->f].type, p->w + (size_t)r * p->row_bytes, row, p->n);
        double top = 0;
        for (int64_t i = 0; i < p->n; i++) top = fmax(top, fabs((double)row[i]));
        for (int c = 0; c < p->m; c++) {
            const float *x = p->x + c * p->n;
            double want = 0, bound = 0, size = 0, amax = 0;
            for (int64_t i = 0; i < p->n; i++) {
                if (quantised && i % 32 == 0) {
                    amax = 0;
                    for (int64_t j = i; j < i + 32; j++) amax = fmax(amax, fabs((double)x[j]));
                }
                want += (double)row[i] * (double)x[i];
                size += top * fabs((double)x[i]);
                if (quantised) bound += fabs((double)row[i]) * 0.502 * amax / 32639;
            }
            bound += 1e-6 * size + 1e-30;
            double off = fabs((double)y[c * p->rows + r] - want);
            if (!(off <= bound))
                fail_msg("%s %s n=%d row %d column %d of %d: %.9g, not %.9g (off by %.3g, allowed %.3g)", kernels_name(),
                         tensor_type_name(formats[p->f].type), (int)p->n, (int)r, c, p->m, (double)y[c * p->rows + r], want, off, bound);
        }
    }
    free(row);
}

static const int64_t lengths_32[] = {32, 64, 96, 128, 160, 416, 512, 544, 576, 608, 640, 1536, 1632};
static const int64_t lengths_256[] = {256, 512, 768, 2304};
static const int64_t lengths_1[] = {1, 7, 8, 15, 16, 17, 100, 576};

static size_t lengths_of(int f, const int64_t **lengths)
{
    *lengths = formats[f].block == 32 ? lengths_32 : formats[f].block == 256 ? lengths_256 : lengths_1;
    return formats[f].block == 32 ? ARRAY_LEN(lengths_32) : formats[f].block == 256 ? ARRAY_LEN(lengths_256) : ARRAY_LEN(lengths_1);
}

/* By the kernel's list, as choosing a family is possible once only. */
static bool cpu_has(const char *flag)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t cap = 0;
    bool has = false;
    while (f && !has && getline(&line, &cap, f) > 0) has = strstr(line, flag) != NULL;
    free(line);
    if (f) fclose(f);
    return has;
}

static void test_choice_of_family(void **context)
{
    (void)context;
    struct err e;
    assert_string_equal(kernels_name(), "scalar");    /* before anything was chosen */
    setenv("PONDER_KERNELS", "fastest", 1);
    assert_int_equal(kernels_init(&e), ERR_USAGE);
    assert_non_null(strstr(e.text, "fastest"));
    if (!cpu_has("amx_int8")) {
        setenv("PONDER_KERNELS", "amx", 1);
        assert_int_equal(kernels_init(&e), ERR_UNSUPPORTED);
    }
    setenv("PONDER_KERNELS", "scalar", 1);
    assert_int_equal(kernels_init(&e), ERR_OK);
    assert_string_equal(kernels_name(), "scalar");
    unsetenv("PONDER_KERNELS");
    assert_int_equal(kernels_init(&e), ERR_OK);       /* chosen once */
    assert_string_equal(kernels_name(), "scalar");
    assert_false(kernels_force("none"));
}

static void test_products_are_right(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++) {
            const int64_t *lengths;
            size_t n_lengths = lengths_of(f, &lengths);
            for (size_t l = 0; l < n_lengths; l++)
                for (int m = 1; m <= KERNEL_MAX_M; m += l % 2 ? 3 : 1) {
                    struct product p;
                    product_init(&p, f, 5, lengths[l], m);
                    product_run(&p, 0, m, 0, p.rows, p.y);
                    product_check(&p, p.y);
                    product_release(&p);
                }
        }
    }
}

static void test_columns_do_not_matter(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++)
            for (int m = 2; m <= KERNEL_MAX_M; m++) {
                struct product p;
                float one[11];
                const int64_t *lengths;
                size_t n_lengths = lengths_of(f, &lengths);
                for (size_t l = 0; l < n_lengths; l++) {
                    product_init(&p, f, 11, lengths[l], m);
                    product_run(&p, 0, m, 0, p.rows, p.y);
                    for (int c = 0; c < m; c++) {
                        product_run(&p, c, 1, 0, p.rows, one);
                        assert_memory_equal(one, p.y + c * p.rows, sizeof one);
                    }
                    product_release(&p);
                }
            }
    }
}

static void test_row_ranges_do_not_matter(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++)
            for (int m = 1; m <= KERNEL_MAX_M; m += m < 4 ? 1 : 4) {
                enum { ROWS = 23 };
                struct product p;
                const int64_t *lengths;
                size_t n_lengths = lengths_of(f, &lengths);
                float *y = must_alloc((size_t)(ROWS * m) * sizeof *y);
                product_init(&p, f, ROWS, lengths[n_lengths - 1], m);
                product_run(&p, 0, m, 0, ROWS, p.y);
                for (int64_t r = 0; r < ROWS;) {
                    int64_t end = r + next_random() % 6;    /* also empty ranges */
                    if (end > ROWS) end = ROWS;
                    product_run(&p, 0, m, r, end, y);
                    r = end;
                }
                assert_memory_equal(y, p.y, (size_t)(ROWS * m) * sizeof *y);
                free(y);
                product_release(&p);
            }
    }
}

/* The rows at each offset from a page's start, and so that they end where a page ends that cannot be read. */
static void test_addresses_do_not_matter(void **context)
{
    (void)context;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 16 * page;
    uint8_t *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++) {
            const int64_t *lengths;
            size_t n_lengths = lengths_of(f, &lengths);
            for (size_t l = 0; l < n_lengths; l++) {
                struct product p;
                float y[5 * 3];
                product_init(&p, f, 5, lengths[l], 3);
                product_run(&p, 0, 3, 0, p.rows, p.y);
                size_t bytes = p.row_bytes * (size_t)p.rows;
                uint8_t *w = p.w;
                for (size_t at = 0; at < 5; at++) {
                    p.w = at == 4 ? map + room - bytes : map + at * 3;
                    memcpy(p.w, w, bytes);
                    product_run(&p, 0, 3, 0, p.rows, y);
                    assert_memory_equal(y, p.y, sizeof y);
                    product_run(&p, 0, 1, 0, p.rows, y);
                    assert_memory_equal(y, p.y, 5 * sizeof *y);
                }
                float expanded[2304];
                dequant_row(formats[f].type, p.w + 4 * p.row_bytes, expanded, p.n);    /* must not run into the page either */
                p.w = w;
                product_release(&p);
            }
        }
    }
    munmap(map, room + page);
}

/* With scales of 1 and whole activations every step is exact: all families give the integer. */
static void test_integers_are_exact(void **context)
{
    (void)context;
    enum { N = 544 };
    static uint8_t w[3 * N / 32 * 34];
    float x[N], y[3];
    int64_t want[3] = {0, 0, 0};
    for (int i = 0; i < N; i++) x[i] = (float)(i % 32 == 5 ? 32639 : (int)(next_random() % 400) - 200);
    for (int r = 0; r < 3; r++)
        for (int b = 0; b < N / 32; b++) {
            uint8_t *p = w + (r * N / 32 + b) * 34;
            put_half(p, 1);
            for (int i = 0; i < 32; i++) {
                int q = (int)(next_random() % 256) - 128;
                if (i == 5) q = r == 0 ? b / 2 % 2 ? -128 : 127 : q % 8;    /* signs change, so that no partial sum leaves 24 bits */
                p[2 + i] = (uint8_t)q;
                want[r] += (int64_t)q * (int64_t)x[32 * b + i];
            }
        }
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        struct act *a;
        if (!use_family(families[k])) continue;
        assert_int_equal(act_new(&a, N, 1, NULL), ERR_OK);
        act_prepare(a, x, N, N, 1);
        gemv_rows(TENSOR_Q8_0, w, N / 32 * 34, 0, 3, a, y, 3);
        for (int r = 0; r < 3; r++) {
            assert_true(llabs(want[r]) < 1 << 24);
            assert_true((int64_t)y[r] == want[r]);
        }
        act_free(a);
    }
}

/* The same for formats whose weights are fewer bits: d = 1 and scales of 1, no minimums. K-quants have a pair of blocks and an odd one. */
static void make_whole(int f, uint8_t *block)
{
    static const uint8_t ones_k[12] = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1};
    put_half(block + formats[f].scale_at, 1);
    if (formats[f].min_at >= 0) put_half(block + formats[f].min_at, 0);
    if (formats[f].type == TENSOR_Q4_K || formats[f].type == TENSOR_Q5_K) memcpy(block + 4, ones_k, sizeof ones_k);
    if (formats[f].type == TENSOR_Q6_K) memset(block + 192, 1, 16);
}

static void test_integers_of_all_formats(void **context)
{
    (void)context;
    enum { N = 768, MOST_EXACT = 8 };    /* Q4_0 to Q6_K */
    float x[N], row[N], y[KERNEL_MAX_M];
    for (int i = 0; i < N; i++) x[i] = (float)(i % 32 == 5 ? (i / 32 % 2 ? -32639 : 32639) : (int)(next_random() % 400) - 200);
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < MOST_EXACT; f++) {
            struct product p;
            double want = 0;
            if (formats[f].type == TENSOR_Q8_0) continue;
            product_init(&p, f, 1, N, KERNEL_MAX_M);
            for (int64_t b = 0; b < N / formats[f].block; b++) make_whole(f, p.w + b * formats[f].bytes);
            for (int c = 0; c < KERNEL_MAX_M; c++) memcpy(p.x + c * N, x, sizeof x);
            dequant_row(formats[f].type, p.w, row, N);
            for (int i = 0; i < N; i++) want += (double)row[i] * (double)x[i];
            assert_true(fabs(want) < 1 << 24);
            for (int m = 1; m <= KERNEL_MAX_M; m += KERNEL_MAX_M - 1) {
                product_run(&p, 0, m, 0, 1, y);
                for (int c = 0; c < m; c++)
                    if ((double)y[c] != want) fail_msg("%s %s: %.9g, not %.9g", families[k], tensor_type_name(formats[f].type), (double)y[c], want);
            }
            product_release(&p);
        }
    }
}

/* The largest weights and the largest activations, all of one sign or two: no integer sum leaves its 32 or 16 bits. */
static void test_largest_sums(void **context)
{
    (void)context;
    static const uint8_t fills[] = {0xff, 0x7f, 0x80, 0x00};
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_quantised; f++)
            for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
                struct product p;
                product_init(&p, f, 3, 768, 3);
                memset(p.w, fills[i], p.row_bytes * 3);
                for (int64_t b = 0; b < 3 * p.n / formats[f].block; b++) {
                    uint8_t *w = p.w + b * formats[f].bytes;
                    if (formats[f].scale_at >= 0) put_half(w + formats[f].scale_at, 0.01f);
                    if (formats[f].min_at >= 0) put_half(w + formats[f].min_at, -0.03f);
                    if (formats[f].type == TENSOR_MXFP4) w[0] = 120;
                }
                for (int64_t j = 0; j < p.n; j++) {
                    p.x[j] = 3;
                    p.x[p.n + j] = -3;
                    p.x[2 * p.n + j] = j / 4 % 2 ? 3 : -3;
                }
                product_run(&p, 0, 3, 0, 3, p.y);
                product_check(&p, p.y);
                product_release(&p);
            }
    }
}

/* A column left over from a longer one changes nothing. */
static void test_reused_activations(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++) {
            struct product p;
            struct act *a;
            float y[6], long_x[2 * 2048];
            product_init(&p, f, 3, formats[f].block == 256 ? 768 : 608, 2);
            product_run(&p, 0, 2, 0, 3, p.y);
            for (size_t i = 0; i < ARRAY_LEN(long_x); i++) long_x[i] = NAN;
            assert_int_equal(act_new(&a, 2048, KERNEL_MAX_M, NULL), ERR_OK);
            act_prepare(a, long_x, 2048, 2048, 2);
            act_prepare(a, p.x, p.n, p.n, 2);
            gemv_rows(formats[f].type, p.w, p.row_bytes, 0, 3, a, y, 3);
            assert_memory_equal(y, p.y, sizeof y);
            act_free(a);
            product_release(&p);
        }
    }
}

/* inf and NaN in one column make that column NaN or inf and leave the other alone; zeros give zeros; weights of any bits do not crash. */
static void test_numeric_traps(void **context)
{
    (void)context;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int f = 0; f < n_formats; f++) {
            struct product p;
            float y[10];
            product_init(&p, f, 5, 768, 2);
            product_run(&p, 0, 2, 0, 5, p.y);
            for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
                p.x[300] = bad[b];
                product_run(&p, 0, 2, 0, 5, y);
                for (int r = 0; r < 5; r++) assert_false(isfinite(y[r]));
                assert_memory_equal(y + 5, p.y + 5, 5 * sizeof *y);
            }
            for (int64_t i = 0; i < p.n; i++) p.x[i] = i < 400 ? 0 : 1e-38f;    /* nothing, and next to nothing */
            product_run(&p, 0, 1, 0, 5, y);
            for (int r = 0; r < 5; r++) assert_true(fabsf(y[r]) < 1e-30f);
            for (int64_t i = 0; i < p.n; i++) p.x[i] = 3e38f;
            product_run(&p, 0, 1, 0, 5, y);
            for (size_t i = 0; i < p.row_bytes * 5; i++) p.w[i] = (uint8_t)(next_random() >> 24);
            product_run(&p, 0, 2, 0, 5, y);
            memset(p.w, 0, p.row_bytes * 5);
            for (int64_t i = 0; i < p.n; i++) p.x[i] = random_value();
            product_run(&p, 0, 1, 0, 5, y);
            for (int r = 0; r < 5; r++) assert_true(y[r] == 0);
            product_release(&p);
        }
    }
}

static void test_impossible_activations(void **context)
{
    (void)context;
    struct act *a;
    float x[64] = {1}, y[1] = {7};
    uint8_t w[68] = {0};
    assert_int_equal(act_new(&a, 0, 1, NULL), ERR_INVALID);
    assert_int_equal(act_new(&a, 32, KERNEL_MAX_M + 1, NULL), ERR_INVALID);
    assert_null(a);
    act_free(a);
    assert_int_equal(act_new(&a, 32, 1, NULL), ERR_OK);
    act_prepare(a, x, 64, 64, 1);    /* longer than it may be: nothing is prepared, nothing computed */
    gemv_rows(TENSOR_Q8_0, w, 68, 0, 1, a, y, 1);
    assert_true(y[0] == 7);
    act_free(a);
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

struct heads {
    int group, dim;
    int64_t stride, positions;
    float scale, *q, *out;
    uint16_t *k, *v;
};

static float half_to_float(uint16_t h)
{
    float f;
    f16_to_f32_row(&h, &f, 1);
    return f;
}

static void heads_init(struct heads *h, int group, int dim, int64_t positions)
{
    *h = (struct heads){.group = group, .dim = dim, .stride = 2 * dim + 8, .positions = positions, .scale = 1 / sqrtf((float)dim)};
    size_t cached = (size_t)(positions * h->stride);
    h->q = must_alloc((size_t)(group * dim) * sizeof(float));
    h->out = must_alloc((size_t)(group * dim) * sizeof(float));
    h->k = must_alloc(cached * 2);
    h->v = must_alloc(cached * 2);
    for (int i = 0; i < group * dim; i++) h->q[i] = 3 * random_value();
    for (size_t i = 0; i < cached; i++) h->k[i] = h->v[i] = 0x7e00;    /* NaN wherever nothing should be read */
    for (int64_t p = 0; p < positions; p++)
        for (int i = 0; i < dim; i++) {
            put_half((uint8_t *)(h->k + p * h->stride + i), 2 * random_value());
            put_half((uint8_t *)(h->v + p * h->stride + i), random_value());
        }
}

static void heads_release(struct heads *h)
{
    free(h->q);
    free(h->out);
    free(h->k);
    free(h->v);
}

/* Positions [p0, p1) in parts of `step` positions. */
static void heads_run(const struct heads *h, int64_t p0, int64_t p1, int64_t step, float *out)
{
    struct attend_part parts[64];
    int n = 0;
    for (int64_t p = p0; p < p1 || n == 0; p += step, n++) {
        assert_true(n < 64);
        parts[n].acc = must_alloc((size_t)(h->group * h->dim) * sizeof(float));
        parts[n].max = must_alloc((size_t)h->group * sizeof(float));
        parts[n].sum = must_alloc((size_t)h->group * sizeof(float));
        attend(h->q, h->group, h->dim, h->scale, h->k, h->v, h->stride, p, p1 - p < step ? p1 : p + step, &parts[n]);
    }
    attend_merge(parts, n, h->group, h->dim, out);
    for (int i = 0; i < n; i++) {
        free(parts[i].acc);
        free(parts[i].max);
        free(parts[i].sum);
    }
}

static void heads_check(const struct heads *h, int64_t p0, int64_t p1, const float *out)
{
    double *score = must_alloc((size_t)(p1 - p0) * sizeof *score);
    for (int g = 0; g < h->group; g++) {
        double top = -INFINITY, sum = 0;
        for (int64_t p = p0; p < p1; p++) {
            double s = 0;
            for (int i = 0; i < h->dim; i++) s += (double)h->q[g * h->dim + i] * (double)half_to_float(h->k[p * h->stride + i]);
            score[p - p0] = s * (double)h->scale;
            top = fmax(top, score[p - p0]);
        }
        for (int64_t p = p0; p < p1; p++) sum += score[p - p0] = exp(score[p - p0] - top);
        for (int i = 0; i < h->dim; i++) {
            double want = 0;
            for (int64_t p = p0; p < p1; p++) want += score[p - p0] * (double)half_to_float(h->v[p * h->stride + i]);
            double got = (double)out[g * h->dim + i];
            if (!(fabs(got - want / sum) <= 4e-6))
                fail_msg("%s, %d heads of %d, positions %d to %d, head %d element %d: %.9g, not %.9g", kernels_name(), h->group, h->dim,
                         (int)p0, (int)p1, g, i, got, want / sum);
        }
    }
    free(score);
}

static void test_attention_is_right(void **context)
{
    (void)context;
    static const int dims[] = {64, 80, 96, 128, 40, 20};
    static const int64_t ends[] = {1, 2, 5, 127, 128, 129, 300};
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int group = 1; group <= 8; group++)
            for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
                struct heads h;
                int64_t end = ends[(size_t)group * 3 % ARRAY_LEN(ends)];
                if (d == 0 || group == 3) end = 300;
                heads_init(&h, group, dims[d], end);
                heads_run(&h, 0, end, end, h.out);
                heads_check(&h, 0, end, h.out);
                heads_run(&h, 0, end, ATTEND_TILE, h.out);
                heads_check(&h, 0, end, h.out);
                if (end > 130) {
                    heads_run(&h, 3, end - 2, 2 * ATTEND_TILE, h.out);
                    heads_check(&h, 3, end - 2, h.out);
                }
                heads_release(&h);
            }
    }
}

static void test_heads_do_not_matter(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (int group = 2; group <= 13; group += group < 8 ? 1 : 5) {
            struct heads h, one;
            float out[96];
            heads_init(&h, group, 96, 200);
            heads_run(&h, 0, 200, ATTEND_TILE, h.out);
            for (int g = 0; g < group; g++) {
                one = h;
                one.group = 1;
                one.q = h.q + g * 96;
                heads_run(&one, 0, 200, ATTEND_TILE, out);
                assert_memory_equal(out, h.out + g * 96, sizeof out);
            }
            heads_release(&h);
        }
    }
}

static void test_attention_traps(void **context)
{
    (void)context;
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        struct heads h;
        heads_init(&h, 3, 64, 300);
        heads_run(&h, 5, 5, 100, h.out);    /* no positions */
        for (int i = 0; i < 3 * 64; i++) assert_true(h.out[i] == 0);
        for (int i = 0; i < 3 * 64; i++) h.q[i] *= 1e4f;    /* one position takes all */
        heads_run(&h, 0, 300, ATTEND_TILE, h.out);
        for (int i = 0; i < 3 * 64; i++) assert_true(isfinite(h.out[i]));
        for (int i = 0; i < 3 * 64; i++) h.q[i] = -INFINITY;
        heads_run(&h, 0, 300, ATTEND_TILE, h.out);
        for (int i = 0; i < 3 * 64; i++) h.q[i] = i < 64 ? NAN : 1;    /* a NaN is seen, and stays in its head */
        heads_run(&h, 0, 300, ATTEND_TILE, h.out);
        for (int i = 0; i < 64; i++) assert_true(isnan(h.out[i]));
        for (int i = 64; i < 3 * 64; i++) assert_true(isfinite(h.out[i]));
        heads_release(&h);
    }
}

/* ---- vectors ------------------------------------------------------------------------------------------------ */

/* Q8_0 widened to f16 is what f32 of it rounds to, in every family. */
static void test_q8_0_to_f16(void **unused)
{
    enum { N = 5 * 32 };
    uint8_t row[N / 32 * 34];
    float wide[N];
    uint16_t want[N], got[N];
    (void)unused;
    for (size_t i = 0; i < sizeof row; i++) row[i] = (uint8_t)next_random();
    for (int b = 0; b < N / 32; b++) memcpy(row + b * 34, (const uint16_t[]){0x2c11, 0xb7ff, 0x0003, 0x7bff, 0x3c00} + b, 2);
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        dequant_row(TENSOR_Q8_0, row, wide, N);
        f32_to_f16_row(wide, want, N);
        q8_0_to_f16_row(row, got, N);
        /* the sign of a zero may differ: it is nothing to a sum */
        for (int i = 0; i < N; i++)
            if ((got[i] | want[i]) & 0x7fff) assert_int_equal(got[i], want[i]);
    }
}

/* ---- panels ------------------------------------------------------------------------------------------------------- */

/* c = keep * c + a . b against sums in double, for shapes that leave rows and columns over; the left operand by rows and by columns. */
static void check_panel_product(const char *family, int rows, int k, int columns, bool turned, bool keeps)
{
    enum { MOST = 130 * PANEL_COLUMNS };
    static float a[130 * 130], b[MOST], c[MOST];
    static double want[MOST];
    float keep[PANEL_COLUMNS];
    const int64_t a_row = turned ? 1 : k, a_step = turned ? rows : 1;

    for (int i = 0; i < rows * k; i++) a[i] = random_value();
    for (int i = 0; i < k * columns; i++) b[i] = random_value();
    for (int i = 0; i < columns; i++) keep[i] = random_value();
    for (int i = 0; i < rows * columns; i++) {
        c[i] = random_value();
        want[i] = keeps ? (double)c[i] * (double)keep[i % columns] : 0;
        for (int j = 0; j < k; j++) want[i] += (double)a[i / columns * a_row + j * a_step] * (double)b[j * columns + i % columns];
    }
    panel_product(a, a_row, a_step, rows, k, b, c, columns, keeps ? keep : NULL);
    for (int i = 0; i < rows * columns; i++)
        if (!(fabs((double)c[i] - want[i]) < 1e-4)) fail_msg("%s, %d x %d x %d: place %d has %g, not %g", family, rows, k, columns, i, (double)c[i], want[i]);
}

static void test_panel_product(void **unused)
{
    static const int rows[] = {1, 2, 5, 6, 7, 13, 128}, ks[] = {1, 8, 64, 130};
    (void)unused;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        for (size_t r = 0; r < ARRAY_LEN(rows); r++)
            for (size_t j = 0; j < ARRAY_LEN(ks); j++)
                for (int columns = 16; columns <= PANEL_COLUMNS; columns += 16)
                    for (int way = 0; way < 4; way++) check_panel_product(families[f], rows[r], ks[j], columns, way & 1, way & 2);
    }
}

/* Two tiles of scores, one after the other, are the softmax over both; hidden scores weigh nothing, also where a column has no other. */
static void test_panel_soften(void **unused)
{
    enum { N = 37, COLUMNS = 48 };
    static float scores[2][N * COLUMNS], given[2][N * COLUMNS];
    (void)unused;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        float max[COLUMNS], sum[COLUMNS], keep[2][COLUMNS];
        if (!use_family(families[f])) continue;
        for (int c = 0; c < COLUMNS; c++) {
            max[c] = -INFINITY;
            sum[c] = 0;
        }
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i < N * COLUMNS; i++) {
                int c = i % COLUMNS;
                bool hidden = c == 5 || (c == 6 && t == 0) || (c > 20 && i / COLUMNS % 3 == 0);
                given[t][i] = scores[t][i] = hidden ? -INFINITY : 40 * random_value();
            }
            panel_soften(scores[t], N, COLUMNS, max, sum, keep[t]);
        }
        for (int c = 0; c < COLUMNS; c++) {
            double top = -INFINITY, total = 0;
            for (int t = 0; t < 2; t++)
                for (int i = 0; i < N; i++) top = fmax(top, (double)given[t][i * COLUMNS + c]);
            for (int t = 0; t < 2; t++)
                for (int i = 0; i < N && top > -INFINITY; i++) total += exp((double)given[t][i * COLUMNS + c] - top);
            assert_true((double)max[c] == top);
            assert_true(fabs((double)sum[c] - total) <= 1e-5 * total);
            for (int t = 0; t < 2; t++)
                for (int i = 0; i < N; i++) {
                    double weight = (double)scores[t][i * COLUMNS + c] * (t == 0 ? (double)keep[1][c] : 1), score = (double)given[t][i * COLUMNS + c];
                    double want = score > -INFINITY ? exp(score - top) : 0;
                    if (score == -INFINITY) assert_true(scores[t][i * COLUMNS + c] == 0);
                    assert_true(fabs(weight - want) <= 1e-5 * want + 1e-30);
                }
        }
    }
}

static void test_norm_and_gate(void **context)
{
    (void)context;
    static const int64_t lengths[] = {1, 7, 8, 9, 64, 576, 1531};
    float x[1540], w[1540], out[1540];
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
            const int64_t n = lengths[l];
            double sum = 0;
            for (int64_t i = 0; i < n; i++) {
                x[i] = 40 * random_value();
                w[i] = random_value();
                sum += (double)x[i] * (double)x[i];
            }
            const double rms = sqrt(sum / (double)n + 1e-5);
            out[n] = 99;
            rms_norm(x, w, out, n, 1e-5f);
            assert_true(out[n] == 99);
            for (int64_t i = 0; i < n; i++)
                assert_true(fabs((double)out[i] - (double)x[i] / rms * (double)w[i]) <= 3e-7 * fabs((double)out[i]));
            memcpy(out, x, sizeof out);
            out[n] = 99;
            swiglu(x, w, out, n);
            assert_true(out[n] == 99);
            for (int64_t i = 0; i < n; i++) {
                double want = (double)x[i] / (1 + exp(-(double)x[i])) * (double)w[i];
                assert_true(fabs((double)out[i] - want) <= 1e-6 * fabs(want) + 1e-30);
            }
            float in_place[1540];
            memcpy(in_place, x, sizeof x);
            rms_norm(x, w, out, n, 1e-5f);
            rms_norm(in_place, w, in_place, n, 1e-5f);
            assert_memory_equal(in_place, out, (size_t)n * sizeof *out);
        }
    }
}

static void test_gate_extremes(void **context)
{
    (void)context;
    const float gate[10] = {0, -0.0f, 100, -100, 88.5f, -88.5f, 3e38f, -3e38f, NAN, -87.0f};
    const float up[10] = {1, 1, 2, 2, 1, 1, 1, 1, 1, 1};
    float out[10], huge[16];
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        if (!use_family(families[k])) continue;
        swiglu(gate, up, out, 10);
        assert_true(out[0] == 0 && out[1] == 0 && out[2] == 200 && out[4] == 88.5f && out[6] == 3e38f && isnan(out[8]));
        assert_true(fabsf(out[3]) < 1e-30f && fabsf(out[5]) < 1e-30f && out[7] == 0 && fabsf(out[9]) < 1e-30f);
        for (int i = 0; i < 16; i++) huge[i] = 1e30f;    /* squares beyond f32 */
        rms_norm(huge, huge, huge, 16, 0);
        for (int i = 0; i < 16; i++) assert_true(fabsf(huge[i] / 1e30f - 1) < 1e-6f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice_of_family),        cmocka_unit_test(test_products_are_right),
        cmocka_unit_test(test_columns_do_not_matter),   cmocka_unit_test(test_row_ranges_do_not_matter),
        cmocka_unit_test(test_addresses_do_not_matter), cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_integers_of_all_formats), cmocka_unit_test(test_largest_sums),
        cmocka_unit_test(test_reused_activations),      cmocka_unit_test(test_numeric_traps),
        cmocka_unit_test(test_impossible_activations),  cmocka_unit_test(test_attention_is_right),
        cmocka_unit_test(test_heads_do_not_matter),     cmocka_unit_test(test_attention_traps),
        cmocka_unit_test(test_q8_0_to_f16),
        cmocka_unit_test(test_panel_product),           cmocka_unit_test(test_panel_soften),
        cmocka_unit_test(test_norm_and_gate),           cmocka_unit_test(test_gate_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
