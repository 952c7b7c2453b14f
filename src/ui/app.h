/*
 * app.h - the state of the full-screen program and what changes it. Internal to src/ui.
 *
 * Keys, chat events, ticks and sizes go in; screen_draw makes cells of the result; what needs a terminal or a process (copying, suspending,
 * the editor, leaving) is asked for in struct requests and done by the loop. Time comes in as now_ms, so that a state can be made twice.
 * The chat is reached through a table of functions, which tests replace.
 *
 *   app.c        life, settings, opening conversations, sending      popup*.c    lists and pages over the transcript
 *   events.c     chat events                                         commands.c  slash commands
 *   act.c        what keys do                                        complete.c  Tab
 *   keymap.c     which key does what, by focus                       help.c      texts from the tables
 *   reading.c    reading focus: moving, copying, editing, find        rate.c      ratings and their reasons
 *   duel.c       two replies compared                                walk.c      rating a thought's steps
 *   review.c     replies without a rating, one after another
 *   sample.c     /vote, /compare, /pick and what they tell            board.c     how they look
 *   layout.c     where things are                                    screen.c    state to cells; input.c, thought.c, pane.c parts of it
 */
#ifndef PONDER_APP_H
#define PONDER_APP_H

#include "chat/chat.h"
#include "ui/line.h"
#include "ui/term.h"
#include "ui/transcript.h"
#include "ui/ui.h"

/* What the app wants of a chat: chat.h's own functions, or a test's. */
struct chat_port {
    int (*select)(struct chat *c, int64_t conversation, const struct message_list *branch, struct err *e);
    int64_t (*conversation)(const struct chat *c);
    int (*send)(struct chat *c, const char *text, size_t len, struct err *e);
    int (*edit)(struct chat *c, int64_t prompt, const char *text, size_t len, struct err *e);
    int (*regenerate)(struct chat *c, int64_t reply, struct err *e);
    int (*rethink)(struct chat *c, int64_t reply, size_t bytes, struct err *e);
    int (*sample)(struct chat *c, const struct chat_samples *samples, const char *text, size_t len, struct err *e);
    size_t (*queued)(const struct chat *c);
    const char *(*queued_text)(const struct chat *c, size_t i, size_t *len);
    void (*drop_queued)(struct chat *c, size_t i);
    int (*command)(struct chat *c, const struct think_command *cmd, struct err *e);
    int (*pause)(struct chat *c, bool paused, struct err *e);
    bool (*paused)(const struct chat *c);
    bool (*running)(const struct chat *c);
    int (*set)(struct chat *c, const struct settings *set, const char *model_path, struct err *e);
    const struct model_info *(*model)(const struct chat *c);
};
extern const struct chat_port chat_port_real;

enum focus { FOCUS_INPUT, FOCUS_READING, FOCUS_POPUP };

/* What the loop has to do outside the app; it clears what it did. */
struct requests {
    bool quit, suspend, editor, redraw, bell, theme, mouse;
    bool other_record; /* begin anew: in memory, or on disk again when it is in memory now */
    int exit_code;
    struct str copy; /* text for the clipboard, empty: none */
};

/* Where the mouse can act, as drawn last. */
enum hit_kind { HIT_HEADER, HIT_ITEM, HIT_INPUT, HIT_LESS, HIT_MORE, HIT_ANSWER, HIT_BELOW, HIT_POPUP_ROW };
struct hit {
    enum hit_kind kind;
    int x, y, w, h;
    size_t index;
};
#define HITS_MAX 512

/* What Enter does with the input line. */
enum input_mode { INPUT_PROMPT, INPUT_SAY, INPUT_EDIT_PROMPT, INPUT_EDIT_ANSWER, INPUT_EDIT_THOUGHT, INPUT_BRANCH, INPUT_FIND, INPUT_TAG, INPUT_COMMENT };

/* Where the parts of the screen are; -1 or 0 rows: not shown. */
struct geometry {
    int title_y, trouble_y, view_y, view_h, rule_y, queue_y, queue_h, say_y, say_h, why_y, why_h, input_y, input_h, hint_y;
    int text_w;         /* columns of the transcript */
    int pane_x, pane_w; /* the column of thoughts; 0 wide: none */
};

