/* test_rounds.c - A16: producers are added and removed over and over, with 100 consumers. Memory
 * stays flat, and a round costs what it cost at first. Also: how much memory an activation takes.
 *
 *   test_rounds           2 000 rounds
 *   test_rounds 100000    this many */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "hub/session.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

#define CONSUMERS 100
#define SLACK_BYTES                                                                                          \
    (128u << 10) /* what malloc keeps at hand; a leak of 16 bytes per consumer and round would be 3 MB */
#define MAX_ACTIVATION_BYTES 1536u /* with its feed */

static struct hub_fixture fixture;
static struct consumer consumers[CONSUMERS];

static double seconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0); /* the real clock: the virtual one stands still */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void read_all(void)
{
    for (size_t i = 0; i < CONSUMERS; i++)
        consumer_read(&consumers[i]);
}

/* A PER_CONSUMER session, a SHARED session and a transient producer come, publish and go: they
 * leave, are removed, or are replaced, in turn. */
static void one_round(unsigned number)
{
    struct fake_session private = {0}, newer = {0}, shared = {0};
    struct session_params params = fake_session_params("private", SESSION_PER_CONSUMER);
    struct producer_view view;
    struct fault fault;

    fake_session_join(&private, &fixture, params);
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    CHECK(private.starts == CONSUMERS && fake_session_put(&private, 1 + number % CONSUMERS, 1) == ERR_OK &&
          fake_session_put(&shared, 0, 1) == ERR_OK);
    publish(&fixture, "transient", 1, "t");
    if (number % 3 == 0) {
        params.start_first = true;
        fake_session_join(&newer, &fixture, params);
        fake_session_leave(&private, FAULT_NONE);
    } else if (number % 3 == 1) {
        CHECK(hub_remove(fixture.hub, text_of("private"), 0, hub_fixture_copy_view, &view, &fault) ==
              FAULT_NONE);
    }
    CHECK(hub_remove(fixture.hub, text_of("transient"), 0, hub_fixture_copy_view, &view, &fault) ==
          FAULT_NONE);
    fake_session_fini(&private);
    fake_session_fini(&newer);
    fake_session_fini(&shared);
    read_all();
    loop_turn(fixture.loop);
    CHECK(count_get(COUNT_LIVE_ACTIVATIONS) == 0 && count_get(COUNT_LIVE_ROUTES) == 0 &&
          count_get(COUNT_LIVE_CHUNKS) == 0);
}

static void rounds(unsigned count)
{
    size_t before = 0, after;
    double first = 0, last = 0, at = seconds();

    for (unsigned i = 0; i < count; i++) {
        one_round(i);
        if (i == count / 4) {
            before = mallinfo2().uordblks;
            first = seconds() - at;
        }
        if (i == count - 1 - count / 4)
            at = seconds();
    }
    last = seconds() - at;
    after = mallinfo2().uordblks;
    printf("%u rounds: %.0f us each at first, %.0f us at last; %zu bytes in use, then %zu\n", count,
           first / (count / 4) * 1e6, last / (count / 4) * 1e6, before, after);
    fflush(stdout);
    CHECK(after <= before + SLACK_BYTES);
    CHECK(last < 4 * first); /* a machine that is busy elsewhere is excused */
}

static void activations(void)
{
    static struct fake_session sessions[50];
    size_t before = mallinfo2().uordblks, each;
    char name[16];

    for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
        snprintf(name, sizeof(name), "producer/%zu", i);
        fake_session_join(&sessions[i], &fixture, fake_session_params(name, SESSION_PER_CONSUMER));
        buf_fini(&sessions[i].transcript);
    }
    each = (mallinfo2().uordblks - before) / (ARRAY_LEN(sessions) * CONSUMERS);
    /* 0: a sanitizer's malloc does not count */
    printf("%zu activations: %zu bytes each\n", ARRAY_LEN(sessions) * CONSUMERS, each);
    CHECK(each <= MAX_ACTIVATION_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
        fake_session_fini(&sessions[i]);
}

int main(int argc, char **argv)
{
    hub_fixture_settings.max_producers = 100;
    hub_fixture_settings.max_subscriptions = CONSUMERS;
    hub_fixture_open(&fixture);
    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    for (size_t i = 0; i < CONSUMERS; i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(NULL));
    rounds(argc > 1 ? (unsigned)atoi(argv[1]) : 2000);
    activations();
    for (size_t i = 0; i < CONSUMERS; i++)
        consumer_leave(&consumers[i]);
    hub_fixture_close(&fixture);
    return 0;
}
