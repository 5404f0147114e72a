/* test_batch.c - which entries of a batch are sent by reference, which are copied, and when their
 * memory is released.
 *
 * The tests change bytes while the message waits for its peer. Bytes that were sent by reference
 * arrive changed; bytes that were copied arrive as they were. */
#include <stdlib.h>
#include <string.h>

#include "event/framing.h"
#include "flow/chan_batch.h"
#include "lib/chunks.h"
#include "lib/events.h"
#include "sender_fixture.h"
#include "server/wire/batch.h"
#include "tributary/v1/event.pb-c.h"

/* Entries of this size and above are sent by reference, tag and length of each event included. */
#define REFERENCED_FROM 1024
#define MANY 100

static struct record record = {.reads_nothing = true};
static const struct method methods[] = {{"/test.Stream/Talk", &stream_port, &record}};
static struct wire_fixture fixture;
static struct client client;
static struct source *source;

/* The memory of a message as it would be received: in one piece, and large. `gone`: it was
 * released. */
struct memory {
    uint8_t *data;
    _Atomic bool gone;
};

static void release(void *ctx)
{
    struct memory *memory = ctx;

    CHECK(!memory->gone);
    free(memory->data);
    memory->gone = true;
}

static void put_sized(struct buf *message, size_t size)
{
    /* Tag, length (2 bytes for 128 to 16383), tag, length, data. */
    uint8_t data[4096];

    memset(data, 'd', sizeof(data));
    put_event(message, &(struct event_view){.data = {data, size - 6}}, NULL, 0);
}

/* Makes a chunk of MANY events of `size` bytes each, followed by as many other events as make its
 * message large. `memory` NULL: the chunk uses memory of its own. */
static struct chunk *chunk_with(struct memory *memory, size_t size)
{
    OWNED(buf_fini) struct buf message = {0};
    struct framing_scan scan = {0};
    struct fault fault;
    struct chunk *chunk;
    struct bytes bytes;
    uint64_t pinned;

    for (int i = 0; i < MANY; i++)
        put_sized(&message, size);
    cr_assert_eq(message.size, MANY * size);
    while (message.size < 2 * MAX_WIRE_READ)
        put_sized(&message, 4096);
    cr_assert_eq(
        framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing, &fault),
        FAULT_NONE);
    if (memory) {
        memory->data = malloc(message.size);
        memory->gone = false;
        memcpy(memory->data, message.data, message.size);
        grpc_slice slice = grpc_slice_new_with_user_data(memory->data, message.size, release, memory);
        struct message received = {.buffer = grpc_raw_byte_buffer_create(&slice, 1)};
        grpc_slice_unref(slice);
        struct chunk_memory *kept = message_keep(&received, &bytes, &pinned);
        message_fini(&received);
        cr_assert_eq(bytes.data, memory->data);
        cr_assert_eq(chunk_new(kept, bytes.data, &scan, pinned, &chunk), ERR_OK);
    } else {
        cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    }
    framing_fini(&scan);
    chunk->source = source_retain(source);
    chunk->first_sequence = 1;
    return chunk;
}

static void open_fixture(void)
{
    wire_fixture_open(&fixture, methods, ARRAY_LEN(methods));
    source = source_named("s", 1);
    client_open(&client, &fixture, "/test.Stream/Talk");
    wire_fixture_until(&fixture, record.opened == 1);
}

static void close_fixture(void)
{
    client_close(&client);
    wire_fixture_until(&fixture, record.closed == 1);
    source_release(source);
    wire_fixture_close(&fixture);
}

TestSuite(batch, .init = open_fixture, .fini = close_fixture);

struct sending {
    struct chan_batch batch;
    struct buf notes;
    bool sent;
};

static void act_send_batch(void *ctx)
{
    struct sending *sending = ctx;

    sending->sent = batch_send(record.call, &sending->notes, &sending->batch);
}

static void send(struct chan_batch_entry *entries, uint32_t count)
{
    struct sending sending = {.batch = {.entries = entries, .count = count, .capacity = count}};

    wire_fixture_run(&fixture, act_send_batch, &sending);
    cr_assert(sending.sent);
}

/* An entry that fills the window, so that whatever is sent after it waits. */
static void set_filler(struct chunk *filler, struct chan_batch_entry *entry_out)
{
    *entry_out = (struct chan_batch_entry){.chunk = filler, .first = MANY, .last = filler->count};
}

