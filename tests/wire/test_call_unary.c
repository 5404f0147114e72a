/* test_call_unary.c - every ending of a unary call. */
#include <stdio.h>
#include <string.h>

#include "wire_fixture.h"

static struct record record;
static const struct method methods[] = {{"/test.Unary/Ask", &unary_port, &record}};
static struct house house;
static struct client client;
static struct buf bytes;

static void open_house(void)
{
    record.stops = true;
    house_open(&house, methods, ARRAY_LEN(methods));
}

static void close_house(void)
{
    client_close(&client);
    house_until(&house, record.closed == record.opened);
    cr_assert_eq(record.sent + record.unsent, 0, "an answer is no send");
    buf_fini(&bytes);
    house_close(&house);
}

/* The call has come in and asks nothing more. */
static void ask(void)
{
    client_open(&client, &house, "/test.Unary/Ask");
    cr_assert(client_say(&client, "question"));
    client_half_close(&client);
    house_until(&house, record.messages == 1);
}

static const char *said(void)
{
    static char text[700];

    client_said(&client, text, sizeof(text));
    return text;
}

TestSuite(unary, .init = open_house, .fini = close_house);

Test(unary, is_answered)
{
    ask();
    house_run(&house, act_answer, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 6);
    cr_assert_eq(memcmp(bytes.data, "answer", 6), 0);
    cr_assert_not(client_read(&client, &bytes), "one answer");
    cr_assert_eq(client_status(&client), GRPC_STATUS_OK);
    cr_assert_not(client_details(&client, &bytes));
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
    cr_assert_eq(record.lost, 0);
}

static void act_answer_nothing(void *ctx)
{
    struct buf nothing = {0};

    call_answer(((struct record *)ctx)->call, &nothing);
}

Test(unary, an_empty_answer_is_an_answer)
{
    ask();
    house_run(&house, act_answer_nothing, &record);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}

static void echo_at_once(struct call *call, struct message *message, struct record *to)
{
    struct bytes question = message_bytes(message);
    OWNED(buf_fini) struct buf answer = {0};

    (void)to;
    buf_bytes(&answer, question.data, question.size);
    call_answer(call, &answer);
}

Test(unary, is_answered_within_its_message)
{
    record.on_message = echo_at_once;
    ask();
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, strlen("question"));
    cr_assert_eq(memcmp(bytes.data, "question", bytes.size), 0);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}

static void write_details(const struct fault *fault, struct buf *details)
{
    buf_byte(details, 0);
    buf_format(details, "%s of %s", fault_reason_name(fault->reason), fault->field);
}

Test(unary, is_refused_with_code_message_and_details)
{
    char expected[600];
    struct fault fault;

    call_fault_details = write_details;
    ask();
    house_run(&house, act_refuse, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    fault_number(&fault, FAULT_OUT_OF_BOUNDS, "settings.size", 7, "1 to 5");
    fault_message(&fault, expected, sizeof(expected));
    cr_assert_str_eq(said(), expected);
    cr_assert(client_details(&client, &bytes));
    cr_assert_eq(bytes.size, 1 + strlen("OUT_OF_BOUNDS of settings.size"));
    cr_assert_eq(memcmp(bytes.data + 1, "OUT_OF_BOUNDS of settings.size", bytes.size - 1), 0);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1, "the refusal was delivered");
    cr_assert_eq(record.lost, 0);
}

Test(unary, is_refused_without_details_where_nobody_writes_them)
{
    ask();
    house_run(&house, act_refuse, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_not(client_details(&client, &bytes));
}

/* A fault in its longest form, with every kind of odd character. */
static void act_refuse_loudly(void *ctx)
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

Test(unary, a_message_arrives_as_it_was_written)
{
    char expected[600];

    ask();
    house_run(&house, act_refuse_loudly, &expected);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_str_eq(said(), expected);
}

static void act_finish_twice(void *ctx)
{
    act_refuse(ctx);
    act_finish(ctx);
    act_answer(ctx);
}

Test(unary, the_first_ending_counts)
{
    ask();
    house_run(&house, act_finish_twice, &record);
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

Test(unary, a_half_close_without_a_message_is_seen_as_such)
{
    record.on_half_closed = refuse_empty;
    client_open(&client, &house, "/test.Unary/Ask");
    client_half_close(&client);
    cr_assert_eq(client_end(&client), GRPC_STATUS_INVALID_ARGUMENT);
    cr_assert_str_eq(said(), fault_text(FAULT_NO_MESSAGE));
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.half_closed, 1);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.lost, 0);
}

