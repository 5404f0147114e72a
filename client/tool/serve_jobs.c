/* serve_jobs.c - the commands of `tributary serve`. The lines that a command prints become events,
 * and the way it ends becomes the end of its activation.
 *
 *   RUNNING --stop------> STOPPING (SIGTERM; what it printed is sent) --2 s--> SIGKILL
 *      |                     |
 *      +--expired, lost------+--> ABANDONED (SIGTERM; what it prints is discarded)
 *
 * A job is freed when its process was reaped, and everything that it printed was sent or discarded.
 * There may be thousands of jobs, so a turn looks only at those that something happened to.
 * While an activation is paused or its queue is full, the output of its command is not read. The
 * pipe fills then, and the command waits. */
#include "client/tool/serve_jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/lines.h"
#include "client/tool/spawn.h"

#define BLOCK 65536
#define KILL_NS (2 * NS_PER_S)   /* from SIGTERM to SIGKILL */
#define WAIT_NS NS_PER_S         /* for a command to end after it has closed its output */
#define FINISH_NS (5 * NS_PER_S) /* for the session to end */
#define EVENTS_AT_ONCE 64
#define BLOCKS_AT_ONCE 16

/* Adds its output to the epoll set or removes it, according to its state. */
static void update_polling(struct serve *serve, struct job *job)
{
    const bool wanted = !job->closed && !job->abandoned && !job->paused && !job->full;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = job};

    if (wanted == job->polled)
        return;
    epoll_ctl(serve->epoll_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, job->spawn.fd, &event);
    job->polled = wanted;
}

static void close_output(struct serve *serve, struct job *job)
{
    if (job->closed)
        return;
    job->closed = true;
    update_polling(serve, job);
    close(job->spawn.fd);
}

/* Discards its output from now on. The number of its activation may be used again. */
static void abandon(struct serve *serve, struct job *job)
{
    job->abandoned = true;
    job_table_leave_activation(&serve->table, job);
    buf_clear(&job->rest);
    close_output(serve, job);
}

static void signal_later(struct serve *serve, struct job *job, int signal, int64_t after_ns)
{
    job->next_signal = signal;
    job_table_set_due(&serve->table, job, clock_mono_ns() + after_ns);
}

static void terminate(struct serve *serve, struct job *job)
{
    if (job->reaped || job->next_signal == SIGKILL)
        return;
    spawn_signal(&job->spawn, SIGTERM);
    signal_later(serve, job, SIGKILL, KILL_NS);
}

/* Sends a line, or a part of one. False: the queue is full, or the activation has ended. */
static bool emit(struct serve *serve, struct job *job, const struct line *line)
{
    struct tributary_event event = serve->template;
    struct tributary_header headers[LINE_HEADERS];
    char number[24];
    enum tributary_code code = TRIBUTARY_OK;

    event.headers = headers;
    event.header_count = line_headers(line, headers, number);
    event.data = (struct tributary_bytes){line->text, line->size};
    event.time_unix_nano = (uint64_t)clock_wall_ns();
    code = tributary_session_emit(serve->session, job->activation, &event);
    if (code == TRIBUTARY_OK)
        serve->events++;
    else if (code == TRIBUTARY_RESOURCE_EXHAUSTED)
        job->full = true;
    else {
        abandon(serve, job);
        terminate(serve, job); /* the activation has ended, so no order to stop will come */
    }
    return code == TRIBUTARY_OK;
}

/* Sends every complete line. At the end of the output, a last line without a newline is
 * complete. */
static void send_lines(struct serve *serve, struct job *job)
{
    size_t sent = 0;

    while (sent < job->rest.size) {
        const char *text = (const char *)job->rest.data + sent;
        const size_t left = job->rest.size - sent;
        const char *newline = memchr(text, '\n', left);
        const size_t size = newline ? (size_t)(newline - text) : left;
        const bool is_last = size <= MAX_LINE_BYTES;
        const struct line line = {.text = text,
                                  .size = is_last ? size : line_part_size(text, MAX_LINE_BYTES),
                                  .part = is_last && job->parts == 0 ? 0 : job->parts + 1,
                                  .is_last = is_last};

        if (!newline && !job->closed && left <= MAX_LINE_BYTES)
            break;
        if (!emit(serve, job, &line))
            break;
        if (line.part == 1 && !serve->quiet)
            fprintf(stderr,
                    "tributary: activation %" PRIu64 ": a line has more than %u bytes: it comes as several "
                    "events, with the headers " LINE_PART_HEADER " and " LINE_LAST_HEADER "\n",
                    job->activation, MAX_LINE_BYTES);
        job->parts = is_last ? 0 : line.part;
        sent += line.size + (is_last && newline ? 1 : 0);
    }
    if (!job->abandoned)
        buf_drop(&job->rest, sent);
}

