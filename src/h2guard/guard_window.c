/* guard_window.c - see guard_window.h. */
#include "h2guard/guard_window.h"

#include <string.h>

#define MS_NS INT64_C(1000000)

#define FIRST_WINDOW 65535u /* of a connection (RFC 9113, section 6.9.2) */
#define UPDATE_BYTES 4u     /* of the payload of a WINDOW_UPDATE */
#define ROUND_IS_NEW (-1)

#define WAITS_TO_LEND 4u
#define LENT_FIRST 65536u
#define ENOUGH_PER_MS 100000        /* bytes: 100 MB/s */
#define MAX_ROUND_NS (1000 * MS_NS) /* no distance takes longer: the peer was slow */
#define BEHIND_NS (100 * MS_NS)
#define MAX_HELD_NS (5000 * MS_NS)
/* An announcement keeps this part at least: with a few bytes the peer would send tiny frames. */
#define KEPT_PART 4u

void guard_window_init(struct window *window)
{
    *window = (struct window){.announced = FIRST_WINDOW};
}

void guard_window_announce(struct window *window, uint32_t bytes)
{
    if (window->round_ns == 0 || window->used > window->round_end) {
        if (window->round_ns != 0) /* the round is over, and we did not have to wait */
            window->waits = 0;
        window->round_end = window->announced + window->lent + window->taken;
        window->round_ns = ROUND_IS_NEW;
    }
    window->announced += (int64_t)bytes + window->taken;
    window->taken = 0;
    if (guard_window_core(window) >= window->held)
        window->held = 0;
}

void guard_window_turn(struct window *window, int64_t now_ns)
{
    if (LIKELY(window->held == 0) || now_ns - window->held_ns < MAX_HELD_NS)
        return;
    window->held = 0;
    window->passes = true;
}

bool h2guard_round_is_new(const struct h2guard *guard)
{
    return guard->window.round_ns == ROUND_IS_NEW;
}

void h2guard_begin_round(struct h2guard *guard, int64_t now_ns)
{
    guard->window.round_ns = now_ns;
}

void h2guard_waited(struct h2guard *guard)
{
    struct window *window = &guard->window;
    const int64_t size = (int64_t)FIRST_WINDOW + window->lent;

    if (window->round_ns <= 0 || window->used != window->round_end || !frame_reader_is_whole(&guard->in))
        return;
    int64_t round_ns = guard->now_ns - window->round_ns;
    bool is_enough = size * MS_NS >= round_ns * ENOUGH_PER_MS;
    window->round_ns = 0;
    window->waits = is_enough || round_ns > MAX_ROUND_NS ? 0 : window->waits + 1;
    if (window->waits < WAITS_TO_LEND)
        return;
    window->waits = 0;
    window->due = MIN_OF(guard->limits->max_lent_bytes - window->lent, MAX_OF(window->lent, LENT_FIRST));
}

void h2guard_keeps_up(struct h2guard *guard, bool keeps_up)
{
    if (keeps_up)
        guard->window.behind_ns = 0;
    else if (guard->window.behind_ns == 0)
        guard->window.behind_ns = guard->now_ns;
}

size_t h2guard_lend(const struct h2guard *guard, uint8_t frame[H2GUARD_LEND_BYTES])
{
    const uint8_t head[FRAME_HEAD_BYTES] = {0, 0, UPDATE_BYTES, FRAME_WINDOW_UPDATE};

    if (LIKELY(guard->window.due == 0) || !frame_reader_is_whole(&guard->out))
        return 0;
    memcpy(frame, head, sizeof(head));
    frame_write_u32(frame + FRAME_HEAD_BYTES, guard->window.due);
    return H2GUARD_LEND_BYTES;
}

void h2guard_lent(struct h2guard *guard)
{
    guard->window.lent += guard->window.due;
    guard->window.due = 0;
}

bool h2guard_takes_back(const struct h2guard *guard)
{
    const struct window *window = &guard->window;

    return !LIKELY(window->lent == 0 || window->behind_ns == 0) &&
           guard->now_ns - window->behind_ns >= BEHIND_NS;
}

/* A walk over bytes that are about to be sent. */
struct walk {
    struct frame_reader reader;
    uint8_t *payload[UPDATE_BYTES]; /* where the bytes of an announcement are */
    unsigned size;                  /* how many of them were found */
};

/* Makes one announcement smaller. */
static void shrink(struct window *window, const struct walk *walk)
{
    uint32_t bytes = 0;

    for (unsigned i = 0; i < UPDATE_BYTES; i++)
        bytes = bytes << 8 | *walk->payload[i];
    uint32_t taken = MIN_OF(window->lent, bytes / KEPT_PART * (KEPT_PART - 1));
    window->lent -= taken;
    window->taken += taken;
    bytes -= taken;
    for (unsigned i = 0; i < UPDATE_BYTES; i++)
        *walk->payload[i] = (uint8_t)(bytes >> 8 * (UPDATE_BYTES - 1 - i));
}

/* Walks bytes of a frame header, or of a payload. Returns how many. */
static size_t walk_some(struct window *window, struct walk *walk, uint8_t *data, size_t size)
{
    struct frame_reader *reader = &walk->reader;
    size_t used = 0;

    if (reader->payload_left == 0) {
        (void)frame_reader_next(reader, data, size, &used);
        walk->size = 0;
        return used;
    }
    bool is_update = reader->frame.type == FRAME_WINDOW_UPDATE && reader->frame.stream == 0;
    used = is_update ? 1 : MIN_OF(size, reader->payload_left);
    reader->payload_left -= (uint32_t)used;
    if (is_update && walk->size < UPDATE_BYTES)
        walk->payload[walk->size++] = data;
    if (is_update && walk->size == UPDATE_BYTES && reader->payload_left == 0)
        shrink(window, walk);
    return used;
}

void h2guard_take_back(struct h2guard *guard, const struct iovec *pieces, size_t count)
{
    struct walk walk = {.reader = guard->out}; /* h2guard_out() walks the same bytes when they were sent */

    guard->window.due = 0;
    if (!frame_reader_is_whole(&walk.reader))
        return;
    for (size_t i = 0; i < count; i++) {
        uint8_t *data = pieces[i].iov_base;

        for (size_t done = 0; done < pieces[i].iov_len;)
            done += walk_some(&guard->window, &walk, data + done, pieces[i].iov_len - done);
    }
}

bool h2guard_holds_back(const struct h2guard *guard)
{
    return guard->window.held > 0;
}
