/* The input line: editing, history, completion, search and vi mode, fed key by key as the program does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui/line.h"
#include "ui/line_priv.h"

#define ENTER "\r"
#define UP    "\033[A"
#define DOWN  "\033[B"
#define RIGHT "\033[C"
#define LEFT  "\033[D"
#define HOME  "\033[H"
#define END   "\033[F"

/* readline's own leaks (see detach_undo_lists in line.c) are not what is tested here. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libreadline\n";
}

static char folder[64];
static struct line *live; /* so that a failed test does not take those after it along */

static struct line *open_line(const char *keys, const char *history)
{
    struct line *l = NULL;
    struct err e = {0};
    struct line_options o = {.history_path = history, .keys = keys};
    if (line_new(&l, &o, &e) != ERR_OK) fail_msg("%s", e.text);
    live = l;
    return l;
}

static void close_line(struct line *l)
{
    line_free(l);
    live = NULL;
}

static int after_test(void **state)
{
    (void)state;
    close_line(live);
    return 0;
}

/* A key is a whole sequence: what begins with ESC is one, a UTF-8 character is one, every other byte is one. */
static bool type(struct line *l, const char *keys)
{
    bool accepted = false;
    for (size_t n = strlen(keys); n > 0;) {
        size_t k = 1;
        uint32_t cp;
        if (keys[0] == '\033') {
            k = 2;
            if (n > 2 && (keys[1] == '[' || keys[1] == 'O')) {
                while (k < n && (unsigned char)keys[k] < 0x40) k++;
                k++;
            }
        } else {
            k = utf8_decode(keys, n, &cp);
        }
        if (k > n) k = n;
        accepted = line_key(l, keys, k);
        keys += k;
        n -= k;
    }
    return accepted;
}

static void expect(const struct line *l, const char *text, size_t cursor)
{
    size_t n, at;
    const char *p = line_text(l, &n, &at);
    assert_string_equal(p, text);
    assert_int_equal(n, strlen(text));
    assert_int_equal(at, cursor);
}

static void submit(struct line *l, const char *text)
{
    size_t n;
    line_set(l, text, strlen(text));
    assert_true(line_key(l, ENTER, 1));
    char *taken = line_take(l, false, &n);
    assert_string_equal(taken, text);
    assert_int_equal(n, strlen(text));
    free(taken);
    expect(l, "", 0);
}

static void typing_and_moving(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    expect(l, "", 0);
    assert_false(type(l, "hello wrld"));
    expect(l, "hello wrld", 10);
    type(l, LEFT LEFT LEFT "o");
    expect(l, "hello world", 8);
    type(l, "\001X\005Y");
    expect(l, "Xhello worldY", 13);
    type(l, "\177" HOME "\004");
    expect(l, "hello world", 0);
    type(l, "\033[1;5C");
    expect(l, "hello world", 5);
    type(l, "\013");
    expect(l, "hello", 5);
    type(l, "\031");
    expect(l, "hello world", 11);
    type(l, "\027");
    expect(l, "hello ", 6);
    type(l, "\025");
    expect(l, "", 0);
    type(l, "\031\037");
    line_set(l, "", 0);
    type(l, "abc\033b\033c");
    expect(l, "Abc", 3);
    close_line(l);
}

static void characters_are_whole(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    type(l, "a\xc3\xa9\xe6\x97\xa5z");
    expect(l, "a\xc3\xa9\xe6\x97\xa5z", 7);
    type(l, LEFT LEFT);
    expect(l, "a\xc3\xa9\xe6\x97\xa5z", 3);
    type(l, "\177");
    expect(l, "a\xe6\x97\xa5z", 1);
    type(l, "\004");
    expect(l, "az", 1);
    type(l, "\xf0\x9f\x98\x80");
    expect(l, "a\xf0\x9f\x98\x80z", 5);
    type(l, "\026\xc3\xa4");
    expect(l, "a\xf0\x9f\x98\x80\xc3\xa4z", 7);
    close_line(l);
}

