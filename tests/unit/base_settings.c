/* Settings from every source, budgets, INI files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static uint64_t rng = 0xA0761D6478BD642Fu;

static uint32_t rnd(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

static struct settings s;
static struct err e;
static char ini[64];

static int setup(void **state)
{
    (void)state;
    strcpy(ini, "/tmp/ponder-ini-XXXXXX");
    int fd = mkstemp(ini);
    if (fd < 0) return -1;
    close(fd);
    memset(&e, 0, sizeof(e));
    return settings_init(&s, &e);
}

static int teardown(void **state)
{
    (void)state;
    settings_release(&s);
    return unlink(ini);
}

static void put(const char *text, size_t n)
{
    int fd = open(ini, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static void expect(const char *name, const char *want)
{
    struct str out = STR_EMPTY;
    const struct setting *d = settings_find(name);
    assert_non_null(d);
    settings_get(&s, d, &out);
    if (strcmp(str_cstr(&out), want) != 0) fail_msg("%s is \"%s\", not \"%s\"", name, str_cstr(&out), want);
    str_release(&out);
}

/* ---- budgets ------------------------------------------------------------------------------------------------ */

static void budgets_that_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum budget_kind kind;
        double amount;
        const char *back;
    } table[] = {
        {"400", BUDGET_TOKENS, 400, "400"},
        {"0", BUDGET_TOKENS, 0, "0"},
        {"007", BUDGET_TOKENS, 7, "7"},
        {"1000000", BUDGET_TOKENS, 1000000, "1000000"},
        {"30s", BUDGET_SECONDS, 30, "30s"},
        {"0s", BUDGET_SECONDS, 0, "0s"},
        {"86400s", BUDGET_SECONDS, 86400, "86400s"},
        {"2m", BUDGET_SECONDS, 120, "120s"},
        {"1440m", BUDGET_SECONDS, 86400, "86400s"},
        {"2.5s", BUDGET_SECONDS, 2.5, "2.5s"},
        {"0.125s", BUDGET_SECONDS, 0.125, "0.125s"},
        {"1.5m", BUDGET_SECONDS, 90, "90s"},
        {"off", BUDGET_OFF, 0, "off"},
        {"OFF", BUDGET_OFF, 0, "off"},
        {"unlimited", BUDGET_UNLIMITED, 0, "unlimited"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct budget b;
        char back[32];
        if (budget_parse(&b, table[i].text, &e) != 0) fail_msg("%s", e.text);
        assert_int_equal(b.kind, table[i].kind);
        assert_true(b.amount == table[i].amount);
        budget_format(b, back);
        assert_string_equal(back, table[i].back);
    }
}

