/* test_peer_charge.c - what things keep for peers: the part of the budget, the peer's share, and
 * its first thing. */
#include "base/peer_charge.h"

#include <criterion/criterion.h>
#include <string.h>

#define LIMIT UINT64_C(1600)

static const struct peer_key one = {PEER_UNIX, 1}, other = {PEER_UNIX, 2};

static struct settings settings_of(uint32_t percent)
{
    struct settings settings = settings_defaults;

    settings.local_peer_share_percent = percent;
    budget_set(LIMIT);
    return settings;
}

static void init(struct peer_charges *charges)
{
    peer_charges_init(charges, COUNT_LIVE_UPSTREAM_BYTES, "thing", "things of");
}

Test(peer_charge, the_first_thing_of_a_peer_is_always_charged)
{
    const struct settings settings = settings_of(50);
    struct peer_charge first = {.count = NULL}, second = {.count = NULL};
    struct peer_charges charges;
    struct fault fault;

    init(&charges);
    cr_assert_eq(peer_charge_add(&charges, &settings, &first, one, 5000, &fault), FAULT_NONE);
    cr_assert_eq(budget_used(), 5000);
    cr_assert_eq(peer_charge_add(&charges, &settings, &second, one, 1, &fault), FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(fault.bound, "things of unix:uid=1 have 5000 bytes, at most 100");
    cr_assert_null(second.count);
    peer_charge_give_back(&charges, &first);
    cr_assert_eq(budget_used(), 0);
    peer_charges_fini(&charges);
}

Test(peer_charge, with_a_part_of_its_own_the_first_thing_is_like_any_other)
{
    const struct settings settings = settings_of(50);
    struct peer_charge all[4] = {{.count = NULL}}, refused = {.count = NULL};
    struct peer_charges charges;
    struct fault fault;

    init(&charges);
    peer_charges_set_part(&charges, 2); /* 800 for all, 400 for one */
    cr_assert_eq(peer_charge_add(&charges, &settings, &refused, one, 401, &fault), FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(fault.field, "thing");
    cr_assert_str_eq(fault.value, "401");
    cr_assert_str_eq(fault.bound, "things of unix:uid=1 have 0 bytes, at most 400");
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(peer_charge_add(&charges, &settings, &all[i], i < 2 ? one : other, 200, &fault),
                     FAULT_NONE);
    cr_assert_eq(peer_charge_add(&charges, &settings, &refused, (struct peer_key){PEER_UNIX, 3}, 1, &fault),
                 FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(fault.bound, "things of all have 800 bytes, at most 800");
    peer_charge_set(&charges, &all[0], 100);
    cr_assert_eq(peer_charge_add(&charges, &settings, &refused, one, 100, &fault), FAULT_NONE);
    peer_charge_give_back(&charges, &refused);
    for (size_t i = 0; i < 4; i++)
        peer_charge_give_back(&charges, &all[i]);
    cr_assert_eq(budget_used(), 0);
    peer_charges_fini(&charges);
}

Test(peer_charge, where_others_use_the_budget_the_fault_says_no_share)
{
    const struct settings settings = settings_of(50);
    struct peer_charge charge = {.count = NULL};
    struct peer_charges charges;
    struct fault fault;

    init(&charges);
    peer_charges_set_part(&charges, 2);
    cr_assert(budget_take(COUNT_LIVE_FANIN_BYTES, LIMIT));
    cr_assert_eq(peer_charge_add(&charges, &settings, &charge, one, 1, &fault), FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(fault.bound, "");
    budget_give(COUNT_LIVE_FANIN_BYTES, LIMIT);
    peer_charges_fini(&charges);
}
