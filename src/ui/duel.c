/*
 * duel.c - two replies to one prompt, compared: /ab writes both before it shows either, side by side in random order; v in reading focus
 * compares two that are there.
 *
 * A blind comparison hides what could tell the two apart until the vote: model, budget, times, counts, rate. While the two are written the
 * transcript, the title and the hints say nothing but which of the two is being written. A comparison that is called off leaves what was
 * written of its replies as ordinary ones.
 */
#include "ui/duel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SIDE_BY_SIDE_FROM 100

enum stage { DUEL_WRITING, DUEL_SHOWN, DUEL_STRENGTH };
enum differ { BY_SAMPLE, BY_BUDGET, BY_MODEL, BY_ANSWER };

/* One of the two, as shown. */
struct side {
    struct message_list message; /* of one */
    struct flow thought, answer;
    struct markdown *markdown;
    int top; /* rows above the window */
};

struct duel {
    enum stage stage;
    enum differ differ;
    bool blind;
    int written;            /* replies that are over */
    int64_t replies[2];     /* in the order they were written, which is a, b of the vote */
    struct budget budgets[2];
    char *models[2], *model_before;
    int left;               /* which of the two stands on the left */
    bool thoughts;          /* opened */
    struct side sides[2];   /* left, right */
    int64_t shown_at;
    enum verdict verdict;   /* DUEL_STRENGTH */
    int spent_rows;         /* of a side's window, as drawn last */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void side_release(struct side *s)
{
    message_list_release(&s->message);
    flow_release(&s->thought);
    flow_release(&s->answer);
    markdown_free(s->markdown);
}

void duel_close(struct app *a)
{
    struct duel *d = a->duel;
    if (!d) return;
    a->duel = NULL;
    for (int i = 0; i < 2; i++) {
        side_release(&d->sides[i]);
        free(d->models[i]);
    }
    free(d->model_before);
    free(d);
    a->dirty = true;
}

bool duel_writing(const struct app *a)
{
    return a->duel && a->duel->stage == DUEL_WRITING;
}

bool duel_shown(const struct app *a)
{
    return a->duel && a->duel->stage != DUEL_WRITING;
}

bool duel_hides(const struct app *a)
{
    return a->duel && a->duel->blind;
}

/* The settings as they were, for whatever comes after. */
static void restore(struct app *a)
{
    struct duel *d = a->duel;
    struct err e = {0};
    bool other = d->model_before && strcmp(a->set.model, d->model_before);
    int rc = other ? app_load_model(a, d->model_before, &e) : 0;
    str_clear(&a->notice); /* it names the model */
    if (!rc) rc = a->port->set(a->chat, &a->set, NULL, &e);
    if (rc) app_error(a, "%s", e.text);
}

static void call_off(struct app *a, const char *why)
{
    restore(a);
    duel_close(a);
    app_error(a, "no comparison: %s", why);
}

static int random_bit(void)
{
    unsigned char r;
    return getrandom(&r, 1, GRND_NONBLOCK) == 1 ? r & 1 : (int)(clock_mono_us() & 1);
}

static struct duel *duel_new(struct app *a)
{
    struct duel *d = calloc(1, sizeof *d);
    if (!d) {
        app_error(a, "out of memory");
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        flow_init(&d->sides[i].thought, true);
        flow_init(&d->sides[i].answer, true);
    }
    d->left = random_bit();
    return d;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

/* Makes the settings those of the reply that comes now. */
static int prepare(struct app *a, int which, struct err *e)
{
    struct duel *d = a->duel;
    struct settings set = {0};
    char seed[24];
    int rc = d->differ == BY_MODEL ? app_load_model(a, d->models[which], e) : 0;
    str_clear(&a->notice); /* it names the model */
    if (!rc) rc = settings_copy(&set, &a->set, e);
    if (!rc && d->differ == BY_BUDGET) set.budget = d->budgets[which];
    /* a seed that is set would make the second sample the first one */
    if (!rc && which && set.seed >= 0 && (d->differ == BY_SAMPLE || d->differ == BY_ANSWER)) {
        snprintf(seed, sizeof seed, "%lld", (long long)(set.seed == INT64_MAX ? 0 : set.seed + 1));
        rc = settings_set(&set, "seed", seed, e);
    }
    if (!rc) rc = a->port->set(a->chat, &set, NULL, e);
    settings_release(&set);
    return rc;
}

static void write_first(struct app *a, const char *text)
{
    struct err e = {0};
    if (prepare(a, 0, &e)) {
        call_off(a, e.text);
        return;
    }
    if (*text)
        app_send(a, text, strlen(text));
    else
        app_regenerate(a, 0);
    if (app_running(a)) return;
    /* what kept it from being written was said already */
    restore(a);
    duel_close(a);
}

static void write_second(struct app *a)
{
    struct duel *d = a->duel;
    struct err e = {0};
    if (prepare(a, 1, &e)) {
        call_off(a, e.text);
        return;
    }
    if (d->differ == BY_ANSWER)
        app_rethink(a, d->replies[0], SIZE_MAX);
    else
        app_regenerate(a, d->replies[0]);
    if (app_running(a)) return;
    restore(a);
    duel_close(a);
}

/* A word of the arguments, malloc'ed; *args moves behind it. NULL at the end. */
static char *take_word(const char **args)
{
    size_t n = strcspn(*args, " \t\n");
    char *word = n ? mem_dup_text(*args, n) : NULL;
    *args += n + strspn(*args + n, " \t\n");
    return word;
}

/* Takes what the two differ in off the arguments. */
static int parse(struct duel *d, const char **args, struct err *e)
{
    static const struct {
        const char *word;
        enum differ differ;
    } words[] = {{"budgets", BY_BUDGET}, {"models", BY_MODEL}, {"answer", BY_ANSWER}};
    size_t n = strcspn(*args, " \t\n");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i].word) == n && !strncmp(*args, words[i].word, n)) d->differ = words[i].differ;
    if (d->differ == BY_SAMPLE) return 0;
    free(take_word(args));
    if (d->differ == BY_ANSWER) return 0;
    for (int i = 0; i < 2; i++) {
        char *word = take_word(args);
        if (!word) return err_set(e, ERR_USAGE, d->differ == BY_BUDGET ? "/ab budgets 100 400" : "/ab models NAME NAME");
        if (d->differ == BY_MODEL) {
            d->models[i] = word;
            continue;
        }
        int rc = budget_parse(&d->budgets[i], word, e);
        free(word);
        if (rc) return rc;
    }
    return 0;
}

