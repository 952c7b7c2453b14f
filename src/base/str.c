/*
 * str.c - growing byte strings and the two allocation helpers every folder uses.
 *
 * Invariant: data is NULL (then len and cap are 0), or holds cap bytes with len < cap and data[len] == 0.
 * A failed string never changes until str_clear, str_release or str_detach.
 */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

void str_release(struct str *s)
{
    if (!s) return;
    free(s->data);
    *s = STR_EMPTY;
}

void str_clear(struct str *s)
{
    s->len = 0;
    s->failed = false;
    if (s->data) s->data[0] = '\0';
}

bool str_reserve(struct str *s, size_t extra)
{
    size_t need;

    if (s->failed) return false;
    if (__builtin_add_overflow(s->len, extra, &need) || __builtin_add_overflow(need, 1, &need) || need > PTRDIFF_MAX) {
        s->failed = true;
        return false;
    }
    if (need <= s->cap) return true;
    size_t cap = s->cap < PTRDIFF_MAX / 2 ? s->cap * 2 : PTRDIFF_MAX;
    if (cap < 32) cap = 32;
    if (cap < need) cap = need;
    char *data = realloc(s->data, cap);
    if (!data && cap > need) data = realloc(s->data, cap = need);
    if (!data) {
        s->failed = true;
        return false;
    }
    if (!s->data) data[0] = '\0';
    s->data = data;
    s->cap = cap;
    return true;
}

void str_add(struct str *s, const char *text)
{
    str_add_bytes(s, text, strlen(text));
}

void str_add_bytes(struct str *s, const void *bytes, size_t n)
{
    if (n == 0 || !str_reserve(s, n)) return;
    memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = '\0';
}

void str_add_char(struct str *s, char c)
{
    str_add_bytes(s, &c, 1);
}

void str_add_codepoint(struct str *s, uint32_t cp)
{
    char bytes[4];
    size_t n = utf8_encode(cp, bytes);
    str_add_bytes(s, bytes, n);
}

void str_addf(struct str *s, const char *fmt, ...)
{
    va_list args, again;

    if (s->failed) return;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        s->failed = true;
    } else if (n > 0 && str_reserve(s, (size_t)n)) {
        vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
        s->len += (size_t)n;
    }
    va_end(again);
}

void str_truncate(struct str *s, size_t len)
{
    if (s->failed || len >= s->len) return;
    s->len = len;
    s->data[len] = '\0';
}

void str_erase(struct str *s, size_t at, size_t n)
{
    if (s->failed || at >= s->len) return;
    if (n > s->len - at) n = s->len - at;
    memmove(s->data + at, s->data + at + n, s->len - at - n + 1);
    s->len -= n;
}

bool str_insert(struct str *s, size_t at, const void *bytes, size_t n)
{
    if (s->failed) return false;
    if (n == 0) return true;
    if (at > s->len) at = s->len;
    if (!str_reserve(s, n)) return false;
    memmove(s->data + at + n, s->data + at, s->len - at + 1);
    memcpy(s->data + at, bytes, n);
    s->len += n;
    return true;
}

char *str_detach(struct str *s)
{
    char *data = NULL;

    if (!s->failed) {
        if (str_reserve(s, 0)) {
            data = s->data;
            s->data = NULL;
        }
    }
    str_release(s);
    return data;
}

char *mem_dup_text(const char *text, size_t n)
{
    if (n >= PTRDIFF_MAX) return NULL;
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    if (n > 0) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

bool mem_grow(void *items, size_t *cap, size_t need, size_t size)
{
    void *old, *grown;
    size_t want = *cap, bytes;

    if (need <= *cap) return true;
    if (__builtin_mul_overflow(want, 2, &want) || want < need) want = need;
    if (want < 8) want = 8;
    if (__builtin_mul_overflow(want, size, &bytes) || bytes > PTRDIFF_MAX) {
        want = need;
        if (__builtin_mul_overflow(want, size, &bytes) || bytes > PTRDIFF_MAX) return false;
    }
    memcpy(&old, items, sizeof(old));
    grown = realloc(old, bytes);
    if (!grown) return false;
    memcpy(items, &grown, sizeof(grown));
    *cap = want;
    /* cppcheck-suppress memleak ; *items has it now */
    return true;
}
