/* descriptors.h - how many descriptors the daemon may open, and how many connections fit. */
#ifndef TRIBUTARY_SERVER_DESCRIPTORS_H
#define TRIBUTARY_SERVER_DESCRIPTORS_H

#include "base/settings.h"
#include "base/status.h"
#include "server/wire/listener.h"

/* Raises the soft limit of RLIMIT_NOFILE to the hard one, and logs how many connections fit: a
 * warning where these are fewer than max_connections. Call it before anything else is opened. Main
 * thread.
 *   ERR_FULL  no connection fits. The log has the numbers. */
MUST_CHECK struct status descriptors_prepare(const struct settings *settings);

#endif
