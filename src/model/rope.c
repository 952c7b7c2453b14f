/*
 * rope.c - rotary position embedding (Su et al. 2021).
 *
 * Angles are formed in double: at position 30,000 a float angle has lost three digits before its cosine is taken.
 */
#include "model/rope.h"

#include <math.h>

void rope_frequencies(double *freq, int n_rot, double base)
{
    for (int i = 0; i < n_rot / 2; i++) freq[i] = pow(base, -2.0 * i / n_rot);
}

void rope_scale_llama3(double *freq, int n_rot, const struct rope_llama3 *s)
{
    const double pi = 3.14159265358979323846;

    for (int i = 0; i < n_rot / 2; i++) {
        double turns = s->original_ctx * freq[i] / (2 * pi); /* within the original context */
        double keep = (turns - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
        if (turns < s->low_freq_factor) keep = 0;
        if (turns > s->high_freq_factor) keep = 1;
        freq[i] = keep * freq[i] + (1 - keep) * freq[i] / s->factor;
    }
}

void rope_angles(const double *freq, int n_rot, double size, int64_t position, float *cos_sin)
{
    for (int i = 0; i < n_rot / 2; i++) {
        double angle = (double)position * freq[i];
        cos_sin[2 * i] = (float)(size * cos(angle));
        cos_sin[2 * i + 1] = (float)(size * sin(angle));
    }
}

static inline void turn(float *a, float *b, float c, float s)
{
    float x = *a, y = *b;
    *a = x * c - y * s;
    *b = x * s + y * c;
}

void rope_apply(enum rope_pairs pairs, const float *cos_sin, int n_rot, float *x, int n_heads, int dim)
{
    int half = n_rot / 2;

    for (int h = 0; h < n_heads; h++, x += dim) {
        if (pairs == ROPE_ADJACENT)
            for (int i = 0; i < half; i++) turn(&x[2 * i], &x[2 * i + 1], cos_sin[2 * i], cos_sin[2 * i + 1]);
        else
            for (int i = 0; i < half; i++) turn(&x[i], &x[i + half], cos_sin[2 * i], cos_sin[2 * i + 1]);
    }
}
