/*
 * export.c - fine-tuning data: which records, in which order.
 *
 * A conversation is a tree, and a record is a way from its root down to one reply. Formats that train every turn get each way once, in its
 * longest form; those that train the last reply alone get one record for every reply. Conversations come in the order of their ids, and so
 * do the records of one: the same database gives the same bytes. A record that was seen before is left out.
 */
#include "store/export.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* ---- formats ------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define R(name) (1u << REASONING_##name)
#define MESSAGES_FORMS (R(FIELD) | R(INLINE) | R(TEXT) | R(STRIP))
#define INLINE_FORMS (R(INLINE) | R(STRIP))
static const struct export_format_info formats[EXPORT_FORMATS] = {
    [EXPORT_SFT] = {"sft", TASK_WAYS, REASONING_FIELD, MESSAGES_FORMS, false, ".jsonl", "messages: TRL SFT, Unsloth, Axolotl"},
    [EXPORT_SFT_PC] = {"sft-pc", TASK_REPLIES, REASONING_FIELD, MESSAGES_FORMS, false, ".jsonl", "prompt and completion, one"
        " for every reply: TRL SFT"},
    [EXPORT_DPO] = {"dpo", TASK_PAIRS, REASONING_FIELD, MESSAGES_FORMS, false, ".jsonl", "prompt, chosen, rejected: TRL DPO"},
    [EXPORT_KTO] = {"kto", TASK_LABELS, REASONING_FIELD, MESSAGES_FORMS, false, ".jsonl", "prompt, completion, label: TRL KTO"},
    [EXPORT_STEPWISE] = {"stepwise", TASK_STEPS, REASONING_DEFAULT, R(TEXT), false, ".jsonl", "prompt, completions, labels: TRL PRM"},
    [EXPORT_REWARD] = {"reward", TASK_PAIRS, REASONING_FIELD, MESSAGES_FORMS, false, ".jsonl", "prompt, chosen, rejected,"
        " margin: TRL reward models"},
    [EXPORT_OPENAI] = {"openai", TASK_WAYS, REASONING_STRIP, INLINE_FORMS, false, ".jsonl", "OpenAI fine-tuning, without thoughts"},
    [EXPORT_OPENAI_DPO] = {"openai-dpo", TASK_PAIRS, REASONING_STRIP, INLINE_FORMS, false, ".jsonl", "OpenAI preference"
        " fine-tuning, without thoughts"},
    [EXPORT_SHAREGPT] = {"sharegpt", TASK_WAYS, REASONING_INLINE, INLINE_FORMS, false, ".jsonl", "conversations: from and value"},
    [EXPORT_ALPACA] = {"alpaca", TASK_WAYS, REASONING_INLINE, INLINE_FORMS, false, ".jsonl", "instruction, input, output, system, history"},
    [EXPORT_LLAMAFACTORY] = {"llamafactory", TASK_WAYS, REASONING_INLINE, INLINE_FORMS, false, ".jsonl", "LLaMA-Factory SFT,"
        " with dataset_info.json"},
    [EXPORT_LLAMAFACTORY_DPO] = {"llamafactory-dpo", TASK_PAIRS, REASONING_INLINE, INLINE_FORMS, false, ".jsonl",
        "LLaMA-Factory DPO, with dataset_info.json"},
    [EXPORT_LLAMAFACTORY_KTO] = {"llamafactory-kto", TASK_LABELS, REASONING_INLINE, INLINE_FORMS, false, ".jsonl",
        "LLaMA-Factory KTO, with dataset_info.json"},
    [EXPORT_AXOLOTL] = {"axolotl", TASK_WAYS, REASONING_FIELD, R(FIELD) | R(INLINE) | R(STRIP), true, ".jsonl", "Axolotl SFT,"
        " with axolotl.yaml"},
    [EXPORT_AXOLOTL_DPO] = {"axolotl-dpo", TASK_PAIRS, REASONING_FIELD, R(FIELD) | R(INLINE) | R(STRIP), false, ".jsonl",
        "Axolotl DPO, with axolotl.yaml"},
    [EXPORT_TEXT] = {"text", TASK_WAYS, REASONING_TEXT, R(TEXT) | R(STRIP), false, ".jsonl", "text, rendered with the model's"
        " own template"},
    [EXPORT_MARKDOWN] = {"markdown", TASK_DOCUMENT, REASONING_FIELD, R(FIELD) | R(STRIP), false, ".md", "to read"},
    [EXPORT_HTML] = {"html", TASK_DOCUMENT, REASONING_FIELD, R(FIELD) | R(STRIP), false, ".html", "to read in a browser"},
    [EXPORT_JSON] = {"json", TASK_DOCUMENT, REASONING_DEFAULT, 0, false, ".json", "everything; ponder import reads it back"},
};
#undef R
/* clang-format on */

