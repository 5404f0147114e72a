/* test_client_decode.c - batches that protobuf-c wrote, also spoiled ones, become callbacks or a
 * fault, never a crash. Runs that are written by hand are in test_client_decode_run.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/subscribe/decode.h"
#include "lib/events.h"
#include "tributary/v1/event.pb-c.h"

/* The callbacks, one letter each, and the values of the last ones. */
struct seen {
    char order[64];
    size_t count;
    uint64_t sequences[16];
    char sources[16][16], origins[16][16];
    struct tributary_topic_notice fell_behind, caught_up;
    struct tributary_lost lost;
    struct tributary_started started;
    struct tributary_progress progress;
    struct tributary_producer_status status;
    char data[32], key[32], message[32], header[64];
    struct decoder *decoder;
    uint64_t stop_after; /* events; 0: never */
    uint64_t events;
};

static void note(struct seen *seen, char letter)
{
    if (seen->count < sizeof(seen->order) - 1)
        seen->order[seen->count++] = letter;
}

static void copy(char *to, size_t capacity, struct tributary_bytes text)
{
    snprintf(to, capacity, "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct seen *seen = ctx;

    if (seen->events < 16) {
        seen->sequences[seen->events] = delivery->sequence;
        copy(seen->sources[seen->events], 16, delivery->source);
        copy(seen->origins[seen->events], 16, delivery->origin);
    }
    copy(seen->data, sizeof(seen->data), delivery->event.data);
    copy(seen->key, sizeof(seen->key), delivery->event.key);
    if (delivery->event.header_count > 0)
        snprintf(seen->header, sizeof(seen->header), "%.*s=%.*s", (int)delivery->event.headers[0].name.size,
                 (const char *)delivery->event.headers[0].name.data,
                 (int)delivery->event.headers[0].value.size,
                 (const char *)delivery->event.headers[0].value.data);
    note(seen, 'e');
    if (++seen->events == seen->stop_after)
        seen->decoder->stop = true;
}

static void on_started(void *ctx, const struct tributary_started *started)
{
    ((struct seen *)ctx)->started = *started;
    note(ctx, 's');
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    ((struct seen *)ctx)->lost = *lost;
    note(ctx, 'l');
}

static void on_fell_behind(void *ctx, const struct tributary_topic_notice *notice)
{
    ((struct seen *)ctx)->fell_behind = *notice;
    note(ctx, 'f');
}

static void on_caught_up(void *ctx, const struct tributary_topic_notice *notice)
{
    ((struct seen *)ctx)->caught_up = *notice;
    note(ctx, 'u');
}

static void on_status(void *ctx, const struct tributary_producer_status *status)
{
    struct seen *seen = ctx;

    seen->status = *status;
    copy(seen->message, sizeof(seen->message), status->message);
    note(ctx, 'p');
}

static void on_progress(void *ctx, const struct tributary_progress *progress)
{
    ((struct seen *)ctx)->progress = *progress;
    note(ctx, 'g');
}

static void on_closing(void *ctx, const struct tributary_closing *closing)
{
    (void)closing;
    note(ctx, 'c');
}

static const char *decode(struct decoder *decoder, struct seen *seen, const void *at, size_t size)
{
    const struct tributary_subscriber_callbacks callbacks = {.started = on_started,
                                                             .fell_behind = on_fell_behind,
                                                             .lost = on_lost,
                                                             .event = on_event,
                                                             .caught_up = on_caught_up,
                                                             .status = on_status,
                                                             .progress = on_progress,
                                                             .closing = on_closing,
                                                             .ctx = seen};

    seen->decoder = decoder;
    return decode_batch(decoder, (struct bytes){at, size}, &callbacks);
}

/* A batch with one of everything. */
static size_t whole_batch(uint8_t *at)
{
    Tributary__V1__Event__HeadersEntry entry = TRIBUTARY__V1__EVENT__HEADERS_ENTRY__INIT;
    Tributary__V1__Event__HeadersEntry *entries[] = {&entry};
    Tributary__V1__Event first = TRIBUTARY__V1__EVENT__INIT;
    Tributary__V1__Event second = TRIBUTARY__V1__EVENT__INIT;
    Tributary__V1__Event *events[] = {&first, &second};
    Tributary__V1__Run run = TRIBUTARY__V1__RUN__INIT;
    Tributary__V1__Run holes = TRIBUTARY__V1__RUN__INIT;
    Tributary__V1__Run *runs[] = {&run, &holes};
    Tributary__V1__Lost lost = TRIBUTARY__V1__LOST__INIT;
    Tributary__V1__Lost *losts[] = {&lost};
    Tributary__V1__ProducerStatus__Error error = TRIBUTARY__V1__PRODUCER_STATUS__ERROR__INIT;
    Tributary__V1__ProducerStatus status = TRIBUTARY__V1__PRODUCER_STATUS__INIT;
    Tributary__V1__ProducerStatus *statuses[] = {&status};
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    Tributary__V1__Closing closing = TRIBUTARY__V1__CLOSING__INIT;
    Tributary__V1__CaughtUp caught_up = TRIBUTARY__V1__CAUGHT_UP__INIT, *caught_ups[] = {&caught_up};
    Tributary__V1__FellBehind fell_behind = TRIBUTARY__V1__FELL_BEHIND__INIT,
                              *fell_behinds[] = {&fell_behind};
    Tributary__V1__Settings settings = TRIBUTARY__V1__SETTINGS__INIT;
    Tributary__V1__Started started = TRIBUTARY__V1__STARTED__INIT;
    Tributary__V1__EventBatch batch = TRIBUTARY__V1__EVENT_BATCH__INIT;
    uint64_t sequences[] = {9, 12};
    char text[][8] = {"one", "two", "k", "web", "db", "why", "id", "n", "v"};

    entry.key = text[7];
    entry.value = text[8];
    first.data = (ProtobufCBinaryData){3, (uint8_t *)text[0]};
    second.data = (ProtobufCBinaryData){3, (uint8_t *)text[1]};
    second.key = text[2];
    second.headers = entries;
    second.n_headers = 1;
    run = (Tributary__V1__Run){run.base,          .n_events = 2, .events = events,
                               .source = text[3], .epoch = 5,    .first_sequence = 7};
    holes = (Tributary__V1__Run){holes.base,        .n_events = 2,    .events = events,
                                 .source = text[4], .n_sequences = 2, .sequences = sequences};
    holes.origin = text[3];
    caught_up.source = text[4];
    caught_up.epoch = 5;
    caught_up.sequence = 12;
    fell_behind.source = text[4];
    fell_behind.epoch = 5;
    fell_behind.sequence = 9;
    lost.source = text[3];
    lost.count = 300;
    lost.first_sequence = 1;
    lost.last_sequence = UINT64_MAX;
    lost.reason = TRIBUTARY__V1__LOSS_REASON__LOSS_REASON_RESUME_GAP;
    lost.count_unknown = 1;
    error.code = 14;
    error.message = text[5];
    status.source = text[3];
    status.state = TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_UNAVAILABLE;
    status.error = &error;
    progress.delivered = 11;
    progress.resume_token = (ProtobufCBinaryData){2, (uint8_t *)text[6]};
    settings.max_events = 1024;
    settings.heartbeat_interval_nanos = 10000000000;
    started.subscription_id = text[6];
    started.settings = &settings;
    started.producers_matched = 3;
    batch.n_runs = 2;
    batch.runs = runs;
    batch.n_caught_up = 1;
    batch.caught_up = caught_ups;
    batch.n_fell_behind = 1;
    batch.fell_behind = fell_behinds;
    batch.n_lost = 1;
    batch.lost = losts;
    batch.n_producers = 1;
    batch.producers = statuses;
    batch.progress = &progress;
    batch.closing = &closing;
    batch.started = &started;
    return tributary__v1__event_batch__pack(&batch, at);
}

Test(client_decode, one_of_everything_is_reported_in_the_order_of_the_api)
{
    uint8_t message[1024];
    struct seen seen = {0};
    struct decoder decoder = {.resumed = true};
    const size_t size = whole_batch(message);

    cr_assert_null(decode(&decoder, &seen, message, size));
    cr_assert_str_eq(seen.order, "sfleeeeupgc");
    cr_assert_eq(seen.sequences[0], 7);
    cr_assert_eq(seen.sequences[1], 8);
    cr_assert_eq(seen.sequences[2], 9);
    cr_assert_eq(seen.sequences[3], 12);
    cr_assert_str_eq(seen.sources[0], "web");
    cr_assert_str_eq(seen.sources[3], "db");
    cr_assert_str_eq(seen.origins[1], "");
    cr_assert_str_eq(seen.origins[2], "web");
    cr_assert_eq(seen.fell_behind.sequence, 9);
    cr_assert_eq(seen.fell_behind.epoch, 5);
    cr_assert_eq(seen.caught_up.sequence, 12);
    cr_assert_eq(seen.caught_up.source.size, 2);
    cr_assert_str_eq(seen.data, "two");
    cr_assert_str_eq(seen.key, "k");
    cr_assert_str_eq(seen.header, "n=v");
    cr_assert_eq(seen.lost.count, 300);
    cr_assert_eq(seen.lost.last_sequence, UINT64_MAX);
    cr_assert_eq(seen.lost.reason, 8);
    cr_assert(seen.lost.count_unknown);
    cr_assert_eq(seen.status.state, 5);
    cr_assert_eq(seen.status.code, TRIBUTARY_UNAVAILABLE);
    cr_assert_str_eq(seen.message, "why");
    cr_assert_eq(seen.progress.delivered, 11);
    cr_assert_eq(seen.started.producers_matched, 3);
    cr_assert_eq(seen.started.settings.max_events, 1024);
    cr_assert_eq(seen.started.settings.heartbeat_ns, 10000000000);
    cr_assert(seen.started.resumed);
    cr_assert_eq(decoder.resume_token.size, 2);
    cr_assert_eq(decoder.events, 4);
    decoder_fini(&decoder);
}

Test(client_decode, an_empty_message_is_a_heartbeat)
{
    struct seen seen = {0};
    struct decoder decoder = {0};

    cr_assert_null(decode(&decoder, &seen, NULL, 0));
    cr_assert_eq(seen.count, 0);
}

Test(client_decode, a_stopped_decoder_does_not_call_back)
{
    uint8_t message[1024];
    struct seen seen = {.stop_after = 3};
    struct decoder decoder = {0};

    cr_assert_null(decode(&decoder, &seen, message, whole_batch(message)));
    cr_assert_str_eq(seen.order, "sfleee");
    decoder_fini(&decoder);
}

/* In a block of its own size, so that the sanitizer reports a byte that is read too far. */
Test(client_decode, every_prefix_of_a_batch_is_a_fault_or_a_batch_and_never_a_crash)
{
    uint8_t message[1024];
    const size_t size = whole_batch(message);

    for (size_t length = 0; length < size; length++) {
        uint8_t *part = malloc(length + 1);
        struct seen seen = {0};
        struct decoder decoder = {0};

        memcpy(part, message, length);
        (void)decode(&decoder, &seen, part, length);
        decoder_fini(&decoder);
        free(part);
    }
}

Test(client_decode, spoiled_batches_never_crash)
{
    struct dice dice = dice_new("spoiled_batches_never_crash");
    uint8_t message[1024];
    const size_t size = whole_batch(message);
    size_t faults = 0;

    for (int round = 0; round < 20000; round++) {
        struct buf spoiled = {0};
        struct seen seen = {0};

        buf_bytes(&spoiled, message, size);
        mutate(&dice, &spoiled);

        uint8_t *exact = malloc(spoiled.size + 1);
        struct decoder decoder = {0};

        memcpy(exact, spoiled.data, spoiled.size);
        faults += !!decode(&decoder, &seen, exact, spoiled.size);
        decoder_fini(&decoder);
        free(exact);
        buf_fini(&spoiled);
    }
    cr_assert_gt(faults, 0);
}

Test(client_decode, groups_and_lengths_beyond_the_end_are_refused)
{
    static const char *const bad[] = {"\x0b", "\x0a\x05xyz", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                      "\x00", "\x08\x01",    "\x0a"};
    static const size_t sizes[] = {1, 5, 11, 1, 2, 1};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct seen seen = {0};
        struct decoder decoder = {0};

        cr_assert_not_null(decode(&decoder, &seen, bad[i], sizes[i]), "number %zu", i);
        decoder_fini(&decoder);
    }
}

Test(client_decode, numbers_without_a_name_are_unknown)
{
    cr_assert_str_eq(tributary_loss_name(1), "OVERFLOW_OLDEST");
    cr_assert_str_eq(tributary_loss_name(10), "REPORTED_BY_PRODUCER");
    cr_assert_str_eq(tributary_loss_name(11), "TRIMMED");
    cr_assert_str_eq(tributary_loss_name(12), "UNKNOWN");
    cr_assert_str_eq(tributary_loss_name(-1), "UNKNOWN");
    cr_assert_str_eq(tributary_state_name(9), "RESYNC");
    cr_assert_str_eq(tributary_state_name(10), "UNKNOWN");
    cr_assert_str_eq(tributary_closing_name(3), "DISCONNECTED");
    cr_assert_str_eq(tributary_overflow_name(4), "DISCONNECT");
    cr_assert_str_eq(tributary_code_name(TRIBUTARY_UNAUTHENTICATED), "UNAUTHENTICATED");
    cr_assert_str_eq(tributary_code_name((enum tributary_code)17), "UNKNOWN");
}
