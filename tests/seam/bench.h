/* bench.h - the engine on a bench: a hub on a loop that is turned by hand, with producers and
 * consumers that do as the test says. */
#ifndef TRIBUTARY_TESTS_SEAM_BENCH_H
#define TRIBUTARY_TESTS_SEAM_BENCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "hub/hub.h"
#include "lib/events.h"
#include "loop/loop.h"

struct bench {
    struct loop *loop;
    struct hub *hub;
    int log; /* what the hub logged */
    unsigned emptied;
};

/* Limits of 16 producers, 8 subscriptions, and 60 s until a producer is forgotten; change them
 * before bench_open(). */
extern struct hub_limits bench_limits;

void bench_open(struct bench *bench);
void bench_close(struct bench *bench); /* checks that nothing of the engine is left alive */
/* Turns the loop until `done(ctx)`; false after 5 s. */
bool bench_until(struct bench *bench, bool (*done)(void *ctx), void *ctx);
/* how many lines so far tell of it */
unsigned bench_logged(struct bench *bench, const char *event);
/* a line that tells of it has this word in it */
bool bench_says(struct bench *bench, const char *event, const char *word);
/* for looking: into a view, whose pointers are valid for a while */
void bench_copy_view(void *ctx, const struct producer_view *view);
void bench_emptied(void *bench); /* for hub_drain(): counts */

/* A call that publishes. */
struct putter {
    struct put_waiter waiter;
    struct inlet *inlet;
    struct offer offer; /* the last answer */
    _Atomic unsigned over;
};
void putter_open(struct putter *putter, struct bench *bench, const char *name);
enum err putter_put(struct putter *putter, struct chunk *chunk); /* the chunk is the putter's to release */
void putter_leave(struct putter *putter);

/* A call of its own for `count` events of one topic, that must not be held back. */
struct offer publish(struct bench *bench, const char *name, uint32_t count, const char *topic);

/* A chunk whose events have the topics that the letters of `topics` name: "aab" are events of
 * topics "a", "a" and "b". */
struct chunk *chunk_of_letters(const char *topics, size_t data_size);

struct consumer {
    struct bench *bench;
    struct subscription *subscription;
    struct subscription_result result;
    struct chan *chan;
    struct chan_batch batch;
    struct buf losses, runs, states; /* of the batch that is being read */
    struct buf transcript;
    uint64_t epoch;          /* of the last source heard of */
    unsigned rung;           /* readable() */
    unsigned closings, cuts; /* how often the port was told */
    enum closing closing;
    int64_t deadline_ns;
    struct fault fault;
    bool leaves; /* unsubscribes from within the port */
};

/* What a test may want to change of a wish before consumer_join(). By default: everything,
 * DROP_OLDEST, 1024 events, 4 MiB. */
struct subscription_params wish_of(const char *topic);
struct filter *filter_of(const char *producer, const char *topic, const char *exclude_topic);
enum fault_reason consumer_try(struct consumer *consumer, struct bench *bench,
                               struct subscription_params params);
void consumer_join(struct consumer *consumer, struct bench *bench, struct subscription_params params);
/* Takes all there is and says what it was, a batch in a line: `lost NAME COUNT FIRST-LAST REASON`,
 * `NAME FIRST-LAST`, `NAME is STATE` or `NAME is STATE with CODE: MESSAGE`, with commas; `mark N`
 * in a line of its own; a count that is not known is `?`. Valid until the next call. */
const char *consumer_read(struct consumer *consumer);
/* Unsubscribes and checks the sums. Idempotent, also after the consumer left by itself. */
void consumer_leave(struct consumer *consumer);
void check_sums(struct chan *chan);

#endif
