/* test_h2guard_attacks.c - each attack ends its connection at the number that the table of prices
 * or the limits say, and one before it does not (findings 1, 2 and 3). */
#include <criterion/criterion.h>

#include "h2guard_fixture.h"

/* How often something that costs this waste may happen at once, on a connection that has wasted
 * nothing so far. */
#define WASTE_ALLOWS(points) (10000u / (points))

/* What the attacker sends once, and then again and again. Its number counts from 0. */
struct attack {
    const char *name;
    void (*before)(struct h2guard_fixture *fixture);
    void (*unit)(struct buf *in, uint32_t number);
    uint32_t allowed; /* so many units pass; one more ends the connection */
    enum h2guard_reason reason;
    bool answered; /* the core answers each unit as it does a PING */
    enum h2guard_role role;
};

static void nothing(struct h2guard_fixture *fixture)
{
    (void)fixture;
}

static void open_one(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->in, 1, 0);
}

/* A message of 1 MB has begun. */
static void begin_message(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->in, 1, 0);
    put_frame_head(&fixture->in, FRAME_DATA, 0, 1, 5);
    put_prefix(&fixture->in, 0, 1000000);
}

/* The prefix of a message has begun: its first byte. */
static void begin_prefix(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->in, 1, END_STREAM);
    put_headers(&fixture->in, 3, 0);
    put_message_frame(&fixture->in, 3, 0, 0); /* a stream's first empty message is no waste */
}

static void begin_block(struct h2guard_fixture *fixture)
{
    put_zeros(&fixture->in, FRAME_HEADERS, 0, 1, 0);
}

static void close_one(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->in, 1, 0);
    put_zeros(&fixture->in, FRAME_RST_STREAM, 0, 1, 4);
    fixture_passes(fixture);
}

static void client_opens_one(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->out, 1, 0);
    fixture_send(fixture);
}

static void reset(struct buf *in, uint32_t number)
{
    put_headers(in, 2 * number + 1, 0);
    put_zeros(in, FRAME_RST_STREAM, 0, 2 * number + 1, 4);
}

static void open_stream(struct buf *in, uint32_t number)
{
    put_headers(in, 2 * number + 1, 0);
}

/* A partial message of a size that is allowed. */
static void partial(struct buf *in, uint32_t number)
{
    uint32_t stream = 2 * number + 1, size = 1024 * 1024;

    put_headers(in, stream, 0);
    for (uint32_t i = 0; i < 16; i++) {
        put_frame_head(in, FRAME_DATA, 0, stream, size / 16 + (i == 0 ? 5 : 0));
        if (i == 0)
            put_prefix(in, 0, size + 1);
        memset(buf_extend(in, size / 16), 0, size / 16);
    }
}

static void continuation(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_CONTINUATION, 0, 1, 16);
}

static void large_continuation(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_CONTINUATION, 0, 1, 16384);
}

static void settings(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_SETTINGS, 0, 0, 0);
}

static void large_settings(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_SETTINGS, 0, 0, 6 * 484);
}

static void ping(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_PING, 0, 0, 8);
}

static void ping_ack(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_PING, ACK, 0, 8);
}

static void settings_ack(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_SETTINGS, ACK, 0, 0);
}

static void empty_data(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_DATA, 0, 1, 0);
}

static void padded_data(struct buf *in, uint32_t number)
{
    (void)number;
    put_frame_head(in, FRAME_DATA, FRAME_PADDED, 1, 256);
    buf_byte(in, 255);
    memset(buf_extend(in, 255), 0, 255);
}

static void one_byte(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_DATA, 0, 1, 1);
}

static void padded_byte(struct buf *in, uint32_t number)
{
    (void)number;
    put_frame_head(in, FRAME_DATA, FRAME_PADDED, 1, 32);
    buf_byte(in, 30);
    memset(buf_extend(in, 31), 0, 31);
}

/* An empty message, each byte in a frame of its own: the fifth completes it. */
static void trickled_message(struct buf *in, uint32_t number)
{
    (void)number;
    for (int i = 0; i < 5; i++)
        put_zeros(in, FRAME_DATA, 0, 3, 1);
}

static void empty_message(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_DATA, 0, 3, 5);
}

static void packed_empty_messages(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_DATA, 0, 3, 5 * 100);
}

static void window_update(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_WINDOW_UPDATE, 0, 1, 4);
}

static void priority(struct buf *in, uint32_t number)
{
    put_zeros(in, FRAME_PRIORITY, 0, number % 7 + 1, 5);
}

static void unknown(struct buf *in, uint32_t number)
{
    put_zeros(in, 10 + number % 200, 0, 1, 4);
}

static void goaway(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_GOAWAY, 0, 0, 8);
}

static void stray(struct buf *in, uint32_t number)
{
    (void)number;
    put_zeros(in, FRAME_DATA, 0, 1, 100);
}

