/* board.c - replies that are written together, laid out as cells. */
#include "ui/board.h"
#include "ui/app.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 2000 /* of a text: more than its rows can hold */
#define SIDE_LINES  8    /* of an answer in a column */
#define BLOCK_LINES 3    /* of an answer in a block */
#define GAP         2

struct board *board_new(enum samples_kind kind, int n, int64_t now)
{
    struct board *b = calloc(1, sizeof *b);
    if (!b || !tally_init(&b->tally, kind, n)) {
        free(b);
        return NULL;
    }
    b->running = true;
    b->began_at = now;
    return b;
}

void board_free(struct board *b)
{
    if (!b) return;
    tally_release(&b->tally);
    str_release(&b->text);
    free(b->cells);
    free(b->spans);
    free(b);
}

struct board *board_load(struct store *s, int64_t reply)
{
    struct sample_list l = {0};
    if (store_load_samples(s, reply, &l, NULL) || !l.n || l.n > CHAT_SAMPLES_MAX) {
        sample_list_release(&l);
        return NULL;
    }
    struct board *b = board_new(!strcmp(l.kind, "compare") ? SAMPLES_COMPARE : SAMPLES_VOTE, (int)l.n, 0);
    for (size_t i = 0; b && i < l.n; i++) {
        struct tally_sample *t = &b->tally.items[i];
        const struct message *m = &l.messages.items[i];
        str_add_bytes(&t->text, m->text, m->text_len);
        str_add(&t->answer, l.items[i].answer);
        t->message = m->id;
        t->votes = l.items[i].votes;
        t->won = m->id == reply;
        t->over = t->begun = true;
        t->stats.thought_tokens = m->thought_tokens;
        t->stats.answer_tokens = m->answer_tokens;
        t->stats.thought_ms = m->thought_ms;
        t->stats.answer_ms = m->answer_ms;
        if (m->ended) t->stats.thought_ending = thought_ending_by_name(m->ended);
        if (m->answer_ended) t->stats.answer_ending = answer_ending_by_name(m->answer_ended);
        if (m->budget && budget_parse(&t->stats.budget, m->budget, NULL)) t->stats.budget = (struct budget){.kind = BUDGET_UNLIMITED};
    }
    if (b) b->running = false;
    sample_list_release(&l);
    return b;
}

void board_take(struct board *b, const struct chat_event *ev, int64_t now)
{
    b->laid_out = false;
    if (ev->kind == CHAT_PREFILL) {
        b->prefill_done = ev->done;
        b->prefill_total = ev->total;
    } else if (ev->kind == CHAT_INJECTED) {
        if (mem_grow(&b->spans, &b->cap_spans, b->n_spans + 1, sizeof *b->spans))
            b->spans[b->n_spans++] = (struct board_span){ev->sample, ev->done, ev->total, ev->author && !strcmp(ev->author, "user")};
    } else if (!b->decode_at && (ev->kind == CHAT_THINKING || ev->kind == CHAT_THOUGHT || ev->kind == CHAT_ANSWER)) {
        b->decode_at = now;
    }
    tally_take(&b->tally, ev);
    if (ev->kind == CHAT_ENDED) b->running = false;
}

