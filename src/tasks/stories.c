/*
 * stories.c - word problems from templates. In a text #N and #M are names, #h/#H/#s he/He/his of #N, #o things, #a to #e the given numbers,
 * #p to #s' results; '|' is where a sentence that does not matter may stand. Each step takes two values and makes the next result: p, q, r, t.
 */
#include "tasks/internal.h"

#include <string.h>

#define GIVEN    5
#define RESULTS  4
#define TRIES    20000

struct step {
    const char *words; /* in front of the calculation */
    char x, op, y;     /* a to e given, p q r t results, digits a constant: 'H' 100, '2' to '9' themselves */
};
struct story {
    int level;
    const char *text;
    struct {
        int low, high;
    } given[GIVEN];
    struct step steps[RESULTS];
    const char *reply; /* with #= for the answer */
};

static const struct story stories[] = {
    {1, "#N has #a #o. #M gives #i #b more.| How many #o does #N have now?", {{2, 20}, {2, 15}}, {{"Together:", 'a', '+', 'b'}}, "#N has #= #o now."},
    {1, "#N has #a #o and gives #b of them to #M.| How many #o does #N have left?", {{6, 30}, {2, 20}}, {{"What is left:", 'a', '-', 'b'}}, "#N has #= #o left."},
    {1, "There are #a bags with #b #o in each.| How many #o are there in all?", {{2, 10}, {2, 10}}, {{"All bags:", 'a', '*', 'b'}}, "There are #= #o."},
    {1, "#N shares #a #o equally among #b friends.| How many #o does each friend get?", {{4, 60}, {2, 9}}, {{"For each:", 'a', '/', 'b'}}, "Each friend gets #= #o."},
    {1, "#N is #a years old. #M is #b years older.| How old is #M?", {{5, 40}, {2, 20}}, {{"#M is older:", 'a', '+', 'b'}}, "#M is #= years old."},
    {1, "A book has #a pages. #N has read #b of them.| How many pages are left to read?", {{20, 90}, {5, 60}}, {{"Left:", 'a', '-', 'b'}}, "#= pages are left."},
    {2, "#N has #a #o. #H buys #b boxes of #c #o each.| How many #o does #N have now?", {{2, 30}, {2, 9}, {2, 9}}, {{"In the boxes:", 'b', '*', 'c'}, {"With those from before:", 'a', '+', 'p'}}, "#N has #= #o now."},
    {2, "#N has #a #o. #H gets #b cans with #c #o in each can.| How many #o does #h have now?", {{2, 20}, {2, 6}, {2, 6}}, {{"In the cans:", 'b', '*', 'c'}, {"In all:", 'a', '+', 'p'}}, "#N has #= #o now."},
    {2, "A shop has #a #o. It sells #b in the morning and #c in the afternoon.| How many #o are left?", {{30, 90}, {3, 30}, {3, 30}}, {{"Sold:", 'b', '+', 'c'}, {"Left:", 'a', '-', 'p'}}, "#= #o are left."},
    {2, "#N buys #a #o for $#b each and pays with $#c.| How many dollars does #h get back?", {{2, 9}, {2, 9}, {10, 100}}, {{"The price:", 'a', '*', 'b'}, {"Back:", 'c', '-', 'p'}}, "#N gets $#= back."},
    {2, "#N reads #a pages a day for #b days. The book has #c pages.| How many pages are left?", {{3, 20}, {2, 9}, {30, 200}}, {{"Read so far:", 'a', '*', 'b'}, {"Left:", 'c', '-', 'p'}}, "#= pages are left."},
    {2, "#N has #a #o. #M has #b more than #N.| How many #o do they have together?", {{3, 40}, {2, 20}}, {{"#M has:", 'a', '+', 'b'}, {"Together:", 'a', '+', 'p'}}, "Together they have #= #o."},
    {2, "#N has #a #o. #M has #b times as many.| How many #o do they have together?", {{3, 15}, {2, 6}}, {{"#M has:", 'a', '*', 'b'}, {"Together:", 'a', '+', 'p'}}, "Together they have #= #o."},
    {2, "There are #a people on a bus. At a stop #b get off and #c get on.| How many people are on the bus now?", {{10, 60}, {2, 20}, {2, 20}}, {{"After some get off:", 'a', '-', 'b'}, {"After some get on:", 'p', '+', 'c'}}, "There are #= people on the bus."},
    {2, "#N had #a #o and gave half of them to #M. Then #h found #b more.| How many #o does #N have now?", {{4, 60}, {2, 20}}, {{"Half:", 'a', '/', '2'}, {"With those found:", 'p', '+', 'b'}}, "#N has #= #o now."},
    {2, "A ribbon is #a cm long. #N cuts off #b cm and cuts the rest into pieces of #c cm.| How many pieces are there?", {{20, 99}, {2, 20}, {2, 9}}, {{"The rest:", 'a', '-', 'b'}, {"Pieces:", 'p', '/', 'c'}}, "There are #= pieces."},
    {3, "#N earns $#a an hour and works #b hours a day for #c days.| How many dollars does #h earn?", {{5, 20}, {2, 8}, {2, 6}}, {{"A day:", 'a', '*', 'b'}, {"All days:", 'p', '*', 'c'}}, "#N earns $#=."},
    {3, "A box has #a #o, and a bag has #b #o. #N buys #c boxes and #d bags.| How many #o does #h buy?", {{3, 15}, {2, 12}, {2, 6}, {2, 6}}, {{"Boxes:", 'a', '*', 'c'}, {"Bags:", 'b', '*', 'd'}, {"Together:", 'p', '+', 'q'}}, "#N buys #= #o."},
    {3, "#N bakes #a trays of #b cakes. #H eats #c cakes and puts the rest into boxes of #d.| How many boxes are full?", {{2, 6}, {4, 12}, {1, 9}, {2, 9}}, {{"Baked:", 'a', '*', 'b'}, {"After eating:", 'p', '-', 'c'}, {"Boxes:", 'q', '/', 'd'}}, "#= boxes are full."},
    {3, "#N walks #a km each day for #b days. #M walks #c km each day for #d days.| How many km do they walk together?", {{2, 12}, {2, 9}, {2, 12}, {2, 9}}, {{"#N walks:", 'a', '*', 'b'}, {"#M walks:", 'c', '*', 'd'}, {"Together:", 'p', '+', 'q'}}, "Together they walk #= km."},
    {3, "#N is #a years old. #M is #b years older.| How old will #M be in #c years?", {{5, 40}, {2, 20}, {2, 15}}, {{"#M now:", 'a', '+', 'b'}, {"Later:", 'p', '+', 'c'}}, "#M will be #= years old."},
    {3, "#N wants a bicycle for $#c. #H has $#b and saves $#a each week.| After how many weeks can #h buy it?", {{3, 15}, {5, 60}, {40, 200}}, {{"Still missing:", 'c', '-', 'b'}, {"Weeks:", 'p', '/', 'a'}}, "After #= weeks."},
    {3, "#N has #a packs of #b #o and gives #c #o to each of #d friends.| How many #o are left?", {{3, 9}, {5, 20}, {2, 9}, {2, 6}}, {{"At first:", 'a', '*', 'b'}, {"Given away:", 'c', '*', 'd'}, {"Left:", 'p', '-', 'q'}}, "#= #o are left."},
    {3, "Each of #a children brings #b #o. #c of the #o are broken.| How many good #o are there?", {{3, 15}, {2, 9}, {2, 20}}, {{"Brought:", 'a', '*', 'b'}, {"Good:", 'p', '-', 'c'}}, "There are #= good #o."},
    {3, "#N has #a #o. #M has #b fewer than #N, and Pat has #c times as many as #M.| How many #o does Pat have?", {{8, 30}, {2, 15}, {2, 6}}, {{"#M has:", 'a', '-', 'b'}, {"Pat has:", 'p', '*', 'c'}}, "Pat has #= #o."},
    {4, "A hall has #a rows of #b seats, and #c seats stay empty. A ticket costs $#d.| How many dollars are taken?", {{4, 12}, {5, 15}, {2, 30}, {2, 9}}, {{"Seats:", 'a', '*', 'b'}, {"Sold:", 'p', '-', 'c'}, {"Money:", 'q', '*', 'd'}}, "$#= are taken."},
    {4, "A cake for #a people needs #b eggs.| How many eggs does a cake for #c people need?", {{2, 9}, {2, 9}, {8, 60}}, {{"So many times as large:", 'c', '/', 'a'}, {"Eggs:", 'p', '*', 'b'}}, "It needs #= eggs."},
    {4, "A tank holds #a liters and has #d liters in it. Every hour #b liters flow in and #c liters flow out.| After how many hours is it full?", {{40, 200}, {6, 20}, {1, 9}, {5, 60}}, {{"Missing:", 'a', '-', 'd'}, {"Gained each hour:", 'b', '-', 'c'}, {"Hours:", 'p', '/', 'q'}}, "It is full after #= hours."},
    {4, "A garden is #a m long and #b m wide. #N has #c m of fence for its border.| How many meters of fence are missing?", {{8, 40}, {5, 30}, {5, 60}}, {{"Length and width:", 'a', '+', 'b'}, {"The border:", 'p', '*', '2'}, {"Missing:", 'q', '-', 'c'}}, "#= m are missing."},
    {4, "#N buys #a #o for $#b each and #c hats for $#d each and has $#e.| How many dollars are left?", {{2, 9}, {2, 9}, {2, 6}, {3, 12}, {40, 200}}, {{"The #o:", 'a', '*', 'b'}, {"The hats:", 'c', '*', 'd'}, {"Together:", 'p', '+', 'q'}, {"Left:", 'e', '-', 'r'}}, "$#= are left."},
    {4, "#N makes #a #o an hour, and #M makes #b an hour. They work #c hours together and sell #d #o.| How many #o are left?", {{3, 15}, {3, 15}, {2, 9}, {5, 60}}, {{"Both in an hour:", 'a', '+', 'b'}, {"Made:", 'p', '*', 'c'}, {"Left:", 'q', '-', 'd'}}, "#= #o are left."},
    {5, "A coat costs $#a. It is sold for #b percent less.| How many dollars does it cost now?", {{20, 400}, {5, 75}}, {{"So many parts of a hundred:", 'a', '*', 'b'}, {"Off:", 'p', '/', 'H'}, {"Now:", 'a', '-', 'q'}}, "It costs $#= now."},
    {5, "#N scored #a, #b and #c points in three games.| What is the average?", {{5, 60}, {5, 60}, {5, 60}}, {{"The first two:", 'a', '+', 'b'}, {"All three:", 'p', '+', 'c'}, {"Average:", 'q', '/', '3'}}, "The average is #=."},
    {5, "A farm fills #a crates of #b apples and #c crates of #d pears. #e fruits are bad.| How many good fruits are there?", {{4, 20}, {10, 40}, {4, 20}, {10, 40}, {5, 60}}, {{"Apples:", 'a', '*', 'b'}, {"Pears:", 'c', '*', 'd'}, {"Together:", 'p', '+', 'q'}, {"Good:", 'r', '-', 'e'}}, "There are #= good fruits."},
    {5, "A train has #a cars with #b seats each. #c people get on, then #d get off and #e more get on.| How many seats are free?", {{4, 12}, {20, 60}, {50, 200}, {10, 60}, {5, 60}}, {{"Seats:", 'a', '*', 'b'}, {"After some get off:", 'c', '-', 'd'}, {"After more get on:", 'q', '+', 'e'}, {"Free:", 'p', '-', 'r'}}, "#= seats are free."},
};

