/* test_call_shutdown.c - calls and the end of their thread: drained, left to finish, or
 * cancelled. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/wire/calls.h"
#include "wire_fixture.h"

#define PATH "/test.Stream/Talk"

static struct record record;
static const struct method methods[] = {{PATH, &stream_port, &record},
                                        {"/test.Unary/Ask", &unary_port, &record}};
static struct house house;
static struct buf bytes;

static void open_house(void)
{
    house_open(&house, methods, ARRAY_LEN(methods));
}

static void close_house(void)
{
    buf_fini(&bytes);
    house_close(&house);
}

TestSuite(call_shutdown, .init = open_house, .fini = close_house);

Test(call_shutdown, with_cancel_ends_calls_in_every_state)
{
    struct client idle, asking, stuck, held;

    client_open(&idle, &house, PATH);
    house_until(&house, record.opened == 1);
    client_open(&asking, &house, "/test.Unary/Ask");
    cr_assert(client_say(&asking, "question"));
    house_until(&house, record.messages == 1);
    client_open(&stuck, &house, PATH);
    house_until(&house, record.opened == 3);
    house_run(&house, act_send, &record);
    house_run(&house, act_finish, &record);
    client_open(&held, &house, PATH);
    house_until(&house, record.opened == 4);
    house_run(&house, act_hold, &record);

    wire_thread_shutdown(house.thread, true);
    wire_thread_shutdown(house.thread, true);
    cr_assert_neq(client_end(&idle), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&asking), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&stuck), GRPC_STATUS_OK);
    cr_assert_neq(client_end(&held), GRPC_STATUS_OK);
    house_until(&house, record.closed == 3);
    cr_assert_eq(record.lost, 3, "one had said goodbye");
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.closed_ok, 0);
    house_run(&house, act_drop, &record);
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
    client_open(&client, &house, PATH);
    house_until(&house, record.opened == 1);
    wire_thread_shutdown(house.thread, false);
    wire_thread_shutdown(house.thread, false);
    for (int i = 1; i <= 10; i++) {
        cr_assert(client_say(&client, "still here"));
        house_until(&house, record.messages == i);
    }
    client_open(&late, &house, PATH);
    cr_assert_neq(client_end(&late), GRPC_STATUS_OK, "no new calls");
    client_close(&late);
    cr_assert_not(house.down);
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_down(&house);
    cr_assert_eq(record.opened, 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.lost, 0);
}

Test(call_shutdown, a_second_one_may_cancel_what_the_first_one_left)
{
    struct client client;

    client_open(&client, &house, PATH);
    house_until(&house, record.opened == 1);
    wire_thread_shutdown(house.thread, false);
    cr_assert(client_say(&client, "still here"));
    house_until(&house, record.messages == 1);
    wire_thread_shutdown(house.thread, true);
    cr_assert_neq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_down(&house);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed, 1);
}

Test(call_shutdown, a_connection_that_comes_too_late_is_closed)
{
    struct pollfd hangup = {.events = POLLIN};
    int ends[2];
    char byte;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    wire_thread_shutdown(house.thread, false);
    wire_thread_adopt(house.thread, ends[0]);
    hangup.fd = ends[1];
    /* The thread may have ended before: then whoever frees it closes the socket. */
    grpc_channel_destroy(house.channel);
    house.channel = NULL;
    close_house();
    cr_assert_eq(poll(&hangup, 1, 0), 1);
    cr_assert_eq(read(ends[1], &byte, 1), 0);
    close(ends[1]);
    open_house();
}

Test(call_shutdown, draining_is_told_to_live_and_to_later_calls)
{
    struct client first, second, later, done;

    record.on_half_closed = finish_well;
    client_open(&first, &house, PATH);
    client_open(&second, &house, "/test.Unary/Ask");
    house_until(&house, record.opened == 2);
    client_open(&done, &house, PATH);
    house_until(&house, record.opened == 3);
    /* Finished, but its peer does not take the status: it has been told enough. */
    house_run(&house, act_send, &record);
    house_run(&house, act_finish, &record);

    calls_drain(house.thread);
    house_until(&house, record.draining == 2);
    client_open(&later, &house, PATH);
    house_until(&house, record.draining == 3);
    cr_assert(client_say(&later, "hello"));
    house_until(&house, record.messages == 1);
    client_half_close(&later);
    cr_assert_eq(client_end(&later), GRPC_STATUS_OK, "draining is no refusal");
    cr_assert_eq(record.draining, 3, "once each");
    client_close(&first);
    client_close(&second);
    client_close(&later);
    client_close(&done);
    house_until(&house, record.closed == 4);
}

static void hold_it(struct call *call, struct record *from)
{
    (void)from;
    call_hold(call);
}

Test(call_shutdown, a_held_call_that_was_lost_is_told_no_draining)
{
    struct client client;

    record.on_opened = hold_it;
    client_open(&client, &house, PATH);
    house_until(&house, record.opened == 1);
    client_close(&client);
    house_until(&house, record.lost == 1);
    calls_drain(house.thread);
    house_run(&house, act_drop, &record);
    cr_assert_eq(record.draining, 0);
    cr_assert_eq(record.closed, 1);
}

/* The thread is down when everything of it has ended, whichever of them comes first. */
Test(call_shutdown, being_down_is_the_last_thing_that_happens)
{
    for (int round = 1; round <= 30; round++) {
        struct client clients[5];
        int before = record.opened;

        for (size_t i = 0; i < ARRAY_LEN(clients); i++)
            client_open(&clients[i], &house, PATH);
        house_until(&house, record.opened == before + 5);
        if (round % 2)
            house_run(&house, act_send, &record);
        wire_thread_shutdown(house.thread, true);
        if (round % 3 == 0)
            client_cancel(&clients[0]);
        house_down(&house);
        for (size_t i = 0; i < ARRAY_LEN(clients); i++)
            client_close(&clients[i]);
        house_close(&house);
        house_open(&house, methods, ARRAY_LEN(methods));
    }
}
