/* test_model.c - random schedules of everything that may happen to the hub, compared with a simple
 * model (model/model.h).
 *
 *   test_model            4000 schedules, always the same
 *   test_model 100000     this many, from a seed that the clock gives
 *   test_model 1 42       schedule 42 once more; a failure prints its number */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "seam/model/model_fixture.h"

#define SCHEDULES 4000
#define STEPS 200

static uint64_t seed;

static void failed(int number)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "schedule %llu failed: test_model 1 %llu\n",
                        (unsigned long long)seed, (unsigned long long)seed);

    (void)number;
    if (write(STDERR_FILENO, text, (size_t)size) != size)
        _exit(2);
    signal(SIGABRT, SIG_DFL);
    abort();
}

int main(int argc, char **argv)
{
    static struct model_fixture fixture;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SCHEDULES;
    uint64_t first = argc > 2   ? strtoull(argv[2], NULL, 10)
                     : argc > 1 ? dice_new("test_model").state % 1000000000
                                : 1;
    uint64_t starts = 0, stops = 0, events = 0;

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    signal(SIGABRT, failed);
    for (seed = first; seed < first + count; seed++) {
        model_fixture_open(&fixture, seed * UINT64_C(0x9e3779b97f4a7c15));
        for (unsigned i = 0; i < STEPS; i++)
            model_fixture_step(&fixture);
        model_fixture_close(&fixture);
        starts += fixture.starts;
        stops += fixture.stops;
        events += fixture.events;
    }
    printf("%llu schedules: %llu activations, %llu stops, %llu events\n", (unsigned long long)count,
           (unsigned long long)starts, (unsigned long long)stops, (unsigned long long)events);
    return starts > 0 && stops > 0 && events > 0 ? 0 : 1;
}
