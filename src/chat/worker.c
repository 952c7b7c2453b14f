/*
 * worker.c - the thread that owns the engine: takes jobs one after another, loads models, runs turns. The file's hash is computed beside it, on a thread of
 * its own, because it may take seconds and nobody waits for it.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>

void branch_truncate(struct branch *b, size_t n)
{
    while (b->n > n) {
        struct line_message *m = &b->items[--b->n];
        str_release(&m->text);
        str_release(&m->thought);
    }
}

void branch_release(struct branch *b)
{
    branch_truncate(b, 0);
    free(b->items);
    *b = (struct branch){0};
}

int branch_add(struct branch *b, int64_t id, enum role role, const char *text, size_t len, const char *thought, size_t thought_len)
{
    if (!mem_grow(&b->items, &b->cap, b->n + 1, sizeof *b->items)) return ERR_NOMEM;
    struct line_message *m = &b->items[b->n];
    *m = (struct line_message){.id = id, .role = role};
    str_add_bytes(&m->text, text, len);
    str_add_bytes(&m->thought, thought, thought_len);
    if (!str_ok(&m->text) || !str_ok(&m->thought)) {
        str_release(&m->text);
        str_release(&m->thought);
        return ERR_NOMEM;
    }
    b->n++;
    return 0;
}

int branch_copy(struct branch *out, const struct branch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct line_message *m = &b->items[i];
        int rc = branch_add(out, m->id, m->role, str_cstr(&m->text), m->text.len, str_cstr(&m->thought), m->thought.len);
        if (rc) return rc;
    }
    return 0;
}

void job_free(void *p)
{
    struct job *job = p;
    if (!job) return;
    free(job->model_path);
    settings_release(&job->set);
    branch_release(&job->branch);
    script_release(&job->script);
    str_release(&job->given);
    free(job);
}

void live_free(void *p)
{
    struct live *l = p;
    if (!l) return;
    free(l->text);
    free(l);
}

static void event_drop(void *p)
{
    struct chat_event *ev = p;
    chat_event_release(ev);
    free(ev);
}

void worker_push(struct worker *w, const struct chat_event *src)
{
    struct chat_event *ev = malloc(sizeof *ev);
    if (!ev) return;
    *ev = *src;
    ev->text = mem_dup_text(src->text ? src->text : "", src->text ? src->len : 0);
    ev->model = NULL;
    if (src->model && (ev->model = malloc(sizeof *ev->model))) *ev->model = *src->model;
    if (!ev->text || queue_push(w->events, ev)) event_drop(ev);
}

void worker_emit(struct worker *w, enum chat_event_kind kind, int64_t message, const char *text, size_t len, const struct chat_stats *stats)
{
    /* The cast is undone by the copy in worker_push, which never writes through text. */
    struct chat_event ev = {.kind = kind, .message = message, .text = (char *)(uintptr_t)text, .len = len};
    if (stats) ev.stats = *stats;
    worker_push(w, &ev);
}

void worker_emit_text(struct worker *w, enum chat_event_kind kind, int64_t message, const char *text)
{
    worker_emit(w, kind, message, text, strlen(text), NULL);
}

/* ---- the hash, beside ----------------------------------------------------------------------------------------- */

struct hasher {
    pthread_t thread;
    struct store *store;
    char *path;
    volatile bool stop;
};

static void *hasher_main(void *arg)
{
    struct hasher *h = arg;
    char hex[65];
    if (!model_file_hash(h->path, hex, &h->stop, NULL)) store_set_model_hash(h->store, h->path, hex, NULL);
    return NULL;
}

static void hasher_stop(struct hasher *h)
{
    if (!h) return;
    h->stop = true;
    pthread_join(h->thread, NULL);
    free(h->path);
    free(h);
}

static struct hasher *hasher_start(struct store *store, const char *path)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->store = store;
    h->path = mem_dup_text(path, strlen(path));
    if (h->path && !pthread_create(&h->thread, NULL, hasher_main, h)) return h;
    free(h->path);
    free(h);
    return NULL;
}

/* ---- models --------------------------------------------------------------------------------------------------- */

static bool (*find_adapter)(const char *model_path, struct str *out);

