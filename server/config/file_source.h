/* file_source.h - what one file defines now, and which producers that has made. For
 * endpoint_files.c.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_CONFIG_FILE_SOURCE_H
#define TRIBUTARY_SERVER_CONFIG_FILE_SOURCE_H

#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "base/status.h"
#include "server/config/endpoint_file.h"

struct dial;
struct entry;

struct file_source {
    struct map_node by_path;
    struct dial *dial;
    struct list *waiting;           /* struct entry, of all sources: without a producer */
    struct list entries;            /* struct entry */
    struct map by_name;             /* the same */
    uint64_t round;                 /* of the last version that was read */
    size_t added, changed, removed; /* in this round */
    bool is_bad;
    char fault[320]; /* as it was logged */
    char path[];
};

/* NULL: out of memory. */
struct file_source *file_source_new(const char *path, struct dial *dial, struct list *waiting);
/* All producers have ended, or have been dropped. */
void file_source_free(struct file_source *source);

/* A new version: file_source_define() for each of its definitions, then file_source_drop_one()
 * while it returns true. Each is one step of a slice. */
void file_source_begin(struct file_source *source);
void file_source_define(struct file_source *source, const struct file_definition *definition);
bool file_source_drop_one(struct file_source *source);

/* Drops one entry, whatever the version says. False: there is none. */
bool file_source_drop_any(struct file_source *source);

/* The version is whole, or is refused: the log says so, once. */
void file_source_applied(struct file_source *source);
void file_source_refused(struct file_source *source, const struct tree_fault *fault);
void file_source_gone(struct file_source *source);

/* Tries to make a producer of an entry that waits. It waits again where that cannot be. */
void entry_start(struct entry *entry);
struct entry *entry_of_waiting(struct list *link);

#endif
