/* dates.c - families of measures: calendar, clock, unit. */
#include "tasks/internal.h"

#include <string.h>

typedef long long ll;

static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"};
static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int month, int year)
{
    return month == 1 && is_leap(year) ? 29 : month_days[month];
}

struct date {
    int year, month, day; /* month from 0 */
};

static int day_of_year(struct date d) /* from 1 */
{
    int n = d.day;
    for (int i = 0; i < d.month; i++) n += days_of(i, d.year);
    return n;
}

/* 0 Monday; years from 1900 on. */
static int weekday(struct date d)
{
    int n = 0;
    for (int y = 1900; y < d.year; y++) n += is_leap(y) ? 366 : 365;
    return (n + day_of_year(d) - 1) % 7; /* 1900 began on a Monday */
}

static struct date draw_date(struct maker *m, int year)
{
    struct date d = {.year = year, .month = draw(m, 0, 11)};
    d.day = draw(m, 1, days_of(d.month, year));
    return d;
}

static struct date later(struct date d, int n)
{
    for (d.day += n; d.day > days_of(d.month, d.year); d.month++) {
        d.day -= days_of(d.month, d.year);
        if (d.month == 11) {
            d.month = -1;
            d.year++;
        }
    }
    return d;
}

/* ---- lines of thought -------------------------------------------------------------------------------------------------- */

/* The day of the week n days after (or before) `from`; writes the steps. */
static int work_weekday(struct maker *m, int from, int n, bool back)
{
    int rest = n % 7, day = from;
    if (n >= 7) {
        line(m);
        result(m, n / 7 * 7, "%d * 7", n / 7);
        go_on(m, ", ");
        result(m, rest, "%d - %d", n, n / 7 * 7);
        say(m, "Whole weeks change nothing, so %d day%s count%s.", rest, rest == 1 ? "" : "s", rest == 1 ? "s" : "");
    }
    if (!rest) return day;
    say(m, "%s from %s:", back ? "Back" : "On", days[from]);
    for (int i = 1; i <= rest; i++) {
        day = (from + (back ? 7 - i : i)) % 7;
        go_on(m, i > 1 ? ", %s %d" : " %s %d", days[day], i);
    }
    return day;
}

/* The days from a to b, a itself not counted. */
static int work_days_between(struct maker *m, struct date a, struct date b)
{
    if (a.month == b.month) {
        line(m);
        result(m, b.day - a.day, "%d - %d", b.day, a.day);
        return b.day - a.day;
    }
    int sum = days_of(a.month, a.year) - a.day;
    say(m, "%s has %d days, so after %s %d there are %d - %d = %d left.", months[a.month], days_of(a.month, a.year), months[a.month], a.day, days_of(a.month, a.year), a.day, sum);
    for (int i = a.month + 1; i < b.month; i++) {
        line(m);
        go_on(m, "%s has %d: ", months[i], days_of(i, a.year));
        result(m, sum + days_of(i, a.year), "%d + %d", sum, days_of(i, a.year));
        sum += days_of(i, a.year);
    }
    line(m);
    go_on(m, "%s %d: ", months[b.month], b.day);
    result(m, sum + b.day, "%d + %d", sum, b.day);
    return sum + b.day;
}

static void ask_day(struct maker *m)
{
    static const char *const forms[] = {" Answer with the name of the weekday.", " Give the full name of the weekday.", " Reply with just the weekday (Monday to Sunday).", ""};
    const char *form = PICK(m, forms);
    m->bare = form[0] != '\0';
    ask(m, "%s", form);
}

static void ask_count(struct maker *m)
{
    static const char *const forms[] = {" Answer with a number.", " Reply with just the number.", " Give the count as a number.", ""};
    const char *form = PICK(m, forms);
    m->bare = form[0] != '\0';
    ask(m, "%s", form);
}

static void answer_day(struct maker *m, int day)
{
    answer(m, TASK_WORD, "%s", days[day]);
}

/* ---- kinds of questions ------------------------------------------------------------------------------------------------ */

