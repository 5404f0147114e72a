/* settings.h - the limits of the server: plain numbers, in numbered versions that never change
 * (settings_store.h).
 *
 * One version is the present one. The loop hands it out: loop_settings() (src/loop/loop.h). A room
 * reads a limit there at the moment where it applies it, and keeps no copy. So a new version holds
 * from each reader's next look on.
 *
 * What already runs keeps what it was accepted under, unless a member says otherwise. A limit that
 * is lowered ends nothing: what is above it stays, and nothing new is admitted while it is reached.
 *
 * The bounds that the members name are those of the options (server/options_table.c). Whoever
 * publishes a version has checked them. */
#ifndef TRIBUTARY_BASE_SETTINGS_H
#define TRIBUTARY_BASE_SETTINGS_H

#include <stdbool.h>

#include "base/base.h"

/* The bounds of a message with events. A value at its bound is accepted. They hold from the next
 * message on, of a stream that is open too. */
struct framing_limits {
    uint32_t max_event_bytes; /* one event, without its tag and length; 64 to 64 MiB */
    /* The whole message; 64 to 64 MiB. A message with a single event may have 1 KiB more
     * (FRAMING_ENVELOPE_BYTES). See core_headroom_bytes. */
    uint32_t max_batch_bytes;
    uint32_t max_batch_events; /* events of one message; at least 1 */
    uint32_t max_headers;      /* entries of Event.headers */
    uint32_t max_name_bytes;   /* id, topic, key, type, content_type, a header's key */
    uint32_t max_value_bytes;  /* a header's value */
};

/* What a request may ask for. 0 in a request, or nothing, stands for the default of a number; a
 * duration may be 0. */
struct setting_range {
    int64_t default_value, min, max; /* default_value is 0 or within the bounds */
};

/* What a consumer may ask for when it subscribes. A subscription keeps what it was given. */
struct subscription_ranges {
    struct setting_range max_events;       /* of its channel; at most UINT32_MAX */
    struct setting_range max_bytes;        /* of its channel */
    struct setting_range max_age_ns;       /* of an event in its channel; 0: any age */
    struct setting_range block_timeout_ns; /* how long a shared producer may be blocked */
    struct setting_range max_batch_events; /* of one message; at most UINT32_MAX */
    struct setting_range max_batch_bytes;  /* of one message; at most UINT32_MAX */
    struct setting_range linger_ns;        /* how long events are gathered */
    struct setting_range heartbeat_ns;     /* 0: none */
};

struct settings {
    uint64_t version; /* 0: the defaults; then 1 higher with each version that is published */

    struct framing_limits framing;

    /* How much of max_connections, max_producers, max_subscriptions and max_total_filter_cost one
     * peer may use, in percent; 1 to 100. 100: all of it. They hold for its next connection,
     * producer and subscription. */
    uint32_t peer_share_percent;
    uint32_t local_peer_share_percent; /* of a peer on this machine, see peer_is_local() */

    /* Hub. They hold for the next producer and the next subscription. */
    uint32_t max_producers;     /* names known at a time; 1 to 10 000 000 */
    uint32_t max_subscriptions; /* at a time; 1 to 10 000 000 */
    /* What the filters of all subscriptions may cost together, for one event (match_entry_cost());
     * 1 KiB to 1 GiB. A unit takes about 1 ns. It holds for the next subscription and selection. */
    uint32_t max_total_filter_cost;
    /* How long a transient producer stays after its last call; 1 ms to 24 h. A longer time holds
     * for every producer. With a shorter one, a producer that is or was idle may still wait for the
     * moment that the hub watches it for. */
    int64_t transient_forget_ns;
    /* Whether producers keep a history from the start, not only once a subscription asks for it. It
     * holds for new producers. False takes no history away. */
    bool history;

    struct subscription_ranges subscription;
    /* The operator's upper bounds of what a consumer may ask for. Where it asks for more, its
     * subscription gets this much; it is not refused. */
    int64_t max_block_timeout_ns;   /* 1 ms to 1 h */
    uint32_t channel_share_percent; /* of memory_limit_bytes, for max_bytes of one channel; 1 to 100 */

    /* How long a peer may leave a write unread before its call is aborted; 1 ms to 1 h. A consumer
     * or session keeps that of its beginning. */
    int64_t write_timeout_ns;
    /* How long a stream that moves may be without a resume token of every source; 1 s to 24 h. A
     * token of at most 1 KiB comes with every Progress anyway. */
    int64_t full_token_interval_ns;
    int64_t drain_timeout_ns; /* of the whole server; 1 ms to 1 h. Read when the drain begins */

    /* The budget of all chunks; 1 MiB to 1 TiB. src/event/chunk.c keeps the one copy that there is,
     * because it counts for the process and knows no loop. Whoever publishes a version calls
     * budget_set() too. */
    int64_t memory_limit_bytes;

    /* Listener. They hold for the next accepted connection. */
    uint32_t max_connections;   /* at a time; 1 to 1 000 000 */
    uint32_t spare_descriptors; /* kept free for the process, below RLIMIT_NOFILE */
    /* How long an accepted socket may take to send its HTTP/2 preface; at least 1 ms. It holds for
     * pending connections too. */
    int64_t preface_timeout_ns;
    int64_t user_timeout_ns; /* TCP_USER_TIMEOUT, rounded down to ms */

    /* gRPC core takes these when a wire thread makes its server. A later version changes nothing
     * until the daemon starts again. */
    uint32_t max_calls_per_connection; /* streams of one HTTP/2 connection; 1 to 100 000 */
    /* The metadata of one request, as RFC 9113, section 10.5.1 counts it: name, value and 32 bytes
     * for each field; 1 KiB to 1 MiB. A call above it is refused alone. The core's own bound is
     * four times as high. */
    uint32_t max_header_bytes;
    /* PING frames of a peer that follow each other faster than this, while we send nothing, count
     * against it; 100 ms to 1 h. The ninth one ends its connection. */
    int64_t min_ping_interval_ns;
    /* After so long, give or take a tenth, a connection takes no new calls; 1 s to 168 h. 0: never.
     * Its calls have the grace time to end, and are cancelled then; 1 ms to 24 h. */
    int64_t max_connection_age_ns;
    int64_t connection_age_grace_ns;
    /* The core's own bound of a message is max_batch_bytes at that time and so much more. So it is
     * our check that answers. A max_batch_bytes that is raised beyond the sum later is not reached:
     * the core refuses first. */
    uint32_t core_headroom_bytes;
    int64_t core_quota_bytes; /* of the core's resource quota, for each wire thread */

    /* The guard takes these, and some of those above, when the daemon starts. A later version
     * changes nothing until it starts again. */
    /* Received bytes of all messages of a connection that are not complete; 64 KiB to 16 GiB. A
     * message that max_batch_bytes allows is never too much. */
    int64_t max_unfinished_bytes;
    /* The same of all connections together, and 12 KiB for each open stream; 16 MiB to 1 TiB. One
     * peer has a share of it. */
    int64_t max_kept_bytes;
    /* The estimated work of a wire thread that a connection may cause before it waits: in one turn,
     * 50 us to 100 ms, and in one second, 100 ms to 60 s. */
    int64_t guard_turn_ns;
    int64_t guard_second_ns;
};

/* Version 0. The one place with the default of each member. */
extern const struct settings settings_defaults;

#endif
