/* rpc_fixture.h - one PublishStream call with the real service and the real hub. The call and the
 * wire thread under it are fakes, so the test decides when each message, poll and ending comes.
 *
 * It defines the functions of call.h, thread.h and cq_thread.h that the service calls, and
 * rpc_add_method(), in place of the real ones. It counts how often a message is scanned, brought
 * into one piece and kept (with --wrap). */
#ifndef TRIBUTARY_TESTS_UNIT_RPC_RPC_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_RPC_RPC_FIXTURE_H

#include "seam/hub_fixture.h"
#include "server/rpc/rpc_internal.h"
#include "server/wire/thread.h"

struct cq_thread {
    struct list early_hooks, hooks;
    struct heap timers;
    struct task *inbox, **inbox_end;
    int64_t now_ns;
};

struct wire_thread {
    bool busy; /* the test sets it */
    struct framing_scan scan;
    struct cq_thread *cq;
};

struct call {
    struct wire_thread *thread;
    void *own;
    enum { CALL_OPEN, CALL_FINISHED, CALL_ENDED, CALL_CLOSED } state;
    unsigned pins;
    bool reading, sending;
    struct fault fault; /* of its status, once it is finished */
};

struct rpc_fixture {
    struct hub_fixture hub_fixture;
    struct rpc rpc;
    const struct call_port *port; /* of PublishStream */
    struct wire_thread thread;
    struct cq_thread cq;
    struct call call;
    struct consumer consumer;
    bool peer_reads_nothing; /* no answer is accepted */
    unsigned pieces;         /* into which the core cuts each message; 0 is 1 */
    bool is_inflated;        /* each message came compressed */
    unsigned messages;       /* that arrived */
    /* From all answers so far. */
    uint64_t confirmed, last_sequence, epoch;
    char refused[512]; /* "3 BAD_UTF8, 5 UNKNOWN_ENUM" */
};

/* Sets up a busy thread, a consumer of everything, and a stream that has published one event ("-"),
 * which is confirmed and read: the first message makes the producer, and is never coalesced.
 * `blocks`: the consumer's channel blocks beyond two events, for an hour, unless the publisher
 * gives up. */
void rpc_fixture_open(struct rpc_fixture *fixture, bool blocks);
/* Half-closes a call that is still open, expects this status, and checks that nothing is left, and
 * that no message was scanned twice. */
void rpc_fixture_close(struct rpc_fixture *fixture, enum fault_reason status);

/* One message arrives. The call must be reading. Each letter is an event with that letter as its
 * key. */
void rpc_fixture_publish(struct rpc_fixture *fixture, const char *letters);
/* The same with one message for each letter. */
void rpc_fixture_publish_each(struct rpc_fixture *fixture, const char *letters);
/* The same with any bytes, which it frees. */
void rpc_fixture_publish_bytes(struct rpc_fixture *fixture, struct buf *message);
/* The same with an event whose topic is not UTF-8. */
void rpc_fixture_publish_bad_text(struct rpc_fixture *fixture);
void rpc_fixture_half_close(struct rpc_fixture *fixture);
void rpc_fixture_lose_call(struct rpc_fixture *fixture);
/* The server drains: first the hub, then the call is notified. */
void rpc_fixture_drain(struct rpc_fixture *fixture);

/* The wire thread polls once, a millisecond later. An answer in flight was sent. */
void rpc_fixture_poll(struct rpc_fixture *fixture);
/* Polls, and turns the loop, until nothing moves any more. */
void rpc_fixture_run(struct rpc_fixture *fixture);

/* Returns the letters of what waits for the consumer, in the order of delivery. Expects that
 * sequences rise by 1 within an epoch, and start at 1 in a new one. Valid until the next call. */
const char *rpc_fixture_read(struct rpc_fixture *fixture);

/* Expects that every message so far was brought into one piece and scanned once, and that so many
 * of them were kept as the memory of a chunk. */
void rpc_fixture_expect_scanned_once(struct rpc_fixture *fixture, unsigned kept);
/* Expects so many messages and chunks in, and batches refused, since the process began. */
void rpc_fixture_expect_counts(int64_t messages, int64_t chunks, int64_t refused);

#endif
