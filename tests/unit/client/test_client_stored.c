/* test_client_stored.c - publishers with numbers against a store that loses calls, refuses, fails
 * and forgets (fake_store.py): what was confirmed is stored once, and in order.
 *
 * Usage: test_client_stored FAKE_SERVER PROTO_FOLDER */
#include "client_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 400u

enum outcome { OUTCOME_NONE, OUTCOME_CONFIRMED, OUTCOME_REFUSED, OUTCOME_UNKNOWN };

/* What a publisher reported, by the number of the event. The client thread writes it; the test
 * reads it behind a flush. */
struct outcomes {
    enum outcome of[EVENTS + 1];
    uint64_t ranges, duplicates;
    uint64_t last_event;
    uint64_t unknown;         /* messages that were refused with an unknown outcome */
    enum tributary_code code; /* of the latest refusal */
};

static void note(struct outcomes *outcomes, uint64_t first, uint64_t last, enum outcome outcome)
{
    CHECK(first >= 1 && last <= EVENTS);
    for (uint64_t i = first; i <= last; i++) {
        if (outcomes->of[i] == OUTCOME_NONE)
            outcomes->of[i] = outcome;
        else
            CHECK(outcome == OUTCOME_CONFIRMED && outcomes->of[i] != OUTCOME_CONFIRMED);
    }
}

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct outcomes *outcomes = ctx;

    note(outcomes, refused->first_event, refused->last_event,
         refused->outcome_unknown ? OUTCOME_UNKNOWN : OUTCOME_REFUSED);
    outcomes->unknown += refused->outcome_unknown;
    outcomes->code = refused->code;
}

static void on_confirmed(void *ctx, const struct tributary_confirmed *confirmed)
{
    struct outcomes *outcomes = ctx;

    CHECK(confirmed->first_event > outcomes->last_event);
    outcomes->last_event = confirmed->last_event;
    note(outcomes, confirmed->first_event, confirmed->last_event, OUTCOME_CONFIRMED);
    outcomes->duplicates += confirmed->duplicates;
    for (size_t i = 0; i < confirmed->range_count; i++) {
        CHECK(strcmp(confirmed->ranges[i].topic, "t") == 0 && confirmed->ranges[i].epoch == 7);
        outcomes->ranges++;
    }
}

/* Publishes EVENTS events and returns what became of them. */
static struct outcomes *run(const struct tributary_publisher_options *given,
                            struct tributary_publisher_stats *stats_out)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct outcomes *outcomes = calloc(1, sizeof(*outcomes));
    struct tributary_publisher_options options = *given;

    CHECK(outcomes);
    options.refused = on_refused;
    options.confirmed = on_confirmed;
    options.ctx = outcomes;
    options.batch_events = 5;
    options.linger_ns = TRIBUTARY_NONE;

    struct tributary_publisher *publisher = client_fixture_publisher(client, &options);

    for (int i = 1; i <= (int)EVENTS; i++) {
        if (client_fixture_publish(publisher, i) != TRIBUTARY_OK)
            break;
    }
    CHECK(tributary_publisher_flush(publisher, 2 * TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    tributary_publisher_stats(publisher, stats_out);
    tributary_publisher_free(publisher);
    tributary_free(client);
    return outcomes;
}

/* Reads what was stored, and compares it with what was reported: in order; once; everything that
 * was confirmed; nothing that was refused. Returns how many events are stored. */
static uint64_t compare(const char *name, const struct outcomes *outcomes)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct received *received = calloc(1, sizeof(*received));
    struct tributary_subscriber *subscriber = NULL;
    uint64_t stored = 0;
    int next = 1;

    CHECK(received);
    subscriber = client_fixture_subscribe(client, received, name);
    client_fixture_await_number(received, -1);
    while (received->numbers[stored] != -1) {
        for (; next < received->numbers[stored]; next++)
            CHECK(outcomes->of[next] == OUTCOME_REFUSED || outcomes->of[next] == OUTCOME_UNKNOWN);
        CHECK(received->numbers[stored] == next);
        CHECK(outcomes->of[next] == OUTCOME_CONFIRMED || outcomes->of[next] == OUTCOME_UNKNOWN);
        next++;
        stored++;
    }
    for (; next <= (int)EVENTS; next++)
        CHECK(outcomes->of[next] != OUTCOME_CONFIRMED);
    tributary_subscriber_free(subscriber);
    tributary_free(client);
    free(received);
    return stored;
}

static void run_and_compare(const char *faults, int seeds, uint32_t window)
{
    char name[64];

    for (int seed = (int)window; seed < (int)window + seeds; seed++) {
        struct tributary_publisher_stats stats = {0};

        snprintf(name, sizeof(name), "store-%s-%d", faults, seed);

        struct outcomes *outcomes = run(
            &(struct tributary_publisher_options){
                .producer = name, .confirm = TRIBUTARY_CONFIRM_STORED, .window = window},
            &stats);

        CHECK(stats.accepted == EVENTS && stats.confirmed + stats.refused == EVENTS);
        CHECK(stats.duplicates == outcomes->duplicates && stats.life > 0);

        const uint64_t stored = compare(name, outcomes);

        printf("  %s: %" PRIu64 " stored, %" PRIu64 " confirmed, %" PRIu64 " refused, %" PRIu64
               " duplicates, %" PRIu64 " reconnects\n",
               name, stored, stats.confirmed, stats.refused, stats.duplicates, stats.reconnects);
        if (!strchr(faults, 'f'))
            CHECK(outcomes->unknown == 0 && stored == stats.confirmed);
        if (!strchr(faults, 'r') && !strchr(faults, 'f'))
            CHECK(stored == EVENTS);
        free(outcomes);
    }
}

