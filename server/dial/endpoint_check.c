/* endpoint_check.c - the rules for what an endpoint may be. */
#include "server/dial/endpoint_check.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "event/field_path.h"
#include "event/serve_entry.h"
#include "event/text.h"
#include "grpc/own_mark.h"
#include "hub/relays.h"
#include "server/dial/metadata_names.h"
#include "server/dial/set_home.h"

#include <grpc/grpc.h>
#include <grpc/slice.h>

/* ---- the address ---- */

/* What may stand in front of an address, and what it then must be. */
static const struct {
    const char *prefix;
    enum place_kind kind;
} schemes[] = {{"dns:///", PLACE_NAME}, {"dns:", PLACE_NAME}, {"ipv4:", PLACE_IPV4}, {"ipv6:", PLACE_IPV6}};

/* "unix:///a" is what others write for "unix:/a". */
static const char *without_slashes(const char *address)
{
    return strncmp(address, "unix:///", 8) == 0 ? address + 7 : NULL;
}

static bool has_port(const char *address)
{
    const char *colon = strrchr(address, ':'), *bracket = strrchr(address, ']');

    return colon && colon > bracket;
}

static bool parse(const char *address, struct place *place, char fault[PLACE_FAULT_CAPACITY])
{
    char unix_address[sizeof("unix:") + PLACE_MAX_UNIX_BYTES + 2];

    if (without_slashes(address)) {
        snprintf(unix_address, sizeof(unix_address), "unix:%s", without_slashes(address));
        return place_parse(unix_address, PLACE_CONNECT, place, fault);
    }
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t size = strlen(schemes[i].prefix);

        if (strncmp(address, schemes[i].prefix, size) != 0)
            continue;
        if (!place_parse(address + size, PLACE_CONNECT, place, fault))
            return false;
        /* dns: may have numbers behind it */
        if (place->kind == schemes[i].kind ||
            (schemes[i].kind == PLACE_NAME && place->kind != PLACE_UNIX && place->kind != PLACE_ABSTRACT))
            return true;
        snprintf(fault, PLACE_FAULT_CAPACITY, "no address of this kind follows %s", schemes[i].prefix);
        return false;
    }
    return place_parse(address, PLACE_CONNECT, place, fault);
}

enum fault_reason endpoint_place(const char *address, struct place *place_out, struct fault *fault)
{
    char wrong[PLACE_FAULT_CAPACITY];

    if (*address == '\0')
        return fault_set(fault, FAULT_EMPTY, "endpoint.address", "an address to dial");
    if (!parse(address, place_out, wrong))
        return fault_bytes(fault, FAULT_BAD_ADDRESS, "endpoint.address", text_bytes(address), wrong);
    if (place_out->port > 0 && !has_port(address))
        return fault_bytes(fault, FAULT_BAD_ADDRESS, "endpoint.address", text_bytes(address),
                           "a port must be given");
    return FAULT_NONE;
}

/* ---- the rest ---- */

static enum fault_reason check_method(const char *method, struct fault *fault)
{
    const struct bytes text = text_bytes(method);
    const char *second = method[0] == '/' ? strchr(method + 1, '/') : NULL;

    if (text.size > MAX_METHOD_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.method", text, "at most 256 bytes");
    if (!second || second == method + 1 || second[1] == '\0' || strchr(second + 1, '/') ||
        !text_plain(text) || strchr(method, ' '))
        return fault_bytes(fault, FAULT_BAD_METHOD, "endpoint.method", text, "/package.Service/Method");
    return FAULT_NONE;
}

static enum fault_reason check_names(const struct bytes *names, size_t count, const char *field,
                                     struct fault *fault)
{
    if (count > MAX_METADATA_NAMES)
        return fault_number(fault, FAULT_TOO_MANY, field, count, "at most 32");
    for (size_t i = 0; i < count; i++) {
        if (!metadata_name_is_valid(names[i]))
            return fault_bytes(fault, FAULT_BAD_METADATA, field, names[i],
                               "a key of at most 64 bytes, or its beginning and '*'; not one that gRPC or "
                               "tributary uses");
    }
    return FAULT_NONE;
}

static enum fault_reason check_serve(const struct endpoint_params *params, struct fault *fault)
{
    const char *const field = "endpoint.serve";
    size_t size = 0;

