/*
 * popup.c - pages and lists over the transcript: the stack, searching, moving, drawing; what is in them is in popup_NAME.c.
 *
 * Esc closes the top one. In lists letters search at once. While a popup is open the reply below goes on, and the input line keeps what it
 * holds.
 */
#include "ui/popup.h"

#include <stdlib.h>
#include <string.h>

static const struct popup_kind_def page_def = {.hint = "↑ ↓ PageUp PageDown scroll · Esc close", .page = true};
static const struct popup_kind_def help_def = {.title = "help", .hint = "↑ ↓ PageUp PageDown scroll · Esc close", .page = true};

static const struct popup_kind_def *const kinds[POPUP_KINDS] = {
    [POPUP_PAGE] = &page_def,
    [POPUP_HELP] = &help_def,
    [POPUP_CONVERSATIONS] = &popup_kind_conversations,
    [POPUP_MODELS] = &popup_kind_models,
    [POPUP_THEMES] = &popup_kind_themes,
    [POPUP_PALETTE] = &popup_kind_palette,
    [POPUP_SETTINGS] = &popup_kind_settings,
    [POPUP_TREE] = &popup_kind_tree,
    [POPUP_STEPS] = &popup_kind_steps,
};

static bool is_page(const struct popup *p)
{
    return p->def->page;
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
    message_tree_release(&p->tree);
    thought_steps_release(&p->steps);
    str_release(&p->thought);
    for (size_t i = 0; i < p->n_models; i++) {
        str_release(&p->models[i].name);
        str_release(&p->models[i].note);
        str_release(&p->models[i].about);
    }
    free(p->models);
    if (p->has_at_start) settings_release(&p->at_start);
    flow_release(&p->page);
    free(p);
    a->dirty = true;
}

void popup_close_all(struct app *a)
{
    while (a->popup) popup_close(a);
}

struct popup *popup_push(struct app *a, enum popup_kind kind, const char *title)
{
    struct popup *p = calloc(1, sizeof *p);
    if (!p) {
        app_error(a, "out of memory");
        return NULL;
    }
    p->kind = kind;
    p->def = kinds[kind];
    snprintf(p->title, sizeof p->title, "%s", title ? title : p->def->title);
    flow_init(&p->page, false);
    p->below = a->popup;
    a->popup = p;
    a->dirty = true;
    return p;
}

struct popup_row *popup_add_row(struct popup *p, const char *text, const char *note, int64_t id)
{
    if (!mem_grow(&p->rows, &p->cap, p->n + 1, sizeof *p->rows)) return NULL;
    struct str t = STR_EMPTY, n = STR_EMPTY;
    text_sanitize(&t, text, strlen(text), TEXT_ONE_LINE);
    text_sanitize(&n, note, strlen(note), TEXT_ONE_LINE);
    struct popup_row *r = &p->rows[p->n];
    *r = (struct popup_row){.text = str_detach(&t), .note = str_detach(&n), .id = id};
    if (r->text && r->note) {
        p->n++;
        return r;
    }
    free(r->text);
    free(r->note);
    return NULL;
}

struct popup_row *popup_selected(struct popup *p)
{
    return p->selected < p->n ? &p->rows[p->selected] : NULL;
}

void popup_ask(struct popup *p, const char *name, const char *text)
{
    snprintf(p->asking, sizeof p->asking, "%s", name);
    str_clear(&p->filter);
    text_sanitize(&p->filter, text, strlen(text), TEXT_ONE_LINE);
}

/* ---- searching ----------------------------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *word, size_t n)
{
    for (; *text; text++)
        if (!strncasecmp(text, word, n)) return true;
    return n == 0;
}

bool popup_matches(const struct popup *p, const char *text)
{
    const char *w = str_cstr(&p->filter);
    while (*w) {
        size_t n = strcspn(w, " ");
        if (n && !contains(text, w, n)) return false;
        w += n + strspn(w + n, " ");
    }
    return true;
}

void popup_refill(struct app *a, struct popup *p)
{
    clear_rows(p);
    p->selected = p->top = 0;
    if (p->def->fill) p->def->fill(a, p);
}

void popup_refill_at(struct app *a, struct popup *p, int64_t id)
{
    size_t at = p->selected;
    popup_refill(a, p);
    p->selected = at < p->n ? at : p->n ? p->n - 1 : 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].id == id) p->selected = i;
}

/* ---- pages --------------------------------------------------------------------------------------------------------- */

void popup_open_help(struct app *a)
{
    popup_push(a, POPUP_HELP, NULL);
}

