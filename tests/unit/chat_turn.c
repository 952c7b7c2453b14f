/*
 * Turns on a tiny random model: what is told in which order, what is kept, live commands, queued prompts, branches, a record that fails.
 * The model has no end token, so a thought lasts as long as its budget and an answer as long as answer_max.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chat/chat.h"
#include "tiny_model.h"

static const struct tiny_spec spec = {"tiny", "llama", TENSOR_F32, 2, 64, 160, 4, 4, 16, 16, 300, 65536, true, false, SCALING_NONE};
static char folder[64] = "/tmp/ponder-chat-XXXXXX", model[96];

/* A chat and everything it told. */
struct talk {
    struct store *store;
    struct chat *chat;
    struct settings set;
    struct str order;          /* a letter an event: M model, P prompt, R prefill, O thinking opened, t thought, C closed, a answer, E ended */
    struct str thought, answer, notice, trouble;
    struct chat_stats end;
    int64_t reply;
    int ended;
    int stop_after;            /* thought pieces after which `then` is sent; 0 never */
    const char *then;
    int thought_pieces;
};

/* A context so long that a reply without a budget is still being written when a command comes, however the threads are scheduled. */
#define LONG_CONTEXT "65536"

static void start_with(struct talk *t, const char *db, const char *budget, const char *ctx)
{
    struct err e = {0};
    memset(t, 0, sizeof *t);
    assert_int_equal(settings_init(&t->set, &e), 0);
    assert_int_equal(settings_set(&t->set, "budget", budget, &e), 0);
    assert_int_equal(settings_set(&t->set, "answer_max", "12", &e), 0);
    assert_int_equal(settings_set(&t->set, "loop_guard", "off", &e), 0);
    assert_int_equal(settings_set(&t->set, "seed", "5", &e), 0);
    assert_int_equal(settings_set(&t->set, "threads", "2", &e), 0);
    assert_int_equal(settings_set(&t->set, "ctx", ctx, &e), 0);
    assert_int_equal(store_open(&t->store, db, &e), 0);
    if (chat_new(&t->chat, &t->set, model, t->store, &e)) fail_msg("%s", e.text);
}

static void start(struct talk *t, const char *budget)
{
    start_with(t, NULL, budget, "2048");
}

static void finish(struct talk *t)
{
    chat_free(t->chat);
    store_close(t->store);
    settings_release(&t->set);
    str_release(&t->order);
    str_release(&t->thought);
    str_release(&t->answer);
    str_release(&t->notice);
    str_release(&t->trouble);
}

static void take(struct talk *t, const struct chat_event *ev)
{
    static const struct {
        enum chat_event_kind kind;
        char letter;
    } letters[] = {{CHAT_MODEL, 'M'}, {CHAT_PROMPT, 'P'}, {CHAT_PREFILL, 'R'}, {CHAT_THINKING, 'O'}, {CHAT_THOUGHT, 't'}, {CHAT_CLOSED, 'C'},
                   {CHAT_ANSWER, 'a'}, {CHAT_ENDED, 'E'}, {CHAT_MODEL_FAILED, 'F'}};
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (letters[i].kind == ev->kind && !(t->order.len && t->order.data[t->order.len - 1] == letters[i].letter)) str_add_char(&t->order, letters[i].letter);
    struct err e = {0};
    switch (ev->kind) {
    case CHAT_THOUGHT:
        str_add_bytes(&t->thought, ev->text, ev->len);
        if (++t->thought_pieces == t->stop_after) assert_int_equal(chat_control(t->chat, t->then, strlen(t->then), &e), 0);
        break;
    case CHAT_ANSWER: str_add_bytes(&t->answer, ev->text, ev->len); break;
    case CHAT_NOTICE:
    case CHAT_MODEL_FAILED: str_add(&t->notice, ev->text); break;
    case CHAT_STORE_TROUBLE: str_addf(&t->trouble, "[%s]", ev->text); break;
    case CHAT_SAVED: t->reply = ev->message; break;
    case CHAT_ENDED:
        t->end = ev->stats;
        t->reply = ev->message;
        t->ended++;
        if (ev->len) str_add(&t->notice, ev->text);
        break;
    default: break;
    }
}

/* Takes events until `replies` have ended in all (or, with 0, the model has loaded or failed). */
static void pump(struct talk *t, int replies)
{
    int64_t until = clock_mono_ms() + 60000;
    while (clock_mono_ms() < until) {
        struct pollfd p = {.fd = chat_event_fd(t->chat), .events = POLLIN};
        poll(&p, 1, 1000);
        struct chat_event ev;
        while (chat_next_event(t->chat, &ev)) {
            take(t, &ev);
            bool loaded = ev.kind == CHAT_MODEL || ev.kind == CHAT_MODEL_FAILED;
            chat_event_release(&ev);
            if (!replies && loaded) return;
        }
        if (replies && t->ended >= replies) return;
    }
    fail_msg("no end after a minute; so far %s", str_cstr(&t->order));
}

static void say(struct talk *t, const char *text)
{
    struct err e = {0};
    if (chat_send(t->chat, text, strlen(text), &e)) fail_msg("%s", e.text);
}

