/* test_h2socket_turns.c - what a turn reads; when a socket that waits is released; how long the
 * core's epoll_wait() takes (finding 2). */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include "h2socket_fixture.h"

#define TURN 1000
#define MANY 20
/* What the first turn passes of a connection that begins with a long message. */
#define FIRST_TURN (START_BYTES - START_COST + 9 + TURN)

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, TURN);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(h2socket_turns, .init = begin, .fini = end);

/* The core reads until EAGAIN. */
static void reads(const struct ends *pair, size_t size)
{
    int error;
    size_t got = core_reads_all(pair, &error);

    cr_assert_eq(got, size, "%zu bytes, and not %zu", got, size);
    cr_assert_eq(error, EAGAIN);
}

/* A connection that has used its first turn and waits; `size` paid bytes are left to read. */
static void waiting(struct ends *pair, uint32_t size)
{
    fixture_connect(&fixture, UNIX, pair);
    peer_starts(pair);
    peer_sends_message(pair, TURN - START_COST + size);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, FIRST_TURN);
}

/* A poll finds one event, for this connection. */
static void polls_one(int timeout_ms, const struct ends *pair)
{
    cr_assert_eq(core_polls(&fixture, timeout_ms), 1);
    cr_assert_eq(core_event(0), pair);
    cr_assert(core_event_bits(0) & EPOLLIN);
}

Test(h2socket_turns, beyond_its_portion_a_socket_waits_for_the_next_poll)
{
    struct ends pair;

    waiting(&pair, 3 * TURN - 5);
    cr_assert_eq(count_get(COUNT_GUARD_WAITS), 1);
    reads(&pair, 0);
    reads(&pair, 0);
    cr_assert_eq(count_get(COUNT_GUARD_WAITS), 1, "it waits once");
    for (int turn = 0; turn < 2; turn++) {
        polls_one(-1, &pair);
        reads(&pair, TURN);
    }
    polls_one(-1, &pair);
    reads(&pair, TURN - 5);
    cr_assert_eq(core_polls(&fixture, 0), 0, "the socket is empty");
    peer_sends_message(&pair, 6);
    polls_one(-1, &pair);
    reads(&pair, 9 + 6);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_poll_begins_a_turn_of_a_socket_that_does_not_wait)
{
    struct ends pair;

    fixture_connect(&fixture, TCP, &pair);
    peer_starts(&pair);
    for (int turn = 0; turn < 10; turn++) {
        polls_one(-1, &pair);
        (void)core_reads_all(&pair, &(int){0});
        peer_sends_message(&pair, TURN - 20);
    }
    cr_assert_eq(count_get(COUNT_GUARD_WAITS), 0);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_rest_may_be_read_in_small_pieces_within_its_turn)
{
    struct ends pair;
    char data[100];

    fixture.limits.first_read_bytes = 16384; /* much more than passes */
    waiting(&pair, 3 * TURN);
    polls_one(-1, &pair);
    for (size_t got = 0; got < TURN; got += sizeof(data))
        cr_assert_eq(core_reads(&pair, data, sizeof(data)), sizeof(data), "after %zu", got);
    reads(&pair, 0);
    polls_one(-1, &pair);
    reads(&pair, TURN);
    cr_assert_eq(count_get(COUNT_GUARD_WAITS), 3);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, eight_are_released_in_one_poll_behind_real_events_and_in_order)
{
    static const int order[MANY] = {7, 3, 11, 0, 19, 5, 2, 13, 1, 17, 4, 6, 8, 10, 9, 12, 14, 18, 16, 15};
    struct ends pairs[MANY], ready;
    int next = 0;

    for (int i = 0; i < MANY; i++) {
        fixture_connect(&fixture, UNIX, &pairs[i]);
        peer_starts(&pairs[i]);
        peer_sends_message(&pairs[i], 2 * TURN);
    }
    fixture_connect_with(&fixture, UNIX, &fixture.limits, false, &ready);
    cr_assert_eq(core_polls(&fixture, -1), MANY);
    for (int i = 0; i < MANY; i++)
        reads(&pairs[order[i]], FIRST_TURN);
    peer_starts(&ready);
    fixture_watch(&fixture, &ready);
    cr_assert_eq(core_polls(&fixture, -1), 1 + MAX_H2SOCKET_RELEASES);
    cr_assert_eq(core_event(0), &ready);
    for (int i = 1; i <= MAX_H2SOCKET_RELEASES; i++)
        cr_assert_eq(core_event(i), &pairs[order[next++]]);
    while (next < MANY) {
        int count = core_polls(&fixture, -1);

        cr_assert_eq(count, MIN_OF(MAX_H2SOCKET_RELEASES, MANY - next));
        for (int i = 0; i < count; i++)
            cr_assert_eq(core_event(i), &pairs[order[next++]]);
    }
    cr_assert_eq(core_polls(&fixture, 0), 0);
    for (int i = 0; i < MANY; i++) {
        reads(&pairs[i], TURN);
        fixture_disconnect(&pairs[i]);
    }
    fixture_disconnect(&ready);
}

