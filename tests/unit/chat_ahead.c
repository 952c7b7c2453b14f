/*
 * Never evaluated twice, on a tiny random model: after an idle moment a prompt costs its own message, in this process and in the next; files are
 * kept within their budget, and go with their conversation.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "unit/chat_help.h"

static const struct tiny_spec spec = TINY_SPEC(TENSOR_Q8_0);
static char db[96], kv[96];

struct talk {
    struct store *store;
    struct chat *chat;
    struct settings set;
    struct chat_stats end;
    struct str answer, notice;
    size_t ready;              /* tokens that were evaluated ahead when the last CHAT_READY came */
    int ended, readies;
};

static void set(struct talk *t, const char *name, const char *value)
{
    struct err e = {0};
    if (settings_set(&t->set, name, value, &e)) fail_msg("%s", e.text);
}

/* path NULL: a private chat */
static void start(struct talk *t, const char *path, const char *ctx)
{
    struct err e = {0};
    memset(t, 0, sizeof *t);
    chat_help_settings(&t->set, (const char *const[][2]){{"budget", "20"}, {"answer_max", "24"}, {"loop_guard", "off"}, {"seed", "5"}, {"threads", "2"}, {"ctx", ctx}}, 6);
    if (store_open(&t->store, path, &e)) fail_msg("%s", e.text);
    if (chat_new(&t->chat, &t->set, model, t->store, &e)) fail_msg("%s", e.text);
}

static void finish(struct talk *t)
{
    chat_free(t->chat);
    store_close(t->store);
    settings_release(&t->set);
    str_release(&t->answer);
    str_release(&t->notice);
}

static void take(struct talk *t, const struct chat_event *ev)
{
    switch (ev->kind) {
    case CHAT_ANSWER: str_add_bytes(&t->answer, ev->text, ev->len); break;
    case CHAT_NOTICE:
    case CHAT_STORE_TROUBLE:
    case CHAT_MODEL_FAILED: str_add(&t->notice, ev->text); break;
    case CHAT_READY:
        t->ready = ev->done;
        assert_int_equal(ev->done, ev->total);
        assert_int_equal(ev->stats.context_used, ev->total);
        assert_true(ev->stats.context >= ev->stats.context_used);
        t->readies++;
        break;
    case CHAT_ENDED:
        t->end = ev->stats;
        t->ended++;
        if (ev->len) str_add(&t->notice, ev->text);
        break;
    default: break;
    }
}

struct wanted {
    struct talk *t;
    const int *count;
    int want;
};

static bool enough(void *arg, const struct chat_event *ev)
{
    const struct wanted *w = arg;
    if (ev) take(w->t, ev);
    return *w->count >= w->want;
}

/* Takes events until *count is at least `want`. */
static void pump(struct talk *t, const int *count, int want)
{
    struct wanted w = {t, count, want};
    if (!chat_help_pump(t->chat, 180, enough, &w)) fail_msg("nothing came for three minutes; %s", str_cstr(&t->notice));
}

static void say(struct talk *t, const char *text)
{
    struct err e = {0};
    str_clear(&t->answer);
    if (chat_send(t->chat, text, strlen(text), &e)) fail_msg("%s", e.text);
    pump(t, &t->ended, t->ended + 1);
}

static void settle(struct talk *t)
{
    pump(t, &t->readies, t->readies + 1);
}

static void open_conversation(struct talk *t, int64_t conversation)
{
    struct err e = {0};
    if (chat_select(t->chat, conversation, &e)) fail_msg("%s", e.text);
    settle(t);
}

static int64_t first_prompt(struct talk *t)
{
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t->store, chat_conversation(t->chat), &l, NULL), 0);
    int64_t id = l.items[0].id;
    message_list_release(&l);
    return id;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

