/* Paths, folders, private and atomic files, hashing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static char root[64]; /* a folder of each test's own */
static mode_t old_umask;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    old_umask = umask(022);
    strcpy(root, "/tmp/ponder-test-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    umask(old_umask);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path below root; valid for four calls. */
static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *p = paths[turn++ % 4];
    snprintf(p, sizeof(paths[0]), "%s/%s", root, name);
    return p;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_content(const char *path, const char *want)
{
    struct str got = STR_EMPTY;
    struct err e;
    assert_int_equal(file_read(&got, path, 1 << 20, &e), 0);
    assert_string_equal(str_cstr(&got), want);
    str_release(&got);
}

static size_t files_in(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d)) != NULL;) n += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* ---- paths -------------------------------------------------------------------------------------------------- */

static void expect_path(enum path_kind kind, const char *name, const char *want)
{
    struct str out = STR_EMPTY;
    struct err e;
    assert_int_equal(path_of(&out, kind, name, &e), 0);
    assert_string_equal(str_cstr(&out), want);
    str_release(&out);
}

static void paths_follow_xdg(void **state)
{
    (void)state;
    static const struct {
        enum path_kind kind;
        const char *variable, *fallback;
    } table[] = {
        {PATH_CONFIG, "XDG_CONFIG_HOME", "/home/someone/.config/ponder"},
        {PATH_DATA, "XDG_DATA_HOME", "/home/someone/.local/share/ponder"},
        {PATH_STATE, "XDG_STATE_HOME", "/home/someone/.local/state/ponder"},
        {PATH_CACHE, "XDG_CACHE_HOME", "/home/someone/.cache/ponder"},
    };
    setenv("HOME", "/home/someone", 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char want[128];
        unsetenv(table[i].variable);
        expect_path(table[i].kind, NULL, table[i].fallback);
        setenv(table[i].variable, "", 1);
        expect_path(table[i].kind, NULL, table[i].fallback);
        setenv(table[i].variable, "relative/path", 1);
        snprintf(want, sizeof(want), "%s/models/x.gguf", table[i].fallback);
        expect_path(table[i].kind, "models/x.gguf", want);
        setenv(table[i].variable, "/x dg", 1);
        expect_path(table[i].kind, "a", "/x dg/ponder/a");
        unsetenv(table[i].variable);
    }
}

static void path_without_home(void **state)
{
    (void)state;
    static const char *const bad[] = {NULL, "", "relative"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (bad[i]) {
            setenv("HOME", bad[i], 1);
        } else {
            unsetenv("HOME");
        }
        struct str out = STR_EMPTY;
        struct err e = {0};
        int r = path_of(&out, PATH_DATA, NULL, &e);
        if (r == 0) {
            assert_int_equal(str_cstr(&out)[0], '/');
            assert_non_null(strstr(str_cstr(&out), "/.local/share/ponder"));
        } else {
            /* a user without an entry in the user database */
            assert_non_null(strstr(e.text, "HOME"));
            assert_int_equal(out.len, 0);
        }
        str_release(&out);
    }
}

static void path_is_appended(void **state)
{
    (void)state;
    struct str out = STR_EMPTY;
    setenv("XDG_DATA_HOME", "/d", 1);
    str_add(&out, "file:");
    assert_int_equal(path_of(&out, PATH_DATA, "p.db", NULL), 0);
    assert_string_equal(str_cstr(&out), "file:/d/ponder/p.db");
    str_release(&out);
    unsetenv("XDG_DATA_HOME");
}

/* ---- folders ------------------------------------------------------------------------------------------------ */

static void folders_are_private(void **state)
{
    (void)state;
    static const mode_t umasks[] = {0, 022, 077, 0177, 0277, 0777};
    for (size_t i = 0; i < ARRAY_LEN(umasks); i++) {
        char name[32];
        struct err e = {0};
        snprintf(name, sizeof(name), "u%o/b/c", (unsigned)umasks[i]);
        umask(umasks[i]);
        int r = path_make_folder(at(name), &e);
        umask(022);
        if (r != 0) fail_msg("umask %o: %s", (unsigned)umasks[i], e.text);
        assert_int_equal(mode_of(at(name)) & 0777, 0700);
        *strrchr(name, '/') = '\0';
        assert_int_equal(mode_of(at(name)) & 0777, 0700);
        assert_int_equal(path_make_folder(at(name), &e), 0);
    }
}

static void folders_that_exist_keep_their_mode(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("old"), 0755), 0);
    assert_int_equal(path_make_folder(at("old/new"), NULL), 0);
    assert_int_equal(path_make_folder(at("old"), NULL), 0);
    assert_int_equal(mode_of(at("old")), 0755);
    assert_int_equal(mode_of(at("old/new")) & 0777, 0700);
}

