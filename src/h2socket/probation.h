/* probation.h - peers of which the guard has ended a connection lately. Their new connections begin
 * on probation: they share a small budget, so that a peer gains nothing when it opens a new
 * connection for each one that was ended.
 *
 * There is place for 1024 peers. Where two peers meet in one place, the one that is there stays
 * until its time is over, and the other one is not noted.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_PROBATION_H
#define TRIBUTARY_H2SOCKET_PROBATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/peer.h"

/* How long after an end a new connection of the peer begins on probation, and how long that
 * lasts. */
#define PROBATION_NS INT64_C(5000000000)

/* The guard has ended a connection of this peer. PEER_NONE is never on probation. */
void probation_note(struct peer_key peer, int64_t now_ns);

/* A connection of this peer begins. Returns how many of the peer's connections are on probation,
 * with this one; 0: this one is not. Where it is not 0, call probation_leave() once. */
uint32_t probation_begin(struct peer_key peer, int64_t now_ns);

/* A connection that began on probation has closed, or its probation is over. */
void probation_leave(struct peer_key peer);

#endif
