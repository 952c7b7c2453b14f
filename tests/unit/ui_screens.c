/*
 * The pictures of README: whole screens of the program in the colours of its dark theme, as SVG in docs/screens. What the model says in them was
 * recorded from Qwen2.5-Coder-1.5B; all the rest is drawn by the program. GENERATE=1 (make screens) writes them anew.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "golden.h"
#include "ui_headless.h"

/* ---- cells to SVG -------------------------------------------------------------------------------------------------- */

enum { CELL_W = 9, CELL_H = 20, BORDER = 14 };

static unsigned rgb(const struct theme *t, enum style s, bool ground)
{
    const struct style_def *d = &t->styles[s], *text = &t->styles[STYLE_TEXT];
    struct colour c = (d->attrs & ATTR_REVERSE) != 0 ? (ground ? d->fg : d->bg) : ground ? d->bg : d->fg;
    if (c.index != 256) c = ground ? text->bg : text->fg;
    return (unsigned)c.r << 16 | (unsigned)c.g << 8 | c.b;
}

static void add_escaped(struct str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&' || *text == '<')
            str_add(out, *text == '&' ? "&amp;" : "&lt;");
        else
            str_add_char(out, *text);
    }
}

/* Blocks and frames are drawn, so that they meet whatever the font. Returns whether c is one. */
static bool add_shape(struct str *out, const char *c, int x, int y, unsigned colour)
{
    static const struct {
        const char *text;
        int x, y, w, h; /* two of them: the second one from the middle down or to the right */
        int x2, y2, w2, h2;
    } shapes[] = {
        {"█", 0, 0, 9, 20, 0, 0, 0, 0},  {"▁", 0, 17, 9, 2, 0, 0, 0, 0},  {"─", 0, 9, 9, 1, 0, 0, 0, 0},   {"│", 4, 0, 1, 20, 0, 0, 0, 0},
        {"┌", 4, 9, 5, 1, 4, 9, 1, 11},  {"┐", 0, 9, 5, 1, 4, 9, 1, 11},  {"└", 4, 9, 5, 1, 4, 0, 1, 10}, {"┘", 0, 9, 5, 1, 4, 0, 1, 10},
        {"├", 4, 9, 5, 1, 4, 0, 1, 20},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (strcmp(shapes[i].text, c)) continue;
        str_addf(out, "<path fill=\"#%06x\" d=\"M%d %dh%dv%dh-%dz", colour, x + shapes[i].x, y + shapes[i].y, shapes[i].w, shapes[i].h, shapes[i].w);
        if (shapes[i].w2) str_addf(out, "M%d %dh%dv%dh-%dz", x + shapes[i].x2, y + shapes[i].y2, shapes[i].w2, shapes[i].h2, shapes[i].w2);
        str_add(out, "\"/>\n");
        return true;
    }
    return false;
}

static void add_run(struct str *out, const struct theme *t, enum style s, const char *text, int x, int y, int columns)
{
    unsigned attrs = t->styles[s].attrs;
    if (strspn(text, " ") == strlen(text)) return;
    str_addf(out, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" fill=\"#%06x\"%s%s%s>", x, y + 15, columns * CELL_W, rgb(t, s, false),
             attrs & ATTR_BOLD ? " font-weight=\"bold\"" : "", attrs & ATTR_ITALIC ? " font-style=\"italic\"" : "",
             attrs & ATTR_UNDERLINE ? " text-decoration=\"underline\"" : "");
    add_escaped(out, text);
    str_add(out, "</text>\n");
}

static void add_line(struct str *out, const struct theme *t, const struct grid *g, int row)
{
    struct str run = STR_EMPTY;
    int y = BORDER + row * CELL_H;
    for (int x = 0, from = 0; x <= g->w; x++) {
        enum style s = (enum style)grid_at(g, from, row)->style;
        if (x < g->w && grid_at(g, x, row)->style == s) continue;
        int left = BORDER + from * CELL_W;
        if (rgb(t, s, true) != rgb(t, STYLE_TEXT, true))
            str_addf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%06x\"/>\n", left, y, (x - from) * CELL_W, CELL_H, rgb(t, s, true));
        int begin = from;
        for (int k = from; k <= x; k++) {
            bool shape = k < x && add_shape(out, grid_at(g, k, row)->text, BORDER + k * CELL_W, y, rgb(t, s, false));
            if (k < x && !shape) {
                str_add(&run, grid_at(g, k, row)->text);
                continue;
            }
            if (k > begin) add_run(out, t, s, str_cstr(&run), BORDER + begin * CELL_W, y, k - begin);
            str_clear(&run);
            begin = k + 1;
        }
        from = x;
    }
    str_release(&run);
}

static void picture(struct headless *t, const char *name)
{
    char path[100];
    struct theme theme;
    struct str out = STR_EMPTY;
    assert_int_equal(theme_load(&theme, "themes/dark.ini", NULL), 0);
    headless_screen(t, false);
    const struct grid *g = &t->grid;
    int w = g->w * CELL_W + 2 * BORDER, h = g->h * CELL_H + 2 * BORDER;
    str_addf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\""
                   " font-size=\"15\" xml:space=\"preserve\">\n<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#%06x\"/>\n", w, h, w, h, w, h, rgb(&theme, STYLE_TEXT, true));
    for (int y = 0; y < g->h; y++) add_line(&out, &theme, g, y);
    str_add(&out, "</svg>\n");
    snprintf(path, sizeof path, "docs/screens/%s.svg", name);
    golden_file(path, str_cstr(&out));
    str_release(&out);
}

