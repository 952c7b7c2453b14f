/*
 * store.h - the record: every conversation, thought, answer, rating and budget change in one SQLite file of the user's own.
 *
 * One `struct store` is one database connection behind a lock; any thread may call any function. Conversations are trees of
 * messages; a conversation's `leaf` says which branch is active. The store knows nothing of models: token counts and
 * rendering reach it as values or callbacks.
 *
 * Promises: WAL, synchronous=FULL, foreign keys, files 0600 in a 0700 folder. A user message is on disk before
 * store_add_prompt returns. A reply is written in pieces while it streams; a reply whose writer died is found at the next open
 * and marked interrupted. Databases of a newer version are refused untouched (ERR_NEWER), damaged or foreign ones with ERR_DB.
 * Functions return 0 or an enum ponder_err with a line in *e; ERR_FULL when the disk is full. A failed write changes nothing.
 *
 * Strings in returned structs belong to the struct and are freed by its release function. Text is kept as it came (exact bytes,
 * made valid UTF-8 only where it was not): sanitising is the reader's business.
 */
#ifndef PONDER_STORE_H
#define PONDER_STORE_H

#include "base/base.h"

struct store;

/* path NULL: in memory only, nothing reaches the disk (private chats). Otherwise the file and its folder are made where missing. */
int store_open(struct store **out, const char *path, struct err *e);
void store_close(struct store *s);
/* The version of SQLite in use. */
const char *store_library_version(void);
const char *store_path(const struct store *s);      /* NULL in memory */

/* A random name that the database got when it was first asked for, and keeps when its file is moved: 16 hex digits. Caches beside the record are kept
 * under it. ERR_INVALID in memory. */
int store_identity(struct store *s, char out[17], struct err *e);

/* ---- writing a turn ----------------------------------------------------------------------------------------- */

int store_new_conversation(struct store *s, const char *system, int64_t *id, struct err *e);
int store_set_system(struct store *s, int64_t conversation, const char *system, struct err *e);
int store_set_title(struct store *s, int64_t conversation, const char *title, struct err *e);

/* Adds a user message below parent (0: a root) and makes it the leaf. The first one names the conversation. */
int store_add_prompt(struct store *s, int64_t conversation, int64_t parent, const char *text, size_t len, int64_t *id, struct err *e);

/* What is known when a reply begins: its provenance. */
struct reply_start {
    int64_t conversation, parent;    /* parent: the user message answered */
    const char *model;               /* name as shown, e.g. "SmolLM2-135M-Instruct Q4_1" */
    const char *model_file, *quant, *family;
    const char *model_sha256;        /* NULL: not known yet, see store_set_model_hash */
    const char *adapter;             /* NULL none */
    const char *engine_version, *kernels;
    int threads;
    const char *system;              /* system text as rendered */
    int64_t seed;
    double temp, top_p, min_p, repeat_penalty;
    int top_k;
    const char *budget;              /* as typed: "400", "30s", "unlimited", "off" */
    int think_min, answer_max;
    int prompt_tokens, context;
    const char *think, *cot;         /* the settings of these names; NULL not known */
    bool keep_thoughts, loop_guard;
    int64_t thought_of;              /* the reply whose thought this one was given; 0: its thought is its own */
    int64_t given_from;              /* the reply whose thought this one's begins with, 0 none: */
    size_t given_len;                /* so many bytes, with the spans in them */
};
/* Adds a streaming reply below its prompt and makes it the leaf. */
int store_begin_reply(struct store *s, const struct reply_start *r, int64_t *id, struct err *e);
/* Appends streamed bytes; call about every 150 ms. Committed when it returns. */
int store_append_reply(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                       struct err *e);
/* A budget change, extension, pause ... at a token position. kind: "budget", "answer_now", "more", "pause", "resume", "say", "loop",
 * "stop", "closed" (the thought closed; value its ending); value as text (may be NULL). */
int store_add_event(struct store *s, int64_t reply, size_t position, const char *kind, const char *value, struct err *e);
/* A span of the thought that no sampler chose. kind: "lead", "wrap_up", "wait", "say", "close"; author "user" or "program". Bytes
 * [offset, offset + length) of the thought. */
