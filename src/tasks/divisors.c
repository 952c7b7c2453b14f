/* divisors.c - families about whole numbers and how they are written: compare, sort, fraction, gcd, lcm, base, bits. */
#include "tasks/internal.h"

#include <string.h>

typedef long long ll;

static void ask_form(struct maker *m, const char *form, const char *what)
{
    const char *at = strstr(form, "%s");
    ask(m, "%.*s%s%s", (int)(at - form), form, what, at + 2);
}

/* ---- decimals: hundredths, and how many places are shown ------------------------------------------------------------- */

struct decimal {
    int hundredths, places;
};

static void put_decimal(char out[24], struct decimal d)
{
    int v = d.hundredths < 0 ? -d.hundredths : d.hundredths;
    const char *sign = d.hundredths < 0 ? "-" : "";
    if (d.places == 0)
        snprintf(out, 24, "%s%d", sign, v / 100);
    else if (d.places == 1)
        snprintf(out, 24, "%s%d.%d", sign, v / 100, v / 10 % 10);
    else
        snprintf(out, 24, "%s%d.%02d", sign, v / 100, v % 100);
}

static struct decimal draw_decimal(struct maker *m, int high, int places, bool negative)
{
    static const int unit[] = {100, 10, 1};
    struct decimal d = {.places = places};
    d.hundredths = draw(m, 1, high * 100 / unit[places] - 1) * unit[places];
    if (places == 2 && d.hundredths % 10 == 0) d.hundredths += draw(m, 1, 9);
    if (negative) d.hundredths = -d.hundredths;
    return d;
}

/* ---- compare --------------------------------------------------------------------------------------------------------- */

static void compare_two(struct maker *m, struct decimal a, struct decimal b)
{
    char x[24], y[24];
    put_decimal(x, a);
    put_decimal(y, b);
    int p = a.hundredths, q = b.hundredths;
    if ((p < 0) != (q < 0)) {
        say(m, "%s is below zero and %s is not.", p < 0 ? x : y, p < 0 ? y : x);
        return;
    }
    int u = p < 0 ? -p : p, v = q < 0 ? -q : q;
    if (p < 0) say(m, "Both are below zero, so the one with the smaller size is larger.");
    if (u / 100 != v / 100)
        say(m, "The whole parts are %d and %d, and %d is more.", u / 100, v / 100, u / 100 > v / 100 ? u / 100 : v / 100);
    else
        say(m, "The whole parts are the same, %d. With two places they end in .%02d and .%02d, and %02d is more.", u / 100, u % 100, v % 100, u % 100 > v % 100 ? u % 100 : v % 100);
}

void make_compare(struct maker *m)
{
    int n = m->level >= 4 && chance(m, 50) ? 3 : 2, high = m->level == 1 ? 100 : m->level == 2 ? 1000 : 100;
    bool larger = chance(m, 60), negative = m->level >= 3 && chance(m, 25);
    struct decimal d[3];
    char text[3][24];
    int best = 0;
    for (int i = 0; i < n; i++) {
        d[i] = draw_decimal(m, high, m->level < 3 ? 0 : draw(m, m->level > 3, 2), negative || (m->level >= 4 && chance(m, 15)));
        if (i && m->level >= 3 && chance(m, 60)) { /* the same whole part */
            int sign = d[i].hundredths < 0 ? -1 : 1, whole = (d[0].hundredths < 0 ? -d[0].hundredths : d[0].hundredths) / 100;
            d[i].hundredths = sign * (whole * 100 + d[i].hundredths * sign % 100);
        }
        for (int k = 0; k < i; k++)
            if (d[k].hundredths == d[i].hundredths) {
                d[i].hundredths += d[i].places == 0 ? 100 : d[i].places == 1 ? 10 : 1;
                k = -1;
            }
        put_decimal(text[i], d[i]);
        key(m, "%s ", text[i]);
    }
    key(m, "%d", larger);
    static const char *const more[] = {"Which number is larger: ", "Which is greater, ", "Which is bigger: ", "What is the largest of "};
    static const char *const less[] = {"Which number is smaller: ", "Which is less, ", "Which is smaller: ", "What is the smallest of "};
    ask(m, "%s", larger ? PICK(m, more) : PICK(m, less));
    for (int i = 0; i < n; i++) ask(m, i == 0 ? "%s" : i + 1 < n ? ", %s" : " or %s", text[i]);
    ask(m, "?");
    for (int i = 1; i < n; i++) {
        compare_two(m, d[best], d[i]);
        if ((d[i].hundredths > d[best].hundredths) == larger) best = i;
        go_on(m, " So %s is %s.", text[best], larger ? "larger" : "smaller");
    }
    answer(m, TASK_NUMBER, "%s", text[best]);
}

