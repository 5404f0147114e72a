/* chan_model.c - see chan_model.h. */
#include "chan_model.h"
#include "event/encode.h"
#include "flow/totals.h"

#include <criterion/criterion.h>
#include <string.h>

struct totals *model_plus(struct totals *totals, uint64_t events, uint64_t bytes)
{
    totals->events += events;
    totals->bytes += bytes;
    return totals;
}

void model_append(struct model_queue *queue, const struct model_event *event)
{
    cr_assert_lt(queue->count, MAX_MODEL);
    queue->events[queue->count++] = *event;
}

struct model_event model_pull(struct model_queue *queue, uint32_t at)
{
    struct model_event event = queue->events[at];

    memmove(&queue->events[at], &queue->events[at + 1], (--queue->count - at) * sizeof(event));
    return event;
}

struct totals model_queue_totals(const struct model_queue *queue, uint32_t feed)
{
    struct totals totals = {0};

    for (uint32_t i = 0; i < queue->count; i++)
        if (feed == MODEL_FEEDS || queue->events[i].feed == feed)
            model_plus(&totals, 1, queue->events[i].size);
    return totals;
}

bool model_is_parked(const struct model *model, uint32_t put)
{
    for (uint32_t i = 0; i < model->parked.count; i++)
        if (model->parked.events[i].put == put)
            return true;
    return false;
}

static void note(struct model *model, uint32_t feed, enum loss reason, uint64_t first, uint64_t last,
                 uint64_t bytes)
{
    struct lost_note *unreported = &model->feeds[feed].unreported[reason];

    unreported->first_sequence = unreported->count == 0 ? first : MIN_OF(unreported->first_sequence, first);
    unreported->last_sequence = unreported->count == 0 ? last : MAX_OF(unreported->last_sequence, last);
    unreported->count += last - first + 1;
    unreported->bytes += bytes;
}

void model_drop(struct model *model, struct model_event event, enum loss reason)
{
    model_plus(&model->dropped[reason], 1, event.size);
    model_plus(&model->feeds[event.feed].dropped, 1, event.size);
    if (reason != LOSS_CONSUMER_GONE)
        note(model, event.feed, reason, event.sequence, event.sequence, event.size);
}

void model_accept(struct model *model, const struct model_event *event)
{
    model_plus(&model->accepted, 1, event->size);
    model_plus(&model->feeds[event->feed].accepted, 1, event->size);
}

void model_admit(struct model *model, struct model_event event)
{
    model_accept(model, &event);
    model_append(&model->waiting, &event);
}

bool model_is_blocked(const struct model *model)
{
    for (uint32_t i = 0; i < model->parked.count; i++)
        if (!model->feeds[model->parked.events[i].feed].pausable)
            return true;
    return false;
}

uint32_t model_marked(struct model *model)
{
    uint32_t marked = model->marked;

    model->marked = 0;
    model->at_mark = false;
    return marked;
}

void model_mark(struct model *model, uint32_t mark)
{
    model->marks++;
    model->mark = mark;
}

void model_update_mark(struct model *model)
{
    const struct model_queue *queues[] = {&model->waiting, &model->parked};

    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        for (uint32_t k = 0; k < queues[i]->count; k++)
            if (queues[i]->events[k].marks < model->marks)
                return;
    if (model->mark > 0) {
        model->marked = model->mark;
        model->at_mark = true;
    }
    model->mark = 0;
}

uint32_t model_next(struct model *model)
{
    model_expire(model);
    return model->waiting.count > 0 ? model->waiting.events[0].size : 0;
}

bool model_dequeue(struct model *model, uint32_t max_events, uint64_t max_bytes)
{
    uint64_t bytes = 0;
    bool at_mark;

    for (model_update_mark(model); model->waiting.count > 0 && !model->at_mark; model_update_mark(model)) {
        struct model_event *event = &model->waiting.events[0];

        if (model->limits.max_age_ns > 0 && event->too_old) {
            model_drop(model, model_pull(&model->waiting, 0), LOSS_EXPIRED);
            continue;
        }
        if (model->in_flight.count == max_events ||
            (model->in_flight.count > 0 && bytes + event->size > max_bytes))
            break;
        bytes += event->size;
        model_append(&model->in_flight, event);
        model_pull(&model->waiting, 0);
    }
    model->share_bytes =
        model->parked.count > 0 ? MIN_OF(model->share_bytes + bytes / 2, model->limits.max_bytes) : 0;
    model_update(model);
    model_update_mark(model);
    at_mark = model->at_mark;
    model->at_mark = false;
    return model->waiting.count > 0 || at_mark;
}

void model_complete(struct model *model, enum loss reason)
{
    while (model->in_flight.count > 0) {
        struct model_event event = model_pull(&model->in_flight, 0);

        if (reason == 0)
            model_plus(&model->delivered, 1, event.size),
                model_plus(&model->feeds[event.feed].delivered, 1, event.size);
        else
            model_drop(model, event, reason);
    }
}

void model_drain(struct model *model)
{
    if (model->state != CHAN_OPEN)
        return;
    model->state = CHAN_DRAINING;
    model->fallback_active = false;
    while (model->parked.count > 0)
        model_admit(model, model_pull(&model->parked, 0));
}

void model_close(struct model *model, enum loss reason)
{
    if (model->state == CHAN_CLOSED)
        return;
    model->state = CHAN_CLOSED;
    model->fallback_active = false;
    while (model->parked.count > 0)
        model_admit(model, model_pull(&model->parked, 0));
    while (model->waiting.count > 0)
        model_drop(model, model_pull(&model->waiting, 0), reason);
}

void model_gap(struct model *model, uint32_t feed, uint64_t first, uint64_t last)
{
    note(model, feed, LOSS_RESUME_GAP, first, last, 0);
}

uint64_t model_position(const struct model *model, uint32_t feed)
{
    const struct model_queue *queues[] = {&model->waiting, &model->parked};
    uint64_t position = model->feeds[feed].routed;

    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        for (uint32_t k = 0; k < queues[i]->count; k++)
            if (queues[i]->events[k].feed == feed)
                position = MIN_OF(position, queues[i]->events[k].sequence - 1);
    for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
        if (model->feeds[feed].unreported[reason].count > 0)
            position = MIN_OF(position, model->feeds[feed].unreported[reason].first_sequence - 1);
    return position;
}

bool model_has_more(const struct model *model, uint32_t feed)
{
    for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
        if (model->feeds[feed].unreported[reason].count > 0)
            return true;
    return model_queue_totals(&model->waiting, feed).events > 0 ||
           model_queue_totals(&model->parked, feed).events > 0;
}
