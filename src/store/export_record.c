/*
 * export_record.c - what a record of fine-tuning data looks like in each format.
 *
 * Keys come in a fixed order and text is written as UTF-8, so that the same database gives the same bytes. Every record of a file has the
 * same columns with the same types, since readers of JSON lines infer types from the first ones: what may be missing is a key inside a
 * message only.
 */
#include "store/export.h"

#include <stdlib.h>
#include <string.h>

int json_append_line(struct str *out, json_t *object, struct err *e)
{
    char *text = json_write(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (text) str_add(out, text);
    str_add_char(out, '\n');
    bool written = text && str_ok(out);
    free(text);
    return written ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static json_t *text_json(const struct str *s)
{
    return str_ok(s) ? json_stringn(str_cstr(s), s->len) : NULL;
}

/* Builders take what they are given also when it is NULL for want of memory, and leave the mark in `failed`. */
struct builder {
    struct exporter *x;
    const struct parts *p;
    const char *key; /* of a message, for thoughts */
    bool failed;
};

static void set(struct builder *b, json_t *o, const char *key, json_t *value)
{
    if (json_object_set_new(o, key, value) != 0) b->failed = true;
}

static void push(struct builder *b, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0) b->failed = true;
}

/* ---- messages ------------------------------------------------------------------------------------------------ */

static void trim_newlines(const char **p, size_t *n)
{
    while (*n && **p == '\n') ++*p, --*n;
    while (*n && (*p)[*n - 1] == '\n') --*n;
}

/* The answer, with the thought before it in the tags that most families read. */
static json_t *content_of(const struct export_turn *t, bool inline_thought)
{
    struct str content = STR_EMPTY;
    const char *thought = t->thought;
    size_t n = t->thought_len;

    if (!inline_thought || n == 0) return json_stringn(t->answer, t->answer_len);
    trim_newlines(&thought, &n);
    str_add(&content, "<think>\n");
    str_add_bytes(&content, thought, n);
    str_add(&content, "\n</think>\n\n");
    str_add_bytes(&content, t->answer, t->answer_len);
    json_t *out = text_json(&content);
    str_release(&content);
    return out;
}

static void push_part(struct builder *b, json_t *list, const char *text, size_t n, bool train)
{
    json_t *part = json_object();

    if (n == 0) return json_decref(part);
    set(b, part, "type", json_string("text"));
    set(b, part, "text", json_stringn(text, n));
    set(b, part, "train", json_boolean(train));
    push(b, list, part);
}

/* The thought; as a list of pieces to be learnt and not, where such marks are asked for at all. */
static json_t *thought_json(struct builder *b, const struct export_turn *t)
{
    size_t at = 0;

    if (b->x->options->injected != INJECTED_MASK) return json_stringn(t->thought, t->thought_len);
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_masked; i++) {
        push_part(b, list, t->thought + at, t->masked[i].offset - at, true);
        push_part(b, list, t->thought + t->masked[i].offset, t->masked[i].length, false);
        at = t->masked[i].offset + t->masked[i].length;
    }
    push_part(b, list, t->thought + at, t->thought_len - at, true);
    return list;
}

/* newest: in the text itself only the newest thought stays, as templates drop those of earlier turns. */
static json_t *message_json(struct builder *b, const struct export_turn *t, bool newest)
{
    json_t *m = json_object();

    set(b, m, "role", json_string(t->prompt ? "user" : "assistant"));
    if (t->prompt) {
        set(b, m, "content", json_stringn(t->prompt, t->prompt_len));
        return m;
    }
    set(b, m, "content", content_of(t, newest && b->x->reasoning == REASONING_INLINE));
    if (b->x->reasoning == REASONING_FIELD && t->thought_len) set(b, m, b->key, thought_json(b, t));
    return m;
}

static json_t *messages_json(struct builder *b, bool with_newest)
{
    const struct parts *p = b->p;
    json_t *list = json_array();

    if (p->node->system[0]) {
        json_t *m = json_object();
        set(b, m, "role", json_string("system"));
        set(b, m, "content", json_string(p->node->system));
        push(b, list, m);
    }
    for (size_t i = 0; i < p->n; i++) push(b, list, message_json(b, &p->turns[i], with_newest && i + 1 == p->n));
    return list;
}

