/*
 * help.c - help, made from the tables of keys, actions and commands, so that it cannot tell of what is not there.
 */
#include "ui/keymap.h"

#include <string.h>

#define KEY_COLUMNS 22

static void pad(struct str *out, size_t from)
{
    int w = utf8_columns(out->data + from, out->len - from);
    for (; w < KEY_COLUMNS; w++) str_add_char(out, ' ');
}

/* All keys of an action in one line; the first place an action stands in decides where. */
static void add_action(struct str *out, enum focus f, size_t at)
{
    enum action act = keymap_table[at].action;
    for (size_t i = 0; i < at; i++)
        if (keymap_table[i].focus == f && keymap_table[i].action == act) return;
    size_t line = out->len;
    str_add(out, "  ");
    bool first = true;
    const char *note = "";
    for (size_t i = at; i < keymap_count; i++) {
        const struct key_def *d = &keymap_table[i];
        if (d->focus != f || d->action != act || d->when == WHEN_LIVE) continue;
        if (!first) str_add(out, ", ");
        keymap_format(d, out);
        if (d->when == WHEN_EMPTY) note = " (on an empty line)";
        first = false;
    }
    pad(out, line);
    str_addf(out, " %s%s\n", action_help(act), note);
}

static void add_focus(struct str *out, enum focus f)
{
    for (size_t i = 0; i < keymap_count; i++)
        if (keymap_table[i].focus == f) add_action(out, f, i);
}

void ui_help_keys(struct str *out)
{
    str_add(out, "While you write\n");
    size_t line = out->len;
    str_add(out, "  Enter");
    pad(out, line);
    str_add(out, " send; while a reply runs: queue\n");
    add_focus(out, FOCUS_INPUT);
    str_add(out, "  All else edits the line as readline does (your inputrc holds). With live_keys = plain\n"
                 "  the letters a m p s u do on an empty line what they do with Alt, while a reply runs.\n");
    str_add(out, "\nWhile you read (Tab)\n");
    add_focus(out, FOCUS_READING);
    str_add(out, "\nMouse\n  wheel scrolls; a click on a thought's header folds it, on a message reads it, on the\n"
                 "  input line writes. /set mouse off gives the mouse back to the terminal.\n");
}

void ui_help_commands(struct str *out)
{
    str_add(out, "Commands (Tab completes them)\n");
    for (size_t i = 0; i < commands_count; i++) {
        const struct command_def *c = &commands_table[i];
        size_t line = out->len;
        str_addf(out, "  /%s%s%s", c->name, c->args[0] ? " " : "", c->args);
        pad(out, line);
        str_addf(out, " %s\n", c->help);
    }
    str_add(out, "  //text or a blank in front sends what begins with a slash to the model.\n");
}

void help_page(struct str *out)
{
    ui_help_keys(out);
    str_add(out, "\n");
    ui_help_commands(out);
}
