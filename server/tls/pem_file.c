/* pem_file.c - see pem_file.h. */
#include "server/tls/pem_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define OTHERS (S_IRWXO)

static char *fail(const char *what, char fault[PEM_FAULT_CAPACITY])
{
    snprintf(fault, PEM_FAULT_CAPACITY, "%s: %s", what, strerror(errno));
    return NULL;
}

static char *refuse(const char *what, char fault[PEM_FAULT_CAPACITY])
{
    snprintf(fault, PEM_FAULT_CAPACITY, "%s", what);
    return NULL;
}

/* At most one byte more than may be. */
static char *read_all(int fd, char fault[PEM_FAULT_CAPACITY])
{
    char *text = malloc(MAX_PEM_BYTES + 2);
    size_t size = 0;
    ssize_t got = 1;

    while (text && size <= MAX_PEM_BYTES && got > 0) {
        got = read(fd, text + size, MAX_PEM_BYTES + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    if (!text)
        return refuse("no memory", fault);
    text[size] = '\0';
    if (got >= 0 && size <= MAX_PEM_BYTES && strlen(text) == size)
        return text;
    (void)!(got < 0                ? fail("it cannot be read", fault)
            : size > MAX_PEM_BYTES ? refuse("it is over 1 MiB", fault)
                                   : refuse("it is no text: there is a NUL in it", fault));
    pem_text_free(text);
    return NULL;
}

static char *read_checked(int fd, bool secret, char fault[PEM_FAULT_CAPACITY])
{
    struct stat file;

    if (fstat(fd, &file) != 0)
        return fail("it cannot be read", fault);
    if (!S_ISREG(file.st_mode))
        return refuse("it is no regular file", fault);
    if (secret && (file.st_mode & OTHERS) != 0) {
        snprintf(fault, PEM_FAULT_CAPACITY, "every user of this machine may open it (mode %04o): chmod o-rwx",
                 (unsigned)(file.st_mode & 07777));
        return NULL;
    }
    return read_all(fd, fault);
}

char *pem_file_read(const char *path, bool secret, char fault[PEM_FAULT_CAPACITY])
{
    /* a FIFO would make open() wait */
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return fail("it cannot be opened", fault);
    char *text = read_checked(fd, secret, fault);
    close(fd);
    return text;
}

void pem_text_free(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}
