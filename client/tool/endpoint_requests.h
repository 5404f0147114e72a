/* endpoint_requests.h - reads the request messages of an endpoint from --request, --request-file
 * and --request-hex. Main thread. */
#ifndef TRIBUTARY_TOOL_ENDPOINT_REQUESTS_H
#define TRIBUTARY_TOOL_ENDPOINT_REQUESTS_H

#include "base/buf.h"
#include "client/tool/option.h"
#include "tributary/tributary.h"

/* Of the server: see Endpoint in admin.proto. */
#define MAX_ENDPOINT_REQUESTS 16u
#define MAX_REQUESTS_BYTES 262144u /* together */

struct endpoint_requests {
    struct tributary_bytes items[MAX_ENDPOINT_REQUESTS]; /* in `bytes` */
    size_t count;
    struct buf bytes;
};

/* Reads them in their order. The bytes are not changed. Returns the exit code; where it is not
 * EXITS_OK, the fault was printed. Call endpoint_requests_fini() in both cases. */
int endpoint_requests_read(const struct verb *verb, const struct text_series *series,
                           struct endpoint_requests *requests);
void endpoint_requests_fini(struct endpoint_requests *requests);

/* Appends the bytes that the hex digits stand for. White space may stand between two bytes. False:
 * there is something else, or half a byte. */
bool hex_read(struct buf *buf, const char *text);

#endif
