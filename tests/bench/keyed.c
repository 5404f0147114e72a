/* keyed.c - what keyed batches of the C library cost in one process (docs/batch.md, "Figures").
 *
 *   keyed [--keys N] [--seconds S] [--submitters N] [--threads N] [--window-ms MS] [--adaptive]
 *         [--zipf] [--one]
 *
 * Submitters hand over operations in the callback form, with a load and a save that do nothing. So
 * many per submitter wait at most. One line says how many operations were done in a second, what a
 * submit cost its thread (wall time, and time of the processor), and how large the process grew in
 * the second half of the run.
 *
 * --one     one key; each submitter measures submitting alone, as the published benchmark of
 *           elgopher/batch does: 3300 ns for an operation
 * --zipf    keys are drawn from a Zipf distribution (exponent 1) */
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <tributary/tributary.h>

#define IN_FLIGHT 400000u
#define PUBLISHED_NS 3300 /* submitting one operation on one key */

struct plan {
    uint64_t keys;
    double seconds;
    unsigned submitters;
    struct tributary_batch_options options;
    bool zipf, one;
    uint64_t in_flight;
};

struct submitter {
    const struct plan *plan;
    struct tributary_batch *batch;
    pthread_t thread;
    uint64_t random, submitted;
    double wall_s, cpu_s;
    _Alignas(64) _Atomic uint64_t done; /* on other threads */
    _Atomic uint64_t failed;
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* splitmix64 */
static uint64_t draw(uint64_t *random)
{
    uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t draw_key(struct submitter *submitter)
{
    const uint64_t word = draw(&submitter->random);

    if (!submitter->plan->zipf)
        return word % submitter->plan->keys;
    /* of exponent 1: the logarithm of the rank is even */
    return (uint64_t)exp((double)(word >> 11) / (double)(UINT64_C(1) << 53) *
                         log((double)submitter->plan->keys)) -
           1;
}

static enum tributary_code load(void *ctx, const struct tributary_batch_call *call, void **resource_out,
                                struct tributary_status *status)
{
    (void)call;
    (void)status;
    *resource_out = ctx;
    return TRIBUTARY_OK;
}

static enum tributary_code save(void *ctx, const struct tributary_batch_call *call, void *resource,
                                struct tributary_status *status)
{
    (void)ctx;
    (void)call;
    (void)resource;
    (void)status;
    return TRIBUTARY_OK;
}

static enum tributary_code operate(void *ctx, void *resource, struct tributary_status *status)
{
    (void)ctx;
    (void)resource;
    (void)status;
    return TRIBUTARY_OK;
}

static void done(void *ctx, const struct tributary_status *status)
{
    struct submitter *submitter = ctx;

    if (status->code != TRIBUTARY_OK)
        atomic_fetch_add(&submitter->failed, 1);
    atomic_fetch_add_explicit(&submitter->done, 1, memory_order_release);
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* Hands over as many as may wait, and adds what that took. */
static void submit_some(struct submitter *submitter, uint64_t count)
{
    const double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t key = draw_key(submitter);
        const struct tributary_batch_operation operation = {
            .key = {&key, sizeof(key)}, .operate = operate, .done = done, .ctx = submitter};

        if (tributary_batch_submit(submitter->batch, &operation, NULL) != TRIBUTARY_OK)
            break;
        submitter->submitted++;
    }
    submitter->wall_s += seconds_of(CLOCK_MONOTONIC) - wall;
    submitter->cpu_s += seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

static void *submit_all(void *ctx)
{
    struct submitter *submitter = ctx;
    const double end = seconds_of(CLOCK_MONOTONIC) + submitter->plan->seconds;

    while (seconds_of(CLOCK_MONOTONIC) < end) {
        const uint64_t waiting = submitter->submitted - atomic_load(&submitter->done);

        if (waiting < submitter->plan->in_flight)
            submit_some(submitter, (submitter->plan->in_flight - waiting + 15) / 16);
        else
            rest();
    }
    while (atomic_load_explicit(&submitter->done, memory_order_acquire) < submitter->submitted)
        rest();
    return NULL;
}

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file && fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * 4;
}

static void run(const struct plan *plan)
{
    struct submitter *submitters = aligned_alloc(64, plan->submitters * sizeof(*submitters));
    struct tributary_batch *batch = NULL;
    struct tributary_status status;
    struct rusage usage;
    uint64_t total = 0, failed = 0;
    double wall = 0, cpu = 0;
    const double begin = seconds_of(CLOCK_MONOTONIC);

    if (!submitters || tributary_batch_new(&plan->options, &batch, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "keyed: %s\n", submitters ? status.message : "no memory");
        exit(1);
    }
    memset(submitters, 0, plan->submitters * sizeof(*submitters));
    for (unsigned i = 0; i < plan->submitters; i++) {
        submitters[i].plan = plan;
        submitters[i].batch = batch;
        submitters[i].random = i;
        pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]);
    }
    nanosleep(&(struct timespec){.tv_sec = (time_t)(plan->seconds / 2),
                                 .tv_nsec = (long)(fmod(plan->seconds / 2, 1) * 1e9)},
              NULL);

    const long half = resident_kib();

    for (unsigned i = 0; i < plan->submitters; i++) {
        pthread_join(submitters[i].thread, NULL);
        total += submitters[i].submitted;
        failed += atomic_load(&submitters[i].failed);
        wall += submitters[i].wall_s;
        cpu += submitters[i].cpu_s;
    }
    const double took = seconds_of(CLOCK_MONOTONIC) - begin;
    const long grown = resident_kib() - half;

    tributary_batch_free(batch);
    getrusage(RUSAGE_SELF, &usage);
    printf("%.0f operations/s, %llu failed; submit %.0f ns wall, %.0f ns cpu; process %.0f ns cpu an "
           "operation; %ld KiB, %+ld in the second half\n",
           (double)total / took, (unsigned long long)failed, wall / (double)total * 1e9,
           cpu / (double)total * 1e9,
           ((double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
            (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6) /
               (double)total * 1e9,
           half + grown, grown);
    if (plan->one)
        printf("submitting alone: %.0f ns of %d ns in the published benchmark of elgopher/batch, a ratio of "
               "%.2f\n",
               wall / (double)total * 1e9, PUBLISHED_NS, wall / (double)total * 1e9 / PUBLISHED_NS);
    free(submitters);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"keys", required_argument, NULL, 'k'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"submitters", required_argument, NULL, 'u'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"window-ms", required_argument, NULL, 'w'},
                                            {"adaptive", no_argument, NULL, 'a'},
                                            {"zipf", no_argument, NULL, 'z'},
                                            {"one", no_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    struct plan plan = {.keys = 1000,
                        .seconds = 5,
                        .submitters = 1,
                        .options = {.load = load, .save = save, .threads = 1},
                        .in_flight = IN_FLIGHT};
    int option = 0;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'k':
            plan.keys = strtoull(optarg, NULL, 10);
            break;
        case 's':
            plan.seconds = strtod(optarg, NULL);
            break;
        case 'u':
            plan.submitters = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            plan.options.threads = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            plan.options.window_ns = strtoll(optarg, NULL, 10) * 1000000;
            break;
        case 'a':
            plan.options.window = TRIBUTARY_BATCH_ADAPTIVE;
            break;
        case 'z':
            plan.zipf = true;
            break;
        case 'o':
            plan.one = true;
            plan.keys = 1;
            plan.options.max_operations = UINT64_C(1) << 30;
            plan.options.max_waiters = UINT64_C(1) << 30;
            break;
        default:
            return 2;
        }
    }
    run(&plan);
    return 0;
}
