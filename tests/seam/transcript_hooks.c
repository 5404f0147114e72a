/* transcript_hooks.c - see transcript_hooks.h. */
#include "seam/transcript_hooks.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "seam/transcript.h"

static void add_field(struct buf *line, const struct log_field *field)
{
    bool is_epoch = strcmp(field->name, "epoch") == 0;
    bool is_id = strcmp(field->name, "subscription") == 0 && field->kind == LOG_KIND_TEXT;

    buf_format(line, " %s=", field->name);
    if (is_epoch)
        buf_format(line, "e%u", transcript_epoch((uint64_t)field->number));
    else if (is_id)
        buf_format(line, "s%u", transcript_subscription(field->text));
    else if (field->kind == LOG_KIND_NUMBER)
        buf_format(line, "%" PRId64, field->number);
    else if (field->kind == LOG_KIND_BYTES)
        buf_text(line, transcript_bytes(field->bytes));
    else
        buf_text(line, field->text ? field->text : "");
}

void __wrap_log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
    static struct buf line;

    if (transcript_on && transcript_with_log) {
        buf_clear(&line);
        for (size_t i = 0; i < count; i++)
            add_field(&line, &fields[i]);
        CHECK(!line.broken);
        transcript("  log %s %s%.*s", levels[level], event, (int)line.size,
                   line.size > 0 ? (const char *)line.data : "");
    }
    __real_log_fields(level, event, fields, count);
}

/* The order in a hash table depends on a random secret. While a transcript is recorded it is
 * always the same secret. */
ssize_t __wrap_getrandom(void *into, size_t size, unsigned flags)
{
    if (!transcript_on)
        return __real_getrandom(into, size, flags);
    memset(into, 0x5a, size);
    return (ssize_t)size;
}
