/* tally.c - what several replies at once have said so far, and the same as a table of plain lines. */
#include "chat/chat.h"

#include <stdlib.h>
#include <string.h>

void tally_release(struct tally *t)
{
    for (int i = 0; i < t->n; i++) {
        str_release(&t->items[i].thought);
        str_release(&t->items[i].text);
        str_release(&t->items[i].answer);
    }
    free(t->items);
    *t = (struct tally){0};
}

bool tally_init(struct tally *t, enum samples_kind kind, int n)
{
    *t = (struct tally){.kind = kind};
    t->items = calloc((size_t)n, sizeof *t->items);
    if (t->items) t->n = n;
    return t->items != NULL;
}

/* In two passes, since every answer counts for all. */
static void count(struct tally *t)
{
    struct answer_ballot b[CHAT_SAMPLES_MAX];
    for (int i = 0; i < t->n; i++) b[i] = (struct answer_ballot){.answer = t->items[i].over ? str_cstr(&t->items[i].answer) : ""};
    for (int i = 0; i < t->n; i++) t->items[i].votes = answers_same(b, (size_t)t->n, (size_t)i);
}

bool tally_take(struct tally *t, const struct chat_event *ev)
{
    if (!ev->n_samples || ev->sample < 0 || ev->sample >= t->n || ev->n_samples != t->n) return false;
    struct tally_sample *s = &t->items[ev->sample];
    switch (ev->kind) {
    case CHAT_THINKING: s->begun = s->thinking = true; break;
    case CHAT_THOUGHT:
        s->begun = s->thinking = true;
        str_add_bytes(&s->thought, ev->text, ev->len);
        break;
    case CHAT_ANSWER:
        s->begun = true;
        s->thinking = false;
        str_add_bytes(&s->text, ev->text, ev->len);
        break;
    case CHAT_CLOSED: s->thinking = false; /* fall through */
    case CHAT_BUDGET:
    case CHAT_PROGRESS: s->stats = ev->stats; break;
    case CHAT_SAVED: s->message = ev->message; break;
    case CHAT_SAMPLE_ENDED:
        s->stats = ev->stats;
        s->message = ev->message;
        s->over = true;
        s->thinking = false;
        str_clear(&s->answer);
        str_add_bytes(&s->answer, ev->text, ev->len);
        count(t);
        break;
    case CHAT_ENDED: s->won = true; break;
    default: break;
    }
    return true;
}

int tally_over(const struct tally *t)
{
    int n = 0;
    for (int i = 0; i < t->n; i++) n += t->items[i].over;
    return n;
}

const char *thought_ending_text(enum thought_ending t)
{
    switch (t) {
    case THOUGHT_ANSWER_NOW: return "answered on demand";
    case THOUGHT_BUDGET_SOFT:
    case THOUGHT_BUDGET_HARD: return "closed by budget";
    case THOUGHT_LOOP: return "loop broken";
    case THOUGHT_STOPPED: return "stopped";
    case THOUGHT_CONTEXT_FULL: return "context full";
    case THOUGHT_INTERRUPTED: return "interrupted";
    case THOUGHT_ERROR: return "error";
    default: return "";
    }
}

const char *tally_how(const struct tally_sample *s)
{
    const char *thought = thought_ending_text(s->stats.thought_ending);
    switch (s->stats.answer_ending) {
    case ANSWER_NOT_BEGUN: return thought[0] ? thought : "no answer";
    case ANSWER_COMPLETE: return thought[0] ? thought : "by itself";
    case ANSWER_LENGTH: return "answer cut"; /* matters more than what cut the thought */
    case ANSWER_STOPPED: return "stopped";
    case ANSWER_CONTEXT_FULL: return "context full";
    case ANSWER_INTERRUPTED: return "interrupted";
    default: return "error";
    }
}

void tally_answer(const struct tally_sample *s, int columns, struct str *out)
{
    struct str clean = STR_EMPTY;
    text_sanitize(&clean, str_cstr(&s->answer), s->answer.len, TEXT_ONE_LINE);
    if (!clean.len) str_add(&clean, "-");
    int used = 0, room = utf8_columns(clean.data, clean.len) > columns ? columns - 1 : columns;
    for (size_t i = 0; i < clean.len;) {
        int wide = 0;
        size_t n = utf8_grapheme(clean.data + i, clean.len - i, &wide);
        if (used + wide > room) {
            str_add(out, "…");
            break;
        }
        str_add_bytes(out, clean.data + i, n);
        used += wide;
        i += n;
    }
    str_release(&clean);
}

#define ANSWER_MAX 40

static void pad(struct str *out, size_t from, int columns)
{
    for (int have = utf8_columns(out->data + from, out->len - from); have < columns; have++) str_add_char(out, ' ');
}

void tally_table(const struct tally *t, struct str *out)
{
    int wide = 6; /* of the word answer */
    for (int i = 0; i < t->n; i++) {
        struct str a = STR_EMPTY;
        tally_answer(&t->items[i], ANSWER_MAX, &a);
        int n = utf8_columns(str_cstr(&a), a.len);
        if (n > wide) wide = n;
        str_release(&a);
    }
    const char *fourth = t->kind == SAMPLES_COMPARE ? "budget" : "votes";
    str_addf(out, "  #  answer%*s  %9s  %8s  %8s  %7s  thought ended\n", wide - 6, "", fourth, "thought", "answer", "time");
    for (int i = 0; i < t->n; i++) {
        const struct tally_sample *s = &t->items[i];
        char value[32];
        if (t->kind == SAMPLES_COMPARE)
            budget_format(s->stats.budget, value);
        else
            snprintf(value, sizeof value, "%d", s->votes);
        str_addf(out, "%c%2d  ", s->won ? '*' : ' ', i + 1);
        size_t from = out->len;
        tally_answer(s, ANSWER_MAX, out);
        pad(out, from, wide);
        str_addf(out, "  %9s  %4d tok  %4d tok  %5.1f s  %s\n", value, s->stats.thought_tokens, s->stats.answer_tokens,
                 (double)(s->stats.thought_ms + s->stats.answer_ms) / 1000, tally_how(s));
    }
}
