/* value.h - reads and writes moments, and writes durations and sizes for people. base/quantity.h
 * reads durations and sizes. Any thread. A function that returns false leaves its result alone. */
#ifndef TRIBUTARY_TOOL_VALUE_H
#define TRIBUTARY_TOOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Moments in nanoseconds since 1970. moment_text() writes RFC 3339 with nine decimals in UTC, such
 * as "2026-01-31T12:00:00.123456789Z". moment_parse() reads RFC 3339 with every offset, small
 * letters or a space for the T, and any number of decimals, of which those behind the ninth are
 * left out. A leap second counts as the second after it. It also reads the bare number of
 * nanoseconds. False: it is neither, there is no such day or time, or it lies before 1970 or beyond
 * 2554. */
#define MOMENT_CAPACITY 40
void moment_text(uint64_t unix_nano, char text[MOMENT_CAPACITY]);
bool moment_parse(const char *text, uint64_t *unix_nano_out);
/* A number of nanoseconds. False: it lies before 2001, so it is one of seconds or milliseconds. 0
 * is taken. */
bool moment_of_number(uint64_t number, uint64_t *unix_nano_out);

/* Writes a duration for people: "1.2 s", "3 min", "2 h 5 min", "4 d 1 h". */
void duration_text(int64_t ns, char *text, size_t capacity);

/* Writes a size for people: "512 B", "1.5 KiB". */
void bytes_text(uint64_t bytes, char *text, size_t capacity);

#endif
