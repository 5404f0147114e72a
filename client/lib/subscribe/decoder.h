/* decoder.h - what reading the messages of one stream keeps and finds. */
#ifndef TRIBUTARY_CLIENT_DECODER_H
#define TRIBUTARY_CLIENT_DECODER_H

#include <stdbool.h>

#include "base/base.h"
#include "tributary/tributary.h"

#define MAX_DECODE_HEADERS 1024u /* in one event; the API allows 64 by default */

struct decoder {
    /* Scratch, kept between messages. */
    struct tributary_header *headers;
    size_t headers_capacity;
    uint64_t *sequences;
    size_t sequences_capacity;

    bool stop;    /* set by whoever is called back: no further callback. Cleared by decode_batch(). */
    bool resumed; /* set by the owner, passed on in `started` */

    /* What the message said, besides the callbacks. Views into the message. */
    bool has_started;
    struct tributary_started started;
    struct tributary_bytes resume_token; /* of Closing, else of Progress; empty: none came */
    uint64_t events, bytes;              /* delivered by this message */
    bool has_settings;                   /* new selectors are in force */
    uint64_t answered;                   /* the newest step that was not followed; 0: none */
};

#endif
