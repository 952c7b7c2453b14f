/*
 * train_math_impl.h - the loops of train_math.c, compiled once for each kernel family (NAME gives a function its family's name).
 *
 * Written over vectors of 16 floats, which compilers cut into what the target has. Sums run over 16 lanes and then over these in order.
 */

#define LOAD(v, p) memcpy(&(v), p, sizeof(v))
#define STORE(p, v) memcpy(p, &(v), sizeof(v))

LOOP float NAME(sum_of)(const v16 *v)
{
    float lanes[16], sum = 0;
    memcpy(lanes, v, sizeof lanes);
    for (int i = 0; i < 8; i++) lanes[i] += lanes[i + 8];
    for (int i = 0; i < 4; i++) lanes[i] += lanes[i + 4];
    sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    return sum;
}

/* exp of what is at most 88, in place, to about one unit in the last place; far below 0 it is 0. */
LOOP void NAME(exp_of)(v16 *x)
{
    const v16 low = ALL(-87.0f), magic = ALL(12582912.0f);
    v16 v = *x;
    i16 small = v < low;
    v = (v16)(((i16)v & ~small) | ((i16)low & small));
    v16 n = v * ALL(1.44269504f) + magic - magic;
    v16 r = v - n * ALL(0.693359375f);
    r = r - n * ALL(-2.12194440e-4f);
    v16 p = ALL(1.9875691500e-4f);
    p = p * r + ALL(1.3981999507e-3f);
    p = p * r + ALL(8.3334519073e-3f);
    p = p * r + ALL(4.1665795894e-2f);
    p = p * r + ALL(1.6666665459e-1f);
    p = p * r + ALL(5.0000001201e-1f);
    p = p * (r * r) + (r + ALL(1.0f));
    i16 power = (__builtin_convertvector(n, i16) + 127) << 23;
    v16 out = p * (v16)power;
    *x = (v16)((i16)out & ~small);
}

static float NAME(max)(const float *x, int n)
{
    float best = x[0];
    int i = 0;
    if (n >= 16) {
        v16 m, v;
        float lanes[16];
        LOAD(m, x);
        for (i = 16; i + 16 <= n; i += 16) {
            LOAD(v, x + i);
            i16 more = v > m;
            m = (v16)(((i16)v & more) | ((i16)m & ~more));
        }
        memcpy(lanes, &m, sizeof lanes);
        for (int k = 0; k < 16; k++) best = lanes[k] > best ? lanes[k] : best;
    }
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

static float NAME(exp_sum)(float *x, int n, float max)
{
    v16 sum = ALL(0.0f), v;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        LOAD(v, x + i);
        v = v - ALL(max);
        NAME(exp_of)(&v);
        sum += v;
        STORE(x + i, v);
    }
    if (i < n) {
        v = ALL(-INFINITY);
        memcpy(&v, x + i, (size_t)(n - i) * sizeof *x);
        v = v - ALL(max);
        NAME(exp_of)(&v);
        sum += v;
        memcpy(x + i, &v, (size_t)(n - i) * sizeof *x);
    }
    return NAME(sum_of)(&sum);
}

static double NAME(squares)(const float *x, int n)
{
    double total = 0;
    for (int i = 0; i < n; i += 4096) {
        const int end = n - i < 4096 ? n : i + 4096;
        v16 sum = ALL(0.0f), v;
        int k = i;
        for (; k + 16 <= end; k += 16) {
            LOAD(v, x + k);
            sum += v * v;
        }
        float rest = NAME(sum_of)(&sum);
        for (; k < end; k++) rest += x[k] * x[k];
        total += (double)rest;
    }
    return total;
}

static float NAME(dot)(const float *x, const float *y, int n)
{
    v16 sum = ALL(0.0f), a, b;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        LOAD(a, x + i);
        LOAD(b, y + i);
        sum += a * b;
    }
    float out = NAME(sum_of)(&sum);
    for (; i < n; i++) out += x[i] * y[i];
    return out;
}

