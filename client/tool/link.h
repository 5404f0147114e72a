/* link.h - from the common options to a client that has reached its server. */
#ifndef TRIBUTARY_TOOL_LINK_H
#define TRIBUTARY_TOOL_LINK_H

#include "tributary/tributary.h"
#include "client/tool/cli.h"

/* Connects and asks whether the server is there, within --connect-timeout and --max-time. The exit code; where it is not EXITS_OK, standard
 * error says why and nothing is open. */
int link_open(const struct verb *verb, const struct common *common, struct tributary **client_out);

/* The same without asking. */
int link_connect(const struct verb *verb, const struct common *common, struct tributary **client_out);

/* What --max-time leaves for a question to the server: at least 1 ns; 0, the usual time, where it was not given.
 */
int64_t link_left_ns(const struct common *common);

/* The address in use, for people. */
const char *link_target(const struct common *common);

/* Says on standard error what the server answered, after `doing`; returns the exit code for it. */
int link_failed(const char *doing, const struct tributary_status *status);
int link_exit_code(enum tributary_code code);

#endif
