/* settings.h - what a subscriber asked for becomes a SubscribeRequest. */
#ifndef TRIBUTARY_CLIENT_SETTINGS_H
#define TRIBUTARY_CLIENT_SETTINGS_H

#include "base/buf.h"
#include "tributary/tributary.h"

/* In bytes. */
#define MAX_RESUME_TOKEN 65536u

/* Appends everything but the start and the limit. NULL: done (memory shows in `request->broken`);
 * otherwise the option that is out of its bounds, as static text. */
const char *settings_write(const struct tributary_subscriber_options *options, struct buf *request);

/* The two parts of it. The first are also those of ConsumeRequest.Select. */
const char *settings_write_selectors(const struct tributary_selection *selection, struct buf *request);
const char *settings_write_rest(const struct tributary_subscriber_options *options, struct buf *request);

/* Appends what changes from stream to stream: how many events are still wanted; 0: all. */
void settings_write_limit(struct buf *request, uint64_t events);

/* Appends where the stream begins. Nothing for an empty token: with what is published from now
 * on. */
void settings_write_resume(struct buf *request, struct bytes token);

/* Appends a start with the last `events` of each producer; nothing for 0. */
void settings_write_last(struct buf *request, uint32_t events);

/* Appends text or bytes as field `number`, also where they are empty. */
void settings_write_text(struct buf *buf, uint32_t number, struct bytes text);

/* Appends a number as field `number`; nothing for 0. */
void settings_write_number(struct buf *buf, uint32_t number, uint64_t value);

/* Appends google.protobuf.Duration as field `number`: nothing for 0, an explicit zero for
 * TRIBUTARY_NONE. */
void settings_write_duration(struct buf *buf, uint32_t number, int64_t duration_ns);

#endif
