/*
 * kv.c - the evaluated beginnings of conversations, on disk: $XDG_CACHE_HOME/ponder/kv/RECORD/CONVERSATION/.
 *
 * A timeline is kept in pieces of PIECE positions, a file each, so that a turn writes what it added and branches share what they have in
 * common. A file's name says its place in the chain: "INDEX-BEFORE-COUNT-AFTER.kv", where BEFORE and AFTER are the keys of the timeline in
 * front of it and up to its end. A key covers everything that the bits depend on, so a name is a promise, which the reader checks (kvfile.c).
 *
 * Files are written under another name and renamed, and never changed. Any number of programs may read, write and remove here at once: what is
 * gone is evaluated again.
 *
 * Text that the record has not is not kept here either: a conversation that was deleted or changed while its K/V were written loses them.
 */
#include "chat/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)256)
/* A temporary file of this age has lost its writer. */
#define STALE_S 60
#define NAME_SIZE 80

struct place {
    size_t index, count;
    uint64_t before, after;      /* the first bytes of the keys */
};

static uint64_t short_key(const struct kv_key *k)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v = v << 8 | k->bytes[i];
    return v;
}

static void name_of(const struct place *p, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%05zx-%016llx-%03zx-%016llx.kv", p->index, (unsigned long long)p->before, p->count, (unsigned long long)p->after);
}

/* False for what is not a name of ours. */
static bool place_of(const char *name, struct place *p)
{
    unsigned long long before, after;
    char same[NAME_SIZE];
    if (sscanf(name, "%5zx-%16llx-%3zx-%16llx.kv", &p->index, &before, &p->count, &after) != 4) return false;
    p->before = before;
    p->after = after;
    name_of(p, same);
    return !strcmp(name, same) && p->count && p->count <= PIECE;
}

/* ---- folders ------------------------------------------------------------------------------------------------------ */

/* Appends the folder of a conversation, of a whole record (0), or of all of them (store NULL). */
static int folder_of(struct str *out, struct store *store, int64_t conversation, struct err *e)
{
    char id[17];
    int rc = path_of(out, PATH_CACHE, "kv", e);
    if (!rc && store && !(rc = store_identity(store, id, e))) str_addf(out, "/%s", id);
    if (!rc && conversation) str_addf(out, "/%lld", (long long)conversation);
    return rc ? rc : str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* A folder's descriptor, -1 when it is not there or a link. */
static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Calls visit for every entry but "." and "..". Takes fd over. */
static void walk(int fd, void (*visit)(void *arg, int folder, const char *name), void *arg)
{
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    for (struct dirent *at; d && (at = readdir(d));)
        if (strcmp(at->d_name, ".") && strcmp(at->d_name, "..")) visit(arg, dirfd(d), at->d_name);
    if (d) closedir(d);
}

struct places {
    struct place *items;
    size_t n, cap;
};

static void collect(void *arg, int folder, const char *name)
{
    struct places *l = arg;
    struct place p;
    (void)folder;
    if (place_of(name, &p) && mem_grow(&l->items, &l->cap, l->n + 1, sizeof *l->items)) l->items[l->n++] = p;
}

/* ---- removing ------------------------------------------------------------------------------------------------------ */

static bool is_temporary(const char *name)
{
    size_t n = strlen(name);
    return n > 12 && !strncmp(name, ".ponder-", 8) && !strcmp(name + n - 4, ".tmp");
}

struct removal {
    int depth;                   /* of folders below */
    int failed;                  /* errno of the first that stayed */
};

static void remove_entry(void *arg, int folder, const char *name)
{
    struct removal *r = arg;
    struct removal below = {.depth = r->depth - 1};
    if (r->depth) {
        walk(open_folder(folder, name), remove_entry, &below);
        r->failed = r->failed ? r->failed : below.failed;
    }
    if (unlinkat(folder, name, r->depth ? AT_REMOVEDIR : 0) && errno != ENOENT && !r->failed) r->failed = errno;
}

int chat_forget(struct store *store, int64_t conversation, struct err *e)
{
    struct str path = STR_EMPTY;
    int failed = 0;

    if (!store_path(store)) return 0;
    int rc = folder_of(&path, store, conversation, e);
    /* another program may be writing */
    for (int tries = 0; !rc && tries < 3; tries++) {
        struct removal r = {.depth = conversation ? 0 : 1};
        walk(open_folder(AT_FDCWD, str_cstr(&path)), remove_entry, &r);
        if (rmdir(str_cstr(&path)) && errno != ENOENT && !r.failed) r.failed = errno;
        if (!(failed = r.failed)) break;
    }
    errno = failed;
    if (failed) rc = err_set_errno(e, ERR_IO, "%s: evaluated text cannot be removed", str_cstr(&path));
    str_release(&path);
    return rc;
}

/* ---- the budget ---------------------------------------------------------------------------------------------------- */

struct kept {
    char path[128];              /* below the folder of all records */
    size_t index;
    uint64_t bytes;
    int64_t used_ns;             /* when it was last read or written */
};
struct census {
    char prefix[96];
    int depth;
    struct kept *items;
    size_t n, cap;
    uint64_t bytes;
};

static void count_entry(void *arg, int folder, const char *name)
{
    struct census *c = arg;
    struct place p;
    struct stat st;

    if (c->depth < 2) {
        size_t n = strlen(c->prefix);
        if (snprintf(c->prefix + n, sizeof c->prefix - n, "%s/", name) < (int)(sizeof c->prefix - n)) {
            c->depth++;
            walk(open_folder(folder, name), count_entry, c);
            c->depth--;
        }
        c->prefix[n] = '\0';
        return;
    }
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW)) return;
    if (is_temporary(name) && st.st_mtim.tv_sec < clock_wall_ms() / 1000 - STALE_S) unlinkat(folder, name, 0);
    if (!place_of(name, &p) || !mem_grow(&c->items, &c->cap, c->n + 1, sizeof *c->items)) return;
    struct kept *k = &c->items[c->n];
    *k = (struct kept){.index = p.index, .bytes = (uint64_t)st.st_size, .used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    if (snprintf(k->path, sizeof k->path, "%s%s", c->prefix, name) >= (int)sizeof k->path) return;
    c->bytes += k->bytes;
    c->n++;
}