/* ---- sort ------------------------------------------------------------------------------------------------------------ */

/* Puts d[at] among the at sorted ones before it; returns its new place. */
static int put_in(struct decimal *d, int at, bool up)
{
    int k = at;
    for (; k > 0 && (up ? d[k - 1].hundredths > d[k].hundredths : d[k - 1].hundredths < d[k].hundredths); k--) {
        struct decimal t = d[k];
        d[k] = d[k - 1];
        d[k - 1] = t;
    }
    return k;
}

/* One number after the other is put into a list that is in order: it is compared from the front until its place is found, then the list is
 * written down again. */
static void work_sort(struct maker *m, struct decimal *d, int n, bool up)
{
    char text[24], other[24];
    put_decimal(text, d[0]);
    say(m, "%s first. Begin with %s", up ? "Smallest" : "Largest", text);
    for (int i = 1; i < n; i++) {
        put_decimal(text, d[i]);
        say(m, "%s:", text);
        int at = put_in(d, i, up);
        for (int k = 0; k <= at && k < i; k++) {
            put_decimal(other, d[k < at ? k : k + 1]);
            go_on(m, " %s %c %s,", text, (k < at) == up ? '>' : '<', other);
        }
        go_on(m, at == i ? " last:" : at ? " so:" : " first:");
        for (int k = 0; k <= i; k++) {
            put_decimal(text, d[k]);
            go_on(m, k ? ", %s" : " %s", text);
        }
    }
}

void make_sort(struct maker *m)
{
    static const struct {
        int n_min, n_max, high, below_zero, places;
    } levels[] = {{3, 3, 20, 0, 0}, {4, 5, 100, 0, 0}, {4, 6, 100, 40, 0}, {5, 8, 100, 45, 1}, {7, 10, 100, 50, 2}};
    int n = draw(m, levels[m->level - 1].n_min, levels[m->level - 1].n_max);
    bool up = chance(m, 60), quoted = chance(m, 40);
    struct decimal d[10];
    char text[24];
    for (int i = 0; i < n;) {
        int places = levels[m->level - 1].places ? draw(m, 1, levels[m->level - 1].places) : 0;
        d[i] = draw_decimal(m, levels[m->level - 1].high, places, chance(m, levels[m->level - 1].below_zero));
        bool twice = false;
        for (int k = 0; k < i; k++) twice = twice || d[k].hundredths == d[i].hundredths;
        i += !twice;
    }
    static const char *const rising[] = {"Sort these numbers in ascending order: ", "Put these numbers in order from smallest to largest: ", "Order from low to high: ", "Arrange in increasing order: "};
    static const char *const falling[] = {"Sort these numbers in descending order: ", "Put these numbers in order from largest to smallest: ", "Order from high to low: ", "Arrange in decreasing order: "};
    ask(m, "%s", up ? PICK(m, rising) : PICK(m, falling));
    for (int i = 0; i < n; i++) {
        put_decimal(text, d[i]);
        ask(m, i ? ", %s" : "%s", text);
        key(m, "%s ", text);
    }
    key(m, "%d", up);
    if (quoted) ask(m, "%s", chance(m, 50) ? "\nPlease write the result as a list of strings, like ['-3', '0', '12']." : "\nInstructions: answer with a list in square brackets, each number as a string in quotes, for example ['-5', '2', '9'], not -5, 2, 9.");
    work_sort(m, d, n, up);
    struct str out = STR_EMPTY;
    for (int i = 0; i < n; i++) {
        put_decimal(text, d[i]);
        str_addf(&out, quoted ? i ? ", '%s'" : "'%s'" : i ? ", %s" : "%s", text);
    }
    m->bare = true;
    answer(m, TASK_LIST, quoted ? "[%s]" : "%s", str_cstr(&out));
    str_release(&out);
}

/* ---- gcd, lcm ---------------------------------------------------------------------------------------------------------- */

