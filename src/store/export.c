/*
 * export.c - which replies become fine-tuning data.
 *
 * A conversation is a tree, and a record is a way from its root down to one reply. Two questions are asked of every reply.
 *
 * May it be learnt from? It is finished, ended well, was not rated down. A reply that fails closes the way to everything below it: whoever
 * trains on the record would learn it too.
 *
 * Was it asked for? Rating, model, tag, time and words of the filter. A reply that is not asked for still serves as an earlier turn.
 *
 * A record is made for each reply that passes both and has none below it that does, so that each way is exported once, in its longest form.
 * A corrected text takes the place of the original, and of what was said against it: neither the ending nor the rating of a text that was
 * replaced counts. Conversations come in the order of their ids, and so do the records of one: the same database gives the same bytes. A
 * record that was seen before is left out.
 */
#include "store/internal.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* ---- endings ------------------------------------------------------------------------------------------------ */

/* clang-format off */
enum { OF_THOUGHT = 1, OF_ANSWER = 2 };
static const struct ending {
    const char *name;
    int of, by_default;
} endings[] = {
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

/* For each of the endings above, what it is allowed to end. */
struct allowed {
    bool all;
    int of[ARRAY_LEN(endings)];
};

static int find_ending(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (strlen(endings[i].name) == len && !memcmp(endings[i].name, name, len)) return (int)i;
    return -1;
}

/* A list names endings of thoughts and of answers alike. Where it names none of thoughts, those of the default stay; a complete answer is
 * always allowed. */
static int parse_endings(struct allowed *out, const char *list, struct err *e)
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
        p += strspn(p, ", ");
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (!(named & OF_THOUGHT)) out->of[i] |= endings[i].by_default & OF_THOUGHT;
        out->of[i] |= endings[i].by_default & OF_ANSWER;
    }
    return 0;
}

static bool ending_allowed(const struct allowed *a, const char *name, int of)
{
    int i = find_ending(name, strlen(name));
    return a->all || (i >= 0 && (a->of[i] & of));
}

/* ---- one conversation --------------------------------------------------------------------------------------- */

enum fate { FATE_KEPT, FATE_UNFINISHED, FATE_ENDING, FATE_RATING, FATE_FILTER };

struct node {
    int64_t id, created_ms;
    size_t parent; /* place in the tree + 1; 0 a root */
    bool reply, streaming, corrected_answer, corrected_thought, tagged;
    bool open;      /* everything from the root to here may be learnt from */
    bool wanted;    /* passes both questions */
    bool covered;   /* one below it is wanted */
    enum fate fate; /* of a reply: why it ends no record, its own or from above */
    int rating;
    char *text, *thought; /* as exported */
    size_t text_len, thought_len;
    char *model, *system, *family, *ended, *answer_ended;
};
struct tree {
    struct node *items;
    size_t n, cap;
};

struct seen {
    unsigned char (*digests)[SHA256_DIGEST_LENGTH]; /* open addressing; all zero is free */
    size_t n, cap;                                  /* cap a power of two */
};

struct exporter {
    struct store *store;
    const struct export_options *options;
    struct allowed allowed;
    struct search_hits hits; /* of options->search, by message */
    struct export_counts counts;
    struct seen seen;
    int (*write)(void *arg, const char *bytes, size_t n, struct err *e);
    void *write_arg;
    struct err *err;
};

static void tree_clear(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct node *n = &t->items[i];
        free(n->text);
        free(n->thought);
        free(n->model);
        free(n->system);
        free(n->family);
        free(n->ended);
        free(n->answer_ended);
    }
    t->n = 0;
}

/* The place of a message, 0 when it is not in the tree. Items are in the order of their ids. */
static size_t find_node(const struct tree *t, int64_t id)
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

