/* model_tokenizer.c - text to ids and back: recorded ids, made-up vocabularies, spans from outside, hostile files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_build.h"
#include "model/presplit.h"
#include "model/tokenizer.h"

#include <jansson.h>
#include <stdio.h>

static struct tokenizer *r1, *smollm;

static int open_vocabularies(void **state)
{
    (void)state;
    struct err e = {0};
    if (tokenizer_open(&r1, "tests/vectors/deepseek-r1-qwen-vocab.gguf", &e) || tokenizer_open(&smollm, "tests/vectors/smollm2-vocab.gguf", &e)) {
        print_error("%s\n", e.text);
        return -1;
    }
    return 0;
}

static int close_vocabularies(void **state)
{
    (void)state;
    tokenizer_free(r1);
    tokenizer_free(smollm);
    tokenizer_free(NULL);
    return 0;
}

/* ---- helpers ------------------------------------------------------------------------------------------------ */

static uint32_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static struct tokens encode(const struct tokenizer *t, const char *text, size_t n, enum token_parse parse)
{
    struct tokens ids = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, n, parse, &ids, &e))
        fail_msg("%s", e.text);
    return ids;
}

static void expect_ids(const struct tokens *got, const int32_t *want, size_t n)
{
    assert_int_equal(got->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got->ids[i], want[i]);
}

static void expect_bytes(const struct tokenizer *t, const int32_t *ids, size_t n, const char *text, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t piece_len;
        const char *piece = tokenizer_piece(t, ids[i], &piece_len);
        assert_true(piece_len <= len - at);
        assert_memory_equal(piece, text + at, piece_len);
        assert_int_equal(piece[piece_len], '\0');
        at += piece_len;
    }
    assert_int_equal(at, len);
}

/* ---- recorded ids ------------------------------------------------------------------------------------------- */

static void check_record(const struct tokenizer *t, const json_t *record, const char *key, enum token_parse parse)
{
    const json_t *text = json_object_get(record, "text"), *want = json_object_get(record, key);
    struct tokens ids = encode(t, json_string_value(text), json_string_length(text), parse);
    assert_true(json_is_array(want));
    bool same = ids.n == json_array_size(want);
    for (size_t i = 0; same && i < ids.n; i++)
        same = ids.ids[i] == json_integer_value(json_array_get(want, i));
    if (!same)
        fail_msg("%s of \"%s\" differ", key, json_string_value(text));
    if (t == r1)
        expect_bytes(t, ids.ids, ids.n, json_string_value(text), json_string_length(text));
    tokens_release(&ids);
}

static void check_vectors(const struct tokenizer *t, const char *path, bool special)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0, records = 0;
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        json_t *record = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(record);
        check_record(t, record, "ids", PARSE_USER);
        if (special)
            check_record(t, record, "ids_special", PARSE_CONTROL);
        json_decref(record);
        records++;
    }
    assert_true(records > 100);
    free(line);
    fclose(f);
}

