/*
 * complete.c - Tab: what may stand where the cursor is in a slash command. Prompts are not completed.
 *
 * Candidates are counted anew for every index: the lists are short, and nothing has to be kept between calls.
 */
#include "ui/app.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The word before the cursor, and how many fitting candidates are to be passed over. */
struct wanted {
    const char *word;
    size_t n, skip;
};

/* Takes the candidate if it begins with the word and enough were passed over. */
static bool take(struct wanted *w, const char *text, struct str *out)
{
    if (strncmp(text, w->word, w->n)) return false;
    if (w->skip) {
        w->skip--;
        return false;
    }
    str_add(out, text);
    return true;
}

static bool take_words(struct wanted *w, const char *words, struct str *out)
{
    char one[64];
    while (words && *words) {
        size_t n = strcspn(words, " |");
        if (n && n < sizeof one) {
            memcpy(one, words, n);
            one[n] = '\0';
            if (take(w, one, out)) return true;
        }
        words += n + strspn(words + n, " |");
    }
    return false;
}

static bool take_command(struct wanted *w, bool slash, struct str *out)
{
    for (size_t i = 0; i < commands_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", slash ? "/" : "", commands_table[i].name);
        if (take(w, name, out)) return true;
    }
    return false;
}

static bool take_setting(struct wanted *w, struct str *out)
{
    for (size_t i = 0; i < settings_count; i++)
        if (take(w, settings_table[i].name, out)) return true;
    return false;
}

static bool take_model(struct app *a, struct wanted *w, struct str *out)
{
    struct str name = STR_EMPTY, note = STR_EMPTY;
    bool found = false;
    for (size_t i = 0; !found && a->model_name_at && a->model_name_at(i, &name, &note); i++) {
        found = take(w, str_cstr(&name), out);
        str_clear(&name);
        str_clear(&note);
    }
    str_release(&name);
    str_release(&note);
    return found;
}

static bool take_theme(struct wanted *w, struct str *out)
{
    struct str name = STR_EMPTY;
    bool found = false;
    for (size_t i = 0; !found && theme_name_at(i, &name); i++) {
        found = take(w, str_cstr(&name), out);
        str_clear(&name);
    }
    str_release(&name);
    return found;
}

static bool take_conversation(struct app *a, struct wanted *w, struct str *out)
{
    struct conversation_list l = {0};
    bool found = false;
    if (store_list(a->store, 50, 0, &l, NULL)) return false;
    for (size_t i = 0; !found && i < l.n; i++) {
        char id[32];
        snprintf(id, sizeof id, "c%lld", (long long)l.items[i].id);
        found = take(w, id, out);
    }
    conversation_list_release(&l);
    return found;
}

static bool is_folder(const char *dir, const char *name)
{
    struct str path = STR_EMPTY;
    struct stat st;
    str_addf(&path, "%s/%s", dir, name);
    bool yes = str_ok(&path) && !stat(str_cstr(&path), &st) && S_ISDIR(st.st_mode);
    str_release(&path);
    return yes;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Names of a folder in order, folders with '/' behind; NULL-terminated, the caller frees all. Names with control characters are left out.
 */
static char **folder_names(const char *dir)
{
    DIR *d = opendir(dir);
    char **names = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *e; d && (e = readdir(d)) && n < 10000;) {
        struct str s = STR_EMPTY;
        bool bad = false;
        for (const char *p = e->d_name; *p; p++) bad = bad || (unsigned char)*p < 0x20 || *p == 0x7f;
        if (bad || !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        str_addf(&s, "%s%s", e->d_name, is_folder(dir, e->d_name) ? "/" : "");
        char *name = str_detach(&s);
        if (!name || !mem_grow(&names, &cap, n + 2, sizeof *names)) {
            free(name);
            break;
        }
        names[n++] = name;
        names[n] = NULL;
    }
    if (d) closedir(d);
    if (n) qsort(names, n, sizeof *names, by_name);
    return names;
}

static bool take_file(struct wanted *w, struct str *out)
{
    const char *slash = memrchr(w->word, '/', w->n);
    size_t head = slash ? (size_t)(slash - w->word) + 1 : 0;
    struct str dir = STR_EMPTY;
    const char *home = getenv("HOME");
    bool found = false;
    if (head && w->word[0] == '~' && w->word[1] == '/' && home) {
        str_add(&dir, home);
        str_add_bytes(&dir, w->word + 1, head - 1);
    } else {
        str_add_bytes(&dir, head ? w->word : "./", head ? head : 2);
    }
    struct wanted rest = {.word = w->word + head, .n = w->n - head, .skip = w->skip};
    char **names = str_ok(&dir) ? folder_names(str_cstr(&dir)) : NULL;
    for (size_t i = 0; names && names[i]; i++) {
        struct str s = STR_EMPTY;
        bool hidden = names[i][0] == '.' && !(rest.n && rest.word[0] == '.');
        if (!found && !hidden && take(&rest, names[i], &s)) {
            str_add_bytes(out, w->word, head);
            str_add(out, str_cstr(&s));
            found = true;
        }
        str_release(&s);
        free(names[i]);
    }
    free(names);
    str_release(&dir);
    return found;
}

/* The second word of /set. */
static bool take_value(struct app *a, struct wanted *w, const char *args, struct str *out)
{
    size_t n = strcspn(args, " ");
    char name[64];
    if (n >= sizeof name) return false;
    memcpy(name, args, n);
    name[n] = '\0';
    const struct setting *d = settings_find(name);
    if (!d) return false;
    if (!strcmp(d->name, "theme")) return take_theme(w, out);
    if (!strcmp(d->name, "model")) return take_model(a, w, out);
    if (d->type == SETTING_CHOICE) return take_words(w, d->choices, out);
    if (d->type == SETTING_BOOL) return take_words(w, "on off", out);
    if (d->type == SETTING_BUDGET) return take_words(w, "100 200 400 1000 10s 30s off unlimited", out);
    return false;
}

bool app_complete(void *app, const char *text, size_t cursor, size_t i, struct str *candidate, size_t *from)
{
    struct app *a = app;
    if (!cursor || text[0] != '/' || a->mode != INPUT_PROMPT) return false;
    size_t start = cursor, name = 1;
    while (start && text[start - 1] != ' ' && text[start - 1] != '\n') start--;
    while (name < cursor && text[name] != ' ') name++;
    *from = start;
    struct wanted w = {.word = text + start, .n = cursor - start, .skip = i};
    if (!start) return take_command(&w, true, candidate);
    const struct command_def *c = command_find(text + 1, name - 1);
    if (!c) return false;
    const char *args = text + name + strspn(text + name, " ");
    bool first = args >= text + start;
    switch (c->completes) {
    case COMPLETE_COMMAND: return first && take_command(&w, false, candidate);
    case COMPLETE_MODEL: return take_model(a, &w, candidate);
    case COMPLETE_THEME: return take_theme(&w, candidate);
    case COMPLETE_SETTING: return first ? take_setting(&w, candidate) : take_value(a, &w, args, candidate);
    case COMPLETE_CONVERSATION: return take_conversation(a, &w, candidate);
    case COMPLETE_FILE: return take_file(&w, candidate);
    case COMPLETE_WORDS:
        return first ? take_words(&w, c->words, candidate) : !strcmp(c->name, "rate") && take_words(&w, "thought answer", candidate);
    default: return false;
    }
}
