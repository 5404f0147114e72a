/* poll.c - prints events from a loop of its own, which waits for events and for standard input at
 * the same time. An empty line, or the end of the input, ends it gently.
 *
 *   cc poll.c $(pkg-config --cflags --libs tributary) -o poll && ./poll [SERVER] */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <tributary/tributary.h>

/* Handles one item. False: it was the last one. */
static bool handle(const struct tributary_item *item)
{
    switch (item->kind) {
    case TRIBUTARY_ITEM_EVENT:
        printf("%.*s %llu: ", (int)item->event.source.size, (const char *)item->event.source.data,
               (unsigned long long)item->event.sequence);
        fwrite(item->event.event.data.data, 1, item->event.event.data.size, stdout);
        putchar('\n');
        break;
    case TRIBUTARY_ITEM_LOST:
        fprintf(stderr, "lost %llu events of %.*s: %s\n", (unsigned long long)item->lost.count,
                (int)item->lost.source.size, (const char *)item->lost.source.data,
                tributary_loss_name(item->lost.reason));
        break;
    case TRIBUTARY_ITEM_ENDED:
        fprintf(stderr, "the stream ended: %s %s\n", tributary_code_name(item->ended->code),
                item->ended->message);
        return false;
    default: /* states, progress and so on */
        break;
    }
    return true;
}

/* Takes what waits, and does not wait for more. False: the stream has ended. */
static bool take_all(struct tributary_reader *reader)
{
    const struct tributary_item *item = NULL;

    while (tributary_reader_next(reader, 0, &item) == TRIBUTARY_OK) {
        if (!handle(item))
            return false;
    }
    fflush(stdout);
    return true;
}

static void run(struct tributary_reader *reader)
{
    struct pollfd fds[2] = {{.fd = tributary_reader_fd(reader), .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    char input[256];

    while (poll(fds, 2, -1) >= 0) {
        if (fds[0].revents != 0 && !take_all(reader))
            return;
        if (fds[1].revents != 0) {
            const ssize_t size = read(STDIN_FILENO, input, sizeof(input));

            if (size <= 0 || input[0] == '\n') {
                tributary_subscriber_finish(tributary_reader_subscriber(reader), 0);
                fds[1].fd = -1; /* poll() leaves it out from now on */
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = argc > 1 ? argv[1] : NULL, .name = "example"};
    const struct tributary_subscriber_options subscription = {.name = "example-poll"};
    struct tributary *client = NULL;
    struct tributary_reader *reader = NULL;
    struct tributary_status status;

    if (tributary_connect(&options, &client, &status) == TRIBUTARY_OK &&
        tributary_reader_open(client, &subscription, NULL, &reader, &status) == TRIBUTARY_OK)
        run(reader);
    else
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    tributary_reader_free(reader);
    tributary_free(client);
    return status.code == TRIBUTARY_OK ? 0 : 1;
}
