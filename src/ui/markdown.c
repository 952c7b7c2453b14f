/*
 * markdown.c - the document: its source, its leaves with their layouts, the list of all lines, code blocks.
 *
 * Invariants
 *   - layouts[i] belongs to leaves[i] as it was when `scanned` bytes were scanned; lines holds those of layouts [0, shown) at `columns`.
 *   - A rescan keeps the layout of a leaf that came out the same.
 */
#include "ui/markdown_priv.h"

#include <stdlib.h>
#include <string.h>

struct markdown {
    struct str source;
    struct scan scan;
    bool scanned;
    int columns; /* of the layouts; 0 none */
    struct layout *layouts;
    size_t n_layouts, cap_layouts;
    struct md_line *lines;
    size_t n_lines, cap_lines;
    size_t shown;     /* layouts whose lines are in `lines` */
    struct leaf *old; /* scratch: leaves before a rescan */
    size_t cap_old;
    struct lay lay;  /* scratch */
    struct str code; /* what markdown_code gave last */
};

int markdown_new(struct markdown **out, struct err *e)
{
    *out = calloc(1, sizeof **out);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a message");
}

static void keep_layouts(struct markdown *m, size_t n)
{
    while (m->n_layouts > n) layout_release(&m->layouts[--m->n_layouts]);
    if (m->shown > n) {
        m->shown = n;
        m->n_lines = 0;
        for (size_t i = 0; i < n; i++) m->n_lines += m->layouts[i].n;
    }
}

void markdown_drop_layout(struct markdown *m)
{
    keep_layouts(m, 0);
    free(m->layouts);
    free(m->lines);
    m->layouts = NULL;
    m->lines = NULL;
    m->cap_layouts = m->cap_lines = m->n_lines = m->shown = 0;
    m->columns = 0;
    lay_release(&m->lay);
}

void markdown_free(struct markdown *m)
{
    if (!m) return;
    markdown_drop_layout(m);
    str_release(&m->source);
    str_release(&m->code);
    free(m->scan.leaves);
    free(m->old);
    free(m);
}

bool markdown_append(struct markdown *m, const char *text, size_t n)
{
    if (!str_reserve(&m->source, n)) {
        m->source.failed = false; /* a later append may fit again */
        return false;
    }
    str_add_bytes(&m->source, text, n);
    if (n) m->scanned = false;
    return true;
}

bool markdown_set(struct markdown *m, const char *text, size_t n)
{
    struct str fresh = STR_EMPTY;
    if (!str_reserve(&fresh, n)) {
        str_release(&fresh);
        return false;
    }
    str_add_bytes(&fresh, text, n);
    str_release(&m->source);
    m->source = fresh;
    keep_layouts(m, 0);
    struct leaf *leaves = m->scan.leaves;
    size_t cap = m->scan.cap_leaves;
    m->scan = (struct scan){.leaves = leaves, .cap_leaves = cap};
    m->scanned = false;
    return true;
}