    if (params->serve_count > MAX_SERVE_ENTRIES)
        return fault_number(fault, FAULT_TOO_MANY, field, params->serve_count, "at most 64");
    for (size_t i = 0; i < params->serve_count; i++) {
        struct serve_entry entry;
        const char *wrong = serve_entry_read(params->serve[i], &entry);

        if (wrong)
            return fault_bytes(fault, FAULT_BAD_METHOD, field, params->serve[i], wrong);
        size += params->serve[i].size;
    }
    if (size > MAX_SERVE_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, field, size, "at most 8192 bytes together");
    if (params->serve_count > 0 && params->mode != SESSION_PER_CONSUMER)
        return fault_set(fault, FAULT_UNSUPPORTED, "endpoint.activation",
                         "an endpoint with serve is PER_CONSUMER");
    if (params->serve_count == 0 &&
        params->serve_request_metadata_count + params->serve_answer_metadata_count > 0)
        return fault_set(fault, FAULT_EMPTY, field, "the lists of metadata are for it only");
    if (check_names(params->serve_request_metadata, params->serve_request_metadata_count,
                    "endpoint.serve_request_metadata", fault))
        return fault->reason;
    return check_names(params->serve_answer_metadata, params->serve_answer_metadata_count,
                       "endpoint.serve_answer_metadata", fault);
}

static enum fault_reason check_requests(const struct endpoint_params *params, struct fault *fault)
{
    size_t size = 0;

