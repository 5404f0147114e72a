/* set_members.h - the endpoints of a set: one for each address of the last answer. For
 * address_set.c.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_SET_MEMBERS_H
#define TRIBUTARY_SERVER_DIAL_SET_MEMBERS_H

#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "base/place.h"
#include "server/dial/set_home.h"

struct member;

struct set_members {
    /* Constant. */
    const struct set_home *home;
    const struct endpoint_params *params; /* of the set: with its name, its address, its labels */
    const char *authority;
    /* An endpoint has ended: the last one maybe, or one that was to stay (`was_wanted`). It may
     * free all of this, so it is called last. */
    void (*left)(struct set_members *members, bool was_wanted);

    struct map by_name;           /* struct member: those in `present` */
    struct list present, leaving; /* struct member */
    size_t count;                 /* in `present` */
    uint64_t round;
    size_t refused;       /* addresses of this round that have no endpoint */
    struct fault refusal; /* the first one */
    bool closing;
    struct member *making; /* its endpoint is being made: the hub may call back, and close the set */
};

/* home, params, authority and left are set, the rest is zero. */
void set_members_init(struct set_members *members);
void set_members_fini(struct set_members *members); /* they have all left */

/* A new answer: set_members_keep() for each of its addresses, then set_members_drop_one() while it
 * returns true. Each is one step of a slice. */
void set_members_begin(struct set_members *members);
void set_members_keep(struct set_members *members, const struct place *place);
/* Removes an endpoint whose address this round has not kept. False: there is none. */
bool set_members_drop_one(struct set_members *members, int64_t drain_ns);

/* No further round follows. Whoever calls this drops all, or the hub ends them. */
void set_members_close(struct set_members *members);
bool set_members_have_left(const struct set_members *members); /* all of them */

/* Calls `each` with the name of each that is present, in no order. */
void set_members_each(const struct set_members *members, void (*each)(void *ctx, const char *name),
                      void *ctx);

#endif
