/*
 * base.h - what every other folder stands on: errors, strings, UTF-8, sanitising, paths, files, clock, queue, settings.
 *
 * Rules of the folder
 *   - Nothing here prints, exits or aborts. Allocation can fail, and says so.
 *   - Functions that can fail return an `enum ponder_err` as int (0 is success) and put one line of text into the
 *     `struct err` they are given. A NULL `struct err *` is allowed everywhere.
 *   - Life-cycle verbs: init/release for structs the caller holds, new/free for those the module allocates.
 *     release and free accept what init or new made, also half made, and NULL.
 *   - All text is UTF-8 bytes with a length; a terminating NUL is kept for convenience and never counted.
 */
#ifndef PONDER_BASE_H
#define PONDER_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>

#define PONDER_VERSION "0.1.0"

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* name, the exit code of the program when a command ends with it, what it means */
#define PONDER_ERRORS(X) \
    X(ERR_FAILED, 1, "failed") \
    X(ERR_USAGE, 2, "wrong usage") \
    X(ERR_NOMEM, 1, "out of memory") \
    X(ERR_IO, 1, "input or output failed") \
    X(ERR_FILE, 3, "file cannot be used") \
    X(ERR_UNSUPPORTED, 3, "not supported by this version") \
    X(ERR_NEWER, 3, "made by a newer version") \
    X(ERR_DB, 3, "database cannot be used") \
    X(ERR_FULL, 1, "no space left") \
    X(ERR_BUSY, 1, "in use by another process") \
    X(ERR_NOT_FOUND, 1, "not found") \
    X(ERR_TOO_LONG, 1, "does not fit the context") \
    X(ERR_INVALID, 1, "invalid input") \
    X(ERR_STOPPED, 1, "stopped")

enum ponder_err {
    ERR_OK = 0,
#define X(name, code, text) name,
    PONDER_ERRORS(X)
#undef X
};

/* One error: its kind and one line of text, already fit for a terminal once sanitised. */
struct err {
    int code;
    char text[512];
};

/* Fills e (may be NULL) and returns code, so that `return err_set(e, ERR_IO, ...)` reads as one sentence. The text is one
 * line of well-formed UTF-8, cut between characters: newlines become spaces, ill-formed bytes U+FFFD. The arguments may
 * quote e's own text. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set, with ": " and strerror(errno) behind the text, also behind one that had to be cut. errno stays as it was. */
