/* endpoint_params.h - the options with which `producers add` and `producers update` describe an
 * endpoint. Main thread. */
#ifndef TRIBUTARY_TOOL_ENDPOINT_PARAMS_H
#define TRIBUTARY_TOOL_ENDPOINT_PARAMS_H

#include "base/place.h"
#include "client/tool/endpoint_requests.h"
#include "client/tool/option.h"
#include "client/tool/registration.h"
#include "tributary/tributary.h"

/* Of the server: see Endpoint in admin.proto. */
#define MAX_ENDPOINT_METADATA 32u
#define MAX_METADATA_BYTES 8192u /* together */
#define MAX_METHOD_BYTES 256u
#define MAX_DESCRIPTORS_BYTES (1u << 20)
#define ENDPOINT_DEFAULT_METHOD "/tributary.v1.Upstream/Produce"

/* The values of the options. */
struct endpoint_params {
    struct text_series requests;
    unsigned half_close, activation, restart, decode; /* ENDPOINT_NOT_GIVEN: not given */
    struct text_list metadata, labels, serve, serve_requests, serve_answers;
    int64_t backoff_ns, max_backoff_ns, connect_timeout_ns; /* 0: not given, as of the next two */
    int64_t first_message_timeout_ns, idle_timeout_ns;
    const char *authority, *tls, *key_field, *time_field, *descriptors;
    bool each_address;
    int64_t resolve_period_ns;              /* 0: not given */
    uint64_t history_events, history_bytes; /* 0: not given */
};
#define ENDPOINT_NOT_GIVEN UINT32_MAX
#define ENDPOINT_PARAMS_INIT                                                                                 \
    {                                                                                                        \
        .half_close = ENDPOINT_NOT_GIVEN, .activation = ENDPOINT_NOT_GIVEN, .restart = ENDPOINT_NOT_GIVEN,   \
        .decode = ENDPOINT_NOT_GIVEN                                                                         \
    }

/* The words of the choices, in the order of the numbers in admin.proto. */
#define HALF_CLOSE_WORDS "after-requests|keep-open"
#define ACTIVATION_WORDS "per-consumer|shared|by-request"
#define RESTART_WORDS "on-failure|always|never"
#define DECODE_WORDS "auto|event-batch|raw|cascade"

/* An endpoint, and what it points to besides the command line. */
struct endpoint_texts {
    struct tributary_endpoint endpoint;
    struct tributary_label metadata[MAX_ENDPOINT_METADATA], labels[MAX_PAIRS];
    struct endpoint_requests requests;
    struct buf descriptors;
    char method[MAX_METHOD_BYTES + 2];
    char *names[MAX_ENDPOINT_METADATA + MAX_PAIRS]; /* owned: of metadata and labels */
    size_t name_count;
};

/* Fills in a zeroed struct from the options and the arguments NAME, ADDRESS and METHOD, of which
 * there are 2 or 3. Nothing is sent. Returns the exit code; where it is not EXITS_OK, the fault was
 * printed. Call endpoint_texts_fini() in both cases. */
int endpoint_params_read(const struct verb *verb, const struct endpoint_params *params,
                         const struct text_list *arguments, struct endpoint_texts *texts);
void endpoint_texts_fini(struct endpoint_texts *texts);

/* Whether the server can dial the address. False: `fault` says how it must be. */
bool endpoint_address_is_valid(const char *address, char fault[PLACE_FAULT_CAPACITY]);

#endif
