/* address_list.h - the addresses of a host name, as the system's resolver gives them.
 *
 * Threads: any; a list belongs to one at a time. */
#ifndef TRIBUTARY_SERVER_DIAL_ADDRESS_LIST_H
#define TRIBUTARY_SERVER_DIAL_ADDRESS_LIST_H

#include "base/place.h"
#include "base/status.h"

/* Of one name. */
#define MAX_NAME_ADDRESSES 1000u

#define ADDRESS_FAULT_CAPACITY 128u

/* In order, each once. A zeroed list is empty. */
struct address_list {
    struct place *places;
    size_t count;                       /* at most MAX_NAME_ADDRESSES */
    size_t total;                       /* how many the answer had */
    char fault[ADDRESS_FAULT_CAPACITY]; /* why there are none: the resolver's text; empty: there are some */
};

/* Looks the name up; blocks for as long as the resolver does. The list is then filled, or has a
 * fault. */
void address_list_resolve(struct address_list *list, const char *host, uint16_t port);
void address_list_fini(struct address_list *list);

#endif
