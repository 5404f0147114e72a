/* line_writer.c - the ring, the thread, and what is missing. */
#include "base/line_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/fd_write.h"

#define RING_BYTES (4u << 20)
#define RESERVE_BYTES (256u << 10)
#define SLICE_MS 100 /* how long the thread waits for the reader before it looks at `giving_up` */
#define REPORT_NS NS_PER_S

struct line_writer {
    int fd; /* constant, as are `text` and `thread` */
    lines_missing_text *text;
    pthread_t thread;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t work;  /* the thread waits for something to do */
    pthread_cond_t ended; /* line_writer_stop() waits for `has_ended` */
    struct line_ring ring;
    struct lines_missing missing;
    int64_t report_at_ns; /* INT64_MAX: no report is due by itself */
    bool report_first;    /* try a report before the next line */
    bool is_full;         /* lines below the reserve are left out until the ring is empty */
    bool is_waiting;      /* the thread waits at `work` */
    bool stopping;
    bool has_ended;

    /* Writer's thread only. */
    bool is_torn; /* the last line was written in part */

    /* Any thread. */
    atomic_bool giving_up;
    _Atomic size_t unwritten; /* lines in the ring */
};

/* ---- under the lock ---- */

static bool is_something_missing(const struct line_writer *writer)
{
    for (unsigned i = 0; i < LINE_LEVELS; i++)
        if (writer->missing.by_level[i] > 0)
            return true;
    return false;
}

static void lose(struct line_writer *writer, unsigned level)
{
    writer->missing.by_level[level]++;
    count_add(COUNT_LOG_LOST, 1);
}

static void wake(struct line_writer *writer)
{
    if (writer->is_waiting)
        pthread_cond_signal(&writer->work);
    writer->is_waiting = false;
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
    const struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};

    if (until_ns == INT64_MAX)
        pthread_cond_wait(cond, lock);
    else
        pthread_cond_timedwait(cond, lock, &until);
}

static void wait_for_work(struct line_writer *writer)
{
    while (writer->ring.count == 0 && !writer->stopping && clock_mono_ns() < writer->report_at_ns) {
        writer->is_waiting = true;
        wait_until(&writer->work, &writer->lock, writer->report_at_ns);
        writer->is_waiting = false;
    }
}

static void pop(struct line_writer *writer)
{
    line_ring_pop(&writer->ring);
    atomic_fetch_sub(&writer->unwritten, 1);
    if (writer->ring.count > 0 || !writer->is_full)
        return;
    writer->is_full = false;
    writer->report_at_ns = 0; /* this is the place where lines are missing */
}

static void lose_all(struct line_writer *writer)
{
    unsigned level;
    struct bytes line;

    while (line_ring_front(&writer->ring, &level, &line)) {
        lose(writer, level);
        pop(writer);
    }
}

/* ---- the writer's thread, with no lock ---- */

/* Returns whether all was written. Waits for the reader until the writer gives up. */
static bool write_bytes(struct line_writer *writer, const char *data, size_t size)
{
    size_t done = 0;
    int error;
    bool is_last;

    do {
        is_last = atomic_load(&writer->giving_up);
        error = fd_write(writer->fd, data, size, SLICE_MS, &done);
    } while (error == EAGAIN && !is_last);
    if (done > 0)
        writer->is_torn = done < size;
    return error == 0;
}

static bool write_line(struct line_writer *writer, const char *line, size_t size)
{
    if (writer->is_torn && !write_bytes(writer, "\n", 1))
        return false;
    return write_bytes(writer, line, size);
}

/* ---- the writer's thread, under the lock, which is released while it writes ---- */

static void write_report(struct line_writer *writer)
{
    const struct lines_missing missing = writer->missing;
    char line[MAX_LINE_BYTES];

    writer->report_at_ns = INT64_MAX;
    pthread_mutex_unlock(&writer->lock);
    const bool written = write_line(writer, line, writer->text(&missing, line));
    pthread_mutex_lock(&writer->lock);
    writer->report_first = !written;
    if (!written)
        return; /* what is missing stays counted */
    for (unsigned i = 0; i < LINE_LEVELS; i++)
        writer->missing.by_level[i] -= missing.by_level[i];
    writer->missing.limited -= missing.limited;
}

static void write_front(struct line_writer *writer)
{
    unsigned level = 0;
    struct bytes line = {0};

    if (!line_ring_front(&writer->ring, &level, &line))
        return;
    pthread_mutex_unlock(&writer->lock);
    const bool written = write_line(writer, (const char *)line.data, line.size);
    pthread_mutex_lock(&writer->lock);
    if (!written) {
        lose(writer, level);
        writer->report_first = true;
    }
    pop(writer);
}

