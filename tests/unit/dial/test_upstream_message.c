/* test_upstream_message.c - what an upstream sends, as chunks: any bytes in one piece or in many,
 * and EventBatches, good and bad. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>

#include "base/counters.h"
#include "event/event_view.h"
#include "event/field_write.h"
#include "grpc/coalesce.h"
#include "lib/events.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "server/dial/upstream_losses.h"
#include "server/dial/upstream_message.h"
#include "server/dial/upstream_plan.h"

static struct upstream_thread thread;
static struct upstream_plan plan;
static struct upstream_losses losses; /* of the latest message */

static void open_plan(void)
{
    grpc_init();
    plan = (struct upstream_plan){.thread = &thread, .content_type = text_of("type")};
    cr_assert_eq(loop_new(&plan.loop).code, ERR_OK);
}

static void close_plan(void)
{
    framing_fini(&thread.scan);
    buf_fini(&thread.scratch);
    loop_free(plan.loop);
    grpc_shutdown();
}

TestSuite(upstream_message, .init = open_plan, .fini = close_plan);

/* A message in pieces of this size. */
static grpc_byte_buffer *message_of(struct bytes bytes, size_t piece)
{
    grpc_slice slices[64];
    size_t count = 0;

    for (size_t at = 0; at < bytes.size; at += piece)
        slices[count++] =
            grpc_slice_from_copied_buffer((const char *)bytes.data + at, MIN_OF(piece, bytes.size - at));
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
    return message;
}

static enum fault_reason coalesce_message(struct bytes bytes, size_t piece, struct chunk **coalesced,
                                          struct chunk **chunk_out, struct fault *fault)
{
    grpc_byte_buffer *message = message_of(bytes, piece);
    enum fault_reason reason = upstream_message(&plan, message, coalesced, chunk_out, &losses, fault);

    grpc_byte_buffer_destroy(message);
    return reason;
}

static enum fault_reason read_message(struct bytes bytes, size_t piece, struct chunk **chunk_out,
                                      struct fault *fault)
{
    return coalesce_message(bytes, piece, NULL, chunk_out, fault);
}

static struct event_view only_event(const struct chunk *chunk)
{
    struct event_view view;

    cr_assert_eq(chunk->count, 1);
    event_view(chunk_range(chunk, 0, 1), &view);
    return view;
}

Test(upstream_message, any_bytes_are_the_data_of_one_event)
{
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 60000};
    static uint8_t data[60000];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t piece = 1000; piece <= 100000; piece *= 100) {
            const struct bytes bytes = {data, sizes[i]};
            struct chunk *chunk;
            struct fault fault;

            cr_assert_eq(read_message(bytes, piece, &chunk, &fault), FAULT_NONE, "%zu", sizes[i]);
            struct event_view view = only_event(chunk);
            cr_assert(bytes_same(view.data, bytes), "%zu", sizes[i]);
            cr_assert(bytes_same(view.content_type, text_of("type")));
            chunk_release(chunk);
        }
    }
}

Test(upstream_message, an_event_over_the_limit_is_refused_by_its_bound)
{
    const uint32_t limit = loop_settings(plan.loop)->framing.max_event_bytes;
    uint8_t *data = calloc(1, limit);
    struct chunk *chunk;
    struct fault fault;

    cr_assert_eq(read_message((struct bytes){data, limit}, limit, &chunk, &fault), FAULT_EVENT_TOO_LARGE);
    cr_assert_null(chunk);
    cr_assert(strstr(fault.bound, "at most"), "%s", fault.bound);
    free(data);
}

static void put_run(struct buf *batch, unsigned first, unsigned count)
{
    struct buf run = {0};

    for (unsigned i = first; i < first + count; i++) {
        char number[16];

        snprintf(number, sizeof(number), "%u", i);
        put_event(&run, &(struct event_view){.data = text_of(number)}, NULL, 0);
    }
    put_field(&run, 2, text_of("inner"));
    put_field(batch, 1, (struct bytes){run.data, run.size});
    buf_fini(&run);
}

Test(upstream_message, the_events_of_all_runs_are_one_chunk)
{
    struct buf batch = {0};
    struct chunk *chunk;
    struct fault fault;

    plan.event_batch = true;
    put_run(&batch, 0, 3);
    put_field(&batch, 4, text_of("")); /* a Progress */
    put_run(&batch, 3, 0);
    put_run(&batch, 3, 2);
    cr_assert_eq(read_message((struct bytes){batch.data, batch.size}, 10, &chunk, &fault), FAULT_NONE);
    cr_assert_eq(chunk->count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        struct event_view view;

        event_view(chunk_range(chunk, i, i + 1), &view);
        cr_assert_eq(view.data.data[0], '0' + i);
    }
    chunk_release(chunk);
    buf_fini(&batch);
}

