/*
 * thought.c - what is said about a reply: the line over its thought, what it does before there is one, and how it ended.
 *
 * Endings that were not the model's own are named as what they were; nothing is made to look finished that is not.
 */
#include "ui/app.h"

#include <string.h>

void format_seconds(struct str *out, int64_t ms)
{
    if (ms < 0) ms = 0;
    int64_t s = ms / 1000;
    if (s < 60)
        str_addf(out, "%lld s", (long long)s);
    else
        str_addf(out, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
}

int64_t thought_ms_now(const struct app *a, const struct item *it)
{
    if (it->phase != PHASE_THINKING || it->paused || !it->stats_at) return it->stats.thought_ms;
    return it->stats.thought_ms + (a->now > it->stats_at ? a->now - it->stats_at : 0);
}

void thought_describe_end(const struct item *it, struct str *out)
{
    if (it->phase != PHASE_DONE) return;
    enum thought_ending t = it->stats.thought_ending;
    if (it->elsewhere) {
        str_add(out, "being written by another window; /open shows what came since");
        return;
    }
    switch (it->stats.answer_ending) {
    case ANSWER_LENGTH: str_add(out, "answer cut at its limit (answer_max)"); break;
    case ANSWER_STOPPED: str_add(out, "stopped"); break;
    case ANSWER_CONTEXT_FULL: str_add(out, "context full"); break;
    case ANSWER_INTERRUPTED: str_add(out, "interrupted"); break;
    case ANSWER_ERROR: str_add(out, "error"); break;
    case ANSWER_NOT_BEGUN:
        /* Where there is a thought its header tells. */
        if (!item_has_thought(it)) str_add(out, t != THOUGHT_NONE ? thought_ending_text(t) : "no answer");
        break;
    case ANSWER_COMPLETE:
        if (flow_is_empty(&it->text)) str_add(out, "the answer is empty");
        break;
    }
    if (it->failure) str_addf(out, "%s%s", out->len ? ": " : "", it->failure);
    if (it->stats.escaped > 0) str_addf(out, "%sreasoning seen in the answer", out->len ? " · " : "");
}

/* The amounts: "7 s · 142/400 tok", or with a budget in seconds "7/30 s · 142 tok". */
static void add_amounts(const struct app *a, const struct item *it, struct str *out)
{
    const struct budget *b = &it->stats.budget;
    int64_t ms = thought_ms_now(a, it);
    if (b->kind == BUDGET_SECONDS)
        str_addf(out, "%lld/%lld s", (long long)(ms / 1000), (long long)b->amount);
    else
        format_seconds(out, ms);
    str_addf(out, " · %d", it->stats.thought_tokens);
    if (b->kind == BUDGET_TOKENS) str_addf(out, "/%lld", (long long)b->amount);
    str_add(out, " tok");
    if (b->kind == BUDGET_UNLIMITED) str_add(out, " · no limit");
}

static void live_label(const struct item *it, struct str *out)
{
    bool closing = it->stats.state == THINK_SOFT || it->stats.state == THINK_WAITING_UTF8 || it->stats.state == THINK_FORCING;
    str_add(out, it->paused ? "Paused at " : closing ? "Closing… " : "Thinking… ");
}

static double used_part(const struct app *a, const struct item *it)
{
    const struct budget *b = &it->stats.budget;
    if (b->kind == BUDGET_TOKENS) return b->amount > 0 ? it->stats.thought_tokens / b->amount : 1;
    if (b->kind == BUDGET_SECONDS) return b->amount > 0 ? (double)thought_ms_now(a, it) / 1000 / b->amount : 1;
    return -1;
}

static int columns_of(const char *text)
{
    return utf8_columns(text, strlen(text));
}

int thought_draw_controls(struct app *a, struct grid *g, int x, int y, int x_end, const struct item *it)
{
    static const struct {
        const char *text;
        enum hit_kind hit;
    } parts[] = {{"[-]", HIT_LESS}, {"[+]", HIT_MORE}, {"[F5] answer", HIT_ANSWER}};
    const char *last = it->paused ? "[F7] resume" : parts[2].text;
    int at = x_end - 3 - 1 - 3 - 1 - columns_of(last);
    if (at < x) return x_end;
    int from = at;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *text = i == 2 ? last : parts[i].text;
        int end = screen_put(g, at, y, x_end, STYLE_KEY, text);
        if (i < 2 || !it->paused) screen_hit(a, parts[i].hit, at, y, end - at, 1, 0);
        at = end + 1;
    }
    return from;
}

