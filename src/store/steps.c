/*
 * steps.c - a thought's steps and their ratings.
 *
 * Steps are paragraphs; where a thought is one paragraph, its sentences and lines. A rated step keeps where it lay, so that the marks stay
 * true when the cut is ever done otherwise.
 *
 * Marks go up to the first error, as in PRM800K: what follows a wrong step cannot be judged by itself. A corrected thought has no marks;
 * they are of the thought that was generated.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

void thought_steps_release(struct thought_steps *l)
{
    if (!l) return;
    free(l->items);
    *l = (struct thought_steps){0};
}

/* ---- cutting ------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes bytes [from, to) as a step, without the white space around them; nothing when that is all. */
static int add_step(struct thought_steps *out, size_t *cap, const char *text, size_t from, size_t to, struct err *e)
{
    while (from < to && is_blank(text[from])) from++;
    while (to > from && is_blank(text[to - 1])) to--;
    if (from == to) return 0;
    if (!mem_grow(&out->items, cap, out->n + 1, sizeof *out->items)) return err_set(e, ERR_NOMEM, "out of memory");
    out->items[out->n++] = (struct thought_step){.offset = from, .length = to - from};
    return 0;
}

/* The first byte behind the paragraph that begins at `at`: paragraphs end at a line without words. */
static size_t paragraph_end(const char *text, size_t len, size_t at)
{
    for (size_t i = at; i < len; i++) {
        if (text[i] != '\n') continue;
        size_t j = i + 1;
        while (j < len && (text[j] == ' ' || text[j] == '\t' || text[j] == '\r')) j++;
        if (j < len && text[j] == '\n') return j + 1;
    }
    return len;
}

/* Whether the mark at `at` of a step that began at `from` ends a sentence: a space or the end follows, and it is no "1." of a list. */
static bool ends_sentence(const char *text, size_t len, size_t from, size_t at)
{
    size_t i = from;

    if (at + 1 < len && !is_blank(text[at + 1])) return false;
    if (text[at] != '.') return true;
    while (i < at && is_blank(text[i])) i++;
    size_t digits = i;
    while (digits < at && text[digits] >= '0' && text[digits] <= '9') digits++;
    return digits != at || digits == i;
}

static size_t sentence_end(const char *text, size_t len, size_t at)
{
    for (size_t i = at; i < len; i++) {
        uint32_t cp;
        if (text[i] == '\n') return i + 1;
        if ((text[i] == '.' || text[i] == '!' || text[i] == '?') && ends_sentence(text, len, at, i)) return i + 1;
        if ((unsigned char)text[i] < 0xe3) continue;
        size_t n = utf8_decode(text + i, len - i, &cp);
        if (cp == 0x3002 || cp == 0xff01 || cp == 0xff1f) return i + n; /* the full stops of Chinese and Japanese need no space */
    }
    return len;
}

int thought_steps_cut(struct thought_steps *out, const char *text, size_t len, struct err *e)
{
    size_t cap = 0;
    int rc = 0;

    *out = (struct thought_steps){0};
    for (size_t at = 0, to; at < len && !rc; at = to) {
        to = paragraph_end(text, len, at);
        rc = add_step(out, &cap, text, at, to, e);
    }
    if (!rc && out->n == 1) {
        out->n = 0;
        for (size_t at = 0, to; at < len && !rc; at = to) {
            to = sentence_end(text, len, at);
            rc = add_step(out, &cap, text, at, to, e);
        }
        out->sentences = true;
    }
    if (rc) thought_steps_release(out);
    return rc;
}

/* ---- rating -------------------------------------------------------------------------------------------------- */

static int cut_thought(struct store *s, int64_t reply, struct thought_steps *out, struct err *e)
{
    struct query q;

    *out = (struct thought_steps){0};
    query_init(&q, s, "SELECT thought FROM messages WHERE id = ?1", e);
    query_int(&q, 1, reply);
    if (query_row(&q)) {
        size_t len = 0;
        char *text = query_get_text(&q, 0, &len);
        if (text) q.rc = thought_steps_cut(out, text, len, e);
        free(text);
    }
    return query_end(&q);
}