/* Keys nobody bound must not type their own letters. */
static void unknown_keys_do_nothing(void **state)
{
    (void)state;
    static const char *const keys[] = {"\033[15~", "\033[24;5~", "\033OP", "\033[5~", "\033[1;7A", "\033[Z", "\033[2~"};
    static const char *const modes[] = {"emacs", "vi"};
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct line *l = open_line(modes[m], NULL);
        type(l, "x");
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            assert_false(line_key(l, keys[i], strlen(keys[i])));
            size_t n, at;
            if (strcmp(line_text(l, &n, &at), "x") != 0) fail_msg("%s typed by key %zu: %s", modes[m], i, line_text(l, &n, &at));
        }
        assert_false(line_key(l, "", 0));
        type(l, "y");
        expect(l, "xy", 2);
        close_line(l);
    }
}

/* Esc alone begins Alt-something; an arrow or a paste after it is still an arrow or a paste. */
static void lone_escape(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    type(l, "one two");
    line_key(l, "\033", 1);
    line_key(l, "b", 1);
    expect(l, "one two", 4);
    line_key(l, "\033", 1);
    type(l, LEFT);
    expect(l, "one two", 3);
    line_key(l, "\033", 1);
    line_insert(l, "!", 1);
    expect(l, "one! two", 4);
    type(l, "x");
    expect(l, "one!x two", 5);
    close_line(l);
}

static void inserting(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    type(l, "ab" LEFT);
    line_insert(l, "1\n2\x00\x33\xff", 6);
    expect(l,
           "a1\n2\xe2\x90\x80"
           "3\xef\xbf\xbd"
           "b",
           11);
    type(l, "\037"); /* undo takes the paste back at once */
    expect(l, "ab", 1);
    line_insert(l, "\033]0;x\a\r\033[201~", 13);
    size_t n, at;
    assert_string_equal(line_text(l, &n, &at), "a\033]0;x\a\r\033[201~b");
    line_insert(l, "", 0);
    assert_int_equal(at, 14);

    size_t big = 300000;
    char *text = malloc(big);
    memset(text, 'q', big);
    line_set(l, text, big);
    line_text(l, &n, &at);
    assert_int_equal(n, big);
    assert_int_equal(at, big);
    assert_true(line_key(l, ENTER, 1));
    char *taken = line_take(l, true, &n);
    assert_int_equal(n, big);
    free(taken);
    free(text);
    close_line(l);
}

