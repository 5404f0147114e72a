/* kept_trailers.c - see kept_trailers.h. */
#include "server/fanin/kept_trailers.h"

#include <stdlib.h>
#include <string.h>

#include "server/wire/call.h"

void kept_trailers_init(struct kept_trailers *trailers)
{
    *trailers = (struct kept_trailers){.count = 0};
    list_init(&trailers->all);
}

void kept_trailers_fini(struct kept_trailers *trailers)
{
    list_each(node, next, &trailers->all)
        free(container_of(node, struct kept_trailer, link));
}

void kept_trailers_add(struct kept_trailers *trailers, struct bytes name, struct bytes value)
{
    const size_t bytes = name.size + value.size + TRAILER_EXTRA_BYTES;
    struct kept_trailer *trailer = NULL;

    if (trailers->count < MAX_CALL_TRAILERS && trailers->bytes + bytes <= MAX_TRAILER_BYTES)
        trailer = calloc(1, sizeof(*trailer) + name.size + value.size);
    if (!trailer) {
        trailers->left_out++;
        return;
    }
    memcpy(trailer->memory, name.data, name.size);
    if (value.size > 0)
        memcpy(trailer->memory + name.size, value.data, value.size);
    trailer->pair = (struct pair){{trailer->memory, name.size}, {trailer->memory + name.size, value.size}};
    list_append(&trailers->all, &trailer->link);
    trailers->count++;
    trailers->bytes += bytes;
}
