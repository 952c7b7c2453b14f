/*
 * reading.c - reading focus: a message is chosen, and keys are about it. Ratings are in rate.c.
 */
#include "ui/app.h"

#include <stdlib.h>
#include <string.h>

void reading_enter(struct app *a, size_t item)
{
    if (!a->t.n) return;
    a->focus = FOCUS_READING;
    a->focus_item = item < a->t.n ? item : a->t.n - 1;
    a->code_item = SIZE_MAX;
    rating_forget(a);
    transcript_show(&a->t, a->focus_item);
    a->dirty = true;
}

void reading_leave(struct app *a)
{
    if (a->review) return; /* there is nothing to write to */
    a->focus = FOCUS_INPUT;
    a->dirty = true;
}

void reading_move(struct app *a, int direction)
{
    if (!a->t.n) return;
    size_t last = a->t.n - 1, i = a->focus_item < a->t.n ? a->focus_item : last;
    if (direction < 0)
        i = i > (size_t)-direction ? i - (size_t)-direction : 0;
    else
        i = last - i > (size_t)direction ? i + (size_t)direction : last;
    a->focus_item = i;
    a->code_item = SIZE_MAX;
    rating_forget(a);
    transcript_show(&a->t, i);
}

static struct item *focused(struct app *a)
{
    return a->focus_item < a->t.n ? &a->t.items[a->focus_item] : NULL;
}

/* ---- text --------------------------------------------------------------------------------------------------------- */

void reading_copy(struct app *a)
{
    struct item *it = focused(a);
    if (!it) return;
    const struct str *s = flow_text(&it->text);
    if (!s->len && it->role == MESSAGE_REPLY) s = flow_text(&it->thought);
    if (s->len)
        app_copy(a, s->data, s->len);
    else
        app_notice(a, "there is nothing to copy yet");
}

void reading_copy_code(struct app *a)
{
    struct item *it = focused(a);
    struct markdown *m = it && it->role == MESSAGE_REPLY ? item_markdown(it) : NULL;
    size_t blocks = m ? markdown_code_count(m) : 0, n = 0;
    if (!blocks) {
        app_notice(a, "there is no code in this message");
        return;
    }
    /* Again on the same message takes the next one. */
    a->code_block = a->code_item == a->focus_item && a->code_block + 1 < blocks ? a->code_block + 1 : 0;
    a->code_item = a->focus_item;
    const char *code = markdown_code(m, a->code_block, &n);
    if (!code) return;
    app_copy(a, code, n);
    if (blocks > 1) app_notice(a, "code block %zu of %zu copied; c again takes the next", a->code_block + 1, blocks);
}

/* Opens the exact text of a message for editing, as the record has it: its correction where there is one. */
static void edit_exact(struct app *a, struct item *it, enum input_mode mode)
{
    struct message_list l = {0};
    struct reply_ratings r = {0};
    struct err e = {0};
    if (it->role == MESSAGE_REPLY && it->id > 0) store_load_ratings(a->store, it->id, &r, NULL);
    const struct rating *part = mode == INPUT_EDIT_THOUGHT ? &r.thought : &r.answer;
    bool thought = mode == INPUT_EDIT_THOUGHT;
    if (part->edited) {
        app_set_mode(a, mode, it->id, part->edited, part->edited_len);
    } else if (it->id > 0 && !store_load_message(a->store, it->id, &l, &e) && l.n) {
        const struct message *m = &l.items[0];
        app_set_mode(a, mode, it->id, thought ? m->thought : m->text, thought ? m->thought_len : m->text_len);
    } else {
        const struct str *s = flow_text(thought ? &it->thought : &it->text);
        app_set_mode(a, mode, it->id, str_cstr(s), s->len);
    }
    message_list_release(&l);
    reply_ratings_release(&r);
}

void reading_edit_thought(struct app *a)
{
    struct item *it = focused(a);
    if (!it) return;
    if (it->role == MESSAGE_USER || !item_has_thought(it)) {
        app_error(a, "this message has no thought to correct");
    } else if (it->phase != PHASE_DONE || it->id <= 0) {
        app_error(a, "a reply still being written cannot be corrected yet");
    } else {
        edit_exact(a, it, INPUT_EDIT_THOUGHT);
        app_notice(a, "a corrected thought, kept beside the model's own; empty takes it back; Ctrl-X Ctrl-E: $EDITOR");
    }
}

