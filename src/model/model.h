/*
 * model.h - a local language model: load a GGUF file, render a chat, tokenise it, run it, steer its thought.
 *
 * The pieces, in the order in which a turn uses them:
 *   engine     a loaded model file. Read-only after engine_open; several sessions may share it.
 *   family     the chat template and thinking conventions of a kind of model, a const table entry.
 *   prompt     a rendered conversation: bytes, and which of them the program wrote itself.
 *   tokenizer  bytes to token ids and back. Belongs to its engine (or stands alone, for a vocabulary-only file).
 *   session    one mutable token timeline with its KV cache on an engine. Not shared between threads.
 *   speculator evaluates several tokens of a session at once where the next ones can be guessed.
 *   sampler    logits to one token id.
 *   think      the thinking controller: sits between sampler and reader, decides which tokens are forced or withheld and
 *              which bytes are thought or answer.
 *   trainer    a low-rank adapter that learns; needs none of the others but an engine.
 *
 * One token's way: session_logits -> think_next -> (sampler_pick) -> think_accept -> think_pop (text for the reader)
 * -> session_decode or speculator_decode.
 *
 * Nothing here prints, exits, or touches curses or SQL. Model files are untrusted: every number in one is checked before it
 * is used. Unless said otherwise functions return 0 or an enum ponder_err with a line in *e.
 */
#ifndef PONDER_MODEL_H
#define PONDER_MODEL_H

#include "base/base.h"

struct engine;
struct tokenizer;
struct session;
struct speculator;
struct sampler;
struct think;
struct prompt;
struct render_options;
struct template_facts;

/* ---- token lists -------------------------------------------------------------------------------------------- */

struct tokens {
    int32_t *ids;
    size_t n, cap;
};
int tokens_push(struct tokens *t, int32_t id);                    /* ERR_NOMEM, t unchanged */
int tokens_append(struct tokens *t, const int32_t *ids, size_t n);
void tokens_release(struct tokens *t);

/* ---- families and templates --------------------------------------------------------------------------------- */

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

/* One turn of a conversation, borrowed bytes. thought is the reply's thought apart from its answer (assistant only; NULL
 * when none). content of an assistant may hold an inline <think> block, which templates treat as they were written to. */
struct chat_message {
    enum role role;
    const char *content;
    size_t content_len;
    const char *thought;
    size_t thought_len;
};

/* How a thought begins. */
enum thought_start {
    THOUGHT_BY_MODEL,       /* the model writes the opening tag itself */
    THOUGHT_PREFILLED,      /* the prompt ends inside an opened thought */
    THOUGHT_PROMPTED,       /* the model was not trained to think: system line plus an opened block (zero-shot CoT) */
};

/* A kind of model: its template and its thinking conventions. Entries are static and const. */
struct family {
    const char *name;               /* "qwen3", "deepseek-r1-distill-qwen", "chatml", ... */
    enum thought_start start;       /* when thinking is on */
    const char *const *open;        /* texts that open a thought, NULL-terminated, the usual one first; found as one token by
                                       id where the vocabulary has it, as decoded bytes across tokens otherwise */
    const char *const *close;       /* texts that close it; bytes after the tag belong to the answer */
    const char *close_forced;       /* what is put to close by force: newline, tag and what the template has after it */
    const char *wrap_up;            /* sentence before a forced close, e.g. Qwen's early-stop text, without the tag */
    const char *wait;               /* put in place of a dropped closing tag: "Wait" */
    const char *think_lead;         /* prompted mode: the first words of the opened block, e.g. "Let's think step by step."; NULL
                                       elsewhere. Recorded as an injected span of kind "lead". */
    const char *const *answer_end;  /* texts of tokens that end a reply besides the vocabulary's EOS */
    bool off_switch;                /* the template itself can turn thinking off */
    bool history_drops_thoughts;    /* earlier thoughts are not rendered */
    const char *thought_key;        /* message key in exports: "reasoning_content" or "thinking" */
    double temp, top_p;             /* the makers' sampling values */
    int top_k;
    double min_p;
    int (*render)(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e);
    const char *const *answer_open; /* texts the model may write between the close and the answer, part of neither; NULL: none */
    const char *const *answer_close; /* texts the model may write behind the answer, not part of it; NULL: none */
    const struct template_facts *facts; /* the renderer's own */
};

/* A half-open range of prompt bytes that came from outside (user, file, model). Tags and control tokens are never
 * recognised inside or across the edge of one. */
struct prompt_span {
    size_t from, to;
};

struct prompt {
    struct str text;
    struct prompt_span *outside;    /* ascending, disjoint */
    size_t n_outside, cap_outside;
    bool thought_open;              /* the text ends inside an opened thought */
};
void prompt_release(struct prompt *p);
/* For renderers: text written by the program, and text from outside. Out of memory sets text.failed. */
void prompt_add(struct prompt *p, const char *text);
void prompt_add_outside(struct prompt *p, const char *bytes, size_t n);

