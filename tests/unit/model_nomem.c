/* Memory that runs out while a model is loaded and run: an error, nothing left behind, and the same text when there is memory again. */
#include "nomem.h"

#include "model/kernels.h"
#include "model/model.h"
#include "tiny_model.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/ponder-nomem-XXXXXX", file[96], kv[96];

static const struct tiny_spec specs[] = {
    {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 128, 6, 2, 16, 16, 300, 512, true, false, SCALING_NONE},
    {"qwen2 q4", "qwen2", TENSOR_Q4_0, 1, 64, 96, 4, 1, 16, 16, 300, 512, true, true, SCALING_NONE},
};

static int32_t last_picked, want_picked;

/* From the file to a few tokens. */
static int load_and_run(void *arg)
{
    (void)arg;
    static const struct chat_message message = {.role = ROLE_USER, .content = "Is it so?", .content_len = 9};
    struct engine *m = NULL;
    struct session *s = NULL;
    struct sampler *picker = NULL;
    struct speculator *ahead = NULL;
    struct think *controller = NULL;
    struct tokens ids = {0};
    struct prompt p = {0};
    struct kv_key key = {0};
    struct err e = {0};
    int32_t id = -1;

    int rc = engine_open(&m, file, &e);
    if (!rc) rc = session_new(&s, m, 256, 2, KV_F16, &e);
    if (!rc) rc = family_render(engine_info(m)->family, &p, &message, 1, &(struct render_options){.think = true, .prompted = true, .date = "2026-01-01"}, &e);
    if (!rc) rc = tokenizer_encode_prompt(engine_tokenizer(m), &p, &ids, &e);
    if (!rc) rc = session_sync(s, ids.ids, ids.n, NULL, NULL, NULL, &e);
    if (!rc) rc = sampler_new(&picker, engine_info(m)->n_vocab, &(struct sampler_params){.temp = 1, .top_k = 40, .top_p = 0.9, .repeat_penalty = 1.1, .seed = 7}, &e);
    if (!rc) rc = speculator_new(&ahead, &e);
    if (!rc) rc = speculator_begin(ahead, ids.ids, ids.n, &e);
    if (!rc)
        rc = think_new(&controller, &(struct think_config){.family = engine_info(m)->family, .tokenizer = engine_tokenizer(m), .think = true, .thought_open = p.thought_open,
                                                           .budget = {BUDGET_TOKENS, 6}, .answer_max = 4, .answer_reserve = 16, .context_left = 64, .loop_guard = true}, &e);
    for (int i = 0; !rc && i < 12 && think_running(controller); i++) {
        struct think_event ev;
        bool keep = true;
        enum think_action action = think_next(controller, session_logits(s), i, &id);
        if (action == THINK_DO_END) break;
        if (action == THINK_DO_SAMPLE) id = sampler_pick(picker, session_logits(s));
        rc = think_accept(controller, id, action == THINK_DO_FORCE, &keep, &e);
        while (think_pop(controller, &ev)) continue;
        if (rc || !keep) continue;
        sampler_accept(picker, id);
        rc = speculator_decode(ahead, s, id, NULL, 0, &e);
    }
    if (!rc) rc = kv_key_start(&key, s, &e);
    if (!rc) rc = session_save(s, &key, 0, ids.n, kv, &e);
    if (!rc) session_truncate(s, 0);
    if (!rc) rc = session_load(s, &key, 0, ids.ids, ids.n, kv, &e);
    if (!rc) last_picked = id;
    think_free(controller);
    speculator_free(ahead);
    sampler_free(picker);
    prompt_release(&p);
    tokens_release(&ids);
    session_free(s);
    engine_free(m);
    return rc && !e.text[0] ? -1 : rc;
}

static bool same_text(void *arg, bool worked)
{
    (void)arg;
    return !worked || last_picked == want_picked;
}

static void loading_and_running_without_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct tiny_model m;
        tiny_init(&m, &specs[i]);
        assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
        tiny_release(&m);
        assert_int_equal(load_and_run(NULL), 0);
        want_picked = last_picked;
        nomem_each(&(struct nomem_operation){.name = specs[i].name, .run = load_and_run, .good = same_text, .blocks_kept = 8});
    }
}

static struct str lists[2]; /* as text and as JSON, whole */

static int list_and_look(void *arg)
{
    (void)arg;
    struct model_look look;
    struct tokenizer *t = NULL;
    struct err e = {0};
    int rc = model_look(&look, file, 0, &e);
    for (int i = 0; !rc && i < 2; i++) {
        struct str text = STR_EMPTY;
        rc = model_list_gguf(&text, file, i, &e);
        if (!rc && (text.len != lists[i].len || memcmp(text.data, lists[i].data, text.len))) rc = -2; /* half a list is none */
        str_release(&text);
    }
    if (!rc) rc = tokenizer_open(&t, file, &e);
    tokenizer_free(t);
    return rc && rc != -2 && !e.text[0] ? -1 : rc;
}

static int strictly(void *arg)
{
    int rc = list_and_look(arg);
    if (rc < 0) fail_msg("a list without memory is short, or fails without a reason (%d)", rc);
    return rc;
}

static void looking_without_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) assert_int_equal(model_list_gguf(&lists[i], file, i, NULL), 0);
    assert_true(lists[0].len > 100 && lists[1].len > 100);
    nomem_each(&(struct nomem_operation){.name = "lists", .run = strictly, .blocks_kept = 1});
    for (int i = 0; i < 2; i++) str_release(&lists[i]);
}

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/tiny.gguf", folder);
    snprintf(kv, sizeof kv, "%s/kv", folder);
    setenv("XDG_CACHE_HOME", folder, 1);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    unlink(file);
    unlink(kv);
    rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_and_running_without_memory),
        cmocka_unit_test(looking_without_memory),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
