/* h2guard_limits.c - the defaults, and which values can be used. */
#include "h2guard/h2guard_limits.h"

#define SECOND_NS INT64_C(1000000000)

/* Keeps every product of a cost and a time within 64 bits (struct bucket). */
#define MAX_COST (INT64_C(1) << 36)
#define MAX_PRICE (1u << 30)
#define MAX_STREAMS (1u << 20)
#define MAX_LENT (1u << 30)

const struct h2guard_limits h2guard_defaults = {
    .prices =
        {
#define ITEM(id, cost, waste, reason) [H2GUARD_ITEM_##id] = {cost, waste},
#include "h2guard/h2guard_item.def"
#undef ITEM
        },
    .turn_cost = 400000,
    .second_cost = 2 * SECOND_NS,
    .waste_burst = 10000,
    .second_waste = 2500,
    .min_read_bytes = 1024,
    .first_read_bytes = 16 * 1024,
    .max_read_bytes = 256 * 1024,
    .max_lent_bytes = 0,
    .max_streams = 1024,
    .max_frame_bytes = 256 * 1024,
    .max_header_bytes = 64 * 1024,
    .max_continuations = 8,
    .max_message_bytes = 4 * 1024 * 1024,
    .max_unfinished_bytes = 32 * 1024 * 1024,
    .stream_bytes = 12 * 1024,
    .max_unanswered = 64,
    .small_data_bytes = 16,
    .allow_compressed = false,
    .updates_per_data = 8,
    .max_updates = 65536,
    .max_pings = 64,
    .late_frames = 32768,
    .open_timeout_ns = 5 * SECOND_NS,
    .header_timeout_ns = 5 * SECOND_NS,
    .frame_timeout_ns = 60 * SECOND_NS,
    .settings_timeout_ns = 10 * SECOND_NS,
};

static const char *const item_names[H2GUARD_ITEM_COUNT] = {
#define ITEM(id, cost, waste, reason) [H2GUARD_ITEM_##id] = #id,
#include "h2guard/h2guard_item.def"
#undef ITEM
};

const char *h2guard_limits_wrong(const struct h2guard_limits *limits)
{
    for (size_t i = 0; i < H2GUARD_ITEM_COUNT; i++)
        if (limits->prices[i].cost > MAX_PRICE || limits->prices[i].waste > MAX_PRICE)
            return item_names[i];
    if (limits->prices[H2GUARD_ITEM_BYTE].cost == 0)
        return item_names[H2GUARD_ITEM_BYTE];
    if (limits->turn_cost < 1 || limits->turn_cost > MAX_COST)
        return "turn_cost";
    if (limits->second_cost < limits->turn_cost || limits->second_cost > MAX_COST)
        return "second_cost";
    if (limits->waste_burst < 0 || limits->waste_burst > MAX_COST)
        return "waste_burst";
    if (limits->second_waste < 0 || limits->second_waste > MAX_COST)
        return "second_waste";
    if (limits->min_read_bytes == 0)
        return "min_read_bytes";
    if (limits->first_read_bytes < limits->min_read_bytes)
        return "first_read_bytes";
    if (limits->max_read_bytes < limits->first_read_bytes || limits->max_read_bytes > INT32_MAX)
        return "max_read_bytes";
    if (limits->max_lent_bytes > MAX_LENT ||
        (limits->max_lent_bytes > 0 && limits->max_frame_bytes > MAX_LENT_FRAME))
        return "max_lent_bytes";
    if (limits->max_streams == 0 || limits->max_streams > MAX_STREAMS)
        return "max_streams";
    return NULL;
}

const char *h2guard_item_name(enum h2guard_item item)
{
    return (unsigned)item < H2GUARD_ITEM_COUNT ? item_names[item] : "UNKNOWN";
}
