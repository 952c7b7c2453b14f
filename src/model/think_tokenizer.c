/* think_tokenizer.c - the thinking controller on a tokenizer. Apart from think.c, so that the controller can be used on any vocabulary. */
#include "model/think_internal.h"

static int size(const void *arg)
{
    return tokenizer_size(arg);
}

static const char *piece(const void *arg, int32_t id, size_t *len)
{
    return tokenizer_piece(arg, id, len);
}

static int32_t find(const void *arg, const char *text)
{
    return tokenizer_find(arg, text);
}

static bool is_end(const void *arg, int32_t id)
{
    return tokenizer_is_end(arg, id);
}

static bool is_control(const void *arg, int32_t id)
{
    return tokenizer_type(arg, id) == TOKEN_CONTROL;
}

static int encode(const void *arg, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e)
{
    return tokenizer_encode_more(arg, text, n, parse, out, e);
}

int think_new(struct think **out, const struct think_config *c, struct err *e)
{
    *out = NULL;
    if (!c->tokenizer) return err_set(e, ERR_INVALID, "the thinking controller needs a tokenizer");
    struct think_vocab v = {c->tokenizer, size, piece, find, is_end, is_control, encode};
    return think_new_with(out, c, &v, e);
}
