/* commands.c - encodes commands and writes them to the session. */
#include "server/rpc/commands.h"

#include <string.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "flow/feed.h"
#include "hub/session_port.h"
#include "proto/field_numbers.h"
#include "server/rpc/stored_pipeline.h"

/* Commands that may wait for a session that takes nothing. Beyond that its call is aborted soon. */
#define MAX_WAITING_BYTES (16u << 20)
#define MAX_FULL_NS NS_PER_S
#define TOO_SLOW 4u /* times as much: nor is one that takes a little now and then waited for */

/* What refusals may take that wait or are in flight. Beyond that the session is not read. */
#define MAX_REFUSED_BYTES 4096u

/* A message is full beyond this; one command with its request may be larger. Clients accept 4 MiB
 * by default. A small message also shows sooner that the session reads. */
#define MAX_MESSAGE_BYTES (64u << 10)

/* How often it is looked whether the session takes what is in flight. */
#define LOOK_NS (250 * NS_PER_MS)

static void enqueue_with(struct commands *commands, uint32_t kind, struct buf *body, uint32_t field,
                         struct shared_bytes *request)
{
    pthread_mutex_lock(&commands->lock);
    command_queue_add(&commands->waiting, kind, body, field, request);
    pthread_mutex_unlock(&commands->lock);
    cq_wake_up(&commands->wake);
}

static void enqueue(struct commands *commands, uint32_t kind, struct buf *body)
{
    enqueue_with(commands, kind, body, 0, NULL);
}

/* 0: no deadline. */
static uint64_t wall_time_ns(int64_t mono_ns)
{
    return mono_ns == INT64_MAX || mono_ns <= 0 ? 0 : (uint64_t)(clock_wall_ns() + mono_ns - clock_mono_ns());
}

static void abort_call(struct commands *commands)
{
    struct fault fault;

    fault_not_reading(&fault, "write", commands->write_timeout_ns);
    call_abort(commands->call, commands->last ? commands->last : &fault);
}

/* Nothing waits any more. */
static void end_call(struct commands *commands)
{
    if (!commands->last)
        return;
    call_finish(commands->call, commands->last);
    commands_stop(commands);
}

static void set_timer(struct commands *commands, int64_t now_ns)
{
    int64_t end_ns = commands->took_at_ns + commands->write_timeout_ns;

    cq_timer_set(call_cq(commands->call), &commands->write_timer, MIN_OF(now_ns + LOOK_NS, end_ns));
}

/* Whether the session has taken nothing for so long. What its connection has not read changes where
 * the peer reads, or where gRPC core writes because the peer allowed it to. */
static bool takes_nothing_for(struct commands *commands, int64_t ns, int64_t now_ns)
{
    size_t unread;

    if (!commands->in_flight)
        return false;
    (void)call_writable(commands->call, &unread);
    if (unread != commands->unread && !commands->last)
        commands->took_at_ns = now_ns;
    commands->unread = unread;
    return now_ns - commands->took_at_ns >= ns;
}

static void send(struct commands *commands, struct buf *bytes, int64_t now_ns)
{
    commands->in_flight = call_send(commands->call, bytes);
    commands->heartbeat.sent_at_ns = now_ns;
    if (!commands->last)
        commands->took_at_ns = now_ns;
    (void)call_writable(commands->call, &commands->unread);
    set_timer(commands, now_ns);
}

static void beat(struct heartbeat *heartbeat)
{
    struct commands *commands = container_of(heartbeat, struct commands, heartbeat);
    OWNED(buf_fini) struct buf nothing = {0};

    if (!commands->in_flight && !commands->stopped)
        send(commands, &nothing, heartbeat->sent_at_ns);
}

static void flush(struct commands *commands, int64_t now_ns)
{
    OWNED(buf_fini) struct buf bytes = {0};
    bool broken;

    if (commands->in_flight || commands->stopped)
        return;
    pthread_mutex_lock(&commands->lock);
    if (commands->confirmed > commands->reported) {
        struct buf body = {0};

        field_varint(&body, PB_REGISTER_RESPONSE_CONFIRM_MESSAGE, commands->confirmed);
        if (commands->stored) {
            stored_ranges_write(&commands->stored->ranges, PB_REGISTER_RESPONSE_CONFIRM_RANGES, &body);
            field_varint(&body, PB_REGISTER_RESPONSE_CONFIRM_DUPLICATES, commands->stored->duplicates);
        }
        command_queue_add(&commands->waiting, PB_REGISTER_RESPONSE_COMMAND_CONFIRM, &body, 0, NULL);
        commands->reported = commands->confirmed;
    }
    broken = command_queue_broken(&commands->waiting);
    if (!broken)
        command_queue_take(&commands->waiting, MAX_MESSAGE_BYTES, &bytes);
    pthread_mutex_unlock(&commands->lock);
    if (broken || bytes.broken) {
        abort_call(commands);
        return;
    }
    if (bytes.size == 0) {
        end_call(commands);
        return;
    }
    send(commands, &bytes, now_ns);
}