static void several_lines(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    submit(l, "older");
    line_set(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 23);
    expect(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 23);
    type(l, UP);
    expect(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 13);
    type(l, UP);
    expect(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 2);
    type(l, END);
    expect(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 10);
    type(l, HOME RIGHT RIGHT RIGHT RIGHT RIGHT DOWN DOWN);
    expect(l, "first line\nse\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 17);
    type(l, UP UP UP);
    expect(l, "older", 5);
    type(l, DOWN);
    size_t n;
    assert_non_null(strstr(line_text(l, &n, NULL), "first line\nse"));
    close_line(l);
}

static void accepting(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    assert_true(type(l, "question" ENTER));
    size_t n = 0;
    char *text = line_take(l, false, &n);
    assert_string_equal(text, "question");
    assert_int_equal(n, 8);
    free(text);
    expect(l, "", 0);
    assert_true(type(l, ENTER));
    text = line_take(l, false, &n);
    assert_string_equal(text, "");
    free(text);
    type(l, "draft"); /* taken without Enter */
    text = line_take(l, true, NULL);
    assert_string_equal(text, "draft");
    free(text);
    expect(l, "", 0);
    assert_false(type(l, "\004")); /* Ctrl-D on an empty line is the program's; fed by mistake it ends nothing */
    type(l, "on");
    expect(l, "on", 2);
    type(l, "\001" UP);
    expect(l, "question", 8);
    close_line(l);
}

static void history_of_a_session(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    submit(l, "one");
    submit(l, "two");
    submit(l, "two");
    submit(l, "");
    type(l, "draft" UP);
    expect(l, "two", 3);
    type(l, UP);
    expect(l, "one", 3);
    type(l, UP);
    expect(l, "one", 3);
    type(l, "X" DOWN DOWN);
    expect(l, "draft", 5);
    line_set(l, "reset", 5);
    type(l, UP);
    expect(l, "two", 3);
    line_set(l, "", 0); /* as Ctrl-C does in the middle of the history */
    type(l, UP);
    expect(l, "two", 3);
    assert_true(type(l, ENTER));
    free(line_take(l, true, NULL));
    assert_true(type(l, "secret" ENTER));
    free(line_take(l, true, NULL));
    type(l, UP);
    expect(l, "two", 3);
    close_line(l);
}

static void history_file(void **state)
{
    (void)state;
    static const char *const entries[] = {"plain",          "two\nlines",       "#1 is no time", "a\n#22 b\n\\#3 c\n\n",
                                          " # blank first", "\xc3\xa9t\xc3\xa9"};
    char path[128];
    snprintf(path, sizeof(path), "%s/new/deep/history", folder);
    struct line *l = open_line("emacs", path);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) submit(l, entries[i]);
    assert_true(type(l, "hidden" ENTER));
    free(line_take(l, true, NULL));
    struct stat st;
    assert_int_equal(stat(path, &st), 0); /* there before the line is freed: a crash loses nothing */
    assert_int_equal(st.st_mode & 0777, 0600);
    close_line(l);

    l = open_line("emacs", path);
    for (size_t i = ARRAY_LEN(entries); i-- > 0;) {
        size_t n, at;
        /* readline's own key: Up would move within the text */
        type(l, "\020");
        assert_string_equal(line_text(l, &n, &at), entries[i]);
    }
    close_line(l);
}

static enum line_fate drop_secret(void *arg, const char *line, size_t n, struct str *out)
{
    (void)arg, (void)n;
    if (strstr(line, "secret")) return LINE_DROP;
    if (strcmp(line, "two\nlines")) return LINE_KEEP;
    str_add(out, "#1 looks like a time\nline");
    return LINE_CHANGE;
}

/* What is taken out of the file is gone from the running line's history too; what is being typed stays. */
static void history_rewritten(void **state)
{
    (void)state;
    struct err e = {0};
    char path[128];
    size_t changed = 0;
    snprintf(path, sizeof(path), "%s/rewritten", folder);
    static const char *const lines[] = {"first", "a secret", "two\nlines", "last"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) assert_int_equal(line_history_append(path, lines[i], strlen(lines[i]), &e), 0);
    struct line *l = open_line("emacs", path);
    line_set(l, "being typed", 11);
    assert_int_equal(line_history_rewrite(path, true, drop_secret, NULL, &changed, &e), 0);
    assert_int_equal(changed, 2);
    assert_int_equal(line_history_rewrite(path, false, drop_secret, NULL, &changed, &e), 0);
    line_reload_history(l);
    size_t len, cursor;
    assert_string_equal(line_text(l, &len, &cursor), "being typed");
    line_set(l, "", 0);
    static const char *const want[] = {"last", "#1 looks like a time\nline", "first"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        size_t at;
        type(l, "\020"); /* readline's own key: Up would move within the text */
        assert_string_equal(line_text(l, &len, &at), want[i]);
    }
    close_line(l);
}

static void history_from_elsewhere(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/foreign", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 2500; i++) fprintf(f, "#%d\nentry %d\n", 1700000000 + i, i);
    fputs("#1800000000\nbad\xff\x00\x1b[31m bytes\n", f);
    fwrite("x\0y\n", 1, 4, f);
    fclose(f);
    struct line *l = open_line("emacs", path);
    type(l, "\020");
    size_t n, at;
    assert_non_null(strstr(line_text(l, &n, &at), "x\xe2\x90\x80y"));
    assert_true(utf8_is_valid(line_text(l, &n, &at), n));
    type(l, "\020");
    expect(l, "entry 2499", 10);
    close_line(l);
    struct str s = STR_EMPTY;
    assert_int_equal(file_read(&s, path, 1 << 20, NULL), ERR_OK);
    int stamps = 0;
    for (const char *p = s.data; (p = strchr(p, '#')); p++) stamps++;
    assert_int_equal(stamps, 2000);
    assert_true(strstr(s.data, "entry 501\n") != NULL);
    assert_true(strstr(s.data, "entry 500\n") == NULL);
    str_release(&s);

    l = open_line("emacs", folder); /* a folder is no history, and no reason not to start */
    submit(l, "still works");
    close_line(l);
}

