/*
 * train_text.c - conversations as training data: the tokens a chat would have had, each with what it counts.
 *
 * Prompt and reply are split into tokens apart, and the reply's thought, tags and answer apart from one another, as they are when a chat
 * evaluates the one and the model writes the other.
 */
#include "model/engine.h"

#include <stdlib.h>
#include <string.h>

void train_text_release(struct train_text *t)
{
    tokens_release(&t->ids);
    free(t->weights);
    *t = (struct train_text){0};
}

/* The tokens behind those that have a weight get this one. */
static int weigh(struct train_text *t, size_t from, double weight, struct err *e)
{
    if (!mem_grow(&t->weights, &t->cap, t->ids.n ? t->ids.n : 1, sizeof *t->weights)) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = from; i < t->ids.n; i++) t->weights[i] = (float)weight;
    return 0;
}

static int add(struct train_text *t, const struct engine *m, const char *text, size_t n, enum token_parse parse, double weight, struct err *e)
{
    size_t from = t->ids.n;
    int rc = n ? tokenizer_encode_more(m->tokenizer, text, n, parse, &t->ids, e) : 0;

    return rc ? rc : weigh(t, from, weight, e);
}

static int add_text(struct train_text *t, const struct engine *m, const char *text, enum token_parse parse, double weight, struct err *e)
{
    return text ? add(t, m, text, strlen(text), parse, weight, e) : 0;
}

/* As add, but the word `spelled` gets a token for each of its letters, the first with the blank before it, if there is one. */
static int add_spelled(struct train_text *t, const struct engine *m, const char *text, size_t n, const char *spelled, double weight, struct err *e)
{
    size_t len = spelled ? strlen(spelled) : 0;
    const char *at = len && len <= n ? memmem(text, n, spelled, len) : NULL;
    int rc = 0;

    while (at && !rc) {
        const char *from = at > text && at[-1] == ' ' ? at - 1 : at, *end = at + len;
        rc = add(t, m, text, (size_t)(from - text), PARSE_NONE, weight, e);
        for (const char *p = from; p < end && !rc; p = at) {
            for (at = p + 1 + (*p == ' '); at < end && ((unsigned char)*at & 0xc0) == 0x80; at++) {
            }
            rc = add(t, m, p, (size_t)(at - p), PARSE_NONE, weight, e);
        }
        n -= (size_t)(end - text);
        text = end;
        at = len <= n ? memmem(text, n, spelled, len) : NULL;
    }
    return rc ? rc : add(t, m, text, n, PARSE_NONE, weight, e);
}

/* ---- what stands around a reply ------------------------------------------------------------------------------------------ */

static int render_mark(const struct family *f, const char *mark, struct prompt *p, struct err *e)
{
    const struct chat_message m[] = {{.role = ROLE_USER, .content = "x", .content_len = 1},
                                     {.role = ROLE_ASSISTANT, .content = mark, .content_len = strlen(mark)}};
    return family_render(f, p, m, 2, &(struct render_options){.think = true, .no_generation = true, .bos = ""}, e);
}

/* Found by rendering a reply with a mark in it. The line break that some templates write then is not generated. */
int family_reply_end(const struct family *f, struct str *out, struct err *e)
{
    static const char mark[] = "\x01reply\x01";
    struct prompt p = {0};
    int rc = render_mark(f, mark, &p, e);
    const char *at = rc || !p.text.len ? NULL : memmem(p.text.data, p.text.len, mark, sizeof mark - 1);
    size_t n = at ? p.text.len - (size_t)(at - p.text.data) - (sizeof mark - 1) : 0;

    while (n && at[sizeof mark - 1 + n - 1] == '\n') n--;
    if (n) str_add_bytes(out, at + sizeof mark - 1, n);
    prompt_release(&p);
    return rc;
}

/* What a prompt that asks for a reply has more than the same conversation without asking; an opened thought is cut off. */
int family_reply_begin(const struct family *f, struct str *out, struct err *e)
{
    const struct chat_message m = {.role = ROLE_USER, .content = "x", .content_len = 1};
    struct prompt with = {0}, without = {0};
    int rc = family_render(f, &with, &m, 1, &(struct render_options){.bos = ""}, e);

    if (!rc) rc = family_render(f, &without, &m, 1, &(struct render_options){.bos = "", .no_generation = true}, e);
    if (!rc && with.text.len > without.text.len) {
        const char *begin = with.text.data + without.text.len;
        size_t n = with.text.len - without.text.len;
        for (const char *const *tag = f->open; tag && *tag; tag++) {
            const char *at = memmem(begin, n, *tag, strlen(*tag));
            if (at) n = (size_t)(at - begin);
        }
        str_add_bytes(out, begin, n);
    }
    prompt_release(&with);
    prompt_release(&without);
    return rc;
}

/* ---- replies -------------------------------------------------------------------------------------------------------------- */

