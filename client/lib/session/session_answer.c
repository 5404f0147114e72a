/* session_answer.c - see session_answer.h. Callbacks are called without the lock. */
#include "client/lib/session/session_answer.h"

#include <stdio.h>

#include "client/lib/core/status.h"
#include "client/lib/session/send_queue.h"

#define MAX_RANGES 64u

static struct batch *batch_of(struct list *node)
{
    return container_of(node, struct batch, node);
}

static bool is_shared(const struct batch *batch)
{
    return batch->queue->id == SHARED_QUEUE;
}

bool session_may_send(const struct tributary_session *session)
{
    const struct send_queue *shared =
        session->numbering.on ? send_queue_find_any(session, SHARED_QUEUE) : NULL;
    const struct batch *next = shared && !list_empty(&shared->queued) ? batch_of(shared->queued.next) : NULL;

    if (session->unanswered >= session->options.window)
        return false;
    return numbering_may_send(&session->numbering, next, session->unanswered == 0);
}

/* Counts a message as confirmed or dropped, and releases it. */
static void complete(struct tributary_session *session, struct batch *batch, bool confirmed)
{
    uint64_t activation = 0;
    bool writable = false;

    list_remove(&batch->node);
    session->unanswered -= is_shared(batch);
    pthread_mutex_lock(&session->lock);
    writable = send_queues_complete(session, batch, confirmed, &activation);
    pthread_mutex_unlock(&session->lock);
    if (writable && session->callbacks.writable)
        session->callbacks.writable(session->callbacks.ctx, activation);
}

static void report(struct tributary_session *session, const Tributary__V1__RegisterResponse__Confirm *command,
                   struct tributary_confirmed *confirmed)
{
    struct tributary_stored_range ranges[MAX_RANGES];

    confirmed->ranges = ranges;
    confirmed->range_count = MIN_OF(command->n_ranges, MAX_RANGES);
    for (size_t i = 0; i < confirmed->range_count; i++) {
        const Tributary__V1__StoredRange *range = command->ranges[i];

        ranges[i] = (struct tributary_stored_range){.topic = range->topic,
                                                    .epoch = range->epoch,
                                                    .first_sequence = range->first_sequence,
                                                    .last_sequence = range->last_sequence};
    }
    session->callbacks.confirmed(session->callbacks.ctx, confirmed);
}

void session_confirmed(struct tributary_session *session,
                       const Tributary__V1__RegisterResponse__Confirm *command)
{
    struct tributary_confirmed confirmed = {.duplicates = command->duplicates};
    struct list *node = NULL;

    if (session->stream.cancelled) /* what is still in `sent` may have been refused */
        return;
    while ((node = list_first(&session->sent)) && batch_of(node)->number <= command->message) {
        struct batch *batch = batch_of(node);

        if (is_shared(batch)) {
            confirmed.first_event = confirmed.first_event > 0 ? confirmed.first_event : batch->first_event;
            confirmed.last_event = batch->first_event + batch->events - 1;
        }
        complete(session, batch, true);
    }
    pthread_mutex_lock(&session->lock);
    session->stats.duplicates += command->duplicates;
    pthread_mutex_unlock(&session->lock);
    if (!session->numbering.on || confirmed.last_event == 0)
        return;
    session->attempt = 0;
    numbering_confirmed(&session->numbering);
    if (session->callbacks.confirmed)
        report(session, command, &confirmed);
}

/* Ends the stream, and the session with it. */
static void doom(struct tributary_session *session, const struct tributary_refused *refusal)
{
    if (session->is_doomed)
        return;
    session->is_doomed = true;
    status_set(&session->doom, refusal->code, refusal->message);
    snprintf(session->doom.reason, sizeof(session->doom.reason), "%s", refusal->reason);
    stream_cancel(&session->stream, TRIBUTARY_CANCELLED, refusal->message);
}

static void refuse(struct tributary_session *session, struct batch *batch, struct tributary_refused *refused)
{
    refused->first_event = batch->first_event;
    refused->last_event = batch->first_event + batch->events - 1;
    refused->outcome_unknown = batch->unsure;
    if (session->callbacks.refused)
        session->callbacks.refused(session->callbacks.ctx, refused);
    complete(session, batch, false);
}

/* Puts a shared message back into its queue, where it has its place by its events. */
static void requeue(struct tributary_session *session, struct batch *batch)
{
    list_remove(&batch->node);
    session->unanswered--;
    pthread_mutex_lock(&session->lock);
    send_queues_requeue(session, batch);
    send_queue_touch(session, batch->queue);
    pthread_mutex_unlock(&session->lock);
}

/* What was sent on an earlier stream, and is behind a hole now, cannot keep its number. */
static void look_behind_hole(struct tributary_session *session)
{
    static const struct tributary_refused refusal = {
        .code = TRIBUTARY_ABORTED,
        .reason = "",
        .message = "the connection was lost behind a refused message, and the chosen life is not raised"};
    struct send_queue *shared = NULL;

    if (!session->numbering.has_hole)
        return;
    pthread_mutex_lock(&session->lock);
    shared = send_queue_find_any(session, SHARED_QUEUE);
    if (shared) {
        list_each(node, safe, &shared->queued) {
            if (batch_of(node)->first_number > 0)
                numbering_lost(&session->numbering, batch_of(node));
        }
    }
    pthread_mutex_unlock(&session->lock);
    if (session->numbering.is_stuck)
        doom(session, &refusal);
}

void session_refused(struct tributary_session *session,
                     const Tributary__V1__RegisterResponse__Refused *command)
{
    struct tributary_refused refused = {
        .code = (enum tributary_code)command->code, .reason = command->reason, .message = command->text};
    struct list *node = session->sent.next;

    if (session->stream.cancelled)
        return;
    while (node != &session->sent && batch_of(node)->number < command->message)
        node = node->next;
    if (node == &session->sent || batch_of(node)->number != command->message || !is_shared(batch_of(node)))
        return;
    switch (numbering_refused(&session->numbering, batch_of(node), refused.code, refused.reason)) {
    case NUMBERING_REFUSE:
        refuse(session, batch_of(node), &refused);
        break;
    case NUMBERING_AGAIN:
        requeue(session, batch_of(node));
        break;
    case NUMBERING_LATER:
        stream_cancel(&session->stream, TRIBUTARY_UNAVAILABLE, refused.message);
        break;
    case NUMBERING_FAIL:
        refuse(session, batch_of(node), &refused);
        doom(session, &refused);
        break;
    }
    look_behind_hole(session);
}

void session_requeue_sent(struct tributary_session *session)
{
    struct list *node = NULL;

    while ((node = list_first(&session->sent))) {
        struct batch *batch = batch_of(node);

        list_remove(node);
        if (is_shared(batch))
            numbering_lost(&session->numbering, batch);
        pthread_mutex_lock(&session->lock);
        send_queues_requeue(session, batch);
        pthread_mutex_unlock(&session->lock);
    }
    session->unanswered = 0;
    look_behind_hole(session);
}
