/* publish.c - publishes ten events and waits until the server has confirmed them.
 *
 *   cc publish.c $(pkg-config --cflags --libs tributary) -o publish && ./publish */
#include <stdio.h>
#include <time.h>

#include <tributary/tributary.h>

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    (void)ctx;
    fprintf(stderr, "events %llu to %llu were refused: %s: %s\n", (unsigned long long)refused->first_event,
            (unsigned long long)refused->last_event, tributary_code_name(refused->code), refused->message);
}

static uint64_t now_unix_nano(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int publish_ten(struct tributary_publisher *publisher)
{
    for (int i = 1; i <= 10; i++) {
        char text[32];
        const int size = snprintf(text, sizeof(text), "hello number %d", i);
        const struct tributary_event event = {
            .topic = tributary_text("greetings"),
            .content_type = tributary_text("text/plain"),
            .data = {text, (size_t)size},
            .time_unix_nano = now_unix_nano(),
        };

        if (tributary_publish(publisher, &event) != TRIBUTARY_OK) {
            fprintf(stderr, "not accepted: %s\n", tributary_event_fault(&event));
            return 1;
        }
    }
    return tributary_publisher_flush(publisher, INT64_C(5000000000)) == TRIBUTARY_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = argc > 1 ? argv[1] : NULL, .name = "example"};
    const struct tributary_publisher_options publishing = {.producer = "example", .refused = on_refused};
    struct tributary *client = NULL;
    struct tributary_publisher *publisher = NULL;
    struct tributary_publisher_stats stats = {0};
    struct tributary_status status;
    int result = 1;

    if (tributary_connect(&options, &client, &status) != TRIBUTARY_OK ||
        tributary_publisher_new(client, &publishing, &publisher, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    } else {
        result = publish_ten(publisher);
        tributary_publisher_stats(publisher, &stats);
        printf("%llu of %llu events were confirmed\n", (unsigned long long)stats.confirmed,
               (unsigned long long)stats.accepted);
    }
    tributary_publisher_free(publisher);
    tributary_free(client);
    return result;
}
