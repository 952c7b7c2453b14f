/*
 * term.c - the terminal: takes it over, draws grids on it, gives it back.
 *
 * Invariants
 *   - One terminal at a time; ncurses writes, and never reads.
 *   - Every mode that is switched on is listed in modes_on and modes_off, and modes_off is part of what a crash writes.
 *   - `shown` is what ncurses was last told; only cells that differ from it are handed on.
 *   - No byte of a cell reaches the terminal but through ncurses, as a printable character.
 *
 * Sequences used beside those of terminfo: ?2004 bracketed paste, ?1004 focus, ?1000 and ?1006 mouse, >4;1m (modifyOtherKeys) or
 * >1u (kitty's keyboard protocol) where the terminal is known to have them, OSC 52 clipboard. Nothing is ever asked of the terminal.
 */
#include "ui/term.h"
#include "ui/term_priv.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum {
    MAX_COLUMNS = 1000,
    MAX_ROWS = 500,
    COPY_MAX = 750 * 1000, /* bytes before base64; tmux and kitty stop near 1 MB */
    WIDE_MAX = CCHARW_MAX,
};

struct term {
    SCREEN *screen;
    struct termios modes; /* as found */
    struct theme theme;
    struct grid shown;
    bool stale; /* what is on the screen is not what `shown` says */
    bool suspended, mouse, ascii;
    int colours;      /* 0, 8, 16, 256, or more: direct */
    bool own_colours; /* the terminal's own foreground and background can be asked for */
    attr_t attrs[STYLE_COUNT];
    short pairs[STYLE_COUNT];
    int w, h;
    int cursor; /* what curs_set was told */
    const char *keys_on, *keys_off;
    pid_t pid;
};

static struct term *current;

/* ---- locale --------------------------------------------------------------------------------------------------- */

bool term_locale_is_utf8(void)
{
    static int known = -1;
    if (known >= 0) return known == 1;
    const char *names[] = {getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")};
    const char *wanted = "";
    for (size_t i = 0; i < ARRAY_LEN(names) && wanted[0] == '\0'; i++)
        if (names[i]) wanted = names[i];
    bool found = setlocale(LC_CTYPE, "") != NULL;
    bool utf8 = found && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    /* A locale that is asked for but not installed still tells what the terminal understands. */
    if (!found) utf8 = strcasestr(wanted, "utf-8") || strcasestr(wanted, "utf8");
    /* Text is UTF-8 inside whatever the screen can show, and readline and wcwidth go by the locale. */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0 && !setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "en_US.UTF-8");
    known = utf8 ? 1 : 0;
    return utf8;
}

/* ---- output beside curses --------------------------------------------------------------------------------------- */

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            if (poll(&wait, 1, 1000) > 0 && !(wait.revents & (POLLERR | POLLHUP | POLLNVAL))) continue;
        }
        if (k <= 0) return;
        p += k;
        n -= (size_t)k;
    }
}

static void write_text(const char *text)
{
    write_all(text, strlen(text));
}

#define MOUSE_ON  "\033[?1000h\033[?1006h"
#define MOUSE_OFF "\033[?1006l\033[?1000l"

static void modes_on(const struct term *t)
{
    write_text("\033[?2004h\033[?1004h");
    if (t->mouse) write_text(MOUSE_ON);
    write_text(t->keys_on);
}

static void modes_off(const struct term *t, struct str *out)
{
    str_add(out, MOUSE_OFF "\033[?1004l\033[?2004l");
    str_add(out, t->keys_off);
}

static void arm_crash(const struct term *t)
{
    struct str s = STR_EMPTY;
    term_info_string("sgr0", &s);
    term_info_string("cnorm", &s);
    modes_off(t, &s);
    size_t before = s.len;
    term_info_string("rmcup", &s);
    if (s.len == before) str_add(&s, "\r\n");
    if (str_ok(&s)) term_signals_arm(str_cstr(&s), s.len);
    str_release(&s);
}

/* Terminals, by the beginning of their names, that can tell Shift-Enter from Enter. Others might take the sequence for
 * underlining. */
