/* explain.c - the functions of tributary/explain.h. */
#include <stdlib.h>

#include "base/clock.h"
#include "client/lib/admin/admin_call.h"

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

static bool show_each(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    const Tributary__V1__Explanation *answer = (const void *)message;

    *next_out = answer->next_page_token;
    for (size_t i = 0; i < answer->n_each; i++)
        if (!show(ctx, answer->each[i]))
            return false;
    return true;
}

static bool show_one(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    (void)next_out;
    return show(ctx, (const void *)message);
}

enum tributary_code tributary_explain(struct tributary *client, const struct tributary_explain_query *query,
                                      struct tributary_status *status)
{
    const bool pages = query->all && !query->subscription_id && !query->producer;
    Google__Protobuf__Duration window = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__ExplainRequest__All all = TRIBUTARY__V1__EXPLAIN_REQUEST__ALL__INIT;
    Tributary__V1__ExplainRequest request = TRIBUTARY__V1__EXPLAIN_REQUEST__INIT;
    const struct admin_walk walk = {.client = client,
                                    .method = {"/tributary.v1.Admin/Explain", query->timeout_ns},
                                    .until_ns =
                                        query->timeout_ns > 0 ? clock_from_now_ns(query->timeout_ns) : 0,
                                    .request = &request.base,
                                    .page_token = &all.page_token,
                                    .answer_type = &tributary__v1__explanation__descriptor,
                                    .show = pages ? show_each : show_one,
                                    .ctx = query};

    window.seconds = query->window_ns / NS_PER_S;
    window.nanos = (int32_t)(query->window_ns % NS_PER_S);
    request.subscription_id = admin_text(query->subscription_id);
    request.producer = admin_text(query->producer);
    request.all = query->all ? &all : NULL;
    if (query->window_ns != 0)
        request.window = &window;
    return admin_walk_run(&walk, status);
}

const char *tributary_limit_name(int limit)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&tributary__v1__explanation__limit__descriptor, limit);

    return value ? value->name : "UNKNOWN";
}
