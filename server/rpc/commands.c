/* commands.c - encodes commands and writes them to the session. */
#include "server/rpc/commands.h"

#include <string.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "flow/feed.h"
#include "hub/session_port.h"
#include "proto/field_numbers.h"

/* Commands that may wait for a session that does not read. Beyond that its call is aborted. */
#define MAX_WAITING_BYTES (16u << 20)

static void wake(struct commands *commands)
{
    struct cq_thread *thread = call_cq(commands->call);

    if (cq_is_mine(thread))
        cq_add_post_poll_hook(thread, &commands->flush_hook);
    else if (!atomic_exchange(&commands->posted, true))
        cq_post(thread, &commands->wake_task);
}

/* Appends a Command whose field `kind` is `body`, and frees the bytes of `body`. */
static void append(struct buf *to, uint32_t kind, struct buf *body)
{
    struct buf command = {0};

    field_message(&command, kind, body);
    field_message(to, PB_REGISTER_RESPONSE_COMMANDS, &command);
}

static void enqueue(struct commands *commands, uint32_t kind, struct buf *body)
{
    pthread_mutex_lock(&commands->lock);
    append(&commands->waiting, kind, body);
    pthread_mutex_unlock(&commands->lock);
    wake(commands);
}

/* 0: no deadline. */
static uint64_t wall_time_ns(int64_t mono_ns)
{
    return mono_ns == INT64_MAX || mono_ns <= 0 ? 0 : (uint64_t)(clock_wall_ns() + mono_ns - clock_mono_ns());
}

static void abort_call(struct commands *commands)
{
    struct fault fault;

    fault_number(&fault, FAULT_NOT_READING, "write", (uint64_t)(commands->write_timeout_ns / NS_PER_MS),
                 "ms without progress");
    call_abort(commands->call, &fault);
}

static void flush(struct commands *commands, int64_t now_ns)
{
    OWNED(buf_fini) struct buf bytes = {0};

    if (commands->in_flight || commands->stopped)
        return;
    pthread_mutex_lock(&commands->lock);
    bytes = commands->waiting;
    commands->waiting = (struct buf){0};
    pthread_mutex_unlock(&commands->lock);
    if (commands->confirmed > commands->reported) {
        struct buf body = {0};

        field_varint(&body, PB_REGISTER_RESPONSE_CONFIRM_MESSAGE, commands->confirmed);
        append(&bytes, PB_REGISTER_RESPONSE_COMMAND_CONFIRM, &body);
        commands->reported = commands->confirmed;
    }
    if (bytes.broken) {
        abort_call(commands);
        return;
    }
    if (bytes.size == 0)
        return;
    commands->in_flight = call_send(commands->call, &bytes);
    cq_timer_set(call_cq(commands->call), &commands->write_timer, now_ns + commands->write_timeout_ns);
}

static void on_flush(struct post_poll_hook *hook, int64_t now_ns)
{
    struct commands *commands = container_of(hook, struct commands, flush_hook);

    pthread_mutex_lock(&commands->lock);
    bool too_much = commands->waiting.size > MAX_WAITING_BYTES;
    pthread_mutex_unlock(&commands->lock);
    if (too_much && !commands->stopped)
        abort_call(commands);
    else
        flush(commands, now_ns);
}

static void on_wake(struct task *task)
{
    struct commands *commands = container_of(task, struct commands, wake_task);

    atomic_store(&commands->posted, false);
    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct commands *commands = container_of(timer, struct commands, write_timer);

    (void)now_ns;
    if (commands->in_flight && !commands->stopped)
        abort_call(commands);
}

void commands_init(struct commands *commands, struct call *call, int64_t write_timeout_ns)
{
    commands->call = call;
    commands->write_timeout_ns = write_timeout_ns;
    CHECK(pthread_mutex_init(&commands->lock, NULL) == 0);
    commands->wake_task.run = on_wake;
    list_init(&commands->flush_hook.link);
    commands->flush_hook.post_poll = on_flush;
    commands->write_timer.fired = on_write_timeout;
}

