/*
 * chat.h - conversations with a model, without a screen: a worker thread loads the model, runs turns and writes them to the
 * record; whoever shows them (the full-screen program, plain mode, ask) sends requests and reads events.
 *
 * Threads: all functions here are called from one thread (the owner's). The worker owns engine, session, sampler and thinking
 * controller. Requests and events cross in queues; a live command is read before every token, so that it acts on the next one.
 * Nothing here blocks on the model, except chat_free, which waits at most about one token, and then part of a second for what goes to disk.
 *
 * Between replies the worker evaluates what the next prompt begins with (ahead.c), and keeps it on disk for conversations that are on record
 * (kv.c, settings.kv_disk).
 *
 * What is durable: the prompt before inference starts, the reply every 150 ms and at its end (see store.h). When writing fails the
 * chat goes on in memory, CHAT_STORE_TROUBLE tells, and saving is tried again with the next piece.
 */
#ifndef PONDER_CHAT_H
#define PONDER_CHAT_H

#include "base/base.h"
#include "model/model.h"
#include "store/store.h"

struct chat;

/* set is copied. store is borrowed and must outlive the chat. The model (settings.model: catalogue name or file, already turned into a path by
 * the caller in model_path) begins to load at once, on the worker. */
int chat_new(struct chat **out, const struct settings *set, const char *model_path, struct store *store, struct err *e);
/* Where the adapter is that comes with a model: find appends its path and returns true where there is one. It is put on the model unless the settings
 * name others, or "none". To be said once, before chats are made; models are used as they are where nothing was said. */
void chat_find_adapters(bool (*find)(const char *model_path, struct str *out));
/* Stops what runs (the cut reply is ended as `stopped`) and frees everything. */
void chat_free(struct chat *c);

/* ---- requests ----------------------------------------------------------------------------------------------- */

/* Continues a stored conversation, or starts a new one with 0 (made in the store with its first prompt). ERR_BUSY while a reply runs. */
int chat_select(struct chat *c, int64_t conversation, struct err *e);
/* The same where the caller has loaded the active branch already; it is copied. Nothing changes on an error. */
int chat_select_loaded(struct chat *c, int64_t conversation, const struct message_list *branch, struct err *e);
int64_t chat_conversation(const struct chat *c);        /* 0: none yet */
/* Sends a prompt below the active leaf; CHAT_PROMPT follows at once, from inside this call the prompt is on disk. While a reply runs the
 * prompt waits as queued (chat_queued) and is sent when the reply has ended. */
int chat_send(struct chat *c, const char *text, size_t len, struct err *e);
/* Sends another prompt in place of message `prompt` (same parent): a branch. */
int chat_edit(struct chat *c, int64_t prompt, const char *text, size_t len, struct err *e);
/* Another reply to the prompt of the newest reply, or of `reply` when not 0; with 0 the first reply to a prompt that never got one. */
int chat_regenerate(struct chat *c, int64_t reply, struct err *e);
/* Several replies to one prompt, written together, up to 8 at a time: a pass through the model serves a token of each. Live commands go to all
 * of them. All are kept, as siblings.
 *   VOTE     n samples with the settings' budget. The first has the reply's seed, the others seeds made from it; with its seed each is what it would
 *            be alone. Final answers are counted, and the one that answers_winner picks becomes the active reply.
 *   COMPARE  a reply for each budget, all with the same seed, so that they differ by their budget alone. The last one becomes the active reply.
 *            Not BUDGET_OFF, which makes another prompt. */
#define CHAT_SAMPLES_MAX 32
enum samples_kind { SAMPLES_VOTE, SAMPLES_COMPARE };
struct chat_samples {
    enum samples_kind kind;
    int n;                                       /* 2 to CHAT_SAMPLES_MAX */
    struct budget budgets[CHAT_SAMPLES_MAX];     /* COMPARE */
    int form;                                    /* enum answer_form of the answers that are counted */
};
/* Answers a new prompt so, or with text NULL the prompt of the newest reply again. ERR_BUSY while a reply runs. */
int chat_sample(struct chat *c, const struct chat_samples *samples, const char *text, size_t len, struct err *e);
/* The seed of sample i (from 0) of a vote. */
uint64_t chat_sample_seed(uint64_t seed, int i);

/* What the next reply (chat_regenerate, chat_send) is given, so that it can be written again as it was. */
struct chat_cue {
    size_t position;                 /* the command is obeyed before the token at this position */
    struct think_command cmd;
};
struct chat_script {
    const char *thought;             /* what it begins with, as it stands; NULL: the model thinks from the beginning */
    size_t thought_len;
    bool thought_goes_on;            /* by the model; else that is all of it, and it ended so: */
    enum thought_ending thought_ending;
    const struct chat_cue *cues;     /* by position, ascending */
    size_t n_cues;
    const char *date;                /* "YYYY-MM-DD" for templates that print one; NULL today */
    bool timeless;                   /* the clock stands still: seconds of a budget end where a cue says so */
};
int chat_set_script(struct chat *c, const struct chat_script *s, struct err *e);    /* copied; used up by one reply */
/* Another reply to the prompt of `reply`, a saved one of this branch, that begins with its thought: SIZE_MAX bytes are the whole thought, and the
 * answer alone is written anew; fewer (cut back to a whole character) are gone on with. */
int chat_rethink(struct chat *c, int64_t reply, size_t bytes, struct err *e);
size_t chat_queued(const struct chat *c);
const char *chat_queued_text(const struct chat *c, size_t i, size_t *len);
void chat_drop_queued(struct chat *c, size_t i);
/* Live commands; ERR_INVALID with a line for the user when no reply runs (or no thought, where the verb needs one). */
int chat_command(struct chat *c, const struct think_command *cmd, struct err *e);
int chat_pause(struct chat *c, bool paused, struct err *e);
bool chat_paused(const struct chat *c);
/* One line of the control language, as `ask --control` and the slash commands take it: budget N|Ns|unlimited, answer, more, pause, resume, say TEXT,
 * stop. ERR_USAGE for anything else. */
