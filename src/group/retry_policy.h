/* retry_policy.h - what becomes of an event that a member has not handled: another attempt after a
 * wait, a dead letter, or nothing.
 *
 * Threads: any; values. A random state belongs to one thread at a time. */
#ifndef TRIBUTARY_GROUP_RETRY_POLICY_H
#define TRIBUTARY_GROUP_RETRY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_DELIVERY_ATTEMPTS 65535u

/* Why an attempt was of no use. Numbers up to MAX_RETRY_REASONS - 1 that are not here are the
 * caller's. */
enum retry_reason {
    RETRY_FAILED,        /* the member said so, and no more */
    RETRY_UNRECOVERABLE, /* the member said that another attempt makes no sense */
    RETRY_UNPARSEABLE,   /* the event cannot be decoded */
    RETRY_TIMEOUT,       /* no answer within the ack wait */
    RETRY_MEMBER_LOST,   /* the member left or died */
    RETRY_REVOKED,       /* the shard moved to another member, and its time was up */
    RETRY_REASONS
};
#define MAX_RETRY_REASONS 64u

struct retry_policy {
    uint32_t max_attempts;  /* the first one counts; 1 to MAX_DELIVERY_ATTEMPTS */
    int64_t first_ns;       /* after the first failure; then twice as long each time; 4 or more */
    int64_t max_ns;         /* at the longest, and for a wait that a member asks for; first_ns or more */
    uint64_t unrecoverable; /* bit r: reason r makes no further attempt */
    uint64_t skipped;       /* bit r: after the last attempt reason r is no dead letter; it is skipped */
};

enum retry_verdict { RETRY_AGAIN, RETRY_DEAD_LETTER, RETRY_SKIP };

/* Decides about an event that was delivered `attempts` times, at least once, and failed each time.
 * With RETRY_AGAIN, *wait_ns_out is the time until it may be delivered again: 0 for the reasons
 * that are not the event's fault (TIMEOUT, MEMBER_LOST, REVOKED), `asked_ns` where that is not
 * negative, else exponential with jitter. *random: any number at first. */
enum retry_verdict retry_decide(const struct retry_policy *policy, uint32_t attempts, unsigned reason,
                                int64_t asked_ns, uint64_t *random, int64_t *wait_ns_out);

/* What no further attempt is made for: a dead letter, or nothing. */
enum retry_verdict retry_give_up(const struct retry_policy *policy, unsigned reason);

#endif
