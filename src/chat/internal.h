/*
 * internal.h - what the files of src/chat share.
 *
 *   chat.c     the owner's side: requests, the branch in memory, queued prompts, events out
 *   worker.c   the thread: loads models, takes jobs, answers live commands
 *   turn.c     one reply: prompt -> tokens -> controller -> text events; turn.h is what it shares with
 *   prompt.c   the tokens of a branch, and those that its next prompt will begin with
 *   ahead.c    between replies: the beginning of the next prompt is evaluated
 *   kv.c       evaluated beginnings of conversations, on disk
 *   script.c   what a reply is given when it is written again
 *   samples.c  several replies to one prompt at once
 *   answers.c  final answers in replies
 *   recorder.c what a reply leaves in the record, with retries when saving fails
 *
 * Ownership across threads: a job and everything in it goes to the worker with queue_push; an event to the owner. Nothing else is shared but `quit`.
 */
#ifndef PONDER_CHAT_INTERNAL_H
#define PONDER_CHAT_INTERNAL_H

#include "chat/chat.h"

#include <stdatomic.h>

/* A message of the branch that is being talked on, with its own copies of the bytes. */
struct line_message {
    int64_t id;                  /* of the record; below 0 while unsaved */
    enum role role;
    struct str text, thought;
    bool unended;                /* a reply whose end could not be written; what is on disk of it: */
    size_t saved_thought, saved_text;
    struct chat_stats stats;     /* of a reply written in this run */
};
struct branch {
    struct line_message *items;
    size_t n, cap;
};
void branch_release(struct branch *b);
void branch_truncate(struct branch *b, size_t n);
int branch_add(struct branch *b, int64_t id, enum role role, const char *text, size_t len, const char *thought, size_t thought_len);
int branch_copy(struct branch *out, const struct branch *b);

/* A copy of a chat_script, with what it has been used for. */
struct script {
    struct str thought;          /* "" none */
    bool thought_goes_on;
    enum thought_ending thought_ending;
    struct chat_cue *cues;       /* own their texts */
    size_t n_cues, at;           /* at: the next one */
    char date[11];               /* "" today */
    bool timeless;
};
int script_copy(struct script *out, const struct chat_script *s, struct err *e);
void script_release(struct script *s);
/* The next cue that is due at this position; NULL none. Each comes once. */
const struct think_command *script_cue(struct script *s, size_t position);

enum job_kind { JOB_LOAD, JOB_REPLY, JOB_AHEAD };
struct job {
    enum job_kind kind;
    char *model_path;            /* JOB_LOAD */
    struct settings set;
    struct branch branch;        /* JOB_REPLY: the last message is the prompt to answer; JOB_AHEAD: what was talked so far */
    int64_t conversation;        /* 0: could not be saved yet */
    int64_t reply;               /* provisional id, below 0; sample i has the one i below it */
    struct chat_samples samples; /* n 0: one reply */
    struct script script;
    struct str given;            /* JOB_REPLY: a thought to begin with; "" none */
    int64_t given_from, given_ms;        /* the reply it is of, 0 not known, and how long it took there */
    bool given_closed;           /* it is whole: the answer follows */
    enum thought_ending given_ending;
};
void job_free(void *job);

enum live_kind { LIVE_THINK, LIVE_PAUSE, LIVE_RESUME };
struct live {
    enum live_kind kind;
    int64_t reply;               /* the job's provisional id: meant for that reply alone */
    struct think_command cmd;
    char *text;                  /* owns cmd.text */
};
void live_free(void *live);

#define MAX_ADAPTERS 8

/* What the worker does when no job waits. */
struct ahead {
    bool due, read;              /* read: from disk, what is there */
    struct settings set;
    struct branch branch;
    int64_t conversation;
    int64_t at_ms;               /* not before this is anything evaluated */
};

struct worker {
    pthread_t thread;
    bool started;
    struct queue *jobs, *live, *events;
    struct store *store;
    atomic_bool quit;
    struct engine *engine;
    struct session *session;
    int session_ctx, session_threads;
    enum kv_type session_kv;
    char numerics[32];                           /* what the numbers depend on beyond the file and the settings: kernels, and cells but f16 */
    bool held;                   /* the model was to be held in memory (mlock): tried once */
    struct speculator *speculator;               /* the model's; NULL while it was not wanted yet */
    char *model_path;
    struct adapter *adapters[MAX_ADAPTERS];      /* those of adapter_list, which is worker_lora as last applied; NULL: none */
    size_t n_adapters;
    char *adapter_list;
    char *own_adapter;           /* the file that comes with the model; NULL: none */
    bool own_fails;              /* it cannot be used */
    struct hasher *hasher;
    struct ahead ahead;
};
int worker_start(struct worker *w, struct store *store, struct err *e);
void worker_join(struct worker *w);       /* stops what runs; the queues stay, so that what was told last can still be read */
void worker_release(struct worker *w);
/* Puts an event into the queue; text may be NULL. Out of memory drops the event: the text is in the record all the same. */
void worker_emit(struct worker *w, enum chat_event_kind kind, int64_t message, const char *text, size_t len, const struct chat_stats *stats);
void worker_emit_text(struct worker *w, enum chat_event_kind kind, int64_t message, const char *text);
void worker_push(struct worker *w, const struct chat_event *ev);
/* Makes w->session fit for the settings. */
int worker_session(struct worker *w, const struct settings *set, struct err *e);
/* The adapters that the settings ask for, "" none; valid as long as both. */
const char *worker_lora(const struct worker *w, const struct settings *set);
/* What the model is talked to as: the first adapter that was taught to be another family says so. */
const struct family *worker_family(const struct worker *w);

