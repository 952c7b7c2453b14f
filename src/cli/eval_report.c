/* eval_report.c - the results of `ponder eval` as a table, as the measures that goals are set for, and as CSV. */
#include "cli/eval.h"

#include <string.h>

const char *const eval_run_names[RUNS] = {"base", "adapter"};

/* Means over groups, so that a family counts the same however many questions it has. */
static double part(int a, int b)
{
    return b ? 100.0 * a / b : 0;
}

static double mean(const struct eval_questions *q, bool own, enum eval_run run, size_t budget)
{
    double sum = 0;
    int n = 0;
    for (size_t i = 0; i < q->n_groups; i++) {
        const struct eval_group *g = &q->groups[i];
        if (g->own != own || !g->asked[run][budget]) continue;
        sum += part(g->right[run][budget], g->asked[run][budget]);
        n++;
    }
    return n ? sum / n : 0;
}

static double mean_vote(const struct eval_questions *q, enum eval_run run, int votes, bool all)
{
    double sum = 0;
    int n = 0;
    for (size_t i = 0; i < q->n_groups; i++) {
        const struct eval_group *g = &q->groups[i];
        if (!g->own || !g->voted[run]) continue;
        sum += all ? part(g->vote_all[run], g->voted[run]) : part(g->vote_one[run], g->voted[run] * votes);
        n++;
    }
    return n ? sum / n : 0;
}

static bool any(const struct eval_questions *q, bool own)
{
    for (size_t i = 0; i < q->n_groups; i++)
        if (q->groups[i].own == own) return true;
    return false;
}

static void head(const struct eval_config *c, const struct eval_results *r, struct str *out)
{
    str_addf(out, "%-30s %3s", "right of a hundred, by budget", "n");
    for (int run = 0; run < RUNS; run++) {
        if (!r->ran[run]) continue;
        str_addf(out, "  |%s", run == RUN_BASE ? " alone" : " with ");
        for (size_t i = 0; i < c->budgets[run].n; i++) {
            char text[32];
            budget_format(c->budgets[run].items[i], text);
            str_addf(out, " %5s", text);
        }
        if (c->votes[run]) str_addf(out, "  1 at t  vote %d", c->votes[run]);
    }
    str_add(out, "\n");
}

static void mean_line(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, bool own, struct str *out)
{
    str_addf(out, "%-34s", own ? "mean" : "mean of the sets");
    for (int run = 0; run < RUNS; run++) {
        if (!r->ran[run]) continue;
        str_add(out, "  |      ");
        for (size_t k = 0; k < c->budgets[run].n; k++) str_addf(out, " %5.1f", mean(q, own, (enum eval_run)run, k));
        if (c->votes[run] && own) str_addf(out, " %7.1f %7.1f", mean_vote(q, (enum eval_run)run, c->votes[run], false), mean_vote(q, (enum eval_run)run, c->votes[run], true));
        if (c->votes[run] && !own) str_add(out, "               ");
    }
    str_add(out, "\n");
}

void eval_table(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out)
{
    head(c, r, out);
    for (int own = 1; own >= 0; own--) {
        for (size_t i = 0; i < q->n_groups; i++) {
            const struct eval_group *g = &q->groups[i];
            if (g->own != own) continue;
            str_addf(out, "%-30.30s %3d", g->name, g->n);
            for (int run = 0; run < RUNS; run++) {
                if (!r->ran[run]) continue;
                str_add(out, "  |      ");
                for (size_t k = 0; k < c->budgets[run].n; k++) str_addf(out, " %5.0f", part(g->right[run][k], g->asked[run][k]));
                if (c->votes[run] && own) str_addf(out, " %7.0f %7.0f", part(g->vote_one[run], g->voted[run] * c->votes[run]), part(g->vote_all[run], g->voted[run]));
                if (c->votes[run] && !own) str_add(out, "               ");
            }
            str_add(out, "\n");
        }
        if (any(q, own)) mean_line(c, q, r, own, out);
    }
}

