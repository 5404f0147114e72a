/* client.h - the inside of a client: its connections, and the client thread (grpc/cq_thread.h),
 * which serves all calls, timers and posts.
 *
 * State that only the client thread uses needs no lock. */
#ifndef TRIBUTARY_CLIENT_CLIENT_H
#define TRIBUTARY_CLIENT_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/threads.h"
#include "client/lib/core/connection.h"
#include "grpc/cq_thread.h"
#include "tributary/tributary.h"

#define MAX_METADATA 16u

/* Work for the client thread, embedded in the object that it is about. Zeroed but for `run` it is
 * ready for use. */
struct post {
    struct task task;
    _Atomic bool queued; /* from client_post() until run() */
    void (*run)(struct post *post);
};

struct tributary {
    /* Set once, before the thread starts. */
    struct connections connections; /* once the client thread runs: client thread only */
    struct cq_thread *thread;
    int64_t connect_timeout_ns, backoff_base_ns, backoff_cap_ns;
    grpc_metadata metadata[MAX_METADATA];
    size_t metadata_count;

    /* Client thread only. */
    uint64_t random;
    struct buf gathered; /* a message that came in several pieces, while it is read */
    struct task stop;
    bool stopping; /* `stop` has run: the thread ends */

    _Atomic uint32_t users; /* publishers, sessions and subscribers */
};

/* Whether the caller runs on the client thread. Any thread. */
bool on_client_thread(const struct tributary *client);

/* Runs `post` on the client thread, once. A post that waits already stays where it is. Never
 * blocks. Any thread. */
void client_post(struct tributary *client, struct post *post);

/* An object must not be freed while a post of it waits. True: `post` waits, and `last` is posted
 * behind it, so it runs after it; `last` must not wait already. False: `post` does not wait, and
 * nothing was posted. Client thread, while no other thread can post. */
bool client_post_behind(struct tributary *client, const struct post *post, struct post *last);

/* Returns how long to wait before attempt number `attempt`; 0 is the first retry. Client thread
 * only. */
int64_t client_backoff_ns(struct tributary *client, uint32_t attempt);

#endif
