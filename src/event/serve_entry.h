/* serve_entry.h - one entry of what an endpoint serves to callers of --fan-in (docs/fan-in.md):
 *
 *   /package.Service/Method[,requests=one|many][,answer=all|first-ok|refuse]
 *
 * With '*' for the method it is every method of the service.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_SERVE_ENTRY_H
#define TRIBUTARY_EVENT_SERVE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

#define MAX_SERVE_ENTRIES 64u       /* of one endpoint */
#define MAX_SERVE_BYTES (8u << 10)  /* of all its entries together */
#define MAX_SERVE_ENTRY_BYTES 320u  /* of one */
#define MAX_SERVE_METHOD_BYTES 256u /* of its path */

/* What the client gets of the upstreams' messages. */
enum serve_answer {
    SERVE_ALL,      /* all of them */
    SERVE_FIRST_OK, /* one: of the first upstream that ends with OK */
    SERVE_REFUSE    /* the call is refused where more than one endpoint matches */
};

struct serve_entry {
    struct bytes service; /* "/package.Service/", with both slashes; points into the text */
    struct bytes method;  /* empty: every method of it */
    bool many_requests;
    enum serve_answer answer;
};

/* Reads the text, which must outlive *entry_out. NULL: it is good. Else what it must be; static. */
MUST_CHECK const char *serve_entry_read(struct bytes text, struct serve_entry *entry_out);

/* The entry for a path. One that names the method comes before one with '*'; of two that are alike
 * the first one counts. NULL: there is none. */
const struct serve_entry *serve_entries_find(const struct serve_entry *entries, size_t count,
                                             struct bytes path);

#endif