static void by_offset(struct maker *m)
{
    static const int high[] = {10, 40, 60, 100, 100};
    int n = draw(m, 2, high[m->level - 1]), from, day;
    bool back = m->level > 1 && chance(m, 45), dated = m->level > 1 && chance(m, 60);
    char text[64];
    struct date d = draw_date(m, chance(m, 60) ? 2022 : draw(m, 2015, 2030));
    from = weekday(d);
    if (dated)
        snprintf(text, sizeof text, "%s, %s %d, %d", days[from], months[d.month], d.day, d.year);
    else
        snprintf(text, sizeof text, "%s", days[from]);
    switch (draw(m, 0, 2)) {
    case 0: ask(m, back ? "If today is %s, what day of the week was it %d days ago?" : "If today is %s, what day of the week will it be in %d days?", text, n); break;
    case 1: ask(m, back ? "Today is %s. Which weekday was %d days before?" : "Today is %s. Which weekday comes %d days later?", text, n); break;
    default: ask(m, back ? "Count backward %d days from %s: which weekday is it?" : "Count forward %d days from %s: which weekday is it?", n, text); break;
    }
    ask_day(m);
    key(m, "offset %d %d", from, back ? -n : n);
    day = work_weekday(m, from, n, back);
    answer_day(m, day);
}

static void by_leap_year(struct maker *m)
{
    int year = chance(m, 20) ? draw(m, 16, 24) * 100 : draw(m, 1904, 2120);
    ask(m, draw(m, 0, 1) ? "Is %d a leap year? Answer with Yes or No." : "Tell whether the year %d is a leap year. Answer with Yes or No.", year);
    key(m, "leap %d", year);
    m->bare = true;
    if (year % 100 == 0) {
        say(m, "%d ends in 00, so %d must be divisible by 4.", year, year / 100);
        say(m, "%d = 4 * %d%s", year / 100, year / 400, year % 400 ? "" : ", no rest");
        if (year % 400) go_on(m, " + %d", year / 100 % 4);
    } else {
        int v = year % 100;
        say(m, "The last two digits are %02d: %d = 4 * %d", v, v, v / 4);
        go_on(m, v % 4 ? " + %d" : ", no rest", v % 4);
    }
    go_on(m, is_leap(year) ? ", so it is a leap year." : ", so it is not a leap year.");
    answer(m, TASK_WORD, "%s", is_leap(year) ? "Yes" : "No");
}

static void from_first_day(struct maker *m)
{
    struct date first = {2022, 0, 1}, d;
    int start = draw(m, 0, 6), n = draw(m, 1, m->level < 4 ? 58 : 100);
    d = later(first, n);
    switch (draw(m, 0, 2)) {
    case 0: ask(m, "If January 1 was a %s, what day of the week is %s %d? The year is no leap year.", days[start], months[d.month], d.day); break;
    case 1: ask(m, "Given that January 1 fell on a %s, which weekday is %s %d?", days[start], months[d.month], d.day); break;
    default: ask(m, "In a year whose January 1st is a %s, name the weekday of %s %d.", days[start], months[d.month], d.day); break;
    }
    ask_day(m);
    key(m, "first %d %d", start, n);
    say(m, "From January 1 to %s %d:", months[d.month], d.day);
    work_days_between(m, first, d);
    answer_day(m, work_weekday(m, start, n, false));
}

/* What the first of a month is: known by heart for 2022, told in the question for other years. */
static int first_of_month(struct maker *m, struct date d)
{
    struct date first = {d.year, d.month, 1};
    int day = weekday(first);
    if (d.year != 2022) ask(m, "%s 1, %d is a %s. ", months[d.month], d.year, days[day]);
    return day;
}

static void of_date(struct maker *m)
{
    struct date d = draw_date(m, chance(m, 70) ? 2022 : draw(m, 2010, 2035));
    int first = first_of_month(m, d);
    switch (draw(m, 0, 2)) {
    case 0: ask(m, "What day of the week was %s %d, %d?", months[d.month], d.day, d.year); break;
    case 1: ask(m, "On which weekday did %s %d, %d fall?", months[d.month], d.day, d.year); break;
    default: ask(m, "Name the day of the week for %02d/%02d/%d.", d.month + 1, d.day, d.year); break;
    }
    ask_day(m);
    key(m, "date %d %d %d", d.year, d.month, d.day);
    say(m, "In %d, %s 1 is a %s.", d.year, months[d.month], days[first]);
    say(m, "%s %d is %d day%s later.", months[d.month], d.day, d.day - 1, d.day == 2 ? "" : "s");
    answer_day(m, work_weekday(m, first, d.day - 1, false));
}

