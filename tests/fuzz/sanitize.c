/* Fuzz target: the sanitiser. First byte: where the bytes are cut. The result does not depend on it, has no control that the sink forbids, and what is clean stays. */
#include "fuzz.h"

static void look(const struct str *s, enum text_sink sink)
{
    for (size_t i = 0; i < s->len;) {
        uint32_t cp;
        size_t n = utf8_decode(s->data + i, s->len - i, &cp);
        unsigned char c = (unsigned char)s->data[i];
        check((c >= 0x20 || c == '\n' || c == '\t') && (c != 0x7f || sink == TEXT_PIPE));
        check(cp == UTF8_INVALID || cp < 0x80 || cp > 0x9f);
        if (sink != TEXT_PIPE) {
            check(cp != UTF8_INVALID);
            check(!(cp >= 0x202a && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069) && !(cp >= 0xe0000 && cp <= 0xe007f) && cp != 0x2028 && cp != 0x2029 && cp != 0x200e && cp != 0x200f);
        }
        check(sink != TEXT_ONE_LINE || (c != '\n' && c != '\t'));
        i += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    size_t step = 1u + data[0] % 7;
    const char *p = (const char *)data + 1;
    size--;
    for (int sink = TEXT_SCREEN; sink <= TEXT_ONE_LINE; sink++) {
        struct str whole = STR_EMPTY, pieces = STR_EMPTY, again = STR_EMPTY;
        struct text_sanitizer s;
        text_sanitize(&whole, p, size, (enum text_sink)sink);
        text_sanitizer_init(&s, (enum text_sink)sink);
        for (size_t at = 0; at < size; at += step) text_sanitizer_feed(&s, p + at, size - at < step ? size - at : step, &pieces);
        text_sanitizer_end(&s, &pieces);
        check(whole.len == pieces.len && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
        look(&whole, (enum text_sink)sink);
        text_sanitize(&again, str_cstr(&whole), whole.len, (enum text_sink)sink);
        check(again.len == whole.len && (!whole.len || !memcmp(again.data, whole.data, whole.len)));
        str_release(&whole);
        str_release(&pieces);
        str_release(&again);
    }
    return 0;
}