static void budgets_that_are_refused(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",     " ",    "-1",       "+1",       "1000001",    "86401s", "1441m",
        "400t", "30 s", "30S",      "1.5",      "1.s",        ".5s",    "1.2345s",
        "s",    "m",    "nan",      "inf",      "infs",       "1e3",    "0x10",
        "30ss", "30sm", "none",     "unlimite", "unlimitedx", "offf",   "99999999999999999999999",
        "1,5s", "400 ", "\xD9\xA3", "1.5.5s",
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct budget b = {BUDGET_SECONDS, 77};
        if (budget_parse(&b, table[i], &e) != ERR_USAGE) fail_msg("\"%s\" is taken", table[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_true(b.kind == BUDGET_SECONDS && b.amount == 77);
        assert_non_null(strstr(e.text, "unlimited"));
    }
}

static void budgets_of_random_text(void **state)
{
    (void)state;
    static const char letters[] = "0123456789.smoffunlimited-+eEx ";
    for (int round = 0; round < 50000; round++) {
        char text[12], once[32], twice[32];
        size_t n = rnd(sizeof(text) - 1);
        for (size_t i = 0; i < n; i++) text[i] = letters[rnd(sizeof(letters) - 1)];
        text[n] = '\0';
        struct budget b, again;
        if (budget_parse(&b, text, NULL) != 0) continue;
        assert_true(isfinite(b.amount) && b.amount >= 0 && b.amount <= 1000000);
        budget_format(b, once);
        assert_int_equal(budget_parse(&again, once, NULL), 0);
        budget_format(again, twice);
        assert_string_equal(once, twice);
        assert_int_equal(again.kind, b.kind);
    }
}

static void budgets_no_text_gives(void **state)
{
    (void)state;
    static const struct {
        struct budget b;
        const char *want;
    } table[] = {
        {{BUDGET_TOKENS, NAN}, "0"},         {{BUDGET_TOKENS, -5}, "0"},      {{BUDGET_SECONDS, INFINITY}, "1000000000s"},
        {{BUDGET_SECONDS, -INFINITY}, "0s"}, {{BUDGET_TOKENS, 12.7}, "12"},   {{BUDGET_SECONDS, 1.0 / 3}, "0.333s"},
        {{BUDGET_SECONDS, 29.9996}, "30s"},  {{BUDGET_SECONDS, 0.1}, "0.1s"}, {{BUDGET_SECONDS, 100}, "100s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[32];
        budget_format(table[i].b, text);
        assert_string_equal(text, table[i].want);
    }
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"model", "smollm2-135m"},
        {"threads", "0"},
        {"ctx", "0"},
        {"budget", "400"},
        {"think_min", "0"},
        {"answer_max", "0"},
        {"temp", "-1"},
        {"top_k", "-1"},
        {"top_p", "-1"},
        {"min_p", "-1"},
        {"repeat_penalty", "-1"},
        {"seed", "-1"},
        {"system", ""},
        {"think", "on"},
        {"lora", ""},
        {"db", ""},
        {"kv", "f16"},
        {"kv_disk", "2048"},
        {"private", "off"},
        {"theme", "dark"},
        {"layout", "inline"},
        {"live_keys", "modified"},
        {"thoughts", "auto"},
        {"cot", "step"},
        {"keys", ""},
        {"keep_thoughts", "off"},
        {"mouse", "on"},
        {"loop_guard", "on"},
        {"speculate", "on"},
        {"mlock", "off"},
        {"sandbox", "on"},
    };
    assert_int_equal(settings_count, ARRAY_LEN(table));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) expect(table[i][0], table[i][1]);
}

static void table_is_sound(void **state)
{
    (void)state;
    static const char chat_only[] = " theme layout live_keys thoughts keys mouse ";
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        char word[40];
        assert_ptr_equal(settings_find(d->name), d);
        assert_true(d->offset < sizeof(struct settings));
        assert_true(strlen(d->help) > 3 && !strchr(d->help, '\n'));
        assert_true(strlen(d->choices) > 0);
        snprintf(word, sizeof(word), " %s ", d->name);
        assert_int_equal(d->scope, strstr(chat_only, word) ? SETTING_CHAT : SETTING_SHARED);
        for (size_t k = 0; k < i; k++) {
            assert_true(d->offset != settings_table[k].offset);
            if (d->flags[0]) assert_string_not_equal(d->flags, settings_table[k].flags);
        }
    }
    assert_null(settings_find(""));
    assert_null(settings_find("tem"));
    assert_null(settings_find("temperature"));
    assert_ptr_equal(settings_find("top-k"), settings_find("top_k"));
}

