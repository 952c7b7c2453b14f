/*
 * line.c - the input line: GNU readline driven through its callback interface, without a terminal of its own.
 *
 * Invariants
 *   - readline is called only with bytes to read, and what it reads are these bytes: it never waits and never touches a descriptor.
 *   - Nothing it writes is seen: its streams are /dev/null, redisplay, completion lists and terminal modes are hooks that do nothing,
 *     and standard error is set aside while it runs, for the complaints about inputrc.
 *   - Its text is valid UTF-8 without NUL; the locale is made a UTF-8 one, whatever the screen can show.
 *   - The terminal description of curses is put back after readline has loaded its own.
 *
 * The search through the history is line_search.c's in place of readline's. readline is one per process, and so is `current`. It keeps its
 * key bindings and kill ring from one line to the next.
 */
#include "ui/line.h"
#include "ui/line_priv.h"
#include "ui/term.h"
#include "ui/term_priv.h"

#include <stdlib.h>
#include <string.h>
#include <readline/history.h>
#include <readline/readline.h>

enum {
    CANDIDATES_MAX = 1000,
    COMPLETE_BYTES_MAX = 64 << 10, /* a longer text is nothing to complete in */
};

/* readline waits for the rest of something: a number, a second key, a motion. */
#define UNFINISHED                                                                                                                         \
    (RL_STATE_ISEARCH | RL_STATE_NSEARCH | RL_STATE_NUMERICARG | RL_STATE_MULTIKEY | RL_STATE_VIMOTION | RL_STATE_CHARSEARCH |             \
     RL_STATE_METANEXT)

struct line {
    struct line_options o;
    char *history_path;
    const char *in; /* bytes that readline has still to read */
    size_t n_in;
    char *accepted; /* NULL: Enter was not pressed */
    char **candidates;
    size_t n_candidates, cap_candidates;
    bool show_candidates;
    struct line_search search;
};

static struct line *current;

/* ---- readline's hooks --------------------------------------------------------------------------------------------- */

static int read_byte(FILE *ignored)
{
    (void)ignored;
    if (!current || current->n_in == 0) return EOF;
    current->n_in--;
    return (unsigned char)*current->in++;
}

static int bytes_left(void)
{
    return current && current->n_in > 0;
}

static void show_nothing(void) {}

static void prepare_nothing(int ignored)
{
    (void)ignored;
}

static void on_accept(char *text)
{
    if (!text) return; /* end of file, as Ctrl-D on an empty line reads */
    if (!current) {
        free(text);
        return;
    }
    free(current->accepted);
    current->accepted = text;
}

static void on_candidates(char **matches, int n, int longest)
{
    (void)matches;
    (void)n;
    (void)longest;
    if (current) current->show_candidates = true;
}

static void forget_candidates(struct line *l)
{
    for (size_t i = 0; i < l->n_candidates; i++) free(l->candidates[i]);
    l->n_candidates = 0;
    l->show_candidates = false;
}

/* The longest common beginning, cut between characters. */
static char *common_prefix(char *const *texts, size_t n)
{
    size_t len = strlen(texts[0]);
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        while (k < len && texts[0][k] == texts[i][k]) k++;
        len = k;
    }
    return mem_dup_text(texts[0], utf8_complete_prefix(texts[0], len));
}

/* Collects candidates from the callback: their texts into l->candidates, and the line up to the cursor as each would make it into
 * matches[1..]. Returns how many. */
static size_t collect(struct line *l, const char *text, size_t cursor, char **matches)
{
    struct str c = STR_EMPTY, whole = STR_EMPTY;
    size_t n = 0;
    for (size_t i = 0; n < CANDIDATES_MAX; i++) {
        size_t from = cursor;
        str_clear(&c);
        str_clear(&whole);
        if (!l->o.complete(l->o.arg, text, cursor, i, &c, &from)) break;
        if (from > cursor || c.len == 0 || memchr(c.data, '\0', c.len)) continue;
        str_add_bytes(&whole, text, from);
        line_clean(&whole, c.data, c.len);
        if (!str_ok(&c) || !str_ok(&whole) || !mem_grow(&l->candidates, &l->cap_candidates, n + 1, sizeof(*l->candidates))) break;
        char *shown = mem_dup_text(c.data, c.len), *match = str_detach(&whole);
        if (!shown || !match) {
            free(shown);
            free(match);
            break;
        }
        l->candidates[n] = shown;
        matches[1 + n++] = match;
        l->n_candidates = n;
    }
    str_release(&c);
    str_release(&whole);
    return n;
}

