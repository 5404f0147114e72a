/* test_h2socket_probation.c - the next connections of a peer of which one was ended begin
 * later. */
#include <criterion/criterion.h>

#include "h2socket/probation.h"
#include "h2socket_fixture.h"

#define TURN 1000

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, TURN);
    fixture.limits.second_cost = 1000 * TURN;
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(h2socket_probation, .init = begin, .fini = end);

static const struct peer_key remote = {PEER_IPV4, 0xc0000201};
static const struct peer_key other = {PEER_IPV4, 0xc0000202};

static void connect_from(struct ends *pair, struct peer_key peer)
{
    fixture.peer = peer;
    fixture_connect(&fixture, UNIX, pair);
}

/* A connection of this peer that the guard ends. */
static void offend(struct peer_key peer)
{
    OWNED(buf_fini) struct buf buf = {0};
    struct ends pair;
    int error = 0;

    connect_from(&pair, peer);
    buf_bytes(&buf, "GET / HTTP/1.1\r\n\r\nno HTTP/2 at all", 35);
    peer_sends(&pair, &buf);
    core_reads_all(&pair, &error);
    cr_assert_eq(fixture_log_count(&fixture, "PREFACE"), 1);
    fixture_disconnect(&pair);
}

static size_t passes(const struct ends *pair, int timeout_ms)
{
    core_polls(&fixture, timeout_ms);
    return core_reads_all(pair, &(int){0});
}

Test(h2socket_probation, the_next_connection_begins_later_and_another_peer_at_once)
{
    int64_t began_ns = clock_mono_ns();
    struct ends pairs[2];

    offend(remote);
    connect_from(&pairs[0], remote);
    connect_from(&pairs[1], other);
    for (int i = 0; i < 2; i++)
        peer_starts(&pairs[i]);
    cr_assert_eq(passes(&pairs[0], 0), 0);
    cr_assert_eq(passes(&pairs[1], 0), START_BYTES);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    cr_assert_eq(core_event(0), &pairs[0]);
    cr_assert_eq(passes(&pairs[0], 0), START_BYTES);
    cr_assert_geq(clock_mono_ns() - began_ns, PROBATION_DELAY_NS);
    for (int i = 0; i < 2; i++)
        fixture_disconnect(&pairs[i]);
}

Test(h2socket_probation, each_end_makes_the_delay_longer_up_to_its_bound)
{
    int64_t now_ns = clock_mono_ns();

    cr_assert_eq(probation_delay_ns(remote, now_ns), 0);
    for (int i = 1; i < 20; i++) {
        probation_note(remote, now_ns);
        cr_assert_eq(probation_delay_ns(remote, now_ns),
                     MIN_OF(i * PROBATION_DELAY_NS, MAX_PROBATION_DELAY_NS));
    }
    cr_assert_eq(probation_delay_ns(other, now_ns), 0);
    cr_assert_eq(probation_delay_ns(remote, now_ns + PROBATION_NS - 1), MAX_PROBATION_DELAY_NS);
    cr_assert_eq(probation_delay_ns(remote, now_ns + PROBATION_NS), 0);
    probation_note(remote, now_ns + PROBATION_NS);
    cr_assert_eq(probation_delay_ns(remote, now_ns + PROBATION_NS), PROBATION_DELAY_NS, "it begins anew");
}

Test(h2socket_probation, the_server_itself_is_never_on_probation)
{
    probation_note(NO_PEER, 1);
    cr_assert_eq(probation_delay_ns(NO_PEER, 1), 0);
}
