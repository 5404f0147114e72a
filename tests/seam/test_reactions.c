/* test_reactions.c - random schedules in which ports react at random from within each of their
 * functions, while memory runs out now and then. Nothing is compared with a model. After each step
 * the hub must hold no object that is still to move, and the promises of session_port.h and
 * subscription_port.h must be kept.
 *
 *   test_reactions           4000 schedules, always the same
 *   test_reactions 1 42      schedule 42 once more; a failure prints its number */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "flow/put_waiter.h"
#include "hub/activation_internal.h"
#include "hub/inlet_table.h"
#include "hub/binding.h"
#include "hub/hub_internal.h"
#include "hub/producer.h"
#include "hub/producer_internal.h"
#include "hub/session.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "hub/subscription.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"
#include "seam/check_shares.h"
#include "seam/hub_fixture.h"
#include "seam/virtual_clock.h"

#define SCHEDULES 4000
#define STEPS 120
#define SESSIONS 6
#define CONSUMERS 4
#define MAX_STARTS 512

/* ---- memory that runs out ---- */

static bool memory_may_fail; /* only while the hub is called */
static unsigned fail_one_in; /* 0: never */
static bool timers_fail;
static struct dice memory_dice;

static bool fails(void)
{
    return memory_may_fail && fail_one_in > 0 && dice_roll(&memory_dice, fail_one_in) == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *before, size_t size);
void *__real_reallocarray(void *before, size_t count, size_t size);
enum err __real_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *before, size_t size);
void *__wrap_reallocarray(void *before, size_t count, size_t size);
enum err __wrap_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *before, size_t size)
{
    return fails() ? NULL : __real_realloc(before, size);
}

void *__wrap_reallocarray(void *before, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(before, count, size);
}

enum err __wrap_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns)
{
    bool may_fail = memory_may_fail;
    enum err err;

    if (timers_fail || fails()) {
        timer_stop(timer);
        return ERR_NO_MEMORY;
    }
    memory_may_fail = false;
    err = __real_timer_start(loop, timer, delay_ns);
    memory_may_fail = may_fail;
    return err;
}

/* ---- the sessions and consumers of a schedule ---- */

enum start_state { UNKNOWN, STARTED, STOPPED, ENDED };

struct party {
    struct session *session; /* NULL: it has left, or was never there */
    struct session *blocked; /* its waiter has not been notified yet */
    struct put_waiter waiter;
    enum session_mode mode;
    bool left, welcomed, closing, aborted;
    uint64_t latest;
    enum start_state starts[MAX_STARTS];
};

struct audience {
    struct subscription *subscription;
    struct subscription_result result;
    struct chan_batch batch;
    bool left, closing, aborted;
    bool selecting; /* selected() is due */
};

static struct dice dice;
static struct loop *loop;
static struct hub *hub;
static struct party parties[SESSIONS];
static struct audience audiences[CONSUMERS];
static unsigned reacts_one_in, emptied;
static bool draining, free_at_emptied;
static uint64_t seed;

static bool reacts(void)
{
    return reacts_one_in > 0 && dice_roll(&dice, reacts_one_in) == 0;
}

static void leave(struct party *party)
{
    static const enum fault_reason reasons[] = {FAULT_NONE, FAULT_CANCELLED, FAULT_NOT_READING};
    struct session *session = party->session;

    party->session = NULL;
    party->left = true;
    hub_unregister(session, reasons[dice_roll(&dice, ARRAY_LEN(reasons))]);
}

static void end_one(struct party *party, uint64_t number)
{
    static const uint32_t codes[] = {CODE_OK, CODE_OK, CODE_UNAVAILABLE, CODE_INTERNAL};

    /* Where it has ended already, its stop() may still come. */
    if (inlet_table_find(party->session, number))
        party->starts[number] = ENDED;
    session_end(party->session, number, codes[dice_roll(&dice, ARRAY_LEN(codes))], "it says so",
                SESSION_END_BY_CODE);
}

static void read_some(struct audience *audience)
{
    chan_dequeue(audience->result.chan, &audience->batch, 1 + (uint32_t)dice_roll(&dice, 4), 256 << 10,
                 clock_mono_ns());
    chan_delivered(audience->result.chan, &audience->batch);
}

/* Takers are threads of their own: they go on while a port is called. */
static void read_all(void)
{
    bool may_fail = memory_may_fail;

    memory_may_fail = false;
    for (size_t i = 0; i < CONSUMERS; i++)
        if (audiences[i].subscription)
            read_some(&audiences[i]);
    memory_may_fail = may_fail;
}

