/* stress_log.c - many threads put lines, and a reader reads, stands still and reads again. Every
 * line is whole, those of one thread are in order, and lines and reports add up to what was put. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/line_writer.h"

#define THREADS 4u
#define LINES 100000u /* of each thread */
#define LEFT_OUT 100u /* by each thread itself */
#define PAUSES 4u

static struct line_writer *writer;
static int ends[2];
static pthread_barrier_t barrier; /* of the threads that put */
static _Atomic unsigned running = THREADS;

/* The reader's thread only. */
static struct {
    uint64_t lines;
    uint64_t reports;
    uint64_t missing;
    unsigned next[THREADS];
} seen;

static size_t missing_text(const struct lines_missing *missing, char *line)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < LINE_LEVELS; i++)
        count += missing->by_level[i];
    return (size_t)snprintf(line, MAX_RING_LINE, "missing %" PRIu64 "\n", count);
}

static void *put_lines(void *argument)
{
    const unsigned thread = *(unsigned *)argument;
    char line[300];

    for (unsigned i = 0; i < LINES; i++) {
        const int size = snprintf(line, sizeof(line), "%u %u %0*u\n", thread, i, (int)(i % 200 + 1), 7u);

        CHECK(line_writer_put(writer, i % LINE_LEVELS, line, (size_t)size));
        if (i % (LINES / LEFT_OUT) == 0)
            line_writer_leave_out(writer, i % LINE_LEVELS);
        if (i % (LINES / PAUSES) == 0) {
            pthread_barrier_wait(&barrier);
            line_writer_wait(writer, 10000); /* the ring becomes empty */
            pthread_barrier_wait(&barrier);
        }
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void check_line(const char *line)
{
    unsigned thread, number, filler;
    uint64_t count;
    int end = 0;

    if (sscanf(line, "missing %" SCNu64 "%n", &count, &end) == 1 && line[end] == '\0') {
        CHECK(count > 0);
        seen.reports++;
        seen.missing += count;
        return;
    }
    CHECK(sscanf(line, "%u %u %u%n", &thread, &number, &filler, &end) == 3 && line[end] == '\0');
    CHECK(thread < THREADS && number >= seen.next[thread] && number < LINES && filler == 7);
    seen.next[thread] = number + 1;
    seen.lines++;
}

static void *read_lines(void *argument)
{
    const struct timespec pause = {.tv_nsec = 20 * NS_PER_MS};
    FILE *file = fdopen(ends[0], "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;

    (void)argument;
    CHECK(file);
    while ((size = getline(&line, &capacity, file)) > 0) {
        CHECK(line[size - 1] == '\n');
        line[size - 1] = '\0';
        check_line(line);
        if (seen.lines % 20000 == 0 && atomic_load(&running) > 0)
            nanosleep(&pause, NULL); /* the ring becomes full */
    }
    free(line);
    fclose(file);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS], reader;
    unsigned numbers[THREADS];

    CHECK(pipe(ends) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    CHECK(line_writer_new(ends[1], missing_text, &writer) == ERR_OK);
    CHECK(pthread_create(&reader, NULL, read_lines, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, put_lines, &numbers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(line_writer_stop(writer, 60000));
    line_writer_free(writer);
    close(ends[1]);
    CHECK(pthread_join(reader, NULL) == 0);
    pthread_barrier_destroy(&barrier);
    printf("%" PRIu64 " lines, %" PRIu64 " missing, %" PRIu64 " reports\n", seen.lines, seen.missing,
           seen.reports);
    CHECK(seen.lines + seen.missing == THREADS * (LINES + LEFT_OUT));
    CHECK((int64_t)seen.missing == count_get(COUNT_LOG_LOST));
    CHECK(seen.reports > 1);
    return 0;
}
