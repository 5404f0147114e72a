/* decode.h - an EventBatch becomes callbacks. Nothing is allocated for an event. The bytes are not
 * trusted: every length is checked against its container before it is used.
 *
 * Threads: any, but a decoder belongs to one thread at a time. */
#ifndef TRIBUTARY_CLIENT_DECODE_H
#define TRIBUTARY_CLIENT_DECODE_H

#include "client/lib/subscribe/decoder.h"

/* Frees the scratch memory. A zeroed decoder is ready for use. */
void decoder_fini(struct decoder *decoder);

/* Calls what is set in `callbacks`, in the order that subscribe.h promises. NULL: the whole message
 * was decoded, or a callback stopped the decoder. Otherwise the fault of the message, as static
 * text; callbacks may have run for what stood before it. */
const char *decode_batch(struct decoder *decoder, struct bytes message,
                         const struct tributary_subscriber_callbacks *callbacks);

#endif