void chat_find_adapters(bool (*find)(const char *model_path, struct str *out))
{
    find_adapter = find;
}

static char *own_adapter_of(const char *model_path)
{
    struct str path = STR_EMPTY;
    bool found = find_adapter && find_adapter(model_path, &path);
    char *text = found && str_ok(&path) ? mem_dup_text(path.data, path.len) : NULL;
    str_release(&path);
    return text;
}

const char *worker_lora(const struct worker *w, const struct settings *set)
{
    if (!set->lora[0]) return w->own_adapter && !w->own_fails ? w->own_adapter : "";
    return strcmp(set->lora, "none") ? set->lora : "";
}

const struct family *worker_family(const struct worker *w)
{
    const struct family *own = engine_info(w->engine)->family;
    for (size_t i = 0; i < w->n_adapters; i++)
        if (adapter_family(w->adapters[i]) != own) return adapter_family(w->adapters[i]);
    return own;
}

static void drop_adapters(struct worker *w)
{
    while (w->n_adapters) adapter_free(w->adapters[--w->n_adapters]);
    free(w->adapter_list);
    w->adapter_list = NULL;
}

static void unload(struct worker *w)
{
    session_free(w->session);
    w->session = NULL;
    speculator_free(w->speculator);
    w->speculator = NULL;
    drop_adapters(w);
    free(w->own_adapter);
    w->own_adapter = NULL;
    engine_free(w->engine);
    w->engine = NULL;
    free(w->model_path);
    w->model_path = NULL;
}

static void load(struct worker *w, struct job *job)
{
    struct err e = {0};
    struct engine *engine = NULL;
    if (engine_open(&engine, job->model_path, &e)) {
        worker_emit_text(w, CHAT_MODEL_FAILED, 0, e.text);
        return;     /* a model that already runs goes on */
    }
    hasher_stop(w->hasher);
    unload(w);
    w->engine = engine;
    w->held = false;
    w->model_path = job->model_path;
    job->model_path = NULL;
    w->own_adapter = own_adapter_of(w->model_path);
    w->own_fails = false;
    struct model_info info = *engine_info(engine);
    info.path = NULL;     /* the owner has its own copy, which outlives the engine */
    struct str warning = STR_EMPTY;
    if (!info.template_recognised) str_addf(&warning, "%s: unknown chat template, using ChatML", info.name);
    worker_push(w, &(struct chat_event){.kind = CHAT_MODEL, .text = warning.data, .len = warning.len, .model = &info});
    str_release(&warning);
    w->hasher = hasher_start(w->store, w->model_path);
    ahead_again(w);
}

/* Makes the session's adapters those of the settings. */
static int apply_adapters(struct worker *w, const char *list, bool fresh, struct err *e)
{
    double scales[MAX_ADAPTERS];
    if (!fresh && !strcmp(list, w->adapter_list ? w->adapter_list : "")) return 0;
    int rc = fresh ? 0 : session_set_adapters(w->session, NULL, NULL, 0, e);
    drop_adapters(w);
    for (const char *p = list; !rc && *p;) {
        size_t n = strcspn(p, ",");
        if (n && w->n_adapters == MAX_ADAPTERS) return err_set(e, ERR_USAGE, "lora: at most %d adapters at once", MAX_ADAPTERS);
        if (n) rc = adapter_open_text(&w->adapters[w->n_adapters], &scales[w->n_adapters], w->engine, p, n, e);
        if (n && !rc) w->n_adapters++;
        p += n + (p[n] == ',');
    }
    if (!rc && w->n_adapters) rc = session_set_adapters(w->session, (const struct adapter *const *)w->adapters, scales, w->n_adapters, e);
    if (!rc && !(w->adapter_list = mem_dup_text(list, strlen(list)))) rc = err_set(e, ERR_NOMEM, "out of memory");
    return rc;
}

/* The same for the settings. The model's own adapter is no reason not to answer: where it cannot be used that is told, once. */
static int put_adapters(struct worker *w, const struct settings *set, bool fresh, struct err *e)
{
    struct err why = {0};
    int rc = apply_adapters(w, worker_lora(w, set), fresh, &why);
    if (rc && !set->lora[0] && w->own_adapter && !w->own_fails) {
        w->own_fails = true;
        worker_emit_text(w, CHAT_NOTICE, 0, why.text);
        return apply_adapters(w, "", true, e);
    }
    if (rc && e) *e = why;
    return rc;
}

