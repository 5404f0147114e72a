/* limit_text.c - what limits a consumer, in one sentence. */
#include "server/rpc/limit_text.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/fault.h"

void limit_put_time(struct buf *text, int64_t ns)
{
    if (ns >= NS_PER_S)
        buf_format(text, "%" PRId64 ".%" PRId64 " s", ns / NS_PER_S, ns % NS_PER_S / (100 * NS_PER_MS));
    else
        buf_format(text, "%" PRId64 " ms", ns / NS_PER_MS);
}

void limit_put_count(struct buf *text, uint64_t count, const char *one)
{
    buf_format(text, "%" PRIu64 " %s%s", count, one, count == 1 ? "" : "s");
}

/* "; 12 events wait" where some do */
static void put_waiting(struct buf *text, const struct limit_stats *at)
{
    if (at->waiting.events > 0)
        buf_format(text, "; %" PRIu64 " event%s", at->waiting.events,
                   at->waiting.events == 1 ? " waits" : "s wait");
}

static void put_window(struct buf *text, const struct limit_stats *at)
{
    buf_text(text, " in the last ");
    limit_put_time(text, at->window_ns);
}

/* "Its buffer has 12 of 1024 events and 345 of 67108864 bytes" */
static void put_buffer(struct buf *text, const struct limit_stats *at)
{
    buf_format(text, "Its buffer has %" PRIu64 " of %" PRIu32 " events and %" PRIu64 " of %" PRIu64 " bytes",
               at->waiting.events, at->limits.max_events, at->waiting.bytes, at->limits.max_bytes);
}

/* "producer "a" and 2 more" */
static void put_producers(struct buf *text, const char *name, uint32_t count)
{
    buf_format(text, "producer \"%s\"", name);
    if (count > 1)
        buf_format(text, " and %" PRIu32 " more", count - 1);
}

static void put_retry(struct buf *text, const struct limit_producers *producers)
{
    if (producers->retry_in_ns < 0)
        return;
    buf_text(text, "; it is tried again in ");
    limit_put_time(text, producers->retry_in_ns);
}

/* ---- the stream and the server ---- */

static void write_draining(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "It is ending, and gets no new events");
    if (at->drain_left_ns >= 0) {
        buf_text(text, "; it has ");
        limit_put_time(text, at->drain_left_ns);
        buf_text(text, " left");
    }
    put_waiting(text, at);
}

static void write_unanswered(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "The server's thread that serves it has not answered for ");
    limit_put_time(text, at->thread_delay_ns);
}

static void write_starting(const struct limit_stats *at, struct buf *text)
{
    buf_format(text, "It is still being bound to its producers, %" PRIu32 " so far", at->matched);
}

static void write_behind(const struct limit_stats *at, struct buf *text)
{
    if (!at->answered) {
        write_unanswered(at, text);
        return;
    }
    buf_format(text,
               "The server is behind: the thread that serves it was busy for %" PRId64 " %% of the time",
               at->busy_percent);
    buf_text(text, ", and answered after ");
    limit_put_time(text, at->thread_delay_ns);
    put_waiting(text, at);
}

/* ---- the consumer ---- */

static void write_takes_nothing(const struct limit_stats *at, struct buf *text)
{
    const bool writes = at->write_ns >= at->unwritable_ns;

    buf_text(text, writes ? "The consumer takes nothing: a message to it has been on its way for "
                          : "The consumer takes nothing: its connection has been full for ");
    limit_put_time(text, writes ? at->write_ns : at->unwritable_ns);
    put_waiting(text, at);
}

static void write_no_credit(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "The consumer gives no credit: it has allowed no event for ");
    limit_put_time(text, at->starved_ns);
    put_waiting(text, at);
}

