/* catalog.h - what the endpoints serve to callers of --fan-in, for reflection of it: the services,
 * and for each one which endpoints serve it and what describes it.
 *
 * DESIGN. An endpoint that serves something has an entry here. Its schema is given with the
 * endpoint, or fetched from the upstream's own reflection where a lookup needs it. A lookup
 * about a service asks up to three of the endpoints that serve it. A lookup about anything else
 * asks one endpoint of each service.
 *
 *   no schema --a lookup--> being fetched --fetched--> has one --a new connection--> no schema
 *        ^                          `--failed--> has a failure, for a second --'
 *
 * One that was fetched serves for five seconds at least, also over a new connection.
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_REFLECT_CATALOG_H
#define TRIBUTARY_REFLECT_CATALOG_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/map.h"
#include "event/serve_entry.h"
#include "loop/loop.h"
#include "reflect/answer.h"
#include "reflect/schema.h"

#define MAX_CATALOG_SERVICES 1024u /* those beyond are not in it */
#define MAX_LOOKUP_SCHEMAS 64u     /* that one lookup may need */
#define MAX_CATALOG_TRIES 3u       /* endpoints that are asked about a service */
#define CATALOG_TEXT 256u

struct catalog {
    struct loop *loop;
    struct map services; /* struct catalog_service */
    struct list in_order;
    struct peer_charges charges;
    struct list due; /* struct catalog_wait; what these wait for is over */
    struct slice slice;
    _Atomic uint32_t reflecting; /* entries that serve reflection themselves; any thread */
};

/* How the schema of an entry is fetched. */
struct catalog_port {
    /* Whether what was fetched last still counts: no connection has begun since. */
    bool (*is_current)(void *ctx);
    /* catalog_fetched() follows, in a later turn, unless the entry is removed. False: out of
     * memory. */
    bool (*fetch)(void *ctx);
};

/* That an entry serves a service. */
struct catalog_offer {
    struct list link; /* of the service */
    struct catalog_service *service;
    struct catalog_entry *entry;
};

/* One endpoint. Embedded in it. */
struct catalog_entry {
    struct catalog *catalog; /* NULL: it has no entry */
    const struct catalog_port *port;
    void *ctx;
    struct peer_key peer;
    char name[CATALOG_TEXT + 1];
    struct schema *given, *fetched; /* NULL: there is none */
    bool is_fetching, serves_reflection;
    int64_t failed_until_ns, fetched_until_ns; /* it is not fetched again before both */
    char failure[CATALOG_TEXT];
    struct list waits; /* struct catalog_wait */
    struct catalog_offer *offers;
    size_t offer_count;
};

struct catalog_wait {
    struct list link; /* of the entry, then of `due` */
    struct catalog_lookup *lookup;
    const struct catalog_entry *entry; /* while it is in its list */
};

/* What a caller asks. It is the catalog's from catalog_look_up() until answered(). */
struct catalog_lookup {
    const struct reflection_request *request;
    void (*answered)(struct catalog_lookup *lookup); /* in any turn, also within catalog_look_up() */
    void *ctx;
    /* The answer: the services, or what describes them. The receiver owns them. */
    struct buf services;
    struct schema *schemas[MAX_LOOKUP_SCHEMAS];
    size_t schema_count;
    char failure[CATALOG_TEXT]; /* why an endpoint could not say; empty: none failed */
    /* The catalog's. */
    struct catalog_wait waits[MAX_LOOKUP_SCHEMAS];
    uint32_t pending, tries;
};

struct catalog_params {
    struct bytes name;
    struct peer_key peer; /* who is charged for schemas */
    const struct bytes *serve;
    size_t serve_count;
    struct schema *given; /* retained; NULL: none */
    const struct catalog_port *port;
    void *ctx;
};

void catalog_init(struct catalog *catalog, struct loop *loop);
void catalog_fini(struct catalog *catalog); /* it has no entry */

/* Adds an entry. FAULT_NONE, or MEMORY_BUDGET: there is none then. */
MUST_CHECK enum fault_reason catalog_add(struct catalog *catalog, struct catalog_entry *entry,
                                         const struct catalog_params *params, struct fault *fault);
/* Does nothing where there is none. */
void catalog_remove(struct catalog_entry *entry);

/* Writes the names of the services that must be fetched, at most MAX_SERVE_ENTRIES. Returns how
 * many. */
size_t catalog_entry_services(const struct catalog_entry *entry, struct bytes *services);
/* What was fetched: a reference that is taken over; or NULL, and why not. */
void catalog_fetched(struct catalog_entry *entry, struct schema *schema, const char *failure);

/* Whether an endpoint serves reflection itself: then nobody asks the catalog. Any thread. */
static inline bool catalog_is_silent(struct catalog *catalog)
{
    return atomic_load_explicit(&catalog->reflecting, memory_order_relaxed) > 0;
}

/* The lookup must be zeroed, but for what is asked. */
void catalog_look_up(struct catalog *catalog, struct catalog_lookup *lookup);
/* Nobody wants the answer any more. Before answered(), which is called before this returns. */
void catalog_withdraw(struct catalog_lookup *lookup);
/* Any thread. Frees the answer. */
void catalog_lookup_fini(struct catalog_lookup *lookup);

#endif
