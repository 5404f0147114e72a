/* folder_watcher.c - see folder_watcher.h. The job of a scan begins with the wait for it. What the
 * thread uses belongs to the job: it may stay behind when the watcher is stopped. */
#include "server/config/folder_watcher.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "loop/detached.h"
#include "server/config/folder.h"

#define PERIOD_NS (2 * NS_PER_S)
#define GATHER_NS (20 * NS_PER_MS) /* changes come in groups */
#define RETRY_NS NS_PER_S          /* where no thread could be made */
#define EVENTS                                                                                               \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB |          \
     IN_ONLYDIR)

struct scan {
    struct detached_job job;
    struct folder_watcher *watcher; /* loop only */
    /* The thread's, while it runs. */
    struct folder *folders[MAX_FOLDERS];
    int watches[MAX_FOLDERS]; /* of inotify; -1: none */
    size_t count;
    int inotify; /* -1: there is none */
    bool is_first;
    int64_t wait_ns;
    struct file_total total; /* what all files define */
    struct list changes;
};

struct folder_watcher {
    struct loop *loop;
    struct folder_watcher_port port;
    struct detached *threads;
    struct scan *scan;
    bool is_scanning; /* the scan is the thread's */
    struct timer retry;
    char faults[MAX_FOLDERS][160]; /* as they were logged; empty: the folder can be read */
};

static void scan_free(struct scan *scan)
{
    list_each(link, safe, &scan->changes)
        file_change_free(container_of(link, struct file_change, link));
    for (size_t i = 0; i < scan->count; i++)
        folder_free(scan->folders[i]);
    if (scan->inotify >= 0)
        close(scan->inotify);
    free(scan);
}

/* ---- the thread ---- */

static void sleep_ns(int64_t ns)
{
    const struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    nanosleep(&time, NULL);
}

static void read_events(const struct scan *scan)
{
    char events[4096];

    while (scan->inotify >= 0 && read(scan->inotify, events, sizeof(events)) > 0)
        ;
}

static void wait(const struct scan *scan)
{
    struct pollfd poll_for = {.fd = scan->inotify, .events = POLLIN};

    if (scan->is_first)
        return;
    if (poll(&poll_for, 1, (int)((scan->wait_ns + NS_PER_MS - 1) / NS_PER_MS)) > 0)
        sleep_ns(GATHER_NS);
    read_events(scan);
}

/* A folder may be another one now. */
static void set_watches(struct scan *scan)
{
    for (size_t i = 0; i < scan->count && scan->inotify >= 0; i++) {
        const int number = inotify_add_watch(scan->inotify, folder_path(scan->folders[i]), EVENTS);

        if (scan->watches[i] >= 0 && scan->watches[i] != number)
            (void)inotify_rm_watch(scan->inotify, scan->watches[i]);
        scan->watches[i] = number;
    }
}

static void run(struct detached_job *job)
{
    struct scan *scan = container_of(job, struct scan, job);

    wait(scan);
    set_watches(scan);
    scan->wait_ns = PERIOD_NS;
    for (size_t i = 0; i < scan->count; i++) {
        const int64_t wait_ns = folder_scan(scan->folders[i], scan->is_first, &scan->total, &scan->changes);

        if (wait_ns > 0)
            scan->wait_ns = MIN_OF(scan->wait_ns, wait_ns);
    }
    scan->is_first = false;
}

static void drop(struct detached_job *job)
{
    scan_free(container_of(job, struct scan, job));
}

/* ---- the loop ---- */

static void log_folders(struct folder_watcher *watcher)
{
    int64_t bad = 0;

    for (size_t i = 0; i < watcher->scan->count; i++) {
        const struct folder *folder = watcher->scan->folders[i];
        char *logged = watcher->faults[i];

        bad += folder_fault(folder)[0] != '\0';
        if (strcmp(folder_fault(folder), logged) == 0)
            continue;
        snprintf(logged, sizeof(watcher->faults[i]), "%s", folder_fault(folder));
        if (logged[0] != '\0')
            log_write(LOG_WARN, "endpoints.folder_failed", LOG_TEXT("folder", folder_path(folder)),
                      LOG_TEXT("reason", logged));
        else
            log_write(LOG_INFO, "endpoints.folder_read", LOG_TEXT("folder", folder_path(folder)));
    }
    count_add(COUNT_LIVE_BAD_ENDPOINT_FOLDERS, bad - count_get(COUNT_LIVE_BAD_ENDPOINT_FOLDERS));
}

static void done(struct detached_job *job)
{
    struct scan *scan = container_of(job, struct scan, job);
    struct folder_watcher *watcher = scan->watcher;

    watcher->is_scanning = false;
    log_folders(watcher);
    watcher->port.scanned(watcher->port.ctx, &scan->changes);
}

static enum err start(struct folder_watcher *watcher)
{
    const enum err err = detached_start(watcher->threads, &watcher->scan->job);

    watcher->is_scanning = err == ERR_OK;
    return err;
}

static void on_retry(struct timer *timer)
{
    folder_watcher_go_on(container_of(timer, struct folder_watcher, retry));
}

void folder_watcher_go_on(struct folder_watcher *watcher)
{
    watcher->retry.fired = on_retry;
    if (start(watcher) != ERR_OK && timer_start(watcher->loop, &watcher->retry, RETRY_NS) != ERR_OK)
        log_write(LOG_ERROR, "endpoints.not_read", LOG_TEXT("reason", "out of memory"));
}

/* ---- the beginning and the end ---- */

static struct scan *scan_new(const char *const *paths, size_t count)
{
    struct scan *scan = calloc(1, sizeof(*scan));

    if (!scan)
        return NULL;
    list_init(&scan->changes);
    scan->job = (struct detached_job){.run = run, .done = done, .drop = drop};
    scan->is_first = true;
    scan->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (scan->inotify < 0)
        log_write(LOG_WARN, "endpoints.not_notified", LOG_NUMBER("errno", errno),
                  LOG_TEXT("consequence", "changes are found every 2 s"));
    for (; scan->count < count; scan->count++) {
        scan->watches[scan->count] = -1;
        scan->folders[scan->count] = folder_new(paths[scan->count]);
        if (!scan->folders[scan->count]) {
            scan_free(scan);
            return NULL;
        }
    }
    return scan;
}

struct status folder_watcher_start(struct loop *loop, const char *const *paths, size_t count,
                                   const struct folder_watcher_port *port,
                                   struct folder_watcher **watcher_out)
{
    struct folder_watcher *watcher = calloc(1, sizeof(*watcher));

    CHECK(count <= MAX_FOLDERS);
    if (!watcher)
        return (struct status){ERR_NO_MEMORY, 0, "watch the folders of endpoints"};
    watcher->loop = loop;
    watcher->port = *port;
    watcher->threads = detached_new(loop);
    watcher->scan = scan_new(paths, count);
    if (!watcher->threads || !watcher->scan) {
        folder_watcher_stop(watcher);
        return (struct status){ERR_NO_MEMORY, 0, "watch the folders of endpoints"};
    }
    watcher->scan->watcher = watcher;
    if (start(watcher) != ERR_OK) {
        folder_watcher_stop(watcher);
        return (struct status){ERR_IO, EAGAIN, "start a thread for the folders of endpoints"};
    }
    *watcher_out = watcher;
    return STATUS_OK;
}

void folder_watcher_stop(struct folder_watcher *watcher)
{
    if (!watcher)
        return;
    timer_stop(&watcher->retry);
    detached_free(watcher->threads);
    if (watcher->scan && !watcher->is_scanning)
        scan_free(watcher->scan);
    free(watcher);
}
