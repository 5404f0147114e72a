/* socket_poll.c - see socket_poll.h. */
#include "server/wire/socket_poll.h"

#include "base/clock.h"
#include "server/wire/call.h"

#define MIN_RECHECK_NS NS_PER_MS
#define MAX_RECHECK_NS (100 * NS_PER_MS)

void socket_poll(struct socket_poll *poll, struct call *call, int64_t now_ns)
{
    size_t unread = 0;

    if (poll->sent < poll->writable / 8)
        return;
    poll->sent = 0;
    poll->writable = call_writable(call, &unread);
    if (poll->writable > 0)
        poll->unwritable_since_ns = INT64_MAX;
    else if (!socket_is_unwritable(poll) || unread < poll->unread)
        poll->unwritable_since_ns = now_ns;
    poll->unread = unread;
}

int64_t socket_poll_due_at(const struct socket_poll *poll, int64_t now_ns)
{
    int64_t pause_ns = MAX_OF((now_ns - poll->unwritable_since_ns) / 8, MIN_RECHECK_NS);

    return now_ns + MIN_OF(pause_ns, MAX_RECHECK_NS);
}