static void test_recorded_ids(void **state)
{
    (void)state;
    check_vectors(r1, "tests/vectors/tokenize-deepseek-r1-qwen.jsonl", true);
    check_vectors(smollm, "tests/vectors/tokenize-smollm2.jsonl", true);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static int add_piece(void *arg, size_t from, size_t to)
{
    str_addf(arg, "%zu-%zu ", from, to);
    return 0;
}

/* want: the text with '|' between the pieces. */
static void expect_pieces(const char *pre, const char *want)
{
    const struct presplit *p = presplit_find(pre, strlen(pre));
    struct str text = STR_EMPTY, expected = STR_EMPTY, got = STR_EMPTY;
    size_t from = 0;
    assert_non_null(p);
    for (const char *c = want;; c++) {
        if (*c && *c != '|') {
            str_add_char(&text, *c);
            continue;
        }
        str_addf(&expected, "%zu-%zu ", from, text.len);
        from = text.len;
        if (!*c)
            break;
    }
    uint8_t *classes = malloc(text.len);
    assert_non_null(classes);
    presplit_classify(text.data, text.len, classes);
    assert_int_equal(presplit_run(p, text.data, classes, 0, text.len, add_piece, &got), 0);
    if (strcmp(str_cstr(&got), str_cstr(&expected)) != 0)
        fail_msg("%s: \"%s\": wanted %s got %s", pre, want, str_cstr(&expected), str_cstr(&got));
    free(classes);
    str_release(&text), str_release(&expected), str_release(&got);
}

/* What the regular expressions of the reference make of these texts. */
static void test_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *pieces[9];
    } cases[] = {
        {"gpt-2", {"I|'|M| YOU|'re| we|'|Ll| it|'s| '|tis", "x| | 12345| 67", "a|\r\n\r\n | b| \n| c|\t", "trail|  ", "!!!|\n|\n|end|?/|\n",
                   "ÉTÉ| fooBAR| HTMLParser|'s", "नमस|्|त|े| ١٢٣٤", "\u00a0|\u3000|x|\u200b", "#|1| =|2| $|3| a|+|b|~|c"}},
        {"smollm", {"I|'|M| YOU|'re| we|'|Ll| it|'s| '|tis", "x|  |1|2|3|4|5| |6|7", "a|\r\n\r\n | b| \n| c|\t", "trail|  ",
                    "!!!|\n|\n|end|?/|\n", "ÉTÉ| fooBAR| HTMLParser|'s", "नमस|्|त|े| |١|٢|٣|٤", "\u00a0|\u3000|x|\u200b",
                    "#|1| =|2| $|3| a|+|b|~|c"}},
        {"qwen2", {"I|'M| YOU|'re| we|'Ll| it|'s| '|tis", "x| | |1|2|3|4|5| |6|7", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ",
                   "!!!\n\n|end|?/\n", "ÉTÉ| fooBAR| HTMLParser|'s", "नमस|्त|े| |١|٢|٣|٤", "\u00a0|\u3000x|\u200b",
                   "#|1| =|2| $|3| a|+b|~c"}},
        {"llama-bpe", {"I|'M| YOU|'re| we|'Ll| it|'s| '|tis", "x| | |123|45| |67", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ",
                       "!!!\n\n|end|?/\n", "ÉTÉ| fooBAR| HTMLParser|'s", "नमस|्त|े| |١٢٣|٤", "\u00a0|\u3000x|\u200b",
                       "#|1| =|2| $|3| a|+b|~c"}},
        {"qwen35", {"I|'M| YOU|'re| we|'Ll| it|'s| '|tis", "x| | |1|2|3|4|5| |6|7", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ",
                    "!!!\n\n|end|?/\n", "ÉTÉ| fooBAR| HTMLParser|'s", "नमस्ते| |١|٢|٣|٤", "\u00a0|\u3000x|\u200b",
                    "#|1| =|2| $|3| a|+b|~c"}},
        {"default", {"I|'|M| YOU|'|re| we|'|Ll| it|'|s| |'|tis", "x| | |123|45| |67", "a|\r\n\r\n | b| \n| c|\t", "trail|  ",
                     "!!!|\n|\n|end|?/|\n", "ÉTÉ| fooBAR| HTMLParser|'|s", "नमस|्|त|े| |١٢٣٤", "\u00a0|\u3000|x|\u200b",
                     "#|1| |=|2| |$|3| a|+|b|~|c"}},
        {"gpt-4o", {"I'M| YOU're| we'Ll| it's| '|tis", "x| | |123|45| |67", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ", "!!!\n\n|end|?/\n",
                    "ÉTÉ| foo|BAR| HTMLParser's", "नमस|्त|े| |١٢٣|٤", "\u00a0|\u3000x|\u200b", "#|1| =|2| $|3| a|+b|~c"}},
        {"tekken", {"I|'M| YOU|'re| we|'Ll| it|'s| '|tis", "x| | |1|2|3|4|5| |6|7", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ",
                    "!!!\n\n|end|?/\n", "ÉTÉ| foo|BAR| HTMLParser|'s", "नमस|्त|े| |١|٢|٣|٤", "\u00a0|\u3000x|\u200b",
                    "#|1| =|2| $|3| a|+b|~c"}},
        {"minicpm5", {"I|'M| YOU|'re| we|'Ll| it|'s| '|tis", "x|  |123|45| |67", "a|\r\n\r\n| | b| \n| c|\t", "trail|  ",
                      "!!!\n\n|end|?/\n", "ÉTÉ| fooBAR| HTMLParser|'s", "नमस|्त|े| |١٢٣|٤", "\u00a0|\u3000x|\u200b",
                      "#|1| =|2| $|3| a|+b|~c"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t k = 0; k < ARRAY_LEN(cases[i].pieces); k++)
            expect_pieces(cases[i].pre, cases[i].pieces[k]);
    expect_pieces("gpt-4o", "AÉ|B");
    expect_pieces("gpt-4o", "ABc|D");
    expect_pieces("qwen2", "a|\xff\xfe|b");
    assert_null(presplit_find("qwen", 4));
    assert_null(presplit_find("", 0));
    assert_null(presplit_find("llama3 llama-v3", 15));
    assert_ptr_equal(presplit_find("lfm2", 4), presplit_find("llama-bpe", 9));
    assert_ptr_equal(presplit_find("deepseek-r1-qwen", 16), presplit_find("qwen2", 5));
}

/* ---- made-up vocabularies ----------------------------------------------------------------------------------- */

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4, TYPE_UNUSED = 5, TYPE_BYTE = 6 }; /* as in files */

/* The 256 bytes come first, then these. */
struct recipe {
    const char *model, *pre;            /* NULL: left out */
    struct {
        const char *text;
        int type;
    } tokens[64];
    const char *merges[64];
    int n_tokens, n_merges;             /* counted up to the first NULL when 0 */
    int fewer_types;                    /* so many left out at the end of the array; -1 leaves out the array */
    const char *id_key;                 /* one more key of type u32 */
    uint32_t id;
    int add_bos;                        /* 0 left out, 1 true, -1 false */
    bool no_merges, no_tokens;
};

static void put_byte_tokens(struct str *s)
{
    unsigned stand_in = 0x100;
    for (unsigned c = 0; c < 256; c++) {
        bool printable = (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad);
        char utf8[4];
        put_text(s, utf8, utf8_encode(printable ? c : stand_in++, utf8));
    }
}

