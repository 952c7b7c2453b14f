/*
 * keys_parse.c - one escape sequence to a key, a key to the sequence readline knows, a key to its name.
 *
 * Knows the forms of xterm, tmux, screen, rxvt, the Linux console and kitty (CSI u), and xterm's modifyOtherKeys. Whatever the
 * terminal sends, the key is the same one: Ctrl-I is Tab everywhere, as it cannot be told apart on most.
 */
#include "ui/keys_priv.h"

#include <string.h>

enum { PARAMS_MAX = 8, PARAM_LIMIT = 1 << 24, CELL_MAX = 9999 };

/* The parameters of a sequence: "1;5" is {1, 5}; of "97:65;2:3" the second parts are kept too. 0 where none is written. */
struct params {
    char prefix; /* < = > ? or 0 */
    int n;
    int value[PARAMS_MAX], sub[PARAMS_MAX];
};

/* name, the number before ~ or 0, the letter or 0, what comes between ESC and the letter without modifiers */
static const struct {
    enum key_name name;
    int number;
    char letter;
    char intro;
} xterm_keys[] = {
    {NAMED_UP, 0, 'A', '['},  {NAMED_DOWN, 0, 'B', '['}, {NAMED_RIGHT, 0, 'C', '['},   {NAMED_LEFT, 0, 'D', '['}, {NAMED_HOME, 0, 'H', '['},
    {NAMED_END, 0, 'F', '['}, {NAMED_INSERT, 2, 0, '['}, {NAMED_DELETE, 3, 0, '['},    {NAMED_PGUP, 5, 0, '['},   {NAMED_PGDN, 6, 0, '['},
    {NAMED_F1, 0, 'P', 'O'},  {NAMED_F2, 0, 'Q', 'O'},   {NAMED_F3, 0, 'R', 'O'},      {NAMED_F4, 0, 'S', 'O'},   {NAMED_F5, 15, 0, '['},
    {NAMED_F6, 17, 0, '['},   {NAMED_F7, 18, 0, '['},    {NAMED_F8, 19, 0, '['},       {NAMED_F9, 20, 0, '['},    {NAMED_F10, 21, 0, '['},
    {NAMED_F11, 23, 0, '['},  {NAMED_F12, 24, 0, '['},   {NAMED_BACKTAB, 0, 'Z', '['},
};

/* Other numbers that mean the same keys. */
static const struct {
    enum key_name name;
    int number;
} more_numbers[] = {
    {NAMED_HOME, 1}, {NAMED_END, 4}, {NAMED_HOME, 7}, {NAMED_END, 8}, {NAMED_F1, 11}, {NAMED_F2, 12}, {NAMED_F3, 13}, {NAMED_F4, 14},
};

/* kitty's numbers of the keypad: 57399 to 57408 are the digits. */
static const struct {
    int number;
    enum key_name name;
    char text;
} kitty_keys[] = {
    {57409, NAMED_NONE, '.'}, {57410, NAMED_NONE, '/'}, {57411, NAMED_NONE, '*'}, {57412, NAMED_NONE, '-'}, {57413, NAMED_NONE, '+'},
    {57414, NAMED_ENTER, 0},  {57415, NAMED_NONE, '='}, {57417, NAMED_LEFT, 0},   {57418, NAMED_RIGHT, 0},  {57419, NAMED_UP, 0},
    {57420, NAMED_DOWN, 0},   {57421, NAMED_PGUP, 0},   {57422, NAMED_PGDN, 0},   {57423, NAMED_HOME, 0},   {57424, NAMED_END, 0},
    {57425, NAMED_INSERT, 0}, {57426, NAMED_DELETE, 0},
};

#define X(n, s) [NAMED_##n] = s,
static const char *const names[] = {[NAMED_NONE] = "", KEY_NAMES(X)};
#undef X

static bool named(struct key *out, enum key_name name, unsigned mods)
{
    if (name == NAMED_TAB && (mods & MOD_SHIFT)) {
        name = NAMED_BACKTAB;
        mods &= ~(unsigned)MOD_SHIFT;
    }
    *out = (struct key){.kind = KEY_NAMED_, .name = name, .mods = mods};
    return name != NAMED_NONE;
}

static bool text(struct key *out, uint32_t cp, unsigned mods)
{
    *out = (struct key){.kind = KEY_TEXT_, .cp = cp, .mods = mods};
    return true;
}

