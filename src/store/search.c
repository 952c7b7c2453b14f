/*
 * search.c - finding words in prompts, answers and thoughts.
 *
 * The user's words are data, never query language: each becomes a quoted phrase of FTS5, and all must occur in one part of one message.
 * FTS5 splits text at everything that is no letter or digit, so it can neither find an emoji nor a word inside a script written without
 * spaces. Such words are looked for byte by byte in the texts instead: those of the messages that the other words left, or all of them.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_WORDS     64
#define SNIPPET_BYTES 60 /* either side of a word found byte by byte */

struct words {
    struct str match; /* the phrases, quoted for FTS5; empty when there is none */
    struct {
        const char *text;
        size_t len;
    } literal[MAX_WORDS]; /* inside the caller's text */
    size_t n_literal, n_words;
};

/* ---- keeping the index in step ------------------------------------------------------------------------------ */

static int index_run(struct store *s, const char *sql, int64_t id, struct err *e)
{
    struct query q;

    query_init(&q, s, sql, e);
    query_int(&q, 1, id);
    return query_run(&q);
}

/* clang-format off */
#define INDEX_COLUMNS "prompt, answer, thought, edited_answer, edited_thought"
#define DROP_FROM_INDEX \
    "INSERT INTO message_index(message_index, rowid, " INDEX_COLUMNS ") SELECT 'delete', id, " INDEX_COLUMNS " FROM search_source WHERE id "
/* clang-format on */

int index_add(struct store *s, int64_t message, struct err *e)
{
    static const char sql[] =
        "INSERT INTO message_index(rowid, " INDEX_COLUMNS ") SELECT id, " INDEX_COLUMNS " FROM search_source WHERE id = ?1";
    return index_run(s, sql, message, e);
}

int index_drop(struct store *s, int64_t message, struct err *e)
{
    static const char sql[] = DROP_FROM_INDEX "= ?1";
    return index_run(s, sql, message, e);
}

int index_drop_conversation(struct store *s, int64_t conversation, struct err *e)
{
    static const char sql[] = DROP_FROM_INDEX "IN (SELECT m.id FROM messages m WHERE m.conversation = ?1)";
    return index_run(s, sql, conversation, e);
}

/* ---- the user's words --------------------------------------------------------------------------------------- */

static bool is_space(uint32_t cp)
{
    return cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0x85 || cp == 0xa0 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x3000;
}

/* Scripts whose words stand without spaces between them, or grow endings. */
static bool is_unspaced(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x0e00, 0x109f}, /* Thai, Lao, Tibetan, Myanmar */
        {0x1100, 0x11ff}, /* Hangul parts */
        {0x1780, 0x17ff}, /* Khmer */
        {0x3040, 0x31ff}, /* Hiragana, Katakana, Bopomofo */
        {0x3400, 0x9fff}, /* Han */
        {0xac00, 0xd7af}, /* Hangul */
        {0xf900, 0xfaff}, {0xff66, 0xffdc}, {0x20000, 0x3ffff},
    };

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (cp >= ranges[i].first && cp <= ranges[i].last) return true;
    return false;
}

/* Whether FTS5 has a token for the word, and finds it wherever it stands. */
static bool is_indexed(const char *word, size_t len)
{
    bool token = false;

    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += utf8_decode(word + i, len - i, &cp);
        if (cp == UTF8_INVALID) continue;
        if (is_unspaced(cp)) return false;
        switch (utf8proc_category((utf8proc_int32_t)cp)) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
        case UTF8PROC_CATEGORY_CO: token = true; break;
        default: break;
        }
    }
    return token;
}

static void add_phrase(struct str *match, const char *word, size_t len)
{
    str_add(match, match->len ? " \"" : "\"");
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '"') str_add_char(match, '"');
        str_add_char(match, word[i]);
    }
    str_add_char(match, '"');
}

static int add_word(struct words *w, const char *word, size_t len, struct err *e)
{
    if (len == 0) return 0;
    if (w->n_words++ >= MAX_WORDS) return err_set(e, ERR_INVALID, "a search takes at most %d words", MAX_WORDS);
    if (is_indexed(word, len)) {
        add_phrase(&w->match, word, len);
    } else {
        w->literal[w->n_literal].text = word;
        w->literal[w->n_literal++].len = len;
    }
    return 0;
}