/* `number`: the activation that the call is about; 0: none. */
static void react(struct party *party, uint64_t number)
{
    while (party->session && reacts()) {
        uint64_t roll = dice_roll(&dice, 4);

        if (roll == 0)
            leave(party);
        else
            end_one(party, roll < 3 && number > 0 ? number : dice_roll(&dice, party->latest + 3));
        read_all();
    }
}

static void welcome(void *ctx, uint64_t epoch)
{
    struct party *party = ctx;

    CHECK(epoch > 0 && !party->left && !party->welcomed && !party->aborted && !party->closing);
    party->welcomed = true;
    react(party, 0);
}

static void start(void *ctx, const struct activation_params *params)
{
    struct party *party = ctx;

    CHECK(!party->left && party->welcomed && !party->aborted);
    CHECK(params->activation == party->latest + 1 && params->activation < MAX_STARTS);
    party->latest = params->activation;
    party->starts[party->latest] = STARTED;
    react(party, party->latest);
}

static void stop(void *ctx, uint64_t number, enum fault_reason reason, int64_t deadline_ns)
{
    struct party *party = ctx;

    CHECK(!party->left && party->welcomed && !party->aborted);
    CHECK(number > 0 && number <= party->latest && party->starts[number] == STARTED);
    CHECK(reason != FAULT_NONE && (deadline_ns == 0 || deadline_ns > clock_mono_ns()));
    party->starts[number] = STOPPED;
    react(party, number);
}

static void set_paused(void *ctx, uint64_t number, bool pause)
{
    struct party *party = ctx;

    (void)pause;
    CHECK(!party->left && number > 0 && number <= party->latest);
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct party *party = ctx;

    (void)deadline_ns;
    CHECK(!party->left && party->welcomed && !party->aborted && !party->closing);
    CHECK(reason == FAULT_REPLACED || reason == FAULT_REMOVED || reason == FAULT_DRAINING);
    party->closing = true;
    react(party, 0);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct party *party = ctx;

    CHECK(!party->left && !party->aborted && fault->reason != FAULT_NONE);
    CHECK(list_empty(&party->session->activations));
    party->aborted = true;
    react(party, 0);
}

static const struct session_port session_port = {welcome, start, stop, set_paused, closing, abort_call, NULL};

static void forget(struct audience *audience)
{
    CHECK(!audience->selecting);
    check_totals(audience->result.chan);
    chan_release(audience->result.chan);
    chan_batch_fini(&audience->batch);
    audience->result.chan = NULL;
}

static void unsubscribe(struct audience *audience, enum fault_reason reason)
{
    struct subscription *subscription = audience->subscription;

    audience->subscription = NULL;
    audience->left = true;
    hub_unsubscribe(subscription, reason);
}

static void consumer_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct audience *audience = ctx;
    enum chan_state state = chan_state(audience->result.chan);

    (void)deadline_ns;
    CHECK(!audience->left && !audience->closing && !audience->aborted && reason != 0);
    CHECK(state == CHAN_OPEN || state == CHAN_BROKEN);
    audience->closing = true;
    if (reacts())
        unsubscribe(audience, FAULT_NONE);
}

static void consumer_abort(void *ctx, const struct fault *fault)
{
    struct audience *audience = ctx;

    CHECK(!audience->left && !audience->aborted && fault->reason != FAULT_NONE);
    CHECK(audience->closing || chan_state(audience->result.chan) != CHAN_CLOSED);
    audience->aborted = true;
    if (reacts())
        unsubscribe(audience, fault->reason);
}

static void consumer_selected(void *ctx, enum fault_reason reason)
{
    struct audience *audience = ctx;

    CHECK(audience->selecting);
    CHECK(reason == FAULT_NONE || reason == FAULT_DRAINING || reason == FAULT_MEMORY_BUDGET);
    audience->selecting = false;
    if (!audience->left && reacts())
        unsubscribe(audience, FAULT_NONE);
}

static const struct subscription_port subscription_port = {.closing = consumer_closing,
                                                           .abort_call = consumer_abort};
static const struct subscription_port patient_port = {
    .selected = consumer_selected, .closing = consumer_closing, .abort_call = consumer_abort};

static void readable(void *ctx)
{
    (void)ctx;
}

