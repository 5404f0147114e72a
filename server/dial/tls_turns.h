/* tls_turns.h - the TLS handshakes of one thread take turns. One costs the thread 1.5 ms, so
 * a thousand at once would stop it for as long as they last.
 *
 *   IDLE --request--> WAITING --its turn--> RUNNING --leave--> IDLE
 *                    `------leave----------------------------^
 *
 * MAX_TLS_HANDSHAKES run at a time. A peer that lets a handshake wait costs the thread nothing:
 * after TLS_TURN_NS the next one begins all the same. So silent peers do not keep others waiting
 * for long: MAX_TLS_HANDSHAKES begin in each TLS_TURN_NS. Those that did not come about the last
 * time wait apart: while others wait, at most MAX_SLOW_HANDSHAKES of them begin beside those that
 * run. So others do not wait for all silent peers that there are.
 *
 * Threads: one wire thread. */
#ifndef TRIBUTARY_SERVER_DIAL_TLS_TURNS_H
#define TRIBUTARY_SERVER_DIAL_TLS_TURNS_H

#include "base/list.h"
#include "grpc/cq_thread.h"

#define MAX_TLS_HANDSHAKES 8u
#define MAX_SLOW_HANDSHAKES 2u
#define TLS_TURN_NS INT64_C(100000000)

struct tls_turns {
    struct cq_thread *cq;
    struct list waiting, slow_waiting; /* struct tls_turn */
    struct list running;               /* the same, in the order of their ends */
    unsigned running_count, slow_running_count;
    struct cq_timer timer; /* the end of the first turn */
};

/* Embedded in what has the handshake. Zeroed but for begin(), and tls_turn_init(). */
struct tls_turn {
    struct list link;
    bool is_slow; /* set before the request: the last one of this upstream did not come about */
    bool is_running;
    int64_t end_ns;                       /* of its turn */
    void (*begin)(struct tls_turn *turn); /* its turn has come */
};

void tls_turns_init(struct tls_turns *turns, struct cq_thread *cq);
void tls_turn_init(struct tls_turn *turn, void (*begin)(struct tls_turn *turn));

/* begin() follows once, now or later. The handshake must be idle. */
void tls_turn_request(struct tls_turns *turns, struct tls_turn *turn);
/* The handshake is over, or nobody wants it any more. begin() of another one may be called now.
 * Does nothing where it is idle. */
void tls_turn_leave(struct tls_turns *turns, struct tls_turn *turn);

#endif
