/* sub_stream.h - the life of one `tributary sub`. */
#ifndef TRIBUTARY_TOOL_SUB_STREAM_H
#define TRIBUTARY_TOOL_SUB_STREAM_H

#include <stdatomic.h>

#include "client/tool/source_totals.h"
#include "client/tool/printer.h"
#include "client/tool/stop.h"

struct sub {
    /* Set by the caller. */
    uint64_t count; /* 0: no end */
    bool fail_on_loss, with_totals, quiet;
    int64_t over_ns; /* when --max-time is over; INT64_MAX: never */
    struct stop stop;
    struct printer printer; /* client thread, while it runs */

    /* Its own. */
    struct source_totals totals;
    struct tributary_subscriber *subscriber; /* main thread */
    uint64_t printed;                        /* client thread */
    bool is_enough;                          /* client thread: --count is reached, or nobody reads any more */
    _Atomic bool lost;
    _Atomic bool ended;
};

/* Prints until it ends; returns the exit code. `asker`, a client of its own, asks for the ledger:
 * the thread of `client` may wait for a reader then. */
int sub_run(struct sub *sub, struct tributary *client, struct tributary *asker,
            const struct tributary_subscriber_options *options);

#endif