static void over(struct put_waiter *waiter)
{
    struct party *party = container_of(waiter, struct party, waiter);
    struct session *session = party->blocked;

    CHECK(session);
    party->blocked = NULL;
    session_unblocked(session, 0);
}

/* ---- what holds between the steps ---- */

static void check_activations(const struct subscription *subscription)
{
    uint32_t count = 0;

    list_each(node, safe, &subscription->activations) {
        struct activation *activation = container_of(node, struct activation, in_subscription);

        CHECK(activation->subscription == subscription && !activation->ends && !activation->stop_due);
        CHECK(activation->refs == 1 && activation->session->state <= SESSION_CLOSING);
        CHECK(activation->state == ACTIVATION_ACTIVE || activation->state == ACTIVATION_STOPPING ||
              activation->state == ACTIVATION_RETRYING);
        CHECK(activation->own.in_table == (activation->state != ACTIVATION_RETRYING) &&
              activation->open == activation->own.in_table &&
              heap_holds(&activation->due) == (activation->state != ACTIVATION_ACTIVE));
        CHECK((activation->ctx.state == CTX_DRAINING) == (activation->state == ACTIVATION_STOPPING));
        count++;
    }
    CHECK(count == subscription->activation_count);
}

/* Nothing is left of a select, and each shared session that the filter wants is bound once. */
static void check_bindings(const struct subscription *subscription)
{
    CHECK(!subscription->rebind && !subscription->spare_filter && subscription->spare_count == 0);
    CHECK(!subscription->selected_due && list_empty(&subscription->spare_bindings));
    list_each(node, safe, &subscription->bindings) {
        const struct binding *binding = container_of(node, struct binding, link);

        CHECK(binding->route.linked && !binding->route.second && !binding->twin);
    }
    list_each(other, next, &hub->sessions) {
        struct session *session = container_of(other, struct session, link);
        const struct inlet *inlet = &session->producer.inlet;
        struct filter_part part = producer_part(&session->producer, subscription->filter);
        unsigned count = wildcard_gets(&subscription->wildcard, inlet);

        for (uint32_t i = 0; i < inlet->route_count; i++)
            count += inlet->routes[i]->chan == subscription->chan;
        if (session->state == SESSION_LIVE && session->kind == &shared_session_kind)
            CHECK(count == (part.answer != FILTER_NONE));
        CHECK(inlet->second_count == 0);
    }
}

static void check_subscriptions(void)
{
    uint32_t count = 0;

    sorted_each(node, &hub->subscriptions)
    {
        struct subscription *subscription = container_of(node, struct subscription, by_id);

        count++;
        CHECK(subscription->refs == 1 && !subscription->unsubscribed && !subscription->left);
        check_activations(subscription);
        if (subscription->ctx.state == CTX_LIVE)
            check_bindings(subscription);
        if (subscription->ctx.state == CTX_LIVE)
            CHECK(!subscription->ends_with_activations || !subscription->begun ||
                  subscription->activation_count > 0);
        else
            CHECK(!bindings_left(subscription) && !subscription->rebind);
        if (subscription->ctx.state == CTX_DRAINING)
            CHECK(subscription->closing_called &&
                  (subscription->activation_count > 0 || chan_state(subscription->chan) != CHAN_OPEN));
        if (subscription->ctx.state == CTX_CANCELLED)
            CHECK(subscription->abort_called && subscription->activation_count == 0 &&
                  chan_state(subscription->chan) == CHAN_CLOSED);
    }
    CHECK(count == hub->ids.count && count_get(COUNT_LIVE_SUBSCRIPTIONS) == count);
}

static void check_sessions(void)
{
    list_each(node, safe, &hub->sessions) {
        struct session *session = container_of(node, struct session, link);

        CHECK(!session->unregistered && !session->abort_due);
        switch (session->state) {
        case SESSION_WAITING:
            CHECK(session->predecessor && session->predecessor->successor == session);
            CHECK(session->predecessor->state == SESSION_CLOSING && !session->producer.named);
            break;
        case SESSION_LIVE:
            CHECK(session->welcome_called && session->producer.named && !session->successor);
            break;
        case SESSION_CLOSING:
            CHECK(session->closing_called && !session->late && session->deadline.loop);
            CHECK(session->kind == &shared_session_kind || !list_empty(&session->activations));
            break;
        case SESSION_GONE:
            CHECK(session->concluded && list_empty(&session->activations) && !session->producer.named &&
                  !session->successor && !session->predecessor && !session->deadline.loop);
            break;
        }
    }
}