int err_set_errno(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The exit code of the program for an error code: 0 for ERR_OK. */
int err_exit_code(int code);
/* A short static text for an error code. */
const char *err_name(int code);

/* ---- strings ------------------------------------------------------------------------------------------------ */

/* A growing byte string. All-zero is an empty one. When memory runs out, `failed` sticks, the content stays as it was
 * and later changes do nothing: append freely, check once with str_ok. data is NULL until something was appended. Bytes
 * given to a function may not lie inside the same string. Places beyond the end mean the end. */
struct str {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

#define STR_EMPTY ((struct str){0})

void str_release(struct str *s);
void str_clear(struct str *s);                                     /* length 0, memory kept, failed reset */
bool str_reserve(struct str *s, size_t extra);                     /* room for extra more bytes and a NUL */
void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, const void *bytes, size_t n);
void str_add_char(struct str *s, char c);
void str_add_codepoint(struct str *s, uint32_t cp);                /* as UTF-8; an invalid one as U+FFFD */
void str_addf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void str_truncate(struct str *s, size_t len);
void str_erase(struct str *s, size_t at, size_t n);
bool str_insert(struct str *s, size_t at, const void *bytes, size_t n);
static inline bool str_ok(const struct str *s) { return !s->failed; }
static inline const char *str_cstr(const struct str *s) { return s->data ? s->data : ""; }
/* Hands the bytes over (malloc'ed, NUL-terminated, caller frees) and empties s. NULL when memory ran out. */
char *str_detach(struct str *s);

/* A malloc'ed copy of n bytes with a NUL behind; NULL when memory runs out. */
char *mem_dup_text(const char *text, size_t n);
/* Grows *items (element size `size`) to hold at least `need` elements, doubling; false when memory runs out or the size
 * wraps, with everything as it was. */
bool mem_grow(void *items, size_t *cap, size_t need, size_t size);

/* ---- UTF-8 -------------------------------------------------------------------------------------------------- */

#define UTF8_INVALID UINT32_MAX

/* Decodes one code point at p (n > 0 bytes left). Sets *cp, UTF8_INVALID for an ill-formed one (overlong, surrogate, above
 * U+10FFFF, stray or missing continuation). Returns the bytes consumed, at least 1 (an ill-formed sequence is consumed up
 * to its maximal subpart, Unicode 15 table 3-8). */
size_t utf8_decode(const char *p, size_t n, uint32_t *cp);
/* Writes cp as UTF-8, returns 1 to 4 bytes. Invalid code points are written as U+FFFD. */
size_t utf8_encode(uint32_t cp, char out[4]);
/* Length of the longest prefix of p that does not end inside a sequence which more bytes could complete. */
size_t utf8_complete_prefix(const char *p, size_t n);
bool utf8_is_valid(const char *p, size_t n);
/* Appends bytes as well-formed text: each ill-formed sequence becomes U+FFFD, a NUL stays. */
void str_add_text(struct str *s, const char *p, size_t n);
/* The same byte by byte, to a text that is well-formed but perhaps for a sequence at its end which more bytes could complete; wherever a
 * text was cut, the same comes of it. */
void str_add_text_byte(struct str *s, char c);
/* Nothing completes such a sequence: it becomes U+FFFD. */
void str_end_text(struct str *s);
/* Columns of one code point on a terminal: 0, 1 or 2 (utf8proc, with the overrides of ponder's table). */
int utf8_width(uint32_t cp);
/* Length in bytes of the first grapheme cluster of p (n > 0) and its columns (may be NULL), 0 to 2. Emoji sequences, flags and
 * anything with emoji presentation take 2. A cluster that terminals draw wider than 2 (some Indic ones) is given in pieces, so
 * that the columns add up. Ill-formed bytes are clusters of one byte and one column. A cluster may hold any number of
 * combining marks: its length is not bounded. */
size_t utf8_grapheme(const char *p, size_t n, int *columns);
/* Columns of a whole text without newlines. */
int utf8_columns(const char *p, size_t n);

/* ---- JSON --------------------------------------------------------------------------------------------------- */

/* The value as text (malloc'ed, caller frees); NULL for NULL, and when memory runs out, where jansson's own json_dumps may leave out what did
 * not fit and say nothing. flags: jansson's. */
struct json_t;
char *json_write(const struct json_t *value, size_t flags);

/* ---- sanitising --------------------------------------------------------------------------------------------- */

/* Where text goes. SCREEN: every C0 but \n and \t, DEL, C1, line and paragraph separator, bidi embedding, override,
 * isolate and mark, tag character, BOM, zero-width space, word joiner, invisible operator, deprecated format character,
 * annotation mark, lone surrogate and ill-formed sequence becomes a visible stand-in (control pictures U+2400.. for C0 and
 * U+2421 for DEL, U+FFFD for the rest). Joiners (U+200C, U+200D) and right-to-left letters stay. PIPE: exact but for ESC, C1
 * (also a raw byte 80..9F outside a well-formed sequence) and C0 other than \t and \n, which become the same stand-ins; other
 * ill-formed bytes pass. ONE_LINE: as SCREEN, and \n and \t become a space (titles, error lines, file names). */
enum text_sink { TEXT_SCREEN, TEXT_PIPE, TEXT_ONE_LINE };

/* Streaming form: bytes may be cut anywhere; the result never depends on the cuts. Holds back at most 3 bytes. */
struct text_sanitizer {
    enum text_sink sink;
    unsigned char held[4];
    size_t n_held;
};
void text_sanitizer_init(struct text_sanitizer *s, enum text_sink sink);
void text_sanitizer_feed(struct text_sanitizer *s, const char *p, size_t n, struct str *out);
void text_sanitizer_end(struct text_sanitizer *s, struct str *out); /* what is still held is ill-formed; s can be fed anew */
/* The whole text at once, appended to out. */
void text_sanitize(struct str *out, const char *p, size_t n, enum text_sink sink);
/* Turns \r\n and lone \r into \n in place, as done with every paste and prompt before it is stored. Returns the new length. */
size_t text_normalise_newlines(char *p, size_t n);

/* ---- final answers ------------------------------------------------------------------------------------------ */

/* What kind of answer is looked for in a reply. AUTO: what stands in \boxed{}, else behind "the answer is" and its like, else in the last
 * line; a number where there is one (the last), else the text. NUMBER: the last number of the same places, in the end of the whole reply. BOXED: the content
 * of \boxed{} alone. TEXT: as AUTO, all of it. */
enum answer_form { FORM_AUTO, FORM_NUMBER, FORM_BOXED, FORM_TEXT };
const char *answer_form_name(enum answer_form f);
bool answer_form_by_name(const char *name, enum answer_form *out);
/* Appends the final answer of a reply, so that equal answers are equal bytes; nothing where there is none. */
void answer_extract(struct str *out, enum answer_form form, const char *text, size_t n);
/* What AUTO means for a known answer: NUMBER where it is one, BOXED where it is LaTeX, else TEXT. */
enum answer_form answer_form_of(const char *expected, size_t n);
/* The known answer as answer_extract would give it. */
void answer_expected(struct str *out, enum answer_form form, const char *expected, size_t n);
/* Where the final answer stands, as it is written: in \boxed{}, behind a phrase that announces it, or the last line; *len bytes of text. */
const char *answer_place(const char *text, size_t n, size_t *len);
bool answer_is_right(enum answer_form form, const char *reply, size_t n, const char *expected, size_t n_expected);

/* One voice of a vote. */
struct answer_ballot {
    const char *answer;     /* extracted, "" none */
    bool whole;             /* the answer was not cut */
};
/* How many of n voices say what voice i does; 0 for no answer. */
int answers_same(const struct answer_ballot *b, size_t n, size_t i);
/* The voice that speaks for the most frequent answer: the first of those with that answer that is whole, else the first. Between answers as
 * frequent, the one with more whole voices wins, then the one that came first. Without any answer the first voice that is whole, else the first. */
size_t answers_winner(const struct answer_ballot *b, size_t n);

/* ---- clock -------------------------------------------------------------------------------------------------- */

int64_t clock_mono_ms(void);        /* monotonic; for durations only */
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void);        /* since 1970-01-01 UTC */
/* "2026-01-15T09:30:00.123Z" into out. Times outside the years 0000 to 9999 are moved to the nearest one inside. */
void clock_iso8601(int64_t wall_ms, char out[32]);

