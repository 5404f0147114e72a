/* fuzz_h2guard.c - any bytes in both directions of a connection. Two guards get the same bytes, one
 * in large pieces and one in small ones: they stop at the same bytes, count the same, and end for
 * the same reason. What they count agrees with their table of streams, and no bound is crossed.
 *
 * The first byte of the input chooses the role, the second one the portion. Then come records:
 *   kind flags stream size content...   a frame from the peer, or to it with the high bit of `kind`
 *   KIND_RAW size content...            bytes as they are
 *   KIND_TIME tenths                    time passes, and the guards check their time limits
 * With an odd number of tenths they have waited for the peer, with an even one they are behind.
 * `kind` is the type of the frame; 10 is an unknown one. Content that the input lacks is zeros. */
#include "h2guard/guard_window.h"
#include "lib/frames.h"

#define KIND_RAW 11u
#define KIND_TIME 12u
#define TO_PEER 0x80u
#define MAX_ITEM_COST 5000u
#define MAX_FRAME 2000u
#define MAX_HEAD_COST (2000u + 50u * (MAX_FRAME / 6u) + 500u * 5u) /* SETTINGS, with 5 streams open */
#define CHECKED_STEPS 32u
#define MAX_LENT 200000u
#define TENTH_NS INT64_C(100000000)

static const struct h2guard_limits *limits_of(uint8_t choice)
{
    static struct h2guard_limits limits;

    limits = h2guard_defaults;
    for (size_t i = 0; i < H2GUARD_ITEM_COUNT; i++) /* debts are paid in a few turns */
        limits.prices[i].cost = MIN_OF(limits.prices[i].cost, MAX_ITEM_COST);
    limits.turn_cost = 300 + (int64_t)choice * choice * 8;
    limits.waste_burst = 200;
    limits.second_waste = 50;
    limits.max_streams = 5;
    limits.max_message_bytes = 1000;
    limits.max_unfinished_bytes = 1500;
    limits.max_frame_bytes = MAX_FRAME;
    limits.max_header_bytes = 400;
    limits.max_continuations = 2;
    limits.max_unanswered = 12;
    limits.max_updates = 6;
    limits.max_pings = 3;
    limits.late_frames = 4;
    limits.small_data_bytes = 4;
    limits.allow_compressed = choice % 2;
    limits.max_lent_bytes = choice % 4 == 0 ? 0 : MAX_LENT;
    return &limits;
}

/* One of the two guards, and where its turns stopped. */
struct side {
    struct h2guard_counters counters;
    struct h2guard *guard;
    size_t max_piece;
    uint64_t stops;
    uint64_t seen; /* bytes that passed */
};

static uint8_t next_byte(struct bytes *input)
{
    if (input->size == 0)
        return 0;
    uint8_t byte = input->data[0];
    *input = (struct bytes){input->data + 1, input->size - 1};
    return byte;
}

static void put_content(struct buf *buf, struct bytes *input, size_t size)
{
    size_t there = MIN_OF(size, input->size);

    buf_bytes(buf, input->data, there);
    *input = (struct bytes){input->data + there, input->size - there};
    for (size_t i = there; i < size; i++)
        buf_byte(buf, 0);
}

/* What is counted agrees with the table, and within the bounds. */
static void check_table(const struct h2guard *guard)
{
    const struct stream_table *table = &guard->streams;
    uint64_t unfinished = 0, unread = 0, open = 0;

    for (uint32_t i = 0; table->slots && i <= table->slot_mask; i++) {
        const struct stream *stream = &table->slots[i];
        if (stream->id == 0)
            continue;
        open++;
        unfinished += stream->message_got;
        unread += (uint64_t)MAX_OF(stream->unread, 0);
        CHECK(stream_table_find(table, stream->id) == stream);
        CHECK(stream->prefix_size <= MESSAGE_PREFIX_BYTES);
        CHECK(stream->message_got == 0 || stream->prefix_size == MESSAGE_PREFIX_BYTES);
        CHECK(!(stream->flags & STREAM_PEER_ENDED) || !(stream->flags & STREAM_WE_ENDED));
    }
    CHECK(open == guard->stats.streams_open && open == table->count && open <= guard->limits->max_streams);
    CHECK(unfinished == guard->stats.unfinished_bytes && unread == guard->stats.unread_bytes);
    CHECK(guard->window.lent <= guard->limits->max_lent_bytes);
    CHECK(guard->window.due <= guard->limits->max_lent_bytes - guard->window.lent);
    CHECK(h2guard_memory(guard) <= MAX_H2GUARD_BYTES + 16 * sizeof(struct stream));
    if (guard->reason == H2GUARD_NO_REASON) {
        CHECK(unfinished <= guard->limits->max_unfinished_bytes);
        CHECK(guard->stats.unanswered <= guard->limits->max_unanswered);
        CHECK(guard->stats.continuations <= guard->limits->max_continuations);
        CHECK(guard->stats.header_bytes <= guard->limits->max_header_bytes);
        CHECK(guard->waste.level >= 0);
    }
}