/* With Ctrl many characters are one key, as they give the same byte on most terminals. */
static bool ctrl_key(struct key *out, uint32_t cp, unsigned mods)
{
    unsigned rest = mods & ~(unsigned)MOD_CTRL;
    if (cp >= 'A' && cp <= 'Z') cp += 'a' - 'A';
    if (!(mods & MOD_SHIFT)) {
        if (cp == 'i') return named(out, NAMED_TAB, rest);
        if (cp == 'm') return named(out, NAMED_ENTER, rest);
        if (cp == 'h' || cp == '?') return named(out, NAMED_BACKSPACE, rest);
        if (cp == '[') return named(out, NAMED_ESC, rest);
    }
    if (cp == '@') cp = ' ';
    if (cp == '/') cp = '_';
    if (cp < 'a' || cp > 'z') mods &= ~(unsigned)MOD_SHIFT;
    return text(out, cp, mods);
}

bool key_of_cp(struct key *out, uint32_t cp, unsigned mods)
{
    if (cp == 27) return named(out, NAMED_ESC, mods);
    if (cp == 13) return named(out, NAMED_ENTER, mods);
    if (cp == 9) return named(out, NAMED_TAB, mods);
    if (cp == 127 || cp == 8) return named(out, NAMED_BACKSPACE, mods);
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000) || (cp >= 0x7f && cp < 0xa0)) return false;
    if (cp < 0x20) return ctrl_key(out, cp == 0 ? ' ' : cp <= 26 ? 'a' + cp - 1 : '@' + cp, mods | MOD_CTRL);
    if (mods & MOD_CTRL) return ctrl_key(out, cp, mods);
    if ((mods & MOD_SHIFT) && cp >= 'a' && cp <= 'z') cp -= 'a' - 'A';
    return text(out, cp, mods & ~(unsigned)MOD_SHIFT);
}

static void parse_params(struct params *out, const char *p, size_t n)
{
    *out = (struct params){0};
    size_t i = 0;
    if (i < n && p[i] >= '<' && p[i] <= '?') out->prefix = p[i++];
    if (i < n) out->n = 1;
    int *at = &out->value[0];
    int part = 0;
    for (; i < n; i++) {
        if (p[i] >= '0' && p[i] <= '9') {
            if (at && *at < PARAM_LIMIT) *at = *at * 10 + (p[i] - '0');
        } else if (p[i] == ';') {
            if (out->n < PARAMS_MAX)
                out->n++;
            else
                break;
            at = &out->value[out->n - 1];
            part = 0;
        } else if (p[i] == ':') {
            part++;
            at = part == 1 ? &out->sub[out->n - 1] : NULL;
        } else {
            out->prefix = p[i]; /* intermediates belong to no key */
        }
    }
}

/* xterm's modifier parameter: 1 plus bits. False for what is no press: a key's release, or Super, Hyper and Meta, which belong to
 * the desktop. */
static bool parse_mods(const struct params *p, int at, unsigned *mods)
{
    *mods = 0;
    if (at >= p->n) return true;
    if (p->sub[at] == 3) return false;
    int bits = p->value[at] > 0 ? p->value[at] - 1 : 0;
    if (bits & 1) *mods |= MOD_SHIFT;
    if (bits & 2) *mods |= MOD_ALT;
    if (bits & 4) *mods |= MOD_CTRL;
    return (bits & (8 | 16 | 32)) == 0;
}

static enum key_name name_of_number(int number)
{
    for (size_t i = 0; i < ARRAY_LEN(xterm_keys); i++)
        if (xterm_keys[i].number == number && number != 0) return xterm_keys[i].name;
    for (size_t i = 0; i < ARRAY_LEN(more_numbers); i++)
        if (more_numbers[i].number == number) return more_numbers[i].name;
    return NAMED_NONE;
}

static enum key_name name_of_letter(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(xterm_keys); i++)
        if (xterm_keys[i].letter == letter) return xterm_keys[i].name;
    return NAMED_NONE;
}

/* Terminals count cells from 1; what no screen has is cut. */
static int cell_number(int n)
{
    if (n < 1) return 0;
    return n > CELL_MAX ? CELL_MAX : n - 1;
}

