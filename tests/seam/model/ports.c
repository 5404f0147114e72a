/* ports.c - the ports of sessions and consumers: they write down what the hub notifies, and react
 * at random. */
#include "seam/model/model_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/shared_bytes.h"
#include "seam/hub_fixture.h"
#include "seam/transcript.h"
#include "seam/virtual_clock.h"

static void record(struct model_fixture *fixture, struct notice notice)
{
    notice.at_ns = clock_mono_ns();
    notice_add(&fixture->actual, notice);
}

/* ---- sessions ---- */

static const struct model_session *behaviour(const struct fixture_session *session)
{
    return &session->fixture->model.sessions[session->index];
}

static void leave(struct fixture_session *session, enum fault_reason reason)
{
    struct session *gone = session->session;

    transcript("  session %d leaves %s", session->index, fault_reason_name(reason));
    session->session = NULL;
    hub_unregister(gone, reason);
}

static void end(struct fixture_session *session, uint64_t activation)
{
    transcript("  session %d ends %llu", session->index, (unsigned long long)activation);
    session_end(session->session, activation, CODE_OK, NULL, SESSION_END_BY_CODE);
}

static void welcome(void *ctx, uint64_t epoch)
{
    struct fixture_session *session = ctx;

    transcript("  session %d welcome e%u", session->index, transcript_epoch(epoch));
    CHECK(session->latest == 0);
    session->epoch = epoch;
    record(session->fixture, (struct notice){.kind = WELCOME, .session = session->index, .consumer = -1});
}

static int consumer_of(const struct model_fixture *fixture, const char *id)
{
    for (int c = 0; c < CONSUMERS; c++)
        if (fixture->consumers[c].subscription && strcmp(fixture->consumers[c].result.id, id) == 0)
            return c;
    CHECK(false); /* an activation for a consumer that is not there */
    return -1;
}

static void start(void *ctx, const struct activation_params *params)
{
    struct fixture_session *session = ctx;
    int c = consumer_of(session->fixture, params->subscription_id);

    transcript("  session %d start %llu consumer %d s%u %s %s", session->index,
               (unsigned long long)params->activation, c, transcript_subscription(params->subscription_id),
               transcript_bytes(shared_bytes_view(params->request)),
               transcript_deadline(params->deadline_ns));
    CHECK(session->session && session->epoch > 0 && params->activation == session->latest + 1 &&
          params->activation < MAX_STARTS);
    CHECK(params->request->size == 1 && params->request->data[0] == '0' + c);
    session->latest = params->activation;
    session->starts[params->activation] = (struct start){.consumer = c};
    session->fixture->starts++;
    record(session->fixture, (struct notice){.kind = START,
                                             .session = session->index,
                                             .consumer = c,
                                             .deadline_ns = params->deadline_ns,
                                             .number = params->activation});
    if (behaviour(session)->ends_at_start)
        end(session, params->activation);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct fixture_session *session = ctx;
    struct start *start = &session->starts[activation];

    transcript("  session %d stop %llu %s %s", session->index, (unsigned long long)activation,
               fault_reason_name(reason), transcript_deadline(deadline_ns));
    CHECK(session->session && activation > 0 && activation <= session->latest && !start->stopped);
    start->stopped = true;
    session->fixture->stops++;
    record(session->fixture, (struct notice){.kind = STOP,
                                             .session = session->index,
                                             .consumer = start->consumer,
                                             .reason = (int)reason,
                                             .deadline_ns = deadline_ns});
    if (behaviour(session)->at_stop == ENDS)
        end(session, activation);
    else if (behaviour(session)->at_stop == LEAVES)
        leave(session, FAULT_NONE);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct fixture_session *session = ctx;
    struct start *start = &session->starts[activation];

    transcript("  session %d %s %llu", session->index, pause ? "pause" : "resume",
               (unsigned long long)activation);
    CHECK(activation > 0 && activation <= session->latest && start->paused != pause);
    start->paused = pause;
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct fixture_session *session = ctx;

    transcript("  session %d closing %s %s", session->index, fault_reason_name(reason),
               transcript_deadline(deadline_ns));
    CHECK(session->session);
    record(session->fixture, (struct notice){.kind = CLOSING,
                                             .session = session->index,
                                             .consumer = -1,
                                             .reason = (int)reason,
                                             .deadline_ns = deadline_ns});
    if (behaviour(session)->leaves_at_closing)
        leave(session, FAULT_NONE);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct fixture_session *session = ctx;

    transcript("  session %d abort %s", session->index, transcript_fault(fault));
    CHECK(session->session);
    record(session->fixture,
           (struct notice){
               .kind = ABORT, .session = session->index, .consumer = -1, .reason = (int)fault->reason});
    if (behaviour(session)->leaves_at_abort)
        leave(session, FAULT_NONE);
}

