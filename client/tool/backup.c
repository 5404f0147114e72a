/* backup.c - `tributary backup`: a copy of what the server keeps, in one file.
 *
 * The copy is written to FILE.tmp, and gets its name when all of it is on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

#define MAX_PATH_BYTES 4000u

struct settings {
    struct common common;
    bool force;
};

struct copy {
    const char *path;
    char draft[MAX_PATH_BYTES + sizeof(".tmp")];
    int fd;
    int error; /* errno of a write */
    uint64_t bytes;
};

static char drafts[MAX_PATH_BYTES + sizeof(".tmp")]; /* of the one copy, for the signal handler */

static int failed(const char *path, int error)
{
    fprintf(stderr, "tributary: %s: %s\n", path, strerror(error));
    return EXITS_ERROR;
}

/* In a signal handler: what has come is worth nothing. */
static void on_signal(int number)
{
    (void)unlink(drafts);
    _exit(128 + number);
}

static void remove_at_signals(const struct copy *copy)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    memcpy(drafts, copy->draft, sizeof(drafts));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (signal(numbers[i], on_signal) == SIG_IGN)
            signal(numbers[i], SIG_IGN);
}

/* Secrets of endpoints are in it, so nobody else may read it. */
static int open_draft(struct copy *copy, bool force)
{
    struct stat present;

    if (!force && lstat(copy->path, &present) == 0) {
        fprintf(stderr, "tributary: %s: is there already; --force replaces it\n", copy->path);
        return EXITS_ERROR;
    }
    snprintf(copy->draft, sizeof(copy->draft), "%s.tmp", copy->path);
    if (force)
        (void)unlink(copy->draft);
    copy->fd = open(copy->draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (copy->fd >= 0)
        return EXITS_OK;
    if (errno != EEXIST)
        return failed(copy->draft, errno);
    fprintf(
        stderr,
        "tributary: %s: is there already: another backup writes it, or has left it; --force replaces it\n",
        copy->draft);
    return EXITS_ERROR;
}

static bool on_part(void *ctx, struct tributary_bytes data, uint64_t total_bytes)
{
    struct copy *copy = ctx;
    const uint8_t *next = data.data;

    (void)total_bytes;
    for (size_t left = data.size; left > 0;) {
        const ssize_t count = write(copy->fd, next, left);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            copy->error = errno;
            return false;
        }
        next += count;
        left -= (size_t)count;
    }
    copy->bytes += data.size;
    return true;
}

/* The folder's entry is on the disk, too. */
static bool sync_folder(const char *path)
{
    char folder[MAX_PATH_BYTES + 2];
    const char *slash = strrchr(path, '/');
    int fd;

    if (!slash)
        snprintf(folder, sizeof(folder), ".");
    else
        snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool is_done = fsync(fd) == 0;
    close(fd);
    return is_done;
}

/* A file system may not know how to rename without replacing. */
static bool name_copy(const struct copy *copy, bool force)
{
    if (!force && renameat2(AT_FDCWD, copy->draft, AT_FDCWD, copy->path, RENAME_NOREPLACE) == 0)
        return true;
    if (!force && errno != EINVAL && errno != ENOSYS)
        return false;
    return rename(copy->draft, copy->path) == 0;
}

static int finish(const struct copy *copy, bool force)
{
    char size[32];

    if (fsync(copy->fd) != 0)
        return failed(copy->draft, errno);
    if (!name_copy(copy, force) || !sync_folder(copy->path))
        return failed(copy->path, errno);
    bytes_text(copy->bytes, size, sizeof(size));
    printf("%s: %s\n", copy->path, size);
    return EXITS_OK;
}

static int copy_store(const struct settings *settings, struct tributary *client, struct copy *copy)
{
    const struct tributary_backup backup = {
        .timeout_ns = link_left_ns(&settings->common), .part = on_part, .ctx = copy};
    struct tributary_status status;
    int result;

    result = open_draft(copy, settings->force);
    if (result != EXITS_OK)
        return result;
    remove_at_signals(copy);
    if (tributary_backup(client, &backup, &status) == TRIBUTARY_OK)
        result = finish(copy, settings->force);
    else
        result = copy->error != 0 ? failed(copy->draft, copy->error) : link_failed("backup", &status);
    if (result != EXITS_OK)
        (void)unlink(copy->draft);
    close(copy->fd);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.force = false};
    struct copy copy = {.fd = -1};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        copy.path = arguments.count > 0 ? arguments.items[0] : NULL;
        if (!copy.path || copy.path[0] == '\0')
            result = cli_wrong(verb, "the file's name is missing");
        else if (strlen(copy.path) > MAX_PATH_BYTES)
            result = cli_wrong(verb, "the file's name is too long: at most %u bytes", MAX_PATH_BYTES);
        else
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = copy_store(&settings, client, &copy);
        tributary_free(client);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

static const struct option options[] = {
    {0, "force", OPTION_FLAG, "", offsetof(struct settings, force), "replace FILE"},
};

static const struct example examples[] = {
    {"tributary backup tributary.db", "the server goes on meanwhile"},
    {"install -d -m 700 new && install -m 600 tributary.db new/store.db", "a folder for --state-dir"},
};

const struct verb verb_backup = {
    .name = "backup",
    .arguments = "FILE",
    .max_arguments = 1,
    .summary = "copy what the server keeps on the disk",
    .text = "The copy has the stored topics and the endpoints that were added at run time, with their "
            "secrets. It is as new as its end, and\n"
            "checked. Put it as store.db into an empty folder for --state-dir: the server continues every "
            "topic in a new epoch. FILE.tmp is\n"
            "written first. From another machine the server takes this only with its option "
            "--remote-backup.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
