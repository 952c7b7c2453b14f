/* The terminal, seen from its other end: what is written to a pseudo-terminal, and in which state it is left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "ui/line.h"
#include "ui/term.h"

enum { PATIENCE_MS = 10000 };

/* A child with a terminal of its own. The parent keeps both ends, so that it can ask for the modes at any time. */
struct session {
    int master, slave, go;
    pid_t pid;
    struct termios before;
    struct str out;
    int status;
    bool ended;
};

static int go_fd; /* in the child: a byte for every step() of the parent */

/* ---- the child's side ---------------------------------------------------------------------------------------------- */

static struct term *open_term(const char *theme, bool mouse)
{
    struct theme t;
    struct term *term = NULL;
    struct err e = {0};
    if (theme_load(&t, theme, &e) != ERR_OK || term_open(&term, &t, mouse, &e) != ERR_OK) {
        fprintf(stderr, "%s\r\n", e.text);
        _exit(99);
    }
    return term;
}

/* False: the terminal is gone. */
static bool shows(struct term *t, enum style style, const char *text)
{
    struct grid g;
    int w, h;
    grid_init(&g);
    term_size(t, &w, &h);
    if (!grid_resize(&g, w, h)) _exit(98);
    grid_put(&g, 0, 0, w, style, text, strlen(text));
    g.cursor_x = 0;
    g.cursor_y = 1;
    bool there = term_present(t, &g);
    grid_release(&g);
    return there;
}

static void show(struct term *t, enum style style, const char *text)
{
    if (!shows(t, style, text)) _exit(97);
}

static void wait_for_go(void)
{
    char c;
    if (read(go_fd, &c, 1) != 1) _exit(96);
}

/* ---- the parent's side ----------------------------------------------------------------------------------------------- */

static void start_size(struct session *s, const char *type, int w, int h, void (*run)(void))
{
    int go[2];
    struct winsize size = {.ws_col = (unsigned short)w, .ws_row = (unsigned short)h};
    *s = (struct session){0};
    fflush(NULL);
    assert_int_equal(pipe(go), 0);
    assert_int_equal(openpty(&s->master, &s->slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(s->slave, &s->before), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        for (int sig = 1; sig < 32; sig++) signal(sig, SIG_DFL); /* cmocka catches crashes */
        close(s->master);
        close(go[1]);
        go_fd = go[0];
        login_tty(s->slave);
        if (type)
            setenv("TERM", type, 1);
        else
            unsetenv("TERM");
        setlocale(LC_ALL, "C");
        run();
        _exit(0);
    }
    close(go[0]);
    s->go = go[1];
    fcntl(s->master, F_SETFL, O_NONBLOCK);
}

static void start(struct session *s, const char *type, void (*run)(void))
{
    start_size(s, type, 80, 24, run);
}

static void read_some(struct session *s, int ms)
{
    char bytes[4096];
    struct pollfd p = {.fd = s->master, .events = POLLIN};
    poll(&p, 1, ms);
    ssize_t n = read(s->master, bytes, sizeof(bytes));
    if (n > 0) str_add_bytes(&s->out, bytes, (size_t)n);
}

static bool has(const struct session *s, const char *text)
{
    return s->out.len > 0 && memmem(s->out.data, s->out.len, text, strlen(text)) != NULL;
}

static void fail_with_output(const struct session *s, const char *what)
{
    struct str shown = STR_EMPTY;
    text_sanitize(&shown, str_cstr(&s->out), s->out.len, TEXT_ONE_LINE);
    fail_msg("%s: %s", what, str_cstr(&shown));
}

static void wait_for(struct session *s, const char *text)
{
    for (int64_t end = clock_mono_ms() + PATIENCE_MS; !has(s, text) && clock_mono_ms() < end;) read_some(s, 20);
    if (!has(s, text)) fail_with_output(s, text);
}

static void wait_for_end(struct session *s)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;
    while (waitpid(s->pid, &s->status, WNOHANG) == 0) {
        if (clock_mono_ms() > end) {
            kill(s->pid, SIGKILL);
            fail_with_output(s, "the child did not end");
        }
        read_some(s, 5);
    }
    for (size_t before = s->out.len + 1; before != s->out.len;) {
        before = s->out.len;
        read_some(s, 0);
    }
    s->ended = true;
}

