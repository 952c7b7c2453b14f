/*
 * popup_lists.c - models, themes and the palette of commands.
 */
#include "ui/popup.h"

#include <stdlib.h>
#include <string.h>

/* ---- models -------------------------------------------------------------------------------------------------------- */

/* How a model of this size fits into what is free: its weights are read from the file, but a machine that cannot keep them in memory reads
 * them again for every token. */
const char *model_fit_text(uint64_t needed, uint64_t available)
{
    if (!needed || !available) return "";
    return needed > available ? "too large" : needed > available - available / 8 ? "tight" : "fits";
}

void model_row_text(struct str *out, const char *quant, uint64_t bytes, const char *fit, double tokens_per_s, int columns)
{
    if (columns >= 56) str_addf(out, "%-7s ", quant);
    if (bytes >= 1000000000)
        str_addf(out, "%5.2f GB", (double)bytes / 1e9);
    else
        str_addf(out, "%5.0f MB", (double)bytes / 1e6);
    if (columns >= 44) str_addf(out, "  %-9s", fit);
    if (columns < 56) return;
    if (tokens_per_s <= 0)
        str_add(out, "        - tok/s");
    else
        str_addf(out, tokens_per_s >= 10 ? "  %7.0f tok/s" : "  %7.1f tok/s", tokens_per_s);
}

static double speed_of(const struct model_speeds *speeds, const char *path)
{
    for (size_t i = 0; i < speeds->n; i++)
        if (!strcmp(speeds->items[i].file, path)) return speeds->items[i].tokens_per_s;
    return 0;
}

/* What can be said of a model's file without loading it; the note it came with where it cannot be read. */
static void describe_model(const struct app *a, struct model_line *m, const struct model_speeds *speeds)
{
    struct str path = STR_EMPTY;
    struct model_look look;
    struct err e = {0};
    int rc = a->model_path_of ? a->model_path_of(&path, str_cstr(&m->name), &e) : ERR_NOT_FOUND;
    m->loaded = !rc && !strcmp(str_cstr(&path), str_cstr(&a->model_path));
    if (!rc) rc = model_look(&look, str_cstr(&path), a->set.ctx, &e);
    if (!rc) {
        uint64_t free_bytes = memory_available(), needed = look.file_bytes + look.session_bytes;
        str_clear(&m->note);
        model_row_text(&m->note, look.quant, look.file_bytes, model_fit_text(needed, free_bytes), speed_of(speeds, str_cstr(&path)),
                       a->w - 8);
        str_addf(&m->about, "%s · %.0f M parameters · trained for %d tokens · needs %.2f GB, %.1f GB are free", look.arch,
                 (double)look.n_params / 1e6, look.ctx_train, (double)needed / 1e9, (double)free_bytes / 1e9);
    } else {
        text_sanitize(&m->about, e.text, strlen(e.text), TEXT_ONE_LINE);
    }
    str_release(&path);
}

static void load_models(struct app *a, struct popup *p)
{
    struct str name = STR_EMPTY, note = STR_EMPTY;
    struct model_speeds speeds = {0};
    store_model_speeds(a->store, &speeds, NULL);
    for (size_t i = 0; a->model_name_at && a->model_name_at(i, &name, &note); i++) {
        if (!mem_grow(&p->models, &p->cap_models, p->n_models + 1, sizeof *p->models)) break;
        struct model_line *m = &p->models[p->n_models++];
        *m = (struct model_line){.name = name, .note = note};
        name = note = STR_EMPTY;
        describe_model(a, m, &speeds);
    }
    model_speeds_release(&speeds);
    str_release(&name);
    str_release(&note);
}

static void fill_models(struct app *a, struct popup *p)
{
    (void)a;
    for (size_t i = 0; i < p->n_models; i++) {
        const struct model_line *m = &p->models[i];
        if (!popup_matches(p, str_cstr(&m->name))) continue;
        struct popup_row *r = popup_add_row(p, str_cstr(&m->name), str_cstr(&m->note), (int64_t)i);
        if (r) r->strong = m->loaded;
    }
}

static void choose_model(struct app *a, struct popup *p)
{
    struct err e = {0};
    char *name = mem_dup_text(popup_selected(p)->text, strlen(popup_selected(p)->text));
    popup_close(a);
    if (!name || app_load_model(a, name, &e)) app_error(a, "%s", name ? e.text : "out of memory");
    free(name);
}

static void about_model(const struct app *a, const struct popup *p, struct str *out)
{
    (void)a;
    if (p->selected < p->n) str_add(out, str_cstr(&p->models[p->rows[p->selected].id].about));
}

