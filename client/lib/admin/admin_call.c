/* admin_call.c - calls with protobuf-c messages, and pages of lists. */
#include "client/lib/admin/admin_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/lib/core/status.h"

#define MAX_PAGES 100000u /* against a server that never sends a last page */

char *admin_text(const char *from)
{
    return (char *)(uintptr_t)(from ? from : "");
}

ProtobufCMessage *admin_call(struct tributary *client, const struct unary_method *method,
                             const ProtobufCMessage *request, const ProtobufCMessageDescriptor *answer_type,
                             struct tributary_status *status)
{
    struct tributary_status local_status;
    struct buf packed = {0};
    struct buf answer = {0};
    ProtobufCMessage *message = NULL;
    uint8_t *at = buf_extend(&packed, protobuf_c_message_get_packed_size(request));

    status = status ? status : &local_status;
    if (at)
        protobuf_c_message_pack(request, at);
    if (unary_call_run(client, method, &packed, &answer, status) == TRIBUTARY_OK) {
        message = protobuf_c_message_unpack(answer_type, NULL, answer.size, answer.data);
        if (!message)
            status_set(status, TRIBUTARY_INTERNAL, "the answer of the server cannot be read");
    }
    buf_fini(&packed);
    buf_fini(&answer);
    return message;
}

int64_t admin_duration_ns(const Google__Protobuf__Duration *from)
{
    int64_t ns = 0;

    if (!from || __builtin_mul_overflow(from->seconds, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, from->nanos, &ns))
        return 0;
    return ns;
}

struct tributary_totals admin_totals(const Tributary__V1__Totals *from)
{
    return from ? (struct tributary_totals){from->events, from->bytes} : (struct tributary_totals){0, 0};
}

/* Returns the token of the next page, which the caller frees. NULL: there is none, or an error is
 * in *status. */
static char *read_page(const struct admin_walk *walk, struct tributary_status *status)
{
    struct unary_method method = walk->method;
    ProtobufCMessage *answer;
    const char *next = "";
    char *token = NULL;

    if (walk->until_ns > 0)
        method.timeout_ns = MAX_OF(walk->until_ns - clock_mono_ns(), INT64_C(1));
    answer = admin_call(walk->client, &method, walk->request, walk->answer_type, status);
    if (!answer)
        return NULL;
    if (!walk->show(walk->ctx, answer, &next) || (next[0] != '\0' && !(token = strdup(next))))
        status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    protobuf_c_message_free_unpacked(answer, NULL);
    if (status->code == TRIBUTARY_OK)
        return token;
    free(token);
    return NULL;
}

enum tributary_code admin_walk_run(const struct admin_walk *walk, struct tributary_status *status)
{
    struct tributary_status local_status;
    uint32_t pages = 0;
    char *token = NULL;

    status = status ? status : &local_status;
    do {
        char *next;

        *walk->page_token = admin_text(token);
        next = read_page(walk, status);
        free(token);
        token = next;
    } while (token && ++pages < MAX_PAGES);
    if (token)
        status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "the pages of the server do not end");
    free(token);
    return status->code;
}
