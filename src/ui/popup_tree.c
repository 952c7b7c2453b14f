/*
 * popup_tree.c - the tree of a conversation: every prompt and reply of every branch, and the way to another one.
 *
 * A chain without branches stays in one column; where a message has several answers, each gets a line of its own: what is shown active is
 * the branch on the screen. Siblings are the versions of one message.
 */
#include "ui/popup.h"

#include <stdlib.h>
#include <string.h>

/* Where the walk is: a message, and what is drawn before it and before those below it. */
struct step {
    size_t node;
    struct str mark, below;
};

struct walk {
    const struct message_tree *tree;
    size_t *first, *next, *last; /* children as lists; SIZE_MAX ends */
    struct step *steps;
    size_t n, cap;
};

static void push(struct walk *w, size_t node, const char *before, const char *mark, const char *below)
{
    if (!mem_grow(&w->steps, &w->cap, w->n + 1, sizeof *w->steps)) return;
    struct step *s = &w->steps[w->n++];
    *s = (struct step){.node = node};
    str_addf(&s->mark, "%s%s", before, mark);
    str_addf(&s->below, "%s%s", before, below);
}

/* The children of a list, the first one on top of the stack. */
static void push_children(struct walk *w, size_t first, const char *before)
{
    size_t n = 0, from = w->n;
    for (size_t i = first; i != SIZE_MAX; i = w->next[i]) n++;
    for (size_t i = first; i != SIZE_MAX; i = w->next[i]) {
        bool last = w->next[i] == SIZE_MAX;
        if (n == 1)
            push(w, i, before, "", "");
        else
            push(w, i, before, last ? "└ " : "├ ", last ? "  " : "│ ");
    }
    for (size_t i = from, k = w->n; i + 1 < k; i++) {
        struct step t = w->steps[i];
        w->steps[i] = w->steps[--k];
        w->steps[k] = t;
    }
}

static size_t index_of(const struct message_tree *t, int64_t id)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->items[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && t->items[lo].id == id ? lo : SIZE_MAX;
}

/* Fills the lists of children; returns the first root. */
static size_t link_nodes(struct walk *w)
{
    const struct message_tree *t = w->tree;
    size_t root = SIZE_MAX, last_root = SIZE_MAX;
    for (size_t i = 0; i < t->n; i++) w->first[i] = w->next[i] = w->last[i] = SIZE_MAX;
    for (size_t i = 0; i < t->n; i++) {
        size_t p = t->items[i].parent ? index_of(t, t->items[i].parent) : SIZE_MAX;
        size_t *head = p == SIZE_MAX ? &root : &w->first[p], *tail = p == SIZE_MAX ? &last_root : &w->last[p];
        if (*head == SIZE_MAX)
            *head = i;
        else
            w->next[*tail] = i;
        *tail = i;
    }
    return root;
}

static void add_node(struct popup *p, const struct tree_node *n, const char *mark)
{
    struct str text = STR_EMPTY, note = STR_EMPTY;
    bool search = p->filter.len > 0;
    str_addf(&text, "%s%s %s", search ? "" : mark,
             n->role == MESSAGE_USER ? "you:"
             : n->active             ? "●"
                                     : "○",
             n->start && *n->start ? n->start : "(nothing)");
    if (n->answer_rating) str_addf(&note, "answer %s · ", n->answer_rating > 0 ? "+" : "-");
    if (n->thought_rating) str_addf(&note, "thought %s · ", n->thought_rating > 0 ? "+" : "-");
    str_addf(&note, "m%lld", (long long)n->id);
    if (popup_matches(p, str_cstr(&text))) {
        struct popup_row *r = popup_add_row(p, str_cstr(&text), str_cstr(&note), n->id);
        if (r) r->strong = n->active;
    }
    str_release(&text);
    str_release(&note);
}

static void fill_tree(struct app *a, struct popup *p)
{
    struct walk w = {.tree = &p->tree};
    size_t n = p->tree.n, *lists = n ? malloc(3 * n * sizeof *lists) : NULL;
    (void)a;
    if (!lists) return;
    w.first = lists;
    w.next = lists + n;
    w.last = lists + 2 * n;
    push_children(&w, link_nodes(&w), "");
    while (w.n) {
        struct step s = w.steps[--w.n];
        add_node(p, &p->tree.items[s.node], str_cstr(&s.mark));
        push_children(&w, w.first[s.node], str_cstr(&s.below));
        str_release(&s.mark);
        str_release(&s.below);
    }
    free(w.steps);
    free(lists);
}

int app_go_to(struct app *a, int64_t message, struct err *e)
{
    int64_t conversation = a->port->conversation(a->chat);
    if (app_running(a)) return err_set(e, ERR_BUSY, "a reply is still being written: Esc stops it");
    size_t i = transcript_find(&a->t, message);
    if (i == SIZE_MAX) { /* on another branch */
        int rc = store_select_branch(a->store, message, e);
        if (!rc) rc = app_open(a, conversation, e);
        if (rc) return rc;
        i = transcript_find(&a->t, message);
    }
    if (i != SIZE_MAX) reading_enter(a, i);
    return 0;
}

static void choose_node(struct app *a, struct popup *p)
{
    struct err e = {0};
    int64_t id = popup_selected(p)->id;
    popup_close(a);
    if (app_go_to(a, id, &e)) app_error(a, "%s", e.text);
}

const struct popup_kind_def popup_kind_tree = {
    .title = "branches",
    .hint = "type to find · Enter go there · Esc close",
    .fill = fill_tree,
    .choose = choose_node,
};

void popup_open_tree(struct app *a)
{
    struct err e = {0};
    int64_t id = a->port->conversation(a->chat);
    struct message_tree tree = {0};
    if (id <= 0 || store_load_tree(a->store, id, &tree, &e)) {
        app_error(a, "%s", id <= 0 ? "there is no conversation yet" : e.text);
        return;
    }
    size_t at = a->focus == FOCUS_READING && a->focus_item < a->t.n ? a->focus_item : a->t.n ? a->t.n - 1 : 0;
    struct popup *p = popup_push(a, POPUP_TREE, NULL);
    if (!p) {
        message_tree_release(&tree);
        return;
    }
    p->tree = tree;
    popup_refill_at(a, p, at < a->t.n ? a->t.items[at].id : 0);
}
