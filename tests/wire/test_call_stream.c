/* test_call_stream.c - every ending of a streaming call that the client or the server causes. */
#include <stdio.h>
#include <string.h>

#include "wire_fixture.h"

#define PATH "/test.Stream/Talk"

static struct record record;
static const struct method methods[] = {{PATH, &stream_port, &record}};
static struct wire_fixture fixture;
static struct client client;
static struct buf bytes;

static void open_fixture(void)
{
    wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
}

static void close_fixture(void)
{
    wire_fixture_until(&fixture, record.closed == record.opened);
    buf_fini(&bytes);
    wire_fixture_close(&fixture);
}

TestSuite(call_stream, .init = open_fixture, .fini = close_fixture);

static void begin(void)
{
    client_open(&client, &fixture, PATH);
    wire_fixture_until(&fixture, record.opened == 1);
}

static const char *status_message(void)
{
    static char text[700];

    client_status_message(&client, text, sizeof(text));
    return text;
}

static void echo(struct call *call, struct message *message, struct record *to)
{
    struct bytes received = message_bytes(message);
    OWNED(buf_fini) struct buf answer = {0};

    (void)to;
    buf_bytes(&answer, received.data, received.size);
    CHECK(call_send(call, &answer));
}

static void read_on(struct call *call, struct record *from)
{
    (void)from;
    call_read(call);
}

static void finish_well(struct call *call, struct record *from)
{
    (void)from;
    call_finish(call, NULL);
}

Test(call_stream, many_messages_both_ways_arrive_in_order)
{
    record.reads_once = true; /* on_sent reads the next message */
    record.on_message = echo;
    record.on_sent = read_on;
    record.on_half_closed = finish_well;
    begin();
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t received;
        client_begin_send(&client, &i, sizeof(i));
        cr_assert(client_read(&client, &bytes));
        cr_assert_eq(bytes.size, sizeof(i));
        memcpy(&received, bytes.data, sizeof(received));
        cr_assert_eq(received, i);
        wire_fixture_until(&fixture, !client.sent.pending);
    }
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.half_closed, 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.messages, 1000);
    cr_assert_eq(record.sent, 1000);
}

Test(call_stream, the_server_may_send_after_the_clients_half_close)
{
    begin();
    client_half_close(&client);
    wire_fixture_until(&fixture, record.half_closed == 1);
    cr_assert_eq(record.closed, 0);
    wire_fixture_run(&fixture, act_send, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 8 * 1024 * 1024);
    wire_fixture_until(&fixture, record.sent == 1);
    wire_fixture_run(&fixture, act_finish, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.lost, 0);
}

Test(call_stream, a_cancel_is_a_loss_and_never_a_half_close)
{
    for (int round = 1; round <= 200; round++) {
        int before = record.opened; /* a call that is cancelled at once may never reach the server */

        client_open(&client, &fixture, PATH);
        for (int i = 0; i < round % 4; i++)
            cr_assert(client_send_text(&client, "something"));
        if (round % 2)
            wire_fixture_until(&fixture, record.opened > before);
        if (round % 3 == 0)
            client_begin_send(&client, "still on its way", 16);
        client_cancel(&client);
        client_close(&client);
        cr_assert_eq(client.code, GRPC_STATUS_CANCELLED);
        /* also where a call of a round before arrives only now */
        wire_fixture_until(&fixture, record.closed == record.opened && record.lost == record.opened);
        cr_assert_eq(record.half_closed, 0, "round %d", round);
        cr_assert_eq(record.closed_ok, 0);
    }
    cr_assert_geq(record.opened, 100);
}

Test(call_stream, a_broken_connection_is_a_loss)
{
    for (int round = 1; round <= 20; round++) {
        grpc_channel *channel = wire_fixture_connect(&fixture);

        client_open_on(&client, &fixture, channel, PATH, INT64_MAX);
        cr_assert(client_send_text(&client, "something"));
        wire_fixture_until(&fixture, record.messages == round);
        grpc_channel_destroy(channel);
        client_close(&client);
        wire_fixture_until(&fixture, record.closed == round);
        cr_assert_eq(record.lost, round);
        cr_assert_eq(record.half_closed, 0);
    }
}

Test(call_stream, a_call_that_does_not_read_is_notified_of_its_loss)
{
    record.reads_nothing = true;
    begin();
    client_cancel(&client);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.lost, 1);
}

Test(call_stream, a_deadline_that_passes_is_a_loss)
{
    client_open_on(&client, &fixture, fixture.channel, PATH, 500 * NS_PER_MS);
    cr_assert(client_send_text(&client, "something"));
    cr_assert_eq(client_end(&client), GRPC_STATUS_DEADLINE_EXCEEDED);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.lost, 1);
}

static void act_use_lost_call(void *ctx)
{
    struct buf word = {0};

    CHECK(!call_alive(record.call));
    call_read(record.call);
    buf_text(&word, "word");
    CHECK(!call_send(record.call, &word));
    CHECK(word.size == 0);
    act_finish(ctx);
    act_abort(ctx);
    act_drop(ctx);
}