void popup_open_page(struct app *a, const char *title, const struct str *text)
{
    struct popup *p = popup_push(a, POPUP_PAGE, title);
    if (p) flow_feed(&p->page, str_cstr(text), text->len);
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
    if (p->def->moved) p->def->moved(a, p);
}

/* Back to searching. */
static void stop_asking(struct app *a, struct popup *p)
{
    int64_t id = p->selected < p->n ? p->rows[p->selected].id : 0;
    p->asking[0] = '\0';
    str_clear(&p->filter);
    popup_refill_at(a, p, id);
}

static void leave(struct app *a, struct popup *p)
{
    if (p->asking[0]) {
        stop_asking(a, p);
        return;
    }
    if (p->def->cancelled) p->def->cancelled(a, p);
    popup_close(a);
}

static void enter(struct app *a, struct popup *p)
{
    if (is_page(p)) {
        popup_close(a);
    } else if (p->asking[0]) {
        char *text = mem_dup_text(str_cstr(&p->filter), p->filter.len);
        if (text && p->def->answered) p->def->answered(a, p, text);
        free(text);
        if (a->popup == p && p->asking[0]) stop_asking(a, p);
    } else if (p->selected < p->n && p->def->choose) {
        p->def->choose(a, p);
    }
}

static void typed(struct app *a, struct popup *p)
{
    if (p->asking[0]) return;
    popup_refill(a, p);
    if (p->def->moved) p->def->moved(a, p);
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
        if (is_page(p)) popup_close(a);
        break;
    case NAMED_ENTER: enter(a, p); break;
    case NAMED_BACKSPACE:
        if (!p->filter.len) break;
        do str_truncate(&p->filter, p->filter.len - 1);
        while (p->filter.len && utf8_complete_prefix(p->filter.data, p->filter.len) != p->filter.len);
        typed(a, p);
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

#define LINE_MOST 8000

void popup_key(struct app *a, const struct key *k)
{
    struct popup *p = a->popup;
    if (!p) return;
    a->dirty = true;
    if (!p->asking[0] && p->def->key && p->def->key(a, p, k)) return;
    if (k->kind == KEY_NAMED_) {
        named_key(a, p, k->name);
    } else if (k->kind == KEY_PASTE_ && !is_page(p)) {
        text_sanitize(&p->filter, k->text, k->text_len < LINE_MOST ? k->text_len : LINE_MOST, TEXT_ONE_LINE);
        typed(a, p);
    } else if (k->kind == KEY_TEXT_ && k->mods == MOD_CTRL) {
        if (k->cp == 'n') move(a, p, 1);
        if (k->cp == 'p') move(a, p, -1);
        if (k->cp == 'u') {
            str_clear(&p->filter);
            typed(a, p);
        }
        if (k->cp == 'l') a->want.redraw = true;
    } else if (k->kind == KEY_TEXT_ && !k->mods) {
        if (is_page(p)) {
            page_letter(a, p, k->cp);
        } else if (p->filter.len < LINE_MOST) {
            str_add_codepoint(&p->filter, k->cp);
            typed(a, p);
        }
    }
}

void popup_click(struct app *a, size_t row)
{
    struct popup *p = a->popup;
    if (!p || row >= p->n || p->asking[0]) return;
    p->selected = row;
    enter(a, p);
}

const char *popup_hint(const struct app *a)
{
    const struct popup *p = a->popup;
    if (!p) return NULL;
    return p->asking[0] ? "Enter take it · Ctrl-U empty the line · Esc back" : p->def->hint;
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
        x = screen_put(g, x, b.y, b.x + b.w - 2, STYLE_MENU, p->title);
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
        grid_put_tabs(g, b.x, b.y + y, b.x + b.w, heading ? STYLE_MENU_STRONG : STYLE_MENU, p->page.clean.data + l->from, l->to - l->from, b.x);
    }
    if (p->top + (size_t)(b.h > 0 ? b.h : 0) < w->n && b.w > 3 && b.h > 0)
        screen_put(g, b.x + b.w - 1, b.y + b.h - 1, b.x + b.w, STYLE_MENU_HINT, "↓");
    if (p->top > 0 && b.w > 3 && b.h > 0) screen_put(g, b.x + b.w - 1, b.y, b.x + b.w, STYLE_MENU_HINT, "↑");
}

