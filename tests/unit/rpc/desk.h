/* desk.h - a publishing stream at a desk: its code and the engine are real; the call and the wire
 * thread under it are played, so that each message, tick and ending comes exactly when the test
 * says.
 *
 * Provides the verbs of call.h and thread.h, in place of the room's own. */
#ifndef TRIBUTARY_TESTS_UNIT_RPC_DESK_H
#define TRIBUTARY_TESTS_UNIT_RPC_DESK_H

#include "seam/hub_fixture.h"
#include "server/rpc/rpc_internal.h"
#include "server/wire/thread.h"

struct wire_thread {
    bool busy; /* as the test says */
    struct framing_scan scan;
    struct list early, ready;
    struct heap timers;
    struct task *inbox, **inbox_end;
    int64_t now_ns;
};

struct call {
    struct wire_thread *thread;
    void *own;
    enum { DESK_OPEN, DESK_FINISHED, DESK_ENDED, DESK_CLOSED } state;
    unsigned pins;
    bool reading, sending;
    struct fault fault; /* of its status, once it is finished */
};

struct desk {
    struct hub_fixture fixture;
    struct rpc rpc;
    struct wire_thread thread;
    struct call call;
    struct consumer consumer;
    bool deaf; /* the peer does not take its answers */
    /* What it was told, of all answers so far. */
    uint64_t confirmed, last_sequence, epoch;
    char refused[512]; /* "3 BAD_UTF8, 5 UNKNOWN_ENUM" */
};

/* A busy thread, a consumer of everything, and a stream that has published one event ("-"),
 * confirmed and read: the first message makes the producer, and is never joined. `blocks`: the
 * consumer blocks as soon as more than two events wait; for an hour, unless somebody gives up. */
void desk_open(struct desk *desk, bool blocks);
/* Half-closes where the call is still open, and expects this status; checks that nothing is
 * left. */
void desk_close(struct desk *desk, enum fault_reason status);

/* One message arrives, which must be awaited: an event for each letter, with it as its key. */
void desk_say(struct desk *desk, const char *letters);
void desk_say_each(struct desk *desk, const char *letters);  /* a message for each */
void desk_say_bytes(struct desk *desk, struct buf *message); /* any; frees it */
void desk_say_bad_text(struct desk *desk);                   /* a topic that is not UTF-8 */
void desk_half_close(struct desk *desk);
void desk_lose(struct desk *desk);
/* The server drains: first the engine, then the call hears of it. */
void desk_drain(struct desk *desk);

/* one tick of the wire thread, a millisecond later; an answer in flight has landed */
void desk_tick(struct desk *desk);
void desk_settle(struct desk *desk); /* ticks, and turns of the loop, until nothing moves */

/* The letters of what waits for the consumer, in the order of delivery; sequences must rise without
 * a hole within an epoch, and from 1 in a new one. Valid until the next call. */
const char *desk_read(struct desk *desk);

/* Expects so many messages and chunks in, and batches refused, since the process began. */
void desk_counted(int64_t messages, int64_t chunks, int64_t refused);

#endif