int store_add_span(struct store *s, int64_t reply, size_t position, size_t offset, size_t length, const char *kind, const char *author,
                   struct err *e);
struct reply_end {
    const char *ended;               /* how the thought ended: design's names */
    const char *answer_ended;        /* NULL before an answer began */
    const char *budget_final;
    int thought_tokens, answer_tokens, escaped, extensions;
    int64_t thought_ms, answer_ms, prefill_ms;
    double tokens_per_s;
};
/* Ends a reply: text still to come goes in with it, in one transaction; the text becomes searchable. */
int store_end_reply(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                    const struct reply_end *r, struct err *e);
int store_set_model_hash(struct store *s, const char *model_file, const char *sha256, struct err *e);   /* fills replies that lack it */

/* ---- reading ------------------------------------------------------------------------------------------------ */

enum message_role { MESSAGE_USER, MESSAGE_REPLY };
struct message {
    int64_t id, conversation, parent;
    enum message_role role;
    char *text;                      /* prompt or answer */
    char *thought;                   /* "" none */
    size_t text_len, thought_len;
    int64_t created_ms;
    bool streaming;                  /* being written by a living process (this one or another) */
    char *model, *ended, *answer_ended, *budget, *budget_final;     /* replies; "" where unknown */
    int thought_tokens, answer_tokens;
    int64_t thought_ms, answer_ms;
    double tokens_per_s;
    int thought_rating, answer_rating;                              /* -1, 0, +1 */
    char *fold;                      /* the user's own choice of how the thought is shown, "" none */
    int n_siblings, sibling;         /* replies or prompts with the same parent, and this one's place from 0 */
};
struct message_list {
    struct message *items;
    size_t n;
};
void message_list_release(struct message_list *l);
/* The active branch of a conversation, root first. */
int store_load_branch(struct store *s, int64_t conversation, struct message_list *out, struct err *e);
int store_load_message(struct store *s, int64_t id, struct message_list *out, struct err *e);           /* a list of one */
/* The way from the root down to a message, whichever branch is shown. ERR_NOT_FOUND. */
int store_load_path(struct store *s, int64_t id, struct message_list *out, struct err *e);
/* Messages without their whole texts: to choose a branch from. */
struct tree_node {
    int64_t id, parent;              /* parent 0: a root */
    enum message_role role;
    bool active;                     /* on the active branch */
    char *start;                     /* the first characters of the prompt or answer; of the thought where there is no answer */
    char *ended;                     /* how the thought ended, "" unknown */
    int answer_rating, thought_rating;
    int64_t created_ms;
};
struct message_tree {
    struct tree_node *items;
    size_t n;
};
void message_tree_release(struct message_tree *t);
/* Every message of a conversation, on all branches, oldest first: a parent comes before its children. */
int store_load_tree(struct store *s, int64_t conversation, struct message_tree *out, struct err *e);
/* The messages with the same parent as id, itself among them, oldest first. ERR_NOT_FOUND. */
int store_load_siblings(struct store *s, int64_t id, struct message_tree *out, struct err *e);
/* Makes another message the leaf: the newest descendant of id. */
int store_select_branch(struct store *s, int64_t id, struct err *e);

struct reply_event {
    size_t position;
    char *kind, *value;              /* see store_add_event; "" no value */
};
struct reply_span {
    size_t position, offset, length;
    char *kind;
};
/* What a reply came from. Strings are "" where not known. */
struct provenance {
    char *model, *model_file, *model_sha256, *family, *adapter, *engine_version, *kernels, *system, *budget, *think, *cot;
    int64_t parent, created_ms, seed, thought_of;
    bool seeded;                     /* false: written elsewhere, nothing of the below is known */
    double temp, top_p, min_p, repeat_penalty;
    int top_k, think_min, answer_max, context;
    bool keep_thoughts, loop_guard;
    struct reply_event *events;
    struct reply_span *spans;
    size_t n_events, n_spans;
};
void provenance_release(struct provenance *p);
int store_load_provenance(struct store *s, int64_t reply, struct provenance *out, struct err *e);

