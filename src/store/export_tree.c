/*
 * export_tree.c - a conversation as a tree, and which of its replies become fine-tuning data.
 *
 * May a reply be learnt from? It is finished, ended well, was not rated down, and the user put no line into its thought. In formats that
 * train every turn a reply that fails closes the way to everything below it.
 *
 * Was it asked for? Model, time, tag, reason and words of the filter. A reply that is not asked for still serves as an earlier turn.
 *
 * A corrected text takes the place of the original, and of what was said against it: neither the ending nor the rating of a text that was
 * replaced counts.
 */
#include "store/export.h"

#include <stdlib.h>
#include <string.h>

/* ---- endings ------------------------------------------------------------------------------------------------ */

/* clang-format off */
static const struct ending {
    const char *name;
    int of, by_default;
} endings[N_ENDINGS] = {
    {"none", OF_THOUGHT, OF_THOUGHT},
    {"natural", OF_THOUGHT, OF_THOUGHT},
    {"answer_now", OF_THOUGHT, OF_THOUGHT},
    {"budget_soft", OF_THOUGHT, OF_THOUGHT},
    {"budget_hard", OF_THOUGHT, OF_THOUGHT},
    {"loop", OF_THOUGHT, 0},
    {"complete", OF_ANSWER, OF_ANSWER},
    {"length", OF_ANSWER, 0},
    {"stopped", OF_THOUGHT | OF_ANSWER, 0},
    {"context_full", OF_THOUGHT | OF_ANSWER, 0},
    {"interrupted", OF_THOUGHT | OF_ANSWER, 0},
    {"error", OF_THOUGHT | OF_ANSWER, 0},
};
/* clang-format on */

static int find_ending(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (strlen(endings[i].name) == len && !memcmp(endings[i].name, name, len)) return (int)i;
    return -1;
}

/* A list names endings of thoughts and of answers alike. Where it names none of thoughts, those of the default stay; a complete answer is
 * always allowed. */
int parse_endings(struct allowed *out, const char *list, struct err *e)
{
    int named = 0;

    *out = (struct allowed){0};
    if (!list) list = "";
    if (!strcmp(list, "all")) {
        out->all = true;
        return 0;
    }
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ", ");
        int i = find_ending(p, len);
        if (len && i < 0) return err_set(e, ERR_USAGE, "\"%.*s\" is no ending of a thought or an answer", (int)(len < 60 ? len : 60), p);
        if (len) named |= out->of[i] = endings[i].of;
        p += len;
        if (*p) p++;
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (!(named & OF_THOUGHT) || endings[i].of == OF_ANSWER) out->of[i] |= endings[i].by_default;
    return 0;
}

/* An ending that was not noted ended nothing badly that could be known: imported replies have none. */
static bool ending_allowed(const struct allowed *a, const char *name, int of)
{
    int i = find_ending(name, strlen(name));
    return a->all || !name[0] || (i >= 0 && (a->of[i] & of));
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static void node_release(struct node *n)
{
    free(n->text.p);
    free(n->thought.p);
    free(n->edited.p);
    free(n->edited_thought.p);
    free(n->spans);
    free(n->model);
    free(n->model_sha256);
    free(n->system);
    free(n->family);
    free(n->ended);
    free(n->answer_ended);
}

void tree_release(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) node_release(&t->items[i]);
    free(t->items);
    *t = (struct tree){0};
}

/* Items are in the order of their ids. */
size_t tree_find(const struct tree *t, int64_t id)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->items[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < t->n && t->items[low].id == id ? low + 1 : 0;
}

/* clang-format off */
#define NODES \
    "SELECT m.id, coalesce(m.parent, 0), m.role = 'assistant', m.streaming, m.text, m.thought, m.edited_text, m.edited_thought," \
    " m.created_ms, r.model, r.model_sha256, r.system, r.family, r.ended, r.answer_ended, coalesce(a.value, 0), coalesce(h.value, 0)," \
    " EXISTS (SELECT 1 FROM tags g WHERE g.message = m.id AND g.tag = ?2)," \
    " instr(coalesce(a.reasons, ''), ?3) > 0 OR instr(coalesce(h.reasons, ''), ?3) > 0" \
    " FROM messages m LEFT JOIN replies r ON r.message = m.id LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer'" \
    " LEFT JOIN ratings h ON h.message = m.id AND h.part = 'thought'" \
    " WHERE m.conversation = ?1 ORDER BY m.id"
/* clang-format on */

static struct text get_text(struct query *q, int column)
{
    struct text t = {0};
    t.p = query_get_text_or_null(q, column, &t.n);
    return t;
}

