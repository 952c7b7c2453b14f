/*
 * export_pairs.c - pairs of replies for preference training.
 *
 * They come from votes, from corrections (the corrected reply over the original) and from opposite ratings of replies to the same messages,
 * in this order, each in the order of its ids. The messages above are compared as text, so replies of different conversations pair too.
 * Two replies that the user voted on pair as the vote says and in no other way. Two that say the same, in the form exported, never pair.
 *
 * Chosen and rejected are both held against the filter of endings; a thought that was rated down is chosen only on request.
 */
#include "store/export.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* The two trees looked at last: the pairs of one conversation come together. */
struct loaded {
    struct tree trees[2];
    int next;
};

struct rated {
    unsigned char question[SHA256_DIGEST_LENGTH]; /* of the messages above and the system text */
    int64_t message, conversation;
    int value;
};

struct pairing {
    struct exporter *x;
    struct loaded loaded;
    struct {
        int64_t low, high;
    } * voted; /* ascending */
    size_t n_voted, cap_voted;
    struct rated *rated;
    size_t n_rated, cap_rated;
};

static int conversation_of(struct exporter *x, int64_t message, int64_t *out)
{
    struct query q;

    *out = 0;
    query_init(&q, x->store, "SELECT conversation FROM messages WHERE id = ?1", x->err);
    query_int(&q, 1, message);
    while (query_row(&q)) *out = query_get_int(&q, 0);
    return query_end(&q);
}

/* The tree of a conversation, borrowed until the next but one. */
static int get_tree(struct pairing *p, int64_t conversation, struct tree **out)
{
    for (int i = 0; i < 2; i++)
        if (p->loaded.trees[i].conversation == conversation) {
            *out = &p->loaded.trees[i];
            p->loaded.next = !i;
            return 0;
        }
    *out = &p->loaded.trees[p->loaded.next];
    p->loaded.next = !p->loaded.next;
    return tree_load(p->x, conversation, *out);
}

static int find(struct pairing *p, int64_t message, struct tree **t, size_t *at)
{
    int64_t conversation = 0;

    int rc = conversation_of(p->x, message, &conversation);
    if (!rc) rc = get_tree(p, conversation, t);
    if (rc) return rc;
    *at = tree_find(*t, message);
    if (!*at) return err_set(p->x->err, ERR_DB, "message %lld is in no conversation", (long long)message);
    --*at;
    return 0;
}

/* ---- one pair ------------------------------------------------------------------------------------------------ */

static bool same_text(const struct exporter *x, const struct export_turn *a, const struct export_turn *b)
{
    bool thoughts = x->reasoning != REASONING_STRIP;

    if (a->answer_len != b->answer_len || memcmp(a->answer, b->answer, a->answer_len) != 0) return false;
    return !thoughts || (a->thought_len == b->thought_len && (!a->thought_len || !memcmp(a->thought, b->thought, a->thought_len)));
}

/* What keeps a pair out. raw: the replies as they were generated. */
static int64_t *why_not(struct exporter *x, const struct tree *tc, const struct node *c, const struct tree *tr, const struct node *r,
                        bool edit)
{
    struct export_counts *n = &x->counts;
    struct node chosen = *c, rejected = *r;

    rejected.corrected_answer = rejected.corrected_thought = false;
    if (!edit) chosen.corrected_answer = chosen.corrected_thought = false;
    const enum fate fates[] = {reply_judge(x, &chosen), reply_judge(x, &rejected)};
    for (size_t i = 0; i < ARRAY_LEN(fates); i++) {
        if (fates[i] == FATE_UNFINISHED) return &n->left_unfinished;
        if (fates[i] == FATE_SAY) return &n->left_say;
        if (fates[i] == FATE_ENDING) return &n->left_ending;
    }
    if (!reply_in_scope(x, c) || !reply_in_scope(x, r)) return &n->left_filter;
    if (!reply_is_marked(x, tc, c) && !reply_is_marked(x, tr, r)) return &n->left_filter;
    bool bad_thought = chosen.thought_rating < 0 && !chosen.corrected_thought && chosen.thought.n && x->reasoning != REASONING_STRIP;
    if (bad_thought && x->options->bad_thoughts != BAD_THOUGHTS_KEEP) return &n->left_thought;
    return NULL;
}

