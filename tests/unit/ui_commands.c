/* Slash commands, their completion, lists and help; budgets in steps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

#include <sys/stat.h>

/* ---- commands ------------------------------------------------------------------------------------------------------ */

static void test_typo_is_never_sent(void **state)
{
    struct headless *t = *state;
    static const char *const lines[] = {"/foo\r", "/reegn\r", "/Budget 3\r", "/\r", "/helpme now\r", "/etc/passwd is a file\r"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        headless_keys(t, lines[i]);
        assert_true(headless_shows(t, "there is no command"));
        assert_int_equal(headless_line(t)[0], '/'); /* it is there to be mended */
        headless_keys(t, "\x05\x15");
    }
    assert_int_equal(t->chat.log.len, 0);
}

static void test_nearest_command_is_named(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/reegn\r");
    assert_true(headless_shows(t, "/regen?"));
    headless_keys(t, "\x05\x15/bud 3\r");
    assert_true(headless_shows(t, "/budget?"));
    headless_keys(t, "\x05\x15/zzzzzz\r");
    assert_true(headless_shows(t, "/help lists them"));
}

static void test_slash_texts_can_be_sent(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "//help me\r");
    assert_true(headless_logged(t, "send /help me\n"));
    headless_keys(t, " /quit\r");
    assert_true(headless_logged(t, "send /quit\n"));
    headless_keys(t, "/ 2 = half\r");
    assert_true(headless_logged(t, "send / 2 = half\n"));
    assert_false(t->app->want.quit);
}

static void test_every_command_has_help_and_is_listed(void **state)
{
    struct headless *t = *state;
    struct str page = STR_EMPTY;
    ui_help_commands(&page);
    for (size_t i = 0; i < commands_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "/%s", commands_table[i].name);
        assert_non_null(strstr(str_cstr(&page), name));
        assert_true(commands_table[i].help[0] != '\0');
        snprintf(name, sizeof name, "/help %s\r", commands_table[i].name);
        headless_keys(t, name);
        assert_false(t->app->notice_is_error);
        assert_true(command_find(commands_table[i].name, strlen(commands_table[i].name)) == &commands_table[i]);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(commands_table[i].name, commands_table[k].name);
    }
    str_release(&page);
}

/* A command that is being typed says what it takes and does. */
static void test_a_typed_command_explains_itself(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/comp");
    assert_true(headless_shows(t, "Tab complete"));
    headless_keys(t, "are");
    assert_true(headless_shows(t, "BUDGET BUDGET... [PROMPT] · the same prompt with several budgets"));
    headless_keys(t, " 0 200");
    assert_true(headless_shows(t, "BUDGET BUDGET... [PROMPT] ·"));
    headless_keys(t, "\x05\x15/tree");
    assert_true(headless_shows(t, " the branches of this conversation"));
    headless_keys(t, "\x05\x15tree");
    assert_true(headless_shows(t, "Enter send"));
}

static void test_set(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/set temp 0.5\r");
    assert_true(t->chat.set.temp > 0.49 && t->chat.set.temp < 0.51);
    assert_true(headless_shows(t, "temp = 0.5"));
    headless_keys(t, "/set temp\r");
    assert_true(headless_shows(t, "temp = 0.5"));
    headless_keys(t, "/set temp 99\r");
    assert_true(t->app->notice_is_error);
    assert_true(t->chat.set.temp < 0.51);
    headless_keys(t, "/set nonsense 1\r");
    assert_true(headless_shows(t, "there is no setting"));
    headless_keys(t, "/set db /tmp/x\r");
    assert_true(headless_shows(t, "chosen at the start"));
    headless_keys(t, "/set\r");
    assert_true(headless_shows(t, "─ settings ─"));
    headless_keys(t, ESC);
}

static void test_system(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", NULL, "a");
    headless_keys(t, "/system Be brief.\r");
    assert_string_equal(t->chat.set.system, "Be brief.");
    struct conversation_list l = {0};
    assert_int_equal(store_load_conversation(t->store, t->chat.conversation, &l, NULL), 0);
    assert_string_equal(l.items[0].system, "Be brief.");
    conversation_list_release(&l);
    headless_keys(t, "/system\r");
    assert_true(headless_shows(t, "system: Be brief."));
    headless_keys(t, "/system none\r");
    assert_string_equal(t->chat.set.system, "");
}