/* ---- paths and files ---------------------------------------------------------------------------------------- */

enum path_kind { PATH_CONFIG, PATH_DATA, PATH_STATE, PATH_CACHE };

/* Appends the program's folder of a kind, or a file in it when name is not NULL: $XDG_<KIND>_HOME/ponder[/name], a relative or
 * empty variable ignored as the XDG base directory specification 0.8 says, $HOME/.config and so on otherwise. */
int path_of(struct str *out, enum path_kind kind, const char *name, struct err *e);
/* Appends the i-th place where a file or folder shipped with the program ("themes", "models/catalogue.ini") may be, best first: the folder that
 * $PONDER_DATADIR names, beside the build folder of a source tree, share/ponder beside the program's own folder, the installation. False at the
 * end. A place may not exist. */
bool path_shared_at(size_t i, const char *name, struct str *out);
/* Appends the first of these that can be read. ERR_NOT_FOUND. */
int path_shared(struct str *out, const char *name, struct err *e);
/* Makes the folder and its missing parents, the ones it makes 0700 whatever the umask. Folders that exist keep their mode. A
 * symbolic link as the last part is refused. */
int path_make_folder(const char *path, struct err *e);
/* Opens a private file: created 0600 whatever the umask, O_CLOEXEC, the last part not followed if it is a link; an existing
 * one of ours has its group and other bits removed. Anything but a regular file is refused. flags as for open(2). Returns the
 * descriptor, which the caller closes, or -1 with the kind of error in e->code (ERR_NOT_FOUND: no such file). */
int file_open_private(const char *path, int flags, struct err *e);
/* Appends a whole file of at most max bytes to out; on error out is as long as before. "-" is standard input. ERR_NOT_FOUND
 * when there is none. A FIFO is read until its writer closes it. */
int file_read(struct str *out, const char *path, size_t max, struct err *e);
/* Replaces path with the bytes: temporary file beside it, fsync, rename, fsync of the folder. Mode 0600. On error the old file
 * is untouched and nothing is left behind (only if the last fsync fails is the new one in place and perhaps not yet durable).
 * What is there and no regular file is refused; a link to a file is replaced, not followed. */