static bool mouse_key(struct key *out, int button, int x, int y, bool release)
{
    *out = (struct key){.kind = KEY_MOUSE_, .x = cell_number(x), .y = cell_number(y)};
    if (button & 4) out->mods |= MOD_SHIFT;
    if (button & 8) out->mods |= MOD_ALT;
    if (button & 16) out->mods |= MOD_CTRL;
    if (button & 32) return false; /* motion */
    int which = button & ~(4 | 8 | 16);
    if (which == 64 || which == 65) {
        out->action = which == 64 ? MOUSE_WHEEL_UP : MOUSE_WHEEL_DOWN;
        return !release;
    }
    out->action = release ? MOUSE_RELEASE : MOUSE_PRESS;
    return which == 0;
}

bool key_of_old_mouse(struct key *out, const char p[3])
{
    int button = (unsigned char)p[0] - 32;
    bool release = (button & 3) == 3 && button < 64;
    return mouse_key(out, release ? button & ~3 : button, (unsigned char)p[1] - 32, (unsigned char)p[2] - 32, release);
}

static bool kitty_key(struct key *out, const struct params *p, unsigned mods)
{
    int number = p->value[0];
    if (number >= 57399 && number <= 57408) return key_of_cp(out, (uint32_t)(number - 57399 + '0'), mods);
    for (size_t i = 0; i < ARRAY_LEN(kitty_keys); i++) {
        if (kitty_keys[i].number != number) continue;
        if (kitty_keys[i].name != NAMED_NONE) return named(out, kitty_keys[i].name, mods);
        return key_of_cp(out, (uint32_t)kitty_keys[i].text, mods);
    }
    if (number == 0 || (number >= 57344 && number <= 63743)) return false; /* modifiers alone, media keys, F13 and up */
    if ((mods & MOD_SHIFT) && p->sub[0] > 0)
        return key_of_cp(out, (uint32_t)p->sub[0], mods & MOD_CTRL ? mods : mods & ~(unsigned)MOD_SHIFT);
    return key_of_cp(out, (uint32_t)number, mods);
}

static bool tilde_key(struct key *out, const struct params *p)
{
    unsigned mods;
    if (p->value[0] == 200 && p->n == 1) {
        *out = (struct key){.kind = KEY_PASTE_};
        return true;
    }
    if (p->value[0] == 27 && p->n == 3) return parse_mods(p, 1, &mods) && key_of_cp(out, (uint32_t)p->value[2], mods);
    return parse_mods(p, 1, &mods) && named(out, name_of_number(p->value[0]), mods);
}

bool key_of_csi(struct key *out, const char *p, size_t n)
{
    char final = p[n - 1];
    if (n == 2 && p[0] == '[') return final >= 'A' && final <= 'E' && named(out, (enum key_name)(NAMED_F1 + (final - 'A')), 0);
    struct params ps;
    unsigned mods;
    parse_params(&ps, p, n - 1);
    if (ps.prefix == '<' && (final == 'M' || final == 'm'))
        return ps.n == 3 && mouse_key(out, ps.value[0], ps.value[1], ps.value[2], final == 'm');
    if (ps.prefix) return false;
    switch (final) {
    case '~': return tilde_key(out, &ps);
    case '$': return named(out, name_of_number(ps.value[0]), MOD_SHIFT); /* rxvt */
    case '^': return ps.n == 1 && named(out, name_of_number(ps.value[0]), MOD_CTRL);
    case '@': return ps.n == 1 && named(out, name_of_number(ps.value[0]), MOD_CTRL | MOD_SHIFT);
    case 'a':
    case 'b':
    case 'c':
    case 'd': return ps.n == 0 && named(out, name_of_letter((char)(final - 'a' + 'A')), MOD_SHIFT);
    case 'u': return parse_mods(&ps, 1, &mods) && kitty_key(out, &ps, mods);
    case 'I': return ps.n == 0 && named(out, NAMED_FOCUS_IN, 0);
    case 'O': return ps.n == 0 && named(out, NAMED_FOCUS_OUT, 0);
    case 'R': /* also the reply to a position query */
        if (ps.value[0] > 1) return false;
        break;
    default: break;
    }
    if (!parse_mods(&ps, 1, &mods)) return false;
    if (final == 'Z') mods &= ~(unsigned)MOD_SHIFT;
    return named(out, name_of_letter(final), mods);
}

