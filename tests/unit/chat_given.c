/*
 * Thoughts given to another reply, on a tiny random model: answered anew, gone on with from a point, written again from a script.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/chat_talk.h"

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
    const struct chat_cue cue = {.position = 5, .cmd = {.verb = THINK_SAY, .text = "lookhere", .text_len = 8}}; /* the vocabulary has no blank */
    assert_int_equal(chat_set_script(t.chat, &(struct chat_script){.cues = &cue, .n_cues = 1}, &e), 0);
    say(&t, "hello");
    pump(&t, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_answer_to_the_same_thought),
        cmocka_unit_test(the_answer_alone_is_written_again),
        cmocka_unit_test(a_thought_goes_on_from_a_point_of_it),
        cmocka_unit_test(what_was_said_stays_told_apart),
        cmocka_unit_test(what_cannot_be_gone_on_with_is_refused),
        cmocka_unit_test(going_on_thinks_whatever_is_set),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
