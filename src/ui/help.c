/*
 * help.c - help, made from the tables of keys, actions and commands, so that it cannot tell of what is not there.
 *
 * Two columns; what does not fit the second goes on below it.
 */
#include "ui/keymap.h"

#include <string.h>

#define PLAIN_COLUMNS 100 /* where nobody says how wide: `ponder help` */

static int columns_of(const char *text, size_t n)
{
    return utf8_columns(text, n);
}

/* One entry: what it is called on the left, what it does on the right, wrapped. */
static void add_entry(struct str *out, int columns, const struct str *left, const char *right)
{
    int indent = columns >= 60 ? 24 : columns >= 36 ? 14 : 6, room = columns - indent;
    struct wrap w = {0};
    int at = 2 + columns_of(str_cstr(left), left->len);
    str_addf(out, "  %s", str_cstr(left));
    wrap_text(&w, right, strlen(right), room < 10 ? 10 : room);
    for (size_t i = 0; i < w.n; i++) {
        if (i || at >= indent) {
            str_add_char(out, '\n');
            at = 0;
        }
        for (; at < indent; at++) str_add_char(out, ' ');
        str_add_bytes(out, right + w.lines[i].from, w.lines[i].to - w.lines[i].from);
    }
    str_add_char(out, '\n');
    wrap_release(&w);
}

static void add_pair(struct str *out, int columns, const char *left, const char *right)
{
    struct str s = STR_EMPTY;
    str_add(&s, left);
    add_entry(out, columns, &s, right);
    str_release(&s);
}

/* All keys of an action in one entry; the first place an action stands in decides where. */
static void add_action(struct str *out, int columns, enum focus f, size_t at)
{
    enum action act = keymap_table[at].action;
    for (size_t i = 0; i < at; i++)
        if (keymap_table[i].focus == f && keymap_table[i].action == act) return;
    struct str keys = STR_EMPTY, text = STR_EMPTY;
    const char *note = "";
    if (act == ACT_REASON) { /* nine keys in a row */
        add_pair(out, columns, "1 to 9", action_help(act));
        return;
    }
    for (size_t i = at; i < keymap_count; i++) {
        const struct key_def *d = &keymap_table[i];
        if (d->focus != f || d->action != act || d->when == WHEN_LIVE) continue;
        if (keys.len) str_add(&keys, ", ");
        keymap_format(d, &keys);
        if (d->when == WHEN_EMPTY) note = " (on an empty line)";
    }
    str_addf(&text, "%s%s", action_help(act), note);
    add_entry(out, columns, &keys, str_cstr(&text));
    str_release(&keys);
    str_release(&text);
}

static void add_focus(struct str *out, int columns, enum focus f)
{
    for (size_t i = 0; i < keymap_count; i++)
        if (keymap_table[i].focus == f) add_action(out, columns, f, i);
}

static void add_keys(struct str *out, int columns)
{
    str_add(out, "While you write\n");
    add_pair(out, columns, "Enter", "send; while a reply runs: queue");
    add_focus(out, columns, FOCUS_INPUT);
    add_pair(out, columns, "other keys", "edit the line as readline does; your inputrc holds");
    add_pair(out, columns, "a m p s u", "with /set live_keys plain, on an empty line while a reply runs: as with Alt");
    str_add(out, "\nWhile you read (Tab)\n");
    add_focus(out, columns, FOCUS_READING);
    str_add(out, "\nMouse\n");
    add_pair(out, columns, "wheel", "scroll");
    add_pair(out, columns, "click", "on a thought's header: fold it; on a message: read; on the input line: write");
    add_pair(out, columns, "/set mouse off", "gives the mouse back to the terminal, for marking text");
}

static void add_commands(struct str *out, int columns)
{
    str_add(out, "Commands (Tab completes them)\n");
    for (size_t i = 0; i < commands_count; i++) {
        const struct command_def *c = &commands_table[i];
        struct str left = STR_EMPTY;
        str_addf(&left, "/%s%s%s", c->name, c->args[0] ? " " : "", c->args);
        add_entry(out, columns, &left, c->help);
        str_release(&left);
    }
    add_pair(out, columns, "//text", "sends what begins with a slash to the model; so does a blank in front");
}

void ui_help_keys(struct str *out)
{
    add_keys(out, PLAIN_COLUMNS);
}

void ui_help_commands(struct str *out)
{
    add_commands(out, PLAIN_COLUMNS);
}

void help_page(struct str *out, int columns)
{
    add_keys(out, columns);
    str_add(out, "\n");
    add_commands(out, columns);
}
