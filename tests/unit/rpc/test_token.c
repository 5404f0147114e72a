/* test_token.c - tokens are read as they were written, and anything else is refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/chunk.h"
#include "route/resume_point.h"
#include "lib/chunks.h"
#include "lib/events.h"
#include "server/rpc/token.h"

#define SOURCES 3

/* Writes a token with `count` positions, of at most `max` bytes. Source i is named by the prefix
 * and i, has epoch 1000 + i, and stands at sequence i + 1. Returns how many were left out. */
static uint64_t token_of(unsigned count, const char *prefix, size_t max, struct buf *token)
{
    struct token_writer writer;

    token_begin(&writer, token, max);
    for (unsigned i = 0; i < count; i++) {
        char name[257];
        struct source *source;

        snprintf(name, sizeof(name), "%s%u", prefix, i);
        source = source_named(name, 1000 + i);
        cr_assert(token_position(&writer, source, i + 1));
        source_release(source);
    }
    token_end(&writer, 0);
    return writer.left_out;
}

static enum fault_reason read_token(struct bytes token, struct resume_point **points_out, size_t *count_out,
                                    uint64_t *left_out_out, struct fault *fault)
{
    struct token_points points;
    enum fault_reason reason = token_read(token, "start.resume", 0, &points, fault);

    if (reason == FAULT_NONE) {
        *points_out = points.list;
        *count_out = points.count;
        *left_out_out = points.left_out;
    }
    return reason;
}

Test(token, reads_the_positions_that_were_written)
{
    struct buf token = {0};
    struct resume_point *points = NULL;
    struct fault fault;
    uint64_t left_out;
    size_t count = 0;

    buf_text(&token, "in front"); /* the token is appended */
    token_of(SOURCES, "source-", MAX_TOKEN_BYTES, &token);
    cr_assert_eq(
        read_token((struct bytes){token.data + 8, token.size - 8}, &points, &count, &left_out, &fault),
        FAULT_NONE);
    cr_assert_eq(count, SOURCES);
    cr_expect_eq(left_out, 0);
    for (size_t i = 0; i < count; i++) {
        unsigned number = (unsigned)(points[i].epoch - 1000);
        char name[32];

        snprintf(name, sizeof(name), "source-%u", number);
        cr_expect_eq(points[i].sequence, number + 1);
        cr_expect_eq(points[i].source.size, strlen(name));
        cr_expect_eq(memcmp(points[i].source.data, name, strlen(name)), 0);
    }
    free(points);
    buf_fini(&token);
}

Test(token, refuses_any_flipped_bit_and_any_missing_end)
{
    struct resume_point *points = NULL;
    struct buf token = {0};
    struct fault fault;
    uint64_t left_out;
    size_t count = 0;

    token_of(SOURCES, "source-", MAX_TOKEN_BYTES, &token);
    for (size_t i = 0; i < 8 * token.size; i++) {
        token.data[i / 8] ^= (uint8_t)BIT(i % 8);
        cr_assert_eq(read_token((struct bytes){token.data, token.size}, &points, &count, &left_out, &fault),
                     FAULT_BAD_TOKEN, "bit %zu", i);
        cr_assert_str_eq(fault.field, "start.resume");
        token.data[i / 8] ^= (uint8_t)BIT(i % 8);
    }
    for (size_t size = 0; size < token.size; size++)
        cr_assert_eq(read_token((struct bytes){token.data, size}, &points, &count, &left_out, &fault),
                     FAULT_BAD_TOKEN, "only %zu bytes", size);
    buf_byte(&token, 0);
    cr_assert_eq(read_token((struct bytes){token.data, token.size}, &points, &count, &left_out, &fault),
                 FAULT_BAD_TOKEN, "too long");
    cr_expect_null(points);
    buf_fini(&token);
}

Test(token, a_token_has_at_most_64_kib_and_stays_readable)
{
    static const char prefix[] =
        "a source with a name that is long enough for a thousand of them not to fit in a token ..... ";
    struct resume_point *points = NULL;
    struct buf token = {0};
    struct fault fault;
    uint64_t left_out, left;
    size_t count = 0;

    left = token_of(1000, prefix, MAX_TOKEN_BYTES, &token);
    cr_expect_leq(token.size, 65536);
    cr_expect_gt(token.size, 65536 - 128, "as many as fit");
    cr_assert_eq(read_token((struct bytes){token.data, token.size}, &points, &count, &left_out, &fault),
                 FAULT_NONE);
    cr_expect_gt(count, 500);
    cr_expect_eq(left_out, 1000 - count, "and the rest is counted");
    cr_expect_eq(left, left_out);
    free(points);
    buf_fini(&token);

    struct buf large = {0};

    memset(buf_extend(&large, 65537), 'R', 65537);
    cr_expect_eq(read_token((struct bytes){large.data, large.size}, &points, &count, &left_out, &fault),
                 FAULT_BAD_TOKEN);
    cr_expect_str_eq(fault.bound, "at most 65536 bytes");
    buf_fini(&large);
}

