/* doctor.c - `ponder doctor`: what this machine and installation offer, one line a fact. Exit code 1 when something would keep ponder from working well. */
#include "cli/cli.h"
#include "model/model.h"

#include <cblas.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utf8proc.h>

struct doctor {
    bool json;
    json_t *facts;
    int bad;
};

enum finding { FINE, NOTE, BAD };

static void fact(struct doctor *d, enum finding v, const char *what, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void fact(struct doctor *d, enum finding v, const char *what, const char *fmt, ...)
{
    static const char *const marks[] = {"ok  ", "note", "BAD "}, *const words[] = {"ok", "note", "bad"};
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->bad += v == BAD;
    if (d->json) {
        json_array_append_new(d->facts, json_pack("{s:s, s:s, s:s}", "what", what, "verdict", words[v], "text", text));
        return;
    }
    struct str line = STR_EMPTY;
    str_addf(&line, "%s %-14s %s\n", marks[v], what, text);
    cli_put(stdout, str_cstr(&line), line.len);
    str_release(&line);
}

static void cpu(struct doctor *d)
{
    struct str flags = STR_EMPTY;
    FILE *f = fopen("/proc/cpuinfo", "re");
    char name[128] = "unknown", *line = NULL;
    size_t cap = 0;
    static const char *const wanted[] = {"avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"};
    bool seen = false;
    while (f && getline(&line, &cap, f) > 0 && !seen) {
        char *value = strchr(line, ':');
        if (!value) continue;
        value[strcspn(value, "\n")] = ' ';
        if (!strncmp(line, "model name", 10)) snprintf(name, sizeof name, "%s", value + 2);
        if (strncmp(line, "flags", 5)) continue;
        seen = true;
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            char word[32];
            snprintf(word, sizeof word, " %s ", wanted[i]);
            if (strstr(value, word)) str_addf(&flags, "%s%s", flags.len ? " " : "", wanted[i]);
        }
    }
    free(line);
    if (f) fclose(f);
    fact(d, FINE, "processor", "%s", name);
    fact(d, flags.len ? FINE : NOTE, "features", "%s", flags.len ? flags.data : "none that ponder has kernels for");
    struct err e = {0};
    int rc = engine_kernels_init(&e);
    fact(d, rc ? BAD : FINE, "kernels", "%s", rc ? e.text : engine_kernels());
    fact(d, FINE, "threads", "%d by default", engine_default_threads());
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    fact(d, FINE, "memory", "%.1f GB", (double)pages * (double)size / 1e9);
    str_release(&flags);
}

static void libraries(struct doctor *d)
{
    fact(d, FINE, "ponder", "%s", PONDER_VERSION);
    fact(d, FINE, "OpenBLAS", "%s", openblas_get_config());
    fact(d, FINE, "SQLite", "%s", store_library_version());
    fact(d, FINE, "utf8proc", "%s", utf8proc_version());
    fact(d, FINE, "jansson", "%s", JANSSON_VERSION);
}

static void terminal(struct doctor *d)
{
    const char *term = getenv("TERM"), *codeset = nl_langinfo(CODESET);
    bool dumb = !term || !*term || !strcmp(term, "dumb");
    fact(d, dumb ? NOTE : FINE, "terminal", "%s%s", term && *term ? term : "TERM is not set", dumb ? ": plain mode will be used" : "");
    fact(d, strcmp(codeset, "UTF-8") ? NOTE : FINE, "locale", "%s%s", codeset, strcmp(codeset, "UTF-8") ? ": letters outside it show as stand-ins" : "");
    const char *no = getenv("NO_COLOR");
    fact(d, FINE, "colour", "%s", no && *no ? "off (NO_COLOR)" : "as the terminal has it");
}

