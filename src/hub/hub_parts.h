/* hub_parts.h - the parts of a hub, for files that need one of them and not the hub.
 *
 * Threads: any; each part says who may use it. */
#ifndef TRIBUTARY_HUB_HUB_PARTS_H
#define TRIBUTARY_HUB_HUB_PARTS_H

#include "base/clock.h"

struct hub;
struct list;
struct loop;
struct ready_list;
struct registry;
struct retry_queue;
struct transients;

struct loop *hub_loop(struct hub *hub);
struct ready_list *hub_ready(struct hub *hub);
struct registry *hub_registry(struct hub *hub);
struct transients *hub_transients(struct hub *hub);
struct retry_queue *hub_retries(struct hub *hub);
struct list *hub_sessions(struct hub *hub);          /* until they are unregistered */
struct list *hub_subscription_list(struct hub *hub); /* in the order of their beginning */

/* clock_mono_ns() after a wait; INT64_MAX where that overflows. */
static inline int64_t from_now(int64_t wait_ns)
{
    int64_t now_ns = clock_mono_ns();

    return wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
}

#endif
