/*
 * keys.c - bytes from the terminal to keys.
 *
 * A state machine over a buffer: each step consumes a whole key, drops something that is none, or asks for more bytes. No step looks
 * at where a read ended, so that the keys do not depend on how the bytes were cut.
 *
 * Invariants
 *   - No part of an escape sequence, known or not, complete or overlong, comes out as text.
 *   - What is held is bounded: SEQUENCE_MAX bytes of a sequence, PASTE_MAX of a paste.
 *   - The bytes of a bracketed paste are text, whatever they are, up to its end mark.
 *
 * Replies of the terminal (OSC, DCS) are dropped: nothing here asks for any.
 */
#include "ui/keys_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAIT_ESC = 25,       /* ms: a lone Esc, or the first byte of a sequence? */
    WAIT_INTRO = 100,    /* Alt-[ and Alt-O, or the first two? Rare keys, and slow lines cut here too */
    WAIT_SEQUENCE = 500, /* the rest of something that has begun */
    WAIT_PASTE = 2000,
    SEQUENCE_MAX = 128,
    PASTE_MAX = 16 << 20,
};

static const char paste_end[] = "\033[201~";
#define PASTE_END_LEN (sizeof(paste_end) - 1)

enum mode { MODE_KEYS, MODE_PASTE, MODE_SKIP_CSI, MODE_SKIP_STRING };
enum step { STEP_KEY, STEP_DROP, STEP_MORE };

struct key_decoder {
    enum mode mode;
    struct str in; /* bytes not yet used are [pos, len) */
    size_t pos;
    struct str paste;
    bool handed_over; /* the paste so far was a key: what comes is another piece */
    int wait_ms;
    char bytes[KEY_BYTES_MAX];
};

int key_decoder_new(struct key_decoder **out, struct err *e)
{
    *out = calloc(1, sizeof(**out));
    if (!*out) return err_set(e, ERR_NOMEM, "no memory for the keyboard");
    return ERR_OK;
}

void key_decoder_free(struct key_decoder *d)
{
    if (!d) return;
    str_release(&d->in);
    str_release(&d->paste);
    free(d);
}

void key_decoder_feed(struct key_decoder *d, const char *bytes, size_t n)
{
    if (d->pos > 0) {
        str_erase(&d->in, 0, d->pos);
        d->pos = 0;
    }
    str_add_bytes(&d->in, bytes, n);
    d->in.failed = false; /* without memory these keys are lost; those after them need not be */
}

static enum step use(struct key_decoder *d, size_t n, enum step s)
{
    d->pos += n;
    return s;
}

static enum step more(struct key_decoder *d, int wait_ms)
{
    d->wait_ms = wait_ms;
    return STEP_MORE;
}

static enum step use_key(struct key_decoder *d, size_t n, bool is_key, bool alt, struct key *out)
{
    if (is_key && alt) out->mods |= MOD_ALT;
    return use(d, n, is_key ? STEP_KEY : STEP_DROP);
}

/* A key of one byte, or of one UTF-8 sequence, at p[0, n); `before` bytes in front of it are used with it. */
static enum step step_plain(struct key_decoder *d, const char *p, size_t n, size_t before, bool alt, bool timed_out, struct key *out)
{
    unsigned char c = (unsigned char)p[0];
    if (c < 0x20 || c == 0x7f) {
        static const char controls[] = " abcdefghijklmnopqrstuvwxyz[\\]^_";
        uint32_t cp = c == 0x7f ? 0x7f : (uint32_t)controls[c];
        return use_key(d, before + 1, key_of_cp(out, cp, c == 0x7f ? 0 : MOD_CTRL), alt, out);
    }
    if (c < 0x80) return use_key(d, before + 1, key_of_cp(out, c, 0), alt, out);
    uint32_t cp;
    size_t k = 1;
    if (utf8_complete_prefix(p, n < 4 ? n : 4) == 0) {
        if (!timed_out) return more(d, WAIT_SEQUENCE);
        cp = UTF8_INVALID;
    } else {
        k = utf8_decode(p, n, &cp);
    }
    if (cp == UTF8_INVALID || cp < 0xa0) cp = 0xfffd; /* C1 controls are no text either */
    return use_key(d, before + k, key_of_cp(out, cp, 0), alt, out);
}

