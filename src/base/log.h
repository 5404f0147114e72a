/* log.h - one line per thing that happened, as text or JSON, to standard error. Any thread; one
 * write() per line.
 *
 *   log_write(LOG_INFO, "producer.added", LOG_TEXT("producer", name), LOG_NUMBER("epoch", epoch));
 *
 * text:  2026-01-31T12:00:00.123456Z info  producer.added producer="web" epoch=17 json:
 * {"time":"2026-01-31T12:00:00.123456Z","level":"info","event":"producer.added","producer":"web","epoch":17}
 * Values are escaped: no byte of them can end a line or start a terminal sequence. Text shows
 * everything outside printable ASCII as \xNN; JSON is valid UTF-8 whatever comes in, with U+FFFD in
 * place of each byte that is not. */
#ifndef TRIBUTARY_BASE_LOG_H
#define TRIBUTARY_BASE_LOG_H

#include <stdbool.h>

#include "base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };

struct log_field {
    const char *name; /* a constant of ours: written as it is */
    enum log_kind { LOG_KIND_TEXT, LOG_KIND_BYTES, LOG_KIND_NUMBER } kind;
    int64_t number;
    struct bytes bytes;
    const char *text; /* NULL is written as an empty text */
};

#define LOG_TEXT(n, value) ((struct log_field){.name = (n), .kind = LOG_KIND_TEXT, .text = (value)})
#define LOG_BYTES(n, value) ((struct log_field){.name = (n), .kind = LOG_KIND_BYTES, .bytes = (value)})
#define LOG_NUMBER(n, value)                                                                                 \
    ((struct log_field){.name = (n), .kind = LOG_KIND_NUMBER, .number = (int64_t)(value)})

/* A line is at most this long, its end included; what does not fit is left out, and the line ends
 * in cut=true. */
#define MAX_LOG_LINE 8192u

/* Before threads start. Until then: LOG_INFO and above, as text, to standard error. */
void log_setup(enum log_level min, enum log_format format, int fd);
bool log_wants(enum log_level level);
void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);

#define log_write(level, event, ...)                                                                         \
    do {                                                                                                     \
        if (log_wants(level)) {                                                                              \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                            \
            log_fields(level, event, log_fields_, ARRAY_LEN(log_fields_));                                   \
        }                                                                                                    \
    } while (0)

/* "debug", "info", "warn", "error", "off"; "text", "json". False: not one of them, nothing
 * changed. */
bool log_level_parse(const char *text, enum log_level *level_out);
bool log_format_parse(const char *text, enum log_format *format_out);

#endif