/* Closes its output, and gives the command WAIT_NS to end by itself. */
static void end_output(struct serve *serve, struct job *job)
{
    close_output(serve, job);
    if (!job->reaped && !heap_holds(&job->due) && job->next_signal != SIGKILL)
        signal_later(serve, job, SIGTERM, WAIT_NS);
}

/* Reads its output. After the process has ended, output that its children still hold open is read
 * only as far as it is there. */
static void read_output(struct serve *serve, struct job *job)
{
    char block[BLOCK];

    for (int i = 0; i < BLOCKS_AT_ONCE && !job->closed && !job->paused && !job->full; i++) {
        const ssize_t size = read(job->spawn.fd, block, sizeof(block));

        if (size > 0)
            buf_bytes(&job->rest, block, (size_t)size);
        else if (size == 0 || (errno != EINTR && (errno != EAGAIN || job->reaped)))
            end_output(serve, job);
        else if (errno == EAGAIN)
            return;
        send_lines(serve, job);
    }
}

static void start_job(struct serve *serve, const struct order *order)
{
    struct job *job = job_table_new(&serve->table);
    int error = ENOMEM;

    if (job)
        error = serve->stopping
                    ? ECANCELED
                    : spawn_start_with(&job->spawn, serve->command, order->request.data, order->request.size);
    if (error != 0) {
        job_table_free(&serve->table, job);
        atomic_fetch_sub(&serve->active, 1);
        if (!serve->stopping)
            fprintf(stderr, "tributary: %s: %s\n", serve->command, strerror(error));
        tributary_session_end(serve->session, order->activation,
                              serve->stopping ? TRIBUTARY_CANCELLED : TRIBUTARY_UNKNOWN, strerror(error));
        return;
    }
    job_table_add(&serve->table, job, order->activation);
    serve->commands++;
    update_polling(serve, job);
}

/* Ends its activation by the way its command ended. OK also where our signal ended it after a
 * stop. */
static void report_end(struct serve *serve, const struct job *job)
{
    const bool signalled = WIFSIGNALED(job->status);
    const int number = signalled ? WTERMSIG(job->status) : WEXITSTATUS(job->status);
    const bool by_us =
        job->stop_requested && (signalled ? number == SIGTERM || number == SIGKILL : number == 128 + SIGTERM);
    char message[64];

    if (number == 0 || by_us) {
        tributary_session_end(serve->session, job->activation, TRIBUTARY_OK, NULL);
        return;
    }
    snprintf(message, sizeof(message), signalled ? "ended by signal %d" : "exit status %d", number);
    tributary_session_end(serve->session, job->activation, TRIBUTARY_UNKNOWN, message);
    if (!serve->quiet)
        fprintf(stderr, "tributary: activation %" PRIu64 ": %s\n", job->activation, message);
}

/* Frees the job where its process has ended, and everything that it printed was sent or discarded.
 * What its children still hold open is read only as far as it is there. The last use of `job`. */
static void finish_if_done(struct serve *serve, struct job *job)
{
    if (!job->reaped)
        return;
    read_output(serve, job);
    update_polling(serve, job);
    if (!job->closed || job->rest.size > 0)
        return;
    if (!job->abandoned)
        report_end(serve, job);
    job_table_free(&serve->table, job);
    atomic_fetch_sub(&serve->active, 1);
}

/* Reaps the processes that have ended. It asks the kernel which ones they are: several signals may
 * come as one. */
static void reap_ended(struct serve *serve)
{
    siginfo_t info = {.si_pid = 0};

    serve->child_ended = false;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        struct job *job = job_table_find_pid(&serve->table, info.si_pid);

        if (!job) {
            waitpid(info.si_pid, NULL, 0); /* none of ours: else it would be found again */
        } else if (spawn_reap(&job->spawn, &job->status)) {
            job->reaped = true;
            job_table_leave_pid(&serve->table, job);
            finish_if_done(serve, job);
        }
        info.si_pid = 0;
    }
}

/* Sends the signals that are due. Returns when the next one is; INT64_MAX: none. */
static int64_t send_due_signals(struct serve *serve)
{
    const int64_t now_ns = clock_mono_ns();
    struct job *job = NULL;

    while ((job = job_table_take_due(&serve->table, now_ns))) {
        spawn_signal(&job->spawn, job->next_signal);
        if (job->next_signal == SIGTERM)
            signal_later(serve, job, SIGKILL, KILL_NS);
    }
    return job_table_next_due_ns(&serve->table);
}

