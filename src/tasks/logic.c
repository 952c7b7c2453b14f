/* logic.c - families of rules and search: boolean, coin, path, countdown, order. */
#include "tasks/internal.h"

#include <string.h>

typedef long long ll;

/* ---- boolean ----------------------------------------------------------------------------------------------------------- */

static const char *truth(bool v)
{
    return v ? "True" : "False";
}

/* Writes an expression of so many values into out, says how it is worked out, and returns its value. top: no brackets around it. */
static bool boolean(struct maker *m, struct str *out, int leaves, bool top)
{
    if (leaves == 1) {
        bool v = chance(m, 50), not = chance(m, m->level == 1 ? 20 : 35);
        str_addf(out, not ? "not %s" : "%s", truth(v));
        if (not) say(m, "not %s is %s.", truth(v), truth(!v));
        return not ? !v : v;
    }
    int left = draw(m, 1, leaves - 1);
    bool and = chance(m, 50), a, b, value;
    if (!top) str_add(out, "(");
    a = boolean(m, out, left, false);
    str_add(out, and ? " and " : " or ");
    b = boolean(m, out, leaves - left, false);
    if (!top) str_add(out, ")");
    value = and ? a && b : a || b;
    say(m, "%s %s %s is %s.", truth(a), and ? "and" : "or", truth(b), truth(value));
    return value;
}

void make_boolean(struct maker *m)
{
    static const int low[] = {2, 2, 3, 4, 6}, high[] = {2, 3, 4, 6, 8};
    static const char *const forms[] = {"Is this true or false: %s?", "Evaluate: %s", "What is the value of %s?", "Work out the boolean expression %s. Answer True or False."};
    struct str text = STR_EMPTY;
    bool v = boolean(m, &text, draw(m, low[m->level - 1], high[m->level - 1]), true);
    const char *form = PICK(m, forms), *at = strstr(form, "%s");
    ask(m, "%.*s%s%s", (int)(at - form), form, str_cstr(&text), at + 2);
    key(m, "%s", str_cstr(&text));
    str_release(&text);
    answer(m, TASK_WORD, "%s", truth(v));
}

/* ---- coin -------------------------------------------------------------------------------------------------------------- */

static void some_names(struct maker *m, const char *names[], int n)
{
    for (int i = 0; i < n;) {
        names[i] = a_name(m);
        bool twice = false;
        for (int k = 0; k < i; k++) twice = twice || names[k] == names[i];
        i += !twice;
    }
}

void make_coin(struct maker *m)
{
    static const int low[] = {1, 2, 4, 5, 7}, high[] = {2, 4, 5, 8, 12};
    static const struct {
        const char *thing, *state[2], *verb, *not;
    } things[] = {{"coin", {"heads up", "tails up"}, "flips it", "does not flip it"}, {"coin", {"heads up", "tails up"}, "turns the coin over", "does not turn the coin over"}, {"lamp", {"on", "off"}, "presses the switch", "does not press the switch"},
                  {"card", {"face up", "face down"}, "turns it over", "leaves it as it is"}, {"door", {"open", "closed"}, "changes it", "leaves it alone"}};
    int n = draw(m, low[m->level - 1], high[m->level - 1]), which = draw(m, 0, (int)ARRAY_LEN(things) - 1), now = which < 2 ? 0 : draw(m, 0, 1), want = draw(m, 0, 1), begin = now;
    const char *names[12];
    some_names(m, names, n);
    ask(m, "A %s is %s.", things[which].thing, things[which].state[now]);
    key(m, "%d %d %d ", which, now, want);
    say(m, "It begins %s.", things[which].state[now]);
    for (int i = 0; i < n; i++) {
        bool turn = chance(m, 55);
        ask(m, " %s %s.", names[i], turn ? things[which].verb : things[which].not);
        key(m, "%s%d", names[i], turn);
        now ^= turn;
        if (turn)
            say(m, "%s changes it: %s.", names[i], things[which].state[now]);
        else
            say(m, "%s does not: %s.", names[i], things[which].state[now]);
    }
    if (which < 2 && chance(m, 40)) {
        ask(m, " Is it heads or tails now?");
        answer(m, TASK_WORD, "%s", now ? "tails" : "heads");
    } else {
        bool still = want == begin;
        ask(m, still ? " Is the %s still %s?" : " Is the %s %s now?", things[which].thing, things[which].state[want]);
        say(m, now == want ? "It is %s, as asked." : "It is %s, not %s.", things[which].state[now], things[which].state[want]);
        answer(m, TASK_WORD, "%s", now == want ? "yes" : "no");
        reply(m, now == want ? "Yes." : "No.");
    }
}

