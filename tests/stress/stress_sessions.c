/* stress_sessions.c - sessions on threads of their own, two for each name so that they replace one
 * another; consumers that come, select and go, with takers on threads of their own; a producer that
 * is removed all the time.
 *
 * Each taker checks what no interleaving may break: a source's sequences rise by one where nothing
 * is lost; every event between two marks is one that the selectors of that time want. Each session
 * checks that it is told in order. At the end the events taken in are those that were offered,
 * every activation that was started has ended, and nothing is left alive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/put_waiter.h"
#include "hub/session.h"
#include "seam/hub_fixture.h"
#include "stress/bell.h"

#define NAMES 2u
#define SESSIONS 4u
#define SEATS 5u
#define MAX_ASKED 64u
#define MAX_SOURCES 65536u

static struct loop *loop;
static struct hub *hub;
static atomic_bool stopping;
static atomic_uint callers_left = SESSIONS + 1;
static bool emptied;

/* A chunk of a few events of topics `a` and `b`. */
static struct chunk *some_chunk(struct dice *dice)
{
    char topics[21];
    size_t count = 1 + dice_roll(dice, sizeof(topics) - 1);

    for (size_t i = 0; i < count; i++)
        topics[i] = dice_roll(dice, 2) == 0 ? 'a' : 'b';
    topics[count] = '\0';
    return chunk_of_letters(topics, dice_roll(dice, 40));
}

/* ---- callers: whoever has a call of its own and asks the loop ---- */

struct caller {
    pthread_t thread;
    struct dice dice;
    struct wakeup wakeup;
    struct task task;
    void (*ask)(struct caller *caller); /* on the loop */
    _Atomic bool answered;
    char name[4];
    struct put_waiter waiter;
    uint64_t events;
    /* A transient producer's. */
    struct inlet *inlet;
    uint64_t removed;
    /* A session's. */
    struct session *session;
    enum session_mode mode;
    uint64_t ending; /* the activation to end */
    pthread_mutex_t lock;
    /* Under the lock: what the session was told. */
    bool welcomed, abort_call;
    uint64_t latest;
    struct asked {
        uint64_t number;
        bool stopped;
    } asked[MAX_ASKED];
    unsigned asked_count;
    /* Any thread. */
    _Atomic int64_t starts, ends, stops, paused, pauses;
};

static void on_ask(struct task *task)
{
    struct caller *caller = container_of(task, struct caller, task);

    caller->ask(caller);
    atomic_store(&caller->answered, true);
    bell_ring(&caller->wakeup);
}

static void await(struct caller *caller)
{
    while (!atomic_load(&caller->answered))
        bell_wait(&caller->wakeup, NS_PER_S);
}

static void ask(struct caller *caller, void (*what)(struct caller *caller))
{
    atomic_store(&caller->answered, false);
    caller->ask = what;
    caller->task.run = on_ask;
    loop_post(loop, &caller->task);
    await(caller);
}

static void stall_over(struct put_waiter *waiter)
{
    struct caller *caller = container_of(waiter, struct caller, waiter);

    if (caller->session)
        session_unblocked(caller->session);
    else
        inlet_unblocked(caller->inlet);
    atomic_store(&caller->answered, true);
    bell_ring(&caller->wakeup);
}

/* ---- a transient producer that is removed now and then ---- */

static void open_inlet(struct caller *caller)
{
    struct fault fault;

    if (hub_inlet_open(hub, text_of(caller->name), "putter", &caller->inlet, &fault) != FAULT_NONE)
        caller->inlet = NULL;
}

static void remove_it(struct caller *caller)
{
    struct producer_view view;
    struct fault fault;

    if (hub_remove(hub, text_of(caller->name), 0, hub_fixture_copy_view, &view, &fault) == FAULT_NONE)
        caller->removed++;
}

static void *publish_on(void *ctx)
{
    struct caller *caller = ctx;

    for (;;) {
        OWNED(chunk_release) struct chunk *chunk = some_chunk(&caller->dice);
        struct offer offer;
        enum err err;

        if (!caller->inlet)
            caller->inlet = hub_inlet_find(hub, text_of(caller->name), "putter");
        if (!caller->inlet)
            ask(caller, open_inlet);
        if (!caller->inlet)
            break;
        if (dice_roll(&caller->dice, 200) == 0)
            ask(caller, remove_it);
        atomic_store(&caller->answered, false);
        err = inlet_offer(caller->inlet, chunk, &caller->waiter, &offer);
        if (err == ERR_OK || err == ERR_AGAIN)
            caller->events += chunk->count;
        if (err == ERR_AGAIN)
            await(caller);
        if (err == ERR_NOT_FOUND || err == ERR_CLOSED) {
            inlet_leave(caller->inlet);
            caller->inlet = NULL;
        }
        if (err == ERR_CLOSED)
            break;
    }
    atomic_fetch_sub(&callers_left, 1);
    return NULL;
}

