/* backup.c - Admin.Backup: a copy of what --state-dir keeps, sent as it is read.
 *
 * The store makes and checks the copy. A thread of its own reads it, a part at a time; the next
 * part is read when the one before has left. The store has one copy at a time. So all these calls
 * together keep one part in memory.
 *
 *   wire thread   message()                          send()  sent()         on_left()
 *                    | begin_task                     ^  | next_task            ^ left_task
 *   loop             `--> on_begin() ..> on_copied() -|- `-> on_next() -->      |
 *   reader                                   run_read()      run_read()     run_close()
 *
 * The call is held from message() to on_left(). Whatever ends it posts leave_task, once. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/sqlite/store_backup.h"
#include "base/clock.h"
#include "event/field_write.h"
#include "loop/workers.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "tributary/v1/admin.pb-c.h"

#define PART_BYTES ((size_t)256 << 10)
/* More than calls have copies, which is one. Others close theirs. */
#define MAX_JOBS 64u

struct backup_call {
    struct rpc *rpc;
    struct call *call;

    /* Posted to the loop by the wire thread, and the other way round. */
    struct task begin_task, next_task, leave_task;
    struct task send_task, left_task;

    /* The loop's; with `job` the reader's; with `send_task` the wire thread's, until
     * `next_task`. */
    struct buf part;
    uint64_t read_bytes, total_bytes;
    int fd; /* -1: none */
    struct fault fault;

    /* Loop only. */
    struct job job;
    struct store_backup backup;
    bool is_copying, has_copy, is_reading, leaves;

    /* Wire thread only. */
    bool is_held, is_leaving;
    struct fault end; /* for call_finish() */
    struct cq_timer write_timer;
};

/* ---- the reader ---- */

static void set_errno(struct backup_call *call)
{
    char text[96];

    fault_set(&call->fault, FAULT_BACKUP_FAILED, NULL, strerror_r(errno, text, sizeof(text)));
}

static bool read_all(struct backup_call *call, uint8_t *to, size_t size)
{
    while (size > 0) {
        const ssize_t count = pread(call->fd, to, size, (off_t)call->read_bytes);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            errno = count == 0 ? EIO : errno;
            return false;
        }
        to += count;
        size -= (size_t)count;
        call->read_bytes += (uint64_t)count;
    }
    return true;
}