struct conversation {
    int64_t id, leaf, created_ms, updated_ms;
    char *title, *system, *model;    /* model of the newest reply */
    char *tags;                      /* of its replies, each once, between commas; "" none */
    int n_messages;
};
struct conversation_list {
    struct conversation *items;
    size_t n;
};
void conversation_list_release(struct conversation_list *l);
int store_list(struct store *s, int limit, int offset, struct conversation_list *out, struct err *e);   /* newest first; limit 0: all */
int store_load_conversation(struct store *s, int64_t id, struct conversation_list *out, struct err *e); /* a list of one; ERR_NOT_FOUND */
int store_load_system(struct store *s, int64_t conversation, char **out, struct err *e);                /* alone, and at once; caller frees */
int store_newest(struct store *s, int64_t *conversation, struct err *e);                                /* ERR_NOT_FOUND when empty */

enum search_in { SEARCH_ALL, SEARCH_PROMPTS, SEARCH_ANSWERS, SEARCH_THOUGHTS };
struct search_hit {
    int64_t message, conversation;
    enum search_in part;
    char *title, *snippet;           /* matched words between \x02 and \x03 */
    int64_t created_ms;
};
struct search_hits {
    struct search_hit *items;
    size_t n;
};
void search_hits_release(struct search_hits *h);
/* What a search is narrowed to; all-zero is everything. Rating, tag, model and ending are those of replies, so they leave prompts out. */
struct search_filter {
    int64_t since_ms, until_ms;      /* 0: open */
    const char *model, *tag, *ending;        /* NULL: any; ending of the thought or the answer */
    bool rated;                      /* rating counts */
    int rating;                      /* of the answer */
};
int store_search_filtered(struct store *s, const char *words, enum search_in in, const struct search_filter *f, int limit,
                          struct search_hits *out, struct err *e);
/* Words as typed: every word must occur, quotes make a phrase, nothing else is special. Best first (FTS5 bm25); where a limit is
 * given and a part has very many matches, the newest of them are ranked. */
int store_search(struct store *s, const char *words, enum search_in in, int limit, struct search_hits *out, struct err *e);

/* Finished replies without any rating, in the order they were written. Of the filter, `rated` and `rating` mean nothing here. words as for a
 * search, NULL all: they stand in the reply or in its prompt. */
struct id_list {
    int64_t *ids;
    size_t n;
};
void id_list_release(struct id_list *l);
int store_unrated(struct store *s, const struct search_filter *f, const char *words, struct id_list *out, struct err *e);
/* The last reply that was passed when unrated ones were gone through; 0 none. */
int store_review_place(struct store *s, int64_t *reply, struct err *e);
int store_set_review_place(struct store *s, int64_t reply, struct err *e);

/* ---- ratings ------------------------------------------------------------------------------------------------ */

enum part { PART_ANSWER, PART_THOUGHT };
/* value -1, 0 (takes it back), +1. reasons: a JSON array of strings or NULL to leave (0 drops them then), comment NULL to leave, "" to
 * drop. ERR_INVALID for a reply still being written, ERR_NOT_FOUND. */
int store_rate(struct store *s, int64_t reply, enum part part, int value, const char *reasons, const char *comment, struct err *e);
int store_tag(struct store *s, int64_t reply, const char *tag, bool on, struct err *e);
/* The same for every finished reply of a conversation, as one change. ERR_NOT_FOUND when it has none. */
int store_tag_conversation(struct store *s, int64_t conversation, const char *tag, bool on, struct err *e);
/* A corrected text. NULL takes it back. */
int store_edit(struct store *s, int64_t reply, enum part part, const char *text, size_t len, struct err *e);
int store_set_fold(struct store *s, int64_t reply, const char *fold, struct err *e);

/* ---- pairs -------------------------------------------------------------------------------------------------- */

