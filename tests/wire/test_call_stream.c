/* test_call_stream.c - every ending of a streaming call that one of its two sides brings about. */
#include <stdio.h>
#include <string.h>

#include "wire_fixture.h"

#define PATH "/test.Stream/Talk"

static struct record record;
static const struct method methods[] = {{PATH, &stream_port, &record}};
static struct house house;
static struct client client;
static struct buf bytes;

static void open_house(void)
{
    house_open(&house, methods, ARRAY_LEN(methods));
}

static void close_house(void)
{
    house_until(&house, record.closed == record.opened);
    buf_fini(&bytes);
    house_close(&house);
}

TestSuite(stream, .init = open_house, .fini = close_house);

static void begin(void)
{
    client_open(&client, &house, PATH);
    house_until(&house, record.opened == 1);
}

static const char *said(void)
{
    static char text[700];

    client_said(&client, text, sizeof(text));
    return text;
}

static void echo(struct call *call, struct message *message, struct record *to)
{
    struct bytes heard = message_bytes(message);
    OWNED(buf_fini) struct buf answer = {0};

    (void)to;
    buf_bytes(&answer, heard.data, heard.size);
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

Test(stream, many_messages_both_ways_arrive_in_order)
{
    record.stops = true; /* reads on when its echo was sent */
    record.on_message = echo;
    record.on_sent = read_on;
    record.on_half_closed = finish_well;
    begin();
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t heard;
        client_begin_send(&client, &i, sizeof(i));
        cr_assert(client_read(&client, &bytes));
        cr_assert_eq(bytes.size, sizeof(i));
        memcpy(&heard, bytes.data, sizeof(heard));
        cr_assert_eq(heard, i);
        house_until(&house, !client.sent.pending);
    }
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.half_closed, 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.messages, 1000);
    cr_assert_eq(record.sent, 1000);
}

Test(stream, one_may_talk_on_after_the_others_half_close)
{
    begin();
    client_half_close(&client);
    house_until(&house, record.half_closed == 1);
    cr_assert_eq(record.closed, 0);
    house_run(&house, act_send, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 8 * 1024 * 1024);
    house_until(&house, record.sent == 1);
    house_run(&house, act_finish, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.lost, 0);
}

Test(stream, a_cancel_is_a_loss_and_never_a_half_close)
{
    for (int round = 1; round <= 200; round++) {
        int before = record.opened; /* a call that is cancelled at once may never get here */

        client_open(&client, &house, PATH);
        for (int i = 0; i < round % 4; i++)
            cr_assert(client_say(&client, "something"));
        if (round % 2)
            house_until(&house, record.opened > before);
        if (round % 3 == 0)
            client_begin_send(&client, "still on its way", 16);
        client_cancel(&client);
        client_close(&client);
        cr_assert_eq(client.code, GRPC_STATUS_CANCELLED);
        house_until(&house, record.closed == record.opened);
        cr_assert_eq(record.half_closed, 0, "round %d", round);
        cr_assert_eq(record.lost, record.opened);
        cr_assert_eq(record.closed_ok, 0);
    }
    cr_assert_geq(record.opened, 100);
}

Test(stream, a_connection_that_breaks_is_a_loss)
{
    for (int round = 1; round <= 20; round++) {
        grpc_channel *channel = house_connect(&house);

        client_open_on(&client, &house, channel, PATH, INT64_MAX);
        cr_assert(client_say(&client, "something"));
        house_until(&house, record.messages == round);
        grpc_channel_destroy(channel);
        client_close(&client);
        house_until(&house, record.closed == round);
        cr_assert_eq(record.lost, round);
        cr_assert_eq(record.half_closed, 0);
    }
}

Test(stream, a_call_that_does_not_read_learns_of_its_loss_all_the_same)
{
    record.mute = true;
    begin();
    client_cancel(&client);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.lost, 1);
}

