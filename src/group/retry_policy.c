/* retry_policy.c - see retry_policy.h. */
#include "group/retry_policy.h"

#include "base/base.h"
#include "base/retry_wait.h"

static bool holds(uint64_t reasons, unsigned reason)
{
    return reason < MAX_RETRY_REASONS && (reasons >> reason & 1);
}

enum retry_verdict retry_give_up(const struct retry_policy *policy, unsigned reason)
{
    return holds(policy->skipped, reason) ? RETRY_SKIP : RETRY_DEAD_LETTER;
}

enum retry_verdict retry_decide(const struct retry_policy *policy, uint32_t attempts, unsigned reason,
                                int64_t asked_ns, uint64_t *random, int64_t *wait_ns_out)
{
    if (attempts >= policy->max_attempts || holds(policy->unrecoverable, reason))
        return retry_give_up(policy, reason);
    if (reason == RETRY_TIMEOUT || reason == RETRY_MEMBER_LOST || reason == RETRY_REVOKED)
        *wait_ns_out = 0;
    else if (asked_ns >= 0)
        *wait_ns_out = MIN_OF(asked_ns, policy->max_ns);
    else
        *wait_ns_out = retry_wait_ns(policy->first_ns, policy->max_ns, attempts, random);
    return RETRY_AGAIN;
}