/* At ESC [; `before` is 1 when another ESC stands in front, which means Alt. */
static enum step step_csi(struct key_decoder *d, const char *p, size_t n, size_t before, bool timed_out, struct key *out)
{
    bool alt = before > 0;
    size_t i = 2;
    if (n > 2 && p[2] == '[') i = 3; /* the Linux console: ESC [ [ A */
    bool digits = i == 2;
    for (; i < n && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x40; i++) {
        if (i == SEQUENCE_MAX) {
            d->mode = MODE_SKIP_CSI;
            return use(d, before + i, STEP_DROP);
        }
        if (p[i] == '$' && digits && i > 2) break; /* rxvt ends Shift sequences with it */
        digits = digits && p[i] >= '0' && p[i] <= '9';
    }
    if (i == n) {
        if (!timed_out) return more(d, n == 2 ? WAIT_INTRO : WAIT_SEQUENCE);
        if (n > 2) return use(d, before + n, STEP_DROP);
        return use_key(d, before + 2, key_of_cp(out, '[', MOD_ALT), alt, out);
    }
    unsigned char final = (unsigned char)p[i];
    if (final != '$' && (final < 0x40 || final > 0x7e)) { /* broken off: what broke it is a key of its own */
        if (i > 2) return use(d, before + i, STEP_DROP);
        return use_key(d, before + 2, key_of_cp(out, '[', MOD_ALT), alt, out);
    }
    if (final == 'M' && i == 2) {
        size_t k = 3;
        while (k < n && k < 6 && (unsigned char)p[k] >= 0x20) k++;
        if (k == n && k < 6 && !timed_out) return more(d, WAIT_SEQUENCE);
        return use_key(d, before + k, k == 6 && key_of_old_mouse(out, p + 3), alt, out);
    }
    enum step s = use_key(d, before + i + 1, key_of_csi(out, p + 2, i - 1), alt, out);
    if (s == STEP_KEY && out->kind == KEY_PASTE_) {
        d->mode = MODE_PASTE;
        str_clear(&d->paste);
        return STEP_DROP;
    }
    return s;
}

/* At ESC O. */
static enum step step_ss3(struct key_decoder *d, const char *p, size_t n, size_t before, bool timed_out, struct key *out)
{
    bool alt = before > 0;
    size_t i = 2;
    while (i < n && i < 16 && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';')) i++;
    if (i == n) {
        if (!timed_out) return more(d, n == 2 ? WAIT_INTRO : WAIT_SEQUENCE);
        if (n > 2) return use(d, before + n, STEP_DROP);
    } else if ((unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x7f) {
        return use_key(d, before + i + 1, key_of_ss3(out, p + 2, i - 1), alt, out);
    } else if (i > 2) {
        return use(d, before + i, STEP_DROP);
    }
    return use_key(d, before + 2, key_of_cp(out, 'O', MOD_ALT), alt, out);
}

/* ESC ] and the like begin a string only if what follows looks like a terminal's reply; else it was Alt-]. */
static bool begins_string(char kind, char next)
{
    if (next == '\0') return false;
    if (kind == ']') return strchr("0123456789lLI", next) != NULL;
    if (kind == 'P') return strchr("0123456789!$>+|", next) != NULL;
    return kind == '_' && next == 'G';
}

static enum step step_escape(struct key_decoder *d, const char *p, size_t n, bool timed_out, struct key *out)
{
    if (n >= 3 && p[1] == '\033' && p[2] == '[') return step_csi(d, p + 1, n - 1, 1, timed_out, out);
    if (n >= 3 && p[1] == '\033' && p[2] == 'O') return step_ss3(d, p + 1, n - 1, 1, timed_out, out);
    if (n == 1 || (n == 2 && p[1] == '\033')) {
        if (!timed_out) return more(d, WAIT_ESC);
        return use_key(d, 1, key_of_cp(out, 27, 0), false, out);
    }
    switch (p[1]) {
    case '\033': return use_key(d, 1, key_of_cp(out, 27, 0), false, out);
    case '[': return step_csi(d, p, n, 0, timed_out, out);
    case 'O': return step_ss3(d, p, n, 0, timed_out, out);
    case ']':
    case 'P':
    case '_':
        if (n == 2 && !timed_out) return more(d, WAIT_INTRO);
        if (n > 2 && begins_string(p[1], p[2])) {
            d->mode = MODE_SKIP_STRING;
            return use(d, 2, STEP_DROP);
        }
        break;
    default: break;
    }
    return step_plain(d, p + 1, n - 1, 1, true, timed_out, out);
}

/* The rest of a CSI sequence that was too long to be any. */
static enum step step_skip_csi(struct key_decoder *d, const char *p, size_t n, bool timed_out)
{
    size_t i = 0;
    while (i < n && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x40) i++;
    if (i == n && !timed_out) {
        d->pos += i;
        return more(d, WAIT_SEQUENCE);
    }
    d->mode = MODE_KEYS;
    return use(d, i < n && (unsigned char)p[i] >= 0x40 && (unsigned char)p[i] < 0x7f ? i + 1 : i, STEP_DROP);
}

