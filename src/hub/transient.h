/* transient.h - transient producers inside this room.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_TRANSIENT_H
#define TRIBUTARY_HUB_TRANSIENT_H

#include <stdint.h>

struct hub;
struct transients;

/* What a hub keeps to forget transient producers some time after their last call has ended
 * (`transient_forget_ns` of the settings). NULL: out of memory. */
struct transients *transients_new(struct hub *hub);

/* No transient producer may be left. NULL is allowed. */
void transients_free(struct transients *transients);

#endif
