/* listener_fixture.c - see listener_fixture.h. */
#include "listener_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

struct settings ample_settings(void)
{
    struct settings settings = settings_defaults;

    settings.max_connections = 100;
    settings.local_peer_share_percent = 100;
    settings.spare_descriptors = 0;
    settings.preface_timeout_ns = 60 * NS_PER_S;
    settings.user_timeout_ns = 5 * NS_PER_S;
    return settings;
}

static struct loop *loop_with(const struct settings *settings)
{
    struct loop *loop;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    cr_assert_eq(loop_publish_settings(loop, settings), ERR_OK);
    return loop;
}

struct loop *ample_loop(void)
{
    struct settings settings = ample_settings();

    return loop_with(&settings);
}

void listener_fixture_connected(void *ctx, int fd)
{
    struct listener_fixture *fixture = ctx;

    cr_assert_eq(write(fixture->pipe[1], &fd, sizeof(fd)), (ssize_t)sizeof(fd));
}

void listener_fixture_open(struct listener_fixture *fixture, const struct settings *settings,
                           const char *address)
{
    const struct listener_port port = {.connected = listener_fixture_connected, .ctx = fixture};

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cr_assert_eq(pipe2(fixture->pipe, O_CLOEXEC), 0);
    fixture->loop = settings ? loop_with(settings) : ample_loop();
    cr_assert_eq(listener_new(fixture->loop, &port, &fixture->listener).code, ERR_OK);
    cr_assert_eq(listener_add(fixture->listener, address, 0).code, ERR_OK);
    cr_assert_eq(listener_start(fixture->listener).code, ERR_OK);
}

void listener_fixture_close(struct listener_fixture *fixture)
{
    listener_free(fixture->listener);
    loop_free(fixture->loop);
    close(fixture->pipe[0]);
    close(fixture->pipe[1]);
}

bool is_readable(int fd, int within_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, within_ms) == 1;
}

int listener_fixture_next(struct listener_fixture *fixture, int within_ms)
{
    int fd = -1;

    if (is_readable(fixture->pipe[0], within_ms))
        cr_assert_eq(read(fixture->pipe[0], &fd, sizeof(fd)), (ssize_t)sizeof(fd));
    return fd;
}

int dial_tcp(const struct listener_fixture *fixture)
{
    const char *text = listener_address(fixture->listener, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "connect: %s",
                 strerror(errno));
    return fd;
}

int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "connect: %s",
                 strerror(errno));
    return fd;
}

void send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

bool is_closed_by_peer(int fd)
{
    char byte;

    return is_readable(fd, DEADLINE_MS) && recv(fd, &byte, 1, 0) <= 0;
}

char *temporary_folder(void)
{
    static char folder[] = "/tmp/test_listener.XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

int64_t process_cpu_ns(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}
