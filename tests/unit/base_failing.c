/*
 * System calls that fail, each in its turn and with each of some errors: files, folders, hashes, queues. What is replaced is the old one or the
 * new one, no file and no descriptor is left behind, and never is there an error without a reason. The calls are replaced for this program.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0 /* a sanitizer replaces them itself */
#else
#define REPLACED 1
#endif

static struct {
    bool on;
    long at, seen;
    int error;
} fails;

#if REPLACED
static bool refused(void)
{
    if (!fails.on || ++fails.seen != fails.at) return false;
    errno = fails.error;
    return true;
}

/* One that gives -1 where it fails. */
#define REPLACE(type, name, declared, given) \
    type name declared \
    { \
        static type(*real) declared; \
        if (!real) real = (type(*) declared)dlsym(RTLD_NEXT, #name); \
        return refused() ? -1 : real given; \
    }
REPLACE(int, fstat, (int fd, struct stat *st), (fd, st))
REPLACE(int, stat, (const char *restrict path, struct stat *restrict st), (path, st))
REPLACE(int, lstat, (const char *restrict path, struct stat *restrict st), (path, st))
REPLACE(int, fstatat, (int dir, const char *restrict path, struct stat *restrict st, int flags), (dir, path, st, flags))
REPLACE(int, fchmod, (int fd, mode_t mode), (fd, mode))
REPLACE(int, fchmodat, (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags))
REPLACE(int, fsync, (int fd), (fd))
REPLACE(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
REPLACE(int, renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))
REPLACE(ssize_t, read, (int fd, void *bytes, size_t n), (fd, bytes, n))
REPLACE(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n))
REPLACE(ssize_t, getrandom, (void *bytes, size_t n, unsigned flags), (bytes, n, flags))
REPLACE(ssize_t, readlink, (const char *restrict path, char *restrict out, size_t n), (path, out, n))
REPLACE(int, eventfd, (unsigned n, int flags), (n, flags))

int openat(int dir, const char *path, int flags, ...)
{
    static int (*real)(int dir, const char *path, int flags, ...);
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
    return refused() ? -1 : real(dir, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    static int (*real)(int fd, int command, ...);
    va_list args;
    va_start(args, command);
    long value = va_arg(args, long);
    va_end(args);
    if (!real) real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl");
    return refused() ? -1 : real(fd, command, value);
}
#endif

/* ---- what is done -------------------------------------------------------------------------------------------------- */

static char folder[64] = "/tmp/ponder-failing-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(paths[at], sizeof paths[at], "%s/%s", folder, name);
    return paths[at];
}

static int replace_file(struct err *e)
{
    return file_write_atomic(in_folder("file"), "new", 3, e);
}

static int replace_cache(struct err *e)
{
    return file_write_cache(in_folder("file"), "new", 3, e);
}

static int read_file(struct err *e)
{
    struct str out = STR_EMPTY;
    int rc = file_read(&out, in_folder("file"), 100, e);
    if (!rc && out.len != 3) fail_msg("read %zu bytes of 3", out.len);
    str_release(&out);
    return rc;
}

static int hash_file(struct err *e)
{
    char hex[65];
    return file_sha256(in_folder("file"), hex, NULL, NULL, e);
}

static int open_private(struct err *e)
{
    struct stat st;
    int fd = file_open_private(in_folder("private"), O_RDWR | O_CREAT, e);
    if (fd < 0) return e->code;
    close(fd);
    if (stat(in_folder("private"), &st) == 0 && (st.st_mode & 0777) != 0600) fail_msg("a private file of mode %o", (unsigned)st.st_mode & 0777);
    return 0;
}

static int open_new(struct err *e)
{
    unlink(in_folder("private"));
    return open_private(e);
}

static int open_others(struct err *e)
{
    chmod(in_folder("private"), 0644);
    return open_private(e);
}

static int make_folders(struct err *e)
{
    mode_t old = umask(0277);
    int rc = path_make_folder(in_folder("a/b/./c"), e);
    umask(old);
    rmdir(in_folder("a/b/c"));
    rmdir(in_folder("a/b"));
    rmdir(in_folder("a"));
    return rc;
}

