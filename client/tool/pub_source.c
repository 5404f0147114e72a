/* pub_source.c - reads lines from standard input, from files as they grow, or from a command. */
#include "client/tool/pub_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/follow_state.h"
#include "client/tool/spawn.h"

#define BLOCK 65536
#define MANY_FILES 10u
#define FILE_PAUSE_NS (100 * NS_PER_US) /* for each of them; 26 ms for 256 */

/* Reads until `fd` ends. *ended_out: it has ended. */
static int read_all(int fd, struct lines *lines, struct stop *stop, bool *ended_out)
{
    char block[BLOCK];

    *ended_out = false;
    while (!stop_requested(stop)) {
        if (!stop_wait(stop, fd, INT64_MAX))
            continue;

        const ssize_t size = read(fd, block, sizeof(block));

        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (size < 0) {
            fprintf(stderr, "tributary: reading: %s\n", strerror(errno));
            return EXITS_ERROR;
        }
        *ended_out = size == 0;
        if (size == 0 || !lines_add(lines, block, (size_t)size))
            break;
    }
    if (!*ended_out && lines_in_line(lines) && !lines->rest.broken)
        fprintf(stderr, "tributary: stopped within a line, whose beginning was published\n");
    lines_end(lines);
    return EXITS_OK;
}

static int run_command(const char *command, struct lines *lines, struct stop *stop)
{
    struct spawn spawn = {0};
    const int error = spawn_start(&spawn, command);
    bool ended = false;
    int result = EXITS_OK;

    if (error != 0) {
        fprintf(stderr, "tributary: %s: %s\n", command, strerror(error));
        return EXITS_ERROR;
    }
    result = read_all(spawn.fd, lines, stop, &ended);
    if (!ended) {
        spawn_stop(&spawn, NS_PER_S);
        return result;
    }

    const int code = spawn_wait(&spawn);

    if (code != 0)
        fprintf(stderr, "tributary: the command ended with exit code %d\n", code);
    return code != 0 ? EXITS_ERROR : result;
}

static void on_notice(void *ctx, const char *path, const char *text)
{
    (void)ctx;
    fprintf(stderr, "tributary: %s: %s\n", path, text);
}

/* Writes what the server has confirmed, and notes how far the files were read. */
static void save(struct follow_state *state, const struct follow_set *set,
                 const struct source_progress *progress, bool at_once)
{
    if (state->pending && progress->is_done(progress->ctx))
        follow_state_write(state, at_once);
    if (!state->pending) {
        follow_state_note(state, set);
        progress->mark(progress->ctx);
    }
}

/* Everything that was accepted is done, or given up. What is done is written. */
static int save_last(struct follow_state *state, const struct follow_set *set,
                     const struct source_progress *progress)
{
    progress->flush(progress->ctx);

    save(state, set, progress, true); /* the snapshot that was pending */
    save(state, set, progress, true);
    return state->failed ? EXITS_ERROR : EXITS_OK;
}

static int follow_files(const struct source_params *params, struct lines *lines, struct stop *stop,
                        const struct source_progress *progress)
{
    const struct follow_port port = {
        .line = lines->line, .notice = on_notice, .ctx = lines->ctx, .max_line_bytes = lines->max_bytes};
    struct follow_set *set = calloc(1, sizeof(*set));
    struct follow_state *state = calloc(1, sizeof(*state));
    enum follow_outcome outcome = FOLLOW_MORE;
    int result = EXITS_OK;
    char fault[512];
    bool is_resumed = false;

    if (!set || !state) {
        fprintf(stderr, "tributary: out of memory\n");
        free(set);
        free(state);
        return EXITS_ERROR;
    }
    follow_set_init(set, &port, params->follow.items, params->follow.count);
    if (params->state && !follow_state_open(state, params->state, fault)) {
        fprintf(stderr, "tributary: --state %s: %s\n", params->state, fault);
        result = EXITS_ERROR;
    } else {
        is_resumed = state->saved;
        follow_set_resume(set, state->saved, state->saved_count, state->closed, state->closed_count);
        follow_set_open(set, params->from_start || is_resumed ? UINT64_MAX : params->lines);
    }
    while (result == EXITS_OK && outcome != FOLLOW_DONE && !stop_requested(stop)) {
        outcome = follow_set_read(set);
        if (params->state)
            save(state, set, progress, false);
        if (outcome == FOLLOW_QUIET && stop_wait(stop, set->notify_fd, follow_set_wait_ns(set))) {
            follow_set_noticed(set);
            if (set->count > MANY_FILES) /* a look at all of them takes time: not for each change */
                stop_wait(stop, -1, (int64_t)set->count * FILE_PAUSE_NS);
        }
    }
    if (params->state && result == EXITS_OK)
        result = save_last(state, set, progress);
    if (params->state)
        follow_state_close(state);
    follow_set_fini(set);
    free(set);
    free(state);
    return result;
}

int source_run(const struct source_params *params, struct lines *lines, struct stop *stop,
               const struct source_progress *progress)
{
    bool ended = false;
    int result = EXITS_OK;

    if (params->follow.count > 0)
        result = follow_files(params, lines, stop, progress);
    else if (params->exec)
        result = run_command(params->exec, lines, stop);
    else
        result = read_all(STDIN_FILENO, lines, stop, &ended);
    if (!lines->rest.broken)
        return result;
    fprintf(stderr, "tributary: out of memory within a line\n");
    return EXITS_ERROR;
}
