/* test_h2socket_front.c - the five functions are the program's own; which descriptors they serve;
 * the table of sockets. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "h2socket_fixture.h"

static const char *const functions[] = {"recvmsg", "sendmsg", "epoll_ctl", "epoll_wait", "close"};

Test(h2socket_front, a_library_that_the_program_loads_finds_the_functions_of_the_program)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *found = dlsym(RTLD_DEFAULT, functions[i]);
        Dl_info of_found, of_room;

        cr_assert(found && dladdr(found, &of_found) != 0, "%s", functions[i]);
        cr_assert_neq(dladdr((const void *)h2socket_counters(), &of_room), 0);
        cr_assert_eq(of_found.dli_fbase, of_room.dli_fbase, "%s is of %s", functions[i], of_found.dli_fname);
    }
}

Test(h2socket_front, other_descriptors_are_libc_s)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
    char data[4] = "";
    struct iovec piece = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    int ends[2], set = epoll_create1(EPOLL_CLOEXEC);

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
    cr_assert_eq(epoll_wait(set, &event, 1, 0), 0);
    piece.iov_len = 3;
    cr_assert_eq(sendmsg(ends[1], &message, 0), 3);
    cr_assert_eq(epoll_wait(set, &event, 1, -1), 1);
    cr_assert_eq(event.data.u64, 7);
    cr_assert_eq(recvmsg(ends[0], &message, 0), 3);
    cr_assert(recvmsg(ends[0], &message, 0) == -1 && errno == EAGAIN);
    cr_assert_eq(close(ends[1]), 0);
    cr_assert_eq(recvmsg(ends[0], &message, 0), 0);
    cr_assert_eq(close(ends[0]), 0);
    cr_assert_eq(close(set), 0);
}

Test(h2socket_front, wrong_descriptors_fail_as_in_libc)
{
    struct epoll_event event = {0};
    struct msghdr message = {0};

    for (size_t i = 0; i < 3; i++) {
        int fd = (const int[]){-1, INT_MAX, INT_MIN}[i];
        cr_assert(recvmsg(fd, &message, 0) == -1 && errno == EBADF);
        cr_assert(sendmsg(fd, &message, 0) == -1 && errno == EBADF);
        cr_assert(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EBADF);
        cr_assert(epoll_wait(fd, &event, 1, 0) == -1 && errno == EBADF);
        cr_assert(close(fd) == -1 && errno == EBADF);
    }
}

/* Finding 23: close() takes a connection out of the table. Nobody looks through all of them. */
Test(h2socket_front, the_table_counts_what_peers_have_opened_until_it_is_closed)
{
    struct h2socket_fixture fixture;
    struct ends served;
    int dialled[2];
    char peer[H2SOCKET_PEER_CAPACITY];

    fixture_init(&fixture, 1000);
    fixture_connect(&fixture, UNIX, &served);
    cr_assert_eq(h2socket_count(), 1);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 1);
    h2socket_peer(served.core, peer, sizeof(peer));
    cr_assert_str_eq(peer, "a peer");
    h2socket_peer(served.peer, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    h2socket_peer(served.core, peer, 3);
    cr_assert_str_eq(peer, "a ");

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, dialled), 0);
    cr_assert_eq(h2socket_add(dialled[0], H2GUARD_CLIENT, &fixture.limits, "a server", NO_PEER), ERR_OK);
    cr_assert_eq(h2socket_count(), 1, "what we opened is not counted");
    close(dialled[0]);
    close(dialled[1]);
    int fd = served.core;
    fixture_disconnect(&served);
    cr_assert_eq(h2socket_count(), 0);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 0);
    h2socket_peer(fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    fixture_fini(&fixture);
}

Test(h2socket_front, a_long_peer_is_cut)
{
    char peer[2 * H2SOCKET_PEER_CAPACITY], kept[2 * H2SOCKET_PEER_CAPACITY];
    int ends[2];

    memset(peer, 'x', sizeof(peer));
    peer[sizeof(peer) - 1] = 0;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    cr_assert_eq(h2socket_add(ends[0], H2GUARD_SERVER, NULL, peer, NO_PEER), ERR_OK);
    h2socket_peer(ends[0], kept, sizeof(kept));
    cr_assert_eq(strlen(kept), H2SOCKET_PEER_CAPACITY - 1);
    close(ends[0]);
    close(ends[1]);
}

