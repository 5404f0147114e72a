/* endpoint.h - producers that the server dials: what they are, how they are added and changed. Part
 * of <tributary/tributary.h>.
 *
 * Any server-streaming method of any gRPC service may be an endpoint. The server keeps endpoints in
 * memory: after a restart of the server they must be added again. The server checks the bounds
 * below. */
#ifndef TRIBUTARY_ENDPOINT_H
#define TRIBUTARY_ENDPOINT_H

#include "event.h"
#include "export.h"
#include "status.h"

struct tributary;
struct tributary_producer;

struct tributary_label {
    const char *name;
    const char *value;
};

/* Whose upstream calls there are. */
enum tributary_endpoint_activation {
    /* One for each consumer that matches. It begins and ends with the consumer. The default. */
    TRIBUTARY_ENDPOINT_PER_CONSUMER = 1,
    /* One for all consumers, from now on, whether anybody listens or not. */
    TRIBUTARY_ENDPOINT_SHARED = 2,
    /* One for all consumers whose requests are equal, byte by byte; for all, where `requests` are
     * given. It begins with the first consumer and ends with the last. */
    TRIBUTARY_ENDPOINT_BY_REQUEST = 3
};

/* When the server closes its side of an upstream call. */
enum tributary_endpoint_half_close {
    /* The default. For "/tributary.v1.Upstream/Produce" it is: when the call is to stop. */
    TRIBUTARY_HALF_CLOSE_AFTER_REQUESTS = 1,
    /* Not before the call ends. For bidirectional methods that end when their client closes. */
    TRIBUTARY_HALF_CLOSE_KEEP_OPEN = 2
};

/* What becomes of an upstream call that has ended. */
enum tributary_endpoint_restart {
    TRIBUTARY_RESTART_ON_FAILURE = 1, /* it begins again unless it ended with OK; the default */
    TRIBUTARY_RESTART_ALWAYS = 2,
    TRIBUTARY_RESTART_NEVER = 3
};

/* What the messages of the method are. */
enum tributary_endpoint_decode {
    /* EVENT_BATCH for a method "/.../Upstream/Produce", otherwise RAW; the default */
    TRIBUTARY_DECODE_AUTO = 1,
    TRIBUTARY_DECODE_EVENT_BATCH = 2, /* each is an EventBatch; the events of its runs are taken */
    TRIBUTARY_DECODE_RAW = 3,         /* the bytes of each become `data` of one event, unchanged */
    TRIBUTARY_DECODE_CASCADE = 4      /* each is an EventBatch; its sources are kept apart */
};

/* A producer that the server dials. 0 and NULL mean the default that the comment names. Durations
 * are nanoseconds. */
