/* jetstream.c - publishes into a JetStream stream and waits for its acknowledgements: the other
 * side of W9. A raw client, cheaper than a library: each producer has a connection and a thread,
 * writes messages of several events at once, and has at most a window of them without an
 * acknowledgement.
 *
 * Usage: jetstream --server HOST:PORT --pid PID [--producers N] [--per-message N] [--window N]
 *                  [--payload BYTES] [--rate N] --seconds N */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "bench/account.h"
#include "bench/histogram.h"

#define MAX_INPUT 65536u
#define PATIENCE_NS (20 * NS_PER_S) /* without an acknowledgement */
#define STREAM "W9"

struct plan {
    char host[128];
    const char *port;
    pid_t pid;
    unsigned producers, per_message, window, payload;
    double rate, seconds; /* events a second of all; 0: as fast as it goes */
    int64_t began_ns, until_ns;
};

struct producer {
    const struct plan *plan;
    unsigned number;
    pthread_t thread;
    int fd;
    char input[MAX_INPUT];
    size_t input_size;
    char *output; /* one message of `per_message` events */
    size_t output_size, written;
    int64_t *due_ns; /* by event, modulo the window */
    uint64_t sent, acked;
    struct histogram latency;
};

static void fail(const char *format, ...) PRINTF_LIKE(1, 2);
static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static int dial(const struct plan *plan)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    const int on = 1;

    if (getaddrinfo(plan->host, plan->port, &hints, &found) != 0)
        fail("jetstream: %s:%s is no address", plan->host, plan->port);

    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        fail("jetstream: connect: %s", strerror(errno));
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        if (n < 0)
            fail("jetstream: send: %s", strerror(errno));
        text += n;
        size -= (size_t)n;
    }
}

/* Removes the first `size` bytes of the input. */
static void consume(struct producer *producer, size_t size)
{
    producer->input_size -= size;
    memmove(producer->input, producer->input + size, producer->input_size);
}

/* Reads what has come. With `wait` it waits for it. */
static void receive(struct producer *producer, bool wait)
{
    const ssize_t n = recv(producer->fd, producer->input + producer->input_size,
                           sizeof(producer->input) - 1 - producer->input_size, wait ? 0 : MSG_DONTWAIT);

    if (n == 0)
        fail("jetstream: the server closed the connection");
    if (n < 0 && errno != EAGAIN)
        fail("jetstream: recv: %s", strerror(errno));
    producer->input_size += n > 0 ? (size_t)n : 0;
    producer->input[producer->input_size] = '\0';
}

/* Reads until `text` has come, and removes what stands before its end. */
static void await_text(struct producer *producer, const char *text)
{
    const char *found = NULL;

    producer->input[producer->input_size] = '\0';
    while (!(found = strstr(producer->input, text))) {
        if (strstr(producer->input, "-ERR"))
            fail("jetstream: %s", producer->input);
        receive(producer, true);
    }
    consume(producer, (size_t)(found - producer->input) + strlen(text));
}

static void greet(struct producer *producer)
{
    static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";

    producer->fd = dial(producer->plan);
    await_text(producer, "\r\n"); /* INFO */
    write_all(producer->fd, hello, sizeof(hello) - 1);
    await_text(producer, "PONG\r\n");
}

static void create_stream(const struct plan *plan)
{
    static const char settings[] =
        "{\"name\":\"" STREAM "\",\"subjects\":[\"w9.>\"],\"retention\":\"limits\",\"storage\":\"file\","
        "\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"discard\":\"old\",\"num_replicas\":1}";
    struct producer *producer = calloc(1, sizeof(*producer));
    char request[1024];

    CHECK(producer);
    producer->plan = plan;
    greet(producer);

    const int size =
        snprintf(request, sizeof(request),
                 "SUB _INBOX.w9 1\r\nPUB $JS.API.STREAM.CREATE." STREAM " _INBOX.w9 %zu\r\n%s\r\n",
                 sizeof(settings) - 1, settings);

    write_all(producer->fd, request, (size_t)size);
    await_text(producer, "MSG _INBOX.w9 1 ");
    await_text(producer, "\r\n{");
    while (!strchr(producer->input, '\n'))
        receive(producer, true);
    if (strstr(producer->input, "\"error\""))
        fail("jetstream: the stream was not made: %s", producer->input);
    close(producer->fd);
    free(producer);
}

