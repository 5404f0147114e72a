/* explain.c - the functions of tributary/explain.h. */
#include <stdlib.h>

#include "client/lib/admin/admin_call.h"
#include "client/lib/core/status.h"

/* False: out of memory. */
static bool show(const struct tributary_explain_query *query, const Tributary__V1__Explanation *from)
{
    struct tributary_stat *stats;
    int *also;
    const bool allocated = ADMIN_NEW_ARRAY(stats, from->n_stats), more = ADMIN_NEW_ARRAY(also, from->n_also);

    if (allocated && more) {
        for (size_t i = 0; i < from->n_stats; i++)
            stats[i] =
                (struct tributary_stat){from->stats[i]->name, from->stats[i]->value, from->stats[i]->unit};
        for (size_t i = 0; i < from->n_also; i++)
            also[i] = (int)from->also[i];
        const struct tributary_explanation explanation = {
            .subscription_id = from->subscription_id,
            .limit = (int)from->limit,
            .sentence = from->sentence,
            .stats = stats,
            .stat_count = from->n_stats,
            .also = also,
            .also_count = from->n_also,
            .producer = from->producer,
            .blocking_subscription_id = from->blocking_subscription_id,
            .name = from->subscription_name,
            .peer = from->peer,
        };

        query->each(query->ctx, &explanation);
    }
    free(stats);
    free(also);
    return allocated && more;
}

/* One call. NULL: an error, which is in *status. `all` NULL: not every subscription. */
static Tributary__V1__Explanation *call(struct tributary *client, const struct tributary_explain_query *query,
                                        Tributary__V1__ExplainRequest__All *all, int64_t timeout_ns,
                                        struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/Explain", timeout_ns};
    Google__Protobuf__Duration window = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__ExplainRequest request = TRIBUTARY__V1__EXPLAIN_REQUEST__INIT;

    window.seconds = query->window_ns / NS_PER_S;
    window.nanos = (int32_t)(query->window_ns % NS_PER_S);
    request.subscription_id = admin_text(query->subscription_id);
    request.producer = admin_text(query->producer);
    request.all = all;
    if (query->window_ns != 0)
        request.window = &window;
    return (void *)admin_call(client, &method, &request.base, &tributary__v1__explanation__descriptor,
                              status);
}

static enum tributary_code explain_all(struct tributary *client, const struct tributary_explain_query *query,
                                       struct tributary_status *status)
{
    const int64_t until_ns = clock_from_now_ns(query->timeout_ns);
    Tributary__V1__ExplainRequest__All all = TRIBUTARY__V1__EXPLAIN_REQUEST__ALL__INIT;
    char *token = NULL;
    uint32_t pages = 0;
    bool more = true;

    status_set(status, TRIBUTARY_OK, "");
    while (more && status->code == TRIBUTARY_OK) {
        const int64_t left_ns = MAX_OF(until_ns - clock_mono_ns(), INT64_C(1));
        Tributary__V1__Explanation *answer;

        all.page_token = admin_text(token);
        answer = call(client, query, &all, query->timeout_ns > 0 ? left_ns : 0, status);
        if (!answer)
            break;
        for (size_t i = 0; i < answer->n_each && status->code == TRIBUTARY_OK; i++)
            if (!show(query, answer->each[i]))
                status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        more = admin_next_page(&token, answer->next_page_token, &pages);
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    free(token);
    return status->code;
}

enum tributary_code tributary_explain(struct tributary *client, const struct tributary_explain_query *query,
                                      struct tributary_status *status)
{
    Tributary__V1__ExplainRequest__All all = TRIBUTARY__V1__EXPLAIN_REQUEST__ALL__INIT;
    Tributary__V1__Explanation *answer;
    struct tributary_status local_status;

    status = status ? status : &local_status;
    if (query->all && !query->subscription_id && !query->producer)
        return explain_all(client, query, status);
    answer = call(client, query, query->all ? &all : NULL, query->timeout_ns, status);
    if (!answer)
        return status->code;
    if (!show(query, answer))
        status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    return status->code;
}

const char *tributary_limit_name(int limit)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&tributary__v1__explanation__limit__descriptor, limit);

    return value ? value->name : "UNKNOWN";
}