static void values_that_are_taken(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        {"model", "a b", "a b"},
        {"threads", "16", "16"},
        {"ctx", "4096", "4096"},
        {"budget", "2m", "120s"},
        {"temp", "0", "0"},
        {"temp", "0.7", "0.7"},
        {"temp", "5", "5"},
        {"temp", "-1", "-1"},
        {"temp", "+.5e0", "0.5"},
        {"temp", "0.1", "0.1"},
        {"top_k", "40", "40"},
        {"top-p", "0.95", "0.95"},
        {"min_p", "1", "1"},
        {"repeat_penalty", "1.1", "1.1"},
        {"repeat_penalty", "-1", "-1"},
        {"seed", "0", "0"},
        {"seed", "9223372036854775807", "9223372036854775807"},
        {"system", "", ""},
        {"system", "two\nlines \xC3\xA9", "two\nlines \xC3\xA9"},
        {"think", "off", "off"},
        {"private", "YES", "on"},
        {"private", "0", "off"},
        {"mouse", "False", "off"},
        {"mouse", "1", "on"},
        {"mouse", "no", "off"},
        {"mouse", "true", "on"},
        {"keys", "vi", "vi"},
        {"keys", "", ""},
        {"layout", "side", "side"},
        {"thoughts", "hidden", "hidden"},
        {"db", "/x", "/x"},
        {"answer_max", "+7", "7"},
        {"temp", "0.30000000000000004", "0.30000000000000004"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (settings_set(&s, table[i][0], table[i][1], &e) != 0) fail_msg("%s", e.text);
        expect(table[i][0], table[i][2]);
    }
}

static void values_that_are_refused(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        {"temp", "abc", "temp: \"abc\" is not a number between -1 and 5"},
        {"temp", "nan", "temp: \"nan\" is not a number between -1 and 5"},
        {"temp", "inf", NULL},
        {"temp", "1e999", NULL},
        {"temp", "", "temp: \"\" is not a number between -1 and 5"},
        {"temp", " 1", NULL},
        {"temp", "1 ", NULL},
        {"temp", "0x1p0", NULL},
        {"temp", "0,5", NULL},
        {"temp", "5.001", NULL},
        {"top_k", "1.5", "top_k: \"1.5\" is not a whole number between -1 and 1000000"},
        {"top_k", "-2", NULL},
        {"top_k", "99999999999999999999", NULL},
        {"top_p", "1.01", "top_p: \"1.01\" is not a number between -1 and 1"},
        {"threads", "1025", "threads: \"1025\" is not a whole number between 0 and 1024"},
        {"threads", "--1", NULL},
        {"seed", "9223372036854775808", "seed: \"9223372036854775808\" is not a whole number from -1 to 9223372036854775807"},
        {"seed", "-2", NULL},
        {"budget", "much", NULL},
        {"private", "maybe", "private: \"maybe\" is not on or off"},
        {"private", "", NULL},
        {"think", "maybe", "think: \"maybe\" is not one of: on, off"},
        {"think", "on off", NULL},
        {"think", "of", NULL},
        {"layout", "", "layout: may not be empty"},
        {"layout", "sid", NULL},
        {"layout", "Side", NULL},
        {"keys", "nano", "keys: \"nano\" is not one of: emacs, vi"},
        {"model", "", "model: may not be empty"},
        {"no_such", "1", "no_such: there is no such setting"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct str before = STR_EMPTY, after = STR_EMPTY;
        const struct setting *d = settings_find(table[i][0]);
        if (d) settings_get(&s, d, &before);
        if (settings_set(&s, table[i][0], table[i][1], &e) != ERR_USAGE) fail_msg("%s = %s is taken", table[i][0], table[i][1]);
        if (table[i][2]) assert_string_equal(e.text, table[i][2]);
        assert_memory_equal(e.text, table[i][0], strlen(table[i][0]));
        if (d) settings_get(&s, d, &after);
        assert_string_equal(str_cstr(&before), str_cstr(&after));
        str_release(&before);
        str_release(&after);
    }
}

