/* address.c - parsing, binding and printing of addresses. */
#include "server/wire/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/place.h"

#define BACKLOG 1024
#define UNIX_PREFIX "unix:"
#define ABSTRACT_PREFIX "unix-abstract:"

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage largest;
};

static struct status failed(const char *what)
{
    return (struct status){.code = ERR_IO, .sys = errno, .what = what};
}

static struct status malformed(const char *what)
{
    return (struct status){.code = ERR_INVALID, .what = what};
}

/* Writes the socket address of a literal address or of `localhost`. Returns its size; 0: it is
 * another name, or the zone of an IPv6 address is no interface of this machine. */
static socklen_t place_literal(const struct place *place, union any_address *address)
{
    memset(address, 0, sizeof(*address));
    if (place->kind == PLACE_IPV6 && inet_pton(AF_INET6, place->text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(place->port);
        address->v6.sin6_scope_id = place->zone[0] != '\0' ? if_nametoindex(place->zone) : 0;
        return place->zone[0] != '\0' && address->v6.sin6_scope_id == 0 ? 0 : sizeof(address->v6);
    }

    const char *host = place_is_local(place) && place->kind == PLACE_NAME ? "127.0.0.1" : place->text;

    if (place->kind != PLACE_IPV6 && inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(place->port);
        return sizeof(address->v4);
    }
    return 0;
}

/* The path of a socket file's address; NULL: an address of another kind. */
static const char *unix_path(const char *text)
{
    return strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0 ? text + strlen(UNIX_PREFIX) : NULL;
}

bool address_is_local(const char *text)
{
    char fault[PLACE_FAULT_CAPACITY];
    struct place place;

    return place_parse(text, PLACE_LISTEN, &place, fault) && place_is_local(&place);
}

/* Removes an old socket file that nobody listens at any more. A live socket file, and a file that
 * is no socket, stay and are an error. */
static struct status remove_stale_file(const union any_address *address)
{
    struct stat there;
    int probe, answer;

    if (lstat(address->local.sun_path, &there) != 0)
        return errno == ENOENT ? STATUS_OK : failed("looking for an old socket file");
    if (!S_ISSOCK(there.st_mode))
        return (struct status){
            .code = ERR_IO, .sys = EEXIST, .what = "something that is no socket is at this path"};
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return failed("opening a socket");
    answer = connect(probe, &address->any, sizeof(address->local)) == 0 ? 0 : errno;
    close(probe);
    /* Only ECONNREFUSED proves that nobody listens. EAGAIN, a full backlog, is a sign of life. */
    if (answer != ECONNREFUSED)
        return (struct status){.code = ERR_IO, .sys = EADDRINUSE, .what = "a server listens at this path"};
    if (unlink(address->local.sun_path) != 0 && errno != ENOENT)
        return failed("removing an old socket file");
    return STATUS_OK;
}

static struct status bind_and_listen(const union any_address *address, socklen_t size, int *fd_out)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    struct status status;

    if (fd < 0)
        return failed("opening a socket");
    if (address->any.sa_family == AF_UNIX) {
        /* The mode of an unbound socket becomes the mode of its file. So there is no moment in
         * which other users could connect. */
        if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) {
            status = failed("setting the socket's mode");
            goto refused;
        }
    } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
        status = failed("setting a socket option");
        goto refused;
    }
    if (bind(fd, &address->any, size) != 0) {
        status = failed("binding the address");
        goto refused;
    }
    if (listen(fd, BACKLOG) != 0) {
        status = failed("listening");
        goto refused;
    }
    *fd_out = fd;
    return STATUS_OK;
refused:
    close(fd);
    return status;
}

static struct status listen_unix(const char *path, int *fd_out)
{
    union any_address address = {.local = {.sun_family = AF_UNIX}};
    struct status status;

    memcpy(address.local.sun_path, path, strlen(path) + 1);
    status = remove_stale_file(&address);
    return status.code != ERR_OK ? status : bind_and_listen(&address, sizeof(address.local), fd_out);
}

/* The name of an abstract socket follows a NUL, and ends with the socket address. */
static struct status listen_abstract(const char *name, int *fd_out)
{
    union any_address address = {.local = {.sun_family = AF_UNIX}};
    const size_t size = strlen(name);

