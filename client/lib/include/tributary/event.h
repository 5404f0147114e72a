/* event.h - an event as a program sees it: what is published, and what arrives. Part of
 * <tributary/tributary.h>. */
#ifndef TRIBUTARY_EVENT_H
#define TRIBUTARY_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Text or bytes that somebody else owns: `size` counts them, and no closing NUL is needed or
 * promised. { NULL, 0 } is empty. */
struct tributary_bytes {
    const void *data;
    size_t size;
};

struct tributary_header {
    struct tributary_bytes name;  /* 1 to 256 bytes of UTF-8 without NUL */
    struct tributary_bytes value; /* at most 8192 bytes of UTF-8 without NUL */
};

/* One message with its envelope. An empty field is a field that is not said. The whole is at most 1
 * MiB on the wire. */
struct tributary_event {
    struct tributary_bytes id;    /* at most 256 bytes of UTF-8 without NUL, as are the next four */
    struct tributary_bytes topic; /* printable: no control characters */
    struct tributary_bytes key;
    struct tributary_bytes type;         /* printable: no control characters */
    struct tributary_bytes content_type; /* a media type, such as "text/plain" */
    struct tributary_bytes data;         /* the payload, any bytes */
    const struct tributary_header *headers;
    size_t header_count;              /* at most 64; where a name comes twice, the last one counts */
    uint64_t time_unix_nano;          /* when it happened, nanoseconds since 1970; 0: not said */
    uint64_t expires_unix_nano;       /* durable topics: not delivered after this moment; 0: never expires */
    uint64_t deliver_after_unix_nano; /* durable topics: not delivered before this moment; 0: at once */
};

/* An event that arrived. Everything in it points into the message it came with and is valid during
 * the callback only. The event can be given to tributary_publish() as it is. */
struct tributary_delivery {
    struct tributary_event event;
    struct tributary_bytes source; /* the producer's name */
    uint64_t epoch;                /* the producer's life: a new one starts again at sequence 1 */
    /* rises by 1 per source and epoch; a hole is an event that was lost or did not match */
    uint64_t sequence;
    uint64_t observed_time_unix_nano; /* when the server received the first event of this one's run */
    uint32_t attempt;                 /* 0: the first delivery */
};

/* The bytes of a C string, without its NUL. NULL is empty. */
static inline struct tributary_bytes tributary_text(const char *text)
{
    struct tributary_bytes bytes = {text, 0};

    while (text != NULL && text[bytes.size] != '\0')
        bytes.size++;
    return bytes;
}

#endif
