/* reader_item.h - an item of a reader's queue: a copy of what a callback was given, in one piece of
 * memory. Any thread. */
#ifndef TRIBUTARY_CLIENT_READER_ITEM_H
#define TRIBUTARY_CLIENT_READER_ITEM_H

#include "base/list.h"
#include "tributary/reader.h"

struct reader_item {
    struct list link;
    size_t size; /* of the whole, in bytes */
    struct tributary_item item;
};

/* Copies an item with all its texts. free() it. NULL: out of memory. */
struct reader_item *reader_item_copy(const struct tributary_item *item);

#endif