/* What settings_get writes settings_set takes, and nothing random leaves the ranges. */
static void random_values(void **state)
{
    (void)state;
    static const char letters[] = "0123456789.-+eE,x onfalseyd\xC3\xA9";
    for (int round = 0; round < 50000; round++) {
        const struct setting *d = &settings_table[rnd((uint32_t)settings_count)];
        char text[14];
        size_t n = rnd(sizeof(text) - 1);
        for (size_t i = 0; i < n; i++) text[i] = letters[rnd(sizeof(letters) - 1)];
        text[n] = '\0';
        int r = settings_set(&s, d->name, text, &e);
        assert_true(r == 0 || r == ERR_USAGE);
        if (r != 0) assert_true(utf8_is_valid(e.text, strlen(e.text)));
        struct str once = STR_EMPTY, twice = STR_EMPTY;
        settings_get(&s, d, &once);
        if (settings_set(&s, d->name, str_cstr(&once), &e) != 0) fail_msg("%s", e.text);
        settings_get(&s, d, &twice);
        assert_string_equal(str_cstr(&once), str_cstr(&twice));
        str_release(&once);
        str_release(&twice);
    }
    assert_true(s.temp >= -1 && s.temp <= 5 && s.top_p >= -1 && s.top_p <= 1 && s.threads >= 0 && s.threads <= 1024 && s.seed >= -1);
}

static void long_values_are_cut_in_errors(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof(text));
    memcpy(text + 59, "\xE2\x82\xAC", 3);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(settings_set(&s, "temp", text, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "xxx...\" is not a number between -1 and 5"));
    assert_int_equal(settings_set(&s, "system", text, &e), 0);
    expect("system", text);
    assert_int_equal(settings_set(&s, text, "1", &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "there is no such setting"));
}

static void copies_are_apart(void **state)
{
    (void)state;
    struct settings copy;
    assert_int_equal(settings_set(&s, "system", "one", &e), 0);
    assert_int_equal(settings_set(&s, "budget", "30s", &e), 0);
    assert_int_equal(settings_copy(&copy, &s, &e), 0);
    assert_int_equal(settings_set(&s, "system", "two", &e), 0);
    assert_string_equal(copy.system, "one");
    assert_string_equal(s.system, "two");
    assert_true(copy.budget.kind == BUDGET_SECONDS && copy.budget.amount == 30);
    assert_ptr_not_equal(copy.model, s.model);
    settings_release(&copy);
    settings_release(&copy);
    settings_release(NULL);
}

/* A locale with a decimal comma: the machine's, or one compiled for this test. */
static bool use_comma_locale(void)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    static const char source[] = "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n";
    char folder[] = "/tmp/ponder-locale-XXXXXX", command[200];

    for (size_t i = 0; i < ARRAY_LEN(commas); i++) {
        if (setlocale(LC_NUMERIC, commas[i])) return true;
    }
    if (!mkdtemp(folder)) return false;
    put(source, sizeof(source) - 1);
    /* it complains of the categories that are left out, and makes the locale */
    snprintf(command, sizeof(command), "localedef -c -i %s -f UTF-8 %s/xx_XX.UTF-8 >/dev/null 2>&1", ini, folder);
    bool found = system(command) != -1;
    setenv("LOCPATH", folder, 1);
    found = found && setlocale(LC_NUMERIC, "xx_XX.UTF-8") != NULL;
    unsetenv("LOCPATH");
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 && found;
}

static void numbers_do_not_follow_the_locale(void **state)
{
    (void)state;
    if (!use_comma_locale()) {
        print_message("# SKIP no locale with a decimal comma, and no localedef to make one\n");
        skip();
    }
    int r = settings_set(&s, "temp", "0.75", &e);
    struct str out = STR_EMPTY;
    settings_get(&s, settings_find("temp"), &out);
    int comma = settings_set(&s, "temp", "0,5", &e);
    char line[64];
    snprintf(line, sizeof(line), "%.1f", 0.5);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(line, "0,5");
    assert_int_equal(r, 0);
    assert_string_equal(str_cstr(&out), "0.75");
    assert_int_equal(comma, ERR_USAGE);
    str_release(&out);
}

/* ---- sources ------------------------------------------------------------------------------------------------ */

static void expect_ini_error(const char *text, size_t n, int code, int line, const char *what)
{
    char where[96];
    put(text, n);
    int r = settings_load(&s, ini, &e);
    if (r != code) fail_msg("%s: %d %s", text, r, e.text);
    snprintf(where, sizeof(where), "%s:%d: ", ini, line);
    assert_memory_equal(e.text, where, strlen(where));
    if (!strstr(e.text, what)) fail_msg("\"%s\" does not say \"%s\"", e.text, what);
}

