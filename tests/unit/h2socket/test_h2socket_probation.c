/* test_h2socket_probation.c - a peer of which a connection was ended gets little for its next
 * ones. */
#include <criterion/criterion.h>

#include "h2socket/probation.h"
#include "h2socket_fixture.h"

#define TURN 1000
#define MESSAGE (20 * TURN)

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, TURN);
    fixture.limits.second_cost = 100 * TURN;
    fixture.limits.probation_cost = TURN;
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

/* What a connection passes of a message of 20 turns in so many polls, which take no time to speak
 * of. */
static size_t passes_at_once(const struct ends *pair, int polls)
{
    size_t size = 0;

    peer_starts(pair);
    peer_sends_message(pair, MESSAGE);
    for (int i = 0; i < polls; i++) {
        core_polls(&fixture, 0);
        size += core_reads_all(pair, &(int){0});
    }
    return size;
}

Test(h2socket_probation, the_next_connection_gets_little_and_another_peer_all)
{
    struct ends pairs[2];

    offend(remote);
    connect_from(&pairs[0], remote);
    connect_from(&pairs[1], other);
    cr_assert_geq(passes_at_once(&pairs[1], 40), MESSAGE);
    cr_assert_leq(passes_at_once(&pairs[0], 40), 5 * TURN);
    for (int i = 0; i < 2; i++)
        fixture_disconnect(&pairs[i]);
}

Test(h2socket_probation, it_ends)
{
    struct ends pair;

    offend(remote);
    connect_from(&pair, remote);
    cr_assert_leq(passes_at_once(&pair, 40), 5 * TURN);
    h2socket_check(clock_mono_ns() + PROBATION_NS + 1);
    size_t size = 0;
    int64_t began_ns = clock_mono_ns();
    while (size < 10 * TURN && clock_mono_ns() < began_ns + 5 * NS_PER_S) {
        core_polls(&fixture, 10);
        size += core_reads_all(&pair, &(int){0});
    }
    cr_assert_geq(size, 10 * TURN, "a second brings 100 turns, and on probation one: %zu bytes", size);
    fixture_disconnect(&pair);
}

Test(h2socket_probation, many_connections_share_one_budget)
{
    int64_t now_ns = clock_mono_ns();

    cr_assert_eq(probation_begin(remote, now_ns), 0);
    probation_note(remote, now_ns);
    probation_note(NO_PEER, now_ns);
    cr_assert_eq(probation_begin(NO_PEER, now_ns), 0);
    cr_assert_eq(probation_begin(other, now_ns), 0);
    cr_assert_eq(probation_begin(remote, now_ns), 1);
    cr_assert_eq(probation_begin(remote, now_ns + PROBATION_NS - 1), 2);
    cr_assert_eq(probation_begin(remote, now_ns + PROBATION_NS), 0, "too late");
    probation_leave(remote);
    cr_assert_eq(probation_begin(remote, now_ns), 2);
    probation_leave(remote);
    probation_leave(remote);
}
