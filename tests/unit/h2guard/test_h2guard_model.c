/* test_h2guard_model.c - random frames of both directions, cut at random places, compared with a
 * plain model; and with portions, the guard stops at the same bytes however the bytes are cut.
 *
 * A failure names its seed; TRIBUTARY_SEED=<it> runs that one first. */
#include <criterion/criterion.h>

#include "guard_model.h"
#include "h2guard_fixture.h"
#include "lib/events.h"

#define SCHEDULES 2000
#define MAX_FRAMES 60

static uint64_t seed; /* of the schedule that runs */

/* Fails the test with the schedule's seed. */
#define AGREES(a, b, what) cr_assert_eq(a, b, "TRIBUTARY_SEED=%llu: %s", (unsigned long long)seed, what)

/* Limits that random frames reach now and then. */
static void small_limits(struct h2guard_limits *limits)
{
    limits->waste_burst = 90;
    limits->max_streams = 6;
    limits->max_message_bytes = 300;
    limits->max_unfinished_bytes = 500;
    limits->max_frame_bytes = 400;
    limits->max_header_bytes = 150;
    limits->max_continuations = 2;
    limits->max_unanswered = 6;
    limits->late_frames = 3;
    limits->max_updates = 4;
    limits->max_pings = 2;
    limits->small_data_bytes = 4;
}

static uint32_t roll(struct dice *dice, uint32_t sides)
{
    return (uint32_t)dice_roll(dice, sides);
}

/* The messages of one stream: a prefix of which so many bytes were sent, and then so many more. */
struct messages {
    uint8_t prefix[5];
    uint32_t prefix_sent; /* 0: no message has begun */
    uint32_t left;
};

struct generator {
    struct dice *dice;
    const struct guard_model *model;
    uint32_t next; /* a number that no stream has had yet */
    struct messages messages[MODEL_STREAMS];
};

/* Bytes of messages, some of which break a bound. */
static void put_data(struct dice *dice, struct buf *buf, uint32_t size, struct messages *messages)
{
    for (uint32_t i = 0; i < size; i++) {
        if (messages->prefix_sent == 0) {
            uint32_t length = roll(dice, 3) == 0 ? 0 : roll(dice, roll(dice, 60) == 0 ? 320 : 290);
            messages->prefix[0] = roll(dice, 300) == 0 ? (uint8_t)roll(dice, 4) : 0;
            messages->prefix[3] = (uint8_t)(length >> 8);
            messages->prefix[4] = (uint8_t)length;
            messages->left = length;
        }
        if (messages->prefix_sent < 5) {
            buf_byte(buf, messages->prefix[messages->prefix_sent++]);
        } else {
            buf_byte(buf, 7);
            messages->left--;
        }
        if (messages->prefix_sent == 5 && messages->left == 0)
            messages->prefix_sent = 0;
    }
}

/* Most of the time a stream on which the peer may send. */
static uint32_t some_stream(struct generator *generator)
{
    uint32_t first = roll(generator->dice, MODEL_STREAMS);

    if (roll(generator->dice, 300) == 0)
        return roll(generator->dice, 8);
    for (uint32_t i = 0; i < MODEL_STREAMS; i++) {
        uint32_t id = (first + i) % MODEL_STREAMS;
        const struct model_stream *stream = &generator->model->streams[id];
        if (stream->open && !stream->peer_ended)
            return id;
    }
    return 1;
}

static void put_random_data(struct generator *generator, struct buf *buf)
{
    struct dice *dice = generator->dice;
    uint32_t id = some_stream(generator);
    uint32_t size = roll(dice, 3) == 0 ? roll(dice, 8) : roll(dice, 200);
    uint32_t padding = roll(dice, 6) == 0 ? roll(dice, 20) : 0;
    unsigned flags = (roll(dice, 12) == 0 ? END_STREAM : 0) | (padding > 0 ? FRAME_PADDED : 0);

    put_frame_head(buf, FRAME_DATA, flags, id, size + (padding > 0 ? padding + 1 : 0));
    if (padding > 0)
        buf_byte(buf, (uint8_t)(roll(dice, 40) == 0 ? 255 : padding));
    put_data(dice, buf, size, &generator->messages[id % MODEL_STREAMS]);
    for (uint32_t i = 0; i < padding; i++)
        buf_byte(buf, (uint8_t)roll(dice, 256));
}