static void draw_list_row(struct app *a, struct grid *g, const struct popup *p, const struct box *b, int y, size_t i)
{
    const struct popup_row *r = &p->rows[i];
    enum style style = i == p->selected ? STYLE_MENU_SELECTED : r->strong ? STYLE_MENU_STRONG : STYLE_MENU;
    grid_fill(g, b->x, y, b->w, 1, style);
    int note = utf8_columns(r->note, strlen(r->note)), text = utf8_columns(r->text, strlen(r->text));
    int most = b->w / 2 > b->w - text - 2 ? b->w / 2 : b->w - text - 2;
    bool note_cut = note > most;
    if (note_cut) note = most;
    int note_x = b->x + b->w - note;
    if (b->w >= 24 && note > 0) screen_put(g, note_x, y, b->x + b->w, i == p->selected ? STYLE_MENU_SELECTED : STYLE_MENU_HINT, r->note);
    int end = b->w >= 24 && note > 0 ? note_x - 1 : b->x + b->w;
    screen_put(g, b->x, y, end, style, r->text);
    if (text > end - b->x && end > b->x) screen_put(g, end - 1, y, end, style, "…");
    if (note_cut && b->w >= 24) screen_put(g, b->x + b->w - 1, y, b->x + b->w, i == p->selected ? STYLE_MENU_SELECTED : STYLE_MENU_HINT, "…");
    screen_hit(a, HIT_POPUP_ROW, b->x, y, b->w, 1, i);
}

#define ABOUT_ROWS 2

/* What is to be said about the selected row, where there is room. Returns the rows it takes: as many for every row, or the list would jump. */
static int draw_about(struct app *a, struct grid *g, const struct popup *p, const struct box *b)
{
    int rows = !p->def->about || b->h < 5 || b->w < 1 ? 0 : b->h < 5 + ABOUT_ROWS ? 1 : ABOUT_ROWS, y = b->y + b->h - rows;
    struct str s = STR_EMPTY;
    struct wrap w = {0};
    if (!rows) return 0;
    p->def->about(a, p, &s);
    wrap_text(&w, str_cstr(&s), s.len, b->w);
    for (size_t i = 0; i < w.n && i < (size_t)rows; i++)
        grid_put(g, b->x, y + (int)i, b->x + b->w, STYLE_MENU_HINT, str_cstr(&s) + w.lines[i].from, w.lines[i].to - w.lines[i].from);
    if (w.n > (size_t)rows) {
        int end = b->x + w.lines[rows - 1].columns;
        screen_put(g, end < b->x + b->w ? end : end - 1, y + rows - 1, b->x + b->w, STYLE_MENU_HINT, "…");
    }
    wrap_release(&w);
    str_release(&s);
    return rows;
}

static void draw_line(struct grid *g, const struct popup *p, const struct box *b)
{
    struct str mark = STR_EMPTY;
    grid_fill(g, b->x, b->y, b->w, 1, STYLE_INPUT);
    str_addf(&mark, "%s%s", p->asking[0] ? p->asking : ">", p->asking[0] ? ": " : " ");
    int x = screen_put(g, b->x, b->y, b->x + b->w, STYLE_INPUT_MARK, str_cstr(&mark));
    /* The end of the line is where one types. */
    const char *text = str_cstr(&p->filter);
    size_t n = p->filter.len;
    int columns = utf8_columns(text, n), one;
    while (n && columns > b->x + b->w - x - 1) {
        size_t step = utf8_grapheme(text, n, &one);
        columns -= one;
        text += step;
        n -= step;
    }
    x = grid_put(g, x, b->y, b->x + b->w, STYLE_INPUT, text, n);
    g->cursor_x = x < g->w ? x : g->w - 1;
    g->cursor_y = b->y;
    str_release(&mark);
}

static void draw_list(struct app *a, struct grid *g, struct popup *p)
{
    struct box b = draw_frame(a, g, p, (int)(p->n > 1000 ? 1000 : p->n < 6 ? 6 : p->n) + 1 + (p->def->about ? ABOUT_ROWS : 0));
    draw_line(g, p, &b);
    int list = b.h - 1 - draw_about(a, g, p, &b);
    p->inner_h = list;
    p->inner_w = b.w;
    if (list < 1) return;
    if (p->selected < p->top) p->top = p->selected;
    if (p->selected >= p->top + (size_t)list) p->top = p->selected - (size_t)list + 1;
    for (int y = 0; y < list && p->top + (size_t)y < p->n; y++) draw_list_row(a, g, p, &b, b.y + 1 + y, p->top + (size_t)y);
    if (!p->n) screen_put(g, b.x, b.y + 1, b.x + b.w, STYLE_MENU_HINT, p->filter.len ? "nothing found" : "nothing here yet");
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
