/* listener.c - the accept loop and its limits.
 *
 * DESIGN. There is one thread with one epoll set. The set holds the listen sockets, the pending
 * connections, and an eventfd that stops the thread.
 *
 * accept() without a free descriptor leaves the connection in the backlog and the listen socket
 * readable: a level-triggered loop would spin, an edge-triggered loop would sleep for good. The
 * listener therefore keeps one spare descriptor. It closes the spare, accepts the connection with
 * the freed descriptor, closes the connection, and opens the spare again. If even that fails, it
 * pauses all listen sockets for a moment. */
#include "server/wire/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/threads.h"
#include "server/wire/address.h"
#include "server/wire/handshake.h"

#define MAX_LISTEN_SOCKETS 32u
#define MAX_PENDING 1024u
#define ACCEPTS_PER_TURN 64 /* of one listen socket; then prefaces and deadlines are served */
#define EVENTS_PER_TURN 64
#define PAUSE_NS (100 * NS_PER_MS) /* how long to pause without any descriptor */
#define CHECK_NS (500 * NS_PER_MS) /* between two checks of the guards */

/* What data.u64 of an epoll event holds: the number of a listen socket, STOP_EVENT for the eventfd,
 * or the address of a pending connection, which is above both. */
#define STOP_EVENT ((uint64_t)MAX_LISTEN_SOCKETS)

struct listen_socket {
    int fd;
    uint32_t mark; /* of its connections */
    uint64_t file; /* the inode of its socket file; 0: no socket file */
    char address[ADDRESS_CAPACITY];
};

struct listener {
    const struct loop *loop; /* for its settings */
    struct listen_socket listen_sockets[MAX_LISTEN_SOCKETS];
    size_t listen_socket_count;
    int epoll;
    int stop; /* eventfd */
    bool running;
    pthread_t thread;

    /* Listener thread only. */
    int spare;
    struct handshake handshake;
    int64_t paused_until_ns; /* 0: the listen sockets are not paused */
    int64_t checked_ns;      /* when the guards were last checked */
};

static struct status failed(const char *what)
{
    return (struct status){.code = ERR_IO, .sys = errno, .what = what};
}

/* How many connections may be open at a time: max_connections, or as many as fit below the limit
 * of descriptors where these are fewer. */
static uint32_t connections_that_fit(const struct settings *settings)
{
    uint64_t kept = (uint64_t)settings->spare_descriptors + OWN_DESCRIPTORS;
    struct rlimit max;

    if (getrlimit(RLIMIT_NOFILE, &max) != 0 || max.rlim_cur == RLIM_INFINITY)
        return settings->max_connections;
    uint64_t fit = max.rlim_cur > kept ? max.rlim_cur - kept : 1;
    return (uint32_t)MIN_OF(fit, (uint64_t)settings->max_connections);
}

/* How many connections may be there beside those that were handed over: of all peers, and of one.
 * Pending connections share these numbers. */
struct space {
    uint32_t of_all, of_peer;
};

static struct space space_for(const struct listener *listener, struct peer_key peer)
{
    const struct settings *settings = loop_settings(listener->loop);
    uint32_t max = settings->max_connections, known = h2socket_count();
    uint64_t share = peer_share(settings, connections_that_fit(settings), peer);
    uint32_t of_peer = h2socket_count_of(peer);

    return (struct space){known < max ? max - known : 0,
                          (uint32_t)MIN_OF(of_peer < share ? share - of_peer : 0, UINT32_MAX)};
}

/* The kernel gives out the lowest free descriptor: a high one proves that all below it are in
 * use. */
static bool too_high(const struct listener *listener, int fd)
{
    struct rlimit max;

    return getrlimit(RLIMIT_NOFILE, &max) == 0 && max.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd + loop_settings(listener->loop)->spare_descriptors >= max.rlim_cur;
}

