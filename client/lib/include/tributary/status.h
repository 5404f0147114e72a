/* status.h - how a call ended: a code, a reason and a message. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_STATUS_H
#define TRIBUTARY_STATUS_H

#include "export.h"

/* The canonical gRPC status codes, with their numbers. */
enum tributary_code {
    TRIBUTARY_OK = 0,
    TRIBUTARY_CANCELLED = 1,
    TRIBUTARY_UNKNOWN = 2,
    TRIBUTARY_INVALID_ARGUMENT = 3,
    TRIBUTARY_DEADLINE_EXCEEDED = 4,
    TRIBUTARY_NOT_FOUND = 5,
    TRIBUTARY_ALREADY_EXISTS = 6,
    TRIBUTARY_PERMISSION_DENIED = 7,
    TRIBUTARY_RESOURCE_EXHAUSTED = 8,
    TRIBUTARY_FAILED_PRECONDITION = 9,
    TRIBUTARY_ABORTED = 10,
    TRIBUTARY_OUT_OF_RANGE = 11,
    TRIBUTARY_UNIMPLEMENTED = 12,
    TRIBUTARY_INTERNAL = 13,
    TRIBUTARY_UNAVAILABLE = 14,
    TRIBUTARY_DATA_LOSS = 15,
    TRIBUTARY_UNAUTHENTICATED = 16
};

/* What went wrong. The struct holds its texts itself, so there is nothing to free. A text that is
 * too long is shortened. */
struct tributary_status {
    enum tributary_code code;
    char reason[64];   /* ErrorInfo.reason of the server, such as "EVENT_TOO_LARGE"; may be empty */
    char message[512]; /* for people */
};

/* Returns the name of a code, such as "INVALID_ARGUMENT", or "UNKNOWN" for a code that is not in
 * the list. The text is static. */
TRIBUTARY_API const char *tributary_code_name(enum tributary_code code);

#endif
