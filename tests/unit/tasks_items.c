/* Exercises: the same everywhere, distinct, graded, correct in every line but the slip, and never in both halves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tasks/tasks.h"

#define DIGEST UINT64_C(0x7dc3151bdeb5ad0d) /* of the items that test_same_on_every_machine makes */
#define SEEDS 200 /* a family and level */

typedef void (*item_check)(const struct task_item *it, const char *name);

static void for_all(int n, item_check check)
{
    struct task_item it = {0};
    struct err e;
    for (size_t f = 0; f < task_families(); f++)
        for (int level = 1; level <= TASK_LEVELS; level++)
            for (int i = 0; i < n; i++) {
                char name[64];
                snprintf(name, sizeof name, "%s level %d item %d", task_family_name(f), level, i);
                if (task_make(&it, f, level, 11, (uint64_t)i, TASK_ANY, &e)) fail_msg("%s: %s", name, e.text);
                check(&it, name);
            }
    task_item_release(&it);
}

/* ---- a calculator of its own ---------------------------------------------------------------------------------------------- */

static long long sum_at(const char **p, bool *ok);

static long long factor_at(const char **p, bool *ok)
{
    while (**p == ' ') ++*p;
    if (**p == '-') {
        ++*p;
        return -factor_at(p, ok);
    }
    if (**p == '(') {
        ++*p;
        long long v = sum_at(p, ok);
        while (**p == ' ') ++*p;
        *ok = *ok && **p == ')';
        if (**p) ++*p;
        return v;
    }
    *ok = *ok && isdigit((unsigned char)**p);
    char *end;
    long long v = strtoll(*p, &end, 10);
    *p = end;
    return v;
}

static long long product_at(const char **p, bool *ok)
{
    long long v = factor_at(p, ok);
    for (;;) {
        while (**p == ' ') ++*p;
        if (**p != '*' && **p != '/') return v;
        char op = *(*p)++;
        long long w = factor_at(p, ok);
        if (op == '/') *ok = *ok && w && v % w == 0;
        v = op == '*' ? v * w : w ? v / w : 0;
    }
}

static long long sum_at(const char **p, bool *ok)
{
    long long v = product_at(p, ok);
    for (;;) {
        while (**p == ' ') ++*p;
        if (**p != '+' && **p != '-') return v;
        char op = *(*p)++;
        long long w = product_at(p, ok);
        v = op == '+' ? v + w : v - w;
    }
}

static bool value_of(const char *text, long long *v)
{
    bool ok = true;
    const char *p = text;
    *v = sum_at(&p, &ok);
    while (*p == ' ') p++;
    return ok && !*p;
}

static bool calculates(const char *text)
{
    return *text && strspn(text, "0123456789 +-*/()") == strlen(text) && strpbrk(text, "0123456789");
}

/* ---- thoughts ------------------------------------------------------------------------------------------------------------- */

static int equations;

/* "2 * 3 = 6", also "20 * 4 + 2 = 80 + 2 = 82"; words in front of the first part are left out. */
static void check_equation(char *text, const char *name)
{
    long long first = 0, v;
    bool have = false;
    for (char *part = text, *next; part; part = next) {
        next = strchr(part, '=');
        if (next) *next++ = '\0';
        while (*part && !isdigit((unsigned char)*part) && *part != '-' && *part != '(') part++;
        if (!calculates(part) || !value_of(part, &v)) return;
        if (have && v != first) fail_msg("%s: \"%s\" is %lld, not %lld", name, part, v, first);
        equations += have;
        first = v;
        have = true;
    }
}

static void check_division(const char *text, const char *name)
{
    long long a, b, q, r;
    if (sscanf(text, "%lld / %lld is %lld rest %lld", &a, &b, &q, &r) != 4) return;
    if (a != b * q + r || r < 0 || r >= b) fail_msg("%s: \"%s\"", name, text);
    equations++;
}

static void thought_is_true(const struct task_item *it, const char *name)
{
    char *text = malloc(it->thought.len + 1);
    memcpy(text, it->thought.data, it->thought.len + 1);
    if (it->slip.len) { /* up to the sentence behind it */
        memset(text + it->slip.from, '.', it->slip.len);
        assert_non_null(strstr(text + it->slip.from, "Wait, "));
    }
    for (char *p = text, *end; *p; p = end) {
        end = p + strcspn(p, ",:\n.");
        if (*end) *end++ = '\0';
        while (*p == ' ') p++;
        if (!strncmp(p, "so ", 3)) p += 3;
        check_division(p, name);
        if (strchr(p, '=') && !strchr(p, 'x')) check_equation(p, name);
    }
    free(text);
}