static void test_model(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/model nosuch\r");
    assert_true(headless_shows(t, "nosuch: no such model"));
    assert_string_equal(t->app->set.model, "smollm2-135m");
    headless_keys(t, "/model big\r");
    assert_string_equal(t->chat.model_path, "/models/big.gguf");
    assert_true(headless_shows(t, "loading big"));
    headless_model(t);
    headless_keys(t, "/model\r");
    headless_keys(t, "sm\r");
    assert_string_equal(t->chat.model_path, "/models/small.gguf");
}

static void test_model_that_fails_gives_the_old_one_back(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/model big\r");
    headless_event(t, (struct chat_event){.kind = CHAT_MODEL_FAILED}, "big.gguf: damaged");
    assert_true(headless_shows(t, "big.gguf: damaged"));
    assert_string_equal(t->chat.model_path, "/models/small.gguf");
    assert_string_equal(t->app->set.model, "smollm2-135m");
    headless_model(t);
    assert_true(headless_shows(t, "SmolLM2-135M-Instruct"));
    headless_keys(t, "/model big\r"); /* mended in the meantime */
    assert_string_equal(t->chat.model_path, "/models/big.gguf");
}

static void test_new_and_open(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "first question", NULL, "first answer");
    int64_t first = t->chat.conversation;
    headless_keys(t, "/new\r");
    assert_int_equal(t->chat.conversation, 0);
    assert_int_equal(t->app->t.n, 0);
    headless_exchange(t, "second question", NULL, "second answer");
    char line[40];
    snprintf(line, sizeof line, "/open c%lld\r", (long long)first);
    headless_keys(t, line);
    assert_int_equal(t->chat.conversation, first);
    assert_true(headless_shows(t, "first answer"));
    assert_false(headless_shows(t, "second answer"));
    headless_keys(t, "/open 999\r");
    assert_true(t->app->notice_is_error);
    assert_int_equal(t->chat.conversation, first);
    headless_keys(t, "/open xyz\r");
    assert_true(t->app->notice_is_error);
}

static void test_open_waits_for_the_reply(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "question\r");
    headless_keys(t, "/new\r");
    assert_true(headless_shows(t, "still being written"));
    assert_int_equal(t->app->t.n, 2);
}

static void test_live_commands(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/answer\r");
    assert_true(headless_shows(t, "no reply is being written"));
    headless_keys(t, "question\r");
    headless_prefill(t, 1, 1);
    headless_thinking(t);
    static const struct {
        const char *line, *logged;
    } cases[] = {{"/answer\r", "answer "},
                 {"/more\r", "more "},
                 {"/pause\r", "pause\n"},
                 {"/resume\r", "resume\n"},
                 {"/say think of units\r", "say think of units\n"},
                 {"/unlimited\r", "budget unlimited\n"},
                 {"/budget 30s\r", "budget 30s\n"},
                 {"/stop\r", "stop "}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        headless_keys(t, cases[i].line);
        if (!headless_logged(t, cases[i].logged)) fail_msg("%s: %s", cases[i].line, str_cstr(&t->chat.log));
    }
}

static void test_rate_command(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "thought", "answer");
    struct item *it = &t->app->t.items[1];
    headless_keys(t, "/rate up\r");
    assert_int_equal(it->answer_rating, 1);
    headless_keys(t, "/rate up\r");
    assert_int_equal(it->answer_rating, 1);
    headless_keys(t, "/rate down thought\r");
    assert_int_equal(it->thought_rating, -1);
    headless_keys(t, "/rate none\r");
    assert_int_equal(it->answer_rating, 0);
    headless_keys(t, "/rate great\r");
    assert_true(t->app->notice_is_error);
}

static void test_fold_command(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "q", "the thought", "answer");
    headless_keys(t, "/fold full\r");
    assert_true(headless_shows(t, "│ the thought"));
    headless_keys(t, "/fold folded\r");
    assert_false(headless_shows(t, "│ the thought"));
    headless_keys(t, "/fold sideways\r");
    assert_true(t->app->notice_is_error);
}

