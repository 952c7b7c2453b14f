/*
 * sandbox.c - walls around the process: Landlock for what it may write, seccomp for what it may ask of the kernel.
 *
 * Landlock's calls have no wrapper in glibc, and the headers of a stable system are older than the kernel it may run on: numbers
 * and structs are spelt out here, and what the running kernel does not know is left out by its version. Both walls are for ever and for
 * every process started from here; a refusal is an error number, not a signal, so that a library which tries something goes on without.
 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };

/* Rights to files, and since which version they are known. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,    /* 2 */
    FS_TRUNCATE = 1 << 14, /* 3 */
    FS_ALL = FS_EXECUTE | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK |
             FS_MAKE_FIFO | FS_MAKE_BLOCK | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE,
    FS_IN_FILE = FS_WRITE_FILE | FS_TRUNCATE,
    FS_IN_FOLDER = FS_IN_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER,
    NET_BIND_CONNECT = 3,      /* 4: TCP */
    SCOPE_ABSTRACT_SOCKET = 1, /* 6 */
};

struct ruleset {
    uint64_t fs, net, scoped;
};

/* packed in the kernel's header */
struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

int sandbox_landlock_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    return v > 0 ? (int)v : 0;
}

static uint64_t known_rights(int version)
{
    uint64_t fs = FS_ALL;
    if (version < 2) fs &= ~(uint64_t)FS_REFER;
    if (version < 3) fs &= ~(uint64_t)FS_TRUNCATE;
    return fs;
}

static int new_ruleset(int version)
{
    struct ruleset r = {.fs = known_rights(version), .net = NET_BIND_CONNECT, .scoped = SCOPE_ABSTRACT_SOCKET};
    size_t size = version < 4 ? sizeof r.fs : version < 6 ? 2 * sizeof r.fs : sizeof r;
    return (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
}

/* What is not there cannot be written later either: no error. */
static bool allow(int ruleset, const char *path, uint64_t known)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
    bool good = !fstat(fd, &st);
    struct path_rule rule = {.allowed = known & (good && S_ISDIR(st.st_mode) ? FS_IN_FOLDER : FS_IN_FILE), .fd = fd};
    good = good && !syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    close(fd);
    return good;
}

int sandbox_files(const char *const *writable, size_t n, struct err *e)
{
    static const char *const always[] = {"/dev/null", "/dev/tty"};
    int version = sandbox_landlock_version();
    if (!version) return err_set(e, ERR_UNSUPPORTED, "this kernel has no Landlock, or has it off");
    int fd = new_ruleset(version);
    bool good = fd >= 0;
    for (size_t i = 0; good && i < ARRAY_LEN(always); i++) good = allow(fd, always[i], known_rights(version));
    for (size_t i = 0; good && i < n; i++) good = allow(fd, writable[i], known_rights(version));
    good = good && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_landlock_restrict_self, fd, 0);
    int rc = good ? 0 : err_set_errno(e, ERR_FAILED, "Landlock cannot be set up");
    if (fd >= 0) close(fd);
    return rc;
}

/* io_uring does by memory what the filter sees only as calls. */
static const int network_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind),    SCMP_SYS(listen),         SCMP_SYS(accept),
    SCMP_SYS(accept4), SCMP_SYS(sendto),    SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(io_uring_setup), SCMP_SYS(socketcall),
};
static const int program_calls[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};

int sandbox_calls(bool programs_too, struct err *e)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f) return err_set(e, ERR_NOMEM, "no memory for a filter of system calls");
    /* all threads, also those that a library started before main */
    int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; !rc && i < ARRAY_LEN(network_calls); i++) rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), network_calls[i], 0);
    for (size_t i = 0; programs_too && !rc && i < ARRAY_LEN(program_calls); i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), program_calls[i], 0);
    if (!rc) rc = seccomp_load(f);
    seccomp_release(f);
    return rc ? err_set(e, ERR_UNSUPPORTED, "the filter of system calls cannot be set up: %s", strerror(rc < 0 ? -rc : rc)) : 0;
}
