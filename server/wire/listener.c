/* listener.c - the accept loop: limits, preface, hand-over.
 *
 * DESIGN. One thread, one epoll set. In it are the doors (listening sockets), the sockets whose preface is awaited, and an eventfd that
 * says stop.
 *   - A socket that waits for its preface is watched edge-triggered: half a preface must not wake the thread again and again. Each waits
 *     equally long, so the list of them is in order of their deadlines, and the oldest gives way where there are too many.
 *   - accept() without a free descriptor leaves the connection in the backlog and the door readable: a level-triggered loop would spin, an
 *     edge-triggered one would sleep for good. So one spare descriptor is kept: closed, the connection accepted and closed with it, and
 * opened again. Where even that fails, the doors are left alone for a moment. */
#include "server/wire/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/log.h"
#include "server/wire/address.h"
#include "server/wire/seats.h"

#define DOORS_MOST 16u
#define PENDING_MOST 1024u
#define ACCEPTS_PER_TURN 64 /* then prefaces and deadlines get their turn */
#define EVENTS_PER_TURN 64
#define PAUSE_NS (100 * NS_PER_MS)  /* without any descriptor */
#define RECOUNT_NS (10 * NS_PER_MS) /* between two looks at all seats while full */
#define TELL_NS NS_PER_S            /* between two log lines about refusals */

static const char preface[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* What an epoll event is about: a door's number, the eventfd, or the address of a connection (which is above both). */
#define ABOUT_STOP ((uint64_t)DOORS_MOST)

struct connection {
    struct list link; /* in `pending`, until the preface is here */
    int fd;
    int64_t deadline_ns;
    char peer[ADDRESS_ROOM];
};

struct door {
    int fd;
    uint64_t file; /* the inode of its socket file; 0: none */
    char address[ADDRESS_ROOM];
};

struct listener {
    struct listener_settings settings;
    struct listener_port port;
    struct door doors[DOORS_MOST];
    size_t door_count;
    int epoll;
    int stop; /* eventfd */
    bool running;
    pthread_t thread;
    struct seats *seats; /* any thread */

    /* Listener thread only. */
    int spare;
    struct list pending;
    size_t pending_count;
    int64_t paused_until_ns; /* 0: the doors are open */
    int64_t recounted_ns;
    uint64_t untold; /* refusals since the last log line */
    int64_t tell_at_ns;
    const char *refused_why;
    char refused_peer[ADDRESS_ROOM];
};

static struct status failed(const char *what)
{
    return (struct status){.code = ERR_IO, .sys = errno, .what = what};
}

uint32_t listener_connections(struct listener *listener)
{
    return seats_count(listener->seats);
}

void listener_peer(struct listener *listener, int fd, char *text, size_t room)
{
    seats_peer(listener->seats, fd, text, room);
}

/* At most one line a second, with the number of refusals since the last and the latest of them. */
static void tell(struct listener *listener, int64_t now_ns)
{
    if (listener->untold == 0 || now_ns < listener->tell_at_ns)
        return;
    log_write(LOG_WARN, "connection.refused", LOG_TEXT("reason", listener->refused_why), LOG_TEXT("peer", listener->refused_peer),
              LOG_NUMBER("count", listener->untold));
    listener->untold = 0;
    listener->tell_at_ns = now_ns + TELL_NS;
}

static void refused(struct listener *listener, const char *why, const char *peer, int64_t now_ns)
{
    count_add(COUNT_CONNECTIONS_REFUSED, 1);
    listener->untold++;
    listener->refused_why = why;
    snprintf(listener->refused_peer, sizeof(listener->refused_peer), "%s", peer);
    tell(listener, now_ns);
}

/* Ends a connection that never was given away. `why` NULL: nobody's fault, the listener stops. */
static void turn_away(struct listener *listener, struct connection *connection, const char *why, int64_t now_ns)
{
    list_remove(&connection->link);
    listener->pending_count--;
    close(connection->fd);
    if (why != NULL)
        refused(listener, why, connection->peer, now_ns);
    free(connection);
}

static void give_away(struct listener *listener, struct connection *connection, int64_t now_ns)
{
    int fd = connection->fd;

    if (!seats_take(listener->seats, fd, connection->peer)) {
        turn_away(listener, connection, "memory", now_ns);
        return;
    }
    /* Out of the set before it changes hands: as long as anybody holds the socket, the kernel would go on reporting it. */
    epoll_ctl(listener->epoll, EPOLL_CTL_DEL, fd, NULL);
    count_add(COUNT_CONNECTIONS, 1);
    log_write(LOG_DEBUG, "connection.accepted", LOG_TEXT("peer", connection->peer), LOG_NUMBER("fd", fd));
    list_remove(&connection->link);
    listener->pending_count--;
    free(connection);
    listener->port.connected(listener->port.ctx, fd);
}

/* Something arrived, or the peer hung up. */
static void look_at_preface(struct listener *listener, struct connection *connection, bool hung_up, int64_t now_ns)
{
    char seen[sizeof(preface)];
    ssize_t size = recv(connection->fd, seen, sizeof(seen), MSG_PEEK | MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR) && !hung_up)
        return;
    if (size <= 0)
        turn_away(listener, connection, "no_preface", now_ns);
    else if (memcmp(seen, preface, (size_t)size) != 0)
        turn_away(listener, connection, "not_http2", now_ns);
    else if ((size_t)size == sizeof(preface))
        give_away(listener, connection, now_ns);
    else if (hung_up)
        turn_away(listener, connection, "no_preface", now_ns);
}