static void test_read(void **state)
{
    struct headless *t = *state;
    char path[] = "/tmp/ponder-test-XXXXXX", line[80];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "one\r\ntwo\n", 9), 9);
    close(fd);
    snprintf(line, sizeof line, "/read %s\r", path);
    headless_keys(t, line);
    assert_non_null(strstr(headless_line(t), "```\none\ntwo\n```\n"));
    assert_int_equal(t->chat.log.len, 0);
    app_editor_done(t->app, "", 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fwrite("a\0b", 1, 3, f);
    fclose(f);
    headless_keys(t, line);
    assert_true(headless_shows(t, "is no text file"));
    unlink(path);
    headless_keys(t, line);
    assert_true(t->app->notice_is_error);
}

static void test_drop(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "one\r");
    headless_keys(t, "two\r");
    headless_keys(t, "three\r");
    assert_int_equal(t->chat.n_queued, 2);
    headless_keys(t, "/drop\r");
    assert_int_equal(t->chat.n_queued, 0);
    assert_false(headless_shows(t, "queued: "));
}

static void test_dump(void **state)
{
    struct headless *t = *state;
    char path[] = "/tmp/ponder-test-XXXXXX", line[80];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    headless_exchange(t, "q", NULL, "on the screen");
    snprintf(line, sizeof line, "/dump %s\r", path);
    headless_keys(t, line);
    struct str s = STR_EMPTY;
    assert_int_equal(file_read(&s, path, 100000, NULL), 0);
    assert_non_null(strstr(str_cstr(&s), "on the screen"));
    str_release(&s);
    unlink(path);
}

/* ---- completion ---------------------------------------------------------------------------------------------------- */