static const char *const things[] = {"apples", "pears", "tennis balls", "marbles", "stickers", "books", "pencils", "cookies", "eggs", "toy cars", "stamps", "shells", "flowers", "cards", "coins",
                                     "cups", "plums", "buttons", "candles", "photos", "stones", "oranges", "balloons", "keys", "ribbons", "nuts", "beads", "postcards", "tickets", "muffins"};
/* Sentences that do not matter; %d a number, # the name. */
static const char *const idle[] = {" #N's house has %d windows.", " #N is %d cm tall.", " It is %d degrees outside.", " #N's sister is %d years old.", " The bus comes every %d minutes.", " #N has %d cousins.",
                                   " The shop closes in %d minutes.", " Yesterday #N slept %d hours."};

/* Names of women and men stand in turn in the list: the place tells which. */
struct cast {
    const char *name, *other, *thing;
    bool woman;
    int64_t given[GIVEN], results[RESULTS];
    int n_results;
};

static int64_t value_of(const struct cast *c, char v)
{
    if (v == 'H') return 100;
    if (v >= '0' && v <= '9') return v - '0';
    if (v >= 'a' && v <= 'e') return c->given[v - 'a'];
    return c->results[v == 't' ? 3 : v - 'p'];
}

static void put(struct str *out, const struct cast *c, const char *text)
{
    for (; *text; text++) {
        if (*text != '#') {
            str_add_char(out, *text);
            continue;
        }
        switch (*++text) {
        case 'N': str_add(out, c->name); break;
        case 'M': str_add(out, c->other); break;
        case 'o': str_add(out, c->thing); break;
        case 'h': str_add(out, c->woman ? "she" : "he"); break;
        case 'H': str_add(out, c->woman ? "She" : "He"); break;
        case 'i': str_add(out, c->woman ? "her" : "him"); break;
        case '=': str_addf(out, "%lld", (long long)c->results[c->n_results - 1]); break;
        default: str_addf(out, "%lld", (long long)value_of(c, *text)); break;
        }
    }
}