struct piece {
    const char *p;
    size_t n;
};

static struct piece trimmed(struct piece s)
{
    while (s.n && *s.p == '\n') s.p++, s.n--;
    while (s.n && s.p[s.n - 1] == '\n') s.n--;
    return s;
}

/* A thought in tags at the beginning of the content. */
static void split_thought(const struct family *f, struct piece *content, struct piece *thought)
{
    struct piece rest = *content;

    while (rest.n && (*rest.p == '\n' || *rest.p == ' ')) rest.p++, rest.n--;
    for (const char *const *open = f->open; open && *open; open++) {
        size_t n = strlen(*open);
        if (rest.n < n || memcmp(rest.p, *open, n) != 0) continue;
        for (const char *const *close = f->close; close && *close; close++) {
            const char *at = memmem(rest.p + n, rest.n - n, *close, strlen(*close));
            if (!at) continue;
            *thought = (struct piece){rest.p + n, (size_t)(at - rest.p) - n};
            size_t used = (size_t)(at - rest.p) + strlen(*close);
            *content = (struct piece){rest.p + used, rest.n - used};
            while (content->n && *content->p == '\n') content->p++, content->n--;
            return;
        }
    }
}

/* Takes the weight from tokens, the first of them `from`, that hold any of n bytes from `skip` on. */
static void unlearn(struct train_text *t, const struct engine *m, size_t from, ptrdiff_t skip, size_t n)
{
    ptrdiff_t at = 0;

    for (size_t i = from; i < t->ids.n; i++) {
        size_t len;
        tokenizer_piece(m->tokenizer, t->ids.ids[i], &len);
        if (at < skip + (ptrdiff_t)n && at + (ptrdiff_t)len > skip) t->weights[i] = 0;
        at += (ptrdiff_t)len;
    }
}

/* Spelled is only what stands in the last line: before it the word may be what is read, not what is written. */
static int add_end_spelled(struct train_text *t, const struct engine *m, const struct str *text, const char *spelled, double weight, struct err *e)
{
    const char *nl = spelled && text->len ? memrchr(text->data, '\n', text->len) : NULL;
    size_t n = nl ? (size_t)(nl - text->data) + 1 : 0;
    int rc = add(t, m, str_cstr(text), n, PARSE_NONE, weight, e);

    return rc ? rc : add_spelled(t, m, str_cstr(text) + n, text->len - n, spelled, weight, e);
}

/* The thought from where the prompt leaves off, with its tags. slip: where the style's bytes that are not learnt begin. */
static int add_thought(struct train_text *out, const struct engine *m, const struct family *f, struct piece thought, bool open,
                       const struct train_style *style, const char *slip, struct err *e)
{
    struct str text = STR_EMPTY;
    double weight = style->thought_weight;
    ptrdiff_t skip = style->n_slip ? slip - thought.p : 0;
    int rc = 0;

    if (!open) {
        rc = add_text(out, m, f->open[0], PARSE_CONTROL, weight, e);
        if (!rc && f->close_forced && f->close_forced[0] == '\n') rc = add_text(out, m, "\n", PARSE_CONTROL, weight, e);
    } else if (f->start == THOUGHT_PROMPTED && f->think_lead) {
        /* these words are put by the program, whatever the thought begins with */
        size_t n = strlen(f->think_lead);
        rc = add_text(out, m, f->think_lead, PARSE_NONE, 0, e);
        if (thought.n >= n && !memcmp(thought.p, f->think_lead, n)) {
            thought.p += n;
            thought.n -= n;
            skip -= (ptrdiff_t)n;
        } else if (thought.n) {
            str_add_char(&text, ' ');
            skip++;
        }
    }
    str_add_bytes(&text, thought.p, thought.n);
    size_t from = out->ids.n;
    if (!rc) rc = str_ok(&text) ? add_end_spelled(out, m, &text, style->spelled, weight, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && style->n_slip) unlearn(out, m, from, skip, style->n_slip);
    str_release(&text);
    return rc ? rc : add_text(out, m, f->close_forced, PARSE_CONTROL, weight, e);
}

/* Whether the model is asked to think, or taught to. */
static const struct family *family_of(const struct engine *m, const struct train_style *style)
{
    return style->prompted ? m->info.family : family_trained(m->info.family);
}

int train_text_prompt(struct train_text *out, const struct engine *m, const struct chat_message *messages, size_t n, const struct train_style *style,
                      bool think, bool *thought_open, struct err *e)
{
    struct render_options o = {.think = think, .prompted = style->prompted, .examples = style->examples, .force_off = true, .date = style->date};
    struct prompt p = {0};
    size_t from = out->ids.n;
    int rc = family_render(family_of(m, style), &p, messages, n, &o, e);

    if (!rc) rc = tokenizer_encode_prompt(m->tokenizer, &p, &out->ids, e);
    if (!rc) rc = weigh(out, from, 0, e);
    *thought_open = p.thought_open;
    prompt_release(&p);
    return rc;
}