static struct str cook(const struct recipe *r)
{
    struct str s = STR_EMPTY;
    uint64_t n_tokens = 0, n_merges = 0;
    while (n_tokens < 64 && r->tokens[n_tokens].text) n_tokens++;
    while (n_merges < 64 && r->merges[n_merges]) n_merges++;
    put_header(&s, 3, 0, (uint64_t)(!!r->model + !!r->pre + !r->no_tokens + !r->no_merges + (r->fewer_types >= 0) + !!r->id_key + !!r->add_bos));
    if (r->model) put_kv_text(&s, "tokenizer.ggml.model", r->model);
    if (r->pre) put_kv_text(&s, "tokenizer.ggml.pre", r->pre);
    if (!r->no_tokens) {
        put_kv_array(&s, "tokenizer.ggml.tokens", GGUF_STRING, 256 + n_tokens);
        put_byte_tokens(&s);
        for (uint64_t i = 0; i < n_tokens; i++)
            put_text(&s, r->tokens[i].text, strlen(r->tokens[i].text));
    }
    if (r->fewer_types >= 0) {
        uint64_t n = 256 + n_tokens - (uint64_t)r->fewer_types;
        put_kv_array(&s, "tokenizer.ggml.token_type", GGUF_I32, n);
        for (uint64_t i = 0; i < n; i++)
            put_u32(&s, i < 256 ? TYPE_NORMAL : (uint32_t)r->tokens[i - 256].type);
    }
    if (!r->no_merges) {
        put_kv_array(&s, "tokenizer.ggml.merges", GGUF_STRING, n_merges);
        for (uint64_t i = 0; i < n_merges; i++)
            put_text(&s, r->merges[i], strlen(r->merges[i]));
    }
    if (r->id_key) put_kv_u32(&s, r->id_key, r->id);
    if (r->add_bos) {
        put_key(&s, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
        str_add_char(&s, r->add_bos > 0);
    }
    assert_true(str_ok(&s));
    return s;
}

struct kitchen {
    struct str file;
    struct gguf *g;
    struct tokenizer *t;
};

static struct kitchen serve(const struct recipe *r)
{
    struct kitchen k = {.file = cook(r)};
    struct err e = {0};
    assert_int_equal(gguf_open_memory(&k.g, k.file.data, k.file.len, "made-up.gguf", &e), ERR_OK);
    if (tokenizer_new(&k.t, k.g, &e))
        fail_msg("%s", e.text);
    return k;
}

static void clear_away(struct kitchen *k)
{
    tokenizer_free(k->t);
    gguf_close(k->g);
    str_release(&k->file);
}

static void expect_encoding(const struct tokenizer *t, const char *text, enum token_parse parse, const char *want)
{
    struct tokens ids = encode(t, text, strlen(text), parse);
    struct str got = STR_EMPTY;
    for (size_t i = 0; i < ids.n; i++)
        ids.ids[i] < 256 ? str_addf(&got, "%s%c", i ? " " : "", ids.ids[i]) : str_addf(&got, "%s%d", i ? " " : "", ids.ids[i]);
    if (strcmp(str_cstr(&got), want) != 0)
        fail_msg("\"%s\": wanted \"%s\", got \"%s\"", text, want, str_cstr(&got));
    str_release(&got);
    tokens_release(&ids);
}

static void test_merges_in_order(void **state)
{
    (void)state;
    static const struct recipe r = {
        .model = "gpt2", .pre = "gpt-2",
        .tokens = {{"ab", TYPE_NORMAL}, {"bc", TYPE_NORMAL}, {"abc", TYPE_NORMAL}, {"aa", TYPE_NORMAL}, {"aaaa", TYPE_NORMAL},
                   {"\u0120a", TYPE_NORMAL}, {"ctl", TYPE_CONTROL}, {"xyz", TYPE_NORMAL}},
        .merges = {"b c", "a b", "ab c", "a a", "aa aa", "\u0120 a", "c t", "ct l", "x y", "xy z", "a b"},
    };
    struct kitchen k = serve(&r);
    expect_encoding(k.t, "abc", PARSE_NONE, "a 257");       /* the better rank wins although it comes later */
    expect_encoding(k.t, "ab", PARSE_NONE, "256");
    expect_encoding(k.t, "aaaaa", PARSE_NONE, "260 a");     /* leftmost of equal ranks */
    expect_encoding(k.t, "aaa", PARSE_NONE, "259 a");
    expect_encoding(k.t, "b a", PARSE_NONE, "b 261");
    expect_encoding(k.t, "xyz", PARSE_NONE, "263");         /* through "xy", which is no token */
    expect_encoding(k.t, "xyx", PARSE_NONE, "x y x");
    expect_encoding(k.t, "ctl", PARSE_NONE, "c t l");       /* merges never make a control token */
    expect_encoding(k.t, "ctl", PARSE_USER, "c t l");
    expect_encoding(k.t, "ctl", PARSE_CONTROL, "262");
    assert_int_equal(tokenizer_find(k.t, " a"), 261);
    assert_int_equal(tokenizer_find(k.t, "ctl"), 262);
    assert_int_equal(tokenizer_find(k.t, "\u0120a"), -1);
    assert_int_equal(tokenizer_find(k.t, ""), -1);
    assert_int_equal(tokenizer_bos(k.t), -1);
    assert_int_equal(tokenizer_eos(k.t), -1);
    assert_false(tokenizer_adds_bos(k.t));
    clear_away(&k);
}

static void test_whole_words(void **state)
{
    (void)state;
    struct recipe r = {.model = "gpt2", .pre = "llama-bpe", .tokens = {{"hello", TYPE_NORMAL}, {"he", TYPE_NORMAL}}, .merges = {"h e"},
                       .id_key = "tokenizer.ggml.bos_token_id", .id = 5};
    struct kitchen k = serve(&r);
    expect_encoding(k.t, "hello", PARSE_NONE, "256");
    assert_true(tokenizer_adds_bos(k.t));
    clear_away(&k);
    r.pre = "smaug-bpe";
    k = serve(&r);
    expect_encoding(k.t, "hello", PARSE_NONE, "257 l l o");
    assert_false(tokenizer_adds_bos(k.t));
    clear_away(&k);
}

static void test_special_order(void **state)
{
    (void)state;
    static const struct recipe r = {
        .model = "gpt2", .pre = "gpt-2",
        .tokens = {{"ab", TYPE_USER}, {"bcd", TYPE_USER}, {"<x>", TYPE_CONTROL}, {"<x>y", TYPE_USER}, {"<?>", TYPE_UNKNOWN}, {"zz", TYPE_USER},
                   {"  ", TYPE_USER}, {"\u2581", TYPE_USER}},
        .merges = {"a b"},
    };
    struct kitchen k = serve(&r);
    expect_encoding(k.t, "abcd", PARSE_USER, "a 257");           /* longest first, wherever it stands */
    expect_encoding(k.t, "abcabcdab", PARSE_USER, "256 c a 257 256");
    expect_encoding(k.t, "<x>y", PARSE_USER, "259");
    expect_encoding(k.t, "<x>x", PARSE_USER, "< x > x");
    expect_encoding(k.t, "<x><x>y<?>", PARSE_CONTROL, "258 259 260");
    expect_encoding(k.t, "zzzzz", PARSE_USER, "261 261 z");
    expect_encoding(k.t, "a   b", PARSE_USER, "a 262   b");
    expect_encoding(k.t, "\u2581", PARSE_USER, "263");
    expect_encoding(k.t, "ab", PARSE_NONE, "a b");               /* user-defined, so not made by the merge */
    expect_encoding(k.t, "", PARSE_CONTROL, "");
    clear_away(&k);
}

/* Texts that end a turn are control tokens whatever the file says. */
static void test_ends(void **state)
{
    (void)state;
    static const struct recipe r = {
        .model = "gpt2", .pre = "qwen2",
        .tokens = {{"<|im_end|>", TYPE_NORMAL}, {"</s>", TYPE_USER}, {"stop", TYPE_NORMAL}, {"<|im_start|>", TYPE_CONTROL},
                   {"<｜end▁of▁sentence｜>", TYPE_CONTROL}, {"<|end_of_text|>", TYPE_CONTROL}, {"<|file_sep|>", TYPE_USER}},
        .merges = {"a b"}, .id_key = "tokenizer.ggml.eos_token_id", .id = 258, .add_bos = 1,
    };
    static const bool ends[] = {true, true, true, false, true, true, true};
    struct kitchen k = serve(&r);
    for (int i = 0; i < 7; i++)
        assert_int_equal(tokenizer_is_end(k.t, 256 + i), ends[i]);
    assert_false(tokenizer_is_end(k.t, -1));
    assert_false(tokenizer_is_end(k.t, tokenizer_size(k.t)));
    assert_int_equal(tokenizer_type(k.t, 256), TOKEN_CONTROL);
    assert_int_equal(tokenizer_type(k.t, 257), TOKEN_CONTROL);
    assert_int_equal(tokenizer_type(k.t, 262), TOKEN_CONTROL);
    assert_int_equal(tokenizer_type(k.t, 258), TOKEN_NORMAL);
    assert_int_equal(tokenizer_type(k.t, -1), TOKEN_UNKNOWN);
    assert_int_equal(tokenizer_eos(k.t), 258);
    assert_false(tokenizer_adds_bos(k.t));                       /* there is no BOS to add */
    expect_encoding(k.t, "</s>", PARSE_USER, "< / s >");
    clear_away(&k);
    assert_true(tokenizer_is_end(smollm, tokenizer_find(smollm, "<|im_end|>")));
    assert_true(tokenizer_is_end(smollm, tokenizer_find(smollm, "<|endoftext|>")));
    assert_false(tokenizer_is_end(smollm, tokenizer_find(smollm, "<|im_start|>")));
    assert_true(tokenizer_is_end(r1, tokenizer_eos(r1)));
}

static void test_pieces_of_tokens(void **state)
{
    (void)state;
    static const struct recipe r = {
        .model = "gpt2",
        .tokens = {{"\u0120\u010a", TYPE_NORMAL}, {"<0xE9>", TYPE_BYTE}, {"\u0120", TYPE_CONTROL}, {"\u4e2d\u0120", TYPE_NORMAL}, {"", TYPE_NORMAL}},
        .merges = {"\u0120 \u010a"},
    };
    /* The control token takes the text of byte 0x20, which is refused: two tokens, one text. */
    struct recipe good = r;
    good.tokens[2].text = "\u0120\u0120";
    struct kitchen k = serve(&good);
    size_t n;
    assert_string_equal(tokenizer_piece(k.t, 256, &n), " \n");
    assert_string_equal(tokenizer_piece(k.t, 257, &n), "\xe9");
    assert_string_equal(tokenizer_piece(k.t, 258, &n), "\u0120\u0120");
    assert_string_equal(tokenizer_piece(k.t, 259, &n), "\u4e2d ");
    assert_int_equal(n, 4);
    assert_string_equal(tokenizer_piece(k.t, 260, &n), "");
    assert_string_equal(tokenizer_piece(k.t, 261, &n), "");
    assert_int_equal(n, 0);
    assert_string_equal(tokenizer_piece(k.t, INT32_MIN, &n), "");
    assert_int_equal(tokenizer_piece(k.t, 0, &n)[0], '\0');
    assert_int_equal(n, 1);
    clear_away(&k);
}

/* ---- merges against the plain algorithm --------------------------------------------------------------------- */

enum { SYMBOLS = 40 };

/* Merges the leftmost pair of the best rank until there is none, in the slowest way. */
static void merge_plainly(struct str *word, const char *const merges[], size_t n_merges)
{
    for (;;) {
        size_t best = n_merges, at = 0;
        for (size_t i = 0, next; i < word->len; i = next) {
            const char *bar = memchr(word->data + i, '|', word->len - i);
            next = bar ? (size_t)(bar - word->data) + 1 : word->len;
            const char *end = next < word->len ? memchr(word->data + next, '|', word->len - next) : NULL;
            size_t left = next - i - 1, right = (end ? (size_t)(end - word->data) : word->len) - next;
            for (size_t m = 0; bar && m < best; m++)
                if (strlen(merges[m]) == left + right + 1 && merges[m][left] == ' ' && memcmp(merges[m], word->data + i, left) == 0
                    && memcmp(merges[m] + left + 1, word->data + next, right) == 0) {
                    best = m;
                    at = next - 1;
                }
        }
        if (best == n_merges)
            return;
        str_erase(word, at, 1);
    }
}

static void check_word(const struct tokenizer *t, const struct recipe *r, size_t n_merges, size_t n_tokens)
{
    struct str word = STR_EMPTY, plain = STR_EMPTY;
    struct tokens want = {0};
    size_t len = 1 + draw(draw(10) ? 12 : 200);
    for (size_t i = 0; i < len; i++) {
        char c = (char)('a' + draw(3));
        str_add_char(&word, c);
        if (i) str_add_char(&plain, '|');
        str_add_char(&plain, c);
    }
    merge_plainly(&plain, r->merges, n_merges);
    for (char *piece = strtok(plain.data, "|"); piece; piece = strtok(NULL, "|")) {
        size_t i = 0;
        while (i < n_tokens && strcmp(r->tokens[i].text, piece) != 0) i++;
        if (i < n_tokens)
            tokens_push(&want, 256 + (int32_t)i);
        else
            for (; *piece; piece++) tokens_push(&want, *piece);
    }
    struct tokens got = encode(t, word.data, word.len, PARSE_NONE);
    expect_ids(&got, want.ids, want.n);
    tokens_release(&got), tokens_release(&want);
    str_release(&word), str_release(&plain);
}

static void test_merges_against_plain(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        static char names[SYMBOLS][160], lines[SYMBOLS][330];
        struct recipe r = {.model = "gpt2", .pre = "gpt-2"};
        size_t symbols = 3, tokens = 0;
        strcpy(names[0], "a"), strcpy(names[1], "b"), strcpy(names[2], "c");
        for (int m = 0; m < SYMBOLS - 3; m++) {
            const char *left = names[draw((uint32_t)symbols)], *right = names[draw((uint32_t)symbols)];
            if (strlen(left) + strlen(right) > 12) left = names[draw(3)], right = names[draw(3)];
            snprintf(lines[m], sizeof lines[m], "%.12s %.12s", left, right);
            r.merges[m] = lines[m];
            snprintf(names[symbols], sizeof names[0], "%.12s%.12s", left, right);
            bool known = false;
            for (size_t i = 0; i < symbols; i++) known = known || !strcmp(names[i], names[symbols]);
            if (known) continue;
            if (draw(4)) r.tokens[tokens].text = names[symbols], r.tokens[tokens++].type = TYPE_NORMAL;
            symbols++;
        }
        struct kitchen k = serve(&r);
        for (int i = 0; i < 60; i++) check_word(k.t, &r, SYMBOLS - 3, tokens);
        clear_away(&k);
    }
}

