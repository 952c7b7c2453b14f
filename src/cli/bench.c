/*
 * bench.c - `bench`: prefill and decode speed, load time and memory of a model, beside what the machine allows.
 *
 * It runs what a chat runs: the same kernels, cache and precision. Prefill is one call with logits for the last token; decode is
 * one given id a step. Ids are a fixed sequence without meaning, so nothing can be guessed ahead or reused.
 */
#include "cli/bench.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What a generated token takes of a bar's length, in prompt tokens. */
#define TOKEN_WORK 8

/* ---- arguments ------------------------------------------------------------------------------------------------------ */

struct numbers {
    int n, values[BENCH_MAX_ROWS];
};

/* "512" or "0,4096"; a single number where `most` is 1. */
static bool take_numbers(const char *text, int min, int most, struct numbers *out)
{
    out->n = 0;
    while (text && out->n < most) {
        char *end;
        errno = 0;
        long v = strtol(text, &end, 10);
        if (end == text || errno || v < min || v > 1 << 24) return false;
        out->values[out->n++] = (int)v;
        if (!*end) return true;
        if (*end != ',') return false;
        text = end + 1;
    }
    return false;
}

/* Row i of the lists side by side: where one is shorter its last value goes on. */
static int value_at(const struct numbers *n, int i)
{
    return n->values[i < n->n ? i : n->n - 1];
}

/* Returns -1 when all is well, an exit code otherwise. */
static int parse_flags(int argc, char **argv, struct bench_options *o)
{
    struct numbers threads = {1, {0}}, repeat = {1, {3}}, pp = {1, {512}}, tg = {1, {128}}, depth = {1, {0}};
    const struct {
        const char *flag, *other;
        int min, most;
        struct numbers *out;
    } numbers[] = {
        {"--threads", "-t", 0, 1, &threads},
        {"--repeat", "--repeat", 1, 1, &repeat},
        {"--pp", "--pp", 0, BENCH_MAX_ROWS, &pp},
        {"--tg", "--tg", 0, BENCH_MAX_ROWS, &tg},
        {"--depth", "--depth", 0, BENCH_MAX_ROWS, &depth},
    };

    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool known = false;
        if (!strcmp(flag, "--help") || !strcmp(flag, "-h")) return cli_command_help("bench");
        if (!strcmp(flag, "--json") || !strcmp(flag, "--profile")) {
            *(flag[2] == 'j' ? &o->json : &o->profile) = true;
            continue;
        }
        i++;
        if (!strcmp(flag, "-m") || !strcmp(flag, "--model")) {
            if (!value) return cli_usage("bench", "%s needs a model", flag);
            o->model = value;
            continue;
        }
        if (!strcmp(flag, "--kv")) {
            if (!value || !kv_type_by_name(value, &o->kv)) return cli_usage("bench", "--kv is f16 or q8_0");
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            if (strcmp(flag, numbers[k].flag) && strcmp(flag, numbers[k].other)) continue;
            known = true;
            if (take_numbers(value, numbers[k].min, numbers[k].most, numbers[k].out)) continue;
            if (numbers[k].most == 1) return cli_usage("bench", "%s needs a number from %d up", flag, numbers[k].min);
            return cli_usage("bench", "%s needs a number from %d up, or up to %d of them with commas between", flag, numbers[k].min,
                             BENCH_MAX_ROWS);
        }
        if (!known) return cli_usage("bench", "unknown argument \"%s\"", flag);
    }
    if (!o->model) return cli_usage("bench", "-m MODEL is missing");
    o->threads = threads.values[0];
    o->repeat = repeat.values[0];
    for (const struct numbers *lists[] = {&pp, &tg, &depth}, **l = lists; l < lists + ARRAY_LEN(lists); l++)
        if ((*l)->n > o->n_rows) o->n_rows = (*l)->n;
    for (int i = 0; i < o->n_rows; i++) o->rows[i] = (struct bench_row){value_at(&pp, i), value_at(&tg, i), value_at(&depth, i)};
    return -1;
}