/* Reports wait until the ring is no longer full, so that they stand where lines are missing. */
static bool report_is_due(const struct line_writer *writer)
{
    return is_something_missing(writer) && !writer->is_full &&
           (writer->report_first || clock_mono_ns() >= writer->report_at_ns);
}

static void *run(void *argument)
{
    struct line_writer *writer = argument;

    pthread_mutex_lock(&writer->lock);
    while (!writer->stopping || writer->ring.count > 0) {
        wait_for_work(writer);
        if (atomic_load(&writer->giving_up))
            lose_all(writer);
        if (report_is_due(writer))
            write_report(writer);
        write_front(writer);
    }
    if (is_something_missing(writer))
        write_report(writer);
    writer->has_ended = true;
    pthread_cond_signal(&writer->ended);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* ---- any thread ---- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Signals are for other threads. SIGPIPE and SIGXFSZ must not end the process: write() says EPIPE
 * and EFBIG. */
static bool start_thread(struct line_writer *writer)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(writer->thread, "lines");
    return error == 0;
}

enum err line_writer_new(int fd, lines_missing_text *text, struct line_writer **writer_out)
{
    struct line_writer *writer = calloc(1, sizeof(*writer));

    if (!writer || line_ring_init(&writer->ring, RING_BYTES, RESERVE_BYTES)) {
        free(writer);
        return ERR_NO_MEMORY;
    }
    writer->fd = fd;
    writer->text = text;
    writer->report_at_ns = INT64_MAX;
    pthread_mutex_init(&writer->lock, NULL);
    init_cond(&writer->work);
    init_cond(&writer->ended);
    if (!start_thread(writer)) {
        line_writer_free(writer);
        return ERR_NO_MEMORY;
    }
    *writer_out = writer;
    return ERR_OK;
}

void line_writer_free(struct line_writer *writer)
{
    if (!writer)
        return;
    pthread_cond_destroy(&writer->ended);
    pthread_cond_destroy(&writer->work);
    pthread_mutex_destroy(&writer->lock);
    line_ring_fini(&writer->ring);
    free(writer);
}

bool line_writer_put(struct line_writer *writer, unsigned level, const char *line, size_t size)
{
    pthread_mutex_lock(&writer->lock);
    const bool is_open = !writer->has_ended;
    const bool is_refused = writer->is_full && level < LINE_RESERVE_LEVEL;
    if (is_open && !is_refused && line_ring_put(&writer->ring, level, line, size)) {
        atomic_fetch_add(&writer->unwritten, 1);
        wake(writer);
    } else if (is_open) {
        writer->is_full = true;
        lose(writer, level);
    }
    pthread_mutex_unlock(&writer->lock);
    return is_open;
}

void line_writer_leave_out(struct line_writer *writer, unsigned level)
{
    pthread_mutex_lock(&writer->lock);
    lose(writer, level);
    writer->missing.limited++;
    if (writer->report_at_ns == INT64_MAX) {
        writer->report_at_ns = clock_from_now_ns(REPORT_NS);
        wake(writer);
    }
    pthread_mutex_unlock(&writer->lock);
}

void line_writer_wait(struct line_writer *writer, int max_ms)
{
    const struct timespec pause = {.tv_nsec = NS_PER_MS};

    if (pthread_equal(pthread_self(), writer->thread))
        return;
    for (int i = 0; i < max_ms && atomic_load(&writer->unwritten) > 0; i++)
        nanosleep(&pause, NULL);
}

/* Under the lock. Returns whether the thread has ended. */
static bool wait_for_end(struct line_writer *writer, int max_ms)
{
    const int64_t until_ns = clock_from_now_ns(max_ms * NS_PER_MS);

    while (!writer->has_ended && clock_mono_ns() < until_ns)
        wait_until(&writer->ended, &writer->lock, until_ns);
    return writer->has_ended;
}

/* Makes space in a pipe for a last line. Does nothing where `fd` is no pipe. */
static void enlarge_pipe(int fd)
{
    const int size = fcntl(fd, F_GETPIPE_SZ);

    if (size > 0)
        fcntl(fd, F_SETPIPE_SZ, size + (int)MAX_LINE_BYTES);
}

bool line_writer_stop(struct line_writer *writer, int max_ms)
{
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    wake(writer);
    if (!wait_for_end(writer, max_ms)) {
        atomic_store(&writer->giving_up, true);
        enlarge_pipe(writer->fd);
        wait_for_end(writer, 4 * SLICE_MS);
    }
    const bool has_ended = writer->has_ended;
    pthread_mutex_unlock(&writer->lock);
    CHECK((has_ended ? pthread_join(writer->thread, NULL) : pthread_detach(writer->thread)) == 0);
    return has_ended;
}
