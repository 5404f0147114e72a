/* test_h2guard.c - honest traffic, as server and as client: it passes in any pieces, and is counted
 * alike; and what the guard says about itself. */
#include <criterion/criterion.h>

#include "h2guard_fixture.h"

/* A client with two streams: messages that span frames, several in one frame, a prefix that is cut,
 * padding, a header block in two parts, a cancelled call. */
static void put_honest_client(struct buf *in)
{
    put_client_start(in, 3);
    put_zeros(in, FRAME_WINDOW_UPDATE, 0, 0, 4);
    put_zeros(in, FRAME_SETTINGS, ACK, 0, 0);
    put_headers(in, 1, 0);
    put_message_frame(in, 1, 0, 300);
    put_zeros(in, FRAME_HEADERS, FRAME_WITH_PRIORITY, 3, 30);
    put_zeros(in, FRAME_CONTINUATION, END_HEADERS, 3, 12);
    put_frame_head(in, FRAME_DATA, 0, 3, 3);
    buf_bytes(in, "\0\0\0", 3); /* the first part of a prefix: 1000 bytes */
    put_frame_head(in, FRAME_DATA, 0, 3, 402);
    buf_bytes(in, "\x03\xe8", 2);
    memset(buf_extend(in, 400), 7, 400);
    put_frame_head(in, FRAME_DATA, 0, 1, 12);
    put_prefix(in, 0, 1);
    buf_byte(in, 9);
    put_prefix(in, 0, 1);
    buf_byte(in, 9);
    put_frame_head(in, FRAME_DATA, FRAME_PADDED, 3, 1 + 600 + 50);
    buf_byte(in, 50);
    memset(buf_extend(in, 600), 7, 600);
    memset(buf_extend(in, 50), 0, 50);
    put_zeros(in, FRAME_PING, 0, 0, 8);
    put_zeros(in, FRAME_RST_STREAM, 0, 3, 4);
    put_zeros(in, FRAME_PRIORITY, 0, 99, 5);
    put_message_frame(in, 1, END_STREAM, 0);
}

static void put_honest_server(struct buf *in)
{
    put_zeros(in, FRAME_SETTINGS, 0, 0, 12);
    put_zeros(in, FRAME_SETTINGS, ACK, 0, 0);
    put_headers(in, 1, 0);
    put_headers(in, 3, 0);
    put_message_frame(in, 1, 0, 70000);
    put_message_frame(in, 3, 0, 20);
    put_headers(in, 3, END_STREAM);
    put_zeros(in, FRAME_PING, ACK, 0, 8);
    put_headers(in, 1, END_STREAM);
    put_zeros(in, FRAME_GOAWAY, 0, 0, 20);
}

/* What of the other direction comes before. */
static void put_before(struct h2guard_fixture *fixture, enum h2guard_role role)
{
    if (role == H2GUARD_CLIENT)
        put_preface(&fixture->out);
    put_zeros(&fixture->out, FRAME_SETTINGS, 0, 0, 18);
    if (role == H2GUARD_CLIENT) {
        put_headers(&fixture->out, 1, 0);
        put_headers(&fixture->out, 3, END_STREAM);
        put_zeros(&fixture->out, FRAME_PING, 0, 0, 8);
    }
    fixture_send(fixture);
}

/* Feeds the traffic in pieces, with portions of `turn_cost`. Returns what was counted. */
static struct h2guard_stats counted(enum h2guard_role role, size_t piece, int64_t turn_cost)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;

    fixture_init(&fixture);
    fixture.limits.turn_cost = turn_cost;
    fixture_open(&fixture, role, BARE);
    put_before(&fixture, role);
    if (role == H2GUARD_SERVER)
        put_honest_client(&fixture.in);
    else
        put_honest_server(&fixture.in);
    verdict = fixture_feed(&fixture, piece);
    cr_assert_neq(verdict.decision, H2GUARD_END, "%s", h2guard_reason_name(verdict.reason));
    struct h2guard_stats stats = *h2guard_stats(fixture.guard);
    fixture_close(&fixture);
    return stats;
}

