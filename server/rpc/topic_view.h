/* topic_view.h - a stored topic as messages of the API. For the files of this room.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_SERVER_RPC_TOPIC_VIEW_H
#define TRIBUTARY_SERVER_RPC_TOPIC_VIEW_H

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"
#include "topic/topics.h"
#include "tributary/v1/admin.pb-c.h"

/* Appends a Topic. */
void topic_write(const struct topic_view *view, struct buf *bytes);

/* NULL (absent): no bounds.
 *   BAD_DURATION, OUT_OF_BOUNDS  *fault names field, value and bound */
MUST_CHECK enum fault_reason topic_settings_read(const Tributary__V1__TopicSettings *message,
                                                 struct topic_settings *settings_out, struct fault *fault);

#endif
