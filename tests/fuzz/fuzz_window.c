/* fuzz_window.c - any bytes are decoded as what a store keeps of a window, as they are and with the
 * hash that they need. What is refused leaves the window as it was. What is accepted is a window
 * whose parts agree, and it stays the same when it is encoded and decoded again. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "group/group_options.h"
#include "group/window_state.h"

#define UNTOUCHED 7u /* the floor before */

static enum err decode(struct window *window, uint64_t counts[OUTCOMES], struct bytes state)
{
    window_reset(window, UNTOUCHED);
    enum err err = window_state_decode(window, counts, state);

    CHECK(err == ERR_OK || err == ERR_INVALID);
    CHECK(err == ERR_OK || (window->floor == UNTOUCHED && window->top == UNTOUCHED && window->ranges == 0));
    return err;
}

/* The floor is where it should be, and the numbers are those of the slots. */
static void check_window(const struct window *window)
{
    uint32_t ranges = 0, settled = 0;

    CHECK(window->floor <= window->head && window->floor <= window->top);
    CHECK(window->top - window->floor <= MAX_GROUP_WINDOW);
    CHECK(!window_is_settled(window, window->floor + 1));
    for (uint64_t at = window->floor + 1; at <= window->top; at++) {
        settled += window_is_settled(window, at);
        ranges += window_is_settled(window, at) && !window_is_settled(window, at - 1);
    }
    CHECK(ranges == window->ranges && settled == window->settled);
}

static void check_again(const struct window *window, const uint64_t counts[OUTCOMES])
{
    struct window again = {.floor = 0};
    uint64_t counts_again[OUTCOMES];
    struct buf state = {0};

    CHECK(window_state_encode(window, counts, MAX_GROUP_WINDOW, &state) == window->floor && !state.broken);
    CHECK(decode(&again, counts_again, (struct bytes){state.data, state.size}) == ERR_OK);
    buf_fini(&state);
    check_window(&again);
    CHECK(memcmp(counts, counts_again, sizeof(counts_again)) == 0);
    CHECK(again.floor == window->floor && again.ranges == window->ranges);
    CHECK(again.settled == window->settled);
    for (uint64_t at = window->floor + 1; at <= window->top; at++)
        CHECK(window_is_settled(window, at) == window_is_settled(&again, at));
    window_fini(&again);
}

static void check_state(struct bytes state)
{
    struct window window = {.floor = 0}; /* of its own: a large one would make the next ones slow */
    uint64_t counts[OUTCOMES];

    if (decode(&window, counts, state) == ERR_OK) {
        check_window(&window);
        check_again(&window, counts);
    }
    window_fini(&window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t hash = htole64(XXH3_64bits(data, size));
    uint8_t *hashed = malloc(size + sizeof(hash)); /* of its own: a byte too many is found */

    CHECK(hashed);
    check_state((struct bytes){data, size});
    if (size > 0)
        memcpy(hashed, data, size);
    memcpy(hashed + size, &hash, sizeof(hash));
    check_state((struct bytes){hashed, size + sizeof(hash)});
    free(hashed);
    return 0;
}
