/* fanin_request.c - see fanin_request.h. */
#include "server/fanin/fanin_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/quantity.h"
#include "server/wire/call.h"

#define PREFIX "tributary-"
#define MAX_SELECT_VALUES 16u
#define MAX_SELECT_ITEMS 16u /* of one value */
#define MAX_WORD_BYTES 31u   /* of a number or a choice */
#define DEFAULT_WINDOW_NS (100 * NS_PER_MS)

struct reading {
    const struct settings *settings;
    struct fanin_request *request;
    struct fault *fault;
    unsigned given; /* a bit for each of `keys` */
    struct selector selectors[MAX_SELECT_VALUES];
    struct pair labels[MAX_SELECT_VALUES][MAX_SELECT_ITEMS];
    size_t selector_count;
};

struct key {
    const char *name;
    enum fault_reason (*read)(struct reading *reading, const struct key *key, struct bytes value);
};

/* ---- tributary-select: NAME, LABEL=VALUE, or several of these with commas ---- */

static enum fault_reason read_item(struct reading *reading, const struct key *key, struct bytes item)
{
    struct selector *selector = &reading->selectors[reading->selector_count];
    const uint8_t *equals = item.size > 0 ? memchr(item.data, '=', item.size) : NULL;

    if (item.size == 0 || equals == item.data)
        return fault_bytes(reading->fault, FAULT_EMPTY, key->name, item, "NAME or LABEL=VALUE");
    if (!equals) {
        if (selector->producer.size > 0)
            return fault_bytes(reading->fault, FAULT_TOO_MANY, key->name, item, "one NAME in each value");
        selector->producer = item;
        return FAULT_NONE;
    }
    if (selector->label_count == MAX_SELECT_ITEMS)
        return fault_bytes(reading->fault, FAULT_TOO_MANY, key->name, item, "16 labels in each value");
    struct pair *label = &reading->labels[reading->selector_count][selector->label_count++];
    label->name = (struct bytes){item.data, (size_t)(equals - item.data)};
    label->value = (struct bytes){equals + 1, item.size - label->name.size - 1};
    selector->labels = reading->labels[reading->selector_count];
    return FAULT_NONE;
}

static enum fault_reason read_select(struct reading *reading, const struct key *key, struct bytes value)
{
    const uint8_t *at = value.data, *end = value.data + value.size;

    if (reading->selector_count == MAX_SELECT_VALUES)
        return fault_bytes(reading->fault, FAULT_TOO_MANY, key->name, value, "at most 16 values");
    do {
        const uint8_t *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const struct bytes item = {at, (size_t)((comma ? comma : end) - at)};

        if (read_item(reading, key, item))
            return reading->fault->reason;
        at = comma ? comma + 1 : NULL;
    } while (at);
    reading->selector_count++;
    return FAULT_NONE;
}

/* ---- the others ---- */

/* The value as a text. False: it is longer than any word, or has a NUL. */
static bool word_of(struct bytes value, char word[MAX_WORD_BYTES + 1])
{
    if (value.size == 0 || value.size > MAX_WORD_BYTES || memchr(value.data, '\0', value.size))
        return false;
    memcpy(word, value.data, value.size);
    word[value.size] = '\0';
    return true;
}

static enum fault_reason read_quantity(struct reading *reading, const struct key *key, struct bytes value,
                                       enum quantity_kind kind, struct quantity_bounds bounds,
                                       uint64_t *quantity_out)
{
    char word[MAX_WORD_BYTES + 1], wrong[QUANTITY_FAULT_CAPACITY];

    if (word_of(value, word) && quantity_parse(kind, word, bounds, quantity_out, wrong))
        return FAULT_NONE;
    quantity_bounds_text(kind, bounds, wrong);
    return fault_bytes(reading->fault, FAULT_OUT_OF_BOUNDS, key->name, value, wrong);
}

