/* admin_call.h - what the admin functions share: calls with protobuf-c messages, and pages of
 * lists. Any thread but the client thread. */
#ifndef TRIBUTARY_CLIENT_ADMIN_CALL_H
#define TRIBUTARY_CLIENT_ADMIN_CALL_H

#include "client/lib/core/unary.h"
#include "tributary/v1/admin.pb-c.h"

/* A text for a message of protobuf-c, which does not change it. NULL becomes the empty text. */
char *admin_text(const char *from);

/* Makes an array of zeroes, one more than are needed, so that NULL always means a lack of memory.
 * The caller frees it. */
#define ADMIN_NEW_ARRAY(array, count) ((array) = calloc((count) + 1, sizeof(*(array))))

/* Nanoseconds. 0 where it is absent. */
int64_t admin_duration_ns(const Google__Protobuf__Duration *from);

struct tributary_totals admin_totals(const Tributary__V1__Totals *from);

/* Packs the request, waits for the answer and unpacks it. The caller frees the answer with
 * protobuf_c_message_free_unpacked(). NULL: an error, which is in *status. `status` may be NULL. */
ProtobufCMessage *admin_call(struct tributary *client, const struct unary_method *method,
                             const ProtobufCMessage *request, const ProtobufCMessageDescriptor *answer_type,
                             struct tributary_status *status);

/* A walk over the pages of a list. */
struct admin_walk {
    struct tributary *client;
    struct unary_method method; /* its timeout is that of each page */
    int64_t until_ns;           /* clock_mono_ns(): of all pages, instead of the timeout; 0: none */
    ProtobufCMessage *request;
    char **page_token; /* of the request; the walk sets it */
    const ProtobufCMessageDescriptor *answer_type;
    /* Shows the entries of one answer. *next_out is its token for the next page, which lies in
     * it. False: out of memory. */
    bool (*show)(const void *ctx, const ProtobufCMessage *answer, const char **next_out);
    const void *ctx;
};

/* Asks for one page after the other, until the last one or an error. `status` may be NULL. Returns
 * its code:
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or a server whose pages do not end
 *   others                        as admin_call() */
enum tributary_code admin_walk_run(const struct admin_walk *walk, struct tributary_status *status);

#endif