static void prepare(struct producer *producer)
{
    const struct plan *plan = producer->plan;
    char head[128];
    const int head_size =
        snprintf(head, sizeof(head), "PUB w9.t _INBOX.p%u.a %u\r\n", producer->number, plan->payload);
    const size_t event = (size_t)head_size + plan->payload + 2;

    producer->output_size = event * plan->per_message;
    producer->output = malloc(producer->output_size);
    producer->due_ns = calloc(plan->window, sizeof(*producer->due_ns));
    CHECK(producer->output && producer->due_ns);
    for (unsigned i = 0; i < plan->per_message; i++) {
        char *at = producer->output + i * event;

        memcpy(at, head, (size_t)head_size);
        memset(at + head_size, '.', plan->payload);
        at[head_size + (int)plan->payload] = '\r';
        at[head_size + (int)plan->payload + 1] = '\n';
    }
    producer->written = producer->output_size;
    greet(producer);

    const int size = snprintf(head, sizeof(head), "SUB _INBOX.p%u.* 1\r\nPING\r\n", producer->number);

    write_all(producer->fd, head, (size_t)size);
    await_text(producer, "PONG\r\n");
}

/* One acknowledgement: a line that says how many bytes follow, and those. False: not whole yet. */
static bool next_ack(struct producer *producer, size_t *at)
{
    char *line = producer->input + *at;
    char *end = memchr(line, '\n', producer->input_size - *at);

    if (!end)
        return false;
    if (strncmp(line, "PING", 4) == 0) {
        write_all(producer->fd, "PONG\r\n", 6);
        *at += (size_t)(end + 1 - line);
        return true;
    }
    if (strncmp(line, "MSG ", 4) != 0)
        fail("jetstream: %.200s", line);

    const char *space = end;

    while (space > line && *space != ' ')
        space--;

    const size_t size = strtoul(space, NULL, 10);
    const size_t whole = (size_t)(end + 1 - line) + size + 2;

    if (*at + whole > producer->input_size)
        return false;
    if (!memmem(end + 1, size, "\"seq\":", 6) || memmem(end + 1, size, "\"error\"", 7))
        fail("jetstream: not acknowledged: %.*s", (int)size, end + 1);
    histogram_add(
        &producer->latency,
        (uint64_t)MAX_OF(clock_mono_ns() - producer->due_ns[producer->acked % producer->plan->window], 0), 1);
    producer->acked++;
    *at += whole;
    return true;
}

static void read_acks(struct producer *producer)
{
    size_t at = 0;

    receive(producer, false);
    while (next_ack(producer, &at))
        continue;
    consume(producer, at);
}

static int64_t due_of(const struct producer *producer)
{
    const struct plan *plan = producer->plan;
    const double turn = (double)producer->sent * plan->producers + producer->number * plan->per_message;

    return plan->rate > 0 ? plan->began_ns + (int64_t)(turn * 1e9 / plan->rate) : 0;
}

