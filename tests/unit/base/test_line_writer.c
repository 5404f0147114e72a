/* test_line_writer.c - what a reader sees, whether it reads, stands still, is slow or is gone
 * (finding 13). */
#include "base/line_writer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"

#define LOW 0u
#define HIGH 3u
#define MANY 60000u /* lines of 100 bytes: more than the pipe and the ring take */

static struct line_writer *writer;
static int ends[2];
static char got[32 << 20];
static size_t size;

/* "missing LOW.. HIGH limited" */
static size_t missing_text(const struct lines_missing *missing, char *line)
{
    const uint64_t *level = missing->by_level;

    return (size_t)snprintf(line, MAX_RING_LINE,
                            "missing %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", level[0],
                            level[1], level[2], level[3], missing->limited);
}

static void start(int fd)
{
    cr_assert_eq(line_writer_new(fd, missing_text, &writer), ERR_OK);
}

static void start_pipe(int flags)
{
    cr_assert_eq(pipe2(ends, flags), 0);
    start(ends[1]);
}

static bool put(unsigned number, unsigned level)
{
    char line[101];

    snprintf(line, sizeof(line), "%u %-*u\n", level, 97, number);
    cr_assert_eq(strlen(line), 100u);
    return line_writer_put(writer, level, line, 100);
}

static void put_many(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        cr_assert(put(i, LOW));
}

static int64_t lost(void)
{
    return count_get(COUNT_LOG_LOST);
}

/* Reads until `max_ms` pass without a byte, or all are closed. */
static void read_for(int fd, int max_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    while (poll(&poller, 1, max_ms) > 0) {
        const ssize_t part = read(fd, got + size, sizeof(got) - 1 - size);

        if (part <= 0)
            break;
        size += (size_t)part;
    }
    got[size] = '\0';
}

static void stop_and_free(void)
{
    cr_assert(line_writer_stop(writer, 10000));
    line_writer_free(writer);
}

/* What one reader saw: lines are whole and in order; each report says how many are missing at its
 * place. */
struct seen {
    unsigned lines;
    unsigned reports;
    uint64_t missing;
    unsigned next; /* the number that comes next */
};

static struct seen read_lines(void)
{
    struct seen seen = {0};

    for (char *line = got; *line != '\0';) {
        char *end = strchr(line, '\n');
        unsigned level, number;
        uint64_t by_level[LINE_LEVELS], limited;

        cr_assert_not_null(end, "a line without an end: %s", line);
        *end = '\0';
        if (sscanf(line, "missing %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &by_level[0],
                   &by_level[1], &by_level[2], &by_level[3], &limited) == 5) {
            seen.reports++;
            seen.missing += by_level[0] + by_level[1] + by_level[2] + by_level[3];
            seen.next += (unsigned)by_level[0];
        } else {
            cr_assert_eq(sscanf(line, "%u %u", &level, &number), 2, "half a line: %s", line);
            cr_assert_eq(strlen(line), 99u, "half a line: %s", line);
            if (level == LOW) {
                cr_assert_eq(number, seen.next, "%u, and not %u", number, seen.next);
                seen.next++;
            }
            seen.lines++;
        }
        line = end + 1;
    }
    return seen;
}

Test(line_writer, a_reader_gets_every_line_in_order)
{
    start_pipe(0);
    put_many(0, 10);
    read_for(ends[0], 100);
    cr_assert_eq(size, 1000u);
    put_many(10, 10);
    stop_and_free();
    read_for(ends[0], 0);
    cr_assert_eq(read_lines().lines, 20u);
    cr_assert_eq(lost(), 0);
}

static void check_unread(int flags)
{
    int64_t began_ns;
    struct seen seen;

    start_pipe(flags);
    began_ns = clock_mono_ns();
    put_many(0, MANY);
    cr_assert_lt(clock_mono_ns() - began_ns, 5 * NS_PER_S, "nobody waits for the reader");
    cr_assert_gt(lost(), 0);
    read_for(ends[0], 500);
    put_many(MANY, 5);
    read_for(ends[0], 100);
    seen = read_lines();
    cr_assert_eq(seen.reports, 1u);
    cr_assert_eq((int64_t)seen.missing, lost());
    cr_assert_eq(seen.lines + seen.missing, MANY + 5);
    cr_assert_geq(seen.lines, 35000u, "most of 4 MiB of lines wait");
    cr_assert_eq(seen.next, MANY + 5);
    stop_and_free();
}

Test(line_writer, one_report_stands_where_lines_are_missing)
{
    check_unread(0);
}

Test(line_writer, a_descriptor_that_somebody_made_nonblocking_loses_nothing_more)
{
    check_unread(O_NONBLOCK);
}

Test(line_writer, each_standstill_has_its_report)
{
    struct seen seen;

    start_pipe(0);
    for (unsigned round = 0; round < 3; round++) {
        put_many(round * MANY, MANY);
        read_for(ends[0], 500);
    }
    seen = read_lines();
    cr_assert_eq(seen.reports, 3u);
    cr_assert_eq(seen.lines + seen.missing, 3 * MANY);
    stop_and_free();
}

