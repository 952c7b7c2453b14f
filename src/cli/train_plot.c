/* train_plot.c - the losses in a log of ponder train, as a plot of characters. */
#include "cli/train.h"

#include <jansson.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LOG_MAX ((size_t)256 << 20)
#define ROWS    16

struct point {
    double step, loss;
};
struct points {
    struct point *items;
    size_t n, cap;
};

static int add(struct points *p, double step, double loss, struct err *e)
{
    if (!mem_grow(&p->items, &p->cap, p->n + 1, sizeof *p->items)) return err_set(e, ERR_NOMEM, "out of memory");
    p->items[p->n++] = (struct point){step, loss};
    return 0;
}

static int read_log(const char *path, struct points *train, struct points *valid, struct err *e)
{
    struct str text = STR_EMPTY;
    int rc = file_read(&text, path, LOG_MAX, e);

    if (rc == ERR_NOT_FOUND) rc = e->code = ERR_FILE;
    for (size_t at = 0; !rc && at < text.len;) {
        const char *line = text.data + at, *nl = memchr(line, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - line) : text.len - at;
        json_t *o = json_loadb(line, n, 0, NULL);
        const json_t *loss = json_object_get(o, "loss"), *held = json_object_get(o, "valid_loss"), *step = json_object_get(o, "step");
        if (!o && nl) rc = err_set(e, ERR_FILE, "%s: is no log of training", path); /* the last line may be half written */
        if (json_is_number(step) && json_is_number(loss)) rc = add(train, json_number_value(step), json_number_value(loss), e);
        if (json_is_number(step) && json_is_number(held)) rc = add(valid, json_number_value(step), json_number_value(held), e);
        json_decref(o);
        at += n + 1;
    }
    str_release(&text);
    if (!rc && !train->n) rc = err_set(e, ERR_FILE, "%s: has no step yet", path);
    return rc;
}

/* The mean of each column's points, NAN where there are none. */
static void columns_of(const struct points *p, double last, int n, double *out)
{
    double *count = calloc((size_t)n, sizeof *count);

    for (int i = 0; i < n; i++) out[i] = 0;
    for (size_t i = 0; i < p->n && count; i++) {
        int c = (int)(p->items[i].step / (last > 0 ? last : 1) * (n - 1) + 0.5);
        if (c < 0 || c >= n || !isfinite(p->items[i].loss)) continue;
        out[c] += p->items[i].loss;
        count[c]++;
    }
    for (int i = 0; i < n; i++) out[i] = count && count[i] > 0 ? out[i] / count[i] : NAN;
    free(count);
}

static int row_of(double loss, double low, double high)
{
    return (int)((high - loss) / (high - low) * (ROWS - 1) + 0.5);
}

static void draw(struct str *out, const double *train, const double *valid, int n, double last, bool ascii)
{
    double low = INFINITY, high = -INFINITY;

    for (int i = 0; i < n; i++) {
        low = fmin(low, fmin(isnan(train[i]) ? low : train[i], isnan(valid[i]) ? low : valid[i]));
        high = fmax(high, fmax(isnan(train[i]) ? high : train[i], isnan(valid[i]) ? high : valid[i]));
    }
    if (!(high > low)) high = low + 1e-9;
    for (int r = 0; r < ROWS; r++) {
        if (r % 5 == 0 || r == ROWS - 1) str_addf(out, "%8.4f ", high - (high - low) * r / (ROWS - 1));
        else str_add(out, "         ");
        str_add(out, ascii ? "|" : "│");
        for (int i = 0; i < n; i++) {
            if (!isnan(valid[i]) && row_of(valid[i], low, high) == r) str_add(out, ascii ? "o" : "○");
            else if (!isnan(train[i]) && row_of(train[i], low, high) == r) str_add(out, ascii ? "*" : "•");
            else str_add_char(out, ' ');
        }
        while (out->len && out->data[out->len - 1] == ' ') str_truncate(out, out->len - 1);
        str_add_char(out, '\n');
    }
    str_add(out, ascii ? "         +" : "         └");
    for (int i = 0; i < n; i++) str_add(out, ascii ? "-" : "─");
    str_addf(out, "\n          %-*s%.0f steps\n", n > 16 ? n - 16 : 0, "0", last);
}

int train_plot(const char *path)
{
    struct points train = {0}, valid = {0};
    struct str out = STR_EMPTY;
    struct winsize ws;
    struct err e = {0};
    bool ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    int columns = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 30 ? ws.ws_col : 80;
    int n = columns - 12, rc = read_log(path, &train, &valid, &e);

    if (!rc) {
        double last = train.items[train.n - 1].step, *rows = calloc(2 * (size_t)n, sizeof *rows);
        if (!rows) rc = err_set(&e, ERR_NOMEM, "out of memory");
        if (!rc) {
            columns_of(&train, last, n, rows);
            columns_of(&valid, last, n, rows + n);
            draw(&out, rows, rows + n, n, last, ascii);
            str_addf(&out, "loss: first %.4f, last %.4f", train.items[0].loss, train.items[train.n - 1].loss);
            if (valid.n) str_addf(&out, "; held out (%s): first %.4f, last %.4f", ascii ? "o" : "○", valid.items[0].loss, valid.items[valid.n - 1].loss);
            str_add(&out, "\n");
            cli_puts(stdout, str_cstr(&out));
        }
        free(rows);
    }
    free(train.items);
    free(valid.items);
    str_release(&out);
    return rc ? cli_fail(&e) : cli_finish(0);
}
