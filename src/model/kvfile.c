/*
 * kvfile.c - pieces of a session's K/V cache in files, and the keys that say where they may be used.
 *
 * A file is a header, the tokens of its positions, and for each layer, K and V, and KV head the rows of these positions, one run. All
 * numbers are little-endian. The checksum covers every byte but its own.
 *
 * Files are hostile until proved otherwise. The header must be byte for byte the one that would be written here for the same place, so
 * that no number in it is ever computed with; only the count of positions is the file's own, and it must agree with the file's size.
 * Rows go into the cache behind the timeline's end, where nobody reads, and the timeline grows only once the checksum was right.
 */
#include "model/forward.h"
#include "model/identity.h"
#include "model/lora.h"

#include <cblas.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kvfile.c writes the cache as it lies in memory: little-endian machines only"
#endif

#define KV_FORMAT 1
/* What an element is stored as; the cache has no other kind yet. */
/* What a cell may be, in files. */
enum { ELEMENT_F16 = 1, ELEMENT_Q8_0 = 2 };

static uint32_t element_of(const struct session *s)
{
    return s->kv_type == KV_F16 ? ELEMENT_F16 : ELEMENT_Q8_0;
}
/* What is read at a time: stays in a core's own cache between the checksum and the copy. */
#define READ_BYTES ((size_t)512 << 10)

struct header {
    char magic[8];
    uint32_t format, element;
    uint32_t n_layer, n_head_kv, head_dim;
    uint32_t n;                  /* positions */
    uint64_t from;               /* of the timeline, the first one */
    struct kv_key before;        /* of the timeline up to it */
    uint32_t checksum, zero;     /* CRC-32 of the whole file with this field 0 */
};
_Static_assert(sizeof(struct header) == 80, "the header has no padding");

static struct header header_of(const struct session *s, const struct kv_key *before, size_t from, size_t n)
{
    const struct weights *w = &s->m->w;

    return (struct header){.magic = {'P', 'O', 'N', 'D', 'E', 'R', 'K', 'V'}, .format = KV_FORMAT, .element = element_of(s),
                           .n_layer = (uint32_t)w->n_layer, .n_head_kv = (uint32_t)w->n_cached, .head_dim = (uint32_t)w->head_dim,
                           .n = (uint32_t)n, .from = from, .before = *before};
}

/* Runs of rows in a file. */
static size_t block_count(const struct session *s)
{
    return 2 * (size_t)s->m->w.n_layer * (size_t)s->m->w.n_cached;
}

/* Row 0 of a run. */
static uint8_t *block_of(const struct session *s, size_t i)
{
    size_t heads = (size_t)s->m->w.n_cached;
    return kv_of(s, (int)(i / (2 * heads)), i / heads % 2, (int)(i % heads));
}

uint64_t session_file_bytes(const struct session *s, size_t n)
{
    return sizeof(struct header) + (uint64_t)n * (sizeof(int32_t) + block_count(s) * s->kv_row);
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

/* Appends the linker's hash of the program that runs: any change of the arithmetic is a new one. */
static int add_build_id(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct str *out = arg;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_NOTE) continue;
        const char *at = (const char *)(info->dlpi_addr + h->p_vaddr), *end = at + h->p_memsz;
        while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *note = (const void *)at;
            size_t name = (note->n_namesz + 3u) & ~3u, text = (note->n_descsz + 3u) & ~3u;
            if ((size_t)(end - at) - sizeof(*note) < name + text) break;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(note + 1, "GNU", 4))
                for (uint32_t k = 0; k < note->n_descsz; k++) str_addf(out, "%02x", ((const uint8_t *)(note + 1))[name + k]);
            at += sizeof(*note) + name + text;
        }
    }
    return 1; /* the first one is the program itself; a library's does not count */
}

