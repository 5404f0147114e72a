/* chunks.h - chunks for tests that move them and never read them: sizes and sequences, and no bytes
 * behind them. */
#ifndef TRIBUTARY_TESTS_LIB_CHUNKS_H
#define TRIBUTARY_TESTS_LIB_CHUNKS_H

#include "event/chunk.h"

/* Events of these sizes, numbered from `first_sequence`, observed at `observed_mono_ns`. Never
 * NULL. */
struct chunk *chunk_sized(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                          uint32_t count, const uint32_t *sizes);

/* The same, all events of one size. */
struct chunk *chunk_even(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                         uint32_t count, uint32_t size);

struct source *source_named(const char *name, uint64_t epoch);

#endif
