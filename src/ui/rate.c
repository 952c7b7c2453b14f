/*
 * rate.c - rating in reading focus: a key rates, digits say why, u takes the newest change back.
 *
 * A rating is written at once. A reply that is still being written has none. What was rated last is what the digits are about.
 */
#include "ui/app.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int *rating_of(struct item *it, enum part part)
{
    return part == PART_ANSWER ? &it->answer_rating : &it->thought_rating;
}

static const char *part_name(enum part part)
{
    return part == PART_ANSWER ? "answer" : "thought";
}

/* The reply that rating keys mean; NULL with a line for the user where it cannot be rated. */
static struct item *rateable(struct app *a, enum part part)
{
    size_t i = app_target_reply(a);
    if (i == SIZE_MAX) return NULL;
    struct item *it = &a->t.items[i];
    if (it->phase != PHASE_DONE)
        app_error(a, "a reply still being written cannot be rated yet");
    else if (it->id <= 0)
        app_error(a, "this reply is not saved yet, and cannot be rated before it is");
    else if (part == PART_THOUGHT && !item_has_thought(it))
        app_error(a, "this reply has no thought to rate");
    else
        return it;
    return NULL;
}

/* What the record says now. */
static void reload(struct app *a, int64_t id)
{
    struct reply_ratings r = {0};
    size_t i = transcript_find(&a->t, id);
    if (i == SIZE_MAX || store_load_ratings(a->store, id, &r, NULL)) return;
    a->t.items[i].answer_rating = r.answer.value;
    a->t.items[i].thought_rating = r.thought.value;
    reply_ratings_release(&r);
}

static void rating_why(struct app *a);

void reading_rate(struct app *a, enum part part, int value)
{
    struct err e = {0};
    struct item *it = rateable(a, part);
    if (!it) return;
    int now = *rating_of(it, part) == value ? 0 : value;
    if (store_rate(a->store, it->id, part, now, now ? "[]" : NULL, NULL, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    *rating_of(it, part) = now;
    a->why_id = now ? it->id : 0;
    a->why_part = part;
    if (now)
        app_notice(a, "%s rated %s", part_name(part), now > 0 ? "+" : "-");
    else
        app_notice(a, "rating of the %s taken back", part_name(part));
    rating_why(a);
    if (a->why.len) str_clear(&a->notice); /* the reasons to choose from say it too */
}

void reading_undo(struct app *a)
{
    struct err e = {0};
    struct undone u = {0};
    int rc = store_undo(a->store, a->port->conversation(a->chat), &u, &e);
    rating_forget(a);
    if (rc == ERR_NOT_FOUND) {
        app_notice(a, "nothing to take back");
    } else if (rc) {
        app_error(a, "%s", e.text);
    } else {
        /* a vote had moved the branch that is shown */
        if (!strcmp(u.what, "vote") && !a->review && app_open(a, a->port->conversation(a->chat), &e)) app_error(a, "%s", e.text);
        reload(a, u.message);
        app_notice(a, "taken back: %s", u.what);
    }
}

/* ---- tags and comments ------------------------------------------------------------------------------------------- */

void reading_tag(struct app *a)
{
    struct item *it = rateable(a, PART_ANSWER);
    struct reply_ratings r = {0};
    if (!it) return;
    int64_t id = it->id;
    if (!store_load_ratings(a->store, id, &r, NULL) && strcmp(r.tags, "[]"))
        app_notice(a, "has %s; words put tags on, -word takes one off", r.tags);
    else
        app_notice(a, "words put tags on, -word takes one off");
    reply_ratings_release(&r);
    app_set_mode(a, INPUT_TAG, id, NULL, 0);
}

void rating_take_tags(struct app *a, int64_t reply, const char *text, size_t n)
{
    struct err e = {0};
    char *copy = mem_dup_text(text, n);
    int rc = copy ? 0 : err_set(&e, ERR_NOMEM, "out of memory"), put = 0;
    store_undo_group(a->store, true); /* one line is one change */
    for (char *word = copy; word && *word && !rc;) {
        word += strspn(word, " \t\n");
        size_t len = strcspn(word, " \t\n");
        bool more = word[len] != '\0';
        word[len] = '\0';
        bool off = word[0] == '-' && word[1];
        if (len) rc = store_tag(a->store, reply, word + off, !off, &e);
        put += len > 0;
        word += len + more;
    }
    store_undo_group(a->store, false);
    free(copy);
    if (rc)
        app_error(a, "%s", e.text);
    else if (put)
        app_notice(a, "tags kept");
    size_t i = transcript_find(&a->t, reply);
    if (i != SIZE_MAX) reading_enter(a, i);
}

static enum part commented_part(const struct app *a, int64_t reply)
{
    return a->why_id == reply ? a->why_part : PART_ANSWER;
}

void reading_comment(struct app *a)
{
    struct item *it = rateable(a, PART_ANSWER);
    struct reply_ratings r = {0};
    if (!it) return;
    int64_t id = it->id;
    enum part part = commented_part(a, id);
    bool there = !store_load_ratings(a->store, id, &r, NULL);
    const char *old = there ? (part == PART_ANSWER ? r.answer.comment : r.thought.comment) : "";
    app_set_mode(a, INPUT_COMMENT, id, old, strlen(old));
    app_notice(a, "a comment on the %s; empty takes it back", part_name(part));
    reply_ratings_release(&r);
}

void rating_take_comment(struct app *a, int64_t reply, const char *text, size_t n)
{
    struct err e = {0};
    size_t i = transcript_find(&a->t, reply);
    enum part part = commented_part(a, reply);
    char *copy = mem_dup_text(text, n);
    int rc = copy ? 0 : err_set(&e, ERR_NOMEM, "out of memory");
    if (!rc && i == SIZE_MAX) rc = err_set(&e, ERR_NOT_FOUND, "the reply is not here any more");
    if (!rc) rc = store_rate(a->store, reply, part, *rating_of(&a->t.items[i], part), NULL, copy, &e);
    free(copy);
    if (rc)
        app_error(a, "%s", e.text);
    else
        app_notice(a, n ? "comment kept with the %s" : "comment on the %s taken back", part_name(part));
    if (i != SIZE_MAX) reading_enter(a, i);
}

/* ---- reasons ------------------------------------------------------------------------------------------------------ */

/* The list that fits what was rated last; NULL none. Belongs to the app. */
static char *const *reason_list(struct app *a, struct item **item)
{
    size_t i = a->why_id ? transcript_find(&a->t, a->why_id) : SIZE_MAX;
    if (i == SIZE_MAX || i != app_target_reply(a)) return NULL;
    int value = *rating_of(&a->t.items[i], a->why_part);
    if (!value) return NULL;
    *item = &a->t.items[i];
    return a->reasons.names[a->why_part][value > 0];
}

/* The reasons chosen, as a JSON array; NULL when they cannot be read. The caller decrefs. */
static json_t *chosen(struct app *a)
{
    struct reply_ratings r = {0};
    if (store_load_ratings(a->store, a->why_id, &r, NULL)) return NULL;
    const char *text = a->why_part == PART_ANSWER ? r.answer.reasons : r.thought.reasons;
    json_t *list = json_loads(text && *text ? text : "[]", 0, NULL);
    reply_ratings_release(&r);
    if (list && json_is_array(list)) return list;
    json_decref(list);
    return NULL;
}

static size_t place_in(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && !strcmp(s, name)) return i;
    }
    return SIZE_MAX;
}

