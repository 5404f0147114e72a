/* views.c - fills the API's messages from the hub's views. It runs on the loop, so all numbers of a
 * view are of one moment. */
#include "server/rpc/views.h"

#include <stdlib.h>
#include <string.h>

#include "event/chunk.h"
#include "event/field_write.h"
#include "flow/chan_stats.h"
#include "flow/totals.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_view.h"
#include "server/rpc/subscriber.h"
#include "tributary/v1/admin.pb-c.h"

#define MAX_SOURCES 1000u
#define MAX_NAME_BYTES 256u

/* A name as a C string. Names hold no NUL and have at most MAX_NAME_BYTES. */
struct name {
    char text[MAX_NAME_BYTES + 1];
};

static char *name_copy(struct name *name, struct bytes bytes)
{
    size_t size = MIN_OF(bytes.size, MAX_NAME_BYTES);

    if (size > 0)
        memcpy(name->text, bytes.data, size);
    name->text[size] = '\0';
    return name->text;
}

static Tributary__V1__Totals *totals_fill(Tributary__V1__Totals *message, struct totals totals)
{
    tributary__v1__totals__init(message);
    message->events = totals.events;
    message->bytes = totals.bytes;
    return message;
}

/* Labels and topics as C strings, which protobuf-c needs. One block of memory holds all bytes. */
struct texts {
    Tributary__V1__Producer__LabelsEntry *entries, **labels;
    char **topics;
    char *bytes, *end;
};

static void texts_fini(struct texts *texts)
{
    free(texts->entries);
    free(texts->labels);
    free(texts->topics);
    free(texts->bytes);
}

static char *text_copy(struct texts *texts, struct bytes from)
{
    char *text = texts->end;

    if (from.size > 0)
        memcpy(text, from.data, from.size);
    text[from.size] = '\0';
    texts->end += from.size + 1;
    return text;
}

static size_t texts_size(const struct producer_view *view)
{
    size_t size = 1;

    for (size_t i = 0; i < view->label_count; i++)
        size += view->labels[i].name.size + view->labels[i].value.size + 2;
    for (size_t i = 0; i < view->topic_count; i++)
        size += view->topics[i].size + 1;
    return size;
}

static bool texts_fill(struct texts *texts, const struct producer_view *view)
{
    texts->entries = calloc(view->label_count + 1, sizeof(*texts->entries));
    texts->labels = calloc(view->label_count + 1, sizeof(*texts->labels));
    texts->topics = calloc(view->topic_count + 1, sizeof(*texts->topics));
    texts->bytes = malloc(texts_size(view));
    texts->end = texts->bytes;
    if (!texts->entries || !texts->labels || !texts->topics || !texts->bytes) {
        texts_fini(texts);
        return false;
    }
    for (size_t i = 0; i < view->label_count; i++) {
        tributary__v1__producer__labels_entry__init(&texts->entries[i]);
        texts->entries[i].key = text_copy(texts, view->labels[i].name);
        texts->entries[i].value = text_copy(texts, view->labels[i].value);
        texts->labels[i] = &texts->entries[i];
    }
    for (size_t i = 0; i < view->topic_count; i++)
        texts->topics[i] = text_copy(texts, view->topics[i]);
    return true;
}

void producer_write(const struct producer_view *view, struct buf *answer)
{
    Tributary__V1__Producer producer = TRIBUTARY__V1__PRODUCER__INIT;
    Tributary__V1__Totals published, lost_upstream;
    struct texts texts;
    struct name name;

    if (!texts_fill(&texts, view)) {
        answer->broken = true;
        return;
    }
    producer.name = name_copy(&name, view->name);
    producer.kind = view->is_endpoint  ? TRIBUTARY__V1__PRODUCER__KIND__ENDPOINT
                    : view->is_session ? TRIBUTARY__V1__PRODUCER__KIND__SESSION
                    : view->is_relayed ? TRIBUTARY__V1__PRODUCER__KIND__RELAYED
                    : view->is_topic   ? TRIBUTARY__V1__PRODUCER__KIND__TOPIC
                                       : TRIBUTARY__V1__PRODUCER__KIND__TRANSIENT;
    producer.state = (Tributary__V1__ProducerState)view->state;
    producer.epoch = view->epoch;
    producer.last_sequence = view->last_sequence;
    producer.published = totals_fill(&published, view->published);
    producer.open_calls = view->is_endpoint ? endpoint_open_calls(view) : view->open_calls;
    producer.blocked_calls = view->blocked_calls;
    producer.subscriptions = view->subscriptions;
    producer.last_event_unix_nano = (uint64_t)view->last_event_wall_ns;
    producer.peer = (char *)(view->peer ? view->peer : "");
    producer.n_labels = view->label_count;
    producer.labels = texts.labels;
    producer.n_topics = view->topic_count;
    producer.topics = texts.topics;
    producer.per_consumer = view->per_consumer;
    producer.activations = view->activations;
    producer.paused_activations = view->paused_activations;
    producer.expired_activations = view->expired_activations;
    if (view->is_relayed || view->is_endpoint)
        producer.lost_upstream = totals_fill(&lost_upstream, view->lost_upstream);
    encode(&producer.base, answer);
    if (view->is_endpoint)
        endpoint_write(view, answer);
    texts_fini(&texts);
}