/* A list of the one message. */
static json_t *one_message(struct builder *b, const struct export_turn *t)
{
    json_t *list = json_array();
    push(b, list, message_json(b, t, true));
    return list;
}

/* ---- ShareGPT and Alpaca --------------------------------------------------------------------------------------- */

/* Turns that alternate: neighbouring prompts as one, with an empty line between. */
struct pair_of_turns {
    struct str prompt;
    const struct export_turn *reply; /* NULL: not answered */
};

static struct pair_of_turns *alternate(const struct parts *p, size_t *n)
{
    struct pair_of_turns *out = calloc(p->n ? p->n : 1, sizeof *out);

    *n = 0;
    for (size_t i = 0; i < p->n && out; i++) {
        const struct export_turn *t = &p->turns[i];
        if (t->prompt && (*n == 0 || out[*n - 1].reply)) ++*n;
        if (!t->prompt && (*n == 0 || out[*n - 1].reply)) ++*n;
        struct pair_of_turns *last = &out[*n - 1];
        if (!t->prompt) {
            last->reply = t;
            continue;
        }
        if (last->prompt.len) str_add(&last->prompt, "\n\n");
        str_add_bytes(&last->prompt, t->prompt, t->prompt_len);
    }
    return out;
}

static void alternate_free(struct pair_of_turns *turns, size_t n)
{
    for (size_t i = 0; turns && i < n; i++) str_release(&turns[i].prompt);
    free(turns);
}

static json_t *said(struct builder *b, const char *from, json_t *value)
{
    json_t *o = json_object();
    set(b, o, "from", json_string(from));
    set(b, o, "value", value);
    return o;
}

static json_t *reply_said(struct builder *b, const struct export_turn *t, bool newest)
{
    return said(b, "gpt", content_of(t, newest && b->x->reasoning == REASONING_INLINE));
}

/* label: the reply that the record is about goes last. */
static json_t *conversations_json(struct builder *b, const struct export_turn *last)
{
    json_t *list = json_array();
    size_t n;
    struct pair_of_turns *turns = alternate(b->p, &n);

    if (!turns) b->failed = true;
    for (size_t i = 0; turns && i < n; i++) {
        push(b, list, said(b, "human", text_json(&turns[i].prompt)));
        if (turns[i].reply) push(b, list, reply_said(b, turns[i].reply, !last && i + 1 == n && b->x->format->task == TASK_WAYS));
    }
    if (last) push(b, list, reply_said(b, last, true));
    alternate_free(turns, n);
    return list;
}