void commands_fini(struct commands *commands)
{
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
    list_remove(&commands->flush_hook.link);
    buf_fini(&commands->waiting);
    pthread_mutex_destroy(&commands->lock);
}

void command_welcome(struct commands *commands, uint64_t epoch)
{
    struct buf body = {0};

    field_fixed64(&body, PB_REGISTER_RESPONSE_WELCOME_EPOCH, epoch);
    field_varint(&body, PB_REGISTER_RESPONSE_WELCOME_RESERVE_EVENTS, FEED_RESERVE_EVENTS);
    field_varint(&body, PB_REGISTER_RESPONSE_WELCOME_RESERVE_BYTES, FEED_RESERVE_BYTES);
    enqueue(commands, PB_REGISTER_RESPONSE_COMMAND_WELCOME, &body);
}

void command_start(struct commands *commands, const struct activation_params *params)
{
    struct buf body = {0};

    field_varint(&body, PB_REGISTER_RESPONSE_START_ACTIVATION, params->activation);
    field_bytes(&body, PB_REGISTER_RESPONSE_START_REQUEST, params->request);
    field_fixed64(&body, PB_REGISTER_RESPONSE_START_DEADLINE_UNIX_NANO, wall_time_ns(params->deadline_ns));
    field_text(&body, PB_REGISTER_RESPONSE_START_SUBSCRIPTION_ID, params->subscription_id);
    enqueue(commands, PB_REGISTER_RESPONSE_COMMAND_START, &body);
}

void command_stop(struct commands *commands, uint64_t activation, enum fault_reason reason,
                  int64_t deadline_ns)
{
    struct buf body = {0};

    field_varint(&body, PB_REGISTER_RESPONSE_STOP_ACTIVATION, activation);
    field_text(&body, PB_REGISTER_RESPONSE_STOP_REASON, fault_reason_name(reason));
    field_fixed64(&body, PB_REGISTER_RESPONSE_STOP_DEADLINE_UNIX_NANO, wall_time_ns(deadline_ns));
    enqueue(commands, PB_REGISTER_RESPONSE_COMMAND_STOP, &body);
}

_Static_assert(PB_REGISTER_RESPONSE_RESUME_ACTIVATION == PB_REGISTER_RESPONSE_PAUSE_ACTIVATION,
               "Pause and Resume are the same message");

void command_pause(struct commands *commands, uint64_t activation, bool pause)
{
    struct buf body = {0};

    field_varint(&body, PB_REGISTER_RESPONSE_PAUSE_ACTIVATION, activation);
    enqueue(commands, pause ? PB_REGISTER_RESPONSE_COMMAND_PAUSE : PB_REGISTER_RESPONSE_COMMAND_RESUME,
            &body);
}

void command_closing(struct commands *commands, enum fault_reason reason, int64_t deadline_ns)
{
    struct buf body = {0};

    field_text(&body, PB_REGISTER_RESPONSE_CLOSING_REASON, fault_reason_name(reason));
    field_fixed64(&body, PB_REGISTER_RESPONSE_CLOSING_DEADLINE_UNIX_NANO, wall_time_ns(deadline_ns));
    enqueue(commands, PB_REGISTER_RESPONSE_COMMAND_CLOSING, &body);
}

void commands_confirm(struct commands *commands, uint64_t message)
{
    commands->confirmed = message;
    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

void commands_sent(struct commands *commands, bool ok)
{
    (void)ok; /* after a failure the call is about to end */
    commands->in_flight = false;
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

bool commands_all_sent(struct commands *commands)
{
    pthread_mutex_lock(&commands->lock);
    bool waits = commands->waiting.size > 0 || commands->waiting.broken;
    pthread_mutex_unlock(&commands->lock);
    return !waits && !commands->in_flight && commands->reported == commands->confirmed;
}

void commands_stop(struct commands *commands)
{
    commands->stopped = true;
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
}