static void test_every_line_is_true(void **state)
{
    (void)state;
    equations = 0;
    for_all(SEEDS, thought_is_true);
    assert_true(equations > 50000); /* and there was something to check */
}

static void ends_in_answer(const struct task_item *it, const char *name)
{
    char want[512];
    const char *nl = strrchr(it->thought.data, '\n'), *last = nl ? nl + 1 : it->thought.data;
    snprintf(want, sizeof want, "answer is %s.", it->answer.data);
    size_t n = strlen(want);
    if (strlen(last) < n || strcmp(last + strlen(last) - n, want)) fail_msg("%s: the thought ends \"%s\"", name, last);
    if (!tasks_verify(it, it->reply.data, it->reply.len)) fail_msg("%s: the reply \"%s\" is not right", name, it->reply.data);
    if (!tasks_verify(it, last, strlen(last))) fail_msg("%s: \"%s\" is not right", name, last);
    if (!utf8_is_valid(it->question.data, it->question.len)) fail_msg("%s: bad text", name);
    if (strstr(it->question.data, "#") || strstr(it->thought.data, "#")) fail_msg("%s: a place was left open: %s", name, it->question.data);
}

/* Where sums are worked out, the last of them has the answer. */
static void leads_to_answer(const struct task_item *it, const char *name)
{
    static const char *const families[] = {"sum", "arithmetic", "product", "lcm", "unit", "sequence", "word"};
    bool worked = false;
    char *text = mem_dup_text(it->thought.data, it->thought.len), *last = NULL;
    for (size_t i = 0; i < ARRAY_LEN(families); i++) worked = worked || !strcmp(families[i], task_family_name((size_t)it->family));
    for (char *p = strtok(text, "\n"); worked && p; p = strtok(NULL, "\n"))
        if (strncmp(p, "Check", 5) && strncmp(p, "So the answer", 13)) last = p;
    if (last) {
        size_t n = strlen(last), k = it->answer.len;
        if (n && last[n - 1] == '.') last[--n] = '\0';
        if (n <= k || strcmp(last + n - k, it->answer.data) || last[n - k - 1] != ' ') fail_msg("%s: \"%s\" is followed by %s", name, last, it->answer.data);
    }
    free(text);
}

static void test_thoughts_end_in_the_answer(void **state)
{
    (void)state;
    for_all(SEEDS, ends_in_answer);
    for_all(SEEDS, leads_to_answer);
}

/* ---- answers found in another way ------------------------------------------------------------------------------------------- */

static long long gcd(long long a, long long b)
{
    for (long long d = a < b ? a : b; d > 1; d--)
        if (a % d == 0 && b % d == 0) return d;
    return 1;
}

static bool truth_at(const char **p);

static bool truth_factor(const char **p)
{
    while (**p == ' ') ++*p;
    if (!strncmp(*p, "not ", 4)) {
        *p += 4;
        return !truth_factor(p);
    }
    if (**p == '(') {
        ++*p;
        bool v = truth_at(p);
        assert_int_equal(**p, ')');
        ++*p;
        return v;
    }
    bool v = !strncmp(*p, "True", 4);
    *p += v ? 4 : 5;
    return v;
}

/* Either all and, or all or: the generator puts brackets around everything else. */
static bool truth_at(const char **p)
{
    bool v = truth_factor(p);
    while (**p == ' ') {
        bool and = !strncmp(*p, " and ", 5);
        *p += and ? 5 : 4;
        bool w = truth_factor(p);
        v = and ? v && w : v || w;
    }
    return v;
}

static int weekday_of(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = day, .tm_hour = 12};
    timegm(&tm);
    return (tm.tm_wday + 6) % 7;
}

static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

