/* decoder.h - the state of decoding the messages of one stream. */
#ifndef TRIBUTARY_CLIENT_DECODER_H
#define TRIBUTARY_CLIENT_DECODER_H

#include <stdbool.h>

#include "base/base.h"
#include "tributary/tributary.h"

struct resume_state;

#define MAX_DECODE_HEADERS 1024u /* in one event; an event that this library sends has at most 64 */

struct decoder {
    /* Scratch memory, kept between messages. */
    struct tributary_header *headers;
    size_t headers_capacity;
    uint64_t *sequences;
    size_t sequences_capacity;

    /* The owner's: takes the token of Started, which precedes the events of its message, and where
     * the events end. NULL: nobody does. */
    struct resume_state *handled;

    bool stop;    /* a callback sets it: no callback follows. decode_batch() clears it. */
    bool resumed; /* the owner sets it; passed on in `started` */

    /* What the last message held. The texts point into the message. */
    bool has_started;
    struct tributary_started started;
    struct tributary_bytes resume_token; /* of Closing or Progress; empty: none came */
    struct tributary_bytes progress;     /* a Progress that came after that token; empty: none */
    uint64_t events, bytes;              /* delivered by this message */
    bool has_settings;                   /* a new filter is in force */
    uint64_t refused_request;            /* the newest request that the server refused; 0: none */
};

#endif
