/* test_call_shutdown.c - calls and the end of their thread: drained, left to finish, or
 * cancelled. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/wire/call_acceptor.h"
#include "wire_fixture.h"

#define PATH "/test.Stream/Talk"

static struct record record;
static const struct method methods[] = {{PATH, &stream_port, &record},
                                        {"/test.Unary/Ask", &unary_port, &record}};
static struct wire_fixture fixture;
static struct buf bytes;

static void open_fixture(void)
{
    wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
}

static void close_fixture(void)
{
    buf_fini(&bytes);
    wire_fixture_close(&fixture);
}

TestSuite(call_shutdown, .init = open_fixture, .fini = close_fixture);

Test(call_shutdown, with_cancel_ends_calls_in_every_state)
{
    struct client idle, asking, stuck, held;

    client_open(&idle, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 1);
    client_open(&asking, &fixture, "/test.Unary/Ask");
    cr_assert(client_send_text(&asking, "question"));
    wire_fixture_until(&fixture, record.messages == 1);
    client_open(&stuck, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 3);
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_run(&fixture, act_finish, &record);
    client_open(&held, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 4);
    wire_fixture_run(&fixture, act_hold, &record);

    wire_thread_shutdown(fixture.thread, true);
    wire_thread_shutdown(fixture.thread, true);
    cr_assert_neq(client_end(&idle), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&asking), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&stuck), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&held), GRPC_STATUS_OK);
    wire_fixture_until(&fixture, record.closed == 3);
    cr_assert_eq(record.lost, 3, "one call had called call_finish()");
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.closed_ok, 0);
    wire_fixture_run(&fixture, act_drop, &record);
    cr_assert_eq(record.closed, 4);
    client_close(&idle);
    client_close(&asking);
    client_close(&stuck);
    client_close(&held);
}

static void finish_well(struct call *call, struct record *from)
{
    (void)from;
    call_finish(call, NULL);
}

Test(call_shutdown, without_cancel_lets_calls_finish)
{
    struct client client, late;

    record.on_half_closed = finish_well;
    client_open(&client, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 1);
    wire_thread_shutdown(fixture.thread, false);
    wire_thread_shutdown(fixture.thread, false);
    for (int i = 1; i <= 10; i++) {
        cr_assert(client_send_text(&client, "still here"));
        wire_fixture_until(&fixture, record.messages == i);
    }
    client_open(&late, &fixture, PATH);
    cr_assert_neq(client_end(&late), GRPC_STATUS_OK, "no new calls");
    client_close(&late);
    cr_assert_not(fixture.down);
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_wait_down(&fixture);
    cr_assert_eq(record.opened, 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.lost, 0);
}

Test(call_shutdown, a_second_shutdown_may_cancel_the_calls_that_are_left)
{
    struct client client;

    client_open(&client, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 1);
    wire_thread_shutdown(fixture.thread, false);
    cr_assert(client_send_text(&client, "still here"));
    wire_fixture_until(&fixture, record.messages == 1);
    wire_thread_shutdown(fixture.thread, true);
    cr_assert_neq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_wait_down(&fixture);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed, 1);
}

Test(call_shutdown, a_connection_that_comes_too_late_is_closed)
{
    struct pollfd hangup = {.events = POLLIN};
    int ends[2];
    char byte;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    wire_thread_shutdown(fixture.thread, false);
    wire_thread_adopt(fixture.thread, ends[0]);
    hangup.fd = ends[1];
    /* The thread may have ended before it adopted the socket. Then wire_thread_free() closes it. */
    grpc_channel_destroy(fixture.channel);
    fixture.channel = NULL;
    close_fixture();
    cr_assert_eq(poll(&hangup, 1, 0), 1);
    cr_assert_eq(read(ends[1], &byte, 1), 0);
    close(ends[1]);
    open_fixture();
}

Test(call_shutdown, draining_is_notified_to_live_and_to_later_calls)
{
    struct client first, second, later, done;

    record.on_half_closed = finish_well;
    client_open(&first, &fixture, PATH);
    client_open(&second, &fixture, "/test.Unary/Ask");
    wire_fixture_until(&fixture, record.opened == 2);
    client_open(&done, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 3);
    /* This call is finished, but its peer does not read the status: it hears of no draining. */
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_run(&fixture, act_finish, &record);

    call_acceptor_drain(fixture.thread);
    wire_fixture_until(&fixture, record.draining == 2);
    client_open(&later, &fixture, PATH);
    wire_fixture_until(&fixture, record.draining == 3);
    cr_assert(client_send_text(&later, "hello"));
    wire_fixture_until(&fixture, record.messages == 1);
    client_half_close(&later);
    cr_assert_eq(client_end(&later), GRPC_STATUS_OK, "a draining server still serves calls");
    cr_assert_eq(record.draining, 3, "each call is notified once");
    client_close(&first);
    client_close(&second);
    client_close(&later);
    client_close(&done);
    wire_fixture_until(&fixture, record.closed == 4);
}

static void hold_call(struct call *call, struct record *from)
{
    (void)from;
    call_hold(call);
}

Test(call_shutdown, a_held_call_that_was_lost_is_not_notified_of_draining)
{
    struct client client;

    record.on_opened = hold_call;
    client_open(&client, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 1);
    client_close(&client);
    wire_fixture_until(&fixture, record.lost == 1);
    call_acceptor_drain(fixture.thread);
    wire_fixture_run(&fixture, act_drop, &record);
    cr_assert_eq(record.draining, 0);
    cr_assert_eq(record.closed, 1);
}

/* Whichever call, server or connection ends last: the thread is down after it. */
Test(call_shutdown, the_thread_is_down_after_all_its_calls_have_ended)
{
    for (int round = 1; round <= 30; round++) {
        struct client clients[5];
        int before = record.opened;

        for (size_t i = 0; i < ARRAY_LEN(clients); i++)
            client_open(&clients[i], &fixture, PATH);
        wire_fixture_until(&fixture, record.opened == before + 5);
        if (round % 2)
            wire_fixture_run(&fixture, act_send, &record);
        wire_thread_shutdown(fixture.thread, true);
        if (round % 3 == 0)
            client_cancel(&clients[0]);
        wire_fixture_wait_down(&fixture);
        for (size_t i = 0; i < ARRAY_LEN(clients); i++)
            client_close(&clients[i]);
        wire_fixture_close(&fixture);
        wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
    }
}