static void test_tab(void **state)
{
    struct headless *t = *state;
    static const struct {
        const char *keys, *line;
    } cases[] = {
        {"/bud\t", "/budget "},
        {"/budget unl\t", "/budget unlimited "},
        {"/model b\t", "/model big "},
        {"/set temp\t", "/set temp "},
        {"/set layout s\t", "/set layout side "},
        {"/think o\tn", "/think on"},
        {"/help reg\t", "/help regen "},
        {"hello wor\t", "hello wor"},
        {"/theme def\t", "/theme default "},
        {"/rate up th\t", "/rate up thought "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        headless_keys(t, cases[i].keys);
        if (strcmp(headless_line(t), cases[i].line)) fail_msg("%s gave \"%s\"", cases[i].keys, headless_line(t));
        headless_keys(t, "\x05\x15");
    }
    headless_keys(t, "/re\t");
    assert_true(headless_shows(t, "/resume"));
    assert_true(headless_shows(t, "/regen"));
    assert_true(headless_shows(t, "/read"));
}

static void test_file_completion(void **state)
{
    struct headless *t = *state;
    headless_keys(t, "/read tests/unit/ui_comm\t");
    assert_string_equal(headless_line(t), "/read tests/unit/ui_commands.c ");
    headless_keys(t, "\x05\x15/read tests/un\t");
    assert_string_equal(headless_line(t), "/read tests/unit/");
}

/* ---- lists --------------------------------------------------------------------------------------------------------- */

static void three_chats(struct headless *t)
{
    static const char *const prompts[] = {"how to bake bread", "tennis balls", "prime numbers"};
    for (size_t i = 0; i < 3; i++) {
        headless_exchange(t, prompts[i], "a thought about umbrellas", i == 0 ? "mix flour and water" : "an answer");
        headless_keys(t, "/new\r");
    }
}

static void test_conversation_list(void **state)
{
    struct headless *t = *state;
    three_chats(t);
    headless_keys(t, "typed before");
    headless_keys(t, ESC "OR");
    assert_true(headless_shows(t, "conversations"));
    assert_true(headless_shows(t, "tennis balls"));
    assert_true(headless_shows(t, "prime numbers"));
    headless_keys(t, "tenn");
    assert_false(headless_shows(t, "prime numbers"));
    headless_keys(t, "\r");
    assert_true(headless_shows(t, " tennis balls\n"));
    assert_null(t->app->popup);
    headless_keys(t, ESC "OR"
                         "flour");
    assert_true(headless_shows(t, "how to bake bread")); /* found by what was answered */
    assert_false(headless_shows(t, "prime numbers"));
    headless_keys(t, "zzz");
    assert_true(headless_shows(t, "nothing found"));
    headless_keys(t, ESC);
    assert_null(t->app->popup);
}

static void test_found_words_are_shown(void **state)
{
    struct headless *t = *state;
    three_chats(t);
    headless_keys(t, ESC "OR"
                         "flour");
    headless_keys(t, "\r");
    assert_int_equal(t->app->focus, FOCUS_READING);
    assert_int_equal(t->app->focus_item, 1);
    assert_non_null(strstr(headless_screen(t, true), "{match:flour}"));
}

static void test_rename(void **state)
{
    struct headless *t = *state;
    three_chats(t);
    headless_keys(t, ESC "OR"
                         "tennis");
    headless_keys(t, ESC "OQ");
    assert_true(headless_shows(t, "name: tennis balls"));
    headless_keys(t, " of Roger\r");
    assert_true(headless_shows(t, "tennis balls of Roger"));
}

static size_t conversations(struct headless *t)
{
    struct conversation_list l = {0};
    store_list(t->store, 0, 0, &l, NULL);
    size_t n = l.n;
    conversation_list_release(&l);
    return n;
}

static void test_delete_and_back(void **state)
{
    struct headless *t = *state;
    three_chats(t);
    headless_keys(t, ESC "OR" ESC "[B" ESC "[3~");
    assert_true(headless_shows(t, "Ctrl-R brings it back"));
    assert_false(headless_shows(t, " tennis balls"));
    assert_int_equal(conversations(t), 3); /* not erased yet */
    headless_keys(t, CTRL('R'));
    assert_true(headless_shows(t, " tennis balls"));
    headless_keys(t, CTRL('R'));
    assert_true(headless_shows(t, "nothing was deleted"));
    headless_keys(t, ESC "[3~" ESC);
    headless_wait(t, 9 * 60 * 1000);
    assert_int_equal(conversations(t), 3);
    assert_true(app_next_tick(t->app) <= 60 * 1000);
    headless_wait(t, 2 * 60 * 1000);
    assert_int_equal(conversations(t), 2);
}

static void test_leaving_erases_what_was_deleted(void **state)
{
    struct headless *t = *state;
    three_chats(t);
    headless_keys(t, ESC "OR" ESC "[B" ESC "[3~" ESC "[3~");
    assert_int_equal(t->app->n_deleted, 2);
    char open[32];
    snprintf(open, sizeof open, "/open %lld\r", (long long)t->app->deleted[0]);
    headless_keys(t, ESC);
    headless_keys(t, open); /* one that is opened again is wanted after all */
    assert_int_equal(t->app->n_deleted, 1);
    headless_stop(t);
    assert_int_equal(conversations(t), 2);
    headless_start(t, 80, 24, 0);
}

static void test_deleting_the_open_conversation(void **state)
{
    struct headless *t = *state;
    headless_exchange(t, "only one", NULL, "answer");
    headless_keys(t, ESC "OR" ESC "[3~");
    headless_keys(t, ESC);
    assert_int_equal(t->chat.conversation, 0);
    assert_int_equal(t->app->t.n, 0);
    headless_exchange(t, "another", NULL, "answer two");
    assert_true(headless_shows(t, "answer two"));
}

static void test_palette_runs_commands_and_actions(void **state)
{
    struct headless *t = *state;
    headless_keys(t, ESC "OQ"
                         "thinking on or off");
    headless_keys(t, "\r");
    assert_string_equal(t->chat.set.think, "off");
    headless_keys(t, ESC "OQ"
                         "/say");
    headless_keys(t, "\r");
    assert_string_equal(headless_line(t), "/say ");
    headless_keys(t, "\x15" ESC "OQ"
                     "/quit\r");
    assert_true(t->app->want.quit);
}

static void test_help_lists_every_key(void **state)
{
    struct headless *t = *state;
    struct str page = STR_EMPTY;
    ui_help_keys(&page);
    for (size_t i = 0; i < keymap_count; i++) {
        struct str key = STR_EMPTY;
        keymap_format(&keymap_table[i], &key);
        if (keymap_table[i].when != WHEN_LIVE && keymap_table[i].action != ACT_REASON && !strstr(str_cstr(&page), str_cstr(&key)))
            fail_msg("%s is not in the help", str_cstr(&key));
        assert_true(action_help(keymap_table[i].action)[0] != '\0');
        str_release(&key);
    }
    str_release(&page);
    headless_keys(t, ESC "OP");
    assert_true(headless_shows(t, "While you write"));
    headless_keys(t, "G");
    assert_true(headless_shows(t, "/quit"));
    headless_keys(t, "q");
    assert_null(t->app->popup);
}

/* No key means two things where both could hold. */
static void test_keys_are_not_bound_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < keymap_count; i++)
        for (size_t k = 0; k < i; k++) {
            const struct key_def *a = &keymap_table[i], *b = &keymap_table[k];
            if (a->focus != b->focus || a->key.name != b->key.name || a->key.cp != b->key.cp || a->key.mods != b->key.mods) continue;
            fail_msg("entries %zu and %zu are the same key", k, i);
        }
}

