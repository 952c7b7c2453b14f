/* distill_pick.c - which of a teacher's replies are worth learning: right ones that ended by themselves, of each question a few that are short and go
 * different ways (rejection sampling); and pairs of a short right one and one that is not. */
#include "cli/distill.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool distill_is_good(const struct distill_reply *r)
{
    return r->right && r->whole && r->thought[0] && r->text[0];
}

void distill_way(const char *thought, struct str *out)
{
    bool numbers = strpbrk(thought, "0123456789") != NULL, gap = false;

    for (const unsigned char *p = (const unsigned char *)thought; *p; p++) {
        bool part = numbers ? isdigit(*p) || strchr("-+*/=", *p) : isalnum(*p) || *p >= 0x80;
        /* 1 2 is another way than 12, and 2+3 the same as 2 + 3 */
        if (part && gap && out->len && (!numbers || (isdigit(*p) && isdigit((unsigned char)out->data[out->len - 1])))) str_add_char(out, ' ');
        if (part) str_add_char(out, numbers ? (char)*p : (char)tolower(*p));
        gap = !part;
    }
}

/* Whether a comes before b: shorter, or sampled earlier. */
static bool before(const struct distill_reply *a, const struct distill_reply *b)
{
    return a->tokens != b->tokens ? a->tokens < b->tokens : a->sample < b->sample;
}

int distill_pick(const struct distill_reply *replies, size_t n, int most, size_t *out)
{
    struct str *ways = calloc(most > 0 ? (size_t)most : 1, sizeof *ways);
    bool *seen = calloc(n ? n : 1, sizeof *seen), whole = ways && seen;
    int kept = 0;

    while (whole && kept < most) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!seen[i] && distill_is_good(&replies[i]) && (best == n || before(&replies[i], &replies[best]))) best = i;
        if (best == n) break;
        seen[best] = true;
        str_clear(&ways[kept]);
        distill_way(replies[best].thought, &ways[kept]);
        bool known = false;
        for (int k = 0; k < kept; k++) known = known || !strcmp(str_cstr(&ways[k]), str_cstr(&ways[kept]));
        whole = str_ok(&ways[kept]);
        if (whole && !known) out[kept++] = best;
    }
    for (int k = 0; ways && k < most; k++) str_release(&ways[k]);
    free(ways);
    free(seen);
    return whole ? kept : -1;
}

bool distill_pair(const struct distill_reply *replies, size_t n, size_t *chosen, size_t *rejected)
{
    *chosen = *rejected = n;
    for (size_t i = 0; i < n; i++)
        if (distill_is_good(&replies[i]) && (*chosen == n || before(&replies[i], &replies[*chosen]))) *chosen = i;
    if (*chosen == n) return false;
    /* nothing is to be told of a reply that says nothing */
    for (size_t i = n; i-- > 0;)
        if (!replies[i].right && replies[i].thought[0] && replies[i].text[0]) *rejected = i;
    for (size_t i = n; *rejected == n && i-- > 0;)
        if (distill_is_good(&replies[i]) && replies[i].tokens > 2 * replies[*chosen].tokens) *rejected = i;
    return *rejected < n;
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static json_t *message(const struct distill_reply *r)
{
    return json_pack("{s:s, s:s, s:s}", "role", "assistant", "reasoning_content", r->thought, "content", r->text);
}

static int add_line(struct str *out, json_t *o, struct err *e)
{
    char *text = o ? json_write(o, JSON_COMPACT) : NULL;

    if (text) str_addf(out, "%s\n", text);
    bool good = text && str_ok(out);
    free(text);
    json_decref(o);
    return good ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int add_kept(struct str *out, const struct eval_questions *q, size_t question, const struct distill_reply *r, struct err *e)
{
    const struct question *one = &q->items[question].q;
    json_t *o = json_pack("{s:[{s:s, s:s}, o], s:s, s:s}", "messages", "role", "user", "content", one->text, message(r), "answer", one->answer,
                          "family", one->family ? one->family : q->groups[q->items[question].group].name);

    if (o && one->has_check) json_object_set_new(o, "check", json_string(task_check_name(one->check)));
    if (o && one->has_check && one->check == TASK_LETTERS) json_object_set_new(o, "spelled", json_string(one->answer));
    return add_line(out, o, e);
}

static int add_pair(struct str *out, const struct eval_questions *q, size_t question, const struct distill_reply *a, const struct distill_reply *b, struct err *e)
{
    return add_line(out, json_pack("{s:[{s:s, s:s}], s:[o], s:[o]}", "prompt", "role", "user", "content", q->items[question].q.text, "chosen", message(a),
                                   "rejected", message(b)), e);
}

/* What comes of the n replies to one question. */
static int choose(struct str *data, struct str *pairs, const struct eval_questions *q, const struct distill_reply *r, size_t n, int most,
                  struct distill_counts *c, struct err *e)
{
    size_t *places = calloc((size_t)most + 1, sizeof *places), chosen, rejected;
    int kept = places ? distill_pick(r, n, most, places) : -1, rc = kept < 0 ? err_set(e, ERR_NOMEM, "out of memory") : 0;

    for (int k = 0; k < kept && !rc; k++) rc = add_kept(data, q, r->question, &r[places[k]], e);
    free(places);
    c->questions++;
    c->answered += kept > 0;
    c->kept += kept > 0 ? (size_t)kept : 0;
    for (size_t i = 0; i < n; i++) {
        c->replies++;
        c->right += r[i].right;
        c->good += distill_is_good(&r[i]);
    }
    if (rc || !distill_pair(r, n, &chosen, &rejected)) return rc;
    c->pairs++;
    return add_pair(pairs, q, r->question, &r[chosen], &r[rejected], e);
}

int distill_write(const char *data, const char *pairs, const struct eval_questions *q, const struct distill_replies *r, int most, struct distill_counts *counts,
                  struct err *e)
{
    struct str kept = STR_EMPTY, compared = STR_EMPTY;
    int rc = 0;

    *counts = (struct distill_counts){0};
    for (size_t at = 0, n; at < r->n && !rc; at += n) {
        for (n = 1; at + n < r->n && r->items[at + n].question == r->items[at].question;) n++;
        rc = choose(&kept, &compared, q, &r->items[at], n, most, counts, e);
    }
    if (!rc && data) rc = file_write_atomic(data, str_cstr(&kept), kept.len, e);
    if (!rc && pairs) rc = file_write_atomic(pairs, str_cstr(&compared), compared.len, e);
    str_release(&kept);
    str_release(&compared);
    return rc;
}
