/*
 * think_internal.h - what the files of the thinking controller share.
 *
 *   think.c            life, think_next, think_accept, the user's commands: the state machine
 *   think_text.c       bytes: tags across tokens, what is thought and what is answer, UTF-8, reasoning in the answer
 *   think_plan.c       numbers: when to favour the close and when to force it, the soft ramp, the loop guard
 *   think_force.c      the queue of forced tokens: lead, wrap-up, wait, say, opening and closing tags
 *   think_tokenizer.c  think_new: the controller on a tokenizer
 *
 * The functions here are internal. Those that allocate set t->nomem instead of returning an error; think_accept and think_do
 * look at it once.
 */
#ifndef PONDER_MODEL_THINK_INTERNAL_H
#define PONDER_MODEL_THINK_INTERNAL_H

#include "model/model.h"

#define WAIT_MAX 8 /* tokens to wait for whole characters and whole tags before something is forced */

/* ---- the seam to the vocabulary ------------------------------------------------------------------------------ */

/* What the controller asks of a vocabulary; as the tokenizer_ functions of model.h. arg must outlive the controller. */
struct think_vocab {
    const void *arg;
    int (*size)(const void *arg);
    const char *(*piece)(const void *arg, int32_t id, size_t *len);
    int32_t (*find)(const void *arg, const char *text);
    bool (*is_end)(const void *arg, int32_t id);
    bool (*is_control)(const void *arg, int32_t id);
    int (*encode)(const void *arg, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e);
};

/* think_new on any vocabulary; c->tokenizer is not used. */
int think_new_with(struct think **out, const struct think_config *c, const struct think_vocab *v, struct err *e);

/* ---- parts --------------------------------------------------------------------------------------------------- */

enum tag_kind { TAG_OPEN, TAG_CLOSE, TAG_ANSWER_OPEN, TAG_ANSWER_CLOSE };
struct tag {
    enum tag_kind kind;
    const char *text; /* the family's */
    size_t len;
    int32_t id;  /* one token: matched by id alone; -1: matched on bytes */
    bool phrase; /* words rather than markup: counts at the start of a line only */
};

enum force_kind { FORCE_LEAD, FORCE_WRAP_UP, FORCE_WAIT, FORCE_SAY, FORCE_GIVEN, FORCE_OPEN, FORCE_CLOSE };
struct forced {
    int32_t id;
    enum force_kind kind;
    bool last; /* of its span */
};

/* What is known of a byte that still may turn out to be part of a tag. */
enum mark {
    MARK_SAMPLED = 1,
    MARK_INJECTED = 2, /* never part of a tag */
    MARK_CONTROL = 4,  /* text of a control token: part of a tag or of nothing, never shown */
    MARK_FIRST = 8,    /* first byte of a token */
};

/* Where in a text the next byte stands. */
struct place {
    bool line_start;  /* only blanks since the newline */
    bool fence;       /* inside a ``` block */
    bool inline_code; /* behind an odd number of backticks on this line */
    int ticks;        /* backticks in a row that began the line */
    char last;        /* byte before, 0 at the start */
};

/* An event and where its text lies in think.text. */
struct slot {
    struct think_event ev;
    size_t text_at;
    unsigned call; /* of the controller in which it was made */
};

#define LOOP_WINDOW 512
#define ESCAPE_MAX  32
#define LIMIT_NONE  INT32_MAX

/* When the close is favoured and when it is forced, in thought tokens. */
struct limits {
    int soft, force;
    enum thought_ending ending_soft, ending_force;
};

struct think {
    const struct family *family;
    struct think_vocab vocab;
    int think_min, answer_max, answer_reserve, context_left;
    bool loop_guard;
    int n_vocab;
    struct tag *tags;
    size_t n_tags;
    struct tokens ends;      /* ids that end a reply */
    struct tokens close_tag; /* the first closing tag alone */
    int wrap_len, close_len; /* tokens of the wrap-up and of the forced close */

