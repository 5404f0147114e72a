/* kept.c - see kept.h. */
#include "h2socket/kept.h"

#include "base/peer_share.h"

static _Atomic int64_t kept_by_all;
static _Atomic int64_t bound_of_all = INT64_MAX, bound_of_local_peer = INT64_MAX,
                       bound_of_remote_peer = INT64_MAX;

void h2socket_set_bounds(const struct h2socket_bounds *bounds)
{
    atomic_store(&bound_of_all, bounds->all);
    atomic_store(&bound_of_local_peer, bounds->local_peer);
    atomic_store(&bound_of_remote_peer, bounds->remote_peer);
}

static void add(struct h2socket *socket, int64_t bytes)
{
    atomic_fetch_add_explicit(&socket->kept, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&kept_by_all, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&socket->count->bytes, bytes, memory_order_relaxed);
}

void kept_update(struct h2socket *socket)
{
    if (!socket->count)
        return;
    int64_t keeps = socket->ended ? 0 : (int64_t)h2guard_kept(socket->guard) + socket->end->kept;
    int64_t more = keeps - atomic_load_explicit(&socket->kept, memory_order_relaxed);
    if (more == 0)
        return;
    add(socket, more);
    if (more > 0 && kept_excess_of(socket).reason != H2GUARD_NO_REASON)
        atomic_store_explicit(&socket->is_above, true, memory_order_relaxed);
}

void kept_leave(struct h2socket *socket)
{
    if (socket->count)
        add(socket, -atomic_load_explicit(&socket->kept, memory_order_relaxed));
}

struct kept_excess kept_excess_of(const struct h2socket *socket)
{
    bool is_local = peer_is_local(socket->peer);
    int64_t by_peer = atomic_load_explicit(&socket->count->bytes, memory_order_relaxed);
    int64_t of_peer =
        atomic_load_explicit(is_local ? &bound_of_local_peer : &bound_of_remote_peer, memory_order_relaxed);
    int64_t by_all = atomic_load_explicit(&kept_by_all, memory_order_relaxed);
    int64_t of_all = atomic_load_explicit(&bound_of_all, memory_order_relaxed);

    if (by_peer > of_peer)
        return (struct kept_excess){H2GUARD_KEPT_BY_PEER, by_peer, of_peer};
    if (by_all > of_all)
        return (struct kept_excess){H2GUARD_KEPT_BY_ALL, by_all, of_all};
    return (struct kept_excess){0};
}
