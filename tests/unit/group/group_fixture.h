/* group_fixture.h - a group with one source, a clock that the test moves, and members that get and
 * settle events.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_UNIT_GROUP_GROUP_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_GROUP_GROUP_FIXTURE_H

#include <criterion/criterion.h>

#include "base/clock.h"
#include "group/group.h"
#include "group/group_delivery.h"
#include "group/group_query.h"
#include "group/group_source.h"

struct group_fixture {
    struct group_options options;
    struct group *group;
    struct group_source *source;
    int64_t now_ns;
};

/* The defaults with so many shards, and without jitter that a test would see. */
struct group_fixture group_fixture_new(uint32_t shards);
/* Begins with the options as the test has changed them. */
void group_fixture_open(struct group_fixture *fixture);
void group_fixture_fini(struct group_fixture *fixture);
/* A member with wide limits. */
struct group_member *group_fixture_join(struct group_fixture *fixture);
/* Offers `count` events of 10 bytes; position p is in shard p % shards. */
void group_fixture_offer(struct group_fixture *fixture, uint32_t count);
/* All that may be dispatched is dispatched and sent. Returns how many; at most `capacity`. */
uint32_t group_fixture_receive(struct group_fixture *fixture, struct group_member *member,
                               struct group_event *events, uint32_t capacity);
struct group_result group_fixture_ack(struct group_fixture *fixture, struct group_member *member,
                                      uint64_t first, uint64_t last);
struct group_result group_fixture_nack(struct group_fixture *fixture, struct group_member *member,
                                       uint64_t position, struct group_nack nack);
/* Moves the clock and ticks. */
void group_fixture_pass(struct group_fixture *fixture, int64_t ns);
/* The source, whose identity holds. */
struct group_source_info group_fixture_info(const struct group_fixture *fixture);

#endif
