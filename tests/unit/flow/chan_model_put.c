/* chan_model_put.c - see chan_model.h: the bounds, the policies, parking. */
#include <criterion/criterion.h>

#include "chan_model.h"
#include "flow/totals.h"

static bool fits(const struct model *model, const struct model_event *event)
{
    struct totals waiting = model_queue_totals(&model->waiting, MODEL_FEEDS);

    return waiting.events == 0 || (waiting.events < model->limits.max_events &&
                                   waiting.bytes + event->size <= model->limits.max_bytes);
}

/* How many of the parked events at `at` came together. */
static uint32_t group(const struct model *model, uint32_t at)
{
    uint32_t count = 0;

    while (at + count < model->parked.count &&
           model->parked.events[at + count].put == model->parked.events[at].put)
        count++;
    return count;
}

/* Admits as many of the parked events at `at` that came together as fit. True: all of them. */
static bool admit_fitting(struct model *model, uint32_t at)
{
    for (uint32_t left = group(model, at); left > 0; left--) {
        if (!fits(model, &model->parked.events[at]))
            return false;
        model_admit(model, model_pull(&model->parked, at));
    }
    return true;
}

static bool let_all_in(struct model *model)
{
    while (model->parked.count > 0)
        if (!admit_fitting(model, 0))
            return false;
    return true;
}

void model_update(struct model *model)
{
    struct totals waiting = model_queue_totals(&model->waiting, MODEL_FEEDS);

    if (waiting.events > model->limits.max_events / 2 || waiting.bytes > model->limits.max_bytes / 2)
        return;
    model->fallback_active = false;
    (void)let_all_in(model);
}

static uint64_t bytes_of(const struct model_event *events, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += events[i].size;
    return bytes;
}

/* More than shared feeds may have parked. */
static bool parked_full(const struct model *model, const struct model_event *events, uint32_t count)
{
    uint64_t bytes = bytes_of(events, count);

    for (uint32_t i = 0; i < MODEL_FEEDS; i++)
        if (!model->feeds[i].pausable)
            bytes += model_queue_totals(&model->parked, i).bytes;
    return bytes > MAX_OF(model->limits.max_bytes, UINT64_C(1) << 20);
}

static uint32_t front_of(const struct model_queue *queue, uint32_t feed)
{
    for (uint32_t i = 0; i < queue->count; i++)
        if (queue->events[i].feed == feed)
            return i;
    cr_assert_fail("feed %u has nothing waiting", feed);
    return 0;
}

/* The feed with most bytes waiting. The test makes sure that no two have the same. */
static uint32_t heaviest(const struct model *model)
{
    uint32_t best = 0;
    uint64_t best_bytes = 0;

    for (uint32_t i = 0; i < MODEL_FEEDS; i++) {
        uint64_t bytes = model_queue_totals(&model->waiting, i).bytes;

        cr_assert(bytes == 0 || bytes != best_bytes);
        if (bytes > best_bytes) {
            best = i;
            best_bytes = bytes;
        }
    }
    return best;
}

static bool trim(struct model *model, enum loss reason)
{
    for (bool trimmed = false;; trimmed = true) {
        struct totals waiting = model_queue_totals(&model->waiting, MODEL_FEEDS);

        if (waiting.events <= model->limits.max_events &&
            (waiting.bytes <= model->limits.max_bytes || waiting.events == 1))
            return trimmed;
        model_drop(model, model_pull(&model->waiting, front_of(&model->waiting, heaviest(model))), reason);
    }
}

/* The first parked event is admitted until its feed weighs half way to the heaviest, or until the
 * share of parked events is used up. */
static void share(struct model *model, enum loss reason)
{
    while (model->parked.count > 0 && model->feeds[model->parked.events[0].feed].pausable) {
        uint64_t max = model_queue_totals(&model->waiting, heaviest(model)).bytes;
        uint64_t mine = model_queue_totals(&model->waiting, model->parked.events[0].feed).bytes;
        uint64_t min = MIN_OF(model->share_bytes, (max - mine) / 2);
        uint32_t max_count = group(model, 0), count = 0;

        while (count < max_count && bytes_of(model->parked.events, count + 1) <= min)
            count++;
        if (count == 0)
            return;
        model->share_bytes -= bytes_of(model->parked.events, count);
        while (count-- > 0)
            model_admit(model, model_pull(&model->parked, 0));
        (void)trim(model, reason);
    }
}

static enum loss reason_of(enum overflow overflow)
{
    return overflow == OVERFLOW_DROP_OLDEST ? LOSS_OVERFLOW_OLDEST : LOSS_OVERFLOW_NEWEST;
}

static bool apply(struct model *model, enum overflow overflow, const struct model_event *events,
                  uint32_t count, enum loss reason, bool free)
{
    uint32_t i = 0;

    if (overflow == OVERFLOW_DROP_OLDEST) {
        while (i < count)
            model_admit(model, events[i++]);
        return trim(model, reason);
    }
    while (i < count && free && model->state == CHAN_OPEN && fits(model, &events[i]))
        model_admit(model, events[i++]);
    if (i < count && overflow == OVERFLOW_DISCONNECT)
        model->state = CHAN_BROKEN;
    for (; i < count; i++) {
        model_accept(model, &events[i]);
        model_drop(model, events[i], reason);
    }
    return false;
}

