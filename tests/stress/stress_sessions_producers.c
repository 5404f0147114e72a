/* stress_sessions_producers.c - the threads of stress_sessions that publish. */
#include "stress/stress_sessions.h"

#include <stdio.h>

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

static void run_posted(struct task *task)
{
    struct caller *caller = container_of(task, struct caller, task);

    caller->run_on_loop(caller);
    atomic_store(&caller->answered, true);
    wakeup_signal(&caller->wakeup);
}

static void wait_answer(struct caller *caller)
{
    while (!atomic_load(&caller->answered))
        wakeup_wait(&caller->wakeup, NS_PER_S);
}

static void run_on_loop(struct caller *caller, void (*what)(struct caller *caller))
{
    atomic_store(&caller->answered, false);
    caller->run_on_loop = what;
    caller->task.run = run_posted;
    loop_post(loop, &caller->task);
    wait_answer(caller);
}

static void on_unblocked(struct put_waiter *waiter)
{
    struct caller *caller = container_of(waiter, struct caller, waiter);

    if (caller->session)
        session_unblocked(caller->session, 0);
    else
        inlet_unblocked(caller->inlet);
    atomic_store(&caller->answered, true);
    wakeup_signal(&caller->wakeup);
}

/* ---- a transient producer that is removed now and then ---- */

static void open_inlet(struct caller *caller)
{
    struct fault fault;

    if (hub_inlet_open(hub, text_of(caller->name), "putter", NO_PEER, &caller->inlet, &fault) != FAULT_NONE)
        caller->inlet = NULL;
}

static void remove_producer(struct caller *caller)
{
    struct producer_view view;
    struct fault fault;

    if (hub_remove(hub, text_of(caller->name), 0, hub_fixture_copy_view, &view, &fault) == FAULT_NONE)
        caller->removed++;
}

