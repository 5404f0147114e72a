/* world.c - what sessions and consumers are told, written down, and compared with what the model
 * said. */
#include "seam/model/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "seam/bench.h"
#include "seam/virtual.h"

static void hear(struct world *world, struct notice notice)
{
    notice.at_ns = clock_mono_ns();
    notice_add(&world->actual, notice);
}

/* ---- sessions ---- */

static const struct model_session *nature(const struct world_session *session)
{
    return &session->world->model.sessions[session->place];
}

static void leave(struct world_session *session, enum fault_reason reason)
{
    struct session *gone = session->session;

    session->session = NULL;
    hub_unregister(gone, reason);
}

static void welcome(void *ctx, uint64_t epoch)
{
    struct world_session *session = ctx;

    CHECK(session->latest == 0);
    session->epoch = epoch;
    hear(session->world, (struct notice){.told = WELCOME, .session = session->place, .consumer = -1});
}

static int consumer_of(const struct world *world, const char *id)
{
    for (int c = 0; c < CONSUMERS; c++)
        if (world->consumers[c].subscription && strcmp(world->consumers[c].result.id, id) == 0)
            return c;
    CHECK(false); /* an activation for nobody */
    return -1;
}

static void start(void *ctx, const struct activation_params *params)
{
    struct world_session *session = ctx;
    int c = consumer_of(session->world, params->subscription_id);

    CHECK(session->session && session->epoch > 0 && params->activation == session->latest + 1 &&
          params->activation < MAX_STARTS);
    CHECK(params->request.size == 1 && params->request.data[0] == '0' + c);
    session->latest = params->activation;
    session->starts[params->activation] = (struct start){.consumer = c};
    session->world->starts++;
    hear(session->world, (struct notice){.told = START,
                                         .session = session->place,
                                         .consumer = c,
                                         .deadline_ns = params->deadline_ns,
                                         .number = params->activation});
    if (nature(session)->ends_at_start)
        session_end(session->session, params->activation, CODE_OK, NULL);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct world_session *session = ctx;
    struct start *told = &session->starts[activation];

    CHECK(session->session && activation > 0 && activation <= session->latest && !told->stopped);
    told->stopped = true;
    session->world->stops++;
    hear(session->world, (struct notice){.told = STOP,
                                         .session = session->place,
                                         .consumer = told->consumer,
                                         .reason = (int)reason,
                                         .deadline_ns = deadline_ns});
    if (nature(session)->at_stop == ENDS)
        session_end(session->session, activation, CODE_OK, NULL);
    else if (nature(session)->at_stop == LEAVES)
        leave(session, FAULT_NONE);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct world_session *session = ctx;
    struct start *told = &session->starts[activation];

    CHECK(activation > 0 && activation <= session->latest && told->paused != pause);
    told->paused = pause;
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct world_session *session = ctx;

    CHECK(session->session);
    hear(session->world, (struct notice){.told = CLOSING,
                                         .session = session->place,
                                         .consumer = -1,
                                         .reason = (int)reason,
                                         .deadline_ns = deadline_ns});
    if (nature(session)->leaves_at_closing)
        leave(session, FAULT_NONE);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct world_session *session = ctx;

    CHECK(session->session);
    hear(session->world,
         (struct notice){
             .told = CUT, .session = session->place, .consumer = -1, .reason = (int)fault->reason});
    if (nature(session)->leaves_at_cut)
        leave(session, FAULT_NONE);
}

static const struct session_port session_port = {welcome, start, stop, set_paused, closing, abort_call};

struct session_params world_session_wish(struct world_session *session, const struct model_session *params)
{
    struct world_session fresh = {.world = session->world, .place = session->place};

    *session = fresh;
    return (struct session_params){.name = text_of(model_names[params->name]),
                                   .mode = params->per_consumer ? SESSION_PER_CONSUMER : SESSION_SHARED,
                                   .peer = "session",
                                   .port = &session_port,
                                   .ctx = session};
}

/* ---- consumers ---- */

static void unsubscribe(struct world_consumer *consumer, enum fault_reason reason)
{
    struct subscription *gone = consumer->subscription;

    consumer->subscription = NULL;
    hub_unsubscribe(gone, reason);
    world_forget(consumer);
}

static void consumer_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct world_consumer *consumer = ctx;

    hear(consumer->world, (struct notice){.told = CONSUMER_CLOSING,
                                          .session = -1,
                                          .consumer = consumer->place,
                                          .reason = (int)reason,
                                          .deadline_ns = deadline_ns});
    if (consumer->world->model.consumers[consumer->place].leaves_at_end)
        unsubscribe(consumer, FAULT_NONE);
}

static void consumer_cut(void *ctx, const struct fault *fault)
{
    struct world_consumer *consumer = ctx;

    hear(consumer->world,
         (struct notice){
             .told = CONSUMER_CUT, .session = -1, .consumer = consumer->place, .reason = (int)fault->reason});
    if (consumer->world->model.consumers[consumer->place].leaves_at_end)
        unsubscribe(consumer, fault->reason);
}

