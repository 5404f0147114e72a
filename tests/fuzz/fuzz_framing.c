/* fuzz_framing.c - any bytes go through the scan. What it refuses has a fault with a message. The
 * events that it accepts cover the message without overlap, and protobuf-c decodes them to what
 * event_view() reads. */
#include <string.h>

#include "base/budget.h"
#include "event/chunk.h"
#include "event/encode.h"
#include "event/text.h"
#include "lib/event_views.h"
#include "lib/events.h"
#include "tributary/v1/publisher.pb-c.h"

static void check_refused(const struct framing_scan *scan, const struct fault *fault,
                          enum fault_reason reason)
{
    char text[1024];

    CHECK(fault->reason == reason && scan->count == 0 && scan->events_bytes == 0);
    CHECK(fault_code(reason) == CODE_INVALID_ARGUMENT);
    CHECK(fault_message(fault, text, sizeof(text)) == strlen(text));
    for (const char *at = text; *at != '\0'; at++)
        CHECK(*at >= ' ');
}

/* The events are in order, do not overlap, and each begins with the tag of field 1. Contiguous ones
 * have nothing between them. */
static void check_offsets(const struct framing_scan *scan, struct bytes message)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < scan->count; i++) {
        uint32_t end = scan->contiguous ? scan->offsets[i + 1] : scan->ends[i];
        CHECK(scan->offsets[i] + 2 <= end && end <= message.size);
        CHECK((message.data[scan->offsets[i]] & 0x7f) == 0x0a);
        CHECK(i + 1 == scan->count || end <= scan->offsets[i + 1]);
        total += end - scan->offsets[i];
    }
    CHECK(total == scan->events_bytes);
}

static void check_text(struct bytes ours, const char *theirs)
{
    CHECK(ours.size == strlen(theirs) && (ours.size == 0 || memcmp(ours.data, theirs, ours.size) == 0));
    CHECK(utf8_valid(ours));
}

static void check_event(struct bytes event, const Tributary__V1__Event *theirs)
{
    struct event_headers headers;
    struct event_view view;
    struct bytes value = {NULL, 0};

    view_whole(event, &view, &headers);
    check_text(view.id, theirs->id);
    check_text(view.topic, theirs->topic);
    check_text(view.key, theirs->key);
    check_text(view.type, theirs->type);
    check_text(view.content_type, theirs->content_type);
    CHECK(view.data.size == theirs->data.len &&
          (view.data.size == 0 || memcmp(view.data.data, theirs->data.data, view.data.size) == 0));
    CHECK(view.time_unix_nano == theirs->time_unix_nano &&
          view.expires_unix_nano == theirs->expires_unix_nano);
    CHECK(view.deliver_after_unix_nano == theirs->deliver_after_unix_nano);
    for (size_t i = 0; i < theirs->n_headers; i++) {
        const char *last = NULL;
        for (size_t j = 0; j < theirs->n_headers; j++) {
            if (strcmp(theirs->headers[j]->key, theirs->headers[i]->key) == 0)
                last = theirs->headers[j]->value;
        }
        CHECK(view_header(&view, text_of(theirs->headers[i]->key), &value));
        check_text(value, last);
    }
}

/* Decodes the message as a producer sent it. The scan does not check the types of its other fields,
 * so protobuf-c may not expect them. */
static void decode_request(const struct framing_scan *scan, struct bytes message)
{
    if (scan->fields[2].present && scan->fields[2].type != WIRE_LEN)
        return;
    if (scan->fields[3].present && scan->fields[3].type != WIRE_VARINT)
        return;
    if (scan->fields[5].present) /* a message, which is read by itself */
        return;
    Tributary__V1__PublishRequest *request =
        tributary__v1__publish_request__unpack(NULL, message.size, message.data);
    CHECK(request && request->n_events == scan->count);
    tributary__v1__publish_request__free_unpacked(request, NULL);
}

/* Decodes the events as a consumer gets them. */
static void decode_batch(const struct chunk *chunk)
{
    OWNED(source_release) struct source *source = source_new(text_of("fuzz"), 1);
    struct run_head head = {.source = source,
                            .origin = source,
                            .first_sequence = 1,
                            .events_bytes = chunk_bytes(chunk, 0, chunk->count)};
    struct buf batch = {0};
    uint8_t *at = buf_extend(&batch, run_head_size(&head));

    CHECK(run_head_write(&head, at) == batch.size);
    buf_bytes(&batch, chunk->data, chunk_bytes(chunk, 0, chunk->count));
    Tributary__V1__EventBatch *decoded = tributary__v1__event_batch__unpack(NULL, batch.size, batch.data);
    CHECK(decoded && decoded->n_runs == 1 && decoded->runs[0]->n_events == chunk->count);
    for (uint32_t i = 0; i < chunk->count; i++)
        check_event(chunk_range(chunk, i, i + 1), decoded->runs[0]->events[i]);
    tributary__v1__event_batch__free_unpacked(decoded, NULL);
    buf_fini(&batch);
}

static void check_chunk(const struct framing_scan *scan, struct bytes message)
{
    struct chunk *chunk = NULL;

    CHECK(chunk_of(message, scan, &chunk) == ERR_OK);
    CHECK(chunk->count == scan->count && chunk_bytes(chunk, 0, chunk->count) == scan->events_bytes);
    decode_batch(chunk);
    chunk_release(chunk);
    CHECK(budget_used() == 0);
}

/* The result is moved out, as for a message that is held, and the scan is used for another one. */
static void check_moved(struct framing_scan *scan, struct bytes message)
{
    struct fault fault;
    struct framing_scan moved = framing_move(scan);

    CHECK(framing_scan(scan, (struct bytes){NULL, 0}, &settings_defaults.framing, &fault) == FAULT_NONE);
    check_offsets(&moved, message);
    if (moved.count > 0)
        check_chunk(&moved, message);
    framing_fini(&moved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct framing_scan scan; /* used for one message after the other, as in the server */
    struct framing_limits limits = settings_defaults.framing;
    struct bytes message = {data, size};
    struct fault fault;

    /* Bounds that small inputs can reach. */
    limits.max_headers = 4;
    limits.max_name_bytes = 16;
    limits.max_value_bytes = 32;
    limits.max_event_bytes = 512;
    limits.max_batch_events = 200;
    enum fault_reason reason = framing_scan(&scan, message, &limits, &fault);
    if (reason != FAULT_NONE) {
        check_refused(&scan, &fault, reason);
        return 0;
    }
    check_offsets(&scan, message);
    decode_request(&scan, message);
    if (scan.count > 0)
        check_chunk(&scan, message);
    if (size % 2 == 0) /* the other half is scanned into the arrays of the message before */
        check_moved(&scan, message);
    return 0;
}