static void fill_alpaca(struct builder *b, json_t *o)
{
    json_t *history = json_array();
    size_t n;
    struct pair_of_turns *turns = alternate(b->p, &n);

    if (!turns || n == 0) {
        b->failed = true;
        json_decref(history);
        alternate_free(turns, n);
        return;
    }
    for (size_t i = 0; i + 1 < n; i++) {
        json_t *both = json_array();
        push(b, both, text_json(&turns[i].prompt));
        push(b, both, content_of(turns[i].reply, false));
        push(b, history, both);
    }
    set(b, o, "instruction", text_json(&turns[n - 1].prompt));
    set(b, o, "input", json_string(""));
    set(b, o, "output", content_of(turns[n - 1].reply, b->x->reasoning == REASONING_INLINE));
    set(b, o, "system", json_string(b->p->node->system));
    set(b, o, "history", history);
    alternate_free(turns, n);
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

struct rendered {
    struct str prompt, chosen, rejected;
};

static void rendered_release(struct rendered *r)
{
    str_release(&r->prompt);
    str_release(&r->chosen);
    str_release(&r->rejected);
}

static int render(struct exporter *x, const struct parts *p, struct rendered *out)
{
    const struct export_options *o = x->options;
    const struct export_turn *replies[2] = {p->chosen, p->rejected};
    struct export_turn plain[2];
    struct str texts[2] = {STR_EMPTY, STR_EMPTY};
    size_t context = p->chosen && p->n && p->chosen == &p->turns[p->n - 1] ? p->n - 1 : p->n;
    size_t n = p->rejected ? 2 : p->chosen ? 1 : 0;

    for (size_t i = 0; i < n; i++) {
        plain[i] = *replies[i];
        if (x->reasoning == REASONING_STRIP) plain[i].thought_len = 0;
        replies[i] = &plain[i];
    }
    *out = (struct rendered){0};
    int rc = o->render(o->arg, p->node->family, p->node->system, p->turns, context, replies, n, &out->prompt, texts, x->err);
    out->chosen = texts[0];
    out->rejected = texts[1];
    if (!rc && !(str_ok(&out->prompt) && str_ok(&texts[0]) && str_ok(&texts[1]))) rc = err_set(x->err, ERR_NOMEM, "out of memory");
    return rc;
}

int record_tokens(struct exporter *x, const struct parts *p, int64_t *tokens)
{
    const struct export_options *o = x->options;
    struct rendered r;

    *tokens = 0;
    int rc = render(x, p, &r);
    const struct str *texts[] = {&r.chosen, &r.rejected};
    for (int i = 0; i < (p->rejected ? 2 : 1) && !rc; i++) {
        int64_t n = 0;
        struct str whole = STR_EMPTY;
        str_add_bytes(&whole, str_cstr(&r.prompt), r.prompt.len);
        str_add_bytes(&whole, str_cstr(texts[i]), texts[i]->len);
        for (size_t s = 0; s < p->n_steps && p->steps; s++) {
            str_add_char(&whole, '\n');
            str_add_bytes(&whole, p->steps_of + p->steps->items[s].offset, p->steps->items[s].length);
        }
        rc =
            str_ok(&whole) ? o->count_tokens(o->arg, str_cstr(&whole), whole.len, &n, x->err) : err_set(x->err, ERR_NOMEM, "out of memory");
        if (n > *tokens) *tokens = n;
        str_release(&whole);
    }
    rendered_release(&r);
    return rc;
}

/* One text out of prompt and completion, or each by itself. */
static void fill_text(struct builder *b, json_t *o, const struct rendered *r)
{
    if (b->x->format->task == TASK_WAYS) {
        struct str whole = STR_EMPTY;
        str_add_bytes(&whole, str_cstr(&r->prompt), r->prompt.len);
        str_add_bytes(&whole, str_cstr(&r->chosen), r->chosen.len);
        set(b, o, "text", text_json(&whole));
        str_release(&whole);
        return;
    }
    set(b, o, "prompt", text_json(&r->prompt));
    if (b->x->format->task == TASK_PAIRS) {
        set(b, o, "chosen", text_json(&r->chosen));
        set(b, o, "rejected", text_json(&r->rejected));
    } else {
        set(b, o, "completion", text_json(&r->chosen));
    }
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

/* The messages above as one text: the prompt alone where it is the only one. */
static json_t *plain_prompt(const struct parts *p)
{
    struct str out = STR_EMPTY;

    if (p->node->system[0]) str_addf(&out, "%s\n\n", p->node->system);
    for (size_t i = 0; i < p->n; i++) {
        const struct export_turn *t = &p->turns[i];
        if (i) str_add(&out, "\n\n");
        if (p->n > 1) str_add(&out, t->prompt ? "User: " : "Assistant: ");
        str_add_bytes(&out, t->prompt ? t->prompt : t->answer, t->prompt ? t->prompt_len : t->answer_len);
    }
    json_t *text = text_json(&out);
    str_release(&out);
    return text;
}

static void fill_steps(struct builder *b, json_t *o, const struct rendered *r)
{
    const struct parts *p = b->p;
    json_t *texts = json_array(), *labels = json_array();

    for (size_t i = 0; i < p->n_steps; i++) {
        const struct thought_step *s = &p->steps->items[i];
        push(b, texts, json_stringn(p->steps_of + s->offset, s->length));
        push(b, labels, json_boolean(!s->rated || s->value >= 0));
    }
    set(b, o, "prompt", b->x->reasoning == REASONING_TEXT ? text_json(&r->prompt) : plain_prompt(p));
    set(b, o, "completions", texts);
    set(b, o, "labels", labels);
}

/* ---- records ------------------------------------------------------------------------------------------------- */

static void fill_openai_dpo(struct builder *b, json_t *o)
{
    json_t *input = json_object();

    set(b, input, "messages", messages_json(b, false));
    set(b, input, "tools", json_array());
    set(b, input, "parallel_tool_calls", json_true());
    set(b, o, "input", input);
    set(b, o, "preferred_output", one_message(b, b->p->chosen));
    set(b, o, "non_preferred_output", one_message(b, b->p->rejected));
}

static void fill_llamafactory(struct builder *b, json_t *o)
{
    const struct parts *p = b->p;

    set(b, o, "conversations", conversations_json(b, b->x->format->task == TASK_LABELS ? p->chosen : NULL));
    if (b->x->format->task == TASK_PAIRS) {
        set(b, o, "chosen", reply_said(b, p->chosen, true));
        set(b, o, "rejected", reply_said(b, p->rejected, true));
    } else if (b->x->format->task == TASK_LABELS) {
        set(b, o, "kto_tag", json_boolean(p->label));
    }
    set(b, o, "system", json_string(p->node->system));
}

static void fill_sharegpt(struct builder *b, json_t *o)
{
    json_t *list = conversations_json(b, NULL);

    if (b->p->node->system[0] && json_array_insert_new(list, 0, said(b, "system", json_string(b->p->node->system))) != 0) b->failed = true;
    set(b, o, "conversations", list);
}

static void fill_messages(struct builder *b, json_t *o)
{
    const struct parts *p = b->p;

    switch (b->x->format->task) {
    case TASK_WAYS: set(b, o, "messages", messages_json(b, true)); break;
    case TASK_PAIRS:
        set(b, o, "prompt", messages_json(b, false));
        set(b, o, "chosen", one_message(b, p->chosen));
        set(b, o, "rejected", one_message(b, p->rejected));
        break;
    default:
        set(b, o, "prompt", messages_json(b, false));
        set(b, o, "completion", one_message(b, p->chosen));
        break;
    }
}

static void fill(struct builder *b, json_t *o, const struct rendered *r)
{
    const struct parts *p = b->p;

    switch (b->x->options->format) {
    case EXPORT_STEPWISE: fill_steps(b, o, r); break;
    case EXPORT_OPENAI_DPO: fill_openai_dpo(b, o); break;
    case EXPORT_SHAREGPT: fill_sharegpt(b, o); break;
    case EXPORT_ALPACA: fill_alpaca(b, o); break;
    case EXPORT_LLAMAFACTORY:
    case EXPORT_LLAMAFACTORY_DPO:
    case EXPORT_LLAMAFACTORY_KTO: fill_llamafactory(b, o); break;
    case EXPORT_AXOLOTL_DPO:
        set(b, o, "messages", messages_json(b, false));
        set(b, o, "chosen", message_json(b, p->chosen, true));
        set(b, o, "rejected", message_json(b, p->rejected, true));
        break;
    default:
        if (b->x->reasoning == REASONING_TEXT || b->x->options->format == EXPORT_TEXT) {
            fill_text(b, o, r);
        } else {
            fill_messages(b, o);
        }
    }
    if (b->x->options->format == EXPORT_KTO) set(b, o, "label", json_boolean(p->label));
    if (b->x->options->format == EXPORT_REWARD) set(b, o, "margin", json_real(p->strength ? p->strength : 1));
    if (p->weight != 0) set(b, o, "weight", json_real(p->weight));
}

int record_make(struct exporter *x, const struct parts *p, struct str *out)
{
    const struct export_options *o = x->options;
    struct builder b = {.x = x, .p = p};
    struct rendered r = {0};
    bool as_text = x->reasoning == REASONING_TEXT || o->format == EXPORT_TEXT;
    int rc = 0;

    b.key = o->thought_key ? o->thought_key(o->arg, p->node->family) : NULL;
    if (!b.key) b.key = "reasoning_content";
    if (as_text) rc = o->render ? render(x, p, &r) : err_set(x->err, ERR_USAGE, "rendering needs a model");
    json_t *record = json_object();
    if (!rc) fill(&b, record, &r);
    rendered_release(&r);
    if (!rc && b.failed) rc = err_set(x->err, ERR_NOMEM, "out of memory");
    if (!rc) return json_append_line(out, record, x->err);
    json_decref(record);
    return rc;
}