/* Three that are ready, and two that wait. */
static void ready_and_waiting(struct ends ready[3], struct ends waits[2])
{
    for (int i = 0; i < 2; i++)
        fixture_connect(&fixture, UNIX, &waits[i]);
    for (int i = 0; i < 3; i++)
        fixture_connect(&fixture, UNIX, &ready[i]);
    for (int i = 0; i < 2; i++) {
        peer_starts(&waits[i]);
        peer_sends_message(&waits[i], 2 * TURN);
    }
    cr_assert_eq(core_polls(&fixture, -1), 2);
    for (int i = 0; i < 2; i++)
        reads(&waits[i], FIRST_TURN);
    for (int i = 0; i < 3; i++)
        peer_starts(&ready[i]);
}

static void disconnect(struct ends *pairs, int count)
{
    for (int i = 0; i < count; i++)
        fixture_disconnect(&pairs[i]);
}

Test(h2socket_turns, half_of_a_small_array_is_for_those_that_wait)
{
    struct ends ready[3], waits[2];

    ready_and_waiting(ready, waits);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(core_polls_for(&fixture, 2, -1), 2);
        cr_assert_eq(core_event(0), &ready[i]);
        cr_assert_eq(core_event(1), &waits[i]);
    }
    cr_assert_eq(core_polls_for(&fixture, 2, -1), 1);
    cr_assert_eq(core_event(0), &ready[2]);
    disconnect(ready, 3);
    disconnect(waits, 2);
}

Test(h2socket_turns, an_array_of_one_has_real_events_first)
{
    struct ends ready[3], waits[2];

    ready_and_waiting(ready, waits);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(core_polls_for(&fixture, 1, 1000), 1);
        cr_assert_eq(core_event(0), i < 3 ? &ready[i] : &waits[i - 3]);
    }
    cr_assert_eq(core_polls_for(&fixture, 1, 0), 0);
    disconnect(ready, 3);
    disconnect(waits, 2);
}

Test(h2socket_turns, an_array_of_none_fails_as_in_libc)
{
    struct ends pair;

    waiting(&pair, TURN);
    cr_assert(core_polls_for(&fixture, 0, 0) == -1 && errno == EINVAL);
    cr_assert(core_polls_for(&fixture, -1, 0) == -1 && errno == EINVAL);
    polls_one(0, &pair);
    fixture_disconnect(&pair);
}

/* A connection that waits until a thousandth of its second's budget comes back for each of these
 * milliseconds: it has used its budget. */
static void delayed(struct ends *pair, int delay_ms)
{
    fixture.limits.second_cost = 1000 * TURN / delay_ms;
    fixture_connect(&fixture, UNIX, pair);
    peer_starts(pair);
    peer_sends_message(pair, 100 * TURN);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    do {
        (void)core_reads_all(pair, &(int){0});
    } while (core_polls(&fixture, 0) > 0);
}

