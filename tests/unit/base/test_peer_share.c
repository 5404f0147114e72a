/* test_peer_share.c - what each peer has, and what it may have (finding 11). */
#include "base/peer_share.h"

#include <criterion/criterion.h>

static const struct peer_key user = {PEER_UNIX, 1000}, other_user = {PEER_UNIX, 1001};
static const struct peer_key remote = {PEER_IPV4, 0xC0000207}, loopback = {PEER_IPV4, 0x7F000002};
static const struct peer_key none = {PEER_NONE, 0};

Test(peer_share, counts_each_peer_by_itself)
{
    struct peer_counts counts = {0};

    struct peer_count *one = peer_counts_add(&counts, user);
    struct peer_count *two = peer_counts_add(&counts, user);
    struct peer_count *three = peer_counts_add(&counts, remote);
    cr_assert_eq(peer_counts_get(&counts, user), 2);
    cr_assert_eq(peer_counts_get(&counts, remote), 1);
    cr_assert_eq(peer_counts_get(&counts, other_user), 0);
    cr_assert(peer_same(three->peer, remote));
    peer_counts_remove(&counts, two);
    cr_assert_eq(peer_counts_get(&counts, user), 1);
    peer_counts_remove(&counts, one);
    peer_counts_remove(&counts, three);
    peer_counts_remove(&counts, NULL);
    cr_assert_eq(peer_counts_get(&counts, user), 0);
    peer_counts_fini(&counts);
}

Test(peer_share, keeps_nothing_of_a_peer_that_has_nothing)
{
    struct peer_counts counts = {0};

    for (uint64_t i = 0; i < 10000; i++) {
        peer_counts_remove(&counts, peer_counts_add(&counts, (struct peer_key){PEER_IPV6, i}));
        cr_assert_eq(counts.peers.count, 0);
    }
    cr_assert_leq(counts.peers.slot_count, 16, "the table did not grow");
    peer_counts_fini(&counts);
}

Test(peer_share, is_half_for_a_remote_peer_and_nearly_all_for_a_local_one)
{
    cr_assert_eq(peer_share(&settings_defaults, 100000, remote), 50000);
    cr_assert_eq(peer_share(&settings_defaults, 100000, (struct peer_key){PEER_UNKNOWN, 0}), 50000);
    cr_assert_eq(peer_share(&settings_defaults, 100000, user), 97000);
    cr_assert_eq(peer_share(&settings_defaults, 100000, loopback), 97000);
}

Test(peer_share, is_rounded_down_and_at_least_one)
{
    struct settings settings = settings_defaults;

    cr_assert_eq(peer_share(&settings, 1, remote), 1);
    cr_assert_eq(peer_share(&settings, 3, remote), 1);
    cr_assert_eq(peer_share(&settings, 5, remote), 2);
    cr_assert_eq(peer_share(&settings, 3, user), 2);
    settings.peer_share_percent = 99;
    cr_assert_eq(peer_share(&settings, UINT32_MAX, remote), 4252017622, "no overflow");
}

Test(peer_share, of_100_percent_is_no_share)
{
    struct settings settings = settings_defaults;

    settings.peer_share_percent = 100;
    cr_assert_eq(peer_share(&settings, 10, remote), UINT64_MAX);
    cr_assert_eq(peer_share(&settings, 10, user), 9);
    settings.local_peer_share_percent = 100;
    cr_assert_eq(peer_share(&settings, 10, user), UINT64_MAX);
}

Test(peer_share, does_not_bound_the_server_itself)
{
    cr_assert_eq(peer_share(&settings_defaults, 10, none), UINT64_MAX);
}

Test(peer_share, refuses_beyond_it_and_names_the_peer_its_count_and_the_bound)
{
    struct settings settings = settings_defaults;
    struct peer_counts counts = {0};
    struct fault fault;
    char text[256];

    settings.peer_share_percent = 20;
    cr_assert_eq(peer_share_check(&counts, &settings, 10, remote, FAULT_PEER_PRODUCERS, &fault), FAULT_NONE);
    struct peer_count *one = peer_counts_add(&counts, remote);
    cr_assert_eq(peer_share_check(&counts, &settings, 10, remote, FAULT_PEER_PRODUCERS, &fault), FAULT_NONE);
    struct peer_count *two = peer_counts_add(&counts, remote);
    cr_assert_eq(peer_share_check(&counts, &settings, 10, remote, FAULT_PEER_PRODUCERS, &fault),
                 FAULT_PEER_PRODUCERS);
    fault_message(&fault, text, sizeof(text));
    cr_assert_str_eq(text,
                     "the peer has as many producers as its share allows: 192.0.2.7 has 2, at most 2 of 10");
    cr_assert_eq(peer_share_check(&counts, &settings, 10, loopback, FAULT_PEER_PRODUCERS, &fault),
                 FAULT_NONE);
    peer_counts_remove(&counts, one);
    cr_assert_eq(peer_share_check(&counts, &settings, 10, remote, FAULT_PEER_PRODUCERS, &fault), FAULT_NONE);
    peer_counts_remove(&counts, two);
    peer_counts_fini(&counts);
}

Test(peer_share, of_the_longest_peer_and_numbers_fits_the_message)
{
    struct settings settings = settings_defaults;
    struct peer_counts counts = {0};
    struct fault fault;

    struct peer_count *count = peer_counts_add(&counts, (struct peer_key){PEER_IPV6, UINT64_MAX});
    count->count = UINT32_MAX - 1;
    cr_assert_eq(
        peer_share_check(&counts, &settings, UINT32_MAX, count->peer, FAULT_PEER_SUBSCRIPTIONS, &fault),
        FAULT_PEER_SUBSCRIPTIONS);
    cr_assert_str_eq(fault.bound,
                     "ffff:ffff:ffff:ffff::/64 has 4294967294, at most 2147483647 of 4294967295");
    count->count = 1;
    peer_counts_remove(&counts, count);
    peer_counts_fini(&counts);
}
