/* stress_h2socket.c - gRPC core's threads over guarded sockets, while connections come and go. One
 * poller at a time waits at the set, as in the core, and hands over before it reads what it found.
 * Peers send on other threads, one thread applies the time limits and looks up peers. Every byte
 * arrives, in order; the test hangs if a wakeup is lost. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "h2socket/h2socket.h"
#include "lib/frames.h"

#define POLLERS 3
#define SENDERS 2
#define CONNECTIONS 8 /* of each sender, at the same time */
#define ROUNDS 150    /* connections that come one after the other at each place */
#define MESSAGES 40   /* of each connection */
#define MAX_EVENTS 16

/* What one connection sends; byte by byte the same for all. */
static struct buf script;

struct connection {
    int core;
    int peer;
    size_t sent;

    pthread_mutex_t lock; /* one thread reads at a time, as in the core */
    size_t got;
    bool closed; /* the core's end */
    _Atomic bool done;
};

static struct {
    int epoll;
    pthread_mutex_t turn; /* whoever has it polls */
    _Atomic bool stopping;
    struct h2guard_limits limits;
} core = {.turn = PTHREAD_MUTEX_INITIALIZER};

static void make_script(void)
{
    put_client_start(&script, 0);
    put_headers(&script, 1, 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        put_frame_head(&script, FRAME_DATA, 0, 1, 5 + 7 * i);
        put_prefix(&script, 0, 7 * i);
        for (unsigned byte = 0; byte < 7 * i; byte++)
            buf_byte(&script, (uint8_t)(byte * i));
    }
}

/* ---- the core ---- */

/* Reads until EAGAIN, or until all has come; then closes. Under the connection's lock. */
static void read_all(struct connection *connection)
{
    uint8_t data[4096];
    struct iovec pieces[2] = {{.iov_base = data, .iov_len = 100},
                              {.iov_base = data + 100, .iov_len = sizeof(data) - 100}};
    ssize_t size = 0;

    while (connection->got < script.size) {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

        size = recvmsg(connection->core, &message, 0);
        if (size <= 0)
            break;
        CHECK(connection->got + (size_t)size <= script.size);
        CHECK(memcmp(data, script.data + connection->got, (size_t)size) == 0);
        connection->got += (size_t)size;
    }
    if (connection->got < script.size) {
        CHECK(size == -1 && errno == EAGAIN);
        return;
    }
    connection->closed = true;
    close(connection->core);
    connection->done = true;
}

static void serve(struct connection *connection)
{
    static const uint8_t ack[9] = {0, 0, 0, FRAME_SETTINGS, FRAME_ACK};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)ack, .iov_len = sizeof(ack)};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    pthread_mutex_lock(&connection->lock);
    if (!connection->closed) { /* else the event is older than the connection's end */
        CHECK(sendmsg(connection->core, &message, MSG_NOSIGNAL) == sizeof(ack) || errno == EAGAIN);
        read_all(connection);
    }
    pthread_mutex_unlock(&connection->lock);
}

static void *poll_core(void *ctx)
{
    (void)ctx;
    while (!core.stopping) {
        struct epoll_event events[MAX_EVENTS];

        pthread_mutex_lock(&core.turn);
        int count = core.stopping ? 0 : epoll_wait(core.epoll, events, MAX_EVENTS, -1);
        pthread_mutex_unlock(&core.turn);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
        }
    }
    return NULL;
}

/* ---- the peers ---- */

static void open_connection(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = connection};
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    pthread_mutex_lock(&connection->lock);
    connection->core = ends[0];
    connection->peer = ends[1];
    connection->sent = connection->got = 0;
    connection->closed = false;
    connection->done = false;
    CHECK(h2socket_add(ends[0], H2GUARD_SERVER, &core.limits, "a peer", NO_PEER) == ERR_OK);
    CHECK(epoll_ctl(core.epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
    pthread_mutex_unlock(&connection->lock);
}

static void send_some(struct connection *connection, unsigned size)
{
    ssize_t sent = send(connection->peer, script.data + connection->sent,
                        MIN_OF(size, script.size - connection->sent), MSG_NOSIGNAL | MSG_DONTWAIT);

    CHECK(sent >= 0 || errno == EAGAIN);
    connection->sent += sent > 0 ? (size_t)sent : 0;
}

/* Connections are never freed while the core may still have an event of them. */
static void *send_all(void *ctx)
{
    struct connection *connections = ctx;
    unsigned rounds[CONNECTIONS] = {0}, open = CONNECTIONS, seed = 1;

    for (unsigned i = 0; i < CONNECTIONS; i++)
        open_connection(&connections[i]);
    while (open > 0) {
        bool is_idle = true;

        for (unsigned i = 0; i < CONNECTIONS; i++) {
            struct connection *connection = &connections[i];

            if (rounds[i] == ROUNDS)
                continue;
            if (connection->sent < script.size) {
                send_some(connection, 1 + (unsigned)rand_r(&seed) % 3000);
                is_idle = false;
            } else if (connection->done) {
                close(connection->peer);
                if (++rounds[i] < ROUNDS)
                    open_connection(connection);
                else
                    open--;
                is_idle = false;
            }
        }
        if (is_idle)
            usleep(100);
    }
    return NULL;
}

/* ---- who looks in from elsewhere ---- */

static void *check(void *ctx)
{
    (void)ctx;
    for (int fd = 0; !core.stopping; fd = (fd + 1) % 64) {
        char peer[32];

        h2socket_check(clock_mono_ns());
        h2socket_peer(fd, peer, sizeof(peer));
        (void)h2socket_is_in_front(fd);
        (void)h2socket_count();
        usleep(50);
    }
    return NULL;
}

/* Wakes whoever polls: an event without a connection. */
static int add_wakeup(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int ends[2];

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(epoll_ctl(core.epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
    CHECK(write(ends[1], "x", 1) == 1);
    close(ends[1]);
    return ends[0];
}

int main(void)
{
    static struct connection connections[SENDERS][CONNECTIONS];
    pthread_t pollers[POLLERS], senders[SENDERS], checker;

    make_script();
    core.limits = h2guard_defaults;
    core.limits.turn_cost = 20000;
    core.limits.second_cost = INT64_C(1) << 36;
    core.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < SENDERS * CONNECTIONS; i++)
        pthread_mutex_init(&connections[i / CONNECTIONS][i % CONNECTIONS].lock, NULL);
    for (int i = 0; i < POLLERS; i++)
        CHECK(pthread_create(&pollers[i], NULL, poll_core, NULL) == 0);
    CHECK(pthread_create(&checker, NULL, check, NULL) == 0);
    for (int i = 0; i < SENDERS; i++)
        CHECK(pthread_create(&senders[i], NULL, send_all, connections[i]) == 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    core.stopping = true;
    int wakeup = add_wakeup();
    for (int i = 0; i < POLLERS; i++)
        pthread_join(pollers[i], NULL);
    pthread_join(checker, NULL);
    h2socket_check(clock_mono_ns()); /* the peers of those that linger have closed */
    CHECK(h2socket_count() == 0);
    CHECK(count_get(COUNT_LIVE_CONNECTIONS) == 0);
    CHECK(count_get(COUNT_GUARD_ENDED) == 0);
    printf("%llu waits\n", (unsigned long long)count_get(COUNT_GUARD_WAITS));
    CHECK(count_get(COUNT_GUARD_WAITS) > 0);
    close(wakeup);
    close(core.epoll);
    buf_fini(&script);
    return 0;
}