/* ---- any bytes ---------------------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const bits[] = {"<think>", "</think>", "<｜User｜>", " the", "\n\n", "é", "\xf0\x9f", "'ll", "  ", "12345", "\xff", "<|"};
    char text[400];
    for (int round = 0; round < 3000; round++) {
        size_t n = 0, len = draw(300);
        while (n < len)
            if (draw(3)) {
                text[n++] = (char)draw(256);
            } else {
                const char *bit = bits[draw(ARRAY_LEN(bits))];
                memcpy(text + n, bit, strlen(bit));
                n += strlen(bit);
            }
        for (int parse = PARSE_NONE; parse <= PARSE_CONTROL; parse++) {
            struct tokens ids = encode(r1, text, n, (enum token_parse)parse);
            expect_bytes(r1, ids.ids, ids.n, text, n);
            for (size_t i = 0; parse == PARSE_NONE && i < ids.n; i++)
                assert_int_equal(tokenizer_type(r1, ids.ids[i]), TOKEN_NORMAL);
            tokens_release(&ids);
        }
    }
}

/* This vocabulary lacks 21 bytes that UTF-8 hardly ever has; they are left out, as the reference does. */
static void test_missing_bytes(void **state)
{
    (void)state;
    struct tokens ids = encode(smollm, "\xff\x04\xc0", 3, PARSE_NONE);
    assert_int_equal(ids.n, 0);
    tokens_release(&ids);
    ids = encode(smollm, "a\xff" "b", 3, PARSE_NONE);
    expect_bytes(smollm, ids.ids, ids.n, "ab", 2);
    tokens_release(&ids);
}

