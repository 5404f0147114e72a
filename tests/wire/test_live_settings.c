/* test_live_settings.c - a server on a live connection: another version of the settings is
 * published on the loop, and the next request has the new limits. */
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "hub/hub.h"
#include "lib/events.h"
#include "server/rpc/decode.h"
#include "server/rpc/rpc.h"
#include "tributary/v1/admin.pb-c.h"
#include "tributary/v1/publisher.pb-c.h"
#include "tributary/v1/subscriber.pb-c.h"
#include "wire_fixture.h"

static struct wire_fixture fixture;
static struct loop *loop;
static struct hub *hub;
static struct rpc *rpc;
static pthread_t loop_thread;
static struct settings now; /* the next version; changed by the test's thread before publish_now() */

static void *run_loop(void *ctx)
{
    (void)ctx;
    loop_run(loop);
    return NULL;
}

static void open_server(void)
{
    const struct rpc_params params = {.version = "0"};
    const struct method *methods;
    size_t count;

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    now = settings_defaults;
    cr_assert_eq(loop_publish_settings(loop, &now), ERR_OK);
    cr_assert_eq(hub_new(loop, &hub).code, ERR_OK);
    cr_assert_eq(rpc_new(loop, hub, &params, &rpc).code, ERR_OK);
    methods = rpc_methods(rpc, &count);
    cr_assert_eq(pthread_create(&loop_thread, NULL, run_loop, NULL), 0);
    wire_fixture_open(&fixture, methods, count);
}

static void close_server(void)
{
    wire_fixture_close(&fixture);
    loop_stop(loop);
    cr_assert_eq(pthread_join(loop_thread, NULL), 0);
    rpc_free(rpc);
    hub_free(hub);
    loop_free(loop);
}

static _Atomic bool published;

static void publish_task(struct task *task)
{
    (void)task;
    CHECK(loop_publish_settings(loop, &now) == ERR_OK);
    atomic_store(&published, true);
}

/* Publishes `now` while the server serves. */
static void publish_now(void)
{
    static struct task task = {.run = publish_task};

    atomic_store(&published, false);
    loop_post(loop, &task);
    wire_fixture_until(&fixture, atomic_load(&published));
}

static void send_request(struct client *client, const char *path, const ProtobufCMessage *request)
{
    struct buf bytes = {0};

    encode(request, &bytes);
    client_open(client, &fixture, path);
    cr_assert(client_send(client, bytes.data, bytes.size));
    buf_fini(&bytes);
}

/* The status of a Publish with one event of so many bytes of data. */
static grpc_status_code publish(size_t data_size)
{
    static uint8_t data[4096];
    struct buf message = {0};
    struct client client;
    grpc_status_code code;

    put_event(&message, &(struct event_view){.data = {data, data_size}}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    client_open(&client, &fixture, "/tributary.v1.Publisher/Publish");
    cr_assert(client_send(&client, message.data, message.size));
    code = client_end(&client);
    client_close(&client);
    buf_fini(&message);
    return code;
}

static uint32_t max_event_bytes_of_info(void)
{
    Tributary__V1__GetInfoRequest request = TRIBUTARY__V1__GET_INFO_REQUEST__INIT;
    Tributary__V1__Info *info;
    struct buf answer = {0};
    struct client client;
    uint32_t max;

    send_request(&client, "/tributary.v1.Admin/GetInfo", &request.base);
    cr_assert(client_read(&client, &answer));
    cr_assert_eq(client_end(&client), GRPC_STATUS_OK);
    client_close(&client);
    info = tributary__v1__info__unpack(NULL, answer.size, answer.data);
    cr_assert_not_null(info);
    max = info->max_event_bytes;
    tributary__v1__info__free_unpacked(info, NULL);
    buf_fini(&answer);
    return max;
}

Test(live_settings, the_bounds_of_a_message_hold_for_the_next_one)
{
    open_server();
    cr_expect_eq(publish(1000), GRPC_STATUS_OK);
    now.framing.max_event_bytes = 500;
    publish_now();
    cr_expect_eq(max_event_bytes_of_info(), 500);
    cr_expect_eq(publish(1000), GRPC_STATUS_INVALID_ARGUMENT);
    cr_expect_eq(publish(100), GRPC_STATUS_OK);
    now.framing.max_event_bytes = 2000;
    publish_now();
    cr_expect_eq(publish(1000), GRPC_STATUS_OK);
    close_server();
}

static void subscribe(struct client *client, uint32_t max_events)
{
    Tributary__V1__SubscribeRequest request = TRIBUTARY__V1__SUBSCRIBE_REQUEST__INIT;
    Tributary__V1__Selector selector = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *selectors[] = {&selector};
    Tributary__V1__Buffer buffer = TRIBUTARY__V1__BUFFER__INIT;

    selector.producer = (char *)"*";
    request.selectors = selectors;
    request.n_selectors = 1;
    buffer.max_events = max_events;
    request.buffer = &buffer;
    send_request(client, "/tributary.v1.Subscriber/Subscribe", &request.base);
}

static uint32_t max_events_of_started(struct client *client)
{
    Tributary__V1__EventBatch *batch;
    struct buf message = {0};
    uint32_t max;

    cr_assert(client_read(client, &message));
    batch = tributary__v1__event_batch__unpack(NULL, message.size, message.data);
    cr_assert_not_null(batch);
    cr_assert_not_null(batch->started);
    max = batch->started->settings->max_events;
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    buf_fini(&message);
    return max;
}

Test(live_settings, a_subscription_keeps_what_it_was_accepted_under)
{
    struct client first, second;
    struct buf message = {0};

    open_server();
    subscribe(&first, 0);
    cr_expect_eq(max_events_of_started(&first), 1024);
    now.max_subscriptions = 1;
    now.subscription.max_events = (struct setting_range){7, 1, 9};
    publish_now();
    subscribe(&second, 0);
    cr_expect_eq(client_end(&second), GRPC_STATUS_RESOURCE_EXHAUSTED);
    client_close(&second);
    now.max_subscriptions = 2;
    publish_now();
    subscribe(&second, 10);
    cr_expect_eq(client_end(&second), GRPC_STATUS_INVALID_ARGUMENT, "above the new bound");
    client_close(&second);
    subscribe(&second, 0);
    cr_expect_eq(max_events_of_started(&second), 7);
    cr_expect_eq(publish(10), GRPC_STATUS_OK);
    cr_expect(client_read(&first, &message), "the first one goes on");
    buf_fini(&message);
    client_close(&first);
    client_close(&second);
    close_server();
}
