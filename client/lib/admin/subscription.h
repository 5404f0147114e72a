/* subscription.h - passes a subscription on in the public structs. Any thread. */
#ifndef TRIBUTARY_CLIENT_ADMIN_SUBSCRIPTION_H
#define TRIBUTARY_CLIENT_ADMIN_SUBSCRIPTION_H

#include <stdbool.h>

#include "tributary/tributary.h"
#include "tributary/v1/admin.pb-c.h"

/* Calls `each` with the subscription; its texts lie in `from`. False: out of memory, and `each` was
 * not called. */
bool admin_show_subscription(void (*each)(void *ctx, const struct tributary_subscription *subscription),
                             void *ctx, const Tributary__V1__Subscription *from);

#endif
