/* topic_appear.h - events that the backend appends by itself, or that lost others of their batch:
 * their way to the consumers that keep up.
 *
 * The backend notifies on its thread, in the order of the commits. The events go into the tail of
 * their topic, and the loop delivers them. */
#ifndef TRIBUTARY_TOPIC_TOPIC_APPEAR_H
#define TRIBUTARY_TOPIC_TOPIC_APPEAR_H

#include "topic/topic_info.h"

struct topics;

/* The backend's thread. `arg` is the topics. */
void topics_appeared(void *arg, const struct topic_appeared *appeared);

#endif
