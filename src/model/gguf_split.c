/*
 * gguf_split.c - finds the other files of a model that is split into NAME-00001-of-00003.gguf and so on, and joins their tensors.
 *
 * Nothing of a part is believed before it says that it is that part of as many, and the sum of all is what the first file says.
 * The first file alone holds the model's metadata; what the others have of it is not looked at.
 */
#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The names have five digits; no model comes in so many files. */
enum { LIMIT_PARTS = 1000, SUFFIX = 15 };

static bool five_digits(const char *p)
{
    for (int i = 0; i < 5; i++)
        if (p[i] < '0' || p[i] > '9') return false;
    return true;
}

size_t gguf_part_suffix(const char *name, size_t n)
{
    if (n <= SUFFIX) return 0;
    const char *p = name + n - SUFFIX;
    return *p == '-' && five_digits(p + 1) && !memcmp(p + 6, "-of-", 4) && five_digits(p + 10) ? SUFFIX : 0;
}

/* The path of part `no` (from 0) of `count`, from that of any part. Caller frees; NULL where the name is not a part's or memory ends. */
static char *path_of_part(const char *path, int64_t no, int64_t count)
{
    size_t n = strlen(path), n_ending = n > 5 && !strcasecmp(path + n - 5, ".gguf") ? 5 : 0, suffix = gguf_part_suffix(path, n - n_ending);
    char *out = NULL;

    if (!n_ending || !suffix || !(out = malloc(n + 1))) return NULL;
    memcpy(out, path, n + 1);
    snprintf(out + n - n_ending - suffix, SUFFIX + 1, "-%05d-of-%05d", (int)(no + 1), (int)count);
    memcpy(out + n - n_ending, path + n - n_ending, n_ending);
    return out;
}

static int add_part(struct gguf *g, int64_t no, int64_t count, struct err *e)
{
    struct gguf *part = NULL;
    char *path = path_of_part(gguf_path(g), no, count);
    int64_t its_no = -1, its_count = -1;

    if (!path)
        return err_set(e, ERR_FILE, "%s: is part 1 of %d of a model, and its name does not say so (NAME-00001-of-%05d.gguf)", gguf_path(g),
                       (int)count, (int)count);
    int rc = gguf_open(&part, path, e);
    free(path);
    if (rc) return rc;
    gguf_get_int(part, "split.no", &its_no);
    gguf_get_int(part, "split.count", &its_count);
    if (its_no != no || its_count != count) {
        rc = err_set(e, ERR_FILE, "%s: is not part %d of %d of a model", gguf_path(part), (int)no + 1, (int)count);
        gguf_close(part);
        return rc;
    }
    return gguf_adopt(g, part, e);
}

static int add_parts(struct gguf *g, int64_t count, struct err *e)
{
    int64_t no = 0, total = -1;
    int rc;

    if (count > LIMIT_PARTS) return err_set(e, ERR_FILE, "%s: split.count is %lld", gguf_path(g), (long long)count);
    if (!gguf_get_int(g, "split.no", &no) || no < 0 || no >= count)
        return err_set(e, ERR_FILE, "%s: split.no is missing or not below split.count", gguf_path(g));
    if (no > 0) {
        char *first = path_of_part(gguf_path(g), 0, count);
        const char *slash = first ? strrchr(first, '/') : NULL;
        rc = err_set(e, ERR_FILE, "%s: is part %d of %d of a model; its first part is the one to open%s%s", gguf_path(g), (int)no + 1,
                     (int)count, first ? ": " : "",
                     slash   ? slash + 1
                     : first ? first
                             : "");
        free(first);
        return rc;
    }
    for (no = 1; no < count; no++)
        if ((rc = add_part(g, no, count, e))) return rc;
    if (gguf_get_int(g, "split.tensors.count", &total) && (total < 0 || (uint64_t)total != gguf_tensor_count(g)))
        return err_set(e, ERR_FILE, "%s: its %d parts have %zu tensors and should have %lld", gguf_path(g), (int)count,
                       gguf_tensor_count(g), (long long)total);
    return ERR_OK;
}

int gguf_open_parts(struct gguf **out, const char *path, struct err *e)
{
    int64_t count = 0;
    int rc = gguf_open(out, path, e);

    if (rc || !gguf_get_int(*out, "split.count", &count) || count <= 1) return rc;
    rc = add_parts(*out, count, e);
    if (!rc) return ERR_OK;
    gguf_close(*out);
    *out = NULL;
    return rc;
}
