/*
 * prompt.c - a branch becomes the tokens of a prompt, and the beginning of the next prompt can be told before it is typed.
 *
 * Where a branch outgrows the context its oldest exchanges are left out, in steps of a quarter of the context and already when a little
 * room is left for the next message. Which ones depends on the branch alone, so prompts in a row mostly leave out the same ones, and what
 * was evaluated for one serves the next.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a branch becomes a prompt with. */
struct maker {
    const struct engine *engine;
    const struct family *family;
    const struct settings *set;
    const struct branch *branch;
    const char *next;            /* a message to come, behind the branch; NULL none */
    const char *date;            /* "" today */
    bool thought_open;
};

static void today(char out[11])
{
    time_t now = time(NULL);
    struct tm tm;
    if (!localtime_r(&now, &tm) || !strftime(out, 11, "%Y-%m-%d", &tm)) snprintf(out, 11, "1970-01-01");
}

/* The messages from `from` on, in an array that the caller frees; NULL when memory runs out. */
static struct chat_message *messages_of(const struct maker *k, size_t from, size_t *n)
{
    const struct branch *b = k->branch;
    struct chat_message *m = calloc(b->n + 2, sizeof *m);
    *n = 0;
    if (!m) return NULL;
    if (k->set->system[0]) m[(*n)++] = (struct chat_message){.role = ROLE_SYSTEM, .content = k->set->system, .content_len = strlen(k->set->system)};
    for (size_t i = from; i < b->n; i++) {
        const struct line_message *s = &b->items[i];
        /* An exchange that was stopped before its first token says nothing, and two prompts in a row break some templates. */
        if (i + (k->next ? 1 : 2) < b->n && s->role == ROLE_USER && !b->items[i + 1].text.len && !b->items[i + 1].thought.len) {
            i++;
            continue;
        }
        m[(*n)++] = (struct chat_message){.role = s->role, .content = str_cstr(&s->text), .content_len = s->text.len,
                                          .thought = s->thought.len ? s->thought.data : NULL, .thought_len = s->thought.len};
    }
    if (k->next) m[(*n)++] = (struct chat_message){.role = ROLE_USER, .content = k->next, .content_len = strlen(k->next)};
    return m;
}

/* Replaces out by the tokens of the branch from message `from` on. */
static int render(struct maker *k, size_t from, struct tokens *out, struct err *e)
{
    const struct settings *set = k->set;
    size_t n;
    struct chat_message *m = messages_of(k, from, &n);
    if (!m) return err_set(e, ERR_NOMEM, "out of memory for the prompt");
    char date[11];
    today(date);
    struct render_options o = {
        .think = !strcmp(set->think, "on") && set->budget.kind != BUDGET_OFF,
        .prompted = strcmp(set->cot, "off") != 0,
        .examples = !strcmp(set->cot, "few"),
        .force_off = true,
        .keep_thoughts = set->keep_thoughts,
        .date = k->date && k->date[0] ? k->date : date,
    };
    struct prompt p = {0};
    int rc = family_render(k->family, &p, m, n, &o, e);
    out->n = 0;
    if (!rc) rc = tokenizer_encode_prompt(engine_tokenizer(k->engine), &p, out, e);
    k->thought_open = p.thought_open;
    prompt_release(&p);
    free(m);
    return rc;
}

/* ---- what is left out ------------------------------------------------------------------------------------------- */

struct cut {
    size_t limit;                /* a prompt's tokens at most; the rest of the context is the reply's */
    size_t slack;                /* kept free for the next message */
    size_t step;                 /* tokens are left out in multiples of this, or a little more */
};

static struct cut cut_of(size_t ctx)
{
    size_t room = ctx > 2 * ANSWER_RESERVE ? ANSWER_RESERVE : ctx / 4;
    return (struct cut){.limit = ctx - room, .slack = ctx / 16, .step = ctx / 4 + 1};
}

/* The first message of the i-th place where a prompt may begin; the branch's length where there are fewer. */
static size_t start_of(const struct branch *b, size_t i)
{
    size_t at = 0;
    for (; i && at < b->n; i--)
        do at++;
        while (at < b->n && b->items[at].role != ROLE_USER);
    return at;
}