void duel_start(struct app *a, const char *args)
{
    struct err e = {0};
    if (a->duel || app_running(a)) {
        app_error(a, a->duel ? "one comparison at a time" : "a reply is still being written: Esc stops it");
        return;
    }
    struct duel *d = duel_new(a);
    if (!d) return;
    d->blind = true;
    int rc = parse(d, &args, &e);
    if (!rc && !*args && app_target_reply(a) == SIZE_MAX) rc = err_set(&e, ERR_USAGE, "there is no prompt yet: /ab TEXT asks one");
    if (!rc && !(d->model_before = mem_dup_text(a->set.model, strlen(a->set.model)))) rc = err_set(&e, ERR_NOMEM, "out of memory");
    a->duel = d;
    if (rc) {
        duel_close(a);
        app_error(a, "%s", e.text);
        return;
    }
    if (a->focus == FOCUS_READING) reading_leave(a);
    write_first(a, args);
}

/* ---- showing ------------------------------------------------------------------------------------------------------ */

static int load_side(struct app *a, struct side *s, int64_t reply, struct err *e)
{
    int rc = store_load_message(a->store, reply, &s->message, e);
    if (rc) return rc;
    if (!s->message.n) return err_set(e, ERR_NOT_FOUND, "a reply is not in the record");
    const struct message *m = &s->message.items[0];
    flow_feed(&s->thought, m->thought, m->thought_len);
    flow_end(&s->thought);
    flow_feed(&s->answer, m->text, m->text_len);
    flow_end(&s->answer);
    rc = markdown_new(&s->markdown, e);
    const struct str *text = flow_text(&s->answer);
    if (!rc && !markdown_set(s->markdown, str_cstr(text), text->len)) rc = err_set(e, ERR_NOMEM, "out of memory");
    return rc;
}

static void show(struct app *a)
{
    struct duel *d = a->duel;
    struct err e = {0};
    int rc = load_side(a, &d->sides[0], d->replies[d->left], &e);
    if (!rc) rc = load_side(a, &d->sides[1], d->replies[!d->left], &e);
    if (rc) {
        call_off(a, e.text);
        return;
    }
    d->stage = DUEL_SHOWN;
    d->shown_at = a->now;
    a->dirty = true;
}

