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
#include "base/threads.h"

#define RING_BYTES (4u << 20)
#define RESERVE_BYTES (256u << 10)
#define CRASH_MS 1000
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

static void wait_for_work(struct line_writer *writer)
{
    bool in_time = true;

    while (in_time && writer->ring.count == 0 && !writer->stopping) {
        writer->is_waiting = true;
        in_time = cond_wait_until(&writer->work, &writer->lock, writer->report_at_ns);
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
    char line[MAX_RING_LINE];

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
    cond_init(&writer->work);
    cond_init(&writer->ended);
    /* SIGPIPE and SIGXFSZ must not end the process: write() says EPIPE and EFBIG. */
    if (thread_start(&writer->thread, run, writer, "lines")) {
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

    while (!writer->has_ended && cond_wait_until(&writer->ended, &writer->lock, until_ns))
        continue;
    return writer->has_ended;
}

/* Makes space in a pipe for a last line. Does nothing where `fd` is no pipe. */
static void enlarge_pipe(int fd)
{
    const int size = fcntl(fd, F_GETPIPE_SZ);

    if (size > 0)
        fcntl(fd, F_SETPIPE_SZ, size + (int)MAX_RING_LINE);
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

/* ---- crashes ---- */

static struct line_writer *_Atomic crash_writer;

/* The process ends by this signal. Waits for the lines that were put before. */
static void on_crash(int signal)
{
    line_writer_wait(atomic_load(&crash_writer), CRASH_MS);
    raise(signal); /* its action is the default again, and follows when this function returns */
}

void line_writer_handle_crashes(struct line_writer *writer)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    atomic_store(&crash_writer, writer);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction before;
        struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};

        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    }
}
