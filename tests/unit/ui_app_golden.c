/* Golden screens: states of the program at several sizes, as text. GENERATE=1 writes them anew. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "golden.h"
#include "ui_headless.h"

static const struct {
    int w, h;
} sizes[] = {{80, 24}, {40, 10}, {200, 60}};

static void golden_text(const char *name, const char *have)
{
    char path[160];
    snprintf(path, sizeof path, "tests/golden/%s.txt", name);
    golden_file(path, have);
}

static void golden(struct headless *t, const char *name, bool styles)
{
    golden_text(name, headless_screen(t, styles));
}

static const char long_thought[] = "He starts with 5 balls.\nTwo cans hold 2 x 3 = 6 balls.\nSo he has 5 + 6 = 11 balls.\nLet me check "
                                   "that once more, because the question says \"2 cans of 3\", and "
                                   "that could also be read in another way, though it is not likely to be meant so.\nNo: two cans, three "
                                   "balls in each.\n\nThe sum is 11.\nIs there a trick? "
                                   "None that I can see.\nHe buys them, so they are added.\nNothing is lost on the way home.\nThe balls of "
                                   "the cans are tennis balls too.\nSo the answer stands.\n";

static void ask(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "Roger has 5 tennis balls. He buys 2 cans of 3. How many now?");
    headless_keys(t, "\r");
}

static void think(struct headless *t)
{
    ask(t);
    headless_prefill(t, 81, 81);
    headless_thinking(t);
    headless_thought(t, long_thought);
    headless_progress(t, 7300, 142);
}

static void answer(struct headless *t)
{
    think(t);
    headless_progress(t, 12400, 212);
    headless_closed(t, THOUGHT_BUDGET_SOFT);
    headless_answer(t, "\n\nRoger has **11 tennis balls** now: the 5 he had, and 2 × 3 = 6 new ones.");
}

static void finish(struct headless *t)
{
    answer(t);
    headless_ended(t, THOUGHT_BUDGET_SOFT, ANSWER_COMPLETE, NULL);
}

static void state_loading(struct headless *t)
{
    headless_wait(t, 3200);
}

static void state_idle(struct headless *t)
{
    headless_model(t);
}

static void state_waiting(struct headless *t)
{
    headless_keys(t, "Hello\r");
    headless_wait(t, 2000);
}

static void state_prefill(struct headless *t)
{
    ask(t);
    headless_prefill(t, 40, 81);
    headless_wait(t, 2000);
}

static void state_thinking(struct headless *t)
{
    think(t);
    headless_wait(t, 900);
}

static void state_seconds(struct headless *t)
{
    think(t);
    t->stats.budget = (struct budget){.kind = BUDGET_SECONDS, .amount = 30};
    t->stats.state = THINK_SOFT;
    headless_progress(t, 26100, 142);
}

static void state_paused(struct headless *t)
{
    think(t);
    headless_keys(t, "\033[18~");
    headless_wait(t, 5000);
}

static void state_answering(struct headless *t)
{
    answer(t);
}

static void state_folded(struct headless *t)
{
    finish(t);
}

static void state_unfolded(struct headless *t)
{
    finish(t);
    headless_keys(t, "\x0f");
}

static void state_queued(struct headless *t)
{
    think(t);
    headless_keys(t, "And if he loses two?\r");
    headless_keys(t, "one more");
}

static void state_rated(struct headless *t)
{
    finish(t);
    headless_keys(t, "\t+]");
}

static void state_error(struct headless *t)
{
    ask(t);
    headless_prefill(t, 1, 81);
    headless_ended(t, THOUGHT_ERROR, ANSWER_NOT_BEGUN, "the prompt has 9000 tokens");
}

static void state_trouble(struct headless *t)
{
    finish(t);
    headless_event(t, (struct chat_event){.kind = CHAT_STORE_TROUBLE}, "no space left on the device");
}

static void state_more_below(struct headless *t)
{
    headless_model(t);
    for (int i = 0; i < 12; i++)
        headless_exchange(t, "What is a prime?", NULL,
                          "A number above 1 that only 1 and itself divide.\n\n2, 3, 5 and 7 are the first ones.");
    headless_keys(t, "And the next?\r");
    headless_prefill(t, 5, 5);
    headless_answer(t, "11");
    headless_screen(t, false);
    headless_keys(t, "\033[5~");
    headless_answer(t, "\n13\n17\n19");
}

static void state_help(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "\033OP");
}

static void state_models(struct headless *t)
{
    finish(t);
    headless_keys(t, "/model\r");
}

static void state_settings(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "\033[20~\033[B\033[B\033[B");
}

static void state_setting_typed(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "\033[20~system\r");
    headless_keys(t, "Be brief.");
}

/* Two first prompts, two replies to the second of them, and one that goes on. */
static void state_tree(struct headless *t)
{
    headless_model(t);
    headless_exchange(t, "How many balls has Roger?", NULL, "Five.");
    headless_keys(t, "\tke");
    headless_keys(t, " He buys two cans of three.\r");
    headless_prefill(t, 1, 1);
    headless_answer(t, "He has eleven of them now.");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    headless_keys(t, "\t+");
    headless_keys(t, "\033");
    headless_keys(t, "And if he loses two?\r");
    headless_prefill(t, 1, 1);
    headless_answer(t, "Then nine are left.");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    headless_keys(t, "\tkkr");
    headless_prefill(t, 1, 1);
    headless_answer(t, "6, or 11 with those he had.");
    headless_ended(t, THOUGHT_NONE, ANSWER_COMPLETE, NULL);
    headless_keys(t, "/tree\r");
}

