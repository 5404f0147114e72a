/* unary.c - a call that the caller waits for. */
#include "client/lib/core/unary.h"

#include "client/lib/core/status.h"
#include "client/lib/core/stream.h"
#include "grpc/slices.h"

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)

/* On the stack of the caller, who waits for `done`. */
struct unary_call {
    struct stream stream;
    struct post post;
    const struct unary_method *method;
    int64_t deadline_ns;
    grpc_slice request;
    struct buf *answer;
    struct tributary_status status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* under lock */
};

static void on_answer(struct stream *stream, struct bytes message)
{
    struct unary_call *unary_call = container_of(stream, struct unary_call, stream);

    buf_bytes(unary_call->answer, message.data, message.size);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct unary_call *unary_call = container_of(stream, struct unary_call, stream);

    pthread_mutex_lock(&unary_call->lock);
    unary_call->status = *status;
    unary_call->done = true;
    pthread_cond_signal(&unary_call->changed);
    pthread_mutex_unlock(&unary_call->lock); /* `unary_call` may be freed from here on */
}

static void on_post(struct post *post)
{
    struct unary_call *unary_call = container_of(post, struct unary_call, post);
    const struct stream_opening opening = {.method = unary_call->method->method,
                                           .first = &unary_call->request,
                                           .deadline_ns = unary_call->deadline_ns};

    stream_open(&unary_call->stream, &opening);
}

enum tributary_code unary_call_run(struct tributary *client, const struct unary_method *method,
                                   const struct buf *request, struct buf *answer,
                                   struct tributary_status *status)
{
    static const struct stream_port port = {.received = on_answer, .ended = on_ended};
    const int64_t timeout_ns = method->timeout_ns > 0 ? method->timeout_ns : DEFAULT_TIMEOUT_NS;
    struct unary_call unary_call = {.method = method,
                                    .deadline_ns = clock_from_now_ns(timeout_ns),
                                    .answer = answer,
                                    .post.run = on_post};

    if (on_client_thread(client))
        return status_set(status, TRIBUTARY_FAILED_PRECONDITION, "a callback must not wait for an answer");
    if (request->broken)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    CHECK(pthread_mutex_init(&unary_call.lock, NULL) == 0);
    cond_init(&unary_call.changed);
    unary_call.request = slice_copy_of((struct bytes){request->data, request->size});
    stream_init(&unary_call.stream, client, &port);
    client_post(client, &unary_call.post);
    pthread_mutex_lock(&unary_call.lock);
    while (!unary_call.done)
        cond_wait_until(&unary_call.changed, &unary_call.lock, INT64_MAX);
    pthread_mutex_unlock(&unary_call.lock);
    grpc_slice_unref(unary_call.request);
    pthread_cond_destroy(&unary_call.changed);
    pthread_mutex_destroy(&unary_call.lock);
    if (unary_call.status.code == TRIBUTARY_OK && answer->broken)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    if (status)
        *status = unary_call.status;
    return unary_call.status.code;
}
