/* upstream_guard.c - see upstream_guard.h. */
#include "server/dial/upstream_guard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "grpc/socket_hook.h"
#include "h2socket/h2socket.h"

struct upstream_guard {
    struct socket_hook hook;
    const struct h2guard_limits *limits;
    char *target;

    /* Under the lock. */
    pthread_mutex_t lock;
    struct h2socket_end *end; /* of the latest socket; NULL: none was opened */
    int fd;                   /* of the latest socket */
    bool is_accepted;         /* a call was accepted on it */
    bool is_closed;
};

static struct upstream_guard *guard_of(struct socket_hook *hook)
{
    return container_of(hook, struct upstream_guard, hook);
}

/* Where a name has several addresses, the core opens a socket for one after the other. */
static bool opened(struct socket_hook *hook, int fd)
{
    struct upstream_guard *guard = guard_of(hook);
    bool is_added = false;

    pthread_mutex_lock(&guard->lock);
    if (!guard->is_closed)
        is_added = h2socket_add(fd, H2GUARD_CLIENT, guard->limits, guard->target, NO_PEER) == ERR_OK;
    if (is_added) {
        h2socket_end_release(guard->end);
        guard->end = h2socket_end_retain(fd);
        guard->fd = fd;
        guard->is_accepted = false;
    }
    pthread_mutex_unlock(&guard->lock);
    return is_added;
}

static void free_guard(struct socket_hook *hook)
{
    struct upstream_guard *guard = guard_of(hook);

    h2socket_end_release(guard->end);
    pthread_mutex_destroy(&guard->lock);
    free(guard->target);
    free(guard);
}

struct upstream_guard *upstream_guard_new(const struct h2guard_limits *limits, const char *target)
{
    struct upstream_guard *guard = calloc(1, sizeof(*guard));

    if (guard)
        guard->target = strdup(target);
    if (!guard || !guard->target) {
        free(guard);
        return NULL;
    }
    socket_hook_init(&guard->hook, opened, free_guard);
    guard->limits = limits;
    CHECK(pthread_mutex_init(&guard->lock, NULL) == 0);
    return guard;
}

void upstream_guard_release(struct upstream_guard *guard)
{
    if (guard)
        socket_hook_release(&guard->hook);
}

grpc_arg upstream_guard_arg(struct upstream_guard *guard)
{
    return socket_hook_arg(&guard->hook);
}

void upstream_guard_accepted(struct upstream_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&guard->lock);
    guard->is_accepted = true;
    pthread_mutex_unlock(&guard->lock);
}

void upstream_guard_close(struct upstream_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&guard->lock);
    guard->is_closed = true;
    if (!guard->is_accepted)
        h2socket_give_up(guard->fd, guard->end);
    pthread_mutex_unlock(&guard->lock);
}

/* HTTP/2 numbers: 11 is ENHANCE_YOUR_CALM, a bound of ours. */
static uint32_t code_of(enum h2guard_reason reason)
{
    if (reason == H2GUARD_COMPRESSED)
        return CODE_UNIMPLEMENTED;
    if (reason == H2GUARD_FRAME_TIMEOUT || reason == H2GUARD_HEADER_TIMEOUT)
        return CODE_UNAVAILABLE;
    return h2guard_reason_code(reason) == 11 ? CODE_RESOURCE_EXHAUSTED : CODE_INTERNAL;
}

/* The first bytes of what is not HTTP/2 look like a frame that cannot be. */
static bool is_no_http2(enum h2guard_reason reason)
{
    return reason == H2GUARD_FIRST_FRAME || reason == H2GUARD_FRAME_TOO_LARGE ||
           reason == H2GUARD_FRAME_SIZE || reason == H2GUARD_FRAME_STREAM;
}

bool upstream_guard_has_ended(struct upstream_guard *guard, bool was_open, uint32_t *code_out,
                              char text[UPSTREAM_GUARD_TEXT])
{
    enum h2guard_reason reason = H2GUARD_NO_REASON;

    if (!guard)
        return false;
    pthread_mutex_lock(&guard->lock);
    reason = h2socket_end_reason(guard->end);
    if (reason == H2GUARD_NO_REASON || reason == H2GUARD_BY_CORE) {
        pthread_mutex_unlock(&guard->lock);
        return false;
    }
    if (!was_open && is_no_http2(reason)) {
        *code_out = CODE_UNAVAILABLE;
        snprintf(text, UPSTREAM_GUARD_TEXT,
                 "the upstream does not speak HTTP/2 without TLS; it may expect TLS");
    } else {
        *code_out = code_of(reason);
        snprintf(text, UPSTREAM_GUARD_TEXT, "the connection was ended: %s", h2socket_end_text(guard->end));
    }
    pthread_mutex_unlock(&guard->lock);
    return true;
}