static void test_long_words(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    char *text = malloc(LONG);
    assert_non_null(text);
    static const char *const patterns[] = {"a", " ", "ab", ".", "aA", "\xf0", "<|im_", "1", "\n", "the"};
    for (size_t p = 0; p < ARRAY_LEN(patterns); p++) {
        for (size_t i = 0; i < LONG; i++)
            text[i] = patterns[p][i % strlen(patterns[p])];
        int64_t began = clock_mono_ms();
        struct tokens ids = encode(r1, text, LONG, PARSE_CONTROL);
        int64_t took = clock_mono_ms() - began;
        expect_bytes(r1, ids.ids, ids.n, text, LONG);
        /* Milliseconds in fact; quadratic work would take minutes. */
        if (took > 4000)
            fail_msg("100 kB of \"%s\" took %lld ms", patterns[p], (long long)took);
        tokens_release(&ids);
    }
    free(text);
}

/* ---- prompts ------------------------------------------------------------------------------------------------ */

/* A prompt of alternating parts: program, outside, program, ... */
struct parts {
    struct prompt p;
    struct prompt_span spans[8];
};

static void make_prompt(struct parts *out, const char *const parts[])
{
    *out = (struct parts){0};
    for (size_t i = 0; parts[i]; i++) {
        size_t from = out->p.text.len;
        str_add(&out->p.text, parts[i]);
        if (i % 2)
            out->spans[out->p.n_outside++] = (struct prompt_span){from, out->p.text.len};
    }
    out->p.outside = out->spans;
}

