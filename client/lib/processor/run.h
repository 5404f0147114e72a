/* run.h - one operation of a runner: its request, and what became of it so far.
 *
 * Threads: one at a time; runner_state.h says which. */
#ifndef TRIBUTARY_CLIENT_RUN_H
#define TRIBUTARY_CLIENT_RUN_H

#include "base/list.h"
#include "tributary/tributary.h"

enum run_state {
    RUN_ADDED,   /* the client thread has not seen it yet */
    RUN_QUEUED,  /* it waits to be sent */
    RUN_SENT,    /* on this stream, without an answer */
    RUN_DELAYED, /* it was refused, and waits until it is queued again */
};

struct run {
    struct list node;   /* in the list of its state */
    struct list cancel; /* in a list of those whose cancel was not handled, or alone */
    uint64_t number;
    enum run_state state;
    bool has_id;       /* it may run a second time: then it returns its first result */
    bool cancel_asked; /* the runner's lock: `cancel` is, or was, in a list */
    bool cancelled;    /* the program does not want it any more */
    bool may_have_run; /* in an earlier attempt */
    uint32_t attempts;
    int64_t deadline_ns; /* until which it may be sent; INT64_MAX: none */
    int64_t retry_ns;    /* RUN_DELAYED: when it is queued again */
    void (*done)(void *ctx, const struct tributary_runner_result *result);
    void *ctx;
    size_t charge;     /* the bytes that it counts in the bound */
    size_t size;       /* of `request` */
    uint8_t request[]; /* an encoded RunRequest */
};

/* Returns the bound that the operation breaks, in words, as static text; NULL: none. */
const char *run_fault(const struct tributary_runner_operation *operation);

/* Copies the operation. `id` is its operation id, or one that was made. NULL: no memory. */
struct run *run_new(const char *processor, const struct tributary_runner_operation *operation,
                    struct tributary_bytes id);

/* The size of its RunStreamRequest. `now_ns`: before its deadline. `first`: the message is the
 * first of its stream. run_write() with the same arguments writes it. */
size_t run_size(const struct run *run, int64_t now_ns, bool first);
void run_write(const struct run *run, int64_t now_ns, bool first, uint8_t *at);

/* The same for the request that cancels it. */
size_t run_cancel_size(const struct run *run, bool first);
void run_cancel_write(const struct run *run, bool first, uint8_t *at);

#endif
