/* decode_notice.h - decodes the notices of an EventBatch and calls their callbacks. `body` is the
 * content of the field. Each returns NULL, or the fault of the notice as static text. */
#ifndef TRIBUTARY_CLIENT_DECODE_NOTICE_H
#define TRIBUTARY_CLIENT_DECODE_NOTICE_H

#include "client/lib/subscribe/decoder.h"

const char *decode_started(struct decoder *decoder, struct bytes body,
                           const struct tributary_subscriber_callbacks *callbacks);
const char *decode_settings(struct decoder *decoder, struct bytes body,
                            const struct tributary_subscriber_callbacks *callbacks);
const char *decode_request_refused(struct decoder *decoder, struct bytes body,
                                   const struct tributary_subscriber_callbacks *callbacks);
const char *decode_lost(struct bytes body, const struct tributary_subscriber_callbacks *callbacks);
const char *decode_topic_notice(struct bytes body,
                                void (*each)(void *ctx, const struct tributary_topic_notice *notice),
                                void *ctx);
const char *decode_status(struct bytes body, const struct tributary_subscriber_callbacks *callbacks);
const char *decode_progress(struct decoder *decoder, struct bytes body,
                            const struct tributary_subscriber_callbacks *callbacks);
const char *decode_closing(struct decoder *decoder, struct bytes body,
                           const struct tributary_subscriber_callbacks *callbacks);

#endif
