/* Fuzz target: bytes of a terminal to keys. First byte: where they are cut. Between time-outs the keys do not depend on it. */
#include "fuzz.h"
#include "ui/term.h"

static void take(struct key_decoder *d, bool timed_out, struct str *out)
{
    struct key k;
    int wait;
    while (key_decoder_next(d, timed_out, &k, &wait)) {
        timed_out = false;
        check(k.kind != KEY_TEXT_ || (k.cp <= 0x10ffff && (k.cp >= 0x20 || (k.mods & MOD_CTRL))));
        str_addf(out, "%d %d %x %x %zu;", (int)k.kind, k.kind == KEY_NAMED_ ? (int)k.name : 0, k.kind == KEY_TEXT_ ? k.cp : 0, k.mods, k.kind == KEY_PASTE_ ? k.text_len : 0);
        if (k.kind == KEY_PASTE_) str_add_bytes(out, k.text, k.text_len);
        if (k.kind != KEY_PASTE_ && k.kind != KEY_MOUSE_) key_format(&k, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_decoder *d;
    struct str keys[2] = {0};
    if (!size) return 0;
    size_t steps[2] = {1u + data[0] % 5, size};
    for (int i = 0; i < 2; i++) {
        check(!key_decoder_new(&d, NULL));
        for (size_t at = 1; at < size; at += steps[i]) {
            key_decoder_feed(d, (const char *)data + at, size - at < steps[i] ? size - at : steps[i]);
            take(d, false, &keys[i]);
        }
        for (int k = 0; k < 4; k++) take(d, true, &keys[i]);
        key_decoder_free(d);
    }
    check(keys[0].len == keys[1].len && (!keys[0].len || !memcmp(keys[0].data, keys[1].data, keys[0].len)));
    str_release(&keys[0]);
    str_release(&keys[1]);
    return 0;
}
