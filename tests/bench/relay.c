/* relay.c - forwards the frames of each producer to every consumer: the upper bound for a server
 * that has nothing else to do.
 *
 *   relay --listen HOST:PORT --ready-file FILE
 *
 * A connection begins with one byte. 'P' sends frames: a length of four bytes, the least
 * significant first, and that many bytes. 'C' receives the frames of all producers, whole, after an
 * empty frame that confirms the connection.
 *
 * DESIGN. There is one thread with an edge-triggered epoll. A turn reads up to TURN_BYTES from the
 * producers that have something, each into a slab, walks the lengths, and adds the whole frames to
 * the queue of every consumer by reference. Then it writes at once to each consumer that can take
 * anything. So the bytes that are copied out are still in the cache. While any consumer has more
 * than MAX_WAITING bytes queued, no producer is read. */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "bench/listen.h"
#include "bench/relay_queue.h"

enum {
    TURN_BYTES = 256 << 10,
    MAX_WAITING = 4 << 20,
    MAX_FRAME = SLAB_BYTES / 2 + 4,
    HEAD_BYTES = 4,
    MAX_EVENTS = 64
};

enum role { ROLE_LISTENER, ROLE_SIGNAL, ROLE_UNKNOWN, ROLE_PRODUCER, ROLE_CONSUMER, ROLE_CLOSED };

struct peer {
    int fd;
    enum role role;
    struct list link; /* in the list `ready`, `consumers`, `idle` or `closed` */
    /* Producer. [taken, filled) of the slab is a frame that is not whole yet. */
    struct slab *slab;
    size_t taken, filled;
    bool ending; /* it has closed its side: epoll reports no more, so it is read to the end */
    /* Consumer. */
    struct queue queue;
    bool full; /* the socket takes nothing until epoll reports it */
};

struct relay {
    int epoll;
    struct peer listener, signals;
    struct list ready;     /* producers that may have something to read */
    struct list consumers; /* all of them */
    struct list idle;      /* all other peers */
    struct list closed;    /* freed at the end of the turn, when no event refers to them any more */
    bool paused, stopping; /* paused: a consumer has too much queued, so no producer is read */
};

static struct peer *peer_of(struct list *link)
{
    return container_of(link, struct peer, link);
}

static void move_to(struct peer *peer, struct list *list)
{
    list_remove(&peer->link);
    list_append(list, &peer->link);
}

static void close_peer(struct relay *relay, struct peer *peer)
{
    if (peer->role == ROLE_CLOSED)
        return;
    peer->role = ROLE_CLOSED;
    close(peer->fd);
    slab_release(peer->slab);
    queue_fini(&peer->queue);
    move_to(peer, &relay->closed);
}

static void free_all(struct list *list)
{
    list_each(node, safe, list) {
        list_remove(node);
        free(peer_of(node));
    }
}

/* ---- reading producers ---- */

/* Makes space for the rest of the frame that has begun, and for more. The producer gets a slab of
 * its own, or starts again at the beginning of its slab if no consumer refers to that. */
static bool make_space(struct peer *peer)
{
    size_t begun = peer->filled - peer->taken;
    struct slab *fresh = peer->slab;

    if (fresh && (peer->filled <= SLAB_BYTES / 2 || !peer->taken))
        return true;
    if (!fresh || fresh->references > 1)
        fresh = slab_new();
    if (!fresh)
        return false;
    if (begun)
        memmove(fresh->bytes, peer->slab->bytes + peer->taken, begun);
    if (fresh != peer->slab)
        slab_release(peer->slab);
    peer->slab = fresh;
    peer->taken = 0;
    peer->filled = begun;
    return true;
}

/* The end of the last whole frame; SIZE_MAX: a length is invalid. */
static size_t whole_frames(const struct peer *peer)
{
    size_t at = peer->taken;

    while (peer->filled - at >= HEAD_BYTES) {
        uint32_t size;
        memcpy(&size, peer->slab->bytes + at, sizeof(size));
        size = le32toh(size);
        if (!size || size > MAX_FRAME - HEAD_BYTES)
            return SIZE_MAX;
        if (peer->filled - at - HEAD_BYTES < size)
            break;
        at += HEAD_BYTES + size;
    }
    return at;
}

static void forward(struct relay *relay, struct slab *slab, struct bytes frames)
{
    list_each(node, safe, &relay->consumers) {
        struct peer *consumer = peer_of(node);
        if (!queue_add(&consumer->queue, slab, frames))
            close_peer(relay, consumer);
        else
            relay->paused |= consumer->queue.bytes > MAX_WAITING;
    }
}

/* Reads once. Returns how many bytes. A producer with unread bytes stays in the list `ready`. */
static size_t read_producer(struct relay *relay, struct peer *peer)
{
    if (!make_space(peer)) {
        close_peer(relay, peer);
        return 0;
    }
    size_t capacity = SLAB_BYTES - peer->filled;
    ssize_t got = recv(peer->fd, peer->slab->bytes + peer->filled, capacity, 0);
    if (got < 0 && errno == EINTR)
        return 0;
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close_peer(relay, peer);
        return 0;
    }
    if (got < 0 || (got < (ssize_t)capacity && !peer->ending))
        move_to(peer, &relay->idle);
    if (got < 0)
        return 0;
    peer->filled += (size_t)got;
    size_t end = whole_frames(peer);
    if (end == SIZE_MAX) {
        close_peer(relay, peer);
        return 0;
    }
    if (end > peer->taken)
        forward(relay, peer->slab, (struct bytes){peer->slab->bytes + peer->taken, end - peer->taken});
    peer->taken = end;
    if (peer->taken == peer->filled) {
        slab_release(peer->slab);
        peer->slab = NULL;
        peer->taken = peer->filled = 0;
    }
    return (size_t)got;
}

