/* handshake.c - the list of pending connections, and the check of their prefaces. */
#include "server/wire/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "h2socket/h2socket.h"
#include "server/wire/http1.h"

#define REPORT_INTERVAL_NS NS_PER_S

static const char preface[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct pending_connection {
    struct list link;
    int fd;
    uint32_t mark; /* for h2socket_set_mark() */
    int64_t began_ns;
    struct peer_count *count; /* of its peer, in the handshake's */
    char peer[ADDRESS_CAPACITY];
};

static void report(struct refusals *refusals, int64_t now_ns)
{
    if (refusals->unreported == 0 || now_ns < refusals->report_at_ns)
        return;
    log_write(LOG_WARN, "connection.refused", LOG_TEXT("reason", refusals->reason),
              LOG_TEXT("peer", refusals->peer), LOG_NUMBER("count", refusals->unreported));
    refusals->unreported = 0;
    refusals->report_at_ns = now_ns + REPORT_INTERVAL_NS;
}

void handshake_report(struct handshake *handshake, int64_t now_ns)
{
    for (size_t i = 0; i < MAX_REFUSAL_REASONS; i++)
        report(&handshake->refusals[i], now_ns);
}

static struct refusals *refusals_for(struct handshake *handshake, const char *reason)
{
    size_t i = 0;

    while (handshake->refusals[i].reason && strcmp(handshake->refusals[i].reason, reason) != 0)
        CHECK(++i < MAX_REFUSAL_REASONS);
    handshake->refusals[i].reason = reason;
    return &handshake->refusals[i];
}

void handshake_count_refusal(struct handshake *handshake, const char *reason, const char *peer,
                             int64_t now_ns)
{
    struct refusals *refusals = refusals_for(handshake, reason);

    count_add(COUNT_CONNECTIONS_REFUSED, 1);
    refusals->unreported++;
    snprintf(refusals->peer, sizeof(refusals->peer), "%s", peer);
    report(refusals, now_ns);
}

static void remove_pending(struct handshake *handshake, struct pending_connection *pending)
{
    list_remove(&pending->link);
    peer_counts_remove(&handshake->peers, pending->count);
    handshake->count--;
    free(pending);
}

static void refuse(struct handshake *handshake, struct pending_connection *pending, const char *reason,
                   int64_t now_ns)
{
    int fd = pending->fd;

    handshake_count_refusal(handshake, reason, pending->peer, now_ns);
    remove_pending(handshake, pending);
    close(fd);
}

static void hand_over(struct handshake *handshake, struct pending_connection *pending, int64_t now_ns)
{
    int fd = pending->fd;

    if (h2socket_add(fd, H2GUARD_SERVER, handshake->limits, pending->peer, pending->count->peer)) {
        refuse(handshake, pending, "memory", now_ns);
        return;
    }
    h2socket_set_mark(fd, pending->mark);
    /* Remove it from the epoll set before another owner gets it: the kernel reports events of a
     * socket as long as anybody holds it open. */
    epoll_ctl(handshake->epoll, EPOLL_CTL_DEL, fd, NULL);
    count_add(COUNT_CONNECTIONS, 1);
    log_write(LOG_DEBUG, "connection.accepted", LOG_TEXT("peer", pending->peer), LOG_NUMBER("fd", fd));
    remove_pending(handshake, pending);
    handshake->port.ready(handshake->port.ctx, fd);
}

void handshake_init(struct handshake *handshake, int epoll, const struct loop *loop,
                    const struct handshake_port *port, const struct h2guard_limits *limits)
{
    *handshake = (struct handshake){.epoll = epoll, .loop = loop, .port = *port, .limits = limits};
    list_init(&handshake->pending);
}

void handshake_fini(struct handshake *handshake)
{
    list_each(node, next, &handshake->pending) {
        struct pending_connection *pending = container_of(node, struct pending_connection, link);

        close(pending->fd);
        remove_pending(handshake, pending);
    }
    peer_counts_fini(&handshake->peers);
    handshake_report(handshake, INT64_MAX - REPORT_INTERVAL_NS); /* whatever the interval */
}

bool handshake_begin(struct handshake *handshake, int fd, const char *peer, struct peer_key key,
                     uint32_t mark, int64_t now_ns)
{
    struct pending_connection *pending = calloc(1, sizeof(*pending));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    if (!pending)
        return false;
    event.data.u64 = (uintptr_t)pending;
    pending->count = peer_counts_add(&handshake->peers, key);
    if (!pending->count || epoll_ctl(handshake->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        peer_counts_remove(&handshake->peers, pending->count);
        free(pending);
        return false;
    }
    pending->fd = fd;
    pending->mark = mark;
    pending->began_ns = now_ns;
    snprintf(pending->peer, sizeof(pending->peer), "%s", peer);
    list_append(&handshake->pending, &pending->link);
    handshake->count++;
    return true;
}

/* Answers a request of HTTP/1, and closes the connection, which then lingers (h2socket). The answer
 * fits into the empty send buffer of a new socket. */
static void answer_http1(struct handshake *handshake, struct pending_connection *pending,
                         struct bytes beginning, int64_t now_ns)
{
    const struct bytes answer = http1_answer(beginning);
    struct iovec piece = {.iov_base = (void *)(uintptr_t)answer.data, .iov_len = answer.size};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    const int fd = pending->fd;

    handshake_count_refusal(handshake, "not_http2", pending->peer, now_ns);
    epoll_ctl(handshake->epoll, EPOLL_CTL_DEL, fd, NULL);
    if (h2socket_add(fd, H2GUARD_SERVER, NULL, pending->peer, pending->count->peer) == ERR_OK)
        (void)sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    remove_pending(handshake, pending);
    close(fd);
}

void handshake_check(struct handshake *handshake, struct pending_connection *pending, bool hung_up,
                     int64_t now_ns)
{
    char seen[sizeof(preface)];
    enum http1_beginning beginning = HTTP1_NONE;
    ssize_t size = recv(pending->fd, seen, sizeof(seen), MSG_PEEK | MSG_DONTWAIT);

    if (size < 0 && errno == EAGAIN && !hung_up)
        return;
    if (size > 0 && memcmp(seen, preface, (size_t)size) != 0)
        beginning = http1_beginning((struct bytes){(const uint8_t *)seen, (size_t)size});
    if (beginning == HTTP1_PART && !hung_up)
        return;
    if (size <= 0)
        refuse(handshake, pending, "no_preface", now_ns);
    else if (beginning == HTTP1_REQUEST)
        answer_http1(handshake, pending, (struct bytes){(const uint8_t *)seen, (size_t)size}, now_ns);
    else if (memcmp(seen, preface, (size_t)size) != 0)
        refuse(handshake, pending, "not_http2", now_ns);
    else if ((size_t)size == sizeof(preface))
        hand_over(handshake, pending, now_ns);
    else if (hung_up)
        refuse(handshake, pending, "no_preface", now_ns);
}

static int64_t deadline_ns(const struct handshake *handshake, const struct pending_connection *pending)
{
    return pending->began_ns + loop_settings(handshake->loop)->preface_timeout_ns;
}

/* The list is short (MAX_PENDING in listener.c), and a walk through it costs less than an
 * accept(). */
void handshake_make_space(struct handshake *handshake, int64_t now_ns)
{
    struct pending_connection *chosen = NULL;

    list_each(node, next, &handshake->pending) {
        struct pending_connection *pending = container_of(node, struct pending_connection, link);

        if (!chosen || pending->count->count > chosen->count->count)
            chosen = pending;
    }
    if (chosen)
        refuse(handshake, chosen, "too_many_waiting", now_ns);
}

void handshake_make_space_of(struct handshake *handshake, struct peer_key peer, int64_t now_ns)
{
    list_each(node, next, &handshake->pending) {
        struct pending_connection *pending = container_of(node, struct pending_connection, link);

        if (!peer_same(pending->count->peer, peer))
            continue;
        refuse(handshake, pending, "too_many_waiting", now_ns);
        return;
    }
}

void handshake_refuse_overdue(struct handshake *handshake, int64_t now_ns)
{
    list_each(node, next, &handshake->pending) {
        struct pending_connection *pending = container_of(node, struct pending_connection, link);

        if (deadline_ns(handshake, pending) > now_ns)
            break;
        refuse(handshake, pending, "no_preface", now_ns);
    }
}

int64_t handshake_next_ns(const struct handshake *handshake)
{
    const struct list *oldest = list_first(&handshake->pending);
    int64_t next_ns = INT64_MAX;

    if (oldest)
        next_ns = deadline_ns(handshake, container_of(oldest, const struct pending_connection, link));
    for (size_t i = 0; i < MAX_REFUSAL_REASONS; i++) {
        if (handshake->refusals[i].unreported > 0)
            next_ns = MIN_OF(next_ns, handshake->refusals[i].report_at_ns);
    }
    return next_ns;
}