static void put_loss(struct buf *batch, uint64_t count, uint64_t bytes, uint32_t reason)
{
    struct buf lost = {0};

    field_varint(&lost, PB_LOST_COUNT, count);
    field_varint(&lost, PB_LOST_BYTES, bytes);
    field_varint(&lost, PB_LOST_REASON, reason);
    put_field(batch, PB_EVENT_BATCH_LOST, (struct bytes){lost.data, lost.size});
    buf_fini(&lost);
}

static const struct source_loss *loss_of(enum loss reason)
{
    cr_assert(losses.any);
    return &losses.by_reason[reason];
}

Test(upstream_message, losses_are_added_up_by_their_reasons)
{
    struct buf batch = {0};
    struct chunk *chunk;
    struct fault fault;

    plan.event_batch = true;
    put_run(&batch, 0, 1);
    cr_assert_eq(read_message((struct bytes){batch.data, batch.size}, 10, &chunk, &fault), FAULT_NONE);
    cr_assert_not(losses.any);
    chunk_release(chunk);
    put_loss(&batch, 2, 20, LOSS_BUDGET);
    put_loss(&batch, 3, 30, LOSS_BUDGET);
    put_loss(&batch, 1, UINT64_MAX, LOSS_EXPIRED);
    put_loss(&batch, UINT64_MAX, 7, LOSS_COALESCED);
    put_loss(&batch, 4, 0, 99);
    cr_assert_eq(read_message((struct bytes){batch.data, batch.size}, 10, &chunk, &fault), FAULT_NONE);
    cr_assert_eq(chunk->count, 1);
    cr_assert_eq(loss_of(LOSS_BUDGET)->count, 5);
    cr_assert_eq(loss_of(LOSS_BUDGET)->bytes, 50);
    cr_assert_eq(loss_of(LOSS_EXPIRED)->count, 1);
    cr_assert_lt(loss_of(LOSS_EXPIRED)->bytes, UINT64_C(1) << 60);
    cr_assert_eq(loss_of(LOSS_COALESCED)->count, 0);
    cr_assert(loss_of(LOSS_COALESCED)->count_unknown);
    cr_assert_eq(loss_of(LOSS_REPORTED_BY_PRODUCER)->count, 4);
    cr_assert_eq(loss_of(LOSS_RESUME_GAP)->reason, 0, "nothing of this reason");
    chunk_release(chunk);
    buf_fini(&batch);
}

Test(upstream_message, a_malformed_loss_is_refused)
{
    struct buf batch = {0};
    struct chunk *chunk;
    struct fault fault;

    plan.event_batch = true;
    put_run(&batch, 0, 1);
    put_field(&batch, PB_EVENT_BATCH_LOST, text_of("\xff"));
    cr_assert_eq(read_message((struct bytes){batch.data, batch.size}, 10, &chunk, &fault), FAULT_MALFORMED);
    cr_assert_str_eq(fault.field, "message.lost");
    cr_assert_null(chunk);
    buf_fini(&batch);
}

/* In one piece or in many, with fields of the run around its events, and between them. */
Test(upstream_message, a_single_run_is_a_chunk_of_its_own)
{
    plan.event_batch = true;
    for (int kind = 0; kind < 4; kind++) {
        struct buf run = {0}, batch = {0};

        if (kind & 1)
            put_field(&run, 2, text_of("before"));
        for (unsigned i = 0; i < 5; i++) {
            const char number[] = {(char)('0' + i), '\0'};

            put_event(&run, &(struct event_view){.data = text_of(number)}, NULL, 0);
            if (kind & 2 && i == 2)
                put_field(&run, 2, text_of("between"));
        }
        put_field(&batch, 1, (struct bytes){run.data, run.size});
        for (size_t piece = 3; piece <= 3000; piece *= 10) {
            struct chunk *chunk;
            struct fault fault;

            cr_assert_eq(read_message((struct bytes){batch.data, batch.size}, piece, &chunk, &fault),
                         FAULT_NONE);
            cr_assert_eq(chunk->count, 5);
            for (uint32_t i = 0; i < 5; i++) {
                struct event_view view;

                event_view(chunk_range(chunk, i, i + 1), &view);
                cr_assert_eq(view.data.data[0], '0' + i);
            }
            chunk_release(chunk);
        }
        buf_fini(&run);
        buf_fini(&batch);
    }
    cr_assert_eq(count_get(COUNT_LIVE_CHUNK_BYTES), 0);
}

