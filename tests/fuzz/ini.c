/* Fuzz target: ponder.ini and a theme. What is taken is written and read back the same. */
#include "fuzz.h"
#include "ui/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings s;
    struct theme t;
    struct err e = {0};
    const char *path = fuzz_file(data, size);
    check(!settings_init(&s, NULL));
    int rc = settings_load(&s, path, &e);
    check(!rc || (e.text[0] && utf8_is_valid(e.text, strlen(e.text))));
    for (size_t i = 0; i < settings_count; i++) {
        struct str v = STR_EMPTY, again = STR_EMPTY;
        settings_get(&s, &settings_table[i], &v);
        check(!settings_set(&s, settings_table[i].name, str_cstr(&v), NULL));
        settings_get(&s, &settings_table[i], &again);
        check(v.len == again.len && !memcmp(str_cstr(&v), str_cstr(&again), v.len));
        str_release(&v);
        str_release(&again);
    }
    settings_release(&s);
    theme_load(&t, path, &e);
    for (int i = 0; i < STYLE_COUNT; i++) check(t.styles[i].fg.index >= -1 && t.styles[i].fg.index <= 256 && t.styles[i].bg.index <= 256);
    return 0;
}
