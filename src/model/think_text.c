/*
 * think_text.c - the bytes of a reply: where a tag is, what is thought and what is answer.
 *
 * Two stages. `held` keeps bytes that may still become a tag; whatever cannot is passed on, one byte at a time, to `tail`, which
 * keeps an unfinished character and the newlines at the end of a thought, and gives out the rest as events.
 *
 * Invariants
 *   - A tag that the vocabulary has as one token is recognised by id only: the same letters spelt out are the model (or the user
 *     it quotes) talking about the tag.
 *   - No byte of a recognised tag and none of a control token is ever given out; a byte that turns out to be no tag always is.
 *   - Injected bytes are never part of a tag.
 *   - `tail` is well-formed but for a sequence at its end that more bytes could complete: what is part of no character is U+FFFD from here
 *     on, in what is given out and in every count of bytes. So the reader, the record and the next prompt have the same text.
 *   - The state (think.state) says which region the text is in; it changes only between bytes, in think_take_tag.
 *
 * In the answer a tag inside code (a ``` block or `inline`) or right behind a quotation mark is text.
 */
#include "model/think_internal.h"

#include <string.h>

#define IDLE_BLANKS 64 /* bytes of white space before the first word; more are an answer */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* ---- giving out ---------------------------------------------------------------------------------------------- */

static void emit(struct think *t, bool all)
{
    bool thought = thought_is_open(t);
    size_t n = t->tail.len;
    if (!all) {
        if (thought) n -= t->tail_newlines;
        n = utf8_complete_prefix(str_cstr(&t->tail), n);
    }
    if (!n) return;
    enum think_event_kind kind = thought ? THINK_TEXT_THOUGHT : THINK_TEXT_ANSWER;
    struct slot *last = t->slot_n > t->slot_at ? &t->slots[t->slot_n - 1] : NULL;
    bool joins = last && last->call == t->call && last->ev.kind == kind && last->text_at + last->ev.text_len == t->text.len;
    struct think_event *ev = joins ? &last->ev : think_push(t, kind);
    if (!ev) return;
    str_add_bytes(&t->text, t->tail.data, n);
    if (!str_ok(&t->text)) {
        t->nomem = true;
        return;
    }
    ev->text_len += n;
    ev->sampled = ev->sampled || t->tail_sampled;
    str_erase(&t->tail, 0, n);
    if (!t->tail.len) t->tail_sampled = false;
    if (all) t->tail_newlines = 0;
}

static void place_feed(struct place *p, char c)
{
    if (c == '\n') {
        p->line_start = true;
        p->inline_code = false;
        p->ticks = 0;
    } else if (c == '`') {
        p->ticks = p->line_start || p->ticks ? p->ticks + 1 : 0;
        if (p->ticks == 3) {
            p->fence = !p->fence;
            p->inline_code = false;
        } else if (!p->fence) {
            p->inline_code = !p->inline_code;
        }
        p->line_start = false;
    } else {
        if (c != ' ' && c != '\t') p->line_start = false;
        p->ticks = 0;
    }
    p->last = c;
}

/* Sentence beginnings that belong into a thought. Only whole words and at the start of a sentence: "Wait for the oven" and
 * "Hold on to the rail" are answers. */
static const char *const thinking_aloud[] = {
    "Wait,",
    "Wait.",
    "Wait!",
    "Wait\xe2\x80\x94",
    "Wait -",
    "But wait",
    "Oh wait",
    "No, wait",
    "Actually, wait",
    "Hmm",
    "Hold on,",
    "Hold on.",
    "Let me reconsider",
    "Let me rethink",
    "Let me re-",
    "Let me recheck",
    "Let me recalculate",
    "Let me double-check",
    "Let me think",
    "On second thought",
    "Okay, so I",
    "Okay, let me",
    "Alright, so I",
    "I need to figure out",
    "The user asks",
    "The user wants",
    "The user is",
};

static void escape_seen(struct think *t)
{
    t->escaped++;
    struct think_event *ev = think_push(t, THINK_ESCAPED);
    if (ev) ev->count = t->escaped;
}

