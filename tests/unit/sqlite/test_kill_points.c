/* test_kill_points.c - the process is killed (SIGKILL) in each call that changes a file of the
 * store, while it opens, migrates, appends, trims, checkpoints, deletes and closes: row_2, row_8.
 * Afterwards all that was confirmed is there, once, and the store goes on.
 * At most MAX_KILLS calls of each step, spread over all of them.
 *
 * A child works. It shares with the test what was confirmed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "marked_events.h"
#include "power_vfs.h"

#define KEPT_BY_FEW 60u
#define EVENTS 10u
#define LARGE 15000u  /* bytes of an event */
#define MAX_KILLS 40u /* in a step */
#define NOT_REACHED 7
#define BROKEN 8

enum phase { OPENS, APPENDS, DELAYS, TRIMS, CHECKPOINTS, DELETES, CLOSES, PHASE_COUNT };
static const char *const phase_names[] = {"open",   "append", "delayed events and ids", "trim", "checkpoint",
                                          "delete", "close"};

enum { ALL, FEW, MARKS, TOPICS };
static const char *const topic_names[TOPICS] = {"all", "few", "marks"};

/* Of each topic the last number that was sent, and the last that was confirmed. */
struct known {
    uint64_t sent[TOPICS], confirmed[TOPICS];
    uint64_t other; /* the id of the topic that is deleted and made again */
    bool other_is_gone;
    unsigned calls; /* of the phase, where nobody was killed in it */
};

static struct store_fixture fixture;
static struct known *known;
static uint64_t topics[TOPICS];

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
    known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(known, MAP_FAILED);
}

static void end(void)
{
    munmap(known, sizeof(*known));
    fixture_fini(&fixture);
}

TestSuite(kill_points, .init = begin, .fini = end, .timeout = 300);

/* ---- the child ---- */

static void need(bool is_so)
{
    if (!is_so)
        _exit(BROKEN);
}

static uint64_t topic_of(const char *name, struct topic_settings settings)
{
    const struct topic_change change = change_topic(&fixture, TOPIC_CREATE, name, settings);

    need(change.outcome == TOPIC_DONE || change.outcome == TOPIC_EXISTS);
    return change.id;
}

static void make_topics(void)
{
    topics[ALL] = topic_of(topic_names[ALL], (struct topic_settings){.max_events = 0});
    topics[FEW] = topic_of(topic_names[FEW], (struct topic_settings){.max_events = KEPT_BY_FEW});
    topics[MARKS] = topic_of(topic_names[MARKS], (struct topic_settings){.id_window_ns = 3600 * NS_PER_S});
}

/* The next events of a topic. A producer numbers over all topics, so each has one of its own. */
static void append_to(unsigned topic, size_t padding)
{
    const uint64_t first = known->confirmed[topic] + 1;
    struct batch batch;

    batch_init(&batch, (struct batch_params){topics[topic], (char)('a' + topic), 1, first, EVENTS, padding});
    known->sent[topic] = first + EVENTS - 1;
    batch_begin(&fixture, &batch);
    need(batch_end(&batch) == TOPIC_DONE);
    known->confirmed[topic] = first + EVENTS - 1;
}

/* Events with ids, the second half of them delayed. */
static void append_marks(void)
{
    const uint64_t first = known->confirmed[MARKS] + 1;
    struct marked batch;
    char text[24];

    marked_init(&batch, topics[MARKS]);
    for (uint64_t number = first; number < first + EVENTS; number++) {
        snprintf(text, sizeof(text), "%lu", (unsigned long)number);
        marked_add(&batch, text, text, number < first + EVENTS / 2 ? 0 : clock_wall_ns() + NS_PER_MS);
    }
    known->sent[MARKS] = first + EVENTS - 1;
    need(marked_append(&fixture, &batch) == TOPIC_DONE);
    known->confirmed[MARKS] = first + EVENTS - 1;
    while (topic_info_of(&fixture, topics[MARKS]).delayed > 0)
        usleep(200);
}

