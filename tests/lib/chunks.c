/* chunks.c - chunks for tests that move them and never read them. */
#include "lib/chunks.h"

#include <stdlib.h>
#include <string.h>

static void release_nothing(struct chunk_memory *memory)
{
    (void)memory;
}

static struct chunk_memory no_memory = {.release = release_nothing};
static const uint8_t no_bytes;

struct chunk *chunk_sized(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                          uint32_t count, const uint32_t *sizes)
{
    struct framing_scan scan = {.count = count, .contiguous = true};
    struct chunk *chunk = NULL;

    scan.offsets = calloc(count + 1, sizeof(*scan.offsets));
    CHECK(scan.offsets);
    for (uint32_t i = 0; i < count; i++)
        scan.offsets[i + 1] = scan.offsets[i] + sizes[i];
    scan.events_bytes = scan.offsets[count];
    CHECK(chunk_new(&no_memory, &no_bytes, &scan, scan.events_bytes, &chunk) == ERR_OK);
    chunk->source = source_retain(source);
    chunk->first_sequence = first_sequence;
    chunk->observed_mono_ns = observed_mono_ns;
    free(scan.offsets);
    return chunk;
}

struct chunk *chunk_even(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                         uint32_t count, uint32_t size)
{
    uint32_t *sizes = calloc(count, sizeof(*sizes));
    struct chunk *chunk;

    CHECK(sizes);
    for (uint32_t i = 0; i < count; i++)
        sizes[i] = size;
    chunk = chunk_sized(source, first_sequence, observed_mono_ns, count, sizes);
    free(sizes);
    return chunk;
}

struct source *source_named(const char *name, uint64_t epoch)
{
    struct source *source = source_new((struct bytes){(const uint8_t *)name, strlen(name)}, epoch);

    CHECK(source);
    return source;
}
