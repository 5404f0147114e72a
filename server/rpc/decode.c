/* decode.c - reads requests strictly: first a scan of their form by the message's descriptor, then
 * protobuf-c within a memory budget.
 *
 * Every decoder accepts what the scan accepts, and reads it in the same way. protobuf-c alone would
 * truncate a string at a NUL, accept unknown enum values, and allocate without a bound. */
#include "server/rpc/decode.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/field.h"
#include "event/text.h"
#include "google/protobuf/duration.pb-c.h"
#include "server/wire/message.h"

#define MAX_DEPTH 32u
/* Unpacking may use BUDGET_FACTOR times the input, plus BUDGET_BASE_BYTES. The base is enough for
 * every request within the bounds of the API, however small its fields are: 128 selectors with four
 * lists of 64 entries take 2.1 MiB, and their text. */
#define BUDGET_FACTOR 8u
#define BUDGET_BASE_BYTES (3u * 1024u * 1024u)
#define BUDGET_BOUND "a request may take 8 times its size + 3 MiB once it is decoded"
/* An entry with this part of the bytes of its list is at fault itself, and not the list. */
#define ENTRY_PART 128u
#define MAX_FIELDS 64u                             /* of a message, which are told apart */
#define MAX_DURATION_SECONDS INT64_C(315576000000) /* 10 000 years: protobuf's own bound */

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    }
    return WIRE_VARINT;
}

/* The wire has an enum as a varint of its sign-extended value, so this compares 64 bits. With 32
 * bits, 2^32 + 1 would pass for 1. */
static bool enum_has(const ProtobufCEnumDescriptor *type, int64_t value)
{
    for (unsigned i = 0; i < type->n_values; i++) {
        if (type->values[i].value == value)
            return true;
    }
    return false;
}

static enum fault_reason scalar_check(const ProtobufCFieldDescriptor *known, uint64_t value,
                                      struct fault *fault)
{
    if (known->type == PROTOBUF_C_TYPE_ENUM && !enum_has(known->descriptor, (int64_t)value)) {
        fault_set(fault, FAULT_UNKNOWN_ENUM, "", "");
        snprintf(fault->value, sizeof(fault->value), "%" PRId64, (int64_t)value);
        return fault->reason;
    }
    if (known->type == PROTOBUF_C_TYPE_UINT32 && value > UINT32_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "", value, "at most 4294967295");
    return FAULT_NONE;
}

/* A repeated scalar may be packed: values one after the other, without tags. */
static enum fault_reason packed_check(const ProtobufCFieldDescriptor *known, enum wire_type type,
                                      struct bytes packed, struct fault *fault)
{
    const uint8_t *at = packed.data;
    const uint8_t *end = packed.data + packed.size;

    if (type != WIRE_VARINT && packed.size % (type == WIRE_FIXED32 ? 4u : 8u) != 0)
        return fault_set(fault, FAULT_BAD_LENGTH, "", "packed values must fill their length");
    while (type == WIRE_VARINT && at < end) {
        enum fault_reason reason;
        uint64_t value;
        size_t size = varint_read(at, end, &value);

        if (size == 0)
            return fault_set(fault, FAULT_BAD_VARINT, "", "");
        reason = scalar_check(known, value, fault);
        if (reason)
            return reason;
        at += size;
    }
    return FAULT_NONE;
}

/* Counts how often a field occurs in bytes that were scanned without a fault. This is the index of
 * the next one, for the path in the fault. */
static size_t occurrences(const uint8_t *at, const uint8_t *end, uint32_t number)
{
    size_t count = 0;

    while (at < end) {
        struct field field = {0};

        if (field_read(&at, end, &field))
            break;
        count += field.number == number;
    }
    return count;
}

/* Refuses an embedded message that occurs twice: protobuf would merge the two, and no encoder
 * writes them. The count from the beginning is cheap, because the second one ends the scan. */
static enum fault_reason once_check(const ProtobufCFieldDescriptor *known, const uint8_t *begin,
                                    const uint8_t *from, struct fault *fault)
{
    if (known->type != PROTOBUF_C_TYPE_MESSAGE || known->label == PROTOBUF_C_LABEL_REPEATED ||
        occurrences(begin, from, known->id) == 0)
        return FAULT_NONE;
    return fault_set(fault, FAULT_MALFORMED, "", "an embedded message may come once");
}

/* Puts the field's name, with its index where it is repeated, in front of the path in the fault. */
static void prefix_path(struct fault *fault, const ProtobufCFieldDescriptor *known, const uint8_t *begin,
                        const uint8_t *from)
{
    const char *dot = fault->field[0] ? "." : "";
    char prefix[sizeof(fault->field)];

    if (known->label == PROTOBUF_C_LABEL_REPEATED)
        snprintf(prefix, sizeof(prefix), "%s[%zu]%s", known->name, occurrences(begin, from, known->id), dot);
    else
        snprintf(prefix, sizeof(prefix), "%s%s", known->name, dot);
    fault_within(fault, prefix);
}

