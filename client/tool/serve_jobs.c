/* serve_jobs.c - commands that answer: what they print becomes events, how they end becomes the end
 * of their activation.
 *
 *   RUNNING --stop--> ASKED (SIGTERM; what it printed is sent) --2 s--> SIGKILL
 *      |                |
 *      +--cut, lost-----+--> OVER (SIGTERM; what it prints is nobody's)
 *
 * A job is freed when its process was reaped and everything that it printed was taken over, or is
 * nobody's. A command whose output is not read, since its activation is paused or its queue is
 * full, waits by itself: the pipe is full. */
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
#define PATIENCE_NS NS_PER_S     /* for a command that closed its output to end */
#define FINISH_NS (5 * NS_PER_S) /* for the session to end */
#define EVENTS_AT_ONCE 64
#define BLOCKS_AT_ONCE 16

struct job {
    struct list node;
    uint64_t activation;
    struct spawn spawn;
    struct buf rest;   /* printed, and not sent yet */
    bool paused, full; /* why its output is not read at the moment */
    bool listening;    /* its output is waited for */
    bool closed;       /* its output has ended */
    bool reaped;
    bool asked, over;
    int status;     /* as from waitpid(), where it was reaped */
    int64_t due_ns; /* when the next signal is due; INT64_MAX: none */
    int next_signal;
};

/* Waits for its output, or does not, as it should be now. */
static void listen_to(struct serve *serve, struct job *job)
{
    const bool wanted = !job->closed && !job->over && !job->paused && !job->full;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = job};

    if (wanted == job->listening)
        return;
    epoll_ctl(serve->epoll_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, job->spawn.fd, &event);
    job->listening = wanted;
}

static void close_output(struct serve *serve, struct job *job)
{
    if (job->closed)
        return;
    job->closed = true;
    listen_to(serve, job);
    close(job->spawn.fd);
}

/* What follows is nobody's. */
static void give_up(struct serve *serve, struct job *job)
{
    job->over = true;
    buf_clear(&job->rest);
    close_output(serve, job);
}

static void terminate(struct job *job)
{
    if (job->reaped || job->next_signal == SIGKILL)
        return;
    spawn_signal(&job->spawn, SIGTERM);
    job->next_signal = SIGKILL;
    job->due_ns = clock_mono_ns() + KILL_NS;
}

/* False: not now, or never. */
static bool emit(struct serve *serve, struct job *job, const char *line, size_t size)
{
    struct tributary_event event = serve->template;
    enum tributary_code code = TRIBUTARY_OK;

    event.data = (struct tributary_bytes){line, size};
    event.time_unix_nano = (uint64_t)clock_wall_ns();
    code = tributary_session_emit(serve->session, job->activation, &event);
    if (code == TRIBUTARY_OK)
        serve->events++;
    else if (code == TRIBUTARY_RESOURCE_EXHAUSTED)
        job->full = true;
    else {
        give_up(serve, job);
        terminate(job); /* nobody will stop a command that nobody hears */
    }
    return code == TRIBUTARY_OK;
}

/* Sends every whole line; at the end of the output, the last one is whole as it is. */
static void send_lines(struct serve *serve, struct job *job)
{
    size_t at = 0;

    while (at < job->rest.size) {
        const char *line = (const char *)job->rest.data + at;
        const size_t left = job->rest.size - at;
        const char *newline = memchr(line, '\n', left);
        size_t size = newline != NULL ? (size_t)(newline - line) : left;

        if (newline == NULL && !job->closed && left < MAX_LINE_BYTES)
            break;
        size = MIN_OF(size, (size_t)MAX_LINE_BYTES);
        if (!emit(serve, job, line, size))
            break;
        at += size + (newline == line + size ? 1 : 0);
    }
    if (job->over || at == 0)
        return;
    memmove(job->rest.data, job->rest.data + at, job->rest.size - at);
    job->rest.size -= at;
}

/* Its output has ended, or is of no interest any more: now it should end itself. */
static void end_output(struct serve *serve, struct job *job)
{
    close_output(serve, job);
    if (!job->reaped && job->due_ns == INT64_MAX) {
        job->next_signal = SIGTERM;
        job->due_ns = clock_mono_ns() + PATIENCE_NS;
    }
}

/* Reads what it printed. What a process that has ended left open is read as far as it goes. */
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

static struct job *job_find(const struct serve *serve, uint64_t activation)
{
    list_each(node, safe, &serve->jobs) {
        struct job *job = container_of(node, struct job, node);

        if (job->activation == activation && !job->over)
            return job;
    }
    return NULL;
}

static void start_job(struct serve *serve, const struct order *order)
{
    struct job *job = calloc(1, sizeof(*job));
    int error = ENOMEM;

    if (job != NULL)
        error = serve->leaving
                    ? ECANCELED
                    : spawn_start_with(&job->spawn, serve->command, order->request.data, order->request.size);
    if (error != 0) {
        free(job);
        atomic_fetch_sub(&serve->live, 1);
        if (!serve->leaving)
            fprintf(stderr, "tributary: %s: %s\n", serve->command, strerror(error));
        tributary_session_end(serve->session, order->activation,
                              serve->leaving ? TRIBUTARY_CANCELLED : TRIBUTARY_UNKNOWN, strerror(error));
        return;
    }
    job->activation = order->activation;
    job->due_ns = INT64_MAX;
    list_append(&serve->jobs, &job->node);
    serve->commands++;
    listen_to(serve, job);
}

