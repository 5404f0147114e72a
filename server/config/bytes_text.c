/* bytes_text.c - see bytes_text.h. */
#include "server/config/bytes_text.h"

#include <string.h>

int hex_digit(uint8_t letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 0x20; /* small */
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

bool hex_read(struct bytes text, struct buf *bytes)
{
    if (text.size % 2 != 0)
        return false;
    for (size_t i = 0; i < text.size; i += 2) {
        const int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);

        if (high < 0 || low < 0)
            return false;
        buf_byte(bytes, (uint8_t)(high << 4 | low));
    }
    return true;
}

bool base64_read(struct bytes text, struct buf *bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = text.size;
    uint32_t bits = 0;

    if (size % 4 != 0)
        return false;
    for (int i = 0; i < 2 && size > 0 && text.data[size - 1] == '='; i++)
        size--;
    for (size_t i = 0; i < size; i++) {
        const char *letter = text.data[i] != 0 ? strchr(letters, text.data[i]) : NULL;

        if (!letter)
            return false;
        bits = bits << 6 | (uint32_t)(letter - letters);
        if (i % 4 > 0)
            buf_byte(bytes, (uint8_t)(bits >> (6 - 2 * (i % 4))));
    }
    return true;
}