static bool fall(struct model *model, uint32_t at, enum loss reason, bool free)
{
    static struct model_event events[MAX_MODEL];
    uint32_t count = group(model, at);

    for (uint32_t i = 0; i < count; i++)
        events[i] = model_pull(&model->parked, at);
    return apply(model, model->limits.fallback, events, count, reason, free);
}

static void activate_fallback(struct model *model)
{
    bool free = true, trimmed = false;
    uint32_t at = 0;

    model->fallback_active = true;
    while (at < model->parked.count) {
        if (!model->feeds[model->parked.events[at].feed].pausable) {
            trimmed |= fall(model, at, LOSS_BLOCK_TIMEOUT, free);
        } else {
            free = free && model->limits.fallback != OVERFLOW_DROP_OLDEST && admit_fitting(model, at);
            if (!free)
                at += group(model, at);
        }
    }
    if (trimmed)
        share(model, LOSS_BLOCK_TIMEOUT);
}

void model_activate_fallback(struct model *model)
{
    if (!model_is_blocked(model))
        return;
    activate_fallback(model);
    model_update(model);
}

/* BLOCK for a shared feed. */
static enum err block_shared(struct model *model, const struct model_event *events, uint32_t count)
{
    uint32_t i = 0;
    bool free;

    if (!model->fallback_active) {
        while (i < count && model->parked.count == 0 && fits(model, &events[i]))
            model_admit(model, events[i++]);
        if (i == count)
            return ERR_OK;
        if (model->limits.block_timeout_ns > 0 && !parked_full(model, &events[i], count - i)) {
            for (; i < count; i++)
                model_append(&model->parked, &events[i]);
            return ERR_AGAIN;
        }
        activate_fallback(model);
    }
    free = model->limits.fallback != OVERFLOW_DROP_OLDEST && let_all_in(model);
    if (apply(model, model->limits.fallback, &events[i], count - i, LOSS_BLOCK_TIMEOUT, free))
        share(model, LOSS_BLOCK_TIMEOUT);
    return ERR_OK;
}

/* The feed's first parked event; the count where there is none. */
static uint32_t first_parked(const struct model *model, uint32_t feed)
{
    uint32_t at = 0;

    while (at < model->parked.count && model->parked.events[at].feed != feed)
        at++;
    return at;
}

/* BLOCK for a pausable feed. */
static enum err block_pausable(struct model *model, const struct model_event *events, uint32_t count)
{
    struct model_feed *feed = &model->feeds[events[0].feed];
    enum loss reason = reason_of(model->limits.fallback);
    struct totals parked = model_queue_totals(&model->parked, events[0].feed);
    bool free = parked.events == model->parked.count, trimmed = false;
    uint32_t at, i = 0;

    while (i < count && model->parked.count == 0 && fits(model, &events[i]))
        model_admit(model, events[i++]);
    if (i == count)
        return ERR_OK;
    model_plus(&parked, count - i, bytes_of(&events[i], count - i));
    if (parked.events == count - i)
        feed->max_parked = (struct totals){parked.events + 1024, parked.bytes + 256 * 1024};
    if (parked.events <= feed->max_parked.events && parked.bytes <= feed->max_parked.bytes) {
        for (; i < count; i++)
            model_append(&model->parked, &events[i]);
        return ERR_AGAIN;
    }
    while ((at = first_parked(model, events[0].feed)) < model->parked.count)
        trimmed |= fall(model, at, reason, free);
    trimmed |= apply(model, model->limits.fallback, &events[i], count - i, reason, free);
    if (trimmed)
        share(model, reason);
    return ERR_OK;
}

static void latest(struct model *model, const struct model_event *event)
{
    for (uint32_t i = 0; i < model->waiting.count && event->key > 0; i++)
        if (model->waiting.events[i].feed == event->feed && model->waiting.events[i].key == event->key)
            model_drop(model, model_pull(&model->waiting, i--), LOSS_COALESCED);
    model_admit(model, *event);
    (void)trim(model, LOSS_OVERFLOW_OLDEST);
}

static enum err take_in(struct model *model, const struct model_event *events, uint32_t count)
{
    bool pausable = model->feeds[events[0].feed].pausable;
    enum overflow overflow = model->limits.overflow;

    if (overflow == OVERFLOW_BY_FEED)
        overflow = pausable ? OVERFLOW_BLOCK : OVERFLOW_DROP_OLDEST;
    if (overflow == OVERFLOW_BLOCK)
        return pausable ? block_pausable(model, events, count) : block_shared(model, events, count);
    if (overflow == OVERFLOW_LATEST_PER_KEY)
        for (uint32_t i = 0; i < count; i++)
            latest(model, &events[i]);
    else if (apply(model, overflow, events, count, reason_of(overflow), true))
        share(model, reason_of(overflow));
    return ERR_OK;
}

void model_expire(struct model *model)
{
    if (model->limits.max_age_ns == 0)
        return;
    while (model->waiting.count > 0 && model->waiting.events[0].too_old)
        model_drop(model, model_pull(&model->waiting, 0), LOSS_EXPIRED);
    model_update(model);
}

enum err model_put(struct model *model, const struct model_event *events, uint32_t count)
{
    enum err err;

    if (model->state != CHAN_OPEN)
        return ERR_CLOSED;
    model->feeds[events[0].feed].routed = events[count - 1].sequence;
    model_expire(model);
    err = take_in(model, events, count);
    model_update(model);
    return err;
}
