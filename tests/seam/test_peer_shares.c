/* test_peer_shares.c - the share of producers and subscriptions that one peer may have
 * (finding 11). */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "event/matcher.h"
#include "hub/hub_internal.h"
#include "seam/check_shares.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct peer_key one = {PEER_IPV4, 0xC0000201}, other = {PEER_IPV4, 0xC0000202};
static const struct peer_key local = {PEER_IPV6_LOOPBACK, 0};

static struct hub_fixture fixture;

/* Of 8 producers and 8 subscriptions, a remote peer may have 2 and a local one 4. */
static void open_hub(void)
{
    hub_fixture_settings.max_producers = hub_fixture_settings.max_subscriptions = 8;
    hub_fixture_settings.peer_share_percent = 25;
    hub_fixture_settings.local_peer_share_percent = 50;
    hub_fixture_open(&fixture);
}

static void close_hub(void)
{
    check_shares(fixture.hub);
    hub_fixture_close(&fixture);
}

static uint32_t names_of(struct peer_key peer)
{
    check_shares(fixture.hub);
    return peer_counts_get(&fixture.hub->registry.peers, peer);
}

static uint32_t subscriptions_of(struct peer_key peer)
{
    check_shares(fixture.hub);
    return peer_counts_get(&fixture.hub->peers, peer);
}

/* Publishes under a name, as a call of this peer. */
static enum fault_reason publish_as(struct peer_key peer, const char *name, struct fault *fault)
{
    struct inlet *inlet;

    if (hub_inlet_open(fixture.hub, text_of(name), "peer", peer, &inlet, fault) != FAULT_NONE)
        return fault->reason;
    inlet_leave(inlet);
    return FAULT_NONE;
}

static struct session_params session_of_peer(struct peer_key peer, const char *name, bool start_first)
{
    struct session_params params = fake_session_params(name, SESSION_SHARED);

    params.peer_key = peer;
    params.start_first = start_first;
    return params;
}

static struct subscription_params consumer_of_peer(struct peer_key peer)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.peer_key = peer;
    return params;
}

static void remove_name(const char *name)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_remove(fixture.hub, text_of(name), 0, hub_fixture_copy_view, &view, &fault), FAULT_NONE);
}

Test(peer_shares, a_peer_with_its_share_of_producers_gets_no_more_and_others_do)
{
    struct fault fault;
    char text[256];

    open_hub();
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "b", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "c", &fault), FAULT_PEER_PRODUCERS);
    fault_message(&fault, text, sizeof(text));
    cr_assert_str_eq(text,
                     "the peer has as many producers as its share allows: 192.0.2.1 has 2, at most 2 of 8");
    cr_assert_eq(fault_code(fault.reason), CODE_RESOURCE_EXHAUSTED);
    cr_assert_eq(publish_as(other, "c", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(local, "d", &fault), FAULT_NONE);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 4);
    close_hub();
}

Test(peer_shares, a_local_peer_has_a_larger_share)
{
    struct fault fault;

    open_hub();
    cr_assert_eq(publish_as(local, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(local, "b", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(local, "c", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(local, "d", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(local, "e", &fault), FAULT_PEER_PRODUCERS);
    cr_assert_str_eq(fault.bound, "::1 has 4, at most 4 of 8");
    close_hub();
}

Test(peer_shares, the_limit_of_all_still_holds_for_a_peer_within_its_share)
{
    struct fault fault;
    char name[2] = "a";

    open_hub();
    for (uint64_t i = 0; i < 8; i++, name[0]++)
        cr_assert_eq(publish_as((struct peer_key){PEER_IPV6, i}, name, &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "z", &fault), FAULT_TOO_MANY_PRODUCERS);
    close_hub();
}

Test(peer_shares, a_known_producer_needs_no_share_and_stays_charged_to_who_made_it)
{
    struct fault fault;

    open_hub();
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "b", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(other, "c", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "c", &fault), FAULT_NONE, "it has its share, and c is there");
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(other, "a", &fault), FAULT_NONE);
    cr_assert_eq(names_of(one), 2);
    cr_assert_eq(names_of(other), 1);
    close_hub();
}

Test(peer_shares, a_producer_that_is_forgotten_or_removed_gives_its_place_back)
{
    struct fault fault;

    open_hub();
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "b", &fault), FAULT_NONE);
    remove_name("a");
    cr_assert_eq(names_of(one), 1);
    cr_assert_eq(publish_as(one, "c", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "d", &fault), FAULT_PEER_PRODUCERS);
    virtual_time_pass(fixture.loop, 60 * NS_PER_S);
    cr_assert_eq(names_of(one), 0);
    cr_assert_eq(publish_as(one, "d", &fault), FAULT_NONE);
    close_hub();
}

