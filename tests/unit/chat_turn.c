/*
 * Turns on a tiny random model: what is told in which order, what is kept, live commands, queued prompts, branches, a record that fails.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/chat_talk.h"

#include <signal.h>
#include <sys/resource.h>

/* ---- one turn -------------------------------------------------------------------------------------------------- */

static void a_turn_is_told_in_order_and_kept(void **state)
{
    (void)state;
    struct talk t;
    start(&t, "40");
    pump(&t, 0);
    assert_string_equal(str_cstr(&t.order), "M");
    assert_non_null(chat_model(t.chat));
    say(&t, "hello");
    assert_true(chat_running(t.chat));
    struct message_list l = branch(&t);      /* the prompt is there before anything was computed */
    assert_int_equal(l.n >= 1, 1);
    assert_string_equal(l.items[0].text, "hello");
    message_list_release(&l);
    pump(&t, 1);
    assert_string_equal(str_cstr(&t.order), "MPROtCaE");
    assert_false(chat_running(t.chat));
    assert_true(t.end.thought_tokens > 0 && t.end.thought_tokens <= 40);
    assert_int_equal(t.end.answer_tokens, 12);
    assert_int_equal(t.end.answer_ending, ANSWER_LENGTH);
    l = branch(&t);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.items[1].id, t.reply);
    assert_string_equal(l.items[1].thought, str_cstr(&t.thought));
    assert_string_equal(l.items[1].text, str_cstr(&t.answer));
    assert_string_equal(l.items[1].ended, thought_ending_name(t.end.thought_ending));
    assert_string_equal(l.items[1].answer_ended, "length");
    assert_string_equal(l.items[1].budget, "40");
    assert_int_equal(l.items[1].thought_tokens, t.end.thought_tokens);
    assert_false(l.items[1].streaming);
    message_list_release(&l);
    finish(&t);
}

/* What is typed or pasted and is no text becomes what the record has of it, before the model reads it. */
static void a_prompt_is_what_the_record_keeps(void **state)
{
    (void)state;
    static const char *const texts[] = {"no \xff\xe6\xbctext\xf0", "no \xef\xbf\xbd\xef\xbf\xbdtext\xef\xbf\xbd"};
    struct talk t[2];
    for (int i = 0; i < 2; i++) {
        start(&t[i], "30");
        say(&t[i], texts[i]);
        pump(&t[i], 1);
        struct message_list l = branch(&t[i]);
        assert_string_equal(l.items[0].text, texts[1]);
        message_list_release(&l);
    }
    assert_true(t[0].thought.len > 0);
    assert_string_equal(str_cstr(&t[0].thought), str_cstr(&t[1].thought));
    assert_string_equal(str_cstr(&t[0].answer), str_cstr(&t[1].answer));
    for (int i = 0; i < 2; i++) finish(&t[i]);
}

static void the_seed_makes_the_reply(void **state)
{
    (void)state;
    struct talk a, b;
    start(&a, "30");
    say(&a, "same");
    pump(&a, 1);
    start(&b, "30");
    say(&b, "same");
    pump(&b, 1);
    assert_string_equal(str_cstr(&a.thought), str_cstr(&b.thought));
    assert_string_equal(str_cstr(&a.answer), str_cstr(&b.answer));
    finish(&a);
    finish(&b);
}

/* What the record keeps of a reply, but for its times and its ids. */
static void told(struct talk *t, struct str *out)
{
    struct message_list l = branch(t);
    const struct message *m = &l.items[l.n - 1];
    str_addf(out, "[%s][%s] %s %s %s %d %d", str_cstr(&t->thought), str_cstr(&t->answer), m->ended, m->answer_ended, m->budget, m->thought_tokens,
             t->end.answer_tokens);
    assert_string_equal(m->thought, str_cstr(&t->thought));
    assert_string_equal(m->text, str_cstr(&t->answer));
    message_list_release(&l);
}