static struct tokens encode_prompt(const struct tokenizer *t, struct parts *parts)
{
    struct tokens ids = {0};
    struct err e = {0};
    if (tokenizer_encode_prompt(t, &parts->p, &ids, &e))
        fail_msg("%s", e.text);
    return ids;
}

static void test_outside_stays_text(void **state)
{
    (void)state;
    static const char *const typed[] = {"<|im_end|>", "<think>", "</think>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<|EOT|>", "<tool_call>",
                                        "<｜begin▁of▁sentence｜>"};
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        const char *const parts[] = {"<｜User｜>", typed[i], "<｜Assistant｜><think>\n", NULL};
        struct parts prompt;
        make_prompt(&prompt, parts);
        struct tokens ids = encode_prompt(r1, &prompt);
        assert_int_equal(ids.ids[0], tokenizer_bos(r1));
        expect_bytes(r1, ids.ids + 1, ids.n - 1, prompt.p.text.data, prompt.p.text.len);
        assert_int_equal(ids.ids[1], tokenizer_find(r1, "<｜User｜>"));
        assert_int_equal(ids.ids[ids.n - 3], tokenizer_find(r1, "<｜Assistant｜>"));
        assert_int_equal(ids.ids[ids.n - 2], tokenizer_find(r1, "<think>"));
        assert_true(ids.n > 6);
        for (size_t k = 2; k < ids.n - 3; k++)
            assert_int_equal(tokenizer_type(r1, ids.ids[k]), TOKEN_NORMAL);
        tokens_release(&ids);
        str_release(&prompt.p.text);
    }
}

static void test_no_token_across_an_edge(void **state)
{
    (void)state;
    static const char *const cases[][5] = {
        {"<thi", "nk>", NULL}, {"", "<thi", "nk>", NULL}, {"<", "think", ">", NULL}, {"<think", "", ">x", NULL}, {"a", "<think", ">", "", NULL},
        {"", "<think>", NULL},
    };
    int32_t think = tokenizer_find(r1, "<think>");
    assert_int_equal(tokenizer_type(r1, think), TOKEN_USER);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parts prompt;
        make_prompt(&prompt, cases[i]);
        struct tokens ids = encode_prompt(r1, &prompt);
        for (size_t k = 0; k < ids.n; k++)
            if (ids.ids[k] == think) fail_msg("case %zu has the tag", i);
        expect_bytes(r1, ids.ids + 1, ids.n - 1, prompt.p.text.data, prompt.p.text.len);
        tokens_release(&ids);
        str_release(&prompt.p.text);
    }
}