static void folder(struct doctor *d, const char *what, enum path_kind kind)
{
    struct str path = STR_EMPTY;
    struct err e = {0};
    struct stat st;
    if (path_of(&path, kind, NULL, &e)) {
        fact(d, BAD, what, "%s", e.text);
    } else if (stat(path.data, &st)) {
        fact(d, FINE, what, "%s (not made yet)", path.data);
    } else if (access(path.data, W_OK)) {
        fact(d, BAD, what, "%s: cannot be written", path.data);
    } else if (st.st_mode & 077 && kind != PATH_CONFIG) {
        fact(d, NOTE, what, "%s: open to others (mode %03o), make it 700", path.data, (unsigned)st.st_mode & 0777);
    } else {
        struct statvfs v;
        bool known = !statvfs(path.data, &v);
        fact(d, FINE, what, "%s (%.1f GB free)", path.data, known ? (double)v.f_bavail * (double)v.f_frsize / 1e9 : 0.0);
    }
    str_release(&path);
}

static void database(struct doctor *d)
{
    struct str path = STR_EMPTY;
    struct stat st;
    if (!path_of(&path, PATH_DATA, "ponder.db", NULL) && !stat(path.data, &st)) {
        bool open = st.st_mode & 077;
        fact(d, open ? NOTE : FINE, "conversations", "%s, %.1f MB, mode %03o%s", path.data, (double)st.st_size / 1e6, (unsigned)st.st_mode & 0777,
             open ? ": readable by others, make it 600" : "");
    }
    str_release(&path);
}

static void guards(struct doctor *d)
{
    struct utsname u;
    if (!uname(&u)) fact(d, FINE, "kernel", "%s %s", u.sysname, u.release);
    /* tried in a process of its own: walls stay up */
    pid_t child = fork();
    if (child == 0) {
        bool files = !sandbox_files(NULL, 0, NULL) && open("/tmp/.", O_TMPFILE | O_WRONLY, 0600) < 0;
        bool calls = !sandbox_calls(true, NULL) && socket(AF_UNIX, SOCK_STREAM, 0) < 0;
        _exit((files ? 0 : 1) + (calls ? 0 : 2));
    }
    int status = 0, missing = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
    if (missing & 1)
        fact(d, NOTE, "Landlock", "this kernel lacks it or has it off: a chat could write to all your files");
    else
        fact(d, FINE, "Landlock", "version %d: a chat writes to its own folders only", sandbox_landlock_version());
    if (missing & 2)
        fact(d, NOTE, "seccomp", "this kernel lacks it or has it off: nothing keeps a chat from sockets and programs");
    else
        fact(d, FINE, "seccomp", "a chat opens no sockets and runs no programs");
}

static void models(struct doctor *d)
{
    struct err e = {0};
    size_t here = 0, all = 0;
    for (;; all++) {
        struct str name = STR_EMPTY, note = STR_EMPTY;
        bool more = model_name_at(all, &name, &note);
        here += more && !strstr(str_cstr(&note), "not fetched");
        str_release(&name);
        str_release(&note);
        if (!more) break;
    }
    if (!catalogue_at(0, &e))
        fact(d, BAD, "catalogue", "%s", e.code ? e.text : "is empty");
    else
        fact(d, here ? FINE : NOTE, "models", "%zu of %zu here%s", here, all, here ? "" : ": `ponder pull smollm2-135m` fetches the first");
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor d = {.json = argc > 1 && !strcmp(argv[1], "--json")};
    if (argc > 1 + d.json) return cli_usage(argv[0], "unknown argument %s", argv[1 + d.json]);
    d.facts = json_array();
    cpu(&d);
    libraries(&d);
    terminal(&d);
    folder(&d, "settings", PATH_CONFIG);
    folder(&d, "data", PATH_DATA);
    folder(&d, "state", PATH_STATE);
    folder(&d, "cache", PATH_CACHE);
    database(&d);
    models(&d);
    guards(&d);
    if (d.json) {
        char *s = json_write(d.facts, JSON_INDENT(2));
        if (s) puts(s);
        free(s);
    }
    json_decref(d.facts);
    return cli_finish(d.bad ? 1 : 0);
}
