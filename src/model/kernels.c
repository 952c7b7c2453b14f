/*
 * kernels.c - the choice of a kernel family, the prepared activations, and the public face of kernels.h.
 *
 * A family is taken only when CPUID names its instructions, XCR0 says that the system saves its registers, and a small
 * product comes out as in plain C. Holds the one piece of shared state of the kernels: which family is in use.
 */
#include "model/kernels_impl.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Best first. */
static const struct kernel_family *const families[] = {
#ifdef KERNELS_X86
    &kernels_amx,
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_scalar,
};
static const char *const known_names[] = {"scalar", "avx2", "avx512", "amx"};

static _Atomic(const struct kernel_family *) active;

static const struct kernel_family *family(void)
{
    const struct kernel_family *f = atomic_load_explicit(&active, memory_order_acquire);
    return f ? f : &kernels_scalar;
}

#ifdef KERNELS_X86
#include <cpuid.h>

/* The bits of XCR0: which register files the system saves; 0 where it does not say. */
static uint64_t saved_registers(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

bool cpu_has_avx2(void)
{
    unsigned a, b, c, d, c1;
    const unsigned leaf1 = bit_AVX | bit_FMA | bit_F16C | bit_SSE4_1 | bit_SSSE3;
    if ((saved_registers() & 0x6) != 0x6) return false;
    if (!__get_cpuid(1, &a, &b, &c1, &d) || (c1 & leaf1) != leaf1) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

bool cpu_has_avx512(void)
{
    unsigned a, b, c, d;
    const unsigned leaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!cpu_has_avx2() || (saved_registers() & 0xe6) != 0xe6) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7) == leaf7 && (c & bit_AVX512VNNI);
}
#endif

static const struct format_kernels *find_format(const struct kernel_family *f, uint32_t type)
{
    for (const struct format_kernels *k = f->formats; k->gemv; k++)
        if (k->type == type) return k;
    return NULL;
}

/* Runs two rows of Q8_0 through the family, with sums that f32 holds exactly, and compares with integers. */
static bool probe(const struct kernel_family *f)
{
    enum { N = 64 };
    struct act *a;
    struct block_q8_0 w[2][N / 32];
    float x[N], y[2], expanded[N];
    if (act_new(&a, N, 1, NULL)) return false;
    memset(a->x, 0, sizeof x);
    int32_t want[2] = {0, 0};
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i % 32 == 7 ? ACT_Q_MAX : 37 * i - 1000);
        for (int r = 0; r < 2; r++) {
            int q = (i * 29 + r * 71) % 255 - 127;
            w[r][i / 32].d[0] = 0;
            w[r][i / 32].d[1] = 0x3c;    /* 1.0 */
            w[r][i / 32].qs[i % 32] = (int8_t)q;
            want[r] += q * (int32_t)x[i];
        }
    }
    memcpy(a->x, x, sizeof x);
    a->n = N;
    a->m = 1;
    a->fixed = true;
    f->prepare(a, 0);
    find_format(f, TENSOR_Q8_0)->gemv((const uint8_t *)w, sizeof w[0], &(struct gemv_span){0, 2, 0, 1}, a, y, 2);
    bool same = y[0] == (float)want[0] && y[1] == (float)want[1];
    dequant_fn *dequant = f->dequant(TENSOR_Q8_0);
    if (dequant) {
        dequant((const uint8_t *)w, expanded, N);
        for (int i = 0; i < N; i++) same = same && expanded[i] == (float)w[0][i / 32].qs[i % 32];
    }
    act_free(a);
    return same;
}

static bool usable(const struct kernel_family *f) { return f->cpu_has() && probe(f); }

