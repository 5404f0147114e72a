/* subscriber.h - consumers of tributaryd: the half of `struct protocol` that all protocols of its
 * producers share. */
#ifndef TRIBUTARY_TESTS_BENCH_SUBSCRIBER_H
#define TRIBUTARY_TESTS_BENCH_SUBSCRIBER_H

#include "bench/protocol.h"

struct consumer *subscriber_new(struct load *load, uint32_t number);
void subscriber_read(struct consumer *consumer);
void subscriber_flush(struct consumer *consumer);
void subscriber_free(struct consumer *consumer);

#endif
