/* unix_access.c - mode and group of socket files. The file is opened first (O_PATH), so group and
 * mode go to the same file, whatever happens to its name. */
#include "server/unix_access.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "unix:"
#define MAX_MODE 0777u
#define MAX_GROUP_BYTES 65536u /* of a group's entry with all its members */

bool unix_access_read_mode(struct unix_access *access, const char *text)
{
    char *end = NULL;
    const unsigned long mode = strtoul(text, &end, 8);

    if (*text < '0' || *text > '7' || *end != '\0' || mode > MAX_MODE ||
        (mode & DEFAULT_UNIX_MODE) != DEFAULT_UNIX_MODE)
        return false;
    access->mode = (uint32_t)mode;
    return true;
}

bool unix_access_read_group(struct unix_access *access, const char *text)
{
    char *end = NULL;
    char *entry = malloc(MAX_GROUP_BYTES);
    struct group group;
    struct group *found = NULL;
    unsigned long number = 0;

    if (entry && getgrnam_r(text, &group, entry, MAX_GROUP_BYTES, &found) == 0 && found) {
        access->group = found->gr_gid;
        access->has_group = true;
    }
    free(entry);
    if (found)
        return true;
    errno = 0;
    number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number >= UINT32_MAX)
        return false; /* the last number means "unchanged" to the system */
    access->group = (gid_t)number;
    access->has_group = true;
    return true;
}

bool unix_access_concerns(const char *address)
{
    return strncmp(address, PREFIX, strlen(PREFIX)) == 0;
}

static struct status failed(const char *what)
{
    return (struct status){.code = ERR_IO, .sys = errno, .what = what};
}

static struct status change(const struct unix_access *access, int fd)
{
    struct stat there;
    char path[64];

    if (fstat(fd, &there) != 0)
        return failed("looking at the socket file");
    if (!S_ISSOCK(there.st_mode))
        return (struct status){.code = ERR_IO, .sys = ENOTSOCK, .what = "looking at the socket file"};
    if (access->has_group && fchownat(fd, "", (uid_t)-1, access->group, AT_EMPTY_PATH) != 0)
        return failed("setting the group of the socket file");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fchmod() refuses an O_PATH descriptor */
    if (chmod(path, access->mode) != 0)
        return failed("setting the mode of the socket file");
    return STATUS_OK;
}

struct status unix_access_apply(const struct unix_access *access, const char *address)
{
    struct status status;
    int fd = -1;

    if (!unix_access_concerns(address) || (access->mode == DEFAULT_UNIX_MODE && !access->has_group))
        return STATUS_OK;
    fd = open(address + strlen(PREFIX), O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed("opening the socket file");
    status = change(access, fd);
    close(fd);
    return status;
}
