/* test_fd_write.c - writes wait for a reader only so long, on descriptors that block and on those
 * that do not. */
#include "base/fd_write.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static int ends[2];
static char block[4096];

static void open_pipe(int flags)
{
    cr_assert_eq(pipe2(ends, flags), 0);
}

/* Writes until the pipe is full, and returns how many blocks it took. */
static int fill(void)
{
    int count = 0;
    size_t done = 0;

    while (fd_write(ends[1], block, sizeof(block), 0, &done) == 0) {
        count++;
        done = 0;
    }
    cr_assert_eq(done, 0u, "a block that does not fit is not begun");
    return count;
}

static void check_full_pipe(int flags)
{
    size_t done = 0;
    int64_t began_ns;

    open_pipe(flags);
    cr_assert_gt(fill(), 0);
    began_ns = clock_mono_ns();
    errno = ENOENT;
    cr_assert_eq(fd_write(ends[1], "x", 1, 50, &done), EAGAIN);
    cr_assert_eq(errno, ENOENT);
    cr_assert_geq(clock_mono_ns() - began_ns, 49 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
    cr_assert_eq(read(ends[0], block, sizeof(block)), (ssize_t)sizeof(block));
    cr_assert_eq(fd_write(ends[1], "x", 1, 0, &done), 0);
    cr_assert_eq(done, 1u);
    cr_assert_eq(errno, ENOENT);
}

Test(fd_write, waits_only_so_long_where_the_descriptor_blocks)
{
    check_full_pipe(0);
}

Test(fd_write, waits_only_so_long_where_somebody_made_it_nonblocking)
{
    check_full_pipe(O_NONBLOCK);
}

Test(fd_write, leaves_the_flags_of_the_descriptor)
{
    size_t done = 0;

    open_pipe(0);
    cr_assert_eq(fd_write(ends[1], "x", 1, 0, &done), 0);
    cr_assert_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
}

Test(fd_write, says_that_the_reader_is_gone)
{
    size_t done = 0;

    signal(SIGPIPE, SIG_IGN);
    open_pipe(0);
    close(ends[0]);
    cr_assert_eq(fd_write(ends[1], "x", 1, 1000, &done), EPIPE);
    close(ends[1]);
    cr_assert_eq(fd_write(ends[1], "x", 1, 1000, &done), EBADF);
    cr_assert_eq(done, 0u);
}

Test(fd_write, goes_on_where_it_ended)
{
    static char text[1 << 20], got[sizeof(text)];
    int pair[2];
    size_t done = 0, size = 0;
    int error;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 1000);
    do {
        const size_t before = done;

        error = fd_write(pair[0], text, sizeof(text), 0, &done);
        cr_assert(error == 0 || (error == EAGAIN && done > before));
        while (size < done)
            size += (size_t)read(pair[1], got + size, done - size);
    } while (error);
    cr_assert_eq(done, sizeof(text));
    cr_assert_arr_eq(got, text, sizeof(text));
}
