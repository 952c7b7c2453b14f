/*
 * utf8.c - strict UTF-8, terminal columns and grapheme clusters.
 *
 * Decoding follows Unicode 15, tables 3-7 and 3-8: an ill-formed sequence is consumed up to its maximal subpart, so that
 * a reader that cuts the bytes anywhere and holds back what could still be completed sees the same replacements.
 *
 * Widths come from utf8proc. Where its 2.8 differs from what terminals and the C library (which ncurses asks) do, the table
 * below and the rule for spacing marks correct it. Ambiguous characters are narrow. No width depends on the locale.
 */
#include "base/base.h"

#include <limits.h>
#include <string.h>
#include <utf8proc.h>

/* Widths that utf8proc 2.8 (Unicode 15) does not know or sees otherwise than terminals. Ascending. */
static const struct {
    uint32_t from, to;
    int columns;
} width_overrides[] = {
    {0x0600, 0x0605, 1},   /* Arabic number signs: format characters that are drawn */
    {0x06DD, 0x06DD, 1},   /* Arabic end of ayah */
    {0x070F, 0x070F, 1},   /* Syriac abbreviation mark */
    {0x0890, 0x0891, 1},   /* Arabic pound and piastre marks */
    {0x08E2, 0x08E2, 1},   /* Arabic disputed end of ayah */
    {0x1160, 0x11FF, 0},   /* Hangul vowels and finals: drawn into the cells of the initial */
    {0x3248, 0x324F, 2},   /* ambiguous by the standard, but wide wherever the C library is asked */
    {0x4DC0, 0x4DFF, 2},   /* hexagrams, wide since Unicode 16 and always so in the C library */
    {0xD7B0, 0xD7C6, 0},   /* more Hangul vowels */
    {0xD7CB, 0xD7FB, 0},   /* and finals */
    {0x110BD, 0x110BD, 1}, /* Kaithi number signs */
    {0x110CD, 0x110CD, 1}, /* above */
    {0x1F6D8, 0x1F6D8, 2}, /* emoji of Unicode 17 */
    {0x1FA70, 0x1FAFF, 2}, /* a block of emoji only, filled a few a year */
};

/* One sequence of n > 0 bytes. Returns the bytes consumed; *cut tells that the sequence is well-formed as far as it goes and
 * ends with the bytes given. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *cp, bool *cut)
{
    unsigned char lead = p[0], low = 0x80, high = 0xBF; /* bounds of the second byte */
    size_t len;
    uint32_t value;

    *cut = false;
    *cp = UTF8_INVALID;
    if (lead < 0x80) {
        *cp = lead;
        return 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
        len = 2;
        value = lead & 0x1Fu;
    } else if ((lead & 0xF0) == 0xE0) {
        len = 3;
        value = lead & 0x0Fu;
        if (lead == 0xE0) low = 0xA0;  /* shorter would do */
        if (lead == 0xED) high = 0x9F; /* surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        len = 4;
        value = lead & 0x07u;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F; /* above U+10FFFF */
    } else {
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        if (i == n) {
            *cut = true;
            return n;
        }
        if (p[i] < low || p[i] > high) return i;
        value = value << 6 | (p[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *cp = value;
    return len;
}

size_t utf8_decode(const char *p, size_t n, uint32_t *cp)
{
    bool cut;
    return decode((const unsigned char *)p, n, cp, &cut);
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) cp = 0xFFFD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t utf8_complete_prefix(const char *p, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)p;

    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char b = bytes[n - back];
        if ((b & 0xC0) == 0x80) continue;
        uint32_t cp;
        bool cut;
        decode(bytes + n - back, back, &cp, &cut);
        return cut ? n - back : n;
    }
    return n;
}

bool utf8_is_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode(p + i, n - i, &cp);
        if (cp == UTF8_INVALID) return false;
    }
    return true;
}