static int n_files, n_odd;
static uint64_t n_bytes;
static char one_file[256];

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_D && (st->st_mode & 07777) != 0700) n_odd++;
    if (type == FTW_F) {
        n_files++;
        n_bytes += (uint64_t)st->st_size;
        if ((st->st_mode & 07777) != 0600) n_odd++;
        snprintf(one_file, sizeof one_file, "%s", path);
    }
    return 0;
}

/* K/V files there are; with n_bytes, and n_odd for modes that are not private. */
static int files(void)
{
    n_files = n_odd = 0;
    n_bytes = 0;
    nftw(kv, count_file, 8, FTW_PHYS);
    return n_files;
}

static void fresh(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'*", kv, db);
    assert_int_equal(system(command), 0);
}

/* ---- in memory ----------------------------------------------------------------------------------------------------- */

static const char *const messages[] = {"hello there", "and what then?", "tell me something long about all of it, please", "x", "why"};

/* The tokens of the message and of what the template puts behind it: the vocabulary has a token for every byte but the space. */
static int own_tokens(const char *message)
{
    static int around = -1;
    struct talk t;
    if (around < 0) {
        around = 0;
        start(&t, NULL, "4096");
        settle(&t);
        say(&t, "abc");
        around = t.end.prompt_tokens - (int)t.ready - 3;
        finish(&t);
    }
    int n = around;
    for (const char *p = message; *p; p++) n += *p != ' ';
    return n;
}

static void a_prompt_costs_its_own_message(void **state)
{
    (void)state;
    struct talk t;
    start(&t, NULL, "4096");
    settle(&t);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        int ready = (int)t.ready;
        say(&t, messages[i]);
        assert_int_equal(t.end.prompt_evaluated, t.end.prompt_tokens - ready);
        assert_int_equal(t.end.prompt_evaluated, own_tokens(messages[i]));
        settle(&t);
        assert_true((int)t.ready > t.end.prompt_tokens);
        assert_true((int)t.ready < t.end.context_used);       /* thoughts are no part of it */
    }
    assert_int_equal(t.notice.len, 0);
    finish(&t);
}

static void another_reply_and_an_edit_share_what_is_before(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    start(&t, NULL, "4096");
    say(&t, messages[0]);
    settle(&t);
    say(&t, messages[2]);
    int all = t.end.prompt_tokens;
    settle(&t);
    assert_int_equal(chat_regenerate(t.chat, 0, &e), 0);
    pump(&t, &t.ended, t.ended + 1);
    assert_int_equal(t.end.prompt_tokens, all);
    assert_true(t.end.prompt_evaluated <= own_tokens(""));
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t.store, chat_conversation(t.chat), &l, &e), 0);
    assert_int_equal(chat_edit(t.chat, l.items[2].id, "tell me nothing", 15, &e), 0);
    pump(&t, &t.ended, t.ended + 1);
    assert_true(t.end.prompt_evaluated <= own_tokens("nothing"));
    message_list_release(&l);
    finish(&t);
}

