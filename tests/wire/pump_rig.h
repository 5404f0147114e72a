/* pump_rig.h - a channel with feeds named a, b, c and so on, a pump on a real call, and a client
 * that puts what it reads into a short text: "started; lost a 1-2 OLDEST; a1-3; b7; a is 3;
 * progress 4" (the order in which a batch applies). Every event's content is checked on the way:
 * topic and key say where it belongs, its data is what was put. */
#ifndef TRIBUTARY_TESTS_WIRE_PUMP_RIG_H
#define TRIBUTARY_TESTS_WIRE_PUMP_RIG_H

#include "flow/chan_stats.h"
#include "server/wire/sender.h"
#include "wire_fixture.h"

#define RIG_FEEDS 4
#define STUFFING (1024 * 1024) /* an event that no window takes */

struct rig {
    struct house house;
    struct client client;
    struct sender_settings settings; /* may be changed before rig_subscribe() */
    struct chan *chan;
    struct source *sources[RIG_FEEDS];
    struct feed *feeds[RIG_FEEDS];
    uint64_t next[RIG_FEEDS]; /* the next sequence */
    struct sender *_Atomic sender;
    struct call *call; /* wire thread only */
    _Atomic int ended, lost, closed, progress;
    _Atomic enum chan_state how;
    _Atomic bool undecided; /* ended() does not know its reason yet */
    char text[256 * 1024];  /* what was read last */
    uint32_t events;        /* in it */
    size_t bytes;           /* of it */
};

/* Everything of `settings` far away: no linger, no heartbeat, no limit that is met. */
void rig_open(struct rig *rig, const struct chan_limits *limits, uint32_t feeds);
void rig_subscribe(struct rig *rig); /* opens the call; the pump begins, with a block Started in it */
void rig_close(struct rig *rig);     /* ends the call if need be; checks that nothing is left behind */

/* `size` bytes of data each */
struct chunk *rig_chunk(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size);
enum err rig_put(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size);
void rig_skip(struct rig *rig, uint32_t feed, uint32_t events); /* leaves a gap in the sequences */

/* Puts an event that no window takes, and waits until it is in flight. Nothing else may wait. */
void rig_stuff(struct rig *rig);
bool rig_in_flight(struct rig *rig);
void rig_landed(struct rig *rig); /* waits until nothing is in flight */

/* The next message; NULL: there is none. */
const char *rig_read(struct rig *rig);
/* Reads until all of these events came. */
void rig_read_events(struct rig *rig, uint64_t events);

/* Waits until the call is over on the server's side, and returns the channel's sums, balanced. */
struct chan_stats rig_over(struct rig *rig);

#endif
