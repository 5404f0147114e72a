/* test_h2socket_kept.c - what connections make the core keep together: the sums of all and of each
 * peer, and who is ended when a sum is beyond its bound (finding 1). */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "h2socket/probation.h"
#include "h2socket_fixture.h"

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, 1000000);
    fixture.limits.stream_bytes = 1000;
}

static void end(void)
{
    const struct h2socket_bounds none = {INT64_MAX, INT64_MAX, INT64_MAX};

    h2socket_set_bounds(&none);
    fixture_fini(&fixture);
}

TestSuite(h2socket_kept, .init = begin, .fini = end);

static const struct peer_key remote = {PEER_IPV4, 0xc0000201};
static const struct peer_key other = {PEER_IPV4, 0xc0000202};
static const struct peer_key local = {PEER_UNIX, 1000};

/* A connection of this peer that keeps a stream and `unfinished` bytes, the message's prefix among
 * them. */
static void connect_keeping(struct ends *pair, struct peer_key peer, uint32_t unfinished)
{
    OWNED(buf_fini) struct buf buf = {0};

    fixture.peer = peer;
    fixture_connect(&fixture, UNIX, pair);
    peer_starts(pair);
    put_frame_head(&buf, FRAME_DATA, 0, 1, 5 + 10000);
    put_prefix(&buf, 0, 20000);
    memset(buf_extend(&buf, unfinished - 5), 0, unfinished - 5);
    peer_sends(pair, &buf);
}

/* Whether the connection goes on: there is nothing to read, and no end. */
static bool is_alive(const struct ends *pair)
{
    int error = 0;

    core_reads_all(pair, &error);
    return error == EAGAIN;
}

Test(h2socket_kept, the_one_that_keeps_the_most_of_its_peer_gives_way)
{
    const struct h2socket_bounds bounds = {.all = INT64_MAX, .local_peer = 100, .remote_peer = 9000};
    struct ends pairs[4];

    h2socket_set_bounds(&bounds);
    connect_keeping(&pairs[0], remote, 1000);
    connect_keeping(&pairs[1], remote, 3000);
    connect_keeping(&pairs[2], other, 5000);
    for (int i = 0; i < 3; i++)
        cr_assert(is_alive(&pairs[i]), "6000 and 6000 are within the bound");
    connect_keeping(&pairs[3], remote, 2001);
    cr_assert(is_alive(&pairs[3]), "it crossed the bound, and does not keep the most");
    cr_assert_not(is_alive(&pairs[1]));
    cr_assert(is_alive(&pairs[0]));
    cr_assert(is_alive(&pairs[2]), "another peer does not pay");
    cr_assert_eq(fixture_log_count(&fixture, "KEPT_BY_PEER"), 1);
    cr_assert_eq(fixture_log_count(&fixture, "9001, at most 9000"), 1);
    for (int i = 0; i < 4; i++)
        fixture_disconnect(&pairs[i]);
}

/* What its calls keep beside that, such as metadata. */
Test(h2socket_kept, what_calls_keep_counts_until_they_end)
{
    const struct h2socket_bounds bounds = {.all = INT64_MAX, .local_peer = 100, .remote_peer = 9000};
    struct ends pairs[3];
    struct h2socket_end *end;

    h2socket_set_bounds(&bounds);
    for (int i = 0; i < 2; i++) {
        connect_keeping(&pairs[i], remote, 1000);
        cr_assert(is_alive(&pairs[i]));
    }
    end = h2socket_end_retain(pairs[0].core);
    h2socket_keep(pairs[0].core, end, 5000);
    cr_assert(is_alive(&pairs[0]), "4000 and 5000 are within the bound");
    h2socket_keep(pairs[0].core, end, -4000);
    h2socket_keep(pairs[1].core, end, 1 << 20); /* it is another connection's */
    h2socket_keep(pairs[0].core, NULL, 1 << 20);
    connect_keeping(&pairs[2], remote, 2000);
    cr_assert(is_alive(&pairs[2]), "5000 and 3000");
    h2socket_keep(pairs[0].core, end, 1001);
    cr_assert(is_alive(&pairs[0]), "the core's next read looks who gives way");
    cr_assert_not(is_alive(&pairs[0]), "it keeps the most");
    cr_assert(is_alive(&pairs[1]));
    cr_assert(is_alive(&pairs[2]), "the one that has ended keeps nothing");
    cr_assert_eq(fixture_log_count(&fixture, "9001, at most 9000"), 1);
    h2socket_keep(pairs[0].core, end, -2001);
    for (int i = 0; i < 3; i++)
        fixture_disconnect(&pairs[i]);
    h2socket_keep(pairs[0].core, end, 5000);
    h2socket_end_release(end);
}

