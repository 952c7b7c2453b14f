/*
 * inspect_prompt.c - `ponder inspect prompt`: the prompt that a chat template makes of a conversation, for tests and bug reports.
 *
 * A JSON line {"messages": [{"role", "content", "reasoning_content" | "thinking"}]} in, the prompt as a JSON string out, in
 * ASCII so that nothing in it reaches a terminal raw. A line that is no conversation, or that the template refuses, gives null,
 * a line on stderr and exit code 1; the lines after it are still done.
 */
#include "cli/cli.h"
#include "model/model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE_MAX (1u << 20) /* bytes; published ones stay below 32 KiB */
#define COMMAND      "inspect"

struct request {
    const char *template_path;
    struct render_options options;
};

static const char *const usage_text =
    "usage: ponder inspect prompt --template FILE [--think on|off] [--date YYYY-MM-DD] [--prompted] [--examples] [--force-off] [--keep-thoughts]\n"
    "                             [--no-generation] [--bos TEXT]\n"
    "Reads a JSON line {\"messages\": [...]} at a time, writes the rendered prompt as a JSON string, a line each.\n";

static bool take_switch(struct render_options *o, const char *word)
{
    const struct {
        const char *word;
        bool *value;
    } switches[] = {
        {"--prompted", &o->prompted},
        {"--examples", &o->examples},
        {"--force-off", &o->force_off},
        {"--keep-thoughts", &o->keep_thoughts},
        {"--no-generation", &o->no_generation},
    };
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (strcmp(word, switches[i].word) != 0) continue;
        *switches[i].value = true;
        return true;
    }
    return false;
}

/* 0, or the exit code of a usage error. */
static int take_arguments(struct request *r, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (take_switch(&r->options, word)) continue;
        bool known = !strcmp(word, "--template") || !strcmp(word, "--think") || !strcmp(word, "--date") || !strcmp(word, "--bos");
        if (!known) return cli_usage(COMMAND, "prompt has no option \"%s\"", word);
        if (i + 1 == argc) return cli_usage(COMMAND, "%s needs a value", word);
        const char *value = argv[++i];
        if (!strcmp(word, "--template"))
            r->template_path = value;
        else if (!strcmp(word, "--date"))
            r->options.date = value;
        else if (!strcmp(word, "--bos"))
            r->options.bos = value;
        else if (!strcmp(value, "on"))
            r->options.think = true;
        else if (!strcmp(value, "off"))
            r->options.think = false;
        else
            return cli_usage(COMMAND, "--think is on or off, not \"%s\"", value);
    }
    if (!r->template_path || !strcmp(r->template_path, "-")) return cli_usage(COMMAND, "prompt needs --template FILE");
    return 0;
}

static int read_role(enum role *out, const json_t *value, size_t i, struct err *e)
{
    static const char *const names[] = {[ROLE_SYSTEM] = "system", [ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant"};
    const char *text = json_string_value(value);
    if (!text) return err_set(e, ERR_INVALID, "message %zu has no role", i + 1);
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        if (strcmp(text, names[k]) != 0) continue;
        *out = (enum role)k;
        return 0;
    }
    return err_set(e, ERR_INVALID, "message %zu has the role \"%.40s\"; system, user and assistant are known", i + 1, text);
}

/* The strings stay the JSON's own. */
static int read_message(struct chat_message *out, const json_t *value, size_t i, const struct family *f, struct err *e)
{
    int rc = read_role(&out->role, json_object_get(value, "role"), i, e);
    if (rc) return rc;
    const json_t *content = json_object_get(value, "content"), *thought = json_object_get(value, f->thought_key);
    if (!json_is_string(content)) return err_set(e, ERR_INVALID, "message %zu has no text as content", i + 1);
    if (thought && !json_is_string(thought) && !json_is_null(thought))
        return err_set(e, ERR_INVALID, "message %zu: %s is no text", i + 1, f->thought_key);
    out->content = json_string_value(content);
    out->content_len = json_string_length(content);
    if (json_is_string(thought)) {
        out->thought = json_string_value(thought);
        out->thought_len = json_string_length(thought);
    }
    return 0;
}

static int render_line(const struct request *r, const struct family *f, const char *line, size_t len, struct prompt *out, struct err *e)
{
    json_error_t bad;
    json_t *root = json_loadb(line, len, JSON_ALLOW_NUL, &bad);
    if (!root) return err_set(e, ERR_INVALID, "no JSON: %s", bad.text);
    const json_t *messages = json_object_get(root, "messages");
    size_t n = json_array_size(messages);
    int rc = json_is_array(messages) ? 0 : err_set(e, ERR_INVALID, "no array \"messages\"");
    struct chat_message *m = rc ? NULL : calloc(n + 1, sizeof *m);
    if (!rc && !m) rc = err_set(e, ERR_NOMEM, "out of memory for %zu messages", n);
    for (size_t i = 0; i < n && !rc; i++) rc = read_message(&m[i], json_array_get(messages, i), i, f, e);
    if (!rc) rc = family_render(f, out, m, n, &r->options, e);
    free(m);
    json_decref(root);
    return rc;
}

/* Writes the prompt, or null for a line that has none. */
static int answer_line(const struct request *r, const struct family *f, const char *line, size_t len, size_t number)
{
    struct prompt p = {0};
    struct err e = {0};
    char *text = NULL;
    int rc = render_line(r, f, line, len, &p, &e);
    if (!rc) {
        json_t *value = json_stringn(str_cstr(&p.text), p.text.len);
        text = value ? json_write(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
        if (!text) rc = err_set(&e, value ? ERR_NOMEM : ERR_INVALID, value ? "out of memory for the prompt" : "the prompt is no UTF-8");
        json_decref(value);
    }
    puts(text ? text : "null");
    free(text);
    prompt_release(&p);
    if (!rc) return 0;
    struct err with_line = {.code = rc};
    err_set(&with_line, rc, "line %zu: %s", number, e.text);
    cli_fail(&with_line);
    return 1;
}

int cmd_inspect_prompt(int argc, char **argv)
{
    struct request r = {.options.think = true};
    if (argc > 1 && !strcmp(argv[1], "--help")) {
        fputs(usage_text, stdout);
        return cli_finish(0);
    }
    int code = take_arguments(&r, argc, argv);
    if (code) return code;
    struct str text = STR_EMPTY;
    struct err e = {0};
    if (file_read(&text, r.template_path, TEMPLATE_MAX, &e)) {
        str_release(&text);
        return cli_fail(&e);
    }
    bool recognised;
    const struct family *f = family_of_template(str_cstr(&text), text.len, &recognised);
    str_release(&text);
    if (!recognised) fprintf(stderr, "ponder: the template is not one of those known; rendered as ChatML\n");
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;
    errno = 0;
    while ((len = getline(&line, &cap, stdin)) >= 0) code |= answer_line(&r, f, line, (size_t)len, ++number);
    if (ferror(stdin)) {
        err_set_errno(&e, ERR_IO, "cannot read the messages");
        code = cli_fail(&e);
    }
    free(line);
    return cli_finish(code);
}
