/* model.c - see model.h. */
#include "model.h"

#include <criterion/criterion.h>
#include <string.h>

static struct tally *plus(struct tally *tally, uint64_t events, uint64_t bytes)
{
    tally->events += events;
    tally->bytes += bytes;
    return tally;
}

static void append(struct model_line *line, const struct model_event *event)
{
    cr_assert_lt(line->count, MODEL_MOST);
    line->events[line->count++] = *event;
}

static struct model_event pull(struct model_line *line, uint32_t at)
{
    struct model_event event = line->events[at];

    memmove(&line->events[at], &line->events[at + 1], (--line->count - at) * sizeof(event));
    return event;
}

struct tally model_line_tally(const struct model_line *line, uint32_t feed)
{
    struct tally tally = {0};

    for (uint32_t i = 0; i < line->count; i++)
        if (feed == MODEL_FEEDS || line->events[i].feed == feed)
            plus(&tally, 1, line->events[i].size);
    return tally;
}

bool model_is_parked(const struct model *model, uint32_t put)
{
    for (uint32_t i = 0; i < model->parked.count; i++)
        if (model->parked.events[i].put == put)
            return true;
    return false;
}

static void note(struct model *model, uint32_t feed, enum loss reason, uint64_t first, uint64_t last, uint64_t bytes)
{
    struct lost_note *untold = &model->feeds[feed].untold[reason];

    untold->first_sequence = untold->count == 0 ? first : MIN_OF(untold->first_sequence, first);
    untold->last_sequence = untold->count == 0 ? last : MAX_OF(untold->last_sequence, last);
    untold->count += last - first + 1;
    untold->bytes += bytes;
}

static void drop(struct model *model, struct model_event event, enum loss reason)
{
    plus(&model->dropped[reason], 1, event.size);
    plus(&model->feeds[event.feed].dropped, 1, event.size);
    if (reason != LOSS_CONSUMER_GONE)
        note(model, event.feed, reason, event.sequence, event.sequence, event.size);
}

static void accept(struct model *model, const struct model_event *event)
{
    plus(&model->accepted, 1, event->size);
    plus(&model->feeds[event->feed].accepted, 1, event->size);
}

static void admit(struct model *model, struct model_event event)
{
    accept(model, &event);
    append(&model->waiting, &event);
}

static bool fits(const struct model *model, const struct model_event *event)
{
    struct tally waiting = model_line_tally(&model->waiting, MODEL_FEEDS);

    return waiting.events == 0 || (waiting.events < model->limits.max_events && waiting.bytes + event->size <= model->limits.max_bytes);
}

static void settle(struct model *model)
{
    struct tally waiting = model_line_tally(&model->waiting, MODEL_FEEDS);

    if (waiting.events > model->limits.max_events / 2 || waiting.bytes > model->limits.max_bytes / 2)
        return;
    model->latched = false;
    while (model->parked.count > 0 && fits(model, &model->parked.events[0]))
        admit(model, pull(&model->parked, 0));
}

/* Too much for the room outside of the bounds. */
static bool parking_full(const struct model *model, const struct model_event *events, uint32_t count)
{
    uint64_t bytes = model_line_tally(&model->parked, MODEL_FEEDS).bytes;

    for (uint32_t i = 0; i < count; i++)
        bytes += events[i].size;
    return bytes > MAX_OF(model->limits.max_bytes, UINT64_C(1) << 20);
}

static uint32_t front_of(const struct model_line *line, uint32_t feed)
{
    for (uint32_t i = 0; i < line->count; i++)
        if (line->events[i].feed == feed)
            return i;
    cr_assert_fail("feed %u has nothing waiting", feed);
    return 0;
}

/* The one that holds the most. The test sees to it that no two hold equally much. */
static uint32_t heaviest(const struct model *model)
{
    uint32_t best = 0;
    uint64_t best_bytes = 0;

    for (uint32_t i = 0; i < MODEL_FEEDS; i++) {
        uint64_t bytes = model_line_tally(&model->waiting, i).bytes;

        cr_assert(bytes == 0 || bytes != best_bytes);
        if (bytes > best_bytes) {
            best = i;
            best_bytes = bytes;
        }
    }
    return best;
}

static void trim(struct model *model, enum loss reason)
{
    for (;;) {
        struct tally waiting = model_line_tally(&model->waiting, MODEL_FEEDS);

        if (waiting.events <= model->limits.max_events && (waiting.bytes <= model->limits.max_bytes || waiting.events == 1))
            return;
        drop(model, pull(&model->waiting, front_of(&model->waiting, heaviest(model))), reason);
    }
}

