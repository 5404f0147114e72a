/* changes.h - hear of producers and subscriptions as they come, change and go. Part of
 * <tributary/tributary.h>. */
#ifndef TRIBUTARY_CHANGES_H
#define TRIBUTARY_CHANGES_H

#include "admin.h"
#include "subscriptions.h"

/* What is reported, in order. */
enum tributary_change_kind {
    TRIBUTARY_CHANGE_PRESENT = 1, /* of the snapshot: it is there */
    TRIBUTARY_CHANGE_ADDED = 2,
    TRIBUTARY_CHANGE_STATE = 3, /* the producer has another state, or an upstream call has failed */
    TRIBUTARY_CHANGE_REMOVED = 4,
    TRIBUTARY_CHANGE_COMPLETE = 5, /* the snapshot is complete: from here on each change comes */
    /* Changes are missing: the program was too slow, or there was no connection. The snapshot
     * follows: forget what you know. */
    TRIBUTARY_CHANGE_RESYNC = 6
};

/* What it points to is valid during the callback. */
struct tributary_change {
    enum tributary_change_kind kind;
    uint64_t number; /* rises with each change at the server; 0: this is none */
    uint64_t time_unix_nano;
    /* One of these two, except with COMPLETE and RESYNC. With PRESENT it is whole. Otherwise the
     * producer has name, kind, state, epoch, peer, per_consumer and failure; the subscription has
     * id, name, peer and started_unix_nano. Name and epoch together say which producer it is. */
    const struct tributary_producer *producer;
    const struct tributary_subscription *subscription;
    const char *reason; /* with REMOVED, such as "FORGOTTEN", "REMOVED", "KICKED"; else empty */
    uint64_t missed;    /* with RESYNC: so many changes; 0: nobody can say, there was no connection */
};

struct tributary_changes_options {
    const char *pattern; /* a glob for the names of producers; NULL: all */
    bool subscriptions;  /* report subscriptions too */
    bool skip_snapshot;  /* report only what changes from now on */
    bool no_reconnect;   /* a stream that is lost ends it */
};

/* All of them run on the client thread. They must not wait for the server. Each may be NULL. While
 * one runs, nothing is read. */
struct tributary_changes_callbacks {
    void (*changed)(void *ctx, const struct tributary_change *change);
    void (*applied)(void *ctx); /* all changes of one message were passed on */
    /* The stream was lost, and is opened again after so long. RESYNC follows. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* It has ended: the server refuses it, or it was freed. The last one. */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

struct tributary_changes;

/* Begins to read changes. The stream is opened again whenever it is lost.
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory; nothing was begun */
TRIBUTARY_API enum tributary_code tributary_changes_open(struct tributary *client,
                                                         const struct tributary_changes_options *options,
                                                         const struct tributary_changes_callbacks *callbacks,
                                                         struct tributary_changes **changes_out,
                                                         struct tributary_status *status);

/* Ends it at once, and waits until its last callback has returned. Never call this from a callback.
 * NULL is allowed. */
TRIBUTARY_API void tributary_changes_free(struct tributary_changes *changes);

#endif