static int find_shared(struct err *e)
{
    struct str out = STR_EMPTY;
    int rc = path_shared(&out, "Makefile", e);
    str_release(&out);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int use_queue(struct err *e)
{
    struct queue *q = NULL;
    int rc = queue_new(&q, NULL, e);
    queue_free(q);
    return rc;
}

static int save_setting(struct err *e)
{
    struct settings s = {0};
    int rc = settings_init(&s, e);
    if (!rc) rc = settings_set(&s, "system", "new", e);
    if (!rc) rc = settings_save(&s, settings_find("system"), in_folder("ini/ponder.ini"), e);
    settings_release(&s);
    unlink(in_folder("ini/ponder.ini"));
    rmdir(in_folder("ini"));
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct err *e);
    bool may_do_without; /* of some calls: it goes through where they fail */
} operations[] = {{"file_write_atomic", replace_file, true}, {"file_write_cache", replace_cache, true}, {"file_read", read_file, false}, {"file_sha256", hash_file, false},
                  {"file_open_private, new", open_new, true}, {"file_open_private, of others", open_others, true}, {"path_make_folder", make_folders, true},
                  {"path_shared", find_shared, true}, {"queue_new", use_queue, false}, {"settings_save", save_setting, true}};

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* The file is the old one or the new one. */
static void check_file(const char *name)
{
    char bytes[8] = "";
    int fd = open(in_folder("file"), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, bytes, sizeof bytes - 1) : -1;
    if (n != 3 || (strcmp(bytes, "old") != 0 && strcmp(bytes, "new") != 0)) fail_msg("%s left half a file: %s", name, bytes);
    close(fd);
}

static void each_call_fails(void **state)
{
    static const int errors[] = {EIO, EINTR, ENOSPC, ENOMEM, EACCES, EEXIST, ENOENT};
    (void)state;
    if (!REPLACED) skip();
    for (size_t k = 0; k < ARRAY_LEN(operations); k++)
        for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
            long refusals = 0;
            for (long at = 1;; at++) {
                struct err e = {0};
                fails.on = false;
                assert_int_equal(file_write_atomic(in_folder("file"), "old", 3, &e), 0);
                int files = entries(folder), descriptors = entries("/proc/self/fd");
                unlink(in_folder("private"));
                if (k != 4 && k != 5) close(open(in_folder("private"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
                if (k == 5) close(open(in_folder("private"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
                fails.on = true;
                fails.at = at;
                fails.seen = 0;
                fails.error = errors[i];
                int rc = operations[k].run(&e);
                fails.on = false;
                bool reached = fails.seen >= at;
                if (!reached && rc) fail_msg("%s: %s, and nothing failed", operations[k].name, e.text);
                if (rc && (!e.text[0] || e.code != rc)) fail_msg("%s, call %ld, %s: error %d without a reason", operations[k].name, at, strerror(errors[i]), rc);
                refusals += rc != 0;
                check_file(operations[k].name);
                unlink(in_folder("private"));
                if (entries(folder) > files) fail_msg("%s, call %ld, %s: a file is left behind", operations[k].name, at, strerror(errors[i]));
                if (entries("/proc/self/fd") != descriptors) fail_msg("%s, call %ld, %s: a descriptor is left open", operations[k].name, at, strerror(errors[i]));
                if (!reached) break;
            }
            if (!refusals && !operations[k].may_do_without && errors[i] != EINTR) fail_msg("%s: %s was never an error", operations[k].name, strerror(errors[i]));
        }
}

/* A call that a signal came in between of is made again. */
static void interrupted_calls_are_made_again(void **state)
{
    (void)state;
    if (!REPLACED) skip();
    for (long at = 1; at < 12; at++) {
        struct err e = {0};
        fails.at = at;
        fails.seen = 0;
        fails.error = EINTR;
        fails.on = true;
        int rc = read_file(&e);
        fails.on = false;
        if (rc) fail_msg("call %ld: %s", at, e.text);
    }
}

static int make_folder(void **state)
{
    (void)state;
    struct err e = {0};
    if (!mkdtemp(folder)) return -1;
    return file_write_atomic(in_folder("file"), "old", 3, &e);
}

static int remove_folder(void **state)
{
    (void)state;
    fails.on = false;
    unlink(in_folder("file"));
    unlink(in_folder("private"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_call_fails), cmocka_unit_test(interrupted_calls_are_made_again)};
    return cmocka_run_group_tests_name("base_failing", tests, make_folder, remove_folder);
}
