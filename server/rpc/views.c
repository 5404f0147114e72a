/* views.c - what the hub knows of a producer or a subscription, as messages of the API. On the loop, so what is seen is one moment. */
#include "server/rpc/views.h"

#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "server/rpc/ask.h"
#include "tributary/v1/admin.pb-c.h"

#define SOURCES_MOST 1000u
#define NAME_BYTES_MOST 256u

enum subscription_field { SUBSCRIPTION_SETTINGS = 5, SUBSCRIPTION_SOURCES = 11 };

/* A name as a text: names hold no NUL, and are no longer than this. */
struct name {
    char text[NAME_BYTES_MOST + 1];
};

static char *name_copy(struct name *name, struct bytes bytes)
{
    size_t size = MIN_OF(bytes.size, NAME_BYTES_MOST);

    if (size > 0)
        memcpy(name->text, bytes.at, size);
    name->text[size] = '\0';
    return name->text;
}

static Tributary__V1__Tally *tally_fill(Tributary__V1__Tally *message, struct tally tally)
{
    tributary__v1__tally__init(message);
    message->events = tally.events;
    message->bytes = tally.bytes;
    return message;
}

/* Labels and topics as texts, which protobuf-c wants closed by a NUL: one block holds the bytes. */
struct words {
    Tributary__V1__Producer__LabelsEntry *entries, **labels;
    char **topics;
    char *bytes, *end;
};

static void words_fini(struct words *words)
{
    free(words->entries);
    free(words->labels);
    free(words->topics);
    free(words->bytes);
}

static char *word_copy(struct words *words, struct bytes from)
{
    char *word = words->end;

    if (from.size > 0)
        memcpy(word, from.at, from.size);
    word[from.size] = '\0';
    words->end += from.size + 1;
    return word;
}

static size_t words_size(const struct producer_view *view)
{
    size_t size = 1;

    for (size_t i = 0; i < view->label_count; i++)
        size += view->labels[i].name.size + view->labels[i].value.size + 2;
    for (size_t i = 0; i < view->topic_count; i++)
        size += view->topics[i].size + 1;
    return size;
}

static bool words_fill(struct words *words, const struct producer_view *view)
{
    words->entries = calloc(view->label_count + 1, sizeof(*words->entries));
    words->labels = calloc(view->label_count + 1, sizeof(*words->labels));
    words->topics = calloc(view->topic_count + 1, sizeof(*words->topics));
    words->bytes = malloc(words_size(view));
    words->end = words->bytes;
    if (!words->entries || !words->labels || !words->topics || !words->bytes) {
        words_fini(words);
        return false;
    }
    for (size_t i = 0; i < view->label_count; i++) {
        tributary__v1__producer__labels_entry__init(&words->entries[i]);
        words->entries[i].key = word_copy(words, view->labels[i].name);
        words->entries[i].value = word_copy(words, view->labels[i].value);
        words->labels[i] = &words->entries[i];
    }
    for (size_t i = 0; i < view->topic_count; i++)
        words->topics[i] = word_copy(words, view->topics[i]);
    return true;
}

void producer_write(const struct producer_view *view, struct buf *answer)
{
    Tributary__V1__Producer producer = TRIBUTARY__V1__PRODUCER__INIT;
    Tributary__V1__Tally published;
    struct words words;
    struct name name;

    if (!words_fill(&words, view)) {
        answer->broken = true;
        return;
    }
    producer.name = name_copy(&name, view->name);
    producer.kind = view->is_session ? TRIBUTARY__V1__PRODUCER__KIND__SESSION : TRIBUTARY__V1__PRODUCER__KIND__TRANSIENT;
    producer.state = (Tributary__V1__ProducerState)view->state;
    producer.epoch = view->epoch;
    producer.last_sequence = view->last_sequence;
    producer.published = tally_fill(&published, view->published);
    producer.open_calls = view->open_calls;
    producer.blocked_calls = view->blocked_calls;
    producer.subscriptions = view->subscriptions;
    producer.last_event_unix_nano = (uint64_t)view->last_event_wall_ns;
    producer.peer = (char *)(view->peer ? view->peer : "");
    producer.n_labels = view->label_count;
    producer.labels = words.labels;
    producer.n_topics = view->topic_count;
    producer.topics = words.topics;
    producer.per_consumer = view->per_consumer;
    producer.activations = view->activations;
    producer.paused_activations = view->paused_activations;
    producer.cut_activations = view->cut_activations;
    encode(&producer.base, answer);
    words_fini(&words);
}

