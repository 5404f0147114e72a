/* unix_access.h - who may connect to the socket files of the daemon: their mode and their group.
 *
 * Threads: main. */
#ifndef TRIBUTARY_SERVER_UNIX_ACCESS_H
#define TRIBUTARY_SERVER_UNIX_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/status.h"

#define DEFAULT_UNIX_MODE 0600u

struct unix_access {
    uint32_t mode; /* from 0600 to 0777; its owner can always connect */
    bool has_group;
    gid_t group; /* with `has_group` */
};

/* Read the values of options. False: it is no such value, and the field is unchanged.
 *   mode   octal digits, such as 660 or 0660; the owner's 0600 must be in it
 *   group  the name of a group of this machine, or its number */
bool unix_access_read_mode(struct unix_access *access, const char *text);
bool unix_access_read_group(struct unix_access *access, const char *text);

/* Gives the socket file of `address`, which was bound with the mode 0600, its group and then its
 * mode. So nobody can connect in between who may not later. Does nothing for other addresses.
 *   ERR_IO  the system refused, or the file is no socket any more, see `sys` */
MUST_CHECK struct status unix_access_apply(const struct unix_access *access, const char *address);

/* Whether the address is a socket file. */
bool unix_access_concerns(const char *address);

#endif
