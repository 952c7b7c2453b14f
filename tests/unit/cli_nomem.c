/* Memory that runs out while training data are written: the folder is the old one or a whole new one, and the exit code says which. */
#include "nomem.h"

#include "cli/cli.h"
#include "unit/store_help.h"

#include <dirent.h>

/* main.c has the whole one, and main. */
const struct command cli_commands[] = {{"export", cmd_export, "", ""}, {NULL, NULL, NULL, NULL}};

static char *folder, *db, *to;
static struct str manifest;

static int export(void *arg)
{
    (void)arg;
    char *argv[] = {"export", "--db", db, "--format", "sft", "--split", "50,25,25", "-o", to};
    return cmd_export(ARRAY_LEN(argv), argv);
}

static struct str file_in(const char *name)
{
    struct str path = STR_EMPTY;
    str_addf(&path, "%s/%s", to, name);
    struct str bytes = bytes_of(str_cstr(&path));
    str_release(&path);
    return bytes;
}

/* All there, from the same export, and no half of a folder beside it. */
static bool whole(void *arg, bool worked)
{
    (void)arg, (void)worked;
    static const char *const names[] = {"train.jsonl", "valid.jsonl", "test.jsonl", "README.md"};
    struct str m = file_in("manifest.json");
    bool good = m.len == manifest.len && !memcmp(str_cstr(&m), str_cstr(&manifest), m.len);
    str_release(&m);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str f = file_in(names[i]);
        good = good && f.len > 0;
        str_release(&f);
    }
    DIR *d = opendir(folder);
    for (struct dirent *f; (f = readdir(d));) good = good && !strstr(f->d_name, ".data");
    closedir(d);
    return good;
}

static void an_export_to_a_folder_without_memory(void **state)
{
    folder = *state;
    db = path_in(*state, "ponder.db");
    to = path_in(*state, "data");
    struct store *s = open_store(db);
    for (int i = 0; i < 12; i++) {
        char text[32];
        snprintf(text, sizeof text, "Question %d?", i);
        int64_t c = conversation(s, "Be brief.");
        reply(s, c, prompt(s, c, 0, text), "Let me see.", "It is so.");
    }
    store_close(s);
    /* what is told of the failures is not this test's */
    int err = dup(2), null = open("/dev/null", O_WRONLY);
    assert_true(err >= 0 && dup2(null, 2) == 2);
    assert_int_equal(export(NULL), 0);
    manifest = file_in("manifest.json");
    assert_true(manifest.len > 300);
    nomem_each(&(struct nomem_operation){.name = "export to a folder", .run = export, .good = whole, .blocks_kept = 8});
    assert_int_equal(dup2(err, 2), 2);
    close(err);
    close(null);
    str_release(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_export_to_a_folder_without_memory, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
