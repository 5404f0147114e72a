/* events.h - messages for tests: good ones from a description, bad ones byte by byte, random ones
 * from a seed. Memory that runs out ends the test. */
#ifndef TRIBUTARY_TESTS_LIB_EVENTS_H
#define TRIBUTARY_TESTS_LIB_EVENTS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "event/chunk.h"
#include "event/event_view.h"
#include "event/filter.h"
#include "event/framing.h"

/* The text without its closing NUL. */
struct bytes text_of(const char *text);

/* Each appends a part of a protobuf message. `number` and `type` are not checked. put_padded()
 * appends a varint of `size` bytes, which may be more than its value needs. */
void put_tag(struct buf *buf, uint32_t number, unsigned type);
void put_varint(struct buf *buf, uint64_t value);
void put_padded(struct buf *buf, uint64_t value, size_t size);
void put_field(struct buf *buf, uint32_t number, struct bytes content);

/* Appends field 1: the event that `event` describes, with these headers. Its own `headers` are
 * not used. */
void put_event(struct buf *buf, const struct event_view *event, const struct pair *headers,
               size_t header_count);

/* Makes a chunk of `count` events of one topic. Their keys are their numbers, and each has
 * `data_size` bytes of data. Source and sequences are not set. */
struct chunk *sample_chunk(uint32_t count, const char *topic, size_t data_size);
/* The same; event i expires at expires_unix_nano[i]. NULL: none does. */
struct chunk *sample_chunk_expiring(uint32_t count, const char *topic, size_t data_size,
                                    const uint64_t *expires_unix_nano);

/* Random numbers; the same seed gives the same ones. */
struct dice {
    uint64_t state;
};

/* A number from 0 to sides - 1. */
uint64_t dice_roll(struct dice *dice, uint64_t sides);

/* Takes the seed from TRIBUTARY_SEED, or else from the clock. Prints it, so that a failure can be
 * repeated. */
struct dice dice_new(const char *test);

/* Appends a well-formed message of up to eleven events. Their fields come in any order and number,
 * and some are unknown. */
void random_message(struct dice *dice, struct buf *buf);

/* Changes, removes or adds a few bytes. The message may still be well-formed. */
void mutate(struct dice *dice, struct buf *buf);

#endif
