/* bad_disk.c - preloaded into a daemon: its syncs wait while the file $BAD_DISK.wait exists, last
 * for 20 ms while $BAD_DISK.slow exists, and fail while $BAD_DISK.fail exists. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int is_there(const char *suffix)
{
    char path[4096];
    const char *begin = getenv("BAD_DISK");

    snprintf(path, sizeof(path), "%s.%s", begin ? begin : "", suffix);
    return begin && access(path, F_OK) == 0;
}

static int sync_badly(void)
{
    while (is_there("wait"))
        usleep(1000);
    if (is_there("slow"))
        usleep(20000);
    if (!is_there("fail"))
        return 0; /* no test cuts the power */
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    (void)fd;
    return sync_badly();
}

int fdatasync(int fd)
{
    (void)fd;
    return sync_badly();
}
