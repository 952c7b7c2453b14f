/*
 * transcript.c - messages to rows, and the window on them.
 *
 * Invariants
 *   - Following, the window's last row is the last row of all. Otherwise (top_item, top_row) is its first row, and nothing but the reader's
 * own keys changes which text that is.
 *   - While not following, the reply that is being written keeps the fold it had (item.pinned), because folding it would move the rows
 * below.
 */
#include "ui/transcript.h"

#include <stdlib.h>
#include <string.h>

static const char *const view_names[] = {[VIEW_AUTO] = "", [VIEW_FOLDED] = "folded", [VIEW_TAIL] = "tail", [VIEW_FULL] = "full"};

const char *view_name(enum view v)
{
    return (unsigned)v < ARRAY_LEN(view_names) ? view_names[v] : "";
}

enum view view_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(view_names); i++)
        if (!strcmp(name, view_names[i])) return (enum view)i;
    return VIEW_AUTO;
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

void transcript_init(struct transcript *t)
{
    *t = (struct transcript){.width = 80, .view_h = 20, .follow = true};
}

static void item_release(struct item *it)
{
    flow_release(&it->text);
    flow_release(&it->thought);
    board_free(it->board);
    markdown_free(it->markdown);
    free(it->failure);
    free(it->injected);
    free(it->shifts);
}

void transcript_truncate(struct transcript *t, size_t n)
{
    t->resized = false;
    while (t->n > n) item_release(&t->items[--t->n]);
    if (t->top_item >= t->n) {
        t->top_item = t->n ? t->n - 1 : 0;
        t->top_row = 0;
        t->follow = true;
    }
}

void transcript_clear(struct transcript *t)
{
    transcript_truncate(t, 0);
    t->follow = true;
    t->top_item = 0;
    t->top_row = 0;
}

void transcript_release(struct transcript *t)
{
    transcript_truncate(t, 0);
    free(t->items);
    *t = (struct transcript){0};
}

struct item *transcript_add(struct transcript *t, enum message_role role)
{
    if (!mem_grow(&t->items, &t->cap, t->n + 1, sizeof *t->items)) return NULL;
    struct item *it = &t->items[t->n++];
    *it = (struct item){.role = role, .n_siblings = 1};
    flow_init(&it->text, role == MESSAGE_REPLY);
    flow_init(&it->thought, true);
    return it;
}

bool transcript_add_message(struct transcript *t, struct message *m)
{
    struct item *it = transcript_add(t, m->role);
    if (!it) return false;
    it->id = m->id;
    flow_adopt(&it->text, m->text, m->text_len);
    flow_adopt(&it->thought, m->thought, m->thought_len);
    m->text = m->thought = NULL;
    it->answer_rating = m->answer_rating;
    it->thought_rating = m->thought_rating;
    it->sibling = m->sibling;
    it->n_siblings = m->n_siblings;
    it->elsewhere = m->streaming;
    if (m->fold) it->choice = view_by_name(m->fold);
    it->stats.thought_tokens = m->thought_tokens;
    it->stats.answer_tokens = m->answer_tokens;
    it->stats.thought_ms = m->thought_ms;
    it->stats.answer_ms = m->answer_ms;
    it->stats.tokens_per_s = m->tokens_per_s;
    if (m->ended) it->stats.thought_ending = thought_ending_by_name(m->ended);
    if (m->answer_ended) it->stats.answer_ending = answer_ending_by_name(m->answer_ended);
    it->thought_opened = it->stats.thought_ending != THOUGHT_NONE && m->thought_len > 0;
    return true;
}

size_t transcript_find(const struct transcript *t, int64_t id)
{
    for (size_t i = t->n; i-- > 0;)
        if (t->items[i].id == id) return i;
    return SIZE_MAX;
}

/* ---- growing replies ------------------------------------------------------------------------------------------- */

void item_touched(struct item *it)
{
    it->rows = 0;
}

