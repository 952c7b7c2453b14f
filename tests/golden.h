/* golden.h - a text and the file that it must be equal to. GENERATE=1 writes the file anew. Included by unit tests, after cmocka.h. */
#ifndef PONDER_TESTS_GOLDEN_H
#define PONDER_TESTS_GOLDEN_H

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void golden_file(const char *path, const char *have)
{
    struct err e = {0};
    struct str want = STR_EMPTY;
    if (getenv("GENERATE")) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(have, f);
        assert_int_equal(fclose(f), 0);
        return;
    }
    if (file_read(&want, path, 1 << 20, &e)) fail_msg("%s (GENERATE=1 makes it)", e.text);
    if (strcmp(str_cstr(&want), have)) print_error("--- %s, want:\n%s--- have:\n%s", path, str_cstr(&want), have);
    assert_string_equal(str_cstr(&want), have);
    str_release(&want);
}

#endif