/* ---- path -------------------------------------------------------------------------------------------------------------- */

#define TOWNS_MAX 9

struct map {
    int n;
    bool road[TOWNS_MAX][TOWNS_MAX];
    int far[TOWNS_MAX], ways[TOWNS_MAX], from[TOWNS_MAX], order[TOWNS_MAX], reached;
};

static void walk(struct map *g)
{
    for (int i = 0; i < g->n; i++) g->far[i] = -1, g->ways[i] = 0;
    g->far[0] = 0;
    g->ways[0] = 1;
    g->order[0] = 0;
    g->reached = 1;
    for (int i = 0; i < g->reached; i++) {
        int a = g->order[i];
        for (int b = 0; b < g->n; b++) {
            if (!g->road[a][b]) continue;
            if (g->far[b] < 0) {
                g->far[b] = g->far[a] + 1;
                g->from[b] = a;
                g->order[g->reached++] = b;
            }
            if (g->far[b] == g->far[a] + 1) g->ways[b] += g->ways[a];
        }
    }
}

static void draw_map(struct maker *m, struct map *g, int n, int more)
{
    *g = (struct map){.n = n};
    for (int i = 1; i < n; i++) {
        int k = draw(m, i > 3 ? i - 3 : 0, i - 1);
        g->road[i][k] = g->road[k][i] = true;
    }
    for (int i = 0; i < more; i++) {
        int a = draw(m, 0, n - 1), b = draw(m, 0, n - 1);
        if (a != b) g->road[a][b] = g->road[b][a] = true;
    }
}

/* The places reached one road further at a time, until the goal is among them. */
static void work_path(struct maker *m, const struct map *g, const char *towns, int goal)
{
    say(m, "From %c:", towns[0]);
    bool first = true;
    for (int b = 1; b < g->n; b++)
        if (g->far[b] == 1) {
            go_on(m, first ? " %c" : ", %c", towns[b]);
            first = false;
        }
    go_on(m, " in 1.");
    for (int i = 1; i < g->reached; i++) {
        int a = g->order[i];
        if (g->far[a] >= g->far[goal]) break;
        say(m, "From %c:", towns[a]);
        first = true;
        for (int b = 0; b < g->n; b++)
            if (g->far[b] == g->far[a] + 1 && g->from[b] == a) {
                go_on(m, first ? " %c" : ", %c", towns[b]);
                first = false;
            }
        go_on(m, first ? " nothing new." : " in %d.", g->far[a] + 1);
    }
    int way[TOWNS_MAX], n = 0;
    for (int b = goal; b; b = g->from[b]) way[n++] = b;
    say(m, "The way is %c", towns[0]);
    while (n) go_on(m, ", %c", towns[way[--n]]);
    go_on(m, ".");
}

void make_path(struct maker *m)
{
    static const int low[] = {3, 4, 5, 6, 7}, high[] = {4, 5, 6, 7, 9}, least[] = {1, 2, 2, 3, 3};
    struct map g;
    int goal = 0, letters[26], roads[TOWNS_MAX * TOWNS_MAX], n_roads = 0;
    char towns[TOWNS_MAX];
    for (int i = 0; i < 26; i++) letters[i] = 'A' + i;
    shuffle(m, letters, 26);
    do {
        draw_map(m, &g, draw(m, low[m->level - 1], high[m->level - 1]), m->level);
        walk(&g);
        for (int i = 1; i < g.n; i++)
            if (g.far[i] > g.far[goal] && g.ways[i] == 1) goal = i;
    } while (!goal || g.far[goal] < least[m->level - 1] || g.ways[goal] != 1);
    for (int i = 0; i < g.n; i++) towns[i] = (char)letters[i];
    for (int a = 0; a < g.n; a++)
        for (int b = 0; b < a; b++)
            if (g.road[a][b]) roads[n_roads++] = a * TOWNS_MAX + b;
    shuffle(m, roads, n_roads);
    ask(m, "There are roads between these towns: ");
    for (int i = 0; i < n_roads; i++) {
        int a = roads[i] / TOWNS_MAX, b = roads[i] % TOWNS_MAX, turn = chance(m, 50);
        ask(m, i ? ", %c-%c" : "%c-%c", towns[turn ? b : a], towns[turn ? a : b]);
        key(m, "%c%c ", towns[a], towns[b]);
    }
    bool route = m->level > 1 && chance(m, 50);
    ask(m, route ? ". Which towns are on the shortest way from %c to %c? List them in order, with both ends." : ". How many roads does the shortest way from %c to %c have?", towns[0], towns[goal]);
    key(m, "%c%c %d", towns[0], towns[goal], route);
    work_path(m, &g, towns, goal);
    if (!route) {
        answer_number(m, g.far[goal]);
        return;
    }
    struct str text = STR_EMPTY;
    int way[TOWNS_MAX], n = 0;
    for (int b = goal; b; b = g.from[b]) way[n++] = b;
    str_addf(&text, "%c", towns[0]);
    while (n) str_addf(&text, ", %c", towns[way[--n]]);
    m->bare = true;
    answer(m, TASK_TEXT, "%s", str_cstr(&text));
    str_release(&text);
}