/* Follows the sentences of an answer that came after a thought. */
static void escape_feed(struct think *t, char c)
{
    if (!t->opened || t->place.fence) return;
    if (c == '\n' || ((c == ' ' || c == '\t') && strchr(".!?", t->place.last) && t->place.last)) {
        t->escape_on = true;
        t->escape_n = 0;
        return;
    }
    if (!t->escape_on || (!t->escape_n && strchr(" \t*_>#-", c) && c)) return;
    if (t->escape_n < ESCAPE_MAX) t->escape[t->escape_n++] = c;
    bool may = false;
    for (size_t i = 0; i < ARRAY_LEN(thinking_aloud); i++) {
        size_t len = strlen(thinking_aloud[i]);
        if (memcmp(thinking_aloud[i], t->escape, t->escape_n < len ? t->escape_n : len)) continue;
        may = true;
        if (t->escape_n < len) continue;
        escape_seen(t);
        may = false;
        break;
    }
    t->escape_on = may && t->escape_n < ESCAPE_MAX;
}

static void put_thought(struct think *t, char c)
{
    size_t before = t->tail.len;
    str_add_text_byte(&t->tail, c);
    t->thought_bytes += t->tail.len - before;
}

void text_end_character(struct think *t)
{
    size_t before = t->tail.len;
    str_end_text(&t->tail);
    if (thought_is_open(t)) t->thought_bytes += t->tail.len - before;
}

void text_separate(struct think *t)
{
    if (t->block_bytes || !t->thought_bytes || t->thought_newlines) return;
    put_thought(t, '\n');
    t->thought_newlines = 1;
}

static void pass_thought(struct think *t, char c, unsigned mark)
{
    if (!t->block_bytes) {
        if (c == '\n') return;
        text_separate(t);
    }
    t->block_bytes++;
    t->thought_newlines = c == '\n' ? t->thought_newlines + 1 : 0;
    memmove(t->thought_end, t->thought_end + 1, sizeof t->thought_end - 1);
    t->thought_end[sizeof t->thought_end - 1] = c;
    t->tail_newlines = c == '\n' && !(mark & MARK_INJECTED) ? t->tail_newlines + 1 : 0;
    if (mark & MARK_INJECTED && t->span_open) str_add_text_byte(&t->span_text, c);
    put_thought(t, c);
}

static void pass_answer(struct think *t, char c)
{
    if (t->answer_trim && c == '\n') return;
    t->answer_trim = false;
    t->answer_bytes++;
    if (!is_blank(c)) t->answer_has_text = true;
    escape_feed(t, c);
    str_add_text_byte(&t->tail, c);
}

static void pass_byte(struct think *t, char c, unsigned mark)
{
    if (mark & MARK_CONTROL) return;
    size_t before = t->tail.len;
    if (thought_is_open(t))
        pass_thought(t, c, mark);
    else
        pass_answer(t, c);
    if (t->tail.len > before && mark & MARK_SAMPLED) t->tail_sampled = true;
    place_feed(&t->place, c);
    if (!str_ok(&t->tail) || !str_ok(&t->span_text)) t->nomem = true;
}

/* ---- tags ---------------------------------------------------------------------------------------------------- */

static bool quoted(const struct think *t)
{
    const struct place *p = &t->place;
    return p->fence || p->inline_code || p->last == '"' || p->last == '\'';
}

/* Whether a tag at this very place is one. */
static bool counts_here(const struct think *t, const struct tag *g)
{
    if (t->state == THINK_IDLE) return g->kind != TAG_ANSWER_CLOSE;
    if (thought_is_open(t)) {
        if (g->kind == TAG_CLOSE) return !g->phrase || t->place.line_start;
        return g->kind == TAG_OPEN && (g->phrase ? !t->block_bytes : !quoted(t));
    }
    if (quoted(t)) return false;
    switch (g->kind) {
    case TAG_CLOSE: return !g->phrase || !t->answer_has_text;
    case TAG_OPEN: return g->phrase ? !t->answer_has_text : g->id >= 0 || t->place.line_start;
    case TAG_ANSWER_OPEN: return !t->answer_has_text;
    case TAG_ANSWER_CLOSE: return true;
    }
    return false;
}