static void put_random_headers(struct generator *generator, struct buf *buf, bool opens)
{
    struct dice *dice = generator->dice;
    uint32_t id = opens && generator->next < MODEL_STREAMS - 4 ? generator->next : some_stream(generator);
    uint32_t parts = roll(dice, 6) == 0 ? 1 + roll(dice, roll(dice, 6) == 0 ? 3 : 2) : 0;
    unsigned flags = (roll(dice, 4) == 0 ? END_STREAM : 0) | (roll(dice, 6) == 0 ? FRAME_WITH_PRIORITY : 0);

    if (id == generator->next)
        generator->next += roll(dice, 8) == 0 ? 4 : 2;
    put_zeros(buf, FRAME_HEADERS, flags | (parts == 0 ? END_HEADERS : 0), id, roll(dice, 100));
    for (uint32_t i = 1; i <= parts; i++)
        put_zeros(buf, FRAME_CONTINUATION, i == parts ? END_HEADERS : 0, id, roll(dice, 60));
}

/* Many cheap frames of one kind. */
static void put_burst(struct generator *generator, struct buf *buf)
{
    struct dice *dice = generator->dice;
    uint32_t kind = roll(dice, 6), number = 1 + roll(dice, 120), id = some_stream(generator);

    for (uint32_t i = 0; i < number; i++) {
        if (kind == 0) {
            put_zeros(buf, FRAME_WINDOW_UPDATE, 0, id, 4);
        } else if (kind == 1) {
            put_zeros(buf, FRAME_PRIORITY, 0, 1, 5);
        } else if (kind == 2) {
            put_zeros(buf, 20, 0, id, 1);
        } else if (kind == 3) {
            put_zeros(buf, FRAME_HEADERS, END_HEADERS, id, 1);
        } else if (kind == 4) {
            put_zeros(buf, FRAME_PING, 0, 0, 8);
        } else if (generator->next < MODEL_STREAMS - 4) {
            put_headers(buf, generator->next, 0);
            put_zeros(buf, FRAME_RST_STREAM, 0, generator->next, 4);
            generator->next += 2;
        }
    }
}

/* A frame of the peer's. */
static void put_random_in(struct generator *generator, struct buf *buf)
{
    bool opens = generator->model->role == H2GUARD_SERVER;
    struct dice *dice = generator->dice;

    if (model_open_streams(generator->model) == 0 && roll(dice, 50) > 0) {
        if (opens)
            put_random_headers(generator, buf, true);
        else
            put_zeros(buf, FRAME_PING, ACK, 0, 8);
        return;
    }
    switch (roll(dice, 24)) {
    case 0:
    case 1:
        put_random_headers(generator, buf, opens);
        break;
    case 2:
        put_zeros(buf, FRAME_RST_STREAM, 0, some_stream(generator), 4);
        break;
    case 3:
        put_zeros(buf, FRAME_WINDOW_UPDATE, 0, roll(dice, 2) ? 0 : some_stream(generator), 4);
        break;
    case 4:
        put_zeros(buf, FRAME_PING, roll(dice, 2), 0, 8);
        break;
    case 5:
        if (roll(dice, 2))
            put_zeros(buf, FRAME_SETTINGS, 0, 0, 6 * roll(dice, 3));
        else
            put_zeros(buf, FRAME_SETTINGS, ACK, 0, 0);
        break;
    case 6:
        put_zeros(buf, FRAME_PRIORITY, 0, 1 + roll(dice, 9), 5);
        break;
    case 7: /* anything at all, now and then */
        if (roll(dice, 8) == 0)
            put_zeros(buf, roll(dice, 12), roll(dice, 256), roll(dice, 10), roll(dice, 12));
        else
            put_zeros(buf, FRAME_DATA, 0, some_stream(generator), roll(dice, 40) == 0 ? 401 : 0);
        break;
    case 8:
        if (roll(dice, 10) == 0)
            put_burst(generator, buf);
        break;
    default:
        put_random_data(generator, buf);
        break;
    }
}

