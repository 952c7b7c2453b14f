/* Themes: the files that come with the program, files that are wrong, the search, and colours on terminals with fewer of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui/term.h"

static char folder[64];

static int before(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/ponder-theme-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("PONDER_THEMES", "themes", 1);
    return 0;
}

static int after(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static const char *write_theme(const char *text)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/a.ini", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void same_colour(struct colour a, struct colour b)
{
    assert_int_equal(a.index, b.index);
    assert_int_equal(a.r, b.r);
    assert_int_equal(a.g, b.g);
    assert_int_equal(a.b, b.b);
}

static void builtin_theme(void **state)
{
    (void)state;
    struct theme t, u;
    struct err e = {0};
    theme_default(&t);
    assert_string_equal(t.name, "default");
    for (int i = 0; i < STYLE_COUNT; i++) {
        /* It has to read on dark and light screens alike: no colours but the terminal's own 16. */
        assert_in_range(t.styles[i].fg.index + 1, 0, 16);
        assert_in_range(t.styles[i].bg.index + 1, 0, 16);
    }
    assert_int_equal(theme_load(&u, "default", &e), ERR_OK);
    assert_memory_equal(&t, &u, sizeof(t));
    assert_int_equal(theme_load(&u, "", &e), ERR_OK);
    assert_int_equal(theme_load(&u, NULL, &e), ERR_OK);
    assert_true(theme_plain_attrs(&t, STYLE_TITLE) & ATTR_REVERSE);
    assert_true(theme_plain_attrs(&t, STYLE_THOUGHT) & ATTR_DIM);
    assert_int_equal(theme_plain_attrs(&t, STYLE_TEXT), 0);
    assert_int_equal(theme_plain_attrs(&t, STYLE_ERROR), ATTR_BOLD | ATTR_REVERSE);
}

static void installed_themes(void **state)
{
    (void)state;
    static const char *const wanted[] = {"dark",
                                         "light",
                                         "high-contrast-dark",
                                         "high-contrast-light",
                                         "solarized-dark",
                                         "solarized-light",
                                         "gruvbox",
                                         "colorblind-safe",
                                         "monochrome",
                                         "default"};
    bool seen[ARRAY_LEN(wanted)] = {false};
    struct str name = STR_EMPTY, last = STR_EMPTY;
    for (size_t i = 0; theme_name_at(i, &name); i++) {
        struct theme t;
        struct err e = {0};
        if (theme_load(&t, str_cstr(&name), &e) != ERR_OK) fail_msg("%s", e.text);
        assert_string_equal(t.name, str_cstr(&name));
        if (i > 1) assert_true(strcmp(str_cstr(&last), str_cstr(&name)) < 0);
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++)
            if (strcmp(wanted[k], str_cstr(&name)) == 0) seen[k] = true;
        str_clear(&last);
        str_add(&last, str_cstr(&name));
        str_clear(&name);
    }
    for (size_t k = 0; k < ARRAY_LEN(wanted); k++)
        if (!seen[k]) fail_msg("no theme %s", wanted[k]);
    struct theme t;
    assert_int_equal(theme_load(&t, "monochrome", NULL), ERR_OK);
    assert_true(theme_plain_attrs(&t, STYLE_HEADING) & ATTR_UNDERLINE); /* its own word, not the slot's fallback */
    str_release(&name);
    str_release(&last);
}

/* WCAG 2.1's contrast ratio, times 100. */
static double channel(int v)
{
    double c = v / 255.0;
    if (c <= 0.03928) return c / 12.92;
    double base = (c + 0.055) / 1.055, x = base * base; /* the power 2.4 as 2 + 2/5 */
    double root = base;
    for (int i = 0; i < 40; i++) root -= (root * root * root * root * root - base * base) / (5 * root * root * root * root);
    return x * root;
}

static double contrast(struct colour a, struct colour b)
{
    double la = 0.2126 * channel(a.r) + 0.7152 * channel(a.g) + 0.0722 * channel(a.b);
    double lb = 0.2126 * channel(b.r) + 0.7152 * channel(b.g) + 0.0722 * channel(b.b);
    return la > lb ? (la + 0.05) / (lb + 0.05) : (lb + 0.05) / (la + 0.05);
}

static void contrasts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double least;
    } table[] = {{"high-contrast-dark", 7.0}, {"high-contrast-light", 7.0}};
    for (size_t k = 0; k < ARRAY_LEN(table); k++) {
        struct theme t;
        assert_int_equal(theme_load(&t, table[k].name, NULL), ERR_OK);
        for (int i = 0; i < STYLE_COUNT; i++) {
            double c = contrast(t.styles[i].fg, t.styles[i].bg);
            if (c < table[k].least) fail_msg("%s: %s has %.2f", table[k].name, style_name((enum style)i), c);
        }
    }
}

