/*
 * import_zip.c - the conversations in a ZIP archive, as ChatGPT and Claude hand theirs out.
 *
 * Only what such archives need: stored and deflated members, found through the central directory, without ZIP64 and encryption. Every
 * number of the archive is checked against the bytes that are there; what unpacks to more than a limit is refused.
 */
#include "store/import.h"

#include <string.h>
#include <zlib.h>

#define UNPACKED_MAX ((size_t)1 << 30)

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static int bad(struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "the archive %s", why);
}

static int inflate_to(struct str *out, const unsigned char *from, size_t n, struct err *e)
{
    unsigned char piece[65536];
    z_stream z = {0};
    int rc = Z_OK;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return err_set(e, ERR_NOMEM, "out of memory");
    z.next_in = (unsigned char *)(uintptr_t)from;
    z.avail_in = (uInt)n;
    while (rc == Z_OK && out->len <= UNPACKED_MAX && str_ok(out)) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        rc = inflate(&z, Z_NO_FLUSH);
        str_add_bytes(out, piece, sizeof piece - z.avail_out);
    }
    inflateEnd(&z);
    if (!str_ok(out)) return err_set(e, ERR_NOMEM, "out of memory");
    if (out->len > UNPACKED_MAX) return bad(e, "holds more text than is taken at once (1 GiB)");
    return rc == Z_STREAM_END ? 0 : bad(e, "is damaged");
}

/* Whether the name is conversations.json or conversations-012.json, in whatever folder. */
static bool is_wanted(const char *name, size_t n)
{
    const char *slash = memrchr(name, '/', n);
    const char *base = slash ? slash + 1 : name;
    size_t len = n - (size_t)(base - name);

    return len >= 18 && !memcmp(base, "conversations", 13) && !memcmp(base + len - 5, ".json", 5);
}

static int take_member(struct str *out, const unsigned char *zip, size_t n, const unsigned char *entry, struct err *e)
{
    uint32_t method = u16(entry + 10), packed = u32(entry + 20), at = u32(entry + 42);

    if (u16(entry + 8) & 1) return bad(e, "is encrypted");
    if (at > n || n - at < 30 || u32(zip + at) != 0x04034b50) return bad(e, "is damaged");
    size_t data = (size_t)at + 30 + u16(zip + at + 26) + u16(zip + at + 28);
    if (data > n || n - data < packed) return bad(e, "is cut short");
    int rc = 0;
    if (method == 0) {
        str_add_bytes(out, zip + data, packed);
    } else if (method == 8) {
        rc = inflate_to(out, zip + data, packed, e);
    } else {
        rc = bad(e, "is packed in a way that is not known");
    }
    str_add_char(out, '\n');
    if (!rc && out->len > UNPACKED_MAX) rc = bad(e, "holds more text than is taken at once (1 GiB)");
    return rc ? rc : str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int import_unzip(struct str *out, const char *bytes, size_t n, struct err *e)
{
    const unsigned char *zip = (const unsigned char *)bytes;
    size_t end = n;
    bool found = false;
    int rc = 0;

    /* the directory's end stands before a comment of at most 65535 bytes */
    if (n < 22) return bad(e, "is cut short");
    for (end = n - 22;; end--) {
        if (u32(zip + end) == 0x06054b50) break;
        if (end == 0 || n - end > 65557) return bad(e, "is cut short");
    }
    size_t at = u32(zip + end + 16);
    for (uint32_t i = 0, count = u16(zip + end + 10); i < count && !rc; i++) {
        if (at > n || n - at < 46 || u32(zip + at) != 0x02014b50) return bad(e, "is damaged");
        size_t name = u16(zip + at + 28), whole = 46 + name + u16(zip + at + 30) + u16(zip + at + 32);
        if (n - at < whole) return bad(e, "is damaged");
        if (is_wanted(bytes + at + 46, name)) {
            rc = take_member(out, zip, n, zip + at, e);
            found = true;
        }
        at += whole;
    }
    return rc || found ? rc : bad(e, "holds no conversations.json");
}
