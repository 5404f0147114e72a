/* decode_notice.c - decodes Started, Settings, AckResult, Lost, ProducerStatus, Progress and
 * Closing, and names the numbers in them. */
#include "client/lib/subscribe/decode_notice.h"

#include "client/lib/core/wire.h"

/* Where the value of one field goes. A field with the number of a slot and another type makes the
 * notice malformed. Fields without a slot are skipped. */
struct slot {
    uint32_t tag;
    uint64_t *number;
    struct tributary_bytes *bytes;
};

static bool read_slots(struct tributary_bytes body, const struct slot *slots, size_t count)
{
    struct cursor cursor = wire_within(body);
    struct wire_field field;

    while (cursor.at != cursor.end) {
        if (!wire_next(&cursor, &field))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (slots[i].tag >> 3 != field.number)
                continue;
            if (slots[i].tag != wire_tag(&field))
                return false;
            if (slots[i].bytes)
                *slots[i].bytes = field.bytes;
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

static bool read_settings(struct tributary_bytes body, struct tributary_settings *settings)
{
    uint64_t v[12] = {0};
    struct slot slots[11];

    for (uint32_t i = 0; i < ARRAY_LEN(slots); i++)
        slots[i] = (struct slot){WIRE_TAG(i + 1, WIRE_VARINT), &v[i + 1], NULL};
    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return false;
    *settings = (struct tributary_settings){
        .max_events = (uint32_t)v[1],
        .max_bytes = v[2],
        .max_age_ns = to_duration_ns(v[3]),
        .overflow = (enum tributary_overflow)v[4],
        .block_timeout_ns = to_duration_ns(v[5]),
        .fallback = (enum tributary_overflow)v[6],
        .linger_ns = to_duration_ns(v[7]),
        .max_batch_events = (uint32_t)v[8],
        .max_batch_bytes = (uint32_t)v[9],
        .heartbeat_ns = to_duration_ns(v[10]),
        .revision = (uint32_t)v[11],
    };
    return true;
}

const char *decode_started(struct decoder *decoder, struct tributary_bytes body,
                           const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_started *started = &decoder->started;
    struct tributary_bytes settings = {NULL, 0};
    uint64_t matched = 0;
    const struct slot slots[] = {
        {WIRE_TAG(1, WIRE_LEN), NULL, &started->subscription_id},
        {WIRE_TAG(2, WIRE_LEN), NULL, &settings},
        {WIRE_TAG(3, WIRE_VARINT), &matched, NULL},
    };

    *started = (struct tributary_started){.resumed = decoder->resumed};
    if (!read_slots(body, slots, ARRAY_LEN(slots)) || !read_settings(settings, &started->settings))
        return "a malformed beginning";
    started->producers_matched = (uint32_t)matched;
    decoder->has_started = true;
    if (callbacks->started)
        callbacks->started(callbacks->ctx, started);
    return NULL;
}

const char *decode_settings(struct decoder *decoder, struct tributary_bytes body,
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

const char *decode_request_refused(struct decoder *decoder, struct tributary_bytes body,
                                   const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_request_refused refused = {.request = 0};
    uint64_t code = 0;
    const struct slot slots[] = {
        {WIRE_TAG(1, WIRE_VARINT), &refused.request, NULL},
        {WIRE_TAG(2, WIRE_VARINT), &code, NULL},
        {WIRE_TAG(3, WIRE_LEN), NULL, &refused.message},
        {WIRE_TAG(4, WIRE_LEN), NULL, &refused.reason},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed answer";
    refused.code = (enum tributary_code)code;
    decoder->refused_request = MAX_OF(decoder->refused_request, refused.request);
    if (callbacks->request_refused)
        callbacks->request_refused(callbacks->ctx, &refused);
    return NULL;
}

const char *decode_lost(struct tributary_bytes body, const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_lost lost = {.source = {NULL, 0}};
    uint64_t reason = 0;
    uint64_t unknown = 0;
    const struct slot slots[] = {
        {WIRE_TAG(1, WIRE_LEN), NULL, &lost.source},
        {WIRE_TAG(2, WIRE_FIXED64), &lost.epoch, NULL},
        {WIRE_TAG(3, WIRE_VARINT), &lost.count, NULL},
        {WIRE_TAG(4, WIRE_VARINT), &lost.bytes, NULL},
        {WIRE_TAG(5, WIRE_FIXED64), &lost.first_sequence, NULL},
        {WIRE_TAG(6, WIRE_FIXED64), &lost.last_sequence, NULL},
        {WIRE_TAG(7, WIRE_VARINT), &reason, NULL},
        {WIRE_TAG(8, WIRE_VARINT), &unknown, NULL},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of loss";
    lost.reason = (int)reason;
    lost.count_unknown = unknown != 0;
    if (callbacks->lost)
        callbacks->lost(callbacks->ctx, &lost);
    return NULL;
}

const char *decode_status(struct tributary_bytes body, const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_producer_status status = {.source = {NULL, 0}};
    struct tributary_bytes error = {NULL, 0};
    uint64_t state = 0;
    uint64_t code = 0;
    const struct slot slots[] = {
        {WIRE_TAG(1, WIRE_LEN), NULL, &status.source},
        {WIRE_TAG(2, WIRE_FIXED64), &status.epoch, NULL},
        {WIRE_TAG(3, WIRE_VARINT), &state, NULL},
        {WIRE_TAG(4, WIRE_LEN), NULL, &error},
    };
    const struct slot error_slots[] = {
        {WIRE_TAG(1, WIRE_VARINT), &code, NULL},
        {WIRE_TAG(2, WIRE_LEN), NULL, &status.message},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)) || !read_slots(error, error_slots, ARRAY_LEN(error_slots)))
        return "a malformed notice of a producer";
    status.state = (int)state;
    status.code = (enum tributary_code)code;
    if (callbacks->status)
        callbacks->status(callbacks->ctx, &status);
    return NULL;
}

const char *decode_progress(struct decoder *decoder, struct tributary_bytes body,
                            const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_progress progress = {.delivered = 0};
    const struct slot slots[] = {
        {WIRE_TAG(2, WIRE_LEN), NULL, &progress.resume_token},
        {WIRE_TAG(3, WIRE_VARINT), &progress.delivered, NULL},
        {WIRE_TAG(4, WIRE_VARINT), &progress.lost, NULL},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of progress";
    if (progress.resume_token.size > 0)
        decoder->resume_token = progress.resume_token;
    if (callbacks->progress)
        callbacks->progress(callbacks->ctx, &progress);
    return NULL;
}

const char *decode_closing(struct decoder *decoder, struct tributary_bytes body,
                           const struct tributary_subscriber_callbacks *callbacks)
{
    struct tributary_closing closing = {.reason = 0};
    struct tributary_bytes token = {NULL, 0};
    uint64_t reason = 0;
    const struct slot slots[] = {
        {WIRE_TAG(1, WIRE_VARINT), &reason, NULL},
        {WIRE_TAG(2, WIRE_FIXED64), &closing.deadline_unix_nano, NULL},
        {WIRE_TAG(3, WIRE_LEN), NULL, &token},
    };

    if (!read_slots(body, slots, ARRAY_LEN(slots)))
        return "a malformed notice of closing";
    if (token.size > 0)
        decoder->resume_token = token;
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
    static const char *const names[] = {"UNSPECIFIED", "OVERFLOW_OLDEST", "OVERFLOW_NEWEST",     "COALESCED",
                                        "EXPIRED",     "BLOCK_TIMEOUT",   "DRAIN_CUT",           "BUDGET",
                                        "RESUME_GAP",  "CONSUMER_GONE",   "REPORTED_BY_PRODUCER"};

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
    static const char *const names[] = {"UNSPECIFIED", "SERVER_DRAINING", "FINISHED", "DISCONNECTED",
                                        "ALL_ENDED"};

    return name_of(names, ARRAY_LEN(names), reason);
}

const char *tributary_overflow_name(int overflow)
{
    static const char *const names[] = {"DEFAULT",     "BLOCK",      "DROP_OLDEST",
                                        "DROP_NEWEST", "DISCONNECT", "LATEST_PER_KEY"};

    return name_of(names, ARRAY_LEN(names), overflow);
}