static void a_prompt_is_never_kept_waiting(void **state)
{
    (void)state;
    struct talk t;
    struct str longest = STR_EMPTY;
    bool met = false;
    int not_cut = 0; /* rounds in which all was evaluated behind the prompt: once that is a race, always it is a fault */
    for (int i = 0; i < 6000; i++) str_add_char(&longest, (char)('a' + i % 26));
    start(&t, NULL, "8192");
    say(&t, str_cstr(&longest));
    settle(&t);
    for (int i = 0; i < 20 && !met; i++) {
        /* another system text: everything is to be evaluated again, which a prompt cuts off */
        int before = t.readies;
        set(&t, "system", i % 2 ? "" : "Be brief.");
        assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
        usleep(540000);
        struct chat_event ev;
        while (chat_next_event(t.chat, &ev)) {
            take(&t, &ev);
            chat_event_release(&ev);
        }
        if (t.readies > before) continue; /* too late this time */
        int64_t sent = clock_mono_ms();
        assert_int_equal(chat_edit(t.chat, first_prompt(&t), "short", 5, NULL), 0);
        pump(&t, &t.ended, t.ended + 1);
        met = t.readies == before;
        not_cut += !met;
        assert_true(not_cut < 5);
        if (met) print_message("answered after %d ms\n", (int)(clock_mono_ms() - sent));
    }
    str_release(&longest);
    finish(&t);
    if (!met) skip(); /* the evaluation was over every time */
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void it_happens_once(void **state)
{
    (void)state;
    struct talk t;
    start(&t, NULL, "4096");
    say(&t, messages[0]);
    settle(&t);
    usleep(50000);
    int64_t before = cpu_ms();
    usleep(1500000);
    assert_true(cpu_ms() - before < 100);
    struct chat_event ev;
    while (chat_next_event(t.chat, &ev)) {
        assert_int_not_equal(ev.kind, CHAT_READY);
        chat_event_release(&ev);
    }
    finish(&t);
}

/* ---- over processes -------------------------------------------------------------------------------------------------- */

static void the_next_process_goes_on_at_once(void **state)
{
    (void)state;
    struct talk t;
    fresh();
    start(&t, db, "4096");
    for (size_t i = 0; i < 4; i++) {
        say(&t, messages[i]);
        settle(&t);
    }
    size_t ready = t.ready;
    int64_t conversation = chat_conversation(t.chat);
    assert_true(ready > 256);       /* more than one file */
    assert_int_equal(files(), (int)((ready + 255) / 256));
    assert_int_equal(n_odd, 0);
    /* what it says without files, and leaves none of */
    set(&t, "kv_disk", "0");
    assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
    say(&t, messages[4]);
    char *answer = str_detach(&t.answer);
    struct message_list l = {0};
    assert_int_equal(store_load_branch(t.store, conversation, &l, NULL), 0);
    int64_t last_prompt = l.items[l.n - 2].id;
    message_list_release(&l);
    finish(&t);

    struct err e = {0};
    for (int with_files = 1; with_files >= 0; with_files--) {
        if (!with_files) {
            char command[128];
            snprintf(command, sizeof command, "rm -rf '%s'", kv);
            assert_int_equal(system(command), 0);
        }
        start(&t, db, with_files ? "4096" : "8192");
        assert_int_equal(chat_select(t.chat, conversation, &e), 0);
        assert_int_equal(chat_edit(t.chat, last_prompt, messages[4], strlen(messages[4]), &e), 0);
        pump(&t, &t.ended, 1);
        assert_int_equal(t.end.prompt_evaluated, with_files ? t.end.prompt_tokens - (int)ready : t.end.prompt_tokens);
        assert_string_equal(str_cstr(&t.answer), answer);
        assert_int_equal(store_load_branch(t.store, conversation, &l, NULL), 0);
        last_prompt = l.items[l.n - 2].id;
        message_list_release(&l);
        finish(&t);
    }
    free(answer);
}

static void leaving_right_after_a_reply_keeps_its_prompt(void **state)
{
    (void)state;
    struct talk t;
    struct str longest = STR_EMPTY;
    fresh();
    for (int i = 0; i < 1000; i++) str_add_char(&longest, (char)('a' + i % 26));
    start(&t, db, "4096");
    say(&t, str_cstr(&longest));
    int prompt = t.end.prompt_tokens;
    int64_t conversation = chat_conversation(t.chat);
    finish(&t);
    start(&t, db, "4096");
    assert_int_equal(chat_select(t.chat, conversation, NULL), 0);
    say(&t, "go on");
    assert_true(t.end.prompt_evaluated < t.end.prompt_tokens - prompt + 20);
    str_release(&longest);
    finish(&t);
}

static void damaged_files_are_evaluated_again(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct talk t;
        fresh();
        start(&t, db, "4096");
        say(&t, messages[2]);
        settle(&t);
        int64_t conversation = chat_conversation(t.chat);
        finish(&t);
        assert_int_equal(files(), 1);
        uint64_t size = n_bytes;
        FILE *f = fopen(one_file, "r+");
        assert_non_null(f);
        if (how == 2) assert_int_equal(ftruncate(fileno(f), 4711), 0);
        long at = how == 0 ? (long)size - 1 : 90;      /* a row, a token */
        if (how < 2) {
            fseek(f, at, SEEK_SET);
            int c = fgetc(f);
            fseek(f, at, SEEK_SET);
            fputc(c ^ 4, f);
        }
        fclose(f);
        start(&t, db, "4096");
        open_conversation(&t, conversation);
        assert_int_equal(files(), 1); /* made again */
        assert_true(n_bytes == size);
        int ready = (int)t.ready;
        finish(&t);
        start(&t, db, "4096");
        assert_int_equal(chat_select(t.chat, conversation, NULL), 0);
        say(&t, "x");
        assert_int_equal(t.end.prompt_evaluated, t.end.prompt_tokens - ready);
        assert_int_equal(t.end.prompt_evaluated, own_tokens("x"));
        assert_int_equal(t.notice.len, 0);
        finish(&t);
    }
}