/* Values for which every step works out to a whole number above 0. */
static bool draw_values(struct maker *m, const struct story *s, struct cast *c)
{
    int64_t most = m->level < 3 ? 200 : m->level < 5 ? 2000 : 40000;
    for (int k = 0; k < GIVEN && s->given[k].high; k++) {
        int more = m->level > s->level ? (s->given[k].high - s->given[k].low) / 2 * (m->level - s->level) : 0;
        c->given[k] = draw(m, s->given[k].low, s->given[k].high + more);
    }
    c->n_results = 0;
    for (int k = 0; k < RESULTS && s->steps[k].words; k++) {
        int64_t x = value_of(c, s->steps[k].x), y = value_of(c, s->steps[k].y), v;
        if (s->steps[k].op == '/' && (y < 1 || x % y)) return false;
        v = s->steps[k].op == '+' ? x + y : s->steps[k].op == '-' ? x - y : s->steps[k].op == '*' ? x * y : x / y;
        if (v < 1 || v > most) return false;
        c->results[c->n_results++] = v;
    }
    return true;
}

static void work_step(struct maker *m, const struct cast *c, const struct step *s, int64_t value)
{
    int64_t x = value_of(c, s->x), y = value_of(c, s->y), rest;
    struct str words = STR_EMPTY;
    put(&words, c, s->words);
    say(m, "%s", str_cstr(&words));
    str_release(&words);
    bool simple = s->op == '/' ? y <= 10 && value <= 10 : s->op == '*' ? (x <= 10 && y <= 10) || x == 1 || y == 1 : x < 20 || y < 10;
    if (simple) {
        go_on(m, " ");
        result(m, value, "%lld %c %lld", (long long)x, s->op, (long long)y);
        go_on(m, ".");
        return;
    }
    go_on(m, " %lld %c %lld.", (long long)x, s->op, (long long)y);
    if (s->op == '+')
        work_add(m, x, y);
    else if (s->op == '-')
        work_subtract(m, x, y);
    else if (s->op == '*')
        work_multiply(m, x, y);
    else
        work_divide(m, x, y, &rest);
}