static void append_until_checkpoint(void)
{
    const int64_t before = count_get(COUNT_STORE_CHECKPOINTS);

    for (unsigned i = 0; i < 100 && count_get(COUNT_STORE_CHECKPOINTS) == before; i++)
        append_to(FEW, LARGE);
    need(count_get(COUNT_STORE_CHECKPOINTS) > before);
}

static void replace_other(void)
{
    const struct topic_settings none = {.max_events = 0};

    known->other = topic_of("other", none);
    known->other_is_gone = false;
    append_to(ALL, 0);
    need(change_topic(&fixture, TOPIC_DELETE, "other", none).outcome == TOPIC_DONE);
    known->other_is_gone = true;
    append_to(ALL, 0); /* by now its table leaves */
}

static void do_phase(enum phase phase)
{
    switch (phase) {
    case OPENS:
        need(fixture_open(&fixture) == ERR_OK);
        appeared_listen(&fixture);
        make_topics();
        break;
    case APPENDS:
        for (unsigned i = 0; i < 3; i++)
            append_to(ALL, i * 1000);
        break;
    case DELAYS:
        append_marks();
        break;
    case TRIMS:
        for (unsigned i = 0; i < 4; i++)
            append_to(FEW, 0);
        break;
    case CHECKPOINTS:
        append_until_checkpoint();
        break;
    case DELETES:
        replace_other();
        break;
    case CLOSES:
        fixture_close(&fixture);
        break;
    case PHASE_COUNT:
        break;
    }
}

/* Lives up to the phase, and dies in its n-th call; 0: in none. */
static void live(enum phase phase, unsigned n)
{
    for (enum phase now = OPENS; now <= phase; now++) {
        const unsigned before = power_calls();

        if (now == phase && n > 0)
            power_plan_change(&(struct power_plan){.kill_at = before + n});
        do_phase(now);
        if (now == phase)
            known->calls = power_calls() - before;
    }
    _exit(NOT_REACHED);
}

/* Returns whether it was killed. */
static bool child_is_killed(enum phase phase, unsigned n)
{
    int status = 0;
    const pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0)
        live(phase, n);
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == NOT_REACHED, "%s, call %u: status %x",
              phase_names[phase], n, (unsigned)status);
    return false;
}

/* ---- what is there ---- */

static void in_order(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    uint64_t *last = ctx;

    (void)producer;
    cr_assert(*last == 0 || number == *last + 1, "number %lu after %lu", (unsigned long)number,
              (unsigned long)*last);
    cr_assert_eq(seq, number, "a topic has one producer, and trims do not change sequences");
    *last = number;
}

static void check_bounds(unsigned topic, uint64_t last)
{
    cr_assert(last >= known->confirmed[topic] && last <= known->sent[topic],
              "'%s': %lu were confirmed and %lu sent, and %lu is the last", topic_names[topic],
              (unsigned long)known->confirmed[topic], (unsigned long)known->sent[topic], (unsigned long)last);
    known->confirmed[topic] = known->sent[topic] = last; /* it goes on behind what is there */
}

static void check_marks(void)
{
    static unsigned char times[1u << 20];
    static char text[65536];
    char *rest = NULL;
    uint64_t last = 0;

    while (topic_info_of(&fixture, topics[MARKS]).delayed > 0)
        usleep(200);
    memset(times, 0, sizeof(times));
    snprintf(text, sizeof(text), "%s", marked_text(&fixture, topics[MARKS]));
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const uint64_t number = strtoull(word, NULL, 10);

        cr_assert(number > 0 && number < sizeof(times));
        cr_assert_eq(++times[number], 1, "event %s is there twice", word);
        last = MAX_OF(last, number);
    }
    for (uint64_t number = 1; number <= last; number++)
        cr_assert_eq(times[number], 1, "event %lu is lost", (unsigned long)number);
    check_bounds(MARKS, last);
}

static bool topic_is_there(const char *name, uint64_t *id_out)
{
    const struct topic_change change =
        change_topic(&fixture, TOPIC_CREATE, name, (struct topic_settings){.max_events = 0});

    cr_assert(change.outcome == TOPIC_DONE || change.outcome == TOPIC_EXISTS);
    *id_out = change.id;
    return change.outcome == TOPIC_EXISTS;
}

