/* test_h2guard_form.c - what HTTP/2 and gRPC forbid ends the connection by name; and what looks odd
 * but is allowed passes. */
#include <criterion/criterion.h>

#include "h2guard_fixture.h"

#define BYTES(literal)                                                                                       \
    {                                                                                                        \
        (const uint8_t *)(literal), sizeof(literal) - 1                                                      \
    }

/* Frames after the start, as the peer sends them. Stream 1 is open, and nothing was sent on it. */
static const struct row {
    const char *what;
    enum h2guard_role role;
    enum h2guard_reason reason; /* H2GUARD_NO_REASON: it passes */
    struct bytes bytes;
} rows[] = {
    {"DATA on stream 0", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\0\0\0\0\0\0\0")},
    {"HEADERS on stream 0", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\0\1\4\0\0\0\0")},
    {"RST_STREAM on stream 0", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\4\3\0\0\0\0\0")},
    {"PRIORITY on stream 0", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\5\2\0\0\0\0\0")},
    {"CONTINUATION on stream 0", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\0\11\0\0\0\0\0")},
    {"SETTINGS on stream 1", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\0\4\0\0\0\0\1")},
    {"PING on stream 1", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\10\6\0\0\0\0\1")},
    {"GOAWAY on stream 1", H2GUARD_SERVER, H2GUARD_FRAME_STREAM, BYTES("\0\0\10\7\0\0\0\0\1")},

    {"RST_STREAM of 5 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\5\3\0\0\0\0\1")},
    {"PRIORITY of 4 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\4\2\0\0\0\0\1")},
    {"PING of 7 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\7\6\0\0\0\0\0")},
    {"GOAWAY of 7 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\7\7\0\0\0\0\0")},
    {"WINDOW_UPDATE of 3 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\3\10\0\0\0\0\0")},
    {"SETTINGS of 7 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\7\4\0\0\0\0\0")},
    {"SETTINGS ACK of 6 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\6\4\1\0\0\0\0")},
    {"padded DATA of 0 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\0\0\10\0\0\0\1")},
    {"padded HEADERS of 0 bytes", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\0\1\14\0\0\0\3")},
    {"HEADERS of 4 bytes with priority", H2GUARD_SERVER, H2GUARD_FRAME_SIZE, BYTES("\0\0\4\1\44\0\0\0\3")},
    {"a frame of 256 KiB and a byte", H2GUARD_SERVER, H2GUARD_FRAME_TOO_LARGE, BYTES("\4\0\1\0\0\0\0\0\1")},
    {"an unknown frame of 16 MiB", H2GUARD_SERVER, H2GUARD_FRAME_TOO_LARGE,
     BYTES("\xff\xff\xff\77\0\0\0\0\1")},

    {"padding as long as the frame", H2GUARD_SERVER, H2GUARD_PADDING, BYTES("\0\0\3\0\10\0\0\0\1\3\0\0")},
    {"padding longer than the frame", H2GUARD_SERVER, H2GUARD_PADDING, BYTES("\0\0\1\0\10\0\0\0\1\1")},
    {"padding of HEADERS, too long", H2GUARD_SERVER, H2GUARD_PADDING, BYTES("\0\0\2\1\14\0\0\0\3\2\0")},
    {"padding up to the end", H2GUARD_SERVER, H2GUARD_NO_REASON, BYTES("\0\0\3\0\10\0\0\0\1\2\0\0")},
    {"padding of HEADERS up to the end", H2GUARD_SERVER, H2GUARD_NO_REASON, BYTES("\0\0\2\1\14\0\0\0\3\1\0")},

    {"DATA on an idle stream", H2GUARD_SERVER, H2GUARD_IDLE_STREAM, BYTES("\0\0\0\0\0\0\0\0\3")},
    {"RST_STREAM on an idle stream, as gRPC core does it", H2GUARD_SERVER, H2GUARD_NO_REASON,
     BYTES("\0\0\4\3\0\0\0\0\3\0\0\0\10")},
    {"WINDOW_UPDATE on an idle stream", H2GUARD_SERVER, H2GUARD_IDLE_STREAM, BYTES("\0\0\4\10\0\0\0\0\3")},
    {"HEADERS on a stream of the server's", H2GUARD_SERVER, H2GUARD_IDLE_STREAM, BYTES("\0\0\0\1\4\0\0\0\2")},
    {"HEADERS on a stream that we did not open", H2GUARD_CLIENT, H2GUARD_IDLE_STREAM,
     BYTES("\0\0\0\1\4\0\0\0\3")},
    {"PRIORITY on an idle stream", H2GUARD_SERVER, H2GUARD_NO_REASON, BYTES("\0\0\5\2\0\0\0\0\3\0\0\0\0\0")},
    {"a stream number with the reserved bit", H2GUARD_SERVER, H2GUARD_NO_REASON,
     BYTES("\0\0\0\0\1\x80\0\0\1")},

    {"DATA after END_STREAM", H2GUARD_SERVER, H2GUARD_ENDED_STREAM,
     BYTES("\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\1")},
    {"HEADERS after END_STREAM", H2GUARD_SERVER, H2GUARD_ENDED_STREAM,
     BYTES("\0\0\0\1\5\0\0\0\1\0\0\0\1\5\0\0\0\1")},
    {"WINDOW_UPDATE after END_STREAM", H2GUARD_SERVER, H2GUARD_NO_REASON,
     BYTES("\0\0\0\1\5\0\0\0\1\0\0\4\10\0\0\0\0\1\0\0\0\1")},

    {"CONTINUATION of nothing", H2GUARD_SERVER, H2GUARD_HEADER_BLOCK, BYTES("\0\0\0\11\4\0\0\0\1")},
    {"PING inside of a header block", H2GUARD_SERVER, H2GUARD_HEADER_BLOCK,
     BYTES("\0\0\0\1\0\0\0\0\3\0\0\10\6\0\0\0\0\0")},
    {"an unknown frame inside of a header block", H2GUARD_SERVER, H2GUARD_HEADER_BLOCK,
     BYTES("\0\0\0\1\0\0\0\0\3\0\0\0\77\0\0\0\0\3")},
    {"CONTINUATION of another stream", H2GUARD_SERVER, H2GUARD_HEADER_BLOCK,
     BYTES("\0\0\0\1\0\0\0\0\3\0\0\0\11\4\0\0\0\5")},
    {"CONTINUATION after END_HEADERS", H2GUARD_SERVER, H2GUARD_HEADER_BLOCK,
     BYTES("\0\0\0\1\0\0\0\0\3\0\0\0\11\4\0\0\0\3\0\0\0\11\4\0\0\0\3")},
    {"a header block of 64 KiB and a byte", H2GUARD_SERVER, H2GUARD_HEADER_TOO_LARGE,
     BYTES("\1\0\1\1\4\0\0\0\3")},
    {"a header block of 64 KiB", H2GUARD_SERVER, H2GUARD_NO_REASON, BYTES("\1\0\0\1\4\0\0\0\3")},

    {"PUSH_PROMISE of a client", H2GUARD_SERVER, H2GUARD_PUSH, BYTES("\0\0\4\5\4\0\0\0\1\0\0\0\2")},
    {"PUSH_PROMISE of a server", H2GUARD_CLIENT, H2GUARD_PUSH, BYTES("\0\0\4\5\4\0\0\0\1\0\0\0\2")},

    {"a compressed message", H2GUARD_SERVER, H2GUARD_COMPRESSED, BYTES("\0\0\6\0\0\0\0\0\1\1\0\0\0\1x")},
    {"a compressed message of a server", H2GUARD_CLIENT, H2GUARD_COMPRESSED,
     BYTES("\0\0\6\0\0\0\0\0\1\1\0\0\0\1x")},
    {"the flag of compression alone", H2GUARD_SERVER, H2GUARD_COMPRESSED, BYTES("\0\0\1\0\0\0\0\0\1\1")},
    {"the second message is compressed", H2GUARD_SERVER, H2GUARD_COMPRESSED,
     BYTES("\0\0\14\0\0\0\0\0\1\0\0\0\0\1x\1\0\0\0\1x")},
    {"the flag 2", H2GUARD_SERVER, H2GUARD_MESSAGE_FLAG, BYTES("\0\0\1\0\0\0\0\0\1\2")},
    {"a message of 4 GiB", H2GUARD_SERVER, H2GUARD_MESSAGE_TOO_LARGE,
     BYTES("\0\0\5\0\0\0\0\0\1\0\xff\xff\xff\xff")},
    {"the same in three frames, one padded", H2GUARD_SERVER, H2GUARD_MESSAGE_TOO_LARGE,
     BYTES("\0\0\2\0\0\0\0\0\1\0\xff"
           "\0\0\4\0\10\0\0\0\1\1\xff\xff\0"
           "\0\0\1\0\0\0\0\0\1\xff")},
};

