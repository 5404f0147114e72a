/* decode_notice.c - decodes Started, Settings, AckResult, Lost, CaughtUp, FellBehind,
 * ProducerStatus, Progress and Closing, and names the numbers in them. */
#include "client/lib/subscribe/decode_notice.h"

#include "client/lib/core/bytes.h"
#include "client/lib/subscribe/resume_state.h"
#include "event/field_reader.h"
#include "proto/field_numbers.h"

/* Where the value of one field goes. A field with the number of a slot and another type makes the
 * notice malformed. Fields without a slot are skipped. */
struct slot {
    uint32_t tag;
    uint64_t *number;
    struct tributary_bytes *bytes;
};

static bool read_slots(struct bytes body, const struct slot *slots, size_t count)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (slots[i].tag >> 3 != field.number)
                continue;
            if (slots[i].tag != field_tag(&field))
                return false;
            if (slots[i].bytes)
                *slots[i].bytes = from_bytes(field.bytes);
            else
                *slots[i].number = field.value;
        }
    }
    return true;
}

static int64_t to_duration_ns(uint64_t nanos)
{
    return nanos > INT64_MAX ? INT64_MAX : (int64_t)nanos;
}

static bool read_settings(struct bytes body, struct tributary_settings *settings)
{
    uint64_t values[PB_SETTINGS_SORT_EVENTS + 1] = {0}; /* by field number; all are numbers */
    struct slot slots[PB_SETTINGS_SORT_EVENTS];

    for (uint32_t i = 0; i < ARRAY_LEN(slots); i++)
        slots[i] = (struct slot){WIRE_TAG(i + 1, WIRE_VARINT), &values[i + 1], NULL};
    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return false;
    *settings = (struct tributary_settings){
        .max_events = (uint32_t)values[PB_SETTINGS_MAX_EVENTS],
        .max_bytes = values[PB_SETTINGS_MAX_BYTES],
        .max_age_ns = to_duration_ns(values[PB_SETTINGS_MAX_AGE_NANOS]),
        .overflow = (enum tributary_overflow)values[PB_SETTINGS_OVERFLOW],
        .block_timeout_ns = to_duration_ns(values[PB_SETTINGS_BLOCK_TIMEOUT_NANOS]),
        .fallback = (enum tributary_overflow)values[PB_SETTINGS_FALLBACK],
        .linger_ns = to_duration_ns(values[PB_SETTINGS_LINGER_NANOS]),
        .max_batch_events = (uint32_t)values[PB_SETTINGS_MAX_BATCH_EVENTS],
        .max_batch_bytes = (uint32_t)values[PB_SETTINGS_MAX_BATCH_BYTES],
        .heartbeat_ns = to_duration_ns(values[PB_SETTINGS_HEARTBEAT_INTERVAL_NANOS]),
        .revision = (uint32_t)values[PB_SETTINGS_REVISION],
        .sort_window_ns = to_duration_ns(values[PB_SETTINGS_SORT_DURATION_NANOS]),
        .sort_events = (uint32_t)values[PB_SETTINGS_SORT_EVENTS],
    };
    return true;
}

/* A token stands for everything before it. */
static void keep_token(struct decoder *decoder, struct tributary_bytes token)
{
    if (token.size == 0)
        return;
    decoder->resume_token = token;
    decoder->progress = (struct tributary_bytes){NULL, 0};
}

const char *decode_started(struct decoder *decoder, struct bytes body,
                           const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_started *started = &decoder->started;
    struct tributary_bytes settings = {NULL, 0};
    struct tributary_bytes token = {NULL, 0};
    uint64_t matched = 0;
    const struct slot slots[] = {
        {WIRE_TAG(PB_STARTED_SUBSCRIPTION_ID, WIRE_LEN), NULL, &started->subscription_id},
        {WIRE_TAG(PB_STARTED_SETTINGS, WIRE_LEN), NULL, &settings},
        {WIRE_TAG(PB_STARTED_PRODUCERS_MATCHED, WIRE_VARINT), &matched, NULL},
        {WIRE_TAG(PB_STARTED_RESUME_TOKEN, WIRE_LEN), NULL, &token},
    };

    *started = (struct tributary_started){.resumed = decoder->resumed};
    if (!read_slots(body, slots, ARRAY_LEN(slots)) || !read_settings(to_bytes(settings), &started->settings))
        return "a malformed beginning";
    started->producers_matched = (uint32_t)matched;
    decoder->has_started = true;
    if (decoder->handled)
        resume_state_token(decoder->handled, to_bytes(token));
    if (callbacks->started)
        callbacks->started(callbacks->ctx, started);
    return NULL;
}

