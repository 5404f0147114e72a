/* test_client_post.c - posts: once while they wait, in order, and never after their object is
 * freed; and what a callback may do meanwhile. No server is needed. */
#include <criterion/criterion.h>
#include <semaphore.h>

#include "client/lib/core/client.h"

static struct tributary *client;

static void open_client(void)
{
    const struct tributary_options options = {.target = "unix:/nowhere/tributary.sock"};

    cr_assert_eq(tributary_connect(&options, &client, NULL), TRIBUTARY_OK);
}

static void close_client(void)
{
    tributary_free(client);
}

TestSuite(client_post, .init = open_client, .fini = close_client);

struct act {
    struct post post;
    void (*act)(void);
    sem_t done;
};

static void run_act(struct post *post)
{
    struct act *act = container_of(post, struct act, post);

    cr_assert(on_client_thread(client));
    act->act();
    sem_post(&act->done);
}

/* Runs `act` on the client thread and waits until it has returned. */
static void run(void (*function)(void))
{
    struct act act = {.post = {.run = run_act}, .act = function};

    sem_init(&act.done, 0, 0);
    client_post(client, &act.post);
    while (sem_wait(&act.done) != 0)
        continue;
    sem_destroy(&act.done);
}

static char order[16];
static size_t order_count;
static struct post first, second;
static unsigned again;

static void note(struct post *post)
{
    cr_assert_lt(order_count, sizeof(order) - 1);
    order[order_count++] = post == &first ? '1' : '2';
    if (post == &first && again > 0) {
        again--;
        client_post(client, &first);
    }
}

static void do_nothing(void)
{
}

/* Posts that the client thread makes wait until its task has returned. */
static void post_often(void)
{
    for (int i = 0; i < 3; i++) {
        client_post(client, &first);
        client_post(client, &second);
    }
}

Test(client_post, a_post_that_waits_stays_where_it_is)
{
    first.run = second.run = note;
    run(post_often);
    run(do_nothing);
    cr_assert_str_eq(order, "12");
    run(post_often);
    run(do_nothing);
    cr_assert_str_eq(order, "1212", "and may be posted again once it ran");
}

Test(client_post, a_post_may_post_itself)
{
    first.run = second.run = note;
    again = 3;
    run(post_often);
    for (int i = 0; i < 4; i++)
        run(do_nothing);
    cr_assert_str_eq(order, "12111");
}

static bool waited;

static void post_last(void)
{
    waited = client_post_behind(client, &first, &second);
}

static void post_first_and_last(void)
{
    client_post(client, &first);
    waited = client_post_behind(client, &first, &second);
}

Test(client_post, the_last_post_of_an_object_runs_behind_the_one_that_waits)
{
    first.run = second.run = note;
    run(post_last);
    run(do_nothing);
    cr_assert_not(waited);
    cr_assert_eq(order_count, 0, "nothing waits, so nothing was posted");
    run(post_first_and_last);
    run(do_nothing);
    cr_assert(waited);
    cr_assert_str_eq(order, "12");
}

static struct tributary_subscriber *subscriber;

/* Posts work for a subscriber that has ended and is being freed. */
static void finish_again(void *ctx, const struct tributary_status *status)
{
    (void)ctx;
    cr_assert_eq(status->code, TRIBUTARY_CANCELLED);
    tributary_subscriber_finish(subscriber, 0);
}

/* AddressSanitizer sees a post that runs after its object was freed. */
Test(client_post, an_object_is_freed_behind_its_last_post)
{
    const struct tributary_subscriber_options options = {0};
    const struct tributary_subscriber_callbacks callbacks = {.ended = finish_again};

    for (int i = 0; i < 100; i++) {
        cr_assert_eq(tributary_subscribe(client, &options, &callbacks, &subscriber, NULL), TRIBUTARY_OK);
        tributary_subscriber_free(subscriber);
    }
    run(do_nothing);
}

static struct tributary_publisher *publisher;
static unsigned refused_count;
static enum tributary_code again_code;

/* Tries to publish once more what was refused. */
static void publish_again(void *ctx, const struct tributary_refused *refused)
{
    const struct tributary_event event = {.topic = {"t", 1}};

    (void)ctx;
    cr_assert_eq(refused->code, TRIBUTARY_CANCELLED);
    cr_assert_lt(++refused_count, 10, "refused without end");
    again_code = tributary_publish(publisher, &event);
}

Test(client_post, a_publisher_that_is_freed_takes_nothing_from_its_callback)
{
    const struct tributary_publisher_options options = {.refused = publish_again};
    const struct tributary_event event = {.topic = {"t", 1}};

    cr_assert_eq(tributary_publisher_new(client, &options, &publisher, NULL), TRIBUTARY_OK);
    cr_assert_eq(tributary_publish(publisher, &event), TRIBUTARY_OK);
    tributary_publisher_free(publisher);
    cr_assert_eq(refused_count, 1);
    cr_assert_eq(again_code, TRIBUTARY_CANCELLED);
}
