/* source_state.h - a state of a source, and what has caused it. */
#ifndef TRIBUTARY_FLOW_SOURCE_STATE_H
#define TRIBUTARY_FLOW_SOURCE_STATE_H

#include <stdint.h>

struct source_state {
    uint32_t state;      /* numbers as in enum producer_state */
    uint32_t code;       /* a gRPC status code; 0: there is no cause */
    const char *message; /* of the cause; NULL: none */
};

/* A copy of at most 256 bytes of a message, truncated between characters, because consumers get it
 * as text. To be freed with free(). NULL: it is NULL or empty, or memory ran out. */
char *source_message_copy(const char *message);

#endif