/* ---- sessions ---- */

static void welcome(void *ctx, uint64_t epoch)
{
    struct caller *caller = ctx;

    pthread_mutex_lock(&caller->lock);
    CHECK(!caller->welcomed && epoch > 0);
    caller->welcomed = true;
    pthread_mutex_unlock(&caller->lock);
    bell_ring(&caller->wakeup);
}

static void start(void *ctx, const struct activation_params *params)
{
    struct caller *caller = ctx;

    pthread_mutex_lock(&caller->lock);
    CHECK(caller->welcomed && !caller->abort_call && params->activation == caller->latest + 1 &&
          caller->asked_count < MAX_ASKED);
    caller->latest = params->activation;
    caller->asked[caller->asked_count++] = (struct asked){.number = params->activation};
    pthread_mutex_unlock(&caller->lock);
    atomic_fetch_add(&caller->starts, 1);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct caller *caller = ctx;

    CHECK(reason != FAULT_NONE);
    pthread_mutex_lock(&caller->lock);
    CHECK(!caller->abort_call && activation <= caller->latest);
    for (unsigned i = 0; i < caller->asked_count; i++)
        if (caller->asked[i].number == activation) {
            CHECK(!caller->asked[i].stopped);
            caller->asked[i].stopped = true;
            if (deadline_ns == 0)
                caller->asked[i] = caller->asked[--caller->asked_count];
            break;
        }
    pthread_mutex_unlock(&caller->lock);
    atomic_fetch_add(&caller->stops, 1);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct caller *caller = ctx;

    CHECK(activation > 0);
    atomic_fetch_add(&caller->paused, pause ? 1 : -1);
    atomic_fetch_add(&caller->pauses, pause);
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    (void)ctx;
    CHECK((reason == FAULT_REPLACED || reason == FAULT_REMOVED || reason == FAULT_DRAINING) &&
          deadline_ns > 0);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct caller *caller = ctx;

    (void)fault;
    pthread_mutex_lock(&caller->lock);
    CHECK(!caller->abort_call);
    caller->abort_call = true;
    pthread_mutex_unlock(&caller->lock);
    bell_ring(&caller->wakeup);
}

static const struct session_port session_port = {welcome, start, stop, set_paused, closing, abort_call};

static void join(struct caller *caller)
{
    struct session_params params = {
        .name = text_of(caller->name), .mode = caller->mode, .port = &session_port, .ctx = caller};
    struct fault fault;

    params.start_first = dice_roll(&caller->dice, 2) == 0;
    if (hub_register(hub, &params, &caller->session, &fault) != FAULT_NONE)
        caller->session = NULL;
}

static void leave(struct caller *caller)
{
    hub_unregister(caller->session, dice_roll(&caller->dice, 2) == 0 ? FAULT_NONE : FAULT_CANCELLED);
    caller->session = NULL;
}

static void end_one(struct caller *caller)
{
    session_end(caller->session, caller->ending, dice_roll(&caller->dice, 3) == 0 ? CODE_INTERNAL : CODE_OK,
                "enough");
}

static void offer(struct caller *caller, uint64_t activation)
{
    OWNED(chunk_release) struct chunk *chunk = some_chunk(&caller->dice);
    struct offer taken;
    enum err err;

    atomic_store(&caller->answered, false);
    err = session_offer(caller->session, activation, chunk, activation == 0 ? &caller->waiter : NULL, &taken);
    CHECK(err == ERR_OK || err == ERR_CLOSED || (err == ERR_AGAIN && activation == 0));
    if (err != ERR_CLOSED)
        caller->events += chunk->count;
    if (err == ERR_AGAIN)
        await(caller);
}

/* Says something for one of its activations, or ends it: soon when it was told to, now and then
 * without. */
