/*
 * train_file.c - what training leaves on disk: adapters as GGUF in llama.cpp's layout, and the state that a run goes on from.
 *
 * State file: a header, the run's line, the caller's bytes, then values and both moments as they lie in memory. The checksum covers all
 * but itself. Everything that is read is compared with what would be written here before it is used.
 */
#include "model/train.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "train_file.c writes numbers as they lie in memory: little-endian machines only"
#endif

static const char *const names[TRAIN_MATRICES] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

const char *train_target_name(enum adapted which)
{
    return names[which];
}

int train_targets_parse(unsigned *out, const char *text, struct err *e)
{
    static const struct {
        const char *name;
        unsigned mask;
    } groups[] = {{"all", TRAIN_ALL}, {"attn", 0x0f}, {"ffn", 0x70}};
    unsigned mask = 0;

    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        unsigned one = 0;
        for (size_t i = 0; i < ARRAY_LEN(groups); i++)
            if (n == strlen(groups[i].name) && !memcmp(p, groups[i].name, n)) one = groups[i].mask;
        for (unsigned i = 0; i < TRAIN_MATRICES; i++)
            if (n == strlen(names[i]) && !memcmp(p, names[i], n)) one = 1u << i;
        if (!one)
            return err_set(e, ERR_USAGE, "\"%s\" is no list of matrices: all, attn, ffn, attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down",
                           text);
        mask |= one;
        if (!*(p += n)) break;
    }
    *out = mask;
    return 0;
}

/* ---- adapters ----------------------------------------------------------------------------------------------------------- */

#define ALIGNMENT 32

struct writer {
    struct str kv, table, data;
    uint32_t n_kv;
    uint64_t n_tensors;
    bool f16;
};

static void put_u32(struct str *s, uint32_t v)
{
    str_add_bytes(s, &v, sizeof v);
}

static void put_u64(struct str *s, uint64_t v)
{
    str_add_bytes(s, &v, sizeof v);
}

static void put_text(struct str *s, const char *text)
{
    put_u64(s, strlen(text));
    str_add(s, text);
}

static void put_key(struct writer *w, const char *key, enum gguf_type type)
{
    put_text(&w->kv, key);
    put_u32(&w->kv, type);
    w->n_kv++;
}

static void put_key_text(struct writer *w, const char *key, const char *text)
{
    put_key(w, key, GGUF_STRING);
    put_text(&w->kv, text);
}

static void pad(struct str *s)
{
    static const char zeros[ALIGNMENT];
    str_add_bytes(s, zeros, (ALIGNMENT - s->len % ALIGNMENT) % ALIGNMENT);
}

/* rows of n values. */
static void put_tensor(struct writer *w, const char *name, const float *x, size_t n, size_t rows)
{
    put_text(&w->table, name);
    put_u32(&w->table, 2);
    put_u64(&w->table, n);
    put_u64(&w->table, rows);
    put_u32(&w->table, w->f16 ? TENSOR_F16 : TENSOR_F32);
    put_u64(&w->table, w->data.len);
    w->n_tensors++;
    if (!w->f16) {
        str_add_bytes(&w->data, x, n * rows * sizeof *x);
    } else if (str_reserve(&w->data, n * rows * sizeof(uint16_t))) {
        uint16_t half[256];
        for (size_t i = 0; i < n * rows; i += ARRAY_LEN(half)) {
            size_t some = n * rows - i < ARRAY_LEN(half) ? n * rows - i : ARRAY_LEN(half);
            f32_to_f16_row(x + i, half, (int64_t)some);
            str_add_bytes(&w->data, half, some * sizeof *half);
        }
    }
    pad(&w->data);
}

