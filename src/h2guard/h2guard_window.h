/* h2guard_window.h - the window of a connection, which the guard may make larger for a peer at a
 * distance. guard_window.h says how it decides.
 *
 * A caller reports what it sees of the socket and of its thread. It sends what the guard announces,
 * and lets the guard change what the core announces. A caller that does none of this never lends,
 * and nothing is held back then.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_H2GUARD_WINDOW_H
#define TRIBUTARY_H2GUARD_H2GUARD_WINDOW_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/base.h"

struct h2guard;

/* Whether the guard holds back a frame for which the core's window of the connection has no room.
 * The connection waits then. The bytes for h2guard_out() that announce more room end that. */
bool h2guard_holds_back(const struct h2guard *guard);

/* Whether the bytes of the latest h2guard_out() began a round: the guard wants to know when they
 * were sent. */
bool h2guard_round_is_new(const struct h2guard *guard);
/* They were sent at this time, of the clock of h2guard_turn(). */
void h2guard_begin_round(struct h2guard *guard, int64_t now_ns);

/* Whether the server keeps up with the peer: the latest read has emptied the socket, or threads
 * mostly had nothing to do since. */
void h2guard_keeps_up(struct h2guard *guard, bool keeps_up);

/* Bytes came in this turn, and the guard was not shown them yet. Before it the socket was empty,
 * and threads mostly slept. If the peer could not send them earlier, the guard may lend it a
 * window. */
void h2guard_waited(struct h2guard *guard);

/* The bytes of h2guard_lend(). */
#define H2GUARD_LEND_BYTES 13u

/* If the guard has decided to lend a window, writes the frame that announces it to the peer. Send
 * it behind the bytes that were sent so far; h2guard_out() must not see it. If it cannot be sent,
 * nothing is lent, and a later call writes it again. Returns its size; 0: there is nothing to send
 * now. */
size_t h2guard_lend(const struct h2guard *guard, uint8_t frame[H2GUARD_LEND_BYTES]);
/* The frame of h2guard_lend() was sent. */
void h2guard_lent(struct h2guard *guard);

/* Whether the guard wants to take back what it has lent. */
bool h2guard_takes_back(const struct h2guard *guard);
/* Takes back some of it: makes announcements of the core smaller, in place, in the `count` pieces
 * that will be sent next. It changes a frame only if the pieces hold all of it, and never its size.
 * If they are not sent now, they must be sent later as they are. h2guard_out() sees what is sent.
 */
void h2guard_take_back(struct h2guard *guard, const struct iovec *pieces, size_t count);

#endif