static const struct subscription_port subscription_port = {consumer_closing, consumer_cut};

static void readable(void *ctx)
{
    (void)ctx;
}

struct subscription_params world_subscription_wish(struct world_consumer *consumer,
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
                                      .callbacks = {readable, NULL},
                                      .name = text_of("a consumer"),
                                      .peer = "consumer",
                                      .request = {(const uint8_t *)&requests[consumer->place], 1},
                                      .deadline_ns = params->own_deadline_ns,
                                      .end_when_all_ended = params->ends,
                                      .port = &subscription_port,
                                      .ctx = consumer};

    if (!consumer->exact) {
        out.limits.max_events = 1 + (uint32_t)dice_roll(&consumer->world->dice, 6);
        out.limits.overflow = lossy[dice_roll(&consumer->world->dice, ARRAY_LEN(lossy))];
        out.limits.fallback =
            dice_roll(&consumer->world->dice, 2) == 0 ? OVERFLOW_DROP_OLDEST : OVERFLOW_DROP_NEWEST;
    }
    return out;
}

void world_forget(struct world_consumer *consumer)
{
    check_sums(consumer->result.chan);
    chan_release(consumer->result.chan);
    chan_batch_fini(&consumer->batch);
    free(consumer->due);
    *consumer = (struct world_consumer){.world = consumer->world, .place = consumer->place};
}

/* ---- agreement ---- */

static bool same(const struct notice *a, const struct notice *b)
{
    return a->told == b->told && a->session == b->session && a->consumer == b->consumer &&
           a->reason == b->reason && a->deadline_ns == b->deadline_ns;
}

static void print(const char *whose, const struct notice *notice)
{
    static const char *const names[] = {"WELCOME",          "START",       "STOP", "CLOSING", "CUT",
                                        "CONSUMER_CLOSING", "CONSUMER_CUT"};

    fprintf(stderr, "%s: %s session %d consumer %d why %d deadline %lld\n", whose, names[notice->told],
            notice->session, notice->consumer, notice->reason, (long long)notice->deadline_ns);
}

static void remember_start(struct world *world, const struct notice *notice)
{
    world->model.pairs[notice->session][notice->consumer].number = notice->number;
}

/* Takes out of the expected ones what did come. */
static bool was_expected(struct world *world, const struct notice *actual)
{
    struct notices *expected = &world->model.expected;

    for (unsigned i = 0; i < expected->count; i++)
        if (same(&expected->list[i], actual)) {
            expected->list[i] = expected->list[--expected->count];
            if (actual->told == START)
                remember_start(world, actual);
            return true;
        }
    return false;
}

static bool was_retried(struct world *world, const struct notice *actual)
{
    if (actual->told != START || world->model.pairs[actual->session][actual->consumer].state != P_RETRYING)
        return false;
    CHECK(actual->deadline_ns == world->model.consumers[actual->consumer].own_deadline_ns);
    model_retried(&world->model, actual->session, actual->consumer, actual->at_ns);
    remember_start(world, actual);
    return true;
}

static void compare_notices(struct world *world)
{
    struct notices *expected = &world->model.expected;
    bool agree = true;

    for (unsigned i = 0; i < world->actual.count; i++)
        if (!was_expected(world, &world->actual.list[i]) && !was_retried(world, &world->actual.list[i])) {
            print("not expected", &world->actual.list[i]);
            agree = false;
        }
    for (unsigned i = 0; i < expected->count; i++)
        if (!expected->list[i].may) {
            print("did not come", &expected->list[i]);
            agree = false;
        }
    CHECK(agree);
    expected->count = 0;
    world->actual.count = 0;
}

static enum chan_state due_state(const struct model *model, int c)
{
    if (model->consumers[c].life == C_LIVE)
        return CHAN_OPEN;
    if (model->consumers[c].life == C_CLOSED)
        return CHAN_CLOSED;
    for (int s = 0; s < SESSIONS; s++)
        if (model_asked(model, s, c))
            return CHAN_OPEN;
    return CHAN_DRAINING;
}