int chat_control(struct chat *c, const char *line, size_t len, struct err *e);
bool chat_running(const struct chat *c);                /* from prompt sent to CHAT_ENDED */
/* Settings for the replies that begin from now on. A changed model path loads that model. */
int chat_set(struct chat *c, const struct settings *set, const char *model_path, struct err *e);
const struct settings *chat_settings(const struct chat *c);
/* The loaded model; NULL while loading or after a failure. */
const struct model_info *chat_model(const struct chat *c);
/* Removes what is kept on disk of a conversation's evaluated text, 0: of all in this record. To be called whenever text is taken out of the record: with
 * store_delete and store_redact. ERR_IO names what could not be removed. */
int chat_forget(struct store *store, int64_t conversation, struct err *e);

/* ---- events ------------------------------------------------------------------------------------------------- */

enum chat_event_kind {
    CHAT_MODEL,             /* a model is ready: chat_model tells which; text is a warning to show, "" none */
    CHAT_MODEL_FAILED,      /* text: one line */
    CHAT_PROMPT,            /* a user message was stored: message, text */
    CHAT_PREFILL,           /* the reply began: message; tokens done and total of the prompt, again and again */
    CHAT_THINKING,          /* a thought opened (again) */
    CHAT_THOUGHT,           /* text: bytes of the thought */
    CHAT_CLOSED,            /* the thought closed: stats */
    CHAT_ANSWER,            /* text: bytes of the answer */
    CHAT_BUDGET,            /* the budget in force changed: stats */
    CHAT_INJECTED,          /* text of the thought that came is not the model's: text is the span's kind, author in author */
    CHAT_LOOP,              /* the thought repeats itself; a close is offered or under way */
    CHAT_ESCAPED,           /* reasoning seen in the answer */
    CHAT_PROGRESS,          /* stats, about ten times a second while tokens come */
    CHAT_SAMPLE_ENDED,      /* one of several replies is over and saved: stats; text: its final answer, "" none. CHAT_ENDED follows the last one */
    CHAT_ENDED,             /* the reply is over and saved: stats; text: a line when it ended by an error, "" else */
    CHAT_NOTICE,            /* text: a line for the user */
    CHAT_READY,             /* the next prompt's beginning is evaluated, and on disk where it may be: tokens done of total; stats: the context it takes */
    CHAT_SAVED,             /* what had a provisional id (below 0, in `old`) is on disk now as `message` */
    CHAT_STORE_TROUBLE,     /* text: why saving failed; "" when it works again */
};
struct chat_stats {
    enum think_state state;
    struct budget budget;
    int thought_tokens, answer_tokens, escaped;
    int64_t thought_ms, answer_ms;           /* running time, pauses left out */
    double tokens_per_s;
    int context_used, context;               /* tokens in the session and its size */
    int drafted, accepted;                   /* tokens evaluated ahead on a guess, and those of them that came */
    int prompt_tokens, prompt_evaluated;     /* of the prompt: all, and those that were not found evaluated */
    enum thought_ending thought_ending;
    enum answer_ending answer_ending;
};
struct chat_event {
    enum chat_event_kind kind;
    int64_t message;        /* of the record; below 0: not saved yet */
    int64_t old;
    char *text;             /* NUL-terminated, never NULL */
    size_t len;
    const char *author;
    size_t done, total;     /* CHAT_PREFILL: tokens; CHAT_INJECTED: the span's place and length; CHAT_ENDED: bytes of thought and answer on disk */
    int sample, n_samples;  /* which of several replies it is about, from 0; 0 of 0: there is one. CHAT_ENDED: the one that became the active reply */
    bool unsaved;           /* CHAT_ENDED: its end could not be written; it is tried again with the next prompt and at the end */
    struct model_info *model;            /* CHAT_MODEL: a copy, the event's own */
    struct chat_stats stats;
};
int chat_event_fd(const struct chat *c);     /* readable while events wait; for poll */
/* Takes the next event; the caller releases it. False when none waits. */
bool chat_next_event(struct chat *c, struct chat_event *ev);
void chat_event_release(struct chat_event *ev);

/* ---- what several replies say ------------------------------------------------------------------------------- */

struct tally_sample {
    struct str thought, text;    /* as they came */
    struct str answer;           /* the final answer, once it is over */
    struct chat_stats stats;
    int64_t message;             /* 0: not known yet */
    int votes;                   /* samples that are over and have this answer */
    bool begun, thinking, over, won;
};
/* The replies of a vote or comparison. All-zero is empty. */
struct tally {
    enum samples_kind kind;
    int n;
    struct tally_sample *items;
};
bool tally_init(struct tally *t, enum samples_kind kind, int n);         /* false: out of memory, t is empty */
void tally_release(struct tally *t);
/* Takes an event of one of them; false when it is of none. */
bool tally_take(struct tally *t, const struct chat_event *ev);
int tally_over(const struct tally *t);
/* How a thought ended, in words for the user: "closed by budget"; "" when as it should. */
const char *thought_ending_text(enum thought_ending t);
/* How thought and answer ended: the same, "by itself", "answer cut". */
const char *tally_how(const struct tally_sample *s);
/* Appends the final answer as one clean line of at most so many columns, "-" for none. */
void tally_answer(const struct tally_sample *s, int columns, struct str *out);
/* Appends a table of plain lines, a star at the one that won. */
void tally_table(const struct tally *t, struct str *out);

#endif
