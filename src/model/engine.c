/*
 * engine.c - opening a model file, and what can be said about it.
 *
 * An engine is read-only once engine_open has returned: sessions on several threads may read it without a lock. It keeps the
 * file mapped and copies no matrix.
 */
#include "model/engine.h"

#include "model/kernels.h"
#include "model/tokenizer.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

/* The numbers of general.file_type. */
static const char *const quant_names[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",    [8] = "Q5_0",
    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M", [13] = "Q3_K_L", [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M", [18] = "Q6_K",   [25] = "IQ4_NL",
    [30] = "IQ4_XS", [32] = "BF16",   [38] = "MXFP4",
};

/* The storage type of most of the file's bytes. */
static const char *majority_type(const struct gguf *g)
{
    size_t best = 0;
    uint32_t type = TENSOR_F32;

    for (uint32_t t = 0; t <= TENSOR_MXFP4; t++) {
        size_t bytes = 0;
        for (size_t i = 0; i < gguf_tensor_count(g); i++)
            if (gguf_tensor_at(g, i)->type == t) bytes += gguf_tensor_at(g, i)->bytes;
        if (bytes > best) {
            best = bytes;
            type = t;
        }
    }
    return tensor_type_name(type);
}

static void name_quant(struct model_info *info, const struct gguf *g)
{
    int64_t file_type;
    const char *name = NULL;

    if (gguf_get_int(g, "general.file_type", &file_type) && file_type >= 0 && file_type < (int64_t)ARRAY_LEN(quant_names))
        name = quant_names[file_type];
    snprintf(info->quant, sizeof(info->quant), "%s", name ? name : majority_type(g));
}

static bool begins_with(struct gguf_string s, const char *with)
{
    return s.n >= strlen(with) && !strncasecmp(s.p, with, strlen(with));
}

/* The file's name without its ending, and without the quantisation, which is shown beside it. */
static struct gguf_string file_stem(const struct gguf *g, const char *quant)
{
    const char *path = gguf_path(g), *slash = strrchr(path, '/');
    struct gguf_string s = {.p = slash ? slash + 1 : path};
    size_t n_quant = strlen(quant);

    s.n = strlen(s.p);
    if (s.n > 5 && !strcasecmp(s.p + s.n - 5, ".gguf")) s.n -= 5;
    s.n -= gguf_part_suffix(s.p, s.n);
    if (s.n > n_quant + 1 && !strncasecmp(s.p + s.n - n_quant, quant, n_quant) && strchr(".-_", s.p[s.n - n_quant - 1])) s.n -= n_quant + 1;
    return s;
}

/* The name by which people know a model is the file's; general.name is often the name of a training run. It serves where the file's says
 * nothing. */
static int name_model(struct model_info *info, const struct gguf *g)
{
    struct str line = STR_EMPTY;
    struct gguf_string s = file_stem(g, info->quant), general;

    if ((!s.n || begins_with(s, "ggml-model") || (s.n == 5 && begins_with(s, "model"))) && gguf_get_string(g, "general.name", &general) &&
        general.n)
        s = general;
    text_sanitize(&line, s.p, s.n < 512 ? s.n : 512, TEXT_ONE_LINE);
    bool ok = str_ok(&line);
    size_t n = line.len < sizeof(info->name) ? line.len : utf8_complete_prefix(str_cstr(&line), sizeof(info->name) - 1);
    memcpy(info->name, str_cstr(&line), n);
    info->name[n] = '\0';
    str_release(&line);
    return ok ? 0 : ERR_NOMEM;
}

/* All but the family, which is the tokenizer's. */
static int describe_file(struct engine *m, struct err *e)
{
    struct model_info *info = &m->info;
    const struct weights *w = &m->w;

    info->path = gguf_path(m->file);
    name_quant(info, m->file);
    if (name_model(info, m->file)) return err_set(e, ERR_NOMEM, "%s: out of memory for its name", info->path);
    snprintf(info->arch, sizeof(info->arch), "%s", w->arch);
    info->n_vocab = w->n_vocab;
    info->n_layer = w->n_layer;
    info->n_embd = w->n_embd;
    info->n_ff = w->n_ff;
    info->n_head = w->n_head;
    info->n_head_kv = w->n_head_kv;
    info->head_dim = w->head_dim;
    info->ctx_train = w->ctx_train;
    info->n_params = w->n_params;
    info->file_bytes = gguf_file_bytes(m->file);
    return 0;
}

static int describe(struct engine *m, struct err *e)
{
    size_t n = 0;

    int rc = describe_file(m, e);
    const char *template = tokenizer_template(m->tokenizer, &n);
    m->info.family = family_of_template(template, template ? n : 0, &m->info.template_recognised);
    return rc;
}

#define LOOK_CTX 8192