static void act(struct caller *caller)
{
    struct asked asked = {0};
    unsigned place;

    pthread_mutex_lock(&caller->lock);
    if (caller->asked_count > 0) {
        place = (unsigned)dice_roll(&caller->dice, caller->asked_count);
        asked = caller->asked[place];
        if (dice_roll(&caller->dice, asked.stopped ? 4 : 400) == 0) {
            caller->asked[place] = caller->asked[--caller->asked_count];
            caller->ending = asked.number;
        }
    }
    pthread_mutex_unlock(&caller->lock);
    if (caller->ending > 0)
        ask(caller, end_one);
    else if (asked.number > 0)
        offer(caller, asked.number);
    else if (caller->mode == SESSION_SHARED)
        offer(caller, 0);
    caller->ending = 0;
    if (asked.number == 0 && caller->mode == SESSION_PER_CONSUMER)
        bell_wait(&caller->wakeup, NS_PER_MS);
}

static bool is_cut(struct caller *caller, bool *welcomed)
{
    bool over;

    pthread_mutex_lock(&caller->lock);
    over = caller->abort_call;
    *welcomed = caller->welcomed;
    pthread_mutex_unlock(&caller->lock);
    return over;
}

static void *register_on(void *ctx)
{
    struct caller *caller = ctx;

    for (;;) {
        bool welcomed;

        caller->welcomed = caller->abort_call = false;
        caller->latest = caller->asked_count = 0;
        caller->mode = dice_roll(&caller->dice, 3) == 0 ? SESSION_SHARED : SESSION_PER_CONSUMER;
        snprintf(caller->name, sizeof(caller->name), "s%u", (unsigned)dice_roll(&caller->dice, NAMES));
        ask(caller, join);
        if (!caller->session)
            break;
        for (uint64_t rounds = dice_roll(&caller->dice, 3000); rounds > 0 && !is_cut(caller, &welcomed);
             rounds--) {
            if (welcomed)
                act(caller);
            else
                bell_wait(&caller->wakeup, NS_PER_MS);
        }
        ask(caller, leave);
    }
    atomic_fetch_sub(&callers_left, 1);
    return NULL;
}

/* ---- consumers ---- */

struct transcript { /* of one source */
    uint64_t epoch, last;
};

struct seat {
    pthread_t thread;
    struct dice dice; /* the taker's */
    struct wakeup wakeup;
    struct task ended;
    _Atomic enum { FREE, SERVING, ENDED } state;
    /* The taker's while SERVING, otherwise the loop's. */
    bool selects; /* its filter is topic `a` or `b`, by turns, and nothing is parked */
    bool loses;   /* by its policy */
    _Atomic uint32_t mark;
    struct chan *chan;
    struct chan_batch batch;
    struct transcript *transcript;
    unsigned heard_count;
    uint64_t taken;
    /* The loop's. */
    struct subscription *subscription;
    struct subscription_result result;
    uint32_t revision;
    uint64_t served, marks, taken_by_all;
};

static struct transcript *hear(struct seat *seat, uint64_t epoch)
{
    for (unsigned i = seat->heard_count; i-- > 0;)
        if (seat->transcript[i].epoch == epoch)
            return &seat->transcript[i];
    CHECK(seat->heard_count < MAX_SOURCES);
    seat->transcript[seat->heard_count] = (struct transcript){.epoch = epoch};
    return &seat->transcript[seat->heard_count++];
}

static void check_topics(const struct seat *seat, const struct chan_batch_entry *entry)
{
    for (uint32_t i = entry->first; i < entry->last; i++) {
        struct event_view view;

        event_view(chunk_range(entry->chunk, i, i + 1), &view);
        CHECK(view.topic.size == 1 && view.topic.data[0] == "ab"[seat->mark % 2]);
    }
}

static bool serve_batch(struct seat *seat)
{
    uint32_t mark = chan_marked(seat->chan);
    bool more;

    CHECK(mark == 0 || mark > seat->mark);
    seat->mark = MAX_OF(seat->mark, mark);
    more = chan_dequeue(seat->chan, &seat->batch, 1 + (uint32_t)dice_roll(&seat->dice, 300), 1 << 16,
                        clock_mono_ns());
    for (uint32_t i = 0; i < seat->batch.count; i++) {
        const struct chan_batch_entry *entry = &seat->batch.entries[i];
        uint64_t first = chunk_sequence(entry->chunk, entry->first);
        struct transcript *transcript = hear(seat, entry->chunk->source->epoch);

        CHECK(first > transcript->last);
        CHECK(seat->selects || seat->loses || transcript->last == 0 || first == transcript->last + 1);
        transcript->last = chunk_sequence(entry->chunk, entry->last - 1);
        seat->taken += entry->last - entry->first;
        if (seat->selects)
            check_topics(seat, entry);
    }
    chan_states(seat->chan, 1000, NULL, NULL);
    check_totals(seat->chan);
    chan_delivered(seat->chan, &seat->batch);
    if (dice_roll(&seat->dice, 100) == 0)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    return more;
}