static void read_producers(struct relay *relay)
{
    for (size_t bytes = 0; bytes < TURN_BYTES && !relay->paused && !list_empty(&relay->ready);) {
        struct peer *peer = peer_of(list_first(&relay->ready));
        move_to(peer, &relay->ready); /* to its end, behind the others */
        bytes += read_producer(relay, peer);
    }
}

/* ---- writing consumers ---- */

static void write_consumers(struct relay *relay)
{
    bool paused = false;

    list_each(node, safe, &relay->consumers) {
        struct peer *peer = peer_of(node);
        if (!peer->queue.count)
            continue;
        enum queue_state state = peer->full ? QUEUE_WAITS : queue_write(&peer->queue, peer->fd);
        peer->full = state == QUEUE_WAITS;
        paused |= peer->queue.bytes > MAX_WAITING;
        if (state == QUEUE_LOST)
            close_peer(relay, peer);
    }
    relay->paused = paused;
}

/* ---- peers ---- */

static void accept_all(struct relay *relay)
{
    for (int fd; (fd = accept4(relay->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct peer *peer = calloc(1, sizeof(*peer));
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET,
                                    .data.ptr = peer};
        int yes = 1;
        if (!peer) {
            close(fd);
            continue;
        }
        *peer = (struct peer){.fd = fd, .role = ROLE_UNKNOWN};
        list_init(&peer->link);
        list_append(&relay->idle, &peer->link);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        if (epoll_ctl(relay->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            close_peer(relay, peer);
    }
}

/* Reads the first byte, which gives the role of a peer. */
static void read_role(struct relay *relay, struct peer *peer, uint32_t events)
{
    static const uint8_t welcome[HEAD_BYTES];
    char role = 0;
    ssize_t got = recv(peer->fd, &role, 1, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got == 1 && role == 'P') {
        peer->role = ROLE_PRODUCER;
        peer->ending = (events & EPOLLRDHUP) != 0;
        move_to(peer, &relay->ready);
    } else if (got == 1 && role == 'C' &&
               send(peer->fd, welcome, sizeof(welcome), MSG_NOSIGNAL) == sizeof(welcome)) {
        peer->role = ROLE_CONSUMER;
        move_to(peer, &relay->consumers);
    } else {
        close_peer(relay, peer);
    }
}

static void on_event(struct relay *relay, struct peer *peer, uint32_t events)
{
    bool read = events & ~(uint32_t)EPOLLOUT;

    switch (peer->role) {
    case ROLE_LISTENER:
        accept_all(relay);
        break;
    case ROLE_SIGNAL:
        relay->stopping = true;
        break;
    case ROLE_UNKNOWN:
        if (read)
            read_role(relay, peer, events);
        break;
    case ROLE_PRODUCER:
        peer->ending |= (events & EPOLLRDHUP) != 0;
        if (read)
            move_to(peer, &relay->ready);
        break;
    case ROLE_CONSUMER: /* sends nothing more, but may close */
        if (events & EPOLLOUT)
            peer->full = false;
        if (read)
            close_peer(relay, peer);
        break;
    case ROLE_CLOSED:
        break;
    }
}

static void turn(struct relay *relay)
{
    struct epoll_event events[MAX_EVENTS];
    bool more = !relay->paused && !list_empty(&relay->ready);
    int count = epoll_wait(relay->epoll, events, MAX_EVENTS, more ? 0 : -1);

    for (int i = 0; i < count; i++)
        on_event(relay, events[i].data.ptr, events[i].events);
    read_producers(relay);
    write_consumers(relay);
    free_all(&relay->closed);
}

/* ---- the program ---- */

static bool poll_peer(struct relay *relay, struct peer *peer, enum role role)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};

    peer->role = role;
    return peer->fd >= 0 && epoll_ctl(relay->epoll, EPOLL_CTL_ADD, peer->fd, &event) == 0;
}

static bool prepare(struct relay *relay, const char *address, const char *ready_file)
{
    char bound[96];

    relay->epoll = epoll_create1(EPOLL_CLOEXEC);
    relay->signals.fd = listen_for_end();
    relay->listener.fd = listen_at(address, bound, sizeof(bound));
    return relay->epoll >= 0 && poll_peer(relay, &relay->listener, ROLE_LISTENER) &&
           poll_peer(relay, &relay->signals, ROLE_SIGNAL) && (!ready_file || write_ready(ready_file, bound));
}

static void close_all(struct relay *relay, struct list *list)
{
    list_each(node, safe, list)
        close_peer(relay, peer_of(node));
}

int main(int argc, char **argv)
{
    static struct relay relay;
    const char *address = "127.0.0.1:0", *ready_file = NULL;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && !strcmp(argv[i], "--listen")) {
            address = argv[i + 1];
        } else if (i + 1 < argc && !strcmp(argv[i], "--ready-file")) {
            ready_file = argv[i + 1];
        } else {
            fprintf(stderr, "relay: %s: usage: relay [--listen HOST:PORT] [--ready-file FILE]\n", argv[i]);
            return 2;
        }
    }
    list_init(&relay.ready);
    list_init(&relay.consumers);
    list_init(&relay.idle);
    list_init(&relay.closed);
    if (!prepare(&relay, address, ready_file)) {
        fprintf(stderr, "relay: %s: %s\n", address, strerror(errno));
        return 1;
    }
    while (!relay.stopping)
        turn(&relay);
    close_all(&relay, &relay.ready);
    close_all(&relay, &relay.consumers);
    close_all(&relay, &relay.idle);
    free_all(&relay.closed);
    slab_free_spent();
    return 0;
}
