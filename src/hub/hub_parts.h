/* hub_parts.h - the parts of a hub, for files that need one of them and not the hub.
 *
 * Threads: any; each part says who may use it. */
#ifndef TRIBUTARY_HUB_HUB_PARTS_H
#define TRIBUTARY_HUB_HUB_PARTS_H

#include <stdint.h>

struct change_log;
struct due_queue;
struct hub;
struct list;
struct loop;
struct ready_list;
struct registry;
struct slice;
struct sorted;
struct transients;
struct wildcard_set;

struct loop *hub_loop(struct hub *hub);
struct ready_list *hub_ready(struct hub *hub);
struct registry *hub_registry(struct hub *hub);
struct wildcard_set *hub_wildcards(struct hub *hub); /* its lock guards the bindings' lists too */
struct slice *hub_report(struct hub *hub);           /* reports what is due of sources */
struct transients *hub_transients(struct hub *hub);
struct change_log *hub_change_log(struct hub *hub);
struct due_queue *hub_due_queue(struct hub *hub);
uint64_t *hub_random_state(struct hub *hub);
struct list *hub_sessions(struct hub *hub);              /* until they are unregistered */
struct sorted *hub_subscriptions_by_id(struct hub *hub); /* which is by their beginning */

#endif
