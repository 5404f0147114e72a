/* visits.c - counts visits for each user over a server: a worker that keeps the counts, and a
 * runner that sends visits. Each result is the count.
 *
 *   visits work [ADDRESS]       works until it is interrupted
 *   visits USER [ADDRESS]       one visit */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tributary/tributary.h>

static void file_of(struct tributary_worker_batch *batch, char *name, size_t capacity)
{
    const struct tributary_bytes key = tributary_worker_batch_key(batch);

    snprintf(name, capacity, "%.*s.visits", (int)key.size, (const char *)key.data);
}

static enum tributary_code load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                uint64_t *generation_out, struct tributary_status *status)
{
    long *visits = calloc(1, sizeof(*visits));
    char name[300];
    FILE *file;

    (void)ctx, (void)generation_out, (void)status;
    if (!visits)
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    file_of(batch, name, sizeof(name));
    file = fopen(name, "r");
    if (file) { /* else this is the user's first visit */
        if (fscanf(file, "%ld", visits) != 1)
            *visits = 0;
        fclose(file);
    }
    *resource_out = visits;
    return TRIBUTARY_OK;
}

static enum tributary_code visit(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                 const struct tributary_worker_operation *operation,
                                 struct tributary_status *status)
{
    char text[32];

    (void)ctx, (void)status;
    snprintf(text, sizeof(text), "%ld", ++*(long *)resource);
    return tributary_worker_set_result(batch, operation, tributary_text(text));
}

static enum tributary_code save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                const struct tributary_worker_operation *const *operations, size_t count,
                                struct tributary_status *status)
{
    char name[300];
    FILE *file;

    (void)ctx, (void)operations, (void)count;
    file_of(batch, name, sizeof(name));
    file = fopen(name, "w");
    if (!file || fprintf(file, "%ld\n", *(long *)resource) < 0 || fclose(file) != 0) {
        snprintf(status->message, sizeof(status->message), "%s cannot be written", name);
        return TRIBUTARY_INTERNAL;
    }
    return TRIBUTARY_OK;
}

static void free_visits(void *ctx, void *resource)
{
    (void)ctx;
    free(resource);
}

static void on_welcomed(void *ctx, const char *worker)
{
    (void)ctx;
    printf("working as %s\n", worker);
    fflush(stdout);
}

static int work(struct tributary *client)
{
    const struct tributary_worker_options options = {.processor = "visits",
                                                     .load = load,
                                                     .operate = visit,
                                                     .save = save,
                                                     .free = free_visits,
                                                     .welcomed = on_welcomed};
    struct tributary_worker *worker = NULL;
    struct tributary_status status;
    sigset_t signals;
    int signal_number = 0;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (tributary_worker_new(client, &options, &worker, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s\n", status.message);
        return 1;
    }
    sigwait(&signals, &signal_number);
    tributary_worker_finish(worker, 0); /* batches that have begun are saved */
    if (tributary_worker_wait(worker, TRIBUTARY_FOREVER, &status) != TRIBUTARY_OK)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    tributary_worker_free(worker);
    return status.code == TRIBUTARY_OK ? 0 : 1;
}

static int run(struct tributary *client, const char *user)
{
    const struct tributary_runner_options options = {.processor = "visits"};
    const struct tributary_runner_operation operation = {.key = tributary_text(user)};
    struct tributary_runner *runner = NULL;
    struct tributary_runner_result result;

    if (tributary_runner_new(client, &options, &runner, &result.status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s\n", result.status.message);
        return 1;
    }
    tributary_runner_run(runner, &operation, &result);
    if (result.status.code == TRIBUTARY_OK)
        printf("%s: visit %.*s\n", user, (int)result.data.size, (const char *)result.data.data);
    else
        fprintf(stderr, "%s: %s%s\n", tributary_code_name(result.status.code), result.status.message,
                result.may_have_run ? "; it may have run" : "");
    tributary_runner_result_free(&result);
    tributary_runner_free(runner);
    return result.status.code == TRIBUTARY_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = argc > 2 ? argv[2] : NULL};
    struct tributary *client = NULL;
    struct tributary_status status;
    int result;

    if (argc < 2) {
        fprintf(stderr, "usage: visits work|USER [ADDRESS]\n");
        return 2;
    }
    if (tributary_connect(&options, &client, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s\n", status.message);
        return 1;
    }
    result = strcmp(argv[1], "work") == 0 ? work(client) : run(client, argv[1]);
    tributary_free(client);
    return result;
}