static void clear(struct talk *t)
{
    str_clear(&t->order);
    str_clear(&t->thought);
    str_clear(&t->answer);
    t->thought_pieces = 0;
}

/* What the record holds of the active branch. */
static struct message_list branch(struct talk *t)
{
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t->store, chat_conversation(t->chat), &l, NULL), 0);
    return l;
}

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
    say(&t, "think");
    int64_t until = clock_mono_ms() + 60000;
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
    /* what the clock shows leaves out the pause, which was longer than all the rest */
    assert_true(t.end.thought_ms + t.end.answer_ms < 1500);
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

static void a_full_disk_loses_nothing_that_memory_holds(void **state)
{
    (void)state;
    struct talk t;
    char db[96];
    struct rlimit old, tiny = {4096, 0};
    snprintf(db, sizeof db, "%s/full.db", folder);
    start_with(&t, db, "20", "2048");
    pump(&t, 0);
    say(&t, "kept");
    pump(&t, 1);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tiny.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
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

/* Another answer to the same thought: the thought stands as it was, where it is from is kept, and nothing but the answer is new. */
static void another_answer_to_the_same_thought(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "40");
    say(&t, "think of it");
    pump(&t, 1);
    struct str thought = STR_EMPTY, answer = STR_EMPTY;
    str_add_bytes(&thought, str_cstr(&t.thought), t.thought.len);
    str_add_bytes(&answer, str_cstr(&t.answer), t.answer.len);
    int64_t first = t.reply;
    assert_int_equal(settings_set(&t.set, "seed", "6", &e), 0);
    assert_int_equal(settings_set(&t.set, "budget", "3", &e), 0);     /* the thought that is given has its length */
    assert_int_equal(chat_set(t.chat, &t.set, NULL, &e), 0);
    clear(&t);
    assert_int_equal(chat_rethink(t.chat, first + 7, SIZE_MAX, &e), ERR_NOT_FOUND);
    assert_int_equal(chat_rethink(t.chat, first, SIZE_MAX, &e), 0);
    pump(&t, 2);
    assert_string_equal(str_cstr(&t.thought), str_cstr(&thought));
    assert_int_equal(t.end.answer_tokens, 12);
    struct provenance p = {0};
    assert_int_equal(store_load_provenance(t.store, t.reply, &p, &e), 0);
    assert_int_equal(p.thought_of, first);
    size_t wrapped = 0;
    for (size_t i = 0; i < p.n_spans; i++) wrapped += !strcmp(p.spans[i].kind, "wrap_up");
    assert_int_equal(wrapped, 1);     /* what the program had put into it is still told apart */
    provenance_release(&p);
    int64_t rival = 0;
    assert_int_equal(store_rival(t.store, t.reply, &rival, &e), 0);
    assert_int_equal(rival, first);
    assert_int_equal(store_rival(t.store, first, &rival, &e), 0);
    assert_int_equal(rival, t.reply);
    struct message_list l = {0};
    assert_int_equal(store_load_path(t.store, first, &l, &e), 0);     /* not the branch that is shown */
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[1].text, str_cstr(&answer));
    message_list_release(&l);
    clear(&t);
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);              /* the next reply thinks for itself again */
    pump(&t, 3);
    assert_int_equal(store_load_provenance(t.store, t.reply, &p, &e), 0);
    assert_int_equal(p.thought_of, 0);
    assert_true(t.end.thought_tokens <= 3);
    provenance_release(&p);
    str_release(&thought);
    str_release(&answer);
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

static int make_model(void **state)
{
    (void)state;
    struct tiny_model m;
    if (!mkdtemp(folder)) return -1;
    snprintf(model, sizeof model, "%s/tiny.gguf", folder);
    setenv("XDG_CACHE_HOME", folder, 1);
    tiny_init(&m, &spec);
    int rc = gw_save(&m.w, model, SIZE_MAX);
    tiny_release(&m);
    return rc;
}

static int remove_model(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* ---- thoughts gone on with ------------------------------------------------------------------------------------- */

static void another_seed(struct talk *t)
{
    struct err e = {0};
    assert_int_equal(settings_set(&t->set, "seed", "77", &e), 0);
    assert_int_equal(chat_set(t->chat, &t->set, NULL, &e), 0);
    clear(t);
}

static void the_answer_alone_is_written_again(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "40");
    say(&t, "hello");
    pump(&t, 1);
    struct message_list first = branch(&t), second;
    another_seed(&t);
    if (chat_rethink(t.chat, t.reply, SIZE_MAX, &e)) fail_msg("%s", e.text);
    assert_int_equal(chat_rethink(t.chat, t.reply, SIZE_MAX, &e), ERR_BUSY);
    pump(&t, 2);
    assert_string_equal(str_cstr(&t.order), "OtCRaE"); /* the thought is there at once */
    second = branch(&t);
    assert_int_equal(second.n, 2);
    assert_int_equal(second.items[1].n_siblings, 2);
    assert_true(second.items[1].id != first.items[1].id);
    assert_string_equal(second.items[1].thought, first.items[1].thought);
    assert_string_equal(second.items[1].ended, first.items[1].ended);
    assert_int_equal(second.items[1].thought_ms, first.items[1].thought_ms);
    assert_int_equal(t.end.answer_tokens, 12);
    message_list_release(&first);
    message_list_release(&second);
    finish(&t);
}