static void state_steps(struct headless *t)
{
    finish(t);
    headless_keys(t, "\tB");
}

static void state_found(struct headless *t)
{
    headless_model(t);
    headless_exchange(t, "How does one bake bread?", "Flour first.", "Mix flour and water, and wait.");
    headless_keys(t, "/new\r");
    headless_exchange(t, "What grows in a field?", NULL, "Wheat, of which flour is made.");
    headless_keys(t, "/new\r");
    headless_exchange(t, "Name three primes", NULL, "2, 3 and 5.");
    headless_keys(t, "\033ORflour");
}

static void state_typo(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "/reegn\r");
}

static void state_multiline(struct headless *t)
{
    headless_model(t);
    headless_keys(t, "first line\nsecond line\nthird line, which is a good deal longer than the window is wide at eighty columns\nfourth");
}

static void state_hostile(struct headless *t)
{
    headless_model(t);
    headless_exchange(t, "Hi",
                      "a\033[31mred\033]52;c;AAAA\a b\r\xc2\x9b"
                      "31m \xe2\x80\xae"
                      "cba \xff",
                      "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac 中文 e\xcc\x81\ttab");
    headless_keys(t, "\x0f");
}

static const struct {
    const char *name;
    void (*make)(struct headless *t);
} states[] = {
    {"loading", state_loading},   {"idle", state_idle},         {"waiting", state_waiting},       {"prefill", state_prefill},
    {"thinking", state_thinking}, {"seconds", state_seconds},   {"paused", state_paused},         {"answering", state_answering},
    {"folded", state_folded},     {"unfolded", state_unfolded}, {"queued", state_queued},         {"rated", state_rated},
    {"error", state_error},       {"trouble", state_trouble},   {"more_below", state_more_below}, {"help", state_help},
    {"settings", state_settings}, {"setting_typed", state_setting_typed}, {"tree", state_tree}, {"found", state_found},
    {"steps", state_steps},
    {"models", state_models},     {"typo", state_typo},         {"multiline", state_multiline},   {"hostile", state_hostile},
};

static void test_states(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            struct headless t;
            char name[80];
            headless_open(&t);
            headless_start(&t, sizes[k].w, sizes[k].h, 0);
            states[i].make(&t);
            snprintf(name, sizeof name, "%s_%dx%d", states[i].name, sizes[k].w, sizes[k].h);
            golden(&t, name, false);
            headless_close(&t);
        }
}

/* Where there is no colour the styles carry the meaning: which slot every run has. */
static void test_styles(void **unused)
{
    (void)unused;
    static const char *const which[] = {"thinking", "folded", "rated", "settings", "tree", "found"};
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        struct headless t;
        char name[80];
        size_t k = 0;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        while (strcmp(states[k].name, which[i])) k++;
        states[k].make(&t);
        snprintf(name, sizeof name, "%s_styles", which[i]);
        golden(&t, name, true);
        headless_close(&t);
    }
}

/* "bold underline" for {style:, "" where it is shown as any text. */
static void add_attributes(struct str *out, const struct theme *theme, const char *name, size_t n)
{
    static const char *const words[] = {"bold", "dim", "underline", "reverse", "italic"};
    enum style s = STYLE_TEXT;
    while (s < STYLE_COUNT && (strlen(style_name(s)) != n || strncmp(style_name(s), name, n) != 0)) s++;
    assert_true(s < STYLE_COUNT);
    unsigned attrs = theme_plain_attrs(theme, s);
    str_add_char(out, '{');
    for (size_t i = 0, some = 0; i < ARRAY_LEN(words); i++)
        if (attrs & 1u << i) str_addf(out, "%s%s", some++ ? " " : "", words[i]);
    str_add_char(out, ':');
}