static bool candidates(void *arg, const char *text, size_t cursor, size_t i, struct str *candidate, size_t *from)
{
    static const char *const commands[] = {"/budget", "/bye", "/branch", "/help", "/model", "/r\xc3\xa9sum\xc3\xa9", "/r\xc3\xa8gle"};
    static const char *const models[] = {"qwen small", "qwen large", "smol/"};
    (void)arg;
    size_t start = cursor;
    bool arguments = strncmp(text, "/model ", 7) == 0 && cursor >= 7;
    if (arguments)
        start = 7;
    else
        while (start > 0 && text[start - 1] != ' ') start--;
    const char *const *list = arguments ? models : commands;
    size_t n = arguments ? ARRAY_LEN(models) : ARRAY_LEN(commands);
    for (size_t k = 0; k < n; k++) {
        if (strncmp(list[k], text + start, cursor - start) != 0) continue;
        if (i-- > 0) continue;
        str_add(candidate, list[k]);
        *from = start;
        return true;
    }
    return false;
}

static void completion(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct line_options o = {.keys = "emacs", .complete = candidates};
    assert_int_equal(line_new(&l, &o, NULL), ERR_OK);
    live = l;
    size_t n;
    line_candidates(l, &n);
    assert_int_equal(n, 0);
    type(l, "/he\t");
    expect(l, "/help ", 6);
    line_candidates(l, &n);
    assert_int_equal(n, 0);

    line_set(l, "say /b", 6);
    type(l, "\t");
    expect(l, "say /b", 6);
    const char *const *c = line_candidates(l, &n);
    assert_int_equal(n, 3);
    assert_string_equal(c[0], "/budget");
    assert_string_equal(c[2], "/branch");
    type(l, "r");
    line_candidates(l, &n);
    assert_int_equal(n, 0);
    type(l, "\t");
    expect(l, "say /branch ", 12);

    line_set(l, "/model q", 8); /* a word with a blank in it */
    type(l, "\t");
    expect(l, "/model qwen ", 12);
    type(l, "l\t");
    expect(l, "/model qwen large ", 18);
    line_set(l, "/model s", 8);
    type(l, "\t");
    expect(l, "/model smol/", 12);

    line_set(l, "/r", 2); /* the two share the first byte of a letter */
    type(l, "\t");
    expect(l, "/r", 2);
    line_set(l, "nothing", 7);
    type(l, "\t\t");
    expect(l, "nothing", 7);
    line_set(l, "a\nb /hel tail", 13);
    type(l, LEFT LEFT LEFT LEFT LEFT "\t");
    expect(l, "a\nb /help tail", 9);
    close_line(l);
}

static void searching(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL);
    submit(l, "what is a monad");
    submit(l, "why is the sky blue");
    submit(l, "hello");
    assert_string_equal(line_message(l), "");
    type(l, "\022sky");
    assert_non_null(strstr(line_message(l), "reverse-i-search"));
    assert_non_null(strstr(line_message(l), "`sky'"));
    size_t n, at;
    assert_string_equal(line_text(l, &n, &at), "why is the sky blue");
    type(l, "\007"); /* Ctrl-G gives up */
    assert_string_equal(line_message(l), "");
    expect(l, "", 0);
    type(l, "\022is\022");
    assert_string_equal(line_text(l, &n, &at), "what is a monad");
    line_insert(l, "!", 1); /* a paste keeps what was found */
    assert_string_equal(line_message(l), "");
    assert_non_null(strstr(line_text(l, &n, &at), "what "));
    assert_non_null(strchr(line_text(l, &n, &at), '!'));
    line_set(l, "", 0);
    type(l, "\022blue");
    assert_true(line_key(l, ENTER, 1));
    char *text = line_take(l, false, &n);
    assert_string_equal(text, "why is the sky blue");
    free(text);
    type(l, "\022zzzz");
    assert_non_null(strstr(line_message(l), "failed"));
    type(l, "\007");
    type(l, "\022\xc3\xa9"); /* a letter of two bytes in the search */
    assert_non_null(strstr(line_message(l), "\xc3\xa9"));
    close_line(l); /* in the middle of a search */
    l = open_line("emacs", NULL);
    assert_string_equal(line_message(l), "");
    type(l, "\0334");
    assert_non_null(strstr(line_message(l), "arg"));
    type(l, "x");
    expect(l, "xxxx", 4);
    close_line(l);
}

