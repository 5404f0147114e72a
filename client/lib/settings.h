/* settings.h - what a subscriber asked for becomes a SubscribeRequest. */
#ifndef TRIBUTARY_CLIENT_SETTINGS_H
#define TRIBUTARY_CLIENT_SETTINGS_H

#include "base/buf.h"
#include "client/lib/tributary.h"

/* In bytes. */
#define RESUME_TOKEN_MOST 65536u

/* Appends everything but the start. NULL: done (memory shows in `request->broken`); otherwise the option that is out of its bounds, as
 * static text. */
const char *settings_write(const struct tributary_subscriber_options *options, struct buf *request);

/* Appends where the stream begins. Nothing for an empty token: with what is published from now on. */
void settings_write_resume(struct buf *request, struct bytes token);

/* Appends text or bytes as field `number`, also where they are empty. */
void settings_write_text(struct buf *buf, uint32_t number, struct bytes text);

/* Appends google.protobuf.Duration as field `number`: nothing for 0, an explicit zero for TRIBUTARY_NONE. */
void settings_write_duration(struct buf *buf, uint32_t number, int64_t duration_ns);

#endif