int model_look(struct model_look *out, const char *path, int n_ctx, struct err *e)
{
    struct engine *m = calloc(1, sizeof(*m));
    int rc;

    *out = (struct model_look){0};
    if (!m) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    rc = kernels_init(e);
    if (!rc) rc = gguf_open_parts(&m->file, path, e);
    if (!rc) rc = weights_init(&m->w, m->file, e);
    if (!rc) rc = describe_file(m, e);
    if (!rc) {
        int ctx = n_ctx > 0 ? n_ctx : m->info.ctx_train > 0 && m->info.ctx_train < LOOK_CTX ? m->info.ctx_train : LOOK_CTX;
        snprintf(out->name, sizeof(out->name), "%s", m->info.name);
        snprintf(out->arch, sizeof(out->arch), "%s", m->info.arch);
        snprintf(out->quant, sizeof(out->quant), "%s", m->info.quant);
        out->ctx_train = m->info.ctx_train;
        out->n_params = m->info.n_params;
        out->file_bytes = m->info.file_bytes;
        out->session_bytes = engine_session_bytes(m, ctx, KV_F16);
    }
    engine_free(m);
    return rc;
}

/* Between two tensors of a file, at the largest alignment. */
#define MAX_PADDING (64 << 10)

/* Starts reading the weights in the background; the first token then waits for the disk less often. */
static void read_ahead(const struct gguf *g)
{
    size_t n = gguf_tensor_count(g), page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0, next; i < n; i = next) {
        uintptr_t from = (uintptr_t)gguf_tensor_at(g, i)->data / page * page, end = from;
        /* As far as tensors lie in one mapping. A gap as small may also be another file's header: then this is advice for both. */
        for (next = i; next < n; next++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, next);
            if (next > i && ((uintptr_t)t->data < end || (uintptr_t)t->data - end >= MAX_PADDING)) break;
            end = (uintptr_t)t->data + t->bytes;
        }
        madvise((void *)from, end - from, MADV_WILLNEED);
    }
}

static int open_parts(struct engine *m, const char *path, struct err *e)
{
    int rc;

    if ((rc = kernels_init(e))) return rc;
    if ((rc = gguf_open_parts(&m->file, path, e))) return rc;
    if ((rc = weights_init(&m->w, m->file, e))) return rc;
    read_ahead(m->file);
    if ((rc = tokenizer_new(&m->tokenizer, m->file, e))) return rc;
    if (tokenizer_size(m->tokenizer) > m->w.n_vocab)
        return err_set(e, ERR_FILE, "%s: %d tokens in the vocabulary and %d in the embedding", path, tokenizer_size(m->tokenizer),
                       m->w.n_vocab);
    rc = describe(m, e);
    gguf_rest_header(m->file);
    return rc;
}

int engine_open(struct engine **out, const char *path, struct err *e)
{
    *out = NULL;
    struct engine *m = calloc(1, sizeof(*m));
    if (!m) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    int rc = open_parts(m, path, e);
    if (rc) {
        engine_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void engine_free(struct engine *m)
{
    if (!m) return;
    tokenizer_free(m->tokenizer);
    weights_release(&m->w);
    gguf_close(m->file);
    free(m);
}

int engine_lock(const struct engine *m, struct err *e)
{
    uint64_t need = m->info.file_bytes, have = memory_available();
    if (have && need > have)
        return err_set(e, ERR_NOMEM, "%s: is %.1f GB, %.1f GB are free: it is not held in memory", m->info.name, (double)need / 1e9, (double)have / 1e9);
    return gguf_lock(m->file, e);
}

const struct model_info *engine_info(const struct engine *m)
{
    return &m->info;
}

const struct tokenizer *engine_tokenizer(const struct engine *m)
{
    return m->tokenizer;
}

const char *engine_kernels(void)
{
    return kernels_name();
}

int engine_kernels_init(struct err *e)
{
    return kernels_init(e);
}

/* A number from a one-line file of the kernel's, or -1. */
static long read_number(const char *path)
{
    FILE *f = fopen(path, "re");
    long v = -1;

    if (!f) return -1;
    if (fscanf(f, "%ld", &v) != 1) v = -1;
    fclose(f);
    return v;
}

/* Processors that a control group's quota allows, rounded up; INT32_MAX where there is none. */
static int quota_cpus(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long quota, period;

    if (!f) return INT32_MAX;
    int n = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    if (n != 2 || quota < 1 || period < 1 || quota / period > 4096) return INT32_MAX;
    return (int)((quota + period - 1) / period);
}

int engine_default_threads(void)
{
    enum { MAX_CPUS = 1024 };
    cpu_set_t allowed;
    long package[MAX_CPUS], core[MAX_CPUS];
    int n = 0;

    if (sched_getaffinity(0, sizeof(allowed), &allowed)) return 1;
    for (unsigned cpu = 0; cpu < MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
        char path[96];
        if (!CPU_ISSET(cpu, &allowed)) continue;
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/physical_package_id", cpu);
        package[n] = read_number(path);
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/core_id", cpu);
        core[n] = read_number(path);
        /* two threads of one core share its arithmetic units: count it once; where the kernel does not tell, every one counts */
        bool seen = false;
        for (int i = 0; i < n && core[n] >= 0; i++) seen |= package[i] == package[n] && core[i] == core[n];
        if (!seen) n++;
    }
    int quota = quota_cpus();
    if (n > quota) n = quota;
    return n < 1 ? 1 : n;
}
