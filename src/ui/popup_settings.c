/*
 * popup_settings.c - the settings as a screen: the same table as ponder.ini, flags and /set, each changed where it stands.
 *
 * What is changed here holds from now on and is kept in ponder.ini, that one line of it. Values that only the start reads are kept for the
 * next one.
 */
#include "ui/popup.h"

#include <stdlib.h>
#include <string.h>

bool setting_is_of_start(const struct setting *d)
{
    static const char *const names[] = {"db", "private", "sandbox"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(d->name, names[i])) return true;
    return false;
}

/* Keeps the value of s in ponder.ini. */
static int keep(const struct settings *s, const struct setting *d, struct err *e)
{
    struct str path = STR_EMPTY;
    int rc = path_of(&path, PATH_CONFIG, "ponder.ini", e);
    if (!rc) rc = settings_save(s, d, str_cstr(&path), e);
    str_release(&path);
    return rc;
}

int app_keep(struct app *a, const char *name, struct err *e)
{
    return keep(&a->set, settings_find(name), e);
}

static const struct settings *holder(const struct app *a, const struct popup *p, const struct setting *d)
{
    return p->has_at_start && setting_is_of_start(d) ? &p->at_start : &a->set;
}

static void value_of(const struct app *a, const struct popup *p, const struct setting *d, struct str *out)
{
    settings_get(holder(a, p, d), d, out);
}

static const struct setting *selected(const struct popup *p)
{
    return p->selected < p->n ? &settings_table[p->rows[p->selected].id] : NULL;
}

static void fill_settings(struct app *a, struct popup *p)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        struct str all = STR_EMPTY, value = STR_EMPTY, row = STR_EMPTY;
        value_of(a, p, d, &value);
        str_addf(&all, "%s %s %s", d->name, str_cstr(&value), d->help);
        str_addf(&row, "%-15s %-13s %s", d->name, value.len ? value.data : "(empty)", a->w >= 60 ? d->help : "");
        if (popup_matches(p, str_cstr(&all))) {
            struct popup_row *r = popup_add_row(p, str_cstr(&row), "", (int64_t)i);
            if (r) r->strong = strcmp(str_cstr(&value), d->initial) != 0;
        }
        str_release(&all);
        str_release(&row);
        str_release(&value);
    }
}

/* Changes it for now and for later; says what happened. */
static void change(struct app *a, struct popup *p, const struct setting *d, const char *value)
{
    struct err e = {0};
    bool later = setting_is_of_start(d) && p->has_at_start;
    int rc = later ? settings_set(&p->at_start, d->name, value, &e) : app_set(a, d->name, value, &e);
    if (rc) {
        app_error(a, "%s", e.text);
        return;
    }
    rc = keep(holder(a, p, d), d, &e);
    if (rc)
        app_error(a, "it holds now, but is not kept: %s", e.text);
    else
        app_notice(a, later ? "%s = %s, from the next start" : "%s = %s, kept in ponder.ini", d->name, *value ? value : "(empty)");
    popup_refill_at(a, p, (int64_t)(d - settings_table));
}

/* The word behind (or before) the present one, around. */
static void turn(struct app *a, struct popup *p, const struct setting *d, int direction)
{
    static const char on_off[] = "off on";
    const char *words = d->type == SETTING_BOOL ? on_off : d->choices;
    const char *list[16];
    size_t n = 0, len[16], at = 0;
    struct str now = STR_EMPTY;
    value_of(a, p, d, &now);
    if (d->type == SETTING_CHOICE && !d->initial[0]) { /* empty is one of them */
        list[n] = "";
        len[n++] = 0;
    }
    for (const char *w = words; *w && n < ARRAY_LEN(list); w += len[n - 1], w += strspn(w, " |")) {
        list[n] = w;
        len[n++] = strcspn(w, " |");
    }
    for (size_t i = 0; i < n; i++)
        if (len[i] == now.len && !strncmp(list[i], str_cstr(&now), len[i])) at = i;
    at = (at + (direction > 0 ? 1 : n - 1)) % n;
    char *value = mem_dup_text(list[at], len[at]);
    if (value) change(a, p, d, value);
    free(value);
    str_release(&now);
}

static void choose_setting(struct app *a, struct popup *p)
{
    const struct setting *d = selected(p);
    struct str value = STR_EMPTY;
    if (d->type == SETTING_BOOL || d->type == SETTING_CHOICE) {
        turn(a, p, d, 1);
    } else if (!strcmp(d->name, "theme")) {
        popup_open_themes(a);
    } else {
        value_of(a, p, d, &value);
        popup_ask(p, d->name, str_cstr(&value));
        str_release(&value);
    }
}

static bool settings_key(struct app *a, struct popup *p, const struct key *k)
{
    const struct setting *d = selected(p);
    if (!d || k->kind != KEY_NAMED_) return false;
    bool turns = d->type == SETTING_BOOL || d->type == SETTING_CHOICE;
    if (k->name == NAMED_DELETE)
        change(a, p, d, d->initial);
    else if (turns && (k->name == NAMED_LEFT || k->name == NAMED_RIGHT))
        turn(a, p, d, k->name == NAMED_RIGHT ? 1 : -1);
    else
        return false;
    return true;
}

static void answered(struct app *a, struct popup *p, const char *text)
{
    const struct setting *d = settings_find(p->asking);
    p->asking[0] = '\0';
    str_clear(&p->filter);
    popup_refill_at(a, p, (int64_t)(d - settings_table));
    change(a, p, d, text);
}

static void about_setting(const struct app *a, const struct popup *p, struct str *out)
{
    (void)a;
    const struct setting *d = selected(p);
    if (!d) return;
    str_addf(out, "%s · %s · at first %s%s", d->help, d->type == SETTING_BOOL ? "on|off" : d->choices, d->initial[0] ? d->initial : "empty",
             setting_is_of_start(d) ? " · from the next start" : "");
}

const struct popup_kind_def popup_kind_settings = {
    .title = "settings",
    .hint = "type to find · Enter change · ← → turn · Delete as at first · Esc close",
    .fill = fill_settings,
    .choose = choose_setting,
    .key = settings_key,
    .answered = answered,
    .about = about_setting,
};

void popup_open_settings(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_SETTINGS, NULL);
    if (!p) return;
    p->has_at_start = !settings_copy(&p->at_start, &a->set, NULL);
    popup_refill(a, p);
}
