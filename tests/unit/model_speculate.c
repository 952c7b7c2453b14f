/* Guessing ahead: n-grams, what a session holds behind its timeline, when guesses are evaluated, and that no reply depends on it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/forward.h"
#include "model/ngrams.h"
#include "model/speculate.h"
#include "tiny_model.h"

#include <unistd.h>

static const struct tiny_spec spec = {"tiny", "llama", TENSOR_Q8_0, 2, 64, 96, 4, 2, 16, 16, 300, 2048, true, false, SCALING_NONE};
enum { VOCAB = 300 };
static char file[] = "/tmp/ponder-speculate-XXXXXX";
static struct engine *engine;

static struct session *new_session(int n_ctx, int n_threads)
{
    struct session *s;
    struct err e = {0};

    if (session_new(&s, engine, n_ctx, n_threads, KV_F16, &e)) fail_msg("%s", e.text);
    return s;
}

static uint64_t random_state = 1;

static int32_t random_below(int n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((random_state >> 33) % (uint64_t)n);
}

/* ---- n-grams ------------------------------------------------------------------------------------------------------------ */

static void add_text(struct ngrams *g, const char *text)
{
    for (; *text; text++) ngrams_add(g, *text);
}

static void expect_guess(const struct ngrams *g, int length, const char *text)
{
    int32_t ids[8];
    char got[9] = "";

    size_t n = ngrams_guess(g, ids, strlen(text) ? strlen(text) : 8);
    for (size_t i = 0; i < n; i++) got[i] = (char)ids[i];
    assert_string_equal(got, text);
    assert_int_equal(g->length, length);
}

static void guesses_follow_the_longest_match(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int length;
        const char *guess;
    } cases[] = {
        {"", 0, ""},
        {"a", 0, ""},
        {"abcdefgh", 0, ""},
        {"aa", 1, "aaaa"},
        {"abcabc", 3, "abcabcab"},      /* goes on behind the end */
        {"-ab1-ab2-ab", 3, "2-ab2-ab"}, /* the newest of equals */
        {"xyz1 z2 .. xy", 2, "z1 z2"},
        {"01234567A.1234567B.01234567", 8, "A.123456"}, /* the longest, though another is newer */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ngrams g;
        assert_int_equal(ngrams_init(&g, NULL), 0);
        add_text(&g, cases[i].text);
        expect_guess(&g, cases[i].length, cases[i].guess);
        ngrams_release(&g);
    }
}

/* Against a search through the whole text; longer than the log, so that the ring comes round. */
static void guesses_are_what_the_text_says(void **state)
{
    (void)state;
    enum { N = 3 * NGRAMS_LOG };
    static const int grams[] = {8, 5, 3, 2, 1};
    int32_t *text = tiny_alloc(N * sizeof(*text)), guess[4];
    struct ngrams g;
    int missed = 0, looked = 0;

    random_state = 7;
    assert_int_equal(ngrams_init(&g, NULL), 0);
    for (int n = 0; n < N; n++) {
        /* random words, and now and then a piece of what was said before */
        static int copy_from, copy_left;
        if (!copy_left && n > 100 && random_below(40) == 0) {
            copy_left = 5 + random_below(60);
            copy_from = n - 1 - random_below(n < 3000 ? n - 1 : 3000);
        }
        text[n] = copy_left ? text[copy_from++] : random_below(500);
        copy_left -= copy_left > 0;
        ngrams_add(&g, text[n]);
        if (n % 97 && n > 400) continue;
        int longest = 0;
        for (int from = n; from > 0 && n - from < NGRAMS_LOG / 2; from--) {
            int k = 0;
            while (k < NGRAMS_LENGTH && k < from && text[from - 1 - k] == text[n - k]) k++;
            longest = k > longest ? k : longest;
        }
        size_t i = 0;
        while (i < ARRAY_LEN(grams) && grams[i] > longest) i++;
        /* a place may have been lost to another n-gram with its hash */
        missed += i < ARRAY_LEN(grams) && g.length < grams[i];
        looked++;
        if (!ngrams_guess(&g, guess, 4)) continue;
        assert_true(g.from > 0 && g.from <= (uint32_t)n && (uint32_t)n - g.from < NGRAMS_LOG);
        for (int k = 0; k < g.length; k++) assert_int_equal(text[(int)g.from - 1 - k], text[n - k]);
        for (int k = 0; k < 4 && (int)g.from + k <= n; k++) assert_int_equal(guess[k], text[(int)g.from + k]);
    }
    assert_true(looked > 1000 && missed < looked / 20);
    ngrams_release(&g);
    free(text);
}