Test(h2socket_turns, a_poll_without_end_ends_when_the_delay_is_over)
{
    struct ends pair;

    delayed(&pair, 100); /* 10 turns in a second */
    int64_t began_ns = clock_mono_ns(), took_ns;
    size_t size = 0;
    for (int poll = 0; poll < 6; poll++) {
        polls_one(poll % 2 == 0 ? -1 : 100000, &pair);
        size += core_reads_all(&pair, &(int){0});
    }
    took_ns = clock_mono_ns() - began_ns;
    cr_assert_lt(took_ns, 50 * NS_PER_S);
    cr_assert_geq(size, 3 * TURN);
    cr_assert_leq((int64_t)size, 10 * TURN * (took_ns + 10 * NS_PER_MS) / NS_PER_S, "%zu in %lld ns", size,
                  (long long)took_ns);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_shorter_poll_ends_before_the_delay)
{
    struct ends pair;
    int64_t began_ns;

    delayed(&pair, 1000);
    began_ns = clock_mono_ns();
    cr_assert_eq(core_polls(&fixture, 0), 0);
    cr_assert_eq(core_polls(&fixture, 20), 0);
    cr_assert_geq(clock_mono_ns() - began_ns, 20 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - began_ns, 900 * NS_PER_MS);
    polls_one(100000, &pair);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_new_event_does_not_end_the_wait)
{
    struct ends pair;

    delayed(&pair, 1000);
    peer_sends_message(&pair, TURN);
    polls_one(-1, &pair);
    reads(&pair, 0);
    fixture_disconnect(&pair);
}

/* ---- several threads ---- */

static sem_t released;

static void *polls_for_ever(void *ctx)
{
    const struct ends *stop = ctx;

    for (;;) {
        int count = core_polls(&fixture, -1);

        for (int i = 0; i < count; i++) {
            if (core_event(i) == stop)
                return NULL;
            sem_post(&released);
        }
    }
}

Test(h2socket_turns, a_poll_wakes_when_another_thread_lets_a_socket_wait)
{
    struct ends pair, stop;
    pthread_t poller;
    int error;

    fixture.limits.turn_cost = 10;
    fixture_connect(&fixture, UNIX, &pair);
    fixture_connect(&fixture, UNIX, &stop);
    peer_starts(&pair);
    peer_sends_message(&pair, 40000);
    sem_init(&released, 0, 0);
    cr_assert_eq(pthread_create(&poller, NULL, polls_for_ever, &stop), 0);
    for (size_t left = 40000 - 10; left > 0;) {
        size_t size;

        sem_wait(&released);
        size = core_reads_all(&pair, &error); /* on a thread that never polls */
        cr_assert_eq(error, EAGAIN);
        left -= MIN_OF(left, size);
    }
    peer_starts(&stop);
    pthread_join(poller, NULL);
    fixture_disconnect(&pair);
    fixture_disconnect(&stop);
}

struct poller {
    pthread_t thread;
    _Atomic pid_t id;
    _Atomic int count;
};

static void *polls_once(void *ctx)
{
    struct poller *poller = ctx;
    struct epoll_event event[4];
    int count;

    poller->id = gettid();
    do {
        count = epoll_wait(fixture.epoll, event, 4, -1);
    } while (count == 0);
    poller->count = count;
    return NULL;
}