void make_word(struct maker *m)
{
    struct cast c = {0};
    const struct story *s;
    int tries = 0;
    do s = &PICK(m, stories);
    while (s->level > m->level || (s->level + 1 < m->level && !chance(m, 10)));
    while (!draw_values(m, s, &c) && tries++ < TRIES) {
    }
    int who = draw(m, 0, (int)lexicon_names_count - 1), other;
    do other = draw(m, 0, (int)lexicon_names_count - 1);
    while (other == who);
    c.name = lexicon_names[who];
    c.other = lexicon_names[other];
    c.woman = who % 2 == 0;
    c.thing = PICK(m, things);
    const char *bar = strchr(s->text, '|');
    struct str text = STR_EMPTY, last = STR_EMPTY;
    char first[320];
    snprintf(first, sizeof first, "%.*s", (int)(bar - s->text), s->text);
    put(&text, &c, first);
    if (chance(m, 10 * m->level)) {
        char sentence[96];
        snprintf(sentence, sizeof sentence, "%s", PICK(m, idle));
        char *number = strstr(sentence, "%d");
        struct str with = STR_EMPTY;
        str_addf(&with, "%.*s%d%s", (int)(number - sentence), sentence, draw(m, 2, 60), number + 2);
        put(&text, &c, str_cstr(&with));
        str_release(&with);
    }
    put(&text, &c, bar + 1);
    ask(m, "%s", str_cstr(&text));
    perhaps_only(m, "number");
    key(m, "%zu", (size_t)(s - stories));
    for (int k = 0; k < GIVEN && s->given[k].high; k++) key(m, " %lld", (long long)c.given[k]);
    for (int k = 0; k < c.n_results; k++) work_step(m, &c, &s->steps[k], c.results[k]);
    answer_number(m, c.results[c.n_results - 1]);
    put(&last, &c, s->reply);
    reply(m, "%s", str_cstr(&last));
    str_release(&text);
    str_release(&last);
}