static void handle_order(struct serve *serve, const struct order *order)
{
    struct job *job = order->kind != ORDER_START ? job_find(serve, order->activation) : NULL;

    if (order->kind == ORDER_START)
        start_job(serve, order);
    if (job == NULL)
        return;
    switch (order->kind) {
    case ORDER_START:
        break;
    case ORDER_STOP: /* what it has printed is read, however far behind the consumer is: it is not much */
        job->asked = true;
        job->paused = false;
        terminate(job);
        break;
    case ORDER_EXPIRED:
        give_up(serve, job);
        terminate(job);
        break;
    case ORDER_PAUSE:
        job->paused = !job->asked;
        break;
    case ORDER_RESUME:
        job->paused = false;
        break;
    case ORDER_ROOM:
        job->full = false;
        send_lines(serve, job);
        break;
    }
    listen_to(serve, job);
}

static void handle_orders(struct serve *serve)
{
    struct order *order = NULL;

    while ((order = serve_next_order(serve)) != NULL) {
        handle_order(serve, order);
        buf_fini(&order->request);
        free(order);
    }
}

/* Says how it ended: one that was asked to may end by our signal. */
static void report_end(struct serve *serve, const struct job *job)
{
    const bool signalled = WIFSIGNALED(job->status);
    const int number = signalled ? WTERMSIG(job->status) : WEXITSTATUS(job->status);
    const bool by_us =
        job->asked && (signalled ? number == SIGTERM || number == SIGKILL : number == 128 + SIGTERM);
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

/* True: it was freed. */
static bool reap(struct serve *serve, struct job *job, int64_t now_ns)
{
    if (!job->reaped && job->due_ns <= now_ns) {
        spawn_signal(&job->spawn, job->next_signal);
        job->due_ns = job->next_signal == SIGTERM ? now_ns + KILL_NS : INT64_MAX;
        job->next_signal = SIGKILL;
    }
    if (!job->reaped)
        job->reaped = spawn_reap(&job->spawn, &job->status);
    if (!job->reaped)
        return false;
    read_output(serve, job);
    if (!job->closed || job->rest.size > 0)
        return false;
    if (!job->over)
        report_end(serve, job);
    list_remove(&job->node);
    buf_fini(&job->rest);
    free(job);
    atomic_fetch_sub(&serve->live, 1);
    return true;
}

/* When a signal is due next. */
static int64_t reap_all(struct serve *serve)
{
    const int64_t now_ns = clock_mono_ns();
    int64_t next_ns = INT64_MAX;

    list_each(node, safe, &serve->jobs) {
        struct job *job = container_of(node, struct job, node);

        if (!reap(serve, job, now_ns) && !job->reaped)
            next_ns = MIN_OF(next_ns, job->due_ns);
    }
    return next_ns;
}

static void read_all(struct serve *serve)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct signalfd_siginfo info;
    const int count = epoll_wait(serve->epoll_fd, events, EVENTS_AT_ONCE, 0);

    for (int i = 0; i < count; i++) {
        struct job *job = events[i].data.ptr;

        if (job == NULL) {
            while (read(serve->child_fd, &info, sizeof(info)) == sizeof(info))
                continue; /* who has ended is found by asking each */
        } else {
            read_output(serve, job);
            listen_to(serve, job);
        }
    }
}

static void stop_all(struct serve *serve)
{
    serve->leaving = true;
    serve->leave_ns = clock_mono_ns() + FINISH_NS;
    list_each(node, safe, &serve->jobs) {
        struct job *job = container_of(node, struct job, node);

        job->asked = true;
        job->paused = false;
        terminate(job);
        listen_to(serve, job);
    }
}

/* A consumer that holds its activation back does not hold up the end. */
static void give_up_all(struct serve *serve)
{
    list_each(node, safe, &serve->jobs) {
        struct job *job = container_of(node, struct job, node);

        if (!job->over)
            give_up(serve, job);
    }
}

bool serve_init(struct serve *serve)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t set;

    list_init(&serve->jobs);
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
    pthread_mutex_destroy(&serve->lock);
}

void serve_run(struct serve *serve)
{
    unsigned signals = 0;

    for (;;) {
        int64_t next_ns = INT64_MAX;

        if (serve->leaving && (serve->stop.signals > 1 || clock_mono_ns() >= serve->leave_ns))
            give_up_all(serve);
        handle_orders(serve);
        next_ns = reap_all(serve);
        if (stop_requested(&serve->stop) && !serve->leaving)
            stop_all(serve);
        if (serve->leaving && list_empty(&serve->jobs))
            break;
        if (serve->stop.signals > 1 && signals <= 1) { /* somebody insists */
            list_each(node, safe, &serve->jobs)
                spawn_signal(&container_of(node, struct job, node)->spawn, SIGKILL);
        }
        signals = serve->stop.signals;
        if (serve->leaving && clock_mono_ns() < serve->leave_ns)
            next_ns = MIN_OF(next_ns, serve->leave_ns);
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