/* Linux hands out what it does not have and later kills whoever uses it: so what a session will need is looked at before. */
static int check_memory(const struct engine *m, int ctx, enum kv_type kv, struct err *e)
{
    uint64_t need = engine_session_bytes(m, ctx, kv), have = memory_available();
    if (!have || need <= have) return 0;
    int fits = ctx;
    while (fits > 256 && engine_session_bytes(m, fits, kv) > have) fits /= 2;
    return err_set(e, ERR_NOMEM, "a context of %d tokens needs %.1f GB of memory and %.1f GB are free: try --ctx %d, or close something", ctx,
                   (double)need / 1e9, (double)have / 1e9, fits);
}

/* Once for a model: that it cannot be held is told, and no obstacle. */
static void hold_model(struct worker *w, const struct settings *set)
{
    struct err e = {0};
    if (!set->mlock || w->held) return;
    w->held = true;
    if (engine_lock(w->engine, &e)) worker_emit_text(w, CHAT_NOTICE, 0, e.text);
}

int worker_session(struct worker *w, const struct settings *set, struct err *e)
{
    hold_model(w, set);
    int ctx = set->ctx, train = engine_info(w->engine)->ctx_train;
    if (!ctx) ctx = train < 8192 ? train : 8192;
    int threads = set->threads > 0 ? set->threads : engine_default_threads();
    enum kv_type kv = KV_F16;
    kv_type_by_name(set->kv, &kv);
    if (w->session && w->session_ctx == ctx && w->session_threads == threads && w->session_kv == kv) return put_adapters(w, set, false, e);
    session_free(w->session);
    w->session = NULL;
    int rc = check_memory(w->engine, ctx, kv, e);
    if (!rc) rc = session_new(&w->session, w->engine, ctx, threads, kv, e);
    if (rc) return rc;
    w->session_ctx = ctx;
    w->session_threads = threads;
    w->session_kv = kv;
    snprintf(w->numerics, sizeof w->numerics, "%s%s%s", engine_kernels(), kv == KV_F16 ? "" : " ", kv == KV_F16 ? "" : kv_type_name(kv));
    return put_adapters(w, set, true, e);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load(&w->quit)) {
        int wait = ahead_wait_ms(w);
        struct job *job = queue_wait(w->jobs, wait < 0 ? 1000 : wait);
        if (!job && wait >= 0) ahead_run(w);
        if (!job) continue;
        if (atomic_load(&w->quit)) {
            job_free(job);
            break;
        }
        switch (job->kind) {
        case JOB_LOAD: load(w, job); break;
        case JOB_REPLY:
            if (job->samples.n)
                samples_run(w, job);
            else
                turn_run(w, job);
            break;
        case JOB_AHEAD: ahead_take(w, job); break;
        }
        job_free(job);
    }
    ahead_leave(w);
    return NULL;
}

int worker_start(struct worker *w, struct store *store, struct err *e)
{
    w->store = store;
    atomic_init(&w->quit, false);
    int rc = queue_new(&w->jobs, job_free, e);
    if (!rc) rc = queue_new(&w->live, live_free, e);
    if (!rc) rc = queue_new(&w->events, event_drop, e);
    if (!rc && pthread_create(&w->thread, NULL, worker_main, w)) rc = err_set(e, ERR_NOMEM, "cannot start a thread for the model");
    w->started = !rc;
    return rc;
}

void worker_join(struct worker *w)
{
    atomic_store(&w->quit, true);
    if (w->started) {
        struct job *wake = calloc(1, sizeof *wake);
        if (wake && queue_push(w->jobs, wake)) job_free(wake);
        pthread_join(w->thread, NULL);
    }
    w->started = false;
    hasher_stop(w->hasher);
    w->hasher = NULL;
    unload(w);
}

void worker_release(struct worker *w)
{
    queue_free(w->jobs);
    queue_free(w->live);
    queue_free(w->events);
}