static void ini_files(void **state)
{
    (void)state;
    static const char text[] =
        "\xEF\xBB\xBF# comment\n; another\n\ntemp = 0.7\n[ponder]\n  top-k : 12  \r\nsystem=Be brief = good; no. # kept ; gone\n"
        "\tmouse = off\nmodel = a\nmodel = b";
    put(text, sizeof(text) - 1);
    if (settings_load(&s, ini, &e) != 0) fail_msg("%s", e.text);
    expect("temp", "0.7");
    expect("top_k", "12");
    expect("system", "Be brief = good; no. # kept");
    expect("mouse", "off");
    expect("model", "b");
    put("", 0);
    assert_int_equal(settings_load(&s, ini, &e), 0);
    assert_int_equal(settings_load(&s, "/nowhere/at/all.ini", &e), 0);
    assert_int_equal(settings_load(&s, "/", &e), ERR_FILE);
}

static void ini_errors_name_file_and_line(void **state)
{
    (void)state;
#define INI_ERROR(text, line, what) expect_ini_error(text, sizeof(text) - 1, ERR_FILE, line, what)
    INI_ERROR("\n\ntemp = abc\nmouse = off\n", 3, "temp: \"abc\" is not a number between -1 and 5");
    expect("mouse", "on"); /* nothing is read behind an error */
    INI_ERROR("mouse = off\ntop_q = 1\n", 2, "top_q: there is no such setting");
    expect("mouse", "off"); /* what came before stays */
    INI_ERROR("[keys]\nvi = 1\n", 2, "[keys]: there is no such section");
    INI_ERROR("temp = 1\nnonsense\n", 2, "neither [section] nor name = value");
    INI_ERROR("[ponder\ntemp = 1\n", 1, "neither");
    INI_ERROR("temp = 1\nsystem = a\0b\n", 2, "NUL");
    INI_ERROR("[a-section-with-a-name-that-is-far-longer-than-anybody-needs]\nx = 1\n", 2, "longer than 48");
    INI_ERROR("temp =\n", 1, "temp: \"\" is not");
    /* a value may not go on in the next line */
    INI_ERROR("system = one\n  two\n", 2, "neither");
}

static void ini_lines_are_whole_or_refused(void **state)
{
    (void)state;
    static char text[20000];
    /* a system text as long as a line may be */
    int n = snprintf(text, sizeof(text), "system = ");
    memset(text + n, 'y', 8000);
    memcpy(text + n + 8000, "\ntemp = 2\n", 11);
    put(text, strlen(text));
    if (settings_load(&s, ini, &e) != 0) fail_msg("%s", e.text);
    assert_int_equal(strlen(s.system), 8000);
    expect("temp", "2");
    memset(text + n, 'z', 9000);
    memcpy(text + n + 9000, "\ntemp = 3\n", 11);
    expect_ini_error(text, strlen(text), ERR_FILE, 1, "longer than");
    assert_int_equal(s.system[0], 'y');
    expect("temp", "2");
}

static void ini_of_too_many_bytes(void **state)
{
    (void)state;
    assert_int_equal(truncate(ini, (1 << 20) + 1), 0);
    assert_int_equal(settings_load(&s, ini, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "larger"));
}

struct seen {
    int n, stop_at;
    char last[64];
};

static int see(void *arg, const char *section, const char *name, const char *value, struct err *err)
{
    struct seen *seen = arg;
    snprintf(seen->last, sizeof(seen->last), "[%s]%s=%s", section, name, value);
    if (seen->n++ == seen->stop_at) return err_set(err, ERR_UNSUPPORTED, "enough");
    return 0;
}