static void write_quota(const struct limit_stats *at, struct buf *text)
{
    buf_format(text, "The server's memory budget is short (%" PRIu64 " of %" PRIu64 " bytes are used): ",
               at->memory_used, at->memory_limit);
    if (at->losses[LOSS_BUDGET] > 0) {
        limit_put_count(text, at->losses[LOSS_BUDGET], "event");
        buf_text(text, " for this consumer gave way");
        put_window(text, at);
    } else if (at->refused_batches > 0) {
        buf_format(text, "%" PRIu64 " %s refused", at->refused_batches,
                   at->refused_batches == 1 ? "batch was" : "batches were");
        put_window(text, at);
    } else {
        buf_text(text, "its producers are held back before its buffer is full");
    }
}

static void write_blocking(const struct limit_stats *at, struct buf *text)
{
    put_buffer(text, at);
    buf_text(text, ", and its policy BLOCK holds back producers that others share");
    if (at->blocked_ns >= 0) {
        buf_text(text, ", for ");
        limit_put_time(text, at->blocked_ns);
        buf_text(text, " so far");
    }
}

static void write_paused(const struct limit_stats *at, struct buf *text)
{
    put_buffer(text, at);
    buf_text(text, ", so ");
    put_producers(text, at->producers.names.paused, at->producers.paused);
    buf_text(text, " that serves it alone is asked to pause");
}

static enum loss main_loss(const struct limit_stats *at)
{
    static const enum loss reasons[] = {LOSS_BLOCK_TIMEOUT, LOSS_OVERFLOW_OLDEST, LOSS_OVERFLOW_NEWEST,
                                        LOSS_EXPIRED};
    enum loss max = LOSS_BLOCK_TIMEOUT;

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (at->losses[reasons[i]] > at->losses[max])
            max = reasons[i];
    return max;
}

static void write_losing(const struct limit_stats *at, struct buf *text)
{
    const enum loss reason = main_loss(at);

    buf_text(text, "It loses events by its policy: ");
    limit_put_count(text, limit_lost(at), "event");
    put_window(text, at);
    buf_text(text, reason == LOSS_BLOCK_TIMEOUT
                       ? ", because it held producers back for too long, and the fallback applies"
                   : reason == LOSS_OVERFLOW_OLDEST ? ", because its buffer is full and the oldest give way"
                   : reason == LOSS_OVERFLOW_NEWEST
                       ? ", because its buffer is full and new ones find no space"
                       : ", because they were older than it allows");
}

static void write_coalescing(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "LATEST_PER_KEY replaced ");
    limit_put_count(text, at->losses[LOSS_COALESCED], "waiting event");
    buf_text(text, " by newer ones of their keys");
    put_window(text, at);
}

static void write_credit_trickle(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "The consumer gives credit bit by bit: it got ");
    limit_put_count(text, at->delivered, "event");
    put_window(text, at);
    put_waiting(text, at);
}

static void write_slow_reader(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "The consumer reads more slowly than events come: it took ");
    limit_put_count(text, at->delivered, "event");
    put_window(text, at);
    put_waiting(text, at);
    buf_text(text, ", the oldest for ");
    limit_put_time(text, at->oldest_ns);
}

/* ---- the producers ---- */

static void write_no_producer(const struct limit_stats *at, struct buf *text)
{
    (void)at;
    buf_text(text, "No producer matches its selectors");
}

static void write_producer_blocked(const struct limit_stats *at, struct buf *text)
{
    const struct limit_producers *producers = &at->producers;

    buf_text(text, "Another consumer's full buffer holds back ");
    put_producers(text, producers->names.blocked, producers->blocked);
    if (producers->blocking_id[0] != '\0')
        buf_format(text, ": subscription %s", producers->blocking_id);
}

static void write_unavailable(const struct limit_stats *at, struct buf *text)
{
    const struct limit_producers *producers = &at->producers;

    buf_text(text, "The server cannot reach ");
    put_producers(text, producers->names.unavailable, producers->unavailable);
    if (producers->failure_code != CODE_OK)
        buf_format(text, ": its %s failed with %s \"%s\"",
                   producers->failed_in_stream ? "stream (STREAM)"
                   : producers->failed_in_dial ? "connection (DIAL)"
                                               : "call",
                   fault_code_name((enum fault_code)producers->failure_code), producers->failure_text);
    put_retry(text, producers);
}

