/* credit.h - how much a consumer allows its sender to send: the credit it grants, less what was
 * dequeued. Events and bytes are unbounded until a grant names them.
 *
 * Threads: the sender's. */
#ifndef TRIBUTARY_SERVER_WIRE_CREDIT_H
#define TRIBUTARY_SERVER_WIRE_CREDIT_H

#include <stdbool.h>

#include "flow/totals.h"

struct chan;

/* Zeroed it bounds nothing. */
struct credit {
    uint64_t limit_events;       /* of the stream; 0: no limit */
    struct totals granted, used; /* since the beginning */
    bool bounds_events, bounds_bytes;
    bool final; /* no more can be granted */
};

/* Grants so many more events and bytes, as sender_credit() says. */
void credit_grant(struct credit *credit, uint64_t events, uint64_t bytes);

/* So many events were sent as the limit allows. */
bool credit_limit_reached(const struct credit *credit);

/* How many events may be dequeued from the channel now. */
uint64_t credit_events(const struct credit *credit, struct chan *chan);
/* How many bytes may be dequeued; at least 1. */
uint64_t credit_bytes(const struct credit *credit);

/* What is left of the credit; UINT64_MAX: it does not bound events, or bytes. */
struct totals credit_left(const struct credit *credit);
/* Events wait, and the credit does not allow the next one. */
bool credit_starves(const struct credit *credit, struct chan *chan);

/* When the channel of a consumer is to be broken that had shared producers blocked, and has granted
 * no credit for `timeout_ns` since: clock_mono_ns(). INT64_MAX: it grants some, or it had none
 * blocked. */
int64_t credit_due_at(const struct credit *credit, struct chan *chan, int64_t timeout_ns);

/* What waits, waits for credit that cannot come. */
bool credit_is_over(const struct credit *credit, struct chan *chan);

#endif
