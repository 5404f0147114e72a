/* outlet.c - one face for publishers and sessions. Callbacks run on the client thread. */
#include "client/tool/outlet.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/link.h"

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct outlet *outlet = ctx;

    atomic_store(&outlet->refused_code, (int)refused->code);
    fprintf(stderr, "tributary: events %" PRIu64 " to %" PRIu64 " were refused: %s: %s\n", refused->first_event, refused->last_event,
            tributary_code_name(refused->code), refused->message);
}

static void on_interrupted(void *ctx, const struct tributary_status *why, int64_t retry_ns)
{
    const struct outlet *outlet = ctx;

    if (!outlet->quiet)
        fprintf(stderr, "tributary: not connected: %s; trying again in %" PRId64 " ms\n", why->message, retry_ns / NS_PER_MS);
}

static void on_closing(void *ctx, const char *reason, uint64_t deadline_unix_nano)
{
    const struct outlet *outlet = ctx;

    (void)deadline_unix_nano; /* the library keeps it */
    if (!outlet->quiet)
        fprintf(stderr, "tributary: the registration is closing: %s\n", reason);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct outlet *outlet = ctx;

    if (status->code == TRIBUTARY_OK || status->code == TRIBUTARY_CANCELLED)
        return;
    link_failed("the registration ended", status);
    atomic_store(&outlet->ended_code, (int)status->code);
    stop_end(outlet->stop);
}

enum tributary_code outlet_open(struct outlet *outlet, struct tributary *client, const char *producer,
                                const struct tributary_session_options *registration, struct tributary_status *status)
{
    if (registration != NULL) {
        const struct tributary_session_watch watch = {
            .closing = on_closing, .interrupted = on_interrupted, .ended = on_ended, .ctx = outlet};
        struct tributary_session_options options = *registration;

        options.mode = TRIBUTARY_MODE_SHARED;
        options.wait_timeout_ns = OUTLET_PATIENCE_NS;
        return tributary_register(client, &options, &watch, &outlet->session, status);
    }

    const struct tributary_publisher_options options = {
        .producer = producer,
        .wait_timeout_ns = OUTLET_PATIENCE_NS,
        .refused = on_refused,
        .interrupted = on_interrupted,
        .ctx = outlet,
    };

    return tributary_publisher_new(client, &options, &outlet->publisher, status);
}

enum tributary_code outlet_publish(struct outlet *outlet, const struct tributary_event *event)
{
    return outlet->session != NULL ? tributary_session_emit(outlet->session, 0, event) : tributary_publish(outlet->publisher, event);
}

bool outlet_flush(struct outlet *outlet)
{
    const enum tributary_code code = outlet->session != NULL ? tributary_session_flush(outlet->session, OUTLET_PATIENCE_NS)
                                                             : tributary_flush(outlet->publisher, OUTLET_PATIENCE_NS);

    return code == TRIBUTARY_OK;
}

void outlet_sums(struct outlet *outlet, struct outlet_sums *sums_out)
{
    if (outlet->session != NULL) {
        struct tributary_session_figures figures;

        tributary_session_figures(outlet->session, &figures);
        *sums_out = (struct outlet_sums){figures.accepted, figures.confirmed, figures.dropped, figures.bytes};
    } else {
        struct tributary_published figures;

        tributary_publisher_figures(outlet->publisher, &figures);
        *sums_out = (struct outlet_sums){figures.accepted, figures.confirmed, figures.refused, figures.bytes};
    }
}

void outlet_close(struct outlet *outlet)
{
    struct outlet_sums sums;

    if (outlet->session != NULL) {
        outlet_sums(outlet, &sums);
        if (sums.confirmed + sums.refused == sums.accepted) {
            tributary_session_finish(outlet->session, 0);
            tributary_session_wait(outlet->session, NS_PER_S, NULL);
        }
        tributary_session_free(outlet->session);
    }
    tributary_publisher_free(outlet->publisher);
}
