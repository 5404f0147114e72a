/* tributary.h - the C client of tributary. Programs include this header only.
 *
 *   event.h          an event, as it is published and as it arrives
 *   status.h         codes and messages of errors
 *   publish.h        publish events
 *   session.h        register as a producer that stays connected
 *   subscribe.h      subscribe to many producers as one stream
 *   reader.h         the same without callbacks: with a timeout, or from an event loop
 *   admin.h          ask the server about itself and about producers
 *   endpoint.h       add producers that the server dials
 *   store.h          what a server keeps on the disk
 *   topics.h         stored topics: make, change, delete and list them
 *   backup.h         copy what a server keeps
 *   subscriptions.h  list and end the subscriptions of others
 *   changes.h        hear of producers and subscriptions as they come, change and go
 *   drain.h          end the server gently
 *   processors.h     see what processors of keyed batches do
 *   batch.h          keyed batches in this process; they need no server
 *   runner.h         run operations of keyed batches over the server
 *   worker.h         load, run and save them
 *
 * A first call:
 *
 *   struct tributary_options options = {.target = "127.0.0.1:7227"};
 *   struct tributary *client = NULL;
 *   struct tributary_status status;
 *
 *   if (tributary_connect(&options, &client, &status) != TRIBUTARY_OK)
 *       fprintf(stderr, "%s\n", status.message);
 *
 * Threads. A client has one thread of its own, the *client thread*. This thread sends, receives and
 * runs every callback. It runs one callback at a time and holds no lock meanwhile. A slow callback
 * delays everything else of its client: give blocking work a client of its own. Any thread may call
 * any function. A callback may call every function whose comment does not forbid it.
 *
 * Time. Durations are nanoseconds. In an options struct, 0 means the default that the comment
 * names, and TRIBUTARY_NONE means none. A parameter `timeout_ns` is the longest time that the call
 * may take; it may be TRIBUTARY_FOREVER.
 *
 * Errors. Functions return canonical gRPC codes. A call that fails does not change its `_out`
 * parameters. Every `status` parameter may be NULL. */
#ifndef TRIBUTARY_TRIBUTARY_H
#define TRIBUTARY_TRIBUTARY_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "duration.h"
#include "event.h"
#include "export.h"
#include "version.h"
#include "status.h"

#define TRIBUTARY_DEFAULT_TARGET "127.0.0.1:7227"

/* Returns the version of this library, such as "0.1.0". The text is static. */
TRIBUTARY_API const char *tributary_version(void);

/* Options of a client. All zeroes are valid. tributary_connect() copies everything. */
struct tributary_options {
    /* HOST:PORT, [V6]:PORT, unix:PATH or unix-abstract:NAME. Without :PORT it is port 7227. NULL:
     * TRIBUTARY_DEFAULT_TARGET. */
    const char *target;
    const char *name; /* the name of this program, for the user agent; NULL: no name */
    /* the longest time for one attempt to connect; 0: 10 s; at least 100 ms */
    int64_t connect_timeout_ns;
    /* The pauses between attempts to connect: the first one (0: 100 ms; at least 1 ms), and the
     * longest one (0: 10 s). Each pause is twice as long as the one before. Each is then shortened
     * at random, by up to a half. */
    int64_t backoff_base_ns;
    int64_t backoff_cap_ns;
    /* the client sends a ping after this long without a byte; 0: 15 s; at least 10 s;
     * TRIBUTARY_NONE: no pings */
    int64_t keepalive_ns;
    /* the connection counts as lost when a ping has no answer for this long; 0: 5 s */
    int64_t keepalive_timeout_ns;
    /* How many bytes of one stream may be on their way to this program. 0: as many as the
     * connection needs to be fast over its distance, at least 4 MiB; gRPC core measures it. 64 KiB
     * to 16 MiB: so many; and of all streams of a connection together not much more than 64 KiB,
     * which is slow over a distance (6 MB/s over a round trip of 10 ms). The server cannot take
     * back what is on its way. So a program that is slow and wants to learn of losses early sets a
     * small window, or grants credit (`consume`). */
    uint32_t window_bytes;
    /* sent with every call; names in lower case, values in printable ASCII */
    const struct tributary_header *metadata;
    size_t metadata_count; /* at most 16 */
};

/* A client. It has one connection for every 100 calls at a time, and makes a connection again for
 * as long as something needs it. */
struct tributary;

/* Creates a client and its thread. The client connects with its first call, so this function also
 * succeeds when no server listens at the target: tributary_check() asks the server.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or no thread */
TRIBUTARY_API enum tributary_code tributary_connect(const struct tributary_options *options,
                                                    struct tributary **client_out,
                                                    struct tributary_status *status);

/* Ends the client, its connections and its thread, and waits until the thread has ended. Free the
 * client's publishers, sessions, subscribers, readers of changes, runners and workers first. No
 * call may be running. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_free(struct tributary *client);

#include "endpoint.h"
#include "admin.h"
#include "publish.h"
#include "session.h"
#include "subscribe.h"
#include "reader.h"
#include "subscriptions.h"
#include "topics.h"
#include "backup.h"
#include "changes.h"
#include "drain.h"
#include "explain.h"
#include "processors.h"
#include "batch.h"
#include "runner.h"
#include "worker.h"

#ifdef __cplusplus
}
#endif

#endif
