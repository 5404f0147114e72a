/* value.h - reads and writes durations, sizes and moments as people write them. Any thread. A
 * function that returns false leaves its result alone. */
#ifndef TRIBUTARY_TOOL_VALUE_H
#define TRIBUTARY_TOOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a duration: "10", "0.5", "500ms", "1m30s". The units are ns, us, ms, s, m and h; a bare
 * number counts seconds. False: not a duration, or above 292 years. */
bool duration_parse(const char *text, int64_t *ns_out);

/* Reads a size: "4096", "64KiB", "4M". The units are K, M and G, with or without "iB" or "B", all
 * of 1024. False: not a size, or above 64 bits. */
bool bytes_parse(const char *text, uint64_t *bytes_out);

/* Reads a count: "4096", "20k", "1.5M". The units are k (or K), M and G, of 1000. False: not a
 * count, not a whole number, or above 64 bits. */
bool count_parse(const char *text, uint64_t *count_out);

/* Reads a number of digits only. False: it has other characters, or is above 64 bits. */
bool number_parse(const char *text, uint64_t *number_out);

/* Moments in nanoseconds since 1970. moment_text() writes RFC 3339 with nine decimals in UTC, such
 * as "2026-01-31T12:00:00.123456789Z". moment_parse() also accepts other offsets, fewer decimals,
 * and the bare number of nanoseconds. */
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