static Tributary__V1__EventBatch *read_batch(void)
{
    OWNED(buf_fini) struct buf bytes = {0};

    cr_assert(client_read(&client, &bytes));
    Tributary__V1__EventBatch *batch = tributary__v1__event_batch__unpack(NULL, bytes.size, bytes.data);
    cr_assert(batch);
    return batch;
}

/* Sends an entry that fills the window, and then events [0, count) of another chunk. Changes the
 * last byte of these, and returns whether the change arrived. */
static bool goes_by_reference(size_t size, uint32_t count)
{
    struct memory filling, memory;
    struct chunk *filler = chunk_with(&filling, 200), *chunk = chunk_with(&memory, size);
    struct chan_batch_entry entries[2] = {{0}, {.chunk = chunk, .first = 0, .last = count}};
    bool changed;

    filler->first_sequence = 100000; /* so that it is a run of its own */
    set_filler(filler, &entries[0]);
    send(entries, 2);
    cr_assert_eq(record.sent, 0, "the message waits for its peer");
    cr_assert_not(filling.gone);
    memory.data[size * count - 1] = 'X'; /* the last byte of the last event's data */
    Tributary__V1__EventBatch *batch = read_batch();
    wire_fixture_until(&fixture, record.sent == 1);
    cr_assert_eq(batch->n_runs, 2);
    cr_assert_eq(batch->runs[1]->n_events, count);
    const ProtobufCBinaryData *data = &batch->runs[1]->events[count - 1]->data;
    cr_assert_eq(data->len, size - 6);
    cr_assert(data->data[data->len - 1] == 'X' || data->data[data->len - 1] == 'd');
    changed = data->data[data->len - 1] == 'X';
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    chunk_release(filler);
    chunk_release(chunk);
    wire_fixture_until(&fixture, filling.gone && memory.gone);
    return changed;
}

Test(batch, an_entry_below_a_kibibyte_is_copied)
{
    cr_assert_not(goes_by_reference(REFERENCED_FROM - 1, 1));
}

Test(batch, an_entry_of_a_kibibyte_is_sent_by_reference)
{
    cr_assert(goes_by_reference(REFERENCED_FROM, 1));
}

Test(batch, small_events_that_are_a_kibibyte_together_are_sent_by_reference)
{
    cr_assert(goes_by_reference(256, 4));
}

Test(batch, small_events_below_a_kibibyte_together_are_copied)
{
    cr_assert_not(goes_by_reference(256, 3));
}

Test(batch, memory_sent_by_reference_is_kept_until_it_was_sent)
{
    struct memory memory;
    struct chunk *chunk = chunk_with(&memory, 200);
    struct chan_batch_entry entry;

    set_filler(chunk, &entry);
    send(&entry, 1);
    chunk_release(chunk);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    wire_fixture_wait(&fixture, 20 * NS_PER_MS);
    cr_assert_not(memory.gone, "the transport holds the memory");
    tributary__v1__event_batch__free_unpacked(read_batch(), NULL);
    wire_fixture_until(&fixture, memory.gone);
}

Test(batch, memory_sent_by_reference_is_released_when_the_call_is_lost)
{
    struct memory memory;
    struct chunk *chunk = chunk_with(&memory, 200);
    struct chan_batch_entry entry;

    set_filler(chunk, &entry);
    send(&entry, 1);
    chunk_release(chunk);
    client_cancel(&client);
    wire_fixture_until(&fixture, memory.gone);
    wire_fixture_until(&fixture, record.unsent == 1);
}

Test(batch, memory_that_was_copied_is_released_with_its_chunk)
{
    struct memory memory;
    struct chunk *chunk = chunk_with(&memory, 200), *filler = chunk_with(NULL, 200);
    struct chan_batch_entry entries[2] = {{0}, {.chunk = chunk, .first = 2, .last = 5}};

    set_filler(filler, &entries[0]);
    send(entries, 2);
    chunk_release(chunk);
    cr_assert(memory.gone);
    chunk_release(filler);
    tributary__v1__event_batch__free_unpacked(read_batch(), NULL);
}