static void calendar(const char *key, const char *answer, const char *name)
{
    int a, b, c, d, e, found = 0, last = -1;
    if (sscanf(key, "offset %d %d", &a, &b) == 2) assert_string_equal(answer, days[((a + b) % 7 + 7) % 7]);
    else if (sscanf(key, "leap %d", &a) == 1) assert_string_equal(answer, weekday_of(a, 1, 29) == weekday_of(a, 2, 1) ? "No" : "Yes");
    else if (sscanf(key, "first %d %d", &a, &b) == 2) assert_string_equal(answer, days[(a + b) % 7]);
    else if (sscanf(key, "date %d %d %d", &a, &b, &c) == 3) assert_string_equal(answer, days[weekday_of(a, b, c)]);
    else if (sscanf(key, "recurring %d %d %d %d", &a, &b, &c, &d) == 4) {
        for (int i = 1; i <= 31; i++) {
            struct tm tm = {.tm_year = a - 1900, .tm_mon = b, .tm_mday = i, .tm_hour = 12};
            timegm(&tm);
            if (tm.tm_mon != b || (tm.tm_wday + 6) % 7 != d) continue;
            last = i;
            if (++found == c + 1 && c < 4) break;
        }
        assert_int_equal(atoi(answer), last);
    } else if (sscanf(key, "range %d %d %d %d %d", &a, &b, &c, &d, &e) == 5) {
        for (int month = b, day = c;; day++) {
            struct tm tm = {.tm_year = 122, .tm_mon = month, .tm_mday = day, .tm_hour = 12};
            timegm(&tm);
            int w = (tm.tm_wday + 6) % 7;
            found += a == 9 ? w < 5 : w == a;
            if (tm.tm_mon == d && tm.tm_mday == e) break;
        }
        assert_int_equal(atoi(answer), found);
    } else {
        fail_msg("%s: %s", name, key);
    }
}

static void path(const char *key, const char *answer)
{
    int far[26], steps = 0;
    const char *end = key + strlen(key) - 4; /* "AB 1" */
    for (int i = 0; i < 26; i++) far[i] = -1;
    far[end[0] - 'A'] = 0;
    for (int round = 0; round < 26; round++)
        for (const char *p = key; p < end; p += 3) {
            int *a = &far[p[0] - 'A'], *b = &far[p[1] - 'A'];
            if (*a >= 0 && (*b < 0 || *b > *a + 1)) *b = *a + 1;
            if (*b >= 0 && (*a < 0 || *a > *b + 1)) *a = *b + 1;
        }
    if (end[3] == '0') {
        assert_int_equal(atoi(answer), far[end[1] - 'A']);
        return;
    }
    assert_int_equal(answer[0], end[0]);
    for (; answer[1]; answer += 3, steps++) {
        char there[3] = {answer[0], answer[3], 0}, back[3] = {answer[3], answer[0], 0};
        assert_true(strstr(key, there) || strstr(key, back));
    }
    assert_int_equal(answer[0], end[1]);
    assert_int_equal(steps, far[end[1] - 'A']);
}

static void sorted(const char *key, const char *answer)
{
    bool up = key[strlen(key) - 1] == '1';
    double before = up ? -1e9 : 1e9;
    int n = 0, m = 0;
    for (const char *p = answer; *p; n++) {
        char *end;
        p += strcspn(p, "-0123456789");
        if (!*p) break;
        double v = strtod(p, &end);
        assert_true(up ? v > before : v < before);
        before = v;
        p = end;
    }
    for (const char *p = key; (p = strchr(p, ' ')); p++) m++;
    assert_int_equal(n, m);
}

