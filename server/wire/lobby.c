/* lobby.c - waiting for the preface. */
#include "server/wire/lobby.h"

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

#define TELL_NS NS_PER_S

static const char preface[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct guest {
    struct list link;
    int fd;
    int64_t deadline_ns;
    char peer[ADDRESS_ROOM];
};

void lobby_tell(struct lobby *lobby, int64_t now_ns)
{
    if (lobby->untold == 0 || now_ns < lobby->tell_at_ns)
        return;
    log_write(LOG_WARN, "connection.refused", LOG_TEXT("reason", lobby->refused_why), LOG_TEXT("peer", lobby->refused_peer),
              LOG_NUMBER("count", lobby->untold));
    lobby->untold = 0;
    lobby->tell_at_ns = now_ns + TELL_NS;
}

void lobby_refused(struct lobby *lobby, const char *why, const char *peer, int64_t now_ns)
{
    count_add(COUNT_CONNECTIONS_REFUSED, 1);
    lobby->untold++;
    lobby->refused_why = why;
    snprintf(lobby->refused_peer, sizeof(lobby->refused_peer), "%s", peer);
    lobby_tell(lobby, now_ns);
}

static void leave(struct lobby *lobby, struct guest *guest)
{
    list_remove(&guest->link);
    lobby->count--;
    free(guest);
}

static void end(struct lobby *lobby, struct guest *guest, const char *why, int64_t now_ns)
{
    int fd = guest->fd;

    lobby_refused(lobby, why, guest->peer, now_ns);
    leave(lobby, guest);
    close(fd);
}

static void give_away(struct lobby *lobby, struct guest *guest, int64_t now_ns)
{
    int fd = guest->fd;

    if (!seats_take(lobby->seats, fd, guest->peer)) {
        end(lobby, guest, "memory", now_ns);
        return;
    }
    /* Out of the set before it changes hands: as long as anybody holds the socket, the kernel would go on reporting it. */
    epoll_ctl(lobby->epoll, EPOLL_CTL_DEL, fd, NULL);
    count_add(COUNT_CONNECTIONS, 1);
    log_write(LOG_DEBUG, "connection.accepted", LOG_TEXT("peer", guest->peer), LOG_NUMBER("fd", fd));
    leave(lobby, guest);
    lobby->port.ready(lobby->port.ctx, fd);
}

void lobby_init(struct lobby *lobby, int epoll, int64_t preface_ns, const struct lobby_port *port, struct seats *seats)
{
    *lobby = (struct lobby){.epoll = epoll, .preface_ns = preface_ns, .port = *port, .seats = seats};
    list_init(&lobby->guests);
}

void lobby_fini(struct lobby *lobby)
{
    list_each(node, next, &lobby->guests) {
        struct guest *guest = container_of(node, struct guest, link);

        close(guest->fd);
        leave(lobby, guest);
    }
    lobby->tell_at_ns = 0;
    lobby_tell(lobby, clock_mono_ns());
}

bool lobby_enter(struct lobby *lobby, int fd, const char *peer, int64_t now_ns)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    if (guest == NULL)
        return false;
    event.data.u64 = (uintptr_t)guest;
    if (epoll_ctl(lobby->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(guest);
        return false;
    }
    guest->fd = fd;
    guest->deadline_ns = now_ns + lobby->preface_ns;
    snprintf(guest->peer, sizeof(guest->peer), "%s", peer);
    list_append(&lobby->guests, &guest->link);
    lobby->count++;
    return true;
}

void lobby_look(struct lobby *lobby, struct guest *guest, bool hung_up, int64_t now_ns)
{
    char seen[sizeof(preface)];
    ssize_t size = recv(guest->fd, seen, sizeof(seen), MSG_PEEK | MSG_DONTWAIT);

    if (size < 0 && errno == EAGAIN && !hung_up)
        return;
    if (size <= 0)
        end(lobby, guest, "no_preface", now_ns);
    else if (memcmp(seen, preface, (size_t)size) != 0)
        end(lobby, guest, "not_http2", now_ns);
    else if ((size_t)size == sizeof(preface))
        give_away(lobby, guest, now_ns);
    else if (hung_up)
        end(lobby, guest, "no_preface", now_ns);
}

void lobby_end_oldest(struct lobby *lobby, int64_t now_ns)
{
    if (!list_empty(&lobby->guests))
        end(lobby, container_of(list_first(&lobby->guests), struct guest, link), "too_many_waiting", now_ns);
}

void lobby_end_overdue(struct lobby *lobby, int64_t now_ns)
{
    list_each(node, next, &lobby->guests) {
        struct guest *guest = container_of(node, struct guest, link);

        if (guest->deadline_ns > now_ns)
            break;
        end(lobby, guest, "no_preface", now_ns);
    }
}

int64_t lobby_next_ns(const struct lobby *lobby)
{
    const struct list *oldest = list_first(&lobby->guests);
    int64_t next_ns = INT64_MAX;

    if (oldest != NULL)
        next_ns = container_of(oldest, const struct guest, link)->deadline_ns;
    return lobby->untold > 0 ? MIN_OF(next_ns, lobby->tell_at_ns) : next_ns;
}
