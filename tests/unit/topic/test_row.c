/* test_row.c - rows of a log: written, read, damaged. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/splitmix.h"
#include "topic/row.h"

TestSuite(row);

#define TOPIC 17u

/* Events of the given sizes, one behind the other. */
static struct bytes events_of(uint8_t *memory, const unsigned *sizes, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        memory[size++] = 0x0a;
        if (sizes[i] >= 128)
            memory[size++] = (uint8_t)(sizes[i] | 128);
        memory[size++] = (uint8_t)(sizes[i] >= 128 ? sizes[i] >> 7 : sizes[i]);
        memset(memory + size, (int)('a' + i), sizes[i]);
        size += sizes[i];
    }
    return (struct bytes){memory, size};
}

static struct topic_row encode(struct row_builder *builder, struct buf *data)
{
    cr_assert(row_builder_encode(builder, data));
    return (struct topic_row){.first_seq = 5,
                              .count = builder->events,
                              .appended_ns = 7,
                              .before_bytes = 9,
                              .data = {data->data, data->size}};
}

Test(row, pieces_of_one_origin_are_one_run)
{
    uint8_t memory[3][512];
    const struct topic_run pieces[] = {
        {text_bytes("web-1"), 2, events_of(memory[0], (unsigned[]){3, 200}, 2), false},
        {text_bytes("web-1"), 1, events_of(memory[1], (unsigned[]){0}, 1), false},
        {text_bytes(""), 1, events_of(memory[2], (unsigned[]){9}, 1), false},
    };
    OWNED(buf_fini) struct buf data = {0};
    struct row_builder builder = {0};
    struct row_walk walk;
    struct topic_run run;

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        cr_assert(row_builder_fits(&builder, &pieces[i]));
        cr_assert(row_builder_add(&builder, &pieces[i]));
    }
    const struct topic_row row = encode(&builder, &data);
    cr_assert_eq(row.count, 4u);
    cr_assert(row_walk_begin(&walk, &row));
    cr_assert(row_walk_next(&walk, &run));
    cr_assert(bytes_same(run.origin, text_bytes("web-1")));
    cr_assert_eq(run.count, 3u);
    cr_assert_eq(run.events.size, pieces[0].events.size + pieces[1].events.size);
    cr_assert_eq(memcmp(run.events.data, memory[0], pieces[0].events.size), 0, "the bytes as they came");
    cr_assert(events_skip(&run.events, 2));
    cr_assert(bytes_same(run.events, pieces[1].events));
    cr_assert_not(events_skip(&run.events, 2), "there is one left");
    cr_assert(row_walk_next(&walk, &run));
    cr_assert_eq(run.origin.size, 0u);
    cr_assert(bytes_same(run.events, pieces[2].events));
    cr_assert_not(row_walk_next(&walk, &run));
    row_builder_fini(&builder);
}

Test(row, a_row_grows_to_64_KiB_and_a_larger_piece_is_a_row_alone)
{
    static uint8_t large[TOPIC_ROW_BYTES + 10];
    OWNED(buf_fini) struct buf data = {0};
    struct row_builder builder = {0};
    const struct topic_run small = {text_bytes("a"), 1, {large, 9000}, false},
                           huge = {text_bytes("b"), 1, {large, sizeof(large)}, false};
    unsigned added = 0;

    cr_assert(row_builder_fits(&builder, &huge), "an empty row takes it");
    for (; row_builder_fits(&builder, &small); added++)
        cr_assert(row_builder_add(&builder, &small));
    cr_assert_eq(added, 7u);
    cr_assert(row_builder_encode(&builder, &data));
    cr_assert_leq(data.size, TOPIC_ROW_BYTES);
    row_builder_clear(&builder);
    cr_assert(row_builder_add(&builder, &huge));
    cr_assert_not(row_builder_fits(&builder, &small));
    row_builder_fini(&builder);
}

/* Readers look into a row's events only where one of them may expire. */
Test(row, a_row_notes_whether_one_of_its_events_expires)
{
    uint8_t memory[2][64];
    struct topic_run pieces[] = {
        {text_bytes("a"), 2, events_of(memory[0], (unsigned[]){3, 4}, 2), false},
        {text_bytes("b"), 1, events_of(memory[1], (unsigned[]){5}, 1), false},
    };
    struct row_builder builder = {0};

    for (unsigned expiring = 0; expiring < 4; expiring++) {
        OWNED(buf_fini) struct buf data = {0};
        struct row_walk walk;
        struct topic_run run;

        row_builder_clear(&builder);
        for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
            pieces[i].expires = expiring >> i & 1u;
            cr_assert(row_builder_add(&builder, &pieces[i]));
        }
        const struct topic_row row = encode(&builder, &data);
        cr_assert_eq(data.data[0], expiring ? 1 : 2, "the version is part of the format");
        cr_assert(row_walk_begin(&walk, &row));
        for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
            cr_assert(row_walk_next(&walk, &run));
            cr_assert_eq(run.expires, expiring > 0);
        }
        for (unsigned version = 0; version < 256; version++) {
            data.data[0] = (uint8_t)version;
            cr_assert_eq(row_walk_begin(&walk, &row), version == 1 || version == 2);
        }
    }
    row_builder_fini(&builder);
}

