/* follow_fixture.c - see follow_fixture.h. */
#include "follow_fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char folder[64];
char path[128];
char old_path[128];
char seen[4096];
char notices[8192];
bool with_sources;

static bool on_line(void *ctx, const struct line *line)
{
    const char *slash = line->source ? strrchr(line->source, '/') : NULL;

    (void)ctx;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%s%.*s,",
             with_sources && slash ? slash + 1 : "", with_sources && slash ? ":" : "", (int)line->size,
             line->text ? line->text : "");
    return true;
}

static void on_notice(void *ctx, const char *file, const char *text)
{
    (void)ctx;
    snprintf(notices + strlen(notices), sizeof(notices) - strlen(notices), "%s: %s\n", file, text);
}

struct follow_port port = {.line = on_line, .notice = on_notice};

void follow_fixture_set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/follow-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(old_path, sizeof(old_path), "%s/log.1", folder);
}

void follow_fixture_tear_down(void)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlink(file_in_folder(entry->d_name));
    if (dir)
        closedir(dir);
    cr_expect_eq(rmdir(folder), 0);
}

const char *file_in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", folder, name);
    return paths[next];
}

void put(const char *file, const char *text, int flags)
{
    const int fd = open(file, O_WRONLY | O_CREAT | flags, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

void expect_seen(const char *lines, const char *notice)
{
    cr_assert_str_eq(seen, lines);
    if (notice)
        cr_assert(strstr(notices, notice), "%s", notices);
    else
        cr_assert_str_empty(notices);
    seen[0] = '\0';
    notices[0] = '\0';
}
