/* test_handshake.c - the wait for the HTTP/2 preface. */
#include "listener_fixture.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Test(handshake, accepts_a_preface_that_comes_byte_by_byte)
{
    struct listener_fixture fixture;
    int client;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    for (size_t i = 0; i < strlen(PREFACE); i++) {
        char byte[2] = {PREFACE[i], '\0'};

        cr_assert_eq(listener_fixture_next(&fixture, 0), -1, "handed over after %zu bytes", i);
        send_text(client, byte);
        poll(NULL, 0, 1); /* lets the bytes travel one by one; the result does not depend on it */
    }
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0);
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, half_a_preface_does_not_keep_the_thread_busy)
{
    struct listener_fixture fixture;
    int64_t before_ns, spent_ns;
    int client;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, "PRI * HTTP");
    before_ns = process_cpu_ns();
    cr_assert_eq(listener_fixture_next(&fixture, 300), -1);
    spent_ns = process_cpu_ns() - before_ns;
    cr_assert_lt(spent_ns, 100 * NS_PER_MS, "%ld ns of CPU in 300 ms of waiting", (long)spent_ns);
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, refuses_at_once_what_is_not_http2)
{
    static const char *const wrong[] = {"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", "PRJ", "\x16\x03\x01",
                                        "get / HTTP/1.1\r\n\r\n", "GETX"};
    struct listener_fixture fixture;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int client = dial_tcp(&fixture);

        send_text(client, wrong[i]);
        cr_assert(is_closed_by_peer(client), "number %zu", i);
        close(client);
    }
    cr_assert_eq(listener_fixture_next(&fixture, 0), -1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), (int64_t)ARRAY_LEN(wrong));
    cr_assert_eq(count_get(COUNT_CONNECTIONS), 0);
    listener_fixture_close(&fixture);
}

/* Reads until the peer closes. Returns how many bytes came; `text` has their beginning. */
static size_t read_all(int fd, char *text, size_t capacity)
{
    size_t size = 0;

    memset(text, 0, capacity);
    while (is_readable(fd, DEADLINE_MS)) {
        ssize_t more = recv(fd, text + size, capacity - 1 - size, 0);

        cr_assert_geq(more, 0, "the connection has a normal end");
        if (more == 0)
            break;
        size += (size_t)more;
    }
    return size;
}

Test(handshake, K5_a_request_of_http1_gets_a_readable_answer_and_a_normal_end)
{
    struct listener_fixture fixture;
    char text[1024];

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    for (unsigned round = 0; round < 3; round++) {
        static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /",
                                               "HEAD / HTTP/1.0\r\n\r\n"};
        int client = dial_tcp(&fixture);

        send_text(client, requests[round]);
        cr_assert_gt(read_all(client, text, sizeof(text)), 100);
        cr_assert_eq(strncmp(text, "HTTP/1.1 505 HTTP Version Not Supported\r\n", 41), 0);

        const char *body = strstr(text, "\r\n\r\n");

        cr_assert_not_null(body);
        cr_assert_eq(strlen(body + 4), round == 2 ? 0 : 90, "%s", body);
        cr_assert_eq(!strstr(body, "This is a gRPC server"), round == 2);
        send_text(client, "more that nobody reads");
        close(client);
    }
    cr_assert_eq(listener_fixture_next(&fixture, 0), -1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 3);
    listener_fixture_close(&fixture);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 3, "each is counted once");
}

Test(handshake, K5_a_method_that_comes_byte_by_byte_is_recognised)
{
    struct listener_fixture fixture;
    char text[1024];
    int client;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    for (const char *next = "PATCH "; *next != '\0'; next++) {
        char byte[2] = {*next, '\0'};

        cr_assert_not(is_readable(client, 0), "before \"%s\"", next);
        send_text(client, byte);
        poll(NULL, 0, 1);
    }
    cr_assert_gt(read_all(client, text, sizeof(text)), 100);
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, K5_who_got_its_answer_and_does_not_close_is_closed)
{
    struct listener_fixture fixture;
    int64_t began_ns = clock_mono_ns();
    char text[1024];
    int client;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, "GET / HTTP/1.1\r\n\r\n");
    cr_assert_gt(read_all(client, text, sizeof(text)), 100);
    while (send(client, "x", 1, MSG_NOSIGNAL) > 0) {
        cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
        poll(NULL, 0, 10);
    }
    cr_assert_geq(clock_mono_ns() - began_ns, LINGER_NS, "it has time to read the answer");
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, K5_who_got_its_answer_and_sends_too_much_is_closed)
{
    static char flood[70000];
    struct listener_fixture fixture;
    int64_t began_ns = clock_mono_ns();
    char text[1024];
    int client;

    memset(flood, 'x', sizeof(flood));
    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, "PUT / HTTP/1.1\r\n\r\n");
    cr_assert_gt(read_all(client, text, sizeof(text)), 100);
    while (send(client, flood, sizeof(flood), MSG_NOSIGNAL) > 0) /* until it is closed */
        cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, refuses_a_peer_that_hangs_up_after_half_a_preface)
{
    struct listener_fixture fixture;
    int client;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, "PRI *");
    shutdown(client, SHUT_WR);
    cr_assert(is_closed_by_peer(client));
    close(client);
    listener_fixture_close(&fixture);
}

Test(handshake, refuses_silent_peers_at_the_deadline_and_not_before)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int silent, slow;
    int64_t began_ns;

    settings.preface_timeout_ns = 200 * NS_PER_MS;
    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    began_ns = clock_mono_ns();
    silent = dial_tcp(&fixture);
    slow = dial_tcp(&fixture);
    send_text(slow, "PRI * HTTP/2.0\r\n");
    cr_assert(is_closed_by_peer(silent));
    cr_assert_geq(clock_mono_ns() - began_ns, 190 * NS_PER_MS);
    cr_assert(is_closed_by_peer(slow));
    cr_assert_eq(listener_fixture_next(&fixture, 0), -1);
    close(silent);
    close(slow);
    listener_fixture_close(&fixture);
}

Test(handshake, a_new_preface_timeout_holds_for_pending_connections_from_the_next_look_on)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int silent, second;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    silent = dial_tcp(&fixture);
    cr_assert_not(is_readable(silent, 50));
    settings.preface_timeout_ns = 10 * NS_PER_MS;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    second = dial_tcp(&fixture); /* the listener looks again */
    cr_assert(is_closed_by_peer(silent));
    cr_assert(is_closed_by_peer(second));
    close(silent);
    close(second);
    listener_fixture_close(&fixture);
}
