/* socket_table.c - the table: adds, removes and visits the sockets. */
#include "h2socket/socket_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/peer_share.h"
#include "h2socket/end.h"
#include "h2socket/kept.h"
#include "h2socket/libc_calls.h"
#include "h2socket/linger.h"
#include "h2socket/probation.h"
#include "h2socket/wait.h"

#define CHECKS_AT_ONCE 1024 /* descriptors under the table's lock; then others get it */

struct h2socket *_Atomic h2socket_by_fd[MAX_H2SOCKET_FD];

static struct {
    pthread_mutex_t lock;
    int end;                  /* above the highest descriptor that was ever added */
    struct peer_counts peers; /* connections that peers have opened, by their peers */
    _Atomic uint32_t served;
    _Atomic uint32_t dialled;
    struct h2guard_counters counters;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void free_socket(struct h2socket *socket)
{
    h2guard_free(socket->guard);
    free(socket->rest);
    h2socket_end_release(socket->end);
    pthread_mutex_destroy(&socket->lock);
    free(socket);
}

static void begin_probation(struct h2socket *socket)
{
    int64_t delay_ns = probation_delay_ns(socket->peer, clock_mono_ns());

    if (delay_ns > 0)
        h2guard_begin_probation(socket->guard, delay_ns);
}

/* Counts a connection that a peer has opened. False: out of memory. */
static bool count_socket(struct h2socket *socket)
{
    if (socket->role != H2GUARD_SERVER) {
        atomic_fetch_add(&table.dialled, 1);
        return true;
    }
    pthread_mutex_lock(&table.lock);
    socket->count = peer_counts_add(&table.peers, socket->peer);
    pthread_mutex_unlock(&table.lock);
    if (!socket->count)
        return false;
    count_add(COUNT_LIVE_CONNECTIONS, 1);
    atomic_fetch_add(&table.served, 1);
    return true;
}

enum err h2socket_add(int fd, enum h2guard_role role, const struct h2guard_limits *limits,
                      const char *address, struct peer_key peer)
{
    struct h2socket *socket;

    if (fd < 0 || fd >= MAX_H2SOCKET_FD)
        return ERR_FULL;
    socket = calloc(1, sizeof(*socket));
    if (!socket)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&socket->lock, NULL);
    socket->fd = fd;
    socket->role = role;
    socket->peer = peer;
    snprintf(socket->address, sizeof(socket->address), "%s", address);
    socket->end = end_new();
    if (!socket->end ||
        (limits && !(socket->guard = h2guard_new(role, limits, &table.counters, clock_mono_ns()))) ||
        wait_join(socket)) {
        free_socket(socket);
        return ERR_NO_MEMORY;
    }
    if (!count_socket(socket)) {
        wait_leave(socket);
        free_socket(socket);
        return ERR_NO_MEMORY;
    }
    if (socket->guard && role == H2GUARD_SERVER)
        begin_probation(socket);
    pthread_mutex_lock(&table.lock);
    CHECK(!socket_of(fd));
    table.end = MAX_OF(table.end, fd + 1);
    atomic_store_explicit(&h2socket_by_fd[fd], socket, memory_order_release);
    pthread_mutex_unlock(&table.lock);
    return ERR_OK;
}

/* The connection is gone: it counts no more. */
static void uncount(struct h2socket *socket)
{
    if (socket->role == H2GUARD_SERVER) {
        pthread_mutex_lock(&table.lock);
        peer_counts_remove(&table.peers, socket->count);
        pthread_mutex_unlock(&table.lock);
        atomic_fetch_sub(&table.served, 1);
        count_add(COUNT_LIVE_CONNECTIONS, -1);
    } else {
        atomic_fetch_sub(&table.dialled, 1);
    }
    free_socket(socket);
}

/* Only its peer and its descriptor are still of use. */
static void begin_to_linger(struct h2socket *socket)
{
    h2guard_free(socket->guard);
    socket->guard = NULL;
    free(socket->rest);
    socket->rest = NULL;
    (void)libc_shutdown(socket->fd, SHUT_WR);
    linger_add(socket, clock_mono_ns());
}