void reading_edit(struct app *a)
{
    struct item *it = focused(a);
    if (!it) return;
    if (app_running(a)) {
        app_error(a, "a reply is still being written: Esc stops it");
    } else if (it->role == MESSAGE_USER) {
        edit_exact(a, it, INPUT_EDIT_PROMPT);
        app_notice(a, "Enter sends it as a branch: what was said stays in the record");
    } else if (it->id <= 0) {
        app_error(a, "this reply is not saved yet");
    } else {
        edit_exact(a, it, INPUT_EDIT_ANSWER);
        app_notice(a, "a corrected answer, kept beside the model's own; empty takes it back; Ctrl-X Ctrl-E: $EDITOR");
    }
}

void reading_branch(struct app *a)
{
    size_t i = a->focus_item;
    if (i >= a->t.n) return;
    if (app_running(a)) {
        app_error(a, "a reply is still being written: Esc stops it");
        return;
    }
    if (a->t.items[i].role == MESSAGE_REPLY) i++;
    if (i >= a->t.n) {
        reading_leave(a); /* at the newest reply every prompt goes on from here */
        return;
    }
    app_set_mode(a, INPUT_BRANCH, a->t.items[i].id, NULL, 0);
    app_notice(a, "another prompt in place of this one; the old branch stays in the record");
}

/* The reply that keys about a thought mean; NULL with a line for the user where there is none that can be gone on with. */
static const struct item *with_thought(struct app *a)
{
    size_t i = app_target_reply(a);
    if (app_running(a))
        app_error(a, "a reply is still being written: Esc stops it");
    else if (i == SIZE_MAX || !item_has_thought(&a->t.items[i]))
        app_error(a, "this reply has no thought");
    else if (a->t.items[i].id <= 0)
        app_error(a, "this reply is not saved yet");
    else
        return &a->t.items[i];
    return NULL;
}

void reading_reroll(struct app *a)
{
    const struct item *it = with_thought(a);
    if (it) app_rethink(a, it->id, SIZE_MAX);
}

void reading_rethink(struct app *a)
{
    const struct item *it = with_thought(a);
    if (it) popup_open_steps(a, it->id);
}

void reading_sibling(struct app *a, int direction)
{
    struct err e = {0};
    struct message_tree t = {0};
    const struct item *it = focused(a);
    if (!it || it->id <= 0) return;
    int rc = app_running(a) ? err_set(&e, ERR_BUSY, "a reply is still being written: Esc stops it")
                            : store_load_siblings(a->store, it->id, &t, &e);
    size_t i = 0;
    while (i < t.n && t.items[i].id != it->id) i++;
    bool there = direction > 0 ? i + 1 < t.n : i > 0;
    if (!rc && there) rc = app_go_to(a, t.items[direction > 0 ? i + 1 : i - 1].id, &e);
    if (rc)
        app_error(a, "%s", e.text);
    else if (t.n < 2)
        app_notice(a, "this is its only version: r writes another, e edits a prompt");
    else if (!there)
        app_notice(a, direction > 0 ? "this is the newest version" : "this is the first version");
    else
        app_notice(a, "version %zu of %zu", i + (direction > 0 ? 2 : 0), t.n);
    message_tree_release(&t);
}

/* ---- find --------------------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static size_t find_text(const struct str *s, const struct str *words)
{
    for (size_t i = 0; words->len && i + words->len <= s->len; i++) {
        size_t k = 0;
        while (k < words->len && lower(s->data[i + k]) == lower(words->data[k])) k++;
        if (k == words->len) return i;
    }
    return SIZE_MAX;
}

void reading_find(struct app *a, int direction)
{
    if (!a->find.len || !a->t.n) return;
    size_t n = a->t.n, i = a->focus_item < n ? a->focus_item : n - 1;
    for (size_t step = 0; step < n; step++) {
        i = direction > 0 ? (i + 1) % n : (i + n - 1) % n;
        struct item *it = &a->t.items[i];
        bool in_text = find_text(flow_text(&it->text), &a->find) != SIZE_MAX;
        bool in_thought = find_text(flow_text(&it->thought), &a->find) != SIZE_MAX;
        if (!in_text && !in_thought) continue;
        if (!in_text) transcript_choose(&a->t, i, VIEW_FULL);
        a->focus_item = i;
        transcript_show(&a->t, i);
        return;
    }
    app_notice(a, "\"%s\" is not in this conversation", str_cstr(&a->find));
}
