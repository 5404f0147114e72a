/* test_call_forward.c - a wire thread serves a call, and for it makes a call as client on the same
 * thread, to a method of its own server. */
#include <string.h>

#include "grpc/client_call.h"
#include "grpc/slices.h"
#include "wire_fixture.h"

static void forward(struct call *call, struct message *message, struct record *record);
static void answer(struct call *call, struct message *message, struct record *record);

static struct record front = {.reads_once = true, .on_message = forward};
static struct record back = {.reads_once = true, .on_message = answer};
static const struct method methods[] = {{"/test.Front/Ask", &unary_port, &front},
                                        {"/test.Back/Ask", &unary_port, &back}};
static struct wire_fixture fixture;
static grpc_channel *upstream;
static struct client client;
static struct buf bytes;

static void open_fixture(void)
{
    wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
    upstream = wire_fixture_connect(&fixture);
}

static void close_fixture(void)
{
    client_close(&client);
    buf_fini(&bytes);
    wire_fixture_until(&fixture, front.closed == front.opened && back.closed == back.opened);
    grpc_channel_destroy(upstream);
    wire_fixture_close(&fixture);
}

TestSuite(call_forward, .init = open_fixture, .fini = close_fixture);

/* The call as client. Wire thread only, but for what is atomic. */
static struct {
    struct client_call call;
    struct call *served; /* the call that waits for the answer */
    struct buf answer;
    _Atomic unsigned ended;
} forwarded;

static void on_sent(struct client_call *call, bool ok)
{
    (void)call;
    (void)ok;
}

static void on_received(struct client_call *call, grpc_byte_buffer **message)
{
    struct buf gathered = {0};
    struct bytes received;

    CHECK(cq_is_mine(wire_cq(fixture.thread)));
    CHECK(message_gather(*message, &gathered, &received));
    buf_bytes(&forwarded.answer, received.data, received.size);
    buf_fini(&gathered);
    client_call_read(call);
}

static void on_ended(struct client_call *call, const struct client_call_end *end)
{
    struct fault fault;

    (void)call;
    fault_set(&fault, FAULT_NOT_READING, "", "");
    if (end->code == GRPC_STATUS_OK)
        call_answer(forwarded.served, &forwarded.answer);
    else
        call_finish(forwarded.served, &fault);
    buf_fini(&forwarded.answer);
    call_unhold(forwarded.served);
    forwarded.ended++;
}

static void forward(struct call *call, struct message *message, struct record *record)
{
    static const struct client_call_port port = {.sent = on_sent, .received = on_received, .ended = on_ended};
    grpc_slice request = slice_copy_of(message_bytes(message));

    (void)record;
    call_hold(call);
    forwarded.served = call;
    if (!forwarded.call.port)
        client_call_init(&forwarded.call, call_cq(call), &port);
    client_call_open(&forwarded.call, &(struct client_call_opening){.channel = upstream,
                                                                    .method = "/test.Back/Ask",
                                                                    .first = &request,
                                                                    .deadline_ns = INT64_MAX,
                                                                    .wait_for_connection = true});
    grpc_slice_unref(request);
}

/* With the request twice. An empty request is never answered. */
static void answer(struct call *call, struct message *message, struct record *record)
{
    struct bytes request = message_bytes(message);
    struct buf twice = {0};

    (void)record;
    if (request.size == 0)
        return;
    buf_bytes(&twice, request.data, request.size);
    buf_bytes(&twice, request.data, request.size);
    call_answer(call, &twice);
}

static void send_request(const char *text)
{
    client_open(&client, &fixture, "/test.Front/Ask");
    cr_assert(client_send_text(&client, text));
    client_half_close(&client);
}

Test(call_forward, a_served_call_waits_for_a_call_on_its_own_thread)
{
    for (int i = 1; i <= 10; i++) {
        if (i > 1)
            client_close(&client);
        send_request("again ");
        cr_assert(client_read(&client, &bytes));
        cr_assert_eq(bytes.size, 12);
        cr_assert_eq(memcmp(bytes.data, "again again ", 12), 0);
        cr_assert_eq(client_status(&client), GRPC_STATUS_OK);
        wire_fixture_until(&fixture, front.closed_ok == i && back.closed_ok == i);
    }
    cr_assert_eq(forwarded.ended, 10);
}

static void act_cancel(void *ctx)
{
    (void)ctx;
    client_call_cancel(&forwarded.call, GRPC_STATUS_CANCELLED, "not wanted any more");
}

Test(call_forward, a_cancelled_call_ends_what_it_forwarded)
{
    send_request("");
    wire_fixture_until(&fixture, back.messages == 1);
    client_cancel(&client);
    wire_fixture_until(&fixture, front.lost == 1);
    cr_assert_eq(front.closed, 0, "it is held for the other call");
    wire_fixture_run(&fixture, act_cancel, NULL);
    wire_fixture_until(&fixture, front.closed == 1 && back.closed == 1);
    cr_assert_eq(back.lost, 1);
    cr_assert_eq(forwarded.ended, 1);
    cr_assert_eq(front.closed_ok + back.closed_ok, 0);
}
