/* session_kind.h - what the kinds of sessions do, one for each mode, and what they have in common.
 *
 * Threads: the loop only, where nothing else is said. */
#ifndef TRIBUTARY_HUB_SESSION_KIND_H
#define TRIBUTARY_HUB_SESSION_KIND_H

#include "flow/producer_state.h"
#include "hub/producer_internal.h"
#include "hub/session_port.h"

struct offer;
struct put_waiter;
struct session;

/* What the sessions of one mode do. */
struct session_kind {
    struct producer_kind producer;
    enum inlet_state live_inlet; /* of the session's own inlet, while the session is LIVE */
    /* Not NULL: activations are members of shared calls (shared_call.h). &shared_call_ready_kind */
    const struct ready_kind *shared_call_ready;
    /* Whether nothing is left to wait for in a session that is CLOSING. */
    bool (*closed)(const struct session *session);
    /* session_offer() (session.h); any thread */
    enum err (*offer)(struct session *session, uint64_t activation, struct chunk *chunk,
                      struct put_waiter *waiter, struct offer *offer_out);
    /* session_give_up(); any thread */
    void (*give_up)(struct session *session, uint64_t activation, const struct put_waiter *waiter);
    /* session_end() */
    void (*end)(struct session *session, uint64_t activation, uint32_t code, const char *message,
                enum session_end_rule rule);
    /* session_report(), of an endpoint */
    void (*report)(struct session *session, uint64_t activation, enum producer_state state, uint32_t code,
                   const char *message);
};

extern const struct session_kind shared_session_kind;   /* shared_session.c */
extern const struct session_kind consumer_session_kind; /* consumer_session.c */
extern const struct session_kind request_session_kind;  /* request_session.c */

/* Every session kind's joinable() and free(). Sessions leave the map before the hub is freed. */
bool session_joinable(const struct producer *producer);
void session_free_at_end(struct producer *producer);
/* bind(), reselect() and closed() of those kinds whose consumers have activations. */
MUST_CHECK enum err session_bind_activation(struct producer *producer, struct subscription *subscription,
                                            const struct filter_part *part,
                                            const struct start_point *start_point, struct list *created);
MUST_CHECK enum err session_reselect_activation(struct producer *producer, struct subscription *subscription,
                                                const struct filter_part *part,
                                                struct reselection *reselection);
bool session_has_no_activations(const struct session *session);
/* Any thread. Counts events that nobody wants any more. ERR_CLOSED. */
enum err session_drop(const struct chunk *chunk);

/* Fills in what every session has. */
void session_view(struct session *session, struct producer_view *view);

#endif