static void computed_again(const struct task_item *it, const char *name)
{
    const char *family = task_family_name((size_t)it->family), *key = strchr(it->key.data, ' ') + 1, *answer = it->answer.data;
    long long a, b, c, v;
    char digits[64];
    int from, to;
    if (!strcmp(family, "sum") || !strcmp(family, "arithmetic") || !strcmp(family, "product")) {
        assert_true(value_of(key, &v));
        if (v != atoll(answer)) fail_msg("%s: %s is %lld, not %s", name, key, v, answer);
    } else if (!strcmp(family, "equation")) {
        assert_int_equal(sscanf(key, "%lld*x + %lld = %lld", &a, &b, &c), 3);
        assert_int_equal(a * atoll(answer) + b, c);
    } else if (!strcmp(family, "gcd")) {
        char *p;
        for (v = strtoll(key, &p, 10); *p && p[1]; v = gcd(v, strtoll(p, &p, 10)))
            ;
        assert_int_equal(v, atoll(answer));
    } else if (!strcmp(family, "lcm")) {
        sscanf(key, "%lld %lld", &a, &b);
        for (v = a; v % b; v += a)
            ;
        assert_int_equal(v, atoll(answer));
    } else if (!strcmp(family, "fraction")) {
        long long p, q;
        sscanf(key, "%lld/%lld", &a, &b);
        sscanf(answer, "%lld/%lld", &p, &q);
        assert_int_equal(a * q, b * p);
        assert_int_equal(gcd(p, q), 1);
    } else if (!strcmp(family, "base")) {
        sscanf(key, "%63s %d %d", digits, &from, &to);
        assert_int_equal(strtol(digits, NULL, from), strtol(answer, NULL, to));
    } else if (!strcmp(family, "bits")) {
        assert_int_equal(__builtin_popcount((unsigned)atoi(key)), atoi(answer));
    } else if (!strcmp(family, "letters")) {
        int n = 0;
        for (const char *p = key + 2; *p; p++) n += tolower((unsigned char)*p) == key[0];
        assert_int_equal(n, atoi(answer));
    } else if (!strcmp(family, "backward")) {
        size_t n = strlen(key);
        assert_int_equal(strlen(answer), n);
        for (size_t i = 0; i < n; i++) assert_int_equal(key[i], answer[n - 1 - i]);
    } else if (!strcmp(family, "boolean")) {
        assert_string_equal(truth_at(&key) ? "True" : "False", answer);
    } else if (!strcmp(family, "calendar")) {
        calendar(key, answer, name);
    } else if (!strcmp(family, "path")) {
        path(key, answer);
    } else if (!strcmp(family, "sort")) {
        sorted(key, answer);
    } else if (!strcmp(family, "countdown")) {
        assert_true(value_of(answer, &v));
        assert_int_equal(v, atoll(strrchr(key, ' ')));
    } else if (!strcmp(family, "clock")) {
        if (sscanf(key, "end %lld %lld", &a, &b) == 2) {
            sscanf(answer, "%d:%d", &from, &to);
            assert_int_equal(from * 60 + to, a + b);
        } else {
            assert_int_equal(sscanf(key, "between %lld %lld", &a, &b), 2);
            assert_int_equal(atoll(answer), b - a);
        }
    } else if (!strcmp(family, "coin")) {
        int first, want, turns = 0;
        sscanf(key, "%d %d %d", &from, &first, &want);
        for (const char *p = key + 6; *p; p++) turns += *p == '1';
        int now = (first + turns) % 2;
        if (isupper((unsigned char)*answer) || !strcmp(answer, "heads") || !strcmp(answer, "tails"))
            assert_string_equal(answer, now ? "tails" : "heads");
        else
            assert_string_equal(answer, now == want ? "yes" : "no");
    } else if (!strcmp(family, "compare")) {
        bool more = key[strlen(key) - 1] == '1';
        double best = strtod(answer, NULL);
        char *end;
        for (const char *p = key; strchr(p, ' '); p = end + 1) {
            double w = strtod(p, &end);
            assert_true(more ? w <= best : w >= best);
        }
        assert_non_null(strstr(key, answer));
    } else if (!strcmp(family, "order")) {
        char pattern[40];
        bool most = key[strlen(key) - 1] == '1';
        snprintf(pattern, sizeof pattern, most ? ">%s " : "%s>", answer);
        for (const char *p = key; (p = strstr(p, pattern)); p++) /* nobody is above the first or below the last */
            if (most || p == key || p[-1] == ' ') fail_msg("%s: %s in %s", name, answer, key);
    }
}

static void test_answers_are_right(void **state)
{
    (void)state;
    for_all(SEEDS, computed_again);
}

/* ---- the whole set ------------------------------------------------------------------------------------------------------------ */

static uint64_t digest;

static void add_to_digest(const struct task_item *it, const char *name)
{
    const struct str *all[] = {&it->question, &it->thought, &it->reply, &it->answer, &it->key};
    (void)name;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (size_t k = 0; k <= all[i]->len; k++) digest = (digest ^ (unsigned char)all[i]->data[k]) * UINT64_C(0x100000001b3);
}

