/* model_spm.c - vocabularies with scores (SentencePiece): hand-made cases, a plain search on random texts, prompts, hostile files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_writer.h"
#include "model/tokenizer.h"

#include <math.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 }; /* as in files */

/* Behind <unk>, <s>, </s> and the 256 bytes, so that the first is number 259. */
#define FIRST 259
static const struct piece {
    const char *text;
    float score;
    int type;
} pieces[] = {
    {"▁", -1, NORMAL},         {"a", -2, NORMAL},         {"b", -3, NORMAL},      {"c", -4, NORMAL},     {"ab", -10, NORMAL},
    {"bc", -9, NORMAL},         {"abc", -20, NORMAL},      {"▁a", -8, NORMAL},    {"aa", -11, NORMAL},   {"▁▁", -12, NORMAL},
    {"é", -5, NORMAL},          {"bé", -11, NORMAL},       {"aaaa", -30, NORMAL},  {"<", -6, NORMAL},     {"s", -6, NORMAL},
    {">", -6, NORMAL},          {"<s", -6.5f, NORMAL},     {"<user>", 0, USER},    {"\n\n", 0, USER},     {"u", -7, UNUSED},
    {"uu", -7.5f, UNUSED},      {"<end_of_turn>", 0, CONTROL}, {"cc", 0, NORMAL},  {"ca", -0.0f, NORMAL}, {"\n", -7, NORMAL},
};

struct change {
    int space_prefix, add_bos; /* 1, or -1 for false; 0: the key is left out */
    int fewer_scores;          /* so many left out at the end; -1: the array */
    bool no_bytes;             /* the bytes are called ordinary */
    float first_score;
};

static struct gguf_writer make(const struct change *c)
{
    struct gguf_writer w;
    size_t n = FIRST + ARRAY_LEN(pieces);

    gw_init(&w);
    gw_string(&w, "tokenizer.ggml.model", "llama");
    gw_array(&w, "tokenizer.ggml.tokens", 8, n);
    for (size_t i = 0; i < n; i++) {
        char byte[8];
        snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(i - 3) & 0xff);
        gw_put_string(&w.kv, i == 0 ? "<unk>" : i == 1 ? "<s>" : i == 2 ? "</s>" : i < FIRST ? byte : pieces[i - FIRST].text);
    }
    if (c->fewer_scores >= 0) {
        gw_array(&w, "tokenizer.ggml.scores", 6, n - (size_t)c->fewer_scores);
        for (size_t i = 0; i < n - (size_t)c->fewer_scores; i++) {
            float score = i == 0 ? c->first_score : i < FIRST ? 0 : pieces[i - FIRST].score;
            gw_put(&w.kv, &score, 4);
        }
    }
    gw_array(&w, "tokenizer.ggml.token_type", 5, n);
    for (size_t i = 0; i < n; i++)
        gw_put_u32(&w.kv, i == 0 ? UNKNOWN : i < 3 ? CONTROL : i < FIRST ? (c->no_bytes ? NORMAL : BYTE) : (uint32_t)pieces[i - FIRST].type);
    gw_u32(&w, "tokenizer.ggml.unknown_token_id", 0);
    if (c->space_prefix) gw_bool(&w, "tokenizer.ggml.add_space_prefix", c->space_prefix > 0);
    if (c->add_bos) gw_bool(&w, "tokenizer.ggml.add_bos_token", c->add_bos > 0);
    return w;
}

struct opened {
    uint8_t *bytes;
    struct gguf *g;
    struct tokenizer *t;
};

static struct opened open_changed(const struct change *c)
{
    struct gguf_writer w = make(c);
    struct opened o = {0};
    struct err e = {0};
    size_t n;

    o.bytes = gw_finish(&w, &n);
    gw_release(&w);
    if (gguf_open_memory(&o.g, o.bytes, n, "made-up", &e) || tokenizer_new(&o.t, o.g, &e)) fail_msg("%s", e.text);
    return o;
}

static void close_opened(struct opened *o)
{
    tokenizer_free(o->t);
    gguf_close(o->g);
    free(o->bytes);
}

/* "piece piece": what the ids spell, byte tokens and control tokens as the vocabulary has them. */
static void expect(const struct tokenizer *t, const struct tokens *ids, const char *text, const char *want)
{
    struct str got = STR_EMPTY;

    for (size_t i = 0; i < ids->n; i++) {
        int32_t id = ids->ids[i];
        if (i) str_add(&got, "|");
        if (id >= 3 && id < FIRST) str_addf(&got, "%02X", (unsigned)(id - 3));
        else str_add(&got, id == 0 ? "<unk>" : id == 1 ? "<s>" : id == 2 ? "</s>" : pieces[id - FIRST].text);
    }
    if (strcmp(str_cstr(&got), want) != 0) fail_msg("\"%s\": wanted %s, got %s", text, want, str_cstr(&got));
    str_release(&got);
    (void)t;
}