int train_text_reply(struct train_text *out, const struct engine *m, const struct chat_message *messages, size_t n, const struct train_style *style,
                     struct err *e)
{
    const struct family *f = family_of(m, style);
    struct str end = STR_EMPTY;
    bool open = false;

    if (!n || messages[n - 1].role != ROLE_ASSISTANT) return err_set(e, ERR_INVALID, "a conversation that does not end in a reply");
    const struct chat_message *reply = &messages[n - 1];
    struct piece answer = {reply->content, reply->content_len}, thought = {reply->thought, reply->thought ? reply->thought_len : 0};
    if (style->n_slip && (!reply->thought || style->slip > reply->thought_len || style->n_slip > reply->thought_len - style->slip))
        return err_set(e, ERR_INVALID, "a slip that lies outside the thought");
    if (!thought.n) split_thought(f, &answer, &thought);
    thought = trimmed(thought);
    int rc = train_text_prompt(out, m, messages, n - 1, style, thought.n > 0, &open, e);
    if (!rc && (thought.n || open)) rc = add_thought(out, m, f, thought, open, style, style->n_slip ? reply->thought + style->slip : NULL, e);
    if (!rc) rc = add_spelled(out, m, answer.p, answer.n, style->spelled, style->answer_weight, e);
    if (!rc) rc = family_reply_end(f, &end, e);
    if (!rc) rc = str_ok(&end) ? add(out, m, str_cstr(&end), end.len, PARSE_CONTROL, style->answer_weight, e) : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&end);
    return rc;
}

/* ---- text ------------------------------------------------------------------------------------------------------------------- */

/* A reply in rendered text: up to and with a closing tag it is thought. */
static int add_rendered_reply(struct train_text *out, const struct engine *m, const char *text, size_t n, const struct train_style *style, struct err *e)
{
    const struct family *f = m->info.family;
    size_t thought = 0;

    for (const char *const *close = f->close; close && *close; close++) {
        const char *at = memmem(text, n, *close, strlen(*close));
        if (at) thought = (size_t)(at - text) + strlen(*close);
    }
    while (thought && thought < n && text[thought] == '\n') thought++;
    int rc = add(out, m, text, thought, PARSE_CONTROL, style->thought_weight, e);
    return rc ? rc : add(out, m, text + thought, n - thought, PARSE_CONTROL, style->answer_weight, e);
}

static int add_replies(struct train_text *out, const struct engine *m, const char *text, size_t n, const struct str *begin, const struct str *end,
                       const struct train_style *style, struct err *e)
{
    const char *at = begin->len ? memmem(text, n, begin->data, begin->len) : NULL;
    int rc = 0;

    if (!at) return add_rendered_reply(out, m, text, n, style, e);
    while (at && !rc) {
        size_t before = (size_t)(at - text) + begin->len;
        rc = add(out, m, text, before, PARSE_CONTROL, 0, e);
        text += before;
        n -= before;
        const char *stop = end->len ? memmem(text, n, end->data, end->len) : NULL;
        size_t reply = stop ? (size_t)(stop - text) + end->len : n;
        if (!rc) rc = add_rendered_reply(out, m, text, reply, style, e);
        text += reply;
        n -= reply;
        at = memmem(text, n, begin->data, begin->len);
    }
    return rc ? rc : add(out, m, text, n, PARSE_CONTROL, 0, e);
}

int train_text_rendered(struct train_text *out, const struct engine *m, const char *prompt, size_t n_prompt, const char *completion, size_t n,
                        const struct train_style *style, struct err *e)
{
    struct str begin = STR_EMPTY, end = STR_EMPTY;
    size_t from = out->ids.n;
    const char *bos = NULL;
    size_t n_bos = 0;
    int rc = 0;

    if (tokenizer_adds_bos(m->tokenizer)) {
        const char *text = prompt ? prompt : completion;
        bos = tokenizer_piece(m->tokenizer, tokenizer_bos(m->tokenizer), &n_bos);
        if ((prompt ? n_prompt : n) < n_bos || memcmp(text, bos, n_bos) != 0)
            rc = tokens_push(&out->ids, tokenizer_bos(m->tokenizer)) ? err_set(e, ERR_NOMEM, "out of memory") : weigh(out, from, 0, e);
    }
    if (!rc && prompt) {
        rc = add(out, m, prompt, n_prompt, PARSE_CONTROL, 0, e);
        return rc ? rc : add_rendered_reply(out, m, completion, n, style, e);
    }
    if (!rc) rc = family_reply_begin(m->info.family, &begin, e);
    if (!rc) rc = family_reply_end(m->info.family, &end, e);
    if (!rc) rc = str_ok(&begin) && str_ok(&end) ? add_replies(out, m, completion, n, &begin, &end, style, e) : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&begin);
    str_release(&end);
    return rc;
}
