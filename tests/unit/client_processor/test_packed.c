/* test_packed.c - messages with many entries. */
#include <criterion/criterion.h>

#include "client/lib/processor/answers.h"
#include "client/lib/processor/packed.h"
#include "grpc/slices.h"

/* An entry: field 1, a varint of one byte. */
static void add(struct packed *packed, uint8_t value)
{
    uint8_t *at = packed_add(packed, 2);

    cr_assert(at);
    at[0] = 0x08;
    at[1] = value;
}

static void expect(struct packed *packed, const char *bytes, size_t size)
{
    grpc_slice message;

    cr_assert(packed_dequeue(packed, &message));
    cr_assert_eq(GRPC_SLICE_LENGTH(message), size);
    cr_assert_arr_eq(GRPC_SLICE_START_PTR(message), bytes, size);
    grpc_slice_unref(message);
}

Test(packed, the_first_entry_is_the_message_and_the_others_are_in_more)
{
    struct packed packed = {.more = 4, .max_bytes = 100, .max_entries = 3};
    grpc_slice message;

    packed_init(&packed);
    cr_assert(packed_is_empty(&packed) && packed_has_space(&packed, 1000));
    for (uint8_t i = 1; i <= 4; i++)
        add(&packed, i);
    cr_assert(!packed_is_empty(&packed));
    expect(&packed, "\x08\x01\x22\x02\x08\x02\x22\x02\x08\x03", 10);
    expect(&packed, "\x08\x04", 2);
    cr_assert(!packed_dequeue(&packed, &message) && packed_is_empty(&packed));
}

Test(packed, a_message_keeps_to_its_bytes_but_for_a_single_entry)
{
    struct packed packed = {.more = 4, .max_bytes = 8, .max_entries = 100};
    uint8_t *at = NULL;

    packed_init(&packed);
    at = packed_add(&packed, 50);
    memset(at, 'x', 50);
    cr_assert(!packed_has_space(&packed, 0));
    add(&packed, 1);
    cr_assert(packed_has_space(&packed, 2) && !packed_has_space(&packed, 5));
    add(&packed, 2);
    add(&packed, 3);
    packed_clear(&packed);
    cr_assert(packed_is_empty(&packed));
    add(&packed, 9);
    expect(&packed, "\x08\x09", 2);
}

struct seen {
    uint64_t requests[8];
    size_t count;
    struct answer last;
};

static void on_answer(void *ctx, const struct answer *answer)
{
    struct seen *seen = ctx;

    seen->requests[seen->count++] = answer->request;
    seen->last = *answer;
}

static bool read_answers(const char *bytes, size_t size, struct seen *seen)
{
    *seen = (struct seen){.count = 0};
    return answers_read((struct bytes){(const uint8_t *)bytes, size}, on_answer, seen);
}

Test(answers, more_comes_after_the_message_itself)
{
    static const char message[] = "\x22\x02\x08\x02"                              /* more { request 2 } */
                                  "\x08\x01"                                      /* request 1 */
                                  "\x22\x09\x08\x03\x1a\x05\x08\x0e\x20\x01\x7a"; /* bad: checked below */
    static const char failed[] = "\x08\x05\x1a\x0a\x08\x0e\x12\x01m\x1a\x01r\x20\x01"
                                 "\x22\x08\x08\x06\x12\x04\x0a\x02ok";
    struct seen seen;

    cr_assert(read_answers(message, 6, &seen));
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.requests[0], 1);
    cr_assert_eq(seen.requests[1], 2);
    cr_assert(!read_answers(message, sizeof(message) - 1, &seen));
    cr_assert(read_answers(failed, 14, &seen));
    cr_assert(seen.last.failed && seen.last.error.code == 14 && seen.last.error.may_have_run);
    cr_assert_eq(seen.last.error.message.data[0], 'm');
    cr_assert_eq(seen.last.error.reason.data[0], 'r');
    cr_assert(!read_answers(failed, 13, &seen), "it is cut off");
    cr_assert(read_answers("", 0, &seen) && seen.count == 1 && seen.requests[0] == 0);
}