enum verdict { VERDICT_A, VERDICT_B, VERDICT_TIE, VERDICT_BOTH_BAD, VERDICT_SKIP };
/* Which of two replies to the same messages is better. */
struct vote {
    int64_t a, b;                    /* two finished replies whose messages above and system text are the same */
    enum verdict verdict;
    int strength;                    /* of a and b: 1 slightly, 2 better, 3 much better; 0 not said */
    int shown_first;                 /* 'a', 'b'; 0 not known */
    bool blind;                      /* model, budget, times and counts were hidden until the vote */
    int64_t spent_ms;                /* from shown to voted; below 0 not known */
};
/* Replaces an earlier vote on the same two. The winner becomes the active branch, without one the earlier of the two, where both are in
 * one conversation; a leaf already below it stays. id (may be NULL): of the vote. ERR_INVALID for replies to different messages. */
int store_vote(struct store *s, const struct vote *v, int64_t *id, struct err *e);
/* The reply to the same prompt that this one is most likely to be compared with: the finished one before it, else the one behind it.
 * ERR_NOT_FOUND when it is the only one. */
int store_rival(struct store *s, int64_t reply, int64_t *rival, struct err *e);
int store_load_vote(struct store *s, int64_t a, int64_t b, struct vote *out, struct err *e);  /* in either order; ERR_NOT_FOUND */

/* ---- replies written together -------------------------------------------------------------------------------- */

/* The samples of a vote, or a comparison's reply for each budget: siblings that were written together. */
struct sample_note {
    int64_t reply;
    const char *answer;              /* as it was counted, "" none */
    int votes;                       /* samples with that answer */
};
/* Notes what finished replies to one prompt were, in their order, and makes the winner the active branch. kind: "vote" or "compare". */
int store_add_samples(struct store *s, const char *kind, const struct sample_note *notes, size_t n, size_t winner, struct err *e);
struct sample {
    int number, of;                  /* from 1; as many as there were when it was written */
    char *answer;
    int votes;
    bool won;
};
struct sample_list {
    char kind[8];
    struct sample *items;
    struct message_list messages;    /* the same n, in the same order: those still in the record */
    size_t n;
};
void sample_list_release(struct sample_list *l);
/* The group that a reply was written in. ERR_NOT_FOUND when it was written alone. */
int store_load_samples(struct store *s, int64_t reply, struct sample_list *out, struct err *e);

/* ---- steps of a thought ------------------------------------------------------------------------------------- */

/* Steps are paragraphs; the sentences and lines where a thought is one paragraph. Bytes [offset, offset + length) of the thought as
 * generated, without the white space around it. */
struct thought_step {
    size_t offset, length;
    bool rated;
    int value;                       /* -1 bad, 0 neutral, 1 good */
};
struct thought_steps {
    struct thought_step *items;
    size_t n;
    bool sentences;
};
void thought_steps_release(struct thought_steps *l);
/* The same cut of any text, nothing rated. ERR_NOMEM only. */
int thought_steps_cut(struct thought_steps *out, const char *text, size_t len, struct err *e);
int store_load_steps(struct store *s, int64_t reply, struct thought_steps *out, struct err *e);
#define STEP_NOT_RATED 2
/* step counts from 1. A bad step is the first error: marking it drops the marks behind it, and none can be set there any more
 * (ERR_INVALID). STEP_NOT_RATED takes a mark back. */
int store_rate_step(struct store *s, int64_t reply, int step, int value, struct err *e);

/* ---- taking back --------------------------------------------------------------------------------------------- */

/* Ratings, tags, corrected texts, steps and votes can be taken back, newest first, also after the program ended. */
struct undone {
    int64_t message;
    char what[16];                   /* "rating", "tag", "edit", "steps", "vote" */
};
/* Takes back the newest change (to a message of the conversation; 0: of any). ERR_NOT_FOUND when there is none. */
int store_undo(struct store *s, int64_t conversation, struct undone *out, struct err *e);
/* From begin to end, the changes made through this store count as one. */
void store_undo_group(struct store *s, bool begin);

/* ---- reasons ------------------------------------------------------------------------------------------------- */

