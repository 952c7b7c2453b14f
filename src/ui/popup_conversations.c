/*
 * popup_conversations.c - the list of conversations: found by title, tags, and what was said or thought in them; renamed, tagged, deleted.
 *
 * What is deleted here leaves the list at once and the disk when the program ends, or after ten minutes: until then Ctrl-R brings it back.
 */
#include "ui/popup.h"

#include <stdlib.h>
#include <string.h>

#define ERASE_MS (10 * 60 * 1000)

/* ---- deleted, and not yet erased ----------------------------------------------------------------------------------- */

static bool is_deleted(const struct app *a, int64_t id)
{
    for (size_t i = 0; i < a->n_deleted; i++)
        if (a->deleted[i] == id) return true;
    return false;
}

void app_erase_deleted(struct app *a)
{
    struct err e = {0};
    for (size_t i = 0; i < a->n_deleted; i++) {
        int rc = app_delete_conversation(a, a->deleted[i], &e);
        if (rc && rc != ERR_NOT_FOUND) app_error(a, "%s", e.text);
    }
    a->n_deleted = 0;
    a->erase_at = 0;
}

void app_keep_conversation(struct app *a, int64_t id)
{
    for (size_t i = 0; i < a->n_deleted; i++)
        if (a->deleted[i] == id) a->deleted[i--] = a->deleted[--a->n_deleted];
}