static const struct session_port session_port = {welcome, start, stop, set_paused, closing, abort_call, NULL};

struct session_params model_session_params(struct fixture_session *session,
                                           const struct model_session *params)
{
    struct fixture_session fresh = {.fixture = session->fixture, .index = session->index};

    *session = fresh;
    return (struct session_params){.name = text_of(model_names[params->name]),
                                   .mode = params->per_consumer ? SESSION_PER_CONSUMER : SESSION_SHARED,
                                   .peer = "session",
                                   .port = &session_port,
                                   .ctx = session};
}

/* ---- consumers ---- */

static void unsubscribe(struct fixture_consumer *consumer, enum fault_reason reason)
{
    struct subscription *gone = consumer->subscription;

    transcript("  consumer %d leaves %s", consumer->index, fault_reason_name(reason));
    consumer->subscription = NULL;
    hub_unsubscribe(gone, reason);
    model_fixture_forget(consumer);
}

static void consumer_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct fixture_consumer *consumer = ctx;

    transcript("  consumer %d closing %d %s", consumer->index, (int)reason, transcript_deadline(deadline_ns));
    record(consumer->fixture, (struct notice){.kind = CONSUMER_CLOSING,
                                              .session = -1,
                                              .consumer = consumer->index,
                                              .reason = (int)reason,
                                              .deadline_ns = deadline_ns});
    if (consumer->fixture->model.consumers[consumer->index].leaves_at_end)
        unsubscribe(consumer, FAULT_NONE);
}

static void consumer_abort(void *ctx, const struct fault *fault)
{
    struct fixture_consumer *consumer = ctx;

    transcript("  consumer %d abort %s", consumer->index, transcript_fault(fault));
    record(consumer->fixture, (struct notice){.kind = CONSUMER_ABORT,
                                              .session = -1,
                                              .consumer = consumer->index,
                                              .reason = (int)fault->reason});
    if (consumer->fixture->model.consumers[consumer->index].leaves_at_end)
        unsubscribe(consumer, fault->reason);
}

static const struct subscription_port subscription_port = {.closing = consumer_closing,
                                                           .abort_call = consumer_abort};

static void readable(void *ctx)
{
    transcript("  consumer %d readable", ((struct fixture_consumer *)ctx)->index);
}

struct subscription_params model_subscription_params(struct fixture_consumer *consumer,
                                                     const struct model_consumer *params)
{
    static const enum overflow lossy[] = {OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, OVERFLOW_DROP_NEWEST,
                                          OVERFLOW_LATEST_PER_KEY};
    static const char requests[] = "01234567";
    struct subscription_params out = {.filter =
                                          filter_of(params->filter.producers, params->filter.topic, NULL),
                                      .limits = {.max_events = 1u << 20,
                                                 .max_bytes = 1u << 30,
                                                 .overflow = OVERFLOW_DROP_OLDEST,
                                                 .fallback = OVERFLOW_DROP_OLDEST},
                                      .callbacks = {readable, consumer},
                                      .name = text_of("a consumer"),
                                      .peer = "consumer",
                                      .request = {(const uint8_t *)&requests[consumer->index], 1},
                                      .deadline_ns = params->own_deadline_ns,
                                      .end_when_all_ended = params->ends,
                                      .port = &subscription_port,
                                      .ctx = consumer};

    if (!consumer->exact) {
        out.limits.max_events = 1 + (uint32_t)dice_roll(&consumer->fixture->dice, 6);
        out.limits.overflow = lossy[dice_roll(&consumer->fixture->dice, ARRAY_LEN(lossy))];
        out.limits.fallback =
            dice_roll(&consumer->fixture->dice, 2) == 0 ? OVERFLOW_DROP_OLDEST : OVERFLOW_DROP_NEWEST;
    }
    return out;
}

void model_fixture_forget(struct fixture_consumer *consumer)
{
    check_totals(consumer->result.chan);
    chan_release(consumer->result.chan);
    chan_batch_fini(&consumer->batch);
    free(consumer->due);
    *consumer = (struct fixture_consumer){.fixture = consumer->fixture, .index = consumer->index};
}