static void feed_row(const struct row *row, size_t piece)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;

    fixture_init(&fixture);
    fixture_open(&fixture, row->role, STARTED);
    if (row->role == H2GUARD_SERVER) {
        put_headers(&fixture.in, 1, 0);
        fixture_passes(&fixture);
    } else {
        put_headers(&fixture.out, 1, 0);
        fixture_send(&fixture);
    }
    buf_bytes(&fixture.in, row->bytes.data, row->bytes.size);
    verdict = fixture_feed(&fixture, piece);
    cr_assert_eq(verdict.reason, row->reason, "%s: %s, and not %s", row->what,
                 h2guard_reason_name(verdict.reason), h2guard_reason_name(row->reason));
    cr_assert_eq(verdict.decision, row->reason == H2GUARD_NO_REASON ? H2GUARD_PASS : H2GUARD_END, "%s",
                 row->what);
    fixture_close(&fixture);
}

Test(h2guard_form, ends_what_is_forbidden_by_name_whole_and_byte_by_byte)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        feed_row(&rows[i], WHOLE);
        feed_row(&rows[i], 1);
    }
}

Test(h2guard_form, a_refused_frame_closes_no_stream)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    for (uint32_t stream = 1; stream < 1000; stream += 2) { /* every slot of the table has had one */
        put_headers(&fixture.in, stream, END_STREAM);
        fixture_passes(&fixture);
        put_headers(&fixture.out, stream, END_STREAM);
        fixture_send(&fixture);
    }
    put_zeros(&fixture.in, FRAME_HEADERS, END_HEADERS | END_STREAM, 0, 0);
    fixture_ends(&fixture, H2GUARD_FRAME_STREAM);
    cr_assert_eq(h2guard_stats(fixture.guard)->streams_open, 0);
    fixture_close(&fixture);
}

