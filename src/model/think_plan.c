/*
 * think_plan.c - the numbers of the thinking controller: when the close is favoured, when it is forced.
 *
 * A budget of B thought tokens is laid out backwards from its end: the wrap-up sentence (left out where B has no room for it), then the
 * soft window of 15 % of B and at most 64 tokens in front of it. So the whole thought, wrap-up included, has B tokens.
 *
 *     0 ............ soft ~~~~~~~~~~~ force =wrap-up= B
 *
 * A budget in seconds ends the same way: soft for the last 15 %, at most 1 second, and the wrap-up begun early enough, by the
 * measured time of a token, to be over in time. The moment the clock reaches its soft or forced part, what is left becomes token
 * positions and an event tells the token budget that would have had the same effect there: from then on the clock does not
 * matter, and a replay needs no clock.
 *
 * A budget lowered below what is used leaves a grace for a soft close, such that the thought is over, with the wait for a clean
 * place, wrap-up and closing tag, within LOWERED_TOKENS (a few more where the family's sentence alone has nearly as many).
 * Lowering it again does not begin them anew.
 *
 * Two more ends may come sooner: what the context has left beside the answer's reserve, and the loop guard's.
 */
#include "model/think_internal.h"

#include <math.h>

#define SOFT_SHARE       0.15
#define SOFT_TOKENS      64
#define SOFT_MS          1000.0
#define LOWERED_TOKENS   32
#define GRACE_MIN        2
#define LOOP_GRACE       24
#define WRAP_ROOM        1   /* thought tokens before a wrap-up at the least; with more, a clocked budget would replay differently */
#define WRAP_SHARE       0.7 /* of a budget in seconds, for the wrap-up on a slow machine */
#define UNKNOWN_TOKEN_MS 50.0
#define MORE_TOKENS      64
#define MORE_SECONDS     5.0
#define TOKENS_MAX       1000000

/* ---- budgets ------------------------------------------------------------------------------------------------- */

static int window(int total)
{
    int w = (int)ceil(SOFT_SHARE * total);
    return w < SOFT_TOKENS ? w : SOFT_TOKENS;
}

static int whole_tokens(double amount)
{
    return amount > 0 ? (int)(amount < TOKENS_MAX ? amount : TOKENS_MAX) : 0;
}

static double token_ms(const struct think *t)
{
    if (t->token_ms <= 0) return UNKNOWN_TOKEN_MS;
    return t->token_ms > 0.05 ? t->token_ms : 0.05;
}

/* Running time of thought so far. */
static double spent_ms(const struct think *t)
{
    return (double)(t->earlier_ms + (thought_is_open(t) ? t->now_ms - t->open_ms : 0));
}

/* Tokens from a lowered budget to the forced close. */
static int grace(const struct think *t)
{
    int n = LOWERED_TOKENS - WAIT_MAX - t->wrap_len - t->close_len;
    return n > GRACE_MIN ? n : GRACE_MIN;
}

bool plan_wrap_fits(const struct think *t)
{
    return t->budget.kind != BUDGET_TOKENS || whole_tokens(t->budget.amount) >= t->wrap_len + WRAP_ROOM;
}

void plan_budget(struct think *t, enum plan_why why)
{
    int used = t->thought_tokens, total = 0;
    t->plan_soft = t->plan_force = LIMIT_NONE;
    t->plan_clock = t->plan_fresh = false;
    if (t->budget.kind == BUDGET_UNLIMITED) return;
    if (t->budget.kind == BUDGET_SECONDS && t->budget.amount > 0) {
        t->plan_clock = true;
        t->plan_fresh = why == PLAN_CHANGED;
        return;
    }
    if (t->budget.kind == BUDGET_TOKENS) total = whole_tokens(t->budget.amount);
    int force = total - (plan_wrap_fits(t) ? t->wrap_len : 0), soft = force - window(total);
    if (why == PLAN_CHANGED && force < used) {
        force = t->grace_end > used && t->grace_end < used + grace(t) ? t->grace_end : used + grace(t);
        t->grace_end = force;
        soft = used;
    } else {
        t->grace_end = 0;
        if (force < used) force = total > used ? total : used;
    }
    t->plan_soft = soft > used ? soft : used;
    t->plan_force = force;
}

