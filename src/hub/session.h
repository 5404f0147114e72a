/* session.h - sessions: producers that register and stay connected.
 *
 * Threads: the loop, except session_offer(), session_give_up() and session_unblocked(). */
#ifndef TRIBUTARY_HUB_SESSION_H
#define TRIBUTARY_HUB_SESSION_H

#include "base/peer.h"
#include "base/status.h"
#include "event/filter.h"
#include "flow/producer_state.h"
#include "hub/session_port.h"
#include "route/history.h"

struct chunk;
struct endpoint_rules;
struct hub;
struct offer;
struct put_waiter;
struct session;
struct source_loss;

struct session_params {
    struct bytes name;         /* must have passed name_check() */
    const struct pair *labels; /* copied */
    size_t label_count;
    const struct bytes *topics; /* copied */
    size_t topic_count;
    /* PER_CONSUMER: what it serves to callers of --fan-in (event/serve_entry.h). Copied; they must
     * be good. At most MAX_SERVE_ENTRIES. */
    const struct bytes *serve;
    size_t serve_count;
    bool serves_only; /* it publishes nothing to others */
    enum session_mode mode;
    bool same_request;             /* BY_REQUEST: as if all consumers had sent an empty request */
    struct history_bounds history; /* zero: as transient producers have it. Else it is charged */
    bool reject_duplicate;         /* false: replace a session that has the name */
    /* False (STOP_FIRST): the new session waits until the older one has ended, or was aborted after
     * 1 s. True: the new one begins at once. */
    bool start_first;
    const char *peer;         /* copied */
    struct peer_key peer_key; /* whom the name is charged to */
    const struct session_port *port;
    void *ctx;
    /* The server dials the producer: the session is an endpoint, and session_report() says how that
     * goes. Copied. NULL: the producer has dialled in. */
    const struct endpoint_rules *endpoint;
};

/* Registers a session. A transient producer of this name is replaced at once: its inlet is removed,
 * and its next call is refused with NAME_TAKEN while the session lives.
 *
 * The name is charged to the peer of the newest session of that name, from this call on. A session
 * that replaces a producer of the same peer needs no free share.
 *
 * FAULT_NONE: hub_unregister() must follow in the end. NAME_TAKEN, TOO_MANY_PRODUCERS,
 * PEER_PRODUCERS, MEMORY_BUDGET, DRAINING: nothing was registered. */
MUST_CHECK enum fault_reason hub_register(struct hub *hub, const struct session_params *params,
                                          struct session **session_out, struct fault *fault);

/* Whether hub_register() would refuse these now, but for the memory that labels and topics take.
 * Only the name, who is charged, and reject_duplicate count. FAULT_NONE, or its faults; nothing
 * changes. */
MUST_CHECK enum fault_reason hub_may_register(struct hub *hub, const struct session_params *params,
                                              struct fault *fault);

/* The call has ended. What the session published stays queued. Its activations have ended: with OK
 * where `reason` is NONE, otherwise with UNAVAILABLE. The session is freed when its last offer has
 * returned and its last put waiter was notified. */
void hub_unregister(struct session *session, enum fault_reason reason);

/* Any thread, until hub_unregister(). Offers a chunk to the shared inlet (activation 0, with a
 * waiter, as inlet_offer()), to one activation (`waiter` NULL: it never waits), or in mode
 * BY_REQUEST to a shared call (its number, with a waiter).
 *
 *   ERR_OK         as inlet_offer()
 *   ERR_AGAIN      as inlet_offer(): session_unblocked() must follow
 *   ERR_CLOSED     the activation has ended, the session is over or not welcomed yet, or the hub
 *                  drains. The events were dropped and counted; this is no error of the producer's.
 *   ERR_NOT_FOUND  the activation was never started
 *   ERR_INVALID    activation 0 in another mode than SHARED, or another one in mode SHARED */
MUST_CHECK enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk,
                                  struct put_waiter *waiter, struct offer *offer_out);

/* Any thread, until hub_unregister(). Events that would have been offered to `activation`, as for
 * session_offer(), were lost before they reached the session: its consumers hear that, as of
 * inlet_lose() (route/relay.h). Does nothing where it has ended. */
void session_lose(struct session *session, uint64_t activation, const struct source_loss *loss);

/* Any thread, until hub_unregister(). As inlet_give_up(). `activation` as it was offered to. */
void session_give_up(struct session *session, uint64_t activation, const struct put_waiter *waiter);

/* Any thread, also after hub_unregister(). As inlet_unblocked(). `activation` as it was offered to;
 * where it is not 0 this takes a lock of the session, so not from within the waiter's over(). */
void session_unblocked(struct session *session, uint64_t activation);

/* The producer says that an activation has ended, whether it was stopped or not. It comes after the
 * activation's last offer. `code` 0: it is complete. Otherwise it has failed. Where `rule` says so,
 * and while its consumer and its session go on, it is started again, under another number, after a
 * second and later after up to 30; of an endpoint after what its rules say. After code 0 that is
 * the first wait each time. With `end_when_all_ended` it is not started again: there a failure is
 * an end. Does nothing where the activation is unknown or has ended.
 *
 * Whoever stops an activation and aborts it at the deadline itself says EXPIRED: then it is the
 * same whether that comes first or the hub's own timer.
 *
 * Its consumer gets ENDED, with code and message. Where an activation of an endpoint has failed and
 * is started again, it gets UNAVAILABLE. */
void session_end(struct session *session, uint64_t activation, uint32_t code, const char *message,
                 enum session_end_rule rule);

/* Endpoints only: how the upstream call of an activation goes. It is CONNECTING, as it begins, or
 * ACTIVE. Its consumer hears that. Does nothing where the activation is unknown or has ended.
 *
 * In mode SHARED `activation` is 0, and the state may be UNAVAILABLE too, with its cause. `code` 0:
 * there is none. `message` may be NULL; at most 256 bytes of it are copied. All consumers hear it,
 * in portions: of states that come fast each hears some, and always the last one. */
void session_report(struct session *session, uint64_t activation, enum producer_state state, uint32_t code,
                    const char *message);

#endif