/* The worked examples in use, as the record names them. */
#define EXAMPLES_NAME "few-1"
struct render_options {
    bool think;                 /* thinking on */
    bool force_off;             /* thinking off and no switch in the template: end the prompt with an empty thought */
    bool prompted;              /* add the prompted mode to a family that was not trained to think (and to a system text that hides a
                                   template's own request to think); off for `inspect prompt` */
    bool examples;              /* with prompted: worked examples before the conversation (few-shot chain of thought) */
    bool keep_thoughts;         /* render earlier thoughts although the family drops them */
    bool no_generation;         /* leave out the opening of the reply */
    const char *date;           /* "YYYY-MM-DD" for templates that print one; NULL: today */
    const char *bos;            /* text of the BOS token for templates that write it; NULL: as published with the template */
};

/* The family of a chat template (its Jinja text, n bytes; never executed). Unknown text gives the ChatML fallback and sets
 * *recognised to false. text NULL is a model without a template. */
const struct family *family_of_template(const char *text, size_t n, bool *recognised);
const struct family *family_by_name(const char *name);              /* NULL when there is none */
/* The family of a model that was trained to think where f was not: the same template, with a thought opened behind the prompt, in f's own
 * tags. f itself where it thinks already or there is no such family. */
const struct family *family_trained(const struct family *f);
/* Renders messages, byte for byte as the published template does. out is an empty prompt; the caller releases it.
 * Merges, only where a template refuses the messages: a system message in front goes before the first user message when there
 * is no system role; neighbours of one role are joined by an empty line when roles must alternate; an empty reply is left out
 * when the template wants none. ERR_INVALID with the template's reason where it refuses and none of these helps. */
int family_render(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e);
/* Appends what the template writes behind a reply up to the token that ends it, which is what a model has to write there. */
int family_reply_end(const struct family *f, struct str *out, struct err *e);
/* Appends what the template writes before a reply, without anything of a thought. */
int family_reply_begin(const struct family *f, struct str *out, struct err *e);

/* ---- tokenizer ---------------------------------------------------------------------------------------------- */

/* Which tokens that are not plain text are recognised in a text. */
enum token_parse {
    PARSE_NONE,       /* none but user-defined white space: text from outside */
    PARSE_USER,       /* tokens of type user-defined only: what reference tokenizers do with plain text */
    PARSE_CONTROL,    /* control tokens too */
};
enum token_type { TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };

/* The tokenizer of a GGUF file, also of one without tensors. Caller frees. */
int tokenizer_open(struct tokenizer **out, const char *path, struct err *e);
void tokenizer_free(struct tokenizer *t);
int tokenizer_size(const struct tokenizer *t);                      /* vocabulary size */
/* Appends the ids of n bytes of text; invalid UTF-8 is taken byte by byte. No BOS is added. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e);
/* The same for text that goes on behind other tokens: without the space that some vocabularies put in front of a text. */
int tokenizer_encode_more(const struct tokenizer *t, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e);
/* Appends the ids of a rendered prompt: control tokens are recognised outside its `outside` spans only; text runs that meet
 * at a span's edge are split and merged as one text. Adds BOS in front if the vocabulary wants one and the text has none. */
int tokenizer_encode_prompt(const struct tokenizer *t, const struct prompt *p, struct tokens *out, struct err *e);
/* The bytes a token stands for (its own text for control tokens), valid while t lives. "" for ids out of range. */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *len);
enum token_type tokenizer_type(const struct tokenizer *t, int32_t id);
int32_t tokenizer_find(const struct tokenizer *t, const char *text);      /* a control, user or normal token with exactly these bytes; -1 */
int32_t tokenizer_bos(const struct tokenizer *t);                   /* -1 when none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);       /* ends a reply: eos, eot, eom and their well-known texts */
/* The chat template in the file, or NULL. Valid while t lives. */
const char *tokenizer_template(const struct tokenizer *t, size_t *len);

/* ---- engine ------------------------------------------------------------------------------------------------- */

struct model_info {
    const char *path;
    char name[128];              /* the file's name without ending and quantisation (general.name where that is generic), one clean line */
    char arch[32];
    char quant[16];              /* "Q4_1", "Q4_K_M", ... */
    int n_vocab, n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim;
    int ctx_train;
    uint64_t n_params, file_bytes;
    const struct family *family;
    bool template_recognised;
};

/* What a model file is, for lists: read from its header alone, no weight is touched. session_bytes: of a session of n_ctx tokens (0: as many
 * as it was trained for, at most 8192). */
struct model_look {
    char name[128], arch[32], quant[16];
    int ctx_train;
    uint64_t n_params, file_bytes, session_bytes;
};
int model_look(struct model_look *out, const char *path, int n_ctx, struct err *e);

