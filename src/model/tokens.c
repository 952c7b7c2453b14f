/* tokens.c - growing lists of token ids. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

int tokens_push(struct tokens *t, int32_t id)
{
    if (t->n == t->cap && !mem_grow(&t->ids, &t->cap, t->n + 1, sizeof(*t->ids))) return ERR_NOMEM;
    t->ids[t->n++] = id;
    return ERR_OK;
}

int tokens_append(struct tokens *t, const int32_t *ids, size_t n)
{
    size_t need;
    if (n == 0) return ERR_OK;
    if (__builtin_add_overflow(t->n, n, &need) || (need > t->cap && !mem_grow(&t->ids, &t->cap, need, sizeof(*t->ids)))) return ERR_NOMEM;
    memcpy(t->ids + t->n, ids, n * sizeof(*ids));
    t->n = need;
    return ERR_OK;
}

void tokens_release(struct tokens *t)
{
    if (!t) return;
    free(t->ids);
    *t = (struct tokens){0};
}
