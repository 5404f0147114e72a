/* plain_error.h - says in plain words why a server cannot be reached, or why a connection was lost.
 * gRPC core says it in its own words, which name its parts and not the cause. Any thread. */
#ifndef TRIBUTARY_TOOL_PLAIN_ERROR_H
#define TRIBUTARY_TOOL_PLAIN_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "tributary/tributary.h"

/* Writes the cause of a status to `text`, such as "nothing listens at 127.0.0.1:7227". `target` is
 * the address of the server, as the user wrote it. False: `text` is untouched, because the server
 * itself gave this answer, or nothing plainer is known than the message of the status. */
bool plain_error(const struct tributary_status *status, const char *target, char *text, size_t capacity);

#endif
