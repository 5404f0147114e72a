/* listener.c - the accept loop and its limits.
 *
 * DESIGN. One thread, one epoll set. In it are the doors (listening sockets), the sockets in the
 * handshake, and an eventfd that says stop. accept() without a free descriptor leaves the
 * connection in the backlog and the door readable: a level-triggered loop would spin, an
 * edge-triggered one would sleep for good. So one spare descriptor is kept: closed, the connection
 * accepted and closed with it, and opened again. Where even that fails, the doors are left alone
 * for a moment. */
#include "server/wire/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/wire/address.h"
#include "server/wire/handshake.h"
#include "server/wire/connection_table.h"

#define MAX_LISTEN_SOCKETS 16u
#define MAX_PENDING 1024u
#define ACCEPTS_PER_TURN 64 /* then prefaces and deadlines get their turn */
#define EVENTS_PER_TURN 64
#define PAUSE_NS (100 * NS_PER_MS)  /* without any descriptor */
#define RECOUNT_NS (10 * NS_PER_MS) /* between two looks at all seats while full */

/* What an epoll event is about: a door's number, the eventfd, or the address of a guest in the
 * handshake (which is above both). */
#define ABOUT_STOP ((uint64_t)MAX_LISTEN_SOCKETS)

struct listen_socket {
    int fd;
    uint64_t file; /* the inode of its socket file; 0: none */
    char address[ADDRESS_CAPACITY];
};

struct listener {
    struct listener_settings settings;
    struct listen_socket listen_sockets[MAX_LISTEN_SOCKETS];
    size_t listen_socket_count;
    int epoll;
    int stop; /* eventfd */
    bool running;
    pthread_t thread;
    struct connection_table *table; /* any thread */

    /* Listener thread only. */
    int spare;
    struct handshake handshake;
    int64_t paused_until_ns; /* 0: the doors are open */
    int64_t recounted_ns;
};

static struct status failed(const char *what)
{
    return (struct status){.code = ERR_IO, .sys = errno, .what = what};
}

uint32_t listener_connections(struct listener *listener)
{
    return connection_table_count(listener->table);
}

void listener_shutdown_connections(struct listener *listener)
{
    connection_table_shutdown(listener->table);
}

void listener_peer(struct listener *listener, int fd, char *text, size_t capacity)
{
    connection_table_peer(listener->table, fd, text, capacity);
}

/* How many more connections the limit allows beside those that were given away; those that wait for
 * their preface share it. */
static uint32_t places_left(struct listener *listener, int64_t now_ns)
{
    uint32_t max = listener->settings.max_connections;
    uint32_t known = connection_table_upper_bound(listener->table);

    if (known + listener->handshake.count >= max && now_ns - listener->recounted_ns >= RECOUNT_NS) {
        known = connection_table_count(listener->table);
        listener->recounted_ns = now_ns;
    }
    return known < max ? max - known : 0;
}

/* Descriptors are given out from the lowest: a high one says that all below it are in use. */
static bool too_high(const struct listener *listener, int fd)
{
    struct rlimit max;

    return getrlimit(RLIMIT_NOFILE, &max) == 0 && max.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd + listener->settings.spare_descriptors >= max.rlim_cur;
}

static void socket_options(const struct listener *listener, int fd)
{
    unsigned timeout_ms = (unsigned)(listener->settings.user_timeout_ns / NS_PER_MS);
    int on = 1;

    /* Both are for TCP; a unix socket refuses them, and needs neither. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* Those that say nothing give way to those that come: they can fill the handshake, but not keep
 * it. */
static void admit(struct listener *listener, int fd, int64_t now_ns)
{
    uint32_t places = places_left(listener, now_ns);
    const char *reason = NULL;
    char peer[ADDRESS_CAPACITY];

    address_peer(fd, peer, sizeof(peer));
    if (too_high(listener, fd)) {
        reason = "descriptors";
    } else if (places == 0) {
        reason = "connections_most";
    } else {
        if (listener->handshake.count >= MIN_OF(places, MAX_PENDING))
            handshake_end_oldest(&listener->handshake, now_ns);
        socket_options(listener, fd);
        if (handshake_begin(&listener->handshake, fd, peer, now_ns))
            return;
        reason = "memory";
    }
    handshake_count_refusal(&listener->handshake, reason, peer, now_ns);
    close(fd);
}

static void listen_sockets_watch(struct listener *listener, uint32_t events)
{
    for (size_t i = 0; i < listener->listen_socket_count; i++) {
        struct epoll_event event = {.events = events, .data.u64 = i};

        epoll_ctl(listener->epoll, EPOLL_CTL_MOD, listener->listen_sockets[i].fd, &event);
    }
}

static void pause_doors(struct listener *listener, int64_t now_ns)
{
    listener->paused_until_ns = now_ns + PAUSE_NS;
    listen_sockets_watch(listener, 0);
}

static int spare_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is free: uses the spare one to take the next connection off the backlog and close
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
        pause_doors(listener, now_ns);
}