static void recurring(struct maker *m)
{
    static const char *const which[] = {"first", "second", "third", "fourth", "last"};
    struct date d = {.year = chance(m, 70) ? 2022 : draw(m, 2010, 2035), .month = draw(m, 0, 11), .day = 1};
    int first = first_of_month(m, d), day = draw(m, 0, 6), k = draw(m, 0, 4), at = 1 + (day - first + 7) % 7, last = days_of(d.month, d.year);
    switch (draw(m, 0, 2)) {
    case 0: ask(m, "A meeting is on the %s %s of %s %d. On which day of the month is it?", which[k], days[day], months[d.month], d.year); break;
    case 1: ask(m, "In %s %d, an event is on the %s %s. What is its date (day of the month)?", months[d.month], d.year, which[k], days[day]); break;
    default: ask(m, "Find the day of the month of the %s %s in %s %d.", which[k], days[day], months[d.month], d.year); break;
    }
    ask_count(m);
    if (chance(m, 50)) ask(m, " Answer with -1 if there is no such day.");
    key(m, "recurring %d %d %d %d", d.year, d.month, k, day);
    say(m, "In %d, %s 1 is a %s. Day by day:", d.year, months[d.month], days[first]);
    for (int i = 1; i <= at; i++) go_on(m, i > 1 ? ", %s %d" : " %s %d", days[(first + i - 1) % 7], i);
    say(m, "The %ss are %d", days[day], at);
    int n = k == 4 ? 5 : k;
    for (int i = 1; i <= n && at + 7 <= last; i++) go_on(m, ", %d", at += 7);
    if (k == 4) go_on(m, ", and %s has %d days", months[d.month], last);
    go_on(m, ".");
    answer_number(m, at);
}

static void count_in_range(struct maker *m, bool business)
{
    struct date a = draw_date(m, 2022), b;
    if (a.month == 11) a.month = draw(m, 0, 8);
    if (a.day > days_of(a.month, 2022)) a.day = days_of(a.month, 2022);
    int n = draw(m, 5, m->level < 5 ? 40 : 85), day = draw(m, 0, 6), from = weekday(a), weeks, rest, found = 0;
    b = later(a, n);
    if (b.year != 2022) b = (struct date){2022, 11, 31};
    char range[128];
    snprintf(range, sizeof range, "%s, %s %d, 2022 %s %s, %s %d, 2022", days[from], months[a.month], a.day, "to", days[weekday(b)], months[b.month], b.day);
    if (business)
        ask(m, draw(m, 0, 1) ? "How many business days (Monday to Friday) are there from %s (both dates counted)?" : "Count the weekdays without weekends from %s, including both dates.", range);
    else
        ask(m, draw(m, 0, 1) ? "How many %ss are there from %s (both dates included)?" : "Count how often %s occurs from %s, both dates counted.", days[day], range);
    ask_count(m);
    key(m, "range %d %d %d %d %d", business ? 9 : day, a.month, a.day, b.month, b.day);
    int total = work_days_between(m, a, b) + 1;
    weeks = total / 7;
    rest = total % 7;
    say(m, "With both dates that is %d days: %d week%s and %d more, since %d * 7 = %d and %d - %d = %d.", total, weeks, weeks == 1 ? "" : "s", rest, weeks, weeks * 7, total, weeks * 7, rest);
    if (rest) say(m, "The %d more are", rest);
    for (int i = 0; i < rest; i++) {
        int one = (from + i) % 7;
        bool counts = business ? one < 5 : one == day;
        found += counts;
        go_on(m, i ? ", %s" : " %s", days[one]);
        if (counts) go_on(m, " (%d)", found);
    }
    line(m);
    if (business) {
        go_on(m, "%d * 5 = %d, ", weeks, weeks * 5);
        result(m, weeks * 5 + found, "%d + %d", weeks * 5, found);
    } else {
        result(m, weeks + found, "%d + %d", weeks, found);
    }
    answer_number(m, (business ? weeks * 5 : weeks) + found);
}

void make_calendar(struct maker *m)
{
    int kind = draw(m, 0, 99);
    if (m->level == 1) {
        if (kind < 75)
            by_offset(m);
        else
            by_leap_year(m);
    } else if (m->level == 2) {
        if (kind < 60)
            by_offset(m);
        else if (kind < 80)
            by_leap_year(m);
        else
            of_date(m);
    } else if (kind < 20) {
        by_offset(m);
    } else if (kind < 30) {
        by_leap_year(m);
    } else if (kind < 45) {
        from_first_day(m);
    } else if (kind < 60) {
        of_date(m);
    } else if (kind < 75 || m->level == 3) {
        recurring(m);
    } else {
        count_in_range(m, kind >= 88);
    }
}

