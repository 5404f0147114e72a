/* bytes_text.h - bytes that are written as hexadecimal digits or in base64.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONFIG_BYTES_TEXT_H
#define TRIBUTARY_SERVER_CONFIG_BYTES_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

/* The value of a hexadecimal digit, large or small. -1: it is none. */
int hex_digit(uint8_t letter);

/* Append the bytes. False: the text is none, and the buffer has a part of it. */
MUST_CHECK bool hex_read(struct bytes text, struct buf *bytes);    /* two digits for each byte */
MUST_CHECK bool base64_read(struct bytes text, struct buf *bytes); /* RFC 4648, with its '=' */

#endif