static void check_hub(void)
{
    memory_may_fail = false;
    for (size_t i = 0; i < CONSUMERS; i++)
        if (audiences[i].left && audiences[i].result.chan)
            forget(&audiences[i]);
    if (!hub)
        return;
    CHECK(!hub->ready.running && list_empty(&hub->ready.ready) && list_empty(&hub->ready.calls));
    check_subscriptions();
    check_sessions();
    check_shares(hub);
}

/* ---- the steps ---- */

static const char *const names[] = {"a", "b", "ab"};

static struct bytes some_name(void)
{
    return text_of(names[dice_roll(&dice, ARRAY_LEN(names))]);
}

/* Each of three peers may have 2 names and 2 subscriptions. */
static struct peer_key some_peer(void)
{
    uint64_t number = dice_roll(&dice, 4);

    return number == 0 ? NO_PEER : (struct peer_key){PEER_IPV4, number};
}

static int64_t some_drain_ns(void)
{
    static const int64_t waits_ns[] = {0, NS_PER_MS, NS_PER_S, 5 * NS_PER_S, INT64_MAX};

    return waits_ns[dice_roll(&dice, ARRAY_LEN(waits_ns))];
}

static struct filter *some_filter(void)
{
    static const char *const patterns[] = {"*", "a", "b", "a*", "c"};
    static const char *const topics[] = {NULL, NULL, "x"};

    return filter_of(patterns[dice_roll(&dice, ARRAY_LEN(patterns))],
                     topics[dice_roll(&dice, ARRAY_LEN(topics))], NULL);
}

static void step_register(struct party *party)
{
    struct session_params params = {.name = some_name(),
                                    .mode = dice_roll(&dice, 3) == 0 ? SESSION_SHARED : SESSION_PER_CONSUMER,
                                    .reject_duplicate = dice_roll(&dice, 8) == 0,
                                    .start_first = dice_roll(&dice, 2) == 0,
                                    .peer_key = some_peer(),
                                    .port = &session_port,
                                    .ctx = party};
    struct fault fault;

    *party = (struct party){.mode = params.mode, .waiter = {.over = over}};
    memory_may_fail = true;
    /* Its port may be called before hub_register() returns, so it writes `session` itself. */
    if (hub_register(hub, &params, &party->session, &fault) != FAULT_NONE) {
        party->session = NULL;
        party->left = true;
    }
}

static void step_session(struct party *party)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct offer offer;
    uint64_t number;

    if (!party->session) {
        if (!party->blocked)
            step_register(party);
        return;
    }
    number = dice_roll(&dice, party->latest + 2);
    switch (dice_roll(&dice, 8)) {
    case 0:
        memory_may_fail = true;
        leave(party);
        return;
    case 1:
        memory_may_fail = true;
        end_one(party, number);
        return;
    default:
        break;
    }
    if (party->blocked)
        return;
    chunk = sample_chunk(1 + (uint32_t)dice_roll(&dice, 3), dice_roll(&dice, 2) == 0 ? "x" : "y", 8);
    if (party->mode == SESSION_SHARED)
        number = 0;
    party->blocked = party->session;
    memory_may_fail = true;
    if (session_offer(party->session, number, chunk, number == 0 ? &party->waiter : NULL, &offer) !=
        ERR_AGAIN)
        party->blocked = NULL;
    memory_may_fail = false;
}

static void step_subscribe(struct audience *audience)
{
    static const enum overflow overflows[] = {OVERFLOW_BLOCK, OVERFLOW_DROP_OLDEST, OVERFLOW_DISCONNECT};
    struct subscription_params params = {
        .filter = some_filter(),
        .limits = {.max_events = 1 + (uint32_t)dice_roll(&dice, 6),
                   .max_bytes = 1u << 20,
                   .overflow = overflows[dice_roll(&dice, ARRAY_LEN(overflows))],
                   .fallback = OVERFLOW_DROP_OLDEST,
                   .block_timeout_ns = NS_PER_S},
        .callbacks = {readable, audience},
        .name = text_of("a consumer"),
        .peer_key = some_peer(),
        .request = text_of("q"),
        .deadline_ns = dice_roll(&dice, 4) == 0 ? clock_mono_ns() + NS_PER_S : 0,
        .last = dice_roll(&dice, 4) == 0 ? 2 : 0,
        .end_when_all_ended = dice_roll(&dice, 2) == 0,
        .port = dice_roll(&dice, 2) == 0 ? &subscription_port : &patient_port,
        .ctx = audience};
    struct fault fault;

    *audience = (struct audience){0};
    memory_may_fail = true;
    if (hub_subscribe(hub, &params, &audience->subscription, &audience->result, &fault) != FAULT_NONE) {
        memory_may_fail = false;
        audience->subscription = NULL;
        filter_free(params.filter);
    }
}