/* ---- legs ------------------------------------------------------------------------------------------------------------- */

void make_legs(struct maker *m)
{
    static const struct {
        const char *one, *more;
        int legs;
    } animals[] = {
        {"snake", "snakes", 0}, {"sea slug", "sea slugs", 0}, {"jellyfish", "jellyfishs", 0}, {"flatworm", "flatworms", 0}, {"leech", "leechs", 0}, {"worm", "worms", 0}, {"chicken", "chickens", 2},
        {"bird", "birds", 2}, {"human", "humans", 2}, {"duck", "ducks", 2}, {"hen", "hens", 2}, {"penguin", "penguins", 2}, {"dog", "dogs", 4}, {"cat", "cats", 4}, {"cow", "cows", 4}, {"horse", "horses", 4},
        {"lion", "lions", 4}, {"elephant", "elephants", 4}, {"giraffe", "giraffes", 4}, {"tiger", "tigers", 4}, {"deer", "deers", 4}, {"sheep", "sheeps", 4}, {"goat", "goats", 4}, {"mouse", "mouses", 4},
        {"starfish", "starfishs", 5}, {"insect", "insects", 6}, {"ant", "ants", 6}, {"butterfly", "butterflys", 6}, {"beetle", "beetles", 6}, {"bee", "bees", 6}, {"wasp", "wasps", 6},
        {"grasshopper", "grasshoppers", 6}, {"cricket", "crickets", 6}, {"cockroach", "cockroachs", 6}, {"praying mantis", "praying mantiss", 6}, {"firefly", "fireflys", 6}, {"spider", "spiders", 8},
        {"scorpion", "scorpions", 8}, {"crab", "crabs", 10}, {"lobster", "lobsters", 10}, {"shrimp", "shrimps", 10}, {"woodlouse", "woodlouses", 14},
    };
    static const int low[] = {1, 2, 3, 4, 6}, high[] = {2, 3, 4, 7, 10}, most[] = {6, 9, 12, 15, 15};
    int n = draw(m, low[m->level - 1], high[m->level - 1]), order[ARRAY_LEN(animals)];
    int64_t sum = 0;
    for (int i = 0; i < (int)ARRAY_LEN(animals); i++) order[i] = i;
    shuffle(m, order, (int)ARRAY_LEN(animals));
    switch (draw(m, 0, 2)) {
    case 0: ask(m, "How many legs are there in total if you have "); break;
    case 1: ask(m, "Your task is to count legs. How many legs are there in total if you have "); break;
    default: ask(m, "What is the number of legs of "); break;
    }
    bool first = true;
    for (int i = 0; i < n; i++) {
        int k = draw(m, 1, most[m->level - 1]), legs = animals[order[i]].legs;
        const char *name = k == 1 ? animals[order[i]].one : animals[order[i]].more;
        ask(m, i ? ", %d %s" : "%d %s", k, name);
        key(m, "%d %s ", k, name);
        line(m);
        go_on(m, "%d %s: ", k, name);
        if (legs && k > 10 && legs > 4)
            go_on(m, "10 * %d = %d, %d * %d = %d, %d + %d = %d", legs, 10 * legs, k - 10, legs, (k - 10) * legs, 10 * legs, (k - 10) * legs, k * legs);
        else
            result(m, k * legs, "%d * %d", k, legs);
        if (!first && legs) {
            go_on(m, ", ");
            result(m, sum + k * legs, "%lld + %d", (long long)sum, k * legs);
        }
        sum += k * legs;
        first = first && !sum;
    }
    ask(m, "?");
    perhaps_only(m, "number");
    answer_number(m, sum);
}