/* ---- what may not stay ------------------------------------------------------------------------------------------------ */

static void private_chats_leave_nothing(void **state)
{
    (void)state;
    struct talk t;
    fresh();
    start(&t, NULL, "4096");
    say(&t, messages[0]);
    settle(&t);
    finish(&t);
    assert_int_equal(files(), 0);
    start(&t, db, "4096");      /* nor where none are wanted */
    set(&t, "kv_disk", "0");
    assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
    say(&t, messages[0]);
    settle(&t);
    finish(&t);
    assert_int_equal(files(), 0);
}

static void files_go_with_their_conversation(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    int64_t texts = 0, ids[2];
    fresh();
    start(&t, db, "4096");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(chat_select(t.chat, 0, &e), 0);
        say(&t, messages[i]);
        settle(&t);
        ids[i] = chat_conversation(t.chat);
    }
    assert_int_equal(files(), 2);
    assert_int_equal(chat_forget(t.store, ids[0], &e), 0);
    assert_int_equal(chat_forget(t.store, ids[0], &e), 0);      /* nothing left is fine */
    assert_int_equal(files(), 1);
    assert_int_equal(store_delete(t.store, ids[0], &e), 0);
    /* another program takes text out while this one has it in memory */
    struct store *other;
    assert_int_equal(store_open(&other, db, &e), 0);
    assert_int_equal(store_redact(other, "what", "[-]", false, false, &texts, &e), 0);
    assert_true(texts > 0);
    assert_int_equal(chat_forget(other, 0, &e), 0);
    store_close(other);
    assert_int_equal(files(), 0);
    say(&t, "x");
    settle(&t);
    assert_int_equal(files(), 0);
    /* what was deleted meanwhile is not written either */
    assert_int_equal(chat_select(t.chat, 0, &e), 0);
    say(&t, messages[0]);
    settle(&t);
    assert_int_equal(files(), 1);
    assert_int_equal(chat_forget(t.store, chat_conversation(t.chat), &e), 0);
    assert_int_equal(store_delete(t.store, chat_conversation(t.chat), &e), 0);
    assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
    settle(&t);
    finish(&t);
    assert_int_equal(files(), 0);
}