void duel_event(struct app *a, const struct chat_event *ev)
{
    struct duel *d = a->duel;
    if (!duel_writing(a)) return;
    if (ev->kind == CHAT_MODEL_FAILED) {
        call_off(a, ev->text);
        return;
    }
    if (ev->kind != CHAT_ENDED) return;
    bool whole = !ev->len && ev->stats.thought_ending != THOUGHT_STOPPED && ev->stats.answer_ending != ANSWER_STOPPED;
    if (!whole || ev->message <= 0) {
        call_off(a, ev->len ? ev->text : whole ? "the reply could not be saved" : "called off; what was written stays");
        return;
    }
    d->replies[d->written++] = ev->message;
    if (d->written == 1) {
        write_second(a);
    } else {
        restore(a);
        show(a);
    }
}

void duel_of_two(struct app *a)
{
    struct err e = {0};
    int64_t rival = 0;
    size_t i = app_target_reply(a);
    if (i == SIZE_MAX || a->t.items[i].phase != PHASE_DONE || a->t.items[i].id <= 0) {
        app_error(a, "there is no finished reply to compare");
        return;
    }
    if (store_rival(a->store, a->t.items[i].id, &rival, &e)) {
        app_error(a, "%s: r writes one", e.text);
        return;
    }
    struct duel *d = duel_new(a);
    if (!d) return;
    d->replies[0] = a->t.items[i].id < rival ? a->t.items[i].id : rival;
    d->replies[1] = a->t.items[i].id < rival ? rival : a->t.items[i].id;
    d->left = 0;
    a->duel = d;
    show(a);
}

/* ---- voting ------------------------------------------------------------------------------------------------------- */

static void describe(const struct message *m, struct str *out)
{
    text_sanitize(out, m->model, strlen(m->model), TEXT_ONE_LINE);
    if (m->budget[0]) {
        str_add(out, ", budget ");
        text_sanitize(out, m->budget, strlen(m->budget), TEXT_ONE_LINE);
    }
    str_addf(out, ", %d + %d tok", m->thought_tokens, m->answer_tokens);
}

/* The vote is stored; what was hidden is told, and the winner is the reply that is shown from now on. */
static void vote(struct app *a, enum verdict shown, int strength)
{
    struct duel *d = a->duel;
    struct err e = {0};
    enum verdict verdict = shown;
    if (d->left && shown <= VERDICT_B) verdict = shown == VERDICT_A ? VERDICT_B : VERDICT_A;
    const struct vote v = {.a = d->replies[0], .b = d->replies[1], .verdict = verdict, .strength = strength, .shown_first = d->left ? 'b' : 'a',
                           .blind = d->blind, .spent_ms = a->now - d->shown_at};
    struct str left = STR_EMPTY, right = STR_EMPTY;
    int rc = store_vote(a->store, &v, NULL, &e);
    describe(&d->sides[0].message.items[0], &left);
    describe(&d->sides[1].message.items[0], &right);
    duel_close(a);
    if (!rc && !a->review) rc = app_open(a, a->port->conversation(a->chat), &e);
    if (rc)
        app_error(a, "%s", e.text);
    else
        app_notice(a, "%s · A: %s · B: %s", shown == VERDICT_SKIP ? "skipped" : "kept", str_cstr(&left), str_cstr(&right));
    str_release(&left);
    str_release(&right);
}

static void scroll(struct duel *d, int rows)
{
    for (int i = 0; i < 2; i++) {
        d->sides[i].top += rows;
        if (d->sides[i].top < 0) d->sides[i].top = 0;
    }
}

static void leave(struct app *a)
{
    struct err e = {0};
    bool blind = a->duel->blind;
    duel_close(a);
    /* what the two were written as is on the screen again */
    if (blind && app_open(a, a->port->conversation(a->chat), &e)) app_error(a, "%s", e.text);
    if (blind) app_notice(a, "no vote; v in reading focus still compares them, not blind");
}

static void strength_key(struct app *a, const struct key *k)
{
    struct duel *d = a->duel;
    if (k->kind == KEY_TEXT_ && k->cp >= '1' && k->cp <= '3')
        vote(a, d->verdict, (int)(k->cp - '0'));
    else if (k->kind == KEY_NAMED_ && k->name == NAMED_ENTER)
        vote(a, d->verdict, 0);
    else if (k->kind == KEY_NAMED_ && (k->name == NAMED_BACKSPACE || k->name == NAMED_ESC))
        d->stage = DUEL_SHOWN;
}

static void verdict_of(struct app *a, enum verdict v)
{
    if (v > VERDICT_B) {
        vote(a, v, 0);
        return;
    }
    a->duel->verdict = v;
    a->duel->stage = DUEL_STRENGTH;
}

