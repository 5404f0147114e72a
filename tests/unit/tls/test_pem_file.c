/* test_pem_file.c - files in PEM: what is read, and what is refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/tls/pem_file.h"

static char path[64];

static void write_file(const char *text, size_t size, mode_t mode)
{
    int fd;

    strcpy(path, "/tmp/tributary-pem-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, size), (ssize_t)size);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

/* Reads the file, and removes it. */
static char *read_file(bool secret, char fault[PEM_FAULT_CAPACITY])
{
    char *text = pem_file_read(path, secret, fault);

    unlink(path);
    return text;
}

Test(pem_file, the_whole_file_is_read)
{
    char fault[PEM_FAULT_CAPACITY] = "", *text = calloc(1, MAX_PEM_BYTES + 1), *got;

    cr_assert(text);
    memset(text, 'x', MAX_PEM_BYTES);
    write_file(text, MAX_PEM_BYTES, 0600);
    got = read_file(true, fault);
    cr_assert(got, "%s", fault);
    cr_assert_str_eq(got, text);
    pem_text_free(got);
    write_file("", 0, 0644);
    got = read_file(false, fault);
    cr_assert(got && got[0] == '\0');
    pem_text_free(got);
    pem_text_free(NULL);
    free(text);
}

Test(pem_file, what_is_refused)
{
    char fault[PEM_FAULT_CAPACITY], *text = calloc(1, MAX_PEM_BYTES + 2);
    static const mode_t modes[] = {0604, 0602, 0601};

    cr_assert(text);
    memset(text, 'x', MAX_PEM_BYTES + 1);
    write_file(text, MAX_PEM_BYTES + 1, 0600);
    cr_assert(!read_file(false, fault) && strstr(fault, "over 1 MiB"), "%s", fault);
    write_file("a\0b", 3, 0600);
    cr_assert(!read_file(false, fault) && strstr(fault, "NUL"), "%s", fault);
    write_file("a\0", 2, 0600);
    cr_assert(!read_file(false, fault) && strstr(fault, "NUL"), "%s", fault);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        write_file("a", 1, modes[i]);
        cr_assert(!read_file(true, fault) && strstr(fault, "every user"), "%s", fault);
    }
    cr_assert(!pem_file_read("/tmp", false, fault) && strstr(fault, "no regular file"), "%s", fault);
    cr_assert(!pem_file_read("/nosuch", false, fault) && strstr(fault, "No such file"), "%s", fault);
    strcpy(path, "/tmp/tributary-fifo-XXXXXX");
    cr_assert(mkdtemp(path));
    rmdir(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert(!read_file(false, fault) && strstr(fault, "no regular file"), "it does not wait: %s", fault);
    free(text);
}
