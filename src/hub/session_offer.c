/* session_offer.c - what a session publishes and reports. */
#include "base/base.h"
#include "hub/activation_table.h"
#include "hub/session.h"
#include "route/offer.h"

enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk,
                       struct put_waiter *waiter, struct offer *offer_out)
{
    OWNED(session_release) struct session *held = session_retain(session);

    return session->kind->offer(session, activation, chunk, waiter, offer_out);
}

void session_give_up(struct session *session, const struct put_waiter *waiter)
{
    inlet_give_up(&session->producer.inlet, waiter);
}

void session_unblocked(struct session *session)
{
    inlet_unblocked(&session->producer.inlet);
    session_release(session);
}

void session_end(struct session *session, uint64_t number, uint32_t code, const char *message)
{
    struct ready_list *list = session->ready.list;
    struct activation *activation;

    pthread_mutex_lock(&session->lock);
    activation = activation_table_find(session, number);
    pthread_mutex_unlock(&session->lock);
    if (activation)
        activation_ended_by_producer(activation, code, message);
    ready_run(list);
}