    memcpy(address.local.sun_path + 1, name, size);
    return bind_and_listen(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size), fd_out);
}

/* Listens at the first address of a name that can be bound. */
static struct status listen_name(const struct place *place, int *fd_out)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct status status = {.code = ERR_INVALID, .what = "the name is not known"};
    struct addrinfo *found = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", place->port);
    if (getaddrinfo(place->text, port, &hints, &found) != 0)
        return status;
    for (const struct addrinfo *one = found; one && status.code != ERR_OK; one = one->ai_next) {
        union any_address address;

        if (one->ai_addrlen > sizeof(address))
            continue;
        memcpy(&address, one->ai_addr, one->ai_addrlen);
        status = bind_and_listen(&address, one->ai_addrlen, fd_out);
    }
    freeaddrinfo(found);
    return status;
}

struct status address_listen(const char *text, int *fd_out)
{
    char fault[PLACE_FAULT_CAPACITY];
    union any_address address;
    struct place place;
    socklen_t size;

    if (!place_parse(text, PLACE_LISTEN, &place, fault))
        return malformed("an address is HOST:PORT, [V6]:PORT, unix:PATH or unix-abstract:NAME");
    if (place.kind == PLACE_UNIX)
        return listen_unix(place.text, fd_out);
    if (place.kind == PLACE_ABSTRACT)
        return listen_abstract(place.text, fd_out);
    size = place_literal(&place, &address);
    if (size > 0)
        return bind_and_listen(&address, size, fd_out);
    if (place.kind == PLACE_IPV6)
        return malformed("the zone behind '%' is no interface of this machine");
    return listen_name(&place, fd_out);
}

uint64_t address_file(const char *text)
{
    const char *path = unix_path(text);
    struct stat there;

    return path && lstat(path, &there) == 0 && S_ISSOCK(there.st_mode) ? there.st_ino : 0;
}

void address_unlink(const char *text, uint64_t inode)
{
    if (inode != 0 && address_file(text) == inode)
        unlink(unix_path(text));
}

static void print(const union any_address *address, char *text, size_t capacity)
{
    char host[INET6_ADDRSTRLEN];

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
        snprintf(text, capacity, "%s:%u", host, ntohs(address->v4.sin_port));
    } else if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
        inet_ntop(AF_INET, &address->v6.sin6_addr.s6_addr[12], host, sizeof(host));
        snprintf(text, capacity, "%s:%u", host, ntohs(address->v6.sin6_port));
    } else if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
        if (address->v6.sin6_scope_id != 0)
            snprintf(text, capacity, "[%s%%%u]:%u", host, address->v6.sin6_scope_id,
                     ntohs(address->v6.sin6_port));
        else
            snprintf(text, capacity, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    } else {
        snprintf(text, capacity, "unknown");
    }
}

void address_bound(int fd, char *text, size_t capacity)
{
    union any_address address = {0};
    socklen_t size = sizeof(address);

    const bool is_known = getsockname(fd, &address.any, &size) == 0;
    const size_t head = offsetof(struct sockaddr_un, sun_path) + 1;

    if (is_known && address.any.sa_family == AF_UNIX && address.local.sun_path[0] == '\0' && size >= head)
        snprintf(text, capacity, ABSTRACT_PREFIX "%.*s", (int)(size - head), address.local.sun_path + 1);
    else if (is_known && address.any.sa_family == AF_UNIX)
        snprintf(text, capacity, UNIX_PREFIX "%s", address.local.sun_path);
    else
        print(&address, text, capacity);
}

void address_peer(int fd, char *text, size_t capacity)
{
    union any_address address = {0};
    socklen_t size = sizeof(address);
    struct ucred credentials;
    socklen_t credentials_size = sizeof(credentials);

    if (getpeername(fd, &address.any, &size) == 0 && address.any.sa_family == AF_UNIX &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) == 0)
        snprintf(text, capacity, UNIX_PREFIX "pid=%d,uid=%u", credentials.pid, credentials.uid);
    else
        print(&address, text, capacity);
}
