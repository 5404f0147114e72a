/* socket.h - one socket as the files of this room see it.
 *
 * DESIGN
 *
 * Locks. The lock of a socket covers a system call and the report of it to the guard together: else
 * the answer to a frame could reach the guard before the frame. The core reads and writes one
 * socket on different threads. The table has a lock of its own, and so has the queue of those that
 * wait. Order: table, socket, queue.
 *
 * Life. An entry is in the table from h2socket_add() to close(). The core does not read, write or
 * watch a descriptor that it is closing, so these look up the entry without the lock of the table.
 * Whoever comes from elsewhere holds that lock. After close() the entry may linger (linger.h); its
 * peer is counted until its descriptor is closed.
 *
 * The rest. The guard may let pass less than was read. The rest is kept here and comes first in the
 * next turn. It is shorter than the portion that was read.
 *
 * Order of the files: front - read, write, socket_table - wait, end, kept - probation,
 * linger, libc_calls. */
#ifndef TRIBUTARY_H2SOCKET_SOCKET_H
#define TRIBUTARY_H2SOCKET_SOCKET_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "base/heap.h"
#include "base/list.h"
#include "h2socket/h2socket.h"

enum turn_state {
    TURN_RUNS,    /* it may read what is left of its portion */
    TURN_WAITS,   /* it is in the queue */
    TURN_RELEASED /* its next read begins a new turn */
};

struct h2socket_end {
    _Atomic unsigned refs;
    _Atomic int reason; /* enum h2guard_reason; set once */
    _Atomic uint32_t code;
    char text[H2SOCKET_END_TEXT]; /* written before `reason` is set */
    int64_t kept;                 /* h2socket_keep(); under the lock of its socket, while that is there */
};

struct h2socket {
    int fd;
    enum h2guard_role role;
    char address[H2SOCKET_PEER_CAPACITY]; /* of its peer */
    struct peer_key peer;
    _Atomic uint32_t mark; /* h2socket_set_mark() */
    struct h2socket_end *end;
    struct peer_count *count; /* of the peer, in the table's; NULL: it does not count */

    /* Under `lock`. */
    pthread_mutex_t lock;
    struct h2guard *guard; /* NULL: none */
    bool ended;            /* the guard's verdict was carried out, or nobody wants it any more */
    bool is_over;          /* nothing reaches the peer any more: it has closed, or the socket was reset */
    bool ended_by_core;    /* the core said with GOAWAY that something is wrong */
    bool was_read, was_written;
    uint64_t poll;    /* the poll after which the present turn began */
    int64_t turn_ns;  /* when it began */
    int64_t slept_ns; /* wait_slept_ns() then */
    bool is_empty;    /* the latest read took all that was there */
    bool was_empty;   /* so it was when this turn began, and threads had mostly slept since */
    uint8_t *rest;    /* NULL: none */
    size_t rest_at, rest_size;

    _Atomic int turn; /* enum turn_state */

    /* What it keeps (kept.c). Changed under `lock`. */
    _Atomic int64_t kept;
    _Atomic bool is_above; /* it added to a sum that is beyond its bound: somebody must give way */

    /* The queue's (wait.c). */
    struct heap_node place;
    struct epoll_event event;
    bool is_watched;

    /* Once the core has closed it (linger.c). */
    struct list linger_link;
    int64_t linger_until_ns;
    size_t dropped_bytes;
};

#endif