/* Cut off after each byte, a batch of one run is refused, or is one without its end. */
Test(upstream_message, a_single_run_that_is_cut_off_is_refused)
{
    struct buf batch = {0};

    plan.event_batch = true;
    put_run(&batch, 0, 4);
    for (size_t size = 1; size < batch.size; size++) {
        struct chunk *chunk;
        struct fault fault;

        cr_assert_neq(read_message((struct bytes){batch.data, size}, 10, &chunk, &fault), FAULT_NONE, "%zu",
                      size);
        cr_assert_null(chunk);
    }
    buf_fini(&batch);
}

/* Any bytes and batches of one run, in one piece or in many. */
Test(upstream_message, small_messages_are_coalesced_in_order)
{
    for (int kind = 0; kind < 4; kind++) {
        struct chunk *coalesced = NULL, *chunk;
        struct fault fault;

        plan.event_batch = kind & 1;
        for (unsigned i = 0; i < 9; i++) {
            const uint8_t digit = (uint8_t)('0' + i);
            OWNED(buf_fini) struct buf message = {0};

            if (plan.event_batch)
                put_run(&message, i, 1);
            else
                buf_byte(&message, digit);
            cr_assert_eq(coalesce_message((struct bytes){message.data, message.size}, kind & 2 ? 3 : 1000,
                                          &coalesced, &chunk, &fault),
                         FAULT_NONE);
            cr_assert_null(chunk);
        }
        chunk = coalesce_end(&coalesced);
        cr_assert_null(coalesced);
        cr_assert_eq(chunk->count, 9);
        for (uint32_t i = 0; i < 9; i++) {
            struct event_view view;

            event_view(chunk_range(chunk, i, i + 1), &view);
            cr_assert_eq(view.data.data[0], '0' + i);
        }
        chunk_release(chunk);
    }
    cr_assert_eq(count_get(COUNT_LIVE_CHUNK_BYTES), 0);
}

/* What was coalesced stays as it is. */
Test(upstream_message, a_message_that_is_large_or_wrong_is_not_coalesced)
{
    static const uint8_t large[COALESCE_BELOW_BYTES];
    const struct bytes small = text_of("small");
    struct chunk *coalesced = NULL, *chunk;
    struct fault fault;

    cr_assert_eq(coalesce_message(small, 1000, &coalesced, &chunk, &fault), FAULT_NONE);
    cr_assert_eq(
        coalesce_message((struct bytes){large, sizeof(large)}, sizeof(large), &coalesced, &chunk, &fault),
        FAULT_NONE);
    struct event_view view = only_event(chunk);
    cr_assert_eq(view.data.size, sizeof(large));
    chunk_release(chunk);
    plan.event_batch = true;
    cr_assert_neq(coalesce_message(small, 1000, &coalesced, &chunk, &fault), FAULT_NONE);
    cr_assert_null(chunk);
    chunk = coalesce_end(&coalesced);
    view = only_event(chunk);
    cr_assert(bytes_same(view.data, small));
    chunk_release(chunk);
}

/* A chunk has an end. What does not fit becomes a chunk of its own, and is offered behind it. */
Test(upstream_message, a_message_that_does_not_fit_is_a_chunk_of_its_own)
{
    struct chunk *coalesced = NULL, *chunk = NULL;
    struct fault fault;
    uint32_t count = 0;

    while (!chunk) {
        cr_assert_eq(coalesce_message(text_of("small"), 1000, &coalesced, &chunk, &fault), FAULT_NONE);
        count++;
        cr_assert_lt(count, 100000);
    }
    cr_assert_eq(chunk->count, 1);
    chunk_release(chunk);
    chunk = coalesce_end(&coalesced);
    cr_assert_eq(chunk->count, count - 1);
    chunk_release(chunk);
}

Test(upstream_message, a_batch_without_events_is_no_chunk)
{
    struct chunk *chunk;
    struct fault fault;

    plan.event_batch = true;
    cr_assert_eq(read_message((struct bytes){NULL, 0}, 10, &chunk, &fault), FAULT_NONE);
    cr_assert_null(chunk);
}

Test(upstream_message, changed_batches_are_refused_or_whole)
{
    struct dice dice = dice_new("upstream_message");

    plan.event_batch = true;
    for (int i = 0; i < 2000; i++) {
        struct buf batch = {0};
        struct chunk *chunk;
        struct fault fault;

        put_run(&batch, 0, (unsigned)dice_roll(&dice, 4));
        put_run(&batch, 0, (unsigned)dice_roll(&dice, 4));
        mutate(&dice, &batch);
        if (read_message((struct bytes){batch.data, batch.size}, 64, &chunk, &fault) != FAULT_NONE)
            cr_assert_null(chunk);
        chunk_release(chunk);
        buf_fini(&batch);
    }
}
