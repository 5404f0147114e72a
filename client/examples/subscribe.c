/* subscribe.c - prints every event of every producer, and reports lost events, until the stream
 * ends.
 *
 *   cc subscribe.c $(pkg-config --cflags --libs tributary) -o subscribe && ./subscribe */
#include <stdio.h>

#include <tributary/tributary.h>

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    (void)ctx;
    printf("%.*s %llu: ", (int)delivery->source.size, (const char *)delivery->source.data,
           (unsigned long long)delivery->sequence);
    fwrite(delivery->event.data.data, 1, delivery->event.data.size, stdout);
    putchar('\n');
    fflush(stdout);
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    (void)ctx;
    fprintf(stderr, "lost %llu events of %.*s: %s\n", (unsigned long long)lost->count, (int)lost->source.size,
            (const char *)lost->source.data, tributary_loss_name(lost->reason));
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    (void)ctx;
    fprintf(stderr, "%s: %s; trying again in %lld ms\n", tributary_code_name(status->code), status->message,
            (long long)(retry_ns / 1000000));
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = argc > 1 ? argv[1] : NULL, .name = "example"};
    const struct tributary_subscriber_options subscription = {.name = "example",
                                                              .overflow = TRIBUTARY_OVERFLOW_DROP_OLDEST};
    const struct tributary_subscriber_callbacks callbacks = {
        .event = on_event, .lost = on_lost, .interrupted = on_interrupted};
    struct tributary *client = NULL;
    struct tributary_subscriber *subscriber = NULL;
    struct tributary_status status;

    if (tributary_connect(&options, &client, &status) == TRIBUTARY_OK &&
        tributary_subscribe(client, &subscription, &callbacks, &subscriber, &status) == TRIBUTARY_OK)
        tributary_subscriber_wait(subscriber, TRIBUTARY_FOREVER, &status);
    if (status.code != TRIBUTARY_OK)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    tributary_subscriber_free(subscriber);
    tributary_free(client);
    return status.code == TRIBUTARY_OK ? 0 : 1;
}