static void values(void **state)
{
    (void)state;
    struct theme t, builtin;
    theme_default(&builtin);
    const char *path = write_theme("[theme]\nabout = x\n[palette]\nsky = #1e90fF\nred = 200\n[styles]\n"
                                   "text = white on #000000\nprompt = bold underline\nerror = red on default reverse\n"
                                   "good = 12 on sky\nhint = bright-black dim italic\nlink = on 7\nnotice =\n");
    struct err e = {0};
    if (theme_load(&t, path, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_string_equal(t.name, "a.ini");
    same_colour(t.styles[STYLE_TEXT].fg, (struct colour){.index = 7});
    same_colour(t.styles[STYLE_TEXT].bg, (struct colour){.index = 256});
    same_colour(t.styles[STYLE_PROMPT].fg, t.styles[STYLE_TEXT].fg);
    same_colour(t.styles[STYLE_PROMPT].bg, t.styles[STYLE_TEXT].bg);
    assert_int_equal(t.styles[STYLE_PROMPT].attrs, ATTR_BOLD | ATTR_UNDERLINE);
    same_colour(t.styles[STYLE_ERROR].fg, (struct colour){.index = 200});
    same_colour(t.styles[STYLE_ERROR].bg, (struct colour){.index = -1});
    same_colour(t.styles[STYLE_GOOD].bg, (struct colour){.index = 256, .r = 0x1e, .g = 0x90, .b = 0xff});
    assert_int_equal(t.styles[STYLE_HINT].attrs, ATTR_DIM | ATTR_ITALIC);
    same_colour(t.styles[STYLE_LINK].bg, (struct colour){.index = 7});
    /* a slot that is not named: as built in, on the file's ground */
    same_colour(t.styles[STYLE_KEY].fg, builtin.styles[STYLE_KEY].fg);
    same_colour(t.styles[STYLE_KEY].bg, t.styles[STYLE_TEXT].bg);
    same_colour(t.styles[STYLE_NOTICE].fg, t.styles[STYLE_TEXT].fg);

    assert_int_equal(theme_load(&t, write_theme("prompt = red\n"), NULL), ERR_OK); /* without any section */
    same_colour(t.styles[STYLE_PROMPT].fg, (struct colour){.index = 1});
    same_colour(t.styles[STYLE_TEXT].bg, (struct colour){.index = -1});
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } table[] = {
        {"text = mauve\n", "a.ini:1:"},
        {"\n\nno_such_slot = red\n", "a.ini:3:"},
        {"text = red on\n", "a.ini:1:"},
        {"text = red on bold\n", "a.ini:1:"},
        {"text = red blue\n", "a.ini:1:"},
        {"text = on red on blue\n", "a.ini:1:"},
        {"text = 256\n", "a.ini:1:"},
        {"text = #12345\n", "a.ini:1:"},
        {"text = #12345g\n", "a.ini:1:"},
        {"text = -1\n", "a.ini:1:"},
        {"[colours]\ntext = red\n", "a.ini:2:"},
        {"[palette]\nx = nothing\n", "a.ini:2:"},
        {"[palette]\nbold = red\n", "a.ini:2:"},
        {"[theme]\nsize = 3\n", "a.ini:2:"},
        {"text = red\n[broken\n", "a.ini:2"},
        {"text = a\x1b[31m\n", "a.ini:1:"},
    };
    struct theme builtin;
    theme_default(&builtin);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct theme t;
        struct err e = {0};
        memset(&t, 0xee, sizeof(t));
        int rc = theme_load(&t, write_theme(table[i].text), &e);
        if (rc != ERR_FILE || !strstr(e.text, table[i].place)) fail_msg("row %zu: %d %s", i, rc, e.text);
        assert_memory_equal(&t, &builtin, sizeof(t));
    }
    struct str many = STR_EMPTY;
    str_add(&many, "[palette]\n");
    for (int i = 0; i < 100; i++) str_addf(&many, "c%d = red\n", i);
    struct theme t;
    struct err e = {0};
    assert_int_equal(theme_load(&t, write_theme(str_cstr(&many)), &e), ERR_FILE);
    str_release(&many);
}

