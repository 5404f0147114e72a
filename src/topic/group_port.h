/* group_port.h - what a backend keeps of consumer groups: their settings, and for each topic how
 * far a group is (its cursor). A cursor, its counts and a group's settings are bytes that the
 * backend does not read.
 *
 * A group is a name and an incarnation. A group that is deleted and made again has another one.
 *
 * Threads: the functions of the port may be called on any thread. done() and writable() are called
 * on a thread of the backend, with no lock held. They must not block. */
#ifndef TRIBUTARY_TOPIC_GROUP_PORT_H
#define TRIBUTARY_TOPIC_GROUP_PORT_H

#include "topic/topic_port.h"

#define MAX_GROUPS 10000u
#define MAX_GROUP_NAME_BYTES 255u
#define MAX_GROUP_SETTINGS_BYTES ((size_t)4096)
/* Of all groups and topics together. */
#define MAX_CURSORS 65536u
#define MAX_CURSOR_BYTES ((size_t)64 << 10)
#define MAX_COUNTS_BYTES ((size_t)1024)
/* Of one save: 16 MiB of cursors at most. */
#define MAX_SAVED_CURSORS 256u

/* ---- changing ---- */

/* UPDATE: other settings. DELETE: its cursors go too, after the answer, but nobody sees them. */
enum group_verb { GROUP_CREATE, GROUP_UPDATE, GROUP_DELETE };

struct group_change {
    enum group_verb verb;
    struct bytes name;     /* 1 to MAX_GROUP_NAME_BYTES */
    struct bytes settings; /* of CREATE and UPDATE; at most MAX_GROUP_SETTINGS_BYTES */
    /* Once, after the commit. `name` and `settings` must stay until then. */
    void (*done)(struct group_change *change);
    /* CREATE of a group that is there: TOPIC_DONE if its settings are the same bytes, otherwise
     * TOPIC_EXISTS. TOPIC_TOO_MANY: MAX_GROUPS are there. TOPIC_NOT_FOUND, TOPIC_INVALID. */
    enum topic_outcome outcome;
    uint64_t incarnation; /* with TOPIC_DONE and TOPIC_EXISTS */
    struct topic_work work;
};

/* ---- saving ---- */

struct group_cursor {
    struct bytes group;   /* its name */
    uint64_t incarnation; /* of the group */
    uint64_t topic;
    uint64_t end_seq; /* above all sequences that the cursor names, and never beyond the log's end */
    struct bytes cursor, counts; /* at most MAX_CURSOR_BYTES, MAX_COUNTS_BYTES */
};

/* Cursors and dead letters of one transaction: all of it is stored, or nothing. The memory that it
 * points to must stay until done(). */
struct group_save {
    const struct group_cursor *cursors; /* a later one of the same group and topic counts */
    uint32_t cursor_count;              /* 1 to MAX_SAVED_CURSORS */
    /* Events for other topics, which must be there. NULL: none. Its done() is called before the
     * save's, with the same outcome. */
    struct topic_append *dead;
    void (*done)(struct group_save *save); /* once, after the commit */
    /* TOPIC_NOT_FOUND: a group of that incarnation, or a topic, is not there. TOPIC_INVALID.
     * TOPIC_TOO_MANY: there would be more than MAX_CURSORS. And what an append has. */
    enum topic_outcome outcome;
    struct topic_work work;
};

/* ---- reading ---- */

struct group_info {
    struct bytes name, settings;
    uint64_t incarnation;
    int64_t created_wall_ns;
};

/* A cursor as it was stored. */
struct group_cursor_info {
    struct bytes group;
    uint64_t incarnation;
    uint64_t topic, topic_incarnation; /* when it was stored */
    uint64_t end_seq;
    struct bytes cursor, counts;
    /* The topic has never had what the cursor names, as after a backup was restored: nobody knows
     * how many events are between. */
    bool is_beyond;
};

struct group_port {
    void (*change)(void *ctx, struct group_change *change);
    /*   ERR_FULL    too much is not committed yet; nothing was begun; writable() follows once
     *   ERR_CLOSED  the backend ends; nothing was begun */
    MUST_CHECK enum err (*save)(void *ctx, struct group_save *save);
    /* Calls `each` for every group, in no particular order, with a lock held: it must not call the
     * port. */
    void (*list)(void *ctx, void (*each)(void *arg, const struct group_info *info), void *arg);
    void *ctx;
};

#endif