static void speculation_changes_no_reply(void **state)
{
    (void)state;
    static const char *const temps[] = {"0", "0.3", "1"}, *const budgets[] = {"off", "90", "200"};
    int drafted = 0, accepted = 0;
    for (size_t i = 0; i < 9; i++) {
        struct str kept[3] = {STR_EMPTY, STR_EMPTY, STR_EMPTY};
        for (int how = 0; how < 3; how++) {      /* without, with, with and on one thread */
            struct talk t;
            struct err e = {0};
            start(&t, budgets[i / 3]);
            assert_int_equal(settings_set(&t.set, "temp", temps[i % 3], &e), 0);
            assert_int_equal(settings_set(&t.set, "answer_max", "60", &e), 0);
            assert_int_equal(settings_set(&t.set, "speculate", how ? "on" : "off", &e), 0);
            assert_int_equal(settings_set(&t.set, "threads", how == 2 ? "1" : "2", &e), 0);
            assert_int_equal(chat_set(t.chat, &t.set, NULL, &e), 0);
            for (int turn = 1; turn <= 2; turn++) {
                clear(&t);
                say(&t, turn == 1 ? "first" : "and.then?");
                pump(&t, turn);
                told(&t, &kept[how]);
                if (!how) assert_int_equal(t.end.drafted, 0);
                assert_true(t.end.accepted <= t.end.drafted);
                drafted += t.end.drafted;
                accepted += t.end.accepted;
            }
            finish(&t);
        }
        assert_string_equal(str_cstr(&kept[1]), str_cstr(&kept[0]));
        assert_string_equal(str_cstr(&kept[2]), str_cstr(&kept[0]));
        for (int how = 0; how < 3; how++) str_release(&kept[how]);
    }
    /* the greedy replies go round in circles, so that there was something to guess */
    assert_true(drafted > 0 && accepted > 0);
}

static void a_missing_model_is_told(void **state)
{
    (void)state;
    struct talk t;
    char keep[sizeof model];
    memcpy(keep, model, sizeof keep);
    snprintf(model, sizeof model, "%s/none.gguf", folder);
    start(&t, "30");
    memcpy(model, keep, sizeof keep);
    pump(&t, 0);
    assert_string_equal(str_cstr(&t.order), "F");
    assert_non_null(strstr(str_cstr(&t.notice), "none.gguf"));
    assert_null(chat_model(t.chat));
    say(&t, "anybody?");
    pump(&t, 1);
    assert_non_null(strstr(str_cstr(&t.notice), "no model"));
    finish(&t);
}

static void a_prompt_beyond_the_context_is_refused(void **state)
{
    (void)state;
    struct talk t;
    struct str longest = STR_EMPTY;
    start(&t, "30");
    for (int i = 0; i < 3000; i++) str_add(&longest, "a");
    say(&t, str_cstr(&longest));
    pump(&t, 1);
    assert_non_null(strstr(str_cstr(&t.notice), "tokens; the context of 2048"));
    assert_int_equal(t.end.thought_ending, THOUGHT_ERROR);
    clear(&t);
    say(&t, "short");
    pump(&t, 2);
    assert_non_null(strstr(str_cstr(&t.order), "aE"));
    str_release(&longest);
    finish(&t);
}

/* An adapter for one matrix of the tiny model. */
static void write_adapter(const char *path)
{
    struct gguf_writer w;
    float values[64 * 4];
    for (size_t i = 0; i < ARRAY_LEN(values); i++) values[i] = (float)((int)(i * 37 % 19) - 9) / 3;
    gw_init(&w);
    gw_string(&w, "general.type", "adapter");
    gw_string(&w, "general.architecture", "llama");
    gw_string(&w, "adapter.type", "lora");
    gw_f32(&w, "adapter.lora.alpha", 4);
    gw_tensor(&w, "blk.0.attn_output.weight.lora_a", 2, (int64_t[]){64, 4}, TENSOR_F32, values, sizeof values);
    gw_tensor(&w, "blk.0.attn_output.weight.lora_b", 2, (int64_t[]){4, 64}, TENSOR_F32, values, sizeof values);
    assert_int_equal(gw_save(&w, path, SIZE_MAX), 0);
    gw_release(&w);
}

