/* test_command_queue.c - commands that wait for a session leave in order, in messages of bounded
 * size, and keep a consumer's request by reference (findings 9 and 19). */
#include "server/rpc/command_queue.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define REQUEST_BYTES 60000u

static struct shared_bytes *request_made(void)
{
    static uint8_t bytes[REQUEST_BYTES];

    return shared_bytes_new((struct bytes){bytes, sizeof(bytes)});
}

static void add_start(struct command_queue *queue, uint64_t number, struct shared_bytes *request)
{
    struct buf body = {0};

    field_varint(&body, PB_REGISTER_RESPONSE_START_ACTIVATION, number);
    command_queue_add(queue, PB_REGISTER_RESPONSE_COMMAND_START, &body, PB_REGISTER_RESPONSE_START_REQUEST,
                      request);
}

/* The same command, written as one message within the other. */
static void write_start(struct buf *message, uint64_t number, struct bytes request)
{
    struct buf body = {0}, command = {0};

    field_varint(&body, PB_REGISTER_RESPONSE_START_ACTIVATION, number);
    field_bytes(&body, PB_REGISTER_RESPONSE_START_REQUEST, request);
    field_message(&command, PB_REGISTER_RESPONSE_COMMAND_START, &body);
    field_message(message, PB_REGISTER_RESPONSE_COMMANDS, &command);
}

Test(command_queue, writes_what_one_message_within_the_other_would_be)
{
    struct command_queue queue = {0};
    struct shared_bytes *request = request_made();
    struct buf message = {0}, expected = {0};

    add_start(&queue, 7, request);
    add_start(&queue, 8, NULL);
    write_start(&expected, 7, shared_bytes_view(request));
    write_start(&expected, 8, shared_bytes_view(NULL));
    command_queue_take(&queue, SIZE_MAX, &message);
    cr_assert_eq(message.size, expected.size);
    cr_assert_arr_eq(message.data, expected.data, expected.size);
    cr_assert_eq(command_queue_size(&queue), 0);
    cr_assert_eq(atomic_load(&request->refs), 1);
    buf_fini(&message);
    buf_fini(&expected);
    shared_bytes_release(request);
    command_queue_fini(&queue);
}

Test(command_queue, a_message_is_bounded_and_holds_at_least_one_command)
{
    struct command_queue queue = {0};
    struct shared_bytes *request = request_made();
    unsigned messages = 0;

    for (uint64_t i = 1; i <= 600; i++)
        add_start(&queue, i, request);
    cr_assert_eq(atomic_load(&request->refs), 601);
    cr_assert_lt(command_queue_size(&queue), 64u * 600, "no request is copied while it waits");
    while (command_queue_size(&queue) > 0) {
        struct buf message = {0};

        command_queue_take(&queue, 100000, &message);
        cr_assert(message.size > REQUEST_BYTES && message.size <= 100000);
        messages++;
        buf_fini(&message);
    }
    cr_assert_eq(messages, 600);
    cr_assert_eq(atomic_load(&request->refs), 1);
    for (uint64_t i = 1; i <= 100; i++)
        add_start(&queue, i, NULL);
    struct buf message = {0};
    command_queue_take(&queue, 200, &message);
    cr_assert(message.size > 150 && message.size <= 200, "small commands share a message");
    buf_fini(&message);
    shared_bytes_release(request);
    command_queue_fini(&queue);
}

Test(command_queue, its_end_gives_the_requests_back)
{
    struct command_queue queue = {0};
    struct shared_bytes *request = request_made();

    add_start(&queue, 1, request);
    command_queue_fini(&queue);
    cr_assert_eq(atomic_load(&request->refs), 1);
    shared_bytes_release(request);
}

Test(command_queue, a_backlog_that_never_ends_keeps_little_more_than_what_waits)
{
    struct command_queue queue = {0};
    struct shared_bytes *request = request_made();
    struct buf message = {0}, expected = {0};

    for (uint64_t number = 1; number <= 20000; number++) {
        add_start(&queue, number, request);
        if (number <= 100)
            continue;
        buf_clear(&message);
        buf_clear(&expected);
        command_queue_take(&queue, 1, &message); /* the oldest one alone */
        write_start(&expected, number - 100, shared_bytes_view(request));
        cr_assert_eq(message.size, expected.size);
        cr_assert_eq(memcmp(message.data, expected.data, expected.size), 0, "command %d", (int)number - 100);
    }
    cr_assert_leq(queue.bytes.capacity + queue.marks.capacity, 32768);
    cr_assert_eq(atomic_load(&request->refs), 101);
    buf_fini(&message);
    buf_fini(&expected);
    command_queue_fini(&queue);
    cr_assert_eq(atomic_load(&request->refs), 1);
    shared_bytes_release(request);
}