    /* the state machine */
    enum think_state state;
    enum thought_ending cause; /* why the close is under way, while it is */
    bool by_model;             /* the close under way was begun by the model's own end token */
    bool more_after_close;     /* think more came when the closing tag was half put */
    int waited;                /* tokens in WAITING_UTF8 */
    bool given_closed;         /* the thought that was given is to be closed behind its last token, */
    enum thought_ending given_ending; /* as this */
    int more_until;            /* a closing tag sampled below this many thought tokens gives way to the wait phrase, once */
    struct str say;            /* the user's line, waiting for a clean place */
    int say_waits;             /* 0: no line waits; else 1 + the tokens it has waited for a clean place */
    struct forced *queue;
    size_t queue_at, queue_n, queue_cap;
    int32_t refused[16]; /* ids refused at this position */
    size_t n_refused;
    int ends_refused; /* end tokens refused because the answer is still empty */

    /* numbers */
    struct budget budget;      /* in force */
    int plan_soft, plan_force; /* from the budget, in thought tokens */
    bool plan_clock;           /* a budget in seconds that has not yet become token positions */
    bool plan_fresh;           /* the budget was just changed by the user */
    int grace_end;             /* end of the grace after a lowered budget, 0: none */
    int loop_force;            /* LIMIT_NONE unless the loop guard closes */
    int loop_soft;
    size_t position; /* tokens put, sampled and forced */
    int thought_tokens, block_tokens, answer_tokens;
    int opened, extensions, escaped;
    int64_t now_ms, last_ms, open_ms, earlier_ms; /* running time; last_ms belongs to last_position */
    size_t last_position;
    double token_ms;             /* moving average, 0 while unknown */
    size_t ramped_at;            /* position + 1 whose logits have had the soft ramp */
    bool ramped;                 /* ... and were raised by it */
    int32_t recent[LOOP_WINDOW]; /* ring of sampled tokens of this thought or this answer */
    size_t n_recent, loop_quiet;

    /* text */
    struct str held, marks; /* bytes that may become a tag, and a mark for each */
    struct str tail;        /* bytes of thought or answer not yet given out */
    size_t tail_newlines;   /* newlines at its end that belong to the tag if one follows */
    bool tail_sampled;
    size_t thought_bytes, block_bytes, answer_bytes; /* passed on so far, tail included */
    int thought_newlines;                            /* at the end of the thought */
    char thought_end[8];                             /* its last bytes, the newest last */
    bool answer_trim;                                /* newlines that come next are the tag's */
    bool answer_has_text;                            /* a byte that is no blank */
    struct place place;                              /* of the region the text is in */
    struct place answer_place;                       /* the answer's, while a thought is open again */
    char escape[ESCAPE_MAX];                         /* the beginning of a sentence of the answer */
    size_t escape_n;
    bool escape_on;

    /* the injected span under way */
    bool span_open;
    enum force_kind span_kind;
    size_t span_position, span_offset;
    struct str span_text;

    /* events */
    struct slot *slots;
    size_t slot_at, slot_n, slot_cap;
    struct str text;
    unsigned call;
    enum thought_ending thought_ending;
    enum answer_ending answer_ending;
    bool ended_told;
    bool nomem;
};

static inline bool thought_is_open(const struct think *t)
{
    return t->state >= THINK_COUNTING && t->state <= THINK_FORCING;
}

static inline bool thought_is_closing(const struct think *t)
{
    return t->state == THINK_WAITING_UTF8 || t->state == THINK_FORCING;
}

/* ---- think.c ------------------------------------------------------------------------------------------------- */

struct think_event *think_push(struct think *t, enum think_event_kind kind); /* NULL: out of memory, noted */
void think_tell_budget(struct think *t, struct budget b, const char *author);
void think_open_thought(struct think *t);
void think_close_thought(struct think *t, enum thought_ending ending);
/* A tag was recognised in the text, with so many tokens that began in it. */
void think_take_tag(struct think *t, const struct tag *g, int n_tokens);
void think_begin_close(struct think *t, enum thought_ending cause);

/* ---- think_text.c -------------------------------------------------------------------------------------------- */

