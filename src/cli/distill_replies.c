/*
 * distill_replies.c - the file of a teacher's replies: a line says which run it is of, then one a reply, in the order in which they ended. Sampling is
 * what takes time, so that every reply is on disk as soon as it is there, and a run that was stopped goes on with those that are missing.
 */
#include "cli/distill.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 30)

void distill_replies_release(struct distill_replies *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].thought);
        free(r->items[i].text);
    }
    free(r->items);
    *r = (struct distill_replies){0};
}

/* Without blanks around it, malloc'ed. */
static char *trimmed(const char *text)
{
    size_t n = strlen(text);

    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    return mem_dup_text(text, n);
}

static int add(struct distill_replies *all, const struct distill_reply *r, struct err *e)
{
    struct distill_reply one = *r;

    one.thought = trimmed(r->thought);
    one.text = trimmed(r->text);
    if (one.thought && one.text && mem_grow(&all->items, &all->cap, all->n + 1, sizeof *all->items)) {
        all->items[all->n++] = one;
        return 0;
    }
    free(one.thought);
    free(one.text);
    return err_set(e, ERR_NOMEM, "out of memory for the replies");
}

static int put_line(FILE *f, const char *path, json_t *o, struct err *e)
{
    char *text = o ? json_write(o, JSON_COMPACT) : NULL;
    int rc = 0;

    if (!text) rc = err_set(e, ERR_NOMEM, "out of memory");
    else if (fprintf(f, "%s\n", text) < 0 || fflush(f)) rc = err_set_errno(e, ERR_IO, "%s", path);
    free(text);
    json_decref(o);
    return rc;
}

int distill_replies_put(FILE *f, struct distill_replies *all, const char *path, const struct eval_question *q, const struct distill_reply *r, struct err *e)
{
    json_t *o = json_pack("{s:I, s:i, s:s, s:s, s:o, s:o, s:i, s:b, s:b}", "item", (json_int_t)r->question, "sample", r->sample, "question", q->q.text, "answer",
                          q->q.answer, "thought", json_string_nocheck(r->thought), "reply", json_string_nocheck(r->text), "thought_tokens", r->tokens,
                          "right", r->right, "whole", r->whole);
    int rc = put_line(f, path, o, e);

    return rc ? rc : add(all, r, e);
}

static bool take(const json_t *o, struct distill_reply *out)
{
    const json_t *item = json_object_get(o, "item"), *sample = json_object_get(o, "sample"), *tokens = json_object_get(o, "thought_tokens"),
                 *right = json_object_get(o, "right"), *whole = json_object_get(o, "whole");
    const char *thought = json_string_value(json_object_get(o, "thought")), *text = json_string_value(json_object_get(o, "reply"));

    if (!json_is_integer(item) || !json_is_integer(sample) || !json_is_integer(tokens) || !json_is_boolean(right) || !json_is_boolean(whole) || !thought || !text)
        return false;
    if (json_integer_value(item) < 0 || json_integer_value(sample) < 0 || json_integer_value(sample) > INT32_MAX || json_integer_value(tokens) > INT32_MAX) return false;
    *out = (struct distill_reply){.question = (size_t)json_integer_value(item), .sample = (int)json_integer_value(sample), .thought = (char *)thought, .text = (char *)text,
                                  .tokens = (int)json_integer_value(tokens), .right = json_is_true(right), .whole = json_is_true(whole)};
    return true;
}

static int load(struct distill_replies *replies, const char *path, const char *run, const struct str *text, struct err *e)
{
    size_t number = 1;
    int rc = 0;

    for (size_t at = 0; at < text->len && !rc; number++) {
        const char *line = text->data + at, *nl = memchr(line, '\n', text->len - at);
        struct distill_reply r;
        json_t *o = json_loadb(line, (size_t)(nl - line), 0, NULL);
        const char *of = json_string_value(json_object_get(o, "run"));
        if (number == 1 && of && strcmp(of, run)) rc = err_set(e, ERR_INVALID, "%s: has replies of other questions, another teacher or other options: --restart begins anew", path);
        else if (number == 1 ? !of : !take(o, &r)) rc = err_set(e, ERR_FILE, "%s:%zu: is no file of replies", path, number);
        else if (number > 1) rc = add(replies, &r, e);
        json_decref(o);
        at += (size_t)(nl - line) + 1;
    }
    return rc;
}

int distill_replies_open(FILE **out, struct distill_replies *replies, const char *path, const char *run, struct err *e)
{
    struct str text = STR_EMPTY;
    int fd = -1, rc = file_read(&text, path, FILE_MAX, e);

    *out = NULL;
    if (rc == ERR_NOT_FOUND) rc = 0;
    while (text.len && text.data[text.len - 1] != '\n') str_truncate(&text, text.len - 1);
    if (!rc) rc = load(replies, path, run, &text, e);
    if (!rc) fd = file_open_private(path, O_WRONLY | O_CREAT | O_APPEND, e);
    if (!rc && fd < 0) rc = e->code;
    if (!rc && (ftruncate(fd, (off_t)text.len) || !(*out = fdopen(fd, "a")))) rc = err_set_errno(e, ERR_IO, "%s", path);
    if (fd >= 0 && !*out) close(fd);
    if (!rc && !text.len) rc = put_line(*out, path, json_pack("{s:s}", "run", run), e);
    str_release(&text);
    if (rc && *out) {
        fclose(*out);
        *out = NULL;
    }
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct distill_reply *x = a, *y = b;

    if (x->question != y->question) return x->question < y->question ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

void distill_replies_sort(struct distill_replies *r)
{
    if (r->n) qsort(r->items, r->n, sizeof *r->items, by_place);
}
