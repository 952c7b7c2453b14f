/* bench.h - what bench.c measures and bench_report.c prints. */
#ifndef PONDER_BENCH_H
#define PONDER_BENCH_H

#include "model/model.h"

#define BENCH_MAX_ROWS 16

struct bench_options {
    const char *model;
    int threads, repeat, n_rows;
    enum kv_type kv;
    struct bench_row {
        int pp, tg, depth;
    } rows[BENCH_MAX_ROWS];
    bool json, profile;
};

/* Of a row. */
struct bench_result {
    double pp_tps, tg_tps;      /* best of the repeats; 0 where nothing was to be measured */
    long rss_mb;                /* peak so far */
    struct session_profile pp_profile, tg_profile;
};

struct bench {
    const struct engine *m;
    struct bench_options o;
    double load_s, first_token_s;
    struct bench_result results[BENCH_MAX_ROWS];
    struct roof roof;
};

/* bench_report.c */
void bench_print(const struct bench *b);

/* A line on stderr, rewritten as the work goes on; nothing where `on` is false. */
struct bench_bar {
    bool on;
    double done, total;         /* work, in prompt tokens */
    int64_t shown_ms;
    char what[64];
};
void bench_bar_show(struct bench_bar *b, double done);
void bench_bar_clear(struct bench_bar *b);

#endif