static int load_nodes(struct exporter *x, int64_t conversation, struct tree *t)
{
    struct query q;

    query_init(&q, x->store, NODES, x->err);
    query_int(&q, 1, conversation);
    query_cstr(&q, 2, x->options->tag);
    query_cstr(&q, 3, x->reason);
    while (query_row(&q)) {
        if (!mem_grow(&t->items, &t->cap, t->n + 1, sizeof *t->items)) {
            q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
            break;
        }
        struct node n = {.id = query_get_int(&q, 0), .parent = tree_find(t, query_get_int(&q, 1))};
        n.reply = query_get_int(&q, 2) != 0;
        n.streaming = query_get_int(&q, 3) != 0;
        n.text = get_text(&q, 4);
        n.thought = get_text(&q, 5);
        n.edited = get_text(&q, 6);
        n.edited_thought = get_text(&q, 7);
        n.corrected_answer = n.edited.p != NULL;
        n.corrected_thought = n.edited_thought.p != NULL;
        n.created_ms = query_get_int(&q, 8);
        n.model = query_get_text(&q, 9, NULL);
        n.model_sha256 = query_get_text(&q, 10, NULL);
        n.system = query_get_text(&q, 11, NULL);
        n.family = query_get_text(&q, 12, NULL);
        n.ended = query_get_text(&q, 13, NULL);
        n.answer_ended = query_get_text(&q, 14, NULL);
        n.rating = (int)query_get_int(&q, 15);
        n.thought_rating = (int)query_get_int(&q, 16);
        n.tagged = query_get_int(&q, 17) != 0;
        n.reasoned = query_get_int(&q, 18) != 0;
        t->items[t->n++] = n;
    }
    return query_end(&q);
}

static int load_spans(struct exporter *x, int64_t conversation, struct tree *t)
{
    struct query q;

    query_init(&q, x->store,
               "SELECT s.message, s.byte_offset, s.byte_length, s.kind = 'say' FROM spans s JOIN messages m ON m.id = s.message"
               " WHERE m.conversation = ?1 ORDER BY s.message, s.byte_offset, s.id",
               x->err);
    query_int(&q, 1, conversation);
    while (query_row(&q)) {
        size_t at = tree_find(t, query_get_int(&q, 0));
        int64_t offset = query_get_int(&q, 1), length = query_get_int(&q, 2);
        struct node *n = at ? &t->items[at - 1] : NULL;
        if (!n) continue;
        n->said |= query_get_int(&q, 3) != 0;
        /* the numbers may come from elsewhere: pieces are inside the thought, and none reaches into the one before it */
        size_t from = n->n_spans ? n->spans[n->n_spans - 1].offset + n->spans[n->n_spans - 1].length : 0;
        if (offset < 0 || length <= 0 || (uint64_t)offset >= n->thought.n) continue;
        size_t begin = (size_t)offset > from ? (size_t)offset : from;
        size_t end = (uint64_t)length > n->thought.n - (size_t)offset ? n->thought.n : (size_t)(offset + length);
        while (begin > from && ((unsigned char)n->thought.p[begin] & 0xc0) == 0x80) begin--;
        while (end < n->thought.n && ((unsigned char)n->thought.p[end] & 0xc0) == 0x80) end++;
        if (begin >= end) continue;
        if (!mem_grow(&n->spans, &n->cap_spans, n->n_spans + 1, sizeof *n->spans)) {
            q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
            break;
        }
        n->spans[n->n_spans++] = (struct export_span){begin, end - begin};
    }
    return query_end(&q);
}

/* Takes the text that no sampler chose out of the thought. */
static void drop_spans(struct node *n)
{
    for (size_t i = n->n_spans; i-- > 0;) {
        const struct export_span *s = &n->spans[i];
        memmove(n->thought.p + s->offset, n->thought.p + s->offset + s->length, n->thought.n - s->offset - s->length + 1);
        n->thought.n -= s->length;
    }
    n->n_spans = 0;
}

int tree_load(struct exporter *x, int64_t conversation, struct tree *t)
{
    tree_release(t);
    t->conversation = conversation;
    int rc = load_nodes(x, conversation, t);
    if (!rc) rc = load_spans(x, conversation, t);
    for (size_t i = 0; i < t->n && !rc; i++) {
        /* steps lie where they lay when they were marked */
        if (x->options->injected == INJECTED_DROP && x->format->task != TASK_STEPS) drop_spans(&t->items[i]);
        if (x->options->injected != INJECTED_MASK) t->items[i].n_spans = 0;
    }
    return rc;
}

