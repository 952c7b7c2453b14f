/*
 * inspect_logits.c - `inspect logits`: the log-probabilities a model gives to the next token, for tests and bug reports.
 *
 * In: lines of token ids. Out: a JSON line each, for every position a list of [id, natural-log probability], best first; with --next the
 * log-probability of each id behind those before it instead, from the second on: the sum of a reply's is what a reply is worth to a model.
 */
#include "cli/cli.h"
#include "model/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE_IDS = 1 << 20 };

struct entry {
    int32_t id;
    float logit;
};

struct printer {
    int n_vocab, top;
    struct entry *heap; /* the top entries so far, the worst one first */
    const struct tokens *ids;
};

/* Order of the list: higher logit first, then lower id. A NaN is worse than every number. */
static bool is_better(struct entry a, struct entry b)
{
    if (isnan(a.logit) || isnan(b.logit)) return isnan(a.logit) == isnan(b.logit) ? a.id < b.id : isnan(b.logit);
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(struct entry *heap, int n, int at)
{
    for (;;) {
        int worst = at, left = 2 * at + 1;
        if (left < n && is_better(heap[worst], heap[left])) worst = left;
        if (left + 1 < n && is_better(heap[worst], heap[left + 1])) worst = left + 1;
        if (worst == at) return;
        struct entry t = heap[at];
        heap[at] = heap[worst];
        heap[worst] = t;
        at = worst;
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return is_better(*x, *y) ? -1 : is_better(*y, *x);
}

/* Log of the sum of exponentials. */
static double norm_of(const float *logits, int n)
{
    double max = -INFINITY, sum = 0;

    for (int i = 0; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (int i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum);
}

static void print_next(void *arg, size_t position, const float *logits)
{
    struct printer *p = arg;

    if (!position) putchar('[');
    if (position + 1 == p->ids->n) return;
    double lp = (double)logits[p->ids->ids[position + 1]] - norm_of(logits, p->n_vocab);
    printf(isfinite(lp) ? "%s%.8g" : "%snull", position ? "," : "", lp);
}

static void print_position(void *arg, size_t position, const float *logits)
{
    struct printer *p = arg;

    for (int i = 0; i < p->top; i++) p->heap[i] = (struct entry){i, logits[i]};
    for (int i = p->top / 2; i-- > 0;) sift_down(p->heap, p->top, i);
    for (int i = p->top; i < p->n_vocab; i++) {
        struct entry x = {i, logits[i]};
        if (!is_better(x, p->heap[0])) continue;
        p->heap[0] = x;
        sift_down(p->heap, p->top, 0);
    }
    qsort(p->heap, (size_t)p->top, sizeof(*p->heap), by_rank);
    double norm = norm_of(logits, p->n_vocab);
    fputs(position ? ",[" : "[[", stdout);
    for (int i = 0; i < p->top; i++) {
        double lp = (double)p->heap[i].logit - norm;
        /* JSON has no infinity */
        printf(isfinite(lp) ? "%s[%d,%.8g]" : "%s[%d,null]", i ? "," : "", p->heap[i].id, lp);
    }
    putchar(']');
}

/* The ids of one line into out. */
static int parse_ids(const char *line, size_t number, struct tokens *out, struct err *e)
{
    out->n = 0;
    for (const char *at = line;;) {
        char *end;
        at += strspn(at, " \t\r,");
        if (!*at) return 0;
        errno = 0;
        long v = strtol(at, &end, 10);
        if (end == at || errno || v < 0 || v > INT32_MAX || !strchr(" \t\r,", *end))
            return err_set(e, ERR_INVALID, "line %zu: \"%.20s\" is not a token id", number, at);
        if (out->n >= MAX_LINE_IDS) return err_set(e, ERR_INVALID, "line %zu: more than %d ids", number, MAX_LINE_IDS);
        if (tokens_push(out, (int32_t)v)) return err_set(e, ERR_NOMEM, "out of memory");
        at = end;
    }
}

struct options {
    const char *model, *lora;
    enum kv_type kv;
    int top, threads;
    bool decode, next;
};

/* A whole number of at least min from the flag's value. */
static bool take_int(const char *text, int min, int *out)
{
    char *end;
    errno = 0;
    long v = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || errno || v < min || v > INT32_MAX) return false;
    *out = (int)v;
    return true;
}

/* Returns -1 when all is well, an exit code otherwise. */
static int parse_flags(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(flag, "--help") || !strcmp(flag, "-h")) return cli_command_help("inspect");
        if (!strcmp(flag, "--decode")) {
            o->decode = true;
            continue;
        }
        if (!strcmp(flag, "--next")) {
            o->next = true;
            continue;
        }
        i++;
        if (!strcmp(flag, "-m") || !strcmp(flag, "--model")) {
            if (!value) return cli_usage("inspect", "%s needs a model", flag);
            o->model = value;
        } else if (!strcmp(flag, "--lora")) {
            if (!value) return cli_usage("inspect", "%s needs a FILE[:SCALE]", flag);
            o->lora = value;
        } else if (!strcmp(flag, "--kv")) {
            if (!value || !kv_type_by_name(value, &o->kv)) return cli_usage("inspect", "--kv is f16 or q8_0");
        } else if (!strcmp(flag, "--top")) {
            if (!take_int(value, 1, &o->top)) return cli_usage("inspect", "--top needs a number from 1 up");
        } else if (!strcmp(flag, "--threads") || !strcmp(flag, "-t")) {
            if (!take_int(value, 0, &o->threads)) return cli_usage("inspect", "%s needs a number", flag);
        } else {
            return cli_usage("inspect", "unknown argument \"%s\"", flag);
        }
    }
    if (!o->model) return cli_usage("inspect", "logits needs -m MODEL");
    return -1;
}

