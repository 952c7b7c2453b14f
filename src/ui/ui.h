/*
 * ui.h - the full-screen program and its plain twin.
 *
 * Data's way: bytes from the terminal -> key (keys.h) -> app state (app.h) -> screen_draw, a pure function of that state into a grid of
 * cells (grid.h) -> the terminal (term.h) or, headless, text. Model output comes as chat events into the same state. One thread; the
 * loop waits in poll for terminal, chat, signals and the next timer.
 */
#ifndef PONDER_UI_H
#define PONDER_UI_H

#include "base/base.h"
#include "store/store.h"

struct ui_options {
    const struct settings *settings;
    struct store *store;              /* borrowed */
    int64_t conversation;             /* to continue; 0 a new one */
    const char *model_path;
    const char *store_trouble;        /* a line when the record could not be opened and chats stay in memory; NULL */
    /* Turns a catalogue name or file into a path (appended), as the command line does; the model picker and /model use it. */
    int (*model_path_of)(struct str *out, const char *name, struct err *e);
    /* Names of the models in the catalogue and folder, one a call by index; false at the end. For completion and the picker. */
    bool (*model_name_at)(size_t i, struct str *name, struct str *note);
};
/* Both return the exit code of the program, 128+n after a signal. ui_run falls back to ui_plain where the terminal cannot address its cursor. */
int ui_run(const struct ui_options *o);
int ui_plain(const struct ui_options *o);

/* A process that stays outside the sandbox for what the user asks for beyond it. To be started before the sandbox, any thread and the record;
 * where it was not started, or is gone, the other two do the work themselves. */
int outside_start(struct err *e);
void outside_stop(void);
int outside_edit(const char *path);      /* $VISUAL or $EDITOR on the file, in the terminal as it is: its exit code, -1 */
/* A file that the user named in the chat: a new one, not hidden. */
int outside_write(const char *path, const void *bytes, size_t n, struct err *e);

/* Help texts and completions from the tables: keys, commands. Appended to out. */
void ui_help_keys(struct str *out);
void ui_help_commands(struct str *out);

#endif