const struct export_format_info *export_format_info(enum export_format f)
{
    return (unsigned)f < EXPORT_FORMATS ? &formats[f] : NULL;
}

const char *export_reasoning_name(enum export_reasoning r)
{
    static const char *const names[] = {"default", "field", "inline", "text", "strip"};
    return (size_t)r < ARRAY_LEN(names) ? names[r] : "";
}

/* What a form of thoughts means in the format, or the line that says what to take instead. */
static int resolve_reasoning(struct exporter *x, struct err *e)
{
    struct str allowed = STR_EMPTY;
    enum export_reasoning r = x->options->reasoning;

    x->reasoning = r == REASONING_DEFAULT ? x->format->initial : r;
    if (r == REASONING_DEFAULT || (x->format->reasonings & (1u << r))) return 0;
    for (enum export_reasoning i = REASONING_FIELD; i <= REASONING_STRIP; i++)
        if (x->format->reasonings & (1u << i)) str_addf(&allowed, "%s%s", allowed.len ? " or " : "", export_reasoning_name(i));
    int rc = allowed.len ? err_set(e, ERR_USAGE, "%s has no place for thoughts as %s; take --reasoning %s", x->format->name,
                                   export_reasoning_name(r), str_cstr(&allowed))
                         : err_set(e, ERR_USAGE, "%s takes no --reasoning", x->format->name);
    str_release(&allowed);
    return rc;
}

static int check_options(struct exporter *x, struct err *e)
{
    const struct export_options *o = x->options;

    x->format = export_format_info(o->format);
    if (!x->format) return err_set(e, ERR_USAGE, "this export format is not known");
    int rc = resolve_reasoning(x, e);
    if (rc) return rc;
    if (o->injected == INJECTED_MASK && !x->format->masks)
        return err_set(e, ERR_USAGE, "%s cannot mark text as not to be learnt; only axolotl can", x->format->name);
    if (o->injected == INJECTED_MASK && x->reasoning == REASONING_INLINE)
        return err_set(e, ERR_USAGE, "text inside the content cannot be marked; take --reasoning field");
    if ((x->reasoning == REASONING_TEXT && !o->render) || ((o->max_tokens || o->min_tokens) && !(o->render && o->count_tokens)))
        return err_set(e, ERR_USAGE, "rendering and token limits need a model");
    if (o->weights && (x->format->task == TASK_DOCUMENT || o->format == EXPORT_OPENAI || o->format == EXPORT_OPENAI_DPO))
        return err_set(e, ERR_USAGE, "%s has no place for weights", x->format->name);
    return parse_endings(&x->allowed, o->endings, e);
}

/* ---- duplicates ---------------------------------------------------------------------------------------------- */

static const unsigned char zero[SHA256_DIGEST_LENGTH];

