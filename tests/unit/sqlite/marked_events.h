/* marked_events.h - batches of events with ids and times, and what appears of them. */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_MARKED_EVENTS_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_MARKED_EVENTS_H

#include "topic_fixture.h"

/* A batch of one topic, as it was answered. `stored`, `same_ids`, `delayed` are of its part. */
struct marked {
    struct topic_append append;
    struct topic_part part;
    struct buf events;
    uint32_t count;
    uint64_t number; /* of the next append; 0: without numbers */
    bool is_done;
};

void marked_init(struct marked *batch, uint64_t topic);
/* Adds an event with these data. `id` NULL: none; `deliver_wall_ns` 0: none. */
void marked_add(struct marked *batch, const char *data, const char *id, int64_t deliver_wall_ns);
/* The same, without an id; the event expires then. */
void marked_add_expiring(struct marked *batch, const char *data, int64_t deliver_wall_ns,
                         int64_t expires_wall_ns);
/* Appends it, waits for the answer, and frees the events. */
enum topic_outcome marked_append(struct store_fixture *fixture, struct marked *batch);

/* One event. */
enum topic_outcome marked_one(struct store_fixture *fixture, uint64_t topic, struct marked *batch,
                              const char *data, const char *id, int64_t deliver_wall_ns);

/* The data of all events of a topic, with blanks between. Static. */
const char *marked_text(struct store_fixture *fixture, uint64_t topic);
/* A letter for each run of a topic: "e" where its row has events that may expire, "-" where none
 * does. Static. */
const char *expiring_text(struct store_fixture *fixture, uint64_t topic);

/* From now on notes what appears, as "seq:data seq:data". */
void appeared_listen(struct store_fixture *fixture);
/* Static. */
const char *appeared_text(void);

#endif