struct popup;
struct duel;
struct walk;
struct review;
struct app {
    const struct chat_port *port;
    struct chat *chat;   /* borrowed */
    struct store *store; /* borrowed */
    int (*model_path_of)(struct str *out, const char *name, struct err *e);
    bool (*model_name_at)(size_t i, struct str *name, struct str *note);
    struct settings set;
    struct str model_path, good_path; /* asked for, and of the newest model that could be loaded */
    char *good_model;                 /* the setting that goes with it, NULL none */
    struct theme theme;
    struct line *line;
    struct transcript t;
    int w, h;
    int64_t now;

    enum focus focus; /* INPUT or READING; a popup takes the keys while there is one */
    size_t focus_item;
    enum input_mode mode;
    int64_t mode_id;        /* message that is edited */
    struct str stashed;     /* the input line as it was before a mode took it */
    bool prefix_x;          /* Ctrl-X came: the next key decides */
    int64_t interrupted_at; /* of the last Ctrl-C; 0 none */

    size_t reply; /* item of the running reply, SIZE_MAX none */
    struct chat_samples samples; /* what was asked for and whose prompt is still to come; n 0: one reply */
    bool model_failed;
    int64_t loading_since;
    struct str model_name;     /* as shown */
    struct chat_stats last;    /* newest stats of any reply, for the title */
    struct budget next_budget; /* of the next reply alone */
    bool has_next_budget;
    struct budget wanted_budget; /* last one sent for the running reply */
    bool has_wanted_budget;
    bool pane_closed; /* the column of thoughts is folded away */
    bool pane_held;   /* it is scrolled up: its first line has this byte of this item's thought */
    size_t pane_item, pane_at;

    struct str notice; /* a line for the user */
    bool notice_is_error;
    int64_t notice_until; /* 0: until the next key */
    struct str trouble;   /* the record cannot be written: stays on the screen */

    struct duel *duel;   /* two replies that are compared, NULL none */
    struct review *review; /* replies that are gone through; NULL: a chat */
    struct walk *walk;   /* steps of a thought that are rated, NULL none */
    struct popup *popup; /* top of the stack, NULL none */
    struct str find;     /* searched text in reading focus */
    struct reason_lists reasons;
    int64_t why_id; /* reply that was rated last and can be given reasons, 0 none */
    enum part why_part;
    struct str why;               /* the reasons to choose from, as shown */
    int digit;                    /* of the newest key */
    size_t code_item, code_block; /* copied last */

    struct str draft; /* as saved last */
    int64_t draft_at; /* when the line changed, 0: it is saved */

    int64_t *deleted; /* conversations that left the list and are not yet erased */
    size_t n_deleted, cap_deleted;
    int64_t erase_at; /* 0: nothing to erase */

    struct requests want;
    struct geometry geo;       /* made by screen_layout */
    struct hit hits[HITS_MAX]; /* made by screen_draw */
    size_t n_hits;
    bool header_seen; /* the line over the running thought is on the screen */
    bool dirty;       /* something on the screen changed */
};

struct app_config {
    const struct ui_options *options;
    const struct chat_port *port;
    struct chat *chat;
    const char *history_path; /* NULL: no history */
    int w, h;
    int64_t now;
};
int app_new(struct app **out, const struct app_config *c, struct err *e);
void app_free(struct app *a);
void app_key(struct app *a, const struct key *k);
void app_chat_event(struct app *a, const struct chat_event *ev);
void app_tick(struct app *a, int64_t now_ms);
void app_resize(struct app *a, int w, int h);
/* When the screen changes without an event: milliseconds until the next tick is due, -1 never. */
int app_next_tick(const struct app *a);
/* Saves the draft; called before leaving. */
void app_save_draft(struct app *a);
/* The text that came back from the editor. */
void app_editor_done(struct app *a, const char *text, size_t n);

/* ---- shared by the files of the app ---------------------------------------------------------------------------- */