/* ---- clock ------------------------------------------------------------------------------------------------------------- */

static void put_time(char out[8], int minutes)
{
    snprintf(out, 8, "%d:%02d", minutes / 60 % 24, minutes % 60);
}

/* The end of something that takes a while, by whole hours and then minutes. */
static void clock_end(struct maker *m)
{
    static const char *const what[] = {"A film", "A lesson", "A train ride", "A match", "A concert", "A meeting", "A walk"};
    static const int high[] = {50, 90, 150, 300, 600}, unit[] = {10, 5, 5, 1, 1};
    int u = unit[m->level - 1], begin = draw(m, 360 / u, 1020 / u) * u, n = draw(m, 10 / u, high[m->level - 1] / u) * u, end = begin + n;
    char from[8], to[8];
    if (end > 1439) end = begin + (n = 1439 - begin);
    put_time(from, begin);
    put_time(to, end);
    bool hours = n > 60 && chance(m, 40);
    if (hours)
        ask(m, "%s begins at %s and takes %d hour%s and %d minutes. When does it end?", PICK(m, what), from, n / 60, n / 60 == 1 ? "" : "s", n % 60);
    else
        ask(m, "%s begins at %s and takes %d minutes. At what time does it end?", PICK(m, what), from, n);
    key(m, "end %d %d", begin, n);
    if (n >= 60 && !hours) say(m, "%d minutes are %d hour%s and %d - %d = %d minutes.", n, n / 60, n / 60 == 1 ? "" : "s", n, n / 60 * 60, n % 60);
    int now = begin;
    if (n >= 60) {
        now += n / 60 * 60;
        say(m, "%s plus %d hour%s is %d:%02d.", from, n / 60, n / 60 == 1 ? "" : "s", now / 60, now % 60);
    }
    int minutes = now % 60 + n % 60;
    if (n % 60) {
        line(m);
        result(m, minutes, "Minutes: %d + %d", now % 60, n % 60);
        if (minutes >= 60) go_on(m, ", that is 1 hour and %d, so the hour is %d", minutes - 60, now / 60 + 1);
    }
    answer(m, TASK_TIME, "%s", to);
    reply(m, "It ends at %s.", to);
}

static void clock_between(struct maker *m)
{
    static const int high[] = {50, 100, 200, 400, 700}, unit[] = {10, 5, 5, 1, 1};
    int u = unit[m->level - 1], begin = draw(m, 360 / u, 700 / u) * u, n = draw(m, 10 / u, high[m->level - 1] / u) * u, end = begin + n;
    char from[8], to[8], whole[8];
    put_time(from, begin);
    put_time(to, end);
    ask(m, "%s from %s to %s?", chance(m, 50) ? "How many minutes are there" : "How many minutes pass", from, to);
    perhaps_only(m, "number");
    key(m, "between %d %d", begin, end);
    int hours = n / 60;
    if (hours) {
        put_time(whole, begin + hours * 60);
        say(m, "From %s to %s it is %d hour%s, %d * 60 = %d minutes.", from, whole, hours, hours == 1 ? "" : "s", hours, hours * 60);
        begin += hours * 60;
    }
    int more = end - begin;
    put_time(whole, begin);
    line(m);
    if (begin / 60 == end / 60) {
        result(m, more, "Minutes: %d - %d", end % 60, begin % 60);
    } else {
        result(m, 60 - begin % 60, "From %s to %d:00: 60 - %d", whole, end / 60, begin % 60);
        if (end % 60) {
            go_on(m, ", then %d more, ", end % 60);
            result(m, more, "%d + %d", 60 - begin % 60, end % 60);
        }
    }
    if (hours) work_add(m, hours * 60, more);
    answer_number(m, n);
}

void make_clock(struct maker *m)
{
    if (chance(m, 55))
        clock_end(m);
    else
        clock_between(m);
}

/* ---- units ------------------------------------------------------------------------------------------------------------- */

