/* client.c - a client: its options, the client thread, posts and timers. */
#include "client/lib/core/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include "client/lib/core/backoff.h"
#include "client/lib/core/connection.h"
#include "client/lib/core/status.h"

#define MIN_WINDOW_BYTES (64u << 10)
#define DEFAULT_WINDOW_BYTES (256u << 10)
#define MAX_WINDOW_BYTES (16u << 20)

const char *tributary_version(void)
{
    return TRIBUTARY_VERSION;
}

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(cond, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        pthread_cond_wait(cond, lock);
        return true;
    }
    if (clock_mono_ns() >= deadline_ns)
        return false;

    const struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};

    pthread_cond_timedwait(cond, lock, &deadline);
    return true;
}

int64_t deadline_after_ns(int64_t timeout_ns)
{
    const int64_t now_ns = clock_mono_ns();

    return timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
}

bool on_client_thread(const struct tributary *client)
{
    return pthread_equal(pthread_self(), client->thread) != 0;
}

/* Starts the wakeup batch. The caller holds the lock and has checked that the batch is not in
 * flight. */
static void wake(struct tributary *client)
{
    client->wakeup_pending = true;
    CHECK(grpc_call_start_batch(client->wakeup, NULL, 0, &client->wakeup_op, NULL) == GRPC_CALL_OK);
}

void client_post(struct tributary *client, struct post *post)
{
    pthread_mutex_lock(&client->lock);
    if (!post->queued) {
        post->queued = true;
        list_append(&client->posts, &post->node);
        if (!client->wakeup_pending)
            wake(client);
    }
    pthread_mutex_unlock(&client->lock);
}

void client_unpost(struct tributary *client, struct post *post)
{
    pthread_mutex_lock(&client->lock);
    if (post->queued) {
        post->queued = false;
        list_remove(&post->node);
    }
    pthread_mutex_unlock(&client->lock);
}

static struct post *next_post(struct tributary *client)
{
    struct post *post = NULL;

    pthread_mutex_lock(&client->lock);
    if (!list_empty(&client->posts)) {
        post = container_of(client->posts.next, struct post, node);
        list_remove(&post->node);
        post->queued = false;
    }
    pthread_mutex_unlock(&client->lock);
    return post;
}

static void on_wakeup(struct op *op, bool ok)
{
    struct tributary *client = container_of(op, struct tributary, wakeup_op);
    struct post *post = NULL;

    (void)ok; /* an empty batch has no outcome of its own */
    pthread_mutex_lock(&client->lock);
    client->wakeup_pending = false;
    pthread_mutex_unlock(&client->lock);
    while ((post = next_post(client)))
        post->run(post);
}

void timer_init(struct timer *timer, void (*fired)(struct timer *timer))
{
    list_init(&timer->node);
    timer->fired = fired;
}

void client_timer(struct tributary *client, struct timer *timer, int64_t at_ns)
{
    timer_stop(timer);
    timer->at_ns = at_ns;
    list_append(&client->timers, &timer->node);
    client->next_timer_ns = MIN_OF(client->next_timer_ns, at_ns);
}

void timer_stop(struct timer *timer)
{
    list_remove(&timer->node);
}

int64_t client_backoff_ns(struct tributary *client, uint32_t attempt)
{
    return backoff_ns(client->backoff_base_ns, client->backoff_cap_ns, attempt, random_next(&client->random));
}

/* A timer that fires may set, stop and free other timers. So the walk starts again after each. */
static void fire_timers(struct tributary *client)
{
    const int64_t now_ns = clock_mono_ns();
    bool fired = true;

    while (fired) {
        fired = false;
        client->next_timer_ns = INT64_MAX;
        list_each(node, safe, &client->timers) {
            struct timer *timer = container_of(node, struct timer, node);

            if (timer->at_ns <= now_ns) {
                timer_stop(timer);
                timer->fired(timer);
                fired = true;
                break;
            }
            client->next_timer_ns = MIN_OF(client->next_timer_ns, timer->at_ns);
        }
    }
}

static gpr_timespec to_timespec(int64_t at_ns)
{
    return at_ns == INT64_MAX ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                              : gpr_time_from_nanos(at_ns, GPR_CLOCK_MONOTONIC);
}

static void *serve(void *argument)
{
    struct tributary *client = argument;

    pthread_setname_np(pthread_self(), "tributary");
    for (;;) {
        const grpc_event event =
            grpc_completion_queue_next(client->queue, to_timespec(client->next_timer_ns), NULL);

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE) {
            struct op *op = event.tag;

            op->done(op, event.success != 0);
        }
        if (clock_mono_ns() >= client->next_timer_ns)
            fire_timers(client);
    }
}

/* Sets *chosen_out to the option, or to its default where it is 0. False: out of its bounds, which
 * end at 24 h. */
static bool apply_default(int64_t option_ns, int64_t min_ns, int64_t default_ns, int64_t *chosen_out)
{
    *chosen_out = option_ns == 0 ? default_ns : option_ns;
    return *chosen_out >= min_ns && *chosen_out <= 86400 * NS_PER_S;
}