bool socket_lingers(int fd)
{
    struct h2socket *socket = socket_of(fd);

    if (!socket)
        return false;
    pthread_mutex_lock(&socket->lock);
    /* What the core has dialled it may forget once it has shut it down: then only the end of both
     * directions brings it to close the socket (server/dial/upstream_guard.h). */
    const bool is_due = socket->role == H2GUARD_SERVER || socket->ended || socket->ended_by_core;
    bool lingers = is_due && socket->was_written && !socket->is_over;
    pthread_mutex_unlock(&socket->lock);
    return lingers;
}

bool socket_remove(int fd)
{
    struct h2socket *socket = socket_of(fd);

    if (!LIKELY(!!socket))
        return false;
    bool lingers = socket_lingers(fd);
    pthread_mutex_lock(&table.lock);
    atomic_store_explicit(&h2socket_by_fd[fd], NULL, memory_order_relaxed);
    kept_leave(socket);
    pthread_mutex_unlock(&table.lock);
    if (lingers)
        wait_forget(socket);
    wait_leave(socket);
    if (lingers)
        begin_to_linger(socket);
    else
        uncount(socket);
    return lingers;
}

/* Closes those whose peers have closed, or whose time is over. */
static void close_lingering(int64_t now_ns)
{
    struct h2socket *socket;

    while ((socket = linger_next(now_ns))) {
        (void)libc_close(socket->fd);
        uncount(socket);
    }
}

void h2socket_close_lingering(int64_t until_ns)
{
    do {
        close_lingering(clock_mono_ns());
    } while (linger_wait(until_ns));
    close_lingering(INT64_MAX);
}

uint32_t h2socket_count(void)
{
    return atomic_load(&table.served);
}

uint32_t h2socket_count_of(struct peer_key peer)
{
    pthread_mutex_lock(&table.lock);
    uint32_t count = peer_counts_get(&table.peers, peer);
    pthread_mutex_unlock(&table.lock);
    return count;
}

struct peer_key h2socket_peer(int fd, char *address, size_t capacity)
{
    pthread_mutex_lock(&table.lock);
    const struct h2socket *socket = socket_of(fd);
    struct peer_key peer = socket ? socket->peer : (struct peer_key){PEER_UNKNOWN, 0};
    snprintf(address, capacity, "%s", socket ? socket->address : "unknown");
    pthread_mutex_unlock(&table.lock);
    return peer;
}

void h2socket_set_mark(int fd, uint32_t mark)
{
    pthread_mutex_lock(&table.lock);
    struct h2socket *socket = socket_of(fd);
    if (socket)
        atomic_store_explicit(&socket->mark, mark, memory_order_relaxed);
    pthread_mutex_unlock(&table.lock);
}

uint32_t h2socket_mark(int fd)
{
    pthread_mutex_lock(&table.lock);
    const struct h2socket *socket = socket_of(fd);
    uint32_t mark = socket ? atomic_load_explicit(&socket->mark, memory_order_relaxed) : 0;
    pthread_mutex_unlock(&table.lock);
    return mark;
}

struct h2socket_end *h2socket_end_retain(int fd)
{
    pthread_mutex_lock(&table.lock);
    const struct h2socket *socket = socket_of(fd);
    struct h2socket_end *end = socket ? socket->end : NULL;
    if (end)
        atomic_fetch_add(&end->refs, 1);
    pthread_mutex_unlock(&table.lock);
    return end;
}

void h2socket_keep(int fd, struct h2socket_end *end, int64_t bytes)
{
    pthread_mutex_lock(&table.lock);
    struct h2socket *socket = end ? socket_of(fd) : NULL;
    if (socket && socket->end == end && socket->guard) {
        pthread_mutex_lock(&socket->lock);
        end->kept += bytes;
        kept_update(socket);
        pthread_mutex_unlock(&socket->lock);
    }
    pthread_mutex_unlock(&table.lock);
}

void h2socket_give_up(int fd, const struct h2socket_end *end)
{
    pthread_mutex_lock(&table.lock);
    struct h2socket *socket = end ? socket_of(fd) : NULL;
    if (socket && socket->end == end) {
        pthread_mutex_lock(&socket->lock);
        socket->ended = socket->is_over = true;
        (void)libc_shutdown(fd, SHUT_RDWR);
        pthread_mutex_unlock(&socket->lock);
    }
    pthread_mutex_unlock(&table.lock);
}