Test(peer_shares, a_session_counts_until_it_leaves)
{
    struct fake_session a = {0}, b = {0}, c = {0};

    open_hub();
    fake_session_join(&a, &fixture, session_of_peer(one, "a", false));
    fake_session_join(&b, &fixture, session_of_peer(one, "b", false));
    cr_assert_eq(fake_session_try(&c, &fixture, session_of_peer(one, "c", false)), FAULT_PEER_PRODUCERS);
    cr_assert_str_eq(c.fault.bound, "192.0.2.1 has 2, at most 2 of 8");
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 2, "nothing is left of it");
    fake_session_leave(&a, FAULT_CANCELLED);
    cr_assert_eq(names_of(one), 1);
    fake_session_join(&c, &fixture, session_of_peer(one, "c", false));
    remove_name("b");
    cr_assert_eq(names_of(one), 1, "an operator removed b");
    fake_session_fini(&a);
    fake_session_fini(&b);
    fake_session_fini(&c);
    close_hub();
}

Test(peer_shares, a_peer_with_its_share_may_replace_its_own_sessions)
{
    struct fake_session a = {0}, b = {0}, again = {0}, third = {0}, first = {0};

    open_hub();
    fake_session_join(&a, &fixture, session_of_peer(one, "a", false));
    fake_session_join(&b, &fixture, session_of_peer(one, "b", false));
    fake_session_join(&again, &fixture, session_of_peer(one, "a", false));
    cr_assert_eq(names_of(one), 2, "one name is charged once, also while two sessions have to do with it");
    fake_session_join(&third, &fixture, session_of_peer(one, "a", false));
    cr_assert_eq(again.aborts, 1);
    cr_assert_eq(names_of(one), 2);
    fake_session_leave(&a, FAULT_NONE);
    cr_assert_eq(third.welcomes, 1);
    cr_assert_eq(names_of(one), 2);
    fake_session_join(&first, &fixture, session_of_peer(one, "b", true));
    cr_assert_eq(first.welcomes, 1);
    cr_assert_eq(names_of(one), 2);
    fake_session_leave(&b, FAULT_NONE);
    cr_assert_eq(names_of(one), 2);
    fake_session_fini(&a);
    fake_session_fini(&b);
    fake_session_fini(&again);
    fake_session_fini(&third);
    fake_session_fini(&first);
    cr_assert_eq(names_of(one), 0);
    close_hub();
}

Test(peer_shares, a_name_that_another_peer_takes_over_moves_its_charge)
{
    struct fake_session a = {0}, b = {0}, c = {0}, taken = {0}, first = {0};

    open_hub();
    fake_session_join(&a, &fixture, session_of_peer(one, "a", false));
    fake_session_join(&b, &fixture, session_of_peer(one, "b", false));
    fake_session_join(&taken, &fixture, session_of_peer(other, "a", false));
    cr_assert_eq(taken.welcomes, 0, "it waits for the name");
    cr_assert_eq(names_of(one), 1);
    cr_assert_eq(names_of(other), 1);
    fake_session_join(&c, &fixture, session_of_peer(one, "c", false));
    fake_session_join(&first, &fixture, session_of_peer(other, "b", true));
    cr_assert_eq(names_of(one), 1);
    cr_assert_eq(names_of(other), 2);
    fake_session_leave(&a, FAULT_NONE);
    fake_session_leave(&b, FAULT_NONE);
    cr_assert_eq(names_of(one), 1);
    cr_assert_eq(names_of(other), 2);
    fake_session_fini(&a);
    fake_session_fini(&b);
    fake_session_fini(&c);
    fake_session_fini(&taken);
    fake_session_fini(&first);
    close_hub();
}

