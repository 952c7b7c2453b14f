/*
 * outside.c - the process outside the walls: what the sandboxed program may not do itself and the user asks for, an editor and a file
 * somewhere else.
 *
 * It is a fork made before the walls, the threads and the record, and waits for requests on a pipe; the pipe's end is its end too. It trusts
 * what it is asked as little as it can: the editor is the one of the environment it began with, and it makes new files only, none
 * of them hidden, so that text which took over the program could still not change what a shell runs.
 *
 * On the pipe, to it: struct request, the path, the bytes. From it: struct reply.
 */
#include "ui/ui.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES_MAX = 64 << 20, PATH_BYTES_MAX = 4096, MADE_MAX = 64 };

struct request {
    uint32_t edit, path_len;
    uint64_t n;
};

struct reply {
    int32_t code; /* enum ponder_err, or the editor's exit code */
    char text[512];
};

static int to_it = -1, from_it = -1;
static pid_t pid;

static bool read_exactly(int fd, void *buffer, size_t n)
{
    for (char *p = buffer; n > 0;) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_exactly(int fd, const void *bytes, size_t n)
{
    for (const char *p = bytes; n > 0;) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* ---- what it does -------------------------------------------------------------------------------------------------- */

static int run_editor(const char *path)
{
    const char *editor = getenv("VISUAL");
    if (!editor || !*editor) editor = getenv("EDITOR");
    if (!editor || !*editor) editor = "vi";
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        static const int usual[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};
        for (size_t i = 0; i < ARRAY_LEN(usual); i++) signal(usual[i], SIG_DFL);
        struct str cmd = STR_EMPTY;
        str_addf(&cmd, "%s \"$1\"", editor);
        execl("/bin/sh", "sh", "-c", str_cstr(&cmd), "sh", path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool hidden(const char *path)
{
    for (const char *p = path; *p; p += strcspn(p, "/")) {
        p += strspn(p, "/");
        if (*p == '.' && p[1] != '/' && p[1] != '\0' && !(p[1] == '.' && (p[2] == '/' || p[2] == '\0'))) return true;
    }
    return false;
}

/* New files only, and those made by an earlier request. */
static int write_new(const char *path, const void *bytes, size_t n, struct err *e)
{
    static struct {
        dev_t device;
        ino_t inode;
    } made[MADE_MAX];
    static size_t n_made;
    struct stat st;
    char *folder = mem_dup_text(path, strlen(path)), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) slash[slash == folder] = '\0';
    char *real = folder ? realpath(slash ? folder : ".", NULL) : NULL;
    int rc = real ? 0 : err_set_errno(e, ERR_FILE, "%s", path);
    const char *base = strrchr(path, '/');
    if (!rc && (hidden(real) || hidden(base ? base : path))) rc = err_set(e, ERR_FILE, "%s: a chat writes no hidden file", path);
    free(folder);
    free(real);
    if (!rc && !lstat(path, &st)) {
        bool ours = false;
        for (size_t i = 0; i < n_made; i++) ours |= made[i].device == st.st_dev && made[i].inode == st.st_ino;
        if (!ours) rc = err_set(e, ERR_FILE, "%s: is there already, and a chat replaces no file", path);
    }
    if (!rc) rc = file_write_atomic(path, bytes, n, e);
    if (!rc && !lstat(path, &st)) {
        made[n_made % MADE_MAX].device = st.st_dev;
        made[n_made % MADE_MAX].inode = st.st_ino;
        n_made += n_made < MADE_MAX;
    }
    return rc;
}

static bool serve(int in, int out)
{
    struct request q;
    struct reply r = {0};
    if (!read_exactly(in, &q, sizeof q) || !q.path_len || q.path_len > PATH_BYTES_MAX || q.n > BYTES_MAX) return false;
    char *path = calloc(q.path_len + 1, 1), *bytes = malloc(q.n ? q.n : 1);
    bool good = path && bytes && read_exactly(in, path, q.path_len) && read_exactly(in, bytes, q.n);
    struct err e = {0};
    if (good) r.code = q.edit ? run_editor(path) : write_new(path, bytes, q.n, &e);
    memcpy(r.text, e.text, sizeof r.text);
    free(path);
    free(bytes);
    return good && write_exactly(out, &r, sizeof r);
}

static void live(int in, int out)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) signal(ignored[i], SIG_IGN);
    while (serve(in, out)) {
    }
    _exit(0);
}

/* ---- asking it ------------------------------------------------------------------------------------------------------ */

int outside_start(struct err *e)
{
    int down[2], up[2];
    if (pipe2(down, O_CLOEXEC)) return err_set_errno(e, ERR_FAILED, "no pipe to the process for editors");
    if (pipe2(up, O_CLOEXEC)) {
        close(down[0]);
        close(down[1]);
        return err_set_errno(e, ERR_FAILED, "no pipe to the process for editors");
    }
    pid = fork();
    if (pid == 0) {
        close(down[1]);
        close(up[0]);
        live(down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    to_it = down[1];
    from_it = up[0];
    if (pid > 0) return 0;
    outside_stop();
    return err_set_errno(e, ERR_FAILED, "no process for editors");
}

void outside_stop(void)
{
    if (to_it >= 0) close(to_it);
    if (from_it >= 0) close(from_it);
    to_it = from_it = -1;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    pid = 0;
}

/* False when it is gone: then it stays so. */
static bool ask_it(bool edit, const char *path, const void *bytes, size_t n, struct reply *r)
{
    struct request q = {.edit = edit, .path_len = (uint32_t)strlen(path), .n = n};
    if (to_it < 0) return false;
    bool good = write_exactly(to_it, &q, sizeof q) && write_exactly(to_it, path, q.path_len) && write_exactly(to_it, bytes, n) &&
                read_exactly(from_it, r, sizeof *r);
    if (!good) outside_stop();
    return good;
}

int outside_edit(const char *path)
{
    struct reply r;
    return ask_it(true, path, "", 0, &r) ? r.code : run_editor(path);
}

int outside_write(const char *path, const void *bytes, size_t n, struct err *e)
{
    struct reply r;
    if (n > BYTES_MAX || strlen(path) > PATH_BYTES_MAX) return err_set(e, ERR_TOO_LONG, "%.60s...: more than a chat writes", path);
    if (!ask_it(false, path, bytes, n, &r)) return file_write_atomic(path, bytes, n, e);
    r.text[sizeof r.text - 1] = '\0';
    return r.code ? err_set(e, r.code, "%s", r.text) : 0;
}