/* sigmoid s of gate g: d silu = s (1 + g (1 - s)). g and u become the gradients of gate and up. */
LOOP void NAME(silu_back_of)(v16 *g, v16 *u, const v16 *d)
{
    v16 s = -*g;
    i16 large = s > ALL(80.0f);
    s = (v16)(((i16)s & ~large) | ((i16)ALL(80.0f) & large));
    NAME(exp_of)(&s);
    s = ALL(1.0f) / (ALL(1.0f) + s);
    v16 gate = *g, up = *u;
    *u = *d * gate * s;
    *g = *d * up * s * (ALL(1.0f) + gate * (ALL(1.0f) - s));
}

static void NAME(silu_back)(const float *gate, const float *up, const float *d, float *dgate, float *dup, int n)
{
    v16 g, u, dy;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        LOAD(g, gate + i);
        LOAD(u, up + i);
        LOAD(dy, d + i);
        NAME(silu_back_of)(&g, &u, &dy);
        STORE(dup + i, u);
        STORE(dgate + i, g);
    }
    if (i < n) {
        const size_t some = (size_t)(n - i) * sizeof *gate;
        g = u = dy = ALL(0.0f);
        memcpy(&g, gate + i, some);
        memcpy(&u, up + i, some);
        memcpy(&dy, d + i, some);
        NAME(silu_back_of)(&g, &u, &dy);
        memcpy(dup + i, &u, some);
        memcpy(dgate + i, &g, some);
    }
}

/* y = x w / rms: dx = (w dy - x * mean(w dy x) / rms^2) / rms. */
static void NAME(norm_back)(const float *x, const float *weight, const float *dy, float *dx, int n, float eps)
{
    v16 squares = ALL(0.0f), along = ALL(0.0f), a, b, c, o;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        LOAD(a, x + i);
        LOAD(b, weight + i);
        LOAD(c, dy + i);
        squares += a * a;
        along += a * b * c;
    }
    float sum = NAME(sum_of)(&squares), inner = NAME(sum_of)(&along);
    for (int k = i; k < n; k++) {
        sum += x[k] * x[k];
        inner += x[k] * weight[k] * dy[k];
    }
    const float inverse = 1.0f / sqrtf(sum / (float)n + eps), back = inner * inverse * inverse / (float)n;
    for (i = 0; i + 16 <= n; i += 16) {
        LOAD(a, x + i);
        LOAD(b, weight + i);
        LOAD(c, dy + i);
        LOAD(o, dx + i);
        o += (b * c - a * ALL(back)) * ALL(inverse);
        STORE(dx + i, o);
    }
    for (; i < n; i++) dx[i] += (weight[i] * dy[i] - x[i] * back) * inverse;
}

static void NAME(attend_back)(const float *p, float *d, int n, float delta, float scale)
{
    v16 a, b;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        LOAD(a, p + i);
        LOAD(b, d + i);
        b = a * (b - ALL(delta)) * ALL(scale);
        STORE(d + i, b);
    }
    for (; i < n; i++) d[i] = p[i] * (d[i] - delta) * scale;
}

static void NAME(adam)(const struct train_adam *a, float *value, const float *grad, float *first, float *second, int n)
{
    for (int i = 0; i < n; i++) {
        float g = grad[i] * a->scale;
        first[i] = a->beta1 * first[i] + (1.0f - a->beta1) * g;
        second[i] = a->beta2 * second[i] + (1.0f - a->beta2) * g * g;
        value[i] -= a->lr * a->decay * value[i];
        value[i] -= a->lr / a->correct1 * first[i] / (sqrtf(second[i]) / a->correct2 + a->eps);
    }
}

const struct train_math NAME(train_math) = {NAME(max),       NAME(exp_sum),   NAME(squares),     NAME(dot),
                                            NAME(silu_back), NAME(norm_back), NAME(attend_back), NAME(adam)};

#undef LOAD
#undef STORE