static void check_end(const struct side *side)
{
    struct h2guard *guard = side->guard;
    uint8_t frame[MAX_H2GUARD_GOAWAY];
    char text[200];

    CHECK(side->counters.ends[guard->reason] == 1);
    CHECK(h2guard_goaway(guard, frame) <= sizeof(frame));
    CHECK(h2guard_explain(guard, text, sizeof(text)) == strlen(text));
    CHECK(h2guard_portion(guard) == 0);
}

/* A turn costs its portion and one frame header at most. */
static void next_turn(struct side *side, int64_t now_ns)
{
    const struct h2guard_stats *stats = h2guard_stats(side->guard);
    uint64_t cost = stats->total.cost - stats->at_turn.cost;

    CHECK(cost <= (uint64_t)side->guard->limits->turn_cost + MAX_HEAD_COST);
    h2guard_turn(side->guard, now_ns);
    CHECK(h2guard_portion(side->guard) <= side->guard->limits->max_read_bytes);
}

/* A frame is held back: the core makes room. */
static void make_room(struct h2guard *guard)
{
    CHECK(guard->window.held <= MAX_FRAME && guard->window.held > guard_window_core(&guard->window));
    CHECK(guard->window.lent > 0 && h2guard_portion(guard) == 0);
    guard_window_announce(&guard->window, 65535);
}

static void feed(struct side *side, struct bytes bytes, int64_t now_ns)
{
    for (size_t done = 0; done < bytes.size;) {
        size_t size = bytes.size - done;
        struct bytes piece = {bytes.data + done, MIN_OF(size, side->max_piece)};
        struct h2guard_verdict verdict = h2guard_in(side->guard, piece);
        CHECK(verdict.passed <= piece.size);
        CHECK((verdict.decision == H2GUARD_END) == (verdict.reason != H2GUARD_NO_REASON));
        if (verdict.decision == H2GUARD_END)
            return;
        CHECK(verdict.decision == H2GUARD_WAIT || verdict.passed == piece.size);
        done += verdict.passed;
        side->seen += verdict.passed;
        if (verdict.decision == H2GUARD_WAIT) {
            side->stops = side->stops * 31 + side->seen;
            while (h2guard_holds_back(side->guard))
                make_room(side->guard);
            next_turn(side, now_ns);
        }
    }
}

static void send(struct side *side, struct bytes bytes)
{
    for (size_t done = 0; done < bytes.size;) {
        size_t size = MIN_OF(bytes.size - done, side->max_piece);
        h2guard_out(side->guard, (struct bytes){bytes.data + done, size});
        done += size;
    }
}

/* What is lent is taken back from bytes that will be sent, in two pieces. What they announce and
 * what is taken are as before together. */
static void take_back(struct h2guard *guard, struct buf *buf)
{
    size_t half = buf->size / 2;
    const struct iovec pieces[] = {{.iov_base = buf->data, .iov_len = half},
                                   {.iov_base = buf->data + half, .iov_len = buf->size - half}};
    int64_t before = (int64_t)guard->window.lent + guard->window.taken;

    h2guard_take_back(guard, pieces, ARRAY_LEN(pieces));
    CHECK((int64_t)guard->window.lent + guard->window.taken == before);
}

static void send_to_peer(struct side *side, const struct buf *buf)
{
    OWNED(buf_fini) struct buf copy = {0};

    buf_bytes(&copy, buf->data, buf->size);
    if (buf->size > 0 && h2guard_takes_back(side->guard))
        take_back(side->guard, &copy);
    send(side, (struct bytes){copy.data, copy.size});
}

/* Both have stopped at the same bytes and, if they have not ended, counted the same. Of the bytes
 * in which they ended, the one with large pieces may have counted more. */