static void pick_keyboard(struct term *t)
{
    static const char *const kitty[] = {"xterm-kitty", "xterm-ghostty", "foot", "alacritty", "wezterm"};
    static const char *const xterm[] = {"xterm", "tmux", "mintty", "contour"};
    const char *name = getenv("TERM");
    t->keys_on = t->keys_off = "";
    for (size_t i = 0; name && i < ARRAY_LEN(xterm); i++) {
        if (strncmp(name, xterm[i], strlen(xterm[i])) != 0) continue;
        t->keys_on = "\033[>4;1m";
        t->keys_off = "\033[>4m";
    }
    for (size_t i = 0; name && i < ARRAY_LEN(kitty); i++) {
        if (strncmp(name, kitty[i], strlen(kitty[i])) != 0) continue;
        t->keys_on = "\033[>1u";
        t->keys_off = "\033[<u";
    }
}

/* ---- colours ---------------------------------------------------------------------------------------------------- */

static attr_t curses_attrs(unsigned bits)
{
    attr_t a = A_NORMAL;
    if (bits & ATTR_BOLD) a |= A_BOLD;
    if (bits & ATTR_DIM) a |= A_DIM;
    if (bits & ATTR_UNDERLINE) a |= A_UNDERLINE;
    if (bits & ATTR_REVERSE) a |= A_REVERSE;
    if (bits & ATTR_ITALIC) a |= A_ITALIC;
    return a;
}

static void start_colours(struct term *t)
{
    const char *no_color = getenv("NO_COLOR");
    if ((no_color && no_color[0]) || !has_colors() || start_color() != OK || COLORS < 8) return;
    t->own_colours = use_default_colors() == OK;
    t->colours = COLORS > 256 ? COLORS : COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : 8;
}

/* Gives every style its attributes and a colour pair; styles that look the same share one. */
static void apply_theme(struct term *t)
{
    int fgs[STYLE_COUNT], bgs[STYLE_COUNT], used = 0;
    for (int i = 0; i < STYLE_COUNT; i++) {
        const struct style_def *d = &t->theme.styles[i];
        unsigned attrs = d->attrs;
        int fg, bg, pair = 0;
        if (t->colours == 0) {
            t->attrs[i] = curses_attrs(theme_plain_attrs(&t->theme, (enum style)i));
            t->pairs[i] = 0;
            continue;
        }
        if (t->colours > 256) {
            fg = colour_to_direct(d->fg);
            bg = colour_to_direct(d->bg);
        } else {
            style_degrade(d, t->colours, &fg, &bg, &attrs);
        }
        if (!t->own_colours) {
            if (fg < 0) fg = COLOR_WHITE;
            if (bg < 0) bg = COLOR_BLACK;
        }
        while (pair < used && (fgs[pair] != fg || bgs[pair] != bg)) pair++;
        if (fg < 0 && bg < 0) {
            pair = -1; /* pair 0 is the terminal's own */
        } else if (pair == used) {
            if (used + 1 >= COLOR_PAIRS || init_extended_pair(used + 1, fg, bg) != OK) {
                pair = -1;
            } else {
                fgs[used] = fg;
                bgs[used] = bg;
                used++;
            }
        }
        t->pairs[i] = (short)(pair + 1);
        t->attrs[i] = curses_attrs(attrs);
    }
    t->stale = true;
}

/* ---- opening and closing ------------------------------------------------------------------------------------------ */

static void read_size(struct term *t)
{
    struct winsize ws = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_col == 0 || ws.ws_row == 0) {
        ws.ws_col = 80;
        ws.ws_row = 24;
    }
    t->w = ws.ws_col < MAX_COLUMNS ? ws.ws_col : MAX_COLUMNS;
    t->h = ws.ws_row < MAX_ROWS ? ws.ws_row : MAX_ROWS;
}

/* A file that takes the place of a descriptor closed by whoever started us would otherwise get what is meant for the screen. */
static void reopen_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0) return;
}