static void step(struct session *s)
{
    assert_int_equal(write(s->go, "x", 1), 1);
}

static void check_modes_restored(struct session *s)
{
    struct termios now;
    assert_int_equal(tcgetattr(s->slave, &now), 0);
    assert_int_equal(now.c_iflag, s->before.c_iflag);
    assert_int_equal(now.c_oflag, s->before.c_oflag);
    assert_int_equal(now.c_lflag, s->before.c_lflag);
    assert_int_equal(now.c_cflag, s->before.c_cflag);
    assert_memory_equal(now.c_cc, s->before.c_cc, sizeof(now.c_cc));
}

static const char *last(const struct session *s, const char *text)
{
    const char *found = NULL, *p = str_cstr(&s->out), *end = p + s->out.len;
    while (p < end && (p = memmem(p, (size_t)(end - p), text, strlen(text)))) found = p++;
    return found;
}

/* The last word on a mode is that it is off. */
static void check_off(const struct session *s, const char *on, const char *off)
{
    const char *a = last(s, on), *b = last(s, off);
    if (!b || (a && a > b)) fail_with_output(s, off);
}

static void check_screen_left(struct session *s, bool alternate)
{
    check_off(s, "\033[?2004h", "\033[?2004l");
    check_off(s, "\033[?1004h", "\033[?1004l");
    check_off(s, "\033[?1000h", "\033[?1000l");
    check_off(s, "\033[?1006h", "\033[?1006l");
    if (alternate) check_off(s, "\033[?1049h", "\033[?1049l");
    if (has(s, "\033[>4;1m")) check_off(s, "\033[>4;1m", "\033[>4m");
    if (has(s, "\033[?25l")) {
        const char *hide = last(s, "\033[?25l"), *show_it = last(s, "\033[?25h"), *other = last(s, "\033[?12l\033[?25h");
        assert_true((show_it && show_it > hide) || (other && other > hide));
    }
    check_modes_restored(s);
}

static void finish(struct session *s)
{
    if (!s->ended) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, &s->status, 0);
    }
    close(s->master);
    close(s->slave);
    close(s->go);
    str_release(&s->out);
}

static void expect_exit(struct session *s, int code)
{
    wait_for_end(s);
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != code) fail_with_output(s, "exit status");
}

/* ---- tests ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *type;
    bool alternate;
} types[] = {
    {"xterm-256color", true}, {"tmux-256color", true}, {"screen-256color", true}, {"xterm", true}, {"vt100", false}, {"linux", false},
};

static void open_show_close(void)
{
    struct term *t = open_term("default", true);
    show(t, STYLE_TEXT, "hello there");
    wait_for_go();
    term_close(t);
}

static void opening_and_closing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct session s;
        struct termios now;
        start(&s, types[i].type, open_show_close);
        wait_for(&s, "hello there");
        assert_true(has(&s, "\033[?2004h"));
        assert_true(has(&s, "\033[?1006h"));
        assert_int_equal(has(&s, "\033[?1049h"), types[i].alternate);
        assert_int_equal(tcgetattr(s.slave, &now), 0);
        assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
        assert_int_equal(now.c_iflag & (ICRNL | INLCR | IGNCR | IXON | ISTRIP), 0);
        step(&s);
        expect_exit(&s, 0);
        check_screen_left(&s, types[i].alternate);
        finish(&s);
    }
}

static void open_fails(void)
{
    struct theme theme;
    struct term *t = (struct term *)&theme;
    struct err e = {0};
    theme_default(&theme);
    int rc = term_open(&t, &theme, true, &e);
    _exit(rc == ERR_UNSUPPORTED && !t && e.text[0] ? 0 : 1);
}

static void unfit_terminals(void **state)
{
    (void)state;
    static const char *const unfit[] = {"dumb", "no-such-terminal", "unknown", "", "../../etc/passwd", NULL};
    for (size_t i = 0; i < ARRAY_LEN(unfit); i++) {
        struct session s;
        start(&s, unfit[i], open_fails);
        expect_exit(&s, 0);
        assert_int_equal(s.out.len, 0);
        check_modes_restored(&s);
        finish(&s);
    }
}

static void close_standard_files(void)
{
    close(0);
    close(1);
    close(2);
    struct theme theme;
    struct term *t;
    theme_default(&theme);
    int rc = term_open(&t, &theme, false, NULL), fd = open("/dev/null", O_RDONLY);
    _exit(rc == ERR_UNSUPPORTED && fd > 2 ? 0 : 1);
}

static void closed_files(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm", close_standard_files);
    expect_exit(&s, 0);
    finish(&s);
}

static int crash_signal;

static void crash(void)
{
    struct term *t = open_term("default", true);
    show(t, STYLE_TITLE, "before the crash");
    wait_for_go();
    raise(crash_signal);
}

static int overflow_stack(int depth)
{
    volatile char block[65536];
    block[depth % 65536] = 1;
    return depth < 0 ? 0 : overflow_stack(depth + 1) + block[0];
}

static void crash_without_stack(void)
{
    show(open_term("default", true), STYLE_TITLE, "before the crash");
    wait_for_go();
    _exit(overflow_stack(1));
}

/* ---- several threads at once ---- */