/* The word to complete is the whole text up to the cursor (there are no break characters): where a word begins is for the callback
 * to say. */
static char **complete(const char *word, int start, int end)
{
    (void)word;
    (void)start;
    struct line *l = current;
    rl_attempted_completion_over = 1; /* never file names of readline's own accord */
    if (!l || !l->o.complete || end < 0 || end > COMPLETE_BYTES_MAX) return NULL;
    forget_candidates(l);
    char **matches = calloc(CANDIDATES_MAX + 2, sizeof(*matches));
    char *text = mem_dup_text(rl_line_buffer, (size_t)rl_end);
    size_t n = matches && text ? collect(l, text, (size_t)end, matches) : 0;
    free(text);
    if (n > 0) matches[0] = common_prefix(matches + 1, n);
    if (n == 0 || !matches[0]) {
        for (size_t i = 1; matches && i <= n; i++) free(matches[i]);
        free(matches);
        return NULL;
    }
    if (n == 1) {
        size_t len = strlen(matches[1]);
        rl_completion_append_character = len > 0 && strchr("/= ", matches[1][len - 1]) ? '\0' : ' ';
        free(matches[1]);
        matches[1] = NULL;
    }
    return matches;
}

/* ---- running readline ------------------------------------------------------------------------------------------------ */

static FILE *null_in, *null_out;

/* readline 8.2 lets history entries, the line set aside for them and the line itself share undo lists after some moves and searches,
 * and frees them once for each. So undo ends at the line: no entry keeps a list (that of a line that was edited and left is lost with its
 * few bytes rather than freed twice), and a line starts a new one when it moves into the history. */
static void detach_undo_lists(void)
{
    HIST_ENTRY **entries = history_list();
    for (int i = 0; entries && i < history_length; i++) entries[i]->data = NULL;
}

static int without_undo(rl_command_func_t *run, rl_command_func_t *ours, int count, int key)
{
    detach_undo_lists();
    rl_free_undo_list();
    if (rl_last_func == ours) rl_last_func = run; /* repeated searches go on with the same words */
    return run(count, key);
}

/* clang-format off */
#define HISTORY_COMMANDS(X) \
    X(rl_get_previous_history) \
    X(rl_get_next_history) \
    X(rl_beginning_of_history) \
    X(rl_end_of_history) \
    X(rl_fetch_history) \
    X(rl_vi_fetch_history) \
    X(rl_history_search_backward) \
    X(rl_history_search_forward) \
    X(rl_history_substr_search_backward) \
    X(rl_history_substr_search_forward) \
    X(rl_operate_and_get_next)
#define X(command) \
    static int our_##command(int count, int key) { return without_undo(command, our_##command, count, key); }
HISTORY_COMMANDS(X)
#undef X
/* clang-format on */

/* Feeds bytes. glibc's stderr is a variable, and readline's complaints go through it. */
static void feed(struct line *l, const char *bytes, size_t n)
{
    FILE *err = stderr;
    stderr = null_out;
    l->in = bytes;
    l->n_in = n;
    /* Each call reads a byte or more; the bound is for a readline that does not. */
    for (size_t i = 0; l->n_in > 0 && !l->accepted && i < 2 * n + 8; i++) rl_callback_read_char();
    l->n_in = 0;
    stderr = err;
}

/* Some of readline's commands take one byte where a character has several, and the rest is typed; quoted-insert takes NUL too. Such
 * bytes are no text. A search may leave the cursor behind the end. */
static void repair_text(void)
{
    if (rl_point > rl_end) rl_point = rl_end;
    if (strlen(rl_line_buffer) == (size_t)rl_end && utf8_is_valid(rl_line_buffer, (size_t)rl_end)) return;
    for (int i = 0; i < rl_end;) {
        uint32_t cp;
        int k = (int)utf8_decode(rl_line_buffer + i, (size_t)(rl_end - i), &cp);
        if (cp != UTF8_INVALID && cp != 0) {
            i += k;
            continue;
        }
        rl_delete_text(i, i + k);
        if (rl_point > i) rl_point = rl_point > i + k ? rl_point - k : i;
    }
    while (rl_point > 0 && ((unsigned char)rl_line_buffer[rl_point] & 0xc0) == 0x80) rl_point--;
}