/* The terminal's description with 24-bit colours, where the user's terminal says it has them and the description is installed. */
static bool direct_type(char *out, size_t size)
{
    const char *colours = getenv("COLORTERM"), *type = getenv("TERM"), *no_color = getenv("NO_COLOR");
    if (!type || !colours || (strcmp(colours, "truecolor") != 0 && strcmp(colours, "24bit") != 0) || (no_color && no_color[0]))
        return false;
    const char *cut = strstr(type, "-256color");
    size_t n = cut ? (size_t)(cut - type) : strlen(type);
    if (n + sizeof("-direct") > size) return false;
    memcpy(out, type, n);
    memcpy(out + n, "-direct", sizeof("-direct"));
    return term_info_check(out, NULL) == ERR_OK;
}

static int start_curses(struct term *t, struct err *e)
{
    char direct[64];
    const char *type = direct_type(direct, sizeof(direct)) ? direct : NULL;
    /* The size is set below, from the terminal. LINES and COLUMNS may be those of another window, and a size that nobody can have must not
     * be tried; but some descriptions, as that of the Linux console, tell no size to begin with. */
    use_env(FALSE);
    /* Where SIGTSTP is the default's at this time curses takes it over, and ignores it whenever it draws. */
    struct sigaction ignored = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGTSTP, &ignored, &before);
    t->screen = newterm(type, stdout, stdin);
    use_env(TRUE);
    if (!t->screen) t->screen = newterm(type, stdout, stdin);
    sigaction(SIGTSTP, &before, NULL);
    if (!t->screen) return err_set(e, ERR_UNSUPPORTED, "the terminal cannot be used");
    raw();
    noecho();
    nonl();
    typeahead(-1);
    struct termios m;
    if (tcgetattr(STDIN_FILENO, &m) == 0) {
        m.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        m.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
        m.c_cc[VMIN] = 1;
        m.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &m);
        def_prog_mode();
    }
    resize_term(t->h, t->w);
    return ERR_OK;
}

static void at_exit(void)
{
    if (current && current->pid == getpid()) term_close(current);
}

int term_open(struct term **out, const struct theme *theme, bool mouse, struct err *e)
{
    static bool registered;
    *out = NULL;
    if (current) return err_set(e, ERR_BUSY, "the terminal is in use already");
    reopen_standard_files();
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return err_set(e, ERR_UNSUPPORTED, "standard input and output are no terminal");
    int rc = term_info_check(NULL, e);
    if (rc) return rc;
    struct term *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, ERR_NOMEM, "no memory for the terminal");
    grid_init(&t->shown);
    t->theme = *theme;
    t->mouse = mouse;
    t->ascii = !term_locale_is_utf8();
    t->cursor = -1;
    t->pid = getpid();
    pick_keyboard(t);
    read_size(t);
    if (tcgetattr(STDIN_FILENO, &t->modes) != 0) {
        free(t);
        return err_set_errno(e, ERR_UNSUPPORTED, "the terminal does not tell its modes");
    }
    rc = start_curses(t, e);
    if (rc == ERR_OK) rc = term_signals_install(STDOUT_FILENO, &t->modes, e); /* after curses, which installs its own */
    if (rc) {
        current = t;
        term_close(t);
        return rc;
    }
    current = *out = t;
    if (!registered) registered = atexit(at_exit) == 0;
    start_colours(t);
    apply_theme(t);
    arm_crash(t);
    refresh(); /* enters the alternate screen, which has keyboard modes of its own */
    modes_on(t);
    return ERR_OK;
}

static void leave_screen(struct term *t)
{
    struct str s = STR_EMPTY;
    modes_off(t, &s);
    write_all(str_cstr(&s), s.len);
    str_release(&s);
    curs_set(1);
    endwin();
    t->cursor = -1;
    tcsetattr(STDIN_FILENO, TCSANOW, &t->modes);
}

void term_close(struct term *t)
{
    if (!t) return;
    if (t->screen && !t->suspended) {
        leave_screen(t);
        if (t->mouse) tcflush(STDIN_FILENO, TCIFLUSH); /* reports on their way would be typed into the shell */
    }
    term_signals_remove();
    if (t->screen) delscreen(t->screen);
    grid_release(&t->shown);
    if (current == t) current = NULL;
    free(t);
}