static pthread_barrier_t at_once;
static char *volatile nowhere;        /* what may not be touched */
static volatile int nobody_reads;     /* the terminal is full, so that what restores it has to wait */

static void *fault(void *arg)
{
    long i = (long)(intptr_t)arg;
    pthread_barrier_wait(&at_once);
    if (nobody_reads && i) usleep((useconds_t)(30000 * i));
    switch (i % 4) {
    case 0: *nowhere = 1; break;
    case 1: __builtin_trap();
    case 2: raise(SIGBUS); break;
    default: abort();
    }
    return NULL;
}

static void find_nowhere(void)
{
    nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void fault_together(void)
{
    find_nowhere();
    pthread_t threads[4];
    show(open_term("default", true), STYLE_TITLE, "before the crash");
    wait_for_go();
    if (nobody_reads) {
        fcntl(1, F_SETFL, O_NONBLOCK);
        while (write(1, "x", 1) == 1) continue;
        fcntl(1, F_SETFL, 0);
    }
    pthread_barrier_init(&at_once, NULL, ARRAY_LEN(threads));
    for (long i = 0; i < (long)ARRAY_LEN(threads); i++) pthread_create(&threads[i], NULL, fault, (void *)(intptr_t)i);
    for (;;) pause();
}

static void threads_that_crash_together(void **state)
{
    (void)state;
    for (int round = 0; round < (getenv("PONDER_QUICK") ? 20 : 100); round++) {
        struct session s;
        nobody_reads = round % 10 == 0;
        start(&s, "xterm-256color", fault_together);
        wait_for(&s, "before the crash");
        step(&s);
        if (nobody_reads) usleep(200000);
        wait_for_end(&s);
        assert_true(WIFSIGNALED(s.status));
        check_screen_left(&s, true);
        finish(&s);
    }
}

static void ignore_quit(void)
{
    find_nowhere();
    signal(SIGQUIT, SIG_IGN);
    struct term *t = open_term("default", true);
    show(t, STYLE_TITLE, "not to be asked");
    wait_for_go();
    raise(SIGQUIT);
    show(t, STYLE_TITLE, "IGNORED");
    wait_for_go();
    *nowhere = 1;
}

/* A signal that the one who started the program has it ignore does nothing, and takes nothing from a crash that comes later. */
static void an_ignored_signal_stays_ignored(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", ignore_quit);
    wait_for(&s, "not to be asked");
    step(&s);
    wait_for(&s, "IGNORED");
    assert_false(has(&s, "\033[?1049l"));
    step(&s);
    wait_for_end(&s);
    assert_true(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGSEGV);
    check_screen_left(&s, true);
    finish(&s);
}

static void crashes(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct session s;
        crash_signal = signals[i % ARRAY_LEN(signals)];
        start(&s, types[i].type, crash);
        wait_for(&s, "before the crash");
        step(&s);
        wait_for_end(&s);
        assert_true(WIFSIGNALED(s.status));
        assert_int_equal(WTERMSIG(s.status), crash_signal);
        check_screen_left(&s, types[i].alternate);
        finish(&s);
    }
    struct session s;
    start(&s, "xterm-256color", crash_without_stack);
    wait_for(&s, "before the crash");
    step(&s);
    wait_for_end(&s);
    assert_true(WIFSIGNALED(s.status));
    check_screen_left(&s, true);
    finish(&s);
}

