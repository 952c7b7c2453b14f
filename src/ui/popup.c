/*
 * popup.c - pages and lists over the transcript: help, conversations, models, themes, the palette.
 *
 * A stack: Esc closes the top one. In lists letters search at once; conversations can be renamed and deleted there. While a popup is open
 * the reply below goes on, and the input line keeps what it holds.
 */
#include "ui/keymap.h"

#include <stdlib.h>
#include <string.h>

enum popup_kind { POPUP_PAGE, POPUP_HELP, POPUP_CONVERSATIONS, POPUP_MODELS, POPUP_THEMES, POPUP_PALETTE };

struct popup_row {
    char *text, *note;
    int64_t id;      /* conversation; palette: action, or -1 - index of a command */
    int64_t message; /* where in the conversation the words were found, 0: by its title */
};

struct popup {
    struct popup *below;
    enum popup_kind kind;
    char title[64];
    struct str filter; /* what was typed to search, or the new name */
    bool renaming;
    int64_t deleting; /* the next Delete on this one is meant */
    struct popup_row *rows;
    size_t n, cap, selected, top;
    struct conversation_list conversations;
    struct flow page; /* POPUP_PAGE and POPUP_HELP */
    int page_columns; /* POPUP_HELP: what it was made for */
    struct theme theme_before;
    int inner_h; /* rows of the list, as drawn last */
};

static bool is_page(const struct popup *p)
{
    return p->kind == POPUP_PAGE || p->kind == POPUP_HELP;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void clear_rows(struct popup *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->rows[i].text);
        free(p->rows[i].note);
    }
    p->n = 0;
}

void popup_close(struct app *a)
{
    struct popup *p = a->popup;
    if (!p) return;
    a->popup = p->below;
    clear_rows(p);
    free(p->rows);
    str_release(&p->filter);
    conversation_list_release(&p->conversations);
    flow_release(&p->page);
    free(p);
    a->dirty = true;
}

void popup_close_all(struct app *a)
{
    while (a->popup) popup_close(a);
}

static struct popup *popup_push(struct app *a, enum popup_kind kind, const char *title)
{
    struct popup *p = calloc(1, sizeof *p);
    if (!p) {
        app_error(a, "out of memory");
        return NULL;
    }
    p->kind = kind;
    snprintf(p->title, sizeof p->title, "%s", title);
    flow_init(&p->page, false);
    p->below = a->popup;
    a->popup = p;
    a->dirty = true;
    return p;
}

static void add_row(struct popup *p, const char *text, const char *note, int64_t id)
{
    if (!mem_grow(&p->rows, &p->cap, p->n + 1, sizeof *p->rows)) return;
    struct str t = STR_EMPTY, n = STR_EMPTY;
    text_sanitize(&t, text, strlen(text), TEXT_ONE_LINE);
    text_sanitize(&n, note, strlen(note), TEXT_ONE_LINE);
    p->rows[p->n] = (struct popup_row){.text = str_detach(&t), .note = str_detach(&n), .id = id};
    if (p->rows[p->n].text && p->rows[p->n].note) {
        p->n++;
        return;
    }
    free(p->rows[p->n].text);
    free(p->rows[p->n].note);
}

/* ---- searching ----------------------------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *word, size_t n)
{
    for (; *text; text++)
        if (!strncasecmp(text, word, n)) return true;
    return n == 0;
}

/* Every word typed occurs in the text. */
static bool matches(const struct popup *p, const char *text)
{
    const char *w = str_cstr(&p->filter);
    while (*w) {
        size_t n = strcspn(w, " ");
        if (n && !contains(text, w, n)) return false;
        w += n + strspn(w + n, " ");
    }
    return true;
}

