/* test_h2socket_model.c - random schedules of peers that send, and a core that polls, reads,
 * writes, stops for a while and closes. Every byte arrives, in order, and no socket waits for ever.
 *
 * The core reads as gRPC core does: after an event, until EAGAIN, or until the kernel says
 * (TCP_INQ) that nothing is left. A failure names its seed; TRIBUTARY_SEED=<it> runs that one
 * first. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "h2socket_fixture.h"
#include "lib/events.h"

#define SCHEDULES 300
#define STEPS 400
#define CONNECTIONS 6
#define MAX_PIECES 70 /* of a read: more than the room takes */
#define STREAMS 4

static uint64_t seed; /* of the schedule that runs */
static struct dice dice;
static struct h2socket_fixture fixture;

/* Fails the test with the schedule's seed. */
#define HOLDS(condition, what) cr_assert(condition, "TRIBUTARY_SEED=%llu: %s", (unsigned long long)seed, what)

struct connection {
    struct ends pair;
    bool open;
    bool guarded;
    bool readable; /* the core has heard of it, and has not read to the end since */
    struct buf sent;
    size_t written; /* of `sent`, to the socket */
    size_t got;
    uint32_t streams; /* that were opened */
};

static struct connection connections[CONNECTIONS];

static uint32_t roll(uint32_t sides)
{
    return (uint32_t)dice_roll(&dice, sides);
}

/* Some random frames, which break no rule. Payloads are random, but not the prefixes of
 * messages. */
static void add_frames(struct connection *connection)
{
    uint8_t payload[3000];
    struct buf *buf = &connection->sent;

    for (uint32_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)roll(256);
    for (uint32_t frames = 1 + roll(10); frames > 0; frames--) {
        uint32_t size = roll(4) == 0 ? roll(2900) : roll(60);

        if (connection->streams < STREAMS && (connection->streams == 0 || roll(8) == 0)) {
            put_headers(buf, 1 + 2 * connection->streams++, 0);
            continue;
        }
        if (roll(5) == 0) {
            put_frame(buf, FRAME_WINDOW_UPDATE, 0, 0, (struct bytes){(const uint8_t *)"\0\0\0\1", 4});
            continue;
        }
        put_frame_head(buf, FRAME_DATA, 0, 1 + 2 * roll(connection->streams), 5 + size);
        put_prefix(buf, 0, size);
        buf_bytes(buf, payload, size);
    }
}

static void open_connection(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &connection->pair};

    *connection = (struct connection){.open = true, .guarded = roll(8) > 0};
    fixture_connect_with(&fixture, roll(2) ? TCP : UNIX, connection->guarded ? &fixture.limits : NULL, false,
                         &connection->pair);
    HOLDS(epoll_ctl(fixture.epoll, EPOLL_CTL_ADD, connection->pair.core, &event) == 0, "it is watched");
    put_client_start(&connection->sent, 0);
}

static void close_connection(struct connection *connection)
{
    fixture_disconnect(&connection->pair);
    buf_fini(&connection->sent);
    connection->open = false;
}

static void send_some(struct connection *connection, size_t max)
{
    size_t left = connection->sent.size - connection->written;
    ssize_t size = send(connection->pair.peer, connection->sent.data + connection->written, MIN_OF(left, max),
                        MSG_NOSIGNAL);

    HOLDS(size >= 0 || errno == EAGAIN, "the peer can send");
    connection->written += size > 0 ? (size_t)size : 0;
}

/* Whether the kernel says that nothing is left. */
static bool is_last(struct msghdr *message)
{
    for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each)) {
        int left;

        memcpy(&left, CMSG_DATA(each), sizeof(left));
        if (each->cmsg_level == SOL_TCP && each->cmsg_type == TCP_CM_INQ)
            return left == 0;
    }
    return false;
}

/* One read, into pieces of random sizes. */
static void read_once(struct connection *connection)
{
    static uint8_t data[MAX_PIECES * 200];
    _Alignas(struct cmsghdr) char control[64];
    struct iovec pieces[MAX_PIECES];
    size_t count = 1 + roll(roll(4) ? 4 : MAX_PIECES), size = 0;

    for (size_t i = 0; i < count; i++) {
        pieces[i] = (struct iovec){.iov_base = data + size, .iov_len = count == 1 ? 4096 : roll(200)};
        size += pieces[i].iov_len;
    }
    pieces[0].iov_len += size == 0; /* else 0 would not be the end of the stream */
    struct msghdr message = {
        .msg_iov = pieces, .msg_iovlen = count, .msg_control = control, .msg_controllen = sizeof(control)};
    memset(data, 0xee, sizeof(data));
    ssize_t got = recvmsg(connection->pair.core, &message, 0);
    if (got < 0) {
        HOLDS(errno == EAGAIN, "nothing ends the connection");
        connection->readable = false;
        return;
    }
    HOLDS(got > 0, "the stream has not ended");
    HOLDS(connection->got + (size_t)got <= connection->written, "no more than was sent");
    HOLDS(memcmp(data, connection->sent.data + connection->got, (size_t)got) == 0, "the same bytes");
    connection->got += (size_t)got;
    if (is_last(&message))
        connection->readable = false;
}

