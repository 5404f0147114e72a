/* session_kind.h - what the kinds of sessions do, one for each mode, and what they have in common.
 *
 * Threads: the loop only, where nothing else is said. */
#ifndef TRIBUTARY_HUB_SESSION_KIND_H
#define TRIBUTARY_HUB_SESSION_KIND_H

#include "flow/producer_state.h"
#include "hub/producer_internal.h"

struct offer;
struct put_waiter;
struct session;

/* What the sessions of one mode do. */
struct session_kind {
    struct producer_kind producer;
    enum inlet_state live_inlet; /* of the session's own inlet, while the session is LIVE */
    /* Whether nothing is left to wait for in a session that is CLOSING. */
    bool (*closed)(const struct session *session);
    /* session_offer() (session.h); any thread */
    enum err (*offer)(struct session *session, uint64_t activation, struct chunk *chunk,
                      struct put_waiter *waiter, struct offer *offer_out);
    /* session_report() (session.h), of an endpoint */
    void (*report)(struct session *session, uint64_t activation, enum producer_state state, uint32_t code,
                   const char *message);
};

extern const struct session_kind shared_session_kind;   /* shared_session.c */
extern const struct session_kind consumer_session_kind; /* consumer_session.c */

/* Every session kind's joinable() and free(). Sessions leave the map before the hub is freed. */
bool session_joinable(const struct producer *producer);
void session_free_at_end(struct producer *producer);
/* Any thread. Counts events that nobody wants any more. ERR_CLOSED. */
enum err session_drop(const struct chunk *chunk);

/* Fills in what every session has. */
void session_view(struct session *session, struct producer_view *view);

#endif