/* edit: the chosen one is the reply with its corrections, the rejected one the same as generated. */
static int export_pair(struct pairing *p, int64_t chosen, int64_t rejected, int strength, bool edit, int64_t *from)
{
    struct exporter *x = p->x;
    struct tree *tc, *tr;
    size_t at_c, at_r;
    bool written = false;

    int rc = find(p, chosen, &tc, &at_c);
    if (!rc) rc = find(p, rejected, &tr, &at_r);
    if (rc) return rc;
    const struct node *c = &tc->items[at_c], *r = &tr->items[at_r];
    int64_t *left = why_not(x, tc, c, tr, r, edit);
    struct export_turn good = node_turn(x, c, !edit), bad = node_turn(x, r, true);
    if (!left && same_text(x, &good, &bad)) left = &x->counts.left_same;
    if (left) {
        ++*left;
        return 0;
    }
    struct parts parts = {.node = c, .conversation = tc->conversation, .chosen = &good, .rejected = &bad, .strength = strength};
    parts.weight = x->options->weights ? (edit ? x->options->weight_edited : x->options->weight_none) : 0;
    struct export_turn *turns = tree_way(x, tc, at_c, &parts.n);
    if (!turns) return err_set(x->err, ERR_NOMEM, "out of memory");
    parts.turns = turns;
    parts.n--;
    rc = export_parts(x, &parts, &written);
    if (written) ++*from;
    free(turns);
    return rc;
}

/* ---- votes and corrections ------------------------------------------------------------------------------------- */

static int add_voted(struct pairing *p, int64_t a, int64_t b)
{
    if (!mem_grow(&p->voted, &p->cap_voted, p->n_voted + 1, sizeof *p->voted)) return err_set(p->x->err, ERR_NOMEM, "out of memory");
    p->voted[p->n_voted].low = a < b ? a : b;
    p->voted[p->n_voted++].high = a < b ? b : a;
    return 0;
}

static int export_votes(struct pairing *p, bool wanted)
{
    struct exporter *x = p->x;
    struct query q;

    query_init(&q, x->store, "SELECT a, b, verdict, coalesce(strength, 1) FROM votes ORDER BY id", x->err);
    while (query_row(&q)) {
        int64_t a = query_get_int(&q, 0), b = query_get_int(&q, 1);
        int strength = (int)query_get_int(&q, 3);
        char *verdict = query_get_text(&q, 2, NULL);
        if (!verdict) break;
        bool a_won = !strcmp(verdict, "a"), b_won = !strcmp(verdict, "b"), skipped = !strcmp(verdict, "skip");
        free(verdict);
        if (!skipped) q.rc = add_voted(p, a, b);
        if (q.rc || !wanted) continue;
        if (!a_won && !b_won) {
            x->counts.left_verdict++;
        } else if (strength < x->options->min_strength) {
            x->counts.left_strength++;
        } else {
            q.rc = export_pair(p, a_won ? a : b, a_won ? b : a, strength, false, &x->counts.from_votes);
        }
    }
    return query_end(&q);
}

static int export_edits(struct pairing *p)
{
    struct exporter *x = p->x;
    struct query q;

    query_init(
        &q, x->store,
        "SELECT id FROM messages WHERE role = 'assistant' AND streaming = 0 AND (edited_text IS NOT NULL OR edited_thought IS NOT NULL)"
        " ORDER BY id",
        x->err);
    while (query_row(&q)) {
        int64_t id = query_get_int(&q, 0);
        q.rc = export_pair(p, id, id, 0, true, &x->counts.from_edits);
    }
    return query_end(&q);
}

/* ---- opposite ratings ------------------------------------------------------------------------------------------ */

static void add_text(struct str *out, const char *text, size_t n)
{
    str_addf(out, "%zu:", n); /* so that no text can run into the next */
    str_add_bytes(out, text, n);
}

/* The digest of the system text and of every message above the reply. */
static int hash_question(struct exporter *x, const struct tree *t, size_t at, unsigned char *out)
{
    struct str all = STR_EMPTY;
    size_t n;
    struct export_turn *turns = tree_way(x, t, at, &n);

    add_text(&all, t->items[at].system, strlen(t->items[at].system));
    for (size_t i = 0; turns && i + 1 < n; i++) {
        const struct export_turn *m = &turns[i];
        str_add(&all, m->prompt ? "u" : "a");
        add_text(&all, m->prompt ? m->prompt : m->answer, m->prompt ? m->prompt_len : m->answer_len);
    }
    bool good = turns && str_ok(&all) && SHA256((const unsigned char *)str_cstr(&all), all.len, out);
    str_release(&all);
    free(turns);
    return good ? 0 : err_set(x->err, ERR_NOMEM, "out of memory");
}