void item_feed_thought(struct item *it, const char *p, size_t n)
{
    struct flow *f = &it->thought;
    flow_feed(f, p, n);
    ptrdiff_t shift = (ptrdiff_t)f->clean.len - (ptrdiff_t)f->fed;
    if ((it->n_shifts ? it->shifts[it->n_shifts - 1].shift : 0) != shift &&
        mem_grow(&it->shifts, &it->cap_shifts, it->n_shifts + 1, sizeof *it->shifts))
        it->shifts[it->n_shifts++] = (struct flow_shift){.raw = f->fed, .shift = shift};
    item_touched(it);
}

static size_t clean_offset(const struct item *it, size_t raw)
{
    ptrdiff_t shift = 0;
    for (size_t i = 0; i < it->n_shifts && it->shifts[i].raw <= raw; i++) shift = it->shifts[i].shift;
    ptrdiff_t at = (ptrdiff_t)raw + shift;
    return at > 0 ? (size_t)at : 0;
}

void item_mark_injected(struct item *it, size_t offset, size_t n, bool by_user)
{
    if (!n || offset > SIZE_MAX / 4 || n > SIZE_MAX / 4) return;
    if (!mem_grow(&it->injected, &it->cap_injected, it->n_injected + 1, sizeof *it->injected)) return;
    size_t from = clean_offset(it, offset);
    it->injected[it->n_injected++] = (struct injected_span){.from = from, .to = from + n, .by_user = by_user};
}

bool item_has_thought(const struct item *it)
{
    return it->role == MESSAGE_REPLY && (it->thought_opened || !flow_is_empty(&it->thought));
}

/* ---- lines of a text ---------------------------------------------------------------------------------------------- */

struct markdown *item_markdown(struct item *it)
{
    const struct str *s = flow_text(&it->text);
    if (!it->markdown) {
        it->markdown_fed = 0;
        if (markdown_new(&it->markdown, NULL)) it->markdown = NULL;
    }
    if (it->markdown && it->markdown_fed < s->len) {
        if (!markdown_append(it->markdown, s->data + it->markdown_fed, s->len - it->markdown_fed)) return NULL;
        it->markdown_fed = s->len;
    }
    return it->markdown;
}

/* The lines of a message's text: Markdown for replies, what was typed for prompts. */
struct text_lines {
    const struct md_line *md;
    const struct wrap *wrap;
    size_t n;
};

static struct text_lines text_lines(struct transcript *t, struct item *it)
{
    struct text_lines l = {0};
    int columns = transcript_text_columns(t);
    struct markdown *m = it->role == MESSAGE_REPLY && !flow_is_empty(&it->text) ? item_markdown(it) : NULL;
    if (m) l.md = markdown_lines(m, columns, &l.n);
    if (l.md) return l;
    l.wrap = flow_wrap(&it->text, columns);
    l.n = l.wrap->n;
    return l;
}

static size_t text_line_at(const struct text_lines *l, const struct item *it, const struct place *p)
{
    if (!l->n) return 0;
    if (!l->md) return wrap_line_at(l->wrap, p->at);
    size_t line = markdown_line_at(it->markdown, p->at);
    for (size_t i = 0; i < p->before && line > 0 && l->md[line - 1].from == l->md[line].from; i++) line--;
    return line;
}

int transcript_last_columns(struct transcript *t, size_t i)
{
    struct text_lines l = text_lines(t, &t->items[i]);
    if (!l.n) return 0;
    return l.md ? l.md[l.n - 1].columns : l.wrap->lines[l.n - 1].columns;
}

#define LAID_OUT_MAX 600
#define KEEP_AROUND  150

void transcript_trim(struct transcript *t)
{
    size_t top;
    int row;
    if (t->laid_out < LAID_OUT_MAX) return;
    transcript_top(t, &top, &row);
    for (size_t i = 0; i < t->n; i++) {
        struct item *it = &t->items[i];
        if ((i + KEEP_AROUND > top && i < top + KEEP_AROUND) || it->phase != PHASE_DONE) continue;
        flow_drop_layout(&it->text);
        flow_drop_layout(&it->thought);
        markdown_free(it->markdown);
        it->markdown = NULL;
    }
    t->laid_out = 0;
}

/* ---- geometry -------------------------------------------------------------------------------------------------- */

int transcript_margin(const struct transcript *t)
{
    return t->width >= 24 ? 1 : 0;
}