int kernels_init(struct err *e)
{
    if (atomic_load_explicit(&active, memory_order_acquire)) return ERR_OK;
    const char *name = getenv("PONDER_KERNELS");
    if (name && *name) {
        if (kernels_force(name)) return ERR_OK;
        for (size_t i = 0; i < ARRAY_LEN(known_names); i++)
            if (!strcmp(name, known_names[i]))
                return err_set(e, ERR_UNSUPPORTED, "PONDER_KERNELS: \"%s\" cannot run on this machine", name);
        return err_set(e, ERR_USAGE, "PONDER_KERNELS: \"%s\" is not one of scalar, avx2, avx512, amx", name);
    }
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (kernels_force(families[i]->name)) return ERR_OK;
    return err_set(e, ERR_FAILED, "no kernels give right results on this machine");
}

bool kernels_force(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strcmp(families[i]->name, name) != 0) continue;
        if (!usable(families[i])) return false;
        atomic_store_explicit(&active, families[i], memory_order_release);
        return true;
    }
    return false;
}

const char *kernels_name(void) { return family()->name; }

/* ---- activations -------------------------------------------------------------------------------------------- */

/* The arrays of struct act: where their pointer stands, bytes of an element, elements of a column per ACT_PAD of stride. */
static const struct {
    size_t at, size, per_pad;
} act_arrays[] = {
    {offsetof(struct act, x), sizeof(float), ACT_PAD},          {offsetof(struct act, q), sizeof(int16_t), ACT_PAD},
    {offsetof(struct act, nat), 1, 2 * ACT_PAD},                {offsetof(struct act, pair), 1, 2 * ACT_PAD},
    {offsetof(struct act, half), 1, 2 * ACT_PAD},               {offsetof(struct act, s32), sizeof(float), ACT_PAD / 32},
    {offsetof(struct act, sum32), sizeof(float), ACT_PAD / 32}, {offsetof(struct act, s16), sizeof(float), ACT_PAD / 16},
    {offsetof(struct act, off16), sizeof(float), ACT_PAD / 16}, {offsetof(struct act, k5), sizeof(float), ACT_PAD / 16},
    {offsetof(struct act, k_sum), sizeof(float), ACT_PAD / 32}, {offsetof(struct act, bias), sizeof(int32_t), ACT_PAD / 8},
    {offsetof(struct act, bias16), sizeof(int32_t), ACT_PAD / 16},
};

static void *array_of(const struct act *a, size_t i)
{
    void *p;
    memcpy(&p, (const char *)a + act_arrays[i].at, sizeof p);
    return p;
}

int act_new(struct act **out, int64_t n_max, int m_max, struct err *e)
{
    *out = NULL;
    if (n_max < 1 || n_max > INT32_MAX || m_max < 1 || m_max > KERNEL_MAX_M)
        return err_set(e, ERR_INVALID, "activations of an impossible size");
    struct act *a = calloc(1, sizeof *a);
    if (!a) return err_set(e, ERR_NOMEM, "out of memory for activations");
    a->n_max = n_max;
    a->m_max = m_max;
    a->stride = (n_max + ACT_PAD - 1) / ACT_PAD * ACT_PAD;
    for (size_t i = 0; i < ARRAY_LEN(act_arrays); i++) {
        size_t bytes = (size_t)(a->stride / ACT_PAD) * (size_t)m_max * act_arrays[i].per_pad * act_arrays[i].size;
        bytes = (bytes + 63) / 64 * 64;
        void *p = aligned_alloc(64, bytes);
        if (!p) {
            act_free(a);
            return err_set(e, ERR_NOMEM, "out of memory for activations");
        }
        memset(p, 0, bytes);
        memcpy((char *)a + act_arrays[i].at, &p, sizeof p);
    }
    *out = a;
    return ERR_OK;
}

void act_free(struct act *a)
{
    if (!a) return;
    for (size_t i = 0; i < ARRAY_LEN(act_arrays); i++) free(array_of(a, i));
    free(a);
}

