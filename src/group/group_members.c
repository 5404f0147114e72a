/* group_members.c - members come and go, and shards move between them. */
#include "group/group_internal.h"

#include <stdlib.h>

#include "base/clock.h"

static bool may_have_shards(const struct group_member *member)
{
    return member && !member->is_leaving;
}

/* Members that are not silent; where all are silent, these. */
static void find_eligible(struct group *group)
{
    bool any = false;

    for (uint32_t i = 0; i < group->options.max_members; i++) {
        const struct group_member *member = group->members[i];

        group->balance_members[i].is_eligible = may_have_shards(member) && !member->is_silent;
        any |= group->balance_members[i].is_eligible;
    }
    for (uint32_t i = 0; i < group->options.max_members && !any; i++)
        group->balance_members[i].is_eligible = may_have_shards(group->members[i]);
}

static uint16_t index_of(const struct group_member *member)
{
    return member ? member->index : NO_MEMBER;
}

/* By deadlines. They come in order, but for a wait that was made shorter. */
static void add_revoking(struct group *group, struct group_shard *shard)
{
    struct list *before = group->revoking.prev;

    while (before != &group->revoking &&
           container_of(before, struct group_shard, in_revoking)->deadline_ns > shard->deadline_ns)
        before = before->prev;
    list_append(before->next, &shard->in_revoking);
}

static void begin_move(struct group *group, uint32_t number, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];

    shard->is_revoking = true;
    shard->deadline_ns = clock_add_ns(now_ns, group->options.revoke_wait_ns);
    add_revoking(group, shard);
    group->generation++;
    member_changed(shard->owner);
    shard_refresh(group, number, now_ns);
    shard_put_back_queued(group, number, now_ns);
    if (shard->is_revoking && shard->in_flight == 0)
        shard_move(group, number, now_ns);
}

static void cancel_move(struct group *group, uint32_t number, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];

    shard->is_revoking = false;
    list_remove(&shard->in_revoking);
    group->generation++;
    member_changed(shard->owner);
    shard_refresh(group, number, now_ns);
}

static void set_target(struct group *group, uint32_t number, struct group_member *target, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];

    shard->target = target;
    if (shard->owner == target && shard->is_revoking)
        cancel_move(group, number, now_ns);
    else if (shard->owner != target && !shard->owner)
        shard_move(group, number, now_ns);
    else if (shard->owner != target && !shard->is_revoking)
        begin_move(group, number, now_ns);
}

void group_reassign(struct group *group, int64_t now_ns)
{
    const uint32_t shards = group->options.shards;

    find_eligible(group);
    for (uint32_t i = 0; i < shards; i++)
        group->balance_shards[i] = (struct balance_shard){.owner = index_of(group->shards[i].owner),
                                                          .target = index_of(group->shards[i].target)};
    balance_shards(group->balance_shards, shards, group->balance_members, group->options.max_members);
    for (uint32_t i = 0; i < shards; i++) {
        const uint16_t target = group->balance_shards[i].target;

        set_target(group, i, target == NO_MEMBER ? NULL : group->members[target], now_ns);
    }
}

enum err group_join(struct group *group, const struct member_limits *limits, void *ctx, int64_t now_ns,
                    struct group_member **member_out)
{
    struct group_member *member = NULL;
    uint16_t index = 0;

    if (group->member_count == group->options.max_members)
        return ERR_FULL;
    if (limits->max_events == 0 || limits->max_bytes == 0)
        return ERR_INVALID;
    if (!(member = calloc(1, sizeof(*member))))
        return ERR_NO_MEMORY;
    while (group->members[index])
        index++;
    *member = (struct group_member){
        .group = group, .limits = *limits, .ctx = ctx, .index = index, .heard_ns = now_ns};
    list_init(&member->ready);
    list_init(&member->in_ready);
    list_init(&member->in_changed);
    group->members[index] = member;
    group->member_count++;
    member_changed(member); /* it hears of its assignment, even of an empty one */
    group_reassign(group, now_ns);
    *member_out = member;
    return ERR_OK;
}

void group_leave(struct group_member *member, int64_t now_ns)
{
    if (member->is_leaving)
        return;
    member->is_leaving = true;
    group_reassign(member->group, now_ns);
}

/* Ends what a member has of a shard, at once. */
static void lose_shard(struct group *group, uint32_t number, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];

    list_remove(&shard->in_revoking);
    shard->is_revoking = false;
    shard_put_back_queued(group, number, now_ns);
    shard_fail_all(group, number, RETRY_MEMBER_LOST, now_ns);
    CHECK(shard->in_flight == 0);
    if (shard->target == shard->owner)
        shard->target = NULL;
    shard->owner = NULL;
    shard_refresh(group, number, now_ns);
}

void group_remove(struct group_member *member, int64_t now_ns)
{
    struct group *group = member->group;

    for (uint32_t i = 0; i < group->options.shards; i++) {
        if (group->shards[i].owner == member)
            lose_shard(group, i, now_ns);
        else if (group->shards[i].target == member)
            group->shards[i].target = NULL;
    }
    CHECK(member->events == 0 && member->bytes == 0 && member->totals.queued == 0);
    list_remove(&member->in_ready);
    list_remove(&member->in_changed);
    group->members[member->index] = NULL;
    group->member_count--;
    group_reassign(group, now_ns);
    free(member);
}

void *group_member_ctx(const struct group_member *member)
{
    return member->ctx;
}

void group_assignment_of(const struct group_member *member, struct group_assignment *assignment_out)
{
    const struct group *group = member->group;

    assignment_out->generation = group->generation;
    assignment_out->owned_count = assignment_out->revoking_count = 0;
    assignment_out->deadline_ns = INT64_MAX;
    for (uint32_t i = 0; i < group->options.shards; i++) {
        const struct group_shard *shard = &group->shards[i];

        if (shard->owner != member)
            continue;
        if (!shard->is_revoking) {
            assignment_out->owned[assignment_out->owned_count++] = (uint16_t)i;
            continue;
        }
        assignment_out->revoking[assignment_out->revoking_count++] = (uint16_t)i;
        assignment_out->deadline_ns = MIN_OF(assignment_out->deadline_ns, shard->deadline_ns);
    }
}
