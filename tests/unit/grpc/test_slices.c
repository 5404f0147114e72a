/* test_slices.c - slices from our bytes, and messages in one piece. */
#include "grpc/slices.h"

#include <criterion/criterion.h>
#include <grpc/grpc.h>
#include <stdlib.h>

TestSuite(slices, .init = grpc_init, .fini = grpc_shutdown_blocking);

static void expect(struct bytes bytes, const char *text)
{
    cr_assert_eq(bytes.size, strlen(text));
    cr_assert_eq(memcmp(bytes.data, text, bytes.size), 0);
}

static void free_piece(void *piece)
{
    free(piece);
}

/* A message of these pieces, as gRPC core would hand it over. */
static grpc_byte_buffer *message_of(const char *const *pieces, size_t count)
{
    grpc_slice slices[4];

    for (size_t i = 0; i < count; i++) {
        char *piece = strdup(pieces[i]);

        slices[i] = grpc_slice_new(piece, strlen(piece), free_piece);
    }
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
    return message;
}

Test(slices, a_slice_takes_the_memory_of_a_buffer)
{
    struct buf bytes = {0};

    buf_text(&bytes, "a text that is longer than a slice that holds its own bytes");
    const uint8_t *data = bytes.data;
    grpc_slice slice = slice_of_buf(&bytes);
    cr_assert_eq(GRPC_SLICE_START_PTR(slice), data, "not copied");
    cr_assert(!bytes.data && bytes.size == 0 && bytes.capacity == 0);
    grpc_slice_unref(slice);
}

Test(slices, an_empty_buffer_gives_an_empty_slice)
{
    struct buf bytes = {0};
    grpc_slice slice = slice_of_buf(&bytes);

    cr_assert_eq(GRPC_SLICE_LENGTH(slice), 0);
    grpc_slice_unref(slice);
    buf_text(&bytes, "memory without content");
    buf_clear(&bytes);
    slice = slice_of_buf(&bytes);
    cr_assert_eq(GRPC_SLICE_LENGTH(slice), 0);
    cr_assert(bytes.data, "the buffer keeps its memory");
    buf_fini(&bytes);
    grpc_slice_unref(slice);
    slice = slice_copy_of((struct bytes){NULL, 0});
    cr_assert_eq(GRPC_SLICE_LENGTH(slice), 0);
    grpc_slice_unref(slice);
}

Test(slices, a_copy_lives_on_its_own)
{
    char text[] = "copied";
    grpc_slice slice = slice_copy_of((struct bytes){(const uint8_t *)text, 6});

    memset(text, 'x', 6);
    expect(slice_bytes(&slice), "copied");
    grpc_slice_unref(slice);
}

Test(slices, a_message_in_one_piece_is_not_copied)
{
    static const char *const one[] = {"a message that is in one piece"};
    grpc_byte_buffer *message = message_of(one, 1);
    const uint8_t *data = GRPC_SLICE_START_PTR(message->data.raw.slice_buffer.slices[0]);
    struct buf gathered = {0};
    struct bytes bytes;
    grpc_slice copy;
    bool copied = true;

    cr_assert(message_gather(message, &gathered, &bytes));
    cr_assert_eq(bytes.data, data);
    expect(bytes, one[0]);
    cr_assert_eq(gathered.capacity, 0);
    bytes = message_whole(message, &copy, &copied);
    cr_assert_not(copied);
    cr_assert_eq(bytes.data, data);
    expect(bytes, one[0]);
    grpc_byte_buffer_destroy(message);
}

Test(slices, the_pieces_of_a_message_are_copied_in_order)
{
    static const char *const three[] = {"the first, ", "the second, ", "the third"};
    grpc_byte_buffer *message = message_of(three, 3);
    struct buf gathered = {0};
    struct bytes bytes;
    grpc_slice copy;
    bool copied = false;

    cr_assert(message_gather(message, &gathered, &bytes));
    struct bytes whole = message_whole(message, &copy, &copied);
    cr_assert(copied);
    grpc_byte_buffer_destroy(message);
    expect(bytes, "the first, the second, the third");
    expect(whole, "the first, the second, the third");
    buf_fini(&gathered);
    grpc_slice_unref(copy);
}

/* A short slice of gRPC core holds its bytes within itself. */
Test(slices, the_bytes_of_a_short_message_do_not_move_with_its_copy)
{
    static const char *const two[] = {"a", "b"};
    grpc_byte_buffer *message = message_of(two, 2);
    grpc_slice copy;
    bool copied = false;
    struct bytes bytes = message_whole(message, &copy, &copied);
    grpc_slice moved = copy;

    memset(&copy, 0, sizeof(copy));
    cr_assert(copied);
    expect(bytes, "ab");
    grpc_slice_unref(moved);
    grpc_byte_buffer_destroy(message);
}

Test(slices, a_message_without_pieces_is_empty)
{
    grpc_byte_buffer *message = message_of(NULL, 0);
    struct buf gathered = {0};
    struct bytes bytes = {NULL, 1};
    grpc_slice copy;
    bool copied = false;

    cr_assert(message_gather(message, &gathered, &bytes));
    cr_assert_eq(bytes.size, 0);
    cr_assert_eq(message_whole(message, &copy, &copied).size, 0);
    cr_assert(copied);
    grpc_slice_unref(copy);
    grpc_byte_buffer_destroy(message);
}