static void add_conversation(struct popup *p, const struct conversation *c, const char *why)
{
    char note[160], when[32];
    clock_iso8601(c->updated_ms, when);
    when[10] = '\0';
    if (why)
        snprintf(note, sizeof note, "%s", why);
    else
        snprintf(note, sizeof note, "c%lld · %d message%s · %s", (long long)c->id, c->n_messages, c->n_messages == 1 ? "" : "s", when);
    add_row(p, c->title && c->title[0] ? c->title : "(no title)", note, c->id);
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

/* By title first, then by what was said in them. */
static void fill_conversations(struct app *a, struct popup *p)
{
    for (size_t i = 0; i < p->conversations.n; i++) {
        const struct conversation *c = &p->conversations.items[i];
        if (matches(p, c->title ? c->title : "")) add_conversation(p, c, NULL);
    }
    struct search_hits hits = {0};
    if (p->filter.len < 2 || store_search(a->store, str_cstr(&p->filter), SEARCH_ALL, 50, &hits, NULL)) return;
    for (size_t i = 0; i < hits.n; i++) {
        const struct search_hit *h = &hits.items[i];
        const struct conversation *c = conversation_by_id(p, h->conversation);
        if (!c || has_row(p, c->id)) continue;
        struct str s = STR_EMPTY;
        for (const char *q = h->snippet; q && *q; q++)
            if (*q != '\x02' && *q != '\x03') str_add_char(&s, *q);
        size_t before = p->n;
        add_conversation(p, c, str_cstr(&s));
        if (p->n > before) p->rows[before].message = h->message;
        str_release(&s);
    }
    search_hits_release(&hits);
}

static void fill_models(struct app *a, struct popup *p)
{
    struct str name = STR_EMPTY, note = STR_EMPTY;
    for (size_t i = 0; a->model_name_at && a->model_name_at(i, &name, &note); i++) {
        if (matches(p, str_cstr(&name))) add_row(p, str_cstr(&name), str_cstr(&note), (int64_t)i);
        str_clear(&name);
        str_clear(&note);
    }
    str_release(&name);
    str_release(&note);
}

static void fill_themes(struct app *a, struct popup *p)
{
    struct str name = STR_EMPTY;
    for (size_t i = 0; theme_name_at(i, &name); i++) {
        if (matches(p, str_cstr(&name))) add_row(p, str_cstr(&name), strcmp(str_cstr(&name), a->set.theme) ? "" : "in use", (int64_t)i);
        str_clear(&name);
    }
    str_release(&name);
}

static void fill_palette(struct popup *p)
{
    for (int act = ACT_NONE + 1; act < ACT_COUNT; act++) {
        struct str key = STR_EMPTY;
        keymap_key_name(FOCUS_INPUT, (enum action)act, &key);
        if (action_in_palette((enum action)act) && matches(p, action_help((enum action)act)))
            add_row(p, action_help((enum action)act), str_cstr(&key), act);
        str_release(&key);
    }
    for (size_t i = 0; i < commands_count; i++) {
        const struct command_def *c = &commands_table[i];
        struct str s = STR_EMPTY;
        str_addf(&s, "/%s%s%s", c->name, c->args[0] ? " " : "", c->args);
        struct str all = STR_EMPTY;
        str_addf(&all, "%s %s", str_cstr(&s), c->help);
        if (matches(p, str_cstr(&all))) add_row(p, str_cstr(&s), c->help, -1 - (int64_t)i);
        str_release(&s);
        str_release(&all);
    }
}

static void refill(struct app *a, struct popup *p)
{
    clear_rows(p);
    p->selected = p->top = 0;
    p->deleting = 0;
    switch (p->kind) {
    case POPUP_CONVERSATIONS: fill_conversations(a, p); break;
    case POPUP_MODELS: fill_models(a, p); break;
    case POPUP_THEMES: fill_themes(a, p); break;
    case POPUP_PALETTE: fill_palette(p); break;
    default: break;
    }
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

void popup_open_help(struct app *a)
{
    popup_push(a, POPUP_HELP, "help");
}

void popup_open_page(struct app *a, const char *title, const struct str *text)
{
    struct popup *p = popup_push(a, POPUP_PAGE, title);
    if (p) flow_feed(&p->page, str_cstr(text), text->len);
}

static void load_conversations(struct app *a, struct popup *p)
{
    struct err e = {0};
    conversation_list_release(&p->conversations);
    p->conversations = (struct conversation_list){0};
    if (store_list(a->store, 0, 0, &p->conversations, &e)) app_error(a, "%s", e.text);
    refill(a, p);
}

void popup_open_conversations(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_CONVERSATIONS, "conversations");
    if (p) load_conversations(a, p);
}

void popup_open_models(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_MODELS, "models");
    if (p) refill(a, p);
}

