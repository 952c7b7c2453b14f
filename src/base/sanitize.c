/*
 * sanitize.c - the one gate between text from outside and a terminal or stream.
 *
 * Model output, files, pastes, metadata, database rows and error lines can hold bytes that terminals act on: escape
 * sequences, C1 controls (raw or as UTF-8), carriage returns that overwrite a line, direction overrides and invisible
 * characters that make a text read otherwise than it is. Each becomes a visible stand-in, one for one.
 *
 * What a code point becomes depends on itself alone, and bytes that a later one could still complete are held back: so the
 * result cannot depend on where the bytes were cut. Joiners (U+200C, U+200D) and right-to-left letters stay: scripts and
 * emoji need them, and they move nothing that is not theirs.
 */
#include "base/base.h"

#include <string.h>

/* Characters that are invisible or reorder what stands around them. Ascending. */
static const struct {
    uint32_t from, to;
} hidden[] = {
    {0x061C, 0x061C},   /* Arabic letter mark */
    {0x180E, 0x180E},   /* Mongolian vowel separator */
    {0x200B, 0x200B},   /* zero-width space */
    {0x200E, 0x200F},   /* left-to-right and right-to-left mark */
    {0x2028, 0x202E},   /* line and paragraph separator, embeddings, overrides */
    {0x2060, 0x206F},   /* word joiner, invisible operators, isolates, deprecated format characters */
    {0xFEFF, 0xFEFF},   /* byte order mark */
    {0xFFF9, 0xFFFB},   /* interlinear annotation */
    {0xE0000, 0xE007F}, /* tags */
};

static bool is_hidden(uint32_t cp)
{
    for (size_t i = 0; i < ARRAY_LEN(hidden) && cp >= hidden[i].from; i++) {
        if (cp <= hidden[i].to) return true;
    }
    return false;
}

/* The code point that is shown for a well-formed one. */
static uint32_t stand_in(uint32_t cp, enum text_sink sink)
{
    if (cp == '\n' || cp == '\t') return sink == TEXT_ONE_LINE ? ' ' : cp;
    if (cp < 0x20) return 0x2400 + cp;
    if (cp >= 0x80 && cp <= 0x9F) return 0xFFFD;
    if (sink == TEXT_PIPE) return cp;
    if (cp == 0x7F) return 0x2421;
    return is_hidden(cp) ? 0xFFFD : cp;
}

/* Ill-formed bytes. A pipe gets them as they are, but for those that some terminals take for C1 controls. */
static void add_ill_formed(const char *p, size_t n, enum text_sink sink, struct str *out)
{
    if (sink != TEXT_PIPE) {
        str_add_codepoint(out, 0xFFFD);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)p[i];
        if (b >= 0x80 && b <= 0x9F) {
            str_add_codepoint(out, 0xFFFD);
        } else {
            str_add_char(out, p[i]);
        }
    }
}

void text_sanitize(struct str *out, const char *p, size_t n, enum text_sink sink)
{
    size_t plain = 0; /* start of the run that is copied unchanged */

    if (n == 0) return; /* p may be NULL */
    for (size_t i = 0; i < n;) {
        unsigned char b = (unsigned char)p[i];
        if (b >= 0x20 && b < 0x7F) {
            i++;
            continue;
        }
        uint32_t cp;
        size_t used = utf8_decode(p + i, n - i, &cp);
        uint32_t shown = cp == UTF8_INVALID ? UTF8_INVALID : stand_in(cp, sink);
        if (shown == UTF8_INVALID || shown != cp) {
            str_add_bytes(out, p + plain, i - plain);
            if (shown == UTF8_INVALID) {
                add_ill_formed(p + i, used, sink, out);
            } else {
                str_add_codepoint(out, shown);
            }
            plain = i + used;
        }
        i += used;
    }
    if (plain < n) str_add_bytes(out, p + plain, n - plain);
}

void text_sanitizer_init(struct text_sanitizer *s, enum text_sink sink)
{
    *s = (struct text_sanitizer){.sink = sink};
}

void text_sanitizer_feed(struct text_sanitizer *s, const char *p, size_t n, struct str *out)
{
    char joint[4];

    if (n == 0) return; /* p may be NULL */
    /* Held bytes are a sequence that is well-formed so far: what comes next completes it, or shows that it never will be. */
    while (s->n_held > 0 && n > 0) {
        memcpy(joint, s->held, s->n_held);
        joint[s->n_held] = *p;
        size_t len = s->n_held + 1;
        size_t whole = utf8_complete_prefix(joint, len);
        if (whole == 0) {
            memcpy(s->held, joint, len);
            s->n_held = len;
            p++;
            n--;
            continue;
        }
        uint32_t cp;
        size_t used = utf8_decode(joint, len, &cp);
        text_sanitize(out, joint, used, s->sink);
        /* the new byte is not part of a sequence that it breaks: it is read again on its own */
        if (used == len) {
            p++;
            n--;
        }
        s->n_held = 0;
    }
    size_t whole = utf8_complete_prefix(p, n);
    text_sanitize(out, p, whole, s->sink);
    if (whole < n) {
        memcpy(s->held, p + whole, n - whole);
        s->n_held = n - whole;
    }
}

void text_sanitizer_end(struct text_sanitizer *s, struct str *out)
{
    text_sanitize(out, (const char *)s->held, s->n_held, s->sink);
    s->n_held = 0;
}

size_t text_normalise_newlines(char *p, size_t n)
{
    size_t to = 0;

    for (size_t from = 0; from < n; from++) {
        if (p[from] == '\r') {
            if (from + 1 < n && p[from + 1] == '\n') from++;
            p[to++] = '\n';
        } else {
            p[to++] = p[from];
        }
    }
    return to;
}