#define REASONS_MAX 9
/* What the keys 1 to 9 offer, for a rating up or down of each part. Strings belong to the struct. */
struct reason_lists {
    char *names[2][2][REASONS_MAX + 1];      /* [enum part][0 down, 1 up][place], NULL behind the last */
};
/* The built-in lists, changed by reasons.ini where the file is there (path NULL: the built-in ones): sections [answer] and [thought], keys
 * `up` and `down`, names between commas. ERR_FILE names the line; the lists are then those read so far. */
int reason_lists_load(struct reason_lists *out, const char *path, struct err *e);
void reason_lists_release(struct reason_lists *l);

/* ---- reading ratings ----------------------------------------------------------------------------------------- */

struct rating {
    int value;
    char *reasons;                   /* a JSON array of strings */
    char *comment;                   /* "" none */
    char *edited;                    /* the corrected text; NULL none */
    size_t edited_len;
};
struct reply_ratings {
    struct rating answer, thought;
    char *tags;                      /* a JSON array of strings */
};
void reply_ratings_release(struct reply_ratings *r);
int store_load_ratings(struct store *s, int64_t reply, struct reply_ratings *out, struct err *e);

/* How fast models were here, over the newest replies. */
struct model_speed {
    char *file;                      /* as the replies name it */
    double tokens_per_s;
    int replies;
};
struct model_speeds {
    struct model_speed *items;
    size_t n;
};
void model_speeds_release(struct model_speeds *l);
int store_model_speeds(struct store *s, struct model_speeds *out, struct err *e);

/* ---- other ------------------------------------------------------------------------------------------------- */

/* Deletes a conversation with everything of it, zeroing the bytes (secure_delete, FTS optimise, VACUUM, WAL truncated). */
int store_delete(struct store *s, int64_t conversation, struct err *e);
/* All that the user typed into a conversation, on all branches: prompts, lines said into thoughts, title, system text. For taking it out of
 * other places before it is deleted here. */
struct text_list {
    char **texts;
    size_t n;
};
void text_list_release(struct text_list *l);
int store_load_typed(struct store *s, int64_t conversation, struct text_list *out, struct err *e);
/* The unsent input line, kept over a crash. conversation 0: of no conversation. */
int store_save_draft(struct store *s, int64_t conversation, const char *text, size_t len, struct err *e);
int store_load_draft(struct store *s, int64_t conversation, struct str *out, struct err *e);

/* ---- import ------------------------------------------------------------------------------------------------- */

struct import_report {
    char format[16];                 /* "chatgpt", "claude", "openwebui", "llm", "sharegpt", "openai", "ponder" */
    int64_t conversations, messages, ratings, votes;
    int64_t known;                   /* conversations that were imported before */
    int64_t refused;                 /* conversations that could not come in */
    int64_t left_out;                /* messages without text: tools, images, system notes */
    struct str notes;                /* why, a line each; the first few */
};
void import_report_release(struct import_report *r);
/* Reads an export of another program, or of this one (format json): a JSON or JSON lines file, a ZIP archive with conversations.json, or
 * llm's SQLite file. All that can come in does, in one transaction; a conversation that cannot stays out as a whole. ERR_INVALID when the
 * file is of no kind that is known. only_look: counts, and leaves the record as it was. */
int store_import(struct store *s, const char *path, bool only_look, struct import_report *out, struct err *e);

/* ---- salvage ------------------------------------------------------------------------------------------------- */

struct salvage_report {
    char *aside;     /* where the damaged file is now; NULL when it could not be moved */
    int64_t rows;    /* read from it */
    struct str text; /* a line for each table */
};
void salvage_report_release(struct salvage_report *r);
/* For a record that is damaged and open nowhere: gives the file another name (PATH.damaged-TIME, with its log), and makes a new one at path of what can
 * be read. ERR_BUSY while another program has it open. The report is filled, and the caller's, also after an error. */
int store_salvage(const char *path, struct salvage_report *out, struct err *e);

/* ---- care --------------------------------------------------------------------------------------------------- */