static void expect_text(const struct tokenizer *t, enum token_parse parse, const char *text, const char *want)
{
    struct tokens ids = {0};
    struct err e = {0};

    if (tokenizer_encode(t, text, strlen(text), parse, &ids, &e)) fail_msg("%s", e.text);
    expect(t, &ids, text, want);
    tokens_release(&ids);
}

static void the_best_score_is_joined_first(void **state)
{
    (void)state;
    struct opened o = open_changed(&(struct change){.space_prefix = -1});
    static const char *const cases[][2] = {
        {"", ""},
        {"a", "a"},
        {"abc", "abc"},           /* bc before ab, and then the two */
        {"ab", "ab"},
        {"aaa", "aa|a"},          /* of equals the left one */
        {"aaaa", "aaaa"},
        {"aaaaa", "aaaa|a"},
        {"ca", "ca"},
        {"cca", "cc|a"},          /* both zeros are one score */
        {"a b", "a|▁|b"},
        {"  a", "▁|▁a"},          /* the spaces lose to space and a */
        {"   ", "▁▁|▁"},
        {"é", "é"},
        {"abé", "ab|é"},
        {"ü", "C3|BC"},
        {"\xc3", "C3"},
        {"\xff" "a", "FF|61"},    /* the first byte announces four */
        {"a\xe2\x96", "a|E2|96"},
        {"▁a", "▁a"},             /* the sign for a space in the text is one */
        {"\t", "09"},
        {"uuu", "uu|u"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) expect_text(o.t, PARSE_USER, cases[i][0], cases[i][1]);
    close_opened(&o);
    o = open_changed(&(struct change){.space_prefix = -1, .fewer_scores = -1});
    expect_text(o.t, PARSE_USER, "abcbc", "abc|bc");
    expect_text(o.t, PARSE_USER, "aab", "aa|b");
    close_opened(&o);
}

static void text_becomes_no_control_token(void **state)
{
    (void)state;
    struct opened o = open_changed(&(struct change){.space_prefix = -1});

    expect_text(o.t, PARSE_CONTROL, "a<s>b<user>", "a|<s>|b|<user>");
    expect_text(o.t, PARSE_USER, "a<s>b<user>", "a|<s|>|b|<user>");
    expect_text(o.t, PARSE_NONE, "a<s>b<user>", "a|<s|>|b|<|u|s|65|72|>");
    expect_text(o.t, PARSE_NONE, "<0x41><unk>", "<|30|78|34|31|>|<|u|6E|6B|>");
    /* user-defined white space is text like any other */
    expect_text(o.t, PARSE_NONE, "a\n\n\nb", "a|\n\n|\n|b");
    assert_true(tokenizer_is_end(o.t, 2));
    assert_true(tokenizer_is_end(o.t, tokenizer_find(o.t, "<end_of_turn>")));
    close_opened(&o);
}

static void spaces_in_front(void **state)
{
    (void)state;
    struct opened o = open_changed(&(struct change){0});
    struct tokens ids = {0};
    struct err e = {0};

    assert_true(tokenizer_adds_bos(o.t));
    assert_int_equal(tokenizer_bos(o.t), 1);
    assert_int_equal(tokenizer_eos(o.t), 2);
    expect_text(o.t, PARSE_USER, "", "");
    expect_text(o.t, PARSE_USER, "ab", "▁a|b");
    expect_text(o.t, PARSE_USER, "<user>ab", "<user>|▁a|b");
    assert_int_equal(tokenizer_encode_more(o.t, "ab<user>a", 9, PARSE_USER, &ids, &e), 0);
    expect(o.t, &ids, "more", "ab|<user>|▁a");

    /* a prompt: the program's own, and from outside "ab" and "<s>\n\n" */
    struct prompt_span outside[] = {{13, 15}, {21, 26}};
    struct prompt p = {.outside = outside, .n_outside = 2};
    str_add(&p.text, "<end_of_turn>ab<user><s>\n\n<s>");
    ids.n = 0;
    assert_int_equal(tokenizer_encode_prompt(o.t, &p, &ids, &e), 0);
    expect(o.t, &ids, "prompt", "<s>|<end_of_turn>|▁a|b|<user>|▁|<s|>|\n\n|<s>");
    str_release(&p.text);
    tokens_release(&ids);
    close_opened(&o);

    o = open_changed(&(struct change){.space_prefix = -1, .add_bos = -1});
    assert_false(tokenizer_adds_bos(o.t));
    close_opened(&o);
}

static void expect_piece(const struct tokenizer *t, int32_t id, const char *want)
{
    size_t n;
    assert_string_equal(tokenizer_piece(t, id, &n), want);
    assert_int_equal(n, strlen(want));
}

static void pieces_are_plain_text(void **state)
{
    (void)state;
    struct opened o = open_changed(&(struct change){0});

    expect_piece(o.t, tokenizer_find(o.t, " a"), " a");
    expect_piece(o.t, tokenizer_find(o.t, "  "), "  ");
    expect_piece(o.t, tokenizer_find(o.t, "<s>"), "<s>");
    expect_piece(o.t, 3 + 'A', "A");
    assert_int_equal(tokenizer_find(o.t, "abcabc"), -1);
    close_opened(&o);
}

/* ---- against a plain search ---------------------------------------------------------------------------------------- */

static int ordinary(const char *text, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        if ((pieces[i].type == NORMAL || pieces[i].type == UNUSED) && strlen(pieces[i].text) == n && !memcmp(pieces[i].text, text, n))
            return (int)i;
    return -1;
}

/* Cuts at cut[0 .. n]; joins until nothing can be joined, looking at all pairs each time. */
static void join_plainly(const char *text, size_t *cut, size_t *n)
{
    for (;;) {
        size_t best = 0;
        float score = -INFINITY;
        for (size_t i = 1; i < *n; i++) {
            int id = ordinary(text + cut[i - 1], cut[i + 1] - cut[i - 1]);
            if (id >= 0 && pieces[id].score > score) best = i, score = pieces[id].score;
        }
        if (!best) return;
        memmove(cut + best, cut + best + 1, (*n - best) * sizeof *cut);
        --*n;
    }
}

static void joins_equal_a_plain_search(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "b", "c", "u", "▁", "é", "<", "s", ">", "a", "b", "c", "ü"};
    struct opened o = open_changed(&(struct change){.space_prefix = -1});
    uint32_t seed = 7;

    for (int round = 0; round < 3000; round++) {
        char text[256] = "", want[2048] = "";
        size_t cut[64] = {0}, n = 0;
        for (size_t len = 1 + round % 40; n < len; n++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(text, letters[(seed >> 8) % ARRAY_LEN(letters)]);
            cut[n + 1] = strlen(text);
        }
        join_plainly(text, cut, &n);
        for (size_t i = 0; i < n; i++) {
            int id = ordinary(text + cut[i], cut[i + 1] - cut[i]);
            snprintf(want + strlen(want), sizeof want - strlen(want), "%s%s", i ? "|" : "", id >= 0 ? pieces[id].text : "C3|BC");
        }
        expect_text(o.t, PARSE_NONE, text, want);
    }
    close_opened(&o);
}