/* ---- countdown ---------------------------------------------------------------------------------------------------------- */

static int64_t apply(int64_t a, char op, int64_t b)
{
    return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

/* A try that fails: the numbers in some order, with some signs. Nothing is said when it would succeed or leave the small numbers. */
static void try_in_vain(struct maker *m, const int *numbers, int n, int64_t target)
{
    int order[4];
    char ops[4];
    int64_t v;
    memcpy(order, numbers, (size_t)n * sizeof *order);
    shuffle(m, order, n);
    for (int i = 1; i < n; i++) ops[i] = "+-*"[draw(m, 0, 2)];
    v = order[0];
    for (int i = 1; i < n; i++) {
        v = apply(v, ops[i], order[i]);
        if (v < 0 || v > 999) return;
    }
    if (v == target) return;
    say(m, "Try ");
    v = order[0];
    for (int i = 1; i < n; i++) {
        go_on(m, i > 1 ? ", %lld %c %d" : "%lld %c %d", (ll)v, ops[i], order[i]);
        v = apply(v, ops[i], order[i]);
        go_on(m, " = %lld", (ll)v);
    }
    go_on(m, ", not %lld.", (ll)target);
}

/* Writes the way there that is known, after some that lead elsewhere. */
static void try_until_right(struct maker *m, const int *numbers, const char *ops, int n, int64_t target, struct str *out)
{
    int64_t sum = numbers[0];
    bool low = false; /* its last operation binds less than a product */
    for (int i = m->level > 4 ? draw(m, 4, 8) : draw(m, 2, 5); i > 0; i--) try_in_vain(m, numbers, n, target);
    say(m, "Try ");
    str_addf(out, "%d", numbers[0]);
    for (int i = 1; i < n; i++) {
        if (ops[i] == '*' && low) {
            str_insert(out, 0, "(", 1);
            str_add(out, ")");
        }
        low = ops[i] != '*';
        str_addf(out, " %c %d", ops[i], numbers[i]);
        go_on(m, i > 1 ? ", %lld %c %d" : "%lld %c %d", (ll)sum, ops[i], numbers[i]);
        sum = apply(sum, ops[i], numbers[i]);
        go_on(m, " = %lld", (ll)sum);
    }
    go_on(m, ". That is right.");
}

static const char signs[] = "+-*";

static void larger_first(int pair[2])
{
    if (pair[0] >= pair[1]) return;
    int t = pair[0];
    pair[0] = pair[1];
    pair[1] = t;
}

/* Sum, difference and product, until one is the target. */
static void search_two(struct maker *m, const int *shown, int64_t target, struct str *out)
{
    int pair[] = {shown[0], shown[1]};
    larger_first(pair);
    line(m);
    for (int i = 0; i < 3; i++) {
        int64_t v = apply(pair[0], signs[i], pair[1]);
        go_on(m, i ? ". %d %c %d = %lld" : "%d %c %d = %lld", pair[0], signs[i], pair[1], (ll)v);
        if (v != target) {
            go_on(m, ", not %lld", (ll)target);
            continue;
        }
        str_addf(out, "%d %c %d", pair[0], signs[i], pair[1]);
        return;
    }
}

/* What the other two must come to if this number is the last: what they do come to is compared with that. */
static bool search_last(struct maker *m, int last, int pair[2], int64_t target, struct str *out)
{
    int64_t need[3] = {target - last, target + last, last > 1 && target % last == 0 ? target / last : -1}, v[3];
    larger_first(pair);
    say(m, "Last %d:", last);
    if (need[0] >= 0) go_on(m, " %lld - %d = %lld,", (ll)target, last, (ll)need[0]);
    go_on(m, " %lld + %d = %lld", (ll)target, last, (ll)need[1]);
    if (need[2] >= 0) go_on(m, ", %lld / %d = %lld", (ll)target, last, (ll)need[2]);
    go_on(m, ".");
    for (int i = 0; i < 3; i++) {
        v[i] = apply(pair[0], signs[i], pair[1]);
        go_on(m, i ? ", %d %c %d = %lld" : " %d %c %d = %lld", pair[0], signs[i], pair[1], (ll)v[i]);
        for (int k = 0; k < 3; k++) {
            if (need[k] < 0 || v[i] != need[k]) continue;
            go_on(m, ", yes. %lld %c %d = %lld", (ll)v[i], signs[k], last, (ll)target);
            str_addf(out, signs[k] == '*' && signs[i] != '*' ? "(%d %c %d) %c %d" : "%d %c %d %c %d", pair[0], signs[i], pair[1], signs[k], last);
            return true;
        }
    }
    go_on(m, ", no.");
    return false;
}

static void search_three(struct maker *m, const int *shown, int64_t target, struct str *out)
{
    for (int i = 0; i < 3; i++) {
        int pair[] = {shown[i == 0], shown[i == 2 ? 1 : 2]};
        if (search_last(m, shown[i], pair, target, out)) return;
    }
}

void make_countdown(struct maker *m)
{
    static const int count[] = {2, 3, 3, 4, 4}, high[] = {10, 10, 25, 12, 50};
    int n = count[m->level - 1], numbers[4] = {0}, shown[4];
    char ops[4];
    int64_t v;
    do {
        for (int i = 0; i < n; i++) numbers[i] = draw(m, 1, high[m->level - 1]);
        for (int i = 1; i < n; i++) ops[i] = "++--*"[draw(m, 0, 4)];
        v = numbers[0];
        for (int i = 1; i < n && v >= 0; i++) v = apply(v, ops[i], numbers[i]);
    } while (v < 1 || v > 999);
    memcpy(shown, numbers, sizeof shown);
    shuffle(m, shown, n);
    ask(m, draw(m, 0, 1) ? "Make %lld from the numbers " : "Find an expression that equals %lld and uses each of these numbers once: ", (ll)v);
    for (int i = 0; i < n; i++) {
        ask(m, i ? ", %d" : "%d", shown[i]);
        key(m, "%d ", shown[i]);
    }
    key(m, "%lld", (ll)v);
    ask(m, ". Use +, - and *, each number once, and write only the expression.");
    struct str text = STR_EMPTY;
    if (n == 2)
        search_two(m, shown, v, &text);
    else if (n == 3)
        search_three(m, shown, v, &text);
    else
        try_until_right(m, numbers, ops, n, v, &text);
    m->bare = true;
    answer(m, TASK_EXPRESSION, "%s", str_cstr(&text));
    str_release(&text);
}

/* ---- order -------------------------------------------------------------------------------------------------------------- */

void make_order(struct maker *m)
{
    static const struct {
        const char *more, *less, *most, *least;
    } words[] = {{"older", "younger", "the oldest", "the youngest"}, {"taller", "shorter", "the tallest", "the shortest"}, {"faster", "slower", "the fastest", "the slowest"},
                 {"heavier", "lighter", "the heaviest", "the lightest"}, {"richer", "poorer", "the richest", "the poorest"}};
    static const int low[] = {3, 3, 4, 5, 6}, high[] = {3, 4, 5, 6, 8};
    int n = draw(m, low[m->level - 1], high[m->level - 1]), which = draw(m, 0, (int)ARRAY_LEN(words) - 1), places[8];
    const char *names[8];
    bool most = chance(m, 50);
    some_names(m, names, n);
    for (int i = 0; i + 1 < n; i++) places[i] = i;
    shuffle(m, places, n - 1);
    for (int i = 0; i + 1 < n; i++) {
        int p = places[i];
        if (m->level > 1 && chance(m, 40))
            ask(m, "%s is %s than %s. ", names[p + 1], words[which].less, names[p]);
        else
            ask(m, "%s is %s than %s. ", names[p], words[which].more, names[p + 1]);
        key(m, "%s>%s ", names[p], names[p + 1]);
    }
    key(m, "%d %d", which, most);
    ask(m, "Who is %s?", most ? words[which].most : words[which].least);
    /* a chain that grows at its ends, as the sentences allow */
    int from = places[0], to = places[0] + 1;
    say(m, "From %s on: %s, %s.", words[which].most, names[from], names[to]);
    while (to - from + 1 < n) {
        if (from > 0)
            say(m, "%s is %s than %s:", names[from - 1], words[which].more, names[from]), from--;
        else
            say(m, "%s is %s than %s:", names[to + 1], words[which].less, names[to]), to++;
        for (int i = from; i <= to; i++) go_on(m, i > from ? ", %s" : " %s", names[i]);
        go_on(m, ".");
    }
    const char *who = names[most ? 0 : n - 1];
    answer(m, TASK_TEXT, "%s", who);
    reply(m, "%s is %s.", who, most ? words[which].most : words[which].least);
}
