/* topic_settings.h - what an operator sets for a topic: how long it keeps its events.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_TOPIC_SETTINGS_H
#define TRIBUTARY_TOPIC_TOPIC_SETTINGS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"

/* A topic is a source named "@" + its name, and sources have at most 256 bytes. */
#define MAX_TOPIC_NAME_BYTES 255u
#define MIN_TOPIC_AGE_NS INT64_C(1000000000)
#define MAX_TOPIC_AGE_NS (INT64_C(876000) * 3600 * 1000000000) /* 100 years */
#define MAX_ID_WINDOW_NS (7 * 24 * 3600 * INT64_C(1000000000))
#define DEFAULT_TOPIC_IDS 100000u
#define MAX_TOPIC_IDS 1000000u

/* Each bound holds for itself; 0: none. Rows leave from the front, and only as a whole. */
struct topic_settings {
    int64_t max_age_ns;  /* since the append; at least MIN_TOPIC_AGE_NS */
    uint64_t max_bytes;  /* of rows; what is kept may be larger by one row */
    uint64_t max_events; /* what is kept may be more by one row */
    /* An event whose id is among those of the last `id_window_ns`, or of the latest max_ids events,
     * is not stored again. 0: ids are not looked at. At most MAX_ID_WINDOW_NS. */
    int64_t id_window_ns;
    uint32_t max_ids; /* 0: DEFAULT_TOPIC_IDS; at most MAX_TOPIC_IDS */
};

/* The rule for names: printable UTF-8 of 1 to MAX_TOPIC_NAME_BYTES bytes, not beginning with '@'.
 *   FAULT_EMPTY, FAULT_TOO_LONG, FAULT_BAD_UTF8 or FAULT_BAD_NAME: *fault is filled in */
MUST_CHECK enum fault_reason topic_name_check(struct bytes name, const char *field, struct fault *fault);

/*   FAULT_OUT_OF_BOUNDS  *fault says which member */
MUST_CHECK enum fault_reason topic_settings_check(const struct topic_settings *settings, struct fault *fault);

bool topic_settings_same(const struct topic_settings *a, const struct topic_settings *b);

/* As a store keeps them. Decoding is false for what this version does not know. */
void topic_settings_encode(const struct topic_settings *settings, struct buf *out);
MUST_CHECK bool topic_settings_decode(struct bytes data, struct topic_settings *settings_out);

#endif