static void socket_options(const struct listener *listener, int fd)
{
    unsigned timeout_ms = (unsigned)(loop_settings(listener->loop)->user_timeout_ns / NS_PER_MS);
    int on = 1;

    /* Both options are for TCP; a unix socket refuses them and needs neither. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* A new connection replaces a pending one when too many are pending, of its peer or of all: silent
 * connections can fill the list of pending connections, but they cannot keep it full. */
static void make_space(struct listener *listener, struct space space, struct peer_key peer, int64_t now_ns)
{
    struct handshake *handshake = &listener->handshake;

    if (peer_counts_get(&handshake->peers, peer) >= space.of_peer)
        handshake_make_space_of(handshake, peer, now_ns);
    else if (handshake->count >= MIN_OF(space.of_all, MAX_PENDING))
        handshake_make_space(handshake, now_ns);
}

static void admit(struct listener *listener, int fd, uint32_t mark, int64_t now_ns)
{
    struct peer_key key = peer_of_socket(fd);
    struct space space = space_for(listener, key);
    const char *reason = NULL;
    char peer[ADDRESS_CAPACITY];

    address_peer(fd, peer, sizeof(peer));
    if (too_high(listener, fd)) {
        reason = "descriptors";
    } else if (space.of_all == 0) {
        reason = "max_connections";
    } else if (space.of_peer == 0) {
        reason = "peer_connections";
    } else {
        make_space(listener, space, key, now_ns);
        socket_options(listener, fd);
        if (handshake_begin(&listener->handshake, fd, peer, key, mark, now_ns))
            return;
        reason = "memory";
    }
    handshake_count_refusal(&listener->handshake, reason, peer, now_ns);
    close(fd);
}

static void watch_listen_sockets(struct listener *listener, uint32_t events)
{
    for (size_t i = 0; i < listener->listen_socket_count; i++) {
        struct epoll_event event = {.events = events, .data.u64 = i};

        epoll_ctl(listener->epoll, EPOLL_CTL_MOD, listener->listen_sockets[i].fd, &event);
    }
}

static void pause_listen_sockets(struct listener *listener, int64_t now_ns)
{
    listener->paused_until_ns = now_ns + PAUSE_NS;
    watch_listen_sockets(listener, 0);
}

static int spare_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is free: uses the spare one to accept the next connection of the backlog and close
 * it. */
static void refuse_with_spare(struct listener *listener, const struct listen_socket *listen_socket,
                              int64_t now_ns)
{
    int fd = -1;

    if (listener->spare >= 0) {
        close(listener->spare);
        fd = accept4(listen_socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            handshake_count_refusal(&listener->handshake, "descriptors", "unknown", now_ns);
            close(fd);
        }
    }
    listener->spare = spare_open();
    if (fd < 0)
        pause_listen_sockets(listener, now_ns);
}

/* False: accept no more from this socket in this turn. */
static bool accept_one(struct listener *listener, const struct listen_socket *listen_socket, int64_t now_ns)
{
    int fd = accept4(listen_socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        admit(listener, fd, listen_socket->mark, now_ns);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        refuse_with_spare(listener, listen_socket, now_ns);
        return listener->paused_until_ns == 0;
    case ENOBUFS:
    case ENOMEM:
        pause_listen_sockets(listener, now_ns);
        return false;
    default:
        /* This connection failed before it was accepted, or a signal came; the next may succeed. */
        return true;
    }
}

static void resume_listen_sockets(struct listener *listener, int64_t now_ns)
{
    if (listener->paused_until_ns == 0 || now_ns < listener->paused_until_ns)
        return;
    listener->paused_until_ns = 0;
    watch_listen_sockets(listener, EPOLLIN);
}

/* How long epoll may wait, in milliseconds. Rounded up: if it returned too early, the thread would
 * spin through the rest. */
static int wait_ms(const struct listener *listener)
{
    int64_t until_ns = handshake_next_ns(&listener->handshake);
    int64_t left_ns;

    if (h2socket_needs_check())
        until_ns = MIN_OF(until_ns, listener->checked_ns + CHECK_NS);
    if (listener->paused_until_ns != 0)
        until_ns = MIN_OF(until_ns, listener->paused_until_ns);
    if (until_ns == INT64_MAX)
        return -1;
    left_ns = until_ns - clock_mono_ns();
    return left_ns <= 0 ? 0 : (int)MIN_OF((left_ns + NS_PER_MS - 1) / NS_PER_MS, 60000);
}

/* Handles the events of one epoll_wait(). False: stop. Pending connections come before accepts: an
 * accept may free the oldest pending connection, and its event must not be used after that. */
static bool turn(struct listener *listener, const struct epoll_event *events, int count, int64_t now_ns)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == STOP_EVENT)
            return false;
        if (events[i].data.u64 > STOP_EVENT)
            handshake_check(&listener->handshake, (struct pending_connection *)(uintptr_t)events[i].data.u64,
                            (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, now_ns);
    }
    handshake_refuse_overdue(&listener->handshake, now_ns);
    resume_listen_sockets(listener, now_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 >= MAX_LISTEN_SOCKETS)
            continue;
        for (int accepts = 0; accepts < ACCEPTS_PER_TURN && listener->paused_until_ns == 0; accepts++) {
            if (!accept_one(listener, &listener->listen_sockets[events[i].data.u64], now_ns))
                break;
        }
    }
    handshake_report(&listener->handshake, now_ns);
    if (now_ns - listener->checked_ns >= CHECK_NS) {
        h2socket_check(now_ns);
        listener->checked_ns = now_ns;
    }
    return true;
}