static void end_overdue(struct listener *listener, int64_t now_ns)
{
    list_each(node, next, &listener->pending) {
        struct connection *connection = container_of(node, struct connection, link);

        if (connection->deadline_ns > now_ns)
            break;
        turn_away(listener, connection, "no_preface", now_ns);
    }
}

/* How many more connections the limit allows beside those that were given away; those that wait for their preface share it. */
static uint32_t places_left(struct listener *listener, int64_t now_ns)
{
    uint32_t most = listener->settings.connections_most;
    uint32_t known = seats_known(listener->seats);

    if (known + listener->pending_count >= most && now_ns - listener->recounted_ns >= RECOUNT_NS) {
        known = seats_count(listener->seats);
        listener->recounted_ns = now_ns;
    }
    return known < most ? most - known : 0;
}

/* Descriptors are given out from the lowest: a high one says that all below it are in use. */
static bool too_high(const struct listener *listener, int fd)
{
    struct rlimit most;

    return getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd + listener->settings.spare_descriptors >= most.rlim_cur;
}

static void socket_options(const struct listener *listener, int fd)
{
    unsigned timeout_ms = (unsigned)(listener->settings.user_timeout_ns / NS_PER_MS);
    int on = 1;

    /* Both are for TCP; a unix socket refuses them, and needs neither. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* Takes a socket in until its preface is here. False: no memory or no room in the epoll set; it is still the caller's. */
static bool await_preface(struct listener *listener, int fd, const char *peer, int64_t now_ns)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    if (connection == NULL)
        return false;
    event.data.u64 = (uintptr_t)connection;
    if (epoll_ctl(listener->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(connection);
        return false;
    }
    connection->fd = fd;
    connection->deadline_ns = now_ns + listener->settings.preface_ns;
    snprintf(connection->peer, sizeof(connection->peer), "%s", peer);
    list_append(&listener->pending, &connection->link);
    listener->pending_count++;
    return true;
}

/* Those that say nothing give way to those that come: they can fill the waiting room, but not keep it. */
static void admit(struct listener *listener, int fd, int64_t now_ns)
{
    uint32_t places = places_left(listener, now_ns);
    const char *why = NULL;
    char peer[ADDRESS_ROOM];

    address_peer(fd, peer, sizeof(peer));
    if (too_high(listener, fd)) {
        why = "descriptors";
    } else if (places == 0) {
        why = "connections_most";
    } else {
        if (listener->pending_count >= MIN_OF(places, PENDING_MOST))
            turn_away(listener, container_of(list_first(&listener->pending), struct connection, link), "too_many_waiting", now_ns);
        socket_options(listener, fd);
        if (await_preface(listener, fd, peer, now_ns))
            return;
        why = "memory";
    }
    close(fd);
    refused(listener, why, peer, now_ns);
}

static void doors_watch(struct listener *listener, uint32_t events)
{
    for (size_t i = 0; i < listener->door_count; i++) {
        struct epoll_event event = {.events = events, .data.u64 = i};

        epoll_ctl(listener->epoll, EPOLL_CTL_MOD, listener->doors[i].fd, &event);
    }
}

/* No descriptor is free: uses the spare one to take the next connection off the backlog and close it. */
static void refuse_with_spare(struct listener *listener, const struct door *door, int64_t now_ns)
{
    int fd = -1;

    if (listener->spare >= 0) {
        close(listener->spare);
        fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            close(fd);
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else {
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (fd >= 0) {
        refused(listener, "descriptors", "unknown", now_ns);
        return;
    }
    listener->paused_until_ns = now_ns + PAUSE_NS;
    doors_watch(listener, 0);
}

/* False: enough for this turn. */
static bool accept_one(struct listener *listener, const struct door *door, int64_t now_ns)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        admit(listener, fd, now_ns);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        refuse_with_spare(listener, door, now_ns);
        return listener->paused_until_ns == 0;
    case ENOBUFS:
    case ENOMEM:
        listener->paused_until_ns = now_ns + PAUSE_NS;
        doors_watch(listener, 0);
        return false;
    default:
        return true; /* that connection failed before it was accepted, or a signal came; the next may be fine */
    }
}

static void open_again(struct listener *listener, int64_t now_ns)
{
    if (listener->paused_until_ns == 0 || now_ns < listener->paused_until_ns)
        return;
    listener->paused_until_ns = 0;
    doors_watch(listener, EPOLLIN);
}

/* How long epoll may wait, in milliseconds, rounded up: never a moment too early, or the thread would spin through the rest. */
static int patience_ms(const struct listener *listener)
{
    const struct list *oldest = list_first(&listener->pending);
    int64_t until_ns = INT64_MAX;
    int64_t left_ns;

    if (oldest != NULL)
        until_ns = container_of(oldest, const struct connection, link)->deadline_ns;
    if (listener->paused_until_ns != 0)
        until_ns = MIN_OF(until_ns, listener->paused_until_ns);
    if (listener->untold > 0)
        until_ns = MIN_OF(until_ns, listener->tell_at_ns);
    if (until_ns == INT64_MAX)
        return -1;
    left_ns = until_ns - clock_mono_ns();
    return left_ns <= 0 ? 0 : (int)MIN_OF((left_ns + NS_PER_MS - 1) / NS_PER_MS, 60000);
}

/* Connections first: an accept may turn the oldest one away, and its event must not be looked at after that. False: stop. */
static bool turn(struct listener *listener, const struct epoll_event *events, int count, int64_t now_ns)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == ABOUT_STOP)
            return false;
        if (events[i].data.u64 > ABOUT_STOP)
            look_at_preface(listener, (struct connection *)(uintptr_t)events[i].data.u64,
                            (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, now_ns);
    }
    end_overdue(listener, now_ns);
    open_again(listener, now_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 >= DOORS_MOST)
            continue;
        for (int accepts = 0; accepts < ACCEPTS_PER_TURN && listener->paused_until_ns == 0; accepts++) {
            if (!accept_one(listener, &listener->doors[events[i].data.u64], now_ns))
                break;
        }
    }
    tell(listener, now_ns);
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
    list_each(node, next, &listener->pending) {
        turn_away(listener, container_of(node, struct connection, link), NULL, 0);
    }
    tell(listener, INT64_MAX);
    return NULL;
}

