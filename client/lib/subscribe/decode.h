/* decode.h - an EventBatch becomes callbacks, without an object per event. The bytes are never
 * trusted: every length is checked against its container before it is used.
 *
 * Threads: any; a decoder belongs to one thread at a time. */
#ifndef TRIBUTARY_CLIENT_DECODE_H
#define TRIBUTARY_CLIENT_DECODE_H

#include "client/lib/subscribe/decoder.h"

void decoder_fini(struct decoder *decoder); /* a zeroed decoder is ready for use */

/* Calls what is set in `callbacks`, in the order of the API. NULL: all of it was read, or the
 * decoder was stopped. Otherwise what is wrong with the message, as static text; callbacks may have
 * run for what stood before. */
const char *decode_batch(struct decoder *decoder, struct bytes message,
                         const struct tributary_subscriber_callbacks *callbacks);

#endif