    if (params->request_count > MAX_ENDPOINT_REQUESTS)
        return fault_number(fault, FAULT_TOO_MANY, "endpoint.requests", params->request_count, "at most 16");
    for (size_t i = 0; i < params->request_count; i++)
        size += params->requests[i].size;
    if (size > MAX_ENDPOINT_REQUEST_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "endpoint.requests", size,
                            "at most 262144 bytes together");
    return FAULT_NONE;
}

/* Keys that gRPC core makes, or that would change what a call is. */
static bool is_reserved(struct bytes key)
{
    static const char *const names[] = {"te",           "host",       "connection",
                                        "content-type", "user-agent", "keep-alive",
                                        "upgrade",      OWN_MARK_KEY, "transfer-encoding"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (key.size == strlen(names[i]) && memcmp(key.data, names[i], key.size) == 0)
            return true;
    return key.size >= 5 && memcmp(key.data, "grpc-", 5) == 0;
}

static bool is_binary(struct bytes key)
{
    return key.size >= 4 && memcmp(key.data + key.size - 4, "-bin", 4) == 0;
}

static grpc_slice static_slice(struct bytes bytes)
{
    return grpc_slice_from_static_buffer(bytes.data, bytes.size);
}

static enum fault_reason check_pair(const struct pair *pair, struct fault *fault)
{
    const char *const field = "endpoint.metadata";

    if (pair->name.size == 0 || pair->name.data[0] == ':' || is_reserved(pair->name) ||
        is_binary(pair->name) || !grpc_header_key_is_legal(static_slice(pair->name)))
        return fault_bytes(fault, FAULT_BAD_METADATA, field, pair->name,
                           "a-z, 0-9, '-', '_', '.'; not gRPC's own; not -bin");
    if (!grpc_header_nonbin_value_is_legal(static_slice(pair->value)))
        return fault_bytes(fault, FAULT_BAD_METADATA, field, pair->name, "a value of printable ASCII");
    return FAULT_NONE;
}

static enum fault_reason check_metadata(const struct endpoint_params *params, struct fault *fault)
{
    size_t size = 0;

    if (params->metadata_count > MAX_ENDPOINT_METADATA)
        return fault_number(fault, FAULT_TOO_MANY, "endpoint.metadata", params->metadata_count, "at most 32");
    for (size_t i = 0; i < params->metadata_count; i++) {
        size += params->metadata[i].name.size + params->metadata[i].value.size;
        if (check_pair(&params->metadata[i], fault))
            return fault->reason;
    }
    if (size > MAX_ENDPOINT_METADATA_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "endpoint.metadata", size, "at most 8192 bytes together");
    return FAULT_NONE;
}

static enum fault_reason check_labels(const struct endpoint_params *params, struct fault *fault)
{
    if (params->label_count > MAX_ENDPOINT_LABELS)
        return fault_number(fault, FAULT_TOO_MANY, "endpoint.labels", params->label_count, "at most 64");
    for (size_t i = 0; i < params->label_count; i++) {
        const struct pair *label = &params->labels[i];

        if (name_check(label->name, "endpoint.labels", 256, fault))
            return fault->reason;
        if (label->value.size > 256)
            return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.labels", label->value, "at most 256 bytes");
        if (text_printable(label->value))
            return fault_bytes(fault, text_printable(label->value), "endpoint.labels", label->value, "");
    }
    return FAULT_NONE;
}

static enum fault_reason check_times(const struct endpoint_params *params, struct fault *fault)
{
    const struct {
        const char *field;
        int64_t value_ns, max_ns;
        bool may_be_none;
    } times[] = {
        {"endpoint.backoff", params->backoff_ns, MAX_ENDPOINT_WAIT_NS, false},
        {"endpoint.max_backoff", params->max_backoff_ns, MAX_ENDPOINT_WAIT_NS, false},
        {"endpoint.connect_timeout", params->connect_timeout_ns, MAX_ENDPOINT_WAIT_NS, false},
        {"endpoint.first_message_timeout", params->first_message_timeout_ns, MAX_ENDPOINT_QUIET_NS, true},
        {"endpoint.idle_timeout", params->idle_timeout_ns, MAX_ENDPOINT_QUIET_NS, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char bound[64];

        if (times[i].may_be_none && times[i].value_ns == 0)
            continue;
        if (times[i].value_ns >= MIN_ENDPOINT_TIME_NS && times[i].value_ns <= times[i].max_ns)
            continue;
        snprintf(bound, sizeof(bound), "10 to %lld ms", (long long)(times[i].max_ns / NS_PER_MS));
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, times[i].field,
                            (uint64_t)(times[i].value_ns / NS_PER_MS), bound);
    }
    return FAULT_NONE;
}

static enum fault_reason check_field(const struct endpoint_params *params, const char *text, const char *name,
                                     struct fault *fault)
{
    struct field_path path;

    if (!text || *text == '\0')
        return FAULT_NONE;
    if (params->event_batch || params->cascade)
        return fault_bytes(fault, FAULT_BAD_FIELD_PATH, name, text_bytes(text),
                           "none where messages are EventBatches");
    if (!field_path_parse(text, &path))
        return fault_bytes(fault, FAULT_BAD_FIELD_PATH, name, text_bytes(text),
                           "1 to 8 field numbers, such as 3 or 1.3.2");
    return FAULT_NONE;
}

static enum fault_reason check_history(const struct endpoint_params *params, struct fault *fault)
{
    const struct history_bounds *history = &params->history;
    const char *const bytes = "endpoint.history_bytes", *const events = "endpoint.history_events";

    if (history->events == 0 && history->bytes == 0)
        return FAULT_NONE;
    if (params->mode == SESSION_PER_CONSUMER)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, history->events > 0 ? events : bytes,
                            history->events > 0 ? history->events : history->bytes, "none with PER_CONSUMER");
    if (history->events == 0 || history->events > MAX_ENDPOINT_HISTORY_EVENTS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, events, history->events, "1 to 1024");
    if (history->bytes < MIN_ENDPOINT_HISTORY_BYTES || history->bytes > MAX_ENDPOINT_HISTORY_BYTES)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, bytes, history->bytes, "1024 to 16777216");
    return FAULT_NONE;
}

