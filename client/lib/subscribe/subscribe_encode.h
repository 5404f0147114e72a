/* subscribe_encode.h - the options of a subscriber become a SubscribeRequest.
 *
 * All functions append to a buffer. Out of memory shows in `request->broken`. Any thread. */
#ifndef TRIBUTARY_CLIENT_SUBSCRIBE_ENCODE_H
#define TRIBUTARY_CLIENT_SUBSCRIBE_ENCODE_H

#include "base/buf.h"
#include "tributary/tributary.h"

#define MAX_RESUME_TOKEN_BYTES 65536u
#define MAX_START_POSITIONS 16384u

/* The filter, then the options. NULL: done. Otherwise the option that is out of its bounds, as
 * static text. */
const char *subscribe_write_request(const struct tributary_subscriber_options *options, struct buf *request);

/* The filter. ConsumeRequest.Select has the same fields. Returns as subscribe_write_request(). */
const char *subscribe_write_filter(const struct tributary_filter *filter, struct buf *request);

/* All options but the filter, the start and the limit. Returns as subscribe_write_request(). */
const char *subscribe_write_options(const struct tributary_subscriber_options *options, struct buf *request);

/* How many events are still wanted. 0 means all: appends nothing. Differs from stream to stream. */
void subscribe_write_limit(struct buf *request, uint64_t events);

/* The position at which the stream starts. An empty token appends nothing: the stream starts with
 * new events. */
void subscribe_write_resume(struct buf *request, struct bytes token);

/* Where the first stream of a subscriber begins: see its options. */
struct subscribe_start {
    enum tributary_start from;
    uint64_t value;
    uint32_t last;
};

/* The start, where there is no position. Live appends nothing. */
void subscribe_write_start(struct buf *request, const struct subscribe_start *start);

#endif
