/*
 * wrap.c - breaks text into screen lines.
 *
 * Invariants
 *   - A line is never wider than asked, but for a single wide cluster at width 1.
 *   - Every byte is in exactly one line, or is a newline, or one of the blanks at which a line was broken.
 *   - The result depends on the text alone: wrapping piece by piece (wrap_grow) and at once give the same lines.
 *   - Columns are those of grid_cluster, so what was wrapped to fit does fit when it is put into a grid.
 *
 * Greedy, at blanks, and also between wide clusters, as Chinese and Japanese have no blanks. No hyphenation.
 */
#include "ui/grid.h"

#include <stdlib.h>
#include <string.h>

/* Where the line being filled may end: its bytes stop at `end`, the next line starts at `next`. */
struct break_point {
    bool set;
    size_t end, next;
    int columns;
};

static bool add_line(struct wrap *w, size_t from, size_t to, int columns, bool hard)
{
    if (!mem_grow(&w->lines, &w->cap, w->n + 1, sizeof(*w->lines))) return false;
    w->lines[w->n++] = (struct wrap_line){.from = from, .to = to, .columns = columns, .hard = hard};
    return true;
}

/* Closing punctuation of wide scripts does not start a line. */
static bool sticks_to_left(const char *cluster)
{
    static const char *const marks[] = {"、", "。", "，", "．", "」", "』", "）", "】", "〉", "》", "！", "？", "：", "；", "ー", "々"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (strcmp(marks[i], cluster) == 0) return true;
    return false;
}

static bool sticks_to_right(const char *cluster)
{
    static const char *const marks[] = {"「", "『", "（", "【", "〈", "《"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (strcmp(marks[i], cluster) == 0) return true;
    return false;
}

static int blank_columns(char c, int column)
{
    return c == '\t' ? WRAP_TAB - column % WRAP_TAB : 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A blank followed by a combining mark is a visible cluster, no place to break. */
static bool is_blank_at(const char *text, size_t n, size_t at, struct cell *c)
{
    if (!is_blank(text[at])) return false;
    if (text[at] == '\t') return true;
    return grid_cluster(text + at, n - at, c) == 1;
}

/* Takes the blanks from *at on that belong to a break. */
static void skip_blanks(const char *text, size_t n, size_t *at)
{
    struct cell c;
    while (*at < n && is_blank_at(text, n, *at, &c)) ++*at;
}

/* Finds the end of the line that starts at `from` in the paragraph text[0, n) (no newline in it). Fills *line but for `hard`
 * and returns where the next line starts; n when there is none. */
static size_t fill_line(const char *text, size_t n, size_t from, int width, struct wrap_line *line)
{
    struct break_point brk = {0};
    struct cell c = {0}, last = {0};
    size_t at = from;
    int col = 0;
    bool seen_word = false, after_blank = false;
    *line = (struct wrap_line){.from = from};
    while (at < n) {
        if (is_blank_at(text, n, at, &c)) {
            if (seen_word && !after_blank) brk = (struct break_point){.set = true, .end = at, .columns = col};
            int w = blank_columns(text[at], col);
            if (col + w > width) { /* blanks that do not fit end the line, and all of them are the break's */
                line->to = seen_word ? brk.end : at;
                line->columns = seen_word ? brk.columns : col;
                skip_blanks(text, n, &at);
                return at;
            }
            col += w;
            at++;
            brk.next = at;
            after_blank = true;
            continue;
        }
        size_t k = grid_cluster(text + at, n - at, &c);
        bool wide = c.width > 0 && (c.width == 2 || last.width == 2);
        if (wide && seen_word && !after_blank && !sticks_to_left(c.text) && !sticks_to_right(last.text))
            brk = (struct break_point){.set = true, .end = at, .next = at, .columns = col};
        if (col + c.width > width) {
            if (brk.set) {
                line->to = brk.end;
                line->columns = brk.columns;
                return brk.next;
            }
            if (at > from) {
                line->to = at;
                line->columns = col;
                return at;
            }
        }
        col += c.width;
        at += k;
        if (c.width > 0) last = c;
        seen_word = true;
        after_blank = false;
    }
    line->to = at;
    line->columns = col;
    return n;
}

/* Wraps text[from, n), which starts a paragraph, behind the lines that w has. */
static bool wrap_from(struct wrap *w, const char *text, size_t from, size_t n, int columns)
{
    if (columns < 1) columns = 1;
    while (from < n) {
        const char *newline = memchr(text + from, '\n', n - from);
        size_t end = newline ? (size_t)(newline - text) : n;
        do {
            struct wrap_line line;
            size_t next = fill_line(text, end, from, columns, &line);
            if (!add_line(w, line.from, line.to, line.columns, next >= end)) return false;
            from = next;
        } while (from < end);
        from = end + (newline ? 1 : 0);
    }
    return true;
}

bool wrap_text(struct wrap *w, const char *text, size_t n, int columns)
{
    w->n = 0;
    return wrap_from(w, text, 0, n, columns);
}

bool wrap_grow(struct wrap *w, const char *text, size_t n, int columns)
{
    if (w->n == 0) return wrap_text(w, text, n, columns);
    /* More text can change the breaks of its own paragraph, and of no earlier one. */
    size_t first = w->n - 1;
    while (first > 0 && !w->lines[first - 1].hard) first--;
    size_t from = w->lines[first].from;
    w->n = first;
    return wrap_from(w, text, from < n ? from : n, n, columns);
}

void wrap_release(struct wrap *w)
{
    free(w->lines);
    *w = (struct wrap){0};
}
