/*
 * train_run.c - a training run: batches, steps, what is shown, logged and saved.
 *
 * What a run learns depends on its options and data alone: the order of the records comes from the seed and the number of the epoch, and a
 * saved state says no more than which step is next. Between steps a run can therefore be stopped and go on with the same bytes.
 */
#include "cli/sweep.h"
#include "cli/train.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <langinfo.h>
#include <math.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile bool stop;
static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    if (caught) {
        signal(n, SIG_DFL);
        raise(n);
    }
    caught = n;
    stop = true;
}

struct run {
    const struct train_want *w;
    struct engine *m;
    struct trainer *t;
    struct train_data train, valid;
    struct train_item **order, **valid_items; /* of this epoch; all */
    int64_t epoch;              /* that order is of; -1 none */
    int64_t step, total;
    int64_t tokens, tokens_total; /* of records, passed in all; of the whole run */
    int64_t first_step, tokens_first, seen; /* where this process began; tokens that it passed, or sampled */
    size_t at;                  /* in order */
    size_t replied, replies;    /* grpo: of the step in hand */
    struct str state, identity;
    int log;                    /* descriptor, -1 none */
    bool bar, ascii;
    int64_t started_ms, saved_ms, shown_ms;
    double shown_loss;          /* a running mean */
};

/* What a saved state says beside the trainer's own. */
struct place {
    int64_t step, tokens;
};

/* ---- batches ---------------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void shuffle(struct run *r, int64_t epoch)
{
    uint64_t state = r->w->seed * 0x2545f4914f6cdd1du + (uint64_t)epoch;

    for (size_t i = 0; i < r->train.n; i++) r->order[i] = &r->train.items[i];
    for (size_t i = r->train.n; i > 1; i--) {
        size_t k = (size_t)(next_random(&state) % i);
        struct train_item *item = r->order[i - 1];
        r->order[i - 1] = r->order[k];
        r->order[k] = item;
    }
    r->epoch = epoch;
    r->at = 0;
}

static size_t item_tokens(const struct run *r, const struct train_item *i)
{
    return i->texts[0].ids.n + (r->w->kind == TRAIN_DPO ? i->texts[1].ids.n : 0);
}

/* The next batch of the order from r->at on: as many records as there is room for. Goes into the next epoch where this one is over. */
static size_t next_batch(struct run *r, size_t *tokens)
{
    size_t n = 0;

    *tokens = 0;
    if (r->at == r->train.n) shuffle(r, r->epoch + 1);
    while (r->at + n < r->train.n) {
        size_t more = item_tokens(r, r->order[r->at + n]);
        if (r->w->kind == TRAIN_GRPO ? n == (size_t)r->w->prompts : n && *tokens + more > (size_t)r->w->batch) break;
        *tokens += more;
        n++;
    }
    return n;
}

/* Goes through all batches without learning: how many there are. Leaves r at the batch of step `from`. */
static void plan(struct run *r, int64_t from)
{
    int64_t whole = (int64_t)floor(r->w->epochs);
    size_t rest = (size_t)((r->w->epochs - (double)whole) * (double)r->train.n), tokens;

    for (int pass = 0; pass < 2; pass++) {
        int64_t step = 0, passed = 0;
        shuffle(r, 0);
        for (;;) {
            if (pass && step == from) return;
            if (!pass && r->w->steps ? step == r->w->steps : r->epoch >= whole + (rest > 0) - 1 && r->at >= (r->epoch == whole ? rest : r->train.n)) break;
            size_t n = next_batch(r, &tokens);
            r->at += n;
            passed += (int64_t)tokens;
            step++;
        }
        r->total = step;
        r->tokens_total = passed;
        if (from >= step) return;
    }
}

/* ---- identity --------------------------------------------------------------------------------------------------------------- */

static void hash_text(EVP_MD_CTX *c, const struct train_text *t)
{
    EVP_DigestUpdate(c, &t->ids.n, sizeof t->ids.n);
    EVP_DigestUpdate(c, t->ids.ids, t->ids.n * sizeof *t->ids.ids);
    if (t->ids.n) EVP_DigestUpdate(c, t->weights, t->ids.n * sizeof *t->weights);
}

