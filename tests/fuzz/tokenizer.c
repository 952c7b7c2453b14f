/* Fuzz target: text to ids and back, with a real vocabulary. Text that is whole comes back byte for byte; cut at an edge of two spans it does too. */
#include "fuzz.h"
#include "model/model.h"

static void compare(const struct tokenizer *t, const struct tokens *ids, const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < ids->n; i++) {
        size_t n;
        check(ids->ids[i] >= 0 && ids->ids[i] < tokenizer_size(t));
        const char *piece = tokenizer_piece(t, ids->ids[i], &n);
        check(n <= size - at && !memcmp(piece, data + at, n));
        at += n;
    }
    check(at == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *t;
    struct tokens ids = {0};
    if (!t) check(!tokenizer_open(&t, "tests/vectors/smollm2-vocab.gguf", NULL));
    for (int parse = PARSE_NONE; parse <= PARSE_CONTROL; parse++) {
        ids.n = 0;
        if (!tokenizer_encode(t, (const char *)data, size, (enum token_parse)parse, &ids, NULL)) compare(t, &ids, data, size);
        if (parse == PARSE_NONE)
            for (size_t i = 0; i < ids.n; i++) check(tokenizer_type(t, ids.ids[i]) != TOKEN_CONTROL);
    }
    free(ids.ids);
    return 0;
}
