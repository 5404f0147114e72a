/* connection_limits.h - what one connection may do: as gRPC core is told, and as the guard is told.
 *
 * Both are made of the same settings, so that they fit together: what the core or the server
 * refuses with a status passes the guard.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONNECTION_LIMITS_H
#define TRIBUTARY_SERVER_CONNECTION_LIMITS_H

#include "base/settings.h"
#include "h2guard/h2guard_limits.h"
#include "h2socket/h2socket.h"
#include "server/wire/wire.h"

/* For the servers of gRPC core. */
struct wire_settings connection_limits_of_core(const struct settings *settings);

/* For the guards of all connections. h2guard_limits_wrong() is NULL for it, whatever the settings
 * are within their bounds.
 *
 * Make it once, when the daemon starts, and keep it as long as a guard lives. A later version of
 * the settings does not change it: the core keeps its part until the daemon starts again, and the
 * two must fit. */
struct h2guard_limits connection_limits_of_guard(const struct settings *settings);

/* For the guards of dialled connections. As above. */
struct h2guard_limits connection_limits_of_upstreams(const struct settings *settings);

/* For all connections together. As above. */
struct h2socket_bounds connection_limits_of_all(const struct settings *settings);

#endif
