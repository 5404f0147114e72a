/* trim_policy.c - see trim_policy.h. */
#include "server/trim_policy.h"

bool trim_policy_sample(struct trim_policy *policy, int64_t unused_bytes, int64_t allocated_bytes,
                        int64_t now_ns)
{
    int64_t from_bytes = MAX_OF(TRIM_FROM_BYTES, allocated_bytes / TRIM_FROM_PART);
    int64_t lasting_bytes = policy->has_seen ? MIN_OF(policy->latest_bytes, unused_bytes) : unused_bytes;

    policy->residue_bytes = policy->has_seen ? MIN_OF(policy->residue_bytes, unused_bytes) : unused_bytes;
    policy->latest_bytes = unused_bytes;
    policy->has_seen = true;
    return lasting_bytes - policy->residue_bytes >= from_bytes && now_ns >= policy->not_before_ns;
}

void trim_policy_trimmed(struct trim_policy *policy, int64_t unused_bytes, int64_t began_ns, int64_t now_ns)
{
    policy->residue_bytes = policy->latest_bytes = unused_bytes;
    policy->not_before_ns = now_ns + (now_ns - began_ns) * TRIM_TIME_SHARE;
}
