/*
 * sample.c - several replies to one prompt: the commands that ask for them, and their events.
 *
 * While they run the item of the reply has nothing but its board; at the end the one that won takes the item over, under the board.
 */
#include "ui/sample.h"
#include "ui/app.h"

#include <stdlib.h>
#include <string.h>

static const char *next_word(const char *s, size_t *n)
{
    s += strspn(s, " \t\n");
    *n = strcspn(s, " \t\n");
    return s;
}

/* Where a prompt behind the numbers begins, NULL none. */
static const char *prompt_at(const char *rest)
{
    rest += strspn(rest, " \t\n");
    return *rest ? rest : NULL;
}

int sample_parse_vote(const char *args, struct chat_samples *out, const char **prompt, struct err *e)
{
    size_t n;
    const char *word = next_word(args, &n);
    char *end;
    long count = strtol(word, &end, 10);
    if (!n || end != word + n || count < 2 || count > CHAT_SAMPLES_MAX)
        return err_set(e, ERR_USAGE, "/vote N, from 2 to %d, and perhaps a prompt; without one the newest prompt is answered again",
                       CHAT_SAMPLES_MAX);
    *out = (struct chat_samples){.kind = SAMPLES_VOTE, .n = (int)count};
    *prompt = prompt_at(word + n);
    return 0;
}

int sample_parse_compare(const char *args, struct chat_samples *out, const char **prompt, struct err *e)
{
    size_t n;
    const char *word = next_word(args, &n);
    *out = (struct chat_samples){.kind = SAMPLES_COMPARE};
    /* the first word that is no budget begins the prompt */
    while (n && n < 32) {
        char text[32];
        struct budget b;
        memcpy(text, word, n);
        text[n] = '\0';
        if (budget_parse(&b, text, NULL)) break;
        if (out->n == BATCH_MAX) return err_set(e, ERR_USAGE, "/compare takes at most %d budgets", BATCH_MAX);
        out->budgets[out->n++] = b;
        word = next_word(word + n, &n);
    }
    if (out->n < 2)
        return err_set(e, ERR_USAGE,
                       "/compare BUDGET BUDGET ..., like /compare 0 200 800, and perhaps a prompt; without one the newest prompt is"
                       " answered again");
    *prompt = prompt_at(word);
    return 0;
}

static void ask(struct app *a, int (*parse)(const char *, struct chat_samples *, const char **, struct err *), const char *args)
{
    struct chat_samples samples;
    struct err e = {0};
    const char *prompt;
    if (parse(args, &samples, &prompt, &e))
        app_error(a, "%s", e.text);
    else
        app_sample(a, &samples, prompt, prompt ? strlen(prompt) : 0);
}

void cmd_vote(struct app *a, const char *args)
{
    ask(a, sample_parse_vote, args);
}

void cmd_compare(struct app *a, const char *args)
{
    ask(a, sample_parse_compare, args);
}

void cmd_pick(struct app *a, const char *args)
{
    struct err e = {0};
    size_t i = app_target_reply(a);
    while (i != SIZE_MAX && !(a->t.items[i].board && !a->t.items[i].board->running)) i--;
    if (i == SIZE_MAX) {
        app_error(a, "there is no vote or comparison to pick from");
        return;
    }
    const struct tally *t = &a->t.items[i].board->tally;
    char *end;
    long n = strtol(args, &end, 10);
    if (!*args || *end || n < 1 || n > t->n) {
        app_error(a, "/pick N, from 1 to %d", t->n);
        return;
    }
    int64_t id = t->items[n - 1].message, conversation = a->port->conversation(a->chat);
    if (app_running(a)) {
        app_error(a, "a reply is still being written: Esc stops it");
    } else if (id <= 0 || conversation <= 0) {
        app_error(a, "it is not saved");
    } else if (store_select_branch(a->store, id, &e) || app_open(a, conversation, &e)) {
        app_error(a, "%s", e.text);
    } else {
        app_notice(a, "the conversation goes on with reply %ld", n);
    }
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

void sample_begin(struct app *a, struct item *it, const struct chat_samples *samples)
{
    it->board = board_new(samples->kind, samples->n, a->now);
    for (int i = 0; it->board && i < samples->n; i++)
        it->board->tally.items[i].stats.budget = samples->kind == SAMPLES_COMPARE ? samples->budgets[i] : it->stats.budget;
    it->n_siblings = 1; /* told at the end */
    item_touched(it);
}

/* What the title, the hints and the keys for budgets look at. */
static void take_front(struct app *a, struct item *it)
{
    const struct tally *t = &it->board->tally;
    const struct tally_sample *front = board_front(it->board);
    double speed = 0;
    bool thinking = false;
    for (int i = 0; i < t->n; i++) {
        if (t->items[i].begun && !t->items[i].over) speed += t->items[i].stats.tokens_per_s;
        thinking = thinking || t->items[i].thinking;
    }
    it->stats = front->stats;
    it->stats_at = a->now;
    it->paused = a->port->paused(a->chat);
    if (front->begun || thinking) it->phase = thinking ? PHASE_THINKING : PHASE_ANSWERING;
    if (front->stats.context > 0) a->last = front->stats;
    if (speed > 0) a->last.tokens_per_s = speed;
}

void sample_event(struct app *a, struct item *it, const struct chat_event *ev)
{
    if (!it->board) return;
    board_take(it->board, ev, a->now);
    if (ev->kind == CHAT_BUDGET) a->has_wanted_budget = false;
    take_front(a, it);
    item_touched(it);
}

void sample_ended(struct app *a, struct item *it, const struct chat_event *ev)
{
    struct board *b = it->board;
    board_take(b, ev, a->now);
    const struct tally_sample *s = &b->tally.items[ev->sample < b->tally.n ? ev->sample : 0];
    if (s->thought.len) {
        it->thought_opened = true;
        item_feed_thought(it, s->thought.data, s->thought.len);
    }
    for (size_t i = 0; i < b->n_spans; i++)
        if (b->spans[i].sample == ev->sample) item_mark_injected(it, b->spans[i].offset, b->spans[i].n, b->spans[i].by_user);
    flow_feed(&it->text, str_cstr(&s->text), s->text.len);
    struct message_list l = {0};
    if (ev->message > 0 && !store_load_message(a->store, ev->message, &l, NULL)) {
        it->sibling = l.items[0].sibling;
        it->n_siblings = l.items[0].n_siblings;
    }
    message_list_release(&l);
    item_touched(it);
}