/* Loads a model through mmap. ERR_FILE, ERR_UNSUPPORTED or ERR_NOMEM with the file and the reason in *e. */
int engine_open(struct engine **out, const char *path, struct err *e);
void engine_free(struct engine *m);
/* Holds the whole file in memory until the engine is freed, whatever else the machine needs. ERR_NOMEM with numbers where it is larger than what is free, or than
 * what the user may hold; nothing is held then. */
int engine_lock(const struct engine *m, struct err *e);
/* The file, as one clean line, whose mapping has this address, or NULL. For a handler of SIGBUS: takes no lock. */
const char *model_file_at(const void *address);
const struct model_info *engine_info(const struct engine *m);
const struct tokenizer *engine_tokenizer(const struct engine *m);
/* How a session keeps keys and values: f16, or Q8_0 (GGML's blocks of 32 with one scale), which takes 17/32 of the memory, is a little less
 * exact and a little slower. */
enum kv_type { KV_F16, KV_Q8_0 };
const char *kv_type_name(enum kv_type kv);              /* "f16", "q8_0" */
bool kv_type_by_name(const char *name, enum kv_type *out);

/* Bytes that a session of n_ctx tokens needs beside the mapped file. */
uint64_t engine_session_bytes(const struct engine *m, int n_ctx, enum kv_type kv);
/* Lists metadata and tensors of any GGUF file, appended to out: sanitised text, a line each, or one line of JSON. Of arrays the first few elements. */
int model_list_gguf(struct str *out, const char *path, bool json, struct err *e);
/* The SHA-256 of the model file, from the cache (device, inode, size, mtime) or computed; takes seconds for a large file, so
 * call it from a thread of its own. *stop (may be NULL) ends it with ERR_STOPPED. */
int model_file_hash(const char *path, char hex[65], const volatile bool *stop, struct err *e);
/* The kernel family in use: "scalar", "avx2", "avx512", "amx". PONDER_KERNELS forces one; a family that this CPU lacks is an
 * error at engine_open. */
const char *engine_kernels(void);
/* Chooses the kernel family now instead of at the first engine_open; ERR_UNSUPPORTED or ERR_USAGE where PONDER_KERNELS asks for what is not there. */
int engine_kernels_init(struct err *e);
/* Number of physical cores this process may use. */
int engine_default_threads(void);

/* ---- session ------------------------------------------------------------------------------------------------ */

/* Called between pieces of a long evaluation; returning false stops it with ERR_STOPPED and the session still consistent. */
typedef bool (*session_step)(void *arg, size_t done, size_t total);

/* n_ctx tokens of KV cache, n_threads workers (at least 1; the calling thread is one of them). The engine must outlive it. ERR_UNSUPPORTED
 * where this model's cache cannot be kept so. */
int session_new(struct session **out, const struct engine *m, int n_ctx, int n_threads, enum kv_type kv, struct err *e);
void session_free(struct session *s);
int session_ctx(const struct session *s);
/* The tokens evaluated so far. Valid until the next call. */
const int32_t *session_tokens(const struct session *s, size_t *n);
/* Makes the timeline equal to ids (n > 0), all of the prompt class: keeps the KV of the longest common prefix of prompt-class
 * tokens, evaluates the rest, leaves the logits of the last token. ERR_TOO_LONG if n exceeds the context. *reused (may be
 * NULL) gets the number of tokens that were not evaluated. */
int session_sync(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, size_t *reused, struct err *e);
/* Tokens that are evaluated at once at the most. */
enum { SESSION_DECODE_MAX = 8 };
/* How many of ids, from the first on, session_sync would find evaluated in the prompt class. */
size_t session_shared(const struct session *s, const int32_t *ids, size_t n);
/* Evaluates what a later session_sync with these ids in front will reuse; leaves no logits. A timeline that begins with ids already
 * stays as it is. */
int session_prepare(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, struct err *e);
/* Appends n (1 to 8) generated or injected tokens; logits of the last one follow. Same bits for n at once or one at a time. */
int session_decode(struct session *s, const int32_t *ids, size_t n, struct err *e);
/* Appends ids[0] and evaluates those behind it (1 to 8 in all) in the same pass, in case that they will follow: session_take puts
 * them on the timeline one by one. Any other call that evaluates or truncates forgets them. */
int session_decode_ahead(struct session *s, const int32_t *ids, size_t n, struct err *e);
/* Appends id at no cost if it was evaluated ahead for this place; its logits follow, the same bits as from session_decode. False:
 * nothing is changed. */
bool session_take(struct session *s, int32_t id);
/* Logits of the last token, n_vocab floats; the caller may change them, valid until the next evaluation. */
float *session_logits(struct session *s);
/* Drops all tokens from position n on. */
void session_truncate(struct session *s, size_t n);
/* Evaluates ids from an empty timeline and calls row for every position with its logits (n_vocab floats). one_by_one feeds
 * them through session_decode. For `inspect logits` and tests. */
