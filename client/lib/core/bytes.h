/* bytes.h - the bytes of the public headers as those of the lower rooms, and back. Any thread. */
#ifndef TRIBUTARY_CLIENT_BYTES_H
#define TRIBUTARY_CLIENT_BYTES_H

#include <string.h>

#include "base/base.h"
#include "tributary/event.h"

static inline struct bytes to_bytes(struct tributary_bytes bytes)
{
    return (struct bytes){bytes.data, bytes.size};
}

static inline struct tributary_bytes from_bytes(struct bytes bytes)
{
    return (struct tributary_bytes){bytes.data, bytes.size};
}

#endif