void reading_reason(struct app *a, int digit)
{
    struct err e = {0};
    struct item *it;
    char *const *names = reason_list(a, &it);
    int n = 0;
    while (names && n < REASONS_MAX && names[n]) n++;
    if (!names) {
        app_notice(a, "rate first: + - the answer, [ ] the thought; then digits say why");
        return;
    }
    if (digit < 1 || digit > n) return;
    json_t *list = chosen(a);
    if (!list) return;
    size_t at = place_in(list, names[digit - 1]);
    if (at == SIZE_MAX)
        json_array_append_new(list, json_string(names[digit - 1]));
    else
        json_array_remove(list, at);
    char *text = json_write(list, JSON_COMPACT);
    json_decref(list);
    if (text && store_rate(a->store, it->id, a->why_part, *rating_of(it, a->why_part), text, NULL, &e)) app_error(a, "%s", e.text);
    free(text);
    rating_why(a);
    a->dirty = true;
}

void rating_forget(struct app *a)
{
    a->why_id = 0;
    str_clear(&a->why);
}

/* The reasons that digits choose, in a->why. */
static void rating_why(struct app *a)
{
    struct item *it;
    char *const *names = reason_list(a, &it);
    json_t *list = names ? chosen(a) : NULL;
    str_clear(&a->why);
    if (!list || !names[0]) {
        json_decref(list);
        return;
    }
    str_addf(&a->why, "%s %s why?", part_name(a->why_part), *rating_of(it, a->why_part) > 0 ? "+" : "-");
    for (int i = 0; i < REASONS_MAX && names[i]; i++) {
        struct str one = STR_EMPTY;
        text_sanitize(&one, names[i], strlen(names[i]), TEXT_ONE_LINE);
        bool on = place_in(list, names[i]) != SIZE_MAX;
        str_addf(&a->why, on ? " [%d\u00a0" : "  %d\u00a0", i + 1);
        for (const char *c = str_cstr(&one); *c; c++) { /* a reason is not broken over two rows */
            if (*c == ' ')
                str_add(&a->why, "\u00a0");
            else
                str_add_char(&a->why, *c);
        }
        if (on) str_add_char(&a->why, ']');
        str_release(&one);
    }
    json_decref(list);
}