int session_score(struct session *s, const int32_t *ids, size_t n, bool one_by_one, void (*row)(void *arg, size_t pos, const float *logits),
                  void *arg, struct err *e);

/* ---- batch -------------------------------------------------------------------------------------------------- */

/* Up to 8 continuations of a session's timeline, decoded together: a pass through the weights serves one token of each. They share the
 * prompt's K/V; each has its own from there on, and the bits that session_decode would give it alone. */
#define BATCH_MAX 8
struct batch;
/* n (1 to BATCH_MAX) continuations of what the session holds, with its logits; both have to stay as they are until the batch is
 * freed. Each may grow to the session's context. */
int batch_new(struct batch **out, struct session *s, int n, struct err *e);
/* n continuations of prompts of their own: the session is free for the next prompt as soon as one has taken what it holds. */
int batch_new_apart(struct batch **out, struct session *s, int n, struct err *e);
/* Continuation i of a batch apart goes on from what the session holds now, which has been evaluated and is copied, with its logits. */
void batch_take(struct batch *b, int i);
void batch_free(struct batch *b);
/* Appends ids[j] to continuation which[j], for j < m, each continuation at most once. A failed call changes nothing; ERR_TOO_LONG when the
 * context of one of them is full. */
int batch_decode(struct batch *b, const int *which, const int32_t *ids, int m, struct err *e);
/* Makes continuation i empty again. */
void batch_restart(struct batch *b, int i);
/* Logits of the last token of continuation i (at first the prompt's); the caller may change them, valid until the next batch_decode with i. */
float *batch_logits(struct batch *b, int i);
size_t batch_used(const struct batch *b, int i);        /* tokens, the prompt included */

/* A LoRA adapter in a GGUF file, for this engine, which must outlive it. ERR_FILE, ERR_UNSUPPORTED or ERR_NOMEM with the file and the
 * reason. Caller frees, after the sessions that use it. */
struct adapter;
int adapter_open(struct adapter **out, const struct engine *m, const char *path, struct err *e);
void adapter_free(struct adapter *a);
/* The same for n bytes of text, "FILE[:SCALE]": what follows the last colon is a scale only if it is a number. */
int adapter_open_text(struct adapter **out, double *scale, const struct engine *m, const char *text, size_t n, struct err *e);
/* The family to talk to the engine's model as while the adapter is on: what it was taught to be, where its file says so, else the model's own. */
const struct family *adapter_family(const struct adapter *a);
/* Takes these adapters, each with its scale (1: as trained), in place of those the session has; n 0: none. Empties the timeline, which was
 * made with others. ERR_INVALID, ERR_NOMEM: nothing is changed. */
int session_set_adapters(struct session *s, const struct adapter *const *list, const double *scales, size_t n, struct err *e);

/* ---- speculation ------------------------------------------------------------------------------------------ */

/* Guesses what follows from what stood in earlier prompts and replies, and has it evaluated ahead where that is likely to save time. The
 * timeline, logits and picks are those of a session without it. One speculator goes with one model. */
int speculator_new(struct speculator **out, struct err *e);
void speculator_free(struct speculator *p);
/* A reply to this prompt begins. */
int speculator_begin(struct speculator *p, const int32_t *ids, size_t n, struct err *e);
/* session_decode of one token. sure: those that will follow it for all that is known (think_forced), n_sure 0 for none. */
int speculator_decode(struct speculator *p, struct session *s, int32_t id, const int32_t *sure, size_t n_sure, struct err *e);
/* Tokens guessed and evaluated ahead since speculator_begin, and how many of them came. */
void speculator_counts(const struct speculator *p, size_t *drafted, size_t *accepted);

/* ---- measuring ----------------------------------------------------------------------------------------------- */

/* Where the time of a token goes: the products with a layer's matrices, attention, the product with the output matrix, and what lies
 * between them (norms, rounding of activations, positions, sums). */
#define SESSION_STAGES(X) X(QKV, "qkv") X(ATTENTION, "attention") X(OUT, "attention_out") X(GATE_UP, "gate_up") X(DOWN, "down") \
    X(VOCABULARY, "vocabulary") X(BETWEEN, "between")
#define X(n, s) STAGE_##n,
enum session_stage { SESSION_STAGES(X) STAGE_COUNT };
#undef X
const char *session_stage_name(enum session_stage stage);

/* What a token takes behind `positions` others: bytes of weights, keys and values that generating it reads, and multiplications and
 * additions (each counted) that it takes in a prompt, whose tokens share the bytes. */
struct token_cost {
    double bytes[STAGE_COUNT], ops[STAGE_COUNT];
};
void engine_token_cost(const struct engine *m, double positions, struct token_cost *out);