/* Under the channel's lock: only writes it down. */
static void source_write(void *ctx, const struct feed_sums *sums)
{
    Tributary__V1__Subscription__LossOfSource message = TRIBUTARY__V1__SUBSCRIPTION__LOSS_OF_SOURCE__INIT;
    Tributary__V1__Tally accepted, delivered, dropped, queued;
    struct buf *answer = ctx;
    struct buf source = {0};
    struct name name;

    message.source = name_copy(&name, source_name(sums->source));
    message.epoch = sums->source->epoch;
    message.accepted = tally_fill(&accepted, sums->accepted);
    message.delivered = tally_fill(&delivered, sums->delivered);
    message.dropped = tally_fill(&dropped, sums->dropped);
    message.queued = tally_fill(&queued, sums->queued);
    encode(&message.base, &source);
    field_bytes_always(answer, SUBSCRIPTION_SOURCES, (struct bytes){source.at, source.size});
    answer->broken |= source.broken;
    buf_fini(&source);
}

/* Each reason that took something. */
struct losses {
    Tributary__V1__Subscription__LossOfReason messages[LOSS_COUNT];
    Tributary__V1__Subscription__LossOfReason *pointers[LOSS_COUNT];
    Tributary__V1__Tally tallies[LOSS_COUNT];
    size_t count;
};

static void losses_fill(struct losses *losses, const struct chan_sums *sums)
{
    losses->count = 0;
    for (size_t i = 0; i < LOSS_COUNT; i++) {
        Tributary__V1__Subscription__LossOfReason *message = &losses->messages[losses->count];

        if (sums->dropped[i].events == 0 && sums->dropped[i].bytes == 0)
            continue;
        tributary__v1__subscription__loss_of_reason__init(message);
        message->reason = (Tributary__V1__LossReason)i;
        message->lost = tally_fill(&losses->tallies[losses->count], sums->dropped[i]);
        losses->pointers[losses->count++] = message;
    }
}

/* Repeated and embedded fields may stand anywhere, so what others write is laid behind what is packed here. */
void subscription_write(const struct subscription_view *view, bool sources, struct buf *answer)
{
    Tributary__V1__Subscription subscription = TRIBUTARY__V1__SUBSCRIPTION__INIT;
    Tributary__V1__Tally accepted, delivered, dropped, queued;
    struct losses losses;
    struct chan_sums sums;
    struct buf settings = {0};
    struct name name;

    chan_sums(view->chan, &sums);
    losses_fill(&losses, &sums);
    subscription.id = (char *)view->id;
    subscription.name = name_copy(&name, view->name);
    subscription.peer = (char *)(view->peer ? view->peer : "");
    subscription.started_unix_nano = (uint64_t)view->started_wall_ns;
    subscription.accepted = tally_fill(&accepted, sums.accepted);
    subscription.delivered = tally_fill(&delivered, sums.delivered);
    subscription.dropped = tally_fill(&dropped, chan_dropped(&sums));
    subscription.queued = tally_fill(&queued, sums.queued);
    subscription.n_losses = losses.count;
    subscription.losses = losses.pointers;
    subscription.producers_matched = view->producers_matched;
    subscription.stalled = sums.stalled;
    subscription.latched = sums.latched;
    subscription.draining = view->draining;
    encode(&subscription.base, answer);
    subscriber_settings(view->ctx, &settings);
    field_bytes_always(answer, SUBSCRIPTION_SETTINGS, (struct bytes){settings.at, settings.size});
    answer->broken |= settings.broken;
    buf_fini(&settings);
    if (sources)
        chan_feeds(view->chan, SOURCES_MOST, source_write, answer);
}