static void check_pieces(enum h2guard_role role)
{
    static const size_t pieces[] = {1, 2, 3, 7, 9, 10, 100, 1000, WHOLE};
    static const int64_t turn_costs[] = {1, 700, 60000, INT64_C(1) << 36};
    struct h2guard_stats whole = counted(role, WHOLE, INT64_C(1) << 36);

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t j = 0; j < ARRAY_LEN(turn_costs); j++) {
            struct h2guard_stats stats = counted(role, pieces[i], turn_costs[j]);
            stats.at_turn = whole.at_turn;
            cr_assert_eq(memcmp(&stats, &whole, sizeof(stats)), 0, "pieces of %zu bytes, turns of %lld",
                         pieces[i], (long long)turn_costs[j]);
        }
    }
}

Test(h2guard, passes_honest_clients_in_any_pieces_and_counts_them_alike)
{
    struct h2guard_stats stats = counted(H2GUARD_SERVER, WHOLE, INT64_C(1) << 36);
    const uint64_t *items = stats.total.items;

    check_pieces(H2GUARD_SERVER);
    cr_assert_eq(stats.frames_in, 15);
    cr_assert_eq(stats.streams_opened, 2);
    cr_assert_eq(stats.streams_open_max, 2);
    cr_assert_eq(stats.streams_open, 1, "stream 1 waits for our end");
    cr_assert_eq(stats.streams_reset_in, 1);
    cr_assert_eq(stats.unfinished_bytes, 0);
    cr_assert_eq(stats.settings_unacked, 0);
    cr_assert_eq(stats.unanswered, 2, "a PING and SETTINGS");
    cr_assert_eq(stats.header_bytes, 42);
    cr_assert_eq(stats.continuations, 1);
    cr_assert_eq(items[H2GUARD_ITEM_OPEN], 2);
    cr_assert_eq(items[H2GUARD_ITEM_DATA], 5);
    cr_assert_eq(items[H2GUARD_ITEM_SMALL_DATA], 1, "the first part of a prefix");
    cr_assert_eq(items[H2GUARD_ITEM_MESSAGE], 4);
    cr_assert_eq(items[H2GUARD_ITEM_EMPTY_MESSAGE], 1);
    cr_assert_eq(items[H2GUARD_ITEM_SETTING], 3);
    cr_assert_eq(items[H2GUARD_ITEM_HEADER_BYTE], 20 + 42);
    cr_assert_eq(stats.total.bytes, PREFACE_BYTES + 15 * FRAME_HEAD_BYTES + items[H2GUARD_ITEM_BYTE]);
}

Test(h2guard, passes_honest_servers_in_any_pieces_and_counts_them_alike)
{
    struct h2guard_stats stats = counted(H2GUARD_CLIENT, WHOLE, INT64_C(1) << 36);

    check_pieces(H2GUARD_CLIENT);
    cr_assert_eq(stats.streams_opened, 2);
    cr_assert_eq(stats.streams_open, 1, "stream 3 was ended by both sides");
    cr_assert_eq(stats.total.items[H2GUARD_ITEM_HEADERS], 4);
    cr_assert_eq(stats.total.items[H2GUARD_ITEM_PING_ACK], 1);
    cr_assert_eq(stats.total.waste, 16 + 2 + 8, "SETTINGS with two parameters, and a GOAWAY");
}

Test(h2guard, adds_up_the_cost_of_every_item)
{
    struct h2guard_stats stats = counted(H2GUARD_SERVER, WHOLE, INT64_C(1) << 36);
    uint64_t cost = 0, waste = 0;

    for (size_t i = 0; i < H2GUARD_ITEM_COUNT; i++) {
        cost += stats.total.items[i] * h2guard_defaults.prices[i].cost;
        waste += stats.total.items[i] * h2guard_defaults.prices[i].waste;
    }
    cr_assert_eq(stats.total.cost, cost);
    cr_assert_eq(stats.total.waste, waste);
}

