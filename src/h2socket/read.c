/* read.c - see read.h. */
#include "h2socket/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "h2guard/h2guard_window.h"
#include "h2socket/end.h"
#include "h2socket/kept.h"
#include "h2socket/libc_calls.h"
#include "h2socket/wait.h"

#define MAX_PIECES 64u /* of one read; the core reads into as many */

static ssize_t fail(int error)
{
    errno = error;
    return -1;
}

/* As recvmsg(). Notes the end of the stream. */
static ssize_t receive(struct h2socket *socket, struct msghdr *message, int flags)
{
    const ssize_t size = libc_recvmsg(socket->fd, message, flags);

    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
        socket->is_over = true;
    return size;
}

/* A turn begins. If threads mostly slept since the turn before, they had nothing else to do. */
static void begin_turn(struct h2socket *socket, int64_t now_ns)
{
    int64_t slept_ns = wait_slept_ns();
    bool has_slept = 2 * (slept_ns - socket->slept_ns) >= now_ns - socket->turn_ns;

    socket->was_empty = socket->is_empty && has_slept;
    if (has_slept)
        h2guard_keeps_up(socket->guard, true);
    socket->turn_ns = now_ns;
    socket->slept_ns = slept_ns;
    h2guard_short_turn(socket->guard, now_ns, wait_turn_cost());
}

/* Begins a turn where one is due. False: the socket waits. */
static bool has_turn(struct h2socket *socket)
{
    int turn = atomic_load_explicit(&socket->turn, memory_order_relaxed);

    if (turn == TURN_WAITS)
        return false;
    if (turn == TURN_RELEASED || socket->poll != wait_poll()) {
        atomic_store_explicit(&socket->turn, TURN_RUNS, memory_order_relaxed);
        socket->poll = wait_poll();
        begin_turn(socket, clock_mono_ns());
    }
    return true;
}

/* Notes whether the latest read took all that was there. */
static void note_empty(struct h2socket *socket, bool is_empty)
{
    socket->is_empty = is_empty;
    h2guard_keeps_up(socket->guard, is_empty);
}

static void wait_for_turn(struct h2socket *socket)
{
    count_add(COUNT_GUARD_WAITS, 1);
    note_empty(socket, false);
    wait_begin(socket, h2guard_wait_ns(socket->guard));
}

/* The bytes that a guard was shown and did not let pass begin at `at` of what was read: keeps them.
 * False: out of memory. */
static bool keep_rest(struct h2socket *socket, const struct iovec *pieces, size_t count, size_t at,
                      size_t size)
{
    uint8_t *rest = malloc(size - at);
    size_t kept = 0;

    if (!rest)
        return false;
    for (size_t i = 0, begin = 0; i < count && begin < size; begin += pieces[i].iov_len, i++) {
        size_t from = MAX_OF(at, begin), to = MIN_OF(size, begin + pieces[i].iov_len);

        if (from < to) {
            memcpy(rest + kept, (const uint8_t *)pieces[i].iov_base + (from - begin), to - from);
            kept += to - from;
        }
    }
    socket->rest = rest;
    socket->rest_at = 0;
    socket->rest_size = size - at;
    return true;
}

/* The first pieces of a message, with at most `size` bytes. Returns how many there are. */
static size_t limit_pieces(const struct msghdr *message, size_t size, struct iovec pieces[MAX_PIECES])
{
    size_t count = 0;

    for (; count < MIN_OF(message->msg_iovlen, MAX_PIECES) && size > 0; count++) {
        pieces[count] = message->msg_iov[count];
        pieces[count].iov_len = MIN_OF(pieces[count].iov_len, size);
        size -= pieces[count].iov_len;
    }
    return count;
}