void str_add_text(struct str *s, const char *p, size_t n)
{
    size_t plain = 0; /* start of the run that is copied unchanged */

    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t used = utf8_decode(p + i, n - i, &cp);
        if (cp == UTF8_INVALID) {
            str_add_bytes(s, p + plain, i - plain);
            str_add_codepoint(s, 0xFFFD);
            plain = i + used;
        }
        i += used;
    }
    if (plain < n) str_add_bytes(s, p + plain, n - plain);
}

void str_add_text_byte(struct str *s, char c)
{
    size_t whole = utf8_complete_prefix(str_cstr(s), s->len), n = s->len - whole;
    char joint[4];
    uint32_t cp = 0;

    if (n) memcpy(joint, s->data + whole, n);
    joint[n] = c;
    bool goes_on = utf8_complete_prefix(joint, n + 1) == 0;
    if (!goes_on && utf8_decode(joint, n + 1, &cp) == n) {
        /* the new byte is not part of the sequence that it breaks: it is looked at on its own */
        str_end_text(s);
        str_add_text_byte(s, c);
    } else if (cp == UTF8_INVALID) {
        str_add_codepoint(s, 0xFFFD);
    } else {
        str_add_char(s, c);
    }
}

void str_end_text(struct str *s)
{
    size_t whole = utf8_complete_prefix(str_cstr(s), s->len);

    if (whole == s->len) return;
    str_truncate(s, whole);
    str_add_codepoint(s, 0xFFFD);
}

int utf8_width(uint32_t cp)
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) return 1;
    if (cp >= 0x20 && cp < 0x7F) return 1;
    size_t low = 0, high = ARRAY_LEN(width_overrides);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp < width_overrides[mid].from) {
            high = mid;
        } else if (cp > width_overrides[mid].to) {
            low = mid + 1;
        } else {
            return width_overrides[mid].columns;
        }
    }
    if (utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_MC) return 1;
    int w = utf8proc_charwidth((utf8proc_int32_t)cp);
    return w < 0 ? 0 : w > 2 ? 2 : w;
}

static bool is_regional(uint32_t cp)
{
    return cp >= 0x1F1E6 && cp <= 0x1F1FF;
}

static bool is_pictographic(uint32_t cp)
{
    return utf8proc_get_property((utf8proc_int32_t)cp)->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

static bool is_keycap_base(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || cp == '#' || cp == '*';
}

size_t utf8_grapheme(const char *p, size_t n, int *columns)
{
    uint32_t prev, next;
    utf8proc_int32_t state = 0;
    size_t used = utf8_decode(p, n, &prev);
    int width = utf8_width(prev);

    if (prev == UTF8_INVALID) {
        if (columns) *columns = 1;
        return 1;
    }
    uint32_t base = prev;
    bool picture = is_pictographic(base);
    while (used < n) {
        size_t step = utf8_decode(p + used, n - used, &next);
        if (next == UTF8_INVALID) break;
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)prev, (utf8proc_int32_t)next, &state)) break;
        int wider = width + utf8_width(next);
        if (picture && (next == 0xFE0F || prev == 0x200D || (next >= 0x1F3FB && next <= 0x1F3FF))) {
            wider = 2; /* one picture, however many code points it takes */
        } else if (is_keycap_base(base) && next == 0xFE0F) {
            wider = 2;
        } else if (is_regional(base) && is_regional(next)) {
            wider = 2;
        }
        /* terminals give every spacing character its own cells: a cluster that would need three ends here */
        if (wider > 2) break;
        width = wider;
        used += step;
        prev = next;
    }
    if (columns) *columns = width;
    return used;
}

int utf8_columns(const char *p, size_t n)
{
    int total = 0;

    for (size_t i = 0; i < n;) {
        int columns;
        i += utf8_grapheme(p + i, n - i, &columns);
        if (total > INT_MAX - columns) return INT_MAX;
        total += columns;
    }
    return total;
}
