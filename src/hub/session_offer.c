/* session_offer.c - what a session publishes and reports. */
#include "base/base.h"
#include "hub/inlet_table.h"
#include "hub/session.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "route/offer.h"
#include "route/relay.h"

enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk,
                       struct put_waiter *waiter, struct offer *offer_out)
{
    OWNED(session_release) struct session *held = session_retain(session);

    return session->kind->offer(session, activation, chunk, waiter, offer_out);
}

/* The loop takes an activation out of the table before it frees it: so not while the lock is
 * held. */
static void lose_numbered(struct session *session, uint64_t number, const struct source_loss *loss)
{
    pthread_mutex_lock(&session->lock);
    struct numbered_inlet *numbered = session->is_over ? NULL : inlet_table_find(session, number);
    if (numbered && inlet_lose(&numbered->inlet, NULL, loss, false))
        totals_add(&session->lost, loss->count, loss->bytes);
    pthread_mutex_unlock(&session->lock);
}

void session_lose(struct session *session, uint64_t activation, const struct source_loss *loss)
{
    if (activation == 0)
        (void)inlet_lose(&session->producer.inlet, NULL, loss, false);
    else
        lose_numbered(session, activation, loss);
}

void session_give_up(struct session *session, uint64_t activation, const struct put_waiter *waiter)
{
    session->kind->give_up(session, activation, waiter);
}

/* An inlet that is not there any more needs no count. */
static void unblock_numbered(struct session *session, uint64_t number)
{
    pthread_mutex_lock(&session->lock);
    struct numbered_inlet *numbered = inlet_table_find(session, number);
    if (numbered)
        inlet_unblocked(&numbered->inlet);
    pthread_mutex_unlock(&session->lock);
}

void session_unblocked(struct session *session, uint64_t activation)
{
    inlet_unblocked(&session->producer.inlet);
    if (activation > 0)
        unblock_numbered(session, activation);
    session_release(session);
}

void session_end(struct session *session, uint64_t number, uint32_t code, const char *message,
                 enum session_end_rule rule)
{
    struct ready_list *list = session->ready.list;

    session->kind->end(session, number, code, message, rule);
    ready_run(list);
}

void session_report(struct session *session, uint64_t number, enum producer_state state, uint32_t code,
                    const char *message)
{
    CHECK(session->endpoint.is_endpoint);
    session->kind->report(session, number, state, code, message);
}
