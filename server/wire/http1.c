/* http1.c - recognises requests of HTTP/1, and has a fixed answer to them. */
#include "server/wire/http1.h"

#include <string.h>

#define BODY "This is a gRPC server, tributary. It speaks HTTP/2 from the first byte on, and no HTTP/1.\n"
#define BODY_SIZE "90"
_Static_assert(sizeof(BODY) - 1 == 90, "the header says how long the body is");

static const char answer[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Content-Length: " BODY_SIZE "\r\n"
                             "Connection: close\r\n\r\n" BODY;

/* With the space behind them. */
static const char *const methods[] = {"GET ",     "HEAD ",  "POST ",    "PUT ",  "DELETE ",
                                      "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "};

enum http1_beginning http1_beginning(struct bytes bytes)
{
    enum http1_beginning beginning = HTTP1_NONE;

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const size_t size = strlen(methods[i]);

        if (bytes.size > 0 && memcmp(bytes.data, methods[i], MIN_OF(size, bytes.size)) != 0)
            continue;
        if (bytes.size >= size)
            return HTTP1_REQUEST;
        beginning = HTTP1_PART;
    }
    return beginning;
}

struct bytes http1_answer(struct bytes beginning)
{
    const bool has_no_body = beginning.size >= strlen("HEAD ") && memcmp(beginning.data, "HEAD ", 5) == 0;

    return (struct bytes){(const uint8_t *)answer, sizeof(answer) - 1 - (has_no_body ? sizeof(BODY) - 1 : 0)};
}
