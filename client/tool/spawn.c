/* spawn.c - starts commands with posix_spawn(), never fork(): a child must not inherit our threads
 * and descriptors. */
#include "client/tool/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_NS NS_PER_S

extern char **environ;

/* Sets what the child gets: signals, a process group, and its standard input and output. `input`
 * -1: an empty standard input. Returns 0, or an errno. */
static int prepare(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions, int input, int output)
{
    sigset_t none;
    sigset_t default_signals;
    int error = 0;

    sigemptyset(&none);
    sigemptyset(&default_signals);
    sigaddset(&default_signals, SIGPIPE);
    sigaddset(&default_signals, SIGINT);
    sigaddset(&default_signals, SIGTERM);
    error = posix_spawnattr_setflags(attributes,
                                     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &default_signals);
    if (error == 0 && input < 0)
        error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0 && input >= 0)
        error = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return error;
}

static int start(struct spawn *spawn, const char *command, int input)
{
    const char *const words[] = {"sh", "-c", command, NULL};
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int ends[2];
    int error = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    error = prepare(&attributes, &actions, input, ends[1]);
    if (error == 0)
        error = posix_spawn(&spawn->pid, "/bin/sh", &actions, &attributes, (char *const *)(uintptr_t)words,
                            environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        spawn->pid = 0;
        return error;
    }
    spawn->fd = ends[0];
    fcntl(spawn->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

int spawn_start(struct spawn *spawn, const char *command)
{
    return start(spawn, command, -1);
}

/* Makes a file without a name that holds the bytes, so that the command may read them at any speed.
 * -1: errno says why. */
static int file_of(const void *bytes, size_t size)
{
    const int fd = memfd_create("request", MFD_CLOEXEC);
    size_t done = 0;

    while (fd >= 0 && done < size) {
        const ssize_t written = pwrite(fd, (const char *)bytes + done, size - done, (off_t)done);

        if (written < 0 && errno != EINTR) {
            const int error = errno;

            close(fd);
            errno = error;
            return -1;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return fd;
}

int spawn_start_with(struct spawn *spawn, const char *command, const void *input, size_t size)
{
    const int fd = file_of(input, size);
    int error = 0;

    if (fd < 0)
        return errno;
    error = start(spawn, command, fd);
    close(fd);
    return error;
}

int spawn_start_piped(struct spawn *spawn, const char *command, int *input_out)
{
    int ends[2];
    int error = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    error = start(spawn, command, ends[0]);
    close(ends[0]);
    if (error != 0) {
        close(ends[1]);
        return error;
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    *input_out = ends[1];
    return 0;
}

void spawn_signal(const struct spawn *spawn, int signal)
{
    if (spawn->pid > 0)
        kill(-spawn->pid, signal);
}

/* The command stays a zombie: its number remains that of its process group. */
bool spawn_has_ended(const struct spawn *spawn)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)spawn->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* After it the number may belong to another group. */
static int collect(struct spawn *spawn)
{
    int how = 0;

    while (waitpid(spawn->pid, &how, 0) < 0 && errno == EINTR)
        continue;
    spawn->pid = 0;
    return how;
}

bool spawn_reap(struct spawn *spawn, int *status_out)
{
    if (spawn->pid == 0 || !spawn_has_ended(spawn))
        return false;
    kill(-spawn->pid, SIGKILL);
    *status_out = collect(spawn);
    return true;
}

/* Waits until `until_ns`. True: the command has ended. */
static bool await_end(const struct spawn *spawn, int64_t until_ns)
{
    const struct timespec pause = {.tv_nsec = 5 * NS_PER_MS};

    while (!spawn_has_ended(spawn)) {
        if (clock_mono_ns() >= until_ns)
            return false;
        nanosleep(&pause, NULL); /* not every kernel that we support has a descriptor for a child's end */
    }
    return true;
}

/* Children of the command may ignore SIGTERM, where it has not. */
static int end(struct spawn *spawn, int64_t grace_ns)
{
    kill(-spawn->pid, SIGTERM);
    (void)await_end(spawn, clock_from_now_ns(grace_ns));
    kill(-spawn->pid, SIGKILL);
    return collect(spawn);
}

static void reset(struct spawn *spawn)
{
    close(spawn->fd);
    *spawn = (struct spawn){0};
}

int spawn_wait(struct spawn *spawn)
{
    const bool is_over = await_end(spawn, clock_from_now_ns(WAIT_NS));
    const int how = is_over ? collect(spawn) : end(spawn, WAIT_NS);

    reset(spawn);
    return WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}

void spawn_stop(struct spawn *spawn, int64_t grace_ns)
{
    if (spawn->pid == 0)
        return;
    (void)end(spawn, grace_ns);
    reset(spawn);
}