static bool copy_metadata(struct tributary *client, const struct tributary_options *options)
{
    if (options->metadata_count > MAX_METADATA)
        return false;
    for (size_t i = 0; i < options->metadata_count; i++) {
        const struct tributary_header *pair = &options->metadata[i];
        grpc_metadata *copy = &client->metadata[i];

        copy->key = grpc_slice_from_copied_buffer(pair->name.data, pair->name.size);
        copy->value = grpc_slice_from_copied_buffer(pair->value.data, pair->value.size);
        client->metadata_count++;
        if (grpc_header_key_is_legal(copy->key) == 0 || grpc_is_binary_header(copy->key) != 0 ||
            grpc_header_nonbin_value_is_legal(copy->value) == 0)
            return false;
    }
    return true;
}

static void destroy(struct tributary *client)
{
    for (size_t i = 0; i < client->metadata_count; i++) {
        grpc_slice_unref(client->metadata[i].key);
        grpc_slice_unref(client->metadata[i].value);
    }
    if (client->wakeup)
        grpc_call_unref(client->wakeup);
    if (client->lame)
        grpc_channel_destroy(client->lame);
    connections_fini(&client->connections);
    if (client->queue)
        grpc_completion_queue_destroy(client->queue);
    pthread_mutex_destroy(&client->lock);
    buf_fini(&client->gathered);
    free(client);
    grpc_shutdown();
}

static void drain_queue(grpc_completion_queue *queue)
{
    grpc_completion_queue_shutdown(queue);
    while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        continue;
}

/* The option that is out of its bounds, with them; NULL: none. */
static const char *bad_option(struct tributary *client, const struct tributary_options *options)
{
    struct connections *connections = &client->connections;

    if (!apply_default(options->connect_timeout_ns, 100 * NS_PER_MS, 10 * NS_PER_S,
                       &client->connect_timeout_ns))
        return "connect_timeout_ns: from 100 ms to 24 h";
    if (!apply_default(options->backoff_base_ns, NS_PER_MS, 100 * NS_PER_MS, &client->backoff_base_ns))
        return "backoff_base_ns: from 1 ms to 24 h";
    if (!apply_default(options->backoff_cap_ns, client->backoff_base_ns,
                       MAX_OF(10 * NS_PER_S, client->backoff_base_ns), &client->backoff_cap_ns))
        return "backoff_cap_ns: from backoff_base_ns to 24 h";
    if (options->keepalive_ns == TRIBUTARY_NONE)
        connections->ping_ns = TRIBUTARY_NONE;
    else if (!apply_default(options->keepalive_ns, 10 * NS_PER_S, 15 * NS_PER_S, &connections->ping_ns))
        return "keepalive_ns: from 10 s to 24 h";
    if (!apply_default(options->keepalive_timeout_ns, NS_PER_MS, 5 * NS_PER_S, &connections->pong_ns))
        return "keepalive_timeout_ns: from 1 ms to 24 h";
    connections->window_bytes = options->window_bytes == 0 ? DEFAULT_WINDOW_BYTES : options->window_bytes;
    if (connections->window_bytes < MIN_WINDOW_BYTES || connections->window_bytes > MAX_WINDOW_BYTES)
        return "window_bytes: from 64 KiB to 16 MiB";
    if (!copy_metadata(client, options))
        return "metadata: at most 16 lower-case names with printable ASCII values, none of them binary";
    return NULL;
}

static bool open_wakeup(struct tributary *client)
{
    client->lame = grpc_lame_client_channel_create("", GRPC_STATUS_UNAVAILABLE, "");
    if (!client->lame)
        return false;
    client->wakeup = grpc_channel_create_call(client->lame, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                              grpc_slice_from_static_string("/"), NULL,
                                              gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    client->wakeup_op.done = on_wakeup;
    return client->wakeup;
}

enum tributary_code tributary_connect(const struct tributary_options *options, struct tributary **client_out,
                                      struct tributary_status *status)
{
    struct tributary *client = calloc(1, sizeof(*client));

    if (!client)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    grpc_init();
    CHECK(pthread_mutex_init(&client->lock, NULL) == 0);
    list_init(&client->timers);
    list_init(&client->posts);
    client->next_timer_ns = INT64_MAX;
    if (getrandom(&client->random, sizeof(client->random), 0) != sizeof(client->random))
        client->random = (uint64_t)clock_mono_ns();
    client->random |= 1;

    const char *fault = bad_option(client, options);

    if (fault) {
        destroy(client);
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    }
    client->queue = grpc_completion_queue_create_for_next(NULL);
    client->connections.connect_ms = client->connect_timeout_ns / NS_PER_MS;
    client->connections.backoff_base_ms = MAX_OF(client->backoff_base_ns / NS_PER_MS, 100);
    client->connections.backoff_cap_ms = MAX_OF(client->backoff_cap_ns / NS_PER_MS, 100);
    if (!connections_init(&client->connections, options) || !open_wakeup(client) ||
        pthread_create(&client->thread, NULL, serve, client) != 0) {
        drain_queue(client->queue);
        destroy(client);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory or no thread for a connection");
    }
    *client_out = client;
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_free(struct tributary *client)
{
    if (!client)
        return;
    CHECK(atomic_load(&client->users) == 0); /* publishers, sessions and subscribers are freed first */
    CHECK(!on_client_thread(client));
    grpc_completion_queue_shutdown(client->queue);
    CHECK(pthread_join(client->thread, NULL) == 0);
    destroy(client);
}
