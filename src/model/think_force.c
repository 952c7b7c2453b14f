/*
 * think_force.c - the queue of forced tokens: what the controller puts on the timeline itself.
 *
 * Invariants
 *   - A tag that is one token goes out as that token, never as its letters; the markup around tags is encoded as markup
 *     (PARSE_CONTROL), sentences and the user's words as plain text (PARSE_NONE).
 *   - Every span of text that no sampler chose is told with THINK_INJECTED when it is over, with the bytes that really were put.
 *   - A span is cut between characters only.
 */
#include "model/think_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *author;
} span_facts[] = {
    [FORCE_LEAD] = {"lead", "program"}, [FORCE_WRAP_UP] = {"wrap_up", "program"},
    [FORCE_WAIT] = {"wait", "program"}, [FORCE_SAY] = {"say", "user"},
    [FORCE_GIVEN] = {NULL, NULL},       [FORCE_OPEN] = {NULL, NULL},
    [FORCE_CLOSE] = {"close", "program"},
};

/* ---- spans --------------------------------------------------------------------------------------------------- */

void force_span_begin(struct think *t, enum force_kind kind)
{
    text_end_character(t);
    if (kind != FORCE_OPEN && kind != FORCE_CLOSE) text_separate(t);
    t->span_open = true;
    t->span_kind = kind;
    t->span_position = t->position;
    t->span_offset = t->thought_bytes;
    str_clear(&t->span_text);
}

void force_span_end(struct think *t)
{
    if (!t->span_open) return;
    t->span_open = false;
    text_end_character(t);
    str_end_text(&t->span_text);
    if (!span_facts[t->span_kind].name) return;
    struct think_event *ev = think_push(t, THINK_INJECTED);
    if (!ev) return;
    ev->span_kind = span_facts[t->span_kind].name;
    ev->author = span_facts[t->span_kind].author;
    ev->position = t->span_position;
    ev->offset = t->span_offset;
    ev->text_len = t->span_text.len;
    if (t->span_text.len) str_add_bytes(&t->text, t->span_text.data, t->span_text.len);
    if (!str_ok(&t->text)) t->nomem = true;
}

/* ---- the queue ----------------------------------------------------------------------------------------------- */

static int queue_ids(struct think *t, enum force_kind kind, const int32_t *ids, size_t n, struct err *e)
{
    if (t->queue_at == t->queue_n) t->queue_at = t->queue_n = 0;
    if (!mem_grow(&t->queue, &t->queue_cap, t->queue_n + n, sizeof *t->queue)) {
        t->nomem = true;
        return err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    }
    for (size_t i = 0; i < n; i++) t->queue[t->queue_n++] = (struct forced){.id = ids[i], .kind = kind, .last = i + 1 == n};
    return 0;
}

static int encode(struct think *t, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e)
{
    int rc = n ? t->vocab.encode(t->vocab.arg, text, n, parse, out, e) : 0;
    if (rc == ERR_NOMEM) t->nomem = true;
    return rc;
}

/* Text with tags in it: those that are one token by their id, the rest as markup. */
static int encode_markup(struct think *t, const char *text, struct tokens *out, struct err *e)
{
    int rc = 0;
    while (!rc && *text) {
        const struct tag *tag = NULL;
        const char *at = NULL;
        for (size_t i = 0; i < t->n_tags; i++) {
            const char *p = t->tags[i].id >= 0 ? strstr(text, t->tags[i].text) : NULL;
            if (p && (!at || p < at)) {
                at = p;
                tag = &t->tags[i];
            }
        }
        if (!tag) return encode(t, text, strlen(text), PARSE_CONTROL, out, e);
        rc = encode(t, text, (size_t)(at - text), PARSE_CONTROL, out, e);
        if (!rc && tokens_push(out, tag->id)) {
            t->nomem = true;
            rc = err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
        }
        text = at + tag->len;
    }
    return rc;
}

static int force_markup(struct think *t, enum force_kind kind, const char *text, struct err *e)
{
    struct tokens ids = {0};
    int rc = encode_markup(t, text, &ids, e);
    if (!rc) rc = queue_ids(t, kind, ids.ids, ids.n, e);
    tokens_release(&ids);
    return rc;
}

int force_text(struct think *t, enum force_kind kind, const char *text, size_t n, struct err *e)
{
    struct tokens ids = {0};
    int rc = encode(t, text, n, PARSE_NONE, &ids, e);
    if (!rc && ids.n) rc = queue_ids(t, kind, ids.ids, ids.n, e);
    tokens_release(&ids);
    return rc;
}

/* ---- what is forced ------------------------------------------------------------------------------------------ */

