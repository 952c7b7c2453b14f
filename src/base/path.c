/*
 * path.c - where the program's files live, and making the folders for them.
 *
 * Paths follow the XDG base directory specification 0.8. Folders are walked part by part through descriptors, so that what
 * was checked is what is used.
 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *variable;
    const char *below_home;
} path_kinds[] = {
    [PATH_CONFIG] = {"XDG_CONFIG_HOME", ".config"},
    [PATH_DATA] = {"XDG_DATA_HOME", ".local/share"},
    [PATH_STATE] = {"XDG_STATE_HOME", ".local/state"},
    [PATH_CACHE] = {"XDG_CACHE_HOME", ".cache"},
};

/* Appends $HOME, or the home folder of the user database where HOME does not name an absolute one. */
static int add_home(struct str *out, struct err *e)
{
    const char *home = getenv("HOME");

    if (home && home[0] == '/') {
        str_add(out, home);
        return 0;
    }
    struct passwd entry, *found = NULL;
    char buffer[4096];
    int failed = getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found);
    if (failed != 0 || !found || !entry.pw_dir || entry.pw_dir[0] != '/')
        return err_set(e, ERR_FAILED, "no home folder: set HOME to an absolute path");
    str_add(out, entry.pw_dir);
    return 0;
}

int path_of(struct str *out, enum path_kind kind, const char *name, struct err *e)
{
    const char *folder = getenv(path_kinds[kind].variable);

    if (folder && folder[0] == '/') {
        str_add(out, folder);
    } else {
        int r = add_home(out, e);
        if (r != 0) return r;
        str_add_char(out, '/');
        str_add(out, path_kinds[kind].below_home);
    }
    str_add(out, "/ponder");
    if (name) {
        str_add_char(out, '/');
        str_add(out, name);
    }
    return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* The next part of *path into part, NAME_MAX bytes at most, "." left out. Returns its length, 0 at the end, -1 when it is too
 * long for a name. *last tells that no part follows. */
static int next_part(const char **path, char part[NAME_MAX + 1], bool *last)
{
    const char *p = *path;
    size_t n;

    do {
        p += strspn(p, "/");
        n = strcspn(p, "/");
        if (n > NAME_MAX) return -1;
        memcpy(part, p, n);
        part[n] = '\0';
        p += n;
    } while (strcmp(part, ".") == 0);
    *path = p;
    for (;;) {
        p += strspn(p, "/");
        if (p[0] != '.' || (p[1] != '/' && p[1] != '\0')) break;
        p++;
    }
    *last = *p == '\0';
    return (int)n;
}

/* Opens the folder `part` in dir, making it 0700 when it is missing. A link is followed unless last. Returns -1 with errno. */
static int enter_folder(int dir, const char *part, bool last)
{
    int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (last ? O_NOFOLLOW : 0);
    int fd = openat(dir, part, flags);

    if (fd >= 0 || errno != ENOENT) return fd;
    if (mkdirat(dir, part, 0700) != 0) return errno == EEXIST ? openat(dir, part, flags) : -1;
    fd = openat(dir, part, flags | O_NOFOLLOW);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) != 0700) {
        /* an umask that takes bits from the owner too */
        if (fchmodat(dir, part, 0700, 0) != 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
    }
    return fd;
}

int path_make_folder(const char *path, struct err *e)
{
    char part[NAME_MAX + 1];
    const char *rest = path;
    bool last = false;

    if (!path[0]) return err_set(e, ERR_INVALID, "a folder's name is empty");
    int dir = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return err_set_errno(e, ERR_IO, "%s", path);
    while (!last) {
        int n = next_part(&rest, part, &last);
        if (n == 0) break;
        errno = ENAMETOOLONG;
        int inner = n < 0 ? -1 : enter_folder(dir, part, last);
        if (inner < 0) {
            int saved = errno;
            struct stat st;
            bool link = n > 0 && saved == ENOTDIR && last && fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
            close(dir);
            if (link) return err_set(e, ERR_FILE, "%s: is a symbolic link, which is not followed", path);
            errno = saved;
            return err_set_errno(e, saved == ENOSPC || saved == EDQUOT ? ERR_FULL : ERR_FILE, "%s: cannot make the folder", path);
        }
        close(dir);
        dir = inner;
    }
    close(dir);
    return 0;
}

/* ---- what is shipped with the program --------------------------------------------------------------------------- */

#ifndef PONDER_DATADIR
#define PONDER_DATADIR "/usr/local/share/ponder"
#endif

bool path_shared_at(size_t i, const char *name, struct str *out)
{
    static const char *const beside[] = {"../", "../share/ponder/"};
    char exe[4096];
    const char *env;

    if (i == 0) {
        env = getenv("PONDER_DATADIR");
        return env && env[0] ? (str_addf(out, "%s/%s", env, name), true) : path_shared_at(1, name, out);
    }
    if (i > ARRAY_LEN(beside)) {
        if (i == ARRAY_LEN(beside) + 1) str_addf(out, "%s/%s", PONDER_DATADIR, name);
        return i == ARRAY_LEN(beside) + 1;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
    if (n <= 0 || (size_t)n >= sizeof(exe)) return path_shared_at(ARRAY_LEN(beside) + 1, name, out);
    while (n > 0 && exe[n - 1] != '/') n--;
    str_add_bytes(out, exe, (size_t)n);
    str_addf(out, "%s%s", beside[i - 1], name);
    return true;
}

int path_shared(struct str *out, const char *name, struct err *e)
{
    struct str path = STR_EMPTY;
    bool found = false;

    for (size_t i = 0; !found && path_shared_at(i, name, &path); i++) {
        found = str_ok(&path) && access(str_cstr(&path), R_OK) == 0;
        if (found) str_add_bytes(out, path.data, path.len);
        str_clear(&path);
    }
    str_release(&path);
    return found ? 0 : err_set(e, ERR_NOT_FOUND, "%s is not where ponder is installed", name);
}