/* Copies the record into a new file while it may be in use (SQLite's backup). ERR_INVALID when the file is there. */
int store_backup(struct store *s, const char *path, struct err *e);
/* Looks for damage: SQLite's own checks, foreign keys, the full-text index, trees. A line for each finding, appended to out. */
int store_check(struct store *s, struct str *findings, struct err *e);
/* Replaces every place that the pattern (a POSIX extended regular expression) finds in prompts, thoughts, answers, corrections, comments,
 * titles, system texts, events and drafts by `with`, and overwrites what was there. Notes for taking back go where their message changed.
 * only_look: counts. *texts: those changed. ERR_INVALID for a pattern that is none, ERR_BUSY while a reply is written. */
int store_redact(struct store *s, const char *pattern, const char *with, bool ignore_case, bool only_look, int64_t *texts, struct err *e);

/* Rows of a table for the user's eyes: a name and numbers. */
struct stats_row {
    char *name;
    int64_t replies, thought_up, thought_down, answer_up, answer_down;
    double thought_tokens, thought_ms;       /* means over replies that have them */
};
struct stats_table {
    struct stats_row *items;
    size_t n;
};
void stats_table_release(struct stats_table *t);
enum stats_by { STATS_ALL, STATS_MODEL, STATS_BUDGET, STATS_ENDING, STATS_LENGTH, STATS_MONTH };
/* LENGTH: by thought tokens, doubling. */
int store_stats(struct store *s, enum stats_by by, struct stats_table *out, struct err *e);
struct stats_totals {
    int64_t conversations, prompts, replies, votes, step_ratings, edits, tags, thought_tokens, answer_tokens, thought_ms;
};
int store_totals(struct store *s, struct stats_totals *out, struct err *e);

/* ---- export ------------------------------------------------------------------------------------------------- */

enum export_format {
    EXPORT_SFT, EXPORT_SFT_PC, EXPORT_DPO, EXPORT_KTO, EXPORT_STEPWISE, EXPORT_REWARD, EXPORT_OPENAI, EXPORT_OPENAI_DPO, EXPORT_SHAREGPT,
    EXPORT_ALPACA, EXPORT_LLAMAFACTORY, EXPORT_LLAMAFACTORY_DPO, EXPORT_LLAMAFACTORY_KTO, EXPORT_AXOLOTL, EXPORT_AXOLOTL_DPO, EXPORT_TEXT,
    EXPORT_MARKDOWN, EXPORT_HTML, EXPORT_JSON, EXPORT_FORMATS
};
/* Where thoughts go. FIELD: a key of the message, the family's own. INLINE: <think> in the content of the newest reply. TEXT: prompts and
 * completions as text, rendered with the model's own template. STRIP: nowhere. */
enum export_reasoning { REASONING_DEFAULT, REASONING_FIELD, REASONING_INLINE, REASONING_TEXT, REASONING_STRIP };
/* What a record is made of. */
enum export_task {
    TASK_WAYS,       /* a conversation down to a reply, each way once in its longest form */
    TASK_REPLIES,    /* every reply with what is above it */
    TASK_PAIRS,      /* two replies, one chosen */
    TASK_LABELS,     /* a reply that is good or bad */
    TASK_STEPS,      /* a thought's steps */
    TASK_DOCUMENT    /* whole conversations, for reading and keeping */
};
struct export_format_info {
    const char *name;                /* "sft" */
    enum export_task task;
    enum export_reasoning initial;   /* the default; REASONING_DEFAULT where the question does not arise */
    unsigned reasonings;             /* 1 << each that is allowed */
    bool masks;                      /* INJECTED_MASK has a place */
    const char *ending;              /* of the file: ".jsonl" */
    const char *help;
};
/* Static. NULL beyond the last. */
const struct export_format_info *export_format_info(enum export_format f);
const char *export_reasoning_name(enum export_reasoning r);

/* A message on the way to a reply, borrowed: a prompt, or a reply's two texts; the other NULL. */
struct export_span {
    size_t offset, length;
};
struct export_turn {
    const char *prompt, *thought, *answer;
    size_t prompt_len, thought_len, answer_len;
    const struct export_span *masked;        /* pieces of the thought that are not to be learnt, ascending */
    size_t n_masked;
};

