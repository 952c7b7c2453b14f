/*
 * template.h - what the renderers of chat templates share. Internal to src/model.
 *
 * A renderer writes what one published Jinja template writes for a conversation without tools, byte for byte. It never sees
 * the Jinja text. The rules all renderers keep:
 *   - what the template writes itself goes through prompt_add, every byte of a message through prompt_add_outside;
 *   - string methods are Python's (slice_* below), since templates run on Python strings;
 *   - reply_begin is the last call, so that the opening of the reply and prompt.thought_open are decided in one place.
 *
 * Not here: tool calls, images, and templates that a file brings along: nothing is interpreted.
 */
#ifndef PONDER_MODEL_TEMPLATE_H
#define PONDER_MODEL_TEMPLATE_H

#include "model/model.h"

/* What a renderer needs to know of its family beyond what a reader of model.h does. All texts may be NULL for "none". */
struct template_facts {
    const char *bos, *eos;      /* texts of these tokens as published, for templates that write them */
    const char *system;         /* system text that the template puts in when the conversation has none */
    const char *opening;        /* written behind the reply's header, thinking on */
    const char *opening_off;    /* the same, thinking off */
    const char *off_prefill;    /* render_options.force_off: an empty thought for a template without an off switch */
    const char *thought_before; /* render_options.keep_thoughts: what stands around an earlier thought */
    const char *thought_after;
    const char *fixed_date;  /* printed instead of the current date */
    bool needs_message;      /* the template fails on an empty conversation */
    bool alternates;         /* user and assistant must alternate: neighbours of one role are joined by an empty line */
    bool system_in_user;     /* no system role: a system message in front is put before the first user message */
    bool skips_empty_system; /* an empty system message in front is left out */
    bool no_empty_reply;     /* the template fails on an empty assistant message: it is left out */
    bool joins_systems;      /* all system messages count, joined by an empty line; otherwise the last one does */
    bool cuts_inline;        /* an inline thought is cut from replies other than one in last place */
    bool block_in_last;      /* a reply in last place gets a thought block even without a thought */
    bool prints_date;        /* the system block has a date */
    bool untrimmed;          /* a copy of a template that strips contents, without that */
};

/* ---- Python strings ----------------------------------------------------------------------------------------- */

/* Borrowed UTF-8 bytes. */
struct slice {
    const char *p;
    size_t n;
};

struct slice slice_of(const char *text);
struct slice slice_content(const struct chat_message *m);
/* The message's thought; empty when it has none. */
struct slice slice_thought(const struct chat_message *m);
bool slice_starts(struct slice s, const char *prefix);
bool slice_ends(struct slice s, const char *suffix);
bool slice_has(struct slice s, const char *needle);
struct slice slice_before_first(struct slice s, const char *sep); /* s.split(sep)[0] */
struct slice slice_after_last(struct slice s, const char *sep);   /* s.split(sep)[-1] */
struct slice slice_strip(struct slice s);                         /* s.strip(): Unicode white space, as str.isspace has it */
struct slice slice_rstrip(struct slice s);
struct slice slice_strip_newlines(struct slice s); /* s.strip('\n') */
struct slice slice_lstrip_newlines(struct slice s);
struct slice slice_rstrip_newlines(struct slice s);
/* Appends s with every `what` left out, as s.replace(what, ''). */
void slice_without(struct str *out, struct slice s, const char *what);
/* Where content holds "</think>": splits an inline thought off as the Qwen templates do, and returns true. */
bool slice_split_think(struct slice *content, struct slice *thought);

/* ---- pieces of a prompt ------------------------------------------------------------------------------------- */

void prompt_add_slice(struct prompt *p, struct slice s); /* from outside */
void prompt_add_bos(struct prompt *p, const struct family *f, const struct render_options *o);
/* An earlier thought in front of its answer, where keep_thoughts asks for it and the message has one. */
void prompt_add_kept(struct prompt *p, const struct family *f, const struct chat_message *m, const struct render_options *o);
/* Ends the prompt: header (may be NULL), then what the family writes behind it with thinking on or off. Nothing when
 * no_generation is set. */
void reply_begin(struct prompt *p, const struct family *f, const struct render_options *o, const char *header);
/* Appends the date of the options, or today's: strftime's %d, %b, %B, %m and %Y in English, anything else as it stands.
 * ERR_INVALID for a date that is not one. */
int prompt_add_date(struct prompt *p, const struct render_options *o, const char *format, struct err *e);
const char *role_name(enum role r);
/* The i-th family of the table; NULL behind the last. */
const struct family *family_at(size_t i);

/* ---- renderers ---------------------------------------------------------------------------------------------- */

#define TEMPLATE_RENDERERS(X)                                                                                                              \
    X(chatml)                                                                                                                              \
    X(qwen3) X(qwen35) X(smollm3) X(lfm25) X(lfm25_preserve) X(deepseek) X(llama3) X(gemma) X(phi3) X(mistral) X(ministral) X(granite)     \
        X(glm) X(seed) X(harmony)
#define X(name)                                                                                                                            \
    int render_##name(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,  \
                      struct err *e);
TEMPLATE_RENDERERS(X)
#undef X

#endif
