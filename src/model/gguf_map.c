/*
 * gguf_map.c - GGUF files under their mappings: opened, told by address when one is cut short, given back or held in memory.
 */
#include "model/gguf_impl.h"
#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- for a handler of SIGBUS ---------------------------------------------------------------------------------- */

/* A file can be cut short under its mapping; what then reads it gets a signal, whose handler may take no lock. So the table is fixed, and an
 * entry counts once its base is set. More mappings than entries are left out, and are then an ordinary crash. */
enum { MAX_MAPPINGS = 64 };
static struct {
    _Atomic(const uint8_t *) base;
    size_t size;
    char name[256];
} mappings[MAX_MAPPINGS];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

static void mappings_add(const uint8_t *base, size_t size, const char *path)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, path, strlen(path), TEXT_ONE_LINE);
    pthread_mutex_lock(&mappings_lock);
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        if (atomic_load(&mappings[i].base)) continue;
        snprintf(mappings[i].name, sizeof(mappings[i].name), "%s", str_cstr(&line));
        mappings[i].size = size;
        atomic_store(&mappings[i].base, base);
        break;
    }
    pthread_mutex_unlock(&mappings_lock);
    str_release(&line);
}

static void mappings_drop(const uint8_t *base)
{
    pthread_mutex_lock(&mappings_lock);
    for (size_t i = 0; i < MAX_MAPPINGS; i++)
        if (atomic_load(&mappings[i].base) == base) atomic_store(&mappings[i].base, NULL);
    pthread_mutex_unlock(&mappings_lock);
}

const char *model_file_at(const void *address)
{
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        const uint8_t *base = atomic_load(&mappings[i].base);
        if (base && (const uint8_t *)address >= base && (size_t)((const uint8_t *)address - base) < mappings[i].size) return mappings[i].name;
    }
    return NULL;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* Maps the regular file behind fd. *bytes is NULL for an empty one. */
static int map_file(int fd, const char *path, void **bytes, size_t *n, struct file_identity *id, struct err *e)
{
    struct stat st;
    *bytes = NULL;
    *n = 0;
    if (fstat(fd, &st) != 0) return err_set_errno(e, ERR_FILE, "%s: cannot be examined", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_FILE, "%s: is %s, not a file", path, S_ISDIR(st.st_mode) ? "a folder" : "something else");
    file_identity_of(id, &st);
    if (st.st_size <= 0) return ERR_OK;
    *n = (size_t)st.st_size;
    void *p = mmap(NULL, *n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return err_set_errno(e, errno == ENOMEM ? ERR_NOMEM : ERR_FILE, "%s: cannot be mapped", path);
    *bytes = p;
    return ERR_OK;
}

int gguf_open(struct gguf **out, const char *path, struct err *e)
{
    *out = NULL;
    /* Without O_NONBLOCK a named pipe would block here, before fstat can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return err_set_errno(e, ERR_FILE, "%s: cannot be opened", path);
    struct file_identity id = {0};
    void *bytes;
    size_t n;
    int rc = map_file(fd, path, &bytes, &n, &id, e);
    close(fd);
    if (rc) return rc;
    if (bytes) mappings_add(bytes, n, path);
    rc = gguf_open_memory(out, bytes ? bytes : "", n, path, e);
    if (!rc) {
        (*out)->mapped = true;
        (*out)->identity = id;
    } else if (bytes) {
        mappings_drop(bytes);
        munmap(bytes, n);
    }
    return rc;
}

void gguf_unmap(struct gguf *g)
{
    if (!g->mapped) return;
    mappings_drop(g->base);
    munmap((void *)(uintptr_t)g->base, g->size);
    g->mapped = false;
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

void gguf_rest_header(const struct gguf *g)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (const struct gguf *part = g; part; part = part->next) {
        size_t end = part->size;
        for (size_t i = 0; i < g->n_tensors; i++) {
            uintptr_t at = (uintptr_t)g->tensors[i].data - (uintptr_t)part->base;
            if (at < end) end = at;
        }
        if (part->mapped) madvise((void *)(uintptr_t)part->base, end / page * page, MADV_DONTNEED);
    }
}

int gguf_lock(const struct gguf *g, struct err *e)
{
    struct rlimit limit = {0};
    const struct gguf *part = g;
    while (part && (!part->mapped || !part->size || mlock(part->base, part->size) == 0)) part = part->next;
    if (!part) return ERR_OK;
    int rc = err_set_errno(e, ERR_NOMEM, "%s: cannot be held in memory", g->path);
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < gguf_file_bytes(g))
        rc = err_set(e, ERR_NOMEM, "%s: cannot be held in memory: it has %zu kB, and `ulimit -l` allows %llu", g->path, gguf_file_bytes(g) >> 10,
                     (unsigned long long)limit.rlim_cur >> 10);
    for (const struct gguf *held = g; held != part; held = held->next)
        if (held->mapped && held->size) munlock(held->base, held->size);
    return rc;
}
