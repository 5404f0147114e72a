/* source_state.c - see source_state.h. */
#include "flow/source_state.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE_BYTES 256

char *source_message_copy(const char *message)
{
    size_t size = message ? strnlen(message, MAX_MESSAGE_BYTES + 1) : 0;
    char *head;

    if (size > MAX_MESSAGE_BYTES)
        for (size = MAX_MESSAGE_BYTES; size > 0 && ((unsigned char)message[size] & 0xc0) == 0x80;)
            size--;
    head = size > 0 ? calloc(1, size + 1) : NULL;
    return head ? memcpy(head, message, size) : NULL;
}