static void events_are_stored_once_and_their_ranges_are_reported(void)
{
    struct tributary_publisher_stats stats = {0};
    struct outcomes *outcomes = run(
        &(struct tributary_publisher_options){.producer = "store--0", .confirm = TRIBUTARY_CONFIRM_STORED},
        &stats);

    CHECK(outcomes->ranges > 0 && outcomes->duplicates == 0);
    CHECK(compare("store--0", outcomes) == EVENTS);
    free(outcomes);
}

static void a_lost_call_stores_nothing_twice(void)
{
    run_and_compare("ls", 4, 0);
}

static void what_a_lost_call_stores_late_is_not_stored_twice(void)
{
    run_and_compare("d", 4, 16);
}

static void a_refused_message_gives_its_numbers_back(void)
{
    run_and_compare("r", 4, 0);
}

static void a_store_that_fails_is_waited_for(void)
{
    run_and_compare("u", 3, 0);
}

static void a_forgotten_publisher_begins_a_new_life(void)
{
    run_and_compare("f", 4, 0);
}

static void all_faults_together_store_nothing_twice(void)
{
    run_and_compare("rldsu", 8, 8);
    run_and_compare("rldsu", 4, 0);
}

static void a_publisher_with_a_higher_life_elsewhere_fails(void)
{
    struct tributary_publisher_stats stats = {0};
    struct outcomes *outcomes = run(
        &(struct tributary_publisher_options){.producer = "store-x-0", .confirm = TRIBUTARY_CONFIRM_STORED},
        &stats);

    CHECK(stats.refused > 0 && outcomes->code == TRIBUTARY_ABORTED);
    compare("store-x-0", outcomes);
    free(outcomes);
}

/* A program that runs twice, with the same life and the same events. */
static void a_program_that_resumes_stores_nothing_twice(void)
{
    const struct tributary_publisher_options options = {
        .producer = "store--again",
        .confirm = TRIBUTARY_CONFIRM_STORED,
        .numbering = {.id = tributary_text("me"), .life = 5},
    };
    struct tributary_publisher_stats stats = {0};

    free(run(&options, &stats));
    CHECK(stats.duplicates == 0 && stats.life == 5);

    struct outcomes *outcomes = run(&options, &stats);

    CHECK(stats.confirmed == EVENTS && stats.duplicates == EVENTS && outcomes->ranges == 0);
    CHECK(compare("store--again", outcomes) == EVENTS);
    free(outcomes);
}

/* The program chose the life, so the gap cannot be left by a higher one. */
static void a_gap_in_a_life_of_the_program_fails_it(void)
{
    struct tributary_publisher_stats stats = {0};
    struct outcomes *outcomes =
        run(&(struct tributary_publisher_options){.producer = "store--gap",
                                                  .confirm = TRIBUTARY_CONFIRM_STORED,
                                                  .numbering = {.life = 5, .first_number = 100}},
            &stats);

    CHECK(stats.confirmed == 0 && outcomes->code == TRIBUTARY_FAILED_PRECONDITION);
    CHECK(compare("store--gap", outcomes) == 0);
    free(outcomes);
}

static void options_out_of_their_bounds_are_named(void)
{
    static const struct {
        struct tributary_publisher_options options;
        const char *message;
    } rows[] = {
        {{.confirm = 3}, "confirm: RECEIVED or STORED"},
        {{.numbering = {.life = 1}}, "numbering: only with confirm STORED"},
        {{.confirm = TRIBUTARY_CONFIRM_STORED, .numbering = {.off = true, .first_number = 1}},
         "numbering: only with confirm STORED"},
        {{.confirm = TRIBUTARY_CONFIRM_STORED,
          .numbering = {.id = {"12345678901234567890123456789012345678901234567890123456789012345", 65}}},
         "numbering.id: at most 64 bytes"},
        {{.window = 65537}, "window: at most 65536"},
    };
    struct tributary *client = client_fixture_connect(client_fixture_target);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tributary_publisher *publisher = NULL;
        struct tributary_status status;

        CHECK(tributary_publisher_new(client, &rows[i].options, &publisher, &status) ==
              TRIBUTARY_INVALID_ARGUMENT);
        CHECK(strcmp(status.message, rows[i].message) == 0);
    }
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(events_are_stored_once_and_their_ranges_are_reported),
        CLIENT_TEST(a_lost_call_stores_nothing_twice),
        CLIENT_TEST(what_a_lost_call_stores_late_is_not_stored_twice),
        CLIENT_TEST(a_refused_message_gives_its_numbers_back),
        CLIENT_TEST(a_store_that_fails_is_waited_for),
        CLIENT_TEST(a_forgotten_publisher_begins_a_new_life),
        CLIENT_TEST(all_faults_together_store_nothing_twice),
        CLIENT_TEST(a_publisher_with_a_higher_life_elsewhere_fails),
        CLIENT_TEST(a_program_that_resumes_stores_nothing_twice),
        CLIENT_TEST(a_gap_in_a_life_of_the_program_fails_it),
        CLIENT_TEST(options_out_of_their_bounds_are_named),
    };

    client_fixture_run(argc, argv, NULL, tests, ARRAY_LEN(tests));
    return 0;
}
