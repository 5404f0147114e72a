/* sender_fixture.h - a channel with feeds named a, b, c and so on, a sender on a real call, and a
 * client that writes what it reads as a short text: "started; lost a 1-2 OLDEST; a1-3; b7; a is 3;
 * progress 4". The parts stand in the order in which a client applies a batch. The client also
 * checks the content of every event: topic and key say where the event belongs, the data is what
 * was put. */
#ifndef TRIBUTARY_TESTS_WIRE_SENDER_FIXTURE_H
#define TRIBUTARY_TESTS_WIRE_SENDER_FIXTURE_H

#include "flow/chan_stats.h"
#include "server/wire/sender.h"
#include "wire_fixture.h"

#define MAX_FEEDS 4
#define FILLER_BYTES (1024 * 1024) /* the size of an event that fills every window */

struct sender_fixture {
    struct wire_fixture wire;
    struct client client;
    struct sender_settings settings; /* may be changed before sender_fixture_subscribe() */
    struct chan *chan;
    struct source *sources[MAX_FEEDS];
    struct feed *feeds[MAX_FEEDS];
    uint64_t next[MAX_FEEDS]; /* the next sequence */
    struct sender *_Atomic sender;
    struct call *call; /* wire thread only */
    bool wants_last;   /* the last Progress is written too */
    _Atomic int ended, lost, closed, progress, last_progress, not_reading;
    _Atomic enum chan_state how;
    _Atomic bool undecided; /* ended() does not know its reason yet */
    /* Of the message that was read last. */
    char text[256 * 1024];
    uint32_t events;
    size_t bytes;
};

/* `limits` NULL: bounds that no test reaches. The settings begin without linger and heartbeat, and
 * with times and sizes that no test reaches. */
void sender_fixture_open(struct sender_fixture *fixture, const struct chan_limits *limits, uint32_t feeds);
/* Opens the call. The sender begins, with a Started note. */
void sender_fixture_subscribe(struct sender_fixture *fixture);
/* Ends the call if it is alive, and checks that nothing is left behind. */
void sender_fixture_close(struct sender_fixture *fixture);

/* A chunk of the feed's next events, with `size` bytes of data each. */
struct chunk *sender_fixture_chunk(struct sender_fixture *fixture, uint32_t feed, uint32_t events,
                                   uint32_t size);
enum err sender_fixture_put(struct sender_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size);
/* Leaves a gap in the sequences. */
void sender_fixture_skip(struct sender_fixture *fixture, uint32_t feed, uint32_t events);

/* Puts an event that fills the window, and waits until it is in flight. Nothing else may wait. */
void sender_fixture_fill_window(struct sender_fixture *fixture);
bool sender_fixture_in_flight(struct sender_fixture *fixture);
/* Waits until nothing is in flight. */
void sender_fixture_wait_sent(struct sender_fixture *fixture);

/* The next message as text; NULL: there is none. */
const char *sender_fixture_read(struct sender_fixture *fixture);
/* Reads until so many events came. */
void sender_fixture_read_events(struct sender_fixture *fixture, uint64_t events);

/* Waits until the server's side of the call is closed. Returns the channel's totals and checks that
 * they balance. */
struct chan_stats sender_fixture_wait_closed(struct sender_fixture *fixture);

#endif