void term_suspend(struct term *t)
{
    if (t->suspended) return;
    leave_screen(t);
    t->suspended = true;
    term_signals_arm("", 0);
}

void term_resume(struct term *t)
{
    if (!t->suspended) endwin(); /* stopped from outside: who knows what the shell did meanwhile */
    t->suspended = false;
    reset_prog_mode();
    term_resized(t);
    arm_crash(t);
    redrawwin(stdscr);
    wrefresh(stdscr);
    t->stale = true;
    modes_on(t);
}

void term_stop(struct term *t)
{
    struct sigaction own, dfl = {.sa_handler = SIG_DFL};
    term_suspend(t);
    sigaction(SIGTSTP, &dfl, &own);
    kill(0, SIGTSTP);
    sigaction(SIGTSTP, &own, NULL);
    term_resume(t);
}

/* ---- state -------------------------------------------------------------------------------------------------------- */

void term_size(const struct term *t, int *w, int *h)
{
    *w = t->w;
    *h = t->h;
}

int term_input_fd(const struct term *t)
{
    (void)t;
    return STDIN_FILENO;
}

int term_signal_fd(const struct term *t)
{
    (void)t;
    return term_signals_fd();
}

int term_signal(struct term *t)
{
    (void)t;
    return term_signals_next();
}

void term_resized(struct term *t)
{
    read_size(t);
    if (t->w == COLS && t->h == LINES) return;
    resize_term(t->h, t->w);
    t->stale = true;
    clearok(curscr, TRUE);
}

void term_set_theme(struct term *t, const struct theme *theme)
{
    t->theme = *theme;
    apply_theme(t);
}

void term_set_mouse(struct term *t, bool on)
{
    if (on == t->mouse) return;
    t->mouse = on;
    if (!t->suspended) write_text(on ? MOUSE_ON : MOUSE_OFF);
}

void term_redraw(struct term *t)
{
    clearok(curscr, TRUE);
    t->stale = true;
}

void term_bell(struct term *t)
{
    if (!t->suspended) write_text("\a");
}

/* ---- drawing ------------------------------------------------------------------------------------------------------ */

static void put_wide(const struct term *t, int x, int y, uint8_t style, const wchar_t *text)
{
    cchar_t c;
    if (setcchar(&c, text, t->attrs[style], t->pairs[style], NULL) == OK) mvadd_wch(y, x, &c);
}

/* Writes into text what curses and the terminal agree to be `width` columns or fewer; returns its columns. Clusters that terminals
 * join in different ways are shown by their first part, so that everything right of them stays in place. */
static int plain_cluster(const char *cluster, int width, wchar_t text[WIDE_MAX + 1])
{
    size_t n = strlen(cluster), at = 0, k = 0;
    int columns = 0;
    while (at < n && k < WIDE_MAX) {
        uint32_t cp;
        at += utf8_decode(cluster + at, n - at, &cp);
        int w = cp == UTF8_INVALID ? -1 : wcwidth((wchar_t)cp);
        if (k == 0) {
            if (w < 1 || w > width) cp = 0xfffd;
            columns = cp == 0xfffd ? 1 : w;
        } else if (w != 0) {
            break;
        } else if (cp == 0xfe0f || cp == 0xfe0e || cp == 0x200d) {
            continue; /* asks for a picture, a width that few terminals agree on; a joiner without what it joins */
        }
        text[k++] = (wchar_t)cp;
    }
    text[k] = L'\0';
    return columns;
}

/* A flag is two letters; terminals without it, and those that count it otherwise, get the letters. */
static bool flag_letters(const char *cluster, wchar_t text[2])
{
    size_t n = strlen(cluster), at = 0;
    for (int i = 0; i < 2; i++) {
        uint32_t cp;
        if (at >= n) return false;
        at += utf8_decode(cluster + at, n - at, &cp);
        if (cp < 0x1f1e6 || cp > 0x1f1ff) return false;
        text[i] = (wchar_t)(L'A' + (wchar_t)(cp - 0x1f1e6));
    }
    return true;
}

