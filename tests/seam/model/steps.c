/* steps.c - what may happen, each done to the hub and to the model. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "seam/bench.h"
#include "seam/model/world.h"
#include "seam/virtual.h"

static uint64_t roll(struct world *world, uint64_t sides)
{
    return dice_roll(&world->dice, sides);
}

/* A place where `wanted` holds; -1: there is none. */
static int pick(struct world *world, int places, bool (*wanted)(const struct world *world, int place))
{
    int first = (int)roll(world, (uint64_t)places);

    for (int i = 0; i < places; i++)
        if (wanted(world, (first + i) % places))
            return (first + i) % places;
    return -1;
}

static bool free_session(const struct world *world, int s)
{
    return world->model.sessions[s].life == S_NONE;
}

static bool any_session(const struct world *world, int s)
{
    return world->model.sessions[s].life != S_NONE;
}

static bool asked_session(const struct world *world, int s)
{
    return any_session(world, s) && world->sessions[s].latest > 0;
}

static bool shared_session(const struct world *world, int s)
{
    return any_session(world, s) && !world->model.sessions[s].per_consumer;
}

static bool free_consumer(const struct world *world, int c)
{
    return world->model.consumers[c].life == C_NONE;
}

static bool any_consumer(const struct world *world, int c)
{
    return world->model.consumers[c].life != C_NONE;
}

static bool live_consumer(const struct world *world, int c)
{
    return world->model.consumers[c].life == C_LIVE;
}

static struct model_filter some_filter(struct world *world)
{
    static const char *const producers[] = {"*", "*", "a*", "b1", "a1"};
    static const char *const topics[] = {NULL, NULL, "x", "y"};

    return (struct model_filter){producers[roll(world, ARRAY_LEN(producers))],
                                 topics[roll(world, ARRAY_LEN(topics))]};
}

static int64_t some_time_ns(struct world *world)
{
    static const int64_t max_ns[] = {NS_PER_MS, NS_PER_S / 2, 2 * NS_PER_S, 15 * NS_PER_S, 70 * NS_PER_S};

    return 1 + (int64_t)roll(world, (uint64_t)max_ns[roll(world, ARRAY_LEN(max_ns))]);
}

/* ---- sessions ---- */

static void step_register(struct world *world)
{
    int s = pick(world, SESSIONS, free_session);
    struct model_session params = {.name = (int)roll(world, NAMES),
                                   .per_consumer = roll(world, 3) > 0,
                                   .ends_at_start = roll(world, 12) == 0,
                                   .leaves_at_closing = roll(world, 8) == 0,
                                   .leaves_at_cut = roll(world, 2) == 0,
                                   .at_stop = ENDS};
    struct session_params real;
    struct fault fault;
    enum fault_reason due = FAULT_NONE;
    struct world_session *session;

    if (s < 0)
        return;
    if (roll(world, 2) == 0)
        params.at_stop = roll(world, 4) == 0 ? LEAVES : IGNORES;
    session = &world->sessions[s];
    real = world_session_wish(session, &params);
    real.reject_duplicate = roll(world, 6) == 0;
    real.start_first = roll(world, 3) == 0;
    if (real.reject_duplicate && model_holder(&world->model, params.name) >= 0)
        due = FAULT_NAME_TAKEN;
    if (world->model.draining)
        due = FAULT_DRAINING;
    world->model.sessions[s] = params; /* the port asks for its nature */
    CHECK(hub_register(world->hub, &real, &session->session, &fault) == due);
    if (due == FAULT_NONE)
        model_register(&world->model, s, &params, real.start_first);
}

static void step_unregister(struct world *world)
{
    int s = pick(world, SESSIONS, any_session);
    struct session *gone;

    if (s < 0)
        return;
    gone = world->sessions[s].session;
    world->sessions[s].session = NULL;
    hub_unregister(gone, roll(world, 2) == 0 ? FAULT_NONE : FAULT_CANCELLED);
    model_unregister(&world->model, s);
}

static void some_topics(struct world *world, char topics[8])
{
    size_t count = 1 + roll(world, 6);

    for (size_t i = 0; i < count; i++)
        topics[i] = "xy"[roll(world, 2)];
    topics[count] = '\0';
}

