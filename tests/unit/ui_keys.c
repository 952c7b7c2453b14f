/* The key decoder: every form of every key, and that no sequence, whole, cut or hostile, comes out as text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ui/term.h"

static struct key_decoder *d;

static int before(void **state)
{
    (void)state;
    return key_decoder_new(&d, NULL);
}

static int after(void **state)
{
    (void)state;
    key_decoder_free(d);
    return 0;
}

/* Appends a key as text: its name, what readline gets, a paste's content. */
static void describe(const struct key *k, struct str *out)
{
    if (out->len > 0) str_add_char(out, ' ');
    key_format(k, out);
    if (k->kind == KEY_PASTE_) {
        str_add_char(out, '<');
        str_add_bytes(out, k->text, k->text_len);
        str_add_char(out, '>');
    }
    if (k->kind == KEY_MOUSE_) str_addf(out, "@%d,%d", k->x, k->y);
}

static void drain(struct str *out, bool timed_out, int *wait)
{
    struct key k;
    while (key_decoder_next(d, timed_out, &k, wait)) describe(&k, out);
}

/* All bytes at once, then silence until nothing is held. */
static void decode(const char *bytes, size_t n, struct str *out)
{
    int wait = 0;
    key_decoder_feed(d, bytes, n);
    drain(out, false, &wait);
    for (int i = 0; wait >= 0 && i < 10; i++) drain(out, true, &wait);
    assert_int_equal(wait, -1);
}

static void expect(const char *bytes, size_t n, const char *keys)
{
    struct str s = STR_EMPTY;
    decode(bytes, n, &s);
    if (strcmp(str_cstr(&s), keys) != 0) {
        struct str shown = STR_EMPTY;
        text_sanitize(&shown, bytes, n, TEXT_ONE_LINE);
        fail_msg("%s gave [%s], not [%s]", str_cstr(&shown), str_cstr(&s), keys);
    }
    str_release(&s);
}

#define EXPECT(bytes, keys) expect(bytes, sizeof(bytes) - 1, keys)