/* A frame of ours. It goes to the model at once. */
static void put_random_out(struct generator *generator, struct buf *buf, struct guard_model *model)
{
    static const unsigned types[] = {FRAME_DATA,    FRAME_DATA,          FRAME_HEADERS,
                                     FRAME_HEADERS, FRAME_RST_STREAM,    FRAME_SETTINGS,
                                     FRAME_PING,    FRAME_WINDOW_UPDATE, FRAME_GOAWAY};
    struct dice *dice = generator->dice;
    unsigned type = types[roll(dice, ARRAY_LEN(types))];
    unsigned flags = roll(dice, 4) == 0 ? 1 : 0;
    bool on_connection = type == FRAME_SETTINGS || type == FRAME_PING || type == FRAME_GOAWAY;
    uint32_t id = on_connection ? 0 : some_stream(generator) | 1u;

    if (model->role == H2GUARD_CLIENT && type == FRAME_HEADERS && generator->next < MODEL_STREAMS - 4) {
        id = generator->next;
        generator->next += 2;
    }
    put_zeros(buf, type, flags, id, roll(dice, 30));
    model_out(model, type, flags, id);
}

/* A size of 1 to `max` bytes, and at most `left`. */
static size_t piece(struct dice *dice, size_t max, size_t left)
{
    size_t size = max > 1 ? 1 + dice_roll(dice, max) : 1;

    return MIN_OF(size, left);
}

static void send_in_pieces(struct h2guard_fixture *fixture, struct dice *dice)
{
    for (size_t done = 0; done < fixture->out.size;) {
        size_t size = piece(dice, 30, fixture->out.size - done);
        h2guard_out(fixture->guard, (struct bytes){fixture->out.data + done, size});
        done += size;
    }
    buf_clear(&fixture->out);
}

/* Feeds `size` bytes of `in` from `from` on, in random pieces, to guard and model. */
static void feed_both(struct h2guard_fixture *fixture, struct guard_model *model, struct dice *dice,
                      size_t from, size_t to)
{
    while (from < to && model->reason == H2GUARD_NO_REASON) {
        size_t size = roll(dice, 3) == 0 ? to - from : piece(dice, 40, to - from);
        struct h2guard_verdict verdict =
            h2guard_in(fixture->guard, (struct bytes){fixture->in.data + from, size});
        for (size_t i = 0; i < size; i++)
            model_in(model, fixture->in.data[from + i]);
        cr_assert_eq(verdict.reason, model->reason, "TRIBUTARY_SEED=%llu: %s, and the model says %s",
                     (unsigned long long)seed, h2guard_reason_name(verdict.reason),
                     h2guard_reason_name(model->reason));
        from += size;
    }
}

static void compare(struct h2guard_fixture *fixture, const struct guard_model *model)
{
    const struct h2guard_stats *stats = h2guard_stats(fixture->guard);

    AGREES(stats->frames_in, model->frames, "frames");
    if (model->reason != H2GUARD_NO_REASON)
        return; /* of the bytes in which it ended, the guard may have counted more */
    for (unsigned i = 0; i < H2GUARD_ITEM_COUNT; i++)
        AGREES(stats->total.items[i], model->items[i], h2guard_item_name((enum h2guard_item)i));
    AGREES(stats->total.cost, model_cost(model), "cost");
    AGREES(stats->total.waste, model_waste(model), "waste");
    AGREES(stats->streams_open, model_open_streams(model), "open streams");
    AGREES(stats->unfinished_bytes, model_unfinished(model), "unfinished bytes");
    AGREES(stats->unanswered, model->unanswered, "unanswered");
    AGREES(stats->settings_unacked, model->settings_unacked, "unacknowledged SETTINGS");
}

/* One schedule. Returns how it ended. */
static enum h2guard_reason run(void)
{
    struct dice dice = {seed};
    struct guard_model model;
    struct generator generator = {.dice = &dice, .model = &model, .next = 1};
    enum h2guard_role role = roll(&dice, 2) ? H2GUARD_SERVER : H2GUARD_CLIENT;
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    small_limits(&fixture.limits);
    fixture_open(&fixture, role, BARE);
    model_init(&model, role, &fixture.limits);
    if (role == H2GUARD_CLIENT)
        put_preface(&fixture.out);
    h2guard_turn(fixture.guard, fixture.now_ns);
    if (role == H2GUARD_SERVER)
        put_preface(&fixture.in);
    put_zeros(&fixture.in, FRAME_SETTINGS, 0, 0, 6);
    for (int i = 0; i < MAX_FRAMES && model.reason == H2GUARD_NO_REASON; i++) {
        size_t middle = roll(&dice, (uint32_t)fixture.in.size + 1);
        feed_both(&fixture, &model, &dice, 0, middle);
        for (uint32_t out = roll(&dice, 3); out > 0; out--)
            put_random_out(&generator, &fixture.out, &model);
        send_in_pieces(&fixture, &dice);
        feed_both(&fixture, &model, &dice, middle, fixture.in.size);
        compare(&fixture, &model);
        buf_clear(&fixture.in);
        put_random_in(&generator, &fixture.in);
    }
    model_fini(&model);
    fixture_close(&fixture);
    return model.reason;
}