int transcript_text_columns(const struct transcript *t)
{
    int w = t->width - 2 * transcript_margin(t);
    return w < 1 ? 1 : w;
}

int transcript_thought_columns(const struct transcript *t)
{
    int w = transcript_text_columns(t) - (t->width >= 12 ? 2 : 0);
    return w < 1 ? 1 : w;
}

int transcript_tail_rows(const struct transcript *t)
{
    int n = t->view_h / 2;
    return n > 10 ? 10 : n < 3 ? 3 : n;
}

enum view transcript_view(const struct transcript *t, const struct item *it)
{
    if (t->thoughts_beside) return VIEW_FOLDED;
    if (it->choice != VIEW_AUTO) return it->choice;
    if (it->pinned != VIEW_AUTO) return it->pinned;
    if (t->default_view != VIEW_AUTO) return t->default_view;
    return flow_is_empty(&it->text) && it->phase != PHASE_ANSWERING ? VIEW_TAIL : VIEW_FOLDED;
}

/* Which lines of the thought are shown. */
static void thought_window(struct transcript *t, struct item *it, size_t *first, size_t *n)
{
    enum view v = transcript_view(t, it);
    *first = *n = 0;
    if (v == VIEW_FOLDED || !item_has_thought(it)) return;
    const struct wrap *w = flow_wrap(&it->thought, transcript_thought_columns(t));
    *n = w->n;
    if (v != VIEW_TAIL) return;
    size_t tail = (size_t)transcript_tail_rows(t);
    if (it->pinned == VIEW_TAIL && it->choice == VIEW_AUTO)
        *first = w->n ? wrap_line_at(w, it->pinned_tail) : 0;
    else if (w->n > tail)
        *first = w->n - tail;
    *n -= *first;
}

static bool has_header(const struct item *it)
{
    if (it->board && it->board->running) return false; /* its heading says all */
    return it->phase == PHASE_WAITING || it->phase == PHASE_PREFILL || item_has_thought(it);
}

static size_t board_height(const struct transcript *t, const struct item *it)
{
    return it->board ? (size_t)board_rows(it->board, transcript_text_columns(t)) : 0;
}

/* A reply's rows: those it was written with; status or thought header, thought, answer, a foot that keeps it apart from the next prompt. */
int transcript_height(struct transcript *t, size_t i)
{
    struct item *it = &t->items[i];
    enum view v = transcript_view(t, it);
    if (it->rows && it->rows_width == t->width && it->rows_view == v) return it->rows;
    size_t rows = text_lines(t, it).n + 1;
    t->laid_out++;
    if (it->role == MESSAGE_REPLY) {
        size_t first, shown;
        thought_window(t, it, &first, &shown);
        rows += shown + (has_header(it) ? 1 : 0) + board_height(t, it);
    }
    it->rows = rows > INT32_MAX / 2 ? INT32_MAX / 2 : (int)rows;
    it->rows_width = t->width;
    it->rows_view = v;
    return it->rows;
}

static void wrapped_row(struct row *out, enum row_kind kind, const struct flow *f, size_t line, size_t first)
{
    const struct wrap_line *l = &f->wrap.lines[line];
    out->kind = kind;
    out->text = str_cstr(&f->clean) + l->from;
    out->n = l->to - l->from;
    out->from = l->from;
    out->columns = l->columns;
    out->first = line == first;
    out->last = line + 1 == f->wrap.n;
}

static void text_row(struct row *out, enum row_kind kind, const struct text_lines *l, const struct flow *f, size_t line)
{
    if (!l->md) {
        wrapped_row(out, kind, f, line, 0);
        return;
    }
    const struct md_line *m = &l->md[line];
    out->kind = kind;
    out->text = m->text;
    out->n = m->n;
    out->line = m;
    out->index = line;
    out->from = m->from;
    out->columns = m->columns;
    out->first = line == 0;
    out->last = line + 1 == l->n;
}