static void handle_order(struct serve *serve, const struct order *order)
{
    struct job *job = order->kind != ORDER_START ? job_table_find(&serve->table, order->activation) : NULL;

    if (order->kind == ORDER_START)
        start_job(serve, order);
    if (!job)
        return;
    switch (order->kind) {
    case ORDER_START:
        break;
    case ORDER_STOP: /* read what it has printed, even where it is paused: that is little */
        job->stop_requested = true;
        job->paused = false;
        terminate(serve, job);
        break;
    case ORDER_EXPIRED:
        abandon(serve, job);
        terminate(serve, job);
        break;
    case ORDER_PAUSE:
        job->paused = !job->stop_requested;
        break;
    case ORDER_RESUME:
        job->paused = false;
        break;
    case ORDER_WRITABLE:
        job->full = false;
        send_lines(serve, job);
        break;
    }
    update_polling(serve, job);
    finish_if_done(serve, job);
}

static void handle_orders(struct serve *serve)
{
    struct order *order = NULL;

    while ((order = serve_next_order(serve))) {
        handle_order(serve, order);
        buf_fini(&order->request);
        free(order);
    }
}

static void read_all(struct serve *serve)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct signalfd_siginfo info;
    const int count = epoll_wait(serve->epoll_fd, events, EVENTS_AT_ONCE, 0);

    for (int i = 0; i < count; i++) {
        struct job *job = events[i].data.ptr;

        if (!job) {
            while (read(serve->child_fd, &info, sizeof(info)) == sizeof(info))
                serve->child_ended = true;
        } else {
            read_output(serve, job);
            update_polling(serve, job);
            finish_if_done(serve, job);
        }
    }
}

static void stop_all(struct serve *serve)
{
    serve->stopping = true;
    serve->give_up_ns = clock_mono_ns() + FINISH_NS;
    list_each(node, safe, &serve->table.jobs) {
        struct job *job = container_of(node, struct job, link);

        job->stop_requested = true;
        job->paused = false;
        terminate(serve, job);
        update_polling(serve, job);
        finish_if_done(serve, job);
    }
}

/* Discards what is not sent, so that a paused activation cannot delay the end. */
static void abandon_all(struct serve *serve)
{
    if (serve->has_given_up)
        return;
    serve->has_given_up = true;
    list_each(node, safe, &serve->table.jobs) {
        struct job *job = container_of(node, struct job, link);

        abandon(serve, job);
        finish_if_done(serve, job);
    }
}

bool serve_init(struct serve *serve)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t set;

    job_table_init(&serve->table);
    list_init(&serve->orders);
    pthread_mutex_init(&serve->lock, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    serve->child_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    serve->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return serve->child_fd >= 0 && serve->epoll_fd >= 0 &&
           epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, serve->child_fd, &event) == 0;
}

void serve_fini(struct serve *serve)
{
    if (serve->child_fd >= 0)
        close(serve->child_fd);
    if (serve->epoll_fd >= 0)
        close(serve->epoll_fd);
    job_table_fini(&serve->table);
    pthread_mutex_destroy(&serve->lock);
}

void serve_run(struct serve *serve)
{
    unsigned signals = 0;

    for (;;) {
        int64_t next_ns = INT64_MAX;

        if (serve->stopping && (serve->stop.signals > 1 || clock_mono_ns() >= serve->give_up_ns))
            abandon_all(serve);
        handle_orders(serve);
        if (serve->child_ended)
            reap_ended(serve);
        next_ns = send_due_signals(serve);
        if (stop_requested(&serve->stop) && !serve->stopping)
            stop_all(serve);
        if (serve->stopping && list_empty(&serve->table.jobs))
            break;
        if (serve->stop.signals > 1 && signals <= 1) { /* a second signal */
            list_each(node, safe, &serve->table.jobs)
                spawn_signal(&container_of(node, struct job, link)->spawn, SIGKILL);
        }
        signals = serve->stop.signals;
        if (serve->stopping && clock_mono_ns() < serve->give_up_ns)
            next_ns = MIN_OF(next_ns, serve->give_up_ns);
        stop_wait(&serve->stop, serve->epoll_fd,
                  next_ns == INT64_MAX ? INT64_MAX : MAX_OF(next_ns - clock_mono_ns(), 0));
        read_all(serve);
    }
    tributary_session_finish(serve->session, FINISH_NS);
    tributary_session_wait(serve->session, FINISH_NS, NULL);
    tributary_session_cancel(serve->session);
    tributary_session_wait(serve->session, TRIBUTARY_FOREVER, NULL);
    handle_orders(serve);
}
