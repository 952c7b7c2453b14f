/* Fuzz target: an adapter for a tiny model. One that opens is put on and decoded with. */
#include "fuzz.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct engine *m;
    static struct session *s;
    static const int32_t ids[3] = {1, 2, 3};
    struct adapter *a;
    double scale = 1;
    const char *model = getenv("FUZZ_MODEL");
    if (!m) check(model && !engine_open(&m, model, NULL) && !session_new(&s, m, 16, 1, KV_F16, NULL));
    if (adapter_open(&a, m, fuzz_file(data, size), NULL)) return 0;
    if (!session_set_adapters(s, (const struct adapter *const *)&a, &scale, 1, NULL) && !session_sync(s, ids, 3, NULL, NULL, NULL, NULL)) session_decode(s, ids, 1, NULL);
    session_set_adapters(s, NULL, NULL, 0, NULL);
    adapter_free(a);
    return 0;
}