static void search(void **state)
{
    (void)state;
    struct theme t;
    struct err e = {0};
    static const char *const wrong[] = {"no-such-theme", "..",        "../themes/dark",     ".hidden",
                                        "a b",           "x\033[31m", "/nonexistent/x.ini", "themes/nothing.ini"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(theme_load(&t, wrong[i], &e), ERR_FILE);
        assert_string_equal(t.name, "default");
    }
    assert_int_equal(theme_load(&t, "no-such-theme", &e), ERR_FILE);
    assert_non_null(strstr(e.text, "no-such-theme"));
    assert_non_null(strstr(e.text, "gruvbox"));
    assert_int_equal(theme_load(&t, "themes/dark.ini", &e), ERR_OK);

    char path[160];
    snprintf(path, sizeof(path), "%s/ponder", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/ponder/themes", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/ponder/themes/dark.ini", folder);
    FILE *f = fopen(path, "w");
    fputs("text = 123\n", f);
    fclose(f);
    assert_int_equal(theme_load(&t, "dark", &e), ERR_OK); /* the user's own comes first */
    assert_int_equal(t.styles[STYLE_TEXT].fg.index, 123);
    int dark = 0;
    struct str name = STR_EMPTY;
    for (size_t i = 0; theme_name_at(i, &name); i++, str_clear(&name)) dark += strcmp(str_cstr(&name), "dark") == 0;
    assert_int_equal(dark, 1);
    str_release(&name);
    unlink(path);
}

static struct colour rgb(int r, int g, int b)
{
    return (struct colour){.index = 256, .r = (uint8_t)r, .g = (uint8_t)g, .b = (uint8_t)b};
}

static void fewer_colours(void **state)
{
    (void)state;
    assert_int_equal(colour_to_256((struct colour){.index = -1}), -1);
    assert_int_equal(colour_to_256((struct colour){.index = 9}), 9);
    assert_int_equal(colour_to_256(rgb(0, 0, 0)), 16);
    assert_int_equal(colour_to_256(rgb(255, 255, 255)), 231);
    assert_int_equal(colour_to_256(rgb(255, 0, 0)), 196);
    assert_int_equal(colour_to_256(rgb(95, 135, 175)), 67);
    assert_int_equal(colour_to_256(rgb(18, 18, 18)), 233);
    assert_int_equal(colour_to_256(rgb(128, 128, 128)), 244);
    assert_int_equal(colour_to_16(rgb(0, 0, 0)), 0);
    assert_int_equal(colour_to_16(rgb(250, 250, 250)), 15);
    assert_int_equal(colour_to_16(rgb(200, 10, 10)), 1);
    assert_int_equal(colour_to_16((struct colour){.index = 196}), 9);
    assert_int_equal(colour_to_16((struct colour){.index = 255}), 7);
    assert_int_equal(colour_to_16((struct colour){.index = -1}), -1);
    assert_int_equal(colour_to_direct(rgb(1, 2, 3)), 0x010203);
    assert_int_equal(colour_to_direct(rgb(0, 0, 3)), 8);
    assert_int_equal(colour_to_direct((struct colour){.index = 3}), 3);
    assert_int_equal(colour_to_direct((struct colour){.index = -1}), -1);
    assert_int_equal(colour_to_direct((struct colour){.index = 196}), 0xff0000);

    static const int depths[] = {8, 16, 256};
    struct str name = STR_EMPTY;
    for (size_t i = 0; theme_name_at(i, &name); i++, str_clear(&name)) {
        struct theme t;
        assert_int_equal(theme_load(&t, str_cstr(&name), NULL), ERR_OK);
        for (size_t k = 0; k < ARRAY_LEN(depths); k++) {
            for (int s = 0; s < STYLE_COUNT; s++) {
                int fg, bg;
                unsigned attrs;
                style_degrade(&t.styles[s], depths[k], &fg, &bg, &attrs);
                assert_true(fg >= -1 && fg < depths[k] && bg >= -1 && bg < depths[k]);
                if (fg == bg && fg >= 0)
                    fail_msg("%s: %s cannot be read with %d colours", str_cstr(&name), style_name((enum style)s), depths[k]);
            }
        }
    }
    str_release(&name);
    int fg, bg;
    unsigned attrs;
    struct style_def grey = {.fg = {.index = 8}, .bg = {.index = 0}};
    style_degrade(&grey, 8, &fg, &bg, &attrs); /* not black on black */
    assert_int_equal(fg, 7);
    assert_int_equal(attrs, ATTR_DIM);
    struct style_def bright = {.fg = {.index = 12}, .bg = {.index = -1}};
    style_degrade(&bright, 8, &fg, &bg, &attrs);
    assert_int_equal(fg, 4);
    assert_int_equal(attrs, ATTR_BOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_theme), cmocka_unit_test(installed_themes), cmocka_unit_test(contrasts),     cmocka_unit_test(values),
        cmocka_unit_test(bad_files),     cmocka_unit_test(search),           cmocka_unit_test(fewer_colours),
    };
    return cmocka_run_group_tests(tests, before, after);
}
