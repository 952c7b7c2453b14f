/* numbers.c - families of plain arithmetic: sum, arithmetic, product, equation, sequence. */
#include "tasks/internal.h"

#include <string.h>

typedef long long ll;

#define TERMS_MAX 8

/* The question "EXPRESSION" in one of several wordings; %s stands for it. */
static void ask_value(struct maker *m, const char *expression)
{
    static const char *const forms[] = {
        "What is %s?",
        "Calculate %s.",
        "Work out %s.",
        "%s = ?",
        "Compute %s.",
        "Find the value of %s.",
        "State the final answer to this arithmetic problem: %s =",
        "State the final answer to the following arithmetic problem: %s =",
        "Solve: %s",
        "How much is %s?",
    };
    const char *form = PICK(m, forms), *at = strstr(form, "%s");
    ask(m, "%.*s%s%s", (int)(at - form), form, expression, at + 2);
    perhaps_only(m, "number");
}

static int64_t of_digits(struct maker *m, int digits)
{
    static const int low[] = {0, 1, 10, 100, 1000}, high[] = {0, 9, 99, 999, 9999};
    return draw(m, low[digits], high[digits]);
}

void make_sum(struct maker *m)
{
    static const struct {
        int terms_min, terms_max, digits_max;
        bool below_zero;
    } levels[] = {{2, 2, 1, false}, {2, 3, 2, false}, {3, 4, 2, true}, {2, 4, 3, true}, {3, 6, 4, true}};
    int n = draw(m, levels[m->level - 1].terms_min, levels[m->level - 1].terms_max);
    int digits = levels[m->level - 1].digits_max == 1 ? draw(m, 1, 2) : draw(m, levels[m->level - 1].digits_max - 1, levels[m->level - 1].digits_max);
    int64_t terms[TERMS_MAX] = {0}, sum = 0;
    struct str text = STR_EMPTY;
    for (int i = 0; i < n; i++) {
        int64_t v = of_digits(m, digits);
        if (m->level == 1 && v > 20) v %= 20;
        bool minus = i && chance(m, 45) && (levels[m->level - 1].below_zero || sum >= v);
        terms[i] = minus ? -v : v;
        sum += terms[i];
        str_addf(&text, i ? minus ? " - %lld" : " + %lld" : "%lld", (ll)v);
    }
    ask_value(m, str_cstr(&text));
    key(m, "%s", str_cstr(&text));
    str_release(&text);
    sum = terms[0];
    for (int i = 1; i < n; i++) sum = work_add(m, sum, terms[i]);
    if (m->checks && n == 2 && m->level < 5) say(m, "Check: %lld %c %lld = %lld, right.", (ll)sum, terms[1] < 0 ? '+' : '-', (ll)(terms[1] < 0 ? -terms[1] : terms[1]), (ll)terms[0]);
    answer_number(m, sum);
}

/* ---- all four operations ----------------------------------------------------------------------------------------- */

struct term {
    char op;                 /* '+' or '-' in front of it */
    int64_t a, b;
    char with;               /* '*' or '/': a with b; '(' a sum of a and b in brackets; '[' a difference; 0: a alone */
    int64_t value;
};

static int64_t operand(struct maker *m, int digits, bool negatives)
{
    int64_t v = of_digits(m, digits);
    return negatives && chance(m, 30) ? -v : v;
}

static void draw_term(struct maker *m, struct term *t, int digits, bool negatives, bool brackets)
{
    int kind = draw(m, 0, 99); /* a product's second factor is short, mostly */
    t->op = chance(m, 50) ? '+' : '-';
    t->a = operand(m, digits, negatives);
    t->b = operand(m, digits > 1 && (kind >= 20 && kind < 45) ? digits - 1 : digits > 2 ? 2 : digits, negatives);
    t->with = 0;
    t->value = t->a;
    if (kind < 30) {
        t->with = '*';
        t->value = t->a * t->b;
    } else if (kind < 45) {
        t->with = '/';
        t->value = t->a;
        t->a *= t->b;
    } else if (kind < 65 && brackets) {
        t->with = chance(m, 50) ? '(' : '[';
        t->value = t->with == '(' ? t->a + t->b : t->a - t->b;
    }
}

static void put_term(struct str *out, const struct term *t)
{
    if (t->with == '(' || t->with == '[')
        str_addf(out, "( %lld %c %lld )", (ll)t->a, t->with == '(' ? '+' : '-', (ll)t->b);
    else if (t->with)
        str_addf(out, "%lld %c %lld", (ll)t->a, t->with, (ll)t->b);
    else
        str_addf(out, "%lld", (ll)t->a);
}

static int64_t signless(int64_t v)
{
    return v < 0 ? -v : v;
}

static void work_term(struct maker *m, const struct term *t)
{
    int64_t rest;
    if (t->with == '*') work_multiply(m, t->a, t->b);
    if (t->with == '/') {
        work_divide(m, signless(t->a), signless(t->b), &rest);
        if (t->a < 0 || t->b < 0) go_on(m, ", so %lld / %lld = %lld", (ll)t->a, (ll)t->b, (ll)t->value);
    }
    if (t->with == '(') work_add(m, t->a, t->b);
    if (t->with == '[') work_subtract(m, t->a, t->b);
}