/* Without as many of its newlines as the thought ends with. */
static const char *after_newlines(const struct think *t, const char *text)
{
    for (int i = 0; i < t->thought_newlines && *text == '\n'; i++) text++;
    return text;
}

static const char *closing_text(const struct think *t)
{
    return t->family->close_forced ? t->family->close_forced : t->family->close[0];
}

/* The newline that a family which closes on a line of its own also has behind the opening tag. */
static const char *opening_newline(const struct think *t)
{
    return closing_text(t)[0] == '\n' ? "\n" : "";
}

int force_open(struct think *t, struct err *e)
{
    struct str text = STR_EMPTY;
    str_add(&text, t->family->open[0]);
    str_add(&text, opening_newline(t));
    int rc = str_ok(&text) ? force_markup(t, FORCE_OPEN, text.data, e) : err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    str_release(&text);
    return rc;
}

int force_empty(struct think *t, struct err *e)
{
    struct str text = STR_EMPTY;
    str_add(&text, t->family->open[0]);
    str_add(&text, opening_newline(t));
    str_add(&text, closing_text(t));
    int rc = str_ok(&text) ? force_markup(t, FORCE_CLOSE, text.data, e) : err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    str_release(&text);
    return rc;
}

int force_close(struct think *t, bool wrap_up, struct err *e)
{
    int rc = 0;
    const char *close = closing_text(t);
    if (wrap_up && t->family->wrap_up) {
        const char *text = after_newlines(t, t->family->wrap_up);
        rc = force_text(t, FORCE_WRAP_UP, text, strlen(text), e);
    } else if (t->thought_newlines && t->block_bytes && *close == '\n') {
        close++;
    }
    return rc ? rc : force_markup(t, FORCE_CLOSE, close, e);
}

void force_rest_of_close(struct think *t)
{
    queue_ids(t, FORCE_CLOSE, t->close_tag.ids + 1, t->close_tag.n - 1, NULL);
}

int force_wait(struct think *t, bool at_start, struct err *e)
{
    const char *text = t->family->wait;
    if (!text) return 0;
    if (at_start)
        while (*text == '\n') text++;
    else
        text = after_newlines(t, text);
    return force_text(t, FORCE_WAIT, text, strlen(text), e);
}

int force_say(struct think *t, struct err *e)
{
    struct str line = STR_EMPTY;
    if (t->block_bytes && !t->thought_newlines) str_add_char(&line, '\n');
    str_add_bytes(&line, str_cstr(&t->say), t->say.len);
    str_add_char(&line, '\n');
    int rc = str_ok(&line) ? force_text(t, FORCE_SAY, line.data, line.len, e)
                           : err_set(e, ERR_NOMEM, "out of memory in the thinking controller");
    if (rc) t->nomem = true;
    str_release(&line);
    return rc;
}

void force_cut(struct think *t)
{
    char buf[64];
    size_t n = text_unfinished(t, buf), keep = 0;
    while (n && t->queue_at + keep < t->queue_n) {
        size_t len;
        const char *p = t->vocab.piece(t->vocab.arg, t->queue[t->queue_at + keep++].id, &len);
        if (len > sizeof buf - n) break;
        memcpy(buf + n, p, len);
        n += len;
        if (utf8_complete_prefix(buf, n) == n) break;
    }
    t->queue_n = t->queue_at + keep;
    if (keep)
        t->queue[t->queue_n - 1].last = true;
    else
        force_span_end(t);
}

bool force_close_begun(const struct think *t)
{
    return force_pending(t) && t->span_open && t->span_kind == FORCE_CLOSE;
}

size_t think_forced(const struct think *t, int32_t *ids, size_t max)
{
    size_t n = force_pending(t) < max ? force_pending(t) : max;
    for (size_t i = 0; i < n; i++) ids[i] = t->queue[t->queue_at + i].id;
    return n;
}

/* ---- preparation --------------------------------------------------------------------------------------------- */

int force_prepare(struct think *t, struct err *e)
{
    struct tokens ids = {0};
    int rc = encode_markup(t, closing_text(t), &ids, e);
    t->close_len = (int)(ids.n < 256 ? ids.n : 256);
    if (!rc) rc = encode_markup(t, t->family->close[0], &t->close_tag, e);
    if (!rc && (!ids.n || !t->close_tag.n))
        rc = err_set(e, ERR_FAILED, "this vocabulary cannot write the closing tag %s", t->family->close[0]);
    ids.n = 0;
    const char *wrap = t->family->wrap_up;
    if (!rc && wrap) rc = encode(t, wrap, strlen(wrap), PARSE_NONE, &ids, e);
    t->wrap_len = (int)(ids.n < 1024 ? ids.n : 1024);
    tokens_release(&ids);
    return rc;
}
