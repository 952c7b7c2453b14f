/* rope.h - rotary position embedding: turning query and key pairs by an angle that grows with the position. Internal to src/model. */
#ifndef PONDER_ROPE_H
#define PONDER_ROPE_H

#include "base/base.h"

/* How a head's elements pair up: (0,1), (2,3), ... or (0, n/2), (1, n/2 + 1), ... */
enum rope_pairs { ROPE_ADJACENT, ROPE_HALVES };

/* Scaling of a longer context as the Llama 3 models were trained with. */
struct rope_llama3 {
    double factor, low_freq_factor, high_freq_factor, original_ctx;
};

/* Radians a position for each of n_rot / 2 pairs: base^(-2i / n_rot). */
void rope_frequencies(double *freq, int n_rot, double base);
void rope_scale_llama3(double *freq, int n_rot, const struct rope_llama3 *s);
/* size times cos and sin of the angles at a position, n_rot floats, interleaved. */
void rope_angles(const double *freq, int n_rot, double size, int64_t position, float *cos_sin);
/* Turns the first n_rot elements of each of n_heads heads (dim apart) in place. */
void rope_apply(enum rope_pairs pairs, const float *cos_sin, int n_rot, float *x, int n_heads, int dim);

#endif
