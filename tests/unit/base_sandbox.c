/* Promise 1: what the walls of sandbox.c let through and what not. Every test runs in a process of its own: walls stay up. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char base[] = "/tmp/ponder-sandbox-XXXXXX", in[64], out[64];

/* Runs f in a child; it returns NULL or what is wrong. */
static void in_child(const char *(*f)(void))
{
    int p[2];
    char text[256] = "";
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *wrong = f();
        if (wrong && write(p[1], wrong, strlen(wrong)) < 0) _exit(2);
        _exit(wrong ? 1 : 0);
    }
    close(p[1]);
    ssize_t n = read(p[0], text, sizeof(text) - 1);
    close(p[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (n > 0 || status != 0) fail_msg("%s (status %d)", text, status);
}

static const char *path_in(const char *folder, const char *name)
{
    static char paths[8][160];
    static int at;
    at = (at + 1) % 8;
    snprintf(paths[at], sizeof(paths[at]), "%s/%s", folder, name);
    return paths[at];
}

static bool can_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static const char *files(void)
{
    const char *writable[] = {in, "/tmp/ponder-not-there"};
    struct err e;
    if (sandbox_files(writable, 2, &e)) return "sandbox_files failed";
    if (!can_make(path_in(in, "new")) || unlink(path_in(in, "new"))) return "cannot write inside";
    if (mkdir(path_in(in, "d"), 0700) || !can_make(path_in(in, "d/f")) || rename(path_in(in, "d/f"), path_in(in, "f"))) return "no folders inside";
    if (file_write_atomic(path_in(in, "f"), "x", 1, &e)) return "no atomic write inside";
    if (!can_make("/dev/null")) return "no /dev/null";
    if (can_make(path_in(out, "new"))) return "made a file outside";
    if (open(path_in(out, "there"), O_WRONLY | O_CLOEXEC) >= 0) return "opened a file outside for writing";
    if (truncate(path_in(out, "there"), 0) == 0 && sandbox_landlock_version() >= 3) return "truncated a file outside";
    if (unlink(path_in(out, "there")) == 0) return "removed a file outside";
    if (mkdir(path_in(out, "d"), 0700) == 0) return "made a folder outside";
    if (symlink("x", path_in(out, "l")) == 0) return "made a link outside";
    if (symlink("x", path_in(in, "l")) == 0) return "made a link inside";
    if (rename(path_in(in, "f"), path_in(out, "f")) == 0) return "moved a file out";
    if (link(path_in(out, "there"), path_in(in, "hard")) == 0) return "linked a file in";
    if (open(path_in(out, "there"), O_RDONLY | O_CLOEXEC) < 0) return "cannot read outside";
    execl("/bin/true", "true", (char *)NULL);
    return errno == EACCES ? NULL : "ran a program, or failed otherwise";
}

static bool socket_refused(int family, int type)
{
    int fd = socket(family, type, 0);
    if (fd >= 0) close(fd);
    return fd < 0 && errno == EPERM;
}

static pthread_barrier_t barrier;
static bool refused_there;

static void *other_thread(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier); /* alive before the walls */
    pthread_barrier_wait(&barrier); /* they are up */
    refused_there = socket_refused(AF_INET, SOCK_STREAM);
    return NULL;
}

static const char *calls(void)
{
    pthread_t t;
    int pair[2];
    struct err e;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&t, NULL, other_thread, NULL)) return "no thread";
    pthread_barrier_wait(&barrier);
    int rc = sandbox_calls(true, &e);
    pthread_barrier_wait(&barrier);
    pthread_join(t, NULL);
    if (rc) return "sandbox_calls failed";
    if (!refused_there) return "a thread that ran before opened a socket";
    if (!socket_refused(AF_INET, SOCK_STREAM) || !socket_refused(AF_INET6, SOCK_DGRAM) || !socket_refused(AF_UNIX, SOCK_STREAM))
        return "opened a socket";
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) return "opened a pair of sockets";
    execl("/bin/true", "true", (char *)NULL);
    return errno == EPERM ? NULL : "ran a program, or failed otherwise";
}

static const char *calls_but_programs(void)
{
    struct err e;
    if (sandbox_calls(false, &e)) return "sandbox_calls failed";
    if (!socket_refused(AF_INET, SOCK_STREAM)) return "opened a socket";
    execl("/bin/true", "true", (char *)NULL);
    return "cannot run a program";
}

static void test_files(void **state)
{
    (void)state;
    if (!sandbox_landlock_version()) {
        print_message("# SKIP this kernel has no Landlock\n");
        skip();
    }
    in_child(files);
}

static void need_filters(void)
{
    if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0) return;
    print_message("# SKIP this kernel has no filters of system calls\n");
    skip();
}

static void test_calls(void **state)
{
    (void)state;
    need_filters();
    in_child(calls);
}

static void test_calls_but_programs(void **state)
{
    (void)state;
    need_filters();
    in_child(calls_but_programs);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(base)) return -1;
    snprintf(in, sizeof(in), "%s/in", base);
    snprintf(out, sizeof(out), "%s/out", base);
    return mkdir(in, 0700) || mkdir(out, 0700) || !can_make(path_in(out, "there")) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path_in(in, "f"));
    rmdir(path_in(in, "d"));
    unlink(path_in(out, "there"));
    rmdir(in);
    rmdir(out);
    return rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_calls_but_programs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