/* Returns once the thread sleeps, which it does in epoll_wait() only. */
static void wait_until_it_polls(const struct poller *poller)
{
    char path[64], state = 0;

    while (poller->id == 0)
        usleep(100);
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)poller->id);
    while (state != 'S') {
        FILE *file = fopen(path, "re");

        cr_assert(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
}

Test(h2socket_turns, each_of_two_threads_that_poll_can_be_woken)
{
    struct ends pairs[2];
    struct poller pollers[2] = {0};

    for (int i = 0; i < 2; i++) {
        fixture_connect(&fixture, UNIX, &pairs[i]);
        peer_starts(&pairs[i]);
        peer_sends_message(&pairs[i], 4 * TURN);
    }
    cr_assert_eq(core_polls(&fixture, -1), 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&pollers[i].thread, NULL, polls_once, &pollers[i]), 0);
        wait_until_it_polls(&pollers[i]);
    }
    reads(&pairs[0], FIRST_TURN);
    while (pollers[0].count + pollers[1].count == 0)
        usleep(100);
    reads(&pairs[1], FIRST_TURN); /* one thread has left, the other still polls */
    for (int i = 0; i < 2; i++)
        pthread_join(pollers[i].thread, NULL);
    fixture_disconnect(&pairs[0]);
    fixture_disconnect(&pairs[1]);
}

/* ---- what the core does with its set ---- */

static void on_alarm(int signal)
{
    (void)signal;
}

Test(h2socket_turns, a_poll_that_a_signal_ends_forgets_nobody)
{
    const struct itimerval soon = {.it_value.tv_usec = 20000};
    const struct sigaction action = {.sa_handler = on_alarm};
    struct ends pair;

    delayed(&pair, 500);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    cr_assert(core_polls(&fixture, -1) == -1 && errno == EINTR);
    polls_one(-1, &pair);
    reads(&pair, TURN);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_socket_may_be_closed_between_its_release_and_its_read)
{
    struct ends pair, other;

    waiting(&pair, TURN);
    polls_one(-1, &pair);
    fixture_disconnect(&pair);
    waiting(&other, TURN);
    polls_one(-1, &other);
    fixture_disconnect(&other);
    cr_assert_eq(core_polls(&fixture, 0), 0);
}

Test(h2socket_turns, a_socket_that_is_taken_out_of_the_set_has_no_more_events)
{
    struct ends pair, again;
    struct epoll_event event = {0};

    waiting(&pair, 2 * TURN);
    cr_assert_eq(epoll_ctl(fixture.epoll, EPOLL_CTL_DEL, pair.core, &event), 0);
    cr_assert_not(h2socket_is_in_front(pair.core));
    cr_assert_eq(core_polls(&fixture, 0), 0);
    again = pair;
    cr_assert_eq(fixture_watch(&fixture, &again), 0);
    polls_one(-1, &again);
    reads(&again, TURN);
    polls_one(-1, &again);
    reads(&again, TURN);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, a_set_may_be_closed_and_made_anew)
{
    struct ends pair, again;

    waiting(&pair, 3 * TURN);
    cr_assert_eq(close(fixture.epoll), 0);
    fixture.epoll = epoll_create1(EPOLL_CLOEXEC);
    again = pair;
    cr_assert_eq(fixture_watch(&fixture, &again), 0);
    while (core_polls(&fixture, 0) > 0)
        cr_assert_eq(core_event(0), &again);
    reads(&again, TURN);
    polls_one(-1, &again);
    reads(&again, TURN);
    fixture_disconnect(&pair);
}

Test(h2socket_turns, watching_fails_as_in_libc)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct ends pair;

    fixture_connect(&fixture, UNIX, &pair);
    cr_assert(epoll_ctl(fixture.epoll, EPOLL_CTL_ADD, pair.core, &event) == -1 && errno == EEXIST);
    cr_assert(epoll_ctl(pair.peer, EPOLL_CTL_ADD, pair.core, &event) == -1 && errno == EINVAL);
    cr_assert_eq(epoll_ctl(fixture.epoll, EPOLL_CTL_DEL, pair.core, NULL), 0);
    cr_assert(epoll_ctl(fixture.epoll, EPOLL_CTL_DEL, pair.core, NULL) == -1 && errno == ENOENT);
    fixture_disconnect(&pair);
}