static void compare_counts(const struct world *world)
{
    const struct model *model = &world->model;
    int64_t asked = 0, routes = 0, sessions = 0, producers = 0, consumers = 0;

    for (int c = 0; c < CONSUMERS; c++) {
        CHECK((model->consumers[c].life != C_NONE) == (world->consumers[c].subscription != NULL));
        if (world->consumers[c].subscription)
            CHECK(chan_state(world->consumers[c].result.chan) == due_state(model, c));
        consumers += model->consumers[c].life != C_NONE;
        for (int source = 0; source < SOURCES; source++)
            routes += model->routes[source][c];
        for (int s = 0; s < SESSIONS; s++) {
            asked += model_asked(model, s, c);
            CHECK(model->pairs[s][c].state != P_RETRYING ||
                  model->now_ns < model->pairs[s][c].retry_until_ns);
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        CHECK((model->sessions[s].life != S_NONE) == (world->sessions[s].session != NULL));
        sessions += model->sessions[s].life != S_NONE;
        producers += model->sessions[s].life != S_NONE && model->sessions[s].named;
    }
    for (int name = 0; name < NAMES; name++)
        producers += model->forget_ns[name] > 0;
    CHECK(count_get(COUNT_LIVE_ACTIVATIONS) == asked);
    CHECK(count_get(COUNT_LIVE_ROUTES) == asked + routes);
    CHECK(count_get(COUNT_LIVE_SESSIONS) == sessions);
    CHECK(count_get(COUNT_LIVE_PRODUCERS) == producers);
    CHECK(count_get(COUNT_LIVE_SUBSCRIPTIONS) == consumers);
    CHECK(world->emptied == model->emptied);
}

void world_agree(struct world *world)
{
    compare_notices(world);
    compare_counts(world);
}

/* In steps that end where the model has something due. */
void world_pass(struct world *world, int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;

    while (clock_mono_ns() < until_ns) {
        int64_t step_ns = MIN_OF(model_next(&world->model), until_ns) - clock_mono_ns();

        time_pass(world->loop, step_ns);
        for (unsigned i = 0; i < world->actual.count; i++)
            if (was_retried(world, &world->actual.list[i]))
                world->actual.list[i--] = world->actual.list[--world->actual.count];
        model_time(&world->model, clock_mono_ns());
        world_agree(world);
    }
}

/* ---- what is read ---- */

static void push(struct world_consumer *consumer, uint64_t epoch, uint64_t sequence)
{
    if (consumer->due_count == consumer->due_room) {
        consumer->due_room = MAX_OF(consumer->due_room * 2, 64u);
        consumer->due = reallocarray(consumer->due, consumer->due_room, sizeof(*consumer->due));
        CHECK(consumer->due);
    }
    consumer->due[consumer->due_count++] = (struct due){epoch, sequence};
}

static void drop(struct world_consumer *consumer, unsigned place)
{
    memmove(&consumer->due[place], &consumer->due[place + 1],
            (--consumer->due_count - place) * sizeof(*consumer->due));
}

/* A mark that was not passed yet gives way to a later one; one that was is told, unless nothing
 * stands between the two. */
void world_marked(struct world_consumer *consumer, uint32_t revision)
{
    for (unsigned i = 0; i < consumer->due_count; i++)
        if (consumer->due[i].epoch == 0 && (i > 0 || consumer->due_count == 1))
            drop(consumer, i--);
    push(consumer, 0, revision);
}

void world_taken(struct world *world, int source, int consumer, const char *topics, const struct offer *offer)
{
    uint32_t matched = 0;

    for (int c = 0; c < CONSUMERS; c++) {
        const char *topic = world->model.consumers[c].filter.topic;
        bool any = false;

        if (consumer >= 0 ? c != consumer : !world->model.routes[source][c])
            continue;
        for (uint64_t i = 0; topics[i]; i++)
            if (!topic || topics[i] == *topic) {
                push(&world->consumers[c], offer->epoch, offer->first_sequence + i);
                any = true;
            }
        matched += any;
    }
    CHECK(offer->matched == matched);
    CHECK(offer->last_sequence - offer->first_sequence + 1 == strlen(topics));
    world->events += strlen(topics);
}

/* A consumer that loses may skip what is due of a source, and never goes back. */
static void read_event(struct world_consumer *consumer, uint64_t epoch, uint64_t sequence)
{
    unsigned i = 0;

    consumer->read++;
    if (consumer->exact) {
        CHECK(consumer->due_count > 0 && consumer->due[0].epoch == epoch &&
              consumer->due[0].sequence == sequence);
        drop(consumer, 0);
        return;
    }
    while (i < consumer->due_count &&
           !(consumer->due[i].epoch == epoch && consumer->due[i].sequence == sequence)) {
        if (consumer->due[i].epoch == epoch)
            drop(consumer, i);
        else
            i++;
    }
    CHECK(i < consumer->due_count);
    drop(consumer, i);
}

void world_read(struct world_consumer *consumer, uint32_t max)
{
    struct chan *chan = consumer->result.chan;
    uint32_t mark = chan_marked(chan);

    if (consumer->exact && consumer->due_count > 0 && consumer->due[0].epoch == 0) {
        CHECK(mark == consumer->due[0].sequence);
        drop(consumer, 0);
    } else if (consumer->exact) {
        CHECK(mark == 0);
    }
    chan_dequeue(chan, &consumer->batch, max, 1 << 20, clock_mono_ns());
    for (uint32_t i = 0; i < consumer->batch.count; i++) {
        const struct chan_batch_entry *entry = &consumer->batch.entries[i];

        for (uint32_t event = entry->first; event < entry->last; event++)
            read_event(consumer, entry->chunk->source->epoch, chunk_sequence(entry->chunk, event));
    }
    chan_states(chan, 1000, NULL, NULL);
    check_sums(chan);
    chan_delivered(chan, &consumer->batch);
}

bool world_read_all(struct world_consumer *consumer)
{
    for (uint64_t before = UINT64_MAX; before != consumer->read;) {
        before = consumer->read;
        world_read(consumer, 1000);
    }
    return consumer->due_count == 0;
}