Test(call_stream, functions_on_a_lost_call_do_nothing)
{
    begin();
    wire_fixture_run(&fixture, act_hold, &record);
    client_cancel(&client);
    client_close(&client);
    wire_fixture_until(&fixture, record.lost == 1);
    wire_fixture_run(&fixture, act_use_lost_call, &record);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.sent + record.unsent, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

static void act_send_and_finish(void *ctx)
{
    act_send(ctx);
    act_finish(ctx);
}

Test(call_stream, a_finish_waits_for_the_send_before_it)
{
    begin();
    wire_fixture_run(&fixture, act_send_and_finish, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 8 * 1024 * 1024);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.sent, 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.closed_ok, 1);
}

static void finish_unread(void (*finish)(void *record))
{
    int64_t began_ns;

    begin();
    began_ns = clock_mono_ns();
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_run(&fixture, finish, &record);
    wire_fixture_wait(&fixture, 400 * NS_PER_MS);
    cr_assert_eq(record.closed, 0, "the peer has the write timeout");
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_geq(clock_mono_ns() - began_ns, STATUS_LIMIT_NS);
    cr_assert_lt(clock_mono_ns() - began_ns, 5 * NS_PER_S);
    cr_assert_eq(record.lost, 0, "the owner had called call_finish()");
    cr_assert_eq(record.unsent, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(call_stream, an_ok_that_is_not_read_becomes_a_cancel_after_the_write_timeout)
{
    finish_unread(act_finish);
    cr_assert_eq(client_end(&client), GRPC_STATUS_CANCELLED,
                 "the peer must not take the stream for complete: %d", (int)client.code);
    client_close(&client);
}

Test(call_stream, a_fault_that_is_not_read_becomes_a_cancel_with_its_code_after_the_write_timeout)
{
    finish_unread(act_refuse);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert(strstr(status_message(), "settings.size"), "%s", status_message());
    client_close(&client);
}

/* Finding 26: the limit counts from the beginning of the message, and anew for the status. */
Test(call_stream, a_peer_that_reads_in_time_gets_the_message_and_then_the_status)
{
    begin();
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_run(&fixture, act_refuse, &record);
    wire_fixture_wait(&fixture, STATUS_LIMIT_NS / 4);
    cr_assert_eq(record.sent + record.unsent, 0, "it is still in flight");
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 8 * 1024 * 1024);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.sent, 1);
    cr_assert_eq(record.closed_ok, 1);
}

Test(call_stream, the_time_that_a_message_was_in_flight_before_the_finish_counts)
{
    int64_t finished_ns;

    begin();
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_wait(&fixture, STATUS_LIMIT_NS);
    finished_ns = clock_mono_ns();
    wire_fixture_run(&fixture, act_refuse, &record);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_lt(clock_mono_ns() - finished_ns, STATUS_LIMIT_NS / 2);
    cr_assert_eq(record.unsent, 1);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    client_close(&client);
}

Test(call_stream, an_abort_does_not_wait_for_a_peer_that_does_not_read)
{
    begin();
    wire_fixture_run(&fixture, act_send, &record);
    wire_fixture_run(&fixture, act_hold, &record);
    wire_fixture_run(&fixture, act_abort, &record);
    wire_fixture_until(&fixture, record.lost == 1);
    wire_fixture_run(&fixture, act_abort, &record);
    wire_fixture_run(&fixture, act_finish, &record);
    wire_fixture_run(&fixture, act_drop, &record);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.unsent, 1);
    cr_assert_eq(record.sent, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(status_message(), fault_text(FAULT_NOT_READING));
    client_close(&client);
}

Test(call_stream, an_abort_ends_an_idle_call_too)
{
    begin();
    wire_fixture_run(&fixture, act_abort, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.half_closed, 0);
}

static void finish_at_once(struct call *call, struct record *from)
{
    (void)from;
    call_finish(call, NULL);
}

Test(call_stream, a_call_may_be_finished_within_opened)
{
    record.on_opened = finish_at_once;
    client_open(&client, &fixture, PATH);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.closed_ok, 1);
}

Test(call_stream, fifty_calls_of_one_connection_do_not_mix)
{
    struct client many[50];

    record.reads_once = true;
    record.on_message = echo;
    record.on_half_closed = finish_well;
    record.on_sent = read_on;
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
        client_open(&many[i], &fixture, PATH);
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
        client_begin_send(&many[i], &i, sizeof(i));
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++) {
        cr_assert(client_read(&many[i], &bytes));
        cr_assert_eq(memcmp(bytes.data, &i, sizeof(i)), 0);
        if (i % 2)
            client_half_close(&many[i]);
        else
            client_cancel(&many[i]);
        cr_assert_eq(client_end(&many[i]), i % 2 ? GRPC_STATUS_OK : GRPC_STATUS_CANCELLED);
        client_close(&many[i]);
    }
    wire_fixture_until(&fixture, record.closed == 50);
    cr_assert_eq(record.half_closed, 25);
    cr_assert_eq(record.lost, 25);
}