static void long_texts_take_no_time(void **state)
{
    (void)state;
    struct opened o = open_changed(&(struct change){0});
    enum { N = 200000 };
    char *text = malloc(N);
    struct tokens ids = {0};

    assert_non_null(text);
    memset(text, 'a', N);
    int64_t before = clock_mono_us();
    assert_int_equal(tokenizer_encode(o.t, text, N, PARSE_NONE, &ids, NULL), 0);
    assert_true(ids.n >= N / 4);
    assert_true(clock_mono_us() - before < 4000000);
    tokens_release(&ids);
    free(text);
    close_opened(&o);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const struct change *c, const char *reason)
{
    struct gguf_writer w = make(c);
    struct gguf *g;
    struct tokenizer *t;
    struct err e = {0};
    size_t n;
    uint8_t *bytes = gw_finish(&w, &n);

    gw_release(&w);
    assert_int_equal(gguf_open_memory(&g, bytes, n, "made-up", &e), 0);
    assert_int_equal(tokenizer_new(&t, g, &e), ERR_FILE);
    assert_null(t);
    assert_non_null(strstr(e.text, reason));
    gguf_close(g);
    free(bytes);
}

static void odd_files(void **state)
{
    (void)state;
    expect_refusal(&(struct change){.fewer_scores = 1}, "scores has");
    expect_refusal(&(struct change){.first_score = NAN}, "scores: entry 0");
    /* without byte tokens, what has none is unknown */
    struct opened o = open_changed(&(struct change){.no_bytes = true, .space_prefix = -1});
    expect_text(o.t, PARSE_NONE, "aüa", "a|<unk>|<unk>|a");
    close_opened(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_score_is_joined_first), cmocka_unit_test(text_becomes_no_control_token),
        cmocka_unit_test(spaces_in_front),                cmocka_unit_test(pieces_are_plain_text),
        cmocka_unit_test(joins_equal_a_plain_search),     cmocka_unit_test(long_texts_take_no_time),
        cmocka_unit_test(odd_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