int file_write_atomic(const char *path, const void *bytes, size_t n, struct err *e);
/* The same without waiting for the disk, for what can be made again and is checked when it is read: a program that dies leaves the
 * old file or the new one, a power cut may leave a damaged one. A program killed on the way leaves ".ponder-*.tmp" beside it. */
int file_write_cache(const char *path, const void *bytes, size_t n, struct err *e);
/* SHA-256 of a file as 64 hex digits, hex "" on error. step (may be NULL) is called at the start and every 16 MiB; when it
 * returns false the work stops with ERR_STOPPED. */
int file_sha256(const char *path, char hex[65], bool (*step)(void *arg, uint64_t done, uint64_t total), void *arg, struct err *e);

/* ---- sandbox ------------------------------------------------------------------------------------------------ */

/* The version of Landlock that the kernel offers, 0 for none. */
int sandbox_landlock_version(void);
/* From now on this thread, and what it starts, writes, makes and removes files only in these folders and files (those that are there by now;
 * /dev/null and /dev/tty besides) and runs no other program; reading stays free. To be called before any thread starts. ERR_UNSUPPORTED
 * where the kernel lacks it. */
int sandbox_files(const char *const *writable, size_t n, struct err *e);
/* Takes sockets from all threads, and with programs_too running other programs. */
int sandbox_calls(bool programs_too, struct err *e);

/* ---- machine ------------------------------------------------------------------------------------------------- */

/* Bytes of memory that new work can have without pushing other programs out; 0 where it cannot be told. */
uint64_t memory_available(void);

/* For handlers of signals that end the program. The first thread to call it is the one that ends it: for this thread it returns, at once and
 * again whenever it comes back. For any other it never does, so that a second fault cannot end the program while the first still puts the
 * terminal in order. Async-signal-safe. */
void crash_claim(void);

/* ---- queue -------------------------------------------------------------------------------------------------- */

/* A first-in first-out queue of pointers between threads, with a descriptor that is readable while it is not empty.
 * Items belong to the queue from push to pop; what is left at free is given to drop (may be NULL). No thread may use the
 * queue any more when it is freed. */
struct queue;
int queue_new(struct queue **out, void (*drop)(void *item), struct err *e);
void queue_free(struct queue *q);
int queue_push(struct queue *q, void *item);          /* ERR_NOMEM leaves the item with the caller; ERR_INVALID for NULL */
void *queue_pop(struct queue *q);                     /* NULL when empty */
void *queue_wait(struct queue *q, int timeout_ms);    /* -1 waits for ever; NULL on time-out */
size_t queue_count(struct queue *q);
int queue_fd(const struct queue *q);                  /* for poll; do not read from it */

/* ---- settings ----------------------------------------------------------------------------------------------- */

/* A thinking budget as the user types it: 400, 30s, 2m, off, unlimited. */
enum budget_kind { BUDGET_TOKENS, BUDGET_SECONDS, BUDGET_UNLIMITED, BUDGET_OFF };
struct budget {
    enum budget_kind kind;
    double amount;          /* tokens or seconds */
};
/* Tokens 0 to 1000000, seconds 0 to 86400 (up to three decimals), minutes become seconds. ERR_USAGE with a line that names
 * the forms allowed, *out as it was. */
int budget_parse(struct budget *out, const char *text, struct err *e);
/* What budget_parse reads back: "400", "30s" (with up to three decimals where a budget was changed in steps), "off". */
void budget_format(struct budget b, char out[32]);

/* Everything a user can set. Filled in the order default, config file, environment, flag: later wins. Strings belong to the
 * struct. The table settings_table in settings.c is the only place that knows names, ranges, defaults and help; flags,
 * PONDER_* variables, ponder.ini, /set and the help texts are made from it. */