static int by_question(const void *a, const void *b)
{
    const struct rated *x = a, *y = b;
    int order = memcmp(x->question, y->question, sizeof x->question);
    return order ? order : (x->message > y->message) - (x->message < y->message);
}

static int by_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    if (x[0] != y[0]) return x[0] > y[0] ? 1 : -1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

static int collect_rated(struct pairing *p)
{
    struct exporter *x = p->x;
    struct query q;

    query_init(&q, x->store,
               "SELECT r.message, r.value FROM ratings r JOIN messages m ON m.id = r.message WHERE r.part = 'answer' AND r.value <> 0"
               " AND m.streaming = 0 ORDER BY m.conversation, r.message",
               x->err);
    while (query_row(&q)) {
        struct rated r = {.message = query_get_int(&q, 0), .value = (int)query_get_int(&q, 1)};
        struct tree *t = NULL;
        size_t at = 0;
        q.rc = find(p, r.message, &t, &at);
        if (q.rc) break;
        r.conversation = t->conversation;
        q.rc = hash_question(x, t, at, r.question);
        if (!q.rc && !mem_grow(&p->rated, &p->cap_rated, p->n_rated + 1, sizeof *p->rated))
            q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
        if (!q.rc) p->rated[p->n_rated++] = r;
    }
    return query_end(&q);
}

static bool was_voted(const struct pairing *p, int64_t a, int64_t b)
{
    int64_t key[2] = {a < b ? a : b, a < b ? b : a};
    return p->n_voted && bsearch(key, p->voted, p->n_voted, sizeof *p->voted, by_first);
}

/* Every good one over every bad one of those with the same question, rated[from] to rated[to - 1]; as ids, appended to *out. */
static int pair_group(struct pairing *p, size_t from, size_t to, int64_t (**out)[2], size_t *n, size_t *cap)
{
    for (size_t i = from; i < to; i++) {
        for (size_t j = from; j < to; j++) {
            if (p->rated[i].value < 0 || p->rated[j].value > 0) continue;
            if (was_voted(p, p->rated[i].message, p->rated[j].message)) {
                p->x->counts.left_contrary++;
                continue;
            }
            if (!mem_grow(out, cap, *n + 1, sizeof **out)) return err_set(p->x->err, ERR_NOMEM, "out of memory");
            (*out)[*n][0] = p->rated[i].message;
            (*out)[(*n)++][1] = p->rated[j].message;
        }
    }
    return 0;
}

static int export_opposites(struct pairing *p)
{
    int64_t(*pairs)[2] = NULL;
    size_t n = 0, cap = 0;

    int rc = collect_rated(p);
    if (!rc && p->n_rated) qsort(p->rated, p->n_rated, sizeof *p->rated, by_question);
    if (p->n_voted) qsort(p->voted, p->n_voted, sizeof *p->voted, by_first);
    for (size_t from = 0, to; from < p->n_rated && !rc; from = to) {
        for (to = from + 1; to < p->n_rated && !memcmp(p->rated[from].question, p->rated[to].question, sizeof p->rated[from].question);)
            to++;
        rc = pair_group(p, from, to, &pairs, &n, &cap);
    }
    if (n) qsort(pairs, n, sizeof *pairs, by_first);
    for (size_t i = 0; i < n && !rc; i++) rc = export_pair(p, pairs[i][0], pairs[i][1], 0, false, &p->x->counts.from_ratings);
    free(pairs);
    return rc;
}

int export_pairs(struct exporter *x)
{
    struct pairing p = {.x = x};
    unsigned from = x->options->pairs ? x->options->pairs : PAIRS_VOTES | PAIRS_EDITS | PAIRS_RATINGS;

    int rc = export_votes(&p, from & PAIRS_VOTES);
    if (!rc && (from & PAIRS_EDITS)) rc = export_edits(&p);
    if (!rc && (from & PAIRS_RATINGS)) rc = export_opposites(&p);
    tree_release(&p.loaded.trees[0]);
    tree_release(&p.loaded.trees[1]);
    free(p.voted);
    free(p.rated);
    return rc;
}
