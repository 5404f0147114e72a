/* chunks.h - chunks for tests that move them and never read them: they have sizes and sequences,
 * but no bytes. Memory that runs out ends the test. */
#ifndef TRIBUTARY_TESTS_LIB_CHUNKS_H
#define TRIBUTARY_TESTS_LIB_CHUNKS_H

#include "event/chunk.h"

/* Makes a chunk of events of these sizes, with sequences from `first_sequence` on, observed at
 * `observed_mono_ns`. It retains the source. Never NULL. */
struct chunk *chunk_sized(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                          uint32_t count, const uint32_t *sizes);

/* The same, with events of one size. */
struct chunk *chunk_even(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                         uint32_t count, uint32_t size);

/* Makes a source. Never NULL. */
struct source *source_named(const char *name, uint64_t epoch);

#endif
