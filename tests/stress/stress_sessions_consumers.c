/* stress_sessions_consumers.c - the takers of stress_sessions, and what the loop does to their
 * subscriptions. */
#include "stress/stress_sessions.h"

#include <string.h>
#include <time.h>

#include "event/encode.h"
#include "flow/chan_report.h"

static struct transcript *transcript_of(struct taker *taker, uint64_t epoch)
{
    for (unsigned i = taker->source_count; i-- > 0;)
        if (taker->transcript[i].epoch == epoch)
            return &taker->transcript[i];
    CHECK(taker->source_count < MAX_SOURCES);
    taker->transcript[taker->source_count] = (struct transcript){.epoch = epoch};
    return &taker->transcript[taker->source_count++];
}

static void check_topics(const struct taker *taker, const struct chan_batch_entry *entry)
{
    for (uint32_t i = entry->first; i < entry->last; i++) {
        struct event_view view;

        event_view(chunk_range(entry->chunk, i, i + 1), &view);
        CHECK(view.topic.size == 1 && view.topic.data[0] == "ab"[taker->mark % 2]);
    }
}

static void check_state(void *ctx, const struct feed_change *change)
{
    struct taker *taker = ctx;

    CHECK(change->source ? change->state != PRODUCER_RESYNC : change->state == PRODUCER_RESYNC);
    if (change->state != PRODUCER_UNAVAILABLE)
        return;
    taker->unavailable++;
    if (change->code == CODE_UNAVAILABLE)
        CHECK(strcmp(change->message, "connection refused") == 0);
    else
        CHECK(change->code == CODE_INTERNAL && strcmp(change->message, "enough") == 0);
}

static bool serve_batch(struct taker *taker)
{
    uint32_t mark = chan_marked(taker->chan);
    bool more;

    CHECK(mark == 0 || mark > taker->mark);
    taker->mark = MAX_OF(taker->mark, mark);
    more = chan_dequeue(taker->chan, &taker->batch, 1 + (uint32_t)dice_roll(&taker->dice, 300), 1 << 16,
                        clock_mono_ns());
    for (uint32_t i = 0; i < taker->batch.count; i++) {
        const struct chan_batch_entry *entry = &taker->batch.entries[i];
        uint64_t first = chunk_sequence(entry->chunk, entry->first);
        struct transcript *transcript = transcript_of(taker, entry->chunk->source->epoch);

        CHECK(first > transcript->last);
        CHECK(taker->selects || taker->lossy || transcript->last == 0 || first == transcript->last + 1);
        transcript->last = chunk_sequence(entry->chunk, entry->last - 1);
        taker->taken += entry->last - entry->first;
        if (taker->selects)
            check_topics(taker, entry);
    }
    chan_states(taker->chan, 1000, check_state, taker);
    check_totals(taker->chan);
    chan_delivered(taker->chan, &taker->batch);
    if (dice_roll(&taker->dice, 100) == 0)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    return more;
}

static void check_loss(void *ctx, const struct lost_note *note)
{
    CHECK(((struct taker *)ctx)->lossy || note->reason == LOSS_DRAIN_CUT || note->reason == LOSS_RESUME_GAP);
}

void *take_repeatedly(void *ctx)
{
    struct taker *taker = ctx;

    while (!atomic_load(&stopping)) {
        enum chan_state state;

        if (atomic_load(&taker->state) != SERVING) {
            wakeup_wait(&taker->wakeup, 20 * NS_PER_MS);
            continue;
        }
        state = chan_state(taker->chan);
        while (serve_batch(taker))
            continue;
        chan_losses(taker->chan, 1000, check_loss, taker);
        chan_tick(taker->chan, clock_mono_ns());
        if (state == CHAN_CLOSED || (state != CHAN_OPEN && chan_idle(taker->chan))) {
            atomic_store(&taker->state, ENDED);
            loop_post(loop, &taker->ended);
        } else {
            wakeup_wait(&taker->wakeup, 5 * NS_PER_MS);
        }
    }
    return NULL;
}

