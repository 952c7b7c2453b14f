/* sample.h - what the commands /vote and /compare are given, for the full-screen program and the plain one. Internal to src/ui. */
#ifndef PONDER_UI_SAMPLE_H
#define PONDER_UI_SAMPLE_H

#include "chat/chat.h"

/* Reads "N [PROMPT]" and "BUDGET BUDGET ... [PROMPT]". *prompt: within args, NULL where there is none. ERR_USAGE with a line for the user.
 */
int sample_parse_vote(const char *args, struct chat_samples *out, const char **prompt, struct err *e);
int sample_parse_compare(const char *args, struct chat_samples *out, const char **prompt, struct err *e);

#endif
