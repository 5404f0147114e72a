/* explain_sample.h - one look at a consumer, for Explain: first on the loop, then on the thread of
 * its call. For the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_EXPLAIN_SAMPLE_H
#define TRIBUTARY_SERVER_RPC_EXPLAIN_SAMPLE_H

#include "base/fault.h"
#include "flow/chan_stats.h"
#include "server/rpc/limit_stats.h"
#include "server/wire/sender.h"

struct hub;
struct subscriber;

#define MAX_SAMPLE_PEER 96u

struct sample {
    int64_t at_ns;                                        /* clock_mono_ns(), on the loop */
    char name[MAX_LIMIT_NAME + 1], peer[MAX_SAMPLE_PEER]; /* of the subscription */
    struct chan_condition chan;
    struct chan_limits limits;
    bool draining, binding;
    int64_t drain_until_ns;
    uint32_t matched;
    int64_t refused_batches;
    struct limit_producers producers;
    /* Filled in on the thread of the call. */
    struct sender_view sender;
    int64_t sender_at_ns; /* 0: not yet */
};

/* Loop. Fills in all but the sender. *subscriber_out: whose sender is to be looked at, valid for a
 * task that is posted to its thread now; NULL: it is no call of this server.
 *
 * FAULT_NONE, or SUBSCRIPTION_NOT_FOUND. */
MUST_CHECK enum fault_reason sample_read(struct hub *hub, struct bytes id, struct sample *sample,
                                         struct subscriber **subscriber_out, struct fault *fault);

/* What two looks give. The second one may lack its sender: then `answered` is false, and
 * `waited_ns` is how long it was waited for. */
void samples_compare(const struct sample *first, const struct sample *second, int64_t waited_ns,
                     struct limit_stats *stats);

#endif