Test(line_writer, lines_of_high_levels_use_the_reserve)
{
    struct seen seen;

    start_pipe(0);
    put_many(0, MANY);
    const int64_t before = lost();
    for (unsigned i = 0; i < 2000; i++)
        cr_assert(put(i, HIGH));
    cr_assert_eq(lost(), before);
    for (unsigned i = 0; i < 2000; i++)
        cr_assert(put(i, HIGH));
    cr_assert_gt(lost(), before, "the reserve has a bound, too");
    read_for(ends[0], 500);
    seen = read_lines();
    cr_assert_eq(seen.lines + seen.missing, MANY + 4000);
    cr_assert_eq(seen.reports, 1u);
    stop_and_free();
}

Test(line_writer, ends_in_time_where_nobody_reads_and_the_last_line_says_what_is_missing)
{
    int64_t began_ns;
    struct seen seen;

    start_pipe(0);
    put_many(0, MANY);
    began_ns = clock_mono_ns();
    cr_assert(line_writer_stop(writer, 300));
    cr_assert_geq(clock_mono_ns() - began_ns, 300 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - began_ns, 3 * NS_PER_S);
    line_writer_free(writer);
    read_for(ends[0], 0);
    seen = read_lines();
    cr_assert_eq(seen.reports, 1u);
    cr_assert_eq(seen.lines + seen.missing, MANY);
    cr_assert_eq((int64_t)seen.missing, lost());
    cr_assert_geq(seen.lines, 600u, "what the pipe holds");
}

Test(line_writer, says_no_after_its_end)
{
    start_pipe(0);
    cr_assert(line_writer_stop(writer, 1000));
    cr_assert_not(put(0, LOW));
    cr_assert_eq(lost(), 0);
    line_writer_free(writer);
}

Test(line_writer, a_socket_that_nobody_reads_ends_in_time_and_may_stay_stuck)
{
    int64_t began_ns;
    bool ended;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    start(ends[1]);
    put_many(0, MANY);
    began_ns = clock_mono_ns();
    ended = line_writer_stop(writer, 100);
    cr_assert_lt(clock_mono_ns() - began_ns, 3 * NS_PER_S);
    if (ended) {
        line_writer_free(writer);
        return;
    }
    cr_assert(put(0, LOW), "it is counted, and nobody writes it");
}

Test(line_writer, lines_through_a_socket_with_little_space_are_whole)
{
    const int space = 2048;
    struct seen seen;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &space, sizeof(space));
    start(ends[1]);
    put_many(0, 5000);
    read_for(ends[0], 500);
    seen = read_lines();
    cr_assert_eq(seen.lines, 5000u);
    stop_and_free();
}

Test(line_writer, a_reader_that_is_gone_costs_lines_and_no_process)
{
    start_pipe(0);
    signal(SIGPIPE, SIG_DFL);
    close(ends[0]);
    put_many(0, 10);
    line_writer_wait(writer, 5000);
    cr_assert_eq(lost(), 10);
    stop_and_free();
}

Test(line_writer, a_full_disk_is_reported_once_there_is_space)
{
    struct rlimit limit = {.rlim_cur = 950, .rlim_max = RLIM_INFINITY};
    FILE *file = tmpfile();
    struct seen seen;

    cr_assert_not_null(file);
    signal(SIGXFSZ, SIG_DFL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    start(fileno(file));
    put_many(0, 20);
    line_writer_wait(writer, 5000);
    cr_assert_eq(lost(), 11, "nine fit, and half of the tenth");
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    put_many(20, 5);
    stop_and_free();
    size = (size_t)pread(fileno(file), got, sizeof(got) - 1, 0);
    got[size] = '\0';
    cr_assert_eq(got[900 + 50], '\n', "what was written of a line is closed");
    memmove(got + 900, got + 951, size - 950);
    seen = read_lines();
    cr_assert_eq(seen.lines, 14u);
    cr_assert_eq(seen.missing, 11u);
    cr_assert_eq(seen.reports, 1u);
    cr_assert_eq(seen.next, 25u);
    fclose(file);
}

Test(line_writer, what_the_caller_leaves_out_is_reported_within_a_second_or_so)
{
    const int64_t began_ns = clock_mono_ns();
    struct seen seen;

    start_pipe(0);
    cr_assert(put(0, LOW));
    for (int i = 0; i < 7; i++)
        line_writer_leave_out(writer, HIGH);
    cr_assert_eq(lost(), 7);
    read_for(ends[0], 5000 / 2);
    cr_assert_str_eq(got + 100, "missing 0 0 0 7 7\n");
    cr_assert_geq(clock_mono_ns() - began_ns, 900 * NS_PER_MS);
    seen = read_lines();
    cr_assert_eq(seen.reports, 1u);
    line_writer_leave_out(writer, LOW);
    stop_and_free();
    size = 0;
    read_for(ends[0], 0);
    cr_assert_str_eq(got, "missing 1 0 0 0 1\n", "the end does not wait for the second to pass");
}

Test(line_writer, waits_for_what_was_put)
{
    start_pipe(0);
    for (unsigned round = 0; round < 100; round++) {
        put_many(round * 5, 5);
        line_writer_wait(writer, 10000);
        size = 0;
        read_for(ends[0], 0);
        cr_assert_eq(size, 500u);
    }
    stop_and_free();
}