static void apply(struct model *model, enum overflow overflow, const struct model_event *events, uint32_t count)
{
    uint32_t i = 0;

    if (overflow == OVERFLOW_DROP_OLDEST) {
        while (i < count)
            admit(model, events[i++]);
        trim(model, model->latched ? LOSS_BLOCK_TIMEOUT : LOSS_OVERFLOW_OLDEST);
        return;
    }
    while (i < count && model->state == CHAN_OPEN && fits(model, &events[i]))
        admit(model, events[i++]);
    if (i < count && overflow == OVERFLOW_DISCONNECT)
        model->state = CHAN_BROKEN;
    for (; i < count; i++) {
        accept(model, &events[i]);
        drop(model, events[i], model->latched ? LOSS_BLOCK_TIMEOUT : LOSS_OVERFLOW_NEWEST);
    }
}

static void latch(struct model *model)
{
    static struct model_event events[MODEL_MOST];

    model->latched = true;
    while (model->parked.count > 0) {
        uint32_t count = 0, put = model->parked.events[0].put;

        while (model->parked.count > 0 && model->parked.events[0].put == put)
            events[count++] = pull(&model->parked, 0);
        apply(model, model->limits.fallback, events, count);
    }
}

void model_latch(struct model *model)
{
    if (model->parked.count == 0)
        return;
    latch(model);
    settle(model);
}

enum err model_put(struct model *model, const struct model_event *events, uint32_t count)
{
    uint32_t i = 0;

    if (model->state != CHAN_OPEN)
        return ERR_CLOSED;
    model->feeds[events[0].feed].routed = events[count - 1].sequence;
    if (model->limits.max_age_ns > 0) {
        while (model->waiting.count > 0 && model->waiting.events[0].old)
            drop(model, pull(&model->waiting, 0), LOSS_EXPIRED);
        settle(model);
    }
    if (model->limits.overflow != OVERFLOW_BLOCK) {
        apply(model, model->limits.overflow, events, count);
        return ERR_OK;
    }
    if (!model->latched) {
        while (i < count && model->parked.count == 0 && fits(model, &events[i]))
            admit(model, events[i++]);
        if (i == count)
            return ERR_OK;
        if (model->limits.block_timeout_ns > 0 && !parking_full(model, &events[i], count - i)) {
            for (; i < count; i++)
                append(&model->parked, &events[i]);
            return ERR_AGAIN;
        }
        latch(model);
    }
    apply(model, model->limits.fallback, &events[i], count - i);
    settle(model);
    return ERR_OK;
}

bool model_take(struct model *model, uint32_t most_events, uint64_t most_bytes)
{
    uint64_t bytes = 0;

    while (model->waiting.count > 0) {
        struct model_event *event = &model->waiting.events[0];

        if (model->limits.max_age_ns > 0 && event->old) {
            drop(model, pull(&model->waiting, 0), LOSS_EXPIRED);
            continue;
        }
        if (model->flying.count == most_events || (model->flying.count > 0 && bytes + event->size > most_bytes))
            break;
        bytes += event->size;
        append(&model->flying, event);
        pull(&model->waiting, 0);
    }
    settle(model);
    return model->waiting.count > 0;
}

void model_land(struct model *model, enum loss reason)
{
    while (model->flying.count > 0) {
        struct model_event event = pull(&model->flying, 0);

        if (reason == 0)
            plus(&model->delivered, 1, event.size), plus(&model->feeds[event.feed].delivered, 1, event.size);
        else
            drop(model, event, reason);
    }
}

void model_drain(struct model *model)
{
    if (model->state != CHAN_OPEN)
        return;
    model->state = CHAN_DRAINING;
    model->latched = false;
    while (model->parked.count > 0)
        admit(model, pull(&model->parked, 0));
}

void model_close(struct model *model, enum loss reason)
{
    if (model->state == CHAN_CLOSED)
        return;
    model->state = CHAN_CLOSED;
    model->latched = false;
    while (model->parked.count > 0)
        admit(model, pull(&model->parked, 0));
    while (model->waiting.count > 0)
        drop(model, pull(&model->waiting, 0), reason);
}

void model_gap(struct model *model, uint32_t feed, uint64_t first, uint64_t last)
{
    note(model, feed, LOSS_RESUME_GAP, first, last, 0);
}

uint64_t model_position(const struct model *model, uint32_t feed)
{
    const struct model_line *lines[] = {&model->waiting, &model->parked};
    uint64_t position = model->feeds[feed].routed;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        for (uint32_t k = 0; k < lines[i]->count; k++)
            if (lines[i]->events[k].feed == feed)
                position = MIN_OF(position, lines[i]->events[k].sequence - 1);
    for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
        if (model->feeds[feed].untold[reason].count > 0)
            position = MIN_OF(position, model->feeds[feed].untold[reason].first_sequence - 1);
    return position;
}

bool model_has_more(const struct model *model, uint32_t feed)
{
    for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
        if (model->feeds[feed].untold[reason].count > 0)
            return true;
    return model_line_tally(&model->waiting, feed).events > 0 || model_line_tally(&model->parked, feed).events > 0;
}