Test(unary, a_cancel_before_the_question_is_a_loss)
{
    client_open(&client, &house, "/test.Unary/Ask");
    house_until(&house, record.opened == 1);
    client_cancel(&client);
    cr_assert_eq(client_status(&client), GRPC_STATUS_CANCELLED);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(unary, a_cancel_before_the_answer_is_a_loss)
{
    ask();
    client_cancel(&client);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.closed_ok, 0);
}

Test(unary, a_call_that_is_held_outlives_its_loss)
{
    ask();
    house_run(&house, act_hold, &record);
    client_cancel(&client);
    house_until(&house, record.lost == 1);
    cr_assert_eq(client_status(&client), GRPC_STATUS_CANCELLED);
    house_run(&house, act_answer, &record);
    house_run(&house, act_refuse, &record);
    house_run(&house, act_cut, &record);
    cr_assert_eq(record.closed, 0, "somebody holds it");
    cr_assert_eq(count_get(COUNT_LIVE_CALLS), 1);
    house_run(&house, act_drop, &record);
    cr_assert_eq(record.closed, 1);
    cr_assert_eq(record.closed_ok, 0);
    cr_assert_eq(record.lost, 1);
}

Test(unary, a_call_that_is_held_can_be_answered)
{
    ask();
    house_run(&house, act_hold, &record);
    house_run(&house, act_hold, &record);
    house_run(&house, act_answer, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    house_run(&house, act_drop, &record);
    cr_assert_eq(record.closed, 0);
    house_run(&house, act_drop, &record);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.closed_ok, 1);
}

static void note_deadline(struct call *call, struct record *to)
{
    *(_Atomic int64_t *)to->own = call_deadline_ns(call);
}

Test(unary, a_deadline_that_passes_is_a_loss)
{
    _Atomic int64_t deadline_ns = 0;
    int64_t began_ns = clock_mono_ns();

    record.on_opened = note_deadline;
    record.own = &deadline_ns;
    client_open_on(&client, &house, house.channel, "/test.Unary/Ask", 500 * NS_PER_MS);
    cr_assert_eq(client_status(&client), GRPC_STATUS_DEADLINE_EXCEEDED);
    cr_assert_geq(clock_mono_ns() - began_ns, 500 * NS_PER_MS);
    house_until(&house, record.closed == record.opened);
    cr_assert_eq(record.opened, 1);
    cr_assert_eq(record.lost, 1);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_gt(deadline_ns, began_ns);
    cr_assert_lt(deadline_ns, began_ns + 10 * NS_PER_S);
}

Test(unary, without_a_deadline_there_is_none)
{
    _Atomic int64_t deadline_ns = 0;

    record.on_opened = note_deadline;
    record.own = &deadline_ns;
    ask();
    cr_assert_eq(deadline_ns, INT64_MAX);
}

static void note_peer(struct call *call, struct record *to)
{
    snprintf(to->own, 32, "%s", call_peer(call));
}

Test(unary, the_peer_has_the_name_that_the_table_says)
{
    char peer[32] = "";

    record.on_opened = note_peer;
    record.own = peer;
    ask();
    cr_assert_str_eq(peer, "guest");
}

Test(unary, a_path_that_nobody_serves_is_unimplemented)
{
    client_open(&client, &house, "/test.Unary/Tell");
    cr_assert_eq(client_end(&client), GRPC_STATUS_UNIMPLEMENTED);
    cr_assert(strstr(said(), "/test.Unary/Tell"), "%s", said());
    cr_assert(strstr(said(), fault_text(FAULT_METHOD_NOT_SERVED)), "%s", said());
    house_until(&house, count_get(COUNT_LIVE_CALLS) == 0);
    cr_assert_eq(record.opened, 0);
}

Test(unary, a_message_beyond_the_cores_limit_is_no_half_close)
{
    static const char zeros[1024 * 1024 + 1];

    client_open(&client, &house, "/test.Unary/Ask");
    client_begin_send(&client, zeros, sizeof(zeros));
    cr_assert_eq(client_end(&client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    house_until(&house, record.closed == 1);
    cr_assert_eq(record.messages, 0);
    cr_assert_eq(record.half_closed, 0);
    cr_assert_eq(record.lost, 1);
}

Test(unary, a_message_of_just_the_cores_limit_is_served)
{
    static const char zeros[1024 * 1024];

    client_open(&client, &house, "/test.Unary/Ask");
    cr_assert(client_send(&client, zeros, sizeof(zeros)));
    house_until(&house, record.messages == 1);
    house_run(&house, act_answer, &record);
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
}
