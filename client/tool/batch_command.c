/* batch_command.c - see batch_command.h.
 *
 * A kept process that was not in step is never used again: one that failed to answer, printed more
 * than its line, printed something while it had no batch, or closed its input. */
#include "client/tool/batch_command.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/spawn.h"

#define CHECK_NS (100 * NS_PER_MS) /* how often a call asks whether it is unwanted */
/* From SIGTERM to SIGKILL. The server ends a worker that answers an abort too late. */
#define GRACE_NS (300 * NS_PER_MS)
/* How long kept processes have at the end, all together, when they see that their input is over. */
#define END_NS NS_PER_S
#define READ_BYTES ((size_t)64 << 10)

struct process {
    struct spawn spawn; /* pid 0: none */
    int input;          /* -1: there is none */
    bool is_busy;
};

struct batch_commands {
    const char *command;
    bool is_kept;
    unsigned max;
    pthread_mutex_t lock; /* of is_busy */
    struct process processes[];
};

enum tributary_code batch_status(struct tributary_status *status, enum tributary_code code,
                                 const char *reason, const char *format, ...)
{
    va_list arguments;

    *status = (struct tributary_status){.code = code};
    snprintf(status->reason, sizeof(status->reason), "%s", reason);
    va_start(arguments, format);
    vsnprintf(status->message, sizeof(status->message), format, arguments);
    va_end(arguments);
    return code;
}

struct batch_commands *batch_commands_new(const char *command, bool is_kept, unsigned max)
{
    struct batch_commands *commands = calloc(1, sizeof(*commands) + max * sizeof(commands->processes[0]));

    if (!commands)
        return NULL;
    commands->command = command;
    commands->is_kept = is_kept;
    commands->max = max;
    pthread_mutex_init(&commands->lock, NULL);
    for (unsigned i = 0; i < max; i++)
        commands->processes[i].input = -1;
    return commands;
}

static void close_input(struct process *process)
{
    if (process->input >= 0)
        close(process->input);
    process->input = -1;
}

static void stop(struct process *process)
{
    close_input(process);
    spawn_stop(&process->spawn, GRACE_NS);
}

/* ---- reading and writing ---- */

/* A call on its way. */
struct exchange {
    struct batch_commands *commands;
    const struct batch_call *call;
    struct process *process;
    struct buf *output;
    size_t begin, written;
    struct tributary_status *status;
};

static enum tributary_code no_memory(struct exchange *exchange)
{
    return batch_status(exchange->status, TRIBUTARY_RESOURCE_EXHAUSTED, "", "the answer: out of memory");
}

static enum tributary_code deaf(struct exchange *exchange)
{
    return batch_status(exchange->status, TRIBUTARY_UNKNOWN, "COMMAND_FAILED",
                        "the command ended, or closed its input, before it had read its batch");
}

/* Writes what the process takes. */
static enum tributary_code feed(struct exchange *exchange)
{
    struct process *process = exchange->process;
    const struct bytes input = exchange->call->input;
    const ssize_t size =
        write(process->input, input.data + exchange->written, input.size - exchange->written);

    if (size > 0)
        exchange->written += (size_t)size;
    return size < 0 && errno != EAGAIN && errno != EINTR ? deaf(exchange) : TRIBUTARY_OK;
}

/* Reads what is there. *is_over_out: it has closed its output. */
static enum tributary_code drain(struct exchange *exchange, bool *is_over_out)
{
    struct buf *output = exchange->output;

    for (;;) {
        uint8_t *bytes = buf_extend(output, READ_BYTES);

        if (!bytes)
            return no_memory(exchange);
        const ssize_t size = read(exchange->process->spawn.fd, bytes, READ_BYTES);
        output->size -= READ_BYTES - (size_t)MAX_OF(size, 0);
        if (size <= 0) {
            *is_over_out = size == 0 || (errno != EAGAIN && errno != EINTR);
            return TRIBUTARY_OK;
        }
        if (output->size - exchange->begin > MAX_ANSWER_BYTES)
            return batch_status(exchange->status, TRIBUTARY_RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE",
                                "the command printed more than %zu bytes", MAX_ANSWER_BYTES);
    }
}

