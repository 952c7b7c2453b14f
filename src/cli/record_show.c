/* record_show.c - ponder show: one conversation, or one message, with what was said of it. */
#include "cli/record.h"

#include <string.h>

/* ---- for people ------------------------------------------------------------------------------------------------ */

static void put_text(const char *text, size_t n)
{
    cli_put(stdout, text, n);
    if (n == 0 || text[n - 1] != '\n') putchar('\n');
}

/* The thought, each line marked. */
static void put_thought(const char *text, size_t n)
{
    struct str out = STR_EMPTY;

    while (n > 0 && text[n - 1] == '\n') n--;
    for (size_t i = 0; i < n;) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t len = end ? (size_t)(end - text) - i : n - i;
        str_add(&out, len ? "| " : "|");
        str_add_bytes(&out, text + i, len);
        str_add_char(&out, '\n');
        i += len + (end != NULL);
    }
    if (str_ok(&out)) cli_put(stdout, str_cstr(&out), out.len);
    str_release(&out);
}

static void put_rating(const char *what, const struct rating *r)
{
    static const char *const names[] = {"down", "not rated", "up"};

    if (!r->value && !r->comment[0] && !r->edited && !strcmp(r->reasons, "[]")) return;
    printf("  %s: %s", what, names[r->value + 1]);
    if (strcmp(r->reasons, "[]") != 0) {
        putchar(' ');
        record_put_line(stdout, r->reasons);
    }
    if (r->comment[0]) {
        fputs(", \"", stdout);
        record_put_line(stdout, r->comment);
        putchar('"');
    }
    puts(r->edited ? ", corrected:" : "");
    if (r->edited) put_text(r->edited, r->edited_len);
}

static void put_reply_head(const struct message *m)
{
    record_put_line(stdout, m->model[0] ? m->model : "reply");
    printf("  m%lld", (long long)m->id);
    if (m->n_siblings > 1) printf("  %d of %d", m->sibling + 1, m->n_siblings);
    if (m->thought_len) {
        printf("  thought for %.1f s, %d tokens", (double)m->thought_ms / 1000, m->thought_tokens);
        if (m->ended[0]) {
            fputs(", ", stdout);
            record_put_line(stdout, m->ended);
        }
    }
    if (m->answer_ended[0] && strcmp(m->answer_ended, "complete") != 0) {
        fputs("  answer: ", stdout);
        record_put_line(stdout, m->answer_ended);
    }
    puts(m->streaming ? "  (being written)" : "");
}

static void put_message(const struct message *m, const struct reply_ratings *g)
{
    char when[32];

    if (m->role == MESSAGE_USER) {
        record_time(m->created_ms, when);
        printf("you  m%lld  %s", (long long)m->id, when);
        if (m->n_siblings > 1) printf("  %d of %d", m->sibling + 1, m->n_siblings);
        putchar('\n');
    } else {
        put_reply_head(m);
        put_thought(m->thought, m->thought_len);
    }
    if (m->text_len) put_text(m->text, m->text_len);
    if (g) {
        put_rating("answer", &g->answer);
        put_rating("thought", &g->thought);
        if (strcmp(g->tags, "[]") != 0) {
            fputs("  tags: ", stdout);
            record_put_line(stdout, g->tags);
            putchar('\n');
        }
    }
}