static enum fault_reason read_events(struct reading *reading, const struct key *key, struct bytes value)
{
    const struct setting_range *range = &reading->settings->subscription.max_events;
    const struct quantity_bounds bounds = {(uint64_t)range->min, (uint64_t)range->max};
    uint64_t events = 0;

    if (read_quantity(reading, key, value, QUANTITY_NUMBER, bounds, &events))
        return reading->fault->reason;
    reading->request->limits.max_events = (uint32_t)events;
    return FAULT_NONE;
}

static enum fault_reason read_bytes(struct reading *reading, const struct key *key, struct bytes value)
{
    const struct setting_range *range = &reading->settings->subscription.max_bytes;
    const struct quantity_bounds bounds = {(uint64_t)range->min, (uint64_t)range->max};

    return read_quantity(reading, key, value, QUANTITY_BYTES, bounds, &reading->request->limits.max_bytes);
}

static enum fault_reason read_policy(struct reading *reading, const struct key *key, struct bytes value)
{
    static const struct {
        const char *word;
        enum overflow overflow;
    } policies[] = {{"block", OVERFLOW_BLOCK},
                    {"drop-oldest", OVERFLOW_DROP_OLDEST},
                    {"drop-newest", OVERFLOW_DROP_NEWEST},
                    {"disconnect", OVERFLOW_DISCONNECT}};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        reading->request->limits.overflow = policies[i].overflow;
        if (bytes_same(value, text_bytes(policies[i].word)))
            return FAULT_NONE;
    }
    return fault_bytes(reading->fault, FAULT_OUT_OF_BOUNDS, key->name, value,
                       "block, drop-oldest, drop-newest or disconnect");
}

static enum fault_reason read_end(struct reading *reading, const struct key *key, struct bytes value)
{
    reading->request->end = (enum serve_end)serve_word_find(value, serve_end_words, SERVE_END_COUNT);
    if (reading->request->end < SERVE_END_COUNT)
        return FAULT_NONE;
    return fault_bytes(reading->fault, FAULT_OUT_OF_BOUNDS, key->name, value,
                       "all-ok, partial-ok or fail-fast");
}

/* ---- tributary-sort-...: docs/order.md ---- */

static enum fault_reason read_sort_field(struct reading *reading, const struct key *key, struct bytes value)
{
    char word[MAX_WORD_BYTES + 1];

    if (word_of(value, word) && field_path_parse(word, &reading->request->limits.sort.field))
        return FAULT_NONE;
    return fault_bytes(reading->fault, FAULT_BAD_FIELD_PATH, key->name, value,
                       "1 to 8 field numbers, such as 3 or 1.3.2; at most 31 bytes");
}

static enum fault_reason read_sort_window(struct reading *reading, const struct key *key, struct bytes value)
{
    const struct quantity_bounds bounds = {NS_PER_MS, 60 * NS_PER_S};
    uint64_t window_ns = 0;

    if (read_quantity(reading, key, value, QUANTITY_DURATION, bounds, &window_ns))
        return reading->fault->reason;
    reading->request->limits.sort.duration_ns = (int64_t)window_ns;
    return FAULT_NONE;
}

static enum fault_reason read_sort_events(struct reading *reading, const struct key *key, struct bytes value)
{
    const struct quantity_bounds bounds = {1, (uint64_t)reading->settings->subscription.max_events.max / 2};
    uint64_t events = 0;

    if (read_quantity(reading, key, value, QUANTITY_NUMBER, bounds, &events))
        return reading->fault->reason;
    reading->request->limits.sort.max_events = (uint32_t)events;
    return FAULT_NONE;
}

/* Once every key was read: they do not come in an order. A raw message has no time but that of a
 * field. */
static enum fault_reason finish_sort(struct chan_limits *limits, struct fault *fault)
{
    const uint32_t max = limits->max_events / 2;
    char bound[96];

