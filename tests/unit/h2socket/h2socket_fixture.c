/* h2socket_fixture.c - see h2socket_fixture.h. */
#include "h2socket_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static struct epoll_event events[MAX_EVENTS];

void fixture_init(struct h2socket_fixture *fixture, int64_t turn_bytes)
{
    struct h2guard_limits *limits = &fixture->limits;

    *fixture = (struct h2socket_fixture){.limits = h2guard_defaults};
    memset(limits->prices, 0, sizeof(limits->prices));
    limits->prices[H2GUARD_ITEM_BYTE].cost = 1;
    limits->turn_cost = turn_bytes;
    limits->second_cost = INT64_C(1) << 36;
    limits->min_read_bytes = 1;
    limits->first_read_bytes = (uint32_t)MIN_OF(turn_bytes, 16384);
    limits->open_timeout_ns = limits->header_timeout_ns = 0;
    limits->frame_timeout_ns = limits->settings_timeout_ns = 0;
    fixture->epoll = epoll_create1(EPOLL_CLOEXEC);
    fixture->log = memfd_create("log", MFD_CLOEXEC);
    cr_assert(fixture->epoll >= 0 && fixture->log >= 0);
    log_setup(LOG_INFO, LOG_AS_TEXT, fixture->log);
}

void fixture_fini(struct h2socket_fixture *fixture)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, STDERR_FILENO);
    close(fixture->log);
    close(fixture->epoll);
}

static void connect_tcp(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(ends[1], (struct sockaddr *)&address, size), 0);
    ends[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(ends[0], 0);
    close(listener);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* The core asks for the number of bytes that are left in the socket, and trusts it. */
    cr_assert_eq(setsockopt(ends[0], IPPROTO_TCP, TCP_INQ, &on, sizeof(on)), 0);
}

int fixture_watch(struct h2socket_fixture *fixture, struct ends *pair)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = pair};

    return epoll_ctl(fixture->epoll, EPOLL_CTL_ADD, pair->core, &event);
}

void fixture_connect_with(struct h2socket_fixture *fixture, enum transport transport,
                          const struct h2guard_limits *limits, bool watched, struct ends *pair)
{
    int ends[2];

    if (transport == TCP)
        connect_tcp(ends);
    else
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *pair = (struct ends){.core = ends[0], .peer = ends[1]};
    cr_assert_eq(h2socket_add(pair->core, H2GUARD_SERVER, limits, "a peer", fixture->peer), ERR_OK);
    if (watched)
        cr_assert_eq(fixture_watch(fixture, pair), 0);
}

void fixture_connect(struct h2socket_fixture *fixture, enum transport transport, struct ends *pair)
{
    fixture_connect_with(fixture, transport, &fixture->limits, true, pair);
}

void fixture_disconnect(struct ends *pair)
{
    if (pair->core >= 0)
        close(pair->core);
    if (pair->peer >= 0)
        close(pair->peer);
    *pair = (struct ends){-1, -1};
    h2socket_check(clock_mono_ns()); /* closes what has lingered */
}

void peer_sends(const struct ends *pair, struct buf *buf)
{
    cr_assert_eq(send(pair->peer, buf->data, buf->size, MSG_NOSIGNAL), (ssize_t)buf->size, "errno %d", errno);
    buf_clear(buf);
}

void peer_starts(const struct ends *pair)
{
    struct buf buf = {0};

    put_client_start(&buf, 0);
    put_headers(&buf, 1, 0);
    cr_assert_eq(buf.size, START_BYTES);
    peer_sends(pair, &buf);
    buf_fini(&buf);
}

void peer_sends_message(const struct ends *pair, uint32_t size)
{
    struct buf buf = {0};

    put_message_frame(&buf, 1, 0, size - 5);
    peer_sends(pair, &buf);
    buf_fini(&buf);
}

ssize_t core_reads(const struct ends *pair, void *data, size_t size)
{
    _Alignas(struct cmsghdr) char control[64];
    struct iovec piece = {.iov_base = data, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

    return recvmsg(pair->core, &message, 0);
}

size_t core_reads_all(const struct ends *pair, int *error_out)
{
    static char data[65536];
    size_t total = 0;
    ssize_t size;

    while ((size = core_reads(pair, data, sizeof(data))) > 0)
        total += (size_t)size;
    *error_out = size < 0 ? errno : 0;
    return total;
}

ssize_t core_sends(const struct ends *pair, const void *data, size_t size)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    return sendmsg(pair->core, &message, MSG_NOSIGNAL);
}

int core_polls_for(struct h2socket_fixture *fixture, int max, int timeout_ms)
{
    return epoll_wait(fixture->epoll, events, max, timeout_ms);
}

int core_polls(struct h2socket_fixture *fixture, int timeout_ms)
{
    return core_polls_for(fixture, MAX_EVENTS, timeout_ms);
}

const struct ends *core_event(int i)
{
    return events[i].data.ptr;
}

uint32_t core_event_bits(int i)
{
    return events[i].events;
}

const char *fixture_log(struct h2socket_fixture *fixture)
{
    static char text[65536];
    ssize_t size = pread(fixture->log, text, sizeof(text) - 1, 0);

    cr_assert_geq(size, 0);
    text[size] = 0;
    return text;
}

size_t fixture_log_count(struct h2socket_fixture *fixture, const char *text)
{
    size_t count = 0;

    for (const char *at = fixture_log(fixture); (at = strstr(at, text)); at++)
        count++;
    return count;
}
