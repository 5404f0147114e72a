/* session_ending.h - what the end of a registration means: does the session register again, and
 * which status does the user get. No state. Any thread. */
#ifndef TRIBUTARY_CLIENT_SESSION_ENDING_H
#define TRIBUTARY_CLIENT_SESSION_ENDING_H

#include <stdbool.h>

#include "tributary/tributary.h"

/* Why the server closes a registration. CLOSING_NOT: it does not. */
enum session_closing { CLOSING_NOT, CLOSING_REPLACED, CLOSING_REMOVED, CLOSING_DRAINING };

/* From the `reason` of the server's Closing. An unknown reason counts as DRAINING. */
enum session_closing session_closing_of(const char *reason);

/* The code with which emitting fails while the server closes the registration. OK: it does not
 * fail. */
enum tributary_code session_emit_code(enum session_closing closing);

/* Whether to register again after the registration ended with *status. Changes *status to what the
 * user gets. `finishing`: the end was ours, by tributary_session_finish(). */
bool session_should_retry(struct tributary_status *status, enum session_closing closing, bool finishing);

#endif
