/* test_encode.c - what encode.c writes, decoded by protobuf-c. */
#include <criterion/criterion.h>
#include <string.h>

#include "event/encode.h"
#include "event/field_write.h"
#include "lib/events.h"
#include "tributary/v1/event.pb-c.h"

static Tributary__V1__EventBatch *unpack(const struct buf *buf)
{
    Tributary__V1__EventBatch *batch = tributary__v1__event_batch__unpack(NULL, buf->size, buf->data);

    cr_assert_not_null(batch);
    return batch;
}

/* Appends a run: its head, then the events of `chunk`. The head must have exactly its announced
 * size. */
static void put_run(struct buf *buf, const struct run_head *head, const struct chunk *chunk)
{
    size_t size = run_head_size(head);
    uint8_t *at = buf_extend(buf, size);

    cr_assert_eq(run_head_write(head, at), size);
    buf_bytes(buf, chunk->data, chunk_bytes(chunk, 0, chunk->count));
}

static void check_run(const struct run_head *head, const struct chunk *chunk)
{
    struct buf buf = {0};

    put_run(&buf, head, chunk);
    put_run(&buf, head, chunk); /* fields may be laid end to end */
    Tributary__V1__EventBatch *batch = unpack(&buf);
    cr_assert_eq(batch->n_runs, 2);
    for (size_t i = 0; i < 2; i++) {
        const Tributary__V1__Run *run = batch->runs[i];
        cr_assert_eq(run->n_events, chunk->count);
        cr_assert_str_eq(run->events[chunk->count - 1]->topic, "t");
        cr_assert_str_eq(run->source, head->source->name);
        cr_assert_str_eq(run->origin, head->origin ? head->origin->name : "");
        cr_assert_eq(run->epoch, head->source->epoch);
        cr_assert_eq(run->first_sequence, head->first_sequence);
        cr_assert_eq(run->observed_time_unix_nano, (uint64_t)head->observed_wall_ns);
        cr_assert_eq(run->attempt, head->attempt);
        cr_assert_eq(run->n_sequences, head->sequences ? head->count : 0);
        for (size_t j = 0; j < run->n_sequences; j++)
            cr_assert_eq(run->sequences[j], head->sequences[j]);
    }
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    buf_fini(&buf);
}

Test(run, head_decodes_to_what_was_written)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, UINT32_MAX, UINT64_MAX};
    static const size_t names[] = {0, 1, 127, 128, 256};
    static const uint32_t counts[] = {1, 2, 100, 3000};

    for (size_t n = 0; n < ARRAY_LEN(numbers); n++) {
        for (size_t s = 0; s < ARRAY_LEN(names); s++) {
            uint8_t name[256];
            memset(name, 'n', sizeof(name));
            OWNED(source_release)
            struct source *source = source_new((struct bytes){name, names[s]}, numbers[n]);
            for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
                OWNED(chunk_release) struct chunk *chunk = sample_chunk(counts[c], "t", 3);
                struct run_head head = {.source = source,
                                        .origin = c % 2 == 0 ? NULL : source,
                                        .first_sequence = numbers[n],
                                        .observed_wall_ns = (int64_t)(numbers[n] / 2),
                                        .attempt = (uint32_t)numbers[n],
                                        .events_bytes = chunk_bytes(chunk, 0, chunk->count)};
                cr_assert_leq(run_head_size(&head), MAX_RUN_HEAD);
                check_run(&head, chunk);
            }
        }
    }
}

Test(run, head_lists_sequences_where_events_are_missing)
{
    static uint64_t sequences[3000];
    OWNED(source_release) struct source *source = source_new(text_of("web"), 1);

    for (uint32_t count = 1; count <= 3000; count = count * 3 + 1) {
        OWNED(chunk_release) struct chunk *chunk = sample_chunk(count, "t", 0);
        struct run_head head = {.source = source,
                                .first_sequence = 5,
                                .events_bytes = chunk_bytes(chunk, 0, count),
                                .sequences = sequences,
                                .count = count};
        for (uint32_t i = 0; i < count; i++)
            sequences[i] = 5 + 3 * (uint64_t)i + (UINT64_C(1) << 60) * (i % 2);
        check_run(&head, chunk);
        cr_assert_leq(run_head_size(&head), MAX_RUN_HEAD + count * sizeof(uint64_t));
    }
}

Test(run, head_of_the_largest_size_fits_into_its_bound)
{
    uint8_t name[256];
    memset(name, 'n', sizeof(name));
    OWNED(source_release) struct source *source = source_new((struct bytes){name, sizeof(name)}, UINT64_MAX);
    struct run_head head = {.source = source,
                            .origin = source,
                            .first_sequence = UINT64_MAX,
                            .observed_wall_ns = INT64_MAX,
                            .attempt = UINT32_MAX,
                            .events_bytes = UINT64_MAX - 1000,
                            .sequences = NULL};

    cr_assert_leq(run_head_size(&head), MAX_RUN_HEAD);
}