/* ---- deciding ------------------------------------------------------------------------------------------------ */

enum fate reply_judge(const struct exporter *x, const struct node *n)
{
    const struct text *answer = n->corrected_answer ? &n->edited : &n->text;

    if (n->streaming || answer->n == 0) return FATE_UNFINISHED;
    if (n->said && !n->corrected_thought && !x->options->with_say) return FATE_SAY;
    if (!n->corrected_thought && !ending_allowed(&x->allowed, n->ended, OF_THOUGHT)) return FATE_ENDING;
    if (!n->corrected_answer && !ending_allowed(&x->allowed, n->answer_ended, OF_ANSWER)) return FATE_ENDING;
    return FATE_KEPT;
}

bool reply_in_scope(const struct exporter *x, const struct node *n)
{
    const struct export_options *o = x->options;

    if (o->model && !strcasestr(n->model, o->model)) return false;
    if (o->since_ms && n->created_ms < o->since_ms) return false;
    return !o->until_ms || n->created_ms < o->until_ms;
}

bool reply_is_marked(const struct exporter *x, const struct tree *t, const struct node *n)
{
    const struct export_options *o = x->options;

    if (o->tag && !n->tagged) return false;
    if (o->reason && !n->reasoned) return false;
    return !o->search || search_found(&x->hits, n->id) || (n->parent && search_found(&x->hits, t->items[n->parent - 1].id));
}

/* A rating that speaks against learning from it; of a thought, where its reply is to be left out for it. */
static enum fate judge_rating(const struct exporter *x, const struct node *n)
{
    int lowest = x->options->min_rating < 0 ? x->options->min_rating : 0;

    if (!n->corrected_answer && n->rating < lowest) return FATE_RATING;
    bool bad_thought = n->thought_rating < 0 && !n->corrected_thought && n->thought.n && x->reasoning != REASONING_STRIP;
    return bad_thought && x->options->bad_thoughts == BAD_THOUGHTS_DROP ? FATE_THOUGHT : FATE_KEPT;
}

void tree_decide(struct exporter *x, struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct node *n = &t->items[i];
        const struct node *above = n->parent ? &t->items[n->parent - 1] : NULL;
        n->open = !above || above->open;
        n->fate = n->open ? FATE_KEPT : above->fate;
        if (!n->reply || !n->open) continue;
        n->fate = reply_judge(x, n);
        if (n->fate == FATE_KEPT) n->fate = judge_rating(x, n);
        n->open = n->fate == FATE_KEPT;
        if (n->open && !n->corrected_answer && n->rating < x->options->min_rating) n->fate = FATE_RATING;
        if (n->fate == FATE_KEPT && !(reply_in_scope(x, n) && reply_is_marked(x, t, n))) n->fate = FATE_FILTER;
        n->wanted = n->fate == FATE_KEPT;
    }
    for (size_t i = t->n; i-- > 0;) {
        const struct node *n = &t->items[i];
        if ((n->wanted || n->covered) && n->parent) t->items[n->parent - 1].covered = true;
    }
}

/* ---- turns --------------------------------------------------------------------------------------------------- */

struct export_turn node_turn(const struct exporter *x, const struct node *n, bool as_generated)
{
    const struct text *answer = n->corrected_answer && !as_generated ? &n->edited : &n->text;
    bool corrected = n->corrected_thought && !as_generated;
    const struct text *thought = corrected ? &n->edited_thought : &n->thought;

    if (!n->reply) return (struct export_turn){.prompt = n->text.p, .prompt_len = n->text.n};
    struct export_turn t = {.thought = thought->p, .thought_len = thought->n, .answer = answer->p, .answer_len = answer->n};
    if (!corrected) {
        t.masked = n->spans;
        t.n_masked = n->n_spans;
        /* whoever wants bad thoughts as the bad side of a pair asks for the text as generated */
        if (n->thought_rating < 0 && x->options->bad_thoughts != BAD_THOUGHTS_KEEP && !as_generated) t.thought_len = t.n_masked = 0;
    }
    return t;
}

struct export_turn *tree_way(const struct exporter *x, const struct tree *t, size_t last, size_t *n)
{
    *n = 0;
    for (size_t at = last + 1; at; at = t->items[at - 1].parent) ++*n;
    struct export_turn *turns = calloc(*n, sizeof *turns);
    size_t i = *n;
    for (size_t at = last + 1; at && turns; at = t->items[at - 1].parent) turns[--i] = node_turn(x, &t->items[at - 1], false);
    return turns;
}