static size_t seen_place(const struct seen *s, const unsigned char *digest)
{
    size_t at = 0;

    memcpy(&at, digest, sizeof at);
    for (at &= s->cap - 1; memcmp(s->digests[at], zero, sizeof zero) != 0; at = (at + 1) & (s->cap - 1))
        if (!memcmp(s->digests[at], digest, SHA256_DIGEST_LENGTH)) break;
    return at;
}

/* Notes the record; *again when it was there. */
static int seen_add(struct seen *s, const struct str *record, bool *again, struct err *e)
{
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
    if (!SHA256((const unsigned char *)str_cstr(record), record->len, digest)) return err_set(e, ERR_NOMEM, "out of memory");
    size_t at = seen_place(s, digest);
    *again = memcmp(s->digests[at], zero, sizeof zero) != 0;
    if (!*again) {
        memcpy(s->digests[at], digest, sizeof digest);
        s->n++;
    }
    return 0;
}

/* ---- trees that belong together ------------------------------------------------------------------------------- */

static size_t find_group(const struct exporter *x, int64_t conversation)
{
    size_t low = 0, high = x->n_groups;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x->groups[middle].conversation < conversation) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The smallest conversation that this one hangs together with. */
static int64_t tree_of(struct exporter *x, int64_t conversation)
{
    size_t at = find_group(x, conversation);

    while (at < x->n_groups && x->groups[at].tree != x->groups[at].conversation) at = find_group(x, x->groups[at].tree);
    return at < x->n_groups ? x->groups[at].conversation : conversation;
}

struct root {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    int64_t conversation;
};

static int by_digest(const void *a, const void *b)
{
    const struct root *x = a, *y = b;
    int order = memcmp(x->digest, y->digest, sizeof x->digest);
    return order ? order : (x->conversation > y->conversation) - (x->conversation < y->conversation);
}

/* Conversations that begin with the same prompt are one tree for splitting: otherwise what was trained on would be tested with. */
static int join_trees(struct exporter *x)
{
    struct root *roots = NULL;
    size_t n = 0, cap = 0;
    struct query q;

    query_init(&q, x->store, "SELECT conversation, text FROM messages WHERE parent IS NULL ORDER BY conversation, id", x->err);
    while (query_row(&q)) {
        size_t len = 0;
        char *text = query_get_text(&q, 1, &len);
        struct root r = {.conversation = query_get_int(&q, 0)};
        bool hashed = text && SHA256((const unsigned char *)text, len, r.digest);
        free(text);
        bool known = x->n_groups && x->groups[x->n_groups - 1].conversation == r.conversation;
        if (!hashed || !mem_grow(&roots, &cap, n + 1, sizeof *roots) ||
            (!known && !mem_grow(&x->groups, &x->cap_groups, x->n_groups + 1, sizeof *x->groups))) {
            q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
            break;
        }
        roots[n++] = r;
        if (!known) {
            x->groups[x->n_groups].conversation = r.conversation;
            x->groups[x->n_groups++].tree = r.conversation;
        }
    }
    int rc = query_end(&q);
    if (!rc && n) qsort(roots, n, sizeof *roots, by_digest);
    for (size_t i = 1; i < n && !rc; i++) {
        if (memcmp(roots[i].digest, roots[i - 1].digest, sizeof roots[i].digest) != 0) continue;
        int64_t a = tree_of(x, roots[i - 1].conversation), b = tree_of(x, roots[i].conversation);
        x->groups[find_group(x, a > b ? a : b)].tree = a > b ? b : a;
    }
    free(roots);
    return rc;
}

/* ---- records ------------------------------------------------------------------------------------------------- */

int export_bytes(struct exporter *x, const struct str *bytes, int64_t conversation, const struct node *n)
{
    const struct export_record r = {.bytes = str_cstr(bytes),
                                    .len = bytes->len,
                                    .conversation = conversation,
                                    .message = n ? n->id : 0,
                                    .tree = tree_of(x, conversation),
                                    .model = n ? n->model : "",
                                    .model_sha256 = n ? n->model_sha256 : ""};

    if (!str_ok(bytes)) return err_set(x->err, ERR_NOMEM, "out of memory");
    return x->write ? x->write(x->write_arg, &r, x->err) : 0;
}

