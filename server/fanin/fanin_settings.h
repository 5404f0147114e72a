/* fanin_settings.h - the settings of a fan-in call, as Admin shows those of a consumer.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_FANIN_FANIN_SETTINGS_H
#define TRIBUTARY_SERVER_FANIN_FANIN_SETTINGS_H

#include "base/buf.h"
#include "flow/chan_limits.h"

/* Appends the fields of the API's message Settings. */
void fanin_settings_write(const struct chan_limits *limits, struct buf *settings);

#endif
