/*
 * walk.h - rating the steps of a thought (walk.c). Internal to src/ui.
 */
#ifndef PONDER_WALK_H
#define PONDER_WALK_H

#include "ui/app.h"

/* Begins with the reply in focus, at its first step without a mark. */
void walk_start(struct app *a);
void walk_close(struct app *a);
void walk_key(struct app *a, const struct key *k);
void walk_draw(struct app *a, struct grid *g);
const char *walk_hint(const struct app *a);

#endif
