/* http1.h - the answer to a peer that speaks HTTP/1: it learns that this is no web server.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_HTTP1_H
#define TRIBUTARY_SERVER_WIRE_HTTP1_H

#include "base/base.h"

enum http1_beginning {
    HTTP1_NONE,    /* no request of HTTP/1 begins like this */
    HTTP1_PART,    /* one may: the method is not complete */
    HTTP1_REQUEST, /* it begins with a method of HTTP/1, and a space */
};

/* What the first bytes of a connection are. No bytes are HTTP1_PART. */
enum http1_beginning http1_beginning(struct bytes bytes);

/* The answer to a request that begins with these bytes: 505, with one sentence, which a HEAD does
 * not get. The bytes are static. */
struct bytes http1_answer(struct bytes beginning);

#endif