static int load_tree(struct exporter *x, int64_t conversation, struct tree *t)
{
    struct query q;

    tree_clear(t);
    query_init(
        &q, x->store,
        "SELECT m.id, coalesce(m.parent, 0), m.role = 'assistant', m.streaming, coalesce(m.edited_text, m.text),"
        " coalesce(m.edited_thought, m.thought), m.edited_text IS NOT NULL, m.edited_thought IS NOT NULL, m.created_ms, r.model, r.system,"
        " r.family, r.ended, r.answer_ended, coalesce(a.value, 0), EXISTS (SELECT 1 FROM tags g WHERE g.message = m.id AND g.tag = ?2)"
        " FROM messages m LEFT JOIN replies r ON r.message = m.id LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer'"
        " WHERE m.conversation = ?1 ORDER BY m.id",
        x->err);
    query_int(&q, 1, conversation);
    query_cstr(&q, 2, x->options->tag);
    while (query_row(&q)) {
        if (!mem_grow(&t->items, &t->cap, t->n + 1, sizeof *t->items)) {
            q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
            break;
        }
        struct node n = {.id = query_get_int(&q, 0), .parent = find_node(t, query_get_int(&q, 1))};
        n.reply = query_get_int(&q, 2) != 0;
        n.streaming = query_get_int(&q, 3) != 0;
        n.text = query_get_text(&q, 4, &n.text_len);
        n.thought = query_get_text(&q, 5, &n.thought_len);
        n.corrected_answer = query_get_int(&q, 6) != 0;
        n.corrected_thought = query_get_int(&q, 7) != 0;
        n.created_ms = query_get_int(&q, 8);
        n.model = query_get_text(&q, 9, NULL);
        n.system = query_get_text(&q, 10, NULL);
        n.family = query_get_text(&q, 11, NULL);
        n.ended = query_get_text(&q, 12, NULL);
        n.answer_ended = query_get_text(&q, 13, NULL);
        n.rating = (int)query_get_int(&q, 14);
        n.tagged = query_get_int(&q, 15) != 0;
        t->items[t->n++] = n;
    }
    return query_end(&q);
}

/* ---- the two questions -------------------------------------------------------------------------------------- */

/* Why a reply may not be learnt from. */
static enum fate judge(const struct exporter *x, const struct node *n)
{
    int lowest = x->options->min_rating < 0 ? x->options->min_rating : 0;

    if (n->streaming || n->text_len == 0) return FATE_UNFINISHED;
    if (!n->corrected_thought && !ending_allowed(&x->allowed, n->ended, OF_THOUGHT)) return FATE_ENDING;
    if (!n->corrected_answer && !ending_allowed(&x->allowed, n->answer_ended, OF_ANSWER)) return FATE_ENDING;
    if (!n->corrected_answer && n->rating < lowest) return FATE_RATING;
    return FATE_KEPT;
}

static bool was_found(const struct search_hits *hits, int64_t id)
{
    size_t low = 0, high = hits->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hits->items[middle].message == id) return true;
        if (hits->items[middle].message < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* Why a reply was not asked for. */
static enum fate filter(const struct exporter *x, const struct tree *t, const struct node *n)
{
    const struct export_options *o = x->options;

    if (!n->corrected_answer && n->rating < o->min_rating) return FATE_RATING;
    if (o->model && !strcasestr(n->model, o->model)) return FATE_FILTER;
    if (o->tag && !n->tagged) return FATE_FILTER;
    if (o->since_ms && n->created_ms < o->since_ms) return FATE_FILTER;
    if (o->until_ms && n->created_ms >= o->until_ms) return FATE_FILTER;
    if (o->search && !was_found(&x->hits, n->id) && !(n->parent && was_found(&x->hits, t->items[n->parent - 1].id))) return FATE_FILTER;
    return FATE_KEPT;
}

static void decide(struct exporter *x, struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct node *n = &t->items[i];
        const struct node *above = n->parent ? &t->items[n->parent - 1] : NULL;
        n->open = !above || above->open;
        n->fate = n->open ? FATE_KEPT : above->fate;
        if (!n->reply || !n->open) continue;
        n->fate = judge(x, n);
        n->open = n->fate == FATE_KEPT;
        if (n->open) n->fate = filter(x, t, n);
        n->wanted = n->fate == FATE_KEPT;
    }
    for (size_t i = t->n; i-- > 0;) {
        const struct node *n = &t->items[i];
        if ((n->wanted || n->covered) && n->parent) t->items[n->parent - 1].covered = true;
    }
}

static void count(struct exporter *x, const struct tree *t)
{
    struct export_counts *c = &x->counts;
    int64_t *left[] = {[FATE_KEPT] = NULL,
                       [FATE_UNFINISHED] = &c->left_unfinished,
                       [FATE_ENDING] = &c->left_ending,
                       [FATE_RATING] = &c->left_rating,
                       [FATE_FILTER] = &c->left_filter};

    for (size_t i = 0; i < t->n; i++) {
        if (!t->items[i].reply) continue;
        c->replies_seen++;
        if (left[t->items[i].fate]) ++*left[t->items[i].fate];
    }
}

/* ---- records ------------------------------------------------------------------------------------------------ */

static size_t seen_place(const struct seen *s, const unsigned char *digest)
{
    static const unsigned char zero[SHA256_DIGEST_LENGTH];
    size_t at = 0;

    memcpy(&at, digest, sizeof at);
    for (at &= s->cap - 1; memcmp(s->digests[at], zero, sizeof zero) != 0; at = (at + 1) & (s->cap - 1))
        if (!memcmp(s->digests[at], digest, SHA256_DIGEST_LENGTH)) break;
    return at;
}

