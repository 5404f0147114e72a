/* change_view.c - see change_view.h. */
#include "server/rpc/change_view.h"

#include "base/clock.h"
#include "event/field_write.h"
#include "hub/change_log.h"
#include "proto/field_numbers.h"
#include "server/rpc/endpoint_view.h"
#include "server/rpc/views.h"
#include "tributary/v1/admin.pb-c.h"

static void write_producer(const struct change *change, struct buf *bytes)
{
    field_bytes(bytes, PB_PRODUCER_NAME, change->name);
    field_varint(bytes, PB_PRODUCER_KIND,
                 change->is_endpoint  ? TRIBUTARY__V1__PRODUCER__KIND__ENDPOINT
                 : change->is_session ? TRIBUTARY__V1__PRODUCER__KIND__SESSION
                 : change->is_relayed ? TRIBUTARY__V1__PRODUCER__KIND__RELAYED
                 : change->is_topic   ? TRIBUTARY__V1__PRODUCER__KIND__TOPIC
                                      : TRIBUTARY__V1__PRODUCER__KIND__TRANSIENT);
    field_varint(bytes, PB_PRODUCER_STATE, change->state);
    field_fixed64(bytes, PB_PRODUCER_EPOCH, change->epoch);
    field_text(bytes, PB_PRODUCER_PEER, change->peer);
    field_varint(bytes, PB_PRODUCER_PER_CONSUMER, change->per_consumer);
    if (change->failure.code != CODE_OK)
        endpoint_write_failure(&change->failure, bytes);
}

static void write_subscription(const struct change *change, struct buf *bytes)
{
    field_bytes(bytes, PB_SUBSCRIPTION_ID, change->name);
    field_bytes(bytes, PB_SUBSCRIPTION_NAME, change->own_name);
    field_text(bytes, PB_SUBSCRIPTION_PEER, change->peer);
    field_fixed64(bytes, PB_SUBSCRIPTION_STARTED_UNIX_NANO, (uint64_t)change->started_wall_ns);
}

void change_write(const struct change *change, struct buf *answer)
{
    struct buf entry = {0}, object = {0};

    field_varint(&entry, PB_CHANGE_KIND, change->kind);
    field_varint(&entry, PB_CHANGE_NUMBER, change->number);
    field_fixed64(&entry, PB_CHANGE_TIME_UNIX_NANO, (uint64_t)change->wall_ns);
    if (change->is_subscription)
        write_subscription(change, &object);
    else
        write_producer(change, &object);
    field_message(&entry, change->is_subscription ? PB_CHANGE_SUBSCRIPTION : PB_CHANGE_PRODUCER, &object);
    field_text(&entry, PB_CHANGE_REASON, change->reason);
    field_message(answer, PB_WATCH_RESPONSE_CHANGES, &entry);
}

/* Begins a Change that is no change at the server. */
static void begin(struct buf *entry, unsigned kind)
{
    field_varint(entry, PB_CHANGE_KIND, kind);
    field_fixed64(entry, PB_CHANGE_TIME_UNIX_NANO, (uint64_t)clock_wall_ns());
}

void change_write_producer(const struct producer_view *view, struct buf *answer)
{
    struct buf entry = {0}, object = {0};

    begin(&entry, TRIBUTARY__V1__CHANGE__KIND__PRESENT);
    producer_write(view, &object);
    field_message(&entry, PB_CHANGE_PRODUCER, &object);
    field_message(answer, PB_WATCH_RESPONSE_CHANGES, &entry);
}

void change_write_subscription(const struct subscription_view *view, struct buf *answer)
{
    struct buf entry = {0}, object = {0};

    begin(&entry, TRIBUTARY__V1__CHANGE__KIND__PRESENT);
    subscription_write(view, false, &object);
    field_message(&entry, PB_CHANGE_SUBSCRIPTION, &object);
    field_message(answer, PB_WATCH_RESPONSE_CHANGES, &entry);
}

void change_write_complete(struct buf *answer)
{
    struct buf entry = {0};

    begin(&entry, TRIBUTARY__V1__CHANGE__KIND__SNAPSHOT_COMPLETE);
    field_message(answer, PB_WATCH_RESPONSE_CHANGES, &entry);
}

void change_write_missed(uint64_t count, struct buf *answer)
{
    struct buf entry = {0};

    begin(&entry, TRIBUTARY__V1__CHANGE__KIND__RESYNC);
    field_varint(&entry, PB_CHANGE_MISSED, count);
    field_message(answer, PB_WATCH_RESPONSE_CHANGES, &entry);
}
