/* fetched_files.h - the files that an upstream's reflection has sent so far, and those that they
 * import and that have not come.
 *
 * Threads: one. */
#ifndef TRIBUTARY_SERVER_DIAL_FETCHED_FILES_H
#define TRIBUTARY_SERVER_DIAL_FETCHED_FILES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#define FETCHED_TEXT 160u

struct fetched_files {
    struct map names;   /* struct fetched_name */
    struct list wanted; /* struct fetched_name; those that were imported, the oldest first */
    struct buf set;     /* a FileDescriptorSet */
    uint32_t imports;
    size_t bytes; /* of all answers */
    char failure[FETCHED_TEXT];
};

void fetched_files_init(struct fetched_files *files);
void fetched_files_fini(struct fetched_files *files);

/* Adds what a ServerReflectionResponse has. An error in it is noted as `failure`, with `asked`, and
 * is no failure of this. False: files->failure says which bound it is over, or what is wrong. */
MUST_CHECK bool fetched_files_add(struct fetched_files *files, struct bytes response, struct bytes asked);

/* The next file to ask for; each once. Empty: none. */
struct bytes fetched_files_next(struct fetched_files *files);

#endif
