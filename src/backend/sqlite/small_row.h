/* small_row.h - the hash of a small row: numbers and two texts. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BACKEND_SQLITE_SMALL_ROW_H
#define TRIBUTARY_BACKEND_SQLITE_SMALL_ROW_H

#include <endian.h>

#include "base/base.h"
#include "base/map.h"

/* Of all numbers and texts together. */
#define MAX_SMALL_ROW_BYTES 1536u

/* It is against decay of the disk, and against nobody who writes to the file. It is part of the
 * format. */
static inline uint64_t small_row_hash(const uint64_t *numbers, size_t count, struct bytes first,
                                      struct bytes second)
{
    static const uint64_t key[2] = {0x7472696275746172, 0x792e736d616c6c72};
    SCRATCH uint8_t bytes[MAX_SMALL_ROW_BYTES];
    size_t size = 0;

    CHECK(count * sizeof(*numbers) + first.size + second.size <= sizeof(bytes));
    for (size_t i = 0; i < count; i++, size += sizeof(*numbers)) {
        const uint64_t number = htole64(numbers[i]);

        memcpy(bytes + size, &number, sizeof(number));
    }
    if (first.size > 0)
        memcpy(bytes + size, first.data, first.size);
    if (second.size > 0)
        memcpy(bytes + size + first.size, second.data, second.size);
    return siphash13(key, (struct bytes){bytes, size + first.size + second.size});
}

#endif
