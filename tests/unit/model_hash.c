/* The hash of a model file and its cache. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"

#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/ponder-hash-XXXXXX";

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void read_text(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    if (f) fclose(f);
    out[n] = '\0';
}

static void hashes_are_remembered(void **state)
{
    (void)state;
    /* SHA-256 of "abc" and of nothing: FIPS 180-4's examples */
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    char cache[160], model[160], hex[65], text[4096];
    struct err e = {0};
    bool stop = true;

    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(cache, sizeof(cache), "%s/ponder/hashes", folder);
    snprintf(model, sizeof(model), "%s/hashed", folder);
    write_text(model, "abc");
    assert_int_equal(model_file_hash(model, hex, NULL, &e), 0);
    assert_string_equal(hex, abc);
    read_text(cache, text, sizeof(text));
    assert_non_null(strstr(text, abc));

    /* what the cache says is believed: the file is not read again */
    char *at = strstr(text, abc);
    memset(at, 'f', 64);
    write_text(cache, text);
    assert_int_equal(model_file_hash(model, hex, &stop, &e), 0);
    assert_int_equal(strspn(hex, "f"), 64);

    /* damaged lines are passed over and dropped */
    strcat(text, "1 2 3\n\xff\xfe garbage\n9 9 9 9 abc\n");
    at = strstr(text, "fff");
    at[10] = 'G';
    write_text(cache, text);
    assert_int_equal(model_file_hash(model, hex, NULL, &e), 0);
    assert_string_equal(hex, abc);
    read_text(cache, text, sizeof(text));
    assert_non_null(strstr(text, abc));
    assert_null(strstr(text, "garbage"));

    /* another content of the same file replaces its line */
    write_text(model, "");
    assert_int_equal(model_file_hash(model, hex, NULL, &e), 0);
    assert_string_equal(hex, nothing);
    read_text(cache, text, sizeof(text));
    assert_null(strstr(text, abc));

    /* a missing file, a folder; no cache at all */
    assert_int_equal(model_file_hash("/nonexistent/x", hex, NULL, &e), ERR_FILE);
    assert_int_equal(model_file_hash(folder, hex, NULL, &e), ERR_FILE);
    setenv("XDG_CACHE_HOME", "/proc/nothing", 1);
    assert_int_equal(model_file_hash(model, hex, NULL, &e), 0);
    assert_string_equal(hex, nothing);
}

static void hashing_can_be_stopped(void **state)
{
    (void)state;
    char model[160], hex[65];
    struct err e = {0};
    bool stop = true;

    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(model, sizeof(model), "%s/large", folder);
    FILE *f = fopen(model, "w");
    assert_non_null(f);
    assert_int_equal(fseek(f, 40 << 20, SEEK_SET), 0);
    fputc('x', f);
    fclose(f);
    assert_int_equal(model_file_hash(model, hex, &stop, &e), ERR_STOPPED);
    stop = false;
    assert_int_equal(model_file_hash(model, hex, &stop, &e), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"hashed", "large", "ponder/hashes", "ponder", ""};
    char path[160];
    int rc = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        rc = remove(path);
    }
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_remembered),
        cmocka_unit_test(hashing_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
