/* sweep_file.c - questions with known answers, from JSON lines. The file is untrusted: every line is checked before anything runs. */
#include "cli/cli.h"
#include "cli/sweep.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX     ((size_t)64 << 20)
#define QUESTION_MAX ((size_t)64 << 10)
#define ANSWER_MAX   ((size_t)4 << 10)

void questions_release(struct questions *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->items[i].text);
        free(q->items[i].answer);
        free(q->items[i].family);
    }
    free(q->items);
    *q = (struct questions){0};
}

/* The text of a string or a number, malloc'ed; NULL when it is neither. */
static char *text_of(const json_t *v)
{
    if (json_is_string(v)) return mem_dup_text(json_string_value(v), json_string_length(v));
    return json_is_number(v) ? json_write(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
}

static bool blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

/* Why a line cannot be used, NULL when it can. */
static const char *take(struct question *q, const json_t *o, enum answer_form form)
{
    const json_t *question = json_object_get(o, "question"), *answer = json_object_get(o, "answer"), *check = json_object_get(o, "check");
    if (!json_is_object(o)) return "is no JSON object";
    if (!question) return "has no \"question\"";
    if (!json_is_string(question)) return "its \"question\" is no text";
    if (!answer) return "has no \"answer\"";
    if (!json_is_string(answer) && !json_is_number(answer)) return "its \"answer\" is neither a text nor a number";
    if (json_string_length(question) > QUESTION_MAX) return "its question is longer than 64 KiB";
    if (json_is_string(answer) && json_string_length(answer) > ANSWER_MAX) return "its answer is longer than 4 KiB";
    q->text = text_of(question);
    q->answer = text_of(answer);
    if (!q->text || !q->answer) return "does not fit the memory";
    q->family = text_of(json_object_get(o, "family"));
    q->has_check = json_is_string(check) && task_check_by_name(json_string_value(check), &q->check);
    if (blank(q->text)) return "its question is empty";
    if (check && !q->has_check) return "its \"check\" is none that is known";
    q->form = form == FORM_AUTO ? answer_form_of(q->answer, strlen(q->answer)) : form;
    struct str want = STR_EMPTY;
    answer_expected(&want, q->form, q->answer, strlen(q->answer));
    bool nothing = !want.len;
    str_release(&want);
    if (nothing) return q->form == FORM_NUMBER ? "its answer has no number (see --grader)" : "its answer is empty";
    return NULL;
}

static int load_line(struct questions *out, size_t *cap, const char *path, size_t number, const char *line, size_t n, enum answer_form form,
                     struct err *e)
{
    json_error_t why = {0};
    while (n && strchr(" \t\r", line[n - 1])) n--;
    while (n && strchr(" \t", *line)) line++, n--;
    if (!n) return 0;
    if (!mem_grow(&out->items, cap, out->n + 1, sizeof *out->items)) return err_set(e, ERR_NOMEM, "out of memory");
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
    if (!o) return err_set(e, ERR_FILE, "%s:%zu: is no JSON: %s (column %d)", path, number, why.text, why.column);
    struct question *q = &out->items[out->n];
    *q = (struct question){.line = number};
    const char *reason = take(q, o, form);
    json_decref(o);
    if (!reason) {
        out->n++;
        return 0;
    }
    free(q->text);
    free(q->answer);
    free(q->family);
    return err_set(e, ERR_FILE, "%s:%zu: %s", path, number, reason);
}

int questions_load(struct questions *out, const char *path, enum answer_form form, size_t limit, struct err *e)
{
    struct str text = STR_EMPTY;
    size_t cap = 0, number = 1;
    *out = (struct questions){0};
    int rc = file_read(&text, path, FILE_MAX, e);
    if (rc == ERR_NOT_FOUND || rc == ERR_IO) rc = e->code = ERR_FILE;
    for (size_t at = 0; !rc && at < text.len && (!limit || out->n < limit); number++) {
        const char *line = text.data + at, *nl = memchr(line, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - line) : text.len - at;
        /* editors of another world put a mark in front */
        size_t skip = at == 0 && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3) ? 3 : 0;
        rc = load_line(out, &cap, path, number, line + skip, n - skip, form, e);
        at += n + 1;
    }
    if (!rc && !out->n) rc = err_set(e, ERR_FILE, "%s: has no questions", path);
    str_release(&text);
    if (rc) questions_release(out);
    return rc;
}

bool question_is_right(const struct question *q, enum answer_form asked, const char *reply, size_t n)
{
    if (q->has_check && asked == FORM_AUTO) return task_reply_is_right(q->check, q->answer, reply, n, NULL);
    return answer_is_right(q->form, reply, n, q->answer, strlen(q->answer));
}

int budgets_parse(struct budget *out, size_t max, size_t *n, const char *name, const char *list, struct err *e)
{
    for (*n = 0; *list;) {
        char part[32];
        struct err why;
        size_t len = strcspn(list, ",");
        snprintf(part, sizeof part, "%.*s", (int)(len < 31 ? len : 31), list);
        list += len + (list[len] == ',');
        if (*n == max) return err_set(e, ERR_USAGE, "%s: at most %zu", name, max);
        if (budget_parse(&out[(*n)++], part, &why)) return err_set(e, ERR_USAGE, "%s: %s", name, why.text);
    }
    return *n ? 0 : err_set(e, ERR_USAGE, "%s: name one or more, like 0,64,256", name);
}
