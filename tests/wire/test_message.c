/* test_message.c - a received message as the memory of a chunk: what is kept by reference, what is
 * copied, and how much memory it pins. */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "event/framing.h"
#include "grpc/slice_memory.h"
#include "lib/events.h"
#include "server/wire/wire.h"
#include "wire_fixture.h"

/* A message in one piece of this size and above is kept by reference. */
#define KEPT_FROM (64 * 1024)

/* Memory of one slice. `gone`: it was released. */
struct piece {
    uint8_t *data;
    bool gone;
};

static void release(void *ctx)
{
    struct piece *piece = ctx;

    CHECK(!piece->gone);
    piece->gone = true;
    memset(piece->data, 0xdd, 8);
    free(piece->data);
}

static grpc_slice slice_of(struct piece *piece, size_t size, uint8_t fill)
{
    piece->data = malloc(size + 8);
    piece->gone = false;
    memset(piece->data, fill, size + 8);
    return grpc_slice_new_with_user_data(piece->data, size, release, piece);
}

/* Makes a message of the slices and releases them. */
static struct message message_of(grpc_slice *slices, size_t count)
{
    struct message message = {.buffer = grpc_raw_byte_buffer_create(slices, count)};

    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
    return message;
}

/* What call.c does after the callback. */
static void end(struct message *message)
{
    message_fini(message);
}

static void init(void)
{
    wire_init();
}

TestSuite(message, .init = init);

Test(message, in_one_piece_is_read_without_a_copy)
{
    struct piece piece;
    grpc_slice slice = slice_of(&piece, 100, 'a');
    struct message message = message_of(&slice, 1);
    struct bytes bytes = message_bytes(&message);

    cr_assert_eq(bytes.data, piece.data);
    cr_assert_eq(bytes.size, 100);
    cr_assert_eq(message_bytes(&message).data, bytes.data);
    cr_assert_not(piece.gone);
    end(&message);
    cr_assert(piece.gone);
}

Test(message, that_was_not_read_is_released)
{
    struct piece piece;
    grpc_slice slice = slice_of(&piece, 100, 'a');
    struct message message = message_of(&slice, 1);

    end(&message);
    cr_assert(piece.gone);
}

Test(message, in_pieces_is_read_in_one_piece)
{
    struct piece pieces[3];
    grpc_slice slices[] = {slice_of(&pieces[0], 1, 'a'), slice_of(&pieces[1], 1000, 'b'),
                           slice_of(&pieces[2], 2, 'c')};
    struct message message = message_of(slices, 3);
    struct bytes bytes = message_bytes(&message);

    cr_assert_eq(bytes.size, 1003);
    cr_assert_eq(bytes.data[0], 'a');
    for (size_t i = 1; i <= 1000; i++)
        cr_assert_eq(bytes.data[i], 'b');
    cr_assert_eq(memcmp(bytes.data + 1001, "cc", 2), 0);
    end(&message);
    for (size_t i = 0; i < 3; i++)
        cr_assert(pieces[i].gone);
}

Test(message, its_bytes_stay_where_they_are_when_it_is_moved)
{
    static const size_t sizes[] = {3, 1000}; /* within the slice itself, and outside of it */

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t count = 1; count <= 2; count++) {
            uint8_t text[2000];
            grpc_slice slices[2];

            memset(text, 'm', sizeof(text));
            for (size_t j = 0; j < count; j++)
                slices[j] = grpc_slice_from_copied_buffer((const char *)text, sizes[i]);
            struct message message = message_of(slices, count);
            struct bytes bytes = message_bytes(&message);
            struct message moved = message_move(&message);
            memset(&message, 0xdd, sizeof(message));
            cr_assert_eq(bytes.size, count * sizes[i]);
            cr_assert_eq(memcmp(bytes.data, text, bytes.size), 0);
            cr_assert_eq(moved.bytes.data, bytes.data);
            cr_assert_eq(message_bytes(&moved).data, bytes.data);
            end(&moved);
        }
}

Test(message, may_be_empty)
{
    struct message message = message_of(NULL, 0);
    uint64_t pinned = 1;
    struct bytes bytes;

    cr_assert_eq(message_bytes(&message).size, 0);
    struct chunk_memory *memory = message_keep(&message, &bytes, &pinned);
    cr_assert(memory);
    cr_assert_eq(bytes.size, 0);
    cr_assert_eq(pinned, 0);
    end(&message);
    memory->release(memory);
}