/* Everything that the bits of a position depend on, besides the tokens up to it. */
static void describe(const struct session *s, struct str *out)
{
    const struct weights *w = &s->m->w;

    str_addf(out, "ponder %s format %d element %d kernels %s\nbuild ", PONDER_VERSION, KV_FORMAT, (int)element_of(s), kernels_name());
    dl_iterate_phdr(add_build_id, out);
    str_addf(out, "\n%s %s\n", openblas_get_config(), openblas_get_corename());
    str_addf(out, "%s %d %d %d %d %a\n", w->arch, w->n_layer, w->n_head_kv, w->head_dim, w->n_rot, w->rope_size);
    gguf_add_identity(s->m->file, out);
    lora_add_identity(s->lora, out);
    /* some models turn long contexts by other frequencies */
    str_add_bytes(out, s->rope_freq, (size_t)(w->n_rot / 2) * sizeof(*s->rope_freq));
}

static int hash(struct kv_key *out, const void *a, size_t n_a, const void *b, size_t n_b, struct err *e)
{
    EVP_MD_CTX *h = EVP_MD_CTX_new();

    if (!h) return err_set(e, ERR_NOMEM, "out of memory");
    bool ok = EVP_DigestInit_ex(h, EVP_sha256(), NULL) && EVP_DigestUpdate(h, a, n_a) && EVP_DigestUpdate(h, b, n_b) &&
              EVP_DigestFinal_ex(h, out->bytes, NULL);
    EVP_MD_CTX_free(h);
    return ok ? 0 : err_set(e, ERR_FAILED, "SHA-256 is not available");
}

int kv_key_start(struct kv_key *key, const struct session *s, struct err *e)
{
    struct str text = STR_EMPTY;

    describe(s, &text);
    int rc = str_ok(&text) ? hash(key, text.data, text.len, "", 0, e) : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&text);
    return rc;
}

