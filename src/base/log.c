/* log.c - builds a line on the stack and puts it out.
 *
 * DESIGN: The last MAX_TAIL bytes of a line are reserved, so that what was begun can always be
 * closed. A text that does not fit ends early, with its quote. The fields after it are left out,
 * and the line ends with `cut=true`. So every line is complete in its format, however long its
 * values are. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log_output.h"

#define MAX_TAIL 32u /* a closing quote, cut=true, the end of the line */

static struct {
    enum log_level min;
    enum log_format format;
} setup = {LOG_INFO, LOG_AS_TEXT};

_Static_assert(MAX_LOG_LINE <= MAX_RING_LINE, "the writer takes every line");
_Static_assert(LINE_LEVELS == LOG_OFF && LINE_RESERVE_LEVEL == LOG_WARN, "the writer's levels are these");

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error", [LOG_OFF] = "off",
};

static const char *const format_names[] = {[LOG_AS_TEXT] = "text", [LOG_AS_JSON] = "json"};

struct line {
    size_t size;
    bool truncated; /* something did not fit; nothing but closing text may follow */
    char text[MAX_LOG_LINE];
};

/* Appends all of the text or nothing. Appends nothing once the line is truncated. */
static bool put(struct line *line, const char *text, size_t size)
{
    if (line->truncated || size > MAX_LOG_LINE - MAX_TAIL - line->size) {
        line->truncated = true;
        return false;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
    return true;
}

/* Appends text that closes what was begun. It always fits, in the reserved bytes. */
static void close_with(struct line *line, const char *text)
{
    size_t size = strlen(text);

    CHECK(size <= MAX_LOG_LINE - line->size);
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

/* The length of the UTF-8 character at `at`, with its code in *code_out. 0: the character is
 * invalid, and *code_out is unchanged. */
static size_t read_character(const uint8_t *at, size_t size, uint32_t *code_out)
{
    static const uint32_t min[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80   ? 1
                    : at[0] < 0xC2 ? 0
                    : at[0] < 0xE0 ? 2
                    : at[0] < 0xF0 ? 3
                    : at[0] < 0xF5 ? 4
                                   : 0;
    uint32_t code = length == 1 ? at[0] : at[0] & (0x7Fu >> length);

    if (length == 0 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0u) != 0x80u)
            return 0;
        code = code << 6 | (at[i] & 0x3Fu);
    }
    if (code < min[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    *code_out = code;
    return length;
}

/* C0, DEL and C1 can control a terminal. Some readers take U+2028 and U+2029 for the end of a
 * line. */
static bool must_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
}

/* Appends a value as the content of a JSON string. */
static void put_json(struct line *line, struct bytes value)
{
    bool fits = true;

    for (size_t i = 0; i < value.size && fits;) {
        char piece[8];
        uint32_t code = 0xFFFD;
        size_t length = read_character(value.data + i, value.size - i, &code);

        if (length == 0 || must_escape(code))
            fits = put(line, piece, (size_t)snprintf(piece, sizeof(piece), "\\u%04x", (unsigned)code));
        else if (code == '"' || code == '\\')
            fits = put(line, (char[2]){'\\', (char)code}, 2);
        else
            fits = put(line, (const char *)value.data + i, length);
        i += MAX_OF(length, 1u);
    }
}

/* Appends a value as the content of a quoted text. */
static void put_text(struct line *line, struct bytes value)
{
    bool fits = true;

    for (size_t i = 0; i < value.size && fits; i++) {
        static const char short_form[256] = {
            ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};
        char piece[8];
        uint8_t byte = value.data[i];

        if (short_form[byte])
            fits = put(line, (char[2]){'\\', short_form[byte]}, 2);
        else if (byte < 0x20 || byte > 0x7E)
            fits = put(line, piece, (size_t)snprintf(piece, sizeof(piece), "\\x%02x", byte));
        else
            fits = put(line, (const char *)&value.data[i], 1);
    }
}

static struct bytes bytes_of(const char *text)
{
    return text ? (struct bytes){(const uint8_t *)text, strlen(text)} : (struct bytes){0};
}

static void put_value(struct line *line, const struct log_field *field)
{
    struct bytes value = field->kind == LOG_KIND_TEXT ? bytes_of(field->text) : field->bytes;

    if (setup.format == LOG_AS_JSON)
        put_json(line, value);
    else
        put_text(line, value);
    close_with(line, "\"");
}

static void put_field(struct line *line, const struct log_field *field)
{
    char head[256];
    bool json = setup.format == LOG_AS_JSON;
    bool number = field->kind == LOG_KIND_NUMBER;
    int size;

    if (number)
        size = snprintf(head, sizeof(head), json ? ",\"%s\":%" PRId64 : " %s=%" PRId64, field->name,
                        field->number);
    else
        size = snprintf(head, sizeof(head), json ? ",\"%s\":\"" : " %s=\"", field->name);
    CHECK(size > 0 && (size_t)size < sizeof(head));
    if (put(line, head, (size_t)size) && !number)
        put_value(line, field);
}

/* Appends time, level and event. */
static void put_head(struct line *line, enum log_level level, const char *event)
{
    char when[40], head[64];
    int64_t now_ns = clock_wall_ns();
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    bool json = setup.format == LOG_AS_JSON;
    struct tm utc;
    int size;

    CHECK(gmtime_r(&seconds, &utc));
    CHECK(strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc) > 0);
    size = snprintf(head, sizeof(head), json ? "{\"time\":\"%s.%06dZ\"" : "%s.%06dZ", when,
                    (int)(now_ns % NS_PER_S / NS_PER_US));
    put(line, head, (size_t)size);
    size =
        snprintf(head, sizeof(head), json ? ",\"level\":\"%s\",\"event\":\"" : " %-5s ", level_names[level]);
    put(line, head, (size_t)size);
    if (json) {
        put_json(line, bytes_of(event));
        close_with(line, "\"");
    } else {
        put_text(line, bytes_of(event));
    }
}

static void put_line(struct line *line, enum log_level level, const char *event,
                     const struct log_field *fields, size_t count)
{
    const bool json = setup.format == LOG_AS_JSON;

    line->size = 0;
    line->truncated = false;
    put_head(line, level, event);
    for (size_t i = 0; i < count && !line->truncated; i++)
        put_field(line, &fields[i]);
    if (line->truncated)
        close_with(line, json ? ",\"cut\":true" : " cut=true");
    close_with(line, json ? "}\n" : "\n");
}

/* The writer's thread: the line that says what is missing. */
static size_t missing_text(const struct lines_missing *missing, char *text)
{
    const uint64_t *levels = missing->by_level;
    const struct log_field fields[] = {
        LOG_NUMBER("lines", levels[LOG_DEBUG] + levels[LOG_INFO] + levels[LOG_WARN] + levels[LOG_ERROR]),
        LOG_NUMBER("debug", levels[LOG_DEBUG]),
        LOG_NUMBER("info", levels[LOG_INFO]),
        LOG_NUMBER("warn", levels[LOG_WARN]),
        LOG_NUMBER("error", levels[LOG_ERROR]),
        LOG_NUMBER("limited", missing->limited)};
    struct line line;

    put_line(&line, LOG_WARN, "log.lost", fields, ARRAY_LEN(fields));
    memcpy(text, line.text, line.size);
    return line.size;
}

void log_setup(enum log_level min, enum log_format format, int fd)
{
    setup.min = min;
    setup.format = format;
    log_output_set_fd(fd);
}

struct status log_start(void)
{
    if (log_output_start(missing_text))
        return (struct status){ERR_NO_MEMORY, 0, "start the writer of the log"};
    return STATUS_OK;
}

void log_stop(int max_ms)
{
    log_output_stop(max_ms);
}

bool log_wants(enum log_level level)
{
    return level >= setup.min && level != LOG_OFF;
}

void log_leave_out(enum log_level level)
{
    if (log_wants(level))
        log_output_leave_out(level);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    const int before = errno;
    struct line line;

    if (!log_wants(level))
        return;
    put_line(&line, level, event, fields, count);
    log_output_put(level, line.text, line.size);
    errno = before;
}

static int index_of(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -1;
}

bool log_level_parse(const char *text, enum log_level *level_out)
{
    int found = index_of(text, level_names, ARRAY_LEN(level_names));

    if (found < 0)
        return false;
    *level_out = (enum log_level)found;
    return true;
}

bool log_format_parse(const char *text, enum log_format *format_out)
{
    int found = index_of(text, format_names, ARRAY_LEN(format_names));

    if (found < 0)
        return false;
    *format_out = (enum log_format)found;
    return true;
}
