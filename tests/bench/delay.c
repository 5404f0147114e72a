/* delay.c - a TCP proxy that delays the bytes of both directions: a distance on one machine.
 *
 *   delay --to HOST:PORT [--listen HOST:PORT] [--ready-file FILE] [--round-trip-us MICROSECONDS]
 *
 * The rate has no bound besides what this program can move. At most RING_BYTES of each direction of
 * a connection are on their way. A connection itself is made without a delay.
 *
 * DESIGN. There is one thread with an edge-triggered epoll. Each direction has a ring of bytes, and
 * a ring of marks that say up to which byte is due when. Bytes that come within MERGE_NS share a
 * mark. A direction reads until its ring is full, and writes what is due until the socket takes no
 * more. */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "bench/listen.h"
#include "lib/h2/h2.h"

enum { RING_BYTES = 32 << 20, TURN_BYTES = 1 << 20, MAX_MARKS = 4096, MERGE_NS = 20000, MAX_EVENTS = 64 };

struct mark {
    uint64_t end; /* of its bytes, counted from the beginning */
    int64_t due_ns;
};

struct direction {
    int from, to;
    uint8_t *ring;
    uint64_t read, written; /* bytes, from the beginning */
    struct mark *marks;     /* a ring: number n is at n % MAX_MARKS */
    uint64_t first, past;   /* marks */
    bool readable, full;    /* full: the socket takes nothing until epoll reports it */
    bool ended;             /* `from` has ended its side */
    bool shut;              /* and so have we, after the last byte */
};

struct link;

/* What epoll reports. */
struct source {
    struct link *link; /* NULL: one of the proxy's own */
    int side;          /* the descriptor is directions[side].from and directions[!side].to */
};

struct link {
    struct list node; /* in proxy->links */
    struct direction directions[2];
    struct source sources[2];
    bool lost;
};

struct proxy {
    int epoll, listener, signals;
    const char *to;
    int64_t half_trip_ns;
    struct list links;
    struct source on_listener, on_signal;
    bool stopping;
};

/* ---- one direction ---- */

static struct mark *mark_at(const struct direction *direction, uint64_t number)
{
    return &direction->marks[number % MAX_MARKS];
}

/* All bytes that were read so far are due by then. */
static void add_mark(struct direction *direction, int64_t due_ns)
{
    struct mark *last = direction->past > direction->first ? mark_at(direction, direction->past - 1) : NULL;
    bool is_full = direction->past - direction->first == MAX_MARKS;

    if (last && (is_full || due_ns - last->due_ns < MERGE_NS))
        *last = (struct mark){direction->read, is_full ? due_ns : last->due_ns};
    else
        *mark_at(direction, direction->past++) = (struct mark){direction->read, due_ns};
}

/* The parts of the ring from byte `from` on. Returns how many there are. */
static int parts_of(const struct direction *direction, uint64_t from, size_t size, struct iovec parts[2])
{
    size_t at = from % RING_BYTES;
    size_t first = MIN_OF(size, RING_BYTES - at);

    parts[0] = (struct iovec){direction->ring + at, first};
    parts[1] = (struct iovec){direction->ring, size - first};
    return first < size ? 2 : 1;
}

static bool may_read(const struct direction *direction)
{
    return direction->readable && !direction->ended && direction->read - direction->written < RING_BYTES;
}

/* Reads once. False: the connection is lost. */
static bool read_direction(struct direction *direction, int64_t half_trip_ns)
{
    size_t space = RING_BYTES - (size_t)(direction->read - direction->written);
    struct iovec parts[2];
    int count = parts_of(direction, direction->read, MIN_OF(space, (size_t)TURN_BYTES), parts);
    ssize_t got = readv(direction->from, parts, count);

    if (got < 0) {
        direction->readable = errno != EAGAIN;
        return errno == EAGAIN || errno == EINTR;
    }
    direction->read += (uint64_t)got;
    direction->ended = got == 0;
    add_mark(direction, clock_mono_ns() + half_trip_ns);
    return true;
}

/* Writes what is due. False: the connection is lost. */
static bool write_direction(struct direction *direction, int64_t now_ns)
{
    uint64_t due = direction->written;
    struct iovec parts[2];

    for (uint64_t i = direction->first; i < direction->past && mark_at(direction, i)->due_ns <= now_ns; i++)
        due = mark_at(direction, i)->end;
    while (direction->written < due && !direction->full) {
        int count = parts_of(direction, direction->written, (size_t)(due - direction->written), parts);
        ssize_t sent = writev(direction->to, parts, count);

        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        direction->full = sent < 0 && errno == EAGAIN;
        direction->written += sent > 0 ? (uint64_t)sent : 0;
    }
    while (direction->first < direction->past && mark_at(direction, direction->first)->due_ns <= now_ns &&
           mark_at(direction, direction->first)->end <= direction->written)
        direction->first++;
    if (direction->ended && !direction->shut && direction->first == direction->past) {
        direction->shut = true;
        shutdown(direction->to, SHUT_WR);
    }
    return true;
}

/* When there is something to do for this direction; INT64_MAX: when epoll reports something. */
static int64_t next_ns(const struct direction *direction)
{
    if (may_read(direction))
        return 0;
    return direction->first < direction->past && !direction->full
               ? mark_at(direction, direction->first)->due_ns
               : INT64_MAX;
}

/* ---- connections ---- */