static void put_pairs(struct writer *w, const struct trainer *t)
{
    size_t rank = (size_t)t->o.rank;
    char name[96];

    for (int i = 0; i < t->w->n_layer; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++) {
            const struct train_group *g = &t->groups[i][k];
            for (int part = 0; part < g->n_parts; part++) {
                const struct train_part *p = &g->parts[part];
                if (p->low_at < 0) continue;
                snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", i, names[p->which]);
                put_tensor(w, name, t->values + g->a + (size_t)(p->low_at - g->n_out) * (size_t)g->n_in, (size_t)g->n_in, rank);
                name[strlen(name) - 1] = 'b';
                put_tensor(w, name, t->values + p->b, rank, (size_t)p->w->n_out);
            }
        }
}

/* The whole file. */
static int adapter_bytes(const struct trainer *t, bool f16, struct str *file, struct err *e)
{
    struct writer w = {.f16 = f16};
    float alpha = (float)t->o.alpha;

    put_key_text(&w, "general.type", "adapter");
    put_key_text(&w, "general.architecture", t->w->arch);
    put_key_text(&w, "adapter.type", "lora");
    put_key(&w, "adapter.lora.alpha", GGUF_F32);
    str_add_bytes(&w.kv, &alpha, sizeof alpha);
    if (t->o.family) put_key_text(&w, ADAPTER_FAMILY_KEY, t->o.family);
    put_pairs(&w, t);
    str_add(file, "GGUF");
    put_u32(file, 3);
    put_u64(file, w.n_tensors);
    put_u64(file, w.n_kv);
    str_add_bytes(file, w.kv.data, w.kv.len);
    str_add_bytes(file, w.table.data, w.table.len);
    pad(file);
    str_add_bytes(file, w.data.data, w.data.len);
    bool ok = str_ok(&w.kv) && str_ok(&w.table) && str_ok(&w.data) && str_ok(file);
    str_release(&w.kv);
    str_release(&w.table);
    str_release(&w.data);
    return ok ? 0 : err_set(e, ERR_NOMEM, "out of memory for an adapter");
}

int trainer_write_adapter(const struct trainer *t, const char *path, bool f16, struct err *e)
{
    struct str file = STR_EMPTY;
    int rc = adapter_bytes(t, f16, &file, e);

    if (!rc) rc = file_write_atomic(path, file.data, file.len, e);
    str_release(&file);
    return rc;
}

int trainer_adapter(const struct trainer *t, struct adapter **out, struct err *e)
{
    struct str file = STR_EMPTY;
    struct gguf *g;
    int rc = adapter_bytes(t, false, &file, e);

    *out = NULL;
    if (!rc && !(rc = gguf_open_memory(&g, file.data, file.len, "the adapter", e))) {
        rc = adapter_take(out, t->m, g, e);
        gguf_close(g);
    }
    str_release(&file);
    return rc;
}

int trainer_read_adapter(struct trainer *t, const char *path, struct err *e)
{
    struct adapter *a;
    int rc = adapter_open(&a, t->m, path, e), rank = t->o.rank;

    if (rc) return rc;
    for (int pass = 0; pass < 2 && !rc; pass++)
        for (int i = 0; i < t->w->n_layer && !rc; i++)
            for (int k = 0; k < TRAIN_GROUPS && !rc; k++) {
                const struct train_group *g = &t->groups[i][k];
                for (int part = 0; part < g->n_parts; part++) {
                    const struct train_part *p = &g->parts[part];
                    const float *low, *high;
                    int has = adapter_pair(a, i, p->which, &low, &high);
                    if (has != (p->low_at < 0 ? 0 : rank)) {
                        rc = err_set(e, ERR_INVALID, "%s: has rank %d for %s of layer %d, and the run %d", path, has, names[p->which], i,
                                     p->low_at < 0 ? 0 : rank);
                        break;
                    }
                    if (!pass || !has) continue;
                    memcpy(t->values + g->a + (size_t)(p->low_at - g->n_out) * (size_t)g->n_in, low, (size_t)rank * (size_t)g->n_in * sizeof *low);
                    memcpy(t->values + p->b, high, (size_t)rank * (size_t)p->w->n_out * sizeof *high);
                }
            }
    if (!rc) {
        double alpha = adapter_alpha(a);
        t->o.alpha = alpha != 0 ? alpha : rank;
        t->scale = (float)(t->o.alpha / rank);
    }
    adapter_free(a);
    return rc;
}