static void leave_without_closing(void)
{
    show(open_term("default", true), STYLE_TEXT, "left open");
    wait_for_go();
    exit(7);
}

static void fork_and_leave(void)
{
    show(open_term("default", true), STYLE_TEXT, "first");
    pid_t pid = fork(); /* a child's exit is not the program's */
    if (pid == 0) exit(0);
    waitpid(pid, NULL, 0);
    if (write(1, "@child gone@", 12) != 12) _exit(1);
    wait_for_go();
    exit(0);
}

static void leaving_through_exit(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", leave_without_closing);
    wait_for(&s, "left open");
    step(&s);
    expect_exit(&s, 7);
    check_screen_left(&s, true);
    finish(&s);
    start(&s, "xterm-256color", fork_and_leave);
    wait_for(&s, "@child gone@");
    assert_false(has(&s, "\033[?1049l"));
    step(&s);
    expect_exit(&s, 0);
    check_screen_left(&s, true);
    finish(&s);
}

static int next_signal(struct term *t)
{
    struct pollfd p = {.fd = term_signal_fd(t), .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, PATIENCE_MS)) < 0 && errno == EINTR) continue;
    if (n != 1) _exit(95);
    return term_signal(t);
}

static const char *signal_word(int sig)
{
    switch (sig) {
    case SIGUSR1: return "aaaa";
    case SIGHUP: return "bbbb";
    case SIGINT: return "cccc";
    case SIGTSTP: return "dddd";
    case SIGCONT: return "eeee";
    default: return "ffff";
    }
}

static void report_signals(void)
{
    struct term *t = open_term("default", false);
    char text[64];
    show(t, STYLE_TEXT, "ready");
    for (;;) {
        int sig = next_signal(t);
        int w, h;
        if (sig == SIGWINCH) term_resized(t);
        term_size(t, &w, &h);
        /* words without a letter in common, since curses sends only what changed */
        snprintf(text, sizeof(text), "%s %dx%d", signal_word(sig), w, h);
        show(t, STYLE_TEXT, text);
        if (sig == SIGTERM) break;
    }
    if (term_signal(t) != 0) _exit(94);
    term_close(t);
    _exit(128 + SIGTERM);
}

static void signals_are_told(void **state)
{
    (void)state;
    static const int signals[] = {SIGUSR1, SIGHUP, SIGINT, SIGTSTP, SIGCONT};
    struct session s;
    start(&s, "xterm-256color", report_signals);
    wait_for(&s, "ready");
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        str_clear(&s.out);
        kill(s.pid, signals[i]);
        wait_for(&s, signal_word(signals[i]));
    }
    /* also while it still draws what told of the one before */
    for (int i = 0; i < 60; i++) {
        str_clear(&s.out);
        kill(s.pid, i % 2 ? SIGTSTP : SIGUSR1);
        wait_for(&s, signal_word(i % 2 ? SIGTSTP : SIGUSR1));
    }
    kill(s.pid, SIGPIPE); /* ignored */
    struct winsize size = {.ws_col = 100, .ws_row = 30};
    str_clear(&s.out);
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    wait_for(&s, "100x30");
    size = (struct winsize){0};
    str_clear(&s.out);
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    wait_for(&s, "80x24");
    size = (struct winsize){.ws_col = 1, .ws_row = 1};
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    size = (struct winsize){.ws_col = 65535, .ws_row = 65535};
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    wait_for(&s, "1000x500");
    kill(s.pid, SIGTERM);
    expect_exit(&s, 128 + SIGTERM);
    check_screen_left(&s, true);
    finish(&s);
}

static void two_signals(void)
{
    struct term *t = open_term("default", false);
    raise(SIGUSR1);
    raise(SIGWINCH);
    raise(SIGWINCH);
    int a = next_signal(t), b = next_signal(t), c = term_signal(t);
    term_close(t);
    _exit(a + b == SIGUSR1 + SIGWINCH && a != b && c == 0 ? 0 : 1);
}

static void signals_are_not_lost(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm", two_signals);
    expect_exit(&s, 0);
    finish(&s);
}

