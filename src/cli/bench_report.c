/*
 * bench_report.c - what bench found: a bar while it works, JSON for programs, tables for people.
 *
 * The roof of decode is memory: no token comes faster than its bytes can be read. The roof of prefill is arithmetic: a prompt's tokens
 * share what is read.
 */
#include "cli/bench.h"

#include <string.h>

#define BAR_COLUMNS  30
#define BAR_EVERY_MS 100

void bench_bar_show(struct bench_bar *b, double done)
{
    static const char full[] = "##############################";

    if (!b->on || clock_mono_ms() - b->shown_ms < BAR_EVERY_MS) return;
    b->shown_ms = clock_mono_ms();
    double part = b->total > 0 ? (b->done + done) / b->total : 1;
    if (part > 1) part = 1;
    fprintf(stderr, "\r%-32s [%-*.*s] %3d %%", b->what, BAR_COLUMNS, (int)(part * BAR_COLUMNS), full, (int)(part * 100));
    fflush(stderr);
}

void bench_bar_clear(struct bench_bar *b)
{
    if (b->on && b->shown_ms) fputs("\r\033[K", stderr);
}

/* ---- against the roof ----------------------------------------------------------------------------------------------- */

/* A row's work and how far it is from the roof; zeros where there is nothing to say. */
struct standing {
    double token_mb, decode_gbps, roof_tps, decode_pct;
    double prefill_gops, prefill_pct;
    struct token_cost decode, prefill;  /* of a token in the middle of the run */
};