Test(h2socket_front, a_descriptor_beyond_the_table_is_refused)
{
    cr_assert_eq(h2socket_add(-1, H2GUARD_SERVER, NULL, "", NO_PEER), ERR_FULL);
    cr_assert_eq(h2socket_add(1 << 21, H2GUARD_SERVER, NULL, "", NO_PEER), ERR_FULL);
    cr_assert_eq(h2socket_count(), 0);
}

Test(h2socket_front, a_descriptor_that_is_there_already_ends_the_process, .signal = SIGABRT)
{
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    cr_assert_eq(h2socket_add(ends[0], H2GUARD_SERVER, NULL, "", NO_PEER), ERR_OK);
    (void)!h2socket_add(ends[0], H2GUARD_SERVER, NULL, "", NO_PEER);
}

Test(h2socket_front, a_descriptor_that_is_used_again_has_a_new_entry)
{
    struct h2socket_fixture fixture;
    struct ends pair;
    int error, fd = -1;

    fixture_init(&fixture, 100);
    for (int round = 0; round < 3; round++) {
        fixture_connect(&fixture, UNIX, &pair);
        cr_assert(fd < 0 || fd == pair.core);
        fd = pair.core;
        peer_starts(&pair);
        peer_sends_message(&pair, 400);
        cr_assert_eq(core_polls(&fixture, -1), 1);
        cr_assert_eq(core_reads_all(&pair, &error), START_BYTES + 9 + 100 - START_COST);
        cr_assert_eq(error, EAGAIN);
        fixture_disconnect(&pair); /* while it waits */
        cr_assert_eq(core_polls(&fixture, 0), 0, "what waited is forgotten");
    }
    fixture_fini(&fixture);
}

Test(h2socket_front, a_socket_without_limits_is_never_held)
{
    struct h2socket_fixture fixture;
    struct ends pair;
    static char data[100000];
    int error;

    fixture_init(&fixture, 1);
    fixture_connect_with(&fixture, UNIX, NULL, true, &pair);
    cr_assert_eq(send(pair.peer, data, sizeof(data), 0), (ssize_t)sizeof(data), "zeros are no HTTP/2");
    cr_assert_eq(core_polls(&fixture, -1), 1);
    cr_assert_eq(core_reads_all(&pair, &error), sizeof(data));
    cr_assert_eq(error, EAGAIN);
    cr_assert_eq(core_sends(&pair, data, 10), 10);
    h2socket_check(INT64_MAX);
    cr_assert_eq(count_get(COUNT_GUARD_ENDED), 0);
    fixture_disconnect(&pair);
    fixture_fini(&fixture);
}

Test(h2socket_front, the_core_is_seen_once_it_watches_reads_and_writes)
{
    struct h2socket_fixture fixture;
    struct ends pair;
    char data[1];

    fixture_init(&fixture, 1000);
    fixture_connect_with(&fixture, UNIX, &fixture.limits, false, &pair);
    cr_assert_not(h2socket_is_in_front(pair.core));
    cr_assert_eq(core_reads(&pair, data, 1), -1);
    cr_assert_eq(core_sends(&pair, "x", 1), 1);
    cr_assert_not(h2socket_is_in_front(pair.core), "it is not watched");
    cr_assert_eq(fixture_watch(&fixture, &pair), 0);
    cr_assert(h2socket_is_in_front(pair.core));
    cr_assert_not(h2socket_is_in_front(pair.peer));
    cr_assert_not(h2socket_is_in_front(-1));
    fixture_disconnect(&pair);
    fixture_fini(&fixture);
}

Test(h2socket_front, all_sockets_are_shut_down)
{
    struct h2socket_fixture fixture;
    struct ends pairs[3];
    char data[1];
    int error;

    fixture_init(&fixture, 1000);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        fixture_connect(&fixture, UNIX, &pairs[i]);
    h2socket_shutdown_all();
    cr_assert_eq(core_polls(&fixture, -1), (int)ARRAY_LEN(pairs));
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        cr_assert_eq(core_reads_all(&pairs[i], &error), 0);
        cr_assert_eq(error, 0, "the end of the stream");
        cr_assert(core_sends(&pairs[i], "x", 1) == -1 && errno == EPIPE);
        cr_assert_eq(recv(pairs[i].peer, data, 1, 0), 0);
        fixture_disconnect(&pairs[i]);
    }
    h2socket_shutdown_all();
    fixture_fini(&fixture);
}