static void show_size(void)
{
    struct term *t = open_term("default", false);
    char text[64];
    int w, h;
    term_size(t, &w, &h);
    snprintf(text, sizeof(text), "%dx%d", w, h);
    show(t, STYLE_TEXT, text);
    term_close(t);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        int w, h;
        const char *text;
    } table[] = {{0, 0, "80x24"}, {0, 50, "80x24"}, {40, 8, "40x8"}, {200, 60, "200x60"}, {60000, 60000, "1000x500"}, {3, 1, "3x1"}};
    setenv("LINES", "7", 1);
    setenv("COLUMNS", "7", 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct session s;
        start_size(&s, "xterm", table[i].w, table[i].h, show_size);
        expect_exit(&s, 0);
        if (table[i].w != 3 && !has(&s, table[i].text)) fail_with_output(&s, table[i].text);
        check_screen_left(&s, true);
        finish(&s);
    }
    unsetenv("LINES");
    unsetenv("COLUMNS");
}

static void small_changes(void)
{
    struct term *t = open_term("default", false);
    show(t, STYLE_TEXT, "some text that stays the same");
    wait_for_go();
    show(t, STYLE_TEXT, "some text that stays the same");
    if (write(1, "@same@", 6) != 6) _exit(1);
    wait_for_go();
    show(t, STYLE_TEXT, "some text that stays the s#me");
    if (write(1, "@one@", 5) != 5) _exit(1);
    wait_for_go();
    term_redraw(t);
    show(t, STYLE_TEXT, "some text that stays the s#me");
    term_close(t);
}

static void only_changes_are_written(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", small_changes);
    wait_for(&s, "stays the same");
    read_some(&s, 50);
    str_clear(&s.out);
    step(&s);
    wait_for(&s, "@same@");
    assert_int_equal(s.out.len, 6);
    str_clear(&s.out);
    step(&s);
    wait_for(&s, "@one@");
    assert_true(has(&s, "#"));
    assert_in_range(s.out.len, 6, 40);
    str_clear(&s.out);
    step(&s);
    expect_exit(&s, 0);
    assert_true(has(&s, "some text that stays the s#me"));
    finish(&s);
}

static const char *colour_theme;

static void show_colours(void)
{
    struct term *t = open_term(colour_theme, false);
    struct grid g;
    grid_init(&g);
    if (!grid_resize(&g, 80, 24)) _exit(1);
    for (int i = 0; i < STYLE_COUNT; i++) grid_put(&g, i, i % 24, 80, (enum style)i, "style", 5);
    term_present(t, &g);
    struct theme other;
    if (theme_load(&other, "light", NULL) != ERR_OK) _exit(2);
    term_set_theme(t, &other);
    term_present(t, &g);
    term_close(t);
}

/* Whether any SGR sequence sets a colour: parameters 30 to 49, 90 to 107. */
static bool has_colour(const struct session *s)
{
    const char *p = str_cstr(&s->out), *end = p + s->out.len;
    while ((p = memmem(p, (size_t)(end - p), "\033[", 2))) {
        p += 2;
        const char *from = p;
        while (p < end && (*p == ';' || (*p >= '0' && *p <= '9'))) p++;
        if (p >= end || *p != 'm') continue;
        for (const char *q = from; q < p;) {
            long v = strtol(q, NULL, 10);
            if ((v >= 30 && v <= 38) || (v >= 40 && v <= 48) || (v >= 90 && v <= 107)) return true;
            while (q < p && *q != ';') q++;
            q++;
        }
    }
    return false;
}

static void colours(void **state)
{
    (void)state;
    static const char *const themes[] = {"default", "dark", "solarized-light", "gruvbox", "monochrome"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct session s;
        colour_theme = themes[i % ARRAY_LEN(themes)];
        bool vt100 = strcmp(types[i].type, "vt100") == 0;
        start(&s, types[i].type, show_colours);
        expect_exit(&s, 0);
        assert_int_equal(has_colour(&s), !vt100);
        assert_int_equal(has(&s, "38;5;"), strstr(types[i].type, "256") != NULL);
        check_screen_left(&s, types[i].alternate);
        finish(&s);
        setenv("NO_COLOR", "1", 1);
        start(&s, types[i].type, show_colours);
        expect_exit(&s, 0);
        assert_false(has_colour(&s));
        assert_true(has(&s, "style"));
        finish(&s);
        unsetenv("NO_COLOR");
    }
}