static void delete_topic(const char *name)
{
    const struct topic_settings none = {.max_events = 0};

    cr_assert_eq(change_topic(&fixture, TOPIC_DELETE, name, none).outcome, TOPIC_DONE);
}

static void check_numbered(unsigned topic)
{
    const struct topic_info info = topic_info_of(&fixture, topics[topic]);
    uint64_t last = 0;

    cr_assert_eq(topic_each(&fixture, topics[topic], in_order, &last), TOPIC_DONE);
    cr_assert_eq(info.next_seq, last + 1);
    if (topic == ALL)
        cr_assert_eq(info.first_seq, 1u, "nothing leaves");
    else
        cr_assert_geq(last + 1 - info.first_seq, MIN_OF(last, KEPT_BY_FEW), "trimmed too far");
    check_bounds(topic, last);
}

static void check(void)
{
    fixture_expect_open(&fixture);
    appeared_listen(&fixture);
    for (unsigned i = 0; i < TOPICS; i++)
        if (!topic_is_there(topic_names[i], &topics[i])) {
            cr_assert_eq(known->confirmed[i], 0u, "topic '%s' is gone", topic_names[i]);
            delete_topic(topic_names[i]);
            topics[i] = 0;
        }
    if (known->other != 0 && known->other_is_gone)
        cr_assert_eq(topic_info_of(&fixture, known->other).id, 0u, "a deleted topic is there");
    for (unsigned i = 0; i < TOPICS; i++)
        if (topics[i] != 0 && i != MARKS)
            check_numbered(i);
    if (topics[MARKS] != 0)
        check_marks();
    fixture_close(&fixture);
}

/* ---- the steps ---- */

static void forget_folder(void)
{
    fixture_fini(&fixture);
    fixture_init(&fixture);
    power_plan_set(&(struct power_plan){.off_at = 0});
    *known = (struct known){.calls = 0};
}

/* Kills in calls of a phase, evenly over all of them. `prepare` is called before each life. */
static unsigned kill_in(enum phase phase, void (*prepare)(void))
{
    unsigned kills = 0;

    forget_folder();
    prepare();
    cr_assert_not(child_is_killed(phase, 0));
    const unsigned calls = known->calls, apart = MAX_OF(calls / MAX_KILLS, 1u);
    cr_assert_gt(calls, 3u, "%s changes files", phase_names[phase]);
    check();
    for (unsigned n = 1; n <= calls; n += apart) {
        prepare();
        kills += child_is_killed(phase, n);
        check();
    }
    return kills;
}

static void nothing(void)
{
}

static void new_folder(void)
{
    forget_folder();
}

Test(kill_points, in_each_step_of_a_life_nothing_that_was_confirmed_is_lost)
{
    unsigned kills = 0;

    for (enum phase phase = APPENDS; phase < PHASE_COUNT; phase++) {
        const unsigned now = kill_in(phase, nothing);

        cr_assert_geq(now, 4u, "%s", phase_names[phase]);
        kills += now;
    }
    cr_assert_geq(kills, 150u);
}

Test(kill_points, a_store_that_is_made_is_there_or_made_again)
{
    cr_assert_geq(kill_in(OPENS, new_folder), 20u);
}

Test(kill_points, a_store_that_is_opened_again_has_everything)
{
    cr_assert_geq(kill_in(OPENS, nothing), 3u);
}

/* As version 2 had it. */
static void make_old(void)
{
    if (known->confirmed[ALL] == 0) {
        forget_folder();
        cr_assert_not(child_is_killed(APPENDS, 0));
        check();
    }
    fixture_sql(&fixture, "DROP TABLE consumer_group; DROP TABLE cursor; DROP TABLE due; DROP TABLE ids; "
                          "DROP INDEX publisher_used;"
                          "DELETE FROM meta WHERE key = 'id_key';"
                          "UPDATE meta SET value = '2' WHERE key = 'schema'; PRAGMA user_version = 2");
}

Test(kill_points, a_migration_goes_on)
{
    cr_assert_geq(kill_in(OPENS, make_old), 20u);
}
