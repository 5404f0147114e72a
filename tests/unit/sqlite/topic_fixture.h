/* topic_fixture.h - topics of a store, driven from one thread: each call waits for its answer.
 *
 * The events are short texts: the letter of a producer and a number, from 1 on. */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_TOPIC_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_TOPIC_FIXTURE_H

#include "store_fixture.h"
#include "topic/topic_port.h"

/* The topics of the fixture's store, which is open. */
struct topic_port topics_of(struct store_fixture *fixture);

/* For the answers that come on a thread of the store: *flag becomes true, and whoever waits for it
 * goes on. */
void answer_is_there(bool *flag);
void answer_await(const bool *flag);

/* Makes, changes or deletes a topic. */
struct topic_change change_topic(struct store_fixture *fixture, enum topic_verb verb, const char *name,
                                 struct topic_settings settings);
/* Makes a topic without bounds. Returns its id. */
uint64_t make_topic(struct store_fixture *fixture, const char *name);

/* One batch of one topic: events `first` to `first` + count - 1 of a producer. */
struct batch {
    struct topic_append append;
    struct topic_part part;
    struct buf events;
    char producer;
    bool is_done;
};
struct batch_params {
    uint64_t topic;
    char producer;
    uint64_t life; /* 0: without numbers; otherwise the publisher's id is "x" */
    uint64_t first;
    uint32_t count;
    size_t padding; /* bytes that are added to each event */
};
void batch_init(struct batch *batch, struct batch_params params);
void batch_begin(struct store_fixture *fixture, struct batch *batch);
/* Waits for the answer, and frees the events. */
enum topic_outcome batch_end(struct batch *batch);

/* All of that. */
enum topic_outcome append(struct store_fixture *fixture, uint64_t topic, char producer, uint64_t life,
                          uint64_t first, uint32_t count);

/* One step of a reader. buf_fini(&read->data) must follow. */
void read_step(struct store_fixture *fixture, struct topic_read *read);

/* Calls `each` for every event of a topic, in order. Returns how the last step ended. */
enum topic_outcome topic_each(struct store_fixture *fixture, uint64_t topic,
                              void (*each)(void *ctx, uint64_t seq, char producer, uint64_t number),
                              void *ctx);

/* The whole topic as "a1-5 b1 a6"; a hole between sequences is "|". Static. "outcome N" where it
 * cannot be read. */
const char *topic_text(struct store_fixture *fixture, uint64_t topic);

/* What the list says of a topic; id 0: there is none. The name is not valid. */
struct topic_info topic_info_of(struct store_fixture *fixture, uint64_t topic);

#endif