static void ini_reader_for_others(void **state)
{
    (void)state;
    struct seen seen = {.stop_at = -1};
    put("a=1\n[one]\nb=2\n[two]\nc=\n", 23);
    assert_int_equal(ini_read(ini, see, &seen, &e), 0);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.last, "[two]c=");
    seen = (struct seen){.stop_at = 1};
    assert_int_equal(ini_read(ini, see, &seen, &e), ERR_UNSUPPORTED);
    assert_int_equal(seen.n, 2);
    assert_non_null(strstr(e.text, ":3: enough"));
    assert_int_equal(ini_read("/nowhere.ini", see, &seen, &e), ERR_NOT_FOUND);
    assert_int_equal(ini_read(ini, see, &seen, NULL), 0);
}

static void ini_of_random_bytes(void **state)
{
    (void)state;
    static const char *const pieces[] = {"[",     "]",      "=", "\n", "\n", ";",      " ",    "\t",           "temp",
                                         "top_k", "ponder", "1", "#",  "\r", "budget", "\xC3", "\xEF\xBB\xBF", "\x1B"};
    for (int round = 0; round < 600; round++) {
        char text[200];
        size_t n = 0, count = rnd(30);
        for (size_t i = 0; i < count; i++) {
            const char *p = pieces[rnd(ARRAY_LEN(pieces))];
            memcpy(text + n, p, strlen(p));
            n += strlen(p);
            if (rnd(6) == 0) text[n++] = (char)rnd(256);
        }
        put(text, n);
        int r = settings_load(&s, ini, &e);
        assert_true(r == 0 || r == ERR_FILE);
        if (r != 0) {
            assert_memory_equal(e.text, ini, strlen(ini));
            assert_true(utf8_is_valid(e.text, strlen(e.text)));
        }
    }
    assert_true(s.temp >= -1 && s.temp <= 5);
}

static void expect_file(const char *want)
{
    struct str text = STR_EMPTY;
    assert_int_equal(file_read(&text, ini, 1 << 20, &e), 0);
    assert_string_equal(str_cstr(&text), want);
    str_release(&text);
}

static void save(const char *name, const char *value)
{
    assert_int_equal(settings_set(&s, name, value, &e), 0);
    if (settings_save(&s, settings_find(name), ini, &e)) fail_msg("%s", e.text);
}

static void saving_changes_one_line(void **state)
{
    (void)state;
    static const char text[] = "# mine\n[ponder]\ntemp = 0.7 ; warm\n top-k : 12\ntemp = 1\n\n; the end";
    put(text, sizeof(text) - 1);
    save("temp", "0.5");
    expect_file("# mine\n[ponder]\ntemp = 0.5\n top-k : 12\n\n; the end");
    save("top_k", "40");
    save("mouse", "off");
    expect_file("# mine\n[ponder]\ntemp = 0.5\ntop_k = 40\n\n; the end\nmouse = off\n");
    save("system", "Be brief; and # kind");
    save("layout", "side");
    settings_release(&s);
    assert_int_equal(settings_init(&s, &e), 0);
    assert_int_equal(settings_load(&s, ini, &e), 0);
    expect("temp", "0.5");
    expect("top_k", "40");
    expect("mouse", "off");
    expect("system", "Be brief; and # kind");
    expect("layout", "side");
}

static void what_no_line_holds_is_not_saved(void **state)
{
    (void)state;
    static const char *const bad[] = {"two\nlines", " blank in front", "blank behind ", "a ; comment", ";", "carriage\rreturn"};
    put("temp = 1\n", 9);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(settings_set(&s, "system", bad[i], &e), 0);
        assert_int_equal(settings_save(&s, settings_find("system"), ini, &e), ERR_INVALID);
        expect_file("temp = 1\n");
    }
}