bool key_of_ss3(struct key *out, const char *p, size_t n)
{
    static const char keypad[] = "*+,-./0123456789"; /* j to y */
    char final = p[n - 1];
    struct params ps;
    unsigned mods;
    parse_params(&ps, p, n - 1);
    /* Some write the modifier as the only parameter. */
    if (ps.n == 1) ps = (struct params){.n = 2, .value = {1, ps.value[0]}};
    if (!parse_mods(&ps, 1, &mods)) return false;
    if (final >= 'a' && final <= 'd') return named(out, name_of_letter((char)(final - 'a' + 'A')), MOD_CTRL); /* rxvt */
    if (final >= 'j' && final <= 'y') return key_of_cp(out, (uint32_t)keypad[final - 'j'], mods);
    if (final == 'M') return named(out, NAMED_ENTER, mods);
    if (final == 'I') return named(out, NAMED_TAB, mods);
    if (final == 'X') return key_of_cp(out, '=', mods);
    if (final == ' ') return key_of_cp(out, ' ', mods);
    return final != 'Z' && named(out, name_of_letter(final), mods);
}

static char plain_byte(enum key_name name)
{
    switch (name) {
    case NAMED_ENTER: return '\r';
    case NAMED_TAB: return '\t';
    case NAMED_BACKSPACE: return 0x7f;
    case NAMED_ESC: return 27;
    default: return 0;
    }
}

static size_t named_bytes(const struct key *k, char out[KEY_BYTES_MAX])
{
    char plain = plain_byte(k->name);
    if (plain) {
        size_t n = 0;
        if (k->mods & MOD_ALT) out[n++] = 27;
        out[n++] = plain;
        return n;
    }
    int m = 1 + (k->mods & MOD_SHIFT ? 1 : 0) + (k->mods & MOD_ALT ? 2 : 0) + (k->mods & MOD_CTRL ? 4 : 0);
    for (size_t i = 0; i < ARRAY_LEN(xterm_keys); i++) {
        if (xterm_keys[i].name != k->name) continue;
        int n;
        if (xterm_keys[i].number && m == 1)
            n = snprintf(out, KEY_BYTES_MAX, "\033[%d~", xterm_keys[i].number);
        else if (xterm_keys[i].number)
            n = snprintf(out, KEY_BYTES_MAX, "\033[%d;%d~", xterm_keys[i].number, m);
        else if (m == 1)
            n = snprintf(out, KEY_BYTES_MAX, "\033%c%c", xterm_keys[i].intro, xterm_keys[i].letter);
        else
            n = snprintf(out, KEY_BYTES_MAX, "\033[1;%d%c", m, xterm_keys[i].letter);
        return n > 0 && n < KEY_BYTES_MAX ? (size_t)n : 0;
    }
    return 0;
}

size_t key_write_bytes(const struct key *k, char out[KEY_BYTES_MAX])
{
    if (k->kind == KEY_NAMED_) return named_bytes(k, out);
    if (k->kind != KEY_TEXT_) return 0;
    size_t n = 0;
    if (k->mods & MOD_ALT) out[n++] = 27;
    if (!(k->mods & MOD_CTRL)) return n + utf8_encode(k->cp, out + n);
    if (k->cp == ' ')
        out[n] = 0;
    else if (k->cp >= 'a' && k->cp <= 'z')
        out[n] = (char)(k->cp - 'a' + 1);
    else if (k->cp >= '\\' && k->cp <= '_')
        out[n] = (char)(k->cp - '@');
    else
        return 0; /* a key that only newer terminals can tell */
    return n + 1;
}

void key_format(const struct key *k, struct str *out)
{
    unsigned mods = k->mods;
    uint32_t cp = k->cp;
    if (k->kind == KEY_PASTE_) {
        str_add(out, "Paste");
        return;
    }
    /* Letters with a modifier are written large, as on the keys; then Shift has to be named. */
    if (k->kind == KEY_TEXT_ && mods != 0) {
        if (cp >= 'A' && cp <= 'Z') mods |= MOD_SHIFT;
        if (cp >= 'a' && cp <= 'z') cp -= 'a' - 'A';
    }
    if (mods & MOD_CTRL) str_add(out, "Ctrl-");
    if (mods & MOD_ALT) str_add(out, "Alt-");
    if (mods & MOD_SHIFT) str_add(out, "Shift-");
    if (k->kind == KEY_MOUSE_) {
        static const char *const actions[] = {"Press", "Release", "WheelUp", "WheelDown"};
        str_add(out, actions[k->action]);
    } else if (k->kind == KEY_NAMED_) {
        str_add(out, (size_t)k->name < ARRAY_LEN(names) ? names[k->name] : "");
    } else if (cp == ' ') {
        str_add(out, "Space");
    } else {
        str_add_codepoint(out, cp);
    }
}
