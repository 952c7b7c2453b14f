/* write.c - how an item's texts are put down, and the chance behind them. */
#include "tasks/internal.h"

#include <string.h>

uint64_t task_random_next(struct task_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t task_random_below(struct task_random *r, uint32_t n)
{
    uint64_t x = task_random_next(r), high = x >> 32, low = x & 0xffffffffU;
    return (uint32_t)((high * n + (low * n >> 32)) >> 32);
}

int draw(struct maker *m, int low, int high)
{
    return low + (int)task_random_below(&m->random, (uint32_t)(high - low + 1));
}

bool chance(struct maker *m, int in_hundred)
{
    return draw(m, 0, 99) < in_hundred;
}

void shuffle(struct maker *m, int *items, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int k = draw(m, 0, i), t = items[i];
        items[i] = items[k];
        items[k] = t;
    }
}

static void __attribute__((format(printf, 2, 0))) add(struct str *s, const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0 || (size_t)n >= sizeof text)
        s->failed = true;
    else
        str_add_bytes(s, text, (size_t)n);
}

#define ADD(s)                                                                                                                             \
    do {                                                                                                                                   \
        va_list ap;                                                                                                                        \
        va_start(ap, fmt);                                                                                                                 \
        add(s, fmt, ap);                                                                                                                   \
        va_end(ap);                                                                                                                        \
    } while (0)

void ask(struct maker *m, const char *fmt, ...)
{
    ADD(&m->it->question);
}

void key(struct maker *m, const char *fmt, ...)
{
    ADD(&m->it->key);
}

void line(struct maker *m)
{
    if (m->it->thought.len) str_add_char(&m->it->thought, '\n');
}

void say(struct maker *m, const char *fmt, ...)
{
    line(m);
    ADD(&m->it->thought);
}

void go_on(struct maker *m, const char *fmt, ...)
{
    ADD(&m->it->thought);
}

/* A value as one may get it wrong: a carry forgotten or made up, one too many or too few. */
static int64_t wrong(struct maker *m, int64_t value)
{
    static const int by[] = {1, -1, 10, -10, 2, -2};
    int64_t size = value < 0 ? -value : value, off;
    do off = PICK(m, by);
    while ((size < 20 && (off > 2 || off < -2)) || (value >= 0 && value + off < 0));
    return value + off;
}

void result(struct maker *m, int64_t value, const char *fmt, ...)
{
    struct str left = STR_EMPTY;
    ADD(&left);
    if (m->slip_in == 0) {
        struct task_slip *slip = &m->it->slip;
        go_on(m, "%s =", str_cstr(&left));
        slip->from = m->it->thought.len;
        go_on(m, " %lld", (long long)wrong(m, value));
        slip->len = m->it->thought.len - slip->from;
        go_on(m, "%s", chance(m, 50) ? ". Wait, that is wrong. " : ". Wait, let me do that again. ");
    }
    m->slip_in--;
    go_on(m, "%s = %lld", str_cstr(&left), (long long)value);
    m->it->thought.failed = m->it->thought.failed || left.failed;
    str_release(&left);
}

void answer(struct maker *m, enum task_check check, const char *fmt, ...)
{
    struct task_item *it = m->it;
    it->check = check;
    ADD(&it->answer);
    say(m, "So the answer is %s.", str_cstr(&it->answer));
    str_addf(&it->reply, m->bare ? "%s" : "The answer is %s.", str_cstr(&it->answer));
}

void answer_number(struct maker *m, int64_t value)
{
    answer(m, TASK_NUMBER, "%lld", (long long)value);
}

void reply(struct maker *m, const char *fmt, ...)
{
    if (m->bare) return;
    str_clear(&m->it->reply);
    ADD(&m->it->reply);
}

void perhaps_only(struct maker *m, const char *what)
{
    static const char *const forms[] = {" Give only the %s.",       " Reply with just the %s.",          " Answer with the %s alone.",
                                        " Write nothing but the %s.", " Give only the %s as your final answer."};
    if (!chance(m, 40)) return;
    m->bare = true;
    const char *form = PICK(m, forms), *at = strstr(form, "%s");
    ask(m, "%.*s%s%s", (int)(at - form), form, what, at + 2);
}