/* A select that fails leaves a wildcard a wildcard. */
static void select_some_filter(struct audience *audience)
{
    const bool wildcard = audience->subscription->wildcard.in_set;
    struct filter *filter;

    if (audience->selecting)
        return;
    filter = some_filter();
    audience->selecting = audience->subscription->port->selected;
    memory_may_fail = true;
    if (hub_select(audience->subscription, filter, &(struct fault){.reason = FAULT_NONE}) != 0)
        return;
    memory_may_fail = false;
    audience->selecting = false;
    filter_free(filter);
    if (wildcard && audience->subscription && audience->subscription->ctx.state == CTX_LIVE)
        CHECK(audience->subscription->wildcard.in_set);
}

static void step_consumer(struct audience *audience)
{
    struct fault fault;

    if (!audience->subscription) {
        if (!audience->result.chan) /* else it is not over with the one before */
            step_subscribe(audience);
        return;
    }
    switch (dice_roll(&dice, 8)) {
    case 0:
        memory_may_fail = true;
        unsubscribe(audience, dice_roll(&dice, 2) == 0 ? FAULT_NONE : FAULT_DEADLINE);
        break;
    case 1:
        memory_may_fail = true;
        (void)!hub_finish(hub, text_of(audience->result.id), CLOSING_FINISHED, some_drain_ns(), &fault);
        break;
    case 2:
        memory_may_fail = true;
        (void)!hub_disconnect(hub, text_of(audience->result.id), text_of("go"), &fault);
        break;
    case 3:
    case 4:
        select_some_filter(audience);
        break;
    default:
        read_some(audience);
        break;
    }
}

static void ignore_view(void *ctx, const struct producer_view *view)
{
    (void)ctx;
    (void)view;
}

static void on_emptied(void *ctx)
{
    (void)ctx;
    CHECK(emptied++ == 0 && hub->ids.count == 0);
    if (!free_at_emptied || !list_empty(&hub->sessions) || count_get(COUNT_LIVE_SESSIONS) > 0)
        return;
    hub_free(hub);
    hub = NULL;
}

static void step_transient(void)
{
    struct bytes name = some_name();
    struct peer_key peer = some_peer();
    struct inlet *inlet;
    struct fault fault;

    memory_may_fail = true;
    if (hub_inlet_open(hub, name, NULL, peer, &inlet, &fault) == FAULT_NONE)
        inlet_leave(inlet);
}

/* Where work is done in slices: finishes all of it. */
static void settle(void)
{
    if (virtual_slice_steps > 0)
        virtual_time_pass(loop, 0);
}

static void step(void)
{
    struct fault fault;

    switch (dice_roll(&dice, 16)) {
    case 0:
        memory_may_fail = true;
        (void)!hub_remove(hub, some_name(), some_drain_ns(), ignore_view, NULL, &fault);
        break;
    case 1:
        step_transient();
        break;
    case 2:
        memory_may_fail = true;
        virtual_time_pass(loop, 1 + (int64_t)dice_roll(&dice, (uint64_t)(2 * NS_PER_S)));
        break;
    case 3:
        if (dice_roll(&dice, 10) > 0)
            break;
        draining = true;
        memory_may_fail = true;
        hub_drain(hub, some_drain_ns(), on_emptied, NULL);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        step_consumer(&audiences[dice_roll(&dice, CONSUMERS)]);
        break;
    default:
        step_session(&parties[dice_roll(&dice, SESSIONS)]);
        break;
    }
    if (virtual_slice_steps > 0 && dice_roll(&dice, 3) > 0) {
        memory_may_fail = false;
        return; /* the next step comes in between */
    }
    settle();
    check_hub();
}

static void finish(void)
{
    fail_one_in = 0;
    settle();
    virtual_slice_steps = 0;
    check_hub();
    for (size_t i = 0; i < SESSIONS && hub; i++) {
        if (dice_roll(&dice, 4) == 0 && !draining) {
            draining = true;
            hub_drain(hub, 0, on_emptied, NULL);
            check_hub();
        }
        if (hub && i < CONSUMERS && audiences[i].subscription)
            unsubscribe(&audiences[i], FAULT_NONE);
        check_hub();
        if (hub && parties[i].session)
            leave(&parties[i]);
        check_hub();
    }
    if (hub) {
        CHECK(emptied == (unsigned)draining);
        hub_free(hub);
    }
    loop_free(loop);
}

