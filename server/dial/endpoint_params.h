/* endpoint_params.h - what an endpoint is: a producer that the server dials. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_PARAMS_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_PARAMS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/peer.h"
#include "event/filter.h"
#include "hub/session_port.h"
#include "route/history.h"

/* The method that a producer implements which is made for tributary. */
#define NATIVE_METHOD "/tributary.v1.Upstream/Produce"
/* The method of another tributary that a cascade calls. */
#define SUBSCRIBE_METHOD "/tributary.v1.Subscriber/Subscribe"

#define MAX_ENDPOINT_REQUESTS 16u
#define MAX_ENDPOINT_REQUEST_BYTES (256u << 10) /* of all together */
#define MAX_ENDPOINT_METADATA 32u
#define MAX_ENDPOINT_METADATA_BYTES (8u << 10) /* of all together */
#define MAX_ENDPOINT_LABELS 64u
#define MAX_METHOD_BYTES 256u
#define MAX_ENDPOINT_HISTORY_EVENTS HISTORY_EVENTS
#define MIN_ENDPOINT_HISTORY_BYTES UINT64_C(1024)
#define MAX_ENDPOINT_HISTORY_BYTES (UINT64_C(16) << 20)

/* The bounds of its times. */
#define MIN_ENDPOINT_TIME_NS (10 * NS_PER_MS)
#define MAX_ENDPOINT_WAIT_NS (3600 * NS_PER_S)       /* backoff, and to connect */
#define MAX_ENDPOINT_QUIET_NS (24 * 3600 * NS_PER_S) /* between messages */

/* What becomes of an upstream call that has ended. */
enum endpoint_restart { RESTART_ON_FAILURE = 1, RESTART_ALWAYS, RESTART_NEVER };

/* Who defines an endpoint. */
enum endpoint_origin {
    ORIGIN_OPERATOR = 1, /* a call of Admin */
    ORIGIN_FILE,         /* a file in --endpoints-dir */
    ORIGIN_DNS           /* an address of a name, see address_set.h */
};

struct schema;
struct shared_bytes;

/* Whether an endpoint survives a restart of the server, and if not, why. */
enum endpoint_keeping {
    ENDPOINT_NOT_ASKED, /* whoever added it adds it again: nobody asked to keep it */
    ENDPOINT_KEPT,
    ENDPOINT_NO_STATE_DIR,
    ENDPOINT_STORE_FAILED /* while it was changed: after a restart it may be there or not */
};

/* Everything is copied where an endpoint is made of it. */
struct endpoint_params {
    struct bytes name;
    const char *address;   /* as base/place.h, also with dns:, ipv4: or ipv6: in front */
    const char *method;    /* empty: it only serves */
    const char *authority; /* empty: from the address */
    const char *tls;       /* the name of a TLS setting; empty: plaintext */
    const struct bytes *requests;
    size_t request_count; /* 0: the consumer's request */
    const struct pair *metadata;
    size_t metadata_count;
    const struct pair *labels;
    size_t label_count;
    enum session_mode mode;
    enum endpoint_restart restart;
    enum endpoint_keeping
        keeping;      /* for those who look at it; of another origin than an operator: not asked */
    bool keep_open;   /* this side of a call does not close */
    bool event_batch; /* messages are EventBatches; false: any bytes */
    bool cascade;     /* they are those of another tributary; then event_batch is false */
    /* Of any bytes: where a message has the key and the time of its event (event/field_path.h).
     * Empty or NULL: nowhere. */
    const char *key_field, *time_field;
    /* What it serves to callers of --fan-in (event/serve_entry.h); and which keys of their metadata
     * go on, and which of the upstream's come back (metadata_names.h). */
    const struct bytes *serve, *serve_request_metadata, *serve_answer_metadata;
    size_t serve_count, serve_request_metadata_count, serve_answer_metadata_count;
    struct schema *schema; /* what describes it; retained and not copied; NULL: its own reflection does */
    struct history_bounds history; /* zero: as other producers have it */
    int64_t backoff_ns, max_backoff_ns, connect_timeout_ns;
    int64_t first_message_timeout_ns, idle_timeout_ns; /* 0: none */
    bool replace;                                      /* false: a name that is taken is refused */
    struct bytes definition;                           /* for those who look at it; not read here */
    struct peer_key peer_key;                          /* who adds it: the name is charged to it */
    bool each_address; /* one endpoint for each address of the name: address_set.h */
    int64_t resolve_period_ns;
    enum endpoint_origin origin;
    const char *origin_text; /* the path of the file, or the name of the set; NULL: none */
    /* Of a set's endpoints, instead of `requests` and `definition`: retained and not copied. NULL:
     * those count. */
    struct shared_bytes *const *shared_requests;
    struct shared_bytes *shared_definition;
};

#endif