void make_gcd(struct maker *m)
{
    static const int high[] = {6, 12, 30, 60, 100}, factor[] = {6, 9, 12, 20, 30};
    static const char *const forms[] = {"What is the greatest common divisor of %s?", "Find the GCD of %s.", "Find the Greatest Common Divisor (GCD) of these numbers: %s.",
                                        "Which is the largest number that divides both %s?", "Compute gcd(%s)."};
    int g = draw(m, 1, factor[m->level - 1]), n = m->level == 5 && chance(m, 30) ? 3 : 2;
    int64_t v[3];
    struct str text = STR_EMPTY;
    const char *form = PICK(m, forms);
    if (n == 3) form = forms[chance(m, 50)];
    for (int i = 0; i < n; i++) {
        v[i] = (int64_t)g * draw(m, 1, high[m->level - 1]);
        if (m->level >= 4 && chance(m, 30)) v[i] = draw(m, 2, m->level == 4 ? 500 : 1000);
        if (i && v[i] == v[i - 1]) v[i] += g;
        str_addf(&text, !i ? "%lld" : strstr(form, "both") ? " and %lld" : ", %lld", (ll)v[i]);
        key(m, "%lld ", (ll)v[i]);
    }
    ask_form(m, form, str_cstr(&text));
    str_release(&text);
    perhaps_only(m, "GCD");
    int64_t d = v[0];
    for (int i = 1; i < n; i++) d = work_gcd(m, d, v[i]);
    answer_number(m, d);
}

void make_lcm(struct maker *m)
{
    static const int high[] = {10, 15, 30, 60, 100};
    static const char *const forms[] = {"What is the least common multiple of %s?", "Find the LCM of %s.", "Find the Least Common Multiple (LCM) of these numbers: %s",
                                        "Which is the smallest number that both %s divide?", "Compute lcm(%s)."};
    int64_t a = draw(m, 2, high[m->level - 1]), b = draw(m, 2, high[m->level - 1]), rest;
    if (a == b) b++;
    const char *form = PICK(m, forms);
    struct str text = STR_EMPTY;
    str_addf(&text, strstr(form, "both") ? "%lld and %lld" : "%lld, %lld", (ll)a, (ll)b);
    ask_form(m, form, str_cstr(&text));
    str_release(&text);
    perhaps_only(m, "number");
    key(m, "%lld %lld", (ll)a, (ll)b);
    say(m, "First the common divisor of %lld and %lld.", (ll)a, (ll)b);
    int64_t g = work_gcd(m, a, b);
    say(m, "The multiple is %lld * %lld / %lld.", (ll)a, (ll)b, (ll)g);
    int64_t part = g == 1 ? a : work_divide(m, a, g, &rest);
    answer_number(m, work_multiply(m, part, b));
}

/* ---- fractions ----------------------------------------------------------------------------------------------------------- */

void make_fraction(struct maker *m)
{
    static const int high[] = {9, 12, 40, 120, 500}, factor[] = {5, 10, 12, 30, 60};
    static const char *const forms[] = {"Simplify the fraction %s.", "Write %s in lowest terms.", "Reduce %s to its lowest terms.", "Simplify the fraction %s to its lowest terms."};
    int64_t p = draw(m, 1, high[m->level - 1]), q = draw(m, 2, high[m->level - 1]), g = draw(m, 2, factor[m->level - 1]), rest;
    if (p == q) q++;
    int64_t d = gcd_of(p, q);
    p /= d;
    q /= d;
    if (q == 1) q = p + 1; /* a fraction that stays one */
    int style = chance(m, 40) ? 0 : draw(m, 1, 3);
    char shown[64];
    snprintf(shown, sizeof shown, style == 0 ? "%lld/%lld" : style == 1 ? "$%lld/%lld$" : style == 2 ? "$\\frac{%lld}{%lld}$" : "$\\dfrac{%lld}{%lld}$", (ll)(p * g), (ll)(q * g));
    ask_form(m, PICK(m, forms), shown);
    perhaps_only(m, "simplified fraction");
    key(m, "%lld/%lld", (ll)(p * g), (ll)(q * g));
    work_gcd(m, p * g, q * g);
    work_divide(m, p * g, g, &rest);
    work_divide(m, q * g, g, &rest);
    answer(m, TASK_FRACTION, "%lld/%lld", (ll)p, (ll)q);
}

/* ---- bases ------------------------------------------------------------------------------------------------------------- */

static const char digit_letters[] = "0123456789abcdef";