void popup_open_themes(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_THEMES, "themes");
    if (!p) return;
    p->theme_before = a->theme;
    refill(a, p);
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->rows[i].text, a->set.theme)) p->selected = i;
}

void popup_open_palette(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_PALETTE, "commands");
    if (p) refill(a, p);
}

/* ---- choosing ------------------------------------------------------------------------------------------------------ */

static void preview_theme(struct app *a, struct popup *p)
{
    struct theme t;
    if (p->kind != POPUP_THEMES || p->selected >= p->n) return;
    if (theme_load(&t, p->rows[p->selected].text, NULL)) return;
    a->theme = t;
    a->want.theme = true;
}

static void choose_palette(struct app *a, int64_t id)
{
    popup_close_all(a);
    if (id >= 0) {
        app_act(a, (enum action)id);
        return;
    }
    const struct command_def *c = &commands_table[-1 - id];
    /* Its arguments are typed where they can be completed. */
    if (c->args[0] && c->args[0] != '[') {
        struct str s = STR_EMPTY;
        str_addf(&s, "/%s ", c->name);
        line_set(a->line, str_cstr(&s), s.len);
        app_line_changed(a);
        str_release(&s);
    } else {
        c->run(a, "");
    }
}

/* Opens a conversation where the searched words stand. */
static int open_found(struct app *a, int64_t conversation, int64_t message, const char *words, struct err *e)
{
    int rc = app_open(a, conversation, e);
    size_t i = !rc && message ? transcript_find(&a->t, message) : SIZE_MAX;
    if (i == SIZE_MAX) return rc;
    str_clear(&a->find);
    str_add(&a->find, words);
    reading_enter(a, i);
    return 0;
}

static void choose(struct app *a, struct popup *p)
{
    struct err e = {0};
    if (p->selected >= p->n) return;
    struct popup_row *r = &p->rows[p->selected];
    int64_t id = r->id, message = r->message;
    char *words = mem_dup_text(str_cstr(&p->filter), p->filter.len), *name = mem_dup_text(r->text, strlen(r->text));
    enum popup_kind kind = p->kind;
    if (!name || !words) {
        free(words);
        free(name);
        return;
    }
    if (kind == POPUP_PALETTE) {
        choose_palette(a, id);
    } else {
        popup_close(a);
        int rc = kind == POPUP_CONVERSATIONS ? open_found(a, id, message, words, &e)
                 : kind == POPUP_MODELS      ? app_load_model(a, name, &e)
                                             : app_set(a, "theme", name, &e);
        if (!rc && kind == POPUP_THEMES) app_notice(a, "theme = %s, until you leave; theme = %s in ponder.ini keeps it", name, name);
        if (rc) app_error(a, "%s", e.text);
    }
    free(words);
    free(name);
}

static void rename_chosen(struct app *a, struct popup *p)
{
    struct err e = {0};
    int64_t id = p->selected < p->n ? p->rows[p->selected].id : 0;
    p->renaming = false;
    if (id && p->filter.len && store_set_title(a->store, id, str_cstr(&p->filter), &e)) app_error(a, "%s", e.text);
    str_clear(&p->filter);
    load_conversations(a, p);
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].id == id) p->selected = i;
}