static void ignore(void *ctx, const struct lost_note *note)
{
    CHECK(((struct seat *)ctx)->loses || note->reason == LOSS_DRAIN_CUT || note->reason == LOSS_RESUME_GAP);
}

static void *take_on(void *ctx)
{
    struct seat *seat = ctx;

    while (!atomic_load(&stopping)) {
        enum chan_state state;

        if (atomic_load(&seat->state) != SERVING) {
            bell_wait(&seat->wakeup, 20 * NS_PER_MS);
            continue;
        }
        state = chan_state(seat->chan);
        while (serve_batch(seat))
            continue;
        chan_losses(seat->chan, 1000, ignore, seat);
        chan_tick(seat->chan, clock_mono_ns());
        if (state == CHAN_CLOSED || (state != CHAN_OPEN && chan_idle(seat->chan))) {
            atomic_store(&seat->state, ENDED);
            loop_post(loop, &seat->ended);
        } else {
            bell_wait(&seat->wakeup, 5 * NS_PER_MS);
        }
    }
    return NULL;
}

static void ended(struct task *task)
{
    struct seat *seat = container_of(task, struct seat, ended);

    hub_unsubscribe(seat->subscription, FAULT_NONE);
    check_totals(seat->chan);
    chan_release(seat->chan);
    seat->chan = NULL;
    seat->subscription = NULL;
    seat->served++;
    seat->marks += seat->mark;
    seat->taken_by_all += seat->taken;
    atomic_store(&seat->state, FREE);
}

static void readable(void *ctx)
{
    bell_ring(&((struct seat *)ctx)->wakeup);
}

static void told_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    (void)ctx;
    CHECK(reason != 0 && deadline_ns < INT64_MAX);
}

static void told_cut(void *ctx, const struct fault *fault)
{
    (void)ctx; /* the taker sees the channel closed */
    CHECK(fault->reason == FAULT_KICKED);
}

static const struct subscription_port port = {told_closing, told_cut};

static void subscribe(struct seat *seat, struct dice *dice)
{
    struct subscription_params params = subscription_params_of(NULL);
    struct fault fault;

    seat->selects = dice_roll(dice, 2) == 0;
    seat->loses = dice_roll(dice, 2) == 0;
    if (seat->selects) {
        filter_free(params.filter);
        params.filter = filter_of("*", "a", NULL);
    }
    params.limits.max_events = seat->loses ? 1 + (uint32_t)dice_roll(dice, 100) : 1 << 30;
    params.limits.max_bytes = 1 << 30;
    if (seat->loses && !seat->selects)
        params.limits =
            (struct chan_limits){.max_events = params.limits.max_events,
                                 .max_bytes = params.limits.max_bytes,
                                 .overflow = dice_roll(dice, 2) == 0 ? OVERFLOW_BY_FEED : OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_NEWEST,
                                 .block_timeout_ns = (int64_t)dice_roll(dice, 5) * NS_PER_MS};
    params.end_when_all_ended = dice_roll(dice, 4) == 0;
    params.last = dice_roll(dice, 4) == 0 ? 20 : 0;
    params.callbacks = (struct chan_callbacks){readable, seat};
    params.port = &port;
    params.ctx = seat;
    seat->mark = 0;
    seat->revision = 0;
    seat->heard_count = 0;
    seat->taken = 0;
    seat->ended = (struct task){.run = ended};
    CHECK(hub_subscribe(hub, &params, &seat->subscription, &seat->result, &fault) == FAULT_NONE);
    seat->chan = seat->result.chan;
    atomic_store(&seat->state, SERVING);
    bell_ring(&seat->wakeup);
}

