/* address_list.c - see address_list.h. */
#include "server/dial/address_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_ipv6(const struct sockaddr_in6 *address, struct place *place)
{
    place->kind = PLACE_IPV6;
    if (!inet_ntop(AF_INET6, &address->sin6_addr, place->text, sizeof(place->text)))
        return false;
    if (address->sin6_scope_id > 0)
        snprintf(place->zone, sizeof(place->zone), "%u", (unsigned)address->sin6_scope_id);
    return true;
}

static bool read_address(const struct addrinfo *info, uint16_t port, struct place *place)
{
    *place = (struct place){.kind = PLACE_IPV4, .port = port};
    if (info->ai_family == AF_INET6)
        return read_ipv6((const struct sockaddr_in6 *)(const void *)info->ai_addr, place);
    return info->ai_family == AF_INET &&
           inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr,
                     place->text, sizeof(place->text));
}

static int compare(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    const int by_host = strcmp(a->text, b->text);
    return by_host != 0 ? by_host : strcmp(a->zone, b->zone);
}

/* In order, so that the same addresses stay where there are too many. */
static void sort(struct address_list *list)
{
    size_t kept = 0;

    if (list->total > 0)
        qsort(list->places, list->total, sizeof(*list->places), compare);
    for (size_t i = 0; i < list->total; i++) {
        if (kept == 0 || compare(&list->places[kept - 1], &list->places[i]) != 0)
            list->places[kept++] = list->places[i];
    }
    list->total = kept;
    list->count = MIN_OF(kept, (size_t)MAX_NAME_ADDRESSES);
}

static void copy(struct address_list *list, const struct addrinfo *infos, uint16_t port)
{
    size_t count = 0;

    for (const struct addrinfo *info = infos; info; info = info->ai_next)
        count++;
    list->places = calloc(count + 1, sizeof(*list->places));
    if (!list->places) {
        snprintf(list->fault, sizeof(list->fault), "out of memory");
        return;
    }
    for (const struct addrinfo *info = infos; info; info = info->ai_next) {
        if (read_address(info, port, &list->places[list->total]))
            list->total++;
    }
    sort(list);
    if (list->count == 0)
        snprintf(list->fault, sizeof(list->fault), "the name has no address");
}

void address_list_resolve(struct address_list *list, const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *infos = NULL;
    char reason[64];

    *list = (struct address_list){.count = 0};
    errno = 0;
    const int failed = getaddrinfo(host, NULL, &hints, &infos);
    if (failed == EAI_SYSTEM)
        snprintf(list->fault, sizeof(list->fault), "%s", strerror_r(errno, reason, sizeof(reason)));
    else if (failed)
        snprintf(list->fault, sizeof(list->fault), "%s", gai_strerror(failed));
    else
        copy(list, infos, port);
    if (!failed)
        freeaddrinfo(infos);
}

void address_list_fini(struct address_list *list)
{
    free(list->places);
    *list = (struct address_list){.count = 0};
}