/* ---- what is on them ------------------------------------------------------------------------------------------------ */

static const char question[] = "A bat and a ball cost 1.10 together. The bat costs 1.00 more than the ball. What does the ball cost?";
static const char thought[] =
    "Let's think step by step. We know that the bat and the ball together cost 1.10, and the bat costs 1.00 more than the ball. We can set up an equation to "
    "represent this relationship. Let's denote the cost of the ball as \\( x \\). Therefore, the cost of the bat would be \\( x + 1 \\). The equation that "
    "represents the total cost is:\n\\[ x + (x + 1) = 1.10 \\]\nSimplifying the left side of the equation, we get:\n\\[ 2x + 1 = 1.10 \\]\n";
static const char rest[] = "To isolate \\( x \\), we subtract 1 from both sides of the equation:\n\\[ 2x = 0.10 \\]\nNext, we divide both sides by 2:\n"
                           "\\[ x = 0.05 \\]\nSo, the cost of the ball is 0.05.";
/* with a budget of 40 */
static const char hasty[] = "Let's think step by step. We know that the bat and the ball together cost 1.10, and the bat costs\n\n"
                            "Time is up. I will give the final answer now.\n";

static void start(struct headless *t, int w, int h)
{
    headless_open(t);
    headless_start(t, w, h, 0);
    headless_model(t);
    snprintf(t->chat.model.name, sizeof t->chat.model.name, "Qwen2.5-Coder-1.5B-Instruct");
    snprintf(t->chat.model.quant, sizeof t->chat.model.quant, "Q4_K_M");
    headless_event(t, (struct chat_event){.kind = CHAT_MODEL}, NULL);
}

static void think(struct headless *t, const char *text, int64_t ms, int tokens, double rate)
{
    headless_prefill(t, 88, 88);
    headless_thinking(t);
    headless_thought(t, text);
    headless_progress(t, ms, tokens);
    t->stats.tokens_per_s = rate;
    t->stats.context_used = 88 + tokens;
    headless_event(t, (struct chat_event){.kind = CHAT_PROGRESS, .message = t->chat.reply, .stats = t->stats}, NULL);
}

static void ask(struct headless *t)
{
    headless_keys(t, question);
    headless_keys(t, "\r");
}

static void budget(struct headless *t, int tokens)
{
    t->stats.budget = (struct budget){.kind = BUDGET_TOKENS, .amount = tokens};
    headless_event(t, (struct chat_event){.kind = CHAT_BUDGET, .message = t->chat.reply, .stats = t->stats}, NULL);
}

static void answer(struct headless *t, enum thought_ending how, const char *text)
{
    headless_closed(t, how);
    headless_answer(t, text);
    headless_ended(t, how, ANSWER_COMPLETE, NULL);
}

/* The budget of a thought that runs, lowered by one press. */
static void test_thinking(void **unused)
{
    (void)unused;
    struct headless t;
    start(&t, 86, 22);
    ask(&t);
    think(&t, thought, 9100, 101, 11.2);
    headless_keys(&t, "-");
    budget(&t, 350);
    picture(&t, "thinking");
    headless_close(&t);
}

/* Its end, and a rating of each part. */
static void test_rated(void **unused)
{
    (void)unused;
    struct headless t;
    start(&t, 86, 22);
    ask(&t);
    think(&t, thought, 27200, 190, 11.2);
    headless_thought(&t, rest);
    answer(&t, THOUGHT_BUDGET_SOFT, "The ball costs 0.05.");
    headless_keys(&t, "\t +1");
    headless_keys(&t, "]27");
    picture(&t, "rated");
    headless_close(&t);
}

/* A thought gone on with from one of its sentences. */
static void test_steps(void **unused)
{
    (void)unused;
    struct headless t;
    start(&t, 86, 22);
    ask(&t);
    think(&t, thought, 27200, 190, 11.2);
    headless_thought(&t, rest);
    answer(&t, THOUGHT_NATURAL, "The ball costs 0.05.");
    headless_keys(&t, "\tB\033[A\033[A\033[A\033[A\033[A");
    picture(&t, "steps");
    headless_close(&t);
}

/* Two replies, blind. Which stands on the left is drawn: until it is the first. */
static void test_blind(void **unused)
{
    (void)unused;
    for (;;) {
        struct headless t;
        start(&t, 110, 22);
        headless_keys(&t, "/ab ");
        ask(&t);
        think(&t, hasty, 4100, 40, 11.2);
        answer(&t, THOUGHT_BUDGET_HARD, "The ball costs 0.10.");
        think(&t, thought, 27200, 190, 11.2);
        headless_thought(&t, rest);
        answer(&t, THOUGHT_NATURAL, "The ball costs 0.05.");
        headless_keys(&t, " ");
        const char *screen = headless_screen(&t, false);
        const char *quick = strstr(screen, "Time is up"), *line = quick;
        assert_non_null(quick);
        while (line > screen && line[-1] != '\n') line--;
        bool first = quick - line < 20;
        if (first) picture(&t, "blind");
        headless_close(&t);
        if (first) return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_rated),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_blind),
    };
    return cmocka_run_group_tests_name("screens of README", tests, NULL, NULL);
}
