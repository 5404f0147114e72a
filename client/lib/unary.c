/* unary.c - a call that its caller waits for. */
#include "client/lib/unary.h"

#include "client/lib/status.h"
#include "client/lib/stream.h"

#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)

/* Lives on the caller's stack until `done`. */
struct asking {
    struct stream stream;
    struct post post;
    const struct question *question;
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
    struct asking *asking = container_of(stream, struct asking, stream);

    buf_bytes(asking->answer, message.at, message.size);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct asking *asking = container_of(stream, struct asking, stream);

    pthread_mutex_lock(&asking->lock);
    asking->status = *status;
    asking->done = true;
    pthread_cond_signal(&asking->changed);
    pthread_mutex_unlock(&asking->lock); /* `asking` may be gone from here on */
}

static void on_post(struct post *post)
{
    struct asking *asking = container_of(post, struct asking, post);
    const struct stream_opening opening = {
        .method = asking->question->method, .first = &asking->request, .deadline_ns = asking->deadline_ns};

    stream_open(&asking->stream, &opening);
}

enum tributary_code unary_ask(struct tributary *client, const struct question *question, const struct buf *request, struct buf *answer,
                              struct tributary_status *status)
{
    static const struct stream_port port = {.received = on_answer, .ended = on_ended};
    const int64_t timeout_ns = question->timeout_ns > 0 ? question->timeout_ns : TIMEOUT_DEFAULT_NS;
    struct asking asking = {.question = question, .deadline_ns = until_ns(timeout_ns), .answer = answer, .post.run = on_post};

    if (client_is_here(client))
        return status_set(status, TRIBUTARY_FAILED_PRECONDITION, "a callback must not wait for an answer");
    if (request->broken)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    CHECK(pthread_mutex_init(&asking.lock, NULL) == 0);
    cond_init(&asking.changed);
    asking.request = grpc_slice_from_copied_buffer((const char *)request->at, request->size);
    stream_init(&asking.stream, client, &port);
    client_post(client, &asking.post);
    pthread_mutex_lock(&asking.lock);
    while (!asking.done)
        cond_wait_until(&asking.changed, &asking.lock, INT64_MAX);
    pthread_mutex_unlock(&asking.lock);
    grpc_slice_unref(asking.request);
    pthread_cond_destroy(&asking.changed);
    pthread_mutex_destroy(&asking.lock);
    if (asking.status.code == TRIBUTARY_OK && answer->broken)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    if (status != NULL)
        *status = asking.status;
    return asking.status.code;
}