void transcript_row(struct transcript *t, size_t i, int row, struct row *out)
{
    struct item *it = &t->items[i];
    *out = (struct row){.item = i};
    size_t r = row < 0 ? 0 : (size_t)row;
    struct text_lines text = text_lines(t, it);
    if (it->role == MESSAGE_USER) {
        if (r == 0)
            out->kind = ROW_YOU;
        else if (r - 1 < text.n)
            text_row(out, ROW_PROMPT, &text, &it->text, r - 1);
        return;
    }
    size_t board = board_height(t, it);
    if (r < board) {
        out->kind = ROW_BOARD;
        out->index = out->from = r;
        return;
    }
    r -= board;
    if (has_header(it)) {
        if (r == 0) {
            out->kind = it->phase == PHASE_WAITING || it->phase == PHASE_PREFILL ? ROW_STATUS : ROW_HEADER;
            return;
        }
        r--;
    }
    size_t first, shown;
    thought_window(t, it, &first, &shown);
    if (r < shown) {
        wrapped_row(out, ROW_THOUGHT, &it->thought, first + r, first);
        out->cut_above = out->first && first > 0;
        return;
    }
    r -= shown;
    if (r < text.n)
        text_row(out, ROW_ANSWER, &text, &it->text, r);
    else
        out->kind = ROW_FOOT;
}

/* ---- the reader's place ---------------------------------------------------------------------------------------- */

static struct place place_of(struct transcript *t, size_t item, int row)
{
    struct row r;
    if (item >= t->n) return (struct place){0};
    transcript_row(t, item, row, &r);
    struct place p = {.item = item, .kind = r.kind, .at = r.from};
    if (r.line) p.before = markdown_line_at(t->items[item].markdown, r.from) - r.index;
    return p;
}

static int row_of(struct transcript *t, const struct place *p)
{
    struct item *it = &t->items[p->item];
    int board = (int)board_height(t, it), head = board + (it->role == MESSAGE_USER || has_header(it) ? 1 : 0);
    size_t first, shown;
    thought_window(t, it, &first, &shown);
    struct text_lines text = text_lines(t, it);
    switch (p->kind) {
    case ROW_PROMPT: return head + (int)text_line_at(&text, it, p);
    case ROW_THOUGHT: {
        if (!shown) return board;
        size_t line = wrap_line_at(&it->thought.wrap, p->at);
        return head + (line > first ? (int)(line - first) : 0);
    }
    case ROW_ANSWER: return head + (int)shown + (int)text_line_at(&text, it, p);
    case ROW_FOOT: return transcript_height(t, p->item) - 1;
    case ROW_BOARD: return (int)p->at < board ? (int)p->at : board ? board - 1 : 0;
    case ROW_STATUS:
    case ROW_HEADER: return board;
    default: return 0;
    }
}

static struct place hold(struct transcript *t)
{
    return t->follow || !t->n ? (struct place){0} : place_of(t, t->top_item, t->top_row);
}

static void settle(struct transcript *t, const struct place *p)
{
    if (t->follow || !t->n) return;
    transcript_height(t, p->item);
    t->top_item = p->item;
    t->top_row = row_of(t, p);
}

void transcript_resize(struct transcript *t, int width, int view_h)
{
    if (width < 1) width = 1;
    if (view_h < 0) view_h = 0;
    if (width == t->width && view_h == t->view_h) return;
    /* Of several sizes in a row the first one's place counts: a line of a narrow window begins before the text that was read. */
    struct place p = t->resized ? t->resized_place : hold(t);
    int old_tail = transcript_tail_rows(t);
    t->width = width;
    t->view_h = view_h;
    if (transcript_tail_rows(t) != old_tail)
        for (size_t i = 0; i < t->n; i++) item_touched(&t->items[i]);
    settle(t, &p);
    t->resized = !t->follow;
    t->resized_place = p;
}

static void pin(struct transcript *t);

void transcript_choose(struct transcript *t, size_t i, enum view v)
{
    t->resized = false;
    struct place p = hold(t);
    t->items[i].choice = v;
    settle(t, &p);
    if (!t->follow) {
        if (!transcript_below(t, 1)) transcript_follow(t);
        return;
    }
    /* What was opened is read from its beginning; at the end of the text only where that shows it whole. A reply that runs is followed. */
    size_t top;
    int row;
    transcript_top(t, &top, &row);
    if (v != VIEW_FOLDED && t->items[i].phase == PHASE_DONE && (top > i || (top == i && row > 0))) {
        pin(t);
        t->follow = false;
        t->top_item = i;
        t->top_row = 0;
    }
}