/* The first place from which the tokens are at most `most`; n_starts where there is none. out is the last one tried. */
static int first_fitting(struct maker *k, size_t n_starts, size_t most, size_t *place, struct tokens *out, struct err *e)
{
    size_t low = 0, high = n_starts;     /* below low: too long; from high on: fits, or behind the end */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int rc = render(k, start_of(k->branch, middle), out, e);
        if (rc) return rc;
        if (out->n <= most)
            high = middle;
        else
            low = middle + 1;
    }
    *place = low;
    return 0;
}

/* `total`: tokens of everything, `need`: tokens too many. The tokens that may stay. */
static size_t kept(size_t total, size_t need, size_t step)
{
    size_t drop = (need + step - 1) / step * step;
    return drop < total ? total - drop : 0;
}

/* Where the history alone, without the message to come, asks the prompt to begin. history: the branch without its last message. */
static int history_start(const struct maker *k, const struct branch *history, const struct cut *c, size_t *from, struct tokens *scratch, struct err *e)
{
    struct maker h = {.engine = k->engine, .family = k->family, .set = k->set, .branch = history, .next = "a", .date = k->date};
    size_t n_starts = 0, place = 0;
    *from = 0;
    int rc = render(&h, 0, scratch, e);
    if (rc || scratch->n + c->slack <= c->limit) return rc;
    while (start_of(history, n_starts) < history->n) n_starts++;
    rc = first_fitting(&h, n_starts, kept(scratch->n, scratch->n + c->slack - c->limit, c->step), &place, scratch, e);
    *from = start_of(history, place);
    return rc;
}

int prompt_build(struct tokens *out, bool *thought_open, size_t *left_out, const struct worker *w, const struct settings *set, const struct branch *branch,
                 const char *date, size_t ctx, struct err *e)
{
    struct maker k = {.engine = w->engine, .family = worker_family(w), .set = set, .branch = branch, .date = date};
    struct cut c = cut_of(ctx);
    struct branch history = {.items = branch->items, .n = branch->n - 1};
    size_t from = 0, place = 0, total;

    *left_out = 0;
    int rc = render(&k, 0, out, e);
    total = out->n;
    if (!rc && total + c.slack > c.limit) {
        struct tokens scratch = {0};
        rc = history_start(&k, &history, &c, &from, &scratch, e);
        tokens_release(&scratch);
        if (!rc) rc = render(&k, from, out, e);
    }
    /* a message longer than what was kept free for it: as much again as it takes */
    if (!rc && out->n > c.limit) {
        size_t n_starts = 0;
        while (start_of(branch, n_starts) < branch->n) n_starts++;
        rc = first_fitting(&k, n_starts, kept(total, total - c.limit, c.step), &place, out, e);
        from = start_of(branch, place < n_starts ? place : n_starts - 1);
        if (!rc) rc = render(&k, from, out, e);
    }
    if (!rc && out->n > c.limit)
        rc = err_set(e, ERR_TOO_LONG, "the prompt has %zu tokens; the context of %zu has room for %zu beside an answer (see --ctx)", out->n, ctx, c.limit);
    *left_out = from;
    *thought_open = k.thought_open;
    return rc;
}

/* ---- the next prompt --------------------------------------------------------------------------------------------- */

int prompt_ahead(struct tokens *out, const struct worker *w, const struct settings *set, const struct branch *branch, size_t ctx, struct err *e)
{
    /* where two messages that begin differently part, the next message begins */
    struct maker k = {.engine = w->engine, .family = worker_family(w), .set = set, .branch = branch, .next = "a"};
    struct cut c = cut_of(ctx);
    struct tokens other = {0};
    size_t from = 0, n = 0;

    int rc = history_start(&k, branch, &c, &from, out, e);
    if (!rc) rc = render(&k, from, out, e);
    k.next = "Z";
    if (!rc) rc = render(&k, from, &other, e);
    while (!rc && n < out->n && n < other.n && out->ids[n] == other.ids[n]) n++;
    out->n = rc ? 0 : n;
    tokens_release(&other);
    return rc;
}
