/* first_figure.c - events per second and server CPU, from some publishers that pack events to one subscriber, with every number checked.
 *
 * A closed loop: what is published and not yet received is bounded, so the figure is what the server keeps up with, and nothing hides in
 * queues. The first failure ends the run with status 1. */
#include "bench/load.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { WARM_UP_MS = 500, PATIENCE_MS = 20000 };

/* A connection and what epoll watches it for. */
struct watched {
    struct h2 *h2;
    bool out; /* for room to write, too: only while output is pending, or waiting would not wait */
};

struct bench {
    struct load load;
    int epoll;
    struct publisher *publishers[LOAD_PUBLISHERS_MOST];
    struct subscriber *subscriber;
    struct watched watched[LOAD_PUBLISHERS_MOST + 1]; /* the publishers', and last the subscriber's */
};

/* One end of the measured time. */
struct reading {
    int64_t time_ns;
    uint64_t received, bytes, messages;
    int64_t server_ns, own_ns;
};

/* What all threads of the server have run, from /proc/PID/task/TID/schedstat; 0: not known. */
static int64_t process_cpu_ns(int pid)
{
    char path[300];
    int64_t total = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = pid ? opendir(path) : NULL;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        long long ran = 0;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file && fscanf(file, "%lld", &ran) == 1)
            total += ran;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return total;
}

static int64_t own_cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_S + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * NS_PER_US;
}

static struct reading read_off(const struct bench *bench, int pid)
{
    return (struct reading){.time_ns = clock_mono_ns(),
                            .received = bench->load.received,
                            .bytes = subscriber_bytes(bench->subscriber),
                            .messages = subscriber_messages(bench->subscriber),
                            .server_ns = process_cpu_ns(pid),
                            .own_ns = own_cpu_ns()};
}

static void watch(struct bench *bench, struct watched *watched, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (watched->out ? EPOLLOUT : 0u), .data.ptr = watched->h2};

    if (epoll_ctl(bench->epoll, operation, h2_fd(watched->h2), &event) != 0)
        load_fail(&bench->load, "epoll_ctl: %s", strerror(errno));
}

static void watch_new(struct bench *bench, uint32_t place, struct h2 *h2)
{
    bench->watched[place] = (struct watched){.h2 = h2};
    watch(bench, &bench->watched[place], EPOLL_CTL_ADD);
}

static void watch_again(struct bench *bench, uint32_t place)
{
    struct watched *watched = &bench->watched[place];

    if (watched->out == h2_pending(watched->h2))
        return;
    watched->out = !watched->out;
    watch(bench, watched, EPOLL_CTL_MOD);
}

/* One turn: reads what came, then lets everybody publish. */
static void turn(struct bench *bench, bool publish)
{
    struct epoll_event events[LOAD_PUBLISHERS_MOST + 1];
    int count = epoll_wait(bench->epoll, events, ARRAY_LEN(events), 100);

    for (int i = 0; i < count && !bench->load.failure[0]; i++) {
        struct h2 *h2 = events[i].data.ptr;
        if (events[i].events & ~(uint32_t)EPOLLOUT && !h2_read(h2))
            load_fail(&bench->load, "a connection is lost");
    }
    uint32_t publishers = bench->load.plan.publishers;
    for (uint32_t i = 0; i < publishers && publish && !bench->load.failure[0]; i++) {
        publisher_publish(bench->publishers[i]);
        watch_again(bench, i);
    }
    if (!h2_flush(subscriber_connection(bench->subscriber)))
        load_fail(&bench->load, "the subscriber's connection is lost");
    watch_again(bench, publishers);
}

static bool published_all(const struct bench *bench)
{
    for (uint32_t i = 0; i < bench->load.plan.publishers; i++)
        if (!publisher_done(bench->publishers[i]))
            return false;
    return bench->load.received == bench->load.published;
}

static bool started(const struct bench *bench)
{
    return subscriber_started(bench->subscriber);
}

static void turn_until(struct bench *bench, bool (*question)(const struct bench *bench), bool publish, const char *what)
{
    int64_t until = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;

    while (!question(bench) && !bench->load.failure[0]) {
        turn(bench, publish);
        if (clock_mono_ns() > until)
            load_fail(&bench->load, "not within %d ms: %s (published %llu, received %llu)", PATIENCE_MS, what,
                      (unsigned long long)bench->load.published, (unsigned long long)bench->load.received);
    }
}

