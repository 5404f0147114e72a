/* place.h - the addresses that people write for a server: the one grammar of the daemon, the tool
 * and the client library.
 *
 *   HOST:PORT            an IPv4 address or a name
 *   [V6]:PORT            an IPv6 address, also with a zone: [fe80::1%eth0]:PORT
 *   HOST, [V6]           the same with PLACE_DEFAULT_PORT
 *   unix:PATH            a socket file
 *   unix-abstract:NAME   a unix socket without a file
 *
 * A host of digits and dots only is an IPv4 address: four numbers. So "127.1" and "7227" are
 * refused, and reach no other address than their writer means.
 *
 * Threads: any. The functions keep nothing, and ask no resolver. */
#ifndef TRIBUTARY_BASE_PLACE_H
#define TRIBUTARY_BASE_PLACE_H

#include <stdbool.h>

#include "base/base.h"

#define PLACE_DEFAULT_PORT 7227
/* Of a path and of an abstract name, by the size of sockaddr_un. */
#define PLACE_MAX_UNIX_BYTES 107u
#define PLACE_FAULT_CAPACITY 192u

enum place_kind {
    PLACE_IPV4,
    PLACE_IPV6,
    PLACE_NAME,    /* a host name; `localhost` is one */
    PLACE_UNIX,    /* a socket file */
    PLACE_ABSTRACT /* a unix socket without a file */
};

struct place {
    enum place_kind kind;
    uint16_t port;  /* 0 for unix sockets */
    char text[256]; /* the host without brackets, the path, or the abstract name */
    char zone[16];  /* of an IPv6 address: the name or number of an interface; mostly empty */
};

enum place_use {
    PLACE_CONNECT,
    PLACE_LISTEN, /* port 0 is allowed: any free port */
};

/* Reads an address. False: `fault` says what is wrong with it, with the bound, such as "port 1 to
 * 65535, not '70000'"; the caller names the field and the address. *place_out is unchanged then. */
bool place_parse(const char *text, enum place_use use, struct place *place_out,
                 char fault[PLACE_FAULT_CAPACITY]);

/* Writes the address in the form above that names all of it: with its port, where it has one. */
#define PLACE_TEXT_CAPACITY 288u
void place_text(const struct place *place, char text[PLACE_TEXT_CAPACITY]);

/* Whether only this machine can reach the place: a unix socket, a loopback address, `localhost`.
 * False for every other name. */
bool place_is_local(const struct place *place);

/* The forms above and what they mean, for help texts. The last one has the form NULL. */
struct place_form {
    const char *form, *meaning;
};
extern const struct place_form place_forms[];

#endif
