/* folder.h - one folder of --endpoints-dir: finds out which of its files have changed, and reads
 * those. It may block, so it runs on a thread of its own.
 *
 * A file counts as changed once it has looked the same for 200 ms: its device, inode, size and
 * times, through symbolic links, or that it is not there. So a file that is being written is left
 * alone, and so is one that is removed and made again. One that is there and cannot be looked at is
 * refused, and is not gone: a link that leads nowhere, or a folder that may not be searched.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_SERVER_CONFIG_FOLDER_H
#define TRIBUTARY_SERVER_CONFIG_FOLDER_H

#include "base/list.h"
#include "base/status.h"
#include "server/config/endpoint_file.h"

#define MAX_FOLDER_FILES 1000u /* of one folder */
#define MAX_ENDPOINT_FILE_BYTES (1u << 20)

struct folder;

/* What has become of a file. */
enum file_change_kind { FILE_READ, FILE_REFUSED, FILE_GONE };

struct file_change {
    struct list link;
    enum file_change_kind kind;
    struct endpoint_file file; /* with FILE_REFUSED: its fault */
    char path[];
};

/* `path` must outlive the folder. NULL: out of memory. */
struct folder *folder_new(const char *path);
void folder_free(struct folder *folder); /* NULL is allowed */

/* Appends what has changed to `changes`: struct file_change, which the caller owns. *total: what
 * all files of all folders define; it is kept up to date. `is_first`: nothing is waited
 * for. Returns how long to wait until a change counts; 0: there is none that does not. */
int64_t folder_scan(struct folder *folder, bool is_first, struct file_total *total, struct list *changes);

/* Why the folder could not be read by the last scan. Empty: it could. Nothing has changed then. */
const char *folder_fault(const struct folder *folder);
const char *folder_path(const struct folder *folder);

void file_change_free(struct file_change *change);

#endif