/* The screen without colours, as NO_COLOR and the monochrome theme show it: each run of cells in its attributes. */
static void golden_monochrome(struct headless *t, const struct theme *theme, const char *name)
{
    struct str out = STR_EMPTY;
    for (const char *p = headless_screen(t, true); *p; p++) {
        size_t n = *p == '{' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_") : 0;
        if (n && p[1 + n] == ':') {
            add_attributes(&out, theme, p + 1, n);
            p += 1 + n;
        } else {
            str_add_char(&out, *p);
        }
    }
    golden_text(name, str_cstr(&out));
    str_release(&out);
}

static void test_monochrome(void **unused)
{
    (void)unused;
    static const char *const which[] = {"thinking", "rated", "found", "settings"};
    struct theme theme;
    assert_int_equal(theme_load(&theme, "themes/monochrome.ini", NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        struct headless t;
        char name[80];
        size_t k = 0;
        headless_open(&t);
        headless_start(&t, 80, 24, 0);
        while (strcmp(states[k].name, which[i])) k++;
        states[k].make(&t);
        snprintf(name, sizeof name, "%s_monochrome_80x24", which[i]);
        golden_monochrome(&t, &theme, name);
        headless_close(&t);
    }
}

static void test_side(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    settings_set(&t.set, "layout", "side", NULL);
    headless_start(&t, 120, 30, 0);
    think(&t);
    golden(&t, "side_thinking_120x30", false);
    headless_progress(&t, 12400, 212);
    headless_closed(&t, THOUGHT_NATURAL);
    headless_answer(&t, "Eleven.");
    headless_ended(&t, THOUGHT_NATURAL, ANSWER_COMPLETE, NULL);
    golden(&t, "side_done_120x30", false);
    headless_keys(&t, "\033[20~");
    golden(&t, "side_settings_120x30", false);
    headless_keys(&t, "\033");
    headless_keys(&t, "/tree\r");
    golden(&t, "side_tree_120x30", false);
    headless_keys(&t, "\033");
    app_resize(t.app, 100, 30);
    golden(&t, "side_too_narrow_100x30", false);
    headless_close(&t);
}

/* Below 40x8 what fits is shown; nothing is drawn outside, nothing breaks. */
static void test_small(void **unused)
{
    (void)unused;
    static const struct {
        int w, h;
    } small[] = {{39, 7}, {20, 5}, {12, 4}, {10, 3}, {5, 2}, {1, 1}};
    for (size_t i = 0; i < ARRAY_LEN(small); i++) {
        struct headless t;
        char name[80];
        headless_open(&t);
        headless_start(&t, small[i].w, small[i].h, 0);
        finish(&t);
        snprintf(name, sizeof name, "small_%dx%d", small[i].w, small[i].h);
        golden(&t, name, false);
        headless_close(&t);
    }
}

static void test_every_size_draws(void **unused)
{
    (void)unused;
    struct headless t;
    headless_open(&t);
    headless_start(&t, 80, 24, 0);
    state_queued(&t);
    for (int w = 1; w <= 50; w++)
        for (int h = 1; h <= 14; h++) {
            app_resize(t.app, w, h);
            headless_screen(&t, false);
            assert_int_equal(t.grid.w, w);
            assert_int_equal(t.grid.h, h);
            assert_true(t.grid.cursor_x < w && t.grid.cursor_y < h);
        }
    static const char *const lists[] = {"\033OP", "\033OQ", "\033OR", "\033OS", "\033[20~"}; /* F1 to F4, F9 */
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        headless_keys(&t, lists[i]);
        for (int w = 1; w <= 50; w++)
            for (int h = 1; h <= 14; h++) {
                app_resize(t.app, w, h);
                headless_screen(&t, false);
                assert_true(t.grid.cursor_x < w && t.grid.cursor_y < h);
            }
        headless_keys(&t, "\033");
        assert_null(t.app->popup);
    }
    headless_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states), cmocka_unit_test(test_styles),           cmocka_unit_test(test_side),
        cmocka_unit_test(test_monochrome), cmocka_unit_test(test_small),  cmocka_unit_test(test_every_size_draws),
    };
    return cmocka_run_group_tests_name("golden screens", tests, NULL, NULL);
}