static void *run(void *ctx)
{
    struct listener *listener = ctx;
    struct epoll_event events[EVENTS_PER_TURN];
    int count;

    do {
        count = epoll_wait(listener->epoll, events, EVENTS_PER_TURN, wait_ms(listener));
    } while (turn(listener, events, MAX_OF(count, 0), clock_mono_ns()));
    return NULL;
}

struct status listener_new(const struct loop *loop, const struct listener_port *port,
                           struct listener **listener_out)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    const struct handshake_port onward = {.ready = port->connected, .ctx = port->ctx};
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_EVENT};
    struct status status;

    if (!listener)
        return (struct status){.code = ERR_NO_MEMORY, .what = "opening a listener"};
    listener->loop = loop;
    listener->spare = spare_open();
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    listener->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener->spare < 0 || listener->stop < 0 || listener->epoll < 0 ||
        epoll_ctl(listener->epoll, EPOLL_CTL_ADD, listener->stop, &event) != 0) {
        status = failed("opening a listener");
        listener_free(listener);
        return status;
    }
    handshake_init(&listener->handshake, listener->epoll, loop, &onward, port->limits);
    *listener_out = listener;
    return STATUS_OK;
}

struct status listener_add(struct listener *listener, const char *address, uint32_t mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = listener->listen_socket_count};
    struct listen_socket *listen_socket = &listener->listen_sockets[listener->listen_socket_count];
    struct status status;

    if (listener->listen_socket_count == MAX_LISTEN_SOCKETS)
        return (struct status){.code = ERR_FULL, .what = "at most 32 addresses"};
    status = address_listen(address, &listen_socket->fd);
    if (status.code != ERR_OK)
        return status;
    listen_socket->mark = mark;
    address_bound(listen_socket->fd, listen_socket->address, sizeof(listen_socket->address));
    listen_socket->file = address_file(listen_socket->address);
    if (epoll_ctl(listener->epoll, EPOLL_CTL_ADD, listen_socket->fd, &event) != 0) {
        status = failed("watching a listening socket");
        address_unlink(listen_socket->address, listen_socket->file);
        close(listen_socket->fd);
        return status;
    }
    listener->listen_socket_count++;
    return STATUS_OK;
}

size_t listener_address_count(const struct listener *listener)
{
    return listener->listen_socket_count;
}

const char *listener_address(const struct listener *listener, size_t number)
{
    CHECK(number < listener->listen_socket_count);
    return listener->listen_sockets[number].address;
}

struct status listener_start(struct listener *listener)
{
    int failure = thread_start(&listener->thread, run, listener, "listener");

    if (failure != 0)
        return (struct status){.code = ERR_IO, .sys = failure, .what = "starting the listener's thread"};
    listener->running = true;
    return STATUS_OK;
}

void listener_stop(struct listener *listener)
{
    if (listener->running) {
        (void)eventfd_write(listener->stop, 1);
        pthread_join(listener->thread, NULL);
        listener->running = false;
        handshake_fini(&listener->handshake);
    }
    for (; listener->listen_socket_count > 0; listener->listen_socket_count--) {
        struct listen_socket *listen_socket = &listener->listen_sockets[listener->listen_socket_count - 1];

        /* Remove the file first: once the socket is closed, another server may create its own file
         * there. */
        address_unlink(listen_socket->address, listen_socket->file);
        close(listen_socket->fd);
    }
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    listener_stop(listener);
    if (listener->spare >= 0)
        close(listener->spare);
    if (listener->stop >= 0)
        close(listener->stop);
    if (listener->epoll >= 0)
        close(listener->epoll);
    free(listener);
}
