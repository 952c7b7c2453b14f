/*
 * man.c - `ponder man`: the manual page ponder(1) as roff, made from the tables of commands, settings, keys and slash commands, so that it
 * cannot tell of what is not there.
 */
#include "cli/usage.h"
#include "ui/ui.h"

#include <string.h>

/* Text of roff: backslashes and dashes are spelt out, a dot or quote at the start of a line is no request. */
static void roff(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool first = i == 0 || text[i - 1] == '\n';
        if (first && (c == '.' || c == '\'')) fputs("\\&", stdout);
        if (c == '\\')
            fputs("\\e", stdout);
        else if (c == '-')
            fputs("\\-", stdout);
        else
            putchar(c);
    }
}

static void put(const char *text)
{
    roff(text, strlen(text));
}

static void section(const char *name)
{
    printf(".SH %s\n", name);
}

/* A tagged paragraph; what follows it, NULL or "", stands in italics. */
static void entry(const char *tag, const char *value, const char *text)
{
    printf(".TP\n\\fB");
    put(tag);
    printf("\\fR");
    if (value && *value) {
        printf(" \\fI");
        put(value);
        printf("\\fR");
    }
    putchar('\n');
    put(text);
    putchar('\n');
}

static void commands(void)
{
    section("COMMANDS");
    for (const struct command *c = cli_commands; c->name; c++) entry(c->name, c->usage, c->help);
}

static void settings(void)
{
    section("OPTIONS AND SETTINGS");
    put("Every setting is a flag of chat and ask, a line \"name = value\" of ponder.ini, an environment variable PONDER_NAME, and a line "
        "of the "
        "settings screen (F9). A flag comes before the environment, that before the file.\n");
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        char tag[80], name[64];
        struct str text = STR_EMPTY;
        snprintf(name, sizeof name, "--%s", d->name);
        for (char *p = name; *p; p++)
            if (*p == '_') *p = '-';
        snprintf(tag, sizeof tag, "%s%s%s", d->flags, *d->flags ? ", " : "", name);
        str_addf(&text, "%s. At first: %s.", d->help, d->initial[0] ? d->initial : "empty");
        if (d->scope == SETTING_CHAT) str_add(&text, " Of the full-screen program only.");
        entry(tag, d->type == SETTING_BOOL ? "" : d->choices, str_cstr(&text));
        str_release(&text);
    }
}

/* Text as ui_help_keys has it: a heading at the left, two columns, what does not fit goes on below. */
static void two_columns(const struct str *s)
{
    const char *p = str_cstr(s), *end = p + s->len;
    printf(".nf\n");
    for (; p < end; p = memchr(p, '\n', (size_t)(end - p)) + 1) {
        size_t n = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) - p);
        if (n && *p != ' ') {
            printf(".fi\n.SS ");
            roff(p, n);
            printf("\n.nf\n");
        } else {
            roff(p, n + 1);
        }
    }
    printf(".fi\n");
}

static void keys(void)
{
    struct str s = STR_EMPTY;
    section("KEYS");
    ui_help_keys(&s);
    two_columns(&s);
    str_clear(&s);
    section("SLASH COMMANDS");
    ui_help_commands(&s);
    two_columns(&s);
    str_release(&s);
}

static void files(void)
{
    section("FILES");
    entry("~/.config/ponder/ponder.ini", NULL, "settings; themes/*.ini beside it are themes of one's own ($XDG_CONFIG_HOME)");
    entry("~/.local/share/ponder/ponder.db", NULL, "conversations, in SQLite ($XDG_DATA_HOME)");
    entry("~/.local/share/ponder/models/", NULL, "models");
    entry("~/.local/state/ponder/", NULL, "input history ($XDG_STATE_HOME)");
    entry("~/.cache/ponder/", NULL, "what can be made again ($XDG_CACHE_HOME)");
}

int cmd_man(int argc, char **argv)
{
    if (argc > 1) return cli_usage(argv[0], "unknown argument %s", argv[1]);
    printf(".TH PONDER 1 \"\" \"ponder %s\" \"User Commands\"\n.ad l\n", PONDER_VERSION);
    section("NAME");
    put("ponder - talk to a local reasoning model, and steer how long it thinks\n");
    section("SYNOPSIS");
    printf(".B ponder\n[\\fICOMMAND\\fR] [\\fIoptions\\fR]\n");
    section("DESCRIPTION");
    put("ponder loads a GGUF model and talks with it in the terminal. The model's thought streams into a pane of its own; while it runs "
        "its budget "
        "is raised and lowered, in tokens or seconds. Every conversation is kept in one SQLite file on this machine, and can be rated and "
        "exported "
        "as training data. Without a command it is chat.\n");
    commands();
    settings();
    keys();
    section("ENVIRONMENT");
    entry("PONDER_NAME", NULL, "a setting");
    entry("PONDER_KERNELS", NULL, "scalar, avx2, avx512 or amx: the arithmetic to use");
    entry("NO_COLOR", NULL, "no colours");
    entry("VISUAL, EDITOR", NULL, "the editor of Ctrl-X Ctrl-E");
    files();
    section("EXIT STATUS");
    put("0 done, 1 failed, 2 usage, 3 unusable file (model, database, theme), 128+n signal.\n");
    return cli_finish(0);
}