Test(peer_shares, a_peer_with_its_share_takes_over_no_name_of_another_peer)
{
    struct fake_session sessions[3] = {0}, taker = {0}, more = {0};
    struct fault fault;

    open_hub();
    fake_session_join(&sessions[0], &fixture, session_of_peer(one, "a", false));
    fake_session_join(&sessions[1], &fixture, session_of_peer(other, "b", false));
    fake_session_join(&sessions[2], &fixture, session_of_peer(one, "c", false));
    cr_assert_eq(publish_as(local, "d", &fault), FAULT_NONE);
    cr_assert_eq(fake_session_try(&taker, &fixture, session_of_peer(one, "b", true)), FAULT_PEER_PRODUCERS);
    cr_assert_eq(fake_session_try(&taker, &fixture, session_of_peer(one, "d", false)), FAULT_PEER_PRODUCERS);
    cr_assert_eq(sessions[1].closings, 0, "the session of that name goes on");
    cr_assert_eq(names_of(local), 1);
    /* Sessions that wait count, so no peer can wait for more names than its share. */
    fake_session_join(&taker, &fixture, session_of_peer(other, "a", false));
    cr_assert_eq(fake_session_try(&more, &fixture, session_of_peer(other, "c", false)), FAULT_PEER_PRODUCERS);
    fake_session_leave(&taker, FAULT_CANCELLED);
    cr_assert_eq(taker.welcomes, 0);
    cr_assert_eq(names_of(other), 1, "it left before it had the name");
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
        fake_session_fini(&sessions[i]);
    fake_session_fini(&taker);
    fake_session_fini(&more);
    close_hub();
}

Test(peer_shares, a_session_that_replaces_a_transient_producer_takes_over_its_charge)
{
    struct fake_session a = {0}, b = {0};
    struct fault fault;

    open_hub();
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "b", &fault), FAULT_NONE);
    fake_session_join(&a, &fixture, session_of_peer(one, "a", false));
    cr_assert_eq(names_of(one), 2);
    fake_session_join(&b, &fixture, session_of_peer(other, "b", false));
    cr_assert_eq(names_of(one), 1);
    cr_assert_eq(names_of(other), 1);
    fake_session_fini(&a);
    fake_session_fini(&b);
    close_hub();
}

Test(peer_shares, a_peer_with_its_share_of_subscriptions_gets_no_more_and_others_do)
{
    struct consumer a, b, refused, of_other;
    char text[256];

    open_hub();
    consumer_join(&a, &fixture, consumer_of_peer(one));
    consumer_join(&b, &fixture, consumer_of_peer(one));
    cr_assert_eq(consumer_try(&refused, &fixture, consumer_of_peer(one)), FAULT_PEER_SUBSCRIPTIONS);
    fault_message(&refused.fault, text, sizeof(text));
    cr_assert_str_eq(
        text, "the peer has as many subscriptions as its share allows: 192.0.2.1 has 2, at most 2 of 8");
    consumer_join(&of_other, &fixture, consumer_of_peer(other));
    consumer_leave(&a);
    cr_assert_eq(subscriptions_of(one), 1);
    consumer_join(&a, &fixture, consumer_of_peer(one));
    consumer_leave(&a);
    consumer_leave(&b);
    consumer_leave(&of_other);
    cr_assert_eq(subscriptions_of(one), 0);
    close_hub();
}

Test(peer_shares, a_new_share_holds_for_the_next_one_and_ends_nothing)
{
    struct consumer a, b, c;
    struct settings settings;
    struct fault fault;

    open_hub();
    settings = *loop_settings(fixture.loop);
    cr_assert_eq(publish_as(one, "a", &fault), FAULT_NONE);
    cr_assert_eq(publish_as(one, "b", &fault), FAULT_NONE);
    consumer_join(&a, &fixture, consumer_of_peer(one));
    consumer_join(&b, &fixture, consumer_of_peer(one));
    settings.peer_share_percent = 12;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    cr_assert_eq(publish_as(one, "c", &fault), FAULT_PEER_PRODUCERS);
    cr_assert_str_eq(fault.bound, "192.0.2.1 has 2, at most 1 of 8", "12 %% of 8, but at least one");
    cr_assert_eq(consumer_try(&c, &fixture, consumer_of_peer(one)), FAULT_PEER_SUBSCRIPTIONS);
    settings.peer_share_percent = 100;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    for (char name[2] = "c"; name[0] <= 'h'; name[0]++)
        cr_assert_eq(publish_as(one, name, &fault), FAULT_NONE, "there is no share any more");
    cr_assert_eq(publish_as(one, "i", &fault), FAULT_TOO_MANY_PRODUCERS);
    consumer_join(&c, &fixture, consumer_of_peer(one));
    consumer_leave(&a);
    consumer_leave(&b);
    consumer_leave(&c);
    close_hub();
}

