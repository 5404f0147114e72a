/* folder_watcher.h - looks at the folders of --endpoints-dir again and again, on a thread of its
 * own, and hands over what has changed.
 *
 * inotify says at once when something changes in a folder. Every 2 s each file is looked at all the
 * same: inotify knows nothing of a network's other machines, of files behind symbolic links, and of
 * a folder that is a link itself.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_CONFIG_FOLDER_WATCHER_H
#define TRIBUTARY_SERVER_CONFIG_FOLDER_WATCHER_H

#include "base/list.h"
#include "base/status.h"

#define MAX_FOLDERS 8

struct folder;
struct folder_watcher;
struct loop;

struct folder_watcher_port {
    /* A scan is over, of all folders. The callee owns each struct file_change of `changes`, which
     * it may take out until it calls folder_watcher_go_on(). */
    void (*scanned)(void *ctx, struct list *changes);
    void *ctx;
};

/* Starts the first scan. The paths must outlive the process.
 *   ERR_NO_MEMORY, ERR_IO  there is no memory, or no thread; nothing was started */
MUST_CHECK struct status folder_watcher_start(struct loop *loop, const char *const *paths, size_t count,
                                              const struct folder_watcher_port *port,
                                              struct folder_watcher **watcher_out);

/* The changes were handled: the next scan follows. */
void folder_watcher_go_on(struct folder_watcher *watcher);

/* Does not wait for the thread. NULL is allowed. */
void folder_watcher_stop(struct folder_watcher *watcher);

#endif