/* Writes a LossOfSource as this field of a Subscription. `stats->source` NULL: it is of no one
 * source. */
static void loss_of_source_write(const struct feed_stats *stats, uint32_t field, struct buf *answer)
{
    Tributary__V1__Subscription__LossOfSource message = TRIBUTARY__V1__SUBSCRIPTION__LOSS_OF_SOURCE__INIT;
    Tributary__V1__Totals accepted, delivered, dropped, queued;
    struct buf source = {0};
    struct name name;

    if (stats->source) {
        message.source = name_copy(&name, source_name(stats->source));
        message.epoch = stats->source->epoch;
    }
    message.accepted = totals_fill(&accepted, stats->accepted);
    message.delivered = totals_fill(&delivered, stats->delivered);
    message.dropped = totals_fill(&dropped, stats->dropped);
    message.queued = totals_fill(&queued, stats->queued);
    encode(&message.base, &source);
    field_message(answer, field, &source);
}

/* Called under the channel's lock, so it only writes. */
static void source_write(void *ctx, const struct feed_stats *stats)
{
    loss_of_source_write(stats, PB_SUBSCRIPTION_SOURCES, ctx);
}

/* The reasons that have lost events. */
struct losses {
    Tributary__V1__Subscription__LossOfReason messages[LOSS_COUNT];
    Tributary__V1__Subscription__LossOfReason *pointers[LOSS_COUNT];
    Tributary__V1__Totals dropped[LOSS_COUNT];
    size_t count;
};

static void losses_fill(struct losses *losses, const struct chan_stats *stats)
{
    losses->count = 0;
    for (size_t i = 0; i < LOSS_COUNT; i++) {
        Tributary__V1__Subscription__LossOfReason *message = &losses->messages[losses->count];

        if (stats->dropped[i].events == 0 && stats->dropped[i].bytes == 0)
            continue;
        tributary__v1__subscription__loss_of_reason__init(message);
        message->reason = (Tributary__V1__LossReason)i;
        message->lost = totals_fill(&losses->dropped[losses->count], stats->dropped[i]);
        losses->pointers[losses->count++] = message;
    }
}

/* The sources come first, then the plain fields, then the settings. Fields may come in any
 * order. */
void subscription_write(const struct subscription_view *view, bool sources, struct buf *answer)
{
    Tributary__V1__Subscription subscription = TRIBUTARY__V1__SUBSCRIPTION__INIT;
    Tributary__V1__Totals accepted, delivered, dropped, queued;
    struct losses losses;
    struct chan_stats stats;
    struct feed_stats others;
    struct buf settings = {0};
    struct name name;

    if (sources) {
        chan_feeds(view->chan, MAX_SOURCES, source_write, answer, &stats, &others);
        loss_of_source_write(&others, PB_SUBSCRIPTION_OTHERS, answer);
    } else {
        chan_stats(view->chan, &stats);
    }
    losses_fill(&losses, &stats);
    subscription.id = (char *)view->id;
    subscription.name = name_copy(&name, view->name);
    subscription.peer = (char *)(view->peer ? view->peer : "");
    subscription.started_unix_nano = (uint64_t)view->started_wall_ns;
    subscription.accepted = totals_fill(&accepted, stats.accepted);
    subscription.delivered = totals_fill(&delivered, stats.delivered);
    subscription.dropped = totals_fill(&dropped, chan_dropped(&stats));
    subscription.queued = totals_fill(&queued, stats.queued);
    subscription.n_losses = losses.count;
    subscription.losses = losses.pointers;
    subscription.producers_matched = view->producers_matched;
    subscription.blocked = stats.blocked;
    subscription.fallback_active = stats.fallback_active;
    subscription.draining = view->draining;
    subscription.sorted_late = stats.sorted_late;
    subscription.sort_full = stats.sort_full;
    encode(&subscription.base, answer);
    if (view->port->settings) {
        view->port->settings(view->ctx, &settings);
        field_message(answer, PB_SUBSCRIPTION_SETTINGS, &settings);
    }
}