static void a_thought_goes_on_from_a_point_of_it(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "60");
    say(&t, "hello");
    pump(&t, 1);
    struct message_list first = branch(&t), second;
    size_t half = first.items[1].thought_len / 2, kept = utf8_complete_prefix(first.items[1].thought, half);
    another_seed(&t);
    if (chat_rethink(t.chat, t.reply, half, &e)) fail_msg("%s", e.text);
    pump(&t, 2);
    second = branch(&t);
    assert_true(second.items[1].thought_len > kept);
    assert_memory_equal(second.items[1].thought, first.items[1].thought, kept);
    assert_string_not_equal(second.items[1].thought, first.items[1].thought);
    assert_int_equal(second.items[1].n_siblings, 2);
    assert_true(t.end.thought_tokens <= 60); /* the budget is a total */
    message_list_release(&first);
    message_list_release(&second);
    finish(&t);
}

/* What the reader said into a thought stays told apart in the replies that begin with it, as far as they do; and they can be written again. */
static void what_was_said_stays_told_apart(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    struct provenance p = {0};
    start(&t, "60");
    t.then = "say lookhere"; /* the vocabulary has no blank */
    t.stop_after = 9;
    say(&t, "hello");
    pump(&t, 1);
    t.stop_after = 0;
    const char *said = strstr(str_cstr(&t.thought), "lookhere");
    assert_non_null(said);
    size_t at = (size_t)(said - str_cstr(&t.thought)), some = at + 4;
    int64_t first = t.reply;
    another_seed(&t);
    if (chat_rethink(t.chat, first, some, &e)) fail_msg("%s", e.text);
    pump(&t, 2);
    assert_int_equal(store_load_provenance(t.store, t.reply, &p, &e), 0);
    size_t marked = 0;
    for (size_t i = 0; i < p.n_spans; i++) {
        if (strcmp(p.spans[i].kind, "say")) continue;
        assert_true(p.spans[i].offset <= at);
        assert_int_equal(p.spans[i].offset + p.spans[i].length, some);
        marked++;
    }
    assert_int_equal(marked, 1);
    provenance_release(&p);
    struct str thought = STR_EMPTY, answer = STR_EMPTY;
    str_add_bytes(&thought, str_cstr(&t.thought), t.thought.len);
    str_add_bytes(&answer, str_cstr(&t.answer), t.answer.len);
    const struct chat_script s = {.thought = str_cstr(&thought), .thought_len = some, .thought_goes_on = true, .timeless = true};
    assert_int_equal(chat_set_script(t.chat, &s, &e), 0);
    clear(&t);
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
    pump(&t, 3);
    assert_string_equal(str_cstr(&t.thought), str_cstr(&thought));
    assert_string_equal(str_cstr(&t.answer), str_cstr(&answer));
    str_release(&thought);
    str_release(&answer);
    finish(&t);
}

static void what_cannot_be_gone_on_with_is_refused(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "off");
    say(&t, "hello");
    pump(&t, 1);
    assert_int_equal(chat_rethink(t.chat, t.reply, SIZE_MAX, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "no thought"));
    assert_int_equal(chat_rethink(t.chat, 4711, SIZE_MAX, &e), ERR_NOT_FOUND);
    assert_false(chat_running(t.chat));
    say(&t, "and again"); /* the branch is whole */
    pump(&t, 2);
    struct message_list l = branch(&t);
    assert_int_equal(l.n, 4);
    message_list_release(&l);
    finish(&t);
}

/* Thinking was off when the thought is gone on with: who asks for that wants one. */
static void going_on_thinks_whatever_is_set(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, "40");
    say(&t, "hello");
    pump(&t, 1);
    assert_int_equal(settings_set(&t.set, "budget", "off", &e), 0);
    assert_int_equal(settings_set(&t.set, "think", "off", &e), 0);
    another_seed(&t);
    if (chat_rethink(t.chat, t.reply, SIZE_MAX, &e)) fail_msg("%s", e.text);
    pump(&t, 2);
    assert_string_equal(str_cstr(&t.notice), "");
    assert_true(t.thought.len > 0 && t.answer.len > 0);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_told_in_order_and_kept),
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
        cmocka_unit_test(the_answer_alone_is_written_again),
        cmocka_unit_test(a_thought_goes_on_from_a_point_of_it),
        cmocka_unit_test(what_was_said_stays_told_apart),
        cmocka_unit_test(what_cannot_be_gone_on_with_is_refused),
        cmocka_unit_test(going_on_thinks_whatever_is_set),
        cmocka_unit_test(a_full_disk_loses_nothing_that_memory_holds),
        cmocka_unit_test(leaving_in_the_middle_ends_the_reply),
        cmocka_unit_test(another_answer_to_the_same_thought),
        cmocka_unit_test(a_script_does_what_was_done),
        cmocka_unit_test(a_prompt_without_a_reply_gets_one),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