/* Notes the record; *again when it was there. */
static int seen_add(struct seen *s, const struct str *record, bool *again, struct err *e)
{
    static const unsigned char zero[SHA256_DIGEST_LENGTH];
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (2 * (s->n + 1) > s->cap) {
        struct seen bigger = {.n = s->n, .cap = s->cap ? 2 * s->cap : 1024};
        bigger.digests = calloc(bigger.cap, sizeof *bigger.digests);
        if (!bigger.digests) return err_set(e, ERR_NOMEM, "out of memory");
        for (size_t i = 0; i < s->cap; i++)
            if (memcmp(s->digests[i], zero, sizeof zero) != 0)
                memcpy(bigger.digests[seen_place(&bigger, s->digests[i])], s->digests[i], sizeof zero);
        free(s->digests);
        *s = bigger;
    }
    SHA256((const unsigned char *)str_cstr(record), record->len, digest);
    size_t at = seen_place(s, digest);
    *again = memcmp(s->digests[at], zero, sizeof zero) != 0;
    if (!*again) {
        memcpy(s->digests[at], digest, sizeof digest);
        s->n++;
    }
    return 0;
}

static int write_record(struct exporter *x, const struct str *record)
{
    bool again = false;

    int rc = seen_add(&x->seen, record, &again, x->err);
    if (rc) return rc;
    if (again) {
        x->counts.duplicates++;
        return 0;
    }
    x->counts.records++;
    return x->write ? x->write(x->write_arg, str_cstr(record), record->len, x->err) : 0;
}

static int export_way(struct exporter *x, const struct tree *t, size_t end)
{
    const struct export_options *o = x->options;
    const struct node *last = &t->items[end];
    struct str record = STR_EMPTY;
    size_t n = 0;

    for (size_t at = end + 1; at; at = t->items[at - 1].parent) n++;
    struct export_turn *turns = calloc(n, sizeof *turns);
    if (!turns) return err_set(x->err, ERR_NOMEM, "out of memory");
    for (size_t at = end + 1, i = n; at; at = t->items[at - 1].parent) {
        const struct node *m = &t->items[at - 1];
        struct export_turn *turn = &turns[--i];
        if (m->reply) {
            *turn =
                (struct export_turn){.thought = m->thought, .thought_len = m->thought_len, .answer = m->text, .answer_len = m->text_len};
        } else {
            *turn = (struct export_turn){.prompt = m->text, .prompt_len = m->text_len};
        }
    }
    const char *key = o->thought_key ? o->thought_key(o->arg, last->family) : NULL;
    int rc = export_json_sft(&record, last->system, turns, n, o->reasoning, key ? key : "reasoning_content", x->err);
    if (!rc) rc = write_record(x, &record);
    str_release(&record);
    free(turns);
    return rc;
}

static int export_conversations(struct exporter *x)
{
    struct tree t = {0};
    struct query q;

    query_init(&q, x->store, "SELECT id FROM conversations ORDER BY id", x->err);
    while (query_row(&q)) {
        q.rc = load_tree(x, query_get_int(&q, 0), &t);
        if (q.rc) break;
        decide(x, &t);
        count(x, &t);
        for (size_t i = 0; i < t.n && !q.rc; i++)
            if (t.items[i].wanted && !t.items[i].covered) q.rc = export_way(x, &t, i);
    }
    tree_clear(&t);
    free(t.items);
    return query_end(&q);
}

static int by_message(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    return (x->message > y->message) - (x->message < y->message);
}

static int run(struct exporter *x)
{
    int rc = 0;

    if (x->options->search) {
        rc = search_run(x->store, x->options->search, SEARCH_ALL, 0, &x->hits, x->err);
        if (!rc && x->hits.n) qsort(x->hits.items, x->hits.n, sizeof *x->hits.items, by_message);
    }
    return rc ? rc : export_conversations(x);
}

int store_export(struct store *s, const struct export_options *o, int (*write)(void *arg, const char *bytes, size_t n, struct err *e),
                 void *write_arg, struct export_counts *counts, struct err *e)
{
    struct exporter x = {.store = s, .options = o, .write = write, .write_arg = write_arg, .err = e};

    if (counts) *counts = (struct export_counts){0};
    if (o->format != EXPORT_SFT) return err_set(e, ERR_UNSUPPORTED, "this export format is not known");
    int rc = parse_endings(&x.allowed, o->endings, e);
    if (rc) return rc;
    store_lock(s);
    rc = db_begin_read(s, e);
    if (!rc) rc = db_end(s, run(&x), e);
    store_unlock(s);
    if (counts) *counts = x.counts;
    search_hits_release(&x.hits);
    free(x.seen.digests);
    return rc;
}
