/* readers.h - threads that read topics, each with a connection of its own, and the gate that keeps
 * them out while the log of the database (-wal) is made empty.
 *
 * DESIGN. A reader holds a snapshot of the log for one step of at most 64 rows and 1 MiB. It waits
 * for nobody meanwhile. With a few readers that never rest there is always a snapshot, and then
 * SQLite never begins its log anew: it grows without a bound. So the store closes the gate for the
 * rest of a checkpoint.
 *
 * A thread is started when a step comes and all others are busy, up to MAX_READERS. Without reads
 * there is none.
 *
 * For the files of this room. Threads: any, unless a function says something else. */
#ifndef TRIBUTARY_BACKEND_SQLITE_READERS_H
#define TRIBUTARY_BACKEND_SQLITE_READERS_H

#include <pthread.h>

#include "backend/sqlite/database.h"
#include "topic/topic_port.h"

#define MAX_READERS 4u

struct readers {
    const char *path; /* of the database */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something waits, or the gate, or `closing` */
    struct list waiting;    /* of struct topic_read */
    pthread_t threads[MAX_READERS];
    unsigned thread_count, idle;
    unsigned inside; /* readers in a step */
    bool is_closed;  /* the gate */
    bool closing;
};

void readers_init(struct readers *readers, const char *path);
/* After readers_stop(). */
void readers_fini(struct readers *readers);

/* Gives a step to a thread. Without one, for lack of memory, it is answered at once. */
void readers_submit(struct readers *readers, struct topic_read *read);
bool readers_exist(struct readers *readers);

/* The store's thread. Closes the gate and waits until nobody is inside; opens it. */
void readers_keep_out(struct readers *readers);
void readers_let_in(struct readers *readers);

/* The store's thread: answers what waits, and ends the threads. Before the database is closed. */
void readers_stop(struct readers *readers);

/* ---- log_read.c ---- */

/* A connection that reads. */
struct read_connection {
    sqlite3 *handle;
    sqlite3_stmt *topic;
};

MUST_CHECK bool read_connection_open(struct read_connection *connection, const char *path);
void read_connection_close(struct read_connection *connection);
/* Carries out a step, and sets its answer; no transaction is left open. */
void log_read(struct read_connection *connection, struct topic_read *read);

#endif
