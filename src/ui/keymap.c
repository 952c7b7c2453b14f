/*
 * keymap.c - the tables of keymap.h. Where a key stands twice, the first entry whose condition holds wins.
 */
#include "ui/keymap.h"

#define NAMED(n, m)                                                                                                                        \
    {                                                                                                                                      \
        NAMED_##n, 0, m                                                                                                                    \
    }
#define CHAR(c, m)                                                                                                                         \
    {                                                                                                                                      \
        NAMED_NONE, c, m                                                                                                                   \
    }
#define IN FOCUS_INPUT
#define RD FOCUS_READING

const struct key_def keymap_table[] = {
    {IN, NAMED(F1, 0), WHEN_ALWAYS, ACT_HELP},
    {IN, NAMED(F2, 0), WHEN_ALWAYS, ACT_PALETTE},
    {IN, CHAR('o', MOD_CTRL), WHEN_ALWAYS, ACT_FOLD},
    {IN, CHAR('t', MOD_CTRL), WHEN_ALWAYS, ACT_THINK},
    {IN, CHAR('t', MOD_ALT), WHEN_ALWAYS, ACT_SHOW_THOUGHTS},
    {IN, CHAR('+', 0), WHEN_EMPTY, ACT_BUDGET_MORE},
    {IN, CHAR('-', 0), WHEN_EMPTY, ACT_BUDGET_LESS},
    {IN, NAMED(F5, 0), WHEN_ALWAYS, ACT_ANSWER_NOW},
    {IN, CHAR('a', MOD_ALT), WHEN_ALWAYS, ACT_ANSWER_NOW},
    {IN, CHAR('a', 0), WHEN_LIVE, ACT_ANSWER_NOW},
    {IN, NAMED(F6, 0), WHEN_ALWAYS, ACT_THINK_MORE},
    {IN, CHAR('m', MOD_ALT), WHEN_ALWAYS, ACT_THINK_MORE},
    {IN, CHAR('m', 0), WHEN_LIVE, ACT_THINK_MORE},
    {IN, NAMED(F7, 0), WHEN_ALWAYS, ACT_PAUSE},
    {IN, CHAR('p', MOD_ALT), WHEN_ALWAYS, ACT_PAUSE},
    {IN, CHAR('p', 0), WHEN_LIVE, ACT_PAUSE},
    {IN, NAMED(F8, 0), WHEN_ALWAYS, ACT_SAY},
    {IN, CHAR('s', MOD_ALT), WHEN_ALWAYS, ACT_SAY},
    {IN, CHAR('s', 0), WHEN_LIVE, ACT_SAY},
    {IN, CHAR('u', MOD_ALT), WHEN_ALWAYS, ACT_UNLIMITED},
    {IN, CHAR('u', 0), WHEN_LIVE, ACT_UNLIMITED},
    {IN, NAMED(ESC, 0), WHEN_ALWAYS, ACT_ESCAPE},
    {IN, CHAR('c', MOD_CTRL), WHEN_ALWAYS, ACT_STOP},
    {IN, CHAR('d', MOD_CTRL), WHEN_EMPTY, ACT_EOF},
    {IN, CHAR('j', MOD_CTRL), WHEN_ALWAYS, ACT_NEWLINE},
    {IN, NAMED(ENTER, MOD_ALT), WHEN_ALWAYS, ACT_NEWLINE},
    {IN, NAMED(ENTER, MOD_SHIFT), WHEN_ALWAYS, ACT_NEWLINE},
    {IN, NAMED(TAB, 0), WHEN_EMPTY, ACT_READING},
    {IN, NAMED(PGUP, 0), WHEN_ALWAYS, ACT_PAGE_UP},
    {IN, NAMED(PGDN, 0), WHEN_ALWAYS, ACT_PAGE_DOWN},
    {IN, NAMED(UP, MOD_CTRL), WHEN_ALWAYS, ACT_LINE_UP},
    {IN, NAMED(DOWN, MOD_CTRL), WHEN_ALWAYS, ACT_LINE_DOWN},
    {IN, NAMED(UP, MOD_SHIFT), WHEN_ALWAYS, ACT_LINE_UP},
    {IN, NAMED(DOWN, MOD_SHIFT), WHEN_ALWAYS, ACT_LINE_DOWN},
    {IN, NAMED(PGUP, MOD_ALT), WHEN_ALWAYS, ACT_PANE_UP},
    {IN, NAMED(PGDN, MOD_ALT), WHEN_ALWAYS, ACT_PANE_DOWN},
    {IN, NAMED(END, 0), WHEN_EMPTY, ACT_FOLLOW},
    {IN, NAMED(HOME, 0), WHEN_EMPTY, ACT_START},
    {IN, CHAR('l', MOD_CTRL), WHEN_ALWAYS, ACT_REDRAW},
    {IN, CHAR('z', MOD_CTRL), WHEN_ALWAYS, ACT_SUSPEND},
    {IN, NAMED(F3, 0), WHEN_ALWAYS, ACT_CONVERSATIONS},
    {IN, NAMED(F4, 0), WHEN_ALWAYS, ACT_MODELS},
    {IN, NAMED(F9, 0), WHEN_ALWAYS, ACT_SETTINGS},

    {RD, NAMED(F1, 0), WHEN_ALWAYS, ACT_HELP},
    {RD, CHAR('?', 0), WHEN_ALWAYS, ACT_HELP},
    {RD, NAMED(F2, 0), WHEN_ALWAYS, ACT_PALETTE},
    {RD, NAMED(F3, 0), WHEN_ALWAYS, ACT_CONVERSATIONS},
    {RD, NAMED(F4, 0), WHEN_ALWAYS, ACT_MODELS},
    {RD, NAMED(F9, 0), WHEN_ALWAYS, ACT_SETTINGS},
    {RD, NAMED(TAB, 0), WHEN_ALWAYS, ACT_LEAVE_READING},
    {RD, NAMED(ESC, 0), WHEN_ALWAYS, ACT_ESCAPE},
    {RD, CHAR('q', 0), WHEN_ALWAYS, ACT_LEAVE_READING},
    {RD, CHAR('i', 0), WHEN_ALWAYS, ACT_LEAVE_READING},
    {RD, CHAR('j', 0), WHEN_ALWAYS, ACT_NEXT},
    {RD, NAMED(DOWN, 0), WHEN_ALWAYS, ACT_NEXT},
    {RD, CHAR('k', 0), WHEN_ALWAYS, ACT_PREVIOUS},
    {RD, NAMED(UP, 0), WHEN_ALWAYS, ACT_PREVIOUS},
    {RD, CHAR('g', 0), WHEN_ALWAYS, ACT_FIRST},
    {RD, NAMED(HOME, 0), WHEN_ALWAYS, ACT_FIRST},
    {RD, CHAR('G', 0), WHEN_ALWAYS, ACT_LAST},
    {RD, NAMED(END, 0), WHEN_ALWAYS, ACT_LAST},
    {RD, CHAR(' ', 0), WHEN_ALWAYS, ACT_FOLD},
    {RD, CHAR('o', MOD_CTRL), WHEN_ALWAYS, ACT_FOLD},
    {RD, CHAR('y', 0), WHEN_ALWAYS, ACT_COPY},
    {RD, CHAR('+', 0), WHEN_ALWAYS, ACT_RATE_UP},
    {RD, CHAR('-', 0), WHEN_ALWAYS, ACT_RATE_DOWN},
    {RD, CHAR('[', 0), WHEN_ALWAYS, ACT_THOUGHT_DOWN},
    {RD, CHAR(']', 0), WHEN_ALWAYS, ACT_THOUGHT_UP},
    {RD, CHAR('1', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('2', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('3', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('4', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('5', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('6', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('7', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('8', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('9', 0), WHEN_ALWAYS, ACT_REASON},
    {RD, CHAR('c', 0), WHEN_ALWAYS, ACT_COPY_CODE},
    {RD, CHAR('e', 0), WHEN_ALWAYS, ACT_EDIT},
    {RD, CHAR('r', 0), WHEN_ALWAYS, ACT_REGENERATE},
    {RD, CHAR('E', 0), WHEN_ALWAYS, ACT_EDIT_THOUGHT},
    {RD, CHAR('T', 0), WHEN_ALWAYS, ACT_TAG},
    {RD, CHAR('C', 0), WHEN_ALWAYS, ACT_COMMENT},
    {RD, CHAR('s', 0), WHEN_ALWAYS, ACT_STEPS},
    {RD, CHAR('v', 0), WHEN_ALWAYS, ACT_COMPARE},
    {RD, CHAR('R', 0), WHEN_ALWAYS, ACT_REROLL},
    {RD, CHAR('b', 0), WHEN_ALWAYS, ACT_BRANCH},
    {RD, CHAR('B', 0), WHEN_ALWAYS, ACT_RETHINK},
    {RD, CHAR('>', 0), WHEN_ALWAYS, ACT_SIBLING_NEXT},
    {RD, NAMED(RIGHT, 0), WHEN_ALWAYS, ACT_SIBLING_NEXT},
    {RD, CHAR('<', 0), WHEN_ALWAYS, ACT_SIBLING_PREVIOUS},
    {RD, NAMED(LEFT, 0), WHEN_ALWAYS, ACT_SIBLING_PREVIOUS},
    {RD, CHAR('t', 0), WHEN_ALWAYS, ACT_TREE},
    {RD, CHAR('u', 0), WHEN_ALWAYS, ACT_UNDO},
    {RD, CHAR('/', 0), WHEN_ALWAYS, ACT_FIND},
    {RD, CHAR('n', 0), WHEN_ALWAYS, ACT_FIND_NEXT},
    {RD, CHAR('N', 0), WHEN_ALWAYS, ACT_FIND_PREVIOUS},
    {RD, NAMED(PGUP, 0), WHEN_ALWAYS, ACT_PAGE_UP},
    {RD, NAMED(PGDN, 0), WHEN_ALWAYS, ACT_PAGE_DOWN},
    {RD, NAMED(PGUP, MOD_ALT), WHEN_ALWAYS, ACT_PANE_UP},
    {RD, NAMED(PGDN, MOD_ALT), WHEN_ALWAYS, ACT_PANE_DOWN},
    {RD, CHAR('u', MOD_CTRL), WHEN_ALWAYS, ACT_PAGE_UP},
    {RD, CHAR('d', MOD_CTRL), WHEN_ALWAYS, ACT_PAGE_DOWN},
    {RD, NAMED(F5, 0), WHEN_ALWAYS, ACT_ANSWER_NOW},
    {RD, CHAR('a', MOD_ALT), WHEN_ALWAYS, ACT_ANSWER_NOW},
    {RD, NAMED(F6, 0), WHEN_ALWAYS, ACT_THINK_MORE},
    {RD, CHAR('m', MOD_ALT), WHEN_ALWAYS, ACT_THINK_MORE},
    {RD, NAMED(F7, 0), WHEN_ALWAYS, ACT_PAUSE},
    {RD, CHAR('p', MOD_ALT), WHEN_ALWAYS, ACT_PAUSE},
    {RD, NAMED(F8, 0), WHEN_ALWAYS, ACT_SAY},
    {RD, CHAR('s', MOD_ALT), WHEN_ALWAYS, ACT_SAY},
    {RD, CHAR('u', MOD_ALT), WHEN_ALWAYS, ACT_UNLIMITED},
    {RD, CHAR('c', MOD_CTRL), WHEN_ALWAYS, ACT_STOP},
    {RD, CHAR('t', MOD_CTRL), WHEN_ALWAYS, ACT_THINK},
    {RD, CHAR('t', MOD_ALT), WHEN_ALWAYS, ACT_SHOW_THOUGHTS},
    {RD, CHAR('l', MOD_CTRL), WHEN_ALWAYS, ACT_REDRAW},
    {RD, CHAR('z', MOD_CTRL), WHEN_ALWAYS, ACT_SUSPEND},
};
const size_t keymap_count = ARRAY_LEN(keymap_table);

static const struct {
    const char *help;
    bool palette;
} actions[ACT_COUNT] = {
#define X(n, h, p) [ACT_##n] = {h, p},
    ACTIONS(X)
#undef X
};

const char *action_help(enum action a)
{
    return actions[a].help;
}

bool action_in_palette(enum action a)
{
    return actions[a].palette;
}

static bool is_key(const struct key_def *d, const struct key *k)
{
    if (d->key.name != NAMED_NONE) return k->kind == KEY_NAMED_ && k->name == d->key.name && k->mods == d->key.mods;
    return k->kind == KEY_TEXT_ && k->cp == d->key.cp && k->mods == d->key.mods;
}

enum action keymap_find(enum focus f, const struct key *k, bool empty, bool live)
{
    for (size_t i = 0; i < keymap_count; i++) {
        const struct key_def *d = &keymap_table[i];
        if (d->focus != f || !is_key(d, k)) continue;
        if (d->when == WHEN_ALWAYS || (d->when == WHEN_EMPTY && empty) || (d->when == WHEN_LIVE && empty && live)) return d->action;
    }
    return ACT_NONE;
}

void keymap_format(const struct key_def *d, struct str *out)
{
    struct key k = {.kind = d->key.name != NAMED_NONE ? KEY_NAMED_ : KEY_TEXT_, .name = d->key.name, .cp = d->key.cp, .mods = d->key.mods};
    key_format(&k, out);
}

void keymap_key_name(enum focus f, enum action act, struct str *out)
{
    for (size_t i = 0; i < keymap_count; i++) {
        if (keymap_table[i].focus != f || keymap_table[i].action != act || keymap_table[i].when == WHEN_LIVE) continue;
        keymap_format(&keymap_table[i], out);
        return;
    }
}
