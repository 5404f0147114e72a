/* topic_port.h - what a topic is, and what its backend does: appends, changes and reads, each
 * embedded in what it is about.
 *
 * A topic is a name, an incarnation and a log. Its sequences begin at 1, rise by 1, and stay as
 * they are when rows leave at the front. A topic that is deleted and made again has another id and
 * another incarnation. Ids are never used again.
 *
 * Threads: the functions of the port may be called on any thread. done() and writable() are called
 * on a thread of the backend, with no lock held. They must not block. */
#ifndef TRIBUTARY_TOPIC_TOPIC_PORT_H
#define TRIBUTARY_TOPIC_TOPIC_PORT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/status.h"
#include "topic/publisher.h"
#include "topic/row.h"
#include "topic/topic_info.h"

enum topic_outcome {
    TOPIC_DONE,
    TOPIC_NOT_FOUND,
    TOPIC_EXISTS,  /* another topic has this name */
    TOPIC_INVALID, /* events, numbers or a position that cannot be */
    TOPIC_FENCED,  /* the four of publisher.h */
    TOPIC_GAP,     /* `expected` has the number that must come next */
    TOPIC_PUBLISHER_FORGOTTEN,
    TOPIC_TOO_MANY_DELAYED,
    TOPIC_TOO_MANY, /* as many topics as there may be */
    TOPIC_DISK_FULL,
    TOPIC_LOCKED, /* another program has the file locked */
    TOPIC_NO_MEMORY,
    TOPIC_DAMAGED, /* a read: the next row is not what was written */
    TOPIC_CLOSED,  /* the backend ends */
    TOPIC_FAILED,  /* the disk has failed: nothing is written any more */
    TOPIC_UNKNOWN, /* it failed while it was written: nobody knows until it is opened anew */
};
/* With every outcome but TOPIC_DONE and TOPIC_UNKNOWN nothing has changed. */

/* The backend's, embedded in what waits for it. */
struct topic_work {
    struct list in_queue;
    const struct work_kind *kind;
    size_t bytes;
    uint32_t events;
};

/* ---- appending ---- */

/* Events of a batch for one topic that stand together. */
struct topic_part {
    uint64_t topic;
    struct topic_run run; /* at least one event; at most MAX_PIECE_BYTES */
    /* The answer: so many have the sequences from first_seq on. Unless `is_split` these are the
     * last ones of the run. If it is, the backend has called appeared() with them: all parts of an
     * append are split, or none. */
    uint32_t stored;
    bool is_split;
    uint32_t same_ids; /* were left out: their ids are in the window */
    uint32_t delayed;  /* wait for their time */
    bool expires;      /* one of them does at some time (Event.expires_unix_nano) */
    uint64_t first_seq, incarnation;
    struct bytes rest; /* the backend's: the events that are new */
    struct buf kept;   /* the backend's */
};

/* One batch: all of its parts are stored, or none. The memory that it points to must stay until
 * done(). */
struct topic_append {
    struct topic_part *parts; /* at least one; together in the batch's order */
    uint32_t part_count;
    /* An empty id: the batch has no numbers. */
    struct bytes producer, publisher; /* at most MAX_ORIGIN_BYTES, MAX_PUBLISHER_ID_BYTES */
    uint64_t life, first_number;
    /* Once, after the commit. It may free or append it again. */
    void (*done)(struct topic_append *append);
    enum topic_outcome outcome;
    uint32_t duplicates; /* with TOPIC_DONE: so many first events were there already */
    uint64_t expected;   /* with TOPIC_GAP */
    struct topic_work work;
};

/* ---- changing ---- */

enum topic_verb { TOPIC_CREATE, TOPIC_UPDATE, TOPIC_DELETE };

struct topic_change {
    enum topic_verb verb;
    struct bytes name;
    struct topic_settings settings; /* of CREATE and UPDATE */
    void (*done)(struct topic_change *change);
    enum topic_outcome outcome;
    uint64_t id, incarnation; /* with TOPIC_DONE, and with TOPIC_EXISTS those of the other one */
    uint64_t next_seq;        /* of DELETE with TOPIC_DONE: where the log ended */
    struct topic_work work;
};

/* ---- reading ---- */

#define MAX_READ_ROWS 64u

enum topic_start {
    START_SEQUENCE, /* the row that holds the sequence; if that has left, the first one */
    START_TIME,     /* the first row that was appended at that wall clock time, or later */
    START_LAST,     /* the row that holds the n-th last event */
};

/* One step of a reader. What it got stays the caller's: buf_fini(&read->data) must follow, once;
 * the buffer may be used for the next step as it is. */
struct topic_read {
    uint64_t topic;
    enum topic_start start;
    uint64_t value;
    uint32_t max_rows;  /* 1 to MAX_READ_ROWS */
    uint32_t max_bytes; /* of data; the first row always comes */
    void (*done)(struct topic_read *read);
    enum topic_outcome outcome;                /* with TOPIC_DAMAGED the row at `value` is bad */
    struct topic_row rows[MAX_READ_ROWS];      /* point into `data` */
    uint32_t count;                            /* 0 with TOPIC_DONE: there is nothing from there on */
    uint64_t first_seq, next_seq, incarnation; /* of the topic at that moment */
    struct buf data;
    struct list node; /* the backend's */
};

#define MAX_TOPICS 10000u

struct topic_port {
    /*   ERR_FULL    too much is not committed yet; nothing was begun; writable() follows once
     *   ERR_CLOSED  the backend ends; nothing was begun */
    MUST_CHECK enum err (*append)(void *ctx, struct topic_append *append);
    void (*change)(void *ctx, struct topic_change *change);
    void (*read)(void *ctx, struct topic_read *read);
    /* Calls `each` for every topic, in no particular order, with a lock held: it must not call the
     * port. */
    void (*list)(void *ctx, void (*each)(void *arg, const struct topic_info *info), void *arg);
    /* Whom to notify of events that appear. Once, before the first append. The call comes on the
     * thread of the backend that calls done() of appends, and in order with it. Until then delayed
     * events wait. */
    void (*listen)(void *ctx, void (*appeared)(void *arg, const struct topic_appeared *appeared), void *arg);
    /* One topic as it is now. info_out->name is not touched. False: it was deleted, and nothing is
     * touched. */
    bool (*info)(void *ctx, uint64_t topic, struct topic_info *info_out);
    void *ctx;
};

#endif