static int split_words(struct words *w, const char *text, struct err *e)
{
    size_t n = strlen(text), i = 0;
    int rc = 0;

    *w = (struct words){0};
    while (i < n && !rc) {
        uint32_t cp;
        size_t used = utf8_decode(text + i, n - i, &cp);
        if (is_space(cp)) {
            i += used;
        } else if (cp == '"') {
            const char *end = strchr(text + i + 1, '"');
            size_t to = end ? (size_t)(end - text) : n;
            rc = add_word(w, text + i + 1, to - i - 1, e);
            i = end ? to + 1 : n;
        } else {
            size_t from = i;
            for (; i < n; i += used) {
                used = utf8_decode(text + i, n - i, &cp);
                if (is_space(cp)) break;
            }
            rc = add_word(w, text + from, i - from, e);
        }
    }
    if (!rc && !str_ok(&w->match)) rc = err_set(e, ERR_NOMEM, "out of memory");
    return rc;
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

/* What a part is made of. Its two text columns: as it came, and corrected. */
struct place {
    enum search_in part;
    const char *columns; /* of message_index */
    const char *found;   /* with FTS5, best first */
    const char *scanned; /* every message that has the part, newest first */
};

/* clang-format off */
/* What the search is narrowed to: ?4 and on. */
#define NARROWED \
    " AND (?4 = 0 OR m.created_ms >= ?4) AND (?5 = 0 OR m.created_ms < ?5)" \
    " AND (?6 IS NULL OR EXISTS (SELECT 1 FROM replies r WHERE r.message = m.id AND instr(lower(r.model), lower(?6)) > 0))" \
    " AND (?7 IS NULL OR EXISTS (SELECT 1 FROM tags g WHERE g.message = m.id AND g.tag = ?7))" \
    " AND (?8 IS NULL OR EXISTS (SELECT 1 FROM replies r WHERE r.message = m.id AND ?8 IN (r.ended, r.answer_ended)))" \
    " AND (?9 IS NULL OR (m.role = 'assistant'" \
    "  AND coalesce((SELECT value FROM ratings a WHERE a.message = m.id AND a.part = 'answer'), 0) = ?9))"
/* The newest ?10 matches are ranked in one pass, which FTS5's own ORDER BY rank needs two for; another one makes the snippets of the best (to look up each by
 * its rowid takes longer, hence the order of the join). */
#define FOUND(text, edited) \
    "WITH best AS MATERIALIZED (SELECT m.id AS id, b.rank AS rank" \
    "  FROM (SELECT rowid AS id, bm25(message_index) AS rank FROM message_index WHERE message_index MATCH ?1 ORDER BY rowid DESC LIMIT ?10) b" \
    "  JOIN messages m ON m.id = b.id WHERE TRUE" NARROWED " ORDER BY b.rank, m.id DESC LIMIT ?2)" \
    " SELECT m.id, m.conversation, c.title, m.created_ms, best.rank," \
    " snippet(message_index, -1, char(2), char(3), '…', 16)," \
    " iif(?3, " text ", NULL), iif(?3, " edited ", NULL)" \
    " FROM message_index CROSS JOIN best ON best.id = message_index.rowid JOIN messages m ON m.id = best.id" \
    " JOIN conversations c ON c.id = m.conversation" \
    " WHERE message_index MATCH ?1 AND message_index.rowid >= (SELECT min(id) FROM best) ORDER BY best.rank, m.id DESC"
#define SCANNED(text, edited, role) \
    "SELECT m.id, m.conversation, c.title, m.created_ms, 0.0, NULL, " text ", " edited \
    " FROM messages m JOIN conversations c ON c.id = m.conversation" \
    " WHERE m.streaming = 0 AND m.role = '" role "'" NARROWED " ORDER BY m.id DESC"

static const struct place places[] = {
    {SEARCH_PROMPTS, "{prompt}", FOUND("m.text", "NULL"), SCANNED("m.text", "NULL", "user")},
    {SEARCH_ANSWERS, "{answer edited_answer}", FOUND("m.text", "m.edited_text"), SCANNED("m.text", "m.edited_text", "assistant")},
    {SEARCH_THOUGHTS, "{thought edited_thought}", FOUND("m.thought", "m.edited_thought"),
     SCANNED("m.thought", "m.edited_thought", "assistant")},
};
/* clang-format on */

/* A piece of text around its bytes [at, at + len), those between \x02 and \x03. malloc'ed, the caller's. */
static char *make_snippet(const char *text, size_t n, size_t at, size_t len)
{
    size_t from = at > SNIPPET_BYTES ? at - SNIPPET_BYTES : 0;
    size_t to = n - at - len > SNIPPET_BYTES ? at + len + SNIPPET_BYTES : n;
    struct str out = STR_EMPTY;

    while (from > 0 && ((unsigned char)text[from] & 0xc0) == 0x80) from--;
    while (to < n && ((unsigned char)text[to] & 0xc0) == 0x80) to++;
    if (from > 0) str_add(&out, "…");
    str_add_bytes(&out, text + from, at - from);
    str_add_char(&out, '\x02');
    str_add_bytes(&out, text + at, len);
    str_add_char(&out, '\x03');
    str_add_bytes(&out, text + at + len, to - at - len);
    if (to < n) str_add(&out, "…");
    return str_detach(&out);
}

/* Whether every literal word is in one of the row's texts; *snippet, where it is NULL, becomes a piece around the first. */
static bool has_literals(struct query *q, const struct words *w, char **snippet)
{
    const char *texts[2];
    size_t sizes[2];

    for (int i = 0; i < 2; i++) {
        texts[i] = (const char *)sqlite3_column_text(q->stmt, 6 + i);
        sizes[i] = texts[i] ? (size_t)sqlite3_column_bytes(q->stmt, 6 + i) : 0;
    }
    for (int i = 0; i < 2; i++) {
        size_t found = 0;
        const char *first = NULL;
        for (; found < w->n_literal && texts[i]; found++) {
            const char *at = memmem(texts[i], sizes[i], w->literal[found].text, w->literal[found].len);
            if (!at) break;
            if (found == 0) first = at;
        }
        if (found < w->n_literal || !first) continue;
        if (!*snippet) *snippet = make_snippet(texts[i], sizes[i], (size_t)(first - texts[i]), w->literal[0].len);
        return true;
    }
    return false;
}

struct ranked {
    struct search_hit hit;
    double rank;
};
struct ranking {
    struct ranked *items;
    size_t n, cap;
};

static void hit_release(struct search_hit *h)
{
    free(h->title);
    free(h->snippet);
}

/* Takes the row as a hit, where it is one. */
static void take_row(struct query *q, const struct words *w, enum search_in part, struct ranking *out)
{
    struct ranked r = {.rank = query_get_real(q, 4)};

    r.hit.message = query_get_int(q, 0);
    r.hit.conversation = query_get_int(q, 1);
    r.hit.created_ms = query_get_int(q, 3);
    r.hit.part = part;
    r.hit.snippet = query_get_text_or_null(q, 5, NULL);
    if (!q->rc && w->n_literal && !has_literals(q, w, &r.hit.snippet)) {
        hit_release(&r.hit);
        return;
    }
    r.hit.title = query_get_text(q, 2, NULL);
    if (!q->rc && (!r.hit.snippet || !mem_grow(&out->items, &out->cap, out->n + 1, sizeof *out->items)))
        q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
    if (q->rc) {
        hit_release(&r.hit);
    } else {
        out->items[out->n++] = r;
    }
}

/* Ranking looks at every match, which words as common as "the" make long: of so many matches only the newest are ranked. */
#define RANKED_MAX 400

static bool is_narrow(const struct search_filter *f)
{
    return f->since_ms || f->until_ms || f->model || f->tag || f->ending || f->rated;
}

static void narrow(struct query *q, const struct search_filter *f)
{
    query_int(q, 4, f->since_ms);
    query_int(q, 5, f->until_ms);
    query_cstr(q, 6, f->model);
    query_cstr(q, 7, f->tag);
    query_cstr(q, 8, f->ending);
    if (f->rated) {
        query_int(q, 9, f->rating);
    } else {
        query_null(q, 9);
    }
}

static int search_place(struct store *s, const struct place *p, const struct words *w, const struct search_filter *f, int limit,
                        struct ranking *out, struct err *e)
{
    struct str match = STR_EMPTY;
    struct query q;
    size_t before = out->n;

    if (w->match.len) {
        str_addf(&match, "%s : (%s)", p->columns, str_cstr(&w->match));
        if (!str_ok(&match)) return err_set(e, ERR_NOMEM, "out of memory");
    }
    query_init(&q, s, w->match.len ? p->found : p->scanned, e);
    if (w->match.len) {
        query_int(&q, 10, limit > 0 && !w->n_literal && !is_narrow(f) ? RANKED_MAX : -1);
        query_text(&q, 1, str_cstr(&match), match.len);
        query_int(&q, 2, limit > 0 && w->n_literal == 0 ? limit : -1);
        query_int(&q, 3, w->n_literal > 0);
    }
    narrow(&q, f);
    while ((limit <= 0 || out->n - before < (size_t)limit) && query_row(&q)) take_row(&q, w, p->part, out);
    str_release(&match);
    return query_end(&q);
}

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->rank < y->rank) return -1;
    if (x->rank > y->rank) return 1;
    if (x->hit.message != y->hit.message) return x->hit.message > y->hit.message ? -1 : 1;
    return (int)x->hit.part - (int)y->hit.part;
}