Test(message, large_and_in_one_piece_is_kept_by_reference)
{
    struct piece piece;
    grpc_slice slice = slice_of(&piece, KEPT_FROM, 'a'), held;
    struct message message = message_of(&slice, 1);
    uint64_t pinned;
    struct bytes bytes;
    struct chunk_memory *memory = message_keep(&message, &bytes, &pinned);

    cr_assert(memory);
    cr_assert_eq(bytes.data, piece.data);
    cr_assert_eq(bytes.size, KEPT_FROM);
    cr_assert_eq(pinned, MAX_WIRE_READ, "it may keep a whole read buffer alive");
    end(&message);
    cr_assert_not(piece.gone);
    cr_assert(slice_memory_slice(memory, &held));
    cr_assert_eq(GRPC_SLICE_START_PTR(held), bytes.data);
    memory->release(memory);
    cr_assert(piece.gone);
}

Test(message, larger_than_any_read_buffer_pins_itself)
{
    struct piece piece;
    grpc_slice slice = slice_of(&piece, MAX_WIRE_READ + 1, 'a');
    struct message message = message_of(&slice, 1);
    uint64_t pinned;
    struct bytes bytes;
    struct chunk_memory *memory = message_keep(&message, &bytes, &pinned);

    cr_assert_eq(bytes.data, piece.data);
    cr_assert_eq(pinned, MAX_WIRE_READ + 1);
    end(&message);
    memory->release(memory);
    cr_assert(piece.gone);
}

Test(message, a_small_one_is_copied_so_that_it_pins_no_more_than_itself)
{
    static const size_t sizes[] = {1, 23, 24, 1000, KEPT_FROM - 1};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct piece piece;
        grpc_slice slice = slice_of(&piece, sizes[i], 'x');
        struct message message = message_of(&slice, 1);
        uint64_t pinned;
        struct bytes bytes;

        cr_assert_eq(message_bytes(&message).data, piece.data);
        struct chunk_memory *memory = message_keep(&message, &bytes, &pinned);
        cr_assert_neq(bytes.data, piece.data);
        cr_assert_eq(bytes.size, sizes[i]);
        cr_assert_eq(pinned, sizes[i]);
        end(&message);
        cr_assert(piece.gone, "%zu bytes", sizes[i]);
        cr_assert_eq(bytes.data[0], 'x');
        cr_assert_eq(bytes.data[sizes[i] - 1], 'x');
        memory->release(memory);
    }
}

Test(message, in_pieces_is_copied_once)
{
    static const size_t sizes[] = {1, 20, 500, KEPT_FROM, MAX_WIRE_READ};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct piece pieces[2];
        grpc_slice slices[] = {slice_of(&pieces[0], sizes[i], 'y'), slice_of(&pieces[1], 1, 'z')};
        struct message message = message_of(slices, 2);
        struct bytes read = message_bytes(&message), kept;
        uint64_t pinned;
        struct chunk_memory *memory = message_keep(&message, &kept, &pinned);

        cr_assert_eq(pinned, sizes[i] + 1);
        cr_assert_eq(kept.data, read.data, "it is not copied twice");
        end(&message);
        cr_assert(pieces[0].gone && pieces[1].gone);
        cr_assert_eq(kept.size, sizes[i] + 1);
        cr_assert_eq(kept.data[sizes[i] - 1], 'y');
        cr_assert_eq(kept.data[sizes[i]], 'z');
        memory->release(memory);
    }
}

static void release_nothing(struct chunk_memory *memory)
{
    (void)memory;
}

Test(message, foreign_memory_has_no_slice)
{
    struct chunk_memory foreign = {.release = release_nothing};
    grpc_slice slice = grpc_empty_slice();

    cr_assert_not(slice_memory_slice(&foreign, &slice));
    cr_assert_eq(GRPC_SLICE_LENGTH(slice), 0);
}