/* Wall time by stage, and how much of it the calling thread waited for the others. */
struct session_profile {
    int64_t us[STAGE_COUNT], waiting_us[STAGE_COUNT];
    int64_t last_us, last_waited_us;    /* the session's own */
};
/* Clears *p and adds to it from now on, until told otherwise (p NULL) or the session ends. Costs two readings of the clock a stage. */
void session_set_profile(struct session *s, struct session_profile *p);

/* What this machine could do at best with a session's threads. */
struct roof {
    double read_gbps;           /* memory read in a row, 1e9 bytes a second */
    double multiply_gops;       /* the instructions that the prompt's products stand on, with nothing to load; 0 where not known */
    const char *instructions;   /* their names, "" where not known */
    size_t read_bytes;          /* of memory that was read over and over */
};
/* Measures it in about half a second and some hundred megabytes, which are given back. ERR_NOMEM. */
int session_measure_roof(struct session *s, struct roof *out, struct err *e);

/* ---- K/V in files ------------------------------------------------------------------------------------------- */

/* Pieces of a timeline's cache in files, for conversations that go on later. What is read back has the bits it was written with, and
 * is taken only where evaluating it here and now would give the same: a key says what bits depend on. The key of a timeline's beginning
 * covers the model's files, adapters with their scales, kernels, this build of the program and the format; each further token is
 * chained to it. Files are untrusted: any damage is ERR_FILE and leaves a timeline that is shorter, not wrong. */
struct kv_key {
    uint8_t bytes[32];
};
/* The key of an empty timeline of s. ERR_NOMEM, ERR_FAILED. */
int kv_key_start(struct kv_key *key, const struct session *s, struct err *e);
/* The key behind n more tokens. A chain is the same only where it was cut at the same places. */
int kv_key_add(struct kv_key *key, const int32_t *ids, size_t n, struct err *e);
/* Writes n positions from `from` on, all of the prompt class (else ERR_INVALID), through a temporary file; `before` is the key of the
 * timeline up to them. */
int session_save(const struct session *s, const struct kv_key *before, size_t from, size_t n, const char *path, struct err *e);
/* Lengthens a timeline that is equal to ids up to its end by what the file has of ids: the file's first position may not lie behind that end,
 * `before` is the key up to it. Nothing happens where the file has no more to give. ERR_FILE: damaged or not what the name promised;
 * ERR_NOT_FOUND, ERR_NOMEM, ERR_IO. */
int session_load(struct session *s, const struct kv_key *before, size_t from, const int32_t *ids, size_t n, const char *path, struct err *e);
/* Bytes of a file of n positions. */
uint64_t session_file_bytes(const struct session *s, size_t n);

/* ---- sampler ------------------------------------------------------------------------------------------------ */

struct sampler_params {
    double temp;                 /* 0: greedy */
    int top_k;                   /* 0: off */
    double top_p, min_p;         /* 1 and 0: off */
    double repeat_penalty;       /* 1: off; over the last 64 tokens */
    uint64_t seed;
};
int sampler_new(struct sampler **out, int n_vocab, const struct sampler_params *p, struct err *e);
void sampler_free(struct sampler *s);
/* Picks one id: repeat penalty, temperature, top-k, top-p, min-p, in this order; at temperature 0 the best, the lowest of
 * equals. Draws exactly one random number a call, so that the n-th pick depends on the seed and n alone. logits come back as
 * they were, so that a position can be asked twice. -INFINITY and NaN entries are never picked while a finite one exists. */
int32_t sampler_pick(struct sampler *s, float *logits);
void sampler_accept(struct sampler *s, int32_t id);    /* for the repeat penalty: every token put on the timeline */

/* ---- thinking controller ------------------------------------------------------------------------------------ */

/* How the thought and the answer of a reply ended. Names as stored and printed. */
#define THOUGHT_ENDINGS(X) X(NONE, "none") X(NATURAL, "natural") X(ANSWER_NOW, "answer_now") X(BUDGET_SOFT, "budget_soft") \
    X(BUDGET_HARD, "budget_hard") X(LOOP, "loop") X(STOPPED, "stopped") X(CONTEXT_FULL, "context_full") \
    X(INTERRUPTED, "interrupted") X(ERROR, "error")
#define ANSWER_ENDINGS(X) X(NOT_BEGUN, "") X(COMPLETE, "complete") X(LENGTH, "length") X(STOPPED, "stopped") \
    X(CONTEXT_FULL, "context_full") X(INTERRUPTED, "interrupted") X(ERROR, "error")
#define X(n, s) THOUGHT_##n,
enum thought_ending { THOUGHT_ENDINGS(X) };
#undef X
#define X(n, s) ANSWER_##n,
enum answer_ending { ANSWER_ENDINGS(X) };
#undef X
const char *thought_ending_name(enum thought_ending t);
const char *answer_ending_name(enum answer_ending a);      /* NULL for ANSWER_NOT_BEGUN */
/* NONE and NOT_BEGUN for what is no name. */
enum thought_ending thought_ending_by_name(const char *name);
enum answer_ending answer_ending_by_name(const char *name);

