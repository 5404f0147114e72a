/* cuts.c - see cuts.h. */
#include "cuts.h"

#include <stdlib.h>

#include "base/splitmix.h"

static uint64_t random_state;

void cuts_begin(struct store_fixture *fixture)
{
    const char *seed = getenv("TOPIC_SEED");

    random_state = seed ? strtoull(seed, NULL, 10) : 1;
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(fixture);
}

unsigned roll(unsigned sides)
{
    return (unsigned)(splitmix64(&random_state) % sides);
}

uint64_t cuts_random(void)
{
    return splitmix64(&random_state);
}

struct power_plan power_off(void)
{
    return (struct power_plan){.off_at = 1 + roll(roll(2) == 0 ? 60 : 250)};
}

struct power_plan failing_sync(void)
{
    return (struct power_plan){.fail_sync_at = 1 + roll(40), .off_at = roll(3) == 0 ? 1 + roll(250) : 0};
}

unsigned cuts_wanted(unsigned in_tests)
{
    const char *asked = getenv("TOPIC_CUTS");

    return asked ? (unsigned)strtoul(asked, NULL, 10) : in_tests;
}

void cuts_run(unsigned wanted, unsigned (*live)(struct power_plan (*plan_of)(void)),
              struct power_plan (*plan_of)(void))
{
    for (unsigned cuts = 0; cuts < wanted; cuts += live(plan_of))
        ;
}
