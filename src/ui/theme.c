/*
 * theme.c - what the slots of grid.h look like: the built-in theme and theme files.
 *
 * A theme file is an INI file. [palette] gives names to colours, [styles] (or no section) gives slots their look, [theme] may hold
 * `about`. What a file leaves out stays as in the built-in theme. A file that is wrong anywhere changes nothing: the theme is then
 * the built-in one.
 */
#include "ui/term.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COLOUR_OWN = -1,     /* the terminal's own */
    COLOUR_AS_TEXT = -2, /* while a file is read: that of the slot `text` */
    COLOUR_RGB = 256,
    PALETTE_MAX = 64,
    NAME_MAX_LEN = 48,
};

#define OWN                                                                                                                                \
    {                                                                                                                                      \
        .index = COLOUR_OWN                                                                                                                \
    }
#define PAL(i)                                                                                                                             \
    {                                                                                                                                      \
        .index = (i)                                                                                                                       \
    }

/* Only the terminal's own colours and its 16 named ones, so that it reads on dark and on light screens. */
static const struct style_def builtin[STYLE_COUNT] = {
    [STYLE_TEXT] = {OWN, OWN, 0},
    [STYLE_PROMPT] = {OWN, OWN, ATTR_BOLD},
    [STYLE_THOUGHT] = {OWN, OWN, ATTR_DIM},
    [STYLE_THOUGHT_HEADER] = {PAL(6), OWN, ATTR_BOLD},
    [STYLE_THOUGHT_RULE] = {PAL(6), OWN, ATTR_DIM},
    [STYLE_INJECTED] = {PAL(5), OWN, ATTR_UNDERLINE},
    [STYLE_BAR_FULL] = {PAL(6), OWN, 0},
    [STYLE_BAR_SOFT] = {PAL(3), OWN, 0},
    [STYLE_BAR_EMPTY] = {OWN, OWN, ATTR_DIM},
    [STYLE_TITLE] = {OWN, OWN, ATTR_REVERSE},
    [STYLE_TITLE_ACCENT] = {OWN, OWN, ATTR_BOLD | ATTR_REVERSE},
    [STYLE_STATUS] = {OWN, OWN, ATTR_DIM},
    [STYLE_KEY] = {PAL(6), OWN, 0},
    [STYLE_RULE] = {OWN, OWN, ATTR_DIM},
    [STYLE_INPUT] = {OWN, OWN, 0},
    [STYLE_INPUT_MARK] = {PAL(6), OWN, ATTR_BOLD},
    [STYLE_HINT] = {OWN, OWN, ATTR_DIM},
    [STYLE_QUEUED] = {PAL(3), OWN, ATTR_DIM},
    [STYLE_NOTICE] = {PAL(3), OWN, 0},
    [STYLE_ERROR] = {PAL(1), OWN, ATTR_BOLD},
    [STYLE_GOOD] = {PAL(2), OWN, ATTR_BOLD},
    [STYLE_BAD] = {PAL(1), OWN, ATTR_BOLD},
    [STYLE_FOCUS] = {OWN, OWN, ATTR_REVERSE},
    [STYLE_MATCH] = {PAL(0), PAL(3), 0},
    [STYLE_MENU] = {OWN, OWN, 0},
    [STYLE_MENU_SELECTED] = {OWN, OWN, ATTR_REVERSE},
    [STYLE_MENU_BORDER] = {PAL(6), OWN, 0},
    [STYLE_MENU_HINT] = {OWN, OWN, ATTR_DIM},
    [STYLE_MENU_STRONG] = {PAL(6), OWN, 0},
    [STYLE_CODE] = {PAL(2), OWN, 0},
    [STYLE_CODE_KEYWORD] = {PAL(5), OWN, 0},
    [STYLE_CODE_STRING] = {PAL(3), OWN, 0},
    [STYLE_CODE_COMMENT] = {OWN, OWN, ATTR_DIM},
    [STYLE_CODE_NUMBER] = {PAL(6), OWN, 0},
    [STYLE_HEADING] = {OWN, OWN, ATTR_BOLD | ATTR_UNDERLINE},
    [STYLE_EMPHASIS] = {OWN, OWN, ATTR_ITALIC},
    [STYLE_STRONG] = {OWN, OWN, ATTR_BOLD},
    [STYLE_LINK] = {PAL(4), OWN, ATTR_UNDERLINE},
    [STYLE_QUOTE] = {OWN, OWN, ATTR_DIM | ATTR_ITALIC},
};

