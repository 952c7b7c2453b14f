/* Fuzz target: what `ponder import` reads: JSON and JSON lines of seven kinds, archives. The record stays sound whatever came in. */
#include "fuzz.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *s;
    struct import_report r = {0};
    struct err e = {0};
    struct str findings = STR_EMPTY;
    check(!store_open(&s, NULL, NULL));
    store_import(s, fuzz_file(data, size), false, &r, &e);
    import_report_release(&r);
    check(!store_check(s, &findings, NULL) && !findings.len);
    str_release(&findings);
    store_close(s);
    return 0;
}