static void run_line(struct str *out, const char *what, const struct eval_results *r, const double v[RUNS], const char *unit)
{
    str_addf(out, "%-58s", what);
    for (int run = 0; run < RUNS; run++) {
        if (r->ran[run])
            str_addf(out, " %9.2f%s", v[run], unit);
        else
            str_addf(out, " %9s%s", "-", unit[0] ? "  " : "");
    }
    str_add(out, "\n");
}

void eval_summary(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out)
{
    double v[RUNS], w[RUNS];
    str_addf(out, "%-58s %9s   %9s\n", "", "alone", "adapter");
    if (any(q, true)) {
        for (int run = 0; run < RUNS; run++) v[run] = mean(q, true, (enum eval_run)run, 0), w[run] = mean(q, true, (enum eval_run)run, c->budgets[run].n - 1);
        run_line(out, "right at the smallest budget, mean over families", r, v, " %");
        run_line(out, "right at the largest budget", r, w, " %");
        for (int run = 0; run < RUNS; run++) v[run] = w[run] - v[run];
        run_line(out, "gain of thinking, points", r, v, "  ");
    }
    if (any(q, true) && (c->votes[RUN_BASE] || c->votes[RUN_ADAPTER])) {
        for (int run = 0; run < RUNS; run++) v[run] = mean_vote(q, (enum eval_run)run, c->votes[run], true) - mean_vote(q, (enum eval_run)run, c->votes[run], false);
        run_line(out, "gain of a vote over one reply, points", r, v, "  ");
    }
    for (int run = 0; run < RUNS; run++) v[run] = part(r->one_thought[run], r->replies[run]), w[run] = part(r->by_itself[run], r->with_budget[run]);
    run_line(out, "replies with exactly one closed thought, and an answer", r, v, " %");
    run_line(out, "thoughts that end by themselves, at the largest budget", r, w, " %");
    if (any(q, false)) {
        for (int run = 0; run < RUNS; run++) v[run] = mean(q, false, (enum eval_run)run, c->budgets[run].n - 1);
        run_line(out, "right in the sets, at the largest budget", r, v, " %");
    }
    if (c->text[0]) run_line(out, "perplexity of ordinary text", r, r->perplexity, "  ");
    if (r->perplexity[RUN_BASE] > 0 && r->perplexity[RUN_ADAPTER] > 0)
        str_addf(out, "%-58s %9s   %+9.2f %%\n", "perplexity against the model alone", "", 100 * (r->perplexity[RUN_ADAPTER] / r->perplexity[RUN_BASE] - 1));
    for (int run = 0; run < RUNS; run++) v[run] = (double)r->ms[run] / 1000, w[run] = 0;
    run_line(out, "seconds", r, v, "  ");
}

void eval_csv(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out)
{
    str_add(out, "run,family,budget,votes,questions,correct\n");
    for (int run = 0; run < RUNS; run++) {
        const struct budget_list *b = &c->budgets[run];
        char text[32];
        if (!r->ran[run]) continue;
        for (size_t i = 0; i < q->n_groups; i++) {
            const struct eval_group *g = &q->groups[i];
            for (size_t k = 0; k < b->n; k++) {
                budget_format(b->items[k], text);
                str_addf(out, "%s,%s,%s,1,%d,%d\n", eval_run_names[run], g->name, text, g->asked[run][k], g->right[run][k]);
            }
            if (!c->votes[run] || !g->own) continue;
            budget_format(b->items[b->n - 1], text);
            str_addf(out, "%s,%s,%s at %.2g,1,%d,%d\n", eval_run_names[run], g->name, text, c->temp, g->voted[run] * c->votes[run], g->vote_one[run]);
            str_addf(out, "%s,%s,%s at %.2g,%d,%d,%d\n", eval_run_names[run], g->name, text, c->temp, c->votes[run], g->voted[run], g->vote_all[run]);
        }
    }
}
