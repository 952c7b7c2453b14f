/*
 * completions.c - `ponder completions SHELL`: completion for bash, zsh and fish, made from the tables of commands and settings.
 *
 * Names of models are asked for when Tab is pressed; everything else stands in the script.
 */
#include "cli/usage.h"

#include <string.h>

#define MODELS "$(ponder models 2>/dev/null | cut -d' ' -f1)"

static bool takes_model(const struct usage_flag *f)
{
    return !strcmp(f->name, "-m") || !strcmp(f->name, "--model");
}

static bool command_takes_model(const struct command *c)
{
    return c->run == cmd_info || c->run == cmd_pull;
}

static void put_names(void)
{
    for (const struct command *c = cli_commands; c->name; c++) printf("%s%s", c == cli_commands ? "" : " ", c->name);
}

/* The flags of a command and the words it knows. */
static void put_words(const struct usage *u)
{
    printf("%s", u->words);
    for (size_t i = 0; i < u->n_flags; i++) printf("%s%s", i || u->words[0] ? " " : "", u->flags[i].name);
}

/* What a flag takes, as words of a shell's list. */
static const char *values_of(const struct usage_flag *f)
{
    return takes_model(f) ? MODELS : f->words;
}

/* ---- bash ---------------------------------------------------------------------------------------------------------- */

static void bash(void)
{
    printf("# bash completion for ponder: source it, or put it into ~/.local/share/bash-completion/completions/ponder\n"
           "_ponder()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=chat words=\n"
           "    if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]]; then command=${COMP_WORDS[1]}; fi\n"
           "    if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    put_names();
    printf("\" -- \"$cur\"))\n        return\n    fi\n    case $command in\n");
    for (const struct command *c = cli_commands; c->name; c++) {
        struct usage u;
        usage_of(c, &u);
        printf("    %s)\n        case $prev in\n", c->name);
        for (size_t i = 0; i < u.n_flags; i++) {
            const struct usage_flag *f = &u.flags[i];
            if (*values_of(f))
                printf("        %s) words=\"%s\" ;;\n", f->name, values_of(f));
            else if (f->value[0])
                printf("        %s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", f->name);
        }
        printf("        *) words=\"");
        put_words(&u);
        printf("%s\" ;;\n        esac ;;\n", command_takes_model(c) ? " " MODELS : "");
    }
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "}\n"
           "complete -o bashdefault -o default -F _ponder ponder\n");
}

/* ---- zsh ----------------------------------------------------------------------------------------------------------- */

/* Text inside single quotes; what `also` names gets a backslash. */
static void quoted(const char *text, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr(also, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh(void)
{
    printf("#compdef ponder\n"
           "# zsh completion for ponder: put it into a folder of $fpath as _ponder\n"
           "_ponder()\n{\n"
           "    local command=chat prev=${words[CURRENT-1]}\n"
           "    local -a names\n"
           "    names=(\n");
    for (const struct command *c = cli_commands; c->name; c++) {
        printf("        '%s:", c->name);
        quoted(c->help, ":");
        printf("'\n");
    }
    printf("    )\n"
           "    if (( CURRENT == 2 )) && [[ ${words[CURRENT]} != -* ]]; then\n"
           "        _describe command names\n"
           "        return\n"
           "    fi\n"
           "    if (( CURRENT > 2 )) && [[ ${words[2]} != -* ]]; then command=${words[2]}; fi\n"
           "    case $command in\n");
    for (const struct command *c = cli_commands; c->name; c++) {
        struct usage u;
        usage_of(c, &u);
        printf("    %s)\n        case $prev in\n", c->name);
        for (size_t i = 0; i < u.n_flags; i++) {
            const struct usage_flag *f = &u.flags[i];
            if (*values_of(f))
                printf("        %s) compadd -- %s; return ;;\n", f->name, takes_model(f) ? "${(f)\"" MODELS "\"}" : f->words);
            else if (f->value[0])
                printf("        %s) _files; return ;;\n", f->name);
        }
        printf("        esac\n");
        if (command_takes_model(c)) printf("        compadd -- ${(f)\"" MODELS "\"}\n");
        printf("        compadd -- ");
        put_words(&u);
        printf("\n        [[ ${words[CURRENT]} == -* ]] || _files ;;\n");
    }
    printf("    esac\n}\n"
           "if [[ $funcstack[1] == _ponder ]]; then _ponder \"$@\"; else compdef _ponder ponder; fi\n");
}

/* ---- fish ---------------------------------------------------------------------------------------------------------- */

static void fish_flag(const char *condition, const struct usage_flag *f)
{
    bool is_long = f->name[1] == '-';
    printf("complete -c ponder -n '%s' %s %s", condition, is_long ? "-l" : "-s", f->name + (is_long ? 2 : 1));
    if (takes_model(f))
        printf(" -x -a '(ponder models 2>/dev/null | string split -f1 \" \")'");
    else if (f->words[0])
        printf(" -x -a '%s'", f->words);
    else if (f->value[0])
        printf(" -r");
    if (f->help) {
        printf(" -d '");
        quoted(f->help, "");
        printf("'");
    }
    putchar('\n');
}

static void fish(void)
{
    printf("# fish completion for ponder: put it into ~/.config/fish/completions/ponder.fish\n");
    for (const struct command *c = cli_commands; c->name; c++) {
        printf("complete -c ponder -n __fish_use_subcommand -a %s -d '", c->name);
        quoted(c->help, "");
        printf("'\n");
    }
    for (const struct command *c = cli_commands; c->name; c++) {
        struct usage u;
        char condition[100];
        usage_of(c, &u);
        snprintf(condition, sizeof condition, "%s__fish_seen_subcommand_from %s", c->run == cmd_chat ? "__fish_use_subcommand; or " : "",
                 c->name);
        if (u.words[0]) printf("complete -c ponder -n '%s' -f -a '%s'\n", condition, u.words);
        if (command_takes_model(c))
            printf("complete -c ponder -n '%s' -a '(ponder models 2>/dev/null | string split -f1 \" \")'\n", condition);
        for (size_t i = 0; i < u.n_flags; i++) fish_flag(condition, &u.flags[i]);
    }
}

int cmd_completions(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(shells); i++)
        if (!strcmp(argv[1], shells[i].name)) {
            shells[i].print();
            return cli_finish(0);
        }
    return cli_usage(argv[0], "name a shell: bash, zsh or fish");
}