/* Calls visit() for each socket, under the table's lock. */
static void visit_all(void (*visit)(struct h2socket *socket, int64_t now_ns), int64_t now_ns)
{
    int fd = 0;
    bool is_done;

    do {
        pthread_mutex_lock(&table.lock);
        for (int left = CHECKS_AT_ONCE; fd < table.end && left > 0; fd++, left--) {
            struct h2socket *socket = socket_of(fd);

            if (socket)
                visit(socket, now_ns);
        }
        is_done = fd >= table.end;
        pthread_mutex_unlock(&table.lock);
    } while (!is_done);
}

/* A write to a unix socket whose peer does not read goes on until both directions are shut down. */
static void shut_down(struct h2socket *socket, int64_t now_ns)
{
    int domain = AF_UNIX;
    socklen_t size = sizeof(domain);

    (void)now_ns;
    (void)getsockopt(socket->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    (void)libc_shutdown(socket->fd, domain == AF_UNIX ? SHUT_RDWR : SHUT_WR);
}

void h2socket_shutdown_all(void)
{
    visit_all(shut_down, 0);
}

/* Whether bytes are in the socket that the core has not read: its thread may have been busy. */
static bool has_unread(const struct h2socket *socket)
{
    int size = 0;

    return ioctl(socket->fd, FIONREAD, &size) == 0 && size > 0;
}

static void check(struct h2socket *socket, int64_t now_ns)
{
    pthread_mutex_lock(&socket->lock);
    if (socket->guard && !socket->ended && !socket->rest && !has_unread(socket)) {
        struct h2guard_verdict verdict = h2guard_check(socket->guard, now_ns);

        if (verdict.decision == H2GUARD_END)
            end_connection(socket, verdict.reason);
    }
    pthread_mutex_unlock(&socket->lock);
}

/* Under the lock. The peer whose sockets keep the most. */
static const struct peer_count *largest_peer(void)
{
    const struct peer_count *largest = NULL;

    for (int fd = 0; fd < table.end; fd++) {
        const struct h2socket *socket = socket_of(fd);

        if (socket && socket->count &&
            (!largest || atomic_load(&socket->count->bytes) > atomic_load(&largest->bytes)))
            largest = socket->count;
    }
    return largest;
}

/* Under the lock. The socket of this peer that keeps the most. */
static struct h2socket *largest_of(const struct peer_count *peer)
{
    struct h2socket *largest = NULL;

    for (int fd = 0; fd < table.end; fd++) {
        struct h2socket *socket = socket_of(fd);

        if (socket && socket->count == peer &&
            (!largest || atomic_load(&socket->kept) > atomic_load(&largest->kept)))
            largest = socket;
    }
    return largest;
}

void socket_end_largest(struct h2socket *socket)
{
    const struct kept_excess excess = kept_excess_of(socket);
    struct h2socket *largest;
    int error = errno;

    atomic_store_explicit(&socket->is_above, false, memory_order_relaxed);
    if (excess.reason == H2GUARD_NO_REASON)
        return;
    pthread_mutex_lock(&table.lock);
    largest = largest_of(excess.reason == H2GUARD_KEPT_BY_PEER ? socket->count : largest_peer());
    if (largest && largest->guard) {
        pthread_mutex_lock(&largest->lock);
        h2guard_end(largest->guard, excess.reason, (uint64_t)excess.sum, (uint64_t)excess.bound);
        end_connection(largest, excess.reason);
        kept_update(largest);
        pthread_mutex_unlock(&largest->lock);
    }
    pthread_mutex_unlock(&table.lock);
    errno = error;
}

void h2socket_check(int64_t now_ns)
{
    visit_all(check, now_ns);
    close_lingering(now_ns);
    end_report(now_ns);
}

bool h2socket_needs_check(void)
{
    return h2socket_count() > 0 || atomic_load(&table.dialled) > 0 || end_is_unreported();
}

void h2socket_report(int64_t now_ns)
{
    end_report(now_ns);
}

bool h2socket_is_in_front(int fd)
{
    bool is_used = false;

    pthread_mutex_lock(&table.lock);
    struct h2socket *socket = socket_of(fd);
    if (socket) {
        pthread_mutex_lock(&socket->lock);
        is_used = socket->was_read && socket->was_written && wait_is_watched(socket);
        pthread_mutex_unlock(&socket->lock);
    }
    pthread_mutex_unlock(&table.lock);
    return is_used;
}

const struct h2guard_counters *h2socket_counters(void)
{
    return &table.counters;
}
