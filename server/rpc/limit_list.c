/* limit_list.c - the figures behind a sentence, as a list for people. */
#include "server/rpc/stat_list.h"
#include "server/rpc/limit_rules.h"

static void add_flow(const struct stat_list *list, const struct limit_stats *at)
{
    static const char *const names[LOSS_COUNT] = {
        [LOSS_OVERFLOW_OLDEST] = "lost_overflow_oldest",
        [LOSS_OVERFLOW_NEWEST] = "lost_overflow_newest",
        [LOSS_COALESCED] = "lost_coalesced",
        [LOSS_EXPIRED] = "lost_expired",
        [LOSS_BLOCK_TIMEOUT] = "lost_block_timeout",
        [LOSS_DRAIN_CUT] = "lost_drain_cut",
        [LOSS_BUDGET] = "lost_budget",
    };

    stat_add_age(list, "window", at->window_ns);
    stat_add(list, "accepted", at->accepted, "events");
    stat_add(list, "delivered", at->delivered, "events");
    for (size_t i = 0; i < LOSS_COUNT; i++)
        if (names[i])
            stat_add_some(list, names[i], at->losses[i], "events");
    stat_add_age(list, "last_sent", at->last_sent_ns);
}

static void add_buffer(const struct stat_list *list, const struct limit_stats *at)
{
    stat_add(list, "waiting", at->waiting.events, "events");
    stat_add(list, "waiting_bytes", at->waiting.bytes, "bytes");
    stat_add(list, "max_events", at->limits.max_events, "events");
    stat_add(list, "max_bytes", at->limits.max_bytes, "bytes");
    stat_add(list, "in_flight", at->in_flight.events, "events");
    stat_add_some(list, "parked", at->parked.events, "events");
    stat_add_age(list, "oldest_waiting", at->oldest_ns);
    stat_add_age(list, "blocking", at->blocked_ns);
    stat_add_some(list, "fallback_active", at->fallback_active, "");
    stat_add_some(list, "resume_gaps", at->gaps, "");
    if (at->limits.sort.duration_ns > 0)
        stat_add_age(list, "sort_window", at->limits.sort.duration_ns);
    stat_add_some(list, "sorted_late", at->sorted_late, "events");
    stat_add_some(list, "sort_full", at->sort_full, "events");
}

static void add_sender(const struct stat_list *list, const struct limit_stats *at)
{
    if (at->has_sender || !at->answered)
        list->each(list->ctx, "thread_delay", at->thread_delay_ns / NS_PER_US, "us");
    if (!at->has_sender)
        return;
    stat_add_age(list, "write_in_flight", at->write_ns);
    stat_add_age(list, "connection_full", at->unwritable_ns);
    stat_add_some(list, "unread_bytes", at->unread_bytes, "bytes");
    if (at->has_credit && at->events_left != UINT64_MAX)
        stat_add(list, "credit_events", at->events_left, "events");
    if (at->has_credit && at->bytes_left != UINT64_MAX)
        stat_add(list, "credit_bytes", at->bytes_left, "bytes");
    stat_add_age(list, "without_credit", at->starved_ns);
    list->each(list->ctx, "thread_busy", at->busy_percent, "percent");
}

static void add_producers(const struct stat_list *list, const struct limit_stats *at)
{
    const struct limit_producers *producers = &at->producers;

    stat_add(list, "producers", at->matched, "");
    stat_add(list, "producers_looked_at", producers->looked_at, "");
    stat_add_some(list, "producers_active", producers->active, "");
    stat_add_some(list, "producers_unavailable", producers->unavailable, "");
    stat_add_some(list, "producers_connecting", producers->connecting, "");
    stat_add_some(list, "producers_in_backoff", producers->backoff, "");
    stat_add_some(list, "producers_paused", producers->paused, "");
    stat_add_some(list, "producers_blocked", producers->blocked, "");
    stat_add_some(list, "producers_filtered", producers->filtered, "");
    stat_add_age(list, "last_event", at->last_event_ns);
    stat_add_age(list, "retry_in", producers->retry_in_ns);
}

void limit_each(const struct limit_stats *at,
                void (*each)(void *ctx, const char *name, int64_t value, const char *unit), void *ctx)
{
    const struct stat_list list = {each, ctx};

    add_flow(&list, at);
    add_buffer(&list, at);
    add_sender(&list, at);
    add_producers(&list, at);
    stat_add_age(&list, "drain_left", at->draining ? at->drain_left_ns : NOT_SO);
    stat_add_some(&list, "batches_refused", at->refused_batches, "");
    stat_add(&list, "memory_used", at->memory_used, "bytes");
    stat_add_some(&list, "memory_limit", at->memory_limit, "bytes");
}
