/*
 * train_data.c - what `ponder export` writes, as tokens to learn. The file is untrusted: every line is checked.
 *
 * Records: {"messages"}, {"prompt", "completion"}, {"prompt", "chosen", "rejected"} with lists of messages or with text, {"text"};
 * a key "weight", for kto a key "label", for sft a key "keep": what the adapter is to leave as the model alone has it. Of {"messages"} every
 * reply is learnt, each behind the prompt that a chat would have had for it.
 */
#include "cli/train.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)1 << 30)

struct reader {
    struct train_data *out;
    const struct engine *m;
    const struct train_want *w;
    struct chat_message *messages;
    size_t n, cap;
    int slip, n_slip;   /* of the last thought, in bytes */
    const char *spelled; /* the record's, NULL: none */
    const char *reason; /* why the record cannot be used */
};

void train_data_release(struct train_data *d)
{
    for (size_t i = 0; i < d->n; i++) {
        for (int k = 0; k < 2; k++) train_text_release(&d->items[i].texts[k]);
        free(d->items[i].answer);
    }
    free(d->items);
    *d = (struct train_data){0};
}

/* ---- messages -------------------------------------------------------------------------------------------------------------- */

static bool refuse(struct reader *r, const char *reason)
{
    r->reason = reason;
    return false;
}

static bool take_message(struct reader *r, const json_t *o)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    const json_t *content = json_object_get(o, "content"), *thought = json_object_get(o, "reasoning_content");
    const char *role = json_string_value(json_object_get(o, "role"));
    size_t i = 0;

    if (!thought) thought = json_object_get(o, "thinking");
    if (!thought) thought = json_object_get(o, "reasoning");
    if (!role) return refuse(r, "a message has no \"role\"");
    while (i < ARRAY_LEN(roles) && strcmp(role, roles[i]) != 0) i++;
    if (i == ARRAY_LEN(roles)) return refuse(r, "a message's role is none of system, user and assistant");
    if (!json_is_string(content)) return refuse(r, "a message's \"content\" is no text");
    if (thought && !json_is_string(thought) && !json_is_null(thought)) return refuse(r, "a message's thought is no text");
    if (!mem_grow(&r->messages, &r->cap, r->n + 1, sizeof *r->messages)) return refuse(r, "does not fit the memory");
    r->messages[r->n++] = (struct chat_message){.role = (enum role)i,
                                                .content = json_string_value(content),
                                                .content_len = json_string_length(content),
                                                .thought = json_string_value(thought),
                                                .thought_len = json_is_string(thought) ? json_string_length(thought) : 0};
    return true;
}

/* Appends the messages of a list. */
static bool take_messages(struct reader *r, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!take_message(r, json_array_get(list, i))) return false;
    return json_array_size(list) || refuse(r, "a list of messages is empty");
}

/* ---- items ------------------------------------------------------------------------------------------------------------------ */

static int learnt_from(const struct train_text *t, size_t *first)
{
    int n = 0;

    *first = t->ids.n;
    for (size_t i = t->ids.n; i-- > 1;)
        if (t->weights[i] != 0) {
            n++;
            *first = i;
        }
    return n;
}

