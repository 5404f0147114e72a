/* serve_entry.h - one entry of what an endpoint serves to callers of --fan-in (docs/fan-in.md):
 *
 *   /package.Service/Method[,requests=one|many][,answer=all|first-ok|refuse]
 *                          [,end=partial-ok|all-ok|fail-fast][,rejoin=no|yes]
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

/* What the status of a call is made of. Where several things say it, the highest counts. */
enum serve_end {
    SERVE_END_UNSAID,     /* as SERVE_END_ALL_OK */
    SERVE_END_PARTIAL_OK, /* OK where one upstream has ended with OK */
    SERVE_END_ALL_OK,     /* OK where every one has */
    SERVE_END_FAIL_FAST,  /* the first failure ends the call */
    SERVE_END_COUNT
};

/* Finds a word among `count` words, of which some may be NULL. `count`: it is none of them. */
size_t serve_word_find(struct bytes word, const char *const *words, size_t count);
extern const char *const serve_end_words[SERVE_END_COUNT]; /* NULL for SERVE_END_UNSAID */

struct serve_entry {
    struct bytes service; /* "/package.Service/", with both slashes; points into the text */
    struct bytes method;  /* empty: every method of it */
    bool many_requests;
    enum serve_answer answer;
    enum serve_end end;
    bool rejoins; /* with SERVE_END_PARTIAL_OK it is called again after a failure */
};

/* Reads the text, which must outlive *entry_out. NULL: it is good. Else what it must be; static. */
MUST_CHECK const char *serve_entry_read(struct bytes text, struct serve_entry *entry_out);

/* The entry for a path. One that names the method comes before one with '*'; of two that are alike
 * the first one counts. NULL: there is none. */
const struct serve_entry *serve_entries_find(const struct serve_entry *entries, size_t count,
                                             struct bytes path);

#endif