static void test_theme_preview_and_escape(void **state)
{
    struct headless *t = *state;
    struct theme before = t->app->theme;
    headless_keys(t, "/theme\r");
    headless_keys(t, ESC "[B" ESC "[B");
    headless_keys(t, ESC);
    assert_memory_equal(&before, &t->app->theme, sizeof before);
    assert_string_equal(t->app->set.theme, "default");
    headless_keys(t, "/theme nosuch\r");
    assert_true(t->app->notice_is_error);
    assert_string_equal(t->app->set.theme, "default");
}

/* ---- budgets ------------------------------------------------------------------------------------------------------- */

static void test_budget_steps(void **state)
{
    (void)state;
    static const struct {
        enum budget_kind kind;
        double from, up, down;
    } cases[] = {
        {BUDGET_TOKENS, 0, 25, 0},       {BUDGET_TOKENS, 25, 50, 0},       {BUDGET_TOKENS, 75, 100, 50},
        {BUDGET_TOKENS, 100, 150, 75},   {BUDGET_TOKENS, 142, 150, 100},   {BUDGET_TOKENS, 400, 500, 350},
        {BUDGET_TOKENS, 900, 1000, 800}, {BUDGET_TOKENS, 1000, 1250, 900}, {BUDGET_TOKENS, 1e6, 1e6, 999750},
        {BUDGET_SECONDS, 5, 10, 0},      {BUDGET_SECONDS, 30, 40, 25},     {BUDGET_SECONDS, 120, 150, 110},
        {BUDGET_SECONDS, 12.5, 15, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct budget b = {.kind = cases[i].kind, .amount = cases[i].from};
        assert_int_equal(budget_step(b, 1).amount, cases[i].up);
        assert_int_equal(budget_step(b, -1).amount, cases[i].down);
    }
    assert_int_equal(budget_step((struct budget){.kind = BUDGET_UNLIMITED}, 1).kind, BUDGET_UNLIMITED);
    assert_int_equal(budget_step((struct budget){.kind = BUDGET_UNLIMITED}, -1).kind, BUDGET_TOKENS);
    assert_int_equal(budget_step((struct budget){.kind = BUDGET_OFF}, -1).kind, BUDGET_OFF);
    assert_int_equal(budget_step((struct budget){.kind = BUDGET_OFF}, 1).amount, 25);
}

static void test_budget_steps_undo_each_other(void **state)
{
    (void)state;
    struct budget b = {.kind = BUDGET_TOKENS};
    double seen[64];
    for (int i = 0; i < 40; i++) {
        seen[i] = b.amount;
        b = budget_step(b, 1);
        assert_true(b.amount > seen[i]);
    }
    for (int i = 39; i >= 0; i--) {
        b = budget_step(b, -1);
        assert_int_equal(b.amount, seen[i]);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, headless_setup, headless_teardown)
    const struct CMUnitTest tests[] = {
        T(test_typo_is_never_sent),
        T(test_nearest_command_is_named),
        T(test_slash_texts_can_be_sent),
        T(test_every_command_has_help_and_is_listed),
        T(test_a_typed_command_explains_itself),
        T(test_set),
        T(test_system),
        T(test_model),
        T(test_model_that_fails_gives_the_old_one_back),
        T(test_new_and_open),
        T(test_open_waits_for_the_reply),
        T(test_live_commands),
        T(test_rate_command),
        T(test_fold_command),
        T(test_read),
        T(test_drop),
        T(test_dump),
        T(test_tab),
        T(test_file_completion),
        T(test_conversation_list),
        T(test_found_words_are_shown),
        T(test_rename),
        T(test_delete_and_back),
        T(test_leaving_erases_what_was_deleted),
        T(test_deleting_the_open_conversation),
        T(test_palette_runs_commands_and_actions),
        T(test_help_lists_every_key),
        cmocka_unit_test(test_keys_are_not_bound_twice),
        T(test_theme_preview_and_escape),
        cmocka_unit_test(test_budget_steps),
        cmocka_unit_test(test_budget_steps_undo_each_other),
    };
    return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