Test(batch, memory_that_belongs_to_the_chunk_is_copied)
{
    struct chunk *chunk = chunk_with(NULL, 200);
    struct chan_batch_entry entry;

    set_filler(chunk, &entry);
    send(&entry, 1);
    chunk_release(chunk);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    Tributary__V1__EventBatch *batch = read_batch();
    cr_assert_gt(batch->runs[0]->n_events, 50);
    cr_assert_eq(batch->runs[0]->events[50]->data.data[0], 'd');
    tributary__v1__event_batch__free_unpacked(batch, NULL);
}

Test(batch, copies_and_references_alternate_within_a_run)
{
    struct memory memory;
    struct chunk *chunk = chunk_with(&memory, 200);
    struct chan_batch_entry entries[] = {{.chunk = chunk, .first = 0, .last = 1},
                                         {.chunk = chunk, .first = 1, .last = 90},
                                         {.chunk = chunk, .first = 90, .last = 91},
                                         {.chunk = chunk, .first = 91, .last = 92},
                                         {.chunk = chunk, .first = 92, .last = chunk->count - 1},
                                         {.chunk = chunk, .first = chunk->count - 1, .last = chunk->count}};

    send(entries, ARRAY_LEN(entries));
    Tributary__V1__EventBatch *batch = read_batch();
    cr_assert_eq(batch->n_runs, 1, "the entries follow each other");
    cr_assert_eq(batch->runs[0]->n_events, chunk->count);
    cr_assert_eq(batch->runs[0]->first_sequence, 1);
    for (uint32_t i = 0; i < chunk->count; i++) {
        const ProtobufCBinaryData *data = &batch->runs[0]->events[i]->data;
        cr_assert_eq(data->len, (i < MANY ? 200u : 4096u) - 6);
        for (size_t at = 0; at < data->len; at++)
            cr_assert_eq(data->data[at], 'd');
    }
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    chunk_release(chunk);
    wire_fixture_until(&fixture, memory.gone);
}

/* Picks every third event of the chunk. */
static struct chunk *thirds_of(const struct chunk *chunk)
{
    struct chunk *picked = chunk_picked((chunk->count + 2) / 3, chunk_bytes(chunk, 0, chunk->count));

    cr_assert(picked);
    for (uint32_t i = 0; i < chunk->count; i += 3)
        chunk_pick(picked, chunk, i, i + 1);
    return picked;
}

Test(batch, a_run_with_gaps_lists_its_sequences)
{
    struct chunk *chunk = chunk_with(NULL, 200);
    struct chunk *picked = thirds_of(chunk);
    struct chan_batch_entry entries[] = {{.chunk = picked, .first = 1, .last = 5},
                                         {.chunk = picked, .first = 5, .last = 6},
                                         {.chunk = chunk, .first = 16, .last = 18},
                                         {.chunk = chunk, .first = 18, .last = 19}};
    const uint32_t counts[] = {4, 1, 3};
    uint64_t sequence = 4;

    send(entries, ARRAY_LEN(entries));
    Tributary__V1__EventBatch *batch = read_batch();
    cr_assert_eq(batch->n_runs, ARRAY_LEN(counts), "entries that list their sequences are runs of their own");
    for (size_t i = 0; i < batch->n_runs; i++) {
        const Tributary__V1__Run *run = batch->runs[i];
        cr_assert_eq(run->n_events, counts[i]);
        cr_assert_eq(run->first_sequence, sequence);
        cr_assert_eq(run->n_sequences, i < 2 ? counts[i] : 0);
        for (size_t at = 0; at < run->n_sequences; at++, sequence += 3)
            cr_assert_eq(run->sequences[at], sequence);
        sequence = i == 1 ? 17 : sequence;
    }
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    chunk_release(chunk);
    chunk_release(picked);
}

/* Events [first, last) of a chunk of 100 events, published to a stored topic. NULL: not said. */
static struct chunk *part_of(const struct chunk *chunk, uint32_t first, uint32_t last, const char *origin)
{
    struct chunk *part = NULL;

    cr_assert_eq(chunk_copy(chunk, first, last, &part), ERR_OK);
    if (origin)
        part->origin = source_named(origin, 0);
    return part;
}