/* When the clock has come to the soft or the forced part, turns what is left into token positions. */
static void clock_to_tokens(struct think *t)
{
    double total = t->budget.amount * 1000, spent = spent_ms(t), each = token_ms(t);
    double wrap = (t->wrap_len + t->close_len) * each;
    double force_at = total - (wrap < WRAP_SHARE * total ? wrap : WRAP_SHARE * total);
    double soft_at = total - (SOFT_SHARE * total < SOFT_MS ? SOFT_SHARE * total : SOFT_MS);
    bool lowered = t->plan_fresh && spent >= total;
    t->plan_fresh = false;
    if (spent < soft_at && spent < force_at) return;
    int used = t->thought_tokens, most = window(used);
    double n = lowered ? SOFT_MS / each : spent < force_at ? (force_at - spent) / each : 0;
    if (lowered && most > grace(t)) most = grace(t);
    int left = t->block_tokens && n > 0 ? (n < most ? (int)n : most) : 0;
    t->plan_clock = false;
    t->plan_soft = used;
    t->plan_force = used + left;
    int wrap_then = t->plan_force >= WRAP_ROOM ? t->wrap_len : 0;
    think_tell_budget(t, (struct budget){BUDGET_TOKENS, t->plan_force + wrap_then}, "program");
}

void plan_clock_tick(struct think *t, int64_t running_ms)
{
    if (running_ms > t->now_ms) t->now_ms = running_ms;
    if (t->position == t->last_position + 1) {
        double took = (double)(t->now_ms - t->last_ms);
        t->token_ms = t->token_ms > 0 ? t->token_ms + (took - t->token_ms) / 8 : took;
    }
    if (t->position != t->last_position || !t->position) t->last_ms = t->now_ms;
    t->last_position = t->position;
}

struct limits plan_limits(const struct think *t)
{
    struct limits l = {t->plan_soft, t->plan_force, THOUGHT_BUDGET_SOFT, THOUGHT_BUDGET_HARD};
    int64_t room = (int64_t)t->context_left - (int64_t)t->position - t->answer_reserve - t->wrap_len - t->close_len;
    int64_t end = t->thought_tokens + room;
    if (end < l.force) {
        l.force = end > 0 ? (int)end : 0;
        l.soft = l.force - window(l.force);
    }
    if (t->loop_force < l.force) l = (struct limits){t->loop_soft, t->loop_force, THOUGHT_LOOP, THOUGHT_LOOP};
    return l;
}

void plan_step(struct think *t)
{
    if (t->plan_clock) clock_to_tokens(t);
    struct limits l = plan_limits(t);
    if (t->thought_tokens >= l.force)
        think_begin_close(t, l.ending_force);
    else
        t->state = t->thought_tokens >= l.soft ? THINK_SOFT : THINK_COUNTING;
}

double plan_worth(const struct think *t, struct budget b)
{
    switch (b.kind) {
    case BUDGET_TOKENS: return b.amount;
    case BUDGET_SECONDS: return b.amount * 1000 / token_ms(t);
    case BUDGET_UNLIMITED: return INFINITY;
    case BUDGET_OFF: break;
    }
    return 0;
}

int plan_left(const struct think *t)
{
    double left = INFINITY;
    if (t->budget.kind == BUDGET_SECONDS)
        left = (t->budget.amount * 1000 - spent_ms(t)) / token_ms(t);
    else if (t->budget.kind != BUDGET_UNLIMITED)
        left = plan_worth(t, t->budget) - t->thought_tokens;
    return left <= 0 ? 0 : left < TOKENS_MAX ? (int)left : LIMIT_NONE;
}