static void the_budget_is_kept(void **state)
{
    (void)state;
    struct talk t;
    struct err e = {0};
    struct str longest = STR_EMPTY;
    int64_t ids[6];
    fresh();
    /* 512 bytes a position: 1300 positions are 0.65 MB */
    for (int i = 0; i < 1300; i++) str_add_char(&longest, (char)('a' + i % 26));
    start(&t, db, "4096");
    set(&t, "kv_disk", "2");
    assert_int_equal(chat_set(t.chat, &t.set, NULL, NULL), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(chat_select(t.chat, i == 4 ? ids[0] : 0, &e), 0);
        if (i == 4) settle(&t);
        longest.data[0] = (char)('A' + i);
        say(&t, i == 4 ? "used again" : str_cstr(&longest));
        settle(&t);
        ids[i] = chat_conversation(t.chat);
        assert_true(files() > 0);
        assert_true(n_bytes <= 2 << 20);
        usleep(20000);
    }
    assert_true(n_bytes > 1 << 20);
    finish(&t);
    /* the last two that were used are there in full */
    for (int i = 4; i < 6; i++) {
        start(&t, db, "4096");
        assert_int_equal(chat_select(t.chat, ids[i], &e), 0);
        say(&t, "x");
        assert_int_equal(t.end.prompt_evaluated, own_tokens("x"));
        finish(&t);
    }
    str_release(&longest);
}

static void killed_writers_leave_nothing_half(void **state)
{
    (void)state;
    struct talk t;
    fresh();
    for (int round = 0; round < 8; round++) {
        pid_t child = fork();
        if (!child) {
            struct str longest = STR_EMPTY;
            for (int i = 0; i < 3000; i++) str_add_char(&longest, (char)('a' + (i + round) % 26));
            start(&t, db, "8192");
            say(&t, str_cstr(&longest));
            settle(&t);
            _exit(0);
        }
        /* until the first file appears, and then some */
        for (int i = 0; i < 20000 && files() < 1 + round && waitpid(child, NULL, WNOHANG) == 0; i++) usleep(500);
        usleep((useconds_t)(round * 700));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    start(&t, db, "8192");
    struct conversation_list l = {0};
    assert_int_equal(store_list(t.store, 0, 0, &l, NULL), 0);
    assert_true(l.n > 0);
    for (size_t i = 0; i < l.n; i++) {
        open_conversation(&t, l.items[i].id);
        assert_int_equal(t.notice.len, 0);
    }
    conversation_list_release(&l);
    finish(&t);
}

/* ---- a conversation longer than its context ------------------------------------------------------------------------------ */

static void leaving_out_the_oldest_is_done_ahead(void **state)
{
    (void)state;
    struct talk t;
    fresh();
    start(&t, db, "1024");
    int cheap = 0, dear = 0;
    for (int i = 0; i < 40; i++) {
        char text[64];
        snprintf(text, sizeof text, "this is the message with the number %d of many", i);
        int ready = (int)t.ready;
        say(&t, text);
        assert_int_equal(t.end.prompt_evaluated, t.end.prompt_tokens - (i ? ready : 0));
        assert_true(t.end.prompt_tokens <= 768);
        if (t.end.prompt_evaluated == own_tokens(text))
            cheap++;
        else
            dear++;
        settle(&t);
    }
    assert_non_null(strstr(str_cstr(&t.notice), "left out"));
    assert_true(dear <= 1);         /* the first one */
    assert_true(cheap >= 39);
    finish(&t);
}

static int make_model(void **state)
{
    (void)state;
    int rc = chat_help_make_model(&spec);
    snprintf(db, sizeof db, "%s/record.db", folder);
    snprintf(kv, sizeof kv, "%s/ponder/kv", folder);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_costs_its_own_message),
        cmocka_unit_test(another_reply_and_an_edit_share_what_is_before),
        cmocka_unit_test(a_prompt_is_never_kept_waiting),
        cmocka_unit_test(it_happens_once),
        cmocka_unit_test(the_next_process_goes_on_at_once),
        cmocka_unit_test(leaving_right_after_a_reply_keeps_its_prompt),
        cmocka_unit_test(damaged_files_are_evaluated_again),
        cmocka_unit_test(private_chats_leave_nothing),
        cmocka_unit_test(files_go_with_their_conversation),
        cmocka_unit_test(the_budget_is_kept),
        cmocka_unit_test(killed_writers_leave_nothing_half),
        cmocka_unit_test(leaving_out_the_oldest_is_done_ahead),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
