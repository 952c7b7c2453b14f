/*
 * term_signals.c - signals become something to read; a crash leaves a usable terminal.
 *
 * A handler marks the signal and writes a byte into a pipe, nothing else. The crash handlers write a string that was made
 * beforehand, restore the modes and let the signal do what it did before: they run on a stack of their own, use only
 * async-signal-safe calls and touch no memory that can be half changed. Where several threads crash at once, one of them does
 * this and the others wait for the end.
 */
#include "ui/term_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { RESTORE_MAX = 512, CRASH_STACK = 64 * 1024 };

static const int told[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGCONT, SIGTSTP, SIGUSR1};
/* What ends the program without asking it. */
static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE,    SIGILL,  SIGQUIT, SIGTRAP,   SIGSYS,
                              SIGXCPU, SIGALRM, SIGUSR2, SIGVTALRM, SIGPROF, SIGIO,   SIGSTKFLT, SIGPWR};

static struct sigaction old_told[ARRAY_LEN(told)], old_crashes[ARRAY_LEN(crashes)], old_pipe;
static volatile sig_atomic_t pending[ARRAY_LEN(told)];
static int wake[2] = {-1, -1};
static bool installed;

static char restore_text[RESTORE_MAX];
static volatile sig_atomic_t restore_len;
static struct termios restore_modes;
static int restore_fd = -1;
static int nowhere = -1; /* /dev/null, open in time: later that may not be allowed */
static pid_t restore_pid;
static stack_t crash_stack, old_stack;

static void on_told(int sig)
{
    int saved = errno;
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        if (told[i] == sig) pending[i] = 1;
    ssize_t ignored = write(wake[1], "", 1); /* a full pipe is readable as well */
    (void)ignored;
    errno = saved;
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
    (void)context;
    const struct sigaction *before = old_crashes;
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        if (crashes[i] == sig) before = &old_crashes[i];
    /* sent, not a fault, and whoever started the program wanted it ignored */
    if (info->si_code <= 0 && before->sa_handler == SIG_IGN) return;
    crash_claim();
    size_t n = (size_t)restore_len, done = 0;
    if (n > 0 && getpid() == restore_pid) {
        restore_len = 0;
        /* other threads go on drawing, but from here on nobody sees it */
        int fd = nowhere >= 0 && restore_fd != STDERR_FILENO ? dup(restore_fd) : -1;
        if (fd < 0) fd = restore_fd;
        else dup2(nowhere, restore_fd);
        while (done < n) {
            ssize_t k = write(fd, restore_text + done, n - done);
            if (k < 0 && errno == EINTR) continue;
            if (k <= 0) break;
            done += (size_t)k;
        }
        tcsetattr(fd, TCSANOW, &restore_modes);
    }
    sigaction(sig, before, NULL);
    /* What the kernel raised for an instruction comes again with it, address and all, for the handler before. */
    if (info->si_code <= 0) raise(sig);
}

/* SIG_IGN would be inherited by programs started from here; a handler is not. */
static void on_pipe(int sig)
{
    (void)sig;
}

static int open_wake(struct err *e)
{
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) return err_set_errno(e, ERR_IO, "no pipe for signals");
    return ERR_OK;
}

int term_signals_install(int fd, const struct termios *modes, struct err *e)
{
    int rc = open_wake(e);
    if (rc) return rc;
    restore_fd = fd;
    restore_modes = *modes;
    restore_pid = getpid();
    restore_len = 0;
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    crash_stack = (stack_t){.ss_sp = malloc(CRASH_STACK), .ss_size = CRASH_STACK};
    if (!crash_stack.ss_sp || sigaltstack(&crash_stack, &old_stack) != 0) {
        free(crash_stack.ss_sp); /* crashes other than a full stack still find one */
        crash_stack.ss_sp = NULL;
    }
    struct sigaction a = {.sa_handler = on_told, .sa_flags = SA_RESTART};
    sigfillset(&a.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        pending[i] = 0;
        sigaction(told[i], &a, &old_told[i]);
    }
    a.sa_handler = on_pipe;
    sigaction(SIGPIPE, &a, &old_pipe);
    struct sigaction c = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&c.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++) sigaction(crashes[i], &c, &old_crashes[i]);
    installed = true;
    return ERR_OK;
}

void term_signals_remove(void)
{
    if (!installed) return;
    installed = false;
    restore_len = 0;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) sigaction(told[i], &old_told[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++) sigaction(crashes[i], &old_crashes[i], NULL);
    sigaction(SIGPIPE, &old_pipe, NULL);
    if (crash_stack.ss_sp) {
        sigaltstack(&old_stack, NULL);
        free(crash_stack.ss_sp);
        crash_stack.ss_sp = NULL;
    }
    if (nowhere >= 0) close(nowhere);
    nowhere = -1;
    close(wake[0]);
    close(wake[1]);
    wake[0] = wake[1] = -1;
}

int term_signals_fd(void)
{
    return wake[0];
}

int term_signals_next(void)
{
    char drain[64];
    while (wake[0] >= 0 && read(wake[0], drain, sizeof(drain)) > 0) continue;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        if (!pending[i]) continue;
        pending[i] = 0;
        /* More may wait, and the pipe is empty by now: it has to stay readable until all were told. */
        for (size_t k = i + 1; k < ARRAY_LEN(told); k++) {
            if (!pending[k]) continue;
            ssize_t ignored = write(wake[1], "", 1);
            (void)ignored;
            break;
        }
        return told[i];
    }
    return 0;
}

void term_signals_arm(const char *text, size_t n)
{
    restore_len = 0;
    if (n > RESTORE_MAX) n = RESTORE_MAX;
    memcpy(restore_text, text, n);
    restore_len = (sig_atomic_t)n;
}
