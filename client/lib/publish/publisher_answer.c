/* publisher_answer.c - what the server answers to a publisher, and what becomes of the messages
 * that a lost stream leaves without an answer. Client thread. */
#include "client/lib/publish/publisher.h"

#include <stdio.h>

#include "client/lib/core/status.h"
#include "tributary/v1/publisher.pb-c.h"

#define MAX_RANGES 64u

static struct batch *batch_of(struct list *node)
{
    return container_of(node, struct batch, node);
}

void publisher_refuse(struct tributary_publisher *publisher, struct batch *batch,
                      const struct tributary_refused *refusal)
{
    struct tributary_refused refused = *refusal;

    refused.first_event = batch->first_event;
    refused.last_event = batch->first_event + batch->events - 1;
    refused.outcome_unknown = batch->unsure;
    if (publisher->options.refused)
        publisher->options.refused(publisher->options.ctx, &refused);
    publisher_complete(publisher, batch, false);
}

/* Ends the stream, and the publisher with it. */
static void doom(struct tributary_publisher *publisher, const struct tributary_refused *refusal)
{
    if (publisher->is_doomed)
        return;
    publisher->is_doomed = true;
    status_format(&publisher->doom, refusal->code, "%s", refusal->message);
    snprintf(publisher->doom.reason, sizeof(publisher->doom.reason), "%s", refusal->reason);
    stream_cancel(&publisher->stream, TRIBUTARY_CANCELLED, refusal->message);
}

/* Ends the stream: everything unanswered is sent again on the next one, after a pause. */
static void try_later(struct tributary_publisher *publisher, const struct tributary_refused *refusal)
{
    if (!publisher->store_fails)
        publisher->lost_ns = clock_mono_ns();
    publisher->store_fails = true;
    stream_cancel(&publisher->stream, TRIBUTARY_UNAVAILABLE, refusal->message);
}

/* Puts a message into `resend`, where it has its place by its events. */
static void requeue(struct tributary_publisher *publisher, struct batch *batch)
{
    struct list *behind = publisher->resend.next;

    while (behind != &publisher->resend && batch_of(behind)->first_event < batch->first_event)
        behind = behind->next;
    list_append(behind, &batch->node);
}

/* A message of `sent` was refused. False: it stays without an answer, and the stream ends. */
static bool refused_one(struct tributary_publisher *publisher, struct batch *batch,
                        const struct tributary_refused *refusal)
{
    switch (numbering_refused(&publisher->numbering, batch, refusal->code, refusal->reason)) {
    case NUMBERING_REFUSE:
        publisher->unanswered--;
        publisher_refuse(publisher, batch, refusal);
        return true;
    case NUMBERING_AGAIN:
        publisher->unanswered--;
        list_remove(&batch->node);
        requeue(publisher, batch);
        return true;
    case NUMBERING_FAIL:
        publisher->unanswered--;
        publisher_refuse(publisher, batch, refusal);
        doom(publisher, refusal);
        return false;
    case NUMBERING_LATER:
        break;
    }
    try_later(publisher, refusal);
    return false;
}

/* Refuses the messages that an answer names. The server names them in their order, so one walk
 * over `sent` finds all of them. Returns up to which message the answer is complete: behind it the
 * stream is being ended. */
static uint64_t refuse_named(struct tributary_publisher *publisher,
                             const Tributary__V1__PublishStreamResponse *answer)
{
    struct list *node = publisher->sent.next;
    uint64_t latest = 0;

    for (size_t i = 0; i < answer->n_refused; i++) {
        const Tributary__V1__PublishStreamResponse__Refused *refused = answer->refused[i];
        const struct tributary_refused refusal = {.code = (enum tributary_code)refused->code,
                                                  .reason = refused->reason,
                                                  .message = refused->message};

        if (refused->batch < latest)
            node = publisher->sent.next;
        latest = refused->batch;
        while (node != &publisher->sent && batch_of(node)->number < refused->batch)
            node = node->next;
        if (node == &publisher->sent)
            continue;
        struct batch *batch = batch_of(node);
        if (batch->number != refused->batch)
            continue;
        node = node->next;
        if (!refused_one(publisher, batch, &refusal))
            return refused->batch - 1;
    }
    return UINT64_MAX;
}