static void vi_mode(void **state)
{
    (void)state;
    struct line *l = open_line("vi", NULL);
    submit(l, "old entry");
    assert_string_equal(line_mode(l), "ins");
    type(l, "hello world");
    line_key(l, "\033", 1);
    assert_string_equal(line_mode(l), "cmd");
    expect(l, "hello world", 10);
    type(l, "bcwthere");
    assert_string_equal(line_mode(l), "ins");
    expect(l, "hello there", 11);
    line_key(l, "\033", 1);
    type(l, "0dw");
    expect(l, "there", 0);
    type(l, "fe"
            "r\xc3\xa9");
    assert_string_equal(line_mode(l), "cmd");
    size_t n, at;
    assert_string_equal(line_text(l, &n, &at), "th\xc3\xa9re");
    type(l, "u");
    assert_string_equal(line_text(l, &n, &at), "there");
    type(l, UP);
    assert_string_equal(line_text(l, &n, &at), "old entry");
    type(l, "/zz");
    assert_string_not_equal(line_message(l), "");
    line_insert(l, "p", 1);
    assert_string_equal(line_message(l), "");
    line_set(l, "ok", 2);
    assert_true(line_key(l, ENTER, 1));
    free(line_take(l, false, NULL));
    assert_string_equal(line_mode(l), "ins");
    close_line(l);
    l = open_line("", NULL); /* the mode does not outlive the line */
    assert_string_equal(line_mode(l), "");
    close_line(l);
}

/* Whatever is typed: no hang, no crash, valid text, and the line can be cleared. */
static void anything(void **state)
{
    (void)state;
    static const char *const keys[] = {"a",        " ",         "\xc3\xa9", "\xe6\x97\xa5",
                                       "\033",     "\033[A",    "\033[B",   "\033[C",
                                       "\033[3~",  "\033[1;5D", "\t",       "\001",
                                       "\002",     "\004",      "\005",     "\013",
                                       "\016",     "\020",      "\022",     "\023",
                                       "\024",     "\025",      "\026",     "\027",
                                       "\030",     "\031",      "\035",     "\036",
                                       "\037",     "\r",        "\n",       "\033b",
                                       "\033d",    "\033u",     "\033.",    "\033-",
                                       "\0335",    "\033\r",    "\033\177", "\177",
                                       "\010",     "\007",      "f",        "d",
                                       "c",        "w",         "$",        "0",
                                       "/",        "?",         "n",        "N",
                                       ".",        "\"",        "y",        "p",
                                       "r",        "R",         "~",        "|",
                                       "%",        "#",         "m",        "`",
                                       "\033[15~", "(",         ")",        "\030p",
                                       "\030s",    "\030m",     "\030q",    "\030\022",
                                       "\000"};
    static const char *const modes[] = {"emacs", "vi"};
    uint32_t seed = 12345;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct line *l = NULL;
        struct line_options o = {.keys = modes[m], .complete = candidates};
        assert_int_equal(line_new(&l, &o, NULL), ERR_OK);
        live = l;
        for (int i = 0; i < 20000; i++) {
            seed = seed * 1664525u + 1013904223u;
            size_t k = (seed >> 8) % ARRAY_LEN(keys);
            size_t n = k == ARRAY_LEN(keys) - 1 ? 1 : strlen(keys[k]);
            if (line_key(l, keys[k], n)) free(line_take(l, false, NULL));
            if (seed % 97 == 0) line_insert(l, "pasted\ntext", 11);
            if (seed % 211 == 0) line_set(l, "set", 3);
            size_t len, at;
            const char *text = line_text(l, &len, &at);
            if (!utf8_is_valid(text, len) || strlen(text) != len || at > len) fail_msg("after %d keys in %s mode: [%s]", i, modes[m], text);
            if (len > 2000) line_set(l, "", 0);
        }
        line_set(l, "end", 3);
        size_t len;
        assert_string_equal(line_text(l, &len, NULL), "end");
        close_line(l);
    }
}

