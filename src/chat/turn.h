/*
 * turn.h - one reply on its way: what a turn of its own (turn.c) and several replies at once (samples.c) have in common. Internal to
 * src/chat.
 *
 * turn_init -> turn_prompt -> turn_controls -> prompt evaluated -> turn_begin_clock -> turn_token again and again -> turn_end ->
 * turn_release. The recorder is there from turn_init on, so that whatever fails leaves a reply that says so.
 */
#ifndef PONDER_CHAT_TURN_H
#define PONDER_CHAT_TURN_H

#include "chat/internal.h"

struct turn {
    struct worker *w;
    struct job *job;
    const struct model_info *info;
    const struct family *family; /* what the model is talked to as */
    const struct tokenizer *tok;
    struct think *think;
    struct sampler *sampler;
    struct speculator *speculator; /* the worker's; NULL: not wanted, or one of several replies */
    struct sampler_params sampling;
    struct budget budget; /* at the start */
    struct tokens prompt; /* of the first of several replies; empty in the others */
    size_t n_prompt;
    bool thought_open;
    struct recorder rec;
    struct str model_name;
    char budget_text[32];
    struct chat_stats st;
    bool paused, opened;                         /* opened: there was a thought */
    int64_t start_us, paused_us, pause_began_us; /* of decoding */
    int64_t answer_start_ms;                     /* running time when the answer began, -1 before */
    int64_t prefill_ms, last_progress_ms;
    int evaluated; /* tokens of the prompt that were not found evaluated */
    int generated;         /* tokens of the reply so far */
    int given;             /* of them, those of a thought that was there before */
    int extensions;
    int sample, n_samples; /* one of several replies; 0 of 0: the only one */
    struct batch *batch;   /* where it is decoded; NULL: on the session's own timeline */
    int slot;
};

/* sample: which of job->samples, 0 where there is one reply. seed: already drawn. */
void turn_init(struct turn *t, struct worker *w, struct job *job, int sample, uint64_t seed);
void turn_release(struct turn *t);
uint64_t turn_draw_seed(int64_t wanted);
/* Session and prompt tokens. */
int turn_prompt(struct turn *t, struct err *e);
/* Controller and sampler for the prompt in n_prompt, thought_open. */
int turn_controls(struct turn *t, struct err *e);
/* What the sampler remembers of the prompt. */
void turn_show_prompt(struct turn *t, const struct tokens *prompt);
void turn_begin_clock(struct turn *t);
/* The next token, told and kept, from the logits of the last one. False: the reply is over, or *rc says why it failed. */
bool turn_token(struct turn *t, float *logits, int32_t *id, int *rc, struct err *e);
bool turn_over(const struct turn *t);
void turn_progress(struct turn *t, bool now);
void turn_emit(struct turn *t, enum chat_event_kind kind, const char *text, size_t len, const struct chat_stats *stats);
/* Obeys a live command; ERR_INVALID with a line for the user where it makes no sense. */
int turn_obey(struct turn *t, const struct live *l, struct err *e);
/* Writes the end; `kind` (CHAT_ENDED or CHAT_SAMPLE_ENDED) tells it, with text (NULL: the error's). */
void turn_end(struct turn *t, int rc, const struct err *e, enum chat_event_kind kind, const char *text);

#endif