struct tributary_endpoint {
    const char *name;    /* 1 to 256 bytes of printable UTF-8; the first is not '@' */
    const char *address; /* [dns:]HOST:PORT, ipv4:A.B.C.D:PORT, ipv6:[V6]:PORT, unix:PATH */
    const char *method;  /* "/package.Service/Method", at most 256 bytes; "/tributary.v1.Upstream/Produce" */
    /* The request messages of each upstream call, encoded: at most 16, and 256 KiB together. None:
     * the consumer's own request. */
    const struct tributary_bytes *requests;
    size_t request_count;
    enum tributary_endpoint_half_close half_close;
    /* Sent with each upstream call: at most 32, 8 KiB together, no name twice. Names are in lower
     * case, and do not end in "-bin"; values are printable ASCII. In what the server returns every
     * value is "***". */
    const struct tributary_label *metadata;
    size_t metadata_count;
    const struct tributary_label *labels; /* for selectors: at most 64 */
    size_t label_count;
    enum tributary_endpoint_activation activation;
    enum tributary_endpoint_restart restart;
    int64_t backoff_ns;               /* the wait before the first restart: 10 ms to 1 h; 1 s */
    int64_t max_backoff_ns;           /* the longest one: 10 ms to 1 h; 30 s */
    int64_t connect_timeout_ns;       /* for a call to be accepted: 10 ms to 1 h; 10 s */
    int64_t first_message_timeout_ns; /* for its first message: 10 ms to 24 h; no bound */
    int64_t idle_timeout_ns;          /* for the next message after each: 10 ms to 24 h; no bound */
    enum tributary_endpoint_decode decode;
    const char *authority; /* for `:authority`, at most 256 bytes; from the address */
    /* The name of a TLS setting of the server, or "system"; plaintext. */
    const char *tls;
    /* One producer for each address that the host name in `address` has now. `name` then has at
     * most 192 bytes, and there are at most 62 labels. */
    bool each_address;
    int64_t resolve_period_ns; /* how often the name is looked up: 1 s to 1 h; 30 s */
    /* RAW only: where each message has the key and the time of its event: up to 8 field numbers,
     * such as "3" or "1.3.2"; nowhere */
    const char *key_field;
    const char *time_field;
    /* SHARED and BY_REQUEST: the last events that are kept, from the first one on: up to 1024, and
     * 1 KiB to 16 MiB. Where one is given the other is 1024 and 1 MiB; else as all producers have
     * it */
    uint32_t history_events;
    uint64_t history_bytes;
    /* What it serves to callers of --fan-in: "/package.Service/Method", or with '*' for the method,
     * and options behind it: see admin.proto. At most 64, 8 KiB together. Without a method it then
     * publishes nothing to consumers. */
    const char *const *serve;
    size_t serve_count;
    /* Keys of metadata that pass from such a caller to the upstream, and back: at most 32 each. */
    const char *const *serve_request_metadata, *const *serve_answer_metadata;
    size_t serve_request_metadata_count, serve_answer_metadata_count;
    /* For reflection of it there: an encoded google.protobuf.FileDescriptorSet with all imports, at
     * most 1 MiB. What the server returns has none. The upstream's own reflection is asked */
    struct tributary_bytes descriptor_set;
};

/* How an upstream call of an endpoint failed. */
struct tributary_failure {
    /* True: before the upstream had accepted the call. False: afterwards. */
    bool dialling;
    int code;            /* a canonical gRPC status code */
    const char *message; /* what the upstream said: at most 256 bytes */
    uint64_t time_unix_nano;
};

struct tributary_addition {
    const struct tributary_endpoint *endpoint;
    bool replace;       /* take the name over from a producer that has it; otherwise that is an error */
    int64_t timeout_ns; /* 0: 10 s */
    /* called with the producer as it is then; may be NULL */
    void (*each)(void *ctx, const struct tributary_producer *producer);
    void *ctx;
};

/* Adds an endpoint. It waits for the server's answer, and not for the upstream. The errors of
 * admin.h, and:
 *   TRIBUTARY_INVALID_ARGUMENT    a field is out of its bounds; the message names it
 *   TRIBUTARY_ALREADY_EXISTS      a producer has the name, and `replace` is not set
 *   TRIBUTARY_PERMISSION_DENIED   the server does not dial this address for this caller
 *   TRIBUTARY_RESOURCE_EXHAUSTED  also: too many producers, or the server's memory budget is used
 *   TRIBUTARY_UNAVAILABLE         also: the server is draining */
TRIBUTARY_API enum tributary_code tributary_producer_add(struct tributary *client,
                                                         const struct tributary_addition *addition,
                                                         struct tributary_status *status);

/* Replaces an endpoint by one with other settings; its name says which one. Nothing is kept of the
 * one before, its metadata included. `replace` is not read. The errors of tributary_producer_add()
 * except ALREADY_EXISTS, and:
 *   TRIBUTARY_NOT_FOUND            no producer has the name; nothing changed
 *   TRIBUTARY_FAILED_PRECONDITION  also: the producer is no endpoint; nothing changed */
TRIBUTARY_API enum tributary_code tributary_producer_update(struct tributary *client,
                                                            const struct tributary_addition *addition,
                                                            struct tributary_status *status);

#endif
