/* test_model.c - random schedules of everything that may happen to the hub, compared with a simple
 * model (model/model.h).
 *
 *   test_model            4000 schedules, always the same
 *   test_model 100000     this many, from a seed that the clock gives
 *   test_model 1 42       schedule 42 once more; a failure prints its number
 *
 *   test_model --transcript 42      prints the transcript of schedule 42 (transcript.h)
 *   test_model --digests 1 100      prints number and digest of schedules 1 to 100
 *   --ports before them             without what the hub logs */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "seam/model/model_fixture.h"
#include "seam/transcript.h"
#include "seam/virtual_clock.h"

#define SCHEDULES 4000
#define STEPS 200

static uint64_t seed;
static bool whole; /* the transcript of `seed` is to be printed */

static void print_all(int fd, const void *text, size_t size)
{
    for (const char *rest = text; size > 0;) {
        ssize_t written = write(fd, rest, size);

        if (written <= 0)
            _exit(2);
        rest += written;
        size -= (size_t)written;
    }
}

/* What was recorded until the failure is printed too. */
static void failed(int number)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "schedule %llu failed: test_model 1 %llu\n",
                        (unsigned long long)seed, (unsigned long long)seed);

    (void)number;
    print_all(STDERR_FILENO, text, (size_t)size);
    if (whole)
        print_all(STDOUT_FILENO, transcript_text().data, transcript_text().size);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void run(struct model_fixture *fixture)
{
    virtual_clock_reset();
    model_fixture_open(fixture, seed * UINT64_C(0x9e3779b97f4a7c15));
    for (unsigned i = 0; i < STEPS; i++)
        model_fixture_step(fixture);
    model_fixture_close(fixture);
}

static int record(struct model_fixture *fixture, int argc, char **argv)
{
    bool with_log = strcmp(argv[1], "--ports") != 0;
    char **words = with_log ? argv + 1 : argv + 2;
    int count = (int)(argv + argc - words);
    uint64_t last;

    whole = count == 2 && strcmp(words[0], "--transcript") == 0;
    if (!whole && !(count == 3 && strcmp(words[0], "--digests") == 0)) {
        fputs("usage: test_model [--ports] --transcript SEED | --digests FIRST COUNT\n", stderr);
        return 2;
    }
    if (with_log)
        log_setup(LOG_INFO, LOG_AS_TEXT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    seed = strtoull(words[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    last = whole ? seed : seed + strtoull(words[2], NULL, 10) - 1;
    for (; seed <= last; seed++) {
        virtual_clock_reset(); /* the transcript counts its time from here */
        transcript_begin(with_log);
        run(fixture);
        if (whole)
            print_all(STDOUT_FILENO, transcript_text().data, transcript_text().size);
        else
            printf("%llu %016llx\n", (unsigned long long)seed, (unsigned long long)transcript_digest());
    }
    return ferror(stdout) ? 2 : 0;
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
    if (argc > 1 && argv[1][0] == '-')
        return record(&fixture, argc, argv);
    for (seed = first; seed < first + count; seed++) {
        run(&fixture);
        starts += fixture.starts;
        stops += fixture.stops;
        events += fixture.events;
    }
    printf("%llu schedules: %llu activations, %llu stops, %llu events\n", (unsigned long long)count,
           (unsigned long long)starts, (unsigned long long)stops, (unsigned long long)events);
    return starts > 0 && stops > 0 && events > 0 ? 0 : 1;
}
