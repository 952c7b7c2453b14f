/*
 * keymap.h - what keys do. One table of actions, one of keys by focus; help and palette are made from them. Internal to src/ui.
 */
#ifndef PONDER_KEYMAP_H
#define PONDER_KEYMAP_H

#include "ui/app.h"

/* name, what it does (as shown in help and palette), whether the palette offers it */
#define ACTIONS(X) \
    X(NONE, "", false) \
    X(HELP, "help", true) \
    X(PALETTE, "choose from all commands", false) \
    X(FOLD, "open or fold the thought", true) \
    X(THINK, "thinking on or off, from the next reply", true) \
    X(SHOW_THOUGHTS, "show or hide thoughts", true) \
    X(ANSWER_NOW, "answer now", true) \
    X(THINK_MORE, "think more", true) \
    X(PAUSE, "pause or resume", true) \
    X(SAY, "say something into the thought", true) \
    X(UNLIMITED, "lift the budget", true) \
    X(BUDGET_MORE, "raise the budget of this reply, or the next", true) \
    X(BUDGET_LESS, "lower it", true) \
    X(STOP, "stop; twice: quit", false) \
    X(ESCAPE, "close, leave, or stop what is running", false) \
    X(EOF, "quit", false) \
    X(NEWLINE, "a new line in the prompt", false) \
    X(EDITOR, "write the prompt in $EDITOR", true) \
    X(READING, "read: move among messages, rate, copy", true) \
    X(PAGE_UP, "scroll up; nothing moves the text then", false) \
    X(PAGE_DOWN, "scroll down", false) \
    X(LINE_UP, "scroll up a line", false) \
    X(LINE_DOWN, "scroll down a line", false) \
    X(PANE_UP, "scroll the thought beside the answers up", false) \
    X(PANE_DOWN, "scroll it down", false) \
    X(FOLLOW, "to the end, and follow what comes in", true) \
    X(START, "to the beginning", true) \
    X(REDRAW, "draw the screen anew", true) \
    X(SUSPEND, "suspend to the shell", true) \
    X(CONVERSATIONS, "conversations: open, find, rename, tag, delete", true) \
    X(MODELS, "choose a model", true) \
    X(THEMES, "choose a theme", true) \
    X(SETTINGS, "settings: look, change, keep", true) \
    X(TREE, "branches of this conversation", true) \
    X(LEAVE_READING, "back to the input line", false) \
    X(NEXT, "next message", false) \
    X(PREVIOUS, "previous message", false) \
    X(FIRST, "first message", false) \
    X(LAST, "newest message", false) \
    X(COPY, "copy the message", false) \
    X(RATE_UP, "answer good; again takes it back", false) \
    X(RATE_DOWN, "answer bad; again takes it back", false) \
    X(THOUGHT_DOWN, "thought bad", false) \
    X(THOUGHT_UP, "thought good", false) \
    X(REASON, "say why it was rated so; again takes a reason back", false) \
    X(COPY_CODE, "copy its code; again the next block", false) \
    X(EDIT, "edit the prompt (a branch), correct the answer", false) \
    X(REGENERATE, "write the reply again", true) \
    X(EDIT_THOUGHT, "correct the thought", false) \
    X(TAG, "tags", false) \
    X(COMMENT, "a comment on the part that was rated last", false) \
    X(STEPS, "rate its thought step by step", true) \
    X(COMPARE, "compare it with another version, and vote", true) \
    X(REROLL, "write the answer again, keep the thought", true) \
    X(RETHINK, "go on from a point of the thought", true) \
    X(BRANCH, "another prompt from here", false) \
    X(SIBLING_NEXT, "the next version of the message", false) \
    X(SIBLING_PREVIOUS, "the version before", false) \
    X(UNDO, "take the last rating back", false) \
    X(FIND, "find", false) \
    X(FIND_NEXT, "next match", false) \
    X(FIND_PREVIOUS, "previous match", false)
#define X(n, help, palette) ACT_##n,
enum action { ACTIONS(X) ACT_COUNT };
#undef X

/* When a key of the input focus acts. */
enum key_when { WHEN_ALWAYS, WHEN_EMPTY, WHEN_LIVE }; /* EMPTY: on an empty line; LIVE: on one while a reply runs, with live_keys = plain */

struct key_def {
    enum focus focus;
    struct {
        enum key_name name; /* NAMED_NONE: a character */
        uint32_t cp;
        unsigned mods;
    } key;
    enum key_when when;
    enum action action;
};
extern const struct key_def keymap_table[];
extern const size_t keymap_count;
/* Does it (act.c). */
void app_act(struct app *a, enum action act);
const char *action_help(enum action a);
bool action_in_palette(enum action a);
/* The action of a key, ACT_NONE when it has none. `empty`: the input line is; `live`: a reply runs and bare letters may act. */
enum action keymap_find(enum focus f, const struct key *k, bool empty, bool live);
/* The first key of an action ("Ctrl-O") in a focus; "" none. */
void keymap_key_name(enum focus f, enum action act, struct str *out);
void keymap_format(const struct key_def *d, struct str *out);

#endif
