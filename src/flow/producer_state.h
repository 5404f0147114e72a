/* producer_state.h - the states of a producer that a channel reports to its consumer. */
#ifndef TRIBUTARY_FLOW_PRODUCER_STATE_H
#define TRIBUTARY_FLOW_PRODUCER_STATE_H

/* Numbers as in the API's enum ProducerState. */
enum producer_state {
    PRODUCER_IDLE = 1,
    PRODUCER_CONNECTING = 2,
    PRODUCER_ACTIVE = 3,
    PRODUCER_BLOCKED = 4,
    PRODUCER_UNAVAILABLE = 5,
    PRODUCER_DRAINING = 6,
    PRODUCER_ENDED = 7,
    PRODUCER_REMOVED = 8,
    PRODUCER_RESYNC = 9 /* of no source: states were left out */
};

#endif