Test(h2guard, counts_unfinished_bytes_of_all_streams_until_they_complete_or_close)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    for (uint32_t stream = 1; stream <= 5; stream += 2) {
        put_headers(&fixture.in, stream, 0);
        put_frame_head(&fixture.in, FRAME_DATA, 0, stream, 5 + 1000);
        put_prefix(&fixture.in, 0, 1500);
        memset(buf_extend(&fixture.in, 1000), 0, 1000);
    }
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_stats(fixture.guard)->unfinished_bytes, 3000);
    put_zeros(&fixture.in, FRAME_DATA, 0, 1, 500);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_stats(fixture.guard)->unfinished_bytes, 2000, "one is complete");
    put_zeros(&fixture.in, FRAME_RST_STREAM, 0, 3, 4);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_stats(fixture.guard)->unfinished_bytes, 1000, "one was reset by the peer");
    put_zeros(&fixture.out, FRAME_RST_STREAM, 0, 5, 4);
    fixture_send(&fixture);
    cr_assert_eq(h2guard_stats(fixture.guard)->unfinished_bytes, 0, "one was reset by us");
    fixture_close(&fixture);
}

Test(h2guard, keeps_a_stream_until_both_sides_have_ended_it)
{
    struct h2guard_fixture fixture;
    const struct h2guard_stats *stats;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    stats = h2guard_stats(fixture.guard);
    put_headers(&fixture.in, 1, END_STREAM);
    put_headers(&fixture.in, 3, 0);
    fixture_passes(&fixture);
    cr_assert_eq(stats->streams_open, 2);
    put_headers(&fixture.out, 1, END_STREAM);
    put_headers(&fixture.out, 3, END_STREAM);
    fixture_send(&fixture);
    cr_assert_eq(stats->streams_open, 1, "the client has not ended stream 3");
    put_message_frame(&fixture.in, 3, END_STREAM, 100);
    fixture_passes(&fixture);
    cr_assert_eq(stats->streams_open, 0);
    fixture_close(&fixture);
}

Test(h2guard, passes_frames_that_were_on_their_way_to_a_stream_that_we_reset)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture.limits.late_frames = 1000;
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    put_headers(&fixture.in, 1, 0);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 100);
    put_prefix(&fixture.in, 0, 5000);
    fixture_passes(&fixture);
    put_zeros(&fixture.out, FRAME_RST_STREAM, 0, 1, 4);
    fixture_send(&fixture);
    memset(buf_extend(&fixture.in, 95), 0, 95); /* the rest of the frame */
    for (int i = 0; i < 1000; i++)
        put_zeros(&fixture.in, FRAME_DATA, 0, 1, 50);
    fixture_passes(&fixture);
    cr_assert_eq(fixture_count(&fixture, H2GUARD_ITEM_LATE), 1000);
    put_zeros(&fixture.in, FRAME_DATA, 0, 1, 50);
    fixture_passes(&fixture);
    cr_assert_eq(fixture_count(&fixture, H2GUARD_ITEM_STRAY), 1, "the credit is used up");
    fixture_close(&fixture);
}

Test(h2guard, lets_a_consumer_update_windows_and_ping_as_often_as_it_gets_data)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    put_headers(&fixture.in, 1, END_STREAM);
    fixture_passes(&fixture);
    for (int i = 0; i < 100000; i++) {
        put_zeros(&fixture.out, FRAME_DATA, 0, 1, 100);
        put_zeros(&fixture.out, FRAME_PING, ACK, 0, 8);
        fixture_send(&fixture);
        put_zeros(&fixture.in, FRAME_WINDOW_UPDATE, 0, 0, 4);
        put_zeros(&fixture.in, FRAME_WINDOW_UPDATE, 0, 1, 4);
        put_zeros(&fixture.in, FRAME_PING, 0, 0, 8);
        fixture_passes(&fixture);
    }
    cr_assert_eq(fixture_count(&fixture, H2GUARD_ITEM_IDLE_PING), 0);
    cr_assert_eq(fixture_count(&fixture, H2GUARD_ITEM_IDLE_UPDATE), 0);
    fixture_close(&fixture);
}