/* Waits until something can be read or written, at most CHECK_NS. An error ends the call. */
static enum tributary_code wait_for(struct exchange *exchange, bool *is_readable_out)
{
    const struct batch_call *call = exchange->call;
    const int64_t left_ns = call->deadline_ns - clock_mono_ns();
    const bool writes = exchange->process->input >= 0 && exchange->written < call->input.size;
    struct pollfd fds[2] = {{.fd = exchange->process->spawn.fd, .events = POLLIN},
                            {.fd = writes ? exchange->process->input : -1, .events = POLLOUT}};

    if (left_ns <= 0)
        return batch_status(exchange->status, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE",
                            "the command did not answer in time, and was stopped");
    if (call->is_unwanted && call->is_unwanted(call->ctx))
        return batch_status(exchange->status, TRIBUTARY_CANCELLED, "COMMAND_STOPPED",
                            "the command was stopped: its batch is not wanted any more");
    (void)poll(fds, 2, (int)((MIN_OF(left_ns, CHECK_NS) + NS_PER_MS - 1) / NS_PER_MS));
    *is_readable_out = fds[0].revents != 0;
    return fds[1].revents != 0 ? feed(exchange) : TRIBUTARY_OK;
}

static enum tributary_code failed(struct tributary_status *status, int how)
{
    if (WIFSIGNALED(how))
        return batch_status(status, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "the command was ended by signal %d",
                            WTERMSIG(how));
    return batch_status(status, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "the command ended with exit code %d",
                        WEXITSTATUS(how));
}

/* ---- a process for each batch ---- */

/* Waits for the end of a process that has closed its output. */
static enum tributary_code await_end(struct exchange *exchange, int *how_out)
{
    int64_t pause_ns = NS_PER_MS / 10;

    while (!spawn_reap(&exchange->process->spawn, how_out)) {
        const struct timespec pause = {.tv_nsec = pause_ns};
        const struct batch_call *call = exchange->call;

        if (clock_mono_ns() >= call->deadline_ns)
            return batch_status(exchange->status, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE",
                                "the command closed its output, did not end in time, and was stopped");
        if (call->is_unwanted && call->is_unwanted(call->ctx))
            return batch_status(exchange->status, TRIBUTARY_CANCELLED, "COMMAND_STOPPED",
                                "the command was stopped: its batch is not wanted any more");
        nanosleep(&pause, NULL);
        pause_ns = MIN_OF(2 * pause_ns, 5 * NS_PER_MS);
    }
    return TRIBUTARY_OK;
}

/* A process that has ended may have left another one behind that has its output open. */
static enum tributary_code converse(struct exchange *exchange, int *how_out)
{
    enum tributary_code code = TRIBUTARY_OK;
    bool is_over = false, has_ended = false, is_readable = false;

    while (code == TRIBUTARY_OK && !is_over) {
        code = wait_for(exchange, &is_readable);
        if (code == TRIBUTARY_OK && !is_readable)
            has_ended = spawn_reap(&exchange->process->spawn, how_out);
        if (code == TRIBUTARY_OK && (is_readable || has_ended))
            code = drain(exchange, &is_over);
        is_over = is_over || has_ended;
    }
    return code == TRIBUTARY_OK && !has_ended ? await_end(exchange, how_out) : code;
}

static enum tributary_code run_once(struct exchange *exchange)
{
    struct process process = {.input = -1};
    const struct bytes input = exchange->call->input;
    const int error = spawn_start_with(&process.spawn, exchange->commands->command, input.data, input.size);
    const int fd = process.spawn.fd;
    int how = 0;

    if (error != 0)
        return batch_status(exchange->status, TRIBUTARY_INTERNAL, "COMMAND_NOT_STARTED",
                            "the command cannot be started: %s", strerror(error));
    exchange->process = &process;
    exchange->written = input.size;
    enum tributary_code code = converse(exchange, &how);
    exchange->process = NULL;
    if (process.spawn.pid != 0)
        spawn_stop(&process.spawn, GRACE_NS); /* it closes the output */
    else
        close(fd);
    return code == TRIBUTARY_OK && how != 0 ? failed(exchange->status, how) : code;
}

/* ---- processes that are kept ---- */

static struct process *acquire(struct batch_commands *commands)
{
    struct process *found = NULL;

    pthread_mutex_lock(&commands->lock);
    for (unsigned i = 0; i < commands->max; i++) {
        struct process *process = &commands->processes[i];

        if (!process->is_busy && (!found || (found->spawn.pid == 0 && process->spawn.pid != 0)))
            found = process;
    }
    if (found)
        found->is_busy = true;
    pthread_mutex_unlock(&commands->lock);
    CHECK(found);
    return found;
}

