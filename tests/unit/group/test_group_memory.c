/* test_group_memory.c - memory runs out in each place where a group allocates: nothing has changed,
 * and the same call works when there is memory again. */
#include <errno.h>
#include <stdlib.h>

#include "unit/group/group_fixture.h"

TestSuite(group_memory, .timeout = 60);

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

static bool is_armed;
static unsigned left; /* allocations that succeed */

static bool fails(void)
{
    if (!is_armed || left-- > 0)
        return false;
    left = 0;
    errno = ENOMEM;
    return true;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}

/* Calls with 0, 1, ... allocations that succeed, until it works. Returns how many that takes. */
static unsigned tries(enum err (*call)(struct group_fixture *fixture), struct group_fixture *fixture)
{
    for (unsigned i = 0; i < 16; i++) {
        left = i;
        is_armed = true;
        const enum err err = call(fixture);

        is_armed = false;
        if (err == ERR_OK)
            return i;
        cr_assert_eq(err, ERR_NO_MEMORY);
    }
    cr_assert_fail("it never works");
    return 0;
}

static enum err make(struct group_fixture *fixture)
{
    return group_new(&fixture->options, &fixture->group);
}

static enum err open_source(struct group_fixture *fixture)
{
    return group_source_open(fixture->group, 1, NULL, &fixture->source);
}

static struct group_member *member;

static enum err join(struct group_fixture *fixture)
{
    const struct member_limits limits = {1000, 1000000};

    return group_join(fixture->group, &limits, NULL, fixture->now_ns, &member);
}

static enum err offer(struct group_fixture *fixture)
{
    static struct group_offered offered[200];
    const uint64_t next = group_source_next(fixture->source);
    const enum err err = group_offer(fixture->source, offered, 200, fixture->now_ns);

    cr_assert_eq(group_source_next(fixture->source), err ? next : next + 200);
    return err;
}

static enum err pass(struct group_fixture *fixture)
{
    return group_pass(fixture->source, 1000, OUTCOME_FOREIGN, fixture->now_ns);
}

static struct buf state;
static struct group_dead_letter letter;

static enum err commit(struct group_fixture *fixture)
{
    struct group_commit commit = {.state = &state, .letters = &letter, .capacity = 1};

    buf_fini(&state);
    const enum err err = group_commit_begin(fixture->source, &commit);

    if (!err)
        group_commit_done(fixture->source, commit.number, true, fixture->now_ns);
    else
        cr_assert(group_commit_due_ns(fixture->source) < INT64_MAX && state.broken);
    return err;
}

static enum err restore(struct group_fixture *fixture)
{
    return group_source_restore(fixture->source, (struct bytes){state.data, state.size});
}

Test(group_memory, without_memory_nothing_changes)
{
    struct group_fixture fixture = group_fixture_new(4);
    struct group_event events[200];

    cr_assert_eq(tries(make, &fixture), 4);
    cr_assert_eq(tries(open_source, &fixture), 2);
    cr_assert_eq(tries(join, &fixture), 1);
    cr_assert_eq(tries(offer, &fixture), 1);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 100), 100);
    cr_assert_eq(tries(pass, &fixture), 1);
    group_fixture_nack(&fixture, member, 1, (struct group_nack){.verb = NACK_DEAD_LETTER});
    group_fixture_ack(&fixture, member, 5, 90);
    cr_assert_geq(tries(commit, &fixture), 1);
    const struct group_source_info info = group_fixture_info(&fixture);

    cr_assert_eq(info.floor, 1);
    cr_assert_eq(info.totals.settled[OUTCOME_ACKNOWLEDGED], 86);
    group_fixture_fini(&fixture);
    fixture = group_fixture_new(4);
    group_fixture_open(&fixture);
    cr_assert_eq(tries(restore, &fixture), 1);
    cr_assert_eq(group_source_next(fixture.source), 2);
    cr_assert_eq(group_fixture_info(&fixture).settled_above, 86 + 1000);
    buf_fini(&state);
    group_fixture_fini(&fixture);
}