/* Ends what waits for more keys, keeping the line that a search has found. */
static void settle(struct line *l)
{
    line_search_end(&l->search, true);
    for (int i = 0; i < 4 && RL_ISSTATE(UNFINISHED); i++) feed(l, "\a", 1);
    detach_undo_lists();
}

static int open_streams(struct err *e)
{
    if (!null_in) null_in = fopen("/dev/null", "re");
    if (!null_out) null_out = fopen("/dev/null", "we");
    if (!null_in || !null_out) return err_set_errno(e, ERR_IO, "/dev/null cannot be opened");
    return ERR_OK;
}

static int read_inputrc_again(int count, int key);

/* The functions that are ours instead of readline's, wherever inputrc has put them. */
static void replace_functions(Keymap map)
{
    static const struct {
        rl_command_func_t *theirs, *ours;
    } table[] = {{rl_reverse_search_history, line_search_backward},
                 {rl_forward_search_history, line_search_forward},
                 {rl_noninc_reverse_search, line_search_backward},
                 {rl_noninc_forward_search, line_search_forward},
                 {rl_vi_search, line_search_vi},
                 {rl_vi_search_again, line_search_vi_again},
                 {rl_noninc_reverse_search_again, line_search_older},
                 {rl_noninc_forward_search_again, line_search_newer},
                 {rl_re_read_init_file, read_inputrc_again},
#define X(command) {command, our_##command},
                 HISTORY_COMMANDS(X)
#undef X
    };
    for (int i = 0; i < KEYMAP_SIZE; i++) {
        if (map[i].type == ISKMAP && map[i].function) replace_functions((Keymap)map[i].function);
        for (size_t k = 0; map[i].type == ISFUNC && k < ARRAY_LEN(table); k++)
            if (map[i].function == table[k].theirs) map[i].function = table[k].ours;
    }
}

static void replace_everywhere(void)
{
    replace_functions(emacs_standard_keymap); /* emacs_meta and emacs_ctlx hang below it */
    replace_functions(vi_insertion_keymap);
    replace_functions(vi_movement_keymap);
}

static void bind_more_keys(void)
{
    static const struct {
        const char *bytes;
        rl_command_func_t *run;
    } keys[] = {
        {"\\e[1;5C", rl_forward_word}, {"\\e[1;5D", rl_backward_word}, {"\\e[1;3C", rl_forward_word}, {"\\e[1;3D", rl_backward_word},
        {"\\e[3~", rl_delete},         {"\\e[3;5~", rl_kill_word},     {"\\e[3;3~", rl_kill_word},    {"\\e[H", rl_beg_of_line},
        {"\\e[F", rl_end_of_line},     {"\\e[1;5H", rl_beg_of_line},   {"\\e[1;5F", rl_end_of_line},
    };
    Keymap maps[] = {emacs_standard_keymap, vi_insertion_keymap, vi_movement_keymap};
    for (size_t m = 0; m < ARRAY_LEN(maps); m++)
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) rl_bind_keyseq_if_unbound_in_map(keys[i].bytes, keys[i].run, maps[m]);
}

/* What inputrc may not change here: everything that would write to a terminal, wait for time to pass, or take UTF-8 apart. */
static void bind_variables(void)
{
    static const char *const fixed[][2] = {
        {"bell-style", "none"},   {"blink-matching-paren", "off"}, {"show-mode-in-prompt", "off"}, {"mark-modified-lines", "off"},
        {"input-meta", "on"},     {"output-meta", "on"},           {"convert-meta", "off"},        {"byte-oriented", "off"},
        {"visible-stats", "off"}, {"colored-stats", "off"},
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) rl_variable_bind(fixed[i][0], fixed[i][1]);
}

static int read_inputrc_again(int count, int key)
{
    int rc = rl_re_read_init_file(count, key);
    bind_variables();
    replace_everywhere();
    return rc;
}

static int inputrc_mode = -1; /* rl_editing_mode as inputrc has it; -1 not read yet */

void line_set_keys(struct line *l, const char *keys)
{
    (void)l;
    if (strcmp(keys, "vi") != 0 && strcmp(keys, "emacs") != 0) keys = inputrc_mode == 0 ? "vi" : "emacs";
    rl_variable_bind("editing-mode", keys);
}

