/* test_topic_cuts.c - the power is cut, a sync fails, or the disk is full while topics are made,
 * appended to, trimmed and deleted. A journal notes what was confirmed. Afterwards all of it is
 * there, nothing is there twice, and nothing is there that was never sent (row_3). A bit that flips
 * is found (row_6).
 *
 *   test_topic_cuts                       what every run of the tests does
 *   TOPIC_CUTS=20000 test_topic_cuts      the long campaign: so many cuts and failing syncs
 *   TOPIC_SEED=5 test_topic_cuts          other random numbers
 *
 * Of the producers, `a` and `b` number their events and send again what was not confirmed. `c` has
 * no numbers: it has one batch in flight, and after a cut it goes on behind the last event that is
 * there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "cuts.h"
#include "topic_fixture.h"

#define PRODUCERS 3u
#define TOPICS 2u /* `all`, and `few`, which keeps little */
#define KEPT_BY_FEW 60u
#define SPARE_TOPICS 4u
#define LIVES 4u /* of one store */
#define MAX_AT_ONCE 6u

enum spare { SPARE_GONE, SPARE_THERE, SPARE_UNKNOWN };

/* What the producers know. */
struct journal {
    uint64_t topics[TOPICS]; /* ids; 0: not confirmed */
    uint64_t confirmed[TOPICS][PRODUCERS], sent[TOPICS][PRODUCERS];
    enum spare spares[SPARE_TOPICS];
    uint64_t spare_ids[SPARE_TOPICS];
};

static struct store_fixture fixture;
static struct journal journal;