Test(h2guard, takes_the_memory_that_its_header_says)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    cr_assert_leq(h2guard_memory(fixture.guard), MAX_H2GUARD_BYTES);
    for (uint32_t i = 0; i < fixture.limits.max_streams; i++)
        put_headers(&fixture.in, 2 * i + 1, 0);
    fixture_passes(&fixture);
    cr_assert_leq(h2guard_memory(fixture.guard), MAX_H2GUARD_BYTES + 40 * 1024);
    fixture_close(&fixture);
}

/* Puts a GOAWAY of the core: the last stream is 7. */
static void put_goaway(struct buf *out, uint32_t code, const char *text)
{
    const uint8_t fixed[] = {
        0, 0, 0, 7, (uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code};

    put_frame_head(out, FRAME_GOAWAY, 0, 0, (uint32_t)(sizeof(fixed) + strlen(text)));
    buf_bytes(out, fixed, sizeof(fixed));
    buf_text(out, text);
}

Test(h2guard, remembers_the_code_with_which_the_core_ends_the_connection)
{
    struct h2guard_fixture fixture;

    for (size_t piece = 1; piece <= 40; piece++) {
        fixture_init(&fixture);
        fixture_open(&fixture, H2GUARD_SERVER, STARTED);
        cr_assert_eq(h2guard_stats(fixture.guard)->goaways_out, 0);
        put_goaway(&fixture.out, 0, "max_age");
        put_zeros(&fixture.out, FRAME_GOAWAY, 0, 0, 7); /* no core sends so short a one */
        put_zeros(&fixture.out, FRAME_DATA, 0, 1, 20);
        put_goaway(&fixture.out, 0x01020304, "");
        put_goaway(&fixture.out, 11, "too_many_pings");
        put_zeros(&fixture.out, FRAME_PING, ACK, 0, 8);
        for (size_t done = 0; done < fixture.out.size; done += piece)
            h2guard_out(fixture.guard,
                        (struct bytes){fixture.out.data + done, MIN_OF(piece, fixture.out.size - done)});
        cr_assert_eq(h2guard_stats(fixture.guard)->goaways_out, 3);
        cr_assert_eq(h2guard_stats(fixture.guard)->goaway_code, 11, "pieces of %zu bytes", piece);
        cr_assert(h2guard_out_is_whole(fixture.guard));
        buf_clear(&fixture.out);
        put_goaway(&fixture.out, 0x01020304, "");
        fixture_send(&fixture);
        cr_assert_eq(h2guard_stats(fixture.guard)->goaway_code, 0x01020304);
        cr_assert_eq(fixture.counters.ends[H2GUARD_BY_CORE], 1, "of one connection");
        fixture_close(&fixture);
    }
}

Test(h2guard, says_why_it_ended_and_writes_a_goaway_where_the_output_is_whole)
{
    static const uint8_t expected[] = "\0\0\x19\x07\0\0\0\0\0\0\0\0\x05\0\0\0\x0bMESSAGE_TOO_LARGE";
    struct h2guard_fixture fixture;
    uint8_t frame[MAX_H2GUARD_GOAWAY];
    char text[128], small[10];

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    cr_assert(h2guard_out_is_whole(fixture.guard));
    put_frame_head(&fixture.out, FRAME_PING, 0, 0, 8);
    fixture_send(&fixture);
    cr_assert(!h2guard_out_is_whole(fixture.guard));
    buf_text(&fixture.out, "12345678");
    fixture_send(&fixture);
    cr_assert(h2guard_out_is_whole(fixture.guard));

    put_headers(&fixture.in, 5, 0);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 5, 5);
    put_prefix(&fixture.in, 0, 600000000);
    fixture_ends(&fixture, H2GUARD_MESSAGE_TOO_LARGE);
    h2guard_explain(fixture.guard, text, sizeof(text));
    cr_assert_str_eq(text, "a message declares too many bytes: 600000000, at most 4194304 (stream 5)");
    cr_assert_eq(h2guard_explain(fixture.guard, small, sizeof(small)), 9);
    cr_assert_str_eq(small, "a message");
    cr_assert_eq(h2guard_goaway(fixture.guard, frame), sizeof(expected) - 1);
    cr_assert_eq(memcmp(frame, expected, sizeof(expected) - 1), 0);
    fixture_close(&fixture);
}

