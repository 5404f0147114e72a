/* own_mark.c - see own_mark.h. The mark is a random number, so no other process has it. */
#include "grpc/own_mark.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"

#include <grpc/slice.h>

static char mark[33];
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

bool own_mark_is_in(const grpc_metadata_array *metadata)
{
    const grpc_metadata own = own_mark();

    for (size_t i = 0; i < metadata->count; i++)
        if (grpc_slice_eq(metadata->metadata[i].key, own.key) &&
            grpc_slice_eq(metadata->metadata[i].value, own.value))
            return true;
    return false;
}
