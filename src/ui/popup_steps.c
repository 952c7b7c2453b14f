/*
 * popup_steps.c - the sentences of a thought, to go on from one of them: what stands behind it is left out, and the model thinks on.
 *
 * Lines and sentences, finer than the steps that are rated: a point to turn round at is wanted, not a unit to judge.
 */
#include "ui/popup.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Whether what begins at `from` and ends with the byte at i is a sentence or a line. The number of a list's entry is neither. */
static bool ends_at(const char *text, size_t n, size_t from, size_t i)
{
    if (i + 1 >= n || text[i + 1] == '\n') return true;
    return strchr(".!?:", text[i]) && is_blank(text[i + 1]) && strspn(text + from, "0123456789") != i - from;
}

/* The sentences of a text, without the blanks around them. False when memory runs out. */
static bool cut(struct thought_steps *out, const char *text, size_t n)
{
    size_t cap = 0, from = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_blank(text[i]) && i == from) from++;
        if (i < from || !ends_at(text, n, from, i)) continue;
        if (!mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) return false;
        out->items[out->n++] = (struct thought_step){.offset = from, .length = i + 1 - from};
        from = i + 1;
    }
    return true;
}

static void fill_steps(struct app *a, struct popup *p)
{
    (void)a;
    for (size_t i = 0; i < p->steps.n; i++) {
        const struct thought_step *s = &p->steps.items[i];
        struct str text = STR_EMPTY, note = STR_EMPTY;
        str_add_bytes(&text, p->thought.data + s->offset, s->length);
        str_addf(&note, "%zu of %zu", i + 1, p->steps.n);
        if (popup_matches(p, str_cstr(&text))) popup_add_row(p, str_cstr(&text), str_cstr(&note), (int64_t)i);
        str_release(&text);
        str_release(&note);
    }
}

static void choose_step(struct app *a, struct popup *p)
{
    const struct thought_step *s = &p->steps.items[popup_selected(p)->id];
    int64_t reply = p->reply;
    size_t bytes = s->offset + s->length;
    popup_close(a);
    app_rethink(a, reply, bytes);
}

const struct popup_kind_def popup_kind_steps = {
    .title = "go on from",
    .hint = "type to find · Enter keep up to here, and think on · Esc close",
    .fill = fill_steps,
    .choose = choose_step,
};

void popup_open_steps(struct app *a, int64_t reply)
{
    struct err e = {0};
    struct message_list l = {0};
    struct thought_steps steps = {0};
    int rc = store_load_message(a->store, reply, &l, &e);
    if (!rc && !cut(&steps, l.items[0].thought, l.items[0].thought_len)) rc = err_set(&e, ERR_NOMEM, "out of memory");
    struct popup *p = rc ? NULL : popup_push(a, POPUP_STEPS, NULL);
    if (rc) app_error(a, "%s", e.text);
    if (p) {
        str_add_bytes(&p->thought, l.items[0].thought, l.items[0].thought_len);
        p->steps = steps;
        p->reply = reply;
        popup_refill(a, p);
        p->selected = p->n ? p->n - 1 : 0;
    } else {
        thought_steps_release(&steps);
    }
    message_list_release(&l);
}
