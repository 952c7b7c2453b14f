/*
 * export_json.c - what a record of fine-tuning data looks like.
 *
 * Keys come in a fixed order and text is written as UTF-8, so that the same database gives the same bytes.
 */
#include "store/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int set_text(json_t *object, const char *key, const char *text, size_t len)
{
    return json_object_set_new(object, key, json_stringn(text, len));
}

static json_t *new_message(json_t *messages, const char *role)
{
    json_t *m = json_object();
    if (json_array_append_new(messages, m) != 0 || set_text(m, "role", role, strlen(role)) != 0) return NULL;
    return m;
}

/* The thought in front of the answer, in the tags that most families read. */
static int set_inline(json_t *m, const struct export_turn *t)
{
    struct str content = STR_EMPTY;
    size_t from = 0, to = t->thought_len;

    while (from < to && t->thought[from] == '\n') from++;
    while (to > from && t->thought[to - 1] == '\n') to--;
    str_add(&content, "<think>\n");
    str_add_bytes(&content, t->thought + from, to - from);
    str_add(&content, "\n</think>\n\n");
    str_add_bytes(&content, t->answer, t->answer_len);
    int rc = str_ok(&content) ? set_text(m, "content", str_cstr(&content), content.len) : -1;
    str_release(&content);
    return rc;
}

static int add_turn(json_t *messages, const struct export_turn *t, bool last, enum export_reasoning reasoning, const char *thought_key)
{
    json_t *m = new_message(messages, t->prompt ? "user" : "assistant");

    if (!m) return -1;
    if (t->prompt) return set_text(m, "content", t->prompt, t->prompt_len);
    /* in the text itself only the newest thought stays, as templates drop those of earlier turns */
    if (reasoning == REASONING_INLINE && last && t->thought_len) return set_inline(m, t);
    if (set_text(m, "content", t->answer, t->answer_len) != 0) return -1;
    return reasoning == REASONING_FIELD && t->thought_len ? set_text(m, thought_key, t->thought, t->thought_len) : 0;
}

static int append_text(const char *bytes, size_t n, void *out)
{
    str_add_bytes(out, bytes, n);
    return str_ok(out) ? 0 : -1;
}

int export_json_sft(struct str *out, const char *system, const struct export_turn *turns, size_t n, enum export_reasoning reasoning,
                    const char *thought_key, struct err *e)
{
    json_t *record = json_object(), *messages = json_array();

    int rc = json_object_set_new(record, "messages", messages);
    if (rc == 0 && system[0]) {
        json_t *m = new_message(messages, "system");
        rc = m ? set_text(m, "content", system, strlen(system)) : -1;
    }
    for (size_t i = 0; i < n && rc == 0; i++) rc = add_turn(messages, &turns[i], i + 1 == n, reasoning, thought_key);
    if (rc == 0) rc = json_dump_callback(record, append_text, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    str_add_char(out, '\n');
    json_decref(record);
    return rc == 0 && str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}
