/* test_call_unary.c - every ending of a unary call. */
#include <stdio.h>
#include <string.h>

#include "wire_fixture.h"

static struct record record;
static const struct method methods[] = {{"/test.Unary/Ask", &unary_port, &record}};
static struct wire_fixture fixture;
static struct client client;
static struct buf bytes;

static void open_fixture(void)
{
    record.reads_once = true;
    wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
}

static void close_fixture(void)
{
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == record.opened);
    cr_assert_eq(record.sent + record.unsent, 0, "call_answer() is not reported by sent()");
    buf_fini(&bytes);
    wire_fixture_close(&fixture);
}

/* Opens a call, sends its request, and waits until the server has it. */
static void send_request(void)
{
    client_open(&client, &fixture, "/test.Unary/Ask");
    cr_assert(client_send_text(&client, "request"));
    client_half_close(&client);
    wire_fixture_until(&fixture, record.messages == 1);
}

static const char *status_message(void)
{
    static char text[700];

    client_status_message(&client, text, sizeof(text));
    return text;
}

TestSuite(call_unary, .init = open_fixture, .fini = close_fixture);

Test(call_unary, is_answered)
{
    send_request();
    wire_fixture_run(&fixture, act_answer, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 6);
    cr_assert_eq(memcmp(bytes.data, "answer", 6), 0);
    cr_assert_not(client_read(&client, &bytes), "one answer");
    cr_assert_eq(client_status(&client), GRPC_STATUS_OK);
    cr_assert_not(client_details(&client, &bytes));
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.lost, 0);
}

static void act_answer_nothing(void *ctx)
{
    struct buf nothing = {0};

    call_answer(((struct record *)ctx)->call, &nothing);
}

