/* Keys, events and sizes in any order: nothing breaks, and what must always hold does. Seeds are fixed; PONDER_TEST_SEED tries another one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui_headless.h"

static uint64_t rng;

static unsigned below(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 11) % n;
}

static const char *const keys[] = {
    "a",
    "word ",
    "/",
    "+",
    "-",
    "\t",
    "\r",
    "\n",
    "\033",
    "\033[A",
    "\033[B",
    "\033[C",
    "\033[D",
    "\033[H",
    "\033[F",
    "\033[5~",
    "\033[6~",
    "\033[5;3~",
    "\033[6;3~",
    "\033OP",
    "\033OQ",
    "\033OR",
    "\033OS",
    "\033[15~",
    "\033[17~",
    "\033[18~",
    "\033[19~",
    "\033a",
    "\033m",
    "\033p",
    "\033s",
    "\033t",
    "\033u",
    "\x0f",
    "\x14",
    "\x15",
    "\x0c",
    "\x18\x05",
    "\x18",
    "\x12",
    "\x07",
    "\x7f",
    "\033[3~",
    "j",
    "k",
    "g",
    "G",
    " ",
    "[",
    "]",
    "e",
    "b",
    "r",
    "u",
    "c",
    "y",
    "1",
    "9",
    "n",
    "N",
    "q",
    "\xe4\xb8\xad",
    "e\xcc\x81",
    "\033[200~pasted\rtext \033[31m\033[201~",
    "\033[<0;3;3M",
    "\033[<0;20;8M",
    "\033[<0;60;5M",
    "\033[<64;10;5M",
    "\033[<65;10;5M",
    "/budget 30s\r",
    "/budget off\r",
    "/new\r",
    "/open 1\r",
    "/layout side\r",
    "/layout inline\r",
    "/set thoughts tail\r",
    "/set thoughts auto\r",
    "/set live_keys plain\r",
    "/think off\r",
    "/regen\r",
    "/drop\r",
    "/rate up\r",
    "/fold tail\r",
    "/help\r",
    "/set\r",
    "/theme\r",
    "/model\r",
    "/model big\r",
    "/say hello\r",
    "/nonsense\r",
    "//literal\r",
    "/find\t",
    "question\r",
    "another one\r",
};
static const char *const texts[] = {
    "word ",       "words and more words that will have to be wrapped somewhere ",
    "\n",          "\n\n",
    "\033[31m",    "\xff\xfe",
    "中文字符",    "```c\nint a;\n",
    "```\n",       "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "# heading\n", "- item\n",
    "> quote ",    "**bold** ",
    "\t",          "e\xcc\x81\xcc\x81\xcc\x81",
    "\xe4\xb8",    "\xad",
};

static void event(struct headless *t)
{
    struct fake_chat *f = &t->chat;
    const char *text = texts[below(ARRAY_LEN(texts))];
    switch (below(16)) {
    case 0:
        if (f->running) headless_prefill(t, below(100), 100);
        break;
    case 1:
        if (f->running && f->reply) headless_thinking(t);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        if (f->running && f->reply) headless_thought(t, text);
        break;
    case 6:
        if (f->running && f->reply) headless_closed(t, (enum thought_ending)below(THOUGHT_ERROR + 1));
        break;
    case 7:
    case 8:
    case 9:
        if (f->running && f->reply) headless_answer(t, text);
        break;
    case 10:
        if (f->running && f->reply && below(3) == 0)
            headless_ended(t, (enum thought_ending)below(THOUGHT_ERROR + 1), (enum answer_ending)below(ANSWER_ERROR + 1),
                           below(4) ? NULL : "an error\n");
        break;
    case 11:
        if (f->running && f->reply) headless_progress(t, below(100000), (int)below(1000));
        break;
    case 12:
        if (f->running && f->reply)
            headless_event(t,
                           (struct chat_event){.kind = CHAT_INJECTED,
                                               .message = f->reply,
                                               .done = below(200),
                                               .total = below(50),
                                               .author = below(2) ? "user" : "program"},
                           "say");
        break;
    case 13: headless_event(t, (struct chat_event){.kind = below(2) ? CHAT_NOTICE : CHAT_STORE_TROUBLE}, below(2) ? text : ""); break;
    case 14: headless_model(t); break;
    default: headless_event(t, (struct chat_event){.kind = below(2) ? CHAT_LOOP : CHAT_ESCAPED, .message = f->reply}, NULL); break;
    }
}

static void check(struct headless *t)
{
    struct app *a = t->app;
    screen_draw(a, &t->grid);
    assert_int_equal(t->grid.w, a->w);
    assert_int_equal(t->grid.h, a->h);
    assert_true(t->grid.cursor_x < a->w && t->grid.cursor_y < a->h);
    for (int i = 0; i < t->grid.w * t->grid.h; i++)
        for (const char *p = t->grid.cells[i].text; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    assert_true(a->t.n == 0 || a->t.top_item < a->t.n);
    assert_true(a->reply == SIZE_MAX || a->reply < a->t.n);
    if (a->t.n && !a->t.follow) assert_true(a->t.top_row >= 0 && a->t.top_row < transcript_height(&a->t, a->t.top_item));
    /* what is on the window can be asked for row by row */
    for (size_t i = a->t.n > 3 ? a->t.n - 3 : 0; i < a->t.n; i++)
        for (int r = 0, h = transcript_height(&a->t, i); r < h; r++) {
            struct row row;
            transcript_row(&a->t, i, r, &row);
            assert_true(row.kind != ROW_BLANK);
        }
}

static void play(uint64_t seed, int steps)
{
    struct headless t;
    rng = seed;
    headless_open(&t);
    headless_start(&t, 80, 24, 0);
    for (int i = 0; i < steps; i++) {
        unsigned what = below(100);
        if (what < 45)
            headless_keys(&t, keys[below(ARRAY_LEN(keys))]);
        else if (what < 90)
            event(&t);
        else if (what < 96)
            headless_wait(&t, below(1500));
        else
            app_resize(t.app, 1 + (int)below(below(4) ? 140 : 12), 1 + (int)below(below(4) ? 50 : 6));
        check(&t);
        str_clear(&t.app->want.copy);
        t.app->want.quit = t.app->want.editor = t.app->want.suspend = false;
        if (below(700) == 0) { /* start anew on what was kept */
            int64_t id = t.chat.conversation;
            int w = t.app->w, h = t.app->h;
            headless_stop(&t);
            headless_start(&t, w, h, id);
            t.chat.conversation = id;
        }
    }
    headless_close(&t);
}

static void test_random(void **unused)
{
    (void)unused;
    const char *given = getenv("PONDER_TEST_SEED");
    if (given) {
        play(strtoull(given, NULL, 10) | 1, 20000);
        return;
    }
    for (uint64_t seed = 1; seed <= 6; seed++) {
        print_message("# seed %d\n", (int)(seed * 7919));
        play(seed * 7919, 1500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests_name("random use", tests, NULL, NULL);
}
