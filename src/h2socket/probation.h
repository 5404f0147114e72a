/* probation.h - peers of which the guard has ended connections lately. Their new connections begin
 * on probation: the first read waits, longer after each end, and little waste ends them. So a peer
 * gains nothing when it opens a new connection for each one that was ended.
 *
 * There is place for 1024 peers. Where two peers meet in one place, the one that is there stays
 * until its time is over, and the other one is not noted.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_PROBATION_H
#define TRIBUTARY_H2SOCKET_PROBATION_H

#include <stdint.h>

#include "base/peer.h"

#define PROBATION_NS INT64_C(5000000000)          /* after the latest end */
#define PROBATION_DELAY_NS INT64_C(50000000)      /* for each end */
#define MAX_PROBATION_DELAY_NS INT64_C(500000000) /* of one connection */

/* The guard has ended a connection of this peer. PEER_NONE is never on probation. */
void probation_note(struct peer_key peer, int64_t now_ns);

/* How long a connection of this peer that begins now must wait, in nanoseconds. 0: the peer is not
 * on probation. */
int64_t probation_delay_ns(struct peer_key peer, int64_t now_ns);

#endif