Test(h2guard, stays_ended)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, BARE);
    buf_text(&fixture.in, "GET / HTTP/1.1\r\n\r\n");
    fixture_ends(&fixture, H2GUARD_PREFACE);
    put_client_start(&fixture.in, 0);
    fixture_ends(&fixture, H2GUARD_PREFACE);
    cr_assert_eq(h2guard_portion(fixture.guard), 0);
    cr_assert_eq(h2guard_wait_ns(fixture.guard), 0);
    cr_assert_eq(h2guard_check(fixture.guard, fixture.now_ns).decision, H2GUARD_END);
    fixture_close(&fixture);
}

Test(h2guard, has_a_name_a_text_and_a_code_for_every_reason)
{
    for (unsigned i = 0; i < H2GUARD_REASON_COUNT; i++) {
        enum h2guard_reason reason = (enum h2guard_reason)i;
        cr_assert_gt(strlen(h2guard_reason_name(reason)), 0);
        cr_assert_gt(strlen(h2guard_reason_text(reason)), 0);
        cr_assert_leq(h2guard_reason_code(reason), 13);
        cr_assert_leq(strlen(h2guard_reason_name(reason)), MAX_H2GUARD_GOAWAY - 17);
    }
    cr_assert_str_eq(h2guard_reason_name(H2GUARD_REASON_COUNT), "UNKNOWN");
    cr_assert_str_eq(h2guard_item_name(H2GUARD_ITEM_EMPTY_DATA), "EMPTY_DATA");
    cr_assert_str_eq(h2guard_item_name(H2GUARD_ITEM_COUNT), "UNKNOWN");
}

Test(h2guard, keeps_what_is_unfinished_and_a_price_for_each_stream_until_it_is_ended_from_outside)
{
    struct h2guard_fixture fixture;
    char text[128];

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    cr_assert_eq(h2guard_kept(fixture.guard), 0);
    for (uint32_t stream = 1; stream <= 3; stream += 2) {
        put_headers(&fixture.in, stream, 0);
        put_frame_head(&fixture.in, FRAME_DATA, 0, stream, 5 + 1000);
        put_prefix(&fixture.in, 0, 1500);
        memset(buf_extend(&fixture.in, 1000), 0, 1000);
    }
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), 2 * (1005 + fixture.limits.stream_bytes));
    put_zeros(&fixture.in, FRAME_RST_STREAM, 0, 3, 4);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), 1005 + fixture.limits.stream_bytes);

    h2guard_end(fixture.guard, H2GUARD_KEPT_BY_PEER, 5000, 4000);
    cr_assert_eq(h2guard_kept(fixture.guard), 0);
    h2guard_end(fixture.guard, H2GUARD_KEPT_BY_ALL, 1, 1);
    put_headers(&fixture.in, 5, 0);
    fixture_ends(&fixture, H2GUARD_KEPT_BY_PEER);
    h2guard_explain(fixture.guard, text, sizeof(text));
    cr_assert_str_eq(
        text, "this peer's connections keep too many bytes, and this one the most: 5000, at most 4000");
    fixture_close(&fixture);
}