Test(stream, a_deadline_that_passes_is_a_loss)
{
    client_open_on(&client, &house, house.channel, PATH, 500 * NS_PER_MS);
    cr_assert(client_say(&client, "something"));
    cr_assert_eq(client_end(&client), GRPC_STATUS_DEADLINE_EXCEEDED);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.lost, 1);
}

static void act_use_the_lost(void *ctx)
{
    struct buf word = {0};

    CHECK(!call_alive(record.call));
    call_read(record.call);
    buf_text(&word, "word");
    CHECK(!call_send(record.call, &word));
    CHECK(word.size == 0);
    act_finish(ctx);
    act_cut(ctx);
    act_drop(ctx);
}

Test(stream, verbs_on_a_lost_call_do_nothing)
{
    begin();
    house_run(&house, act_hold, &record);
    client_cancel(&client);
    client_close(&client);
    house_until(&house, record.lost == 1);
    house_run(&house, act_use_the_lost, &record);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.sent + record.unsent, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

static void act_send_and_finish(void *ctx)
{
    act_send(ctx);
    act_finish(ctx);
}

Test(stream, a_finish_waits_for_the_send_before_it)
{
    begin();
    house_run(&house, act_send_and_finish, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 8 * 1024 * 1024);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.sent, 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.closed_ok, 1);
}

static void does_not_read(void (*finish)(void *record))
{
    int64_t began_ns;

    begin();
    house_run(&house, act_send, &record);
    began_ns = clock_mono_ns();
    house_run(&house, finish, &record);
    house_watch(&house, 400 * NS_PER_MS);
    cr_assert_eq(record.closed, 0, "it has a second");
    house_until(&house, record.closed == 1);
    cr_assert_geq(clock_mono_ns() - began_ns, NS_PER_S);
    cr_assert_lt(clock_mono_ns() - began_ns, 5 * NS_PER_S);
    cr_assert_eq(record.lost, 0, "its owner had said goodbye");
    cr_assert_eq(record.unsent, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(stream, who_does_not_read_is_cancelled_after_a_second)
{
    does_not_read(act_finish);
    cr_assert_eq(client_end(&client), GRPC_STATUS_CANCELLED, "nobody may believe that it had everything: %d",
                 (int)client.code);
    client_close(&client);
}

Test(stream, who_does_not_read_is_refused_after_a_second)
{
    does_not_read(act_refuse);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert(strstr(said(), "settings.size"), "%s", said());
    client_close(&client);
}

Test(stream, a_cut_does_not_wait_for_a_peer_that_does_not_read)
{
    begin();
    house_run(&house, act_send, &record);
    house_run(&house, act_hold, &record);
    house_run(&house, act_cut, &record);
    house_until(&house, record.lost == 1);
    house_run(&house, act_cut, &record);
    house_run(&house, act_finish, &record);
    house_run(&house, act_drop, &record);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.unsent, 1);
    cr_assert_eq(record.sent, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(said(), fault_text(FAULT_NOT_READING));
    client_close(&client);
}

Test(stream, a_cut_ends_an_idle_call_too)
{
    begin();
    house_run(&house, act_cut, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.half_closed, 0);
}

static void finish_at_once(struct call *call, struct record *from)
{
    (void)from;
    call_finish(call, NULL);
}

Test(stream, may_end_where_it_was_opened)
{
    record.on_opened = finish_at_once;
    client_open(&client, &house, PATH);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.lost, 0);
    cr_assert_eq(record.closed_ok, 1);
}

Test(stream, fifty_calls_of_one_connection_do_not_mix)
{
    struct client many[50];

    record.stops = true;
    record.on_message = echo;
    record.on_half_closed = finish_well;
    record.on_sent = read_on;
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
        client_open(&many[i], &house, PATH);
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
    house_until(&house, record.closed == 50);
    cr_assert_eq(record.half_closed, 25);
    cr_assert_eq(record.lost, 25);
}