void make_arithmetic(struct maker *m)
{
    static const struct {
        int terms_min, terms_max, digits_max;
        bool negatives, brackets;
    } levels[] = {{1, 2, 1, false, false}, {2, 2, 1, false, true}, {2, 3, 2, false, true}, {3, 4, 2, true, true}, {3, 5, 3, true, true}};
    int n = draw(m, levels[m->level - 1].terms_min, levels[m->level - 1].terms_max), whole = 0;
    int digits = draw(m, 1, levels[m->level - 1].digits_max);
    struct term t[TERMS_MAX] = {{0}};
    struct str text = STR_EMPTY, left = STR_EMPTY;
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        draw_term(m, &t[i], digits, levels[m->level - 1].negatives, levels[m->level - 1].brackets);
        if (n == 1 && !t[i].with) {
            t[i].with = '*';
            t[i].value = t[i].a * t[i].b;
        }
        if (!i) t[i].op = '+';
        if (!levels[m->level - 1].negatives && t[i].op == '-' && sum < t[i].value) t[i].op = '+';
        sum += t[i].op == '+' ? t[i].value : -t[i].value;
        if (i) str_addf(&text, " %c ", t[i].op);
        if (i) str_addf(&left, " %c ", t[i].op);
        put_term(&text, &t[i]);
        str_addf(&left, "%lld", (ll)t[i].value);
        whole += !t[i].with;
    }
    ask_value(m, str_cstr(&text));
    key(m, "%s", str_cstr(&text));
    for (int i = 0; i < n; i++) work_term(m, &t[i]);
    if (n > 1 && whole < n) say(m, "That leaves %s.", str_cstr(&left));
    str_release(&text);
    str_release(&left);
    sum = t[0].value;
    for (int i = 1; i < n; i++) sum = t[i].op == '+' ? work_add(m, sum, t[i].value) : work_subtract(m, sum, t[i].value);
    answer_number(m, sum);
}

/* ---- products ------------------------------------------------------------------------------------------------------ */

void make_product(struct maker *m)
{
    static const struct {
        int factors, digits[3];
    } levels[][2] = {{{2, {1, 1}}, {2, {1, 1}}}, {{2, {2, 1}}, {2, {1, 2}}}, {{2, {2, 2}}, {2, {3, 1}}}, {{2, {2, 2}}, {3, {1, 1, 2}}}, {{3, {2, 2, 1}}, {2, {3, 2}}}};
    int which = draw(m, 0, 1), n = levels[m->level - 1][which].factors;
    int64_t f[3], product;
    struct str text = STR_EMPTY;
    for (int i = 0; i < n; i++) {
        f[i] = of_digits(m, levels[m->level - 1][which].digits[i]);
        if (m->level == 1 && i == 0 && chance(m, 30)) f[i] = draw(m, 10, 12);
        str_addf(&text, i ? " * %lld" : "%lld", (ll)f[i]);
    }
    static const char *const forms[] = {"What is %s?", "Multiply: %s.", "Calculate %s.", "Solve this multiplication: %s.", "Find the product: %s =", "Work out %s.",
                                        "Solve the following multiplication: %s."};
    const char *form = PICK(m, forms), *at = strstr(form, "%s");
    ask(m, "%.*s%s%s", (int)(at - form), form, str_cstr(&text), at + 2);
    perhaps_only(m, "result");
    key(m, "%s", str_cstr(&text));
    str_release(&text);
    product = f[0];
    for (int i = 1; i < n; i++) product = work_multiply(m, product, f[i]);
    answer_number(m, product);
}

/* ---- equations ------------------------------------------------------------------------------------------------------ */

static void ask_equation(struct maker *m, char x, const char *equation)
{
    static const char *const forms[] = {"Solve for #: %", "Find # in the equation %.", "Find the value of # in the equation: %", "What is # if %?", "Which # satisfies %?",
                                        "Determine the value of # that satisfies: %", "Solve the equation % for #."};
    const char *form = PICK(m, forms);
    for (const char *p = form; *p; p++) {
        if (*p == '#')
            ask(m, "%c", x);
        else if (*p == '%')
            ask(m, "%s", equation);
        else
            ask(m, "%c", *p);
    }
    perhaps_only(m, "number");
}

/* a*x + b = c with a above 0; b of any sign or 0. */
static void solve(struct maker *m, char x, int64_t a, int64_t b, int64_t c)
{
    int64_t rest, ax = c - b;
    if (b) {
        say(m, "%lld*%c = %lld %c %lld", (ll)a, x, (ll)c, b > 0 ? '-' : '+', (ll)signless(b));
        work_subtract(m, c, b);
    }
    if (a == 1) return;
    say(m, "%c = %lld / %lld", x, (ll)ax, (ll)a);
    work_divide(m, ax, a, &rest);
    if (!m->checks) return;
    work_multiply(m, a, ax / a);
    go_on(m, ", right");
}