void search_hits_release(struct search_hits *h)
{
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) hit_release(&h->items[i]);
    free(h->items);
    *h = (struct search_hits){0};
}

/* Hands the best of the ranking over, and releases the rest. */
static int take_best(struct ranking *r, int limit, struct search_hits *out, struct err *e)
{
    size_t n = limit > 0 && r->n > (size_t)limit ? (size_t)limit : r->n;
    int rc = 0;

    if (r->n) qsort(r->items, r->n, sizeof *r->items, by_rank);
    out->items = calloc(n ? n : 1, sizeof *out->items);
    if (!out->items) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        n = 0;
    }
    for (size_t i = 0; i < n; i++) out->items[out->n++] = r->items[i].hit;
    for (size_t i = n; i < r->n; i++) hit_release(&r->items[i].hit);
    return rc;
}

int search_run(struct store *s, const char *words, enum search_in in, const struct search_filter *f, int limit, struct search_hits *out,
               struct err *e)
{
    static const struct search_filter any;
    struct words w;
    struct ranking r = {0};

    *out = (struct search_hits){0};
    int rc = split_words(&w, words, e);
    for (size_t i = 0; i < ARRAY_LEN(places) && !rc && w.n_words > 0; i++)
        if (in == SEARCH_ALL || in == places[i].part) rc = search_place(s, &places[i], &w, f ? f : &any, limit, &r, e);
    if (!rc) {
        rc = take_best(&r, limit, out, e);
    } else {
        for (size_t i = 0; i < r.n; i++) hit_release(&r.items[i].hit);
    }
    free(r.items);
    str_release(&w.match);
    return rc;
}

int store_search_filtered(struct store *s, const char *words, enum search_in in, const struct search_filter *f, int limit,
                          struct search_hits *out, struct err *e)
{
    store_lock(s);
    int rc = search_run(s, words, in, f, limit, out, e);
    store_unlock(s);
    return rc;
}

int store_search(struct store *s, const char *words, enum search_in in, int limit, struct search_hits *out, struct err *e)
{
    return store_search_filtered(s, words, in, NULL, limit, out, e);
}

static int by_message(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    return (x->message > y->message) - (x->message < y->message);
}

int search_by_message(struct store *s, const char *words, struct search_hits *out, struct err *e)
{
    int rc = search_run(s, words, SEARCH_ALL, NULL, 0, out, e);
    if (!rc && out->n) qsort(out->items, out->n, sizeof *out->items, by_message);
    return rc;
}

bool search_found(const struct search_hits *hits, int64_t message)
{
    const struct search_hit key = {.message = message};
    return hits->n && bsearch(&key, hits->items, hits->n, sizeof *hits->items, by_message);
}
