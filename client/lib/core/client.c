/* client.c - a client: its options, the client thread, and posts. */
#include "client/lib/core/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/lib/core/backoff.h"
#include "client/lib/core/bytes.h"
#include "client/lib/core/connection.h"
#include "client/lib/core/status.h"
#include "grpc/slices.h"

#define MIN_WINDOW_BYTES (64u << 10)
#define MAX_WINDOW_BYTES (16u << 20)

const char *tributary_version(void)
{
    return TRIBUTARY_VERSION;
}

bool on_client_thread(const struct tributary *client)
{
    return cq_is_mine(client->thread);
}

/* The post may be posted again from run() on, also by another thread. What that thread did before
 * is visible to this run(), or leads to another one. */
static void run_post(struct task *task)
{
    struct post *post = container_of(task, struct post, task);

    atomic_exchange_explicit(&post->queued, false, memory_order_acq_rel);
    post->run(post);
}

void client_post(struct tributary *client, struct post *post)
{
    if (atomic_exchange_explicit(&post->queued, true, memory_order_acq_rel))
        return;
    post->task.run = run_post;
    cq_post(client->thread, &post->task);
}

bool client_post_behind(struct tributary *client, const struct post *post, struct post *last)
{
    if (!atomic_load_explicit(&post->queued, memory_order_acquire))
        return false;
    client_post(client, last);
    return true;
}

int64_t client_backoff_ns(struct tributary *client, uint32_t attempt)
{
    return backoff_ns(client->backoff_base_ns, client->backoff_cap_ns, attempt, random_next(&client->random));
}

static void on_begun(void *ctx)
{
    (void)ctx;
    pthread_setname_np(pthread_self(), "tributary");
}

static void on_stop(struct task *task)
{
    container_of(task, struct tributary, stop)->stopping = true;
}

static bool is_stopped(void *ctx)
{
    const struct tributary *client = ctx;

    return client->stopping;
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

        copy->key = slice_copy_of(to_bytes(pair->name));
        copy->value = slice_copy_of(to_bytes(pair->value));
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
    cq_thread_free(client->thread);
    connections_fini(&client->connections);
    buf_fini(&client->gathered);
    free(client);
    grpc_shutdown();
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
    connections->window_bytes = options->window_bytes;
    if (options->window_bytes != 0 &&
        (options->window_bytes < MIN_WINDOW_BYTES || options->window_bytes > MAX_WINDOW_BYTES))
        return "window_bytes: 0, or from 64 KiB to 16 MiB";
    if (!copy_metadata(client, options))
        return "metadata: at most 16 lower-case names with printable ASCII values, none of them binary";
    return NULL;
}

/* Sets the target, or the default one for NULL. False: it is no address, and `fault` says why. */
static bool set_target(struct tributary *client, const char *target, char fault[PLACE_FAULT_CAPACITY])
{
    struct place place;

    if (!place_parse(target ? target : TRIBUTARY_DEFAULT_TARGET, PLACE_CONNECT, &place, fault))
        return false;
    target_write(&place, client->connections.target);
    return true;
}

static bool start_thread(struct tributary *client)
{
    static const struct cq_thread_port port = {.begun = on_begun, .is_done = is_stopped};

    client->stop.run = on_stop;
    return cq_thread_new(&port, client, &client->thread).code == ERR_OK &&
           cq_thread_start(client->thread).code == ERR_OK;
}

enum tributary_code tributary_connect(const struct tributary_options *options, struct tributary **client_out,
                                      struct tributary_status *status)
{
    struct tributary *client = calloc(1, sizeof(*client));

    if (!client)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    grpc_init();
    if (getrandom(&client->random, sizeof(client->random), 0) != sizeof(client->random))
        client->random = (uint64_t)clock_mono_ns();
    client->random |= 1;

    const char *fault = bad_option(client, options);
    char place_fault[PLACE_FAULT_CAPACITY];

    if (!fault && !set_target(client, options->target, place_fault)) {
        destroy(client);
        return status_format(status, TRIBUTARY_INVALID_ARGUMENT, "the server's address '%.100s': %s",
                             options->target, place_fault);
    }
    if (fault) {
        destroy(client);
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    }
    client->connections.connect_ms = client->connect_timeout_ns / NS_PER_MS;
    client->connections.backoff_base_ms = MAX_OF(client->backoff_base_ns / NS_PER_MS, 100);
    client->connections.backoff_cap_ms = MAX_OF(client->backoff_cap_ns / NS_PER_MS, 100);
    if (!connections_init(&client->connections, options) || !start_thread(client)) {
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
    cq_post(client->thread, &client->stop);
    cq_thread_join(client->thread);
    destroy(client);
}