/* ---- state -------------------------------------------------------------------------------------------------------------- */

struct state_header {
    char magic[8];
    uint32_t format, checksum;      /* CRC-32 of the file with this field 0 */
    uint64_t n_values, n_run, n_own;
    int64_t steps;
    double alpha;
};
_Static_assert(sizeof(struct state_header) == 56, "the header has no padding");

#define STATE_FORMAT 1

static struct state_header header_of(const struct trainer *t, const char *run, size_t n)
{
    return (struct state_header){.magic = {'P', 'O', 'N', 'D', 'E', 'R', 'L', 'A'}, .format = STATE_FORMAT, .n_values = t->n_values,
                                 .n_run = strlen(run), .n_own = n};
}

static uint32_t checksum_of(const char *bytes, size_t n)
{
    struct state_header h;
    memcpy(&h, bytes, sizeof h);
    h.checksum = 0;
    uLong crc = crc32_z(crc32_z(0, NULL, 0), (const Bytef *)&h, sizeof h);
    return (uint32_t)crc32_z(crc, (const Bytef *)bytes + sizeof h, n - sizeof h);
}

int trainer_save(const struct trainer *t, const char *path, const char *run, const void *own, size_t n, struct err *e)
{
    struct state_header h = header_of(t, run, n);
    struct str file = STR_EMPTY;
    const float *parts[] = {t->values, t->first, t->second};

    h.steps = t->steps;
    h.alpha = t->o.alpha;
    str_add_bytes(&file, &h, sizeof h);
    str_add(&file, run);
    str_add_bytes(&file, own, n);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) str_add_bytes(&file, parts[i], t->n_values * sizeof(float));
    if (!str_ok(&file)) {
        str_release(&file);
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    }
    h.checksum = checksum_of(file.data, file.len);
    memcpy(file.data, &h, sizeof h);
    int rc = file_write_atomic(path, file.data, file.len, e);
    str_release(&file);
    return rc;
}

static int take_state(struct trainer *t, const struct str *file, const char *path, const char *run, void *own, size_t n, struct err *e)
{
    struct state_header h, want = header_of(t, run, n);
    size_t values = t->n_values * sizeof(float), at = sizeof h + want.n_run + n;

    if (file->len < sizeof h || memcmp(file->data, want.magic, sizeof want.magic) != 0)
        return err_set(e, ERR_FILE, "%s: is not the state of a training run", path);
    memcpy(&h, file->data, sizeof h);
    if (h.format != STATE_FORMAT) return err_set(e, ERR_UNSUPPORTED, "%s: is of format %u", path, h.format);
    if (checksum_of(file->data, file->len) != h.checksum) return err_set(e, ERR_FILE, "%s: is damaged", path);
    if (h.n_values != want.n_values || h.n_run != want.n_run || h.n_own != want.n_own || file->len != at + 3 * values ||
        memcmp(file->data + sizeof h, run, want.n_run) != 0)
        return err_set(e, ERR_INVALID, "%s: is the state of a run with other options or data", path);
    memcpy(own, file->data + sizeof h + want.n_run, n);
    memcpy(t->values, file->data + at, values);
    memcpy(t->first, file->data + at + values, values);
    memcpy(t->second, file->data + at + 2 * values, values);
    t->steps = h.steps;
    t->o.alpha = h.alpha;
    t->scale = (float)(h.alpha / t->o.rank);
    trainer_clear(t);
    return 0;
}

int trainer_load(struct trainer *t, const char *path, const char *run, void *own, size_t n, struct err *e)
{
    struct str file = STR_EMPTY;
    int rc = file_read(&file, path, (size_t)1 << 34, e);

    if (!rc) rc = take_state(t, &file, path, run, own, n, e);
    str_release(&file);
    return rc;
}