/* SHA-256 of what is learnt; false when memory runs out. */
static bool hash_data(const struct run *r, unsigned char digest[32])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; i < r->train.n && ok; i++) {
        const struct train_item *item = &r->train.items[i];
        for (int k = 0; k < 2; k++) hash_text(c, &item->texts[k]);
        EVP_DigestUpdate(c, &item->weight, sizeof item->weight);
        EVP_DigestUpdate(c, &item->good, sizeof item->good);
        if (item->answer) EVP_DigestUpdate(c, item->answer, strlen(item->answer));
    }
    ok = ok && EVP_DigestFinal_ex(c, digest, NULL) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}

/* All that what is learnt depends on, in a line. */
static int identify(struct run *r, struct err *e)
{
    static const char *const kinds[TRAIN_KINDS] = {"sft", "dpo", "kto", "grpo"};
    const struct train_want *w = r->w;
    const struct model_info *m = engine_info(r->m);
    unsigned char digest[32];

    if (!hash_data(r, digest)) return err_set(e, ERR_NOMEM, "out of memory");
    str_addf(&r->identity, "%s; %s %s %llu; %s; rank %d alpha %g targets %x; lr %g %g warmup %g decay %g clip %g; steps %lld batch %d at once %d; seed %llu; "
             "beta %g sft %g weights %g %g; prompts %d group %d reply %d temp %g rewards %g %g; init %s; data ", kinds[w->kind], m->name, m->quant, (unsigned long long)m->file_bytes,
             trainer_precision(r->t), w->options.rank, w->options.alpha, w->options.targets, w->lr, w->lowest, w->warmup, w->decay, w->clip,
             (long long)r->total, w->batch, w->options.max_tokens, (unsigned long long)w->seed, w->beta, w->sft, w->weight_good, w->weight_bad,
             w->prompts, w->group, w->reply_max, w->temp, w->format, w->brevity, w->init ? w->init : "");
    for (size_t i = 0; i < sizeof digest; i++) str_addf(&r->identity, "%02x", digest[i]);
    return str_ok(&r->identity) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- what is shown ---------------------------------------------------------------------------------------------------------- */

static double resident_mb(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void add_time(struct str *out, double seconds)
{
    if (seconds < 100) str_addf(out, "%.0f s", seconds);
    else if (seconds < 100 * 60) str_addf(out, "%.0f min", seconds / 60);
    else str_addf(out, "%.1f h", seconds / 3600);
}

static double speed(const struct run *r)
{
    double seconds = (double)(clock_mono_ms() - r->started_ms) / 1000;
    return seconds > 0 ? (double)r->seen / seconds : 0;
}

/* How far a run is, 0 to 1: by tokens, which say more of the time than steps do; a step of grpo takes what its replies take. */
static double part_done(const struct run *r, int64_t step, int64_t tokens)
{
    double sampled = r->replies ? (double)r->replied / (double)r->replies : 0;

    if (r->w->kind == TRAIN_GRPO) return ((double)step + 0.7 * sampled) / (double)(r->total ? r->total : 1);
    return r->tokens_total ? (double)tokens / (double)r->tokens_total : 1;
}

static const char *measure_of(const struct run *r)
{
    return r->w->kind == TRAIN_GRPO ? "reward" : "loss";
}

/* The line of progress: what fits of it, the most wanted first. */
static void show(struct run *r)
{
    struct str parts[6] = {STR_EMPTY}, line = STR_EMPTY;
    double done = part_done(r, r->step, r->tokens), mb = resident_mb(), seconds = (double)(clock_mono_ms() - r->started_ms) / 1000;
    double now = done - part_done(&(struct run){.w = r->w, .total = r->total, .tokens_total = r->tokens_total}, r->first_step, r->tokens_first);
    const char *dot = r->ascii ? ", " : " · ";
    int columns = sweep_columns(STDERR_FILENO) - 1;

    if (!r->bar || clock_mono_ms() - r->shown_ms < 200) return;
    r->shown_ms = clock_mono_ms();
    str_addf(&parts[0], "step %lld of %lld", (long long)r->step, (long long)r->total);
    if (r->replies) str_addf(&parts[1], "reply %zu of %zu", r->replied, r->replies);
    if (r->step > r->first_step) str_addf(&parts[2], "%s %.4f", measure_of(r), r->shown_loss);
    if (now > 0) {
        add_time(&parts[3], seconds * (1 - done) / now);
        str_add(&parts[3], " left");
    }
    if (r->seen) str_addf(&parts[4], "%.0f tok/s", speed(r));
    if (mb < 1000) str_addf(&parts[5], "%.0f MB", mb);
    else str_addf(&parts[5], "%.1f GB", mb / 1024);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct str with = STR_EMPTY;
        str_addf(&with, "%s%s%s", str_cstr(&line), line.len && parts[i].len ? dot : "", str_cstr(&parts[i]));
        bool fits = utf8_columns(str_cstr(&with), with.len) <= columns;
        if (fits) {
            str_release(&line);
            line = with;
        } else {
            str_release(&with);
        }
        str_release(&parts[i]);
    }
    fprintf(stderr, "\r\033[K%s", str_cstr(&line));
    fflush(stderr);
    str_release(&line);
}

static void replied(void *arg, size_t done, size_t of)
{
    struct run *r = arg;

    r->replied = done;
    r->replies = of;
    show(r);
}

static void say(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct run *r, const char *fmt, ...)
{
    va_list ap;

    if (r->bar) fputs("\r\033[K", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* A line of the log; takes o. */
static int put_log(struct run *r, json_t *o, struct err *e)
{
    char *text = r->log >= 0 ? json_write(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    struct str line = STR_EMPTY;
    int rc = 0;

    if (r->log >= 0) {
        if (text) str_addf(&line, "%s\n", text);
        if (!text || !str_ok(&line)) rc = err_set(e, ERR_NOMEM, "out of memory");
        else if (write(r->log, line.data, line.len) != (ssize_t)line.len) rc = err_set_errno(e, ERR_IO, "the log");
    }
    free(text);
    json_decref(o);
    str_release(&line);
    return rc;
}

static int log_start(struct run *r, struct err *e)
{
    json_t *o = json_object();

    json_object_set_new(o, "run", json_string(str_cstr(&r->identity)));
    json_object_set_new(o, "from_step", json_integer(r->step));
    json_object_set_new(o, "steps", json_integer(r->total));
    json_object_set_new(o, "records", json_integer((json_int_t)r->train.n));
    json_object_set_new(o, "tokens", json_integer((json_int_t)r->train.tokens));
    json_object_set_new(o, "learnt", json_integer((json_int_t)r->train.learnt));
    json_object_set_new(o, "too_long", json_integer((json_int_t)r->train.too_long));
    json_object_set_new(o, "parameters", json_integer((json_int_t)trainer_parameters(r->t)));
    json_object_set_new(o, "precision", json_string(trainer_precision(r->t)));
    return put_log(r, o, e);
}

static json_t *sums_json(const struct run *r, const struct train_sums *s, const char *loss)
{
    json_t *o = json_object();

    json_object_set_new(o, "step", json_integer(r->step));
    json_object_set_new(o, loss, json_real(s->of > 0 ? s->loss / s->of : 0));
    if (r->w->kind != TRAIN_SFT && s->items) {
        json_object_set_new(o, r->w->kind == TRAIN_GRPO ? "reward" : "margin", json_real(s->margin / (double)s->items));
        json_object_set_new(o, "right", json_real(s->right / (double)s->items));
    }
    return o;
}

/* ---- saving ------------------------------------------------------------------------------------------------------------------ */

static int save(struct run *r, struct err *e)
{
    struct place p = {r->step, r->tokens};
    int rc = trainer_save(r->t, str_cstr(&r->state), str_cstr(&r->identity), &p, sizeof p, e);

    if (!rc) rc = trainer_write_adapter(r->t, r->w->to, !r->w->f32_file, e);
    r->saved_ms = clock_mono_ms();
    return rc;
}

/* ---- the run ------------------------------------------------------------------------------------------------------------------ */

static int validate(struct run *r, struct err *e)
{
    struct train_sums s = {0};

    if (!r->valid.n || r->w->kind == TRAIN_GRPO) return 0;
    int rc = train_loss_run(r->t, r->w, r->valid_items, r->valid.n, false, &stop, &s, e);
    if (rc) return rc;
    say(r, "step %lld: loss on %zu held-out records %.4f", (long long)r->step, r->valid.n, s.loss / s.of);
    return put_log(r, sums_json(r, &s, "valid_loss"), e);
}

static int take_step(struct run *r, struct err *e)
{
    const struct train_want *w = r->w;
    struct train_sums s = {0};
    size_t tokens, n = next_batch(r, &tokens);
    int64_t warmup = w->warmup < 1 ? (int64_t)ceil(w->warmup * (double)r->total) : (int64_t)w->warmup;
    double lr = train_schedule(w->lr, w->lowest, r->step, warmup, r->total), norm = 0;

    bool any = true;
    struct train_watch watch = {&stop, replied, r};
    int rc = w->kind == TRAIN_GRPO ? train_grpo_step(r->t, r->m, w, r->order + r->at, n, (uint64_t)r->step, &watch, &any, &s, e)
                                   : train_loss_run(r->t, w, r->order + r->at, n, true, &stop, &s, e);
    if (!rc && any) rc = trainer_step(r->t, &(struct train_step){.lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = w->decay, .clip = w->clip}, &norm, e);
    if (rc) {
        trainer_clear(r->t);
        return rc;
    }
    r->at += n;
    r->step++;
    r->tokens += (int64_t)tokens;
    r->seen += (int64_t)s.tokens;
    r->replied = r->replies = 0;
    /* of rewards more is to be told than of that loss */
    double loss = w->kind == TRAIN_GRPO ? s.margin / (double)s.items : s.of > 0 ? s.loss / s.of : 0;
    r->shown_loss = r->step == 1 || r->shown_loss == 0 ? loss : 0.9 * r->shown_loss + 0.1 * loss;
    json_t *o = sums_json(r, &s, "loss");
    json_object_set_new(o, "lr", json_real(lr));
    json_object_set_new(o, "norm", json_real(norm));
    json_object_set_new(o, "tokens", json_integer((json_int_t)s.tokens));
    json_object_set_new(o, "learnt", json_integer((json_int_t)s.learnt));
    if (s.groups) json_object_set_new(o, "dropped", json_integer((json_int_t)s.dropped));
    json_object_set_new(o, "tokens_per_s", json_real(speed(r)));
    json_object_set_new(o, "rss_mb", json_real(resident_mb()));
    return put_log(r, o, e);
}

static int steps(struct run *r, struct err *e)
{
    int rc = r->step == 0 ? validate(r, e) : 0;
    int64_t epoch = r->epoch;

    r->started_ms = r->saved_ms = clock_mono_ms();
    r->first_step = r->step;
    r->tokens_first = r->tokens;
    while (!rc && r->step < r->total && !stop) {
        rc = take_step(r, e);
        show(r);
        if (!rc && clock_mono_ms() - r->saved_ms >= (int64_t)1000 * r->w->save_every) rc = save(r, e);
        if (!rc && r->step < r->total && r->epoch != epoch) rc = validate(r, e);
        epoch = r->epoch;
    }
    if (!rc && stop) rc = err_set(e, ERR_STOPPED, "stopped");
    if (r->bar) fputs("\r\033[K", stderr);
    return rc;
}

static int begin(struct run *r, struct err *e)
{
    const struct train_want *w = r->w;
    struct place p;
    int rc = 0;

    plan(r, 0);
    if ((rc = identify(r, e))) return rc;
    bool there = access(str_cstr(&r->state), F_OK) == 0;
    if (there && !w->resume && !w->restart)
        return err_set(e, ERR_USAGE, "%s is the state of an unfinished run: --resume goes on with it, --restart begins anew", str_cstr(&r->state));
    if (w->init && (rc = trainer_read_adapter(r->t, w->init, e))) return rc;
    if (w->kind == TRAIN_DPO || w->kind == TRAIN_KTO) {
        if (r->bar) say(r, "log-probabilities of %zu records before training ...", r->train.n + r->valid.n);
        if ((rc = train_loss_reference(r->t, w, &r->train, &stop, e)) || (rc = train_loss_reference(r->t, w, &r->valid, &stop, e))) return rc;
    }
    if (there && w->resume) {
        if ((rc = trainer_load(r->t, str_cstr(&r->state), str_cstr(&r->identity), &p, sizeof p, e))) return rc;
        plan(r, p.step);
        r->step = p.step;
        r->tokens = p.tokens;
    }
    if (!w->log || strcmp(w->log, "off") != 0) {
        struct str path = STR_EMPTY;
        str_add(&path, w->log ? w->log : w->to);
        if (!w->log) str_add(&path, ".jsonl");
        r->log = file_open_private(str_cstr(&path), O_WRONLY | O_CREAT | O_APPEND | (r->step ? 0 : O_TRUNC), e);
        str_release(&path);
        if (r->log < 0) return e->code;
    }
    return log_start(r, e);
}

/* What goes on from an adapter that was taught to think teaches it as that was, unless told otherwise. */
static int take_style(const struct engine *m, struct train_want *w, struct err *e)
{
    struct adapter *a = NULL;
    int rc = w->init && !w->cot_given ? adapter_open(&a, m, w->init, e) : 0;

    if (a && adapter_family(a) != engine_info(m)->family) w->style.prompted = false;
    adapter_free(a);
    return rc;
}

static int load(struct run *r, struct train_want *w, struct err *e)
{
    struct str path = STR_EMPTY;
    struct stat st;
    int rc = model_path_of(&path, w->base, e);

    if (!rc) rc = engine_open(&r->m, str_cstr(&path), e);
    str_release(&path);
    if (!rc) rc = take_style(r->m, w, e);
    if (!rc) rc = train_data_load(&r->train, w->data, "train", r->m, w, e);
    if (!rc && (w->valid || (stat(w->data, &st) == 0 && S_ISDIR(st.st_mode))))
        rc = train_data_load(&r->valid, w->valid ? w->valid : w->data, "valid", r->m, w, e);
    struct train_options options = w->options;
    if (!rc && !w->style.prompted && family_trained(engine_info(r->m)->family) != engine_info(r->m)->family)
        options.family = family_trained(engine_info(r->m)->family)->name;
    if (!rc) rc = trainer_new(&r->t, r->m, &options, e);
    r->order = calloc(r->train.n + 1, sizeof(struct train_item *));
    r->valid_items = calloc(r->valid.n + 1, sizeof(struct train_item *));
    if (!rc && (!r->order || !r->valid_items)) rc = err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < r->valid.n && !rc; i++) r->valid_items[i] = &r->valid.items[i];
    return rc;
}

static void introduce(struct run *r)
{
    const struct train_data *d = &r->train;

    say(r, "%zu records, %zu tokens, %zu learnt; %lld steps; %.1f million values in %s%s", d->n, d->tokens, d->learnt, (long long)r->total,
        (double)trainer_parameters(r->t) / 1e6, trainer_precision(r->t), trainer_recomputes(r->t) ? ", layers computed twice for want of memory" : "");
    if (d->too_long + d->empty) say(r, "left out: %zu longer than %d tokens (--max-length), %zu with nothing to learn", d->too_long, r->w->max_length, d->empty);
    if (r->step) say(r, "going on with step %lld", (long long)r->step + 1);
}

static int finish(struct run *r, int rc, struct err *e)
{
    struct err bad = {0};

    if (rc == ERR_STOPPED && r->step && !save(r, &bad)) {
        say(r, "saved after step %lld; --resume goes on", (long long)r->step);
        return 128 + (caught ? caught : SIGINT);
    }
    if (rc == ERR_STOPPED) return bad.code ? cli_fail(&bad) : 128 + (caught ? caught : SIGINT);
    if (!rc) rc = trainer_write_adapter(r->t, r->w->to, !r->w->f32_file, e);
    if (rc) return cli_fail(e);
    unlink(str_cstr(&r->state));
    struct str line = STR_EMPTY;
    str_addf(&line, "%s: %lld steps, %s %.4f, %.0f tokens/s, ", r->w->to, (long long)r->step, measure_of(r), r->shown_loss, speed(r));
    add_time(&line, (double)(clock_mono_ms() - r->started_ms) / 1000);
    str_add(&line, "\n");
    cli_puts(stdout, str_cstr(&line));
    str_release(&line);
    return cli_finish(0);
}

int train_run(const struct train_want *given)
{
    struct train_want want = *given, *w = &want;
    const char *term = getenv("TERM");
    struct run r = {.w = w, .log = -1, .epoch = -1, .bar = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
                    .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0};
    struct sigaction sa = {.sa_handler = on_signal};
    struct err e = {0};

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    str_addf(&r.state, "%s.state", w->to);
    int rc = load(&r, w, &e);
    if (!rc) rc = begin(&r, &e);
    if (!rc) introduce(&r);
    if (!rc) rc = steps(&r, &e);
    if (!rc) rc = validate(&r, &e);
    int code = finish(&r, rc, &e);
    if (r.log >= 0) close(r.log);
    trainer_free(r.t);
    engine_free(r.m);
    train_data_release(&r.train);
    train_data_release(&r.valid);
    free(r.order);
    free(r.valid_items);
    str_release(&r.state);
    str_release(&r.identity);
    return code;
}
