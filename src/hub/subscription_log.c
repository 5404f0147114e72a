/* subscription_log.c - the log lines of a subscription, and its changes for those who read them. */
#include "hub/subscription_log.h"

#include "base/log.h"
#include "flow/chan_stats.h"
#include "hub/change_log.h"
#include "hub/hub_parts.h"
#include "hub/subscription_internal.h"

static const char *const closing_names[] = {
    [CLOSING_SERVER_DRAINING] = "SERVER_DRAINING",
    [CLOSING_FINISHED] = "FINISHED",
    [CLOSING_DISCONNECTED] = "DISCONNECTED",
    [CLOSING_ALL_ENDED] = "ALL_ENDED",
    [CLOSING_CAUGHT_UP] = "CAUGHT_UP",
};

static void add_change(const struct subscription *subscription, enum change_kind kind, const char *reason)
{
    change_log_add(hub_change_log(subscription->hub),
                   &(struct change){.kind = kind,
                                    .is_subscription = true,
                                    .name = subscription->id.key,
                                    .peer = subscription->peer,
                                    .reason = reason,
                                    .own_name = subscription->name,
                                    .started_wall_ns = subscription->started_wall_ns});
}

void subscription_log_added(struct subscription *subscription)
{
    subscription->is_added = true;
    add_change(subscription, CHANGE_ADDED, NULL);
    log_write(LOG_INFO, "subscription.added", LOG_TEXT("subscription", subscription->id_text),
              LOG_BYTES("name", subscription->name), LOG_TEXT("peer", subscription->peer),
              LOG_NUMBER("producers", subscription_producers(subscription)));
}

void subscription_log_draining(const struct subscription *subscription)
{
    log_write(LOG_INFO, "subscription.draining", LOG_TEXT("subscription", subscription->id_text),
              LOG_TEXT("reason", closing_names[subscription->closing]));
}

void subscription_log_ended(const struct subscription *subscription)
{
    struct chan_stats stats;
    const char *text = fault_reason_name(subscription->left_reason);

    if (subscription->left_reason == FAULT_NONE)
        text = subscription->closing != 0 ? closing_names[subscription->closing] : "ENDED";
    chan_stats(subscription->chan, &stats);
    log_write(LOG_INFO, "subscription.ended", LOG_TEXT("subscription", subscription->id_text),
              LOG_BYTES("name", subscription->name), LOG_TEXT("peer", subscription->peer),
              LOG_TEXT("reason", text), LOG_NUMBER("accepted", stats.accepted.events),
              LOG_NUMBER("delivered", stats.delivered.events),
              LOG_NUMBER("dropped", chan_dropped(&stats).events), LOG_NUMBER("queued", stats.queued.events),
              LOG_NUMBER("expired", subscription->expired_activations));
    if (subscription->is_added)
        add_change(subscription, CHANGE_REMOVED, text);
}