const struct tally_sample *board_front(const struct board *b)
{
    for (int i = 0; i < b->tally.n; i++)
        if (!b->tally.items[i].over) return &b->tally.items[i];
    return &b->tally.items[0];
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static void put_bytes(struct board *b, int row, int x, int w, enum style style, const char *text, size_t n)
{
    if (w < 1 || !n || !mem_grow(&b->cells, &b->cap_cells, b->n_cells + 1, sizeof *b->cells)) return;
    b->cells[b->n_cells++] = (struct board_cell){.row = row, .x = x, .w = w, .style = style, .from = b->text.len, .n = n};
    str_add_bytes(&b->text, text, n);
}

static void put(struct board *b, int row, int x, int w, enum style style, const char *fmt, ...) PRINTF_LIKE(6, 7);
static void put(struct board *b, int row, int x, int w, enum style style, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_bytes(b, row, x, w, style, text, utf8_complete_prefix(text, strlen(text)));
}

/* The last columns of what a sample says, as one line. */
static void put_end_of(struct board *b, int row, int x, int w, const struct tally_sample *s)
{
    const struct str *src = s->thinking || !s->text.len ? &s->thought : &s->text;
    size_t from = src->len > SHOWN_BYTES ? src->len - SHOWN_BYTES : 0, cut = 0;
    struct str line = STR_EMPTY;
    while (from < src->len && ((unsigned char)src->data[from] & 0xc0) == 0x80) from++;
    text_sanitize(&line, str_cstr(src) + from, src->len - from, TEXT_ONE_LINE);
    int columns = utf8_columns(str_cstr(&line), line.len);
    while (columns > w - 1 && cut < line.len) {
        int wide = 0;
        cut += utf8_grapheme(line.data + cut, line.len - cut, &wide);
        columns -= wide;
    }
    if (w > 1 && line.len) {
        if (cut) put(b, row, x, 1, STYLE_THOUGHT, "…");
        put_bytes(b, row, x + (cut ? 1 : 0), w, s->thinking ? STYLE_THOUGHT : STYLE_TEXT, line.data + cut, line.len - cut);
    }
    str_release(&line);
}

static const char *doing(const struct board *b, const struct tally_sample *s)
{
    if (!b->decode_at) return "reading";
    return !s->begun ? "waiting" : s->thinking ? "thinking" : "answering";
}

static void add_tokens(const struct tally_sample *s, bool running, struct str *out)
{
    str_addf(out, "%d", s->stats.thought_tokens);
    if (running && s->stats.budget.kind == BUDGET_TOKENS) str_addf(out, "/%lld", (long long)s->stats.budget.amount);
    str_add(out, " tok");
}

static int64_t sample_ms(const struct tally_sample *s)
{
    return s->stats.thought_ms + s->stats.answer_ms;
}

/* ---- the heading ----------------------------------------------------------------------------------------------------- */

static void running_heading(struct board *b, int columns, int64_t now)
{
    struct str s = STR_EMPTY;
    bool vote = b->tally.kind == SAMPLES_VOTE;
    if (!b->decode_at && b->prefill_total)
        str_addf(&s, "Reading the prompt… %zu/%zu tok · ", b->prefill_done, b->prefill_total);
    else if (b->decode_at)
        str_addf(&s, "%s %d of %d done · ", vote ? "Vote…" : "Comparing…", tally_over(&b->tally), b->tally.n);
    else
        str_addf(&s, "%s %d replies · ", vote ? "Vote…" : "Comparing…", b->tally.n);
    format_seconds(&s, now - (b->decode_at ? b->decode_at : b->began_at));
    put_bytes(b, 0, 0, columns, STYLE_THOUGHT_HEADER, str_cstr(&s), s.len);
    str_release(&s);
}

static void heading(struct board *b, int columns, int64_t now)
{
    const struct tally *t = &b->tally;
    if (b->running) {
        running_heading(b, columns, now);
        return;
    }
    int most = 0;
    for (int i = 0; i < t->n; i++)
        if (t->items[i].votes > most) most = t->items[i].votes;
    const char *pick = columns >= 60 ? " · /pick N goes on with another" : "";
    if (t->kind == SAMPLES_COMPARE)
        put(b, 0, 0, columns, STYLE_THOUGHT_HEADER, "%d budgets, the same seed%s", t->n, pick);
    else if (most)
        put(b, 0, 0, columns, STYLE_THOUGHT_HEADER, "Vote: %d of %d agree%s", most, t->n, pick);
    else
        put(b, 0, 0, columns, STYLE_THOUGHT_HEADER, "Vote: none of %d has an answer%s", t->n, pick);
}

/* ---- a vote ------------------------------------------------------------------------------------------------------------- */

static void over_row(struct board *b, int row, int columns, int wide, const struct tally_sample *s)
{
    struct str answer = STR_EMPTY, tokens = STR_EMPTY;
    enum style style = s->won ? STYLE_GOOD : STYLE_TEXT;
    int x = 5;
    tally_answer(s, wide, &answer);
    put_bytes(b, row, x, wide, style, str_cstr(&answer), answer.len);
    x += wide + GAP;
    if (s->votes)
        put(b, row, x, columns - x, style, "×%d", s->votes);
    else
        put(b, row, x, columns - x, STYLE_HINT, "-");
    x += 3 + GAP;
    add_tokens(s, false, &tokens);
    if (x + 9 <= columns) put(b, row, x, columns - x, STYLE_HINT, "%9s", str_cstr(&tokens));
    x += 9 + GAP;
    if (x + 7 <= columns) put(b, row, x, columns - x, STYLE_HINT, "%5.1f s", (double)sample_ms(s) / 1000);
    x += 7 + GAP;
    const char *how = tally_how(s);
    if (x + (int)strlen(how) <= columns) put(b, row, x, columns - x, STYLE_HINT, "%s", how);
    str_release(&answer);
    str_release(&tokens);
}

static void lay_out_vote(struct board *b, int columns)
{
    const struct tally *t = &b->tally;
    int wide = 6, most = columns / 3 < 30 ? columns / 3 : 30;
    for (int i = 0; i < t->n; i++) {
        struct str a = STR_EMPTY;
        if (t->items[i].over) tally_answer(&t->items[i], most, &a);
        int n = utf8_columns(str_cstr(&a), a.len);
        if (n > wide) wide = n;
        str_release(&a);
    }
    for (int i = 0; i < t->n; i++) {
        const struct tally_sample *s = &t->items[i];
        put(b, 1 + i, 0, columns, s->won ? STYLE_GOOD : STYLE_HINT, "%c%2d", s->won ? '*' : ' ', i + 1);
        if (s->over) {
            over_row(b, 1 + i, columns, wide, s);
            continue;
        }
        struct str tokens = STR_EMPTY;
        put(b, 1 + i, 5, columns - 5, STYLE_HINT, "%s", doing(b, s));
        if (s->begun) add_tokens(s, true, &tokens);
        put(b, 1 + i, 16, columns - 16, STYLE_HINT, "%s", str_cstr(&tokens));
        int x = 16 + 14;
        if (columns - x >= 12) put_end_of(b, 1 + i, x, columns - x, s);
        str_release(&tokens);
    }
    b->rows = t->n + 2;
}

/* ---- a comparison ----------------------------------------------------------------------------------------------------------- */

/* What is shown of a sample's words: the beginning of its answer, or while there is none the end of its thought. Returns the rows. */
static int put_words(struct board *b, int row, int x, int w, int lines, const struct tally_sample *s)
{
    bool answer = s->text.len > 0 && !s->thinking;
    const struct str *src = answer ? &s->text : &s->thought;
    if (s->over && !answer) return 0;
    size_t from = 0, n = src->len;
    while (answer && from < n && (src->data[from] == '\n' || src->data[from] == ' ')) from++;
    bool cut = n - from > SHOWN_BYTES;
    if (cut && !answer) from = n - SHOWN_BYTES;
    while (from < n && ((unsigned char)src->data[from] & 0xc0) == 0x80) from++;
    if (n - from > SHOWN_BYTES) n = from + SHOWN_BYTES;
    struct str clean = STR_EMPTY;
    struct wrap wrap = {0};
    text_sanitize(&clean, str_cstr(src) + from, n - from, TEXT_SCREEN);
    for (size_t i = 0; i < clean.len; i++)
        if (clean.data[i] == '\t') clean.data[i] = ' ';
    wrap_text(&wrap, str_cstr(&clean), clean.len, w);
    size_t shown = wrap.n < (size_t)lines ? wrap.n : (size_t)lines, first = answer && s->over ? 0 : wrap.n - shown;
    enum style style = answer ? STYLE_TEXT : STYLE_THOUGHT;
    for (size_t i = 0; i < shown; i++) {
        const struct wrap_line *l = &wrap.lines[first + i];
        put_bytes(b, row + (int)i, x, w, style, clean.data + l->from, l->to - l->from);
    }
    if (answer && s->over && shown && (cut || wrap.n > shown)) {
        int end = wrap.lines[shown - 1].columns + 1;
        put(b, row + (int)shown - 1, x + (end < w ? end : w - 1), 1, STYLE_HINT, "…");
    }
    wrap_release(&wrap);
    str_release(&clean);
    return (int)shown;
}

static void name_of(const struct tally_sample *s, int i, struct str *out)
{
    char budget[32];
    budget_format(s->stats.budget, budget);
    str_addf(out, "%s%d · budget %s", s->won ? "*" : "", i + 1, budget);
}

static void lay_out_columns(struct board *b, int w)
{
    int most = 0;
    for (int i = 0; i < b->tally.n; i++) {
        const struct tally_sample *s = &b->tally.items[i];
        struct str name = STR_EMPTY, amounts = STR_EMPTY;
        int x = i * (w + GAP);
        name_of(s, i, &name);
        add_tokens(s, !s->over, &amounts);
        if (s->over) str_addf(&amounts, " + %d · %.1f s", s->stats.answer_tokens, (double)sample_ms(s) / 1000);
        put_bytes(b, 1, x, w, s->won ? STYLE_GOOD : STYLE_THOUGHT_HEADER, str_cstr(&name), name.len);
        put_bytes(b, 2, x, w, STYLE_HINT, str_cstr(&amounts), amounts.len);
        put(b, 3, x, w, STYLE_HINT, "%s", s->over ? tally_how(s) : doing(b, s));
        int n = put_words(b, 4, x, w, SIDE_LINES, s);
        if (n > most) most = n;
        str_release(&name);
        str_release(&amounts);
    }
    b->rows = 4 + most + 1;
}

static void lay_out_blocks(struct board *b, int columns)
{
    int row = 1, indent = columns >= 30 ? 2 : 0;
    for (int i = 0; i < b->tally.n; i++) {
        const struct tally_sample *s = &b->tally.items[i];
        struct str line = STR_EMPTY;
        name_of(s, i, &line);
        put_bytes(b, row, 0, columns, s->won ? STYLE_GOOD : STYLE_THOUGHT_HEADER, str_cstr(&line), line.len);
        row++;
        str_clear(&line);
        add_tokens(s, !s->over, &line);
        if (s->over) str_addf(&line, " · %.1f s", (double)sample_ms(s) / 1000);
        str_addf(&line, " · %s", s->over ? tally_how(s) : doing(b, s));
        put_bytes(b, row, indent, columns - indent, STYLE_HINT, str_cstr(&line), line.len);
        row++;
        row += put_words(b, row, indent, columns - indent, BLOCK_LINES, s);
        str_release(&line);
    }
    b->rows = row + 1;
}

/* ---- the layout ----------------------------------------------------------------------------------------------------------------- */

static void lay_out(struct board *b, int columns, int64_t now)
{
    if (columns < 1) columns = 1;
    if (b->laid_out && b->columns == columns && (!b->running || b->shown_at == now)) return;
    int n = b->tally.n, w = (columns - GAP * (n - 1)) / n;
    str_clear(&b->text);
    b->n_cells = 0;
    b->columns = columns;
    b->shown_at = now;
    b->laid_out = true;
    heading(b, columns, now);
    if (b->tally.kind == SAMPLES_VOTE)
        lay_out_vote(b, columns);
    else if (w >= BOARD_COLUMN)
        lay_out_columns(b, w);
    else
        lay_out_blocks(b, columns);
}

int board_rows(struct board *b, int columns)
{
    lay_out(b, columns, b->shown_at);
    return b->rows;
}

const struct board_cell *board_cells(struct board *b, int columns, int64_t now, size_t *n)
{
    lay_out(b, columns, now);
    *n = b->n_cells;
    return b->cells;
}
