/* Memory that runs out in the record: a failed write changes nothing, an acknowledged one stays, exports end with an error. */
#include "nomem.h"

#include "unit/store_help.h"

static char *db;

/* What the record has told to be saved, in all runs. */
static struct {
    int64_t prompts, replies, up;
} told;

/* A conversation as a chat writes it. Counts what was acknowledged. */
static int a_turn(void *arg)
{
    (void)arg;
    static const char thought[] = "First this. Then that.", answer[] = "So it is.";
    const struct reply_start start = {.model = "Tiny", .model_file = "/m/tiny.gguf", .quant = "F32", .family = "chatml", .engine_version = "0", .kernels = "scalar", .system = "Be brief.", .budget = "9",
                                      .temp = 1, .top_p = 1, .repeat_penalty = 1};
    const struct reply_end ending = {.ended = "natural", .answer_ended = "complete", .budget_final = "9", .thought_tokens = 4, .answer_tokens = 3};
    struct reply_start from = start;
    struct store *s = NULL;
    struct err e = {0};
    int64_t conv = 0, prompt_id = 0, reply_id = 0;

    int rc = store_open(&s, db, &e);
    if (!rc) rc = store_new_conversation(s, "Be brief.", &conv, &e);
    if (!rc) rc = store_add_prompt(s, conv, 0, "Is it so?", 9, &prompt_id, &e);
    told.prompts += !rc;
    from.conversation = conv;
    from.parent = prompt_id;
    if (!rc) rc = store_begin_reply(s, &from, &reply_id, &e);
    if (!rc) rc = store_append_reply(s, reply_id, thought, 11, "", 0, &e);
    if (!rc) rc = store_add_event(s, reply_id, 3, "budget", "9", &e);
    if (!rc) rc = store_add_span(s, reply_id, 0, 0, 5, "lead", "program", &e);
    if (!rc) rc = store_end_reply(s, reply_id, thought + 11, sizeof thought - 12, answer, sizeof answer - 1, &ending, &e);
    told.replies += !rc;
    if (!rc) rc = store_rate(s, reply_id, PART_ANSWER, 1, "[\"accurate\"]", "well said", &e);
    told.up += !rc;
    if (!rc) rc = store_tag(s, reply_id, "kept", true, &e);
    if (!rc) rc = store_save_draft(s, conv, "and then", 8, &e);
    store_close(s);
    return rc && !e.text[0] ? -1 : rc;
}

static bool as_told(void *arg, bool worked)
{
    (void)arg, (void)worked;
    struct store *s = open_store(db);
    bool good = !strcmp(one(s, "PRAGMA integrity_check"), "ok") && !strcmp(one(s, "SELECT count(*) FROM messages WHERE streaming"), "0");
    /* a write may have reached the disk although telling so failed; never the other way round */
    good = good && atoll(one(s, "SELECT count(*) FROM messages WHERE role = 'user' AND text = 'Is it so?'")) >= told.prompts;
    good = good && atoll(one(s, "SELECT count(*) FROM turns WHERE thought = 'First this. Then that.' AND answer = 'So it is.' AND ended = 'natural'")) >= told.replies;
    good = good && atoll(one(s, "SELECT count(*) FROM turns WHERE answer_rating = 1")) >= told.up;
    sql(s, "INSERT INTO message_index(message_index, rank) VALUES('integrity-check', 1)");
    store_close(s);
    return good;
}

static void writing_without_memory(void **state)
{
    db = path_in(*state, "turn.db");
    nomem_each(&(struct nomem_operation){.name = "a turn", .run = a_turn, .good = as_told});
}

/* Drafts alone do not wait for the disk. */
static int a_draft(void *arg)
{
    struct err e = {0};
    int rc = store_save_draft(arg, 0, "half a line", 11, &e);
    return rc && !e.text[0] ? -1 : rc;
}

static bool waits_for_the_disk(void *arg, bool worked)
{
    struct str draft = STR_EMPTY;
    bool good = !store_load_draft(arg, 0, &draft, NULL) && (!worked || !strcmp(str_cstr(&draft), "half a line"));
    str_release(&draft);
    return good && !strcmp(one(arg, "PRAGMA synchronous"), "2");
}

static void drafts_without_memory(void **state)
{
    if (!NOMEM_WORKS) skip();
    struct store *s = open_store(path_in(*state, "draft.db"));
    nomem_each(&(struct nomem_operation){.name = "a draft", .run = a_draft, .good = waits_for_the_disk, .arg = s, .blocks_kept = 24});
    store_close(s);
}

static int make_new(void *arg)
{
    (void)arg;
    struct store *s = NULL;
    struct err e = {0};
    int rc = store_open(&s, db, &e);
    store_close(s);
    if (!rc || remove(db)) remove(db);
    return rc && !e.text[0] ? -1 : rc;
}

/* Half a schema is none: a new opening finishes it. */
static bool opens(void *arg, bool worked)
{
    (void)arg, (void)worked;
    struct store *s = NULL;
    bool good = !store_open(&s, db, NULL);
    store_close(s);
    remove(db);
    return good;
}

