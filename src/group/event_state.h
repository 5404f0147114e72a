/* event_state.h - what an event of a group is doing, and how it was settled.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_EVENT_STATE_H
#define TRIBUTARY_GROUP_EVENT_STATE_H

/*   FREE --offered--> WAITING --dispatched--> QUEUED --sent--> SENT
 *                        ^                       |               |
 *                        +------- returned ------+---------------+
 *   SENT --no further attempt--> DEAD <--a commit begins, or fails--> COMMITTING
 *   WAITING, QUEUED, SENT, COMMITTING --> SETTLED --the floor passes--> FREE */
enum event_state {
    EVENT_FREE,
    EVENT_WAITING,
    EVENT_QUEUED,
    EVENT_SENT,
    EVENT_DEAD,
    EVENT_COMMITTING,
    EVENT_SETTLED
};

/* How an event was settled. The first ones have a count each in the totals, and in this order. */
enum event_outcome {
    OUTCOME_ACKNOWLEDGED,
    OUTCOME_DEAD_LETTERED,
    OUTCOME_SKIPPED,
    OUTCOME_TRIMMED,
    OUTCOME_EXPIRED,
    OUTCOME_DUPLICATE,
    OUTCOMES,
    OUTCOME_FOREIGN = OUTCOMES /* it is no event of the group: not counted */
};

#endif
