/* hub_fixture.h - the engine without a wire: a hub on a loop that the test turns by hand, with
 * producers and consumers that do what the test says. */
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
#include "route/offer.h"

struct hub_fixture {
    struct loop *loop;
    struct hub *hub;
    int log; /* what the hub logged */
    unsigned emptied;
    unsigned putters, consumers, sessions; /* how many there were, while a transcript is recorded */
};

/* What hub_fixture_open() publishes: 16 producers, 8 subscriptions, and 60 s until a producer is
 * forgotten; the rest are the defaults. Change them before. */
extern struct settings hub_fixture_settings;

void hub_fixture_open(struct hub_fixture *fixture);
void hub_fixture_close(struct hub_fixture *fixture); /* checks that nothing of the engine is left alive */
/* Turns the loop until `done(ctx)`. Returns false after 5 s. */
bool hub_fixture_until(struct hub_fixture *fixture, bool (*done)(void *ctx), void *ctx);
/* How many lines of the log so far name this event. */
unsigned hub_fixture_logged(struct hub_fixture *fixture, const char *event);
/* Some line of the log has both this event and this word. */
bool hub_fixture_log_has(struct hub_fixture *fixture, const char *event, const char *word);
/* For queries: copies a view, whose pointers stay valid for a while. */
void hub_fixture_copy_view(void *ctx, const struct producer_view *view);
void hub_fixture_emptied(void *fixture); /* for hub_drain(): counts */
/* For the transcript: what an offer returned. */
void hub_fixture_offered(enum err err, const struct offer *offer);

/* A call that publishes. */
struct putter {
    struct put_waiter waiter;
    struct inlet *inlet;
    struct offer offer; /* of the last put */
    _Atomic unsigned over;
    unsigned number; /* in the transcript */
};
void putter_open(struct putter *putter, struct hub_fixture *fixture, const char *name);
enum err putter_put(struct putter *putter, struct chunk *chunk); /* takes over the chunk */
void putter_leave(struct putter *putter);

/* Publishes `count` events of one topic by a call of its own. They must not be blocked. */
struct offer publish(struct hub_fixture *fixture, const char *name, uint32_t count, const char *topic);

/* A chunk with one event for each letter of `topics`, of that topic: "aab" makes events of the
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
    uint64_t epoch;            /* of the last source that was reported */
    unsigned readable_calls;   /* calls of readable() */
    unsigned closings, aborts; /* calls of the port */
    bool bound;                /* it was called: bound(), after consumer_begin() */
    unsigned selected;         /* calls of selected(), after consumer_begin() */
    enum fault_reason selected_for;
    enum closing closing;
    int64_t deadline_ns;
    struct fault fault;
    bool leaves;     /* unsubscribes from within the port */
    unsigned number; /* in the transcript */
};

/* The params of a subscription, for consumer_join(). By default: every producer, DROP_OLDEST, 1024
 * events, 4 MiB. `topic` NULL: all topics. */
struct subscription_params subscription_params_of(const char *topic);
struct filter *filter_of(const char *producer, const char *topic, const char *exclude_topic);
enum fault_reason consumer_try(struct consumer *consumer, struct hub_fixture *fixture,
                               struct subscription_params params);
/* consumer_try() for one that may be bound in portions, and may get another filter in portions. */
enum fault_reason consumer_begin(struct consumer *consumer, struct hub_fixture *fixture,
                                 struct subscription_params params);
void consumer_join(struct consumer *consumer, struct hub_fixture *fixture, struct subscription_params params);
/* Reads everything there is and returns it as text, one line for each batch: `lost NAME COUNT
 * FIRST-LAST REASON`, `NAME FIRST-LAST`, `NAME is STATE`, `NAME is STATE with CODE: MESSAGE`,
 * separated by commas. `mark N` has a line of its own. A count that is not known is `?`. The text
 * is valid until the next call. */
const char *consumer_read(struct consumer *consumer);
/* hub_select() with filter_of(). 0: it was refused. */
uint32_t consumer_select(struct consumer *consumer, const char *producer, const char *topic);
/* Where it stands in every source, as hub_positions() says: `NAME=SEQUENCE`, separated by spaces.
 * The text is valid until the next call. */
const char *consumer_positions(const struct consumer *consumer);
/* The same of at most `max` sources, as hub_filtered_positions() says. */
const char *consumer_filtered_positions(const struct consumer *consumer, uint32_t max);
/* Unsubscribes and checks the totals. Calling it twice is harmless, and so is calling it after the
 * consumer left from within its port. */
void consumer_leave(struct consumer *consumer);
void check_totals(struct chan *chan);

#endif
