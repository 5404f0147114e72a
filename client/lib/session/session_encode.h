/* session_words.h - what a session says, and what it makes of an end. No state; any thread. */
#ifndef TRIBUTARY_CLIENT_SESSION_WORDS_H
#define TRIBUTARY_CLIENT_SESSION_WORDS_H

#include "base/buf.h"
#include "client/lib/session/session_state.h"

/* Fills in defaults. NULL: done; otherwise the option that is out of its bounds, as static text. */
const char *session_apply_defaults(struct tributary_session_options *options);

/* Appends the RegisterRequest that carries hello. Memory shows in `request->broken`. */
void session_write_hello(const struct tributary_session_options *options, struct buf *request);

/* Appends the one that ends an activation. */
void session_write_end(struct buf *request, uint64_t activation, enum tributary_code code,
                       const char *message);

/* What stands before the events of an activation; returns its size. Nothing for the shared
 * stream. */
#define MAX_SEND_QUEUE_HEAD 11u
size_t session_write_head(uint8_t head[MAX_SEND_QUEUE_HEAD], uint64_t activation);

enum session_closing session_closing_of(const char *reason);

/* With what code emitting fails once the server closes the registration. OK: it does not. */
enum tributary_code session_seal(enum session_closing closing);

/* Whether to register again after the registration ended with *status, which becomes what is told
 * about it. `finishing`: we wanted the end. */
bool session_comes_back(struct tributary_status *status, enum session_closing closing, bool finishing);

#endif