/* Zeroes what lies between n and the padding of column col, which a longer column may have left there. */
static void clear_tail(struct act *a, int col)
{
    int64_t from = a->n / 32 * 32, to = (a->n + ACT_PAD - 1) / ACT_PAD * ACT_PAD;
    memset(a->x + col * a->stride + a->n, 0, (size_t)(to - a->n) * sizeof(float));
    if (!a->fixed || from == to) return;
    /* The planes of the last groups are rewritten by prepare; whole groups are cleared, so that their orders need not be known here. */
    from = a->n / ACT_PAD * ACT_PAD;
    for (size_t i = 1; i < ARRAY_LEN(act_arrays); i++) {
        size_t one = act_arrays[i].per_pad * act_arrays[i].size;
        char *p = (char *)array_of(a, i) + (size_t)(col * a->stride / ACT_PAD) * one;
        memset(p + (size_t)(from / ACT_PAD) * one, 0, one);
    }
}

void act_prepare(struct act *a, const float *x, int64_t stride, int64_t n, int m)
{
    if (n < 1 || n > a->n_max || m < 1 || m > a->m_max) {
        a->n = a->m = 0;
        return;
    }
    a->n = n;
    a->m = m;
    a->fixed = n % 32 == 0;
    for (int c = 0; c < m; c++) {
        memcpy(a->x + c * a->stride, x + c * stride, (size_t)n * sizeof *x);
        clear_tail(a, c);
        if (a->fixed) family()->prepare(a, c);
    }
}

/* ---- by family ---------------------------------------------------------------------------------------------- */

bool kernel_supports(uint32_t type) { return find_format(&kernels_scalar, type) != NULL; }

void dequant_row(uint32_t type, const void *row, float *out, int64_t n)
{
    dequant_fn *dequant = family()->dequant(type);
    if (dequant) dequant(row, out, n);
    else quant_dequant(type, row, out, n);
}

void gemv_span(uint32_t type, const void *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride)
{
    const struct format_kernels *k = find_format(family(), type);
    if (a->m <= 0 || g->n <= 0 || g->streams <= 0) return;
    if (k) k->gemv(w, row_bytes, g, a, y, y_stride);
    else if (kernel_supports(type)) gemv_expanded(family(), type, w, row_bytes, g, a, y, y_stride);
}

void gemv_rows(uint32_t type, const void *w, size_t row_bytes, int64_t r0, int64_t r1, const struct act *a, float *y, int64_t y_stride)
{
    const int64_t n = (r1 - r0) / GEMV_STREAMS, done = r0 + GEMV_STREAMS * n;
    gemv_span(type, w, row_bytes, &(struct gemv_span){r0, n, n, GEMV_STREAMS}, a, y, y_stride);
    gemv_span(type, w, row_bytes, &(struct gemv_span){done, r1 - done, 0, 1}, a, y, y_stride);
}

void attend(const float *q, int n_group, int dim, float scale, const uint16_t *k, const uint16_t *v, int64_t kv_stride, int64_t p0,
            int64_t p1, struct attend_part *part)
{
    family()->attend(&(struct attend_args){q, n_group, dim, scale, k, v, kv_stride, p0, p1, part});
}

void panel_product(const float *a, int64_t a_row, int64_t a_step, int rows, int k, const float *b, float *c, int columns, const float *keep)
{
    family()->panel_product(&(struct panel_args){a, a_row, a_step, rows, k, b, c, columns, keep});
}

void panel_soften(float *s, int n, int columns, float *max, float *sum, float *keep) { family()->panel_soften(s, n, columns, max, sum, keep); }

void f32_to_f16_row(const float *x, uint16_t *out, int64_t n) { family()->f32_to_f16(x, out, n); }
void q8_0_to_f16_row(const void *row, uint16_t *out, int64_t n) { family()->q8_0_to_f16(row, out, n); }
void f16_to_f32_row(const uint16_t *x, float *out, int64_t n) { family()->f16_to_f32(x, out, n); }

void rms_norm(const float *x, const float *weight, float *out, int64_t n, float eps) { family()->rms_norm(x, weight, out, n, eps); }
void add_row(const float *x, float *y, int64_t n) { family()->add(x, y, n); }
void swiglu(const float *gate, const float *up, float *out, int64_t n) { family()->swiglu(gate, up, out, n); }