Test(batch, a_new_origin_begins_a_new_run)
{
    static const char *const origins[] = {"web-1", "web-1", "web-2", NULL, "web-2"};
    static const char *const runs[] = {"web-1", "web-2", "", "web-2"};
    static const uint32_t counts[] = {6, 3, 3, 3};
    struct chunk *chunk = chunk_with(NULL, 200);
    struct chunk *parts[ARRAY_LEN(origins)];
    struct chan_batch_entry entries[ARRAY_LEN(origins)];
    uint64_t sequence = 1;

    for (uint32_t i = 0; i < ARRAY_LEN(origins); i++) {
        parts[i] = part_of(chunk, 3 * i, 3 * i + 3, origins[i]);
        entries[i] = (struct chan_batch_entry){.chunk = parts[i], .first = 0, .last = 3};
    }
    send(entries, ARRAY_LEN(entries));
    Tributary__V1__EventBatch *batch = read_batch();
    cr_assert_eq(batch->n_runs, ARRAY_LEN(runs));
    for (size_t i = 0; i < batch->n_runs; i++) {
        cr_assert_str_eq(batch->runs[i]->source, "s");
        cr_assert_str_eq(batch->runs[i]->origin, runs[i]);
        cr_assert_eq(batch->runs[i]->n_events, counts[i]);
        cr_assert_eq(batch->runs[i]->first_sequence, sequence);
        sequence += counts[i];
    }
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    for (uint32_t i = 0; i < ARRAY_LEN(origins); i++)
        chunk_release(parts[i]);
    chunk_release(chunk);
}

Test(batch, picked_events_keep_their_origin)
{
    struct chunk *chunk = chunk_with(NULL, 200), *picked;
    struct chan_batch_entry entry;

    chunk->origin = source_named("web-1", 0);
    picked = thirds_of(chunk);
    entry = (struct chan_batch_entry){.chunk = picked, .first = 0, .last = 4};
    send(&entry, 1);
    Tributary__V1__EventBatch *batch = read_batch();
    cr_assert_eq(batch->n_runs, 1);
    cr_assert_str_eq(batch->runs[0]->origin, "web-1");
    cr_assert_eq(batch->runs[0]->n_sequences, 4);
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    chunk_release(chunk);
    chunk_release(picked);
}

Test(batch, an_empty_batch_is_an_empty_message)
{
    OWNED(buf_fini) struct buf bytes = {0};

    send(NULL, 0);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(bytes.size, 0);
}

Test(batch, notes_come_first_and_the_buffer_is_empty_afterwards)
{
    struct chunk *chunk = chunk_with(NULL, 200);
    struct chan_batch_entry entry = {.chunk = chunk, .first = 3, .last = 4};
    struct sending sending = {.batch = {.entries = &entry, .count = 1, .capacity = 1}};
    OWNED(buf_fini) struct buf bytes = {0};

    buf_text(&sending.notes, "notes");
    wire_fixture_run(&fixture, act_send_batch, &sending);
    cr_assert(sending.sent);
    cr_assert_eq(sending.notes.size, 0);
    cr_assert(client_read(&client, &bytes));
    cr_assert_eq(memcmp(bytes.data, "notes\x0a", 6), 0);
    cr_assert_gt(bytes.size, 205);
    chunk_release(chunk);
    buf_fini(&sending.notes);
}

Test(batch, broken_notes_are_not_sent)
{
    struct sending sending = {.notes = {.broken = true}};

    wire_fixture_run(&fixture, act_send_batch, &sending);
    cr_assert_not(sending.sent);
    cr_assert_eq(count_get(COUNT_MESSAGES_OUT), 0);
}

Test(batch, is_not_sent_on_a_lost_call)
{
    struct memory memory;
    struct chunk *chunk = chunk_with(&memory, 2000);
    struct chan_batch_entry entry = {.chunk = chunk, .first = 0, .last = chunk->count};
    struct sending sending = {.batch = {.entries = &entry, .count = 1, .capacity = 1}};

    wire_fixture_run(&fixture, act_hold, &record);
    client_cancel(&client);
    wire_fixture_until(&fixture, record.lost == 1);
    buf_text(&sending.notes, "notes");
    wire_fixture_run(&fixture, act_send_batch, &sending);
    cr_assert_not(sending.sent);
    chunk_release(chunk);
    cr_assert(memory.gone);
    buf_fini(&sending.notes);
    wire_fixture_run(&fixture, act_drop, &record);
}
