/* test_header_block.c - which streams may send compressed messages: those whose header block names
 * an encoding that gRPC core knows, however the block comes. */
#include <criterion/criterion.h>
#include <string.h>

#include "h2guard_fixture.h"

#include <nghttp2/nghttp2.h>

static nghttp2_hd_deflater *deflater;

/* Appends the block of a request. `encoding` NULL: it names none. */
static void put_block(struct buf *block, const char *encoding)
{
    nghttp2_nv fields[] = {
        {(uint8_t *)":method", (uint8_t *)"POST", 7, 4, 0},
        {(uint8_t *)":path", (uint8_t *)"/test.Unary/Ask", 5, 15, 0},
        {(uint8_t *)"grpc-encoding", (uint8_t *)encoding, 13, encoding ? strlen(encoding) : 0, 0},
    };
    uint8_t bytes[256];
    ssize_t size = nghttp2_hd_deflate_hd(deflater, bytes, sizeof(bytes), fields, encoding ? 3 : 2);

    cr_assert_gt(size, 0);
    memcpy(buf_extend(block, (size_t)size), bytes, (size_t)size);
}

static void open_both(struct h2guard_fixture *fixture)
{
    cr_assert_eq(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    fixture_init(fixture);
    fixture_open(fixture, H2GUARD_SERVER, STARTED);
}

static void close_both(struct h2guard_fixture *fixture)
{
    nghttp2_hd_deflate_del(deflater);
    fixture_close(fixture);
}

static void put_request(struct buf *in, uint32_t stream, const char *encoding)
{
    OWNED(buf_fini) struct buf block = {0};

    put_block(&block, encoding);
    put_frame(in, FRAME_HEADERS, END_HEADERS, stream, (struct bytes){block.data, block.size});
}

static void put_compressed_message(struct buf *in, uint32_t stream)
{
    put_frame_head(in, FRAME_DATA, 0, stream, 5 + 3);
    put_prefix(in, 1, 3);
    memset(buf_extend(in, 3), 'x', 3);
}

Test(header_block, a_compressed_message_needs_an_encoding_that_the_core_knows)
{
    static const struct {
        const char *encoding;
        bool passes;
    } cases[] = {{"gzip", true}, {"deflate", true}, {"identity", false}, {"zstd", false},
                 {"gzi", false}, {"", false},       {NULL, false}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct h2guard_fixture fixture;

        open_both(&fixture);
        put_request(&fixture.in, 1, cases[i].encoding);
        put_compressed_message(&fixture.in, 1);
        if (cases[i].passes)
            fixture_passes(&fixture);
        else
            fixture_ends(&fixture, H2GUARD_COMPRESSED);
        close_both(&fixture);
    }
}

Test(header_block, the_encoding_is_that_of_the_stream_and_comes_from_the_dynamic_table_too)
{
    struct h2guard_fixture fixture;

    open_both(&fixture);
    for (uint32_t stream = 1; stream <= 9; stream += 2)
        put_request(&fixture.in, stream, stream == 5 ? NULL : "gzip");
    for (uint32_t stream = 1; stream <= 9; stream += 2)
        if (stream != 5)
            put_compressed_message(&fixture.in, stream);
    fixture_passes(&fixture);
    put_compressed_message(&fixture.in, 5);
    fixture_ends(&fixture, H2GUARD_COMPRESSED);
    close_both(&fixture);
}

/* A block in HEADERS with padding and priority, and two CONTINUATION frames. */
static void put_split_request(struct buf *in, uint32_t stream, size_t first, size_t second)
{
    OWNED(buf_fini) struct buf block = {0};
    OWNED(buf_fini) struct buf payload = {0};

    put_block(&block, "gzip");
    cr_assert_lt(first + second, block.size);
    *(uint8_t *)buf_extend(&payload, 1) = 7;
    memset(buf_extend(&payload, 5), 0, 5);
    memcpy(buf_extend(&payload, first), block.data, first);
    memset(buf_extend(&payload, 7), 0, 7);
    put_frame(in, FRAME_HEADERS, FRAME_PADDED | FRAME_WITH_PRIORITY, stream,
              (struct bytes){payload.data, payload.size});
    put_frame(in, FRAME_CONTINUATION, 0, stream, (struct bytes){block.data + first, second});
    put_frame(in, FRAME_CONTINUATION, END_HEADERS, stream,
              (struct bytes){block.data + first + second, block.size - first - second});
}

Test(header_block, comes_in_any_pieces_with_padding_and_priority)
{
    for (size_t piece = 1; piece <= 3; piece++) {
        for (size_t first = 0; first < 9; first++) {
            struct h2guard_fixture fixture;

            open_both(&fixture);
            put_split_request(&fixture.in, 1, first, 4);
            put_split_request(&fixture.in, 3, 0, 1); /* from the dynamic table */
            put_compressed_message(&fixture.in, 1);
            put_compressed_message(&fixture.in, 3);
            cr_assert_neq(fixture_feed(&fixture, piece).decision, H2GUARD_END);
            close_both(&fixture);
        }
    }
}

Test(header_block, a_block_of_a_stream_that_was_reset_still_counts_for_the_table)
{
    struct h2guard_fixture fixture;

    open_both(&fixture);
    put_request(&fixture.in, 1, NULL);
    fixture_passes(&fixture);
    put_zeros(&fixture.out, FRAME_RST_STREAM, 0, 1, 4);
    fixture_send(&fixture);
    put_request(&fixture.in, 1, "gzip"); /* it was on its way */
    put_request(&fixture.in, 3, "gzip");
    put_compressed_message(&fixture.in, 3);
    fixture_passes(&fixture);
    close_both(&fixture);
}

Test(header_block, nothing_is_known_after_a_block_that_is_wrong)
{
    static const uint8_t wrong[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct h2guard_fixture fixture;

    open_both(&fixture);
    put_frame(&fixture.in, FRAME_HEADERS, END_HEADERS, 1, (struct bytes){wrong, sizeof(wrong)});
    put_request(&fixture.in, 3, "gzip");
    fixture_passes(&fixture);
    put_compressed_message(&fixture.in, 3);
    fixture_ends(&fixture, H2GUARD_COMPRESSED);
    close_both(&fixture);
}
