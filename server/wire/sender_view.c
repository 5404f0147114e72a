/* sender_view.c - how a sender stands. */
#include "server/wire/sender.h"

#include "server/wire/sender_internal.h"

struct sender_view sender_view(struct sender *sender)
{
    const struct credit *credit = &sender->credit;
    const struct totals left = credit_left(credit);

    if (!sender->chan)
        return (struct sender_view){.begun = false};
    return (struct sender_view){
        .begun = true,
        .in_flight_since_ns = sender->in_flight ? sender->sent_at_ns : INT64_MAX,
        .unwritable_since_ns = sender->socket.unwritable_since_ns,
        .unread_bytes = sender->socket.unread,
        .has_bound = credit->bounds_events || credit->bounds_bytes,
        .events_left = left.events,
        .bytes_left = left.bytes,
        .starved_since_ns = credit_starves(credit, sender->chan) ? sender->no_credit_since_ns : INT64_MAX,
        .events_at_ns = sender->events_at_ns,
        .runnable_ns = wire_runnable_ns(sender->thread),
    };
}
