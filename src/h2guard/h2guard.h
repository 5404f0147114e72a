/* h2guard.h - the guard: it walks the HTTP/2 frames of one connection, and decides what the core
 * may read.
 *
 * It sees the bytes of both directions, in any pieces. From what they cost the core it makes a
 * verdict: the bytes pass, or they wait, or the connection ends. It does no I/O and reads no clock.
 * It allocates nothing but a table of open streams, which grows up to max_streams.
 *
 * How a caller reads a connection:
 *
 *   h2guard_turn(guard, now);                 once in each turn, before the first read
 *   while ((size = h2guard_portion(guard)) > 0) {
 *       size = recv(fd, bytes, size);         or the rest of an earlier read, which comes first
 *       verdict = h2guard_in(guard, (struct bytes){bytes, size});
 *       hand on `verdict.passed` bytes; keep the rest for the next turn
 *   }
 *
 * The rest that a caller must keep is less than what h2guard_portion() allowed it to read: less
 * than max_read_bytes. The portion is what will probably pass, judged by what a byte cost in the
 * turns before. It rises to twice its size in one turn at most, and falls at once. So the first
 * turn of a flood may leave a large rest. Later ones leave a small one: less than min_read_bytes,
 * while each byte costs about the same. A caller that reads less keeps less.
 *
 * A turn passes bytes until its portion is used, and stops at the first byte at which nothing is
 * left. What used the last of it, a frame header or a message's prefix, may cost more than was
 * left. This debt is taken from the next turns. So a turn costs at most turn_cost and one such
 * header.
 *
 * Threads: one at a time. The caller's lock must cover the system call and the report of it
 * together: else the answer to a frame could arrive here before the frame. */
#ifndef TRIBUTARY_H2GUARD_H2GUARD_H
#define TRIBUTARY_H2GUARD_H2GUARD_H

#include <stdbool.h>

#include "base/base.h"
#include "h2guard/h2guard_limits.h"
#include "h2guard/h2guard_reason.h"
#include "h2guard/h2guard_stats.h"

struct h2guard;

/* Which side we are. The peer of a server opens the streams. */
enum h2guard_role { H2GUARD_SERVER, H2GUARD_CLIENT };

enum h2guard_decision {
    H2GUARD_PASS, /* all bytes may be handed on, and this turn may read more */
    H2GUARD_WAIT, /* `passed` bytes may be handed on, and this turn must not read more */
    H2GUARD_END   /* nothing may be handed on any more: close the connection */
};

struct h2guard_verdict {
    enum h2guard_decision decision;
    enum h2guard_reason reason; /* of H2GUARD_END, else H2GUARD_NO_REASON */
    size_t passed;              /* 0 with H2GUARD_END */
};

/* Makes the guard of a connection on which no byte has moved. `limits` and `counters` must outlive
 * it; many guards may share them. h2guard_limits_wrong(limits) must be NULL. NULL: out of memory.
 * */
struct h2guard *h2guard_new(enum h2guard_role role, const struct h2guard_limits *limits,
                            struct h2guard_counters *counters, int64_t now_ns);

/* A new connection begins on probation, before its first turn: its first bytes wait for `delay_ns`,
 * at most a minute, and it has a quarter of the burst of waste. Its budgets fill as usual. */
void h2guard_begin_probation(struct h2guard *guard, int64_t delay_ns);

/* Frees the guard. NULL is allowed. */
void h2guard_free(struct h2guard *guard);

/* Begins a turn: the connection gets a new portion. `now_ns` is of a monotonic clock. */
void h2guard_turn(struct h2guard *guard, int64_t now_ns);

/* The same with a smaller portion: at most `max_cost`, which is at least 1. For a caller that has
 * many connections to give a turn. */
void h2guard_short_turn(struct h2guard *guard, int64_t now_ns, int64_t max_cost);

/* How many bytes the caller may read now; at most max_read_bytes. 0: no more in this turn, or a
 * frame is held back, or the connection has ended. */
size_t h2guard_portion(const struct h2guard *guard);

/* How long a connection that waits should wait, in nanoseconds. 0: until the next turn. Where a
 * frame is held back: until the core announces room, or so long. */
int64_t h2guard_wait_ns(const struct h2guard *guard);

/* Accounts for bytes from the peer, in the order in which they came. The bytes after `passed` were
 * not accounted for: pass them again in a later turn, before newer ones. After an end the verdict
 * stays the same. */
MUST_CHECK struct h2guard_verdict h2guard_in(struct h2guard *guard, struct bytes bytes);

/* Accounts for bytes that were sent to the peer. */
void h2guard_out(struct h2guard *guard, struct bytes bytes);

/* Applies the time limits: PASS or END. Once in about a second, for a connection whose socket holds
 * no bytes that the guard was not shown: bytes that wait for a turn may have come in time. */
MUST_CHECK struct h2guard_verdict h2guard_check(struct h2guard *guard, int64_t now_ns);

/* What the connection makes the core keep, in bytes: what was received and not read, and
 * stream_bytes for each open stream. What was read counts until the core announces it to the peer
 * again, so up to half of a stream's window may count too much. 0 after an end. */
uint64_t h2guard_kept(const struct h2guard *guard);

/* Ends the connection for a reason that one connection's guard cannot see: what many of them keep
 * together. `value` broke `bound`. Does nothing after an end. */
void h2guard_end(struct h2guard *guard, enum h2guard_reason reason, uint64_t value, uint64_t bound);

/* Whether the bytes sent so far end with a whole frame. Only then may a GOAWAY follow them. */
bool h2guard_out_is_whole(const struct h2guard *guard);

/* The bytes that h2guard_goaway() needs at most. */
#define MAX_H2GUARD_GOAWAY 64u

/* Writes a GOAWAY frame with the error code of the end and the name of its reason. Returns the
 * bytes written. */
size_t h2guard_goaway(const struct h2guard *guard, uint8_t frame[MAX_H2GUARD_GOAWAY]);

/* Writes why the connection ended as one sentence, such as
 *   a message declares too many bytes: 600000000, at most 4194304 (stream 5)
 * `capacity` includes the closing NUL, and is at least 1; a longer sentence is cut. Returns the
 * length written. */
size_t h2guard_explain(const struct h2guard *guard, char *text, size_t capacity);
/* The same for the core's own end: what its latest GOAWAY says (H2GUARD_BY_CORE), such as
 *   gRPC core ended the connection: HTTP/2 error code 11, ENHANCE_YOUR_CALM */
size_t h2guard_explain_core(const struct h2guard *guard, char *text, size_t capacity);

/* What the guard has seen. Valid until the guard is freed; the next call of h2guard_stats() brings
 * all of it up to date. */
const struct h2guard_stats *h2guard_stats(struct h2guard *guard);

/* The memory of the guard, in bytes: at most MAX_H2GUARD_BYTES, and 20 bytes for each of the
 * smallest power of two slots that is at least twice max_streams (40 KiB with the defaults). */
size_t h2guard_memory(const struct h2guard *guard);
#define MAX_H2GUARD_BYTES 1280u

#endif