/* Reports what an answer confirms. */
static void report(struct tributary_publisher *publisher, const Tributary__V1__PublishStreamResponse *answer,
                   struct tributary_confirmed *confirmed)
{
    struct tributary_stored_range ranges[MAX_RANGES];

    if (confirmed->last_event == 0 || !publisher->options.confirmed)
        return;
    confirmed->ranges = ranges;
    confirmed->range_count = MIN_OF(answer->n_ranges, MAX_RANGES);
    for (size_t i = 0; i < confirmed->range_count; i++) {
        const Tributary__V1__StoredRange *range = answer->ranges[i];

        ranges[i] = (struct tributary_stored_range){.topic = range->topic,
                                                    .epoch = range->epoch,
                                                    .first_sequence = range->first_sequence,
                                                    .last_sequence = range->last_sequence};
    }
    publisher->options.confirmed(publisher->options.ctx, confirmed);
}

static void confirm(struct tributary_publisher *publisher, uint64_t last_batch,
                    const Tributary__V1__PublishStreamResponse *answer)
{
    struct tributary_confirmed confirmed = {
        .duplicates = answer->duplicates - MIN_OF(publisher->stream_duplicates, answer->duplicates)};
    struct list *node = NULL;

    publisher->stream_duplicates = answer->duplicates;
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.epoch = answer->epoch;
    publisher->stats.last_sequence = answer->last_sequence;
    publisher->stats.duplicates += confirmed.duplicates;
    pthread_mutex_unlock(&publisher->lock);
    while ((node = list_first(&publisher->sent)) && batch_of(node)->number <= last_batch) {
        struct batch *batch = batch_of(node);

        if (confirmed.first_event == 0)
            confirmed.first_event = batch->first_event;
        confirmed.last_event = batch->first_event + batch->events - 1;
        publisher->unanswered--;
        publisher_complete(publisher, batch, true);
    }
    if (confirmed.last_event == 0)
        return;
    publisher->store_fails = false;
    publisher->attempt = 0;
    numbering_confirmed(&publisher->numbering);
    report(publisher, answer, &confirmed);
}

/* What was sent on an earlier stream, and is behind a hole now, cannot keep its number. */
static void look_behind_hole(struct tributary_publisher *publisher)
{
    static const struct tributary_refused refusal = {
        .code = TRIBUTARY_ABORTED,
        .reason = "",
        .message = "the connection was lost behind a refused message, and the chosen life is not raised"};

    if (!publisher->numbering.has_hole)
        return;
    list_each(node, safe, &publisher->resend) {
        if (batch_of(node)->first_number > 0)
            numbering_lost(&publisher->numbering, batch_of(node));
    }
    if (publisher->numbering.is_stuck)
        doom(publisher, &refusal);
}

bool publisher_answered(struct tributary_publisher *publisher, struct bytes message)
{
    Tributary__V1__PublishStreamResponse *answer =
        tributary__v1__publish_stream_response__unpack(NULL, message.size, message.data);

    if (!answer)
        return false;
    if (!publisher->store_fails)
        publisher->attempt = 0;
    if (!publisher->stream.cancelled) {
        const uint64_t complete = refuse_named(publisher, answer);

        confirm(publisher, MIN_OF(answer->confirmed_batch, complete), answer);
    }
    look_behind_hole(publisher);
    tributary__v1__publish_stream_response__free_unpacked(answer, NULL);
    return true;
}

void publisher_requeue_sent(struct tributary_publisher *publisher)
{
    struct list *node = NULL;

    publisher->unanswered = 0;
    while ((node = list_first(&publisher->sent))) {
        numbering_lost(&publisher->numbering, batch_of(node));
        list_remove(node);
        requeue(publisher, batch_of(node));
    }
    look_behind_hole(publisher);
}
