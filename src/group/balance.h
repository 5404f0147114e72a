/* balance.h - which member each shard should go to, so that few shards move and no member has more
 * than one shard more than another.
 *
 * Who has a shard keeps it, unless it has more than its part. So a member that comes moves only the
 * shards that it gets, and one that goes only those that it had: no assignment that is as even
 * moves fewer.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_BALANCE_H
#define TRIBUTARY_GROUP_BALANCE_H

#include <stdbool.h>

#include "base/base.h"

#define NO_MEMBER UINT16_MAX

struct balance_shard {
    uint16_t owner;  /* who has it; NO_MEMBER: nobody */
    uint16_t target; /* who should have it: as it was decided before, and then as it is decided */
    bool moves;      /* scratch */
};

struct balance_member {
    bool is_eligible;
    uint32_t count; /* scratch: the shards that it has, and then should have */
    uint32_t quota; /* scratch */
};

/* Sets the target of each shard: an eligible member, or NO_MEMBER where there is none. Owners and
 * targets are indexes into `members`. O(shards + members). */
void balance_shards(struct balance_shard *shards, uint32_t shard_count, struct balance_member *members,
                    uint32_t member_count);

#endif