static void a_prompt_seen_before_is_followed_by_its_reply(void **state)
{
    (void)state;
    struct ngrams g;
    int32_t prompt[40], guess[4];

    for (int i = 0; i < 40; i++) prompt[i] = 1000 + i;
    assert_int_equal(ngrams_init(&g, NULL), 0);
    assert_int_equal(ngrams_begin(&g, prompt, 40, NULL), 0);
    assert_int_equal(g.n, 40);
    add_text(&g, "Paris.");
    assert_int_equal(ngrams_begin(&g, prompt, 40, NULL), 0);
    assert_int_equal(ngrams_guess(&g, guess, 4), 4);
    assert_memory_equal(guess, ((int32_t[]){'P', 'a', 'r', 'i'}), sizeof(guess));
    /* what is new of the next prompt is all that is taken, and a little before it */
    uint32_t n = g.n;
    prompt[35] = 7;
    assert_int_equal(ngrams_begin(&g, prompt, 40, NULL), 0);
    assert_true(g.n - n >= 5 && g.n - n < 40);
    ngrams_release(&g);
}

/* ---- the session -------------------------------------------------------------------------------------------------------- */

static void fill_ids(int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((i * 7919 + i / 5 + 1) % VOCAB);
}

static void assert_timeline(struct session *s, const int32_t *ids, size_t n)
{
    size_t have;
    const int32_t *tokens = session_tokens(s, &have);

    assert_int_equal(have, n);
    assert_memory_equal(tokens, ids, n * sizeof(*ids));
}

static void what_was_evaluated_ahead_is_the_same(void **state)
{
    (void)state;
    int32_t ids[300];
    float *want[9];

    fill_ids(ids, 300);
    for (int threads = 1; threads <= 2; threads++) {
        struct session *s = new_session(400, threads);
        /* across the edge of a piece of attention at 256 */
        assert_int_equal(session_sync(s, ids, 251, NULL, NULL, NULL, NULL), 0);
        for (size_t k = 0; k < 9; k++) {
            assert_int_equal(session_decode(s, ids + 251 + k, 1, NULL), 0);
            want[k] = tiny_alloc(VOCAB * sizeof(float));
            memcpy(want[k], session_logits(s), VOCAB * sizeof(float));
        }
        for (size_t n = 1; n <= SESSION_DECODE_MAX; n++) {
            for (size_t taken = 1; taken <= n; taken++) {
                assert_int_equal(session_sync(s, ids, 251, NULL, NULL, NULL, NULL), 0);
                assert_false(session_take(s, ids[251]));
                assert_int_equal(session_decode_ahead(s, ids + 251, n, NULL), 0);
                for (size_t k = 0; k < taken; k++) {
                    if (k) assert_true(session_take(s, ids[251 + k]));
                    assert_timeline(s, ids, 252 + k);
                    assert_memory_equal(session_logits(s), want[k], VOCAB * sizeof(float));
                }
                assert_false(session_take(s, ids[251 + taken] == 5 ? 6 : 5));
                /* on without what is left, or with all of it */
                if (taken == n) assert_false(session_take(s, ids[251 + taken]));
                assert_int_equal(session_decode(s, ids + 251 + taken, 1, NULL), 0);
                assert_memory_equal(session_logits(s), want[taken], VOCAB * sizeof(float));
                assert_timeline(s, ids, 252 + taken);
            }
        }
        for (size_t k = 0; k < 9; k++) free(want[k]);
        session_free(s);
    }
}