/* Takes the bytes of a token: gives out what is certain, keeps what may be a tag. mark: see enum mark, without MARK_FIRST. */
void text_feed(struct think *t, const char *p, size_t n, unsigned mark);
/* What is held is plain text after all. */
void text_settle(struct think *t);
/* Forgets what is held (bytes of a tag); returns the number of tokens that began in it. */
int text_drop_held(struct think *t);
int text_held_tokens(const struct think *t);
bool text_held_is_blank(const struct think *t);
/* Nothing completes the character at the end: it is U+FFFD. */
void text_end_character(struct think *t);
/* Gives out everything. before_tag: newlines at the end of a thought belong to the tag and are dropped. */
void text_end(struct think *t, bool before_tag);
void text_start_thought(struct think *t);
void text_start_answer(struct think *t);
/* Makes a thought that was opened again begin on a line of its own. */
void text_separate(struct think *t);
/* No half character and no half tag. */
bool text_clean(const struct think *t);
/* Bytes of the unfinished character at the end, 0 to 3. */
size_t text_unfinished(const struct think *t, char out[4]);
/* A tag that is one token, where it counts as a tag here; NULL otherwise. */
const struct tag *text_tag_of_id(const struct think *t, int32_t id);
/* How many bytes of a closing tag matched on bytes would be there after these; the whole length if it would be complete. *tag
 * is that tag. 0: none. */
size_t text_closing(const struct think *t, const char *p, size_t n, const struct tag **tag);
/* A sentence or a line ends here. */
bool text_at_boundary(const struct think *t);

/* Whether a budget in tokens has room for the wrap-up sentence. */
bool plan_wrap_fits(const struct think *t);
/* ---- think_plan.c -------------------------------------------------------------------------------------------- */

enum plan_why { PLAN_START, PLAN_CHANGED, PLAN_REOPENED };
void plan_budget(struct think *t, enum plan_why why);
void plan_clock_tick(struct think *t, int64_t running_ms);
/* Moves between COUNTING, SOFT and the forced close. */
void plan_step(struct think *t);
struct limits plan_limits(const struct think *t);
/* Tokens of the budget that are left for a thought, LIMIT_NONE when there is no end. */
int plan_left(const struct think *t);
/* How much a budget is worth in tokens, for comparisons. */
double plan_worth(const struct think *t, struct budget b);
/* What one step more makes of a budget. */
struct budget plan_more(const struct think *t);
/* Raises the closing tag in SOFT. */
void plan_ramp(struct think *t, float *logits);
void plan_loop_reset(struct think *t);
/* Notes a sampled thought token; true when the thought goes round in circles. */
bool plan_loop_feed(struct think *t, int32_t id);

/* ---- think_force.c ------------------------------------------------------------------------------------------- */

static inline size_t force_pending(const struct think *t)
{
    return t->queue_n - t->queue_at;
}

/* Encode and queue. Nothing is queued on an error (out of memory is also noted). */
int force_text(struct think *t, enum force_kind kind, const char *text, size_t n, struct err *e);
int force_open(struct think *t, struct err *e);
/* The closing sequence, with the wrap-up sentence in front. */
int force_close(struct think *t, bool wrap_up, struct err *e);
/* Opening and closing sequence in one: an empty thought, as the family's template writes it. */
int force_empty(struct think *t, struct err *e);
/* The tokens of the closing tag that follow its first one, which the model was led to. */
void force_rest_of_close(struct think *t);
/* The family's wait phrase; at_start: it will stand at the beginning of a thought. */
int force_wait(struct think *t, bool at_start, struct err *e);
int force_say(struct think *t, struct err *e);
/* Empties the queue, but for the tokens that complete a character. Ends the span under way. */
void force_cut(struct think *t);
/* True once a token of the forced closing sequence is on the timeline. */
bool force_close_begun(const struct think *t);
void force_span_begin(struct think *t, enum force_kind kind);
void force_span_end(struct think *t);
/* Measures wrap-up and close, finds the closing tag. ERR_FAILED when the vocabulary cannot say them. */
int force_prepare(struct think *t, struct err *e);

#endif
