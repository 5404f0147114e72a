/* sink.c - one interface to publishers and sessions. The callbacks run on the client thread. */
#include "client/tool/sink.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/link.h"

/* Of each of many publishers. The reading of the input waits for the one that is full. */
#define TABLE_QUEUE_BYTES (1u << 20)
#define TABLE_QUEUE_EVENTS 16384u

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct sink *sink = ctx;

    atomic_store(&sink->refused_code, (int)refused->code);
    if (refused->code == TRIBUTARY_UNAVAILABLE || refused->code == TRIBUTARY_CANCELLED)
        atomic_store(&sink->has_lost, true);
    if (refused->outcome_unknown)
        atomic_fetch_add(&sink->unknown, refused->last_event - refused->first_event + 1);
    fprintf(stderr, "tributary: events %" PRIu64 " to %" PRIu64 "%s were refused%s: %s: %s\n",
            refused->first_event, refused->last_event, sink->keeps_producers ? " of one producer" : "",
            refused->outcome_unknown ? ", and may have arrived nevertheless" : "",
            tributary_code_name(refused->code), refused->message);
}

/* Many publishers lose one connection at the same time: that is one notice in a second. */
static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct sink *sink = ctx;
    const int64_t now_ns = clock_mono_ns();

    if (sink->quiet || (sink->keeps_producers && now_ns - sink->interrupted_ns < NS_PER_S))
        return;
    sink->interrupted_ns = now_ns;
    link_interrupted("not connected", status, retry_ns);
}

static void on_closing(void *ctx, const char *reason, uint64_t deadline_unix_nano)
{
    const struct sink *sink = ctx;

    (void)deadline_unix_nano; /* the library keeps the deadline */
    if (!sink->quiet)
        fprintf(stderr, "tributary: the registration is closing: %s\n", reason);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct sink *sink = ctx;

    if (status->code == TRIBUTARY_OK || status->code == TRIBUTARY_CANCELLED)
        return;
    link_failed("the registration ended", status);
    atomic_store(&sink->ended_code, (int)status->code);
    stop_end(sink->stop);
}

enum tributary_code sink_open(struct sink *sink, struct tributary *client, const char *producer,
                              const struct tributary_session_options *registration,
                              struct tributary_status *status)
{
    if (registration) {
        const struct tributary_session_callbacks callbacks = {
            .closing = on_closing, .interrupted = on_interrupted, .ended = on_ended, .ctx = sink};
        struct tributary_session_options options = *registration;

        options.mode = TRIBUTARY_MODE_SHARED;
        options.wait_timeout_ns = SINK_WAIT_NS;
        return tributary_register(client, &options, &callbacks, &sink->session, status);
    }

    const struct tributary_publisher_options options = {
        .producer = producer,
        .wait_timeout_ns = SINK_WAIT_NS,
        .confirm = sink->confirm,
        .numbering = sink->numbering,
        .refused = on_refused,
        .interrupted = on_interrupted,
        .ctx = sink,
    };

    if (!sink->keeps_producers)
        return tributary_publisher_new(client, &options, &sink->publisher, status);
    publisher_table_init(&sink->table, client, &options);
    sink->table.options.queue_bytes = TABLE_QUEUE_BYTES;
    sink->table.options.queue_events = TABLE_QUEUE_EVENTS;
    return TRIBUTARY_OK;
}

static enum tributary_code publish_for(struct sink *sink, struct tributary_bytes producer,
                                       const struct tributary_event *event)
{
    struct tributary_publisher *publisher = NULL;
    const enum tributary_code code =
        publisher_table_get(&sink->table, producer, SINK_WAIT_NS, &publisher, NULL);

    return code == TRIBUTARY_OK ? tributary_publish(publisher, event) : code;
}

enum tributary_code sink_publish(struct sink *sink, struct tributary_bytes producer,
                                 const struct tributary_event *event)
{
    if (sink->keeps_producers)
        return publish_for(sink, producer, event);
    return sink->session ? tributary_session_emit(sink->session, 0, event)
                         : tributary_publish(sink->publisher, event);
}

bool sink_flush(struct sink *sink)
{
    if (sink->keeps_producers)
        return publisher_table_flush(&sink->table, SINK_WAIT_NS);

    const enum tributary_code code = sink->session ? tributary_session_flush(sink->session, SINK_WAIT_NS)
                                                   : tributary_publisher_flush(sink->publisher, SINK_WAIT_NS);

    return code == TRIBUTARY_OK;
}

void sink_stats(struct sink *sink, struct sink_stats *stats_out)
{
    if (sink->session) {
        struct tributary_session_stats stats;

        tributary_session_stats(sink->session, &stats);
        *stats_out = (struct sink_stats){stats.accepted, stats.confirmed, stats.dropped, stats.bytes, 0};
    } else {
        struct tributary_publisher_stats stats;

        if (sink->keeps_producers)
            publisher_table_stats(&sink->table, &stats);
        else
            tributary_publisher_stats(sink->publisher, &stats);
        *stats_out = (struct sink_stats){stats.accepted, stats.confirmed, stats.refused, stats.bytes,
                                         stats.duplicates};
    }
}

void sink_mark(struct sink *sink)
{
    struct sink_stats stats;

    if (sink->keeps_producers) {
        publisher_table_mark(&sink->table);
        return;
    }
    sink_stats(sink, &stats);
    sink->mark = stats.accepted;
}

bool sink_mark_is_done(struct sink *sink)
{
    struct sink_stats stats;

    if (atomic_load(&sink->has_lost))
        return false;
    if (sink->keeps_producers)
        return publisher_table_mark_is_done(&sink->table);
    sink_stats(sink, &stats);
    return stats.confirmed + (sink->session ? 0 : stats.refused) >= sink->mark;
}

void sink_close(struct sink *sink)
{
    struct sink_stats stats;

    if (sink->session) {
        sink_stats(sink, &stats);
        if (stats.confirmed + stats.refused == stats.accepted) {
            tributary_session_finish(sink->session, 0);
            tributary_session_wait(sink->session, NS_PER_S, NULL);
        }
        tributary_session_free(sink->session);
    }
    tributary_publisher_free(sink->publisher);
    if (sink->keeps_producers)
        publisher_table_fini(&sink->table);
}
