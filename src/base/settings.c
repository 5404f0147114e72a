/* settings.c - the defaults. */
#include "base/settings.h"

#include "base/clock.h"

#define MIB (INT64_C(1) << 20)
#define HOUR_NS (3600 * NS_PER_S)

const struct settings settings_defaults = {
    .framing = {.max_event_bytes = MIB,
                .max_batch_bytes = MIB,
                .max_batch_events = 65536,
                .max_headers = 64,
                .max_name_bytes = 256,
                .max_value_bytes = 8192},
    .peer_share_percent = 50,
    .local_peer_share_percent = 97,
    .max_producers = 100000,
    .max_subscriptions = 100000,
    .max_total_filter_cost = MIB,
    .transient_forget_ns = 60 * NS_PER_S,
    .subscription = {.max_events = {1024, 1, 1048576},
                     .max_bytes = {4 * MIB, 1, 256 * MIB},
                     .max_age_ns = {0, 1, 24 * HOUR_NS},
                     .block_timeout_ns = {100 * NS_PER_MS, 1, HOUR_NS},
                     .max_batch_events = {4096, 1, 65536},
                     .max_batch_bytes = {MIB / 4, 1, MIB},
                     .linger_ns = {500 * NS_PER_US, 1, NS_PER_S},
                     .heartbeat_ns = {10 * NS_PER_S, 100 * NS_PER_MS, HOUR_NS}},
    .max_block_timeout_ns = NS_PER_S,
    .channel_share_percent = 25,
    .write_timeout_ns = 10 * NS_PER_S,
    .full_token_interval_ns = 60 * NS_PER_S,
    .drain_timeout_ns = 9 * NS_PER_S,
    .memory_limit_bytes = 1024 * MIB,
    .max_connections = 10000,
    .spare_descriptors = 64,
    .preface_timeout_ns = 5 * NS_PER_S,
    .user_timeout_ns = 20 * NS_PER_S,
    .max_calls_per_connection = 1000,
    .max_header_bytes = MIB / 16,
    .min_ping_interval_ns = 2 * NS_PER_S,
    .max_connection_age_ns = 0,
    .connection_age_grace_ns = 30 * NS_PER_S,
    .core_headroom_bytes = MIB / 16,
    .core_quota_bytes = 512 * MIB,
    .max_unfinished_bytes = 32 * MIB,
    .max_kept_bytes = 512 * MIB,
    .guard_turn_ns = 400 * NS_PER_US,
    .guard_second_ns = 2 * NS_PER_S,
};