    if (limits->sort.duration_ns == 0 && limits->sort.max_events == 0 && limits->sort.field.count == 0)
        return FAULT_NONE;
    if (limits->sort.field.count == 0)
        return fault_set(fault, FAULT_EMPTY, PREFIX "sort-field", "which field of a message is its time");
    if (max == 0 || limits->sort.max_events > max) {
        snprintf(bound, sizeof(bound), "at most %" PRIu32 ", half of " PREFIX "buffer-events", max);
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, PREFIX "sort-events",
                            MAX_OF(limits->sort.max_events, 1u), bound);
    }
    limits->sort.is_raw = true;
    if (limits->sort.duration_ns == 0)
        limits->sort.duration_ns = DEFAULT_WINDOW_NS;
    if (limits->sort.max_events == 0)
        limits->sort.max_events = max;
    return FAULT_NONE;
}

static const struct key keys[] = {{PREFIX "select", read_select},
                                  {PREFIX "buffer-events", read_events},
                                  {PREFIX "buffer-bytes", read_bytes},
                                  {PREFIX "policy", read_policy},
                                  {PREFIX "end", read_end},
                                  {PREFIX "sort-window", read_sort_window},
                                  {PREFIX "sort-events", read_sort_events},
                                  {PREFIX "sort-field", read_sort_field}};

static enum fault_reason read_pair(struct reading *reading, struct bytes name, struct bytes value)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct key *key = &keys[i];

        if (!bytes_same(name, text_bytes(key->name)))
            continue;
        if ((reading->given & BIT(i)) != 0 && key->read != read_select)
            return fault_bytes(reading->fault, FAULT_TOO_MANY, key->name, value, "once");
        reading->given |= BIT(i);
        return key->read(reading, key, value);
    }
    return fault_bytes(reading->fault, FAULT_BAD_METADATA, "metadata", name,
                       "tributary-select, -end, -policy, -buffer-..., or -sort-...");
}

/* The mark of another tributary's own calls (grpc/own_mark.h) asks for nothing. */
static enum fault_reason read_all(struct reading *reading, const struct call *call)
{
    struct pair pair;

    for (size_t i = 0; call_metadata(call, i, &pair); i++) {
        const struct bytes name = pair.name;

        if (!bytes_begin_with(name, text_bytes(PREFIX)) || bytes_same(name, text_bytes(PREFIX "process")))
            continue;
        if (read_pair(reading, name, pair.value))
            return reading->fault->reason;
    }
    return FAULT_NONE;
}

/* The method's protocol cannot say that something is missing, so nothing is dropped unless the
 * client asks for it. What cannot wait then ends the call. */
static struct chan_limits default_limits(const struct settings *settings)
{
    return (struct chan_limits){.no_states = true,
                                .max_events = (uint32_t)settings->subscription.max_events.default_value,
                                .max_bytes = (uint64_t)settings->subscription.max_bytes.default_value,
                                .overflow = OVERFLOW_BLOCK,
                                .fallback = OVERFLOW_DISCONNECT};
}

enum fault_reason fanin_request_read(const struct call *call, const struct settings *settings,
                                     struct fanin_request *request_out, struct fault *fault)
{
    struct fanin_request request = {.limits = default_limits(settings)};
    SCRATCH struct reading reading;

    reading.settings = settings;
    reading.request = &request;
    reading.fault = fault;
    reading.given = 0;
    reading.selector_count = 0;
    memset(reading.selectors, 0, sizeof(reading.selectors));
    if (read_all(&reading, call) || finish_sort(&request.limits, fault))
        return fault->reason;
    if (reading.selector_count == 0)
        reading.selectors[reading.selector_count++].producer = text_bytes("*");
    if (filter_new(reading.selectors, reading.selector_count, NULL, 0, &request.filter, fault)) {
        fault_within(fault, PREFIX "select.");
        return fault->reason;
    }
    request.limits.max_bytes = MIN_OF(request.limits.max_bytes, (uint64_t)settings->memory_limit_bytes / 100 *
                                                                    settings->channel_share_percent);
    *request_out = request;
    return FAULT_NONE;
}

void fanin_request_fini(struct fanin_request *request)
{
    filter_free(request->filter);
    request->filter = NULL;
}