/* Whether the record's size is inside the limits. */
static int measure(struct exporter *x, const struct parts *p, bool *fits)
{
    const struct export_options *o = x->options;
    int64_t tokens = 0;

    *fits = true;
    if (!o->max_tokens && !o->min_tokens) return 0;
    int rc = record_tokens(x, p, &tokens);
    *fits = tokens >= o->min_tokens && (!o->max_tokens || tokens <= o->max_tokens);
    return rc;
}

static void count_thoughts(struct exporter *x, const struct parts *p)
{
    const struct export_options *o = x->options;
    bool thinks = (p->chosen && p->chosen->thought_len) || (p->rejected && p->rejected->thought_len);

    for (size_t i = 0; i < p->n && !thinks && x->format->task == TASK_WAYS; i++) thinks = p->turns[i].thought_len > 0;
    if (!thinks || x->reasoning == REASONING_STRIP || x->reasoning == REASONING_DEFAULT) return;
    x->counts.thoughts++;
    if (!o->keeps_thoughts || o->keeps_thoughts(o->arg, p->node->family, x->reasoning)) return;
    x->counts.thoughts_lost++;
    snprintf(x->counts.lost_family, sizeof x->counts.lost_family, "%s", p->node->family);
}

int export_parts(struct exporter *x, const struct parts *p, bool *written)
{
    struct str record = STR_EMPTY;
    bool fits = true, again = false;

    if (written) *written = false;
    int rc = measure(x, p, &fits);
    if (!rc && !fits) {
        x->counts.left_length++;
        return 0;
    }
    if (!rc) rc = record_make(x, p, &record);
    if (rc == ERR_INVALID) {
        x->counts.left_template++;
        str_release(&record);
        return 0;
    }
    if (!rc && !x->options->keep_duplicates) rc = seen_add(&x->seen, &record, &again, x->err);
    if (!rc && again) {
        x->counts.duplicates++;
    } else if (!rc) {
        x->counts.records++;
        count_thoughts(x, p);
        rc = export_bytes(x, &record, p->conversation, p->node);
        if (written) *written = true;
    }
    str_release(&record);
    return rc;
}

static double weight_of(const struct export_options *o, const struct node *n)
{
    if (!o->weights) return 0;
    return n->corrected_answer || n->corrected_thought ? o->weight_edited : n->rating > 0 ? o->weight_up : o->weight_none;
}

static int export_way(struct exporter *x, const struct tree *t, size_t last)
{
    const struct node *n = &t->items[last];
    struct parts p = {.node = n, .conversation = t->conversation, .weight = weight_of(x->options, n)};
    bool written = false;

    struct export_turn *turns = tree_way(x, t, last, &p.n);
    if (!turns) return err_set(x->err, ERR_NOMEM, "out of memory");
    p.turns = turns;
    p.chosen = &turns[p.n - 1];
    if (x->format->task != TASK_WAYS) p.n--;
    int rc = export_parts(x, &p, &written);
    if (written) {
        int64_t *from = n->corrected_answer || n->corrected_thought ? &x->counts.from_edited
                        : n->rating > 0                             ? &x->counts.from_up
                                                                    : &x->counts.from_none;
        ++*from;
        if (n->thought_rating < 0 && !n->corrected_thought && n->thought.n && !turns[p.n - (x->format->task == TASK_WAYS)].thought_len)
            x->counts.thoughts_stripped++;
    }
    free(turns);
    return rc;
}

/* ---- labels -------------------------------------------------------------------------------------------------- */

