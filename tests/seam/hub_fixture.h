/* bench.h - the engine on a bench: a hub on a loop that is turned by hand, with producers and
 * consumers that do as the test says. */
#ifndef TRIBUTARY_TESTS_SEAM_HUB_FIXTURE_H
#define TRIBUTARY_TESTS_SEAM_HUB_FIXTURE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "flow/chan_batch.h"
#include "flow/put_waiter.h"
#include "hub/hub.h"
#include "hub/hub_query.h"
#include "hub/producer.h"
#include "hub/subscription.h"
#include "lib/events.h"
#include "loop/loop.h"

struct hub_fixture {
    struct loop *loop;
    struct hub *hub;
    int log; /* what the hub logged */
    unsigned emptied;
};

/* Limits of 16 producers, 8 subscriptions, and 60 s until a producer is forgotten; change them
 * before bench_open(). */
extern struct hub_limits hub_fixture_limits;

void hub_fixture_open(struct hub_fixture *fixture);
void hub_fixture_close(struct hub_fixture *fixture); /* checks that nothing of the engine is left alive */
/* Turns the loop until `done(ctx)`; false after 5 s. */
bool hub_fixture_until(struct hub_fixture *fixture, bool (*done)(void *ctx), void *ctx);
/* how many lines so far tell of it */
unsigned hub_fixture_logged(struct hub_fixture *fixture, const char *event);
/* a line that tells of it has this word in it */
bool hub_fixture_log_has(struct hub_fixture *fixture, const char *event, const char *word);
/* for looking: into a view, whose pointers are valid for a while */
void hub_fixture_copy_view(void *ctx, const struct producer_view *view);
void hub_fixture_emptied(void *fixture); /* for hub_drain(): counts */

/* A call that publishes. */
struct putter {
    struct put_waiter waiter;
    struct inlet *inlet;
    struct offer offer; /* the last answer */
    _Atomic unsigned over;
};
void putter_open(struct putter *putter, struct hub_fixture *fixture, const char *name);
enum err putter_put(struct putter *putter, struct chunk *chunk); /* the chunk is the putter's to release */
void putter_leave(struct putter *putter);

/* A call of its own for `count` events of one topic, that must not be held back. */
struct offer publish(struct hub_fixture *fixture, const char *name, uint32_t count, const char *topic);

/* A chunk whose events have the topics that the letters of `topics` name: "aab" are events of
 * topics "a", "a" and "b". */
struct chunk *chunk_of_letters(const char *topics, size_t data_size);

struct consumer {
    struct hub_fixture *fixture;
    struct subscription *subscription;
    struct subscription_result result;
    struct chan *chan;
    struct chan_batch batch;
    struct buf losses, runs, states; /* of the batch that is being read */
    struct buf transcript;
    uint64_t epoch;            /* of the last source heard of */
    unsigned readable_calls;   /* readable() */
    unsigned closings, aborts; /* how often the port was told */
    enum closing closing;
    int64_t deadline_ns;
    struct fault fault;
    bool leaves; /* unsubscribes from within the port */
};

/* What a test may want to change of a wish before consumer_join(). By default: everything,
 * DROP_OLDEST, 1024 events, 4 MiB. */
struct subscription_params subscription_params_of(const char *topic);
struct filter *filter_of(const char *producer, const char *topic, const char *exclude_topic);
enum fault_reason consumer_try(struct consumer *consumer, struct hub_fixture *fixture,
                               struct subscription_params params);
void consumer_join(struct consumer *consumer, struct hub_fixture *fixture, struct subscription_params params);
/* Takes all there is and says what it was, a batch in a line: `lost NAME COUNT FIRST-LAST REASON`,
 * `NAME FIRST-LAST`, `NAME is STATE` or `NAME is STATE with CODE: MESSAGE`, with commas; `mark N`
 * in a line of its own; a count that is not known is `?`. Valid until the next call. */
const char *consumer_read(struct consumer *consumer);
/* Unsubscribes and checks the sums. Idempotent, also after the consumer left by itself. */
void consumer_leave(struct consumer *consumer);
void check_totals(struct chan *chan);

#endif