static void run_read(struct job *job)
{
    struct backup_call *call = container_of(job, struct backup_call, job);
    const size_t size = (size_t)MIN_OF(call->total_bytes - call->read_bytes, PART_BYTES);
    uint8_t *to;

    if (call->fd < 0)
        call->fd = open(call->backup.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (call->fd < 0) {
        set_errno(call);
        return;
    }
    buf_clear(&call->part);
    field_varint(&call->part, PB_BACKUP_PART_TOTAL_BYTES, call->total_bytes);
    field_head(&call->part, PB_BACKUP_PART_DATA, size);
    to = buf_extend(&call->part, size);
    if (!to)
        fault_set(&call->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    else if (!read_all(call, to, size))
        set_errno(call);
}

/* A file that has no name any more is freed here, which may take long. */
static void run_close(struct job *job)
{
    struct backup_call *call = container_of(job, struct backup_call, job);

    (void)close(call->fd);
    call->fd = -1;
}

/* ---- the loop ---- */

static void on_closed(struct job *job)
{
    struct backup_call *call = container_of(job, struct backup_call, job);

    cq_post(call_cq(call->call), &call->left_task);
}

/* Nothing is under way any more. */
static void finish_leaving(struct backup_call *call)
{
    if (call->has_copy)
        store_backup_end(&call->backup);
    call->has_copy = false;
    call->job.run = run_close;
    call->job.done = on_closed;
    if (call->fd >= 0 && workers_submit(call->rpc->file_workers, &call->job) == ERR_OK)
        return;
    if (call->fd >= 0)
        run_close(&call->job);
    on_closed(&call->job);
}

/* The part, or the fault. */
static void on_read(struct job *job)
{
    struct backup_call *call = container_of(job, struct backup_call, job);

    call->is_reading = false;
    if (call->leaves)
        finish_leaving(call);
    else
        cq_post(call_cq(call->call), &call->send_task);
}

static void read_next(struct backup_call *call)
{
    call->job.run = run_read;
    call->job.done = on_read;
    call->is_reading = true;
    if (call->fault.reason == FAULT_NONE && workers_submit(call->rpc->file_workers, &call->job) == ERR_OK)
        return;
    if (call->fault.reason == FAULT_NONE)
        fault_set(&call->fault, FAULT_STORE_BUSY, NULL, NULL);
    on_read(&call->job);
}

static void set_fault(struct backup_call *call)
{
    struct fault *fault = &call->fault;
    const struct store_backup *backup = &call->backup;

    switch (backup->outcome) {
    case BACKUP_DONE:
        break;
    case BACKUP_BUSY:
        fault_set(fault, FAULT_STORE_BUSY, NULL, "another backup is running");
        break;
    case BACKUP_CANCELLED:
        fault_set(fault, FAULT_DRAINING, NULL, NULL);
        break;
    case BACKUP_DISK_FULL:
        fault_set(fault, FAULT_STORE_FULL, NULL, backup->reason);
        break;
    case BACKUP_FAILED:
        fault_set(fault,
                  store_health(call->rpc->params.store).state == STORE_IS_FAILED ? FAULT_STORE_FAILED
                                                                                 : FAULT_BACKUP_FAILED,
                  NULL, backup->reason);
        break;
    }
}

static void on_copied(struct store_backup *backup)
{
    struct backup_call *call = container_of(backup, struct backup_call, backup);

    call->is_copying = false;
    call->has_copy = backup->outcome == BACKUP_DONE;
    call->total_bytes = backup->bytes;
    set_fault(call);
    if (call->leaves)
        finish_leaving(call);
    else
        read_next(call);
}

static enum fault_reason prepare(struct rpc *rpc, struct fault *fault)
{
    if (!rpc->params.store)
        return fault_set(fault, FAULT_NO_STATE_DIR, NULL, NULL);
    if (!rpc->file_workers && workers_new(rpc->loop, 1, MAX_JOBS, &rpc->file_workers).code != ERR_OK)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    return FAULT_NONE;
}

static void on_begin(struct task *task)
{
    struct backup_call *call = container_of(task, struct backup_call, begin_task);

    if (prepare(call->rpc, &call->fault)) {
        cq_post(call_cq(call->call), &call->send_task);
        return;
    }
    call->is_copying = true;
    call->backup.done = on_copied;
    store_backup(call->rpc->params.store, &call->backup);
}

static void on_next(struct task *task)
{
    struct backup_call *call = container_of(task, struct backup_call, next_task);

    if (!call->leaves)
        read_next(call);
}

static void on_leave(struct task *task)
{
    struct backup_call *call = container_of(task, struct backup_call, leave_task);

    call->leaves = true;
    if (call->is_copying)
        store_backup_cancel(&call->backup);
    else if (!call->is_reading)
        finish_leaving(call);
}

/* ---- the wire thread ---- */

static void on_left(struct task *task)
{
    struct backup_call *call = container_of(task, struct backup_call, left_task);

    call_finish(call->call, &call->end);
    call_unhold(call->call);
}

/* The first end counts. */
static void leave(struct backup_call *call, const struct fault *end)
{
    if (call->is_leaving)
        return;
    call->is_leaving = true;
    call->end = *end;
    loop_post(call->rpc->loop, &call->leave_task);
}

static void send(struct task *task)
{
    struct backup_call *call = container_of(task, struct backup_call, send_task);
    const int64_t timeout_ns = loop_settings(call->rpc->loop)->write_timeout_ns;

    if (call->fault.reason != FAULT_NONE)
        leave(call, &call->fault);
    else if (!call->is_leaving && call_send(call->call, &call->part))
        cq_timer_set(call_cq(call->call), &call->write_timer, clock_from_now_ns(timeout_ns));
}

static void sent(struct call *base, bool ok)
{
    struct backup_call *call = call_owned(base);
    const struct fault none = {.reason = FAULT_NONE};

    cq_timer_stop(call_cq(base), &call->write_timer);
    if (!ok || call->is_leaving)
        return;
    if (call->read_bytes < call->total_bytes)
        loop_post(call->rpc->loop, &call->next_task);
    else
        leave(call, &none);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct backup_call *call = container_of(timer, struct backup_call, write_timer);
    struct fault fault;

    (void)now_ns;
    fault_not_reading(&fault, "write", loop_settings(call->rpc->loop)->write_timeout_ns);
    call_abort(call->call, &fault);
}

static void finish(struct call *base, enum fault_reason reason, const char *bound)
{
    struct backup_call *call = call_owned(base);
    struct fault fault;

    fault_set(&fault, reason, NULL, bound);
    if (call && call->is_held)
        leave(call, &fault);
    else
        call_finish(base, &fault);
}

static void opened(struct call *base, void *ctx)
{
    struct backup_call *call = calloc(1, sizeof(*call));

    if (!call) {
        finish(base, FAULT_MEMORY_BUDGET, NULL);
        return;
    }
    call->rpc = ctx;
    call->call = base;
    call->fd = -1;
    call->begin_task.run = on_begin;
    call->next_task.run = on_next;
    call->leave_task.run = on_leave;
    call->send_task.run = send;
    call->left_task.run = on_left;
    call->write_timer.fired = on_write_timeout;
    call_own(base, call);
    call_read(base);
}

static void message(struct call *base, struct message *message)
{
    struct backup_call *call = call_owned(base);
    ProtobufCMessage *request;
    struct fault fault;

    if (decode_message(message, &tributary__v1__backup_request__descriptor, &request, &fault)) {
        call_finish(base, &fault);
        return;
    }
    decoded_free(request);
    /* It holds the secrets of endpoints. */
    if (!call->rpc->params.remote_backup && !peer_is_local(call_peer_key(base))) {
        finish(base, FAULT_NOT_LOCAL, "callers on other machines need --remote-backup");
        return;
    }
    call_hold(base);
    call->is_held = true;
    loop_post(call->rpc->loop, &call->begin_task);
}

/* Only one message is ever asked for, so this half-close came in place of it. */
static void half_closed(struct call *base)
{
    const struct backup_call *call = call_owned(base);

    if (!call->is_held)
        finish(base, FAULT_NO_MESSAGE, NULL);
}

static void lost(struct call *base)
{
    struct backup_call *call = call_owned(base);
    const struct fault none = {.reason = FAULT_NONE};

    if (call && call->is_held)
        leave(call, &none);
}

static void draining(struct call *base)
{
    finish(base, FAULT_DRAINING, NULL);
}

static void closed(struct call *base, bool ok)
{
    struct backup_call *call = call_owned(base);

    (void)ok; /* nothing is kept of how it ended */
    if (!call)
        return;
    cq_timer_stop(call_cq(base), &call->write_timer);
    buf_fini(&call->part);
    free(call);
}

static const struct call_port backup_port = {.opened = opened,
                                             .message = message,
                                             .half_closed = half_closed,
                                             .sent = sent,
                                             .lost = lost,
                                             .draining = draining,
                                             .closed = closed};

enum err backup_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Admin/Backup", &backup_port, rpc);
}