Test(h2guard_form, the_first_frame_is_settings)
{
    static const struct {
        unsigned type, flags;
        enum h2guard_reason reason;
    } firsts[] = {
        {FRAME_PING, 0, H2GUARD_FIRST_FRAME},
        {FRAME_SETTINGS, ACK, H2GUARD_FIRST_FRAME},
        {77, 0, H2GUARD_FIRST_FRAME},
        {FRAME_SETTINGS, 0, H2GUARD_NO_REASON},
    };

    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        for (int role = H2GUARD_SERVER; role <= H2GUARD_CLIENT; role++) {
            struct h2guard_fixture fixture;
            fixture_init(&fixture);
            fixture_open(&fixture, (enum h2guard_role)role, BARE);
            if (role == H2GUARD_SERVER)
                put_preface(&fixture.in);
            put_frame_head(&fixture.in, firsts[i].type, firsts[i].flags, 0, 0);
            if (firsts[i].reason == H2GUARD_NO_REASON)
                fixture_passes(&fixture);
            else
                fixture_ends(&fixture, firsts[i].reason);
            fixture_close(&fixture);
        }
    }
}

Test(h2guard_form, the_preface_is_checked_to_its_last_byte)
{
    for (size_t i = 0; i < PREFACE_BYTES; i++) {
        struct h2guard_fixture fixture;
        fixture_init(&fixture);
        fixture_open(&fixture, H2GUARD_SERVER, BARE);
        put_client_start(&fixture.in, 0);
        fixture.in.data[i] ^= 1;
        cr_assert_eq(fixture_feed(&fixture, i % 5 + 1).reason, H2GUARD_PREFACE);
        fixture_close(&fixture);
    }
}

Test(h2guard_form, compressed_messages_pass_where_the_limits_allow_them)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture.limits.allow_compressed = true;
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    put_headers(&fixture.in, 1, 0);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 6);
    put_prefix(&fixture.in, 1, 1);
    buf_byte(&fixture.in, 0);
    fixture_passes(&fixture);
    fixture_close(&fixture);
}

Test(h2guard_form, limits_that_cannot_be_used_are_named)
{
    struct h2guard_limits limits = h2guard_defaults;

    cr_assert_null(h2guard_limits_wrong(&limits));
    limits.prices[H2GUARD_ITEM_BYTE].cost = 0;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "BYTE");
    limits = h2guard_defaults;
    limits.turn_cost = 0;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "turn_cost");
    limits = h2guard_defaults;
    limits.second_cost = limits.turn_cost - 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "second_cost");
    limits = h2guard_defaults;
    limits.max_read_bytes = limits.first_read_bytes - 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "max_read_bytes");
    limits = h2guard_defaults;
    limits.max_streams = (1u << 20) + 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "max_streams");
}