static void letter(struct app *a, uint32_t cp)
{
    struct duel *d = a->duel;
    switch (cp) {
    case 'a':
    case '1': verdict_of(a, VERDICT_A); break;
    case 'b':
    case '2': verdict_of(a, VERDICT_B); break;
    case 't':
    case '=': verdict_of(a, VERDICT_TIE); break;
    case 'x':
    case '0': verdict_of(a, VERDICT_BOTH_BAD); break;
    case 's': verdict_of(a, VERDICT_SKIP); break;
    case 'q': leave(a); break;
    case 'j': scroll(d, 1); break;
    case 'k': scroll(d, -1); break;
    case 'g': scroll(d, -1000000); break;
    case ' ': d->thoughts = !d->thoughts; break;
    default: break;
    }
}

void duel_key(struct app *a, const struct key *k)
{
    struct duel *d = a->duel;
    int page = d->spent_rows > 1 ? d->spent_rows - 1 : 1;
    a->dirty = true;
    bool interrupt = k->kind == KEY_TEXT_ && k->mods == MOD_CTRL && k->cp == 'c';
    if (interrupt) {
        leave(a);
    } else if (d->stage == DUEL_STRENGTH) {
        strength_key(a, k);
    } else if (k->kind == KEY_TEXT_ && !k->mods) {
        letter(a, k->cp);
    } else if (k->kind == KEY_TEXT_ && k->mods == MOD_CTRL && k->cp == 'l') {
        a->want.redraw = true;
    } else if (k->kind == KEY_NAMED_) {
        switch (k->name) {
        case NAMED_ESC: leave(a); break;
        case NAMED_LEFT: verdict_of(a, VERDICT_A); break;
        case NAMED_RIGHT: verdict_of(a, VERDICT_B); break;
        case NAMED_UP: scroll(d, -1); break;
        case NAMED_DOWN: scroll(d, 1); break;
        case NAMED_PGUP: scroll(d, -page); break;
        case NAMED_PGDN: scroll(d, page); break;
        case NAMED_HOME: scroll(d, -1000000); break;
        default: break;
        }
    }
}

/* ---- drawing ------------------------------------------------------------------------------------------------------ */

const char *duel_hint(const struct app *a)
{
    const struct duel *d = a->duel;
    if (!d) return NULL;
    switch (d->stage) {
    case DUEL_WRITING: return "both are shown when both are written · Esc calls it off";
    case DUEL_STRENGTH:
        return d->verdict == VERDICT_A ? "A is better: 1 slightly · 2 clearly · 3 much · Enter not said · Esc back"
                                       : "B is better: 1 slightly · 2 clearly · 3 much · Enter not said · Esc back";
    default: return "a b better · t tie · x both bad · s skip · Space thoughts · j k scroll · Esc";
    }
}

/* The prompt, on at most two rows; returns the row below it. */
static int draw_prompt(struct app *a, struct grid *g, int y, int y_end)
{
    struct wrap w = {0};
    size_t i = app_target_reply(a);
    while (i != SIZE_MAX && i < a->t.n && a->t.items[i].role != MESSAGE_USER) i--;
    if (i == SIZE_MAX) return y;
    const struct str *text = flow_text(&a->t.items[i].text);
    int most = y_end - y > 12 ? 2 : y_end - y > 6 ? 1 : 0;
    wrap_text(&w, str_cstr(text), text->len, g->w - 2 > 0 ? g->w - 2 : 1);
    for (int k = 0; k < most && (size_t)k < w.n; k++, y++) {
        grid_put(g, 1, y, g->w, STYLE_PROMPT, text->data + w.lines[k].from, w.lines[k].to - w.lines[k].from);
        if (k + 1 == most && (size_t)most < w.n) screen_put(g, g->w - 1, y, g->w, STYLE_PROMPT, "…");
    }
    wrap_release(&w);
    return y;
}

static void draw_heading(const struct duel *d, struct grid *g, int which, int x, int y, int x_end)
{
    const struct message *m = &d->sides[which].message.items[0];
    struct str s = STR_EMPTY;
    bool chosen = d->stage == DUEL_STRENGTH && (int)d->verdict == which;
    grid_fill(g, x, y, x_end - x, 1, STYLE_TITLE);
    x = screen_put(g, x, y, x_end, chosen ? STYLE_TITLE_ACCENT : STYLE_TITLE, which ? " B " : " A ");
    if (chosen) x = screen_put(g, x, y, x_end, STYLE_TITLE_ACCENT, "better ");
    if (!d->blind) describe(m, &s);
    screen_put(g, x, y, x_end, STYLE_TITLE, str_cstr(&s));
    str_release(&s);
}