void *publish_all(void *ctx)
{
    struct caller *caller = ctx;

    for (;;) {
        OWNED(chunk_release) struct chunk *chunk = some_chunk(&caller->dice);
        struct offer offer;
        enum err err;

        if (!caller->inlet)
            caller->inlet = hub_inlet_find(hub, text_of(caller->name), "putter");
        if (!caller->inlet)
            run_on_loop(caller, open_inlet);
        if (!caller->inlet)
            break;
        if (dice_roll(&caller->dice, 200) == 0)
            run_on_loop(caller, remove_producer);
        atomic_store(&caller->answered, false);
        err = inlet_offer(caller->inlet, chunk, &caller->waiter, &offer);
        if (err == ERR_OK || err == ERR_AGAIN)
            caller->events += chunk->count;
        if (err == ERR_AGAIN)
            wait_answer(caller);
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
    wakeup_signal(&caller->wakeup);
}

static void start(void *ctx, const struct activation_params *params)
{
    struct caller *caller = ctx;

    pthread_mutex_lock(&caller->lock);
    CHECK(caller->welcomed && !caller->abort_call && params->activation == caller->latest + 1 &&
          caller->running_count < MAX_RUNNING);
    caller->latest = params->activation;
    caller->running[caller->running_count++] = (struct started){.number = params->activation};
    pthread_mutex_unlock(&caller->lock);
    atomic_fetch_add(&caller->starts, 1);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct caller *caller = ctx;

    CHECK(reason != FAULT_NONE);
    pthread_mutex_lock(&caller->lock);
    CHECK(!caller->abort_call && activation <= caller->latest);
    for (unsigned i = 0; i < caller->running_count; i++)
        if (caller->running[i].number == activation) {
            /* a second time only where an endpoint is to end at once */
            CHECK(!caller->running[i].stopped || (caller->is_endpoint && deadline_ns == 0));
            caller->running[i].stopped = true;
            if (deadline_ns == 0)
                caller->running[i] = caller->running[--caller->running_count];
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
    wakeup_signal(&caller->wakeup);
}

static const struct session_port session_port = {welcome, start, stop, set_paused, closing, abort_call, NULL};

static void register_session(struct caller *caller)
{
    struct session_params params = {
        .name = text_of(caller->name), .mode = caller->mode, .port = &session_port, .ctx = caller};
    struct fault fault;

    static const struct endpoint_rules rules = {NS_PER_MS, 4 * NS_PER_MS};

    params.start_first = dice_roll(&caller->dice, 2) == 0;
    params.endpoint = caller->is_endpoint ? &rules : NULL;
    if (hub_register(hub, &params, &caller->session, &fault) != FAULT_NONE)
        caller->session = NULL;
}

static void unregister_session(struct caller *caller)
{
    hub_unregister(caller->session, dice_roll(&caller->dice, 2) == 0 ? FAULT_NONE : FAULT_CANCELLED);
    caller->session = NULL;
}

static void end_activation(struct caller *caller)
{
    static const enum session_end_rule rules[] = {SESSION_END_BY_CODE, SESSION_END_RETRY, SESSION_END_FINAL};

    session_end(caller->session, caller->ending, dice_roll(&caller->dice, 3) == 0 ? CODE_INTERNAL : CODE_OK,
                "enough", rules[caller->is_endpoint ? dice_roll(&caller->dice, ARRAY_LEN(rules)) : 0]);
}

/* Reports a state of the shared upstream, or of any activation, also of one that has ended or never
 * was. */
static void report_state(struct caller *caller)
{
    static const enum producer_state states[] = {PRODUCER_CONNECTING, PRODUCER_ACTIVE, PRODUCER_UNAVAILABLE};
    bool shared = caller->mode == SESSION_SHARED;
    enum producer_state state = states[dice_roll(&caller->dice, shared ? 3 : 2)];
    uint64_t activation = shared ? 0 : 1 + dice_roll(&caller->dice, caller->latest + 2);
    bool lost = state == PRODUCER_UNAVAILABLE;

    session_report(caller->session, activation, state, lost ? CODE_UNAVAILABLE : CODE_OK,
                   lost ? "connection refused" : NULL);
    caller->reports++;
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
        wait_answer(caller);
}

/* Publishes for one of the session's activations, or ends it: soon when it was stopped, and now and
 * then otherwise. */
static void offer_or_end(struct caller *caller)
{
    struct started chosen = {0};
    unsigned place;

    pthread_mutex_lock(&caller->lock);
    if (caller->running_count > 0) {
        place = (unsigned)dice_roll(&caller->dice, caller->running_count);
        chosen = caller->running[place];
        if (dice_roll(&caller->dice, chosen.stopped ? 4 : 400) == 0) {
            caller->running[place] = caller->running[--caller->running_count];
            caller->ending = chosen.number;
        }
    }
    pthread_mutex_unlock(&caller->lock);
    if (caller->ending > 0)
        run_on_loop(caller, end_activation);
    else if (chosen.number > 0)
        offer(caller, chosen.number);
    else if (caller->mode == SESSION_SHARED)
        offer(caller, 0);
    caller->ending = 0;
    if (chosen.number == 0 && caller->mode == SESSION_PER_CONSUMER)
        wakeup_wait(&caller->wakeup, NS_PER_MS);
}

static bool is_over(struct caller *caller, bool *welcomed)
{
    bool over;

    pthread_mutex_lock(&caller->lock);
    over = caller->abort_call;
    *welcomed = caller->welcomed;
    pthread_mutex_unlock(&caller->lock);
    return over;
}

void *register_repeatedly(void *ctx)
{
    struct caller *caller = ctx;

    for (;;) {
        bool welcomed;

        caller->welcomed = caller->abort_call = false;
        caller->latest = caller->running_count = 0;
        caller->mode = dice_roll(&caller->dice, 3) == 0 ? SESSION_SHARED : SESSION_PER_CONSUMER;
        caller->is_endpoint = dice_roll(&caller->dice, 2) == 0;
        snprintf(caller->name, sizeof(caller->name), "s%u", (unsigned)dice_roll(&caller->dice, NAMES));
        run_on_loop(caller, register_session);
        if (!caller->session)
            break;
        for (uint64_t rounds = dice_roll(&caller->dice, 3000); rounds > 0 && !is_over(caller, &welcomed);
             rounds--) {
            if (caller->is_endpoint && dice_roll(&caller->dice, 30) == 0)
                run_on_loop(caller, report_state);
            else if (welcomed)
                offer_or_end(caller);
            else
                wakeup_wait(&caller->wakeup, NS_PER_MS);
        }
        run_on_loop(caller, unregister_session);
    }
    atomic_fetch_sub(&callers_left, 1);
    return NULL;
}

void caller_init(struct caller *caller, uint64_t random)
{
    *caller = (struct caller){
        .dice = {random}, .wakeup = WAKEUP_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .name = "t"};
    caller->waiter.over = on_unblocked;
}
