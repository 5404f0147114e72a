/* place.c - see place.h. */
#include "base/place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define UNIX "unix:"
#define ABSTRACT "unix-abstract:"
#define DIGITS "0123456789"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_."
#define MAX_NAME_BYTES 253u

_Static_assert(PLACE_MAX_UNIX_BYTES + 1 == sizeof(((struct sockaddr_un *)0)->sun_path),
               "a path has its NUL, an abstract name begins with one");

const struct place_form place_forms[] = {
    {"HOST:PORT", "an IPv4 address, localhost or another name; without :PORT it is port 7227"},
    {"[V6]:PORT", "an IPv6 address"},
    {"unix:PATH", "a socket file; the path has 1 to 107 bytes"},
    {"unix-abstract:NAME", "a unix socket without a file; the name has 1 to 107 bytes"},
    {NULL, NULL},
};

#define WRONG(...) (snprintf(fault, PLACE_FAULT_CAPACITY, __VA_ARGS__), false)

/* Copies `size` bytes, which must fit. */
static void copy(char *text, const char *from, size_t size)
{
    memcpy(text, from, size);
    text[size] = '\0';
}

/* Reads what follows "unix:" or "unix-abstract:". */
static bool parse_unix(enum place_kind kind, const char *path, struct place *place, char *fault)
{
    const size_t size = strlen(path);

    if (size == 0 || size > PLACE_MAX_UNIX_BYTES)
        return WRONG("%s has 1 to %u bytes, and this one has %zu",
                     kind == PLACE_UNIX ? "the path of a socket" : "the name of an abstract socket",
                     PLACE_MAX_UNIX_BYTES, size);
    place->kind = kind;
    copy(place->text, path, size);
    return true;
}

static bool parse_port(const char *text, enum place_use use, uint16_t *port_out, char *fault)
{
    const char *bound = use == PLACE_LISTEN ? "port 1 to 65535, or 0 for any free one" : "port 1 to 65535";
    const size_t size = strlen(text);
    unsigned long port = 0;

    if (size == 0)
        return WRONG("the port is missing behind ':': %s", bound);
    if (size <= 5 && strspn(text, DIGITS) == size)
        port = strtoul(text, NULL, 10);
    else
        port = UINT16_MAX + 1ul;
    if (port > UINT16_MAX || (port == 0 && use != PLACE_LISTEN))
        return WRONG("%s, not '%.40s'", bound, text);
    *port_out = (uint16_t)port;
    return true;
}

static bool is_v6(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Reads [V6] or [V6%ZONE], without the brackets. */
static bool parse_v6(const char *host, size_t size, struct place *place, char *fault)
{
    const char *percent = memchr(host, '%', size);
    const size_t zone_size = percent ? (size_t)(host + size - percent - 1) : 0;
    const size_t address_size = percent ? (size_t)(percent - host) : size;

    if (percent && (zone_size == 0 || zone_size >= sizeof(place->zone)))
        return WRONG("the zone behind '%%' has 1 to %zu bytes, and this one has %zu", sizeof(place->zone) - 1,
                     zone_size);
    copy(place->text, host, MIN_OF(address_size, sizeof(place->text) - 1));
    if (!is_v6(place->text))
        return WRONG("'%.*s' in brackets is no IPv6 address", (int)MIN_OF(size, (size_t)60), host);
    if (percent)
        copy(place->zone, percent + 1, zone_size);
    if (strspn(place->zone, NAME_LETTERS) != strlen(place->zone))
        return WRONG("'%.15s' behind '%%' is no interface", place->zone);
    place->kind = PLACE_IPV6;
    return true;
}

/* Reads an IPv4 address or a name. */
static bool parse_host(const char *host, size_t size, struct place *place, char *fault)
{
    struct in_addr address;

    if (size == 0)
        return WRONG("the host is missing before ':'; 127.0.0.1 is this machine, 0.0.0.0 every address");
    if (size > MAX_NAME_BYTES)
        return WRONG("a host name has at most %u bytes, and this one has %zu", MAX_NAME_BYTES, size);
    copy(place->text, host, size);
    if (strspn(place->text, NAME_LETTERS) != size)
        return WRONG("'%.60s' is no host: letters, digits, '-', '_' and '.'", place->text);
    if (strspn(place->text, DIGITS ".") != size) {
        place->kind = PLACE_NAME;
        return true;
    }
    place->kind = PLACE_IPV4;
    if (inet_pton(AF_INET, place->text, &address) == 1)
        return true;
    if (strspn(place->text, DIGITS) == size)
        return WRONG("the host is missing: write 127.0.0.1:%.20s", place->text);
    return WRONG("'%.60s' is no IPv4 address: four numbers of 0 to 255", place->text);
}

/* Several colons without brackets: most likely an IPv6 address. Says how to write it. */
static bool refuse_colons(const char *text, char *fault)
{
    const char *port = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];

    if ((size_t)(port - text) < sizeof(host)) {
        copy(host, text, (size_t)(port - text));
        if (is_v6(host))
            return WRONG("an IPv6 address stands in brackets: write [%s]%.40s", host, port);
    }
    if (is_v6(text))
        return WRONG("an IPv6 address stands in brackets: write [%.60s]:%d", text, PLACE_DEFAULT_PORT);
    return WRONG("there is more than one ':'; an IPv6 address stands in brackets");
}