/* Takes the texts over; leaves out what is too long or teaches nothing. */
static int put_item(struct reader *r, struct train_item *item, int n_texts, struct err *e)
{
    struct train_data *d = r->out;
    size_t tokens = 0, learnt = 0;
    bool fits = true;

    for (int k = 0; k < n_texts; k++) {
        int n = learnt_from(&item->texts[k], &item->n_prompt[k]);
        tokens += item->texts[k].ids.n;
        learnt += (size_t)n;
        if (item->texts[k].ids.n > (size_t)r->w->max_length) {
            fits = false;
            d->too_long++;
            break;
        }
        if (!n) {
            fits = false;
            d->empty++;
            break;
        }
    }
    if (fits && mem_grow(&d->items, &d->cap, d->n + 1, sizeof *d->items)) {
        d->items[d->n++] = *item;
        d->tokens += tokens;
        d->learnt += learnt;
        return 0;
    }
    for (int k = 0; k < 2; k++) train_text_release(&item->texts[k]);
    return fits ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* Whether a's tokens are the beginning of b's. */
static bool begins(const struct train_text *a, const struct train_text *b)
{
    return a->ids.n <= b->ids.n && !memcmp(a->ids.ids, b->ids.ids, a->ids.n * sizeof *a->ids.ids);
}

/* "slip": [from, bytes] of what is wrong in the last thought and mended there, as ponder tasks writes it. */
static void take_slip(struct reader *r, const json_t *slip)
{
    const json_t *from = json_array_get(slip, 0), *n = json_array_get(slip, 1);

    r->slip = r->n_slip = 0;
    if (!json_is_integer(from) || !json_is_integer(n)) return;
    if (json_integer_value(from) < 0 || json_integer_value(n) < 0 || json_integer_value(from) > INT32_MAX || json_integer_value(n) > INT32_MAX) {
        r->reason = "its \"slip\" is no place and a number of bytes";
        return;
    }
    r->slip = (int)json_integer_value(from);
    r->n_slip = (int)json_integer_value(n);
}

/* Every reply of the conversation; one that the next prompt holds as it was written is learnt together with the next. */
static int put_conversation(struct reader *r, double weight, bool keep, struct err *e)
{
    struct train_item last = {.weight = weight, .keep = keep};
    bool has = false;
    int rc = 0;

    for (size_t i = 0; i < r->n && !rc; i++) {
        struct train_item item = {.weight = weight, .keep = keep};
        struct train_style style = r->w->style;
        if (r->messages[i].role != ROLE_ASSISTANT) continue;
        if (i + 1 == r->n) {
            style.slip = (size_t)r->slip;
            style.n_slip = (size_t)r->n_slip;
            style.spelled = r->spelled;
        }
        if ((rc = train_text_reply(&item.texts[0], r->m, r->messages, i + 1, &style, e))) {
            train_text_release(&item.texts[0]);
            break;
        }
        if (has && begins(&last.texts[0], &item.texts[0])) {
            memcpy(item.texts[0].weights, last.texts[0].weights, last.texts[0].ids.n * sizeof(float));
            train_text_release(&last.texts[0]);
        } else if (has) {
            rc = put_item(r, &last, 1, e);
        }
        last = item;
        has = true;
    }
    if (!rc && !has) r->reason = "has no reply";
    if (!has) return rc;
    if (rc) train_text_release(&last.texts[0]);
    return rc ? rc : put_item(r, &last, 1, e);
}

/* The completion behind the prompt: lists of messages, or texts. */
static int make_text(struct reader *r, struct train_text *out, const json_t *prompt, const json_t *completion, struct err *e)
{
    if (json_is_string(prompt) && json_is_string(completion))
        return train_text_rendered(out, r->m, json_string_value(prompt), json_string_length(prompt), json_string_value(completion),
                                   json_string_length(completion), &r->w->style, e);
    r->n = 0;
    if (!json_is_array(prompt) || !json_is_array(completion)) {
        r->reason = "its prompt and replies are neither lists of messages nor texts";
        return 0;
    }
    if (!take_messages(r, prompt) || !take_messages(r, completion)) return 0;
    if (r->messages[r->n - 1].role != ROLE_ASSISTANT) {
        r->reason = "does not end in a reply";
        return 0;
    }
    return train_text_reply(out, r->m, r->messages, r->n, &r->w->style, e);
}

static int put_texts(struct reader *r, const json_t *prompt, const json_t *first, const json_t *second, double weight, bool good, struct err *e)
{
    struct train_item item = {.weight = weight, .good = good};
    int rc = make_text(r, &item.texts[0], prompt, first, e);

    if (!rc && !r->reason && second) rc = make_text(r, &item.texts[1], prompt, second, e);
    if (!rc && !r->reason) return put_item(r, &item, second ? 2 : 1, e);
    for (int k = 0; k < 2; k++) train_text_release(&item.texts[k]);
    return rc;
}

static int put_sft(struct reader *r, const json_t *o, double weight, struct err *e)
{
    const json_t *messages = json_object_get(o, "messages"), *text = json_object_get(o, "text"), *keep = json_object_get(o, "keep");
    struct train_item item = {.weight = weight, .keep = json_is_true(keep)};

    if (keep && !json_is_boolean(keep)) r->reason = "its \"keep\" is neither true nor false";
    else if (item.keep && !messages && !text) r->reason = "its \"keep\" wants \"messages\" or a \"text\"";
    if (r->reason) return 0;
    if (messages) {
        r->n = 0;
        take_slip(r, json_object_get(o, "slip"));
        r->spelled = json_string_value(json_object_get(o, "spelled"));
        if (!json_is_array(messages)) r->reason = "its \"messages\" are no list";
        return r->reason || !take_messages(r, messages) ? 0 : put_conversation(r, weight, item.keep, e);
    }
    if (!text) return put_texts(r, json_object_get(o, "prompt"), json_object_get(o, "completion"), NULL, weight, true, e);
    if (!json_is_string(text)) {
        r->reason = "its \"text\" is no text";
        return 0;
    }
    int rc = train_text_rendered(&item.texts[0], r->m, NULL, 0, json_string_value(text), json_string_length(text), &r->w->style, e);
    if (!rc) return put_item(r, &item, 1, e);
    train_text_release(&item.texts[0]);
    return rc;
}

/* {"question", "answer", "check"}: as ponder tasks writes them. */
static int put_question(struct reader *r, const json_t *o, struct err *e)
{
    const json_t *question = json_object_get(o, "question"), *answer = json_object_get(o, "answer"), *check = json_object_get(o, "check");
    struct train_item item = {.weight = 1};
    struct train_data *d = r->out;

    if (!json_is_string(question)) r->reason = "has no \"question\"";
    else if (!json_is_string(answer)) r->reason = "has no \"answer\" that is a text";
    else if (check && !(json_is_string(check) && task_check_by_name(json_string_value(check), &item.check))) r->reason = "its \"check\" is unknown";
    if (r->reason) return 0;
    if (!check) item.check = task_check_of(json_string_value(answer));
    const struct chat_message m = {.role = ROLE_USER, .content = json_string_value(question), .content_len = json_string_length(question)};
    int rc = train_text_prompt(&item.texts[0], r->m, &m, 1, &r->w->style, true, &item.thought_open, e);
    bool fits = !rc && item.texts[0].ids.n + (size_t)r->w->reply_max <= (size_t)r->w->max_length;
    if (fits) {
        item.answer = mem_dup_text(json_string_value(answer), json_string_length(answer));
        if (item.answer && mem_grow(&d->items, &d->cap, d->n + 1, sizeof *d->items)) {
            d->items[d->n++] = item;
            d->tokens += item.texts[0].ids.n;
            return 0;
        }
        rc = err_set(e, ERR_NOMEM, "out of memory");
    } else if (!rc) {
        d->too_long++;
    }
    train_text_release(&item.texts[0]);
    free(item.answer);
    return rc;
}

static int put_record(struct reader *r, const json_t *o, struct err *e)
{
    const json_t *weight = json_object_get(o, "weight"), *label = json_object_get(o, "label"), *prompt = json_object_get(o, "prompt");
    double w = json_is_number(weight) ? json_number_value(weight) : 1;

    r->reason = NULL;
    r->out->records++;
    if (!json_is_object(o)) r->reason = "is no JSON object";
    if (!(w > 0 && w <= 1000)) r->reason = "its weight is not above 0";
    if (!r->reason && r->w->kind == TRAIN_KTO && !json_is_boolean(label)) r->reason = "its \"label\" is neither true nor false";
    if (r->reason) return 0;
    if (r->w->kind == TRAIN_GRPO) return put_question(r, o, e);
    if (r->w->kind == TRAIN_SFT) return put_sft(r, o, w, e);
    if (r->w->kind == TRAIN_KTO) return put_texts(r, prompt, json_object_get(o, "completion"), NULL, w, json_is_true(label), e);
    return put_texts(r, prompt, json_object_get(o, "chosen"), json_object_get(o, "rejected"), w, true, e);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static int take_line(struct reader *r, const char *path, size_t number, const char *line, size_t n, struct err *e)
{
    json_error_t why = {0};

    while (n && strchr(" \t\r", line[n - 1])) n--;
    while (n && strchr(" \t", *line)) line++, n--;
    if (!n) return 0;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
    if (!o) return err_set(e, ERR_FILE, "%s:%zu: is no JSON: %s (column %d)", path, number, why.text, why.column);
    int rc = put_record(r, o, e);
    json_decref(o);
    if (rc == ERR_INVALID) r->reason = e->text; /* the template refuses it */
    if (!r->reason) return rc;
    struct err plain = {0};
    err_set(&plain, ERR_FILE, "%s:%zu: %s", path, number, r->reason);
    if (e) *e = plain;
    return ERR_FILE;
}

static int load_file(struct reader *r, const char *path, struct err *e)
{
    struct str text = STR_EMPTY;
    size_t number = 1;
    int rc = file_read(&text, path, FILE_MAX, e);

    if (rc == ERR_NOT_FOUND || rc == ERR_IO) rc = e->code = ERR_FILE;
    for (size_t at = 0; !rc && at < text.len; number++) {
        const char *line = text.data + at, *nl = memchr(line, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - line) : text.len - at;
        /* editors of another world put a mark in front */
        size_t skip = at == 0 && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3) ? 3 : 0;
        rc = take_line(r, path, number, line + skip, n - skip, e);
        at += n + 1;
    }
    str_release(&text);
    return rc;
}

/* Each item's prompt with the next one's completion; nothing where that is too long. */
static int mix(struct train_data *d, int max_length, struct err *e)
{
    for (size_t i = 0; i < d->n && d->n > 1; i++) {
        struct train_item *a = &d->items[i];
        const struct train_item *b = &d->items[(i + 1) % d->n];
        struct train_text *t = &a->texts[1];
        size_t before = a->n_prompt[0], behind = b->texts[0].ids.n - b->n_prompt[0];
        if (before + behind > (size_t)max_length) continue;
        if (tokens_append(&t->ids, a->texts[0].ids.ids, before) || tokens_append(&t->ids, b->texts[0].ids.ids + b->n_prompt[0], behind) ||
            !mem_grow(&t->weights, &t->cap, before + behind, sizeof *t->weights))
            return err_set(e, ERR_NOMEM, "out of memory");
        memset(t->weights, 0, before * sizeof *t->weights);
        memcpy(t->weights + before, b->texts[0].weights + b->n_prompt[0], behind * sizeof *t->weights);
    }
    return 0;
}

int train_data_load(struct train_data *out, const char *path, const char *part, const struct engine *m, const struct train_want *w, struct err *e)
{
    struct reader r = {.out = out, .m = m, .w = w};
    struct str file = STR_EMPTY;
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

    *out = (struct train_data){0};
    str_add(&file, path);
    if (folder) str_addf(&file, "/%s.jsonl", part);
    int rc = str_ok(&file) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    /* a folder need not have a part for trying */
    if (!rc && folder && strcmp(part, "train") && stat(file.data, &st) != 0) {
        str_release(&file);
        return 0;
    }
    if (!rc) rc = load_file(&r, file.data, e);
    if (!rc && !out->n)
        rc = err_set(e, ERR_FILE, "%s: nothing to learn (%zu records, %zu longer than %d tokens)", file.data, out->records, out->too_long, w->max_length);
    if (!rc && w->kind == TRAIN_KTO) rc = mix(out, w->max_length, e);
    free(r.messages);
    str_release(&file);
    if (rc) train_data_release(out);
    return rc;
}
