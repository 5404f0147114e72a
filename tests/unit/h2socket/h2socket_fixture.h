/* h2socket_fixture.h - a test that plays gRPC core: it watches sockets edge-triggered, and reads
 * and writes them by the functions that stand in front of libc's. */
#ifndef TRIBUTARY_TESTS_UNIT_H2SOCKET_H2SOCKET_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_H2SOCKET_H2SOCKET_FIXTURE_H

#include <sys/socket.h>

#include "base/clock.h"
#include "base/counters.h"
#include "h2socket/h2socket.h"
#include "lib/frames.h"

#define MAX_EVENTS 100 /* of one epoll_wait(); the core's number */

struct h2socket_fixture {
    int epoll;
    int log; /* a file */
    struct h2guard_limits limits;
    struct peer_key peer; /* of the next connections; NO_PEER at first */
};

enum transport { UNIX, TCP };

/* A connection: the core's end stands in the table, the peer's does not. Neither blocks. */
struct ends {
    int core;
    int peer;
};

/* Limits under which a byte of a payload costs 1, and nothing else costs anything: a turn is so
 * many bytes of payloads. Times and waste have no bound. A test may change them before it
 * connects. */
void fixture_init(struct h2socket_fixture *fixture, int64_t turn_bytes);
void fixture_fini(struct h2socket_fixture *fixture);

/* Makes a connection, whose core's end is in the table and is watched. */
void fixture_connect(struct h2socket_fixture *fixture, enum transport transport, struct ends *pair);
/* As above; watched is false for an end that stands in the table only. `limits` may be NULL. */
void fixture_connect_with(struct h2socket_fixture *fixture, enum transport transport,
                          const struct h2guard_limits *limits, bool watched, struct ends *pair);
/* Watches the core's end, but not for room to write. Returns what epoll_ctl() does. */
int fixture_watch(struct h2socket_fixture *fixture, struct ends *pair);
/* Closes what is open, and checks all sockets. */
void fixture_disconnect(struct ends *pair);

/* Sends all of it from the peer. The socket has room for it. Empties the buffer. */
void peer_sends(const struct ends *pair, struct buf *buf);
/* Sends preface, SETTINGS and HEADERS of stream 1: START_BYTES, of which START_COST are paid. */
void peer_starts(const struct ends *pair);
#define START_COST 20u
#define START_BYTES (24u + 9u + 9u + START_COST)
/* Sends a DATA frame of stream 1 with one message; `size` bytes, its prefix included, are paid. */
void peer_sends_message(const struct ends *pair, uint32_t size);

/* One read of the core, into one piece. As recvmsg(). */
ssize_t core_reads(const struct ends *pair, void *data, size_t size);
/* Reads until an error or the end of the stream. Returns the bytes; *error_out is errno, 0 at the
 * end of the stream. */
size_t core_reads_all(const struct ends *pair, int *error_out);
/* Sends bytes from the core's end. As sendmsg(). */
ssize_t core_sends(const struct ends *pair, const void *data, size_t size);

/* One epoll_wait() with room for `max` events. Returns their number. */
int core_polls_for(struct h2socket_fixture *fixture, int max, int timeout_ms);
/* The same with MAX_EVENTS. */
int core_polls(struct h2socket_fixture *fixture, int timeout_ms);
/* The connection of event `i` of the latest poll. */
const struct ends *core_event(int i);
/* The events of event `i`. */
uint32_t core_event_bits(int i);

/* What was logged. Valid until the next call. */
const char *fixture_log(struct h2socket_fixture *fixture);
/* How many log lines have this text. */
size_t fixture_log_count(struct h2socket_fixture *fixture, const char *text);

#endif
