/* test_inflate.c - compressed messages (finding 29): however they are cut into pieces, and up to
 * the bound exactly. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "grpc/slices.h"
#include "grpc/inflate.h"

#include <grpc/grpc.h>
#include <zlib.h>

#define MAX_PACKED 100000

static uint8_t packed[MAX_PACKED];
static size_t packed_size;

TestSuite(inflate, .init = grpc_init, .fini = grpc_shutdown_blocking);

/* Appends to `packed`. */
static void pack(const void *bytes, size_t size, bool is_gzip)
{
    z_stream zlib = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};

    cr_assert_eq(deflateInit2(&zlib, 6, Z_DEFLATED, is_gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    zlib.next_out = packed + packed_size;
    zlib.avail_out = (uInt)(MAX_PACKED - packed_size);
    cr_assert_eq(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    packed_size = MAX_PACKED - zlib.avail_out;
    deflateEnd(&zlib);
}

/* Inflates `packed`, in pieces of so many bytes. */
static enum inflate_result inflate_pieces(bool is_gzip, size_t piece, size_t max, grpc_slice *slice_out)
{
    grpc_byte_buffer *message =
        grpc_raw_compressed_byte_buffer_create(NULL, 0, is_gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_DEFLATE);

    for (size_t at = 0; at < packed_size; at += piece)
        grpc_slice_buffer_add_indexed(
            &message->data.raw.slice_buffer,
            grpc_slice_from_copied_buffer((const char *)packed + at, MIN_OF(piece, packed_size - at)));
    enum inflate_result result = inflate_message(message, max, slice_out);
    grpc_byte_buffer_destroy(message);
    return result;
}

static void expect_bytes(bool is_gzip, size_t piece, size_t max, struct bytes expected)
{
    grpc_slice slice;

    cr_assert_eq(inflate_pieces(is_gzip, piece, max, &slice), INFLATE_OK, "pieces of %zu", piece);
    struct bytes got = slice_bytes(&slice);
    cr_assert_eq(got.size, expected.size);
    cr_assert_eq(memcmp(got.data, expected.data, got.size), 0);
    grpc_slice_unref(slice);
}

static void expect_refused(bool is_gzip, size_t max, enum inflate_result expected)
{
    grpc_slice slice = grpc_empty_slice();

    for (size_t piece = 1; piece <= packed_size + 1; piece = piece * 3 + 1)
        cr_assert_eq(inflate_pieces(is_gzip, piece, max, &slice), expected, "pieces of %zu", piece);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * i / 7);
    return bytes;
}

Test(inflate, a_message_in_pieces_of_any_size)
{
    static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 20000};

    for (int format = 0; format < 2; format++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            uint8_t *bytes = pattern(sizes[i]);

            packed_size = 0;
            pack(bytes, sizes[i], format);
            for (size_t piece = 1; piece <= packed_size + 1; piece = piece * 2 + 1)
                expect_bytes(format, piece, 20000, (struct bytes){bytes, sizes[i]});
            free(bytes);
        }
    }
}

Test(inflate, the_bound_is_exact)
{
    uint8_t *bytes = pattern(20000);

    for (int format = 0; format < 2; format++) {
        packed_size = 0;
        pack(bytes, 20000, format);
        expect_bytes(format, 1000, 20000, (struct bytes){bytes, 20000});
        expect_refused(format, 19999, INFLATE_TOO_LARGE);
        expect_refused(format, 0, INFLATE_TOO_LARGE);
    }
    free(bytes);
}

Test(inflate, every_message_that_is_cut_short_is_broken)
{
    uint8_t *bytes = pattern(3000);

    for (int format = 0; format < 2; format++) {
        packed_size = 0;
        pack(bytes, 3000, format);
        for (size_t whole = packed_size; packed_size > 0;
             packed_size -= MIN_OF(packed_size, whole / 50 + 1)) {
            if (packed_size < whole)
                expect_refused(format, 3000, INFLATE_BROKEN);
        }
        expect_refused(format, 3000, INFLATE_BROKEN);
    }
    free(bytes);
}

Test(inflate, gzip_has_members_and_deflate_has_none)
{
    packed_size = 0;
    for (int i = 0; i < 3; i++)
        pack("abc", 3, true);
    for (size_t piece = 1; piece <= packed_size; piece++)
        expect_bytes(true, piece, 9, (struct bytes){(const uint8_t *)"abcabcabc", 9});
    expect_refused(true, 8, INFLATE_TOO_LARGE);
    packed[packed_size++] = 'x';
    expect_refused(true, 9, INFLATE_BROKEN);
    packed_size = 0;
    pack("abc", 3, false);
    pack("abc", 3, false);
    expect_refused(false, 9, INFLATE_BROKEN);
}

Test(inflate, a_dictionary_that_nobody_has_is_broken)
{
    z_stream zlib = {.next_in = (Bytef *)(uintptr_t) "abc", .avail_in = 3, .next_out = packed};

    zlib.avail_out = MAX_PACKED;
    cr_assert_eq(deflateInit(&zlib, 6), Z_OK);
    cr_assert_eq(deflateSetDictionary(&zlib, (const Bytef *)"abcd", 4), Z_OK);
    cr_assert_eq(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    packed_size = MAX_PACKED - zlib.avail_out;
    deflateEnd(&zlib);
    expect_refused(false, 100, INFLATE_BROKEN);
}