static void disturb(struct seat *seat, struct dice *dice)
{
    struct bytes id = text_of(seat->result.id);
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
        /* A mark that was not passed yet would give way to the next. */
        if (!seat->selects || seat->mark != seat->revision)
            break;
        filter = filter_of("*", (seat->revision + 1) % 2 == 0 ? "a" : "b", NULL);
        revision = hub_select(seat->subscription, filter);
        CHECK(revision == 0 || revision == seat->revision + 1);
        if (revision == 0)
            filter_free(filter);
        else
            seat->revision = revision;
    }
}

static void all_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static void run_for(int64_t max_ns, struct seat *seats, struct dice *dice)
{
    int64_t until_ns = clock_mono_ns() + max_ns;

    while (clock_mono_ns() < until_ns) {
        struct seat *seat = &seats[dice_roll(dice, SEATS)];
        struct producer_view view;
        struct fault fault;

        loop_turn(loop);
        if (seat->subscription)
            disturb(seat, dice);
        else
            subscribe(seat, dice);
        if (dice_roll(dice, 100) == 0 &&
            hub_remove(hub, text_of("s0"), (int64_t)dice_roll(dice, 3) * NS_PER_MS, hub_fixture_copy_view, &view,
                       &fault))
            CHECK(fault.reason == FAULT_PRODUCER_NOT_FOUND);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
    hub_drain(hub, 20 * NS_PER_MS, all_gone, &emptied);
    while (!emptied || atomic_load(&callers_left) > 0) {
        loop_turn(loop);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
}

static void report(const struct caller *callers, const struct seat *seats)
{
    uint64_t offered = 0, served = 0, marks = 0, taken = 0;
    int64_t starts = 0, stops = 0, pauses = 0;

    for (unsigned i = 0; i <= SESSIONS; i++) {
        offered += callers[i].events;
        starts += callers[i].starts;
        stops += callers[i].stops;
        pauses += callers[i].pauses;
    }
    for (unsigned i = 0; i < SEATS; i++) {
        served += seats[i].served;
        marks += seats[i].marks;
        taken += seats[i].taken_by_all;
    }
    printf("offered %llu events, took %llu; %lld activations, %lld stops, %lld pauses; %llu subscriptions, "
           "%llu marks; removed %llu times\n",
           (unsigned long long)offered, (unsigned long long)taken, (long long)starts, (long long)stops,
           (long long)pauses, (unsigned long long)served, (unsigned long long)marks,
           (unsigned long long)callers[SESSIONS].removed);
    CHECK((uint64_t)count_get(COUNT_EVENTS_IN) == offered);
    CHECK(offered > 0 && taken > 0 && starts > 0 && stops > 0 && served > SEATS && marks > 0 &&
          callers[SESSIONS].removed > 0);
}

int main(int argc, char **argv)
{
    static const struct hub_limits limits = {
        .max_producers = 8, .max_subscriptions = SEATS, .transient_forget_ns = NS_PER_MS};
    static struct caller callers[SESSIONS + 1];
    static struct seat seats[SEATS];
    int64_t run_ns = (argc > 1 ? strtoll(argv[1], NULL, 10) : 2) * NS_PER_S;
    struct dice dice = dice_new("stress_sessions");

    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    CHECK(loop_new(&loop).code == ERR_OK);
    CHECK(hub_new(loop, &limits, &hub).code == ERR_OK);
    for (unsigned i = 0; i < SEATS; i++) {
        seats[i] = (struct seat){
            .dice = {dice.state + i}, .wakeup = BELL, .transcript = calloc(MAX_SOURCES, sizeof(struct transcript))};
        CHECK(seats[i].transcript && pthread_create(&seats[i].thread, NULL, take_on, &seats[i]) == 0);
    }
    for (unsigned i = 0; i <= SESSIONS; i++) {
        callers[i] = (struct caller){
            .dice = {dice.state + 100 + i}, .wakeup = BELL, .lock = PTHREAD_MUTEX_INITIALIZER, .name = "t"};
        callers[i].waiter.over = stall_over;
        CHECK(pthread_create(&callers[i].thread, NULL, i < SESSIONS ? register_on : publish_on,
                             &callers[i]) == 0);
    }
    run_for(run_ns, seats, &dice);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i <= SESSIONS; i++)
        pthread_join(callers[i].thread, NULL);
    for (unsigned i = 0; i < SEATS; i++) {
        pthread_join(seats[i].thread, NULL);
        chan_batch_fini(&seats[i].batch);
        free(seats[i].transcript);
    }
    hub_free(hub);
    loop_free(loop);
    report(callers, seats);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
    return 0;
}
