/* test_connection_table.c - the connection table: which descriptors are live connections. */
#include "listener_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/wire/connection_table.h"

Test(connection_table, a_descriptor_that_is_used_for_something_else_is_no_connection)
{
    struct listener_fixture fixture;
    char peer[64];
    int client, fd;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, PREFACE);
    fd = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    cr_assert_eq(dup3(fixture.pipe[0], fd, O_CLOEXEC), fd);
    cr_assert_eq(listener_connections(fixture.listener), 0);
    listener_peer(fixture.listener, fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    close(fd);
    close(client);
    listener_fixture_close(&fixture);
}

Test(connection_table, counts_closed_connections_until_it_is_recounted)
{
    struct connection_table *table = connection_table_new();
    char peer[64];
    int ends[2];

    cr_assert(table);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert(connection_table_add(table, ends[0], "first"));
    cr_assert(connection_table_add(table, ends[1], "second"));
    connection_table_peer(table, ends[1], peer, sizeof(peer));
    cr_assert_str_eq(peer, "second");
    close(ends[0]);
    cr_assert_eq(connection_table_size(table), 2);
    cr_assert_eq(connection_table_recount(table), 1);
    cr_assert_eq(connection_table_size(table), 1);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 1);
    connection_table_free(table);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 0);
    close(ends[1]);
}

Test(connection_table, a_newer_connection_replaces_the_older_one_of_its_descriptor)
{
    struct connection_table *table = connection_table_new();
    char peer[64];
    int ends[2], other[2];

    cr_assert(table);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
    cr_assert(connection_table_add(table, ends[0], "older"));
    cr_assert_eq(dup3(other[0], ends[0], O_CLOEXEC), ends[0]);
    cr_assert(connection_table_add(table, ends[0], "newer"));
    cr_assert_eq(connection_table_size(table), 1);
    connection_table_peer(table, ends[0], peer, sizeof(peer));
    cr_assert_str_eq(peer, "newer");
    cr_assert_not(connection_table_add(table, -1, "none"), "it is not open");
    cr_assert_eq(connection_table_size(table), 1);
    connection_table_free(table);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(other[i]);
    }
}
