/* wait.h - the queue of the sockets that wait for their turn, and the core's epoll set.
 *
 * DESIGN. The core watches its sockets edge-triggered: one that was refused with EAGAIN hears
 * nothing more of the bytes that it left. So epoll_wait() adds an event for each socket whose turn
 * has come, in the form in which the core has asked for it. The core has one set for the process,
 * and one of its threads at a time waits at it. Another thread that puts a socket into the queue
 * meanwhile wakes that one through an eventfd in the set. */
#ifndef TRIBUTARY_H2SOCKET_WAIT_H
#define TRIBUTARY_H2SOCKET_WAIT_H

#include "h2socket/socket.h"

/* The number of this thread's latest poll; no two polls of a process have the same one. */
uint64_t wait_poll(void);
/* How long polls of the process have taken together, in nanoseconds: threads slept for so long. */
int64_t wait_slept_ns(void);
/* What the turn of one socket may cost, in about nanoseconds: so that those that the latest poll
 * found cost MAX_ROUND_COST together. */
int64_t wait_turn_cost(void);
#define MAX_ROUND_COST INT64_C(4000000)

/* The socket enters the table: the queue makes room for it.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err wait_join(struct h2socket *socket);
/* Takes the socket out of the core's set: its descriptor is not closed when the core closes it. */
void wait_forget(struct h2socket *socket);
/* The socket leaves queue and set. */
void wait_leave(struct h2socket *socket);

/* The socket waits until `delay_ns` have passed and its turn comes. One that the core does not
 * watch would not hear of it: its next read begins a turn. Under the socket's lock. */
void wait_begin(struct h2socket *socket, int64_t delay_ns);

/* epoll_ctl() for a socket of the table. The set to which a socket is added edge-triggered is the
 * core's. Besides its errors those of eventfd(). */
int wait_watch(struct h2socket *socket, int epoll, int op, struct epoll_event *event);
/* Whether the core watches the socket. */
bool wait_is_watched(struct h2socket *socket);
/* A descriptor is about to be closed: it may be the core's set. */
void wait_closing(int fd);

/* epoll_wait() of any set. */
int wait_epoll(int epoll, struct epoll_event *events, int max, int timeout_ms);

#endif
