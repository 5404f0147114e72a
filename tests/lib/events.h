/* events.h - messages for tests: good ones from a description, bad ones byte by byte, random ones
 * from a seed. */
#ifndef TRIBUTARY_TESTS_LIB_EVENTS_H
#define TRIBUTARY_TESTS_LIB_EVENTS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "event/chunk.h"
#include "event/event_view.h"
#include "event/filter.h"
#include "event/framing.h"

struct bytes text_of(const char *text); /* without the closing NUL */

/* Protobuf's pieces, as they should be written, and as they may be. `number` and `type` are taken
 * as they are. */
void put_tag(struct buf *buf, uint32_t number, unsigned type);
void put_varint(struct buf *buf, uint64_t value);
/* a varint of `size` bytes, however small the value */
void put_padded(struct buf *buf, uint64_t value, size_t size);
void put_field(struct buf *buf, uint32_t number, struct bytes content);

/* Appends field 1: the event that `event` describes (its `body` is not looked at), with these
 * headers. */
void put_event(struct buf *buf, const struct event_view *event, const struct pair *headers,
               size_t header_count);

/* A chunk of `count` events of one topic, numbered in their keys, with `data_size` bytes of data
 * each; source and sequences are not set. */
struct chunk *sample_chunk(uint32_t count, const char *topic, size_t data_size);

/* Numbers that a seed repeats. */
struct dice {
    uint64_t state;
};
uint64_t dice_roll(struct dice *dice, uint64_t sides); /* 0 to sides - 1 */

/* TRIBUTARY_SEED where that is set, else one of the clock's; printed, so that a failure can be had
 * again. */
struct dice dice_new(const char *test);

/* A message of up to a dozen events with fields in any order and number, unknown ones among them:
 * well-formed. */
void random_message(struct dice *dice, struct buf *buf);

/* Changes a few bytes, cuts some out, or puts some in: perhaps no longer well-formed. */
void mutate(struct dice *dice, struct buf *buf);

#endif
