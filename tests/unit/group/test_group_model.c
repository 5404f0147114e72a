/* test_group_model.c - random schedules of everything that may happen to a consumer group, compared
 * with a naive model: members that join, leave, die, freeze, ack, nack and extend; time; commits
 * that fail; dead letters; trims, seeks, pauses, other options, and restarts from what was
 * committed.
 *
 *   test_group_model             2000 schedules, always the same
 *   test_group_model 100000     so many
 *   test_group_model 1 42       schedule 42 once more; a failure prints its number
 *
 * After each step both identities of D7 and S14 hold, exactly; the floor is where the model's is,
 * so nothing is committed past an unfinished event; no shard has two owners (D16); each shard is in
 * order. At the end every event is finished: none is lost (D15). */
#include "unit/group/group_steps.h"

#define SCHEDULES 2000
#define STEPS 150

static void tick(void)
{
    now += roll(4) ? roll(100000) : roll(2000000);
    model_tick();
    if (options.revoke_wait_ns == 0 || roll(2)) {
        group_tick(group, now, UINT32_MAX);
        return;
    }
    for (unsigned k = 0; k < 60; k++) { /* enough for all that is in flight */
        const uint64_t generation = model_generation();

        group_tick(group, now, 2 + roll(3));
        model_follow(generation);
    }
}

static void draw_options(void)
{
    group_options_default(&options);
    options.shards = SHARDS;
    options.max_members = MEMBERS;
    options.max_sources = SOURCES;
    options.max_window = 1 + roll(80);
    options.max_ranges = roll(2) ? 1 + roll(8) : 1000;
    options.ack_wait_ns = NS_PER_MS + (int64_t)roll(2000000);
    options.revoke_wait_ns = roll(4) ? (int64_t)(1 + roll(2000000)) : 0;
    options.retry = (struct retry_policy){.max_attempts = 1 + roll(6),
                                          .first_ns = 4 + roll(500000),
                                          .max_ns = 3000000,
                                          .unrecoverable = roll(4),
                                          .skipped = roll(2) ? UINT64_C(1) << roll(RETRY_REASONS) : 0};
    options.commit_events = 1 + roll(20);
    options.commit_ns = roll(2) ? (int64_t)roll(1000000) : 0;
    options.seed = splitmix64(&random_state);
    HOLDS(!group_options_check(&options));
}

static void change_options(void)
{
    draw_options();
    HOLDS(group_update(group, &options) == ERR_OK);
}

static void step(void)
{
    const uint64_t generation = model_generation();
    struct model_source *source = &sources[roll(SOURCES)];

    switch (roll(24)) {
    case 0:
    case 1:
    case 2:
        intake(source);
        break;
    case 3:
    case 4:
        begin_commit(source);
        break;
    case 5:
    case 6:
        end_commit(source, roll(4) > 0);
        break;
    case 7:
        if (roll(3) == 0)
            trim(source);
        break;
    case 8:
        if (roll(16) == 0)
            seek(source);
        else if (roll(16) == 0)
            restart();
        else if (roll(4) == 0)
            paused ? group_resume(group) : group_pause(group), paused = !paused;
        else if (roll(8) == 0)
            change_options();
        break;
    case 9:
    case 10:
        tick();
        break;
    default:
        member_step((int)roll(MEMBERS));
    }
    model_observe(generation);
}

static bool is_finished(void)
{
    for (unsigned i = 0; i < SOURCES; i++)
        if (model_floor(&sources[i]) < EVENTS)
            return false;
    return true;
}

/* Members work well until every event is finished. */
static void finish(void)
{
    if (paused)
        group_resume(group);
    paused = false;
    for (unsigned round = 0; !is_finished(); round++) {
        const uint64_t generation = model_generation();

        HOLDS(round < 4000);
        now += 200000;
        model_tick();
        group_tick(group, now, UINT32_MAX);
        model_observe(generation);
        for (unsigned i = 0; i < SOURCES; i++) {
            intake(&sources[i]);
            end_commit(&sources[i], true);
            begin_commit(&sources[i]);
            end_commit(&sources[i], true);
        }
        for (int i = 0; i < MEMBERS; i++)
            member_work(i);
    }
}

static void run_schedule(void)
{
    random_state = seed * UINT64_C(0xd1342543de82ef95);
    now = NS_PER_S;
    paused = false;
    memset(members, 0, sizeof(members));
    for (unsigned s = 0; s < SHARDS; s++)
        shards[s] = (struct model_shard){.owner = NOBODY};
    for (unsigned i = 0; i < SOURCES; i++)
        sources[i] = (struct model_source){.kept = 0};
    draw_options();
    HOLDS(group_new(&options, &group) == ERR_OK);
    open_sources();
    for (unsigned i = 0; i < STEPS; i++)
        step();
    finish();
    group_free(group);
    for (unsigned i = 0; i < SOURCES; i++) {
        buf_fini(&sources[i].durable.bytes);
        buf_fini(&sources[i].pending.bytes);
    }
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SCHEDULES;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    for (seed = first; seed < first + count; seed++)
        run_schedule();
    printf("%llu schedules, %llu events acknowledged\n", (unsigned long long)count,
           (unsigned long long)acknowledged);
    return 0;
}
