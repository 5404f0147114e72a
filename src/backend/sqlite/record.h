/* record.h - what the store keeps: a small thing with a name, of a kind.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_BACKEND_SQLITE_RECORD_H
#define TRIBUTARY_BACKEND_SQLITE_RECORD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"

#define STORE_MAX_NAME_BYTES 1024u
#define STORE_MAX_VALUE_BYTES (4u << 20)

struct store_record {
    const char *kind; /* "endpoint"; static */
    struct bytes name, value;
    struct bytes owner;      /* whatever the kind wants to know besides */
    int64_t changed_wall_ns; /* 0, where one is written: now */
};

/* What a record was before an operation. */
struct store_before {
    bool is_there;
    struct buf value, owner;
    int64_t changed_wall_ns;
};

#endif
