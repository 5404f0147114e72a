/* session_commands.c - what the server tells a session, one command after another. Client thread; callbacks are called without the lock. */
#include "client/lib/lanes.h"

#include <string.h>

#include "client/lib/session_words.h"
#include "tributary/v1/publisher.pb-c.h"

/* It cannot be done here: the server hears of it, nobody else. */
static void decline(struct tributary_session *session, uint64_t activation, enum tributary_code code, const char *message)
{
    struct lane *lane = NULL;

    pthread_mutex_lock(&session->lock);
    if (activation != SHARED_LANE && lane_look(session, activation) == NULL)
        lane = lane_open(session, activation);
    if (lane != NULL && !lane_end(session, lane, code, message))
        lane_drop(session, lane);
    else if (lane != NULL)
        lane_touch(session, lane);
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

    if (session->watch.start == NULL || session->state != SESSION_LIVE) {
        decline(session, command->activation, TRIBUTARY_CANCELLED, "the producer is leaving");
        return;
    }
    pthread_mutex_lock(&session->lock);
    if (command->activation != SHARED_LANE && lane_look(session, command->activation) == NULL) {
        opened = lane_open(session, command->activation) != NULL;
        session->figures.started += opened;
    }
    pthread_mutex_unlock(&session->lock);
    if (opened)
        session->watch.start(session->watch.ctx, &activation);
}

/* The deadline is the server's clock: ours may differ, so it only ends a pause. */
static int64_t local_moment(uint64_t deadline_unix_nano)
{
    const int64_t ahead_ns = (int64_t)(deadline_unix_nano - (uint64_t)clock_wall_ns());

    return clock_mono_ns() + MIN_OF(MAX_OF(ahead_ns, 0), 3600 * NS_PER_S);
}

static void stop(struct tributary_session *session, const Tributary__V1__RegisterResponse__Stop *command)
{
    struct lane *lane = NULL;
    bool tell = false;

    pthread_mutex_lock(&session->lock);
    lane = command->activation != SHARED_LANE ? lane_look(session, command->activation) : NULL;
    if (lane != NULL) {
        tell = !lane->ended;
        if (command->deadline_unix_nano == 0)
            lane_drop(session, lane);
        else
            lane->stop_at_ns = local_moment(command->deadline_unix_nano);
    }
    pthread_mutex_unlock(&session->lock);
    if (tell && session->watch.stop != NULL)
        session->watch.stop(session->watch.ctx, command->activation, command->reason, command->deadline_unix_nano);
}

static void pace(struct tributary_session *session, uint64_t activation, bool pause)
{
    void (*const tell)(void *ctx, uint64_t activation) = pause ? session->watch.paused : session->watch.resumed;
    struct lane *lane = NULL;
    bool changed = false;

    pthread_mutex_lock(&session->lock);
    lane = lane_look(session, activation);
    if (lane != NULL) {
        changed = lane->paused != pause && !lane->ended;
        lane->paused = pause;
        lane_touch(session, lane);
    }
    pthread_mutex_unlock(&session->lock);
    if (changed && tell != NULL)
        tell(session->watch.ctx, activation);
}

static void confirm(struct tributary_session *session, uint64_t message)
{
    struct list *node = NULL;

    while ((node = list_first(&session->sent)) != NULL && container_of(node, struct batch, node)->number <= message) {
        uint64_t activation = 0;
        bool room = false;

        list_remove(node);
        pthread_mutex_lock(&session->lock);
        room = lanes_settle(session, container_of(node, struct batch, node), true, &activation);
        pthread_mutex_unlock(&session->lock);
        if (room && session->watch.room != NULL)
            session->watch.room(session->watch.ctx, activation);
    }
}

static void closing(struct tributary_session *session, const char *reason, uint64_t deadline_unix_nano)
{
    if (session->closing != CLOSING_NOT || session->state != SESSION_LIVE)
        return;
    session->closing = session_closing_of(reason);
    pthread_mutex_lock(&session->lock);
    session->hold_shared = session->closing == CLOSING_DRAINING;
    session->sealed = session_seal(session->closing);
    if (session->waiting > 0)
        pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    if (session->watch.closing != NULL)
        session->watch.closing(session->watch.ctx, reason, deadline_unix_nano);
    session_close_gently(session, local_moment(deadline_unix_nano) - clock_mono_ns());
}

static void obey(struct tributary_session *session, const Tributary__V1__RegisterResponse__Command *command)
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
        pace(session, command->pause->activation, true);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_RESUME:
        pace(session, command->resume->activation, false);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_CONFIRM:
        confirm(session, command->confirm->message);
        break;
    case TRIBUTARY__V1__REGISTER_RESPONSE__COMMAND__COMMAND_CLOSING:
        closing(session, command->closing->reason, command->closing->deadline_unix_nano);
        break;
    default:
        break; /* of a newer server */
    }
}

bool session_obey(struct tributary_session *session, struct bytes message)
{
    Tributary__V1__RegisterResponse *response = tributary__v1__register_response__unpack(NULL, message.size, message.at);

    if (response == NULL)
        return false;
    for (size_t i = 0; i < response->n_commands && session->state != SESSION_CANCELLING; i++)
        obey(session, response->commands[i]);
    tributary__v1__register_response__free_unpacked(response, NULL);
    return true;
}