static const struct unit_pair {
    const char *large, *small;
    int factor, level;
} pairs[] = {
    {"meters", "centimeters", 100, 1}, {"kilometers", "meters", 1000, 1}, {"kilograms", "grams", 1000, 1}, {"hours", "minutes", 60, 1}, {"minutes", "seconds", 60, 1},
    {"days", "hours", 24, 2},          {"weeks", "days", 7, 1},           {"liters", "milliliters", 1000, 1}, {"centimeters", "millimeters", 10, 1}, {"years", "months", 12, 1},
    {"feet", "inches", 12, 2},         {"yards", "feet", 3, 1},           {"pounds", "ounces", 16, 3}, {"tons", "kilograms", 1000, 2}, {"dollars", "cents", 100, 1}, {"dozens", "pieces", 12, 2},
};

static const struct unit_pair *draw_pair(struct maker *m)
{
    const struct unit_pair *p;
    do p = &PICK(m, pairs);
    while (p->level > m->level);
    return p;
}

static void unit_down(struct maker *m, const struct unit_pair *p, int n, int more)
{
    if (more)
        ask(m, "How many %s are %d %s and %d %s?", p->small, n, p->large, more, p->small);
    else
        ask(m, draw(m, 0, 1) ? "How many %s are in %d %s?" : "How many %s make up %d %s?", p->small, n, p->large);
    perhaps_only(m, "number");
    key(m, "%d %s %s %d", n, p->large, p->small, more);
    say(m, "From %s to %s it is times %d.", p->large, p->small, p->factor);
    int64_t v = work_multiply(m, n, p->factor);
    if (more) v = work_add(m, v, more);
    answer_number(m, v);
    reply(m, "That is %lld %s.", (ll)v, p->small);
}

static void unit_up(struct maker *m, const struct unit_pair *p, int n)
{
    int64_t rest;
    ask(m, draw(m, 0, 1) ? "%lld %s are how many %s?" : "Convert %lld %s to %s.", (ll)n * p->factor, p->small, p->large);
    perhaps_only(m, "number");
    key(m, "%d %s %s", n, p->small, p->large);
    say(m, "From %s to %s it is divided by %d.", p->small, p->large, p->factor);
    work_divide(m, (int64_t)n * p->factor, p->factor, &rest);
    answer_number(m, n);
    reply(m, "That is %d %s.", n, p->large);
}

static void unit_twice(struct maker *m)
{
    static const struct {
        const char *large, *middle, *small;
        int a, b;
    } chains[] = {{"weeks", "days", "hours", 7, 24}, {"days", "hours", "minutes", 24, 60}, {"hours", "minutes", "seconds", 60, 60}, {"kilometers", "meters", "centimeters", 1000, 100}, {"yards", "feet", "inches", 3, 12},
                  {"meters", "centimeters", "millimeters", 100, 10}};
    int which = draw(m, 0, (int)ARRAY_LEN(chains) - 1), n = draw(m, 2, m->level > 4 ? 60 : 25), more = chance(m, m->level > 4 ? 50 : 25) ? draw(m, 1, chains[which].a - 1) : 0;
    if (more)
        ask(m, "How many %s are %d %s and %d %s?", chains[which].small, n, chains[which].large, more, chains[which].middle);
    else
        ask(m, "How many %s are in %d %s?", chains[which].small, n, chains[which].large);
    perhaps_only(m, "number");
    key(m, "%d %s %d %s", n, chains[which].large, more, chains[which].small);
    say(m, "From %s to %s it is times %d.", chains[which].large, chains[which].middle, chains[which].a);
    int64_t v = work_multiply(m, n, chains[which].a);
    if (more) v = work_add(m, v, more);
    say(m, "From %s to %s it is times %d.", chains[which].middle, chains[which].small, chains[which].b);
    v = work_multiply(m, v, chains[which].b);
    answer_number(m, v);
    reply(m, "That is %lld %s.", (ll)v, chains[which].small);
}

void make_unit(struct maker *m)
{
    static const int high[] = {9, 20, 60, 99, 300};
    const struct unit_pair *p = draw_pair(m);
    int n = draw(m, 2, high[m->level - 1]), kind = draw(m, 0, 99);
    if (m->level >= 4 && kind < 55)
        unit_twice(m);
    else if (m->level >= 2 && kind < 75)
        unit_up(m, p, n);
    else
        unit_down(m, p, n, m->level >= 3 && p->factor > 3 ? draw(m, 1, p->factor - 1) : 0);
}
