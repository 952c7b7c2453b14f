/* Fuzz target: a GGUF file. What opens is listed, made a tokenizer of, loaded and decoded from. */
#include "fuzz.h"
#include "model/gguf.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine *m;
    struct session *s = NULL;
    struct str text = STR_EMPTY;
    struct tokenizer *t = NULL;
    struct tokens ids = {0};
    const char *path = fuzz_file(data, size);
    model_list_gguf(&text, path, true, NULL);
    if (!tokenizer_open(&t, path, NULL)) {
        tokenizer_encode(t, "ab<|im_end|> !", 14, PARSE_CONTROL, &ids, NULL);
        for (size_t i = 0; i < ids.n; i++) check(ids.ids[i] >= 0 && ids.ids[i] < tokenizer_size(t));
    }
    tokenizer_free(t);
    free(ids.ids);
    str_release(&text);
    if (engine_open(&m, path, NULL)) return 0;
    const struct model_info *info = engine_info(m);
    check(info->n_vocab > 0 && utf8_is_valid(info->name, strlen(info->name)));
    const int32_t ids3[3] = {0, 0, info->n_vocab - 1};
    if (!session_new(&s, m, 16, 1, KV_F16, NULL) && !session_sync(s, ids3, 3, NULL, NULL, NULL, NULL)) session_decode(s, ids3, 1, NULL);
    session_free(s);
    engine_free(m);
    return 0;
}
