/* socket_hook.h - hears of each socket that a channel of gRPC core opens, before it is connected.
 *
 * The core knows this as a socket mutator: a channel argument. It has no public functions for it in
 * C, so this file has the layout of its two structures, as in gRPC 1.51.
 *
 * Threads: opened() and free() run on threads of the core too. Everything else: any. */
#ifndef TRIBUTARY_GRPC_SOCKET_HOOK_H
#define TRIBUTARY_GRPC_SOCKET_HOOK_H

#include <stdbool.h>

#include <grpc/grpc.h>
#include <grpc/support/sync.h>

struct socket_hook_calls;

/* Embedded in the owner's object, which has references. */
struct socket_hook {
    const struct socket_hook_calls *calls; /* the core reads these two */
    gpr_refcount refs;

    /* A socket was opened. False: it is closed, and the connection fails. */
    bool (*opened)(struct socket_hook *hook, int fd);
    void (*free)(struct socket_hook *hook); /* the last reference is gone */
};

/* The first reference is the caller's. */
void socket_hook_init(struct socket_hook *hook, bool (*opened)(struct socket_hook *hook, int fd),
                      void (*free)(struct socket_hook *hook));
void socket_hook_release(struct socket_hook *hook);

/* The channel argument. The core takes references of its own. */
grpc_arg socket_hook_arg(struct socket_hook *hook);

#endif
