/* speculate.h - the inside of the speculator that tests need. Internal to src/model. */
#ifndef PONDER_SPECULATE_H
#define PONDER_SPECULATE_H

#include "model/model.h"

/* Measures passes by another clock, read before and after each. */
void speculator_set_clock(struct speculator *p, int64_t (*us)(void));

#endif
