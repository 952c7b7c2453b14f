/* The machine, and which of several threads ends the program. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void memory_can_be_told(void **state)
{
    (void)state;
    uint64_t bytes = memory_available();
    assert_true(bytes > (1u << 20) && bytes < UINT64_C(1) << 50);
}

static atomic_int through, came;

static void *claim(void *arg)
{
    (void)arg;
    atomic_fetch_add(&came, 1);
    crash_claim();
    atomic_fetch_add(&through, 1);
    crash_claim(); /* it comes back, and is let through again */
    return NULL;
}

/* In a child: who has come to it never leaves it. */
static void one_thread_goes_on(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t threads[8];
        for (size_t i = 0; i < ARRAY_LEN(threads); i++) pthread_create(&threads[i], NULL, claim, NULL);
        for (int i = 0; i < 500 && atomic_load(&came) < 8; i++) usleep(10000);
        usleep(100000);
        _exit(atomic_load(&came) == 8 && atomic_load(&through) == 1 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* and whoever is alone is not held up */
    crash_claim();
    crash_claim();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_can_be_told), cmocka_unit_test(one_thread_goes_on)};
    return cmocka_run_group_tests_name("base_machine", tests, NULL, NULL);
}