/* Returns how many events there were. */
static int poll_once(int max, int timeout_ms)
{
    int count = core_polls_for(&fixture, max, timeout_ms);

    HOLDS(count >= 0 && count <= max, "no more events than fit");
    for (int i = 0; i < count; i++) {
        struct connection *connection =
            container_of((struct ends *)(uintptr_t)core_event(i), struct connection, pair);

        HOLDS(connection->open, "no event of what was closed");
        if (core_event_bits(i) & EPOLLIN)
            connection->readable = true;
    }
    return count;
}

static void step(void)
{
    struct connection *connection = &connections[roll(CONNECTIONS)];

    if (!connection->open) {
        open_connection(connection);
        return;
    }
    switch (roll(12)) {
    case 0:
        if (roll(10) == 0)
            close_connection(connection);
        break;
    case 1:
        HOLDS(core_sends(&connection->pair, "\0\0\0\4\1\0\0\0\0", 9) == 9, "the core can write");
        break;
    case 2:
    case 3:
    case 4:
        add_frames(connection);
        send_some(connection, 1 + roll(4000));
        break;
    case 5:
    case 6:
        (void)poll_once(1 + (int)roll(10), (int)roll(2));
        break;
    case 7:
        h2socket_check(clock_mono_ns());
        break;
    default:
        if (connection->readable)
            read_once(connection);
        break;
    }
}

static bool all_arrived(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].open && connections[i].got < connections[i].sent.size)
            return false;
    return true;
}

/* Everything is sent and read. */
static void finish(void)
{
    int64_t until_ns = clock_from_now_ns(30 * NS_PER_S);

    while (!all_arrived()) {
        bool is_idle = true;

        for (int i = 0; i < CONNECTIONS; i++) {
            struct connection *connection = &connections[i];

            if (!connection->open)
                continue;
            send_some(connection, SIZE_MAX);
            while (connection->readable) {
                read_once(connection);
                is_idle = false;
            }
        }
        if (is_idle && !all_arrived())
            HOLDS(poll_once(10, 20000) > 0, "no socket waits for ever");
        else
            (void)poll_once(10, 0);
        HOLDS(clock_mono_ns() < until_ns, "all bytes arrive");
    }
    while (poll_once(10, 0) > 0)
        for (int i = 0; i < CONNECTIONS; i++)
            while (connections[i].open && connections[i].readable)
                read_once(&connections[i]);
}

static void run(void)
{
    dice = (struct dice){seed};
    bool all_prices = roll(2);
    fixture_init(&fixture, all_prices ? 5000 + roll(50000) : 20 + roll(roll(2) ? 100 : 3000));
    fixture.limits.waste_burst = INT64_C(1) << 36;
    fixture.limits.first_read_bytes = 1 + roll(roll(2) ? 200 : 16384); /* too much: a rest is kept */
    fixture.limits.min_read_bytes = 1 + roll(fixture.limits.first_read_bytes);
    if (all_prices)
        memcpy(fixture.limits.prices, h2guard_defaults.prices, sizeof(h2guard_defaults.prices));
    if (roll(3) == 0) /* delays of some milliseconds */
        fixture.limits.second_cost = all_prices ? 5000000 : 200000;
    HOLDS(!h2guard_limits_wrong(&fixture.limits), "the limits can be used");
    for (int i = 0; i < STEPS; i++)
        step();
    finish();
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].open)
            close_connection(&connections[i]);
    HOLDS(h2socket_count() == 0, "the table is empty");
    HOLDS(count_get(COUNT_GUARD_ENDED) == 0, "nothing was ended");
    HOLDS(core_polls(&fixture, 0) == 0, "nothing waits");
    fixture_fini(&fixture);
}

Test(h2socket_model, every_byte_arrives_in_order, .timeout = 110)
{
    struct dice seeds = dice_new("test_h2socket_model");

    for (int i = 0; i < SCHEDULES; i++) {
        seed = i == 0 ? seeds.state : dice_roll(&seeds, UINT64_MAX);
        run();
    }
    cr_assert_gt(count_get(COUNT_GUARD_WAITS), 0, "the schedules lead to waits");
}