const struct tag *text_tag_of_id(const struct think *t, int32_t id)
{
    for (size_t i = 0; i < t->n_tags; i++)
        if (t->tags[i].id == id && counts_here(t, &t->tags[i])) return &t->tags[i];
    return NULL;
}

enum match { MATCH_NONE, MATCH_PART, MATCH_FULL };

/* Matches the held bytes from `at` on with the tags that count there; the longest complete one wins. */
static enum match match_at(const struct think *t, size_t at, const struct tag **found)
{
    enum match m = MATCH_NONE;
    *found = NULL;
    if (t->marks.data[at] & MARK_INJECTED) return m;
    for (size_t i = 0; i < t->n_tags; i++) {
        const struct tag *g = &t->tags[i];
        size_t n = t->held.len - at < g->len ? t->held.len - at : g->len;
        if (g->id >= 0 || g->text[0] != t->held.data[at] || memcmp(g->text, t->held.data + at, n) || !counts_here(t, g)) continue;
        if (n < g->len) {
            if (m == MATCH_NONE) m = MATCH_PART;
        } else if (m != MATCH_FULL || g->len > (*found)->len) {
            m = MATCH_FULL;
            *found = g;
        }
    }
    return m;
}

static int tokens_begun(const struct think *t, size_t from, size_t to)
{
    int n = 0;
    for (size_t i = from; i < to; i++) n += (t->marks.data[i] & MARK_FIRST) != 0;
    return n;
}

static void held_erase(struct think *t, size_t n)
{
    if (!n) return;
    str_erase(&t->held, 0, n);
    str_erase(&t->marks, 0, n);
}

int text_drop_held(struct think *t)
{
    int n = tokens_begun(t, 0, t->held.len);
    held_erase(t, t->held.len);
    return n;
}

int text_held_tokens(const struct think *t)
{
    return tokens_begun(t, 0, t->held.len);
}

bool text_held_is_blank(const struct think *t)
{
    for (size_t i = 0; i < t->held.len; i++)
        if (!is_blank(t->held.data[i]) && !(t->marks.data[i] & MARK_CONTROL)) return false;
    return true;
}

static void begin_answer(struct think *t)
{
    t->state = THINK_ANSWER;
    text_start_answer(t);
}

/* Before the first word: white space, then perhaps a tag. False while that is open. */
static bool scan_idle(struct think *t)
{
    size_t at = 0;
    const struct tag *g = NULL;
    while (at < t->held.len && is_blank(t->held.data[at])) at++;
    if (at == t->held.len && at < IDLE_BLANKS) return false;
    enum match m = at < t->held.len ? match_at(t, at, &g) : MATCH_NONE;
    if (m == MATCH_PART) return false;
    if (m == MATCH_NONE) {
        if (at < t->held.len && t->marks.data[at] & MARK_CONTROL) { /* markup that is no tag of ours */
            held_erase(t, at + 1);
            return t->held.len > 0;
        }
        begin_answer(t);
        return true;
    }
    int n = tokens_begun(t, 0, at + g->len);
    held_erase(t, at + g->len);
    think_take_tag(t, g, n);
    return t->held.len > 0;
}

static void scan(struct think *t)
{
    size_t at = 0;
    while (at < t->held.len) {
        if (t->state == THINK_IDLE) {
            held_erase(t, at);
            at = 0;
            if (!t->held.len || !scan_idle(t)) return;
            continue;
        }
        const struct tag *g;
        enum match m = match_at(t, at, &g);
        if (m == MATCH_PART) break;
        if (m == MATCH_NONE) {
            pass_byte(t, t->held.data[at], (unsigned char)t->marks.data[at]);
            at++;
            continue;
        }
        int n = tokens_begun(t, at, at + g->len);
        held_erase(t, at + g->len);
        at = 0;
        think_take_tag(t, g, n);
    }
    held_erase(t, at);
}