const char *markdown_source(const struct markdown *m, size_t *n)
{
    *n = m->source.len;
    return str_cstr(&m->source);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static bool same_path(const struct leaf *a, const struct leaf *b)
{
    if (a->depth != b->depth || a->begun != b->begun) return false;
    for (size_t i = 0; i < a->depth; i++) {
        const struct box *x = &a->path[i], *y = &b->path[i];
        if (x->type != y->type || x->mark != y->mark || x->task != y->task || x->need != y->need || x->number != y->number) return false;
    }
    return true;
}

/* Both were read from the same source, of which one saw more: equal fields are equal bytes. */
static bool same_leaf(const struct leaf *a, const struct leaf *b)
{
    return a->from == b->from && a->to == b->to && a->content == b->content && a->kind == b->kind && a->level == b->level &&
           a->setext == b->setext && a->gap == b->gap && a->more == b->more && a->tail == b->tail && a->closed == b->closed &&
           a->fence_indent == b->fence_indent && a->columns == b->columns && a->info == b->info && a->info_len == b->info_len &&
           a->head == b->head && a->rows == b->rows && a->code == b->code && same_path(a, b);
}

/* Brings the leaves up to the source. Layouts of leaves that changed are dropped. */
static bool rescan(struct markdown *m)
{
    if (m->scanned) return true;
    struct scan *s = &m->scan;
    size_t first = s->resume_leaf, n_old = s->n_leaves > first ? s->n_leaves - first : 0;
    if (!mem_grow(&m->old, &m->cap_old, n_old + 1, sizeof *m->old)) return false;
    if (n_old) memcpy(m->old, s->leaves + first, n_old * sizeof *m->old);
    bool ok = scan_run(s, str_cstr(&m->source), m->source.len);
    size_t same = 0;
    while (same < n_old && first + same < s->n_leaves && same_leaf(&m->old[same], &s->leaves[first + same])) same++;
    keep_layouts(m, first + same);
    if (!ok) { /* begin anew at the next look */
        keep_layouts(m, 0);
        struct leaf *leaves = s->leaves;
        size_t cap = s->cap_leaves;
        *s = (struct scan){.leaves = leaves, .cap_leaves = cap};
    }
    m->scanned = ok;
    return ok;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool show(struct markdown *m, const struct layout *o)
{
    if (!mem_grow(&m->lines, &m->cap_lines, m->n_lines + o->n, sizeof *m->lines)) return false;
    if (o->n) memcpy(m->lines + m->n_lines, o->lines, o->n * sizeof *m->lines);
    m->n_lines += o->n;
    m->shown++;
    return true;
}

const struct md_line *markdown_lines(struct markdown *m, int columns, size_t *n)
{
    if (columns < 1) columns = 1;
    *n = 0;
    if (!rescan(m)) return NULL;
    if (columns != m->columns) keep_layouts(m, 0);
    m->columns = columns;
    const struct scan *s = &m->scan;
    if (!mem_grow(&m->layouts, &m->cap_layouts, s->n_leaves, sizeof *m->layouts)) return NULL;
    while (m->n_layouts < s->n_leaves) {
        size_t i = m->n_layouts;
        struct layout *o = &m->layouts[i];
        *o = (struct layout){0};
        struct highlight_state before = i ? m->layouts[i - 1].highlight : (struct highlight_state){0};
        if (!lay_leaf(&m->lay, str_cstr(&m->source), &s->leaves[i], o, columns, before)) {
            layout_release(o);
            return NULL;
        }
        m->n_layouts++;
    }
    while (m->shown < m->n_layouts)
        if (!show(m, &m->layouts[m->shown])) return NULL;
    *n = m->n_lines;
    return m->n_lines ? m->lines : NULL;
}

size_t markdown_line_at(const struct markdown *m, size_t at)
{
    size_t low = 0, high = m->n_lines;
    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (m->lines[mid].from <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* ---- code blocks ------------------------------------------------------------------------------------------------- */

size_t markdown_code_count(struct markdown *m)
{
    if (!rescan(m)) return 0;
    for (size_t i = m->scan.n_leaves; i-- > 0;)
        if (m->scan.leaves[i].code != MD_NO_CODE) return m->scan.leaves[i].code + 1;
    return 0;
}

/* The first leaf of a code block, n_leaves when there is none. Numbers of blocks go up with the leaves. */
static size_t code_leaf(const struct scan *s, size_t code)
{
    size_t i = 0;
    while (i < s->n_leaves && s->leaves[i].code != code) i++;
    return i;
}

const char *markdown_code(struct markdown *m, size_t i, size_t *n)
{
    *n = 0;
    if (!rescan(m)) return NULL;
    const struct scan *s = &m->scan;
    size_t k = i == MD_NO_CODE ? s->n_leaves : code_leaf(s, i);
    if (k == s->n_leaves) return NULL;
    str_clear(&m->code);
    for (; k < s->n_leaves && s->leaves[k].code == i; k++) {
        size_t line = s->leaves[k].from;
        struct cursor c;
        while (leaf_next_code(&s->leaves[k], str_cstr(&m->source), &line, &c))
            str_add_bytes(&m->code, m->source.data + c.at, line > c.end ? line - c.at : c.end - c.at);
    }
    if (!str_ok(&m->code)) return NULL;
    *n = m->code.len;
    return str_cstr(&m->code);
}

const char *markdown_code_info(struct markdown *m, size_t i, size_t *n)
{
    *n = 0;
    if (!rescan(m)) return NULL;
    size_t k = i == MD_NO_CODE ? m->scan.n_leaves : code_leaf(&m->scan, i);
    if (k == m->scan.n_leaves) return NULL;
    *n = m->scan.leaves[k].info_len;
    return str_cstr(&m->source) + m->scan.leaves[k].info;
}
