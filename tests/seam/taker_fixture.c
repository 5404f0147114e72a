/* taker_fixture.c - see taker_fixture.h. */
#include "seam/taker_fixture.h"

#include "flow/chan_stats.h"

static void comma(struct owner *owner, size_t line)
{
    if (owner->transcript.size > line)
        buf_text(&owner->transcript, ", ");
}

static void write_losses(struct owner *owner, const struct taker_batch *batch, size_t line)
{
    for (uint32_t i = 0; i < batch->loss_count; i++) {
        const struct lost_note *loss = &batch->losses[i];

        comma(owner, line);
        buf_format(&owner->transcript, "lost %s %llu %llu-%llu %u", loss->source->name,
                   (unsigned long long)loss->count, (unsigned long long)loss->first_sequence,
                   (unsigned long long)loss->last_sequence, loss->reason);
    }
}

static void write_events(struct owner *owner, const struct chan_batch *events, size_t line)
{
    for (uint32_t i = 0; i < events->count; i++) {
        const struct chan_batch_entry *entry = &events->entries[i];

        comma(owner, line);
        buf_format(&owner->transcript, "%s %llu-%llu", entry->chunk->source->name,
                   (unsigned long long)chunk_sequence(entry->chunk, entry->first),
                   (unsigned long long)chunk_sequence(entry->chunk, entry->last - 1));
    }
}

static void write_states(struct owner *owner, const struct taker_batch *batch, size_t line)
{
    for (uint32_t i = 0; i < batch->state_count; i++) {
        const struct feed_change *change = &batch->states[i];

        comma(owner, line);
        buf_format(&owner->transcript, "%s is %s", change->source->name,
                   change->state == PRODUCER_ENDED     ? "ENDED"
                   : change->state == PRODUCER_REMOVED ? "REMOVED"
                                                       : "ACTIVE");
        if (change->code != 0)
            buf_format(&owner->transcript, " with %s: %s", fault_code_name((enum fault_code)change->code),
                       change->message);
    }
}

static void on_batch(void *ctx, const struct taker_batch *batch)
{
    struct owner *owner = ctx;
    size_t line = owner->transcript.size;

    CHECK(!owner->in_flight && owner->ends == 0);
    owner->in_flight = true;
    owner->batches++;
    owner->events += batch->events->events;
    owner->max_events = MAX_OF(owner->max_events, batch->events->events);
    owner->max_bytes = MAX_OF(owner->max_bytes, batch->events->bytes);
    if (batch->mark > 0)
        buf_format(&owner->transcript, "mark %u", batch->mark);
    write_losses(owner, batch, line);
    write_events(owner, batch->events, line);
    write_states(owner, batch, line);
    CHECK(owner->transcript.size > line); /* no batch is empty */
    buf_text(&owner->transcript, "\n");
    if (owner->pauses_at_batch)
        taker_pause(owner->taker);
    if (owner->closes_at_batch)
        taker_close(owner->taker);
    if (!owner->holds)
        owner_complete(owner, !owner->refuses);
    if (owner->closes_after_complete)
        taker_close(owner->taker);
}

static void on_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct owner *owner = ctx;

    CHECK(owner->closings++ == 0 && owner->ends == 0 && deadline_ns > 0);
    buf_format(&owner->transcript, "closing %d\n", (int)reason);
    if (owner->closes_at_closing)
        taker_close(owner->taker);
}

static void on_ended(void *ctx, const struct fault *fault)
{
    struct owner *owner = ctx;

    CHECK(owner->ends++ == 0 && !owner->in_flight);
    buf_format(&owner->transcript, "ended %s\n", fault_reason_name(fault->reason));
    owner->fault = *fault;
    owner->taker = NULL;
}

static const struct taker_port port = {.batch = on_batch, .closing = on_closing, .ended = on_ended};

struct taker_params taker_params_of(uint32_t max_events)
{
    return (struct taker_params){
        .subscription = subscription_params_of(NULL), .max_events = max_events, .max_bytes = MAX_TAKER_BYTES};
}

enum fault_reason owner_try(struct owner *owner, struct hub_fixture *fixture, struct taker_params params)
{
    enum fault_reason reason;

    owner->fixture = fixture;
    params.port = &port;
    params.ctx = owner;
    reason = taker_open(fixture->hub, fixture->loop, &params, &owner->taker, &owner->fault);
    if (reason)
        filter_free(params.subscription.filter);
    else
        owner->chan = chan_retain(taker_chan(owner->taker));
    return reason;
}

void owner_open(struct owner *owner, struct hub_fixture *fixture, struct taker_params params)
{
    CHECK(owner_try(owner, fixture, params) == FAULT_NONE);
}

void owner_complete(struct owner *owner, bool delivered)
{
    CHECK(owner->in_flight);
    owner->in_flight = false;
    taker_complete(owner->taker, delivered);
}

const char *owner_read(struct owner *owner)
{
    static struct buf text;
    unsigned quiet = 0;

    while (quiet < 3) {
        size_t before = owner->transcript.size;

        loop_turn(owner->fixture->loop);
        quiet = owner->transcript.size > before ? 0 : quiet + 1;
    }
    buf_clear(&text);
    buf_bytes(&text, owner->transcript.data, owner->transcript.size);
    buf_byte(&text, 0);
    CHECK(!text.broken && !owner->transcript.broken);
    buf_clear(&owner->transcript);
    return (const char *)text.data;
}

void owner_fini(struct owner *owner)
{
    owner->holds = false;
    if (owner->taker)
        taker_close(owner->taker);
    if (owner->in_flight)
        owner_complete(owner, true);
    (void)owner_read(owner);
    CHECK(owner->ends == 1 && !owner->taker);
    check_totals(owner->chan);
    chan_release(owner->chan);
    buf_fini(&owner->transcript);
}