/* A terminal's reply up to BEL or ESC \. Any other control ends it too, so that Ctrl-C gets through one that never ends. */
static enum step step_skip_string(struct key_decoder *d, const char *p, size_t n, bool timed_out)
{
    size_t i = 0;
    while (i < n && (unsigned char)p[i] >= 0x20) i++;
    if (i == n || (p[i] == '\033' && i + 1 == n)) {
        d->pos += i;
        if (!timed_out) return more(d, WAIT_SEQUENCE);
        d->mode = MODE_KEYS;
        return use(d, n - i, STEP_DROP);
    }
    d->mode = MODE_KEYS;
    if (p[i] == '\a')
        i++;
    else if (p[i] == '\033' && p[i + 1] == '\\')
        i += 2;
    return use(d, i, STEP_DROP);
}

static enum step paste_key(struct key_decoder *d, struct key *out)
{
    size_t n = d->paste.data ? text_normalise_newlines(d->paste.data, d->paste.len) : 0;
    *out = (struct key){.kind = KEY_PASTE_, .text = n > 0 ? d->paste.data : "", .text_len = n};
    d->handed_over = true;
    return STEP_KEY;
}

/* When the end does not come: what is there is handed over. Ctrl-C or Esc alone then leave the paste, or the keyboard would be
 * dead for good where a terminal lost the end mark. */
static enum step paste_timed_out(struct key_decoder *d, struct key *out)
{
    size_t held = d->in.len - d->pos;
    bool esc = d->paste.len == 0 && held == 1;
    bool ctrl_c = d->paste.len == 1 && d->paste.data[0] == 3 && held == 0;
    if (esc || ctrl_c) {
        d->mode = MODE_KEYS;
        str_clear(&d->paste);
        d->pos += held;
        return key_of_cp(out, esc ? 27 : 'c', esc ? 0 : MOD_CTRL) ? STEP_KEY : STEP_DROP;
    }
    if (d->paste.len == 0) return more(d, held > 0 ? WAIT_PASTE : -1);
    return paste_key(d, out);
}

static void paste_add(struct key_decoder *d, const char *p, size_t n)
{
    size_t room = PASTE_MAX - d->paste.len;
    str_add_bytes(&d->paste, p, n < room ? n : room);
}

static enum step step_paste(struct key_decoder *d, const char *p, size_t n, bool timed_out, struct key *out)
{
    size_t i = 0;
    while (i < n) {
        const char *esc = memchr(p + i, '\033', n - i);
        size_t at = esc ? (size_t)(esc - p) : n;
        paste_add(d, p + i, at - i);
        i = at;
        if (!esc) break;
        size_t left = n - i, compare = left < PASTE_END_LEN ? left : PASTE_END_LEN;
        if (memcmp(esc, paste_end, compare) != 0) {
            paste_add(d, esc, 1);
            i++;
        } else if (compare < PASTE_END_LEN) {
            break;
        } else {
            d->mode = MODE_KEYS;
            d->pos += i + PASTE_END_LEN;
            return paste_key(d, out);
        }
    }
    d->pos += i;
    if (timed_out) return paste_timed_out(d, out);
    return more(d, d->paste.len > 0 || i < n ? WAIT_PASTE : -1);
}

bool key_decoder_next(struct key_decoder *d, bool timed_out, struct key *out, int *wait_ms)
{
    if (d->handed_over) str_clear(&d->paste);
    d->handed_over = false;
    for (;;) {
        const char *p = str_cstr(&d->in) + d->pos;
        size_t n = d->in.len - d->pos;
        enum step s;
        *out = (struct key){0};
        switch (d->mode) {
        case MODE_PASTE: s = step_paste(d, p, n, timed_out, out); break;
        case MODE_SKIP_CSI: s = step_skip_csi(d, p, n, timed_out); break;
        case MODE_SKIP_STRING: s = step_skip_string(d, p, n, timed_out); break;
        default:
            s = n == 0 ? more(d, -1) : *p == '\033' ? step_escape(d, p, n, timed_out, out) : step_plain(d, p, n, 0, false, timed_out, out);
        }
        if (s == STEP_DROP) continue;
        *wait_ms = s == STEP_KEY ? 0 : d->wait_ms;
        if (s != STEP_KEY) return false;
        out->n_bytes = key_write_bytes(out, d->bytes);
        out->bytes = d->bytes;
        return true;
    }
}