static void write_connecting(const struct limit_stats *at, struct buf *text)
{
    const struct limit_producers *producers = &at->producers;

    buf_text(text, "The server has called ");
    put_producers(text, producers->names.connecting, producers->connecting);
    buf_text(text, ", and has no answer yet");
}

static void write_backoff(const struct limit_stats *at, struct buf *text)
{
    const struct limit_producers *producers = &at->producers;

    buf_text(text, "What ");
    put_producers(text, producers->names.backoff, producers->backoff);
    buf_text(text, " did for it ended with an error");
    put_retry(text, producers);
}

static void write_filtered(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "Its producers send, and nothing of it matches its selectors: the last event came ");
    limit_put_time(text, at->filtered_age_ns);
    buf_text(text, " ago from ");
    put_producers(text, at->producers.names.latest, 1);
}

static void write_silent(const struct limit_stats *at, struct buf *text)
{
    const struct limit_producers *producers = &at->producers;

    buf_text(text, "It has everything, and its ");
    limit_put_count(text, at->matched, "producer");
    buf_text(text, at->matched == 1 ? " is silent" : " are silent");
    if (producers->last_event_wall_ns == 0) {
        buf_text(text, ": none has sent an event so far");
    } else {
        buf_text(text, ": the last event came ");
        limit_put_time(text, at->last_event_ns);
        buf_text(text, " ago from ");
        put_producers(text, producers->names.latest, 1);
    }
    if (producers->looked_at < at->matched)
        buf_format(text, " (of the first %" PRIu32 ")", producers->looked_at);
}

static void write_sort_window(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "It gets its events in the order of their times, so each is held for ");
    limit_put_time(text, at->limits.sort.duration_ns);
    put_waiting(text, at);
    if (at->sorted_late > 0) {
        buf_text(text, "; ");
        limit_put_count(text, at->sorted_late, "event");
        buf_text(text, " came too late for that");
        put_window(text, at);
    }
    if (at->sort_full > 0) {
        buf_text(text, "; ");
        limit_put_count(text, at->sort_full, "event");
        buf_text(text, " went before that, because it holds no more than ");
        limit_put_count(text, at->limits.sort.max_events, "event");
    }
}

static void write_healthy(const struct limit_stats *at, struct buf *text)
{
    buf_text(text, "Nothing limits it: ");
    limit_put_count(text, at->delivered, "event");
    buf_text(text, at->delivered == 1 ? " was delivered" : " were delivered");
    put_window(text, at);
    put_waiting(text, at);
}

/* Each writes a sentence without its full stop. */
static void (*const writers[LIMIT_COUNT])(const struct limit_stats *at, struct buf *text) = {
    [LIMIT_SERVER_BEHIND] = write_behind,
    [LIMIT_DRAINING] = write_draining,
    [LIMIT_STARTING] = write_starting,
    [LIMIT_SLOW_NETWORK] = write_takes_nothing,
    [LIMIT_NO_CREDIT] = write_no_credit,
    [LIMIT_QUOTA] = write_quota,
    [LIMIT_BLOCKING] = write_blocking,
    [LIMIT_PAUSED] = write_paused,
    [LIMIT_LOSING] = write_losing,
    [LIMIT_COALESCING] = write_coalescing,
    [LIMIT_CREDIT_TRICKLE] = write_credit_trickle,
    [LIMIT_SLOW_READER] = write_slow_reader,
    [LIMIT_NO_PRODUCER] = write_no_producer,
    [LIMIT_PRODUCER_BLOCKED] = write_producer_blocked,
    [LIMIT_UNAVAILABLE] = write_unavailable,
    [LIMIT_CONNECTING] = write_connecting,
    [LIMIT_BACKOFF] = write_backoff,
    [LIMIT_FILTERED] = write_filtered,
    [LIMIT_SILENT] = write_silent,
    [LIMIT_SORT_WINDOW] = write_sort_window,
    [LIMIT_HEALTHY] = write_healthy,
};

void limit_write(enum limit limit, const struct limit_stats *at, struct buf *sentence)
{
    writers[limit](at, sentence);
    buf_byte(sentence, '.');
}