static void test_same_on_every_machine(void **state)
{
    (void)state;
    struct task_random r = {1234567};
    assert_true(task_random_next(&r) == UINT64_C(6457827717110365317)); /* as published with the generator */
    assert_true(task_random_next(&r) == UINT64_C(3203168211198807973));
    digest = UINT64_C(0xcbf29ce484222325);
    for_all(40, add_to_digest);
    if (digest != DIGEST) fail_msg("the items changed: their digest is 0x%llx", (unsigned long long)digest);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The keys of n items, sorted; the caller frees. */
static char **keys_of(size_t family, int level, enum task_half half, int n, int *made)
{
    struct task_item it = {0};
    char **keys = calloc((size_t)n, sizeof *keys);
    struct err e;
    *made = 0;
    for (int i = 0; i < n; i++) {
        if (task_make(&it, family, level, 3, (uint64_t)i, half, &e)) continue;
        keys[(*made)++] = mem_dup_text(it.key.data, it.key.len);
        assert_int_equal(task_is_held_out(it.key.data, it.key.len), half == TASK_HELD_OUT);
    }
    qsort(keys, (size_t)*made, sizeof *keys, by_text);
    task_item_release(&it);
    return keys;
}

static void free_keys(char **keys, int n)
{
    for (int i = 0; i < n; i++) free(keys[i]);
    free(keys);
}

static void test_halves_never_meet(void **state)
{
    (void)state;
    for (size_t f = 0; f < task_families(); f++)
        for (int level = 1; level <= TASK_LEVELS; level += 2) {
            int n, m;
            char **training = keys_of(f, level, TASK_TRAINING, 300, &n), **held = keys_of(f, level, TASK_HELD_OUT, 60, &m);
            assert_int_equal(n, 300);
            if (!m) fail_msg("%s level %d has nothing held out", task_family_name(f), level);
            for (int i = 0; i < m; i++) assert_null(bsearch(&held[i], training, (size_t)n, sizeof *training, by_text));
            free_keys(training, n);
            free_keys(held, m);
        }
}

static void test_items_differ(void **state)
{
    (void)state;
    for (size_t f = 0; f < task_families(); f++) {
        int n, different = 1;
        if (!strcmp(task_family_name(f), "direct")) continue; /* a list of facts */
        char **keys = keys_of(f, 4, TASK_TRAINING, 300, &n);
        for (int i = 1; i < n; i++) different += strcmp(keys[i], keys[i - 1]) != 0;
        if (different < 240) fail_msg("%s: of 300 items %d are different", task_family_name(f), different);
        free_keys(keys, n);
    }
}

static void test_levels_grow(void **state)
{
    struct task_item it = {0};
    struct err e;
    (void)state;
    for (size_t f = 0; f < task_families(); f++) {
        double mean[TASK_LEVELS] = {0};
        if (!strcmp(task_family_name(f), "direct")) continue;
        for (int level = 1; level <= TASK_LEVELS; level++)
            for (int i = 0; i < 300; i++) {
                assert_int_equal(task_make(&it, f, level, 5, (uint64_t)i, TASK_ANY, &e), 0);
                mean[level - 1] += (double)(it.thought.len + it.question.len) / 300;
            }
        for (int i = 1; i < TASK_LEVELS; i++)
            if (mean[i] < 0.93 * mean[i - 1]) fail_msg("%s: level %d takes %.0f bytes, level %d %.0f", task_family_name(f), i, mean[i - 1], i + 1, mean[i]);
        if (mean[4] < 1.15 * mean[0]) fail_msg("%s: level 1 takes %.0f bytes and level 5 only %.0f", task_family_name(f), mean[0], mean[4]);
    }
    task_item_release(&it);
}

static int slips, long_ones, n_items;

static void count_slip(const struct task_item *it, const char *name)
{
    (void)name;
    if (it->level > 3) return;
    n_items++;
    slips += it->slip.len > 0;
    long_ones += it->thought.len > 420;
}

static void test_slips_and_lengths(void **state)
{
    (void)state;
    slips = long_ones = n_items = 0;
    for_all(SEEDS, count_slip);
    assert_in_range(slips, n_items * 3 / 100, n_items * 10 / 100);
    assert_in_range(long_ones, 0, n_items / 50);
}

static void test_refuses_what_is_not_there(void **state)
{
    struct task_item it = {0};
    struct err e = {0};
    (void)state;
    assert_int_equal(task_make(&it, task_families(), 1, 1, 1, TASK_ANY, &e), ERR_INVALID);
    assert_int_equal(task_make(&it, 0, 0, 1, 1, TASK_ANY, &e), ERR_INVALID);
    assert_int_equal(task_make(&it, 0, TASK_LEVELS + 1, 1, 1, TASK_ANY, &e), ERR_INVALID);
    assert_int_equal(task_family_by_name("nothing"), -1);
    assert_true(task_families() >= 16);
    for (size_t f = 0; f < task_families(); f++) assert_int_equal(task_family_by_name(task_family_name(f)), (int)f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_is_true),  cmocka_unit_test(test_thoughts_end_in_the_answer), cmocka_unit_test(test_answers_are_right),
        cmocka_unit_test(test_same_on_every_machine), cmocka_unit_test(test_halves_never_meet),        cmocka_unit_test(test_items_differ),
        cmocka_unit_test(test_levels_grow),         cmocka_unit_test(test_slips_and_lengths),          cmocka_unit_test(test_refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