static void release(struct batch_commands *commands, struct process *process)
{
    pthread_mutex_lock(&commands->lock);
    process->is_busy = false;
    pthread_mutex_unlock(&commands->lock);
}

/* Between two batches it has nothing to print, does not end, and reads (POLLERR: nobody does). */
static bool is_in_step(const struct process *process)
{
    struct pollfd fds[2] = {{.fd = process->spawn.fd, .events = POLLIN}, {.fd = process->input}};

    return process->spawn.pid != 0 && poll(fds, 2, 0) == 0;
}

/* Whether nobody will read what is still in the pipe. Its answer may be to a batch before. */
static bool is_deaf(const struct process *process)
{
    struct pollfd fd = {.fd = process->input};
    int unread = 0;

    return poll(&fd, 1, 0) > 0 && ioctl(process->input, FIONREAD, &unread) == 0 && unread > 0;
}

static enum tributary_code read_line(struct exchange *exchange)
{
    struct buf *output = exchange->output;
    size_t seen = exchange->begin;
    bool is_readable = false, is_over = false;

    for (;;) {
        enum tributary_code code = wait_for(exchange, &is_readable);

        if (code == TRIBUTARY_OK && is_readable)
            code = drain(exchange, &is_over);
        if (code != TRIBUTARY_OK)
            return code;
        const uint8_t *newline =
            output->size > seen ? memchr(output->data + seen, '\n', output->size - seen) : NULL;
        seen = output->size;
        if (newline && newline + 1 == output->data + output->size)
            return TRIBUTARY_OK;
        if (newline)
            return batch_status(exchange->status, TRIBUTARY_INTERNAL, "BAD_ANSWER",
                                "the command printed more than one line for a batch");
        if (is_over)
            return batch_status(exchange->status, TRIBUTARY_UNKNOWN, "COMMAND_FAILED",
                                "the command ended, or closed its output, without an answer");
    }
}

static enum tributary_code run_kept(struct exchange *exchange)
{
    struct process *process = acquire(exchange->commands);
    enum tributary_code code = TRIBUTARY_OK;

    if (!is_in_step(process)) {
        stop(process);
        const int error = spawn_start_piped(&process->spawn, exchange->commands->command, &process->input);
        if (error != 0)
            code = batch_status(exchange->status, TRIBUTARY_INTERNAL, "COMMAND_NOT_STARTED",
                                "the command cannot be started: %s", strerror(error));
    }
    exchange->process = process;
    if (code == TRIBUTARY_OK)
        code = read_line(exchange);
    if (code == TRIBUTARY_OK && is_deaf(process))
        code = deaf(exchange);
    /* what it has not read of this batch would be the beginning of the next one */
    if (code != TRIBUTARY_OK || exchange->written < exchange->call->input.size)
        stop(process);
    release(exchange->commands, process);
    return code;
}

enum tributary_code batch_command_run(struct batch_commands *commands, const struct batch_call *call,
                                      struct buf *output, struct tributary_status *status)
{
    struct exchange exchange = {
        .commands = commands, .call = call, .output = output, .begin = output->size, .status = status};

    return commands->is_kept ? run_kept(&exchange) : run_once(&exchange);
}

/* Waits until all processes have ended, at most until `until_ns`. */
static void await_all(const struct batch_commands *commands, int64_t until_ns)
{
    const struct timespec pause = {.tv_nsec = 5 * NS_PER_MS};

    for (unsigned i = 0; i < commands->max; i++)
        while (commands->processes[i].spawn.pid != 0 && !spawn_has_ended(&commands->processes[i].spawn)) {
            if (clock_mono_ns() >= until_ns)
                return;
            nanosleep(&pause, NULL);
        }
}

void batch_commands_free(struct batch_commands *commands)
{
    if (!commands)
        return;
    for (unsigned i = 0; i < commands->max; i++)
        close_input(&commands->processes[i]);
    await_all(commands, clock_from_now_ns(END_NS));
    for (unsigned i = 0; i < commands->max; i++)
        spawn_signal(&commands->processes[i].spawn, SIGTERM);
    await_all(commands, clock_from_now_ns(GRACE_NS));
    for (unsigned i = 0; i < commands->max; i++)
        spawn_stop(&commands->processes[i].spawn, 0);
    pthread_mutex_destroy(&commands->lock);
    free(commands);
}
