/* session_commands.c - handles the commands of the server, one after another. Client thread.
 * Callbacks are called without the lock. */
#include "client/lib/session/session_state.h"

#include <string.h>

#include "client/lib/session/send_queue.h"
#include "client/lib/session/session_answer.h"
#include "tributary/v1/publisher.pb-c.h"

/* Answers a start with an end: this side cannot serve it. The user does not see the activation. */
static void decline(struct tributary_session *session, uint64_t activation, enum tributary_code code,
                    const char *message)
{
    struct send_queue *queue = NULL;

    pthread_mutex_lock(&session->lock);
    if (activation != SHARED_QUEUE && !send_queue_find_any(session, activation))
        queue = send_queue_open(session, activation);
    if (queue && !send_queue_end(session, queue, code, message))
        send_queue_drop(session, queue);
    else if (queue)
        send_queue_touch(session, queue);
    pthread_mutex_unlock(&session->lock);
}

static void start(struct tributary_session *session, const Tributary__V1__RegisterResponse__Start *command)
{
    const struct tributary_activation activation = {
        .activation = command->activation,
        .request = {command->request.data, command->request.len},
        .deadline_unix_nano = command->deadline_unix_nano,
        .subscription_id = tributary_text(command->subscription_id),
    };
    bool opened = false;

    if (!session->callbacks.start || session->state != SESSION_LIVE) {
        decline(session, command->activation, TRIBUTARY_CANCELLED, "the producer is leaving");
        return;
    }
    pthread_mutex_lock(&session->lock);
    if (command->activation != SHARED_QUEUE && !send_queue_find_any(session, command->activation)) {
        opened = !!send_queue_open(session, command->activation);
        session->stats.started += opened;
    }
    pthread_mutex_unlock(&session->lock);
    if (opened)
        session->callbacks.start(session->callbacks.ctx, &activation);
}

/* A deadline of the server on our clock, at most an hour ahead. The two clocks may differ, so
 * such a deadline only ends pauses and waits here; it does not decide what the server takes. */
static int64_t local_deadline_ns(uint64_t deadline_unix_nano)
{
    const int64_t ahead_ns = (int64_t)(deadline_unix_nano - (uint64_t)clock_wall_ns());

    return clock_mono_ns() + MIN_OF(MAX_OF(ahead_ns, 0), 3600 * NS_PER_S);
}

static void stop(struct tributary_session *session, const Tributary__V1__RegisterResponse__Stop *command)
{
    struct send_queue *queue = NULL;
    bool notify = false;

    pthread_mutex_lock(&session->lock);
    queue = command->activation != SHARED_QUEUE ? send_queue_find_any(session, command->activation) : NULL;
    if (queue) {
        notify = !queue->ended;
        if (command->deadline_unix_nano == 0)
            send_queue_drop(session, queue);
        else {
            queue->stop_at_ns = local_deadline_ns(command->deadline_unix_nano);
            send_queue_touch(session, queue);
        }
    }
    pthread_mutex_unlock(&session->lock);
    if (notify && session->callbacks.stop)
        session->callbacks.stop(session->callbacks.ctx, command->activation, command->reason,
                                command->deadline_unix_nano);
}

static void set_paused(struct tributary_session *session, uint64_t activation, bool pause)
{
    void (*const notify)(void *ctx, uint64_t activation) =
        pause ? session->callbacks.paused : session->callbacks.resumed;
    struct send_queue *queue = NULL;
    bool changed = false;

    pthread_mutex_lock(&session->lock);
    queue = send_queue_find_any(session, activation);
    if (queue) {
        changed = queue->paused != pause && !queue->ended;
        queue->paused = pause;
        send_queue_touch(session, queue);
    }
    pthread_mutex_unlock(&session->lock);
    if (changed && notify)
        notify(session->callbacks.ctx, activation);
}

static void closing(struct tributary_session *session, const char *reason, uint64_t deadline_unix_nano)
{
    if (session->closing != CLOSING_NOT || session->state != SESSION_LIVE)
        return;
    session->closing = session_closing_of(reason);
    pthread_mutex_lock(&session->lock);
    session->hold_shared = session->closing == CLOSING_DRAINING;
    session->emit_code = session_emit_code(session->closing);
    send_queues_wake_waiters(session);
    pthread_mutex_unlock(&session->lock);
    if (session->callbacks.closing)
        session->callbacks.closing(session->callbacks.ctx, reason, deadline_unix_nano);
    session_leave_within(session, local_deadline_ns(deadline_unix_nano) - clock_mono_ns());
}

static void handle_command(struct tributary_session *session,
                           const Tributary__V1__RegisterResponse__Command *command)
{
    switch (command->command_case) {
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_WELCOME:
        session_welcomed(session, command->welcome->epoch);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_START:
        start(session, command->start);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_STOP:
        stop(session, command->stop);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_PAUSE:
        set_paused(session, command->pause->activation, true);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_RESUME:
        set_paused(session, command->resume->activation, false);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_CONFIRM:
        session_confirmed(session, command->confirm);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_REFUSED:
        session_refused(session, command->refused);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_CLOSING:
        closing(session, command->closing->reason, command->closing->deadline_unix_nano);
        break;
    default:
        break; /* a command of a newer server */
    }
}

bool session_handle_commands(struct tributary_session *session, struct bytes message)
{
    Tributary__V1__RegisterResponse *response =
        tributary__v1__register_response__unpack(NULL, message.size, message.data);

    if (!response)
        return false;
    for (size_t i = 0; i < response->n_commands && session->state != SESSION_CANCELLING; i++)
        handle_command(session, response->commands[i]);
    tributary__v1__register_response__free_unpacked(response, NULL);
    return true;
}