static void put_cell(const struct term *t, int x, int y, const struct cell *c)
{
    wchar_t text[WIDE_MAX + 1] = {0};
    int columns = 1;
    if (t->ascii) {
        text[0] = (wchar_t)term_ascii(c->text);
    } else if ((unsigned char)c->text[0] < 0x80 && c->text[1] == '\0') {
        text[0] = (wchar_t)c->text[0];
    } else {
        wchar_t letters[2];
        if (c->width == 2 && flag_letters(c->text, letters)) {
            put_wide(t, x, y, c->style, (wchar_t[]){letters[0], 0});
            put_wide(t, x + 1, y, c->style, (wchar_t[]){letters[1], 0});
            return;
        }
        columns = plain_cluster(c->text, c->width, text);
    }
    put_wide(t, x, y, c->style, text);
    for (; columns < c->width; columns++) put_wide(t, x + columns, y, c->style, L" ");
}

static bool cell_same(const struct cell *a, const struct cell *b)
{
    return a->style == b->style && a->width == b->width && strcmp(a->text, b->text) == 0;
}

static void put_changed(struct term *t, const struct grid *g)
{
    static const struct cell blank = {.text = " ", .style = STYLE_TEXT, .width = 1};
    for (int y = 0; y < t->h; y++) {
        for (int x = 0; x < t->w; x++) {
            const struct cell *c = x < g->w && y < g->h ? grid_at(g, x, y) : &blank;
            if ((c->width == 2 && x + 1 >= t->w) || c->style >= STYLE_COUNT) c = &blank; /* the grid is older than the size */
            struct cell *was = grid_at(&t->shown, x, y);
            if (!t->stale && cell_same(c, was)) continue;
            *was = *c;
            if (c->width > 0) put_cell(t, x, y, c);
        }
    }
    t->stale = false;
}

bool term_present(struct term *t, const struct grid *g)
{
    if (t->suspended) return true;
    if (t->shown.w != t->w || t->shown.h != t->h) {
        if (!grid_resize(&t->shown, t->w, t->h)) return true; /* no memory: this frame is lost */
        t->stale = true;
    }
    put_changed(t, g);
    bool visible = g->cursor_x >= 0 && g->cursor_y >= 0 && g->cursor_x < t->w && g->cursor_y < t->h;
    if (t->cursor != (visible ? 1 : 0)) {
        t->cursor = visible ? 1 : 0;
        curs_set(t->cursor);
    }
    if (visible)
        move(g->cursor_y, g->cursor_x);
    else
        move(t->h - 1, 0);
    wnoutrefresh(stdscr);
    doupdate();
    struct termios m;
    return tcgetattr(STDOUT_FILENO, &m) == 0;
}

/* ---- clipboard ------------------------------------------------------------------------------------------------------ */

bool term_copy(struct term *t, const char *text, size_t n)
{
    if (n > COPY_MAX || t->suspended) return false;
    struct str clean = STR_EMPTY, out = STR_EMPTY;
    text_sanitize(&clean, text, n, TEXT_SCREEN);
    bool ok = str_ok(&clean) && clean.len <= COPY_MAX;
    unsigned char *coded = ok ? malloc(4 * (clean.len / 3 + 1) + 1) : NULL;
    if (coded) {
        const char *type = getenv("TERM");
        bool tmux = getenv("TMUX") || (type && strncmp(type, "tmux", 4) == 0);
        EVP_EncodeBlock(coded, (const unsigned char *)str_cstr(&clean), (int)clean.len);
        str_addf(&out, "\033]52;c;%s\a", (const char *)coded);
        /* tmux takes the first form with set-clipboard, the second with allow-passthrough */
        if (tmux) str_addf(&out, "\033Ptmux;\033\033]52;c;%s\a\033\\", (const char *)coded);
        ok = str_ok(&out);
        if (ok) write_all(str_cstr(&out), out.len);
        free(coded);
    } else {
        ok = false;
    }
    str_release(&clean);
    str_release(&out);
    return ok;
}
