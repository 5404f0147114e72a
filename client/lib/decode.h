/* decode.h - an EventBatch becomes callbacks, without an object per event. The bytes are never trusted: every length is checked against
 * its container before it is used.
 *
 * Threads: any; a decoder belongs to one thread at a time. */
#ifndef TRIBUTARY_CLIENT_DECODE_H
#define TRIBUTARY_CLIENT_DECODE_H

#include <stdbool.h>

#include "base/base.h"
#include "client/lib/tributary.h"

#define DECODE_HEADERS_MOST 1024u /* in one event; the API allows 64 by default */

struct decoder {
    /* Scratch, kept between messages. */
    struct tributary_header *headers;
    size_t headers_room;
    uint64_t *sequences;
    size_t sequences_room;

    bool stop;    /* set by whoever is called back: no further callback. Cleared by decode_batch(). */
    bool resumed; /* set by the owner, passed on in `started` */

    /* What the message said, besides the callbacks. Views into the message. */
    bool has_started;
    struct tributary_started started;
    struct tributary_bytes resume_token; /* of Closing, else of Progress; empty: none came */
    uint64_t events;                     /* delivered by this message */
};

void decoder_fini(struct decoder *decoder); /* a zeroed decoder is ready for use */

/* Calls what is set in `watch`, in the order of the API. NULL: all of it was read, or the decoder was stopped. Otherwise what is wrong
 * with the message, as static text; callbacks may have run for what stood before. */
const char *decode_batch(struct decoder *decoder, struct bytes message, const struct tributary_watch *watch);

#endif