static enum fault_reason scan(struct bytes bytes, const ProtobufCMessageDescriptor *type, unsigned levels,
                              struct fault *fault);

static enum fault_reason field_check(const ProtobufCFieldDescriptor *known, const struct field *field,
                                     unsigned levels, struct fault *fault)
{
    enum wire_type type = wire_type_of(known->type);

    if (field->type == WIRE_LEN && type != WIRE_LEN && known->label == PROTOBUF_C_LABEL_REPEATED)
        return packed_check(known, type, field->bytes, fault);
    if (field->type != type)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "", "");
    if (known->type == PROTOBUF_C_TYPE_STRING && !utf8_valid(field->bytes))
        return fault_bytes(fault, FAULT_BAD_UTF8, "", field->bytes, "");
    if (known->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan(field->bytes, known->descriptor, levels - 1, fault);
    if (type == WIRE_VARINT)
        return scalar_check(known, field->value, fault);
    return FAULT_NONE;
}

/* `levels`: how many levels of messages are still allowed, this one included. */
static enum fault_reason scan(struct bytes bytes, const ProtobufCMessageDescriptor *type, unsigned levels,
                              struct fault *fault)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.data + bytes.size;

    if (levels == 0)
        return fault_set(fault, FAULT_TOO_DEEP, "", "at most 32 levels");
    while (at < end) {
        const ProtobufCFieldDescriptor *known;
        struct field field = {0};
        const uint8_t *from = at;
        enum fault_reason reason = field_read(&at, end, &field);

        if (reason)
            fault_set(fault, reason, "", "");
        known = field.number > 0 ? protobuf_c_message_descriptor_get_field(type, field.number) : NULL;
        if (known && !reason)
            reason = once_check(known, bytes.data, from, fault);
        if (known && !reason)
            reason = field_check(known, &field, levels, fault);
        if (reason) {
            if (known)
                prefix_path(fault, known, bytes.data, from);
            return reason;
        }
    }
    return FAULT_NONE;
}

/* The memory that unpacking one request may still allocate. Freed memory counts as free again. */
struct budget {
    size_t left;
    bool exceeded;
    bool no_memory;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    void *memory;

    budget->exceeded = budget->exceeded || size > budget->left;
    if (budget->exceeded)
        return NULL;
    memory = malloc(MAX_OF(size, 1u));
    if (!memory) {
        budget->no_memory = true;
        return NULL;
    }
    budget->left -= MIN_OF(budget->left, malloc_usable_size(memory));
    return memory;
}

static void budget_free(void *data, void *memory)
{
    struct budget *budget = data;

    if (!memory)
        return;
    budget->left += malloc_usable_size(memory);
    free(memory);
}

/* How often a field occurs in a message, and how many bytes that takes. */
struct share {
    size_t count, bytes;
    struct bytes largest; /* the content of its largest occurrence */
    size_t largest_at;    /* which one it is */
};

/* Finds the field that takes most of a message. The message was scanned without a fault. */
static const ProtobufCFieldDescriptor *
largest_field(struct bytes bytes, const ProtobufCMessageDescriptor *type, struct share *share_out)
{
    struct share shares[MAX_FIELDS] = {{0}};
    const uint8_t *at = bytes.data, *end = bytes.data + bytes.size;
    struct field field = {0};
    size_t best = 0;

    while (at < end && !field_read(&at, end, &field)) {
        const ProtobufCFieldDescriptor *known = protobuf_c_message_descriptor_get_field(type, field.number);
        size_t i = known ? (size_t)(known - type->fields) : MAX_FIELDS;

        if (i >= MAX_FIELDS || field.type != WIRE_LEN)
            continue;
        shares[i].bytes += field.bytes.size + 2; /* a tag and a length */
        if (shares[i].count == 0 || field.bytes.size > shares[i].largest.size) {
            shares[i].largest = field.bytes;
            shares[i].largest_at = shares[i].count;
        }
        shares[i].count++;
        if (shares[i].bytes > shares[best].bytes)
            best = i;
    }
    *share_out = shares[best];
    return share_out->count > 0 ? &type->fields[best] : NULL;
}

/* Refuses a request that is too large once it is decoded, and names the list that is at fault. */
static enum fault_reason refuse_size(struct bytes bytes, const ProtobufCMessageDescriptor *type,
                                     struct fault *fault)
{
    char path[sizeof(fault->field)] = "";
    const ProtobufCFieldDescriptor *known;
    struct share share;
    size_t size = 0;