static void adapters_of_the_settings_are_applied(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    char path[96], list[128];
    snprintf(path, sizeof path, "%s/adapter.gguf", folder);
    write_adapter(path);
    start(&t, "30");
    say(&t, "same");
    pump(&t, 1);
    char *plain = mem_dup_text(str_cstr(&t.thought), t.thought.len);
    for (int round = 0; round < 3; round++) {      /* on, the same again, off */
        snprintf(list, sizeof list, round < 2 ? "%s:0.5" : "", path);
        assert_int_equal(settings_set(&t.set, "lora", list, &e), 0);
        assert_int_equal(chat_set(t.chat, &t.set, NULL, &e), 0);
        clear(&t);
        assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
        pump(&t, 2 + round);
        assert_int_equal(strcmp(str_cstr(&t.thought), plain) != 0, round < 2);
    }
    snprintf(list, sizeof list, "%s/none.gguf", folder);
    assert_int_equal(settings_set(&t.set, "lora", list, &e), 0);
    assert_int_equal(chat_set(t.chat, &t.set, NULL, &e), 0);
    say(&t, "same");
    pump(&t, 5);
    assert_non_null(strstr(str_cstr(&t.notice), "none.gguf"));
    free(plain);
    finish(&t);
}

/* ---- live ------------------------------------------------------------------------------------------------------- */

static void live_commands_act_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum thought_ending ending;
    } cases[] = {{"answer", THOUGHT_ANSWER_NOW}, {"stop", THOUGHT_STOPPED}, {"budget 10", THOUGHT_BUDGET_HARD}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk t;
        start_with(&t, NULL, "unlimited", LONG_CONTEXT);
        t.stop_after = 5;
        t.then = cases[i].line;
        say(&t, "think");
        pump(&t, 1);
        if (cases[i].ending == THOUGHT_BUDGET_HARD)
            assert_true(t.end.thought_ending == THOUGHT_BUDGET_HARD || t.end.thought_ending == THOUGHT_BUDGET_SOFT);
        else
            assert_int_equal(t.end.thought_ending, cases[i].ending);
        assert_true(t.end.thought_tokens < 60000);
        if (cases[i].ending == THOUGHT_STOPPED)
            assert_int_equal(t.end.answer_tokens, 0);
        else
            assert_int_equal(t.end.answer_tokens, 12);
        finish(&t);
    }
}

static void a_pause_stops_the_clock(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start_with(&t, NULL, "unlimited", LONG_CONTEXT);
    t.stop_after = 3;
    t.then = "pause";
    int64_t began = clock_mono_ms(), until = began + 60000;
    say(&t, "think");
    while (!chat_paused(t.chat) && chat_running(t.chat) && clock_mono_ms() < until) {
        struct pollfd p = {.fd = chat_event_fd(t.chat), .events = POLLIN};
        poll(&p, 1, 50);
        struct chat_event ev;
        while (chat_next_event(t.chat, &ev)) {
            take(&t, &ev);
            chat_event_release(&ev);
        }
    }
    assert_true(chat_paused(t.chat));
    int pieces = t.thought_pieces;
    usleep(1500000);
    assert_int_equal(chat_pause(t.chat, false, &e), 0);
    assert_int_equal(chat_control(t.chat, "answer", 6, &e), 0);
    pump(&t, 1);
    assert_true(t.thought_pieces >= pieces);
    /* what the clock shows leaves out the pause, however long the rest took */
    assert_true(t.end.thought_ms + t.end.answer_ms <= clock_mono_ms() - began - 1450);
    struct message_list l = branch(&t);
    assert_string_equal(l.items[1].ended, "answer_now");
    message_list_release(&l);
    finish(&t);
}

static void control_lines(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    static const char *const bad[] = {"", "budget", "budget x", "budget 99999999999", "answer please", "say", "frobnicate", "pause now"};
    start(&t, "20");
    pump(&t, 0);
    assert_int_equal(chat_control(t.chat, "answer", 6, &e), ERR_INVALID);     /* nothing runs */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memset(&e, 0, sizeof e);
        assert_int_not_equal(chat_control(t.chat, bad[i], strlen(bad[i]), &e), 0);
        assert_true(e.text[0]);
    }
    finish(&t);
}