void text_feed(struct think *t, const char *p, size_t n, unsigned mark)
{
    if (!n) return;
    str_add_bytes(&t->held, p, n);
    for (size_t i = 0; i < n; i++) str_add_char(&t->marks, (char)(mark | (i ? 0u : (unsigned)MARK_FIRST)));
    if (!str_ok(&t->held) || !str_ok(&t->marks) || t->held.len != t->marks.len) {
        t->nomem = true;
        return;
    }
    scan(t);
    emit(t, false);
}

void text_settle(struct think *t)
{
    if (t->state == THINK_IDLE) {
        if (text_held_is_blank(t)) return;
        begin_answer(t);
    }
    for (size_t i = 0; i < t->held.len; i++) pass_byte(t, t->held.data[i], (unsigned char)t->marks.data[i]);
    held_erase(t, t->held.len);
    emit(t, false);
}

size_t text_closing(const struct think *t, const char *p, size_t n, const struct tag **tag)
{
    char buf[512];
    size_t held = t->held.len < 256 ? t->held.len : 256, best = 0;
    if (n > sizeof buf - held) n = sizeof buf - held;
    if (held) memcpy(buf, t->held.data + t->held.len - held, held);
    memcpy(buf + held, p, n);
    n += held;
    for (size_t i = 0; i < t->n_tags; i++) {
        const struct tag *g = &t->tags[i];
        if (g->kind != TAG_CLOSE || g->id >= 0) continue;
        for (size_t at = 0; at < n; at++) {
            size_t len = n - at < g->len ? n - at : g->len;
            if (len <= best || memcmp(buf + at, g->text, len)) continue;
            if (g->phrase && !(at ? buf[at - 1] == '\n' : t->place.line_start)) continue;
            best = len;
            if (tag) *tag = g;
        }
    }
    return best;
}

/* ---- edges --------------------------------------------------------------------------------------------------- */

void text_end(struct think *t, bool before_tag)
{
    if (before_tag) {
        str_truncate(&t->tail, t->tail.len - t->tail_newlines);
        t->thought_bytes -= t->tail_newlines;
        t->thought_newlines -= (int)t->tail_newlines;
    } else {
        text_settle(t);
    }
    t->tail_newlines = 0;
    text_end_character(t);
    emit(t, true);
}

void text_start_thought(struct think *t)
{
    t->answer_place = t->place;
    t->place = (struct place){.line_start = true};
    t->block_bytes = 0;
    t->tail_newlines = 0;
}

void text_start_answer(struct think *t)
{
    if (t->answer_bytes)
        t->place = t->answer_place;
    else
        t->place = (struct place){.line_start = true};
    t->answer_trim = !t->answer_bytes || t->place.last == '\n';
    t->escape_on = t->place.line_start;
    t->escape_n = 0;
}

size_t text_unfinished(const struct think *t, char out[4])
{
    size_t done = utf8_complete_prefix(str_cstr(&t->tail), t->tail.len), n = t->tail.len - done;
    if (n > 3) n = 3;
    if (n) memcpy(out, t->tail.data + t->tail.len - n, n);
    return n;
}

bool text_clean(const struct think *t)
{
    char rest[4];
    return !t->held.len && !text_unfinished(t, rest);
}

bool text_at_boundary(const struct think *t)
{
    if (!text_clean(t) || !t->block_bytes) return false;
    const char *end = t->thought_end;
    size_t at = sizeof t->thought_end;
    if (end[at - 1] == '\n') return true;
    while (at > 4 && end[at - 1] && strchr(" )\"'*", end[at - 1])) at--;
    char c = end[at - 1], before = end[at - 2];
    if (c == '!' || c == '?') return true;
    if (c == '.') return !(before >= '0' && before <= '9'); /* "2." may be going on as 2.5 */
    return at >= 3 && (!memcmp(end + at - 3, "\xe3\x80\x82", 3) || !memcmp(end + at - 3, "\xef\xbc\x81", 3) ||
                       !memcmp(end + at - 3, "\xef\xbc\x9f", 3));
}