static void one_at_a_time(void **state)
{
    (void)state;
    struct line *l = open_line("emacs", NULL), *second = NULL;
    struct line_options o = {.keys = ""};
    struct err e = {0};
    assert_int_equal(line_new(&second, &o, &e), ERR_BUSY);
    assert_null(second);
    close_line(l);
    line_free(NULL);
}

/* Nothing that readline says may reach the terminal: standard output and error are files here, and stay empty. */
static int silent_before(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/ponder-line-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    char path[128];
    snprintf(path, sizeof(path), "%s/inputrc", folder);
    FILE *f = fopen(path, "w");
    if (!f) return -1;
    fputs("set no-such-variable on\n\"unfinished: x\n\"\\C-xq\": \"macro text\"\n\"\\C-xp\": history-search-backward\n\"\\C-xs\": "
          "history-substring-search-forward\n"
          "\"\\C-xm\": menu-complete\n\"\\C-x\\t\": complete\nset bell-style audible\n$if mode=\n",
          f);
    fclose(f);
    setenv("INPUTRC", path, 1);
    setenv("TERM", "xterm", 1);
    return 0;
}

static void says_nothing(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/output", folder);
    fflush(stdout);
    fflush(stderr);
    int out = dup(1), err = dup(2);
    FILE *f = fopen(path, "w+");
    dup2(fileno(f), 1);
    dup2(fileno(f), 2);
    struct line *l = NULL;
    struct line_options o = {.keys = "emacs", .complete = candidates};
    int rc = line_new(&l, &o, NULL);
    type(l, "/\t\t\007\022zzz\007\030\022\014\033\177\033?/b\033=");
    line_set(l, "", 0);
    type(l, "\030q");
    size_t n, at;
    char *text = strdup(line_text(l, &n, &at));
    close_line(l);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    long size = lseek(fileno(f), 0, SEEK_END);
    fclose(f);
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(size, 0);
    assert_string_equal(text, "macro text"); /* inputrc was read, and its macro runs */
    free(text);
}

static int clean_up(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(says_nothing, after_test), /* first: inputrc is read once */
        cmocka_unit_test_teardown(typing_and_moving, after_test),
        cmocka_unit_test_teardown(characters_are_whole, after_test),
        cmocka_unit_test_teardown(unknown_keys_do_nothing, after_test),
        cmocka_unit_test_teardown(lone_escape, after_test),
        cmocka_unit_test_teardown(inserting, after_test),
        cmocka_unit_test_teardown(several_lines, after_test),
        cmocka_unit_test_teardown(accepting, after_test),
        cmocka_unit_test_teardown(history_of_a_session, after_test),
        cmocka_unit_test_teardown(history_file, after_test),
        cmocka_unit_test_teardown(history_rewritten, after_test),
        cmocka_unit_test_teardown(history_from_elsewhere, after_test),
        cmocka_unit_test_teardown(completion, after_test),
        cmocka_unit_test_teardown(searching, after_test),
        cmocka_unit_test_teardown(vi_mode, after_test),
        cmocka_unit_test_teardown(anything, after_test),
        cmocka_unit_test_teardown(one_at_a_time, after_test),
    };
    return cmocka_run_group_tests(tests, silent_before, clean_up);
}