static bool is_open(const struct world *world, int s, uint64_t number)
{
    int c = number <= world->sessions[s].latest ? world->sessions[s].starts[number].consumer : -1;

    return c >= 0 && model_asked(&world->model, s, c) && world->model.pairs[s][c].number == number;
}

static void step_offer(struct world *world)
{
    int s = pick(world, SESSIONS, asked_session);
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct world_session *session = s >= 0 ? &world->sessions[s] : NULL;
    struct start *told;
    struct offer offer;
    char topics[8];
    uint64_t number;

    if (!session)
        return;
    some_topics(world, topics);
    chunk = chunk_of_letters(topics, roll(world, 20));
    number = roll(world, 6);
    number = session->latest - MIN_OF(number, session->latest - 1);
    if (roll(world, 40) == 0)
        number = session->latest + 1 + roll(world, 10);
    if (number > session->latest) {
        CHECK(session_offer(session->session, number, chunk, NULL, &offer) == ERR_NOT_FOUND);
        return;
    }
    told = &session->starts[number];
    if (!is_open(world, s, number)) {
        CHECK(session_offer(session->session, number, chunk, NULL, &offer) == ERR_CLOSED);
        return;
    }
    CHECK(session_offer(session->session, number, chunk, NULL, &offer) == ERR_OK);
    CHECK(told->sequence == 0 ? offer.epoch > session->epoch : offer.epoch == told->epoch);
    CHECK(offer.first_sequence == told->sequence + 1);
    told->epoch = offer.epoch;
    told->sequence = offer.last_sequence;
    world_taken(world, s, told->consumer, topics, &offer);
}

static void never_over(struct put_waiter *waiter)
{
    (void)waiter;
    CHECK(false); /* nobody blocks shared producers here */
}

static void step_offer_shared(struct world *world)
{
    int s = pick(world, SESSIONS, shared_session);
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct put_waiter waiter = {.over = never_over};
    struct world_session *session = s >= 0 ? &world->sessions[s] : NULL;
    struct offer offer;
    char topics[8];
    unsigned life;

    if (!session)
        return;
    some_topics(world, topics);
    chunk = chunk_of_letters(topics, roll(world, 20));
    life = (unsigned)world->model.sessions[s].life;
    if (world->model.draining || (life != S_LIVE && life != S_CLOSING)) {
        CHECK(session_offer(session->session, 0, chunk, &waiter, &offer) == ERR_CLOSED);
        return;
    }
    CHECK(session_offer(session->session, 0, chunk, &waiter, &offer) == ERR_OK);
    CHECK(offer.epoch == session->epoch && offer.first_sequence == session->sequence + 1);
    session->sequence = offer.last_sequence;
    world_taken(world, s, -1, topics, &offer);
}

static void step_end(struct world *world)
{
    int s = pick(world, SESSIONS, asked_session);
    bool failed = roll(world, 2) == 0;
    uint64_t number;
    bool open;

    if (s < 0)
        return;
    number = 1 + roll(world, world->sessions[s].latest);
    open = is_open(world, s, number);
    session_end(world->sessions[s].session, number, failed ? CODE_INTERNAL : CODE_OK, "no luck");
    if (open)
        model_end(&world->model, s, world->sessions[s].starts[number].consumer, failed);
}

/* ---- transient producers ---- */

static void step_publish(struct world *world)
{
    int name = (int)roll(world, NAMES);
    struct bytes text = text_of(model_names[name]);
    struct inlet *inlet = hub_inlet_find(world->hub, text, "putter");
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct put_waiter waiter = {.over = never_over};
    struct fault fault;
    struct offer offer;
    char topics[8];

    CHECK((inlet != NULL) == (world->model.forget_ns[name] > 0));
    if (!inlet && (world->model.draining || model_holder(&world->model, name) >= 0)) {
        CHECK(hub_inlet_open(world->hub, text, "putter", &inlet, &fault) ==
              (world->model.draining ? FAULT_DRAINING : FAULT_NAME_TAKEN));
        return;
    }
    if (!inlet)
        CHECK(hub_inlet_open(world->hub, text, "putter", &inlet, &fault) == FAULT_NONE);
    model_publish(&world->model, name);
    some_topics(world, topics);
    chunk = chunk_of_letters(topics, 4);
    if (world->model.draining) {
        CHECK(inlet_offer(inlet, chunk, &waiter, &offer) == ERR_CLOSED);
    } else {
        CHECK(inlet_offer(inlet, chunk, &waiter, &offer) == ERR_OK);
        CHECK(offer.first_sequence ==
              (offer.epoch == world->transient_epoch[name] ? world->transient_sequence[name] + 1 : 1));
        world->transient_epoch[name] = offer.epoch;
        world->transient_sequence[name] = offer.last_sequence;
        world_taken(world, SESSIONS + name, -1, topics, &offer);
    }
    inlet_leave(inlet);
    time_pass(world->loop, 0);
}

