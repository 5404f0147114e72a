/* link.h - makes a connected client from the common options, and reports failures. Main thread,
 * except link_failed(), link_reason() and link_exit_code(), which any thread may call. */
#ifndef TRIBUTARY_TOOL_LINK_H
#define TRIBUTARY_TOOL_LINK_H

#include "tributary/tributary.h"
#include "client/tool/option.h"

/* Makes a client and waits until the server answers, within --connect-timeout and --max-time.
 * Returns the exit code. Where it is not EXITS_OK, the fault was printed to standard error and
 * nothing is open. Free the client with tributary_free(). */
int link_open(const struct verb *verb, const struct common *common, struct tributary **client_out);

/* The same, but does not wait for the server. */
int link_connect(const struct verb *verb, const struct common *common, struct tributary **client_out);

/* The timeout that --max-time leaves for one call: at least 1 ns. 0, which means the default
 * timeout, where --max-time was not given. */
int64_t link_left_ns(const struct common *common);
/* The shorter of a duration and what --max-time leaves. 0: neither was given. */
int64_t link_limit_ns(const struct common *common, int64_t for_ns);

/* The address of the server for people: always with its port, where it has one. One that is wrong
 * is returned as it was given. Main thread; the text stays. */
const char *link_target(const struct common *common);

/* Writes why a call failed, in plain words where they are known. With --verbose, the words of gRPC
 * core follow. After link_connect(), which keeps the address and --verbose for it. */
#define LINK_REASON_CAPACITY 1280
void link_reason(const struct tributary_status *status, char text[LINK_REASON_CAPACITY]);

/* Prints to standard error what failed (`doing`) and how the server answered. Returns the exit code
 * for that answer. */
int link_failed(const char *doing, const struct tributary_status *status);
int link_exit_code(enum tributary_code code);

/* Prints to standard error what was lost (`what`), why, and when the next attempt is. */
void link_interrupted(const char *what, const struct tributary_status *status, int64_t retry_ns);

#endif
