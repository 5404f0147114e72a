/* subscriptions.c - the functions of tributary/subscriptions.h: as in admin.c. */
#include "client/lib/admin/subscription.h"

#include <stdlib.h>

#include "client/lib/admin/admin_call.h"
#include "tributary/v1/admin.pb-c.h"

#define PAGE_SIZE 100u
#define PAGE_SIZE_WITH_SOURCES 20u

static struct tributary_settings settings(const Tributary__V1__Settings *from)
{
    if (!from)
        return (struct tributary_settings){.max_events = 0};
    return (struct tributary_settings){
        .max_events = from->max_events,
        .max_bytes = from->max_bytes,
        .max_age_ns = (int64_t)MIN_OF(from->max_age_nanos, (uint64_t)INT64_MAX),
        .overflow = (enum tributary_overflow)from->overflow,
        .block_timeout_ns = (int64_t)MIN_OF(from->block_timeout_nanos, (uint64_t)INT64_MAX),
        .fallback = (enum tributary_overflow)from->fallback,
        .linger_ns = (int64_t)MIN_OF(from->linger_nanos, (uint64_t)INT64_MAX),
        .max_batch_events = from->max_batch_events,
        .max_batch_bytes = from->max_batch_bytes,
        .heartbeat_ns = (int64_t)MIN_OF(from->heartbeat_interval_nanos, (uint64_t)INT64_MAX),
        .revision = from->revision,
        .sort_window_ns = (int64_t)MIN_OF(from->sort_duration_nanos, (uint64_t)INT64_MAX),
        .sort_events = from->sort_events,
    };
}

static struct tributary_source_totals source_totals(const Tributary__V1__Subscription__LossOfSource *from)
{
    return (struct tributary_source_totals){from->source,
                                            from->epoch,
                                            admin_totals(from->accepted),
                                            admin_totals(from->delivered),
                                            admin_totals(from->dropped),
                                            admin_totals(from->queued)};
}

bool admin_show_subscription(void (*each)(void *ctx, const struct tributary_subscription *subscription),
                             void *ctx, const Tributary__V1__Subscription *from)
{
    struct tributary_loss_totals *losses = calloc(from->n_losses + 1, sizeof(*losses));
    struct tributary_source_totals *sources = calloc(from->n_sources + 1, sizeof(*sources));
    const bool allocated = losses && sources;

    if (allocated) {
        for (size_t i = 0; i < from->n_losses; i++)
            losses[i] = (struct tributary_loss_totals){(int)from->losses[i]->reason,
                                                       admin_totals(from->losses[i]->lost)};
        for (size_t i = 0; i < from->n_sources; i++)
            sources[i] = source_totals(from->sources[i]);

        const struct tributary_subscription subscription = {
            .id = from->id,
            .name = from->name,
            .peer = from->peer,
            .started_unix_nano = from->started_unix_nano,
            .settings = settings(from->settings),
            .accepted = admin_totals(from->accepted),
            .delivered = admin_totals(from->delivered),
            .dropped = admin_totals(from->dropped),
            .queued = admin_totals(from->queued),
            .losses = losses,
            .loss_count = from->n_losses,
            .sources = sources,
            .source_count = from->n_sources,
            .others =
                from->others ? source_totals(from->others) : (struct tributary_source_totals){.source = ""},
            .producers_matched = from->producers_matched,
            .blocked = from->blocked != 0,
            .fallback_active = from->fallback_active != 0,
            .draining = from->draining != 0,
            .sorted_late = from->sorted_late,
            .sort_full = from->sort_full,
        };

        each(ctx, &subscription);
    }
    free(losses);
    free(sources);
    return allocated;
}

static bool show_subscriptions(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    const Tributary__V1__ListSubscriptionsResponse *answer = (const void *)message;
    const struct tributary_subscriptions_query *query = ctx;

    *next_out = answer->next_page_token;
    for (size_t i = 0; i < answer->n_subscriptions; i++)
        if (!admin_show_subscription(query->each, query->ctx, answer->subscriptions[i]))
            return false;
    return true;
}

enum tributary_code tributary_subscriptions(struct tributary *client,
                                            const struct tributary_subscriptions_query *query,
                                            struct tributary_status *status)
{
    Tributary__V1__ListSubscriptionsRequest request = TRIBUTARY__V1__LIST_SUBSCRIPTIONS_REQUEST__INIT;
    const struct admin_walk walk = {.client = client,
                                    .method = {"/tributary.v1.Admin/ListSubscriptions", query->timeout_ns},
                                    .request = &request.base,
                                    .page_token = &request.page_token,
                                    .answer_type = &tributary__v1__list_subscriptions_response__descriptor,
                                    .show = show_subscriptions,
                                    .ctx = query};

    request.page_size = query->sources ? PAGE_SIZE_WITH_SOURCES : PAGE_SIZE;
    request.sources = query->sources;
    return admin_walk_run(&walk, status);
}

enum tributary_code tributary_kick(struct tributary *client, const struct tributary_kick *kick,
                                   struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/Disconnect", kick->timeout_ns};
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__DisconnectRequest request = TRIBUTARY__V1__DISCONNECT_REQUEST__INIT;
    struct tributary_status local_status;
    ProtobufCMessage *answer = NULL;

    status = status ? status : &local_status;
    request.subscription_id = admin_text(kick->subscription_id);
    request.reason = admin_text(kick->reason);
    request.drain = kick->drain;
    if (kick->drain_ns > 0) {
        duration.seconds = kick->drain_ns / NS_PER_S;
        duration.nanos = (int32_t)(kick->drain_ns % NS_PER_S);
    }
    if (kick->drain_ns != 0)
        request.deadline = &duration;
    answer = admin_call(client, &method, &request.base, &tributary__v1__subscription__descriptor, status);
    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    return status->code;
}
