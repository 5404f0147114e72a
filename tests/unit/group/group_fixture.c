/* group_fixture.c - see group_fixture.h. */
#include "unit/group/group_fixture.h"

struct group_fixture group_fixture_new(uint32_t shards)
{
    struct group_fixture fixture = {.now_ns = NS_PER_S};

    group_options_default(&fixture.options);
    fixture.options.shards = shards;
    return fixture;
}

void group_fixture_open(struct group_fixture *fixture)
{
    cr_assert_eq(group_new(&fixture->options, &fixture->group), ERR_OK);
    cr_assert_eq(group_source_open(fixture->group, 1, fixture, &fixture->source), ERR_OK);
}

void group_fixture_fini(struct group_fixture *fixture)
{
    group_free(fixture->group);
}

struct group_member *group_fixture_join(struct group_fixture *fixture)
{
    const struct member_limits limits = {1u << 20, UINT64_MAX};
    struct group_member *member = NULL;

    cr_assert_eq(group_join(fixture->group, &limits, fixture, fixture->now_ns, &member), ERR_OK);
    return member;
}

void group_fixture_offer(struct group_fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t position = group_source_next(fixture->source);
        const struct group_offered offered = {.bytes = 10,
                                              .shard = (uint16_t)(position % fixture->options.shards)};

        cr_assert_eq(group_offer(fixture->source, &offered, 1, fixture->now_ns), ERR_OK);
    }
}

uint32_t group_fixture_receive(struct group_fixture *fixture, struct group_member *member,
                               struct group_event *events, uint32_t capacity)
{
    uint32_t count = 0, more = 0;

    while (count < capacity &&
           (more = group_dispatch(member, fixture->now_ns, events + count, capacity - count)) > 0)
        count += more;
    cr_assert_eq(group_sent(member, events, count, fixture->now_ns), count);
    return count;
}

struct group_result group_fixture_ack(struct group_fixture *fixture, struct group_member *member,
                                      uint64_t first, uint64_t last)
{
    const struct group_range range = {.source = fixture->source, .first = first, .last = last};

    return group_ack(member, &range, fixture->now_ns);
}

struct group_result group_fixture_nack(struct group_fixture *fixture, struct group_member *member,
                                       uint64_t position, struct group_nack nack)
{
    const struct group_range range = {.source = fixture->source, .first = position, .last = position};

    return group_nack(member, &range, &nack, fixture->now_ns);
}

void group_fixture_pass(struct group_fixture *fixture, int64_t ns)
{
    fixture->now_ns += ns;
    group_tick(fixture->group, fixture->now_ns, UINT32_MAX);
}

struct group_source_info group_fixture_info(const struct group_fixture *fixture)
{
    struct group_source_info info;

    group_source_info(fixture->source, &info);
    cr_assert(group_totals_hold(&info.totals));
    return info;
}