static void show_signs(void)
{
    struct term *t = open_term("default", false);
    show(t, STYLE_TEXT,
         "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90 \xe2\x96\xb8 \xe2\x96\xbe \xe2\x96\x88\xe2\x96\x81 \xc3\xa9\xc3\x9f \xe6\x97\xa5! "
         "\xe2\x80\xa6 "
         "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9! \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa! e\xcc\x81! \xe2\x9d\xa4\xef\xb8\x8f! "
         "\xef\xbf\xbd!");
    term_close(t);
}

static void other_character_sets(void **state)
{
    (void)state;
    struct session s;
    setenv("LC_ALL", "C", 1);
    start(&s, "xterm", show_signs);
    expect_exit(&s, 0);
    if (!has(&s, "+-+ > v #. es ? ! .")) fail_with_output(&s, "signs");
    for (size_t i = 0; i < s.out.len; i++) assert_true((unsigned char)s.out.data[i] < 0x80);
    finish(&s);

    setenv("LC_ALL", "C.UTF-8", 1);
    start(&s, "xterm", show_signs);
    expect_exit(&s, 0);
    if (!has(&s, "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90 \xe2\x96\xb8 \xe2\x96\xbe \xe2\x96\x88\xe2\x96\x81 \xc3\xa9\xc3\x9f \xe6\x97\xa5! "
                 "\xe2\x80\xa6 \xf0\x9f\x91\xa8! "
                 "DE! e\xcc\x81! \xe2\x9d\xa4 ! \xef\xbf\xbd!"))
        fail_with_output(&s, "signs");
    finish(&s);

    setenv("LC_ALL", "xx_YY.UTF-8", 1); /* not installed, and still what the terminal shows */
    start(&s, "xterm", show_signs);
    expect_exit(&s, 0);
    assert_true(has(&s, "\xe2\x94\x8c"));
    finish(&s);
    setenv("LC_ALL", "C.UTF-8", 1);
}

static void suspend_and_resume(void)
{
    struct term *t = open_term("default", true);
    show(t, STYLE_TEXT, "the frame");
    wait_for_go();
    term_suspend(t);
    show(t, STYLE_TEXT, "not now");
    if (write(1, "@shell@", 7) != 7) _exit(1);
    wait_for_go();
    term_resume(t);
    term_resume(t);
    if (write(1, "@back@", 6) != 6) _exit(1);
    wait_for_go();
    show(t, STYLE_TEXT, "the frame again");
    term_suspend(t);
    term_close(t); /* while suspended */
}

static void suspending(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", suspend_and_resume);
    wait_for(&s, "the frame");
    step(&s);
    wait_for(&s, "@shell@");
    check_screen_left(&s, true);
    assert_false(has(&s, "not now"));
    str_clear(&s.out);
    step(&s);
    wait_for(&s, "@back@");
    assert_true(has(&s, "\033[?1049h"));
    assert_true(has(&s, "\033[?2004h"));
    assert_true(has(&s, "the frame"));
    struct termios now;
    tcgetattr(s.slave, &now);
    assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG), 0);
    step(&s);
    expect_exit(&s, 0);
    check_screen_left(&s, true);
    finish(&s);
}

/* A shell in small: its child is stopped with Ctrl-Z and continued. */
static void job_control(void)
{
    signal(SIGTTOU, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        struct term *t = open_term("default", false);
        show(t, STYLE_TEXT, "running");
        wait_for_go();
        term_stop(t);
        show(t, STYLE_TEXT, "finished");
        term_close(t);
        _exit(5);
    }
    int status;
    if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status)) _exit(90);
    if (write(1, "@stopped@", 9) != 9) _exit(1);
    wait_for_go();
    kill(job, SIGCONT);
    if (waitpid(job, &status, 0) != job || !WIFEXITED(status) || WEXITSTATUS(status) != 5) _exit(91);
}

static void stopping(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", job_control);
    wait_for(&s, "running");
    step(&s);
    wait_for(&s, "@stopped@");
    check_screen_left(&s, true);
    step(&s);
    expect_exit(&s, 0);
    assert_true(has(&s, "finished"));
    check_screen_left(&s, true);
    finish(&s);
}

