/* runner_stream.c - the call of a runner: sends what is queued, one message at a time, hands on the
 * answers, and opens a new call after a loss. Client thread. */
#include "base/fsm.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/runner_state.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"

#define METHOD "/tributary.v1.Batch/RunStream"
#define NO_MEMORY_PAUSE_NS (100 * NS_PER_MS)

static const struct fsm machine = {
    .name = "client.runner",
    .states = {[RUNNER_IDLE] = {"IDLE", BIT(RUNNER_OPEN) | BIT(RUNNER_CLOSED)},
               [RUNNER_OPEN] = {"OPEN", BIT(RUNNER_BACKOFF) | BIT(RUNNER_IDLE) | BIT(RUNNER_CLOSING)},
               [RUNNER_BACKOFF] = {"BACKOFF", BIT(RUNNER_IDLE) | BIT(RUNNER_CLOSED)},
               [RUNNER_CLOSING] = {"CLOSING", BIT(RUNNER_CLOSED)},
               [RUNNER_CLOSED] = {"CLOSED", 0}},
};

static void open_stream(struct tributary_runner *runner)
{
    const struct stream_opening opening = {
        .method = METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};

    fsm_move(&machine, runner, RUNNER_OPEN);
    runner->greeted = false;
    runner->connected = false;
    cq_timer_set(runner->client->thread, &runner->retry,
                 clock_mono_ns() + runner->client->connect_timeout_ns);
    stream_open(&runner->stream, &opening);
}

/* Writes requests that cancel. False: no memory, or no space. */
static bool write_cancels(struct tributary_runner *runner)
{
    struct list *node = NULL;

    while ((node = list_first(&runner->cancelling))) {
        const struct run *run = container_of(node, struct run, cancel);
        const size_t size = run_cancel_size(run, !runner->greeted);
        uint8_t *at = packed_has_space(&runner->packed, size) ? packed_add(&runner->packed, size) : NULL;

        if (!at)
            return false;
        list_remove(node);
        run_cancel_write(run, !runner->greeted, at);
        runner->greeted = true;
    }
    return true;
}

static void write_run(struct tributary_runner *runner, struct run *run, int64_t now_ns, uint8_t *at)
{
    run_write(run, now_ns, !runner->greeted, at);
    runner->greeted = true;
    runner->sent_again += run->attempts++ > 0;
    list_remove(&run->node);
    list_append(&runner->sent, &run->node);
    run->state = RUN_SENT;
}

/* Writes the next message. False: there is nothing to send. */
static bool write_message(struct tributary_runner *runner)
{
    const int64_t now_ns = clock_mono_ns();
    struct list *node = NULL;

    if (!write_cancels(runner))
        return !packed_is_empty(&runner->packed);
    while ((node = list_first(&runner->queued))) {
        struct run *run = container_of(node, struct run, node);
        size_t size = 0;
        uint8_t *at = NULL;

        if (run->deadline_ns <= now_ns) {
            runner_end(runner, run, RUN_ENDED_LATE);
            continue;
        }
        size = run_size(run, now_ns, !runner->greeted);
        if (!packed_has_space(&runner->packed, size))
            break;
        at = packed_add(&runner->packed, size);
        if (!at) {
            runner->earliest_ns = MIN_OF(runner->earliest_ns, now_ns + NO_MEMORY_PAUSE_NS);
            break;
        }
        write_run(runner, run, now_ns, at);
    }
    return !packed_is_empty(&runner->packed);
}

static bool has_to_send(const struct tributary_runner *runner)
{
    return !list_empty(&runner->queued) || !list_empty(&runner->cancelling);
}

static void send_next(struct tributary_runner *runner)
{
    grpc_slice message;

    if (runner->state == RUNNER_IDLE && has_to_send(runner))
        open_stream(runner);
    if (runner->state != RUNNER_OPEN || !stream_may_send(&runner->stream) || !write_message(runner))
        return;
    CHECK(packed_dequeue(&runner->packed, &message));
    pthread_mutex_lock(&runner->lock);
    runner->stats.messages++;
    pthread_mutex_unlock(&runner->lock);
    stream_send(&runner->stream, message);
}

/* Arms `tick` where something that is not sent may end, and lets the next operation wake this
 * thread, unless a message is on its way: on_sent() comes here then. */
static void rest(struct tributary_runner *runner)
{
    const bool sending = runner->state == RUNNER_OPEN && !stream_may_send(&runner->stream);
    bool earlier = false;

    if (list_empty(&runner->queued) && list_empty(&runner->delayed) &&
        (runner->connected || list_empty(&runner->sent)))
        runner->earliest_ns = INT64_MAX;
    pthread_mutex_lock(&runner->lock);
    runner->idle = !sending;
    earlier = runner->earliest_ns < runner->tick_ns;
    if (earlier)
        runner->tick_ns = runner->earliest_ns;
    pthread_mutex_unlock(&runner->lock);
    if (earlier)
        cq_timer_set(runner->client->thread, &runner->tick, runner->earliest_ns);
}