static const char *const plain_attrs[STYLE_COUNT] = {
#define X(n, k, a, h) a,
    STYLE_SLOTS(X)
#undef X
};

static const struct {
    const char *name;
    int16_t index;
} colour_names[] = {
    {"default", COLOUR_OWN},
    {"black", 0},
    {"red", 1},
    {"green", 2},
    {"yellow", 3},
    {"blue", 4},
    {"magenta", 5},
    {"cyan", 6},
    {"white", 7},
    {"bright-black", 8},
    {"grey", 8},
    {"gray", 8},
    {"bright-red", 9},
    {"bright-green", 10},
    {"bright-yellow", 11},
    {"bright-blue", 12},
    {"bright-magenta", 13},
    {"bright-cyan", 14},
    {"bright-white", 15},
};

static const struct {
    const char *name;
    unsigned bits;
} attr_names[] = {
    {"bold", ATTR_BOLD}, {"dim", ATTR_DIM}, {"underline", ATTR_UNDERLINE}, {"reverse", ATTR_REVERSE}, {"italic", ATTR_ITALIC}, {"none", 0},
};

/* A theme file being read. */
struct reading {
    struct theme theme;
    struct {
        char name[NAME_MAX_LEN];
        struct colour colour;
    } palette[PALETTE_MAX];
    size_t n_palette;
};

void theme_default(struct theme *t)
{
    *t = (struct theme){.name = "default"};
    memcpy(t->styles, builtin, sizeof(builtin));
}

