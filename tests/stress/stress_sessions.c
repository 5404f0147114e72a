/* stress_sessions.c - a hub with sessions on threads of their own, two for each name, so that they
 * replace each other; consumers that come, select and go, with takers on threads of their own; and
 * a producer that is removed all the time.
 *
 * Each taker checks what no interleaving may break. The sequences of a source rise by one where
 * nothing is lost. Every event between two marks is one that the filter of that time wants. Each
 * session checks the order of its notices. At the end the events that came in are those that were
 * offered, every activation that was started has ended, and nothing is left alive. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "stress/stress_sessions.h"

struct loop *loop;
struct hub *hub;
atomic_bool stopping;
atomic_uint callers_left = SESSIONS + 1;
static bool emptied;

static void all_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static void run_for(int64_t max_ns, struct taker *takers, struct dice *dice)
{
    int64_t until_ns = clock_mono_ns() + max_ns;

    while (clock_mono_ns() < until_ns) {
        struct taker *taker = &takers[dice_roll(dice, TAKERS)];
        struct producer_view view;
        struct fault fault;

        loop_turn(loop);
        if (taker->subscription)
            end_or_select(taker, dice);
        else
            subscribe(taker, dice);
        if (dice_roll(dice, 100) == 0 &&
            hub_remove(hub, text_of("s0"), (int64_t)dice_roll(dice, 3) * NS_PER_MS, hub_fixture_copy_view,
                       &view, &fault))
            CHECK(fault.reason == FAULT_PRODUCER_NOT_FOUND);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
    hub_drain(hub, 20 * NS_PER_MS, all_gone, &emptied);
    while (!emptied || atomic_load(&callers_left) > 0) {
        loop_turn(loop);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
}

static void report(const struct caller *callers, const struct taker *takers)
{
    uint64_t offered = 0, served = 0, marks = 0, taken = 0, reports = 0, unavailable = 0;
    int64_t starts = 0, stops = 0, pauses = 0;

    for (unsigned i = 0; i <= SESSIONS; i++) {
        offered += callers[i].events;
        starts += callers[i].starts;
        stops += callers[i].stops;
        pauses += callers[i].pauses;
        reports += callers[i].reports;
    }
    for (unsigned i = 0; i < TAKERS; i++) {
        served += takers[i].served;
        marks += takers[i].marks;
        unavailable += takers[i].unavailable;
        taken += takers[i].total_taken;
    }
    printf("offered %llu events, took %llu; %lld activations, %lld stops, %lld pauses; %llu subscriptions, "
           "%llu marks; removed %llu times; %llu reports, %llu times UNAVAILABLE\n",
           (unsigned long long)offered, (unsigned long long)taken, (long long)starts, (long long)stops,
           (long long)pauses, (unsigned long long)served, (unsigned long long)marks,
           (unsigned long long)callers[SESSIONS].removed, (unsigned long long)reports,
           (unsigned long long)unavailable);
    CHECK((uint64_t)count_get(COUNT_EVENTS_IN) == offered);
    CHECK(offered > 0 && taken > 0 && starts > 0 && stops > 0 && served > TAKERS && marks > 0 &&
          callers[SESSIONS].removed > 0 && reports > 0 && unavailable > 0);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_defaults;
    static struct caller callers[SESSIONS + 1];
    static struct taker takers[TAKERS];
    int64_t run_ns = (argc > 1 ? strtoll(argv[1], NULL, 10) : 2) * NS_PER_S;
    struct dice dice = dice_new("stress_sessions");

    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    CHECK(loop_new(&loop).code == ERR_OK);
    settings.max_producers = 8;
    settings.max_subscriptions = TAKERS;
    settings.transient_forget_ns = NS_PER_MS;
    CHECK(loop_publish_settings(loop, &settings) == ERR_OK);
    CHECK(hub_new(loop, &hub).code == ERR_OK);
    for (unsigned i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.dice = {dice.state + i},
                                   .wakeup = WAKEUP_INIT,
                                   .transcript = calloc(MAX_SOURCES, sizeof(struct transcript))};
        CHECK(takers[i].transcript &&
              pthread_create(&takers[i].thread, NULL, take_repeatedly, &takers[i]) == 0);
    }
    for (unsigned i = 0; i <= SESSIONS; i++) {
        caller_init(&callers[i], dice.state + 100 + i);
        CHECK(pthread_create(&callers[i].thread, NULL, i < SESSIONS ? register_repeatedly : publish_all,
                             &callers[i]) == 0);
    }
    run_for(run_ns, takers, &dice);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i <= SESSIONS; i++)
        pthread_join(callers[i].thread, NULL);
    for (unsigned i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
        chan_batch_fini(&takers[i].batch);
        free(takers[i].transcript);
    }
    hub_free(hub);
    loop_free(loop);
    report(callers, takers);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
    return 0;
}
