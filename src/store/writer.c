/*
 * writer.c - who is alive: telling a reply that is being written from one whose writer died.
 *
 * Every store that streams replies holds a lock on a slot of its own in a file beside the database (ponder.db.writers), for as long as it
 * is open; the kernel gives the lock back however the process ends. The slot also holds a random id, which the rows it streams carry: a
 * slot that was taken over by another store does not keep a dead one's replies alive. The locks are of the open file description
 * (F_OFD_SETLK), so that several stores in one process are told apart.
 *
 * When it cannot be told, a writer counts as alive: a reply shown as running is mended at the next opening, one taken from a living
 * writer is not.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SLOTS      1024
#define SLOT_BYTES 32 /* the id without its NUL */

static int open_writers(struct store *s, struct err *e)
{
    struct str name = STR_EMPTY;

    if (s->writers_fd >= 0) return 0;
    str_addf(&name, "%s.writers", s->path);
    if (!str_ok(&name)) return err_set(e, ERR_NOMEM, "out of memory");
    struct err own = {0};
    s->writers_fd = file_open_private(str_cstr(&name), O_RDWR | O_CREAT, &own);
    str_release(&name);
    if (s->writers_fd >= 0) return 0;
    return err_set(e, own.code, "%s", own.text);
}

/* The lock of a slot: F_OFD_SETLK takes it (0, or -1 with errno), F_OFD_GETLK fills *free_now. */
static int slot_lock(int fd, int64_t slot, int command, bool *free_now)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)(slot * SLOT_BYTES), .l_len = SLOT_BYTES};
    int rc;

    do rc = fcntl(fd, command, &lock);
    while (rc != 0 && errno == EINTR);
    if (free_now) *free_now = rc == 0 && lock.l_type == F_UNLCK;
    return rc;
}

static int make_id(char id[WRITER_ID_SIZE], struct err *e)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return err_set_errno(e, ERR_FAILED, "no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++) {
        id[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    id[2 * sizeof bytes] = '\0';
    return 0;
}

int writer_claim(struct store *s, struct err *e)
{
    if (s->writer_slot >= 0) return 0;
    int rc = make_id(s->writer_id, e);
    if (rc) return rc;
    if (!s->path) {
        s->writer_slot = 0;
        return 0;
    }
    rc = open_writers(s, e);
    if (rc) return rc;
    for (int slot = 0; slot < SLOTS; slot++) {
        if (slot_lock(s->writers_fd, slot, F_OFD_SETLK, NULL) != 0) {
            if (errno == EAGAIN || errno == EACCES) continue;
            return err_set_errno(e, ERR_DB, "%s.writers: cannot be locked", s->path);
        }
        ssize_t n = pwrite(s->writers_fd, s->writer_id, SLOT_BYTES, (off_t)slot * SLOT_BYTES);
        if (n != SLOT_BYTES) {
            bool full = n >= 0 || errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
            rc = err_set_errno(e, full ? ERR_FULL : ERR_IO, "%s.writers", s->path);
            close(s->writers_fd); /* gives the slot back */
            s->writers_fd = -1;
            return rc;
        }
        s->writer_slot = slot;
        return 0;
    }
    return err_set(e, ERR_BUSY, "%s: %d programs are writing to it", s->path, SLOTS);
}

void writer_release(struct store *s)
{
    if (s->writers_fd >= 0) close(s->writers_fd);
    s->writers_fd = s->writer_slot = -1;
}

bool writer_alive(struct store *s, int64_t slot, const char *id)
{
    char holder[SLOT_BYTES];
    bool free_now = false;

    if (s->writer_slot >= 0 && slot == s->writer_slot) return !strcmp(id, s->writer_id);
    if (!s->path || slot < 0 || slot >= SLOTS) return false;
    if (open_writers(s, NULL) != 0) return true;
    if (slot_lock(s->writers_fd, slot, F_OFD_GETLK, &free_now) != 0) return true;
    if (free_now) return false;
    if (pread(s->writers_fd, holder, sizeof holder, (off_t)slot * SLOT_BYTES) != (ssize_t)sizeof holder) return true;
    return strlen(id) == sizeof holder && !memcmp(holder, id, sizeof holder);
}

/* ---- replies of the dead ------------------------------------------------------------------------------------ */

/* How the thought of a reply ended whose answer had begun: as its writer noted it; where it noted nothing, a closing that no program put
 * there was the model's own. */
/* clang-format off */
#define ENDING_OF_THOUGHT \
    "CASE WHEN (SELECT text FROM messages WHERE id = ?1) = '' THEN 'interrupted'" \
    " WHEN EXISTS (SELECT 1 FROM events WHERE message = ?1 AND kind = 'closed') THEN" \
    "  (SELECT value FROM events WHERE message = ?1 AND kind = 'closed' ORDER BY id DESC LIMIT 1)" \
    " WHEN (SELECT thought FROM messages WHERE id = ?1) = '' THEN 'none'" \
    " WHEN EXISTS (SELECT 1 FROM spans WHERE message = ?1 AND kind IN ('close', 'wrap_up')) THEN" \
    "  CASE (SELECT kind FROM events WHERE message = ?1 AND kind IN ('answer_now', 'loop') ORDER BY id DESC LIMIT 1)" \
    "   WHEN 'answer_now' THEN 'answer_now' WHEN 'loop' THEN 'loop' ELSE 'budget_hard' END" \
    " ELSE 'natural' END"
/* clang-format on */

static int interrupt_reply(struct store *s, int64_t reply, struct err *e)
{
    struct query q;

    int rc = reply_consolidate(s, reply, "", 0, "", 0, e);
    if (rc) return rc;
    query_init(&q, s,
               "UPDATE replies SET ended = " ENDING_OF_THOUGHT ","
               " answer_ended = CASE (SELECT text FROM messages WHERE id = ?1) WHEN '' THEN NULL ELSE 'interrupted' END"
               " WHERE message = ?1",
               e);
    query_int(&q, 1, reply);
    return query_run(&q);
}

/* The replies whose writers are dead; *out is malloc'ed, the caller's. */
static int find_dead(struct store *s, int64_t **out, size_t *n, struct err *e)
{
    struct query q;
    size_t cap = 0;

    *out = NULL;
    *n = 0;
    query_init(&q, s, "SELECT message, slot, writer FROM streams ORDER BY message", e);
    while (query_row(&q)) {
        char *id = query_get_text(&q, 2, NULL);
        if (id && !writer_alive(s, query_get_int(&q, 1), id)) {
            if (mem_grow(out, &cap, *n + 1, sizeof **out)) {
                (*out)[(*n)++] = query_get_int(&q, 0);
            } else {
                q.rc = err_set(e, ERR_NOMEM, "out of memory");
            }
        }
        free(id);
    }
    return query_end(&q);
}

int writer_recover(struct store *s, struct err *e)
{
    int64_t *dead = NULL, any = 0;
    size_t n = 0;

    int rc = db_number(s, "SELECT EXISTS (SELECT 1 FROM streams)", &any, e);
    if (rc || !any) return rc;
    rc = find_dead(s, &dead, &n, e);
    free(dead);
    if (rc || n == 0) return rc;
    rc = db_begin(s, e);
    if (rc) return rc;
    /* again, now that nobody else can do the same */
    rc = find_dead(s, &dead, &n, e);
    for (size_t i = 0; i < n && !rc; i++) rc = interrupt_reply(s, dead[i], e);
    free(dead);
    return db_end(s, rc, e);
}