static int was_both_bad(struct exporter *x, int64_t id, bool *bad)
{
    struct query q;

    *bad = false;
    query_init(&q, x->store, "SELECT 1 FROM votes WHERE verdict = 'both_bad' AND (a = ?1 OR b = ?1)", x->err);
    query_int(&q, 1, id);
    while (query_row(&q)) *bad = true;
    return query_end(&q);
}

static int export_label(struct exporter *x, const struct tree *t, size_t at, bool label, bool as_generated)
{
    const struct node *n = &t->items[at];
    struct export_turn reply = node_turn(x, n, as_generated);
    struct parts p = {.node = n, .conversation = t->conversation, .label = label, .chosen = &reply, .weight = weight_of(x->options, n)};
    bool written = false;

    struct export_turn *turns = tree_way(x, t, at, &p.n);
    if (!turns) return err_set(x->err, ERR_NOMEM, "out of memory");
    p.turns = turns;
    p.n--;
    int rc = export_parts(x, &p, &written);
    if (written && label) x->counts.good++;
    if (written && !label) x->counts.bad++;
    free(turns);
    return rc;
}

/* The rating is of the text as generated; a corrected one is what the user wanted. */
static int label_reply(struct exporter *x, const struct tree *t, size_t at)
{
    const struct export_options *o = x->options;
    struct node *n = &t->items[at];
    struct node raw = *n;
    bool corrected = n->corrected_answer || n->corrected_thought, both_bad = false;

    int rc = was_both_bad(x, n->id, &both_bad);
    raw.corrected_answer = raw.corrected_thought = false;
    enum fate fate = reply_judge(x, &raw);
    int label = n->rating ? n->rating : both_bad ? -1 : 0;
    if (!reply_in_scope(x, n) || !reply_is_marked(x, t, n)) fate = FATE_FILTER;
    if (fate == FATE_KEPT && !label && !corrected) fate = FATE_UNRATED;
    bool bad_thought = label > 0 && n->thought_rating < 0 && n->thought.n && x->reasoning != REASONING_STRIP;
    if (fate == FATE_KEPT && bad_thought && o->bad_thoughts == BAD_THOUGHTS_DROP && !corrected) fate = FATE_THOUGHT;
    n->fate = fate;
    if (fate != FATE_KEPT || rc) return rc;
    if (bad_thought && !corrected && o->bad_thoughts == BAD_THOUGHTS_STRIP) x->counts.thoughts_stripped++;
    if (label) rc = export_label(x, t, at, label > 0, label < 0 || (corrected && !bad_thought));
    return rc || !corrected ? rc : export_label(x, t, at, true, false);
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

static int export_steps(struct exporter *x, const struct tree *t, size_t at)
{
    struct node *n = &t->items[at];
    struct node raw = *n;
    struct thought_steps steps = {0};
    struct parts p = {.node = n, .conversation = t->conversation, .steps = &steps};
    bool written = false;

    raw.corrected_answer = raw.corrected_thought = false;
    n->fate = reply_judge(x, &raw);
    if (n->fate == FATE_KEPT && !(reply_in_scope(x, n) && reply_is_marked(x, t, n))) n->fate = FATE_FILTER;
    if (n->fate != FATE_KEPT) return 0;
    int rc = steps_load(x->store, n->id, &steps, x->err);
    if (rc) return rc;
    /* up to the first error, or to the last mark; what was passed over before counts as neutral, and neutral as good */
    for (size_t i = 0; i < steps.n; i++) {
        if (!steps.items[i].rated) continue;
        p.n_steps = i + 1;
        if (steps.items[i].value < 0) break;
    }
    if (!p.n_steps) n->fate = FATE_UNRATED;
    struct export_turn *turns = tree_way(x, t, at, &p.n);
    if (!turns) rc = err_set(x->err, ERR_NOMEM, "out of memory");
    if (!rc && p.n_steps) {
        p.turns = turns;
        p.n--;
        p.steps_of = n->thought.p;
        rc = export_parts(x, &p, &written);
        for (size_t i = 0; i < p.n_steps && written; i++)
            ++*(steps.items[i].rated && steps.items[i].value < 0 ? &x->counts.bad : &x->counts.good);
    }
    free(turns);
    thought_steps_release(&steps);
    return rc;
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

static void count(struct exporter *x, const struct tree *t)
{
    struct export_counts *c = &x->counts;
    int64_t *left[] = {[FATE_KEPT] = NULL,
                       [FATE_UNFINISHED] = &c->left_unfinished,
                       [FATE_ENDING] = &c->left_ending,
                       [FATE_RATING] = &c->left_rating,
                       [FATE_FILTER] = &c->left_filter,
                       [FATE_THOUGHT] = &c->left_thought,
                       [FATE_SAY] = &c->left_say,
                       [FATE_UNRATED] = &c->left_unrated};

    c->conversations++;
    for (size_t i = 0; i < t->n; i++) {
        if (!t->items[i].reply) continue;
        c->replies_seen++;
        if (x->format->task != TASK_PAIRS && left[t->items[i].fate]) ++*left[t->items[i].fate];
    }
}

static int export_tree(struct exporter *x, struct tree *t)
{
    int rc = 0;

    tree_decide(x, t);
    for (size_t i = 0; i < t->n && !rc; i++) {
        const struct node *n = &t->items[i];
        if (!n->reply) continue;
        switch (x->format->task) {
        case TASK_WAYS:
            if (n->wanted && !n->covered) rc = export_way(x, t, i);
            break;
        case TASK_REPLIES:
            if (n->wanted) rc = export_way(x, t, i);
            break;
        case TASK_LABELS: rc = label_reply(x, t, i); break;
        case TASK_STEPS: rc = export_steps(x, t, i); break;
        default: break;
        }
    }
    return rc;
}

static int export_trees(struct exporter *x)
{
    struct tree t = {0};
    struct query q;
    int64_t total = 0, done = 0;

    int rc = db_number(x->store, "SELECT count(*) FROM conversations", &total, x->err);
    query_init(&q, x->store, "SELECT id FROM conversations ORDER BY id", x->err);
    if (rc) q.rc = rc;
    while (query_row(&q)) {
        q.rc = tree_load(x, query_get_int(&q, 0), &t);
        if (!q.rc) q.rc = export_tree(x, &t);
        if (!q.rc) count(x, &t);
        if (x->options->progress) x->options->progress(x->options->arg, ++done, total);
    }
    tree_release(&t);
    return query_end(&q);
}

static int run(struct exporter *x)
{
    int rc = 0;

    if (x->options->search) rc = search_by_message(x->store, x->options->search, &x->hits, x->err);
    if (!rc) rc = join_trees(x);
    if (!rc && x->format->task == TASK_DOCUMENT) return export_documents(x);
    if (!rc) rc = export_trees(x);
    return rc || x->format->task != TASK_PAIRS ? rc : export_pairs(x);
}

int store_export(struct store *s, const struct export_options *o, export_write write, void *write_arg, struct export_counts *counts,
                 struct err *e)
{
    struct exporter x = {.store = s, .options = o, .write = write, .write_arg = write_arg, .err = e};

    if (counts) *counts = (struct export_counts){0};
    int rc = check_options(&x, e);
    if (!rc && o->reason) {
        json_t *reason = json_string(o->reason);
        x.reason = reason ? json_write(reason, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        json_decref(reason);
        if (!x.reason) rc = err_set(e, ERR_USAGE, "a reason is UTF-8 text");
    }
    if (!rc && x.format) {
        store_lock(s);
        rc = db_begin_read(s, e);
        if (!rc) rc = db_end(s, run(&x), e);
        store_unlock(s);
    }
    if (counts) *counts = x.counts;
    search_hits_release(&x.hits);
    free(x.reason);
    free(x.groups);
    free(x.seen.digests);
    return rc;
}