static void compare(struct side sides[2])
{
    const struct h2guard_stats *a = h2guard_stats(sides[0].guard), *b = h2guard_stats(sides[1].guard);

    const struct window *c = &sides[0].guard->window, *d = &sides[1].guard->window;

    CHECK(sides[0].guard->reason == sides[1].guard->reason);
    CHECK(sides[0].stops == sides[1].stops);
    if (sides[0].guard->reason == H2GUARD_NO_REASON) {
        CHECK(memcmp(&a->total, &b->total, sizeof(a->total)) == 0);
        CHECK(a->frames_in == b->frames_in && a->frames_out == b->frames_out);
        CHECK(c->used == d->used && c->announced == d->announced && c->round_end == d->round_end);
        CHECK(c->lent == d->lent && c->taken == d->taken && c->waits == d->waits);
        CHECK(a->streams_opened == b->streams_opened && a->unfinished_bytes == b->unfinished_bytes);
    }
    check_table(sides[0].guard);
    check_table(sides[1].guard);
}

/* Whether the guard lends, or is behind. Where the peer has sent what it may is hard to hit. */
static void note_wait(struct h2guard *guard, bool has_waited, int64_t now_ns)
{
    uint8_t frame[H2GUARD_LEND_BYTES];

    h2guard_keeps_up(guard, has_waited);
    if (h2guard_round_is_new(guard))
        h2guard_begin_round(guard, now_ns);
    if (has_waited) {
        guard->window.round_end = guard->window.used;
        h2guard_waited(guard);
    }
    if (h2guard_lend(guard, frame) > 0)
        h2guard_lent(guard);
}

/* One record. */
static void step(struct side sides[2], struct bytes *input, int64_t *now_ns)
{
    OWNED(buf_fini) struct buf bytes = {0};
    uint8_t kind = next_byte(input), type = kind & 15u;

    if (type == KIND_TIME) {
        uint8_t tenths = next_byte(input);

        *now_ns += tenths * TENTH_NS;
        for (size_t i = 0; i < 2; i++) {
            next_turn(&sides[i], *now_ns);
            note_wait(sides[i].guard, tenths % 2, *now_ns);
            struct h2guard_verdict verdict = h2guard_check(sides[i].guard, *now_ns);
            CHECK(verdict.decision == (verdict.reason == H2GUARD_NO_REASON ? H2GUARD_PASS : H2GUARD_END));
        }
        return;
    }
    if (type == KIND_RAW) {
        put_content(&bytes, input, next_byte(input));
    } else {
        uint8_t flags = next_byte(input), stream = next_byte(input), size = next_byte(input);
        put_frame_head(&bytes, type, flags, stream % 32u, size);
        put_content(&bytes, input, size);
    }
    for (size_t i = 0; i < 2; i++) {
        if (kind & TO_PEER)
            send_to_peer(&sides[i], &bytes);
        else
            feed(&sides[i], (struct bytes){bytes.data, bytes.size}, *now_ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    uint8_t choice = next_byte(&input);
    enum h2guard_role role = choice & 1u ? H2GUARD_CLIENT : H2GUARD_SERVER;
    const struct h2guard_limits *limits = limits_of(next_byte(&input));
    struct side sides[2] = {{.max_piece = SIZE_MAX}, {.max_piece = 1u + (choice >> 4)}};
    int64_t now_ns = INT64_C(1) << 40;
    OWNED(buf_fini) struct buf start = {0};

    CHECK(!h2guard_limits_wrong(limits));
    put_preface(&start);
    for (size_t i = 0; i < 2; i++) {
        struct bytes preface = {start.data, start.size};
        sides[i].guard = h2guard_new(role, limits, &sides[i].counters, now_ns);
        h2guard_turn(sides[i].guard, now_ns);
        if (role == H2GUARD_CLIENT)
            send(&sides[i], preface);
        else if (!(choice & 2u)) /* else the input must hold it */
            feed(&sides[i], preface, now_ns);
    }
    for (size_t i = 1; input.size > 0 && sides[0].guard->reason == H2GUARD_NO_REASON; i++) {
        step(sides, &input, &now_ns);
        if (i % CHECKED_STEPS == 0)
            compare(sides);
    }
    compare(sides);
    for (size_t i = 0; i < 2; i++) {
        if (sides[i].guard->reason != H2GUARD_NO_REASON)
            check_end(&sides[i]);
        h2guard_free(sides[i].guard);
    }
    return 0;
}
