/* sub_stream.h - the stream of one `tributary sub`, from its beginning to its end. */
#ifndef TRIBUTARY_TOOL_SUB_STREAM_H
#define TRIBUTARY_TOOL_SUB_STREAM_H

#include <stdatomic.h>

#include "client/tool/loss_notices.h"
#include "client/tool/source_totals.h"
#include "client/tool/printer.h"
#include "client/tool/stop.h"

struct sub {
    /* Set by the caller. */
    uint64_t count; /* 0: no end */
    bool fail_on_loss, fail_on_producer, with_totals, quiet;
    bool sum_losses; /* in notices; false: a line for each loss */
    int64_t over_ns; /* clock_mono_ns() at which --max-time is over; INT64_MAX: never */
    struct stop stop;
    struct printer printer; /* client thread, while the stream runs */

    /* Set by sub_run(). */
    bool wants_last; /* --last was given */
    struct source_totals totals;
    struct loss_notices losses;
    struct tributary_subscriber *subscriber; /* main thread */
    uint64_t printed;                        /* client thread */
    bool is_interrupted;                     /* client thread: the stream was lost, and is not back */
    _Atomic bool is_done;                    /* --count is reached, or writing failed */
    int64_t start_wall_ns;                   /* client thread: when the stream began; 0: not yet */
    _Atomic int64_t last_due_ns;             /* when to look whether --last had events; INT64_MAX: never */
    _Atomic bool had_last;                   /* an event from before the start arrived */
    _Atomic bool lost;
    _Atomic bool producer_failed; /* it ended with an error */
    _Atomic bool ended;
};

/* Main thread. Subscribes and prints events until the stream ends. Returns the exit code.
 * `query_client` gets the totals from the server. It is a client of its own, because the thread of
 * `client` may be waiting for a reader at that time. NULL where `with_totals` is false. */
int sub_run(struct sub *sub, struct tributary *client, struct tributary *query_client,
            const struct tributary_subscriber_options *options);

#endif
