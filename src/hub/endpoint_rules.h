/* endpoint_rules.h - how the upstream calls of an endpoint are opened again. */
#ifndef TRIBUTARY_HUB_ENDPOINT_RULES_H
#define TRIBUTARY_HUB_ENDPOINT_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

/* The first wait, and the longest. It doubles with each failure in a row, and up to a quarter of it
 * is left out at random. Each is at least 1 ms. */
struct endpoint_rules {
    int64_t first_retry_ns, max_retry_ns;
};

/* Whether an upstream that ends a call with this code will do so again, until somebody changes the
 * endpoint or the upstream. Then each wait is the longest one. */
static inline bool endpoint_is_refused(uint32_t code)
{
    return code == CODE_INVALID_ARGUMENT || code == CODE_PERMISSION_DENIED || code == CODE_UNIMPLEMENTED ||
           code == CODE_UNAUTHENTICATED;
}

#endif