static void saving_makes_the_folder_and_follows_a_link(void **state)
{
    (void)state;
    char folder[] = "/tmp/ponder-save-XXXXXX", path[80], target[80];
    struct stat st;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/new/ponder.ini", folder);
    assert_int_equal(settings_save(&s, settings_find("temp"), path, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(target, sizeof target, "%s/dotfile", folder);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink("../dotfile", path), 0);
    assert_int_equal(settings_save(&s, settings_find("mouse"), path, &e), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    unlink(path);
    unlink(target);
    snprintf(path, sizeof path, "%s/new", folder);
    rmdir(path);
    rmdir(folder);
}

static void environment(void **state)
{
    (void)state;
    setenv("PONDER_TEMP", "0.9", 1);
    setenv("PONDER_TOP_K", "5", 1);
    setenv("PONDER_PRIVATE", "on", 1);
    setenv("PONDER_MODEL", "", 1);
    setenv("PONDER_KERNELS", "scalar", 1);
    int r = settings_load_env(&s, &e);
    setenv("PONDER_TOP_K", "many", 1);
    int bad = settings_load_env(&s, &e);
    unsetenv("PONDER_TEMP");
    unsetenv("PONDER_TOP_K");
    unsetenv("PONDER_PRIVATE");
    unsetenv("PONDER_MODEL");
    unsetenv("PONDER_KERNELS");
    assert_int_equal(r, 0);
    expect("temp", "0.9");
    expect("top_k", "5");
    expect("model", "smollm2-135m");
    assert_true(s.private_chat);
    assert_int_equal(bad, ERR_USAGE);
    assert_string_equal(e.text, "PONDER_TOP_K: \"many\" is not a whole number between -1 and 1000000");
}

/* Takes the words as flags; returns what settings_take_flag said last and where it stood. */
static int take(const char *line, int *stopped)
{
    static char words[256];
    char *argv[16], *rest = NULL;
    int argc = 0, i = 0, r = 0;
    snprintf(words, sizeof(words), "%s", line);
    for (char *w = strtok_r(words, " ", &rest); w && argc < 16; w = strtok_r(NULL, " ", &rest)) argv[argc++] = w;
    while (i < argc) {
        r = settings_take_flag(&s, argc, argv, &i, &e);
        if (r != 1) break;
    }
    if (stopped) *stopped = i;
    return r;
}

static void flags_that_are_taken(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        {"--temp 0.5", "temp", "0.5"},
        {"--temp=0.6", "temp", "0.6"},
        {"--temp -1", "temp", "-1"},
        {"--top-k 3", "top_k", "3"},
        {"--top_k=4", "top_k", "4"},
        {"-m x.gguf", "model", "x.gguf"},
        {"-mfile", "model", "file"},
        {"--model=y", "model", "y"},
        {"-t 4", "threads", "4"},
        {"-t8", "threads", "8"},
        {"-t=2", "threads", "2"},
        {"-c 512", "ctx", "512"},
        {"--ctx 1024", "ctx", "1024"},
        {"--private", "private", "on"},
        {"--no-private", "private", "off"},
        {"--private=yes", "private", "on"},
        {"--private=off", "private", "off"},
        {"--mouse=0", "mouse", "off"},
        {"--no-loop-guard", "loop_guard", "off"},
        {"--loop_guard", "loop_guard", "on"},
        {"--speculate off", "speculate", "off"},
        {"--budget 30s", "budget", "30s"},
        {"--budget=off", "budget", "off"},
        {"--system=", "system", ""},
        {"--system=a=b", "system", "a=b"},
        {"--seed 7 --think off", "think", "off"},
        {"--think-min 9", "think_min", "9"},
        {"--keep-thoughts", "keep_thoughts", "on"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (take(table[i][0], NULL) != 1) fail_msg("%s: %s", table[i][0], e.text);
        expect(table[i][1], table[i][2]);
    }
}

static void flags_of_others(void **state)
{
    (void)state;
    static const char *const table[] = {"question", "--json",          "-f", "-",         "--", "--no-thoughts", "--no-temp",
                                        "--no-",    "--no-private=on", "--", "--control", "-x", "--temperature", "--tem",
                                        "temp"};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int at = -1;
        if (take(table[i], &at) != 0) fail_msg("%s", table[i]);
        assert_int_equal(at, 0);
        assert_null(settings_find_flag(table[i]));
    }
    int at;
    assert_int_equal(take("--temp 1 --private question --temp 2", &at), 0);
    assert_int_equal(at, 3); /* a boolean does not eat the question */
    expect("temp", "1");
    assert_string_equal(settings_find_flag("--top-k=4")->name, "top_k");
    assert_string_equal(settings_find_flag("-t4")->name, "threads");
    assert_string_equal(settings_find_flag("--no-mouse")->name, "mouse");
    int i = 0;
    assert_int_equal(settings_take_flag(&s, 0, NULL, &i, &e), 0);
}

static void flags_that_are_wrong(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"--temp abc", "--temp: \"abc\" is not a number between -1 and 5"},
        {"--temp=abc", "--temp: \"abc\" is not a number between -1 and 5"},
        {"--temp", "--temp: needs a value (X)"},
        {"-m", "-m: needs a value (NAME|FILE)"},
        {"-tmany", "-t: \"many\" is not a whole number between 0 and 1024"},
        {"--layout", "--layout: needs a value (inline side)"},
        {"--layout=top", "--layout: \"top\" is not one of: inline, side"},
        {"--private=perhaps", "--private: \"perhaps\" is not on or off"},
        {"--temp=", "--temp: \"\" is not a number between -1 and 5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int at = -1;
        assert_int_equal(take(table[i][0], &at), -1);
        assert_int_equal(at, 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_string_equal(e.text, table[i][1]);
    }
}

static void later_sources_win(void **state)
{
    (void)state;
    static const char text[] = "temp = 1\ntop_k = 1\nseed = 1\n";
    put(text, sizeof(text) - 1);
    setenv("PONDER_TEMP", "2", 1);
    setenv("PONDER_TOP_K", "2", 1);
    assert_int_equal(settings_load(&s, ini, &e), 0);
    assert_int_equal(settings_load_env(&s, &e), 0);
    unsetenv("PONDER_TEMP");
    unsetenv("PONDER_TOP_K");
    assert_int_equal(take("--temp 3", NULL), 1);
    expect("temp", "3");
    expect("top_k", "2");
    expect("seed", "1");
    expect("budget", "400");
}

#define WITH_SETTINGS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SETTINGS(budgets_that_are_read),
        WITH_SETTINGS(budgets_that_are_refused),
        WITH_SETTINGS(budgets_of_random_text),
        WITH_SETTINGS(budgets_no_text_gives),
        WITH_SETTINGS(defaults),
        WITH_SETTINGS(table_is_sound),
        WITH_SETTINGS(values_that_are_taken),
        WITH_SETTINGS(values_that_are_refused),
        WITH_SETTINGS(random_values),
        WITH_SETTINGS(long_values_are_cut_in_errors),
        WITH_SETTINGS(copies_are_apart),
        WITH_SETTINGS(numbers_do_not_follow_the_locale),
        WITH_SETTINGS(ini_files),
        WITH_SETTINGS(ini_errors_name_file_and_line),
        WITH_SETTINGS(ini_lines_are_whole_or_refused),
        WITH_SETTINGS(ini_of_too_many_bytes),
        WITH_SETTINGS(ini_reader_for_others),
        WITH_SETTINGS(ini_of_random_bytes),
        WITH_SETTINGS(saving_changes_one_line),
        WITH_SETTINGS(what_no_line_holds_is_not_saved),
        WITH_SETTINGS(saving_makes_the_folder_and_follows_a_link),
        WITH_SETTINGS(environment),
        WITH_SETTINGS(flags_that_are_taken),
        WITH_SETTINGS(flags_of_others),
        WITH_SETTINGS(flags_that_are_wrong),
        WITH_SETTINGS(later_sources_win),
    };
    for (size_t i = 0; i < settings_count; i++) {
        /* the user's own environment is not part of the test */
        char variable[64] = "PONDER_";
        size_t n = 7;
        for (const char *c = settings_table[i].name; *c; c++) variable[n++] = *c == '_' ? '_' : (char)(*c - 32);
        variable[n] = '\0';
        unsetenv(variable);
    }
    return cmocka_run_group_tests_name("base_settings", tests, NULL, NULL);
}