static void step_remove(struct world *world)
{
    static const int64_t drains_ns[] = {0, 0, NS_PER_S / 2, 3 * NS_PER_S};
    int name = (int)roll(world, NAMES);
    int64_t drain_ns = drains_ns[roll(world, ARRAY_LEN(drains_ns))];
    bool known = model_holder(&world->model, name) >= 0 || world->model.forget_ns[name] > 0;
    struct producer_view view;
    struct fault fault;

    CHECK(hub_remove(world->hub, text_of(model_names[name]), drain_ns, bench_copy_view, &view, &fault) ==
          (known ? FAULT_NONE : FAULT_PRODUCER_NOT_FOUND));
    if (known)
        model_remove(&world->model, name, drain_ns);
}

/* ---- consumers ---- */

static void step_subscribe(struct world *world)
{
    int c = pick(world, CONSUMERS, free_consumer);
    struct model_consumer params = {.filter = some_filter(world),
                                    .ends = roll(world, 3) == 0,
                                    .leaves_at_end = roll(world, 4) == 0,
                                    .own_deadline_ns = INT64_MAX};
    enum fault_reason due = world->model.draining ? FAULT_DRAINING : FAULT_NONE;
    struct subscription_params real;
    struct world_consumer *consumer;
    struct fault fault;

    if (c < 0)
        return;
    /* Activations that end at one deadline end in either order; where the last one's end decides
     * something, that must not be. */
    if (!params.ends && roll(world, 6) == 0)
        params.own_deadline_ns = clock_mono_ns() + some_time_ns(world);
    consumer = &world->consumers[c];
    consumer->exact = roll(world, 3) > 0;
    real = world_subscription_wish(consumer, &params);
    world->model.consumers[c] = params; /* the port asks for its nature */
    CHECK(hub_subscribe(world->hub, &real, &consumer->subscription, &consumer->result, &fault) == due);
    if (due == FAULT_NONE)
        model_subscribe(&world->model, c, &params);
    else
        filter_free(real.filter);
}

static void leave(struct world *world, int c, enum fault_reason reason)
{
    struct world_consumer *consumer = &world->consumers[c];
    struct subscription *gone = consumer->subscription;
    bool whole =
        world->model.consumers[c].life == C_DRAINING && chan_state(consumer->result.chan) == CHAN_DRAINING;

    /* A drain that had its time delivers everything. */
    if (whole && roll(world, 2) == 0)
        CHECK(world_read_all(consumer) || !consumer->exact);
    consumer->subscription = NULL;
    hub_unsubscribe(gone, reason);
    world_forget(consumer);
    model_unsubscribe(&world->model, c, (int)reason);
}

static void step_unsubscribe(struct world *world)
{
    static const enum fault_reason whys[] = {FAULT_NONE, FAULT_CANCELLED, FAULT_DEADLINE};
    int c = pick(world, CONSUMERS, any_consumer);

    if (c >= 0)
        leave(world, c, whys[roll(world, ARRAY_LEN(whys))]);
}

static void step_finish(struct world *world)
{
    int c = pick(world, CONSUMERS, any_consumer);
    enum closing reason = roll(world, 2) == 0 ? CLOSING_FINISHED : CLOSING_DISCONNECTED;
    int64_t drain_ns = roll(world, 6) == 0 ? 0 : some_time_ns(world);
    struct fault fault;

    if (c < 0)
        return;
    CHECK(hub_finish(world->hub, text_of(world->consumers[c].result.id), reason, drain_ns, &fault) ==
          FAULT_NONE);
    model_finish(&world->model, c, (int)reason, drain_ns);
}

