/* wire.h - gRPC core as a whole: starting it, stopping it, its log lines, and the arguments of our
 * servers. */
#ifndef TRIBUTARY_SERVER_WIRE_WIRE_H
#define TRIBUTARY_SERVER_WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

struct waiting_messages;

#define MAX_WIRE_FRAME 32767 /* the largest HTTP/2 frame that our servers announce: MAX_LENT_FRAME */

/* What a server is told when it is made. A time is in nanoseconds, and is rounded up to ms. */
struct wire_settings {
    /* We refuse a longer message, also one that is as long once it is decompressed. */
    uint32_t max_message_bytes;
    /* The core itself refuses a longer one, and ends its call without details: what the guard lets
     * pass at most. */
    uint32_t core_message_bytes;
    uint32_t max_calls_per_connection;
    uint32_t max_header_bytes; /* we refuse a call with more metadata */
    /* The core announces this bound. It ends the connection of a peer that sends more: more than
     * max_header_bytes. */
    uint32_t core_header_bytes;
    uint64_t resource_quota_bytes;
    int64_t write_timeout_ns; /* how long a call that was finished may take: call_finish() */
    int64_t min_ping_interval_ns;
    int64_t max_connection_age_ns; /* 0: never */
    int64_t connection_age_grace_ns;
    /* What compressed messages are charged to that wait; it outlives the wire threads. NULL: they
     * are not charged. */
    struct waiting_messages *waiting;
};

/* Starts the core. Call it before every other function of this room. The core's log lines become
 * `core` lines of our log, escaped: at most 20 in a second, the others are counted as lost. */
void wire_init(void);
/* Stops the core. Call it after every other function of this room. It may block: the core may wait
 * for a write of its own. */
void wire_fini(void);
/* The version of gRPC, such as 1.51.1; of another core than that of the build, the core's own.
 * Static text. */
const char *wire_version(void);

/* Whether a call hears that a message is marked as compressed, also where the core does not know
 * how (grpc/message_flag.h). It refuses such a message. */
bool wire_tells_compressed(void);

/* Makes a server with these settings and our other arguments. It is not started. The caller
 * destroys it. */
grpc_server *wire_server_new(const struct wire_settings *settings);

#endif