static size_t sum_of(const struct iovec *pieces, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

/* Shows the guard what was read. Returns its last verdict, with all the bytes that passed. */
static struct h2guard_verdict show(struct h2socket *socket, const struct iovec *pieces, size_t count,
                                   size_t size)
{
    struct h2guard_verdict verdict = {.decision = H2GUARD_PASS};
    size_t passed = 0;

    for (size_t i = 0; i < count && size > 0; i++) {
        size_t length = MIN_OF(size, pieces[i].iov_len);

        verdict = h2guard_in(socket->guard, (struct bytes){pieces[i].iov_base, length});
        passed += verdict.passed;
        size -= length;
        if (verdict.passed < length)
            break;
    }
    if (verdict.decision != H2GUARD_END)
        verdict.passed = passed;
    return verdict;
}

/* `size` bytes of `max` were read, or nothing. */
static void note_read(struct h2socket *socket, size_t max, ssize_t size)
{
    note_empty(socket, size < 0 || (size_t)size < max);
    if (size > 0 && socket->was_empty) {
        socket->was_empty = false;
        h2guard_waited(socket->guard);
    }
}

static ssize_t read_socket(struct h2socket *socket, struct msghdr *message, int flags, size_t portion)
{
    struct iovec pieces[MAX_PIECES];
    size_t count = limit_pieces(message, portion, pieces);
    struct msghdr limited = *message;

    limited.msg_iov = pieces;
    limited.msg_iovlen = count;
    ssize_t size = receive(socket, &limited, flags);
    message->msg_namelen = limited.msg_namelen;
    message->msg_controllen = limited.msg_controllen;
    message->msg_flags = limited.msg_flags;
    note_read(socket, sum_of(pieces, count), size);
    if (size <= 0)
        return size;
    struct h2guard_verdict verdict = show(socket, pieces, count, (size_t)size);
    if (verdict.decision == H2GUARD_END) {
        end_connection(socket, verdict.reason);
        return fail(ECONNRESET);
    }
    if (verdict.passed == (size_t)size)
        return size;
    if (!keep_rest(socket, pieces, count, verdict.passed, (size_t)size))
        return fail(ENOMEM);
    wait_for_turn(socket);
    return verdict.passed > 0 ? (ssize_t)verdict.passed : fail(EAGAIN);
}

/* The next bytes are the rest of an earlier read. What does not fit into the message, or is beyond
 * the portion, is left for the next read. */
static ssize_t read_rest(struct h2socket *socket, struct msghdr *message, size_t portion)
{
    struct iovec pieces[MAX_PIECES];
    size_t size = MIN_OF(portion, socket->rest_size - socket->rest_at);
    size_t count = limit_pieces(message, size, pieces);
    struct h2guard_verdict verdict = {.decision = H2GUARD_PASS};
    size_t passed = 0;

    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    for (size_t i = 0; i < count && verdict.decision == H2GUARD_PASS; i++) {
        const uint8_t *rest = socket->rest + socket->rest_at;

        verdict = h2guard_in(socket->guard, (struct bytes){rest, pieces[i].iov_len});
        memcpy(pieces[i].iov_base, rest, verdict.passed);
        socket->rest_at += verdict.passed;
        passed += verdict.passed;
    }
    if (verdict.decision == H2GUARD_END) {
        end_connection(socket, verdict.reason);
        return fail(ECONNRESET);
    }
    if (socket->rest_at == socket->rest_size) {
        free(socket->rest);
        socket->rest = NULL;
    } else if (verdict.decision == H2GUARD_WAIT) {
        wait_for_turn(socket);
        if (passed == 0)
            return fail(EAGAIN);
    }
    return (ssize_t)passed;
}

static ssize_t read_guarded(struct h2socket *socket, struct msghdr *message, int flags)
{
    if (!has_turn(socket))
        return fail(EAGAIN);
    size_t portion = h2guard_portion(socket->guard);
    if (portion == 0) {
        wait_for_turn(socket);
        return fail(EAGAIN);
    }
    if (socket->rest)
        return read_rest(socket, message, portion);
    return read_socket(socket, message, flags, portion);
}

ssize_t socket_read(struct h2socket *socket, struct msghdr *message, int flags)
{
    ssize_t size;

    pthread_mutex_lock(&socket->lock);
    socket->was_read = true;
    if (socket->ended)
        size = fail(ECONNRESET);
    else if (!socket->guard)
        size = receive(socket, message, flags);
    else
        size = read_guarded(socket, message, flags);
    if (socket->guard)
        kept_update(socket);
    pthread_mutex_unlock(&socket->lock);
    return size;
}
