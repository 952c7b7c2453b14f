/* Memory that runs out: strings, the sanitiser, settings and files. */
#include "nomem.h"

#include "base/base.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/ponder-nomem-XXXXXX", ini[96], file[96];

static const char hostile[] = "plain \x1b[31m red \xc2\x9b \xe2\x80\xae turned \xed\xa0\x80 \xff end \x07 שלום";

/* ---- the sanitiser ------------------------------------------------------------------------------------------------ */

static struct str cleaned, want;

static int sanitise(void *arg)
{
    (void)arg;
    struct text_sanitizer s;
    str_release(&cleaned);
    text_sanitizer_init(&s, TEXT_SCREEN);
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof hostile - 1; i += 3)
            text_sanitizer_feed(&s, hostile + i, i + 3 < sizeof hostile ? 3 : sizeof hostile - 1 - i, &cleaned);
    text_sanitizer_end(&s, &cleaned);
    return str_ok(&cleaned) ? 0 : ERR_NOMEM;
}

/* What is there is clean, and the beginning of the whole. */
static bool is_clean(void *arg, bool worked)
{
    (void)arg;
    bool good = cleaned.len <= want.len && !memcmp(str_cstr(&cleaned), str_cstr(&want), cleaned.len) && (!worked || cleaned.len == want.len);
    str_release(&cleaned);
    return good;
}

static void sanitising_without_memory(void **state)
{
    (void)state;
    assert_int_equal(sanitise(NULL), 0);
    str_add_bytes(&want, str_cstr(&cleaned), cleaned.len);
    str_release(&cleaned);
    nomem_each(&(struct nomem_operation){.name = "sanitiser", .run = sanitise, .good = is_clean, .blocks_kept = 1});
    str_release(&want);
}

/* ---- settings ------------------------------------------------------------------------------------------------------- */

static int configure(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct settings s = {0}, copy = {0};
    char *argv[] = {"ponder", "--top-k=40", "--system", "Be brief.", "-mtiny", "--budget", "30s"};
    int rc = settings_init(&s, &e);
    if (!rc) rc = settings_load(&s, ini, &e);
    if (!rc) rc = settings_load_env(&s, &e);
    for (int i = 1; !rc && i < 7;)
        if (settings_take_flag(&s, 7, argv, &i, &e) != 1) rc = e.code ? e.code : ERR_FAILED;
    if (!rc) rc = settings_copy(&copy, &s, &e);
    if (!rc) rc = settings_set(&copy, "system", "And kind.", &e);
    /* a value that was refused left the old one */
    if (!rc && (strcmp(s.system, "Be brief.") || strcmp(s.theme, "light") || s.top_k != 40)) rc = -1;
    if (!rc) rc = settings_save(&copy, settings_find("system"), ini, &e);
    settings_release(&copy);
    settings_release(&s);
    if (rc && rc != -1 && !e.text[0]) rc = -1; /* never without a reason */
    return rc;
}

/* The file is the old one or the new one, and can be read. */
static bool ini_is_whole(void *arg, bool worked)
{
    (void)arg, (void)worked;
    struct settings s = {0};
    struct err e = {0};
    bool good = !settings_init(&s, &e) && !settings_load(&s, ini, &e) && !strcmp(s.theme, "light") && !strcmp(s.system, "And kind.");
    settings_release(&s);
    return good;
}

static void settings_without_memory(void **state)
{
    (void)state;
    static const char text[] = "# mine\n[ponder]\ntheme = light\nmodel = tiny\nsystem = old\n";
    assert_int_equal(file_write_atomic(ini, text, sizeof text - 1, NULL), 0);
    nomem_each(&(struct nomem_operation){.name = "settings", .run = configure, .good = ini_is_whole});
}

/* ---- files, paths, queues ------------------------------------------------------------------------------------------- */

static int use_files(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct str path = STR_EMPTY, bytes = STR_EMPTY;
    struct queue *q = NULL;
    char hex[65];
    int rc = path_of(&path, PATH_STATE, "history", &e);
    if (!rc) rc = path_shared(&path, "file", &e);
    if (!rc) rc = file_write_atomic(file, "new", 3, &e);
    if (!rc) rc = file_read(&bytes, file, 100, &e);
    if (!rc && strcmp(str_cstr(&bytes), "new")) rc = -1;
    if (!rc) rc = file_sha256(file, hex, NULL, NULL, &e);
    if (!rc) rc = queue_new(&q, free, &e);
    for (int i = 0; !rc && i < 20; i++) {
        void *item = malloc(4);
        rc = item ? queue_push(q, item) : ERR_NOMEM;
        if (rc) free(item);
    }
    queue_free(q);
    str_release(&path);
    str_release(&bytes);
    return rc;
}

static bool file_is_whole(void *arg, bool worked)
{
    (void)arg, (void)worked;
    struct str bytes = STR_EMPTY;
    bool good = !file_read(&bytes, file, 100, NULL) && !strcmp(str_cstr(&bytes), "new");
    str_release(&bytes);
    return good;
}

static void files_without_memory(void **state)
{
    (void)state;
    nomem_each(&(struct nomem_operation){.name = "files", .run = use_files, .good = file_is_whole, .blocks_kept = 4});
}

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(ini, sizeof ini, "%s/ponder.ini", folder);
    snprintf(file, sizeof file, "%s/file", folder);
    setenv("XDG_STATE_HOME", folder, 1);
    setenv("PONDER_DATADIR", folder, 1);
    return file_write_atomic(file, "new", 3, NULL);
}

static int unmake(void **state)
{
    (void)state;
    unlink(ini);
    unlink(file);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sanitising_without_memory),
        cmocka_unit_test(settings_without_memory),
        cmocka_unit_test(files_without_memory),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