/* Each bit of a row, and of each of its numbers. */
Test(row, the_hash_finds_every_bit_that_has_changed)
{
    uint8_t memory[512];
    OWNED(buf_fini) struct buf data = {0};
    struct row_builder builder = {0};
    const struct topic_run piece = {text_bytes("web"), 2, events_of(memory, (unsigned[]){100, 150}, 2),
                                    false};

    cr_assert(row_builder_add(&builder, &piece));
    const struct topic_row row = encode(&builder, &data);
    const uint64_t hash = topic_row_hash(TOPIC, &row);
    for (size_t bit = 0; bit < data.size * 8; bit++) {
        data.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(topic_row_hash(TOPIC, &row), hash, "bit %zu", bit);
        data.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        struct topic_row other = row;

        cr_assert_neq(topic_row_hash(TOPIC ^ UINT64_C(1) << bit, &row), hash);
        other.first_seq ^= UINT64_C(1) << bit;
        cr_assert_neq(topic_row_hash(TOPIC, &other), hash);
        other = row;
        other.appended_ns ^= INT64_C(1) << (bit % 63);
        cr_assert_neq(topic_row_hash(TOPIC, &other), hash);
        other = row;
        other.before_bytes ^= UINT64_C(1) << bit;
        cr_assert_neq(topic_row_hash(TOPIC, &other), hash);
        other = row;
        other.count ^= 1u << bit % 32;
        cr_assert_neq(topic_row_hash(TOPIC, &other), hash);
        other = row;
        other.data.size -= bit + 1;
        cr_assert_neq(topic_row_hash(TOPIC, &other), hash);
    }
    row_builder_fini(&builder);
}

/* It is part of the format: a store that was written must be read for ever. */
Test(row, the_hash_stays_as_it_is)
{
    uint8_t bytes[1000];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    struct topic_row row = {.first_seq = 1, .count = 2, .appended_ns = 3, .before_bytes = 4};

    row.data = (struct bytes){bytes, 0};
    cr_assert_eq(topic_row_hash(TOPIC, &row), UINT64_C(0xcc6700006a8835db));
    row.data.size = 64;
    cr_assert_eq(topic_row_hash(TOPIC, &row), UINT64_C(0xbbe26d2d132eb8ff));
    row.data.size = 200;
    cr_assert_eq(topic_row_hash(TOPIC, &row), UINT64_C(0xd0b9ee9d43f1b9ae));
    row.data.size = sizeof(bytes);
    cr_assert_eq(topic_row_hash(TOPIC, &row), UINT64_C(0xd6af0930a7304123));
}

/* A damaged row, whatever its hash says, is refused or walked within its bounds. */
Test(row, damaged_data_is_walked_within_its_bounds)
{
    uint8_t memory[256];
    OWNED(buf_fini) struct buf data = {0};
    struct row_builder builder = {0};
    uint64_t random = 1;

    cr_assert(row_builder_add(
        &builder, &(struct topic_run){text_bytes("a"), 2, events_of(memory, (unsigned[]){3, 4}, 2), false}));
    cr_assert(row_builder_add(
        &builder, &(struct topic_run){text_bytes("bc"), 1, events_of(memory, (unsigned[]){30}, 1), true}));
    const struct topic_row row = encode(&builder, &data);
    for (unsigned i = 0; i < 200000; i++) {
        struct topic_row bad = row;
        struct row_walk walk;
        struct topic_run run;
        uint8_t *copy = malloc(data.size);
        uint64_t events = 0;
        size_t bytes = 0;

        memcpy(copy, data.data, data.size);
        for (unsigned j = 0; j < 1 + i % 3; j++)
            copy[splitmix64(&random) % (j == 0 ? 16 : data.size)] = (uint8_t)splitmix64(&random);
        bad.data = (struct bytes){copy, data.size - (i % 5 == 0 ? splitmix64(&random) % data.size : 0)};
        if (row_walk_begin(&walk, &bad)) {
            while (row_walk_next(&walk, &run)) {
                cr_assert(run.events.data >= copy && run.events.size <= bad.data.size);
                cr_assert(run.events.data + run.events.size <= copy + bad.data.size);
                events += run.count;
                bytes += run.events.size;
                (void)!events_skip(&run.events, run.count);
            }
            cr_assert_eq(events, row.count);
            cr_assert_leq(bytes, bad.data.size);
        }
        free(copy);
    }
    row_builder_fini(&builder);
}

Test(row, events_are_skipped_whole_or_not_at_all)
{
    uint8_t memory[600];
    const struct bytes all = events_of(memory, (unsigned[]){300, 0, 5}, 3);
    struct bytes events = all;

    cr_assert(events_skip(&events, 0));
    cr_assert(bytes_same(events, all));
    cr_assert(events_skip(&events, 1));
    cr_assert_eq(events.size, 2u + 7u);
    cr_assert(events_skip(&events, 2));
    cr_assert_eq(events.size, 0u);
    events = (struct bytes){all.data, all.size - 1};
    cr_assert_not(events_skip(&events, 3), "the last one is not whole");
    cr_assert_eq(events.size, all.size - 1);
    memory[0] = 0x12;
    events = all;
    cr_assert_not(events_skip(&events, 1), "this is another field");
}