/* The session takes nothing for the write timeout, or for MAX_FULL_NS while much waits. Or so much
 * waits that it takes too slowly. */
static bool is_stuck(struct commands *commands, int64_t now_ns)
{
    pthread_mutex_lock(&commands->lock);
    size_t size = command_queue_size(&commands->waiting);
    pthread_mutex_unlock(&commands->lock);
    int64_t max_ns = size > MAX_WAITING_BYTES ? MIN_OF(MAX_FULL_NS, commands->write_timeout_ns)
                                              : commands->write_timeout_ns;

    return size > TOO_SLOW * MAX_WAITING_BYTES || takes_nothing_for(commands, max_ns, now_ns);
}

static void on_flush(struct post_poll_hook *hook, int64_t now_ns)
{
    struct commands *commands = container_of(hook, struct commands, flush_hook);

    if (!commands->stopped && is_stuck(commands, now_ns))
        abort_call(commands);
    else
        flush(commands, now_ns);
}

static void on_woken(struct cq_wake *wake)
{
    struct commands *commands = container_of(wake, struct commands, wake);

    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct commands *commands = container_of(timer, struct commands, write_timer);

    if (!commands->in_flight || commands->stopped)
        return;
    if (is_stuck(commands, now_ns))
        abort_call(commands);
    else
        set_timer(commands, now_ns);
}

void commands_init(struct commands *commands, struct call *call, int64_t write_timeout_ns)
{
    commands->call = call;
    commands->write_timeout_ns = write_timeout_ns;
    CHECK(pthread_mutex_init(&commands->lock, NULL) == 0);
    cq_wake_init(&commands->wake, call_cq(call), on_woken, NULL);
    list_init(&commands->flush_hook.link);
    commands->flush_hook.post_poll = on_flush;
    commands->write_timer.fired = on_write_timeout;
    heartbeat_init(&commands->heartbeat, call_cq(call), beat);
}

void commands_fini(struct commands *commands)
{
    heartbeat_stop(&commands->heartbeat);
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
    list_remove(&commands->flush_hook.link);
    command_queue_fini(&commands->waiting);
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
    field_fixed64(&body, PB_REGISTER_RESPONSE_START_DEADLINE_UNIX_NANO, wall_time_ns(params->deadline_ns));
    field_text(&body, PB_REGISTER_RESPONSE_START_SUBSCRIPTION_ID, params->subscription_id);
    enqueue_with(commands, PB_REGISTER_RESPONSE_COMMAND_START, &body, PB_REGISTER_RESPONSE_START_REQUEST,
                 params->request);
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

void command_refused(struct commands *commands, uint64_t message, const struct fault *fault)
{
    struct buf body = {0};
    char text[600];
    size_t length = fault_message(fault, text, sizeof(text));

    field_varint(&body, PB_REGISTER_RESPONSE_REFUSED_MESSAGE, message);
    field_varint(&body, PB_REGISTER_RESPONSE_REFUSED_CODE, fault_code(fault->reason));
    field_bytes(&body, PB_REGISTER_RESPONSE_REFUSED_TEXT, (struct bytes){(const uint8_t *)text, length});
    field_text(&body, PB_REGISTER_RESPONSE_REFUSED_REASON, fault_reason_name(fault->reason));
    commands->refused_bytes += body.size;
    enqueue(commands, PB_REGISTER_RESPONSE_COMMAND_REFUSED, &body);
}

bool commands_full_of_refusals(const struct commands *commands)
{
    return commands->refused_bytes >= MAX_REFUSED_BYTES;
}

void commands_beat(struct commands *commands, int64_t interval_ns)
{
    heartbeat_begin(&commands->heartbeat, interval_ns);
}

void commands_confirm(struct commands *commands, uint64_t message)
{
    commands->confirmed = message;
    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

static bool something_waits(struct commands *commands)
{
    pthread_mutex_lock(&commands->lock);
    bool waits = command_queue_size(&commands->waiting) > 0 || command_queue_broken(&commands->waiting);
    pthread_mutex_unlock(&commands->lock);
    return waits;
}

void commands_sent(struct commands *commands, bool ok)
{
    (void)ok; /* after a failure the call is about to end */
    commands->in_flight = false;
    if (commands->refused_bytes > 0 && !something_waits(commands))
        commands->refused_bytes = 0;
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
    cq_add_post_poll_hook(call_cq(commands->call), &commands->flush_hook);
}

bool commands_all_sent(struct commands *commands)
{
    return !something_waits(commands) && !commands->in_flight && commands->reported == commands->confirmed;
}

void commands_finish(struct commands *commands, const struct fault *fault)
{
    if (commands->stopped || commands->last)
        return;
    commands->last = fault;
    commands->took_at_ns = clock_mono_ns();
    flush(commands, commands->took_at_ns);
}

void commands_stop(struct commands *commands)
{
    commands->stopped = true;
    heartbeat_stop(&commands->heartbeat);
    cq_timer_stop(call_cq(commands->call), &commands->write_timer);
}