static void what_waits_is_forgotten_in_time(void **state)
{
    (void)state;
    int32_t ids[60];
    size_t reused;
    struct session *s = new_session(50, 1);

    fill_ids(ids, 60);
    for (int how = 0; how < 4; how++) {
        assert_int_equal(session_sync(s, ids, 40, NULL, NULL, NULL, NULL), 0);
        assert_int_equal(session_decode_ahead(s, ids + 40, 4, NULL), 0);
        if (how == 0) session_truncate(s, 41);
        if (how == 1) assert_int_equal(session_decode(s, ids + 41, 1, NULL), 0);
        if (how == 2) assert_int_equal(session_sync(s, ids, 41, NULL, NULL, &reused, NULL), 0);
        if (how == 3) assert_int_equal(session_decode_ahead(s, ids + 41, 1, NULL), 0);
        size_t n;
        session_tokens(s, &n);
        assert_false(session_take(s, ids[n]));
        if (how == 2) assert_int_equal(reused, 40); /* the 41st was there, in another class */
    }
    assert_int_equal(session_sync(s, ids, 43, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(session_decode_ahead(s, ids, 8, NULL), ERR_TOO_LONG);
    assert_int_equal(session_decode_ahead(s, ids, 9, NULL), ERR_INVALID);
    assert_int_equal(session_decode_ahead(s, ids, 7, NULL), 0);
    session_free(s);
}

/* ---- when it pays ------------------------------------------------------------------------------------------------------- */

/* A clock by which a pass of m tokens takes what `pass_us` says, read before and after each. */
static struct session *clocked;
static int64_t clock_now, pass_us[SESSION_DECODE_MAX + 1], spent_us;
static bool clock_after;

static int64_t clock_us(void)
{
    if (clock_after) {
        clock_now += pass_us[clocked->ahead + 1];
        spent_us += pass_us[clocked->ahead + 1];
    }
    clock_after = !clock_after;
    return clock_now;
}

static struct speculator *new_speculator(struct session *s, double further)
{
    struct speculator *p;

    assert_int_equal(speculator_new(&p, NULL), 0);
    speculator_set_clock(p, clock_us);
    clocked = s;
    spent_us = 0;
    clock_after = false;
    for (int m = 1; m <= SESSION_DECODE_MAX; m++) pass_us[m] = (int64_t)(10000 * (1 + further * (m - 1)));
    return p;
}

struct gain {
    size_t drafted, accepted;
    double times; /* as fast as one at a time */
};

/* Has a session write `text`, whatever its own logits say. */
static struct gain write_text(const int32_t *text, size_t n, double further)
{
    struct gain g;
    struct session *s = new_session((int)n + 1, 1);
    struct speculator *p = new_speculator(s, further);
    struct err e = {0};

    assert_int_equal(session_sync(s, text, 1, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(speculator_begin(p, text, 1, NULL), 0);
    for (size_t i = 1; i < n; i++) {
        if (speculator_decode(p, s, text[i], NULL, 0, &e)) fail_msg("%s", e.text);
        assert_timeline(s, text, i + 1);
    }
    speculator_counts(p, &g.drafted, &g.accepted);
    g.times = 10000.0 * (double)(n - 1) / (double)spent_us;
    speculator_free(p);
    session_free(s);
    return g;
}

enum { TEXT = 1500 };

static void text_without_repeats_drafts_nothing(void **state)
{
    (void)state;
    int32_t text[TEXT];

    for (int i = 0; i < 299; i++) text[i] = (i * 7 + 1) % VOCAB;
    assert_int_equal(write_text(text, 299, 0.15).drafted, 0);
    /* chance repeats a token or two */
    random_state = 3;
    for (int i = 0; i < TEXT; i++) text[i] = random_below(VOCAB);
    struct gain g = write_text(text, TEXT, 0.15);
    assert_true(g.drafted < TEXT / 50);
    assert_true(g.times > 0.99);
}

static void text_that_quotes_itself_is_written_faster(void **state)
{
    (void)state;
    int32_t text[TEXT];

    random_state = 4;
    for (int i = 0; i < TEXT; i++) text[i] = i < 500 ? random_below(VOCAB) : text[i - 500];
    struct gain g = write_text(text, TEXT, 0.1);
    assert_true(g.accepted > 700);
    assert_true(g.accepted > g.drafted * 9 / 10);
    assert_true(g.times > 1.6);
    /* and not more slowly where a pass of several tokens costs as much as several passes */
    assert_true(write_text(text, TEXT, 1.0).times > 0.98);
}

static void guesses_that_come_false_are_given_up(void **state)
{
    (void)state;
    int32_t text[TEXT];

    /* one that repeats itself, and then every token comes again and again, each time before another one */
    for (int i = 0, x = 0; i < TEXT; i++, x = (x + 1 + i / 293) % 293) text[i] = i < 60 ? 299 : x;
    struct gain first = write_text(text, 60, 0.02), g = write_text(text, TEXT, 0.02);
    assert_int_equal(g.accepted, first.accepted);
    assert_true(g.drafted > first.drafted && g.drafted < first.drafted + 100);
    /* ten tokens that are always the same, and then one that never is */
    random_state = 5;
    for (int i = 0; i < TEXT; i++) text[i] = i % 11 < 10 ? 280 + i % 11 : random_below(280);
    g = write_text(text, TEXT, 0.1);
    assert_true(g.accepted > g.drafted * 4 / 5);
    assert_true(g.times > 2.5);
}

static void a_slow_moment_is_forgotten(void **state)
{
    (void)state;
    struct session *s = new_session(2048, 1);
    struct speculator *p = new_speculator(s, 0.1);
    int32_t id = 1;
    size_t before, after, accepted;

    assert_int_equal(session_sync(s, &id, 1, NULL, NULL, NULL, NULL), 0);
    for (int m = 2; m <= SESSION_DECODE_MAX; m++) pass_us[m] = 200000;
    for (int i = 0; i < 200; i++) assert_int_equal(speculator_decode(p, s, i % 4, NULL, 0, NULL), 0);
    speculator_counts(p, &before, &accepted);
    for (int m = 2; m <= SESSION_DECODE_MAX; m++) pass_us[m] = 11000;
    for (int i = 0; i < 1800; i++) assert_int_equal(speculator_decode(p, s, i % 4, NULL, 0, NULL), 0);
    speculator_counts(p, &after, &accepted);
    assert_true(before < 40);
    assert_true(after > 500);
    speculator_free(p);
    session_free(s);
}

static void the_end_of_the_context_is_reached_and_not_passed(void **state)
{
    (void)state;
    struct err e = {0};
    const int32_t one = 9, many[] = {9, 9, 9, 9, 9, 9, 9, 9};

    for (int n_ctx = 40; n_ctx < 50; n_ctx++) {
        for (int sure = 0; sure < 2; sure++) {
            struct session *s = new_session(n_ctx, 2);
            struct speculator *p = new_speculator(s, 0.01);
            size_t n, drafted, accepted;
            assert_int_equal(session_sync(s, &one, 1, NULL, NULL, NULL, NULL), 0);
            assert_int_equal(speculator_begin(p, &one, 1, NULL), 0);
            for (int i = 1; i < n_ctx; i++) assert_int_equal(speculator_decode(p, s, one, many, sure ? ARRAY_LEN(many) : 0, &e), 0);
            session_tokens(s, &n);
            assert_int_equal(n, n_ctx);
            assert_int_equal(speculator_decode(p, s, one, NULL, 0, &e), ERR_TOO_LONG);
            speculator_counts(p, &drafted, &accepted);
            /* tokens that are sure to come are evaluated together, and are no guesses */
            assert_true(spent_us < 10500 * n_ctx / 3);
            assert_true(sure ? !drafted && !accepted : accepted > (size_t)n_ctx / 2);
            speculator_free(p);
            session_free(s);
        }
    }
}

/* ---- no reply depends on it --------------------------------------------------------------------------------------------- */

struct reply {
    struct tokens ids;
    struct str events;
    struct think_stats stats;
    size_t accepted, outstanding; /* commands that came while tokens waited behind the timeline */
};

struct play {
    bool speculate;
    int threads, n_ctx;
    double temp;
    struct think_command command; /* given before token `at` */
    int at;
};

static void take_events(struct think *t, struct reply *r)
{
    struct think_event ev;

    while (think_pop(t, &ev)) {
        str_addf(&r->events, "%d@%zu+%zu %s", (int)ev.kind, ev.position, ev.offset, ev.span_kind ? ev.span_kind : "");
        str_add_bytes(&r->events, ev.text, ev.text_len);
        str_add_char(&r->events, '\n');
    }
}

static int put_token(const struct play *y, struct speculator *p, struct session *s, struct think *t, int32_t id)
{
    int32_t forced[SESSION_DECODE_MAX];

    if (!y->speculate) return session_decode(s, &id, 1, NULL);
    return speculator_decode(p, s, id, forced, think_forced(t, forced, ARRAY_LEN(forced)), NULL);
}

/* A reply as a chat makes it. */
static struct reply play(const struct play *y, const struct settings *set)
{
    struct reply r = {.ids = {0}};
    struct session *s = new_session(y->n_ctx, y->threads);
    struct speculator *p = new_speculator(s, 0.02);
    struct sampler *sampler;
    struct think *t;
    int32_t prompt[30], id;
    bool keep;
    size_t n;

    fill_ids(prompt, ARRAY_LEN(prompt));
    struct think_config c = {.family = engine_info(engine)->family,
                             .tokenizer = engine_tokenizer(engine),
                             .think = true,
                             .thought_open = true,
                             .budget = set->budget,
                             .answer_max = set->answer_max,
                             .answer_reserve = 10,
                             .context_left = y->n_ctx - 30};
    struct sampler_params sp = {.temp = y->temp, .top_p = 0.9, .repeat_penalty = y->temp > 0 ? 1.1 : 1, .seed = 11};
    assert_int_equal(think_new(&t, &c, NULL), 0);
    assert_int_equal(sampler_new(&sampler, VOCAB, &sp, NULL), 0);
    assert_int_equal(session_sync(s, prompt, ARRAY_LEN(prompt), NULL, NULL, NULL, NULL), 0);
    assert_int_equal(speculator_begin(p, prompt, ARRAY_LEN(prompt), NULL), 0);
    take_events(t, &r);
    while (think_running(t)) {
        if (y->at == (int)r.ids.n) {
            struct err e = {0};
            r.outstanding += s->ahead > 0;
            if (think_do(t, &y->command, &e)) str_addf(&r.events, "(%s)\n", e.text);
        }
        enum think_action act = think_next(t, session_logits(s), (int64_t)r.ids.n, &id);
        if (act == THINK_DO_END) break;
        if (act == THINK_DO_SAMPLE) id = sampler_pick(sampler, session_logits(s));
        assert_int_equal(think_accept(t, id, act == THINK_DO_FORCE, &keep, NULL), 0);
        take_events(t, &r);
        if (!keep) continue;
        assert_int_equal(tokens_push(&r.ids, id), 0);
        sampler_accept(sampler, id);
        session_tokens(s, &n);
        if (n < (size_t)y->n_ctx && think_running(t)) assert_int_equal(put_token(y, p, s, t, id), 0);
    }
    take_events(t, &r);
    think_stats(t, &r.stats);
    speculator_counts(p, &n, &r.accepted);
    think_free(t);
    sampler_free(sampler);
    speculator_free(p);
    session_free(s);
    return r;
}

static void release(struct reply *r)
{
    tokens_release(&r->ids);
    str_release(&r->events);
}

/* Plays it with and without; adds up what was accepted and how often a command met tokens that wait. */
static void compare(struct play y, const struct settings *set, size_t *accepted, size_t *outstanding)
{
    y.speculate = false;
    struct reply plain = play(&y, set);
    y.speculate = true;
    struct reply ahead = play(&y, set);

    assert_int_equal(ahead.ids.n, plain.ids.n);
    assert_memory_equal(ahead.ids.ids, plain.ids.ids, plain.ids.n * sizeof(*plain.ids.ids));
    assert_string_equal(str_cstr(&ahead.events), str_cstr(&plain.events));
    assert_int_equal(ahead.stats.thought_tokens, plain.stats.thought_tokens);
    assert_int_equal(ahead.stats.answer_tokens, plain.stats.answer_tokens);
    assert_int_equal(ahead.stats.thought_ending, plain.stats.thought_ending);
    assert_int_equal(ahead.stats.answer_ending, plain.stats.answer_ending);
    *accepted += ahead.accepted;
    *outstanding += ahead.outstanding;
    release(&plain);
    release(&ahead);
}

static void no_reply_depends_on_it(void **state)
{
    (void)state;
    static const struct think_command commands[] = {
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 5}},
        {.verb = THINK_SET_BUDGET, .budget = {BUDGET_TOKENS, 120}},
        {.verb = THINK_SAY, .text = "use.bytes", .text_len = 9},
        {.verb = THINK_ANSWER_NOW},
        {.verb = THINK_MORE},
        {.verb = THINK_STOP},
    };
    struct settings set = {.budget = {BUDGET_TOKENS, 60}, .answer_max = 40};
    size_t accepted[2] = {0}, outstanding[2] = {0};

    for (int sampled = 0; sampled < 2; sampled++) {
        struct play y = {.n_ctx = 400, .temp = sampled ? 0.2 : 0, .at = -1};
        for (y.threads = 1; y.threads <= 2; y.threads++) compare(y, &set, &accepted[sampled], &outstanding[sampled]);
        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
            y.command = commands[i];
            for (y.at = 0; y.at < 130; y.at += 5) {
                y.threads = y.at % 25 ? 1 : 2;
                compare(y, &set, &accepted[sampled], &outstanding[sampled]);
            }
        }
        /* and where the context ends in the thought, in what is forced, in the answer */
        y.at = -1;
        for (y.n_ctx = 60; y.n_ctx < 140; y.n_ctx += 7) compare(y, &set, &accepted[sampled], &outstanding[sampled]);
        assert_true(accepted[sampled] > 100);
        assert_true(outstanding[sampled] > 10);
    }
}

static int make_engine(void **state)
{
    (void)state;
    struct tiny_model m;
    struct err e = {0};
    int fd = mkstemp(file);

    if (fd < 0) return -1;
    close(fd);
    tiny_init(&m, &spec);
    int rc = gw_save(&m.w, file, SIZE_MAX);
    tiny_release(&m);
    return rc ? rc : engine_open(&engine, file, &e);
}

static int remove_engine(void **state)
{
    (void)state;
    engine_free(engine);
    return unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_follow_the_longest_match),
        cmocka_unit_test(guesses_are_what_the_text_says),
        cmocka_unit_test(a_prompt_seen_before_is_followed_by_its_reply),
        cmocka_unit_test(what_was_evaluated_ahead_is_the_same),
        cmocka_unit_test(what_waits_is_forgotten_in_time),
        cmocka_unit_test(text_without_repeats_drafts_nothing),
        cmocka_unit_test(text_that_quotes_itself_is_written_faster),
        cmocka_unit_test(guesses_that_come_false_are_given_up),
        cmocka_unit_test(a_slow_moment_is_forgotten),
        cmocka_unit_test(the_end_of_the_context_is_reached_and_not_passed),
        cmocka_unit_test(no_reply_depends_on_it),
    };
    return cmocka_run_group_tests(tests, make_engine, remove_engine);
}
