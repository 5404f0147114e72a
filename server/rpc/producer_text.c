/* producer_text.c - what limits a producer, in one sentence. */
#include <inttypes.h>

#include "base/fault.h"
#include "server/dial/dial_turns.h"
#include "server/rpc/limit_text.h"
#include "server/rpc/producer_limits.h"

static void put_failure(struct buf *text, const struct producer_stats *at)
{
    if (at->failure_code == CODE_OK)
        return;
    buf_format(text, ": its %s failed with %s \"%s\"",
               at->failed_in_dial ? "connection (DIAL)" : "stream (STREAM)",
               fault_code_name((enum fault_code)at->failure_code), at->failure_text);
}

static void put_retry(struct buf *text, const struct producer_stats *at)
{
    if (at->retry_in_ns < 0)
        return;
    buf_text(text, "; it is tried again in ");
    limit_put_time(text, at->retry_in_ns);
}

/* "3 of 4 consumers" */
static void put_share(struct buf *text, uint32_t count, const struct producer_stats *at)
{
    const uint32_t all = at->activations + at->waiting;

    buf_format(text, "%" PRIu32 " of %" PRIu32 " consumer%s", count, all, all == 1 ? "" : "s");
}

static void write_draining(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, "It is ending: ");
    limit_put_count(text, at->activations, "call");
    buf_text(text, at->activations == 1 ? " of it is still there" : " of it are still there");
}

static void write_ended(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, "It has ended, and is not called again");
    put_failure(text, at);
}

static void write_quota(const struct producer_stats *at, struct buf *text)
{
    buf_format(text, "The server's memory budget is short (%" PRIu64 " of %" PRIu64 " bytes are used): ",
               at->memory_used, at->memory_limit);
    if (at->refused_batches == 0) {
        buf_text(text, "there is none for its connection");
        return;
    }
    buf_format(text, "%" PRIu64 " %s refused in the last ", at->refused_batches,
               at->refused_batches == 1 ? "batch was" : "batches were");
    limit_put_time(text, at->window_ns);
}

static void write_dial_turn(const struct producer_stats *at, struct buf *text)
{
    buf_format(text,
               "It waits for its turn to be dialled: producers that fail have %d turns a second, all of "
               "them together",
               DIAL_TURNS_PER_S);
    put_failure(text, at);
}

static void write_unavailable(const struct producer_stats *at, struct buf *text)
{
    if (at->is_set)
        buf_format(text, "Its addresses are not known: \"%s\"", at->failure_text);
    else
        buf_text(text, "The server cannot reach it");
    if (!at->is_set)
        put_failure(text, at);
    put_retry(text, at);
}

static void write_connecting(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, at->is_set ? "Its addresses are being looked up"
                              : "The server has called it, and has no answer yet");
}

static void write_blocked(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, "The full buffer of a consumer holds it back");
    if (at->blocking_id[0] != '\0')
        buf_format(text, ": subscription %s", at->blocking_id);
}

static void write_backoff(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, "What it did for ");
    put_share(text, at->waiting, at);
    buf_text(text, " ended with an error");
    put_retry(text, at);
}

static void write_paused(const struct producer_stats *at, struct buf *text)
{
    put_share(text, at->paused, at);
    buf_text(text, at->paused == 1 ? " has asked it to pause, because its buffer is full"
                                   : " have asked it to pause, because their buffers are full");
    if (at->paused_id[0] != '\0')
        buf_format(text, ": subscription %s%s", at->paused_id, at->paused > 1 ? " is one of them" : "");
}

static void write_no_consumer(const struct producer_stats *at, struct buf *text)
{
    buf_text(text, !at->has_calls    ? "No consumer wants it: what it sends reaches nobody"
                   : at->is_endpoint ? "No consumer wants it, so it is not called"
                                     : "No consumer wants it, so it has nothing to do");
}

static void write_silent(const struct producer_stats *at, struct buf *text)
{
    buf_text(text,
             at->is_away ? "It has no open call, and is silent: " : "It can be reached, and is silent: ");
    if (at->last_event_ns < 0) {
        buf_text(text, "it has sent no event so far");
        return;
    }
    buf_text(text, "its last event came ");
    limit_put_time(text, at->last_event_ns);
    buf_text(text, " ago");
}

static void write_healthy(const struct producer_stats *at, struct buf *text)
{
    if (at->is_set) {
        buf_text(text, "Nothing limits it: it is a set, with a producer for each address");
        return;
    }
    buf_text(text, "Nothing limits it: it sent ");
    limit_put_count(text, at->published, "event");
    buf_text(text, " in the last ");
    limit_put_time(text, at->window_ns);
    buf_text(text, ", and has ");
    limit_put_count(text, at->subscriptions, "consumer");
}

/* Each writes a sentence without its full stop. */
static void (*const writers[LIMIT_COUNT])(const struct producer_stats *at, struct buf *text) = {
    [LIMIT_DRAINING] = write_draining,
    [LIMIT_ENDED] = write_ended,
    [LIMIT_QUOTA] = write_quota,
    [LIMIT_DIAL_TURN] = write_dial_turn,
    [LIMIT_UNAVAILABLE] = write_unavailable,
    [LIMIT_CONNECTING] = write_connecting,
    [LIMIT_PRODUCER_BLOCKED] = write_blocked,
    [LIMIT_BACKOFF] = write_backoff,
    [LIMIT_PAUSED] = write_paused,
    [LIMIT_NO_CONSUMER] = write_no_consumer,
    [LIMIT_SILENT] = write_silent,
    [LIMIT_HEALTHY] = write_healthy,
};

void producer_limit_write(enum limit limit, const struct producer_stats *at, struct buf *sentence)
{
    writers[limit](at, sentence);
    buf_byte(sentence, '.');
}
