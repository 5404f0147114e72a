/* link.c - a socket, its output buffer, and the input buffer of all links. */
#include "bench/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/h2/h2.h"

enum { FIRST_CAPACITY = 4096 };

bool link_open(struct link *link, const char *address)
{
    *link = (struct link){.fd = h2_dial(address)};
    return link->fd >= 0;
}

void link_close(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    free(link->out);
    pieces_fini(&link->pieces);
    *link = (struct link){.fd = -1};
}

uint8_t *link_reserve(struct link *link, size_t size)
{
    if (link->size + size > LINK_OUTPUT_BYTES)
        return NULL;
    if (link->first + link->size + size > link->capacity) {
        size_t capacity = MAX_OF(link->capacity, (size_t)FIRST_CAPACITY);
        while (capacity < link->size + size)
            capacity *= 2;
        uint8_t *out = capacity > link->capacity ? realloc(link->out, capacity) : link->out;
        if (!out)
            return NULL;
        memmove(out, out + link->first, link->size);
        link->out = out;
        link->capacity = capacity;
        link->first = 0;
    }
    uint8_t *at = link->out + link->first + link->size;
    link->size += size;
    return at;
}

bool link_flush(struct link *link)
{
    while (link->size) {
        ssize_t sent = send(link->fd, link->out + link->first, link->size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN;
        link->first += (size_t)sent;
        link->size -= (size_t)sent;
    }
    link->first = 0;
    return true;
}

enum link_state link_read(struct link *link, pieces_consume *consume, void *ctx)
{
    static uint8_t input[LINK_INPUT_BYTES];
    ssize_t got = recv(link->fd, input, sizeof(input), 0);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? LINK_DRAINED : LINK_LOST;
    if (got == 0)
        return LINK_ENDED;
    if (!pieces_add(&link->pieces, (struct bytes){input, (size_t)got}, consume, ctx))
        return LINK_MALFORMED;
    return (size_t)got < sizeof(input) ? LINK_DRAINED : LINK_MORE;
}