static void prompts_wait_their_turn(void **state)
{
    (void)state;
    struct talk t;
    size_t n = 0;
    start(&t, "20");
    say(&t, "first");
    say(&t, "second");
    say(&t, "third");
    assert_int_equal(chat_queued(t.chat), 2);
    assert_string_equal(chat_queued_text(t.chat, 1, &n), "third");
    chat_drop_queued(t.chat, 1);
    pump(&t, 2);
    assert_int_equal(chat_queued(t.chat), 0);
    struct message_list l = branch(&t);
    assert_int_equal(l.n, 4);
    assert_string_equal(l.items[2].text, "second");
    assert_int_equal(l.items[2].parent, l.items[1].id);
    message_list_release(&l);
    finish(&t);
}

/* ---- branches ---------------------------------------------------------------------------------------------------- */

static void another_reply_and_another_prompt(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "20");
    assert_int_equal(chat_regenerate(t.chat, 0, &e), ERR_NOT_FOUND);
    say(&t, "one");
    pump(&t, 1);
    int64_t first = t.reply;
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
    assert_int_equal(chat_regenerate(t.chat, 0, &e), ERR_BUSY);
    pump(&t, 2);
    assert_int_not_equal(t.reply, first);
    struct message_list l = branch(&t);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.items[1].id, t.reply);
    assert_int_equal(l.items[1].n_siblings, 2);
    int64_t prompt = l.items[0].id;
    message_list_release(&l);
    assert_int_equal(chat_edit(t.chat, prompt, "uno", 3, &e), 0);
    pump(&t, 3);
    l = branch(&t);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].text, "uno");
    assert_int_equal(l.items[0].n_siblings, 2);
    message_list_release(&l);
    int64_t conversation = chat_conversation(t.chat);
    assert_int_equal(chat_select(t.chat, 0, &e), 0);
    say(&t, "elsewhere");
    pump(&t, 4);
    assert_int_not_equal(chat_conversation(t.chat), conversation);
    assert_int_equal(chat_select(t.chat, conversation, &e), 0);
    assert_int_equal(chat_select(t.chat, 4711, &e), ERR_NOT_FOUND);
    assert_int_equal(chat_conversation(t.chat), conversation);
    finish(&t);
}

/* ---- a record that fails ------------------------------------------------------------------------------------------ */

/* From here on nothing is written; returns what makes room again. */
static struct rlimit fill_disk(void)
{
    struct rlimit old;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, old.rlim_max}), 0);
    return old;
}

static void a_full_disk_loses_nothing_that_memory_holds(void **state)
{
    (void)state;
    struct talk t;
    char db[96];
    snprintf(db, sizeof db, "%s/full.db", folder);
    start_with(&t, db, "20", "2048");
    pump(&t, 0);
    say(&t, "kept");
    pump(&t, 1);
    struct rlimit old = fill_disk();
    clear(&t);
    say(&t, "not saved at first");
    pump(&t, 2);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_true(t.trouble.len > 0);
    assert_non_null(strstr(str_cstr(&t.order), "tCaE"));       /* the chat went on */
    clear(&t);
    say(&t, "saved again");
    pump(&t, 3);
    struct message_list l = branch(&t);
    assert_string_equal(l.items[0].text, "kept");
    assert_string_equal(l.items[l.n - 2].text, "saved again");
    assert_string_equal(l.items[l.n - 1].text, str_cstr(&t.answer));
    message_list_release(&l);
    finish(&t);
}

/* Room comes back while a second reply that could not be saved is written: what came first is saved first, and stands above it. */
static void what_had_to_wait_is_saved_in_order(void **state)
{
    (void)state;
    static const char *const said[] = {"kept", "waits", "waits too"};
    struct talk t;
    char db[96];
    snprintf(db, sizeof db, "%s/order.db", folder);
    start_with(&t, db, "200", "2048");
    pump(&t, 0);
    say(&t, said[0]);
    pump(&t, 1);
    struct rlimit old = fill_disk();
    say(&t, said[1]);
    pump(&t, 2);
    say(&t, said[2]);
    setrlimit(RLIMIT_FSIZE, &old);
    pump(&t, 3);
    assert_true(t.trouble.len > 0);
    struct message_list l = branch(&t);
    assert_int_equal(l.n, 6);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) assert_string_equal(l.items[2 * i].text, said[i]);
    message_list_release(&l);
    finish(&t);
}

