/* sweep_report.c - the results of a sweep as a plot of bars, as CSV, and the progress while it runs. */
#include "cli/sweep.h"

#include <math.h>
#include <sys/ioctl.h>

int sweep_columns(int fd)
{
    struct winsize w;
    return !ioctl(fd, TIOCGWINSZ, &w) && w.ws_col > 0 ? w.ws_col : 80;
}

void sweep_interval(int right, int n, double *low, double *high)
{
    const double z = 1.959964;
    *low = 0;
    *high = 1;
    if (n < 1) return;
    double p = (double)right / n, d = 1 + z * z / n, middle = (p + z * z / (2 * n)) / d,
           half = z * sqrt(p * (1 - p) / n + z * z / (4.0 * n * n)) / d;
    *low = middle - half > 0 ? middle - half : 0;
    *high = middle + half < 1 ? middle + half : 1;
}

static void bar(struct str *out, double part, int columns, bool ascii)
{
    int full = (int)(part * columns + 0.5);
    for (int i = 0; i < columns; i++) str_add(out, i < full ? (ascii ? "#" : "█") : ascii ? "." : "░");
}

/* Columns of everything but the bar. */
#define AROUND_BAR 68
#define BAR_MAX    40

void sweep_plot(const struct cell *cells, size_t n, int columns, bool ascii, struct str *out)
{
    int wide = columns - AROUND_BAR < 10 ? 10 : columns - AROUND_BAR > BAR_MAX ? BAR_MAX : columns - AROUND_BAR;
    str_addf(out, "%9s %5s  %-*s %7s  %-9s %9s %7s %8s\n", "budget", "votes", wide, "accuracy", "right", "95 %", "tokens", "closed",
             "time");
    for (size_t i = 0; i < n; i++) {
        const struct cell *c = &cells[i];
        char budget[32], range[32];
        double low, high, part = c->n ? (double)c->right / c->n : 0;
        budget_format(c->budget, budget);
        sweep_interval(c->right, c->n, &low, &high);
        snprintf(range, sizeof range, "%.0f-%.0f %%", 100 * low, 100 * high);
        str_addf(out, "%9s %5d  ", budget, c->votes);
        bar(out, part, wide, ascii);
        if (c->n)
            str_addf(out, " %3d/%-3d  %-9s %9.0f %6.0f%% %6.1f s\n", c->right, c->n, range,
                     (double)(c->thought_tokens + c->answer_tokens) / c->n, 100.0 * c->closed / c->n, (double)c->ms / 1000 / c->n);
        else
            str_addf(out, " %7s  %-9s %9s %7s %8s\n", "-", "-", "-", "-", "-");
    }
}

void sweep_csv(const struct cell *cells, size_t n, struct str *out)
{
    str_add(out, "budget,votes,questions,correct,accuracy,low95,high95,unanswered,closed_by_budget,thought_tokens,answer_tokens,seconds\n");
    for (size_t i = 0; i < n; i++) {
        const struct cell *c = &cells[i];
        char budget[32];
        double low, high, of = c->n ? c->n : 1;
        budget_format(c->budget, budget);
        sweep_interval(c->right, c->n, &low, &high);
        str_addf(out, "%s,%d,%d,%d,%.4f,%.4f,%.4f,%d,%d,%.1f,%.1f,%.3f\n", budget, c->votes, c->n, c->right, c->right / of, low, high,
                 c->unanswered, c->closed, (double)c->thought_tokens / of, (double)c->answer_tokens / of, (double)c->ms / 1000 / of);
    }
}

void sweep_progress(size_t done, size_t total, int64_t elapsed_ms, int columns, bool ascii, struct str *out)
{
    int64_t left = done ? elapsed_ms * (int64_t)(total - done) / (int64_t)done / 1000 : 0;
    struct str tail = STR_EMPTY;
    str_addf(&tail, " %zu/%zu", done, total);
    if (done && done < total && left >= 60)
        str_addf(&tail, " · %lld min left", (long long)(left + 59) / 60);
    else if (done && done < total)
        str_addf(&tail, " · %lld s left", (long long)left);
    int wide = columns - 1 - utf8_columns(str_cstr(&tail), tail.len);
    if (wide > BAR_MAX) wide = BAR_MAX;
    if (wide >= 4) bar(out, total ? (double)done / (double)total : 0, wide, ascii);
    str_add_bytes(out, str_cstr(&tail), tail.len);
    str_release(&tail);
}

void sweep_show_progress(size_t done, size_t total, int64_t began, bool ascii)
{
    struct str line = STR_EMPTY;
    sweep_progress(done, total, clock_mono_ms() - began, sweep_columns(2), ascii, &line);
    fprintf(stderr, "\r\033[K%s", str_cstr(&line));
    fflush(stderr);
    str_release(&line);
}