static void a_new_record_without_memory(void **state)
{
    db = path_in(*state, "new.db");
    nomem_each(&(struct nomem_operation){.name = "a new record", .run = make_new, .good = opens});
}

static int read_all(void *arg)
{
    struct store *s = arg;
    struct err e = {0};
    struct conversation_list l = {0};
    struct message_list m = {0};
    struct message_tree t = {0};
    struct search_hits hits = {0};
    struct provenance p = {0};
    struct reply_ratings ratings = {0};
    struct thought_steps steps = {0};
    struct stats_table stats = {0};
    struct str draft = STR_EMPTY;

    int rc = store_list(s, 0, 0, &l, &e);
    if (!rc) rc = store_load_branch(s, l.items[0].id, &m, &e);
    if (!rc) rc = store_load_tree(s, l.items[0].id, &t, &e);
    if (!rc) rc = store_load_provenance(s, m.items[1].id, &p, &e);
    if (!rc) rc = store_load_ratings(s, m.items[1].id, &ratings, &e);
    if (!rc) rc = store_load_steps(s, m.items[1].id, &steps, &e);
    if (!rc) rc = store_load_draft(s, l.items[0].id, &draft, &e);
    if (!rc) rc = store_search(s, "\"this then\" so", SEARCH_ALL, 10, &hits, &e);
    if (!rc) rc = store_stats(s, STATS_MODEL, &stats, &e);
    if (!rc && (m.n != 2 || strcmp(m.items[1].text, "So it is.") || p.n_events != 1)) rc = -1; /* half an answer is none */
    conversation_list_release(&l);
    message_list_release(&m);
    message_tree_release(&t);
    provenance_release(&p);
    reply_ratings_release(&ratings);
    thought_steps_release(&steps);
    search_hits_release(&hits);
    stats_table_release(&stats);
    str_release(&draft);
    return rc && rc != -1 && !e.text[0] ? -2 : rc;
}

static bool not_half(void *arg, bool worked)
{
    return worked || read_all(arg) == 0;
}

static void reading_without_memory(void **state)
{
    if (!NOMEM_WORKS) skip();
    db = path_in(*state, "read.db");
    assert_int_equal(a_turn(NULL), 0);
    struct store *s = open_store(db);
    nomem_each(&(struct nomem_operation){.name = "reading", .run = read_all, .good = not_half, .arg = s, .blocks_kept = 8});
    store_close(s);
}

/* ---- export ---------------------------------------------------------------------------------------------------------- */

struct export_run {
    struct store *store;
    enum export_format format;
    struct str want, got;
};

static int keep(void *arg, const struct export_record *r, struct err *e)
{
    struct str *out = arg;
    str_add_bytes(out, r->bytes, r->len);
    return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int export(void *arg)
{
    struct export_run *x = arg;
    const struct export_options o = {.format = x->format, .search = "so"};
    struct export_counts counts;
    struct err e = {0};
    str_release(&x->got);
    int rc = store_export(x->store, &o, keep, &x->got, &counts, &e);
    if (!rc && x->want.len && (x->got.len != x->want.len || memcmp(x->got.data, x->want.data, x->want.len))) rc = -1;
    str_release(&x->got);
    return rc && rc != -1 && !e.text[0] ? -2 : rc;
}

/* An export that says it worked has all there is: otherwise export() ends with -1, which is no error of the list. */
static int strict(void *arg)
{
    int rc = export(arg);
    if (rc < 0)
        fail_msg("%s: allocation %ld fails, and the export is short without an error, or fails without a reason (%d)",
                 export_format_info(((struct export_run *)arg)->format)->name, atomic_load(&nomem_at), rc);
    return rc;
}

static void exporting_without_memory(void **state)
{
    if (!NOMEM_WORKS) skip();
    static const enum export_format formats[] = {EXPORT_SFT, EXPORT_DPO, EXPORT_KTO, EXPORT_STEPWISE, EXPORT_OPENAI, EXPORT_MARKDOWN, EXPORT_HTML, EXPORT_JSON};
    db = path_in(*state, "export.db");
    for (int i = 0; i < 2; i++) assert_int_equal(a_turn(NULL), 0);
    struct store *s = open_store(db);
    int64_t first = atoll(one(s, "SELECT min(id) FROM messages WHERE role = 'user'"));
    int64_t other = reply(s, 1, first, "Another. Thought.", "No, so not.");
    assert_works(store_rate(s, other, PART_ANSWER, -1, NULL, NULL, e));
    for (int i = 1; i < 3; i++) assert_works(store_rate_step(s, other, i, i == 1 ? 1 : -1, e));
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct export_run x = {.store = s, .format = formats[i]};
        struct str all = STR_EMPTY;
        const struct export_options o = {.format = formats[i], .search = "so"};
        assert_works(store_export(s, &o, keep, &all, NULL, e));
        assert_true(all.len > 0);
        x.want = all;
        nomem_each(&(struct nomem_operation){.name = export_format_info(formats[i])->name, .run = strict, .arg = &x, .blocks_kept = 16});
        str_release(&x.want);
    }
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writing_without_memory, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(drafts_without_memory, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_new_record_without_memory, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reading_without_memory, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(exporting_without_memory, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