enum think_state { THINK_IDLE, THINK_COUNTING, THINK_SOFT, THINK_WAITING_UTF8, THINK_FORCING, THINK_ANSWER, THINK_DONE };

struct think_config {
    const struct family *family;
    const struct tokenizer *tokenizer;
    bool think;                  /* thinking on; off also when the family has no way to think and prompting is off */
    bool thought_open;           /* the prompt ends inside a thought (prompt.thought_open) */
    struct budget budget;
    int think_min;               /* closing tag withheld for so many thought tokens */
    int answer_max;              /* 0: no limit of its own */
    int answer_reserve;          /* tokens of the context that thought may not use */
    int context_left;            /* tokens the session can still take after the prompt */
    bool loop_guard;             /* close softly on repetition; otherwise only report it */
    /* A thought to begin with, put before anything is sampled: the thought goes on behind it, or with given_closed is closed there and ends as
     * given_ending says. It counts as thought and is no span: a model wrote it. NULL: none. Copied. */
    const char *given;
    size_t given_len;
    bool given_closed;
    enum thought_ending given_ending;
};

/* The user's live commands, obeyed at the very next token.
 *   SET_BUDGET  a new total, counted from the first thought token. The wrap-up sentence is inside it. Below what is used: a soft
 *               close from now on, forced within 32 tokens. Raised while the budget's own wrap-up is being put: that is called off.
 *   ANSWER_NOW  wrap-up sentence and closing tag, at the next whole character.
 *   MORE        a step more of budget (a quarter, at least 64 tokens or 5 seconds). A close under way is called off with the
 *               family's wait phrase; a thought just closed (no visible byte of an answer yet) is opened again; otherwise the
 *               model's next own close within 64 tokens gives way to the wait phrase, once.
 *   SAY         the user's line, on lines of its own, at the next whole character. It may come before the thought has begun.
 *   STOP        ends the reply. */
enum think_verb { THINK_SET_BUDGET, THINK_ANSWER_NOW, THINK_MORE, THINK_SAY, THINK_STOP };
struct think_command {
    enum think_verb verb;
    struct budget budget;        /* THINK_SET_BUDGET: the new total */
    const char *text;            /* THINK_SAY: the user's line */
    size_t text_len;
};

enum think_event_kind {
    THINK_TEXT_THOUGHT,          /* some of the thought: whole characters, U+FFFD for bytes that are none; a NUL is one */
    THINK_TEXT_ANSWER,
    THINK_OPENED,                /* a thought began (again) */
    THINK_CLOSED,                /* thought_ending tells how */
    THINK_BUDGET,                /* the budget in force at the start, and whenever it changes, at token position `position`. author
                                    "user": by command. Else "program": the one at the start, or, when the clock ended a budget in
                                    seconds, the budget in tokens which set at this position does the same without a clock */
    THINK_INJECTED,              /* text that no sampler chose: span_kind "lead", "wrap_up", "wait", "say", "close"; author "user"
                                    or "program"; told when it is over. It began at token `position` and is text_len bytes from byte
                                    `offset` of the thought on; "close" has none, the tag is not part of the thought */
    THINK_LOOP,                  /* repetition noticed: offer or made a close */
    THINK_ESCAPED,               /* reasoning seen in the answer; `count` so far: a sentence that begins "Wait," or "Hmm" or the like
                                    after a thought, or a closing tag where no thought was opened */
    THINK_ENDED,                 /* the reply is over: the last event, once */
};
struct think_event {
    enum think_event_kind kind;
    const char *text;            /* TEXT and INJECTED; valid until the next call on the controller other than think_pop */
    size_t text_len;
    struct budget budget;        /* THINK_BUDGET; otherwise the one in force */
    size_t position;             /* tokens of this reply so far, sampled and forced */
    size_t offset;
    const char *span_kind, *author;
    enum thought_ending thought_ending;
    enum answer_ending answer_ending;
    int count;
    bool sampled;                /* TEXT: some of the bytes come from a sampled token */
};

struct think_stats {
    enum think_state state;
    struct budget budget;        /* in force */
    int thought_tokens;          /* sampled and injected, tags left out */
    int answer_tokens;
    int extensions;              /* think more, and budgets raised */
    int escaped;
    enum thought_ending thought_ending;   /* THOUGHT_NONE while open */
    enum answer_ending answer_ending;
};

enum think_action {
    THINK_DO_SAMPLE,             /* sample from the logits, which think_next may have changed */
    THINK_DO_FORCE,              /* take *forced */
    THINK_DO_END,                /* the reply is over: no more tokens */
};