/* What each_address appends to a name at most: '@' and "[V6]:PORT". */
#define ADDRESS_NAME_BYTES 48u

/* A SHARED call is made for nobody, so it has come through no other server. Two servers whose
 * SHARED endpoints made the other's events their own would pass them on without end. */
static enum fault_reason check_flat(const struct endpoint_params *params, struct fault *fault)
{
    static const char service[] = "/tributary.v1.Subscriber/";

    if (params->mode != SESSION_SHARED || strncmp(params->method, service, strlen(service)) != 0)
        return FAULT_NONE;
    return fault_set(fault, FAULT_UNSUPPORTED, "endpoint.activation",
                     "RAW and EVENT_BATCH of a Subscriber are PER_CONSUMER or BY_REQUEST; SHARED is CASCADE");
}

static enum fault_reason check_cascade(const struct endpoint_params *params, struct fault *fault)
{
    if (!params->cascade)
        return check_flat(params, fault);
    if (params->mode != SESSION_SHARED)
        return fault_set(
            fault, FAULT_UNSUPPORTED, "endpoint.activation",
            "CASCADE is SHARED: select 'NAME/*'. A call for each consumer: decode EVENT_BATCH or RAW");
    if (params->history.events > 0)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "endpoint.history_events", params->history.events,
                            "none with decode CASCADE: see --history");
    if (params->name.size > MAX_CASCADE_NAME_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.name", params->name,
                           "with decode CASCADE at most 200 bytes");
    if (params->each_address && params->name.size > MAX_CASCADE_NAME_BYTES - ADDRESS_NAME_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.name", params->name,
                           "with decode CASCADE and each_address at most 152 bytes");
    return FAULT_NONE;
}

enum fault_reason endpoint_check(const struct endpoint_params *params, struct fault *fault)
{
    const struct bytes authority = text_bytes(params->authority);

    if (name_check(params->name, "endpoint.name", 256, fault))
        return fault->reason;
    if (params->name.data[0] == '@')
        return fault_bytes(fault, FAULT_BAD_NAME, "endpoint.name", params->name,
                           "names that begin with '@' are for topics");
    if (authority.size > 256)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.authority", authority, "at most 256 bytes");
    if (!text_plain(authority))
        return fault_bytes(fault, FAULT_BAD_NAME, "endpoint.authority", authority, "printable ASCII");
    const bool serves_only = params->serve_count > 0 && params->method[0] == '\0';

    if (params->schema && params->serve_count == 0)
        return fault_set(fault, FAULT_UNSUPPORTED, "endpoint.descriptor_set", "only with endpoint.serve");
    if (check_serve(params, fault) || check_cascade(params, fault) ||
        (!serves_only && check_method(params->method, fault)) || check_requests(params, fault) ||
        check_metadata(params, fault) || check_labels(params, fault) ||
        check_field(params, params->key_field, "endpoint.key_field", fault) ||
        check_field(params, params->time_field, "endpoint.time_field", fault) || check_history(params, fault))
        return fault->reason;
    return check_times(params, fault);
}

enum fault_reason endpoint_check_set(const struct endpoint_params *params, const struct place *place,
                                     struct fault *fault)
{
    const int64_t period_ns = params->resolve_period_ns;

    if (!params->each_address)
        return FAULT_NONE;
    if (place->kind != PLACE_NAME)
        return fault_bytes(fault, FAULT_BAD_ADDRESS, "endpoint.address", text_bytes(params->address),
                           "with each_address a host name and a port");
    if (params->name.size > MAX_SET_NAME_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.name", params->name,
                           "with each_address at most 192 bytes");
    if (params->label_count > MAX_SET_LABELS)
        return fault_number(fault, FAULT_TOO_MANY, "endpoint.labels", params->label_count,
                            "with each_address at most 62");
    if (period_ns < NS_PER_S || period_ns > MAX_ENDPOINT_WAIT_NS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "endpoint.resolve_period",
                            (uint64_t)(period_ns / NS_PER_MS), "1000 to 3600000 ms");
    return FAULT_NONE;
}