static void step_kick(struct world *world)
{
    int c = pick(world, CONSUMERS, live_consumer);
    struct fault fault;

    if (c < 0)
        return;
    CHECK(hub_disconnect(world->hub, text_of(world->consumers[c].result.id), text_of("off"), &fault) ==
          FAULT_NONE);
    model_kick(&world->model, c);
}

static void step_select(struct world *world)
{
    int c = pick(world, CONSUMERS, any_consumer);
    struct model_filter params = some_filter(world);
    struct filter *filter = filter_of(params.producers, params.topic, NULL);
    uint32_t revision;

    if (c < 0 || world->model.consumers[c].life != C_LIVE) {
        CHECK(c < 0 || hub_select(world->consumers[c].subscription, filter) == 0);
        filter_free(filter);
        return;
    }
    revision = hub_select(world->consumers[c].subscription, filter);
    CHECK(revision > 0);
    if (world->consumers[c].subscription) /* it may have ended with it */
        world_marked(&world->consumers[c], revision);
    model_select(&world->model, c, params);
}

static void step_read(struct world *world)
{
    int c = pick(world, CONSUMERS, any_consumer);

    if (c < 0)
        return;
    if (chan_state(world->consumers[c].result.chan) == CHAN_CLOSED)
        world->consumers[c].exact = false; /* the rest was lost */
    world_read(&world->consumers[c], 1 + (uint32_t)roll(world, 20));
}

static void emptied(void *ctx)
{
    ((struct world *)ctx)->emptied = true;
}

static void step_drain(struct world *world)
{
    int64_t drain_ns = roll(world, 4) == 0 ? 0 : some_time_ns(world);

    hub_drain(world->hub, drain_ns, emptied, world);
    model_drain(&world->model, drain_ns);
}

static void step_time(struct world *world)
{
    world_pass(world, some_time_ns(world));
}

void world_step(struct world *world)
{
    static const struct {
        unsigned weight;
        void (*step)(struct world *world);
    } steps[] = {{14, step_register},   {6, step_unregister}, {30, step_offer}, {12, step_offer_shared},
                 {10, step_end},        {8, step_publish},    {4, step_remove}, {14, step_subscribe},
                 {4, step_unsubscribe}, {5, step_finish},     {3, step_kick},   {6, step_select},
                 {24, step_read},       {12, step_time}};
    unsigned sum = 0;
    uint64_t at;

    /* No two steps at one moment: what they make due together could come in either order. */
    world_pass(world, 1 + (int64_t)roll(world, 1000));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        sum += steps[i].weight;
    at = roll(world, sum * 20 + 1);
    if (at == sum * 20) {
        step_drain(world);
    } else {
        size_t i = 0;

        for (at %= sum; at >= steps[i].weight; i++)
            at -= steps[i].weight;
        steps[i].step(world);
    }
    world_agree(world);
}

void world_open(struct world *world, uint64_t seed)
{
    static const struct hub_limits limits = {
        .max_producers = 64, .max_subscriptions = 64, .transient_forget_ns = FORGET_NS};

    memset(world, 0, sizeof(*world));
    world->dice.state = seed;
    dice_roll(&world->dice, 2);
    for (int s = 0; s < SESSIONS; s++)
        world->sessions[s] = (struct world_session){.world = world, .place = s};
    for (int c = 0; c < CONSUMERS; c++)
        world->consumers[c] = (struct world_consumer){.world = world, .place = c};
    CHECK(loop_new(&world->loop).code == ERR_OK);
    CHECK(hub_new(world->loop, &limits, &world->hub).code == ERR_OK);
    world->model.now_ns = clock_mono_ns();
}

void world_close(struct world *world)
{
    int place;

    if (roll(world, 2) == 0) {
        step_drain(world);
        world_agree(world);
        step_time(world);
    }
    while ((place = pick(world, CONSUMERS, any_consumer)) >= 0) {
        leave(world, place, FAULT_NONE);
        world_agree(world);
    }
    while (pick(world, SESSIONS, any_session) >= 0) {
        step_unregister(world);
        world_agree(world);
    }
    hub_free(world->hub);
    loop_free(world->loop);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
}