struct status listener_new(const struct listener_settings *settings, const struct listener_port *port, struct listener **listener_out)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = ABOUT_STOP};
    struct status status;

    if (listener == NULL)
        return (struct status){.code = ERR_NO_MEMORY, .what = "opening a listener"};
    listener->settings = *settings;
    listener->port = *port;
    list_init(&listener->pending);
    listener->seats = seats_new();
    listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    listener->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener->seats == NULL || listener->spare < 0 || listener->stop < 0 || listener->epoll < 0 ||
        epoll_ctl(listener->epoll, EPOLL_CTL_ADD, listener->stop, &event) != 0) {
        status = failed("opening a listener");
        listener_free(listener);
        return status;
    }
    *listener_out = listener;
    return STATUS_OK;
}

struct status listener_add(struct listener *listener, const char *address)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = listener->door_count};
    struct door *door = &listener->doors[listener->door_count];
    struct status status;

    if (listener->door_count == DOORS_MOST)
        return (struct status){.code = ERR_FULL, .what = "at most 16 addresses"};
    status = address_listen(address, &door->fd);
    if (status.code != ERR_OK)
        return status;
    address_bound(door->fd, door->address, sizeof(door->address));
    door->file = address_file(door->address);
    if (epoll_ctl(listener->epoll, EPOLL_CTL_ADD, door->fd, &event) != 0) {
        status = failed("watching a listening socket");
        address_unlink(door->address, door->file);
        close(door->fd);
        return status;
    }
    listener->door_count++;
    return STATUS_OK;
}

size_t listener_count(const struct listener *listener)
{
    return listener->door_count;
}

const char *listener_address(const struct listener *listener, size_t number)
{
    CHECK(number < listener->door_count);
    return listener->doors[number].address;
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
    }
    for (; listener->door_count > 0; listener->door_count--) {
        struct door *door = &listener->doors[listener->door_count - 1];

        /* The file first: once the socket is closed, another server may put its own there. */
        address_unlink(door->address, door->file);
        close(door->fd);
    }
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener_stop(listener);
    seats_free(listener->seats);
    if (listener->spare >= 0)
        close(listener->spare);
    if (listener->stop >= 0)
        close(listener->stop);
    if (listener->epoll >= 0)
        close(listener->epoll);
    free(listener);
}
