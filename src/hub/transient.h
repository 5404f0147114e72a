/* transient.h - transient producers inside this room.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_TRANSIENT_H
#define TRIBUTARY_HUB_TRANSIENT_H

struct hub;
struct producer;

void transients_init(struct hub *hub);

/* Removes the producer. Its calls find it removed, and must find their producer again. */
void transient_remove(struct producer *producer, const char *reason);

/* At the hub's end: forgets the producer. No call may be open on it. */
void transient_forget(struct producer *producer);

#endif
