/* connection_limits.c - see connection_limits.h. */
#include "server/connection_limits.h"

#include "base/peer_share.h"

#define MIB (1024u * 1024u)

/* The core's own bound of a request's metadata, as a multiple of ours. Between the two, a call is
 * refused alone. Above, the core ends every stream of the connection. It announces its bound, and
 * some client libraries refuse such a call themselves; gRPC core 1.51 as a client does not. */
#define CORE_HEADERS 4u

/* A message may declare so much more than we take, and its call gets our answer. Above, the guard
 * ends the connection: the core reads a message as a whole before anybody can refuse it. */
#define REFUSED_MESSAGE_BYTES (3u * MIB)

/* Of a dialled connection (server/dial/connection.c): its calls, and the metadata of one. What
 * proxies add is allowed. */
#define UPSTREAM_CALLS 100u
#define UPSTREAM_HEADERS (64u * 1024u)

/* Streams that the guard allows and the core does not, so that the core answers first. */
#define GUARD_STREAM_HEADROOM 24u

/* A peer at a distance may have so many bytes more on their way than the core takes ahead: with
 * those, 1 MiB. 50 MB/s over a round trip of 10 ms are 0.5 MB, and there is space for a round trip
 * that is twice as long. They wait in the socket, whose buffer the kernel bounds. */
#define MAX_LENT (MIB - 65536u)

/* Most clients send a large header block in frames of so many bytes: the least that HTTP/2 lets a
 * server announce. */
#define USUAL_FRAME_BYTES 16384u

struct wire_settings connection_limits_of_core(const struct settings *settings)
{
    const uint32_t max_message_bytes = settings->framing.max_batch_bytes + settings->core_headroom_bytes;

    return (struct wire_settings){
        .max_message_bytes = max_message_bytes,
        .core_message_bytes = max_message_bytes + REFUSED_MESSAGE_BYTES,
        .max_calls_per_connection = settings->max_calls_per_connection,
        .max_header_bytes = settings->max_header_bytes,
        .core_header_bytes = CORE_HEADERS * settings->max_header_bytes,
        .resource_quota_bytes =
            MAX_OF((uint64_t)settings->core_quota_bytes, 2 * (uint64_t)settings->max_kept_bytes),
        .write_timeout_ns = settings->write_timeout_ns,
        .min_ping_interval_ns = settings->min_ping_interval_ns,
        .max_connection_age_ns = settings->max_connection_age_ns,
        .connection_age_grace_ns = settings->connection_age_grace_ns,
    };
}

struct h2guard_limits connection_limits_of_guard(const struct settings *settings)
{
    const struct wire_settings core = connection_limits_of_core(settings);
    struct h2guard_limits limits = h2guard_defaults;

    limits.turn_cost = settings->guard_turn_ns;
    limits.second_cost = settings->guard_second_ns;
    limits.max_streams = core.max_calls_per_connection + GUARD_STREAM_HEADROOM;
    limits.max_frame_bytes = MAX_WIRE_FRAME;
    limits.max_lent_bytes = MAX_LENT;
    /* A header block takes no more bytes on the wire than its list has by the count of RFC 9113. */
    limits.max_header_bytes = core.core_header_bytes;
    limits.max_continuations =
        MAX_OF(limits.max_continuations, core.core_header_bytes / USUAL_FRAME_BYTES + 1);
    limits.max_message_bytes = core.core_message_bytes;
    limits.allow_compressed = wire_tells_compressed();
    limits.max_unfinished_bytes =
        MAX_OF((uint64_t)settings->max_unfinished_bytes, (uint64_t)limits.max_message_bytes);
    return limits;
}

/* A message that is a little over the limit ends its call alone, as for servers. The connect
 * timeout bounds the time until an upstream's SETTINGS. Some of them never acknowledge ours. */
struct h2guard_limits connection_limits_of_upstreams(const struct settings *settings)
{
    struct h2guard_limits limits = h2guard_defaults;

    limits.turn_cost = settings->guard_turn_ns;
    limits.second_cost = settings->guard_second_ns;
    limits.max_header_bytes = UPSTREAM_HEADERS;
    limits.max_message_bytes = settings->framing.max_batch_bytes + REFUSED_MESSAGE_BYTES;
    limits.max_unfinished_bytes = (uint64_t)UPSTREAM_CALLS * limits.max_message_bytes;
    limits.open_timeout_ns = 0;
    limits.settings_timeout_ns = 0;
    return limits;
}

static int64_t share(int64_t bytes, uint32_t percent)
{
    return (int64_t)MIN_OF(share_of((uint64_t)bytes, percent), (uint64_t)INT64_MAX);
}

struct h2socket_bounds connection_limits_of_all(const struct settings *settings)
{
    int64_t all = settings->max_kept_bytes;

    return (struct h2socket_bounds){.all = all,
                                    .local_peer = share(all, settings->local_peer_share_percent),
                                    .remote_peer = share(all, settings->peer_share_percent)};
}
