/* session_options.c - defaults and bounds of a session's options. */
#include "client/lib/session/session_options.h"

#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/lib/core/encode.h"

#define MAX_LIST 64u

static const char *registration_fault(const struct tributary_session_options *options)
{
    const size_t size = options->name ? strlen(options->name) : 0;

    if (size == 0 || size > MAX_NAME_BYTES)
        return "name: 1 to 256 bytes";
    if (options->label_count > MAX_LIST)
        return "labels: at most 64";
    if (options->topic_count > MAX_LIST)
        return "topics: at most 64";
    if (options->mode != TRIBUTARY_MODE_SHARED && options->mode != TRIBUTARY_MODE_PER_CONSUMER)
        return "mode: SHARED or PER_CONSUMER";
    if ((unsigned)options->on_duplicate > TRIBUTARY_ON_DUPLICATE_REJECT)
        return "on_duplicate: REPLACE or REJECT";
    if ((unsigned)options->handover > TRIBUTARY_HANDOVER_START_FIRST)
        return "handover: STOP_FIRST or START_FIRST";
    return NULL;
}

const char *session_apply_defaults(struct tributary_session_options *options)
{
    options->mode = options->mode == 0 ? TRIBUTARY_MODE_SHARED : options->mode;

    const bool shared = options->mode == TRIBUTARY_MODE_SHARED;

    options->queue_bytes = options->queue_bytes == 0 ? (shared ? 8u << 20 : 1u << 20) : options->queue_bytes;
    options->queue_events = options->queue_events == 0 ? (shared ? 262144u : 4096u) : options->queue_events;
    options->batch_bytes = options->batch_bytes == 0 ? 128u << 10 : options->batch_bytes;
    options->batch_events = options->batch_events == 0 ? 4096 : options->batch_events;
    options->linger_ns = options->linger_ns == 0 ? NS_PER_MS : MAX_OF(options->linger_ns, 0);
    if (options->window > 65536)
        return "window: at most 65536";
    if (options->window == 0)
        options->window = options->confirm == TRIBUTARY_CONFIRM_STORED ? 256 : UINT32_MAX;
    if (options->confirm == TRIBUTARY_CONFIRM_RECEIVED)
        return "confirm: a session leaves it to the server, or says STORED";
    if (options->confirm == TRIBUTARY_CONFIRM_STORED && (!shared || options->numbering.off))
        return "confirm: STORED is for mode SHARED, and numbers its events";
    if (options->batch_bytes > 1u << 20)
        return "batch_bytes: at most 1 MiB";
    if (options->batch_events > 65536)
        return "batch_events: at most 65536";
    if (options->linger_ns > NS_PER_S)
        return "linger_ns: at most 1 s";
    if (options->when_full != TRIBUTARY_WHEN_FULL_WAIT && options->when_full != TRIBUTARY_WHEN_FULL_FAIL)
        return "when_full: WAIT or FAIL";
    return registration_fault(options);
}
