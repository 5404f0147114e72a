/* answer.c - a PER_CONSUMER session. It counts to the number in each consumer's request.
 *
 *   cc answer.c $(pkg-config --cflags --libs tributary) -o answer && ./answer
 *   tributary sub --request 3 --until ended count */
#include <stdio.h>
#include <stdlib.h>

#include <tributary/tributary.h>

/* This runs on the client thread. Long work belongs on a thread of its own, which may emit, too. */
static void on_start(void *ctx, const struct tributary_activation *activation)
{
    struct tributary_session **session = ctx;
    char text[16];

    snprintf(text, sizeof(text), "%.*s", (int)activation->request.size,
             (const char *)activation->request.data);

    const int max = atoi(text);
    enum tributary_code code = max > 0 ? TRIBUTARY_OK : TRIBUTARY_INVALID_ARGUMENT;

    for (int i = 1; i <= max && code == TRIBUTARY_OK; i++) {
        const int size = snprintf(text, sizeof(text), "%d", i);
        const struct tributary_event event = {.content_type = tributary_text("text/plain"),
                                              .data = {text, (size_t)size}};

        code = tributary_session_emit(*session, activation->activation, &event);
    }
    tributary_session_end(*session, activation->activation, code,
                          code == TRIBUTARY_OK ? NULL : "cannot count so far");
}

static void on_stop(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano)
{
    (void)ctx;
    fprintf(stderr, "activation %llu is not wanted any more: %s\n", (unsigned long long)activation, reason);
    (void)deadline_unix_nano; /* on_start() ends every activation, so there is nothing to end here */
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = argc > 1 ? argv[1] : NULL};
    const struct tributary_session_options registration = {
        .name = "count", .mode = TRIBUTARY_MODE_PER_CONSUMER, .when_full = TRIBUTARY_WHEN_FULL_FAIL};
    struct tributary *client = NULL;
    struct tributary_session *session = NULL;
    const struct tributary_session_callbacks callbacks = {
        .start = on_start, .stop = on_stop, .ctx = &session};
    struct tributary_status status;

    if (tributary_connect(&options, &client, &status) != TRIBUTARY_OK ||
        tributary_register(client, &registration, &callbacks, &session, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
        return 1;
    }
    /* Runs until the session is replaced, removed or refused. */
    tributary_session_wait(session, TRIBUTARY_FOREVER, &status);
    fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    tributary_session_free(session);
    tributary_free(client);
    return 1;
}
