/* own_mark.c - see own_mark.h. The mark is a random number, so no other process has it. */
#include "grpc/own_mark.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "grpc/slices.h"

#include <grpc/slice.h>

static char mark[MARK_BYTES + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
    uint64_t words[2] = {(uint64_t)clock_wall_ns(), (uint64_t)clock_mono_ns()};

    (void)!getrandom(words, sizeof(words), GRND_NONBLOCK);
    snprintf(mark, sizeof(mark), "%016" PRIx64 "%016" PRIx64, words[0], words[1]);
}

grpc_metadata own_mark(void)
{
    pthread_once(&once, make);
    return (grpc_metadata){.key = grpc_slice_from_static_string(OWN_MARK_KEY),
                           .value = grpc_slice_from_static_string(mark)};
}

bool mark_is_own(struct bytes value)
{
    pthread_once(&once, make);
    return bytes_same(value, (struct bytes){(const uint8_t *)mark, MARK_BYTES});
}

bool mark_is_valid(struct bytes value)
{
    bool is_valid = value.size == MARK_BYTES;

    for (size_t i = 0; i < value.size && is_valid; i++) {
        const uint8_t byte = value.data[i];

        is_valid = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
    }
    return is_valid;
}

grpc_metadata mark_metadata(const uint8_t *other)
{
    return (grpc_metadata){.key = grpc_slice_from_static_string(OWN_MARK_KEY),
                           .value = slice_copy_of((struct bytes){other, MARK_BYTES})};
}