struct budget plan_more(const struct think *t)
{
    struct budget b = t->budget;
    if (b.kind == BUDGET_UNLIMITED) return b;
    if (b.kind == BUDGET_SECONDS) {
        double spent = spent_ms(t) / 1000, step = b.amount / 4 > MORE_SECONDS ? b.amount / 4 : MORE_SECONDS;
        b.amount = ceil(((b.amount > spent ? b.amount : spent) + step) * 1000) / 1000;
        if (b.amount > 86400) b.amount = 86400;
        return b;
    }
    int now = b.kind == BUDGET_TOKENS ? whole_tokens(b.amount) : 0, step = now / 4 > MORE_TOKENS ? now / 4 : MORE_TOKENS;
    now = (now > t->thought_tokens ? now : t->thought_tokens) + step;
    return (struct budget){BUDGET_TOKENS, now < TOKENS_MAX ? now : TOKENS_MAX};
}

/* ---- the soft close ------------------------------------------------------------------------------------------ */

/* What a closing tag's logit becomes at progress p (0 to 1) of the soft window. Where a sentence or a line ends it passes the
 * best token before half of the window is over; elsewhere it stays below to the end, so that a reply which takes the best token
 * never breaks off inside a sentence. */
static float favoured(float was, float top, float p, bool boundary)
{
    float least = top - (boundary ? 10 : 20), target = top + (boundary ? 2 : -3);
    float x = boundary ? p / 0.6f : p;
    if (x > 1) x = 1;
    if (!(was > least)) was = least;
    return was + x * x * (3 - 2 * x) * (target - was);
}

void plan_ramp(struct think *t, float *logits)
{
    if (t->ramped_at == t->position + 1) return; /* asked again at this position */
    t->ramped_at = t->position + 1;
    t->ramped = false;
    if (t->held.len) return;
    struct limits l = plan_limits(t);
    float top = -INFINITY;
    for (int i = 0; i < t->n_vocab; i++) top = logits[i] > top ? logits[i] : top;
    if (!isfinite(top)) return;
    float p = (float)(t->thought_tokens - l.soft + 1) / (float)(l.force - l.soft + 1);
    bool boundary = text_at_boundary(t), by_id = false;
    for (size_t i = 0; i <= t->n_tags; i++) {
        int32_t id = -1;
        if (i < t->n_tags && t->tags[i].kind == TAG_CLOSE) id = t->tags[i].id;
        if (i == t->n_tags && !by_id && t->close_tag.n) id = t->close_tag.ids[0];
        if (id < 0) continue;
        by_id = true;
        float to = favoured(logits[id], top, p, boundary);
        if (to <= logits[id]) continue;
        if (!(logits[id] >= top)) t->ramped = true;
        logits[id] = to;
    }
}

/* ---- the loop guard ------------------------------------------------------------------------------------------ */

/* A thought goes round in circles when its last LOOP_GRAM tokens stood, without overlap, LOOP_TIMES times in the window before:
 * a sentence said five times over, or 60 tokens of a short period. Answers hold tables and code, and are asked for more; nothing closes them. */
#define LOOP_GRAM         12
#define LOOP_TIMES        4
#define LOOP_TIMES_ANSWER 12

void plan_loop_reset(struct think *t)
{
    t->n_recent = 0;
    t->loop_quiet = 0;
    t->loop_force = LIMIT_NONE;
}

bool plan_loop_feed(struct think *t, int32_t id)
{
    t->recent[t->n_recent++ % LOOP_WINDOW] = id;
    if (t->loop_quiet) {
        t->loop_quiet--;
        return false;
    }
    size_t n = t->n_recent, have = n < LOOP_WINDOW ? n : LOOP_WINDOW;
    int times = 0, most = thought_is_open(t) ? LOOP_TIMES : LOOP_TIMES_ANSWER;
    for (size_t back = LOOP_GRAM; back + LOOP_GRAM <= have;) {
        size_t k = 0;
        while (k < LOOP_GRAM && t->recent[(n - 1 - k) % LOOP_WINDOW] == t->recent[(n - 1 - back - k) % LOOP_WINDOW]) k++;
        if (k == LOOP_GRAM && ++times >= most) break;
        back += k == LOOP_GRAM ? LOOP_GRAM : 1;
    }
    if (times < most) return false;
    t->loop_quiet = LOOP_WINDOW;
    if (thought_is_open(t) && t->loop_guard && t->loop_force == LIMIT_NONE) {
        t->loop_soft = t->thought_tokens;
        t->loop_force = t->thought_tokens + LOOP_GRACE;
    }
    return true;
}