static void begin(void)
{
    cuts_begin(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(topic_cuts, .init = begin, .fini = end);

/* ---- a life ---- */

static bool make_topics(void)
{
    static const char *const names[TOPICS] = {"all", "few"};

    for (unsigned i = 0; i < TOPICS; i++) {
        const struct topic_settings settings = {.max_events = i == 0 ? 0 : KEPT_BY_FEW};
        const struct topic_change change = change_topic(&fixture, TOPIC_CREATE, names[i], settings);

        if (change.outcome != TOPIC_DONE && change.outcome != TOPIC_EXISTS)
            return false;
        cr_assert(journal.topics[i] == 0 || journal.topics[i] == change.id);
        journal.topics[i] = change.id;
    }
    return true;
}

/* Numbers are of the whole store: a producer has a name for each topic. */
static char letter(unsigned topic, unsigned producer)
{
    return (char)((topic == 0 ? 'a' : 'A') + (int)producer);
}

static bool append_some(void)
{
    struct batch batches[MAX_AT_ONCE];
    unsigned topics[MAX_AT_ONCE], producers[MAX_AT_ONCE];
    uint64_t next[TOPICS][PRODUCERS];
    const unsigned count = 1 + roll(MAX_AT_ONCE);
    bool all_done = true;

    for (unsigned i = 0; i < TOPICS; i++)
        for (unsigned j = 0; j < PRODUCERS; j++)
            next[i][j] = journal.confirmed[i][j] + 1;
    for (unsigned i = 0; i < count; i++) {
        const unsigned topic = topics[i] = roll(TOPICS);
        unsigned producer = roll(PRODUCERS);
        const uint32_t events = 1 + roll(12);

        /* without numbers, a batch may be stored though the one before it was refused */
        if (producer == 2 && next[topic][2] != journal.confirmed[topic][2] + 1)
            producer = 0;
        producers[i] = producer;
        const uint64_t first = next[topic][producer];

        batch_init(&batches[i],
                   (struct batch_params){journal.topics[topic], letter(topic, producer), producer < 2 ? 1 : 0,
                                         first, events, roll(4) == 0 ? roll(6000) : roll(50)});
        next[topic][producer] += events;
        journal.sent[topic][producer] = MAX_OF(journal.sent[topic][producer], first + events - 1);
        batch_begin(&fixture, &batches[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t *confirmed = &journal.confirmed[topics[i]][producers[i]];
        const enum topic_outcome outcome = batch_end(&batches[i]);
        const uint64_t last = batches[i].append.first_number + batches[i].part.run.count - 1;

        if (outcome == TOPIC_DONE)
            *confirmed = MAX_OF(*confirmed, last);
        all_done &= outcome == TOPIC_DONE;
        /* what a full disk refused makes a gap before what comes behind it */
        cr_assert(outcome == TOPIC_DONE || outcome == TOPIC_UNKNOWN || outcome == TOPIC_FAILED ||
                      outcome == TOPIC_DISK_FULL || outcome == TOPIC_GAP ||
                      outcome == TOPIC_PUBLISHER_FORGOTTEN,
                  "outcome %d", (int)outcome);
    }
    return all_done;
}

static bool change_spare(void)
{
    const unsigned i = roll(SPARE_TOPICS);
    char name[16];

    snprintf(name, sizeof(name), "spare-%u", i);
    const bool is_there = journal.spares[i] == SPARE_THERE;
    const struct topic_change change = change_topic(&fixture, is_there ? TOPIC_DELETE : TOPIC_CREATE, name,
                                                    (struct topic_settings){.max_events = 0});
    if (change.outcome == TOPIC_DONE) {
        journal.spares[i] = is_there ? SPARE_GONE : SPARE_THERE;
        cr_assert(is_there || change.id > journal.spare_ids[i], "an id is used again");
        journal.spare_ids[i] = change.id;
    } else if (change.outcome == TOPIC_UNKNOWN) {
        journal.spares[i] = SPARE_UNKNOWN;
    } else if (change.outcome == TOPIC_EXISTS) {
        cr_assert_eq(journal.spares[i], SPARE_UNKNOWN, "it is there again");
        journal.spares[i] = SPARE_THERE;
        journal.spare_ids[i] = change.id;
    }
    return change.outcome == TOPIC_DONE || change.outcome == TOPIC_EXISTS;
}

/* Works until something is not done, or for so many rounds. */
static void work(unsigned rounds)
{
    if (!make_topics())
        return;
    for (unsigned i = 0; i < rounds; i++)
        if (!(roll(6) == 0 ? change_spare() : append_some()))
            return;
}

/* ---- what is there ---- */

struct found {
    unsigned topic;
    uint64_t seq, first[PRODUCERS], last[PRODUCERS];
};

static void on_event(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    struct found *found = ctx;
    const unsigned i = (unsigned)(producer - letter(found->topic, 0));

    cr_assert_lt(i, PRODUCERS, "an event that nobody sent");
    cr_assert(found->seq == 0 || seq == found->seq + 1, "a hole before sequence %lu", (unsigned long)seq);
    found->seq = seq;
    if (found->first[i] == 0)
        found->first[i] = number;
    else
        cr_assert_eq(number, found->last[i] + 1, "topic %u: %c%lu after %lu", found->topic, producer,
                     (unsigned long)number, (unsigned long)found->last[i]);
    found->last[i] = number;
}

static void check_topic(unsigned topic)
{
    struct found found = {.topic = topic};
    const struct topic_info info = topic_info_of(&fixture, journal.topics[topic]);

    cr_assert_eq(info.id, journal.topics[topic], "a topic is gone");
    cr_assert_eq(topic_each(&fixture, info.id, on_event, &found), TOPIC_DONE);
    cr_assert(found.seq == 0 || found.seq + 1 == info.next_seq);
    if (topic == 1)
        cr_assert_leq(info.next_seq - info.first_seq, KEPT_BY_FEW + 12 * MAX_AT_ONCE);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        const uint64_t confirmed = journal.confirmed[topic][i];

        if (topic == 0 && found.first[i] > 0)
            cr_assert_eq(found.first[i], 1u);
        if (topic == 0 || found.last[i] > 0)
            cr_assert_geq(found.last[i], topic == 0 ? confirmed : 0,
                          "%c%lu was confirmed, and %lu is the last", letter(topic, i),
                          (unsigned long)confirmed, (unsigned long)found.last[i]);
        cr_assert_leq(found.last[i], journal.sent[topic][i], "an event that nobody sent");
        if (i >= 2) /* it goes on behind what is there; in `few` that may have left */
            journal.confirmed[topic][i] = MAX_OF(found.last[i], confirmed);
    }
    /* nothing that was confirmed last has left */
    if (topic == 1)
        for (unsigned i = 0; i < PRODUCERS; i++)
            cr_assert(found.first[i] == 0 || found.last[i] >= journal.confirmed[topic][i]);
}

static void check_all(void)
{
    for (unsigned i = 0; i < TOPICS; i++)
        if (journal.topics[i] != 0)
            check_topic(i);
    for (unsigned i = 0; i < SPARE_TOPICS; i++) {
        const bool is_there =
            journal.spare_ids[i] != 0 && topic_info_of(&fixture, journal.spare_ids[i]).id != 0;

        if (journal.spares[i] != SPARE_UNKNOWN)
            cr_assert_eq(is_there, journal.spares[i] == SPARE_THERE, "spare-%u", i);
    }
}

/* Some lives of one store, each with something that goes wrong. Returns how many there were. */
static unsigned live(struct power_plan (*plan_of)(void))
{
    journal = (struct journal){.topics = {0}};
    for (unsigned i = 0; i < LIVES; i++) {
        const struct power_plan plan = plan_of();

        power_plan_set(&plan);
        if (fixture_open(&fixture) == ERR_OK)
            work(30);
        fixture_close(&fixture);
        power_return(cuts_random());
        fixture_expect_open(&fixture);
        check_all();
        if (i + 1 == LIVES) { /* what was not confirmed is sent again, and all goes on */
            work(5);
            check_all();
        }
        fixture_close(&fixture);
    }
    fixture_fini(&fixture);
    fixture_init(&fixture);
    return LIVES;
}

Test(topic_cuts, a_power_cut_loses_nothing_that_was_confirmed)
{
    cuts_run(cuts_wanted(1000), live, power_off);
}

Test(topic_cuts, a_sync_that_fails_loses_nothing_that_was_confirmed)
{
    cuts_run(cuts_wanted(1000), live, failing_sync);
}

static struct power_plan full_disk(void)
{
    return (struct power_plan){.free_bytes = 100000 + roll(900000),
                               .off_at = roll(2) == 0 ? 1 + roll(250) : 0};
}

Test(topic_cuts, a_full_disk_loses_nothing_that_was_confirmed)
{
    cuts_run(cuts_wanted(100) / 4, live, full_disk);
}

/* ---- decay ---- */

/* All events and their sequences as one number; 0: not all of them can be read. */
static uint64_t content_of(uint64_t topic)
{
    struct topic_read read = {.topic = topic, .start = START_SEQUENCE, .max_rows = 64, .max_bytes = 1u << 20};
    uint64_t key[2] = {1, 2};

    do {
        read_step(&fixture, &read);
        for (uint32_t i = 0; i < read.count; i++) {
            key[1] ^= read.rows[i].first_seq;
            key[0] = siphash13(key, read.rows[i].data);
            read.value = read.rows[i].first_seq + read.rows[i].count;
        }
    } while (read.outcome == TOPIC_DONE && read.count > 0);
    buf_fini(&read.data);
    return read.outcome == TOPIC_DONE && read.value == read.next_seq ? key[0] : 0;
}

static size_t load(char *bytes, size_t capacity)
{
    FILE *file = fopen(fixture_file(&fixture, "store.db"), "rb");

    cr_assert(file);
    const size_t size = fread(bytes, 1, capacity, file);
    cr_assert_eq(fclose(file), 0);
    return size;
}

static void save(const char *bytes, size_t size)
{
    FILE *file = fopen(fixture_file(&fixture, "store.db"), "wb");

    cr_assert(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    (void)unlink(fixture_file(&fixture, "store.db-wal"));
    (void)unlink(fixture_file(&fixture, "store.db-shm"));
}

Test(topic_cuts, a_bit_that_flips_is_found_or_harmless)
{
    static char good[4u << 20];
    unsigned found = 0;

    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders");
    for (unsigned i = 0; i < 100; i++) {
        struct batch batch;

        batch_init(&batch, (struct batch_params){topic, 'a', 1, 1 + i, 1, 5000});
        batch_begin(&fixture, &batch);
        cr_assert_eq(batch_end(&batch), TOPIC_DONE);
    }
    const uint64_t content = content_of(topic);
    fixture_close(&fixture);
    const size_t size = load(good, sizeof(good));
    for (unsigned i = 0; i < 100; i++) {
        const size_t bit = cuts_random() % (size * 8);

        good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
        save(good, size);
        good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
        if (fixture_open(&fixture) != ERR_OK) {
            found++;
            continue;
        }
        const uint64_t now = content_of(topic);
        found += now == 0;
        cr_assert(now == 0 || now == content, "byte %zu: other events are there", bit / 8);
        fixture_close(&fixture);
    }
    cr_assert_gt(found, 25u);
    save(good, size);
}