const struct popup_kind_def popup_kind_models = {
    .title = "models",
    .hint = "type to find · Enter load · Esc close",
    .fill = fill_models,
    .choose = choose_model,
    .about = about_model,
};

void popup_open_models(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_MODELS, NULL);
    if (!p) return;
    load_models(a, p);
    popup_refill(a, p);
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].strong) p->selected = i;
}

/* ---- themes -------------------------------------------------------------------------------------------------------- */

static void fill_themes(struct app *a, struct popup *p)
{
    struct str name = STR_EMPTY;
    for (size_t i = 0; theme_name_at(i, &name); i++) {
        bool used = !strcmp(str_cstr(&name), a->set.theme);
        if (popup_matches(p, str_cstr(&name))) {
            struct popup_row *r = popup_add_row(p, str_cstr(&name), used ? "in use" : "", (int64_t)i);
            if (r) r->strong = used;
        }
        str_clear(&name);
    }
    str_release(&name);
}

static void preview_theme(struct app *a, struct popup *p)
{
    struct theme t;
    if (!popup_selected(p) || theme_load(&t, popup_selected(p)->text, NULL)) return;
    a->theme = t;
    a->want.theme = true;
}

static void restore_theme(struct app *a, struct popup *p)
{
    a->theme = p->theme_before;
    a->want.theme = true;
}

static void choose_theme(struct app *a, struct popup *p)
{
    struct err e = {0};
    char *name = mem_dup_text(popup_selected(p)->text, strlen(popup_selected(p)->text));
    popup_close(a);
    if (!name || app_set(a, "theme", name, &e))
        app_error(a, "%s", name ? e.text : "out of memory");
    else if (app_keep(a, "theme", &e))
        app_error(a, "theme = %s, but it is not kept: %s", name, e.text);
    else
        app_notice(a, "theme = %s, kept in ponder.ini", name);
    free(name);
}

const struct popup_kind_def popup_kind_themes = {
    .title = "themes",
    .hint = "↑ ↓ look · Enter take · Esc back to the old one",
    .fill = fill_themes,
    .choose = choose_theme,
    .moved = preview_theme,
    .cancelled = restore_theme,
};

void popup_open_themes(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_THEMES, NULL);
    if (!p) return;
    p->theme_before = a->theme;
    popup_refill(a, p);
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].strong) p->selected = i;
}

/* ---- the palette --------------------------------------------------------------------------------------------------- */

static void fill_palette(struct app *a, struct popup *p)
{
    (void)a;
    for (int act = ACT_NONE + 1; act < ACT_COUNT; act++) {
        struct str key = STR_EMPTY;
        keymap_key_name(FOCUS_INPUT, (enum action)act, &key);
        if (action_in_palette((enum action)act) && popup_matches(p, action_help((enum action)act)))
            popup_add_row(p, action_help((enum action)act), str_cstr(&key), act);
        str_release(&key);
    }
    for (size_t i = 0; i < commands_count; i++) {
        const struct command_def *c = &commands_table[i];
        struct str s = STR_EMPTY, all = STR_EMPTY;
        str_addf(&s, "/%s%s%s", c->name, c->args[0] ? " " : "", c->args);
        str_addf(&all, "%s %s", str_cstr(&s), c->help);
        if (popup_matches(p, str_cstr(&all))) popup_add_row(p, str_cstr(&s), c->help, -1 - (int64_t)i);
        str_release(&s);
        str_release(&all);
    }
}

static void choose_palette(struct app *a, struct popup *p)
{
    int64_t id = popup_selected(p)->id;
    popup_close_all(a);
    if (id >= 0) {
        app_act(a, (enum action)id);
        return;
    }
    const struct command_def *c = &commands_table[-1 - id];
    /* Its arguments are typed where they can be completed. */
    if (c->args[0] && c->args[0] != '[') {
        struct str s = STR_EMPTY;
        str_addf(&s, "/%s ", c->name);
        line_set(a->line, str_cstr(&s), s.len);
        app_line_changed(a);
        str_release(&s);
    } else {
        c->run(a, "");
    }
}

const struct popup_kind_def popup_kind_palette = {
    .title = "commands",
    .hint = "type to find · Enter choose · Esc close",
    .fill = fill_palette,
    .choose = choose_palette,
};

void popup_open_palette(struct app *a)
{
    struct popup *p = popup_push(a, POPUP_PALETTE, NULL);
    if (p) popup_refill(a, p);
}
