/* backup.c - tributary_backup() of tributary/backup.h.
 *
 * The client thread copies a message for the caller, and holds the stream until the caller has
 * passed it on. */
#include "client/lib/admin/admin_call.h"
#include "client/lib/core/status.h"
#include "client/lib/core/stream.h"
#include "grpc/slices.h"
#include "tributary/backup.h"

/* On the stack of the caller, who waits for `done`. */
struct backup_call {
    struct stream stream;
    struct post begin, resume, cancel;
    int64_t deadline_ns;
    grpc_slice request;
    struct tributary_status status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    struct buf message;
    bool has_message, done;
};

/* ---- the client thread ---- */

static void on_part(struct stream *stream, struct bytes message)
{
    struct backup_call *call = container_of(stream, struct backup_call, stream);

    stream_hold(stream);
    pthread_mutex_lock(&call->lock);
    buf_clear(&call->message);
    buf_bytes(&call->message, message.data, message.size);
    call->has_message = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct backup_call *call = container_of(stream, struct backup_call, stream);

    pthread_mutex_lock(&call->lock);
    call->status = *status;
    call->done = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->lock); /* `call` may be freed from here on */
}

static void on_begin(struct post *post)
{
    struct backup_call *call = container_of(post, struct backup_call, begin);
    const struct stream_opening opening = {
        .method = "/tributary.v1.Admin/Backup", .first = &call->request, .deadline_ns = call->deadline_ns};

    stream_open(&call->stream, &opening);
}

static void on_resume(struct post *post)
{
    stream_resume(&container_of(post, struct backup_call, resume)->stream);
}

static void on_cancel(struct post *post)
{
    struct backup_call *call = container_of(post, struct backup_call, cancel);

    stream_cancel(&call->stream, TRIBUTARY_CANCELLED, "ended by the caller");
    stream_resume(&call->stream);
}

/* ---- the caller's thread ---- */

/* What the caller has been given. */
struct progress {
    const struct tributary_backup *backup;
    uint64_t bytes, total_bytes;
    enum tributary_code code;
    const char *text; /* where `code` is not OK */
};

static bool fail(struct progress *progress, enum tributary_code code, const char *text)
{
    progress->code = code;
    progress->text = text;
    return false;
}

static bool pass_on(struct progress *progress, const struct buf *message)
{
    Tributary__V1__BackupPart *part =
        message->broken ? NULL : tributary__v1__backup_part__unpack(NULL, message->size, message->data);
    bool goes_on;

    if (!part)
        return message->broken
                   ? fail(progress, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory")
                   : fail(progress, TRIBUTARY_INTERNAL, "the answer of the server cannot be read");
    progress->bytes += part->data.len;
    progress->total_bytes = part->total_bytes;
    goes_on = progress->backup->part(progress->backup->ctx,
                                     (struct tributary_bytes){part->data.data, part->data.len},
                                     part->total_bytes) ||
              fail(progress, TRIBUTARY_CANCELLED, "ended by the caller");
    tributary__v1__backup_part__free_unpacked(part, NULL);
    return goes_on;
}

/* Under the lock, but for the time that the caller takes. */
static void pass_all(struct backup_call *call, struct tributary *client, struct progress *progress)
{
    while (!call->done || call->has_message) {
        if (!call->has_message) {
            cond_wait_until(&call->changed, &call->lock, INT64_MAX);
            continue;
        }
        pthread_mutex_unlock(&call->lock);
        /* the stream is held: nobody else touches the message */
        if (progress->code == TRIBUTARY_OK && !pass_on(progress, &call->message))
            client_post(client, &call->cancel);
        pthread_mutex_lock(&call->lock);
        call->has_message = false;
        if (!call->done)
            client_post(client, &call->resume);
    }
}

/* The posts that wait may not outlive the call. */
struct barrier {
    struct post post;
    struct backup_call *call;
};

static void on_barrier(struct post *post)
{
    struct backup_call *call = container_of(post, struct barrier, post)->call;

    pthread_mutex_lock(&call->lock);
    call->has_message = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

static void wait_for_posts(struct backup_call *call, struct tributary *client)
{
    struct barrier barrier = {.post.run = on_barrier, .call = call};

    client_post(client, &barrier.post);
    pthread_mutex_lock(&call->lock);
    while (!call->has_message)
        cond_wait_until(&call->changed, &call->lock, INT64_MAX);
    pthread_mutex_unlock(&call->lock);
}

static enum tributary_code result_of(const struct backup_call *call, const struct progress *progress,
                                     struct tributary_status *status)
{
    if (progress->code != TRIBUTARY_OK)
        return status_set(status, progress->code, progress->text);
    if (call->status.code == TRIBUTARY_OK &&
        (progress->bytes == 0 || progress->bytes != progress->total_bytes))
        return status_set(status, TRIBUTARY_INTERNAL, "the server did not send all of the file");
    if (status)
        *status = call->status;
    return call->status.code;
}

enum tributary_code tributary_backup(struct tributary *client, const struct tributary_backup *backup,
                                     struct tributary_status *status)
{
    static const struct stream_port port = {.received = on_part, .ended = on_ended};
    struct progress progress = {.backup = backup, .code = TRIBUTARY_OK};
    struct backup_call call = {.begin.run = on_begin,
                               .resume.run = on_resume,
                               .cancel.run = on_cancel,
                               .request = grpc_empty_slice(),
                               .deadline_ns = backup->timeout_ns > 0 ? clock_from_now_ns(backup->timeout_ns)
                                                                     : INT64_MAX};

    if (on_client_thread(client))
        return status_set(status, TRIBUTARY_FAILED_PRECONDITION, "a callback must not wait for an answer");
    CHECK(pthread_mutex_init(&call.lock, NULL) == 0);
    cond_init(&call.changed);
    stream_init(&call.stream, client, &port);
    client_post(client, &call.begin);
    pthread_mutex_lock(&call.lock);
    pass_all(&call, client, &progress);
    pthread_mutex_unlock(&call.lock);
    wait_for_posts(&call, client);
    const enum tributary_code code = result_of(&call, &progress, status);
    buf_fini(&call.message);
    grpc_slice_unref(call.request);
    pthread_cond_destroy(&call.changed);
    pthread_mutex_destroy(&call.lock);
    return code;
}
