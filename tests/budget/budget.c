/* budget.c - runs cases: first some rounds to warm up, then the rounds that are counted.
 *
 * A case runs on a thread of its own, as in the wire threads of the daemon. In a process with only
 * one thread, malloc and locks would take shorter paths. */
#include "budget.h"

#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_ROUNDS 4
#define COUNTED_ROUNDS 32

/* callgrind finds this function by its name, so it is neither static nor inlined. The empty
 * statement behind the call prevents a tail call: callgrind must see the function return when its
 * round is over. */
__attribute__((noinline)) void budget_counted(void (*round)(void))
{
    round();
    __asm__ volatile("" ::: "memory");
}

static void warm(void (*round)(void))
{
    round();
}

static void repeat(const struct budget_job *job, int rounds, void (*run)(void (*round)(void)))
{
    for (int i = 0; i < rounds; i++) {
        if (job->ready)
            job->ready();
        run(job->round);
        if (job->finish)
            job->finish();
    }
}

static void *run_case(void *ctx)
{
    const struct budget_case *one = ctx;

    one->job->open(&one->shape);
    repeat(one->job, WARM_ROUNDS, warm);
    repeat(one->job, COUNTED_ROUNDS, budget_counted);
    one->job->close();
    return NULL;
}

static void run_alone(const struct budget_case *one)
{
    pthread_t thread;

    CHECK(one->shape.messages <= MAX_BUDGET_MESSAGES && one->shape.routes <= MAX_BUDGET_ROUTES);
    CHECK(one->shape.sources <= MAX_BUDGET_SOURCES);
    CHECK(pthread_create(&thread, NULL, run_case, (void *)(uintptr_t)one) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("%s %u\n", one->name, COUNTED_ROUNDS * one->shape.messages * one->shape.events);
}

static void about(void)
{
#ifdef __clang__
    const char *compiler = "clang " __clang_version__;
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    bool optimised = false, hardened = false, sanitized = false;

#ifdef __OPTIMIZE__
    optimised = true;
#endif
#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE >= 3
    hardened = true;
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    sanitized = true;
#endif
    printf("compiler %s\n", compiler);
    printf("libc glibc %s\n", gnu_get_libc_version());
    printf("build %s, %s%s\n", optimised ? "optimised" : "not optimised",
           hardened ? "hardened" : "not hardened", sanitized ? ", sanitized" : "");
}

/* Replaces getrandom(), so that hash chains have the same lengths in every run. */
ssize_t __wrap_getrandom(void *at, size_t size, unsigned flags)
{
    (void)flags;
    memset(at, 0x5a, size);
    return (ssize_t)size;
}

int budget_main(const struct budget_case *cases, size_t count, int argc, char **argv)
{
    bool found = false;

    if (argc == 2 && strcmp(argv[1], "--about") == 0) {
        about();
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < count && argc <= 2; i++)
        if (argc == 1 || strcmp(argv[1], cases[i].name) == 0) {
            run_alone(&cases[i]);
            found = true;
        }
    if (found)
        return EXIT_SUCCESS;
    fprintf(stderr, "usage: %s [--about | CASE]; without, every case runs, and is named\n", argv[0]);
    return 2;
}
