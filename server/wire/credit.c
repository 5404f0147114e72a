/* credit.c - see credit.h. */
#include "server/wire/credit.h"

#include "base/base.h"
#include "flow/chan.h"
#include "flow/chan_batch.h"

static uint64_t left_of(uint64_t max, uint64_t used)
{
    return max > used ? max - used : 0;
}

static uint64_t events_left(const struct credit *credit)
{
    return credit->bounds_events ? left_of(credit->granted.events, credit->used.events) : UINT64_MAX;
}

static uint64_t bytes_left(const struct credit *credit)
{
    return credit->bounds_bytes ? left_of(credit->granted.bytes, credit->used.bytes) : UINT64_MAX;
}

void credit_grant(struct credit *credit, uint64_t events, uint64_t bytes)
{
    credit->bounds_events = credit->bounds_events || events > 0 || bytes == 0;
    credit->bounds_bytes = credit->bounds_bytes || bytes > 0;
    credit->granted.events += MIN_OF(events, UINT64_MAX - credit->granted.events);
    credit->granted.bytes += MIN_OF(bytes, UINT64_MAX - credit->granted.bytes);
}

bool credit_limit_reached(const struct credit *credit)
{
    return credit->limit_events > 0 && credit->used.events >= credit->limit_events;
}

uint64_t credit_events(const struct credit *credit, struct chan *chan)
{
    uint64_t max = events_left(credit);

    if (credit->limit_events > 0)
        max = MIN_OF(max, left_of(credit->limit_events, credit->used.events));
    if (credit->bounds_bytes && bytes_left(credit) < chan_next_bytes(chan))
        max = 0;
    return max;
}

uint64_t credit_bytes(const struct credit *credit)
{
    return MAX_OF(bytes_left(credit), UINT64_C(1));
}

struct totals credit_left(const struct credit *credit)
{
    return (struct totals){events_left(credit), bytes_left(credit)};
}

bool credit_starves(const struct credit *credit, struct chan *chan)
{
    uint32_t next_bytes = credit->bounds_events || credit->bounds_bytes ? chan_next_bytes(chan) : 0;

    return next_bytes > 0 && (events_left(credit) == 0 || bytes_left(credit) < next_bytes);
}

int64_t credit_due_at(const struct credit *credit, struct chan *chan, int64_t timeout_ns)
{
    int64_t since_ns = credit->bounds_events || credit->bounds_bytes ? chan_fallback_since(chan) : INT64_MAX;

    return since_ns != INT64_MAX && credit_starves(credit, chan) ? since_ns + timeout_ns : INT64_MAX;
}

bool credit_is_over(const struct credit *credit, struct chan *chan)
{
    return credit->final && credit_starves(credit, chan);
}