static void folder_names_in_odd_forms(void **state)
{
    (void)state;
    char cwd[4096];
    struct err e;
    assert_int_equal(path_make_folder(at("a//b/./c/."), &e), 0);
    assert_int_equal(mode_of(at("a/b/c")) & 0777, 0700);
    assert_int_equal(path_make_folder(at("a/b///"), &e), 0);
    assert_int_equal(path_make_folder("/", &e), 0);
    assert_int_equal(path_make_folder(at("a/../d"), &e), 0);
    assert_int_equal(mode_of(at("d")) & 0777, 0700);
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_int_equal(chdir(root), 0);
    assert_int_equal(path_make_folder("./rel/x", &e), 0);
    assert_int_equal(path_make_folder(".", &e), 0);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(mode_of(at("rel/x")) & 0777, 0700);
    assert_int_equal(path_make_folder("", &e), ERR_INVALID);
    char name[300] = {0};
    memset(name, 'n', sizeof(name) - 1);
    assert_int_equal(path_make_folder(at(name), &e), ERR_FILE);
}

static void folder_links_and_files(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(mkdir(at("real"), 0700), 0);
    assert_int_equal(symlink("real", at("link")), 0);
    assert_int_equal(path_make_folder(at("link"), &e), ERR_FILE);
    assert_non_null(strstr(e.text, "symbolic link"));
    assert_int_equal(path_make_folder(at("link/"), &e), ERR_FILE);
    assert_int_equal(path_make_folder(at("link/."), &e), ERR_FILE);
    assert_int_equal(path_make_folder(at("link/inner"), &e), 0);
    assert_int_equal(mode_of(at("real/inner")) & 0777, 0700);
    assert_int_equal(symlink("nowhere", at("dangling")), 0);
    assert_int_equal(path_make_folder(at("dangling"), &e), ERR_FILE);
    put(at("file"), "x", 0600);
    assert_int_equal(path_make_folder(at("file"), &e), ERR_FILE);
    assert_null(strstr(e.text, "symbolic link"));
    assert_int_equal(path_make_folder(at("file/below"), &e), ERR_FILE);
}

/* ---- private files ------------------------------------------------------------------------------------------ */

static void private_files_are_private(void **state)
{
    (void)state;
    static const mode_t umasks[] = {0, 022, 077, 0377, 0777};
    for (size_t i = 0; i < ARRAY_LEN(umasks); i++) {
        char name[32];
        struct err e = {0};
        snprintf(name, sizeof(name), "f%o", (unsigned)umasks[i]);
        umask(umasks[i]);
        int fd = file_open_private(at(name), O_RDWR | O_CREAT, &e);
        umask(022);
        if (fd < 0) fail_msg("umask %o: %s", (unsigned)umasks[i], e.text);
        assert_int_equal(mode_of(at(name)), 0600);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
    }
}

static void open_files_are_closed_to_others(void **state)
{
    (void)state;
    static const struct {
        mode_t before, after;
    } table[] = {{0644, 0600}, {0666, 0600}, {0600, 0600}, {0444, 0400}, {0777, 0700}, {0640, 0600}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        put(at("f"), "kept", table[i].before);
        int fd = file_open_private(at("f"), O_RDONLY | (i % 2 ? O_CREAT : 0), NULL);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(mode_of(at("f")), table[i].after);
        expect_content(at("f"), "kept");
        assert_int_equal(unlink(at("f")), 0);
    }
}

