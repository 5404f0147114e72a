/* row_hash.h - the hash that finds decay of the disk: 64 bits over a few numbers and some data.
 *
 * DESIGN. It multiplies words pairwise to 128 bits and folds the halves, in four independent
 * columns of 16 bytes, as wyhash does. It reads memory as fast as it comes. It is no protection
 * against somebody who writes to the file. The numbers are read with the lowest byte first, so the
 * hash is the same on every machine. It is part of the format of a store: it must not change.
 *
 * Threads: any. */
#ifndef TRIBUTARY_TOPIC_ROW_HASH_H
#define TRIBUTARY_TOPIC_ROW_HASH_H

#include "base/base.h"

uint64_t row_hash(const uint64_t *numbers, size_t count, struct bytes data);

#endif