/* Sets readline up, and reads inputrc the first time. */
static void start_readline(const char *keys)
{
    rl_readline_name = "ponder";
    rl_instream = null_in;
    rl_outstream = null_out;
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0;
    rl_getc_function = read_byte;
    rl_input_available_hook = bytes_left;
    rl_redisplay_function = show_nothing;
    rl_prep_term_function = prepare_nothing;
    rl_deprep_term_function = show_nothing;
    rl_completion_display_matches_hook = on_candidates;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = "";
    rl_completer_quote_characters = "";
    rl_ignore_completion_duplicates = 1;
    rl_sort_completion_matches = 0;
    history_comment_char = '#';
    history_write_timestamps = 1;
    FILE *err = stderr;
    stderr = null_out;
    if (inputrc_mode < 0) rl_variable_bind("show-all-if-ambiguous", "on"); /* before inputrc, which may say no */
    void *terminal = term_info_swap(NULL);
    rl_initialize();
    term_info_swap(terminal);
    if (inputrc_mode < 0) inputrc_mode = rl_editing_mode;
    bind_variables();
    bind_more_keys();
    replace_everywhere();
    line_set_keys(NULL, keys);
    stderr = err;
}

int line_new(struct line **out, const struct line_options *o, struct err *e)
{
    *out = NULL;
    if (current) return err_set(e, ERR_BUSY, "there is an input line already");
    int rc = open_streams(e);
    if (rc) return rc;
    struct line *l = calloc(1, sizeof(*l));
    if (!l) return err_set(e, ERR_NOMEM, "no memory for the input line");
    l->o = *o;
    if (o->history_path) {
        l->history_path = mem_dup_text(o->history_path, strlen(o->history_path));
        if (!l->history_path) {
            free(l);
            return err_set(e, ERR_NOMEM, "no memory for the input line");
        }
    }
    term_locale_is_utf8();
    start_readline(o->keys ? o->keys : "");
    rl_clear_history();
    using_history();
    stifle_history(LINE_HISTORY_MAX);
    if (l->history_path) line_history_read(l->history_path);
    using_history();
    line_search_init(&l->search);
    current = *out = l;
    rl_callback_handler_install("", on_accept);
    return ERR_OK;
}

bool line_keeps_history(const struct line *l)
{
    return l->history_path != NULL;
}

void line_reload_history(struct line *l)
{
    size_t n, cursor;
    const char *now = line_text(l, &n, &cursor);
    char *text = mem_dup_text(now, n);
    line_search_end(&l->search, false);
    detach_undo_lists();
    rl_free_undo_list();
    rl_clear_history();
    if (l->history_path) line_history_read(l->history_path);
    using_history();
    if (text) line_set(l, text, n);
    free(text);
}

void line_free(struct line *l)
{
    if (!l) return;
    settle(l);
    line_search_release(&l->search);
    rl_callback_handler_remove();
    rl_clear_history();
    rl_free_undo_list();
    if (l->history_path) line_history_trim(l->history_path, NULL);
    forget_candidates(l);
    free(l->candidates);
    free(l->history_path);
    free(l->accepted);
    free(l);
    current = NULL;
}

/* ---- lines of a text that has several ----------------------------------------------------------------------------------- */

static size_t line_start(size_t at)
{
    while (at > 0 && rl_line_buffer[at - 1] != '\n') at--;
    return at;
}

static size_t line_end(size_t at)
{
    while (at < (size_t)rl_end && rl_line_buffer[at] != '\n') at++;
    return at;
}

/* The byte in the line that starts at `start` which is nearest to a column from the left. */
static size_t at_column(size_t start, int column)
{
    size_t at = start, end = line_end(start);
    for (int done = 0; at < end;) {
        int columns;
        size_t k = utf8_grapheme(rl_line_buffer + at, end - at, &columns);
        done += columns;
        if (done > column) break;
        at += k;
    }
    return at;
}

static bool is_key(const char *bytes, size_t n, char letter)
{
    return n == 3 && bytes[0] == '\033' && (bytes[1] == '[' || bytes[1] == 'O') && bytes[2] == letter;
}

