/*
 * hash.c - the SHA-256 of a model file, remembered in the cache folder.
 *
 * The cache is a text file, a line a model: "device inode size mtime_ns hex". It is a hint: a damaged line is dropped, a
 * missing or unwritable file costs only time, and two programs that write at once lose at most an entry.
 */
#include "model/identity.h"
#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is read at most, and what is kept when it is written again: some 200 models. */
enum { MAX_CACHE_BYTES = 1 << 20, KEEP_CACHE_BYTES = 24 << 10 };

void file_identity_of(struct file_identity *id, const struct stat *st)
{
    id->device = (uint64_t)st->st_dev;
    id->inode = (uint64_t)st->st_ino;
    id->size = (uint64_t)st->st_size;
    id->mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

void file_identity_add(const struct file_identity *id, struct str *out)
{
    str_addf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, id->device, id->inode, id->size, id->mtime_ns);
}

static int identify(struct file_identity *id, const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st)) return err_set_errno(e, ERR_FILE, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_set(e, ERR_FILE, "%s: not a regular file", path);
    file_identity_of(id, &st);
    return 0;
}

static bool same_identity(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/* One line without its newline; false where it is not exactly what format_line writes. */
static bool parse_line(const char *line, struct file_identity *id, char hex[65])
{
    int end = -1;

    if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %64[0-9a-f]%n", &id->device, &id->inode, &id->size, &id->mtime_ns,
               hex, &end) != 5)
        return false;
    return end > 0 && line[end] == '\0' && strlen(hex) == 64;
}

static void format_line(struct str *out, const struct file_identity *id, const char *hex)
{
    file_identity_add(id, out);
    str_addf(out, " %s\n", hex);
}

/* Walks the cache's text. True, with hex filled, when id is in it; the sound lines of other files go to keep, newest last. */
static bool look_up(const struct str *text, const struct file_identity *id, char hex[65], struct str *keep)
{
    const char *at = str_cstr(text), *stop = at + text->len;
    bool found = false;

    while (at < stop) {
        const char *eol = memchr(at, '\n', (size_t)(stop - at));
        size_t len = eol ? (size_t)(eol - at) : (size_t)(stop - at);
        char line[256], line_hex[65];
        struct file_identity line_id;
        if (len < sizeof(line)) {
            memcpy(line, at, len);
            line[len] = '\0';
            if (strlen(line) == len && parse_line(line, &line_id, line_hex)) {
                if (same_identity(&line_id, id)) {
                    memcpy(hex, line_hex, 65);
                    found = true;
                } else if (line_id.device != id->device || line_id.inode != id->inode) {
                    format_line(keep, &line_id, line_hex);
                }
            }
        }
        at += len + 1;
    }
    return found;
}

struct stopper {
    const volatile bool *stop;
};

static bool go_on(void *arg, uint64_t done, uint64_t total)
{
    const struct stopper *s = arg;

    (void)done;
    (void)total;
    return !s->stop || !*s->stop;
}

/* Reads the cache file into text, empty where there is none. */
static void read_cache(struct str *path, struct str *text)
{
    if (path_of(path, PATH_CACHE, "hashes", NULL) || file_read(text, str_cstr(path), MAX_CACHE_BYTES, NULL)) str_clear(text);
}

static void write_cache(const struct str *path, struct str *keep, const struct file_identity *id, const char *hex)
{
    struct str folder = STR_EMPTY;

    while (keep->len > KEEP_CACHE_BYTES) {
        const char *eol = memchr(keep->data, '\n', keep->len);
        str_erase(keep, 0, eol ? (size_t)(eol - keep->data) + 1 : keep->len);
    }
    format_line(keep, id, hex);
    if (path->len && str_ok(keep) && !path_of(&folder, PATH_CACHE, NULL, NULL) && !path_make_folder(str_cstr(&folder), NULL))
        file_write_atomic(str_cstr(path), keep->data, keep->len, NULL);
    str_release(&folder);
}

int model_file_hash(const char *path, char hex[65], const volatile bool *stop, struct err *e)
{
    struct str cache = STR_EMPTY, text = STR_EMPTY, keep = STR_EMPTY;
    struct file_identity id, after;
    struct stopper stopper = {stop};

    int rc = identify(&id, path, e);
    if (rc) return rc;
    read_cache(&cache, &text);
    if (!look_up(&text, &id, hex, &keep)) {
        rc = file_sha256(path, hex, go_on, &stopper, e);
        if (!rc && !(rc = identify(&after, path, e)) && same_identity(&id, &after)) write_cache(&cache, &keep, &id, hex);
    }
    str_release(&cache);
    str_release(&text);
    str_release(&keep);
    return rc;
}