Test(message, memory_that_was_filled_is_a_slice_and_lives_as_long_as_its_references)
{
    const uint8_t *data = NULL;
    struct chunk_memory *memory = slice_memory_begin(KEPT_FROM, &data);
    grpc_slice slice;

    cr_assert(memory);
    memset((uint8_t *)(uintptr_t)data, 'f', KEPT_FROM);
    cr_assert_not(slice_memory_slice(memory, &slice), "it may still move");
    memory = slice_memory_end(memory, 1000, KEPT_FROM, &data);
    cr_assert(slice_memory_slice(memory, &slice));
    cr_assert_eq(GRPC_SLICE_LENGTH(slice), 1000);
    cr_assert_eq(GRPC_SLICE_START_PTR(slice), data);
    grpc_slice sent = grpc_slice_sub(slice, 900, 1000);
    memory->release(memory);
    cr_assert_eq(GRPC_SLICE_START_PTR(sent)[99], 'f');
    grpc_slice_unref(sent);
}

Test(message, memory_that_is_half_full_stays_where_it_is)
{
    const uint8_t *data = NULL, *before;
    struct chunk_memory *memory = slice_memory_begin(KEPT_FROM, &data);
    grpc_slice slice;

    cr_assert(memory);
    before = data;
    memset((uint8_t *)(uintptr_t)data, 'f', KEPT_FROM);
    memory = slice_memory_end(memory, KEPT_FROM / 2, KEPT_FROM, &data);
    cr_assert_eq(data, before);
    cr_assert(slice_memory_slice(memory, &slice));
    cr_assert_eq(GRPC_SLICE_LENGTH(slice), KEPT_FROM / 2);
    memory->release(memory);
}

Test(message, memory_may_be_released_before_it_is_filled)
{
    const uint8_t *data = NULL;
    struct chunk_memory *memory = slice_memory_begin(KEPT_FROM, &data);

    cr_assert(memory);
    memory->release(memory);
}

static struct chunk *kept;

static void keep_as_chunk(struct call *call, struct message *message, struct record *record)
{
    struct framing_scan *scan = wire_scan(call_thread(call));
    struct fault fault;
    struct bytes bytes;
    uint64_t pinned;

    (void)record;
    CHECK(framing_scan(scan, message_bytes(message), &settings_defaults.framing, &fault) == FAULT_NONE);
    struct chunk_memory *memory = message_keep(message, &bytes, &pinned);
    CHECK(memory);
    CHECK(chunk_new(memory, bytes.data + scan->offsets[0], scan, pinned, &kept) == ERR_OK);
    CHECK(kept->pinned >= pinned && kept->pinned < pinned + 4096);
}

/* A message of a connection, in however many pieces. Its chunk outlives the callback, the call and
 * the connection, and is charged to the memory budget until it is released. */
Test(message, from_a_peer_is_charged_until_its_chunk_is_released)
{
    static const size_t sizes[] = {10, 5000, 70000, 300000, 900000};
    static struct record record;
    const struct method methods[] = {{"/test.Unary/Ask", &unary_port, &record}};
    struct wire_fixture fixture;
    uint8_t *data = malloc(900000);

    memset(data, 'd', 900000);
    record.reads_once = true;
    record.on_message = keep_as_chunk;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        OWNED(buf_fini) struct buf message = {0};
        struct client client;
        struct event_view view;

        wire_fixture_open(&fixture, methods, 1);
        put_event(&message, &(struct event_view){.topic = text_of("kept"), .data = {data, sizes[i]}}, NULL,
                  0);
        client_open(&client, &fixture, "/test.Unary/Ask");
        cr_assert(client_send(&client, message.data, message.size));
        wire_fixture_until(&fixture, record.messages == (int)i + 1);
        cr_assert_geq(budget_used(), sizes[i]);
        cr_assert_eq(budget_used(), kept->pinned);
        cr_assert_leq(kept->pinned, MAX_OF(sizes[i] + 4096, (size_t)MAX_WIRE_READ + 4096));
        client_close(&client);
        wire_fixture_until(&fixture, record.closed == (int)i + 1);
        grpc_channel_destroy(fixture.channel);
        fixture.channel = NULL;
        event_view(chunk_range(kept, 0, 1), &view);
        cr_assert_eq(view.data.size, sizes[i]);
        cr_assert_eq(memcmp(view.data.data, data, sizes[i]), 0);
        chunk_release(kept);
        cr_assert_eq(budget_used(), 0);
        wire_fixture_close(&fixture);
    }
    free(data);
}