static void ended(struct task *task)
{
    hub_unsubscribe(container_of(task, struct taker, ended)->subscription, FAULT_NONE);
}

static void left(void *ctx)
{
    struct taker *taker = ctx;

    check_totals(taker->chan);
    chan_release(taker->chan);
    taker->chan = NULL;
    taker->subscription = NULL;
    taker->served++;
    taker->marks += taker->mark;
    taker->total_taken += taker->taken;
    atomic_store(&taker->state, FREE);
}

static void readable(void *ctx)
{
    wakeup_signal(&((struct taker *)ctx)->wakeup);
}

static void on_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    (void)ctx;
    CHECK(reason != 0 && deadline_ns < INT64_MAX);
}

static void on_abort(void *ctx, const struct fault *fault)
{
    (void)ctx; /* the taker sees that the channel is closed */
    CHECK(fault->reason == FAULT_KICKED);
}

static const struct subscription_port port = {.closing = on_closing, .abort_call = on_abort, .left = left};

void subscribe(struct taker *taker, struct dice *dice)
{
    struct subscription_params params = subscription_params_of(NULL);
    struct fault fault;

    taker->selects = dice_roll(dice, 2) == 0;
    taker->lossy = dice_roll(dice, 2) == 0;
    if (taker->selects) {
        filter_free(params.filter);
        params.filter = filter_of("*", "a", NULL);
    }
    params.limits.max_events = taker->lossy ? 1 + (uint32_t)dice_roll(dice, 100) : 1 << 30;
    params.limits.max_bytes = 1 << 30;
    if (taker->lossy && !taker->selects)
        params.limits =
            (struct chan_limits){.max_events = params.limits.max_events,
                                 .max_bytes = params.limits.max_bytes,
                                 .overflow = dice_roll(dice, 2) == 0 ? OVERFLOW_BY_FEED : OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_NEWEST,
                                 .block_timeout_ns = (int64_t)dice_roll(dice, 5) * NS_PER_MS};
    params.end_when_all_ended = dice_roll(dice, 4) == 0;
    params.last = dice_roll(dice, 4) == 0 ? 20 : 0;
    params.callbacks = (struct chan_callbacks){readable, taker};
    params.port = &port;
    params.ctx = taker;
    taker->mark = 0;
    taker->revision = 0;
    taker->source_count = 0;
    taker->taken = 0;
    taker->ended = (struct task){.run = ended};
    CHECK(hub_subscribe(hub, &params, &taker->subscription, &taker->result, &fault) == FAULT_NONE);
    taker->chan = taker->result.chan;
    atomic_store(&taker->state, SERVING);
    wakeup_signal(&taker->wakeup);
}

void end_or_select(struct taker *taker, struct dice *dice)
{
    struct bytes id = text_of(taker->result.id);
    struct filter *filter;
    struct fault fault;
    uint32_t revision;

    switch (dice_roll(dice, 40)) {
    case 0:
        CHECK(hub_finish(hub, id, CLOSING_FINISHED, (int64_t)dice_roll(dice, 20) * NS_PER_MS, &fault) ==
              FAULT_NONE);
        break;
    case 1:
        CHECK(hub_disconnect(hub, id, text_of("off"), &fault) == FAULT_NONE);
        break;
    default:
        /* A mark that was not passed yet would be replaced by the next. */
        if (!taker->selects || taker->mark != taker->revision)
            break;
        filter = filter_of("*", (taker->revision + 1) % 2 == 0 ? "a" : "b", NULL);
        revision = hub_select(taker->subscription, filter, &(struct fault){.reason = FAULT_NONE});
        CHECK(revision == 0 || revision == taker->revision + 1);
        if (revision == 0)
            filter_free(filter);
        else
            taker->revision = revision;
    }
}