/* Marks take the place that they were given at; beyond what the cut has now they are left out. */
int steps_load(struct store *s, int64_t reply, struct thought_steps *out, struct err *e)
{
    struct query q;

    int rc = check_reply(s, reply, e);
    if (!rc) rc = cut_thought(s, reply, out, e);
    if (rc) return rc;
    query_init(&q, s, "SELECT step, value, byte_offset, byte_length FROM steps WHERE message = ?1 ORDER BY step", e);
    query_int(&q, 1, reply);
    while (query_row(&q)) {
        int64_t step = query_get_int(&q, 0);
        if (step < 1 || (uint64_t)step > out->n) continue;
        struct thought_step *t = &out->items[step - 1];
        if (t->offset != (size_t)query_get_int(&q, 2) || t->length != (size_t)query_get_int(&q, 3)) continue;
        t->rated = true;
        t->value = (int)query_get_int(&q, 1);
    }
    rc = query_end(&q);
    if (rc) thought_steps_release(out);
    return rc;
}

int store_load_steps(struct store *s, int64_t reply, struct thought_steps *out, struct err *e)
{
    *out = (struct thought_steps){0};
    store_lock(s);
    int rc = steps_load(s, reply, out, e);
    store_unlock(s);
    return rc;
}

static int drop_from(struct store *s, int64_t reply, int first, int last, struct err *e)
{
    struct query q;

    query_init(&q, s, "DELETE FROM steps WHERE message = ?1 AND step BETWEEN ?2 AND ?3", e);
    query_int(&q, 1, reply);
    query_int(&q, 2, first);
    query_int(&q, 3, last);
    return query_run(&q);
}

static int put_step(struct store *s, int64_t reply, int step, int value, const struct thought_steps *l, struct err *e)
{
    struct query q;
    const struct thought_step *t = &l->items[step - 1];

    query_init(&q, s,
               "INSERT INTO steps(message, step, unit, byte_offset, byte_length, value, rated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"
               " ON CONFLICT(message, step) DO UPDATE SET unit = ?3, byte_offset = ?4, byte_length = ?5, value = ?6, rated_ms = ?7",
               e);
    query_int(&q, 1, reply);
    query_int(&q, 2, step);
    query_cstr(&q, 3, l->sentences ? "sentence" : "paragraph");
    query_int(&q, 4, (int64_t)t->offset);
    query_int(&q, 5, (int64_t)t->length);
    query_int(&q, 6, value);
    query_int(&q, 7, clock_wall_ms());
    return query_run(&q);
}

static int rate_step(struct store *s, int64_t reply, int step, int value, struct err *e)
{
    struct thought_steps l = {0};

    int rc = steps_load(s, reply, &l, e);
    if (!rc && l.n == 0) rc = err_set(e, ERR_INVALID, "reply %lld has no thought to rate", (long long)reply);
    if (!rc && (step < 1 || (size_t)step > l.n))
        rc = err_set(e, ERR_INVALID, "the thought of reply %lld has steps 1 to %zu, not %d", (long long)reply, l.n, step);
    for (int i = 1; i < step && (size_t)i <= l.n && !rc && value != STEP_NOT_RATED; i++)
        if (l.items[i - 1].rated && l.items[i - 1].value < 0)
            rc = err_set(e, ERR_INVALID, "step %d is marked bad: what follows the first error is not rated", i);
    if (!rc) rc = undo_note_steps(s, reply, e);
    if (!rc && value < 0) rc = drop_from(s, reply, step + 1, INT32_MAX, e);
    if (!rc) rc = value == STEP_NOT_RATED ? drop_from(s, reply, step, step, e) : put_step(s, reply, step, value, &l, e);
    thought_steps_release(&l);
    return rc;
}

int store_rate_step(struct store *s, int64_t reply, int step, int value, struct err *e)
{
    if (value < -1 || value > STEP_NOT_RATED) return err_set(e, ERR_INVALID, "a step is rated -1, 0 or 1, not %d", value);
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, rate_step(s, reply, step, value, e), e);
    store_unlock(s);
    return rc;
}
