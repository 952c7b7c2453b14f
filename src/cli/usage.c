/*
 * usage.c - a usage line as data. Its rules: a flag begins with '-', what it takes is the next word; alternatives stand between '|';
 * brackets say what may be left out; capitals stand for something.
 */
#include "cli/usage.h"

#include <string.h>

/* "a|b-c|d" in small letters, as words between blanks; false for anything else. */
static bool take_choice(const char *token, char *out, size_t size)
{
    size_t n = strlen(token), used = 0;
    if (!n || n >= size || strspn(token, "abcdefghijklmnopqrstuvwxyz-|") != n || token[0] == '-' || token[0] == '|') return false;
    for (size_t i = 0; i < n; i++) out[used++] = token[i] == '|' ? ' ' : token[i];
    out[used] = '\0';
    return true;
}

static struct usage_flag *add_flag(struct usage *u, const char *name, size_t n)
{
    if (n >= sizeof u->flags[0].name || u->n_flags == ARRAY_LEN(u->flags)) return NULL;
    for (size_t i = 0; i < u->n_flags; i++)
        if (strlen(u->flags[i].name) == n && !strncmp(u->flags[i].name, name, n)) return &u->flags[i];
    struct usage_flag *f = &u->flags[u->n_flags++];
    memcpy(f->name, name, n);
    f->name[n] = '\0';
    return f;
}

static void add_word(struct usage *u, const char *words)
{
    size_t n = strlen(u->words);
    snprintf(u->words + n, sizeof u->words - n, "%s%s", n ? " " : "", words);
}

/* The flags of the settings that the command takes. */
static void add_settings(struct usage *u, bool chat)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        char name[40];
        if (d->scope == SETTING_CHAT && !chat) continue;
        for (const char *short_name = d->flags; *short_name; short_name += strspn(short_name, " ")) {
            size_t n = strcspn(short_name, " ");
            struct usage_flag *f = add_flag(u, short_name, n);
            if (f) f->help = d->help;
            if (f) snprintf(f->value, sizeof f->value, "%s", d->choices);
            short_name += n;
        }
        snprintf(name, sizeof name, "--%s", d->name);
        for (char *p = name; *p; p++)
            if (*p == '_') *p = '-';
        struct usage_flag *f = add_flag(u, name, strlen(name));
        if (!f) continue;
        f->help = d->help;
        if (d->type == SETTING_CHOICE) snprintf(f->words, sizeof f->words, "%s", d->choices);
        if (d->type == SETTING_CHOICE) snprintf(f->value, sizeof f->value, "%s", "WORD");
        if (d->type != SETTING_CHOICE && d->type != SETTING_BOOL) snprintf(f->value, sizeof f->value, "%s", d->choices);
    }
}

static void take_token(struct usage *u, const char *token, bool closed, struct usage_flag **pending, bool *choosing)
{
    char words[128];
    if (!strcmp(token, "|")) {
        *pending = NULL;
        *choosing = true;
    } else if (token[0] == '-' && token[1]) {
        for (const char *p = token; *p; p += strspn(p, "|")) {
            size_t n = strcspn(p, "|");
            *pending = add_flag(u, p, n);
            p += n;
        }
        if (closed) *pending = NULL;
        *choosing = false;
    } else if (*pending) {
        snprintf((*pending)->value, sizeof(*pending)->value, "%.*s", (int)sizeof(*pending)->value - 1, token);
        if (take_choice(token, words, sizeof words) && strchr(words, ' '))
            snprintf((*pending)->words, sizeof(*pending)->words, "%s", words);
        *pending = NULL;
    } else if (take_choice(token, words, sizeof words) && (strchr(words, ' ') || *choosing)) {
        add_word(u, words);
    }
}

/* All formats: the usage line shortens some. */
static void name_formats(struct usage_flag *f)
{
    size_t used = 0;
    f->words[0] = '\0';
    for (int k = 0; k < EXPORT_FORMATS; k++)
        used += (size_t)snprintf(f->words + used, sizeof f->words - used, "%s%s", k ? " " : "",
                                 export_format_info((enum export_format)k)->name);
}

void usage_of(const struct command *c, struct usage *out)
{
    struct usage_flag *pending = NULL;
    bool choosing = !strncmp(c->usage + strcspn(c->usage, " "), " | ", 3); /* "a | b": words of its own */
    *out = (struct usage){.n_flags = 0};
    for (const char *p = c->usage; *p; p += strspn(p, " ")) {
        char token[512];
        size_t n = strcspn(p, " "), from = 0;
        const char *next = p + n;
        while (from < n && p[from] == '[') from++;
        bool closed = false;
        while (n > from && strchr("].", p[n - 1])) closed = p[--n] == ']' || closed;
        if (n - from >= sizeof token) n = from;
        memcpy(token, p + from, n - from);
        token[n - from] = '\0';
        if (!strcmp(token, "options"))
            add_settings(out, c->run == cmd_chat);
        else
            take_token(out, token, closed, &pending, &choosing);
        p = next;
    }
    for (size_t i = 0; c->run == cmd_export && i < out->n_flags; i++)
        if (!strcmp(out->flags[i].name, "--format")) name_formats(&out->flags[i]);
}