unsigned theme_plain_attrs(const struct theme *t, enum style s)
{
    bool coloured = false;
    for (size_t i = 0; i < STYLE_COUNT; i++)
        if (t->styles[i].fg.index != COLOUR_OWN || t->styles[i].bg.index != COLOUR_OWN) coloured = true;
    /* A theme made of attributes alone says what it wants; one made of colours has said nothing about this case. */
    if (!coloured) return t->styles[s].attrs;
    unsigned attrs = 0;
    for (const char *a = plain_attrs[s]; *a; a++) {
        if (*a == 'b') attrs |= ATTR_BOLD;
        if (*a == 'd') attrs |= ATTR_DIM;
        if (*a == 'u') attrs |= ATTR_UNDERLINE;
        if (*a == 'r') attrs |= ATTR_REVERSE;
        if (*a == 'i') attrs |= ATTR_ITALIC;
    }
    return attrs;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool parse_rgb(const char *word, struct colour *out)
{
    int v[6];
    if (word[0] != '#' || strlen(word) != 7) return false;
    for (int i = 0; i < 6; i++) {
        v[i] = hex_digit(word[1 + i]);
        if (v[i] < 0) return false;
    }
    *out = (struct colour){
        .index = COLOUR_RGB, .r = (uint8_t)(v[0] * 16 + v[1]), .g = (uint8_t)(v[2] * 16 + v[3]), .b = (uint8_t)(v[4] * 16 + v[5])};
    return true;
}

static bool parse_colour(const struct reading *r, const char *word, struct colour *out)
{
    for (size_t i = 0; i < r->n_palette; i++) {
        if (strcmp(r->palette[i].name, word) != 0) continue;
        *out = r->palette[i].colour;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(colour_names); i++) {
        if (strcmp(colour_names[i].name, word) != 0) continue;
        *out = (struct colour){.index = colour_names[i].index};
        return true;
    }
    size_t digits = strspn(word, "0123456789");
    if (digits > 0 && digits <= 3 && word[digits] == '\0') {
        int index = atoi(word);
        *out = (struct colour){.index = (int16_t)index};
        return index <= 255;
    }
    return parse_rgb(word, out);
}

static bool parse_attr(const char *word, unsigned *attrs)
{
    for (size_t i = 0; i < ARRAY_LEN(attr_names); i++) {
        if (strcmp(attr_names[i].name, word) != 0) continue;
        *attrs |= attr_names[i].bits;
        return true;
    }
    return false;
}

static int parse_style(const struct reading *r, struct style_def *out, const char *value, struct err *e)
{
    struct style_def d = {.fg.index = COLOUR_AS_TEXT, .bg.index = COLOUR_AS_TEXT};
    char copy[256];
    size_t n = strlen(value);
    if (n >= sizeof(copy)) return err_set(e, ERR_FILE, "the value is longer than %zu bytes", sizeof(copy) - 1);
    memcpy(copy, value, n + 1);
    bool have_fg = false, have_bg = false;
    char *state = NULL;
    for (char *word = strtok_r(copy, " \t", &state); word; word = strtok_r(NULL, " \t", &state)) {
        if (strcmp(word, "on") == 0) {
            word = strtok_r(NULL, " \t", &state);
            if (have_bg || !word || !parse_colour(r, word, &d.bg)) return err_set(e, ERR_FILE, "a colour has to follow \"on\": %s", value);
            have_bg = true;
        } else if (parse_attr(word, &d.attrs)) {
            continue;
        } else if (!have_fg && !have_bg && parse_colour(r, word, &d.fg)) {
            have_fg = true;
        } else {
            return err_set(e, ERR_FILE,
                           "\"%s\" is no colour (default, red, bright-red, 0-255, #rrggbb) and no attribute "
                           "(bold, dim, underline, reverse, italic)",
                           word);
        }
    }
    *out = d;
    return ERR_OK;
}

static int on_palette(struct reading *r, const char *name, const char *value, struct err *e)
{
    struct colour c;
    if (!parse_colour(r, value, &c)) return err_set(e, ERR_FILE, "\"%s\" is no colour", value);
    if (r->n_palette == PALETTE_MAX) return err_set(e, ERR_FILE, "more than %d colours in [palette]", PALETTE_MAX);
    size_t n = strlen(name);
    unsigned ignored = 0;
    if (n >= NAME_MAX_LEN || strcmp(name, "on") == 0 || parse_attr(name, &ignored))
        return err_set(e, ERR_FILE, "\"%s\" cannot name a colour", name);
    memcpy(r->palette[r->n_palette].name, name, n + 1);
    r->palette[r->n_palette++].colour = c;
    return ERR_OK;
}

static int on_value(void *arg, const char *section, const char *name, const char *value, struct err *e)
{
    struct reading *r = arg;
    if (strcmp(section, "theme") == 0) {
        if (strcmp(name, "about") == 0) return ERR_OK;
        return err_set(e, ERR_FILE, "[theme] has no \"%s\"", name);
    }
    if (strcmp(section, "palette") == 0) return on_palette(r, name, value, e);
    if (section[0] != '\0' && strcmp(section, "styles") != 0) return err_set(e, ERR_FILE, "there is no section [%s] in a theme", section);
    enum style s;
    if (!style_by_name(name, &s)) return err_set(e, ERR_FILE, "there is no slot \"%s\"", name);
    return parse_style(r, &r->theme.styles[s], value, e);
}

static int read_file(struct theme *t, const char *path, const char *name, struct err *e)
{
    struct reading *r = calloc(1, sizeof(*r));
    if (!r) return err_set(e, ERR_NOMEM, "no memory for a theme");
    theme_default(&r->theme);
    /* The built-in theme stands on the terminal's own colours; beside those of a file it would look torn. */
    for (size_t i = 0; i < STYLE_COUNT; i++) {
        if (r->theme.styles[i].fg.index == COLOUR_OWN) r->theme.styles[i].fg.index = COLOUR_AS_TEXT;
        if (r->theme.styles[i].bg.index == COLOUR_OWN) r->theme.styles[i].bg.index = COLOUR_AS_TEXT;
    }
    int rc = ini_read(path, on_value, r, e);
    if (rc == ERR_OK) {
        struct style_def *text = &r->theme.styles[STYLE_TEXT];
        if (text->fg.index == COLOUR_AS_TEXT) text->fg.index = COLOUR_OWN;
        if (text->bg.index == COLOUR_AS_TEXT) text->bg.index = COLOUR_OWN;
        for (size_t i = 0; i < STYLE_COUNT; i++) {
            struct style_def *d = &r->theme.styles[i];
            bool in_menu = i == STYLE_MENU_BORDER || i == STYLE_MENU_HINT || i == STYLE_MENU_STRONG;
            if (d->fg.index == COLOUR_AS_TEXT) d->fg = text->fg;
            /* menu stands before them in the table, so that its own is known */
            if (d->bg.index == COLOUR_AS_TEXT) d->bg = in_menu ? r->theme.styles[STYLE_MENU].bg : text->bg;
        }
        snprintf(r->theme.name, sizeof(r->theme.name), "%s", name);
        *t = r->theme;
    }
    free(r);
    return rc;
}

/* Appends the i-th folder that themes are looked for in, best first; false at the end. An unset one is empty. */
static bool folder_at(size_t i, struct str *out)
{
    const char *env = getenv("PONDER_THEMES");
    if (i == 0) return path_of(out, PATH_CONFIG, "themes", NULL) == ERR_OK || (str_clear(out), true);
    if (i > 1) return path_shared_at(i - 2, "themes", out);
    if (env) str_add(out, env);
    return true;
}

/* A name is a file's, without a way out of the folder. */
static bool name_is_plain(const char *name)
{
    if (name[0] == '.' || name[0] == '\0' || strlen(name) >= NAME_MAX_LEN) return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(name);
}

static int not_found(const char *name, struct err *e)
{
    struct str list = STR_EMPTY;
    for (size_t i = 0; list.len < 300; i++) {
        if (i > 0) str_add(&list, ", ");
        size_t before = list.len;
        if (!theme_name_at(i, &list)) {
            str_truncate(&list, before > 2 ? before - 2 : 0);
            break;
        }
    }
    int rc = err_set(e, ERR_FILE, "there is no theme \"%s\"; there are %s", name, str_cstr(&list));
    str_release(&list);
    return rc;
}

int theme_load(struct theme *t, const char *name, struct err *e)
{
    theme_default(t);
    if (!name || name[0] == '\0' || strcmp(name, "default") == 0) return ERR_OK;
    if (strchr(name, '/')) {
        const char *base = strrchr(name, '/') + 1;
        int rc = read_file(t, name, base, e);
        return rc == ERR_OK || rc == ERR_NOMEM ? rc : ERR_FILE;
    }
    if (!name_is_plain(name)) return not_found(name, e);
    struct str path = STR_EMPTY;
    int rc = -1;
    for (size_t i = 0; rc == -1; i++) {
        str_clear(&path);
        if (!folder_at(i, &path)) break;
        if (path.len == 0) continue;
        str_addf(&path, "/%s.ini", name);
        if (!str_ok(&path)) {
            rc = err_set(e, ERR_NOMEM, "no memory for a theme");
        } else if (access(str_cstr(&path), F_OK) == 0) {
            rc = read_file(t, str_cstr(&path), name, e);
            if (rc != ERR_OK && rc != ERR_NOMEM) rc = ERR_FILE;
        }
    }
    str_release(&path);
    return rc == -1 ? not_found(name, e) : rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **items;
    size_t n, cap;
};

static void collect_names(const char *folder, struct names *out)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *d; (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        if (n <= 4 || strcmp(d->d_name + n - 4, ".ini") != 0) continue;
        char *name = mem_dup_text(d->d_name, n - 4);
        if (!name) break;
        if (!name_is_plain(name) || strcmp(name, "default") == 0 || !mem_grow(&out->items, &out->cap, out->n + 1, sizeof(*out->items)))
            free(name);
        else
            out->items[out->n++] = name;
    }
    closedir(dir);
}

bool theme_name_at(size_t i, struct str *name)
{
    if (i == 0) {
        str_add(name, "default");
        return true;
    }
    struct names names = {0};
    struct str folder = STR_EMPTY;
    for (size_t k = 0; folder_at(k, &folder); k++, str_clear(&folder))
        if (folder.len > 0 && str_ok(&folder)) collect_names(str_cstr(&folder), &names);
    str_release(&folder);
    if (names.n > 1) qsort(names.items, names.n, sizeof(*names.items), compare_names);
    size_t at = 0;
    bool found = false;
    for (size_t k = 0; k < names.n && !found; k++) {
        if (k > 0 && strcmp(names.items[k - 1], names.items[k]) == 0) continue;
        if (++at != i) continue;
        str_add(name, names.items[k]);
        found = true;
    }
    for (size_t k = 0; k < names.n; k++) free(names.items[k]);
    free(names.items);
    return found;
}
