/* tributary.h - the C client of tributary: publish events, register as a producer, subscribe to
 * many producers as one stream, ask the server.
 *
 *   struct tributary *client = NULL;
 *   struct tributary_status status;
 *   if (tributary_connect(&(struct tributary_options){.target = "127.0.0.1:7227"}, &client, &status) != TRIBUTARY_OK)
 * ...
 *
 * Threads: a client has one thread of its own (the *client thread*), which does all the sending and
 * receiving and runs every callback, one at a time and with no lock held. All functions may be
 * called from any thread, also from callbacks where their comment does not say otherwise. A
 * callback that takes long delays everything of its client: give work that blocks a client of its
 * own.
 *
 * Durations are nanoseconds. In options, 0 is the default that the comment names, and
 * TRIBUTARY_NONE is none. As a parameter, `timeout_ns` is how long the call may take:
 * TRIBUTARY_FOREVER is allowed.
 *
 * Errors are canonical gRPC codes. On failure an `_out` parameter is untouched. */
#ifndef TRIBUTARY_TRIBUTARY_H
#define TRIBUTARY_TRIBUTARY_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "export.h"
#include "version.h"

#define TRIBUTARY_NONE INT64_C(-1)
#define TRIBUTARY_FOREVER INT64_MAX
#define TRIBUTARY_DEFAULT_TARGET "127.0.0.1:7227"

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

/* What went wrong, in full. Owns nothing; texts are closed by a NUL and cut to fit. */
struct tributary_status {
    enum tributary_code code;
    char reason[64];   /* the server's ErrorInfo.reason, such as "EVENT_TOO_LARGE"; empty: none was given */
    char message[512]; /* for people */
};

/* "INVALID_ARGUMENT"; static; "UNKNOWN" for a code outside the list */
TRIBUTARY_API const char *tributary_code_name(enum tributary_code code);
TRIBUTARY_API const char *tributary_version(void); /* of this library, such as "0.1.0"; static */

struct tributary_options {
    const char *target;         /* "host:port" or "unix:/path"; NULL: TRIBUTARY_DEFAULT_TARGET */
    const char *name;           /* what this program calls itself, in the user agent; NULL: nothing */
    int64_t connect_timeout_ns; /* how long one attempt to connect may take; 0: 10 s; at least 100 ms */
    int64_t backoff_base_ns;    /* the first pause before connecting again; 0: 100 ms; at least 1 ms */
    /* pauses double up to this; each is shortened at random by up to a half; 0: 10 s */
    int64_t backoff_cap_ns;
    /* a ping after this long without a byte; 0: 15 s; TRIBUTARY_NONE: no pings; at least 10 s */
    int64_t keepalive_ns;
    /* the connection is dead when a ping is not answered for this long; 0: 5 s */
    int64_t keepalive_timeout_ns;
    uint32_t
        window_bytes; /* per stream, what may be on its way to us unread; 0: 256 KiB; 64 KiB to 16 MiB. More is faster over long
                                     distances; less is told of losses earlier, since the server cannot take back what is on its way */
    /* sent with every call: lower-case names, printable ASCII values; copied */
    const struct tributary_header *metadata;
    size_t metadata_count; /* at most 16 */
};

/* A client: a connection, kept or made again as long as anything needs it; another one for every
 * 100 calls at a time. Connects when the first call is made, so an address that does not answer is
 * not an error here: ask tributary_check() where it should be.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or no thread
 * `status` may be NULL, here and everywhere. */
struct tributary;
TRIBUTARY_API enum tributary_code tributary_connect(const struct tributary_options *options,
                                                    struct tributary **client_out,
                                                    struct tributary_status *status);

/* Ends the client, its connection and its thread. Its publishers, sessions and subscribers must
 * have been freed before, and no call may be running. Waits for the thread; never call it from a
 * callback. NULL is allowed. */
TRIBUTARY_API void tributary_free(struct tributary *client);

#include "admin.h"
#include "publish.h"
#include "session.h"
#include "subscribe.h"

#ifdef __cplusplus
}
#endif

#endif
