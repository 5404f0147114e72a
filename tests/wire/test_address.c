/* test_address.c - the addresses that people write, and socket files. */
#include "listener_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "h2socket/h2socket.h"
#include "server/wire/address.h"

Test(address, a_socket_file_is_for_its_owner_and_is_removed_with_the_listener)
{
    struct listener_fixture fixture;
    struct stat about;
    char address[128], peer[64], expected[64];
    char *folder = temporary_folder();
    int client, fd;

    snprintf(address, sizeof(address), "unix:%s/socket", folder);
    listener_fixture_open(&fixture, NULL, address);
    cr_assert_str_eq(listener_address(fixture.listener, 0), address);
    cr_assert_eq(stat(address + 5, &about), 0);
    cr_assert(S_ISSOCK(about.st_mode));
    cr_assert_eq(about.st_mode & 0777, 0600);
    client = dial_unix(address + 5);
    send_text(client, PREFACE);
    fd = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    h2socket_peer(fd, peer, sizeof(peer));
    snprintf(expected, sizeof(expected), "unix:pid=%d,uid=%u", getpid(), getuid());
    cr_assert_str_eq(peer, expected);
    close(client);
    listener_stop(fixture.listener);
    cr_assert_eq(stat(address + 5, &about), -1);
    listener_fixture_close(&fixture);
    cr_assert_eq(rmdir(folder), 0);
}

Test(address, replaces_a_stale_socket_file_and_not_a_live_one)
{
    struct listener_fixture first, second;
    struct listener *third;
    struct listener_port port = {.connected = listener_fixture_connected, .ctx = &second};
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    char address[sizeof(stale.sun_path)];
    char *folder = temporary_folder();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct status status;

    snprintf(address, sizeof(address), "unix:%s/socket", folder);
    memcpy(stale.sun_path, address + 5, strlen(address + 5) + 1);
    cr_assert_eq(bind(fd, (struct sockaddr *)&stale, sizeof(stale)), 0);
    close(fd);
    listener_fixture_open(&first, NULL, address);

    cr_assert_eq(listener_new(first.loop, &port, &third).code, ERR_OK);
    status = listener_add(third, address, 0);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EADDRINUSE);
    cr_assert_eq(listener_address_count(third), 0);
    listener_free(third);
    fd = dial_unix(address + 5);
    send_text(fd, PREFACE);
    cr_assert_geq(listener_fixture_next(&first, DEADLINE_MS), 0, "the live one was not disturbed");
    close(fd);

    /* The file is removed and a second server makes its own. When the first server stops, it must
     * leave that file alone. */
    cr_assert_eq(unlink(address + 5), 0);
    listener_fixture_open(&second, NULL, address);
    listener_fixture_close(&first);
    close(dial_unix(address + 5));
    listener_fixture_close(&second);
    cr_assert_eq(rmdir(folder), 0);
}

Test(address, does_not_remove_a_file_that_is_no_socket)
{
    struct listener_port port = {.connected = listener_fixture_connected};
    OWNED(loop_free) struct loop *loop = ample_loop();
    struct listener *listener;
    struct status status;
    char address[128];
    char *folder = temporary_folder();
    int fd;

    snprintf(address, sizeof(address), "unix:%s/precious", folder);
    fd = open(address + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(listener_new(loop, &port, &listener).code, ERR_OK);
    status = listener_add(listener, address, 0);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EEXIST);
    listener_free(listener);
    cr_assert_eq(unlink(address + 5), 0, "it is still there");
    cr_assert_eq(rmdir(folder), 0);
}

Test(address, refuses_malformed_and_unknown_addresses)
{
    static const char *const garbage[] = {"",
                                          "7227",
                                          "127.0.0.1:",
                                          ":7227",
                                          "127.0.0.1:65536",
                                          "127.0.0.1:-1",
                                          "127.0.0.1:1x",
                                          "::1:7227",
                                          "[::1%no-such-one]:0",
                                          "[::1]x:1",
                                          "[127.0.0.1]:1",
                                          "[localhost]:1",
                                          "[]:1",
                                          "unix:",
                                          "unix-abstract:",
                                          "127.1:0",
                                          "no.such.name.invalid:1"};
    struct listener_port port = {.connected = listener_fixture_connected};
    OWNED(loop_free) struct loop *loop = ample_loop();
    struct listener *listener;
    char long_path[256];

    cr_assert_eq(listener_new(loop, &port, &listener).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++)
        cr_assert_eq(listener_add(listener, garbage[i], 0).code, ERR_INVALID, "\"%s\"", garbage[i]);
    snprintf(long_path, sizeof(long_path), "unix:/tmp/%0103d", 0);
    cr_assert_eq(listener_add(listener, long_path, 0).code, ERR_INVALID, "a path of 108 bytes");
    cr_assert_eq(listener_address_count(listener), 0);
    listener_free(listener);
}

Test(address, refuses_an_address_that_is_in_use)
{
    struct listener_fixture fixture;
    struct listener_port port = {.connected = listener_fixture_connected, .ctx = &fixture};
    struct listener *second;
    struct status status;

    listener_fixture_open(&fixture, NULL, "localhost:0");
    cr_assert_eq(strncmp(listener_address(fixture.listener, 0), "127.0.0.1:", 10), 0);
    cr_assert_eq(listener_new(fixture.loop, &port, &second).code, ERR_OK);
    status = listener_add(second, listener_address(fixture.listener, 0), 0);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EADDRINUSE);
    listener_free(second);
    listener_fixture_close(&fixture);
}

Test(address, an_abstract_socket_is_listened_at_and_leaves_no_file)
{
    struct listener_fixture fixture;
    struct listener_port port = {.connected = listener_fixture_connected, .ctx = &fixture};
    struct sockaddr_un there = {.sun_family = AF_UNIX};
    struct listener *second;
    struct status status;
    char address[64], peer[64];

    snprintf(address, sizeof(address), "unix-abstract:tributary test %d", getpid());
    listener_fixture_open(&fixture, NULL, address);
    cr_assert_str_eq(listener_address(fixture.listener, 0), address);
    cr_assert_eq(access(address + strlen("unix-abstract:"), F_OK), -1);

    const char *name = address + strlen("unix-abstract:");
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(there.sun_path + 1, name, strlen(name));
    cr_assert_eq(connect(client, (struct sockaddr *)&there,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
                 0);
    send_text(client, PREFACE);

    int fd = listener_fixture_next(&fixture, DEADLINE_MS);

    cr_assert_geq(fd, 0);
    h2socket_peer(fd, peer, sizeof(peer));
    cr_assert_eq(strncmp(peer, "unix:pid=", 9), 0, "%s", peer);
    cr_assert_eq(listener_new(fixture.loop, &port, &second).code, ERR_OK);
    status = listener_add(second, address, 0);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EADDRINUSE);
    listener_free(second);
    close(client);
    listener_fixture_close(&fixture);
}

Test(address, text_that_is_no_address_is_not_local)
{
    static const char *const text[] = {"", ":", ":7227", "unix:", "::1:7227", "127.1:7227"};

    for (size_t i = 0; i < ARRAY_LEN(text); i++)
        cr_assert_not(address_is_local(text[i]), "\"%s\"", text[i]);
    cr_assert(address_is_local("localhost:7227"));
    cr_assert_not(address_is_local("0.0.0.0:7227"));
}