enum export_injected { INJECTED_KEEP, INJECTED_DROP, INJECTED_MASK };
enum export_bad_thoughts { BAD_THOUGHTS_STRIP, BAD_THOUGHTS_DROP, BAD_THOUGHTS_KEEP };
#define PAIRS_VOTES 1u
#define PAIRS_EDITS 2u
#define PAIRS_RATINGS 4u
struct export_options {
    enum export_format format;
    enum export_reasoning reasoning;
    int min_rating;                  /* filters: replies rated below are left out; default 0 keeps unrated and +1 */
    const char *model, *tag, *reason, *search;       /* NULL: any */
    int64_t since_ms, until_ms;      /* 0: open */
    const char *endings;             /* comma list; "" the default (natural, none, answer_now, budget_soft, budget_hard); "all" */
    int min_strength;                /* of votes; one that was not said counts as 1 */
    unsigned pairs;                  /* PAIRS_ of where pairs come from; 0: all */
    enum export_injected injected;   /* text of a thought that no sampler chose */
    bool with_say;                   /* also replies with a line of the user's in their thought */
    enum export_bad_thoughts bad_thoughts;   /* a thought rated down: left out, its reply left out, or taken */
    bool keep_duplicates;
    bool weights;                    /* a key "weight": the three below, by the rating of the record's last reply */
    double weight_up, weight_none, weight_edited;
    int64_t max_tokens, min_tokens;  /* of a record, prompt included; 0: open. Need count_tokens. */
    /* The message key of a model's family for thoughts; NULL or a NULL result means "reasoning_content". */
    const char *(*thought_key)(void *arg, const char *family);
    /* The conversation as the family's template writes it: the prompt up to where the model goes on, and each of the replies as it would
     * have been generated, with its closing text. The strings are empty before. ERR_INVALID (the template refuses it) leaves the record
     * out. Needed by REASONING_TEXT and token limits. */
    int (*render)(void *arg, const char *family, const char *system, const struct export_turn *turns, size_t n,
                  const struct export_turn *const *replies, size_t n_replies, struct str *prompt, struct str *completions, struct err *e);
    int (*count_tokens)(void *arg, const char *text, size_t n, int64_t *tokens, struct err *e);
    /* Whether the family's template shows a trainer the thoughts that the records hold in this form; NULL: it does. */
    bool (*keeps_thoughts)(void *arg, const char *family, enum export_reasoning r);
    void (*progress)(void *arg, int64_t done, int64_t total);        /* conversations; may be NULL */
    void *arg;
};
struct export_counts {
    int64_t records, conversations, replies_seen;
    int64_t left_rating, left_ending, left_unfinished, left_filter;  /* replies, or pairs, by why they gave no record */
    int64_t left_unrated, left_thought, left_say, left_length, left_template, left_strength, left_verdict, left_same, left_contrary;
    int64_t duplicates;
    int64_t from_votes, from_edits, from_ratings;                    /* pairs */
    int64_t from_up, from_none, from_edited;                         /* ways and replies, by the rating of the last reply */
    int64_t good, bad;                                               /* labels; steps count one by one */
    int64_t thoughts, thoughts_stripped, thoughts_lost;              /* lost: records whose template will not show them to the trainer */
    char lost_family[64];                                            /* one of those families */
};
struct export_record {
    const char *bytes;               /* with its newline; valid during the call */
    size_t len;
    int64_t conversation, message;   /* 0: of none (a document's beginning and end) */
    int64_t tree;                    /* the same for conversations that share a first prompt: they belong into the same split */
    const char *model, *model_sha256;        /* of the (chosen) reply, "" unknown */
};
typedef int (*export_write)(void *arg, const struct export_record *r, struct err *e);
/* Gives records to `write` (which returns 0 or an error), or only counts when write is NULL. Same database, same bytes. ERR_USAGE for
 * options that do not go together. */
int store_export(struct store *s, const struct export_options *o, export_write write, void *write_arg, struct export_counts *counts,
                 struct err *e);

#endif
