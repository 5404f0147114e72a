/* served_call.h - a call of a client that endpoints answer by their own method (docs/fan-in.md):
 * what it has in common for its upstream calls, and what they report to it.
 *
 *   client's call ──messages, half-close──▶ served_call ──▶ each upstream call
 *                 ◀────────── ends ────────             ◀──
 *
 * The first message goes through the hub, as the request of the subscription. What the upstreams
 * send goes through its channel.
 *
 * Threads: each part says which. References: any. */
#ifndef TRIBUTARY_SERVER_DIAL_SERVED_CALL_H
#define TRIBUTARY_SERVER_DIAL_SERVED_CALL_H

#include "base/list.h"
#include "event/pair_index.h"
#include "grpc/cq_thread.h"
#include "hub/called.h"
#include "server/dial/peer_words.h"
#include "server/dial/upstream_cost.h"

/* Of one upstream; what is beyond is left out. */
#define MAX_SERVED_DETAILS_BYTES 4096u /* grpc-status-details-bin */
#define MAX_SERVED_TRAILERS 16u
#define MAX_SERVED_TRAILER_BYTES 2048u

struct served_call;
struct shared_bytes;

/* How an upstream call ended. */
struct served_end {
    struct list link;
    struct upstream_costs *costs;
    struct upstream_cost cost; /* what is left of that of its call */
    uint32_t code;             /* 0 to 16 */
    char message[PEER_WORDS_BYTES + 1];
    struct bytes details; /* grpc-status-details-bin; may be empty; owned, like the trailers' bytes */
    size_t trailer_count;
    struct pair trailers[MAX_SERVED_TRAILERS]; /* what the endpoint lets through */
    char name[];                               /* of the endpoint */
};

/* An upstream call's place. Embedded in it. */
struct served_link {
    struct served_call *call;               /* a reference; NULL: it answers no such call */
    void (*wake)(struct served_link *link); /* any thread: there is something to send */
    /* Under the call's lock. */
    struct list link;
    uint64_t next;  /* the number of its next message */
    bool is_behind; /* it has not sent the latest message yet */
    bool is_late;   /* it was not there from the beginning, and is not accepted yet */
};

struct served_call_params {
    struct bytes method;      /* copied */
    struct cq_thread *thread; /* of the client's call */
    void (*moved)(void *ctx); /* on it: no upstream is behind any more */
    void *ctx;
};

/* The reference is the caller's. NULL: out of memory. */
struct served_call *served_call_new(const struct served_call_params *params);
void served_call_release(struct served_call *call); /* NULL is allowed */
struct called *served_call_called(struct served_call *call);
struct served_call *served_call_of(struct called *called);

/* Adds a pair of the client's metadata, which is copied. What may never be sent on is left out.
 * Before there is an upstream call. False: out of memory. */
MUST_CHECK bool served_call_add_metadata(struct served_call *call, const struct pair *pair);
/* What was added. Any thread. */
const struct pair *served_call_metadata(const struct served_call *call, size_t *count_out);

/* ---- for the client's call, on its thread ---- */

/* So many upstreams were chosen, and are to join: messages behind the first one wait for them. */
void served_call_expect(struct served_call *call, uint32_t count);
/* One of those has ended. */
void served_call_expect_less(struct served_call *call);
/* Gives every upstream a message more, which is retained. False: an upstream is behind, or has not
 * joined yet. Nothing was given then, and moved() follows. */
MUST_CHECK bool served_call_send(struct served_call *call, struct shared_bytes *message);
/* The client sends no more. */
void served_call_half_close(struct served_call *call);
/* moved() is not called any more, and nobody asks for ends. */
void served_call_leave(struct served_call *call);
/* The oldest end of an endpoint of this name that was not asked for yet; served_end_free() must
 * follow. NULL: there is none. */
struct served_end *served_call_end_of(struct served_call *call, const char *name);
/* Copies the pair, unless there are too many already, or no memory for it. */
void served_end_add_trailer(struct served_end *end, const struct pair *pair);
void served_end_free(struct served_end *end); /* NULL is allowed */

/* ---- for an upstream call ---- */

/* The one answer of a unary call. Whether it is that of this upstream: the first one that asks. */
MUST_CHECK bool served_link_claim(struct served_link *link);
/* Loop. It counts as behind until it has sent the first message. One that joins beyond those that
 * are expected does not: nobody waits for it, and what is sent until then is not for it. */
void served_link_join(struct served_link *link, struct served_call *call);
/* Its thread. The upstream has accepted it; before served_link_sent(). */
void served_link_accepted(struct served_link *link);
/* Its thread. The next message after the first one; a reference of the caller's. NULL: there is
 * none now. */
struct shared_bytes *served_link_next(struct served_link *link);
/* Its thread. What it was to send has left. */
void served_link_sent(struct served_link *link);
/* Its thread. Whether the client has closed its side, and nothing is left to send. */
bool served_link_is_done(struct served_link *link);
/* Its thread, or the loop where it never began. It sends nothing more. */
void served_link_leave(struct served_link *link);
/* Its thread. Reports its end, which becomes the call's. Not where this side has stopped it: the
 * endpoint may be there anew, and the end be taken for that of the new one. */
void served_link_report(struct served_link *link, struct served_end *end);
/* Any thread, at last. */
void served_link_fini(struct served_link *link);

#endif