void transcript_set_default_view(struct transcript *t, enum view v, bool beside)
{
    if (v == t->default_view && beside == t->thoughts_beside) return;
    t->resized = false;
    struct place p = hold(t);
    t->default_view = v;
    t->thoughts_beside = beside;
    settle(t, &p);
}

void transcript_top(struct transcript *t, size_t *item, int *row)
{
    if (!t->follow) {
        *item = t->top_item;
        *row = t->top_row;
        return;
    }
    int left = t->view_h;
    size_t i = t->n;
    *item = 0;
    *row = 0;
    while (i-- > 0) {
        int h = transcript_height(t, i);
        if (h >= left) {
            *item = i;
            *row = h - left;
            return;
        }
        left -= h;
    }
}

static void pin(struct transcript *t)
{
    for (size_t i = t->n; i-- > 0 && t->n - i < 3;) {
        struct item *it = &t->items[i];
        if (it->phase == PHASE_DONE || it->role != MESSAGE_REPLY) continue;
        size_t first, shown;
        thought_window(t, it, &first, &shown);
        enum view v = transcript_view(t, it);
        if (it->thought.wrap.n > first) it->pinned_tail = it->thought.wrap.lines[first].from;
        it->pinned = v;
        item_touched(it);
    }
}

static void unpin(struct transcript *t)
{
    for (size_t i = t->n; i-- > 0 && t->n - i < 8;) {
        t->items[i].pinned = VIEW_AUTO;
        item_touched(&t->items[i]);
    }
}

void transcript_follow(struct transcript *t)
{
    t->resized = false;
    t->follow = true;
    unpin(t);
}

void transcript_to_start(struct transcript *t)
{
    t->resized = false;
    if (!t->n) return;
    if (t->follow) pin(t);
    t->follow = false;
    t->top_item = 0;
    t->top_row = 0;
    if (!transcript_below(t, 1)) transcript_follow(t);
}

void transcript_scroll(struct transcript *t, int rows)
{
    t->resized = false;
    size_t item;
    int row;
    if (!t->n || !rows || (t->follow && rows > 0)) return;
    transcript_top(t, &item, &row);
    bool moved = false;
    for (; rows < 0 && (row > 0 || item > 0); rows++) {
        if (row == 0) row = transcript_height(t, --item);
        row--;
        moved = true;
    }
    if (t->follow && !moved) return;
    if (t->follow) pin(t);
    t->follow = false;
    for (; rows > 0; rows--) {
        t->top_item = item;
        t->top_row = row;
        if (!transcript_below(t, 1)) break;
        if (++row >= transcript_height(t, item)) {
            if (item + 1 >= t->n) break;
            item++;
            row = 0;
        }
    }
    t->top_item = item;
    t->top_row = row;
    if (!moved && !transcript_below(t, 1)) transcript_follow(t);
}

void transcript_show(struct transcript *t, size_t i)
{
    t->resized = false;
    size_t item;
    int row;
    if (i >= t->n) return;
    transcript_top(t, &item, &row);
    int y = -row;
    if (i >= item) {
        for (size_t k = item; k < i && y < t->view_h; k++) y += transcript_height(t, k);
        int bottom = y + transcript_height(t, i);
        if (y >= 0 && bottom <= t->view_h) return;
        if (y >= 0 && y < t->view_h / 2) return; /* its beginning can be read */
        if (y < 0 && i == item && bottom > t->view_h / 2) return;
    }
    if (t->follow) pin(t);
    t->follow = false;
    t->top_item = i;
    t->top_row = 0;
    if (!transcript_below(t, 1)) transcript_follow(t);
}

int transcript_below(struct transcript *t, int limit)
{
    if (t->follow || !t->n) return 0;
    int y = -t->top_row;
    for (size_t i = t->top_item; i < t->n; i++) {
        y += transcript_height(t, i);
        if (y - t->view_h >= limit) return limit;
    }
    return y > t->view_h ? y - t->view_h : 0;
}