    while ((known = largest_field(bytes, type, &share))) {
        size += (size_t)snprintf(path + size, sizeof(path) - size, "%s%s", size > 0 ? "." : "", known->name);
        if (size >= sizeof(path) || known->type != PROTOBUF_C_TYPE_MESSAGE ||
            share.largest.size < share.bytes / ENTRY_PART)
            break;
        if (known->label == PROTOBUF_C_LABEL_REPEATED)
            size += (size_t)snprintf(path + size, sizeof(path) - size, "[%zu]", share.largest_at);
        if (size >= sizeof(path))
            break;
        bytes = share.largest;
        type = known->descriptor;
    }
    return fault_number(fault, FAULT_TOO_MANY, path, share.count, BUDGET_BOUND);
}

enum fault_reason decode(struct bytes bytes, const ProtobufCMessageDescriptor *type,
                         ProtobufCMessage **message_out, struct fault *fault)
{
    struct budget budget = {.left = BUDGET_FACTOR * bytes.size + BUDGET_BASE_BYTES};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    enum fault_reason reason = scan(bytes, type, MAX_DEPTH, fault);
    ProtobufCMessage *message;

    if (reason)
        return reason;
    message = protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);
    if (!message && budget.exceeded)
        return refuse_size(bytes, type, fault);
    if (!message && budget.no_memory)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    if (!message)
        return fault_set(fault, FAULT_MALFORMED, "", "");
    *message_out = message;
    return FAULT_NONE;
}

enum fault_reason decode_message(struct message *message, const ProtobufCMessageDescriptor *type,
                                 ProtobufCMessage **message_out, struct fault *fault)
{
    if (message_check(message, UINT64_MAX, fault) != FAULT_NONE)
        return fault->reason;
    return decode(message_bytes(message), type, message_out, fault);
}

void decoded_free(ProtobufCMessage *message)
{
    /* budget_alloc() uses malloc(), so the default allocator of protobuf-c can free it. */
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

void encode(const ProtobufCMessage *message, struct buf *bytes)
{
    uint8_t *at = buf_extend(bytes, protobuf_c_message_get_packed_size(message));

    if (at)
        protobuf_c_message_pack(message, at);
}

/* Writes a duration in the largest unit that is exact: "24 h", "500 us". */
static void duration_text(int64_t ns, char *text, size_t capacity)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{3600 * NS_PER_S, "h"}, {60 * NS_PER_S, "min"}, {NS_PER_S, "s"},
                 {NS_PER_MS, "ms"},      {NS_PER_US, "us"},      {1, "ns"}};
    size_t i = 0;

    while (ns % units[i].ns != 0)
        i++;
    snprintf(text, capacity, "%" PRId64 " %s", ns / units[i].ns, units[i].name);
}

static enum fault_reason refuse_duration(const Google__Protobuf__Duration *duration,
                                         const struct duration_rule *rule, enum fault_reason reason,
                                         struct fault *fault)
{
    bool negative = duration->seconds < 0 || duration->nanos < 0;
    uint64_t seconds = duration->seconds < 0 ? 0 - (uint64_t)duration->seconds : (uint64_t)duration->seconds;
    uint32_t nanos = duration->nanos < 0 ? 0 - (uint32_t)duration->nanos : (uint32_t)duration->nanos;
    char min[32];
    char max[32];
    char bound[96];

    duration_text(rule->min_ns, min, sizeof(min));
    duration_text(rule->max_ns, max, sizeof(max));
    if (rule->min_ns <= 1)
        snprintf(bound, sizeof(bound), "at most %s", max);
    else
        snprintf(bound, sizeof(bound), "%s%s to %s", rule->zero ? "0, or " : "", min, max);
    fault_set(fault, reason, rule->field,
              reason == FAULT_BAD_DURATION ? "seconds and nanos of one sign, not negative, nanos below 10^9"
                                           : bound);
    snprintf(fault->value, sizeof(fault->value), "%s%" PRIu64 ".%09" PRIu32 " s", negative ? "-" : "",
             seconds, nanos);
    return reason;
}

enum fault_reason decode_duration(const ProtobufCMessage *message, const struct duration_rule *rule,
                                  int64_t *ns_out, struct fault *fault)
{
    const Google__Protobuf__Duration *duration = (const Google__Protobuf__Duration *)(const void *)message;
    int64_t ns;

    if (!duration) {
        *ns_out = rule->default_ns;
        return FAULT_NONE;
    }
    if (duration->seconds < 0 || duration->nanos < 0 || duration->nanos >= NS_PER_S ||
        duration->seconds > MAX_DURATION_SECONDS)
        return refuse_duration(duration, rule, FAULT_BAD_DURATION, fault);
    if (duration->seconds > rule->max_ns / NS_PER_S)
        return refuse_duration(duration, rule, FAULT_OUT_OF_BOUNDS, fault);
    ns = duration->seconds * NS_PER_S + duration->nanos;
    if (ns > rule->max_ns || (ns == 0 && !rule->zero) || (ns > 0 && ns < rule->min_ns))
        return refuse_duration(duration, rule, FAULT_OUT_OF_BOUNDS, fault);
    *ns_out = ns;
    return FAULT_NONE;
}
