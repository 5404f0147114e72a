/* event.h - an event: as a program publishes it, and as it arrives. Part of
 * <tributary/tributary.h>. */
#ifndef TRIBUTARY_EVENT_H
#define TRIBUTARY_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Text or bytes that somebody else owns. `size` counts the bytes. There need not be a NUL behind
 * them. { NULL, 0 } is empty. */
struct tributary_bytes {
    const void *data;
    size_t size;
};

struct tributary_header {
    struct tributary_bytes name;  /* 1 to 256 bytes of UTF-8 without NUL */
    struct tributary_bytes value; /* at most 8192 bytes of UTF-8 without NUL */
};

/* One message with its envelope. An empty field is not set. The encoded event may have at most
 * 1 MiB. `id`, `topic`, `key`, `type` and `content_type` may each have at most 256 bytes of UTF-8
 * without NUL. */
struct tributary_event {
    struct tributary_bytes id;
    struct tributary_bytes topic; /* without control characters */
    struct tributary_bytes key;
    struct tributary_bytes type;         /* without control characters */
    struct tributary_bytes content_type; /* a media type, such as "text/plain" */
    struct tributary_bytes data;         /* the payload: any bytes */
    const struct tributary_header *headers;
    size_t header_count;              /* at most 64; if a name comes twice, the last one counts */
    uint64_t time_unix_nano;          /* when it happened, nanoseconds since 1970; 0: not set */
    uint64_t expires_unix_nano;       /* durable topics: not delivered after this time; 0: never expires */
    uint64_t deliver_after_unix_nano; /* durable topics: not delivered before this time; 0: at once */
};

/* An event that arrived. All its texts and bytes are valid during the callback only. A program may
 * pass `event` to tributary_publish() unchanged. */
struct tributary_delivery {
    struct tributary_event event;
    struct tributary_bytes source; /* the producer's name, or "@" and that of a stored topic */
    /* one life of the producer; each new epoch starts at sequence 1; a stored topic's survives
     * restarts of the server */
    uint64_t epoch;
    /* rises by 1 within a source and epoch; a missing number is an event that was lost, or that
     * the subscriber did not select */
    uint64_t sequence;
    /* when the server received the first event of this one's run */
    uint64_t observed_time_unix_nano;
    uint32_t attempt;              /* 0: the first delivery */
    struct tributary_bytes origin; /* of a stored topic's event: who published it; else empty */
};

/* Returns the bytes of a C string without its NUL. NULL is empty. */
static inline struct tributary_bytes tributary_text(const char *text)
{
    struct tributary_bytes bytes = {text, 0};

    while (text && text[bytes.size] != '\0')
        bytes.size++;
    return bytes;
}

#endif
