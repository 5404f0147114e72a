/* keyed.h - chunks of real events with topics and keys, for LATEST_PER_KEY. */
#ifndef TRIBUTARY_TESTS_FLOW_KEYED_H
#define TRIBUTARY_TESTS_FLOW_KEYED_H

#include "event/chunk.h"

struct keyed_event {
    const char *topic, *key; /* NULL: none */
    uint32_t size;           /* all of it; 0: as it comes */
};

/* Never NULL. Sizes must leave space for the topic and the key. */
struct chunk *chunk_keyed(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                          uint32_t count, const struct keyed_event *events);

#endif
