/* log.h - structured log lines, as text or as JSON. A thread of its own writes them, so a reader
 * that is slow or gone costs log lines, and never the caller.
 *
 *   log_write(LOG_INFO, "producer.added", LOG_TEXT("producer", name), LOG_NUMBER("epoch", epoch));
 *
 * text:
 *   2026-01-31T12:00:00.123456Z info  producer.added producer="web" epoch=17
 * json (one line):
 *   {"time":"2026-01-31T12:00:00.123456Z","level":"info","event":"producer.added",
 *    "producer":"web","epoch":17}
 *
 * Values are escaped, so no value can end a line or start a terminal sequence. Text shows every
 * byte outside printable ASCII as \xNN. JSON is valid UTF-8 for any input: each invalid byte
 * becomes U+FFFD.
 *
 * Threads: any, after log_setup(). */
#ifndef TRIBUTARY_BASE_LOG_H
#define TRIBUTARY_BASE_LOG_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };

struct log_field {
    const char *name; /* a constant of the program: written without escaping */
    enum log_kind { LOG_KIND_TEXT, LOG_KIND_BYTES, LOG_KIND_NUMBER } kind;
    int64_t number;
    struct bytes bytes;
    const char *text; /* NULL: written as an empty text */
};

/* The fields of a log line: a text, bytes, a number. */
#define LOG_TEXT(n, value) ((struct log_field){.name = (n), .kind = LOG_KIND_TEXT, .text = (value)})
#define LOG_BYTES(n, value) ((struct log_field){.name = (n), .kind = LOG_KIND_BYTES, .bytes = (value)})
#define LOG_NUMBER(n, value)                                                                                 \
    ((struct log_field){.name = (n), .kind = LOG_KIND_NUMBER, .number = (int64_t)(value)})

/* The most bytes of a line, its newline included. It is what a pipe takes whole (PIPE_BUF), so
 * lines of several programs do not mix. Fields that do not fit are left out, and the line ends with
 * cut=true. */
#define MAX_LOG_LINE 4096u

/* Call before threads start. Until then the log writes LOG_INFO and above, as text, to standard
 * error. `fd` stays the caller's. */
void log_setup(enum log_level min, enum log_format format, int fd);

/* Starts the thread that writes. From here on no line waits for its reader: up to 4 MiB of lines
 * wait, and beyond that they are left out. A line `log.lost` says how many, where they are missing,
 * and the counter log.lost counts them. Without this call, a line is written by its caller, who
 * waits up to 100 ms. Also: a process that crashes waits up to 1 s for the lines before the crash.
 *   ERR_NO_MEMORY  there is no memory or no thread; nothing has changed */
MUST_CHECK struct status log_start(void);

/* Call at the end, once. Writes what waits, for at most `max_ms`. If the reader does not read then,
 * what waits is lost, and 400 ms more may pass until a line `log.lost` is written behind what a
 * pipe holds. Does nothing without log_start(). */
void log_stop(int max_ms);

/* Whether lines of this level are written. */
bool log_wants(enum log_level level);

/* Counts a line of this level as lost, because the caller limits how many it writes. `log.lost`
 * follows within a second. */
void log_leave_out(enum log_level level);

/* Writes one line. errno is unchanged. A failed write loses the line and nothing else. */
void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);

/* The usual way to write a line: evaluates the fields only if the level is written. */
#define log_write(level, event, ...)                                                                         \
    do {                                                                                                     \
        if (log_wants(level)) {                                                                              \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                            \
            log_fields(level, event, log_fields_, ARRAY_LEN(log_fields_));                                   \
        }                                                                                                    \
    } while (0)

/* Parse "debug", "info", "warn", "error" or "off", and "text" or "json". False: it is none of them,
 * and the result is unchanged. */
bool log_level_parse(const char *text, enum log_level *level_out);
bool log_format_parse(const char *text, enum log_format *format_out);

#endif