static void link_free(struct link *link)
{
    list_remove(&link->node);
    for (int side = 0; side < 2; side++) {
        close(link->directions[side].from);
        if (link->directions[side].ring)
            munmap(link->directions[side].ring, RING_BYTES);
        free(link->directions[side].marks);
    }
    free(link);
}

static bool direction_init(struct direction *direction)
{
    void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    direction->ring = ring == MAP_FAILED ? NULL : ring;
    direction->marks = calloc(MAX_MARKS, sizeof(struct mark));
    return direction->ring && direction->marks;
}

static bool poll_socket(const struct proxy *proxy, int fd, struct source *source)
{
    int yes = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET,
                                .data.ptr = source};

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Connects the accepted socket `near` with the target. What cannot be connected is lost at once. */
static void link_new(struct proxy *proxy, int near)
{
    struct link *link = calloc(1, sizeof(*link));
    int far = h2_dial(proxy->to);

    CHECK(link);
    link->directions[0] = (struct direction){.from = near, .to = far};
    link->directions[1] = (struct direction){.from = far, .to = near};
    list_append(&proxy->links, &link->node);
    for (int side = 0; side < 2; side++) {
        link->sources[side] = (struct source){link, side};
        link->lost |= !direction_init(&link->directions[side]);
    }
    link->lost |= far < 0 || !poll_socket(proxy, near, &link->sources[0]) ||
                  !poll_socket(proxy, far, &link->sources[1]);
}

static void accept_all(struct proxy *proxy)
{
    for (int fd; (fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        link_new(proxy, fd);
}

/* Moves what can be moved, and frees a connection that is over. Returns when there is more. */
static int64_t move_link(const struct proxy *proxy, struct link *link)
{
    for (int side = 0; side < 2 && !link->lost; side++) {
        struct direction *direction = &link->directions[side];

        link->lost = !write_direction(direction, clock_mono_ns()) ||
                     (may_read(direction) && !read_direction(direction, proxy->half_trip_ns));
    }
    if (!link->lost && !(link->directions[0].shut && link->directions[1].shut))
        return MIN_OF(next_ns(&link->directions[0]), next_ns(&link->directions[1]));
    link_free(link);
    return INT64_MAX;
}

/* ---- the program ---- */

static void on_event(struct proxy *proxy, struct source *source, uint32_t events)
{
    if (source == &proxy->on_listener) {
        accept_all(proxy);
    } else if (source == &proxy->on_signal) {
        proxy->stopping = true;
    } else {
        if (events & ~(uint32_t)EPOLLOUT)
            source->link->directions[source->side].readable = true;
        if (events & EPOLLOUT)
            source->link->directions[!source->side].full = false;
    }
}

static void turn(struct proxy *proxy)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t until_ns = INT64_MAX;

    list_each(node, safe, &proxy->links) {
        const int64_t more_ns = move_link(proxy, container_of(node, struct link, node));

        until_ns = MIN_OF(until_ns, more_ns);
    }

    const int64_t wait_ns = MAX_OF(until_ns - clock_mono_ns(), 0);
    const struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
    const int count =
        epoll_pwait2(proxy->epoll, events, MAX_EVENTS, until_ns == INT64_MAX ? NULL : &wait, NULL);

    for (int i = 0; i < count; i++)
        on_event(proxy, events[i].data.ptr, events[i].events);
}

static bool poll_own(const struct proxy *proxy, int fd, struct source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    return fd >= 0 && epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool prepare(struct proxy *proxy, const char *address, const char *ready_file)
{
    char bound[96];

    signal(SIGPIPE, SIG_IGN);
    proxy->epoll = epoll_create1(EPOLL_CLOEXEC);
    proxy->signals = listen_for_end();
    proxy->listener = listen_at(address, bound, sizeof(bound));
    return proxy->epoll >= 0 && poll_own(proxy, proxy->listener, &proxy->on_listener) &&
           poll_own(proxy, proxy->signals, &proxy->on_signal) &&
           (!ready_file || write_ready(ready_file, bound));
}

int main(int argc, char **argv)
{
    static struct proxy proxy = {.to = ""};
    const char *address = "127.0.0.1:0", *ready_file = NULL;
    struct sockaddr_in target;
    long round_trip_us = 10000;
    bool right = argc % 2 == 1;

    for (int i = 1; i + 1 < argc && right; i += 2) {
        if (!strcmp(argv[i], "--listen"))
            address = argv[i + 1];
        else if (!strcmp(argv[i], "--ready-file"))
            ready_file = argv[i + 1];
        else if (!strcmp(argv[i], "--to"))
            proxy.to = argv[i + 1];
        else if (!strcmp(argv[i], "--round-trip-us"))
            round_trip_us = strtol(argv[i + 1], NULL, 10);
        else
            right = false;
    }
    if (!right || !read_address(proxy.to, &target) || round_trip_us < 0 || round_trip_us > 10000000) {
        fprintf(stderr, "usage: delay --to HOST:PORT [--listen HOST:PORT] [--ready-file FILE] "
                        "[--round-trip-us 0 to 10000000]\n");
        return 2;
    }
    proxy.half_trip_ns = round_trip_us * 1000 / 2;
    list_init(&proxy.links);
    if (!prepare(&proxy, address, ready_file)) {
        fprintf(stderr, "delay: %s: %s\n", address, strerror(errno));
        return 1;
    }
    while (!proxy.stopping)
        turn(&proxy);
    list_each(node, safe, &proxy.links)
        link_free(container_of(node, struct link, node));
    return 0;
}