static double sum_of(const double *v)
{
    double sum = 0;
    for (int i = 0; i < STAGE_COUNT; i++) sum += v[i];
    return sum;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void stand(const struct bench *b, int i, struct standing *s)
{
    const struct bench_row *row = &b->o.rows[i];
    const struct bench_result *r = &b->results[i];

    memset(s, 0, sizeof *s);
    engine_token_cost(b->m, row->depth + (row->tg + 1) / 2.0, &s->decode);
    engine_token_cost(b->m, (row->pp + 1) / 2.0, &s->prefill);
    double bytes = sum_of(s->decode.bytes);
    if (row->tg) {
        s->token_mb = bytes * 1e-6;
        s->decode_gbps = bytes * r->tg_tps * 1e-9;
        s->roof_tps = b->roof.read_gbps * 1e9 / bytes;
        s->decode_pct = percent(s->decode_gbps, b->roof.read_gbps);
    }
    if (row->pp) {
        s->prefill_gops = sum_of(s->prefill.ops) * r->pp_tps * 1e-9;
        s->prefill_pct = percent(s->prefill_gops, b->roof.multiply_gops);
    }
}

/* ---- for programs --------------------------------------------------------------------------------------------------- */

static void json_profile(const char *name, const struct session_profile *p, int tokens)
{
    printf("\"%s\": {", name);
    for (int i = 0; i < STAGE_COUNT; i++)
        printf("%s\"%s\": {\"ms\": %.5f, \"waiting_ms\": %.5f}", i ? ", " : "", session_stage_name((enum session_stage)i),
               tokens ? (double)p->us[i] * 1e-3 / tokens : 0, tokens ? (double)p->waiting_us[i] * 1e-3 / tokens : 0);
    printf("}");
}

/* The first five keys, in this form, are what other programs read. */
static void print_json(const struct bench *b, int i)
{
    const struct bench_row *row = &b->o.rows[i];
    const struct bench_result *r = &b->results[i];
    struct standing s;

    stand(b, i, &s);
    printf("{\"pp_tps\": %.2f, \"tg_tps\": %.2f, \"load_s\": %.3f, \"first_token_s\": %.3f, \"rss_mb\": %ld", r->pp_tps, r->tg_tps,
           b->load_s, b->first_token_s, r->rss_mb);
    printf(", \"pp\": %d, \"tg\": %d, \"depth\": %d, \"threads\": %d, \"kernels\": \"%s\"", row->pp, row->tg, row->depth, b->o.threads,
           engine_kernels());
    printf(", \"read_gbps\": %.2f, \"token_mb\": %.2f, \"roof_tps\": %.2f, \"roof_pct\": %.1f", b->roof.read_gbps, s.token_mb, s.roof_tps,
           s.decode_pct);
    printf(", \"peak_gops\": %.1f, \"pp_gops\": %.1f, \"peak_pct\": %.1f", b->roof.multiply_gops, s.prefill_gops, s.prefill_pct);
    if (b->o.profile) {
        printf(", \"profile\": {");
        json_profile("prefill", &r->pp_profile, row->pp);
        printf(", ");
        json_profile("decode", &r->tg_profile, row->tg);
        printf("}");
    }
    printf("}\n");
}

/* ---- for people ------------------------------------------------------------------------------------------------------ */

static const char *const stage_titles[STAGE_COUNT] = {
    [STAGE_QKV] = "Q, K, V",         [STAGE_ATTENTION] = "attention", [STAGE_OUT] = "attention's output",
    [STAGE_GATE_UP] = "gate and up", [STAGE_DOWN] = "down",           [STAGE_VOCABULARY] = "vocabulary",
    [STAGE_BETWEEN] = "between",
};

/* work: bytes or operations of a token by stage; roof: of all of them, 1e9 a second. Times are those of n tokens. */
static void print_profile(const struct session_profile *p, int tokens, int n, const double *work, const char *unit, double roof)
{
    double all = 0, waiting = 0;

    for (int i = 0; i < STAGE_COUNT; i++) {
        all += (double)p->us[i];
        waiting += (double)p->waiting_us[i];
    }
    printf("                           ms   share  waiting      %s  of the roof\n", unit);
    for (int i = 0; i < STAGE_COUNT; i++) {
        double us = (double)p->us[i], rate = us > 0 ? work[i] * tokens / us * 1e-3 : 0;
        printf("    %-18s %8.3f  %4.0f %%  %4.0f %%", stage_titles[i], us * 1e-3 / tokens * n, percent(us, all),
               percent((double)p->waiting_us[i], all));
        if (work[i] > 0 && i != STAGE_BETWEEN) printf("  %9.1f", rate);
        if (work[i] > 0 && i != STAGE_BETWEEN && roof > 0) printf("       %4.0f %%", percent(rate, roof));
        printf("\n");
    }
    printf("    %-18s %8.3f          %4.0f %%\n", "together", all * 1e-3 / tokens * n, percent(waiting, all));
}

static void print_row(const struct bench *b, int i, const struct standing *s)
{
    const struct bench_row *row = &b->o.rows[i];
    const struct bench_result *r = &b->results[i];
    char what[48];

    if (row->pp) {
        snprintf(what, sizeof what, "prefill %d", row->pp);
        printf("  %-20s %9.1f tok/s %9.1f GOP/s", what, r->pp_tps, s->prefill_gops);
        if (b->roof.multiply_gops > 0) printf("  %4.0f %% of the roof", s->prefill_pct);
        printf("\n");
    }
    if (row->tg) {
        snprintf(what, sizeof what, row->depth ? "decode %d at %d" : "decode %d", row->tg, row->depth);
        printf("  %-20s %9.1f tok/s %9.1f GB/s   %4.0f %% of the roof: %.1f MB a token, %.1f tok/s\n", what, r->tg_tps, s->decode_gbps,
               s->decode_pct, s->token_mb, s->roof_tps);
    }
}

static void print_profiles(const struct bench *b, int i, const struct standing *s)
{
    const struct bench_row *row = &b->o.rows[i];

    if (row->pp) {
        printf("\n  prefill: a prompt of %d tokens\n", row->pp);
        print_profile(&b->results[i].pp_profile, row->pp, row->pp, s->prefill.ops, "GOP/s", b->roof.multiply_gops);
    }
    if (row->tg) {
        printf("\n  decode: a token at depth %d\n", row->depth);
        print_profile(&b->results[i].tg_profile, row->tg, 1, s->decode.bytes, " GB/s", b->roof.read_gbps);
    }
}

static void print_tables(const struct bench *b)
{
    const struct model_info *info = engine_info(b->m);
    struct standing s[BENCH_MAX_ROWS];
    const int last = b->o.n_rows - 1;

    printf("%s %s, %.0f M parameters, %d thread%s, %s kernels\n", info->name, info->quant, (double)info->n_params * 1e-6, b->o.threads,
           b->o.threads == 1 ? "" : "s", engine_kernels());
    for (int i = 0; i <= last; i++) {
        stand(b, i, &s[i]);
        print_row(b, i, &s[i]);
    }
    printf("  load                 %9.3f s       from process start\n", b->load_s);
    printf("  first token          %9.3f s\n", b->first_token_s);
    printf("  memory               %9ld MB      peak, the mapped file included\n", b->results[last].rss_mb);
    printf("  roof, memory         %9.1f GB/s    %zu MB read in a row\n", b->roof.read_gbps, b->roof.read_bytes >> 20);
    if (b->roof.multiply_gops > 0) printf("  roof, arithmetic     %9.1f GOP/s   %s\n", b->roof.multiply_gops, b->roof.instructions);
    for (int i = 0; i <= last && b->o.profile; i++) print_profiles(b, i, &s[i]);
}

void bench_print(const struct bench *b)
{
    if (!b->o.json) {
        print_tables(b);
        return;
    }
    for (int i = 0; i < b->o.n_rows; i++) print_json(b, i);
}