Test(h2guard_model, agrees_with_a_plain_model_over_random_frames_and_cuts, .timeout = 100)
{
    uint64_t ends[H2GUARD_REASON_COUNT] = {0};
    struct dice dice = dice_new("h2guard_model");

    seed = dice.state;
    for (int i = 0; i < SCHEDULES; i++, seed = dice_roll(&dice, UINT64_MAX))
        ends[run()]++;
    for (unsigned i = H2GUARD_NO_REASON; i <= H2GUARD_FLOOD_OTHER; i++)
        cr_expect(ends[i] > 0 || i == H2GUARD_PREFACE || i == H2GUARD_FIRST_FRAME, "no schedule ends with %s",
                  h2guard_reason_name((enum h2guard_reason)i));
}

/* Where each turn stopped, as a hash, and how it ended. */
struct stops {
    uint64_t hash;
    uint64_t turns;
    enum h2guard_reason reason;
};

static struct stops stops_of(const struct buf *bytes, int64_t turn_cost, struct dice *dice, size_t max_piece)
{
    struct stops stops = {0};
    struct h2guard_fixture fixture;
    uint64_t spent = 0;

    fixture_init(&fixture);
    small_limits(&fixture.limits);
    fixture.limits.turn_cost = turn_cost;
    fixture_open(&fixture, H2GUARD_SERVER, BARE);
    h2guard_turn(fixture.guard, fixture.now_ns);
    for (size_t done = 0; done < bytes->size && stops.reason == H2GUARD_NO_REASON;) {
        size_t size = piece(dice, max_piece, bytes->size - done);
        struct h2guard_verdict verdict = h2guard_in(fixture.guard, (struct bytes){bytes->data + done, size});
        stops.reason = verdict.reason;
        done += verdict.passed;
        if (verdict.decision != H2GUARD_WAIT)
            continue;
        stops.hash = stops.hash * 31 + done;
        stops.turns++;
        uint64_t cost = h2guard_stats(fixture.guard)->total.cost;
        cr_assert_leq(cost - spent, (uint64_t)turn_cost + 40000, "a turn passes its portion and one item");
        spent = cost;
        h2guard_turn(fixture.guard, fixture.now_ns);
    }
    fixture_close(&fixture);
    return stops;
}

/* All bytes of a client, up to the frame that ends its connection. */
static void put_random_client(struct dice *dice, struct buf *bytes)
{
    struct h2guard_limits limits = h2guard_defaults;
    struct guard_model model;
    struct generator generator = {.dice = dice, .model = &model, .next = 1};
    size_t done = 0;

    small_limits(&limits);
    model_init(&model, H2GUARD_SERVER, &limits);
    put_client_start(bytes, 1);
    for (int frame = 0; frame < MAX_FRAMES && model.reason == H2GUARD_NO_REASON; frame++) {
        put_random_in(&generator, bytes);
        for (; done < bytes->size; done++)
            model_in(&model, bytes->data[done]);
    }
    model_fini(&model);
}

Test(h2guard_model, turns_stop_at_the_same_bytes_however_the_bytes_are_cut, .timeout = 100)
{
    struct dice dice = dice_new("h2guard_stops");

    for (int i = 0; i < 2000; i++) {
        OWNED(buf_fini) struct buf bytes = {0};
        int64_t turn_cost = 1 + roll(&dice, 3000);
        put_random_client(&dice, &bytes);
        struct stops by_byte = stops_of(&bytes, turn_cost, &dice, 1);
        struct stops in_pieces = stops_of(&bytes, turn_cost, &dice, 100);
        struct stops whole = stops_of(&bytes, turn_cost, &dice, SIZE_MAX);
        cr_assert_eq(by_byte.reason, in_pieces.reason);
        cr_assert_eq(by_byte.reason, whole.reason);
        cr_assert_eq(by_byte.hash, in_pieces.hash, "turns of %lld", (long long)turn_cost);
        cr_assert_eq(by_byte.hash, whole.hash);
        cr_assert_eq(by_byte.turns, whole.turns);
    }
}
