/* producer.h - passes a producer on in the public structs. Any thread. */
#ifndef TRIBUTARY_CLIENT_ADMIN_PRODUCER_H
#define TRIBUTARY_CLIENT_ADMIN_PRODUCER_H

#include <stdbool.h>

#include "tributary/tributary.h"
#include "tributary/v1/admin.pb-c.h"

/* Calls `each` with the producer; its texts lie in `from`. NULL: nobody wants it. False: out of
 * memory, and `each` was not called. */
bool admin_show_producer(void (*each)(void *ctx, const struct tributary_producer *producer), void *ctx,
                         const Tributary__V1__Producer *from);

#endif