/* Least lately used first, and a chain from its end. */
static int older_first(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    if (x->used_ns != y->used_ns) return x->used_ns < y->used_ns ? -1 : 1;
    return x->index > y->index ? -1 : x->index < y->index;
}

/* Removes what was not used for longest until the rest is within the budget. */
static void trim(uint64_t budget)
{
    struct census c = {0};
    struct str path = STR_EMPTY;
    int top = folder_of(&path, NULL, 0, NULL) ? -1 : open_folder(AT_FDCWD, str_cstr(&path));

    if (top >= 0) walk(dup(top), count_entry, &c);
    if (c.bytes > budget) qsort(c.items, c.n, sizeof *c.items, older_first);
    for (size_t i = 0; i < c.n && c.bytes > budget; i++) {
        struct kept *k = &c.items[i];
        if (!unlinkat(top, k->path, 0)) c.bytes -= k->bytes;
        /* goes only where it was the last of its conversation */
        *strrchr(k->path, '/') = '\0';
        unlinkat(top, k->path, AT_REMOVEDIR);
    }
    if (top >= 0) close(top);
    free(c.items);
    str_release(&path);
}

/* ---- one conversation ------------------------------------------------------------------------------------------------ */

bool kv_allowed(const struct worker *w, const struct settings *set, int64_t conversation)
{
    return conversation > 0 && set->kv_disk > 0 && !set->private_chat && store_path(w->store);
}

/* A conversation's folder while it is read or written. */
struct shelf {
    struct str folder;
    int fd;
    struct places there;
    struct kv_key key;           /* up to `at` */
    size_t at;
    struct timespec now[2];      /* one time for all files of the chain */
};

static int shelf_open(struct shelf *f, struct worker *w, int64_t conversation, bool make)
{
    *f = (struct shelf){.fd = -1};
    int rc = folder_of(&f->folder, w->store, conversation, NULL);
    if (!rc && make) rc = path_make_folder(str_cstr(&f->folder), NULL);
    if (!rc) f->fd = open_folder(AT_FDCWD, str_cstr(&f->folder));
    if (f->fd < 0) return ERR_NOT_FOUND;
    walk(dup(f->fd), collect, &f->there);
    clock_gettime(CLOCK_REALTIME, &f->now[0]);
    f->now[1] = f->now[0];
    return kv_key_start(&f->key, w->session, NULL);
}

static void shelf_release(struct shelf *f)
{
    if (f->fd >= 0) close(f->fd);
    str_release(&f->folder);
    free(f->there.items);
}

static bool is_next(const struct shelf *f, const struct place *p)
{
    return p->index == f->at / PIECE && p->before == short_key(&f->key);
}

static void path_in(const struct shelf *f, const struct place *p, struct str *out)
{
    char name[NAME_SIZE];
    name_of(p, name);
    str_clear(out);
    str_addf(out, "%s/%s", str_cstr(&f->folder), name);
}

static void touch(const struct shelf *f, const struct place *p)
{
    char name[NAME_SIZE];
    name_of(p, name);
    utimensat(f->fd, name, f->now, AT_SYMLINK_NOFOLLOW);
}