/* ---- running -------------------------------------------------------------------------------------------------------- */

/* Seconds since the kernel started this process. 0 where it does not tell. */
static double process_age(void)
{
    struct timespec now;
    char line[1024];
    unsigned long long ticks = 0;
    FILE *f = fopen("/proc/self/stat", "re");

    if (!f) return 0;
    size_t n = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[n] = '\0';
    /* the second field is a name that may hold anything; the start time is the 20th field behind its closing bracket */
    char *at = strrchr(line, ')');
    for (int i = 0; at && i < 20; i++) at = strchr(at + 1, ' ');
    if (!at || sscanf(at, "%llu", &ticks) != 1) return 0;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void fill_ids(struct tokens *t, size_t n, int n_vocab, int64_t seed)
{
    for (size_t i = 0; i < n; i++) t->ids[i] = (int32_t)(((int64_t)i * 7919 + seed) % (n_vocab - 1000) + 100);
}

static double per_second(int n, int64_t since_us)
{
    int64_t us = clock_mono_us() - since_us;
    return n / ((double)(us ? us : 1) * 1e-6);
}

static void take_best(double *best, double tps)
{
    if (tps > *best) *best = tps;
}

struct run {
    struct session *s;
    struct tokens t;        /* room for the longest row */
    int n_vocab;
    struct bench_bar bar;
};

static bool prompt_step(void *arg, size_t done, size_t total)
{
    struct run *r = arg;

    (void)total;
    bench_bar_show(&r->bar, (double)done);
    return true;
}

/* Evaluates n ids as a prompt on an empty timeline. */
static int run_prompt(struct run *r, int n, int64_t seed, double *tps, struct err *e)
{
    session_truncate(r->s, 0);
    fill_ids(&r->t, (size_t)n, r->n_vocab, seed);
    int64_t since = clock_mono_us();
    int rc = session_sync(r->s, r->t.ids, (size_t)n, r->bar.on ? prompt_step : NULL, r, NULL, e);
    if (!rc && tps) take_best(tps, per_second(n, since));
    r->bar.done += n;
    return rc;
}

static int run_decode(struct run *r, const struct bench_row *row, int64_t seed, double *tps, struct session_profile *profile, struct err *e)
{
    int rc = 0;

    session_truncate(r->s, 0);
    if (row->depth && (rc = run_prompt(r, row->depth, 1, NULL, e))) return rc;
    fill_ids(&r->t, (size_t)row->tg, r->n_vocab, seed);
    session_set_profile(r->s, profile);
    int64_t since = clock_mono_us();
    for (int i = 0; i < row->tg && !rc; i++) {
        rc = session_decode(r->s, r->t.ids + i, 1, e);
        bench_bar_show(&r->bar, i * TOKEN_WORK);
    }
    if (!rc && tps) take_best(tps, per_second(row->tg, since));
    session_set_profile(r->s, NULL);
    r->bar.done += row->tg * TOKEN_WORK;
    return rc;
}

static int run_round(struct run *r, const struct bench_row *row, int round, int of, struct bench_result *out, struct err *e)
{
    int rc = 0;

    snprintf(r->bar.what, sizeof r->bar.what, "prefill %d, %d of %d", row->pp, round + 1, of);
    if (row->pp) rc = run_prompt(r, row->pp, round + 1, &out->pp_tps, e);
    snprintf(r->bar.what, sizeof r->bar.what, "decode %d at %d, %d of %d", row->tg, row->depth, round + 1, of);
    if (row->tg && !rc) rc = run_decode(r, row, 5 + round, &out->tg_tps, NULL, e);
    return rc;
}

/* A round of its own, so that the clock is not read in those that count. */
static int run_profile(struct run *r, const struct bench_row *row, struct bench_result *out, struct err *e)
{
    int rc = 0;

    snprintf(r->bar.what, sizeof r->bar.what, "where the time goes");
    session_set_profile(r->s, &out->pp_profile);
    if (row->pp) rc = run_prompt(r, row->pp, 1, NULL, e);
    session_set_profile(r->s, NULL);
    if (row->tg && !rc) rc = run_decode(r, row, 5, NULL, &out->tg_profile, e);
    return rc;
}

static int run_rows(struct run *r, struct bench *b, struct err *e)
{
    struct rusage usage;
    int rc = 0;

    for (int i = 0; i < b->o.n_rows && !rc; i++) {
        const struct bench_row *row = &b->o.rows[i];
        for (int k = 0; k < b->o.repeat && !rc; k++) rc = run_round(r, row, k, b->o.repeat, &b->results[i], e);
        getrusage(RUSAGE_SELF, &usage);
        b->results[i].rss_mb = usage.ru_maxrss / 1024;
        if (b->o.profile && !rc) rc = run_profile(r, row, &b->results[i], e);
    }
    return rc;
}

/* Tokens of the longest row; the work of all rows for the bar. */
static int longest(const struct bench_options *o, double *work)
{
    int most = 1, rounds = o->repeat + o->profile;

    *work = 0;
    for (int i = 0; i < o->n_rows; i++) {
        const struct bench_row *row = &o->rows[i];
        int n = row->depth + row->tg > row->pp ? row->depth + row->tg : row->pp;
        if (n > most) most = n;
        *work += (double)rounds * (row->pp + (row->tg ? row->depth : 0) + (double)row->tg * TOKEN_WORK);
    }
    return most;
}

static int run(struct bench *b, struct err *e)
{
    const struct model_info *info = engine_info(b->m);
    struct run r = {.n_vocab = tokenizer_size(engine_tokenizer(b->m)), .bar.on = isatty(STDERR_FILENO)};
    int n = longest(&b->o, &r.bar.total), rc = 0;
    int n_ctx = n + 64 < info->ctx_train || n > info->ctx_train ? n + 64 : info->ctx_train;

    if (r.n_vocab <= 1000) return err_set(e, ERR_UNSUPPORTED, "%s: a vocabulary of %d tokens is too small", info->path, r.n_vocab);
    for (int i = 0; i < n && !rc; i++)
        if (tokens_push(&r.t, 0)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = session_new(&r.s, b->m, n_ctx, b->o.threads, b->o.kv, e);
    b->load_s = process_age();
    if (!rc) {
        int64_t since = clock_mono_us();
        fill_ids(&r.t, 1, r.n_vocab, 1);
        rc = session_decode(r.s, r.t.ids, 1, e);
        b->first_token_s = (double)(clock_mono_us() - since) * 1e-6;
    }
    if (!rc) rc = run_rows(&r, b, e);
    snprintf(r.bar.what, sizeof r.bar.what, "what the machine allows");
    bench_bar_show(&r.bar, 0);
    if (!rc) rc = session_measure_roof(r.s, &b->roof, e);
    bench_bar_clear(&r.bar);
    tokens_release(&r.t);
    session_free(r.s);
    return rc;
}

int cmd_bench(int argc, char **argv)
{
    static struct bench b;
    struct engine *m = NULL;
    struct str path = STR_EMPTY;
    struct err e = {0};

    int rc = parse_flags(argc, argv, &b.o);
    if (rc >= 0) return rc;
    if (!b.o.threads) b.o.threads = engine_default_threads();
    rc = model_path_of(&path, b.o.model, &e);
    if (!rc) rc = engine_open(&m, str_cstr(&path), &e);
    b.m = m;
    if (!rc) rc = run(&b, &e);
    if (!rc) bench_print(&b);
    engine_free(m);
    str_release(&path);
    return rc ? cli_fail(&e) : cli_finish(0);
}
