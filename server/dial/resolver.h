/* resolver.h - asks the system's resolver (getaddrinfo), each time in a thread of its own: so
 * /etc/nsswitch.conf and /etc/hosts count, and a resolver that hangs holds nobody up.
 *
 * 8 lookups run at a time; the others wait for their turn, in order. A lookup without an answer
 * after 10 s is late. It leaves its place to another one, and its answer still counts when it
 * comes. Names that were late the last time use at most 2 of the places, so the others do not wait
 * for them. At most 24 late ones leave their places: beyond that, 32 names whose lookups never end
 * stop all others.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_RESOLVER_H
#define TRIBUTARY_SERVER_DIAL_RESOLVER_H

#include "base/list.h"
#include "server/dial/address_list.h"

#define RESOLVER_DEADLINE_NS (10 * NS_PER_S)

struct loop;
struct resolver;
struct running_lookup;

/* A name that is looked up now and then. Embedded; the caller sets the first four and zeroes the
 * rest. */
struct lookup {
    char host[256];
    uint16_t port;
    /* There is no answer yet, and it is late. answered() follows all the same, if ever. */
    void (*late)(struct lookup *lookup);
    /* The answer, which is the callee's to read until it returns. It may start the lookup again,
     * or free it. */
    void (*answered)(struct lookup *lookup, const struct address_list *answer);
    /* The resolver's. */
    struct list link; /* among those that wait */
    bool waits, was_late;
    struct running_lookup *running;
};

/* NULL: out of memory. */
struct resolver *resolver_new(struct loop *loop);
/* No lookup may be started. Threads that wait for an answer stay behind. NULL is allowed. */
void resolver_free(struct resolver *resolver);

/* Starts the lookup, unless it is started. */
void resolver_start(struct resolver *resolver, struct lookup *lookup);

/* Neither late() nor answered() is called any more. */
void resolver_cancel(struct lookup *lookup);

#endif