int kv_key_add(struct kv_key *key, const int32_t *ids, size_t n, struct err *e)
{
    struct kv_key before = *key;
    return hash(key, before.bytes, sizeof(before.bytes), ids, n * sizeof(*ids), e);
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

int session_save(const struct session *s, const struct kv_key *before, size_t from, size_t n, const char *path, struct err *e)
{
    if (!n || from > s->n || n > s->n - from) return err_set(e, ERR_INVALID, "%zu positions from %zu on, and there are %zu", n, from, s->n);
    for (size_t i = from; i < from + n; i++)
        if (s->generated[i]) return err_set(e, ERR_INVALID, "position %zu was not evaluated as a prompt's", i);
    struct header h = header_of(s, before, from, n);
    size_t bytes = (size_t)session_file_bytes(s, n), run = n * s->kv_row;
    uint8_t *buffer = malloc(bytes), *at = buffer;
    if (!buffer) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    memcpy(at, &h, sizeof(h));
    at += sizeof(h);
    memcpy(at, s->tokens + from, n * sizeof(*s->tokens));
    at += n * sizeof(*s->tokens);
    for (size_t i = 0; i < block_count(s); i++, at += run) memcpy(at, block_of(s, i) + from * s->kv_row, run);
    h.checksum = (uint32_t)crc32_z(0, buffer, bytes);
    memcpy(buffer, &h, sizeof(h));
    int rc = file_write_cache(path, buffer, bytes, e);
    free(buffer);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* A file being read. */
struct reader {
    int fd;
    const char *path;
    size_t n;                    /* positions in it */
    size_t same;                 /* of its tokens, from the first on, that are those asked for */
    uint32_t promised;           /* the header's checksum */
    uLong checksum;              /* of what was read */
    uint8_t *buffer;             /* some whole runs */
};

/* Exactly n bytes, which the checksum covers. */
static int read_exactly(struct reader *r, void *out, size_t n, struct err *e)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = read(r->fd, (char *)out + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_set_errno(e, ERR_IO, "%s: cannot be read", r->path);
        if (!got) return err_set(e, ERR_FILE, "%s: is cut off", r->path);
        have += (size_t)got;
    }
    r->checksum = crc32_z(r->checksum, out, n);
    return 0;
}

static int read_header(struct reader *r, const struct session *s, const struct kv_key *before, size_t from, struct err *e)
{
    struct header h;
    struct stat st;
    int rc;

    if (fstat(r->fd, &st) != 0) return err_set_errno(e, ERR_IO, "%s", r->path);
    if ((rc = read_exactly(r, &h, sizeof(h), e))) return rc;
    r->n = h.n;
    r->promised = h.checksum;
    h.checksum = 0;
    struct header want = header_of(s, before, from, r->n);
    if (memcmp(&h, &want, sizeof(h)) != 0 || !r->n || r->n > (size_t)s->m->w.ctx_train)
        return err_set(e, ERR_FILE, "%s: is no K/V file for this place", r->path);
    if ((uint64_t)st.st_size != session_file_bytes(s, r->n)) return err_set(e, ERR_FILE, "%s: has the wrong size", r->path);
    r->checksum = crc32_z(0, (const uint8_t *)&h, sizeof(h));
    return 0;
}

/* ids: those of the file's first position and on. */
static int read_tokens(struct reader *r, const int32_t *ids, size_t n_ids, struct err *e)
{
    int32_t tokens[1024];
    int rc;

    for (size_t at = 0; at < r->n; at += ARRAY_LEN(tokens)) {
        size_t piece = r->n - at < ARRAY_LEN(tokens) ? r->n - at : ARRAY_LEN(tokens);
        if ((rc = read_exactly(r, tokens, piece * sizeof(*tokens), e))) return rc;
        for (size_t i = at; i < at + piece && r->same == i && i < n_ids && tokens[i - at] == ids[i]; i++) r->same++;
    }
    return 0;
}

/* Reads all runs and puts rows `first` to r->same of each at their positions. */
static int read_rows(struct reader *r, const struct session *s, size_t from, size_t first, struct err *e)
{
    size_t row = s->kv_row, run = r->n * row, blocks = block_count(s), at_once = READ_BYTES / run ? READ_BYTES / run : 1;
    int rc;

    r->buffer = malloc(at_once * run);
    if (!r->buffer) return err_set(e, ERR_NOMEM, "%s: out of memory", r->path);
    for (size_t i = 0; i < blocks; i += at_once) {
        size_t k = blocks - i < at_once ? blocks - i : at_once;
        if ((rc = read_exactly(r, r->buffer, k * run, e))) return rc;
        for (size_t b = 0; b < k; b++)
            memcpy(block_of(s, i + b) + (from + first) * row, r->buffer + b * run + first * row, (r->same - first) * row);
    }
    return 0;
}

static int load(struct session *s, struct reader *r, const struct kv_key *before, size_t from, const int32_t *ids, size_t n, struct err *e)
{
    int rc = read_header(r, s, before, from, e);

    if (!rc) rc = read_tokens(r, ids + from, n - from, e);
    if (rc || from + r->same <= s->n) return rc;
    if ((rc = read_rows(r, s, from, s->n - from, e))) return rc;
    if (r->checksum != r->promised) return err_set(e, ERR_FILE, "%s: is damaged", r->path);
    for (; s->n < from + r->same; s->n++) {
        s->tokens[s->n] = ids[s->n];
        s->generated[s->n] = false;
    }
    return 0;
}

int session_load(struct session *s, const struct kv_key *before, size_t from, const int32_t *ids, size_t n, const char *path, struct err *e)
{
    struct err own = {0};
    struct reader r = {.path = path};

    if (from > s->n || s->n > n || n > (size_t)s->n_ctx || session_shared(s, ids, n) != s->n)
        return err_set(e, ERR_INVALID, "the timeline is not the beginning of what is read for");
    r.fd = file_open_private(path, O_RDONLY, &own);
    if (r.fd < 0) return err_set(e, own.code, "%s", own.text);
    int rc = load(s, &r, before, from, ids, n, e);
    close(r.fd);
    free(r.buffer);
    return rc;
}