void app_notice(struct app *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void app_error(struct app *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool app_running(const struct app *a);
/* The running reply, NULL none. Valid until the list of messages changes. */
struct item *app_reply(struct app *a);
/* The reply that keys without a target mean: the one in focus, else the newest; SIZE_MAX none. */
size_t app_target_reply(const struct app *a);
int app_open(struct app *a, int64_t conversation, struct err *e);
/* Deletes one for good: also what is kept of it beside the record, and out of the input history. */
int app_delete_conversation(struct app *a, int64_t conversation, struct err *e);
void app_submit(struct app *a, const char *text, size_t n);
void app_send(struct app *a, const char *text, size_t n);
void app_regenerate(struct app *a, int64_t reply);
/* Another answer to the thought of a reply. */
/* The same, but with the first bytes of the reply's thought (SIZE_MAX: all of it, and the answer anew). */
void app_rethink(struct app *a, int64_t reply, size_t bytes);
/* Several replies at once, to a new prompt or with text NULL to the newest one again. */
void app_sample(struct app *a, const struct chat_samples *samples, const char *text, size_t n);
/* Changes one setting for the replies from now on, and whatever of the screen hangs on it. */
int app_set(struct app *a, const char *name, const char *value, struct err *e);
int app_load_model(struct app *a, const char *name, struct err *e);
void app_model_ready(struct app *a);
/* Goes back to the model that ran before, if there was one. */
void app_model_failed(struct app *a);
void app_apply_view(struct app *a);
void app_set_mode(struct app *a, enum input_mode mode, int64_t id, const char *text, size_t n);
void app_leave_mode(struct app *a);
void app_stop(struct app *a);
void app_quit(struct app *a, int code);
void app_copy(struct app *a, const char *text, size_t n);
const char *app_line(const struct app *a, size_t *n);
void app_line_changed(struct app *a);
bool app_beside(const struct app *a); /* thoughts have a column of their own */

/* budgets */
struct budget budget_step(struct budget b, int direction);
struct budget app_budget(const struct app *a);       /* of this reply, or of the next one when idle */
void app_set_budget(struct app *a, struct budget b); /* the same one */

/* pane.c: the column of thoughts */
void pane_draw(struct app *a, struct grid *g);
void pane_scroll(struct app *a, int rows);

/* act.c */
void app_set_fold(struct app *a, size_t i, enum view v);
void app_toggle_fold(struct app *a, size_t i);

/* reading.c */
void reading_enter(struct app *a, size_t item);
void reading_leave(struct app *a);
void reading_move(struct app *a, int direction);
void reading_copy(struct app *a);
void reading_copy_code(struct app *a);
void reading_edit(struct app *a);
void reading_edit_thought(struct app *a);
void reading_branch(struct app *a);
void reading_reroll(struct app *a);
void reading_rethink(struct app *a);
void reading_sibling(struct app *a, int direction);
void reading_find(struct app *a, int direction);

/* rate.c */
void reading_rate(struct app *a, enum part part, int value);
void reading_undo(struct app *a);
void reading_reason(struct app *a, int digit);
void reading_tag(struct app *a);
void reading_comment(struct app *a);
/* The words of an input line as tags of a reply: each is put on, or taken off with a '-' in front. */
void rating_take_tags(struct app *a, int64_t reply, const char *text, size_t n);
/* A comment on the part that was rated last, on the answer where that was another reply's. */
void rating_take_comment(struct app *a, int64_t reply, const char *text, size_t n);
/* Digits mean nothing until the next rating. */
void rating_forget(struct app *a);

/* commands.c */
enum complete_kind {
    COMPLETE_NONE,
    COMPLETE_COMMAND,
    COMPLETE_MODEL,
    COMPLETE_THEME,
    COMPLETE_SETTING,
    COMPLETE_CONVERSATION,
    COMPLETE_FILE,
    COMPLETE_WORDS
};
struct command_def {
    const char *name, *args, *help;
    void (*run)(struct app *a, const char *args);
    enum complete_kind completes;
    const char *words; /* COMPLETE_WORDS: space separated */
};
extern const struct command_def commands_table[];
extern const size_t commands_count;
const struct command_def *command_find(const char *name, size_t n);
/* Runs "/name args" if it is one, or says that there is none. */
void command_run(struct app *a, const char *text, size_t n);
/* Whether text is a command: a slash and a letter in front. Then nothing of it goes to the model. */
bool command_is(const char *text, size_t n);

/* sample.c */
void cmd_vote(struct app *a, const char *args);
void cmd_compare(struct app *a, const char *args);
void cmd_pick(struct app *a, const char *args);
/* The running reply is several: gives its item a board. */
void sample_begin(struct app *a, struct item *it, const struct chat_samples *samples);
/* Takes an event of one of several replies, all but the last one's. */
void sample_event(struct app *a, struct item *it, const struct chat_event *ev);
/* The one that became the active reply takes the item over. */
void sample_ended(struct app *a, struct item *it, const struct chat_event *ev);

/* complete.c */
bool app_complete(void *app, const char *text, size_t cursor, size_t i, struct str *candidate, size_t *from);

/* help.c */
void help_page(struct str *out, int columns);

/* layout.c: rows and columns for the size and state the app has. Changes the transcript's size only. */
void screen_layout(struct app *a);
/* screen.c: draws the state; g gets the size of the app. */
void screen_draw(struct app *a, struct grid *g);
void screen_hit(struct app *a, enum hit_kind kind, int x, int y, int w, int h, size_t index);
/* A line of Markdown, its pieces in their styles. */
void screen_put_markdown(struct grid *g, int x, int y, int x_end, const struct md_line *line);
/* Text in one style from x on; returns the column behind it. */
int screen_put(struct grid *g, int x, int y, int x_end, enum style style, const char *text);
/* Bytes [from, from + n) of a thought, what the model did not write in a style of its own. */
void screen_put_thought(struct grid *g, int x, int y, int x_end, const struct item *it, const char *text, size_t n, size_t from);

/* input.c: the input line as rows, broken at the edge and at newlines, so that every column has its byte. */
struct input_rows {
    int rows, cursor_row, cursor_col;
};
/* The input line, sanitised, with the place of the cursor in it. */
size_t input_text(const struct app *a, struct str *out);
void input_measure(const struct str *text, size_t cursor, int columns, struct input_rows *out);
void input_draw(struct app *a, struct grid *g);
const char *input_mark(const struct app *a);

/* thought.c */
/* The line over a thought, or what a reply is doing before it has one. */
void thought_draw_header(struct app *a, struct grid *g, int x, int y, int x_end, size_t item);
/* [-] [+] [F5] answer, each a place to click, at the end of the row. Returns where they begin, x_end where they have no room. */
int thought_draw_controls(struct app *a, struct grid *g, int x, int y, int x_end, const struct item *it);
void thought_draw_status(struct app *a, struct grid *g, int x, int y, int x_end, size_t item);
/* "Thinking… 7 s · 142/400 tok" */
void thought_live_text(const struct app *a, const struct item *it, struct str *out);
/* How the reply ended, "" when as it should; a line. */
void thought_describe_end(const struct item *it, struct str *out);
/* Milliseconds of thought as they are now. */
int64_t thought_ms_now(const struct app *a, const struct item *it);
void format_seconds(struct str *out, int64_t ms);

/* meter.c: a bar of `columns` cells, `part` of 0..1 full. */
void meter_draw(struct grid *g, int x, int y, int columns, double part, enum style full, enum style empty);

/* popup.c */
void popup_key(struct app *a, const struct key *k);
void popup_draw(struct app *a, struct grid *g);
void popup_click(struct app *a, size_t row);
void popup_close(struct app *a); /* the top one */
void popup_close_all(struct app *a);
const char *popup_hint(const struct app *a);
void popup_open_page(struct app *a, const char *title, const struct str *text);
void popup_open_help(struct app *a);
void popup_open_conversations(struct app *a);
void popup_open_models(struct app *a);
void popup_open_themes(struct app *a);
void popup_open_palette(struct app *a);
void popup_open_settings(struct app *a);
void popup_open_tree(struct app *a);
void popup_open_steps(struct app *a, int64_t reply);

/* popup_settings.c: keeps the present value of a setting in ponder.ini. */
int app_keep(struct app *a, const char *name, struct err *e);
/* Read at the start alone. */
bool setting_is_of_start(const struct setting *d);
/* popup_tree.c: shows a message of this conversation, whichever branch it is on, and gives it the reading focus. */
int app_go_to(struct app *a, int64_t message, struct err *e);
/* popup_conversations.c: deletes for good what was deleted in the list; called before leaving. */
void app_erase_deleted(struct app *a);
/* It is wanted after all. */
void app_keep_conversation(struct app *a, int64_t id);

#endif
