/* session_answer.h - what the server confirms and refuses, of the messages of a session. Client
 * thread. */
#ifndef TRIBUTARY_CLIENT_SESSION_ANSWER_H
#define TRIBUTARY_CLIENT_SESSION_ANSWER_H

#include "client/lib/session/session_state.h"
#include "tributary/v1/publisher.pb-c.h"

void session_confirmed(struct tributary_session *session,
                       const Tributary__V1__RegisterResponse__Confirm *command);
void session_refused(struct tributary_session *session,
                     const Tributary__V1__RegisterResponse__Refused *command);

/* Whether the next message may be sent, as its numbers have it. Under the lock. */
bool session_may_send(const struct tributary_session *session);

/* Handles the unconfirmed messages of a stream that was lost: shared ones go back into their queue,
 * others are dropped, because activations end with their registration. */
void session_requeue_sent(struct tributary_session *session);

#endif
