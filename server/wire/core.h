/* core.h - what is asked of the gRPC core, and of what lies under it. */
#ifndef TRIBUTARY_SERVER_WIRE_CORE_H
#define TRIBUTARY_SERVER_WIRE_CORE_H

#include <stdint.h>

#include <grpc/grpc.h>

struct wire_settings {
    uint32_t max_message_bytes; /* what the core refuses itself: our limit + 64 KiB */
    uint32_t max_calls_per_connection;
    uint64_t resource_quota_bytes;
};

/* Debian builds Abseil, whose mutexes the core uses, with its deadlock detector on: each lock is
 * looked up in a graph. Switches that off, for the process; where Abseil does not offer it, nothing
 * happens. Once, before the first server is made. */
void disable_lock_graph(void);

/* A server with our arguments and limits, not started. The caller destroys it. */
grpc_server *wire_server_new(const struct wire_settings *settings);

#endif
