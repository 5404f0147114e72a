/* producer_sample.h - one look at a producer, for Explain. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_PRODUCER_SAMPLE_H
#define TRIBUTARY_SERVER_RPC_PRODUCER_SAMPLE_H

#include "base/fault.h"
#include "server/rpc/producer_limits.h"

struct hub;

struct producer_sample {
    int64_t at_ns;               /* clock_mono_ns() */
    uint64_t published;          /* events, since it began */
    int64_t refused_batches;     /* of any publisher, since the server began */
    struct producer_stats stats; /* what one look gives: nothing of the window, and nothing of before */
};

/* FAULT_NONE, or PRODUCER_NOT_FOUND. */
MUST_CHECK enum fault_reason producer_sample_read(struct hub *hub, struct bytes name,
                                                  struct producer_sample *sample, struct fault *fault);

/* What two looks give is then in second->stats. */
void producer_samples_compare(const struct producer_sample *first, struct producer_sample *second);

#endif