const char *decode_settings(struct decoder *decoder, struct bytes body,
                            const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_settings settings;

    if (!read_settings(body, &settings))
        return "malformed settings";
    decoder->has_settings = true;
    if (callbacks->settings)
        callbacks->settings(callbacks->ctx, &settings);
    return NULL;
}

const char *decode_request_refused(struct decoder *decoder, struct bytes body,
                                   const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_request_refused refused = {.request = 0};
    uint64_t code = 0;
    const struct slot slots[] = {
        {WIRE_TAG(PB_ACK_RESULT_REQUEST, WIRE_VARINT), &refused.request, NULL},
        {WIRE_TAG(PB_ACK_RESULT_CODE, WIRE_VARINT), &code, NULL},
        {WIRE_TAG(PB_ACK_RESULT_MESSAGE, WIRE_LEN), NULL, &refused.message},
        {WIRE_TAG(PB_ACK_RESULT_REASON, WIRE_LEN), NULL, &refused.reason},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed answer";
    refused.code = (enum tributary_code)code;
    decoder->refused_request = MAX_OF(decoder->refused_request, refused.request);
    if (callbacks->request_refused)
        callbacks->request_refused(callbacks->ctx, &refused);
    return NULL;
}

const char *decode_lost(struct bytes body, const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_lost lost = {.source = {NULL, 0}};
    uint64_t reason = 0;
    uint64_t unknown = 0;
    uint64_t upstream = 0;
    const struct slot slots[] = {
        {WIRE_TAG(PB_LOST_SOURCE, WIRE_LEN), NULL, &lost.source},
        {WIRE_TAG(PB_LOST_EPOCH, WIRE_FIXED64), &lost.epoch, NULL},
        {WIRE_TAG(PB_LOST_COUNT, WIRE_VARINT), &lost.count, NULL},
        {WIRE_TAG(PB_LOST_BYTES, WIRE_VARINT), &lost.bytes, NULL},
        {WIRE_TAG(PB_LOST_FIRST_SEQUENCE, WIRE_FIXED64), &lost.first_sequence, NULL},
        {WIRE_TAG(PB_LOST_LAST_SEQUENCE, WIRE_FIXED64), &lost.last_sequence, NULL},
        {WIRE_TAG(PB_LOST_REASON, WIRE_VARINT), &reason, NULL},
        {WIRE_TAG(PB_LOST_COUNT_UNKNOWN, WIRE_VARINT), &unknown, NULL},
        {WIRE_TAG(PB_LOST_UPSTREAM, WIRE_VARINT), &upstream, NULL},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of loss";
    lost.reason = (int)reason;
    lost.count_unknown = unknown != 0;
    lost.upstream = upstream != 0;
    if (callbacks->lost)
        callbacks->lost(callbacks->ctx, &lost);
    return NULL;
}

/* CaughtUp and FellBehind have the same fields. */
const char *decode_topic_notice(struct bytes body,
                                void (*each)(void *ctx, const struct tributary_topic_notice *notice),
                                void *ctx)
{
    struct tributary_topic_notice notice = {.source = {NULL, 0}};
    const struct slot slots[] = {
        {WIRE_TAG(PB_CAUGHT_UP_SOURCE, WIRE_LEN), NULL, &notice.source},
        {WIRE_TAG(PB_CAUGHT_UP_EPOCH, WIRE_FIXED64), &notice.epoch, NULL},
        {WIRE_TAG(PB_CAUGHT_UP_SEQUENCE, WIRE_FIXED64), &notice.sequence, NULL},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of a stored topic";
    if (each)
        each(ctx, &notice);
    return NULL;
}

const char *decode_status(struct bytes body, const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_producer_status status = {.source = {NULL, 0}};
    struct tributary_bytes error = {NULL, 0};
    uint64_t state = 0;
    uint64_t code = 0;
    const struct slot slots[] = {
        {WIRE_TAG(PB_PRODUCER_STATUS_SOURCE, WIRE_LEN), NULL, &status.source},
        {WIRE_TAG(PB_PRODUCER_STATUS_EPOCH, WIRE_FIXED64), &status.epoch, NULL},
        {WIRE_TAG(PB_PRODUCER_STATUS_STATE, WIRE_VARINT), &state, NULL},
        {WIRE_TAG(PB_PRODUCER_STATUS_ERROR, WIRE_LEN), NULL, &error},
    };
    const struct slot error_slots[] = {
        {WIRE_TAG(PB_PRODUCER_STATUS_ERROR_CODE, WIRE_VARINT), &code, NULL},
        {WIRE_TAG(PB_PRODUCER_STATUS_ERROR_MESSAGE, WIRE_LEN), NULL, &status.message},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)) ||
        !read_slots(to_bytes(error), error_slots, ARRAY_LEN(error_slots)))
        return "a malformed notice of a producer";
    status.state = (int)state;
    status.code = (enum tributary_code)code;
    if (callbacks->status)
        callbacks->status(callbacks->ctx, &status);
    return NULL;
}

const char *decode_progress(struct decoder *decoder, struct bytes body,
                            const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_progress progress = {.delivered = 0};
    const struct slot slots[] = {
        {WIRE_TAG(PB_PROGRESS_RESUME_TOKEN, WIRE_LEN), NULL, &progress.resume_token},
        {WIRE_TAG(PB_PROGRESS_DELIVERED, WIRE_VARINT), &progress.delivered, NULL},
        {WIRE_TAG(PB_PROGRESS_LOST, WIRE_VARINT), &progress.lost, NULL},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of progress";
    decoder->progress = from_bytes(body);
    keep_token(decoder, progress.resume_token);
    if (callbacks->progress)
        callbacks->progress(callbacks->ctx, &progress);
    return NULL;
}

const char *decode_closing(struct decoder *decoder, struct bytes body,
                           const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_closing closing = {.reason = 0};
    struct tributary_bytes token = {NULL, 0};
    uint64_t reason = 0;
    const struct slot slots[] = {
        {WIRE_TAG(PB_CLOSING_REASON, WIRE_VARINT), &reason, NULL},
        {WIRE_TAG(PB_CLOSING_DEADLINE_UNIX_NANO, WIRE_FIXED64), &closing.deadline_unix_nano, NULL},
        {WIRE_TAG(PB_CLOSING_RESUME_TOKEN, WIRE_LEN), NULL, &token},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of closing";
    keep_token(decoder, token);
    closing.reason = (int)reason;
    if (callbacks->closing)
        callbacks->closing(callbacks->ctx, &closing);
    return NULL;
}

static const char *name_of(const char *const *names, size_t count, int value)
{
    return value >= 0 && (size_t)value < count ? names[value] : "UNKNOWN";
}

const char *tributary_loss_name(int reason)
{
    static const char *const names[] = {
        "UNSPECIFIED",          "OVERFLOW_OLDEST", "OVERFLOW_NEWEST", "COALESCED",  "EXPIRED",
        "BLOCK_TIMEOUT",        "DRAIN_CUT",       "BUDGET",          "RESUME_GAP", "CONSUMER_GONE",
        "REPORTED_BY_PRODUCER", "TRIMMED"};

    return name_of(names, ARRAY_LEN(names), reason);
}

const char *tributary_state_name(int state)
{
    static const char *const names[] = {"UNSPECIFIED", "IDLE",     "CONNECTING", "ACTIVE",  "BLOCKED",
                                        "UNAVAILABLE", "DRAINING", "ENDED",      "REMOVED", "RESYNC"};

    return name_of(names, ARRAY_LEN(names), state);
}

const char *tributary_closing_name(int reason)
{
    static const char *const names[] = {"UNSPECIFIED",  "SERVER_DRAINING", "FINISHED",
                                        "DISCONNECTED", "ALL_ENDED",       "CAUGHT_UP"};

    return name_of(names, ARRAY_LEN(names), reason);
}

const char *tributary_overflow_name(int overflow)
{
    static const char *const names[] = {"DEFAULT",     "BLOCK",      "DROP_OLDEST",
                                        "DROP_NEWEST", "DISCONNECT", "LATEST_PER_KEY"};

    return name_of(names, ARRAY_LEN(names), overflow);
}