static void put_in_base(char out[40], unsigned v, unsigned base)
{
    char back[40];
    int n = 0, k = 0;
    do back[n++] = digit_letters[v % base];
    while (v /= base);
    while (n) out[k++] = back[--n];
    out[k] = '\0';
}

static void base_name(struct maker *m, char out[24], int base)
{
    const char *word = base == 2 ? "binary" : base == 8 ? "octal" : base == 10 ? "decimal" : base == 16 ? "hexadecimal" : NULL;
    if (word && chance(m, 60))
        snprintf(out, 24, "%s", word);
    else
        snprintf(out, 24, "base-%d", base);
}

/* Digit after digit: the value so far, times the base, plus the digit; the digits that are left are counted and written down. */
static void from_base(struct maker *m, const char *digits, int base)
{
    unsigned v = (unsigned)(strchr(digit_letters, digits[0]) - digit_letters);
    say(m, "Begin with %u", v);
    for (const char *p = digits + 1; *p; p++) {
        unsigned d = (unsigned)(strchr(digit_letters, *p) - digit_letters), product = v * (unsigned)base;
        go_on(m, ", left %zu: %s", strlen(p), p);
        line(m);
        if (d > 9) go_on(m, "%c is %u, ", *p, d);
        go_on(m, "%u * %d = %u, ", v, base, product);
        result(m, product + d, "%u + %u", product, d);
        v = product + d;
    }
    go_on(m, ", none left");
}

/* Every rest goes in front of those before it. */
static void to_base(struct maker *m, unsigned v, int base, const char *digits)
{
    for (size_t at = strlen(digits); at-- > 0; v /= (unsigned)base) {
        unsigned rest = v % (unsigned)base;
        say(m, "%u / %d is %u rest %u", v, base, v / (unsigned)base, rest);
        if (rest > 9) go_on(m, " (%c)", digit_letters[rest]);
        go_on(m, ", so %s", digits + at);
    }
}

void make_base(struct maker *m)
{
    static const int high[] = {15, 40, 100, 200, 1000};
    int a = 2, b = 10, v = draw(m, m->level < 4 ? 2 : 5, high[m->level - 1]);
    char digits[40], wanted[40], from[24], to[24];
    if (m->level >= 2 && chance(m, 60)) a = draw(m, 2, m->level > 3 ? 16 : 9);
    if (chance(m, 50)) {
        int t = a;
        a = b;
        b = t;
    } else if (m->level >= 4 && chance(m, 60)) {
        b = draw(m, 2, 16);
    }
    if (a == b) b = a == 10 ? 2 : 10;
    put_in_base(digits, (unsigned)v, (unsigned)a);
    put_in_base(wanted, (unsigned)v, (unsigned)b);
    base_name(m, from, a);
    base_name(m, to, b);
    if (chance(m, 25)) ask(m, "Convert a number from one base to another. For bases above 10 use the lowercase letters a to f as digits.\n\n");
    int form = draw(m, 0, 3);
    ask(m, form == 0 ? "Convert the %s number %s to %s." : form == 1 ? "Now, convert the %s number %s to %s" : form == 2 ? "What is the %s number %s in %s?" : "Write the %s number %s in %s.",
        from, digits, to);
    key(m, "%s %d %d", digits, a, b);
    if (a != 10) from_base(m, digits, a);
    if (b != 10) to_base(m, (unsigned)v, b, wanted);
    answer(m, TASK_DIGITS, "%s", wanted);
}

void make_bits(struct maker *m)
{
    static const int high[] = {40, 120, 500, 5000, 99999};
    static const char *const forms[] = {"How many 1 bits are in the binary form of %s?", "How many ones does the number %s have in binary?", "How many 1 bits are there in the binary representation of the number %s?",
                                        "Count the bits that are set in %s."};
    int v = draw(m, m->level == 1 ? 1 : high[m->level - 2] / 2, high[m->level - 1]), ones = 0;
    char text[16];
    snprintf(text, sizeof text, "%d", v);
    ask_form(m, PICK(m, forms), text);
    perhaps_only(m, "number");
    key(m, "%d", v);
    say(m, "I halve it again and again and count the odd ones.");
    line(m);
    for (bool first = true; v; v /= 2, first = false) {
        ones += v % 2;
        if (v % 2)
            go_on(m, "%s%d odd (%d)", first ? "" : ", ", v, ones);
        else
            go_on(m, "%s%d even", first ? "" : ", ", v);
    }
    answer_number(m, ones);
}