static void delete_selected(struct app *a, struct popup *p)
{
    struct err e = {0};
    const struct popup_row *r = popup_selected(p);
    if (!r) return;
    int64_t id = r->id;
    if (id == a->port->conversation(a->chat) && app_running(a)) {
        app_error(a, "a reply is being written in this conversation: stop it first");
        return;
    }
    if (id == a->port->conversation(a->chat) && app_open(a, 0, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    if (!mem_grow(&a->deleted, &a->cap_deleted, a->n_deleted + 1, sizeof *a->deleted)) {
        app_error(a, "out of memory");
        return;
    }
    app_notice(a, "\"%.60s\" deleted; Ctrl-R brings it back, until you leave", r->text);
    a->deleted[a->n_deleted++] = id;
    a->erase_at = a->now + ERASE_MS;
    popup_refill_at(a, p, 0);
}

static void bring_back(struct app *a, struct popup *p)
{
    if (!a->n_deleted) {
        app_notice(a, "nothing was deleted");
        return;
    }
    int64_t id = a->deleted[--a->n_deleted];
    str_clear(&p->filter);
    popup_refill_at(a, p, id);
    app_notice(a, "brought back");
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static void add_tags(struct str *out, const char *tags)
{
    if (!tags || !*tags) return;
    str_add(out, "#");
    for (const char *p = tags; *p; p++) {
        bool next = p[0] == ',' && p[1] == ' ';
        if (next)
            str_add(out, " #");
        else
            str_add_char(out, *p);
        p += next;
    }
    str_add(out, "  ");
}

static void add_conversation(const struct app *a, struct popup *p, const struct conversation *c, const char *found, int64_t message)
{
    struct str note = STR_EMPTY;
    char when[32];
    clock_iso8601(c->updated_ms, when);
    when[10] = '\0';
    add_tags(&note, c->tags);
    if (found)
        str_add(&note, found);
    else
        str_addf(&note, "c%lld · %d message%s · %s", (long long)c->id, c->n_messages, c->n_messages == 1 ? "" : "s", when);
    struct popup_row *r = popup_add_row(p, c->title && c->title[0] ? c->title : "(no title)", str_cstr(&note), c->id);
    if (r) {
        r->message = message;
        r->strong = c->id == a->port->conversation(a->chat);
    }
    str_release(&note);
}

static const struct conversation *conversation_by_id(const struct popup *p, int64_t id)
{
    for (size_t i = 0; i < p->conversations.n; i++)
        if (p->conversations.items[i].id == id) return &p->conversations.items[i];
    return NULL;
}

static bool has_row(const struct popup *p, int64_t id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].id == id) return true;
    return false;
}

/* The words are in its title or its tags; "#maths" finds a tag. */
static bool named_so(const struct popup *p, const struct conversation *c)
{
    struct str s = STR_EMPTY;
    str_addf(&s, "%s ", c->title ? c->title : "");
    add_tags(&s, c->tags);
    bool yes = popup_matches(p, str_cstr(&s));
    str_release(&s);
    return yes;
}

static const char *part_name(enum search_in part)
{
    return part == SEARCH_PROMPTS ? "you: " : part == SEARCH_THOUGHTS ? "thought: " : "";
}

/* By title and tags first, then by what was said in them. */
static void fill_conversations(struct app *a, struct popup *p)
{
    for (size_t i = 0; i < p->conversations.n; i++) {
        const struct conversation *c = &p->conversations.items[i];
        if (!is_deleted(a, c->id) && named_so(p, c)) add_conversation(a, p, c, NULL, 0);
    }
    struct search_hits hits = {0};
    if (p->filter.len < 2 || store_search(a->store, str_cstr(&p->filter), SEARCH_ALL, 50, &hits, NULL)) return;
    for (size_t i = 0; i < hits.n; i++) {
        const struct search_hit *h = &hits.items[i];
        const struct conversation *c = conversation_by_id(p, h->conversation);
        if (!c || is_deleted(a, c->id) || has_row(p, c->id)) continue;
        struct str s = STR_EMPTY;
        str_add(&s, part_name(h->part));
        for (const char *q = h->snippet; q && *q; q++)
            if (*q != '\x02' && *q != '\x03') str_add_char(&s, *q);
        add_conversation(a, p, c, str_cstr(&s), h->message);
        str_release(&s);
    }
    search_hits_release(&hits);
}

static void reload(struct app *a, struct popup *p, int64_t id)
{
    struct err e = {0};
    conversation_list_release(&p->conversations);
    if (store_list(a->store, 0, 0, &p->conversations, &e)) app_error(a, "%s", e.text);
    popup_refill_at(a, p, id);
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

/* Opens it, where the searched words stand. */
static void choose_conversation(struct app *a, struct popup *p)
{
    struct err e = {0};
    int64_t id = popup_selected(p)->id, message = popup_selected(p)->message;
    char *words = mem_dup_text(str_cstr(&p->filter), p->filter.len);
    popup_close(a);
    int rc = app_open(a, id, &e);
    if (rc) app_error(a, "%s", e.text);
    size_t i = !rc && message ? transcript_find(&a->t, message) : SIZE_MAX;
    if (i != SIZE_MAX && words) {
        str_clear(&a->find);
        str_add(&a->find, words);
        reading_enter(a, i);
    }
    free(words);
}

static bool conversations_key(struct app *a, struct popup *p, const struct key *k)
{
    const struct popup_row *r = popup_selected(p);
    bool ctrl = k->kind == KEY_TEXT_ && k->mods == MOD_CTRL;
    if (ctrl && k->cp == 'r') {
        bring_back(a, p);
    } else if (k->kind == KEY_NAMED_ && k->name == NAMED_DELETE) {
        delete_selected(a, p);
    } else if (r && k->kind == KEY_NAMED_ && k->name == NAMED_F2) {
        popup_ask(p, "name", r->text);
    } else if (r && ctrl && k->cp == 't') {
        const struct conversation *c = conversation_by_id(p, r->id);
        popup_ask(p, "tags", c && c->tags ? c->tags : "");
    } else {
        return false;
    }
    return true;
}

/* Whether `tags`, between commas, holds this one. */
static bool has_tag(const char *tags, const char *tag, size_t n)
{
    while (*tags) {
        tags += strspn(tags, ",# ");
        size_t len = strcspn(tags, ",");
        while (len && tags[len - 1] == ' ') len--;
        if (len == n && n && !strncmp(tags, tag, n)) return true;
        tags += strcspn(tags, ",");
    }
    return false;
}

/* Puts those of `from` that `other` lacks on the conversation, or takes them off. */
static int change_tags(struct app *a, int64_t id, const char *from, const char *other, bool on, struct err *e)
{
    int rc = 0;
    while (!rc && *from) {
        from += strspn(from, ",# ");
        size_t n = strcspn(from, ","), len = n;
        while (len && from[len - 1] == ' ') len--;
        char *tag = len && !has_tag(other, from, len) ? mem_dup_text(from, len) : NULL;
        if (tag) rc = store_tag_conversation(a->store, id, tag, on, e);
        free(tag);
        from += n;
    }
    return rc;
}

static void answered(struct app *a, struct popup *p, const char *text)
{
    struct err e = {0};
    const struct popup_row *r = popup_selected(p);
    bool tags = !strcmp(p->asking, "tags");
    int rc = 0;
    p->asking[0] = '\0';
    str_clear(&p->filter);
    if (!r) return;
    int64_t id = r->id;
    const struct conversation *c = conversation_by_id(p, id);
    if (tags && c) {
        store_undo_group(a->store, true);
        rc = change_tags(a, id, text, c->tags, true, &e);
        if (!rc) rc = change_tags(a, id, c->tags, text, false, &e);
        store_undo_group(a->store, false);
    } else if (*text) {
        rc = store_set_title(a->store, id, text, &e);
    }
    if (rc) app_error(a, "%s", e.text);
    reload(a, p, id);
}

const struct popup_kind_def popup_kind_conversations = {
    .title = "conversations",
    .hint = "type to find · Enter open · F2 name · Ctrl-T tags · Delete · Ctrl-R bring back",
    .fill = fill_conversations,
    .choose = choose_conversation,
    .key = conversations_key,
    .answered = answered,
};

void popup_open_conversations(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_CONVERSATIONS, NULL);
    if (p) reload(a, p, a->port->conversation(a->chat));
}