/* ---- direct ------------------------------------------------------------------------------------------------------------ */

void make_direct(struct maker *m)
{
    static const char *const facts[][2] = {
        {"What is the capital of France", "Paris"}, {"What is the capital of Italy", "Rome"}, {"What is the capital of Spain", "Madrid"}, {"What is the capital of Germany", "Berlin"}, {"What is the capital of Japan", "Tokyo"},
        {"What is the capital of England", "London"}, {"What is the capital of Russia", "Moscow"}, {"What is the capital of China", "Beijing"}, {"What is the capital of Egypt", "Cairo"}, {"What is the capital of Greece", "Athens"},
        {"What is the capital of Portugal", "Lisbon"}, {"What is the capital of Austria", "Vienna"}, {"What is the capital of Ireland", "Dublin"}, {"What is the capital of Norway", "Oslo"}, {"What is the capital of Sweden", "Stockholm"},
        {"What is the opposite of hot", "cold"}, {"What is the opposite of big", "small"}, {"What is the opposite of up", "down"}, {"What is the opposite of open", "closed"}, {"What is the opposite of early", "late"},
        {"What is the opposite of light", "dark"}, {"What is the opposite of wet", "dry"}, {"What is the opposite of full", "empty"}, {"What is the opposite of fast", "slow"}, {"What is the opposite of left", "right"},
        {"How many days are in a week", "7"}, {"How many months are in a year", "12"}, {"How many hours are in a day", "24"}, {"How many minutes are in an hour", "60"}, {"How many seconds are in a minute", "60"},
        {"How many legs does a spider have", "8"}, {"How many legs does a dog have", "4"}, {"How many sides does a triangle have", "3"}, {"How many wheels does a bicycle have", "2"}, {"How many fingers are on one hand", "5"},
        {"How many letters are in the English alphabet", "26"}, {"Which planet do we live on", "Earth"}, {"Which star gives us daylight", "the Sun"}, {"What color is the sky on a clear day", "blue"}, {"What color is grass", "green"},
        {"What color is snow", "white"}, {"What color is a banana", "yellow"}, {"Which animal says meow", "the cat"}, {"Which animal barks", "the dog"}, {"Which month comes after March", "April"}, {"Which month comes after July", "August"},
        {"Which month comes first in the year", "January"}, {"Which day comes after Monday", "Tuesday"}, {"Which day comes after Friday", "Saturday"}, {"Which season follows winter", "spring"}, {"Which season follows summer", "autumn"},
        {"What do bees make", "honey"}, {"What is frozen water called", "ice"}, {"What is the largest ocean", "the Pacific"}, {"Which metal do magnets attract", "iron"}, {"Which gas do we breathe to live", "oxygen"},
        {"What is the first letter of the alphabet", "A"}, {"What is the last letter of the alphabet", "Z"}, {"What comes after nine", "ten"}, {"What is half of ten", "5"}, {"Which sense uses the ears", "hearing"},
        {"Which organ pumps blood", "the heart"}, {"What do cows give us to drink", "milk"}, {"Which language do people speak in France", "French"}, {"Which country has Tokyo as its capital", "Japan"}, {"Which country has Rome as its capital", "Italy"},
    };
    static const char *const ends[] = {"?", "? Answer briefly.", "? Please tell me.", "? One word is enough."};
    int i = draw(m, 0, (int)ARRAY_LEN(facts) - 1);
    const char *end = PICK(m, ends);
    ask(m, "%s%s", facts[i][0], end);
    key(m, "%s", facts[i][0]);
    m->bare = end[1] == ' ' && end[2] != 'P';
    const char *a = facts[i][1];
    answer(m, a[0] >= '0' && a[0] <= '9' ? TASK_NUMBER : TASK_TEXT, "%s", a);
    str_clear(&m->it->thought);
    say(m, "That is plain: the answer is %s.", a);
}