static void idle_reset(struct buf *in, uint32_t number)
{
    put_zeros(in, FRAME_RST_STREAM, 0, 2 * number + 1, 4);
}

static void more_headers(struct buf *in, uint32_t number)
{
    (void)number;
    put_headers(in, 1, 0);
}

static const struct attack attacks[] = {
    {"rapid reset (row_30)", nothing, reset, WASTE_ALLOWS(16), H2GUARD_FLOOD_RESETS, false, H2GUARD_SERVER},
    {"CONTINUATION flood (row_31)", begin_block, continuation, 8, H2GUARD_TOO_MANY_CONTINUATIONS, false,
     H2GUARD_SERVER},
    {"a header block without end (row_31)", begin_block, large_continuation, 4, H2GUARD_HEADER_TOO_LARGE,
     false, H2GUARD_SERVER},
    {"SETTINGS flood (row_32)", nothing, settings, WASTE_ALLOWS(16), H2GUARD_FLOOD_SETTINGS, true,
     H2GUARD_SERVER},
    {"SETTINGS flood of a server", nothing, settings, WASTE_ALLOWS(16), H2GUARD_FLOOD_SETTINGS, true,
     H2GUARD_CLIENT},
    {"SETTINGS with many parameters", nothing, large_settings, WASTE_ALLOWS(500), H2GUARD_FLOOD_SETTINGS,
     true, H2GUARD_SERVER},
    {"SETTINGS whose answers are not read", nothing, settings, 64, H2GUARD_UNANSWERED, false, H2GUARD_SERVER},
    {"PING flood (row_32)", nothing, ping, WASTE_ALLOWS(4), H2GUARD_FLOOD_PINGS, true, H2GUARD_SERVER},
    {"PINGs whose answers are not read", nothing, ping, 64, H2GUARD_UNANSWERED, false, H2GUARD_SERVER},
    {"acknowledgements of no PING", nothing, ping_ack, WASTE_ALLOWS(4), H2GUARD_FLOOD_PINGS, false,
     H2GUARD_SERVER},
    {"acknowledgements of no SETTINGS", nothing, settings_ack, WASTE_ALLOWS(4), H2GUARD_FLOOD_PINGS, false,
     H2GUARD_CLIENT},
    {"empty DATA (row_32)", open_one, empty_data, WASTE_ALLOWS(4), H2GUARD_FLOOD_EMPTY_DATA, false,
     H2GUARD_SERVER},
    {"DATA with padding only", open_one, padded_data, WASTE_ALLOWS(4), H2GUARD_FLOOD_EMPTY_DATA, false,
     H2GUARD_SERVER},
    {"DATA of a byte (row_33)", begin_message, one_byte, WASTE_ALLOWS(1), H2GUARD_FLOOD_SMALL_DATA, false,
     H2GUARD_SERVER},
    {"DATA of a byte, padded", begin_message, padded_byte, WASTE_ALLOWS(1), H2GUARD_FLOOD_SMALL_DATA, false,
     H2GUARD_SERVER},
    {"messages in frames of a byte", begin_prefix, trickled_message, WASTE_ALLOWS(5),
     H2GUARD_FLOOD_SMALL_DATA, false, H2GUARD_SERVER},
    {"empty messages", begin_prefix, empty_message, WASTE_ALLOWS(1), H2GUARD_FLOOD_EMPTY_MESSAGES, false,
     H2GUARD_SERVER},
    {"empty messages, packed", begin_prefix, packed_empty_messages, WASTE_ALLOWS(100),
     H2GUARD_FLOOD_EMPTY_MESSAGES, false, H2GUARD_SERVER},
    {"WINDOW_UPDATE flood (row_32)", open_one, window_update, WASTE_ALLOWS(1), H2GUARD_FLOOD_WINDOW_UPDATES,
     false, H2GUARD_SERVER},
    {"WINDOW_UPDATE flood of a server", client_opens_one, window_update, WASTE_ALLOWS(1),
     H2GUARD_FLOOD_WINDOW_UPDATES, false, H2GUARD_CLIENT},
    {"PRIORITY flood (row_32)", nothing, priority, WASTE_ALLOWS(1), H2GUARD_FLOOD_PRIORITY, false,
     H2GUARD_SERVER},
    {"unknown frames (row_32)", nothing, unknown, WASTE_ALLOWS(1), H2GUARD_FLOOD_OTHER, false,
     H2GUARD_SERVER},
    {"GOAWAY flood", nothing, goaway, WASTE_ALLOWS(8), H2GUARD_FLOOD_OTHER, false, H2GUARD_SERVER},
    {"frames on a closed stream", close_one, stray, WASTE_ALLOWS(1) - 16, H2GUARD_FLOOD_LATE, false,
     H2GUARD_SERVER},
    {"RST_STREAM on streams that were never opened", nothing, idle_reset, WASTE_ALLOWS(1), H2GUARD_FLOOD_LATE,
     false, H2GUARD_SERVER},
    {"HEADERS that are no trailers", open_one, more_headers, WASTE_ALLOWS(4), H2GUARD_FLOOD_HEADERS, false,
     H2GUARD_SERVER},
    {"interim responses", client_opens_one, more_headers, WASTE_ALLOWS(4) + 1, H2GUARD_FLOOD_HEADERS, false,
     H2GUARD_CLIENT},
    {"streams that stay open", nothing, open_stream, 1024, H2GUARD_TOO_MANY_STREAMS, false, H2GUARD_SERVER},
    {"partial messages (row_33)", nothing, partial, 32, H2GUARD_UNFINISHED, false, H2GUARD_SERVER},
};