/* False: enough for this turn. */
static bool accept_one(struct listener *listener, const struct listen_socket *listen_socket, int64_t now_ns)
{
    int fd = accept4(listen_socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        admit(listener, fd, now_ns);
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
        pause_doors(listener, now_ns);
        return false;
    default:
        /* that connection failed before it was accepted, or a signal came; the next may be fine */
        return true;
    }
}

static void open_again(struct listener *listener, int64_t now_ns)
{
    if (listener->paused_until_ns == 0 || now_ns < listener->paused_until_ns)
        return;
    listener->paused_until_ns = 0;
    listen_sockets_watch(listener, EPOLLIN);
}

/* How long epoll may wait, in milliseconds, rounded up: never a moment too early, or the thread
 * would spin through the rest. */
static int patience_ms(const struct listener *listener)
{
    int64_t until_ns = handshake_next_ns(&listener->handshake);
    int64_t left_ns;

    if (listener->paused_until_ns != 0)
        until_ns = MIN_OF(until_ns, listener->paused_until_ns);
    if (until_ns == INT64_MAX)
        return -1;
    left_ns = until_ns - clock_mono_ns();
    return left_ns <= 0 ? 0 : (int)MIN_OF((left_ns + NS_PER_MS - 1) / NS_PER_MS, 60000);
}

/* The handshake first: an accept may turn the oldest one away, and its event must not be looked at
 * after that. False: stop. */
static bool turn(struct listener *listener, const struct epoll_event *events, int count, int64_t now_ns)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == ABOUT_STOP)
            return false;
        if (events[i].data.u64 > ABOUT_STOP)
            handshake_check(&listener->handshake, (struct pending_connection *)(uintptr_t)events[i].data.u64,
                            (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, now_ns);
    }
    handshake_end_overdue(&listener->handshake, now_ns);
    open_again(listener, now_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 >= MAX_LISTEN_SOCKETS)
            continue;
        for (int accepts = 0; accepts < ACCEPTS_PER_TURN && listener->paused_until_ns == 0; accepts++) {
            if (!accept_one(listener, &listener->listen_sockets[events[i].data.u64], now_ns))
                break;
        }
    }
    handshake_report(&listener->handshake, now_ns);
    return true;
}

static void *run(void *ctx)
{
    struct listener *listener = ctx;
    struct epoll_event events[EVENTS_PER_TURN];
    int count;

    do {
        count = epoll_wait(listener->epoll, events, EVENTS_PER_TURN, patience_ms(listener));
    } while (turn(listener, events, MAX_OF(count, 0), clock_mono_ns()));
    return NULL;
}

struct status listener_new(const struct listener_settings *settings, const struct listener_port *port,
                           struct listener **listener_out)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    const struct handshake_port onward = {.ready = port->connected, .ctx = port->ctx};
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = ABOUT_STOP};
    struct status status;

    if (listener == NULL)
        return (struct status){.code = ERR_NO_MEMORY, .what = "opening a listener"};
    listener->settings = *settings;
    listener->table = connection_table_new();
    listener->spare = spare_open();
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    listener->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener->table == NULL || listener->spare < 0 || listener->stop < 0 || listener->epoll < 0 ||
        epoll_ctl(listener->epoll, EPOLL_CTL_ADD, listener->stop, &event) != 0) {
        status = failed("opening a listener");
        listener_free(listener);
        return status;
    }
    handshake_init(&listener->handshake, listener->epoll, settings->preface_ns, &onward, listener->table);
    *listener_out = listener;
    return STATUS_OK;
}

struct status listener_add(struct listener *listener, const char *address)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = listener->listen_socket_count};
    struct listen_socket *listen_socket = &listener->listen_sockets[listener->listen_socket_count];
    struct status status;

    if (listener->listen_socket_count == MAX_LISTEN_SOCKETS)
        return (struct status){.code = ERR_FULL, .what = "at most 16 addresses"};
    status = address_listen(address, &listen_socket->fd);
    if (status.code != ERR_OK)
        return status;
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

size_t listener_count(const struct listener *listener)
{
    return listener->listen_socket_count;
}

const char *listener_address(const struct listener *listener, size_t number)
{
    CHECK(number < listener->listen_socket_count);
    return listener->listen_sockets[number].address;
}

bool listener_is_local(const char *address)
{
    return address_is_local(address);
}

struct status listener_start(struct listener *listener)
{
    sigset_t all, before;
    int failure;

    /* Signals belong to the loop. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&listener->thread, NULL, run, listener);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return (struct status){.code = ERR_IO, .sys = failure, .what = "starting the listener's thread"};
    pthread_setname_np(listener->thread, "listener");
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

        /* The file first: once the socket is closed, another server may put its own there. */
        address_unlink(listen_socket->address, listen_socket->file);
        close(listen_socket->fd);
    }
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener_stop(listener);
    connection_table_free(listener->table);
    if (listener->spare >= 0)
        close(listener->spare);
    if (listener->stop >= 0)
        close(listener->stop);
    if (listener->epoll >= 0)
        close(listener->epoll);
    free(listener);
}