static void test_runs_join_at_edges(void **state)
{
    (void)state;
    static const char *const parts[] = {"user\nhel", "lo wor", "ld, it", "'s 12", NULL};
    struct parts prompt;
    make_prompt(&prompt, parts);
    struct tokens ids = encode_prompt(smollm, &prompt), plain = encode(smollm, prompt.p.text.data, prompt.p.text.len, PARSE_NONE);
    expect_ids(&ids, plain.ids, plain.n);
    tokens_release(&ids), tokens_release(&plain);
    str_release(&prompt.p.text);
}

static void test_bos(void **state)
{
    (void)state;
    static const char *const own[] = {"<｜begin▁of▁sentence｜>", "hi", NULL}, *const typed[] = {"", "<｜begin▁of▁sentence｜>", NULL}, *const none[] = {NULL};
    struct parts prompt;
    int32_t bos = tokenizer_bos(r1);
    assert_true(tokenizer_adds_bos(r1));
    make_prompt(&prompt, own);
    struct tokens ids = encode_prompt(r1, &prompt);
    assert_int_equal(ids.n, 2);
    assert_int_equal(ids.ids[0], bos);
    tokens_release(&ids), str_release(&prompt.p.text);
    make_prompt(&prompt, typed);
    ids = encode_prompt(r1, &prompt);
    assert_int_equal(ids.ids[0], bos);
    assert_true(ids.n > 3);
    for (size_t i = 1; i < ids.n; i++) assert_int_not_equal(ids.ids[i], bos);
    tokens_release(&ids), str_release(&prompt.p.text);
    make_prompt(&prompt, none);
    ids = encode_prompt(r1, &prompt);
    expect_ids(&ids, &bos, 1);
    tokens_release(&ids);
    ids = encode_prompt(smollm, &prompt);
    assert_int_equal(ids.n, 0);
    tokens_release(&ids);
}

static void test_appends(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "b", NULL};
    struct parts prompt;
    struct tokens ids = {0};
    make_prompt(&prompt, parts);
    assert_int_equal(tokens_push(&ids, 7), ERR_OK);
    assert_int_equal(tokenizer_encode_prompt(r1, &prompt.p, &ids, NULL), ERR_OK);
    assert_int_equal(ids.ids[0], 7);
    assert_int_equal(ids.ids[1], tokenizer_bos(r1));
    size_t before = ids.n;
    static const struct prompt_span bad[][2] = {{{1, 3}, {0, 0}}, {{2, 1}, {0, 0}}, {{0, 2}, {1, 2}}, {{1, 2}, {0, 1}}, {{SIZE_MAX, SIZE_MAX}, {0, 0}}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        prompt.spans[0] = bad[i][0];
        prompt.spans[1] = bad[i][1];
        prompt.p.n_outside = bad[i][1].to ? 2 : 1;
        assert_int_equal(tokenizer_encode_prompt(r1, &prompt.p, &ids, &e), ERR_INVALID);
        assert_int_equal(ids.n, before);
        assert_true(e.text[0]);
    }
    static const int32_t more[] = {1, 2, 3};
    assert_int_equal(tokens_append(&ids, more, 3), ERR_OK);
    assert_int_equal(tokens_append(&ids, NULL, 0), ERR_OK);
    assert_int_equal(ids.n, before + 3);
    assert_int_equal(ids.ids[before + 2], 3);
    tokens_release(&ids);
    assert_null(ids.ids);
    str_release(&prompt.p.text);
}

/* ---- hostile files ------------------------------------------------------------------------------------------ */

static void expect_refusal(const struct recipe *r, int code, const char *reason)
{
    struct str file = cook(r);
    struct gguf *g;
    struct tokenizer *t = NULL;
    struct err e = {0};
    assert_int_equal(gguf_open_memory(&g, file.data, file.len, "bad.gguf", &e), ERR_OK);
    int rc = tokenizer_new(&t, g, &e);
    if (rc != code || t || !strstr(e.text, reason) || !strstr(e.text, "bad.gguf: "))
        fail_msg("wanted %d with \"%s\", got %d with \"%s\"", code, reason, rc, e.text);
    gguf_close(g);
    str_release(&file);
}