static void delete_chosen(struct app *a, struct popup *p)
{
    struct err e = {0};
    if (p->selected >= p->n) return;
    int64_t id = p->rows[p->selected].id;
    bool open = id == a->port->conversation(a->chat);
    if (open && app_running(a)) {
        app_error(a, "a reply is being written in this conversation: stop it first");
        return;
    }
    if (p->deleting != id) {
        p->deleting = id;
        app_error(a, "Delete again deletes \"%.60s\" for good", p->rows[p->selected].text);
        return;
    }
    size_t at = p->selected;
    if (open && app_open(a, 0, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    if (chat_forget(a->store, id, &e) || store_delete(a->store, id, &e))
        app_error(a, "%s", e.text);
    else
        app_notice(a, "deleted");
    load_conversations(a, p);
    p->selected = at < p->n ? at : p->n ? p->n - 1 : 0;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static void move(struct app *a, struct popup *p, int by)
{
    if (is_page(p)) {
        size_t most =
            p->page.wrap.n > (size_t)(p->inner_h > 0 ? p->inner_h : 0) ? p->page.wrap.n - (size_t)(p->inner_h > 0 ? p->inner_h : 0) : 0;
        if (by < 0)
            p->top = p->top > (size_t)-by ? p->top - (size_t)-by : 0;
        else
            p->top = p->top + (size_t)by < most ? p->top + (size_t)by : most;
        return;
    }
    if (!p->n) return;
    if (by < 0)
        p->selected = p->selected > (size_t)-by ? p->selected - (size_t)-by : 0;
    else
        p->selected = p->selected + (size_t)by < p->n ? p->selected + (size_t)by : p->n - 1;
    p->deleting = 0;
    preview_theme(a, p);
}

static void leave(struct app *a, struct popup *p)
{
    if (p->renaming) {
        p->renaming = false;
        str_clear(&p->filter);
        refill(a, p);
        return;
    }
    if (p->kind == POPUP_THEMES) {
        a->theme = p->theme_before;
        a->want.theme = true;
    }
    popup_close(a);
}

static void named_key(struct app *a, struct popup *p, enum key_name name)
{
    int page = p->inner_h > 1 ? p->inner_h - 1 : 1;
    switch (name) {
    case NAMED_ESC: leave(a, p); break;
    case NAMED_UP: move(a, p, -1); break;
    case NAMED_DOWN: move(a, p, 1); break;
    case NAMED_PGUP: move(a, p, -page); break;
    case NAMED_PGDN: move(a, p, page); break;
    case NAMED_HOME: move(a, p, -1000000); break;
    case NAMED_END: move(a, p, 1000000); break;
    case NAMED_F1:
    case NAMED_ENTER:
        if (is_page(p))
            popup_close(a);
        else if (name == NAMED_ENTER && p->renaming)
            rename_chosen(a, p);
        else if (name == NAMED_ENTER)
            choose(a, p);
        break;
    case NAMED_F2:
        if (p->kind == POPUP_CONVERSATIONS && !p->renaming && p->selected < p->n) {
            p->renaming = true;
            str_clear(&p->filter);
            str_add(&p->filter, p->rows[p->selected].text);
        }
        break;
    case NAMED_DELETE:
        if (p->kind == POPUP_CONVERSATIONS && !p->renaming) delete_chosen(a, p);
        break;
    case NAMED_BACKSPACE:
        if (!p->filter.len) break;
        do str_truncate(&p->filter, p->filter.len - 1);
        while (p->filter.len && utf8_complete_prefix(p->filter.data, p->filter.len) != p->filter.len);
        if (!p->renaming) refill(a, p);
        break;
    default: break;
    }
}

static void page_letter(struct app *a, struct popup *p, uint32_t cp)
{
    int page = p->inner_h > 1 ? p->inner_h - 1 : 1;
    switch (cp) {
    case 'q': popup_close(a); break;
    case 'j': move(a, p, 1); break;
    case 'k': move(a, p, -1); break;
    case ' ': move(a, p, page); break;
    case 'b': move(a, p, -page); break;
    case 'g': move(a, p, -1000000); break;
    case 'G': move(a, p, 1000000); break;
    default: break;
    }
}

void popup_key(struct app *a, const struct key *k)
{
    struct popup *p = a->popup;
    if (!p) return;
    a->dirty = true;
    if (k->kind == KEY_NAMED_) {
        named_key(a, p, k->name);
    } else if (k->kind == KEY_PASTE_ && !is_page(p)) {
        text_sanitize(&p->filter, k->text, k->text_len < 500 ? k->text_len : 500, TEXT_ONE_LINE);
        if (!p->renaming) refill(a, p);
    } else if (k->kind == KEY_TEXT_ && k->mods == MOD_CTRL) {
        if (k->cp == 'n') move(a, p, 1);
        if (k->cp == 'p') move(a, p, -1);
        if (k->cp == 'u') {
            str_clear(&p->filter);
            if (!p->renaming) refill(a, p);
        }
        if (k->cp == 'l') a->want.redraw = true;
    } else if (k->kind == KEY_TEXT_ && !k->mods) {
        if (is_page(p)) {
            page_letter(a, p, k->cp);
        } else if (p->filter.len < 500) {
            str_add_codepoint(&p->filter, k->cp);
            if (!p->renaming) refill(a, p);
            preview_theme(a, p);
        }
    }
}

void popup_click(struct app *a, size_t row)
{
    struct popup *p = a->popup;
    if (!p || row >= p->n) return;
    p->selected = row;
    choose(a, p);
}

const char *popup_hint(const struct app *a)
{
    const struct popup *p = a->popup;
    if (!p) return NULL;
    if (is_page(p)) return "↑ ↓ PageUp PageDown scroll · Esc close";
    if (p->renaming) return "Enter rename · Esc back";
    if (p->kind == POPUP_CONVERSATIONS) return "type to find · Enter open · F2 rename · Delete · Esc close";
    return "type to find · Enter choose · Esc close";
}

/* ---- drawing ------------------------------------------------------------------------------------------------------- */

struct box {
    int x, y, w, h; /* inside of the frame */
};

static struct box draw_frame(const struct app *a, struct grid *g, const struct popup *p, int rows)
{
    int room = a->geo.hint_y >= 0 ? a->geo.hint_y : g->h;
    struct box b = {.w = g->w, .h = room};
    if (g->w >= 30 && room >= 7) {
        b.w = g->w - 4 < 96 ? g->w - 4 : 96;
        b.h = rows + 2 < room - 2 ? rows + 2 : room - 2;
        b.x = (g->w - b.w) / 2;
        b.y = (room - b.h) / 2;
        grid_fill(g, b.x, b.y, b.w, b.h, STYLE_MENU);
        for (int x = 0; x < b.w; x++) {
            screen_put(g, b.x + x, b.y, b.x + b.w, STYLE_MENU_BORDER, x == 0 ? "┌" : x == b.w - 1 ? "┐" : "─");
            screen_put(g, b.x + x, b.y + b.h - 1, b.x + b.w, STYLE_MENU_BORDER, x == 0 ? "└" : x == b.w - 1 ? "┘" : "─");
        }
        for (int y = 1; y < b.h - 1; y++) {
            screen_put(g, b.x, b.y + y, g->w, STYLE_MENU_BORDER, "│");
            screen_put(g, b.x + b.w - 1, b.y + y, g->w, STYLE_MENU_BORDER, "│");
        }
        int x = screen_put(g, b.x + 2, b.y, b.x + b.w - 2, STYLE_MENU_BORDER, " ");
        x = screen_put(g, x, b.y, b.x + b.w - 2, STYLE_MENU_BORDER, p->title);
        screen_put(g, x, b.y, b.x + b.w - 2, STYLE_MENU_BORDER, " ");
        return (struct box){.x = b.x + 2, .y = b.y + 1, .w = b.w - 4, .h = b.h - 2};
    }
    grid_fill(g, 0, 0, b.w, b.h, STYLE_MENU);
    return b;
}

static void make_help(struct popup *p, int columns)
{
    struct str s = STR_EMPTY;
    help_page(&s, columns);
    flow_release(&p->page);
    flow_init(&p->page, false);
    flow_feed(&p->page, str_cstr(&s), s.len);
    p->page_columns = columns;
    str_release(&s);
}

static void draw_page(struct app *a, struct grid *g, struct popup *p)
{
    int columns = (g->w >= 30 ? (g->w - 4 < 96 ? g->w - 4 : 96) - 4 : g->w);
    if (p->kind == POPUP_HELP && p->page_columns != columns) make_help(p, columns);
    const struct wrap *w = flow_wrap(&p->page, columns < 1 ? 1 : columns);
    struct box b = draw_frame(a, g, p, w->n < 10000 ? (int)w->n : 10000);
    p->inner_h = b.h;
    w = flow_wrap(&p->page, b.w < 1 ? 1 : b.w);
    if (b.h > 0 && p->top + (size_t)b.h > w->n) p->top = w->n > (size_t)b.h ? w->n - (size_t)b.h : 0;
    for (int y = 0; y < b.h && p->top + (size_t)y < w->n; y++) {
        const struct wrap_line *l = &w->lines[p->top + (size_t)y];
        bool heading = l->to > l->from && p->page.clean.data[l->from] != ' ';
        grid_put_tabs(g, b.x, b.y + y, b.x + b.w, heading ? STYLE_KEY : STYLE_MENU, p->page.clean.data + l->from, l->to - l->from, b.x);
    }
    if (p->top + (size_t)(b.h > 0 ? b.h : 0) < w->n && b.w > 3 && b.h > 0)
        screen_put(g, b.x + b.w - 1, b.y + b.h - 1, b.x + b.w, STYLE_NOTICE, "↓");
    if (p->top > 0 && b.w > 3 && b.h > 0) screen_put(g, b.x + b.w - 1, b.y, b.x + b.w, STYLE_NOTICE, "↑");
}

static void draw_list_row(struct app *a, struct grid *g, const struct popup *p, const struct box *b, int y, size_t i)
{
    const struct popup_row *r = &p->rows[i];
    enum style style = i == p->selected ? STYLE_MENU_SELECTED : STYLE_MENU;
    grid_fill(g, b->x, y, b->w, 1, style);
    int note = utf8_columns(r->note, strlen(r->note)), text = utf8_columns(r->text, strlen(r->text));
    int most = b->w / 2 > b->w - text - 2 ? b->w / 2 : b->w - text - 2;
    if (note > most) note = most;
    int note_x = b->x + b->w - note;
    if (b->w >= 24 && note > 0) screen_put(g, note_x, y, b->x + b->w, i == p->selected ? STYLE_MENU_SELECTED : STYLE_HINT, r->note);
    int end = b->w >= 24 && note > 0 ? note_x - 1 : b->x + b->w;
    screen_put(g, b->x, y, end, style, r->text);
    if (text > end - b->x && end > b->x) screen_put(g, end - 1, y, end, style, "…");
    screen_hit(a, HIT_POPUP_ROW, b->x, y, b->w, 1, i);
}

static void draw_list(struct app *a, struct grid *g, struct popup *p)
{
    struct box b = draw_frame(a, g, p, (int)(p->n > 1000 ? 1000 : p->n < 6 ? 6 : p->n) + 1);
    int list = b.h - 1;
    p->inner_h = list;
    int x = screen_put(g, b.x, b.y, b.x + b.w, STYLE_INPUT_MARK, p->renaming ? "name: " : "> ");
    x = grid_put(g, x, b.y, b.x + b.w, STYLE_INPUT, str_cstr(&p->filter), p->filter.len);
    g->cursor_x = x < g->w ? x : g->w - 1;
    g->cursor_y = b.y;
    if (list < 1) return;
    if (p->selected < p->top) p->top = p->selected;
    if (p->selected >= p->top + (size_t)list) p->top = p->selected - (size_t)list + 1;
    for (int y = 0; y < list && p->top + (size_t)y < p->n; y++) draw_list_row(a, g, p, &b, b.y + 1 + y, p->top + (size_t)y);
    if (!p->n) screen_put(g, b.x, b.y + 1, b.x + b.w, STYLE_HINT, p->filter.len ? "nothing found" : "nothing here yet");
}

void popup_draw(struct app *a, struct grid *g)
{
    struct popup *p = a->popup;
    g->cursor_x = g->cursor_y = -1;
    if (is_page(p))
        draw_page(a, g, p);
    else
        draw_list(a, g, p);
}