int think_new(struct think **out, const struct think_config *c, struct err *e);
void think_free(struct think *t);
/* What to do for the next token. logits: n_vocab floats of the position to be filled; they are changed where tags or ends are
 * favoured or withheld. running_ms: time since the first decode of this reply, pauses left out. */
enum think_action think_next(struct think *t, float *logits, int64_t running_ms, int32_t *forced);
/* Tells the controller which token was put on the timeline. ERR_NOMEM only. Events wait in think_pop.
 * A sampled id for which *keep comes back false must not be put on the timeline (a dropped closing tag, an end token inside a
 * thought): ask think_next again with the same logits. */
int think_accept(struct think *t, int32_t id, bool forced, bool *keep, struct err *e);
/* The tokens, at most max, that think_next will force one after another unless a command changes that; returns how many. */
size_t think_forced(const struct think *t, int32_t *ids, size_t max);
/* Acts on the next token. ERR_INVALID with a line for the user where the command makes no sense in this state. */
int think_do(struct think *t, const struct think_command *c, struct err *e);
/* Ends the reply from outside: context full, error, interruption. `thought` counts while the thought is open or none has begun,
 * `answer` from then on. Nothing happens when the reply is over already. */
void think_abort(struct think *t, enum thought_ending thought, enum answer_ending answer);
bool think_pop(struct think *t, struct think_event *ev);
/* False once the reply is over (state THINK_DONE). */
bool think_running(const struct think *t);
void think_stats(const struct think *t, struct think_stats *out);

/* ---- many replies ------------------------------------------------------------------------------------------- */

/* A reply that is wanted. Everything borrowed, until it is over. */
struct rollout {
    const struct tokens *prompt;
    bool thought_open;           /* the prompt ends inside a thought */
    bool think;
    const struct family *family;
    struct budget budget;        /* in tokens, off or unlimited */
    int answer_max;              /* tokens; 0: no limit of its own */
    int reply_max;               /* tokens of thought, tags and answer, none kept for the answer; 0: what the context has room for */
    struct sampler_params sampling;
    void *arg;                   /* the caller's */
};
/* One that is over; valid during the call only. */
struct rollout_reply {
    const struct rollout *rollout;
    struct str thought, answer;
    struct tokens ids;           /* what was put behind the prompt */
    const uint8_t *sampled;      /* of each of these: 1 the model's choice, 0 put by the program */
    int32_t last;                /* the model's choice that ended it, not among ids; -1: none did */
    struct think_stats stats;
    int opened, closed;          /* how often a thought was opened and closed */
};
/* Writes as many replies as next gives (it fills *r and returns true), up to BATCH_MAX at a time; done gets each as it ends, not in the order
 * of next, and may stop it all by returning an error. Replies that share a prompt should come in a row: it is evaluated once. Each has the
 * bits it has alone. The session's timeline is changed. stop (may be NULL) is read at every token: ERR_STOPPED. */
int rollouts_run(struct session *s, const struct tokenizer *tok, bool (*next)(void *arg, struct rollout *r),
                 int (*done)(void *arg, const struct rollout_reply *r, struct err *e), void *arg, const volatile bool *stop, struct err *e);

/* ---- training ----------------------------------------------------------------------------------------------- */

/*
 * A trainer teaches a low-rank adapter (LoRA) to an engine's model, which stays as it is. The order of a step:
 *   trainer_forward    log-probabilities of the tokens to be learnt of some sequences
 *   trainer_backward   adds to the gradient, by what a loss says of each of them: any loss over log-probabilities fits
 *   trainer_step       after one or more of these: AdamW, and an empty gradient
 * The same calls give the same bits, whatever the number of threads. Not shared between threads.
 */
struct trainer;

#define TRAIN_ALL 0x7fu         /* attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down: a bit each, from the lowest */
struct train_options {
    int rank;                   /* 1 to 256 */
    double alpha;               /* what is added is scaled by alpha / rank */
    unsigned targets;
    uint64_t seed;              /* of the first values: A uniform in +-1/sqrt(n_in), B zero */
    int n_threads;
    int max_tokens;             /* of a call to trainer_forward, 1 to 65536 */
    const char *family;         /* what the adapter's file names, see adapter_family; NULL: none. Borrowed */
    uint64_t memory;            /* bytes that a forward pass may keep; beyond, layers are computed twice. 0: half of what is free */
    bool f32;                   /* products in f32 also where bf16 would be faster */
};
/* A mask of targets from names with commas between: of matrices, "attn", "ffn" or "all". ERR_USAGE with the names there are. */
int train_targets_parse(unsigned *out, const char *text, struct err *e);

