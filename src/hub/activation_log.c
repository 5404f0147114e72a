/* activation_log.c - what the log says of activations. */
#include "hub/activation_log.h"

#include "base/log.h"
#include "hub/activation_internal.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"

void activation_log_started(const struct activation *activation)
{
    const struct session *session = activation->session;

    log_write(LOG_INFO, "activation.started",
              LOG_BYTES("producer", source_name(session->producer.inlet.source)),
              LOG_TEXT("subscription", activation->subscription->id_text),
              LOG_NUMBER("activation", activation->own.number),
              LOG_NUMBER("epoch", activation->route.inlet->source->epoch));
}

void activation_log_stopping(const struct activation *activation)
{
    const struct session *session = activation->session;

    log_write(LOG_INFO, "activation.stopping",
              LOG_BYTES("producer", source_name(session->producer.inlet.source)),
              LOG_TEXT("subscription", activation->subscription->id_text),
              LOG_NUMBER("activation", activation->own.number),
              LOG_TEXT("reason", fault_reason_name(activation->ctx.reason)));
}

void activation_log_end(const struct activation *activation, const struct ending *ending, bool was_expired)
{
    const struct session *session = activation->session;
    const struct inlet *inlet = activation->route.inlet;

    if (was_expired)
        log_write(LOG_WARN, "activation.expired", LOG_BYTES("producer", source_name(inlet->source)),
                  LOG_TEXT("subscription", activation->subscription->id_text),
                  LOG_NUMBER("activation", activation->own.number), LOG_TEXT("peer", session->producer.peer));
    log_write(LOG_INFO, "activation.ended", LOG_BYTES("producer", source_name(inlet->source)),
              LOG_TEXT("subscription", activation->subscription->id_text),
              LOG_NUMBER("activation", activation->own.number),
              LOG_TEXT("reason", ending->reason != FAULT_NONE ? fault_reason_name(ending->reason) : "ENDED"),
              LOG_TEXT("code", fault_code_name((enum fault_code)ending->code)),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes));
}

void activation_log_failed(const struct activation *activation, const char *event, const char *reason)
{
    log_write(LOG_WARN, event, LOG_BYTES("producer", source_name(activation->session->producer.inlet.source)),
              LOG_TEXT("subscription", activation->subscription->id_text), LOG_TEXT("reason", reason));
}