Test(peer_shares, the_server_itself_has_no_share)
{
    struct fault fault;
    char name[2] = "a";

    open_hub();
    for (; name[0] <= 'h'; name[0]++)
        cr_assert_eq(publish_as(NO_PEER, name, &fault), FAULT_NONE);
    cr_assert_eq(publish_as(NO_PEER, "i", &fault), FAULT_TOO_MANY_PRODUCERS);
    close_hub();
}

/* Random calls of many peers; then everybody leaves, and nothing is charged any more. */
Test(peer_shares, soak_every_count_returns_to_zero)
{
    enum { SESSIONS = 12, CONSUMERS = 12, STEPS = 20000 };
    static struct fake_session sessions[SESSIONS];
    static struct consumer consumers[CONSUMERS];
    struct dice dice = dice_new("peer_shares");
    unsigned refused = 0;

    open_hub();
    for (unsigned i = 0; i < STEPS; i++) {
        struct fake_session *session = &sessions[dice_roll(&dice, SESSIONS)];
        struct consumer *consumer = &consumers[dice_roll(&dice, CONSUMERS)];
        struct peer_key peer = {dice_roll(&dice, 2) ? PEER_IPV6 : PEER_UNIX, dice_roll(&dice, 3)};
        char name[2] = {(char)('a' + dice_roll(&dice, 10)), 0};
        struct fault fault;

        switch (dice_roll(&dice, 4)) {
        case 0:
            fake_session_leave(session, FAULT_NONE);
            session->leaves_at_abort = true;
            refused += fake_session_try(session, &fixture,
                                        session_of_peer(peer, name, dice_roll(&dice, 2) == 0)) != FAULT_NONE;
            break;
        case 1:
            if (consumer->subscription)
                consumer_leave(consumer);
            refused += consumer_try(consumer, &fixture, consumer_of_peer(peer)) != FAULT_NONE;
            break;
        case 2:
            refused += publish_as(peer, name, &fault) != FAULT_NONE;
            break;
        case 3:
            virtual_time_pass(fixture.loop, (int64_t)dice_roll(&dice, 20) * NS_PER_S);
            break;
        }
        check_shares(fixture.hub);
    }
    cr_assert_gt(refused, 100);
    for (unsigned i = 0; i < SESSIONS; i++)
        fake_session_fini(&sessions[i]);
    for (unsigned i = 0; i < CONSUMERS; i++)
        if (consumers[i].subscription)
            consumer_leave(&consumers[i]);
    virtual_time_pass(fixture.loop, 120 * NS_PER_S);
    cr_assert_eq(fixture.hub->registry.peers.peers.count, 0);
    cr_assert_eq(fixture.hub->peers.peers.count, 0);
    close_hub();
}

/* ---- what filters cost ---- */

/* A consumer of this peer that searches the header "h", with a pattern of 1 and `more` bytes. */
static struct subscription_params searcher_of_peer(struct peer_key peer, uint32_t more)
{
    static const uint8_t letters[64] = "?xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    struct subscription_params params = consumer_of_peer(peer);
    struct pair header = {text_of("h"), {letters, 1 + more}};
    struct selector selector = {.headers = &header, .header_count = 1};
    struct fault fault;

    filter_free(params.filter);
    cr_assert_eq(filter_new(&selector, 1, NULL, 0, &params.filter, &fault), FAULT_NONE);
    return params;
}

#define SEARCH_COST                                                                                          \
    (MATCH_COST + 2 * PATTERN_COST + 2 + MAX_HEADER_TEXT) /* of a filter of searcher_of_peer(..., 0) */

