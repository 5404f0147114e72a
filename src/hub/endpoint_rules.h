/* endpoint_rules.h - how the upstream calls of an endpoint are opened again. */
#ifndef TRIBUTARY_HUB_ENDPOINT_RULES_H
#define TRIBUTARY_HUB_ENDPOINT_RULES_H

#include <stdint.h>

/* The first wait, and the longest. It doubles with each failure in a row, and up to a quarter of it
 * is left out at random. Each is at least 1 ms. */
struct endpoint_rules {
    int64_t first_retry_ns, max_retry_ns;
};

#endif
