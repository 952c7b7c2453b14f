/*
 * flow.c - a text that may still grow, sanitised and wrapped when somebody looks at it.
 *
 * Invariant: what is in `clean` is what text_sanitize makes of all bytes that came, but for newlines left out at the start; the wrap covers
 * clean up to trailing newlines and blanks, which are held back because more text decides whether they are seen.
 */
#include "ui/transcript.h"

#include <stdlib.h>
#include <string.h>

void flow_init(struct flow *f, bool skip_newlines)
{
    *f = (struct flow){.skip_newlines = skip_newlines};
    text_sanitizer_init(&f->sanitizer, TEXT_SCREEN);
}

void flow_release(struct flow *f)
{
    free(f->raw);
    str_release(&f->clean);
    wrap_release(&f->wrap);
    *f = (struct flow){0};
}

void flow_adopt(struct flow *f, char *raw, size_t n)
{
    free(f->raw);
    f->raw = raw;
    f->raw_len = n;
}

void flow_feed(struct flow *f, const char *p, size_t n)
{
    f->fed += n;
    if (f->skip_newlines && !f->clean.len) {
        while (n && *p == '\n') p++, n--;
    }
    text_sanitizer_feed(&f->sanitizer, p, n, &f->clean);
}

void flow_end(struct flow *f)
{
    text_sanitizer_end(&f->sanitizer, &f->clean);
}

const struct str *flow_text(struct flow *f)
{
    if (f->raw) {
        char *raw = f->raw;
        f->raw = NULL;
        flow_feed(f, raw, f->raw_len);
        flow_end(f);
        free(raw);
    }
    return &f->clean;
}

bool flow_is_empty(const struct flow *f)
{
    return !f->clean.len && !(f->raw && f->raw_len);
}

void flow_drop_layout(struct flow *f)
{
    wrap_release(&f->wrap);
    f->width = 0;
}

const struct wrap *flow_wrap(struct flow *f, int width)
{
    const struct str *s = flow_text(f);
    size_t n = s->len;
    while (n && (s->data[n - 1] == '\n' || s->data[n - 1] == ' ')) n--;
    if (f->width == width && f->wrapped == n) return &f->wrap;
    bool grow = f->width == width && f->wrapped < n;
    if (!grow) f->wrap.n = 0;
    /* Without memory the lines so far are shown, and the next look tries again. */
    bool ok = grow ? wrap_grow(&f->wrap, str_cstr(s), n, width) : wrap_text(&f->wrap, str_cstr(s), n, width);
    f->width = ok ? width : 0;
    f->wrapped = n;
    return &f->wrap;
}

size_t wrap_line_at(const struct wrap *w, size_t at)
{
    size_t lo = 0, hi = w->n;
    while (lo + 1 < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (w->lines[mid].from <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
