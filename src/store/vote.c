/*
 * vote.c - votes on pairs of replies.
 *
 * Two replies can be compared when they answer the same: the messages above them and the system text are equal, also where they stand in
 * different conversations. A pair has one vote, the last one. A vote moves the active branch: to the winner, without one to the earlier
 * reply, and only where both are in one conversation.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[] = {
    [VERDICT_A] = "a", [VERDICT_B] = "b", [VERDICT_TIE] = "tie", [VERDICT_BOTH_BAD] = "both_bad", [VERDICT_SKIP] = "skip"};

static int64_t number_of(struct store *s, const char *sql, int64_t a, int64_t b, struct err *e, int *rc)
{
    struct query q;
    int64_t out = 0;

    if (*rc) return 0;
    query_init(&q, s, sql, e);
    query_int(&q, 1, a);
    query_int(&q, 2, b);
    if (query_row(&q)) out = query_get_int(&q, 0);
    *rc = query_end(&q);
    return out;
}

/* Whether the messages above both are the same, up to their roots, and the system texts are. */
static int check_same_question(struct store *s, int64_t a, int64_t b, struct err *e)
{
    static const char same_system[] = "SELECT x.system = y.system FROM replies x, replies y WHERE x.message = ?1 AND y.message = ?2";
    static const char parent[] = "SELECT coalesce(parent, 0) FROM messages WHERE id = ?1 AND ?2 = ?2";
    static const char same_text[] =
        "SELECT x.role = y.role AND coalesce(x.edited_text, x.text) = coalesce(y.edited_text, y.text) FROM messages x, messages y"
        " WHERE x.id = ?1 AND y.id = ?2";
    int rc = 0;
    int64_t x = number_of(s, parent, a, 0, e, &rc), y = number_of(s, parent, b, 0, e, &rc);
    bool same = rc || x == y || number_of(s, same_system, a, b, e, &rc) == 1;

    while (!rc && same && x != y) {
        same = x && y && number_of(s, same_text, x, y, e, &rc) == 1;
        x = number_of(s, parent, x, 0, e, &rc);
        y = number_of(s, parent, y, 0, e, &rc);
    }
    if (!rc && !same)
        rc = err_set(e, ERR_INVALID, "replies %lld and %lld do not answer the same messages, and cannot be compared", (long long)a,
                     (long long)b);
    return rc;
}

static int put_vote(struct store *s, const struct vote *v, int64_t *id, struct err *e)
{
    struct query q;
    const char first[2] = {(char)v->shown_first, '\0'};

    query_init(&q, s,
               "INSERT INTO votes(a, b, verdict, strength, shown_first, blind, spent_ms, voted_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
               " ON CONFLICT(min(a, b), max(a, b)) DO UPDATE SET a = ?1, b = ?2, verdict = ?3, strength = ?4, shown_first = ?5, blind = ?6,"
               " spent_ms = ?7, voted_ms = ?8 RETURNING id",
               e);
    query_int(&q, 1, v->a);
    query_int(&q, 2, v->b);
    query_cstr(&q, 3, verdict_names[v->verdict]);
    if (v->strength && v->verdict <= VERDICT_B) {
        query_int(&q, 4, v->strength);
    } else {
        query_null(&q, 4);
    }
    query_cstr(&q, 5, v->shown_first ? first : NULL);
    query_int(&q, 6, v->blind);
    if (v->spent_ms >= 0) {
        query_int(&q, 7, v->spent_ms);
    } else {
        query_null(&q, 7);
    }
    query_int(&q, 8, clock_wall_ms());
    while (query_row(&q)) *id = query_get_int(&q, 0);
    return query_end(&q);
}

