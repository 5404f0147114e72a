/* balance.c - see balance.h. */
#include "group/balance.h"

/* A member's part is shards / eligible, or one more for as many as the remainder says. Those that
 * have more already get the one more, so that they need not give it up. */
static void set_quotas(struct balance_member *members, uint32_t member_count, uint32_t base, uint32_t extra)
{
    for (uint32_t i = 0; i < member_count; i++) {
        struct balance_member *member = &members[i];
        const bool has_more = extra > 0 && member->is_eligible && member->count > base;

        member->quota = member->is_eligible ? base + has_more : 0;
        extra -= has_more;
    }
    for (uint32_t i = 0; i < member_count && extra > 0; i++)
        if (members[i].is_eligible && members[i].quota == base) {
            members[i].quota++;
            extra--;
        }
}

static bool is_eligible(const struct balance_member *members, uint16_t member)
{
    return member != NO_MEMBER && members[member].is_eligible;
}

/* The owner has more than its part, so the shard moves. */
static bool give_up(const struct balance_shard *shard, struct balance_member *members)
{
    struct balance_member *owner = &members[shard->owner];

    if (owner->count <= owner->quota)
        return false;
    owner->count--;
    return true;
}

/* Shards that are on their way already go first, so that their way is not changed without need. */
static void choose_moves(struct balance_shard *shards, uint32_t shard_count, struct balance_member *members)
{
    for (uint32_t i = 0; i < shard_count; i++) {
        struct balance_shard *shard = &shards[i];

        shard->moves = !is_eligible(members, shard->owner);
        if (!shard->moves && shard->target != shard->owner)
            shard->moves = give_up(shard, members);
        if (!shard->moves)
            shard->target = shard->owner;
    }
    for (uint32_t i = 0; i < shard_count; i++)
        if (!shards[i].moves && give_up(&shards[i], members)) {
            shards[i].moves = true;
            shards[i].target = NO_MEMBER;
        }
}

static bool assign(struct balance_shard *shard, struct balance_member *members, uint16_t member)
{
    if (!is_eligible(members, member) || members[member].count >= members[member].quota)
        return false;
    members[member].count++;
    shard->target = member;
    return true;
}

void balance_shards(struct balance_shard *shards, uint32_t shard_count, struct balance_member *members,
                    uint32_t member_count)
{
    uint32_t eligible = 0, next = 0;

    for (uint32_t i = 0; i < member_count; i++) {
        members[i].count = 0;
        eligible += members[i].is_eligible;
    }
    for (uint32_t i = 0; i < shard_count; i++) {
        if (is_eligible(members, shards[i].owner))
            members[shards[i].owner].count++;
        if (eligible == 0)
            shards[i].target = NO_MEMBER;
    }
    if (eligible == 0)
        return;
    set_quotas(members, member_count, shard_count / eligible, shard_count % eligible);
    choose_moves(shards, shard_count, members);
    for (uint32_t i = 0; i < shard_count; i++)
        if (shards[i].moves && !assign(&shards[i], members, shards[i].target))
            shards[i].target = NO_MEMBER;
    for (uint32_t i = 0; i < shard_count; i++)
        while (shards[i].target == NO_MEMBER && !assign(&shards[i], members, (uint16_t)next))
            next++; /* the quotas are as many as the shards, so one is left */
}