/* ---- for programs ---------------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? record_json_text(text, strlen(text)) : json_null();
}

static void set_rating(json_t *o, const char *part, const struct rating *r)
{
    char key[32];

    snprintf(key, sizeof key, "%s_rating", part);
    json_object_set_new(o, key, json_integer(r->value));
    snprintf(key, sizeof key, "%s_reasons", part);
    json_object_set_new(o, key, json_loads(r->reasons, JSON_ALLOW_NUL, NULL));
    snprintf(key, sizeof key, "%s_comment", part);
    json_object_set_new(o, key, text_or_null(r->comment));
    snprintf(key, sizeof key, "edited_%s", part);
    json_object_set_new(o, key, r->edited ? record_json_text(r->edited, r->edited_len) : json_null());
}

/* The names of the view `turns`, where it has them. */
static json_t *message_json(const struct message *m, const struct reply_ratings *g)
{
    json_t *o = json_object();

    json_object_set_new(o, "id", json_integer(m->id));
    json_object_set_new(o, "parent", m->parent ? json_integer(m->parent) : json_null());
    json_object_set_new(o, "role", json_string(m->role == MESSAGE_USER ? "user" : "assistant"));
    json_object_set_new(o, "created_at", record_json_time(m->created_ms));
    json_object_set_new(o, "sibling", json_integer(m->sibling + 1));
    json_object_set_new(o, "siblings", json_integer(m->n_siblings));
    if (m->role == MESSAGE_USER) {
        json_object_set_new(o, "prompt", record_json_text(m->text, m->text_len));
        return o;
    }
    json_object_set_new(o, "model", text_or_null(m->model));
    json_object_set_new(o, "thought", record_json_text(m->thought, m->thought_len));
    json_object_set_new(o, "answer", record_json_text(m->text, m->text_len));
    json_object_set_new(o, "streaming", json_boolean(m->streaming));
    json_object_set_new(o, "thought_tokens", json_integer(m->thought_tokens));
    json_object_set_new(o, "answer_tokens", json_integer(m->answer_tokens));
    json_object_set_new(o, "thought_ms", json_integer(m->thought_ms));
    json_object_set_new(o, "answer_ms", json_integer(m->answer_ms));
    json_object_set_new(o, "tokens_per_s", json_real(m->tokens_per_s));
    json_object_set_new(o, "budget", text_or_null(m->budget));
    json_object_set_new(o, "budget_final", text_or_null(m->budget_final));
    json_object_set_new(o, "ended", text_or_null(m->ended));
    json_object_set_new(o, "answer_ended", text_or_null(m->answer_ended));
    if (g) {
        set_rating(o, "thought", &g->thought);
        set_rating(o, "answer", &g->answer);
        json_object_set_new(o, "tags", json_loads(g->tags, JSON_ALLOW_NUL, NULL));
    }
    return o;
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

/* Shows a message, or appends it to messages when that is not NULL. */
static int show_message(struct store *s, const struct message *m, json_t *messages, struct err *e)
{
    struct reply_ratings g = {0};
    bool rated = m->role == MESSAGE_REPLY;

    int rc = rated ? store_load_ratings(s, m->id, &g, e) : 0;
    if (rc) return rc;
    if (messages) {
        if (json_array_append_new(messages, message_json(m, rated ? &g : NULL)) != 0) rc = err_set(e, ERR_NOMEM, "out of memory");
    } else {
        put_message(m, rated ? &g : NULL);
    }
    reply_ratings_release(&g);
    return rc;
}

static int show_messages(struct store *s, const struct message_list *l, json_t *messages, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < l->n && !rc; i++) {
        if (!messages) putchar('\n');
        rc = show_message(s, &l->items[i], messages, e);
    }
    return rc;
}

static int show_conversation(struct store *s, int64_t id, json_t **out, struct err *e)
{
    struct conversation_list c = {0};
    struct message_list l = {0};
    char when[32];

    int rc = store_load_conversation(s, id, &c, e);
    if (!rc) rc = store_load_branch(s, id, &l, e);
    if (!rc && out) {
        json_t *messages = json_array();
        *out = json_object();
        json_object_set_new(*out, "id", json_integer(id));
        json_object_set_new(*out, "title", record_json_text(c.items[0].title, strlen(c.items[0].title)));
        json_object_set_new(*out, "system", record_json_text(c.items[0].system, strlen(c.items[0].system)));
        json_object_set_new(*out, "model", text_or_null(c.items[0].model));
        json_object_set_new(*out, "created_at", record_json_time(c.items[0].created_ms));
        json_object_set_new(*out, "updated_at", record_json_time(c.items[0].updated_ms));
        json_object_set_new(*out, "messages", messages);
        rc = show_messages(s, &l, messages, e);
    } else if (!rc) {
        record_time(c.items[0].updated_ms, when);
        printf("c%lld  %s  ", (long long)id, when);
        record_put_line(stdout, c.items[0].title);
        putchar('\n');
        if (c.items[0].system[0]) {
            fputs("system: ", stdout);
            put_text(c.items[0].system, strlen(c.items[0].system));
        }
        rc = show_messages(s, &l, NULL, e);
    }
    message_list_release(&l);
    conversation_list_release(&c);
    return rc;
}

static int show_one(struct store *s, int64_t id, json_t **out, struct err *e)
{
    struct message_list l = {0};
    json_t *messages = out ? json_array() : NULL;

    int rc = store_load_message(s, id, &l, e);
    if (!rc) rc = show_message(s, &l.items[0], messages, e);
    if (!rc && out) *out = json_incref(json_array_get(messages, 0));
    json_decref(messages);
    message_list_release(&l);
    return rc;
}

int cmd_show(int argc, char **argv)
{
    const char *word = NULL;
    struct store *s = NULL;
    struct args a;
    json_t *o = NULL;
    int64_t id = 0;
    bool json = false;

    int code = args_begin(&a, argc, argv, "", "--json");
    if (code) return code;
    code = args_one_word(&a, "conversation or message", &word, &json);
    bool message = !code && word[0] == 'm';
    if (!code && !cli_id(word, message ? 'm' : 'c', &id))
        code = cli_usage(argv[0], "\"%s\" is no number of a conversation (c12) or a message (m34)", word);
    if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = message ? show_one(s, id, json ? &o : NULL, &a.err) : show_conversation(s, id, json ? &o : NULL, &a.err);
        if (rc) {
            code = cli_fail(&a.err);
            json_decref(o);
        } else if (json) {
            code = record_put_json(o);
        }
        code = cli_finish(code);
    }
    store_close(s);
    args_end(&a);
    return code;
}