Test(call_unary, an_empty_answer_arrives)
{
    send_request();
    wire_fixture_run(&fixture, act_answer_nothing, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}

static void echo_at_once(struct call *call, struct message *message, struct record *to)
{
    struct bytes request = message_bytes(message);
    OWNED(buf_fini) struct buf answer = {0};

    (void)to;
    buf_bytes(&answer, request.data, request.size);
    call_answer(call, &answer);
}

Test(call_unary, is_answered_within_the_message_callback)
{
    record.on_message = echo_at_once;
    send_request();
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, strlen("request"));
    cr_assert_eq(memcmp(bytes.data, "request", bytes.size), 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}

static void write_details(const struct fault *fault, struct buf *details)
{
    buf_byte(details, 0);
    buf_format(details, "%s of %s", fault_reason_name(fault->reason), fault->field);
}

Test(call_unary, is_refused_with_code_message_and_details)
{
    char expected[600];
    struct fault fault;

    call_fault_details = write_details;
    send_request();
    wire_fixture_run(&fixture, act_refuse, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    fault_number(&fault, FAULT_OUT_OF_BOUNDS, "settings.size", 7, "1 to 5");
    fault_message(&fault, expected, sizeof(expected));
    cr_assert_str_eq(status_message(), expected);
    cr_assert(client_details(&client, &bytes));
    cr_assert_eq(bytes.size, 1 + strlen("OUT_OF_BOUNDS of settings.size"));
    cr_assert_eq(memcmp(bytes.data + 1, "OUT_OF_BOUNDS of settings.size", bytes.size - 1), 0);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1, "the refusal was delivered");
    cr_assert_eq(record.lost, 0);
}

Test(call_unary, is_refused_without_details_if_call_fault_details_is_not_set)
{
    send_request();
    wire_fixture_run(&fixture, act_refuse, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_not(client_details(&client, &bytes));
}

/* A fault with its longest message, with many unusual characters. */
static void act_refuse_with_odd_bytes(void *ctx)
{
    struct fault fault;
    char odd[64];

    for (size_t i = 0; i < sizeof(odd); i++)
        odd[i] = (char)(i * 4 + 1);
    fault_bytes(&fault, FAULT_BAD_NAME, "100% \t \xc3\xa9", (struct bytes){(const uint8_t *)odd, sizeof(odd)},
                "\n \"quoted\"");
    fault_message(&fault, *(char(*)[600])ctx, 600);
    call_finish(record.call, &fault);
}

Test(call_unary, a_message_arrives_as_it_was_written)
{
    char expected[600];

    send_request();
    wire_fixture_run(&fixture, act_refuse_with_odd_bytes, &expected);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_str_eq(status_message(), expected);
}

static void act_finish_twice(void *ctx)
{
    act_refuse(ctx);
    act_finish(ctx);
    act_answer(ctx);
}

Test(call_unary, only_the_first_ending_counts)
{
    send_request();
    wire_fixture_run(&fixture, act_finish_twice, &record);
    cr_assert_not(client_read(&client, &bytes));
    cr_assert_eq(client_status(&client), GRPC_STATUS_INVALID_ARGUMENT);
}

static void refuse_empty(struct call *call, struct record *to)
{
    struct fault fault;

    (void)to;
    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

Test(call_unary, a_half_close_without_a_message_is_reported)
{
    record.on_half_closed = refuse_empty;
    client_open(&client, &fixture, "/test.Unary/Ask");
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_str_eq(status_message(), fault_text(FAULT_NO_MESSAGE));
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.half_closed, 1);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.lost, 0);
}

Test(call_unary, a_cancel_before_the_request_is_a_loss)
{
    client_open(&client, &fixture, "/test.Unary/Ask");
    wire_fixture_until(&fixture, record.opened == 1);
    client_cancel(&client);
    cr_assert_eq(client_status(&client), GRPC_STATUS_CANCELLED);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(call_unary, a_cancel_before_the_answer_is_a_loss)
{
    send_request();
    client_cancel(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(call_unary, a_held_call_outlives_its_loss)
{
    send_request();
    wire_fixture_run(&fixture, act_hold, &record);
    client_cancel(&client);
    wire_fixture_until(&fixture, record.lost == 1);
    cr_assert_eq(client_status(&client), GRPC_STATUS_CANCELLED);
    wire_fixture_run(&fixture, act_answer, &record);
    wire_fixture_run(&fixture, act_refuse, &record);
    wire_fixture_run(&fixture, act_abort, &record);
    cr_assert_eq(record.closed, 0, "the call is held");
    cr_assert_eq(count_get(COUNT_LIVE_CALLS), 1);
    wire_fixture_run(&fixture, act_drop, &record);
    cr_assert_eq(record.closed, 1);
    cr_assert_eq(record.closed_ok, 0);
    cr_assert_eq(record.lost, 1);
}

Test(call_unary, a_held_call_can_be_answered)
{
    send_request();
    wire_fixture_run(&fixture, act_hold, &record);
    wire_fixture_run(&fixture, act_hold, &record);
    wire_fixture_run(&fixture, act_answer, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    wire_fixture_run(&fixture, act_drop, &record);
    cr_assert_eq(record.closed, 0);
    wire_fixture_run(&fixture, act_drop, &record);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
}

static void note_deadline(struct call *call, struct record *to)
{
    *(_Atomic int64_t *)to->own = call_deadline_ns(call);
}

Test(call_unary, a_deadline_that_passes_is_a_loss)
{
    _Atomic int64_t deadline_ns = 0;
    int64_t began_ns = clock_mono_ns();

    record.on_opened = note_deadline;
    record.own = &deadline_ns;
    client_open_on(&client, &fixture, fixture.channel, "/test.Unary/Ask", 500 * NS_PER_MS);
    cr_assert_eq(client_status(&client), GRPC_STATUS_DEADLINE_EXCEEDED);
    cr_assert_geq(clock_mono_ns() - began_ns, 500 * NS_PER_MS);
    wire_fixture_until(&fixture, record.closed == record.opened);
    cr_assert_eq(record.opened, 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_gt(deadline_ns, began_ns);
    cr_assert_lt(deadline_ns, began_ns + 10 * NS_PER_S);
}

Test(call_unary, a_call_without_a_deadline_says_int64_max)
{
    _Atomic int64_t deadline_ns = 0;

    record.on_opened = note_deadline;
    record.own = &deadline_ns;
    send_request();
    cr_assert_eq(deadline_ns, INT64_MAX);
}

static void note_peer(struct call *call, struct record *to)
{
    snprintf(to->own, 32, "%s", call_peer(call));
}

Test(call_unary, the_peer_is_that_of_the_table_of_sockets)
{
    char peer[32] = "";

    record.on_opened = note_peer;
    record.own = peer;
    send_request();
    cr_assert_str_eq(peer, "a peer");
}

Test(call_unary, a_path_without_a_method_is_unimplemented)
{
    client_open(&client, &fixture, "/test.Unary/Tell");
    cr_assert_eq(client_end(&client), GRPC_STATUS_UNIMPLEMENTED);
    cr_assert(strstr(status_message(), "/test.Unary/Tell"), "%s", status_message());
    cr_assert(strstr(status_message(), fault_text(FAULT_METHOD_NOT_SERVED)), "%s", status_message());
    wire_fixture_until(&fixture, count_get(COUNT_LIVE_CALLS) == 0);
    cr_assert_eq(record.opened, 0);
}

Test(call_unary, a_message_beyond_the_cores_limit_is_a_loss_and_no_half_close)
{
    static const char zeros[CORE_MESSAGE_BYTES + 1];

    client_open(&client, &fixture, "/test.Unary/Ask");
    client_begin_send(&client, zeros, sizeof(zeros));
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    wire_fixture_until(&fixture, record.closed == 1);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.lost, 1);
}

static void expect_too_large(struct call *call, struct message *message, struct record *to)
{
    struct fault fault;

    (void)call;
    (void)to;
    CHECK(message_check(message, UINT64_MAX, &fault) == FAULT_BATCH_TOO_LARGE);
}

/* Finding 28: so the method answers. */
Test(call_unary, a_message_of_exactly_the_cores_limit_is_handed_over)
{
    static const char zeros[CORE_MESSAGE_BYTES];

    record.on_message = expect_too_large;
    client_open(&client, &fixture, "/test.Unary/Ask");
    cr_assert(client_send(&client, zeros, sizeof(zeros)));
    wire_fixture_until(&fixture, record.messages == 1);
    wire_fixture_run(&fixture, act_answer, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}
