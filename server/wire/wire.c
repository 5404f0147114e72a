/* wire.c - gRPC core as a whole, and the arguments of our servers. */
#include "server/wire/wire.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "grpc/core_log.h"
#include "grpc/message_flag.h"
#include "server/wire/message.h"
#include "server/wire/response_headers.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

/* How many pings a peer may send too early before the core ends its connection. The count never
 * falls while we send nothing. So there are some to spare: after a standstill of the network,
 * several pings of an honest peer may arrive at once. */
#define MAX_PING_STRIKES 8

#define MAX_CORE_LINES 20 /* of the core's own log, in a second */

/* Only dialling uses TLS. What fails there is in the line endpoint.failed, once. */
static bool is_about_tls(const struct core_line *line)
{
    return strstr(line->file, "/tsi/") || strstr(line->file, "/security/");
}

static enum log_level level_of(const struct core_line *line)
{
    return line->is_error && !is_about_tls(line) ? LOG_WARN : LOG_DEBUG;
}

static void write_core_line(const struct core_line *line)
{
    log_write(level_of(line), "core", LOG_TEXT("message", line->message), LOG_TEXT("file", line->file),
              LOG_NUMBER("line", line->line));
}

static void leave_out_core_line(const struct core_line *line)
{
    log_leave_out(level_of(line));
}

/* How much of one call may be on its way or unread: 100 MB/s over a round trip of 10 ms. */
#define STREAM_WINDOW (1024 * 1024)

/* Switches off the deadlock detector of Abseil's mutexes, for the process. The core uses these
 * mutexes, and Debian builds Abseil with the detector on: it looks up each lock in a graph. Call it
 * before the first server is made. It does nothing where Abseil does not offer the switch. */
static void disable_deadlock_detector(void)
{
    /* absl::SetMutexDeadlockDetectionMode(OnDeadlockCycle::kIgnore), under the names that its
     * inline namespaces give it. */
    static const char *const names[] = {
        "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE",
        "_ZN4absl29SetMutexDeadlockDetectionModeENS_15OnDeadlockCycleE"};
    enum { IGNORE = 0 };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        void (*set_mode)(int mode);
        *(void **)&set_mode = dlsym(RTLD_DEFAULT, names[i]);
        if (set_mode)
            set_mode(IGNORE);
    }
}

void wire_init(void)
{
    static const struct core_log_port port = {
        .write = write_core_line, .left_out = leave_out_core_line, .max_per_second = MAX_CORE_LINES};

    core_log_init(&port);
    gpr_set_log_verbosity(log_wants(LOG_DEBUG) ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
    disable_deadlock_detector();
    grpc_init();
    response_headers_init();
}

void wire_fini(void)
{
    grpc_shutdown_blocking();
}

const char *wire_version(void)
{
    static const char built_with[] = BUILT_WITH_GRPC;
    bool is_that = built_with[0] != '\0' && strcmp(grpc_version_string(), BUILT_WITH_CORE) == 0;

    return is_that ? built_with : grpc_version_string();
}

bool wire_tells_compressed(void)
{
    return message_flag_is_known();
}

/* Rounded up; at most what the core can hold. */
static int as_core_ms(int64_t ns)
{
    return (int)MIN_OF((ns + NS_PER_MS - 1) / NS_PER_MS, (int64_t)INT_MAX);
}

grpc_server *wire_server_new(const struct wire_settings *settings)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("wire");

    grpc_resource_quota_resize(quota, settings->resource_quota_bytes);
    grpc_arg args[] = {
#define NUMBER(name, number)                                                                                 \
    {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)(name), .value.integer = (int)(number)}
        NUMBER(GRPC_ARG_ALLOW_REUSEPORT, 0),
        NUMBER(GRPC_ARG_MAX_CONCURRENT_STREAMS, settings->max_calls_per_connection),
        NUMBER(GRPC_ARG_MAX_METADATA_SIZE, settings->core_header_bytes),
        NUMBER(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, settings->core_message_bytes),
        NUMBER(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        /* We compress nothing. What is compressed we decompress ourselves, within a bound
         * (inflate.h). */
        NUMBER(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        NUMBER(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        /* With the probe, a call that nobody reads may keep 16 MiB and more. Without it the core
         * takes 64 KiB of a connection ahead; the guard makes that enough (h2guard_lend()). */
        NUMBER(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        NUMBER(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, STREAM_WINDOW),
        NUMBER(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, MAX_WIRE_FRAME),
        /* The size of a connection's first read. A connection with little traffic keeps a buffer of
         * this size for its next read. From 12 KiB on, the core allocates 64 KiB at once and in
         * time touches all of it. A connection that sends more gets larger reads. */
        NUMBER(GRPC_ARG_TCP_READ_CHUNK_SIZE, 8 * 1024),
        NUMBER(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, MAX_WIRE_READ),
        /* zerocopy is off, and yet each connection would allocate space for four sends */
        NUMBER(GRPC_ARG_TCP_TX_ZEROCOPY_MAX_SIMULT_SENDS, 1),
        NUMBER(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5000),
        NUMBER(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 300000),
        NUMBER(GRPC_ARG_KEEPALIVE_TIME_MS, 15000),
        NUMBER(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000),
        NUMBER(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        NUMBER(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
               as_core_ms(settings->min_ping_interval_ns)),
        NUMBER(GRPC_ARG_HTTP2_MAX_PING_STRIKES, MAX_PING_STRIKES),
        NUMBER(GRPC_ARG_MAX_CONNECTION_AGE_MS,
               settings->max_connection_age_ns > 0 ? as_core_ms(settings->max_connection_age_ns) : INT_MAX),
        NUMBER(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, as_core_ms(settings->connection_age_grace_ns)),
        NUMBER(GRPC_ARG_ENABLE_CHANNELZ, 0),
#undef NUMBER
        {.type = GRPC_ARG_POINTER,
         .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
    };
    grpc_server *server =
        grpc_server_create(&(grpc_channel_args){.num_args = ARRAY_LEN(args), .args = args}, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}