/* Tokens with what they count in a loss: weights[i] of ids.ids[i], 0 what is not learnt. All-zero is an empty one. */
struct train_text {
    struct tokens ids;
    float *weights;
    size_t cap;
};
void train_text_release(struct train_text *t);
struct train_style {
    double thought_weight, answer_weight;   /* of the thought's tokens with its tags, and of the answer's with what ends it */
    bool prompted, examples;                /* as in render_options: what a chat asks of a model that was not trained to think. Without prompted
                                             * it is taught to think: what stands around a thought is as family_trained has it */
    const char *date;
    size_t slip, n_slip;                    /* bytes of the reply's own thought that are not learnt: something wrong that it goes on to mend */
    const char *spelled;                    /* a word that the reply and the end of its thought write with a token a letter; NULL: none. Borrowed */
};
/* Appends a conversation that ends in a reply: what comes before it as a chat's prompt has it, then the reply as the model would write it and
 * learns it. The thought is m's own, or one in tags at the beginning of the content. What the program puts itself (a prompted mode's first words)
 * is not learnt. */
int train_text_reply(struct train_text *out, const struct engine *m, const struct chat_message *messages, size_t n, const struct train_style *style,
                     struct err *e);
/* Appends the prompt alone: what a chat's prompt has for messages that end in a question. *thought_open: it ends inside an opened thought. */
int train_text_prompt(struct train_text *out, const struct engine *m, const struct chat_message *messages, size_t n, const struct train_style *style,
                      bool think, bool *thought_open, struct err *e);
/* Appends text that has been rendered already: a prompt, and what is learnt of it. prompt NULL: the replies in completion are found by how the
 * model's template opens and ends them, and learnt; all of it where there are none. */
int train_text_rendered(struct train_text *out, const struct engine *m, const char *prompt, size_t n_prompt, const char *completion, size_t n,
                        const struct train_style *style, struct err *e);

/* The engine must outlive it. ERR_UNSUPPORTED for a model that has more than norms, attention over all positions and a gated feed-forward. */
int trainer_new(struct trainer **out, const struct engine *m, const struct train_options *o, struct err *e);
void trainer_free(struct trainer *t);
size_t trainer_parameters(const struct trainer *t);
/* Whether what a forward pass keeps did not fit options.memory. */
bool trainer_recomputes(const struct trainer *t);
/* "f32", "bf16": of the large products. */
const char *trainer_precision(const struct trainer *t);

/* A text with what is to be learnt of it, borrowed. Token i is learnt, from those before it, where learn[i] is not 0; the first cannot be. */
struct train_sequence {
    const int32_t *ids;
    const uint8_t *learn;
    size_t n;
    bool as_alone;  /* what is learnt is not the token but what the model alone says there: in place of the token's log-probability comes
                     * -KL(alone || adapted) in nats, 0 where nothing has changed */
};
/* logp gets the natural-log probability of each learnt token, in order. adapted false: by the model alone, of the tokens always. keep: trainer_backward may follow.
 * ERR_TOO_LONG when the sequences have more than max_tokens together. */
int trainer_forward(struct trainer *t, const struct train_sequence *s, size_t n, bool adapted, bool keep, float *logp, struct err *e);
/* coef: derivative of the loss by each of the log-probabilities that the last forward gave. */
int trainer_backward(struct trainer *t, const float *coef, struct err *e);

struct train_step {
    double lr, beta1, beta2, eps, decay;
    double clip;                /* norm that the gradient is cut to; 0: none */
};
/* One step of AdamW (as PyTorch has it). norm (may be NULL): of the gradient before it was cut. A gradient that is not a number changes
 * nothing and is thrown away: ERR_INVALID. */
int trainer_step(struct trainer *t, const struct train_step *o, double *norm, struct err *e);
/* Forgets the gradient. */
void trainer_clear(struct trainer *t);
/* Learning rate of step `step` (from 0) of `total`: rises over `warmup` steps, then falls on a cosine to lowest * lr. */
double train_schedule(double lr, double lowest, int64_t step, int64_t warmup, int64_t total);

/* Writes the adapter as GGUF, in f32 or f16, as file_write_atomic does. */
int trainer_write_adapter(const struct trainer *t, const char *path, bool f16, struct err *e);
/* The adapter as it is now, for sessions of the trainer's engine: the trainer goes on without changing it. Caller frees. */
int trainer_adapter(const struct trainer *t, struct adapter **out, struct err *e);
/* Begins with the values of an adapter in a file, which must have this trainer's rank and targets. Its alpha replaces the option's. */
int trainer_read_adapter(struct trainer *t, const char *path, struct err *e);
/* Writes values, moments and steps to a file, with a line that says what run it is and n bytes of the caller's own; and reads them back.
 * ERR_INVALID when the file is of another run, ERR_FILE when it is damaged: the trainer is then as it was. */
int trainer_save(const struct trainer *t, const char *path, const char *run, const void *own, size_t n, struct err *e);
int trainer_load(struct trainer *t, const char *path, const char *run, void *own, size_t n, struct err *e);

#endif
