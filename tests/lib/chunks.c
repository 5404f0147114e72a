/* chunks.c - see chunks.h. */
#include "lib/chunks.h"

#include <stdlib.h>
#include <string.h>

struct chunk *chunk_sized(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns, uint32_t count, const uint32_t *sizes)
{
    struct framing_scan scan = {.count = count, .contiguous = true};
    struct chunk *chunk = NULL;
    uint8_t *message;

    scan.offsets = calloc(count + 1, sizeof(*scan.offsets));
    CHECK(scan.offsets);
    for (uint32_t i = 0; i < count; i++)
        scan.offsets[i + 1] = scan.offsets[i] + sizes[i];
    scan.events_bytes = scan.offsets[count];
    message = calloc(1, scan.events_bytes);
    CHECK(message);
    CHECK(chunk_of((struct bytes){message, scan.events_bytes}, &scan, &chunk) == ERR_OK);
    chunk->source = source_retain(source);
    chunk->first_sequence = first_sequence;
    chunk->observed_mono_ns = observed_mono_ns;
    free(message);
    free(scan.offsets);
    return chunk;
}

struct chunk *chunk_even(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns, uint32_t count, uint32_t size)
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
