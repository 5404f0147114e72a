/* test_adoption.c - how a wire thread takes over sockets: while peers come and go, and too late. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire_fixture.h"

static struct wire_fixture fixture;

static void open_fixture(void)
{
    wire_fixture_open(&fixture, NULL, 0);
}

static void close_fixture(void)
{
    wire_fixture_close(&fixture);
}

TestSuite(adoption, .init = open_fixture, .fini = close_fixture);

static int descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    cr_assert(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

#define BOTH_ENDS 2

/* Returns a peer that has sent the preface and an empty SETTINGS frame. The frame's last zero is
 * the one that ends the string. */
static int dial(void)
{
    static const char opening[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(send(ends[1], opening, sizeof(opening), MSG_NOSIGNAL), (ssize_t)sizeof(opening));
    wire_thread_adopt(fixture.thread, ends[0]);
    return ends[1];
}

static void wait_for_bytes(int peer)
{
    struct pollfd about = {.fd = peer, .events = POLLIN};

    cr_assert_eq(poll(&about, 1, (int)(DEADLINE_NS / NS_PER_MS)), 1, "the server never sent a byte");
}

/* Of four peers three leave at once, and one leaves after the server's first bytes. By then the
 * next four are there. So the thread always finds one to adopt. */
Test(adoption, keeps_no_descriptors_of_peers_that_have_left_while_others_come)
{
    int last = dial(), max = 0;

    /* A thread that answers has opened what it needs itself. */
    wait_for_bytes(last);
    int before = descriptors() - BOTH_ENDS;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 3; i++)
            close(dial());
        int next = dial();
        wait_for_bytes(last);
        close(last);
        last = next;
        max = MAX_OF(max, descriptors());
    }
    close(last);
    cr_assert_leq(max, before + 50);
    wire_fixture_until(&fixture, descriptors() <= before);
}

Test(adoption, closes_what_comes_after_the_thread_has_ended)
{
    int before = descriptors(), peers[20];

    grpc_channel_destroy(fixture.channel);
    fixture.channel = NULL;
    wire_thread_shutdown(fixture.thread, false);
    wire_fixture_wait_down(&fixture);
    wire_thread_join(fixture.thread);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peers[i] = dial();
    wire_fixture_close(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        char byte;
        cr_assert(recv(peers[i], &byte, 1, 0) == 0 || errno == ECONNRESET);
        close(peers[i]);
    }
    cr_assert_leq(descriptors(), before);
    open_fixture();
}
