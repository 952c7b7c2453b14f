/* OpenBLAS without memory: what is to be reserved fails with an error, and what is reserved lets products be made where nothing more can be
 * mapped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define N       256
#define CALLERS 3

static float a[CALLERS][N * N], b[N * N];

/* Nothing but `more` bytes can be mapped from now on. */
static void leave(size_t more)
{
    struct rlimit limit;
    char line[64] = "";
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || !fgets(line, sizeof line, f)) _exit(9);
    fclose(f);
    limit.rlim_cur = (rlim_t)strtoul(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    limit.rlim_max = RLIM_INFINITY;
    if (setrlimit(RLIMIT_AS, &limit)) _exit(9);
}

static void *multiply(void *arg)
{
    for (int i = 0; i < 20; i++) cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1, b, N, b, N, 0, arg, N);
    return NULL;
}

/* Exit status of a child that has it for so many callers, with 64 MB to map, and then multiplies with nothing to map but stacks. */
static int child(int callers, bool room)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t threads[CALLERS];
        struct err e = {0};
        alarm(60); /* a product that never ends */
        if (!room) leave((size_t)64 << 20);
        int rc = blas_prepare(callers, &e);
        if (rc) _exit(rc == ERR_NOMEM && strstr(e.text, "address space") ? 1 : 9);
        for (int i = 0; i < N * N; i++) b[i] = 1;
        leave((size_t)40 << 20); /* less than a buffer */
        for (int i = 0; i < callers; i++)
            if (pthread_create(&threads[i], NULL, multiply, a[i])) _exit(9);
        for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < callers; i++)
            if (a[i][N * N - 1] != N) _exit(9);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void reserving_without_room(void **state)
{
    (void)state;
    assert_int_equal(child(CALLERS, false), 1);
}

static void products_without_room(void **state)
{
    (void)state;
    assert_int_equal(child(CALLERS, true), 0);
}

static void reserving_again(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(blas_prepare(1, &e), 0);
    assert_int_equal(blas_prepare(CALLERS, &e), 0);
    assert_int_equal(blas_prepare(2, &e), 0);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const struct CMUnitTest tests[] = {cmocka_unit_test(reserving_again)}; /* a sanitizer needs all the address space */
    (void)reserving_without_room, (void)products_without_room;
#else
    const struct CMUnitTest tests[] = {cmocka_unit_test(reserving_without_room), cmocka_unit_test(products_without_room),
                                       cmocka_unit_test(reserving_again)};
#endif
    return cmocka_run_group_tests_name("model_blas", tests, NULL, NULL);
}