static int show_winner(struct store *s, const struct vote *v, struct err *e)
{
    static const char together[] = "SELECT x.conversation = y.conversation FROM messages x, messages y WHERE x.id = ?1 AND y.id = ?2";
    static const char active[] = "SELECT active FROM messages WHERE id = ?1 AND ?2 = ?2";
    int64_t earlier = v->a < v->b ? v->a : v->b, later = v->a < v->b ? v->b : v->a;
    int64_t shown = v->verdict == VERDICT_A ? v->a : v->verdict == VERDICT_B ? v->b : earlier;
    int rc = 0;

    if (!number_of(s, together, v->a, v->b, e, &rc) || number_of(s, active, shown, 0, e, &rc) || rc) return rc;
    /* a vote without a winner moves only who looks at one of the two */
    if (v->verdict > VERDICT_B && !number_of(s, active, later, 0, e, &rc)) return rc;
    return branch_select(s, shown, e);
}

static int vote(struct store *s, const struct vote *v, int64_t *id, struct err *e)
{
    int rc = check_reply(s, v->a, e);

    if (!rc) rc = check_reply(s, v->b, e);
    if (!rc) rc = check_same_question(s, v->a, v->b, e);
    if (!rc) rc = undo_note_vote(s, v->a, v->b, e);
    if (!rc) rc = put_vote(s, v, id, e);
    return rc ? rc : show_winner(s, v, e);
}

int store_vote(struct store *s, const struct vote *v, int64_t *id, struct err *e)
{
    int64_t made = 0;

    if (v->a == v->b) return err_set(e, ERR_INVALID, "a reply cannot be compared with itself");
    if (v->strength < 0 || v->strength > 3) return err_set(e, ERR_INVALID, "a strength is 1, 2 or 3, not %d", v->strength);
    if ((unsigned)v->verdict > VERDICT_SKIP || (v->shown_first && v->shown_first != 'a' && v->shown_first != 'b'))
        return err_set(e, ERR_INVALID, "this is no vote");
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, vote(s, v, &made, e), e);
    store_unlock(s);
    if (!rc && id) *id = made;
    return rc;
}

int store_rival(struct store *s, int64_t reply, int64_t *rival, struct err *e)
{
    static const char sql[] = "SELECT o.id FROM messages m JOIN messages o ON o.parent = m.parent AND o.id <> m.id AND o.role = 'assistant' AND"
                              " o.streaming = 0 WHERE m.id = ?1 AND ?2 = ?2 ORDER BY o.id > m.id, abs(o.id - m.id) LIMIT 1";
    int rc = 0;

    store_lock(s);
    *rival = number_of(s, sql, reply, 0, e, &rc);
    store_unlock(s);
    return rc || *rival ? rc : err_set(e, ERR_NOT_FOUND, "there is no other reply to this prompt");
}

int store_load_vote(struct store *s, int64_t a, int64_t b, struct vote *out, struct err *e)
{
    struct query q;
    bool there = false;

    *out = (struct vote){0};
    store_lock(s);
    query_init(&q, s,
               "SELECT a, b, verdict, coalesce(strength, 0), shown_first, blind, coalesce(spent_ms, -1) FROM votes"
               " WHERE min(a, b) = min(?1, ?2) AND max(a, b) = max(?1, ?2)",
               e);
    query_int(&q, 1, a);
    query_int(&q, 2, b);
    if (query_row(&q)) {
        there = true;
        *out = (struct vote){.a = query_get_int(&q, 0), .b = query_get_int(&q, 1), .strength = (int)query_get_int(&q, 3)};
        char *verdict = query_get_text(&q, 2, NULL), *first = query_get_text(&q, 4, NULL);
        for (size_t i = 0; verdict && i < ARRAY_LEN(verdict_names); i++)
            if (!strcmp(verdict, verdict_names[i])) out->verdict = (enum verdict)i;
        out->shown_first = first ? first[0] : 0;
        out->blind = query_get_int(&q, 5) != 0;
        out->spent_ms = query_get_int(&q, 6);
        free(verdict);
        free(first);
    }
    int rc = query_end(&q);
    store_unlock(s);
    if (!rc && !there) rc = err_set(e, ERR_NOT_FOUND, "there is no vote on %lld and %lld", (long long)a, (long long)b);
    return rc;
}
