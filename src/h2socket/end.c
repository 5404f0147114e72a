/* end.c - see end.h. */
#include "h2socket/end.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "h2socket/libc_calls.h"
#include "h2socket/probation.h"
#include "h2socket/wait.h"

#define REPORT_INTERVAL_NS NS_PER_S

/* The ends of one reason. */
struct ends {
    uint64_t unreported; /* since the last log line */
    int64_t report_at_ns;
    char peer[H2SOCKET_PEER_CAPACITY]; /* of the latest */
    char detail[160];
};

static struct {
    pthread_mutex_t lock;
    struct ends of[H2GUARD_REASON_COUNT];
    _Atomic uint64_t unreported; /* of all reasons */
} log_lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. Returns whether a line is due; then *line_out has it, and it counts as
 * written. */
static bool take_line(enum h2guard_reason reason, int64_t now_ns, struct ends *line_out)
{
    struct ends *ends = &log_lines.of[reason];

    if (ends->unreported == 0 || now_ns < ends->report_at_ns)
        return false;
    *line_out = *ends;
    ends->unreported = 0;
    ends->report_at_ns = clock_add_ns(now_ns, REPORT_INTERVAL_NS);
    log_lines.unreported -= line_out->unreported;
    return true;
}

static void write_line(enum h2guard_reason reason, const struct ends *line)
{
    log_write(LOG_WARN, "connection.ended", LOG_TEXT("reason", h2guard_reason_name(reason)),
              LOG_TEXT("detail", line->detail), LOG_TEXT("peer", line->peer),
              LOG_NUMBER("count", line->unreported));
}

static void report(const struct h2socket *socket, enum h2guard_reason reason,
                   size_t (*explain)(const struct h2guard *guard, char *text, size_t capacity))
{
    struct ends *ends = &log_lines.of[reason];
    struct ends line;

    pthread_mutex_lock(&log_lines.lock);
    ends->unreported++;
    log_lines.unreported++;
    snprintf(ends->peer, sizeof(ends->peer), "%s", socket->address);
    explain(socket->guard, ends->detail, sizeof(ends->detail));
    bool is_due = take_line(reason, clock_mono_ns(), &line);
    pthread_mutex_unlock(&log_lines.lock);
    if (is_due)
        write_line(reason, &line);
}

void end_report(int64_t now_ns)
{
    for (int reason = 0; reason < H2GUARD_REASON_COUNT; reason++) {
        struct ends line;

        pthread_mutex_lock(&log_lines.lock);
        bool is_due = take_line((enum h2guard_reason)reason, now_ns, &line);
        pthread_mutex_unlock(&log_lines.lock);
        if (is_due)
            write_line((enum h2guard_reason)reason, &line);
    }
}

bool end_is_unreported(void)
{
    return log_lines.unreported > 0;
}

struct h2socket_end *end_new(void)
{
    struct h2socket_end *end = calloc(1, sizeof(*end));

    if (end)
        end->refs = 1;
    return end;
}

void h2socket_end_release(struct h2socket_end *end)
{
    if (end && atomic_fetch_sub(&end->refs, 1) == 1)
        free(end);
}

enum h2guard_reason h2socket_end_reason(const struct h2socket_end *end)
{
    return end ? (enum h2guard_reason)atomic_load(&end->reason) : H2GUARD_NO_REASON;
}

const char *h2socket_end_text(const struct h2socket_end *end)
{
    return end->text;
}

uint32_t h2socket_end_code(const struct h2socket_end *end)
{
    return atomic_load(&end->code);
}

/* Whether the socket took the whole frame. */
static bool send_goaway(const struct h2socket *socket)
{
    uint8_t frame[MAX_H2GUARD_GOAWAY];
    struct iovec piece = {.iov_base = frame, .iov_len = h2guard_goaway(socket->guard, frame)};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    return libc_sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)piece.iov_len;
}

/* Resets a connection of TCP at once: what waits in its buffers is gone. Another socket stays as it
 * is. (SO_LINGER would not do: the core shuts a socket down before it closes it, and so the peer
 * gets the end of the stream before the reset.) */
static void reset(struct h2socket *socket)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    socket->is_over = true;
    (void)connect(socket->fd, &nobody, sizeof(nobody));
}

/* Wakes the core, which then closes the socket. Where the peer is to read why, the socket stays
 * open for reading (linger.h). */
static void shut_down(struct h2socket *socket, bool knows_why)
{
    if (knows_why && wait_is_watched(socket)) {
        (void)libc_shutdown(socket->fd, SHUT_WR);
        wait_begin(socket, 0);
    } else {
        socket->is_over = true;
        (void)libc_shutdown(socket->fd, SHUT_RDWR);
    }
}

void end_connection(struct h2socket *socket, enum h2guard_reason reason)
{
    if (socket->ended)
        return;
    socket->ended = true;
    if (!socket->ended_by_core) {
        h2guard_explain(socket->guard, socket->end->text, sizeof(socket->end->text));
        atomic_store(&socket->end->reason, (int)reason);
    }
    count_add(COUNT_GUARD_ENDED, 1);
    bool knows_why = h2guard_out_is_whole(socket->guard) && send_goaway(socket);
    socket->was_written |= knows_why;
    if (!knows_why)
        reset(socket);
    shut_down(socket, knows_why);
    if (socket->role == H2GUARD_SERVER && reason != H2GUARD_KEPT_BY_ALL) /* that was not its fault alone */
        probation_note(socket->peer, clock_mono_ns());
    report(socket, reason, h2guard_explain);
}

void end_by_core(struct h2socket *socket)
{
    if (socket->ended_by_core)
        return;
    socket->ended_by_core = true;
    atomic_store(&socket->end->code, h2guard_stats(socket->guard)->goaway_code);
    atomic_store(&socket->end->reason, (int)H2GUARD_BY_CORE);
    report(socket, H2GUARD_BY_CORE, h2guard_explain_core);
}
