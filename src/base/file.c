/*
 * file.c - opening, reading, replacing and hashing files.
 *
 * What is private is 0600 from its first moment, whatever the umask; a link in the place of a private file is refused; a file
 * that is replaced is at every moment either the old one or the new one. Nothing here waits on a FIFO it was not told to read.
 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The error for what errno says about path. */
static int file_err(struct err *e, const char *path, const char *what)
{
    int code;

    switch (errno) {
    case ENOENT: code = ERR_NOT_FOUND; break;
    case ENOMEM: code = ERR_NOMEM; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: code = ERR_FULL; break;
    case EACCES:
    case EPERM:
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO:
    case EROFS: code = ERR_FILE; break;
    default: code = ERR_IO;
    }
    return err_set_errno(e, code, "%s: cannot %s", path, what);
}

/* close, with errno as it was */
static void close_quietly(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
}

static int open_retry(int dir, const char *path, int flags, mode_t mode)
{
    int fd;
    do fd = openat(dir, path, flags, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens path without following a last link. *made tells whether the file is new. */
static int open_or_make(const char *path, int flags, bool *made)
{
    int plain = flags & ~(O_CREAT | O_EXCL);

    for (int tries = 0; tries < 8; tries++) {
        *made = false;
        if (flags & O_CREAT) {
            int fd = open_retry(AT_FDCWD, path, plain | O_CREAT | O_EXCL, 0600);
            *made = fd >= 0;
            if (fd >= 0 || errno != EEXIST || (flags & O_EXCL)) return fd;
        }
        int fd = open_retry(AT_FDCWD, path, plain, 0);
        /* removed between the two calls: once more */
        if (fd >= 0 || errno != ENOENT || !(flags & O_CREAT)) return fd;
    }
    return -1;
}

int file_open_private(const char *path, int flags, struct err *e)
{
    struct stat st;
    bool made;
    /* O_NONBLOCK: a FIFO in its place must not hang the open */
    int fd = open_or_make(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, &made);

    if (fd < 0) {
        if (errno == ELOOP && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
            err_set(e, ERR_FILE, "%s: is a symbolic link, which is not followed", path);
        } else {
            file_err(e, path, "open");
        }
        return -1;
    }
    if (fstat(fd, &st) != 0) {
        file_err(e, path, "open");
        close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        err_set(e, ERR_FILE, "%s: is not a regular file", path);
        return -1;
    }
    mode_t mode = st.st_mode & 07777, want = made ? 0600 : mode & 0700;
    int status = fcntl(fd, F_GETFL);
    if ((st.st_uid == geteuid() && mode != want && fchmod(fd, want) != 0) ||
        (!(flags & O_NONBLOCK) && (status < 0 || fcntl(fd, F_SETFL, status & ~O_NONBLOCK) != 0))) {
        file_err(e, path, "make private");
        close(fd);
        return -1;
    }
    return fd;
}

/* As read(2), but waits where the descriptor was left non-blocking by whoever shares it. */
static ssize_t read_some(int fd, void *buffer, size_t n)
{
    for (;;) {
        ssize_t got = read(fd, buffer, n);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
        if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            poll(&p, 1, -1);
        }
    }
}

int file_read(struct str *out, const char *path, size_t max, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    size_t before = out->len;
    int r = 0;

    int fd = standard ? STDIN_FILENO : open_retry(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0) return file_err(e, name, "open");
    for (;;) {
        /* one byte of room more than allowed shows that there is more */
        size_t have = out->len - before, room = max - have < 65536 ? max - have + 1 : 65536;
        if (!str_reserve(out, room)) {
            r = err_set(e, ERR_NOMEM, "%s: out of memory", name);
            break;
        }
        ssize_t got = read_some(fd, out->data + out->len, room);
        if (got < 0) r = file_err(e, name, "read");
        if (got <= 0) break;
        out->len += (size_t)got;
        if (out->len - before > max) {
            r = err_set(e, ERR_FILE, "%s: is larger than %zu bytes", name, max);
            break;
        }
    }
    if (!standard) close(fd);
    if (r != 0 && out->len > before) out->len = before;
    if (out->data) out->data[out->len] = '\0';
    return r;
}

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* A new private file of random name in the folder dir. Returns its descriptor, or -1 with errno. */
static int make_temporary(int dir, char name[32])
{
    for (int tries = 0; tries < 16; tries++) {
        uint64_t random;
        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) return -1;
        snprintf(name, 32, ".ponder-%016llx.tmp", (unsigned long long)random);
        int fd = open_retry(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* Fills a temporary file in dir and puts it in the place of base. Returns -1 with errno and nothing left behind. */
static int replace_in(int dir, const char *base, const void *bytes, size_t n, bool durable)
{
    char temporary[32];
    int fd = make_temporary(dir, temporary);

    if (fd < 0) return -1;
    bool good = fchmod(fd, 0600) == 0 && write_all(fd, bytes, n) == 0 && (!durable || fsync(fd) == 0);
    if (good) {
        good = close(fd) == 0;
    } else {
        close_quietly(fd);
    }
    if (good && renameat(dir, temporary, dir, base) == 0) return 0;
    int saved = errno;
    unlinkat(dir, temporary, 0);
    errno = saved;
    return -1;
}

static int write_file(const char *path, const void *bytes, size_t n, bool durable, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    struct stat st;

    if (!base[0]) return err_set(e, ERR_INVALID, "%s: is not the name of a file", path);
    /* a rename would put a plain file in the place of a device or pipe, or of a link to one */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) return err_set(e, ERR_FILE, "%s: is not a regular file", path);
    char *folder = slash ? mem_dup_text(path, slash == path ? 1 : (size_t)(slash - path)) : mem_dup_text(".", 1);
    if (!folder) return err_set(e, ERR_NOMEM, "out of memory");
    int dir = open_retry(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    free(folder);
    if (dir < 0) return file_err(e, path, "write");
    int r = 0;
    if (replace_in(dir, base, bytes, n, durable) != 0) {
        r = file_err(e, path, "write");
    } else if (durable && fsync(dir) != 0 && errno != EINVAL && errno != ENOTSUP) {
        r = file_err(e, path, "make durable");
    }
    close(dir);
    return r;
}

int file_write_atomic(const char *path, const void *bytes, size_t n, struct err *e)
{
    return write_file(path, bytes, n, true, e);
}

int file_write_cache(const char *path, const void *bytes, size_t n, struct err *e)
{
    return write_file(path, bytes, n, false, e);
}

/* Feeds the file to the hash. */
static int hash_descriptor(EVP_MD_CTX *hash, int fd, const char *path, uint64_t total, bool (*step)(void *, uint64_t, uint64_t), void *arg,
                           struct err *e)
{
    const size_t piece = 1 << 18, pieces_a_step = 64; /* 16 MiB */
    unsigned char *buffer = malloc(piece);
    uint64_t done = 0;
    int r = 0;

    if (!buffer) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; r == 0; i++) {
        if (step && i % pieces_a_step == 0 && !step(arg, done, total)) {
            r = err_set(e, ERR_STOPPED, "%s: hashing was stopped", path);
            break;
        }
        ssize_t got = read_some(fd, buffer, piece);
        if (got < 0) r = file_err(e, path, "read");
        if (got <= 0) break;
        if (!EVP_DigestUpdate(hash, buffer, (size_t)got)) r = err_set(e, ERR_FAILED, "%s: SHA-256 failed", path);
        done += (uint64_t)got;
    }
    free(buffer);
    return r;
}

int file_sha256(const char *path, char hex[65], bool (*step)(void *arg, uint64_t done, uint64_t total), void *arg, struct err *e)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct stat st;
    int r;

    hex[0] = '\0';
    int fd = open_retry(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) return file_err(e, path, "open");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_FILE, "%s: is not a regular file", path);
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash) {
        r = err_set(e, ERR_NOMEM, "out of memory");
    } else if (!EVP_DigestInit_ex(hash, EVP_sha256(), NULL)) {
        r = err_set(e, ERR_FAILED, "SHA-256 is not available");
    } else {
        r = hash_descriptor(hash, fd, path, (uint64_t)st.st_size, step, arg, e);
    }
    if (r == 0 && !EVP_DigestFinal_ex(hash, digest, NULL)) r = err_set(e, ERR_FAILED, "%s: SHA-256 failed", path);
    if (r == 0) {
        for (size_t i = 0; i < 32; i++) {
            hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
            hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
        }
        hex[64] = '\0';
    }
    EVP_MD_CTX_free(hash);
    close(fd);
    return r;
}
