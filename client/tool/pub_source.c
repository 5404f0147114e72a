/* pub_source.c - reads lines from standard input, from a file as it grows, or from a command. */
#include "client/tool/pub_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/follow.h"
#include "client/tool/spawn.h"

#define BLOCK 65536
#define RECHECK_NS NS_PER_S /* for file systems without change notices, such as network ones */

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
        spawn_stop(&spawn);
        return result;
    }

    const int code = spawn_wait(&spawn);

    if (code != 0)
        fprintf(stderr, "tributary: the command ended with exit code %d\n", code);
    return code != 0 ? EXITS_ERROR : result;
}

static int follow_file(const struct source_params *params, struct lines *lines, struct stop *stop)
{
    struct follow follow;
    bool wanted = true;

    follow_open(&follow, params->follow, params->from_start ? UINT64_MAX : params->lines);
    if (follow.was_missing)
        fprintf(stderr, "tributary: %s is no file that can be read: waiting for it\n", params->follow);
    while (wanted && !stop_requested(stop)) {
        wanted = follow_read(&follow, lines);
        if (wanted && stop_wait(stop, follow.notify_fd, RECHECK_NS))
            follow_noticed(&follow);
    }
    follow_close(&follow);
    return EXITS_OK;
}

int source_run(const struct source_params *params, struct lines *lines, struct stop *stop)
{
    bool ended = false;
    int result = EXITS_OK;

    if (params->follow)
        result = follow_file(params, lines, stop);
    else if (params->exec)
        result = run_command(params->exec, lines, stop);
    else
        result = read_all(STDIN_FILENO, lines, stop, &ended);
    if (!lines->rest.broken)
        return result;
    fprintf(stderr, "tributary: out of memory within a line\n");
    return EXITS_ERROR;
}