/* A reply in a window: its thought when opened, then its answer. */
static void draw_side(struct duel *d, struct grid *g, int which, int x, int y, int w, int h)
{
    struct side *s = &d->sides[which];
    size_t n_answer = 0;
    draw_heading(d, g, which, x, y++, x + w);
    h--;
    x++;
    w--;
    int columns = w - 1 > 0 ? w - 1 : 1;
    const struct wrap *thought = flow_wrap(&s->thought, columns - 2 > 0 ? columns - 2 : 1);
    const struct md_line *answer = markdown_lines(s->markdown, columns, &n_answer);
    int heading = thought->n ? 1 : 0, n_thought = d->thoughts && heading ? (int)thought->n + 1 : 0, total = heading + n_thought + (int)n_answer;
    if (s->top > total - h) s->top = total > h ? total - h : 0;
    if (h > d->spent_rows) d->spent_rows = h;
    for (int r = 0; r < h && s->top + r < total; r++) {
        int line = s->top + r;
        if (line < heading) {
            screen_put(g, x, y + r, x + w, STYLE_THOUGHT_HEADER, d->thoughts ? "▾ Thought" : "▸ Thought");
        } else if (line == heading + n_thought - 1) {
            continue; /* a blank row between thought and answer */
        } else if (line < heading + n_thought) {
            const struct wrap_line *l = &thought->lines[line - heading];
            screen_put(g, x, y + r, x + w, STYLE_THOUGHT_RULE, "│");
            grid_put_tabs(g, x + 2, y + r, x + w, STYLE_THOUGHT, str_cstr(&s->thought.clean) + l->from, l->to - l->from, x + 2);
        } else {
            screen_put_markdown(g, x, y + r, x + w, &answer[line - heading - n_thought]);
        }
    }
    if (!n_answer && h > heading) screen_put(g, x, y + heading + n_thought - s->top, x + w, STYLE_HINT, "(no answer)");
    if (s->top + h < total && h > 0) screen_put(g, x + w - 1, y + h - 1, x + w, STYLE_NOTICE, "↓");
    if (s->top > 0 && h > 0) screen_put(g, x + w - 1, y, x + w, STYLE_NOTICE, "↑");
}

static void draw_writing(struct app *a, struct grid *g)
{
    const struct duel *d = a->duel;
    static const char *const names[] = {"two samples", "two budgets", "two models", "two answers to one thought"};
    struct str s = STR_EMPTY;
    int y = a->geo.view_y, end = y + a->geo.view_h;
    grid_fill(g, 0, y, g->w, a->geo.view_h, STYLE_TEXT);
    y = draw_prompt(a, g, y, end) + 1;
    /* dots that move show that it goes on, and nothing else of it */
    str_addf(&s, "%s: the %s of two replies is being written%.*s", names[d->differ], d->written ? "second" : "first", 1 + (int)(a->now / 500 % 3), "...");
    if (y < end) screen_put(g, 1, y, g->w, STYLE_THOUGHT_HEADER, str_cstr(&s));
    str_release(&s);
}

void duel_draw(struct app *a, struct grid *g)
{
    struct duel *d = a->duel;
    a->n_hits = 0;
    if (d->stage == DUEL_WRITING) {
        draw_writing(a, g);
        return;
    }
    int y = a->geo.title_y >= 0 ? a->geo.title_y + 1 : 0, end = a->geo.hint_y >= 0 ? a->geo.hint_y : g->h;
    g->cursor_x = g->cursor_y = -1;
    grid_fill(g, 0, y, g->w, end - y, STYLE_TEXT);
    d->spent_rows = 0;
    y = draw_prompt(a, g, y, end);
    if (g->w >= SIDE_BY_SIDE_FROM) {
        int w = (g->w - 1) / 2;
        for (int r = y; r < end; r++) screen_put(g, w, r, g->w, STYLE_RULE, "│");
        draw_side(d, g, 0, 0, y, w, end - y);
        draw_side(d, g, 1, w + 1, y, g->w - w - 1, end - y);
    } else {
        int h = (end - y) / 2;
        draw_side(d, g, 0, 0, y, g->w, h);
        draw_side(d, g, 1, 0, y + h, g->w, end - y - h);
    }
}