/* Writes what can be written. Returns when the next message is due. */
static int64_t write_some(struct producer *producer)
{
    const struct plan *plan = producer->plan;

    for (;;) {
        if (producer->written < producer->output_size) {
            const ssize_t n = send(producer->fd, producer->output + producer->written,
                                   producer->output_size - producer->written, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (n < 0 && errno == EAGAIN)
                return 0;
            if (n < 0)
                fail("jetstream: send: %s", strerror(errno));
            producer->written += (size_t)n;
            continue;
        }

        const int64_t due_ns = due_of(producer);
        const int64_t now_ns = clock_mono_ns();

        if (now_ns >= plan->until_ns || producer->sent - producer->acked + plan->per_message > plan->window)
            return INT64_MAX;
        if (due_ns > now_ns)
            return due_ns;
        for (unsigned i = 0; i < plan->per_message; i++)
            producer->due_ns[producer->sent++ % plan->window] = due_ns > 0 ? due_ns : now_ns;
        producer->written = 0;
    }
}

static void *publish(void *argument)
{
    struct producer *producer = argument;
    const struct plan *plan = producer->plan;
    int64_t moved_ns = clock_mono_ns();
    uint64_t acked = 0;

    while (clock_mono_ns() < plan->until_ns || producer->acked < producer->sent) {
        const int64_t due_ns = write_some(producer);
        const bool blocked = producer->written < producer->output_size;
        struct pollfd poller = {producer->fd, (short)(POLLIN | (blocked ? POLLOUT : 0)), 0};
        const int64_t now_ns = clock_mono_ns();
        const int64_t until_ns = MIN_OF(due_ns > 0 ? due_ns : INT64_MAX, now_ns + 100 * NS_PER_MS);
        const struct timespec wait = {0, MAX_OF(until_ns - now_ns, 0)};

        if (ppoll(&poller, 1, &wait, NULL) < 0)
            fail("jetstream: poll: %s", strerror(errno));
        read_acks(producer);
        if (producer->acked > acked)
            moved_ns = now_ns;
        acked = producer->acked;
        if (producer->sent > acked && now_ns - moved_ns > PATIENCE_NS)
            fail("jetstream: %" PRIu64 " of %" PRIu64 " events are not acknowledged", producer->sent - acked,
                 producer->sent);
    }
    return NULL;
}

static void report(const struct plan *plan, const struct producer *producers, int64_t took_ns,
                   int64_t server_ns, int64_t own_ns)
{
    static struct histogram latency;
    uint64_t acked = 0;

    for (unsigned i = 0; i < plan->producers; i++) {
        acked += producers[i].acked;
        for (size_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            latency.buckets[j] += producers[i].latency.buckets[j];
        latency.count += producers[i].latency.count;
        latency.max_ns = MAX_OF(latency.max_ns, producers[i].latency.max_ns);
    }
    printf("{\"confirmed\":%" PRIu64 ",\"seconds\":%.6f,\"server_cpu_seconds\":%.6f,\"cpu_seconds\":%.6f,"
           "\"confirmed_after_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
           acked, (double)took_ns / 1e9, (double)server_ns / 1e9, (double)own_ns / 1e9,
           (double)histogram_share_ns(&latency, 0.5) / 1e3, (double)histogram_share_ns(&latency, 0.9) / 1e3,
           (double)histogram_share_ns(&latency, 0.99) / 1e3, (double)latency.max_ns / 1e3);
}

static void read_options(struct plan *plan, int argc, char **argv)
{
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'i'},
        {"producers", required_argument, NULL, 'p'},
        {"per-message", required_argument, NULL, 'm'},
        {"window", required_argument, NULL, 'w'},
        {"payload", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option = 0;
    char *colon = NULL;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            snprintf(plan->host, sizeof(plan->host), "%s", optarg);
            colon = strrchr(plan->host, ':');
            break;
        case 'i':
            plan->pid = (pid_t)strtol(optarg, NULL, 10);
            break;
        case 'p':
            plan->producers = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'm':
            plan->per_message = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            plan->window = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            plan->payload = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            plan->rate = strtod(optarg, NULL);
            break;
        case 't':
            plan->seconds = strtod(optarg, NULL);
            break;
        default:
            exit(2);
        }
    }
    if (!colon || plan->pid <= 0 || plan->seconds <= 0 || plan->producers == 0 || plan->per_message == 0 ||
        plan->window < plan->per_message)
        fail("jetstream: --server HOST:PORT, --pid and --seconds are needed, and a window of a message");
    CHECK(colon);
    *colon = '\0';
    plan->port = colon + 1;
}

int main(int argc, char **argv)
{
    struct plan plan = {.producers = 4, .per_message = 64, .window = 4096, .payload = 128};

    read_options(&plan, argc, argv);

    struct producer *producers = calloc(plan.producers, sizeof(*producers));

    CHECK(producers);
    create_stream(&plan);
    for (unsigned i = 0; i < plan.producers; i++) {
        producers[i].plan = &plan;
        producers[i].number = i;
        prepare(&producers[i]);
    }

    const int64_t server_ns = account_cpu_ns(plan.pid);
    const int64_t own_ns = account_cpu_ns(getpid());

    plan.began_ns = clock_mono_ns();
    plan.until_ns = plan.began_ns + (int64_t)(plan.seconds * 1e9);
    for (unsigned i = 0; i < plan.producers; i++)
        CHECK(pthread_create(&producers[i].thread, NULL, publish, &producers[i]) == 0);
    for (unsigned i = 0; i < plan.producers; i++)
        pthread_join(producers[i].thread, NULL);

    const int64_t took_ns = clock_mono_ns() - plan.began_ns;

    report(&plan, producers, took_ns, account_cpu_ns(plan.pid) - server_ns,
           account_cpu_ns(getpid()) - own_ns);
    for (unsigned i = 0; i < plan.producers; i++) {
        close(producers[i].fd);
        free(producers[i].output);
        free(producers[i].due_ns);
    }
    free(producers);
    return 0;
}