/* A session that takes n tokens, with the adapter (may be NULL). */
static int make_session(struct session **s, const struct engine *m, size_t n, const struct options *o, const struct adapter *a,
                        double scale, struct err *e)
{
    session_free(*s);
    int ctx = n < 512 && engine_info(m)->ctx_train >= 512 ? 512 : (int)n;
    int rc = session_new(s, m, ctx, o->threads ? o->threads : engine_default_threads(), o->kv, e);
    return rc || !a ? rc : session_set_adapters(*s, &a, &scale, 1, e);
}

static int run_lines(const struct engine *m, const struct options *o, struct err *e)
{
    struct tokens ids = {0};
    struct printer p = {.n_vocab = engine_info(m)->n_vocab, .ids = &ids};
    struct session *s = NULL;
    struct adapter *adapter = NULL;
    double scale = 1;
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;
    int rc = 0;

    p.top = o->top < p.n_vocab ? o->top : p.n_vocab;
    p.heap = calloc((size_t)p.top, sizeof(*p.heap));
    if (!p.heap) return err_set(e, ERR_NOMEM, "out of memory");
    if (o->lora) rc = adapter_open_text(&adapter, &scale, m, o->lora, strlen(o->lora), e);
    while (!rc && (len = getline(&line, &cap, stdin)) > 0) {
        if (line[len - 1] == '\n') line[--len] = '\0';
        number++;
        if (strlen(line) != (size_t)len) rc = err_set(e, ERR_INVALID, "line %zu holds a NUL", number);
        if (!rc) rc = parse_ids(line, number, &ids, e);
        if (rc) break;
        if (ids.n && (!s || (size_t)session_ctx(s) < ids.n)) rc = make_session(&s, m, ids.n, o, adapter, scale, e);
        if (rc) break;
        if (ids.n) rc = session_score(s, ids.ids, ids.n, o->decode, o->next ? print_next : print_position, &p, e);
        if (!rc) puts(ids.n ? "]" : "[]");
    }
    if (!rc && ferror(stdin)) rc = err_set(e, ERR_IO, "standard input cannot be read");
    free(line);
    free(p.heap);
    tokens_release(&ids);
    session_free(s);
    adapter_free(adapter);
    return rc;
}

int cmd_inspect_logits(int argc, char **argv)
{
    struct options o = {.top = 10};
    struct engine *m = NULL;
    struct str path = STR_EMPTY;
    struct err e = {0};

    int rc = parse_flags(argc, argv, &o);
    if (rc >= 0) return rc;
    rc = model_path_of(&path, o.model, &e);
    if (!rc) rc = engine_open(&m, str_cstr(&path), &e);
    if (!rc) rc = run_lines(m, &o, &e);
    engine_free(m);
    str_release(&path);
    return rc ? cli_fail(&e) : cli_finish(0);
}
