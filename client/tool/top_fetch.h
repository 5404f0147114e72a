/* top_fetch.h - reads the producers and consumers of a server for `tributary top`: at once, or on a
 * thread of its own, so that keys work while a server does not answer. */
#ifndef TRIBUTARY_TOOL_TOP_FETCH_H
#define TRIBUTARY_TOOL_TOP_FETCH_H

#include <pthread.h>

#include "tributary/tributary.h"
#include "client/tool/stop.h"
#include "client/tool/top_model.h"

/* Both lists at one moment. */
struct top_snapshot {
    struct top_round rounds[TOP_LISTS];
};

/* Reads both lists, page by page, with `timeout_ns` for each page. Rates are the growth since
 * `before`; NULL: there is nothing before. Any thread but the client's. The caller frees the
 * snapshot with top_snapshot_free(). NULL: *status says why. */
struct top_snapshot *top_snapshot_read(struct tributary *client, int64_t timeout_ns,
                                       const struct top_snapshot *before, struct tributary_status *status);
void top_snapshot_free(struct top_snapshot *snapshot); /* NULL is allowed */

/* The thread reads one snapshot for each request. Everything below is called by the main thread. */
struct top_fetch {
    struct stop *stop; /* woken when a request is done */
    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Under the lock. */
    enum { TOP_FETCH_IDLE, TOP_FETCH_BUSY, TOP_FETCH_DONE } state;
    bool is_over;
    struct tributary *client;
    const struct top_snapshot *before;
    struct top_snapshot *result;
    struct tributary_status status;
};

/* Starts the thread. False: there is none. `stop` stays valid until top_fetch_end(). */
bool top_fetch_start(struct top_fetch *fetch, struct stop *stop);

/* Requests a snapshot. No request may be pending. `client` and `before` stay valid, and `before`
 * unchanged, until the request is done; `before` may be NULL. */
void top_fetch_request(struct top_fetch *fetch, struct tributary *client, const struct top_snapshot *before);

/* True: the request is done. *snapshot_out is the caller's; NULL: it failed, and *status says
 * why. */
bool top_fetch_result(struct top_fetch *fetch, struct top_snapshot **snapshot_out,
                      struct tributary_status *status);

/* Waits until a pending request is done, and ends the thread. A fetch that did not start is
 * allowed. */
void top_fetch_end(struct top_fetch *fetch);

#endif
