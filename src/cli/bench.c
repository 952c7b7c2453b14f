/*
 * bench.c - `bench`: prefill and decode speed, load time and memory of a model.
 *
 * It runs what a chat runs: the same kernels, cache and precision. Prefill is one call with logits for the last token; decode is
 * one given id a step. Ids are a fixed sequence without meaning, so nothing can be guessed ahead or reused.
 */
#include "cli/cli.h"
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct options {
    const char *model;
    int threads, pp, tg, depth, repeat;
    bool json;
};

struct result {
    double pp_tps, tg_tps, load_s, first_token_s;
    long rss_mb;
};

static bool take_int(const char *text, int min, int *out)
{
    char *end;
    errno = 0;
    long v = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || errno || v < min || v > 1 << 24) return false;
    *out = (int)v;
    return true;
}

/* Returns -1 when all is well, an exit code otherwise. */
static int parse_flags(int argc, char **argv, struct options *o)
{
    const struct {
        const char *flag, *other;
        int min;
        int *value;
    } numbers[] = {
        {"--threads", "-t", 0, &o->threads},
        {"--pp", "--pp", 0, &o->pp},
        {"--tg", "--tg", 0, &o->tg},
        {"--depth", "--depth", 0, &o->depth},
        {"--repeat", "--repeat", 1, &o->repeat},
    };

    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool known = false;
        if (!strcmp(flag, "--help") || !strcmp(flag, "-h")) return cli_command_help("bench");
        if (!strcmp(flag, "--json")) {
            o->json = true;
            continue;
        }
        i++;
        if (!strcmp(flag, "-m") || !strcmp(flag, "--model")) {
            if (!value) return cli_usage("bench", "%s needs a model", flag);
            o->model = value;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            if (strcmp(flag, numbers[k].flag) && strcmp(flag, numbers[k].other)) continue;
            known = true;
            if (!take_int(value, numbers[k].min, numbers[k].value))
                return cli_usage("bench", "%s needs a number from %d up", flag, numbers[k].min);
        }
        if (!known) return cli_usage("bench", "unknown argument \"%s\"", flag);
    }
    if (!o->model) return cli_usage("bench", "-m MODEL is missing");
    return -1;
}

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

static int run_round(struct session *s, const struct options *o, int n_vocab, int round, struct tokens *t, struct result *r, struct err *e)
{
    int64_t since;
    double tps;
    int rc;

    if (o->pp) {
        session_truncate(s, 0);
        fill_ids(t, (size_t)o->pp, n_vocab, round + 1);
        since = clock_mono_us();
        if ((rc = session_sync(s, t->ids, (size_t)o->pp, NULL, NULL, NULL, e))) return rc;
        tps = per_second(o->pp, since);
        if (tps > r->pp_tps) r->pp_tps = tps;
    }
    if (!o->tg) return 0;
    session_truncate(s, 0);
    if (o->depth) {
        fill_ids(t, (size_t)o->depth, n_vocab, 1);
        if ((rc = session_sync(s, t->ids, (size_t)o->depth, NULL, NULL, NULL, e))) return rc;
    }
    fill_ids(t, (size_t)o->tg, n_vocab, 5 + round);
    since = clock_mono_us();
    for (int i = 0; i < o->tg; i++)
        if ((rc = session_decode(s, t->ids + i, 1, e))) return rc;
    tps = per_second(o->tg, since);
    if (tps > r->tg_tps) r->tg_tps = tps;
    return 0;
}

static int longest(const struct options *o)
{
    int n = o->depth + o->tg;
    return n > o->pp ? n : o->pp;
}

static int run(const struct engine *m, const struct options *o, struct result *r, struct err *e)
{
    int n = longest(o), n_vocab = tokenizer_size(engine_tokenizer(m)), ctx_train = engine_info(m)->ctx_train, rc;
    int n_ctx = n + 64 < ctx_train || n > ctx_train ? n + 64 : ctx_train;
    struct session *s = NULL;
    struct tokens t = {0};
    struct rusage usage;

    if (n_vocab <= 1000) return err_set(e, ERR_UNSUPPORTED, "%s: a vocabulary of %d tokens is too small", engine_info(m)->path, n_vocab);
    for (int i = 0; i <= n; i++)
        if (tokens_push(&t, 0)) {
            tokens_release(&t);
            return err_set(e, ERR_NOMEM, "out of memory");
        }
    rc = session_new(&s, m, n_ctx, o->threads, e);
    r->load_s = process_age();
    if (!rc) {
        int64_t since = clock_mono_us();
        fill_ids(&t, 1, n_vocab, 1);
        rc = session_decode(s, t.ids, 1, e);
        r->first_token_s = (double)(clock_mono_us() - since) * 1e-6;
    }
    for (int i = 0; i < o->repeat && !rc; i++) rc = run_round(s, o, n_vocab, i, &t, r, e);
    getrusage(RUSAGE_SELF, &usage);
    r->rss_mb = usage.ru_maxrss / 1024;
    tokens_release(&t);
    session_free(s);
    return rc;
}

static void print(const struct engine *m, const struct options *o, const struct result *r)
{
    const struct model_info *info = engine_info(m);

    if (o->json) {
        printf("{\"pp_tps\": %.2f, \"tg_tps\": %.2f, \"load_s\": %.3f, \"first_token_s\": %.3f, \"rss_mb\": %ld}\n", r->pp_tps, r->tg_tps,
               r->load_s, r->first_token_s, r->rss_mb);
        return;
    }
    printf("%s %s, %.0f M parameters, %d thread%s, %s kernels\n", info->name, info->quant, (double)info->n_params * 1e-6, o->threads,
           o->threads == 1 ? "" : "s", engine_kernels());
    if (o->pp) printf("  prefill      %8.1f tok/s   %d tokens\n", r->pp_tps, o->pp);
    if (o->tg) printf("  decode       %8.1f tok/s   %d tokens at depth %d\n", r->tg_tps, o->tg, o->depth);
    printf("  load         %8.3f s       from process start\n", r->load_s);
    printf("  first token  %8.3f s\n", r->first_token_s);
    printf("  memory       %8ld MB      peak, the mapped file included\n", r->rss_mb);
}

int cmd_bench(int argc, char **argv)
{
    struct options o = {.pp = 512, .tg = 128, .repeat = 3};
    struct result r = {0};
    struct engine *m = NULL;
    struct str path = STR_EMPTY;
    struct err e = {0};

    int rc = parse_flags(argc, argv, &o);
    if (rc >= 0) return rc;
    if (!o.threads) o.threads = engine_default_threads();
    rc = model_path_of(&path, o.model, &e);
    if (!rc) rc = engine_open(&m, str_cstr(&path), &e);
    if (!rc) rc = run(m, &o, &r, &e);
    if (!rc) print(m, &o, &r);
    engine_free(m);
    str_release(&path);
    return rc ? cli_fail(&e) : cli_finish(0);
}