static void check_nothing_left(void)
{
    static const enum counter live[] = {COUNT_LIVE_CHUNKS,    COUNT_LIVE_CHUNK_BYTES,   COUNT_LIVE_CONTEXTS,
                                        COUNT_LIVE_PRODUCERS, COUNT_LIVE_SUBSCRIPTIONS, COUNT_LIVE_ROUTES,
                                        COUNT_LIVE_SESSIONS,  COUNT_LIVE_ACTIVATIONS,   COUNT_LIVE_CHANNELS};

    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        CHECK(count_get(live[i]) == 0);
}

static void schedule_open(void)
{
    struct settings settings = settings_defaults;

    settings.max_producers = settings.max_subscriptions = 8;
    settings.peer_share_percent = 25;
    settings.transient_forget_ns = NS_PER_S;
    virtual_clock_reset();
    emptied = reacts_one_in = fail_one_in = 0;
    draining = false;
    memset(parties, 0, sizeof(parties));
    memset(audiences, 0, sizeof(audiences));
    CHECK(loop_new(&loop).code == ERR_OK);
    CHECK(loop_publish_settings(loop, &settings) == ERR_OK);
    CHECK(hub_new(loop, &hub).code == ERR_OK);
}

static void run(void)
{
    static const unsigned one_in[] = {0, 0, 200, 40, 12, 4};
    static const unsigned steps_of_slices[] = {0, 0, 1, 2, 7};

    schedule_open();
    dice = (struct dice){seed * UINT64_C(0x9e3779b97f4a7c15)};
    memory_dice = (struct dice){seed * UINT64_C(0xd1342543de82ef95)};
    fail_one_in = one_in[dice_roll(&dice, ARRAY_LEN(one_in))];
    reacts_one_in = 2 + (unsigned)dice_roll(&dice, 11);
    free_at_emptied = dice_roll(&dice, 2) == 0;
    virtual_slice_steps = steps_of_slices[dice_roll(&dice, ARRAY_LEN(steps_of_slices))];
    for (unsigned i = 0; i < STEPS && hub; i++)
        step();
    finish();
    check_nothing_left();
}

static void join(struct party *party, const char *name)
{
    const struct session_params params = {
        .name = text_of(name), .mode = SESSION_PER_CONSUMER, .port = &session_port, .ctx = party};
    struct fault fault;

    *party = (struct party){.mode = params.mode};
    CHECK(hub_register(hub, &params, &party->session, &fault) == FAULT_NONE);
}

/* The timer of retries could not be set. The first activation that waits for it is the first in the
 * queue from then on, so no other one comes before it. */
static void retries_go_on_when_there_is_memory_again(void)
{
    struct party *party = &parties[0];
    struct fault fault;

    schedule_open();
    join(party, "a");
    for (size_t i = 0; i < 2; i++) {
        struct subscription_params params = subscription_params_of(NULL);

        params.callbacks = (struct chan_callbacks){readable, &audiences[i]};
        params.port = &subscription_port;
        params.ctx = &audiences[i];
        CHECK(hub_subscribe(hub, &params, &audiences[i].subscription, &audiences[i].result, &fault) ==
              FAULT_NONE);
    }
    CHECK(party->latest == 2);
    timers_fail = true;
    session_end(party->session, 1, CODE_UNAVAILABLE, NULL, SESSION_END_BY_CODE);
    timers_fail = false;
    virtual_time_pass(loop, NS_PER_S / 2);
    session_end(party->session, 2, CODE_UNAVAILABLE, NULL, SESSION_END_BY_CODE);
    virtual_time_pass(loop, 2 * NS_PER_S);
    CHECK(party->latest == 4);
    finish();
    check_nothing_left();
}

static void failed(int number)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "schedule %llu failed: test_reactions 1 %llu\n",
                        (unsigned long long)seed, (unsigned long long)seed);

    (void)number;
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        _exit(2);
    signal(SIGABRT, SIG_DFL);
    abort();
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SCHEDULES;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    signal(SIGABRT, failed);
    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    retries_go_on_when_there_is_memory_again();
    for (seed = first; seed < first + count; seed++)
        run();
    printf("%llu schedules\n", (unsigned long long)count);
    return 0;
}
