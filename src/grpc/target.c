/* target.c - see target.h. */
#include "grpc/target.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TARGET_CAPACITY > sizeof("unix-abstract:") + (size_t)3 * PLACE_MAX_UNIX_BYTES, "a path fits");
_Static_assert(TARGET_CAPACITY > sizeof("dns:///") + PLACE_TEXT_CAPACITY, "a host fits");

/* Writes "SCHEME:PATH" with the bytes of the path escaped that a URI does not allow there. */
static void write_escaped(const char *scheme, const char *path, char *target)
{
    size_t size = (size_t)snprintf(target, TARGET_CAPACITY, "%s:", scheme);

    for (; *path != '\0'; path++) {
        const bool is_plain = isalnum((unsigned char)*path) || strchr("-._~/", *path);

        size += (size_t)snprintf(target + size, TARGET_CAPACITY - size, is_plain ? "%c" : "%%%02X",
                                 (unsigned char)*path);
    }
}

void target_write(const struct place *place, char target[TARGET_CAPACITY])
{
    const char *path = place->text;

    switch (place->kind) {
    case PLACE_UNIX:
        while (path[0] == '/' && path[1] == '/') /* "//" would begin the authority of a URI */
            path++;
        write_escaped("unix", path, target);
        break;
    case PLACE_ABSTRACT:
        write_escaped("unix-abstract", path, target);
        break;
    case PLACE_NAME: /* a name alone could be taken for a scheme */
        memcpy(target, "dns:///", sizeof("dns:///"));
        place_text(place, target + strlen(target));
        break;
    case PLACE_IPV4:
    case PLACE_IPV6:
        place_text(place, target);
        break;
    }
}