static void draw_live(struct app *a, struct grid *g, int x, int y, int x_end, const struct item *it)
{
    struct str s = STR_EMPTY;
    live_label(it, &s);
    add_amounts(a, it, &s);
    if (it->looping && x_end - x >= 70) str_add(&s, " · repeats itself");
    x = screen_put(g, x, y, x_end, STYLE_THOUGHT_HEADER, str_cstr(&s)) + 1;
    str_release(&s);
    int controls = thought_draw_controls(a, g, x + 1, y, x_end, it), room = controls - (controls < x_end ? 1 : 0) - x;
    double part = used_part(a, it);
    if (part < 0 || room < 4) return;
    bool soft = it->stats.state != THINK_COUNTING && it->stats.state != THINK_IDLE;
    meter_draw(g, x, y, room < 16 ? room : 16, part, soft ? STYLE_BAR_SOFT : STYLE_BAR_FULL, STYLE_BAR_EMPTY);
}

static void done_label(const struct item *it, bool tokens, struct str *out)
{
    const char *ending = thought_ending_text(it->stats.thought_ending);
    if (it->stats.thought_ms < 1000) {
        str_add(out, "Thought briefly");
    } else {
        str_add(out, "Thought for ");
        format_seconds(out, it->stats.thought_ms);
    }
    if (tokens) str_addf(out, " · %d tok", it->stats.thought_tokens);
    if (ending[0]) str_addf(out, " · %s", ending);
    if (it->thought_rating) str_addf(out, " · rated %s", it->thought_rating > 0 ? "+" : "-");
}

void thought_draw_header(struct app *a, struct grid *g, int x, int y, int x_end, size_t item)
{
    struct item *it = &a->t.items[item];
    bool open = transcript_view(&a->t, it) != VIEW_FOLDED;
    screen_hit(a, HIT_HEADER, x, y, x_end - x, 1, item);
    if (x_end - x >= 12) x = screen_put(g, x, y, x_end, STYLE_THOUGHT_HEADER, open ? "▾ " : "▸ ");
    if (it->phase == PHASE_THINKING) {
        draw_live(a, g, x, y, x_end, it);
        return;
    }
    struct str s = STR_EMPTY;
    done_label(it, true, &s);
    if (columns_of(str_cstr(&s)) > x_end - x) { /* how it ended matters more than how much it was */
        str_clear(&s);
        done_label(it, false, &s);
    }
    screen_put(g, x, y, x_end, STYLE_THOUGHT_HEADER, str_cstr(&s));
    str_release(&s);
}

void thought_live_text(const struct app *a, const struct item *it, struct str *out)
{
    live_label(it, out);
    add_amounts(a, it, out);
}

void thought_draw_status(struct app *a, struct grid *g, int x, int y, int x_end, size_t item)
{
    const struct item *it = &a->t.items[item];
    struct str s = STR_EMPTY;
    if (it->phase == PHASE_PREFILL && it->prefill_total) {
        str_addf(&s, "Reading the prompt… %zu/%zu tok · ", it->prefill_done, it->prefill_total);
        format_seconds(&s, a->now - it->began_at);
    } else if (!a->port->model(a->chat) && !a->model_failed) {
        str_add(&s, "Waiting for the model to load… ");
        format_seconds(&s, a->now - it->began_at);
    } else {
        str_add(&s, it->paused ? "Paused" : "Starting… ");
        if (!it->paused) format_seconds(&s, a->now - it->began_at);
    }
    x = screen_put(g, x, y, x_end, STYLE_THOUGHT_HEADER, str_cstr(&s)) + 1;
    str_release(&s);
    if (it->phase == PHASE_PREFILL && it->prefill_total && x_end - x >= 4)
        meter_draw(g, x, y, x_end - x < 16 ? x_end - x : 16, (double)it->prefill_done / (double)it->prefill_total, STYLE_BAR_FULL,
                   STYLE_BAR_EMPTY);
}