static void turn_for(struct bench *bench, int64_t ns)
{
    for (int64_t until = clock_mono_ns() + ns; clock_mono_ns() < until && !bench->load.failure[0];)
        turn(bench, true);
}

static bool connect_all(struct bench *bench)
{
    bench->epoll = epoll_create1(EPOLL_CLOEXEC);
    bench->subscriber = subscriber_new(&bench->load);
    if (!bench->subscriber)
        return false;
    watch_new(bench, bench->load.plan.publishers, subscriber_connection(bench->subscriber));
    for (uint32_t i = 0; i < bench->load.plan.publishers; i++) {
        bench->publishers[i] = publisher_new(&bench->load, i);
        if (!bench->publishers[i])
            return false;
        watch_new(bench, i, publisher_connection(bench->publishers[i]));
    }
    return true;
}

static void print_figure(const struct reading *from, const struct reading *to)
{
    double seconds = (double)(to->time_ns - from->time_ns) / 1e9;
    double events = (double)(to->received - from->received);
    double messages = (double)(to->messages - from->messages);

    printf("%.0f events/s, server CPU %.4f s/M, generator CPU %.4f s/M, %.0f MB/s, %.0f events per message, %.0f events in %.2f s\n",
           events / seconds, (double)(to->server_ns - from->server_ns) / 1e3 / events, (double)(to->own_ns - from->own_ns) / 1e3 / events,
           (double)(to->bytes - from->bytes) / seconds / 1e6, messages > 0 ? events / messages : 0, events, seconds);
}

static int measure(struct bench *bench, int pid, int64_t seconds)
{
    struct reading from = {0}, to = {0};

    if (connect_all(bench)) {
        turn_until(bench, started, false, "the subscriber has started");
        turn_for(bench, WARM_UP_MS * NS_PER_MS);
        from = read_off(bench, pid);
        turn_for(bench, seconds * NS_PER_S);
        to = read_off(bench, pid);
        bench->load.stopping = true;
        turn_until(bench, published_all, true, "everything published is received");
    }
    if (bench->load.failure[0]) {
        fprintf(stderr, "first_figure: %s\n", bench->load.failure);
        return 1;
    }
    print_figure(&from, &to);
    return 0;
}

static void usage(void)
{
    fputs("first_figure --server HOST:PORT|unix:PATH [--pid SERVER] [--publishers 4] [--seconds 5] [--per-message 64] [--payload 128]\n"
          "             [--in-flight 32768]\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"server", 1, NULL, 's'},      {"pid", 1, NULL, 'p'},     {"publishers", 1, NULL, 'n'}, {"seconds", 1, NULL, 't'},
        {"per-message", 1, NULL, 'm'}, {"payload", 1, NULL, 'b'}, {"in-flight", 1, NULL, 'f'},  {NULL, 0, NULL, 0}};
    static struct bench bench = {.load.plan = {NULL, 4, 64, 128, 32768}};
    struct load_plan *plan = &bench.load.plan;
    int pid = 0, seconds = 5;

    bench.load.process = getpid();
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            plan->server = optarg;
            break;
        case 'p':
            pid = atoi(optarg);
            break;
        case 'n':
            plan->publishers = (uint32_t)atoi(optarg);
            break;
        case 't':
            seconds = atoi(optarg);
            break;
        case 'm':
            plan->per_message = (uint32_t)atoi(optarg);
            break;
        case 'b':
            plan->payload_bytes = (uint32_t)atoi(optarg);
            break;
        case 'f':
            plan->in_flight_most = (uint32_t)atoi(optarg);
            break;
        default:
            usage();
        }
    }
    if (!plan->server || !plan->publishers || plan->publishers > LOAD_PUBLISHERS_MOST || !plan->per_message || seconds < 1 ||
        plan->payload_bytes < LOAD_PAYLOAD_LEAST || (uint64_t)plan->per_message * (plan->payload_bytes + 16) > 16000)
        usage();
    int status = measure(&bench, pid, seconds);
    for (uint32_t i = 0; i < plan->publishers; i++)
        publisher_free(bench.publishers[i]);
    subscriber_free(bench.subscriber);
    return status;
}