static void pump(struct tributary_runner *runner)
{
    if (runner->state == RUNNER_CLOSING || runner->state == RUNNER_CLOSED)
        return;
    runner_collect(runner);
    send_next(runner);
    rest(runner);
    runner_count(runner);
}

static void on_sent(struct stream *stream, bool ok)
{
    struct tributary_runner *runner = container_of(stream, struct tributary_runner, stream);

    if (!ok)
        return;
    if (!runner->connected && runner->state == RUNNER_OPEN) {
        runner->connected = true;
        cq_timer_stop(runner->client->thread, &runner->retry);
    }
    pump(runner);
}

static void on_answer(void *ctx, const struct answer *answer)
{
    runner_answered(ctx, answer);
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_runner *runner = container_of(stream, struct tributary_runner, stream);

    runner->attempt = 0;
    if (!answers_read(message, on_answer, runner))
        stream_cancel(stream, TRIBUTARY_INTERNAL, "an answer of the server cannot be read");
    runner_count(runner);
    pump(runner);
}

/* The last use of the runner on the client thread. After the unlock it may be freed. */
static void release(struct tributary_runner *runner)
{
    if (client_post_behind(runner->client, &runner->work, &runner->end))
        return; /* on_end() comes here again */
    pthread_mutex_lock(&runner->lock);
    runner->ended = true;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

static void close_down(struct tributary_runner *runner)
{
    runner_end_all(runner, NULL);
    runner_count(runner);
    fsm_move(&machine, runner, RUNNER_CLOSED);
    cq_timer_stop(runner->client->thread, &runner->retry);
    cq_timer_stop(runner->client->thread, &runner->tick);
    release(runner);
}

static void back_off(struct tributary_runner *runner, const struct tributary_status *status)
{
    const int64_t retry_ns = client_backoff_ns(runner->client, runner->attempt++);

    fsm_move(&machine, runner, RUNNER_BACKOFF);
    pthread_mutex_lock(&runner->lock);
    runner->stats.reconnects++;
    pthread_mutex_unlock(&runner->lock);
    runner_requeue(runner);
    runner->connected = false;
    cq_timer_set(runner->client->thread, &runner->retry, clock_mono_ns() + retry_ns);
    if (runner->options.interrupted)
        runner->options.interrupted(runner->options.ctx, status, retry_ns);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_runner *runner = container_of(stream, struct tributary_runner, stream);
    struct list *node = NULL;

    cq_timer_stop(runner->client->thread, &runner->retry);
    packed_clear(&runner->packed);
    while ((node = list_first(&runner->cancelling)))
        list_remove(node);
    if (runner->state == RUNNER_CLOSING) {
        close_down(runner);
        return;
    }
    if (status->code == TRIBUTARY_OK || status_is_retryable(status)) {
        back_off(runner, status);
    } else {
        fsm_move(&machine, runner, RUNNER_IDLE);
        runner_end_all(runner, status);
    }
    pump(runner);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_runner *runner = container_of(timer, struct tributary_runner, retry);

    (void)now_ns;
    if (runner->state == RUNNER_BACKOFF) {
        fsm_move(&machine, runner, RUNNER_IDLE);
        pump(runner);
    } else {
        stream_cancel(&runner->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached");
    }
}

static void on_tick(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_runner *runner = container_of(timer, struct tributary_runner, tick);

    pthread_mutex_lock(&runner->lock);
    runner->tick_ns = INT64_MAX;
    pthread_mutex_unlock(&runner->lock);
    runner_tick(runner, now_ns);
    /* What waits for the connection must not run after its deadline. The connection is made all the
     * same. */
    if (runner->state == RUNNER_OPEN && !runner->connected && runner_has_late(runner, now_ns))
        stream_cancel(&runner->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached in time");
    pump(runner);
}

static void on_work(struct post *post)
{
    pump(container_of(post, struct tributary_runner, work));
}

static void on_end(struct post *post)
{
    struct tributary_runner *runner = container_of(post, struct tributary_runner, end);

    if (runner->state == RUNNER_CLOSED) {
        release(runner);
        return;
    }
    if (runner->state != RUNNER_OPEN) {
        close_down(runner);
        return;
    }
    fsm_move(&machine, runner, RUNNER_CLOSING);
    stream_cancel(&runner->stream, TRIBUTARY_CANCELLED, "the runner was freed");
}

void runner_stream_init(struct tributary_runner *runner)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_message, .ended = on_ended};

    stream_init(&runner->stream, runner->client, &port);
    runner->packed.more = PB_RUN_STREAM_REQUEST_MORE;
    runner->packed.max_bytes = runner->options.message_bytes;
    runner->packed.max_entries = runner->options.message_operations;
    packed_init(&runner->packed);
    list_init(&runner->queued);
    list_init(&runner->sent);
    list_init(&runner->delayed);
    list_init(&runner->cancelling);
    runner->earliest_ns = INT64_MAX;
    runner->tick_ns = INT64_MAX;
    runner->idle = true;
    runner->retry.fired = on_retry;
    runner->tick.fired = on_tick;
    runner->work.run = on_work;
    runner->end.run = on_end;
}
