/*
 * duel.h - two replies to one prompt, compared and voted on (duel.c). Internal to src/ui.
 */
#ifndef PONDER_DUEL_H
#define PONDER_DUEL_H

#include "ui/app.h"

/* /ab: writes two replies, to a prompt in args or to the newest one again, that differ as args say, and compares them blind. */
void duel_start(struct app *a, const char *args);
/* Compares the reply in focus with another one to its prompt; nothing is hidden. */
void duel_of_two(struct app *a);
void duel_close(struct app *a);
bool duel_writing(const struct app *a); /* a reply of it is being written */
bool duel_shown(const struct app *a);   /* both are shown, and keys are about them */
bool duel_hides(const struct app *a);   /* what could tell the two apart must not be seen */
void duel_event(struct app *a, const struct chat_event *ev);
void duel_key(struct app *a, const struct key *k);
void duel_draw(struct app *a, struct grid *g);
const char *duel_hint(const struct app *a);

#endif
