/*
 * review.c - ponder review: replies without a rating, one after another, with the conversation above each.
 *
 * It is the program itself without a model, in reading focus all the time, so that every key of reading is there: ratings and reasons, steps,
 * comparing, tags, comments, corrections, taking back. The place is kept in the record: rated replies come no more, and those that were
 * passed come again when the end was reached.
 */
#include "ui/review.h"

#include <stdlib.h>

struct review {
    const int64_t *ids;
    size_t n, at;
};

/* ---- a chat without a model --------------------------------------------------------------------------------------- */

#define NO_MODEL "a review has no model: ponder --resume goes on with a conversation"

static struct review_chat *chat_of(const struct chat *c)
{
    return (struct review_chat *)(uintptr_t)(const void *)c;
}

static int no_select(struct chat *c, int64_t conversation, const struct message_list *branch, struct err *e)
{
    (void)branch;
    (void)e;
    chat_of(c)->conversation = conversation;
    return 0;
}

static int64_t no_conversation(const struct chat *c)
{
    return chat_of(c)->conversation;
}

static int no_text(struct chat *c, const char *text, size_t len, struct err *e)
{
    (void)c, (void)text, (void)len;
    return err_set(e, ERR_UNSUPPORTED, NO_MODEL);
}

static int no_edit(struct chat *c, int64_t prompt, const char *text, size_t len, struct err *e)
{
    (void)prompt;
    return no_text(c, text, len, e);
}

static int no_reply(struct chat *c, int64_t reply, struct err *e)
{
    (void)c, (void)reply;
    return err_set(e, ERR_UNSUPPORTED, NO_MODEL);
}

static int no_samples(struct chat *c, const struct chat_samples *samples, const char *text, size_t len, struct err *e)
{
    (void)samples;
    return no_text(c, text, len, e);
}

static size_t no_queue(const struct chat *c)
{
    (void)c;
    return 0;
}

static int no_rethink(struct chat *c, int64_t reply, size_t bytes, struct err *e)
{
    (void)c, (void)reply, (void)bytes;
    return err_set(e, ERR_UNSUPPORTED, NO_MODEL);
}

static const char *no_queued(const struct chat *c, size_t i, size_t *len)
{
    (void)c, (void)i;
    *len = 0;
    return NULL;
}

static void no_drop(struct chat *c, size_t i)
{
    (void)c, (void)i;
}

static int no_command(struct chat *c, const struct think_command *cmd, struct err *e)
{
    (void)c, (void)cmd;
    return err_set(e, ERR_UNSUPPORTED, NO_MODEL);
}

static int no_pause(struct chat *c, bool paused, struct err *e)
{
    (void)c, (void)paused;
    return err_set(e, ERR_UNSUPPORTED, NO_MODEL);
}

static bool never(const struct chat *c)
{
    (void)c;
    return false;
}

static int no_set(struct chat *c, const struct settings *set, const char *path, struct err *e)
{
    (void)c, (void)set;
    return path ? err_set(e, ERR_UNSUPPORTED, NO_MODEL) : 0;
}

static const struct model_info *no_model(const struct chat *c)
{
    (void)c;
    return NULL;
}

const struct chat_port review_port = {
    .select = no_select,
    .conversation = no_conversation,
    .send = no_text,
    .edit = no_edit,
    .regenerate = no_reply,
    .rethink = no_rethink,
    .sample = no_samples,
    .queued = no_queue,
    .queued_text = no_queued,
    .drop_queued = no_drop,
    .command = no_command,
    .pause = no_pause,
    .paused = never,
    .running = never,
    .set = no_set,
    .model = no_model,
};

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

/* The way down to the reply, whichever branch its conversation shows; that stays as it is. */
static int show(struct app *a, struct err *e)
{
    const struct review *r = a->review;
    struct message_list l = {0};
    int rc = store_load_path(a->store, r->ids[r->at], &l, e);
    if (rc) return rc;
    chat_of(a->chat)->conversation = l.items[l.n - 1].conversation;
    transcript_clear(&a->t);
    for (size_t i = 0; i < l.n && !rc; i++)
        if (!transcript_add_message(&a->t, &l.items[i])) rc = err_set(e, ERR_NOMEM, "out of memory for the conversation");
    message_list_release(&l);
    if (a->t.n) reading_enter(a, a->t.n - 1);
    store_set_review_place(a->store, r->ids[r->at], NULL);
    a->dirty = true;
    return rc;
}

int review_start(struct app *a, const int64_t *ids, size_t n, struct err *e)
{
    struct review *r = calloc(1, sizeof *r);
    int64_t place = 0;
    if (!r) return err_set(e, ERR_NOMEM, "out of memory");
    int rc = store_review_place(a->store, &place, e);
    *r = (struct review){.ids = ids, .n = n};
    while (r->at < n && ids[r->at] <= place) r->at++;
    if (r->at == n) r->at = 0;
    a->review = r;
    a->model_failed = true; /* nothing is being loaded */
    return rc ? rc : show(a, e);
}

void review_close(struct app *a)
{
    free(a->review);
    a->review = NULL;
}

void review_move(struct app *a, int by)
{
    struct review *r = a->review;
    struct err e = {0};
    if (by > 0 && r->at + 1 >= r->n) {
        app_quit(a, 0);
        return;
    }
    if (by < 0 && !r->at) {
        app_notice(a, "this is the first one");
        return;
    }
    r->at = by > 0 ? r->at + 1 : r->at - 1;
    if (show(a, &e)) app_error(a, "%s", e.text);
}

void review_title(const struct app *a, struct str *out)
{
    const struct review *r = a->review;
    str_addf(out, "review %zu/%zu", r->at + 1, r->n);
}