/* Sends units, in pieces of `piece` bytes. The setup wasted nothing: the first SETTINGS are counted
 * before the bucket is full again. */
static void run(const struct attack *attack, size_t piece)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict = {.decision = H2GUARD_PASS};
    uint32_t sent = 0;
    char text[256];

    fixture_init(&fixture);
    fixture_open(&fixture, attack->role, STARTED);
    fixture.now_ns += SECOND_NS;
    h2guard_turn(fixture.guard, fixture.now_ns);
    attack->before(&fixture);
    while (verdict.decision != H2GUARD_END) {
        cr_assert_leq(sent, attack->allowed, "%s: nothing ended it", attack->name);
        attack->unit(&fixture.in, sent++);
        verdict = fixture_feed(&fixture, piece);
        if (attack->answered) {
            put_zeros(&fixture.out, FRAME_PING, ACK, 0, 8);
            fixture_send(&fixture);
        }
    }
    h2guard_explain(fixture.guard, text, sizeof(text));
    cr_assert_eq(verdict.reason, attack->reason, "%s: %s", attack->name, text);
    cr_assert_eq(sent, attack->allowed + 1, "%s: %u passed: %s", attack->name, sent - 1, text);
    cr_assert_eq(fixture.counters.ends[attack->reason], 1);
    fixture_close(&fixture);
}

Test(h2guard_attacks, end_at_the_number_that_the_table_says)
{
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
        run(&attacks[i], WHOLE);
}

Test(h2guard_attacks, end_there_byte_by_byte_too)
{
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
        if (attacks[i].reason != H2GUARD_UNFINISHED)
            run(&attacks[i], 1);
}

Test(h2guard_attacks, a_message_may_declare_as_much_as_the_limit_says_and_not_a_byte_more)
{
    for (uint32_t more = 0; more <= 1; more++) {
        struct h2guard_fixture fixture;
        fixture_init(&fixture);
        fixture_open(&fixture, H2GUARD_SERVER, STARTED);
        put_headers(&fixture.in, 1, 0);
        put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 16384);
        put_prefix(&fixture.in, 0, fixture.limits.max_message_bytes + more);
        if (more)
            fixture_ends(&fixture, H2GUARD_MESSAGE_TOO_LARGE);
        else
            fixture_passes(&fixture);
        fixture_close(&fixture);
    }
}

Test(h2guard_attacks, waste_that_is_slow_enough_goes_on_for_ever)
{
    struct h2guard_fixture fixture;
    uint32_t stream = 1;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    for (int i = 0; i < 100000; i++) { /* a reset for each 6.4 ms: 156 in a second */
        reset(&fixture.in, stream++);
        fixture.now_ns += 6400 * 1000;
        fixture_passes(&fixture);
    }
    for (int i = 0; i < 700; i++)
        reset(&fixture.in, stream++);
    fixture_ends(&fixture, H2GUARD_FLOOD_RESETS);
    fixture_close(&fixture);
}

Test(h2guard_attacks, a_reset_after_an_answer_is_no_waste)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    for (uint32_t stream = 1; stream < 40000; stream += 2) {
        put_headers(&fixture.in, stream, 0);
        fixture_passes(&fixture);
        put_headers(&fixture.out, stream, 0);
        fixture_send(&fixture);
        put_zeros(&fixture.in, FRAME_RST_STREAM, 0, stream, 4);
        fixture_passes(&fixture);
    }
    cr_assert_eq(fixture_count(&fixture, H2GUARD_ITEM_RESET), 20000);
    fixture_close(&fixture);
}

Test(h2guard_attacks, a_client_that_opens_too_many_streams_itself_ends)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_CLIENT, STARTED);
    for (uint32_t i = 0; i <= fixture.limits.max_streams; i++)
        put_headers(&fixture.out, 2 * i + 1, 0);
    fixture_send(&fixture);
    put_headers(&fixture.in, 1, 0);
    fixture_ends(&fixture, H2GUARD_TOO_MANY_STREAMS);
    fixture_close(&fixture);
}
