/* field_path.h - finds one field of any protobuf message by the numbers of the fields that lead to
 * it, such as "1.3.2": field 2 of the message in field 3 of the message in field 1.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_PATH_H
#define TRIBUTARY_EVENT_FIELD_PATH_H

#include <stdbool.h>

#include "event/field.h"

#define FIELD_PATH_DEPTH 8u
/* What a path has at most: eight numbers of nine digits, and the dots between them. */
#define FIELD_PATH_TEXT 79u
/* Fields of a message that are looked at, those of all levels together. */
#define FIELD_PATH_FIELDS 4096u

struct field_path {
    uint32_t numbers[FIELD_PATH_DEPTH];
    uint32_t count; /* 0: there is no path */
};

/* Reads 1 to 8 numbers from 1 to 536870911, with dots between them. False: the text is no such
 * path; *path_out is unchanged then. */
bool field_path_parse(const char *text, struct field_path *path_out);

enum field_found {
    FIELD_FOUND,
    FIELD_MISSING,
    FIELD_UNREADABLE /* the message is malformed, has more fields than are looked at, or a field on the
                      * way is no message */
};

/* The last field of this path. `path` has a number. */
enum field_found field_path_find(const struct field_path *path, struct bytes message,
                                 struct field *field_out);

/* A field as the key of an event: bytes as they are, at most 256 of UTF-8, or a number as
 * an unsigned decimal. *size_out 0: it is empty. False: it is no such field. */
#define FIELD_KEY_BYTES 256u
bool field_as_key(const struct field *field, char text[FIELD_KEY_BYTES], size_t *size_out);

/* A field as a time in nanoseconds since 1970: a google.protobuf.Timestamp, or a fixed64 or varint
 * of nanoseconds, up to 2^63 - 1. False: it is no such field, or before 1970. */
bool field_as_time(const struct field *field, uint64_t *unix_ns_out);

#endif
