/* sink.c - one interface to publishers and sessions. The callbacks run on the client thread. */
#include "client/tool/sink.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/link.h"

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct sink *sink = ctx;

    atomic_store(&sink->refused_code, (int)refused->code);
    if (refused->code == TRIBUTARY_UNAVAILABLE || refused->code == TRIBUTARY_CANCELLED)
        atomic_store(&sink->has_lost, true);
    fprintf(stderr, "tributary: events %" PRIu64 " to %" PRIu64 " were refused: %s: %s\n",
            refused->first_event, refused->last_event, tributary_code_name(refused->code), refused->message);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct sink *sink = ctx;

    if (!sink->quiet)
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
        .refused = on_refused,
        .interrupted = on_interrupted,
        .ctx = sink,
    };

    return tributary_publisher_new(client, &options, &sink->publisher, status);
}

enum tributary_code sink_publish(struct sink *sink, const struct tributary_event *event)
{
    return sink->session ? tributary_session_emit(sink->session, 0, event)
                         : tributary_publish(sink->publisher, event);
}

bool sink_flush(struct sink *sink)
{
    const enum tributary_code code = sink->session ? tributary_session_flush(sink->session, SINK_WAIT_NS)
                                                   : tributary_publisher_flush(sink->publisher, SINK_WAIT_NS);

    return code == TRIBUTARY_OK;
}

void sink_stats(struct sink *sink, struct sink_stats *stats_out)
{
    if (sink->session) {
        struct tributary_session_stats stats;

        tributary_session_stats(sink->session, &stats);
        *stats_out = (struct sink_stats){stats.accepted, stats.confirmed, stats.dropped, stats.bytes};
    } else {
        struct tributary_publisher_stats stats;

        tributary_publisher_stats(sink->publisher, &stats);
        *stats_out = (struct sink_stats){stats.accepted, stats.confirmed, stats.refused, stats.bytes};
    }
}

uint64_t sink_done(struct sink *sink)
{
    struct sink_stats stats;

    sink_stats(sink, &stats);
    if (atomic_load(&sink->has_lost))
        return 0;
    return sink->session ? stats.confirmed : stats.confirmed + stats.refused;
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
}
