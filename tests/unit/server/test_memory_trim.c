/* test_memory_trim.c - memory that is needed again at once is not given back in between. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "server/memory_trim.h"

#define BLOCKS 5u
#define BLOCK_BYTES ((size_t)100 << 10)
#define PAGES_OF_ALL ((long)(BLOCKS * BLOCK_BYTES / 4096))

/* A sanitizer brings a malloc() of its own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* Allocates some blocks, writes to them, and frees them all. */
static void use_memory(void)
{
    char *volatile blocks[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        cr_assert(blocks[i]);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static long page_faults(void)
{
    struct rusage usage;

    cr_assert_eq(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_minflt;
}

/* As in a wire thread: its memory is not that of the main thread. */
static void *faults_of_rounds(void *faults_out)
{
    use_memory();
    long before = page_faults();
    for (unsigned i = 0; i < 20; i++)
        use_memory();
    *(long *)faults_out = page_faults() - before;
    return NULL;
}

static long faults_on_a_thread(void)
{
    pthread_t thread;
    long faults = 0;

    cr_assert_eq(pthread_create(&thread, NULL, faults_of_rounds, &faults), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return faults;
}

Test(memory_trim, what_messages_need_again_at_once_is_kept)
{
    cr_expect_gt(faults_on_a_thread(), 10 * PAGES_OF_ALL); /* as malloc() begins */
    memory_trim_keep();
    cr_expect_lt(faults_on_a_thread(), PAGES_OF_ALL);
}

#endif