Test(token, a_token_that_is_wanted_whole_stops_at_the_first_position_that_does_not_fit)
{
    struct source *source = source_named("a source of which thirty do not fit into 1 KiB", 1);
    struct token_writer writer;
    struct buf token = {0};
    unsigned taken = 0;

    token_begin(&writer, &token, SMALL_TOKEN_BYTES);
    while (token_position_whole(&writer, source, 1))
        taken++;
    cr_expect_gt(taken, 10);
    cr_expect_lt(taken, 30);
    cr_expect_eq(writer.left_out, 1);
    buf_fini(&token);
    source_release(source);
}

Test(token, sources_that_were_never_offered_are_left_out)
{
    struct resume_point *points = NULL;
    struct token_writer writer;
    struct buf token = {0};
    struct fault fault;
    uint64_t left_out;
    size_t count = 0;

    token_begin(&writer, &token, SMALL_TOKEN_BYTES);
    token_end(&writer, 12);
    cr_assert_eq(read_token((struct bytes){token.data, token.size}, &points, &count, &left_out, &fault),
                 FAULT_NONE);
    cr_expect_eq(left_out, 12);
    free(points);
    buf_fini(&token);
}

Test(token, refuses_random_bytes)
{
    struct dice dice = dice_new("token");

    for (int i = 0; i < 10000; i++) {
        uint8_t bytes[64];
        size_t size = (size_t)dice_roll(&dice, sizeof(bytes) + 1);
        struct resume_point *points;
        struct fault fault;
        uint64_t left_out;
        size_t count;

        for (size_t j = 0; j < size; j++)
            bytes[j] = (uint8_t)dice_roll(&dice, 256);
        if (size > 2) {
            bytes[0] = 'R';
            bytes[1] = 1;
        }
        cr_assert_eq(read_token((struct bytes){bytes, size}, &points, &count, &left_out, &fault),
                     FAULT_BAD_TOKEN);
    }
}

static const char *text(struct buf *buf)
{
    buf_byte(buf, 0);
    return (const char *)buf->data;
}

Test(page, reads_back_names_of_every_length)
{
    uint8_t name[MAX_PAGE_NAME_BYTES];
    uint8_t back[MAX_PAGE_NAME_BYTES];

    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = (uint8_t)(i * 7 + 1);
    for (size_t size = 1; size <= sizeof(name); size++) {
        struct buf token = {0};
        struct fault fault;
        size_t got = 0;

        page_write('p', (struct bytes){name, size}, &token);
        cr_assert_eq(page_read('p', text(&token), back, &got, &fault), FAULT_NONE);
        cr_assert_eq(got, size);
        cr_assert_eq(memcmp(name, back, size), 0);
        cr_assert_eq(
            strspn((char *)token.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            token.size - 1);
        buf_fini(&token);
    }
}

Test(page, an_empty_token_is_the_first_page)
{
    uint8_t back[MAX_PAGE_NAME_BYTES];
    struct fault fault;
    size_t size = 7;

    cr_assert_eq(page_read('p', "", back, &size, &fault), FAULT_NONE);
    cr_expect_eq(size, 0);
}

Test(page, refuses_damage_tokens_of_another_list_and_other_text)
{
    static const char *const bad[] = {"x", "A", "====", "a b", "UHA", "\xff\xff\xff\xff"};
    uint8_t back[MAX_PAGE_NAME_BYTES];
    struct buf token = {0};
    struct buf large = {0};
    struct fault fault;
    size_t size;

    page_write('p', text_of("web-1"), &token);
    (void)text(&token);
    cr_expect_eq(page_read('s', (char *)token.data, back, &size, &fault), FAULT_BAD_TOKEN,
                 "a token of another list");
    cr_expect_str_eq(fault.field, "page_token");
    for (size_t i = 0; token.data[i]; i++) {
        uint8_t was = token.data[i];

        token.data[i] = was == 'A' ? 'B' : 'A';
        cr_expect_eq(page_read('p', (char *)token.data, back, &size, &fault), FAULT_BAD_TOKEN,
                     "damaged at %zu", i);
        token.data[i] = was;
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_eq(page_read('p', bad[i], back, &size, &fault), FAULT_BAD_TOKEN, "%s", bad[i]);
    memset(buf_extend(&large, 5000), 'A', 5000);
    cr_expect_eq(page_read('p', text(&large), back, &size, &fault), FAULT_BAD_TOKEN, "too large");
    buf_fini(&large);
    buf_fini(&token);
}