struct settings {
    char *model;             /* catalogue name or file */
    char *system;            /* system text, "" none */
    char *lora;              /* FILE[:SCALE][,FILE[:SCALE]...] */
    char *db;                /* database file, "" the default */
    char *theme;
    char *layout;            /* inline, side */
    char *live_keys;         /* modified, plain */
    char *thoughts;          /* auto, tail, full, hidden: how thoughts are shown */
    char *think;             /* on, off */
    char *cot;               /* prompted mode of models not trained to think: step, few, off */
    char *speculate;         /* on, off */
    char *keys;              /* emacs, vi, "" whatever inputrc says */
    struct budget budget;
    int threads;             /* 0: number of physical cores */
    int ctx;                 /* 0: what the model was trained for, at most 8192 */
    int think_min;
    int answer_max;          /* tokens; 0: what the context has left */
    char *kv;                /* f16, q8_0 */
    int kv_disk;             /* megabytes for keys and values of conversations on disk; 0: none are kept */
    double temp;             /* below 0: the family's recommendation */
    int top_k;
    double top_p;
    double min_p;
    double repeat_penalty;   /* 0 and below: the default, 1 */
    int64_t seed;            /* below 0: drawn for each reply and recorded */
    bool private_chat;
    bool keep_thoughts;      /* thoughts stay in the history that the model sees */
    bool mouse;
    bool loop_guard;
    bool sandbox;
    bool mlock;              /* the model's pages are held in memory */
};

enum setting_type { SETTING_TEXT, SETTING_CHOICE, SETTING_INT, SETTING_INT64, SETTING_REAL, SETTING_BOOL, SETTING_BUDGET };
enum setting_scope { SETTING_SHARED = 1, SETTING_CHAT = 2 };  /* flags of ask and chat, or of the full-screen program only */

struct setting {
    const char *name;        /* as in ponder.ini and /set; --name with dashes for underscores; PONDER_NAME */
    const char *flags;       /* other flag spellings, space separated: "-m", "" */
    enum setting_type type;
    enum setting_scope scope;
    size_t offset;           /* in struct settings */
    const char *initial;     /* default, as text */
    double min, max;         /* numbers */
    const char *choices;     /* SETTING_CHOICE: space separated; other types: what the value looks like, for help. A text or
                                choice may be empty where its default is. */
    const char *help;        /* one line */
};
extern const struct setting settings_table[];
extern const size_t settings_count;

int settings_init(struct settings *s, struct err *e);                       /* defaults */
void settings_release(struct settings *s);
int settings_copy(struct settings *out, const struct settings *s, struct err *e);  /* out holds nothing before */
/* ponder.ini: names in the section [ponder] or in none. A bad line or value is ERR_FILE with file and line, and the lines
 * before it stay applied. A missing file is fine. */
int settings_load(struct settings *s, const char *ini_path, struct err *e);
/* Keeps the present value of one setting in ponder.ini: its line is replaced, or added at the end; comments and all other lines stay as they
 * are. The file and its folder are made where missing, a link is followed. ERR_INVALID for a text that a line of the file cannot hold. */
int settings_save(const struct settings *s, const struct setting *d, const char *ini_path, struct err *e);
/* PONDER_NAME for every setting; an empty variable counts as unset. A bad value is ERR_USAGE with the variable's name. */
int settings_load_env(struct settings *s, struct err *e);
const struct setting *settings_find(const char *name);
/* The setting that a command-line argument is a flag of ("--top-k", "--top-k=40", "-t4", "--no-mouse"), or NULL. */
const struct setting *settings_find_flag(const char *arg);
/* Sets one by its name ('-' and '_' are the same). ERR_USAGE names the setting, the value and what is allowed. */
int settings_set(struct settings *s, const char *name, const char *value, struct err *e);
void settings_get(const struct settings *s, const struct setting *d, struct str *out);
/* Takes the flag at argv[*i]: `--name value`, `--name=value`, `-m value`, `-mvalue`; a boolean takes no further argument:
 * `--name`, `--no-name`, `--name=off`. Returns 1 and advances *i past what it used, 0 if it is no setting's flag, -1 with the
 * error in *e (ERR_USAGE, ERR_NOMEM). */
int settings_take_flag(struct settings *s, int argc, char **argv, int *i, struct err *e);

/* Reads an INI file through inih. on_value returns 0 or an error; file and line are put before its text and reading stops.
 * section is "" before the first one. A value is one line, at most 8 KiB; blanks around it are dropped, and " ;" begins a
 * comment. ERR_NOT_FOUND for a missing file, ERR_FILE for a line that cannot be read. */
int ini_read(const char *path, int (*on_value)(void *arg, const char *section, const char *name, const char *value, struct err *e),
             void *arg, struct err *e);

#endif