static void leaving_in_the_middle_ends_the_reply(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    char db[96];
    snprintf(db, sizeof db, "%s/left.db", folder);
    start_with(&t, db, "unlimited", LONG_CONTEXT);
    say(&t, "long");
    for (int64_t until = clock_mono_ms() + 60000; t.thought_pieces < 3 && clock_mono_ms() < until;) {
        struct pollfd p = {.fd = chat_event_fd(t.chat), .events = POLLIN};
        poll(&p, 1, 1000);
        struct chat_event ev;
        while (chat_next_event(t.chat, &ev)) {
            take(&t, &ev);
            chat_event_release(&ev);
        }
    }
    int64_t conversation = chat_conversation(t.chat);
    chat_free(t.chat);
    t.chat = NULL;
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t.store, conversation, &l, &e), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[1].ended, "stopped");
    assert_true(l.items[1].thought_len > 0);
    message_list_release(&l);
    finish(&t);
}

/* Commands at token positions do what they did live, without the clock. */
static void a_script_does_what_was_done(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start_with(&t, NULL, "unlimited", LONG_CONTEXT);
    t.then = "answer";
    t.stop_after = 9;
    say(&t, "long");
    pump(&t, 1);
    struct str thought = STR_EMPTY, answer = STR_EMPTY;
    str_add_bytes(&thought, str_cstr(&t.thought), t.thought.len);
    str_add_bytes(&answer, str_cstr(&t.answer), t.answer.len);
    struct provenance p = {0};
    assert_int_equal(store_load_provenance(t.store, t.reply, &p, &e), 0);
    struct chat_cue cue = {.cmd = {.verb = THINK_ANSWER_NOW}};
    for (size_t i = 0; i < p.n_events; i++)
        if (!strcmp(p.events[i].kind, "answer_now")) cue.position = p.events[i].position;
    assert_true(cue.position > 0);
    provenance_release(&p);
    struct chat_script s = {.cues = &cue, .n_cues = 1, .timeless = true};
    assert_int_equal(chat_set_script(t.chat, &s, &e), 0);
    clear(&t);
    t.stop_after = 0;
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
    pump(&t, 2);
    assert_string_equal(str_cstr(&t.thought), str_cstr(&thought));
    assert_string_equal(str_cstr(&t.answer), str_cstr(&answer));
    assert_int_equal(t.end.thought_ending, THOUGHT_ANSWER_NOW);
    str_release(&thought);
    str_release(&answer);
    finish(&t);
}

/* A prompt whose reply never came, behind an exchange, is the one that is answered. */
static void a_prompt_without_a_reply_gets_one(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    int64_t prompt = 0;
    start(&t, "10");
    say(&t, "first");
    pump(&t, 1);
    int64_t c = chat_conversation(t.chat);
    assert_int_equal(store_add_prompt(t.store, c, t.reply, "second", 6, &prompt, &e), 0);
    assert_int_equal(chat_select(t.chat, c, &e), 0);
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
    pump(&t, 2);
    struct message_list l = branch(&t);
    assert_int_equal(l.n, 4);
    assert_int_equal(l.items[3].parent, prompt);
    message_list_release(&l);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_told_in_order_and_kept),
        cmocka_unit_test(a_prompt_is_what_the_record_keeps),
        cmocka_unit_test(the_seed_makes_the_reply),
        cmocka_unit_test(speculation_changes_no_reply),
        cmocka_unit_test(a_missing_model_is_told),
        cmocka_unit_test(a_prompt_beyond_the_context_is_refused),
        cmocka_unit_test(adapters_of_the_settings_are_applied),
        cmocka_unit_test(live_commands_act_at_once),
        cmocka_unit_test(a_pause_stops_the_clock),
        cmocka_unit_test(control_lines),
        cmocka_unit_test(prompts_wait_their_turn),
        cmocka_unit_test(another_reply_and_another_prompt),
        cmocka_unit_test(a_full_disk_loses_nothing_that_memory_holds),
        cmocka_unit_test(what_had_to_wait_is_saved_in_order),
        cmocka_unit_test(leaving_in_the_middle_ends_the_reply),
        cmocka_unit_test(a_script_does_what_was_done),
        cmocka_unit_test(a_prompt_without_a_reply_gets_one),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