/* Tries the files for the next piece, largest first, until nothing more is to be gained. */
static void read_piece(struct shelf *f, struct session *s, const int32_t *ids, size_t n)
{
    struct str path = STR_EMPTY;
    for (size_t most = PIECE, next = 0; most; most = next) {
        next = 0;
        for (size_t i = 0; i < f->there.n; i++) {
            const struct place *p = &f->there.items[i];
            size_t had;
            if (!is_next(f, p) || p->count > most) continue;
            if (p->count < most) {
                next = p->count > next ? p->count : next;
                continue;
            }
            path_in(f, p, &path);
            struct err e = {0};
            session_tokens(s, &had);
            int rc = str_ok(&path) ? session_load(s, &f->key, f->at, ids, n, str_cstr(&path), &e) : ERR_NOMEM;
            if (rc == ERR_FILE) unlink(str_cstr(&path));
            if (!rc && session_shared(s, ids, n) > had) touch(f, p);
        }
        if (session_shared(s, ids, n) >= f->at + PIECE) break;
    }
    str_release(&path);
}

void kv_read(struct worker *w, const struct settings *set, int64_t conversation, const int32_t *ids, size_t n)
{
    struct session *s = w->session;
    struct shelf f;
    size_t have = session_shared(s, ids, n);

    if (have == n || !kv_allowed(w, set, conversation)) return;
    int rc = shelf_open(&f, w, conversation, false);
    if (!rc && f.there.n) {
        session_truncate(s, have);
        while (!rc && f.at < n) {
            if (have < f.at + PIECE) read_piece(&f, s, ids, n);
            have = session_shared(s, ids, n);
            if (have < f.at + PIECE) break;
            rc = kv_key_add(&f.key, ids + f.at, PIECE, NULL);
            f.at += PIECE;
        }
    }
    shelf_release(&f);
}

static bool same_text(const char *text, size_t len, const struct str *s)
{
    return len == s->len && (!len || !memcmp(text, s->data, len));
}

/* Whether the record has every message of the branch as it is here. */
static bool recorded(struct worker *w, int64_t conversation)
{
    const struct branch *b = &w->ahead.branch;
    bool same = true;
    for (size_t i = 0; same && i < b->n; i++) {
        const struct line_message *m = &b->items[i];
        struct message_list l = {0};
        same = !store_load_message(w->store, m->id, &l, NULL) && l.n == 1 && l.items[0].conversation == conversation &&
               same_text(l.items[0].text, l.items[0].text_len, &m->text) && same_text(l.items[0].thought, l.items[0].thought_len, &m->thought);
        message_list_release(&l);
    }
    return same;
}

/* Removes files that hold the beginning of what `p` holds: the same branch, a turn earlier. */
static void drop_shorter(struct shelf *f, const struct place *p, const int32_t *ids)
{
    struct str path = STR_EMPTY;
    for (size_t i = 0; i < f->there.n; i++) {
        const struct place *q = &f->there.items[i];
        struct kv_key after = f->key;
        if (!is_next(f, q) || q->count >= p->count || kv_key_add(&after, ids + f->at, q->count, NULL) || short_key(&after) != q->after) continue;
        path_in(f, q, &path);
        if (str_ok(&path)) unlink(str_cstr(&path));
    }
    str_release(&path);
}

/* Writes the piece that begins at f->at, unless it is there. */
static int write_piece(struct shelf *f, const struct session *s, const int32_t *ids, size_t count)
{
    struct place p = {.index = f->at / PIECE, .count = count, .before = short_key(&f->key)};
    struct kv_key after = f->key;
    struct str path = STR_EMPTY;
    bool there = false;

    int rc = kv_key_add(&after, ids + f->at, count, NULL);
    p.after = short_key(&after);
    for (size_t i = 0; i < f->there.n; i++) there = there || !memcmp(&f->there.items[i], &p, sizeof p);
    if (!rc && there)
        touch(f, &p);
    else if (!rc) {
        path_in(f, &p, &path);
        rc = str_ok(&path) ? session_save(s, &f->key, f->at, count, str_cstr(&path), NULL) : ERR_NOMEM;
        if (!rc) touch(f, &p);
        if (!rc) drop_shorter(f, &p, ids);
    }
    f->key = after;
    f->at += count;
    str_release(&path);
    return rc;
}

bool kv_write(struct worker *w, const struct settings *set, int64_t conversation, const int32_t *ids, size_t n, bool (*go_on)(void *arg), void *arg)
{
    struct session *s = w->session;
    struct shelf f;
    uint64_t budget = (uint64_t)set->kv_disk << 20, bytes = 0;
    bool stopped = false;

    if (!kv_allowed(w, set, conversation) || !recorded(w, conversation)) return true;
    n = session_shared(s, ids, n);
    int rc = shelf_open(&f, w, conversation, true);
    while (!rc && f.at < n && !stopped) {
        size_t count = n - f.at < PIECE ? n - f.at : PIECE;
        /* more than the budget would only push out its own beginning */
        if ((bytes += session_file_bytes(s, count)) > budget) break;
        rc = write_piece(&f, s, ids, count);
        stopped = go_on && !go_on(arg);
    }
    stopped = stopped && f.at < n;
    shelf_release(&f);
    if (!recorded(w, conversation)) chat_forget(w->store, conversation, NULL);
    if (!stopped) trim(budget);
    return !stopped;
}