/* Of 8 such filters, a remote peer may have 2 and a local one 4. */
static void open_hub_of_searches(void)
{
    hub_fixture_settings.max_total_filter_cost = 8 * SEARCH_COST;
    hub_fixture_settings.max_subscriptions = 100;
    hub_fixture_settings.peer_share_percent = 25;
    hub_fixture_settings.local_peer_share_percent = 50;
    hub_fixture_open(&fixture);
}

static void check_filter_cost(uint64_t expected)
{
    check_shares(fixture.hub);
    cr_assert_eq(fixture.hub->filter_cost, expected);
}

Test(peer_shares, a_peer_whose_filters_cost_its_share_gets_no_more_and_others_do)
{
    struct consumer a, b, refused, cheap, of_other;
    char text[512];

    open_hub_of_searches();
    consumer_join(&a, &fixture, searcher_of_peer(one, 0));
    cr_assert_eq(consumer_try(&refused, &fixture, searcher_of_peer(one, 1)), FAULT_PEER_FILTER_COST);
    check_filter_cost(SEARCH_COST);
    consumer_join(&b, &fixture, searcher_of_peer(one, 0));
    check_filter_cost(2 * SEARCH_COST);
    cr_assert_eq(consumer_try(&refused, &fixture, searcher_of_peer(one, 0)), FAULT_PEER_FILTER_COST);
    fault_message(&refused.fault, text, sizeof(text));
    cr_assert_str_eq(text, "selectors: the filters of the peer cost as much as its share allows: "
                           "192.0.2.1 has 16548, at most 16548 of 66192 (got 8274)");
    consumer_join(&cheap, &fixture, consumer_of_peer(one)); /* an index decides it */
    consumer_join(&of_other, &fixture, searcher_of_peer(other, 0));
    consumer_leave(&a);
    check_filter_cost(2 * SEARCH_COST);
    consumer_join(&a, &fixture, searcher_of_peer(one, 0));
    consumer_leave(&a);
    consumer_leave(&b);
    consumer_leave(&cheap);
    consumer_leave(&of_other);
    check_filter_cost(0);
    close_hub();
}

Test(peer_shares, the_filters_of_all_peers_cost_no_more_than_the_setting)
{
    struct consumer consumers[8], refused;
    char text[512];

    open_hub_of_searches();
    for (uint32_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture,
                      searcher_of_peer((struct peer_key){PEER_IPV4, 0xC0000210 + i / 2}, 0));
    cr_assert_eq(consumer_try(&refused, &fixture, searcher_of_peer(one, 0)), FAULT_TOTAL_FILTER_COST);
    fault_message(&refused.fault, text, sizeof(text));
    cr_assert_str_eq(text, "selectors: the filters of all subscriptions cost as much as they may: "
                           "all others have 66192, at most 66192 (got 8274)");
    for (uint32_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    check_filter_cost(0);
    close_hub();
}

/* The revision, or the reason why it was refused. */
static uint32_t choose(struct consumer *consumer, struct subscription_params params, struct fault *fault)
{
    uint32_t revision = hub_select(consumer->subscription, params.filter, fault);

    if (revision == 0)
        filter_free(params.filter);
    return revision;
}

Test(peer_shares, a_new_selection_is_charged_in_place_of_the_old_one)
{
    struct settings settings;
    struct consumer a, b;
    struct fault fault;

    open_hub_of_searches();
    settings = *loop_settings(fixture.loop);
    consumer_join(&a, &fixture, searcher_of_peer(one, 0));
    consumer_join(&b, &fixture, consumer_of_peer(one));
    cr_assert_eq(choose(&a, searcher_of_peer(one, 10), &fault), 1);
    check_filter_cost(SEARCH_COST + 10);
    cr_assert_eq(choose(&b, searcher_of_peer(one, 0), &fault), 0);
    cr_assert_eq(fault.reason, FAULT_PEER_FILTER_COST);
    cr_assert_str_eq(fault.field, "select.selectors");
    check_filter_cost(SEARCH_COST + 10);
    settings.max_total_filter_cost = 8;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    cr_assert_eq(choose(&a, searcher_of_peer(one, 5), &fault), 2, "it costs less than before");
    cr_assert_eq(choose(&a, searcher_of_peer(one, 6), &fault), 0);
    cr_assert_eq(choose(&a, consumer_of_peer(one), &fault), 3);
    check_filter_cost(0);
    consumer_leave(&a);
    consumer_leave(&b);
    close_hub();
}