static void plain_keys(void **state)
{
    (void)state;
    EXPECT("aZ5 ~", "a Z 5 Space ~");
    EXPECT("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", "\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
    EXPECT("\r\n\t\x7f\x08", "Enter Ctrl-J Tab Backspace Backspace");
    EXPECT("\x00\x01\x0f\x1a\x1c\x1d\x1e\x1f", "Ctrl-Space Ctrl-A Ctrl-O Ctrl-Z Ctrl-\\ Ctrl-] Ctrl-^ Ctrl-_");
    EXPECT("\xff\xc3(\xe6\x97\xed\xa0\x80\xc2\x9b",
           "\xef\xbf\xbd \xef\xbf\xbd ( \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd");
}

static void escape_and_alt(void **state)
{
    (void)state;
    EXPECT("\033", "Esc");
    EXPECT("\033\033", "Esc Esc");
    EXPECT("\033x", "Alt-X");
    EXPECT("\033X", "Alt-Shift-X");
    EXPECT("\033\xc3\xa9", "Alt-\xc3\xa9");
    EXPECT("\033\r", "Alt-Enter");
    EXPECT("\033\n", "Ctrl-Alt-J");
    EXPECT("\033\x7f\033\t\033\x03", "Alt-Backspace Alt-Tab Ctrl-Alt-C");
    EXPECT("\033[", "Alt-[");
    EXPECT("\033O", "Alt-Shift-O");
    EXPECT("\033]\033P\033_", "Alt-] Alt-Shift-P Alt-_");
    EXPECT("\033pa\033Pa", "Alt-P a Alt-Shift-P a");
    EXPECT("\033 ", "Alt-Space");
    EXPECT("\033\033x", "Esc Alt-X");
}

static void named_keys(void **state)
{
    (void)state;
    EXPECT("\033[A\033[B\033[C\033[D\033[H\033[F", "Up Down Right Left Home End");
    EXPECT("\033OA\033OB\033OC\033OD\033OH\033OF", "Up Down Right Left Home End");
    EXPECT("\033[1~\033[2~\033[3~\033[4~\033[5~\033[6~\033[7~\033[8~", "Home Insert Delete End PageUp PageDown Home End");
    EXPECT("\033OP\033OQ\033OR\033OS\033[15~\033[17~\033[18~\033[19~\033[20~\033[21~\033[23~\033[24~",
           "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12");
    EXPECT("\033[11~\033[12~\033[13~\033[14~", "F1 F2 F3 F4");
    EXPECT("\033[[A\033[[B\033[[C\033[[D\033[[E", "F1 F2 F3 F4 F5");
    EXPECT("\033[Z\033[1;2Z", "Shift-Tab Shift-Tab");
    EXPECT("\033[I\033[O", "FocusIn FocusOut");
    EXPECT("\033OM\033Ok\033Om\033Op\033Oy\033OX", "Enter + - 0 9 =");
}

static void modified_keys(void **state)
{
    (void)state;
    EXPECT("\033[1;5A\033[1;2B\033[1;3C\033[1;6D\033[1;8H", "Ctrl-Up Shift-Down Alt-Right Ctrl-Shift-Left Ctrl-Alt-Shift-Home");
    EXPECT("\033[3;5~\033[15;2~\033[1;5P\033[1;3S\033[5;3~", "Ctrl-Delete Shift-F5 Ctrl-F1 Alt-F4 Alt-PageUp");
    EXPECT("\033[a\033[d\033Oa\033Od", "Shift-Up Shift-Left Ctrl-Up Ctrl-Left");
    EXPECT("\033[3$\033[3^\033[3@\033[5$x", "Shift-Delete Ctrl-Delete Ctrl-Shift-Delete Shift-PageUp x");
    EXPECT("\033\033[A\033\033OB\033\033[3~", "Alt-Up Alt-Down Alt-Delete");
    EXPECT("\033O5A\033O1;5B\033O2P", "Ctrl-Up Ctrl-Down Shift-F1");
    EXPECT("\033[1;65A\033[1;129B", "Up Down"); /* Caps Lock and Num Lock are no modifiers here */
    EXPECT("\033[1;9Ax", "x");                  /* Super belongs to the desktop */
}

static void newer_protocols(void **state)
{
    (void)state;
    /* xterm's modifyOtherKeys */
    EXPECT("\033[27;2;13~\033[27;5;13~\033[27;5;9~\033[27;6;65~\033[27;5;59~", "Shift-Enter Ctrl-Enter Ctrl-Tab Ctrl-Shift-A Ctrl-;");
    EXPECT("\033[27;2;9~\033[27;3;97~\033[27;5;105~\033[27;5;109~", "Shift-Tab Alt-A Tab Enter");
    EXPECT("\033[27;5;91~\033[27;5;104~\033[27;5;47~\033[27;5;64~\033[27;5;63~", "Esc Backspace Ctrl-_ Ctrl-Space Backspace");
    /* kitty */
    EXPECT("\033[27u\033[13;2u\033[13;3u\033[9;5u\033[127;3u", "Esc Shift-Enter Alt-Enter Ctrl-Tab Alt-Backspace");
    EXPECT("\033[99;5u\033[97;2u\033[97;3u\033[97;6u\033[106;5u", "Ctrl-C A Alt-A Ctrl-Shift-A Ctrl-J");
    EXPECT("\033[97;1:1u\033[97;1:2u\033[97;1:3u\033[1;1:3A", "a a");
    EXPECT("\033[49:33;2u\033[97:65;2u", "! A");
    EXPECT("\033[57399u\033[57414u\033[57419;5u\033[57413u", "0 Enter Ctrl-Up +");
    EXPECT("\033[57358u\033[57441u\033[57376u\033[0u\033[99999999999u\033[55296ux", "x");
    EXPECT("\033[233u", "\xc3\xa9");
}

static void mouse(void **state)
{
    (void)state;
    EXPECT("\033[<0;10;5M\033[<0;10;5m", "Press@9,4 Release@9,4");
    EXPECT("\033[<64;1;1M\033[<65;80;24M", "WheelUp@0,0 WheelDown@79,23");
    EXPECT("\033[<16;2;3M\033[<4;1;1M", "Ctrl-Press@1,2 Shift-Press@0,0");
    EXPECT("\033[<1;1;1M\033[<2;1;1M\033[<32;1;1M\033[<35;9;9M\033[<66;1;1Mx", "x"); /* other buttons, motion */
    EXPECT("\033[<0;1M\033[<0;99999999999999999999;1M\033[<;;M", "Press@9999,0 Press@0,0");
    EXPECT("\033[M !!\033[M#!!", "Press@0,0 Release@0,0");
    EXPECT("\033[M`*%\033[Ma*%", "WheelUp@9,4 WheelDown@9,4");
    EXPECT("\033[M !\003", "Ctrl-C");
}

static void pastes(void **state)
{
    (void)state;
    EXPECT("\033[200~hello\033[201~x", "Paste<hello> x");
    EXPECT("\033[200~\033[201~", "Paste<>");
    EXPECT("\033[200~a\r\nb\rc\nd\033[201~", "Paste<a\nb\nc\nd>");
    EXPECT("\033[200~\033[A\033[200~\033]0;t\a\x03\x04\033[201\033\033[201~\r",
           "Paste<\033[A\033[200~\033]0;t\a\x03\x04\033[201\033> Enter");
    EXPECT("\033[201~x", "x");
    EXPECT("\033[200~one\033[201~\033[200~two\033[201~", "Paste<one> Paste<two>");
    EXPECT("\033[200~\xff\xfe\033[201~", "Paste<\xff\xfe>");
}

/* The end mark does not come: the text is not lost, and the keyboard is not dead. */
static void paste_without_end(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    int wait = 0;
    key_decoder_feed(d, "\033[200~part", 10);
    drain(&s, false, &wait);
    assert_true(wait >= 500);
    assert_int_equal(s.len, 0);
    drain(&s, true, &wait);
    assert_string_equal(str_cstr(&s), "Paste<part>");
    assert_int_equal(wait, -1);
    key_decoder_feed(d, " two\033[20", 8);
    drain(&s, false, &wait);
    key_decoder_feed(d, "1~\r", 3);
    drain(&s, false, &wait);
    assert_string_equal(str_cstr(&s), "Paste<part> Paste< two> Enter");
    str_clear(&s);
    key_decoder_feed(d, "\033[200~", 6);
    drain(&s, false, &wait);
    key_decoder_feed(d, "\x03", 1);
    drain(&s, false, &wait);
    drain(&s, true, &wait);
    assert_string_equal(str_cstr(&s), "Ctrl-C");
    key_decoder_feed(d, "a\033[200~", 7);
    drain(&s, false, &wait);
    key_decoder_feed(d, "\033", 1);
    drain(&s, false, &wait);
    drain(&s, true, &wait);
    key_decoder_feed(d, "b", 1);
    drain(&s, false, &wait);
    assert_string_equal(str_cstr(&s), "Ctrl-C a Esc b");
    str_release(&s);
}

static void huge_paste(void **state)
{
    (void)state;
    size_t n = (size_t)17 << 20, got = 0;
    char *text = malloc(n);
    memset(text, 'q', n);
    key_decoder_feed(d, "\033[200~", 6);
    struct key k;
    int wait;
    for (size_t at = 0; at < n; at += 4096) {
        key_decoder_feed(d, text + at, 4096);
        assert_false(key_decoder_next(d, false, &k, &wait));
    }
    key_decoder_feed(d, "\033[201~z", 7);
    assert_true(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(k.kind, KEY_PASTE_);
    for (size_t i = 0; i < k.text_len; i++) got += k.text[i] == 'q';
    assert_int_equal(got, (size_t)16 << 20);
    assert_true(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(k.cp, 'z');
    free(text);
}

static void unknown_sequences(void **state)
{
    (void)state;
    EXPECT("\033[?1;2cx\033[>0;276;0cx\033[24;80Rx\033[?25$yx\033[0nx", "x x x x x");
    EXPECT("\033[99~x\033[1;2;3;4;5;6;7;8;9;10;11qx\033[ qx\033[Gx\033[25~x", "x x x x x");
    EXPECT("\033Ozx\033O\"x\033O9;9;zx", "x x x");
    EXPECT("\033]11;rgb:0000/0000/0000\ax\033]11;rgb:ffff\033\\x", "x x");
    EXPECT("\033P1$r0m\033\\x\033P>|xterm(390)\033\\x\033_Gi=1;OK\033\\x", "x x x");
    EXPECT("\033[12\003\033[\003\033[3\033[A", "Ctrl-C Alt-[ Ctrl-C Up");
    EXPECT("\033]11;never ends\003x", "Ctrl-C x");
    EXPECT("\033]11;cut off", "");
    EXPECT("\033[1;5", "");
    EXPECT("\033[12\xc3\xa9", "\xc3\xa9");
    EXPECT("\033[27;999999999999;13~\033[27;5;1114112~x", "x");
    struct str s = STR_EMPTY;
    str_add(&s, "\033[");
    for (int i = 0; i < 100000; i++) str_add(&s, "1;");
    str_add(&s, "Ax\033]1");
    for (int i = 0; i < 100000; i++) str_add(&s, "rs");
    str_add(&s, "\ay");
    expect(s.data, s.len, "x y");
    str_release(&s);
}

static void waiting(void **state)
{
    (void)state;
    struct key k;
    int wait = 7;
    assert_false(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(wait, -1);
    key_decoder_feed(d, "\033", 1);
    assert_false(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(wait, 25);
    key_decoder_feed(d, "[", 1);
    assert_false(key_decoder_next(d, false, &k, &wait));
    assert_true(wait >= 25 && wait <= 1000);
    key_decoder_feed(d, "A", 1);
    assert_true(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(k.name, NAMED_UP);
    assert_false(key_decoder_next(d, true, &k, &wait));
    key_decoder_feed(d, "\xe6\x97", 2);
    assert_false(key_decoder_next(d, false, &k, &wait));
    assert_true(wait > 0);
    key_decoder_feed(d, "\xa5", 1);
    assert_true(key_decoder_next(d, false, &k, &wait));
    assert_int_equal(k.cp, 0x65e5);
}

/* What readline gets is xterm's form, whatever the terminal sent. */
static void bytes_for_readline(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *out;
        size_t n_out;
    } table[] = {
        {"a", 1, "a", 1},
        {"\xc3\xa9", 2, "\xc3\xa9", 2},
        {"\001", 1, "\001", 1},
        {"\0", 1, "\0", 1},
        {"\037", 1, "\037", 1},
        {"\r", 1, "\r", 1},
        {"\n", 1, "\n", 1},
        {"\010", 1, "\177", 1},
        {"\033b", 2, "\033b", 2},
        {"\033\r", 2, "\033\r", 2},
        {"\033OA", 3, "\033[A", 3},
        {"\033[7~", 4, "\033[H", 3},
        {"\033Oc", 3, "\033[1;5C", 6},
        {"\033\033[D", 4, "\033[1;3D", 6},
        {"\033[3^", 4, "\033[3;5~", 6},
        {"\033[[A", 4, "\033OP", 3},
        {"\033[15;5~", 7, "\033[15;5~", 7},
        {"\033[99;5u", 7, "\003", 1},
        {"\033[98;3u", 7, "\033b", 2},
        {"\033[27;5;59~", 10, "", 0},
        {"\033[I", 3, "", 0},
        {"\033[<0;1;1M", 9, "", 0},
        {"\xff", 1, "\xef\xbf\xbd", 3},
        {"\033[Z", 3, "\033[Z", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct key k;
        int wait;
        key_decoder_feed(d, table[i].in, table[i].n);
        assert_true(key_decoder_next(d, false, &k, &wait));
        if (k.n_bytes != table[i].n_out || memcmp(k.bytes, table[i].out, k.n_bytes) != 0) fail_msg("row %zu: %zu bytes", i, k.n_bytes);
    }
}

static uint32_t seed = 3;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void random_input(struct str *s)
{
    static const char *const parts[] = {"a",
                                        "\033",
                                        "[",
                                        "O",
                                        "1",
                                        ";",
                                        "5",
                                        "A",
                                        "~",
                                        "u",
                                        "M",
                                        "<",
                                        "\033[200~",
                                        "\033[201~",
                                        "\xc3",
                                        "\xa9",
                                        "\xf0\x9f",
                                        "\r",
                                        "\n",
                                        "\003",
                                        "]",
                                        "P",
                                        "\a",
                                        "\\",
                                        "\033[A",
                                        "\033[1;5A",
                                        "$",
                                        "?",
                                        "\033[<0;1;1M",
                                        "\033[M",
                                        "\033]1",
                                        "\x7f",
                                        "\xff",
                                        "\033[27;5;9~"};
    for (uint32_t i = 0, n = draw(30); i < n; i++) str_add(s, parts[draw(ARRAY_LEN(parts))]);
    if (draw(20) == 0) {
        str_add(s, "\033[");
        for (uint32_t i = 0, n = 120 + draw(20); i < n; i++) str_add(s, "1");
    }
}

static void cuts_do_not_matter(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct str in = STR_EMPTY, whole = STR_EMPTY, cut = STR_EMPTY;
        int wait = 0;
        random_input(&in);
        key_decoder_feed(d, str_cstr(&in), in.len);
        drain(&whole, false, &wait);
        int held = wait;
        for (int i = 0; wait >= 0 && i < 100; i++) drain(&whole, true, &wait);
        str_add(&whole, " | ");
        struct str mark = STR_EMPTY; /* a paste may still be open: leave both decoders in the same state */
        key_decoder_feed(d, "\033[201~", 6);
        drain(&mark, false, &wait);
        str_release(&mark);
        for (size_t at = 0; at < in.len;) {
            size_t k = 1 + draw(4);
            if (k > in.len - at) k = in.len - at;
            key_decoder_feed(d, in.data + at, k);
            drain(&cut, false, &wait);
            at += k;
        }
        if (in.len > 0) assert_int_equal(wait, held);
        for (int i = 0; wait >= 0 && i < 100; i++) drain(&cut, true, &wait);
        str_add(&cut, " | ");
        key_decoder_feed(d, "\033[201~", 6);
        struct str rest = STR_EMPTY;
        drain(&rest, false, &wait);
        str_release(&rest);
        if (strcmp(str_cstr(&whole), str_cstr(&cut)) != 0) {
            struct str shown = STR_EMPTY;
            text_sanitize(&shown, str_cstr(&in), in.len, TEXT_ONE_LINE);
            fail_msg("%s: whole [%s] cut [%s]", str_cstr(&shown), str_cstr(&whole), str_cstr(&cut));
        }
        str_release(&in);
        str_release(&whole);
        str_release(&cut);
    }
}

/* Random bytes: keys are valid, and escape sequences never end up as a control in text. */
static void random_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char bytes[64];
        for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)(draw(3) ? (int)draw(256) : "\033[O;1~u<M"[draw(9)]);
        key_decoder_feed(d, bytes, sizeof(bytes));
        struct key k;
        int wait = 0;
        for (int i = 0; i < 300 && wait >= 0; i++) {
            if (!key_decoder_next(d, i % 3 == 2, &k, &wait)) continue;
            assert_true(k.n_bytes <= 16);
            if (k.kind == KEY_TEXT_) assert_true(k.cp >= 0x20 && k.cp <= 0x10ffff && !(k.cp >= 0x7f && k.cp < 0xa0));
            if (k.kind == KEY_NAMED_) assert_true(k.name > NAMED_NONE && k.name <= NAMED_FOCUS_OUT);
            if (k.kind == KEY_MOUSE_) assert_true(k.x >= 0 && k.y >= 0);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
    const struct CMUnitTest tests[] = {
        TEST(plain_keys),
        TEST(escape_and_alt),
        TEST(named_keys),
        TEST(modified_keys),
        TEST(newer_protocols),
        TEST(mouse),
        TEST(pastes),
        TEST(paste_without_end),
        TEST(huge_paste),
        TEST(unknown_sequences),
        TEST(waiting),
        TEST(bytes_for_readline),
        TEST(cuts_do_not_matter),
        TEST(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
