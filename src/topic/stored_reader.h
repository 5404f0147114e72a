/* stored_reader.h - the reader of one consumer in one stored topic: from the log while it is
 * behind, from memory when it keeps up.
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_TOPIC_STORED_READER_H
#define TRIBUTARY_TOPIC_STORED_READER_H

#include "base/status.h"
#include "event/filter.h"

struct live_topic;
struct producer;
struct reselection;
struct start_point;
struct subscription;
struct inlet;
struct list;

/* As in struct producer_kind. */
MUST_CHECK enum err stored_reader_bind(struct producer *producer, struct subscription *subscription,
                                       const struct filter_part *part, const struct start_point *start_point,
                                       struct list *created);
MUST_CHECK enum err stored_reader_reselect(struct producer *producer, struct subscription *subscription,
                                           const struct filter_part *part, struct reselection *reselection);

/* What the inlet of a topic has as on_hole(): whoever keeps up goes on from the log. */
void stored_readers_hole(struct inlet *inlet);

#endif