static bool parse_tcp(const char *text, enum place_use use, struct place *place, char *fault)
{
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
    const char *colon = strchr(bracket ? bracket : text, ':');
    const char *end = colon ? colon : text + strlen(text);

    if (text[0] == '[' && !bracket)
        return WRONG("']' is missing behind the IPv6 address");
    if (bracket && bracket + 1 != end)
        return WRONG("behind ']' comes ':PORT' or nothing");
    if (!bracket && colon && strchr(colon + 1, ':'))
        return refuse_colons(text, fault);
    place->port = PLACE_DEFAULT_PORT;
    if (bracket ? !parse_v6(text + 1, (size_t)(bracket - text - 1), place, fault)
                : !parse_host(text, (size_t)(end - text), place, fault))
        return false;
    return !colon || parse_port(colon + 1, use, &place->port, fault);
}

bool place_parse(const char *text, enum place_use use, struct place *place_out,
                 char fault[PLACE_FAULT_CAPACITY])
{
    struct place place = {0};
    bool done;

    if (text[0] == '\0')
        done = WRONG("it is empty");
    else if (strncmp(text, UNIX, strlen(UNIX)) == 0)
        done = parse_unix(PLACE_UNIX, text + strlen(UNIX), &place, fault);
    else if (strncmp(text, ABSTRACT, strlen(ABSTRACT)) == 0)
        done = parse_unix(PLACE_ABSTRACT, text + strlen(ABSTRACT), &place, fault);
    else if (strstr(text, "//"))
        done = WRONG("it is no URL: write HOST:PORT, [V6]:PORT, unix:PATH or unix-abstract:NAME");
    else
        done = parse_tcp(text, use, &place, fault);
    if (done)
        *place_out = place;
    return done;
}

void place_text(const struct place *place, char text[PLACE_TEXT_CAPACITY])
{
    _Static_assert(PLACE_TEXT_CAPACITY > sizeof(place->text) + sizeof(place->zone) + sizeof("[%]:65535"),
                   "every address fits");
    switch (place->kind) {
    case PLACE_UNIX:
        snprintf(text, PLACE_TEXT_CAPACITY, UNIX "%s", place->text);
        break;
    case PLACE_ABSTRACT:
        snprintf(text, PLACE_TEXT_CAPACITY, ABSTRACT "%s", place->text);
        break;
    case PLACE_IPV6:
        snprintf(text, PLACE_TEXT_CAPACITY, "[%s%s%s]:%u", place->text, place->zone[0] != '\0' ? "%" : "",
                 place->zone, place->port);
        break;
    case PLACE_IPV4:
    case PLACE_NAME:
        snprintf(text, PLACE_TEXT_CAPACITY, "%s:%u", place->text, place->port);
        break;
    }
}

bool place_is_local(const struct place *place)
{
    struct in_addr v4;
    struct in6_addr v6;

    switch (place->kind) {
    case PLACE_UNIX:
    case PLACE_ABSTRACT:
        return true;
    case PLACE_NAME:
        return strcasecmp(place->text, "localhost") == 0;
    case PLACE_IPV4:
        return inet_pton(AF_INET, place->text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
    case PLACE_IPV6:
        if (inet_pton(AF_INET6, place->text, &v6) != 1)
            return false;
        return IN6_IS_ADDR_V4MAPPED(&v6) ? v6.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return false;
}