void make_equation(struct maker *m)
{
    static const struct {
        int a_max, x_max, b_max;
    } levels[] = {{1, 20, 20}, {9, 12, 20}, {12, 50, 99}, {99, 99, 99}, {999, 99, 999}};
    const char letters[] = "abcdfghkmnpqrstuvwxyz";
    char x = letters[draw(m, 0, (int)sizeof letters - 2)], sign;
    int64_t a = draw(m, 1, levels[m->level - 1].a_max), v = draw(m, 1, levels[m->level - 1].x_max), b = draw(m, 1, levels[m->level - 1].b_max);
    if (m->level > 1 && a == 1) a = 2;
    if (m->level > 1 && chance(m, 20)) b = 0;
    if (chance(m, 45)) b = -b;
    sign = b < 0 ? '-' : '+';
    struct str text = STR_EMPTY;
    int64_t c = a * v + b;
    if (m->level == 1 && chance(m, 40)) { /* a*x = c */
        a = draw(m, 2, 9);
        v = draw(m, 1, 10);
        b = 0;
        c = a * v;
    }
    if (!b)
        str_addf(&text, "%lld*%c = %lld", (ll)a, x, (ll)c);
    else if (a == 1)
        str_addf(&text, "%c %c %lld = %lld", x, sign, (ll)signless(b), (ll)c);
    else if (b > 0 && chance(m, 25))
        str_addf(&text, "%lld + %lld*%c = %lld", (ll)b, (ll)a, x, (ll)c);
    else
        str_addf(&text, "%lld*%c %c %lld = %lld", (ll)a, x, sign, (ll)signless(b), (ll)c);
    ask_equation(m, x, str_cstr(&text));
    str_release(&text);
    key(m, "%lld*x + %lld = %lld", (ll)a, (ll)b, (ll)c);
    if (a == 1) {
        say(m, "%c = %lld %c %lld", x, (ll)c, b > 0 ? '-' : '+', (ll)signless(b));
        work_subtract(m, c, b);
    } else {
        solve(m, x, a, b, c);
    }
    answer_number(m, v);
    if (chance(m, 30)) reply(m, "%c = %lld", x, (ll)v);
}

/* ---- sequences ------------------------------------------------------------------------------------------------------ */

static void by_difference(struct maker *m, int64_t v[8], int n, int64_t start, int64_t step, int64_t growth)
{
    v[0] = start;
    for (int i = 1; i <= n; i++, step += growth) v[i] = v[i - 1] + step;
    line(m);
    for (int i = 1; i < n; i++) result(m, v[i] - v[i - 1], i > 1 ? ", %lld - %lld" : "%lld - %lld", (ll)v[i], (ll)v[i - 1]);
    if (growth)
        say(m, "The step grows by %lld each time, so the next step is %lld + %lld = %lld.", (ll)growth, (ll)(v[n - 1] - v[n - 2]), (ll)growth, (ll)(v[n] - v[n - 1]));
    else
        say(m, "The step is always %lld.", (ll)(v[1] - v[0]));
    work_add(m, v[n - 1], v[n] - v[n - 1]);
}

static void by_factor(struct maker *m, int64_t v[8], int n, int64_t start, int64_t factor)
{
    v[0] = start;
    for (int i = 1; i <= n; i++) v[i] = v[i - 1] * factor;
    line(m);
    for (int i = 1; i < n; i++) go_on(m, i > 1 ? ", %lld / %lld = %lld" : "%lld / %lld = %lld", (ll)v[i], (ll)v[i - 1], (ll)factor);
    say(m, "Each number is the one before times %lld.", (ll)factor);
    work_multiply(m, v[n - 1], factor);
}

void make_sequence(struct maker *m)
{
    static const char *const forms[] = {"What comes next: ", "Which number comes next in this sequence? ", "Find the next number: ", "Continue the sequence by one number: "};
    int64_t v[8];
    int n = m->level < 4 ? 4 : 5;
    bool products = m->level >= 3 && chance(m, 20);
    ask(m, "%s", PICK(m, forms));
    if (products)
        by_factor(m, v, n, draw(m, 1, 4 * m->level), draw(m, 2, m->level > 3 ? 5 : 3));
    else if (m->level >= 4 && chance(m, 70))
        by_difference(m, v, n, draw(m, 1, 30), draw(m, 1, 9), draw(m, 1, m->level > 4 ? 12 : 5));
    else if (m->level >= 2 && chance(m, 40))
        by_difference(m, v, n, draw(m, 40, 60 * m->level), -draw(m, 2, 8), 0);
    else
        by_difference(m, v, n, draw(m, 1, 20 * m->level), draw(m, 1, 5 * m->level), 0);
    for (int i = 0; i < n; i++) {
        ask(m, i ? ", %lld" : "%lld", (ll)v[i]);
        key(m, "%lld ", (ll)v[i]);
    }
    ask(m, chance(m, 50) ? ", ..." : ", ?");
    answer_number(m, v[n]);
}