Test(reports, of_catching_up_decode_to_what_was_written)
{
    OWNED(source_release) struct source *source = source_new(text_of("@orders"), 77);
    OWNED(buf_fini) struct buf buf = {0};

    catch_write(&buf, source, 9, true);
    catch_write(&buf, source, UINT64_MAX, false);
    catch_write(&buf, source, 0, true);
    Tributary__V1__EventBatch *batch = unpack(&buf);
    cr_assert_eq(batch->n_caught_up, 2);
    cr_assert_str_eq(batch->caught_up[0]->source, "@orders");
    cr_assert_eq(batch->caught_up[0]->epoch, 77);
    cr_assert_eq(batch->caught_up[0]->sequence, 9);
    cr_assert_eq(batch->caught_up[1]->sequence, 0);
    cr_assert_eq(batch->n_fell_behind, 1);
    cr_assert_str_eq(batch->fell_behind[0]->source, "@orders");
    cr_assert_eq(batch->fell_behind[0]->epoch, 77);
    cr_assert_eq(batch->fell_behind[0]->sequence, UINT64_MAX);
    tributary__v1__event_batch__free_unpacked(batch, NULL);
}

Test(reports, decode_to_what_was_written)
{
    OWNED(source_release) struct source *source = source_new(text_of("web"), 77);
    struct buf buf = {0};

    lost_write(&buf, &(struct lost_note){source, 3, 400, 10, 14,
                                         TRIBUTARY__V1__LOSS_REASON__LOSS_REASON_EXPIRED, true, true});
    lost_write(&buf,
               &(struct lost_note){source, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, false, false});
    status_write(&buf, source, TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_UNAVAILABLE, 14, "went away");
    status_write(&buf, source, TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_IDLE, 0, NULL);
    status_write(&buf, source, TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_ENDED, 2, NULL);
    Tributary__V1__EventBatch *batch = unpack(&buf);
    cr_assert_eq(batch->n_lost, 2);
    cr_assert_str_eq(batch->lost[0]->source, "web");
    cr_assert_eq(batch->lost[0]->epoch, 77);
    cr_assert_eq(batch->lost[0]->count, 3);
    cr_assert_eq(batch->lost[0]->bytes, 400);
    cr_assert_eq(batch->lost[0]->first_sequence, 10);
    cr_assert_eq(batch->lost[0]->last_sequence, 14);
    cr_assert_eq(batch->lost[0]->reason, TRIBUTARY__V1__LOSS_REASON__LOSS_REASON_EXPIRED);
    cr_assert(batch->lost[0]->count_unknown);
    cr_assert(batch->lost[0]->upstream);
    cr_assert_not(batch->lost[1]->upstream);
    cr_assert_eq(batch->lost[1]->bytes, UINT64_MAX);
    cr_assert_not(batch->lost[1]->count_unknown);
    cr_assert_eq(batch->n_producers, 3);
    cr_assert_str_eq(batch->producers[0]->source, "web");
    cr_assert_eq(batch->producers[0]->epoch, 77);
    cr_assert_eq(batch->producers[0]->state, TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_UNAVAILABLE);
    cr_assert_eq(batch->producers[0]->error->code, 14);
    cr_assert_str_eq(batch->producers[0]->error->message, "went away");
    cr_assert_null(batch->producers[1]->error);
    cr_assert_eq(batch->producers[2]->error->code, 2);
    cr_assert_eq(batch->n_runs, 0);
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    buf_fini(&buf);
}

Test(reports, put_positions_into_a_progress)
{
    OWNED(source_release) struct source *web = source_new(text_of("web"), 77);
    OWNED(source_release) struct source *db = source_new(text_of("db"), 0);
    struct buf positions = {0};
    struct buf buf = {0};

    position_write(&positions, web, 12);
    position_write(&positions, db, 0);
    field_varint(&positions, 3, 1000);
    field_bytes_always(&buf, 4, (struct bytes){positions.data, positions.size});
    Tributary__V1__EventBatch *batch = unpack(&buf);
    cr_assert_eq(batch->progress->n_positions, 2);
    cr_assert_str_eq(batch->progress->positions[0]->source, "web");
    cr_assert_eq(batch->progress->positions[0]->epoch, 77);
    cr_assert_eq(batch->progress->positions[0]->sequence, 12);
    cr_assert_str_eq(batch->progress->positions[1]->source, "db");
    cr_assert_eq(batch->progress->delivered, 1000);
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    buf_fini(&positions);
    buf_fini(&buf);
}