static void test_hostile_files(void **state)
{
    (void)state;
    static const char *const id_keys[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                          "tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id"};
    const struct recipe good = {.model = "gpt2", .pre = "gpt-2", .tokens = {{"ab", TYPE_NORMAL}}, .merges = {"a b"}};
    struct recipe r = good;
    struct kitchen k = serve(&r);
    clear_away(&k);
    r.model = NULL, expect_refusal(&r, ERR_FILE, "tokenizer.ggml.model");
    r.model = "bert", expect_refusal(&r, ERR_UNSUPPORTED, "\"bert\"");
    r.model = "", expect_refusal(&r, ERR_UNSUPPORTED, "tokenizer.ggml.model");
    r = good, r.pre = "falcon", expect_refusal(&r, ERR_UNSUPPORTED, "\"falcon\"");
    r = good, r.no_tokens = true, expect_refusal(&r, ERR_FILE, "tokenizer.ggml.tokens");
    r = good, r.no_merges = true, expect_refusal(&r, ERR_FILE, "tokenizer.ggml.merges");
    r = good, r.fewer_types = 1, expect_refusal(&r, ERR_FILE, "tokenizer.ggml.token_type has 256 entries for 257");
    r.fewer_types = -1, k = serve(&r), assert_int_equal(tokenizer_type(k.t, 256), TOKEN_NORMAL), clear_away(&k);
    for (size_t i = 0; i < ARRAY_LEN(id_keys); i++) {
        r = good, r.id_key = id_keys[i], r.id = 257, expect_refusal(&r, ERR_FILE, id_keys[i]);
        r.id = (uint32_t)INT32_MAX + 1, expect_refusal(&r, ERR_FILE, "outside of the vocabulary");
        r.id = 256, k = serve(&r), clear_away(&k);
    }
    static const char *const merges[] = {"ab", "", " ", "a ", " b", "a"};
    for (size_t i = 0; i < ARRAY_LEN(merges); i++)
        r = good, r.merges[1] = merges[i], expect_refusal(&r, ERR_FILE, "entry 1 is not two symbols");
    static const char *const bytes[] = {"<0x-1>", "<0x1>", "<0xG1>", "<0x1G>", "<0x123>", "<0x 1>", "0x12", "", "<0x1F"};
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++)
        r = good, r.tokens[1].text = bytes[i], r.tokens[1].type = TYPE_BYTE, expect_refusal(&r, ERR_FILE, "byte token 257");
    r = good, r.tokens[1].text = "ab", r.tokens[1].type = TYPE_CONTROL, expect_refusal(&r, ERR_FILE, "256 and 257 are the same");
    /* Types nobody knows, symbols nobody makes. */
    r = good, r.tokens[1].text = "odd", r.tokens[1].type = -7, r.merges[1] = "qq zz", r.merges[2] = "qqzz qqzz";
    k = serve(&r), expect_encoding(k.t, "qqzzodd", PARSE_CONTROL, "q q z z o d d"), clear_away(&k);
}

/* Whatever the damage, a tokenizer that is made keeps ids in its vocabulary and pieces in its memory. */
static void test_random_damage(void **state)
{
    (void)state;
    static const char text[] = "ab <x> \u00e9 12 the end</s>";
    const struct recipe r = {.model = "gpt2", .pre = "gpt-2",
                             .tokens = {{"ab", TYPE_NORMAL}, {"<x>", TYPE_CONTROL}, {"th", TYPE_USER}, {"<0x41>", TYPE_BYTE}, {"</s>", TYPE_CONTROL}},
                             .merges = {"a b", "t h", "1 2"}, .id_key = "tokenizer.ggml.eos_token_id", .id = 260};
    struct str file = cook(&r);
    char *damaged = malloc(file.len);
    int made = 0;
    assert_non_null(damaged);
    for (int round = 0; round < 4000; round++) {
        struct gguf *g;
        struct tokenizer *t;
        memcpy(damaged, file.data, file.len);
        for (uint32_t k = 0; k <= draw(3); k++) damaged[24 + draw((uint32_t)file.len - 24)] = (char)draw(256);
        if (gguf_open_memory(&g, damaged, file.len, "damaged.gguf", NULL) != ERR_OK) continue;
        if (tokenizer_new(&t, g, NULL) == ERR_OK) {
            struct tokens ids = encode(t, text, sizeof text, PARSE_CONTROL);
            for (size_t i = 0; i < ids.n; i++) {
                size_t n;
                const char *piece = tokenizer_piece(t, ids.ids[i], &n);
                assert_in_range(ids.ids[i], 0, tokenizer_size(t) - 1);
                assert_int_equal(piece[n], '\0');
            }
            tokens_release(&ids);
            tokenizer_free(t);
            made++;
        }
        gguf_close(g);
    }
    assert_in_range(made, 100, 3900);
    free(damaged);
    str_release(&file);
}

static void test_unopenable(void **state)
{
    (void)state;
    struct tokenizer *t = (struct tokenizer *)state;
    struct err e = {0};
    assert_int_equal(tokenizer_open(&t, "tests/vectors/templates.jsonl", &e), ERR_FILE);
    assert_null(t);
    assert_int_equal(tokenizer_open(&t, "tests/vectors/absent.gguf", &e), ERR_FILE);
    size_t n;
    assert_non_null(tokenizer_template(r1, &n));
    assert_int_equal(n, strlen(tokenizer_template(r1, &n)));
    assert_int_equal(tokenizer_size(r1), 152064);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_ids),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_merges_in_order),
        cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_special_order),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_pieces_of_tokens),
        cmocka_unit_test(test_merges_against_plain),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_missing_bytes),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_outside_stays_text),
        cmocka_unit_test(test_no_token_across_an_edge),
        cmocka_unit_test(test_runs_join_at_edges),
        cmocka_unit_test(test_bos),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_unopenable),
    };
    return cmocka_run_group_tests(tests, open_vocabularies, close_vocabularies);
}