/* Runs one reply to its end; always emits CHAT_ENDED. */
void turn_run(struct worker *w, struct job *job);
/* The same for the replies of job->samples. */
void samples_run(struct worker *w, struct job *job);

/* ---- prompts ------------------------------------------------------------------------------------------------- */

/* Tokens of the context that a prompt leaves to the answer. */
#define ANSWER_RESERVE 512

/* The tokens of the branch, whose last message is the prompt to answer. *left_out: how many of its oldest messages are not in it, because they
 * do not fit a context of ctx tokens. date: "YYYY-MM-DD" for templates that print one, "" today. ERR_TOO_LONG. */
int prompt_build(struct tokens *out, bool *thought_open, size_t *left_out, const struct worker *w, const struct settings *set, const struct branch *branch,
                 const char *date, size_t ctx, struct err *e);
/* The tokens that the next prompt below the branch begins with, whatever is typed; nearly always all that come before its message. */
int prompt_ahead(struct tokens *out, const struct worker *w, const struct settings *set, const struct branch *branch, size_t ctx, struct err *e);

/* ---- ahead --------------------------------------------------------------------------------------------------- */

struct recorder;
/* Takes over what the job says of a conversation; the work begins when no job waits. */
void ahead_take(struct worker *w, struct job *job);
/* The same after a reply, which r has. */
void ahead_after_reply(struct worker *w, struct job *job, const struct recorder *r);
/* Milliseconds until ahead_run has something to do, -1: nothing. */
int ahead_wait_ms(const struct worker *w);
/* Does what is due, until a job comes. */
void ahead_run(struct worker *w);
/* Another model was loaded. */
void ahead_again(struct worker *w);
/* Writes what is evaluated already, a moment at most, and forgets the rest. */
void ahead_leave(struct worker *w);

/* ---- K/V on disk ---------------------------------------------------------------------------------------------- */

/* Lengthens the session's timeline, as far as it is the beginning of ids, by what is on disk for the conversation. */
void kv_read(struct worker *w, const struct settings *set, int64_t conversation, const int32_t *ids, size_t n);
/* Writes what the session has of ids and the disk has not. go_on (may be NULL) is asked between files; false stops. Returns false when it was
 * stopped. */
bool kv_write(struct worker *w, const struct settings *set, int64_t conversation, const int32_t *ids, size_t n, bool (*go_on)(void *arg), void *arg);
/* Whether K/V of the conversation may be on disk. */
bool kv_allowed(const struct worker *w, const struct settings *set, int64_t conversation);

/* ---- recorder ------------------------------------------------------------------------------------------------ */

/* What one turn leaves in the record. Everything is kept in memory too, so that a failed write is made up for by the next. */
struct recorder {
    struct worker *w;
    int64_t conversation, prompt, reply;      /* below 1: not saved yet */
    int64_t parent;                           /* the message before the prompt, 0 none */
    int64_t old_prompt, old_reply;            /* provisional ids */
    const struct line_message *prompt_message;
    const char *system;
    struct reply_start start;
    struct str thought, answer;               /* the whole reply so far */
    size_t saved_thought, saved_answer;
    struct note *notes;                       /* events and spans, in order */
    size_t n_notes, cap_notes, saved_notes;
    int64_t last_ms, retry_ms;                /* retry_ms: before then no other try, but the last one */
    bool in_trouble;
    int sample, n_samples;
    struct recorder *first;                   /* of several replies: the one that saves the prompt they share; NULL: this one */
};
struct note {
    bool span;
    size_t position, offset, length;
    char kind[16], author[16];
    char value[48];
};
void recorder_init(struct recorder *r, struct worker *w, const struct job *job, const struct reply_start *start);
void recorder_release(struct recorder *r);
void recorder_text(struct recorder *r, bool thought, const char *text, size_t n);
void recorder_event(struct recorder *r, size_t position, const char *kind, const char *value);
void recorder_span(struct recorder *r, size_t position, size_t offset, size_t length, const char *kind, const char *author);
/* Writes what is new, at most every 150 ms unless now. */
void recorder_flush(struct recorder *r, bool now);
/* False when the end could not be written. */
bool recorder_end(struct recorder *r, const struct reply_end *end);
/* The end of a reply as the record takes it. budget is where its text goes. */
struct reply_end reply_end_of(const struct chat_stats *st, char budget[32]);

#endif
