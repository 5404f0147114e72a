/* group_options.c - see group_options.h. */
#include "group/group_options.h"

#include "base/clock.h"

void group_options_default(struct group_options *options)
{
    *options = (struct group_options){
        .shards = 16,
        .max_members = 256,
        .max_sources = 16,
        .max_window = 16384,
        .max_ranges = 1024,
        .ack_wait_ns = 30 * NS_PER_S,
        .revoke_wait_ns = 30 * NS_PER_S,
        .retry = {.max_attempts = 5,
                  .first_ns = 100 * NS_PER_MS,
                  .max_ns = 60 * NS_PER_S,
                  .unrecoverable = BIT(RETRY_UNRECOVERABLE) | BIT(RETRY_UNPARSEABLE)},
        .commit_events = 1024,
        .commit_ns = 100 * NS_PER_MS,
    };
}

static bool within(uint32_t value, uint32_t max)
{
    return value >= 1 && value <= max;
}

const char *group_options_check(const struct group_options *options)
{
    if (!within(options->shards, MAX_GROUP_SHARDS))
        return "shards";
    if (!within(options->max_members, MAX_GROUP_MEMBERS))
        return "max_members";
    if (!within(options->max_sources, MAX_GROUP_SOURCES))
        return "max_sources";
    if (!within(options->max_window, MAX_GROUP_WINDOW))
        return "max_window";
    if (!within(options->max_ranges, MAX_GROUP_WINDOW))
        return "max_ranges";
    if (options->ack_wait_ns < NS_PER_MS)
        return "ack_wait";
    if (options->revoke_wait_ns < 0)
        return "revoke_wait";
    if (!within(options->retry.max_attempts, MAX_DELIVERY_ATTEMPTS))
        return "retry.max_attempts";
    if (options->retry.first_ns < 4 || options->retry.max_ns < options->retry.first_ns ||
        options->retry.max_ns > INT64_MAX / 2)
        return "retry.wait";
    if (options->commit_events == 0)
        return "commit_events";
    if (options->commit_ns < 0)
        return "commit_wait";
    return NULL;
}
