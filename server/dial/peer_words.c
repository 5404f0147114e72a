/* peer_words.c - see peer_words.h. */
#include "server/dial/peer_words.h"

#include <string.h>

#include "event/text.h"

void peer_words_copy(char to[PEER_WORDS_BYTES + 1], struct bytes text)
{
    size_t size = MIN_OF(text.size, (size_t)PEER_WORDS_BYTES);

    while (size > 0 && size < text.size && (text.data[size] & 0xc0) == 0x80)
        size--; /* not within a character */
    if (size > 0)
        memcpy(to, text.data, size);
    to[size] = '\0';
    if (text_printable((struct bytes){(const uint8_t *)to, size}) == FAULT_NONE)
        return;
    for (size_t i = 0; i < size; i++)
        if (to[i] < 0x20 || to[i] > 0x7e)
            to[i] = '?';
}
