/* engine_help.h - what the tests of engines and sessions share: a folder with one model file, and comparing with the reference. */
#ifndef PONDER_ENGINE_HELP_H
#define PONDER_ENGINE_HELP_H

#include "model/model.h"
#include "tiny_model.h"

#include <unistd.h>

static char folder[] = "/tmp/ponder-engine-XXXXXX";
static char file[128];

static inline int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof(file), "%s/model.gguf", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    remove(file);
    return rmdir(folder);
}

static inline void fill_ids(int32_t *ids, size_t n, int n_vocab)
{
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((i * 7919 + i / 5 + 1) % (size_t)n_vocab);
}

/* How sessions of tests keep their context where the model allows it, and how many did other than in f16. */
static enum kv_type cells;
static int n_other_cells;

static inline struct session *new_session(const struct engine *m, int n_ctx, int n_threads)
{
    struct session *s;
    struct err e = {0};
    int rc = session_new(&s, m, n_ctx, n_threads, cells, &e);

    if (!rc) n_other_cells += cells != KV_F16;
    else if (rc == ERR_UNSUPPORTED && cells != KV_F16) rc = session_new(&s, m, n_ctx, n_threads, KV_F16, &e);
    if (rc) fail_msg("%s", e.text);
    return s;
}

struct comparison {
    const double *want; /* [n][n_vocab] */
    int n_vocab;
    size_t next;
    double worst; /* distance over the row's largest logit */
};

static inline void compare_row(void *arg, size_t position, const float *logits)
{
    struct comparison *c = arg;
    const double *want = c->want + position * (size_t)c->n_vocab;
    double largest = 0, distance = 0;

    assert_int_equal(position, c->next++);
    for (int i = 0; i < c->n_vocab; i++) {
        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
        double d = fabs(want[i] - (double)logits[i]);
        if (!(d <= distance)) distance = d; /* a NaN sticks */
    }
    if (!(distance / largest <= c->worst)) c->worst = distance / largest;
}

/* Opens what the writer holds; the error must be one line that begins with the file's name and says `why`. */
static inline void assert_refused(const struct gguf_writer *w, size_t limit, int code, const char *why)
{
    struct engine *engine;
    struct err e = {0};

    assert_int_equal(gw_save(w, file, limit), 0);
    int rc = engine_open(&engine, file, &e);
    if (rc != code || engine || strncmp(e.text, file, strlen(file)) || !strstr(e.text, why))
        fail_msg("wanted error %d with \"%s\", got %d: %s", code, why, rc, e.text);
}

#endif
