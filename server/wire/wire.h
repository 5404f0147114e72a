/* wire.h - gRPC core as a whole: starting it, stopping it, its log lines, and the arguments of our
 * servers. */
#ifndef TRIBUTARY_SERVER_WIRE_WIRE_H
#define TRIBUTARY_SERVER_WIRE_WIRE_H

#include <stdint.h>

#include <grpc/grpc.h>

struct wire_settings {
    uint32_t max_message_bytes; /* the core itself refuses a longer message: our limit + 64 KiB */
    uint32_t max_calls_per_connection;
    uint64_t resource_quota_bytes;
};

/* Starts the core. Call it before every other function of this room. The core's log lines become
 * `core` lines of our log, escaped. */
void wire_init(void);
/* Stops the core. Call it after every other function of this room. It may block: the core may wait
 * for a write of its own. */
void wire_fini(void);
const char *wire_version(void); /* the version of gRPC core; static text */

/* Makes a server with these settings and our other arguments. It is not started. The caller
 * destroys it. */
grpc_server *wire_server_new(const struct wire_settings *settings);

#endif