/* Moves within a text of several lines; false where the key is readline's. */
static bool move_in_lines(const char *bytes, size_t n)
{
    if (RL_ISSTATE(UNFINISHED) || rl_end == 0 || !memchr(rl_line_buffer, '\n', (size_t)rl_end)) return false;
    size_t point = (size_t)rl_point, start = line_start(point), end = line_end(point);
    int column = utf8_columns(rl_line_buffer + start, point - start);
    if (is_key(bytes, n, 'A') && start > 0)
        rl_point = (int)at_column(line_start(start - 1), column);
    else if (is_key(bytes, n, 'B') && end < (size_t)rl_end)
        rl_point = (int)at_column(end + 1, column);
    else if (is_key(bytes, n, 'H') && point != start)
        rl_point = (int)start;
    else if (is_key(bytes, n, 'F') && point != end)
        rl_point = (int)end;
    else
        return false;
    return true;
}

/* ---- the interface --------------------------------------------------------------------------------------------------------- */

/* readline types the rest of a sequence that it does not know. */
static bool is_unbound_sequence(const char *bytes, size_t n)
{
    if (n < 3 || bytes[0] != '\033' || (bytes[1] != '[' && bytes[1] != 'O')) return false;
    int type = ISFUNC;
    rl_command_func_t *f = rl_function_of_keyseq_len(bytes, n, NULL, &type);
    return !f || type == ISKMAP;
}

static void run_key(struct line *l, const char *bytes, size_t n)
{
    if (line_search_key(&l->search, bytes, n)) return;
    bool sequence = n >= 3 && bytes[0] == '\033' && (bytes[1] == '[' || bytes[1] == 'O');
    if (sequence && RL_ISSTATE(RL_STATE_MULTIKEY)) settle(l);
    if (move_in_lines(bytes, n) || is_unbound_sequence(bytes, n)) return;
    feed(l, bytes, n);
    repair_text();
}

bool line_key(struct line *l, const char *bytes, size_t n)
{
    free(l->accepted);
    l->accepted = NULL;
    bool shown = l->show_candidates;
    l->show_candidates = false;
    if (n > 0) run_key(l, bytes, n);
    detach_undo_lists();
    if (shown && !l->show_candidates) forget_candidates(l);
    return l->accepted != NULL;
}

void line_insert(struct line *l, const char *text, size_t n)
{
    struct str s = STR_EMPTY;
    line_clean(&s, text, n);
    if (s.len > 0 && str_ok(&s) && s.len < (size_t)INT32_MAX - (size_t)rl_end) {
        settle(l);
        rl_begin_undo_group();
        rl_insert_text(s.data);
        rl_end_undo_group();
    }
    l->show_candidates = false;
    str_release(&s);
}

const char *line_text(const struct line *l, size_t *len, size_t *cursor)
{
    const char *found = line_search_text(&l->search, len, cursor);
    if (found) return found;
    if (len) *len = (size_t)rl_end;
    if (cursor) *cursor = (size_t)rl_point;
    return rl_line_buffer;
}

void line_set(struct line *l, const char *text, size_t n)
{
    free(l->accepted);
    l->accepted = NULL;
    settle(l);
    our_rl_end_of_history(1, 0); /* Up starts at the newest again */
    detach_undo_lists();
    rl_begin_undo_group();
    rl_delete_text(0, rl_end);
    rl_point = 0;
    rl_end_undo_group();
    line_insert(l, text, n);
}

char *line_take(struct line *l, bool keep_out, size_t *len)
{
    char *text = l->accepted;
    l->accepted = NULL;
    if (!text) {
        settle(l);
        text = mem_dup_text(rl_line_buffer, (size_t)rl_end);
        if (!text) return NULL;
        line_set(l, "", 0);
    }
    size_t n = strlen(text);
    if (len) *len = n;
    if (n == 0 || keep_out) return text;
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (!last || strcmp(last->line, text) != 0) {
        add_history(text);
        if (l->history_path) line_history_append(l->history_path, text, n, NULL);
    }
    using_history(); /* the line after this one has begun before the entry was there */
    return text;
}

const char *line_message(const struct line *l)
{
    if (l->search.active) return l->search.message.data ? l->search.message.data : "";
    if (!rl_display_prompt || rl_display_prompt == rl_prompt) return "";
    return rl_display_prompt;
}

const char *line_mode(const struct line *l)
{
    (void)l;
    if (rl_editing_mode != 0) return "";
    return rl_get_keymap() == vi_movement_keymap ? "cmd" : "ins";
}

const char *const *line_candidates(const struct line *l, size_t *n)
{
    *n = l->show_candidates ? l->n_candidates : 0;
    return (const char *const *)l->candidates;
}