static void private_open_flags(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(file_open_private(at("none"), O_RDWR, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    put(at("f"), "old", 0600);
    assert_int_equal(file_open_private(at("f"), O_RDWR | O_CREAT | O_EXCL, &e), -1);
    assert_int_equal(e.code, ERR_IO);
    int fd = file_open_private(at("f"), O_WRONLY | O_CREAT | O_APPEND, &e);
    assert_int_equal(write(fd, "+new", 4), 4);
    close(fd);
    expect_content(at("f"), "old+new");
    fd = file_open_private(at("f"), O_WRONLY | O_CREAT | O_TRUNC, &e);
    close(fd);
    expect_content(at("f"), "");
}

static void private_open_refuses_what_is_no_file(void **state)
{
    (void)state;
    struct err e;
    put(at("target"), "secret", 0644);
    assert_int_equal(symlink("target", at("link")), 0);
    assert_int_equal(file_open_private(at("link"), O_RDWR | O_CREAT | O_TRUNC, &e), -1);
    assert_int_equal(e.code, ERR_FILE);
    assert_non_null(strstr(e.text, "symbolic link"));
    expect_content(at("target"), "secret");
    assert_int_equal(mode_of(at("target")), 0644);
    assert_int_equal(symlink("not-there", at("dangling")), 0);
    assert_int_equal(file_open_private(at("dangling"), O_RDWR | O_CREAT, &e), -1);
    assert_int_equal(access(at("not-there"), F_OK), -1);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(file_open_private(at("fifo"), O_RDONLY, &e), -1);
    assert_int_equal(e.code, ERR_FILE);
    assert_int_equal(file_open_private(at("fifo"), O_WRONLY, &e), -1);
    assert_int_equal(e.code, ERR_FILE);
    assert_int_equal(file_open_private(root, O_RDONLY, &e), -1);
    assert_int_equal(e.code, ERR_FILE);
    assert_int_equal(file_open_private("/dev/null", O_RDWR, &e), -1);
    assert_int_equal(e.code, ERR_FILE);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static void reading_keeps_the_limit(void **state)
{
    (void)state;
    struct err e;
    struct str out = STR_EMPTY;
    put(at("f"), "0123456789", 0600);
    str_add(&out, "before:");
    assert_int_equal(file_read(&out, at("f"), 10, &e), 0);
    assert_string_equal(str_cstr(&out), "before:0123456789");
    str_truncate(&out, 7);
    assert_int_equal(file_read(&out, at("f"), 9, &e), ERR_FILE);
    assert_non_null(strstr(e.text, "larger than 9 bytes"));
    assert_string_equal(str_cstr(&out), "before:");
    assert_int_equal(file_read(&out, at("f"), SIZE_MAX, &e), 0);
    assert_int_equal(out.len, 17);
    str_release(&out);
    put(at("empty"), "", 0600);
    assert_int_equal(file_read(&out, at("empty"), 0, &e), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(file_read(&out, at("nothing"), 10, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "nothing"));
    assert_int_equal(file_read(&out, root, 10, &e), ERR_FILE);
    str_release(&out);
}

static void reading_large_files(void **state)
{
    (void)state;
    enum { SIZE = 300001 };
    char *bytes = malloc(SIZE);
    struct str out = STR_EMPTY;
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(file_write_atomic(at("big"), bytes, SIZE, NULL), 0);
    assert_int_equal(file_read(&out, at("big"), SIZE, NULL), 0);
    assert_int_equal(out.len, SIZE);
    assert_memory_equal(out.data, bytes, SIZE);
    str_clear(&out);
    assert_int_equal(file_read(&out, at("big"), SIZE - 1, NULL), ERR_FILE);
    str_release(&out);
    free(bytes);
}

static void *write_slowly(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 3; i++) {
        usleep(20000);
        if (write(fd, "abc", 3) != 3) break;
    }
    close(fd);
    return NULL;
}

static void reading_standard_input(void **state)
{
    (void)state;
    int pipes[2], saved = dup(STDIN_FILENO);
    pthread_t writer;
    struct str out = STR_EMPTY;
    struct err e = {0};
    assert_int_equal(pipe(pipes), 0);
    /* non-blocking, as a parent may leave it */
    assert_int_equal(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(dup2(pipes[0], STDIN_FILENO), STDIN_FILENO);
    close(pipes[0]);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &pipes[1]), 0);
    int r = file_read(&out, "-", 100, &e);
    pthread_join(writer, NULL);
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_int_equal(r, 0);
    assert_string_equal(str_cstr(&out), "abcabcabc");
    str_release(&out);
}

/* ---- replacing ---------------------------------------------------------------------------------------------- */

static void replacing_files(void **state)
{
    (void)state;
    struct err e = {0};
    umask(0777);
    int r = file_write_atomic(at("f"), "one", 3, &e);
    umask(022);
    if (r != 0) fail_msg("%s", e.text);
    assert_int_equal(mode_of(at("f")), 0600);
    expect_content(at("f"), "one");
    assert_int_equal(chmod(at("f"), 0644), 0);
    assert_int_equal(file_write_atomic(at("f"), "two and more", 12, &e), 0);
    assert_int_equal(mode_of(at("f")), 0600);
    expect_content(at("f"), "two and more");
    assert_int_equal(file_write_cache(at("f"), "three", 5, &e), 0);
    assert_int_equal(mode_of(at("f")), 0600);
    expect_content(at("f"), "three");
    assert_int_equal(file_write_cache(at("no/folder/f"), "x", 1, &e), ERR_NOT_FOUND);
    assert_int_equal(file_write_atomic(at("f"), NULL, 0, &e), 0);
    expect_content(at("f"), "");
    assert_int_equal(files_in(root), 1);
    char name[256] = {0};
    memset(name, 'n', 200); /* leaves no room for a suffix within 255 bytes */
    memset(name + 200, 'm', 55);
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(file_write_atomic(path, "x", 1, &e), 0);
    expect_content(path, "x");
}

static void replacing_in_the_working_folder(void **state)
{
    (void)state;
    char cwd[4096];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_int_equal(chdir(root), 0);
    int r = file_write_atomic("plain", "x", 1, NULL);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(r, 0);
    expect_content(at("plain"), "x");
}

static void replacing_refuses(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(file_write_atomic(at("no/folder/f"), "x", 1, &e), ERR_NOT_FOUND);
    assert_int_equal(file_write_atomic(root, "x", 1, &e), ERR_FILE);
    assert_int_equal(file_write_atomic(at(""), "x", 1, &e), ERR_INVALID);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(file_write_atomic(at("fifo"), "x", 1, &e), ERR_FILE);
    assert_int_equal(symlink("/dev/null", at("null")), 0);
    assert_int_equal(file_write_atomic(at("null"), "x", 1, &e), ERR_FILE);
    assert_int_equal(files_in(root), 2);
    put(at("target"), "target", 0600);
    assert_int_equal(symlink("target", at("link")), 0);
    assert_int_equal(file_write_atomic(at("link"), "new", 3, &e), 0);
    expect_content(at("target"), "target");
    expect_content(at("link"), "new");
}

static void replacing_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    struct err e = {0};
    struct rlimit old, small;
    static char bytes[100000];
    put(at("f"), "old and good", 0600);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = file_write_atomic(at("f"), bytes, sizeof(bytes), &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(r, ERR_FULL);
    assert_int_equal(files_in(root), 1);
    expect_content(at("f"), "old and good");
}

/* ---- hashing ------------------------------------------------------------------------------------------------ */

struct steps {
    int n, stop_at;
    uint64_t done, total;
};

static bool count_step(void *arg, uint64_t done, uint64_t total)
{
    struct steps *s = arg;
    assert_true(done >= s->done && done <= total);
    s->done = done;
    s->total = total;
    return s->n++ != s->stop_at;
}

static void hashing(void **state)
{
    (void)state;
    struct err e = {0};
    char hex[65];
    put(at("f"), "", 0600);
    assert_int_equal(file_sha256(at("f"), hex, NULL, NULL, &e), 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    put(at("f"), "abc", 0600);
    assert_int_equal(file_sha256(at("f"), hex, NULL, NULL, &e), 0);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct steps s = {.stop_at = -1};
    assert_int_equal(truncate(at("f"), 0), 0);
    assert_int_equal(truncate(at("f"), 40 << 20), 0);
    assert_int_equal(file_sha256(at("f"), hex, count_step, &s, &e), 0);
    assert_string_equal(hex, "80a3721188e40218b08b26776bc53bdae81e4784fff71d71450a197319cba113");
    assert_int_equal(s.n, 3);
    assert_int_equal(s.total, 40 << 20);
    s = (struct steps){.stop_at = 1};
    assert_int_equal(file_sha256(at("f"), hex, count_step, &s, &e), ERR_STOPPED);
    assert_string_equal(hex, "");
    assert_int_equal(s.done, 16 << 20);
    assert_int_equal(file_sha256(at("none"), hex, NULL, NULL, &e), ERR_NOT_FOUND);
    assert_int_equal(file_sha256(root, hex, NULL, NULL, &e), ERR_FILE);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(file_sha256(at("fifo"), hex, NULL, NULL, &e), ERR_FILE);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_follow_xdg),
        cmocka_unit_test(path_without_home),
        cmocka_unit_test(path_is_appended),
        IN_FOLDER(folders_are_private),
        IN_FOLDER(folders_that_exist_keep_their_mode),
        IN_FOLDER(folder_names_in_odd_forms),
        IN_FOLDER(folder_links_and_files),
        IN_FOLDER(private_files_are_private),
        IN_FOLDER(open_files_are_closed_to_others),
        IN_FOLDER(private_open_flags),
        IN_FOLDER(private_open_refuses_what_is_no_file),
        IN_FOLDER(reading_keeps_the_limit),
        IN_FOLDER(reading_large_files),
        IN_FOLDER(reading_standard_input),
        IN_FOLDER(replacing_files),
        IN_FOLDER(replacing_in_the_working_folder),
        IN_FOLDER(replacing_refuses),
        IN_FOLDER(replacing_that_fails_leaves_the_old_file),
        IN_FOLDER(hashing),
    };
    return cmocka_run_group_tests_name("base_file", tests, NULL, NULL);
}
