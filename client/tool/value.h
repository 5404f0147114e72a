/* value.h - durations, sizes and moments as people write them. */
#ifndef TRIBUTARY_TOOL_VALUE_H
#define TRIBUTARY_TOOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "10", "0.5", "500ms", "1m30s": units ns, us, ms, s, m, h; a bare number counts seconds. At most
 * 292 years. False: not one. */
bool duration_parse(const char *text, int64_t *ns_out);

/* "4096", "64KiB", "4M": units K, M, G, with or without "iB" or "B", all of 1024. False: not one,
 * or above 64 bits. */
bool bytes_parse(const char *text, uint64_t *bytes_out);

/* "4096", "20k", "1.5M": units k (or K), M, G, of 1000. False: not one, no whole number, or above
 * 64 bits. */
bool count_parse(const char *text, uint64_t *count_out);

/* Digits only. */
bool number_parse(const char *text, uint64_t *number_out);

/* Moments in nanoseconds since 1970. RFC 3339 with nine decimals in UTC, such as
 * "2026-01-31T12:00:00.123456789Z", which is what moment_text() writes; moment_parse() also takes
 * other offsets, fewer decimals, and the bare number of nanoseconds. */
#define MOMENT_CAPACITY 40
void moment_text(uint64_t unix_nano, char text[MOMENT_CAPACITY]);
bool moment_parse(const char *text, uint64_t *unix_nano_out);

/* "1.2 s", "3 min", "2 h 5 min", "4 d 1 h". */
void duration_text(int64_t ns, char *text, size_t capacity);

/* "512 B", "1.5 KiB". */
void bytes_text(uint64_t bytes, char *text, size_t capacity);

#endif
