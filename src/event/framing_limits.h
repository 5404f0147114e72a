/* framing_limits.h - the bounds of the scan. */
#ifndef TRIBUTARY_EVENT_FRAMING_LIMITS_H
#define TRIBUTARY_EVENT_FRAMING_LIMITS_H

#include "base/base.h"

/* A value at its bound is accepted. */
struct framing_limits {
    uint32_t max_event_bytes;  /* --max-event-bytes: one event, without its tag and length */
    uint32_t max_batch_bytes;  /* --max-batch-bytes: the whole message */
    uint32_t max_batch_events; /* events of one message */
    uint32_t max_headers;      /* entries of Event.headers */
    uint32_t max_name_bytes;   /* id, topic, key, type, content_type, a header's key */
    uint32_t max_value_bytes;  /* a header's value */
};

#endif
