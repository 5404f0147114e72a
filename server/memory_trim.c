/* memory_trim.c - see memory_trim.h. */
#include "server/memory_trim.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PERIOD_NS NS_PER_S

/* Twice as much may be free at the end of a part of malloc()'s memory. Messages to and from a few
 * fast peers need some 500 KiB at a time. */
#define SMALL_BLOCK_BYTES (512u << 10)

/* The resident set. 0: not known. */
static int64_t resident_bytes(void)
{
    char text[128];
    long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[MAX_OF(size, (ssize_t)0)] = '\0';
    if (sscanf(text, "%*d %ld", &pages) != 1)
        return 0;
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int64_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (int64_t)info.uordblks + (int64_t)info.hblkhd;
}

/* Worker. */
static void take_sample(struct job *job)
{
    struct memory_trim *trim = container_of(job, struct memory_trim, sample);
    int64_t allocated = allocated_bytes(), unused = resident_bytes() - allocated, began_ns = clock_mono_ns();

    if (!trim_policy_sample(&trim->policy, unused, allocated, began_ns))
        return;
    malloc_trim(0);
    int64_t now_ns = clock_mono_ns(), left = resident_bytes() - allocated_bytes();
    trim_policy_trimmed(&trim->policy, left, began_ns, now_ns);
    log_write(LOG_DEBUG, "memory.trimmed", LOG_NUMBER("bytes", unused - left),
              LOG_NUMBER("took_us", (now_ns - began_ns) / NS_PER_US));
}

static void sample_later(struct memory_trim *trim)
{
    if (timer_start(trim->loop, &trim->due, PERIOD_NS))
        log_write(LOG_WARN, "memory.not_trimmed", LOG_TEXT("reason", "out of memory for a timer"));
}

static void on_due(struct timer *timer)
{
    struct memory_trim *trim = container_of(timer, struct memory_trim, due);

    if (workers_submit(trim->workers, &trim->sample))
        sample_later(trim);
}

static void on_sampled(struct job *job)
{
    struct memory_trim *trim = container_of(job, struct memory_trim, sample);

    if (trim->workers)
        sample_later(trim);
}

/* When such a block, which is a mapping of its own, is freed, malloc() raises two bounds: the size
 * from which blocks are mappings, and twice that, from which it gives back what is free at the end.
 * mallopt() would fix both, and larger blocks could not raise them any more. */
void memory_trim_keep(void)
{
    void *volatile block = malloc(SMALL_BLOCK_BYTES); /* volatile: or compilers leave both calls out */

    free(block);
}

struct status memory_trim_start(struct memory_trim *trim, struct loop *loop)
{
    struct status status = workers_new(loop, 1, 1, &trim->workers);

    if (status.code)
        return status;
    memory_trim_keep();
    trim->loop = loop;
    trim->due.fired = on_due;
    trim->sample = (struct job){.run = take_sample, .done = on_sampled};
    sample_later(trim);
    return STATUS_OK;
}

void memory_trim_stop(struct memory_trim *trim)
{
    timer_stop(&trim->due);
    workers_free(trim->workers);
    trim->workers = NULL;
}
