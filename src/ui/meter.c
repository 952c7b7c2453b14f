/*
 * meter.c - budgets in steps, and bars.
 *
 * Steps land on multiples of themselves, so that + and - undo each other; they grow with the amount, so that a few presses go far.
 */
#include "ui/app.h"

#include <math.h>

/* Below `under`, a step is `step` wide. */
struct scale {
    double under, step;
};
static const struct scale token_scale[] = {{100, 25}, {400, 50}, {1000, 100}, {1e6, 250}};
static const struct scale second_scale[] = {{30, 5}, {120, 10}, {86400, 30}};

static double step_amount(double v, int direction, const struct scale *s, size_t n)
{
    size_t i = 0;
    while (i + 1 < n && (direction > 0 ? v >= s[i].under : v > s[i].under)) i++;
    double next = direction > 0 ? (floor(v / s[i].step) + 1) * s[i].step : (ceil(v / s[i].step) - 1) * s[i].step;
    double low = i > 0 ? s[i - 1].under : 0;
    if (next < low) next = low;
    return next > s[n - 1].under ? s[n - 1].under : next;
}

struct budget budget_step(struct budget b, int direction)
{
    switch (b.kind) {
    case BUDGET_TOKENS: b.amount = step_amount(b.amount, direction, token_scale, ARRAY_LEN(token_scale)); break;
    case BUDGET_SECONDS: b.amount = step_amount(b.amount, direction, second_scale, ARRAY_LEN(second_scale)); break;
    case BUDGET_OFF:
        if (direction > 0) b = (struct budget){.kind = BUDGET_TOKENS, .amount = 25};
        break;
    case BUDGET_UNLIMITED:
        if (direction < 0) b = (struct budget){.kind = BUDGET_TOKENS, .amount = 1000};
        break;
    }
    return b;
}

void meter_draw(struct grid *g, int x, int y, int columns, double part, enum style full, enum style empty)
{
    if (!(part > 0)) part = 0;
    if (part > 1) part = 1;
    int n = (int)(part * columns + 0.5);
    if (part > 0 && n == 0) n = 1;
    for (int i = 0; i < columns; i++) screen_put(g, x + i, y, x + i + 1, i < n ? full : empty, i < n ? "█" : "▁");
}