Test(h2socket_kept, the_one_that_keeps_the_most_of_all_gives_way)
{
    const struct h2socket_bounds bounds = {.all = 9000, .local_peer = INT64_MAX, .remote_peer = INT64_MAX};
    struct ends pairs[3];

    h2socket_set_bounds(&bounds);
    connect_keeping(&pairs[0], local, 4000);
    connect_keeping(&pairs[1], remote, 1000);
    connect_keeping(&pairs[2], other, 2000);
    for (int i = 1; i >= 0; i--)
        cr_assert(is_alive(&pairs[i]));
    cr_assert(is_alive(&pairs[2]));
    cr_assert_not(is_alive(&pairs[0]));
    cr_assert(is_alive(&pairs[1]));
    cr_assert_eq(fixture_log_count(&fixture, "KEPT_BY_ALL"), 1);
    for (int i = 0; i < 3; i++)
        fixture_disconnect(&pairs[i]);
}

Test(h2socket_kept, many_small_ones_of_a_peer_give_way_before_the_one_of_another)
{
    const struct h2socket_bounds bounds = {.all = 14000, .local_peer = INT64_MAX, .remote_peer = INT64_MAX};
    struct ends pairs[6];

    h2socket_set_bounds(&bounds);
    connect_keeping(&pairs[0], local, 3000);
    cr_assert(is_alive(&pairs[0]));
    for (int i = 1; i < 6; i++) {
        connect_keeping(&pairs[i], remote, 1000 + (i == 2));
        cr_assert(is_alive(&pairs[i]));
    }
    cr_assert(is_alive(&pairs[0]), "it is the largest of all, but its peer is not");
    cr_assert_not(is_alive(&pairs[2]));
    cr_assert_eq(fixture_log_count(&fixture, "KEPT_BY_ALL"), 1);
    cr_assert_eq(probation_delay_ns(remote, clock_mono_ns()), 0, "it is no offender");
    for (int i = 0; i < 6; i++)
        fixture_disconnect(&pairs[i]);
}

Test(h2socket_kept, what_is_closed_or_read_is_kept_no_longer)
{
    const struct h2socket_bounds bounds = {.all = 6000, .local_peer = INT64_MAX, .remote_peer = INT64_MAX};
    struct ends pair;

    h2socket_set_bounds(&bounds);
    for (int i = 0; i < 5; i++) {
        connect_keeping(&pair, remote, 4000);
        cr_assert(is_alive(&pair));
        fixture_disconnect(&pair);
    }
    fixture.peer = remote;
    fixture_connect(&fixture, UNIX, &pair);
    peer_starts(&pair);
    for (int i = 0; i < 5; i++) {
        OWNED(buf_fini) struct buf update = {0};

        peer_sends_message(&pair, 4000);
        cr_assert(is_alive(&pair));
        put_update(&update, 1, 4000);
        cr_assert_eq(core_sends(&pair, update.data, update.size), (ssize_t)update.size);
    }
    for (int i = 0; i < 2; i++)
        peer_sends_message(&pair, 4000);
    cr_assert_not(is_alive(&pair), "both are complete, and not read");
    fixture_disconnect(&pair);
}
