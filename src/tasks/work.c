/*
 * work.c - sums worked out on paper, in steps that a very small model can take: a number is split into its digits, so that each step is one
 * digit's sum or product and a carry, and every intermediate value is written down where the next step finds it.
 */
#include "tasks/internal.h"

#define DIGITS_MAX 20

typedef long long ll;

/* The parts of v by digit, highest first, zeros left out: 407 is 400 and 7. */
static int parts_of(int64_t v, int64_t parts[DIGITS_MAX])
{
    int64_t power = 1;
    int n = 0;
    while (v / power >= 10) power *= 10;
    for (; power; power /= 10) {
        int64_t digit = v / power % 10;
        if (digit) parts[n++] = digit * power;
    }
    return n;
}

static bool one_digit(int64_t v) /* 7, 30, 400 */
{
    int64_t parts[DIGITS_MAX];
    return parts_of(v, parts) <= 1;
}

/* a + b or a - b, both at least 0 and the result too. */
static int64_t by_digits(struct maker *m, int64_t a, int64_t b, char sign)
{
    int64_t parts[DIGITS_MAX], value = sign == '+' ? a + b : a - b;
    int n = parts_of(b, parts);
    line(m);
    if (n <= 1 || (a < 10 && sign == '+')) {
        result(m, value, "%lld %c %lld", (ll)a, sign, (ll)b);
        return value;
    }
    go_on(m, "%lld %c %lld: ", (ll)a, sign, (ll)b);
    for (int i = 0; i < n; i++) {
        int64_t next = sign == '+' ? a + parts[i] : a - parts[i];
        if (i) go_on(m, ", ");
        result(m, next, "%lld %c %lld", (ll)a, sign, (ll)parts[i]);
        a = next;
    }
    return value;
}

/* a - b where both are at least 0. */
static int64_t difference(struct maker *m, int64_t a, int64_t b)
{
    if (a >= b) return by_digits(m, a, b, '-');
    if (b < 20) {
        line(m);
        result(m, a - b, "%lld - %lld", (ll)a, (ll)b);
        return a - b;
    }
    by_digits(m, b, a, '-');
    go_on(m, ", so %lld - %lld = %lld", (ll)a, (ll)b, (ll)(a - b));
    return a - b;
}

int64_t work_add(struct maker *m, int64_t a, int64_t b)
{
    if (a >= 0 && b >= 0) return by_digits(m, a, b, '+');
    if (a >= 0) return difference(m, a, -b);
    if (b >= 0) {
        difference(m, b, -a);
        return a + b;
    }
    by_digits(m, -a, -b, '+');
    go_on(m, ", so with the minus sign it is %lld", (ll)(a + b));
    return a + b;
}

int64_t work_subtract(struct maker *m, int64_t a, int64_t b)
{
    return work_add(m, a, -b);
}

/* a times one digit with zeros behind: the parts of a, each by itself, and their sum. */
static int64_t by_one_digit(struct maker *m, int64_t a, int64_t b)
{
    int64_t parts[DIGITS_MAX], sum = 0;
    int n = parts_of(a, parts);
    if (n <= 1) {
        result(m, a * b, "%lld * %lld", (ll)a, (ll)b);
        return a * b;
    }
    go_on(m, "%lld * %lld: ", (ll)a, (ll)b);
    for (int i = 0; i < n; i++) {
        if (i) go_on(m, ", ");
        result(m, parts[i] * b, "%lld * %lld", (ll)parts[i], (ll)b);
        if (i) go_on(m, ", ");
        if (i) result(m, sum + parts[i] * b, "%lld + %lld", (ll)sum, (ll)(parts[i] * b));
        sum += parts[i] * b;
    }
    return sum;
}

static int64_t magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

int64_t work_multiply(struct maker *m, int64_t a, int64_t b)
{
    int64_t x = magnitude(a), y = magnitude(b), parts[DIGITS_MAX], products[DIGITS_MAX], value = a * b;
    line(m);
    if (!x || !y || x == 1 || y == 1 || (x <= 10 && y <= 10)) {
        result(m, value, "%lld * %lld", (ll)a, (ll)b);
        return value;
    }
    if (one_digit(x) && !one_digit(y)) {
        int64_t t = x;
        x = y;
        y = t;
    }
    int n = parts_of(y, parts);
    for (int i = 0; i < n; i++) {
        if (i) line(m);
        products[i] = by_one_digit(m, x, parts[i]);
    }
    int64_t sum = products[0];
    for (int i = 1; i < n; i++) sum = by_digits(m, sum, products[i], '+');
    if (value < 0)
        go_on(m, ", and one minus sign makes it %lld", (ll)value);
    else if (a < 0)
        go_on(m, ", and two minus signs make it %lld", (ll)value);
    return value;
}

/* Digit by digit, as on paper. */
static void long_division(struct maker *m, int64_t a, int64_t b)
{
    int64_t power = 1, rest = 0;
    bool begun = false;
    while (a / power >= 10) power *= 10;
    go_on(m, "%lld / %lld: ", (ll)a, (ll)b);
    for (; power; power /= 10) {
        int64_t part = rest * 10 + a / power % 10;
        rest = part % b;
        if (!begun && part < b && power > 1) continue;
        go_on(m, "%s%lld / %lld is %lld rest %lld", begun ? ", " : "", (ll)part, (ll)b, (ll)(part / b), (ll)rest);
        begun = true;
    }
    go_on(m, ", so ");
}

/* By how often the divisor goes in tens and in ones. */
static void by_multiples(struct maker *m, int64_t a, int64_t b)
{
    int64_t parts[DIGITS_MAX], rest = a;
    int n = a / b ? parts_of(a / b, parts) : 0;
    for (int i = 0; i < n; i++) {
        int64_t product = parts[i] * b;
        result(m, product, "%lld * %lld", (ll)parts[i], (ll)b);
        go_on(m, ", ");
        result(m, rest - product, "%lld - %lld", (ll)rest, (ll)product);
        go_on(m, ", ");
        rest -= product;
    }
    if (n) go_on(m, "so ");
}

int64_t work_divide(struct maker *m, int64_t a, int64_t b, int64_t *rest)
{
    int64_t value = a / b;
    *rest = a % b;
    line(m);
    if (b > 1 && b <= 16 && value > 9)
        long_division(m, a, b);
    else if (b > 16)
        by_multiples(m, a, b);
    if (*rest)
        go_on(m, "%lld / %lld is %lld rest %lld", (ll)a, (ll)b, (ll)value, (ll)*rest);
    else
        go_on(m, "%lld / %lld = %lld", (ll)a, (ll)b, (ll)value);
    return value;
}

int64_t gcd_of(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

int64_t work_gcd(struct maker *m, int64_t a, int64_t b)
{
    if (a < b) {
        int64_t t = a;
        a = b;
        b = t;
    }
    if (a > b) say(m, "%lld is larger than %lld", (ll)a, (ll)b);
    while (b) {
        int64_t q = a / b, r = a % b;
        line(m);
        if (q > 1) {
            result(m, q * b, "%lld * %lld", (ll)q, (ll)b);
            go_on(m, ", ");
        }
        result(m, r, "%lld - %lld", (ll)a, (ll)(q * b));
        a = b;
        b = r;
    }
    go_on(m, ", and 0 is left, so the divisor is %lld", (ll)a);
    return a;
}
