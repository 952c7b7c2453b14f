/* train_plot.c - the losses in a log of ponder train, or the rewards where there are such, as a plot of characters. */
#include "cli/sweep.h"
#include "cli/train.h"

#include <jansson.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
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
/* What a log tells: the figure that is drawn, in training and held out; and what part of pairs, thumbs or replies came out right. */
struct log {
    struct points train, valid, right, valid_right;
    bool rewards;
};

static int add(struct points *p, double step, double loss, struct err *e)
{
    if (!mem_grow(&p->items, &p->cap, p->n + 1, sizeof *p->items)) return err_set(e, ERR_NOMEM, "out of memory");
    p->items[p->n++] = (struct point){step, loss};
    return 0;
}

static int take_line(struct log *l, const json_t *o, struct err *e)
{
    const json_t *step = json_object_get(o, "step"), *loss = json_object_get(o, "loss"), *held = json_object_get(o, "valid_loss"),
                 *reward = json_object_get(o, "reward"), *right = json_object_get(o, "right");
    int rc = 0;

    if (!json_is_number(step)) return 0;
    /* of replies the reward is to be told: the loss of what they teach goes nowhere */
    if (json_is_number(reward)) l->rewards = true;
    if (json_is_number(loss)) rc = add(&l->train, json_number_value(step), json_number_value(json_is_number(reward) ? reward : loss), e);
    if (!rc && json_is_number(held)) rc = add(&l->valid, json_number_value(step), json_number_value(held), e);
    if (!rc && json_is_number(right)) rc = add(held ? &l->valid_right : &l->right, json_number_value(step), json_number_value(right), e);
    return rc;
}

static int read_log(const char *path, struct log *l, struct err *e)
{
    struct str text = STR_EMPTY;
    int rc = file_read(&text, path, LOG_MAX, e);

    if (rc == ERR_NOT_FOUND) rc = e->code = ERR_FILE;
    for (size_t at = 0; !rc && at < text.len;) {
        const char *line = text.data + at, *nl = memchr(line, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - line) : text.len - at;
        json_t *o = json_loadb(line, n, 0, NULL);
        if (!o && nl) rc = err_set(e, ERR_FILE, "%s: is no log of training", path); /* the last line may be half written */
        else rc = take_line(l, o, e);
        json_decref(o);
        at += n + 1;
    }
    str_release(&text);
    if (!rc && !l->train.n) rc = err_set(e, ERR_FILE, "%s: has no step yet", path);
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
    char end[32];
    int used = snprintf(end, sizeof end, "%.0f steps", last);
    str_addf(out, "\n          %-*s%s\n", n > used ? n - used : 0, "0", end);
}

/* The mean of a tenth of the points, the first or the last: a step alone says little. */
static double end_of(const struct points *p, bool last)
{
    size_t n = p->n / 10 ? p->n / 10 : 1;
    double sum = 0;

    for (size_t i = 0; i < n; i++) sum += p->items[last ? p->n - 1 - i : i].loss;
    return sum / (double)n;
}

static void tell(struct str *out, const struct log *l, bool ascii)
{
    str_addf(out, "%s: first %.4f, last %.4f", l->rewards ? "reward" : "loss", end_of(&l->train, false), end_of(&l->train, true));
    if (l->valid.n) str_addf(out, "; held out (%s): first %.4f, last %.4f", ascii ? "o" : "○", l->valid.items[0].loss, l->valid.items[l->valid.n - 1].loss);
    if (l->right.n) str_addf(out, "\nright: first %.0f %%, last %.0f %%", 100 * end_of(&l->right, false), 100 * end_of(&l->right, true));
    if (l->valid_right.n)
        str_addf(out, "; held out: first %.0f %%, last %.0f %%", 100 * l->valid_right.items[0].loss, 100 * l->valid_right.items[l->valid_right.n - 1].loss);
    str_add(out, "\n");
}

int train_plot(const char *path)
{
    struct log l = {.rewards = false};
    struct str out = STR_EMPTY;
    struct err e = {0};
    bool ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    int columns = isatty(STDOUT_FILENO) ? sweep_columns(STDOUT_FILENO) : 80;
    int n = (columns < 30 ? 30 : columns) - 12, rc = read_log(path, &l, &e);

    if (!rc) {
        double last = l.train.items[l.train.n - 1].step, *rows = calloc(2 * (size_t)n, sizeof *rows);
        if (!rows) rc = err_set(&e, ERR_NOMEM, "out of memory");
        if (!rc) {
            columns_of(&l.train, last, n, rows);
            columns_of(&l.valid, last, n, rows + n);
            draw(&out, rows, rows + n, n, last, ascii);
            tell(&out, &l, ascii);
            cli_puts(stdout, str_cstr(&out));
        }
        free(rows);
    }
    struct points *all[] = {&l.train, &l.valid, &l.right, &l.valid_right};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]->items);
    str_release(&out);
    return rc ? cli_fail(&e) : cli_finish(0);
}
