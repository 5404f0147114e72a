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
/* The time of the latest poll of any thread (clock_mono_ns()). */
int64_t wait_now_ns(void);
/* What the turn of one socket may cost, in about nanoseconds: so that those that the latest poll
 * found cost MAX_ROUND_COST together. */
int64_t wait_turn_cost(void);
#define MAX_ROUND_COST INT64_C(4000000)

/* The socket waits until `delay_ns` have passed and its turn comes. The core watches it. Under the
 * socket's lock. */
void wait_begin(struct h2socket *socket, int64_t delay_ns);

/* The core watches this socket with these events. Calls libc's epoll_ctl(), whose result it
 * returns. */
int wait_watch(struct h2socket *socket, int epoll, int op, struct epoll_event *event);
/* Whether the core watches the socket. */
bool wait_is_watched(struct h2socket *socket);
/* The socket leaves queue and set. */
void wait_forget(struct h2socket *socket);
/* A descriptor is about to be closed: it may be the core's set. */
void wait_closing(int fd);

/* epoll_wait() of any set. */
int wait_epoll(int epoll, struct epoll_event *events, int max, int timeout_ms);

#endif