static void with_readline(void)
{
    struct term *t = open_term("gruvbox", true);
    show(t, STYLE_TEXT, "first frame");
    struct line *l = NULL;
    struct line_options o = {.keys = "emacs"};
    if (line_new(&l, &o, NULL) != ERR_OK) _exit(1);
    line_key(l, "\303\251", 2);
    line_key(l, "\t", 1);
    line_key(l, "\022", 1);
    show(t, STYLE_ERROR, "second frame");
    line_free(l);
    show(t, STYLE_TEXT, "third frame");
    term_close(t);
    t = open_term("default", false); /* and once more in the same process */
    show(t, STYLE_TEXT, "fourth frame");
    term_close(t);
}

static void readline_beside_curses(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", with_readline);
    expect_exit(&s, 0);
    assert_true(has(&s, "first frame"));
    assert_true(has(&s, "second"));
    assert_true(has(&s, "third"));
    assert_true(has(&s, "fourth frame"));
    assert_false(has(&s, "\xc3\xa9"));
    check_screen_left(&s, true);
    finish(&s);
}

static void copy_text(void)
{
    struct term *t = open_term("default", false);
    bool a = term_copy(t, "hello", 5), b = term_copy(t, "\033x", 2), c = term_copy(t, "", 0);
    char *big = calloc(1, 2000000);
    memset(big, 'a', 2000000);
    bool d = term_copy(t, big, 2000000);
    term_bell(t);
    term_close(t);
    _exit(a && b && c && !d ? 0 : 1);
}

static void clipboard(void **state)
{
    (void)state;
    struct session s;
    unsetenv("TMUX");
    start(&s, "xterm-256color", copy_text);
    expect_exit(&s, 0);
    assert_true(has(&s, "\033]52;c;aGVsbG8=\a"));
    assert_true(has(&s, "\033]52;c;4pCbeA==\a")); /* the picture of ESC, not ESC */
    assert_true(has(&s, "\033]52;c;\a"));
    assert_false(has(&s, "Ptmux"));
    assert_true(has(&s, "\a\033[?1006l"));
    finish(&s);
    start(&s, "tmux-256color", copy_text);
    expect_exit(&s, 0);
    assert_true(has(&s, "\033Ptmux;\033\033]52;c;aGVsbG8=\a\033\\"));
    finish(&s);
}

static void notice_hangup(void)
{
    struct term *t = open_term("default", false);
    shows(t, STYLE_TEXT, "connected"); /* which may be read, and the terminal taken away, before this returns */
    while (next_signal(t) != SIGHUP) continue;
    bool there = shows(t, STYLE_TEXT, "gone");
    term_close(t);
    _exit(there ? 2 : 0);
}

static void terminal_goes_away(void **state)
{
    (void)state;
    struct session s;
    start(&s, "xterm-256color", notice_hangup);
    wait_for(&s, "connected");
    close(s.slave);
    close(s.master);
    s.slave = s.master = open("/dev/null", O_RDONLY);
    wait_for_end(&s);
    assert_true(WIFEXITED(s.status));
    assert_int_equal(WEXITSTATUS(s.status), 0);
    s.slave = dup(s.master);
    finish(&s);
}

static int before(void **state)
{
    (void)state;
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("PONDER_THEMES", "themes", 1);
    setenv("INPUTRC", "/dev/null", 1);
    unsetenv("NO_COLOR");
    unsetenv("COLORTERM");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_and_closing),
        cmocka_unit_test(unfit_terminals),
        cmocka_unit_test(closed_files),
        cmocka_unit_test(crashes),
        cmocka_unit_test(threads_that_crash_together),
        cmocka_unit_test(an_ignored_signal_stays_ignored),
        cmocka_unit_test(leaving_through_exit),
        cmocka_unit_test(signals_are_told),
        cmocka_unit_test(signals_are_not_lost),
        cmocka_unit_test(sizes),
        cmocka_unit_test(only_changes_are_written),
        cmocka_unit_test(colours),
        cmocka_unit_test(other_character_sets),
        cmocka_unit_test(suspending),
        cmocka_unit_test(stopping),
        cmocka_unit_test(readline_beside_curses),
        cmocka_unit_test(clipboard),
        cmocka_unit_test(terminal_goes_away),
    };
    return cmocka_run_group_tests(tests, before, NULL);
}
